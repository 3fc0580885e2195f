"""``workbench report``: one static page over all runs and grids, and the numbers as CSV, Parquet and LaTeX.

The page is a single file with figures and text exports embedded. Its filter is a few lines of inline script, whose hash
the Content-Security-Policy names; the policy forbids everything else to run or load.
"""

import base64
import re
from pathlib import Path

from ...files import write_atomic
from ...tables import csv_text
from ..store import entry as store
from ..store.metrics import number, show
from ..sweep.cell import make_page
from . import grids
from .exports import FIXED, as_latex, as_parquet, as_rows, chosen
from .words import environment, plain, script

FIGURE_BYTES = 2_000_000  # a larger picture is linked, not embedded
PAGE_BYTES = 40_000_000  # of pictures on the whole page; the newest runs come first
RUNS_COMPARED = 24  # rows of a comparison plot: the newest


def write_report(out: Path) -> Path:
    """Write the page and its exports into the folder of all runs; returns the page's path.

    ``index.html``; ``runs.csv``, ``.parquet`` and ``.tex``; where there are grids also ``grids.csv``, ``.parquet`` and
    ``.tex``, and their figures as ``grids/PAPER-NAME.png``, ``.svg`` and ``.pdf``. A run without a page (its sweep was
    killed before it made one) gets one.

    Raises
    ------
    WorkbenchError
        The folder cannot be written.
    """
    records, unreadable = store.scan(out)
    for record in records:
        if record.status != "running" and not record.report.exists() and store.inside(record.folder, "notebook.ipynb"):
            make_page(record)
    found = grids.tables(out, records)
    table, latex = csv_text(as_rows(records), FIXED), as_latex(records)
    write_atomic(out / "runs.csv", table)
    write_atomic(out / "runs.tex", latex)
    if records:
        write_atomic(out / "runs.parquet", as_parquet(as_rows(records)))
    if found:
        rows = grids.long_rows(found)
        latex += "\n" + grids.as_latex(found)
        write_atomic(out / "grids.csv", csv_text(rows))
        write_atomic(out / "grids.tex", grids.as_latex(found))
        if rows:
            write_atomic(out / "grids.parquet", as_parquet(rows))
    return write_atomic(out / "index.html", render(records, out, table, latex, found, unreadable))


def render(
    records: list[store.Record],
    out: Path,
    table: str,
    latex: str,
    found: list[grids.GridTable] | None = None,
    unreadable: list[str] | None = None,
) -> str:
    """The page as text; grids' figures are written beside it. ``unreadable``: records left out, and why."""
    from ...papers import PAPERS

    titles = {paper.name: paper.title for paper in PAPERS}
    room = PAGE_BYTES
    papers = []
    for name in sorted({record.paper for record in records}):
        runs = [record for record in reversed(records) if record.paper == name]  # the newest first
        rows = []
        for record in runs:
            pictures, room = figures(record, out, room)
            items = store.inside(record.folder, "items.html")
            rows.append(
                {
                    "run": record, "link": link(record, out), "figures": pictures, "text": _text(record),
                    "items": items and items.relative_to(out).as_posix(),
                }
            )  # fmt: skip
        names = list(dict.fromkeys(metric for record in runs for metric in record.metrics))
        plots = [plot for metric in names if (plot := comparison(metric, runs))]
        shown = [_grid(item, out) for item in found or [] if item.paper == name]
        papers.append(
            {
                "name": name,
                "title": titles.get(name, ""),
                "rows": rows,
                "metrics": names,
                "plots": plots,
                "grids": shown,
            }
        )
    counts = {status: sum(record.status == status for record in records) for status in store.STATUSES}
    return (
        environment()
        .get_template("index.html")
        .render(
            papers=papers,
            total=len(records),
            unreadable=unreadable or [],
            counts={status: count for status, count in counts.items() if count},
            **script("filter.js"),
            csv=base64.b64encode(table.encode()).decode(),
            latex=base64.b64encode(latex.encode()).decode(),
        )
    )


