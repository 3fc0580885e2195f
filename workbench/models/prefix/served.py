"""A tree of prefixes over an engine that keeps its weights to itself: what `tasks` asks of a `PrefixTree`, answered by
its likeliest tokens (`models.forced`).

Nodes cost nothing here too. What is shared between prefixes is reused as far as the engine's slots
remember it. Answers are exact: a draw that falls beyond the likeliest tokens told asks for more of them.
"""

import time
from collections.abc import Sequence
from weakref import WeakValueDictionary

from ..forced import SOME, Forced
from .columns import Counters, Node, Prefixes


class ServedTree(Prefixes):
    """Prefixes of one model in an engine.

    Parameters
    ----------
    forced
        How next tokens are asked for.
    spent
        () -> (requests, tokens computed, tokens reused) of the engine so far.
    """

    def __init__(self, forced: Forced, spent):
        self.forced, self.name, self.vocabulary = forced, forced.name, forced.size
        self.notes: dict = {}
        self.root = Node(None, -1)
        self._index: WeakValueDictionary = WeakValueDictionary()
        self._spent, self._before, self._seconds = spent, spent(), 0.0

    @property
    def counters(self) -> Counters:
        """As `PrefixTree.counters`; a forward is a request, which may share the engine's forward with others."""
        requests, tokens, reused = (now - then for now, then in zip(self._spent(), self._before, strict=True))
        return Counters(requests, tokens, reused, 0, self._seconds)

    def answer(self, questions: Sequence) -> list:
        """Answers to `tasks`' questions: one request a node, several at a time; more where one was not enough."""
        start, wanted = time.perf_counter(), {}
        for question in questions:
            wanted[question.node] = max(wanted.get(question.node, 0), question.likeliest)
        tops: dict[Node, dict[int, float]] = {}
        for count in sorted(set(wanted.values())):
            same = [node for node, most in wanted.items() if most == count]
            tops.update(zip(same, self.forced.top([list(node.ids) for node in same], count), strict=True))
        answers = [question.told(Told(self, question.node, tops[question.node])) for question in questions]
        self._seconds += time.perf_counter() - start
        return answers


class Told:
    """What is known of the next token after a node; more is asked for where it is not enough."""

    def __init__(self, tree: ServedTree, node: Node, known: dict[int, float]):
        self.tree, self.node, self.known = tree, node, known

    def ranked(self, count: int) -> list[tuple[int, float]]:
        """The ``count`` likeliest tokens at most, the likeliest first, with log-probabilities."""
        ranked = sorted(self.known.items(), key=lambda item: (-item[1], item[0]))
        # the anchor may have been told beyond the likeliest: what was asked for is cut before it
        return ranked[: min(count, max(1, len(ranked) - 1))] if count < self.tree.vocabulary else ranked

    def more(self) -> bool:
        """Ask for more of the likeliest; False where all are known."""
        if len(self.known) >= self.tree.vocabulary:
            return False
        count = SOME if len(self.known) < SOME else self.tree.vocabulary
        (self.known,) = self.tree.forced.top([list(self.node.ids)], count)
        return True

    def of(self, tokens: Sequence[int]) -> list[float]:
        """The log-probabilities of given tokens."""
        if missing := [token for token in tokens if token not in self.known]:
            found = self.tree.forced.score_next(list(self.node.ids), missing)
            self.known = self.known | dict(zip(missing, found, strict=True))
        return [self.known[token] for token in tokens]
