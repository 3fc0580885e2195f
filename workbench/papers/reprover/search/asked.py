"""A search that somebody watches: begun from any state, gone on with a while at a time, told in plain values."""

import time

from ..corpus.corpus import Corpus
from ..generate.opening import generator as open_generator
from ..lean.session import Session
from ..lean.states import ProofFinished, TacticState
from ..retrieve import retriever as open_retriever
from .best_first import Budget, Search
from .premises import Chooser
from .prover import PREMISES, training, why_failed


class Asked:
    """A prover that works on a state.

    Parameters
    ----------
    session : Session
    corpus : Corpus
    state : TacticState
    model, retriever : as in `prove`
    calls : int
        Of Lean, at most.
    """

    def __init__(self, session: Session, corpus: Corpus, state: TacticState, model, retriever, *, calls: int) -> None:
        theorems = training(corpus, state.theorem.name)
        chooser = Chooser(corpus, state.theorem, open_retriever(retriever, corpus, theorems), k=PREMISES)
        self.budget = Budget(calls)
        self.search = Search(state, open_generator(model, corpus, theorems), chooser, [session])

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        done = self.search.finished is not None or self.search.exhausted
        return done or len(self.search.calls) >= self.budget.calls

    def go_on(self, told, seconds: float | None = None) -> ProofFinished | None:
        """Search on, for ``seconds`` at most; ``told()`` is called after each call of Lean."""
        until = None if seconds is None else time.perf_counter() + seconds

        def seen(_) -> bool:
            told()
            return until is not None and time.perf_counter() > until

        return self.search.run(self.budget, seen)

    def states(self) -> list[tuple[tuple[str, ...], TacticState | ProofFinished, float]]:
        """Every state reached: (script, state, sum of log-probabilities)."""
        return [(node.state.script, node.state, node.logprob) for node in self.search.nodes]

    def news(self) -> dict:
        """In plain values: "from" (the proof that it began with), "calls", "most", "over", "message", and "premises"
        with their scores, as the state whose tactics are tried now was given them."""
        calls = len(self.search.calls)
        proved = self.search.finished is not None
        return {
            "from": "\n".join(self.search.start.script), "calls": calls, "most": self.budget.calls, "over": self.over,
            "message": f"proved with {calls} calls of Lean" if proved else why_failed(self.search, self.budget),
            "premises": [[one.full_name, round(score, 3)] for one, score in self.search.current.premises or ()],
        }  # fmt: skip
