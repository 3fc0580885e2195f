"""Traced theorems and premises in LeanDojo's published layout, in memory and on disk.

A folder holds ``corpus.jsonl`` (one file of the library a line, each after those it imports: path, imports, premises)
and either ``theorems.json`` (ours) or ``SPLIT/train.json``, ``val.json``, ``test.json`` (as LeanDojo Benchmark 4
does). Both are read and written here, so a user's download of the benchmark and our own trace are the same thing to
the rest. Positions are (line, column) counted from 1. At the end: the benchmark's two ways to hold theorems out (§4).
"""

import functools
import hashlib
import json
import os
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from ....errors import DataError, UsageError
from ....files import user_path, write_atomic
from ....tables import json_lines, parse_json, read_text

Position = tuple[int, int]
PARTS = ("train", "val", "test")
SEED = 3407  # the reference's, of the splits
SKIPPED = ("no name", "a name of the user's own (user__.n…)", "no code", "several names in brackets")


@dataclass(frozen=True)
class Premise:
    """Something a proof may name; ``code`` is the statement of a theorem, or the whole of a definition."""

    full_name: str
    path: str
    code: str
    start: Position
    end: Position
    kind: str


@dataclass(frozen=True)
class File:
    """One source file; ``imports`` are the paths it imports directly."""

    path: str
    imports: tuple[str, ...]
    premises: tuple[Premise, ...]


@dataclass(frozen=True)
class Use:
    """A premise named in a tactic, by its definition's place."""

    full_name: str
    def_path: str
    def_pos: Position
    def_end_pos: Position


@dataclass(frozen=True)
class Tactic:
    """One step: the text, the text with ``<a>…</a>`` around premises, those premises, the states around it."""

    tactic: str
    annotated: str
    uses: tuple[Use, ...]
    state_before: str
    state_after: str


@dataclass(frozen=True)
class TracedTheorem:
    """A theorem with its steps; ``extra`` keeps columns of a download that are not used here (url, commit)."""

    file_path: str
    full_name: str
    start: Position
    end: Position
    tactics: tuple[Tactic, ...]
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> tuple[str, str, Position]:
        return self.file_path, self.full_name, self.start


@dataclass(frozen=True)
class Corpus:
    """Files in topological order, theorems, and what follows from them.

    ``skipped`` counts what a download lists as premises and is not one, by kind (`SKIPPED`); the reference leaves them
    out too.
    """

    files: tuple[File, ...]
    theorems: tuple[TracedTheorem, ...] = field(repr=False)
    skipped: dict[str, int] = field(default_factory=dict, compare=False)

    @functools.cached_property
    def premises(self) -> tuple[Premise, ...]:
        """All premises, file after file."""
        return tuple(premise for file in self.files for premise in file.premises)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The hash of all files and premises."""
        return hashlib.sha256(repr(self.files).encode("utf-8", "backslashreplace")).hexdigest()

    @functools.cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        spans, at = {}, 0
        for file in self.files:
            spans[file.path] = (at, at + len(file.premises))
            at += len(file.premises)
        return spans

    @functools.cached_property
    def _order(self) -> dict[str, int]:
        return {file.path: number for number, file in enumerate(self.files)}

    @functools.cached_property
    def _sizes(self):
        return np.array([len(file.premises) for file in self.files])

    @functools.cached_property
    def _ends(self):
        """Where each premise ends, (P, 2): line and column."""
        return np.array([premise.end for premise in self.premises], dtype=np.int64).reshape(-1, 2)

    @functools.cached_property
    def _before(self) -> dict[str, frozenset[str]]:
        """Each file's transitive imports."""
        known: dict[str, frozenset[str]] = {}
        for file in self.files:
            known[file.path] = frozenset(file.imports).union(*(known[path] for path in file.imports))
        return known

    @functools.cached_property
    def _by_place(self) -> dict[tuple[str, str], list[int]]:
        places: dict[tuple[str, str], list[int]] = {}
        for number, premise in enumerate(self.premises):
            places.setdefault((premise.path, premise.full_name), []).append(number)
        return places

    def accessible(self, path: str, start: Position):
        """Which premises a theorem at ``start`` of ``path`` may use.

        Returns
        -------
        numpy array of bool, (number of premises,)
            Those of transitively imported files, and those of the same file that end before the theorem starts.
        """
        if path not in self._spans:
            raise DataError(f"the corpus has no file {path!r}; a theorem's file_path must be a path of corpus.jsonl")
        files = np.zeros(len(self.files), dtype=bool)
        files[[self._order[other] for other in self._before[path]]] = True
        mask = np.repeat(files, self._sizes)  # a pass over the premises, however many files there are
        first, last = self._spans[path]
        line, column = self._ends[first:last].T
        mask[first:last] = (line < start[0]) | ((line == start[0]) & (column <= start[1]))
        return mask

    def theorem(self, name: str) -> "TracedTheorem":
        """The traced theorem of this full name; `DataError` where there is none."""
        for one in self.theorems:
            if one.full_name == name:
                return one
        near = [one.full_name for one in self.theorems if name.split(".")[-1].lower() in one.full_name.lower()][:3]
        raise DataError(
            f"no traced theorem is called {name!r}; "
            + (f"close: {', '.join(near)}" if near else "the corpus lists them, for instance Nat.add_comm")
        )

    def numbers(self, tactic: Tactic) -> frozenset[int]:
        """The premises of a tactic as places in `premises`; names that the corpus does not define are left out."""
        return frozenset(
            number
            for use in tactic.uses
            for number in self._by_place.get((use.def_path, use.full_name), ())
            if self.premises[number].start <= use.def_pos <= self.premises[number].end
        )


