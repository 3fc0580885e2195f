"""The shared-prefix engine: a tree of token prefixes over one key-value cache.

A `Node` is a prefix: a token and its parent. Making nodes costs nothing (`PrefixTree.node`, ``extend``; a fork is
two extensions of one node). Asking for the next-token distribution after some nodes (``logits``) computes all
that is missing for all of them in **one** forward: their tokens lie in one row, a token's position is its depth, and a
4-D additive mask lets it see its ancestors' columns and its own. Nothing is copied per branch, equal beginnings are
computed once for as long as there is room, and independent prompts share the forward (lock-step).

Memory is bounded: when columns run out, the prefix leaves used longest ago are forgotten, and computed again if ever
asked for, so eviction changes the cost of a result and never the result. Sliding-window layers get a mask of their own.

>>> tree = PrefixTree(model)                                        # doctest: +SKIP
>>> start = tree.node(model.token_ids("The capital of"))            # doctest: +SKIP
>>> tree.logits([start, tree.extend(start, [260])])                 # doctest: +SKIP
"""

import heapq
import time
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import torch

from ...errors import ModelError
from ..base import require, say
from ..device import free_bytes
from ..forward import check_length, logits_at, longest, side, switches
from ..memory import cache_bytes
from .check import borders, compare, read_plainly, sliding_window, tree_mask, weights_now
from .columns import Columns, Counters, Node, Prefixes

BATCH = 1024  # new tokens in one forward; beyond it the mask's quadratic share outgrows the gain
# a beginning this long that all share goes first: alone it needs no mask, and causal attention halves its work
TRUNK = 256
LOGIT_BYTES = 2**28  # float32 logits of one forward
ROW_BYTES = 2**26  # next-token distributions kept for the next question
# module -> {border passed (0: none): why it may not share prefixes, "" where it may}
_verdicts: WeakKeyDictionary = WeakKeyDictionary()
_trees: WeakKeyDictionary = WeakKeyDictionary()  # module -> weak reference to the tree its users share


