"""The paper page's figures. Each takes results of this package, draws in the house style and returns the figure."""

from collections.abc import Mapping, Sequence

import numpy as np

from ... import plots
from ...stats import mean_interval
from .bayes import bayes_curve
from .flips import as_digits, repeat_concept
from .generate import Generated
from .measures import alternation_rate
from .study import ConceptStudy, FlipCurve, JudgementStudy, bayes_in_phase, generation_bits


def _say(message: str):
    """A figure that says why it is empty."""
    import matplotlib.pyplot as plt

    with plots.style():
        fig, axis = plt.subplots(figsize=(8, 1.2))
        axis.axis("off")
        axis.text(0, 0.5, message, va="center")
    return fig


def next_flip_figure(curves: Mapping[str, FlipCurve], *, title: str = ""):
    """p(next flip is Tails) after every prefix, one line a model, the flips as dots; below, the unnormalised mass."""
    import matplotlib.pyplot as plt

    with plots.style():
        fig, (top, bottom) = plt.subplots(2, 1, figsize=(9, 5.2), sharex=True, height_ratios=(3, 1))
        flips = next(iter(curves.values())).flips
        tails = np.array([flip == "T" for flip in flips], dtype=float)
        top.axhline(0.5, **plots.CHANCE, label="fair coin")
        top.plot(
            np.arange(len(tails)), tails * 1.08 - 0.04, "|", color=plots.COLOURS["grey"], label="the flip that follows"
        )
        for name, curve in curves.items():
            (line,) = top.plot(
                curve.n, curve.p_tails, marker="o", markersize=3, linewidth=1.3, label=f"{name} ({curve.how})"
            )
            if curve.low is not None:
                top.fill_between(curve.n, curve.low, curve.high, color=line.get_color(), alpha=0.18, linewidth=0)
            bottom.plot(curve.n, curve.mass, color=line.get_color())
        top.set(ylim=(-0.1, 1.1), ylabel="p(next flip is Tails)", title=title)
        top.set_yticks([0, 0.5, 1], ["0\n(Heads)", "0.5", "1\n(Tails)"])
        top.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=4)
        top.set_ylim(-0.1, 1.35)
        bottom.set(ylim=(0, 1.05), xlabel="flips in context", ylabel="mass of\nHeads + Tails")
    return fig


