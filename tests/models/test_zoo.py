"""The engine on every architecture of the zoo, by the front door, against plain forwards of the raw module.

The other side is what anybody would write: `AutoModelForCausalLM` and the tokenizer opened by themselves, and one
uncached forward of a whole text, alone in its row, for every number. Windows and switches lie at 16 and 32 tokens.
"""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from zoo import ARCHITECTURES

import workbench as wb
from workbench.errors import ModelError
from workbench.models.generation import way
from workbench.models.prefix.tree import PrefixTree, shared_tree
from workbench.papers import rain, randomness

FIRST = {"gpt_neo", "lfm2", "llama-dynamic-switch", "mamba", "phi3-longrope"}  # in the first tier; the rest are slow
SHORT, LONG = "The cat", "It was a bright cold day in April, and all the clocks"  # 7 and 53 tokens
ENDS = [" were striking"[i:] + "!" for i in range(8)] + [chr(97 + i) * (i + 1) for i in range(8)]
NEAR = 2e-5  # of the spread of the logits: what rounding may move
GAP = 1e-3  # of the spread: two tokens farther apart than this are told apart

# hidden(): architectures that have no one state of one width a layer, and the sentence that says so
NO_STATES = {
    "gemma3n_text": "carries 2 states a token at layer 0",
    "opt-projected": "has 32 numbers a token at layer 3 and 48 at another",
    "xlstm": "gives 3 states a token for its 4 layers",
}


class Raw:
    """The raw module and tokenizer of a folder."""

    def __init__(self, folder):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.folder = folder
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.module = AutoModelForCausalLM.from_pretrained(folder).float().eval()
        self.spread = float(np.ptp(self.logits(self.ids(LONG))[-1].numpy()))
        self.near = NEAR * self.spread

    def ids(self, text):
        return self.tokenizer(text)["input_ids"]

    @torch.no_grad()
    def logits(self, ids):
        # transformers' dynamic rope remembers the longest text so far: each text gets a module that has read none
        module = copy.deepcopy(self.module) if "dynamic" in str(self.module.config) else self.module
        return module(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0].float()

    def logprobs(self, ids):
        return self.logits(ids).log_softmax(-1)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name in FIRST else pytest.mark.slow) for name in sorted(ARCHITECTURES)],
)
def pair(request, zoo):
    """An architecture's handle and its raw twin."""
    folder = zoo(request.param)
    return wb.load(str(folder)), Raw(folder), request.param


def test_generate_follows_the_naive_path(pair):
    model, raw, _ = pair
    for options in ({}, {"temperature": 1.0, "seed": 3}):
        found = model.generate([SHORT, LONG, SHORT + " sat on the m"], max_new_tokens=14, n=2, **options)
        for text, samples in zip((SHORT, LONG, SHORT + " sat on the m"), found, strict=True):
            for sample in samples[: None if options else 1]:
                ids, total = list(raw.ids(text)), 0.0
                for token in sample.tokens:
                    logits = raw.logits(ids)[-1]
                    if not options:
                        assert logits.max() - logits[token] <= GAP * raw.spread
                    total += float(logits.log_softmax(-1)[token])
                    ids.append(token)
                assert sample.logprob == pytest.approx(total, abs=len(sample.tokens) * raw.near)
        if not options:
            assert all(one.tokens == other.tokens for one, other in found)


