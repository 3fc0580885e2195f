"""The fused loss's matrix products, in float32 whatever the head's type, without a float32 copy of a half head."""

import torch

HALF = (torch.float16, torch.bfloat16)
CACHE_BYTES = 1 << 20  # rows worked on together on a CPU, so that the passes over q and C stay in its L2 cache
BLOCK = 4096  # head rows converted to float32 together, where the head is of half precision


def cache_rows(z) -> int:
    """How many rows of ``z`` to pass over together: all on a GPU, as many as the L2 cache holds on a CPU."""
    return len(z) if z.is_cuda else max(1, CACHE_BYTES // (z.element_size() * max(1, z.shape[1])))


def tensor_cores(x) -> bool:
    """Half products on a GPU run in half precision (accumulating in float32); on a CPU in float32, by blocks."""
    return x.is_cuda and x.dtype in HALF


def _blocks(rows: int):
    return (slice(i, min(i + BLOCK, rows)) for i in range(0, rows, BLOCK))


def row_norms(matrix, kind):
    """‖row‖ in ``kind``, (V,), never 0 (a row of zeros divides to zeros)."""
    norms = torch.cat([torch.linalg.vector_norm(matrix[b], dim=1, dtype=kind) for b in _blocks(len(matrix))])
    return norms.clamp_min(torch.finfo(kind).tiny)


def product_into(out, left, right, bias=None):
    """``left`` (n, H) times ``right``ᵀ (H, V), plus bias (V,), written into ``out`` (n, V); returns it."""
    if right.dtype == out.dtype:
        left = left.to(out.dtype)
        return torch.mm(left, right.T, out=out) if bias is None else torch.addmm(bias, left, right.T, out=out)
    if tensor_cores(right):
        out.copy_(left.to(right.dtype) @ right.T)
    else:
        left = left.to(out.dtype)
        for b in _blocks(len(right)):
            out[:, b] = left @ right[b].to(out.dtype).T
    return out if bias is None else out.add_(bias)


def times(left, right):
    """``left`` (n, V) times ``right`` (V, H), in ``left``'s type."""
    if right.dtype == left.dtype:
        return left @ right
    if tensor_cores(right):
        return (left.to(right.dtype) @ right).to(left.dtype)
    out = torch.zeros(len(left), right.shape[1], dtype=left.dtype, device=left.device)
    for b in _blocks(len(right)):
        out.addmm_(left[:, b], right[b].to(left.dtype))
    return out


def add_outer(total, left, right):
    """``total`` (V, H) += ``left``ᵀ (V, n) times ``right`` (n, H), accumulated in ``total``'s type."""
    if right.dtype != total.dtype and tensor_cores(right):
        total += left.to(right.dtype).T @ right
    else:
        total.addmm_(left.T, right.to(total.dtype))