class PrefixTree(Prefixes):
    """Prefixes of one model over one bounded key-value cache.

    Parameters
    ----------
    model
        A local `Model` handle, or its torch module.
    memory : int, optional
        Bytes the columns may take. Default: 1 GiB, or a third of what is free if that is less.
    reuse : bool
        False reads every longest prefix by a plain forward: the slow literal version, for comparison.
    fallback : bool
        Read a model whose attention takes no tree's mask like that, and say so, instead of refusing it.

    Attributes
    ----------
    counters : Counters
    root : Node
        The empty prefix.
    reuse : bool
        As given; a fallback makes it False.
    notes : dict
        What users found out with these weights and may need again; forgotten with all else that was computed.

    Raises
    ------
    ModelError
        No local weights, or an architecture whose attention cannot take a tree's mask (named in the sentence).
    """

    def __init__(self, model, *, memory: int | None = None, reuse: bool = True, fallback: bool = False):
        module = getattr(model, "module", model)
        if not isinstance(module, torch.nn.Module):
            raise ModelError(
                f"{getattr(model, 'name', model)} has no weights here to share prefixes in: use a local model"
            )
        self.module, self.reuse, self.fallback = module, reuse, fallback
        self.config = module.config.get_text_config(decoder=True)
        self.name = getattr(model, "name", None) or type(module).__name__
        self.counters = Counters()
        embedding = module.get_input_embeddings().weight
        self.dtype = embedding.dtype if embedding.dtype.is_floating_point else torch.float32
        if memory is None:
            memory = min(2**30, int(free_bytes(self.device) / 3))
        self.columns = Columns(max(1, memory // max(1, cache_bytes(self.config, 1, self.dtype.itemsize))))
        self.vocabulary = self.config.vocab_size
        self.most_rows = max(1, LOGIT_BYTES // (4 * self.vocabulary))
        self.window = sliding_window(self.config)
        self.limit, self.side, self.switches = longest(self.config), side(self.config), switches(self.config)
        self._borders = borders(self.config)
        self._forget()
        self._allow(beyond=0)

    def _allow(self, beyond: int) -> None:
        """Whether this module may share prefixes: compared with plain forwards once, and once beyond each border."""
        if not self.reuse:
            return
        verdicts = _verdicts.setdefault(self.module, {})
        if beyond not in verdicts:
            verdicts[beyond] = ""  # the comparison's own tree must not begin another one
            try:
                verdicts[beyond] = compare(PrefixTree(self.module), self.name, beyond=beyond)
            except BaseException:
                del verdicts[beyond]
                raise
            if verdicts[beyond] and self.fallback:
                say(f"{verdicts[beyond]}; every text is read on its own, which takes longer")
        if verdicts[beyond] and not self.fallback:
            raise ModelError(verdicts[beyond])
        self.reuse = not verdicts[beyond]

    def __reduce__(self):  # a copy of a module does not copy what was computed: it begins without a tree
        return type(None), ()

    @property
    def device(self) -> torch.device:
        return self.module.get_input_embeddings().weight.device

    # --- prefixes -----------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget all that was computed (do so when the weights change); nodes stay valid and are computed again."""
        for node in self._owner.values():
            node.slot, node.path = -1, None
        self.columns.release()
        self._forget()

    def _forget(self):
        if not hasattr(self, "root"):
            self.root = Node(None, -1)
            self.root.path = np.zeros(0, dtype=np.int64)
            # weak: a prefix lives while a caller, a longer prefix or a column holds it
            self._index: WeakValueDictionary = WeakValueDictionary()
        self.notes: dict = {}
        self._owner: dict[int, Node] = {}  # column -> node
        self._rows: OrderedDict[Node, torch.Tensor] = OrderedDict()  # (V,) float32 logits asked for lately
        self._depth = np.zeros(0, dtype=np.int64)  # by column
        self._stamp = np.zeros(0, dtype=np.int64)  # by column: when it was last of use
        self._kids = np.zeros(0, dtype=np.int64)  # by column: children that have columns
        self._now = 0

    # --- distributions ------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def logits(self, nodes: Sequence[Node]) -> torch.Tensor:
        """The model's next-token logits after each node.

        Returns
        -------
        (len(nodes), V) float32 tensor on the model's device.

        Raises
        ------
        ModelError
            An empty prefix, one longer than the model reads or the cache holds, or logits that are not numbers.
        """
        for node in nodes:
            if node.parent is None:
                raise ModelError("there is no next token after an empty prefix: give at least one token")
            check_length(self.module, len(node), what="a prefix", name=self.name)
        near = max((len(node) for node in nodes if not self.side(len(node))), default=0)
        for border in self._borders:
            if near > border:
                self._allow(beyond=border)
        distinct = list(dict.fromkeys(nodes))
        before = self.counters.tokens
        found = {node: self._rows[node] for node in distinct if node in self._rows}
        missing = [node for node in distinct if node not in found]
        if self.reuse:
            # beyond the switch of a rope a prefix's columns depend on its length: it is read by itself
            read_plainly(self, [node for node in missing if self.side(len(node))], found)
            self.compute([node for node in missing if not self.side(len(node))], found)
        else:
            read_plainly(self, missing, found)
        self.counters.reused += max(0, sum(map(len, distinct)) - (self.counters.tokens - before))
        keep = max(16, ROW_BYTES // (4 * self.vocabulary)) if self.reuse else 0
        # what many are asked for at once is scored and done with: keeping it would cost more than asking again
        for node in distinct if len(distinct) <= keep // 2 else ():
            if node not in self._rows:
                self._rows[node] = found[node].clone()  # a view would hold all its forward's logits
            self._rows.move_to_end(node)
        while len(self._rows) > keep:
            self._rows.popitem(last=False)
        return torch.stack([found[node] for node in nodes]) if nodes else torch.zeros(0, self.vocabulary)

    def compute(self, nodes: list[Node], found: dict) -> None:
        """Fill ``found`` for nodes that share prefixes, in as few forwards as BATCH and the memory for logits allow."""
        wants, work, planned = [], [], set()
        for node in nodes:
            missing = self._missing(node, planned)
            if wants and (len(work) + len(missing) > BATCH or len(wants) >= self.most_rows):
                self._run(work, wants, found)
                wants, work, planned = [], [], set()
                missing = self._missing(node, planned)
            while len(missing) > BATCH:  # a long prefix is encoded piece by piece
                self._run(missing[:BATCH], [], found)
                missing = missing[BATCH:]
            wants.append(node)
            work += missing
            planned.update(missing)
        if wants:
            self._run(work, wants, found)

    def _missing(self, node: Node, planned: set) -> list[Node]:
        """What must be computed for the logits after ``node``, parents first; a node with a column is read once
        more.
        """
        if node in planned:
            return []
        missing, at = [node], node.parent
        while at.parent is not None and at.slot < 0 and at not in planned:
            missing.append(at)
            at = at.parent
        return missing[::-1] if node.slot < 0 else [node]

    def _run(self, work: list[Node], wants: list[Node], found: dict) -> None:
        """One forward over ``work``; float32 logits of ``wants`` into ``found``."""
        work = sorted(work, key=len)  # parents first: a mask's row starts from its parent's
        row = {node: i for i, node in enumerate(work)}
        fresh = [node for node in work if node.slot < 0]
        anchors = {node.parent for node in work if node.parent not in row}
        held = np.zeros(self.columns.most, dtype=bool)  # columns this forward needs: they are not evicted
        for anchor in anchors:
            held[self._path(anchor)] = True
        held[[node.slot for node in work if node.slot >= 0]] = True
        if int(held.sum()) + len(fresh) > self.columns.most:
            if len(wants) < 2:
                raise ModelError(
                    f"a prefix of {work[-1].depth + 1} tokens does not fit the cache's {self.columns.most} columns: "
                    "give the prefix tree more memory"
                )
            for half in (wants[: len(wants) // 2], wants[len(wants) // 2 :]):
                self.compute(half, found)
            return
        self._evict(len(fresh) - self.columns.free, held)
        trunk = next((i for i, node in enumerate(work) if node.depth != i), len(work))
        if TRUNK <= trunk < len(work):  # only now that there is room for both: the first must not evict for the second
            for part in work[:trunk], work[trunk:]:
                self._run(part, list(filter(set(part).__contains__, wants)), found)
            return
        slots = self.columns.take(len(fresh))
        self._grow()
        for node, slot in zip(fresh, slots.tolist(), strict=True):
            node.slot = slot
            self._owner[slot] = node
            self._depth[slot], self._kids[slot] = node.depth, 0
            if node.parent.parent is not None:
                self._kids[node.parent.slot] += 1
        try:
            logits = self._forward(work, wants, row, held)
            if not torch.isfinite(logits.amax(dim=-1)).all():  # of a row that holds NaN the largest is NaN
                raise ModelError(
                    f"{self.name} gave logits that are not numbers after {len(work)} tokens: check its weights"
                )
        except BaseException:
            for node in reversed(fresh):  # their columns were not written, or not with numbers
                self._drop(node)
            raise
        self._now += 1
        for node in wants or work[-1:]:
            while node.parent is not None and self._stamp[node.slot] != self._now:
                self._stamp[node.slot] = self._now
                node = node.parent
        found.update(zip(wants, logits, strict=bool(wants)))

    def _forward(self, work, wants, row, held) -> torch.Tensor:
        own = np.array([node.slot for node in work])
        held[own] = True
        columns = self.columns.aim(own, np.flatnonzero(held))
        place = np.zeros(self.columns.size, dtype=np.int64)
        place[columns] = np.arange(len(columns))
        sees = np.zeros((len(work), len(columns)), dtype=bool)
        for i, node in enumerate(work):
            above = row.get(node.parent)
            if above is None:
                sees[i, place[self._path(node.parent)]] = True
            else:
                sees[i] = sees[above]
            sees[i, place[node.slot]] = True
        positions = np.array([node.depth for node in work])
        plain = np.array_equal(columns, own) and np.array_equal(
            positions, np.arange(len(work))
        )  # one text from its start
        start = time.perf_counter()
        logits = logits_at(
            self.module, [node.token for node in work], [row[node] for node in wants],
            position_ids=torch.from_numpy(positions)[None].to(self.device),
            attention_mask=None if plain else tree_mask(self, sees, positions, self._depth[columns]),
            past_key_values=self.columns, use_cache=True,
        )  # fmt: skip
        self.count(start, len(work))
        return logits

    def count(self, start: float, tokens: int) -> None:
        """Note a forward of ``tokens`` tokens that began at ``start`` (time.perf_counter)."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.counters.forwards += 1
        self.counters.tokens += tokens
        self.counters.seconds += time.perf_counter() - start

    # --- columns ------------------------------------------------------------------------------------------------------

    def _path(self, node: Node) -> np.ndarray:
        """The columns of a computed prefix, first token first."""
        tail, at = [], node
        while at.path is None:
            tail.append(at.slot)
            at = at.parent
        if tail:
            node.path = np.concatenate([at.path, np.array(tail[::-1], dtype=np.int64)])
        return node.path

    def _grow(self) -> None:
        more = self.columns.size - len(self._depth)
        if more > 0:
            zeros = np.zeros(more, dtype=np.int64)
            self._depth, self._stamp, self._kids = (
                np.concatenate([array, zeros]) for array in (self._depth, self._stamp, self._kids)
            )

    def _evict(self, count: int, held: np.ndarray) -> None:
        """Free at least ``count`` columns: leaves first, least recently used first, never one that is ``held``."""
        if count <= 0:
            return
        size = len(self._depth)
        leaves = np.flatnonzero(self.columns.used[:size] & ~held[:size] & (self._kids == 0))
        heap = [(int(self._stamp[slot]), int(slot)) for slot in leaves]
        heapq.heapify(heap)
        gone, enough = 0, max(count, self.columns.most // 16)  # some more, so that not every forward must evict
        while heap and gone < enough:
            _, slot = heapq.heappop(heap)
            parent = self._owner[slot].parent
            self._drop(self._owner[slot])
            gone += 1
            if parent.parent is not None and self._kids[parent.slot] == 0 and not held[parent.slot]:
                heapq.heappush(heap, (int(self._stamp[parent.slot]), parent.slot))
        self.counters.evicted += gone

    def _drop(self, node: Node) -> None:
        if node.parent.parent is not None:
            self._kids[node.parent.slot] -= 1
        self.columns.give_back(node.slot)
        del self._owner[node.slot]
        node.slot, node.path = -1, None


def require_tree(model, *, for_: str) -> None:
    """Raise ModelError unless prefixes of a model can be shared; ``for_`` says what wanted it."""
    if not hasattr(model, "new_tree"):
        require(model, "logprobs", for_=for_)


def new_tree(model):
    """A tree of its own, which begins with nothing computed: a `PrefixTree`, or an engine's (`served.ServedTree`)."""
    return model.new_tree() if hasattr(model, "new_tree") else PrefixTree(model)


def shared_tree(model) -> PrefixTree:
    """The one tree that all users of a model's weights share, so that a paper and its scorer encode a text once.

    Trained or exchanged weights are noticed here, and what the old ones gave is forgotten (`weights_now`).
    """
    if hasattr(model, "new_tree"):
        return model.tree
    module = getattr(model, "module", model)
    tree = _trees[module]() if module in _trees else None
    if tree is None:
        tree = PrefixTree(model, fallback=True)
        module._shared_prefixes = tree  # the module owns it: a table's strong reference would keep every model for ever
        _trees[module] = weakref.ref(tree)
    elif tree.weights != weights_now(module):
        tree.clear()
    tree.weights = weights_now(module)
    return tree
