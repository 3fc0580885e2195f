"""Files of rows: JSON lines and csv as typed rows, and every fault in one sentence with the file, the line, what to do.

Nothing read here is executed, a file is at most `LARGEST` bytes of UTF-8 text, and only an end of line ends a row.
"""

import csv
import gzip
import io
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import DataError
from .files import lone_surrogate

Row = TypeVar("Row")
LARGEST = 2**30  # bytes of text read from one source: a zip or gz file may claim to be small and not be
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", list: "list", dict: "object"}


def read_rows(
    path: Path, row: type[Row], *, aliases: Mapping[str, str] | None = None, foreign: bool = False
) -> list[Row]:
    """The rows of a .jsonl, .jsonl.gz or .csv file.

    Parameters
    ----------
    path : Path
    row : dataclass type
        One field a column; a column whose field has a default may be absent. Simple types and unions of them are
        checked. A field called ``line`` is no column: it is the line on which the row begins.
    aliases : mapping, optional
        Field -> the column's name in the file, where they differ.
    foreign : bool
        The file is a stranger's: further columns are passed over, an ``id`` may be a number, a needed text must not be
        empty, there must be rows, and two of them must not have the same ``id``. Ours holds its columns and no row
        twice.

    Raises
    ------
    DataError
        No such file, no UTF-8, no JSON or csv, a column missing, unknown or of another type; the line is named.
    """
    columns = {field.name: (aliases or {}).get(field.name, field.name) for field in fields(row)}
    numbered = columns.pop("line", None) is not None
    required = [field.name for field in fields(row) if field.default is MISSING and field.default_factory is MISSING]
    needed = [columns[name] for name in required if name in columns]
    hints, seen, found = get_type_hints(row), {}, []
    lines = csv_lines(path, needed) if suffix(path) == ".csv" else json_lines(path)
    for line, values in lines:
        for column in sorted(set(needed) - values.keys()):
            has = ", ".join(map(str, values)) or "nothing"
            raise bad(path, line, f"{column!r} is missing (the row has {has})", f"add {column!r}, or leave the row out")
        for column in () if foreign else sorted(values.keys() - set(columns.values())):
            raise bad(path, line, f"column {column!r} is unknown", f"a row has {', '.join(sorted(columns.values()))}")
        made = {name: values[column] for name, column in columns.items() if column in values}
        if foreign and type(made.get("id")) is int:
            made["id"] = str(made["id"])
        for name, value in made.items():
            if not _fits(value, hints[name]):
                advice = "put it in quotes" if hints[name] is str else "mend it"
                raise bad(path, line, f"{columns[name]!r} is {value!r}, which is no {_word(hints[name])}", advice)
            if foreign and columns[name] in needed and isinstance(value, str) and not value.strip():
                raise bad(path, line, f"{columns[name]!r} is empty", "fill it, or leave the row out")
        key = made.get("id") if foreign else json.dumps(values, sort_keys=True)
        if key is not None and seen.setdefault(key, line) != line:
            what = f"has the id {key!r} of line {seen[key]}" if foreign else f"repeats line {seen[key]}"
            raise bad(path, line, f"the row {what}", "rows must be distinct")
        found.append(row(**made, **({"line": line} if numbered else {})))
    if foreign and not found:
        raise DataError(f"{path} holds no rows: check that this is the file you meant")
    return found


def json_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """Line and object of every line of a .jsonl or .jsonl.gz file that is not empty."""
    for line, text in enumerate(read_text(path).split("\n"), 1):  # not splitlines: U+2028 may stand inside a string
        if not text.strip():
            continue
        row = parse_json(text, path, line)
        if not isinstance(row, dict):
            raise bad(path, line, f"{text.strip()[:40]!r} is no object", "write {…} with named columns")
        yield line, row


