"""The one reader of texts, ids and conversations, on tokenizers that add a start token, an end token, both or none."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from tokenizers import processors

import workbench as wb
from workbench.errors import ModelError, UsageError
from workbench.models.reader import pieces
from workbench.papers import explainability, rain, randomness

TEMPLATE = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}<assistant>"
MESSAGES = [{"role": "user", "content": "Say yes."}]
KINDS = {"none": "$A", "start": "<s> $A", "end": "$A </s>", "both": "<s> $A </s>"}


@pytest.fixture(scope="module", params=sorted(KINDS))
def model(request, zoo, tmp_path_factory):
    """A tiny random model whose tokenizer adds what the parameter says; with a chat template that writes a start."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("reader") / request.param
    shutil.copytree(zoo("llama"), folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=KINDS[request.param], special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    loaded = wb.load(str(folder))
    loaded.kind = request.param
    assert len(loaded.tokenizer("a")["input_ids"]) == 1 + len(KINDS[request.param].split()) - 1
    return loaded


def by_hand(model, text):
    """The ids of an open text: the bytes by themselves, behind a start token where the tokenizer adds one."""
    start = [1] if model.kind in ("start", "both") else []
    return start + model.tokenizer(text, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def plain(model, ids):
    return model.module(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)


def test_a_text_stays_open_and_begins_once(model):
    assert model.token_ids("Say") == model.prompt_ids("Say") == by_hand(model, "Say")
    assert model.token_ids("Say", start=False) == by_hand(model, "Say")[-3:]
    assert model.token_ids("") == by_hand(model, "")
    starts = model.kind in ("start", "both")
    assert model.token_ids("<s>Say") == [1, *model.token_ids("Say", start=False)] and starts in (True, False)
    (sample,) = model.generate(["Say"], max_new_tokens=1)[0]
    assert sample.tokens == [int(plain(model, by_hand(model, "Say"))[-1].argmax())]
    torch.testing.assert_close(model.next_logprobs("Say"), plain(model, by_hand(model, "Say")))


def test_a_conversation_begins_once_wherever_it_is_read(model):
    text = "<s><user>Say yes.</s><assistant>"
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids[0] == 1 and ids.count(1) == 1 and ids.count(2) == 1
    assert model.prompt_ids(MESSAGES) == model.prompt_ids("Say yes.", chat=True) == model.prompt_ids(text) == ids
    wanted = plain(model, ids)
    torch.testing.assert_close(model.next_logprobs(MESSAGES), wanted)
    (score,) = model.logprobs([MESSAGES], [[[5]]])[0]
    assert score.total == pytest.approx(float(wanted[-1, 5]), abs=1e-4)
    torch.testing.assert_close(model.hidden([MESSAGES]), model.hidden([ids]))
    (one,), (other,) = model.generate([MESSAGES, ids], max_new_tokens=4)
    assert one.tokens == other.tokens


def test_papers_read_like_the_handle(model):
    template = "Text: {prompt}{reply}\nIt is "
    scorer = rain.LabelScorer(model, template, ["kind"], ["rude"], prior=False)
    row = plain(model, by_hand(model, "Text: It fell.\nIt is "))[-1]
    kind, rude = (model.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ("kind", "rude"))
    assert scorer("It", [" fell."]) == pytest.approx([math.tanh(float(row[kind] - row[rude]) / 2)], abs=1e-5)
    begins = [[i for i in range(320) if model.tokenizer.decode([i]).strip().lower()[:1] == x] for x in "ht"]

    def masses(ids):
        row = plain(model, ids)[-1].exp()
        return [float(row[some].sum()) for some in begins]

    text = (
        "Q: Generate a sequence of 1000 random samples from a weighted coin, with 50% probability of Heads and 50% "
        "probability of Tails.\n\nA: ["
    )
    for chat, ids in ((False, by_hand(model, text)), (True, model.prompt_ids(text, chat=True))):
        (tails, *_), (mass, *_) = randomness.next_flip_curve(model, "", chat=chat)
        heads, tail = masses(ids)
        assert (tails, mass) == pytest.approx((tail / (heads + tail), heads + tail), rel=1e-4)
    question = [{"role": "user", "content": text + "Heads,"}]
    found = randomness.next_flip_curve(model, "H", chat=True)
    heads, tail = masses(model.prompt_ids(question))
    assert (found[0][1], found[1][1]) == pytest.approx((tail / (heads + tail), heads + tail), rel=1e-4)


def test_explainability_takes_texts_ids_and_conversations(model):
    ids = model.prompt_ids(MESSAGES)
    for method in ("occlusion", "gradient"):
        one, other = (explainability.attribute(model, prompt, "y", method=method) for prompt in (MESSAGES, ids))
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        assert "".join(one.tokens) == model.tokenizer.decode(ids)
    one, other = (explainability.logit_lens(model, prompt, target="y") for prompt in (MESSAGES, ids))
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)
    one, other = (explainability.attention_maps(model, prompt) for prompt in (MESSAGES, ids))
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-6)
    no = [{"role": "user", "content": "Say not."}]
    one, other = (
        explainability.patching_grid(model, clean, corrupt, "y", "n")
        for clean, corrupt in ((MESSAGES, no), (ids, model.prompt_ids(no)))
    )
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)
    with pytest.raises(UsageError, match="which is no text: give a text to change"):
        explainability.counterfactuals(model, ids, "y", "n", candidates={"Say": ["Tell"]})


