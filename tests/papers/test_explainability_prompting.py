"""Examples in the prompt, chains of thought, uncertainty: against slow literal versions and hand-made cases."""

from itertools import permutations

import numpy as np
import pytest

from workbench.errors import UsageError
from workbench.papers import explainability as ex
from workbench.papers.explainability.data import QuestionRow
from workbench.papers.explainability.prompting import uncertainty
from workbench.results import Results
from workbench.rows import Row

SHOWN = [["dog", "dogs"], ["tree", "trees"], ["car", "cars"]]


def margin(model, prompt, answer, foil):
    logs = model.next_logprobs(prompt)[-1]
    a, b = (model.token_ids(text, start=False)[0] for text in (answer, foil))
    return float(logs[a] - logs[b])


def prompt(some):
    return "\n\n".join([*(f"Q: {q}\nA: {a}" for q, a in (SHOWN[i] for i in some)), "Q: house\nA:"])


def test_shapley_over_examples_is_the_mean_over_orders(smollm2):
    found = ex.example_influence(smollm2, SHOWN, "house", " houses", " home")
    worth = {some: margin(smollm2, prompt(some), " houses", " home")
             for size in range(4) for some in {tuple(sorted(p)) for p in permutations(range(3), size)}}  # fmt: skip
    scores = np.zeros(3)
    for order in permutations(range(3)):
        for place, i in enumerate(order):
            scores[i] += worth[tuple(sorted(order[: place + 1]))] - worth[tuple(sorted(order[:place]))]
    np.testing.assert_allclose(found.values("score"), scores / 6, atol=1e-3)
    first = found.rows[0]
    assert first.cost == {"evaluations": 8} and sum(found.values("score")) == pytest.approx(
        first.measures["full"] - first.measures["none"], abs=1e-3
    )
    assert first.measures["full"] == pytest.approx(worth[0, 1, 2], abs=1e-3)
    assert first.measures["none"] == pytest.approx(worth[()], abs=1e-3) and first.item == "1 dog"
    one = ex.example_influence(smollm2, SHOWN, "house", " houses", " home", method="leave_one_out")
    assert one.values("score")[1] == pytest.approx(worth[0, 1, 2] - worth[0, 2], abs=1e-3)
    assert len(one.frame()) == 3 and one.rows[0].cost == {"evaluations": 5}


def test_braces_of_the_template_are_its_own_text(smollm2):
    plain, braces = (
        ex.example_influence(smollm2, SHOWN[:1], "What is hot?", " Yes", " No", template=text)
        for text in ("Q {}\nA:{}", "Q {x} {}\nA:{}")
    )
    assert plain.values("full") != braces.values("full")


def test_a_wrong_example_is_seen(smollm2):
    task = next(t for t in ex.demo_tasks() if t.task == "opposite" and t.odd is not None)
    found = ex.example_influence(smollm2, task.examples, task.query, task.answer, task.foil)
    assert int(np.argmin(found.values("score"))) == task.odd


def test_chains_are_cut_corrupted_and_exchanged(smollm2):
    rows = ex.reasoning_rows()[:3]
    found = ex.chain_faithfulness(smollm2, rows, fractions=(0, 0.5, 1))
    row = rows[0]
    words = " ".join(row.steps).split()
    texts = [
        f"Question: {row.question}\nReasoning:\nThe answer is",
        f"Question: {row.question}\nReasoning: {' '.join(words[: round(len(words) / 2)])}\nThe answer is",
        f"Question: {row.question}\nReasoning: {' '.join(words)}\nThe answer is",
        f"Question: {row.question}\nReasoning: {' '.join(row.corrupted)}\nThe answer is",
        f"Question: {row.question}\nReasoning: {' '.join(rows[1].steps)}\nThe answer is",
    ]
    by_hand = [margin(smollm2, text, row.answer, row.wrong) for text in texts]
    first = [one for one in found.rows if one.item == row.id]
    np.testing.assert_allclose([one.measures["margin"] for one in first], by_hand, atol=1e-3)
    assert [one.prompt for one in first] == texts
    assert [one.arm for one in first] == ["0% of the chain", "50% of the chain", "100% of the chain", "corrupted",
                                          "another question's"]  # fmt: skip
    for arm, share in found.table("right").items():
        assert share.value == pytest.approx(np.mean(np.array(found.of(arm).values("margin")) > 0)) and share.n == 3


def test_own_chains_are_measured_against_their_own_answer(smollm2):
    found = ex.chain_faithfulness(smollm2, ex.reasoning_rows()[:2], chains="own", fractions=(0, 1), max_new_tokens=8)
    assert found.table("right")["100% of the chain"].value == 1 and len(found) == 6 and "corrupted" not in found.arms


