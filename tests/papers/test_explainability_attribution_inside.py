"""Attribution from inside the network: relevance, gradients at layers, attention; against literal versions."""

import numpy as np
import pytest
import torch
from explainability_toys import Linear, handle, tiny_llama

from workbench.errors import ModelError
from workbench.papers.explainability import attribute, compare, neutral_token
from workbench.papers.explainability.attribution.attention import attention_weights

PROMPT, TARGET = "The capital of France is", " Paris"


@pytest.fixture(scope="module")
def tiny(smollm2):
    return handle(tiny_llama(len(smollm2.tokenizer)), smollm2.tokenizer, "tiny")


def literal_relevance(module, ids, target, layer):
    """The rules by matrices, from the last state back to ``layer``: no autograd, no hooks, float64.

    Every step y = A x hands a relevance R(y) on as x * (A^T (R / y)); here the direction c = R / y is carried instead:
    c of the logit is the readout row, and c <- A^T c through every held map.
    """
    module = module.double()
    try:
        with torch.no_grad():
            out = module(
                torch.tensor([ids]), output_hidden_states=True, output_attentions=True, use_cache=False,
            )  # fmt: skip
            model, states = module.model, [state[0] for state in out.hidden_states]  # (T, H); the last one is normed
            heads, groups = module.config.num_attention_heads, module.config.num_key_value_heads
            size = module.config.hidden_size // heads

            def scale(norm, x):  # a norm, as the elementwise factor it is at x
                return norm.weight * (x.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon).rsqrt()

            traces = []  # each block's input, middle state
            places = model.rotary_emb(states[0][None], torch.arange(len(ids))[None])
            ahead = torch.full((1, 1, len(ids), len(ids)), -torch.inf, dtype=states[0].dtype).triu(1)
            for block, x in zip(model.layers, states[:-1], strict=True):
                normed = block.input_layernorm(x)[None]
                added = block.self_attn(normed, position_embeddings=places, attention_mask=ahead)[0][0]
                traces.append((x, x + added))
            last = traces[-1][1] + model.layers[-1].mlp(model.layers[-1].post_attention_layernorm(traces[-1][1]))
            c = torch.zeros_like(last)
            readout = module.lm_head.weight
            c[-1] = (readout[target] - readout.mean(0)) * scale(model.norm, last)[-1]
            for index in range(len(model.layers) - 1, layer - 1, -1):
                block, (x, middle) = model.layers[index], traces[index]
                normed = block.post_attention_layernorm(middle)
                gate, up = block.mlp.gate_proj(normed), block.mlp.up_proj(normed)
                back = c @ block.mlp.down_proj.weight / 2  # half to each factor of the product
                to_gate = (
                    back * up * torch.sigmoid(gate)
                ) @ block.mlp.gate_proj.weight  # silu(g) = sigmoid(g) held * g
                to_up = (back * torch.nn.functional.silu(gate)) @ block.mlp.up_proj.weight
                c = c + (to_gate + to_up) * scale(block.post_attention_layernorm, middle)
                weights = out.attentions[index][0]  # (heads, T, T)
                back = (c @ block.self_attn.o_proj.weight).view(len(ids), heads, size)
                mixed = torch.einsum("hts,thd->shd", weights, back)  # back through the held weights
                values = mixed.view(len(ids), groups, heads // groups, size).sum(2).reshape(len(ids), -1)
                c = c + values @ block.self_attn.v_proj.weight * scale(block.input_layernorm, x)
            return (c * traces[layer][0] if layer < len(traces) else c * last).sum(-1).numpy()
    finally:
        module.float()


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_relevance_is_what_the_rules_say(smollm2, layer):
    module = tiny_llama(len(smollm2.tokenizer))
    module.set_attn_implementation("eager")
    model = handle(module, smollm2.tokenizer, "tiny")
    found = attribute(model, PROMPT, TARGET, method="decomposition", layer=layer)
    target = smollm2.tokenizer(TARGET)["input_ids"][0]
    wanted = literal_relevance(module, found.ids, target, layer)
    np.testing.assert_allclose(found.scores, wanted, atol=1e-4 * np.abs(wanted).max())
    assert found.scores.sum() == pytest.approx(found.value, abs=1e-4 * max(1, np.abs(wanted).max()))
    assert found.quantity == "logit" and found.held == () and found.baseline == 0


@pytest.mark.parametrize("layer", [0, 11, 30])
def test_relevance_is_conserved_on_the_embedded_model(smollm2, layer):
    found = attribute(smollm2, PROMPT, TARGET, method="decomposition", layer=layer)
    logits = smollm2.module(torch.tensor([found.ids])).logits[0, -1]
    target = smollm2.tokenizer(TARGET)["input_ids"][0]
    assert found.value == pytest.approx(float(logits[target] - logits.mean()), abs=1e-3)
    assert found.scores.sum() == pytest.approx(found.value, abs=1e-3 * abs(found.value))
    both = attribute(smollm2, PROMPT, TARGET, method="decomposition", foil=" London", layer=layer)
    assert both.scores.sum() == pytest.approx(both.value, abs=1e-3 * np.abs(both.scores).max() + 1e-3)
    assert both.quantity == "logit_difference"


def test_biases_lose_relevance_and_the_gap_says_so(smollm2):
    model = handle(tiny_llama(len(smollm2.tokenizer), bias=True), smollm2.tokenizer, "biased")
    found = attribute(model, PROMPT, TARGET, method="decomposition")
    assert found.gap > 0.05 and any("gap" in note for note in found.notes)


def test_the_model_is_itself_again_after_a_decomposition(tiny):
    ids = torch.tensor([tiny.tokenizer(PROMPT)["input_ids"]])
    before = tiny.module(ids).logits
    attribute(tiny, PROMPT, TARGET, method="decomposition")
    assert torch.equal(tiny.module(ids).logits, before)
    hooks = [module for module in tiny.module.modules() if module._forward_hooks or module._forward_pre_hooks]
    assert hooks == []


def test_captums_lrp_does_not_take_this_architecture(tiny):
    """The reason why relevance propagation is written here. The day captum takes it, ours can go."""
    from captum.attr import LRP

    inputs = tiny.module.get_input_embeddings()(torch.tensor([[1, 2, 3]]))

    class Readout(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tiny.module

        def forward(self, embedded):
            return self.inner(inputs_embeds=embedded, use_cache=False).logits[:, -1]

    with pytest.raises((TypeError, AssertionError, RuntimeError, AttributeError)):
        LRP(Readout()).attribute(inputs.detach(), target=5)


def test_strange_architectures_are_named(smollm2):
    model = handle(Linear(len(smollm2.tokenizer)), smollm2.tokenizer, "linear")
    with pytest.raises(ModelError, match="linear has a Linear, for which no relevance rule is written"):
        attribute(model, PROMPT, TARGET, method="decomposition")
    with pytest.raises(ModelError, match="does not give its attention weights"):
        attribute(model, PROMPT, TARGET, method="attention")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qwen2_moe", "Qwen2MoeForCausalLM, for which no relevance rule"),  # q_proj and down_proj, but a router too
        ("gemma2", "Gemma2ForCausalLM, for which no relevance rule"),  # a cap on its logits
        ("gemma4_text", "Gemma4ForCausalLM, for which no relevance rule"),
    ],
)
def test_relevance_is_refused_by_class(zoo, name, said):
    import workbench

    with pytest.raises(ModelError, match=said):
        attribute(workbench.load(str(zoo(name))), "a cat sat", "x", method="decomposition")


