"""Named data of the checkout: data/PAPER holds a card (README.md), quoted numbers (paper.json) and small typed rows.

Each row is a dataclass instance, so a missing or misspelt column is found when the file is read and not an hour later.
"""

from dataclasses import dataclass
from pathlib import Path

from .errors import DataError
from .files import ROOT
from .tables import Row, parse_json, read_rows, read_text


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
    return read_text(folder(paper, root=root) / "README.md")


def quoted(paper: str, *, root: str | Path = ROOT) -> dict[str, Quoted]:
    """The numbers quoted from a paper, by key, each with its source and where that was read.

    Raises
    ------
    DataError
        The file is missing or an entry lacks value, source or read_from.
    """
    path = folder(paper, root=root) / "paper.json"
    entries = parse_json(read_text(path), path)
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
    """Typed rows of a JSON-lines file; see `tables.read_rows`.

    Parameters
    ----------
    source : str or Path
        "PAPER/FILE.jsonl" under data/, or any path that exists (a user's own file).
    row : dataclass type
        One field a column.

    Raises
    ------
    DataError
        Missing file, broken JSON, a column too many, too few or of the wrong type, or a row that was there before;
        the line's number is named.
    """
    path = Path(source)
    return read_rows(path if path.exists() else Path(root) / "data" / source, row)
