"""Premise selection: the state is the query, the accessible premises are the candidates (§5.1, Table 1's measures).

`retriever` opens one by name:

- random, bm25 (identifiers and words), or a sentence encoder that never saw Lean ("minilm": zero-shot): no training;
- counts, neighbours (which premises are common; which ones similar training states used): controls;
- linear (a matrix on the frozen encoder, seconds), encoder (all of it, as in the paper): the paper's loss;
- a folder of a trained head or encoder, a hub id (the authors' ByT5 encoders), or a handle.

All give one score a premise; the accessible filter removes candidates *before* the top-k, as the paper does.
Everything is done on whole arrays, so that tens of thousands of premises cost milliseconds a query.
"""

import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ...errors import UsageError
from ...files import user_path
from ...results import Results
from ...rows import Row
from .corpus.corpus import Corpus, TracedTheorem
from .retrievers.dense import best, frozen, not_a_number
from .retrievers.lexical import BM25 as BM25, Counts, Lexical, Neighbours, Random, words as words
from .retrievers.queries import Query, Question, Retriever, queries
from .settings import TRAINED

SEEDED = ("random", "linear", "encoder")  # begin at random
ENCODER = "minilm"  # what a linear head stands on, and where a whole encoder begins
MEASURES = ("recall@1", "recall@10", "mrr")
BATCH = 32  # queries scored at once


def retriever(spec, corpus: Corpus, theorems: Sequence[TracedTheorem] = (), *, seed: int = 0) -> Retriever:
    """Open a retriever; one that is trained is trained now.

    Parameters
    ----------
    spec
        A name of `RETRIEVERS` or `TRAINED`, a folder that `Linear.save` or `Encoder.save` wrote, an encoder's hub id,
        an encoder of `workbench.load_encoder`, or a retriever (it is given back).
    theorems
        The training part.

    Raises
    ------
    UsageError
        A retriever that is trained, and no theorems.
    ModelError
        An encoder or a folder cannot be read, or has its weights only as pickles.
    """
    if hasattr(spec, "scores_of"):
        return spec
    if hasattr(spec, "embed"):
        return frozen(corpus, spec)
    if spec == "random":
        return Random(corpus, seed)
    if spec == "bm25":
        return Lexical(corpus)
    if spec in TRAINED:
        return _trained(spec, corpus, theorems, seed)
    from ...models import load_encoder
    from .retrievers.linear import ABOUT, opened

    folder = user_path(spec) if isinstance(spec, str | os.PathLike) else None
    if folder is not None and (folder / ABOUT).is_file():
        return opened(corpus, folder, load_encoder)
    return frozen(corpus, load_encoder(spec))


def _trained(name: str, corpus: Corpus, theorems: Sequence[TracedTheorem], seed: int) -> Retriever:
    trained = queries(corpus, theorems)
    if not trained:
        raise UsageError(
            f"the retriever {name!r} learns from a training part, and none of {len(theorems)} theorems names a "
            "premise: give it theorems (retriever(name, corpus, theorems)), or a folder of a trained one"
        )
    if name == "counts":
        return Counts(corpus, trained)
    if name == "neighbours":
        return Neighbours(corpus, trained)
    from ...models import load_encoder

    encoder = load_encoder(ENCODER)
    if name == "linear":
        from .retrievers.linear import linear

        return linear(corpus, trained, encoder, seed=seed)
    from .retrievers.finetune import finetuned

    return finetuned(corpus, trained, encoder, seed=seed)


