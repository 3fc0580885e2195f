"""Premises for the states of one theorem while it is being proved: the best of those that it may name."""

import re

import numpy as np

from ..corpus.corpus import Corpus
from ..lean.states import Theorem
from ..retrievers.dense import best
from ..retrievers.queries import Retriever
from .best_first import Chosen

BEHIND = (10**9, 1)  # a place after everything in its file


def reach(corpus: Corpus, theorem: Theorem):
    """Which premises ``theorem`` may name, (P,) of bool.

    One of the library's own may name what stands before it; one of one's own, what its file imports. Of modules that
    the corpus does not know there are none.
    """
    known = {file.path for file in corpus.files}
    own = _path(theorem.module)
    if own in known:
        return corpus.accessible(own, (theorem.line, 1))
    imported = [_path(name) for name in re.findall(r"^import (\S+)", theorem.preamble, re.MULTILINE)]
    mask = np.zeros(len(corpus.premises), dtype=bool)
    for path in known.intersection(imported):
        mask |= corpus.accessible(path, BEHIND)
    return mask


def _path(module: str) -> str:
    return module.replace(".", "/") + ".lean"


class Chooser:
    """The best ``k`` premises for a state of one theorem.

    Parameters
    ----------
    corpus : Corpus
    theorem : Theorem
    retriever : Retriever or None
        What scores premises; None: there are none. "random" draws as many accessible ones, by the state's own seed.
    """

    def __init__(self, corpus: Corpus, theorem: Theorem, retriever: Retriever | None, *, k: int) -> None:
        self._corpus, self._retriever, self._k = corpus, retriever, k
        self._mask = None if retriever is None else reach(corpus, theorem)

    def __call__(self, state: str) -> Chosen:
        """[(Premise, score)], best first; of equal scores the earlier premise."""
        if self._mask is None or not self._mask.any():
            return []
        (scores,) = self._retriever.scores_of([state])  # (P,)
        return [(self._corpus.premises[number], float(scores[number])) for number in best(scores, self._mask, self._k)]
