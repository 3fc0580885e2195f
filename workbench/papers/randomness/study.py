"""The notebook's measurements: the functions of this package put together, with controls, as rows of `Results`.

A run keeps each row as it comes. Every answer's words follow from the numbers measured in this run; none is written
down beforehand.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from math import inf, nan

import numpy as np

from ...errors import UsageError
from ...models.base import weighs
from ...models.prefix.tree import shared_tree
from ...results import Results
from ...rows import Row
from ...stats import Estimate, mean_interval
from . import baselines
from .baselines import generation_bits
from .bayes import bayes_in_phase
from .concept import ConceptCurve, concept_curves, points
from .curve import flip_masses, next_flip_curve, normalise, prefix_texts
from .flips import as_digits, parse_flips, random_flips, repeat_concept, write_flips
from .generate import sample_next_flip
from .judging import judge, words
from .measures import bits_per_flip, counted, gzip_length, repeat_match, summary
from .settings import RANDOM, REPEATED, SETTINGS, judgement_text

NEAREST = 300  # sequences among which the nearest other one is looked for: the first ones, of every source alike
FLAT = 0.05  # a curve that rises by less is as good as flat: widths would be noise


def _results(what: str, model, settings) -> Results:
    return Results(f"{what}, {model.name}", model=model, settings=settings)


def afresh(model):
    """The model without what it has read so far: that moves last digits, and a run that goes on has read less."""
    if "hidden" in model.can:
        shared_tree(model).clear()
    return model


def flip_curve(
    model, flips, *, prompt="paper", alphabet="words", chat=None, n_points=12,
    n=SETTINGS.samples_without_logprobs, seed=0,
) -> Results:  # fmt: skip
    """The next flip as any model sees it: exact from one forward, or counted from ``n`` samples a place.

    Returns
    -------
    Results
        The arm is "exact" (`next_flip_curve`: every prefix) or "sampled" (`sample_next_flip`: ``n_points`` prefixes),
        items are the flips in context. Measures: "p_tails" (NaN: no sample was a flip), "mass". Label: "sequence".
    """
    flips, task = parse_flips(flips), {"prompt": prompt, "alphabet": alphabet}
    options = {**task, "chat": chat}
    how = "exact" if weighs(model) else "sampled"
    at = range(len(flips) + 1) if how == "exact" else points(len(flips), 1, n_points)

    def make(_missing) -> Iterator[Row]:
        if how == "exact":
            found = zip(*next_flip_curve(afresh(model), flips, **options))
        else:
            some = sample_next_flip(model, [flips[:k] for k in at], n=n, seed=seed, **options)
            found = [(one.p_tails.value if one.p_tails else nan, one.mass.value) for one in some]
        texts, cost = prefix_texts(flips, p_tails=50, **task), {} if how == "exact" else {"samples": n}
        for k, (p, mass) in zip(at, found):
            yield Row(how, str(k), seed, "", {"p_tails": p, "mass": mass}, {"sequence": flips}, texts[k], cost=cost)

    shown = as_digits(flips)
    results = _results(f"next flip after {shown if len(shown) < 25 else shown[:24] + '…'}", model, [flips, options, n])
    results.compute([(how, str(k), seed) for k in at], make, together=True)
    return results


def counting_table(curves: Mapping[str, Results], *, within: float = 0.01) -> list[dict]:
    """What counting gave at each prefix, beside what as fine an answer as an exact one would take; counted curves only.

    ``within``: half the width of a 95 % interval that we would call as good as exact. The samples for it follow from
    the normal approximation, 1.96^2 p (1 - p) / within^2, at the p inside the interval that needs most.
    """
    rows = []
    for name, curve in curves.items():
        for n, e in counted(curve).items():
            worst = min(max(0.5, e.low), e.high)
            rows.append({
                "model": name, "flips in context": n, "p(Tails), counted": e.value,
                "95 % interval": f"{e.low:.2f} to {e.high:.2f}", "samples that were flips": e.n,
                f"samples for ±{within:g}": int(np.ceil(1.96**2 * worst * (1 - worst) / within**2)),
                "exact would need": "one forward of the weights; no server gives it",
            })  # fmt: skip
    return rows


def random_bits(model, n_flips: int, seeds: Iterable[int], **options) -> Results:
    """Bits a flip ("bits") for random sequences, a row a seed: a coin costs 1.0, and nobody can do better for long.

    ``options``: `next_flip_curve`'s.
    """

    def make(missing) -> Iterator[Row]:
        for arm, item, seed in missing:
            flips = random_flips(n_flips, seed)
            p, mass = next_flip_curve(afresh(model), flips, **options)
            measures = {"bits": bits_per_flip(flips, p), "mass": mass.min()}
            yield Row(arm, item, seed, f"seed {seed}", measures, {"sequence": flips})

    results = _results("bits per flip", model, options)
    results.compute([("fair coin", f"{n_flips} flips", seed) for seed in seeds], make)
    return results


def concept_study(model, concepts, *, n_flips, n_points, seeds, control_points=4, **options) -> Results:
    """Whole periods of several concepts; the control has the same continuations after random contexts, at fewer places.

    A context shorter than a word is lengthened to two periods of it. ``options`` are `concept_curves`'.

    Returns
    -------
    Results
        Arms REPEATED and RANDOM (a context a seed), as `period_rows` says.

    Raises
    ------
    UsageError
        Fewer than 10 seeds: a control of one or two random sequences says nothing.
    """
    seeds, concepts = list(seeds), list(dict.fromkeys(map(as_digits, concepts)))
    if len(seeds) < 10:
        raise UsageError(f"random controls got {len(seeds)} seeds: give at least 10, one or two sequences say nothing")
    n_flips, few = max(n_flips, 2 * max(map(len, concepts))), min(control_points, n_points)
    results = _results("concepts", model, [n_flips, n_points, few, options])
    asked = [(REPEATED, 0, [concept], n_points, None) for concept in concepts]
    asked += [(RANDOM, seed, concepts, few, random_flips(n_flips, seed)) for seed in seeds]
    for arm, seed, some, n, context in asked:
        make = partial(_curves, model, some, arm, seed, n_flips=n_flips, n_points=n, context=context, **options)
        keys = [(arm, period(c, k), seed) for c in some for k in points(n_flips, len(c), n)[:: len(c)]]
        results.compute(keys, make, together=True)  # one forward
    return results


def _curves(model, concepts, arm: str, seed: int, _missing, **options) -> Iterator[Row]:
    for curve in concept_curves(afresh(model), concepts, **options):
        yield from period_rows(curve, arm, seed)


def period(concept: str, start: int) -> str:
    """The item of a row of `period_rows`."""
    return f"({concept}) after {start} flips"


def period_rows(curve: ConceptCurve, arm: str = REPEATED, seed: int = 0) -> Iterator[Row]:
    """A row a period of context: means over it of "in_phase", "in_concept", "phase_difference", and the least "mass".

    Labels: "concept", and "flips", the middle of the period.
    """
    names, size = ("n", "in_phase", "in_concept", "phase_difference"), len(curve.concept)
    for k, (flips, *values) in enumerate(zip(*(curve.by_period(getattr(curve, name))[1] for name in names))):
        measures = dict(zip(names[1:], values)) | {"mass": curve.mass[k * size : (k + 1) * size].min()}
        labels = {"concept": curve.concept, "flips": f"{flips:g}"}
        yield Row(arm, period(curve.concept, curve.n[k * size]), seed, f"seed {seed}", measures, labels)


def gain(study: Results, concept: str) -> Estimate | None:
    """Phase difference in the last period, above the controls'; the interval is over the control seeds.

    None for a word of equal flips, which has no other phase.
    """
    parts = (study.of(arm, concept=concept) for arm in (REPEATED, RANDOM))
    (ours,), controls = (part.of(flips=part.labels("flips")[-1]).values("phase_difference") for part in parts)
    return mean_interval(ours - np.array(controls)) if ours == ours else None


def _in_phase(study: Results, concept: str) -> tuple[np.ndarray, np.ndarray]:
    part = study.of(REPEATED, concept=concept)
    return np.array(part.labels("flips"), dtype=float), np.array(part.values("in_phase"))


def rise(n: np.ndarray, values: np.ndarray) -> tuple[float, float] | None:
    """Where a curve last leaves 10 % and first reaches 90 % of the way from its lowest point to its later highest."""
    low = int(np.argmin(values))
    high = low + int(np.argmax(values[low:]))
    if values[high] - values[low] < FLAT:
        return None
    way = (values[low : high + 1] - values[low]) / (values[high] - values[low])
    left = low + int(np.flatnonzero(way <= 0.1)[-1])
    reached = low + int(np.flatnonzero(way >= 0.9)[0])
    return float(n[left]), float(n[reached])


def prediction_tree(model, flips: str, depth: int, *, prompt="paper", alphabet="words", chat=None) -> dict[str, float]:
    """p(Tails) behind the flips and each path of fewer than ``depth`` further ones: path -> p, from one forward."""
    paths = ["".join(path) for size in range(depth) for path in product("HT", repeat=size)]
    texts = [prefix_texts(flips + path, prompt=prompt, alphabet=alphabet, p_tails=50)[-1] for path in paths]
    found, _ = normalise(flip_masses(afresh(model), texts, alphabet=alphabet, chat=chat))
    return dict(zip(paths, map(float, found)))


def concept_table(study: Results, name: str) -> list[dict]:
    """One row a concept: last period, gain over the controls, rise."""
    rows = []
    for concept in study.labels("concept"):
        (n, values), above, own = _in_phase(study, concept), gain(study, concept), study.of(REPEATED, concept=concept)
        step = rise(n, values)
        rows.append({
            "model": name, "concept": f"({concept})", "chance": 2.0 ** -len(concept),
            "P(period in phase), last": values[-1],
            "phase difference, last": own.values("phase_difference")[-1],
            "above random contexts": "no other phase" if above is None else str(above),
            "rise 10-90 %, flips": "none" if step is None else "{:g} to {:g}".format(*step),
            "least mass": min(own.values("mass")),
        })  # fmt: skip
    return rows


def judgement_study(
    model, concept, *, n_flips, max_word, seeds, trailing_comma=False, alphabet="words", prompt="short", chat=None
) -> Results:
    """Judge as many random sequences as there are seeds, and every word up to ``max_word`` flips in two phases.

    Returns
    -------
    Results
        Arms "random" and "repeated" (sequences of ``n_flips``), "no trailing comma" and "trailing comma" (each prefix
        of the concept, written so). Measures: "p_random", "mass". Label: "sequence".
    """
    results = _results("judgement", model, [trailing_comma, alphabet, prompt, chat])

    def ask(sequences: Mapping[tuple[str, str, int], str], comma: bool) -> None:
        def make(_missing) -> Iterator[Row]:
            options = {"alphabet": alphabet, "trailing_comma": comma, "prompt": prompt, "chat": chat}
            found = judge(afresh(model), list(sequences.values()), **options)
            for ((arm, item, seed), flips), p, mass in zip(sequences.items(), *found):
                text = judgement_text(prompt, write_flips(flips, alphabet, comma=comma))
                measures, labels = {"p_random": p, "mass": mass}, {"sequence": flips}
                yield Row(arm, item, seed, f"{item}, seed {seed}", measures, labels, text)

        results.compute(sequences, make, together=True)

    turned = [w[r:] + w[:r] for w in words(max_word) for r in (0, 1)]
    ask(
        {("random", f"{n_flips} flips", seed): random_flips(n_flips, seed) for seed in seeds}
        | {("repeated", f"{n_flips} flips of ({word})", 0): repeat_concept(word, n_flips) for word in turned},
        trailing_comma,
    )
    shown = repeat_concept(concept, n_flips)
    for arm, comma in (("no trailing comma", False), ("trailing comma", True)):
        ask({(arm, f"{k} flips of ({concept})", 0): shown[:k] for k in range(n_flips + 1)}, comma)
    return results


def generation_table(generated: Results, name: str, *, seed: int = 0, w: int = 5) -> list[dict]:
    """Means over sequences for the model and for each baseline's sequences of the same lengths, at each stated p."""
    rows = []
    for label, kept in generated.table("kept to flips", by="stated").items():
        stated = float(label) / 100
        ours = [flips for row in generated.of(stated=label).rows if len(flips := row.labels["sequence"]) > 1]
        rules = {
            "Bernoulli": baselines.bernoulli(stated),
            "window": baselines.window_average(stated),
            "Markov (fitted)": baselines.markov(*baselines.markov_fit(ours), first=stated),
        }
        sources = {name: ours}
        for source, rule in rules.items() if ours else ():
            sources[source] = [baselines.sample(rule, len(flips), seed + i) for i, flips in enumerate(ours)]
        results = Results(rows=(
            Row(source, str(i), measures=summary(flips, w=w))
            for source, sequences in sources.items() for i, flips in enumerate(sequences)
        ))  # fmt: skip
        most = {"share of Tails": 1, "alternation rate": 1, "longest run": inf, f"distinct windows of {w}": inf}
        means = {measure: results.table(measure, bounds=(0, high)) for measure, high in most.items()}
        rows += [
            {"model": name, "stated % Tails": 100 * stated, "source": source, "sequences": len(sequences),
             "kept to flips": str(kept) if source == name else "",
             **{measure: str(table[source]) for measure, table in means.items() if sequences},
             "gzip bytes, all": gzip_length(sequences),
             "nearest other": np.nanmean(repeat_match(sequences[:NEAREST])) if len(sequences) > 1 else np.nan}
            for source, sequences in sources.items()
        ]  # fmt: skip
    return rows