def test_a_family_with_rules_is_refused_where_they_do_not_add_up(zoo):
    """A factor on the stream that depends on the stream: Llama's own classes, and a hook of a user's."""
    import workbench

    model = workbench.load(str(zoo("llama")))
    model.module.model.layers[1].register_forward_hook(lambda _, __, out: out * (1 + out.norm(dim=-1, keepdim=True)))
    with pytest.raises(ModelError, match=r"relevance rules do not cover \(they miss \d+% of a logit\)"):
        attribute(model, "a cat sat", "x", method="decomposition")


def test_integrated_gradients_are_captums_layer_form(tiny):
    """captum's LayerIntegratedGradients on the embedding, same baseline tokens: another way to the same scores."""
    from captum.attr import LayerIntegratedGradients

    ours = attribute(tiny, PROMPT, TARGET, method="integrated_gradients", samples=200)
    target = tiny.tokenizer(TARGET)["input_ids"][0]
    ids = torch.tensor([ours.ids])
    base = torch.tensor([[ours.ids[0], *[neutral_token(tiny)] * (len(ours.ids) - 1)]])
    layered = LayerIntegratedGradients(
        lambda tokens: tiny.module(tokens, use_cache=False).logits[:, -1].log_softmax(-1)[:, target],
        tiny.module.get_input_embeddings(),
    )
    wanted = layered.attribute(ids, base, n_steps=200).sum(-1)[0].detach().numpy()
    np.testing.assert_allclose(ours.scores, wanted, atol=2e-3)
    log = tiny.module(base).logits[0, -1].log_softmax(-1)[target]
    assert ours.baseline == pytest.approx(float(log), abs=1e-4)


