"""The notebook's measurements: the functions of this package put together, with controls, intervals and answers.

Every answer's words follow from the numbers measured in this run; none is written down beforehand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...stats import Estimate, auroc, mean_interval, proportion_interval
from . import baselines
from .baselines import generation_bits
from .bayes import bayes_in_phase
from .concept import ConceptCurve, concept_curve, points, random_controls
from .curve import next_flip_curve
from .flips import as_digits, parse_flips, random_flips, repeat_concept
from .generate import Generated, sample_next_flip
from .judging import judge, words
from .measures import alternation_rate, bits_per_flip, distinct_subsequences, gzip_length, longest_run, repeat_match
from .settings import SETTINGS


@dataclass(frozen=True)
class FlipCurve:
    """The next-flip curve of any model: exact from one forward (``low`` and ``high`` None), or counted from samples.

    ``counted`` are the samples behind each point that were a flip at all; None where nothing was counted.
    """

    flips: str
    n: np.ndarray
    p_tails: np.ndarray
    mass: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    counted: np.ndarray | None = None

    def estimates(self) -> dict[int, Estimate]:
        """P(Tails) after n flips, by n, with the intervals of counting; empty for an exact curve."""
        if self.counted is None:
            return {}
        rows = zip(self.n, self.p_tails, self.low, self.high, self.counted)
        return {int(n): Estimate(float(p), float(low), float(high), int(k)) for n, p, low, high, k in rows}

    @property
    def how(self) -> str:
        """ "exact" or "sampled"."""
        return "exact" if self.low is None else "sampled"


def flip_curve(
    model, flips: str, *, prompt="paper", alphabet="words", n_points=12, n=SETTINGS.samples_without_logprobs, seed=0
) -> FlipCurve:
    """`next_flip_curve` where the model gives log-probabilities, else `sample_next_flip` at ``n_points`` prefixes."""
    flips = parse_flips(flips)
    if "logprobs" in model.can:
        p, mass = next_flip_curve(model, flips, prompt=prompt, alphabet=alphabet)
        return FlipCurve(flips, np.arange(len(flips) + 1), p, mass)
    at = points(len(flips), 1, n_points)
    counted = sample_next_flip(model, [flips[:k] for k in at], n=n, seed=seed, prompt=prompt, alphabet=alphabet)
    none = Estimate(float("nan"), 0.0, 1.0)  # not one of the samples was a flip: nothing is known
    p = [one.p_tails or none for one in counted]
    return FlipCurve(
        flips,
        np.array(at),
        np.array([e.value for e in p]),
        np.array([one.mass.value for one in counted]),
        np.array([e.low for e in p]),
        np.array([e.high for e in p]),
        np.array([one.heads + one.tails for one in counted]),
    )


def counting_table(curves: Mapping[str, FlipCurve], *, within: float = 0.01) -> list[dict]:
    """What counting gave at each prefix, beside what as fine an answer as an exact one would take; counted curves only.

    ``within``: half the width of a 95 % interval that we would call as good as exact. The samples for it follow from
    the normal approximation, 1.96^2 p (1 - p) / within^2, at the p inside the interval that needs most.
    """
    rows = []
    for name, curve in curves.items():
        for n, e in curve.estimates().items():
            worst = min(max(0.5, e.low), e.high)
            rows.append(
                {
                    "model": name,
                    "flips in context": n,
                    "p(Tails), counted": e.value,
                    "95 % interval": f"{e.low:.2f} to {e.high:.2f}",
                    "samples that were flips": e.n,
                    f"samples for ±{within:g}": int(np.ceil(1.96**2 * worst * (1 - worst) / within**2)),
                    "exact would need": "one forward of the weights; no server gives it",
                }
            )
    return rows


def random_bits(model, n_flips: int, seeds: Sequence[int], *, prompt="paper", alphabet="words") -> np.ndarray:
    """Bits a flip for random sequences, (seeds,): a fair coin costs 1.0, and nobody can do better in the long run."""
    result = []
    for seed in seeds:
        flips = random_flips(n_flips, seed)
        result.append(bits_per_flip(flips, next_flip_curve(model, flips, prompt=prompt, alphabet=alphabet)[0]))
    return np.array(result)


@dataclass(frozen=True)
class ConceptStudy:
    """Concept curves of one model with their random-context controls, by concept."""

    curves: dict[str, ConceptCurve]
    controls: dict[str, list[ConceptCurve]]

    def last(self, concept: str) -> tuple[float, np.ndarray]:
        """Phase difference in the last period: the concept's, and one for each control seed."""
        last = [c.by_period(c.phase_difference)[1][-1] for c in (self.curves[concept], *self.controls[concept])]
        return float(last[0]), np.array(last[1:])

    def gain(self, concept: str) -> Estimate:
        """Phase difference in the last period, above the controls'; the interval is over the control seeds."""
        value, controls = self.last(concept)
        return mean_interval(value - controls)

    def rise(self, concept: str) -> tuple[float, float] | None:
        """Flips at which P(period in phase) first passes 10 % and 90 % of its way to its highest; None if it falls."""
        curve = self.curves[concept]
        return rise(*curve.by_period(curve.in_phase))


