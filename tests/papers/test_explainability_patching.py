"""Logit lens, activation patching and the circuit, against plain forwards; hooks leave no trace."""

import numpy as np
import pytest
import torch
from explainability_toys import handle, patched

from workbench.errors import ModelError, UsageError
from workbench.papers import explainability as ex
from workbench.papers.explainability import blocks
from workbench.papers.explainability.inside.circuit import ablate_heads
from workbench.papers.explainability.inside.patching_engine import plain_run, through

CLEAN, CORRUPT, ANSWER, FOIL = "The opposite of hot is", "The opposite of big is", " cold", " small"


def plain(model, prompt):
    return model.next_logprobs(prompt)[-1]


def test_the_lens_ends_where_the_model_ends_and_norms_once(smollm2):
    lens = ex.logit_lens(smollm2, "The capital of France is", " Paris", layers=[0, 12, -1], top_k=3)
    logs = smollm2.next_logprobs("The capital of France is")  # (T, V)
    paris = smollm2.token_ids(" Paris", start=False)[0]
    assert lens.layers == (0, 12, 30) and lens.tokens[-1] == " is"
    np.testing.assert_allclose(lens.probability[-1], logs[:, paris].exp(), rtol=1e-3, atol=1e-6)
    assert lens.rank[-1, -1] == int((logs[-1] > logs[-1, paris]).sum()) == 0
    best = logs[-1].topk(3)
    np.testing.assert_allclose([p for _, p in lens.at(30)], best.values.exp(), rtol=1e-3)
    np.testing.assert_allclose(lens.entropy[-1], -(logs.exp() * logs).sum(-1), rtol=1e-3)
    # a middle layer: transformers' hidden_states there are before the norm, so the norm is ours to apply
    middle = smollm2.hidden(["The capital of France is"], layers=[12])[0, 0]
    with torch.no_grad():
        by_hand = smollm2.module.lm_head(smollm2.module.model.norm(middle)).softmax(-1)[:, paris]
    np.testing.assert_allclose(lens.probability[1], by_hand, rtol=1e-3, atol=1e-9)
    assert list(lens.frame().index) == [0, 12, 30]


@pytest.mark.parametrize(("part", "layers"), [("stream", [0, 7, 29, 30]), ("attention", [1, 22, 30]), ("mlp", [1, 15])])
def test_the_grid_is_what_one_run_at_a_time_gives(smollm2, part, layers):
    asked = (smollm2, CLEAN, CORRUPT, ANSWER, FOIL)
    fast = ex.patching_grid(*asked, part=part, layers=layers)
    places = range(len(fast.tokens_clean))
    slow = np.array([[patched(*asked, part, layer, place) for place in places] for layer in layers])
    assert np.abs(fast.values - slow).max() < 1e-4
    assert fast.cost.evaluations == slow.size and fast.cost.tokens < slow.size * len(places)
    difference = plain(smollm2, CLEAN)
    tokens = [smollm2.token_ids(text, start=False)[0] for text in (ANSWER, FOIL)]
    assert fast.clean_value == pytest.approx(float(difference[tokens[0]] - difference[tokens[1]]), abs=1e-4)
    assert fast.frame().shape == fast.values.shape


def test_patching_the_whole_stream_is_swapping_the_prompts(smollm2):
    grid = ex.patching_grid(smollm2, CLEAN, CORRUPT, ANSWER, FOIL, layers=[0, 30])
    word = next(i for i, (a, b) in enumerate(zip(grid.tokens_clean, grid.tokens_corrupt)) if a != b)
    # at layer 0 the one differing token is all there is to swap; at the last layer only the last position is read
    assert grid.recovery[0, word] == pytest.approx(1, abs=1e-4) and grid.recovery[1, -1] == pytest.approx(1, abs=1e-4)
    assert np.abs(np.delete(grid.recovery[0], word)).max() < 1e-4 and np.abs(grid.recovery[1, :-1]).max() < 1e-4
    # in the middle: all positions at once
    parts = blocks.anatomy(smollm2, for_="a test")
    clean = blocks.stream_of(smollm2, parts, smollm2.token_ids(CLEAN))
    with blocks.edited_stream(parts, 13, lambda stream: clean[13][None].clone()):
        swapped = plain(smollm2, CORRUPT)
    assert (swapped - plain(smollm2, CLEAN)).abs().max() < 1e-4


