"""Named data of the checkout: data/PAPER holds a card (README.md), quoted numbers (paper.json) and small typed rows.

Each row is a dataclass instance, so a missing or misspelt column is found when the file is read and not an hour later.
"""

from dataclasses import dataclass
from pathlib import Path

from .display import shown
from .errors import DataError
from .files import ROOT
from .tables import Row, parse_json, read_rows, read_text

RESULT = {"measure", "model", "method"}  # what an entry says that is a result and not a setting


@dataclass(frozen=True)
class Quoted:
    """A number (or list, or text) that is somebody else's: never printed as a result of ours."""

    key: str
    value: object
    source: str
    read_from: str
    unit: str = ""
    measure: str = ""  # what was measured, of which model, by which method: all three or none (a setting)
    model: str = ""
    method: str = ""

    @property
    def said(self) -> str:
        """The value with its unit."""
        return f"{self.value} {self.unit}".rstrip()

    def __str__(self) -> str:
        return f"{self.said} ({self.source}; read from {self.read_from})"


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
        given = set(entry) if isinstance(entry, dict) else set()
        if given - {"unit"} - RESULT != {"value", "source", "read_from"} or given & RESULT not in (set(), RESULT):
            raise DataError(
                f"{path}: entry {key!r} must have value, source, read_from and at most a unit, and for a result "
                "measure, model and method: a quote needs its source"
            )
        result[key] = Quoted(key, **entry)
    return result


def quoted_table(paper: str, *, settings: bool = False, root: str | Path = ROOT):
    """`quoted` as a captioned table for a notebook (a pandas Styler: whole texts, escaped; its frame is ``.data``).

    Results stand as model x method, the sources of a row together. ``settings`` shows all other entries; a paper of
    which no result is quoted has only these.
    """
    entries = list(quoted(paper, root=root).values())
    results = [quote for quote in entries if quote.method]
    if settings or not results:
        rest = [quote for quote in entries if not quote.method]
        rows = [{"quoted": q.key.replace("_", " "), "value": q.said, "source": q.source} for q in rest]
        return shown(rows, "Quoted from the authors: " + ("settings" if results else "not measured here"))
    methods = dict.fromkeys(quote.method for quote in results)
    rows = []
    for measure, model in dict.fromkeys((quote.measure, quote.model) for quote in results):
        mine = [quote for quote in results if (quote.measure, quote.model) == (measure, model)]
        values = {method: next((q.said for q in mine if q.method == method), None) for method in methods}
        sources = "; ".join(dict.fromkeys(quote.source for quote in mine))
        rows.append({"measure": measure, "model": model, **values, "source": sources})
    return shown(rows, "Quoted from the authors, not measured here")


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
