"""The fused loss's matrix products, in float32 whatever the head's type, without a float32 copy of a half head.

The buffers are (V, n), a row a token of the vocabulary: on a CPU the product of head and hidden states runs a quarter
to a half faster that way round than as (n, V), and a block of vocabulary rows stays in the cache from pass to pass.
"""

import torch

HALF = (torch.float16, torch.bfloat16)
CACHE_BYTES = 1 << 21  # of buffer worked on together on a CPU: more misses the caches, less costs calls
GPU_BYTES = 1 << 28  # and on a GPU, where it only bounds the temporary copies
LEAST_ROWS = 256
BLOCK = 4096  # head rows converted to float32 together in `row_norms` and `weighted_sum`


def blocks(buffer, vocabulary: int) -> list[slice]:
    """The vocabulary's rows, as many together as fit the cache with ``buffer``'s width and type."""
    together = GPU_BYTES if buffer.is_cuda else CACHE_BYTES
    rows = max(LEAST_ROWS, together // (buffer.element_size() * max(1, buffer.shape[1])))
    return [slice(i, min(i + rows, vocabulary)) for i in range(0, vocabulary, rows)]


def tensor_cores(x) -> bool:
    """Half products on a GPU run in half precision (accumulating in float32); on a CPU in float32, by blocks."""
    return x.is_cuda and x.dtype in HALF


def working(x, kind):
    """Hidden states, or some rows of a head, as the products take them: in ``kind``, but half for tensor cores."""
    return x if tensor_cores(x) else x.to(kind)


def row_norms(matrix, kind):
    """‖row‖ in ``kind``, (V,), never 0 (a row of zeros divides to zeros)."""
    norms = torch.cat([torch.linalg.vector_norm(part, dim=1, dtype=kind) for part in matrix.split(BLOCK)])
    return norms.clamp_min(torch.finfo(kind).tiny)


def weighted_sum(factors, matrix):
    """Σ_j factors_j matrix_j, (H,), in the type of ``factors`` (V,)."""
    out = torch.zeros(matrix.shape[1], dtype=factors.dtype, device=matrix.device)
    for some, part in zip(factors.split(BLOCK), matrix.split(BLOCK)):
        out.addmv_(part.to(out.dtype).T, some)
    return out


def product_into(out, w, x):
    """``w`` (rows, H) times ``x``ᵀ (H, n) written into ``out`` (rows, n)."""
    if w.dtype == out.dtype:
        torch.mm(w, x.T, out=out)
    else:
        out.copy_(w @ x.to(w.dtype).T)


def add_product(total, left, right):
    """``total`` += ``left`` times ``right``, accumulated in ``total``'s type; ``right`` may be half."""
    if right.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left.to(right.dtype) @ right
