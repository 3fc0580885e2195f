"""Concept vectors, steering, probes and neurons: against hand-made hooks, with their controls."""

import numpy as np
import pytest
import torch

from workbench.errors import UsageError
from workbench.papers import explainability as ex
from workbench.papers.explainability import blocks
from workbench.papers.explainability.inside.concepts import Concept


@pytest.fixture(scope="module")
def sentiment(smollm2):
    rows = ex.concept_rows("sentiment", "train")
    return ex.concept_vector(smollm2, [r.positive for r in rows], [r.negative for r in rows], name="sentiment")


def test_the_vector_is_the_difference_of_means(smollm2):
    positive, negative = ["I am glad", "What joy"], ["I am so very sad"]
    concept = ex.concept_vector(smollm2, positive, negative, layer=12)

    def last(text):
        return smollm2.hidden([text], layers=[12])[0, 0, -1].double().numpy()

    means = np.mean([last(t) for t in positive], 0), last(negative[0])
    np.testing.assert_allclose(concept.vector * concept.scale, means[0] - means[1], atol=2e-3)
    assert np.linalg.norm(concept.vector) == pytest.approx(1, abs=1e-5) and concept.layer == 12
    read = ex.read_concept(smollm2, concept, positive + negative)
    assert read[:2].mean() == pytest.approx(concept.scale / 2, rel=1e-3) == pytest.approx(-read[2], rel=1e-3)


def test_the_concept_is_read_on_held_out_sentences(smollm2, sentiment):
    held = ex.concept_rows("sentiment", "heldout")
    good = ex.read_concept(smollm2, sentiment, [r.positive for r in held])
    bad = ex.read_concept(smollm2, sentiment, [r.negative for r in held])
    assert np.mean(good > bad) > 0.8


def test_steering_moves_the_stream_and_nothing_stays(smollm2, sentiment):
    prompt = "My opinion of the film is that it was"
    parts, ids = blocks.anatomy(smollm2, for_="a test"), smollm2.token_ids(prompt)
    before = smollm2.next_logprobs(prompt)
    with ex.steering(smollm2, sentiment, 0.0):
        assert torch.equal(smollm2.next_logprobs(prompt), before)
    with ex.steering(smollm2, sentiment, 1.0):
        moved = smollm2.next_logprobs(prompt)
        state = blocks.stream_of(smollm2, parts, ids)[sentiment.layer, -1]
    plain = blocks.stream_of(smollm2, parts, ids)[sentiment.layer, -1]
    np.testing.assert_allclose((state - plain).numpy(), sentiment.vector * sentiment.scale, atol=1e-3)
    with pytest.raises(RuntimeError, match="stop"), ex.steering(smollm2, sentiment, 2.0):
        raise RuntimeError("stop")
    assert torch.equal(smollm2.next_logprobs(prompt), before) and (moved - before).abs().max() > 0.5
    # many strengths in one batch from the middle on: the same numbers as under the hook
    found = ex.steer_next(smollm2, prompt, sentiment, [0.0, 1.0], [" good", " bad"])
    tokens = [smollm2.token_ids(text, start=False)[0] for text in (" good", " bad")]
    np.testing.assert_allclose(found.probability, torch.stack([before[-1], moved[-1]])[:, tokens].exp(), rtol=2e-3)
    assert len(found.top) == 2 and len(found.top[0]) == 5


def test_dose_and_response_beside_random_directions(smollm2, sentiment):
    rows = ex.openings("sentiment")[:4]
    found = ex.dose_response(
        smollm2, sentiment, [r.text for r in rows], [r.positive for r in rows], [r.negative for r in rows],
        strengths=(-1, 0, 1), n_random=5,
    )  # fmt: skip
    own, *random = found.table("slope").values()
    assert len(random) == 5 and own.value > 0 and own.value > max(abs(one.value) for one in random)
    middle = found.table("at 0")
    assert [one.value for one in middle.values()] == pytest.approx([middle[sentiment.name].value] * 6, abs=1e-3)
    before = [smollm2.next_logprobs(r.text)[-1] for r in rows]
    pairs = [[smollm2.token_ids(t, start=False)[0] for t in (r.positive, r.negative)] for r in rows]
    by_hand = np.mean([float(logs[a] - logs[b]) for logs, (a, b) in zip(before, pairs)])
    assert middle[sentiment.name].value == pytest.approx(by_hand, abs=1e-3)
    doses = [found.table(f"at {dose}")[sentiment.name].value for dose in (-1, 0, 1)]
    assert own.value == pytest.approx((doses[2] - doses[0]) / 2)  # the slope of a line through -1, 0 and 1


