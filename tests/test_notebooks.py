"""Every notebook: its shape, its quotes, one run at the smallest sizes; in the slow tier also nbval and quick sizes."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from workbench.data import quoted

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAPERS = [path for path in NOTEBOOKS if path.stem != "start"]
FIRST = [
    'profile: str = "quick"',
    'model: str = "smollm2"',
    "bits: int | None = None",
    "base_url: str | None = None",
    "seed: int = 0",
    "revision: str | None = None",
]
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_paper = pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_the_notebooks_are_those_of_the_finished_papers():
    from workbench.papers import PAPERS as registry

    assert {path.stem for path in PAPERS} == {paper.name for paper in registry if paper.status == "done"}


@each
def test_shape(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    cells = code_cells(path)
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == cells[:1]
    lines = [line.split("#")[0].strip() for line in cells[0].source.splitlines()]
    assert lines[: len(FIRST)] == FIRST
    assert "wb.record(" in cells[-1].source
    for cell in cells:
        assert cell.outputs == [] and cell.execution_count is None, "committed with outputs"


@each
def test_no_algorithm_is_defined_in_a_notebook(path):
    for cell in code_cells(path):
        plain = "\n".join(line for line in cell.source.splitlines() if not line.startswith(("!", "%")))
        nodes = list(ast.walk(ast.parse(plain)))
        forbidden = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.While)
        assert not [node for node in nodes if isinstance(node, forbidden)], cell.source


@each_paper
def test_a_paper_has_its_four_rooms_and_every_quote_a_source(path):
    name = path.stem
    assert (ROOT / "data" / name / "README.md").is_file() and (ROOT / "docs" / f"{name}.md").is_file()
    assert list((ROOT / "tests" / "papers").glob(f"test_{name}*.py"))
    assert all(quote.source and quote.read_from for quote in quoted(name).values())


# A number with a decimal point or a per cent sign in the running text is a measurement somebody quotes, unless its
# sentence names it as ours. Version and paper numbers (arXiv 2310.17639) are no such claims.
CLAIM = re.compile(r"(?<![\w.])(\d+\.\d+|\d+ ?%)")
OURS = {"95 %"}  # the level of our intervals


@each_paper
def test_the_text_quotes_only_numbers_of_paper_json(path):
    known = json.dumps([quote.value for quote in quoted(path.stem).values()])
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "markdown":
            continue
        text = re.sub(r"arXiv \d+\.\d+|https?://\S+|`[^`]*`|\d+ %? ?to \d+ %", "", cell.source)
        for claim in CLAIM.findall(text):
            number = claim.rstrip(" %")
            assert claim in OURS or re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", known), (
                f"{path.stem}: {claim!r} stands in the text, but not in data/{path.stem}/paper.json"
            )


@each
def test_runs_at_the_smallest_sizes(path, run_workbench, tmp_path):
    done = run_workbench("run", path.stem, "--profile", "smoke", "--out", tmp_path, timeout=400)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    (folder,) = (tmp_path / path.stem).iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "done" and record["metrics"] and record["models"]
    page = (folder / "report.html").read_text()
    assert "<script" not in page and "http-equiv" in page
    if path.stem != "start":
        saved = list((folder / "figures").glob("*.png"))
        cells = nbformat.read(folder / "notebook.ipynb", as_version=4).cells
        shown = [
            output for cell in cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
        ]
        assert saved and len(shown) >= len(saved), "a figure that was saved is not on the page"
        assert page.count("data:image/png") >= len(saved)
        assert "most recent call last" not in page


@pytest.mark.slow
@each_paper
def test_runs_at_its_default_sizes(path, run_workbench, tmp_path):
    done = run_workbench("run", path.stem, "--out", tmp_path, timeout=900)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--model", "gemma3-270m"], ["--bits", "4"]], ids=["second model", "4 bits"])
@each_paper
def test_runs_on_other_models(path, options, run_workbench, tmp_path, gemma):
    done = run_workbench("run", path.stem, "--profile", "smoke", *options, "--out", tmp_path, timeout=900)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]


@pytest.mark.slow
def test_several_models_in_one_figure(run_workbench, tmp_path, gemma):
    both = 'models=["smollm2","gemma3-270m"]'
    done = run_workbench("run", "randomness", "--profile", "smoke", "-p", both, "--out", tmp_path, timeout=900)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    (record,) = (tmp_path / "randomness").glob("*/record.json")
    metrics = json.loads(record.read_text())["metrics"]
    assert {name.split(".")[0] for name in metrics} == {"smollm2", "gemma3-270m"}


@pytest.mark.slow
def test_the_tour_passes_nbval():
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", ROOT / "notebooks" / "start.ipynb"]
    done = subprocess.run([*command, "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "passed" in done.stdout
