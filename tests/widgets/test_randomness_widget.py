"""The kernel's half of the randomness explorer, against direct calls of the paper's functions."""

import base64
import copy
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from workbench.errors import UsageError, WorkbenchError
from workbench.papers import randomness
from workbench.runs.report.page import sanitise
from workbench.widgets.randomness import CONCEPTS, WORDS, RandomnessExplorer, preset_flips

WIDGET = "application/vnd.jupyter.widget-view+json"


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


def test_no_flips_and_many(smollm2):
    explorer = RandomnessExplorer(smollm2, flips="")
    assert len(explorer.answer["p_tails"]) == 1
    with pytest.raises(UsageError, match="401 flips are more than the 400"):
        explorer.flips = "H" * 401
    assert explorer.flips == ""


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
        ("preset", {"name": "01", "length": 4000, "seed": 0}, "length 4000 is none"),
        ("preset", {"name": "01", "length": None, "seed": 0}, "length None is none"),
        ("preset", {"name": "random", "length": 3, "seed": 0.5}, "seed 0.5 is none"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_the_numbers_stay(explorer, kind, details, sentence):
    before = explorer.answer["p_tails"]
    command(explorer, kind, **details)
    assert sentence in explorer.error and "\n" not in explorer.error
    assert explorer.flips == "HTHH" and explorer.answer["p_tails"] == before
    command(explorer, "type", text="HTHH")  # the same flips: nothing to compute, and nothing wrong any more
    assert explorer.error == "" and explorer.answer["p_tails"] == before


def test_a_question_without_an_answer_and_back(explorer):
    explorer.p_tails = 500
    assert "p_tails=500" in explorer.error and "p_tails" not in explorer.answer
    assert "image/png" not in explorer._repr_mimebundle_()[0]
    explorer.p_tails = 50
    same_as_direct(explorer)


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


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]


def test_snapshot_inside_and_outside_a_run(smollm2, monkeypatch, tmp_path):
    model = copy.copy(smollm2)
    model.name = "<script>alert(1)</script>"
    live, _ = RandomnessExplorer(model, flips="HTT")._repr_mimebundle_()
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    still_explorer = RandomnessExplorer(model, flips="HTT")
    still, _ = still_explorer._repr_mimebundle_()
    assert WIDGET in live and WIDGET not in still and still_explorer.comm is None
    for bundle in (live, still):
        assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
        page = Page(bundle["text/html"])
        assert "script" not in page.tags and page.tags.count("tr") == 1 + 4
        assert len(page.addresses) == 1 and page.addresses[0].startswith("data:image/png")
        for value in still_explorer.answer["p_tails"]:
            assert f"{value:.4f}" in bundle["text/html"]
        report = sanitise(bundle["text/html"], tmp_path)  # what the run's page makes of it
        assert Page(report).addresses == page.addresses and Page(report).tags.count("tr") == 1 + 4


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
