"""Which of the examples in a prompt taught the answer?

The players are the examples, the worth of a set of them is the margin log p(answer) - log p(foil) with only these in
the prompt, in their order. Leave-one-out takes one away from all; Shapley values average what an example adds over all
orders in which the examples could have come (exact up to 8 examples: every subset is scored once, in few forwards,
because prompts that begin alike share their beginning).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from ....errors import UsageError
from ....models import require
from ....models.prefix.packed import packed_next
from ..tokens import answer_tokens, prompt_ids

METHODS = ("shapley", "leave_one_out")
MOST = 8  # examples: 2^8 prompts


@dataclass(frozen=True)
class ExampleInfluence:
    """What each example adds to the margin.

    Attributes
    ----------
    scores : (E,)
        In nats. Shapley values add up to ``full`` - ``none``.
    full, none : float
        The margin with all examples and with none.
    gap : float
        |sum of scores - (full - none)|; about 0 for Shapley values, whatever it is for leave-one-out.
    evaluations : int
        Prompts scored.
    """

    examples: tuple[tuple[str, str], ...]
    query: str
    method: str
    scores: np.ndarray
    full: float
    none: float
    gap: float
    evaluations: int

    def frame(self):
        """One row an example."""
        import pandas as pd

        return pd.DataFrame(
            [(q, a, s) for (q, a), s in zip(self.examples, self.scores)], columns=["question", "answer", "score (nats)"]
        )


def example_influence(
    model,
    examples: Sequence[Sequence[str]],
    query: str,
    answer: str,
    foil: str,
    *,
    method: str = "shapley",
    template: str = "Q: {}\nA:{}",
) -> ExampleInfluence:
    """Influence of every example on the margin between ``answer`` and ``foil`` behind ``query``.

    Parameters
    ----------
    model : Model
        Needs "logprobs" and "hidden" (a local model).
    examples : sequence of (question, answer)
        At most 8 for "shapley".
    query, answer, foil : str
        The answer with its leading space; first tokens are read.
    template : str
        One example; the two places are filled with question and answer (with its leading space). Examples are parted by
        an empty line; the query stands in the same frame with its answer left open.

    Raises
    ------
    UsageError
        No examples, too many, an unknown method, a template without two places.
    """
    require(model, "logprobs", for_="the influence of examples")
    examples = list(examples)
    wrong = [row for row in examples if isinstance(row, str) or len(row) != 2]
    if wrong:
        raise UsageError(f"{wrong[0]!r} is no example: give (question, answer) pairs")
    examples = tuple((str(q), str(a)) for q, a in examples)
    if method not in METHODS:
        raise UsageError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}")
    if not examples or (method == "shapley" and len(examples) > MOST):
        raise UsageError(f"there are {len(examples)} examples: give 1 to {MOST}, or method='leave_one_out' for more")
    if template.count("{}") != 2:
        raise UsageError(f"the template {template!r} has {template.count('{}')} places {{}}: give it two")
    tokens = answer_tokens(model, answer, foil)
    count = len(examples)
    everyone = tuple(range(count))
    if method == "shapley":
        sets = [some for size in range(count + 1) for some in combinations(everyone, size)]
    else:
        sets = [everyone, (), *(tuple(j for j in everyone if j != i) for i in everyone)]

    before, between, after = template.split("{}")  # not str.format: other braces are the user's own text

    def filled(question, said):
        return f"{before}{question}{between}{said}{after}"

    def prompt(some):
        shown = [filled(q, f" {a.strip()}") for q, a in (examples[i] for i in some)]
        return "\n\n".join([*shown, filled(query, "").rstrip()])

    sets = sorted(dict.fromkeys(sets))  # equal beginnings stand next to one another
    found = packed_next(model, [prompt_ids(model, prompt(some)) for some in sets], lambda rows: rows[:, list(tokens)])
    worth = dict(zip(sets, (found[:, 0] - found[:, 1]).double().tolist(), strict=True))
    scores = np.zeros(count)
    for i in everyone:
        if method == "leave_one_out":
            scores[i] = worth[everyone] - worth[tuple(j for j in everyone if j != i)]
            continue
        for some in sets:
            if i not in some:
                weight = 1 / (count * comb(count - 1, len(some)))
                scores[i] += weight * (worth[tuple(sorted((*some, i)))] - worth[some])
    full, none = worth[everyone], worth[()]
    return ExampleInfluence(
        examples, query, method, scores, full, none, float(abs(scores.sum() - (full - none))), len(sets)
    )