def top(corpus: Corpus, query, by="bm25", k: int = 10, *, theorems: Sequence[TracedTheorem] = (), seed: int = 0):
    """The best ``k`` premises among those that may be named.

    Parameters
    ----------
    query
        A `Question` or `Query`, or a sequence of them, which are scored in batches.
    by, theorems, seed
        As in `retriever`; whoever asks often opens one first and gives it here.

    Returns
    -------
    [(Premise, score)], best first, of equal scores the earlier premise; for a sequence a list of them.
    """
    if isinstance(query, Question | Query):
        return top(corpus, [query], by, k, theorems=theorems, seed=seed)[0]
    if k < 1:
        raise UsageError(f"k={k} is impossible: ask for at least 1 premise")
    asked = [one.question if isinstance(one, Query) else one for one in query]
    opened, found, key, mask = retriever(by, corpus, theorems, seed=seed), [], None, None
    for question, scores in zip(asked, _batches(opened, [one.state for one in asked]), strict=True):
        if key != (question.path, question.start):  # a theorem's questions follow one another
            key, mask = (question.path, question.start), corpus.accessible(question.path, question.start)
        chosen = best(scores, mask, k)
        found.append([(corpus.premises[number], float(scores[number])) for number in chosen])
    return found


def _batches(opened: Retriever, states: Sequence[str]) -> Iterator:
    for first in range(0, len(states), BATCH):
        yield from opened.scores_of(states[first : first + BATCH])


def score_all(
    corpus: Corpus, states: Sequence[str], by, *, theorems: Sequence[TracedTheorem] = (), seed: int = 0
) -> Iterator:
    """Scores of all premises, (P,), for each state in turn; ``by``, ``theorems`` and ``seed`` as in `retriever`."""
    yield from _batches(retriever(by, corpus, theorems, seed=seed), states)


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


def results_of(asked: Sequence[Query], arm: str, places: Iterable[Sequence[int]], seed: int = 0) -> Results:
    """A row a query with the `MEASURES`, from the places that its positives got.

    The unit is the theorem: its tactics resemble one another.
    """
    return Results(rows=(
        Row(arm, item, seed, str(query.theorem.key), dict(zip(MEASURES, _measure(found, len(query.positives)))), {},
            query.tactic.state_before, f"{query.tactic.tactic}\nits premises have the places {sorted(found)}")
        for (item, query), found in zip(items_of(asked).items(), places, strict=True)
    ))  # fmt: skip


def items_of(asked: Sequence[Query]) -> dict[str, Query]:
    """The queries by their names in results: a number, and the theorem's name."""
    return {f"{number} {query.theorem.full_name}": query for number, query in enumerate(asked, 1)}


def evaluate(
    corpus: Corpus, asked: Sequence[Query], by, *, theorems: Sequence[TracedTheorem] = (), accessible: bool = True,
    seed: int = 0,
) -> Results:  # fmt: skip
    """Rank the premises for every query and measure it: a row a query, as `results_of` makes them.

    Parameters
    ----------
    by, theorems, seed
        As in `retriever`.
    accessible : bool
        Whether only accessible premises are candidates (the paper's setting) or all of the corpus.
    """
    states = [query.tactic.state_before for query in asked]
    scored = score_all(corpus, states, by, theorems=theorems, seed=seed)
    return measure_scores(corpus, asked, scored, accessible=accessible, arm=arm_of(by, accessible), seed=seed)


def arm_of(by, accessible: bool) -> str:
    """A retriever's name in results."""
    name = by if isinstance(by, str) else getattr(by, "name", os.fspath(by))
    return f"{name}, {'accessible' if accessible else 'all'}"


def measure_scores(
    corpus: Corpus, asked: Sequence[Query], scored: Iterable, *, accessible: bool = True, arm: str = "own",
    seed: int = 0,
) -> Results:  # fmt: skip
    """`evaluate` for scores of any origin: ``scored`` holds one row of scores of all premises, (P,), a query."""
    if not asked:
        raise UsageError(
            "there is no query: none of these theorems names a premise; choose another split or more theorems"
        )

    def places():
        key, mask = None, None
        for query, scores in zip(asked, scored, strict=True):
            scores = np.array(scores, dtype=float)
            if np.isnan(scores).any():
                raise not_a_number(arm)
            if accessible:
                if key != query.theorem.key:  # a theorem's queries follow one another
                    key, mask = query.theorem.key, corpus.accessible(query.theorem.file_path, query.theorem.start)
                scores[~mask] = -np.inf
            yield _places(scores, query.positives)

    return results_of(asked, arm, places(), seed)
