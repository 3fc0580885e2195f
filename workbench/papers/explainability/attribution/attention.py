"""Attention: every head's weights over a prompt, and what the predicting position looks at, as an explanation.

The first token collects attention that means "nothing" (the sink): rollout puts weight 1.00 on it (card). Leaving its
column out and normalising rows again only moves the collapse to the second token (measured: .99). So in rollout what a
position gives to the sink counts as not looking at all: that share stays with the position itself. The one-step view
leaves the sink's column out. Whether attention explains at all is debated (survey §3.1.2).
"""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ....errors import UsageError
from ....models.files.cache import size_text
from ..tokens import MethodRefused, Question, read_prompt

MAP_BYTES = 2**31  # memory that the maps of one prompt may take


def attention_scores(method: str, question: Question, *, layer: int | None) -> tuple[np.ndarray, int]:
    """Scores (n,) that add up to 1 over the tokens that take part, and the tokens computed.

    "attention": the mean over heads, layers (or one ``layer``, 1 to depth) and the positions that predict the target's
    tokens. "rollout" (Abnar and Zuidema 2020): (A + I) / 2 multiplied up to ``layer`` (default: all).
    """
    length = len(question.ids)
    ids = [*question.ids, *question.target_ids[:-1]]
    layers = attention_weights(question.model, ids)
    weights = torch.stack([layer.double().mean(0).cpu() for layer in layers])  # (L, T, T)
    for place in question.held:
        if method == "rollout":
            weights[:, range(place + 1, len(ids)), range(place + 1, len(ids))] += weights[:, place + 1 :, place]
        weights[:, place + 1 :, place] = 0
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-30)
    if method == "attention":
        chosen = weights if layer is None else weights[layer - 1 : layer]
        rows = chosen.mean(0)
    else:
        rows = torch.eye(len(ids), dtype=torch.float64)
        for matrix in weights[:layer]:
            rows = (matrix + torch.eye(len(ids), dtype=torch.float64)) / 2 @ rows
    scores = rows[length - 1 :, :length].mean(0).numpy().copy()
    scores[list(question.held)] = 0.0
    total = scores.sum()
    return (scores / total if total > 0 else scores), len(ids)


@torch.no_grad()
def attention_weights(model, ids) -> list[torch.Tensor]:
    """Attention of each layer, (H, T, T) on the model's device: row t is where position t looks.

    Raises
    ------
    UsageError
        The maps would take more than `MAP_BYTES`.
    ModelError
        A model that gives none.
    """
    config = model.module.config.get_text_config(decoder=True)
    maps = config.num_hidden_layers * (getattr(config, "num_attention_heads", None) or 1)
    need = maps * len(ids) ** 2 * model.module.get_input_embeddings().weight.dtype.itemsize
    if need > MAP_BYTES:
        raise UsageError(
            f"the {maps} attention maps of {len(ids)} tokens take {size_text(need)}, more than the "
            f"{size_text(MAP_BYTES)} they may: give at most {int(len(ids) * (MAP_BYTES / need) ** 0.5)} tokens"
        )
    with eager(model):
        out = model.module(
            input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False, output_attentions=True,
            logits_to_keep=1,
        )  # fmt: skip
    found = getattr(out, "attentions", None)  # a model without attention has no such field
    if not found or found[0] is None:
        raise MethodRefused(
            f"{model.name} does not give its attention weights: choose another method, such as occlusion, or another "
            "model, such as smollm2"
        )
    return [layer[0] for layer in found]


@contextmanager
def eager(model):
    """While inside, attention is computed by the plain formula, the only kernel that keeps its weights."""
    module = model.module
    before = module.config._attn_implementation
    if before == "eager" or not hasattr(module, "set_attn_implementation"):
        yield
        return
    module.set_attn_implementation("eager")
    try:
        yield
    finally:
        module.set_attn_implementation(before)


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
        ``prompt`` holds no token, or so many that their maps take more than `MAP_BYTES`.
    """
    reading = read_prompt(model, prompt)
    weights = torch.stack([layer.float().cpu() for layer in attention_weights(model, reading.ids)])
    return AttentionMaps(list(reading.tokens), weights.numpy())
