"""The columns of one key-value cache: every token of a prefix tree owns one, wherever there is room.

A column is a token's keys and values in every layer. `Columns` is the cache object a transformers model writes to and
reads from during a forward. Which columns are written and which are seen is set before each forward, so branches of a
tree share their ancestors' columns without a copy of the whole cache for each branch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
import torch
from transformers import DynamicCache

from ...errors import ModelError

FIRST = 256  # columns allocated at first; doubled when they run out
# where so much of a range of columns is wanted, the whole range is used as it lies instead of being gathered
SLICE = 0.6


class Node:
    """A prefix: the tokens from the root to here. Made by a `PrefixTree`, immutable for its users."""

    __slots__ = ("__weakref__", "depth", "parent", "path", "slot", "token")

    def __init__(self, parent: "Node | None", token: int):
        self.parent = parent
        self.token = token
        self.depth = parent.depth + 1 if parent is not None else -1  # the position of its token; -1: the empty prefix
        self.slot = -1  # its column, -1 while it has none
        self.path: np.ndarray | None = None  # the columns of its ancestors and itself, kept where asked for

    def __len__(self) -> int:
        return self.depth + 1

    @property
    def ids(self) -> tuple[int, ...]:
        """The whole prefix as token ids."""
        ids, node = [], self
        while node.parent is not None:
            ids.append(node.token)
            node = node.parent
        return tuple(ids[::-1])


class Prefixes:
    """The nodes of a tree: one for each prefix, whoever computes what follows it."""

    root: Node
    name: str
    vocabulary: int
    _index: WeakValueDictionary  # (id of the parent, token) -> node

    def node(self, ids: Iterable[int]) -> Node:
        """The prefix with these token ids; equal ids give the same node as long as anybody holds it."""
        return self.extend(self.root, ids)

    def extend(self, node: Node, ids: Iterable[int]) -> Node:
        """``node`` with ``ids`` behind it. Nothing is computed yet."""
        for token in ids:
            child = self._index.get((id(node), token))
            if child is None:
                if not 0 <= token < self.vocabulary:
                    raise ModelError(f"{token} is no token of {self.name}: its ids run to {self.vocabulary - 1}")
                child = self._index[id(node), int(token)] = Node(node, int(token))
            node = child
        return node


@dataclass
class Counters:
    """What was spent: forwards, tokens computed, tokens found already computed, columns forgotten, seconds in
    forwards.
    """

    forwards: int = 0
    tokens: int = 0
    reused: int = 0
    evicted: int = 0
    seconds: float = 0.0

    def __sub__(self, other: "Counters") -> "Counters":
        return Counters(*(getattr(self, name) - getattr(other, name) for name in self.__dataclass_fields__))

    def copy(self) -> "Counters":
        """The counters as they are now."""
        return self - Counters()


class Columns(DynamicCache):
    """Keys and values by column, at most ``most`` of them.

    Each layer holds two tensors (columns, heads, head size) on that layer's device.
    """

    def __init__(self, most: int):
        super().__init__()
        self.most = most
        self.size = 0
        self.sparse = SLICE
        self.used = np.zeros(0, dtype=bool)
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}
        self._write: dict[torch.device, torch.Tensor] = {}
        self._read: dict[torch.device, torch.Tensor] = {}
        self._slots = np.zeros(0, dtype=np.int64)
        self._wanted: np.ndarray | slice = self._slots

    @property
    def free(self) -> int:
        """Columns that can still be taken."""
        return self.most - int(self.used.sum())

    def take(self, count: int) -> np.ndarray:
        """``count`` free columns, lowest first (neighbours stay together: they can then be read without gathering)."""
        while self.size - int(self.used.sum()) < count:
            self.size = min(self.most, max(FIRST, 2 * self.size))
            self.used = np.concatenate([self.used, np.zeros(self.size - len(self.used), dtype=bool)])
        slots = np.flatnonzero(~self.used)[:count]
        self.used[slots] = True
        return slots

    def give_back(self, slots) -> None:
        """Mark columns as free; what they hold is overwritten by the next owner."""
        self.used[slots] = False

    def aim(self, write: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Set the columns the next forward writes (N,) and those it sees; the columns it will really see, in order.

        ``wanted`` holds ``write``, sorted. If most of the range they span is wanted, the range itself is seen (a view
        costs nothing) and the mask must hide the rest.
        """
        low, high = int(wanted[0]), int(wanted[-1]) + 1
        self._write, self._read, self._slots = {}, {}, write
        if len(wanted) >= self.sparse * (high - low):
            self._wanted = slice(low, high)
            return np.arange(low, high)
        self._wanted = wanted
        return wanted

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        """Called by every attention layer: store the new tokens' (1, heads, N, D), return all columns the forward
        sees.
        """
        device = key_states.device
        if device not in self._write:
            self._write[device] = torch.from_numpy(self._slots).to(device)
            if not isinstance(self._wanted, slice):
                self._read[device] = torch.from_numpy(self._wanted).to(device)
        return (
            self._through(self._keys, key_states, layer_idx, device),
            self._through(self._values, value_states, layer_idx, device),
        )

    def _through(self, store, states, layer, device):
        held = store.get(layer)
        if held is None or held.shape[0] < self.size:
            grown = states.new_zeros(
                self.size, states.shape[1], states.shape[3]
            )  # zeros: an unseen NaN would still spread
            if held is not None:
                grown[: held.shape[0]] = held
            store[layer] = held = grown
        held[self._write[device]] = states[0].transpose(0, 1)  # (N, heads, D)
        seen = held[self._wanted] if isinstance(self._wanted, slice) else held.index_select(0, self._read[device])
        return seen.transpose(0, 1)[None]  # (1, heads, K, D)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns before the new tokens (positions are always given, so only masks of the wrong kind would ask)."""
        return 0

    def release(self) -> None:
        """Free every column and its memory."""
        self.__init__(self.most)
