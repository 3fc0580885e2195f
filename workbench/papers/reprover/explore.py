"""A proof by hand: what a person at a screen needs beside `Session`.

A proof in the making is a script, a tuple of tactics; as text it is one tactic a line (a line that begins with a space
or with ``|`` goes on with the tactic above it). States along the human's own proof are known from the trace, which is
Lean's record (tests replay it): they can be shown where there is no Lean, and without waiting where there is one.
"""

import difflib
import os
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError, UsageError
from .corpus.corpus import Corpus, Position, Tactic, TracedTheorem
from .corpus.tracing import FINISHED
from .lean.engine import INSTALL, LIBRARY
from .lean.lexical import COMMENT, tokens
from .lean.safety import refusal
from .lean.session import LeanError, ProofFinished, ProofGivenUp, TacticState, Theorem
from .lean.source import own_theorem, theorems
from .lean.states import statement_refusal

NO_LEAN = f"no Lean is installed here; get one with: {INSTALL}"
_BEHIND = (10**9, 1)  # a place after everything in its file


@dataclass(frozen=True)
class Subject:
    """A theorem to be proved by hand.

    Attributes
    ----------
    theorem : what `Session.open` takes
    path, start : where it stands, for `Corpus.accessible`; one of one's own stands behind everything it imports
    traced : its trace with the human's proof, None for one of one's own
    """

    theorem: Theorem
    path: str
    start: Position
    traced: TracedTheorem | None


def subject(corpus: Corpus, text: str, root: str | os.PathLike = LIBRARY) -> Subject:
    """The theorem named, or stated, by ``text``.

    Parameters
    ----------
    text : str
        Full name of a traced theorem, or a statement of one's own: ``theorem NAME (x : T) : PROPOSITION``.
    root : path
        Folder of the Lean sources of ``corpus``.

    Raises
    ------
    UsageError
        No traced theorem has this name; the nearest names are given.
    DataError
        A text that is no statement, or a statement that would leave its place (comments, a second declaration, …).
    """
    text = text.strip()
    if re.match(r"theorem\b", text):
        stated = own_theorem(text)
        reason = statement_refusal(text)
        if reason is None and tokens(text)[-1].kind == COMMENT:
            reason = "comments at its end are not allowed: a proof goes on there"
        if reason:
            raise DataError(f"the statement is refused: {reason}")
        imported = re.findall(r"^import (\S+)", stated.preamble, re.MULTILINE)
        return Subject(stated, imported[-1].replace(".", "/") + ".lean", _BEHIND, None)
    traced = next((theorem for theorem in corpus.theorems if theorem.full_name == text), None)
    if traced is None:
        near = difflib.get_close_matches(text, [theorem.full_name for theorem in corpus.theorems], 3, 0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "or state one: theorem NAME (x : T) : PROPOSITION"
        raise UsageError(f"the library has no theorem {text!r}; {hint}")
    module = traced.file_path.removesuffix(".lean").replace("/", ".")
    inside = theorems((Path(root) / traced.file_path).read_text(encoding="utf-8"), module)
    found = next((theorem for theorem in inside if theorem.name == text), None)
    if found is None:
        raise DataError(f"{traced.file_path} in {root} lacks {text}: the trace is of other sources; trace again")
    return Subject(found, traced.file_path, traced.start, traced)


def split_proof(text: str) -> tuple[str, ...]:
    """The tactics of a proof written one a line; lines that begin with a space or ``|`` belong to the one above."""
    tactics: list[str] = []
    for line in textwrap.dedent(text.replace("\r\n", "\n")).split("\n"):
        if not line.strip():
            continue
        if tactics and (line[0].isspace() or line[0] == "|"):
            tactics[-1] += f"\n{line.rstrip()}"
        else:
            tactics.append(line.strip())
    return tuple(tactics)


def traced_state(subject: Subject, script: tuple[str, ...]) -> "TacticState | ProofFinished | None":
    """The state after ``script`` if the human's proof begins with it and its states were traced, else None."""
    steps = subject.traced.tactics if subject.traced else ()
    if len(script) > len(steps) or script != tuple(step.tactic for step in steps[: len(script)]):
        return None
    if script == tuple(step.tactic for step in steps) and steps and steps[-1].state_after == FINISHED:
        return ProofFinished(subject.theorem, script)
    text = steps[len(script)].state_before if len(script) < len(steps) else ""
    return TacticState(subject.theorem, script, tuple(text.split("\n\n"))) if text else None


def human_step(subject: Subject, state: TacticState) -> tuple[int, Tactic] | None:
    """What the human did in this state: (number of the step from 1, the step); None where the proof never was there."""
    steps = subject.traced.tactics if subject.traced else ()
    at = len(state.script)
    if at < len(steps) and state.script == tuple(step.tactic for step in steps[:at]):
        return at + 1, steps[at]
    return next(((n, step) for n, step in enumerate(steps, 1) if step.state_before == state.pp), None)


def why_not(tactic: str, answer: "LeanError | ProofGivenUp") -> tuple[str, str]:
    """A failed tactic in words: (kind, message); kind is "refused" (by the filter), "stopped" (Lean) or "error"."""
    if isinstance(answer, ProofGivenUp):
        return "refused", "the tactic gives the goal up (sorry), which proves nothing"
    reason = refusal(tactic)
    if reason:
        return "refused", reason
    stopped = answer.message.startswith(("the tactic did not end within", "Lean died"))
    return "stopped" if stopped else "error", answer.message


def goals_left(count: int) -> str:
    return f"{count} goal{'s' * (count != 1)} left"


def tree(states: dict, scores: dict | None = None) -> list[dict]:
    """Visited states as lines of a tree, depth first, branches in the order in which they were tried.

    Parameters
    ----------
    states : dict of script to TacticState or ProofFinished
        Every script's beginnings are keys too.
    scores : dict of script to float, optional
        Sums of log-probabilities, of the states that a search came to.

    Returns
    -------
    list of dict
        "proof" (the script as text), "tactic" ("" for the theorem), "goals" (how many are left), "first" (the first of
        them), "level" (branchings above it: a line without branches does not move to the right), "branch" (whether it
        begins one), "score" (None where a person came to it).
    """
    below: dict[tuple, list[tuple]] = {}
    for script in states:
        if script:
            below.setdefault(script[:-1], []).append(script)
    lines, waiting = [], [((), 0, False)] if () in states else []
    while waiting:
        script, level, branch = waiting.pop()
        goals = getattr(states[script], "goals", ())
        told = {"goals": len(goals), "first": goals[0] if goals else FINISHED, "level": level, "branch": branch}
        told["score"] = (scores or {}).get(script)
        lines.append({"proof": "\n".join(script), "tactic": script[-1] if script else "", **told})
        children = below.get(script, [])
        forks = len(children) > 1
        waiting += [(child, level + forks, forks) for child in reversed(children)]
    return lines


def lean_file(finished: ProofFinished) -> str:
    """The whole proof as a .lean file: what stands before the theorem in its file, the theorem, the proof."""
    theorem = finished.theorem
    return (
        f"-- {theorem.name}, proved step by step with the workbench.\n"
        "-- It imports the mini library of data/reprover/library; docs/reprover.md says how to check the file.\n"
        f"{theorem.document(finished.script)}\n#print axioms {theorem.name}\n"
    )