@torch.inference_mode()
def test_going_on_from_the_middle_is_the_plain_run(smollm2):
    parts = blocks.anatomy(smollm2, for_="a test")
    ids = smollm2.token_ids("When Mary and John went to the store, John gave")
    run = plain_run(smollm2, parts, ids)
    for start in (0, 4, len(ids) - 1):
        state = run.streams[10, start:][None]
        for block in range(11, 31):
            state = through(parts, run, block, state, start)
        size = run.streams[30, start:].abs().max()  # the attention sink's entries run into the thousands
        assert (state[0] - run.streams[30, start:]).abs().max() < 1e-5 * size
    logs = parts.read_out(run.streams[30, -1:]).log_softmax(-1)[0]
    assert (logs - smollm2.next_logprobs(ids)[-1]).abs().max() < 1e-3


def test_heads_are_patched_one_by_one(smollm2):
    asked = (smollm2, CLEAN, CORRUPT, ANSWER, FOIL)
    found = ex.patch_heads(*asked, layers=[20, 24])
    for row, block in enumerate((20, 24)):
        for head in (0, 8):
            gap = found.clean_value - found.corrupt_value
            share = (patched(*asked, "heads", block, -1, head) - found.corrupt_value) / gap
            assert found.recovery[row, head] == pytest.approx(share, abs=1e-4)
    assert found.recovery.shape == (2, 9)


def test_ablating_nothing_loses_nothing_and_ablating_every_head_of_the_last_block_is_patching_its_attention(smollm2):
    assert ablate_heads(smollm2, CLEAN, CORRUPT, ANSWER, FOIL, []) == pytest.approx(1, abs=1e-4)
    every = [(30, head) for head in range(1, 10)]
    left = ablate_heads(smollm2, CLEAN, CORRUPT, ANSWER, FOIL, every)
    # the same from the other side: corrupt attention into the clean run
    other = ex.patching_grid(smollm2, CORRUPT, CLEAN, FOIL, ANSWER, part="attention", layers=[30], positions=[-1])
    assert left == pytest.approx(1 - float(other.recovery[0, 0]), abs=1e-3)


def foreign(kind: str, smollm2):
    """Random tiny models whose blocks are called otherwise than Llama's: by position, or with another cache's name."""
    import transformers as hf

    torch.manual_seed(0)
    size = len(smollm2.tokenizer)
    module = {
        "gpt2": lambda: hf.GPT2LMHeadModel(
            hf.GPT2Config(vocab_size=size, n_embd=32, n_layer=3, n_head=4, initializer_range=0.2)
        ),
        "gpt_neox": lambda: hf.GPTNeoXForCausalLM(
            hf.GPTNeoXConfig(
                vocab_size=size, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
                initializer_range=0.2,
            )
        ),
        "bloom": lambda: hf.BloomForCausalLM(
            hf.BloomConfig(vocab_size=size, hidden_size=32, n_layer=3, n_head=4, initializer_range=0.2)
        ),
    }[kind]()  # fmt: skip
    return handle(module.eval(), smollm2.tokenizer, kind)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "bloom"])
def test_blocks_called_by_position_are_patched_and_steered_as_by_whole_runs(smollm2, kind):
    model = foreign(kind, smollm2)
    asked = (model, CLEAN, CORRUPT, ANSWER, FOIL)
    for part in ex.PARTS:
        fast = ex.patching_grid(*asked, part=part)
        slow = [[patched(*asked, part, layer, place) for place in fast.positions] for layer in fast.layers]
        np.testing.assert_allclose(fast.values, slow, atol=1e-4)
    heads = ex.patch_heads(*asked)
    share = (patched(*asked, "heads", 2, -1, 1) - heads.corrupt_value) / (heads.clean_value - heads.corrupt_value)
    assert heads.recovery[1, 1] == pytest.approx(share, abs=1e-4)
    concept = ex.concept_vector(model, ["I am glad"], ["I am sad"])
    steered = ex.steer_next(model, CLEAN, concept, [0, 2], [ANSWER])
    for row, strength in enumerate((0, 2)):
        with ex.steering(model, concept, strength):
            wanted = float(plain(model, CLEAN)[model.token_ids(ANSWER, start=False)[0]].exp())
        assert steered.probability[row, 0] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("name", ["cohere", "granite", "gemma2", "recurrent_gemma", "opt-projected", "bert-decoder"])
