"""Reading the headers of weight files: how many parameters, how many bytes, of what kind. Nothing but the header is
read.

Formats: GGUF version 2 and 3 (the specification in ggml's docs/gguf.md), safetensors (an 8-byte length and JSON).
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from ...errors import ModelError

# GGUF's metadata types by number: struct letters; 8 is a string, 9 an array
_GGUF_TYPES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
DEEP = 64  # levels of brackets in a model's JSON
_SAFE_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}


@dataclass(frozen=True)
class Tensor:
    """One tensor as its file's header describes it."""

    dtype: str
    shape: tuple[int, ...]
    file: Path


@dataclass(frozen=True)
class Header:
    """Parameters in all tensors, bytes of the file(s), the commonest float type, GGUF's metadata, and the tensors."""

    parameters: int
    bytes: int
    dtype: str
    metadata: dict
    tensors: dict[str, Tensor] = field(default_factory=dict, repr=False)


def read_gguf(parts: Sequence[Path], name: str) -> Header:
    """The header of a GGUF file, or of one cut into parts (the header must lie in the first).

    Raises
    ------
    ModelError
        The file is no GGUF file, or shorter than its header says.
    """
    broken = ModelError(f"{name}: {parts[0]} is not a whole GGUF file (cut short or damaged): fetch it again")
    size = sum(part.stat().st_size for part in parts)
    with open(parts[0], "rb") as file:

        def take(letters: str):
            data = file.read(struct.calcsize("<" + letters))
            return struct.unpack("<" + letters, data)[0]

        def text() -> str:
            length = take("Q")
            if length > size:
                raise ValueError("a text longer than the file")
            return file.read(length).decode("utf-8", "replace")

        def value(kind: int):
            if kind == 8:
                return text()
            if kind != 9:
                return take(_GGUF_TYPES[kind])
            inner, count = take("I"), take("Q")
            if count > size:
                raise ValueError("a list longer than the file")
            if inner in _GGUF_TYPES and inner != 9:
                letters = _GGUF_TYPES[inner] * count
                return list(struct.unpack("<" + letters, file.read(struct.calcsize("<" + letters))))
            return [value(inner) for _ in range(count)]

        try:
            if file.read(4) != b"GGUF" or take("I") not in (2, 3):
                raise ValueError("no GGUF")
            tensors, pairs = take("Q"), take("Q")
            metadata = {}
            for _ in range(pairs):
                key = text()
                metadata[key] = value(take("I"))
            end, found = 0, {}
            for _ in range(tensors):
                key = text()
                shape = tuple(take("Q") for _ in range(take("I")))
                found[key] = Tensor(f"gguf {take('I')}", shape, parts[0])
                end = max(end, take("Q"))
            parameters = sum(prod(tensor.shape) for tensor in found.values())
            if file.tell() + end >= size or tensors == 0:
                raise ValueError("cut short")
        except (struct.error, ValueError, KeyError, MemoryError, OverflowError, RecursionError) as error:
            raise broken from error
    # of the vocabulary's long lists only the length is of use
    short = {k: len(v) if isinstance(v, list) and len(v) > 1024 else v for k, v in metadata.items()}
    return Header(parameters, size, "gguf", short, found)


def read_safetensors(files: Sequence[Path]) -> Header:
    """The headers of safetensors files, added up.

    Raises
    ------
    ModelError
        A file is cut short or is no safetensors file.
    """
    size, kinds, found = 0, {}, {}
    for path in files:
        total = path.stat().st_size
        try:
            with open(path, "rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                if length > total:
                    raise ValueError("header longer than the file")
                header = parse_json(file.read(length))
            header.pop("__metadata__", None)
            end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
            if 8 + length + end != total:
                raise ValueError(f"{total} bytes where {8 + length + end} belong")
            here = {key: Tensor(one["dtype"], tuple(one["shape"]), path) for key, one in header.items()}
            counts = [(tensor.dtype, prod(tensor.shape)) for tensor in here.values()]
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{path} is not a whole safetensors file (cut short or damaged): fetch or save it again"
            ) from error
        if twice := sorted(found.keys() & here.keys()):
            raise ModelError(f"{path} and {found[twice[0]].file.name} both hold {twice[0]}: keep the right one of them")
        found |= here
        for kind, count in counts:
            kinds[kind] = kinds.get(kind, 0) + count
        size += total
    floats = {kind: count for kind, count in kinds.items() if "F" in kind}
    common = max(floats or kinds or {"F32": 0}, key=(floats or kinds or {"F32": 0}).get)
    return Header(sum(kinds.values()), size, common, {}, found)


def parse_json(text: str | bytes):
    """`json.loads` that takes no more than `DEEP` levels of brackets (a library that copies them would overflow).

    Raises
    ------
    ValueError
        No JSON, or brackets in brackets in brackets.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("its brackets are nested too deeply") from error
    level = [value]
    for _ in range(DEEP):
        level = [
            inner for one in level if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]  # fmt: skip
        if not level:
            return value
    raise ValueError("its brackets are nested too deeply")


def dtype_bytes(kind: str) -> int:
    """Bytes of one value of a safetensors type."""
    return _SAFE_BYTES.get(kind, 1)
