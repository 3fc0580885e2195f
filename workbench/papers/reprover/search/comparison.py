"""Provers side by side: the same theorems, the same number of Lean calls, a row a theorem and prover.

A comparison declares its provers by name (`Declared`); each is made from the training theorems of the part that is
being proved, and only where rows are missing. A row keeps the proof, the tree and when the proof came, so that one
search of 60 calls also says what 5, 20 and 40 would have given.
"""

import math
import queue
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from ....bars import tqdm
from ....results import Results
from ....rows import Key, Row
from ..corpus.corpus import Corpus, TracedTheorem
from ..generate.opening import generator as open_generator
from ..lean.session import Session
from ..lean.source import find_theorem
from ..lean.states import Theorem
from ..retrieve import retriever as open_retriever
from ..settings import PROVERS
from .best_first import WIDTH, Budget, Search
from .prover import PREMISES, Proof, Prover, attempt_with

AFTER = (5, 20, 40, 60)  # calls of Lean at which the curve is read
Part = tuple[Sequence[TracedTheorem], Sequence[str | Theorem]]  # what a prover may learn from, what it is asked


@dataclass(frozen=True)
class Declared:
    """A prover by the names of its parts.

    Attributes
    ----------
    generator : what `generate.opening.generator` takes
    retriever : what `retriever` takes, to choose premises; None: there are none
    """

    generator: str
    retriever: object = None
    k: int = PREMISES
    width: int = WIDTH
    depth: int | None = None


def declared(names: Sequence[str], generator: str = "small", trained: str = "linear") -> dict[str, Declared]:
    """The paper's provers of these names (`settings.PROVERS`), in its order; the last four use this ``generator``."""
    all_of_them = (
        Declared("commonest"),
        Declared("fixed", width=10_000, depth=6),
        Declared("neighbours"),
        Declared("neighbours", "bm25"),
        Declared(generator),
        Declared(generator, "bm25"),
        Declared(generator, trained),
        Declared(generator, "random"),
    )
    return {name: one for name, one in zip(PROVERS, all_of_them, strict=True) if name in names}


def after(budget: Budget) -> list[int]:
    """The numbers of calls at which the curve is read: those of `AFTER` within the budget, and the budget."""
    return sorted({n for n in AFTER if n < budget.calls} | {budget.calls})


def folds(theorems: Sequence[TracedTheorem], n: int, *, seed: int) -> list[tuple[list, list]]:
    """The theorems in ``n`` parts at random, each as (all others, the part): every theorem is asked once."""
    shuffled = list(theorems)
    random.Random(seed).shuffle(shuffled)
    parts = [shuffled[number::n] for number in range(n)]
    return [([one for other in parts if other is not part for one in other], part) for part in parts]


def compare(
    name: str, corpus: Corpus, parts: Sequence[Part], provers: dict[str, Declared], budget: Budget, *,
    sessions: Sequence[Session], seed: int = 0, progress: bool = False,
) -> Results:  # fmt: skip
    """Every prover on the theorems of every part.

    Parameters
    ----------
    parts : sequence of (training theorems, theorems asked)
        Of a given split one; of cross-validation (`folds`) one a fold. Asked are full names, or `Theorem`s.
    sessions : sequence of Session
        Running Leans; each takes the next theorem. The rows do not depend on how many there are, unless the budget has
        seconds.

    Returns
    -------
    Results
        Measures: "proved", and "proved after N" for each N of `after`; NaN where the theorem did not
        open. Labels: "status", "why not", "proof" and "proved, in full". The reply is the proof with the tree behind
        it. Costs: "calls" of Lean, "seconds" of the search and of them "generating".
    """
    library, first = sessions[0].library, sessions[0]
    given = [[[one.full_name for one in train], [_about(one) for one in asked]] for train, asked in parts]
    identity = {arm: [one.generator, str(getattr(one.retriever, "name", one.retriever)), one.k, one.width, one.depth]
                for arm, one in provers.items()}  # fmt: skip
    settings = [str(library.build or library.root), first.timeout, first.memory_mb, corpus.fingerprint, given, identity,
                budget.calls, budget.seconds, seed]  # fmt: skip
    results = Results(name, model=f"Lean {library.engine.version}", settings=settings)
    for train, asked in parts:
        about = {_name(one): find_theorem(library, one) if isinstance(one, str) else one for one in asked}

        def rows(missing: Sequence[Key], train=train, about=about) -> Iterable[Row]:
            wanted = dict.fromkeys(arm for arm, _, _ in missing)
            made = opened(corpus, train, {arm: provers[arm] for arm in wanted}, seed)

            def row(session: Session, arm: str, item: str) -> Row:
                proof = attempt_with([session], about[item], made[arm], budget, corpus)
                return _row(arm, item, about[item].statement, proof, budget)

            yield from tqdm(_shared(sessions, missing, row), total=len(missing), desc=f"proving, {name}",
                            unit="attempt", disable=not progress)  # fmt: skip

        results.compute([(arm, one, 0) for one in about for arm in provers], rows)
    return results


