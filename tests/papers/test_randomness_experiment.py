"""One's own experiment on randomness: prompts, alphabets, sources, p_alt, people's sequences, change points."""

import gzip
import math
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.integrate import dblquad
from test_randomness import answer_masses

from workbench.errors import DataError, UsageError
from workbench.papers import randomness as paper
from workbench.papers.randomness import change, sequence_figures, settings, study
from workbench.papers.randomness.change import MEASURES
from workbench.papers.randomness.concept import ConceptCurve
from workbench.papers.randomness.generate import sequence_rows
from workbench.results import Results
from workbench.stats import mean_interval

# --- golden values of the reference ---


def test_gzip_of_digits_is_the_references_and_of_words_is_longer():
    word = "HT" * 25
    assert (paper.gzip_length(word, digits=True), paper.gzip_length(word)) == (25, 37)
    assert paper.summary(word)["gzip bytes, digits"] == 25
    assert paper.gzip_length(["HT", "TT"], digits=True) == len(gzip.compress(b"0111", mtime=0))


def test_the_concepts_prior_follows_from_the_references_two_numbers():
    from workbench import data

    quoted = data.quoted("randomness")
    non_random, phases = (quoted[key].value for key in ("prior_of_non_random", "repeat_model_phases"))
    assert non_random / phases / (non_random / phases + 1 - non_random) == pytest.approx(0.1)
    prior = paper.bayes_curve("", "01").posterior[0]
    assert prior == pytest.approx(0.1)
    flips = paper.repeat_concept("01", 60)
    assert [paper.bayes_curve(flips, "01", likelihood=one).crossover for one in ("count", "sequence")] == [51, 4]


# --- prompts and alphabets ---

OWN = "Flip {source}; {p} of 100 are {tails}."
FILLED = (
    "Flip a weighted coin, with 70% probability of Kopf and 30% probability of Zahl; 30 of 100 are Zahl.\n\nA: [Kopf,"
)


def test_own_prompt_and_alphabet_against_one_forward(smollm2):
    p, mass = paper.next_flip_curve(smollm2, "H", prompt=OWN, alphabet="Kopf, Zahl", p_tails=30)
    first, second = answer_masses(smollm2, FILLED, (" Kopf", " Zahl"))
    assert p[1] == pytest.approx(second / (first + second), abs=1e-4)
    assert mass[1] == pytest.approx(first + second, abs=1e-4)


def test_generation_in_an_own_alphabet(smollm2):
    made = paper.generate_sequences(smollm2, p_tails=[30], n=2, max_flips=3, prompt=OWN, alphabet="Kopf,Zahl")
    for row in made.rows:
        assert row.prompt == FILLED and paper.read_flips(row.reply, "Kopf,Zahl")[0].startswith(row.labels["sequence"])


def test_judgement_as_a_message_of_a_chat(smollm2):
    p, mass = paper.judge(smollm2, ["HTT"], prompt="Was it chance? {flips}", chat=True)
    message = [{"role": "user", "content": "Was it chance? Heads, Tails, Tails"}]
    text = smollm2.tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    n, r = answer_masses(smollm2, text, ("non-random", "random"))
    assert p[0] == pytest.approx(r / (n + r), abs=1e-4) and mass[0] == pytest.approx(n + r, abs=1e-4)
    raw, _ = paper.judge(smollm2, ["HTT"], prompt="two-hypotheses")
    assert abs(raw[0] - paper.judge(smollm2, ["HTT"])[0][0]) > 1e-3  # the wordings are two


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prompt": "papr"}, "did you mean paper?"),
        ({"prompt": "Flip a coin."}, "write one of your own with {source} in it"),
        ({"prompt": "Flip {sorce}: ["}, "field {sorce}, which is unknown: there are {heads}"),
        ({"prompt": "Flip {source.__class__}"}, "write one of your own"),
        ({"judgement_prompt": "Is it random?"}, "question of your own with {flips}"),
        ({"alphabet": "Kopf"}, "choose from words, digits"),
        ({"alphabet": "a,b,c"}, "is not two symbols"),
        ({"alphabet": "Rot,Rosa"}, "begin with the same letter"),
        ({"alphabet": "a,[b"}, "is not two symbols"),
        ({"sources": ["coin"]}, "source 'coin' makes no sense"),
        ({"sources": ["markov:2"]}, "each between 0 and 1"),
        ({"sources": ["hmm", "markov:0.8,"]}, "is no list of numbers"),
        ({"alphabet": "İ,I"}, "begin with the same letter"),
        ({"n_change": 1}, "n_change=1 is too few: give at least 2"),
        ({"profile": "quick", "least_flips": 31}, "least_flips=31 is more than generate_flips=30"),
        ({"least_flips": 31, "generate_flips": 30}, "give at most 30, or more generate_flips"),
        ({"human": "/no/such.csv"}, "there is no file"),
        ({"change_prompts": ["papr"]}, "did you mean paper?"),
    ],
)
def test_wrong_parameters_are_one_sentence_before_a_kernel_starts(given, said):
    with pytest.raises(UsageError) as error:
        paper.PROFILES.check(given)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_right_parameters_pass():
    given = {"prompt": OWN, "concept_prompt": "A: [", "judgement_prompt": "Chance? {flips}", "alphabet": "○,●"}
    paper.PROFILES.check(given | {"sources": ["markov:0.7,0.4"], "temperatures": [0, 1.5]})
    assert paper.prompt_text("one, two: [", "words", 50) == "one, two: ["
    assert paper.prompt_text("{source}", "digits", 50).endswith("50% probability of 1\n\nA: [")


