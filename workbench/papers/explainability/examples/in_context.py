"""Which of the examples in a prompt taught the answer?

The players are the examples, the worth of a set of them is the margin log p(answer) - log p(foil) with only these in
the prompt, in their order. Leave-one-out takes one away from all; Shapley values average what an example adds over all
orders in which the examples could have come (exact up to 8 examples: every subset is scored once, in few forwards,
because prompts that begin alike share their beginning).
"""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np

from ....errors import UsageError
from ....models import require
from ....models.prefix.packed import packed_next
from ....results import Results
from ....rows import Row
from ..attribution.perturbation import exact_shapley, occlusion
from ..tokens import answer_tokens, prompt_ids

METHODS = ("shapley", "leave_one_out")
MOST = 8  # examples: 2^8 prompts


def example_influence(
    model,
    examples: Sequence[Sequence[str]],
    query: str,
    answer: str,
    foil: str,
    *,
    method: str = "shapley",
    template: str = "Q: {}\nA:{}",
) -> Results:
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
        an empty line; the query has the same frame with its answer left open.

    Returns
    -------
    Results
        A row an example. Measures, in nats: "score"; "full" and "none", the margin with all examples and without any
        (Shapley values add up to the difference). Cost: "evaluations", the prompts scored for all of them.

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
    before, between, after = template.split("{}")  # not str.format: other braces are the user's own text

    def filled(question, said):
        return f"{before}{question}{between}{said}{after}"

    def prompt(stays):
        shown = [filled(q, f" {a.strip()}") for (q, a), stay in zip(examples, stays) if stay]
        return "\n\n".join([*shown, filled(query, "").rstrip()])

    known: dict[tuple[bool, ...], float] = {}

    def of(stays):  # (M, E) bool, which examples stay -> (M,) margins
        rows = [tuple(row) for row in np.atleast_2d(stays).tolist()]
        new = sorted(set(rows) - known.keys(), reverse=True)  # prompts that begin alike lie next to one another
        if new:
            found = packed_next(model, [prompt_ids(model, prompt(row)) for row in new], lambda r: r[:, list(tokens)])
            known.update(zip(new, (found[:, 0] - found[:, 1]).double().tolist(), strict=True))
        return np.array([known[row] for row in rows])

    def influence(_missing) -> Iterator[Row]:
        game = SimpleNamespace(free=range(count), of=of)
        scores = exact_shapley(game) if method == "shapley" else occlusion(game)
        full, none = of([[True] * count, [False] * count]).tolist()
        for (_, item, _), score, (_, said) in zip(keys, scores, examples, strict=True):
            measures, cost = {"score": score, "full": full, "none": none}, {"evaluations": len(known)}
            yield Row(method, item, 0, query, measures, {"answer": said}, prompt([True] * count), "", cost)

    results = Results("examples in the prompt", model=model, settings=[examples, query, answer, foil, template])
    keys = [(method, f"{number} {question}", 0) for number, (question, _) in enumerate(examples, 1)]
    results.compute(keys, influence, together=True)
    return results
