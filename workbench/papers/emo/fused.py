"""EMO from hidden states and the output head, without ever holding the logits.

The rows (tokens) are taken in chunks. For one chunk of n rows: logits z, similarities C of the targets' cost rows with
all others, then

    q = softmax(z),  L = -log q_t,  c̄ = Σ_j q_j C_j,  D = 1 - c̄  (+ q_t c_t when corrected)
    emo1: value ½ (L + r D), r = L/(D + 1e-10), capped;   gradient ½ [(q - 1_t) + r q ⊙ (c̄ - C)]
    emo2: value (D/(L + 1e-10)) L + D;                    gradient (D/(L + 1e-10)) (q - 1_t) + q ⊙ (c̄ - C)

and with that gradient G at once dh and dW: four matrix products, two (V, n) buffers (`chunk.py`), which stand in the
memory of dW while dW is still empty. The authors' way has six products. Deviations from theirs: Ê is never stored (C's
rows are divided by ‖E_j‖), and ΣÊ is the matrix-vector product (1/‖E‖) E.

The gradients belong to the value's stop-gradient form; they are not derivatives of the value, so there is no second
derivative to give, and asking for one is refused.
"""

from contextlib import nullcontext

import torch

from workbench.errors import UsageError

from .chunk import Head, Options, Work, active_chunk, exact_chunk, within_the_gradient
from .linear import HALF, blocks, tensor_cores, weighted_sum
from .loss import SMOOTH, check_cost_embedding, check_finite, check_options, check_targets, flatten
from .settings import FORMS


def fused_emo_loss(
    hidden, weight, labels, *, bias=None, cost_embedding=None, form: str = "emo1", corrected: bool = True,
    ratio_cap: float | None = None, ignore_index: int = -100, shift: bool = True, reduction: str = "mean",
    chunk_size: int | str = "auto", active_eps: float | None = None,
    num_items_in_batch: int | torch.Tensor | None = None,
):  # fmt: skip
    """`emo_loss` of ``hidden @ weight.T + bias``: the same value and gradients, a fraction of the memory.

    Parameters
    ----------
    hidden : torch.Tensor, (B, T, H) or (N, H)
    weight : torch.Tensor, (V, H)
        The output head. Tied heads need nothing special.
    labels : torch.Tensor of int64, (B, T) or (N,)
    bias : torch.Tensor, (V,), or None
    cost_embedding : torch.Tensor, (V, H'), or None
        None means the current head itself, detached.
    chunk_size : int or "auto"
        At most so many rows at a time. "auto": what fits into the head's own gradient while that is empty (H/2, H/4 ...
        rows), then, and where the head is frozen, 64 on a CPU and H/8 (at least 64) on a GPU, with two (V, n) buffers.
    active_eps : float or None
        Opt-in approximation: in each chunk only the columns (tokens) whose probability exceeds this in some row, and
        the targets, take part in the last three products; the others are replaced by their mean. None is exact.
    num_items_in_batch : int, tensor or None
        Divide the sum by this instead of the valid tokens here, so that accumulated steps equal one large batch.

    form, corrected, ratio_cap, ignore_index, shift, reduction as in `emo_loss`; gradients flow into hidden, weight and
    bias. Half precision is computed and accumulated in float32; the gradients come back in their tensors' types.

    Returns
    -------
    torch.Tensor
        A float32 (float64 for float64 inputs) scalar, or the labels' shape after the shift with reduction="none" (which
        computes the gradients in the backward pass: six products instead of four).

    Raises
    ------
    UsageError
        As `emo_loss`; also a head that does not fit the hidden states, and a second derivative asked for in backward.
    """
    check_options(form, ratio_cap, reduction, FORMS)
    if chunk_size != "auto" and (type(chunk_size) is not int or chunk_size < 1):
        raise UsageError(f"chunk_size={chunk_size!r} must be a whole number of rows above 0, or 'auto'")
    if hidden.shape[-1] != weight.shape[-1] or weight.dim() != 2:
        raise UsageError(
            f"hidden states of shape {tuple(hidden.shape)} do not fit a head of shape {tuple(weight.shape)}: "
            "their last sizes must be equal"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise UsageError(f"the bias has shape {tuple(bias.shape)}, but the head has {weight.shape[0]} rows")
    if active_eps is not None and not 0 < active_eps < 1:
        raise UsageError(f"active_eps={active_eps} must lie between 0 and 1, or be None for the exact loss")
    if num_items_in_batch is not None and reduction != "mean":
        raise UsageError(f"num_items_in_batch divides the sum, so it cannot go with reduction={reduction!r}: use mean")
    rows, targets, valid = flatten(hidden, labels, ignore_index, shift)
    check_targets(targets, weight.shape[0])
    check_finite(rows, "hidden states")
    if cost_embedding is not None:
        check_cost_embedding(cost_embedding, weight.shape[0], weight.device)
    if rows.dtype != weight.dtype:  # autocast: a half-precision trunk under a float32 head
        rows = rows.to(weight.dtype)
    keep = valid.nonzero().squeeze(1)
    rows, targets = rows[keep] if len(keep) < len(valid) else rows, targets[keep]  # ignored rows cost nothing
    count = len(keep) if num_items_in_batch is None else num_items_in_batch
    if torch.is_tensor(count):  # not by torch's default type, which is float32 for float64 inputs too
        count = count.to(torch.promote_types(weight.dtype, torch.float32))
    count = count + SMOOTH
    options = Options(form, corrected, ratio_cap, None if chunk_size == "auto" else chunk_size, active_eps)
    wanted = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (rows, weight, bias))
    cost = weight.detach() if cost_embedding is None else cost_embedding.detach().to(weight.dtype)
    if reduction == "none":
        losses = _Fused.apply(rows, weight, bias, targets, cost, None, options, False)
        whole = torch.zeros(len(valid), dtype=losses.dtype, device=losses.device).index_copy(0, keep, losses)
        return whole.reshape((*labels.shape[:-1], labels.shape[-1] - int(shift)))
    scale = 1.0 if reduction == "sum" else 1.0 / count
    return _Fused.apply(rows, weight, bias, targets, cost, scale, options, wanted)


