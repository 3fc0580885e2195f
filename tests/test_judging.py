"""The judge's room: every number held against plain forwards of a real model, or against counting by hand."""

import math
import re

import numpy as np
import pytest
import torch

from workbench import judging
from workbench.errors import UsageError

SEEN = ["The sky is blue. This is", "Two and two are five. This is"]


def plain(model, text, words):
    """Log of the summed probability of the words' first tokens after ``text``, from one forward without a cache."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        share = model.module(ids).logits[0, -1].double().softmax(-1)
    first = {model.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words}
    return math.log(sum(float(share[token]) for token in first))


def test_label_log_odds_are_the_masses_of_first_tokens_less_the_prior(smollm2):
    good, bad = [" true", " right"], [" false"]
    wanted = [plain(smollm2, text, good) - plain(smollm2, text, bad) for text in SEEN]
    prior = plain(smollm2, "This is", good) - plain(smollm2, "This is", bad)
    assert judging.label_log_odds(smollm2, SEEN, good, bad) == pytest.approx(wanted, abs=1e-4)
    less = judging.label_log_odds(smollm2, SEEN, good, bad, prior=["This is"] * 2)
    assert less == pytest.approx([one - prior for one in wanted], abs=1e-4)
    # words apart are the text of one prompt: token ids and one word instead of a list do as well
    ids = smollm2.token_ids(SEEN[0])
    assert judging.label_log_odds(smollm2, [ids], " true", " false") == pytest.approx(
        [plain(smollm2, SEEN[0], [" true"]) - plain(smollm2, SEEN[0], [" false"])], abs=1e-4
    )


def test_a_pair_is_asked_in_both_orders_and_the_place_cancels(smollm2):
    a, b = ["Boil it {b}."], ["Fry it in sand."]
    filled = [judging.PAIR.replace("{a}", "X").replace("{b}", "Y").replace("X", x).replace("Y", y)
              for x, y in ((a[0], b[0]), (b[0], a[0]))]  # fmt: skip
    first, second = (plain(smollm2, text, [" A"]) - plain(smollm2, text, [" B"]) for text in filled)
    found = judging.pairwise(smollm2, a, b)
    assert found == pytest.approx(np.array([[first, -second]]), abs=1e-4)
    assert judging.pairwise(smollm2, a, b, both_orders=False) == pytest.approx(found[:, :1], abs=1e-4)
    turned = judging.pairwise(smollm2, b, a)
    assert turned.mean() == pytest.approx(-found.mean(), abs=1e-4)  # the verdict turns round with the texts


def test_a_rating_is_what_the_model_writes_and_nan_where_nothing_can_be_read(smollm2):
    prompts = ["One, two, three, four,", "My favourite colour is"]
    written = [one[0].text for one in smollm2.generate(prompts, max_new_tokens=8)]

    def parse(text):
        found = re.search(r"\b(five|six|seven)\b", text)
        return None if found is None else {"five": 5, "six": 6, "seven": 7}[found[1]]

    found = judging.rating(smollm2, prompts, parse)
    assert "five" in written[0] and found[0] == 5.0
    assert math.isnan(found[1]) == (parse(written[1]) is None) and math.isnan(found[1])


def test_a_report_counts_pairs_resamples_groups_and_shows_length_alone():
    labels, texts = [1, 0, 1, 0, 1, 0], ["aaa", "a", "aa", "aaaa", "a", "aa"]
    report = judging.report([3, 1, 2, 2, 0, 0], labels, list("xxyyzz"), texts=texts)
    # good 3 2 0 against bad 1 2 0: 3 beats all, 2 beats 1 and 0 and ties with 2, 0 ties with 0
    assert report.auc.value == pytest.approx((3 + 2.5 + 0.5) / 9) and report.zeros.value == pytest.approx(2 / 6)
    # lengths: good 3 2 1 against bad 1 4 2: 3 beats 1 and 2, 2 beats 1 and ties with 2, 1 ties with 1
    assert report.length.value == pytest.approx((2 + 1.5 + 0.5) / 9)
    assert report.at_chance and not report.is_reversed
    whole = judging.report([3, 1, 2, 2, 0, 0], labels)
    assert whole.auc.value == report.auc.value and whole.length is None
    assert (whole.auc.low, whole.auc.high) != (report.auc.low, report.auc.high)  # single scores, not groups
    wrong = judging.report([0, 1] * 10, [1, 0] * 10)
    assert wrong.is_reversed and not wrong.at_chance and wrong.auc.value == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: judging.label_log_odds(m, SEEN, " true", " true"), "begin with the same token"),
        (lambda m: judging.label_log_odds(m, SEEN, [], " true"), "at least one good"),
        (lambda m: judging.label_log_odds(m, SEEN, "", " true"), "has no token"),
        (lambda m: judging.label_log_odds(m, SEEN, " true", " false", prior=["x"]), "2 prompts and 1 priors"),
        (lambda m: judging.pairwise(m, ["a"], []), "1 and 0 texts"),
        (lambda m: judging.pairwise(m, ["a"], ["b"], template="{a}"), "lacks {a} or {b}"),
        (lambda m: judging.report([1, 2], [1, 1]), "one of the two is missing"),
    ],
)
def test_wrong_questions_have_their_sentence(smollm2, call, words):
    with pytest.raises(UsageError, match=words):
        call(smollm2)
