"""What is read off a study's rows: thresholds from other folds, precision and recall of what is kept, AUROC, F1.

All intervals are over pairs of methods: the two of a pair are nearly the same text.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import floor, inf, isfinite

import numpy as np

from ...results import Results
from ...rows import Row
from ...stats import Estimate, auroc_added, auroc_of, bootstrap_interval

SHARE = (0.0, 1.0)


def cut_for_recall(scores: Sequence[float], real: Sequence[bool], recall: float) -> float:
    """The highest threshold that keeps (score >= threshold) at least this share of the real ones; -inf if none is."""
    own = sorted(score for score, one in zip(scores, real, strict=True) if one)
    return own[floor((1 - recall) * len(own) + 1e-9)] if own else -inf


def cut_for_accuracy(scores: Sequence[float], real: Sequence[bool]) -> float:
    """The threshold above which "yes" is right most often; of several the lowest."""
    values = sorted(set(scores))
    cuts = [-inf, *((a + b) / 2 for a, b in pairwise(values)), inf]
    return max(cuts, key=lambda cut: sum((score > cut) == bool(one) for score, one in zip(scores, real)))


def by_folds(rows: Sequence[Row], cut: Callable[[list[float], list[bool]], float]) -> list[float]:
    """The threshold for each row: ``cut`` of the scores and truths of the other folds; NaN scores are left out."""
    found = {}
    for fold in {row.labels["fold"] for row in rows}:
        others = [row for row in rows if row.labels["fold"] != fold and isfinite(row.measures["score"])]
        found[fold] = cut([row.measures["score"] for row in others], [row.measures["real"] for row in others])
    return [found[row.labels["fold"]] for row in rows]


def has_scores(rows: Sequence[Row]) -> bool:
    """Whether the answers came with scores, as far as the calls came through."""
    return any(isfinite(row.measures["score"]) for row in rows)


def keeps(rows: Sequence[Row], recall: float) -> list[bool]:
    """Which warnings an arm keeps, with a threshold for this recall from the other folds.

    Without scores what was answered yes is kept. What could not be judged is kept too: a person looks at it.
    """
    if not has_scores(rows):
        return [row.measures["yes"] or row.measures["unread"] or row.measures["failed"] for row in rows]
    cuts = by_folds(rows, lambda scores, real: cut_for_recall(scores, real, recall))
    return [not row.measures["score"] < cut for row, cut in zip(rows, cuts)]


def says_yes(rows: Sequence[Row], constant: bool) -> list[bool]:
    """Which methods an arm calls buggy, at the most accurate threshold of other folds; a ``constant`` as it says."""
    if constant or not has_scores(rows):
        return [bool(row.measures["yes"]) for row in rows]
    return [row.measures["score"] > cut for row, cut in zip(rows, by_folds(rows, cut_for_accuracy))]


def shares(rows: Sequence[Row], chosen: Sequence[bool]) -> dict[str, Estimate | None]:
    """precision, recall and accuracy of a choice; the precision of nothing is None (undefined), not 1."""
    made = []
    for row, one in zip(rows, chosen, strict=True):
        real = bool(row.measures["real"])
        told = {
            "precision": float(real) if one else np.nan, "recall": float(one) if real else np.nan,
            "accuracy": float(real == bool(one)),
        }  # fmt: skip
        made.append(Row("own", row.item, row.seed, row.unit, told))
    results = Results(rows=made)
    return {name: results.table(name, bounds=SHARE, pooled=True)["own"]
            for name in ("precision", "recall", "accuracy")}  # fmt: skip


def gained(rows: Sequence[Row], chosen: Sequence[bool]) -> Estimate | None:
    """Precision of what is kept less that of all, over pairs drawn again; None where nothing is kept."""
    if not any(chosen):
        return None
    table = [(bool(row.measures["real"]) and one, one, row.measures["real"], 1) for row, one in zip(rows, chosen)]

    def value(sums):  # a draw that keeps nothing gains nothing
        kept, total = sums[..., 1], sums[..., 2] / np.maximum(sums[..., 3], 1)
        return np.where(kept > 0, sums[..., 0] / np.maximum(kept, 1), total) - total

    return _over_pairs(rows, table, value)


def f1(rows: Sequence[Row], chosen: Sequence[bool]) -> Estimate:
    """2 x right yes / (yes + buggy), over pairs drawn again; 0 where nothing is called buggy."""
    table = [(bool(row.measures["real"]) and one, one + bool(row.measures["real"])) for row, one in zip(rows, chosen)]
    return _over_pairs(rows, table, lambda sums: 2 * sums[..., 0] / np.maximum(sums[..., 1], 1))


def _over_pairs(rows: Sequence[Row], table: Sequence[Sequence[float]], value: Callable) -> Estimate:
    """``value`` of the columns' sums, (..., C); whole pairs are resampled."""
    places = {unit: place for place, unit in enumerate(dict.fromkeys(row.unit for row in rows))}
    sums = np.zeros((len(places), len(table[0])))
    for row, line in zip(rows, table, strict=True):
        sums[places[row.unit]] += np.array(line, dtype=float)
    found = bootstrap_interval(
        np.arange(len(places)), lambda picked, axis=-1: value(sums[picked.astype(int)].sum(axis=-2))
    )
    return replace(found, n=len(rows))


def auroc_table(results: Results, over: str = "") -> dict[str, Estimate | None]:
    """Arm -> its AUROC, or what it adds to that of ``over``, paired; None without scores, or without both truths."""
    found: dict[str, Estimate | None] = {}
    base = {row.key[1:]: row.measures["score"] for row in results.of(over).rows} if over else {}
    for arm in results.arms:
        rows = [row for row in results.of(arm).rows if isfinite(row.measures["score"])]
        real = [int(row.measures["real"]) for row in rows]
        scores, units = [row.measures["score"] for row in rows], [row.unit for row in rows]
        if len(set(real)) < 2:
            found[arm] = None
        elif over:
            found[arm] = auroc_added(scores, [base[row.key[1:]] for row in rows], real, units)
        else:
            found[arm] = auroc_of(scores, real, units)
    return found