def opened(
    corpus: Corpus, train: Sequence[TracedTheorem], provers: dict[str, Declared], seed: int
) -> dict[str, Prover]:
    """Declared provers made from the training theorems; those that name the same parts share them."""
    generators = {one.generator: open_generator(one.generator, corpus, train, seed=seed) for one in provers.values()}
    retrievers = {one.retriever: open_retriever(one.retriever, corpus, train, seed=seed)
                  for one in provers.values() if one.retriever is not None}  # fmt: skip
    return {
        arm: Prover(generators[one.generator], retrievers.get(one.retriever), one.k, one.width, one.depth)
        for arm, one in provers.items()
    }


def _shared(
    sessions: Sequence[Session], keys: Sequence[Key], make: Callable[[Session, str, str], Row]
) -> Iterable[Row]:
    """A row for each key; a free session takes the next theorem, with all that is asked of it."""
    if len(sessions) == 1:
        yield from (make(sessions[0], arm, item) for arm, item, _ in keys)
        return
    free: queue.SimpleQueue[Session] = queue.SimpleQueue()
    for session in sessions:
        free.put(session)
    arms: dict[str, list[str]] = {}
    for arm, item, _ in keys:
        arms.setdefault(item, []).append(arm)

    def work(item: str) -> list[Row]:
        session = free.get()
        try:
            return [make(session, arm, item) for arm in arms[item]]
        finally:
            free.put(session)

    pool = ThreadPoolExecutor(len(sessions))
    try:
        for done in as_completed([pool.submit(work, item) for item in arms]):
            yield from done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _row(arm: str, item: str, statement: str, proof: Proof, budget: Budget) -> Row:
    opened, search = proof.status != "not opened", proof.search
    proved = {f"proved after {n}": proof.proved and proof.calls <= n for n in after(budget)}
    measures = {"proved": proof.proved} | proved
    labels = {"status": proof.status, "why not": proof.message, "proof": "\n".join(proof.script),
              "proved, in full": proof.statement}  # fmt: skip
    cost = {"calls": proof.calls, "seconds": proof.seconds, "generating": search.generating if search else 0.0}
    return Row(arm, item, 0, "", measures if opened else dict.fromkeys(measures, math.nan), labels, statement,
               f"{labels['proof']}\n\n{written(search)}".strip() if search else "", cost)  # fmt: skip


def written(search: Search) -> str:
    """The tree as text, a line a call of Lean: the state it was tried on, what it cost, the tactic, what came of it."""
    ends = {"state": "state {}", "known": "state {} again", "finished": "finished"}
    return "\n".join(
        f"state {call.node}, {call.logprob:.2f}: {call.tactic!r:.200} -> "
        + ends.get(call.kind, call.kind).format(call.child)
        for call in search.calls
    )


def _name(one: "str | Theorem") -> str:
    return one if isinstance(one, str) else one.name


def _about(one: "str | Theorem"):
    return one if isinstance(one, str) else [one.name, one.module, one.preamble, one.statement]
