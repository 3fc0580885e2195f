"""Whether a module's samples can be decoded in lock step: tried once, against plain forwards."""

from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ..errors import ModelError
from . import decode
from .base import say
from .decode_alone import Reader
from .forward import alike, logits_at, longest, side, switches

_ways: WeakKeyDictionary = WeakKeyDictionary()  # module -> what `way` found


@torch.inference_mode()
def way(module, name: str) -> str:
    """How a module's samples are decoded so that they follow the naive path, found out once: "rows" (in lock step), or
    one by one in a way of `Reader`. Only the first is not announced.
    """
    if module not in _ways:
        family = getattr(module.config.get_text_config(decoder=True), "model_type", "?")
        ids, plain = _texts(module, name)
        trials = {"rows": _rows, "placed": partial(_alone, "placed"), "kept": partial(_alone, "kept")}
        found = next((one for one, trial in trials.items() if _right(trial, module, ids, plain)), "whole")
        if found == "whole":
            say(f"{name} ({family}) keeps nothing from token to token: each token reads its whole text, which is slow")
        elif found != "rows":
            say(f"{name} ({family}) takes no padded batch: its texts are read one by one, which takes longer")
        _ways[module] = found
    return _ways[module]


def _texts(module, name):
    """Two texts of different length, each with one more token, and the logits (4, V) of plain forwards: after the
    texts, then after the token.
    """
    config = module.config.get_text_config(decoder=True)
    borders = [longest(config) or 64, *(last for last, _ in switches(config))]
    long = max(2, min(10, *(border - 1 for border in borders)))
    draws = np.random.default_rng(0).integers(config.vocab_size // 10, config.vocab_size // 2, long + 5).tolist()
    texts = [draws[:long], draws[long : long + min(4, long)]]
    plain = [logits_at(module, text, [len(text) - 2, len(text) - 1], use_cache=False) for text in texts]
    plain = torch.stack([plain[0][0], plain[1][0], plain[0][1], plain[1][1]])
    if not torch.isfinite(plain.amax(dim=-1)).all():
        raise ModelError(f"{name} gave logits that are not numbers: check its weights")
    return texts, plain


def _right(trial, module, texts, plain) -> bool:
    try:
        return not alike(trial(module, texts), plain, module.get_input_embeddings().weight.dtype)
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, NotImplementedError):
        return False  # whatever an architecture says to a state it does not have: the next way is tried


def _rows(module, texts):
    device = module.get_input_embeddings().weight.device
    cache, before, mask = decode.prefill(module, [text[:-1] for text in texts], device)
    order = torch.tensor([1, 0], device=device)
    cache.batch_select_indices(order)
    mask = torch.cat([mask[order], mask.new_ones(2, 1)], dim=-1)
    tokens = torch.tensor([texts[1][-1], texts[0][-1]], device=device)
    _, after = decode.feed(module, tokens, mask.sum(dim=-1) - 1, cache, mask)
    return torch.cat([before, after[order]]).float()


def _alone(way, module, texts):
    alike_at = side(module.config.get_text_config(decoder=True))
    readers = [Reader(module, text[:-1], way=way, side=alike_at) for text in texts]
    before = [reader.logits for reader in readers]
    copies = [reader.copy() for reader in readers]
    if any(reader.state is None for reader in readers):
        raise ValueError("no state came back")
    for reader, text in zip(copies, texts, strict=True):
        reader.add(text[-1])
    return torch.cat(before + [reader.logits for reader in copies])
