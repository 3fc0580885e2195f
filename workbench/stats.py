"""A number with its uncertainty, and the few tests every paper needs: thin calls of scipy and scikit-learn.

Nothing heavy is imported before a function is called: ``Estimate`` costs the light users (runner, CLI) nothing.
"""

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

from .errors import UsageError


@dataclass(frozen=True)
class Estimate:
    """A measured number with its interval.

    Parameters
    ----------
    value : float
        The point estimate, in ``unit``.
    low, high : float or None
        The interval's ends (95 % unless its maker says otherwise); None where there is none.
    n : int or None
        How many independent observations stand behind it.
    unit : str
        "bits/flip", "s", "": shown beside the number.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unit: str = ""

    def as_dict(self) -> dict:
        """The five fields as a plain dictionary, ready for JSON."""
        return asdict(self)

    def says(self, above: str, below: str) -> str:
        """``above`` or ``below`` for a difference whose interval lies on one side of 0, else that none was seen."""
        if self.low is None or self.high is None:
            return "one observation tells nothing"
        return above if self.low > 0 else below if self.high < 0 else "no difference was seen"

    def __str__(self) -> str:
        text = f"{self.value:.3g}"
        if self.low is not None and self.high is not None:
            text += f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{text} {self.unit}".rstrip()


def _numbers(x: Sequence[float], what: str, least: int = 1):
    """``x`` as a 1-D float array of at least ``least`` finite numbers, or one sentence."""
    import numpy as np

    values = np.asarray(x, dtype=float).ravel()
    if len(values) < least:
        raise UsageError(f"{what} needs at least {least} numbers, but got {len(values)}: give it more observations")
    if not np.isfinite(values).all():
        raise UsageError(f"{what} got {values[~np.isfinite(values)][0]}, which is not a finite number: leave it out")
    return values


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise UsageError(f"level={level} is not between 0 and 1: write .95 for a 95 % interval")
    return level


def mean_interval(
    x: Sequence[float], *, level: float = 0.95, unit: str = "", bounds: tuple[float, float] | None = None
) -> Estimate:
    """The mean with its Student-t interval (scipy.stats.t).

    A single observation has a mean and no interval. Equal observations give an interval of width zero. ``bounds`` cuts
    the interval to the values that are possible at all, (0, 1) for shares.

    Raises
    ------
    UsageError
        ``x`` is empty or holds NaN or infinity; ``level`` is outside (0, 1).
    """
    from scipy.stats import sem, t

    values = _numbers(x, "mean_interval")
    mean = float(values.mean())
    if len(values) == 1:
        return Estimate(mean, n=1, unit=unit)
    half = float(t.ppf((1 + _level(level)) / 2, len(values) - 1) * sem(values))
    least, most = bounds or (-float("inf"), float("inf"))
    return Estimate(mean, max(least, mean - half), min(most, mean + half), len(values), unit)


def proportion_interval(k: int, n: int, *, level: float = 0.95, unit: str = "") -> Estimate:
    """k successes of n with the Wilson score interval (scipy.stats.binomtest), honest at 0 of n and at n of n too.

    Raises
    ------
    UsageError
        ``n`` < 1, or ``k`` is not in 0..n.
    """
    from scipy.stats import binomtest

    if n < 1 or not 0 <= k <= n:
        raise UsageError(f"proportion_interval got k={k} of n={n}: n must be at least 1 and k lie in 0..n")
    ends = binomtest(int(k), int(n)).proportion_ci(confidence_level=_level(level), method="wilson")
    return Estimate(k / n, float(ends.low), float(ends.high), int(n), unit)


def bootstrap_interval(
    x: Sequence[float], statistic=None, *, level: float = 0.95, resamples: int = 2000, seed: int = 0, unit: str = ""
) -> Estimate:
    """A statistic (default: the mean) with its percentile bootstrap interval (scipy.stats.bootstrap), seeded.

    ``statistic`` takes an array and ``axis=``, like numpy.mean and numpy.median.
    """
    import numpy as np
    from scipy.stats import bootstrap

    statistic = statistic or np.mean
    values = _numbers(x, "bootstrap_interval")
    point = float(statistic(values, axis=0))
    if len(values) == 1 or np.ptp(values) == 0:  # nothing to resample; scipy would warn and return NaN
        return Estimate(point, *((None, None) if len(values) == 1 else (point, point)), len(values), unit)
    ends = bootstrap(
        (values,), statistic, confidence_level=_level(level), n_resamples=resamples, method="percentile", rng=seed
    ).confidence_interval
    return Estimate(point, float(ends.low), float(ends.high), len(values), unit)


def clustered_interval(x: Sequence[float], groups: Sequence[Hashable]) -> Estimate:
    """The mean of observations that belong together in groups; the 95 % interval resamples whole groups (bootstrap).

    ``n`` counts the observations.
    """
    import numpy as np

    values = _numbers(x, "clustered_interval")
    order = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    places = np.array([order[group] for group in groups])
    sums, sizes = np.bincount(places, weights=values), np.bincount(places)

    def ratio(picked, axis=-1):
        picked = picked.astype(int)
        return sums[picked].sum(axis=axis) / sizes[picked].sum(axis=axis)

    ends = bootstrap_interval(np.arange(len(order)), ratio)
    return Estimate(float(np.mean(values)), ends.low, ends.high, len(values))


def correlation(a: Sequence[float], b: Sequence[float], *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Pearson's correlation of pairs, with its percentile bootstrap interval; 0 where one of the two does not vary.

    Raises
    ------
    UsageError
        The two differ in length, hold fewer than two pairs, or NaN or infinity.
    """
    import numpy as np

    a, b = _numbers(a, "correlation", 2), _numbers(b, "correlation", 2)
    if len(a) != len(b):
        raise UsageError(f"correlation got {len(a)} and {len(b)} numbers: it compares pairs, so give as many of each")

    def value(u, v):
        return float(np.corrcoef(u, v)[0, 1]) if np.ptp(u) and np.ptp(v) else 0.0

    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(a), len(a)) for _ in range(resamples)]
    low, high = np.quantile([value(a[d], b[d]) for d in draws], [0.025, 0.975])
    return Estimate(value(a, b), float(low), float(high), len(a))