def concept_figure(studies: Mapping[str, ConceptStudy]):
    """For each concept P(the next whole period in phase), and in phase minus out of phase, with random contexts.

    Grey bands: mean and 95 % interval over the control seeds of the first model; other models' are in the table.
    """
    import matplotlib.pyplot as plt

    if not studies:
        return _say("No model here gives log-probabilities: concept curves need them.")
    concepts = list(next(iter(studies.values())).curves)
    with plots.style():
        fig, axes = plt.subplots(
            2, len(concepts), figsize=(max(6.5, 3.1 * len(concepts) + 1), 6), sharex=True, sharey="row", squeeze=False
        )
        for column, concept in enumerate(concepts):
            for row, quantity in enumerate(("in_phase", "phase_difference")):
                axis = axes[row, column]
                chance = 2.0 ** -next(iter(studies.values())).curves[concept].depth if row == 0 else 0.0
                axis.axhline(chance, **plots.CHANCE, label="coin" if row == 0 else None)
                for i, (name, study) in enumerate(studies.items()):
                    curve = study.curves[concept]
                    colour = plots.CYCLE[i % len(plots.CYCLE)]
                    axis.plot(*curve.by_period(getattr(curve, quantity)), marker="o", color=colour, label=name)
                    controls = [c.by_period(getattr(c, quantity)) for c in study.controls[concept]]
                    bands = [mean_interval(values) for values in np.array([v for _, v in controls]).T]
                    plots.band(
                        axis,
                        controls[0][0],
                        bands,
                        color=colour,
                        linestyle=":",
                        linewidth=1.5,
                        label=f"{name}, random contexts ({len(controls)} seeds, 95 %)",
                    )
                if row == 0:
                    axis.set_title(f"({concept}) repeated")
                else:
                    axis.set_xlabel("flips in context")
        axes[0, 0].set(ylabel="P(next whole period,\nin phase)", ylim=(-0.03, 1.03))
        axes[1, 0].set(ylabel="in phase − out of phase\n(difference of P)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3 if len(concepts) > 1 else 1)
    return fig


def bits_figure(bits: Mapping[str, np.ndarray]):
    """Bits a flip for random sequences: one dot a seed, the mean with its 95 % interval, and the fair coin's 1.0."""
    import matplotlib.pyplot as plt

    if not bits:
        return _say("No model here gives log-probabilities: bits per flip need them.")
    with plots.style():
        fig, axis = plt.subplots(figsize=(8, 1.4 + 0.8 * len(bits)))
        axis.axvline(1.0, **plots.CHANCE, label="fair coin: 1 bit")
        for row, values in enumerate(bits.values()):
            colour = plots.CYCLE[row % len(plots.CYCLE)]
            jitter = np.linspace(-0.16, 0.16, len(values))
            axis.plot(values, row + jitter, "o", color=colour, alpha=0.45, linewidth=0)
            e = mean_interval(values)
            axis.errorbar(
                e.value,
                row,
                xerr=[[e.value - e.low], [e.high - e.value]],
                fmt="D",
                color=plots.COLOURS["black"],
                capsize=4,
                label="mean, 95 % interval" if row == 0 else None,
                zorder=3,
            )
        axis.set_yticks(range(len(bits)), [f"{name}\n({len(v)} seeds)" for name, v in bits.items()])
        axis.set(ylim=(len(bits) - 0.4, -0.6), xlabel="bits per flip on random sequences (less is better)")
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def generation_figure(generated: Mapping[str, Sequence[Generated]]):
    """Stated against written share of Tails; alternation rates; bits each baseline asks for the model's sequences."""
    import matplotlib.pyplot as plt

    with plots.style():
        fig, (share, alternation, cost) = plt.subplots(1, 3, figsize=(13, 4.2))
        grid = np.linspace(0, 100, 101)
        share.plot(grid, grid / 100, **plots.CHANCE, label="Bernoulli, as stated")
        alternation.plot(grid, 2 * grid / 100 * (1 - grid / 100), **plots.CHANCE, label="Bernoulli, as stated")
        labels: list[str] = []
        counts: list[int] = []
        for i, (name, groups) in enumerate(generated.items()):
            colour = plots.CYCLE[i % len(plots.CYCLE)]
            for axis, measure in ((share, lambda f: f.count("T") / len(f)), (alternation, alternation_rate)):
                kept = [(g.p_tails, [measure(f) for f in g.flips if len(f) > 1]) for g in groups]
                found = [(p, mean_interval(values, bounds=(0, 1))) for p, values in kept if values]
                counts += [len(values) for _, values in kept]
                axis.errorbar(
                    [p for p, _ in found],
                    [e.value for _, e in found],
                    yerr=[
                        [0 if e.low is None else e.value - e.low for _, e in found],
                        [0 if e.high is None else e.high - e.value for _, e in found],
                    ],
                    fmt="o",
                    color=colour,
                    capsize=3,
                    label=name,
                )
            costs = generation_bits(groups)
            labels = list(costs) or labels
            for row, e in enumerate(costs.values()):
                half = [[0 if e.low is None else e.value - e.low], [0 if e.high is None else e.high - e.value]]
                cost.errorbar(e.value, row + 0.12 * i, xerr=half, fmt="o", color=colour, capsize=3)
        share.set(
            xlabel="stated % Tails", ylabel="written share of Tails", xlim=(0, 100), ylim=(-0.03, 1.03), title="Bias"
        )
        alternation.set(
            xlabel="stated % Tails", ylabel="alternation rate", xlim=(0, 100), ylim=(-0.03, 1.03), title="Alternation"
        )
        cost.axvline(1.0, **plots.CHANCE)
        cost.set_yticks(range(len(labels)), labels)
        cost.set(xlabel="bits per flip (less fits better)", title="Which source fits?", ylim=(len(labels) - 0.5, -0.5))
        share.legend(loc="upper left")
        few, many = min(counts, default=0), max(counts, default=0)
        fig.supxlabel(
            f"means over the {few} to {many} sequences of two flips or more at each %, 95 % intervals",
            fontsize=9,
            color=plots.COLOURS["grey"],
        )
    return fig


def judgement_figure(studies: Mapping[str, JudgementStudy], *, concept: str = ""):
    """P("random") of random sequences and repeated words; on the right, of the concept's prefixes."""
    import matplotlib.pyplot as plt

    if not studies:
        return _say("No model here gives log-probabilities: judgements need them.")
    with plots.style():
        fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(1, 1.3))
        ticks = []
        for i, (name, study) in enumerate(studies.items()):
            colour = plots.CYCLE[i % len(plots.CYCLE)]
            for j, (label, values) in enumerate((("random", study.random), ("repeated", study.repeated))):
                x = 2 * i + j
                jitter = np.linspace(-0.18, 0.18, len(values))
                left.plot(x + jitter, values, "o", color=colour, alpha=0.5, linewidth=0)
                e = mean_interval(values)
                left.errorbar(
                    x,
                    e.value,
                    yerr=[[e.value - e.low], [e.high - e.value]],
                    fmt="D",
                    color=plots.COLOURS["black"],
                    capsize=5,
                    zorder=3,
                )
                ticks.append(f"{label}\n({len(values)})")
            left.text(2 * i + 0.5, 1.01, f"{name}\nAUROC {study.auroc}", ha="center", va="bottom", fontsize=9)
            for (comma, values), line in zip(study.prefixes.items(), ("-", ":")):
                right.plot(np.arange(len(values)), values, line, color=colour, label=f"{name}, {comma}")
        left.set_xticks(range(len(ticks)), ticks)
        left.set(ylim=(0, 1), xlim=(-0.5, len(ticks) - 0.5), ylabel='P("random") against "non-random"')
        right.axhline(0.5, **plots.CHANCE)
        right.set(ylim=(0, 1), xlabel=f"flips of ({concept}) judged", ylabel='P("random")')
        right.legend(loc="upper right")
    return fig


