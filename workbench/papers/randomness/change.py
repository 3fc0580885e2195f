"""Is a switch abrupt or gradual, as a number? The change point over repetitions, with intervals.

One curve of one model has no sampling error, so an interval needs repetitions: every rotation of the word, under every
prompt given. Of each curve of P(next whole period, in phase) are read: the change point (the split into two levels that
fits best), the width from 10 to 90 % of the rise, and the largest step between neighbouring periods as a share of the
whole rise: 1 for a switch between two periods, 1 / (periods - 1) for a straight line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from ...results import Results
from ...rows import Row
from ...stats import Estimate, mean_interval
from .bayes import bayes_in_phase
from .concept import concept_curves, points
from .flips import as_digits, parse_flips
from .study import FLAT, afresh, period, period_rows, rise

MEASURES = ("change point, flips", "rise 10-90 %, flips", "largest step, share of the rise", "rises by")


def change_study(model, concept: str, *, n_flips: int, n_points: int, prompts: Sequence[str], **options) -> Results:
    """P(next whole period, in phase) for every distinct rotation of a word under every prompt.

    ``options``: `concept_curves`'. The rows are `period_rows`; the arm is the prompt, the seed the rotation's place.
    """
    word = parse_flips(concept)
    turned = list(dict.fromkeys(as_digits(word[r:] + word[:r]) for r in range(len(word))))
    n_flips = max(n_flips, 3 * len(word))
    results = Results(f"change point of ({as_digits(word)}), {model.name}", model=model, settings=[n_points, options])
    for prompt, (place, one) in product(dict.fromkeys(prompts), enumerate(turned)):
        make = partial(_curve, model, one, prompt, place, n_flips=n_flips, n_points=n_points, **options)
        keys = [(prompt, period(one, start), place) for start in points(n_flips, len(one), n_points)[:: len(one)]]
        results.compute(keys, make, together=True)  # one forward
    return results


def _curve(model, concept: str, prompt: str, place: int, _missing, **options) -> Iterator[Row]:
    yield from period_rows(concept_curves(afresh(model), [concept], prompt=prompt, **options)[0], prompt, place)


def repetitions(study: Results) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """ "prompt, (rotation)" -> (flips in context, P(next whole period, in phase)) of each curve of `change_study`."""
    found = {}
    for prompt in study.arms:
        for concept in study.of(prompt).labels("concept"):
            part = study.of(prompt, concept=concept)
            flips = np.array([float(row.labels["flips"]) for row in part.rows])
            found[f"{prompt}, ({concept})"] = flips, np.array(part.values("in_phase"))
    return found


def change(n: np.ndarray, values: np.ndarray) -> tuple[float, float, float, float] | None:
    """MEASURES of one curve; None where it rises by less than FLAT: there is no change to place."""
    step = rise(n, values)
    if step is None:
        return None
    low = int(np.argmin(values))  # from here on, as `rise` does: a spike before a fall is no switch
    n, values = n[low:], values[low:]
    # the split into two levels with the least squared error; the change lies between its neighbours
    errors = [sum(((part - part.mean()) ** 2).sum() for part in np.split(values, [k])) for k in range(1, len(n))]
    split = 1 + int(np.argmin(errors))
    way = float(values.max() - values[0])
    steepest = min(1.0, float(np.diff(values).max()) / way)
    return float(n[split - 1] + n[split]) / 2, step[1] - step[0], steepest, way


def changes(study: Results) -> dict[str, Estimate | None]:
    """MEASURES over the repetitions that change, with 95 % intervals; None where none does.

    The change point is never surer than the places allow: it lies anywhere between two that were read.
    """
    found = [one for n, values in repetitions(study).values() if (one := change(n, values)) is not None]
    most = max(float(row.labels["flips"]) for row in study.rows)
    bounds = (0, most), (0, most), (0, 1), (0, 1)
    columns = zip(*found, strict=True) if found else [()] * len(bounds)
    made = {
        name: mean_interval(values, bounds=ends) if values else None
        for name, values, ends in zip(MEASURES, columns, bounds, strict=True)
    }
    place = made[MEASURES[0]]
    if place is not None and place.low is not None:
        half = float(np.diff(np.unique([float(row.labels["flips"]) for row in study.rows])).max(initial=0)) / 2
        low, high = min(place.low, place.value - half), max(place.high, place.value + half)
        made[MEASURES[0]] = replace(place, low=max(0.0, low), high=min(most, high))
    return made


def change_table(study: Results, name: str) -> list[dict]:
    """The model, and as controls at the same places: a Bayesian observer, and a straight line from 0 to 1."""
    curves = list(repetitions(study).values())
    n, size = curves[0][0], len(study.labels("concept")[0])
    observer = np.interp(n, *bayes_in_phase(study.labels("concept")[0], int(n[-1] + size)))
    made = changes(study)
    counted = sum(change(*curve) is not None for curve in curves)
    controls = {"Bayesian observer": observer, "straight line": np.linspace(0, 1, len(n))}
    numbers = {who: change(n, values) for who, values in controls.items()}
    told = {what: str(e or "no change") for what, e in made.items()}
    told["switch"] = _verdict(made[MEASURES[1]], made[MEASURES[3]], numbers["Bayesian observer"])
    far = float(np.diff(n).max(initial=0))
    rows = [{"who": name, "repetitions": len(curves), "of these change": counted, "places apart, flips": far, **told}]
    for who, found in numbers.items():
        shown = [f"{x:.3g}" for x in found] if found else ["no change"] * len(MEASURES)
        rows.append(dict.fromkeys(rows[0], "") | {"who": who} | dict(zip(MEASURES, shown)))
    return rows


def _verdict(width: Estimate | None, way: Estimate | None, observer: tuple[float, ...] | None) -> str:
    """From the interval of the rise's width against the observer's.

    Not from the largest step: a slow rise that is jagged has one too.
    """
    if width is None or way is None or observer is None:
        return "no change to speak of (null)"
    if observer[2] > 0.9:
        return "cannot be told: the observer switches between two places (give more: n_change)"
    if width.low is None:
        return "one repetition: no interval"
    if way.low <= FLAT:
        return "not decided: the rise itself may be none (null)"
    if width.low > observer[1]:
        return "gradual: wider than the observer's (null)"
    return (
        "abrupt, as the observer's" if width.high <= observer[1] else "not decided: the interval holds the observer's"
    )
