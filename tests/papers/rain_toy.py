"""A scripted model for RAIN's tests: next-token probabilities are a function of the tokens so far, no weights."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from workbench.models.prefix.tree import Counters, PrefixTree
from workbench.papers.rain import RainSettings, rain

WORDS = ["<end>", "a", "b", "c", "d", ".", "\n", "Human:"]
END, A, B, C, D, DOT, LINE, HUMAN = range(8)


class ScriptedTree(PrefixTree):
    """A prefix tree whose logits come from ``script(ids) -> {token: probability}``."""

    def __init__(self, script):
        self.script, self.vocabulary, self.most_rows, self.name = script, len(WORDS), 100, "scripted"
        self.counters = Counters()
        self._forget()

    def logits(self, nodes):
        self.counters.forwards += 1
        self.counters.tokens += len(nodes)
        rows = torch.full((len(nodes), self.vocabulary), 1e-12, dtype=torch.float64)
        for row, node in zip(rows, nodes, strict=True):
            for token, probability in self.script(node.ids).items():
                row[token] = probability
        return rows.log().float()


class ScriptedModel:
    """As much of a `Model` as the search needs; prompts are words with blanks between."""

    name, can, module = "scripted", frozenset({"generate", "logprobs"}), None
    special_texts, has_chat = (), False

    def __init__(self):
        self.tokenizer = SimpleNamespace(decode=lambda ids: " ".join(WORDS[i] for i in ids))

    def prompt_ids(self, prompt, chat=None):
        return [WORDS.index(word) for word in prompt.split()]

    def new_text(self, prompt, tokens):
        return " ".join(WORDS[i] for i in tokens)

    def end_tokens(self):
        return frozenset({END})


class TinyModel(ScriptedModel):
    """The same words with real weights: a random Llama of two layers."""

    def __init__(self):
        from transformers import LlamaConfig, LlamaForCausalLM

        super().__init__()
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(WORDS), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64,
        )  # fmt: skip
        self.name, self.module = "tiny", LlamaForCausalLM(config).eval()
        for weight in self.module.parameters():  # as drawn, every distribution would be flat
            weight.data.mul_(4) if weight.dim() > 1 else None


class Letters:
    """An encoder: a text's letter counts, or one direction for all texts."""

    def __init__(self, same=False):
        self.same = same

    def embed(self, texts):
        if self.same:
            return torch.ones(len(texts), 3)
        return torch.tensor([[float(text.count(letter)) for letter in "abcd"] for text in texts])


# one token each: every set has one token, every simulation one, no encoder
PLAIN = RainSettings(
    budget=3,
    candidates=3,
    tries=2,
    top_k=0,
    lengths=(1,),
    rollout_tokens=1,
    similarity=2,
    max_new_tokens=4,
    stop=(),
    lanes=1,
    evaluate_root=False,
)


def abc(ids):
    return {A: 0.5, B: 0.3, C: 0.2}


def first_letter(prompt, replies):
    return [{"a": -1.0, "b": 1.0}.get(reply[:1], 0.0) for reply in replies]


def search(script=abc, scorer=first_letter, settings=PLAIN, prompt="d", **options):
    return rain(ScriptedModel(), [prompt], scorer=scorer, settings=settings, tree=ScriptedTree(script), **options)[0]


def random_script(ids):
    """Probabilities that look random and depend on all tokens so far."""
    weights = np.random.default_rng(list(ids)).dirichlet(np.full(8, 0.7))
    return dict(enumerate(weights.tolist()))


def letters(prompt, replies):
    return [math.tanh(r.count("b") - r.count("a") + r.count("c") * 0.5) for r in replies]


MIXED = replace(PLAIN, budget=9, candidates=4, tries=3, lengths=(1, 2, 4), rollout_tokens=6, max_new_tokens=16, top_k=5)


def record(result):
    return [(n.id, n.prefix, round(n.n, 9), n.fn, round(n.q, 9), round(n.prior, 6)) for n in result.nodes]
