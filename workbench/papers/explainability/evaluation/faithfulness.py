"""The faithfulness table: methods beside each other and beside random, on many prompts, with intervals.

Nothing is ranked inside an interval. Every method is compared with random orders of the same prompts' tokens (paired,
Wilcoxon, Holm over the methods), and every two methods with each other the same way; rows come in the order of
`METHODS`, never by result.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations
from typing import Any

import numpy as np

from ....errors import UsageError
from ....results import Results
from ....rows import Key, Row
from ..attribution.game import Cost
from ..attribution.methods import attribute
from ..attribution.result import Attribution
from ..settings import METHODS, REMOVALS, get_method
from ..tokens import MethodRefused, check_removal
from .removal import SHARES, erase, erasure_game, protected

CONTROL = "the control"
COSTS = ("evaluations", "tokens", "seconds")
ALPHA = 0.05  # a corrected p value below it separates


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
    results : Results
        Arms are the methods, items the prompts. Measures: "replace.comprehensiveness" and the like; the target's
        "probability"; "value", "baseline" and "gap" of the attribution. The reply is a token and its score a line.
    attributions : {method: [Attribution of each prompt]}
    """

    table: Any
    pairs: Any
    results: Results
    attributions: dict[str, list[Attribution]]
    notes: list[str]

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

    def sentence(self, model: str) -> str:
        """Which methods are above random orders on ``model``, a sentence a removal; the others are not called worse."""
        said = []
        for removal in dict.fromkeys(self.table.removal):
            rows = [row for row in self.rows if row.removal == removal and row.verdict != CONTROL]
            told = [f"{METHODS[row.method].title} {row.verdict.removesuffix(' random')} by {row.above_random}"
                    for row in rows if row.verdict != "not separable from random"]  # fmt: skip
            found = "; ".join(told) or "no method is told apart from random"
            said.append(
                f"{model}, {rows[0].n if rows else 0} prompts, removal by {removal!r}, comprehensiveness over random "
                f"orders (Holm over {len(rows)} methods): {found}."
            )
        return " ".join(said)

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
    seed: int = 0, least_probability: float = 0.0, attributions: Mapping[str, Sequence[Attribution]] | None = None,
    progress: bool = False,
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
    from ....bars import tqdm

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
    ready = attributions or {}
    for method, some in ready.items():
        if [(one.prompt, one.target) for one in some] != pairs:
            raise UsageError(f"attributions of {method} are not of these items: give one for each, in their order")
    given = {method: [one.scores.tolist() for one in some] for method, some in ready.items()}
    results = Results(
        "faithfulness", model=model, settings=[pairs, asked, removals, shares, samples, random_draws, given]
    )
    count = samples.get if isinstance(samples, Mapping) else lambda method: samples
    made: dict[tuple[str, str], Attribution] = {}

    @cache
    def control(item: int) -> Attribution:
        return attribute(model, *pairs[item], method="random", seed=seed + item)

    def explained(item: int, wanted: Sequence[Key]) -> Iterator[Row]:
        """The rows of one prompt; what its explanations name is erased in common forwards."""
        found, refused = {}, {}
        for method in [method for method, *_ in wanted if method != "random"]:
            try:
                found[method] = (
                    ready[method][item] if method in ready
                    else attribute(model, *pairs[item], method=method, samples=count(method), seed=seed)
                )  # fmt: skip
            except MethodRefused as error:
                if len(asked) == 2:
                    raise
                refused[method] = {"refused": str(error)}
        places, rng = sorted(protected(control(item))), np.random.default_rng([seed, item])
        orders = [(method, protected(one)) for method, one in found.items()]
        orders += [("random", list(rng.permutation(places))) for _ in range(random_draws)]
        found["random"] = control(item)
        measures: dict[str, dict] = {method: {} for method in found}
        for removal in removals:
            game = erasure_game(model, control(item), removal=removal, quantity="probability")
            erased = erase(game, orders, shares)
            for method in found:
                numbers = [(one.comprehensiveness, one.sufficiency) for one in erased if one.method == method]
                names = f"{removal}.comprehensiveness", f"{removal}.sufficiency"
                measures[method] |= zip(names, np.mean(numbers, axis=0), strict=True)
        for method, one in found.items():
            made[method, str(item)] = one
            yield _row(one, str(item), seed, measures[method])
        yield from (Row(method, str(item), seed, labels=why) for method, why in refused.items())

    kept = [n for n in range(len(pairs)) if not least_probability or np.exp(control(n).value) >= least_probability]
    if not kept:
        raise UsageError(
            f"faithfulness_table has no prompt to measure ({len(pairs)} were left out, their targets being less "
            f"probable than {least_probability}): give others"
        )
    refused: dict[str, str] = {}  # of one prompt is of the table: its rows stand for all prompts
    for item in tqdm(kept, disable=not progress, desc="prompts", leave=False):
        keys = [(method, str(item), seed) for method in asked if method not in refused]
        results.compute(keys, partial(explained, item), together=True)
        refused = {row.arm: row.labels["refused"] for row in results.rows if "refused" in row.labels}
    results.rows = [row for row in results.rows if row.arm not in refused]
    explanations: dict[str, list[Attribution]] = {method: [] for method in results.arms}
    for row in results.rows:
        own = control(int(row.item)) if row.arm == "random" else made.get((row.arm, row.item))
        explanations[row.arm].append(own or _read(row, control(int(row.item))))
    notes = [
        f"{len(kept)} prompts, shares {', '.join(f'{share:.0%}' for share in shares)}; rows come in a fixed order, not "
        "by result. Differences are paired (Wilcoxon, Holm); only 'differs from' says that two methods differ.",
    ]
    tried = len(explanations) - 1
    if tried * 2.0 ** (1 - len(kept)) >= ALPHA:  # the least p value of so many pairs, times Holm's first factor
        notes.append(
            f"With {len(kept)} prompts and {tried} methods no Wilcoxon test can fall below {ALPHA} after Holm's "
            "correction: nothing is separable at this size."
        )
    if len(kept) < len(pairs):
        left = len(pairs) - len(kept)
        notes.append(f"{left} prompts were left out: the model gives their target too little probability.")
    notes += [f"{METHODS[name].title} is left out: {why}" for name, why in refused.items()]
    return FaithfulnessTable(*tables_of(results, removals), results, explanations, notes)


