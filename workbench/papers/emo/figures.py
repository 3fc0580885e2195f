"""Figures of notebook and widget: measures by loss, their frontiers over temperatures, two losses' pulls. Data in."""

from ... import plots
from ...results import Results

GRAMMAR_TITLES = {"validity": "valid sentences ↑", "forward_ce": "forward CE ↓", "reverse_ce": "reverse CE ↓",
                  "oracle_nll": "oracle NLL", "entropy": "entropy", "distinct_2": "distinct-2"}  # fmt: skip
PROSE_TITLES = {"perplexity": "perplexity, T = 1 ↓", "perplexity_tuned": "perplexity, tuned T ↓", "entropy": "entropy",
                "distinct_2": "distinct-2", "repeated": "repeated words"}  # fmt: skip


def frontier_figure(results: Results, labels: dict) -> plots.Picture:
    """Validity against forward CE and entropy: a curve over temperatures for each loss, a dot at temperature 1."""
    title = "Each curve: one loss over temperatures (small dots: measured); large dot: temperature 1"
    picture, (axes,) = plots.panels(1, 2, size=(10, 5.4), title=title, sharey=True)
    names = {labels.get(method, method): method for method in results.arms}
    best, worst = min(results.values("forward_ce")), max(results.of(temperature="1").values("forward_ce"))
    fine = {"linewidth": 3.5}  # cross-entropy's sweep is finer: dots where it was measured would hide the line
    coarse = {"linewidth": 1.5, "marker": "."}
    styles = {
        name: {"color": colour, "alpha": 0.9, **(fine if method == "mle" else coarse)}
        for (name, method), colour in zip(names.items(), plots.CYCLE)
    }
    xlabels = {
        "forward_ce": "forward cross-entropy, nats a token (left: better)",
        "entropy": "entropy, nats a token (left: sharper)",
    }
    for axis, (measure, xlabel) in zip(axes, xlabels.items()):
        places = {
            name: [results.of(method).means(m, "item") for m in (measure, "validity")] for name, method in names.items()
        }
        plots.curves(
            {name: (x.values(), y.values()) for name, (x, y) in places.items()}, styles=styles, axis=axis,
            xlabel=xlabel, ylabel="" if axis is axes[1] else "valid sentences (up is better)",
            legend=None,
        )  # fmt: skip
        for name, (x, y) in places.items():
            axis.plot(x["1"], y["1"], "o", color=styles[name]["color"], markersize=9)
    axes[0].set_xlim(best - 0.03, max(best + 0.5, worst + 0.03))
    picture.legend(handles=axes[1].get_legend_handles_labels()[0], loc="outside lower center", ncols=3)
    return picture


@plots.style()
def bars_figure(table, labels: dict) -> plots.Picture:
    """A panel a measure of ``table`` (`at_one`, `prose_table`): each row's Estimate with its 95 % interval."""
    titles = GRAMMAR_TITLES if "validity" in table else PROSE_TITLES
    picture, axes = plots.panels(2, 3, size=(10, 2 * (1.0 + 0.36 * len(table))), sharey=True)
    for axis in axes.flat[len(titles) :]:
        axis.set_visible(False)
    for axis, (measure, title) in zip(axes.flat, titles.items()):
        plots.dots(table[measure], labels=labels, title=title, axis=axis)
        axis.locator_params(axis="x", nbins=4)
    return picture


def pull_figure(table, title: str) -> plots.Picture:
    """`pull`'s table as three panels: the cost of each token, both losses' pulls, and their ratio."""
    picture, ((left, middle, right),) = plots.panels(
        1, 3, size=(10, 5.2), title=title.replace("|", " →"), sharey=True, width_ratios=(2, 3, 2)
    )
    picture.describe(f"{picture.get_suptitle()}.")
    names = [f"{token}  ({p:.2g})" for token, p in zip(table.token, table.p)]
    names[0] = f"→ {names[0]}"
    styles = {"cost": {"color": plots.COLOURS["grey"]}, "ratio": {"color": plots.COLOURS["red"]}}
    plots.bars({"cost": table.cost}, names, styles=styles, xlabel="cost of the move", axis=left)
    pulls = {"cross-entropy": table.ce, "EMO": table.emo}
    plots.bars(pulls, names, xlabel="pull on the logit (> 0: up), logarithmic", axis=middle)
    middle.set_xscale("symlog", linthresh=1e-4)
    middle.set_xticks([-1e-1, -1e-3, 0, 1e-3, 1e-1], ["−.1", "−.001", "0", ".001", ".1"])
    middle.legend(loc="lower right")
    plots.bars({"ratio": table.emo / table.ce}, names, styles=styles, xlabel="EMO / cross-entropy", axis=right)
    return picture
