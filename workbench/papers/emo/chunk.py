"""One chunk of n rows (tokens) of the fused loss: its losses and, out of the same two (V, n) buffers, its gradients.

First pass, a block of vocabulary rows at a time: logits z = W hᵀ and similarities C = Ê Ê_tᵀ (one product where the
head is its own cost embedding), then exp(z - the block's maximum), its sum, and its product with C, all while the block
is in the cache. What the blocks lack of a common maximum and of the sum is one factor a block and column. Second pass:
the gradient G = q ⊙ (a + b (c̄ - C)) - a 1_t, and at once dh += Gᵀ W and dW += G h.

`active_chunk` is the opt-in approximation ``active_eps``. Over real text most of the vocabulary has next to no
probability at any position of a chunk: its improbable tokens stay out of three of the four products. The logits and the
normaliser stay exact; of the other tokens only their joint probability, mean similarity and mean head row take part.
"""

import math
from dataclasses import dataclass

import torch

from .linear import add_product, blocks, product_into, row_norms, weighted_sum, working
from .loss import EPS, SMOOTH

LEAST_CHUNK = 16  # rows: below it, reading the head once more costs more than a buffer of one's own


@dataclass(frozen=True)
class Options:
    """What one call was asked for, carried to its backward."""

    form: str
    corrected: bool
    ratio_cap: float | None
    size: int | None  # rows a chunk; None: as suits the machine
    active_eps: float | None


class Head:
    """Weight (V, H), bias (V,) or None, cost embedding (V, H'), and what is made of them once a call."""

    def __init__(self, weight, bias, cost, kind):
        self.weight, self.bias, self.cost, self.kind = weight, bias, cost, kind
        self.tied = cost.data_ptr() == weight.data_ptr() and cost.shape == weight.shape
        self.inverse = 1 / row_norms(cost, kind)  # 1/‖E_j‖, (V,)
        self.total = weighted_sum(self.inverse, cost)  # Σ ê_j, (H',)

    def target_rows(self, targets):
        """ê_t of the smoothed one-hot reference, (n, H')."""
        unit = self.cost[targets].to(self.kind) * self.inverse[targets, None]
        return (unit + SMOOTH * self.total) / (1 + SMOOTH * len(self.cost))


@dataclass(frozen=True)
class Work:
    """One call's inputs, and the losses (N,) and gradients (None where not wanted) that are filled in chunk by chunk.

    ``scale``: the factor of the rows' gradients, a number or (N,); None: losses only.
    """

    rows: torch.Tensor
    targets: torch.Tensor
    head: Head
    options: Options
    scale: float | torch.Tensor | None
    losses: torch.Tensor
    d_rows: torch.Tensor | None
    d_weight: torch.Tensor | None
    d_bias: torch.Tensor | None

    def take(self, chunk, part, buffer, d_weight, *more):
        """Do the rows of ``part`` (a slice or indices) by ``chunk``: `exact_chunk` or `active_chunk`."""
        scale = self.scale[part] if torch.is_tensor(self.scale) and self.scale.dim() else self.scale
        self.losses[part], d_h = chunk(
            self.rows[part], self.targets[part], self.head, self.options, scale, buffer, (d_weight, self.d_bias), *more
        )
        if self.d_rows is not None:
            self.d_rows[part] = d_h.to(self.d_rows.dtype)


def exact_chunk(h, targets, head, options, scale, buffer, d_head):
    """One chunk's losses (n,) and gradient to ``h`` (n, H); the latter None where ``scale`` is.

    Parameters
    ----------
    h, targets : torch.Tensor, (n, H), (n,)
    scale : float, torch.Tensor (n,) or None
        The factor of each row's gradient; None: losses only.
    buffer : torch.Tensor, (V, 2n) or wider
        Its first n columns hold G afterwards. Without gradients as many rows as a block has are enough.
    d_head : tuple
        The gradients (V, H) and (V,) of weight and bias, added to in place, or None.
    """
    n, kind = len(h), head.kind
    buffer = buffer[:, : 2 * n]
    h, e_t = working(h, kind), head.target_rows(targets)
    both = torch.cat((h.to(kind), e_t)) if head.tied else None  # (2n, H)
    parts = blocks(buffer, len(head.weight))
    own = _own_places(targets, parts)
    tops, masses, means = torch.empty(3, len(parts), n, dtype=kind, device=h.device)
    z_t, c_t = torch.empty(2, n, dtype=kind, device=h.device)

    def part(b):
        some = buffer[b] if scale is not None else buffer[: b.stop - b.start]
        return some, some[:, :n], some[:, n:], working(head.weight[b], kind)

    for i, (b, (rows, columns)) in enumerate(zip(parts, own)):
        pair, z, c, w = part(b)
        if head.tied:
            product_into(pair, w, both)
        else:
            product_into(z, w, h)
            product_into(c, working(head.cost[b], kind), e_t)
        if head.bias is not None:
            z.add_(head.bias[b, None])
        c.mul_(head.inverse[b, None])
        if len(rows):
            z_t[columns], c_t[columns] = z[rows, columns], c[rows, columns]
        torch.amax(z, 0, out=tops[i])
        z.sub_(tops[i]).exp_()
        torch.sum(z, 0, out=masses[i])
        torch.sum(z * c, 0, out=means[i])
    top = tops.amax(0)
    lift = (tops - top).exp_()  # (blocks, n)
    mass = (masses * lift).sum(0)
    mean = (means * lift).sum(0) / mass
    losses, a, b = row_losses(z_t - top, mass, mean, c_t, options)
    if scale is None:
        return losses, None
    a, b = a * scale, b * scale
    lift /= mass  # times exp(z - the block's maximum) it is q
    d_h = torch.zeros(h.shape, dtype=kind, device=h.device)
    for i, (block, (rows, columns)) in enumerate(zip(parts, own)):
        _, z, c, w = part(block)
        torch.addcmul((a + b * mean) * lift[i], c, -b * lift[i], out=c)
        z.mul_(c)
        if len(rows):
            z[rows, columns] -= a[columns]
        add_product(d_h, z.T, w)
        if d_head[0] is not None:
            add_product(d_head[0][block], z, h)
        if d_head[1] is not None:
            d_head[1][block] += z.sum(1)
    return losses, d_h


