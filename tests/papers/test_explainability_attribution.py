"""Attribution: known answers on a linear model, equality with literal versions, and the sentences users meet."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from explainability_toys import Linear, handle, tiny_llama
from hypothesis import assume, given, settings, strategies as st

from workbench.errors import ModelError, UsageError
from workbench.papers.explainability import (
    METHODS,
    attribute,
    coalition_values,
    compare,
    masked_ids,
    neutral_token,
    next_tokens,
    read_prompt,
)
from workbench.papers.explainability.attribution import perturbation
from workbench.papers.explainability.attribution.game import Game
from workbench.papers.explainability.tokens import ask

PROMPT, TARGET = "The capital of France is", " Paris"
LONG = "Mary went to the shop with John, and John gave a drink to"


@pytest.fixture(scope="module")
def linear(smollm2):
    return handle(Linear(len(smollm2.tokenizer)), smollm2.tokenizer, "linear")


@pytest.fixture(scope="module")
def tiny(smollm2):
    return handle(tiny_llama(len(smollm2.tokenizer)), smollm2.tokenizer, "tiny")


def one_by_one(model, ids, masks, target, removal, token):
    """log p(target) after each perturbed prompt, a plain forward for each: the slow literal version."""
    found = []
    for mask in masks:
        if removal == "delete":
            kept = [one for one, stays in zip(ids, mask, strict=True) if stays]
        else:
            kept = [one if stays else token for one, stays in zip(ids, mask, strict=True)]
        with torch.no_grad():
            logits = model.module(torch.tensor([[*kept, *target]])).logits[0].float().log_softmax(-1)
        found.append(sum(float(logits[len(kept) - 1 + i, one]) for i, one in enumerate(target)))
    return np.array(found)


# --- known answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["occlusion", "shapley", "kernel_shap", "lime", "integrated_gradients", "gradient_shap"]
)
def test_a_linear_model_gets_its_coefficients(linear, method):
    """Every method that compares with the neutral token must give (embedding - neutral embedding) . readout."""
    found = attribute(linear, PROMPT, TARGET, foil=" London", method=method)
    target, foil = (linear.tokenizer(text)["input_ids"][0] for text in (TARGET, " London"))
    neutral, u = linear.module.effect(neutral_token(linear), target, foil)
    wanted = [float((linear.module.effect(one, target, foil)[0] - neutral) @ u) for one in found.ids]
    np.testing.assert_allclose(found.scores[1:], wanted[1:], atol=1e-2 if method == "lime" else 1e-4)
    assert found.scores[0] == 0 and found.held == (0,)
    assert found.quantity == "logit_difference"
    assert found.value - found.baseline == pytest.approx(sum(wanted[1:]), abs=1e-4)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_gradients_of_a_linear_model_at_every_layer(linear, layer):
    target, foil = (linear.tokenizer(text)["input_ids"][0] for text in (TARGET, " London"))
    found = compare(linear, PROMPT, TARGET, ["gradient", "gradient_x_input"], foil=" London", layer=layer)
    ids = found["gradient"].ids
    for place in range(1, len(ids)):
        state, u = linear.module.effect(ids[place], target, foil, layer)
        assert found["gradient"].scores[place] == pytest.approx(float(u.norm()), rel=1e-4)
        assert found["gradient_x_input"].scores[place] == pytest.approx(float(state @ u), abs=1e-4)
    neutral, u = linear.module.effect(neutral_token(linear), target, foil, layer)
    steps = attribute(linear, PROMPT, TARGET, foil=" London", method="integrated_gradients", samples=4, layer=layer)
    wanted = [float((linear.module.effect(one, target, foil, layer)[0] - neutral) @ u) for one in ids]
    np.testing.assert_allclose(steps.scores[1:], wanted[1:], atol=1e-4)


def test_deleting_from_a_linear_model(linear):
    found = attribute(linear, PROMPT, TARGET, foil=" London", method="occlusion_delete")
    target, foil = (linear.tokenizer(text)["input_ids"][0] for text in (TARGET, " London"))
    pairs = [linear.module.effect(one, target, foil) for one in found.ids]
    np.testing.assert_allclose(found.scores[1:], [float(state @ u) for state, u in pairs[1:]], atol=1e-4)
    assert found.removal == "delete" and found.held == (0,)


def test_shapley_is_the_mean_over_all_orders(tiny):
    """Exact values against the definition, literally: all orders of joining."""
    game = Game(ask(tiny, "one two three four five", " six"))
    players = len(game.free)
    wanted = perturbation.permutation_shapley(game, list(itertools.permutations(range(players))))
    np.testing.assert_allclose(perturbation.exact_shapley(game), wanted, atol=1e-9)
    literal = np.zeros(players)
    for order in itertools.permutations(range(players)):
        present = np.zeros(players, dtype=bool)
        for player in order:
            before = game.of([present])[0]
            present[player] = True
            literal[player] += (game.of([present])[0] - before) / math.factorial(players)
    np.testing.assert_allclose(wanted, literal, atol=1e-9)


def test_sampled_shapley_nears_the_exact_values(tiny):
    game = Game(ask(tiny, "one two three four five", " six"))
    exact = perturbation.exact_shapley(game)
    scale = np.abs(exact).max()
    many = perturbation.permutation_shapley(game, perturbation.permutations(len(game.free), 400, seed=1))
    assert np.abs(many - exact).max() < 0.1 * scale
    orders = perturbation.permutations(5, 3, seed=0)
    assert len(orders) == 3 and (orders[0][::-1] == orders[1]).all()


# --- coalitions against one forward each ------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    text=st.lists(st.sampled_from([" a", " cat", " dog", " sat", "."]), min_size=2, max_size=9),
    target=st.lists(st.integers(5, 500), min_size=1, max_size=3),
    masks=st.lists(st.lists(st.booleans(), min_size=24, max_size=24), min_size=1, max_size=12),
    removal=st.sampled_from(["replace", "delete"]),
)
def test_coalitions_equal_one_by_one(tiny, text, target, masks, removal):
    """Any masks, removals, prompts with repeated tokens, targets of one to three tokens: what the slow way says."""
    reading = read_prompt(tiny, "".join(text))
    assume(len(reading.ids) > 1)  # ".." may be a single token, which is held
    masks = np.array(masks)[:, : len(reading.ids)]
    masks[:, 0] = True
    found = coalition_values(tiny, reading.ids, target, masks, removal=removal)
    wanted = one_by_one(tiny, reading.ids, masks, target, removal, neutral_token(tiny))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_coalitions_equal_one_by_one_on_the_embedded_model(smollm2):
    rng = np.random.default_rng(0)
    ids = read_prompt(smollm2, LONG).ids
    masks = rng.random((12, len(ids))) < 0.6
    masks[:, 0] = True
    target = smollm2.tokenizer(" Mary and")["input_ids"]
    for removal in ("replace", "delete"):
        found = coalition_values(smollm2, LONG, " Mary and", masks, removal=removal)
        wanted = one_by_one(smollm2, ids, masks, target, removal, neutral_token(smollm2))
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_chunks_and_repeats_change_nothing(tiny, monkeypatch):
    from workbench.papers.explainability.attribution import game as coalitions

    rng = np.random.default_rng(1)
    masks = rng.random((40, len(read_prompt(tiny, LONG).ids))) < 0.5
    masks[:, 0] = True
    whole = coalition_values(tiny, LONG, " Mary", masks)
    monkeypatch.setattr(coalitions, "CHUNK", 20)
    np.testing.assert_allclose(coalition_values(tiny, LONG, " Mary", masks), whole, atol=1e-5)
    game = Game(ask(tiny, LONG, " Mary"))
    game.values(np.repeat(masks[:5], 3, axis=0))
    assert game.cost.evaluations == len({tuple(mask) for mask in masks[:5].tolist()})
    assert (game.values(masks[:5]) == game.values(masks[:5])).all() and game.cost.evaluations == 5


def test_shared_beginnings_are_computed_once(tiny):
    """Occlusion of n tokens behind a held one: the prompt, and behind each replaced token the rest of it."""
    game = Game(ask(tiny, LONG, " Mary"))
    n = len(game.question.ids)
    perturbation.occlusion(game)
    tokens = n + sum(n - place for place in range(1, n))
    assert game.cost.tokens == pytest.approx(tokens, abs=2)  # a chunk may read one token of an old row again
    assert game.cost.evaluations == n


def test_quantities(tiny):
    mask = [np.ones(len(read_prompt(tiny, PROMPT).ids), dtype=bool)]
    log = coalition_values(tiny, PROMPT, " Paris", mask)[0]
    other = coalition_values(tiny, PROMPT, " London", mask)[0]
    assert coalition_values(tiny, PROMPT, " Paris", mask, quantity="probability")[0] == pytest.approx(math.exp(log))
    both = coalition_values(tiny, PROMPT, " Paris", mask, foil=" London")[0]
    assert both == pytest.approx(log - other, abs=1e-6)
    logits = tiny.module(torch.tensor([read_prompt(tiny, PROMPT).ids])).logits[0, -1]
    ids = [tiny.tokenizer(text)["input_ids"][0] for text in (" Paris", " London")]
    assert both == pytest.approx(float(logits[ids[0]] - logits[ids[1]]), abs=1e-4)
    assert next_tokens(tiny, read_prompt(tiny, PROMPT).ids, 1)[0][1] == pytest.approx(float(logits.softmax(-1).max()))


# --- the embedded model -----------------------------------------------------------------------------------------------


def test_completeness_on_the_embedded_model(smollm2):
    """Shapley efficiency to 1e-3; KernelSHAP and relevance likewise; integrated gradients within 5 % at 64 steps."""
    for method, gap in (
        ("shapley", 1e-3),
        ("kernel_shap", 1e-3),
        ("decomposition", 1e-3),
        ("integrated_gradients", 0.05),
    ):
        found = attribute(smollm2, PROMPT, TARGET, method=method)
        assert found.scores.sum() == pytest.approx(
            found.value - found.baseline, abs=gap * abs(found.value - found.baseline)
        )
        assert found.gap <= gap and not any("gap" in note for note in found.notes), method
    assert {token for token, _ in found.top(2)} <= {" capital", " France", " of"}


def test_sampled_shapley_adds_up(smollm2):
    found = attribute(smollm2, LONG, " Mary", samples=1)
    assert found.samples == 1 and found.gap < 1e-3
    assert found.scores.sum() == pytest.approx(found.value - found.baseline, abs=1e-3)


def test_our_coalitions_are_captums(smollm2):
    """captum's own perturbation methods with its own LLM wrapper: equal coalitions, values and scores to 1e-4."""
    from captum.attr import FeatureAblation, LLMAttribution, ShapleyValueSampling, TextTokenInput

    first = smollm2.tokenizer(PROMPT)["input_ids"][0]
    given = TextTokenInput(PROMPT, smollm2.tokenizer, baselines=neutral_token(smollm2), skip_tokens=[first])
    theirs = LLMAttribution(FeatureAblation(smollm2.module), smollm2.tokenizer).attribute(given, target=TARGET)
    ours = attribute(smollm2, PROMPT, TARGET, method="occlusion")
    np.testing.assert_allclose(ours.scores[1:], theirs.seq_attr.numpy(), atol=1e-4)
    game = Game(ask(smollm2, PROMPT, TARGET))
    orders = perturbation.permutations(len(game.free), 1, seed=0)
    method = ShapleyValueSampling(smollm2.module)
    method.permutation_generator = lambda *_: iter([order.tolist() for order in orders])
    theirs = LLMAttribution(method, smollm2.tokenizer).attribute(given, target=TARGET, n_samples=1)
    np.testing.assert_allclose(perturbation.permutation_shapley(game, orders), theirs.seq_attr.numpy(), atol=1e-4)