def selection_figure(concept: str, n_flips: int, studies: Mapping[str, ConceptStudy] | None = None):
    """A Bayesian observer's belief in the word, both likelihoods, and its predictions beside the model's."""
    import matplotlib.pyplot as plt

    concept = as_digits(concept)
    n_flips = max(n_flips, 60)  # the count likelihood turns at 51 for (01): shorter axes would hide it
    with plots.style():
        fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), sharex=True)
        for colour, likelihood, about in (
            (plots.COLOURS["green"], "sequence", "of the sequence, $.5^n$"),
            (plots.COLOURS["purple"], "count", "of the count (reference)"),
        ):
            curve = bayes_curve(repeat_concept(concept, n_flips), concept, likelihood=likelihood)
            label = f"{about}: " + ("never" if curve.crossover is None else f"n = {curve.crossover}")
            left.plot(np.arange(n_flips + 1), curve.posterior, color=colour, label=label)
            if curve.crossover is not None:
                left.plot(curve.crossover, curve.posterior[curve.crossover], "o", color=colour, markersize=8)
            right.plot(
                *bayes_in_phase(concept, n_flips, likelihood),
                color=colour,
                linestyle="--",
                linewidth=1.3,
                label=f"Bayes, {likelihood}",
            )
        left.axhline(0.5, **plots.CHANCE)
        left.set(ylim=(-0.03, 1.03), xlabel="flips in context", ylabel=f"posterior P(({concept}) made it)")
        left.legend(title="coin's likelihood", loc="lower right")
        for i, (name, study) in enumerate((studies or {}).items()):
            curve = study.curves[concept]
            right.plot(
                *curve.by_period(curve.in_phase), marker="o", color=plots.CYCLE[i % len(plots.CYCLE)], label=name
            )
        right.set(ylim=(-0.03, 1.03), xlabel="flips in context", ylabel="P(next whole period, in phase)")
        right.legend(loc="lower right")
    return fig
