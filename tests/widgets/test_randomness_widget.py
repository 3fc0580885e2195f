"""The kernel's half of the randomness explorer, against direct calls of the paper's functions."""

import copy
import json

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.papers import randomness
from workbench.widgets.randomness import CONCEPTS, WORDS, RandomnessExplorer, preset_flips


@pytest.fixture
def explorer(smollm2):
    return RandomnessExplorer(smollm2, flips="HTHH")


@pytest.fixture
def forwards(monkeypatch):
    """The flips of every forward that the widget asks for, while the real function does the work."""
    asked, real = [], randomness.next_flip_curve

    def listen(model, flips, **options):
        asked.append(flips)
        return real(model, flips, **options)

    monkeypatch.setattr(randomness, "next_flip_curve", listen)
    return asked


def same_as_direct(explorer):
    task = {"prompt": explorer.prompt, "alphabet": explorer.alphabet, "p_tails": explorer.p_tails}
    p_tails, mass = randomness.next_flip_curve(explorer.model, explorer.flips, **task)
    np.testing.assert_allclose(explorer.answer["p_tails"], p_tails, atol=1e-5)
    np.testing.assert_allclose(explorer.answer["mass"], mass, atol=1e-5)
    for likelihood in ("sequence", "count"):
        curve = randomness.bayes_curve(explorer.flips, explorer.concept, likelihood=likelihood)
        np.testing.assert_allclose(explorer.answer["posterior"][likelihood], curve.posterior)
        np.testing.assert_allclose(explorer.answer["observer"][likelihood], curve.p_tails)
    assert explorer.error == ""


def command(explorer, kind, **details):
    """What the page sends when a button is pressed."""
    explorer.set_state({"command": {"kind": kind, "n": explorer.command.get("n", 0) + 1, **details}})
    assert explorer.answer["command"] == explorer.command["n"]  # else the page would wait for ever


def test_every_selector_changes_the_numbers_to_those_of_a_direct_call(explorer):
    same_as_direct(explorer)
    for name, value in [("flips", "HTHT"), ("prompt", "plain"), ("alphabet", "digits"), ("concept", "011")]:
        before = explorer.answer
        setattr(explorer, name, value)
        assert explorer.answer != before
        same_as_direct(explorer)
    explorer.alphabet, explorer.prompt, explorer.p_tails = "words", "paper", 90
    same_as_direct(explorer)
    assert "90%" in explorer.answer["reads"] and explorer.answer["reads"].endswith("Heads, Tails, Heads, Tails,")
    json.dumps(explorer.answer, allow_nan=False)  # what goes to the page


def test_a_prompt_and_symbols_of_ones_own_are_on_the_menus(smollm2):
    own = "Flip {source}, and {tails} comes {p} times."
    explorer = RandomnessExplorer(smollm2, flips="HT", prompt=own, alphabet="Kopf,Zahl", p_tails=30)
    same_as_direct(explorer)
    assert explorer.answer["reads"].endswith("30% probability of Zahl, and Zahl comes 30 times.\n\nA: [Kopf, Zahl,")
    menus = {one["trait"]: [value for value, _ in one["options"]] for one in explorer.shown_controls}
    assert menus["prompt"] == [*randomness.PROMPTS, own] and menus["alphabet"] == ["words", "digits", "Kopf,Zahl"]
    asked = RandomnessExplorer(smollm2, flips="HT", chat=True)
    np.testing.assert_allclose(asked.answer["mass"], randomness.next_flip_curve(smollm2, "HT", chat=True)[1], atol=1e-5)


def test_no_flips(smollm2):
    assert len(RandomnessExplorer(smollm2, flips="").answer["p_tails"]) == 1


def test_edits_that_arrive_together_are_one_forward(explorer, forwards):
    explorer.set_state({"flips": "HTTT", "prompt": "plain", "concept": "0011"})
    assert forwards == ["HTTT"]
    explorer.concept = "01"  # no question to the model
    explorer.flips = "HTTTT"
    explorer.flips = "HTTT"  # known already
    assert forwards == ["HTTT", "HTTTT"]


