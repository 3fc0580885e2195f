"""Is an explanation true of the model? Erasure, simulatability, and how far methods agree.

Comprehensiveness and sufficiency are DeYoung et al.'s (ERASER, 2020): what the target loses when the tokens said to
matter most are removed, and when only they are kept, averaged over several shares (the area over the perturbation
curve). Simulatability asks whether the scores help to foresee the model on inputs it was not asked about (Chen et al.
2023, with a predictor simple enough to be stated: see `simulatability`). The first token is protected throughout.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from ....errors import UsageError
from ....results import Results
from ....rows import Row
from ....stats import holm, mean_interval, paired_test
from ..attribution.game import Game
from ..attribution.result import Attribution
from ..settings import METHODS
from ..tokens import ask

SHARES = (0.05, 0.1, 0.2, 0.5)  # card: AOPC at 5, 10, 20 and 50 %
COIN = "a coin"
EVEN = 1e-3  # two values closer than this are no pair to foresee


@dataclass(frozen=True, eq=False)
class Erasure:
    """What removing the top tokens, and keeping only them, does to the target.

    Attributes
    ----------
    method, removal : str
    shares : tuple of float
        Shares of the tokens that can be removed.
    counts : tuple of int
        The tokens that makes: at least one.
    value : float
        The quantity at the whole prompt.
    comprehensive, sufficient : (S,) float64
        value - f(without the top tokens); value - f(only the top tokens, and the protected first).
    """

    method: str
    removal: str
    shares: tuple[float, ...]
    counts: tuple[int, ...]
    value: float
    comprehensive: np.ndarray
    sufficient: np.ndarray

    @property
    def comprehensiveness(self) -> float:
        """Mean over the shares; large is good: what was said to matter did."""
        return float(self.comprehensive.mean())

    @property
    def sufficiency(self) -> float:
        """Mean over the shares; small is good: what was said to matter is enough."""
        return float(self.sufficient.mean())


def erasure(
    model, attribution: Attribution, *, removal: str = "replace", shares: Sequence[float] = SHARES,
    quantity: str = "probability", baseline=None,
) -> Erasure:  # fmt: skip
    """Comprehensiveness and sufficiency of one explanation.

    Parameters
    ----------
    model : Model
    attribution : Attribution
        Its tokens are removed from the highest score down (`Attribution.order`).
    removal : "replace" or "delete"
    shares : sequence of float
        Of the tokens behind the protected first, in (0, 1].
    quantity : "probability" (ERASER's) or "log_probability"
    baseline
        The replacing token, as in `attribute`.

    Raises
    ------
    UsageError
        A share outside (0, 1], or nothing that could be removed.
    """
    game = erasure_game(model, attribution, removal=removal, quantity=quantity, baseline=baseline)
    return erase(game, [(attribution.method, protected(attribution))], shares)[0]


def protected(attribution: Attribution) -> list[int]:
    """Positions from the highest score down, the first token left out."""
    return [place for place in attribution.order if place != 0]


def erasure_game(model, attribution: Attribution, *, removal: str, quantity: str, baseline=None) -> Game:
    """The game in which explanations of this question are evaluated: target alone, first token held."""
    question = ask(model, attribution.ids, attribution.target_ids, quantity=quantity)
    return Game(question, removal=removal, baseline=baseline)


def erase(game: Game, orders: Sequence[tuple[str, Sequence[int]]], shares: Sequence[float]) -> list[Erasure]:
    """`Erasure` of several (name, positions from the most important down), evaluated together."""
    wrong = [share for share in shares if not 0 < share <= 1]
    if wrong or not len(shares):
        raise UsageError(f"shares={tuple(shares)}: give numbers above 0 and at most 1, like .05 for 5 %")
    places = game.free
    counts = tuple(max(1, round(share * len(places))) for share in shares)
    stays = [np.ones(len(places), dtype=bool)]
    for _, order in orders:
        ranks = np.empty(len(places), dtype=int)
        ranks[np.searchsorted(places, order)] = np.arange(len(places))
        stays += [ranks >= count for count in counts] + [ranks < count for count in counts]
    values = game.of(np.array(stays))
    losses = (values[0] - values[1:]).reshape(len(orders), 2, len(counts))
    return [
        Erasure(name, game.removal, tuple(shares), counts, float(values[0]), loss[0], loss[1])
        for (name, _), loss in zip(orders, losses, strict=True)
    ]


def simulatability(
    model, attribution: Attribution, *, counterfactuals: int = 24, share: float = 0.3, removal: str = "replace",
    seed: int = 0, baseline=None,
) -> dict[str, float]:  # fmt: skip
    """Can one foresee the model from the explanation?

    ``counterfactuals`` prompts are made, each by removing the same number of random tokens (``share`` of those behind
    the first, at least one). **The predictor**: of two of them, the one whose removed tokens have the smaller sum of
    scores has the higher log-probability of the target. Pairs whose log-probabilities differ by less than 1e-3 are left
    out; equal sums count one half. Because all prompts lose equally many tokens, their number gives nothing away.

    Returns
    -------
    dict
        "accuracy": how often the predictor was right (a coin: .5); "pairs" of counterfactuals.

    Raises
    ------
    UsageError
        Fewer than two tokens that could be removed, fewer than two counterfactuals, or a share outside (0, 1).
    """
    game = erasure_game(model, attribution, removal=removal, quantity="log_probability", baseline=baseline)
    return _simulate(game, [attribution], counterfactuals, share, seed)[0]


def _simulate(game: Game, attributions: Sequence[Attribution], count: int, share: float, seed: int) -> list[dict]:
    players = len(game.free)
    if players < 2 or count < 2 or not 0 < share < 1:
        raise UsageError(
            f"simulatability has {players} removable tokens, counterfactuals={count}, share={share}: "
            "give at least two of the first two, and a share between 0 and 1"
        )
    gone = min(players - 1, max(1, round(share * players)))
    rng = np.random.default_rng(seed)
    stays = np.ones((count, players), dtype=bool)
    for row in stays:
        row[rng.choice(players, gone, replace=False)] = False
    stays = np.unique(stays, axis=0)
    values = game.of(stays)
    first, second = np.triu_indices(len(stays), 1)
    differ = values[first] - values[second]
    clear = np.abs(differ) > EVEN
    found = []
    for attribution in attributions:
        lost = (~stays).astype(float) @ attribution.scores[game.free]
        said = np.sign(lost[second] - lost[first])  # less lost: higher
        right = np.where(said == 0, 0.5, said == np.sign(differ))[clear]
        found.append({"accuracy": float(right.mean()) if len(right) else 0.5, "pairs": int(clear.sum())})
    return found


def simulatability_table(
    model, attributions: Mapping[str, Sequence[Attribution]], *, counterfactuals: int = 24, share: float = 0.3,
    removal: str = "replace", seed: int = 0,
) -> list:  # fmt: skip
    """`simulatability` of several methods on the same counterfactuals; ``attributions`` as in `FaithfulnessTable`.

    Returns
    -------
    A row a method, with the attributes method, accuracy (an Estimate over prompts), p_value (of its paired difference
    from a coin's .5, Holm over the methods), pairs, verdict.
    """
    methods = list(attributions)
    given = [[[one.ids, one.target_ids, one.scores.tolist()] for one in some] for some in attributions.values()]
    results = Results("simulatability", model=model, settings=[counterfactuals, share, removal, given])

    def foreseen(item: int, same: Sequence[Attribution], _missing) -> Iterator[Row]:
        game = erasure_game(model, same[0], removal=removal, quantity="log_probability")
        for method, found in zip(methods, _simulate(game, same, counterfactuals, share, seed + item), strict=True):
            yield Row(method, str(item), seed, "", found, {"target": same[0].target}, same[0].prompt)

    for item, same in enumerate(zip(*attributions.values(), strict=True)):
        if len(same[0].ids) > 2:  # behind the first there are two tokens to remove
            keys = [(method, str(item), seed) for method in methods]
            results.compute(keys, partial(foreseen, item, same), together=True)
    if not results.rows:
        raise UsageError("simulatability_table has no prompt with two tokens that could be removed: give longer ones")
    coin = [replace(row, arm=COIN, measures={"accuracy": 0.5}) for row in results.of(methods[0]).rows]
    beside = Results(rows=results.rows + coin)
    table = beside.differences([(method, COIN) for method in methods], "accuracy")
    accuracy = results.table("accuracy", bounds=(0, 1)).values()
    pairs = [sum(results.of(method).values("pairs")) for method in methods]
    table = table.assign(accuracy=accuracy, pairs=pairs).rename(columns={"first": "method", "corrected": "p_value"})
    table["verdict"] = [_verdict(one.difference.value, one.p_value) for one in table.itertuples()]
    return list(table[["method", "accuracy", "p_value", "pairs", "verdict"]].itertuples(index=False, name="Row"))


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far methods agree, averaged over prompts.

    Attributes
    ----------
    methods : list of str
    pairs : DataFrame
        Every two methods: a, b; rank (mean rank correlation, None where no prompt allows one) and overlap (of the top
        tokens), Estimates over prompts; p_value and verdict: is the overlap above that of random orders (paired, Holm)?
    rank : (M, M) float64
        Mean Spearman correlation of the scores (nan where no prompt allows one).
    overlap : (M, M) float64
        Mean share of the top tokens that two methods have in common.
    chance : float
        The overlap of two random orders.
    n : int
        Prompts.
    """

    methods: list[str]
    rank: np.ndarray
    overlap: np.ndarray
    chance: float
    n: int
    top: float
    pairs: Any

    def to_frame(self, what: str = "rank"):
        """A pandas DataFrame of "rank" or "overlap"."""
        import pandas as pd

        if what not in ("rank", "overlap"):
            raise UsageError(f"to_frame({what!r}): give rank or overlap")
        titles = [METHODS[method].title for method in self.methods]
        return pd.DataFrame(getattr(self, what), index=titles, columns=titles)


def agreement(attributions: Mapping[str, Sequence[Attribution]], *, top: float = 0.2) -> Agreement:
    """Rank correlation and top-share overlap of every two methods.

    Parameters
    ----------
    attributions : {method: [Attribution of each prompt]}
        The same prompts in the same order for every method (`FaithfulnessTable.attributions`).
    top : float
        Share of the tokens that counts as the top, at least one token.
    """
    methods = list(attributions)
    items = list(zip(*attributions.values(), strict=True))
    if len(methods) < 2 or not items:
        raise UsageError("agreement compares at least two methods on at least one prompt: give it more")
    if not 0 < top <= 1:
        raise UsageError(f"top={top}: give a share above 0 and at most 1")
    size = len(methods)
    ranks, overlaps, chances = [], [], []
    for same in items:
        places = [place for place in range(len(same[0].ids)) if place != 0]
        count = max(1, round(top * len(places)))
        tops = [set(protected(one)[:count]) for one in same]
        overlaps.append([[len(a & b) / count for b in tops] for a in tops])
        chances.append(count / len(places))
        ranks.append([[rank_correlation(a.scores[places], b.scores[places]) for b in same] for a in same])
    ranks = np.array(ranks)
    known = ~np.isnan(ranks)
    rank = np.where(known.any(0), np.nansum(ranks, axis=0) / np.maximum(known.sum(0), 1), np.nan)
    return Agreement(
        methods, rank.reshape(size, size), np.mean(overlaps, axis=0), float(np.mean(chances)), len(items), top,
        _pairs(methods, ranks, np.array(overlaps), chances),
    )  # fmt: skip


def _pairs(methods, ranks, overlaps, chances):
    """`Agreement.pairs` from ``ranks`` and ``overlaps`` (N, M, M), ``chances`` (N,)."""
    import pandas as pd

    both = list(combinations(range(len(methods)), 2))
    tests = [paired_test(overlaps[:, a, b], chances).p_value if len(chances) > 1 else 1.0 for a, b in both]
    rows = []
    for (a, b), p_value in zip(both, holm(tests), strict=True):
        known = ranks[:, a, b][~np.isnan(ranks[:, a, b])]
        rank = mean_interval(known, bounds=(-1, 1)) if len(known) else None
        overlap = mean_interval(overlaps[:, a, b], bounds=(0, 1))
        verdict = _verdict(overlap.value - np.mean(chances), p_value)
        rows.append((methods[a], methods[b], rank, overlap, p_value, verdict))
    return pd.DataFrame(rows, columns=["a", "b", "rank", "overlap", "p_value", "verdict"])


def _verdict(above: float, p_value: float) -> str:
    if p_value >= 0.05:
        return "not separable from chance"
    return "above chance" if above > 0 else "below chance"


def rank_correlation(a, b) -> float:
    """Spearman's correlation (scipy); nan for fewer than three values or where one side is constant."""
    from scipy.stats import spearmanr

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)
