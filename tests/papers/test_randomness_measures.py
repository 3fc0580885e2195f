"""Sequence measures and baselines of the randomness paper, on cases computed by hand and against slow literals."""

import gzip
import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from workbench.errors import UsageError
from workbench.papers import randomness as paper

flip_texts = st.text("HT", max_size=40)


def edit_distance(a, b):
    """Insertions and deletions alone: the textbook recursion."""

    @lru_cache(None)
    def d(i, j):
        if i == 0 or j == 0:
            return i + j
        if a[i - 1] == b[j - 1]:
            return d(i - 1, j - 1)
        return 1 + min(d(i - 1, j), d(i, j - 1))

    return d(len(a), len(b))


def test_running_mean_by_hand():
    np.testing.assert_allclose(paper.running_mean("HTTH"), [0, 1 / 2, 2 / 3, 2 / 4])
    assert paper.running_mean("").shape == (0,)


@pytest.mark.parametrize(
    ("flips", "rate"), [("HT", 1), ("HH", 0), ("HTHT", 1), ("HHTT", 1 / 3), ("HTTHTH", 4 / 5), ("HHHHT", 1 / 4)]
)
def test_alternation_rate_by_hand(flips, rate):
    assert paper.alternation_rate(flips) == pytest.approx(rate)


def test_alternation_rate_needs_two_flips():
    assert math.isnan(paper.alternation_rate("")) and math.isnan(paper.alternation_rate("T"))


@pytest.mark.parametrize(("flips", "run"), [("", 0), ("T", 1), ("HTHT", 1), ("HTTTHH", 3), ("HHTTTT", 4), ("H" * 9, 9)])
def test_longest_run_by_hand(flips, run):
    assert paper.longest_run(flips) == run


def test_gzip_length_is_of_the_written_flips():
    assert paper.gzip_length("HTT") == len(gzip.compress(b"Heads, Tails, Tails", mtime=0))
    assert paper.gzip_length(["HT", "TT"]) == len(gzip.compress(b"Heads, Tails\nTails, Tails", mtime=0))
    assert paper.gzip_length("") == len(gzip.compress(b"", mtime=0))
    assert paper.gzip_length("HT" * 100) < paper.gzip_length(paper.random_flips(200, 0))


def test_distinct_subsequences_by_hand_and_the_lost_window():
    # windows of 3 in HTHTT: HTH, THT, HTT; the reference stops before the last one
    assert paper.distinct_subsequences("HTHTT", 3) == 3
    assert paper.distinct_subsequences("HTHTT", 3, reference=True) == 2
    assert paper.distinct_subsequences("HTHTHT", 2) == 2
    assert paper.distinct_subsequences("HHHH", 4) == 1
    assert paper.distinct_subsequences("HHHH", 4, reference=True) == 0
    assert paper.distinct_subsequences("HH", 5) == 0
    with pytest.raises(UsageError, match="w=0 is not a window"):
        paper.distinct_subsequences("HT", 0)


