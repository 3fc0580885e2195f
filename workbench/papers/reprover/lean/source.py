"""Theorems and tactic steps as they stand in a Lean file, read by layout alone.

Lean files of a library are written with one convention: declarations begin in column 1, a proof by tactics follows
``:= by`` and is indented, cases follow ``with`` on lines that begin with ``|``, focused goals begin with ``·``. That is
enough to cut a file into theorems and a proof into steps without Lean. Whatever the layout does not tell is kept whole:
a block that is not understood becomes one step of several lines.

A structured proof is made flat, so that each step works on the first goal, as a prover's does:
``induction n with | zero => T | succ n ih => U`` becomes ``induction n with | zero => ?_ | succ n ih => ?_``, the steps
of T, the steps of U; ``have h : P := by T`` becomes ``have h : P := ?_`` and the steps of T; bullets disappear.
Replaying the flat steps proves the same theorem (a test does it for the whole library).
"""

import itertools
import re
from dataclasses import dataclass

from ....errors import DataError, UsageError
from .engine import Library
from .lexical import without_comments
from .states import Theorem, bare_statement

_DECLARATION = re.compile(
    r"^(?:@\[[^\]]*\]\s*)?(?:(?:private|protected|noncomputable|public)\s+)*(theorem|lemma)\s+([\w.'«»!?]+)"
)
_COMMAND = re.compile(r"^\S")


@dataclass(frozen=True)
class Step:
    """One flat tactic; ``first`` and ``last`` are the source lines it was written on, from 1."""

    tactic: str
    first: int
    last: int


@dataclass(frozen=True)
class Proof:
    """A theorem of a file with its proof: flat steps, or none where the proof is a term."""

    theorem: Theorem
    text: str
    steps: tuple[Step, ...]
    end: int


def theorems(source: str, module: str) -> list[Theorem]:
    """All theorems of a file, in order."""
    return [proof.theorem for proof in proofs(source, module)]


def proofs(source: str, module: str) -> list[Proof]:
    """All theorems of a file with their proofs."""
    lines = source.split("\n")
    starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
    spaces: list[str] = []
    found = []
    for number, line in enumerate(lines):
        word = line.split(" ", 1)[0]
        if word in ("namespace", "section"):
            spaces.append(line.partition(" ")[2].strip() if word == "namespace" else "")
        elif word == "end" and spaces:
            spaces.pop()
        named = _DECLARATION.match(line)
        if named is None:
            continue
        end = number + 1
        while end < len(lines) and not (_COMMAND.match(lines[end]) and lines[end].strip()):
            end += 1
        while end > number + 1 and not lines[end - 1].strip():
            end -= 1
        block = "\n".join(lines[number:end])
        cut = assignment(block)
        if cut is None:  # a theorem by pattern matching; nothing that a tactic could be tried on
            continue
        statement, body = block[:cut].rstrip(), block[cut + 2 :]
        name = ".".join([*(space for space in spaces if space), named[2]])
        preamble = source[: starts[number]]
        theorem = Theorem(name, module, preamble, statement, number + 1)
        start = number + block[: cut + 2].count("\n")
        found.append(Proof(theorem, body.strip(), _steps(body, start), end))
    return found


def assignment(block: str) -> int | None:
    """Where the ``:=`` stands that ends the statement: the first one outside brackets and comments."""
    depth = 0
    code = without_comments(block, keep_length=True) if "--" in block or "/-" in block else block
    for at, character in enumerate(code):
        if character in "([{⟨":
            depth += 1
        elif character in ")]}⟩":
            depth -= 1
        elif depth == 0 and code.startswith(":=", at):
            return at
    return None


