"""The paper page's figures. Each takes Results of `study`, by the model's name, and returns a `plots.Picture`."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np

from ... import plots
from ...results import Results
from ...stats import Estimate
from .baselines import generation_bits
from .bayes import bayes_curve, bayes_in_phase
from .flips import as_digits, repeat_concept
from .measures import counted, told_apart
from .settings import RANDOM, REPEATED

SHARE = (-0.03, 1.03)  # the axis of a probability
GREY = plots.COLOURS["grey"]


@plots.style()
def next_flip_figure(curves: Mapping[str, Results], *, title: str = "") -> plots.Picture:
    """p(next flip is Tails) after every prefix, one line a model, the flips as dots; below, the unnormalised mass."""
    picture, ((top,), (bottom,)) = plots.panels(2, 1, size=(9, 5.4), sharex=True, height_ratios=(3, 1))
    flips = next(iter(curves.values())).rows[0].labels["sequence"]
    lines, mass = {}, {}
    for name, curve in curves.items():
        at = [int(row.item) for row in curve.rows]
        lines[f"{name} ({curve.arms[0]})"] = at, counted(curve).values() or curve.values("p_tails")
        mass[name] = at, curve.values("mass")
    styles = {key: {"marker": "o", "markersize": 3, "linewidth": 1.3} for key in lines}
    plots.curves(
        lines, title=title, styles=styles, ylabel="p(next flip is Tails)", chance=0.5, chance_label="fair coin",
        limits=(-0.1, 1.35), legend=None, axis=top,
    )  # fmt: skip
    tails = np.array([flip == "T" for flip in flips], dtype=float)
    top.plot(range(len(flips)), tails * 1.08 - 0.04, "|", color=GREY, label="the flip that follows")
    top.set_yticks([0, 0.5, 1], ["0\n(Heads)", "0.5", "1\n(Tails)"])
    top.legend(loc="upper center", ncols=4)
    plots.curves(
        mass, ylabel="mass of\nHeads + Tails", xlabel="flips in context", limits=(0, 1.05), legend=None, axis=bottom
    )
    return picture.describe(f"The flips: {flips}.")


@plots.style()
def concept_figure(studies: Mapping[str, Results]) -> plots.Picture:
    """For each concept P(the next whole period in phase), and in phase minus out of phase, with random contexts.

    Bands: mean and 95 % interval over the control seeds.
    """
    if not studies:
        return plots.empty("No model here gives log-probabilities: concept curves need them.")
    concepts = next(iter(studies.values())).labels("concept")
    size = (max(6.5, 3.1 * len(concepts) + 1), 6)
    picture, axes = plots.panels(2, len(concepts), size=size, sharex=True, sharey="row")
    quantities = {"in_phase": "P(next whole period,\nin phase)",
                  "phase_difference": "in phase − out of phase\n(difference of P)"}  # fmt: skip
    for column, concept in enumerate(concepts):
        for row, (quantity, ylabel) in enumerate(quantities.items()):
            lines, styles = {}, {}
            for colour, (name, study) in zip(cycle(plots.CYCLE), studies.items()):
                random = f"{name}, random contexts ({len(study.of(RANDOM).means('mass'))} seeds, 95 %)"
                lines[name] = periods(study, REPEATED, concept, quantity)
                lines[random] = periods(study, RANDOM, concept, quantity)
                styles[name] = {"color": colour, "marker": "o"}
                styles[random] = {"color": colour, "linestyle": ":", "linewidth": 1.5}
            plots.curves(
                lines, styles=styles, title=f"({concept}) repeated" if row == 0 else "",
                xlabel="flips in context" if row else "", ylabel="" if column else ylabel, legend=None,
                chance=0.0 if row else 2.0 ** -len(concept),
                chance_label=None if row else "coin", limits=None if row else SHARE, axis=axes[row, column],
            )  # fmt: skip
    handles, labels = axes[0, 0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=3 if len(concepts) > 1 else 1)
    return picture


def periods(study: Results, arm: str, concept: str, measure: str) -> tuple[list[float], list[Estimate | float]]:
    """(flips in context, the measure): over the seeds where there are several; NaN where there is no number."""
    table = study.of(arm, concept=concept).table(measure, by="flips")
    return [float(flips) for flips in table], [estimate or np.nan for estimate in table.values()]


def bits_figure(bits: Mapping[str, Results]) -> plots.Picture:
    """Bits a flip for random sequences: one dot a seed, the mean with its 95 % interval, and the fair coin's 1.0."""
    if not bits:
        return plots.empty("No model here gives log-probabilities: bits per flip need them.")
    return plots.dots(
        {name: one.table("bits")["fair coin"] for name, one in bits.items()}, chance=1.0,
        points={name: one.values("bits") for name, one in bits.items()},
        labels={name: f"{name}\n({len(one)} seeds)" for name, one in bits.items()},
        xlabel="bits per flip on random sequences (less is better); mean and 95 % interval",
        chance_label="fair coin: 1 bit",
    )  # fmt: skip


