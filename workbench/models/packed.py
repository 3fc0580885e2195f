"""Many token sequences that share their beginnings, read in one forward.

The sequences are merged into a tree of tokens. A token's position is its depth and it attends to its ancestors alone (a
4-D additive mask), so each sequence sees exactly what it would see by itself, and a shared beginning is computed once.
A tree without branches, all prefixes of one text for instance, is an ordinary forward of its longest sequence.

Sliding-window layers get the mask cut to their window. Whether a model obeys such a mask at all (flash attention and
recurrent layers do not) is tried once for each model on a small tree; where it fails, or where there is no local torch
module, every branch gets a forward of its own: slower, and the same numbers.
"""

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from ..errors import UsageError

READ_BYTES = 2 << 30  # float32 logits held at once; more rows than that are read in further forwards
TREE_TOKENS = 1536  # attention is quadratic in a tree's size: larger ones are cut, and the trunk computed again
_obeys: WeakKeyDictionary = WeakKeyDictionary()  # module -> does it obey a tree's mask?


class _Tree:
    """Sequences merged by their common beginnings: tokens, parents (-1: the root) and depths, parents first."""

    def __init__(self):
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self.ends: list[int] = []  # the node at which each added sequence ends
        self._children: dict[tuple[int, int], int] = {}
        self._last: Sequence[int] = ()

    def add(self, sequence: Sequence[int]) -> None:
        node, start = -1, 0
        if self.ends and len(sequence) >= len(self._last) and sequence[: len(self._last)] == self._last:
            node, start = self.ends[-1], len(self._last)  # the common case: the last sequence goes on
        for token in sequence[start:]:
            child = self._children.get((node, token))
            if child is None:
                child = len(self.tokens)
                self._children[node, token] = child
                self.tokens.append(token)
                self.parents.append(node)
                self.depths.append(self.depths[node] + 1 if node >= 0 else 0)
            node = child
        self.ends.append(node)
        self._last = sequence

    @property
    def is_chain(self) -> bool:
        return self.depths[-1] == len(self.tokens) - 1


def packed_next(model, sequences: Sequence[Sequence[int]], reduce: Callable, *, packed: bool | None = None):
    """What ``reduce`` makes of the next-token distribution after each of ``sequences``, in as few forwards as possible.

    Parameters
    ----------
    model : Model
        A handle with ``module`` (local) or at least ``next_logprobs``.
    sequences : list of list of int
        Token ids, at least one each. Equal beginnings are computed once.
    reduce : callable
        Takes float32 natural-log probabilities (R, V) on the model's device, returns a tensor (R, K): keep K small.
    packed : bool, optional
        False forbids the tree (a forward for each branch: the slow path, for comparison). Default: where it is exact.

    Returns
    -------
    torch.Tensor
        (len(sequences), K) float32 on the CPU.

    Raises
    ------
    UsageError
        A sequence is empty, or longer than the model can read.
    """
    import torch

    sequences = [list(s) for s in sequences]
    if not sequences or not all(sequences):
        raise UsageError("packed_next got an empty sequence: give each at least one token to go on from")
    check_length(model, max(map(len, sequences)))
    tree = _Tree()
    for sequence in sequences:
        tree.add(sequence)
    if tree.is_chain:
        return _read_chain(model, tree, reduce)
    if packed is None:
        packed = can_pack(model)
    if packed:
        return torch.cat([_read_tree(model, part, reduce) for part in _parts(sequences)])
    return _read_branches(model, sequences, reduce)


def can_pack(model) -> bool:
    """Whether this model's own forward obeys a tree mask, tried once on a small tree and remembered."""
    import torch

    module = getattr(model, "module", None)
    if module is None:
        return False
    if module not in _obeys:
        ids = [5, 7, 11, 13, 17, 19, 23, 29]  # any small ids will do: only the equality of two readings counts
        sequences = [[*ids, *tail] for tail in ([31, 37, 41], [43, 47, 53], [31, 59])]
        tree = _Tree()
        for sequence in sequences:
            tree.add(sequence)
        try:
            ours = _read_tree(model, tree, torch.exp)
            alone = _read_branches(model, sequences, torch.exp)
            # total variation distance; 4-bit and bf16 models differ by rounding, a wrong mask by far more
            _obeys[module] = bool((ours - alone).abs().sum(-1).max() / 2 < 0.03)
        except (RuntimeError, ValueError, TypeError, NotImplementedError, IndexError, KeyError):
            _obeys[module] = False  # the architecture takes no 4-D mask: branches are read one by one
    return _obeys[module]


