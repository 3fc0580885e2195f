"""Grids for the report: a sweep's results as tables and small multiples, with intervals over the seeds.

The sweep writes a manifest of the grid (``OUT/PAPER/.grids/NAME.json``); the numbers come from the finished records,
whichever sweep made them. Each cell counts once, by its oldest finished record.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...files import read_json
from ..store.entry import Record
from ..sweep import locks as claims
from ..sweep.grid import SEED
from .words import plain

FOLDER = ".grids"
PANELS = 6  # metrics drawn of a grid, the first ones
LINES = 6  # values of the second axis drawn in one panel


@dataclass(frozen=True)
class GridTable:
    """A grid's numbers: a row for each combination without its seed, an Estimate over the seeds for each metric."""

    name: str
    paper: str
    axes: dict[str, list[Any]]
    fixed: dict[str, Any]
    cells: int
    finished: int
    metrics: list[str]
    rows: list[dict]  # {"values": {axis: value}, "seeds": finished seeds, "metrics": {name: Estimate}}

    @property
    def names(self) -> list[str]:
        """The axes without the seed."""
        return [name for name in self.axes if name != SEED]


def tables(out: Path, records: list[Record]) -> list[GridTable]:
    """Every grid under ``out``, by paper; a grid inside a larger one of the same notebook is left out."""
    manifests = [item for item in _manifests(out) if all(item["axes"].values())]
    sets = [(item["notebook_sha256"], set(item["cells"])) for item in manifests]
    found = []
    finished = claims.finished(records)
    for item, (sha256, cells) in zip(manifests, sets):
        if any(sha256 == other_sha and cells < other for other_sha, other in sets):
            continue
        mine = [finished[key] for key in item["cells"] if key in finished and _fits(finished[key], item["axes"])]
        if mine:
            found.append(_table(item, mine))
    return sorted(found, key=lambda table: (table.paper, table.name))


def _manifests(out: Path) -> Iterator[dict]:
    from ..store.schema import Manifest, checked

    for path in sorted(out.glob(f"*/{FOLDER}/*.json")):
        with contextlib.suppress(OSError, ValueError):  # somebody else's file
            yield checked(Manifest, read_json(path))


def _fits(record: Record, axes: dict[str, list]) -> bool:
    """Whether a record has a value of each axis; somebody may have edited the manifest."""
    return all(record.parameters.get(name) in values for name, values in axes.items())


def _table(item: dict, records: list[Record]) -> GridTable:
    from ...stats import mean_interval

    names = [name for name in item["axes"] if name != SEED]
    groups: dict[str, list[Record]] = {}
    for record in records:  # in the order of the grid's cells
        groups.setdefault(json.dumps([record.parameters.get(name) for name in names]), []).append(record)
    rows = []
    for group in groups.values():
        metrics = {}
        for metric in dict.fromkeys(name for record in group for name in record.metrics):
            entries = [record.metrics[metric] for record in group if metric in record.metrics]
            values = [entry["value"] for entry in entries if entry.get("value") is not None]
            if values:
                metrics[metric] = mean_interval(values, unit=entries[0].get("unit") or "")
        values = {name: group[0].parameters.get(name) for name in names}
        rows.append({"values": values, "seeds": len(group), "metrics": metrics})
    metrics = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    return GridTable(
        item["name"], item["paper"], item["axes"], item["fixed"], len(item["cells"]), len(records), metrics, rows
    )


def long_rows(found: list[GridTable]) -> list[dict]:
    """All grids as rows for CSV and Parquet: a row a combination and metric, with the mean's interval and the seeds."""
    rows = []
    for table in found:
        for row in table.rows:
            where = " ".join(f"{name}={plain(value)}" for name, value in row["values"].items())
            for metric, estimate in row["metrics"].items():
                rows.append(
                    {"paper": table.paper, "grid": table.name, "combination": where, "metric": metric}
                    | {f"param.{name}": plain(value) for name, value in row["values"].items()}
                    | estimate.as_dict()
                )
    return rows


