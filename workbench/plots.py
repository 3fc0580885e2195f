"""Figures: one function a chart form, one house style, a text alternative for each, and `save` into the run's folder.

`dots` (estimates with intervals), `curves`, `grid` (a heat map), `bars` and `empty` take plain numbers and return a
`Picture`, a matplotlib figure that says in words what it shows. `panels` gives several axes; each form draws into one
with ``axis=`` and adds its sentence. Colours are Okabe and Ito's, told apart by colour-blind readers; sizes are for the
back row of a class.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from html import escape
from io import BytesIO
from pathlib import Path
from textwrap import wrap

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from .errors import UsageError
from .files import run_folder, write_atomic
from .stats import Estimate

COLOURS = {
    "blue": "#0072B2", "orange": "#E69F00", "green": "#009E73", "red": "#D55E00",
    "purple": "#CC79A7", "sky": "#56B4E9", "black": "#222222", "grey": "#8A8A8A",
}  # fmt: skip
CYCLE = tuple(COLOURS[name] for name in ("blue", "red", "green", "orange", "purple", "sky", "black"))
CHANCE = {"color": COLOURS["grey"], "linestyle": "--", "linewidth": 1.2}  # what guessing would give, in every figure
CONTROL = {"color": COLOURS["grey"], "alpha": 0.25, "linewidth": 0}  # a control's interval, as a band
POINTS = {"linestyle": "", "marker": "o"}  # a style for `curves`: points that no line joins
BAND = {"alpha": 0.18, "linewidth": 0}
LEAST = 9  # points: smaller type is not read from the back row, nor in a report
RIGHT = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
SETTINGS = {
    "figure.dpi": 110, "savefig.dpi": 150, "figure.constrained_layout.use": True, "font.size": 11,
    "axes.titlesize": 12, "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": "#E6E6E6", "grid.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=CYCLE), "lines.linewidth": 2.0, "lines.markersize": 5,
    "legend.frameon": False, "legend.fontsize": 10,
    "text.parse_math": False,  # a dollar sign in somebody's prompt begins no formula
    "svg.hashsalt": "workbench", "pdf.fonttype": 42,  # the same figure, the same file; fonts that journals take
}  # fmt: skip


@contextmanager
def style():
    """The house style for the figures made inside ``with plots.style():``; everything is put back afterwards."""
    with mpl.rc_context(SETTINGS):
        yield


class Picture(Figure):
    """A matplotlib figure with a text alternative: `describe` adds a sentence, ``description`` holds all of them.

    A notebook shows it with the description as the image's ``alt``. No pyplot: nothing stays open.
    """

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.sentences: list[str] = []

    @property
    def description(self) -> str:
        """What the figure shows, in plain sentences with its numbers."""
        return " ".join(self.sentences)

    def describe(self, sentence: str) -> "Picture":
        """Add a sentence to the description; returns the figure."""
        self.sentences.append(sentence)
        return self

    def png(self, dpi: float = SETTINGS["figure.dpi"]) -> bytes:
        """The figure as the bytes of a PNG."""
        buffer = BytesIO()
        with style():
            self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"image/png": self.png(), "text/plain": self.description}
        return data, {"image/png": {"alt": self.description}}


@style()
def panels(rows: int = 1, columns: int = 1, *, size: tuple[float, float], title: str = "", **options):
    """An empty `Picture` of ``size`` inches and its axes as a (rows, columns) array; ``options`` are `subplots`'s."""
    picture = Picture(figsize=size)
    axes = picture.subplots(rows, columns, squeeze=False, **options)
    if title:
        picture.suptitle(title, x=0.01, ha="left", fontsize=12)
    return picture, axes


def _begin(axis, size: tuple[float, float], **words):
    """The axis to draw in (a new one without ``axis``), its figure, and what it is about."""
    axis = panels(size=size)[1][0, 0] if axis is None else axis
    picture, place = axis.get_figure(root=True), axis.get_subplotspec()
    about = ", ".join(filter(None, (words.get("title"), words.get("ylabel"), words.get("xlabel"))))
    columns = place.get_gridspec().ncols if place else 1
    letters = int(11 * max(1.5, picture.get_figwidth() / columns - 1))  # a longer title would be cut
    words["title"] = "\n".join(wrap(words["title"], letters)) if "\n" not in words["title"] else words["title"]
    axis.set(**{name: text for name, text in words.items() if text})
    return axis, picture, " ".join(about.split())


def _end(picture, sentence: str):
    if isinstance(picture, Picture):  # a plain matplotlib figure has no place for it
        picture.describe(sentence)
    return picture


