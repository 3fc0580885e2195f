"""A scripted model for RAIN's tests: next-token probabilities are a function of the tokens so far, no weights."""

from types import SimpleNamespace

import torch

from workbench.models.prefix import Counters, PrefixTree

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

    def __init__(self):
        self.tokenizer = SimpleNamespace(decode=lambda ids: " ".join(WORDS[i] for i in ids))

    def prompt_ids(self, prompt, chat=None):
        return [WORDS.index(word) for word in prompt.split()]

    def new_text(self, prompt, tokens):
        return " ".join(WORDS[i] for i in tokens)

    def end_tokens(self):
        return frozenset({END})


class Letters:
    """An encoder: a text's letter counts, or one direction for all texts."""

    def __init__(self, same=False):
        self.same = same

    def embed(self, texts):
        if self.same:
            return torch.ones(len(texts), 3)
        return torch.tensor([[float(text.count(letter)) for letter in "abcd"] for text in texts])
