"""Every fault of a server is one clear sentence; what passes is tried again; what was answered is never lost."""

import dataclasses
import json
import math
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from tiny_server import TinyServer

from workbench import load
from workbench.errors import ModelError
from workbench.models.remote import client as server

# name -> (what every request meets, the sentence, whether it is worth another try)
FAULTS = {
    "slow": (("slow", 1.5), "did not answer within 0.3 s: raise server=.*'timeout'", True),
    "dripping": (("drip", 0.05), "did not answer within 0.3 s", True),
    "cut mid-stream": (("cut",), "broke off in the middle of an answer", True),
    "cut without length": (("cut without length",), "malformed JSON", False),
    "hung up": (("hang up",), "(broke off in the middle|cannot be reached)", True),
    "429 storm": (("status", 429), r"refuses so many requests \(429: no\).*'concurrency'", True),
    "long pause": (("status", 429, [("Retry-After", "3600")], {}), "asks to wait 3600 s", False),
    "no quota": (("status", 429, (), {"error": {"code": "insufficient_quota"}}), "quota is used up", False),
    "500": (("status", 500), r"failed \(500: no\): see the server's log", True),
    "503 with a page": (("status", 503, (), b"<html>busy</html>"), r"failed \(503: .*busy", True),
    "malformed JSON": (("raw", b'{"choices": [{'), "malformed JSON .*14 characters", False),
    "a list": (("raw", b"[1]"), "answers with list where an object was due", False),
    "a web page": (("raw", b"<!doctype html><p>hello", "text/html"), "a web page, not JSON: .* ends in /v1", False),
    "not text": (("raw", b"\xff\xfe\x00"), "malformed JSON", False),
    "empty choices": (("no choices",), "answers without any choice", False),
    "an error as answer": (("raw", b'{"error": {"message": "boom"}}'), r"without any choice \(boom\)", False),
    "choices of a wrong kind": (("raw", b'{"choices": [7]}'), "holds no text", False),
    "wrong model": (("as", "another"), "the server answered as another, and as tiny before", False),
    "refused": (("status", 400, (), {"detail": "bad top_p"}), r"refuses the request \(400: bad top_p\)", False),
    "gone": (("status", 404, (), {"detail": "none"}), r"does not know the model .*404: none", False),
    "too late": (("status", 408), r"refuses the request \(408: no\)", True),
    "too large": (("status", 413), r"finds the request too large \(413: no\): give shorter prompts", False),
    "an error without end": (("error without end", 500, 0), r"failed \(500: .*\): see the server's log", True),
    "a redirect without end": (("error without end", 307, 0), r"refuses the request \(307: .*\)", False),
    "an error that drips": (("error without end", 503, 0.1), r"failed \(503: .*\)|did not answer within", True),
    "packed wrongly": (("packed", 200), "gave an answer that cannot be unpacked", False),
    "brackets without end": (("raw", b"[" * 200_000), "malformed JSON .*200000 characters", False),
    "a page behind a mark": (("raw", b"\xef\xbb\xbf\n<HTML><p>hello"), "a web page, not JSON", False),
    "control characters": (("raw", b'{"error": "a\\u001b[31m\\nb"}'), "without any choice \\(a\ufffd.31m b\\)", False),
    "parts of no known kind": (
        ("raw", b'{"model": "tiny", "choices": [{"text": [{"type": ["text"]}]}]}'), "holds a part of type", False
    ),
    "no key": (("status", 401), r"wants a key \(401: no\): set OPENAI_API_KEY", False),
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(scope="module")
def running():
    with TinyServer(n=False) as tiny:
        yield tiny


@pytest.fixture
def model(running):
    running.faults, running.always = [], None
    handle = load("openai:tiny", base_url=running.url, server={"timeout": 60, "retries": 2, "concurrency": 2})
    running.asked.clear()
    yield handle
    running.faults, running.always = [], None


def hurry(model, seconds=0.3):
    """The same handle with another time limit: a loaded machine may take longer than this for the calls before."""
    line = model._server
    line.options = dataclasses.replace(line.options, timeout=seconds)
    line.client = line.client.with_options(timeout=seconds)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_sentence_and_loses_nothing(name, model, running):
    fault, sentence, passing = FAULTS[name]
    options = {"max_new_tokens": 2, "temperature": 1.0}
    first = model.generate(["a"], n=3, **options)[0]
    asked = len(running.asked)
    running.always = fault
    if fault[0] in ("slow", "drip") or fault == ("error without end", 503, 0.1):
        hurry(model)
    with pytest.raises(ModelError, match=sentence) as told:
        model.generate(["a"], n=4, **options)
    hurry(model, 60)
    assert "\n" not in str(told.value) and str(told.value).startswith("openai:tiny: ")
    assert "3 of 4 answers are kept" in str(told.value)
    assert len(running.asked) - asked == (3 if passing else 1), "retried exactly where that helps"
    running.always = None
    again = model.generate(["a"], n=4, **options)[0]
    assert again[:3] == first and len(running.asked) - asked == (3 if passing else 1) + 1, "only the missing one"


def test_half_a_character_is_refused_where_we_send_it_and_replaced_where_they_do(model, running):
    with pytest.raises(ModelError, match=r"cannot read ….*a\\ud800.*…: U\+D800 is half a character; mend the text"):
        model.generate(["fine", "a\ud800"], max_new_tokens=1)
    assert not running.asked
    body = json.dumps({"model": "tiny", "choices": [{"text": "a\ud83d", "finish_reason": "length", "index": 0}]})
    running.faults = [("raw", body.encode())]
    (sample,) = model.generate(["b"], max_new_tokens=1)[0]
    assert sample.text == "a\N{REPLACEMENT CHARACTER}"
    assert model.generate(["b"], max_new_tokens=1)[0][0] == sample and len(running.asked) == 1, "and it was kept"


ODD = {
    "a mark before it": (b"\xef\xbb\xbf", {}, ("eos", -0.5, 3)),
    "reasons that are none": (b"", {"finish_reason": ["stop"]}, ("eos", -0.5, 3)),
    "given up": (b"", {"finish_reason": "abort"}, ("broken off", -0.5, 3)),
    "usage that is none": (b"", {"usage": [1]}, ("eos", -0.5, 0)),
    "usage as texts": (b"", {"usage": {"prompt_tokens": "7", "completion_tokens": True}}, ("eos", -0.5, 0)),
    "a probability above one": (b"", {"logprobs": {"token_logprobs": [3.0]}}, ("eos", None, 3)),
    "true for a number": (b"", {"logprobs": {"token_logprobs": [True]}}, ("eos", None, 3)),
    "no number": (b"", {"logprobs": {"token_logprobs": [float("nan")]}}, ("eos", None, 3)),
    "beyond all numbers": (b"", {"logprobs": {"token_logprobs": [-(10**400)]}}, ("eos", None, 3)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_fields_are_read_for_what_they_are_or_left_alone(name, model, running):
    before, put, (finish, logprob, tokens) = ODD[name]
    choice = {"text": "x", "index": 0, "finish_reason": "stop", "logprobs": {"token_logprobs": [-0.5]}}
    answer = {"model": "tiny", "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    answer |= {key: value for key, value in put.items() if key == "usage"}
    answer["choices"] = [choice | {key: value for key, value in put.items() if key != "usage"}]
    running.faults = [("raw", before + json.dumps(answer).encode())]
    (sample,) = model.generate([name], max_new_tokens=1)[0]
    assert (sample.text, sample.finish, sample.prompt_tokens) == ("x", finish, tokens)
    assert math.isnan(sample.logprob) if logprob is None else sample.logprob == logprob


@pytest.mark.parametrize("name", [name for name, (*_, passing) in FAULTS.items() if passing])
def test_what_passes_is_tried_again(name, model, running):
    running.faults = [FAULTS[name][0]] * 2
    if name in ("slow", "dripping"):
        hurry(model, 0.5)
    (sample,) = model.generate(["a"], max_new_tokens=1)[0]
    assert sample.text == "Heads," and model.report.usage.retries == 2


def test_retry_after_holds_back_everybody(model, running):
    running.faults = [("status", 429, [("Retry-After", "0.3")], {})]
    began = time.monotonic()
    samples = model.generate(["a"], max_new_tokens=1, temperature=1.0, n=6)[0]
    assert time.monotonic() - began >= 0.3 and len(samples) == 6


def test_the_first_fault_is_told_and_the_finished_answers_are_kept(model, running):
    running.faults = [None] * 5 + [("status", 400, (), {"detail": "enough"})] * 20
    with pytest.raises(ModelError, match=r"enough\); \d+ of 20 answers are kept") as told:
        model.generate(["a"], max_new_tokens=1, temperature=1.0, n=20)
    kept = int(str(told.value).split("; ")[1].split(" of")[0])
    assert 4 <= kept <= 6
    running.faults.clear()
    running.asked.clear()
    model.generate(["a"], max_new_tokens=1, temperature=1.0, n=20)
    assert len(running.asked) == 20 - kept


def test_nobody_at_the_address_is_told_soon():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"cannot be reached .*: is the server running, and is base_url right"):
        load("openai:tiny", base_url=f"http://127.0.0.1:{port}/v1")
    assert time.monotonic() - began < 5


def test_an_answer_without_end_is_stopped(model, running, monkeypatch):
    monkeypatch.setattr(server, "LARGEST_ANSWER", 1000)
    running.always = ("raw", b" " * 5000)
    with pytest.raises(ModelError, match="sends more than 1000 bytes"):
        model.generate(["a"], max_new_tokens=1)


def test_ctrl_c_ends_at_once_and_keeps_what_came(tmp_path):
    """In a process of its own, which interrupts itself when five of 200 slow answers lie in the cache."""
    answers = tmp_path / "cache" / "answers"
    code = textwrap.dedent("""
        import pathlib, signal, sys, threading, time
        from workbench import load

        def interrupt():
            while len(list(pathlib.Path(sys.argv[2]).glob("*/*.json"))) < 5:
                time.sleep(0.02)
            began.append(time.monotonic())
            signal.raise_signal(signal.SIGINT)

        began = []
        model = load("openai:tiny", base_url=sys.argv[1], server={"concurrency": 2})
        threading.Thread(target=interrupt, daemon=True).start()
        try:
            model.generate(["a"], max_new_tokens=1, temperature=1.0, n=200)
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - began[0] < 2.5)
    """)
    with TinyServer(n=False, pause=0.05) as running:
        command = [sys.executable, "-c", code, running.url, str(answers)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.stdout.split() == ["interrupted", "True"], done.stderr
        posted = len(running.asked)
    assert posted < 100
    assert len(list(answers.glob("*/*.json"))) >= 5
