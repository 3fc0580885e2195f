"""Which models a `PrefixTree` is right for: found out by name, and by comparing it with plain forwards once a module.

Beside the comparison stand its two sides: the mask that makes one row of tokens a tree, and the plain forward.
"""

import time

import numpy as np
import torch

from ..errors import ModelError

KINDS = {"full_attention", "sliding_attention"}  # layers a tree's mask can be written for


def sliding_window(config) -> int | None:
    """The window in tokens (a token sees itself and window - 1 before it) of a text configuration; None without one."""
    kinds = getattr(config, "layer_types", None)
    if kinds and "sliding_attention" not in kinds:
        return None
    if not kinds and not getattr(config, "use_sliding_window", True):
        return None
    return getattr(config, "sliding_window", None)


def compare(tree, name: str, *, beyond: bool) -> str:
    """Why a model's prefixes may not be shared: "" if they may, else a sentence that names the model and its family.

    Parameters
    ----------
    tree : PrefixTree
        A fresh one of the module in question.
    name : str
        What the sentence calls the model.
    beyond : bool
        Compare on a prefix longer than the sliding window, where the layers cut what they see.
    """
    family = getattr(tree.config, "model_type", "?")
    strange = sorted(set(getattr(tree.config, "layer_types", None) or ()) - KINDS)
    if strange:
        return f"{name} ({family}) has {strange[0]} layers, which the shared-prefix engine does not support"
    kernel = getattr(tree.config, "_attn_implementation", None)
    if kernel not in (None, "sdpa", "eager"):
        return f"{name} uses {kernel}, which takes no tree mask (load it with attn_implementation='sdpa')"
    length = (tree.window or 0) + 8 if beyond else 6
    ids = [int(i) for i in np.random.default_rng(0).integers(tree.vocabulary // 10, tree.vocabulary // 2, length + 6)]
    nodes = [tree.node(ids[:length] + tail) for tail in ([], ids[-6:-4], ids[-4:])]
    ours, plain = {}, {}
    try:
        with torch.inference_mode():
            tree._compute(nodes, ours)
            read_plainly(tree, nodes, plain)
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{name} ({family}) takes no tree mask ({said}), which the shared-prefix engine needs"
    apart = max(float((ours[n].softmax(-1) - plain[n].softmax(-1)).abs().sum()) / 2 for n in nodes)  # total variation
    if apart > (1e-3 if tree.dtype == torch.float32 else 0.25):  # bf16: a batch of another shape alone moves 0.05
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


def forward(tree, ids, rows, **options) -> torch.Tensor:
    """One forward over token ``ids``: float32 logits (R, V) at the places ``rows`` (none: the last), on tree's device.

    Of a model spread over several devices all logits are made: the places would have to lie on the head's device, and
    accelerate moves whatever is passed in to the first one.
    """
    spread = len(set((getattr(tree.module, "hf_device_map", None) or {}).values())) > 1
    keep = torch.tensor(list(rows) or [len(ids) - 1], device=tree.device)
    input_ids = torch.tensor([list(ids)], device=tree.device)
    logits = tree.module(input_ids=input_ids, logits_to_keep=0 if spread else keep, **options).logits[0]
    return (logits[keep.to(logits.device)] if spread else logits).float().to(tree.device)


def read_plainly(tree, nodes, found: dict) -> None:
    """A plain forward for each longest prefix among ``nodes``; it answers for those that begin it, too."""
    left = dict.fromkeys(nodes)
    for last in sorted(nodes, key=len, reverse=True):
        if last not in left:
            continue
        path, at = [], last
        while at.parent is not None:
            if at in left:
                path.append(at)
                del left[at]
            at = at.parent
        for some in (path[i : i + tree.most_rows] for i in range(0, len(path), tree.most_rows)):
            start = time.perf_counter()
            logits = forward(tree, last.ids, [node.depth for node in some], use_cache=False)
            tree.count(start, len(last))
            if not torch.isfinite(logits.amax(dim=-1)).all():
                raise ModelError(
                    f"{tree.name} gave logits that are not numbers after {len(last)} tokens: check its weights"
                )
            found.update(zip(some, logits, strict=True))
