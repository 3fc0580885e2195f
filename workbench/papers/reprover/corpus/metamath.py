"""Metamath databases (``.mm``): a streaming reader by the published specification.

The language is the one of Megill and Wheeler, "Metamath: A Computer Language for Mathematical Proofs", 2nd ed., chapter
4 (statements, scopes, frames) and appendices B (compressed proofs) and E (grammar). One assertion is in memory at a
time, beside the names seen so far, so that set.mm's 40 MB need no more than a small file does.

What is checked: the grammar, scopes, declarations, frames, that every proof names only what stands before it and is
active, and that a compressed proof decodes. What is not: that a proof proves its statement (a verifier in the tests
does that, from what is read here).

Deviation: a name in ``$[ … $]`` is sought in the folder of the database, and never outside it.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ....errors import DataError
from ....files import user_path
from .corpus import Position

KEEP = -1  # the mark Z of a compressed proof among `Assertion.steps`
_TOKEN = re.compile(r"[^ \t\r\n\f]+")
_LABEL = re.compile(r"[A-Za-z0-9._-]+")
_LETTERS = re.compile(r"[U-Y]*[A-T]|Z|\?")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A ``$f`` (typecode and variable) or ``$e`` statement; ``order`` counts all hypotheses of the database."""

    label: str
    kind: str
    statement: tuple[str, ...]
    variables: frozenset[str]
    order: int


@dataclass(frozen=True, slots=True)
class Assertion:
    """An axiom (``$a``) or theorem (``$p``) with its extended frame (§4.2.7).

    Parameters
    ----------
    statement : tuple of str
        The typecode, then the symbols.
    hypotheses : tuple of Hypothesis
        The mandatory ones, in the order of the database.
    optional : tuple of Hypothesis
        Active, not mandatory: ``$f`` of dummy variables that the proof names.
    distinct : tuple of tuple of str
        The active ``$d`` statements as they are written; each means all its pairs.
    steps : tuple
        The proof decoded, () for an axiom: a label; None for the unknown step ``?``; a number n >= 0 for the step that
        the n-th mark kept; `KEEP` for that mark.
    start, end : (line, column), counted from 1
        From the label to behind ``$.``; lines are counted as if included files stood in place.
    """

    label: str
    kind: str
    statement: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...]
    optional: tuple[Hypothesis, ...]
    distinct: tuple[tuple[str, ...], ...]
    steps: tuple[str | int | None, ...]
    start: Position
    end: Position

    @property
    def essential(self) -> tuple[Hypothesis, ...]:
        return tuple(one for one in self.hypotheses if one.kind == "$e")


def read_metamath(path: str | os.PathLike) -> Iterator[Assertion]:
    """The assertions of a database, one after another.

    Raises
    ------
    DataError
        On reaching a place that breaks the specification: file, line, what is wrong, what to do.
    """
    return _Reader(user_path(path)).assertions()


