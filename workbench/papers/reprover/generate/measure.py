"""How often a generator writes the human's own tactic, without any Lean: exact match at 1 and at 16.

A lower bound of its use (another tactic may do as well), and no proof of anything; the share of the tactics that some
training step has, word for word, stands beside: a copy of the training part could reach that, and no more.
"""

from collections.abc import Sequence

from ....errors import UsageError
from ....results import Results
from ....rows import Row
from ..corpus.corpus import Corpus, TracedTheorem
from ..retrieve import Question, retriever, top
from .opening import generator

MOST = 16
AT_ONCE = 32  # states given to a generator together
MEASURES = ("exact@1", f"exact@{MOST}")


def exact_matches(
    corpus: Corpus, train: Sequence[TracedTheorem], test: Sequence[TracedTheorem], spec, by=None, *, arm: str,
    k: int = 10, seed: int = 0,
) -> list[Row]:  # fmt: skip
    """A row a step of ``test``: whether the human's tactic is the first, or among the first `MOST`, proposals.

    Parameters
    ----------
    spec : what `generator` opens
    by : what `retriever` opens, or None
        The generator is given its ``k`` best accessible premises; None: it is given none.
    """
    steps = steps_of(test)
    questions = [Question(step.state_before, one.file_path, one.start) for one, step in steps.values()]
    chosen: list[list] = [[] for _ in questions]
    if by is not None:
        found = top(corpus, questions, retriever(by, corpus, train, seed=seed), k)
        chosen = [[premise for premise, _ in some] for some in found]
    opened, proposed = generator(spec, corpus, train, seed=seed), []
    for first in range(0, len(questions), AT_ONCE):
        states = [question.state for question in questions[first : first + AT_ONCE]]
        proposed += opened.propose(states, chosen[first : first + AT_ONCE], MOST)
    known = {step.tactic for one in train for step in one.tactics}
    rows = []
    for (item, (theorem, step)), some in zip(steps.items(), proposed, strict=True):
        texts = [text for text, _ in some[:MOST]]
        measures = {
            "exact@1": texts[:1] == [step.tactic], f"exact@{MOST}": step.tactic in texts,
            "verbatim in train": step.tactic in known,
        }  # fmt: skip
        reply = "\n".join(f"{value:.2f} {text}" for text, value in some[:MOST])
        rows.append(Row(arm, item, 0, str(theorem.key), measures, {}, f"{step.state_before}\n{step.tactic}", reply))
    return rows


def steps_of(theorems: Sequence[TracedTheorem]) -> dict:
    """The steps by their names in results: the theorem's name and the step's number; `UsageError` if there is none."""
    if not any(one.tactics for one in theorems):
        raise UsageError("there is no step to write: these theorems have no tactic; choose another split")
    return {f"{one.full_name} {number}": (one, step) for one in theorems for number, step in enumerate(one.tactics, 1)}


def generation_rows(results: Results, split: str) -> list[dict]:
    """A row a generator, with intervals that resample theorems."""
    columns = {
        measure: results.table(measure, bounds=(0, 1), pooled=True) for measure in (*MEASURES, "verbatim in train")
    }  # fmt: skip
    return [
        {"split": split, "generator": arm, **{measure: column[arm] for measure, column in columns.items()}}
        for arm in results.arms
    ]