def parse_json(text: str, path: Path, line: int | None = None):
    """A JSON value; ``line`` is named where it does not parse (None: the line of the text itself)."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # a plain ValueError: Python reads no integer of 5,000 digits
        wrong = "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        line = line or getattr(error, "lineno", 1)
        raise bad(path, line, f"not JSON ({getattr(error, 'msg', wrong)})", "one value, with double quotes") from error
    half = lone_surrogate(value) if "\\ud" in text.lower() else None  # only an escape can bring one in
    if half:
        raise bad(path, line or 1, f"{half} is half a character", "write both halves of the pair, or leave it out")
    return value


def csv_columns(path: Path) -> list[str]:
    """The names in a csv file's first line."""
    try:
        return [name.strip() for name in next(csv.reader(io.StringIO(read_text(path), newline="")), [])]
    except csv.Error as error:
        raise bad(path, 1, f"this is no csv ({error})", "save the table again as UTF-8 csv with commas") from error


def csv_lines(path: Path, needed=()) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with the line it begins on; every column of ``needed`` is there."""
    names = csv_columns(path)
    missing = [name for name in needed if name not in names]
    if missing:
        wrong = f"the column {missing[0]!r} is missing (there are {', '.join(names) or 'none'})"
        raise bad(path, 1, wrong, "is it the right file?")
    twice = [name for name in needed if names.count(name) > 1]
    if twice:
        raise bad(path, 1, f"two columns are called {twice[0]!r}", "rename or drop one")
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    next(reader, None)
    before = reader.line_num
    while True:
        line = before + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            advice = "close its quotes, double those inside a cell"
            advice += f", and keep every cell below {csv.field_size_limit() + 1:,} characters"
            raise bad(path, line, f"this row is no csv ({error})", advice) from error
        before = reader.line_num
        if values is None:
            return
        if not values:
            continue
        if len(values) != len(names):
            wrong = f"{len(values)} cells, but the header has {len(names)} columns"
            raise bad(path, line, wrong, "put cells that hold commas in quotes")
        yield line, dict(zip(names, values))


def read_text(path: Path) -> str:
    """A whole file as UTF-8 (a byte order mark is dropped; .jsonl.gz is unpacked), with the line of a bad byte."""
    try:
        with gzip.open(path) if suffix(path) == ".jsonl.gz" else open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): check the name") from error
    except (OSError, EOFError) as error:  # gzip.BadGzipFile is an OSError
        raise DataError(f"cannot read {path} ({error}): download it again or check its permissions") from error
    except Exception as error:  # zlib.error has no common parent with the others
        raise DataError(f"{path} is damaged ({error}): download it again") from error
    if len(data) > LARGEST:
        raise DataError(f"{path} holds more than {LARGEST >> 30} GiB of text: cut it into smaller files")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise bad(path, line, f"byte {data[error.start]:#04x} is not UTF-8", "save the file as UTF-8") from error


def suffix(path: Path) -> str:
    """A file's ending in small letters; that of ``x.jsonl.gz`` is ``.jsonl.gz``."""
    name = path.name.lower()
    return ".jsonl.gz" if name.endswith(".jsonl.gz") else Path(name).suffix


def bad(path, line: int, wrong: str, advice: str) -> DataError:
    """The sentence about one line of a file."""
    return DataError(f"{path}, line {line}: {wrong}: {advice}")


def csv_text(rows: list[dict], columns: tuple[str, ...] | None = None) -> str:
    """Rows as CSV; without a row, the head is ``columns``."""
    import pandas as pd

    safe = [{_harmless(name): _harmless(cell) for name, cell in row.items()} for row in rows]
    frame = pd.DataFrame(safe, columns=None if rows else columns, dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")


def _harmless(cell):
    """A cell that is no formula to a spreadsheet: a text that begins like one gets an apostrophe; numbers stay."""
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r\n", "\n").replace("\r", "\n")  # csv does not quote a lone \r
    if cell.lstrip(" ")[:1] in tuple("=+-@\t\n＝＋－＠"):
        try:
            float(cell)
        except ValueError:
            return "'" + cell
    return cell


def _fits(value, hint) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    kind = get_origin(hint) or hint
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return not isinstance(kind, type) or isinstance(value, kind)


def _word(hint) -> str:
    return _WORDS.get(get_origin(hint) or hint) or str(hint)
