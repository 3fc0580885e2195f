"""Against a real server: `transformers serve` on the embedded model's own files, so every answer can be checked."""

import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from scipy.stats import binomtest
from tiny_server import TinyServer

from workbench import load
from workbench.models.files import cache
from workbench.models.remote import client as server
from workbench.papers import explainability, randomness
from workbench.papers.randomness import study

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def real(smollm2, tmp_path_factory):
    """The base_url of `transformers serve smollm2`."""
    place = tmp_path_factory.mktemp("serve")
    (entry,) = [e for e in cache.entries() if e.settings.get("form") == "float32"
                and e.settings["content"] == smollm2.report.sha256][:1]  # fmt: skip
    (place / "smollm2").symlink_to(entry.path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", "smollm2", "--host", "127.0.0.1",
               "--port", str(port)]  # fmt: skip
    with open(place / "log", "w") as log:
        process = subprocess.Popen(
            command, cwd=place, stdout=log, stderr=log, env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).read()
                break
            except OSError:
                assert process.poll() is None, (place / "log").read_text()[-2000:]
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A cache of answers of its own; the converted models stay where they are."""
    return tmp_path_factory.mktemp("answers")


@pytest.fixture(autouse=True)
def alone(kept, monkeypatch):
    monkeypatch.setattr("workbench.models.remote.response_cache.cache_folder", lambda: kept)
    monkeypatch.setattr(server, "FIRST_PAUSE", 0.05)
    for name in server.KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def proxy(real):
    with TinyServer(model="smollm2", upstream=real) as running:
        yield running


@pytest.fixture(scope="module")
def served(proxy):
    return load("openai:smollm2", base_url=proxy.url, server={"concurrency": 2})


def test_what_this_server_can_do_is_found(served):
    found = served.abilities
    assert found.completions and found.chat and found.sampling and found.transformers
    assert not (found.n or found.logprobs or found.echo) and found.top_k == "honoured"
    assert served.can == {"generate"} and served.report.usage.prompt_tokens > 0


def test_greedy_answers_are_the_local_models(served, smollm2):
    prompts = ["The capital of France is", "A: [Heads, Tails, Heads,"]
    asked = {"max_new_tokens": 8}
    for ours, theirs in zip(served.generate(prompts, **asked), smollm2.generate(prompts, **asked), strict=True):
        assert ours[0].text == theirs[0].text and ours[0].prompt_tokens == theirs[0].prompt_tokens


def test_counted_flips_agree_with_exact_ones_through_a_faulty_proxy(served, smollm2, proxy):
    flips = randomness.repeat_concept("01", 24)
    exact = study.flip_curve(smollm2, flips)
    faults = [("status", 429, [("Retry-After", "0.1")], {}), ("cut",), ("status", 500), ("hang up",)]
    proxy.faults = [fault for fault in faults for fault in (None, None, fault)]
    before = served.report.usage.retries
    curve = study.flip_curve(served, flips, n_points=2)
    assert served.report.usage.retries - before == len(faults) and not proxy.faults
    counted, (p, mass) = randomness.counted(curve), (exact.values(measure) for measure in ("p_tails", "mass"))
    assert list(counted) == [0, 24]
    for n, share in zip(counted, curve.values("mass")):
        assert binomtest(round(share * 30), 30, mass[n]).pvalue > 1e-4
    last = counted[24]
    assert binomtest(round(last.value * last.n), last.n, p[24]).pvalue > 1e-4
    asked = len(proxy.asked)
    again = study.flip_curve(served, flips, n_points=2)
    assert again.values("mass") == curve.values("mass")
    assert len(proxy.asked) == asked, "kept answers are not asked again"


def test_words_are_explained_by_counting(served, smollm2):
    prompt, target = "The capital of France is", " Paris"
    found = explainability.attribute_served(served, prompt, target, samples=8)
    whole = smollm2.logprobs([prompt], [[target]])[0][0].total
    assert binomtest(round(found.value.value * 8), 8, math.exp(whole)).pvalue > 1e-4
    assert found.words[int(found.scores.argmax())] in (" France", " capital"), found.to_frame()


def test_the_command_of_the_documentation(real, tmp_path, run_workbench):
    options = ["--model", "openai:smollm2", "--base-url", real, "--out", tmp_path, "--profile", "smoke"]
    done = run_workbench("run", "randomness", *options, "-p", "server={\"price_in\": 1, \"price_out\": 2}", timeout=900,
                         env={"OPENAI_API_KEY": "planted-secret"})  # fmt: skip
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    (path,) = (tmp_path / "randomness").glob("*/record.json")
    record = json.loads(path.read_text())
    metrics = record["metrics"]
    assert metrics["counted_p_tails_after_24"]["n"] <= 30 and metrics["counted_p_tails_after_24"]["high"] < 1
    assert metrics["server_cost"]["value"] == pytest.approx(
        (metrics["server_tokens_in"]["value"] + 2 * metrics["server_tokens_out"]["value"]) / 1e6
    )
    (model,) = record["models"]
    assert model["name"] == "openai:smollm2" and model["source"] == real
    assert not [p for p in path.parent.rglob("*") if p.is_file() and b"planted-secret" in p.read_bytes()]
    page = (path.parent / "report.html").read_text()
    assert "samples for" in page and "no server gives it" in page
