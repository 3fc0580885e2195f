"""Reading the headers of weight files: how many parameters, how many bytes, of what kind. Nothing but the header is
read.

Formats: GGUF version 2 and 3 (the specification in ggml's docs/gguf.md), safetensors (an 8-byte length and JSON).
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ..errors import ModelError

# GGUF's metadata types by number: struct letters; 8 is a string, 9 an array
_GGUF_TYPES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SAFE_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}


@dataclass(frozen=True)
class Header:
    """Parameters in all tensors, the bytes of the file(s), the commonest float type, and GGUF's metadata."""

    parameters: int
    bytes: int
    dtype: str
    metadata: dict


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
            parameters, end = 0, 0
            for _ in range(tensors):
                text()
                parameters += prod(take("Q") for _ in range(take("I")))
                take("I")
                end = max(end, take("Q"))
            if file.tell() + end >= size or tensors == 0:
                raise ValueError("cut short")
        except (struct.error, ValueError, KeyError, MemoryError, OverflowError) as error:
            raise broken from error
    # of the vocabulary's long lists only the length is of use
    short = {k: len(v) if isinstance(v, list) and len(v) > 1024 else v for k, v in metadata.items()}
    return Header(parameters, size, "gguf", short)


def read_safetensors(files: Sequence[Path]) -> Header:
    """The headers of safetensors files, added up.

    Raises
    ------
    ModelError
        A file is cut short or is no safetensors file.
    """
    parameters, size, kinds = 0, 0, {}
    for path in files:
        total = path.stat().st_size
        try:
            with open(path, "rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                if length > total:
                    raise ValueError("header longer than the file")
                header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
            if 8 + length + end != total:
                raise ValueError(f"{total} bytes where {8 + length + end} belong")
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{path} is not a whole safetensors file (cut short or damaged): fetch or save it again"
            ) from error
        for tensor in header.values():
            count = prod(tensor["shape"])
            parameters += count
            kinds[tensor["dtype"]] = kinds.get(tensor["dtype"], 0) + count
        size += total
    floats = {kind: count for kind, count in kinds.items() if "F" in kind}
    common = max(floats or kinds or {"F32": 0}, key=(floats or kinds or {"F32": 0}).get)
    return Header(parameters, size, common, {})


def dtype_bytes(kind: str) -> int:
    """Bytes of one value of a safetensors type."""
    return _SAFE_BYTES.get(kind, 1)
