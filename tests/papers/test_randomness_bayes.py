"""Bayesian model selection of the randomness paper, and the study's words, which must follow its numbers."""

from dataclasses import replace
from math import comb, nan

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from workbench.errors import UsageError
from workbench.papers import randomness as paper
from workbench.papers.randomness import figures, study
from workbench.papers.randomness.concept import ConceptCurve
from workbench.papers.randomness.generate import sequence_rows
from workbench.papers.randomness.settings import RANDOM
from workbench.results import Results
from workbench.rows import Row
from workbench.stats import Estimate, mean_interval, proportion_interval


def literal(flips, word, likelihood, prior, coin, any_phase):
    """Bayes' rule with products of plain floats: posterior and prediction after the flips given."""
    n, t = len(flips), flips.count("T")
    p_coin = coin**t * (1 - coin) ** (n - t) * (comb(n, t) if likelihood == "count" else 1)
    streams = {(word[r:] + word[:r]) * (n + 2) for r in (range(len(word)) if any_phase else [0])}
    fitting = [s for s in streams if s.startswith(flips)]
    p_word = len(fitting) / len(streams)
    both = prior * p_word + (1 - prior) * p_coin
    posterior = prior * p_word / both
    says = sum(s[n] == "T" for s in fitting) / len(fitting) if fitting else 0.0
    return posterior, posterior * says + (1 - posterior) * coin


@given(
    flips=st.text("HT", max_size=14) | st.integers(0, 14).map(lambda n: ("HTT" * 5)[:n]),
    word=st.text("HT", min_size=1, max_size=4),
    likelihood=st.sampled_from(["sequence", "count"]),
    prior=st.floats(0.01, 0.99),
    coin=st.floats(0.05, 0.95),
    any_phase=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_posterior_and_prediction_against_bayes_rule(flips, word, likelihood, prior, coin, any_phase):
    curve = paper.bayes_curve(flips, word, likelihood=likelihood, concept_prior=prior, coin=coin, any_phase=any_phase)
    wanted = [literal(flips[:k], word, likelihood, prior, coin, any_phase) for k in range(len(flips) + 1)]
    np.testing.assert_allclose(curve.posterior, [p for p, _ in wanted], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(curve.p_tails, [p for _, p in wanted], rtol=1e-9, atol=1e-12)


def test_the_two_crossovers_of_the_alternating_word():
    """The two numbers of data/randomness/README.md are arithmetic, and this is it."""
    flips = paper.repeat_concept("01", 80)
    count = paper.bayes_curve(flips, "01", likelihood="count").crossover
    sequence = paper.bayes_curve(flips, "01", likelihood="sequence").crossover
    assert (count, sequence) == (51, 4)
    # by hand: .1 against .9 x .5^n turns when .5^n < 1/9; against .9 C(n, n/2) .5^n when that is < 1/9
    assert 0.5**3 > 1 / 9 > 0.5**4
    assert comb(50, 25) * 0.5**50 > 1 / 9 > comb(51, 25) * 0.5**51


def test_a_broken_word_is_never_believed_again():
    curve = paper.bayes_curve("HTHTHH" + "TH" * 10, "01")
    assert curve.posterior[5] > 0.5 and not curve.posterior[6:].any()
    np.testing.assert_allclose(curve.p_tails[6:], 0.5)
    assert curve.crossover == 4
    assert paper.bayes_curve("TT", "01").crossover is None
    assert paper.bayes_curve("", "01").posterior == pytest.approx([0.1])


def test_any_phase_splits_the_prior():
    assert paper.bayes_curve("THTHTHTH", "01").crossover is None
    late = paper.bayes_curve("THTHTHTH", "01", any_phase=True)
    # .1 / 2 against .9 x .5^n: 1/18 lies between .5^4 and .5^5
    assert late.crossover == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"likelihood": "binomial"}, "likelihood 'binomial' is unknown: choose sequence"),
        ({"concept_prior": 0}, "concept_prior=0 leaves nothing to weigh"),
        ({"coin": 1}, "coin=1 leaves nothing to weigh"),
        ({"concept": ""}, "a concept is a word of at least one flip"),
    ],
)
def test_bayes_says_what_is_wrong(options, said):
    with pytest.raises(UsageError, match=said):
        paper.bayes_curve(**{"flips": "HT", "concept": "01", **options})


# --- the study: rise, gain, answers ---


def test_rise_by_hand():
    n = np.arange(8.0)
    # from .1 (n = 1) to .9 (n = 6): 10 % is .18, 90 % is .82
    assert study.rise(n, np.array([0.3, 0.1, 0.15, 0.5, 0.7, 0.8, 0.9, 0.2])) == (2.0, 6.0)
    assert study.rise(n, np.array([0.0, 0, 0, 1, 1, 1, 1, 1])) == (2.0, 3.0)
    assert study.rise(n, np.linspace(0.5, 0.52, 8)) is None  # as good as flat
    assert study.rise(n, np.linspace(1, 0, 8)) is None  # it falls


