"""The contract of a paper: its rooms, its notebook, its sizes, its quotes, and its run at the smallest sizes.

One list of papers goes through all of it, and a new paper joins with its line in workbench/papers. `smoke_record` runs
each notebook once a session; what is asked of a run's record, page, figures and numbers is asked of that one run.
"""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.data import quoted
from workbench.errors import UsageError
from workbench.files import ROOT
from workbench.papers import PAPERS
from workbench.profiles import NAMES, of_paper
from workbench.runs.notebook.notebook import read

READY = [paper.name for paper in PAPERS if paper.status == "done"]
FIRST = [
    'profile: str = "quick"',
    'model: str = "smollm2"',
    "bits: int | None = None",
    "backend: str | None = None",
    "base_url: str | None = None",
    "seed: int = 0",
    "revision: str | None = None",
]
each_paper = pytest.mark.parametrize("paper", READY)
each_notebook = pytest.mark.parametrize("paper", ["start", *READY])


def cells(paper: str, kind: str = "code") -> list:
    notebook = nbformat.read(ROOT / "notebooks" / f"{paper}.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == kind]


# ---- the rooms and the notebook, as committed


def test_the_notebooks_are_those_of_the_finished_papers():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == {"start", *READY}


@each_paper
def test_a_paper_has_its_four_rooms_and_a_docs_page(paper):
    assert (ROOT / "data" / paper / "README.md").is_file() and (ROOT / "docs" / f"{paper}.md").is_file()
    assert (ROOT / "workbench" / "papers" / paper / "settings.py").is_file()
    assert list((ROOT / "tests" / "papers").glob(f"test_{paper}*.py"))
    assert f"({paper}.md)" in (ROOT / "docs" / "README.md").read_text(), "docs/README.md lists the page"


@each_notebook
def test_a_notebook_begins_with_title_and_parameters_and_ends_with_its_record(paper):
    notebook = nbformat.read(ROOT / "notebooks" / f"{paper}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    code = cells(paper)
    assert [cell for cell in code if "parameters" in cell.metadata.get("tags", [])] == code[:1]
    lines = [line.split("#")[0].strip() for line in code[0].source.splitlines()]
    assert lines[: len(FIRST)] == FIRST
    assert "wb.record(" in code[-1].source
    for cell in code:
        assert cell.outputs == [] and cell.execution_count is None, "committed with outputs"


@each_notebook
def test_a_notebook_defines_no_algorithm(paper):
    for cell in cells(paper):
        plain = "\n".join(line for line in cell.source.splitlines() if not line.startswith(("!", "%")))
        forbidden = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.While)
        assert not [node for node in ast.walk(ast.parse(plain)) if isinstance(node, forbidden)], cell.source


# ---- the sizes


@each_paper
def test_every_size_is_declared_once_and_left_open_in_the_notebook(paper):
    profiles, known = of_paper(paper), read(paper).known
    assert tuple(profiles) == NAMES == ("smoke", "quick", "standard", "paper")
    left_open = {item.name for item in known.values() if item.default is None and "None" in item.annotation}
    numbers = {name for name in left_open if any(word in known[name].annotation for word in ("int", "float"))}
    assert numbers - {"bits"} <= set(profiles.sizes), "a size that the notebook leaves open has a least value"
    assert all(known[name].default is None for name in set(profiles.sizes) & set(known)), "sizes default to None"
    for name in NAMES:
        assert profiles.fill(name) == profiles[name], "what a profile says passes its own check"


@each_paper
def test_a_given_size_wins_over_the_profile(paper):
    profiles = of_paper(paper)
    for name, size in profiles.sizes.items():
        follow = {other: one.follows[1](size.standard) for other, one in profiles.sizes.items()
                  if one.follows and one.follows[0] == name}  # fmt: skip
        given = {name: size.standard}
        if size.within:
            given[size.within] = size.standard
        assert profiles.fill("smoke", **given) == profiles["smoke"] | given | follow
        assert profiles.fill("smoke", **{name: None}) == profiles["smoke"]


@each_paper
def test_the_least_value_passes_and_less_is_refused_before_a_kernel_starts(paper):
    notebook = read(paper)
    sizes = {name: size for name, size in of_paper(paper).sizes.items() if name in notebook.known}
    assert sizes
    for name, size in sizes.items():
        if size.choices or size.pattern:
            wrong, right = ["no such word"], size.quick
        else:
            many = isinstance(size.quick, list)
            right, wrong = ([size.least], [size.least - 1]) if many else (size.least, size.least - 1)
        notebook.resolve({name: json.dumps(right)})
        with pytest.raises(UsageError) as caught:
            notebook.resolve({name: json.dumps(wrong)})
        assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
        if size.zero:
            notebook.resolve({name: "[]" if isinstance(size.quick, list) else "0"})


@pytest.mark.parametrize("paper", [paper.name for paper in PAPERS if paper.status == "done" and paper.weights])
def test_a_paper_that_needs_weights_starts_nothing_on_a_server(paper, tmp_path):
    words = ["run", paper, "--model", "openai:smollm2", "--base-url", "http://127.0.0.1:9/v1", "--out", str(tmp_path)]
    answer = CliRunner().invoke(app, words)
    assert isinstance(answer.exception, UsageError) and answer.exception.exit_code == 2
    assert "openai:smollm2" in str(answer.exception) and "choose a local model" in str(answer.exception)
    assert not list(tmp_path.iterdir())


# ---- the quotes

# A quote is read from where anybody can look: a numbered preprint, a named public repository, or an address.
PUBLIC = re.compile(r"arXiv \d{4}\.\d{4,5}|github\.com/[\w.-]+/[\w.-]+|https://\S+|doi:10\.\S+")
PRIVATE = re.compile(r"\bcard\b|shared/|\.\./|(^|\s)/|~|papers/\w+\.md")


@each_paper
def test_every_quote_has_a_value_a_source_and_a_public_place(paper):
    for quote in quoted(paper).values():
        assert quote.value not in ("", None) and quote.source
        assert PUBLIC.search(quote.read_from), f"{quote.key}: {quote.read_from!r} is no public place"
        assert not PRIVATE.search(f"{quote.source} {quote.read_from}"), quote


def test_a_private_place_would_be_refused():
    for place in ("../shared/papers/rain.md, the project's card", "papers/kbert.md, the project's card", "/home/x/y"):
        assert PRIVATE.search(place) and not PUBLIC.search(place)


# A number with a decimal point or a per cent sign in the running text is a measurement somebody quotes, unless its
# sentence names it as ours. Version and paper numbers (arXiv 2310.17639) are no such claims.
CLAIM = re.compile(r"(?<![\w.])(\d+\.\d+|\d+ ?%)")
OURS = {"95 %"}  # the level of our intervals


@each_paper
def test_the_text_quotes_only_numbers_of_paper_json(paper):
    known = json.dumps([quote.value for quote in quoted(paper).values()])
    for cell in cells(paper, "markdown"):
        text = re.sub(r"arXiv \d+\.\d+|https?://\S+|`[^`]*`|\d+ %? ?to \d+ %", "", cell.source)
        for claim in CLAIM.findall(text):
            number = claim.rstrip(" %")
            assert claim in OURS or re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", known), (
                f"{paper}: the text says {claim!r}, which is not in data/{paper}/paper.json"
            )


