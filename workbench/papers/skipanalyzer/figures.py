"""Figures of a triage: scorers of warnings and methods, precision of what is kept, how far patches come."""

from collections.abc import Mapping

from ... import plots
from ...stats import Estimate


def _styles(table: Mapping, model: str) -> dict:
    return {name: {"color": plots.COLOURS["blue" if name.startswith(model) else "black"]} for name in table}


def draw_auroc(table: Mapping[str, Estimate | None], *, model: str, title: str) -> plots.Picture:
    """AUROC of scorers with 95 % intervals over pairs; the model's are blue, chance is the dashed line."""
    if not any(table.values()):
        return plots.empty("No scorer has an AUROC: no log-probabilities, or warnings of one kind only.")
    return plots.dots(
        table, title=title, xlabel="AUROC, 95 % interval over pairs", chance=0.5, chance_label="chance",
        styles=_styles(table, model), limits=(-0.02, 1.02),
    )  # fmt: skip


def draw_precision(table: Mapping[str, Estimate | None], *, model: str, own: Estimate, title: str) -> plots.Picture:
    """Precision of the warnings that each filter keeps; the analyser's own is the dashed line. Nothing kept: no dot."""
    return plots.dots(
        table, title=title, xlabel="precision of the warnings kept, 95 % interval over pairs", chance=own.value,
        chance_label="the analyser's own", styles=_styles(table, model), limits=(-0.02, 1.02),
    )  # fmt: skip


def draw_funnel(funnel: Mapping[str, Mapping[str, Estimate]], *, title: str) -> plots.Picture:
    """Share of methods whose patch came as far as each stage; the patchers lie side by side."""
    if not funnel:
        return plots.empty("No patch was asked for (patched=0).")
    colours = {name: {"color": plots.COLOURS["black" if place == 0 else "blue"]} for place, name in enumerate(funnel)}
    return plots.dots(
        funnel, title=title, xlabel="share of the methods, 95 % interval", styles=colours, limits=(-0.02, 1.02),
        labels={"returns null": "returns null\ninstead"},
    )  # fmt: skip