def answered(kind, right, agreement, yes=0.5):
    measures = {"right": right, "likelihood": agreement, "entropy": -agreement, "agreement": agreement,
                "verbalised_yes": yes, "verbalised_number": np.nan, "words": 1}  # fmt: skip
    return Row("the model", f"{kind}{agreement}", measures=measures, labels={"kind": kind}, reply="word")


def test_measures_on_a_case_worked_by_hand():
    known = [answered("known", *row) for row in ((True, 1.0), (True, 0.8), (False, 0.4), (False, 0.0))]
    some = [*known, answered("unknowable", False, 0.2), answered("unknowable", False, 0.9)]
    some = Results(rows=some)
    found = ex.uncertainty_of(None, answered=some)
    assert found.accuracy.value == 0.5 and found.accuracy.n == 4
    assert found.auroc["agreement"].value == 1 and found.auroc["entropy"].value == 0
    assert found.auroc["verbalised_yes"].value == 0.5 and found.auroc["verbalised_number"] is None
    assert found.readable.value == 0 and sum(n for *_, n in found.calibration["agreement"]) == 4
    # thirds of (0, .4 | .8 | 1): |.2 - 0| of 2, |.8 - 1| of 1, 0 of 1
    assert found.calibration_error["agreement"] == pytest.approx((2 * 0.2 + 0.2 + 0) / 4)
    check = ex.self_consistency(None, answered=some)
    # made up: disagreements .6 1 .8 .1 against 0 .2: seven of eight pairs
    assert check["flagged"].value == pytest.approx(7 / 8) and check["length"].value == 0.5
    # no answer: .8 .1 against 0 .2 .6 1: (3 + 1) of eight
    assert check["unknowable"].value == pytest.approx(4 / 8)


def test_answers_are_read_as_people_would():
    row = QuestionRow("q", "known", "?", ["autumn", "fall"])
    assert uncertainty.is_right(row, "Autumn.") and uncertainty.is_right(row, "It is the Fall!")
    assert not uncertainty.is_right(row, "The rainfall") and not uncertainty.is_right(row, "")
    number = QuestionRow("q", "known", "?", ["six", "6"])
    assert uncertainty.is_right(number, "It has six sides.") and uncertainty.is_right(number, "6.")
    assert not uncertainty.is_right(number, "Sixteen.") and not uncertainty.is_right(number, "60")
    assert uncertainty._same("It is Paris.", "Paris") and not uncertainty._same("Paris", "Rome")
    assert uncertainty._same("", "") and not uncertainty._same("", "Rome")


def test_asking_reads_every_confidence(smollm2):
    questions = [ex.question_rows("known")[0], ex.question_rows("unknowable")[0]]
    found = ex.ask(smollm2, questions, n=3, max_new_tokens=4)
    assert found.values("right") == [True, False] and found.rows[0].reply.startswith("Paris")
    text = f"{uncertainty.FRAME}Question: {questions[0].question}\nAnswer:"
    logs = smollm2.next_logprobs(text)[-1]
    assert found.rows[0].prompt == text and found.values("entropy")[0] == pytest.approx(
        float((logs.exp() * logs).sum()), abs=1e-3
    )
    for one in found.rows:
        assert one.labels["samples"].count("\n") == 2 and one.measures["agreement"] in (0, 1 / 3, 2 / 3, 1)
        assert 0 <= one.measures["verbalised_yes"] <= 1 and one.measures["likelihood"] <= 0
    again = ex.ask(smollm2, questions, n=3, max_new_tokens=4)
    assert [one.labels for one in again.rows] == [one.labels for one in found.rows]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: ex.example_influence(m, [], "a", " b", " c"), "there are 0 examples: give 1 to 8"),
        (lambda m: ex.example_influence(m, SHOWN * 3, "a", " b", " c"), "there are 9 examples"),
        (lambda m: ex.example_influence(m, SHOWN, "a", " b", " c", method="guess"), "choose one of shapley"),
        (lambda m: ex.example_influence(m, SHOWN, "a", " b", " c", template="{}"), "has 1 places"),
        (lambda m: ex.example_influence(m, ["ab"], "a", " b", " c"), "'ab' is no example"),
        (lambda m: ex.chain_faithfulness(m, ex.reasoning_rows()[:1]), "give at least two"),
        (lambda m: ex.chain_faithfulness(m, chains="none"), "choose given or own"),
        (lambda m: ex.chain_faithfulness(m, fractions=(0.5, 0.2)), "must increase"),
        (lambda m: ex.ask(m, n=1), "n=1"),
        (lambda m: ex.uncertainty_of(m, answered=Results(rows=[answered("unknowable", 0, 0)])), "give some of kind"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(smollm2, call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call(smollm2)
