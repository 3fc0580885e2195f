"""Exact log-probabilities of many continuations, every shared token encoded once.

All sequences (prefix + continuation) of a call form a tree: a common beginning is one branch. The **trunk**, what all
sequences of a batch share, is encoded into a key-value cache by an ordinary causal forward. Everything below it is
laid out in **one row**: a token's position is its depth, and an additive 4-D mask lets it see the trunk, its
ancestors and itself. So the trunk's keys are neither recomputed nor copied for each continuation (repeating the cache
a row costs a copy of it per layer), and two continuations that begin alike share that beginning too. The next batch's
trunk starts from this one's, cut back to what they share.

Models with sliding-window layers get a second mask with the window; their trunk is kept whole in a plain cache. A model
whose attention does not take such masks (ALiBi, state-space layers) is found out by a small comparison with the literal
computation at first use, and is scored by that: one forward a sequence.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import DynamicCache

from .base import say

NODES = 1024  # tokens in one packed row: beyond it the mask's quadratic share outgrows the gain
LOGIT_BYTES = 2**28  # the logits of a batch, float32

Sequences = list[tuple[int, ...]]


class Scorer:
    """Scores token sequences with one torch module; remembers whether the packed path is right for it."""

    def __init__(self, module: torch.nn.Module, vocabulary: int):
        self.module = module
        self.config = module.config.get_text_config(decoder=True)
        self.needed = max(1, LOGIT_BYTES // (4 * vocabulary))  # positions with logits in one batch
        self.packs: dict[bool, bool] = {}  # longer than the window? -> may be packed
        self._cache, self._held = DynamicCache(), ()  # the trunk encoded last

    @property
    def device(self) -> torch.device:
        return self.module.get_input_embeddings().weight.device

    @torch.inference_mode()
    def score(self, prefixes: Sequences, continuations: list[Sequences]) -> list[list[list[float]]]:
        """For every continuation of every prefix the natural log-probability of each token. No prefix may be empty."""
        groups: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        for prefix, texts in zip(prefixes, continuations, strict=True):
            groups.setdefault(tuple(prefix), set()).update(tuple(text) for text in texts if text)
        found: dict[tuple[tuple[int, ...], tuple[int, ...]], list[float]] = {}
        window = self._window()
        longest = max((len(p) + len(c) for p, texts in groups.items() for c in texts), default=0)
        try:
            if self._may_pack(window is not None and longest > window):
                for batch in self._batches(groups):
                    self._packed(batch, found)
            else:
                for prefix, texts in groups.items():
                    for text in texts:
                        found[prefix, text] = self.literal(prefix, text)
        finally:
            self._cache, self._held = DynamicCache(), ()  # a trunk's memory is not kept between calls
        return [
            [list(found[tuple(prefix), tuple(text)]) if text else [] for text in texts]
            for prefix, texts in zip(prefixes, continuations, strict=True)
        ]

    @torch.inference_mode()
    def literal(self, prefix: Sequence[int], text: Sequence[int]) -> list[float]:
        """One ordinary forward over prefix + continuation."""
        ids = torch.tensor([[*prefix, *text]], device=self.device)
        logits = self.module(input_ids=ids[:, :-1], use_cache=False, logits_to_keep=len(text)).logits[0]  # (K, V)
        return _gather(logits, torch.tensor(text))

    def _batches(self, groups):
        """Lists of (prefix, continuation) that fit one packed row, sorted, so that neighbours share the most."""
        batch, last, tree, trunk, needed = [], (), 0, 0, 0
        for prefix in sorted(groups):
            texts = sorted(groups[prefix])
            added = sum(map(len, texts))
            for text in texts:
                whole = prefix + text
                shared = _common(last, whole)
                under = min(trunk, shared, len(prefix) - 1)  # the trunk, if this one comes in
                full = tree + len(whole) - shared - under > NODES or needed + len(text) > self.needed
                # a prefix that is long beside what it adds becomes the trunk of a batch of its own
                own = len(prefix) - 1 - shared > max(64, added)
                if batch and (full or own):
                    yield batch
                    batch = []
                if batch:
                    tree, trunk = tree + len(whole) - shared, under
                else:
                    tree, trunk, needed = len(whole), len(prefix) - 1, 0
                batch.append((prefix, text))
                needed, last = needed + len(text), whole
        if batch:
            yield batch

    def _packed(self, batch, found) -> None:
        """Score one batch in one row."""
        # the last token of every prefix stays out of the trunk: its logits predict the first token of a continuation
        trunk = batch[0][0][:-1]
        for prefix, _ in batch:
            trunk = trunk[: min(_common(trunk, prefix), len(prefix) - 1)]
        self._encode(trunk)
        if len(batch) == 1 and len(batch[0][1]) > min(self.needed, NODES):
            found[batch[0]] = self._long(batch[0][0][len(trunk) :], batch[0][1], len(trunk))
            return
        tree = _Tree(len(trunk))
        paths = [tree.add((prefix + text)[len(trunk) : -1]) for prefix, text in batch]
        wanted = sorted({node for path, (_, text) in zip(paths, batch, strict=True) for node in path[-len(text) :]})
        row = {node: place for place, node in enumerate(wanted)}
        logits = self._forward(
            tree.tokens, tree.depth, self._masks(tree), torch.tensor(wanted, device=self.device)
        )  # (K, V)
        self._cache.crop(-len(tree.tokens))
        normal = logits.logsumexp(dim=-1)
        for path, (prefix, text) in zip(paths, batch, strict=True):
            places = torch.tensor([row[node] for node in path[-len(text) :]], device=logits.device)
            tokens = torch.tensor(text, device=logits.device)
            found[prefix, text] = (logits[places, tokens] - normal[places]).tolist()

    def _encode(self, trunk: tuple[int, ...]) -> None:
        """Make the cache hold exactly ``trunk``, keeping what it shares with the last one."""
        shared = _common(self._held, trunk)
        if shared == 0:
            self._cache = DynamicCache()
        elif shared < len(self._held):
            self._cache.crop(shared - len(self._held))
        if shared < len(trunk):
            self._forward(trunk[shared:], range(shared, len(trunk)), None, 1)
        self._held = trunk

    def _long(self, head, text, start) -> list[float]:
        """A continuation too long for one batch of logits: a plain causal run over it, piece by piece."""
        tokens, piece, scores = (head + text)[:-1], min(self.needed, NODES), []
        for at in range(0, len(tokens), piece):
            part = tokens[at : at + piece]
            logits = self._forward(part, range(start + at, start + at + len(part)), None, len(part))
            scores += _gather(logits, torch.tensor((head + text)[at + 1 : at + 1 + len(part)]))
        self._cache.crop(-len(tokens))
        return scores[-len(text) :]

    def _forward(self, tokens, positions, mask, keep) -> torch.Tensor:
        """Append tokens to the cache; float32 logits (K, V) at the kept positions."""
        output = self.module(
            input_ids=torch.tensor([list(tokens)], device=self.device),
            position_ids=torch.tensor([list(positions)], device=self.device),
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        return output.logits[0].float()

    def _masks(self, tree: "_Tree"):
        """The additive mask (1, 1, N, trunk + N); for models mixing layer types one for each type."""
        sees = tree.sees()
        dtype = self.module.get_input_embeddings().weight.dtype
        kinds = set(getattr(self.config, "layer_types", None) or ())
        window = self._window()
        if not kinds:
            return self._additive(sees if window is None else sees & tree.near(window), dtype)
        by_kind = {
            kind: self._additive(sees & tree.near(window) if kind == "sliding_attention" else sees, dtype)
            for kind in kinds
        }
        return by_kind if len(kinds) > 1 else by_kind[kinds.pop()]

    def _additive(self, sees: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
        allowed = torch.from_numpy(sees).to(self.device)
        return torch.zeros(sees.shape, dtype=dtype, device=self.device).masked_fill_(
            ~allowed, torch.finfo(dtype).min
        )[None, None]

    def _window(self) -> int | None:
        """The sliding window in tokens (a token sees itself and window - 1 before it), or None."""
        kinds = getattr(self.config, "layer_types", None)
        if kinds is not None and "sliding_attention" not in kinds:
            return None
        return getattr(self.config, "sliding_window", None)

    def _may_pack(self, beyond_window: bool) -> bool:
        """Compare the packed path with the literal one on a small tree, once a module (and once beyond its window)."""
        if beyond_window not in self.packs:
            kinds = set(getattr(self.config, "layer_types", None) or ())
            length = (self._window() or 0) + 8 if beyond_window else 8
            size = self.module.get_input_embeddings().weight.shape[0]
            ids = tuple(int(i) for i in np.random.default_rng(0).integers(size // 10, size // 2, length + 7))
            prefix, texts = ids[:length], [ids[-7:-4], ids[-4:], ids[-7:-5] + ids[-4:-2]]
            right = kinds <= {"full_attention", "sliding_attention"}
            if right:
                try:
                    found = {}
                    self._packed([(prefix, text) for text in texts], found)
                except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError) as error:
                    if isinstance(error, torch.OutOfMemoryError):
                        raise
                    right = False
                else:
                    near = 1e-3 if self.module.get_input_embeddings().weight.dtype == torch.float32 else 0.3
                    literal = [self.literal(prefix, text) for text in texts]
                    right = all(
                        np.allclose(found[prefix, text], wanted, atol=near, rtol=near)
                        for text, wanted in zip(texts, literal, strict=True)
                    )
            self._cache, self._held = DynamicCache(), ()
            if not right:
                say(
                    f"{type(self.module).__name__} cannot share a prefix between continuations; each is "
                    "scored on its own"
                )
            self.packs[beyond_window] = right
        return self.packs[beyond_window]


class _Tree:
    """Token sequences that share beginnings, laid out in one row below a trunk of ``start`` tokens."""

    def __init__(self, start: int):
        self.start = start
        self.tokens: list[int] = []
        self.depth: list[int] = []
        self.parent: list[int] = []
        self._children: dict[tuple[int, int], int] = {}

    def add(self, sequence: Sequence[int]) -> list[int]:
        """Lay a sequence into the tree; the nodes it runs through."""
        path, at = [], -1
        for token in sequence:
            node = self._children.get((at, token))
            if node is None:
                node = len(self.tokens)
                self._children[at, token] = node
                self.tokens.append(token)
                self.depth.append(self.start + len(path))
                self.parent.append(at)
            path.append(node)
            at = node
        return path

    def sees(self) -> np.ndarray:
        """(N, start + N) bool: the trunk, the ancestors, itself."""
        size = len(self.tokens)
        sees = np.zeros((size, self.start + size), dtype=bool)
        sees[:, : self.start] = True
        for node, parent in enumerate(self.parent):  # a parent always comes before its children
            if parent >= 0:
                sees[node] = sees[parent]
            sees[node, self.start + node] = True
        return sees

    def near(self, window: int) -> np.ndarray:
        """(N, start + N) bool: less than ``window`` positions back."""
        depth = np.array(self.depth)
        columns = np.concatenate([np.arange(self.start), depth])
        return depth[:, None] - columns[None, :] < window


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    for place, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return place
    return min(len(a), len(b))


def _gather(logits: torch.Tensor, tokens: torch.Tensor) -> list[float]:
    """Log-probabilities of ``tokens`` (K,) under ``logits`` (K, V)."""
    logits = logits.float()
    return (logits.gather(-1, tokens.to(logits.device)[:, None])[:, 0] - logits.logsumexp(dim=-1)).tolist()
