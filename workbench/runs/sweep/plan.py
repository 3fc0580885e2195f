"""A sweep before it starts: how long it may take, and its cells as separate commands."""

import json
import shlex
import statistics
from pathlib import Path

from ...errors import UsageError
from ..report.words import plain
from ..store import entry as store, masking
from ..store.times import LIKE, Estimate, measured
from .grid import Grid

# seconds a profile may take (docs/design.md), until runs have been measured
PROFILE_SECONDS = {"smoke": 40, "quick": 180, "standard": 1800}


def estimate(grid: Grid, records: list[store.Record]) -> Estimate:
    """How long a run of the grid takes: the median of finished runs like it, else what its profile allows.

    ``records`` are the paper's runs so far.
    """
    fixed = grid.notebook.filled(grid.fixed)
    wanted = {name: grid.axes.get(name, [fixed.get(name)]) for name in LIKE}
    if (found := measured(wanted, records)) is not None:
        return found
    profiles = [PROFILE_SECONDS.get(name) for name in wanted["profile"]]
    if profiles and None not in profiles:
        names = " and ".join(map(str, wanted["profile"]))
        return Estimate(statistics.fmean(profiles), f"what the profile {names} may take at most")
    return Estimate(None, "nothing: no run like these has finished yet")


def commands(grid: Grid, cells: list, *, out: Path, options: list[str]) -> list[str]:
    """One command a cell: it runs that cell alone, and does nothing if the cell is finished or running elsewhere.

    Absolute paths, every value quoted for a POSIX shell; the commands may be run in any order, on any machine that
    shares ``out`` and has the checkout at the same place.
    """
    told = grid.notebook.filled(grid.fixed | {name: values[0] for name, values in grid.axes.items()})
    for name in (*grid.fixed, *grid.axes):
        if masking.masked(name, told[name]) != told[name]:
            raise UsageError(
                f"parameter {name!r} holds a secret, which every printed command would show: let the notebook read"
                " it from an environment variable or a file"
            )
    paper = grid.notebook.name if grid.notebook.where == grid.notebook.name else str(grid.notebook.path)
    lines = []
    for cell in cells:
        words = ["workbench", "sweep", paper]
        for name, value in cell.values.items():
            words += ["-g" if name in grid.axes else "-p", f"{name}={as_typed(value, name in grid.axes)}"]
        words += ["--out", str(out), *options, "--quiet"]
        lines.append(shlex.join(words))
    return lines


def as_typed(value, in_grid: bool) -> str:
    """A value as typed behind ``-p name=``, or behind ``-g name=``, where a comma needs quotes."""
    text = plain(value)
    if in_grid and isinstance(value, str) and (text != text.strip() or not text or set(text) & set('",[]{}')):
        return json.dumps(value)
    return text


def describe(cell_values: dict, names) -> str:
    """A cell's values on its axes, as typed."""
    return " ".join(f"{name}={plain(masking.masked(name, cell_values[name]))}" for name in names)
