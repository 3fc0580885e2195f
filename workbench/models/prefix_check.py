"""Which models a `PrefixTree` is right for: found out by name, and by comparing it with plain forwards once a
module.
"""

import numpy as np
import torch

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
            tree._literal(nodes, plain)
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
