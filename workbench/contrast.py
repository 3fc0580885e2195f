"""Does a hand-written contrast set give its labels away? One check for every such set of the workbench.

A set of good and bad replies, true and false answers, clean and buggy code is meant to differ in one thing. Where the
good ones are also the longer ones, or where one word stands in most of them, a scorer can seem to read what it only
counts. Pure functions of texts and labels; no model.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import UsageError

LENGTH_BOUNDS = (0.4, 0.6)  # of the AUC of a length alone
LEVEL = 0.95  # the cues' maximum may lie as high as this point of its distribution under permuted labels


@dataclass(frozen=True)
class Contrast:
    """What can be told from a set without reading it.

    Attributes
    ----------
    characters, words : float
        AUC of the length alone (how often a text of label 1 is longer than one of label 0; .5 gives nothing away).
    cue, cue_auc : str, float
        The single token or cue that tells most, and its AUC.
    bound : float
        The largest |AUC - .5| that a cue may have: the 95 % point of the same maximum under permuted labels.
    """

    characters: float
    words: float
    cue: str
    cue_auc: float
    bound: float

    def problems(self) -> list[str]:
        """What the set gives away, a sentence each; empty where it passes."""
        low, high = LENGTH_BOUNDS
        found = [
            f"the number of {what} alone has AUC {value:.3f}, outside {low} to {high}"
            for what, value in (("characters", self.characters), ("words", self.words))
            if not low - 1e-9 <= value <= high + 1e-9
        ]
        if abs(self.cue_auc - 0.5) > self.bound + 1e-9:
            found.append(
                f"{self.cue!r} alone has AUC {self.cue_auc:.3f}, further from .5 than the {self.bound:.3f} of chance"
            )
        return found


def tokens(text: str) -> set[str]:
    """The words and marks of a text, in lower case; a word keeps its apostrophe."""
    return set(re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", text.lower()))


def contrast_check(
    texts: Sequence[str],
    labels: Sequence[int],
    pairs: Sequence[Hashable] | None = None,
    *,
    cues: Mapping[str, Sequence[float]] | None = None,
    permutations: int = 2000,
    seed: int = 0,
) -> Contrast:
    """Measure what lengths and single tokens alone tell of a contrast set's labels. Call it for each half and form.

    Parameters
    ----------
    texts : sequence of str
    labels : sequence of int
        1 or 0 for each text.
    pairs : sequence of hashable, optional
        What each text belongs to (its prompt, its minimal pair): labels are permuted within it. Without it the whole
        set is one.
    cues : mapping of str to a number for each text, optional
        More that might tell: a modifier, the id of a warning.
    permutations, seed : int
        Of the bound on single cues.

    Raises
    ------
    UsageError
        Texts, labels, pairs or a cue differ in number; a label other than 1 or 0; one label only.
    """
    texts, labels = list(texts), np.asarray(list(labels))
    pairs = [0] * len(texts) if pairs is None else list(pairs)
    cues = {name: list(values) for name, values in (cues or {}).items()}
    for name, values in {"labels": labels, "pairs": pairs, **cues}.items():
        if len(values) != len(texts):
            raise UsageError(f"contrast_check got {len(texts)} texts and {len(values)} {name}: give one a text")
    if set(labels.tolist()) != {0, 1}:
        raise UsageError(f"contrast_check needs labels 1 and 0, both of them (got {sorted(set(labels.tolist()))})")

    found = [tokens(text) for text in texts]
    names = sorted(set().union(*found))
    columns = [[float(name in own) for own in found] for name in names] + [[float(v) for v in c] for c in cues.values()]
    names += list(cues)
    # where a cue's rank lies among all texts, ties in the middle: an AUC is then a difference of mean ranks
    ranks = np.array([_ranks(np.array(column)) for column in columns]).T  # (texts, cues)
    apart = _auc(labels[None], ranks)[0] - 0.5
    most = int(np.abs(apart).argmax()) if names else 0

    rng = np.random.default_rng(seed)
    group = np.unique([str(list(dict.fromkeys(pairs)).index(pair)) for pair in pairs], return_inverse=True)[1]
    sorted_labels = labels[np.argsort(group, kind="stable")]
    order = np.argsort(group + rng.random((permutations, len(texts))), axis=1)  # shuffled within each group
    permuted = np.empty((permutations, len(texts)), dtype=int)
    np.put_along_axis(permuted, order, np.broadcast_to(sorted_labels, permuted.shape), axis=1)
    bound = float(np.quantile(np.abs(_auc(permuted, ranks) - 0.5).max(axis=1), LEVEL)) if names else 0.0

    lengths = [_auc(labels[None], _ranks(np.array(x))[:, None])[0, 0] for x in (
        [len(text) for text in texts], [len(text.split()) for text in texts])]  # fmt: skip
    cue, cue_auc = (names[most], 0.5 + float(apart[most])) if names else ("", 0.5)
    return Contrast(float(lengths[0]), float(lengths[1]), cue, cue_auc, bound)


def _ranks(values: np.ndarray) -> np.ndarray:
    """(n,) ranks from 0, ties sharing their mean."""
    return (values[:, None] > values).sum(1) + ((values[:, None] == values).sum(1) - 1) / 2


def _auc(labels: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """(P, n) labels and (n, K) ranks to (P, K) AUCs: (sum of ranks of the ones - m (m - 1) / 2) / (m (n - m))."""
    ones = labels.sum(axis=1, keepdims=True)  # (P, 1)
    return (labels @ ranks - ones * (ones - 1) / 2) / (ones * (labels.shape[1] - ones))
