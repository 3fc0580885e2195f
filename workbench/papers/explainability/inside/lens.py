"""The logit lens: what the model would say if it stopped after each layer (nostalgebraist 2020).

The residual stream of every layer and position goes through the model's own final norm and head. transformers gives its
last ``hidden_states`` entry behind the final norm already; the streams here are taken before it, and normed once.
"""

from dataclasses import dataclass

import numpy as np

from ....errors import UsageError
from ..blocks import anatomy, checked_layers, stream_of
from ..tokens import continuation, prompt_ids, token_texts

ROWS = 128  # next-token distributions computed at once


@dataclass(frozen=True)
class Lens:
    """What every layer would say next.

    Attributes
    ----------
    prompt : str
    tokens : (T,) texts
    layers : (L,) ints
        0 is the embedding, i the stream after block i.
    top : L lists of T lists of k texts
        The likeliest next tokens.
    top_probability : (L, T, k)
    entropy : (L, T)
        Of the next-token distribution, in nats.
    target : str or None
    probability, rank : (L, T) or None
        Of the target's first token; rank 0 is the likeliest.
    """

    prompt: str
    tokens: tuple[str, ...]
    layers: tuple[int, ...]
    top: tuple
    top_probability: np.ndarray
    entropy: np.ndarray
    target: str | None = None
    probability: np.ndarray | None = None
    rank: np.ndarray | None = None

    def at(self, layer: int, position: int = -1) -> list[tuple[str, float]]:
        """The likeliest next tokens at a layer and a position, with their probabilities."""
        row = self.layers.index(checked_layers([layer], 0, max(self.layers), "this lens")[0])
        return list(zip(self.top[row][position], self.top_probability[row, position].tolist(), strict=True))

    def frame(self, position: int = -1):
        """A row a layer at a position: likeliest token, its probability, entropy; the target's probability and rank."""
        import pandas as pd

        table = {
            "layer": self.layers,
            "says": [row[position][0] for row in self.top],
            "probability": self.top_probability[:, position, 0],
            "entropy (nats)": self.entropy[:, position],
        }
        if self.target is not None:
            table |= {f"p({self.target})": self.probability[:, position], "rank": self.rank[:, position]}
        return pd.DataFrame(table).set_index("layer")


def logit_lens(model, prompt: str, target: str | None = None, *, layers=None, top_k: int = 5) -> Lens:
    """Read every layer's stream at every position with the model's own final norm and head.

    Parameters
    ----------
    model : Model
        Needs "hidden" and weights in this process.
    prompt : str
    target : str, optional
        A continuation (" Paris"); its first token is followed through the layers.
    layers : sequence of int, optional
        0 (the embedding) to the number of blocks; negative counts from the end. Default: all.
    top_k : int
        Likeliest tokens to keep.

    Raises
    ------
    UsageError
        An empty or too long prompt, an empty target, a layer that is not there, no layer, top_k below 1.
    ModelError
        A model without weights here, or of an unknown architecture.
    """
    import torch

    parts = anatomy(model, for_="the logit lens")
    chosen = checked_layers(layers, 0, len(parts.blocks), model.name)
    if not chosen or top_k < 1:
        raise UsageError(f"the logit lens got {len(chosen)} layers and top_k={top_k}: give at least 1 of each")
    ids = prompt_ids(model, prompt)
    wanted = None if target is None else continuation(model, target, what="the target")[0]
    streams = stream_of(model, parts, ids)  # (N + 1, T, H)
    top, likely, entropy, probability, rank = [], [], [], [], []
    with torch.inference_mode():
        size = max(1, ROWS // len(ids))  # layers read at once: the head is wide, and so is what it gives
        for some in (chosen[at : at + size] for at in range(0, len(chosen), size)):
            logs = parts.read_out(streams[list(some)]).log_softmax(-1)  # (B, T, V)
            best = logs.topk(min(top_k, logs.shape[-1]), dim=-1)
            top += [tuple(token_texts(model, row) for row in layer) for layer in best.indices.tolist()]
            likely.append(best.values.exp().cpu().numpy())
            entropy.append(-(logs.exp() * logs).sum(-1).cpu().numpy())
            if wanted is not None:
                probability.append(logs[..., wanted].exp().cpu().numpy())
                rank.append((logs > logs[..., wanted, None]).sum(-1).cpu().numpy())
    followed = {} if wanted is None else {"probability": np.concatenate(probability), "rank": np.concatenate(rank)}
    return Lens(
        prompt, token_texts(model, ids), chosen, tuple(top), np.concatenate(likely), np.concatenate(entropy), target,
        **followed,
    )  # fmt: skip
