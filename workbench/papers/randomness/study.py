"""The notebook's measurements: the functions of this package put together, with controls, intervals and answers.

Every answer's words follow from the numbers measured in this run; none is written down beforehand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from types import SimpleNamespace

import numpy as np

from ...models.base import weighs
from ...results import Results
from ...rows import Row
from ...stats import Estimate, auroc, mean_interval, proportion_interval
from . import baselines
from .baselines import generation_bits
from .bayes import bayes_in_phase
from .concept import ConceptCurve, concept_curve, points, random_controls
from .curve import next_flip_curve
from .flips import as_digits, parse_flips, random_flips, repeat_concept
from .generate import Generated, sample_next_flip
from .judging import judge, words
from .measures import bits_per_flip, gzip_length, repeat_match, summary
from .settings import SETTINGS


@dataclass(frozen=True)
class FlipCurve:
    """The next-flip curve of any model: exact from one forward, or counted from samples.

    ``counted``: each point of a counted curve with its interval and the samples behind it that were a flip at all.
    """

    flips: str
    n: np.ndarray
    p_tails: np.ndarray
    mass: np.ndarray
    counted: tuple[Estimate, ...] = ()

    def estimates(self) -> dict[int, Estimate]:
        """P(Tails) after n flips, by n, with the intervals of counting; empty for an exact curve."""
        return dict(zip(self.n.tolist(), self.counted))

    @property
    def how(self) -> str:
        """ "exact" or "sampled"."""
        return "sampled" if self.counted else "exact"


def flip_curve(
    model, flips: str, *, prompt="paper", alphabet="words", n_points=12, n=SETTINGS.samples_without_logprobs, seed=0
) -> FlipCurve:
    """`next_flip_curve` where the model tells tokens' probabilities, else samples at ``n_points`` prefixes."""
    flips = parse_flips(flips)
    if weighs(model):
        p, mass = next_flip_curve(model, flips, prompt=prompt, alphabet=alphabet)
        return FlipCurve(flips, np.arange(len(flips) + 1), p, mass)
    at = points(len(flips), 1, n_points)
    sampled = sample_next_flip(model, [flips[:k] for k in at], n=n, seed=seed, prompt=prompt, alphabet=alphabet)
    unknown = Estimate(nan, 0.0, 1.0, 0)  # not one of the samples was a flip
    counted = tuple(one.p_tails or unknown for one in sampled)
    p, mass = np.array([[e.value, one.mass.value] for e, one in zip(counted, sampled)]).T
    return FlipCurve(flips, np.array(at), p, mass, counted)


def counting_table(curves: Mapping[str, FlipCurve], *, within: float = 0.01) -> list[dict]:
    """What counting gave at each prefix, beside what as fine an answer as an exact one would take; counted curves only.

    ``within``: half the width of a 95 % interval that we would call as good as exact. The samples for it follow from
    the normal approximation, 1.96^2 p (1 - p) / within^2, at the p inside the interval that needs most.
    """
    rows = []
    for name, curve in curves.items():
        for n, e in curve.estimates().items():
            worst = min(max(0.5, e.low), e.high)
            rows.append({
                "model": name, "flips in context": n, "p(Tails), counted": e.value,
                "95 % interval": f"{e.low:.2f} to {e.high:.2f}", "samples that were flips": e.n,
                f"samples for ±{within:g}": int(np.ceil(1.96**2 * worst * (1 - worst) / within**2)),
                "exact would need": "one forward of the weights; no server gives it",
            })  # fmt: skip
    return rows


def random_bits(model, n_flips: int, seeds: Sequence[int], **options) -> np.ndarray:
    """Bits a flip for random sequences, (seeds,): a fair coin costs 1.0, and nobody can do better in the long run.

    ``options``: `next_flip_curve`'s.
    """
    coin = [random_flips(n_flips, seed) for seed in seeds]
    return np.array([bits_per_flip(flips, next_flip_curve(model, flips, **options)[0]) for flips in coin])


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
    steps = {concept: study.rise(concept) for concept in study.curves}
    return [
        {
            "model": name, "concept": f"({concept})", "chance": 2.0**-curve.depth,
            "P(period in phase), last": curve.by_period(curve.in_phase)[1][-1],
            "phase difference, last": study.last(concept)[0], "above random contexts": str(study.gain(concept)),
            "rise 10-90 %, flips": "none" if steps[concept] is None else "{:g} to {:g}".format(*steps[concept]),
            "least mass": float(curve.mass.min()),
        }
        for concept, curve in study.curves.items()
    ]  # fmt: skip


def judgement_study(model, concept, *, n_flips, max_word, seeds, trailing_comma=False, alphabet="words"):
    """Judge as many random sequences as there are seeds, and every word up to ``max_word`` flips in two phases.

    Returns
    -------
    types.SimpleNamespace
        random, repeated: P(random) of the sequences; auroc: how well it tells them apart (.5: not at all); prefixes:
        P(random) of the concept's prefixes, without and with the trailing comma.
    """
    options = {"alphabet": alphabet, "trailing_comma": trailing_comma}
    random = [random_flips(n_flips, seed) for seed in seeds]
    repeated = [repeat_concept(w[r:] + w[:r], n_flips) for w in words(max_word) for r in (0, 1)]
    random, repeated = np.split(judge(model, random + repeated, **options)[0], [len(random)])
    shown = repeat_concept(concept, n_flips)
    prefixes = {
        label: judge(model, shown, **options | {"trailing_comma": comma})[0]
        for label, comma in (("no trailing comma", False), ("trailing comma", True))
    }
    return SimpleNamespace(random=random, repeated=repeated, auroc=auroc(random, repeated), prefixes=prefixes)


