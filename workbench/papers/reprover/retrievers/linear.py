"""A trained retriever that costs seconds: one linear map on a frozen sentence encoder, by the paper's loss (§5.1).

1. State and premise are embedded by the frozen encoder: x, (H,).
2. One matrix W, at first the identity, serves both: f(x) = W x / |W x|; similarity is f(state) · f(premise).
3. A batch holds B steps, each with one of its positives, one negative of the same file as that positive and two others,
   all accessible. The loss is the mean of (similarity - label)² over the B states and all candidates of the batch; a
   label is 1 where the candidate is any positive of that state, else 0.

The encoder (not the matrix alone) is what the paper trains: `finetune` does that.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from ....errors import DataError, ModelError
from ....files import write_atomic, write_json
from ....models.files.headers import read_safetensors
from ....training import train
from ..corpus.corpus import Corpus
from .dense import Dense, identity, kept_vectors
from .queries import Query, texts_of

BATCH, NEGATIVES, EPOCHS, RATE = 8, 3, 60, 1e-3
HEAD, ABOUT = "head.safetensors", "head.json"


class Head(torch.nn.Module):
    """f(x) = W x / |W x| for rows x: (N, H) -> (N, H)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(width))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return normalize(vectors @ self.weight.T, dim=-1)


class Batches:
    """Draws batches of training steps with their candidates: (numbers of the steps (B,), premises (C,), labels (B, C)).

    Raises
    ------
    DataError
        No training step names a premise.
    """

    def __init__(self, corpus: Corpus, trained: Sequence[Query], size: int = BATCH) -> None:
        if not trained:
            raise DataError("no training step names a premise, so no retriever can be trained; give more theorems")
        path = np.array([premise.path for premise in corpus.premises])
        self._size, self._positives = size, [sorted(query.positives) for query in trained]
        self._others: list[torch.Tensor] = []  # of each step: accessible premises that are no positives
        self._near: list[dict[int, torch.Tensor]] = []  # of each step and positive: those of the positive's file
        for query in trained:
            mask = corpus.accessible(query.theorem.file_path, query.theorem.start)
            mask[list(query.positives)] = False
            self._others.append(torch.from_numpy(np.flatnonzero(mask)))
            near = {number: np.flatnonzero(mask & (path == path[number])) for number in query.positives}
            self._near.append({number: torch.from_numpy(some) for number, some in near.items()})

    def __call__(self, generator: torch.Generator):
        def draw(values: torch.Tensor, count: int) -> list[int]:
            return values[torch.randint(len(values), (count,), generator=generator)].tolist() if len(values) else []

        steps = torch.randint(len(self._positives), (self._size,), generator=generator).tolist()
        candidates: list[int] = []
        for step in steps:
            (positive,) = draw(torch.tensor(self._positives[step]), 1)
            candidates += [positive, *draw(self._near[step][positive], 1), *draw(self._others[step], NEGATIVES - 1)]
        candidates = list(dict.fromkeys(candidates))
        return steps, candidates, labels(candidates, [self._positives[step] for step in steps])


def labels(candidates: Sequence[int], positives: Sequence[Sequence[int]]) -> torch.Tensor:
    """(B, C): 1 where a candidate is any positive of that state."""
    return torch.tensor([[float(one in some) for one in candidates] for some in positives])


def similarity_loss(states: torch.Tensor, premises: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean squared difference between the cosines, (B, H) by (C, H) unit rows, and the labels, (B, C)."""
    return (states @ premises.T - wanted).square().mean()


def train_head(corpus: Corpus, trained: Sequence[Query], states, premises, *, seed: int, epochs: int = EPOCHS) -> Head:
    """A head for vectors of the training steps' states, (T, H), and of all premises, (P, H)."""
    states, premises = torch.tensor(np.asarray(states)), torch.tensor(np.asarray(premises))
    head = Head(premises.shape[1])

    def loss(batch) -> torch.Tensor:
        steps, candidates, wanted = batch
        return similarity_loss(head(states[steps]), head(premises[candidates]), wanted)

    steps = max(1, epochs * len(trained) // BATCH)
    return train(head, Batches(corpus, trained), loss, steps=steps, lr=RATE, seed=seed, fused=True)


def linear(corpus: Corpus, trained: Sequence[Query], encoder, *, seed: int, epochs: int = EPOCHS) -> "Linear":
    """Train a head on ``encoder``, which stays as it is."""
    about = identity(encoder)
    premises = kept_vectors(encoder.name, about, texts_of(corpus), encoder.embed)
    states = kept_vectors(encoder.name, about, [query.tactic.state_before for query in trained], encoder.embed)
    return Linear(corpus, encoder, train_head(corpus, trained, states, premises, seed=seed, epochs=epochs))


class Linear(Dense):
    """A trained head on a frozen encoder."""

    def __init__(self, corpus: Corpus, encoder, head: Head, name: str = "linear") -> None:
        self._encoder, self._head = encoder, head
        premises = kept_vectors(encoder.name, identity(encoder), texts_of(corpus), encoder.embed)
        super().__init__(name, self._mapped(premises), lambda states: self._mapped(encoder.embed(states)))

    @torch.no_grad()
    def _mapped(self, vectors):
        return self._head(torch.tensor(np.asarray(vectors))).numpy()  # (N, H)

    def save(self, folder) -> Path:
        """Write the head and what it goes with; `opened` reads it."""
        from safetensors.torch import save

        folder = Path(folder)
        write_atomic(folder / HEAD, save({"weight": self._head.weight.detach().half()}))
        write_json(folder / ABOUT, {"kind": "linear", "encoder": self._encoder.name, **identity(self._encoder)})
        return folder


def opened(corpus: Corpus, folder: Path, load_encoder) -> Linear:
    """The retriever that `Linear.save` wrote.

    Raises
    ------
    ModelError
        A file is missing or damaged, of another shape, or the encoder here is another one than it was trained on.
    """
    from safetensors.torch import load_file

    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        name, weights = str(about["encoder"]), str(about["weights"])
        read_safetensors([folder / HEAD])
        matrix = load_file(folder / HEAD)["weight"].float()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} is no trained retriever ({error}): it must hold {HEAD} and {ABOUT}") from error
    encoder = load_encoder(name)
    if encoder.checksum() != weights:
        raise ModelError(f"{folder} was trained on another {name} than the one here: train it again")
    if matrix.shape != (encoder.width, encoder.width) or not torch.isfinite(matrix).all():
        raise ModelError(f"{folder} holds a matrix that does not fit {name} or is not finite: train it again")
    head = Head(encoder.width)
    head.load_state_dict({"weight": matrix})
    return Linear(corpus, encoder, head)
