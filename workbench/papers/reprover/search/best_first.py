"""Best-first search over proof states (§5.3): the state whose steps are likeliest together is expanded next.

1. Nodes are states, known by their full text; the first way to a state is the one that counts.
2. The open node of the highest sum of log-probabilities is taken, premises are chosen for it, the generator proposes
   at most `WIDTH` tactics, and Lean is asked for each in turn. A tactic that leaves goals makes a new open node.
3. The search ends with the first finished proof, with no open node, or with the budget.

Deviations from the reference: the budget counts calls of Lean (a refused tactic is one) and, where asked for, seconds;
the rest of a node's tactics is not tried once a proof is found. As there, the seconds include generation, and a proof
that is found after them does not count. Several workers try tactics of one node at once; their answers are taken in
the generator's order, so that nodes, calls and proof are those of one worker.
"""

import contextlib
import heapq
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from ....errors import UsageError
from ..corpus.corpus import Premise
from ..generate.base import Generator, Proposals
from ..lean.session import Session
from ..lean.states import LeanError, ProofFinished, ProofGivenUp, TacticState

WIDTH = 16  # tactics proposed for a node; the paper's 64 are for a budget of minutes
_TURN = threading.Lock()  # a generator serves several searches, and is asked by one at a time
Chosen = Sequence[tuple[Premise, float]]  # premises with their scores, best first


@dataclass(frozen=True)
class Budget:
    """How much a search may spend: calls of Lean, and wall seconds (generation included; None: no limit)."""

    calls: int = 60
    seconds: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.calls, bool) or not isinstance(self.calls, int) or self.calls < 1:
            raise UsageError(f"calls={self.calls!r} is no budget: give a whole number of at least 1")
        if self.seconds is not None and not (isinstance(self.seconds, (int, float)) and self.seconds > 0):
            raise UsageError(f"seconds={self.seconds!r} is no budget: give a number above 0, or None for no limit")


@dataclass
class Node:
    """A state of the tree.

    Attributes
    ----------
    number : in order of discovery; 0 is the theorem
    state : what tactics are run on
    logprob : sum of the log-probabilities of the steps that led here
    parent : number of the node that it came from; None for the theorem
    premises : those that the generator was given, with scores; None as long as the node was not expanded
    """

    number: int
    state: TacticState | ProofFinished
    logprob: float
    parent: int | None = None
    premises: Chosen | None = None


@dataclass(frozen=True)
class Call:
    """One tactic tried. ``kind``: "state" (a new node), "known" (a state met before), "finished", "failed", "given up".

    ``child`` is the node it leads to; ``message`` says why it failed.
    """

    node: int
    tactic: str
    logprob: float
    kind: str
    child: int | None = None
    message: str = ""


