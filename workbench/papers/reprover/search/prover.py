"""A prover (a generator, a retriever, a search) on one theorem: opened, searched, recompiled, written down."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ....errors import UsageError
from ....files import write_atomic
from ..corpus.corpus import Corpus, TracedTheorem
from ..corpus.tracing import own_corpus, trace
from ..explore import lean_file, subject
from ..generate.base import Generator
from ..generate.opening import generator as open_generator
from ..lean.engine import LIBRARY, Library
from ..lean.session import Session
from ..lean.states import TacticState, Theorem
from ..retrieve import retriever as open_retriever
from ..retrievers.queries import Retriever
from .best_first import WIDTH, Budget, Search
from .premises import Chooser

PREMISES = 10  # given to the generator


@dataclass(frozen=True)
class Prover:
    """How theorems are attempted.

    Attributes
    ----------
    generator : what proposes tactics
    retriever : what scores the premises that it is given; None: it is given none
    k : how many
    width : tactics proposed for a state, at most
    depth : longest proof, None for no limit
    """

    generator: Generator
    retriever: Retriever | None = None
    k: int = PREMISES
    width: int = WIDTH
    depth: int | None = None


@dataclass(frozen=True)
class Proof:
    """One theorem tried.

    Attributes
    ----------
    theorem : its full name
    status : "proved" (recompiled and accepted), "failed", "not opened" or "rejected" (by the last word)
    script : the proof's tactics
    calls : of Lean
    seconds : of the search, generation included; opening and the last word are not
    message : why there is no proof; or what of its file the statement rests on
    statement : what was proved, as it was elaborated: full names, every argument
    lean : the proof as a file that compiles, "" without one
    search : its tree
    """

    theorem: str
    status: str
    script: tuple[str, ...] = ()
    calls: int = 0
    seconds: float = 0.0
    message: str = ""
    statement: str = ""
    lean: str = field(default="", repr=False)
    search: Search | None = field(default=None, repr=False, compare=False)

    @property
    def proved(self) -> bool:
        return self.status == "proved"

    def save(self, path) -> Path:
        """Write the proof as a .lean file.

        Raises
        ------
        UsageError
            There is none.
        """
        if not self.proved:
            raise UsageError(f"{self.theorem} was not proved ({self.status}): there is no proof to save")
        return write_atomic(path, self.lean)


def prove(
    theorem: str | Theorem, *, model=None, retriever="bm25", budget: Budget | None = None, workers: int = 1,
    library=None, session: Session | None = None, corpus: Corpus | None = None, seed: int = 0,
    told: Callable[[Search], object] | None = None,
) -> Proof:  # fmt: skip
    """Search a proof of a theorem, and have it recompiled.

    Parameters
    ----------
    theorem : str or Theorem
        ``theorem NAME (x : T) : PROPOSITION``, the full name of a theorem of the library, or what `own_theorem` gives.
    model : Generator, str or None
        What proposes tactics: a generator or its name; None: the nearest neighbours.
    retriever : str, Retriever or None
        What chooses the premises that the generator is given (`retriever` opens it); None: it is given none.
    budget : Budget, optional
        By default 60 calls of Lean.
    workers : int
        Leans that run at once; the proof, the tree and the number of calls do not depend on it.
    library : Library or folder, optional
        Where the theorem lives: a Lake project; None: the mini library.
    session : Session, optional
        A running Lean to use, in place of ``library`` and ``workers``; it is not closed.
    corpus : Corpus, optional
        The trace of the library; by default the kept one, or one made now.
    told : callable, optional
        Is given the `Search` after each call of Lean; it pauses for good where the answer is true.

    Raises
    ------
    LeanMissing
        There is no Lean.
    UsageError, DataError
        An unknown name, a text that is no statement, a name that the library has already.
    """
    budget = Budget() if budget is None else budget
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise UsageError(f"workers={workers!r} is impossible: give a whole number of at least 1")
    with contextlib.ExitStack() as stack:
        if session is None:
            first = stack.enter_context(Session(library))
            sessions = [first, *(stack.enter_context(Session(first.library)) for _ in range(workers - 1))]
        else:
            sessions = [session]
        corpus = corpus_of(sessions[0].library) if corpus is None else corpus
        named = theorem_of(corpus, theorem, sessions[0].library)
        theorems = training(corpus, named.name)
        by = None if retriever is None else open_retriever(retriever, corpus, theorems, seed=seed)
        prover = Prover(open_generator(model, corpus, theorems, seed=seed), by)
        return attempt_with(sessions, named, prover, budget, corpus, told=told)


def attempt_with(
    sessions: Sequence[Session], theorem: Theorem, prover: Prover, budget: Budget, corpus: Corpus, *,
    told: Callable[[Search], object] | None = None,
) -> Proof:  # fmt: skip
    """`prove` with everything given: one theorem, one prover, running Leans."""
    state = sessions[0].open(theorem)
    if not isinstance(state, TacticState):
        why = getattr(state, "message", "its statement gives a goal up (sorry)")
        return Proof(theorem.name, "not opened", message=why)
    choose = Chooser(corpus, theorem, prover.retriever, k=prover.k)
    search = Search(state, prover.generator, choose, sessions, prover.width, prover.depth)
    finished = search.run(budget, told)
    about = {"calls": len(search.calls), "seconds": search.seconds, "search": search}
    if finished is None:
        return Proof(theorem.name, "failed", message=why_failed(search, budget), **about)
    told_last = sessions[0].verify(finished)
    if not told_last.ok:
        return Proof(theorem.name, "rejected", finished.script, message=told_last.message, **about)
    return Proof(theorem.name, "proved", finished.script, message=told_last.message if told_last.own else "",
                 statement=told_last.statement, lean=lean_file(finished), **about)  # fmt: skip


def why_failed(search: Search, budget: Budget) -> str:
    """Why a search ended without a proof that counts, in one sentence."""
    calls = f"{len(search.calls)} call{'s' * (len(search.calls) != 1)} of Lean"
    if search.finished is not None:
        said = f"a proof was found after {search.found_at:.1f} s, too late for the {budget.seconds:g} s allowed"
    elif search.exhausted:
        said = f"nothing is left to try after {calls}"
    elif budget.seconds is not None and search.seconds > budget.seconds:
        said = f"no proof within {budget.seconds:g} s ({calls})"
    elif len(search.calls) >= budget.calls:
        said = f"no proof within {calls}"
    else:
        said = f"stopped after {calls}"
    if search.silent:
        said += f"; nothing was proposed for {search.silent} of {len(search.nodes)} states"
    if search.unusable:
        said += f"; {search.unusable} proposals had no finite score"
    return said


def corpus_of(library: Library) -> Corpus:
    """The kept trace for the mini library; of another one the premises that its build knows, traced without states."""
    if library.engine.kind != "lake" and library.root == LIBRARY.resolve():
        return own_corpus()
    return trace(replace(library, modules=tuple(filter(library.resolves, library.modules))), states=False)


def theorem_of(corpus: Corpus, theorem: str | Theorem, library: Library) -> Theorem:
    """The theorem that is meant by a name, a statement or a `Theorem`.

    Raises
    ------
    UsageError
        A statement under a name that the library has.
    """
    found = theorem if isinstance(theorem, Theorem) else subject(corpus, theorem, library.root).theorem
    if not found.module and found.name in {premise.full_name for premise in corpus.premises}:
        raise UsageError(
            f"the library has a {found.name} already: give the theorem another name, or ask for {found.name} alone"
        )
    return found


def training(corpus: Corpus, without: str) -> list[TracedTheorem]:
    """The traced theorems but the one of this name; those of the mini library where the corpus has no states."""
    theorems = [one for one in corpus.theorems if one.full_name != without]
    if any(step.state_before for one in theorems for step in one.tactics):
        return theorems
    return [one for one in own_corpus().theorems if one.full_name != without]
