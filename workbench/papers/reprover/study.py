"""The notebook's measurements and tables; `figures` draws them."""

import html
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial

from ...results import Results, metric_key
from ...rows import Row
from ...stats import Estimate
from .corpus.corpus import Corpus, TracedTheorem
from .generate.measure import MEASURES as MATCHES, exact_matches, generation_rows, steps_of
from .lean.session import Session
from .lean.states import Theorem
from .retrieve import (
    MEASURES,
    SEEDED,
    Query,
    arm_of,
    ceiling,
    items_of,
    measure_scores,
    retriever,
    score_all,
)  # fmt: skip
from .search.best_first import Budget
from .search.comparison import Part, compare, declared
from .search.report import sentences
from .settings import RETRIEVERS


def overview(corpus: Corpus):
    """What is in each file, as a pandas table."""
    import pandas as pd

    rows = []
    for file in corpus.files:
        inside = [theorem for theorem in corpus.theorems if theorem.file_path == file.path]
        steps = [tactic for theorem in inside for tactic in theorem.tactics]
        rows.append({
            "file": file.path, "premises": len(file.premises), "theorems by tactics": len(inside), "steps": len(steps),
            "steps that name a premise": sum(bool(corpus.numbers(step)) for step in steps),
        })  # fmt: skip
    table = pd.DataFrame(rows).set_index("file")
    table.loc["together"] = table.sum()
    return table


def proof_html(theorem: TracedTheorem):
    """A proof state by state as HTML; premises are highlighted."""
    from IPython.display import HTML

    rows = []
    for number, step in enumerate(theorem.tactics, 1):
        marked = html.escape(step.annotated).replace("&lt;a&gt;", "<mark>").replace("&lt;/a&gt;", "</mark>")
        rows.append(
            f"<tr><td>{number}</td><td><pre>{html.escape(step.state_before)}</pre></td><td><pre>{marked}</pre></td>"
            f"<td>{', '.join(html.escape(use.full_name) for use in step.uses)}</td></tr>"
        )
    head = "<tr><th></th><th>state</th><th>tactic</th><th>premises</th></tr>"
    align = re.sub("<t([dr])>", r'<t\1 style="text-align:left;vertical-align:top">', "".join(rows))
    return HTML(f"<b>{html.escape(theorem.full_name)}</b><table>{head}{align}</table>")


def retrieval_table(
    corpus: Corpus, asked: dict[str, Sequence[Query]], retrievers: Sequence[str] = RETRIEVERS, *, seed: int = 0,
    train: dict[str, Sequence[TracedTheorem]] | None = None, n_seeds: int = 1,
) -> list[dict]:  # fmt: skip
    """Every retriever on every split, with and without the accessible filter: rows with Estimates.

    Each is an arm of a study of the split's queries. One with a random start (`SEEDED`) is trained ``n_seeds`` times,
    from ``seed`` on, on the split's training part in ``train``; its rows are pooled, an interval resamples theorems.
    """
    rows = []
    for split, some in asked.items():
        theorems = (train or {}).get(split, ())
        queried = [[query.theorem.key, query.tactic.state_before, sorted(query.positives)] for query in some]
        learned = [theorem.key for theorem in theorems]
        results = Results(f"premises, {split} split", settings=[corpus.fingerprint, queried, learned])
        for name in retrievers:
            for number in range(seed, seed + (n_seeds if name in SEEDED else 1)):
                keys = [(arm_of(name, accessible), item, number) for accessible in (True, False)
                        for item in items_of(some)]  # fmt: skip
                make = partial(_ranked, corpus, some, name, theorems, number)
                results.compute(keys, make, together=True)
        rows += _retrieval_rows(split, results)
    return rows


def _ranked(corpus, asked, name, theorems, seed, _missing) -> list[Row]:
    opened = retriever(name, corpus, theorems, seed=seed)
    states = [query.tactic.state_before for query in asked]
    return [
        row
        for accessible in (True, False)
        for row in measure_scores(
            corpus, asked, score_all(corpus, states, opened), accessible=accessible, arm=arm_of(name, accessible),
            seed=seed,
        ).rows
    ]  # fmt: skip


def _retrieval_rows(split: str, results: Results) -> list[dict]:
    columns = {measure: results.table(measure, bounds=(0, 1), pooled=True) for measure in MEASURES}
    arms = {arm: arm.partition(", ") for arm in results.arms}
    return [
        {"split": split, "retriever": name, "candidates": candidates or "accessible",
         **{measure: column[arm] for measure, column in columns.items()}}
        for arm, (name, _, candidates) in arms.items()
    ]  # fmt: skip


