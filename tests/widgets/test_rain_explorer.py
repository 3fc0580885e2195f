"""The explorer of RAIN without a browser: what it asks for, what it shows where nobody can click."""

import sys
from pathlib import Path

import pytest

from workbench.errors import UsageError
from workbench.papers import rain
from workbench.widgets.rain import RainExplorer

sys.path.insert(0, str(Path(__file__).parents[1] / "papers"))
from rain_example import example


class Named:
    name = "no model"
    can = frozenset({"logprobs"})


@pytest.fixture
def explorer(monkeypatch):
    calls = []

    def search(model, prompts, *, scorer, settings, **options):
        calls.append((prompts, settings.budget, options))
        result = example()
        result.prompt = prompts[0]
        return [result]

    monkeypatch.setattr(rain, "rain", search)
    settings = rain.RainSettings.embedded(budget=2)
    widget = RainExplorer(Named(), None, settings=settings, results=[example()], seed=5, chat=False)
    widget.calls = calls
    return widget


def test_a_search_already_made_costs_nothing(explorer):
    assert explorer.calls == [] and explorer.prompt == "Review: It" and explorer.examples == ["Review: It"]
    assert explorer.answer["search"]["reply"] == " was good" and explorer.error == ""


def test_another_prompt_or_budget_searches_once(explorer):
    explorer.prompt = "Review: She"
    explorer.budget = 6
    explorer.budget = 2
    explorer.prompt = "Review: It"
    asked = [(["Review: She"], 2), (["Review: She"], 6)]
    assert [call[:2] for call in explorer.calls] == asked and explorer.calls[0][2] == {"seed": 5, "chat": False}
    explorer.command = {"kind": "reset", "n": 1}
    assert (explorer.prompt, explorer.budget) == ("Review: It", 2)


def test_what_is_wrong_is_one_sentence(explorer):
    explorer.prompt = "  "
    assert explorer.error == "the prompt is empty: write what the model is asked, or how its text begins"
    explorer.prompt = "x" * 9000
    assert "longer than 4000 characters" in explorer.error
    explorer.set_trait("prompt", "Review: It")
    explorer.budget = 51
    assert explorer.error == "there is no budget 51: give 1 to 50 searches a move"
    with pytest.raises(UsageError):
        rain.RainSettings(budget=0)


def test_what_the_model_wrote_is_text(explorer):
    assert "<b>" not in explorer.page(b"")
    assert explorer.rows()[1] == [["1", " was", "0.50", "1.00", "2"], ["2", " good", "0.90", "1.00", "2"]]
