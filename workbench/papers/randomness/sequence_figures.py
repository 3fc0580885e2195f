"""Figures of sequences and of what comes next: averages, sub-sequences, tree, Markov diagram, selection, change.

As in `figures`, each returns a `plots.Picture`; sequences are H and T.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np

from ... import plots
from ...results import Results
from .alternation import distinct_shares
from .baselines import markov_fit
from .bayes import bayes_in_phase
from .change import MEASURES, changes, repetitions
from .figures import SHARE, periods
from .flips import as_digits
from .measures import running_mean
from .settings import REPEATED

MOST = 12  # sequences drawn one by one
OPAQUE = {"color": "white", "pad": 1.0}


def _panels(n: int, columns: int, size: tuple[float, float], **options) -> tuple[plots.Picture, list]:
    """``n`` panels of ``size`` inches in rows of ``columns``: the picture, and its axes one by one."""
    columns = min(n, columns)
    rows = -(-n // columns)
    picture, axes = plots.panels(rows, columns, size=(columns * size[0], rows * size[1]), **options)
    for axis in axes.flat[n:]:
        axis.remove()
    return picture, list(axes.flat[:n])


@plots.style()
def running_figure(groups: Mapping[str, Sequence[str]], *, stated: float = 50) -> plots.Picture:
    """Share of Tails so far, a line a sequence (at most 12 a writer), and the writer's mean; all are equally long."""
    groups = {name: some for name, some in groups.items() if some}
    if not groups:
        return plots.empty("No sequence is long enough to be drawn (see least_flips).")
    picture, axes = _panels(len(groups), 4, (3, 3.4), sharey=True)
    for axis, (name, some), colour in zip(axes, groups.items(), cycle(plots.CYCLE)):
        means = np.array([running_mean(flips) for flips in some])  # (N, n)
        x = range(1, means.shape[1] + 1)
        lines = {f"_{i}": (x, one) for i, one in enumerate(means[:MOST])} | {f"mean of {len(some)}": (x, means.mean(0))}
        thin, thick = {"linewidth": 0.8, "alpha": 0.4}, {"linewidth": 2.5}
        styles = {key: {"color": colour, **(thin if key[0] == "_" else thick)} for key in lines}
        plots.curves(
            lines, styles=styles, title=name, xlabel="flips", ylabel="share of Tails so far" * (axis in axes[::4]),
            chance=stated / 100, chance_label="as stated", limits=SHARE, legend=None, axis=axis,
        )  # fmt: skip
    return picture


def subsequence_figure(groups: Mapping[str, Sequence[str]]) -> plots.Picture:
    """Distinct windows of w flips as a share of all windows, w = 5 to 25 or as far as the sequences go."""
    lines = {name: (found.keys(), found.values()) for name, some in groups.items() if (found := distinct_shares(some))}
    if not lines:
        return plots.empty("No sequence is as long as the shortest window, 5 flips.")
    return plots.curves(
        lines, styles={name: {"marker": "o"} for name in lines}, xlabel="flips in a window (w)",
        ylabel="distinct windows / windows", limits=SHARE, legend="right",
    )  # fmt: skip


@plots.style()
def tree_figure(trees: Mapping[str, Mapping[str, float]]) -> plots.Picture:
    """`study.prediction_tree`s: a line to each next flip, as thick as it is likely, with its probability."""
    if not trees:
        return plots.empty("No model here gives log-probabilities: a prediction tree needs them.")
    depth = 1 + max(len(path) for tree in trees.values() for path in tree)
    picture, axes = _panels(len(trees), 2, (5.5, 1 + 0.34 * 2**depth), sharey=True)
    for axis, (name, tree) in zip(axes, trees.items()):
        lines, styles, words = {}, {}, []
        for path, p_tails in tree.items():
            for flip, p, colour in (("H", 1 - p_tails, "blue"), ("T", p_tails, "red")):
                (x, y), (to_x, to_y) = _place(path), _place(path + flip)
                lines[f"_{path}{flip}"] = (x, to_x), (y, to_y)
                styles[f"_{path}{flip}"] = {"color": plots.COLOURS[colour], "linewidth": 0.3 + 6 * p}
                words.append((to_x, to_y, f"{path + flip} {p:.2f}"))
        plots.curves(lines, styles=styles, title=name, xlabel="flips ahead", legend=None, axis=axis)
        for x, y, text in words:
            axis.text(x, y, text, ha="left" if x == depth else "center", va="center", fontsize=10, bbox=OPAQUE)
        axis.set(xlim=(-0.1, depth + 0.7), xticks=range(depth + 1), yticks=[])
        axis.grid(False)
        said = ", ".join(f"after {path or 'nothing'} {p:.2f}" for path, p in tree.items())
        picture.describe(f"{name}: p(Tails) {said}.")
    return picture


def _place(path: str) -> tuple[int, float]:
    """Heads goes up: where a path's end lies, the whole tree between -1 and 1."""
    return len(path), sum((1 if flip == "H" else -1) / 2 ** (k + 1) for k, flip in enumerate(path))