@given(flips=flip_texts, w=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_distinct_subsequences_against_a_loop(flips, w):
    seen = []
    for i in range(len(flips)):
        if i + w <= len(flips) and flips[i : i + w] not in seen:
            seen.append(flips[i : i + w])
    assert paper.distinct_subsequences(flips, w) == len(seen)


@given(a=flip_texts, b=flip_texts)
@settings(max_examples=80, deadline=None)
def test_levenshtein_ratio_against_the_recursion(a, b):
    total = len(a) + len(b)
    wanted = 1.0 if not total else 1 - edit_distance(a, b) / total
    assert paper.levenshtein_ratio(a, b) == pytest.approx(wanted)
    assert paper.levenshtein_ratio(b, a) == pytest.approx(wanted)


def test_levenshtein_ratio_by_hand_and_long():
    assert paper.levenshtein_ratio("HT", "TH") == 0.5  # one letter in common, twice over four
    assert paper.levenshtein_ratio("HHHH", "TTTT") == 0.0
    long = paper.random_flips(500, 3)
    assert paper.levenshtein_ratio(long, long[:499] + ("H" if long[-1] == "T" else "T")) == pytest.approx(998 / 1000)


def test_repeat_match_leaves_the_sequence_itself_out_and_the_reference_does_not():
    sequences = ["HTHT", "HTHH", "TTTT"]
    # best others: HTHT-HTHH share HTH (6/8); TTTT-HTHT share TT (4/8)
    np.testing.assert_allclose(paper.repeat_match(sequences), [0.75, 0.75, 0.5])
    np.testing.assert_allclose(paper.repeat_match(sequences, reference=True), [1, 1, 1])
    np.testing.assert_allclose(paper.repeat_match(["HT", "HT"]), [1, 1])  # a true repetition is one
    assert np.isnan(paper.repeat_match(["HT"])).all()
    assert paper.repeat_match([]).shape == (0,)


def test_bits_per_flip_by_hand():
    # .5 costs one bit, .25 two, .125 three
    assert paper.bits_per_flip("TTT", [0.5, 0.25, 0.125]) == pytest.approx(2.0)
    assert paper.bits_per_flip("HHH", [0.5, 0.75, 0.875]) == pytest.approx(2.0)
    assert paper.bits_per_flip("TTT", [0.5, 0.25, 0.125, 0.9]) == pytest.approx(2.0)  # the last predicts nothing here
    assert paper.bits_per_flip("TH", [0.0, 0.5]) == math.inf
    assert math.isnan(paper.bits_per_flip("", [0.5]))
    with pytest.raises(UsageError, match="3 flips and 2 predictions"):
        paper.bits_per_flip("HHT", [0.5, 0.5])


def test_summary_names_every_measure():
    found = paper.summary("Heads, Tails, Tails, Heads", w=2)
    assert found == {
        "flips": 4,
        "share of Tails": 0.5,
        "alternation rate": pytest.approx(2 / 3),
        "longest run": 2,
        "gzip bytes": paper.gzip_length("HTTH"),
        "gzip bytes, digits": len(gzip.compress(b"0110", mtime=0)),
        "distinct windows of 2": 3,
    }
    assert paper.summary("")["flips"] == 0 and math.isnan(paper.summary("")["share of Tails"])


def test_measures_of_a_sequence_with_a_foreign_letter_say_so():
    for measure in (paper.running_mean, paper.alternation_rate, paper.longest_run, paper.gzip_length, paper.summary):
        with pytest.raises(UsageError, match=r"flip 3 in 'HTX' is neither Heads nor Tails"):
            measure("HTX")


# --- baselines ---


def test_bernoulli_forgets_everything():
    rule = paper.bernoulli(0.3)
    assert {rule(""), rule("HHH"), rule("TTT")} == {0.3}


@pytest.mark.parametrize(
    ("flips", "p", "wanted"),
    [
        ("", 0.5, 0.5),
        ("HHHHH", 0.5, 1.0),  # 1 - 0
        ("TTTTT", 0.5, 0.0),
        ("HTHTT", 0.5, 0.4),  # 1 - 3/5
        ("TTTTTHTHTT", 0.5, 0.4),  # the last five alone
        ("HT", 0.5, 0.5),  # the two there are
        ("HHHHT", 0.2, 0.2),  # .4 - .2
        ("TTHHH", 0.1, 0.0),  # .2 - .4 is cut to 0
        ("HHHHH", 0.9, 1.0),  # 1.8 is cut to 1
    ],
)
def test_window_average_by_hand(flips, p, wanted):
    assert paper.window_average(p)(flips) == pytest.approx(wanted)


def test_markov_fit_by_hand():
    # HHTT: after H: H, T; after T: T.  TH: after T: H.  Beta(5, 5): (5 + 1) / (10 + 2) and (5 + 1) / (10 + 2)
    assert paper.markov_fit(["HHTT", "TH"]) == pytest.approx((6 / 12, 6 / 12))
    # THTHTH: after T three H; after H two T
    assert paper.markov_fit(["THTHTH"]) == pytest.approx((7 / 12, 5 / 13))
    assert paper.markov_fit([]) == (0.5, 0.5)
    assert paper.markov_fit(["TT", "TT"], beta=(1, 3)) == pytest.approx((1 / 4, 3 / 6))


def test_markov_rule_looks_at_the_last_flip():
    rule = paper.markov(0.9, 0.2, first=0.6)
    assert [rule(""), rule("H"), rule("TTH"), rule("T"), rule("HHT")] == [0.6, 0.9, 0.9, 0.2, 0.2]


def test_sampling_follows_the_rule_and_the_seed():
    assert paper.sample(paper.markov(1, 0, first=0), 6, seed=4) == "HTHTHT"
    rule = paper.bernoulli(0.2)
    assert paper.sample(rule, 30, seed=1) == paper.sample(rule, 30, seed=1) != paper.sample(rule, 30, seed=2)
    many = paper.sample(rule, 4000, seed=0)
    assert abs(many.count("T") / 4000 - 0.2) < 4 * math.sqrt(0.2 * 0.8 / 4000)
    calm = [paper.alternation_rate(paper.sample(paper.window_average(), 400, seed=s)) for s in range(3)]
    assert min(calm) > 0.5  # it makes up for what came, so it alternates more than a coin


def test_bits_of_a_rule_by_hand():
    assert paper.bits(paper.bernoulli(0.25), ["T", "H", "TT"]) == pytest.approx([2, -math.log2(0.75), 2])
    assert paper.bits(paper.bernoulli(0.0), ["T"], floor=0.125) == pytest.approx([3.0])
    assert np.isnan(paper.bits(paper.bernoulli(), [""])).all()


def test_held_out_markov_never_sees_its_own_sequence():
    sequences = ["HTHTHTHT", "HTHTHT", "HHHHTTTT"]
    found = paper.held_out_markov_bits(sequences)
    for i, one in enumerate(sequences):
        others = [s for j, s in enumerate(sequences) if j != i]
        after_h, after_t = paper.markov_fit(others)
        cost = 1.0  # the first flip, .5
        for before, flip in pairwise(one):
            tails = after_h if before == "H" else after_t
            cost += -math.log2(tails if flip == "T" else 1 - tails)
        assert found[i] == pytest.approx(cost / len(one))


@pytest.mark.parametrize("make", [paper.bernoulli, paper.window_average, lambda p: paper.markov(p, 0.5)])
def test_a_percentage_is_not_a_probability(make):
    with pytest.raises(UsageError, match="p=50 is not a probability"):
        make(50)


def test_words_are_primitive_and_one_of_each_necklace():
    assert paper.words(3) == ["01", "001", "011"]
    # primitive binary necklaces of length 1..6: 2, 1, 2, 3, 6, 9
    assert [sum(len(w) == k for w in paper.words(6)) for k in range(1, 7)] == [0, 1, 2, 3, 6, 9]


# --- flips as text ---


@given(flips=flip_texts, alphabet=st.sampled_from(["words", "digits"]), comma=st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_again(flips, alphabet, comma):
    text = paper.write_flips(flips, alphabet, comma=comma)
    assert paper.parse_flips(text) == flips
    assert paper.parse_flips(f"[{text}]") == flips
    assert paper.read_flips(text, alphabet) == (flips, True)
    assert paper.parse_flips(paper.as_digits(flips)) == flips


@pytest.mark.parametrize(
    ("text", "flips"),
    [
        ("", ""), ("  \n", ""), ("[]", ""), ("h", "H"), ("hthh", "HTHH"), ("0101", "HTHT"), ("0, 1;1", "HTT"),
        ("Heads, tails,\nHEADS", "HTH"), ("[H, T]", "HT"), ("head tail", "HT"), ("HT 01 Tails", "HTHTT"),
    ],
)  # fmt: skip
def test_usual_ways_of_writing_flips(text, flips):
    assert paper.parse_flips(text) == flips


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HTX", "flip 3 in 'HTX'"),
        ("Heads, Tials", "flip 3 in 'Tials'"),
        ("0102", "flip 4 in '0102'"),
        ("rain", "flip 1 in 'rain'"),
        ("<b>", "flip 1 in '<b>'"),
        (0b01, "got int 1"),
    ],
)
def test_wrong_alphabet_is_one_sentence(text, said):
    with pytest.raises(UsageError) as error:
        paper.parse_flips(text)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "alphabet", "found"),
    [
        (" Tails, Heads, Tails]\n\nQ: more", "words", ("THT", True)),
        (" Tails, Heads, Tai", "words", ("TH", True)),  # the budget cut the word
        (" Tails, Heads,", "words", ("TH", True)),
        (" Tails, Edge, Tails]", "words", ("T", False)),
        (" Tails Heads]", "words", ("", False)),
        (" Tails, Tai]", "words", ("T", False)),  # a bracket behind it: not cut, misspelt
        (" 1, 0,1]", "digits", ("THT", True)),
        (" 1, 2]", "digits", ("T", False)),
        ("", "words", ("", True)),
    ],
)
def test_reading_what_a_model_wrote(text, alphabet, found):
    assert paper.read_flips(text, alphabet) == found


def test_repeating_a_word():
    assert paper.repeat_concept("01", 5) == "HTHTH" and paper.repeat_concept("HTT", 0) == ""
    for concept, n in (("", 3), ("01", -1)):
        with pytest.raises(UsageError, match="a concept is a word of at least one flip"):
            paper.repeat_concept(concept, n)


def test_sizes_of_a_profile_and_what_the_user_gives():
    for profile in paper.PROFILES:
        assert set(paper.PROFILES.fill(profile)) == set(paper.PROFILES["smoke"])
    assert paper.PROFILES.fill("smoke", n_flips=9, concepts=None)["n_flips"] == 9
    assert paper.PROFILES.fill("smoke", concepts=None)["concepts"] == ["01"]
    for wrong, said in (
        ({"profile": "big"}, "profile 'big' is unknown"),
        ({"profile": "smoke", "n_flip": 3}, "size 'n_flip' is unknown"),
        ({"profile": "smoke", "n_random": 3}, "n_random=3 is too few"),
    ):
        with pytest.raises(UsageError, match=said):
            paper.PROFILES.fill(**wrong)