def generation_table(
    corpus: Corpus, parts: dict[str, dict[str, Sequence[TracedTheorem]]], generators: dict[str, tuple], *, seed: int = 0
) -> list[dict]:
    """How often each generator writes the human's tactic, first or among sixteen: rows with Estimates.

    Parameters
    ----------
    parts : {split: {"train": theorems, "test": theorems}}
    generators : {arm: (generator, retriever)}
        As `generator` and `retriever` open them; a retriever of None: no premises.
    """
    rows = []
    for split, some in parts.items():
        keys = [[theorem.key for theorem in some[part]] for part in ("train", "test")]
        about = {arm: [str(getattr(one, "name", one)) for one in pair] for arm, pair in generators.items()}
        results = Results(f"tactics, {split} split", settings=[corpus.fingerprint, keys, about, seed])
        for arm, pair in generators.items():

            def make(_missing, arm=arm, pair=pair, some=some):
                return exact_matches(corpus, some["train"], some["test"], *pair, arm=arm, seed=seed)

            results.compute([(arm, item, 0) for item in steps_of(some["test"])], make, together=True)
        rows += generation_rows(results, split)
    return rows


def tactics_table(
    corpus: Corpus, parts: dict[str, dict[str, Sequence[TracedTheorem]]], names: Sequence[str], *, seed: int = 0
) -> list[dict]:
    """`generation_table` of generators by name, each without premises, with BM25's and with as many drawn at random."""
    given = {"no premises": None, "BM25's premises": "bm25", "random premises": "random"}
    arms = {f"{name}, {what}": (name, by) for name in names for what, by in given.items()}
    return generation_table(corpus, parts, arms, seed=seed)


def tactics_metrics(rows: Sequence[dict]) -> dict[str, Estimate]:
    """For `workbench.record`: each generator's exact matches on each split."""
    return {
        f"{row['split']}.{metric_key(row['generator'])}.{metric_key(measure)}": row[measure]
        for row in rows
        for measure in MATCHES
    }


def ceiling_rows(asked: dict[str, Sequence[Query]]) -> list[dict]:
    """The row of a perfect retriever for each split, to set beside `retrieval_table`."""
    return [row for split, some in asked.items() for row in _retrieval_rows(split, ceiling(some))]


def database_overview(corpus: Corpus, asked: dict[str, Sequence[Query]]):
    """What a Metamath database holds and what is asked of it, as a pandas table."""
    import pandas as pd

    kinds = Counter(premise.kind for premise in corpus.premises)
    cited = [len(theorem.tactics[0].uses) for theorem in corpus.theorems]
    rows = {
        "premises": len(corpus.premises),
        "of them axioms and definitions": kinds["axiom"],
        "complete proofs": len(corpus.theorems),
        "premises a proof cites, on average": round(sum(cited) / max(len(cited), 1), 1),
        "premises that no proof cites": len(corpus.premises)
        - len({use.full_name for theorem in corpus.theorems for use in theorem.tactics[0].uses}),
        **{f"proofs asked, {split} split": len(some) for split, some in asked.items()},
    }
    return pd.DataFrame({"what": list(rows), "value": list(rows.values())}, dtype=object)


def prove_splits(
    sessions: Sequence[Session], corpus: Corpus, parts: dict[str, Sequence[Part]], provers: Sequence[str], *,
    calls: int, generator: str = "small", seed: int = 0, progress: bool = False,
) -> dict[str, Results]:  # fmt: skip
    """The provers of these names on every split: {split: `compare`'s rows}.

    ``parts`` holds of each split [(training theorems, names asked)]: one pair, or one a fold.
    """
    chosen = declared(provers, generator)
    return {
        split: compare(f"proofs, {split}", corpus, some, chosen, Budget(calls), sessions=sessions, seed=seed,
                       progress=progress)
        for split, some in parts.items()
    }  # fmt: skip


def prove_own(sessions: Sequence[Session], corpus: Corpus, theorems: Sequence[Theorem], provers: Sequence[str], *,
              calls: int, generator: str = "small", seed: int = 0):  # fmt: skip
    """Theorems of one's own, with all traced theorems to learn from: a pandas table, a row a theorem and prover."""
    chosen = declared(provers, generator)
    found = compare("own theorems", corpus, [(corpus.theorems, theorems)], chosen, Budget(calls), sessions=sessions,
                    seed=seed)  # fmt: skip
    columns = {"item": "theorem", "arm": "prover"}
    wanted = ["item", "arm", "status", "proof", "calls", "why not", "proved, in full"]
    return found.frame()[wanted].rename(columns=columns)


def verdict(rows: Sequence[dict], proofs: dict[str, Results], library: str) -> str:
    """What `retrieval_table` and `prove_splits` found: sentences that follow from the numbers."""
    said = []
    for split in dict.fromkeys(row["split"] for row in rows):
        recall = {row["retriever"]: row["recall@10"] for row in rows
                  if row["split"] == split and row["candidates"] == "accessible"}  # fmt: skip
        chance = recall.pop("random")
        most = 1 if chance.high is None else chance.high  # an end at 0 is an end
        told = [
            f"{name} {e} ({'above' if (e.low or 0) > most else 'not told apart from'} a random order)"
            for name, e in recall.items()
        ]
        said.append(f"{split} split: {', '.join(told)}, random order {chance}, {chance.n} steps")
    proved = " ".join(sentences(proofs)) or "No proof was tried."
    return (
        f"Premise retrieval in {library}, share of the right premises among the first ten "
        f"(Recall@10): {'; '.join(said)}. {proved}"
    )
