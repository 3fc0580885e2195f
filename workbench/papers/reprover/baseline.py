"""The floor a learned prover must beat: the commonest tactic alone, and a fixed list tried breadth first."""

import errno
import itertools
import os
import re
import stat
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import DataError
from ...files import user_path
from .corpus.corpus import TracedTheorem
from .lean.lexical import without_comments
from .lean.session import Session
from .lean.source import assignment, own_theorem, theorems
from .lean.states import ProofFinished, TacticState, Theorem, bare_statement

FIRST = ("rfl", "assumption", "contradiction", "decide", "trivial")
LONGEST_FILE, MOST = 500_000, 1000  # bytes and theorems of one file
PLAIN = ("intro x", "constructor", "funext x", "simp", "left", "right", "exfalso")
HYPOTHESIS = ("exact {h}", "apply {h}", "rw [{h}]", "rw [← {h}]", "cases {h}", "exact {h} (by assumption)")
_HYPOTHESES = re.compile(r"^([^\W\d_][\w']*(?: [^\W\d_][\w']*)*) : (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Attempt:
    """One theorem tried. ``status``: "proved" (recompiled and accepted), "failed", "not opened" or "rejected".

    ``message`` says why it did not open, why the kernel rejected the proof, or what of the file the statement rests on;
    ``statement`` is what was proved, as it was elaborated: full names, every argument.
    """

    theorem: str
    status: str
    script: tuple[str, ...]
    calls: int
    seconds: float
    message: str = ""
    statement: str = ""


def majority_tactic(theorems: Sequence[TracedTheorem]) -> str:
    """The commonest tactic of the training theorems; of equally common ones the first by alphabet."""
    counts = Counter(tactic.tactic for theorem in theorems for tactic in theorem.tactics)
    if not counts:
        raise DataError("the training part holds no tactic; give it theorems with tactic proofs")
    return min(counts, key=lambda tactic: (-counts[tactic], tactic))


def candidates(state: TacticState) -> list[str]:
    """The fixed list for a state: closing tactics, each hypothesis used in a few ways (the latest first), the rest."""
    names = []
    for found in _HYPOTHESES.finditer(state.goals[0].split("⊢")[0]):
        names += [(name, found[2]) for name in found[1].split()]
    tactics = list(FIRST)
    for name, kind in reversed(names):
        if kind.startswith(("Type", "Sort")) or kind == "Prop":
            continue
        if kind in ("Nat",) or kind.startswith("List "):
            tactics += [f"induction {name}", f"cases {name}"]
        elif kind == "Bool" or kind.startswith("Option "):
            tactics.append(f"cases {name}")
        else:
            tactics += [form.format(h=name) for form in HYPOTHESIS]
    return list(dict.fromkeys([*tactics, *PLAIN]))


def attempt(session: Session, theorem: "str | Theorem", *, tactics: Sequence[str] | None = None, calls: int = 100,
            depth: int = 6) -> Attempt:  # fmt: skip
    """Try to prove a theorem, breadth first; states with the same text are visited once.

    Parameters
    ----------
    tactics : sequence of str, optional
        The same list for every state (``["rfl"]`` is the majority prover); None: `candidates`.
    calls : int
        Calls of Lean at most.
    depth : int
        Longest proof.
    """
    began = time.perf_counter()
    name = theorem if isinstance(theorem, str) else theorem.name
    state = session.open(theorem)
    if not isinstance(state, TacticState):
        why = getattr(state, "message", type(state).__name__)
        return Attempt(name, "not opened", (), 0, time.perf_counter() - began, why)
    waiting, seen, made = deque([state]), {state.pp}, 0
    while waiting:
        state = waiting.popleft()
        for tactic in tactics if tactics is not None else candidates(state):
            if made >= calls:
                return Attempt(name, "failed", (), made, time.perf_counter() - began)
            made += 1
            answer = session.run_tac(state, tactic)
            if isinstance(answer, ProofFinished):
                told = session.verify(answer)
                status, why = "proved" if told.ok else "rejected", "" if told.ok and not told.own else told.message
                return Attempt(name, status, answer.script, made, time.perf_counter() - began, why, told.statement)
            if isinstance(answer, TacticState) and answer.pp not in seen and len(answer.script) < depth:
                seen.add(answer.pp)
                waiting.append(answer)
    return Attempt(name, "failed", (), made, time.perf_counter() - began)


def read_theorems(folder: str | os.PathLike) -> list[Theorem]:
    """Theorems of one's own: every ``theorem NAME … : …`` of a folder's .lean files; what follows ``:=`` is ignored.

    A file may begin with ``prelude`` and its own imports (in a Lake project with its imports); without them it gets the
    whole mini library. What else it may hold: `allowed.file_refusal`.

    Raises
    ------
    DataError
        No folder, no .lean file, a file that cannot be read, is not UTF-8 or has no theorem, a name used
        twice.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; name one that holds .lean files with theorems")
    files = sorted(folder.glob("*.lean"))
    if not files:
        raise DataError(
            f"{folder} holds no .lean file; put theorems there, each: theorem NAME (x : T) : PROPOSITION := by"
        )
    found: list[Theorem] = []
    names: set[str] = set()
    for file in files:
        try:
            text = _read(file)
        except UnicodeDecodeError as error:
            raise DataError(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
        except OSError as error:
            raise DataError(f"cannot read {file} ({error.strerror}); mend it or take it out of the folder") from error
        if re.match(r"\s*(?:prelude|import)\b", without_comments(text)):
            rows = without_comments(text).split("\n")
            starts = [0, *itertools.accumulate(len(row) + 1 for row in rows)]
            bare = "\n".join(rows)
            inside = [
                replace(one, statement=bare_statement(one.statement), preamble=bare[: starts[one.line - 1]].lstrip())
                for one in theorems(text, "")
                if rows[one.line - 1].strip()  # else it stands in a comment
            ]
        else:
            blocks = re.findall(r"^theorem\b.*(?:\n[ \t]+\S.*)*", text, re.MULTILINE)
            try:
                inside = [own_theorem(block[: assignment(block)].rstrip()) for block in blocks]
            except DataError as error:
                raise DataError(f"{file}: {error}") from error
        if not inside:
            raise DataError(f"{file} holds no theorem; write: theorem NAME (x : T) : PROPOSITION := by")
        if len(inside) > MOST:
            raise DataError(f"{file} holds {len(inside):,} theorems, more than {MOST:,}; cut it into several files")
        for theorem in inside:
            if theorem.name in names:
                raise DataError(f"{file}: the name {theorem.name!r} is used twice; give every theorem its own")
            names.add(theorem.name)
            found.append(theorem)
    return found


def _read(file: Path) -> str:
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would never end
        raise OSError(errno.EINVAL, "a folder or a device, no plain file")
    if status.st_size > LONGEST_FILE:
        raise DataError(f"{file} has {status.st_size:,} bytes, more than {LONGEST_FILE:,}; cut it into several files")
    return file.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
