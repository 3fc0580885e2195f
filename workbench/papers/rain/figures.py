"""Figures of a search: the tree below one move, and rates with intervals beside their cost. Plain data in."""

from collections.abc import Mapping, Sequence

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


@plots.style()
def draw_tree(search: Mapping, move: int = 0) -> plots.Picture:
    """The tree below ``move`` when it was made: size is visits, colour the mean value; a thick line was committed."""
    places, stats, left_out = tree_layout(search, move)
    deepest, rows = (max(place[i] for place in places.values()) for i in (0, 1))
    nodes, chosen = search["nodes"], search["moves"][move]["node"]
    more = f" ({left_out} little visited left out)" if left_out else ""
    title = f"Move {move + 1}, {len(places)} visited nodes{more}: tokens, q, visits"
    size = (2.6 + 1.75 * (deepest + 1), max(2.4, 1.2 + 0.62 * (rows + 1)))
    picture, ((axis,),) = plots.panels(size=size, title=title)
    known = {node: stats.get(node, (0, 0, 0.0)) for node in places}  # (n, fn, q)
    for node, (depth, row) in places.items():
        parent = places.get(nodes[node]["parent"])
        if parent is not None:
            thick = {"color": plots.COLOURS["black"], "linewidth": 3.5}
            axis.plot(
                [parent[0], depth], [-parent[1], -row], zorder=1,
                **(thick if node == chosen else {"color": "#BBBBBB", "linewidth": 1}),
            )  # fmt: skip
        n, _, value = known[node]
        words = _label(nodes[node]["text"]) if depth else "text so far"
        for text, place, weight in ((words, 9, "bold"), (f"{value:+.2f}, {n:.3g}x", -17, "normal")):
            axis.annotate(
                text, (depth, -row), xytext=(-3, place), textcoords="offset points", fontsize=9, fontweight=weight,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
            )  # fmt: skip
    circles = axis.scatter(
        [depth for depth, _ in places.values()], [-row for _, row in places.values()],
        s=[40 + 30 * n**0.5 for n, _, _ in known.values()], c=[q for _, _, q in known.values()],
        cmap="RdBu", vmin=-1, vmax=1, edgecolors=plots.COLOURS["black"], linewidths=0.8, zorder=2,
    )  # fmt: skip
    axis.set(xlim=(-0.15, deepest + 0.95), ylim=(-rows - 0.6, 0.6))
    axis.set_axis_off()
    picture.colorbar(circles, ax=axis, label="mean value q", aspect=12)
    shown = [f"“{_label(nodes[i]['text'])}” {known[i][2]:+.2f} ({known[i][0]:.3g}x)" for i in places if places[i][0]]
    return picture.describe(f"{title}: {'; '.join(shown)}. Committed: “{_label(nodes[chosen]['text'])}”.")


def _label(text: str, length: int = 20) -> str:
    text = text.replace("\n", "⏎") or "(end)"
    return text if len(text) <= length else text[: length - 1] + "…"


def draw_rates(rates: Mapping[str, Estimate], *, title: str, xlabel: str) -> plots.Picture:
    """Rates (shares in 0..1) by method with 95 % intervals; RAIN's are blue."""
    styles = {name: {"color": plots.COLOURS["blue" if name.startswith("RAIN") else "black"]} for name in rates}
    return plots.dots(rates, title=title, xlabel=xlabel, limits=(-0.02, 1.02), styles=styles)


def draw_sweep(points: Sequence[Mapping], *, ylabel: str) -> plots.Picture:
    """Value against tokens processed, a line a method: ``points`` hold "method", "tokens" and "rate" (Estimate)."""
    lines = {}
    for name in dict.fromkeys(point["method"] for point in points):
        own = sorted((point for point in points if point["method"] == name), key=lambda point: point["tokens"])
        lines[name] = [point["tokens"] for point in own], [point["rate"] for point in own]
    tokens = {point["tokens"] for point in points}
    return plots.curves(
        lines, xlabel="tokens the model processed, a prompt", ylabel=ylabel, limits=(-0.03, 1.03), legend="right",
        styles={name: {"marker": "o"} for name in lines}, log="x" if len(tokens) > 1 and min(tokens) > 0 else "",
    )  # fmt: skip
