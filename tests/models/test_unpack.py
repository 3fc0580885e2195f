"""A GGUF file unpacked for torch: the same bytes that transformers writes, each type of block as gguf's own Python.

Oracles: transformers loading the file by itself and saving its module; `gguf.dequantize` (numpy).
"""

import filecmp
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from zoo import tiny_gguf

from workbench import load
from workbench.models.files.cache import entries
from workbench.models.files.names import resolve

KINDS = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
SLOWER = "is unpacked by transformers, which takes longer"


def unpacked(name: str) -> Path:
    """The folder that loading ``name`` has left in the cache."""
    report = load(name).report
    return next(one.path for one in entries() if one.settings["content"] == report.sha256)


def by_transformers(file: Path, folder: Path) -> Path:
    """The same, by transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"gguf_file": file.name, "local_files_only": True}
    try:
        from transformers import GgufConfig

        how = {"quantization_config": GgufConfig(dequantize=True)}
    except ImportError:
        how = {}
    module = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **options, **how)
    module.hf_quantizer, module.is_quantized = None, False
    if hasattr(module.config, "quantization_config"):
        del module.config.quantization_config
    module.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, **options).save_pretrained(folder)
    return folder


def same_files(ours: Path, theirs: Path) -> None:
    names = sorted(path.name for path in theirs.iterdir())
    assert "model.safetensors" in names and "tokenizer.json" in names
    assert sorted({path.name for path in ours.iterdir()} - {"entry.json", "notes.json"}) == names
    assert filecmp.cmpfiles(ours, theirs, names, shallow=False) == (names, [], [])


@pytest.mark.parametrize(
    "arch, tied",
    [("llama", False), ("llama", True), ("qwen2", False), ("qwen2", True), ("qwen3", False), ("gemma3", True)],
)
def test_the_files_are_those_of_transformers_to_the_byte(own_cache, tmp_path, arch, tied):
    width = 512 if arch == "qwen3" else 64  # transformers takes Qwen3's heads to be 128 wide
    file = tiny_gguf(tmp_path / "x.gguf", arch=arch, tied=tied, width=width, kinds=["Q8_0", "F32", "Q4_1", "F16"])
    same_files(unpacked(str(file)), by_transformers(file, tmp_path / "theirs"))
    assert not any(SLOWER in note for note in load(str(file)).report.notes)


@pytest.mark.slow
def test_smollm2_to_the_byte(own_cache, tmp_path):
    same_files(unpacked("smollm2"), by_transformers(resolve("smollm2").path, tmp_path / "theirs"))


@pytest.mark.slow
def test_gemma_to_the_byte(gemma_installed, own_cache, tmp_path):
    with open(tmp_path / "gemma.gguf", "wb") as whole:
        for part in resolve("gemma3-270m").parts:
            whole.write(part.read_bytes())
    same_files(unpacked("gemma3-270m"), by_transformers(tmp_path / "gemma.gguf", tmp_path / "theirs"))


def test_each_type_of_block_is_read_as_gguf_reads_it(own_cache, tmp_path):
    file = tiny_gguf(
        tmp_path / "x.gguf", arch="qwen2", width=256, kinds=KINDS
    )  # qwen2: nothing is put in another order
    module = load(str(file)).module
    weights, seen = dict(module.named_parameters()), set()
    places = {"token_embd": "model.embed_tokens", "output": "lm_head", "attn_q": "self_attn.q_proj",
              "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
              "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}  # fmt: skip
    for tensor in gguf.GGUFReader(file).tensors:
        if len(tensor.shape) == 1:
            continue
        *block, part, end = tensor.name.split(".")
        key = ".".join([*(["model.layers", block[1]] if block else []), places[part], end])
        wanted = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(weights[key].detach().numpy(), wanted), tensor.name
        seen.add(tensor.tensor_type.name)
    assert seen == set(KINDS)


def test_what_is_not_known_here_is_left_to_transformers_and_said(own_cache, tmp_path, capsys):
    kind = tiny_gguf(tmp_path / "kind.gguf", kinds=["F32", "IQ4_NL"])
    arch = tiny_gguf(tmp_path / "arch.gguf", arch="gemma2", tied=True, kinds=["Q8_0"])
    for file, why in ((kind, "blocks of type 20"), (arch, "gemma2")):
        report = load(str(file), strict=True).report  # slower is no fault
        assert any(SLOWER in note and why in note for note in report.notes), report.notes
        assert SLOWER in capsys.readouterr().err
        same_files(unpacked(str(file)), by_transformers(file, tmp_path / f"of {file.name}"))
