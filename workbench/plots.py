"""One house style for figures, and `save`, which puts a figure into the folder of the run one is inside of.

Colours are Okabe and Ito's, told apart by colour-blind readers; sizes are for the back row of a classroom.
"""

import re
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from .errors import UsageError
from .files import run_folder, write_atomic

COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "red": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "black": "#222222",
    "grey": "#8A8A8A",
}
CYCLE = tuple(COLOURS[name] for name in ("blue", "red", "green", "orange", "purple", "sky", "black"))
CHANCE = {"color": COLOURS["grey"], "linestyle": "--", "linewidth": 1.2}  # what guessing would give, in every figure
CONTROL = {"color": COLOURS["grey"], "alpha": 0.25, "linewidth": 0}  # a control's interval, as a band


def _settings() -> dict:
    from cycler import cycler

    return {
        "figure.figsize": (8.0, 4.0),
        "figure.dpi": 110,
        "savefig.dpi": 150,
        "figure.constrained_layout.use": True,
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.8,
        "axes.prop_cycle": cycler(color=CYCLE),
        "lines.linewidth": 2.0,
        "lines.markersize": 5,
        "legend.frameon": False,
        "legend.fontsize": 10,
        "svg.hashsalt": "workbench",  # the same figure gives the same file
    }


@contextmanager
def style():
    """The house style for the figures made inside ``with plots.style():``; everything is put back afterwards."""
    import matplotlib as mpl

    with mpl.rc_context(_settings()):
        yield


def band(axis, x, estimates, **options):
    """Draw the means of ``estimates`` (stats.Estimate, one for each x) as a line and their intervals as a band.

    Returns the line. ``options`` go to ``axis.plot``.
    """
    (line,) = axis.plot(x, [e.value for e in estimates], **options)
    low = [e.value if e.low is None else e.low for e in estimates]
    high = [e.value if e.high is None else e.high for e in estimates]
    axis.fill_between(x, low, high, color=line.get_color(), alpha=0.18, linewidth=0)
    return line


def save(fig, name: str, folder: Path | None = None) -> list[Path]:
    """Save ``fig`` as figures/NAME.png and .svg in the run's folder; outside a run nothing is written.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
    name : str
        Letters, digits, ``-`` and ``_``: it becomes a file's name.
    folder : Path, optional
        Where else to, inside a run or not; the files lie in it directly.

    Returns
    -------
    list of Path
        The files written (empty outside a run).

    Raises
    ------
    UsageError
        ``name`` holds something else, a slash for instance.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UsageError(f"figure name {name!r} must be made of letters, digits, - and _: it becomes a file's name")
    if folder is None:
        run = run_folder()
        if run is None:
            return []
        folder = run / "figures"
    written = []
    for kind, metadata in (("png", {}), ("svg", {"Date": None})):
        buffer = BytesIO()
        with style():  # the file's resolution and ids are settings of saving, not of drawing
            fig.savefig(buffer, format=kind, metadata=metadata)
        written.append(write_atomic(folder / f"{name}.{kind}", buffer.getvalue()))
    return written