def _spread(estimates: Sequence[Estimate]) -> np.ndarray:
    """(2, N): how far each interval reaches below and above its value; 0 without an interval."""
    return np.array([
        [0 if e.low is None else e.value - e.low for e in estimates],
        [0 if e.high is None else e.high - e.value for e in estimates],
    ])  # fmt: skip


def _chance(axis, chance: Estimate | float, *, upright: bool = True, label: str | None = None) -> str:
    """Draw what guessing gives as a dashed line, with its interval as a band; returns it in words."""
    estimate = chance if isinstance(chance, Estimate) else Estimate(float(chance))
    line, span = (axis.axvline, axis.axvspan) if upright else (axis.axhline, axis.axhspan)
    line(estimate.value, label=label, **CHANCE)
    if estimate.low is not None:
        span(estimate.low, estimate.high, **CONTROL)
    return f" The dashed line is {label or 'chance'}, {estimate}."


@style()
def dots(
    table: Mapping, *, labels: Mapping[str, str] | None = None, points: Mapping[str, Sequence[float]] | None = None,
    chance: Estimate | float | None = None, chance_label: str | None = None, styles: Mapping[str, dict] | None = None,
    limits: tuple[float, float] | None = None, xlabel: str = "", title: str = "", axis=None,
) -> Figure:  # fmt: skip
    """Estimates with their intervals, an arm a row.

    Parameters
    ----------
    table : mapping
        Arm -> Estimate (None: nothing is drawn in the row), or group -> such a mapping: the groups lie side by side in
        the rows that they share, with a legend.
    labels : mapping, optional
        Arm -> what stands beside its row.
    points : mapping, optional
        Arm -> single observations (seeds), drawn pale in its row.
    chance : Estimate or float, optional
        What guessing gives: a dashed line, with a band where it has an interval; ``chance_label`` names it.
    styles : mapping, optional
        Arm or group -> keywords of ``Axes.errorbar``; by default each has a colour of its own.
    limits : (float, float), optional
        Of the horizontal axis.
    axis : matplotlib Axes, optional
        Where to draw; by default a `Picture` is made. Its figure is returned.
    """
    table = dict(table)
    grouped = bool(table) and all(isinstance(one, Mapping) for one in table.values())
    groups = table if grouped else {"": table}
    arms = list(dict.fromkeys(arm for group in groups.values() for arm in group))
    labels, styles = labels or {}, styles or {}
    axis, picture, about = _begin(axis, (8.0, 1.3 + 0.45 * len(arms)), xlabel=xlabel, title=title)
    said = []
    for k, (group, estimates) in enumerate(groups.items()):
        shift = 0.5 * (k + 1) / (len(groups) + 1) - 0.25
        shown = {arm: e for arm, e in estimates.items() if isinstance(e, Estimate) and np.isfinite(e.value)}
        for arm, e in shown.items():
            row = arms.index(arm)
            colour = CYCLE[(k if grouped else row) % len(CYCLE)]
            options = {"color": colour, "fmt": "o", "capsize": 3} | styles.get(group or arm, {})
            axis.errorbar(e.value, row + shift, xerr=_spread([e]), zorder=3, **options)
            if points and len(points.get(arm, ())) > 1:
                places = row + shift + np.linspace(-0.2, 0.2, len(points[arm]))
                axis.plot(points[arm], places, "o", color=options["color"], alpha=0.4, markersize=4)
        if grouped:
            axis.errorbar([], [], xerr=[], label=group, **options if shown else {"fmt": "o"})
        numbers = "; ".join(f"{' '.join(str(labels.get(arm, arm)).split())} {e}" for arm, e in shown.items()) or "none"
        said.append(f"{group}: {numbers}" if grouped else numbers)
    axis.set_yticks(range(len(arms)), [labels.get(arm, arm) for arm in arms])
    axis.set_ylim(len(arms) - 0.5, -0.5)
    if limits:
        axis.set_xlim(*limits)
    if not axis.containers:
        axis.set_xticks([])
        axis.text(0.5, 0.5, "no value", transform=axis.transAxes, ha="center", va="center", color=COLOURS["grey"])
    more = "" if chance is None else _chance(axis, chance, label=chance_label)
    if grouped or chance_label:
        axis.legend(loc="best")
    return _end(picture, f"{about}: {' | '.join(said)}.{more}")


