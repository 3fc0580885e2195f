"""What simple sources would write: a Bernoulli coin, the window average, a Markov chain.

Each baseline is a rule p(Tails next | flips so far). From the rule follow its samples and the bits it asks for a flip.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from ...errors import UsageError
from ...results import Results
from ...stats import Estimate, bootstrap_interval
from .flips import parse_flips
from .settings import SETTINGS

Rule = Callable[[str], float]


def bernoulli(p_tails: float = 0.5) -> Rule:
    """Independent flips: p(Tails) whatever came before."""
    p = _share(p_tails)
    return lambda flips: p


def window_average(p_tails: float = 0.5, *, window: int = SETTINGS.window) -> Rule:
    """A coin that makes up for its last flips: p = clip(2 p - mean of the last 5, 0, 1) (card).

    Below ``window`` flips the mean is over those there are, and without any it is p.
    """
    p = _share(p_tails)

    def rule(flips: str) -> float:
        last = flips[-window:]
        mean = last.count("T") / len(last) if last else p
        return min(1.0, max(0.0, 2 * p - mean))

    return rule


def markov_fit(sequences: Sequence[str], *, beta: tuple[float, float] = SETTINGS.beta) -> tuple[float, float]:
    """Posterior means (p(Tails | Heads), p(Tails | Tails)) of a 2-parameter chain, Beta priors on both (card: 5, 5).

    Mean of Beta(a + tails, b + heads): (a + tails) / (a + b + all), counted over the flips after each letter.
    """
    return _fitted(sum(map(_pairs, sequences), Counter()), beta)


def _pairs(flips: str) -> Counter:
    return Counter(pairwise(parse_flips(flips)))


def _fitted(counts: Counter, beta: tuple[float, float]) -> tuple[float, float]:
    a, b = beta
    return tuple((a + counts[x, "T"]) / (a + b + counts[x, "H"] + counts[x, "T"]) for x in "HT")


def markov(p_after_heads: float, p_after_tails: float, *, first: float = 0.5) -> Rule:
    """A chain with p(Tails | Heads) and p(Tails | Tails); ``first`` is p(Tails) of the first flip."""
    p = {"H": _share(p_after_heads), "T": _share(p_after_tails), "": _share(first)}
    return lambda flips: p[flips[-1:]]


def sample(rule: Rule, n_flips: int, seed: int) -> str:
    """``n_flips`` drawn from a rule, flip by flip."""
    flips = ""
    for u in np.random.default_rng(seed).random(n_flips):
        flips += "T" if u < rule(flips) else "H"
    return flips


def bits(rule: Rule, sequences: Sequence[str], *, floor: float = 0.01) -> np.ndarray:
    """Bits a flip that a rule asks for each sequence, (N,); NaN for an empty one.

    ``floor`` keeps probabilities in [floor, 1 - floor]: the window average calls some flips impossible, and one of them
    would cost infinitely many bits.
    """
    result = np.full(len(sequences), np.nan)
    for i, flips in enumerate(map(parse_flips, sequences)):
        p = np.clip([rule(flips[:k]) for k in range(len(flips))], floor, 1 - floor)
        if len(flips):
            result[i] = -np.log2([q if flip == "T" else 1 - q for q, flip in zip(p, flips)]).mean()
    return result


def held_out_markov_bits(
    sequences: Sequence[str], *, beta: tuple[float, float] = SETTINGS.beta, floor: float = 0.01
) -> np.ndarray:
    """Bits a flip of each sequence under the chain fitted to all the *others*, (N,): no sequence explains itself."""
    sequences = list(sequences)
    own = list(map(_pairs, sequences))
    every = sum(own, Counter())
    rules = (markov(*_fitted(every - mine, beta)) for mine in own)  # the others' counts
    return np.array([bits(rule, [one], floor=floor)[0] for rule, one in zip(rules, sequences)])


def _share(p: float) -> float:
    if not 0 <= p <= 1:
        raise UsageError(f"p={p} is not a probability: give 0 to 1 (a percentage is divided by 100)")
    return float(p)


def generation_bits(generated: Results) -> dict[str, Estimate]:
    """Bits a flip that each baseline asks for the model's own sequences, over all stated p; the least fits best.

    ``generated`` is of `generate_sequences`. Bits are skewed and never negative: a bootstrap interval
    knows that, Student's t does not.
    """
    asked = {label: generated.values(f"bits, {label}") for label in ("Bernoulli", "window", "Markov (held out)")}
    known = {label: [value for value in values if value == value] for label, values in asked.items()}
    return {label: bootstrap_interval(values, unit="bits/flip") for label, values in known.items() if values}
