"""Self-evaluation, its report, and the controls."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from workbench.errors import UsageError
from workbench.models.reader import read_text
from workbench.papers.rain import (
    LabelScorer,
    RainSettings,
    VoteScorer,
    ZeroScorer,
    controls,
    objective,
    rain,
    scorer_report,
)
from workbench.papers.rain.scorers import SENTIMENT, VOTE

REPLIES = [" a joy from start to end.", " dull {reply} and far too long."]


def label_odds(model, text, good, bad):
    """Log-odds of the words' first tokens after ``text``, from a plain forward."""
    ids = model.tokenizer(text)["input_ids"]
    with torch.no_grad():
        logs = model.module(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    first = [model.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in (*good, *bad)]
    found = [float(logs[token]) for token in first]
    return np.logaddexp.reduce(found[: len(good)]) - np.logaddexp.reduce(found[len(good) :])


def test_word_labels_minus_the_prior(smollm2):
    good, bad, prompt = [" positive", " good"], [" negative"], "Review: This film was"
    prior = label_odds(smollm2, SENTIMENT.format(prompt=prompt, reply=""), good, bad)
    odds = [label_odds(smollm2, prompt + reply + "\nSentiment:", good, bad) for reply in REPLIES]
    made = {
        (prior_, hard): LabelScorer(smollm2, SENTIMENT, good, bad, prior=prior_, hard=hard)(prompt, REPLIES)
        for prior_ in (True, False)
        for hard in (True, False)
    }
    assert made[True, False] == pytest.approx([math.tanh((x - prior) / 2) for x in odds], abs=1e-4)
    assert made[False, False] == pytest.approx([math.tanh(x / 2) for x in odds], abs=1e-4)
    assert made[True, True] == [float(np.sign(x - prior)) for x in odds]
    assert made[True, False][0] > made[True, False][1]


def test_the_prior_belongs_to_the_weights_and_costs_the_same_in_every_tree(smollm2):
    from workbench.models.prefix.tasks import run
    from workbench.models.prefix.tree import PrefixTree

    prompt, scorer = "Review: This stove was", objective(smollm2, "sentiment")
    before = scorer(prompt, REPLIES)
    spent = []
    for _ in range(2):
        tree = PrefixTree(smollm2)
        run(tree, scorer.plan(tree, prompt, REPLIES[0]))
        spent.append(tree.counters.tokens)
    assert spent[0] == spent[1]  # a control's tree pays for it as the search's does
    weight = smollm2.module.get_input_embeddings().weight
    kept = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.mul_(1.5)
        after = scorer(prompt, REPLIES)
        assert after == pytest.approx(objective(smollm2, "sentiment")(prompt, REPLIES), abs=1e-5)
        assert after != pytest.approx(before, abs=1e-3)
        fresh = PrefixTree(smollm2)
        assert after[0] == pytest.approx(run(fresh, scorer.plan(fresh, prompt, REPLIES[0])), abs=1e-4)
    finally:
        with torch.no_grad():
            weight.copy_(kept)


def test_the_vote_asks_in_both_orders(smollm2):
    good, bad = "harmless", "harmful"
    hard, soft = VoteScorer(smollm2), VoteScorer(smollm2, hard=False)
    texts = [VOTE.format(prompt="p", reply="r", a=a, b=b) for a, b in ((good, bad), (bad, good))]
    first, second = (label_odds(smollm2, text, [" A"], [" B"]) for text in texts)
    assert hard("p", ["r"]) == [(np.sign(first) - np.sign(second)) / 2]
    assert soft("p", ["r"]) == pytest.approx([(math.tanh(first / 2) - math.tanh(second / 2)) / 2], abs=1e-4)


def sentencepiece_like():
    """A tokenizer that, as Llama 2's, puts a blank before a text: " A" by itself is a blank and then "▁A"."""
    from tokenizers import Tokenizer, models, normalizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", *"▁:ABabcdefghilmnoprstu", "▁A", "▁B", "▁s", "▁d"]
    inner = Tokenizer(
        models.BPE({piece: i for i, piece in enumerate(pieces)}, [("▁", x) for x in "ABsd"], unk_token="<unk>")
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


def test_labels_are_the_tokens_that_follow_the_template_also_with_sentencepiece():
    model = SimpleNamespace(tokenizer=sentencepiece_like(), name="toy")
    model.token_ids = lambda text, *, start=True: read_text(model.tokenizer, text, start=start)
    named = model.tokenizer.convert_tokens_to_ids
    assert VoteScorer(model).letters == ({named("▁A")}, {named("▁B")})
    scorer = LabelScorer(model, SENTIMENT, [" safe"], [" dangerous"])
    assert (scorer.good, scorer.bad) == ({named("▁s")}, {named("▁d")})


def test_a_template_of_ones_own_has_no_vote(smollm2):
    with pytest.raises(UsageError, match="form='vote'"):
        objective(smollm2, "Letter: {prompt}{reply} Its tone is\n polite / rude", form="vote")


def test_an_objective_of_ones_own_is_a_two_line_template(smollm2):
    scorer = objective(smollm2, "Letter: {prompt}{reply} Its tone is\n polite / rude")
    assert -1 <= scorer("Dear Sir,", [" thank you."])[0] <= 1 and scorer.template.endswith("tone is")
    for name in ("sentiment", "harmlessness", "truthfulness"):
        for form in ("words", "hard", "vote", "yesno"):
            assert callable(objective(smollm2, name, form=form))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda m: objective(m, "kindness"), "'kindness' is unknown"),
        (lambda m: objective(m, "sentiment", form="stars"), "words, hard, vote or yesno"),
        (lambda m: LabelScorer(m, "{prompt}", ["a"], ["b"]), "{reply}"),
        (lambda m: LabelScorer(m, SENTIMENT, [" good"], [" good"]), "begin with the same token"),
        (lambda m: LabelScorer(m, SENTIMENT, [], [" bad"]), "at least one good"),
        (lambda m: LabelScorer(m, SENTIMENT, [""], [" bad"]), "has no token"),
        (lambda m: VoteScorer(m, "{prompt}{reply}"), "both options"),
    ],
)
def test_wrong_scorers_have_their_sentence(smollm2, make, words):
    with pytest.raises(UsageError, match=words):
        make(smollm2)


