"""Retrieval by vectors: a state's cosine with every premise, the premises' vectors kept on disk.

The vectors of a corpus are computed once for an encoder and kept in the cache folder under a hash of the encoder's
weights and of the texts, written under a temporary name and renamed (`models.files.cache`). They are mapped into
memory, so that a corpus of 181,000 premises is ready without being read first.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ....errors import ModelError
from ....models.base import say
from ....models.files.cache import CacheUnusable, fetch
from ..corpus.corpus import Corpus
from .queries import texts_of

BLOCK = 64  # neighbouring premises of which the best is looked at first
FORM = "vectors"
FILE = "vectors.npy"


def unit(vectors):
    """Rows (…, H) divided by their lengths, float32; a row of zeros stays one."""
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-12))


def kept_vectors(name: str, settings: dict, texts: Sequence[str], embed: Callable[[Sequence[str]], object]):
    """Unit vectors of ``texts``, (N, H) float32: those on the disk, or made by ``embed`` and kept.

    Parameters
    ----------
    name
        What makes them, for people to read.
    settings
        What pins the maker down: a change of any of them makes new vectors.

    Raises
    ------
    ModelError
        The vectors are not one a text, or hold numbers that are not finite.
    """
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "backslashreplace") + b"\0")
    settings = {"form": FORM, "content": digest.hexdigest(), **settings}

    def made():
        vectors = np.asarray(embed(texts), dtype=np.float32)
        if vectors.shape[:1] != (len(texts),) or vectors.ndim != 2:
            raise ModelError(f"{name} gave vectors of the shape {vectors.shape} for {len(texts)} texts: one a text")
        if not np.isfinite(vectors).all():
            raise ModelError(f"{name} gave vectors with numbers that are not finite: its weights are damaged")
        return unit(vectors)

    def build(folder: Path) -> None:
        np.save(folder / FILE, made())

    try:
        entry, _ = fetch(name, settings, 4 * 1024 * len(texts), build, why=f"embedding {len(texts):,} texts with")
    except CacheUnusable as error:
        say(f"{error}: the vectors of {len(texts):,} texts are made again at every start")
        return made()
    return np.load(entry.path / FILE, mmap_mode="r", allow_pickle=False)


class Dense:
    """The cosine of a state's vector with each premise's.

    Parameters
    ----------
    name : str
    premises : (P, H) array
        Unit vectors.
    embed : callable
        States -> (Q, H).
    """

    def __init__(self, name: str, premises, embed: Callable[[Sequence[str]], object]) -> None:
        self.name, self._premises = name, premises
        # kept, because the same states are asked with the filter and without it
        self._embedded = functools.lru_cache(maxsize=64)(lambda states: unit(embed(list(states))))

    def scores_of(self, states: Sequence[str]):
        """(Q, P) float32, between -1 and 1."""
        return self._embedded(tuple(states)) @ self._premises.T  # (Q, H) @ (H, P)


def frozen(corpus: Corpus, encoder) -> Dense:
    """An encoder of `workbench.load_encoder` as it is: zero-shot, or trained before."""
    premises = kept_vectors(encoder.name, identity(encoder), texts_of(corpus), encoder.embed)
    return Dense(encoder.name, premises, encoder.embed)


def identity(encoder) -> dict:
    """What pins an encoder down: where it came from, and its weights as they are now."""
    return {"identity": encoder.identity, "weights": encoder.checksum()}


def best(scores, allowed, k: int):
    """The ``k`` best of one row of scores, without sorting the row.

    The k-th best block of `BLOCK` neighbours holds a score that at least k others reach, so what lies below it is out.

    Parameters
    ----------
    scores : (P,) array
    allowed : (P,) array of bool
        The candidates: the others are out before anything is ranked.
    k : int

    Returns
    -------
    Their numbers, best first; of equal scores the earlier one. At most as many as are allowed.

    Raises
    ------
    ModelError
        A score is not a number.
    """
    scores = np.asarray(scores)
    scores = np.where(allowed, scores, np.asarray(-np.inf, dtype=np.result_type(scores, np.float32)))
    whole = len(scores) // BLOCK * BLOCK
    tops = scores[:whole].reshape(-1, BLOCK).max(axis=1)  # NaN is passed on
    if np.isnan(tops).any() or np.isnan(scores[whole:]).any():
        raise not_a_number("the retriever")
    bound = np.partition(tops, len(tops) - k)[len(tops) - k] if 0 < k < len(tops) else -np.inf
    found = np.flatnonzero((scores >= bound) & (scores > -np.inf))
    return found[np.argsort(-scores[found], kind="stable")[:k]]


def not_a_number(name: str) -> ModelError:
    """The error about scores that cannot be ranked."""
    return ModelError(f"{name} gave a premise a score that is not a number (NaN): use one whose scores are numbers")
