"""Named data of the checkout: data/PAPER holds a card (README.md), quoted numbers (paper.json) and small typed rows.

Each row is a dataclass instance, so a missing or misspelt column is found when the file is read and not an hour later.
"""

import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import DataError
from .files import ROOT, lone_surrogate

Row = TypeVar("Row")


@dataclass(frozen=True)
class Quoted:
    """A number (or list, or text) that is somebody else's: never printed as a result of ours."""

    key: str
    value: object
    source: str
    read_from: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{f'{self.value} {self.unit}'.rstrip()} ({self.source}; read from {self.read_from})"


def folder(paper: str, *, root: str | Path = ROOT) -> Path:
    """data/PAPER of the checkout.

    Raises
    ------
    DataError
        There is none: a wheel holds no data, or the name is wrong.
    """
    path = Path(root) / "data" / paper
    if not path.is_dir():
        raise DataError(
            f"there is no folder {path}: run inside a checkout (pip install -e .) and check the paper's name"
        )
    return path


def card(paper: str, *, root: str | Path = ROOT) -> str:
    """The text of data/PAPER/README.md: origin, licence, columns."""
    return _read(folder(paper, root=root) / "README.md")


def quoted(paper: str, *, root: str | Path = ROOT) -> dict[str, Quoted]:
    """The numbers quoted from a paper, by key, each with its source and where that was read.

    Raises
    ------
    DataError
        The file is missing or an entry lacks value, source or read_from.
    """
    path = folder(paper, root=root) / "paper.json"
    entries = _json(_read(path), path)
    if not isinstance(entries, dict):
        raise DataError(
            f"{path} holds a {type(entries).__name__}: it must map each key to its value, source, read_from"
        )
    result = {}
    for key, entry in entries.items():
        if not isinstance(entry, dict) or set(entry) - {"unit"} != {"value", "source", "read_from"}:
            raise DataError(
                f"{path}: entry {key!r} must have value, source, read_from and at most a unit: a quote needs its source"
            )
        result[key] = Quoted(key, **entry)
    return result


def quoted_table(paper: str, *, root: str | Path = ROOT):
    """`quoted` as a captioned table for a notebook (a pandas Styler: whole texts, escaped; its frame is ``.data``)."""
    import pandas as pd

    rows = [
        {"quoted": q.key.replace("_", " "), "value": f"{q.value} {q.unit}".rstrip(), "source": q.source}
        for q in quoted(paper, root=root).values()
    ]
    table = pd.DataFrame(rows).set_index("quoted").style.format(escape="html").format_index(escape="html")
    return table.set_caption("Quoted from the authors, not measured here")


def rows(source: str | Path, row: type[Row], *, root: str | Path = ROOT) -> list[Row]:
    """Typed rows of a JSON-lines file.

    Parameters
    ----------
    source : str or Path
        "PAPER/FILE.jsonl" under data/, or any path that exists (a user's own file).
    row : dataclass type
        One field a column; a field with a default may be absent. Simple types and unions of them are checked.

    Raises
    ------
    DataError
        Missing file, broken JSON, a column too many, too few or of the wrong type, or a row that was there before;
        the line's number is named.
    """
    path = Path(source)
    if not path.exists():
        path = Path(root) / "data" / source
    hints = get_type_hints(row)
    known = {field.name for field in fields(row)}
    result: list[Row] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(_read(path).split("\n"), 1):  # not splitlines: U+2028 may stand inside a string
        if not line.strip():
            continue
        values = _json(line, path, number)
        if not isinstance(values, Mapping):
            raise DataError(f"{path}, line {number}: a row is an object of columns, not a {type(values).__name__}")
        for name in sorted(set(values) - known):
            raise DataError(f"{path}, line {number}: column {name!r} is unknown; a row has {', '.join(sorted(known))}")
        for name, value in values.items():
            if not _fits(value, hints[name]):
                raise DataError(f"{path}, line {number}: {name}={value!r} is not a {_word(hints[name])}")
        try:
            result.append(row(**values))
        except TypeError as error:
            missing = ", ".join(sorted(known - set(values)))
            raise DataError(f"{path}, line {number}: the row lacks {missing}") from error
        if half := lone_surrogate(values):
            raise DataError(f"{path}, line {number}: {half} is half a character: write both halves of the pair")
        text = json.dumps(values, sort_keys=True)
        if text in seen:
            raise DataError(f"{path}, line {number} repeats line {seen[text]}: rows must be distinct")
        seen[text] = number
    return result


def _word(hint) -> str:
    return getattr(hint, "__name__", None) or str(hint)


def _fits(value, hint) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    kind = get_origin(hint) or hint
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(kind, type) or isinstance(value, kind)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}; check the name, or restore it with git checkout"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error


def _json(text: str, path: Path, line: int | None = None):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {line or error.lineno}: not JSON ({error.msg}): mend that line") from error
