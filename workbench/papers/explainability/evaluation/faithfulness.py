"""The faithfulness table: methods beside each other and beside random, on many prompts, with intervals.

Nothing is ranked inside an interval. Every method is compared with random orders of the same prompts' tokens (paired,
Wilcoxon, Holm over the methods), and every two methods with each other the same way; rows come in the order of
`METHODS`, never by result.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from ....errors import UsageError
from ....stats import Paired, holm, mean_interval, paired_test
from ..attribution.methods import attribute
from ..attribution.result import Attribution
from ..settings import METHODS, REMOVALS, get_method
from ..tokens import MethodRefused, check_removal
from .removal import SHARES, erase, erasure_game, protected

CONTROL = "the control"
COSTS = ("evaluations", "tokens", "seconds")


@dataclass(eq=False)
class FaithfulnessTable:
    """Methods beside each other and beside random.

    Attributes
    ----------
    table : DataFrame
        A row a method and removal, with the columns method, removal, n (prompts); comprehensiveness and sufficiency
        (Estimates: loss of probability, mean over prompts and shares, see `removal`; large, and small, are good);
        above_random (paired difference of comprehensiveness, method minus the mean of the random orders), p_value (of
        that difference, Holm over the methods under this removal), verdict ("above random", "not separable from
        random", "below random"; "the control" for random itself, which has no difference), sufficiency_gain (paired
        difference, random minus method: positive is better than random); evaluations, tokens and seconds (means a
        prompt of the explanation itself); separable_from (methods it differs from by a paired test, with the sign:
        "> rollout" or "< occlusion").
    pairs : DataFrame
        Every two methods under one removal: a, b, removal, difference of comprehensiveness a - b, p_value (Holm over
        all pairs), separable.
    attributions : {method: [Attribution of each prompt]}
    values : {(method, removal): {"comprehensiveness": [a number a prompt], "sufficiency": […]}}
    left_out : int
        Prompts whose target was less probable than ``least_probability``.
    """

    table: Any
    pairs: Any
    attributions: dict[str, list[Attribution]]
    values: dict[tuple[str, str], dict[str, list[float]]]
    left_out: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list:
        """The rows of ``table``, each with its columns as attributes."""
        return list(self.table.itertuples(index=False, name="Row"))

    def to_frame(self):
        """``table`` for people: titles, and numbers as text with their intervals."""
        import pandas as pd

        table = self.table
        return pd.DataFrame(
            {
                "method": [METHODS[method].title for method in table.method], "removal": table.removal,
                "prompts": table.n, "comprehensiveness": table.comprehensiveness.map(str),
                "sufficiency": table.sufficiency.map(str),
                "above random": ["" if found is None else str(found) for found in table.above_random],
                "verdict": table.verdict, "differs from": table.separable_from.map(", ".join),
                "evaluations": table.evaluations.round(1), "tokens": table.tokens.round().astype(int),
                "seconds": table.seconds.round(2),
            }
        )  # fmt: skip

    def _repr_html_(self) -> str:
        import html

        said = "".join(f"<div>{html.escape(note)}</div>" for note in self.notes)
        return self.to_frame().to_html(index=False, border=0) + f'<div style="color:#444">{said}</div>'

    def figure(self):
        """Comprehensiveness with intervals, a panel a removal, random as a band: `figures.faithfulness_figure`."""
        from ..figures import faithfulness_figure

        return faithfulness_figure(self)


def faithfulness_table(
    model, items: Iterable, methods: Sequence[str] | None = None, *, removals: Sequence[str] = REMOVALS,
    shares: Sequence[float] = SHARES, samples: int | Mapping[str, int] | None = None, random_draws: int = 5,
    seed: int = 0, level: float = 0.95, least_probability: float = 0.0,
    attributions: Mapping[str, Sequence[Attribution]] | None = None, progress: bool = False,
) -> FaithfulnessTable:  # fmt: skip
    """Explain every prompt by every method, erase, and compare with random.

    Parameters
    ----------
    model : Model
    items : iterable
        (prompt, target) pairs, or objects with ``prompt`` and ``target`` or ``answer``.
    methods : sequence of str, optional
        Keys of `METHODS`; default all. Random is always measured.
    removals : sequence of str
        Ways of removing that the evaluation uses. The explanations themselves are made once, with their own.
    shares : sequence of float
    samples : int or {method: int}, optional
        As in `compare`.
    random_draws : int
        Random orders a prompt, their mean being random's value.
    seed : int
        Methods that sample, and the random orders.
    level : float
        Of the intervals, and 1 - level is what a test must stay below.
    least_probability : float
        Prompts whose target is less probable are left out (where nothing can be lost, nothing is measured).
    attributions : {method: [Attribution of each item]}, optional
        Explanations that were already made are taken from here; the rest is made.
    progress : bool

    Raises
    ------
    MethodRefused
        The only method is refused for this model (of several it is left out, and a note says so).
    UsageError
        No item, an item without prompt or target, an unknown method, or no prompt left.
    """
    from tqdm.auto import tqdm

    asked = list(METHODS) if methods is None else list(methods)
    for method in asked:
        get_method(method)
    asked = [method for method in METHODS if method in asked and method != "random"] + ["random"]
    for removal in removals:
        check_removal(removal)
    if not removals:
        raise UsageError("removals is empty: give replace, delete or both")
    if random_draws < 1:
        raise UsageError(f"random_draws={random_draws}: give at least one random order a prompt")
    pairs = [_pair(item) for item in items]
    for method, ready in (attributions or {}).items():
        if [(one.prompt, one.target) for one in ready] != pairs:
            raise UsageError(f"attributions of {method} are not of these items: give one for each, in their order")
    count = samples.get if isinstance(samples, Mapping) else lambda method: samples
    made, attributions = attributions or {}, {method: [] for method in asked}
    refused: dict[str, MethodRefused] = {}
    values = {(m, r): {"comprehensiveness": [], "sufficiency": []} for m in asked for r in removals}
    left_out = 0
    for item, (prompt, target) in enumerate(tqdm(pairs, disable=not progress, desc="prompts", leave=False)):
        control = attribute(model, prompt, target, method="random", seed=seed + item)
        if np.exp(control.value) < least_probability:
            left_out += 1
            continue
        for method in asked[:-1]:
            try:
                attributions[method].append(
                    made[method][item]
                    if method in made
                    else attribute(model, prompt, target, method=method, samples=count(method), seed=seed)
                )
            except MethodRefused as error:  # of one prompt is of the table: its rows stand for all prompts
                refused[method] = error
                if len(asked) == 2:
                    raise
                asked = [name for name in asked if name != method]
                del attributions[method]
        attributions["random"].append(control)
        rng = np.random.default_rng([seed, item])
        orders = [(method, protected(attributions[method][-1])) for method in asked[:-1]]
        places = sorted(protected(control))
        orders += [("random", list(rng.permutation(places))) for _ in range(random_draws)]
        for removal in removals:
            game = erasure_game(model, control, removal=removal, quantity="probability")
            found: dict[str, list] = {}
            for one in erase(game, orders, shares):
                found.setdefault(one.method, []).append((one.comprehensiveness, one.sufficiency))
            for method, numbers in found.items():
                comprehensive, sufficient = np.mean(numbers, axis=0)
                values[method, removal]["comprehensiveness"].append(float(comprehensive))
                values[method, removal]["sufficiency"].append(float(sufficient))
    if not attributions["random"]:
        raise UsageError(
            f"faithfulness_table has no prompt to measure ({left_out} were left out, their targets being less probable "
            f"than {least_probability}): give others"
        )
    values = {key: found for key, found in values.items() if key[0] in asked}
    table = _table(asked, removals, tuple(shares), attributions, values, left_out, level)
    table.notes.extend(f"{METHODS[name].title} is left out: {error}" for name, error in refused.items())
    return table


def _pair(item):
    prompt = getattr(item, "prompt", None)
    target = getattr(item, "target", None) or getattr(item, "answer", None)
    if prompt is not None and target is not None:
        return prompt, target
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 2:
        return tuple(item)
    raise UsageError(f"an item is a (prompt, target) pair or has .prompt and .answer, not {item!r}")


def _table(methods, removals, shares, attributions, values, left_out, level) -> FaithfulnessTable:
    import pandas as pd

    n, tried = len(attributions["random"]), methods[:-1]
    costs = {
        method: {cost: float(np.mean([getattr(one.cost, cost) for one in attributions[method]])) for cost in COSTS}
        for method in methods
    }
    rows, pairs = [], []
    for removal in removals:
        numbers = {method: values[method, removal] for method in methods}
        chance = numbers["random"]
        tests = {m: _test(numbers[m]["comprehensiveness"], chance["comprehensiveness"], level) for m in tried}
        adjusted = dict(zip(tried, holm([test.p_value for test in tests.values()]), strict=True))
        both = list(combinations(tried, 2))
        against = [_test(numbers[a]["comprehensiveness"], numbers[b]["comprehensiveness"], level) for a, b in both]
        differ = {method: [] for method in methods}
        for (a, b), test, p_value in zip(both, against, holm([t.p_value for t in against]), strict=True):
            separable = p_value < 1 - level
            pairs.append((a, b, removal, test.difference, p_value, separable))
            if separable:
                more, less = (a, b) if test.difference.value > 0 else (b, a)
                differ[more].append(f"> {less}")
                differ[less].append(f"< {more}")
        for method in methods:
            mean = {name: mean_interval(found, level=level, bounds=(-1, 1)) for name, found in numbers[method].items()}
            row = {"method": method, "removal": removal, "n": n, **mean}
            row |= {"above_random": None, "p_value": None, "verdict": CONTROL, "sufficiency_gain": None}
            if method in tests:
                row |= {
                    "above_random": tests[method].difference, "p_value": adjusted[method],
                    "verdict": _verdict(tests[method], adjusted[method], level),
                    "sufficiency_gain": _test(chance["sufficiency"], numbers[method]["sufficiency"], level).difference,
                }  # fmt: skip
            rows.append({**row, **costs[method], "separable_from": tuple(differ[method])})
    notes = [
        f"{n} prompts, shares {', '.join(f'{share:.0%}' for share in shares)}; rows come in a fixed order, not by "
        "result. Differences are paired (Wilcoxon, Holm); only 'differs from' says that two methods differ.",
    ]
    if len(methods[:-1]) * 2.0 ** (1 - n) >= 1 - level:  # the least p value of n pairs, times Holm's first factor
        notes.append(
            f"With {n} prompts and {len(methods) - 1} methods no Wilcoxon test can fall below {1 - level:.2g} after "
            "Holm's correction: nothing is separable at this size."
        )
    if left_out:
        notes.append(f"{left_out} prompts were left out: the model gives their target too little probability.")
    names = ["a", "b", "removal", "difference", "p_value", "separable"]
    return FaithfulnessTable(
        pd.DataFrame(rows), pd.DataFrame(pairs, columns=names), attributions, values, left_out, notes
    )


def _test(a, b, level) -> Paired:
    if len(a) < 2:
        return Paired(mean_interval(np.subtract(a, b), level=level), 1.0, "none: one prompt")
    return paired_test(a, b, level=level)


def _verdict(test: Paired, p_value: float, level: float) -> str:
    if not p_value < 1 - level:
        return "not separable from random"
    return "above random" if test.difference.value > 0 else "below random"
