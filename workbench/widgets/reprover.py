"""The proof explorer: a theorem, its goal, a field for tactics, a real Lean's answer, and the premises in reach.

No method of its own: states are `Session`'s, scores are `top`'s, both of workbench.papers.reprover.
"""

import re
import weakref
from pathlib import Path

import traitlets

from ..errors import UsageError
from ..files import write_atomic
from ..papers import reprover
from ..papers.reprover import explore, figures
from ..papers.reprover.search.asked import Asked
from .base import Explorer, front, one_of

KEPT = 400  # failed tactics remembered
SLICE = 0.4  # seconds that the prover works between two looks at the page


class ProofExplorer(Explorer):
    """Prove a theorem step by step; go back to any earlier state; see which premises could be named.

    Lean is started by the first tactic and ended by `close` or with the kernel. States along the human's own proof are
    those of the trace until a tactic is typed: without Lean one can still walk along it.

    Parameters
    ----------
    theorem : str
        Full name of a theorem of the library, or a statement: ``theorem NAME (x : T) : PROPOSITION``.
    proof : str
        Steps to begin with, a tactic a line.
    session : Session, optional
        One that runs already (it is not closed with the widget); by default the widget has its own.
    corpus : Corpus, optional
        The trace of the session's library; by default the kept one, or for another library one made now.
    encoder : Encoder, optional
        A sentence encoder that is loaded already, as a second way to score premises.
    generator : Generator or str
        The prover's: what `reprover.prove` takes as ``model``.
    shown : int
        Premises listed.
    large : bool
        Large type, for a class (default).

    Attributes
    ----------
    answer : dict
        "name", "file", "line", "statement", "script" (tactics), "goals" (each as Lean prints it), "finished",
        "verified" ({"ok", "axioms", "message"} once finished), "proved" (the statement in full, once verified),
        "premises" [name, kind, score, code, file],
        "accessible" (how many may be named), "human_steps" (0: there is no human proof), "tree" (states visited).
    tried : list
        Tactics that failed: {"theorem", "at" (the proof they were tried on), "tactic", "kind", "message"}.
    hint : dict
        What was asked of the human's proof last.
    search : dict
        What the prover does: "theorem", "from" (the proof that it goes on from), "calls" and "most" (of Lean), "over",
        "message", "premises" (that the state tried now was given, with scores), "tree" (all states, with scores).
    missing : str
        Why there is no Lean, or "".

    Raises
    ------
    UsageError, DataError
        An unknown theorem, a statement that is none, or a step that fails, when given to the constructor.
    """

    _esm, _css = front("reprover")
    asks = ("theorem", "proof", "retriever")

    theorem = traitlets.Unicode("").tag(sync=True)
    proof = traitlets.Unicode("").tag(sync=True)
    retriever = traitlets.Unicode("bm25").tag(sync=True)
    theorems = traitlets.List().tag(sync=True)  # [name, file]
    retrievers = traitlets.List().tag(sync=True)
    tried = traitlets.List().tag(sync=True)
    hint = traitlets.Dict().tag(sync=True)
    search = traitlets.Dict().tag(sync=True)
    missing = traitlets.Unicode("").tag(sync=True)

    def __init__(self, theorem="Nat.zero_add", *, proof="", session=None, corpus=None, encoder=None,
                 generator="neighbours", shown=20, large=True):  # fmt: skip
        self._session, self._own = session, session is None
        self._root = explore.LIBRARY if session is None else session.library.root
        if corpus is None:
            kept = Path(self._root).resolve() == explore.LIBRARY.resolve()
            corpus = reprover.own_corpus() if kept else reprover.trace(session.library, states=False)
        self.corpus, self._shown = corpus, shown
        self._by = {"bm25": "bm25"} | ({} if encoder is None else {encoder.name: encoder})
        self._generator, self._asked = generator, None
        self._scores: dict[tuple, float] = {}  # (theorem, script) -> sum of log-probabilities
        self._states: dict[tuple, object] = {}  # (theorem, script) -> TacticState or ProofFinished
        self._verdicts: dict[tuple, object] = {}
        self._subjects: dict[str, object] = {}
        super().__init__(
            None, theorem=theorem, proof="\n".join(explore.split_proof(proof)), large=large,
            theorems=[[one.full_name, one.file_path] for one in corpus.theorems],
            retrievers=list(self._by),
            missing="" if session is not None or reprover.lean_available() else explore.NO_LEAN,
        )  # fmt: skip
        if self.error:
            self.close()
            raise UsageError(self.error)

    @traitlets.validate("retriever")
    def _valid_retriever(self, proposal):
        return one_of("retriever", proposal["value"], tuple(self._by))

    # --- Lean -------------------------------------------------------------------------------------------------------

    def _lean(self):
        if self._session is None:
            self._session = reprover.Session()  # raises LeanMissing
            weakref.finalize(self, self._session.close)  # with the kernel, too
        return self._session

    def _ask(self, work):
        """``work(session)``; an interrupted session has an answer on its way that nobody waits for: it is ended."""
        session = self._lean()
        try:
            return work(session)
        except KeyboardInterrupt:
            session.close()
            raise

    def close(self):
        """Stop Lean, and the widget with it."""
        if self._own and self._session is not None:
            self._session.close()
        super().close()

    # --- a proof in the making --------------------------------------------------------------------------------------

    def _changed(self, change):
        # another theorem was set alone: the old one's steps are none of it (setting the proof answers both)
        answered = self.answer.get("question", {}).get("proof")
        if change is not None and change["name"] == "theorem" and self.proof and self.proof == answered:
            self.proof = ""
        super()._changed(change)

    def subject(self):
        """The theorem, where it stands, and its trace."""
        if self.theorem not in self._subjects:
            self._subjects[self.theorem] = explore.subject(self.corpus, self.theorem, self._root)
        return self._subjects[self.theorem]

    def state(self):
        """The present state: a `TacticState` to run tactics on, or `ProofFinished`."""
        return self._reach(explore.split_proof(self.proof))

    def _reach(self, script):
        """The state after ``script``: remembered, traced, or Lean's."""
        subject, state = self.subject(), None
        for count in range(len(script) + 1):
            key, before = (self.theorem, script[:count]), state
            state = self._states.get(key) or explore.traced_state(subject, script[:count])
            if state is None and count == 0:
                state = self._ask(lambda session: session.open(subject.theorem))
                if isinstance(state, reprover.LeanError):
                    raise UsageError(f"Lean does not accept the statement: {state.message}")
            elif state is None:
                state = self._step(before, script[count - 1])
                if not isinstance(state, (reprover.TacticState, reprover.ProofFinished)):
                    _, why = explore.why_not(script[count - 1], state)
                    raise UsageError(f"step {count} of the proof ({script[count - 1]}) fails: {why}")
            self._states[key] = state
            if isinstance(state, reprover.ProofFinished) and count < len(script):
                raise UsageError(
                    f"the proof is finished after step {count}: take out the {len(script) - count} behind it"
                )
        return state

    def _step(self, state, tactic):
        if self.missing and explore.refusal(tactic) is None:
            known = explore.traced_state(self.subject(), (*state.script, tactic))
            if known is None:
                raise reprover.LeanMissing(f"{self.missing}; without it only the human's own steps can be followed")
            return known
        return self._ask(lambda session: session.run_tac(state, tactic)) if not self.missing else self._refused(tactic)

    @staticmethod
    def _refused(tactic):
        return reprover.LeanError(f"refused: {explore.refusal(tactic)}")

    def run(self, tactics: str):
        """Run one tactic, or several a line each, on the present state, as the page's field does.

        Returns
        -------
        TacticState, ProofFinished, LeanError or ProofGivenUp
            Of the last tactic that ran; a failed one ends the row and leaves the state where it was.

        Raises
        ------
        UsageError
            The proof is finished already.
        LeanMissing
            There is no Lean, and the tactic is not the human's.
        """
        answer, script = self.state(), explore.split_proof(self.proof)
        for tactic in explore.split_proof(tactics) or (tactics,):
            if isinstance(answer, reprover.ProofFinished):
                raise UsageError("the proof is finished: undo a step to try another way")
            before, answer = answer, self._step(answer, tactic)
            if isinstance(answer, (reprover.LeanError, reprover.ProofGivenUp)):
                kind, message = explore.why_not(tactic, answer)
                entry = {"theorem": self.theorem, "at": "\n".join(before.script), "tactic": tactic, "kind": kind}
                self.tried = [*self.tried[1 - KEPT :], {**entry, "message": message}]
                break
            script = (*script, tactic)
            self._states[self.theorem, script] = answer
        self.proof = "\n".join(script)
        return answer

    def undo(self) -> None:
        """Back by one step."""
        self.proof = "\n".join(explore.split_proof(self.proof)[:-1])

    def show_human(self) -> dict:
        """What the human did in this state; also in ``hint``."""
        state = self.state()
        found = None if isinstance(state, reprover.ProofFinished) else explore.human_step(self.subject(), state)
        hint = {"theorem": self.theorem, "at": self.proof, "step": 0}
        if found:
            hint |= {"step": found[0], "tactic": found[1].tactic, "premises": [use.full_name for use in found[1].uses]}
        self.hint = hint
        return hint

    def perform(self, command):
        """{"kind": "tactic", "text"}, "undo", "human", "prove" (begin anew, "calls"), "search" (go on for a while)."""
        kind = command.get("kind")
        if kind == "tactic":
            self.run(str(command.get("text", "")))
        elif kind == "undo":
            self.undo()
        elif kind == "human":
            self.show_human()
        elif kind == "prove":
            self._begin(max(1, min(int(command.get("calls", 60)), 10_000)))
        elif kind == "search" and self._asked and self._asked.search.start.theorem == self.subject().theorem:
            self._go_on(SLICE)

    # --- the prover -------------------------------------------------------------------------------------------------

    def ask_prover(self, calls: int = 60):
        """Search a proof from the present state, with premises by ``retriever``; a found one becomes the proof.

        Returns
        -------
        ProofFinished or None
        """
        self._begin(calls)
        return self._go_on()

    def _begin(self, calls):
        state = self.state()
        if isinstance(state, reprover.ProofFinished):
            raise UsageError("the proof is finished: undo a step to search another one")
        if self.missing:
            raise reprover.LeanMissing(self.missing)
        by = self._by[self.retriever]
        self._asked = self._ask(lambda one: Asked(one, self.corpus, state, self._generator, by, calls=calls))
        self._show_search()

    def _go_on(self, seconds=None):
        found = self._ask(lambda _: self._asked.go_on(self._show_search, seconds))
        self._show_search()
        if found is not None:
            self.proof = "\n".join(found.script)
        return found

    def _show_search(self):
        for script, state, score in self._asked.states():
            self._states.setdefault((self.theorem, script), state)
            self._scores[self.theorem, script] = score
        self.search = {"theorem": self.theorem, **self._asked.news(), "tree": self._tree()}

    def _tree(self):
        mine, scores = (
            {script: one for (theorem, script), one in some.items() if theorem == self.theorem}
            for some in (self._states, self._scores)
        )
        return explore.tree(mine, scores)

    def reset(self):
        """Back to how the widget was built; what was tried is forgotten."""
        self._states.clear()
        self._scores.clear()
        self.tried, self.hint, self.search, self._asked = [], {}, {}, None
        self.answer = {**self.answer, "question": {}}  # the tree is to be drawn again even where nothing else changes
        super().reset()

    # --- the answer -------------------------------------------------------------------------------------------------

    def compute(self):
        subject, state = self.subject(), self.state()
        finished = isinstance(state, reprover.ProofFinished)
        goals = () if finished else state.goals
        best, accessible = [], 0
        if not finished:
            question = reprover.Question(state.pp, subject.path, subject.start)
            by = self._by[self.retriever] = reprover.retriever(self._by[self.retriever], self.corpus)
            best = reprover.top(self.corpus, question, by, self._shown)
            accessible = int(self.corpus.accessible(subject.path, subject.start).sum())
        return {
            "name": subject.theorem.name,
            "file": subject.path if subject.traced else "",
            "line": subject.theorem.line,
            "statement": subject.theorem.statement,
            "script": list(state.script),
            "goals": list(goals),
            "finished": finished,
            "verified": self._verify(state) if finished else None,
            # as it was elaborated: full names, every argument
            "proved": self._verdicts[key].statement if (key := (self.theorem, state.script)) in self._verdicts else "",
            "premises": [[one.full_name, one.kind, round(score, 3), one.code, one.path] for one, score in best],
            "accessible": accessible,
            "human_steps": len(subject.traced.tactics) if subject.traced else 0,
            "tree": self._tree(),
        }

    def _verify(self, finished):
        """The fresh process's word on a finished proof; a Lean that did not answer is asked again the next time."""
        if self.missing:
            return {"ok": False, "axioms": [], "message": f"not checked again here: {self.missing}"}
        key = (self.theorem, finished.script)
        if key not in self._verdicts:
            try:
                self._verdicts[key] = self._ask(lambda session: session.verify(finished))
            except reprover.LeanFailed as error:
                return {"ok": False, "axioms": [], "message": str(error)}
        told = self._verdicts[key]
        return {"ok": told.ok, "axioms": list(told.axioms), "message": told.message}

    def caption(self):
        now = self.answer
        if "goals" not in now:
            return "a proof in the making"
        steps = f"{len(now['script'])} step{'s' * (len(now['script']) != 1)}"
        return f"{now['name']}: {steps}, {self._verdict() or explore.goals_left(len(now['goals']))}"

    def _verdict(self) -> str:
        told = self.answer.get("verified")
        if not told:
            return ""
        if not told["ok"]:
            return f"no goals left, but not verified: {told['message']}"
        return f"proved; a fresh Lean accepts it, with {', '.join(told['axioms']) or 'no'} axioms"

    def rows(self):
        now = self.answer
        head = ["what", "tactic or premise", "goals left or score", "first goal or statement"]
        states = [self._states[self.theorem, tuple(now["script"][:n])] for n in range(len(now["script"]) + 1)]
        steps = [
            [f"step {n}", (["(the theorem)", *now["script"]])[n], str(len(getattr(state, "goals", ()))),
             getattr(state, "goals", ("no goals",))[0].replace("\n", " · ")]
            for n, state in enumerate(states)
        ]  # fmt: skip
        named = [
            [f"premise {n}", name, f"{score:.3f}", code]
            for n, (name, _, score, code, _) in enumerate(now["premises"], 1)
        ]
        return head, steps + named

    def draw(self):
        now = self.answer
        return figures.proof_figure(
            self.caption(), now["statement"], now["script"], now["goals"],
            [(one[0], one[2]) for one in now["premises"]], retriever=self.retriever, verdict=self._verdict(),
        )  # fmt: skip

    # --- taking it away ---------------------------------------------------------------------------------------------

    @property
    def stem(self):
        return re.sub(r"[^\w.'-]", "_", self.answer.get("name", "proof"))

    def save_lean(self, path) -> Path:
        """Write the finished proof as a .lean file that compiles.

        Raises
        ------
        UsageError
            Goals are left, or a fresh Lean did not accept the proof.
        """
        return write_atomic(path, self._exported("lean")[0])

    def _exported(self, ending):
        if ending != "lean":
            return super()._exported(ending)
        if not (self.answer.get("verified") or {}).get("ok"):
            left = self._verdict() or explore.goals_left(len(self.answer.get("goals", ())))
            raise UsageError(f"only a finished proof that Lean accepts is exported as .lean; here: {left}")
        return explore.lean_file(self.state()).encode(), "text/plain", ending
