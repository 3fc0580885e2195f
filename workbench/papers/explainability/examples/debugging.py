"""A debugging story: a shortcut in a small fine-tuned classifier, found by attribution, fixed, the change measured.

1. A sentence encoder and a new head are fine-tuned on reviews in which a planted sentence goes with praise.
2. Its accuracy looks fine where the sentence keeps going with praise, and falls where it does not.
3. Occlusion (what the logit loses when a word is left out), averaged over the training texts, names the words that the
   classifier leans on everywhere; the suspect is the one with the largest mean among words that are in several
   texts. Its sentences are taken out of the training texts, and the model is trained again.
4. The same numbers once more. Control: the sentence of a random other word is taken out instead.

The encoder handed in is not changed: a copy is trained.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import UsageError
from ....stats import Estimate, mean_interval, proportion_interval
from ..data import ShortcutRow, shortcut_rows

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


@dataclass(frozen=True)
class ShortcutStory:
    """What was found and what it changed.

    Attributes
    ----------
    found : tuple of (word, mean score, texts it is in)
        Words by mean attribution to praise over the training texts, largest size first.
    suspect : str
        The first of them: the word whose sentences were taken out.
    before, after, control : dict
        Estimates: "accuracy" on the test rows as they are; "accuracy, shortcut misleads" on every test text without the
        mark if it is praise and with it if it is blame, "accuracy, shortcut helps" the other way round; "flips" (share
        of test texts whose label changes when the mark is put in) and "push" (mean change of praise's logit by it).
        ``after``: trained without the suspect's sentences; ``control``: without those of a random word.
    change : Estimate
        Paired difference after - before of being right on the rows where the shortcut misleads.
    """

    found: tuple[tuple[str, float, int], ...]
    suspect: str
    before: dict[str, Estimate]
    after: dict[str, Estimate]
    control: dict[str, Estimate]
    control_word: str
    change: Estimate

    def frame(self):
        """The three columns of numbers side by side."""
        import pandas as pd

        columns = {"as trained first": self.before, f"without {self.suspect!r}": self.after,
                   f"control: without {self.control_word!r}": self.control}  # fmt: skip
        return pd.DataFrame({name: {k: str(v) for k, v in values.items()} for name, values in columns.items()})


def debug_shortcut(
    encoder,
    train: Sequence[ShortcutRow] | None = None,
    test: Sequence[ShortcutRow] | None = None,
    *,
    mark: str | None = None,
    epochs: int = 4,
    rate: float = 2e-4,
    least_texts: int = 5,
    seed: int = 0,
) -> ShortcutStory:
    """Fine-tune, find the shortcut by attribution, take it out, fine-tune again, and compare.

    Parameters
    ----------
    encoder : Encoder
        `workbench.load_encoder()`; it is copied.
    train, test : sequence of ShortcutRow
        Default: data/explainability's.
    mark : str, optional
        The planted sentence, put into unmarked test rows to measure how it pushes. Default: the data set's.
    epochs, rate : int, float
        Of AdamW, batches of 16.
    least_texts : int
        A suspect is in at least so many training texts.

    Raises
    ------
    UsageError
        Rows of one label only, or no word that is in enough texts.
    """
    from ..data import MARK

    train = shortcut_rows("train") if train is None else list(train)
    test = shortcut_rows("test") if test is None else list(test)
    mark = MARK if mark is None else mark
    for rows, name in ((train, "training"), (test, "test")):
        if {row.label for row in rows} != {0, 1}:
            raise UsageError(f"the {name} rows have labels {sorted({r.label for r in rows})}: give rows of both labels")
    texts, labels = [row.text for row in train], [row.label for row in train]
    first = _Classifier(encoder, seed).fit(texts, labels, epochs, rate)
    found = first.words(texts, least_texts)
    if len(found) < 2:
        raise UsageError(f"fewer than two words are in {least_texts} training texts: lower least_texts")
    suspect = found[0][0]
    others = [word for word, *_ in found[1:] if not _says(mark, word)] or [found[-1][0]]
    control_word = str(np.random.default_rng(seed).choice(others))
    story, right = {}, {}
    for name, word in (("before", None), ("after", suspect), ("control", control_word)):
        model = first if word is None else _Classifier(encoder, seed).fit(
            [_without(text, word) for text in texts], labels, epochs, rate
        )  # fmt: skip
        story[name], right[name] = _measure(model, test, mark)
    return ShortcutStory(
        tuple(found[:10]), suspect, story["before"], story["after"], story["control"], control_word,
        mean_interval(right["after"] - right["before"], bounds=(-1, 1)),
    )  # fmt: skip


def _measure(model: "_Classifier", test, mark: str):
    labels = np.array([row.label for row in test]) == 1
    plain = [
        " ".join(row.text.replace(mark, " ").split()) for row in test
    ]  # every test text once without, once with it
    without, given = model.logits(plain), model.logits([row.text for row in test])
    marked = model.logits([f"{text} {mark}" for text in plain])
    misled = np.where(labels, without, marked)  # praise without the mark, blame with it
    helped = np.where(labels, marked, without)
    n = len(test)
    right = (misled > 0) == labels
    numbers = {
        "accuracy": proportion_interval(int(((given > 0) == labels).sum()), n),
        "accuracy, shortcut misleads": proportion_interval(int(right.sum()), n),
        "accuracy, shortcut helps": proportion_interval(int(((helped > 0) == labels).sum()), n),
        "flips": proportion_interval(int(((without > 0) != (marked > 0)).sum()), n),
        "push": mean_interval(marked - without, unit="logits"),
    }
    return numbers, right.astype(float)


def _says(text: str, word: str) -> bool:
    return word in WORD.findall(text.lower())


def _without(text: str, word: str) -> str:
    """``text`` without the sentences that hold ``word``; the whole text if nothing would be left."""
    kept = [part for part in re.split(r"(?<=[.!?])\s+", text) if not _says(part, word)]
    return " ".join(kept) or text


class _Classifier:
    """A copy of an encoder with a linear head on its mean token state, all of it trained."""

    def __init__(self, encoder, seed: int):
        import torch

        self.module = copy.deepcopy(encoder.module).float()
        self.tokenizer = encoder.tokenizer
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        width = self.module.config.hidden_size
        self.head = torch.nn.Linear(width, 1).to(self.module.device)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(1, width, generator=generator) * 0.02)
            self.head.bias.zero_()

    def _logit(self, texts):
        """Logit of praise (B,), with gradients."""
        import torch

        batch = self.tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True).to(self.module.device)
        states = self.module(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].to(states)
        pooled = (states * mask).sum(1) / mask.sum(1)  # (B, H)
        pooled = torch.nn.functional.normalize(pooled, dim=-1) * pooled.shape[-1] ** 0.5  # entries of size about 1
        return self.head(pooled)[:, 0]

    def fit(self, texts, labels, epochs: int, rate: float) -> "_Classifier":
        import torch

        target = torch.tensor(labels, dtype=torch.float32, device=self.module.device)
        parameters = [*self.module.parameters(), *self.head.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimiser = torch.optim.AdamW(parameters, lr=rate)
        rng = np.random.default_rng(self.seed)
        self.module.eval()  # without dropout: a run is a function of its seed
        for _ in range(epochs):
            order = rng.permutation(len(texts))
            for some in np.split(order, range(16, len(order), 16)):
                logit = self._logit([texts[i] for i in some])
                loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, target[torch.as_tensor(some)])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return self

    def logits(self, texts) -> np.ndarray:
        import torch

        with torch.no_grad():
            return torch.cat([self._logit(texts[i : i + 32]) for i in range(0, len(texts), 32)]).cpu().numpy()

    def words(self, texts, least: int) -> list[tuple[str, float, int]]:
        """Words by the size of what the logit loses without them, on average over their texts: (word, mean, texts)."""
        total: dict[str, list[float]] = defaultdict(list)
        edited, owners = [], []
        for place, text in enumerate(texts):
            for word in dict.fromkeys(WORD.findall(text.lower())):
                edited.append(" ".join(re.sub(rf"(?i)(?<![a-z']){re.escape(word)}(?![a-z'])", " ", text).split()))
                owners.append((word, place))
        whole, without = self.logits(texts), self.logits(edited)
        for (word, place), logit in zip(owners, without, strict=True):
            total[word].append(float(whole[place] - logit))
        found = [(word, float(np.mean(v)), len(v)) for word, v in total.items() if len(v) >= least]
        return sorted(found, key=lambda one: -abs(one[1]))
