"""The floor of a learned generator: the tactics of the most similar training states, with the names exchanged.

1. BM25 over the first goals of all training states finds the nearest ones.
2. A neighbour's tactic names hypotheses of *its* state: each is replaced by the present state's hypothesis that plays
   its part: of the same name and the same kind of statement, else of the same kind, else of the same head (`_match`).
3. A tactic's probability is the share of its neighbours in the softmax of their BM25 scores.
4. With premises, a part of the probability goes to `FORMS` of the first three, as often as proofs use each form.

Nothing is learned: what a trained generator must beat.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..corpus.corpus import Premise, TracedTheorem
from ..lean.lexical import NAME, tokens
from ..lean.states import hypotheses
from ..retrieve import BM25, words
from .base import Proposals, ordered

NEAREST = 64  # training states whose tactics are considered
TEMPERATURE = 4.0  # of the softmax over BM25 scores; chosen on the validation part
# how a premise is used, by how often the library's proofs do it so (simp next to never)
FORMS = {"rw [{}]": 0.4, "exact {}": 0.4, "apply {}": 0.15, "simp [{}]": 0.05}
# the share of probability that the premises get: a third of the library's steps name one, and BM25's first three hold
# it less than half the time; .1 and .3 proved as many of the validation part
GIVEN = 0.15
USED = 3  # premises that are put into forms
SIGNS = "∀∃→↔∨∧¬=≠≤<∈"  # of statements, the ones that bind least first


class Neighbours:
    """Copies the tactics of similar training states.

    Parameters
    ----------
    theorems : sequence of TracedTheorem
        The training part, with states.
    """

    name = "neighbours"

    def __init__(self, theorems: Sequence[TracedTheorem]) -> None:
        steps = [(_goal(step.state_before), step.tactic) for one in theorems for step in one.tactics]
        self._index = BM25([goal for goal, _ in steps], split=words) if steps else None
        self._steps = [(parts(goal), pieces(tactic)) for goal, tactic in steps]

    def propose(self, states: Sequence[str], premises: Sequence[Sequence[Premise]], n: int) -> list[Proposals]:
        """At most ``n`` tactics for each state; ``premises`` holds those chosen for each, best first."""
        if self._index is None:
            copied: list[dict[str, float]] = [{} for _ in states]
        else:
            scored = self._index.scores_of([_goal(state) for state in states])  # (Q, D)
            copied = [self._copied(state, scores) for state, scores in zip(states, scored, strict=True)]
        return [ordered(_mixed(weights, _applied(some)), n) for weights, some in zip(copied, premises, strict=True)]

    def _copied(self, state: str, scores) -> dict[str, float]:
        """Tactic -> its neighbours' share of the softmax."""
        nearest = np.argsort(-scores, kind="stable")[:NEAREST]
        shares = np.exp((scores[nearest] - scores[nearest[0]]) / TEMPERATURE)
        weights: dict[str, float] = {}
        here = parts(_goal(state))
        for number, share in zip(nearest, shares, strict=True):
            theirs, tactic = self._steps[number]
            text = exchanged(tactic, theirs, here)
            if text is not None:
                weights[text] = weights.get(text, 0.0) + float(share)
        return weights


def _applied(premises: Sequence[Premise]) -> dict[str, float]:
    """Forms of the first premises; the k-th weighs 1/k."""
    return {
        form.format(premise.full_name): share / rank
        for rank, premise in enumerate(premises[:USED], 1)
        for form, share in FORMS.items()
    }


def _mixed(copied: dict[str, float], applied: dict[str, float]) -> dict[str, float]:
    """Both as one distribution, in which the premises' forms have the share `GIVEN` (all where nothing is copied)."""
    if not copied or not applied:
        return copied or applied
    mixed = {text: (1 - GIVEN) * weight / sum(copied.values()) for text, weight in copied.items()}
    for text, weight in applied.items():
        mixed[text] = mixed.get(text, 0.0) + GIVEN * weight / sum(applied.values())
    return mixed


@dataclass(frozen=True)
class _Part:
    """A hypothesis: statements of one ``shape`` are equal but for names; ``head`` is their outermost sign."""

    name: str
    shape: str
    head: str


def parts(goal: str) -> list[_Part]:
    """The hypotheses of a goal, in order."""
    known = hypotheses(goal)
    names = {name for name, _ in known}
    shapes: dict[str, str] = {}  # several hypotheses share one statement
    for _, statement in known:
        if statement not in shapes:
            shapes[statement] = _shape(statement, names)
    return [_Part(name, shapes[statement], _head(shapes[statement])) for name, statement in known]


def exchanged(tactic: Sequence[tuple[str, str]], theirs: Sequence[_Part], ours: Sequence[_Part]) -> str | None:
    """A tactic written for hypotheses ``theirs``, for ``ours``; None where one that it names has no counterpart.

    The tactic comes in pieces (first part of a name, or "", and the rest): `pieces`.
    """
    named = {part.name: part for part in theirs}
    names: dict[str, str] = {}
    text = []
    for first, rest in tactic:
        if first in named and first not in names:
            found = _match(named[first], theirs, ours)
            if found is None:
                return None
            names[first] = found
        text.append(names.get(first, first) + rest)
    return "".join(text)


def pieces(text: str) -> list[tuple[str, str]]:
    """The text cut before each name: (the name's first part, what follows it)."""
    return [
        (token.parts[0], token.text[len(token.parts[0]) :]) if token.kind == NAME and "«" not in token.text
        else ("", token.text)
        for token in tokens(text)
    ]  # fmt: skip


def _match(part: _Part, theirs: Sequence[_Part], ours: Sequence[_Part]) -> str | None:
    """Which of ours plays the part: of the same shape, else head, the one of this name, else in this place."""
    for kind in ("shape", "head"):
        wanted = getattr(part, kind)
        mine = [one.name for one in ours if getattr(one, kind) == wanted]
        if part.name in mine:
            return part.name
        if mine:
            place = [one.name for one in theirs if getattr(one, kind) == wanted].index(part.name)
            return mine[min(place, len(mine) - 1)]
    return None


def _shape(statement: str, names: set[str]) -> str:
    """The statement with every hypothesis' name as a blank."""
    return "".join(("_" if first in names else first) + rest for first, rest in pieces(statement))


def _head(shape: str) -> str:
    """What kind of statement it is: its outermost sign (→, =, ∧, …), or its first word."""
    depth, found = 0, []
    for character in shape:
        depth += (character in "([{⟨") - (character in ")]}⟩")
        if depth == 0 and character in SIGNS:
            found.append(character)
    return min(found, key=SIGNS.index) if found else shape.split(" ", 1)[0]


def _goal(state: str) -> str:
    """The first goal, on which the next tactic works, without the name of its case."""
    return re.sub(r"\Acase .*\n", "", state.split("\n\n")[0])
