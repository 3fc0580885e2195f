"""Sources of flips with a known rule, and the best that anybody who knows the rule can predict.

Each source is a hidden Markov chain: a state moves, and shows Tails with a probability of its own. A coin has one
state; a Markov chain's state is its last flip; "hmm" switches between two coins; of "drifting" the coin's bias walks.
One sampler and one forward filter serve them all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...results import Results
from ...rows import Row
from .curve import next_flip_curve
from .flips import parse_flips
from .measures import bits_per_flip
from .settings import source_numbers
from .study import afresh


@dataclass(frozen=True)
class Source:
    """S states: ``start`` (S,), ``move`` (S, S) from row to column, ``tails`` (S,) = p(Tails | state)."""

    name: str
    start: np.ndarray
    move: np.ndarray
    tails: np.ndarray


def transitions(p_alt, p_tails):
    """(p(Tails | Heads), p(Tails | Tails)) of the chain with an alternation and a bias, each on its own.

    As in the reference (after Falk and Konold): what the alternation says times what the bias says, renormalised. At
    p_alt = .5 it is a coin of that bias; above, it alternates more than one. Takes arrays.
    """
    stay = 1 - p_alt
    heads = 1 - p_tails
    return p_alt * p_tails / (p_alt * p_tails + stay * heads), stay * p_tails / (stay * p_tails + p_alt * heads)


def source(text: str) -> Source:
    """The source named ``text``, as `settings.source_numbers` reads it.

    "markov:0.8" alternates with probability .8; "markov:0.8,0.3" has a bias of 30 % Tails besides.
    """
    kind, p = source_numbers(text)
    if kind == "bernoulli":
        return Source(text, np.ones(1), np.ones((1, 1)), np.array([p["p_tails"]]))
    if kind == "markov":
        after = np.array(transitions(p["p_alt"], p["p_tails"]))
        first = np.array([1 - p["p_tails"], p["p_tails"]])
        return Source(text, first, np.stack([1 - after, after], axis=1), np.array([0.0, 1.0]))
    if kind == "hmm":
        switch = p["p_switch"]
        move = np.array([[1 - switch, switch], [switch, 1 - switch]])
        return Source(text, np.full(2, 0.5), move, np.array([p["p_first"], p["p_second"]]))
    tails = np.arange(1, 20) / 20
    move = np.eye(19) * (1 - p["p_step"])
    for place in range(19):
        for to in (max(0, place - 1), min(18, place + 1)):  # a step beyond the end stays there
            move[place, to] += p["p_step"] / 2
    return Source(text, np.full(19, 1 / 19), move, tails)


def draw(text: str, n: int, seed: int) -> str:
    """``n`` flips of a source, drawn from numpy's generator of that seed."""
    made, rng = source(text), np.random.default_rng(seed)
    state, flips = rng.choice(len(made.start), p=made.start), ""
    for _ in range(n):
        flips += "T" if rng.random() < made.tails[state] else "H"
        state = rng.choice(len(made.start), p=made.move[state])
    return flips


def known_source(text: str, flips: str) -> np.ndarray:
    """p(Tails) before each flip, (n,), of an observer who knows the source but sees only the flips (forward filter)."""
    made = source(text)
    belief, predictions = made.start, []
    for flip in parse_flips(flips):
        predictions.append(belief @ made.tails)
        seen = belief * (made.tails if flip == "T" else 1 - made.tails)  # (S,)
        belief = seen / seen.sum() @ made.move
    return np.array(predictions)


def source_bits(model, sources: Sequence[str], n_flips: int, seeds: Sequence[int], **options) -> Results:
    """Bits a flip that the model asks for flips of each source, beside an observer who knows the source.

    ``options``: `next_flip_curve`'s.

    Returns
    -------
    Results
        An arm a source, a row a seed. Measures: "model", "knows the source" and "dearer by", the difference; a fair
        coin's predictions cost 1 bit whatever comes. Label: "sequence".
    """
    results = Results(f"sources, {model.name}", model=model, settings=options)

    def make(missing) -> Iterator[Row]:
        for arm, item, seed in missing:
            flips = draw(arm, n_flips, seed)
            ours = bits_per_flip(flips, next_flip_curve(afresh(model), flips, **options)[0])
            best = bits_per_flip(flips, known_source(arm, flips))
            measures = {"model": ours, "knows the source": best, "dearer by": ours - best}
            yield Row(arm, item, seed, f"seed {seed}", measures, {"sequence": flips})

    results.compute([(one, f"{n_flips} flips", seed) for one in dict.fromkeys(sources) for seed in seeds], make)
    return results
