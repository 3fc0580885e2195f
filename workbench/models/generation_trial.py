"""Whether a module's samples can be decoded in lock step: tried once, against plain forwards."""

from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ..errors import ModelError
from . import generation as decode
from .base import say
from .forward import alike, logits_at, longest, side, switches
from .generation_alone import Reader

STEPS = 4  # tokens decoded in the trial
_ways: WeakKeyDictionary = WeakKeyDictionary()  # module -> what `way` found


@torch.inference_mode()
def way(module, name: str) -> str:
    """How a module's samples are decoded so that they follow the naive path, found out once: "rows" (in lock step), or
    one by one in a way of `Reader`. Only the first is not announced.
    """
    if module.training and module not in _ways:
        return "rows"  # dropout would speak in the trial
    if module not in _ways:
        family = getattr(module.config.get_text_config(decoder=True), "model_type", "?")
        ids, plain = _texts(module, name)
        trials = {"rows": _rows, "placed": partial(_alone, "placed"), "kept": partial(_alone, "kept")}
        found = next((one for one, trial in trials.items() if _right(trial, module, ids, plain)), "whole")
        if found == "whole":
            say(f"{name} ({family}) has no state to go on from rightly: each token reads its whole text, which is slow")
        elif found != "rows":
            say(f"{name} ({family}) takes no padded batch: its texts are read one by one, which takes longer")
        _ways[module] = found
    return _ways[module]


def _texts(module, name):
    """Two texts of different length, and the logits (2, STEPS + 1, V) of plain forwards after their last tokens."""
    config = module.config.get_text_config(decoder=True)
    borders = [longest(config) or 64, *(last for last, _ in switches(config))]
    long = max(STEPS + 1, min(12, *borders))
    draws = np.random.default_rng(0).integers(config.vocab_size // 10, config.vocab_size // 2, 2 * long).tolist()
    texts = [draws[:long], draws[long : long + max(STEPS + 1, long // 2)]]
    plain = torch.stack(
        [logits_at(module, text, range(len(text) - STEPS - 1, len(text)), use_cache=False) for text in texts]
    )
    if not torch.isfinite(plain.amax(dim=-1)).all():
        raise ModelError(f"{name} gave logits that are not numbers: check its weights")
    return texts, plain


def _right(trial, module, texts, plain) -> bool:
    try:
        found = trial(module, texts)  # (2, as many steps as were tried + 1, V)
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, NotImplementedError):
        return False  # whatever an architecture says to a state it does not have: the next way is tried
    plain = plain[:, : found.shape[1]]
    return not alike(found.flatten(0, 1), plain.flatten(0, 1), module.get_input_embeddings().weight.dtype)


def _rows(module, texts):
    """The prompts padded into one batch, its rows exchanged, and one step."""
    device = module.get_input_embeddings().weight.device
    cache, before, mask = decode._prefill(module, [text[:-STEPS] for text in texts], device)
    order = torch.tensor([1, 0], device=device)
    cache.batch_select_indices(order)
    mask = torch.cat([mask[order], mask.new_ones(2, 1)], dim=-1)
    tokens = torch.tensor([texts[1][-STEPS], texts[0][-STEPS]], device=device)
    _, after = decode._feed(module, tokens, mask.sum(dim=-1) - 1, cache, mask)
    return torch.stack([before, after[order]], dim=1).float()


def _alone(way, module, texts):
    """Each text token by token: in some architectures what a step gets wrong grows with every further one."""
    found = []
    for text in texts:
        first = Reader(module, text[:-STEPS], way=way, side=side(module.config.get_text_config(decoder=True)))
        if first.state is None:
            raise ValueError("no state came back")
        reader, rows = first.copy(), [first.logits]
        for token in text[-STEPS:]:
            reader.add(token)
            rows.append(reader.logits)
        found.append(torch.cat(rows))
    return torch.stack(found)