def _pair(item):
    prompt = getattr(item, "prompt", None)
    target = getattr(item, "target", None) or getattr(item, "answer", None)
    if prompt is not None and target is not None:
        return prompt, target
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 2:
        return tuple(item)
    raise UsageError(f"an item is a (prompt, target) pair or has .prompt and .answer, not {item!r}")


def _row(one: Attribution, item: str, seed: int, measures: dict) -> Row:
    gap = np.nan if one.gap is None else one.gap
    scores = "\n".join(f"{token!r} {float(score)!r}" for token, score in zip(one.tokens, one.scores, strict=True))
    return Row(
        one.method, item, seed, "", measures | {"value": one.value, "baseline": one.baseline, "gap": gap},
        {"target": one.target}, one.prompt, scores, vars(one.cost) | {"samples": one.samples},
    )  # fmt: skip


def _read(row: Row, control: Attribution) -> Attribution:
    """The attribution that a row of an earlier run holds; ``control`` is another one of the same question."""
    costs, gap = dict(row.cost), row.measures["gap"]
    return replace(
        control, method=row.arm, scores=np.array([float(line.rpartition(" ")[2]) for line in row.reply.split("\n")]),
        value=row.measures["value"], baseline=row.measures["baseline"], gap=None if np.isnan(gap) else gap,
        samples=costs.pop("samples"), cost=Cost(**costs), seed=row.seed,
        removal="delete" if row.arm == "occlusion_delete" else control.removal,
        **({"quantity": "logit", "held": ()} if row.arm == "decomposition" else {}),
    )  # fmt: skip


def tables_of(results: Results, removals: Sequence[str]):
    """`FaithfulnessTable`'s ``table`` and ``pairs`` from its results."""
    import pandas as pd

    methods = results.arms
    tried = [method for method in methods if method != "random"]
    costs = {
        method: {cost: float(np.mean([row.cost[cost] for row in results.of(method).rows])) for cost in COSTS}
        for method in methods
    }
    rows, pairs = [], []
    for removal in removals:
        loss, rest = f"{removal}.comprehensiveness", f"{removal}.sufficiency"
        means = results.table(loss, bounds=(-1, 1)), results.table(rest, bounds=(-1, 1))
        tests = {one.first: one for one in results.differences([(m, "random") for m in tried], loss).itertuples()}
        against = results.differences(combinations(tried, 2), loss)
        against = against.assign(removal=removal, separable=against.corrected < ALPHA)
        pairs.append(against.rename(columns={"first": "a", "second": "b"}).drop(columns="p"))
        differ = {method: [] for method in methods}
        for one in against[against.separable].itertuples():
            first, second = (one.first, one.second) if one.difference.value > 0 else (one.second, one.first)
            differ[first].append(f"> {second}")
            differ[second].append(f"< {first}")
        for method in methods:
            comprehensive, sufficient = (mean[method] for mean in means)
            row = {
                "method": method, "removal": removal, "n": comprehensive.n, "comprehensiveness": comprehensive,
                "sufficiency": sufficient, "above_random": None, "p_value": None, "verdict": CONTROL,
                "sufficiency_gain": None,
            }  # fmt: skip
            if method in tests:
                above, p_value = tests[method].difference, tests[method].corrected
                verdict = "above random" if above.value > 0 else "below random"
                row |= {
                    "above_random": above, "p_value": p_value,
                    "verdict": verdict if p_value < ALPHA else "not separable from random",
                    "sufficiency_gain": results.added("random", method, rest),
                }  # fmt: skip
            rows.append({**row, **costs[method], "separable_from": tuple(differ[method])})
    pairs = pd.concat(pairs, ignore_index=True).rename(columns={"corrected": "p_value"})
    return pd.DataFrame(rows), pairs[["a", "b", "removal", "difference", "p_value", "separable"]]