def test_logprobs_next_logprobs_and_hidden(pair):
    model, raw, name = pair
    for prefix, scores in zip((LONG, SHORT), model.logprobs([LONG, SHORT], [ENDS, ENDS]), strict=True):
        for end, score in zip(ENDS, scores, strict=True):
            start, ids = len(raw.ids(prefix)), raw.ids(prefix) + raw.ids(end)
            assert score.tokens == ids[start:]
            wanted = raw.logprobs(ids)[range(start - 1, len(ids) - 1), ids[start:]]
            assert score.logprobs == pytest.approx(wanted.tolist(), abs=raw.near)
    assert float((model.next_logprobs(LONG) - raw.logprobs(raw.ids(LONG))).abs().max()) <= raw.near
    if name in NO_STATES:
        with pytest.raises(ModelError, match=NO_STATES[name]):
            model.hidden([SHORT, LONG])
        return
    states = model.hidden([SHORT, LONG, SHORT])
    for place, text in enumerate((SHORT, LONG, SHORT)):
        with torch.no_grad():
            ids, module = torch.tensor([raw.ids(text)]), copy.deepcopy(raw.module)
            wanted = module(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
        for layer, state in enumerate(wanted):
            gap = (states[layer, place, : ids.shape[1]] - state[0]).abs().max()
            assert float(gap) <= NEAR * float(state.max() - state.min())
            assert not states[layer, place, ids.shape[1] :].any()


def test_a_tree_of_prefixes(pair):
    model, raw, _ = pair
    tree = shared_tree(model)
    tree.clear()
    trunk = tree.node(raw.ids(LONG)[:40])
    nodes = [tree.extend(trunk, raw.ids(end)) for end in ENDS]
    nodes += [tree.node(trunk.ids[:length]) for length in (1, 12, 17, 31, 32, 33)] + [
        tree.extend(nodes[0], raw.ids(LONG))
    ]
    for _ in range(2):
        for node, row in zip(nodes, tree.logits(nodes), strict=True):
            assert float((row - raw.logits(node.ids)[-1]).abs().max()) <= raw.near
    tree.clear()


def test_the_curve_of_the_next_flip(pair):
    model, raw, _ = pair
    tails, mass = randomness.next_flip_curve(model, "HTTHH", p_tails=70)
    words = [raw.tokenizer.decode([i]).strip().lower() for i in range(len(raw.tokenizer))]
    text = (
        "Q: Generate a sequence of 1000 random samples from a weighted coin, with 30% probability of Heads and 70% "
        "probability of Tails.\n\nA: ["
    )
    for flips, next_one in enumerate(["Heads", "Tails", "Tails", "Heads", "Heads", ""]):
        ids, before = raw.ids(text), 0.0
        if flips:  # the tokenizer writes the blank behind a comma as a token of its own
            blank = raw.ids(" ")
            before = float(raw.logprobs(ids)[-1][blank[0]])
            ids = ids + blank
        chances = raw.logprobs(ids)[-1]
        heads, tail = (
            math.exp(before) * sum(math.exp(chances[i]) for i, word in enumerate(words) if word.startswith(letter))
            for letter in "ht"
        )
        # log-masses move with the logits
        assert math.log(mass[flips]) == pytest.approx(math.log(heads + tail), abs=2 * raw.near)
        assert tails[flips] == pytest.approx(tail / (heads + tail), abs=2 * raw.near)
        text += (" " if flips else "") + next_one + ","


def test_the_docs_table_says_how_it_is_read(pair):
    model, _, name = pair
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(("| in lock", "| one by")) and f"`{name}`" in line]
    decoded = {"rows": "in lock step", "whole": "one by one, the whole text for every token"}
    prefixes = "shared" if shared_tree(model).reuse else "read one text at a time"
    told = decoded.get(way(model.module, name), "one by one, each with its state")
    assert row.startswith(f"| {told} | {prefixes} |")


class PlainTree(PrefixTree):
    """A tree that asks the raw module about each prefix by itself."""

    def __init__(self, raw):
        super().__init__(raw.module, reuse=False)
        self.raw = raw

    def logits(self, nodes):
        return torch.stack([self.raw.logits(node.ids)[-1] for node in nodes])


def test_rain_and_its_scorers(pair):
    model, raw, _ = pair
    template = "Text: {prompt}{reply}\nIt is "
    scorer = rain.LabelScorer(model, template, ["kind", "good"], ["rude"])

    def odds(reply):
        row = raw.logprobs(raw.ids(template.format(prompt=LONG, reply=reply)))[-1]
        kind, good, rude = (float(row[raw.ids(word)[0]]) for word in ("kind", "good", "rude"))
        return np.logaddexp(kind, good) - rude

    replies = [" sang.", " fell over and broke.", "!"]
    wanted = [math.tanh((odds(reply) - odds("")) / 2) for reply in replies]
    assert scorer(LONG, replies) == pytest.approx(wanted, abs=2 * raw.near)

    settings = rain.RainSettings(
        budget=3, max_new_tokens=5, similarity=2.0, rollout_tokens=6, candidates=3, tries=2, lengths=(1, 2)
    )
    options = {"scorer": lambda prompt, texts: [math.sin(len(text)) for text in texts], "settings": settings, "seed": 1}
    (ours,) = rain.rain(model, [LONG], **options)
    (plain,) = rain.rain(model, [LONG], tree=PlainTree(raw), **options)
    assert ours.tokens == plain.tokens and ours.finish == plain.finish and ours.values == plain.values
    assert [node.tokens for node in ours.nodes] == [node.tokens for node in plain.nodes]
    found, right = ([node.prior for node in some.nodes] for some in (ours, plain))
    assert found == pytest.approx(right, abs=len(settings.lengths) * raw.near)
