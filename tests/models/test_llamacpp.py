"""`load(…, backend="llama.cpp")` on smollm2's own GGUF file, against torch on the same file and against itself."""

import importlib.util
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from changed import by_turn

from workbench import load
from workbench.errors import ModelError, UsageError
from workbench.models.base import TooLong, require, weighs
from workbench.models.prefix.tasks import Draw, Top, Weigh, serve
from workbench.models.prefix.tree import shared_tree
from workbench.results import identity_of
from workbench.runs.notebook.notebook import read
from workbench.runs.sweep.grid import identity

if importlib.util.find_spec("xllamacpp") is None:
    pytest.skip("the llama.cpp server (xllamacpp) is not installed here", allow_module_level=True)

NATS = 0.4  # how far one token's log-probability may be off torch's float32: .07 on average, more for rare tokens
SUMS = 3e-4  # llama.cpp adds up the probabilities of 49,152 tokens in float32
PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def llama():
    model = load("smollm2", backend="llama.cpp")
    yield model
    model.close()


@pytest.fixture(scope="module")
def whole(llama):
    """Log-probabilities of all tokens after PROMPT, as the engine lists them: one request, made by hand."""
    body = {"prompt": llama.token_ids(PROMPT), "n_predict": 1, "temperature": 0, "n_probs": 49152}
    (answer,) = llama._engine.complete([body])
    told = answer["completion_probabilities"][0]["top_logprobs"]
    values = np.full(49152, np.nan)
    values[[one["id"] for one in told]] = [one["logprob"] for one in told]
    assert np.isfinite(values).all() and abs(np.exp(values).sum() - 1) < 1e-3
    return values


def test_scores_are_torchs_and_those_of_the_whole_vocabulary(llama, smollm2, whole):
    texts = [" Paris.", " London", " the", " zebra", " \N{SNOWMAN}"]  # the last one has tokens of half a character
    (found,), (torch_,) = (model.logprobs([PROMPT], [texts]) for model in (llama, smollm2))
    for one, other in zip(found, torch_, strict=True):
        assert one.tokens == other.tokens
        assert one.logprobs[0] == pytest.approx(whole[one.tokens[0]], abs=SUMS)
        assert one.total == pytest.approx(sum(one.logprobs))
        assert np.abs(np.subtract(one.logprobs, other.logprobs)).mean() < NATS
    weighted = np.exp(whole) @ np.abs(whole - smollm2.next_logprobs(PROMPT)[-1].double().numpy())
    assert 1e-4 < weighted < 0.15, ".07 where it was measured; and the two are two engines, not one"


def test_sets_of_tokens_are_weighed_exactly(llama, smollm2, whole):
    """Large sets, small ones, one of a rare token, all of the vocabulary but the likeliest, and none."""
    order = np.argsort(-whole)
    random = np.random.default_rng(0)
    sets = [random.choice(49152, 2000, replace=False), order[:3], order[-1:], order[40000:], order[5:], []]
    (found,) = llama.next_masses([PROMPT], [list(map(int, tokens)) for tokens in sets])
    for value, tokens in zip(found[:-1], sets[:-1], strict=True):
        assert value == pytest.approx(np.logaddexp.reduce(whole[tokens]), abs=2 * SUMS)
    assert found[-1] == -math.inf
    exact = smollm2.next_logprobs(PROMPT)[-1].double().numpy()
    (ours,) = smollm2.next_masses([PROMPT], [list(map(int, tokens)) for tokens in sets])
    assert ours[:-1] == pytest.approx([np.logaddexp.reduce(exact[tokens]) for tokens in sets[:-1]], abs=1e-4)


def test_prefixes_are_walked_down_their_tree(llama):
    """Two branches below one text, given turn about: each of their tokens is read once, not once a prefix."""
    stem = llama.token_ids("Request: How do I boil an egg? Reply: Put it in")
    one, two = (
        [*stem, *llama.token_ids(text, start=False)] for text in (" boiling water for eight", " a pan and wait for")
    )
    turns = [ids[:size] for size in range(len(stem) + 1, min(len(one), len(two)) + 1) for ids in (one, two)]
    asked = [[token] for token in llama.token_ids(" the", start=False)]
    llama.next_masses([stem], asked)
    requests, read, _ = llama._engine.spent()
    found = llama.next_masses(turns, asked)
    now, after, _ = llama._engine.spent()
    new = len({tuple(ids[:size]) for ids in turns for size in range(len(stem) + 1, len(ids) + 1)})
    assert len(turns) >= 8 and after - read <= new + (now - requests), (
        "one more a request: its last token is read again"
    )
    assert found == [llama.next_masses([ids], asked)[0] for ids in turns], "and each has its own answer"