@plots.style()
def markov_figure(groups: Mapping[str, Sequence[str]]) -> plots.Picture:
    """The Markov chain fitted to each writer's sequences: two states, an arrow as thick as it is likely."""
    groups = {name: some for name, some in groups.items() if some}
    if not groups:
        return plots.empty("No sequence is long enough for a Markov chain (see least_flips).")
    picture, axes = _panels(len(groups), 4, (3.2, 2.8))
    for axis, (name, some) in zip(axes, groups.items()):
        after = dict(zip("HT", markov_fit(some)))  # p(Tails | flip before)
        x = {"H": 0.0, "T": 1.0}
        for one in "HT":
            axis.plot(x[one], 0, "o", markersize=30, color=plots.COLOURS["sky" if one == "H" else "orange"])
            axis.text(x[one], 0, one, ha="center", va="center", fontsize=14)
            for to in "HT":
                p, up = after[one] if to == "T" else 1 - after[one], 1 if one == "H" else -1
                if one == to:  # a loop: from the state's left to its right, round above
                    ends = (x[one] - 0.09, 0.2), (x[one] + 0.09, 0.2)
                    bend, place = -2.2, (x[one], 0.58)
                else:
                    ends = (x[one] + 0.15 * up, 0.1 * up), (x[to] - 0.15 * up, 0.1 * up)
                    bend, place = -0.35, (0.5, 0.33 * up)
                arrow = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "linewidth": 0.4 + 4 * p}
                axis.annotate("", xy=ends[1], xytext=ends[0], arrowprops=arrow | {"color": plots.COLOURS["black"]})
                axis.text(*place, f"{p:.2f}", ha="center", va="center", fontsize=11)
        axis.set(xlim=(-0.5, 1.5), ylim=(-0.6, 0.9), title=name)
        axis.axis("off")
        numbers = f"p(Tails | Heads) = {after['H']:.2f}, p(Tails | Tails) = {after['T']:.2f}"
        picture.describe(f"{name}, {len(some)} sequences: {numbers}.")
    return picture


def selection_temperature_figure(
    concept: str, n_flips: int, studies: Mapping[str, Results], temperatures: Sequence[float]
) -> plots.Picture:
    """P(next whole period, in phase): Bayesian observers who average or select, at each temperature, and the models."""
    concept, lines, styles = as_digits(concept), {}, {}
    for temperature, line in zip(temperatures, cycle(("-", "--", ":", "-."))):
        name = "averaging (temperature 1)" if temperature == 1 else f"soft selection, temperature {temperature:g}"
        lines[name] = bayes_in_phase(concept, n_flips, temperature=temperature)
        styles[name] = {"color": plots.COLOURS["green"], "linestyle": line}
    for colour, (name, study) in zip(cycle(plots.CYCLE), studies.items()):
        lines[name], styles[name] = periods(study, REPEATED, concept, "in_phase"), {"marker": "o", "color": colour}
    return plots.curves(
        lines, styles=styles, limits=SHARE, xlabel="flips in context", ylabel="P(next whole period, in phase)",
        chance=2.0 ** -len(concept), chance_label="coin", legend="right",
    )  # fmt: skip


@plots.style()
def change_figure(studies: Mapping[str, Results]) -> plots.Picture:
    """Every repetition's curve (a rotation under a prompt), and the change point with its interval as a band."""
    if not studies:
        return plots.empty("No model here gives log-probabilities: a change point needs them.")
    picture, axes = _panels(len(studies), 1, (8.5, 4.2))
    for axis, (name, study) in zip(axes, studies.items()):
        curves, point = repetitions(study), changes(study)[MEASURES[0]]
        many = f"{len(curves)} repetition{'s' * (len(curves) != 1)}"
        title = f"{name}: change point {point}, {many}" if point else f"{name}: no change, {many}"
        prompts, styles = study.arms, {}
        for key in curves:  # a colour a prompt, a line a rotation
            prompt = next(one for one in prompts if key.startswith(f"{one}, ("))
            line = ("-", "--", ":", "-.")[sum(key.startswith(f"{prompt}, (") for key in styles) % 4]
            colour = plots.CYCLE[prompts.index(prompt) % len(plots.CYCLE)]
            styles[key] = {"marker": "o", "markersize": 3, "linewidth": 1.2, "linestyle": line, "color": colour}
        plots.curves(
            curves, title=title, xlabel="flips in context", ylabel="P(next whole period, in phase)", limits=SHARE,
            styles=styles, legend="right" if len(curves) < 17 else None, axis=axis,
        )  # fmt: skip
        if point:
            axis.axvline(point.value, **plots.CHANCE)
            if point.low is not None:
                axis.axvspan(point.low, point.high, **plots.CONTROL)
    return picture


def sources_figure(costs: Mapping[str, Results]) -> plots.Picture:
    """Bits a flip on flips of each source: the models, and an observer who knows the source."""
    first = next(iter(costs.values()), None)
    if not first:
        return plots.empty("No source was asked for, or no model here gives log-probabilities: -p sources='[\"hmm\"]'.")
    table = {name: one.table("model") for name, one in costs.items()}
    return plots.dots(
        {**table, "knows the source": first.table("knows the source")}, chance=1.0, chance_label="a fair coin",
        xlabel="bits per flip; mean and 95 % interval over seeds",
    )  # fmt: skip
