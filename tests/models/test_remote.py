"""Models on a server, against a real HTTP server of our own over a language whose every probability is known."""

import json
import math
import os
import stat
import sys
import time

import pytest
from tiny_server import START_LOGPROB, TOKENS, TinyServer

from workbench import load
from workbench.errors import ModelError
from workbench.models import base
from workbench.models.remote import client as server
from workbench.models.remote.client import ServerOptions, check_url, retry_after
from workbench.models.remote.response_cache import Answers, key_of

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def tiny():
    with TinyServer() as running:
        yield running


def opened(running, **options):
    model = load(f"openai:{running.model}", base_url=running.url, server=options or None)
    running.asked.clear()
    return model


# ---- what a server can do


@pytest.mark.parametrize(
    "able",
    [
        {},
        {"echo": False, "logprobs": False, "n": False},
        {"seed": "ignored", "top_k": "ignored"},
        {"seed": "refused", "top_k": "refused", "models": False},
        {"completions": False, "echo": False, "limit": "max_completion_tokens"},
        {"chat": False},
    ],
    ids=["everything", "text only", "ignores options", "refuses options", "chat only", "completions only"],
)
def test_abilities_are_found_by_their_effect(able):
    with TinyServer(**able) as running:
        model = load("openai:tiny", base_url=running.url)
    expected = {"completions": True, "chat": True, "sampling": True, "seed": "repeats", "top_k": "honoured", "n": True,
                "logprobs": True, "echo": True, "limit": "max_tokens"} | able  # fmt: skip
    for name in expected.keys() - {"models"}:
        assert getattr(model.abilities, name) == expected[name], name
    assert model.can == ({"generate", "scores"} if expected["echo"] else {"generate"})
    assert ("does not list its models" in str(model.report)) == (able.get("models") is False)


def test_a_server_that_ignores_temperature_is_found_out():
    with TinyServer(sampling=False) as running:
        model = load("openai:tiny", base_url=running.url)
        assert not model.abilities.sampling and "temperature has no effect" in str(model.report)
        with pytest.raises(ModelError, match="30 samples would be one"):
            model.generate(["a"], max_new_tokens=1, temperature=1.0, n=30)
        with pytest.raises(ModelError, match="strict=True forbids"):
            load("openai:tiny", base_url=running.url, strict=True)


def test_the_field_of_transformers_serve_switches_sampling_on():
    with TinyServer(sampling=False, generation_config=True, revision="@main", n=False) as running:
        model = load("openai:tiny", base_url=running.url)
        assert model.abilities.transformers and model.abilities.sampling and model.abilities.top_k == "honoured"
        samples = model.generate(["a"], max_new_tokens=1, temperature=1.0, n=60)[0]
        assert len({one.text for one in samples}) == 3


def test_a_wrong_model_is_told_with_those_there_are(tiny):
    with pytest.raises(ModelError, match=r"openai:other: .*`other` does not exist.*it lists tiny"):
        load("openai:other", base_url=tiny.url)


def test_another_name_in_the_answers_is_noted(tiny):
    tiny.always = ("as", "quite-another")
    model = load("openai:tiny", base_url=tiny.url)
    assert "the server answers as quite-another, not as tiny" in str(model.report)


# ---- generation


@pytest.mark.parametrize(("most", "sizes"), [(True, [10]), (8, [2, 8]), (7, [4, 6]), (3, [1, 3, 3, 3]), (1, [1] * 10)])
def test_as_many_samples_a_request_as_the_server_gives(most, sizes):
    """llama.cpp refuses more than it has slots."""
    with TinyServer(n=most) as running:
        model = load("openai:tiny", base_url=running.url, server={"cache": False})
        running.asked.clear()
        samples = model.generate(["a"], max_new_tokens=1, temperature=1.0, n=10)[0]
        assert len(samples) == 10 and sorted(body.get("n", 1) for _, body, _ in running.asked) == sizes


