"""Runs, and the tables of one run, as CSV, Parquet and LaTeX, for spreadsheets, pandas and papers."""

import io
import re
from itertools import count
from pathlib import Path
from typing import Any

from ...errors import RunError
from ...files import write_atomic
from ...tables import csv_text
from ..store import entry as store
from ..store.metrics import number, show
from .words import NUMBER, plain

TABLES = "tables"  # the folder for the tables of one run
SENTENCE = 40  # characters from which a cell of a LaTeX table is broken into lines
FIXED = ("id", "paper", "status", "error", "started", "seconds", "cpu_seconds", "peak_memory_bytes", "revision")


def chosen(record: store.Record) -> str:
    """The parameters that were set for a run, as typed."""
    return " ".join(f"{name}={plain(record.parameters.get(name))}" for name in record.given)


def as_rows(records: list[store.Record]) -> list[dict]:
    """All runs as flat rows, every row with every column; parameters are texts, metrics numbers or None."""
    names = list(dict.fromkeys(name for record in records for name in record.parameters))
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    rows = []
    for record in records:
        row = {name: getattr(record, name) for name in FIXED[:-1]} | {"revision": (record.git or {}).get("revision")}
        for name in names:
            row[f"param.{name}"] = plain(record.parameters[name]) if name in record.parameters else None
        for name in metrics:
            entry = record.metrics.get(name, {})
            row |= {f"metric.{name}{part}": entry.get(part.strip("_") or "value") for part in ("", "_low", "_high")}
        rows.append(row)
    return rows


def as_parquet(rows: list[dict]) -> bytes:
    """Rows as a Parquet file: numbers as 64-bit floats, everything else as texts."""
    import pandas as pd

    frame = pd.DataFrame(rows, dtype=object)
    for name, cells in frame.items():
        texts = any(isinstance(cell, str) for cell in cells)
        frame[name] = cells.map(str, na_action="ignore").astype("string") if texts else cells.astype("float64")
    sink = io.BytesIO()
    frame.to_parquet(sink, index=False)
    return sink.getvalue()


def as_latex(records: list[store.Record]) -> str:
    r"""The finished runs as LaTeX (booktabs), a table a paper; every text is escaped."""
    parts = ["% needs \\usepackage{booktabs}\n"]
    for name in sorted({record.paper for record in records}):
        runs = [record for record in records if record.paper == name and record.status == "done" and record.metrics]
        metrics = list(dict.fromkeys(metric for record in runs for metric in record.metrics))
        rows = []
        for record in runs:
            shown = {metric: show(entry) for metric, entry in record.metrics.items()}
            cells = [" ".join(filter(None, [shown[m]["value"], shown[m]["interval"]])) if m in shown else ""
                     for m in metrics]  # fmt: skip
            rows.append([record.id, chosen(record), *cells])
        if rows:
            parts.append(latex_table(name, ["run", "set", *metrics], rows, "ll" + "r" * len(metrics)))
    return "\n".join(parts)


def latex_table(title: str, head: list[str], rows: list[list[str]], layout: str) -> str:
    """A LaTeX table (booktabs) with a comment above it; ``layout`` is LaTeX's own, such as "llr"."""
    import pandas as pd

    head, *rows = (
        [" ".join(cell.split()) for cell in row] for row in (head, *rows)
    )  # a line end would end the table's row
    unique = [name if head.index(name) == i else f"{name} ({i})" for i, name in enumerate(head)]
    style = pd.DataFrame(rows, columns=unique).style.hide(axis="index").format(escape="latex")
    style = style.format_index(escape="latex", axis="columns")
    made = style.to_latex(hrules=True, column_format=layout)
    for character, name in (("<", "less"), (">", "greater"), ('"', "quotedbl")):  # pandas leaves these
        made = made.replace(character, f"\\text{name}{{}}")
    made = re.sub(r"^([\[*])", r"{}\1", made, flags=re.MULTILINE)  # after \\ it would be the line end's option
    return f"% {' '.join(title.split())}\n{made}"


def write_tables(folder: Path) -> list[str]:
    """The tables that a run's notebook recorded, as ``tables/NAME.csv`` and ``.tex``; returns their file names' stems.

    CSV holds the numbers in full, LaTeX what people read. A table without a row is left out.

    Raises
    ------
    RunError
        ``tables`` is a link to another place.
    """
    try:
        tables = store.load_tables(folder)
    except RunError:  # the record names it
        return []
    if (place := folder / TABLES).is_symlink():
        raise RunError(f"{place} is a link, and tables are written into the run's own folder; delete it")
    made: list[str] = []
    for name, rows in tables.items():
        head = list(dict.fromkeys(key for row in rows for key in row))
        if not head:
            continue
        stem = _stem(name, made)
        cells = [[_read(row.get(key)) for key in head] for row in rows]
        layout = "".join(_layout([row.get(key) for row in rows]) for key in head)
        write_atomic(place / f"{stem}.csv", csv_text([{key: row.get(key) for key in head} for row in rows]))
        latex = latex_table(name, head, cells, layout)
        write_atomic(place / f"{stem}.tex", f"% needs \\usepackage{{booktabs}}\n{latex}")
        made.append(stem)
    return made


def _stem(name: str, taken: list[str]) -> str:
    """A table's name as a file's, with a number where another one has it, whatever the case."""
    stem, others = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80] or "table", {one.lower() for one in taken}
    free = (f"{stem}-{k}" if k > 1 else stem for k in count(1))
    return next(one for one in free if one.lower() not in others)


def _read(value: Any) -> str:
    """A cell for people: numbers short, nothing where there is nothing."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None else plain(value)
    return number(value)


def _layout(column: list) -> str:
    """LaTeX's letter for a column: numbers (and what begins like one) from the right, sentences in lines."""
    if max((len(_read(value)) for value in column), default=0) > SENTENCE:
        return "p{6cm}"
    return "r" if all(NUMBER.match(_read(value) or "-") for value in column) else "l"
