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
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ....errors import UsageError
from ....results import Results
from ....rows import Key, Row
from ....stats import Estimate
from ..data import ShortcutRow, shortcut_rows

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
FIRST = "as trained first"


@dataclass(frozen=True)
class ShortcutStory:
    """What was found and what it changed.

    Attributes
    ----------
    found : tuple of (word, mean score, texts it is in)
        Words by mean attribution to praise over the training texts, largest size first.
    suspect : str
        The first of them: the word whose sentences were taken out.
    control_word : str
        A random other word of them.
    results : Results
        Arms: `FIRST`, "without SUSPECT" and "control: without WORD" are classifiers trained without the sentences that
        hold the word; items the test texts. Measures: "accuracy" on the texts as they are; "accuracy, shortcut
        misleads" on every text without the mark if it is praise and with it if it is blame, "accuracy, shortcut helps"
        the other way round; "flips" (its label changes when the mark is put in); "push (logits)" (what that
        does to praise's logit).
    change : Estimate
        Paired difference of being right where the shortcut misleads, without the suspect minus as trained first.
    """

    found: tuple[tuple[str, float, int], ...]
    suspect: str
    control_word: str
    results: Results
    change: Estimate

    def frame(self):
        """The measures of the three classifiers side by side."""
        import pandas as pd

        table = {measure: self.results.table(measure) for measure in self.results.rows[0].measures}
        return pd.DataFrame(table).T.map(str)


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
    asked = [[vars(row) for row in train], [vars(row) for row in test], mark, epochs, rate]

    @cache
    def classifier(word: str | None = None) -> _Classifier:
        kept = texts if word is None else [_without(text, word) for text in texts]
        return _Classifier(encoder, seed).fit(kept, labels, epochs, rate)

    count = Counter(word for text in texts for word in set(WORD.findall(text.lower())))
    often = sorted(word for word, n in count.items() if n >= least_texts)
    if len(often) < 2:
        raise UsageError(f"fewer than two words are in {least_texts} training texts: lower least_texts")

    def attributed(_missing) -> Iterator[Row]:
        scores = classifier().words(texts, often)
        return (Row(FIRST, word, seed, "", {"score": scores[word], "texts": count[word]}) for word in often)

    words = Results("shortcut: words", model=encoder, settings=asked)
    words.compute([(FIRST, word, seed) for word in often], attributed, together=True)
    found = sorted(words.rows, key=lambda row: -abs(row.measures["score"]))
    found = [(row.item, row.measures["score"], row.measures["texts"]) for row in found]
    suspect = found[0][0]
    others = [word for word, *_ in found[1:] if not _says(mark, word)] or [found[-1][0]]
    control_word = str(np.random.default_rng(seed).choice(others))
    arms = {FIRST: None, f"without {suspect!r}": suspect, f"control: without {control_word!r}": control_word}
    results = Results("shortcut", model=encoder, settings=asked)
    for arm, word in arms.items():
        keys = [(arm, row.id, seed) for row in test]
        results.compute(keys, lambda keys, word=word: _measured(classifier(word), keys, test, mark), together=True)
    change = results.added(list(arms)[1], FIRST, "accuracy, shortcut misleads", (0, 1))
    return ShortcutStory(tuple(found[:10]), suspect, control_word, results, change)


def _measured(model: "_Classifier", keys: Sequence[Key], test, mark: str) -> Iterator[Row]:
    praise = np.array([row.label for row in test]) == 1
    # every test text once without the mark, once with it
    plain = [" ".join(row.text.replace(mark, " ").split()) for row in test]
    without, given = model.logits(plain), model.logits([row.text for row in test])
    marked = model.logits([f"{text} {mark}" for text in plain])
    columns = {
        "accuracy": (given > 0) == praise,
        "accuracy, shortcut misleads": (np.where(praise, without, marked) > 0) == praise,
        "accuracy, shortcut helps": (np.where(praise, marked, without) > 0) == praise,
        "flips": (without > 0) != (marked > 0),
        "push (logits)": marked - without,
    }
    for number, (key, row) in enumerate(zip(keys, test, strict=True)):
        measures = {name: column[number] for name, column in columns.items()}
        said = "praise" if given[number] > 0 else "blame"
        yield Row(
            *key, measures=measures, labels={"truth": "praise" if row.label else "blame"}, prompt=row.text, reply=said
        )


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

    def words(self, texts, often: Sequence[str]) -> dict[str, float]:
        """Word -> what the logit loses without it, on average over the texts that have it."""
        owners = [(word, n) for n, text in enumerate(texts) for word in often if _says(text, word)]
        edited = [
            " ".join(re.sub(rf"(?i)(?<![a-z']){re.escape(word)}(?![a-z'])", " ", texts[n]).split())
            for word, n in owners
        ]
        lost = self.logits(texts)[[n for _, n in owners]] - self.logits(edited)
        return {word: float(np.mean(lost[[one == word for one, _ in owners]])) for word in often}
