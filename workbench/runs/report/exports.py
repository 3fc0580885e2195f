"""Runs as CSV, Parquet and LaTeX, for spreadsheets, pandas and papers."""

import csv
import io
import re

from ..store import entry as store
from ..store.metrics import show
from .page import plain

FIXED = ("id", "paper", "status", "error", "started", "seconds", "cpu_seconds", "peak_memory_bytes", "revision")


def chosen(record: store.Record) -> str:
    """The parameters that were set for a run, as one would type them."""
    return " ".join(f"{name}={plain(record.parameters.get(name))}" for name in record.given)


def as_csv(records: list[store.Record]) -> str:
    """All runs as CSV: a row a run, a column a parameter and three a metric (value, low, high)."""
    return csv_text(as_rows(records)) if records else ",".join(FIXED) + "\n"


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


def csv_text(rows: list[dict]) -> str:
    """Rows as CSV; columns in the order in which they first come."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(cell) for name, cell in row.items()} for row in rows)
    return buffer.getvalue()


def _harmless(cell):
    """A cell that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe; numbers stay."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        cell = cell.replace("\r\n", "\n").replace("\r", "\n")  # csv does not quote a lone one
    if isinstance(cell, str) and cell.lstrip(" ")[:1] in tuple("=+-@\t\n＝＋－＠"):
        try:
            float(cell)
        except ValueError:
            return "'" + cell
    return cell


def as_parquet(rows: list[dict]) -> bytes:
    """Rows as a Parquet file: numbers as 64-bit floats, everything else as texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        cells = [row.get(name) for row in rows]
        texts = any(isinstance(cell, str) for cell in cells)
        kind = pa.string() if texts else pa.float64()
        make = str if texts else float
        columns[name] = pa.array([cell if cell is None else make(cell) for cell in cells], kind)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def as_latex(records: list[store.Record]) -> str:
    r"""The finished runs as LaTeX (booktabs), a table a paper; every text is escaped."""
    parts = ["% needs \\usepackage{booktabs}\n"]
    for name in sorted({record.paper for record in records}):
        runs = [record for record in records if record.paper == name and record.status == "done" and record.metrics]
        if not runs:
            continue
        metrics = list(dict.fromkeys(metric for record in runs for metric in record.metrics))
        head = " & ".join(["run", "set", *map(tex, metrics)])
        parts.append(f"% {name}\n\\begin{{tabular}}{{ll{'r' * len(metrics)}}}\n\\toprule\n{head} \\\\\n\\midrule\n")
        for record in runs:
            cells = [tex(record.id), tex(chosen(record))]
            for metric in metrics:
                shown = show(record.metrics[metric]) if metric in record.metrics else {"value": "", "interval": ""}
                cells.append(tex(" ".join(filter(None, [shown["value"], shown["interval"]]))))
            parts.append(" & ".join(cells) + " \\\\\n")
        parts.append("\\bottomrule\n\\end{tabular}\n")
    return "\n".join(parts)


def tex(text: str) -> str:
    """A text with LaTeX's special characters made harmless."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {character: "\\" + character for character in "&%$#_{}"}
    special |= {"\n": " ", '"': r"\textquotedbl{}", "<": r"\textless{}", ">": r"\textgreater{}"}
    return re.sub(r'[\\~^&%$#_{}\n"<>]', lambda found: special[found.group()], text)
