"""Premises by vectors at the size of LeanDojo Benchmark 4: 181,000 synthetic premises of 384 numbers, one thread.

Ratio (baseline / ours, larger is better), CPU seconds a query:

top_vs_one_by_one_and_sorted
    `top` for 32 questions at once (one product, the accessible filter, the best ten without a sort) against one
    product a question, the same filter and a full sort.

Both must name the same premises, or the benchmark fails. Printed besides: milliseconds a query, queries a second, and
the cold start: a process that finds the vectors in the cache folder, until its first answer (reading the corpus left
out). `--quick`: 20,000 premises.
"""

import os
import tempfile
import time

import common

WIDTH, FILES, ASKED = 384, 3400, 256


def synthetic(size: int):
    """A corpus of files that import one another in rows of 400, each row the middle of the row before; questions."""
    import numpy as np

    from workbench.papers.reprover.corpus.corpus import Corpus, File, Premise

    files, each = [], size // FILES + 1
    for number in range(FILES):
        before = number - 1 if number % 400 else number - 200
        premises = tuple(
            Premise(f"p{number}.{place}", f"F{number}", "theorem", (place + 1, 1), (place + 1, 9), "theorem")
            for place in range(min(each, size - number * each))
        )
        files.append(File(f"F{number}", (f"F{before}",) if before >= 0 else (), premises))
    corpus, rng = Corpus(tuple(files), ()), np.random.default_rng(0)
    return corpus, rng.normal(size=(len(corpus.premises), WIDTH)).astype(np.float32), rng


def main() -> None:
    options = common.options(__doc__).parse_args()
    size = 20_000 if options.quick else 181_000
    import numpy as np

    from workbench.papers.reprover import Question, top
    from workbench.papers.reprover.retrievers.dense import Dense, kept_vectors, unit
    from workbench.papers.reprover.retrievers.queries import texts_of

    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_CACHE"] = folder
        corpus, vectors, rng = synthetic(size)
        asked = [Question(f"state {n}", f"F{rng.integers(FILES)}", (9, 1)) for n in range(ASKED)]
        states = {one.state: rng.normal(size=WIDTH).astype(np.float32) for one in asked}
        texts = texts_of(corpus)
        kept_vectors("synthetic vectors", {"identity": "none"}, texts, lambda _: vectors)

        corpus.accessible(asked[0].path, asked[0].start)  # what is computed once of a corpus, not of its vectors
        began = time.perf_counter()
        premises = kept_vectors("synthetic vectors", {"identity": "none"}, texts_of(corpus), lambda _: vectors)
        dense = Dense("dense", premises, lambda some: np.array([states[one] for one in some]))
        top(corpus, asked[0], dense, 10)
        cold = time.perf_counter() - began
        ours, found = common.cpu_seconds(lambda: top(corpus, asked, dense, 10))
        sample = asked[:32]

        def literal():
            names = []
            for one in sample:
                scores = np.where(corpus.accessible(one.path, one.start), premises @ unit(states[one.state]), -np.inf)
                names.append([corpus.premises[n].full_name for n in np.argsort(-scores, kind="stable")[:10]])
            return names

        plain, names = common.cpu_seconds(literal)
    for here, there, one in zip(found, names, sample, strict=False):
        allowed = int(corpus.accessible(one.path, one.start).sum())
        if [premise.full_name for premise, _ in here] != there[:allowed]:
            raise SystemExit(f"the two ways disagree on {one}")
    ours, plain = ours / len(asked), plain / len(sample)
    print(f"{size:,} premises, {1000 * ours:.2f} CPU ms a query ({1 / ours:,.0f} a second), in batches of 32; "
          f"one by one and sorted {1000 * plain:.2f} ms; cold start {cold:.2f} s (wall clock)")  # fmt: skip
    if options.json:
        common.print_json("reprover_retrieval", {"top_vs_one_by_one_and_sorted": plain / ours}, "cpu, 1 thread",
                          ("numpy",))  # fmt: skip


if __name__ == "__main__":
    main()
