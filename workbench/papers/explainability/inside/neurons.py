"""Neurons and the texts that make them fire.

A neuron is one entry of a feed-forward layer's inner activation (the input of its last matrix). Browsing reads a
corpus, keeps the peak of every neuron in every text, and shows the texts at the top. The most selective neurons come
first: those whose activations have the heaviest tails (excess kurtosis over all tokens). Which tokens a neuron promotes
is read from its column of the last matrix through the model's head: its direct effect only, norms left out.

Highest examples invite stories. `topic_neuron` therefore chooses a neuron for a topic on one half of the texts and
measures it on the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import ModelError, UsageError
from ....models.prefix.packed import padded
from ....stats import Estimate, auroc
from ..blocks import Anatomy, anatomy, checked_layers, recorded
from ..tokens import prompt_ids, token_texts


@dataclass(frozen=True)
class NeuronExample:
    """A text, its tokens, the neuron's activation at each (T,), and where it is highest (the first token left out)."""

    text: str
    tokens: tuple[str, ...]
    activations: np.ndarray
    peak: int


@dataclass(frozen=True)
class NeuronCard:
    """One neuron: the block it is in (from 1), its number, how heavy its tails are, its top texts, and what it says."""

    layer: int
    neuron: int
    kurtosis: float
    examples: tuple[NeuronExample, ...]
    promotes: tuple[str, ...]


@dataclass(frozen=True)
class TopicNeuron:
    """The neuron that best tells a topic: AUROC on the choosing half, on the other, and of random neurons there."""

    topic: str
    layer: int
    neuron: int
    chosen: float
    heldout: Estimate
    random: float


def browse_neurons(
    model, texts: Sequence[str], *, layer: int | None = None, top_neurons: int = 8, top_examples: int = 5
) -> list[NeuronCard]:
    """The most selective neurons of a block over a corpus, each with its top texts.

    Parameters
    ----------
    model : Model
        Needs "hidden" and weights in this process.
    texts : sequence of str
        At least two.
    layer : int, optional
        The block, from 1. Default: the middle one.

    Raises
    ------
    UsageError
        Fewer than two texts, an empty text, or a block that is not there.
    """
    from scipy.stats import kurtosis

    parts, layer, ids, found = _read(model, texts, layer)
    tails = kurtosis(np.concatenate([states[1:] for states in found]), axis=0)  # (F,)
    best = np.argsort(-np.nan_to_num(tails, nan=-1), kind="stable")[:top_neurons]
    return [_card(model, parts, texts, ids, found, layer, int(n), float(tails[n]), top_examples) for n in best]


def topic_neuron(
    model, rows, topic: str, *, layer: int | None = None, n_random: int = 200, seed: int = 0
) -> TopicNeuron:
    """The neuron whose peak best tells texts of a topic from the others, chosen on every second text of either kind.

    Parameters
    ----------
    rows : sequence with .topic and .text
        For instance ``corpus()``.

    Raises
    ------
    UsageError
        Fewer than four texts of the topic, or of the others; a text of one token; no random neuron.
    """
    from scipy.stats import rankdata

    is_topic = np.array([row.topic == topic for row in rows])
    if is_topic.sum() < 4 or (~is_topic).sum() < 4:
        raise UsageError(f"topic {topic!r} has {is_topic.sum()} of {len(rows)} texts: give at least 4, and 4 others")
    if n_random < 1:
        raise UsageError(f"n_random={n_random}: a chosen neuron says nothing without random ones, give at least 1")
    _, layer, _, found = _read(model, [row.text for row in rows], layer)
    short = [row.text for row, states in zip(rows, found, strict=True) if len(states) < 2]
    if short:
        raise UsageError(f"the text {short[0]!r} is one token, the attention sink: give texts of two tokens or more")
    peaks = np.array([states[1:].max(0) for states in found])  # (texts, F)
    half = np.zeros(len(rows), dtype=bool)
    for kind in (is_topic, ~is_topic):
        half[np.flatnonzero(kind)[::2]] = True

    def areas(rows_chosen):
        mine = is_topic[rows_chosen]
        ranks = rankdata(peaks[rows_chosen], axis=0)
        n = mine.sum()
        return (ranks[mine].sum(0) - n * (n + 1) / 2) / (n * (~mine).sum())

    choosing, other = areas(half), areas(~half)
    best = int(choosing.argmax())
    draws = np.random.default_rng(seed).choice(peaks.shape[1], min(n_random, peaks.shape[1]), replace=False)
    heldout = auroc(peaks[~half & is_topic, best], peaks[~half & ~is_topic, best], seed=seed)
    return TopicNeuron(topic, layer, best, float(choosing[best]), heldout, float(other[draws].mean()))


def _read(model, texts, layer):
    """Parts, checked block, token ids, and each text's activations (T, F)."""
    import torch

    if isinstance(texts, str) or len(texts) < 2:
        raise UsageError("browsing needs a list of at least two texts: give more")
    parts = anatomy(model, for_="browsing neurons")
    depth = len(parts.blocks)
    layer = checked_layers([max(1, depth // 2) if layer is None else layer], 1, depth, model.name)[0]
    ids = [prompt_ids(model, text, what=f"text {i}") for i, text in enumerate(texts)]
    found: list = [None] * len(ids)
    for batch, inputs in padded(model, ids, 4096):
        with torch.inference_mode(), recorded(inner=(parts.neurons(layer), "input")) as kept:
            model.module(**inputs, use_cache=False, logits_to_keep=1)
        for row, i in enumerate(batch):
            found[i] = kept["inner"][0][row, : len(ids[i])].float().cpu().numpy()
    return parts, layer, ids, found


def _card(model, parts: Anatomy, texts, ids, found, layer, neuron, tails, count) -> NeuronCard:
    import torch

    # the first token is the attention sink: its activations are huge and say nothing about the text
    peaks = [1 + int(states[1:, neuron].argmax()) if len(states) > 1 else 0 for states in found]
    order = sorted(range(len(texts)), key=lambda i: -found[i][peaks[i], neuron])[:count]
    examples = tuple(
        NeuronExample(texts[i], token_texts(model, ids[i]), found[i][:, neuron].copy(), peaks[i]) for i in order
    )
    matrix = parts.neurons(layer)
    with torch.inference_mode():
        both = torch.zeros(2, found[0].shape[1], device=model.device, dtype=parts.read_out.dtype)
        both[0, neuron] = 1.0  # its column, whichever way the matrix is stored: with the neuron, less without (biases)
        columns = matrix(both)
        if columns.shape[-1] != parts.head.weight.shape[-1]:
            raise ModelError(
                f"{model.name} projects its states from {columns.shape[-1]} to {parts.head.weight.shape[-1]} numbers "
                "before its head, so a neuron has no direct effect to read: choose another model"
            )
        effect = parts.head(columns).float().diff(dim=0)[0].neg()
    return NeuronCard(layer, neuron, tails, examples, token_texts(model, effect.topk(8).indices.tolist()))
