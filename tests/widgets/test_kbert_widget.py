"""The K-BERT explorer's answers are the paper's functions'; what every widget does is in test_contract.py."""

import numpy as np
import pytest

from workbench.errors import UsageError
from workbench.papers.kbert import KBert, KnowledgeGraph, figures
from workbench.widgets.kbert import LONGEST, KBertExplorer

GRAPH = KnowledgeGraph.from_triples(
    [("heparin", "is a", "blood thinner"), ("heparin", "comes from", "pig gut"), ("gout", "hurts", "the big toe")]
)
TEXT = "He asked about heparin and gout."


@pytest.fixture(scope="module")
def model():
    return KBert("minilm", labels=["medicine", "illness"], graph=GRAPH)


@pytest.fixture
def explorer(model):
    return KBertExplorer(model, text=TEXT)


def test_its_numbers_are_the_papers(explorer, model):
    look, answer = model.look(TEXT), explorer.answer
    assert [entry[0] for entry in answer["tokens"]] == look.item.tokens
    assert [entry[1] for entry in answer["tokens"]] == look.item.soft_positions.tolist()
    assert np.array_equal(answer["visible"], look.item.visible)
    assert np.allclose(answer["attention"], look.attention[-1].mean(0), atol=1e-4)
    assert dict(map(tuple, answer["prediction"])) == pytest.approx(
        dict(zip(model.labels, look.probabilities)), abs=1e-4
    )
    kinds = [entry[3] for entry in answer["tokens"]]
    assert [kind == "branch" for kind in kinds] == look.item.injected.tolist() and "owner" in kinds
    assert [[owner[-1], branch[0]] for branch, owner, _ in look.item.triples] == answer["links"] and len(
        answer["links"]
    ) == 3


def test_the_switches_move_what_they_switch_and_leave_the_model_alone(explorer, model):
    before, settings = explorer.answer, model.settings
    explorer.visible_matrix = False
    free = explorer.answer
    assert np.all(free["visible"]) and free["attention"] != before["attention"] and free["tokens"] == before["tokens"]
    assert free["prediction"] != before["prediction"]
    explorer.soft_position = False
    places = [entry[1] for entry in explorer.answer["tokens"]]
    assert places == list(range(len(places))) != [entry[1] for entry in before["tokens"]]
    assert "without soft positions and visible matrix" in explorer.caption()
    explorer.graph = "no graph"
    assert all(kind == "word" for *_, kind in explorer.answer["tokens"]) and explorer.answer["links"] == []
    explorer.layer = 1
    explorer.command = {"kind": "reset", "n": 1}
    assert explorer.answer["tokens"] == before["tokens"] and explorer.answer["attention"] == before["attention"]
    assert model.settings is settings and model.graph is GRAPH


def test_branches_that_share_places_stand_in_rows_of_their_own(explorer):
    held = {}
    for token, place, row, kind in explorer.answer["tokens"]:
        assert (row > 0) == (kind == "branch")
        assert held.setdefault((row, place), token) is token, "two tokens are drawn on one another"


def test_long_sentences_lose_branches_first(model):
    explorer = KBertExplorer(model, text="word " * (LONGEST - 6) + "heparin")
    assert len(explorer.answer["tokens"]) <= LONGEST and explorer.answer["dropped"] > 0
    assert not explorer.answer["cut"] and "only" not in explorer.caption()
    explorer.text = "word " * LONGEST  # the sentence itself is cut: the prediction is not the whole sentence's
    assert explorer.answer["cut"] and f"the first {LONGEST} tokens only" in explorer.caption()


def test_a_model_of_words_is_refused():
    words = KBert("minilm", labels=["O", "B-x"], task="tokens")
    with pytest.raises(UsageError, match="this one is for tokens"):
        KBertExplorer(words, text=TEXT)


def test_a_layer_that_is_none_is_said(model):
    look = model.look(TEXT)
    with pytest.raises(UsageError, match="there is no layer 9"):
        figures.layer_attention(look, 9)
    assert np.allclose(figures.layer_attention(look, 1).sum(1), 1, atol=1e-5)