def _steps(body: str, start: int) -> tuple[Step, ...]:
    """The flat steps of ``body`` (what follows ``:=``), whose first line is the file's line ``start`` (from 0)."""
    text = body.lstrip(" ")
    if not re.match(r"by\b", text):
        return ()
    rows = body.split("\n")
    inline = re.sub(r"^\s*by\b", "", rows[0]).strip()
    numbered = [(start + at, row) for at, row in enumerate(rows) if at and row.strip()]
    if inline:
        numbered.insert(0, (start, "  " + inline))
    return tuple(_flatten(numbered))


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" "))


def _flatten(rows: list[tuple[int, str]]) -> list[Step]:
    steps: list[Step] = []
    later: list[Step] = []  # Lean puts the goal of `have h : P := ?_` behind the one that goes on
    at = 0
    while at < len(rows):
        number, row = rows[at]
        width = _indent(row)
        stop = at + 1
        while stop < len(rows) and _indent(rows[stop][1]) > width:
            stop += 1
        below, text = rows[at + 1 : stop], row.strip()
        if text.startswith("· "):
            steps += _flatten([(number, " " * (width + 2) + text[2:].lstrip()), *below])
        elif re.search(r"\bwith$", text) and re.match(r"(cases|induction)\b", text) and not below:
            block, stop = _alternatives(rows, stop, width)
            patterns = " ".join(f"{pattern} => ?_" for pattern, _ in block)
            steps.append(Step(f"{text} {patterns}", number + 1, number + 1))
            for _, inner in block:
                steps += _flatten(inner)
        elif re.match(r"have\b.*:=\s*by$", text) and below:
            steps.append(Step(re.sub(r"by$", "?_", text), number + 1, number + 1))
            later = _flatten(below) + later
        else:
            whole = "\n".join([text, *(inner[width:] for _, inner in below)])
            steps.append(Step(whole, number + 1, (below[-1][0] if below else number) + 1))
        at = stop
    return steps + later


def _alternatives(rows: list[tuple[int, str]], at: int, width: int) -> tuple[list[tuple[str, list]], int]:
    """The ``| pattern => …`` lines that follow a ``with``: each pattern with the rows of its proof."""
    found = []
    while at < len(rows) and _indent(rows[at][1]) == width and rows[at][1].lstrip().startswith("| "):
        number, row = rows[at]
        pattern, _, inline = row.strip().partition("=>")
        stop = at + 1
        while stop < len(rows) and _indent(rows[stop][1]) > width:
            stop += 1
        inner = list(rows[at + 1 : stop])
        if inline.strip():
            inner.insert(0, (number, " " * (width + 2) + inline.strip()))
        found.append((pattern.strip(), inner))
        at = stop
    return found, at


def own_theorem(
    statement: str, *, imports: tuple[str, ...] = ("Mini.Algebra",), opens: tuple[str, ...] = (), prelude: bool = True
) -> Theorem:
    """A theorem of one's own: ``theorem NAME (…) : …`` without ``:=``, in a file with these imports.

    In a Lake project give ``imports=("Mathlib",), prelude=False``.

    Raises
    ------
    DataError
        The text is no statement. (One that would leave its place is refused where it is opened: `statement_refusal`.)
    """
    statement = bare_statement(statement)
    named = re.match(r"\s*theorem\s+([\w']+(?:\.[\w']+)*)", statement)
    if not named or assignment(statement) is not None:
        raise DataError(
            f"{statement.strip()[:80]!r} is no statement; write: theorem NAME (x : T) : PROPOSITION, without `:=`"
        )
    header = "prelude\n" * prelude + "".join(f"import {name}\n" for name in imports)
    header += "set_option autoImplicit false\n" + "".join(f"open {name}\n" for name in opens)
    return Theorem(named[1], "", header, statement.strip(), header.count("\n") + 1)


def find_theorem(library: Library, name: str) -> Theorem:
    """A theorem of the library by its full name, with everything that stands before it in its file."""
    for module in library.modules:
        for theorem in theorems(library.source(module), module):
            if theorem.name == name:
                return theorem
    raise UsageError(f"the library has no theorem {name!r}; `workbench.papers.reprover.corpus.corpus` lists them")