def _own_places(targets, parts):
    """For each block the targets that lie in it: (rows within the block, columns)."""
    order = targets.argsort()
    ordered = targets[order]
    ends = torch.searchsorted(ordered, torch.tensor([b.stop for b in parts], device=targets.device)).tolist()
    return [(ordered[i:j] - b.start, order[i:j]) for b, i, j in zip(parts, [0, *ends], ends)]


def row_losses(z_t, mass, mean, c_t, options):
    """Losses (n,), and the factors of the gradient a (q - 1_t) + b q ⊙ (c̄ - C).

    z_t: the target's logit, mass: Σ exp z, both less the same maximum; mean: c̄ = Σ q_j C_j; c_t: C_t; all (n,).
    """
    likelihood = mass.log() - z_t  # L = log Σ exp z - z_t
    cost = 1 - mean + (z_t.exp() / mass * c_t if options.corrected else 0)  # D or D+
    if options.form == "emo1":
        ratio = likelihood / (cost + EPS)
        if options.ratio_cap is not None:
            ratio.clamp_(max=options.ratio_cap)
        return 0.5 * (likelihood + ratio * cost), torch.full_like(ratio, 0.5), 0.5 * ratio
    ratio = cost / (likelihood + EPS)
    return ratio * likelihood + cost, ratio, torch.ones_like(ratio)


def active_chunk(h, targets, head, options, scale, buffer, d_head, head_sum):
    """`exact_chunk`'s arguments and results; ``buffer`` is (V, n), ``head_sum`` Σ_j w_j (H,)."""
    n, kind, vocabulary = len(h), head.kind, len(head.weight)
    each = torch.arange(n, device=h.device)
    h, e_t = working(h, kind), head.target_rows(targets)
    buffer = buffer[:, :n]
    top, mass = _logits(buffer, h, head)
    highest = _highest(buffer, top + mass.log())
    chosen = highest > math.log(options.active_eps)  # (V,)
    chosen[targets] = True
    place = chosen.cumsum(0)[targets] - 1  # of each target among the chosen
    chosen = chosen.nonzero().squeeze(1)  # (a,)
    w = head.weight[chosen].to(kind)
    unit = (w if head.tied else head.cost[chosen].to(kind)) * head.inverse[chosen, None]
    c = unit @ e_t.T  # (a, n)
    others = max(1, vocabulary - len(chosen))
    c_others = e_t @ (head.total - unit.sum(0)) / others  # the other tokens' mean similarity, (n,)
    z = buffer[chosen].sub_(top)
    z_t = z[place, each]
    q = z.exp_().div_(mass)
    q_others = (1 - q.sum(0)).clamp_min_(0)  # their joint probability, (n,)
    mean = (q * c).sum(0) + q_others * c_others
    losses, a, b = row_losses(z_t, mass, mean, c[place, each], options)
    if scale is None:
        return losses, None
    a, b = a * scale, b * scale
    torch.addcmul(a + b * mean, c, -b, out=c)
    g = q.mul_(c)
    g[place, each] -= a
    if d_head[0] is not None:
        d_head[0].index_add_(0, chosen, g @ h.to(kind))
    if d_head[1] is not None:
        d_head[1].index_add_(0, chosen, g.sum(1))
    spread = q_others * (a + b * (mean - c_others))  # the other tokens' gradients, summed
    return losses, g.T @ w + torch.outer(spread, (head_sum - w.sum(0)) / others)


def _logits(buffer, h, head):
    """Fill ``buffer`` (V, n) with logits; their maximum and Σ exp(z - maximum), each (n,)."""
    tops, masses = [], []
    for b in blocks(buffer, len(buffer)):
        z = buffer[b]
        product_into(z, working(head.weight[b], head.kind), h)
        if head.bias is not None:
            z.add_(head.bias[b, None])
        tops.append(z.amax(0))
        masses.append((z - tops[-1]).exp_().sum(0))
    tops, masses = torch.stack(tops), torch.stack(masses)
    top = tops.amax(0)
    return top, (masses * (tops - top).exp_()).sum(0)


def _highest(buffer, log_mass):
    """The highest log-probability of each token over the chunk, (V,)."""
    return torch.cat([(buffer[b] - log_mass).amax(1) for b in blocks(buffer, len(buffer))])


def within_the_gradient(work) -> int:
    """Do as many rows as need no buffer but the weight's gradient itself, which holds nothing yet; returns how many.

    A chunk's two buffers stand in columns of ``d_weight`` (V, H). Afterwards its G stays in n of them and the other n
    are free again, so chunks of H/2, H/4, H/8 ... rows find room. Then G h takes the place of G, block by block, in one
    product that is as long as all of them.
    """
    d_weight, total, done = work.d_weight, len(work.rows), 0
    width = d_weight.shape[1]
    while done < total:
        n = min(total - done, (width - done) // 2, work.options.size or width)
        if n < min(LEAST_CHUNK, total - done):
            break
        work.take(exact_chunk, slice(done, done + n), d_weight[:, done : done + 2 * n], None)
        done += n
    h = working(work.rows[:done], work.head.kind)
    for b in blocks(d_weight, len(d_weight)):
        g = d_weight[b, :done].to(h.dtype, copy=True)
        product_into(d_weight[b], g, h.T)
    return done
