"""The notebook on a user's own graph and texts (the smoke run itself is in tests/test_notebooks.py)."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from workbench.papers.kbert import PROFILES

ROOT = Path(__file__).resolve().parents[2]


def test_the_notebook_names_every_size():
    cells = nbformat.read(ROOT / "notebooks" / "kbert.ipynb", as_version=4).cells
    parameters = next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
    for name in PROFILES["quick"]:
        assert re.search(rf"^{name}: .* = None", parameters, re.M), name


@pytest.mark.slow
def test_a_users_own_graph_texts_and_encoder(run_workbench, tmp_path):
    from workbench.models.files.names import encoder_folder

    (tmp_path / "g.tsv").write_text(
        "gout\tis a\tillness\nheparin\tis a\tdrug\nlupus\tis a\tillness\nquinine\tis a\tdrug\n"
    )
    rows = [f"We spoke of {word} {i} times,{label}" for i in range(5) for word, label in
            (("gout", "bad"), ("heparin", "good"), ("lupus", "bad"), ("quinine", "good"))]  # fmt: skip
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    done = run_workbench(
        "run", "kbert", "--profile", "smoke", "-p", f"graph={tmp_path / 'g.tsv'}", "-p", f"data={tmp_path / 'd.csv'}",
        "-p", f"encoder={encoder_folder('minilm').path}", "--out", tmp_path / "runs", timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    (record,) = (tmp_path / "runs" / "kbert").glob("*/record.json")
    facts = json.loads(record.read_text())
    assert facts["metrics"]["own.k_bert"]["n"] == 6 and "typing.bert" not in facts["metrics"]
    assert facts["models"][0]["sha256"]


@pytest.mark.slow
def test_a_graph_with_a_bad_line_is_one_sentence(run_workbench, tmp_path):
    (tmp_path / "g.tsv").write_text("gout\tis a\tillness\nno tabs here\n")
    done = run_workbench(
        "run", "kbert", "--profile", "smoke", "-p", f"graph={tmp_path / 'g.tsv'}", "--out", tmp_path / "runs"
    )
    assert done.returncode == 1 and re.search(r"g\.tsv, line 2", done.stdout + done.stderr)
