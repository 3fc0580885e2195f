"""The whole contract on the second embedded model: another architecture, a start token, a sliding window, no chat."""

import random

import numpy as np
import pytest
import torch

from workbench import load
from workbench.errors import ModelError
from workbench.models.prefix import tree as prefix
from workbench.models.prefix.tree import shared_tree

pytestmark = pytest.mark.slow
PROMPTS = ["The capital of France is", "Once upon a time there was"]


def alone(model, prefix, text):
    ids = torch.tensor([[*prefix, *text]])
    with torch.no_grad():
        logs = model.module(ids, use_cache=False, logits_to_keep=len(text) + 1).logits[0].float().log_softmax(-1)
    return [float(logs[i, token]) for i, token in enumerate(text)]


def random_ids(seed, length):
    rng = random.Random(seed)
    return [rng.randrange(1000, 100000) for _ in range(length)]


def test_greedy_is_what_transformers_generates(gemma):
    found = gemma.generate(PROMPTS, max_new_tokens=10)
    for prompt, (sample,) in zip(PROMPTS, found, strict=True):
        ids = gemma.tokenizer(prompt, return_tensors="pt")["input_ids"]
        assert ids[0, 0] == gemma.tokenizer.bos_token_id
        out = gemma.module.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False)
        assert sample.tokens == out[0, ids.shape[1] :].tolist()
        assert sample.text.startswith(" ")  # the space before the first new word is kept
    one_by_one = [gemma.generate([prompt], max_new_tokens=10)[0][0].tokens for prompt in PROMPTS]
    assert one_by_one == [row[0].tokens for row in found]


def test_left_pads_and_the_window_together(gemma):
    """A prompt beyond the window beside a short one: each must come out as it does by itself."""
    long = gemma.tokenizer.decode(random_ids(0, 560), skip_special_tokens=True)
    together = gemma.generate([long, PROMPTS[0]], max_new_tokens=6)
    assert together[1][0].tokens == gemma.generate(PROMPTS[:1], max_new_tokens=6)[0][0].tokens
    assert together[0][0].tokens == gemma.generate([long], max_new_tokens=6)[0][0].tokens


def test_scores_beyond_the_sliding_window(gemma):
    """600 tokens of prefix under a window of 512: the packed masks must cut what the layers cannot see."""
    window = gemma.module.config.get_text_config().sliding_window
    assert window == 512 and "sliding_attention" in gemma.module.config.get_text_config().layer_types
    head = [gemma.tokenizer.bos_token_id, *random_ids(1, 600)]
    near = [gemma.tokenizer.bos_token_id, *random_ids(2, 508)]  # the continuations cross the border
    texts = [random_ids(3 + i, length) for i, length in enumerate([1, 6, 3])]
    found = gemma.logprobs([head, near, near[:20]], [texts] * 3)
    for start, row in zip([head, near, near[:20]], found, strict=True):
        for text, scored in zip(texts, row, strict=True):
            np.testing.assert_allclose(scored.logprobs, alone(gemma, start, text), atol=1e-3)
    assert shared_tree(gemma).reuse and prefix._verdicts[gemma.module] == {0: "", 512: ""}


def test_a_continuation_longer_than_a_batch_of_logits(gemma):
    text = random_ids(9, shared_tree(gemma).most_rows + 40)
    (scored,) = gemma.logprobs([[2, 5]], [[text]])[0]
    np.testing.assert_allclose(scored.logprobs, alone(gemma, [2, 5], text), atol=1e-3)


def test_an_empty_prefix_has_the_start_token(gemma):
    (scored,) = gemma.logprobs([""], [["Hello"]])[0]
    assert scored.logprobs == pytest.approx(alone(gemma, [gemma.tokenizer.bos_token_id], scored.tokens), abs=1e-3)
    assert gemma.next_logprobs("").shape == (1, 262144)


def test_hidden_and_next(gemma):
    states = gemma.hidden(PROMPTS, layers=[0, -1])
    ids = gemma.tokenizer(PROMPTS[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        out = gemma.module(ids, output_hidden_states=True)
    near = 1e-4 * float(out.hidden_states[-1].abs().max())
    np.testing.assert_allclose(states[1, 0, : ids.shape[1]], out.hidden_states[-1][0], atol=near)
    np.testing.assert_allclose(gemma.next_logprobs(PROMPTS[0]), out.logits[0].log_softmax(-1), atol=1e-3)


def test_no_chat_template_is_said(gemma):
    with pytest.raises(ModelError, match="no chat template"):
        gemma.generate(["Hi"], max_new_tokens=1, chat=True)


def test_sampling_does_not_depend_on_the_batch(gemma):
    options = {"max_new_tokens": 5, "temperature": 1.0, "seed": 2}
    together = gemma.generate(PROMPTS, n=2, **options)
    assert [s.tokens for s in gemma.generate(PROMPTS[:1], n=2, **options)[0]] == [s.tokens for s in together[0]]


def test_four_bits_and_the_packed_path(gemma):
    model = load("gemma3-270m", bits=4)
    again = load("gemma3-270m", bits=4)
    assert again.report.from_cache and again.report.bytes < gemma.report.bytes / 2
    head, texts = [2, *random_ids(5, 40)], [random_ids(6, 3), random_ids(7, 5)]
    for text, scored in zip(texts, model.logprobs([head], [texts])[0], strict=True):
        assert scored.total == pytest.approx(sum(alone(model, head, text)), rel=0.02)
    assert shared_tree(model).reuse


def test_perplexity_on_the_bundled_text(smollm2, gemma):
    """A literal forward over the text agrees, for both models."""
    from workbench.models.probe import bundled_text, text_perplexity

    for model in (smollm2, gemma):
        ids = model.tokenizer(bundled_text())["input_ids"]
        wanted = float(np.exp(-np.mean(alone(model, ids[:1], ids[1:]))))
        assert text_perplexity(model, bundled_text()) == pytest.approx(wanted, rel=1e-3)
        assert 5 < wanted < 100
