"""Training on 4-bit and 8-bit models: gradients after an inference, whoever put the adapters on; and the kernel guard.

The oracle of a gradient is the model that has not been used yet, or its matrices written out as plain ones.
"""

import copy
import io
import subprocess
import sys

import pytest
import torch
from zoo import V, tokenizer

from workbench import load

pytestmark = pytest.mark.usefixtures("own_cache")
IDS = torch.tensor([[5, 9, 40, 77, 130, 200, 31, 8]])


@pytest.fixture(scope="module")
def folder(zoo):
    return str(zoo("llama"))


def with_lora(module, **options):
    import peft

    torch.manual_seed(0)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, **options)
    return peft.get_peft_model(module, settings)


def gradient(module):
    module.zero_grad()
    module(input_ids=IDS, labels=IDS).loss.backward()
    asked = [parameter for parameter in module.parameters() if parameter.requires_grad]
    assert asked and all(parameter.grad is not None for parameter in asked)
    return torch.cat([parameter.grad.flatten().float() for parameter in asked])


def used(model):
    """The model, after it has been read without gradients."""
    model.generate(["abc"], max_new_tokens=2)
    model.logprobs(["abc"], [["d", "e"]])
    return model.module


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"bias": "all"}], ids=["lora", "dora", "biases"])
@pytest.mark.parametrize("bits", [4])  # of 8 bits bitsandbytes has no gradient on a CPU in eval mode, and says so
def test_a_gradient_after_an_inference_is_the_one_before(folder, bits, options):
    fresh = with_lora(load(folder, bits=bits).module, **options).train()
    later = with_lora(used(load(folder, bits=bits)), **options).train()
    right = gradient(fresh)
    assert right.norm() > 0 and torch.equal(gradient(later), right)
    used_again = load(folder, bits=bits)
    later = with_lora(used_again.module, **options)
    used(used_again)  # with the adapters on
    assert torch.equal(gradient(later.train()), right)
    assert cosine(gradient(later.eval()), right) > 0.98  # without .train(), as wb.load gives a model
    reference = with_lora(plain(load(folder, bits=bits).module), **options)
    assert cosine(gradient(reference), right) > 0.98


def plain(module):
    """The same model with its quantised matrices as ordinary float32 ones."""
    import bitsandbytes as bnb

    for name, part in list(module.named_modules()):
        if isinstance(part, bnb.nn.Linear4bit):
            weight = bnb.functional.dequantize_4bit(part.weight.data, part.weight.quant_state)
        elif isinstance(part, bnb.nn.Linear8bitLt):
            weight = part.weight.data.float() * part.weight.SCB[:, None] / 127
        else:
            continue
        new = torch.nn.Linear(part.in_features, part.out_features, bias=False)
        new.weight = torch.nn.Parameter(weight.float(), requires_grad=False)
        module.set_submodule(name, new)
    return torch.nn.Module.float(module)  # (transformers refuses on a model that was quantised)


def test_five_steps_of_training_do_not_depend_on_what_was_asked_before(folder):
    def losses(module):
        module = with_lora(module).train()
        optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-2)
        found = []
        for _ in range(5):
            loss = module(input_ids=IDS, labels=IDS).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(float(loss.detach()))
        return found

    fresh, later = losses(load(folder, bits=4).module), losses(used(load(folder, bits=4)))
    assert fresh == later and fresh[-1] < fresh[0] - 0.5


def test_a_layer_of_the_users_own_has_its_derivative():
    import bitsandbytes as bnb

    torch.manual_seed(0)
    linear = torch.nn.Linear(128, 64)
    layer = bnb.nn.Linear4bit(128, 64, compute_dtype=torch.bfloat16, quant_type="nf4", compress_statistics=True)
    layer.load_state_dict(linear.state_dict())
    layer = layer.to("cpu").eval()
    weight = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    x = torch.randn(3, 128)
    with torch.inference_mode():
        plain = layer(x)
    asked = x.clone().requires_grad_()
    out = layer(asked)
    out.sum().backward()
    assert torch.equal(out.detach(), plain), "a gradient changes no value"
    torch.testing.assert_close(plain, torch.nn.functional.linear(x, weight, linear.bias), atol=0.05, rtol=0.05)
    torch.testing.assert_close(asked.grad, weight.sum(0).expand(3, -1), atol=0.05, rtol=0.05)
    read = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)  # as DoRA and merging do
    assert torch.equal(read.float(), weight)
    saved = io.BytesIO()
    torch.save(copy.deepcopy(layer).state_dict(), saved)
    assert saved.tell() > 0 and all(
        torch.equal(value, before[key]) for key, value in layer.state_dict().items() if key != "bias"
    )
    odd = bnb.nn.Linear4bit(100, 7, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4").to("cpu").eval()
    with torch.no_grad():
        assert odd(torch.randn(2, 100)).shape == (2, 7)


def test_merging_an_adapter_after_an_inference(folder):
    model = load(folder, bits=4)
    wrapped = with_lora(model.module)
    with torch.no_grad():
        wrapped.eval()
        wanted = wrapped(IDS).logits
        merged = wrapped.merge_and_unload()(IDS).logits
    assert float((merged - wanted).abs().max() / wanted.std()) < 2  # quantised again: not far from what it was


def test_layers_that_the_cpu_kernel_cannot_take_stay_whole_and_are_named(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=V, hidden_size=64, intermediate_size=100, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=1, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    module = LlamaForCausalLM(config).eval()
    module.save_pretrained(tmp_path)
    tokenizer(tmp_path)
    model = load(str(tmp_path), bits=4)
    for block in "01":  # 100 is no multiple of 64 or 32, 16 rows of k and v are too few
        names = {f"model.layers.{block}.mlp.{kind}_proj" for kind in ("gate", "up", "down")}
        names |= {f"model.layers.{block}.self_attn.{kind}_proj" for kind in "kv"}
        assert names <= set(model.report.skipped)
    assert len(model.report.quantised) == 4 and "lm_head" in model.report.skipped
    with torch.no_grad():
        ours, wanted = model.module(IDS).logits.float(), module(IDS).logits
    assert 0 < float((ours - wanted).abs().max() / wanted.std()) < 1
    assert gradient(with_lora(used(model)).train()).norm() > 0


def test_a_gate_of_one_row_is_named(zoo):
    report = load(str(zoo("qwen2_moe")), bits=4).report
    assert "model.layers.0.mlp.shared_expert_gate" in report.skipped
    assert "model.layers.0.mlp.experts.gate_up_proj" in report.skipped  # in one piece: bitsandbytes leaves it


GUARD = """
import importlib.machinery, sys, types
asked = []
kernels = types.ModuleType("kernels")
def get_kernel(name, **options):
    asked.append(name)
    raise OSError("no network")
kernels.get_kernel = get_kernel
kernels.__spec__ = importlib.machinery.ModuleSpec("kernels", None)
sys.modules["kernels"] = kernels
import workbench
{line}
import bitsandbytes.backends.cpu.ops
assert not asked, asked
assert sys.modules["kernels"] is kernels
"""


@pytest.mark.parametrize(
    "line",
    ["from transformers import Trainer", "import peft", "import sentence_transformers", "import bitsandbytes.nn"],
)
def test_no_import_lets_bitsandbytes_ask_the_hub(line):
    """A stand-in for the package ``kernels`` counts who asks; the libraries are the real ones."""
    done = subprocess.run([sys.executable, "-c", GUARD.format(line=line)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "gemm_4bit_forward" not in done.stderr