def test_samples_have_the_servers_distribution(tiny):
    model = opened(tiny)
    some = model.generate(["a", "b"], max_new_tokens=1, temperature=1.0, n=200)
    for samples in some:
        for token, p in TOKENS.items():
            count = sum(one.text == token for one in samples)
            assert abs(count - 200 * p) < 4 * math.sqrt(200 * p * (1 - p)), (token, count)
    assert some[0] != some[1]
    first = some[0][0]
    assert first.tokens == [] and first.prompt_tokens == 7 and first.finish == "length"
    assert first.logprob == pytest.approx(math.log(TOKENS[first.text]))
    assert len(tiny.asked) == 2 * 20, "ten samples a request where the server gives several"
    assert all(body["top_k"] == -1 and body["min_p"] == 0 and body["top_p"] == 1 for _, body, _ in tiny.asked)


def test_a_sample_depends_on_seed_prompt_and_number_alone():
    with TinyServer(n=False) as running:
        model = opened(running, cache=False)
        options = {"max_new_tokens": 6, "temperature": 1.0}
        few = model.generate(["a"], n=2, seed=5, **options)[0]
        many = model.generate(["a", "b"], n=4, seed=5, **options)
        assert [one.text for one in many[0][:2]] == [one.text for one in few]
        assert len({body["seed"] for _, body, _ in running.asked[2:]}) == 8
        assert [one.text for one in model.generate(["a"], n=2, seed=6, **options)[0]] != [one.text for one in few]


def test_chat_stop_and_greedy(tiny):
    model = opened(tiny)
    (one, two) = model.generate([[{"role": "user", "content": "hi"}]], max_new_tokens=2, n=2)[0]
    assert one == two and one.text == "Heads,Heads," and len(tiny.asked) == 1
    assert tiny.asked[0][0] == "/v1/chat/completions" and tiny.asked[0][1]["temperature"] == 0
    (cut,) = model.generate(["a"], max_new_tokens=2, stop=["ds,"])[0]
    assert (cut.text, cut.finish) == ("Hea", "stop")
    (asked,) = model.generate(["say"], max_new_tokens=1, chat=True)[0]
    assert asked.text == "Heads," and tiny.asked[-1][1]["messages"] == [{"role": "user", "content": "say"}]