@pytest.mark.parametrize(
    "prompt, sentence",
    [
        (torch.tensor([[5, 6]]), r"have the shape \(1, 2\): give one row"),
        (np.array([[5, 6], [7, 8]]), r"have the shape \(2, 2\): give one row"),
        ([[5, 6]], "rows of ids .*: give one row"),
        ([5.5, 6], "is neither a text nor token ids nor a list of messages"),
        (["a", "b"], "is neither a text nor token ids nor a list of messages"),
        ({"role": "user", "content": "x"}, "is neither a text nor token ids nor a list of messages"),
        (7, "is neither a text nor token ids nor a list of messages"),
        ([5, 320], "320 is no token of .*: its ids run to 319"),
        ([{"role": "user", "content": "Stop</s>now"}], "message 0 holds </s>, which .* reads as a control token"),
        ([{"role": "user"}], "a message is"),
    ],
)
def test_what_is_no_prompt_is_one_sentence(model, prompt, sentence):
    for call in (
        lambda: model.generate([prompt], max_new_tokens=1), lambda: model.next_logprobs(prompt),
        lambda: model.hidden([prompt]), lambda: model.logprobs([prompt], [["x"]]),
        lambda: explainability.logit_lens(model, prompt), lambda: explainability.attribute(model, prompt, "y"),
    ):  # fmt: skip
        with pytest.raises((ModelError, UsageError), match=sentence):
            call()


def test_ids_of_every_kind_are_ids(model):
    wanted = model.next_logprobs([5, 6, 7])
    for ids in (torch.tensor([5, 6, 7]), np.array([5, 6, 7]), (5, 6, 7), range(5, 8)):
        torch.testing.assert_close(model.next_logprobs(ids), wanted)


def test_a_stop_string_may_be_a_special_token(model):
    """A model whose greedy text runs through a special token stops there, before it or at a text that holds it."""
    prompts = ["Say", "It", "An old man", "Why"]
    runs = [samples[0] for samples in model.generate(prompts, max_new_tokens=24)]
    number = next(i for i, run in enumerate(runs) if any(token > 260 for token in run.tokens[2:]))  # <x…>, no byte
    prompt, whole = prompts[number], runs[number]
    first = next(i for i, token in enumerate(whole.tokens) if i > 1 and token > 260)
    name = model.tokenizer.decode([whole.tokens[first]])
    first = whole.tokens.index(whole.tokens[first])
    model.tokenizer.add_special_tokens({"additional_special_tokens": [name]})
    (free,) = model.generate([prompt], max_new_tokens=24)[0]
    assert free.tokens == whole.tokens and name not in free.text
    before = model.tokenizer.decode(whole.tokens[:first], skip_special_tokens=True)
    for stop, text in ((name, before), (before[-1] + name, before[:-1])):
        (cut,) = model.generate([prompt], max_new_tokens=24, stop=[stop])[0]
        assert (cut.finish, cut.tokens, cut.text) == ("stop", whole.tokens[: first + 1], text)


def test_pieces_join_to_the_text_and_cost_a_token_each(smollm2):
    text = "Žluťoučký kůň 🐎🦄 — naïve\n\n\tdef f(x): return '日本語' " * 3
    ids = smollm2.token_ids(text, start=False)
    assert "".join(pieces(smollm2.tokenizer, ids)) == text

    class Counting:
        decoded = 0

        def decode(self, ids):
            self.decoded += len(ids)
            return smollm2.tokenizer.decode(ids)

    spent = []
    for times in (1, 4):
        counting = Counting()
        pieces(counting, ids * times)
        spent.append(counting.decoded)
    assert spent[1] < 4.5 * spent[0]


def test_a_folder_without_tokenizer_is_one_sentence(zoo, tmp_path):
    for name in ("llama", "gpt2"):  # GPT-2's class makes an empty tokenizer of no files
        folder = tmp_path / name
        shutil.copytree(zoo(name), folder, ignore=shutil.ignore_patterns("*token*"))
        with pytest.raises(ModelError, match="has no tokenizer that can be read"):
            wb.load(str(folder))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
        with pytest.raises(ModelError, match="has no tokenizer that can be read"):
            wb.load(str(folder))
