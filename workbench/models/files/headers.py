"""Reading the headers of weight files: how many parameters, how many bytes, of what kind. Nothing but the header is
read.

Formats: GGUF version 2 and 3 (the specification in ggml's docs/gguf.md), safetensors (an 8-byte length and JSON).
"""

import json
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Gguf:
    """What stands before the weights of a GGUF file.

    ``fields`` are (kind, kind of a list's entries or None, value) by name; a text is bytes. ``start`` is where the
    weights begin, and a tensor's place counts from there.
    """

    fields: dict[str, tuple[int, int | None, Any]]
    tensors: dict[str, tuple[int, tuple[int, ...], int]]  # kind, shape as the file has it (fastest first), place
    start: int


def parse_gguf(data) -> Gguf:
    """Read the beginning of a GGUF file from a buffer (bytes, a memory map) that holds all of it.

    Raises
    ------
    ValueError, struct.error, LookupError, OverflowError, MemoryError, RecursionError
        It is no GGUF file, or its beginning does not fit into it.
    """
    at, size = 0, len(data)

    def take(letters: str):
        nonlocal at
        found = struct.unpack_from("<" + letters, data, at)
        at += struct.calcsize("<" + letters)
        return found

    def texts(count: int) -> list[bytes]:
        nonlocal at
        length, found = struct.Struct("<Q").unpack_from, []
        for _ in range(count):
            end = at + 8 + length(data, at)[0]
            found.append(data[at + 8 : end])
            at = end
        if at > size:
            raise ValueError("a text longer than the file")
        return found

    def value(kind: int):
        if kind == 8:
            return None, texts(1)[0]
        if kind != 9:
            return None, take(_GGUF_TYPES[kind])[0]
        inner, count = take("IQ")
        if count > size:
            raise ValueError("a list longer than the file")
        if inner in _GGUF_TYPES:
            return inner, list(take(_GGUF_TYPES[inner] * count))
        return inner, texts(count) if inner == 8 else [value(inner)[1] for _ in range(count)]

    if data[:4] != b"GGUF":
        raise ValueError("no GGUF")
    at = 4
    version, tensors, pairs = take("IQQ")
    if version not in (2, 3):
        raise ValueError("another version")
    fields, found = {}, {}
    for _ in range(pairs):
        key = texts(1)[0].decode("utf-8", "replace")
        (kind,) = take("I")
        fields.setdefault(key, (kind, *value(kind)))  # the first of two, as ggml's own reader has it
    for _ in range(tensors):
        key = texts(1)[0].decode("utf-8", "replace")
        shape = take(f"{take('I')[0]}Q")
        if key in found:
            raise ValueError("two tensors of one name")
        kind, place = take("IQ")
        found[key] = (kind, shape, place)
    step = fields.get("general.alignment", (4, None, 32))[2]
    return Gguf(fields, found, -(-at // step) * step)


def read_gguf(parts: Sequence[Path], name: str) -> Header:
    """The header of a GGUF file, or of one cut into parts (the header must lie in the first).

    Raises
    ------
    ModelError
        The file is no GGUF file, or shorter than its header says.
    """
    size = sum(part.stat().st_size for part in parts)
    try:
        with open(parts[0], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = parse_gguf(data)
        end = max(place for _, _, place in found.tensors.values())  # ValueError where there is no tensor
        if found.start + end >= size:
            raise ValueError("cut short")
        tensors = {key: Tensor(f"gguf {kind}", shape, parts[0]) for key, (kind, shape, _) in found.tensors.items()}
        parameters = sum(prod(tensor.shape) for tensor in tensors.values())
        metadata = {key: _short(kind, inner, value) for key, (kind, inner, value) in found.fields.items()}
    except (struct.error, ValueError, KeyError, TypeError, MemoryError, OverflowError, ArithmeticError,
            RecursionError) as error:  # fmt: skip
        raise ModelError(
            f"{name}: {parts[0]} is not a whole GGUF file (cut short or damaged): fetch it again"
        ) from error
    return Header(parameters, size, "gguf", metadata, tensors)


def _short(kind: int, inner: int | None, value):
    """A field's value; of the vocabulary's long lists only the length is of use."""
    if kind == 8:
        return value.decode("utf-8", "replace")
    if not isinstance(value, list):
        return value
    if len(value) > 1024:
        return len(value)
    return [one.decode("utf-8", "replace") for one in value] if inner == 8 else value


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