def test_options_out_of_range_are_refused(tiny):
    model = opened(tiny)
    for options, sentence in (
        ({"n": 0}, "n is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"chat": False, "prompts": [[{"role": "user", "content": "x"}]]}, "chat=False takes plain texts"),
        ({"prompts": [""]}, "prompt 0 is empty"),
        ({"prompts": [[{"content": "x"}]]}, "a message is"),
        ({"prompts": ["a", [5, 6]]}, r"prompt 1 is neither a text nor .* \(\[5, 6\]\): .* no token ids"),
        ({"prompts": [[5, 6]], "chat": True}, "give the text and no token ids"),
        ({"prompts": [None]}, "prompt 0 is neither a text nor a list of messages"),
    ):
        prompts = options.pop("prompts", ["a"])
        with pytest.raises(ModelError, match=sentence):
            model.generate(prompts, max_new_tokens=1, **options)
    assert tiny.asked == []


def test_a_chat_server_takes_no_raw_text():
    with TinyServer(completions=False, top_k="ignored") as running:
        model = opened(running)
        assert not model.raw_text
        with pytest.raises(ModelError, match=r"takes conversations only .* pass chat=True"):
            model.generate(["a"], max_new_tokens=1)
        with pytest.raises(ModelError, match="top_k is ignored, so top_k=5 cannot be had"):
            model.generate(["a"], max_new_tokens=1, temperature=1.0, top_k=5, chat=True)
        assert "cut distribution" in str(model.report)


def test_no_more_requests_at_once_than_allowed():
    with TinyServer(n=False, pause=0.02) as running:
        model = opened(running, concurrency=3)
        running.busiest = 0
        model.generate(["a"], max_new_tokens=1, temperature=1.0, n=20)
        assert 2 <= running.busiest <= 3


# ---- log-probabilities of given texts


def test_scores_are_those_written_down_by_hand(tiny):
    model = opened(tiny)
    ((heads, both), (tails,)) = model.logprobs(["a b", "c"], [[" Heads,", " Tails, Heads, y"], [" Tails,"]])
    assert heads.total == pytest.approx(math.log(0.5)) and tails.total == pytest.approx(math.log(0.3))
    assert both.logprobs == pytest.approx([math.log(0.3), math.log(0.5), START_LOGPROB])
    assert both.total == pytest.approx(sum(both.logprobs)) and both.tokens == []
    base.require(model, "scores", for_="a test")


def test_what_cannot_be_scored_is_refused(tiny):
    model = opened(tiny)
    with pytest.raises(ModelError, match="lies across the end of the prefix 'a H'"):
        model.logprobs(["a H"], [["eads,"]])
    with pytest.raises(ModelError, match="give texts, not token ids"):
        model.logprobs([[1, 2]], [[" x"]])
    with pytest.raises(ModelError, match="1 prefixes and 2 lists"):
        model.logprobs(["a"], [["b"], ["c"]])
    with TinyServer(echo=False) as running, pytest.raises(ModelError, match="does not score given texts"):
        opened(running).logprobs(["a"], [[" x"]])


def test_what_needs_weights_says_so(tiny):
    model = opened(tiny)
    assert not hasattr(model, "module") and getattr(model, "tokenizer", None) is None
    for wanted in (lambda: model.module, lambda: model.hidden(["a"]), lambda: model.next_logprobs("a")):
        with pytest.raises(ModelError, match=r"lives on a server, and this needs .*: choose a local model"):
            wanted()
    for need in ("gradient", "hidden", "logprobs"):
        with pytest.raises(ModelError, match=r"openai:tiny does not give \(it offers generate, scores\)"):
            base.require(model, need, for_="this")


# ---- kept answers


def test_a_kept_answer_is_not_asked_for_again(tiny):
    options = {"max_new_tokens": 2, "temperature": 1.0, "n": 30, "seed": 3}
    first = opened(tiny).generate(["a"], **options)
    again = opened(tiny)  # another process would do the same: the answers are on the disk
    assert again.generate(["a"], **options) == first and tiny.asked == []
    assert again.report.usage.cached == 3
    for change in ({"seed": 4}, {"temperature": 0.5}, {"max_new_tokens": 3}, {"top_p": 0.9}, {"stop": ("q",)}):
        tiny.asked.clear()
        again.generate(["a"], **{**options, **change})
        assert len(tiny.asked) == 3, change
    tiny.asked.clear()
    opened(tiny, cache=False).generate(["a"], **options)
    assert len(tiny.asked) == 3


def test_samples_without_a_seed_are_kept_one_by_one():
    with TinyServer(seed="refused", n=False, top_k="ignored") as running:
        model = opened(running)
        samples = model.generate(["a"], max_new_tokens=8, temperature=1.0, n=8)[0]
        assert len({one.text for one in samples}) > 1 and "seed" not in running.asked[0][1]
        assert model.generate(["a"], max_new_tokens=8, temperature=1.0, n=8)[0] == samples and len(running.asked) == 8


def test_the_folder_of_answers_is_private_bounded_and_survives_damage(tmp_path, capsys):
    kept = Answers(20_000, tmp_path / "answers")
    keys = [key_of(body={"prompt": str(i)}) for i in range(100)]
    for place, key in enumerate(keys):
        kept.put(key, {"text": "é" * 100, "place": place})
        os.utime(kept._path(key), (place, place))
    kept.prune()
    assert sum(path.stat().st_size for path in kept.folder.glob("*/*")) <= 20_000
    assert kept.get(keys[-1])["place"] == 99 and kept.get(keys[0]) is None, "the oldest go first"
    for path in (kept.folder, kept._path(keys[-1]).parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for damage in (b"", b"{", b"[]", json.dumps({"key": "x", "value": 1}).encode()):
        kept._path(keys[-1]).write_bytes(damage)
        assert kept.get(keys[-1]) is None
    file = tmp_path / "file"
    file.write_text("in the way")
    broken = Answers(100, file / "answers")
    broken.put(keys[0], 1)
    broken.put(keys[1], 1)
    assert capsys.readouterr().err.count("are not kept") == 1 and broken.get(keys[0]) is None


def test_keys_of_answers_depend_on_everything_but_the_order():
    assert key_of(a=1, b=2) == key_of(b=2, a=1) != key_of(a=1, b=3)


# ---- tokens, cost, options


def test_tokens_and_cost_are_counted(tiny):
    model = opened(tiny, price_in=2.0, price_out=10.0, currency="EUR")
    before = model.report.usage.as_dict()
    model.generate(["a"], max_new_tokens=4, n=1)
    costs = model.costs("m.")
    assert costs["m.server_tokens_in"] == before["prompt_tokens"] + 7
    assert costs["m.server_tokens_out"] == before["completion_tokens"] + 4
    assert costs["m.server_cost"] == pytest.approx(
        (costs["m.server_tokens_in"] * 2 + costs["m.server_tokens_out"] * 10) / 1e6
    )
    assert "EUR, by the prices you gave" in str(model.report)
    assert "server_cost" not in opened(tiny).costs()
    with TinyServer(usage=False) as running:
        assert "came without a count" in str(opened(running).report)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"timout": 3}, "no option 'timout': there are timeout, concurrency"),
        ({"timeout": 0}, "timeout=0 makes no sense"),
        ({"concurrency": 1.5}, "concurrency=1.5 makes no sense"),
        ({"price_in": -1}, "price_in=-1 makes no sense"),
        ({"cache": 1}, "cache=1 makes no sense"),
        ([], "is no set of options"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_wrong_options_are_told(options, sentence):
    with pytest.raises(ModelError, match=sentence):
        ServerOptions.of(options)


def test_names_and_addresses_that_are_none():
    none = (None, "", "127.0.0.1:8000", "ftp://x/v1", "http://", "http://x:port/v1")
    for url in (*none, "http://[::1/v1", "http://a\nb/v1", "http://a\0b/v1", "http://a b/v1"):
        with pytest.raises(ModelError, match=r"needs the server's address|is no address"):
            load("openai:x", base_url=url)
    for name, options, sentence in (
        ("openai:", {"base_url": "http://127.0.0.1:1/v1"}, "followed by the name"),
        ("openai:x", {"base_url": "http://127.0.0.1:1/v1", "bits": 4}, "bits=4 is the server's business"),
        ("smollm2", {"server": {"timeout": 3}}, "goes with a name like openai:NAME"),
    ):
        with pytest.raises(ModelError, match=sentence):
            load(name, **options)


def test_without_the_client_the_command_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ModelError, match="pip install 'openai>=2'"):
        load("openai:x", base_url="http://127.0.0.1:1/v1")


