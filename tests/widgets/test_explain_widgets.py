"""The explainability widgets against direct calls of the paper's functions; what all widgets do: test_contract.py."""

import json

import numpy as np
import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.papers import explainability as ex
from workbench.papers.explainability.attribution.attention import AttentionMaps
from workbench.widgets.explain.attention import AttentionHeads
from workbench.widgets.explain.edit import CounterfactualEditor
from workbench.widgets.explain.heat import TokenHeat
from workbench.widgets.explain.layers import LayerSlider
from workbench.widgets.explain.map import TaxonomyMap
from workbench.widgets.explain.methods import MethodsCompared
from workbench.widgets.explain.steer import STRENGTHS, SteeringSlider

PROMPT, TARGET, FOIL, TWIN = "The capital of France is", " Paris", " Rome", "The capital of Italy is"


def command(widget, kind, **details):
    """What the page sends when a button is pressed."""
    widget.set_state({"command": {"kind": kind, "n": widget.command.get("n", 0) + 1, **details}})
    assert widget.answer["command"] == widget.command["n"]  # else the page would wait for ever
    json.dumps(widget.answer, allow_nan=False)


@pytest.fixture
def heat(smollm2):
    return wb.explain(smollm2, PROMPT, TARGET)


def test_the_front_door_gives_exact_shapley_values_of_a_short_prompt(heat, smollm2):
    direct = ex.attribute(smollm2, PROMPT, TARGET, method="shapley")
    assert heat.method == "shapley" and isinstance(heat, TokenHeat)
    np.testing.assert_allclose(heat.answer["scores"], direct.scores, atol=1e-5)
    assert sum(heat.answer["scores"]) == pytest.approx(direct.value - direct.baseline, abs=1e-3)
    longer = wb.explain(smollm2, "In the morning the sun rises in the", " east")
    assert longer.method == "occlusion"


def test_masking_gives_what_a_coalition_gives(heat, smollm2):
    for masked, removal in (("3", "replace"), ("1,3", "replace"), ("3", "delete"), ("", "replace")):
        heat.masked, heat.removal = masked, removal
        kept = [str(i) not in masked.split(",") for i in range(5)]
        options = {"removal": removal}
        direct = ex.coalition_values(smollm2, PROMPT, TARGET, [kept], quantity="probability", **options)[0]
        assert heat.answer["p_left"] == pytest.approx(direct, abs=1e-5)
        assert heat.answer["kept"] == kept
    assert heat.answer["p"] == heat.answer["p_left"] > 0.5
    heat.masked = "3"
    assert heat.answer["p_left"] < 0.1


def test_methods_text_reset_and_sentences(heat, smollm2):
    heat.method, heat.masked = "occlusion", "1"
    np.testing.assert_allclose(
        heat.answer["scores"], ex.attribute(smollm2, PROMPT, TARGET, method="occlusion").scores, atol=1e-5
    )
    command(heat, "ask", prompt=TWIN, target=FOIL, foil=TARGET)
    assert heat.masked == "" and heat.answer["tokens"][3] == " Italy"
    direct = ex.attribute(smollm2, TWIN, FOIL, foil=TARGET, method="occlusion")
    np.testing.assert_allclose(heat.answer["scores"], direct.scores, atol=1e-5)
    command(heat, "ask", prompt="", target=FOIL, foil="")
    assert "prompt" in heat.error and "\n" not in heat.error
    command(heat, "reset")
    assert (heat.prompt, heat.target, heat.method, heat.error) == (PROMPT, TARGET, "shapley", "")


@pytest.mark.parametrize(
    "arguments", [("", TARGET), (PROMPT, ""), ("one", TARGET)], ids=["no prompt", "no target", "nothing to remove"]
)
def test_what_cannot_be_explained_is_told_in_the_cell(smollm2, arguments):
    with pytest.raises(WorkbenchError):
        wb.explain(smollm2, *arguments)


class OnlyGenerates:
    """A handle without weights here, as a server's is."""

    name, can = "served", frozenset({"generate"})


