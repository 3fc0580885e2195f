"""Pictures of a sentence tree, its visible matrix and a model's attention, and of the five arms' results."""

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ... import plots
from ...errors import UsageError
from .settings import ARMS


def reading_as(model, *, graph, soft_position=True, visible_matrix=True, max_length: int | None = None):
    """The same weights reading another graph, or with a device switched off; ``model`` itself is left as it is.

    ``max_length`` None keeps the model's.
    The weights were trained under the arm that they were trained under: this shows what a switch does to a trained
    model, not what a model trained that way would say (for that, `study.train_arm`).
    """
    other = copy.copy(model)
    other.graph = graph
    length = model.settings.max_length if max_length is None else max_length
    other.settings = replace(
        model.settings, soft_position=soft_position, visible_matrix=visible_matrix, max_length=length
    )
    return other


def layer_attention(look, layer: int = -1) -> np.ndarray:
    """(T, T) attention of a layer, the mean over its heads; row i sums to 1.

    Raises
    ------
    UsageError
        There is no such layer.
    """
    n = len(look.attention)
    if not -n <= layer < n:
        raise UsageError(f"layer {layer} is none: the encoder has {n}, counted from 0")
    return look.attention[layer].mean(0)


def tree_rows(item) -> list[int]:
    """The row of each token in the picture of the tree: 0 for the trunk, 1, 2, … for branches that would overlap."""
    rows, taken = [0] * len(item), []  # taken: for each row below the trunk, the last soft position drawn in it
    places = item.soft_positions.tolist()
    for branch in range(1, int(item.branch.max(initial=0)) + 1):
        tokens = np.flatnonzero(item.branch == branch)
        if not len(tokens):
            continue
        first, last = places[tokens[0]], places[tokens[-1]]
        row = next((r for r, end in enumerate(taken) if end < first - 1), len(taken))
        taken[row:] = [last, *taken[row + 1 :]]
        for token in tokens:
            rows[token] = row + 1
    return rows


def tree_figure(item, attention: np.ndarray | None = None, *, title: str = ""):
    """The sentence tree by (soft) position; below it the visible matrix, and the attention where it is given.

    ``item`` is an `Injected`, ``attention`` its (T, T) matrix, such as `layer_attention` gives.
    """
    import matplotlib.pyplot as plt

    n, tokens, rows = len(item), item.tokens, tree_rows(item)
    places = item.soft_positions.tolist()
    blue, red, ink = plots.COLOURS["blue"], plots.COLOURS["red"], plots.COLOURS["black"]
    colours = [red if injected else (blue if owner else ink) for injected, owner in zip(item.injected, item.owner)]
    with plots.style():
        height = 1.3 + 0.42 * (max(rows) + 1)
        panels = 1 if attention is None else 2
        side = max(3.6, min(6.0, 0.24 * n))
        figure = plt.figure(figsize=(max(9.0, 0.62 * (max(places) + 1)), height + side + 0.9))
        top, bottom = figure.subfigures(2, 1, height_ratios=(height, side + 0.9))
        axis = top.subplots()
        for token, place, row, colour in zip(tokens, places, rows, colours):
            axis.text(place, -row, token, ha="center", va="center", color=colour, fontsize=10)
        for branch, owner, _ in item.triples:
            start, end = owner[-1], branch[0]
            axis.plot([places[start], places[end]], [-0.28, -rows[end] + 0.28], color=red, linewidth=0.8, alpha=0.6)
        axis.set(xlim=(-0.7, max(places) + 0.7), ylim=(-max(rows) - 0.7, 0.7), yticks=[], title=title)
        axis.set_xticks(range(max(places) + 1))
        axis.set_xlabel("position as the encoder sees it" + ("" if item._batch.soft_position else " (not soft)"))
        axis.grid(axis="y", visible=False)
        axis.spines["left"].set_visible(False)
        axes = np.atleast_1d(bottom.subplots(1, panels))
        pictures = [(item.visible.astype(float), "visible matrix: row sees column", "Greys", 0, 1.6)]
        if attention is not None:
            shown = np.where(item.visible, attention, np.nan)
            pictures.append((shown, "attention: row takes from column", "Blues", 0, float(np.nanmax(shown))))
        for panel, (matrix, name, cmap, low, high) in zip(axes, pictures):
            panel.imshow(matrix, cmap=cmap, vmin=low, vmax=high, aspect="equal")
            panel.set_xticks(range(n), tokens, rotation=90, fontsize=7)
            panel.set_yticks(range(n), tokens, fontsize=7)
            for labels in (panel.get_xticklabels(), panel.get_yticklabels()):
                for label, colour in zip(labels, colours):
                    label.set_color(colour)
            panel.grid(visible=False)
            panel.set_title(name, fontsize=10)
    return figure


def arms_figure(results: Mapping[str, object], chances: Mapping[str, float]):
    """Accuracy of each arm and control with its 95 % interval over test texts, a panel a task; crosses are seeds.

    Parameters
    ----------
    results
        Task -> table of `study.run_task`.
    chances
        Task -> accuracy of the commonest label.
    """
    import matplotlib.pyplot as plt

    from .study import accuracy_table, by_seed

    with plots.style():
        tables = {name: accuracy_table(result) for name, result in results.items()}
        most = max(map(len, tables.values()))
        figure, axes = plt.subplots(
            1, len(tables), figsize=(2.2 + 3.6 * len(tables), 1.3 + 0.4 * most), sharex=True, squeeze=False
        )
        for axis, (name, table) in zip(axes[0], tables.items()):
            each = by_seed(results[name])
            for row, (arm, entry) in enumerate(table.accuracy.items()):
                colour = plots.COLOURS["grey"] if arm not in ARMS else plots.CYCLE[list(ARMS).index(arm)]
                ends = None if entry.low is None else [[entry.value - entry.low], [entry.high - entry.value]]
                axis.errorbar(entry.value, row, xerr=ends, fmt="o", color=colour, capsize=3)
                seeds = each[arm]
                if len(seeds) > 1:
                    axis.plot(seeds, [row + 0.22] * len(seeds), "x", color=colour, markersize=4)
            axis.axvline(chances[name], **plots.CHANCE)
            axis.set_yticks(range(len(table)), table.index)
            axis.set(ylim=(len(table) - 0.4, -0.6), xlim=(0, 1), xlabel="right", title=name.replace("_", ", "))
    return figure
