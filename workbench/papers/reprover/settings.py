"""Sizes of a run by profile."""

from ...profiles import File, Name, Profiles, Size

PROVERS = (
    "commonest tactic", "fixed list", "neighbours", "neighbours + BM25", "generator", "generator + BM25",
    "generator + trained premises", "generator + random premises",
)  # fmt: skip
RETRIEVERS = ("random", "bm25", "minilm")  # need no training
TRAINED = ("counts", "neighbours", "linear", "encoder")  # need a training part
QUICK = [*RETRIEVERS, *TRAINED[:2]]  # a linear head reads the training states too: a minute or two
WRITERS = ("neighbours", "small")  # whose tactics are held against the human's, without Lean
# without a kept checkpoint the generator is trained first, which takes minutes: not in the two small profiles
FLOOR = PROVERS[:4]
THREE = [PROVERS[2], PROVERS[4], PROVERS[6]]

PROFILES = Profiles(
    {"generator": Name(), "theorems": File(folder=True), "benchmark": File(folder=True), "metamath": File()},
    n_val=Size(20, 40, 40, 40, least=0),
    n_test=Size(60, 80, 80, 80),
    n_queries=Size(40, 0, 0, 0, least=0, help="0: all"),
    retrievers=Size(QUICK, QUICK, [*QUICK, "linear"], [*RETRIEVERS, *TRAINED], choices=(*RETRIEVERS, *TRAINED),
                    item="retriever"),
    n_seeds=Size(1, 1, 3, 3, help="trainings of a retriever that begins at random"),
    generators=Size(list(WRITERS[:1]), list(WRITERS[:1]), list(WRITERS), list(WRITERS), zero=True,
                    choices=WRITERS, item="generator"),
    n_prove=Size(4, 12, 0, 0, least=0, help="0: all of the test part"),
    n_folds=Size(0, 0, 0, 5, least=2, zero=True, help="0: the given test part of the random split"),
    calls=Size(12, 40, 40, 60),
    provers=Size(list(FLOOR), list(FLOOR), THREE, list(PROVERS), choices=PROVERS, item="prover"),
    workers=Size(1, 2, 2, 2, most=64),
    # of a Metamath database: proofs asked in each split (0: all), and how many premises the encoder reads at most
    n_metamath=Size(40, 500, 1000, 0, least=0),
    n_embed=Size(0, 2000, 2000, 100_000, least=0),
)  # fmt: skip