def test_a_model_behind_a_server_is_refused_with_one_sentence():
    served = OnlyGenerates()
    for make in (
        lambda: wb.explain(served, PROMPT, TARGET),
        lambda: LayerSlider(served, PROMPT, TWIN, TARGET, FOIL),
        lambda: AttentionHeads(served, PROMPT),
        lambda: MethodsCompared(served, PROMPT, TARGET),
        lambda: CounterfactualEditor(served, PROMPT, TARGET, FOIL),
    ):
        with pytest.raises(WorkbenchError, match="served"):
            make()


def test_a_search_with_no_word_to_exchange_finds_nothing(smollm2):
    editor = CounterfactualEditor(smollm2, "12 + 3 =", " a", " b")
    command(editor, "suggest")
    assert not editor.error and editor.suggestions["edits"] == [] and editor.suggestions["tried"] == 0


@pytest.mark.slow
def test_methods_stand_in_the_order_of_the_families_beside_random(smollm2):
    text, target = "In the morning the sun rises in the", " east"
    widget = MethodsCompared(smollm2, text, target, methods=["gradient_x_input", "occlusion"])
    assert list(widget.answer["methods"]) == ["occlusion", "gradient_x_input"]
    for name, shown in widget.answer["methods"].items():
        direct = ex.erasure(smollm2, ex.attribute(smollm2, text, target, method=name))
        assert shown["comprehensiveness"] == pytest.approx(direct.comprehensiveness, abs=1e-4)
        np.testing.assert_allclose(shown["curve"][1:], direct.value - direct.comprehensive, atol=1e-4)
    control = widget.answer["random"]
    draws = [
        ex.erasure(smollm2, ex.attribute(smollm2, text, target, method="random", seed=seed)).comprehensiveness
        for seed in range(20)
    ]
    assert control["mean"] == pytest.approx(np.mean(draws), abs=1e-4)
    assert control["range"] == pytest.approx(np.quantile(draws, (0.05, 0.95)).tolist(), abs=1e-4)
    widget.chosen, widget.removal = "occlusion", "delete"
    direct = ex.erasure(smollm2, ex.attribute(smollm2, text, target, method="occlusion"), removal="delete")
    assert widget.answer["methods"]["occlusion"]["sufficiency"] == pytest.approx(direct.sufficiency, abs=1e-4)
    assert len(widget.rows()[1]) == 2


def test_the_layer_slider_shows_lens_and_patching(smollm2):
    widget = LayerSlider(smollm2, PROMPT, TWIN, TARGET, FOIL, layer=28)
    lens = ex.logit_lens(smollm2, PROMPT, TARGET)
    assert widget.answer["patching"] is None  # not computed before its panel is shown
    assert widget.answer["top"][0][0] == lens.at(28)[0][0]
    np.testing.assert_allclose(widget.answer["lens"]["probability"], lens.probability, atol=1e-5)
    widget.show, widget.layer, widget.position = "patching", 20, 3
    grid = ex.patching_grid(smollm2, PROMPT, TWIN, TARGET, FOIL)
    np.testing.assert_allclose(widget.answer["patching"]["recovery"], grid.recovery, atol=1e-4)
    assert widget.rows()[1][3][-1] == f"{grid.recovery[20, 3]:.4f}"
    command(widget, "reset")
    command(widget, "ask", clean=PROMPT, corrupt="Italy", target=TARGET, foil=FOIL)
    assert widget.error == ""  # the lens needs no twin
    widget.show = "patching"
    assert "token" in widget.error and "\n" not in widget.error


