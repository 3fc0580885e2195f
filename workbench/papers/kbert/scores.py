"""Scores of the paper's tasks: entities with their types (seqeval), the reference's boundaries, MRR."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ...errors import DataError


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 of whole entities (micro average), and F1 by type where types count.

    ``unread`` counts words that were predicted as None (`Prediction.unread`). They are "O" here: entities are missed.
    """

    precision: float
    recall: float
    f1: float
    n_true: int
    n_predicted: int
    per_type: dict[str, float]
    unread: int = 0


def entity_scores(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Scores:
    """Entities that are right in both ends *and* in type; tags in IOB2 ("B-drug", "I-drug", "O"), one a word.

    seqeval's strict mode: an entity begins with B. ``predicted`` may hold None for a word that was not read (`Scores`).

    Raises
    ------
    DataError
        The two differ in length, or a tag is not IOB2.
    """
    return _seqeval(truth, predicted, typed=True)


def boundary_scores(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Scores:
    """Entities that are right in both ends, whatever their type: what the reference code reports as F1.

    No measure of a named-entity task with more than one type, and as a rule above the typed score; below it only where
    an I- of another type behind an entity is read as its end moved.

    Raises
    ------
    DataError
        As `entity_scores`.
    """
    return _seqeval(truth, predicted, typed=False)


def mean_reciprocal_rank(scores: Sequence[float], relevant: Sequence[bool], groups: Sequence[Hashable]) -> float:
    """The mean over questions of 1 / the rank of the first right answer (DBQA); 0 for a question without one.

    Parameters
    ----------
    scores, relevant, groups
        One a candidate: what the model gave it, whether it is right, and its question. Of equal scores the right answer
        counts as the later one, so that a constant model earns nothing by the file's order.

    Raises
    ------
    DataError
        The three differ in length, there is no candidate, or a score is no number.
    """
    if not len(scores) == len(relevant) == len(groups) > 0:
        raise DataError(
            f"{len(scores)} scores, {len(relevant)} relevant and {len(groups)} groups: give one of each a candidate"
        )
    if any(score != score for score in scores):
        raise DataError("a score is NaN: the model did not train; lower its learning rate")
    questions: dict[Hashable, list[tuple[float, bool]]] = {}
    for score, right, group in zip(scores, relevant, groups):
        questions.setdefault(group, []).append((float(score), bool(right)))
    total = 0.0
    for candidates in questions.values():
        best = max((score for score, right in candidates if right), default=None)
        if best is not None:
            total += 1 / (1 + sum(score >= best for score, right in candidates if not right))
    return total / len(questions)


def _seqeval(truth, predicted, *, typed: bool) -> Scores:
    from seqeval.metrics.v1 import precision_recall_fscore_support
    from seqeval.scheme import IOB2, Entities

    truth, predicted = ([list(tags) for tags in rows] for rows in (truth, predicted))
    unread = sum(tag is None for tags in predicted for tag in tags)
    predicted = [["O" if tag is None else tag for tag in tags] for tags in predicted]
    _check(truth, predicted)
    both = truth, predicted
    if not typed:
        both = [[[tag[:2] + "entity" if tag != "O" else tag for tag in tags] for tags in rows] for rows in both]
    found = [[entity for row in Entities(rows, IOB2).entities for entity in row] if rows else [] for rows in both]
    n_true, n_predicted = map(len, found)
    if not n_true or not n_predicted:  # seqeval would warn and divide by nothing
        empty = float(n_true == n_predicted)
        return Scores(empty, empty, empty, n_true, n_predicted, {}, unread)
    per_type, common = {}, {"scheme": IOB2, "zero_division": 0}
    precision, recall, f1, _ = precision_recall_fscore_support(*both, average="micro", **common)
    if typed:
        types = sorted({entity.tag for rows in found for entity in rows})  # seqeval's order; a stray I- is no entity
        each = precision_recall_fscore_support(*both, average=None, **common)[2]
        per_type = dict(zip(types, map(float, each)))
    return Scores(float(precision), float(recall), float(f1), n_true, n_predicted, per_type, unread)


def _check(truth: list[list[str]], predicted: list[list[str]]) -> None:
    if len(truth) != len(predicted):
        raise DataError(f"{len(truth)} texts are labelled and {len(predicted)} predicted: give as many")
    for number, (one, other) in enumerate(zip(truth, predicted), 1):
        if len(one) != len(other):
            raise DataError(f"text {number} has {len(one)} labels and {len(other)} predictions: give one a word")
        for tag in (*one, *other):
            if tag != "O" and not (isinstance(tag, str) and tag[:2] in ("B-", "I-") and len(tag) > 2):
                raise DataError(f"text {number}: the tag {tag!r} is not IOB2: write B-TYPE, I-TYPE or O")
