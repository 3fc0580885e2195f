"""Bayesian model selection between a coin and a repeated word, with the reference's likelihood and the usual one.

The reference code takes the binomial pmf of the *count* of Tails as the coin's likelihood. That is the probability of
any sequence with that count, up to C(n, k) times that of the one seen, and so the coin holds out far longer: for (01)
the word overtakes it at n = 51. With the likelihood of the sequence itself, .5^n, it is n = 4. Both are here, by name.
"""

from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from .flips import as_digits, parse_flips, repeat_concept
from .settings import SETTINGS


@dataclass(frozen=True)
class BayesCurve:
    """What a Bayesian observer believes after every prefix.

    Attributes
    ----------
    concept, likelihood : str
    posterior : (n + 1,)
        P(the word made it | the first k flips).
    p_tails : (n + 1,)
        Its prediction of the next flip: the word's next flip and the coin, weighted by belief.
    crossover : int or None
        The first k at which the word is the likelier of the two; None when it never is.
    """

    concept: str
    likelihood: str
    posterior: np.ndarray
    p_tails: np.ndarray
    crossover: int | None


def bayes_curve(
    flips: str,
    concept: str,
    *,
    likelihood: str = "sequence",
    concept_prior: float = SETTINGS.concept_prior,
    coin: float = 0.5,
    any_phase: bool = False,
    temperature: float = 1.0,
) -> BayesCurve:
    """P(word | flips) after every prefix, for a coin with p(Tails) = ``coin`` against the word repeated.

    The coin: .5^n for "sequence" (coin^t (1 - coin)^h in general), C(n, t) times that for "count". The word: 1 as long
    as the flips are its repetition, 0 for ever after.

    Parameters
    ----------
    flips : str
        What was seen, n flips.
    concept : str
        The word, "01" or "HT".
    likelihood : {"sequence", "count"}
        "count" repeats the reference code's defect; see the module.
    concept_prior : float
        P(word) before any flip; .1 follows from the reference's p(non-random) = .25 and three phases.
    any_phase : bool
        True: the word may begin at any of its distinct rotations, each equally likely beforehand.
    temperature : float
        How ``p_tails`` weighs the two: by posterior^(1 / temperature). 1 averages, by belief; towards 0 the likelier
        one is selected. (What the reference calls temp is the power itself.)

    Raises
    ------
    UsageError
        An unknown likelihood, a prior or a coin outside (0, 1), an empty word, a temperature that is not above 0.
    """
    from scipy.special import expit, gammaln, logsumexp

    if likelihood not in ("sequence", "count"):
        raise UsageError(f"likelihood {likelihood!r} is unknown: choose sequence (.5^n) or count (the reference's)")
    for name, value in (("concept_prior", concept_prior), ("coin", coin)):
        if not 0 < value < 1:
            raise UsageError(f"{name}={value} leaves nothing to weigh: give a number between 0 and 1")
    if not temperature > 0:
        raise UsageError(f"temperature={temperature} selects nothing: give a number above 0, such as 1 (averaging)")
    flips, word = parse_flips(flips), parse_flips(concept)
    size = len(flips)
    starts = range(len(word)) if any_phase else (0,)
    streams = list(dict.fromkeys(repeat_concept(word, r + size + len(word) + 1)[r:] for r in starts))
    tails = np.r_[0, np.cumsum([flip == "T" for flip in flips])].astype(float)  # (n + 1,)
    n = np.arange(size + 1)
    log_coin = tails * np.log(coin) + (n - tails) * np.log(1 - coin)
    if likelihood == "count":  # binomial pmf
        log_coin += gammaln(n + 1) - gammaln(tails + 1) - gammaln(n - tails + 1)
    # (streams, n + 1): has this stream made every flip so far?
    fits = np.array([np.r_[True, np.cumprod([a == b for a, b in zip(flips, stream)]) > 0] for stream in streams])
    with np.errstate(divide="ignore"):
        log_stream = np.log(fits / len(streams))
    log_word = np.log(concept_prior) + logsumexp(log_stream, axis=0)
    log_random = np.log(1 - concept_prior) + log_coin
    posterior = np.exp(log_word - np.logaddexp(log_word, log_random))
    next_tails = np.array([[stream[k] == "T" for k in n] for stream in streams])
    weight = fits / np.maximum(fits.sum(0), 1)
    chosen = posterior if temperature == 1 else expit((log_word - log_random) / temperature)
    p_tails = chosen * (weight * next_tails).sum(0) + (1 - chosen) * coin
    above = posterior > 0.5
    crossover = int(np.argmax(above)) if above.any() else None
    return BayesCurve(as_digits(word), likelihood, posterior, p_tails, crossover)


def bayes_in_phase(
    concept: str, n_flips: int, likelihood: str = "sequence", temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """P(next whole period in phase) of a Bayesian observer after 0..n_flips flips of the word: belief + doubt 2^-d.

    ``temperature``: as in `bayes_curve`.
    """
    from scipy.special import expit, logit

    belief = bayes_curve(repeat_concept(concept, n_flips), concept, likelihood=likelihood).posterior
    if temperature != 1:
        with np.errstate(divide="ignore"):  # a belief of exactly 1 stays 1
            belief = expit(logit(belief) / temperature)
    return np.arange(n_flips + 1), belief + (1 - belief) * 2.0 ** -len(concept)