def test_attention_heads_against_the_weights_of_the_module(smollm2):
    maps = ex.attention_maps(smollm2, PROMPT)
    assert isinstance(maps, AttentionMaps)
    layers, heads, length = maps.weights.shape[:3]
    assert (layers, heads, length) == (30, 9, 5)
    np.testing.assert_allclose(maps.weights.sum(-1), 1, atol=1e-5)
    assert np.all(np.triu(maps.weights, 1) == 0)  # nobody looks ahead
    rest = maps.without_sink()
    assert np.all(rest[..., 0] == 0) and np.all(rest[:, :, 0] == 0)
    by_hand = maps.weights[7, 2, 4, 1:] / maps.weights[7, 2, 4, 1:].sum()
    np.testing.assert_allclose(rest[7, 2, 4, 1:], by_hand, rtol=1e-5)
    assert maps.sink[7, 2] == pytest.approx(maps.weights[7, 2, 1:, 0].mean())
    far = [sum(rest[7, 2, q, k] * (q - k) for k in range(1, q + 1)) for q in range(1, 5)]
    assert maps.distance()[7, 2] == pytest.approx(np.mean(far), abs=1e-4)

    widget = AttentionHeads(smollm2, PROMPT, layer=8, head=3)  # both from 1
    np.testing.assert_allclose(widget.answer["heads"], maps.weights[7], atol=1e-5)
    widget.sink = False
    np.testing.assert_allclose(widget.answer["heads"], rest[7], atol=1e-5)
    widget.head, widget.layer = 1, 30
    assert not widget.error
    np.testing.assert_allclose(widget.answer["heads"], rest[29], atol=1e-5)
    widget.layer = 0
    assert "there is no layer 0: those of smollm2 run from 1 to 30" in widget.error
    widget.layer = 8
    widget.prompt, widget.head = "word " * 70, 1
    assert "more than the 64" in widget.error


def test_the_editor_compares_and_searches(smollm2):
    widget = CounterfactualEditor(smollm2, PROMPT, TARGET, FOIL)
    assert widget.answer["changes"] == [] and not widget.answer["flipped"]
    widget.edited = TWIN
    direct = ex.compare_edit(smollm2, PROMPT, TWIN, TARGET, FOIL)
    assert widget.answer["flipped"] and widget.answer["margin"] == pytest.approx(direct.margin, abs=1e-4)
    widget.candidates = {"France": ["Italy", "Spain"]}
    command(widget, "suggest")
    texts = [text for text, _, flips in widget.suggestions["edits"] if flips]
    assert TWIN in texts and widget.suggestions["for"] == PROMPT
    command(widget, "ask", prompt=TWIN, target=FOIL, foil=TARGET)
    assert widget.edited == TWIN and widget.answer["margin"] == pytest.approx(-direct.margin, abs=1e-4)
    widget.edited = ""
    assert widget.error


def test_steering_along_a_concept_and_a_random_direction(smollm2):
    pairs = ex.concept_rows("sentiment", "train")[:6]
    concept = ex.concept_vector(smollm2, [row.positive for row in pairs], [row.negative for row in pairs])
    control = ex.random_concept(concept, seed=1)
    assert np.linalg.norm(control.vector) == pytest.approx(1, abs=1e-5) and control.scale == concept.scale
    assert abs(control.vector @ concept.vector) < 0.3
    text = ex.openings()[0]
    widget = SteeringSlider(
        smollm2, {"praise": concept}, control, text.text, text.positive, text.negative, strength=2.0
    )
    direct = ex.steer_next(smollm2, text.text, concept, [2.0], [text.positive, text.negative]).probability[0]
    at = STRENGTHS.index(2.0)
    assert widget.answer["p_target"][at] == pytest.approx(direct[0], abs=1e-5)
    assert widget.answer["share"][at] == pytest.approx(direct[0] / direct.sum(), abs=1e-5)
    with ex.steering(smollm2, concept, 2.0):
        steered = smollm2.generate([text.text], max_new_tokens=16, chat=False)[0][0].text
    assert widget.answer["text"] == steered
    widget.strength = 0.0
    assert widget.answer["text"] == widget.answer["plain"]


def test_the_map_shows_every_leaf():
    widget = TaxonomyMap()
    assert len(widget.leaves) == len(ex.TAXONOMY)
    page = widget.page(widget.picture())
    for (key, *_), leaf in zip(widget.leaves, ex.TAXONOMY, strict=True):
        widget.leaf = key
        shown = widget.answer
        assert (shown["title"], shown["text"]) == (leaf.title, leaf.text)
        assert bool(shown["function"]) != bool(shown["reason"])
        assert leaf.title in page and (leaf.function or leaf.reason.split()[0]) in page
        if leaf.function:
            assert leaf.function in ex.__all__
    assert page.count("<ul>") == page.count("</ul>")
