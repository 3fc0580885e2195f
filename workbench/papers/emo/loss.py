"""The losses as one would write them on a blackboard: plain autograd over whole logits.

`fused.py` computes the same numbers without ever holding the logits; the tests compare the two.
"""

import torch

from workbench.errors import UsageError

from .settings import BASELINES, FORMS

EPS = 1e-10  # in the ratios L/D and D/L, as in the reference code
SMOOTH = 1e-15  # added to the one-hot reference before it is renormalised, as in the reference code


def emo_loss(
    logits, labels, cost_embedding, *, form: str = "emo1", corrected: bool = True, ratio_cap: float | None = None,
    ignore_index: int = -100, shift: bool = True, reduction: str = "mean",
):  # fmt: skip
    """Earth mover distance optimisation: cross-entropy joined with the model's expected transport cost to the target.

    Parameters
    ----------
    logits : torch.Tensor, (B, T, V) or (N, V)
    labels : torch.Tensor of int64, (B, T) or (N,)
    cost_embedding : torch.Tensor, (V, H)
        One row a token; the cost of moving mass from token i to j is 1 - cos(E_i, E_j). No gradient flows into it.
    form : str
        "emo1" (½ (L + sg(L/D) D)) or "emo2" (sg(D/L) L + D).
    corrected : bool
        D+ in place of D: the target's own probability is detached and left out (the gradient of D is the same).
    ratio_cap : float or None
        Upper end of emo1's ratio L/D (the continual and PyPI variants use 3).
    ignore_index : int
        Labels with this value are left out.
    shift : bool
        Score position t against label t + 1, as the reference does. False: rows and labels already correspond.
    reduction : str
        "mean" over the valid tokens, "sum", or "none" (one number a token, 0 where ignored).

    Returns
    -------
    torch.Tensor
        A scalar, or the labels' shape (after the shift) with "none". With emo1 uncapped the *value* equals
        cross-entropy to about 1e-10, whatever the costs: only the gradient differs, so never judge training by it.

    Raises
    ------
    UsageError
        Unknown form or reduction, shapes that do not correspond, labels out of range, NaN or infinity in the logits.
    """
    check_options(form, ratio_cap, reduction, FORMS)
    check_cost_embedding(cost_embedding, logits.shape[-1], logits.device)
    log_q, likelihood, targets, valid = _likelihood(logits, labels, ignore_index, shift)
    cost = expected_cost(log_q, targets, cost_embedding, corrected)  # D or D+, (N,)
    if form == "emo1":
        ratio = likelihood.detach() / (cost.detach() + EPS)
        if ratio_cap is not None:
            ratio = ratio.clamp(max=ratio_cap)
        rows = 0.5 * (likelihood + ratio * cost)
    else:
        ratio = (cost / (likelihood + EPS)).detach()
        rows = ratio * likelihood + cost
    return reduce(rows, valid, reduction, labels, shift)


def expected_cost(log_q, targets, cost_embedding, corrected: bool):
    """D = 1 - Σ_j q_j ê_t·ê_j for every row (N,), or D+ with the target's own term detached and left out.

    With a one-hot reference the transport plan is forced (all of q moves to t), so the paper's upper bound is this
    expectation and no V x V cost matrix exists.
    """
    q = log_q.exp()  # (N, V)
    unit = normalised(cost_embedding).to(q.dtype)  # (V, H)
    similarity = target_rows(unit, targets) @ unit.T  # c, (N, V)
    cost = 1 - (q * similarity).sum(1)  # a plain product and sum: as a bmm it loses a digit in fp32
    if corrected:
        own = targets[:, None]
        cost = cost + (q.detach().gather(1, own) * similarity.gather(1, own)).squeeze(1)
    return cost


def target_rows(unit, targets):
    """ê_t of the smoothed one-hot reference, (N, H): (ê_t + 1e-15 Σê) / (1 + 1e-15 V)."""
    return (unit[targets] + SMOOTH * unit.sum(0)) / (1 + SMOOTH * unit.shape[0])


def normalised(cost_embedding):
    """The rows scaled to length 1, detached; a row of zeros stays zero (its cost to every token is 1)."""
    e = cost_embedding.detach()
    return e / e.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(e.dtype).tiny)


def baseline_loss(
    logits, labels, *, form: str = "ce", w: float = 0.5, smoothing: float = 0.1, ignore_index: int = -100,
    shift: bool = True, reduction: str = "mean",
):  # fmt: skip
    """What EMO is compared with: cross-entropy, label smoothing, and the reference's MixCE and TVD (TaiLr).

    Parameters
    ----------
    form : str
        "ce"; "label_smoothing"; "mixce": w L + (1-w) sg(q_t) L;
        "tvd": w L + (1-w) sg(clamp(q_t/((1-w) + w q_t), .2, 1)) L.
    w : float
        The weight of plain cross-entropy in MixCE and TVD.
    smoothing : float
        The mass that label smoothing spreads over the vocabulary.

    The remaining parameters, shapes and errors are `emo_loss`'s.
    """
    check_options(form, None, reduction, BASELINES)
    log_q, likelihood, _, valid = _likelihood(logits, labels, ignore_index, shift)
    q_t = (-likelihood).exp().detach()
    if form == "ce":
        rows = likelihood
    elif form == "label_smoothing":
        rows = (1 - smoothing) * likelihood - smoothing * log_q.mean(1)
    elif form == "mixce":
        rows = w * likelihood + (1 - w) * q_t * likelihood
    else:
        rows = w * likelihood + (1 - w) * (q_t / ((1 - w) + w * q_t)).clamp(0.2, 1) * likelihood
    return reduce(rows, valid, reduction, labels, shift)


