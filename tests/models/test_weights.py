"""What was loaded is what was asked: damaged checkpoints, adapters and encoders, each at every width of bits.

The oracle is transformers' and peft's own module made from the undamaged folder, or a formula written out here.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from zoo import ARCHITECTURES, V, tiny_gguf

from workbench import load, load_encoder
from workbench.errors import ModelError
from workbench.models.files.names import encoder_folder

pytestmark = pytest.mark.usefixtures("own_cache")
BITS = [None, 4, 8]
IDS = torch.tensor([[5, 9, 40, 77, 130, 200]])


@pytest.fixture(scope="module")
def whole(zoo):
    """A function: the folder of a tiny model of the zoo."""
    return lambda name="llama": zoo(name)


def changed(folder, to, change, weights="model.safetensors"):
    """A copy of ``folder`` at ``to`` with its tensors changed."""
    shutil.copytree(folder, to)
    save_file({key: value.contiguous() for key, value in change(load_file(to / weights)).items()}, to / weights)
    return to


def without(*parts):
    return lambda w: {key: value for key, value in w.items() if not any(part in key for part in parts)}


def prefixed(prefix):
    return lambda w: {prefix + key: value for key, value in w.items()}


def one_layer_more(w, last="layers.3.", new="layers.4."):
    return w | {key.replace(last, new): value.clone() for key, value in w.items() if last in key}


def raw(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def answer(module):
    return module(IDS).logits.float()


def close(ours, wanted, bits=None):
    """Equal up to rounding, or up to what quantising costs these random matrices."""
    gap = float((ours - wanted).abs().max() / wanted.std())
    return gap < {None: 1e-4, 8: 0.6, 4: 4.0}[bits] and (bits is None or gap > 0)


# ---- models


MISSING = {
    "head": (without("lm_head"), "lm_head.weight"),
    "mlp": (without("layers.1.mlp"), r"layers\.1\.mlp\.down_proj\.weight"),
    "layer": (without("layers.3."), r"model\.layers\.3\.input_layernorm"),
    "norm": (without("model.norm"), "model.norm.weight"),  # would be ones, as it was: missing all the same
    "embedding": (without("embed_tokens"), "model.embed_tokens.weight"),
}


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("harm", MISSING)
def test_missing_weights_are_named(whole, tmp_path, harm, bits):
    change, said = MISSING[harm]
    folder = changed(whole(), tmp_path / "x", change)
    for strict in (False, True):
        with pytest.raises(ModelError, match=rf"lacks \d+ of its 39 weights .*{said}"):
            load(str(folder), bits=bits, strict=strict)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."])
def test_the_prefixes_of_wrappers_are_read_through_and_said(whole, tmp_path, capsys, prefix, bits):
    folder = changed(whole(), tmp_path / "x", prefixed(prefix))
    model = load(str(folder), bits=bits)
    assert torch.equal(answer(model.module), answer(load(str(whole()), bits=bits).module))
    assert close(answer(model.module), answer(raw(whole())), bits)
    said = f"names its weights as a wrapper does ({prefix}lm_head.weight)"
    assert said in capsys.readouterr().err and any(said in note for note in model.report.notes)
    again = load(str(folder), bits=bits)  # in 4 and 8 bits from the cache: the record must say it all the same
    assert any("as a wrapper does" in note for note in again.report.notes)


def test_a_wrapper_inside_the_model_is_read_through_too(whole, tmp_path):
    def compiled(w):
        return {key.replace("model.layers.", "model._orig_mod.layers."): value for key, value in w.items()}

    model = load(str(changed(whole(), tmp_path / "x", compiled)))
    assert close(answer(model.module), answer(raw(whole()))) and "wrapper" in model.report.notes[0]


@pytest.mark.parametrize("bits", BITS)
def test_weights_that_nothing_reads_are_a_note(whole, tmp_path, bits):
    folder = changed(whole(), tmp_path / "x", one_layer_more)
    model = load(str(folder), bits=bits)
    assert torch.equal(answer(model.module), answer(load(str(whole()), bits=bits).module))
    for report in (model.report, load(str(folder), bits=bits).report):
        assert any("holds 9 tensors that its LlamaForCausalLM does not use" in note for note in report.notes)
    with pytest.raises(ModelError, match="strict=True forbids"):
        load(str(folder), bits=bits, strict=True)


@pytest.mark.parametrize("bits", BITS)
def test_weights_of_another_model_are_refused(whole, tmp_path, bits):
    other = load_file(whole("gpt2") / "model.safetensors")
    with pytest.raises(ModelError, match="lacks 39 of its 39 weights"):
        load(str(changed(whole(), tmp_path / "x", lambda w: other)), bits=bits)
    with pytest.raises(ModelError, match=r"o_proj\.weight has the shape 32 x 64 in the file and 64 x 64"):
        load(str(changed(whole(), tmp_path / "y", lambda w: w | {
            "model.layers.2.self_attn.o_proj.weight": torch.ones(32, 64)})), bits=bits)  # fmt: skip


QUERY = "model.layers.1.self_attn.q_proj.weight"


def turned(w):
    return w | {QUERY.replace("q_proj", "k_proj"): w[QUERY.replace("q_proj", "k_proj")].T.contiguous()}


def holed(value):
    def change(w):
        w[QUERY][3, 5] = value
        return w

    return change


DAMAGED = {
    "whole numbers": (lambda w: w | {QUERY: (w[QUERY] * 10).to(torch.int32)}, "stores .*q_proj.weight as I32"),
    "bytes without scales": (lambda w: w | {QUERY: (w[QUERY] * 10).to(torch.int8)}, "stores .*q_proj.weight as I8"),
    "truth values": (lambda w: w | {QUERY: w[QUERY] > 0}, "stores .*q_proj.weight as BOOL"),
    "a nan": (holed(float("nan")), r"not finite in model\.layers\.1\.self_attn\.q_proj\.weight"),
    "an infinity": (holed(float("inf")), r"not finite in model\.layers\.1\.self_attn\.q_proj\.weight"),
    "the other way round": (turned, r"k_proj\.weight has the shape 64 x 32 in the file and 32 x 64"),
    "two of a name": (lambda w: w | {f"module.{QUERY}": -w[QUERY]}, "holds .*q_proj.weight twice, as"),
    "with and without the prefix": (lambda w: w | {QUERY[6:]: -w[QUERY]}, "holds .*q_proj.weight twice, as"),
}


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("harm", DAMAGED)
def test_damaged_values_are_named(whole, tmp_path, harm, bits):
    change, said = DAMAGED[harm]
    with pytest.raises(ModelError, match=said):
        load(str(changed(whole(), tmp_path / "x", change)), bits=bits)


def test_gpt2_whose_matrices_stand_the_other_way_round_is_read_in_8_bits(whole):
    assert close(answer(load(str(whole("gpt2")), bits=8).module), answer(raw(whole("gpt2"))), 8)


@pytest.mark.parametrize("bits", BITS)
def test_a_second_base_prefix_is_said(whole, tmp_path, bits):
    folder = changed(whole(), tmp_path / "x", prefixed("model."))
    model = load(str(folder), bits=bits)
    assert close(answer(model.module), answer(raw(whole())), bits)
    assert any("model. in front (model.model." in note for note in model.report.notes)


@pytest.mark.parametrize("bits", BITS)
def test_half_an_expert_is_refused(whole, tmp_path, bits):
    for harm, said in (("layers.1.block_sparse_moe.experts.3.", "experts"), ("experts.1.w1", "experts"),
                       ("layers.1.block_sparse_moe.experts", r"layers\.1\.mlp\.experts")):  # fmt: skip
        folder = changed(whole("mixtral"), tmp_path / harm, without(harm))
        with pytest.raises(ModelError, match=f"(lacks|do not belong together).*{said}"):
            load(str(folder), bits=bits)


def test_a_tied_head_may_be_missing_and_an_untied_one_may_be_there(whole, tmp_path):
    tied = whole("llama-tied-bias")
    assert "lm_head.weight" not in load_file(tied / "model.safetensors")
    assert close(answer(load(str(tied)).module), answer(raw(tied)))
    head = torch.randn(V, 64, generator=torch.Generator().manual_seed(1))
    own = changed(tied, tmp_path / "x", lambda w: w | {"lm_head.weight": head})
    with torch.no_grad():
        wanted = raw(tied).model(IDS).last_hidden_state @ head.T
    for bits in BITS:
        model = load(str(own), bits=bits)
        assert close(answer(model.module), wanted, bits)
        assert any("tie_word_embeddings) and its files hold two that differ" in note for note in model.report.notes)


def test_float8_matrices_without_their_scales_are_refused(whole, tmp_path):
    def eighth(w):
        return {key: value.to(torch.float8_e4m3fn) if "mlp" in key else value for key, value in w.items()}

    with pytest.raises(ModelError, match=r"as F8_E4M3 and its config\.json has no quantization_config"):
        load(str(changed(whole(), tmp_path / "x", eighth)))


def test_the_files_that_are_read_are_the_ones_that_are_counted(whole, tmp_path):
    weights = load_file(whole() / "model.safetensors")
    total = sum(value.numel() for value in weights.values())
    twice = shutil.copytree(whole(), tmp_path / "twice")
    shutil.copy(twice / "model.safetensors", twice / "consolidated.safetensors")
    assert load(str(twice)).report.parameters == total
    assert load(str(twice)).report.sha256 == load(str(whole())).report.sha256
    parts = shutil.copytree(whole(), tmp_path / "parts")
    (parts / "model.safetensors").unlink()
    raw(whole()).save_pretrained(parts, max_shard_size="60KB")
    index = json.loads((parts / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    model = load(str(parts))
    assert model.report.parameters == total and close(answer(model.module), answer(raw(whole())))
    last = parts / index["weight_map"]["model.layers.3.mlp.up_proj.weight"]
    save_file(without("up_proj")(load_file(last)), last)
    with pytest.raises(ModelError, match=r"lacks .*up_proj\.weight"):
        load(str(parts))
    shutil.copy(whole() / "model.safetensors", parts / "model.safetensors")
    assert "model.safetensors and weights in parts" in load(str(parts)).report.notes[0]


def test_a_tokenizer_larger_than_the_embedding_is_found_at_load(whole, tmp_path):
    from transformers import AutoTokenizer

    folder = shutil.copytree(whole(), tmp_path / "x")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<new>", "<newer>"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="tokenizer of 322 tokens and an embedding of 320 rows"):
        load(str(folder))


def test_a_control_token_without_a_row_may_be_in_no_text(whole, tmp_path):
    from transformers import AutoTokenizer

    folder = shutil.copytree(whole(), tmp_path / "x")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.chat_template = "{% for m in messages %}<image>{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    model = load(str(folder))
    assert "<image> has no row in the embedding" in model.report.notes[0]
    said = "the text holds '<image>', token 320, for which .* has no row"
    for call in (
        lambda: model.token_ids("a <image>"),
        lambda: model.generate(["a", "a <image>"], max_new_tokens=1),
        lambda: model.generate(["a"], max_new_tokens=1, chat=True),
        lambda: model.logprobs(["a"], [["b", " <image>"]]),
        lambda: model.next_logprobs("<image>"),
    ):
        with pytest.raises(ModelError, match=said):
            call()


# ---- GGUF files


def test_a_gguf_file_with_too_few_or_too_many_tensors(tmp_path):
    def write(name, **options):
        return str(tiny_gguf(tmp_path / name, **options))

    right = load(write("right.gguf"))
    assert right.report.notes == [] and right.generate(["a"], max_new_tokens=2)
    for lost, said in (("blk.1.ffn_up.weight", r"layers\.1\.mlp\.up_proj"), ("output_norm.weight", r"model\.norm")):
        for bits in BITS:
            with pytest.raises(ModelError, match=f"lacks 1 of its .*{said}"):
                load(write(f"{lost}.gguf", without=lost), bits=bits)
    more = load(write("more.gguf", layers=3))
    assert any("holds tensors that its architecture does not use (blk.2." in note for note in more.report.notes)
    assert any("blk.2." in note for note in load(write("more.gguf", layers=3), bits=4).report.notes)
    assert torch.equal(answer(more.module), answer(right.module))


# ---- encoders


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """minilm's folder with a BERT of two narrow layers in it."""
    from transformers import AutoConfig, AutoModel

    source, folder = encoder_folder("minilm").path, tmp_path_factory.mktemp("encoder") / "tiny"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = AutoConfig.from_pretrained(
        folder, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    pooling = folder / "1_Pooling" / "config.json"
    text = json.loads(pooling.read_text())
    pooling.write_text(json.dumps({key: 32 if value == 384 else value for key, value in text.items()}))
    return folder


def deeper(w):
    return one_layer_more(w, "layer.1.", "layer.2.")


def as_bert(w):
    return {f"bert.{key}": value for key, value in w.items()}


def old_names(w):
    return {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for key, value in w.items()
    }


@pytest.mark.parametrize("kind", ["encoder", "kbert"])
def test_encoders_are_held_to_their_files(encoder, tmp_path, whole, capsys, kind):
    from workbench.papers.kbert import KBert

    def read(folder):
        if kind == "kbert":
            return KBert(str(folder), labels=["no", "yes"]).module.base_model
        return load_encoder(str(folder)).module

    def states(module):
        with torch.no_grad():
            return module(torch.tensor([[101, 2000, 3000, 102]])).last_hidden_state

    from transformers import AutoModel

    wanted = states(AutoModel.from_pretrained(encoder).eval())
    capsys.readouterr()
    for tag, change, said in (
        ("same", dict, ""), ("with its name", as_bert, ""), ("old names", old_names, ""),
        ("prefixed", prefixed("module."), "as a wrapper does"), ("compiled", prefixed("_orig_mod."), "wrapper"),
        ("deeper", deeper, "holds 16 tensors that its Bert"),
    ):  # fmt: skip
        folder = changed(encoder, tmp_path / tag, change)
        torch.testing.assert_close(states(read(folder)), wanted, msg=tag)
        assert said in capsys.readouterr().err, tag
    for tag, change, said in (
        ("missing", without("layer.1.output"), r"encoder\.layer\.1\.output\.LayerNorm\.bias"),
        ("a norm", without("embeddings.LayerNorm"), r"embeddings\.LayerNorm"),
        ("half", lambda w: dict(list(w.items())[: len(w) // 2]), "lacks"),
        ("foreign", lambda w: load_file(whole("gpt2") / "model.safetensors"), r"lacks \d+ of its"),
        ("a nan", lambda w: w | {"encoder.layer.0.attention.self.query.bias": torch.full((32,), torch.nan)},
         r"not finite in .*encoder\.layer\.0"),
        ("whole numbers", lambda w: {key: (value * 99).int() for key, value in w.items()}, "as I32"),
        ("narrower", lambda w: w | {"encoder.layer.0.attention.self.query.weight": torch.ones(16, 32)},
         "has the shape 16 x 32 in the file and 32 x 32"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=said):
            read(changed(encoder, tmp_path / tag, change))


def test_an_encoder_whose_parts_are_missing(encoder, tmp_path):
    from sentence_transformers import SentenceTransformer, models

    parts = [models.Transformer(str(encoder)), models.Pooling(32), models.Dense(32, 16)]
    SentenceTransformer(modules=parts).save(str(tmp_path / "whole"))
    assert load_encoder(str(tmp_path / "whole")).embed(["a"]).shape == (1, 16)

    def harmed(tag, harm):
        folder = shutil.copytree(tmp_path / "whole", tmp_path / tag)
        harm(folder)
        return folder

    listed = json.loads((tmp_path / "whole" / "modules.json").read_text())
    for folder, said in (
        (harmed("weights", lambda f: next(f.glob("2_*/*.safetensors")).unlink()), "lacks the weights of its Dense"),
        (harmed("folder", lambda f: shutil.rmtree(f / "2_Dense")), r"lacks the config\.json of its Dense"),
        (harmed("pooling", lambda f: (f / "1_Pooling" / "config.json").unlink()), r"config\.json of its Pooling"),
        (harmed("headless", lambda f: (f / "modules.json").write_text(json.dumps(listed[1:]))), "begins with a Pool"),
    ):
        with pytest.raises(ModelError, match=said):
            load_encoder(str(folder))


# ---- adapters


def plain_lora(**options):
    from peft import LoraConfig

    return LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, **options)


ADAPTERS = {
    "lora": {"target_modules": ["q_proj", "down_proj"]},
    "dora": {"target_modules": ["q_proj", "down_proj"], "use_dora": True},
    "whole": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "ranks": {"target_modules": ["q_proj", "up_proj"], "rank_pattern": {"layers.1.mlp.up_proj": 2}},
}


@pytest.fixture(scope="module")
def adapter(whole, tmp_path_factory):
    """A function: the folder of an adapter of the tiny Llama, every number of it drawn."""
    folder = tmp_path_factory.mktemp("adapters")

    def make(kind):
        if not (folder / kind).exists():
            from peft import get_peft_model

            torch.manual_seed(3)
            module = get_peft_model(raw(whole()), plain_lora(**ADAPTERS[kind]))
            with torch.no_grad():
                for parameter in module.parameters():
                    if parameter.requires_grad:
                        parameter.add_(torch.randn_like(parameter) * 0.1)
            module.save_pretrained(folder / kind)
        return folder / kind

    return make


def rounded(weight, bits):
    """A matrix as bitsandbytes rounds it."""
    from bitsandbytes import functional

    if bits is None:
        return weight
    if bits == 4:
        packed, state = functional.quantize_4bit(weight.bfloat16(), quant_type="nf4", compress_statistics=True)
        return functional.dequantize_4bit(packed, state).float()
    scale = weight.half().float().abs().amax(1, keepdim=True) / 127
    return (weight.half().float() / scale).round() * scale


def by_hand(folder, adapter, bits):
    """The tiny Llama with rounded matrices and the adapter's formula worked into them: LoRA, DoRA, whole modules."""
    module, w = raw(folder), load_file(adapter / "adapter_model.safetensors")
    names = {key.removeprefix("base_model.model.") for key in w}
    for name, part in module.named_modules():
        if not isinstance(part, torch.nn.Linear) or name == "lm_head":
            continue
        new = rounded(part.weight.data, bits)
        if f"{name}.lora_A.weight" in names:
            a, b = (w[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
            new = new + b @ a * (8 / 4 if a.shape[0] == 4 else 8 / 2)
            if f"{name}.lora_magnitude_vector" in names:
                magnitude = w[f"base_model.model.{name}.lora_magnitude_vector"]
                new = new * (magnitude / new.norm(dim=1))[:, None]
        part.weight.data = new
    if "lm_head.weight" in names:
        module.lm_head.weight.data = w["base_model.model.lm_head.weight"]
    return module


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", ADAPTERS)
def test_adapters_on_whole_and_quantised_models(whole, adapter, kind, bits):
    model = load(str(whole()), bits=bits, adapter=adapter(kind))
    wanted = answer(by_hand(whole(), adapter(kind), bits))
    for _ in range(2):  # a second time: the first inference repacks 4-bit layers on some processors
        gap = float((answer(model.module) - wanted).abs().max() / wanted.std())
        assert gap < {None: 1e-4, 4: 0.35, 8: 0.5}[bits], gap
    report = model.report
    assert report.adapter == str(adapter(kind)) and len(report.quantised) == (28 if bits else 0)
    assert report.skipped[-1:] == ["lm_head"] and not any("lora" in name for name in report.skipped)
    assert not report.notes, report.notes
    plain = answer(load(str(whole()), bits=bits).module)
    assert float((plain - wanted).abs().max() / wanted.std()) > 1


@pytest.mark.parametrize("bits", BITS)
def test_adapters_that_do_not_fit_are_refused(whole, adapter, tmp_path, bits):
    def harmed(tag, change, kind="lora"):
        return changed(adapter(kind), tmp_path / tag, change, "adapter_model.safetensors")

    def elsewhere(w):
        return {key.replace("base_model.model.model.", "base_model.model.transformer."): v for key, v in w.items()}

    def deeper(w):
        return one_layer_more(w)

    wide = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    for folder, said in (
        (harmed("half", lambda w: dict(list(w.items())[::2])), r"lacks 8 of the 16 weights"),
        (harmed("missing", without("layers.1.")), r"lacks 4 of the 16 weights"),
        (harmed("other", elsewhere), r"its own names are like base_model\.model\.transformer\."),
        (harmed("prefixed", prefixed("module.")), r"its own names are like module\.base_model"),
        (harmed("empty", lambda w: {"x": torch.ones(1)}), "lacks 16 of the 16"),
        (harmed("deeper", deeper), r"holds 4 weights for which .* has no layer .*layers\.4\."),
        (harmed("wide", lambda w: w | {wide: torch.ones(4, 48)}), "(shapes differ|has the shape)"),
        (harmed("dora", without("magnitude"), "dora"), "lacks 8 of the 24"),
        (harmed("whole", without("lm_head"), "whole"), "lm_head"),
    ):
        with pytest.raises(ModelError, match=said):
            load(str(whole()), bits=bits, adapter=folder)
    with pytest.raises(ModelError, match=r"(lacks|not found|none of the layers|no layer)"):
        load(str(whole("gpt2")), bits=bits, adapter=adapter("lora"))


KINDS = {  # beside LoRA: (peft's config, its options, what it is refused for at some bits)
    "ia3": ("IA3Config", {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}, (4, 8)),
    "lokr": ("LoKrConfig", {"target_modules": ["q_proj"]}, (4,)),
    "loha": ("LoHaConfig", {"target_modules": ["q_proj"]}, (4,)),
    "prompt": ("PromptTuningConfig", {"num_virtual_tokens": 4}, BITS),
    "prefix": ("PrefixTuningConfig", {"num_virtual_tokens": 4}, BITS),
    "layers": ("LoraConfig", {"target_modules": ["q_proj"], "layers_to_transform": [1]}, ()),
    "root": ("LoraConfig", {"target_modules": ["q_proj"], "use_rslora": True, "alpha_pattern": {"q_proj": 3}}, ()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_adapters_are_read_or_refused(whole, tmp_path, kind):
    import peft

    config, options, refused = KINDS[kind]
    torch.manual_seed(3)
    wrapped = peft.get_peft_model(raw(whole()), getattr(peft, config)(task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    wrapped.save_pretrained(tmp_path / "x")
    for bits in BITS:
        if bits in refused:
            with pytest.raises(ModelError, match=r"which (puts trained states|the installed peft cannot compute)"):
                load(str(whole()), bits=bits, adapter=tmp_path / "x")
        else:
            assert close(answer(load(str(whole()), bits=bits, adapter=tmp_path / "x").module),
                         answer(wrapped.eval()), bits)  # fmt: skip


def test_damaged_adapters_are_named(whole, adapter, tmp_path):
    def holed(w):
        next(iter(w.values()))[0, 0] = float("nan")
        return w

    for tag, change, said in (("holed", holed, "not finite in"),
                              ("whole", lambda w: {key: v.int() for key, v in w.items()}, "as I32")):  # fmt: skip
        folder = changed(adapter("lora"), tmp_path / tag, change, "adapter_model.safetensors")
        with pytest.raises(ModelError, match=said):
            load(str(whole()), adapter=folder)
    folder = shutil.copytree(adapter("lora"), tmp_path / "kind")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "NEWER"}))
    with pytest.raises(ModelError, match=r"'NEWER' by its .* which the installed peft does not know"):
        load(str(whole()), adapter=folder)


def test_an_adapter_of_another_base_is_said(whole, adapter, tmp_path):
    folder = shutil.copytree(adapter("lora"), tmp_path / "x")
    config = json.loads((folder / "adapter_config.json").read_text())
    moved = shutil.copytree(whole(), tmp_path / "moved")
    assert load(str(moved), adapter=folder).report.notes == []  # the same content elsewhere is the same base
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "Org/other-7B"}))
    for strict in (False, True):
        notes = load(str(whole()), adapter=folder, strict=strict).report.notes
        assert notes and "was made for Org/other-7B, which may be another model" in notes[0]


def test_added_tokens_are_counted_on_both_sides(whole, tmp_path):
    from peft import get_peft_model

    larger = raw(whole())
    larger.resize_token_embeddings(330)
    wrapped = get_peft_model(larger, plain_lora(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"]))
    wrapped.save_pretrained(tmp_path / "adapter")
    for bits in BITS:
        with pytest.raises(ModelError, match=r"has 330 rows in .* and .* has 320: tokens were added"):
            load(str(whole()), bits=bits, adapter=tmp_path / "adapter")


def test_a_model_folder_with_an_adapter_in_it_is_refused(whole, adapter, encoder, tmp_path):
    from workbench.papers.kbert import KBert

    for source, read in ((whole(), load), (encoder, load_encoder), (encoder, lambda f: KBert(f, labels=["a", "b"]))):
        folder = shutil.copytree(source, tmp_path / "both", dirs_exist_ok=False)
        for file in adapter("lora").iterdir():
            shutil.copy(file, folder / file.name)
        with pytest.raises(ModelError, match=r"holds an adapter .* among the files of a model"):
            read(str(folder))
        shutil.rmtree(folder)


# ---- architectures


def test_no_architecture_is_refused_by_mistake(whole):
    """A few of each kind here (tied, renamed, joined, buffers, shared layers); the whole zoo in the slow tier."""
    _all_load(("gpt_neox", "qwen2_moe", "zamba2", "deepseek_v3", "mamba2", "bert-decoder"), whole, BITS)


@pytest.mark.slow
def test_no_architecture_of_the_zoo_is_refused_by_mistake(whole):
    _all_load(ARCHITECTURES, whole, BITS)


def _all_load(names, whole, widths):
    for name in names:
        folder = Path(whole(name))
        total = sum(value.numel() for value in load_file(folder / "model.safetensors").values())
        for bits in widths:
            report = load(str(folder), bits=bits).report
            assert report.parameters == total, name
            assert not [note for note in report.notes if "holds" in note or "lacks" in note], (name, report.notes)