# ---- keys


def test_keys_come_from_the_environment_and_stay_out_of_everything(tiny, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-open-secret")
    opened(tiny).generate(["a"], max_new_tokens=1)
    assert tiny.asked[-1][2]["authorization"] == "Bearer sk-open-secret"
    monkeypatch.setenv("WORKBENCH_API_KEY", "sk-own-secret")
    run = tmp_path / "run"
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(run))
    model = load("openai:tiny", base_url=tiny.url)
    model.generate(["a", "b"], max_new_tokens=1)
    assert tiny.asked[-1][2]["authorization"] == "Bearer sk-own-secret"
    tiny.always = ("status", 401, (), {"error": {"message": "Incorrect API key provided: sk-own-secret."}})
    with pytest.raises(ModelError, match=r"refuses the key \(401: Incorrect API key provided: \[key\]") as told:
        model.generate(["c"], max_new_tokens=1)
    texts = [str(told.value), repr(model), str(model.report), json.dumps(model.report.as_dict()), *capfd.readouterr()]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"models.jsonl", "server.json"}
    for text in [*texts, *(path.read_text("utf-8") for path in files)]:
        assert "secret" not in text


@pytest.mark.parametrize("url", ["https://me:secret@x/v1", "https://secret@x/v1", "https://x/v1?key=secret"])
def test_a_key_in_the_address_is_refused_and_not_repeated(url):
    with pytest.raises(ModelError, match="keys go into OPENAI_API_KEY") as told:
        check_url(url)
    assert "secret" not in str(told.value)


