"""The opt-in approximation ``active_eps``: a chunk's improbable tokens stay out of three of the four products.

Over real text most of the vocabulary has next to no probability at any position of a chunk. The logits and the
normaliser stay exact; of the other tokens only their joint probability, mean similarity and mean head row take part.
"""

import math

import torch

from .chunk import row_losses
from .linear import blocks, product_into, working


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
