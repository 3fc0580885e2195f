"""What is asked of a retriever: a state, where its theorem stands, and for the measures what the human named."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..corpus.corpus import Corpus, Position, Tactic, TracedTheorem


class Retriever(Protocol):
    """Whatever ranks premises.

    Attributes
    ----------
    name : str
        What it is called in results.
    """

    name: str

    def scores_of(self, states: Sequence[str]):
        """A score for every premise of the corpus, larger is better: (Q, P), a row a state."""
        ...


@dataclass(frozen=True)
class Question:
    """A state, and the place of its theorem (`Corpus.accessible`)."""

    state: str
    path: str
    start: Position


@dataclass(frozen=True)
class Query:
    """A tactic with at least one positive: where it stands, its state, the premises it names (corpus places)."""

    theorem: TracedTheorem
    tactic: Tactic
    positives: frozenset[int]

    @property
    def question(self) -> Question:
        return Question(self.tactic.state_before, self.theorem.file_path, self.theorem.start)


def queries(corpus: Corpus, theorems: Sequence[TracedTheorem]) -> list[Query]:
    """Every tactic of ``theorems`` that names at least one premise of the corpus."""
    return [
        Query(theorem, tactic, positives)
        for theorem in theorems
        for tactic in theorem.tactics
        if (positives := corpus.numbers(tactic))
    ]


def texts_of(corpus: Corpus) -> tuple[str, ...]:
    """The premises as retrievers read them, (P,): the name and the statement."""
    return tuple(f"{premise.full_name} {premise.code}" for premise in corpus.premises)
