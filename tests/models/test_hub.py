"""Hub ids, against a small hub of our own on this machine: what is fetched, what is pinned, what is left alone."""

import json
import os
import re
import subprocess
import sys

import pytest
from tiny_hub import COMMIT, TinyHub

SCRIPT = """
import json
from workbench.models import fit, load
guess = fit("org/tiny", length=32)
model = load("org/tiny")
report = model.report
print(json.dumps([report.identity, report.source, report.parameters, guess.parameters,
                  model.logprobs(["a b"], [["c"]])[0][0].total]))
"""
LOCAL = """
import json
from workbench import load
print(json.dumps(load({folder!r}).logprobs(["a b"], [["c"]])[0][0].total))
"""


def environment(address, place, **changed):
    """Of a process that knows this hub and no other; its caches are its own."""
    home = {"HF_HOME": str(place / "hf"), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and name != "HF_TOKEN"}
    return {**kept, **home, "HF_ENDPOINT": address, "WORKBENCH_CACHE": str(place / "cache")} | changed


def run(address, place, script=SCRIPT, **changed):
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=180,
        env=environment(address, place, **changed),
    )  # fmt: skip


@pytest.fixture
def hub(tmp_path):
    with TinyHub(tmp_path / "repo") as running:
        yield running


@pytest.mark.slow
def test_a_hub_model_at_one_commit_and_then_without_network(hub, tmp_path):
    first = run(hub.url, tmp_path)
    assert first.returncode == 0, first.stderr[-3000:]
    identity, source, parameters, guessed, total = json.loads(first.stdout.splitlines()[-1])
    assert identity == f"commit:{COMMIT}" and source == "hub: org/tiny" and parameters == guessed > 0
    fetched = {path.rsplit("/", 1)[1] for path, _ in hub.asked if "/resolve/" in path}
    assert "model.safetensors" in fetched and not {"pytorch_model.bin", "modeling_own.py"} & fetched
    again = run("http://127.0.0.1:9", tmp_path)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "the hub cannot be reached" in again.stderr and "taken from this machine's copy" in again.stderr
    assert json.loads(again.stdout.splitlines()[-1])[0] == identity
    assert json.loads(again.stdout.splitlines()[-1])[4] == pytest.approx(total)
    hub.fault = ("", 429, {}, b"slow down")  # an answer is not the network, and the copy is there all the same
    busy = run(hub.url, tmp_path)
    assert busy.returncode == 0 and "refuses so many requests (429)" in busy.stderr, busy.stderr[-3000:]
    assert "cannot be reached" not in busy.stderr and "taken from this machine's copy" in busy.stderr


@pytest.mark.slow
def test_a_download_that_breaks_off_goes_on_where_it_stopped(tmp_path):
    """25 MB of weights, cut after 15: the rest is asked for by range, and the model is whole."""
    with TinyHub(tmp_path / "repo", width=256, inner=8192) as hub:
        hub.fault = ("model.safetensors", "cut", 15_000_000)
        done = run(hub.url, tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        ranges = [given for path, given in hub.asked if path.endswith("model.safetensors") and given]
        first = [int(given.removeprefix("bytes=").split("-")[0]) for given in ranges]
        assert hub.fault is None and max(first) >= 10_000_000, ranges
        whole = run("http://127.0.0.1:9", tmp_path / "other", script=LOCAL.format(folder=str(tmp_path / "repo")))
        assert json.loads(done.stdout.splitlines()[-1])[4] == json.loads(whole.stdout.splitlines()[-1])


LOGIN = b"<!doctype html><title>Hotel</title>"
ANSWERS = [
    (401, {}, b"{}", r"wants a log-in or refuses yours \(401\): `hf auth login`"),
    (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, b"{}", r"refuses yours \(401\)"),
    (401, {"X-Error-Code": "RepoNotFound"}, b"{}", r"is not on the hub \(or is private\)"),
    (401, {"X-Error-Code": "GatedRepo"}, b"{}", r"is gated: accept its terms"),
    (403, {"X-Error-Code": "GatedRepo"}, b"{}", r"is gated: accept its terms"),
    (403, {}, b"{}", r"is forbidden by the hub \(403\)"),
    (404, {"X-Error-Code": "RepoNotFound"}, b"{}", r"is not on the hub \(or is private\)"),
    (404, {}, b"{}", r"is not on the hub \(404\)"),
    (407, {}, b"", r"the proxy wants a log-in \(407\)"),
    (307, {"Location": "/again"}, b"", r"in the hub's place with a web page"),
    (418, {}, b"", r"the hub refuses the request \(418\)"),
    (429, {}, b"{}", r"refuses so many requests \(429\): wait"),
    (500, {}, b"{}", r"the hub failed \(500\): try again later"),
    (503, {"Content-Type": "text/html"}, LOGIN, r"the hub failed \(503\): try again later"),
    (511, {"Content-Type": "text/html"}, LOGIN, r"in the hub's place with a web page \(a captive portal"),
    (200, {"Content-Type": "text/html"}, LOGIN, r"in the hub's place with a web page \(a captive portal"),
]


@pytest.mark.slow
def test_each_answer_of_the_hub_has_a_sentence_of_its_own(hub, tmp_path):
    """In one process for all: the library keeps its connections and its environment."""
    script = """
import json, sys, urllib.request
from workbench import load, load_encoder
from workbench.errors import ModelError
from workbench.papers.kbert import KBert
calls = {"load": load, "encoder": load_encoder, "kbert": lambda name: KBert(name, labels=["a", "b"])}
for number in range(int(sys.stdin.readline())):
    said = {}
    for name, call in calls.items():
        sys.stdin.readline()
        try:
            call("org/tiny")
        except ModelError as error:
            said[name] = str(error)
        print(json.dumps(said.get(name)), flush=True)
"""
    asking = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env=environment(hub.url, tmp_path),
    )  # fmt: skip
    with asking:
        asking.stdin.write(f"{len(ANSWERS)}\n")
        for status, headers, body, sentence in ANSWERS:
            hub.fault = ("", status, headers, body)
            for name in ("load", "encoder", "kbert"):
                asking.stdin.write("\n")
                asking.stdin.flush()
                said = json.loads(asking.stdout.readline())
                assert said and re.search(sentence, said), (status, headers, name, said)
                assert said.startswith("org/tiny ") and "\n" not in said
                assert "network, or give" not in said, "it did answer"
        asking.stdin.close()
    assert asking.returncode == 0


@pytest.mark.slow
def test_a_web_page_in_place_of_a_file_is_named(hub, tmp_path):
    """The log-in came back between two requests: the model's card was read, and then a page comes for each file."""
    hub.fault = ("config.json", 200, {"Content-Type": "text/html"}, LOGIN)
    done = run(hub.url, tmp_path, script="from workbench import load\nload('org/tiny')")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "in the hub's place with a web page" in last, done.stderr[-2000:]
