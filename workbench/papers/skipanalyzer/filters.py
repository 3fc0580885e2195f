"""What tells a real warning from a false one without a language model: a constant, one-line rules, a small filter.

These are the controls of the model's row. The small filter is word counts and logistic regression, trained on other
groups (projects, pairs) than the one that it judges: warnings of one project resemble one another.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from ...readers import locate
from ...stats import auroc_added, auroc_of
from ...tables import bad, read_rows

FOLDS = 5
_TOKEN = r"\w+|[^\w\s]"
RULES: dict[str, Callable[[str], float]] = {  # name -> how likely a method's text makes a real leak or dereference
    "constant": lambda text: 0.0,
    "length alone": lambda text: float(len(text)),
    "has finally or try-with": lambda text: -float(bool(re.search(r"\bfinally\b|\btry\s*\(", text))),
    "calls close": lambda text: -float(bool(re.search(r"\bclose\w*\s*\(", text))),
    "compares with null": lambda text: -float(bool(re.search(r"[!=]=\s*null\b|\bnull\s*[!=]=", text))),
}


@dataclass(frozen=True)
class Case:
    """A warned method: its text, the group that is held out as a whole, whether the warning is real."""

    id: str
    group: str
    text: str
    real: bool


@dataclass(frozen=True)
class _Leak:
    line: int
    side: str
    project: str
    method: str


def read_jleaks(source: str | os.PathLike) -> list[Case]:
    """JLeaks' methods {side: bug or fix, project, method}; both versions of a method share their project, the group.

    Raises
    ------
    DataError
        As `tables.read_rows`; a side is neither "bug" nor "fix".
    """
    path = locate(source)
    rows = read_rows(path, _Leak, foreign=True)
    for row in rows:
        if row.side not in ("bug", "fix"):
            raise bad(path, row.line, f"'side' is {row.side!r}", "write bug or fix")
    return [Case(f"line {row.line}", row.project, row.method, row.side == "bug") for row in rows]


def folds_of(groups: Sequence[str], folds: int = FOLDS) -> np.ndarray:
    """The fold, (N,), of every item; a group is never cut, and the folds are about equally large.

    Raises
    ------
    UsageError
        There are fewer groups than folds.
    """
    from sklearn.model_selection import GroupKFold

    if len(set(groups)) < folds:
        raise UsageError(f"{folds} folds need {folds} groups, and there are {len(set(groups))}: add rows, or use fewer")
    found = np.zeros(len(groups), dtype=int)
    for number, (_, held_out) in enumerate(GroupKFold(folds).split(groups, groups=groups)):
        found[held_out] = number
    return found


def trained(cases: Sequence[Case]) -> Callable[[Sequence[str]], np.ndarray]:
    """A filter that gives N texts of methods their log-odds, (N,), that a warning is real.

    Counts of single tokens and pairs of them (TF-IDF, signs included), beside the one-line rules, in a logistic
    regression.

    Raises
    ------
    UsageError
        There are only real or only false warnings.
    """
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts, real = [case.text for case in cases], np.array([case.real for case in cases])
    if real.all() or not real.any():
        raise UsageError("a filter needs real and false warnings to train on: one of the two is missing")
    rules = [rule for name, rule in RULES.items() if name not in ("constant", "length alone")]
    words = TfidfVectorizer(token_pattern=_TOKEN, lowercase=False, ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    words.fit(texts)

    def features(some: Sequence[str]):  # (N, tokens and pairs + rules)
        told = csr_matrix([[rule(text) for rule in rules] for text in some])
        return hstack([words.transform(some), told])

    fitted = LogisticRegression(C=10, solver="liblinear").fit(features(texts), real)
    return lambda some: fitted.decision_function(features(some))


def small_filter(cases: Sequence[Case], folds: np.ndarray) -> np.ndarray:
    """How likely each warning is real by its words: log-odds, (N,), from a filter that never saw the case's fold.

    Raises
    ------
    UsageError
        A training part holds only real or only false warnings.
    """
    scores = np.zeros(len(cases))
    for fold in np.unique(folds):
        test = np.flatnonzero(folds == fold)
        scores[test] = trained([cases[i] for i in np.flatnonzero(folds != fold)])([cases[i].text for i in test])
    return scores


def scored(cases: Sequence[Case]) -> dict[str, np.ndarray]:
    """Scores of every warning, (N,), by each of `RULES` and by the small filter: higher is likelier real."""
    found = {name: np.array([rule(case.text) for case in cases]) for name, rule in RULES.items()}
    return found | {"small filter": small_filter(cases, folds_of([case.group for case in cases]))}


def compared(cases: Sequence[Case], scores: dict[str, np.ndarray], over: str = "has finally or try-with") -> list[dict]:
    """A row a scorer: its AUROC, and what it adds over one rule, paired; the intervals resample whole groups."""
    real, groups = [case.real for case in cases], [case.group for case in cases]
    return [
        {
            "scorer": name,
            "AUROC": auroc_of(values, real, groups),
            f"over {over}": None if name == over else auroc_added(values, scores[over], real, groups),
        }
        for name, values in scores.items()
    ]
