"""One contract over all widgets: question, controls, table, reset, one sentence, files, pages without a kernel."""

import base64
import dataclasses
import html
import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import workbench as wb
from workbench.errors import UsageError
from workbench.papers import explainability as ex, rain
from workbench.papers.kbert import KBert, KnowledgeGraph
from workbench.runs.report.page import sanitise
from workbench.widgets.emo import EMOExplorer
from workbench.widgets.explain.attention import AttentionHeads
from workbench.widgets.explain.edit import CounterfactualEditor
from workbench.widgets.explain.layers import LayerSlider
from workbench.widgets.explain.map import TaxonomyMap
from workbench.widgets.explain.methods import MethodsCompared
from workbench.widgets.explain.steer import SteeringSlider
from workbench.widgets.kbert import KBertExplorer
from workbench.widgets.rain import RainExplorer
from workbench.widgets.randomness import RandomnessExplorer
from workbench.widgets.reprover import ProofExplorer
from workbench.widgets.skipanalyzer import WarningExplorer

sys.path.insert(0, str(Path(__file__).parents[1] / "papers"))
from rain_example import example

WIDGET = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<b onclick=x>$\\q{"
FRANCE = ("The capital of France is", " Paris", " Rome")
ITALY = "The capital of Italy is"


class Searched:
    """A handle that no search is asked of: the searches shown were made before."""

    name, can = "no model", frozenset({"logprobs"})


def steering(model):
    pairs = ex.concept_rows("sentiment", "train")[:4]
    concept = ex.concept_vector(model, [row.positive for row in pairs], [row.negative for row in pairs])
    text = ex.openings()[0]
    return SteeringSlider(
        model, {"praise": concept}, ex.random_concept(concept), text.text, text.positive, text.negative
    )


def knowing(_):
    graph = KnowledgeGraph.from_triples([("heparin", "is a", "blood thinner"), ("gout", "hurts", "the big toe")])
    return KBertExplorer(KBert("minilm", labels=["medicine", "illness"], graph=graph), text="He asked about heparin.")


def searched(_):
    other = dataclasses.replace(example(), prompt="Review: She")
    settings = rain.RainSettings.embedded(budget=2)
    return RainExplorer(Searched(), None, settings=settings, results=[example(), other])


# name -> how it is built from smollm2; a change with another answer; [trait, value, sentence] that Python refuses;
# and one that is accepted and answered by a sentence on the page
CASES = {
    "emo": (
        lambda model: EMOExplorer(model, contexts=["The sky is| blue", "<b>x</b> no bar"]), ("temperature", 0.5),
        [("variant", "emo", "there is no EMO variant 'emo'"), ("context", 9, "there is no context 9")],
        ("context", 1, "needs a bar"),
    ),
    "heat": (
        lambda model: wb.explain(model, *FRANCE[:2], method="occlusion"), ("masked", "3"),
        [("masked", "x", "positions counted from 0"), ("method", "magic", "method 'magic' is unknown")],
        ("masked", "9", "token 9 cannot be masked"),
    ),
    "methods": (
        lambda model: MethodsCompared(model, *FRANCE[:2], methods=["occlusion"]), ("removal", "delete"),
        [("removal", "x", "removal 'x' is unknown"), ("chosen", "magic", "method 'magic' is unknown")],
        ("prompt", "", "prompt"),
    ),
    "edit": (lambda model: CounterfactualEditor(model, *FRANCE), ("edited", ITALY), [], ("edited", "", "")),
    "layers": (
        lambda model: LayerSlider(model, FRANCE[0], ITALY, *FRANCE[1:], layer=28), ("position", 3),
        [("part", "x", "part 'x' is unknown"), ("show", "x", "panel 'x' is unknown")],
        ("layer", 99, "there is no layer 99: choose one from 0 to 30"),
    ),
    "attention": (
        lambda model: AttentionHeads(model, FRANCE[0], layer=8), ("sink", False), [],
        ("head", 10, "there is no head 10: those of smollm2 run from 1 to 9"),
    ),
    "steer": (
        steering, ("strength", 1.0),
        [("strength", 9, "there is no strength 9"), ("concept", "x", "concept 'x' is unknown")], ("prompt", "", ""),
    ),
    "map": (
        lambda _: TaxonomyMap(), ("leaf", TaxonomyMap().leaves[4][0]), [("leaf", "x", "leaf 'x' is unknown")], None
    ),
    "kbert": (
        knowing, ("visible_matrix", False),
        [("graph", "hownet", "there is no graph 'hownet': choose from the model's graph, no graph"),
         ("layer", 7, "there is no layer 7: there are 6")],
        ("text", "  ", "there is no sentence: type one"),
    ),
    "rain": (searched, ("prompt", "Review: She"), [], ("budget", 51, "there is no budget 51: give 1 to 50")),
    "randomness": (
        lambda model: RandomnessExplorer(model, flips="HTHH"), ("flips", "HTT"),
        [("flips", "HX", "flip 2 in 'HX' is neither"), ("flips", "H" * 401, "401 flips are more than the 400")],
        ("p_tails", 500, "p_tails=500"),
    ),
    "reprover": (
        lambda _: ProofExplorer("Nat.zero_add"), ("theorem", "Logic.and_swap"),
        [("retriever", "x", "retriever 'x' is unknown: choose one of bm25")], ("theorem", HOSTILE, ""),
    ),
    "skipanalyzer": (
        lambda _: WarningExplorer(), ("judge", "small filter"),
        [("judge", "model", "judge 'model' is unknown: choose one of rule, small filter"),
         ("patcher", "x", "patcher 'x' is unknown"), ("context", "x", "context 'x' is unknown")],
        ("warning", HOSTILE, "there is no warning"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def case(request, smollm2):
    make, *rest = CASES[request.param]
    return make(smollm2), *rest


@pytest.fixture
def widget(case):
    case[0].reset()
    assert case[0].error == ""
    return case[0]


def data(widget) -> dict:
    """The answer without what is counted: the same question gives the same."""
    return {name: value for name, value in widget.answer.items() if name != "command"}


def command(widget, kind, **details):
    """What the page sends when a button is pressed."""
    widget.set_state({"command": {"kind": kind, "n": widget.command.get("n", 0) + 1, **details}})
    assert widget.answer["command"] == widget.command["n"], "the page would wait for ever"
    json.dumps(widget.answer, allow_nan=False)


def test_question_answer_table_and_reset(widget, case):
    first, (trait, value) = data(widget), case[1]
    columns, rows = widget.rows()
    named = {"caption": widget.caption(), "file": f"{widget.stem}.csv"}
    assert widget.table == {"columns": columns, "rows": rows, **named} and rows
    assert all(isinstance(cell, str) for row in rows for cell in row) and {len(row) for row in rows} == {len(columns)}
    assert first["question"] == {name: getattr(widget, name) for name in widget.asks} and widget.asked_for
    json.dumps([widget.answer, widget.table, widget.still], allow_nan=False)
    setattr(widget, trait, value)
    assert data(widget) != first and widget.error == "" and widget.answer["question"][trait] == value
    command(widget, "reset")
    assert data(widget) == first


def test_every_control_sets_a_trait_of_the_question(widget):
    for control in widget.shown_controls:
        now = getattr(widget, control["trait"])
        assert control["trait"] in widget.asks and control["label"]
        assert control["kind"] != "choice" or now in [value for value, _ in control["options"]]
        assert control["kind"] != "slider" or control["low"] <= now <= control["high"]
        if control["kind"] == "slider" and control["words"]:
            assert len(control["words"]) == round((control["high"] - control["low"]) / control["step"]) + 1


def test_what_is_wrong_is_one_sentence(widget, case):
    before, (refused, shown) = data(widget), case[2:]
    for trait, value, sentence in refused:
        with pytest.raises(UsageError, match=sentence):
            setattr(widget, trait, value)
        assert data(widget) == before
    if shown:
        trait, value, sentence = shown
        setattr(widget, trait, value)
        assert widget.error and sentence in widget.error and "\n" not in widget.error and widget.table == {}
        assert "image/png" not in widget._repr_mimebundle_()[0]
        with pytest.raises(UsageError, match="nothing to export"):
            widget.save("x.png")
        widget.reset()
        assert data(widget) == before


def test_files_to_take_away(widget, tmp_path):
    command(widget, "export", format="html")
    page = base64.b64decode(widget.exported["data"]).decode()
    assert widget.exported["name"] == f"{widget.stem}.html" and widget.exported["n"] == widget.command["n"]
    assert "<!doctype html>" in page and widget.caption() in html.unescape(page)
    assert widget.save(tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="png or html, not as 'gif'"):
        widget.save(tmp_path / "x.gif")
    command(widget, "export", format="exe")
    assert "png or html" in widget.error and widget.table["rows"]
    command(widget, "reset")
    assert widget.error == ""


class Page(HTMLParser):
    """Tags, addresses, alternatives and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.names, self.addresses, self.alt, self.words = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.names += [name for name, _ in attributes]
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        self.alt += [value for name, value in attributes if name == "alt"]

    def handle_data(self, text):
        self.words.append(text)


def test_pages_on_which_nobody_can_click(widget, tmp_path, monkeypatch):
    before, rows = plt.get_fignums(), widget.rows()[1]
    live, _ = widget._repr_mimebundle_()
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    still, metadata = widget._repr_mimebundle_()
    assert WIDGET in live and WIDGET not in still
    assert base64.b64decode(still["image/png"]).startswith(b"\x89PNG")
    described = metadata["image/png"]["alt"]
    assert len(described) > 20
    assert plt.get_fignums() == before, "a figure left open is shown a second time"
    for text in (still["text/html"], sanitise(still["text/html"], tmp_path)):  # the second: as the run's page has it
        page = Page(text)
        assert "script" not in page.tags and page.tags.count("tr") == 1 + len(rows) and page.alt == [described]
        assert len(page.addresses) == 1 and page.addresses[0].startswith("data:image/png")
        assert {cell for row in rows for cell in row if cell.strip()} <= set(page.words)


def test_what_is_typed_is_text_and_no_formula(widget):
    texts = [control["trait"] for control in widget.shown_controls if control["kind"] == "text"]
    command(widget, "ask", **{texts[0]: HOSTILE} if texts else {})
    page = Page(widget.page(b"" if widget.error else widget.picture()))
    assert "onclick" not in page.names and "script" not in page.tags
    if texts:
        assert widget.answer["question"][texts[0]] == HOSTILE


def test_its_module_is_whole_and_fetches_nothing(widget, tmp_path):
    module = str(widget._esm)
    assert module.count("export default { render") == 1
    assert module.replace("http://www.w3.org/2000/svg", "").count("://") == 0 and "innerHTML" not in module
    node = shutil.which("node")
    if node:
        (tmp_path / "widget.mjs").write_text(module)
        told = subprocess.run([node, "--check", tmp_path / "widget.mjs"], capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