class _Fused(torch.autograd.Function):
    """Gradients are made in the forward pass and handed over once; a second backward makes them again."""

    @staticmethod
    def forward(ctx, rows, weight, bias, targets, cost, scale, options, wanted):
        needs = ctx.needs_input_grad[:3] if wanted else (False, False, False)
        losses, grads = _compute(rows, weight, bias, targets, cost, scale, options, needs)
        check_finite(losses, "output head, or the logits it makes,")  # of (N,): costs nothing
        ctx.save_for_backward(rows, weight, bias, targets, cost)
        ctx.scale, ctx.options, ctx.grads = scale, options, grads if wanted else None
        return losses if scale is None else losses.sum() * scale

    @staticmethod
    def backward(ctx, grad_output):
        if torch.is_grad_enabled():
            raise UsageError(
                "fused_emo_loss has no second derivative (its ratio is a stop-gradient): call backward without "
                "create_graph=True, or use emo_loss"
            )
        rows, weight, bias, targets, cost = ctx.saved_tensors  # raises if freed, or changed in place since
        grads, ctx.grads = ctx.grads, None  # handed over, not copied: autograd may then keep the buffer as .grad
        if grads is None:
            scale = grad_output if ctx.scale is None else grad_output * ctx.scale  # (N,) or scalar
            _, grads = _compute(rows, weight, bias, targets, cost, scale, ctx.options, ctx.needs_input_grad[:3])
        elif grad_output.device.type != "cpu" or grad_output.item() != 1:
            for grad in grads:
                if grad is not None:
                    grad.mul_(grad_output)
        # half types only now: a loss scaler's factor comes with grad_output, too late for what has underflowed
        grads = [g if g is None else g.to(x.dtype) for g, x in zip(grads, (rows, weight, bias), strict=True)]
        return (*grads, None, None, None, None, None)


@torch.no_grad()
def _compute(rows, weight, bias, targets, cost, scale, options, needs):
    """The row losses (N,) and, where ``needs`` says so, the gradients of Σ scale·loss to rows, weight and bias.

    All are at least float32, whatever the types of what they belong to.
    """
    n, vocabulary = len(rows), len(weight)
    kind = torch.float32 if weight.dtype in HALF else weight.dtype
    device = rows.device
    d_rows = torch.empty(rows.shape, dtype=kind, device=device) if needs[0] else None
    d_weight = torch.empty(weight.shape, dtype=kind, device=device) if needs[1] else None
    d_bias = torch.zeros(vocabulary, dtype=kind, device=device) if needs[2] else None
    losses = torch.empty(n, dtype=kind, device=device)
    scale, later = scale if any(needs) else None, None
    single = scale is not None and not (torch.is_tensor(scale) and scale.dim())
    if single and tensor_cores(weight) and weight.dtype == torch.float16:
        scale, later = 1.0, scale  # over a large batch's count the products' half inputs would underflow
    with torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext():
        work = Work(rows, targets, Head(weight, bias, cost, kind), options, scale, losses, d_rows, d_weight, d_bias)
        if options.active_eps:
            _by_active_tokens(work)
        else:
            done = within_the_gradient(work) if needs[1] else 0
            _with_a_buffer(work, done)
    grads = d_rows, d_weight, d_bias
    if later is not None:
        for grad in grads:
            if grad is not None:
                grad.mul_(later)
    return losses, grads


def _with_a_buffer(work, done):
    """The rows from ``done`` on, by chunks with a (V, 2n) buffer beside the gradients; without gradients a block's."""
    n, vocabulary = len(work.rows), len(work.head.weight)
    if done == n:
        return
    size = min(_rows_a_chunk(work), n - done)
    buffer = work.losses.new_empty(0, 2 * size)
    buffer = work.losses.new_empty(
        vocabulary if work.scale is not None else blocks(buffer, vocabulary)[0].stop, 2 * size
    )
    for start in range(done, n, size):
        work.take(exact_chunk, slice(start, min(start + size, n)), buffer, work.d_weight)


def _by_active_tokens(work):
    """All rows by `active_chunk`, sorted by their targets: like targets share their active tokens."""
    n, weight = len(work.rows), work.head.weight
    if work.d_weight is not None:
        work.d_weight.zero_()
    size = min(_rows_a_chunk(work), n)
    buffer = work.losses.new_empty(len(weight), size)
    head_sum = weighted_sum(torch.ones_like(work.head.inverse), weight)
    for part in work.targets.argsort(stable=True).split(max(1, size)):
        work.take(active_chunk, part, buffer, work.d_weight, head_sum)


def _rows_a_chunk(work) -> int:
    """Enough to keep the products busy, few enough that the buffers stay small beside the gradient."""
    weight = work.head.weight
    return work.options.size or (max(64, weight.shape[1] // 8) if weight.is_cuda else 64)