# --- sources ---


def weight_of(flips, start, move, tails):
    """P(flips): the sum over every path of hidden states, each a plain product."""
    total = 0.0
    for path in product(range(len(start)), repeat=len(flips)):
        p = start[path[0]]
        for k, (state, flip) in enumerate(zip(path, flips)):
            p *= (move[path[k - 1]][state] if k else 1) * (tails[state] if flip == "T" else 1 - tails[state])
        total += p
    return total


@pytest.mark.parametrize("flips", ["HTTHT", "TTTTH"])
def test_an_observer_who_knows_the_hidden_coins_sums_over_paths(flips):
    chain = ([0.5, 0.5], [[0.8, 0.2], [0.2, 0.8]], [0.3, 0.9])
    found = paper.known_source("hmm:0.3,0.9,0.2", flips)
    wanted = [weight_of(flips[:k] + "T", *chain) / (weight_of(flips[:k], *chain) if k else 1) for k in range(5)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_known_coin_chain_and_drift_by_hand():
    np.testing.assert_allclose(paper.known_source("bernoulli:0.3", "HTT"), [0.3] * 3)
    # after Heads .7 x .4 against .3 x .6; after Tails .3 x .4 against .7 x .6
    np.testing.assert_allclose(paper.known_source("markov:0.7,0.4", "HT"), [0.4, 0.28 / 0.46])
    np.testing.assert_allclose(paper.known_source("markov:0.7,0.4", "TT"), [0.4, 0.12 / 0.54])
    # drifting: .05 to .95 equally likely, and Tails makes the larger ones likelier
    p = np.arange(1, 20) / 20
    moved = sum((q * (0.5 * q + 0.25 * (max(q - 0.05, 0.05) + min(q + 0.05, 0.95)))) for q in p) / p.sum()
    np.testing.assert_allclose(paper.known_source("drifting:0.5", "TT"), [0.5, moved])


@pytest.mark.parametrize("text", ["bernoulli:0.2", "markov:0.8,0.3", "hmm", "drifting:0.3"])
def test_nobody_predicts_a_source_better_than_its_own_observer(text):
    flips = paper.draw(text, 3000, seed=1)
    assert flips == paper.draw(text, 3000, seed=1) != paper.draw(text, 3000, seed=2) and set(flips) == {"H", "T"}
    best = paper.bits_per_flip(flips, paper.known_source(text, flips))
    for other in settings.SOURCES:
        assert best < paper.bits_per_flip(flips, paper.known_source(other, flips)) + 0.01
    assert best < paper.bits_per_flip(flips, [0.5] * 3000) + 0.01


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("coin", "source 'coin' is unknown: choose one of bernoulli"),
        ("markov:1.0", "takes p_alt, p_tails in this order: give at most 2, each between 0 and 1"),
        ("hmm:.1,.2,.3,.4", "give at most 3"),
        ("drifting:a", "'a' is no list of numbers"),
    ],
)
def test_a_wrong_source_is_one_sentence(text, said):
    with pytest.raises(UsageError, match=said):
        paper.draw(text, 3, 0)


