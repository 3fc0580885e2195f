"""Premise selection among tens of thousands of Metamath theorems: the reader, BM25, the ranking.

Ratios (baseline / ours, larger is better), CPU seconds of the process on one thread, same numbers:

bm25_query_vs_document_loop
    A query's scores of all premises, against a list of word counts a document and a Python loop over the documents
    for every word of the query: what the package rank_bm25 does, with the same formula and weights as ours.
bm25_query_vs_inverted_dicts
    The same against a plain inverted index, {word: [(document, weight)]} with the weights worked out beforehand.
bm25_build_vs_inverted_dicts
    Building our index against building that one.
ranking_vs_full_sort
    From scores to the three measures, against a mask made premise by premise, a stable sort and a look through it.

The database is set.mm of Debian's metamath-databases where it is installed, another with `--database FILE.mm`, else one
made up for the purpose: 40,000 theorems with a vocabulary of 1,500 symbols that are as unevenly used. `--quick` makes
up 4,000. The ways must agree to 1e-9 in the scores and exactly in the measures, or the script fails. The reader's cost,
the index's size and queries per second are printed; the real rank_bm25 is timed too where it is installed (no ratio
of record: its formula for rare words is another one).
"""

import argparse
import functools
import itertools
import json
import math
import random
import resource
import statistics
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

DEBIAN = Path("/usr/share/metamath/databases/set.mm")


def cpu_seconds(work):
    """(CPU seconds of ``work()``, its answer)."""
    began = time.process_time()
    answer = work()
    return time.process_time() - began, answer


def made_up(count: int, seed: int = 0) -> str:
    """A database: symbols by Zipf's law, some 30 a statement, each theorem cites up to ten earlier ones."""
    rng = random.Random(seed)
    symbols = [f"s{n}" for n in range(1500)]
    heights = list(itertools.accumulate(1 / (n + 1) for n in range(1500)))
    rows = [f"$c |- {' '.join(symbols)} $.\na0 $a |- s0 $.\n"]
    for n in range(1, count):
        text = " ".join(rng.choices(symbols, cum_weights=heights, k=rng.randint(10, 50)))
        cited = sorted({rng.randrange(max(0, n - 2000), n) for _ in range(rng.randint(1, 10))})
        letters = "".join("ABCDEFGHIJ"[: len(cited)])
        rows.append(f"a{n} $p |- {text} $= ( {' '.join(f'a{one}' for one in cited)} ) {letters} $.\n")
    return "".join(rows)


class DocumentLoop:
    """BM25 over a list of documents, one dictionary of counts each."""

    def __init__(self, documents: list[list[str]], k1: float = 1.5, b: float = 0.75) -> None:
        self.counts = [Counter(document) for document in documents]
        self.k1 = k1
        lengths = np.array([len(document) for document in documents])
        self.damping = k1 * (1 - b + b * lengths / lengths.mean())
        holding = Counter(word for counts in self.counts for word in counts)
        n = len(documents)
        self.rarity = {word: math.log1p((n - held + 0.5) / (held + 0.5)) for word, held in holding.items()}

    def scores(self, query: list[str]) -> np.ndarray:
        total = np.zeros(len(self.counts))
        for word in query:
            if word in self.rarity:
                found = np.array([counts.get(word) or 0 for counts in self.counts])
                total += self.rarity[word] * found * (self.k1 + 1) / (found + self.damping)
        return total


class InvertedDicts:
    """BM25 by an inverted index of Python lists."""

    def __init__(self, documents: list[list[str]], k1: float = 1.5, b: float = 0.75) -> None:
        self.size = len(documents)
        mean = sum(map(len, documents)) / len(documents)
        holders: dict[str, list[tuple[int, int]]] = {}
        for number, document in enumerate(documents):
            for word, count in Counter(document).items():
                holders.setdefault(word, []).append((number, count))
        damping = [k1 * (1 - b + b * len(document) / mean) for document in documents]
        self.weights = {}
        for word, held in holders.items():
            rarity = math.log1p((self.size - len(held) + 0.5) / (len(held) + 0.5)) * (k1 + 1)
            self.weights[word] = [(number, rarity * count / (count + damping[number])) for number, count in held]

    def scores(self, query: list[str]) -> list[float]:
        total = [0.0] * self.size
        for word, count in Counter(query).items():
            for number, weight in self.weights.get(word, ()):
                total[number] += count * weight
        return total


def all_scores(way, states: list[str]) -> list:
    """A row of scores for each state."""
    return [way.scores(state.split()) for state in states]