@style()
def curves(
    lines: Mapping[str, tuple], *, xlabel: str = "", ylabel: str = "", title: str = "",
    chance: Estimate | float | None = None, chance_label: str | None = None, styles: Mapping[str, dict] | None = None,
    limits: tuple[float, float] | None = None, log: str = "", legend: str | None = "best", axis=None,
) -> Figure:  # fmt: skip
    """Lines over x, with intervals as bands.

    Parameters
    ----------
    lines : mapping
        Name -> (x, y); y are numbers or Estimates. A name that begins with "_" has no place in legend and description.
    chance : Estimate or float, optional
        A dashed level line, named ``chance_label``.
    styles : mapping, optional
        Name -> keywords of ``Axes.plot``; with ``plots.POINTS`` the points are not joined and have error bars.
    limits : (float, float), optional
        Of the vertical axis.
    log : str
        The logarithmic axes: "x", "y", "xy" or "".
    legend : str or None
        Where the legend lies; "right" is outside; None leaves it out. A single unnamed line has none.
    """
    axis, picture, about = _begin(axis, (8.0, 4.2), xlabel=xlabel, ylabel=ylabel, title=title)
    said = []
    more = "" if chance is None else _chance(axis, chance, upright=False, label=chance_label)
    for k, (name, (x, given)) in enumerate(lines.items()):
        options = {"color": CYCLE[k % len(CYCLE)], "label": name} | (styles or {}).get(name, {})
        y = [one if isinstance(one, Estimate) else Estimate(float(one)) for one in given]
        values = [one.value for one in y]
        if options.get("linestyle") == "" and any(one.low is not None for one in y):
            axis.errorbar(list(x), values, yerr=_spread(y), capsize=3, **options)
        else:
            (line,) = axis.plot(list(x), values, **options)
            low, high = _spread(y)
            if (low + high).any():
                axis.fill_between(list(x), values - low, values + high, color=line.get_color(), **BAND)
        if not name.startswith("_"):
            said.append(f"{name}{' ' * bool(name)}{_course(list(x), y)}")
    if limits:
        axis.set_ylim(*limits)
    for name in log:  # ticks are written as 400, not as a power of ten
        getattr(axis, f"set_{name}scale")("log")
        getattr(axis, f"{name}axis").set(major_formatter=LogFormatter(), minor_formatter=LogFormatter())
    if legend and axis.get_legend_handles_labels()[1]:
        axis.legend(**RIGHT if legend == "right" else {"loc": legend})
    return _end(picture, f"{about}: {'; '.join(said)}.{more}")


def _course(x: Sequence, y: Sequence[Estimate]) -> str:
    """A line in words: where it begins, ends, and its extremes between."""
    known = [(at, e) for at, e in zip(x, y) if np.isfinite(e.value)]
    if len(known) < 2:
        return ", ".join(f"is {e} at {at:.4g}" for at, e in known) or "has no value"
    (first, begin), (last, end) = known[0], known[-1]
    words = f"goes from {begin} at {first:.4g} to {end} at {last:.4g}"
    for what, pick in (("lowest", min), ("highest", max)):
        at, e = pick(known, key=lambda point: point[1].value)
        if e.value not in (begin.value, end.value):
            words += f", {what} {e.value:.3g} at {at:.4g}"
    return words


@style()
def grid(
    matrix, rows: Sequence, columns: Sequence, *, title: str = "", label: str = "", xlabel: str = "", ylabel: str = "",
    limits: tuple[float | None, float | None] = (0, None), colours: str = "Blues", upwards: bool = False,
    numbers: bool = False, axis=None,
) -> Figure:  # fmt: skip
    """A heat map with its rows and columns named.

    Parameters
    ----------
    matrix : (R, C) array
        NaN leaves a cell blank.
    rows, columns : sequences
        Their names.
    label : str
        What the colours measure; with it a bar of colours is drawn.
    limits : (float, float)
        The values of the lightest and the darkest colour; None is the matrix's own.
    colours : str
        A matplotlib colour map: "Blues" for shares, "RdBu" with (-1, 1) for what speaks for and against.
    upwards : bool
        Draw the first row at the bottom (layers).
    numbers : bool
        Write each value into its cell.
    """
    values = np.ma.masked_invalid(np.asarray(matrix, dtype=float))
    size = (2.4 + 0.34 * len(columns), 1.6 + 0.3 * len(rows))
    axis, picture, about = _begin(axis, size, xlabel=xlabel, ylabel=ylabel, title=title)
    origin, small = "lower" if upwards else "upper", {"family": "monospace", "fontsize": LEAST}
    image = axis.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], origin=origin, aspect="auto")
    axis.set_xticks(range(len(columns)), columns, rotation=60, ha="right", rotation_mode="anchor", **small)
    axis.set_yticks(range(len(rows)), rows, **small)
    axis.grid(False)
    if label:
        picture.colorbar(image, ax=axis, label=label)
    for r, c in np.ndindex(values.shape) if numbers else ():
        if values[r, c] is not np.ma.masked:
            ink = "white" if sum(image.cmap(image.norm(values[r, c]))[:3]) < 1.3 else COLOURS["black"]
            axis.text(c, r, f"{values[r, c]:.2g}", ha="center", va="center", fontsize=LEAST, color=ink)
    said = f"{about}: {len(rows)} rows by {len(columns)} columns"
    if values.count():
        for what, at in (("lowest", values.argmin()), ("highest", values.argmax())):
            r, c = np.unravel_index(at, values.shape)
            said += f"; {what} {values[r, c]:.3g} at row {rows[r]}, column {columns[c]}"
    return _end(picture, f"{said}.")