def generation_table(generated: Sequence[Generated], name: str, *, seed: int = 0, w: int = 5) -> list[dict]:
    """Means over sequences for the model and for each baseline's sequences of the same lengths, at each stated p."""
    rows = []
    for one in generated:
        stated, ours = one.p_tails / 100, [flips for flips in one.flips if len(flips) > 1]
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
        written = ((source, i, flips) for source, some in sources.items() for i, flips in enumerate(some))
        results = Results(rows=(Row(source, str(i), measures=summary(flips, w=w)) for source, i, flips in written))
        shares, rates = (results.table(m, bounds=(0, 1)) for m in ("share of Tails", "alternation rate"))
        runs, windows = (results.table(m) for m in ("longest run", f"distinct windows of {w}"))
        rows += [
            {
                "model": name, "stated % Tails": one.p_tails, "source": source, "sequences": len(sequences),
                "kept to flips": str(one.share_clean) if source == name else "",
                "share of Tails": str(shares[source]), "alternation rate": str(rates[source]),
                "longest run": runs[source].value, f"distinct windows of {w}": windows[source].value,
                "gzip bytes, all": gzip_length(sequences),
                "nearest other": np.nanmean(repeat_match(sequences)) if len(sequences) > 1 else np.nan,
            }
            for source, sequences in sources.items()
        ]  # fmt: skip
    return rows


def answers(name, *, study=None, bits=None, mass=None, generated=None, judgement=None, concept="01") -> list[dict]:
    """The paper's questions, answered from what was measured for one model; a part not measured is said to be so."""
    rows = []

    def add(question, answer="not measured: this model gives no log-probabilities", measured=""):
        rows.append({"model": name, "question": question, "answer": answer, "measured": measured})

    if study is None:
        add("Does a repeated word take hold?")
        add("Is the change abrupt?")
    else:
        gains = {c: study.gain(c) for c in study.curves}
        held = [c for c, g in gains.items() if g.low is not None and g.low > 0]
        text = "yes, each concept" if len(held) == len(gains) else "no concept (null)" if not held else "some concepts"
        measured = "; ".join(f"({c}) phase difference {g} above controls" for c, g in gains.items())
        add("Does a repeated word take hold, beyond random contexts?", text, measured)
        add("Is the change abrupt?", *_abrupt(study, concept))
    if bits is None:
        add("Does it know that random flips are a fair coin's?")
    else:
        e = mean_interval(bits, unit="bits/flip")
        worse = e.low is not None and e.low > 1
        text = "no: dearer than a fair coin's 1.0" if worse else "not told apart from 1.0"
        add("Does it know that random flips are a fair coin's?", text, f"{e} over {e.n} random sequences")
    if generated:
        clean = [ok for one in generated for ok in one.clean]
        half = np.median([len(flips) for one in generated for flips in one.flips])
        kept = proportion_interval(sum(clean), len(clean))
        text = "mostly" if kept.low > 0.5 else "mostly not" if kept.high < 0.5 else "about half the time"
        measured = f"share of nothing but flips {kept}, n = {len(clean)}; half have {half:g} flips or fewer"
        add("Left to write, does it keep to flips?", text, measured)
        add("What do its own sequences resemble?", *_cheapest(generation_bits(generated)))
    if judgement is None:
        add("Can it tell random from repeated when asked?")
    else:
        e = judgement.auroc
        null = e.low <= 0.5 <= e.high
        text = "no (null)" if null else "yes" if e.value > 0.5 else "it answers the wrong way round"
        add("Can it tell random from repeated when asked?", text, f"AUROC {e} (.5 is chance), {e.n} sequences")
    if mass is not None:
        text = f"mass of Heads and Tails {np.median(mass):.2f} (median)"
        add("Does it keep to flips?", text, f"least {mass.min():.2f}")
    return rows


def _abrupt(study: ConceptStudy, concept: str) -> tuple[str, str]:
    """Whether the rise is as narrow as a Bayesian observer's, or as the places allow; and the widths."""
    curve, step = study.curves[concept], study.rise(concept)
    ideal = rise(*bayes_in_phase(concept, int(curve.n.max())))
    if step is None or ideal is None:
        return "no change to speak of (null)", f"({concept}) rises by less than .05"
    width, least = step[1] - step[0], ideal[1] - ideal[0]
    spacing = float(np.diff(curve.by_period(curve.n)[0]).max(initial=0))
    abrupt = width <= max(2 * least, 2 * spacing)
    return (
        "yes, within the resolution of this run" if abrupt else "no, gradual (null)",
        f"({concept}) takes {width:g} flips from 10 % to 90 % of its rise (points at most {spacing:g} apart); "
        f"a Bayesian observer takes {least:g}",
    )


def _cheapest(costs: dict[str, Estimate]) -> tuple[str, str]:
    """The source of the fewest bits, and all of them; a remark where the intervals of the two cheapest overlap."""
    if not costs:
        return "it wrote no flips", ""
    best, *rest = sorted(costs, key=lambda label: costs[label].value)
    told = [f"{label} {e}" for label, e in costs.items()]
    ends = costs[best].high, costs[rest[0]].low if rest else None
    if rest and (None in ends or ends[0] >= ends[1]):
        told.append("the best two are not told apart (intervals overlap or are missing)")
    return f"{best} fits best", "; ".join(told)
