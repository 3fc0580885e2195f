"""Counterfactuals, adversarial substitutions, data influence, and the debugging story."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from workbench.errors import UsageError
from workbench.papers import explainability as ex
from workbench.papers.explainability.data import MARK
from workbench.papers.explainability.examples import counterfactual as examples
from workbench.papers.explainability.examples.influence import train_head


def margin(model, prompt, answer, foil):
    logs = model.next_logprobs(prompt)[-1]
    a, b = (model.token_ids(text, start=False)[0] for text in (answer, foil))
    return float(logs[a] - logs[b])


def test_an_edit_is_what_two_plain_readings_say(smollm2):
    edit = ex.compare_edit(smollm2, "The capital of France is", "The capital of Italy is", " Paris", " Rome")
    assert edit.changes == ((3, "France", "Italy"),) and edit.flipped
    assert edit.before_margin == pytest.approx(margin(smollm2, "The capital of France is", " Paris", " Rome"), abs=1e-3)
    assert edit.margin == pytest.approx(margin(smollm2, "The capital of Italy is", " Paris", " Rome"), abs=1e-3)
    assert np.log(edit.p_answer) - np.log(edit.p_foil) == pytest.approx(edit.margin, abs=1e-4)
    same = ex.compare_edit(smollm2, "One two", "One two", " three", " red")
    assert same.changes == () and not same.flipped and same.margin == pytest.approx(same.before_margin, abs=1e-4)
    longer = ex.compare_edit(smollm2, "One two", "One two and more", " three", " red")
    assert longer.changes == ((2, "", "and"), (3, "", "more"))


def test_the_search_is_over_all_single_exchanges_first(smollm2):
    prompt, candidates = "The capital of France is", {"france": ["Italy", "Spain"], "capital": ["king"]}
    found = ex.counterfactuals(smollm2, prompt, " Paris", " Rome", candidates=candidates)
    assert [edit.edited for edit in found.edits] == ["The capital of Italy is"] and found.tried == 3
    assert found.margin == pytest.approx(margin(smollm2, prompt, " Paris", " Rome"), abs=1e-3)
    assert found.nearest == found.edits[0] and len(found.frame()) == 1
    none = ex.counterfactuals(smollm2, prompt, " Paris", " Rome", candidates={"capital": ["town"]}, max_edits=1)
    assert none.edits == () and none.nearest.edited == "The town of France is" and none.tried == 1
    two = ex.counterfactuals(smollm2, prompt, " Paris", " xylophone", candidates={"capital": ["town"], "the": ["a"]})
    assert two.tried == 3 and two.nearest.edited in (
        "A town of France is",
        "A capital of France is",
        "The town of France is",
    )


def test_own_words_flip_a_fact_and_never_name_the_answer(smollm2):
    found = ex.counterfactuals(smollm2, "The keys to the old cabinet", " are", " is", per_word=8)
    assert found.edits and all(len(edit.changes) == 1 and edit.margin < 0 for edit in found.edits)
    options = examples._own_words(smollm2, "The capital of France is", 12, {"paris"})
    assert 0 not in options and all("paris" not in map(str.lower, words) for words in options.values())
    assert all(len(words) <= 12 for words in options.values())


def test_replacing_keeps_capitals_and_punctuation():
    assert examples._replace("Dull, very dull.", {0: "tedious", 2: "dreary"}) == "Tedious, very dreary."


def test_adversarial_keeps_to_its_list_and_has_a_random_control(smollm2):
    prompt = "Review: The plot was dull and the acting was awful.\nThe reviewer's opinion is"
    found = ex.adversarial(smollm2, prompt, " negative", " positive", max_edits=2, n_random=4)
    words = ex.substitutions()
    for edit in (*found.edits, found.nearest):
        for _, before, after in edit.changes:
            assert after.strip(".,").lower() in words[before.strip(".,").lower()]
    assert found.random.n == 4 and "reader must judge" in found.doubt
    assert found.nearest.margin <= found.random.value + 1e-6 or found.margin < 0
    with pytest.raises(UsageError, match=r"no word of 'Xyz' is in the list of substitutions"):
        ex.adversarial(smollm2, "Xyz", " a", " b")
    with pytest.raises(UsageError, match="max_edits=0 and keep=5"):
        ex.counterfactuals(smollm2, "One two", " a", " b", max_edits=0)


def data(n, seed, noise=0.6):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    return x, (x[:, 0] + noise * rng.normal(size=n) > 0).astype(int)


def test_influence_predicts_what_removal_does():
    (x, y), (tx, ty) = data(60, 0), data(40, 1)
    wrong = np.argsort(-np.abs(x[:, 0]))[:5]  # rows of clear cases
    y[wrong] = x[wrong, 0] < 0
    found = ex.influence_on_head(x, y, tx, ty, penalty=1.0)
    own, _, random = found.correlations("predicted", "actual").values()
    assert own.low > 0.9 and own.n == 60 and abs(random.value) < 0.5
    mine = found.of("influence function")
    scores = np.array(mine.values("predicted"))
    assert spearmanr(scores, mine.values("actual")).statistic > 0.9
    assert scores[wrong].mean() < np.delete(scores, wrong).mean()  # wrong rows harm: without them the loss falls


def test_the_head_is_the_one_scikit_learn_finds():
    from sklearn.linear_model import LogisticRegression

    x, y = data(50, 3)
    ours = train_head(np.hstack([x, np.ones((50, 1))]), y.astype(float), 2.0)
    other = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(ours, [*other.coef_[0], other.intercept_[0]], atol=1e-4)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": [0] * 8}, "all the same"),
        ({"labels": [0, 2] * 4}, r"hold \[0.0, 2.0\]: give 0 and 1"),
        ({"penalty": 0}, "penalty=0"),
        ({"n_remove": 2}, "2 rows to leave out are too few"),
        ({"test_embeddings": np.zeros((3, 4))}, r"the test rows are \(3, 4\)"),
    ],
)
def test_what_is_wrong_with_influence_is_said(change, sentence):
    asked = {"embeddings": np.eye(8), "labels": [0, 1] * 4, "test_embeddings": np.eye(8), "test_labels": [0, 1] * 4}
    with pytest.raises(UsageError, match=sentence):
        ex.influence_on_head(**asked | change)


def test_influence_on_the_shipped_reviews(minilm):
    train, test = ex.shortcut_rows("train"), ex.shortcut_rows("test")
    found = ex.influence_on_head(
        minilm.embed([r.text for r in train]), [r.label for r in train], minilm.embed([r.text for r in test]),
        [r.label for r in test], n_remove=16,
    )  # fmt: skip
    assert found.correlations("predicted", "actual")["influence function"].value > 0.8 and len(found) == 3 * 16


@pytest.mark.slow
def test_the_shortcut_is_found_mended_and_the_encoder_left_alone(minilm):
    lamp = minilm.embed(["a lamp"])
    story = ex.debug_shortcut(minilm)
    assert story.suspect in ("thursday", "written") and story.control_word not in MARK.lower()
    before, after, control = story.results.table("push (logits)").values()
    assert before.low > after.high  # the mark pushes less once it is no longer learnt
    flips = list(story.results.table("flips").values())
    assert flips[1].value < flips[0].value and control.value > after.high
    assert story.frame().shape == (5, 3)
    np.testing.assert_array_equal(lamp, minilm.embed(["a lamp"]))


def test_a_story_needs_both_labels(minilm):
    with pytest.raises(UsageError, match=r"the test rows have labels \[1\]"):
        ex.debug_shortcut(minilm, test=[r for r in ex.shortcut_rows("test") if r.label])
