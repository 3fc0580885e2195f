"""EMO from hidden states and the output head, without ever holding the logits.

The rows (tokens) are taken in chunks. For one chunk of n rows: logits z = h Wᵀ, similarities C = Ê_t Êᵀ, then

    q = softmax(z),  L = -log q_t,  c̄ = rowsum(q ⊙ C),  D = 1 - c̄  (+ q_t c_t when corrected)
    emo1: value ½ (L + r D), r = L/(D + 1e-10), capped;   gradient ½ [(q - 1_t) + r q ⊙ (c̄ - C)]
    emo2: value (D/(L + 1e-10)) L + D;                    gradient (D/(L + 1e-10)) (q - 1_t) + q ⊙ (c̄ - C)

and with that gradient G at once dh = G W and dW += Gᵀ h: four matrix products, two (n, V) buffers, no second pass. The
authors' way has six. Deviations from theirs: Ê is never stored (C's columns are divided by ‖E_j‖), and ΣÊ is the
matrix-vector product (1/‖E‖) E.

The gradients belong to the value's stop-gradient form; they are not derivatives of the value, so there is no second
derivative to give, and asking for one is refused.
"""

from contextlib import nullcontext

import torch

from workbench.errors import UsageError

from .active import active_columns
from .linear import HALF, add_outer, cache_rows, product_into, row_norms, times
from .loss import EPS, SMOOTH, check_cost_embedding, check_finite, check_options, check_targets, flatten
from .settings import FORMS


def fused_emo_loss(
    hidden,
    weight,
    labels,
    *,
    bias=None,
    cost_embedding=None,
    form: str = "emo1",
    corrected: bool = True,
    ratio_cap: float | None = None,
    ignore_index: int = -100,
    shift: bool = True,
    reduction: str = "mean",
    chunk_size: int | str = "auto",
    active_eps: float | None = None,
    num_items_in_batch: int | torch.Tensor | None = None,
):
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
        Rows at a time: two (n, V) buffers of float32. "auto": 64 on a CPU, H/8 (at least 64) on a GPU.
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
        check_cost_embedding(cost_embedding, weight.shape[0])
    size = _chunk_size(chunk_size, weight)
    if rows.dtype != weight.dtype:  # autocast: a half-precision trunk under a float32 head
        rows = rows.to(weight.dtype)
    keep = valid.nonzero().squeeze(1)
    rows, targets = rows[keep] if len(keep) < len(valid) else rows, targets[keep]  # ignored rows cost nothing
    count = (len(keep) if num_items_in_batch is None else num_items_in_batch) + SMOOTH
    options = _Options(form, corrected, ratio_cap, size, active_eps)
    wanted = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (rows, weight, bias))
    cost = weight.detach() if cost_embedding is None else cost_embedding.detach().to(weight.dtype)
    if reduction == "none":
        losses = _Fused.apply(rows, weight, bias, targets, cost, None, options, False)
        whole = torch.zeros(len(valid), dtype=losses.dtype, device=losses.device).index_copy(0, keep, losses)
        return whole.reshape((*labels.shape[:-1], labels.shape[-1] - int(shift)))
    scale = 1.0 if reduction == "sum" else 1.0 / count
    return _Fused.apply(rows, weight, bias, targets, cost, scale, options, wanted)


class _Options:
    """What one call was asked for, carried to its backward."""

    def __init__(self, form, corrected, ratio_cap, size, active_eps):
        self.form, self.corrected, self.ratio_cap = form, corrected, ratio_cap
        self.size, self.active_eps = size, active_eps


class _Fused(torch.autograd.Function):
    """Gradients are made in the forward pass and handed over once; a second backward makes them again."""

    @staticmethod
    def forward(ctx, rows, weight, bias, targets, cost, scale, options, wanted):
        needs = ctx.needs_input_grad[:3] if wanted else (False, False, False)
        losses, grads = _compute(rows, weight, bias, targets, cost, scale, options, needs)
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
        return (*grads, None, None, None, None, None)


