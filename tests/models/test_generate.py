"""Lock-step decoding, against transformers' own generate and against itself one prompt at a time."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.errors import ModelError, UsageError
from workbench.models.sampling import filtered_probs, stream

PROMPTS = ["The capital of France is", "Once upon a time there was a small town where", "def add(a, b):"]


def by_transformers(model, prompt, count):
    ids = model.tokenizer(prompt, return_tensors="pt")["input_ids"].to(model.device)
    out = model.module.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
    return out[0, ids.shape[1] :].tolist()


def test_greedy_is_what_transformers_generates(smollm2):
    found = smollm2.generate(PROMPTS, max_new_tokens=12)
    for prompt, (sample,) in zip(PROMPTS, found, strict=True):
        assert sample.tokens == by_transformers(smollm2, prompt, 12)
        assert sample.text == smollm2.tokenizer.decode(sample.tokens, skip_special_tokens=True)
        assert sample.prompt_tokens == len(smollm2.tokenizer(prompt)["input_ids"])
        (scored,) = smollm2.logprobs([prompt], [[sample.tokens]])[0]
        assert sample.logprob == pytest.approx(scored.total, abs=1e-3)


def test_half_a_character_is_one_sentence(smollm2):
    for call in (
        lambda text: smollm2.generate([text], max_new_tokens=1),
        lambda text: smollm2.generate([text], max_new_tokens=1, chat=True),
        lambda text: smollm2.logprobs([text], [["x"]]),
        lambda text: smollm2.logprobs(["x"], [[text]]),
        lambda text: smollm2.next_logprobs(text),
    ):
        with pytest.raises(ModelError, match=r"cannot read ….*a\\ud800.*…: U\+D800 is half a character; mend"):
            call("a\ud800")


def test_a_chat_ends_with_the_models_own_end_token(smollm2):
    (sample,) = smollm2.generate(["Say only the word yes."], max_new_tokens=60, chat=True)[0]
    messages = [{"role": "user", "content": "Say only the word yes."}]
    (again,) = smollm2.generate([messages], max_new_tokens=60)[0]
    assert sample == again
    assert sample.finish == "eos" and sample.tokens[-1] == smollm2.tokenizer.eos_token_id
    assert "<|im_end|>" not in sample.text
    text = smollm2.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert sample.tokens == by_transformers(smollm2, text, 60)


def test_a_sample_does_not_depend_on_its_batch(smollm2):
    options = {"max_new_tokens": 8, "temperature": 1.0, "top_p": 0.9, "seed": 7}
    together = smollm2.generate(PROMPTS, n=3, **options)
    assert smollm2.generate(PROMPTS[:1], n=3, **options)[0] == _near(together[0])
    for more, fewer in zip(together, smollm2.generate(PROMPTS, n=1, **options), strict=True):
        assert fewer[0] == _near([more[0]])[0]
    assert together != smollm2.generate(PROMPTS, n=3, **(options | {"seed": 8}))
    assert len({tuple(sample.tokens) for sample in together[1]}) > 1


def _near(samples):
    """The same samples; log-probabilities may differ in the last digits between batches."""
    from dataclasses import replace

    return [replace(s, logprob=pytest.approx(s.logprob, abs=1e-3)) for s in samples]


def test_sampling_is_the_literal_loop(smollm2):
    """One sample token by token: full forward, filter, uniform number from the sample's stream, first cdf above it."""
    prompt, seed = PROMPTS[1], 3
    found = smollm2.generate([prompt, prompt], max_new_tokens=6, temperature=0.8, top_k=40, n=2, seed=seed)
    for index, sample in ((0, 1), (1, 0)):
        ids, random = list(smollm2.tokenizer(prompt)["input_ids"]), stream(seed, index, sample)
        start = len(ids)
        for _ in range(6):
            with torch.no_grad():
                logits = smollm2.module(torch.tensor([ids])).logits[:, -1]
            cdf = np.cumsum(filtered_probs(logits, temperature=0.8, top_k=40)[0].numpy())
            ids.append(int(np.argmax(cdf > random.random() * cdf[-1])))
        assert found[index][sample].tokens == ids[start:]