def test_steps_go_where_the_way_bends(tiny):
    """Of the same number of steps more are spent where the function is rough: the gap shrinks, the budget is kept."""
    from captum.attr import IntegratedGradients

    from workbench.papers.explainability.attribution.gradients import StateFunction, integrated
    from workbench.papers.explainability.tokens import ask

    f = StateFunction(ask(tiny, "one two three four five six", " seven"), 0)
    start = f.baseline(None)
    bend = start + 0.61 * (f.states - start)

    def rough(states):  # the same function, and a step of height 20 at 61 % of the way
        along = ((states - bend) * (f.states - start)).sum((1, 2)) / (f.states - start).pow(2).sum()
        return f(states) + 20 * torch.sigmoid(400 * along)

    rough.question = f.question
    with torch.no_grad():
        whole = float(rough(f.states) - rough(start))
    ours = integrated(rough, start, f.states, 64)
    even = IntegratedGradients(rough).attribute(f.states, start, n_steps=64).sum(-1)
    assert abs(float(ours.sum()) - whole) < 0.02 * abs(whole)
    assert abs(float(even.sum()) - whole) > 5 * abs(float(ours.sum()) - whole)
    before = f.rows
    integrated(f, start, f.states, 64)
    edges = 64 // 2 // 4 + 1 + 4  # forwards that only read the ends of pieces
    assert f.rows - before == 64 + edges


def test_a_mixture_is_integrated_where_it_picks_the_same_experts_all_the_way(zoo, tmp_path):
    """Even steps of the raw module agree; as it came, the mixture picks others on the way and is refused."""
    import shutil

    from transformers import AutoModelForCausalLM

    import workbench

    prompt, target = "a cat sat on t", "x"
    for options in ({}, {"layer": 2}, {"foil": "y"}, {"samples": 8}):
        for method in ("integrated_gradients", "gradient_shap"):
            with pytest.raises(ModelError, match="picks other experts along the path"):
                attribute(workbench.load(str(zoo("mixtral"))), prompt, target, method=method, **options)
    shutil.copytree(zoo("mixtral"), tmp_path / "steady")
    module = AutoModelForCausalLM.from_pretrained(tmp_path / "steady", dtype=torch.float32).eval()
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if name.endswith("gate.weight"):
                weight.zero_()  # of equal experts the first are picked, wherever the states are
    module.save_pretrained(tmp_path / "steady")
    model = workbench.load(str(tmp_path / "steady"))
    found = attribute(model, prompt, target, method="integrated_gradients", samples=300)
    ids, wanted = torch.tensor([model.token_ids(prompt)]), model.token_ids(target, start=False)[0]
    real = module.get_input_embeddings()(ids).detach()
    start = module.get_input_embeddings()(torch.full_like(ids, neutral_token(model))).detach()
    start[:, 0] = real[:, 0]
    total = torch.zeros(ids.shape[1])
    for at in ((torch.arange(600) + 0.5) / 600).split(100):
        states = (start + at[:, None, None] * (real - start)).requires_grad_()
        value = module(inputs_embeds=states, use_cache=False).logits[:, -1].log_softmax(-1)[:, wanted].sum()
        total += (torch.autograd.grad(value, states)[0] * (real - start)).sum((0, 2)) / 600
    np.testing.assert_allclose(found.scores, total, atol=5e-3 * float(total.abs().max()))
    assert found.gap < 5e-3


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_gradients_against_finite_differences(smollm2, layer):
    """Gradient x input at a layer is the slope of the target along the state itself."""
    from workbench.papers.explainability.attribution.gradients import StateFunction
    from workbench.papers.explainability.tokens import ask

    module = tiny_llama(len(smollm2.tokenizer)).double()
    model = handle(module, smollm2.tokenizer, "tiny")
    found = attribute(model, PROMPT, " Paris now", method="gradient_x_input", layer=layer)
    f = StateFunction(ask(model, PROMPT, " Paris now"), layer)
    with torch.no_grad():
        assert float(f(f.states)) == pytest.approx(found.value, abs=1e-4)
        for place in range(1, len(found.ids)):
            step = torch.zeros_like(f.states)
            step[0, place] = f.states[0, place] * 1e-3
            slope = float(f(f.states + step) - f(f.states - step)) / 2e-3
            assert found.scores[place] == pytest.approx(slope, abs=2e-2 * max(1.0, abs(slope)))