@pytest.mark.slow
def test_a_searchs_questions_are_answered_from_the_whole_distribution(llama, whole):
    """`Top`, `Weigh` and `Draw` at a node, draws beyond the likeliest tokens told among them, against the listing."""
    tree = shared_tree(llama)
    node = tree.extend(tree.node(llama.token_ids(PROMPT)[:3]), llama.token_ids(PROMPT)[3:])
    order = np.argsort(-whole)
    cumulated = np.exp(whole[order]).cumsum()
    uniforms = [0.0, 0.4, 0.9, float(cumulated[70]) + 1e-6, float(cumulated[3000]) + 1e-6, 0.9999]
    rare = tuple(map(int, order[[0, 100, 40000]]))
    questions = [
        Top(node, 5),
        Weigh(node, rare),
        Draw(node, None),
        Draw(node, 0.75, 1.5, 10),
        Draw(node, None, 1.5, 10),
    ]
    top, weighed, greedy, cut, first, *drawn = serve(tree, [*questions, *(Draw(node, u) for u in uniforms)])
    assert [token for token, _ in top] == order[:5].tolist()
    assert [chance for _, chance in top] == pytest.approx(np.exp(whole[order[:5]]), rel=1e-3)
    assert weighed == pytest.approx(whole[list(rare)], abs=SUMS)
    assert greedy[0] == first[0] == order[0]
    hot = np.exp(whole[order[:10]] / 1.5)
    kept = (hot / hot.sum()).cumsum()
    place = int(np.searchsorted(kept, 0.75, side="right"))
    assert cut == (int(order[place]), pytest.approx(hot[place] / hot.sum(), rel=1e-3))
    for uniform, (token, chance) in zip(uniforms, drawn, strict=True):
        rank = int(np.flatnonzero(order == token)[0])
        assert cumulated[rank] > uniform - SUMS and (rank == 0 or cumulated[rank - 1] < uniform + SUMS)
        assert chance == pytest.approx(np.exp(whole[token]), rel=1e-3)


@pytest.mark.slow
def test_what_was_read_before_changes_no_score(llama):
    """Long texts, whose beginnings are known or not, from one slot or several: bit for bit the same."""
    text = "Request: How do I boil an egg? Reply: Put it in boiling water for eight minutes, then in cold water. " * 4
    fresh = []
    for warm in ("", text[:90], text[:350], text + " This"):
        llama.close()
        if warm:
            llama.logprobs([warm], [[" is"]])
        fresh.append(llama.logprobs([text + " This"], [[" reply is", " egg"]]))
    llama._engine.room(1024, 3)
    fresh.append(llama.logprobs([text + " This"], [[" reply is", " egg"]]))
    assert all(one == fresh[0] for one in fresh)


@pytest.mark.slow
def test_texts_conversations_and_stops_are_the_local_models(llama, smollm2):
    chat = [{"role": "user", "content": "What is the capital of France? Answer with one word."}]
    for prompt, options in (
        (PROMPT, {"max_new_tokens": 3}),
        (chat, {"max_new_tokens": 24, "stop": ["<|im_end|>"]}),
        ("Say yes.", {"max_new_tokens": 2, "chat": True}),
        ("1, 2, 3,", {"max_new_tokens": 12, "stop": [" 5"]}),
        ("1, 2, 3,", {"max_new_tokens": 12, "stop": ["<|im_end|>", " 5"]}),
    ):  # fmt: skip
        ((theirs,),), ((ours,),) = (model.generate([prompt], **options) for model in (llama, smollm2))
        assert (theirs.text, theirs.finish, theirs.prompt_tokens) == (ours.text, ours.finish, ours.prompt_tokens)
        assert theirs.tokens == ours.tokens and theirs.logprob == pytest.approx(ours.logprob, abs=1.0)
        ((scored,),) = llama.logprobs([llama.prompt_ids(prompt, options.get("chat"))], [[theirs.tokens]])
        assert theirs.logprob == pytest.approx(scored.total, abs=1e-3)


def test_samples_follow_from_seed_prompt_and_number(llama):
    options = {"max_new_tokens": 6, "temperature": 1.0}
    three = llama.generate(["Once upon a time", "Heads, Tails,"], n=3, seed=4, **options)
    assert three == llama.generate(["Once upon a time", "Heads, Tails,"], n=3, seed=4, **options)
    assert llama.generate(["Once upon a time"], n=2, seed=4, **options)[0] == three[0][:2]
    assert len({one.text for row in three for one in row}) > 3
    assert llama.generate(["Once upon a time"], n=3, seed=5, **options)[0] != three[0]
    greedy = llama.generate(["Once upon a time"], max_new_tokens=6, n=3)[0]
    cut = llama.generate(["Once upon a time"], max_new_tokens=6, temperature=1.0, top_k=1, n=2)[0]
    assert len({one.text for one in [*greedy, *cut]}) == 1