def curve(values, control=False, concept="01"):
    """A concept curve whose in-phase probabilities are ``values`` at blocks of one period; out of phase .2 always."""
    period = len(concept)
    n = np.arange(len(values) * period)
    inside = np.repeat(np.asarray(values, dtype=float), period)
    return ConceptCurve(concept, period, n, inside, inside + 0.2, np.full(len(n), 0.2), np.full(len(n), 0.9))


def concept_study(values, controls, concept="01"):
    """The rows that `study.concept_study` makes of these curves; a control's seed is its place."""
    rows = [*study.period_rows(curve(values, concept=concept))]
    for seed, one in enumerate(controls):
        rows += study.period_rows(curve(one, concept=concept), RANDOM, seed)
    return Results(rows=rows)


def written(*generated):
    """The rows of sequences: (stated % Tails, flips, whether each is clean)."""
    return Results(rows=[row for one in generated for row in sequence_rows("m", *one)])


def row(rows, start):
    (found,) = [r for r in rows if r["question"].startswith(start)]
    return found


SPREAD = [[0.2, 0.2 + 0.01 * (i % 3)] for i in range(10)]


def test_gain_is_the_last_period_above_the_controls():
    made = concept_study([0.2, 0.3, 0.9], SPREAD)
    controls = [0.01 * (i % 3) for i in range(10)]  # in the last period; the word has .7 there
    gain = study.gain(made, "01")
    assert gain.value == pytest.approx(0.7 - np.mean(controls)) and gain.low < gain.value < gain.high and gain.n == 10


def test_by_period_by_hand():
    made = replace(curve([0, 0]), n=np.arange(5), in_phase=np.array([0.1, 0.3, 0.5, 0.9, 7.0]))
    n, values = made.by_period(made.in_phase)
    np.testing.assert_allclose(n, [0.5, 2.5])  # the fifth point is no whole period
    np.testing.assert_allclose(values, [0.2, 0.7])


@pytest.mark.parametrize(
    ("last", "answer"), [(0.9, "yes, each concept"), (0.21, "no concept (null)"), (0.05, "no concept (null)")]
)
def test_answer_about_the_concept_follows_the_interval(last, answer):
    made = concept_study([0.2, 0.2, last], SPREAD)
    assert row(study.answers("m", study=made), "Does a repeated word")["answer"] == answer


def test_answer_about_some_concepts():
    both = concept_study([0.2, 0.9], SPREAD), concept_study([0.2, 0.2], SPREAD, concept="011")
    made = Results(rows=[row for one in both for row in one.rows])
    assert row(study.answers("m", study=made), "Does a repeated word")["answer"] == "some concepts"


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ([0.2] * 10 + [0.9] * 10, "yes, within the resolution of this run"),
        (np.linspace(0.1, 0.9, 20), "no, gradual (null)"),
        ([0.2] * 20, "no change to speak of (null)"),
    ],
)
def test_answer_about_the_change_follows_the_curve(values, answer):
    made = concept_study(values, [[0.2] * 20] * 10)
    assert row(study.answers("m", study=made), "Is the change abrupt")["answer"] == answer


@pytest.mark.parametrize(
    ("estimate", "answer"),
    [
        (Estimate(0.6, 0.4, 0.8, 20), "no (null)"),
        (Estimate(0.5, 0.5, 0.5, 20), "no (null)"),
        (Estimate(0.8, 0.6, 0.95, 20), "yes"),
        (Estimate(0.2, 0.1, 0.4, 20), "it answers the wrong way round"),
    ],
)
def test_answer_about_the_judgement_follows_the_interval(estimate, answer):
    assert row(study.answers("m", told=estimate), "Can it tell")["answer"] == answer


def test_random_sequences_are_told_apart_by_their_rows():
    rows = [Row(arm, f"{i}", measures={"p_random": p}) for arm, values in (("random", [0.4, 0.6]), ("repeated", [0.5]))
            for i, p in enumerate(values)]  # fmt: skip
    assert paper.told_apart(Results(rows=rows)).value == 0.5 and paper.told_apart(Results(rows=rows)).n == 3


@pytest.mark.parametrize(
    ("bits", "answer"),
    [([1.2, 1.3, 1.25], "no: dearer than a fair coin's 1.0"), ([0.9, 1.3, 1.0], "not told apart from 1.0")],
)
def test_answer_about_the_coin_follows_the_interval(bits, answer):
    made = Results(rows=[Row("fair coin", "60 flips", i, f"{i}", {"bits": one}) for i, one in enumerate(bits)])
    assert row(study.answers("m", bits=made), "Does it know")["answer"] == answer