def rise(n: np.ndarray, values: np.ndarray) -> tuple[float, float] | None:
    """Where a curve last leaves 10 % and first reaches 90 % of the way from its lowest point to its later highest."""
    low = int(np.argmin(values))
    high = low + int(np.argmax(values[low:]))
    if values[high] - values[low] < 0.05:
        return None  # as good as flat: widths would be noise
    way = (values[low : high + 1] - values[low]) / (values[high] - values[low])
    left = low + int(np.flatnonzero(way <= 0.1)[-1])
    reached = low + int(np.flatnonzero(way >= 0.9)[0])
    return float(n[left]), float(n[reached])


def concept_study(model, concepts, *, n_flips, n_points, seeds, control_points=4, **options) -> ConceptStudy:
    """Curves of several concepts and their controls; the controls are scored at fewer places, for their cost.

    A context shorter than a word is lengthened to two periods of it.
    """
    concepts = [as_digits(concept) for concept in concepts]
    n_flips = max(n_flips, 2 * max(map(len, concepts)))
    curves = {c: concept_curve(model, c, n_flips=n_flips, n_points=n_points, **options) for c in concepts}
    controls = random_controls(
        model, n_flips, concepts=concepts, seeds=seeds, n_points=min(control_points, n_points), **options
    )
    return ConceptStudy(curves, controls)


def concept_table(study: ConceptStudy, name: str) -> list[dict]:
    """One row a concept: first and last period, gain over the controls, rise."""
    rows = []
    for concept, curve in study.curves.items():
        _, in_phase = curve.by_period(curve.in_phase)
        step = study.rise(concept)
        rows.append(
            {
                "model": name,
                "concept": f"({concept})",
                "chance": 2.0**-curve.depth,
                "P(period in phase), last": in_phase[-1],
                "phase difference, last": study.last(concept)[0],
                "above random contexts": str(study.gain(concept)),
                "rise 10-90 %, flips": "none" if step is None else f"{step[0]:g} to {step[1]:g}",
                "least mass": float(curve.mass.min()),
            }
        )
    return rows


@dataclass(frozen=True)
class JudgementStudy:
    """P(random) of random sequences and of repeated words, and how well it tells them apart (.5: not at all)."""

    random: np.ndarray
    repeated: np.ndarray
    mass: np.ndarray
    auroc: Estimate
    prefixes: dict[str, np.ndarray]  # P(random) of the concept's prefixes, without and with the trailing comma


def judgement_study(model, concept, *, n_flips, max_word, seeds, trailing_comma=False, alphabet="words"):
    """Judge as many random sequences as there are seeds, and every word up to ``max_word`` flips in two phases."""
    random = [random_flips(n_flips, seed) for seed in seeds]
    repeated = [repeat_concept(w[r:] + w[:r], n_flips) for w in words(max_word) for r in (0, 1)]
    options = {"trailing_comma": trailing_comma, "alphabet": alphabet}
    p, mass = judge(model, random + repeated, **options)
    prefixes = {
        label: judge(model, repeat_concept(concept, n_flips), trailing_comma=comma, alphabet=alphabet)[0]
        for label, comma in (("no trailing comma", False), ("trailing comma", True))
    }
    split = len(random)
    return JudgementStudy(p[:split], p[split:], mass, auroc(p[:split], p[split:]), prefixes)


def generation_table(generated: Sequence[Generated], name: str, *, seed: int = 0, w: int = 5) -> list[dict]:
    """Means over sequences for the model and for each baseline's sequences of the same lengths, at each stated p."""
    rows = []
    for one in generated:
        stated = one.p_tails / 100
        ours = [flips for flips in one.flips if len(flips) > 1]
        if not ours:
            rows.append({"model": name, "stated % Tails": one.p_tails, "source": name, "sequences": 0})
            continue
        rules = {
            "Bernoulli": baselines.bernoulli(stated),
            "window": baselines.window_average(stated),
            "Markov (fitted)": baselines.markov(*baselines.markov_fit(ours), first=stated),
        }
        sources = {name: ours} | {
            label: [baselines.sample(rule, len(flips), seed + i) for i, flips in enumerate(ours)]
            for label, rule in rules.items()
        }
        for source, sequences in sources.items():
            rows.append(
                {
                    "model": name,
                    "stated % Tails": one.p_tails,
                    "source": source,
                    "sequences": len(sequences),
                    "kept to flips": str(one.share_clean) if source == name else "",
                    "share of Tails": str(mean_interval([f.count("T") / len(f) for f in sequences], bounds=(0, 1))),
                    "alternation rate": str(mean_interval([alternation_rate(f) for f in sequences], bounds=(0, 1))),
                    "longest run": np.mean([longest_run(f) for f in sequences]),
                    f"distinct windows of {w}": np.mean([distinct_subsequences(f, w) for f in sequences]),
                    "gzip bytes, all": gzip_length(sequences),
                    "nearest other": np.nanmean(repeat_match(sequences)) if len(sequences) > 1 else np.nan,
                }
            )
    return rows