def test_the_end_of_the_path_is_the_baseline_prompt(tiny):
    """At any layer, the value at a token baseline is that of the prompt made of it: one difference for all families."""
    found = compare(tiny, PROMPT, TARGET, ["shapley", "integrated_gradients"], samples={"integrated_gradients": 64})
    one, other = found.values()
    assert one.value == pytest.approx(other.value, abs=1e-4)
    assert one.baseline == pytest.approx(other.baseline, abs=1e-4)
    assert other.gap < 0.05 and one.gap < 1e-3


def test_attention_leaves_the_sink_out(tiny):
    found = attribute(tiny, PROMPT, TARGET, method="attention", layer=2)
    tiny.module.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            weights = tiny.module(torch.tensor([found.ids]), output_attentions=True).attentions
    finally:
        tiny.module.set_attn_implementation("sdpa")
    row = weights[1][0].mean(0)[-1].numpy()
    np.testing.assert_allclose(found.scores[1:], row[1:] / row[1:].sum(), atol=1e-5)
    assert found.scores[0] == 0 and found.scores.sum() == pytest.approx(1)
    with_sink = attribute(tiny, PROMPT, TARGET, method="attention", layer=2, keep_first=False)
    np.testing.assert_allclose(with_sink.scores, row, atol=1e-5)


def test_rollout_against_loops(tiny):
    """Abnar and Zuidema's product, written out; a share given to the sink stays where it was."""
    found = attribute(tiny, PROMPT, TARGET, method="rollout")
    weights = np.stack([layer.double().mean(0).numpy() for layer in attention_weights(tiny, found.ids)])
    length = len(found.ids)
    flow = np.eye(length)
    for matrix in weights:
        mixed = np.zeros((length, length))
        for row in range(length):
            for column in range(row + 1):
                share = matrix[row, column]
                if column == 0 and row > 0:
                    mixed[row, row] += share / 2
                else:
                    mixed[row, column] += share / 2
            mixed[row, row] += 0.5
        flow = mixed @ flow
    wanted = flow[-1].copy()
    wanted[0] = 0
    np.testing.assert_allclose(found.scores, wanted / wanted.sum(), atol=1e-6)


def test_the_sink_would_take_all_of_rollout(smollm2):
    """Card: without that, rollout says the first token and nothing else."""
    plain = attribute(smollm2, PROMPT, TARGET, method="rollout", keep_first=False)
    assert plain.scores[0] > 0.95
    assert attribute(smollm2, PROMPT, TARGET, method="rollout").scores.max() < 0.95


# --- other models -----------------------------------------------------------------------------------------------------