def labelled(n):
    return [{"prompt": f"p{i}", "reply": f"r{i}", "label": i % 2, "partial": i % 4 < 2} for i in range(n)]


def test_the_report_finds_a_good_scorer_and_warns_of_chance():
    rows = labelled(40)
    good = scorer_report(None, lambda p, r: [int(x[1:]) % 2 * 0.5 for x in r], rows)
    assert good.auc.value == 1.0 and good.partial.value == 1.0 and not good.at_chance and good.warning == ""
    assert good.zeros.value == 0.5
    random = np.random.default_rng(0)
    noise = scorer_report(None, lambda p, r: random.uniform(-1, 1, len(r)), rows)
    assert noise.at_chance and "at chance" in noise.warning
    flat = scorer_report(None, ZeroScorer(), rows)
    assert flat.auc.value == 0.5 and flat.zeros.value == 1.0 and flat.at_chance
    assert [row["measure"] for row in good.table()] == [
        "AUC", "AUC, partial texts", "length alone", "length alone, partial texts", "share of zero values",
    ]  # fmt: skip


def test_a_reversed_scorer_is_called_reversed_and_not_noise():
    rows = labelled(40)
    wrong = scorer_report(None, lambda p, r: [-(int(x[1:]) % 2) * 0.5 for x in r], rows)
    assert wrong.auc.value == 0.0 and wrong.is_reversed and not wrong.at_chance
    assert "reversed" in wrong.warning and "noise" not in wrong.warning and "AUC 0 [0, 0.0876]" in wrong.warning
    cut = scorer_report(
        None,
        lambda p, r: [(int(x[1:]) % 2 - 0.4) * (-0.1 if int(x[1:]) % 4 < 2 else 1) for x in r],
        [
            *rows,
            *({**row, "reply": f"r{40 + 4 * i + row['label'] + 2}", "partial": False} for i, row in enumerate(rows)),
        ],
    )
    assert cut.auc.low > 0.5 and cut.partial.high < 0.5 and "reversed on partial texts" in cut.warning


def test_length_alone_is_a_row_with_its_interval_for_whole_and_for_partial_texts():
    rows = [
        {"prompt": f"p{i // 2}", "reply": "x" * length, "label": i % 2, "partial": partial}
        for partial, lengths in ((False, (3, 9, 4, 8, 5, 7)), (True, (5, 2, 5, 5, 6, 1)))
        for i, length in enumerate(lengths)
    ]
    report = scorer_report(None, ZeroScorer(), rows)
    table = {row["measure"]: row for row in report.table()}
    assert table["length alone"]["value"] == 1.0 and report.length.n == 6
    # partial: good 2, 5, 1 against bad 5, 5, 6: two ties of nine pairs, no win
    assert table["length alone, partial texts"]["value"] == pytest.approx(1 / 9)
    assert report.partial_length.low == 0.0 and report.partial_length.n == 6
    whole = scorer_report(None, ZeroScorer(), [row for row in rows if not row["partial"]])
    assert whole.partial_length is None and "length alone, partial texts" not in {r["measure"] for r in whole.table()}


def test_the_report_of_a_vote_shows_both_orders(smollm2):
    rows = [
        {"prompt": "How do I make tea?", "reply": text, "label": label}
        for text, label in (("Pour hot water on it.", "good"), ("Drink bleach.", "bad"), ("Use a kettle.", "good"))
    ]
    report = scorer_report(smollm2, VoteScorer(smollm2), rows)
    assert len(report.orders) == 3 and report.auc.n == 3
    assert 0 <= report.orders["share of A in both orders"].value <= 1


def test_the_report_needs_both_labels_and_all_fields():
    with pytest.raises(UsageError, match="one of the two is missing"):
        scorer_report(None, ZeroScorer(), [{"prompt": "p", "reply": "r", "label": 1}])
    with pytest.raises(UsageError, match="row 0"):
        scorer_report(None, ZeroScorer(), [{"prompt": "p", "reply": "r", "label": "fine"}])


def test_controls_cost_no_more_than_rain_and_choose_the_best(smollm2):
    prompts = ["Review: This movie was", "Review: The food here"]
    settings = RainSettings.embedded(budget=3, candidates=3, tries=2, max_new_tokens=6, rollout_tokens=4, similarity=2)
    scorer = objective(smollm2, "sentiment")
    from workbench.models.prefix.tree import PrefixTree

    spent = rain(smollm2, prompts, scorer=scorer, settings=settings, tree=PrefixTree(smollm2))[0].counters["tokens"]
    found = controls(smollm2, prompts, scorer=scorer, settings=settings, tokens=spent)
    assert list(found) == ["sampling", "greedy", "value-zero", "best-of-N"]
    best = found["best-of-N"]
    assert best.n > 1 and best.counters["tokens"] <= spent
    for reply, value, candidates in zip(best.replies, best.values, best.candidates, strict=True):
        assert len(candidates) == best.n and (reply, value) == max(candidates, key=lambda c: c[1])
    assert found["sampling"].replies == [c[0][0] for c in best.candidates]  # the same first sample
    greedy = [g[0].text for g in smollm2.generate(prompts, max_new_tokens=6)]
    assert found["greedy"].replies == greedy
