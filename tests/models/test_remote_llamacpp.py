"""Against a real llama.cpp server on the embedded model's own file: a second engine over the same weights."""

import dataclasses
import importlib.util
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from scipy.stats import binomtest

from workbench import load
from workbench.errors import ModelError
from workbench.models.files.names import resolve
from workbench.models.remote import client as server

pytestmark = pytest.mark.slow
KEY = "planted-secret"


class Llama:
    """One server process; ``url`` is its base_url."""

    def __init__(self, place, slots=2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url, self.place = f"http://127.0.0.1:{port}/v1", place
        command = [
            sys.executable,
            Path(__file__).with_name("llama_server.py"),
            resolve("smollm2").path,
            str(port),
            KEY,
            str(slots),
        ]
        with open(place / "llama.log", "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).read()
                return
            except OSError:
                assert self.process.poll() is None, (place / "llama.log").read_text()[-2000:]
                time.sleep(0.2)
        raise AssertionError("the server did not come up in two minutes")

    def end(self):
        self.process.kill()
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("the llama.cpp server (xllamacpp) is not installed here")
    running = Llama(tmp_path_factory.mktemp("llama"))
    yield running
    running.end()


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.models.remote.response_cache.cache_folder", lambda: tmp_path)
    monkeypatch.setattr(server, "FIRST_PAUSE", 0.05)
    for name in server.KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORKBENCH_API_KEY", KEY)


@pytest.fixture(scope="module")
def served(llama):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_API_KEY", KEY)
        return load("openai:smollm2", base_url=llama.url, server={"concurrency": 2})


def test_what_this_server_can_do_is_found(served):
    found = served.abilities
    assert found.completions and found.chat and found.sampling and found.logprobs and not found.echo
    assert found.n and found.group == 2, "as many as it has slots: more are refused"
    assert found.top_k == "honoured" and found.seed == "repeats" and found.answers_as == "smollm2"
    assert served.can == {"generate", "scores"} and found.forced and served.report.usage.unknown == 0


def test_given_texts_are_scored_by_forced_tokens(served, smollm2):
    """Against torch on the same file, token for token; and a text as likely as it was when the server wrote it."""
    prefix, texts = "The capital of France is", [" Paris.", " London", " a small town in the"]
    (theirs,), (ours,) = (model.logprobs([prefix], [texts]) for model in (served, smollm2))
    for one, other in zip(theirs, ours, strict=True):
        assert one.tokens == other.tokens
        assert one.logprobs == pytest.approx(other.logprobs, abs=0.4)
    (written,) = served.generate([prefix], max_new_tokens=2)[0]  # " Paris.", in the same tokens again
    ((again,),) = served.logprobs([prefix], [[written.text]])
    assert again.total == pytest.approx(written.logprob, abs=0.1)
    with pytest.raises(ModelError, match="give texts, not token ids"):
        served.logprobs([[1, 2]], [["b"]])


def test_with_more_slots_it_gives_more_samples_a_request(tmp_path):
    running = Llama(tmp_path, slots=8)
    try:
        model = load("openai:smollm2", base_url=running.url, server={"concurrency": 2})
        assert model.abilities.n and model.abilities.group == 8
        samples = model.generate(["Heads, Tails, Heads,"], max_new_tokens=2, temperature=1.0, n=20, seed=1)[0]
        assert len(samples) == 20 and len({one.text for one in samples}) > 1
    finally:
        running.end()


def test_texts_and_conversations_are_the_local_models(served, smollm2):
    """The same weights in another engine, which multiplies in 8 bits: .07 nats a token apart, where it was measured."""
    prompt = "The capital of France is"
    (theirs,), (ours,) = (model.generate([prompt], max_new_tokens=3)[0] for model in (served, smollm2))
    assert theirs.text == ours.text and theirs.prompt_tokens == ours.prompt_tokens
    assert theirs.logprob == pytest.approx(ours.logprob, abs=0.5) and theirs.finish == "length"
    chat = [{"role": "user", "content": "What is the capital of France? Answer with one word."}]
    (theirs,), (ours,) = (model.generate([chat], max_new_tokens=24)[0] for model in (served, smollm2))
    assert "Paris" in theirs.text and "Paris" in ours.text
    assert theirs.prompt_tokens == ours.prompt_tokens and theirs.finish == "eos"


def test_samples_come_from_the_whole_distribution_with_their_log_probabilities(served, smollm2):
    """llama.cpp's own cuts (top_k 40, top_p .95, min_p .05) are switched off: rare tokens come as they should."""
    prompt = "Heads, Tails, Heads, Tails, Heads,"
    samples = served.generate([prompt], max_new_tokens=1, temperature=1.0, n=60, seed=4)[0]
    exact = smollm2.next_logprobs(prompt)[-1].double()
    likely = exact.argmax()
    word = smollm2.tokenizer.decode([int(likely)])
    hits = sum(one.text == word for one in samples)
    assert binomtest(hits, 60, float(exact[likely].exp())).pvalue > 1e-4
    for one in samples[:20]:
        ids = smollm2.tokenizer(one.text, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and one.logprob > -5:
            assert one.logprob == pytest.approx(float(exact[ids[0]]), abs=0.7)
    assert all(math.isfinite(one.logprob) for one in samples)
    cut = served.generate([prompt], max_new_tokens=1, temperature=1.0, top_k=1, n=8)[0]
    assert {one.text for one in cut} == {word}


def test_a_stop_string_and_a_prompt_that_is_too_long(served):
    (one,) = served.generate(["1, 2, 3,"], max_new_tokens=12, stop=[" 5"])[0]
    assert one.finish == "stop" and one.text == " 4,"
    with pytest.raises(ModelError, match="refuses the request \\(400") as told:
        served.generate(["word " * 3000], max_new_tokens=1)
    assert "\n" not in str(told.value)


def test_its_key_is_asked_for_and_a_wrong_one_is_told(llama, monkeypatch):
    for key, said in ((None, "wants a key"), ("wrong-secret", "refuses the key")):
        monkeypatch.delenv("WORKBENCH_API_KEY")
        monkeypatch.setenv("WORKBENCH_API_KEY", key or "")
        with pytest.raises(ModelError, match=said) as told:
            load("openai:smollm2", base_url=llama.url)
        assert "wrong-secret" not in str(told.value)


def test_a_slow_server_and_one_that_is_killed_lose_nothing(tmp_path, llama):
    """Stopped as by a machine that swaps, then woken; at last killed in the middle of its answers."""
    running = Llama(tmp_path)
    try:
        model = load("openai:smollm2", base_url=running.url, server={"concurrency": 1, "retries": 1})
        line, prompts = model._server, [f"Number {i} is" for i in range(4)]
        first = model.generate(prompts[:2], max_new_tokens=2)
        patient = line.options
        line.options = dataclasses.replace(patient, timeout=0.7)
        line.client = line.client.with_options(timeout=0.7)
        os.kill(running.process.pid, signal.SIGSTOP)
        with pytest.raises(
            ModelError, match=r"did not answer within 0\.7 s.*\(asked 2 times\); 2 of 3 answers are kept"
        ):
            model.generate(prompts[:3], max_new_tokens=2)
        os.kill(running.process.pid, signal.SIGCONT)
        line.options, line.client = patient, line.client.with_options(timeout=120)
        assert model.generate(prompts[:3], max_new_tokens=2)[:2] == first
        running.end()
        with pytest.raises(
            ModelError, match=r"cannot be reached .*is the server running.*3 of 4 answers are kept"
        ) as told:
            model.generate(prompts, max_new_tokens=2)
        assert "\n" not in str(told.value)
    finally:
        running.end()
    other = Llama(tmp_path)  # at another address nothing is kept: the key of an answer holds the address
    try:
        again = load("openai:smollm2", base_url=other.url, server={"concurrency": 1})
        asked = again.report.usage.requests
        assert [[one.text for one in row] for row in again.generate(prompts[:2], max_new_tokens=2)] == [
            [one.text for one in row] for row in first
        ]
        assert again.report.usage.requests == asked + 2
        request = again.generate
        timer = time.monotonic()
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {other.process.pid}"])
        with pytest.raises(ModelError, match=r"(broke off in the middle|cannot be reached)"):
            request(["Once upon a time"], max_new_tokens=1500, temperature=1.0)
        assert killer.wait() == 0 and time.monotonic() - timer < 60
    finally:
        other.end()