def answers(name, *, study=None, bits=None, mass=None, generated=None, told=None, concept="01") -> list[dict]:
    """The paper's questions, answered from what was measured for one model; a part not measured is said to be so.

    ``mass`` are numbers, ``told`` is `told_apart`'s Estimate, the others are Results.
    """
    rows = []

    def add(question, answer="not measured: this model gives no log-probabilities", measured=""):
        rows.append({"model": name, "question": question, "answer": answer, "measured": measured})

    if study is None:
        add("Does a repeated word take hold?")
        add("Is the change abrupt?")
    else:
        gains = {c: one for c in study.labels("concept") if (one := gain(study, c)) is not None}
        held = [c for c, g in gains.items() if g.low is not None and g.low > 0]
        text = "no concept (null)" if not held else "yes, each concept" if len(held) == len(gains) else "some concepts"
        measured = "; ".join(f"({c}) phase difference {g} above controls" for c, g in gains.items())
        add("Does a repeated word take hold, beyond random contexts?", text, measured)
        add("Is the change abrupt?", *_abrupt(study, concept))
    if bits is None:
        add("Does it know that random flips are a fair coin's?")
    else:
        (e,) = bits.table("bits", unit="bits/flip").values()
        worse = e.low is not None and e.low > 1
        text = "no: dearer than a fair coin's 1.0" if worse else "not told apart from 1.0"
        add("Does it know that random flips are a fair coin's?", text, f"{e} over {e.n} random sequences")
    if generated:
        (kept,), half = generated.table("kept to flips").values(), np.median(generated.values("flips"))
        text = "mostly" if kept.low > 0.5 else "mostly not" if kept.high < 0.5 else "about half the time"
        measured = f"share of nothing but flips {kept}, n = {kept.n}; half have {half:g} flips or fewer"
        add("Left to write, does it keep to flips?", text, measured)
        add("What do its own sequences resemble?", *_cheapest(generation_bits(generated)))
    if told is None:
        add("Can it tell random from repeated when asked?")
    else:
        null = told.low <= 0.5 <= told.high
        text = "no (null)" if null else "yes" if told.value > 0.5 else "it answers the wrong way round"
        add("Can it tell random from repeated when asked?", text, f"AUROC {told} (.5 is chance), {told.n} sequences")
    if mass is not None:
        text = f"mass of Heads and Tails {np.median(mass):.2f} (median)"
        add("Does it keep to flips?", text, f"least {min(mass):.2f}")
    return rows


def verdict(rows: list[dict]) -> str:
    """What `answers` says of the claim, that a repeated word takes hold abruptly: two sentences a model."""
    said = []
    for name in dict.fromkeys(row["model"] for row in rows):
        for row in [row for row in rows if row["model"] == name][:2]:
            measured = f": {row['measured']}" if row["measured"] else ""
            said.append(f"{name}: {row['question']} {row['answer'][0].upper()}{row['answer'][1:]}{measured}.")
    return " ".join(said)


def _abrupt(study: Results, concept: str) -> tuple[str, str]:
    """Whether the rise is as narrow as a Bayesian observer's, or as the places allow; and the widths."""
    (n, values), size = _in_phase(study, concept), len(concept)
    step, ideal = rise(n, values), rise(*bayes_in_phase(concept, int(n[-1] + size / 2)))
    if step is None or ideal is None:
        return "no change to speak of (null)", f"({concept}) rises by less than .05"
    width, least = step[1] - step[0], ideal[1] - ideal[0]
    spacing = float(np.diff(n).max(initial=0))
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