# ------------------------------------------------------------------------------------------------------------ reading
def load_corpus(folder: str | os.PathLike, split: str | None = None) -> "Corpus | tuple[Corpus, dict[str, tuple]]":
    """Read a folder in LeanDojo's layout.

    Parameters
    ----------
    folder : path
        A trace of ours, or an unpacked LeanDojo Benchmark 4.
    split : "random", "novel_premises" or None
        None: theorems.json. Else the split's three files, and the answer is (corpus, {part: theorems}).

    Raises
    ------
    DataError
        Missing file; broken JSON; a row that lacks a column or holds a wrong value (file and row are named); an import
        or a theorem's file that the corpus does not have. A premise without name or code, or of another kind in
        `SKIPPED`, is skipped and counted in ``skipped``.
    """
    folder = user_path(folder)
    files: list[File] = []
    known: set[str] = set()
    skipped = dict.fromkeys(SKIPPED, 0)
    path = folder / "corpus.jsonl"
    for number, row in json_lines(path):
        where = f"{path}, line {number}"
        file = _file(row, where, skipped)
        for other in file.imports:
            if other not in known:
                raise DataError(
                    f"{where}: {file.path} imports {other}, which stands in no earlier line; keep the order"
                )
        if file.path in known:
            raise DataError(f"{where}: {file.path} stands in an earlier line too; keep one")
        known.add(file.path)
        files.append(file)
    if not files:
        raise DataError(f"{path} has no line; it must hold one file of the library a line")
    if split is None:
        return Corpus(tuple(files), _theorems(folder / "theorems.json", known), skipped)
    parts = {part: _theorems(folder / split / f"{part}.json", known) for part in PARTS}
    return Corpus(tuple(files), tuple(theorem for part in PARTS for theorem in parts[part]), skipped), parts


def _get(row, name: str, kind: type, where: str):
    if not isinstance(row, dict) or name not in row:
        raise DataError(f"{where}: the column {name!r} is missing")
    if not isinstance(row[name], kind):
        raise DataError(f"{where}: {name}={row[name]!r:.80} is not a {kind.__name__}")
    return row[name]


def _position(row, name: str, where: str) -> Position:
    value = _get(row, name, list, where)
    if len(value) != 2 or not all(type(number) is int and 1 <= number < 2**31 for number in value):
        raise DataError(f"{where}: {name}={value!r:.80} is not [line, column], counted from 1")
    return value[0], value[1]


def _made(kind: type, row, where: str, **given):
    """A row as one of the classes above; columns are called as its fields are, ``given`` are not read from the row."""
    read = {
        one.name: (_position if one.type is Position else _text)(row, one.name, where)
        for one in fields(kind)
        if one.name not in given
    }
    return kind(**read, **given)


def _text(row, name: str, where: str) -> str:
    return _get(row, name, str, where)


def _skip(one, place: str) -> str | None:
    """Which of the kinds that the reference leaves out (ReProver, common.py, `File.from_data`) a premise is of."""
    if isinstance(one, dict) and "full_name" in one and one["full_name"] is None:
        return SKIPPED[0]
    name, code = _text(one, "full_name", place), _text(one, "code", place)
    if "user__.n" in name:
        return SKIPPED[1]
    if not code:
        return SKIPPED[2]
    return SKIPPED[3] if name.startswith("[") else None


def _file(row, where: str, skipped: dict[str, int]) -> File:
    path, premises = _text(row, "path", where), []
    for at, one in enumerate(_get(row, "premises", list, where), 1):
        place = f"{where}, premise {at}"
        kind = _skip(one, place)
        if kind:
            if kind != SKIPPED[0]:  # what is named must still be a premise's row
                _position(one, "start", place), _position(one, "end", place)
            skipped[kind] += 1
        else:
            premises.append(_made(Premise, one, place, path=path))
    imports = _get(row, "imports", list, where)
    if not all(isinstance(other, str) for other in imports):
        raise DataError(f"{where}: imports={imports!r:.80} is not a list of paths")
    return File(path, tuple(imports), tuple(premises))


def _theorems(path: Path, known: set[str]) -> tuple[TracedTheorem, ...]:
    rows = parse_json(read_text(path), path)
    if not isinstance(rows, list):
        raise DataError(f"{path} holds a {type(rows).__name__}; it must hold a list of theorems")
    return tuple(_theorem(row, f"{path}, theorem {at}", known) for at, row in enumerate(rows, 1))