class _Reader:
    """Where the reader stands, and what is active there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file, self.line, self.row, self.column = path, 0, 0, 0  # row: the line with included files in place
        self.began = 0  # the line where the last statement begins
        self.between = True  # outermost scope, no statement begun: only here may a file be included
        self.included: set[Path] = set()
        self.constants: set[str] = set()
        self.variables: set[str] = set()  # the active ones
        self.once_variables: set[str] = set()  # all that ever were
        self.labels: dict[str, Hypothesis | None] = {}  # None: an assertion
        self.floating: dict[str, Hypothesis] = {}  # by variable, the active ones
        self.essential: list[Hypothesis] = []
        self.active: set[str] = set()  # labels of active hypotheses
        self.distinct: list[tuple[str, ...]] = []
        self.scopes: list[tuple] = []
        self.tokens = self._tokens(path)

    def wrong(self, what: str, line: int | None = None) -> DataError:
        return DataError(f"{self.file}, line {line or self.line}: {what}")

    # ---------------------------------------------------------------------------------------------- tokens (§4.1.1)
    def _tokens(self, path: Path) -> Iterator[str]:
        try:
            lines = open(path, encoding="ascii", errors="surrogateescape")  # noqa: SIM115
        except OSError as error:
            where = "" if path.is_absolute() else f", looked in {Path.cwd()}"
            raise DataError(f"cannot read {path} ({error.strerror}{where}); give a Metamath database") from error
        self.included.add(path.resolve())
        opened = 0  # the line where a comment began, 0 outside of one
        include: list[str] | None = None
        with lines:
            self.file, self.line = path, 0
            try:
                for number, text in enumerate(lines, 1):
                    self.line = number
                    self.row += 1
                    if not text.isascii():
                        raise self.wrong("a character that is not ASCII; Metamath allows none, not even in a comment")
                    if opened and "$" not in text:
                        continue
                    for match in _TOKEN.finditer(text):
                        token = match.group()
                        if opened:
                            if token == "$)":
                                opened = 0
                            elif "$(" in token or "$)" in token:
                                raise self.wrong(f"{token!r:.60} inside a comment; comments do not nest")
                        elif token == "$(":
                            opened = number
                        elif include is not None:
                            include.append(token)
                            if len(include) == 2:
                                if (inner := self._included_file(*include)) is not None:
                                    yield from self._tokens(inner)
                                    self.file, self.line = path, number
                                    self.row += 1
                                include = None
                        elif token == "$[":
                            if not self.between:
                                raise self.wrong("$[ inside a statement or a block; include files between statements")
                            include = []
                        else:
                            self.column = match.start() + 1
                            yield token
            except OSError as error:
                raise DataError(f"cannot read {path} ({error.strerror}); is it a file?") from error
        if opened:
            raise self.wrong("the comment that begins here is never closed; add $)", opened)
        if include is not None:
            raise self.wrong("the file ends inside $[ … $]; add the name and $]")
        if not self.between:
            began = self.scopes[0][0] if self.scopes else self.began
            raise self.wrong("what begins here is open at the file's end; end a statement by $., a block by $}", began)

    def _included_file(self, name: str, end: str) -> Path | None:
        """The file to be included, None if it has been read before (§4.1.2)."""
        if end != "$]":
            raise self.wrong(f"{end!r:.60} where $] was expected; a file's name has no blank")
        if "$" in name:
            raise self.wrong(f"{name!r:.60} is no file's name; write $[ NAME $]")
        path, folder = (self.path.parent / name).resolve(), self.path.parent.resolve()
        if not path.is_relative_to(folder):
            raise self.wrong(f"$[ {name:.60} $] leads out of {folder}; keep included files in the database's folder")
        if not path.is_file():
            raise self.wrong(f"$[ {name:.60} $]: there is no such file in {folder}; put it there")
        return None if path in self.included else path

    # ------------------------------------------------------------------------------------------ statements (§4.2)
    def assertions(self) -> Iterator[Assertion]:
        handlers = {"${": self._open, "$}": self._close, "$c": self._constant, "$v": self._variable, "$d": self._apart}
        for token in self.tokens:
            self.between, self.began = False, self.line
            if token in handlers:
                handlers[token]()
            elif token[0] == "$":
                raise self.wrong(f"{token!r:.60} where a statement should begin; $f, $e, $a and $p need a label before")
            else:
                start = (self.row, self.column)
                self._new_label(token)
                kind = next(self.tokens)
                if kind in ("$f", "$e"):
                    self._hypothesis(token, kind)
                elif kind in ("$a", "$p"):
                    yield self._assertion(token, kind, start)
                else:
                    raise self.wrong(f"{kind!r:.60} after the label {token:.60}; one of $f, $e, $a, $p must stand here")
            self.between = not self.scopes
        if self.row == 0:
            raise DataError(f"{self.path} is empty; give a Metamath database")

    def _body(self, keyword: str, end: str = "$.") -> list[str]:
        """The tokens up to ``end``."""
        began, found = self.line, []
        while (token := next(self.tokens)) != end:
            if "$" in token:
                raise self.wrong(f"{token!r:.60} inside the {keyword} statement of line {began}; end that with {end}")
            found.append(token)
        return found

    def _open(self) -> None:
        state = set(self.variables), dict(self.floating), set(self.active)
        self.scopes.append((self.line, *state, len(self.essential), len(self.distinct)))

    def _close(self) -> None:
        if not self.scopes:
            raise self.wrong("$} without ${; remove one or add the other")
        _, self.variables, self.floating, self.active, n_essential, n_distinct = self.scopes.pop()
        del self.essential[n_essential:], self.distinct[n_distinct:]

    def _constant(self) -> None:
        if self.scopes:
            raise self.wrong("$c inside a block; constants are declared outside of ${ … $}")
        for symbol in self._declared("$c"):
            if symbol in self.constants or symbol in self.once_variables:
                raise self.wrong(f"{symbol:.60} is declared a second time; a constant is declared once")
            self.constants.add(symbol)

    def _variable(self) -> None:
        for symbol in self._declared("$v"):
            if symbol in self.constants or symbol in self.variables:
                raise self.wrong(f"{symbol:.60} is declared and still active; choose another name")
            self.variables.add(symbol)
            self.once_variables.add(symbol)

    def _declared(self, keyword: str) -> list[str]:
        symbols = self._body(keyword)
        if not symbols:
            raise self.wrong(f"{keyword} without a symbol; name one or remove it")
        for symbol in symbols:
            if symbol in self.labels:
                raise self.wrong(f"the symbol {symbol:.60} is a label already; labels and symbols must differ")
        return symbols

    def _apart(self) -> None:
        names = self._body("$d")
        for name in names:
            if name not in self.variables:
                raise self.wrong(f"{name:.60} in $d is no active variable; declare it with $v")
        if len(names) < 2 or len(set(names)) < len(names):
            raise self.wrong("$d needs at least two variables, each once")
        self.distinct.append(tuple(names))

    def _new_label(self, label: str) -> None:
        if not _LABEL.fullmatch(label):
            raise self.wrong(f"{label!r:.60} is no label; use letters, digits, dot, hyphen and underscore")
        if label in self.labels:
            raise self.wrong(f"the label {label:.60} stands for an earlier statement; choose another")
        if label in self.constants or label in self.once_variables:
            raise self.wrong(f"the label {label:.60} is a symbol already; labels and symbols must differ")

    def _math(self, symbols: list[str], keyword: str) -> frozenset[str]:
        """The variables of a statement, after a look at every symbol."""
        if not symbols or symbols[0] not in self.constants:
            told = f"{symbols[0]:.60}" if symbols else "nothing"
            raise self.wrong(f"{keyword} begins with {told}; its first symbol must be a constant, the typecode")
        used = set(symbols) - self.constants
        for symbol in used:
            if symbol not in self.variables:
                raise self.wrong(f"{symbol:.60} is neither a constant nor an active variable; declare it before")
        return frozenset(used)

    def _typed(self, variables) -> None:
        for name in variables:
            if name not in self.floating:
                raise self.wrong(f"the variable {name:.60} has no active $f; give it a typecode before")

    def _hypothesis(self, label: str, kind: str) -> None:
        symbols = self._body(kind)
        variables = self._math(symbols, kind)
        if kind == "$f":
            if len(symbols) != 2 or not variables:
                raise self.wrong(f"{label:.60}: $f holds a typecode and one variable, not {' '.join(symbols)!r:.60}")
            if symbols[1] in self.floating:
                raise self.wrong(f"{label:.60}: the variable {symbols[1]:.60} has an active $f; remove one")
        else:
            self._typed(variables)
        one = Hypothesis(label, kind, tuple(symbols), variables, len(self.labels))
        self.labels[label] = one
        self.active.add(label)
        if kind == "$f":
            self.floating[symbols[1]] = one
        else:
            self.essential.append(one)

    def _assertion(self, label: str, kind: str, start: Position) -> Assertion:
        symbols = self._body(kind, "$=" if kind == "$p" else "$.")
        mandatory = self._math(symbols, kind).union(*(one.variables for one in self.essential))
        self._typed(mandatory)
        hypotheses = sorted([*(self.floating[name] for name in mandatory), *self.essential], key=lambda one: one.order)
        steps: tuple = ()
        if kind == "$p":
            steps = self._proof(label, [one.label for one in hypotheses])
        self.labels[label] = None
        known = {one.label for one in hypotheses}
        named = {step for step in steps if isinstance(step, str)} - known
        optional = tuple(one for step in named if (one := self.labels[step]) is not None)
        return Assertion(
            label, kind, tuple(symbols), tuple(hypotheses), optional, tuple(self.distinct), steps, start,
            (self.row, self.column + 2),
        )  # fmt: skip

    # -------------------------------------------------------------------------------------- proofs (§4.2.6, app. B)
    def _proof(self, label: str, mandatory: list[str]) -> tuple[str | int | None, ...]:
        tokens = self._body("$p")
        if not tokens:
            raise self.wrong(f"{label:.60} has an empty proof; write ? for an unknown one")
        if tokens[0] != "(":
            for token in tokens:
                self._may_name(label, token)
            return tuple(None if token == "?" else token for token in tokens)
        if ")" not in tokens:
            raise self.wrong(f"{label:.60}: the labels of its compressed proof are not closed; add )")
        cut = tokens.index(")")
        named = tokens[1:cut]
        for token in named:
            if token == "?" or token in mandatory:
                raise self.wrong(f"{label:.60}: {token:.60} may not stand among a compressed proof's labels; remove it")
            self._may_name(label, token)
        return self._decoded(label, [*mandatory, *named], "".join(tokens[cut + 1 :]))

    def _may_name(self, label: str, token: str) -> None:
        if token == "?":
            return
        if token not in self.labels:
            raise self.wrong(f"{label:.60}: its proof names {token:.60}, which stands nowhere before it")
        if self.labels[token] is not None and token not in self.active:
            raise self.wrong(f"{label:.60}: its proof names the hypothesis {token:.60}, which is not active here")

    def _decoded(self, label: str, names: list[str], letters: str) -> tuple[str | int | None, ...]:
        """Numbers in base 20 (last digit A-T) and 5 (others U-Y), counted from 1: names first, then kept steps."""
        codes = _LETTERS.findall(letters)
        if not codes or sum(map(len, codes)) != len(letters):
            raise self.wrong(f"{label:.60}: its compressed proof does not decode; use A-Z and ?, a number ends by A-T")
        steps: list[str | int | None] = []
        meaning: dict[str, str | int | None] = {"?": None}
        kept = 0
        for code in codes:
            if code == "Z":
                if not steps or steps[-1] is None or type(steps[-1]) is int:
                    raise self.wrong(f"{label:.60}: Z in its compressed proof does not follow a new step; remove it")
                kept += 1
                steps.append(KEEP)
                continue
            if code not in meaning:
                number = _number(code)
                if number >= len(names) + kept:
                    raise self.wrong(f"{label:.60}: {code:.60} in its compressed proof counts beyond what there is")
                meaning[code] = names[number] if number < len(names) else number - len(names)
            steps.append(meaning[code])
        return tuple(steps)


def _number(code: str) -> int:
    number = 0
    for letter in code[:-1]:
        number = 5 * number + ord(letter) - ord("U") + 1
    return 20 * number + ord(code[-1]) - ord("A")
