"""Runs as CSV, Parquet and LaTeX, for spreadsheets, pandas and papers."""

import io

from ..store import entry as store
from ..store.metrics import show
from .words import plain

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
            parts.append(latex_table(name, ["run", "set", *metrics], rows, left=2))
    return "\n".join(parts)


def latex_table(title: str, head: list[str], rows: list[list[str]], left: int) -> str:
    """A LaTeX table with a comment above it; the first ``left`` columns are texts, the rest numbers."""
    import pandas as pd

    head, *rows = (
        [" ".join(cell.split()) for cell in row] for row in (head, *rows)
    )  # a line end would end the table's row
    unique = [name if head.index(name) == i else f"{name} ({i})" for i, name in enumerate(head)]
    style = pd.DataFrame(rows, columns=unique).style.hide(axis="index").format(escape="latex")
    style = style.format_index(escape="latex", axis="columns")
    layout = "l" * left + "r" * (len(head) - left)
    made = style.to_latex(hrules=True, column_format=layout)
    for character, name in (("<", "less"), (">", "greater"), ('"', "quotedbl")):  # pandas leaves these
        made = made.replace(character, f"\\text{name}{{}}")
    return f"% {' '.join(title.split())}\n{made}"