def max_length(model) -> int | None:
    """The longest text in tokens that the model's configuration allows; None when it does not say."""
    config = getattr(getattr(model, "module", None), "config", None)
    return getattr(config.get_text_config(), "max_position_embeddings", None) if config is not None else None


def check_length(model, length: int) -> None:
    """One sentence where a text of ``length`` tokens is more than the model reads."""
    limit = max_length(model)
    if limit is not None and length > limit:
        raise UsageError(
            f"the text is {length} tokens long, but {model.name} reads at most {limit}: give a shorter one"
        )


def _parts(sequences):
    """The sequences as trees of at most TREE_TOKENS tokens, in order; one sequence may exceed that by itself."""
    tree = _Tree()
    for sequence in sequences:
        if tree.ends and len(tree.tokens) > max(TREE_TOKENS, 2 * len(sequence)):
            yield tree
            tree = _Tree()
        tree.add(sequence)
    yield tree


def _read_branches(model, sequences, reduce):
    """Each branch in a forward of its own; sequences that continue one another share theirs."""
    import torch

    results, tree = [], _Tree()
    for sequence in sequences:
        if tree.ends and sequence[: len(tree._last)] != tree._last:
            results.append(_read_chain(model, tree, reduce))
            tree = _Tree()
        tree.add(sequence)
    results.append(_read_chain(model, tree, reduce))
    return torch.cat(results)


def _read_chain(model, tree, reduce):
    import torch

    if getattr(model, "module", None) is None:
        with torch.inference_mode():
            return reduce(model.next_logprobs(tree.tokens)[tree.ends]).float().cpu()
    return _forward(model, tree, reduce, {})


def _read_tree(model, tree, reduce):
    """One forward of the whole tree: positions are depths, the mask lets a token see its ancestors and itself."""
    import numpy as np
    import torch

    size = len(tree.tokens)
    sees = np.zeros((size, size), dtype=bool)
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            sees[node] = sees[parent]
        sees[node, node] = True
    embedding = model.module.get_input_embeddings().weight
    dtype = embedding.dtype if embedding.dtype.is_floating_point else torch.float32
    depths = np.asarray(tree.depths)

    def additive(allowed):  # (T, T) bool -> (1, 1, T, T): 0 where one may look, the least number elsewhere
        mask = torch.full((1, 1, size, size), torch.finfo(dtype).min, dtype=dtype)
        mask[0, 0][torch.from_numpy(allowed)] = 0
        return mask.to(embedding.device)

    config = model.module.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if window is None or not getattr(config, "use_sliding_window", True) or kinds == {"full_attention"}:
        mask = additive(sees)
    else:
        near = additive(sees & (depths[:, None] - depths[None, :] < window))
        mask = (
            near
            if len(kinds) < 2
            else {kind: near if kind == "sliding_attention" else additive(sees) for kind in sorted(kinds)}
        )
    positions = torch.from_numpy(depths)[None].to(embedding.device)  # (1, T)
    return _forward(model, tree, reduce, {"attention_mask": mask, "position_ids": positions})


def _forward(model, tree, reduce, extra):
    """Forward the tree's tokens, reading only the nodes at which a sequence ends. Returns (sequences, K)."""
    import torch

    module = model.module
    embedding = module.get_input_embeddings().weight
    ids = torch.tensor([tree.tokens], device=embedding.device)  # (1, T)
    ends = torch.tensor(sorted(set(tree.ends)), device=embedding.device)
    vocabulary = module.config.get_text_config().vocab_size
    out = []
    with torch.inference_mode():
        for some in ends.split(max(1, READ_BYTES // (4 * vocabulary))):
            logits = module(input_ids=ids, use_cache=False, logits_to_keep=some, **extra).logits[0]  # (R, V)
            out.extend(reduce(rows.float().log_softmax(-1)).float().cpu() for rows in logits.split(256))
    row = {node: i for i, node in enumerate(ends.tolist())}
    return torch.cat(out)[[row[node] for node in tree.ends]]
