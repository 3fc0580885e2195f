"""A GGUF file as float32 safetensors with its tokenizer: what transformers and bitsandbytes read."""

import re
import shutil
from pathlib import Path

from ...errors import ModelError
from ...files import sha256_file
from .sources import Outline


def unpack(found: Outline, folder: Path, fall_back) -> None:
    """Write the model in a GGUF file into ``folder``; ``fall_back`` is told what transformers leaves unread.

    Raises
    ------
    ModelError
        The parts do not make the file they should, or the file lacks weights of its architecture.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file, joined = found.source.path, None
    if found.source.parts:
        joined = folder / "joined.gguf"
        with open(joined, "wb") as whole:
            for part in found.source.parts:
                with open(part, "rb") as piece:
                    shutil.copyfileobj(piece, whole, 2**24)
        if sha256_file(joined) != found.source.sha256:
            raise ModelError(f"the parts of {found.name} do not make the file they should: reinstall its packages")
        file = joined
    options = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **options)
    try:  # with the package `kernels` installed, transformers would leave the weights packed and fetch an attention
        from transformers import GgufConfig

        options["quantization_config"] = GgufConfig(dequantize=True)
    except ImportError:
        options.pop("quantization_config", None)  # an older transformers, which always unpacks
    module, told = AutoModelForCausalLM.from_pretrained(
        file.parent, dtype=torch.float32, output_loading_info=True, **options
    )
    _verify(found, module, told, fall_back)
    # transformers takes unpacked GGUF weights for quantised ones and refuses to save them: they are plain by now
    module.hf_quantizer, module.is_quantized = None, False
    if hasattr(module.config, "quantization_config"):
        del module.config.quantization_config
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if joined is not None:
        joined.unlink()


def _verify(found: Outline, module, told: dict, fall_back) -> None:
    """Refuse a model with weights that the file has not; say which of the file's tensors nothing reads.

    A tensor that transformers has no name for is passed over without a word, so the numbers are counted as well.
    """
    from ..weights import lacks, some

    missing = [key for key in told.get("missing_keys", ())] + [key for key, *_ in told.get("mismatched_keys", ())]
    total = len(list(module.named_parameters()))
    if missing:
        raise lacks(found.name, missing, total)
    tensors = found.header.tensors
    layers = found.config.num_hidden_layers
    block = {key: int(number[1]) for key in tensors if (number := re.match(r"blk\.(\d+)\.", key))}
    unread = sorted(key for key in tensors if block.get(key, -1) >= layers)
    unread += sorted(key for key in tensors if key.startswith("rope_"))
    counted = sum(parameter.numel() for parameter in module.parameters())
    if found.header.parameters > counted and not unread:
        unread = ["none that could be named here"]
    if unread:
        fall_back(f"{found.name} holds tensors that its architecture does not use {some(unread)}")
