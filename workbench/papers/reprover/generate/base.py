"""What the search asks of a generator, and the small things that generators share."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from ..corpus.corpus import Premise

Proposals = list[tuple[str, float]]  # tactics with their log-probabilities, best first, none twice


class Generator(Protocol):
    """Whatever proposes tactics for states.

    Attributes
    ----------
    name : str
        What it is called in results.
    """

    name: str

    def propose(self, states: Sequence[str], premises: Sequence[Sequence[Premise]], n: int) -> list[Proposals]:
        """At most ``n`` tactics for each state, given the premises that were chosen for it (best first, maybe none)."""
        ...


def ordered(weights: Mapping[str, float], n: int) -> Proposals:
    """The ``n`` heaviest texts as proposals: weights above 0 become probabilities over *all* of the texts.

    Of equally heavy texts the one that was put in first comes first.
    """
    total = math.fsum(weights.values())
    best = sorted(weights, key=lambda text: -weights[text])[:n]
    return [(text, math.log(weights[text] / total)) for text in best if weights[text] > 0]