@pytest.mark.slow
def test_samples_come_from_the_whole_distribution(llama, whole):
    """llama.cpp's own cuts (top_k 40, top_p .95, min_p .05) are off: the samples' mean surprise is the entropy."""
    samples = llama.generate([PROMPT], max_new_tokens=1, temperature=2.0, n=120, seed=1)[0]
    hot = whole / 2 - np.logaddexp.reduce(whole / 2)
    beyond = np.exp(hot[np.argsort(-whole)[40:]]).sum()
    rank = np.argsort(np.argsort(-whole))
    drawn = sum(rank[one.tokens[0]] >= 40 for one in samples) / 120
    assert beyond > 0.5 and drawn == pytest.approx(beyond, abs=0.15)
    cut = llama.generate([PROMPT], max_new_tokens=1, temperature=2.0, top_p=0.2, n=40)[0]
    held = np.exp(np.sort(hot)[::-1])
    assert max(rank[one.tokens[0]] for one in cut) <= np.searchsorted(held.cumsum(), 0.2) + 1


def test_the_vocabulary_and_new_text_are_the_tokenizers(llama, smollm2):
    ids = [*range(300), 7042, 30, 2, 0]
    assert [llama.vocabulary[i] for i in ids] == [smollm2.vocabulary[i] for i in ids]
    assert set(llama.special_texts) == set(smollm2.special_texts)
    for text in ("Paris is<|im_end|>", "naïve \N{SNOWMAN}, 日本", ""):
        tokens = llama.token_ids(text)
        assert tokens == smollm2.token_ids(text)
        assert llama.new_text([504], tokens) == smollm2.new_text([504], tokens)
        assert llama.new_text([504], tokens, True) == smollm2.new_text([504], tokens, True)
    assert llama.end_tokens() <= smollm2.end_tokens()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bits": 4}, "bits=4 cannot go with backend='llama.cpp'"),
        ({"dtype": "bfloat16"}, "dtype='bfloat16' cannot go with"),
        ({"adapter": "/tmp/lora"}, "adapter='/tmp/lora' cannot go with"),
        ({"device": "cuda"}, "device='cuda' cannot go with"),
        ({"backend": "vllm"}, "neither torch nor llama.cpp"),
        ({"name": "org/name"}, "reads GGUF files, and org/name is a hub id: give smollm2 or a .gguf file"),
        ({"name": "openai:x", "base_url": "http://127.0.0.1:9/v1"}, "is the server's business"),
        ({"name": "/nowhere.gguf"}, "there is no file"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(options, said):
    with pytest.raises(ModelError, match=said.replace("(", "\\(")) as told:
        load(**{"name": "smollm2", "backend": "llama.cpp"} | options)
    assert "\n" not in str(told.value)


def test_a_folder_and_a_damaged_file_are_refused(tmp_path, llama):
    with pytest.raises(ModelError, match=r"is a folder: give smollm2 or a \.gguf file"):
        load(str(tmp_path), backend="llama.cpp")
    whole = bytearray(llama._engine.path.read_bytes())
    whole[200:260] = bytes(60)  # in the metadata
    (tmp_path / "damaged.gguf").write_bytes(whole)
    with pytest.raises(ModelError, match=r"damaged|cannot be read"):
        load(str(tmp_path / "damaged.gguf"), backend="llama.cpp")


def test_too_long_prompts_and_a_full_context(llama):
    with pytest.raises(TooLong, match=r"prompt 0 has 90\d\d tokens with the next one, but smollm2 reads at most 8192"):
        llama.generate(["word " * 9000], max_new_tokens=1)
    with pytest.raises(TooLong, match="the text has"):
        llama.logprobs(["word"], [[[30] * 8192]])
    for wrong, said in (("", "is empty"), ([[]], "list of messages|token ids"), ([99999], "no token of smollm2")):
        with pytest.raises(ModelError, match=said):
            llama.generate([wrong], max_new_tokens=1)
    with pytest.raises(ModelError, match="reads as a control token"):
        llama.generate([[{"role": "user", "content": "a<|im_end|>"}]], max_new_tokens=1)


def test_what_weights_alone_give_is_refused_and_not_claimed(llama):
    assert llama.can == {"generate", "scores"} and weighs(llama)
    assert not hasattr(llama, "module") and not hasattr(llama, "tokenizer")
    for call in (lambda: llama.hidden([PROMPT]), lambda: llama.next_logprobs(PROMPT)):
        with pytest.raises(ModelError, match=r"runs in llama\.cpp, which keeps them to itself, and this needs"):
            call()
    with pytest.raises(ModelError, match="integrated gradients needs gradients, which smollm2 does not give"):
        require(llama, "gradient", for_="integrated gradients")


def test_the_report_says_what_ran_and_is_part_of_an_identity(llama, smollm2):
    facts = json.loads(json.dumps(llama.report.as_dict()))
    assert facts["backend"].startswith("llama.cpp (xllamacpp 20") and len(facts["sha256"]) == 64
    assert facts["tensors"]["Q4_1"] == 210 and facts["threads"] >= 1 and facts["slots"] >= 1 and facts["context"] >= 512
    assert any("8-bit activations" in note for note in facts["notes"]) and "8-bit activations" in str(llama.report)
    assert facts["identity"] == smollm2.report.identity, "one file"
    assert identity_of(llama) != identity_of(smollm2) and "llama.cpp" in identity_of(llama)
    assert "backend" not in identity_of(smollm2), "rows that torch made are found again"


def test_a_cell_without_a_backend_is_the_cell_that_it_was():
    plain = {"profile": "quick", "seed": 0}
    assert identity("p", "0", plain | {"backend": None}) == identity("p", "0", plain)
    assert identity("p", "0", plain | {"backend": "llama.cpp"}) != identity("p", "0", plain)


@pytest.mark.parametrize("paper", ["emo", "kbert", "explainability"])
def test_a_paper_that_needs_weights_says_so_without_a_kernel(paper):
    with pytest.raises(UsageError, match=f"{paper} needs a model's own weights .* leave backend out"):
        read(paper).resolve({"backend": "llama.cpp"})


def test_words_that_are_no_backend_are_refused_without_a_kernel():
    with pytest.raises(UsageError, match="backend='tensorflow' cannot be"):
        read("rain").resolve({"backend": "tensorflow"})
    with pytest.raises(UsageError, match="bits=4 goes with torch"):
        read("rain").resolve({"backend": "llama.cpp", "bits": 4})
    assert read("rain").resolve({"backend": "llama.cpp"}) == {"backend": "llama.cpp"}


CHILD = """
import os, signal, sys, threading, time
import psutil
from workbench import load
model = load("smollm2", backend="llama.cpp")
model.generate(["a"], max_new_tokens=1)
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
began = time.monotonic()
try:
    model.generate(["Once upon a time"], max_new_tokens=4000, temperature=1.0, seed=1, n=1)
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began < 20)  # the whole text takes minutes
busy = psutil.Process().cpu_times().user
time.sleep(1.5)
print("idle", psutil.Process().cpu_times().user - busy < 0.7)
print("again", model.generate(["The capital of France is"], max_new_tokens=1)[0][0].text)
child = os.fork()
if child == 0:
    try:
        model.generate(["a"], max_new_tokens=1)
    except Exception as error:
        print("fork:", error, flush=True)
    del model
    os._exit(0)
print("child ended", os.waitpid(child, 0)[1])
listening = lambda: [c for c in psutil.Process().net_connections("inet") if c.status == "LISTEN"]
(one,) = listening()
held = psutil.Process().memory_info().rss
model.close()
print("closed", one.laddr.ip, listening(), held - psutil.Process().memory_info().rss > 50e6)
"""


@pytest.mark.slow
def test_an_interrupt_a_fork_and_the_end(tmp_path):
    """In a process of its own: Ctrl-C ends the work at once, a fork is told, closing frees port and memory."""
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stderr[-2000:]
    assert said["interrupted"] == "True" and said["idle"] == "True" and said["again"] == " Paris"
    assert "a fork of it has no engine" in said["fork:"] and said["child"] == "ended 0"
    assert said["closed"] == "127.0.0.1 [] True"


def pytest_generate_tests(metafunc):
    """The two papers take turns in the gate, both run with ``--release``."""
    if metafunc.function is test_the_papers_end_with_a_record:
        papers = ["randomness", "rain"]
        metafunc.parametrize("paper", papers if metafunc.config.getoption("--release") else by_turn(papers, 1))


@pytest.mark.slow
def test_the_papers_end_with_a_record(tmp_path, paper):
    command = [sys.executable, "-m", "workbench", "run", paper, "--backend", "llama.cpp", "--profile", "smoke"]
    subprocess.run([*command, "--out", str(tmp_path)], check=True, timeout=1500, capture_output=True)
    (record,) = tmp_path.glob(f"{paper}/*/record.json")
    found = json.loads(record.read_text())
    assert found["status"] == "done" and found["parameters"]["backend"] == "llama.cpp" and found["metrics"]
    (model,) = [one for one in found["models"] if one["name"] == "smollm2"]
    assert model["report"]["backend"].startswith("llama.cpp") and model["report"]["tensors"]["Q4_1"] == 210