ALL = [
    "occlusion", "occlusion_delete", "shapley", "kernel_shap", "lime", "gradient", "gradient_x_input",
    "integrated_gradients", "gradient_shap", "decomposition", "attention", "rollout", "random",
]  # fmt: skip
FEW = {"integrated_gradients": 32, "gradient_shap": 4, "kernel_shap": 16, "lime": 16}


@pytest.mark.slow
def test_every_method_on_the_second_model(gemma):
    """Another architecture: a start token, scaled embeddings, a sliding window, norms behind the blocks."""
    found = compare(gemma, PROMPT, TARGET, ALL, samples=FEW)
    ids = found["occlusion"].ids
    assert ids[0] == gemma.tokenizer.bos_token_id and found["occlusion"].scores[0] == 0
    for name in ("shapley", "kernel_shap", "decomposition"):
        assert found[name].gap < 2e-3, name
    assert found["integrated_gradients"].gap < 0.1
    values = {round(found[name].value, 2) for name in ALL if name != "decomposition"}
    assert len(values) == 1  # states and coalitions read the same model
    one = attribute(gemma, PROMPT, TARGET, method="gradient_x_input", layer=9)
    assert one.value == pytest.approx(found["occlusion"].value, abs=1e-2)


@pytest.mark.slow
def test_every_method_in_four_bits():
    from workbench import load

    model = load("smollm2", bits=4)
    found = compare(model, PROMPT, TARGET, ALL, samples=FEW)
    assert all(np.isfinite(one.scores).all() for one in found.values())
    assert found["shapley"].gap < 1e-3
    assert found["decomposition"].gap < 0.1  # bfloat16 products
    assert (found["gradient"].scores[1:] > 0).all() and found["gradient"].scores[1:].max() > 0.05
    assert found["integrated_gradients"].gap < 0.3
    assert found["gradient"].value == pytest.approx(found["occlusion"].value, abs=0.3)


@pytest.mark.slow
def test_packed_four_bit_layers_have_their_derivative():
    """bitsandbytes repacks 4-bit layers for CPUs with AVX-512 BF16 and then has no backward: ours is the layer's W."""
    from workbench import load
    from workbench.models.quantised import unpacked
    from workbench.papers.explainability.attribution.gradients import frozen

    model = load("smollm2", bits=4)
    attribute(model, PROMPT, TARGET, method="random")  # the first inference repacks, where the processor can
    layer = model.module.model.layers[3].mlp.up_proj
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 576, generator=generator).bfloat16()
    with torch.no_grad():
        plain = layer(x)
        columns = layer(torch.eye(576).bfloat16()).float()  # (in, out): the weights, as the kernel has them
    packed = getattr(layer.weight.quant_state, "packing_format_for_cpu", False)
    before = layer.weight.data.clone()
    with frozen(model.module):
        x.requires_grad_()
        out = layer(x)
        out.float().sum().backward()
    assert torch.equal(out.detach(), plain) and torch.equal(layer.weight.data, before)
    assert getattr(layer.weight.quant_state, "packing_format_for_cpu", False) == packed
    wanted = columns.sum(1).expand(5, -1)  # up to 22; a sum of 1,536 weights in bfloat16
    torch.testing.assert_close(x.grad.float(), wanted, atol=0.3, rtol=0.05)
    if packed:
        torch.testing.assert_close(unpacked(layer).float(), columns.T, atol=0.01, rtol=0.02)


@pytest.mark.slow
def test_integrated_gradients_complete_on_the_test_prompts(smollm2):
    """Card: a gap of at most 5 % at 64 steps, with the sink held fixed."""
    for prompt, target in (
        (PROMPT, TARGET), ("Water is made of hydrogen and", " oxygen"), ("The opposite of hot is", " cold"),
        ("Monday, Tuesday, Wednesday, Thursday,", " Friday"),
        ("Mary went to the shop with John, and John gave a drink to", " Mary"),
    ):  # fmt: skip
        found = attribute(smollm2, prompt, target, method="integrated_gradients", samples=64)
        assert found.gap <= 0.05, (prompt, found.gap)