def test_probes_read_the_property_and_fail_on_control_labels(smollm2):
    train, test = ex.probe_rows("sentiment", "train"), ex.probe_rows("sentiment", "heldout")
    found = ex.linear_probe(
        [r.text for r in train], [r.label for r in train], [r.text for r in test], [r.label for r in test],
        model=smollm2, layers=[20], n_control=10,
    )  # fmt: skip
    own, control, by_heart = (found.of(arm).table("right", by="layer")["20"] for arm in found.arms[:3])
    assert own.value > 0.8 and own.low > 0.6 and own.n == len(test)
    assert by_heart.value > 0.95 and 0.35 < control.value < 0.65  # learns anything by heart, and only by heart
    simple = found.table("right")
    assert simple["majority"].value == 0.5
    assert simple["word counts"].value < 0.7  # other words: counting them does not help
    said = [(int(row.reply) == t.label) == row.measures["right"] for row, t in zip(found.of("probe").rows, test)]
    assert len(said) == len(test) and all(said)


def test_a_property_that_is_not_there_is_not_read(smollm2):
    rows = ex.probe_rows("number")
    labels = [i % 4 // 2 for i in range(len(rows))]  # says nothing about the texts
    found = ex.linear_probe(
        [r.text for r in rows[:40]], labels[:40], [r.text for r in rows[40:]], labels[40:], model=smollm2, layers=[15]
    )
    assert found.of("probe").table("right", by="layer")["15"].low < 0.5


def test_parameter_free_probe_counts_right_preferences(smollm2):
    pairs = ex.minimal_pairs("agreement")[:3]
    found = ex.parameter_free_probe(smollm2, pairs)
    right = 0
    for pair in pairs:
        a, b = (smollm2.token_ids(t, start=False)[0] for t in (pair.answer, pair.foil))
        right += bool(smollm2.next_logprobs(pair.clean)[-1][a] > smollm2.next_logprobs(pair.clean)[-1][b])
        right += bool(smollm2.next_logprobs(pair.corrupt)[-1][b] > smollm2.next_logprobs(pair.corrupt)[-1][a])
    share = found.table("right")["as written"]
    assert share.value == right / 6 and share.n == 6 and found.arms == ["as written", "words shuffled"]


def test_neurons_are_what_enters_the_last_matrix(smollm2):
    texts = ["The court rejected the appeal.", "Peel the onions and fry them.", "In 1969 two people walked."]
    cards = ex.browse_neurons(smollm2, texts, layer=10, top_neurons=3, top_examples=3)
    assert len(cards) == 3 and cards[0].kurtosis >= cards[1].kurtosis >= cards[2].kurtosis
    mlp = smollm2.module.model.layers[9].mlp
    seen = []
    handle = mlp.register_forward_hook(lambda m, i, o: seen.append(m.act_fn(m.gate_proj(i[0])) * m.up_proj(i[0])))
    try:
        smollm2.next_logprobs(texts[1])
    finally:
        handle.remove()
    card = cards[0]
    example = next(e for e in card.examples if e.text == texts[1])
    np.testing.assert_allclose(example.activations, seen[0][0, :, card.neuron].detach(), atol=1e-3)
    assert example.peak == 1 + int(np.argmax(example.activations[1:]))
    peaks = [e.activations[e.peak] for e in card.examples]
    assert peaks == sorted(peaks, reverse=True)
    with torch.no_grad():
        effect = smollm2.module.lm_head(mlp.down_proj.weight[:, card.neuron])
    assert card.promotes[0] == smollm2.tokenizer.decode([int(effect.argmax())])


def test_a_topic_neuron_is_checked_on_the_other_half(smollm2):
    found = ex.topic_neuron(smollm2, [r for r in ex.corpus() if r.topic in ("number", "music", "law")], "number")
    assert found.chosen >= 0.9 and found.heldout.n == 9 and 0 <= found.random <= 1


CONCEPT = Concept("toy", 1, np.ones(576, np.float32) / 24, 1.0, 0.0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: ex.concept_vector(m, [], ["a"]), "at least one text on each side"),
        (lambda m: ex.concept_vector(m, ["a"], ["a"]), "the same mean"),
        (lambda m: ex.concept_vector(m, ["a"], ["b"], layer=40), "has no layer 40: give 0 to 30"),
        (lambda m: ex.linear_probe(["a", "b"], [0, 0], ["c", "d"], [0, 1], model=m), "the training half has 2 texts"),
        (lambda m: ex.linear_probe(["a", "b"], [0, 1], ["c", "d"], [0, 1], model=m, n_control=0), "n_control=0"),
        (lambda m: ex.read_concept(m, CONCEPT, "one text"), "not from one text"),
        (lambda m: ex.dose_response(m, CONCEPT, "one text", " a", " b"), "not one text"),
        (lambda m: ex.dose_response(m, CONCEPT, ["a", "b"], " a", " b", strengths=(1, 1)), "but got 2, 1 and 10"),
        (lambda m: ex.browse_neurons(m, ["one"]), "at least two texts"),
        (lambda m: ex.browse_neurons(m, ["one", "two"], layer=0), "has no layer 0: give 1 to 30"),
        (lambda m: ex.topic_neuron(m, ex.corpus()[:8], "sea"), "topic 'sea' has 2 of 8 texts"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(smollm2, call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call(smollm2)
