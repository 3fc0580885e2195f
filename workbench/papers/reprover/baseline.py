"""The floor a learned prover must beat: the commonest tactic alone, and a fixed list tried breadth first."""

import errno
import itertools
import os
import re
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import DataError
from ...files import user_path
from .corpus.corpus import Corpus
from .generate.fixed import Fixed
from .lean.lexical import without_comments
from .lean.session import Session
from .lean.source import assignment, find_theorem, own_theorem, theorems
from .lean.states import Theorem, bare_statement
from .search.best_first import Budget
from .search.prover import Proof, Prover, attempt_with

LONGEST_FILE, MOST = 500_000, 1000  # bytes and theorems of one file
NOTHING = Corpus((), ())  # for a prover without premises


def attempt(session: Session, theorem: "str | Theorem", *, tactics: Sequence[str] | None = None, calls: int = 100,
            depth: int = 6) -> Proof:  # fmt: skip
    """Try to prove a theorem with a fixed list, breadth first; states with the same text are visited once.

    Parameters
    ----------
    tactics : sequence of str, optional
        The same list for every state (``["rfl"]`` is the majority prover); None: `fixed.candidates`.
    calls : int
        Calls of Lean at most.
    depth : int
        Longest proof.
    """
    named = find_theorem(session.library, theorem) if isinstance(theorem, str) else theorem
    return attempt_with([session], named, fixed(tactics, depth=depth), Budget(calls), NOTHING)


def fixed(tactics: Sequence[str] | None = None, *, depth: int = 6) -> Prover:
    """A prover with one list for every state, or with `fixed.candidates`; it uses no premises."""
    return Prover(Fixed(tactics), width=sys.maxsize, depth=depth)


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
