"""Premises for the states of one theorem while it is being proved: the best of those that it may name."""

import re
import zlib

import numpy as np

from ..corpus.corpus import Corpus
from ..lean.states import Theorem
from ..retrieve import score_all
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
    retriever : str, None or what `score_all` takes
        None: no premises. "random": as many accessible ones drawn at random, the same for the same state and seed.
    """

    def __init__(self, corpus: Corpus, theorem: Theorem, retriever, *, k: int, seed: int = 0) -> None:
        self._corpus, self._retriever, self._k, self._seed = corpus, retriever, k, seed
        self._mask = None if retriever is None else reach(corpus, theorem)

    def __call__(self, state: str) -> Chosen:
        """[(Premise, score)], best first; of equal scores the earlier premise."""
        if self._mask is None or not self._mask.any():
            return []
        seed = zlib.crc32(f"{self._seed} {state}".encode())  # not the same draw for every state
        scores = next(score_all(self._corpus, [state], self._retriever, seed=seed))
        scores = np.where(self._mask, scores, -np.inf)
        ranked = np.argsort(-scores, kind="stable")[: min(self._k, int(self._mask.sum()))]
        return [(self._corpus.premises[number], float(scores[number])) for number in ranked]
