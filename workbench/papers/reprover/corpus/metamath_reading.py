"""A Metamath database as a `Corpus`: every proof is one step, and what it cites are its premises.

- Premises are the assertions of typecode ``|-``, axioms and definitions (``$a``) and theorems (``$p``) alike.
- Syntax axioms and syntax theorems (any other typecode: ``wff ( ph -> ps )``) are neither candidates nor positives:
  a proof cites them to build formulas, which Lean's elaborator does unseen; there is nothing to select.
- A theorem with a complete proof is one `TracedTheorem` with one `Tactic`: the state before it is its statement, after
  its essential hypotheses; the uses are the assertions it applies, each once. One with an unknown step ``?`` is a
  premise for later ones, but asks for none: what it cites is not all it needs.
- Accessible is what ends before the theorem starts: in one file, in the order of the database.
"""

import os
from pathlib import Path

from ....errors import DataError
from ..retrieve import Query, queries
from .corpus import SEED, SPLITS, Corpus, File, Premise, Tactic, TracedTheorem, Use
from .metamath import read_metamath

KINDS = {"$a": "axiom", "$p": "theorem"}
HELD_OUT = 2000  # for validation and again for the test, as the paper does (card); a tenth each if there are few


def metamath_corpus(path: str | os.PathLike, *, typecode: str = "|-") -> Corpus:
    """Read a database for premise selection.

    Parameters
    ----------
    path : path
        A file ``NAME.mm``; it may include others of its folder.
    typecode : str
        What stands before statements that are asserted as true.

    Raises
    ------
    DataError
        The file breaks the specification (see `read_metamath`), is not called ``.mm``, or asserts nothing.
    """
    path = Path(path)
    if path.suffix != ".mm":
        raise DataError(f"{path} is not called NAME.mm; give a Metamath database")
    premises: list[Premise] = []
    theorems: list[TracedTheorem] = []
    uses: dict[str, Use] = {}  # one for each premise, shared by all that cite it
    for one in read_metamath(path):
        if one.statement[0] != typecode:
            continue
        parts = (*(hypothesis.statement for hypothesis in one.essential), one.statement)
        text = "\n".join(" ".join(part) for part in parts)  # the essential hypotheses, a line each, then the statement
        if one.kind == "$p" and None not in one.steps:
            cited = [uses[step] for step in dict.fromkeys(one.steps) if step in uses]
            names = [use.full_name for use in cited]
            marked = " ".join(f"<a>{name}</a>" for name in names)
            step = Tactic(" ".join(names), marked, tuple(cited), text, "no goals")
            theorems.append(TracedTheorem(path.name, one.label, one.start, one.end, (step,)))
        premises.append(Premise(one.label, path.name, text, one.start, one.end, KINDS[one.kind]))
        uses[one.label] = Use(one.label, path.name, one.start, one.end)
    if not premises:
        raise DataError(f"{path} asserts nothing of typecode {typecode!r}; name another with typecode=")
    return Corpus((File(path.name, (), tuple(premises)),), tuple(theorems))


def database_queries(corpus: Corpus, n: int = 0, *, seed: int = SEED) -> dict[str, list[Query]]:
    """{split: the proofs asked for their premises}: both splits, of each the first ``n`` of the test part (0: all).

    The test part stands in a seeded random order, so its first proofs are a sample; the same ``n`` gives the same ones.
    """
    held = min(HELD_OUT, len(corpus.theorems) // 10)
    parts = {name: make(corpus.theorems, held, held, seed=seed) for name, make in SPLITS.items()}
    return {name: queries(corpus, part["test"])[: n or None] for name, part in parts.items()}