def _grid(table: grids.GridTable, out: Path) -> dict:
    """A grid for the template: caption, picture, and rows of texts."""
    from ...plots import save

    figure, source, width = grids.draw(table), None, 0
    if figure is not None:
        name = f"{re.sub('[^A-Za-z0-9_-]', '_', table.paper)}-{table.name}"
        width = round(figure.get_size_inches()[0] * 90)  # in pixels of the page
        picture, *_ = save(figure, name, out / "grids", describe=figure.description)
        source = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    rows = []
    for row in table.rows:
        cells = [show(row["metrics"][name].as_dict()) if name in row["metrics"] else None for name in table.metrics]
        rows.append({"values": [plain(value) for value in row["values"].values()], "n": row["seeds"], "cells": cells})
    return {
        "table": table, "caption": grids.caption(table), "picture": source, "width": width, "rows": rows,
        "alt": figure.description if figure is not None else "",
    }  # fmt: skip


def link(record: store.Record, out: Path) -> str:
    """The address of a run's page, else of its folder; relative, so that the folder of runs can be moved."""
    target = record.report if record.report.exists() else record.folder
    return target.relative_to(out).as_posix()


def figures(record: store.Record, out: Path, room: int) -> tuple[list[dict], int]:
    """A run's pictures as {name, alt, source}, and the room left on the page; too large a picture is linked."""
    from ...plots import description

    found = []
    for path in sorted((record.folder / "figures").glob("*.png")):
        if store.inside(record.folder, f"figures/{path.name}") is None:
            continue  # a link to another place is not this run's picture
        count = path.stat().st_size
        if count <= min(FIGURE_BYTES, room):
            room -= count
            source = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
            found.append({"name": path.stem, "alt": description(path) or path.stem, "source": source})
        else:
            found.append({"name": path.stem, "href": path.relative_to(out).as_posix()})
    return found, room


def comparison(metric: str, runs: list[store.Record]) -> dict | None:
    """One metric over the finished runs that have it, for the template's SVG: a dot a run with its interval.

    None with fewer than two values. The template writes the SVG, not `plots`: matplotlib takes 4 CPU seconds for the
    twelve comparisons of one paper and gives them no tooltips and none of the reader's colours.

    Returns
    -------
    dict
        ``name``, ``ticks`` (x, text), ``rows`` (id, about, x, low and high, the last two None without an interval), in
        pixels; ``n``.
    """
    points = [(run, run.metrics[metric]) for run in runs if run.status == "done" and metric in run.metrics]
    points = [(run, entry) for run, entry in points if entry.get("value") is not None][:RUNS_COMPARED]
    if len(points) < 2:
        return None
    ends = [entry[key] for _, entry in points for key in ("value", "low", "high") if entry.get(key) is not None]
    low, high = min(ends), max(ends)
    if high == low:
        low, high = low - (abs(low) or 1) * 0.5, high + (abs(high) or 1) * 0.5

    def x(value: float | None) -> float | None:
        return None if value is None else round(140 + (value - low) / (high - low) * 224, 1)

    rows = []
    for run, entry in points:
        shown = show(entry)
        about = f"{run.id}: {shown['value']} {shown['interval']} {chosen(run)}"
        both = None not in (entry.get("low"), entry.get("high"))
        rows.append({"id": run.id[4:], "about": about, "x": x(entry["value"])}
                    | {end: x(entry[end]) if both else None for end in ("low", "high")})  # fmt: skip
    unit = points[0][1].get("unit")
    ticks = [(x(place), number(place)) for place in (low, (low + high) / 2, high)]
    return {"name": f"{metric} ({unit})" if unit else metric, "ticks": ticks, "rows": rows, "n": len(points)}


def _text(record: store.Record) -> str:
    """The text that the filter box searches."""
    parts = [record.id, record.paper, record.status, chosen(record), record.error or "", *record.metrics]
    parts += [f"{name}={plain(value)}" for name, value in record.parameters.items()]
    return " ".join(parts).lower()
