"""The notebook's measurements and tables; `figures` draws them."""

import html
import re
from collections import Counter
from collections.abc import Sequence

from tqdm.auto import tqdm

from ...stats import proportion_interval
from .baseline import Attempt, attempt, majority_tactic
from .corpus.corpus import Corpus, TracedTheorem
from .lean.session import Session
from .lean.states import Theorem
from .retrieve import RETRIEVERS, Query, ceiling, evaluate


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
    corpus: Corpus, asked: dict[str, Sequence[Query]], retrievers: Sequence[str] = RETRIEVERS, *, seed: int = 0
):
    """Every retriever on every split, with and without the accessible filter: a list of rows with Estimates."""
    return [
        {"split": split, "retriever": name, "candidates": "accessible" if accessible else "all",
         **evaluate(corpus, some, name, accessible=accessible, seed=seed).estimates()}
        for split, some in asked.items() for name in retrievers for accessible in (True, False)
    ]  # fmt: skip


def ceiling_rows(asked: dict[str, Sequence[Query]]) -> list[dict]:
    """The row of a perfect retriever for each split, to set beside `retrieval_table`."""
    return [
        {"split": split, "retriever": "best possible", "candidates": "accessible", **ceiling(some).estimates()}
        for split, some in asked.items()
    ]


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
    return pd.DataFrame({"": rows.values()}, index=list(rows), dtype=object)


def floor(session: Session, train: Sequence[TracedTheorem], names: Sequence[str | Theorem], *, calls: int,
          progress: bool = True) -> dict[str, list[Attempt]]:  # fmt: skip
    """The two provers of the floor on the same theorems: the majority tactic once, the fixed list within ``calls``."""
    commonest = majority_tactic(train)
    found: dict[str, list[Attempt]] = {f"majority tactic ({commonest})": [], f"fixed list, {calls} calls": []}
    for name in tqdm(names, desc="proving", unit="theorem", disable=not progress):
        one, many = found.values()
        one.append(attempt(session, name, tactics=[commonest], calls=1))
        many.append(attempt(session, name, calls=calls))
    return found


def floor_table(found: dict[str, list[Attempt]]) -> list[dict]:
    """Pass@1 with intervals. As in the reference, a theorem that does not open is not counted; it is reported."""
    rows = []
    for prover, tried in found.items():
        opened = [one for one in tried if one.status != "not opened"]
        proved = sum(one.status == "proved" for one in opened)
        rows.append({
            "prover": prover, "proved": proved, "of": len(opened),
            "pass@1": proportion_interval(proved, len(opened)) if opened else None,
            "not opened": len(tried) - len(opened),
            "rejected by the kernel": sum(one.status == "rejected" for one in opened),
            "calls a theorem": sum(one.calls for one in opened) / max(len(opened), 1),
            "seconds": round(sum(one.seconds for one in tried), 1),
        })  # fmt: skip
    return rows
