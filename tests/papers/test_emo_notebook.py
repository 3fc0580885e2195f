"""The notebook for every variant by name, through the runner (the smoke run itself is in tests/test_notebooks.py)."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from workbench.papers.emo import PROFILES, VARIANTS

ROOT = Path(__file__).resolve().parents[2]
SMALLEST = {
    "seeds": 1, "pretrain_steps": 2, "steps": 2, "sentences": 20, "samples": 20, "temperatures": "[0.7]",
    "mle_temperatures": "[0.8]", "lora_steps": 1, "window": 16, "batch": 1, "held_out": 1, "generated": 2,
}  # fmt: skip


def cells():
    return nbformat.read(ROOT / "notebooks" / "emo.ipynb", as_version=4).cells


def test_the_notebook_defines_nothing_and_names_every_size():
    code = "\n".join(cell.source for cell in cells() if cell.cell_type == "code")
    assert not re.search(r"^\s*(def|class) ", code, re.M)
    parameters = next(cell.source for cell in cells() if "parameters" in cell.metadata.get("tags", []))
    for name in PROFILES["quick"]:
        assert re.search(rf"^{name}: .* = None", parameters, re.M), name
    assert all(not cell.get("outputs") for cell in cells())


def test_no_number_is_quoted_but_from_paper_json():
    """The notebook's text quotes no result number; those it shows come from paper.json in a cell."""
    text = "\n".join(cell.source for cell in cells() if cell.cell_type == "markdown")
    quoted = [str(entry["value"]) for entry in json.loads((ROOT / "data" / "emo" / "paper.json").read_text()).values()]
    assert not any(number in text for number in quoted)
    assert not re.search(r"\d+(\.\d+)? ?%|MAUVE", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_runs_by_name(name, run_workbench, tmp_path):
    options = [word for pair in SMALLEST.items() for word in ("-p", f"{pair[0]}={pair[1]}")]
    done = run_workbench("run", "emo", "--profile", "smoke", "-p", f"variant={name}", *options, "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads(next(tmp_path.rglob("metrics.json")).read_text())["metrics"]
    assert metrics[f"prose.{name}.perplexity"]["value"] > 1


@pytest.mark.slow
def test_an_unknown_variant_is_one_sentence(run_workbench, tmp_path):
    done = run_workbench("run", "emo", "--profile", "smoke", "-p", "variant=emo3_adaptive", "--out", tmp_path)
    assert done.returncode == 2, "told before a kernel starts"
    assert "variant='emo3_adaptive' is unknown" in done.stderr and "did you mean" in done.stderr


@pytest.mark.slow
def test_lora_on_a_4_bit_model_learns_in_the_notebook(run_workbench, tmp_path):
    """The notebook measures the untouched model first: after that bitsandbytes trains on wrong gradients on a CPU."""
    sizes = SMALLEST | {"lora_steps": 16, "window": 32, "batch": 2, "held_out": 6}
    options = [word for pair in sizes.items() for word in ("-p", f"{pair[0]}={pair[1]}")]
    done = run_workbench("run", "emo", "--profile", "smoke", "--bits", "4", *options, "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(next(tmp_path.rglob("metrics.json")).read_text())["metrics"]
    untouched, mle, emo = (found[f"prose.{name}.perplexity"]["value"] for name in ("untouched", "mle", "emo1_adaptive"))
    assert mle < 0.85 * untouched and emo < 0.85 * untouched, (untouched, mle, emo)