def answers(name, *, study=None, bits=None, mass=None, generated=None, judgement=None, concept="01") -> list[dict]:
    """The paper's questions, answered from what was measured for one model; a part not measured is said to be so."""
    rows = []

    def add(question, answer, measured):
        rows.append({"model": name, "question": question, "answer": answer, "measured": measured})

    missing = "not measured: this model gives no log-probabilities"
    if study is None:
        add("Does a repeated word take hold?", missing, "")
        add("Is the change abrupt?", missing, "")
    else:
        gains = {c: study.gain(c) for c in study.curves}
        held = [c for c, g in gains.items() if g.low is not None and g.low > 0]
        text = "yes, each concept" if len(held) == len(gains) else "no concept (null)" if not held else "some concepts"
        add(
            "Does a repeated word take hold, beyond random contexts?",
            text,
            "; ".join(f"({c}) phase difference {g} above controls" for c, g in gains.items()),
        )
        step = study.rise(concept)
        observer = bayes_in_phase(concept, int(study.curves[concept].n.max()))
        ideal = rise(*observer)
        if step is None or ideal is None:
            add("Is the change abrupt?", "no change to speak of (null)", f"({concept}) rises by less than .05")
        else:
            width, least = step[1] - step[0], ideal[1] - ideal[0]
            spacing = float(np.diff(study.curves[concept].by_period(study.curves[concept].n)[0]).max(initial=0))
            abrupt = width <= max(2 * least, 2 * spacing)
            add(
                "Is the change abrupt?",
                "yes, within the resolution of this run" if abrupt else "no, gradual (null)",
                f"({concept}) takes {width:g} flips from 10 % to 90 % of its rise (points at most {spacing:g} apart); "
                f"a Bayesian observer takes {least:g}",
            )
    if bits is not None:
        e = mean_interval(bits, unit="bits/flip")
        worse = e.low is not None and e.low > 1
        add(
            "Does it know that random flips are a fair coin's?",
            "no: dearer than a fair coin's 1.0" if worse else "not told apart from 1.0",
            f"{e} over {e.n} random sequences",
        )
    else:
        add("Does it know that random flips are a fair coin's?", missing, "")
    if generated:
        clean = [ok for one in generated for ok in one.clean]
        lengths = [len(flips) for one in generated for flips in one.flips]
        kept = proportion_interval(sum(clean), len(clean))
        word = "mostly" if kept.low > 0.5 else "mostly not" if kept.high < 0.5 else "about half the time"
        add(
            "Left to write, does it keep to flips?",
            word,
            f"share of nothing but flips {kept}, n = {len(clean)}; half have {np.median(lengths):g} flips or fewer",
        )
        costs = generation_bits(generated)
        best = min(costs, key=lambda label: costs[label].value) if costs else None
        add(
            "What do its own sequences resemble?",
            f"{best} fits best" if best else "it wrote no flips",
            "; ".join([f"{label} {e}" for label, e in costs.items()] + (_not_told_apart(costs) if costs else [])),
        )
    if judgement is not None:
        e = judgement.auroc
        null = e.low <= 0.5 <= e.high
        text = "no (null)" if null else "yes" if e.value > 0.5 else "it answers the wrong way round"
        add("Can it tell random from repeated when asked?", text, f"AUROC {e} (.5 is chance), {e.n} sequences")
    else:
        add("Can it tell random from repeated when asked?", missing, "")
    if mass is not None:
        add(
            "Does it keep to flips?",
            f"mass of Heads and Tails {np.median(mass):.2f} (median)",
            f"least {mass.min():.2f}",
        )
    return rows


def _not_told_apart(costs: dict[str, Estimate]) -> list[str]:
    """A remark where the intervals of the two cheapest sources overlap."""
    first, *rest = sorted(costs.values(), key=lambda e: e.value)
    if rest and None not in (first.high, rest[0].low) and first.high < rest[0].low:
        return []
    return ["the best two are not told apart (intervals overlap or are missing)"] if rest else []
