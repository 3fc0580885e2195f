"""Intervals and tests against scipy and scikit-learn, and against formulas written out."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from workbench import stats
from workbench.errors import UsageError
from workbench.stats import Estimate


def test_mean_interval_by_the_formula():
    x = [1.0, 2.0, 4.0, 9.0]
    found = stats.mean_interval(x, unit="s")
    spread = math.sqrt(sum((v - 4) ** 2 for v in x) / 3) / 2  # standard error
    assert found.value == 4 and found.n == 4 and found.unit == "s"
    assert found.high - 4 == pytest.approx(3.182446 * spread, rel=1e-6)  # t, 3 degrees of freedom, 97.5 %
    assert 4 - found.low == pytest.approx(found.high - 4)
    narrow = stats.mean_interval(x, level=0.5)
    assert narrow.high - 4 == pytest.approx(0.764892 * spread, rel=1e-5)


def test_one_number_has_no_interval_and_equal_ones_have_none_to_speak_of():
    assert stats.mean_interval([3]) == Estimate(3.0, n=1)
    assert stats.mean_interval([2, 2, 2]) == Estimate(2.0, 2.0, 2.0, 3)
    assert stats.bootstrap_interval([3]) == Estimate(3.0, n=1)
    assert stats.bootstrap_interval([2, 2, 2]) == Estimate(2.0, 2.0, 2.0, 3)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 10), (37, 120)])
def test_proportion_interval_is_wilsons(k, n):
    z, p = 1.959963984540054, k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = stats.proportion_interval(k, n)
    assert (found.value, found.n) == (p, n)
    assert found.low == pytest.approx(middle - half, abs=1e-9)
    assert found.high == pytest.approx(middle + half, abs=1e-9)


def test_bootstrap_interval_is_seeded_and_covers():
    x = np.random.default_rng(0).normal(5, 2, 60)
    found = stats.bootstrap_interval(x, seed=1)
    assert found == stats.bootstrap_interval(x, seed=1) != stats.bootstrap_interval(x, seed=2)
    rng = np.random.default_rng(9)  # a slow bootstrap of our own
    means = [rng.choice(x, len(x)).mean() for _ in range(4000)]
    assert found.value == pytest.approx(x.mean())
    np.testing.assert_allclose([found.low, found.high], np.quantile(means, [0.025, 0.975]), atol=0.06)
    middle = stats.bootstrap_interval(x, np.median, resamples=300)
    assert middle.value == np.median(x) and middle.low < middle.value < middle.high


def test_paired_test_by_hand():
    # six differences of one sign: 2 / 2^6, exactly
    found = stats.paired_test([2, 4, 6, 8, 10, 12], [1, 2, 3, 4, 5, 6])
    assert found.p_value == pytest.approx(2 / 64)
    assert found.difference.value == 3.5 and found.difference.n == 6 and "Wilcoxon" in found.test
    assert stats.paired_test([1, 2], [1, 2]).p_value == 1.0
    assert stats.paired_test([1, 2, 3], [2, 1, 3.5]).p_value > 0.4


def test_auroc_counts_pairs():
    positive, negative = [0.9, 0.4, 0.7], [0.1, 0.4, 0.8, 0.3]
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    found = stats.auroc(positive, negative)
    assert found.value == pytest.approx(sum(pairs) / 12)
    assert found.value == pytest.approx(roc_auc_score([1] * 3 + [0] * 4, positive + negative))
    assert found.low <= found.value <= found.high and found.n == 7
    assert found == stats.auroc(positive, negative) and found.low != stats.auroc(positive, negative, seed=3).low
    parted = stats.auroc([2, 3], [0, 1])  # Wilson for 2 of 2: 1 / (1 + z²/2)
    assert (parted.value, parted.high, parted.n) == (1, 1, 4) and parted.low == pytest.approx(1 / (1 + 1.959964**2 / 2))
    turned = stats.auroc([0, 1], [2, 3])
    assert (turned.value, turned.low) == (0, 0) and turned.high == pytest.approx(1 - parted.low)
    four = stats.auroc([2, 3, 4, 5], [0, 1, 0, 1], groups=(["a", "b", "c", "c"],) * 2)  # three groups, not four scores
    assert four.low == pytest.approx(1 / (1 + 1.959964**2 / 3))


def test_auroc_of_noise_has_chance_inside():
    rng = np.random.default_rng(0)
    found = stats.auroc(rng.normal(size=40), rng.normal(size=40), resamples=300)
    assert found.low < 0.5 < found.high


def test_auroc_resamples_whole_groups():
    rng = np.random.default_rng(1)
    prompts = [f"prompt {i}" for i in range(6)]
    asked = [prompt for prompt in prompts for _ in range(4)]
    shift = np.repeat(rng.normal(size=6), 4)  # what replies to one prompt share
    positive, negative = rng.normal(size=24) / 9 + shift + 0.5, rng.normal(size=24) / 9
    found = stats.auroc(positive, negative, groups=(asked, asked), resamples=200, seed=5)
    random, draws = np.random.default_rng(5), []
    for _ in range(200):  # literally: the drawn prompts' replies laid side by side
        drawn = random.choice(6, 6)
        sides = [np.concatenate([side[4 * i : 4 * i + 4] for i in drawn]) for side in (positive, negative)]
        draws.append(roc_auc_score([1] * 24 + [0] * 24, np.concatenate(sides)))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))
    alone = stats.auroc(positive, negative)
    assert found.value == alone.value and found.high - found.low > alone.high - alone.low
    one = (["a"] * 24, ["a"] * 24)
    assert stats.auroc(positive, negative, groups=one) == alone  # one group says nothing about others


def test_estimate_reads_and_writes():
    made = Estimate(0.12345, 0.1, 0.2, 12, "bits/flip")
    assert str(made) == "0.123 [0.1, 0.2] bits/flip" and str(Estimate(2.0)) == "2"
    assert json.loads(json.dumps(made.as_dict())) == {
        "value": 0.12345, "low": 0.1, "high": 0.2, "n": 12, "unit": "bits/flip",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: stats.mean_interval([]), "mean_interval needs at least 1 numbers, but got 0"),
        (lambda: stats.mean_interval([1, math.nan]), "got nan, which is not a finite number"),
        (lambda: stats.mean_interval([1, 2], level=95), "level=95 is not between 0 and 1"),
        (lambda: stats.proportion_interval(3, 2), "k=3 of n=2"),
        (lambda: stats.proportion_interval(0, 0), "k=0 of n=0"),
        (lambda: stats.bootstrap_interval([math.inf]), "got inf"),
        (lambda: stats.paired_test([1, 2], [1, 2, 3]), "got 2 and 3 numbers"),
        (lambda: stats.paired_test([1], [1]), "paired_test needs at least 2"),
        (lambda: stats.auroc([], [1]), "auroc needs at least 1"),
    ],
)
def test_errors_are_one_sentence(call, said):
    with pytest.raises(UsageError) as error:
        call()
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_shares_interval_stays_inside_its_bounds():
    free = stats.mean_interval([0.0, 0.0, 1.0])
    cut = stats.mean_interval([0.0, 0.0, 1.0], bounds=(0, 1))
    assert free.low < 0 and free.high > 1
    assert (cut.low, cut.high, cut.value) == (0, 1, free.value)