@torch.no_grad()
def _compute(rows, weight, bias, targets, cost, scale, options, needs):
    """The row losses (N,) and, where ``needs`` says so, the gradients of Σ scale·loss to rows, weight and bias."""
    n, vocabulary = len(rows), len(weight)
    kind = torch.float32 if weight.dtype in HALF else weight.dtype
    device = rows.device
    losses = torch.empty(n, dtype=kind, device=device)
    d_rows = torch.empty_like(rows) if needs[0] else None
    d_weight = torch.zeros(weight.shape, dtype=kind, device=device) if needs[1] else None
    d_bias = torch.zeros(vocabulary, dtype=kind, device=device) if needs[2] else None
    inverse = 1 / row_norms(cost, kind)  # 1/‖E_j‖, (V,)
    total = times(inverse[None], cost).squeeze(0)  # Σ ê_j, (H',)
    size = max(1, min(options.size, n))
    z_buffer = torch.empty(size, vocabulary, dtype=kind, device=device)
    c_buffer = None if options.active_eps else torch.empty_like(z_buffer)
    sums = times(torch.ones_like(inverse)[None], weight).squeeze(0) if options.active_eps else None  # Σ w_j, (H,)
    order = targets.argsort(stable=True) if options.active_eps else None  # like targets share their active columns
    with torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext():
        for start in range(0, n, size):
            part = slice(start, start + size) if order is None else order[start : start + size]
            h, t = rows[part], targets[part]
            e_t = (cost[t].to(kind) * inverse[t, None] + SMOOTH * total) / (1 + SMOOTH * vocabulary)  # (n, H')
            factor = scale[part] if torch.is_tensor(scale) and scale.dim() else scale
            z = product_into(z_buffer[: len(t)], h, weight, bias)
            if options.active_eps:
                losses[part], d_h = active_columns(
                    z, h, e_t, t, weight, cost, inverse, total, factor if any(needs) else None,
                    options, few_rows, sums, (d_weight, d_bias),
                )  # fmt: skip
            else:
                c = product_into(c_buffer[: len(t)], e_t, cost)
                losses[part] = _rows_in_place(z, c, t, inverse, factor, options, any(needs))  # z becomes G
                d_h = times(z, weight) if needs[0] else None
                if needs[1]:
                    add_outer(d_weight, z, h)
                if needs[2]:
                    d_bias += z.sum(0)
            if needs[0]:
                d_rows[part] = d_h.to(rows.dtype)
    d_weight = d_weight.to(weight.dtype) if needs[1] else None
    return losses, (d_rows, d_weight, d_bias.to(bias.dtype) if needs[2] else None)


def _rows_in_place(z, c, targets, inverse, scale, options, gradient):
    """Row losses from logits ``z``, similarities ``c``; ``z`` becomes its gradient."""
    step = cache_rows(z)
    losses = [
        few_rows(
            z[i : i + step], c[i : i + step], targets[i : i + step], inverse,
            scale[i : i + step] if torch.is_tensor(scale) and scale.dim() else scale, options, gradient,
        )
        for i in range(0, len(z), step)
    ]  # fmt: skip
    return torch.cat(losses)


def few_rows(z, c, targets, inverse, scale, options, gradient, rest=None):
    """`_rows_in_place` for rows that fit the cache.

    With ``rest`` (active columns only: the other columns' log Σ exp z and mean c, each (n, 1)) it returns the losses
    and the other columns' summed gradient.
    """
    own = targets[:, None]
    if inverse is not None:
        c.mul_(inverse)
    top = z.amax(1, keepdim=True)
    z.sub_(top)
    z_t = z.gather(1, own)
    z.exp_()
    mass = z.sum(1, keepdim=True)
    if rest is not None:
        outside = (rest[0] - top).exp()
        mass = mass + outside
    likelihood = mass.log() - z_t  # L = log Σ exp z - z_t, (n, 1)
    z.div_(mass)  # q
    q_t, c_t = z.gather(1, own), c.gather(1, own)
    mean = (z * c).sum(1, keepdim=True)  # c̄, (n, 1)
    if rest is not None:
        outside = outside / mass
        mean = mean + outside * rest[1]
    cost = 1 - mean + (q_t * c_t if options.corrected else 0)  # D or D+
    if options.form == "emo1":
        ratio = likelihood / (cost + EPS)
        if options.ratio_cap is not None:
            ratio.clamp_(max=options.ratio_cap)
        loss, a, b = 0.5 * (likelihood + ratio * cost), 0.5, 0.5 * ratio
    else:
        ratio = cost / (likelihood + EPS)
        loss, a, b = ratio * likelihood + cost, ratio, torch.ones_like(ratio)
    if gradient and scale is not None:
        factor = scale[:, None] if torch.is_tensor(scale) and scale.dim() else scale
        a, b = a * factor, b * factor
        c.neg_().mul_(b).add_(b * mean + a)  # a + b (c̄ - c): the factor of q
        z.mul_(c)
        z.scatter_add_(1, own, torch.broadcast_to(torch.as_tensor(-a, dtype=z.dtype, device=z.device), own.shape))
        if rest is not None:
            return loss.squeeze(1), outside * (a + b * (mean - rest[1]))  # the other columns' gradient, summed
    return loss.squeeze(1) if rest is None else (loss.squeeze(1), None)


def _chunk_size(chunk_size, weight) -> int:
    """Rows at a time: enough to keep the products busy, few enough that the buffers stay small beside the gradient."""
    if chunk_size == "auto":
        return max(64, weight.shape[1] // 8) if weight.is_cuda else 64
    if not isinstance(chunk_size, int) or isinstance(chunk_size, bool) or chunk_size < 1:
        raise UsageError(f"chunk_size={chunk_size!r} must be a whole number of rows above 0, or 'auto'")
    return chunk_size
