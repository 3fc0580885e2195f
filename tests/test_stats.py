"""Intervals and tests against formulas written out, and by simulation: a 95 % interval must cover about 95 %."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import UsageError
from workbench.stats import Estimate, auroc, bootstrap_interval, mean_interval, paired_test, proportion_interval


def test_an_estimate_reads_well_and_becomes_json():
    assert str(Estimate(1.2345, 1.0, 1.5, 3, "bits/flip")) == "1.23 [1, 1.5] bits/flip"
    assert str(Estimate(2.0)) == "2"
    assert Estimate(1.0, n=2).as_dict() == {"value": 1.0, "low": None, "high": None, "n": 2, "unit": ""}


def test_mean_interval_by_hand():
    e = mean_interval([1.0, 2.0, 3.0, 4.0], unit="s")
    half = 3.182446305 * math.sqrt(5 / 3) / 2  # t(.975, 3) from a printed table; s = sqrt(5 / 3), root of n = 2
    assert e.value == 2.5 and e.n == 4 and e.unit == "s"
    assert e.low == pytest.approx(2.5 - half, abs=1e-6) and e.high == pytest.approx(2.5 + half, abs=1e-6)
    assert mean_interval([7]) == Estimate(7.0, n=1)
    same = mean_interval([3, 3, 3])
    assert (same.low, same.high) == (3, 3)


def test_proportion_interval_against_wilsons_formula():
    z = 1.959963985
    for k, n in ((0, 30), (1, 30), (15, 30), (30, 30), (0, 1)):
        p, e = k / n, proportion_interval(k, n)
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        assert e.value == p and e.low == pytest.approx(middle - half, abs=1e-6)
        assert e.high == pytest.approx(middle + half, abs=1e-6)


@pytest.mark.parametrize("interval", [mean_interval, lambda x: bootstrap_interval(x, resamples=300)])
def test_intervals_cover_the_truth(interval):
    rng = np.random.default_rng(0)
    covered = sum((e := interval(rng.normal(5, 2, 25))).low <= 5 <= e.high for _ in range(200))
    assert 176 <= covered <= 199  # 95 % of 200, three standard errors; the percentile bootstrap covers a little less


def test_bootstrap_follows_its_seed_and_its_statistic():
    x = np.random.default_rng(1).exponential(size=40)
    assert bootstrap_interval(x, seed=3) == bootstrap_interval(x, seed=3) != bootstrap_interval(x, seed=4)
    median = bootstrap_interval(x, np.median)
    assert median.value == np.median(x) and median.low <= median.value <= median.high
    assert bootstrap_interval([2, 2]).low == 2 and bootstrap_interval([2]).low is None


def test_paired_test_against_every_assignment_of_signs():
    a, b = [5.1, 4.8, 6.2, 5.9, 7.0, 6.1], [4.0, 4.1, 5.0, 6.0, 5.2, 5.5]
    d = np.subtract(a, b)
    ranks = np.abs(d).argsort().argsort() + 1
    seen = abs((np.sign(d) * ranks).sum())
    sums = [abs((np.array(signs) * ranks).sum()) for signs in itertools.product((-1, 1), repeat=6)]
    found = paired_test(a, b)
    assert found.p_value == pytest.approx(np.mean([s >= seen for s in sums]))
    assert found.difference.value == pytest.approx(d.mean())
    assert paired_test([1, 2], [1, 2]).p_value == 1.0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=8),
    st.lists(st.integers(-5, 5), min_size=1, max_size=8),
)
def test_auroc_is_the_share_of_pairs_in_order(positive, negative):
    pairs = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    found = auroc(positive, negative, resamples=5)
    assert found.value == pytest.approx(np.mean(pairs)) and found.n == len(positive) + len(negative)
    assert 0 <= found.low <= found.high <= 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mean_interval([]), "mean_interval needs at least 1 numbers, but got 0"),
        (lambda: mean_interval([1, float("nan")]), "got nan, which is not a finite number"),
        (lambda: mean_interval([1, 2], level=95), "level=95 is not between 0 and 1"),
        (lambda: proportion_interval(4, 3), "k=4 of n=3"),
        (lambda: proportion_interval(0, 0), "k=0 of n=0"),
        (lambda: paired_test([1, 2], [1, 2, 3]), "got 2 and 3 numbers"),
        (lambda: auroc([], [1]), "auroc needs at least 1"),
    ],
)
def test_what_is_wrong_is_one_sentence(call, said):
    with pytest.raises(UsageError) as error:
        call()
    assert said in str(error.value) and "\n" not in str(error.value)


def test_an_estimate_costs_the_light_users_nothing():
    program = (
        "import sys, workbench.stats; sys.exit(any(m in sys.modules for m in ('numpy', 'scipy', 'sklearn', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
