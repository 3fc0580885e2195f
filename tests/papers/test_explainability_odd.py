"""Odd inputs: what a user may well type gets one sentence, never a traceback nor a silently wrong number."""

import itertools
import math

import numpy as np
import pytest
import torch
from explainability_toys import handle, tiny_llama

from workbench.errors import ModelError, UsageError
from workbench.papers import explainability as ex
from workbench.papers.explainability.attribution import attention, perturbation
from workbench.papers.explainability.attribution.game import Game
from workbench.papers.explainability.data import CorpusRow
from workbench.papers.explainability.inside.circuit import ablate_heads
from workbench.papers.explainability.inside.concepts import Concept
from workbench.papers.explainability.tokens import ask

P, C, ASKED = "The capital of France is", "The capital of Italy is", (" Paris", " Rome")


@pytest.fixture(scope="module")
def tiny(smollm2):
    return handle(tiny_llama(len(smollm2.tokenizer), layers=3), smollm2.tokenizer, "tiny")


@pytest.fixture(scope="module")
def concept(tiny):
    return ex.concept_vector(tiny, ["good"], ["bad"])


def texts(*words):
    return [CorpusRow(str(i), "x" if i % 2 else "y", words[i % len(words)]) for i in range(10)]


CASES = {
    "lens, top_k": (lambda m, c: ex.logit_lens(m, P, top_k=0), "top_k=0: give at least 1"),
    "lens, no layer": (lambda m, c: ex.logit_lens(m, P, layers=[]), "got 0 layers"),
    "lens, a number": (lambda m, c: ex.logit_lens(m, P, layers=2), r"layers=2 is no list: write \[2\]"),
    "lens, half a layer": (lambda m, c: ex.logit_lens(m, P, layers=[1.5]), "has no layer 1.5: give 0 to 3"),
    "head": (lambda m, c: ablate_heads(m, P, C, *ASKED, [(1, 99)]), "block 1 of tiny has no head 99: give 1 to 4"),
    "head below": (lambda m, c: ablate_heads(m, P, C, *ASKED, [(1, 0)]), "has no head 0: give 1 to 4"),
    "topic, one token": (lambda m, c: ex.topic_neuron(m, texts("a", "a b"), "x"), "the text 'a' is one token"),
    "topic, no control": (lambda m, c: ex.topic_neuron(m, texts("a b"), "x", n_random=0), "n_random=0"),
    "concept of another model": (
        lambda m, c: ex.steer_next(m, P, Concept("", 1, np.ones(7, np.float32), 1.0, 0.0), [1], [" a"]),
        "the concept has 7 numbers at layer 1, but tiny has states of 24",
    ),
    "no strength": (lambda m, c: ex.steer_next(m, P, c, [], [" a"]), r"strengths=\[\]: give at least one"),
    "strength nan": (lambda m, c: ex.steer_next(m, P, c, [float("nan")], [" a"]), "give at least one finite number"),
    "prompt, a number": (lambda m, c: ex.counterfactuals(m, 12, *ASKED), "the prompt is 12, which is no text"),
    "adversarial, None": (lambda m, c: ex.adversarial(m, None, *ASKED), "the prompt is None, which is no text"),
    "adversarial, itself": (
        lambda m, c: ex.adversarial(m, P, *ASKED, substitutions={"capital": ["capital"]}), "leaves 'The capital of",
    ),
    "influence, nan": (
        lambda m, c: ex.influence_on_head(np.full((6, 3), np.nan), [0, 1] * 3, np.ones((2, 3)), [0, 1]),
        "6 of 6 training rows hold nan",
    ),
    "influence, no test": (
        lambda m, c: ex.influence_on_head(np.eye(6), [0, 1] * 3, np.ones((0, 6)), []), "0 of 0 test rows",
    ),
    "no answers": (lambda m, c: ex.self_consistency(m, answered=[]), "needs answers, but got none"),
    "half a step": (lambda m, c: ex.weight_randomisation(m, P, " a", ["gradient"], steps=1.5), "steps=1.5"),
    "too short to simulate": (
        lambda m, c: ex.simulatability_table(m, {"random": [ex.attribute(m, "a b", " a", method="random")]}),
        "no prompt with two tokens",
    ),
    "no removal": (lambda m, c: ex.faithfulness_table(m, [(P, " a")], removals=[]), "removals is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_sentence(tiny, concept, name):
    call, sentence = CASES[name]
    with pytest.raises(UsageError, match=sentence):
        call(tiny, concept)


def test_negative_blocks_count_from_the_end(tiny):
    asked = (tiny, P, C, *ASKED)
    assert ablate_heads(*asked, [(-1, 1), (3, 1)]) == pytest.approx(ablate_heads(*asked, [(3, 1)]))


def test_texts_without_a_word_to_count_are_probed(tiny):
    found = ex.linear_probe(["!", "?", "."], [0, 1, 1], ["!!", "??"], [0, 1], model=tiny, layers=[1], n_control=1)
    assert found.table("right")["word counts"].value == 0.5  # always the commoner label


def test_more_likeliest_tokens_than_there_are(tiny, concept):
    size = tiny.module.config.vocab_size
    assert len(ex.logit_lens(tiny, "a b", layers=[0], top_k=10**6).top[0][0]) == size
    assert len(ex.steer_next(tiny, "a b", concept, [0], [" a"], top_k=10**6).top[0]) == size


def test_a_model_without_attention_is_read_on_its_own(smollm2):
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=len(smollm2.tokenizer), hidden_size=16, num_hidden_layers=2, state_size=4)
    model = handle(MambaForCausalLM(config).eval(), smollm2.tokenizer, "mamba")
    found = ex.attribute(model, P, " Paris", method="occlusion")
    with torch.no_grad():
        wanted = model.module(torch.tensor([found.ids])).logits[0, -1].float().log_softmax(-1)[found.target_ids[0]]
    assert found.value == pytest.approx(float(wanted), abs=1e-4) and len(found.scores) == 5
    with pytest.raises(ModelError, match="does not give its attention weights"):
        ex.attention_maps(model, P)


def test_kernel_shap_of_few_tokens_is_fitted_to_every_coalition(tiny):
    """Against the regression itself: all proper coalitions, weighted by the Shapley kernel, the two ends held."""
    prompt, target = "one two three four five", " six"
    masks = np.array([[True, *stays] for stays in itertools.product([False, True], repeat=4)])
    values = ex.coalition_values(tiny, prompt, target, masks)
    nobody, everybody = values[0], values[-1]
    inside, sizes = masks[1:-1, 1:], masks[1:-1, 1:].sum(1)
    weight = np.sqrt([3 / (math.comb(4, size) * size * (4 - size)) for size in sizes])
    # the last score is what the others leave of the whole difference
    left = (inside[:, :3] - inside[:, 3:].astype(float)) * weight[:, None]
    right = (values[1:-1] - nobody - inside[:, 3] * (everybody - nobody)) * weight
    fitted = np.linalg.lstsq(left, right, rcond=None)[0]
    found = ex.attribute(tiny, prompt, target, method="kernel_shap")
    np.testing.assert_allclose(found.scores[1:], [*fitted, everybody - nobody - fitted.sum()], atol=1e-6)
    assert found.samples == 14
    game = Game(ask(tiny, "one two three four five six seven eight", " nine"))  # 126 coalitions: sampled by captum
    sampled = perturbation.kernel_shap(game, samples=100, seed=0)
    assert sampled.sum() == pytest.approx(np.subtract(*game.ends()), abs=1e-3)


def test_attention_maps_above_their_memory_are_one_sentence(tiny, monkeypatch):
    prompt = "one two three four five six seven eight"
    assert ex.attention_maps(tiny, prompt).weights.ndim == 4
    monkeypatch.setattr(attention, "MAP_BYTES", 1000)
    for call in (
        lambda: ex.attention_maps(tiny, prompt),
        lambda: ex.attribute(tiny, prompt, " nine", method="attention"),
    ):
        with pytest.raises(UsageError, match=r"attention maps of \d+ tokens take .*: give at most \d+ tokens"):
            call()
