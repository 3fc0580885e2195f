"""Texts in pieces for the small generator: what it reads of a state and its premises, what it writes of a tactic.

A piece is a name between dots, a number, a sign, or a space with its sign (", ", " => ?_"). What is written is the
pieces one behind the other, so no text is lost; what is read leaves spaces out. A name that no training text holds is
unknown as a whole and known by its parts (``add_succ``: add, succ), and can be copied from the source.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..corpus.corpus import Premise
from ..lean.states import hypotheses

_PIECE = re.compile(r" := \?_| => \?_| \| |, |[^\W\d][\w'!?]*|\d+|\s+|\w|[^\w\s]")
_PART = re.compile(r"_|(?<=[a-z])(?=[A-Z])")
PAD, START, END, UNKNOWN = range(4)
SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")
PARTS = 4  # of a piece at most
STATE, PREMISE = 72, 18  # pieces that are read at most
PREMISES = 5  # that are read at most


def written(tactic: str) -> list[str]:
    """A tactic's pieces; joined they are the tactic."""
    return _PIECE.findall(tactic)


def read(text: str) -> list[str]:
    """A text's pieces without spaces."""
    return [piece.strip() for piece in _PIECE.findall(text) if piece.strip()]


@dataclass(frozen=True)
class Source:
    """What is read: pieces, and for each the segment (0 is the state, r the premise of rank r) and the place in it."""

    pieces: tuple[str, ...]
    segments: tuple[int, ...]
    places: tuple[int, ...]


def goal_of(state: str) -> list[str]:
    """The pieces of the first goal, on which the next tactic works; of a long one the end, where the goal stands."""
    return read(state.split("\n\n")[0])[-STATE:]


def premise_of(premise: Premise) -> list[str]:
    """The pieces of a premise: its name, and the end of its statement, where the conclusion stands."""
    name = read(premise.full_name)
    return [*name, ":", *read(premise.code)[len(name) :][-(PREMISE - len(name) - 1) :]][:PREMISE]


def source_of(goal: Sequence[str], premises: Sequence[Sequence[str]]) -> Source:
    """Premises first, the best one nearest the state, which stands at the end."""
    parts = [*reversed(list(enumerate(premises[:PREMISES], 1))), (0, goal)]
    return Source(
        tuple(piece for _, some in parts for piece in some),
        tuple(rank for rank, some in parts for _ in some),
        tuple(place for _, some in parts for place in range(len(some))),
    )


def names_by_kind(state: str) -> list[list[str]]:
    """The first goal's hypotheses whose statements are equal, in groups: their names can be exchanged."""
    groups: dict[str, list[str]] = {}
    for name, kind in hypotheses(state.split("\n\n")[0]):
        groups.setdefault(kind, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


class Vocabulary:
    """Numbers of pieces and of their parts.

    Parameters
    ----------
    pieces, parts : sequence of str
        In their order; `SPECIAL` comes first among the pieces, "" (no part) and "?" (an unknown one) among the parts.
    writable : int
        The first so many pieces can be written; the rest are read, and copied.
    """

    def __init__(self, pieces: Sequence[str], parts: Sequence[str], writable: int) -> None:
        self.pieces, self.parts, self.writable = list(pieces), list(parts), writable
        self._place = {piece: number for number, piece in enumerate(self.pieces)}
        self._part = {part: number for number, part in enumerate(self.parts)}

    @classmethod
    def of(cls, read: Iterable[str], written: Iterable[str]) -> "Vocabulary":
        """Of training texts: every piece that is written, those that are read twice or more, and all parts."""
        often = Counter(read)
        first = [*SPECIAL, *sorted(set(written))]
        known = dict.fromkeys([*first, *sorted(piece for piece, n in often.items() if n > 1)])
        parts = sorted({part for piece in [*known, *often] for part in _parts(piece)})
        return cls(list(known), ["", "?", *parts], len(first))

    def __len__(self) -> int:
        return len(self.pieces)

    def number(self, piece: str) -> int:
        """Its place, or `UNKNOWN`."""
        return self._place.get(piece, UNKNOWN)

    def parts_of(self, piece: str) -> list[int]:
        """The numbers of its parts, filled up to `PARTS` with 0."""
        found = [self._part.get(part, 1) for part in _parts(piece)[:PARTS]]
        return found + [0] * (PARTS - len(found))


def _parts(piece: str) -> list[str]:
    return [part.lower() for part in _PART.split(piece) if part] if piece[:1].isalpha() else []