def test_the_models_price_of_a_source(smollm2):
    found = paper.source_bits(smollm2, ["markov:0.9"], 8, [3])
    (row,) = found.rows
    flips = paper.draw("markov:0.9", 8, 3)
    p, _ = paper.next_flip_curve(smollm2, flips)
    ours = -np.mean([math.log2(q if flip == "T" else 1 - q) for flip, q in zip(flips, p)])
    assert row.labels["sequence"] == flips and row.measures["model"] == pytest.approx(ours, abs=1e-4)
    assert row.measures["dearer by"] == pytest.approx(ours - row.measures["knows the source"], abs=1e-4)
    assert "markov:0.9" in sequence_figures.sources_figure({"m": found}).description


# --- the gambler's fallacy ---


def test_p_alt_against_an_integral_of_the_literal_posterior():
    sequences = ["HTHTT", "TH"]

    def density(a, q):
        p = (a * (1 - a) * q * (1 - q)) ** 4  # Beta(5, 5) on each
        for flips in sequences:
            p *= q if flips[0] == "T" else 1 - q
            for before, flip in pairwise(flips):
                says = {one: (q if one == "T" else 1 - q) * (a if one != before else 1 - a) for one in "HT"}
                p *= says[flip] / (says["H"] + says["T"])
        return p

    total = dblquad(density, 0, 1, 0, 1)[0]
    mean = dblquad(lambda a, q: a * density(a, q), 0, 1, 0, 1)[0] / total
    p_alt = paper.alternation_fit(sequences)[1]
    below = [dblquad(lambda q, a: density(a, q), 0, end, 0, 1)[0] / total for end in (p_alt.low, p_alt.high)]
    assert p_alt.value == pytest.approx(mean, abs=1e-3) and p_alt.n == 5
    assert below == pytest.approx([0.025, 0.975], abs=2e-3)


def test_p_alt_is_of_the_alternation_and_not_of_the_bias():
    cases = ("bernoulli:0.2", 0.2, 0.4, 0.6), ("markov:0.7,0.3", 0.3, 0.6, 0.8), ("markov:0.3", 0.5, 0.2, 0.4)
    for text, bias, low, high in cases:
        p_tails, p_alt = paper.alternation_fit([paper.draw(text, 50, seed) for seed in range(20)])
        assert low < p_alt.low < p_alt.high < high and p_tails.n == 1000 and p_alt.n == 980
        assert p_tails.low < bias < p_tails.high
    assert paper.alternation_fit([])[1].value == pytest.approx(0.5)  # the prior


def written(name, *sequences, stated=50):
    return Results(rows=sequence_rows(name, stated, sequences, [True] * len(sequences)))


def test_short_sequences_are_dropped_and_counted_and_the_others_cropped():
    assert paper.at_equal_length(["HTHT", "TTT", "HT"], 3) == ["HTH", "TTT"]
    alternating, short = "HT" * 30, "HT" * 10
    table = paper.alternation_table({"m": written("m", *[alternating] * 4, short, short)}, 50)
    ours, coin, _ = table
    assert [row["writer"] for row in table] == ["m", "Bernoulli", "window"]
    assert (ours["sequences"], ours["dropped, below 50 flips"], coin["sequences"]) == (4, 2, 4)
    assert ours["gambler's fallacy"].startswith("yes") and ours["gzip bytes, digits"] == 25
    assert coin["gambler's fallacy"].startswith("not told apart") and coin["dropped, below 50 flips"] == 0
    assert paper.p_alts(written("m", alternating, short), 50) == {"50": paper.alternation_fit(["HT" * 25])[1]}
    assert paper.p_alts(written("m", short), 50) == {}
    nothing = paper.alternation_table({"m": written("m", short)}, 50)
    assert nothing[0]["sequences"] == 0 and nothing[0]["p_alt"] == "" == nothing[0]["share of Tails"]


