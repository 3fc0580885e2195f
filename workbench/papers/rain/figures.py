"""Figures of a search: the tree below one move, and rates with intervals beside their cost. Plain data in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np

from ... import plots
from ...errors import UsageError
from ...stats import Estimate

MOST_LEAVES = 24  # beyond it labels overlap; the least visited are left out, and the title says so


def statistics(search: Mapping, simulations: int) -> dict[int, tuple[float, int, float]]:
    """Each visited node's (n, fn, q) after the first ``simulations`` of ``search`` (`RainResult.as_dict`)."""
    now: dict[int, tuple[float, int, float]] = {}
    for one in search["searches"][:simulations]:
        now.update({int(node): tuple(values) for node, values in one["changed"].items()})
    return now


def tree_layout(
    search: Mapping, move: int, *, most: int = MOST_LEAVES
) -> tuple[dict[int, tuple[int, float]], dict, int]:
    """Where the nodes of one move stand when it was made.

    Returns
    -------
    places : dict of int to (depth, row)
        The root of the move and the visited nodes below it.
    stats : dict of int to (n, fn, q)
    left_out : int
        Visited nodes not placed, because more than ``most`` leaves do not fit.

    Raises
    ------
    UsageError
        The search has no such move.
    """
    if not 0 <= move < len(search["moves"]):
        raise UsageError(f"the search has {len(search['moves'])} moves: there is no move {move} (counted from 0)")
    stats = statistics(search, sum(one["move"] <= move for one in search["searches"]))
    root = 0 if move == 0 else search["moves"][move - 1]["node"]
    below: dict[int, list[int]] = {}
    for node in search["nodes"]:
        if node["id"] in stats:
            below.setdefault(node["parent"], []).append(node["id"])
    inside, queue = [], [root]
    while queue:
        node = queue.pop()
        inside.append(node)
        queue += below.get(node, [])
    kept = {root}
    for node in sorted(inside, key=lambda i: (-stats.get(i, (0,))[0], i)):  # a parent has at least its child's visits
        trial = kept | {node} if search["nodes"][node]["parent"] in kept else kept
        if sum(not any(child in trial for child in below.get(i, [])) for i in trial) <= most:
            kept = trial
    places: dict[int, tuple[int, float]] = {}
    rows = iter(range(len(kept)))

    def put(node: int, depth: int) -> float:
        found = [put(child, depth + 1) for child in below.get(node, []) if child in kept]
        row = (found[0] + found[-1]) / 2 if found else float(next(rows))
        places[node] = (depth, row)
        return row

    put(root, 0)
    return places, stats, len(inside) - len(kept)


def draw_tree(search: Mapping, move: int = 0, *, axis=None):
    """The tree below ``move`` when it was made: size is visits, colour the mean value, a thick line the committed set.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    places, stats, left_out = tree_layout(search, move)
    rows, deepest = (max(place[i] for place in places.values()) for i in (1, 0))
    with plots.style():
        if axis is None:
            fig = Figure(figsize=(2.6 + 1.75 * (deepest + 1), max(2.4, 1.2 + 0.62 * (rows + 1))))
            axis = fig.subplots()
        nodes, chosen = search["nodes"], search["moves"][move]["node"]
        for node, (depth, row) in places.items():
            parent = places.get(nodes[node]["parent"])
            if parent is not None:
                line = {"color": "#BBBBBB", "linewidth": 1}
                if node == chosen:
                    line = {"color": plots.COLOURS["black"], "linewidth": 3.5}
                axis.plot([parent[0], depth], [-parent[1], -row], zorder=1, **line)
        order = list(places)
        dots = axis.scatter(
            [places[node][0] for node in order],
            [-places[node][1] for node in order],
            s=[40 + 30 * stats.get(node, (0,))[0] ** 0.5 for node in order],
            c=[stats.get(node, (0, 0, 0.0))[2] for node in order],
            cmap="RdBu", vmin=-1, vmax=1, edgecolors=plots.COLOURS["black"], linewidths=0.8, zorder=2,
        )  # fmt: skip
        for node in order:
            depth, row = places[node]
            n, _, value = stats.get(node, (0, 0, 0.0))
            text = _label(nodes[node]["text"]) if depth else "text so far"
            for words, place, style in ((text, 9, "bold"), (f"{value:+.2f}, {n:.3g}x", -17, "normal")):
                axis.annotate(
                    words, (depth, -row), xytext=(-3, place), textcoords="offset points", fontsize=9, fontweight=style,
                    parse_math=False, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
                )  # fmt: skip
        axis.set_xlim(-0.15, deepest + 0.95)
        axis.set_ylim(-rows - 0.6, 0.6)
        axis.set_axis_off()
        axis.figure.colorbar(dots, ax=axis, label="mean value q", aspect=12)
        more = f" ({left_out} little visited left out)" if left_out else ""
        axis.set_title(f"Move {move + 1}, {len(order)} visited nodes{more}: tokens, q, visits", parse_math=False)
    return axis.figure


def _label(text: str, length: int = 20) -> str:
    text = text.replace("\n", "⏎") or "(end)"
    return text if len(text) <= length else text[: length - 1] + "…"


def draw_rates(rates: Mapping[str, Estimate], *, title: str, xlabel: str, axis=None):
    """Rates by method, best method of the page's story not coloured differently: points with 95 % intervals.

    Parameters
    ----------
    rates : dict of method name to Estimate (share in 0..1)

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    with plots.style():
        if axis is None:
            axis = Figure(figsize=(8.0, 1.2 + 0.5 * len(rates))).subplots()
        for row, (name, rate) in enumerate(rates.items()):
            colour = plots.COLOURS["blue"] if name.startswith("RAIN") else plots.COLOURS["black"]
            low = rate.value if rate.low is None else rate.low
            high = rate.value if rate.high is None else rate.high
            axis.plot([low, high], [-row, -row], color=colour, linewidth=3)
            axis.plot([rate.value], [-row], "o", color=colour, markersize=9)
        axis.set_yticks([-row for row in range(len(rates))], list(rates))
        axis.set(xlim=(-0.02, 1.02), ylim=(0.6 - len(rates), 0.5), xlabel=xlabel, title=title)
    return axis.figure


def draw_sweep(points: Sequence[Mapping], *, ylabel: str, axis=None):
    """Value against tokens processed, a line a method: ``points`` hold "method", "tokens" and "rate" (Estimate)."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    with plots.style():
        if axis is None:
            axis = Figure(figsize=(8.0, 4.2)).subplots()
        for name in dict.fromkeys(point["method"] for point in points):
            own = sorted((point for point in points if point["method"] == name), key=lambda point: point["tokens"])
            plots.band(
                axis, [point["tokens"] for point in own], [point["rate"] for point in own], marker="o", label=name
            )
        if len({point["tokens"] for point in points}) > 1 and np.all([point["tokens"] > 0 for point in points]):
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter(LogFormatter())  # 400, not 4 x 10^2
            axis.xaxis.set_minor_formatter(LogFormatter())
        axis.set(xlabel="tokens the model processed, a prompt", ylabel=ylabel, ylim=(-0.03, 1.03))
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return axis.figure