# ---- the run at the smallest sizes


@each_notebook
def test_the_smoke_run_ends_with_a_record_and_a_page_that_runs_nothing(paper, smoke_record):
    run = smoke_record(paper)
    assert run.record["status"] == "done" and run.record["models"] and run.metrics
    assert run.record["metrics"] == run.metrics
    assert "<script" not in run.page and "http-equiv" in run.page and "most recent call last" not in run.page
    executed = nbformat.read(run.folder / "notebook.ipynb", as_version=4)
    nbformat.validate(executed)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code" and cell.source.strip())


@each_paper
def test_every_figure_that_was_saved_is_on_the_page(paper, smoke_record):
    run = smoke_record(paper)
    saved = list((run.folder / "figures").glob("*.png"))
    executed = nbformat.read(run.folder / "notebook.ipynb", as_version=4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    shown = [output for output in outputs if "image/png" in output.get("data", {})]
    assert saved and len(shown) >= len(saved) and run.page.count("data:image/png") >= len(saved)


@each_paper
def test_metrics_come_with_intervals(paper, smoke_record):
    metrics = smoke_record(paper).metrics
    ranged = {name: entry for name, entry in metrics.items() if entry.get("low") is not None}
    assert ranged, "no metric has an interval"
    for name, entry in ranged.items():
        assert entry["low"] <= entry["value"] <= entry["high"] and entry["n"] > 0, name


GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.mark.parametrize("paper", sorted(file.stem for file in GOLDEN.glob("*.json")))
def test_the_numbers_are_those_of_the_golden_record(paper, smoke_record):
    """Names, counts and units exactly; values as far as the machine lets them (tests/golden/README.md)."""
    golden = json.loads((GOLDEN / f"{paper}.json").read_text())
    run = smoke_record(paper)
    assert list(run.metrics) == list(golden["metrics"])
    same = run.record["hardware"]["cpu"] == golden["cpu"]
    for name, wanted in golden["metrics"].items():
        found = run.metrics[name]
        assert (found["n"], found["unit"]) == (wanted["n"], wanted["unit"]), name
        if same or wanted["low"] is None:
            assert found["value"] == pytest.approx(wanted["value"], rel=golden["rel"], abs=golden["abs"]), name
        else:
            room = golden["abs"] + golden["rel"] * abs(wanted["value"])
            assert wanted["low"] - room <= found["value"] <= wanted["high"] + room, name