def as_latex(found: list[GridTable]) -> str:
    """The grids as LaTeX (booktabs), a table each: mean and interval over the seeds."""
    from ..store.metrics import number
    from .exports import latex_table

    def cell(estimate) -> str:
        if estimate is None:
            return ""
        interval = "" if estimate.low is None else f" [{number(estimate.low)}, {number(estimate.high)}]"
        return number(estimate.value) + interval

    parts = ["% needs \\usepackage{booktabs}; mean [95% interval over the seeds]\n"]
    for table in found:
        rows = [
            [
                *map(plain, row["values"].values()),
                str(row["seeds"]),
                *(cell(row["metrics"].get(m)) for m in table.metrics),
            ]
            for row in table.rows
        ]
        head = [*table.names, "seeds", *table.metrics]
        layout = "l" * len(table.names) + "r" * (len(head) - len(table.names))
        parts.append(latex_table(f"{table.paper}, grid {table.name}", head, rows, layout))
    return "\n".join(parts)


def draw(table: GridTable):
    """Small multiples: a panel a metric, the axis with most values along x, the next one as lines.

    Returns a `plots.Picture`, or None where no axis but the seed varies. Points are means over the seeds with their
    95 % intervals where there are several.
    """
    from ... import plots

    across = _across(table)
    if across is None or not table.metrics:
        return None
    others = [name for name in table.names if name != across]
    # one line a combination of the other axes, so that nothing is averaged over silently
    lines: dict[str, list[dict]] = {}
    for row in table.rows:
        lines.setdefault(" ".join(f"{name}={plain(row['values'][name])}" for name in others), []).append(row)
    shown = dict(list(lines.items())[:LINES])
    metrics, places = table.metrics[:PANELS], table.axes[across]
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in places)
    size = (4.2 * columns, 2.9 * rows + (0.5 if len(shown) > 1 else 0))
    picture, axes = plots.panels(rows, columns, size=size)
    for metric, axis in zip(metrics, axes.flat):
        drawn = {}
        for number, (label, group) in enumerate(shown.items()):
            points = [row for row in group if metric in row["metrics"]]
            points.sort(key=lambda row: places.index(row["values"][across]))
            shift = (number - (len(shown) - 1) / 2) * 0.06
            at = [row["values"][across] for row in points]
            x = at if numeric else [places.index(value) + shift for value in at]
            drawn[label or metric] = x, [row["metrics"][metric] for row in points]
        unit = next((row["metrics"][metric].unit for row in table.rows if metric in row["metrics"]), "")
        plots.curves(
            drawn, title=f"{metric} ({unit})" if unit else metric, xlabel=across, legend=None, axis=axis,
            styles=dict.fromkeys(drawn, {"marker": "o"} if numeric else plots.POINTS),
        )  # fmt: skip
        if not numeric:
            axis.set_xticks(range(len(places)), [plain(value)[:18] for value in places])
            axis.set_xlim(-0.5, len(places) - 0.5)
    for axis in axes.flat[len(metrics) :]:
        axis.set_visible(False)
    if len(shown) > 1:
        handles, labels = axes[0, 0].get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside lower center", ncols=min(3, len(shown)))
    return picture


def caption(table: GridTable) -> str:
    """What one has to know to read the figure and the table."""
    fixed = ", ".join(f"{name}={plain(value)}" for name, value in table.fixed.items())
    seeds = len(table.axes.get(SEED, [0]))
    parts = [f"{table.finished} of {table.cells} cells finished"]
    if seeds > 1:
        parts.append(f"means and 95% t intervals over up to {seeds} seeds")
    else:
        parts.append("one seed, so no interval")
    if fixed:
        parts.append(f"fixed: {fixed}")
    if len(table.metrics) > PANELS:
        parts.append(f"the first {PANELS} of {len(table.metrics)} metrics are drawn")
    lines = len({json.dumps([v for n, v in row["values"].items() if n != _across(table)]) for row in table.rows})
    if lines > LINES:
        parts.append(f"the first {LINES} of {lines} lines are drawn; the table has all")
    return "; ".join(parts) + "."


def _across(table: GridTable) -> str | None:
    """The axis along x."""
    varied = [name for name in table.names if len(table.axes[name]) > 1]
    return max(varied, key=lambda name: len(table.axes[name]), default=None)
