"""Trees of tokens read in one forward: equal to a forward for each branch, on tiny models of random weights."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from workbench.errors import UsageError
from workbench.models.prefix import tree as prefix
from workbench.models.prefix.packed import packed_next
from workbench.models.prefix.tree import shared_tree

VOCABULARY = 64
COMMON = {
    "vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 40,
}  # fmt: skip


@cache
def tiny(kind):
    """A handle with a random module: full attention, a window of 4 in every layer, or in two of three."""
    from transformers import (
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
    )

    torch.manual_seed(0)
    if kind == "full":
        module = LlamaForCausalLM(LlamaConfig(**COMMON))
    elif kind == "window":
        module = MistralForCausalLM(MistralConfig(**COMMON, sliding_window=4))
    else:
        types = ["sliding_attention", "full_attention", "sliding_attention"]
        module = Gemma3ForCausalLM(Gemma3TextConfig(**COMMON, head_dim=8, sliding_window=4, layer_types=types))
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0, 0.3)  # the usual .02 makes every distribution flat, and any mask would do
    return SimpleNamespace(module=module.eval(), name=kind)


def literal(model, sequences):
    """One ordinary forward for each sequence."""
    with torch.no_grad():
        return torch.stack(
            [model.module(torch.tensor([s])).logits[0, -1].float().softmax(-1) for s in sequences]
        ).numpy()


sequence = st.lists(st.integers(0, 3), min_size=1, max_size=9)  # four tokens: beginnings are often shared
trees = st.lists(sequence, min_size=1, max_size=7)


@pytest.mark.parametrize("kind", ["full", "window", "mixed"])
@given(sequences=trees)
@settings(max_examples=25, deadline=None)
def test_tree_is_branches_is_one_forward_each(kind, sequences):
    model = tiny(kind)
    wanted = literal(model, sequences)
    for choice in (True, False, None):
        found = packed_next(model, sequences, torch.exp, packed=choice)
        assert found.shape == (len(sequences), VOCABULARY) and found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["full", "window", "mixed"])
def test_a_chain_is_one_ordinary_forward(kind, monkeypatch):
    model, calls = tiny(kind), []
    forward = model.module.forward

    def counting(*args, **kwargs):
        calls.append(kwargs)
        return forward(*args, **kwargs)

    whole = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]
    prefixes = [whole[:k] for k in (12, 1, 5, 7)]  # in any order
    wanted = literal(model, prefixes)
    packed_next(model, prefixes, torch.exp)  # a module of a kind not met before is tried once, by forwards of its own
    shared_tree(model).clear()
    monkeypatch.setattr(model.module, "forward", counting)
    np.testing.assert_allclose(packed_next(model, prefixes, torch.exp).numpy(), wanted, atol=1e-4)
    assert len(calls) == 1 and calls[0]["attention_mask"] is None and calls[0]["input_ids"].shape == (1, 12)


def test_a_shared_beginning_is_computed_once(monkeypatch):
    model, calls = tiny("full"), []
    forward = model.module.forward

    def counting(*args, **kwargs):
        calls.append(kwargs["input_ids"].numel())
        return forward(*args, **kwargs)

    shared_tree(model).clear()
    monkeypatch.setattr(model.module, "forward", counting)
    trunk = list(range(20))
    packed_next(model, [[*trunk, 30 + i, 31] for i in range(5)], torch.exp)
    assert calls == [20 + 5 * 2]


@pytest.mark.parametrize("kind", ["full", "window", "mixed"])
def test_small_trees_and_small_readings_give_the_same(kind, monkeypatch):
    model = tiny(kind)
    sequences = [[i % 3, 7, 7, *range(i)] for i in range(12)]
    wanted = literal(model, sequences)
    shared_tree(model).clear()
    monkeypatch.setattr(prefix, "BATCH", 8)
    monkeypatch.setattr(shared_tree(model), "most_rows", 2)
    np.testing.assert_allclose(packed_next(model, sequences, torch.exp).numpy(), wanted, atol=1e-4)


def test_the_window_matters():
    """Were the window left out of the mask, the comparison above would have to fail."""
    model = tiny("window")
    far = [[1, 2, 3, 4, 5, 6, 7, 8, end] for end in (9, 10)]
    tree = shared_tree(model)
    right = packed_next(model, far, torch.exp)
    tree.clear()
    tree.window, kept = None, tree.window
    try:
        wrong = packed_next(model, far, torch.exp)
    finally:
        tree.clear()
        tree.window = kept
    assert (right - wrong).abs().max() > 1e-3


def test_reduce_sees_log_probabilities():
    model = tiny("full")
    found = packed_next(model, [[1, 2], [1, 3]], lambda rows: rows[:, [5, 6]])
    np.testing.assert_allclose(found.numpy(), np.log(literal(model, [[1, 2], [1, 3]])[:, [5, 6]]), atol=1e-4)


def test_a_model_that_ignores_the_mask_is_found_out(monkeypatch):
    model = tiny("full")
    forward = model.module.forward
    assert shared_tree(model).reuse

    def deaf(*args, **kwargs):
        kwargs.pop("attention_mask", None)
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.module, "forward", deaf)
    monkeypatch.setattr(prefix, "_verdicts", type(prefix._verdicts)())
    monkeypatch.setattr(prefix, "_trees", type(prefix._trees)())
    sequences = [[1, 2, 3], [1, 9, 4, 5]]
    np.testing.assert_allclose(packed_next(model, sequences, torch.exp).numpy(), literal(model, sequences), atol=1e-4)
    assert not shared_tree(model).reuse


def test_what_cannot_be_read_is_said():
    model = tiny("full")
    for wrong in ([], [[]], [[1], []]):
        with pytest.raises(UsageError, match="at least one token"):
            packed_next(model, wrong, torch.exp)
    with pytest.raises(UsageError, match="the text has 41 tokens, but full reads at most 40"):
        packed_next(model, [[1] * 41], torch.exp)
    assert packed_next(model, [[1] * 40], torch.exp).shape == (1, VOCABULARY)