def test_a_key_over_plain_http_to_another_machine_is_told(monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    server.Server("http://models.invalid/v1", ServerOptions())
    assert "the key goes to http://models.invalid/v1 unencrypted" in capsys.readouterr().err
    server.Server("http://127.0.0.1:1/v1", ServerOptions())
    server.Server("https://models.invalid/v1", ServerOptions())
    assert capsys.readouterr().err == ""


def test_retry_after_is_read_as_seconds_and_as_a_date():
    assert retry_after({"retry-after": "1.5"}) == 1.5 and retry_after({"retry-after": "-3"}) == 0
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    assert 25 < retry_after({"retry-after": later}) <= 30
    for none in ({}, None, {"retry-after": "soon"}, {"retry-after": "inf"}, {"retry-after": "nan"}):
        assert retry_after(none) is None


# ---- randomness by counted samples


def test_counted_flips_have_the_known_probability_and_say_what_exact_needs(tiny):
    from workbench.papers import randomness
    from workbench.papers.randomness import PROFILES, SERVED, study

    model = opened(tiny)
    curve = study.flip_curve(model, "HTHTHTHT", n_points=3, n=300)
    counted = randomness.counted(curve)
    assert list(counted) == [0, 4, 8] and curve.arms == ["sampled"] and len(tiny.asked) == 3 * 30
    for p, mass, e in zip(curve.values("p_tails"), curve.values("mass"), counted.values()):
        assert abs(mass - 0.8) < 0.1 and abs(p - 0.375) < 0.15 and e.low < p < e.high  # Heads .5, Tails .3, else .2
    rows = study.counting_table({"tiny": curve}, within=0.05)
    assert [row["flips in context"] for row in rows] == [0, 4, 8]
    for row, e in zip(rows, counted.values()):
        p = max((q for q in (e.low, min(max(0.5, e.low), e.high), e.high)), key=lambda q: q * (1 - q))
        assert row["samples for ±0.05"] == math.ceil(1.96**2 * p * (1 - p) / 0.05**2)
    assert study.counting_table({"exact": curve.of("exact")}) == []
    quick = SERVED.fill("quick")
    assert 30 * (2 * quick["n_prefixes"] - 1) + 30 <= 12 * 30, (
        "quick: at most 12 prefixes x 30 samples, widget included"
    )
    assert SERVED.fill("quick", n_generate=99)["n_generate"] == 99 > quick["n_generate"]
    assert quick["n_generate"] < PROFILES.fill("quick")["n_generate"]


def test_a_server_of_conversations_is_asked_in_conversations():
    from workbench.papers import randomness

    with TinyServer(completions=False) as running:
        model = opened(running)
        counted = randomness.sample_next_flip(model, "HT", n=20)
        written = randomness.generate_sequences(model, p_tails=[50], n=3, max_flips=4)
        assert {path for path, _, _ in running.asked} == {"/v1/chat/completions"}
        assert counted.heads + counted.tails + counted.other == 20 and len(written) == 3
        assert randomness.sample_next_flip(model, "HT", n=20, chat=True) == counted
