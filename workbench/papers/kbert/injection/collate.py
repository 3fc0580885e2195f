"""Batches for the encoder: padding, positions, and the visible matrix as an additive float mask.

The mask is made here and nowhere else, for one batch at a time. It is 0 where a token may look and -1e4 where it may
not ((1 - V) * -1e4, card). The attention of Hugging Face models *adds* it: a bool mask and a mask of ones and zeros
are both accepted there and both wrong (`check_mask`).
"""

from collections.abc import Sequence

import numpy as np
import torch

from ....errors import UsageError
from ..encoder.families import Family, family_of
from ..settings import SETTINGS
from .tree import Injected

IGNORE = -100  # torch's ignore_index: no loss at this token


def additive_mask(owner: np.ndarray, branch: np.ndarray, penalty: float = SETTINGS.penalty) -> np.ndarray:
    """(B, T, T) float32: 0 where the visible matrix is True, ``penalty`` elsewhere.

    Parameters
    ----------
    owner, branch
        (B, T) int16, as in `tree.visible_matrix`; ``branch`` is -1 for pads, which see themselves alone and are seen by
        nobody (a row without a visible token would make NaN of its softmax).
    """
    hidden = branch[:, :, None] != branch[:, None, :]  # another branch, or branch and trunk
    of = np.where(branch > 0, owner, -1).astype(np.int16)  # a branch token: the word it hangs on
    has = np.where((branch == 0) & (owner > 0), owner, -2).astype(np.int16)  # a word's token: itself
    hidden &= of[:, :, None] != has[:, None, :]
    hidden &= has[:, :, None] != of[:, None, :]
    pads = branch < 0
    if pads.any():
        hidden |= pads[:, None, :]
        places = np.arange(branch.shape[1])
        hidden[:, places, places] = False
    mask = hidden.astype(np.float32)
    mask *= penalty
    return mask


def check_mask(mask: torch.Tensor) -> torch.Tensor:
    """``mask`` itself, if an encoder's attention may add it.

    Raises
    ------
    UsageError
        A bool or integer mask, one with positive numbers (ones for "may look"), or not (B, 1, T, T).
    """
    if not mask.is_floating_point():
        kind = str(mask.dtype).removeprefix("torch.")
        raise UsageError(
            f"a {kind} mask is silently wrong in an encoder's attention, which adds it: write (1 - V) * -1e4 as floats"
        )
    if mask.dim() != 4 or mask.shape[1] != 1 or mask.shape[2] != mask.shape[3]:
        raise UsageError(f"the mask has shape {tuple(mask.shape)}: a visible matrix goes in as (B, 1, T, T)")
    if bool((mask > 0).any()):
        raise UsageError(
            f"the mask holds {float(mask.max()):g}: it is added, so 0 stands for 'may look' and -1e4 for 'may not'"
        )
    return mask


class KnowledgeCollator:
    """Makes one batch of injected texts: a Trainer's ``data_collator``.

    Parameters
    ----------
    family
        A `Family`, or its name.
    pad_id
        The pad token's id; for families with an offset also the padding_idx that positions begin after.
    penalty
        What is added where a token may not look.
    window
        ModernBERT only: how far its local layers see, in positions to each side.
    positions
        Positions that the encoder has (None: as many as it takes).

    Notes
    -----
    Called with a list of `Injected`, or of {"item": Injected, "label": …}; a label is a number, or a list of one number
    a word for texts split into words (it goes to the word's first token; the others and the branches get -100). Gives
    input_ids, position_ids, token_type_ids (B, T), attention_mask (B, 1, T, T) float32, labels (B,) or (B, T).
    """

    def __init__(
        self, family: Family | str, pad_id: int, *, penalty: float = SETTINGS.penalty, window: int | None = None,
        positions: int | None = None,
    ):  # fmt: skip
        self.family = family_of(family) if isinstance(family, str) else family
        self.pad_id, self.penalty, self.window, self.positions = pad_id, penalty, window, positions

    @classmethod
    def of(cls, config, *, penalty: float = SETTINGS.penalty) -> "KnowledgeCollator":
        """The collator for a model's configuration.

        Raises
        ------
        ModelError
            A family that cannot take the mask.
        """
        family = family_of(config)
        rotary = family.name in ("modernbert", "nomic_bert")
        positions = None if rotary else getattr(config, "max_position_embeddings", None)
        window = config.sliding_window if family.name == "modernbert" else None
        return cls(family, config.pad_token_id or 0, penalty=penalty, window=window, positions=positions)

    @property
    def first(self) -> int:
        """The position of a text's first token."""
        return self.pad_id + 1 if self.family.offset else 0

    def __call__(self, features: Sequence) -> dict[str, torch.Tensor]:
        """The batch of ``features``.

        Raises
        ------
        UsageError
            A text has more positions than the encoder, or a row has no "item".
        """
        labelled = [feature if isinstance(feature, dict) else {"item": feature} for feature in features]
        if not all("item" in feature for feature in labelled):
            raise UsageError(
                "a row has no 'item', an Injected: Trainer took it away unless remove_unused_columns=False was given"
            )
        items: list[Injected] = [feature["item"] for feature in labelled]
        size = len(items), max(map(len, items))
        first = self.first
        ids = np.full(size, self.pad_id, np.int64)
        positions = np.full(size, self.pad_id if self.family.offset else 0, np.int64)
        segments = np.zeros(size, np.int64)
        owner, branch = np.zeros(size, np.int16), np.full(size, -1, np.int16)
        for row, item in enumerate(items):
            n = len(item)
            ids[row, :n] = item.ids
            positions[row, :n] = item.soft_positions
            segments[row, :n] = item.segment_ids
            owner[row, :n], branch[row, :n] = item.structure
            positions[row, :n] += first
        if self.positions is not None and size[1] and positions.max() >= self.positions:
            raise UsageError(
                f"a text reaches position {positions.max()} and the encoder has {self.positions}: lower max_length"
            )
        mask = additive_mask(owner, branch, self.penalty)
        batch = {"input_ids": torch.from_numpy(ids), "position_ids": torch.from_numpy(positions)}
        if self.family.segments:
            batch["token_type_ids"] = torch.from_numpy(segments)
        batch["attention_mask"] = torch.from_numpy(mask)[:, None]
        if self.window is not None:  # ModernBERT: its local layers see the part of it that is within their window
            far = np.abs(positions[:, :, None] - positions[:, None, :]) > self.window
            near = torch.from_numpy(np.where(far, np.float32(self.penalty), mask))[:, None]
            batch["attention_mask"] = {"full_attention": batch["attention_mask"], "sliding_attention": near}
        if labelled and "label" in labelled[0]:
            batch["labels"] = self._labels(labelled, size)
        return batch

    @staticmethod
    def _labels(labelled, size) -> torch.Tensor:
        if not isinstance(labelled[0]["label"], Sequence | np.ndarray):
            return torch.tensor([feature["label"] for feature in labelled])
        labels = np.full(size, IGNORE, np.int64)
        for row, feature in enumerate(labelled):
            words, target = feature["item"].words, np.asarray(feature["label"], np.int64)
            held, first = np.unique(words, return_index=True)
            first, held = first[held >= 0], held[held >= 0]
            if len(held) and held[-1] >= len(target):
                raise UsageError(f"a text has {held[-1] + 1} words and {len(target)} labels: give each word its own")
            labels[row, first] = target[held]
        return torch.from_numpy(labels)