def test_several_target_tokens(smollm2):
    found = attribute(smollm2, PROMPT, " Paris, France", method="occlusion")
    assert len(found.target_tokens) == 3 and any("3 tokens" in note for note in found.notes)
    ids = smollm2.tokenizer(" Paris, France")["input_ids"]
    assert found.value == pytest.approx(smollm2.logprobs([PROMPT], [[ids]])[0][0].total, abs=1e-3)
    gradient = attribute(smollm2, PROMPT, " Paris, France", method="gradient_x_input", layer=3)
    assert gradient.value == pytest.approx(found.value, abs=1e-3)


# --- what users meet --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "magic"}, "method 'magic' is unknown: choose one of occlusion"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"target": ""}, "the target is empty"),
        ({"prompt": "The"}, "single token 'The'"),
        ({"prompt": "word " * 80}, "reads at most 64"),
        ({"prompt": list(range(10, 74))}, "has 64 tokens, with 1 new ones 65"),
        ({"quantity": "surprise"}, "quantity 'surprise' is unknown"),
        ({"quantity": "logit_difference"}, "needs a foil"),
        ({"foil": " Paris"}, "both ' Paris'"),
        ({"foil": " London", "quantity": "probability"}, "leave one of them out"),
        ({"removal": "hide"}, "removal='hide' is unknown"),
        ({"method": "gradient", "layer": 7}, "has no layer 7: give 0 to 2"),
        ({"method": "occlusion", "layer": 1}, "occlusion has no layers"),
        ({"method": "attention", "layer": 0}, "has no layer 0: give 1 to 2"),
        ({"method": "decomposition", "quantity": "probability"}, "decomposition hands back logits"),
        ({"baseline": " two words"}, "give a text of exactly one"),
        ({"baseline": "zero"}, "is an embedding, for gradients"),
        ({"samples": 0}, "samples=0: give a whole number"),
        ({"method": "lime", "samples": 3}, "do not determine"),
        ({"samples": float("nan")}, "samples=nan: give a whole number"),
        ({"seed": -1}, "seed=-1: give a whole number"),
        ({"target": None}, "None is neither a text nor token ids"),
        ({"prompt": [1.5, 2]}, "[1.5, 2] is neither a text nor token ids"),
        ({"prompt": [1, 999999]}, "999999 is no token"),
        ({"removal": "delete", "keep_first": False}, "deletes every token"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_one_sentence_for_each_mistake(tiny, change, sentence):
    with pytest.raises(UsageError) as caught:
        attribute(tiny, **{"prompt": PROMPT, "target": TARGET, **change})
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_handles_that_cannot(tiny):
    class Served:
        name, can = "openai:x", frozenset({"generate", "logprobs"})

    class NoGradient:
        name, can = "frozen", frozenset({"generate", "logprobs", "hidden"})
        module, tokenizer, device = tiny.module, tiny.tokenizer, tiny.device
        token_ids, prompt_ids = tiny.token_ids, tiny.prompt_ids

    with pytest.raises(ModelError, match=r"needs hidden states, which openai:x does not give"):
        attribute(Served(), PROMPT, TARGET, method="occlusion")
    with pytest.raises(ModelError, match=r"Integrated gradients needs gradients, which frozen does not give"):
        attribute(NoGradient(), PROMPT, TARGET, method="integrated_gradients")
    assert attribute(NoGradient(), PROMPT, TARGET, method="occlusion").cost.evaluations == 6


def test_masks_are_checked(tiny):
    with pytest.raises(UsageError, match="the prompt has 5 tokens"):
        coalition_values(tiny, PROMPT, TARGET, [[True, False]])
    with pytest.raises(UsageError, match="held fixed as the attention sink"):
        coalition_values(tiny, PROMPT, TARGET, [False, True, True, True, True])
    assert masked_ids(tiny, PROMPT, [True, False, True, True, True], removal="delete") == [
        one for place, one in enumerate(read_prompt(tiny, PROMPT).ids) if place != 1
    ]


def test_pieces_join_to_the_text(smollm2):
    for text in (PROMPT, "naïve café, 東京 and 🙂!", "a\n\n  b\tc"):
        assert "".join(read_prompt(smollm2, text).tokens) == text


def test_parameters_and_generators_are_left_as_they_were(tiny):
    wanted = [parameter.requires_grad for parameter in tiny.module.parameters()]
    kernel, state = tiny.module.config._attn_implementation, torch.random.get_rng_state()
    chance = np.random.get_state()[1].copy()
    compare(
        tiny, PROMPT, TARGET, samples={"lime": 20, "kernel_shap": 20, "gradient_shap": 4, "integrated_gradients": 4}
    )
    assert [parameter.requires_grad for parameter in tiny.module.parameters()] == wanted
    assert all(parameter.grad is None for parameter in tiny.module.parameters())
    assert tiny.module.config._attn_implementation == kernel and (torch.random.get_rng_state() == state).all()
    assert (np.random.get_state()[1] == chance).all()


def test_seeds_decide_and_nothing_else(tiny):
    options = {"shapley": 2, "kernel_shap": 20, "lime": 20, "gradient_shap": 4}
    for method in ("shapley", "kernel_shap", "lime", "gradient_shap", "random"):
        one, again, other = (
            attribute(tiny, LONG, " Mary", method=method, samples=options.get(method), seed=seed) for seed in (3, 3, 4)
        )
        assert (one.scores == again.scores).all() and (one.scores != other.scores).any(), method


def test_weights_changed_between_calls_are_seen(smollm2):
    """No cache outlives a call: the same question after a change of weights is answered anew."""
    model = handle(tiny_llama(len(smollm2.tokenizer)), smollm2.tokenizer, "tiny")
    before = attribute(model, PROMPT, TARGET, method="occlusion")
    with torch.no_grad():
        model.module.model.layers[0].mlp.down_proj.weight.mul_(-1)
    after = attribute(model, PROMPT, TARGET, method="occlusion")
    assert abs(after.value - before.value) > 1e-3


def test_the_result_shows_itself(tiny):
    found = attribute(tiny, "<b>bold</b> & more text", " <i>", method="occlusion")
    page = found._repr_html_()
    assert "<b>" not in page and "<i>" not in page and "<script" not in page and "http" not in page
    assert "held" in page and "&lt;" in page
    frame = found.to_frame()
    assert list(frame.columns) == ["position", "token", "id", "score", "held"] and frame.held.tolist()[:2] == [
        True,
        False,
    ]
    assert frame.score.tolist() == found.scores.tolist()
    assert found.order[0] == int(np.argmax(np.where(np.arange(len(found.ids)) == 0, -np.inf, found.scores)))


def test_a_gap_is_said(tiny):
    found = attribute(tiny, LONG, " Mary", method="integrated_gradients", samples=1)
    assert found.gap > 0.05  # one step cannot complete here
    assert f"gap {found.gap:.0%}" in " ".join(found.notes) and f"gap {found.gap:.1%}" in found.html()


def test_looking_at_the_names_loads_no_torch():
    code = "import sys; from workbench.papers.explainability import METHODS, PROFILES; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_method_says_what_it_is():
    families = {"perturbation", "surrogate", "gradient", "decomposition", "attention", "control"}
    assert {method.family for method in METHODS.values()} == families
    for name, method in METHODS.items():
        assert method.name == name and method.about.endswith(".")


def test_random_scores_of_another_seed_need_no_model(tiny):
    from workbench.papers.explainability.attribution.result import redrawn

    control = attribute(tiny, PROMPT, TARGET, method="random", seed=3)
    wanted = attribute(tiny, PROMPT, TARGET, method="random", seed=8)
    found = redrawn(control, 8)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert found.seed == 8 and found.order == wanted.order != control.order and found.value == wanted.value
