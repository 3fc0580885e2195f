"""Token trees against one forward a sequence: the numbers must not depend on what else is in the row."""

import numpy as np
import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from workbench.errors import UsageError
from workbench.models import packed

SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "head_dim": 8,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}


class Handle:
    """A tiny model with random weights behind the two attributes that packed_next reads."""

    def __init__(self, module):
        self.module, self.name = module.eval(), "tiny"
        self.forwards = 0
        module.register_forward_pre_hook(lambda *_: setattr(self, "forwards", self.forwards + 1))


def tiny(kind, **options):
    torch.manual_seed(0)
    if kind == "gemma3":  # full and windowed layers in one model
        kinds = ["sliding_attention", "full_attention", "sliding_attention"]
        config = Gemma3TextConfig(**SIZES, sliding_window=5, layer_types=kinds, query_pre_attn_scalar=8)
        return Handle(Gemma3ForCausalLM(config))
    if kind == "mistral":  # every layer windowed
        return Handle(MistralForCausalLM(MistralConfig(**SIZES, sliding_window=5)))
    return Handle(LlamaForCausalLM(LlamaConfig(**SIZES, **options)))


def literal(handle, sequences):
    with torch.no_grad():
        return torch.stack([handle.module(torch.tensor([s])).logits[0, -1].log_softmax(-1) for s in sequences])


def branches(seed=0):
    rng = np.random.default_rng(seed)
    trunk = rng.integers(1, 64, 20).tolist()
    return [trunk[:k] + rng.integers(1, 64, 4).tolist() for k in range(1, 20, 3)] + [trunk, trunk[:7], trunk]


@pytest.mark.parametrize("kind", ["llama", "gemma3", "mistral"])
def test_a_tree_reads_what_each_sequence_reads_alone(kind):
    """Twenty tokens on windows of five: a mask that forgot the window would be far off."""
    handle = tiny(kind)
    assert packed.can_pack(handle)
    handle.forwards = 0
    found = packed.packed_next(handle, branches(), lambda logprobs: logprobs)
    assert handle.forwards == 1
    wanted = literal(handle, branches())
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert (wanted[0] - wanted[1]).abs().max() > 1e-3  # the sequences do differ
    slow = packed.packed_next(handle, branches(), lambda logprobs: logprobs, packed=False)
    torch.testing.assert_close(slow, wanted, atol=1e-5, rtol=0)


def test_large_trees_and_many_rows_are_cut(monkeypatch):
    handle = tiny("llama")
    wanted = literal(handle, branches())
    monkeypatch.setattr(packed, "TREE_TOKENS", 25)
    monkeypatch.setattr(packed, "READ_BYTES", 4 * 64 * 2)  # two rows a forward
    handle.forwards = 0
    found = packed.packed_next(handle, branches(), lambda logprobs: logprobs, packed=True)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert handle.forwards > 3


def test_prefixes_of_one_text_are_one_plain_forward():
    handle = tiny("llama")
    text = [3, 9, 27, 17, 51]
    prefixes = [text[:k] for k in (1, 2, 4, 5, 2)]
    found = packed.packed_next(handle, prefixes, torch.exp)
    assert handle.forwards == 1
    torch.testing.assert_close(found, literal(handle, prefixes).exp(), atol=1e-6, rtol=0)


def test_a_model_that_ignores_the_mask_is_found_out():
    """The tree would give wrong numbers silently; the small trial notices, and each branch is read by itself."""
    handle = tiny("llama")
    forward = handle.module.forward
    handle.module.forward = lambda *args, attention_mask=None, **rest: forward(*args, **rest)
    with torch.no_grad():  # sharp predictions, so that the wrong context shows
        handle.module.lm_head.weight.mul_(40)
    assert not packed.can_pack(handle)
    found = packed.packed_next(handle, branches(), lambda logprobs: logprobs)
    torch.testing.assert_close(found, literal(handle, branches()), atol=1e-4, rtol=0)


def test_a_handle_without_a_module_is_asked_for_rows():
    local = tiny("llama")

    class Remote:
        name = "remote"

        def next_logprobs(self, ids):
            return local.module(torch.tensor([ids])).logits[0].log_softmax(-1)

    assert not packed.can_pack(Remote())
    found = packed.packed_next(Remote(), branches(), lambda logprobs: logprobs)
    torch.testing.assert_close(found, literal(local, branches()), atol=1e-5, rtol=0)


def test_what_is_wrong_is_one_sentence():
    handle = tiny("llama")
    with pytest.raises(UsageError, match="129 tokens long, but tiny reads at most 128: give a shorter one"):
        packed.packed_next(handle, [[1] * 129], torch.exp)
    for sequences in ([], [[1], []]):
        with pytest.raises(UsageError, match="empty sequence"):
            packed.packed_next(handle, sequences, torch.exp)
