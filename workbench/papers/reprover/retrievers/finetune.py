"""The paper's retriever: the whole encoder trained by the similarity loss (§5.1), where a GPU or patience is at hand.

Batches and loss are those of `linear`; the vectors are the encoder's own pooling (masked mean for MiniLM and for the
authors' ByT5), of length 1. Deviations: no warm-up (training.train's rate falls linearly), texts cut where the encoder
cuts them.
"""

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

from ....training import train
from ..corpus.corpus import Corpus
from .dense import Dense, frozen
from .linear import BATCH, Batches, similarity_loss
from .queries import Query, texts_of

EPOCHS, RATE = 1, 1e-4


def finetuned(corpus: Corpus, trained: Sequence[Query], encoder, *, seed: int, epochs: int = EPOCHS) -> Dense:
    """Train ``encoder`` in place (load it for this purpose) and use it; `Encoder.save` keeps it.

    One epoch of 415 steps took MiniLM 152 CPU seconds.
    """
    states, premises = [query.tactic.state_before for query in trained], texts_of(corpus)

    def vectors(texts: list[str]) -> torch.Tensor:
        return normalize(encoder.tensor(texts), dim=-1)

    def loss(batch) -> torch.Tensor:
        steps, candidates, wanted = batch
        found = vectors([states[step] for step in steps] + [premises[number] for number in candidates])
        return similarity_loss(found[: len(steps)], found[len(steps) :], wanted.to(found.device))

    steps = max(1, epochs * len(trained) // BATCH)
    train(encoder.module, Batches(corpus, trained), loss, steps=steps, lr=RATE, seed=seed)
    encoder.name = "encoder"  # it is no longer what its name says
    return frozen(corpus, encoder)