def test_the_lens_ends_where_the_model_ends_whatever_stands_behind_its_blocks(zoo, name):
    """Factors, caps, a projection before the head, a transform after it: the model's own last row."""
    import workbench

    model = workbench.load(str(zoo(name)))
    lens = ex.logit_lens(model, "a cat sat on the mat", "x")
    with torch.no_grad():
        logs = model.module(torch.tensor([model.token_ids("a cat sat on the mat")])).logits[0].float().log_softmax(-1)
    np.testing.assert_allclose(lens.probability[-1], logs[:, model.token_ids("x")[-1]].exp(), rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(lens.entropy[-1], -(logs.exp() * logs).sum(-1), atol=1e-4)


def test_a_model_whose_logits_are_not_read_out_is_refused(zoo):
    """A head that looks at the embedding too: nothing behind the blocks alone can repeat it."""
    import workbench

    model = workbench.load(str(zoo("llama")))
    kept = []
    model.module.model.embed_tokens.register_forward_hook(lambda _, __, out: kept.append(out))
    model.module.lm_head.register_forward_hook(lambda _, __, out: out * (1 + kept[-1].mean(-1, keepdim=True)))
    for call in (lambda: ex.logit_lens(model, "a cat"), lambda: ex.concept_vector(model, ["a b"], ["c d"])):
        with pytest.raises(ModelError, match="differs from its own logits"):
            call()


@pytest.mark.parametrize(
    ("name", "path"), [("falcon", "mlp"), ("bloom", "mlp.dense_4h_to_h"), ("mpt", "ffn.down_proj")]
)
def test_what_a_feed_forward_layer_adds_is_patched_and_nothing_else(zoo, name, path):
    """Falcon adds into what its layer gave; Bloom's and MPT's give the whole stream. Hooks by hand on the second."""
    import workbench

    model = workbench.load(str(zoo(name)))
    clean, corrupt = "a cat sat on the mat", "a cow sat on the mat"
    grid = ex.patching_grid(model, clean, corrupt, "x", "y", part="mlp", layers=[2], positions=[3, -1])
    module = model.module.transformer.get_submodule("blocks" if name == "mpt" else "h")[1].get_submodule(path)
    tokens = [model.token_ids(text)[-1] for text in ("x", "y")]

    def run(text, hook):
        handle = module.register_forward_hook(hook)
        with torch.no_grad():
            logits = model.module(torch.tensor([model.token_ids(text)]), use_cache=False).logits[0, -1]
        handle.remove()
        return float(logits[tokens[0]] - logits[tokens[1]])

    kept = []
    run(clean, lambda _, __, out: kept.append(out.clone()))
    for column, at in enumerate((3, -1)):

        def put(_, __, out, at=at):
            out = out.clone()
            out[:, at] = kept[0][:, at]
            return out

        assert grid.values[0, column] == pytest.approx(run(corrupt, put), abs=1e-4)


def test_hooks_leave_no_trace_also_after_an_exception(smollm2):
    before = plain(smollm2, CLEAN)
    parts = blocks.anatomy(smollm2, for_="a test")

    def hung():  # transformers leaves hooks of its own once it was asked for hidden states
        return [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in smollm2.module.modules()]

    there = hung()
    ex.patching_grid(smollm2, CLEAN, CORRUPT, ANSWER, FOIL, part="mlp", layers=[3], positions=[-1])
    ex.logit_lens(smollm2, CLEAN)
    for spoil in (
        blocks.edited_output(parts.mlp(4), lambda t: t * 0),
        blocks.edited_input(parts.blocks[2], lambda t: t * 0),
        blocks.recorded(x=(parts.blocks[1], "output")),
    ):
        with pytest.raises(RuntimeError, match="on purpose"), spoil:
            raise RuntimeError("on purpose")

    def fails(stream):
        raise ValueError("in the hook")

    with pytest.raises(ModelError, match="in the hook"), blocks.edited_stream(parts, 5, fails):
        plain(smollm2, CLEAN)
    assert torch.equal(before, plain(smollm2, CLEAN))
    assert hung() == there


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"corrupt": "The opposite of very big is"}, "has 5 tokens and the corrupt one 6"),
        ({"corrupt": CLEAN}, "are the same"),
        ({"clean": "  "}, "the clean prompt is empty"),
        ({"part": "neurons"}, "part 'neurons' is unknown: choose one of stream, attention, mlp"),
        ({"layers": [31]}, "has no layer 31: give 0 to 30"),
        ({"positions": [5]}, "no position 5: give 0 to 4"),
        ({"foil": " cold"}, "begin with the same token"),
        ({"answer": ""}, "the answer is empty"),
        ({"part": "mlp", "layers": [0]}, "has no layer 0: give 1 to 30"),
    ],
)
def test_what_is_wrong_is_said(smollm2, change, sentence):
    asked = {"clean": CLEAN, "corrupt": CORRUPT, "answer": ANSWER, "foil": FOIL} | change
    with pytest.raises(UsageError, match=sentence):
        ex.patching_grid(smollm2, **asked)


