"""The block formats of GGUF, to float32 in torch.

A row of weights is cut into blocks that share scales; each type below has its layout in a comment (ggml's
``ggml-common.h``). Products and sums stand in the order in which ggml's own Python does them, so the results agree to
the last bit.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# type number -> (its name, values a block, bytes a block)
LAYOUTS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
}  # fmt: skip


def dequantised(data: Tensor, kind: int) -> Tensor:
    """The values in whole blocks.

    Parameters
    ----------
    data
        (bytes,) uint8: whole blocks, one after the other.
    kind
        GGUF's number of the type, a key of `LAYOUTS`.

    Returns
    -------
    (values,) float32.
    """
    _, values, size = LAYOUTS[kind]
    if values == 1:
        return data.view({0: torch.float32, 1: torch.float16, 30: torch.bfloat16}[kind]).float()
    blocks = data.view(-1, size)  # (n, bytes)
    out = torch.empty(len(blocks), values)
    _INTO[kind](blocks, out)
    return out.view(-1)


def _half(blocks: Tensor, at: int) -> Tensor:
    """(n, 1) float32: the float16 at a byte of every block."""
    return blocks[:, at : at + 2].contiguous().view(torch.float16).float()


def _nibbles(packed: Tensor, out: Tensor) -> None:
    """Low halves of (n, m) bytes into the first m columns of ``out``, high halves into the next m."""
    half = packed.shape[-1]
    out[..., :half] = packed & 15
    out[..., half:] = packed >> 4


def _fifth(blocks: Tensor, at: int, out: Tensor) -> None:
    """Add 16 to those of 32 values whose bit is set in the four bytes at ``at``."""
    bits = blocks[:, at : at + 4].unsqueeze(-1) >> torch.arange(8, dtype=torch.uint8)  # (n, 4, 8)
    out += ((bits & 1) << 4).view(-1, 32)


def _q4_0(blocks: Tensor, out: Tensor) -> None:  # half d, 16 bytes: d (q - 8)
    _nibbles(blocks[:, 2:], out)
    out.sub_(8).mul_(_half(blocks, 0))


def _q4_1(blocks: Tensor, out: Tensor) -> None:  # half d, half m, 16 bytes: d q + m
    _nibbles(blocks[:, 4:], out)
    out.mul_(_half(blocks, 0)).add_(_half(blocks, 2))


def _q5_0(blocks: Tensor, out: Tensor) -> None:  # half d, 4 bytes of fifth bits, 16 bytes: d (q - 16)
    _nibbles(blocks[:, 6:], out)
    _fifth(blocks, 2, out)
    out.sub_(16).mul_(_half(blocks, 0))


def _q5_1(blocks: Tensor, out: Tensor) -> None:  # half d, half m, 4 bytes of fifth bits, 16 bytes: d q + m
    _nibbles(blocks[:, 8:], out)
    _fifth(blocks, 4, out)
    out.mul_(_half(blocks, 0)).add_(_half(blocks, 2))


def _q8_0(blocks: Tensor, out: Tensor) -> None:  # half d, 32 signed bytes: d q
    out.copy_(blocks[:, 2:].view(torch.int8))
    out.mul_(_half(blocks, 0))


def _scales(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Two (n, 8, 1) of the K types: d times the 6-bit scales, dmin times the 6-bit minima.

    A block begins with half d, half dmin and 12 bytes. Bytes 0-3 hold scales 0-3 in their low six bits, 4-7 the minima
    likewise; 8-11 the low halves of scales 4-7 and of minima 4-7, whose two high bits are those of bytes 0-3 and 4-7.
    """
    first, second, third = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scale = torch.cat([first & 63, (third & 15) | ((first >> 2) & 48)], 1)
    least = torch.cat([second & 63, (third >> 4) | ((second >> 2) & 48)], 1)
    return (_half(blocks, 0) * scale.float()).unsqueeze(-1), (_half(blocks, 2) * least.float()).unsqueeze(-1)


def _q4_k(blocks: Tensor, out: Tensor) -> None:  # the scales, 128 bytes: 8 groups of 32, d q - dmin
    scale, least = _scales(blocks)
    _nibbles(blocks[:, 16:].view(-1, 4, 32), out.view(-1, 4, 64))
    out.view(-1, 8, 32).mul_(scale).sub_(least)


def _q5_k(blocks: Tensor, out: Tensor) -> None:  # the scales, 32 bytes of fifth bits, 128 bytes: as Q4_K
    scale, least = _scales(blocks)
    groups, bits = out.view(-1, 8, 32), blocks[:, 16:48]
    _nibbles(blocks[:, 48:].view(-1, 4, 32), out.view(-1, 4, 64))
    for group in range(8):
        groups[:, group] += (bits >> group & 1) << 4
    groups.mul_(scale).sub_(least)


def _q6_k(blocks: Tensor, out: Tensor) -> None:  # 128 bytes low, 64 high, 16 signed scales, half d: d s (q - 32)
    low, high = blocks[:, :128].view(-1, 2, 64), blocks[:, 128:192].view(-1, 2, 32)
    halves = out.view(-1, 2, 128)
    _nibbles(low, halves)
    for group in range(4):
        halves[:, :, 32 * group : 32 * group + 32] += (high >> 2 * group & 3) << 4
    scale = _half(blocks, 208) * blocks[:, 192:208].view(torch.int8).float()
    out.sub_(32).view(-1, 16, 16).mul_(scale.unsqueeze(-1))


_INTO: dict[int, Callable[[Tensor, Tensor], None]] = {
    2: _q4_0, 3: _q4_1, 6: _q5_0, 7: _q5_1, 8: _q8_0, 12: _q4_k, 13: _q5_k, 14: _q6_k,
}  # fmt: skip