@style()
def bars(
    table: Mapping[str, Sequence[float]], names: Sequence[str], *, xlabel: str = "", title: str = "",
    styles: Mapping[str, dict] | None = None, axis=None,
) -> Figure:  # fmt: skip
    """Horizontal bars from zero, where a length is the message: a name a row, the groups of ``table`` side by side.

    Parameters
    ----------
    table : mapping
        Group -> a value a name. With one group there is no legend.
    names : sequence of str
    styles : mapping, optional
        Group -> keywords of ``Axes.barh``; its ``color`` may be a list.
    """
    axis, picture, about = _begin(axis, (8.0, 1.3 + 0.34 * len(names)), xlabel=xlabel, title=title)
    height, said = 0.8 / max(1, len(table)), []
    for k, (group, values) in enumerate(table.items()):
        rows = np.arange(len(names)) + height * (k - (len(table) - 1) / 2)
        options = {"color": CYCLE[k % len(CYCLE)], "label": group} | (styles or {}).get(group, {})
        axis.barh(rows, values, height, **options)
        numbers = "; ".join(f"{' '.join(str(name).split())} {value:.3g}" for name, value in zip(names, values))
        said.append(f"{group}: {numbers}" if len(table) > 1 else numbers)
    axis.axvline(0, color=COLOURS["black"], linewidth=0.8)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    if len(table) > 1:
        axis.legend(loc="best")
    return _end(picture, f"{about}: {' | '.join(said)}.")


@style()
def empty(text: str) -> Picture:
    """A figure that says why it is empty."""
    picture, axes = panels(size=(8.0, 1.2))
    axes[0, 0].axis("off")
    axes[0, 0].text(0, 0.5, text, va="center")
    return picture.describe(text)


def save(fig, name: str, folder: Path | None = None, *, describe: str) -> list[Path]:
    """Save ``fig`` as figures/NAME.png, .svg and .pdf in the run's folder; outside a run nothing is written.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
    name : str
        Letters, digits, ``-`` and ``_``: it becomes a file's name.
    folder : Path, optional
        Where else to, inside a run or not; the files lie in it directly.
    describe : str
        The text alternative: one or two sentences with the figure's numbers, such as ``fig.description`` of a
        `Picture`. It is the SVG's ``<desc>``, the PNG's text chunk "Description" (`description` reads it), and the
        ``alt`` of the figure in the report.

    Returns
    -------
    list of Path
        The files written (empty outside a run).

    Raises
    ------
    UsageError
        ``name`` holds something else, a slash for instance; ``describe`` is empty.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UsageError(f"figure name {name!r} must be made of letters, digits, - and _: it becomes a file's name")
    if not describe.strip():
        raise UsageError(f"figure {name!r} needs describe=, one or two sentences with the numbers that it shows")
    if folder is None:
        run = run_folder()
        if run is None:
            return []
        folder = run / "figures"
    written = []
    own = {"png": {"Description": describe}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    for kind, metadata in own.items():
        buffer = BytesIO()
        with style():  # the file's resolution and ids are settings of saving, not of drawing
            fig.savefig(buffer, format=kind, metadata={"Title": name, **metadata})
        data = buffer.getvalue()
        if kind == "svg":  # matplotlib writes <title>, and <desc> nowhere
            data = data.replace(b"</title>", f"</title>\n <desc>{escape(describe)}</desc>".encode(), 1)
        written.append(write_atomic(folder / f"{name}.{kind}", data))
    return written


def description(path: Path) -> str:
    """The text alternative that `save` put into a PNG; "" for a picture without one."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return str(image.info.get("Description", ""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # a file of somebody else's making
        return ""
