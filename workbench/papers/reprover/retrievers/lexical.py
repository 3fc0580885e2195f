"""Retrievers that count: words in common (BM25), how often a premise was used, which premises similar states used.

`Counts` and `Neighbours` read the training part and nothing else; they are the controls of a trained retriever: one
knows only which premises are common, the other only remembers.
"""

import functools
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ..corpus.corpus import Corpus
from .queries import Query, texts_of

_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s.,:()\[\]{}⟨⟩]")


def words(text: str) -> list[str]:
    """Words of a Lean text for BM25: names cut at dots, underscores and capitals, and symbols one by one."""
    return [word.lower() for word in _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text))]


class BM25:
    """Okapi BM25 over texts: scikit-learn counts the words, the weights are

    w(t, d) = log(1 + (N - n_t + ½)/(n_t + ½)) · f(k₁ + 1)/(f + k₁(1 - b + b |d|/mean|d|)).

    Parameters
    ----------
    texts : sequence of str
    split : callable
        Cuts a text, and a query, into words.
    k1, b : float
        The usual 1.5 and .75.
    """

    def __init__(
        self, texts: Sequence[str], *, split: Callable[[str], list[str]] = words, k1: float = 1.5, b: float = 0.75
    ) -> None:
        from scipy.sparse import csr_matrix
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(analyzer=split)
        counts = counter.fit_transform(texts).astype(np.float64).tocoo()  # (D, V)
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        holding = np.bincount(counts.col, minlength=counts.shape[1])
        rarity = np.log1p((len(texts) - holding + 0.5) / (holding + 0.5))
        damping = k1 * (1 - b + b * lengths / lengths.mean())
        weights = rarity[counts.col] * counts.data * (k1 + 1) / (counts.data + damping[counts.row])
        self._weights = csr_matrix((weights, (counts.row, counts.col)), shape=counts.shape)
        self._split, self._place = split, counter.vocabulary_

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self._weights.data.nbytes + self._weights.indices.nbytes + self._weights.indptr.nbytes

    def scores(self, query: str):
        """A score for every text, (D,); a word that stands twice in the query counts twice."""
        return self.scores_of([query])[0]

    def scores_of(self, queries: Sequence[str]):
        """Scores of several queries, (Q, D): one pass over the weights for all of them; some 30 at once are best."""
        asked = np.zeros((self._weights.shape[1], len(queries)))
        for column, query in enumerate(queries):
            for word, count in Counter(self._split(query)).items():
                if word in self._place:
                    asked[self._place[word], column] = count
        return (self._weights @ asked).T  # (D, V) @ (V, Q)


@functools.lru_cache(maxsize=2)
def _bm25(texts: tuple[str, ...], split: Callable[[str], list[str]]) -> BM25:
    """Kept, because every split asks it, with and without the filter."""
    return BM25(texts, split=split)


def splitter(corpus: Corpus) -> Callable[[str], list[str]]:
    """How a corpus' texts are cut: a Metamath database's symbols stand between blanks."""
    return str.split if all(file.path.endswith(".mm") for file in corpus.files) else words


class Random:
    """A random order that follows from the state and the seed alone."""

    name = "random"

    def __init__(self, corpus: Corpus, seed: int) -> None:
        self._size, self._seed = len(corpus.premises), seed % 2**64

    def scores_of(self, states: Sequence[str]):
        """(Q, P)."""
        drawn = ([self._seed, zlib.crc32(state.encode("utf-8", "backslashreplace"))] for state in states)
        return np.array([np.random.default_rng(one).random(self._size) for one in drawn]).reshape(-1, self._size)


class Lexical:
    """BM25 of the state against each premise."""

    name = "bm25"

    def __init__(self, corpus: Corpus) -> None:
        self._index = _bm25(texts_of(corpus), splitter(corpus))

    def scores_of(self, states: Sequence[str]):
        """(Q, P)."""
        return self._index.scores_of(states)


class Counts:
    """How many training steps name a premise: the same order for every state."""

    name = "counts"

    def __init__(self, corpus: Corpus, trained: Sequence[Query]) -> None:
        self._counts = np.zeros(len(corpus.premises))
        for query in trained:
            self._counts[list(query.positives)] += 1

    def scores_of(self, states: Sequence[str]):
        """(Q, P)."""
        return np.broadcast_to(self._counts, (len(states), len(self._counts)))


class Neighbours:
    """A premise's score is that of the most similar training state (BM25) whose tactic names it."""

    name = "neighbours"

    def __init__(self, corpus: Corpus, trained: Sequence[Query]) -> None:
        self._index = BM25([query.tactic.state_before for query in trained], split=splitter(corpus))
        self._named = [sorted(query.positives) for query in trained]
        self._size = len(corpus.premises)

    def scores_of(self, states: Sequence[str]):
        """(Q, P)."""
        similar = self._index.scores_of(states)  # (Q, training steps)
        scores = np.zeros((len(states), self._size))
        for number, named in enumerate(self._named):
            scores[:, named] = np.maximum(scores[:, named], similar[:, number, None])
        return scores