def test_answer_about_its_own_sequences_names_the_cheapest():
    coin = [paper.sample(paper.bernoulli(0.9), 60, s) for s in range(8)]
    window = [paper.sample(paper.window_average(0.5), 60, s) for s in range(8)]
    sticky = [paper.sample(paper.markov(0.1, 0.9), 60, s) for s in range(8)]
    for p_tails, flips, answer in (
        (90, coin, "Bernoulli"),
        (50, window, "window"),
        (50, sticky, "Markov (held out)"),
    ):
        generated = written((p_tails, tuple(flips), (True,) * 8))
        costs = study.generation_bits(generated)
        found = row(study.answers("m", generated=generated), "What do its own")
        assert found["answer"] == f"{min(costs, key=lambda k: costs[k].value)} fits best" == f"{answer} fits best"
    empty = (50, ("", ""), (True, False))
    assert row(study.answers("m", generated=written(empty)), "What do its own")["answer"] == "it wrote no flips"


@pytest.mark.parametrize(
    ("clean", "answer"),
    [((True,) * 20, "mostly"), ((False,) * 20, "mostly not"), ((True, False) * 10, "about half the time")],
)
def test_answer_about_keeping_to_flips_follows_the_interval(clean, answer):
    found = row(study.answers("m", generated=written((50, ("HT",) * 20, clean))), "Left to write")
    assert found["answer"] == answer and "n = 20" in found["measured"] and "2 flips or fewer" in found["measured"]


def test_sources_whose_intervals_overlap_are_not_told_apart():
    """Four short sequences of a coin cannot choose between coin and chain; eight long sticky ones can."""
    coin = tuple(paper.sample(paper.bernoulli(0.4), 10, s) for s in range(4))
    sticky = tuple(paper.sample(paper.markov(0.1, 0.9), 60, s) for s in range(8))
    clear = row(study.answers("m", generated=written((50, sticky, (True,) * 8))), "What do its own")
    vague = row(study.answers("m", generated=written((40, coin, (True,) * 4))), "What do its own")
    assert "not told apart" in vague["measured"] and "not told apart" not in clear["measured"]


def test_what_was_not_measured_is_said_and_nothing_is_claimed():
    rows = study.answers("m")
    assert len(rows) == 4 and all(r["answer"].startswith("not measured") and r["measured"] == "" for r in rows)


def test_mass_is_reported_as_it_is():
    found = row(study.answers("m", mass=np.array([0.2, 0.9, 0.8])), "Does it keep")
    assert found["answer"].endswith("0.80 (median)") and found["measured"] == "least 0.20"


def test_generation_table_compares_equal_lengths():
    generated = written((50, ("HTHT", "HHTTH", "T"), (True, True, False)), (80, ("", ""), (False, False)))
    rows = study.generation_table(generated, "m", w=2)
    assert [r["source"] for r in rows] == ["m", "Bernoulli", "window", "Markov (fitted)", "m"]
    assert {r["sequences"] for r in rows[:4]} == {2} and rows[4]["sequences"] == 0  # one flip says nothing
    assert rows[0]["share of Tails"].startswith("0.45") and rows[0]["longest run"].startswith("1.5 [0,")
    assert rows[0]["distinct windows of 2"].startswith(f"{(2 + 4) / 2:g} [")
    assert rows[0]["kept to flips"].startswith("0.667 [") and not rows[1]["kept to flips"]


def test_share_of_clean_and_of_tails():
    made = written((50, ("HT", "TT", ""), (True, False, False)), (70, ("",), (False,)))
    assert made.table("kept to flips", by="stated")["50"] == proportion_interval(1, 3)
    assert made.table("share of Tails", by="stated", bounds=(0, 1)) == {
        "50": mean_interval([0.5, 1.0], bounds=(0, 1)), "70": None
    }  # fmt: skip


def test_the_ideal_observer_predicts_whole_periods():
    n, p = study.bayes_in_phase("01", 30)
    assert p[0] == pytest.approx(0.1 + 0.9 / 4) and p[-1] > 0.999 and len(n) == 31
    assert study.rise(n, p)[1] < study.rise(*study.bayes_in_phase("01", 400, "count"))[1]


def test_table_of_concepts_reads_from_the_study():
    (found,) = study.concept_table(concept_study([0.2, 0.3, 0.9], SPREAD), "m")
    assert found["concept"] == "(01)" and found["chance"] == 0.25 and found["least mass"] == 0.9
    assert found["P(period in phase), last"] == pytest.approx(0.9)
    assert found["phase difference, last"] == pytest.approx(0.7)
    assert found["rise 10-90 %, flips"] == "0.5 to 4.5"  # 10 % of the way is .27: last below it at .5
    (flat,) = study.concept_table(concept_study([0.2, 0.2], SPREAD), "m")
    assert flat["rise 10-90 %, flips"] == "none"


def test_a_word_of_equal_flips_has_no_other_phase_and_no_number_for_it():
    made = ConceptCurve("0", 1, np.arange(2), np.ones(2), np.ones(2), np.full(2, nan), np.ones(2))
    assert np.isnan(made.phase_difference).all()
    rows = [row for seed in range(10) for row in study.period_rows(made, RANDOM, seed)]
    results = Results(rows=[*study.period_rows(made), *rows])
    assert study.gain(results, "0") is None
    assert study.concept_table(results, "m")[0]["above random contexts"] == "no other phase"
    assert "nothing" not in figures.concept_figure({"m": results}).description
