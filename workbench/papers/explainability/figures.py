"""The page's own figure: methods beside random orders. The widgets draw the others from their answers."""

from ... import plots
from .settings import METHODS

TITLES = {"replace": "Tokens replaced", "delete": "Tokens deleted"}
APART, SAME = {"color": plots.COLOURS["blue"]}, {"color": plots.COLOURS["grey"], "fmt": "s"}


@plots.style()
def faithfulness_figure(table) -> plots.Picture:
    """The comprehensiveness of a `FaithfulnessTable` with intervals, a panel a removal.

    Random orders are a band; a method whose dot is a grey square is not above them.
    """
    removals = list(dict.fromkeys(row.removal for row in table.rows))
    labels = {row.method: METHODS[row.method].title for row in table.rows if row.method != "random"}
    picture, (axes,) = plots.panels(1, len(removals), size=(5.0 * len(removals), 1.9 + 0.36 * len(labels)), sharey=True)
    for axis, removal in zip(axes, removals):
        rows = {row.method: row for row in table.rows if row.removal == removal and row.method in labels}
        above = {method: row.verdict == "above random" for method, row in rows.items()}
        plots.dots(
            {method: row.comprehensiveness for method, row in rows.items()}, labels=labels, axis=axis,
            styles={method: APART if above[method] else SAME for method in rows}, title=TITLES[removal],
            chance=table.results.table(f"{removal}.comprehensiveness", bounds=(-1, 1))["random"],
            chance_label="random orders, mean and 95 % interval", xlabel="comprehensiveness (loss of probability)",
        )  # fmt: skip
        axis.get_legend().remove()
        axis.locator_params(axis="x", nbins=5)
        found = ", ".join(labels[method] for method in rows if above[method]) or "no method"
        picture.describe(f"Above random (Holm): {found}.")
    handles = axes[0].get_legend_handles_labels()[0]
    for style, label in ((APART, "above random (Holm)"), (SAME, "not separable")):
        handles.append(axes[0].errorbar([], [], xerr=[], label=label, **{"fmt": "o", **style}))
    picture.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9)
    return picture
