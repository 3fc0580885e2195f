"""Perturbation and surrogate methods over a `Game`: occlusion, Shapley values, KernelSHAP, LIME.

Occlusion and Shapley values are written here, because captum evaluates their coalitions one at a time or one
permutation at a time, and its exact Shapley values run over all n! orders; KernelSHAP and LIME are captum's, asked for
all coalitions in one call, so that the game can share prefixes and forwards among them.
"""

import math
from collections.abc import Sequence
from contextlib import contextmanager

import numpy as np

from ....errors import UsageError
from ..settings import EXACT_TOKENS
from .game import Game


def occlusion(game: Game) -> np.ndarray:
    """f(all) - f(all but i) for each player: (P,) float64."""
    players = len(game.free)
    values = game.of(np.vstack([np.ones((1, players), bool), ~np.eye(players, dtype=bool)]))  # (1 + P, P)
    return values[0] - values[1:]


def shapley(game: Game, *, samples: int | None, default: int, seed: int) -> tuple[np.ndarray, int | None]:
    """Shapley values (P,), and the permutations used (None: exact).

    Exact over all 2^P coalitions where there are at most `EXACT_TOKENS` players, or where that is no dearer than the
    permutations asked for.
    """
    players = len(game.free)
    dearer = samples is not None and 2**players > samples * max(1, players - 1) + 2
    if players <= EXACT_TOKENS and not dearer:
        return exact_shapley(game), None
    count = samples or default
    return permutation_shapley(game, permutations(players, count, seed)), count


def exact_shapley(game: Game) -> np.ndarray:
    """phi_i = sum over S without i of |S|! (P - |S| - 1)! / P! (f(S + i) - f(S)): Shapley 1953."""
    players = len(game.free)
    codes = np.arange(2**players)
    stays = (codes[:, None] >> np.arange(players)) & 1 == 1  # (2^P, P): bit i of the code is player i
    values, sizes = game.of(stays), stays.sum(1)
    weight = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    scores = np.empty(players)
    for player in range(players):
        without = codes[~stays[:, player]]
        scores[player] = (weight[sizes[without]] * (values[without | 1 << player] - values[without])).sum()
    return scores


def permutations(players: int, count: int, seed: int) -> list[np.ndarray]:
    """``count`` random orders, every second one the reverse of the one before (antithetic: less variance)."""
    rng = np.random.default_rng(seed)
    orders: list[np.ndarray] = []
    while len(orders) < count:
        order = rng.permutation(players)
        orders += [order, order[::-1]]
    return orders[:count]


def permutation_shapley(game: Game, orders: Sequence[Sequence[int]]) -> np.ndarray:
    """The mean contribution of each player over given orders of joining: (P,). Adds up exactly, order by order."""
    players = len(game.free)
    values = game.of(np.vstack([joining(order) for order in orders])).reshape(len(orders), players + 1)
    scores = np.zeros(players)
    for order, path in zip(orders, values, strict=True):
        scores[np.asarray(order)] += np.diff(path)
    return scores / len(orders)


def joining(order: Sequence[int]) -> np.ndarray:
    """(P + 1, P) bool: nobody, then one more player a row."""
    stays = np.zeros((len(order) + 1, len(order)), dtype=bool)
    for step, player in enumerate(order):
        stays[step + 1 :, player] = True
    return stays


def kernel_shap(game: Game, *, samples: int, seed: int) -> np.ndarray:
    """captum's KernelShap over the game, all its coalitions in one call: (P,).

    Where ``samples`` reach all 2^P - 2 proper coalitions they are enumerated: fitted to all of them under its kernel,
    the linear model's weights are the Shapley values themselves (Lundberg and Lee 2017, theorem 2).
    """
    from captum.attr import KernelShap

    if 2 ** len(game.free) - 2 <= samples:
        return exact_shapley(game)
    return _surrogate(KernelShap, {}, game, samples, seed)


def lime(game: Game, *, samples: int, seed: int) -> np.ndarray:
    """captum's Lime over the game: (P,).

    Coalitions with every token kept by a fair coin, weights exp(-d^2 / .25^2) for the cosine distance d to the whole
    prompt (Ribeiro et al. 2016, whose code has width 25 for distances times 100), ridge regression.
    """
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime
    from captum.attr._core.lime import get_exp_kernel_similarity_function

    return _surrogate(
        Lime,
        {
            "interpretable_model": SkLearnRidge(alpha=0.01),
            "similarity_func": get_exp_kernel_similarity_function("cosine", kernel_width=0.25),
        },
        game, samples, seed,
    )  # fmt: skip


def _surrogate(kind, options: dict, game: Game, samples: int, seed: int) -> np.ndarray:
    import torch

    players = len(game.free)
    if samples < players + 2:
        raise UsageError(f"samples={samples} coalitions do not determine {players} scores: give at least {players + 2}")
    if players == 1:  # nothing to fit
        value, baseline = game.ends()
        return np.array([value - baseline])

    def forward(stays):  # (B, P) of 0 and 1 -> (B,)
        return torch.from_numpy(game.of(stays.numpy() > 0.5)).float()

    with seeded(seed):
        scores = kind(forward, **options).attribute(
            torch.ones(1, players), baselines=torch.zeros(1, players), n_samples=samples,
            perturbations_per_eval=samples,
        )  # fmt: skip
    return scores[0].double().numpy()


@contextmanager
def seeded(seed: int):
    """torch's and numpy's global generators (captum draws from them) set for a while, then put back."""
    import torch

    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(before)
