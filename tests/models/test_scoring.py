"""Scoring with shared prefixes, against one ordinary forward for each sequence."""

import random

import numpy as np
import pytest
import torch

from workbench.errors import ModelError
from workbench.models.prefix import tree as engine
from workbench.models.prefix.tasks import score
from workbench.models.prefix.tree import PrefixTree, shared_tree


def alone(model, prefix, text):
    """The slow literal version: the whole sequence, log-softmax over everything, the token's own entry."""
    ids = torch.tensor([[*prefix, *text]], device=model.device)
    with torch.no_grad():
        logs = model.module(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
    return [float(logs[len(prefix) - 1 + i, token]) for i, token in enumerate(text)]


def random_ids(seed, length, vocabulary=40000):
    rng = random.Random(seed)
    return [rng.randrange(100, vocabulary) for _ in range(length)]


def check(model, prefixes, continuations, atol=2e-4):
    found = model.logprobs(prefixes, continuations)
    assert [len(row) for row in found] == [len(row) for row in continuations]
    for prefix, texts, row in zip(prefixes, continuations, found, strict=True):
        for text, scored in zip(texts, row, strict=True):
            assert scored.tokens == text
            np.testing.assert_allclose(scored.logprobs, alone(model, prefix, text), atol=atol, rtol=1e-4)
            assert scored.total == pytest.approx(sum(scored.logprobs))


def test_uneven_continuations_of_one_prefix(smollm2):
    prefix = random_ids(0, 30)
    texts = [random_ids(i, length) for i, length in enumerate([1, 7, 3, 1, 12])]
    texts.append(texts[1][:4])  # the beginning of another one
    texts.append(texts[2] + [5, 6])  # another one, continued
    texts.append(list(texts[0]))  # the same twice
    texts.append([])
    check(smollm2, [prefix], [texts])
    assert shared_tree(smollm2).reuse, "the texts did not share their prefix"


def test_prefixes_that_share_beginnings(smollm2):
    base = random_ids(1, 90)
    prefixes = [base, base[:40], base[:40] + random_ids(2, 70), base, random_ids(3, 1), base[:41]]
    check(smollm2, prefixes, [[random_ids(10 * i + j, 1 + j) for j in range(3)] for i in range(len(prefixes))])


def test_batches_and_pieces_give_the_same(smollm2, monkeypatch):
    """Small limits force many forwards, also within one continuation."""
    base = random_ids(4, 25)
    prefixes = [base, base[:10] + random_ids(5, 5)]
    texts = [[random_ids(20 + i, 9) for i in range(4)] + [random_ids(6, 33)], [random_ids(7, 40), random_ids(8, 2)]]
    monkeypatch.setattr(engine, "BATCH", 24)
    monkeypatch.setattr(shared_tree(smollm2), "most_rows", 16)
    before = shared_tree(smollm2).counters.forwards
    check(smollm2, prefixes, texts)
    assert shared_tree(smollm2).counters.forwards - before >= 6


def test_every_shared_token_is_encoded_once(smollm2, monkeypatch):
    """The tokens that go through the model are those of the prefix and of the continuations, not their product."""
    fed = []
    forward = smollm2.module.forward

    def counting(*args, **kwargs):
        fed.append(kwargs["input_ids"].numel())
        return forward(*args, **kwargs)

    smollm2.logprobs(["warm"], [["up"]])
    monkeypatch.setattr(smollm2.module, "forward", counting)
    prefix = random_ids(9, 200)
    texts = [random_ids(30 + i, 4) for i in range(16)]
    first = smollm2.logprobs([prefix], [texts])
    assert sum(fed) == 200 + 16 * 3  # the last token of a continuation predicts nothing that is asked for
    fed.clear()
    again = smollm2.logprobs([prefix], [[*texts, [*texts[0][:2], 7, 8]]])
    assert sum(fed) == 1  # all but [7] was read before, and the distributions were kept
    assert [scored.logprobs for scored in again[0][:16]] == [scored.logprobs for scored in first[0]]


def test_text_is_tokenised_apart(smollm2):
    (scored,) = smollm2.logprobs(["The capital of France is"], [[" Paris"]])[0]
    assert scored.tokens == smollm2.tokenizer(" Paris", add_special_tokens=False)["input_ids"]
    prefix = smollm2.tokenizer("The capital of France is")["input_ids"]
    assert scored.logprobs == pytest.approx(alone(smollm2, prefix, scored.tokens), abs=1e-4)


def test_a_model_that_ignores_masks_is_found_out(smollm2, monkeypatch, capsys):
    """An architecture without position ids would be scored wrongly in one row: it must fall back, say so once, and
    be right.
    """
    forward = smollm2.module.forward

    def without_positions(*args, **kwargs):
        kwargs.pop("position_ids", None)
        return forward(*args, **kwargs)

    monkeypatch.setattr(smollm2.module, "forward", without_positions)
    monkeypatch.setattr(engine, "_verdicts", type(engine._verdicts)())
    monkeypatch.setattr(engine, "_trees", type(engine._trees)())
    prefix, texts = random_ids(11, 20), [random_ids(12, 3), random_ids(13, 5)]
    check(smollm2, [prefix], [texts])
    tree = shared_tree(smollm2)
    assert not tree.reuse and tree.counters.forwards == len(texts)
    said = capsys.readouterr().err
    assert said.count("differently from plain text") == 1 and "every text is read on its own" in said
    score(tree, [tree.node(prefix)], [texts])
    assert not capsys.readouterr().err
    with pytest.raises(ModelError, match="differently from plain text"):
        PrefixTree(smollm2)  # without a fallback it is refused


def test_what_cannot_be_scored_is_said(smollm2):
    with pytest.raises(ModelError, match="prefix 0 is empty"):
        smollm2.logprobs([""], [["a"]])
    with pytest.raises(ModelError, match="2 prefixes and 1 lists"):
        smollm2.logprobs(["a", "b"], [["c"]])
    with pytest.raises(ModelError, match="one list for each prefix"):
        smollm2.logprobs("a", ["b"])
    with pytest.raises(ModelError, match="999999 is no token"):
        smollm2.logprobs([[999999]], [["a"]])
    assert smollm2.logprobs([], []) == []
    assert smollm2.logprobs(["", "a"], [[], [""]])[1][0].total == 0.0


def test_next_logprobs_row_by_row(smollm2):
    text = "One, two, three, four, five"
    found = smollm2.next_logprobs(text)
    ids = smollm2.tokenizer(text)["input_ids"]
    assert found.shape == (len(ids), 49152) and found.dtype == torch.float32 and found.device.type == "cpu"
    for t in range(0, len(ids), 3):  # each row from a forward of its own over the prefix
        with torch.no_grad():
            logits = smollm2.module(torch.tensor([ids[: t + 1]])).logits[0, -1]
        np.testing.assert_allclose(found[t], logits.log_softmax(-1), atol=2e-4)
    assert torch.allclose(found.exp().sum(-1), torch.ones(len(ids)), atol=1e-4)


def test_hidden_states_are_those_of_each_prompt_alone(smollm2):
    prompts = ["A short one.", "And a somewhat longer prompt, to make pads.", [1, 2, 3], ""]
    found = smollm2.hidden(prompts)
    layers = smollm2.module.config.num_hidden_layers + 1
    lengths = [len(p) if isinstance(p, list) else len(smollm2.tokenizer(p)["input_ids"]) for p in prompts]
    assert found.shape == (layers, 4, max(lengths), smollm2.module.config.hidden_size)
    for row, prompt in enumerate(prompts[:3]):
        ids = prompt if isinstance(prompt, list) else smollm2.tokenizer(prompt)["input_ids"]
        with torch.no_grad():
            states = smollm2.module(torch.tensor([ids]), output_hidden_states=True).hidden_states
        for layer in range(layers):
            # a few of its hidden numbers are thousands of times the others: rounding is relative to those
            near = 1e-4 * float(states[layer].abs().max())
            np.testing.assert_allclose(found[layer, row, : len(ids)], states[layer][0], atol=near)
        assert not found[:, row, len(ids) :].any()
    assert not found[:, 3].any()
    some = smollm2.hidden(prompts[:2], layers=[-1, 0])
    np.testing.assert_allclose(some[0], found[-1, :2, : some.shape[2]], atol=1e-4 * float(some[0].abs().max()))
    with pytest.raises(ModelError, match="no layer 31"):
        smollm2.hidden(["a"], layers=[31])