def test_a_prompt_longer_than_the_context_and_a_model_elsewhere_are_said(smollm2):
    with pytest.raises(UsageError, match="reads at most 8192: give a shorter one"):
        ex.logit_lens(smollm2, "word " * 9000)

    class Elsewhere:
        name, can = "openai:x", frozenset({"generate"})

    with pytest.raises(ModelError, match=r"the logit lens needs hidden states, which openai:x does not give"):
        ex.logit_lens(Elsewhere(), "a")
    with pytest.raises(UsageError, match="knows 0 of the 1 pairs"):
        ex.walk_circuit(smollm2, [ex.MinimalPair("x", "fact", CLEAN, CORRUPT, FOIL, ANSWER)])


@pytest.mark.slow
def test_the_circuit_holds_on_pairs_that_did_not_choose_it(smollm2):
    circuit = ex.walk_circuit(smollm2, ex.minimal_pairs("indirect_object")[:8], top_heads=4, n_random=3)
    assert len(circuit.steps) == 4 and len(circuit.heads) == 4
    stream = circuit.steps[0].table
    shares = stream["deciding word"].iloc[0].value, stream["last position"].iloc[-1].value
    assert shares == pytest.approx((1, 1), abs=1e-3)
    left = circuit.ablation.table("left")
    assert left["chosen heads"].value < 0.6 < left["random heads"].value and left["random heads"].n == 4


@pytest.mark.slow
def test_the_second_model_and_four_bits_give_the_same_grid_both_ways(gemma):
    from workbench import load

    for model, most in ((gemma, 1e-4), (load("smollm2", bits=4), 0.5)):  # bf16: a batch of another shape rounds apart
        asked = (model, CLEAN, CORRUPT, ANSWER, FOIL)
        for part in ex.PARTS:
            layers = [2, 9]
            fast = ex.patching_grid(*asked, part=part, layers=layers)
            slow = [[patched(*asked, part, layer, place) for place in fast.positions] for layer in layers]
            assert np.abs(fast.values - slow).max() < most, part
        lens = ex.logit_lens(model, CLEAN, ANSWER)
        assert (
            abs(np.log(lens.probability[-1, -1]) - float(plain(model, CLEAN)[model.token_ids(ANSWER, start=False)[0]]))
            < most
        )
        assert ex.patch_heads(*asked, layers=[5]).recovery.shape[0] == 1
        concept = ex.concept_vector(model, ["I am glad"], ["I am sad"])
        assert ex.steer_next(model, "It was", concept, [0, 1], [" good"]).probability.shape == (2, 1)
        assert len(ex.browse_neurons(model, ["one two", "red blue green"], top_neurons=2)) == 2