def test_peoples_sequences_are_scored_by_the_same_table(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text('participant,sequence,p_tails\nann,01101001,50\nben,"Kopf, Zahl, Zahl",50\neve,HTTT,75\n')
    found = paper.human_sequences(path, alphabet="Kopf,Zahl", max_flips=6)
    assert found.labels("stated") == ["50", "75"]
    assert [row.labels["sequence"] for row in found.rows] == ["HTTHTH", "HTT", "HTTT"]
    rows = study.generation_table(found, "people", w=2)
    assert rows[0]["source"] == "people"
    assert rows[0]["share of Tails"] == str(mean_interval([0.5, 2 / 3], bounds=(0, 1)))
    assert paper.alternation_table({"people": found}, 3)[0]["sequences"] == 2
    for text, said in (
        ("sequence\nHTX\n", "line 2: flip 3 in 'HTX'"),
        ("sequence,p_tails\nHT,many\n", "line 2: p_tails is 'many', which is no number"),
        ("sequence,p_tails\nHT,101\n", "line 2: 101 % Tails"),
        ("flips\nHT\n", "'sequence' is missing"),
        ("sequence\n", "holds no rows"),
    ):
        path.write_text(text)
        with pytest.raises(DataError) as error:
            paper.human_sequences(path)
        assert said in str(error.value) and "\n" not in str(error.value)


# --- selection and the change point ---


def test_a_low_temperature_selects_and_one_averages():
    flips = paper.repeat_concept("01", 8)
    odds = [(0.1 / 0.9) * 2.0**k for k in range(9)]
    for temperature in (1.0, 0.5, 0.05):
        curve = paper.bayes_curve(flips, "01", temperature=temperature)
        weight = [o ** (1 / temperature) / (1 + o ** (1 / temperature)) for o in odds]
        wanted = [w * (k % 2) + (1 - w) * 0.5 for k, w in enumerate(weight)]
        np.testing.assert_allclose(curve.p_tails, wanted, rtol=1e-9)
        np.testing.assert_allclose(study.bayes_in_phase("01", 8, temperature=temperature)[1],
                                   [w + (1 - w) / 4 for w in weight], rtol=1e-9)  # fmt: skip
    np.testing.assert_allclose(curve.posterior, [o / (1 + o) for o in odds])  # belief knows no temperature
    with pytest.raises(UsageError, match="temperature=0 selects nothing"):
        paper.bayes_curve("H", "01", temperature=0)


def repeated(*curves):
    """`change_study`'s rows of curves given by P(in phase) at blocks of one period of (01) or (10)."""
    rows = []
    for place, values in enumerate(curves):
        n = np.arange(2 * len(values))
        inside = np.repeat(np.asarray(values, dtype=float), 2)
        one = ConceptCurve("01" if place % 2 == 0 else "10", 2, n, inside, inside, inside, np.ones(len(n)))
        rows += study.period_rows(one, f"prompt {place // 2}", place)
    return Results(rows=rows)


def test_change_point_width_and_step_by_hand():
    n = np.arange(10.0)
    abrupt = change.change(n, np.array([0.2] * 4 + [0.9] * 6))
    assert abrupt == pytest.approx((3.5, 1, 1, 0.7))
    line = change.change(n, np.linspace(0, 0.9, 10))
    assert line == pytest.approx((4.5, 9, 1 / 9, 0.9))  # a ninth of the way at n = 1 and eight at n = 8
    assert change.change(n, np.array([0.9] * 3 + [0.1] * 3 + [0.6] * 4))[0] == 5.5  # the fall before it is no switch
    assert change.change(n, np.full(10, 0.3)) is None


@pytest.mark.parametrize(
    ("curves", "switch"),
    [
        ([[0.2] * k + [0.95] * (24 - k) for k in (8, 9, 10, 9)], "abrupt, as the observer's"),
        ([np.linspace(0.1 + 0.01 * k, 0.9, 24) ** 1.3 for k in range(4)], "gradual"),
        ([[0.2] * 24] * 4, "no change to speak of (null)"),
        ([[0.2] * 8 + [0.95] * 16, np.linspace(0.1, 0.9, 24)], "not decided: the interval holds the observer's"),
        ([[0.2] * 8 + [0.26 + 0.3 * (k == 2)] * 16 for k in range(3)], "not decided: the rise itself may be none"),
        ([[0.2] * k + [0.6] * 8 + [0.95] * (16 - k) for k in (6, 7, 8)], "gradual"),  # one large step, and a wait
        ([np.linspace(0.1, 0.9, 24)], "one repetition"),
    ],
)
def test_the_verdict_on_a_switch_follows_the_interval(curves, switch):
    made = repeated(*curves)
    ours, observer, line = paper.change_table(made, "m")
    assert ours["switch"].startswith(switch) and ours["repetitions"] == len(curves) and ours["places apart, flips"] == 2
    assert (observer["who"], line["who"], line[MEASURES[2]]) == ("Bayesian observer", "straight line", "0.0435")
    assert "prompt 0, (01)" in sequence_figures.change_figure({"m": made}).description


def test_places_further_apart_than_the_observers_switch_tell_nothing():
    rows = []
    for place in range(3):
        n = np.ravel([[20 * k, 20 * k + 1] for k in range(5)])
        inside = np.where(n < 40, 0.2, 0.9)
        made = ConceptCurve("01", 2, n, inside, inside, inside, np.ones(len(n)))
        rows += study.period_rows(made, f"prompt {place}", 0)
    assert paper.change_table(Results(rows=rows), "m")[0]["switch"].startswith("cannot be told")


def test_change_point_interval_is_over_repetitions():
    found = paper.changes(repeated(*([0.2] * k + [0.9] * (12 - k) for k in (4, 5, 6))))
    assert found[MEASURES[0]] == mean_interval([7.5, 9.5, 11.5], bounds=(0, 22.5))  # flips: the middles of two blocks
    assert found[MEASURES[2]].value == pytest.approx(1)
    equal = paper.changes(repeated(*[[0.2] * 4 + [0.9] * 8] * 3))[MEASURES[0]]
    assert (equal.value, equal.low, equal.high) == (7.5, 6.5, 8.5), "no surer than places two flips apart allow"


def test_change_study_repeats_rotations_and_prompts(smollm2):
    made = paper.change_study(smollm2, "011", n_flips=9, n_points=2, prompts=["plain", "plain", "unknown"])
    assert made.arms == ["plain", "unknown"] and made.labels("concept") == ["011", "110", "101"]
    direct = paper.concept_curve(smollm2, "110", n_flips=9, n_points=2, prompt="plain")
    part = made.of("plain", concept="110")
    np.testing.assert_allclose(part.values("in_phase"), direct.by_period(direct.in_phase)[1], atol=1e-5)


# --- figures ---


def test_prediction_tree_is_the_next_flip_behind_each_path(smollm2):
    tree = study.prediction_tree(smollm2, "HT", 2)
    assert list(tree) == ["", "H", "T"]
    for path, p in tree.items():
        assert p == pytest.approx(paper.next_flip_curve(smollm2, "HT" + path)[0][-1], abs=1e-5)
    said = sequence_figures.tree_figure({"m": tree}).description
    assert f"after nothing {tree['']:.2f}" in said


def test_figures_of_sequences_say_their_numbers():
    groups = {"m": ["HTHTHTHT", "HTHTHTHH"], "nobody": [], "coin": ["HHTHTTTH"]}
    shares = paper.distinct_shares(groups["m"], [2, 6, 9])
    assert shares == pytest.approx({2: (2 / 7 + 3 / 7) / 2, 6: (2 / 3 + 3 / 3) / 2})
    # after Heads 7 Tails and 1 Heads, after Tails 6 Heads, and Beta(5, 5): 12 / 18 and 5 / 16
    said = sequence_figures.markov_figure(groups).description
    assert "m, 2 sequences: p(Tails | Heads) = 0.67, p(Tails | Tails) = 0.31." in said
    assert "nobody" not in sequence_figures.running_figure(groups).description
    assert "m goes from" in sequence_figures.subsequence_figure(groups).description
    for figure in (
        sequence_figures.markov_figure,
        sequence_figures.running_figure,
        sequence_figures.subsequence_figure,
    ):
        assert "No sequence" in figure({"m": []}).description
    for figure in (sequence_figures.tree_figure, sequence_figures.change_figure, sequence_figures.sources_figure):
        assert "No " in figure({}).description


@pytest.mark.slow
def test_a_concept_after_a_thousand_flips(smollm2):
    assert paper.PROFILES.fill("smoke", n_flips=1000)["n_flips"] == 1000
    curve = paper.concept_curve(smollm2, "01", n_flips=1000, at=[1000])
    assert curve.n.tolist() == [1000] and 0 < curve.in_phase[0] < 1 and 0 < curve.mass[0] <= 1
