"""Probes: is a property there to be read, and is it the model or the probe that knows it?

`linear_probe` fits a logistic regression on the stream at the last token, layer by layer, and tests it on sentences
with other words. Beside it are controls: the same probe with random labels (control labels, after Hewitt and Liang
2019: it fits them on the training texts and must fail on others), word counts instead of the stream, and the majority
class. `parameter_free_probe` trains nothing: it asks whether the model prefers the right continuation of minimal pairs.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from ....errors import UsageError
from ....models import require
from ....models.prefix.packed import packed_next
from ....results import Results
from ....rows import Row
from ..blocks import anatomy, checked_layers, last_stream
from ..data import MinimalPair, minimal_pairs
from ..tokens import answer_tokens, prompt_ids

WORD = re.compile(r"\b\w\w+\b")  # what scikit-learn counts
ARMS = ("probe", "control labels", "control, on training texts")


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
) -> Results:
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

    Returns
    -------
    Results
        Measure "right", label "layer" (see `Results.table`). Arms: "probe", items the test texts; "control labels" and
        "control, on training texts" (near 1: it can learn anything by heart), items the labelings; and without a
        layer, items the test texts: "word counts" (a logistic regression on them) and "majority".

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
    rng = np.random.default_rng(seed)
    # as many ones as before, so that only the assignment is random
    drawn = [(rng.permutation(labels[0]), rng.permutation(labels[1])) for _ in range(n_control)]
    asked = [list(train_texts), list(test_texts), *(half.tolist() for half in labels), layers]
    results = Results("linear probe", model=model, settings=[*asked, n_control])
    on_texts, on_labels = range(len(test_texts)), range(n_control)
    keys = [(arm, f"layer {layer}: {n}", seed) for arm, items in zip(ARMS, (on_texts, on_labels, on_labels))
            for layer in layers for n in items]  # fmt: skip
    keys += [(arm, str(n), seed) for arm in ("word counts", "majority") for n in on_texts]

    def probed(_missing) -> Iterator[Row]:
        train, test = (last_stream(model, list(texts), layers, what="a probe") for texts in (train_texts, test_texts))

        def read(arm: str, guessed, layer: int | None = None) -> Iterator[Row]:
            place, labelled = ("", {}) if layer is None else (f"layer {layer}: ", {"layer": layer})
            for n, (text, guess, truth) in enumerate(zip(test_texts, guessed, labels[1], strict=True)):
                measures = {"right": bool(guess == truth)}
                yield Row(arm, f"{place}{n}", seed, str(n), measures, labelled, text, str(int(guess)))

        for layer, before, after in zip(layers, train, test, strict=True):
            yield from read(ARMS[0], _fitted(before, labels[0]).predict(after), layer)
            for n, (one, other) in enumerate(drawn):
                probe = _fitted(before, one)
                for arm, right in zip(ARMS[1:], (probe.score(after, other), probe.score(before, one))):
                    yield Row(arm, f"layer {layer}: {n}", seed, str(n), {"right": right}, {"layer": layer})
        yield from read("word counts", _words(train_texts, labels[0], test_texts))
        yield from read("majority", np.full(len(test_texts), round(labels[1].mean())))

    results.compute(keys, probed, together=True)
    return results


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


def _fitted(train, labels):
    """A regularised logistic regression on standardised columns."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)).fit(train, labels)


def _words(train_texts, labels, test_texts) -> np.ndarray:
    """Labels (N,) of the test texts by a logistic regression on word counts."""
    if not any(WORD.search(text) for text in train_texts):  # nothing to count: the commoner label is all there is
        return np.full(len(test_texts), round(np.mean(labels)))
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    probe = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=2000)).fit(list(train_texts), labels)
    return probe.predict(list(test_texts))