@dataclass(frozen=True)
class Paired:
    """The outcome of `paired_test`: mean difference a − b with its interval, and the two-sided p value."""

    difference: Estimate
    p_value: float
    test: str


def paired_test(a: Sequence[float], b: Sequence[float], *, level: float = 0.95, unit: str = "") -> Paired:
    """Do paired observations differ? Wilcoxon's signed-rank test (scipy.stats.wilcoxon) and the mean of a − b.

    All pairs equal is p = 1, not an error.

    Raises
    ------
    UsageError
        The two differ in length or hold fewer than two pairs.
    """
    from scipy.stats import wilcoxon

    a, b = _numbers(a, "paired_test", 2), _numbers(b, "paired_test", 2)
    if len(a) != len(b):
        raise UsageError(f"paired_test got {len(a)} and {len(b)} numbers: it compares pairs, so give as many of each")
    difference = mean_interval(a - b, level=level, unit=unit)
    p_value = 1.0 if (a == b).all() else float(wilcoxon(a, b).pvalue)
    return Paired(difference, p_value, "Wilcoxon signed-rank, two-sided")


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction of p values (1979): one that is at most .05 then holds for all of them together at .05."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, largest = [0.0] * len(order), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        found[i] = largest
    return found


def auroc(
    positive: Sequence[float],
    negative: Sequence[float],
    *,
    groups: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """How often a positive scores above a negative (sklearn.metrics.roc_auc_score; .5 is chance), bootstrap interval.

    Resampling is within each class, so that no draw is without positives or negatives. Scores that belong together
    (replies to one prompt) are no independent draws: with ``groups``, the group of each positive and of each negative,
    whole groups are resampled, and draws without positives or negatives are drawn again (one group: as without).
    Where the scores are parted wholly, every resample is too: the interval is then Wilson's for all (or none) of as
    many draws as there are groups, without groups as the smaller class has.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    positive, negative = _numbers(positive, "auroc"), _numbers(negative, "auroc")
    labels = np.r_[np.ones(len(positive)), np.zeros(len(negative))]
    value = float(roc_auc_score(labels, np.r_[positive, negative]))
    names = len({*groups[0], *groups[1]}) if groups else 0
    draws = _resampled(_wins(positive, negative), groups, resamples, seed)
    low, high = np.quantile(draws, [(1 - _level(level)) / 2, (1 + level) / 2])
    if value in (0, 1):
        n = names if names > 1 else min(len(positive), len(negative))
        share = proportion_interval(int(value) * n, n, level=level)
        low, high = share.low, share.high
    return Estimate(value, float(low), float(high), len(labels))


def auroc_of(scores: Sequence[float], labels: Sequence[int], groups: Sequence[Hashable] | None = None, **options):
    """`auroc` of scores with labels, 1 (positive) or 0, and the group of each; ``options`` are those of `auroc`."""
    (first, second), names = _sides(scores, labels), None if groups is None else _sides(groups, labels)
    return auroc(first, second, groups=names, **options)


def _sides(values: Sequence, labels: Sequence[int]) -> tuple[list, list]:
    """The values of the positives, and of the others."""
    pairs = list(zip(values, labels, strict=True))
    return [value for value, label in pairs if label == 1], [value for value, label in pairs if label != 1]


def auroc_added(
    scores: Sequence[float], over: Sequence[float], labels: Sequence[int], groups: Sequence[Hashable] | None = None, *,
    level: float = 0.95, resamples: int = 1000, seed: int = 0,
) -> Estimate:  # fmt: skip
    """The AUROC of ``scores`` minus that of ``over``, paired: two scores of the same items, resampled together.

    Parameters
    ----------
    scores, over : N numbers each
    labels : N times 1 (positive) or 0
    groups : N names, optional
        Items of one group are no independent draws: whole groups are resampled, as in `auroc`.

    Raises
    ------
    UsageError
        Lists of different length, or one of the two labels is missing.
    """
    import numpy as np

    good = np.asarray(labels) == 1
    ours, theirs = _numbers(scores, "auroc_added"), _numbers(over, "auroc_added")
    if not len(ours) == len(theirs) == len(good) or good.all() or not good.any():
        raise UsageError(
            f"auroc_added got {len(ours)} and {len(theirs)} scores and {len(good)} labels, {int(good.sum())} of them "
            "positive: give as many of each, and both labels"
        )
    gained = _wins(ours[good], ours[~good]) - _wins(theirs[good], theirs[~good])  # (P, N)
    names = None if groups is None else _sides(groups, labels)
    low, high = np.quantile(_resampled(gained, names, resamples, seed), [(1 - _level(level)) / 2, (1 + level) / 2])
    value = float(gained.mean())
    if low == high:  # no spread to go by: another unit may differ as often as Wilson's bound allows
        n = len(set(groups)) if groups is not None else min(int(good.sum()), int((~good).sum()))
        same = proportion_interval(n, n, level=level).low
        low, high = (same * value + side * (1 - same) for side in (-1, 1))
    return Estimate(value, float(low), float(high), len(good))


def _wins(positive, negative):
    """Whether each positive scores above each negative, (P, N): every pair is compared once, and a resample only looks
    the outcomes up, which is a hundred times cheaper than scoring anew."""
    import numpy as np

    return (np.sign(positive[:, None] - negative[None, :]) + 1) / 2


def _resampled(wins, groups, resamples: int, seed: int) -> list[float]:
    """Means of a (P, N) table over resampled positives and negatives, or over whole resampled groups."""
    import numpy as np

    rng = np.random.default_rng(seed)
    names = {name: at for at, name in enumerate(dict.fromkeys([*groups[0], *groups[1]]))} if groups else {}
    if len(names) < 2:
        many = wins.shape
        return [wins[np.ix_(*(rng.choice(size, size) for size in many))].mean() for _ in range(resamples)]
    first, second = (np.array([names[name] for name in side]) for side in groups)
    counts = []  # how often each group was drawn, a row a resample with positives and negatives in it
    while len(counts) < resamples:
        times = np.bincount(rng.choice(len(names), len(names)), minlength=len(names))
        if times[first].any() and times[second].any():
            counts.append(times)
    times = np.array(counts, dtype=float)  # (R, G)
    mine, theirs = times[:, first], times[:, second]  # (R, P), (R, N)
    return list(((mine @ wins) * theirs).sum(axis=1) / (mine.sum(axis=1) * theirs.sum(axis=1)))