def full_sort(corpus, asked, scored) -> list[tuple[float, float, float]]:
    """The measures the long way round, one query after another."""
    from workbench.papers.reprover import measure

    rows = []
    for query, scores in zip(asked, scored, strict=True):
        mask = [premise.end <= query.theorem.start for premise in corpus.premises]
        scores = np.where(mask, scores, -np.inf)
        ranking = np.argsort(-scores, kind="stable")
        rows.append(measure(ranking[np.isfinite(scores[ranking])], query.positives))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--quick", action="store_true", help="a made-up database of 4,000 theorems")
    parser.add_argument("--database", type=Path, help="a Metamath database, such as set.mm")
    options = parser.parse_args()

    from workbench.papers.reprover import BM25, measure_scores, metamath_corpus, queries, read_metamath
    from workbench.papers.reprover.retrieve import BATCH

    path = options.database or (DEBIAN if DEBIAN.is_file() and not options.quick else None)
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "made_up.mm"
            path.write_text(made_up(4_000 if options.quick else 40_000))
        read, _ = cpu_seconds(lambda: sum(1 for _ in read_metamath(path)))
        reader_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        made, corpus = cpu_seconds(lambda: metamath_corpus(path))
        size = path.stat().st_size / 1e6
    texts = [f"{premise.full_name} {premise.code}" for premise in corpus.premises]
    BM25(texts[:100], split=str.split)  # imports
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    builds, indices = zip(*(cpu_seconds(lambda: BM25(texts, split=str.split)) for _ in range(3)), strict=True)
    ours = indices[-1]
    asked = queries(corpus, random.Random(0).sample(corpus.theorems, min(len(corpus.theorems), 10 * BATCH)))
    asked = asked[: len(asked) // BATCH * BATCH]
    states = [query.tactic.state_before for query in asked]
    print(f"{path.name}, {size:.1f} MB, {len(texts):,} premises, {len(corpus.theorems):,} theorems asked; CPU seconds")
    print(f"reading: {read:.1f} s ({size / read:.1f} MB/s), the process then {reader_memory:.0f} MB at most")
    print(f"reading into a corpus: {made:.1f} s; corpus, numpy, scipy and scikit-learn: {memory:.0f} MB at most")
    print(f"index: {statistics.median(builds):.2f} s, {ours.nbytes / 1e6:.1f} MB")

    def all_of_ours():
        return [row for n in range(0, len(states), BATCH) for row in ours.scores_of(states[n : n + BATCH])]

    all_of_ours()
    runs = [cpu_seconds(all_of_ours) for _ in range(3)]
    scores = runs[-1][1]
    query = statistics.median(taken for taken, _ in runs) / len(states)
    documents = [text.split() for text in texts]
    built, inverted = cpu_seconds(lambda: InvertedDicts(documents))
    loop = DocumentLoop(documents)
    costs = {}
    for name, way, count in (("inverted", inverted, 40), ("loop", loop, 8)):
        way.scores(states[0].split())
        taken, found = cpu_seconds(functools.partial(all_scores, way, states[:count]))
        costs[name] = taken / count
        apart = max(float(np.abs(np.asarray(one) - other).max()) for one, other in zip(found, scores, strict=False))
        if not apart < 1e-9:
            raise SystemExit(f"{name} and ours differ by {apart:.1e}: a ratio of unequal results means nothing")

    few = asked[: 2 * BATCH]
    sorting, literal = cpu_seconds(lambda: full_sort(corpus, few, scores[: len(few)]))
    rankings = [cpu_seconds(lambda: measure_scores(corpus, few, scores[: len(few)])) for _ in range(3)]
    told = rankings[-1][1]
    if literal != list(zip(*map(told.values, ("recall@1", "recall@10", "mrr")), strict=True)):
        raise SystemExit("the two rankings differ: a ratio of unequal results means nothing")
    ranking = statistics.median(taken for taken, _ in rankings) / len(few)
    rows = {
        "bm25_query_vs_document_loop": (costs["loop"], query),
        "bm25_query_vs_inverted_dicts": (costs["inverted"], query),
        "bm25_build_vs_inverted_dicts": (built, statistics.median(builds)),
        "ranking_vs_full_sort": (sorting / len(few), ranking),
    }
    print(f"queries per second: {1 / query:.0f} scored, {1 / (query + ranking):.0f} scored, ranked and measured")
    if find_spec("rank_bm25"):
        from rank_bm25 import BM25Okapi

        took, package = cpu_seconds(lambda: BM25Okapi(documents))
        asking, _ = cpu_seconds(lambda: [package.get_scores(state.split()) for state in states[:8]])
        print(f"rank_bm25: built in {took:.2f} s, {8 / asking:.1f} queries per second")
    print(f"{'':<32}{'baseline':>12}{'ours':>12}{'ratio':>9}")
    for key, (slow, fast) in rows.items():
        print(f"{key:<32}{slow:>12.5f}{fast:>12.5f}{slow / fast:>8.1f}x")
    if options.json:
        ratios = {key: round(slow / fast, 3) for key, (slow, fast) in rows.items()}
        versions = {package: version(package) for package in ("numpy", "scipy", "scikit-learn")}
        print(json.dumps({"name": "reprover_metamath", "ratios": ratios, "device": "cpu, 1 thread",
                          "versions": versions}))  # fmt: skip


if __name__ == "__main__":
    main()
