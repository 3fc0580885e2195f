"""Decoding one sample at a time, for what cannot go in lock step.

Attention keeps keys and values a token, so the rows of a batch can be padded, selected and repeated. Layers that keep a
running state (Mamba, RWKV, linear attention, short convolutions) have nothing to mask or to select: their samples are
decoded one by one, each with a copy of its prompt's state. A module that hands no state back at all is read from the
start for every token.
"""

import copy
from collections.abc import Callable, Hashable

import torch

from .forward import STATES, takes


class Reader:
    """A text that grows token by token, and the logits (1, V) after it.

    Parameters
    ----------
    ids : list of int
        The text so far, not empty.
    way : {"placed", "kept", "whole"}
        Keep the module's state from token to token, and give each token its position; keep it, and let the module find
        the positions by itself; or keep nothing.
    side : callable
        As in `decode.generate`: where it changes, the state is worth nothing and the whole text is read again.
    """

    def __init__(self, module, ids: list[int], *, way: str, side: Callable[[int], Hashable]):
        self.module, self.way, self.side = module, way, side
        self.ids, self.state = list(ids), None
        self._read(self.ids)

    def copy(self) -> "Reader":
        """A reader that goes on from here by itself."""
        other = copy.copy(self)
        other.ids, other.state = list(self.ids), copy.deepcopy(self.state)
        return other

    def add(self, token: int) -> None:
        """One more token."""
        if self.side(len(self.ids) + 1) != self.side(len(self.ids)):
            self.state = None
        self.ids.append(token)
        self._read([token] if self.state is not None else self.ids)

    def _read(self, ids) -> None:
        device = self.module.get_input_embeddings().weight.device
        options = {"logits_to_keep": 1} if takes(self.module, "logits_to_keep") else {}
        slot = next((name for name in STATES if takes(self.module, name)), None) if self.way != "whole" else None
        if self.state is not None:
            options[slot] = self.state
        if self.way == "placed":
            options["position_ids"] = torch.arange(len(self.ids) - len(ids), len(self.ids), device=device)[None]
        output = self.module(input_ids=torch.tensor([ids], device=device), use_cache=slot is not None, **options)
        self.state = output.get(slot) if slot else None
        self.logits = output.logits[:, -1].float().to(device)
