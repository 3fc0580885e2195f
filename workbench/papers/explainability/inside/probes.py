"""Probes: is a property there to be read, and is it the model or the probe that knows it?

`linear_probe` fits a logistic regression on the stream at the last token, layer by layer, and tests it on sentences
with other words. Beside it are controls: the same probe with random labels (control labels, after Hewitt and Liang
2019: it fits them on the training texts and must fail on others), word counts instead of the stream, and the majority
class. `parameter_free_probe` trains nothing: it asks whether the model prefers the right continuation of minimal pairs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import UsageError
from ....models import require
from ....models.prefix.packed import packed_next
from ....results import Results
from ....rows import Row
from ....stats import Estimate, proportion_interval
from ..blocks import anatomy, checked_layers, last_stream
from ..data import MinimalPair, minimal_pairs
from ..tokens import answer_tokens, prompt_ids

WORD = re.compile(r"\b\w\w+\b")  # what scikit-learn counts


@dataclass(frozen=True)
class ProbeResult:
    """Accuracies on the test texts, by layer.

    Attributes
    ----------
    layers : (L,) ints
    accuracy, control : (L,)
        Of the probe, and its mean with control labels.
    control_train : (L,)
        How well the probe fits control labels on the training texts (near 1: it can learn anything by heart).
    selectivity : (L,)
        accuracy - control.
    interval : (L,) Estimates
        The accuracy with its Wilson interval.
    words : float
        Accuracy of a logistic regression on word counts.
    majority : float
    n_test : int
    """

    layers: tuple[int, ...]
    accuracy: np.ndarray
    control: np.ndarray
    control_train: np.ndarray
    selectivity: np.ndarray
    interval: tuple[Estimate, ...]
    words: float
    majority: float
    n_test: int

    def frame(self):
        """One row a layer."""
        import pandas as pd

        low, high = ([getattr(e, end) for e in self.interval] for end in ("low", "high"))
        columns = {"accuracy": self.accuracy, "low": low, "high": high, "control labels": self.control,
                   "control, on training texts": self.control_train, "selectivity": self.selectivity}  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index(self.layers, name="layer"))


def linear_probe(
    train_texts: Sequence[str],
    train_labels: Sequence[int],
    test_texts: Sequence[str],
    test_labels: Sequence[int],
    *,
    model,
    layers: Sequence[int] | None = None,
    n_control: int = 5,
    seed: int = 0,
) -> ProbeResult:
    """Read two-class labels from the stream at the last token, with control labels beside.

    Parameters
    ----------
    train_texts, train_labels, test_texts, test_labels
        Texts and labels 0 or 1, both in either half.
    model : Model
        Needs "hidden" and weights in this process.
    layers : sequence of int, optional
        Default: five from the embedding to the last block.
    n_control : int
        Random labelings.

    Raises
    ------
    UsageError
        Lists of different length, a half with one label only, no control.
    """
    parts = anatomy(model, for_="a probe")
    depth = len(parts.blocks)
    layers = checked_layers(
        sorted({round(depth * i / 4) for i in range(5)}) if layers is None else layers, 0, depth, model.name
    )
    labels = []
    for half, texts, given in (("training", train_texts, train_labels), ("test", test_texts, test_labels)):
        if len(texts) != len(given) or set(given) != {0, 1}:
            raise UsageError(
                f"the {half} half has {len(texts)} texts and {len(given)} labels of {len(set(given))} kinds: give a "
                "label 0 or 1 for every text, and some of each"
            )
        labels.append(np.array(given))
    if n_control < 1:
        raise UsageError(f"n_control={n_control}: a probe without control labels says nothing, give at least 1")
    train, test = (last_stream(model, list(texts), layers, what="a probe") for texts in (train_texts, test_texts))
    rng = np.random.default_rng(seed)
    # as many ones as before, so that only the assignment is random
    drawn = [(rng.permutation(labels[0]), rng.permutation(labels[1])) for _ in range(n_control)]
    accuracy, control, control_train = [], [], []
    for place in range(len(layers)):
        accuracy.append(_fit(train[place], labels[0], test[place], labels[1])[0])
        both = np.array([_fit(train[place], a, test[place], b) for a, b in drawn])  # (n_control, 2)
        control.append(both[:, 0])
        control_train.append(both[:, 1].mean())
    accuracy, control = np.array(accuracy), np.mean(control, axis=1)
    n = len(test_texts)
    majority = max(np.mean(labels[1]), 1 - np.mean(labels[1]))
    return ProbeResult(
        layers, accuracy, control, np.array(control_train), accuracy - control,
        tuple(proportion_interval(round(a * n), n) for a in accuracy),
        _words(train_texts, labels[0], test_texts, labels[1]), float(majority), n,
    )  # fmt: skip


def parameter_free_probe(model, pairs: Sequence[MinimalPair] | None = None, *, seed: int = 0) -> Results:
    """Does the model prefer the right continuation after either prompt of minimal pairs? Nothing is trained.

    Parameters
    ----------
    pairs : sequence of MinimalPair
        Default: the agreement pairs. Each gives two items: answer after clean, foil after corrupt.
    seed : int
        Of the shuffled control: the same words in random order, the last word kept in its place.

    Returns
    -------
    Results
        Arms: "as written", "words shuffled". Measures: "right" (the right continuation is preferred), "margin" in nats.

    Raises
    ------
    UsageError
        No pairs, or an answer and a foil with the same first token.
    """
    require(model, "logprobs", for_="a parameter-free probe")
    pairs = list(minimal_pairs("agreement") if pairs is None else pairs)
    if not pairs:
        raise UsageError("a parameter-free probe needs minimal pairs: give at least one")
    rng = np.random.default_rng(seed)
    asked = []
    for pair in pairs:
        for prompt, good, bad in ((pair.clean, pair.answer, pair.foil), (pair.corrupt, pair.foil, pair.answer)):
            words = prompt.split()
            shuffled = " ".join([*rng.permutation(words[:-1]), words[-1]])
            both = answer_tokens(model, good, bad)
            asked += [("as written", prompt, good, bad, both), ("words shuffled", shuffled, good, bad, both)]
    results = Results("minimal pairs", model=model, settings=[one[:4] for one in asked])
    keys = [(arm, str(number // 2), seed) for number, (arm, *_) in enumerate(asked)]

    def preferred(_missing) -> Iterator[Row]:
        watched = sorted({token for *_, both in asked for token in both})
        found = packed_next(model, [prompt_ids(model, text) for _, text, *_ in asked], lambda r: r[:, watched])
        for key, (_, text, good, bad, both), row in zip(keys, asked, found.double().tolist(), strict=True):
            margin = row[watched.index(both[0])] - row[watched.index(both[1])]
            measures = {"right": margin > 0, "margin": margin}
            yield Row(*key, measures=measures, prompt=text, reply=good if margin > 0 else bad)

    results.compute(keys, preferred, together=True)
    return results


def _fit(train, labels, test, test_labels) -> tuple[float, float]:
    """Accuracy on the test and on the training rows of a regularised logistic regression on standardised columns."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)).fit(train, labels)
    return probe.score(test, test_labels), probe.score(train, labels)


def _words(train_texts, labels, test_texts, test_labels) -> float:
    if not any(WORD.search(text) for text in train_texts):  # nothing to count: the commoner label is all there is
        return float(np.mean(np.asarray(test_labels) == round(np.mean(labels))))
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    probe = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=2000)).fit(list(train_texts), labels)
    return float(probe.score(list(test_texts), test_labels))