@dataclass
class Search:
    """A search that can be stopped and gone on with: `run` again, with a larger budget if the old one is spent.

    Attributes
    ----------
    start : the theorem's first state
    generator : what proposes tactics
    choose : premises for a state's text, best first
    sessions : running Leans, one a worker
    width : tactics proposed for a node
    depth : longest proof, None for no limit
    nodes, calls : the tree, and every tactic tried, in order
    seconds : spent so far; ``generating``: of them on premises and proposals
    unusable : proposals that were no text or had no finite score; they cost no call
    silent : nodes for which nothing was proposed
    finished : the proof, not recompiled yet; ``found_at``: after how many seconds
    """

    start: TacticState
    generator: Generator
    choose: Callable[[str], Chosen]
    sessions: Sequence[Session]
    width: int = WIDTH
    depth: int | None = None
    nodes: list[Node] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    seconds: float = 0.0
    generating: float = 0.0
    unusable: int = 0
    silent: int = 0
    finished: ProofFinished | None = None
    found_at: float = math.inf

    def __post_init__(self) -> None:
        self.nodes.append(Node(0, self.start, 0.0))
        self._known = {self.start.pp: 0}  # a state's text -> its node
        self._open = [(0.0, 0)]  # heap of (-log-probability, node): of equal ones the older comes first
        self._now = self.nodes[0]
        self._rest: deque[tuple[str, float]] = deque()  # proposals for `_now` that were not tried yet

    @property
    def current(self) -> Node:
        """The node whose tactics are being tried."""
        return self._now

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left to try."""
        return not self._open and not self._rest

    def run(self, budget: Budget, told: "Callable[[Search], object] | None" = None) -> ProofFinished | None:
        """Go on until a proof, the end of the budget or the end of the tree.

        Parameters
        ----------
        told : callable, optional
            Called after each call of Lean; the search pauses where its answer is true.

        Returns
        -------
        ProofFinished or None
            None also for a proof that was found after ``budget.seconds``.
        """
        began, before = time.perf_counter(), self.seconds
        waiting: deque[Future] = deque()  # answers to the first of `_rest`, on their way
        with _workers(self.sessions) as ask:
            while self.finished is None and len(self.calls) < budget.calls:
                self.seconds = before + time.perf_counter() - began
                if budget.seconds is not None and self.seconds > budget.seconds:
                    break
                if not self._rest and not self._expand():
                    break
                most = min(len(self.sessions), len(self._rest), budget.calls - len(self.calls))
                while len(waiting) < most:
                    waiting.append(ask(self._now.state, self._rest[len(waiting)][0]))
                answer = waiting.popleft().result()
                self.seconds = before + time.perf_counter() - began
                self._take(*self._rest.popleft(), answer)
                if told is not None and told(self):
                    break
        self.seconds = before + time.perf_counter() - began
        return self.finished if budget.seconds is None or self.found_at <= budget.seconds else None

    def _expand(self) -> bool:
        """Proposals for the best open node that has any; False where no open node is left."""
        while self._open:
            began = time.perf_counter()
            node = self.nodes[self._open[0][1]]
            text = node.state.pp
            with _TURN:
                node.premises = self.choose(text)
                (proposed,) = self.generator.propose([text], [[premise for premise, _ in node.premises]], self.width)
            heapq.heappop(self._open)  # not before: a generator that fails (a dead server) leaves the node open
            self._now, self._rest = node, deque(self._usable(proposed))
            self.generating += time.perf_counter() - began
            if self._rest:
                return True
            self.silent += 1
        return False

    def _usable(self, proposed: Proposals) -> Proposals:
        """Texts with finite scores, best first, none twice."""
        kept: dict[str, float] = {}
        for tactic, logprob in proposed:
            if not isinstance(tactic, str) or not math.isfinite(logprob):
                self.unusable += 1
            else:
                kept.setdefault(tactic, float(logprob))
        return sorted(kept.items(), key=lambda pair: -pair[1])[: self.width]

    def _take(self, tactic: str, logprob: float, answer) -> None:
        """Put Lean's answer to a tactic of the present node into the tree."""
        kind, child, message, total = "failed", None, "", self._now.logprob + logprob
        if isinstance(answer, ProofFinished):
            kind, child = "finished", len(self.nodes)
            self.nodes.append(Node(child, answer, total, self._now.number))
            self.finished, self.found_at = answer, self.seconds
        elif isinstance(answer, TacticState):
            child = self._known.setdefault(answer.pp, len(self.nodes))
            kind = "state" if child == len(self.nodes) else "known"
            if kind == "state":
                self.nodes.append(Node(child, answer, total, self._now.number))
                if self.depth is None or len(answer.script) < self.depth:
                    heapq.heappush(self._open, (-total, child))
        elif isinstance(answer, ProofGivenUp):
            kind = "given up"
        elif isinstance(answer, LeanError):
            message = answer.message
        self.calls.append(Call(self._now.number, tactic, logprob, kind, child, message))


class _Answered(Future):
    """The answer of a Lean that was asked in this thread, so that an interrupt reaches it."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.set_result(answer)


@contextlib.contextmanager
def _workers(sessions: Sequence[Session]) -> Iterator[Callable[[TacticState, str], Future]]:
    """A function that has a free session try a tactic; at the end answers on their way are waited for."""
    if len(sessions) == 1:
        yield lambda state, tactic: _Answered(sessions[0].run_tac(state, tactic))
        return
    free: queue.SimpleQueue[Session] = queue.SimpleQueue()
    for session in sessions:
        free.put(session)

    def asked(state: TacticState, tactic: str):
        session = free.get()
        try:
            return session.run_tac(state, tactic)
        finally:
            free.put(session)

    with ThreadPoolExecutor(len(sessions)) as pool:
        yield lambda state, tactic: pool.submit(asked, state, tactic)
