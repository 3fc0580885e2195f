"""Attention as it is: every head's weights over a prompt, with the sink apart.

In trained decoders most heads rest on the first token where they have nothing to look for (the attention sink), so a
map of raw weights shows little else; `AttentionMaps.without_sink` leaves that column out and lets each row sum to one
again. Whether a weight explains anything is disputed (survey §3.1.2): the weights are shown here, not interpreted.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..tokens import local, read_prompt
from .attention import attention_weights


@dataclass(frozen=True)
class AttentionMaps:
    """Attention weights of one prompt.

    Attributes
    ----------
    tokens : list of str
        T tokens.
    weights : ndarray (L, H, T, T)
        Block, head, query, key; every row sums to 1 over the keys.
    """

    tokens: list[str]
    weights: np.ndarray

    @property
    def sink(self) -> np.ndarray:
        """(L, H): the weight on the first token, mean over the queries behind it (0 for a prompt of one token)."""
        later = self.weights[:, :, 1:, 0]
        return later.mean(-1) if later.shape[-1] else np.zeros(self.weights.shape[:2])

    def without_sink(self) -> np.ndarray:
        """(L, H, T, T): the first token's column set to 0, each row divided by what is left (its own row stays 0)."""
        rest = self.weights.copy()
        rest[..., 0] = 0
        left = rest.sum(-1, keepdims=True)
        return np.divide(rest, left, out=np.zeros_like(rest), where=left > 1e-12)

    def distance(self) -> np.ndarray:
        """(L, H): how many tokens back a head looks; the sink left out, mean over queries that look elsewhere."""
        rest = self.without_sink()
        places = np.arange(len(self.tokens))
        back = (rest * (places[:, None] - places[None, :])).sum(-1)  # (L, H, T)
        seen = rest.sum(-1) > 0.5
        return (back * seen).sum(-1) / np.maximum(seen.sum(-1), 1)


def attention_maps(model, prompt) -> AttentionMaps:
    """The attention weights of every head over ``prompt``.

    Parameters
    ----------
    model : Model
        A handle with weights in this process.
    prompt : str, list of int, or list of messages

    Raises
    ------
    ModelError
        ``model`` has no weights here, or its architecture gives no attention weights.
    UsageError
        ``prompt`` holds no token, or so many that their maps take more than `attention.MAP_BYTES`.
    """
    local(model)
    reading = read_prompt(model, prompt)
    weights = torch.stack([layer.float().cpu() for layer in attention_weights(model, reading.ids)])
    return AttentionMaps(list(reading.tokens), weights.numpy())