def _theorem(row, where: str, known: set[str]) -> TracedTheorem:
    file_path = _text(row, "file_path", where)
    if file_path not in known:
        raise DataError(f"{where}: its file {file_path!r} is not in corpus.jsonl; both must be of one download")
    tactics = []
    for at, one in enumerate(_get(row, "traced_tactics", list, where), 1):
        place = f"{where}, tactic {at}"
        annotated = _get(one, "annotated_tactic", list, place)
        if len(annotated) != 2 or not isinstance(annotated[0], str) or not isinstance(annotated[1], list):
            raise DataError(f"{place}: annotated_tactic must be [text, premises]")
        uses = tuple(_made(Use, use, place) for use in annotated[1])
        tactics.append(_made(Tactic, one, place, annotated=annotated[0], uses=uses))
    extra = tuple((name, row[name]) for name in ("url", "commit") if isinstance(row.get(name), str))
    return _made(TracedTheorem, row, where, tactics=tuple(tactics), extra=extra)


# ------------------------------------------------------------------------------------------------------------ writing
def save_corpus(corpus: Corpus, folder: str | os.PathLike, splits: "dict[str, dict[str, tuple]] | None" = None) -> Path:
    """Write a corpus in LeanDojo's layout; with ``splits`` {name: {part: theorems}}, as Benchmark 4."""
    folder = Path(folder)
    lines = [json.dumps(_file_row(file), ensure_ascii=False) for file in corpus.files]
    write_atomic(folder / "corpus.jsonl", "\n".join(lines) + "\n")
    if splits is None:
        write_atomic(folder / "theorems.json", _dump(corpus.theorems))
    for name, parts in (splits or {}).items():
        for part in PARTS:
            write_atomic(folder / name / f"{part}.json", _dump(parts[part]))
    return folder


def _dump(theorems) -> str:
    return "[\n" + ",\n".join(json.dumps(_theorem_row(theorem), ensure_ascii=False) for theorem in theorems) + "\n]\n"


def _file_row(file: File) -> dict:
    premises = [{name: value for name, value in asdict(one).items() if name != "path"} for one in file.premises]
    return {"path": file.path, "imports": file.imports, "premises": premises}


def _theorem_row(theorem: TracedTheorem) -> dict:
    row = dict(theorem.extra) | asdict(theorem)
    tactics = [
        {"tactic": one["tactic"], "annotated_tactic": [one["annotated"], one["uses"]],
         "state_before": one["state_before"], "state_after": one["state_after"]}
        for one in row.pop("tactics")
    ]  # fmt: skip
    del row["extra"]
    return row | {"traced_tactics": tactics}


# ----------------------------------------------------------------------------------------------------------- splits
def random_split(theorems: Sequence[TracedTheorem], n_val: int, n_test: int, *, seed: int = SEED):
    """{part: theorems}: a seeded shuffle; a theorem stands in exactly one part."""
    _check(theorems, n_val, n_test)
    shuffled = sorted(theorems, key=lambda theorem: theorem.key)
    random.Random(seed).shuffle(shuffled)
    cut = len(shuffled) - n_val - n_test
    return dict(zip(PARTS, (tuple(shuffled[:cut]), tuple(shuffled[cut : cut + n_val]), tuple(shuffled[cut + n_val :]))))


def novel_premises_split(theorems: Sequence[TracedTheorem], n_val: int, n_test: int, *, seed: int = SEED):
    """{part: theorems}: every held-out theorem uses at least one premise that no training theorem uses.

    Premises are taken from the rarest on; every theorem that uses one moves out of the training part, until at least
    ``n_val + n_test`` have moved (the last premise may bring more). They are then divided at random.
    """
    _check(theorems, n_val, n_test)
    ordered = sorted(theorems, key=lambda theorem: theorem.key)
    users: dict[tuple, list[int]] = {}
    for number, theorem in enumerate(ordered):
        for premise in sorted({(use.def_path, use.full_name) for one in theorem.tactics for use in one.uses}):
            users.setdefault(premise, []).append(number)
    rng = random.Random(seed)
    premises = sorted(users)
    rng.shuffle(premises)  # premises that are equally rare come in a seeded order
    premises.sort(key=lambda premise: len(users[premise]))
    moved: dict[int, None] = {}
    for premise in premises:
        if len(moved) >= n_val + n_test:
            break
        moved.update(dict.fromkeys(users[premise]))
    if len(moved) < n_val + n_test:
        raise UsageError(
            f"only {len(moved)} theorems name a premise, and {n_val + n_test} are to be held out; ask for fewer"
        )
    held = list(moved)
    rng.shuffle(held)
    n_val = round(len(held) * n_val / (n_val + n_test))
    parts = ([n for n in range(len(ordered)) if n not in moved], held[:n_val], held[n_val:])
    return {part: tuple(ordered[n] for n in numbers) for part, numbers in zip(PARTS, parts)}


SPLITS = {"random": random_split, "novel_premises": novel_premises_split}


def _check(theorems: Sequence[TracedTheorem], n_val: int, n_test: int) -> None:
    if n_val < 0 or n_test < 1 or n_val + n_test >= len(theorems):
        raise UsageError(
            f"n_val={n_val} and n_test={n_test} of {len(theorems)} theorems: both must fit and leave some for training"
        )
