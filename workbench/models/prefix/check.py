"""Which models a `PrefixTree` is right for: found out by name, and by comparing it with plain forwards once a module.

The two sides of the comparison are here too: the mask that makes one row of tokens a tree, and the plain forward.
"""

import re
import time

import numpy as np
import torch

from ...errors import ModelError
from ..forward import alike, logits_at, takes

KINDS = {"full_attention", "sliding_attention"}  # layers a tree's mask can be written for
# columns that nobody sees between a prefix and its continuations: more than any window known to count in columns
GAP, SIBLINGS = 384, 16
# names of a configuration's lengths at which attention may change
BORDER = re.compile(r"window|attention_chunk|attn_chunk|local_att|index_topk|(^|_)block_size")


def sliding_window(config) -> int | None:
    """The window in tokens (a token sees itself and window - 1 before it) of a text configuration; None without one."""
    kinds = getattr(config, "layer_types", None)
    if kinds and "sliding_attention" not in kinds:
        return None
    if not kinds and not getattr(config, "use_sliding_window", True):
        return None
    return getattr(config, "sliding_window", None)


def borders(config) -> list[int]:
    """Lengths in tokens beyond which a text configuration's attention may see less than everything, ascending."""
    named = {
        value for name, value in config.to_dict().items()
        if type(value) is int and value > 1 and BORDER.search(name) and not re.search("layers|pattern", name)
    }  # fmt: skip
    window = sliding_window(config)
    return sorted(named - {getattr(config, "sliding_window", None)} | ({window} if window else set()))


def compare(tree, name: str, *, beyond: int) -> str:
    """Why a model's prefixes may not be shared: "" if they may, else a sentence that names the model and its family.

    A short prefix and its continuations are read at once; then others behind a gap of columns, beside siblings, so that
    a mask or a bias that counts columns and not positions shows.

    Parameters
    ----------
    tree : PrefixTree
        A fresh one of the module in question.
    name : str
        What the sentence calls the model.
    beyond : int
        Compare on a prefix longer than this one of its `borders`, where the layers may cut what they see; 0: on a few
        tokens.
    """
    family = getattr(tree.config, "model_type", "?")
    strange = sorted(set(getattr(tree.config, "layer_types", None) or ()) - KINDS)
    if strange:
        return f"{name} ({family}) has {strange[0]} layers, which the shared-prefix engine does not support"
    kernel = getattr(tree.config, "_attn_implementation", None)
    if kernel not in (None, "sdpa", "eager"):
        return f"{name} uses {kernel}, which takes no tree mask (load it with attn_implementation='sdpa')"
    if not takes(tree.module, "past_key_values"):
        return f"{name} ({family}) keeps no keys and values, which the shared-prefix engine needs"
    length = beyond + 8 if beyond else 6
    lengths = [tree.limit or 10**9, *(last for last, _ in tree.switches)]
    length = max(1, min(length, *(one - 6 for one in lengths)))
    ids = np.random.default_rng(0).integers(tree.vocabulary // 10, tree.vocabulary // 2, length + 9).tolist()
    trunk = tree.node(ids[:length])
    nodes = [trunk, tree.extend(trunk, ids[-9:-7]), tree.extend(trunk, ids[-7:-3])]
    late = tree.extend(trunk, ids[-3:])
    siblings = [tree.extend(trunk, [token]) for token in range(min(SIBLINGS, tree.vocabulary)) if token != ids[-3]]
    ours, plain = {}, {}
    try:
        with torch.inference_mode():
            tree.compute(nodes, ours)
            tree.columns.take(min(GAP, max(0, tree.columns.free - 2 * SIBLINGS)))
            tree.columns.sparse = 0.0  # all columns of a range are seen by the kernel, and hidden by the mask
            tree.compute([*siblings, late], ours)
            nodes += [siblings[-1], late]
            read_plainly(tree, nodes, plain)
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{name} ({family}) takes no tree mask ({said}), which the shared-prefix engine needs"
    apart = alike(torch.stack([ours[node] for node in nodes]), torch.stack([plain[node] for node in nodes]), tree.dtype)
    if apart:
        return (
            f"{name} ({family}) reads a tree of prefixes differently from plain text (by {apart:.2g}): "
            "the shared-prefix engine does not support it"
        )
    return ""


def weights_now(module) -> int:
    """A number that changes when weights are trained, loaded, exchanged or moved, or adapters come and go.

    Not seen: values changed in place through ``parameter.data``, which torch does not count.
    """
    return hash(tuple((w.data_ptr(), 0 if w.is_inference() else w._version) for w in module.parameters()))


def tree_mask(tree, sees: np.ndarray, positions: np.ndarray, depth: np.ndarray):
    """Additive masks (1, 1, N, K) on the tree's device: one, or one for each kind of layer where a model mixes them.

    Parameters
    ----------
    sees : (N, K) bool
        Which column is an ancestor of a new token, or the token itself.
    positions, depth : (N,), (K,) int
        Positions of the new tokens and of the columns' tokens, for sliding windows.
    """
    if tree.window is None:
        return _additive(tree, sees)
    near = _additive(tree, sees & (positions[:, None] - depth[None, :] < tree.window))
    if len(set(getattr(tree.config, "layer_types", None) or ())) < 2:
        return near
    return {"sliding_attention": near, "full_attention": _additive(tree, sees)}


def _additive(tree, sees: np.ndarray) -> torch.Tensor:
    allowed = torch.from_numpy(sees).to(tree.device)
    mask = torch.zeros(sees.shape, dtype=tree.dtype, device=tree.device)
    return mask.masked_fill_(~allowed, torch.finfo(tree.dtype).min)[None, None]


def read_plainly(tree, nodes, found: dict) -> None:
    """A plain forward for each longest prefix among ``nodes``; it answers for those that begin it, too, unless a rope
    changes in between.
    """
    left = dict.fromkeys(nodes)
    for last in sorted(nodes, key=len, reverse=True):
        if last not in left:
            continue
        path, at = [], last
        while at.parent is not None:
            if at in left and tree.side(len(at)) == tree.side(len(last)):
                path.append(at)
                del left[at]
            at = at.parent
        for some in (path[i : i + tree.most_rows] for i in range(0, len(path), tree.most_rows)):
            start = time.perf_counter()
            logits = logits_at(tree.module, last.ids, [node.depth for node in some], use_cache=False)
            tree.count(start, len(last))
            if not torch.isfinite(logits.amax(dim=-1)).all():
                raise ModelError(
                    f"{tree.name} gave logits that are not numbers after {len(last)} tokens: check its weights"
                )
            found.update(zip(some, logits, strict=True))
