"""`workbench new`: what it writes passes the contract and runs; what it refuses is one sentence and leaves nothing."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from workbench.errors import UsageError, WorkbenchError
from workbench.files import ROOT
from workbench.new import FILES, new_paper

KEPT = shutil.ignore_patterns("__pycache__", "images", "checkpoints")


@pytest.fixture
def checkout(tmp_path):
    """A copy of what `new` reads and a paper needs; the package in it is imported by child processes only."""
    for room in ("workbench", "notebooks", "docs", "tests"):
        shutil.copytree(ROOT / room, tmp_path / "checkout" / room, ignore=KEPT)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, tmp_path / "checkout" / file)
    shutil.copytree(ROOT / "data" / "randomness", tmp_path / "checkout" / "data" / "randomness")
    return tmp_path / "checkout"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def child(checkout, *words, timeout=900):
    # without what xdist tells its workers: the child's own pytest is no worker
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    surroundings = ours | {"PYTHONPATH": str(checkout), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=checkout, env=surroundings, timeout=timeout, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.notebook_run("new")
def test_a_new_paper_runs_and_passes_its_tests_and_the_contract(checkout, tmp_path):
    """As a new user: one command, a first figure, the tests."""
    words = ["--title", "What models know", "--reference", "Nobody, 2026", "--claim", "They know capitals."]
    made = child(checkout, "-m", "workbench", "new", "mine", *words)
    assert made.returncode == 0, made.stderr
    listed = {line for line in made.stdout.splitlines() if (checkout / line).is_file()}
    assert {place.format(name="mine") for place in FILES.values()} < listed
    assert re.search("mine +ready +What models know", child(checkout, "-m", "workbench", "list").stdout)
    tests = child(
        checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", "tests/papers/test_mine.py",
        "tests/papers/test_papers.py", "tests/papers/test_teaching.py", "-k", "mine", "--basetemp", tmp_path / "inner",
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout[-3000:]
    (record,) = (tmp_path / "inner" / "shared" / "smoke" / "mine").glob("*/record.json")
    found = json.loads(record.read_text())["metrics"]
    assert found["right.question"]["low"] > found["right.control"]["value"] - 0.5
    assert (record.parent / "figures" / "share.png").stat().st_size > 5_000
    lint = child(
        checkout, "-m", "ruff", "check", "workbench/papers", "workbench/papers/mine", "tests/papers/test_mine.py"
    )
    assert lint.returncode == 0, lint.stdout


def test_a_paper_that_is_coming_takes_its_words_from_the_list(checkout):
    new_paper("tips", root=checkout)
    notebook = nbformat.read(checkout / "notebooks" / "tips.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert (
        notebook.cells[0].source.startswith("# Introspective Tips") and "arXiv 2305.11598" in notebook.cells[0].source
    )
    text = (checkout / "workbench" / "papers" / "__init__.py").read_text()
    assert re.search(r'"tips",\n(        .*\n){3}        status="done",\n    \),', text)
    assert "[tips](tips.md)" in (checkout / "docs" / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "words", "says"),
    [
        ("Mine", {}, "cannot be a paper's name"), ("a", {}, "cannot be"), ("../x", {}, "cannot be"),
        ("class", {}, "cannot be"), ("start", {}, "cannot be"), ("1st", {}, "cannot be"), ("a" * 40, {}, "cannot be"),
        ("rain", {}, "the paper rain is there already"),
        ("mine", {"title": "two\nlines"}, "--title 'two"), ("mine", {"claim": 'a "quote"'}, "--claim"),
    ],
)  # fmt: skip
def test_a_name_or_a_text_that_cannot_be_used_is_one_sentence(checkout, name, words, says):
    before = contents(checkout)
    with pytest.raises(UsageError) as caught:
        new_paper(name, root=checkout, **words)
    assert says in str(caught.value) and "\n" not in str(caught.value) and caught.value.exit_code == 2
    assert contents(checkout) == before


def test_a_file_in_the_way_is_named_and_nothing_is_written(checkout, tmp_path):
    (checkout / "docs" / "mine.md").write_text("mine")
    before = contents(checkout)
    with pytest.raises(UsageError, match=r"docs/mine\.md is there already"):
        new_paper("mine", root=checkout)
    assert contents(checkout) == before
    with pytest.raises(UsageError, match="is no checkout of the workbench"):
        new_paper("mine", root=tmp_path)


def test_a_write_that_fails_leaves_nothing_behind(checkout):
    shutil.rmtree(checkout / "tests" / "papers")
    (checkout / "tests" / "papers").write_text("a file where a folder is needed")
    before = contents(checkout)
    with pytest.raises(WorkbenchError, match=r"cannot write .*test_mine\.py"):
        new_paper("mine", root=checkout)
    assert contents(checkout) == before and not (checkout / "data" / "mine").exists()


def test_the_help_teaches(run_workbench):
    said = run_workbench("new", "--help").stdout
    for word in ("workbench new tips", "--title", "--profile smoke", "docs/design.md", "study.py"):
        assert word in said
