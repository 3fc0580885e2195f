"""What stands in an answer in place of a text: named, counted, and never an empty text that ended."""

import json
import math

import pytest
from tiny_server import TinyServer

from workbench import load
from workbench.errors import ModelError
from workbench.models.remote import client as server

TOOLS = [{"id": "1", "type": "function", "function": {"name": "search", "arguments": "{}"}}]

# name -> (the message, the finish reason, what `finish` says)
MISSING = {
    "reasoning, vLLM": ({"content": None, "reasoning_content": "Hm, the user"}, "length", "reasoning"),
    "reasoning, another name": ({"content": None, "reasoning": "Hm"}, "stop", "reasoning"),
    "reasoning, llama.cpp": ({"content": "", "reasoning_content": "Hm"}, "length", "reasoning"),
    "reasoning, a part": ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}, "length",
                          "reasoning"),
    "tool calls": ({"content": None, "tool_calls": TOOLS}, "tool_calls", "tool calls"),
    "a function call": ({"content": None, "function_call": {"name": "f", "arguments": ""}}, "function_call",
                        "tool calls"),
    "a refusal": ({"content": None, "refusal": "I cannot help"}, "stop", "refusal"),
    "a refusal, a part": ({"content": [{"type": "refusal", "refusal": "No"}]}, "stop", "refusal"),
    "the filter": ({"content": None}, "content_filter", "filtered"),
    "an error": ({"content": ""}, "error", "broken off"),
    "nothing": ({"content": None}, "stop", "no content"),
    "no field": ({}, "stop", "no content"),
    "an empty list": ({"content": [], "tool_calls": TOOLS}, "stop", "tool calls"),
    "reasoning before a tool": ({"content": None, "reasoning": "Hm", "tool_calls": TOOLS}, "tool_calls", "tool calls"),
}  # fmt: skip
TEXTS = {
    "parts": ([{"type": "text", "text": "He"}, {"type": "text", "text": "ads"}], "Heads"),
    "parts with their thinking": ([{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Heads"}], "Heads"),
    "output_text": ([{"type": "output_text", "text": "Heads", "annotations": []}], "Heads"),
    "a value inside": ([{"type": "text", "text": {"value": "Heads", "annotations": []}}], "Heads"),
    "strings": (["He", "ads"], "Heads"),
    "empty": ("", ""),
    "an empty part": ([{"type": "text", "text": ""}], ""),
}


@pytest.fixture(autouse=True, scope="module")
def alone(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(server, "FIRST_PAUSE", 0.01)
        for name in server.KEYS:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def running():
    with TinyServer(n=False, completions=False, echo=False) as tiny:
        yield tiny


@pytest.fixture(scope="module")
def handle(alone, running):
    return load("openai:tiny", base_url=running.url)


@pytest.fixture
def model(handle, running):
    running.faults = []
    handle._without_text.clear()
    return handle


def answer(message, reason="stop"):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return "raw", json.dumps({"model": "tiny", "choices": [choice]}).encode()


def ask(model, text, n=1, **options):
    """Each test asks something of its own, for answers are kept."""
    return model.generate([[{"role": "user", "content": text}]], max_new_tokens=2, n=n, **options)[0]


@pytest.mark.parametrize("name", MISSING)
def test_an_answer_without_a_text_is_named_and_counted(name, model, running, capfd):
    message, reason, kind = MISSING[name]
    running.faults = [None, answer(message, reason), None]
    samples = ask(model, name, n=3, temperature=1.0, seed=1)
    said = capfd.readouterr().err
    finishes = sorted(sample.finish for sample in samples)
    assert finishes == sorted(["length", "length", kind])
    (one,) = [sample for sample in samples if sample.finish == kind]
    assert one.text == "" and math.isnan(one.logprob)
    assert "openai:tiny: 1 of 3 answers have no text: 1 are " in said
    assert dict(model.report.without_text) == {kind: 1} == model.report.as_dict()["without_text"]
    assert "answers without a text" in str(model.report) and model.costs()["server_answers_without_text"] == 1
    again = ask(model, name, n=3, temperature=1.0, seed=1)  # kept answers say the same, and count again
    assert [sample.finish for sample in again] == [sample.finish for sample in samples]
    assert model.costs()["server_answers_without_text"] == 2


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_in_parts_is_read(name, model, running, capfd):
    content, text = TEXTS[name]
    running.faults = [answer({"content": content})]
    (sample,) = ask(model, name)
    assert sample.text == text and sample.finish == "eos" and not model.report.without_text
    assert "no text" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [([{"type": "image_url", "image_url": {}}], "a part of type 'image_url', which is no text"),
     ([{"type": "text", "text": "a"}, {"type": "audio"}], "a part of type 'audio'"),
     ([{}], "a part of type 'None'"), (7, "holds no text"), ([7], "holds no text"),
     ([{"type": "text"}], "holds no text"), ({"type": "video"}, "a part of type 'video'")],
)  # fmt: skip
def test_a_part_that_is_no_text_is_one_sentence(content, said, model, running):
    running.faults = [answer({"content": content})]
    with pytest.raises(ModelError, match=said):
        ask(model, f"a part {content}")


def test_a_text_beside_its_reasoning_is_the_text(model, running):
    running.faults = [answer({"content": "Heads", "reasoning_content": "Hm", "refusal": None, "tool_calls": []})]
    (sample,) = ask(model, "both")
    assert sample.text == "Heads" and sample.finish == "eos" and not model.report.without_text


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("content_filter", "filtered"), ("tool_calls", "tool calls"), ("function_call", "tool calls"), ("stop", "eos")],
)
def test_a_text_that_was_cut_short_did_not_end(reason, finish, model, running):
    running.faults = [answer({"content": "Heads", "tool_calls": TOOLS if "calls" in reason else None}, reason)]
    (sample,) = ask(model, reason)
    assert sample.text == "Heads" and sample.finish == finish and not model.report.without_text


def test_a_model_that_only_thinks_in_eight_tokens_still_samples(running):
    """The probes compare what was thought, where there was no room for more: it is no model without a temperature."""
    words = [f"Hm {i}" for i in range(40)]
    running.faults = [None] + [answer({"content": None, "reasoning": word}, "length") for word in words]
    running.faults[0] = ("status", 404)  # completions
    model = load("openai:tiny", base_url=running.url)
    running.faults = []
    assert model.abilities.sampling and any("thinks before it answers" in note for note in model.abilities.notes)
