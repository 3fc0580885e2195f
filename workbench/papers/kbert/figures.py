"""Pictures of a sentence tree, its visible matrix and a model's attention, and of the five arms' results."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ... import plots
from ...errors import UsageError
from ...stats import Estimate
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
    """(T, T) attention of a layer, the mean over its heads; row i sums to 1. Layers count from 1, or -1 from the end.

    Raises
    ------
    UsageError
        There is no such layer.
    """
    n = len(look.attention)
    if not 1 <= abs(layer) <= n:
        raise UsageError(f"there is no layer {layer}: the encoder has {n}, counted from 1")
    return look.attention[layer - (layer > 0)].mean(0)


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


@plots.style()
def tree_figure(item, attention: np.ndarray | None = None, *, title: str = "") -> plots.Picture:
    """The sentence tree by (soft) position; below it the visible matrix, and the attention where it is given.

    ``item`` is an `Injected`, ``attention`` its (T, T) matrix, such as `layer_attention` gives.
    """
    tokens, rows, places = item.tokens, tree_rows(item), item.soft_positions.tolist()
    blue, red, ink = (plots.COLOURS[name] for name in ("blue", "red", "black"))
    colours = [red if injected else (blue if owner else ink) for injected, owner in zip(item.injected, item.owner)]
    height, side = 1.3 + 0.42 * (max(rows) + 1), max(3.6, min(6.0, 0.24 * len(item))) + 0.9
    picture = plots.Picture(figsize=(max(9.0, 0.62 * (max(places) + 1)), height + side))
    top, bottom = picture.subfigures(2, 1, height_ratios=(height, side))
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
    told = [f"{token} {place}" + " (branch)" * bool(row) for token, place, row in zip(tokens, places, rows)]
    picture.describe(f"{title}: tokens with their positions: {', '.join(told)}.")
    drawn = {"visible matrix: row sees column": (item.visible, "Greys", 1.6)}
    if attention is not None:
        drawn["attention: row takes from column"] = np.where(item.visible, attention, np.nan), "Blues", None
    for panel, (name, (matrix, colour_map, high)) in zip(
        bottom.subplots(1, len(drawn), squeeze=False)[0], drawn.items()
    ):
        plots.grid(matrix, tokens, tokens, title=name, colours=colour_map, limits=(0, high), axis=panel)
        panel.set_aspect("equal")
        for label, colour in zip((*panel.get_xticklabels(), *panel.get_yticklabels()), colours * 2):
            label.set_color(colour)
    seen = int(item.visible.sum())
    return picture.describe(f"{seen} of {item.visible.size} pairs of tokens see one another.")


def arms_figure(
    tables: Mapping[str, Mapping[str, Estimate]], chances: Mapping[str, float],
    seeds: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
) -> plots.Picture:  # fmt: skip
    """Accuracy of each arm and control with its 95 % interval over test texts, a panel a task; pale dots are seeds.

    Parameters
    ----------
    tables
        Task -> arm -> accuracy: the column of `study.accuracy_table`.
    chances
        Task -> accuracy of the commonest label.
    seeds
        Task -> arm -> the accuracy of each seed (`study.by_seed`).
    """
    size = 2.2 + 3.6 * len(tables), 1.3 + 0.42 * max(map(len, tables.values()))
    picture, axes = plots.panels(1, len(tables), size=size)
    for axis, (name, table) in zip(axes[0], tables.items()):
        styles = {arm: {"color": plots.COLOURS["grey"]} for arm in dict(table) if arm not in ARMS}  # the controls
        plots.dots(
            table, points=(seeds or {}).get(name), chance=chances[name], limits=(0, 1), xlabel="right",
            title=name.replace("_", ", "), styles=styles, axis=axis,
        )  # fmt: skip
    return picture