def test_typing_presets_and_reset(explorer, forwards):
    command(explorer, "type", text="heads tails 1")
    assert explorer.flips == "HTT"
    command(explorer, "preset", name="011", length=7, seed=0)
    assert explorer.flips == "HTTHTTH"
    command(explorer, "preset", name="random", length=12, seed=3)
    assert explorer.flips == randomness.random_flips(12, 3)
    command(explorer, "preset", name="alternating", length=1, seed=0)
    assert explorer.flips == "HT" * 20
    explorer.concept = "0011"
    command(explorer, "reset")
    assert (explorer.flips, explorer.concept) == ("HTHH", "01")
    assert len(forwards) == 4  # the first state was known
    same_as_direct(explorer)


@pytest.mark.parametrize(
    "kind, details, sentence",
    [
        ("type", {"text": "HTX"}, "flip 3 in 'HTX' is neither Heads nor Tails"),
        ("preset", {"name": "0110", "length": 3, "seed": 0}, "preset '0110' is unknown"),
        ("preset", {"name": "01", "length": 4000, "seed": 0}, "length 4000 is not a whole number from 0 to 400"),
        ("preset", {"name": "01", "length": None, "seed": 0}, "length None is not a whole number"),
        ("preset", {"name": "random", "length": 3, "seed": 0.5}, "seed 0.5 is not a whole number"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_the_numbers_stay(explorer, kind, details, sentence):
    before = explorer.answer["p_tails"]
    command(explorer, kind, **details)
    assert sentence in explorer.error and "\n" not in explorer.error
    assert explorer.flips == "HTHH" and explorer.answer["p_tails"] == before
    command(explorer, "type", text="HTHH")  # the same flips: nothing to compute, and nothing wrong any more
    assert explorer.error == "" and explorer.answer["p_tails"] == before


def test_an_interrupt_and_an_unforeseen_failure_end_the_waiting(explorer, monkeypatch):
    unforeseen = RuntimeError("first\nsecond")
    for problem, sentence in [(KeyboardInterrupt(), "interrupted"), (unforeseen, "RuntimeError: first")]:

        def fail(*_, problem=problem, **__):
            raise problem

        with monkeypatch.context() as patch:
            patch.setattr(randomness, "next_flip_curve", fail)
            explorer.flips += "T"
        assert explorer.error.startswith(sentence) and "\n" not in explorer.error
        command(explorer, "retry")  # any action asks again
        same_as_direct(explorer)


@pytest.mark.parametrize(
    "name, value", [("flips", "HX"), ("prompt", "none"), ("concept", "2"), ("alphabet", "x"), ("p_tails", -1)]
)
def test_wrong_arguments_are_told_in_the_cell(smollm2, name, value):
    with pytest.raises(WorkbenchError):
        RandomnessExplorer(smollm2, **{name: value})


def test_a_models_name_is_text_and_a_run_opens_no_channel(smollm2, monkeypatch, tmp_path):
    model = copy.copy(smollm2)
    model.name = "<script>alert(1)</script>"
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    explorer = RandomnessExplorer(model, flips="HTT")
    assert explorer.comm is None and "<script" not in explorer._repr_mimebundle_()[0]["text/html"]


class OnlyGenerates:
    """The real model, through a handle that shows no log-probabilities, as some servers do."""

    can = frozenset({"generate"})

    def __init__(self, model):
        self.name, self.generate = model.name, model.generate


def test_a_model_without_logprobs_is_sampled_behind_the_last_flip(smollm2):
    explorer = RandomnessExplorer(OnlyGenerates(smollm2), flips="HTH")
    direct = randomness.sample_next_flip(smollm2, "HTH")
    assert explorer.answer["p_tails"] == [None, None, None, direct.p_tails.value]
    assert explorer.answer["sampled"] == {"n": 30, "low": direct.p_tails.low, "high": direct.p_tails.high}
    explorer.flips = "HTHT"
    assert explorer.answer["p_tails"][3] == direct.p_tails.value  # what was asked before stays
    assert [row[2] for row in explorer.rows()[1]][:3] == ["–"] * 3
    assert "image/png" in explorer._repr_mimebundle_()[0]


def test_every_concept_and_word_is_one():
    for word in (*CONCEPTS, *(name for name in WORDS if name != "random")):
        assert preset_flips(word, 9) == randomness.repeat_concept(word, 9)
