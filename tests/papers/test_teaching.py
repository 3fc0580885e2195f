"""A notebook in front of a class: predictions before figures, a verdict in sentences, folded answers, slides, type.

The first half reads the notebooks as committed; the second asks the smoke run of each paper, which is there anyway.
"""

import re

import nbformat
import pytest

from workbench.files import ROOT
from workbench.papers import PAPERS

READY = [paper.name for paper in PAPERS if paper.status == "done"]
SLIDES = {"slide", "subslide", "fragment", "skip", "notes", "-"}
PREDICTION = re.compile(r"(?m)(^|\. )If [^.\n]*\bwould\b")  # what one would see if the claim held
QUESTION = re.compile(r"(?m)^(?:\*\*)?[123]\.(?:\*\*)? .+\?")
FOLDED = re.compile(r"\n\n<details>\s*<summary>[^<\n]+</summary>\n\n(.+?)\n\n</details>", re.DOTALL)
INTERVAL = re.compile(r"\[-?[\d.e-]+, -?[\d.e-]+\]|95 % interval")
NOTHING = re.compile("says nothing|not comparable|no method is told apart")  # at the smallest sizes
LEAST = 9  # points
WIDGET = "application/vnd.jupyter.widget-view+json"
each_paper = pytest.mark.parametrize("paper", READY)


def cells(paper):
    return nbformat.read(ROOT / "notebooks" / f"{paper}.ipynb", as_version=4).cells


def tagged(some, tag):
    return [cell for cell in some if tag in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("paper", ["start", *READY])
def test_every_cell_has_its_place_among_the_slides(paper):
    some = cells(paper)
    kinds = [cell.metadata.get("slideshow", {}).get("slide_type") for cell in some]
    assert set(kinds) <= SLIDES and kinds[0] == "slide"
    for cell, kind in zip(some, kinds, strict=True):
        if "parameters" in cell.metadata.get("tags", []) or "wb.record(" in cell.source:
            assert kind == "skip", "no class looks at the parameters or the record"
    assert 4 <= kinds.count("slide") <= 25
    code = [cell for cell in some if cell.cell_type == "code"]
    assert tagged(code, "remove-input") and len(tagged(code, "remove-input")) < len(code), "some code is worth a look"


@each_paper
def test_before_each_figure_stands_what_one_would_see_if_the_claim_held(paper):
    """In the text above it, which may lead to a figure and to its control."""
    said, drawn = "", 0
    for cell in cells(paper):
        if cell.cell_type == "markdown":
            said = cell.source
        elif "plots.save(" in cell.source:
            drawn += 1
            assert PREDICTION.search(said), f"{paper}, {cell.id}: say 'If …, … would …' in the text before the figure"
    assert drawn


@each_paper
def test_three_questions_with_folded_answers(paper):
    (asked,) = [cell.source for cell in cells(paper) if "<details>" in cell.source]
    assert len(QUESTION.findall(FOLDED.sub("", asked))) == 3
    answers = FOLDED.findall(asked)
    assert len(answers) in (1, 3) and sum(map(len, answers)) > 250, "folded, and closed, and with something in them"


@each_paper
def test_one_cell_says_the_verdict_and_one_shows_the_main_figure(paper):
    some = cells(paper)
    (verdict,), (figure,) = tagged(some, "verdict"), tagged(some, "main-figure")
    assert verdict.cell_type == figure.cell_type == "code"
    assert "plots.save(" in figure.source and verdict.source.count("\n") < 12, "the module computes, the notebook says"


# ---- the smoke run


@each_paper
def test_the_verdict_is_sentences_with_the_model_and_an_interval(paper, smoke_record):
    run = smoke_record(paper)
    executed = nbformat.read(run.folder / "notebook.ipynb", as_version=4)
    (verdict,) = tagged(executed.cells, "verdict")
    shown = [output.data for output in verdict.outputs if output.output_type in ("display_data", "execute_result")]
    assert shown and all("text/markdown" in data and "text/html" not in data for data in shown), "no table"
    said = " ".join(data["text/markdown"] for data in shown)
    assert len(said) < 2500 and said.rstrip().endswith(".")
    names = {"reprover": "minilm", "kbert": "minilm"}
    assert names.get(paper, run.record["models"][0]["name"]) in said, "every number says which model"
    assert INTERVAL.search(said) or NOTHING.search(said), said
    assert "None" not in said and "nan" not in said.split()


@each_paper
def test_no_table_has_a_nameless_column_or_says_none(paper, smoke_record):
    executed = nbformat.read(smoke_record(paper).folder / "notebook.ipynb", as_version=4)
    outputs = [(cell.id, output.get("data", {})) for cell in executed.cells for output in cell.get("outputs", [])]
    pages = [(name, data["text/html"]) for name, data in outputs if "text/html" in data and WIDGET not in data]
    tables = [(name, table) for name, page in pages for table in re.findall(r"<table.*?</table>", page, re.DOTALL)]
    assert tables
    for name, table in tables:
        assert not re.search(r"<t[dh][^>]*>\s*(None|nan|NaN|—)\s*</t[dh]>", table), f"{paper}, {name}"
        head = re.search(r"<thead>.*?</thead>", table, re.DOTALL)
        assert not head or not re.search(r"<th[^>]*>\s*(&nbsp;)?\s*</th>", head[0]), f"{paper}, {name}"


@each_paper
def test_type_in_figures_can_be_read(paper, smoke_record):
    """matplotlib draws letters as paths scaled by points / 100."""
    figures = sorted((smoke_record(paper).folder / "figures").glob("*.svg"))
    assert figures
    for figure in figures:
        sizes = {round(100 * float(size), 1) for size in re.findall(r"scale\((0?\.\d+) -0?\.\d+\)", figure.read_text())}
        assert sizes and min(sizes) >= LEAST, f"{paper}, {figure.name}: {min(sizes, default=0)} points"