def loss_by(settings: dict, logits, labels, cost_embedding, **options):
    """`emo_loss` or `baseline_loss`, as ``settings`` say (of a variant); ``options`` are what the two share."""
    if settings["form"] in FORMS:
        return emo_loss(logits, labels, cost_embedding, **settings, **options)
    return baseline_loss(logits, labels, **settings, **options)


def _likelihood(logits, labels, ignore_index: int, shift: bool):
    """log q (N, V), L = -log q_t (N,), the targets t (N,) and which of them are valid (N,)."""
    z, targets, valid = flatten(logits, labels, ignore_index, shift)
    check_targets(targets, z.shape[-1])
    check_finite(z, "logits")
    log_q = torch.log_softmax(z, dim=-1)
    return log_q, -log_q.gather(1, targets[:, None]).squeeze(1), targets, valid


def flatten(rows, labels, ignore_index: int, shift: bool):
    """Rows (N, ·) with their targets (N,) and the mask of valid ones; an ignored row's target is set to 0."""
    if rows.dim() != labels.dim() + 1 or rows.shape[:-1] != labels.shape:
        raise UsageError(
            f"labels of shape {tuple(labels.shape)} do not belong to rows of shape {tuple(rows.shape)}: "
            "give one label for every row"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise UsageError(f"labels are {labels.dtype}, but a label is a token's number: give int64")
    if shift:
        if labels.shape[-1] < 2:
            raise UsageError(f"shift=True needs at least 2 positions, but labels have shape {tuple(labels.shape)}")
        rows, labels = rows[..., :-1, :] if labels.dim() > 1 else rows[:-1], labels[..., 1:]
    labels = labels.reshape(-1).to(rows.device)
    valid = labels != ignore_index
    return rows.reshape(-1, rows.shape[-1]), torch.where(valid, labels, 0), valid


def check_targets(targets, vocabulary: int) -> None:
    """One sentence for a label that no row of the vocabulary answers to."""
    if targets.numel() and (int(targets.min()) < 0 or int(targets.max()) >= vocabulary):
        wrong = targets[(targets < 0) | (targets >= vocabulary)][0].item()
        raise UsageError(
            f"label {wrong} is outside the vocabulary 0..{vocabulary - 1}: tokenise with the model's own tokenizer, "
            "and mark what is to be left out with ignore_index"
        )


def check_cost_embedding(cost_embedding, vocabulary: int, device=None) -> None:
    """One sentence for a cost embedding that is not a finite matrix with a row for every token."""
    if cost_embedding is None:
        raise UsageError("no cost embedding was given: pass a (V, H) matrix such as the model's output head")
    if cost_embedding.dim() != 2 or cost_embedding.shape[0] != vocabulary:
        raise UsageError(
            f"the cost embedding has shape {tuple(cost_embedding.shape)}, but the vocabulary has {vocabulary} tokens: "
            f"it must be ({vocabulary}, H), one row a token"
        )
    if device is not None and cost_embedding.device != device:
        raise UsageError(
            f"the cost embedding is on {cost_embedding.device} and the head on {device}: move it there once"
            f" (cost_embedding.to({str(device)!r})), not in every step"
        )
    check_finite(cost_embedding, "entries of the cost embedding")


def check_finite(x, what: str) -> None:
    """One sentence for NaN or infinity: a loss computed from them would silently end the training."""
    with torch.no_grad():
        if not bool(torch.isfinite(x.sum())) and not bool(torch.isfinite(x).all()):
            raise UsageError(
                f"the {what} hold NaN or infinity, so the loss would be meaningless: lower the learning rate, or use "
                "bfloat16 or float32 in place of float16"
            )


def check_options(form, ratio_cap, reduction, forms) -> None:
    """One sentence for an option outside its range."""
    if form not in forms:
        raise UsageError(f"form={form!r} is unknown: choose one of {', '.join(forms)}")
    if ratio_cap is not None and not ratio_cap > 0:
        raise UsageError(f"ratio_cap={ratio_cap} must be above 0, or None for no cap")
    if reduction not in ("mean", "sum", "none"):
        raise UsageError(f"reduction={reduction!r} is unknown: choose mean, sum or none")


def reduce(rows, valid, reduction: str, labels=None, shift: bool = False):
    """Sum over the valid rows / (their number + 1e-15); a batch without a valid row gives 0, not NaN."""
    rows = torch.where(valid, rows, torch.zeros((), dtype=rows.dtype, device=rows.device))
    if reduction == "none":
        shape = (*labels.shape[:-1], labels.shape[-1] - int(shift))
        return rows.reshape(shape)
    return rows.sum() / (valid.sum() + SMOOTH) if reduction == "mean" else rows.sum()