def generation_figure(generated: Mapping[str, Results]) -> plots.Picture:
    """Stated against written share of Tails; alternation rates; bits each baseline asks for the model's sequences."""
    stated, about = np.linspace(0, 1, 101), "Bernoulli, as stated"
    measures = {
        "Bias": ("share of Tails", stated, "written share of Tails"),
        "Alternation": ("alternation rate", 2 * stated * (1 - stated), "alternation rate"),
    }
    counts = []
    picture, ((*two, last),) = plots.panels(1, 3, size=(13, 4.2))
    for axis, (title, (measure, expected, ylabel)) in zip(two, measures.items()):
        lines, styles = {about: (100 * stated, expected)}, {about: plots.CHANCE}
        for colour, (name, written) in zip(cycle(plots.CYCLE), generated.items()):
            points = {float(p): e for p, e in written.table(measure, by="stated", bounds=(0, 1)).items() if e}
            lines[name], styles[name] = (points.keys(), points.values()), {**plots.POINTS, "color": colour}
            counts += [e.n for e in points.values()]
        plots.curves(
            lines, title=title, xlabel="stated % Tails", ylabel=ylabel, limits=SHARE, axis=axis, styles=styles,
            legend="upper left" if title == "Bias" else None,
        )  # fmt: skip
        axis.set_xlim(-2, 102)
    costs = {name: generation_bits(written) for name, written in generated.items()}
    plots.dots(costs, chance=1.0, title="Which source fits?", xlabel="bits per flip (less fits better)", axis=last)
    few, many = min(counts, default=0), max(counts, default=0)
    words = f"means over the {few} to {many} sequences with flips at each %, 95 % intervals"
    picture.supxlabel(words, fontsize=9, color=GREY)
    return picture.describe(f"All are {words}.")


def judgement_figure(studies: Mapping[str, Results], *, concept: str = "") -> plots.Picture:
    """P("random") by `judgement_study`: of random sequences and repeated words; right, of the concept's prefixes."""
    if not studies:
        return plots.empty("No model here gives log-probabilities: judgements need them.")
    picture, ((left, right),) = plots.panels(1, 2, size=(11.5, 4.2), width_ratios=(1, 1.2))
    table, points, styles, labels, lines = {}, {}, {}, {}, {}
    for colour, (name, study) in zip(cycle(plots.CYCLE), studies.items()):
        for kind in ("random", "repeated"):
            values = study.of(kind).values("p_random")
            table[name, kind], styles[name, kind] = study.table("p_random")[kind], {"fmt": "D", "color": colour}
            points[name, kind], labels[name, kind] = values, f"{name},\n{kind} ({len(values)})"
        for comma, line in (("no trailing comma", "-"), ("trailing comma", ":")):
            values = study.of(comma).values("p_random")
            lines[f"{name}, {comma}"] = range(len(values)), values
            styles[f"{name}, {comma}"] = {"color": colour, "linestyle": line}
    auroc = "; ".join(f"{name} {told_apart(study)}" for name, study in studies.items())
    plots.dots(
        table, points=points, styles=styles, labels=labels, limits=(0, 1), title=f"AUROC {auroc}", axis=left,
        xlabel='P("random") against "non-random"',
    )  # fmt: skip
    plots.curves(
        lines, styles=styles, chance=0.5, xlabel=f"flips of ({concept}) judged", ylabel='P("random")', limits=(0, 1),
        legend="upper right", axis=right,
    )  # fmt: skip
    return picture


@plots.style()
def selection_figure(concept: str, n_flips: int, studies: Mapping[str, Results] | None = None) -> plots.Picture:
    """A Bayesian observer's belief in the word, both likelihoods, and its predictions beside the model's."""
    concept = as_digits(concept)
    n_flips = max(n_flips, 60)  # the count likelihood turns at 51 for (01): shorter axes would hide it
    picture, ((left, right),) = plots.panels(1, 2, size=(12, 4.2), sharex=True)
    beliefs, predictions, styles, turns = {}, {}, {}, []
    for colour, likelihood, about in (
        (plots.COLOURS["green"], "sequence", "of the sequence, .5ⁿ"),
        (plots.COLOURS["purple"], "count", "of the count (reference)"),
    ):
        curve = bayes_curve(repeat_concept(concept, n_flips), concept, likelihood=likelihood)
        turn, bayes = curve.crossover, f"Bayes, {likelihood}"
        key = f"{about}: never" if turn is None else f"{about}: n = {turn}"
        if turn is not None:
            turns.append((turn, curve.posterior[turn], colour))
        beliefs[key], styles[key] = (range(n_flips + 1), curve.posterior), {"color": colour}
        predictions[bayes] = bayes_in_phase(concept, n_flips, likelihood)
        styles[bayes] = {"color": colour, "linestyle": "--", "linewidth": 1.3}
    for colour, (name, study) in zip(cycle(plots.CYCLE), (studies or {}).items()):
        predictions[name] = periods(study, REPEATED, concept, "in_phase")
        styles[name] = {"marker": "o", "color": colour}
    plots.curves(
        beliefs, styles=styles, chance=0.5, limits=SHARE, xlabel="flips in context", legend=None, axis=left,
        ylabel=f"posterior P(({concept}) made it)",
    )  # fmt: skip
    for n, belief, colour in turns:
        left.plot(n, belief, "o", color=colour, markersize=8)
    left.legend(title="coin's likelihood", loc="lower right")
    plots.curves(
        predictions, styles=styles, limits=SHARE, xlabel="flips in context", ylabel="P(next whole period, in phase)",
        legend="lower right", axis=right,
    )  # fmt: skip
    return picture