def test_stop_strings_cut_the_text_across_token_borders(smollm2):
    (whole,) = smollm2.generate(PROMPTS[1:2], max_new_tokens=24)[0]
    pieces = [smollm2.tokenizer.decode([token]) for token in whole.tokens]
    # the end of one token and the start of the next: no token contains it
    at = next(i for i in range(3, 20) if len(pieces[i].strip()) > 1 and len(pieces[i + 1]) > 1)
    stop = pieces[at][-2:] + pieces[at + 1][:2]
    assert not any(stop in piece for piece in pieces)
    cut, other = smollm2.generate(PROMPTS[1:], max_new_tokens=24, stop=[stop, "\x00"])
    assert cut[0].finish == "stop"
    assert cut[0].text == whole.text[: whole.text.index(stop)]
    assert cut[0].tokens == whole.tokens[: len(cut[0].tokens)] and len(cut[0].tokens) < 24
    (untouched,) = smollm2.generate(PROMPTS[2:], max_new_tokens=24)[0]
    if stop not in untouched.text:
        assert other[0].tokens == untouched.tokens  # the row that goes on is not disturbed


def test_many_samples_in_few_rows(smollm2, monkeypatch):
    """More samples than a batch holds: prompts are still encoded once, and nothing changes."""
    from workbench.models import generation as decode

    wanted = smollm2.generate(PROMPTS, max_new_tokens=5, temperature=1.0, n=4, seed=1)
    encoded = []
    prefill = decode._prefill
    monkeypatch.setattr(decode, "_prefill", lambda m, prompts, d: encoded.extend(prompts) or prefill(m, prompts, d))
    monkeypatch.setattr(decode, "MAX_ROWS", {"cpu": 3})
    found = smollm2.generate(PROMPTS, max_new_tokens=5, temperature=1.0, n=4, seed=1)
    assert [_near(row) for row in found] == wanted
    assert len(encoded) == len(PROMPTS)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0}, "top_p is 0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"n": 0}, "n is 0"),
        ({"stop": [""]}, "stop text is empty"),
        ({"prompts": [""]}, "prompt 0 is empty"),
        ({"prompts": "one text"}, "not one text"),
        ({"prompts": ["a"], "max_new_tokens": 100000}, "shorten"),
        ({"prompts": [[{"role": "user"}]]}, "a message is"),
        ({"prompts": [[{"role": "user", "content": "x"}]], "chat": False}, "chat=False takes plain texts"),
    ],
)
def test_wrong_options_are_said(smollm2, options, sentence):
    with pytest.raises(ModelError, match=sentence):
        smollm2.generate(**({"prompts": ["a"], "max_new_tokens": 1} | options))


def test_no_prompts_no_samples(smollm2):
    assert smollm2.generate([], max_new_tokens=3) == []


def test_a_text_too_long_has_one_sentence_in_every_call(smollm2):
    most = wb.models.max_tokens(smollm2)
    assert most == smollm2.module.config.max_position_embeddings == wb.models.max_tokens(smollm2.module)
    long = [1] * (most + 1)
    calls = (
        lambda: smollm2.generate([long[:most]], max_new_tokens=2),
        lambda: smollm2.next_logprobs(long),
        lambda: smollm2.hidden([long]),
        lambda: smollm2.logprobs([long], [[" a"]]),
        lambda: wb.models.check_length(smollm2, most + 1, what="this"),
    )
    for call in calls:
        with pytest.raises(
            wb.models.TooLong, match=r"has 819\d tokens.*, but smollm2 reads at most 8192: (give a|shorten)"
        ):
            call()
    assert issubclass(wb.models.TooLong, ModelError) and issubclass(wb.models.TooLong, UsageError)
    wb.models.check_length(smollm2, most)
