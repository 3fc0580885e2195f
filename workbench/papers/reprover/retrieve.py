"""Premise selection: the state is the query, the accessible premises are the candidates (§5.1, Table 1's measures).

Three retrievers without training: random, BM25 over identifiers and words, and a sentence encoder that never saw Lean
(zero-shot). All give one score a premise; the accessible filter removes candidates *before* the top-k, as the paper
does. Everything is done on whole arrays, so that tens of thousands of premises cost milliseconds a query.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from ...results import Results
from ...rows import Row
from .corpus.corpus import Corpus, Tactic, TracedTheorem

_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s.,:()\[\]{}⟨⟩]")
RETRIEVERS = ("random", "bm25", "minilm")
MEASURES = ("recall@1", "recall@10", "mrr")
BATCH = 32  # queries scored at once


@dataclass(frozen=True)
class Query:
    """A tactic with at least one positive: where it stands, its state, the premises it names (corpus places)."""

    theorem: TracedTheorem
    tactic: Tactic
    positives: frozenset[int]


def queries(corpus: Corpus, theorems: Sequence[TracedTheorem]) -> list[Query]:
    """Every tactic of ``theorems`` that names at least one premise of the corpus."""
    return [
        Query(theorem, tactic, positives)
        for theorem in theorems
        for tactic in theorem.tactics
        if (positives := corpus.numbers(tactic))
    ]


def _measure(places: Sequence[int], n: int) -> tuple[float, float, float]:
    """The `MEASURES`, from the places (counted from 1) of those of the ``n`` positives that are ranked.

    R@1 stays below 1 by construction where a tactic names several premises: that is the paper's definition.
    """
    first = min(places, default=0)
    return (first == 1) / n, sum(place <= 10 for place in places) / n, 1 / first if first else 0.0


def _places(scores, positives: frozenset[int]) -> list[int]:
    """Where the positives stand by falling score, without sorting; equal scores keep the corpus' order, -inf is out."""
    finite = [number for number in positives if np.isfinite(scores[number])]
    above = [np.count_nonzero(scores > scores[number]) for number in finite]
    equal = [np.count_nonzero(scores[:number] == scores[number]) for number in finite]
    return [1 + int(a + b) for a, b in zip(above, equal, strict=True)]


def ceiling(asked: Sequence[Query]) -> Results:
    """What a perfect retriever would get: 1/|pos| and min(1, 10/|pos|), because many premises do not fit into ten."""
    return results_of(asked, "best possible", [range(1, len(query.positives) + 1) for query in asked])


def results_of(asked: Sequence[Query], arm: str, places: Iterable[Sequence[int]]) -> Results:
    """A row a query with the `MEASURES`, from the places that its positives got.

    The unit is the theorem: its tactics resemble one another.
    """
    return Results(rows=(
        Row(arm, item, 0, str(query.theorem.key), dict(zip(MEASURES, _measure(found, len(query.positives)))), {},
            query.tactic.state_before, f"{query.tactic.tactic}\nits premises have the places {sorted(found)}")
        for (item, query), found in zip(items_of(asked).items(), places, strict=True)
    ))  # fmt: skip


def items_of(asked: Sequence[Query]) -> dict[str, Query]:
    """The queries by their names in results: a number, and the theorem's name."""
    return {f"{number} {query.theorem.full_name}": query for number, query in enumerate(asked, 1)}


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


def score_all(corpus: Corpus, states: Sequence[str], retriever, *, seed: int = 0) -> Iterator:
    """Scores of all premises, (P,), for each state in turn.

    ``retriever`` is "random", "bm25", or a sentence encoder of `workbench.load_encoder`: a handle or a name ("minilm").
    """
    texts = tuple(f"{premise.full_name} {premise.code}" for premise in corpus.premises)
    if retriever == "random":
        rng = np.random.default_rng(seed)
        yield from (rng.random(len(texts)) for _ in states)
    elif retriever == "bm25":
        metamath = all(file.path.endswith(".mm") for file in corpus.files)  # its symbols stand between blanks
        index = _bm25(texts, str.split if metamath else words)
        for first in range(0, len(states), BATCH):
            yield from index.scores_of(states[first : first + BATCH])
    else:
        premises = _embed(retriever, texts)  # (P, H)
        yield from (premises @ state for state in _embed(retriever, tuple(states)))  # (Q, H)


def evaluate(corpus: Corpus, asked: Sequence[Query], retriever, *, accessible: bool = True, seed: int = 0) -> Results:
    """Rank the premises for every query and measure it: a row a query, as `results_of` makes them.

    Parameters
    ----------
    accessible : bool
        Whether only accessible premises are candidates (the paper's setting) or all of the corpus.
    """
    states = [query.tactic.state_before for query in asked]
    scored = score_all(corpus, states, retriever, seed=seed)
    return measure_scores(corpus, asked, scored, accessible=accessible, arm=arm_of(retriever, accessible))


def arm_of(retriever, accessible: bool) -> str:
    """A retriever's name in results."""
    name = retriever if isinstance(retriever, str) else retriever.name
    return f"{name}, {'accessible' if accessible else 'all'}"


def measure_scores(
    corpus: Corpus, asked: Sequence[Query], scored: Iterable, *, accessible: bool = True, arm: str = "own"
) -> Results:
    """`evaluate` for scores of any origin: ``scored`` holds one row of scores of all premises, (P,), a query."""
    if not asked:
        raise UsageError(
            "there is no query: none of these theorems names a premise; choose another split or more theorems"
        )

    def places():
        key, mask = None, None
        for query, scores in zip(asked, scored, strict=True):
            scores = np.array(scores, dtype=float)
            if accessible:
                if key != query.theorem.key:  # a theorem's queries follow one another
                    key, mask = query.theorem.key, corpus.accessible(query.theorem.file_path, query.theorem.start)
                scores[~mask] = -np.inf
            yield _places(scores, query.positives)

    return results_of(asked, arm, places())


@functools.lru_cache(maxsize=8)
def _embed(encoder, texts: tuple[str, ...]):
    """Unit vectors of ``texts``, (N, H); kept, because the same premises are asked for with and without the filter."""
    from ...models import load_encoder

    vectors = (load_encoder(encoder) if isinstance(encoder, str) else encoder).embed(texts)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
