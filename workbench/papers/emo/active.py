"""The opt-in approximation ``active_eps``: a chunk's improbable columns (tokens) stay out of three of four products.

Over real text most of the vocabulary has next to no probability at any position of a chunk. The logits and the
normaliser stay exact; of the other columns only their joint probability, mean similarity and mean head row take part.
"""

import math

import torch

from .linear import cache_rows


def active_columns(z, h, e_t, targets, weight, cost, inverse, total, scale, options, few_rows, sums, d_sums):
    """One chunk's losses (n,) and gradient to ``h`` (n, H) or None, from its logits ``z`` (n, V).

    ``sums``: Σ_j w_j (H,) of the head; ``d_sums``: the weight's and the bias's gradients, added to in place (or None).
    """
    vocabulary, kind = len(weight), z.dtype
    log_mass = _log_mass(z)  # log Σ exp z, (n, 1)
    columns = _highest(z, log_mass) > math.log(options.active_eps)  # (V,)
    columns[targets] = True
    chosen = columns.nonzero().squeeze(1)  # A, (a,)
    z_a, w_a = z[:, chosen], weight[chosen].to(kind)
    e_a = w_a if cost.data_ptr() == weight.data_ptr() else cost[chosen].to(kind)
    unit_a = e_a * inverse[chosen, None]
    c = e_t @ unit_a.T  # (n, a)
    others = max(1, vocabulary - len(chosen))
    mean_c = (e_t @ (total - unit_a.sum(0))[:, None]) / others  # the other columns' mean similarity, (n, 1)
    share = (torch.logsumexp(z_a, 1, keepdim=True) - log_mass).exp()
    outside = log_mass + torch.log((1 - share).clamp_min(torch.finfo(kind).tiny))  # their log Σ exp z, (n, 1)
    place = torch.zeros(vocabulary, dtype=torch.int64, device=z.device)
    place[chosen] = torch.arange(len(chosen), device=z.device)
    losses, spread = few_rows(z_a, c, place[targets], None, scale, options, scale is not None, (outside, mean_c))
    if scale is None:
        return losses, None
    d_weight, d_bias = d_sums
    if d_weight is not None:
        d_weight.index_add_(0, chosen, z_a.T @ h.to(kind))
    if d_bias is not None:
        d_bias.index_add_(0, chosen, z_a.sum(0))
    return losses, z_a @ w_a + spread * ((sums - w_a.sum(0)) / others)


def _log_mass(z):
    step = cache_rows(z)  # a few rows at a time: logsumexp makes a copy of what it is given
    return torch.cat([torch.logsumexp(z[i : i + step], 1, keepdim=True) for i in range(0, len(z), step)])


def _highest(z, log_mass):
    """The highest log-probability of each column over the chunk, (V,)."""
    highest = z[0] - log_mass[0]
    for row, mass in zip(z[1:], log_mass[1:]):
        torch.maximum(highest, row - mass, out=highest)
    return highest
