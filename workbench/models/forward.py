"""One forward, as each architecture takes it: which options its module knows, how far it reads, what it remembers.

The right reading of a text is the one everything else is measured by: an uncached forward of the whole text as a single
row of a module that has read nothing before. What differs from family to family is here, once:

- an option that a module does not know is swallowed, not refused, so its signature is asked (`takes`);
- the positions of some ropes depend on the length of the whole text (`side`): texts of different sides never share a
  forward or a cache;
- some modules remember the text before (`fresh`), and some read in both directions (`check_causal`).
"""

import inspect
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

import torch

from ..errors import ModelError
from .base import TooLong

STATES = ("past_key_values", "cache_params", "state")  # the names under which modules take back what they remember


def takes(module, option: str) -> bool:
    """Whether the architecture's forward names ``option``; one that it swallows in ``**kwargs`` has no effect."""
    inner = getattr(module, "_orig_mod", module)  # torch.compile's wrapper, then peft's
    inner = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    return option in _options(type(inner).forward)


@lru_cache
def _options(forward) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)


def logits_at(module, ids: Sequence[int], places: Sequence[int], **options) -> torch.Tensor:
    """One forward over token ``ids`` as a single row: float32 logits (R, V) at ``places`` (none: the last).

    Of a model spread over several devices all logits are made: the places would have to lie on the head's device, and
    accelerate moves whatever is passed in to the first one.
    """
    device = module.get_input_embeddings().weight.device
    keep = torch.tensor(list(places) or [len(ids) - 1], device=device)
    spread = len(set((getattr(module, "hf_device_map", None) or {}).values())) > 1
    few = not spread and takes(module, "logits_to_keep")
    if few:
        options["logits_to_keep"] = keep
    logits = module(input_ids=torch.tensor([list(ids)], device=device), **options).logits[0]
    return (logits if few else logits[keep.to(logits.device)]).float().to(device)


def alike(ours: torch.Tensor, plain: torch.Tensor, dtype: torch.dtype) -> float:
    """How far two sets of logits (R, V) are apart, 0 where it may be rounding: in float32 the largest difference as a
    share of the logits' spread, in other types the largest total variation.
    """
    if dtype == torch.float32:
        apart = float((ours - plain).abs().max() / (plain.amax(-1) - plain.amin(-1)).min().clamp(min=1e-9))
        return 0.0 if apart <= 1e-4 else apart  # the zoo's rounding stays below 1e-5
    apart = float((ours.softmax(-1) - plain.softmax(-1)).abs().sum(-1).max()) / 2
    return 0.0 if apart <= 0.25 else apart  # bf16: a batch of another shape alone moves 0.05 of the mass


# --- lengths ----------------------------------------------------------------------------------------------------------


def _ropes(config) -> list[dict]:
    """The rope parameters of a text configuration: one set, or one for each kind of layer."""
    found = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    return [part for part in found.values() if isinstance(part, dict)] or [found]


def _kind(rope: dict) -> str:
    return str(rope.get("rope_type") or rope.get("type") or "")


def longest(config) -> int | None:
    """The longest text in tokens that a text configuration allows; None where it does not say."""
    limit = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
    if not limit or limit < 0:
        return None
    stretch = [float(rope.get("factor") or 1) for rope in _ropes(config) if "dynamic" in _kind(rope)]
    return int(limit * max(stretch, default=1))  # a dynamic rope reads beyond the length it was trained on


def max_tokens(model) -> int | None:
    """The longest text in tokens that a model (a handle, or its torch module) reads; None where it does not say."""
    if (told := getattr(model, "longest", None)) is not None:  # an engine's handle
        return told
    config = getattr(getattr(model, "module", model), "config", None)
    return None if config is None else longest(config.get_text_config(decoder=True))


def check_length(model, n: int, *, more: int = 0, what: str = "the text", name: str | None = None) -> None:
    """Raise TooLong where a text of ``n`` tokens, and ``more`` new ones, is more than the model reads.

    ``what`` and ``name`` are the text's and the model's in the sentence.
    """
    limit = max_tokens(model)
    if limit and n + more > limit:
        new, advice = "", "give a shorter one"
        if more:
            new, advice = f", with {more} new ones {n + more}", "shorten it, or ask for fewer new ones"
        raise TooLong(f"{what} has {n} tokens{new}, but {name or model.name} reads at most {limit}: {advice}")


def switches(config) -> list[tuple[int, bool]]:
    """For each rope that changes with the text's length: the last length before it does, and whether it then changes
    with every token. So does Doge's choice of the keys it keeps, among those of the whole text.
    """
    kept = getattr(config, "keep_window_size", None)
    found = [(int(kept), True)] if kept else []
    for rope in _ropes(config):
        kind, trained = _kind(rope), getattr(config, "max_position_embeddings", None)
        if "dynamic" in kind:
            found.append((int(trained), True))
        elif kind in ("longrope", "su"):
            old = rope.get("original_max_position_embeddings") or getattr(
                config, "original_max_position_embeddings", trained
            )
            found.append((int(old), False))
    return found


def side(config) -> Callable[[int], Hashable]:
    """length -> what texts must have in common to be read alike: () up to the first switch of a rope."""
    found = switches(config)

    def of(length: int) -> Hashable:
        return tuple((place, length if each else 0) for place, (last, each) in enumerate(found) if length > last)

    return of


# --- memory and direction ---------------------------------------------------------------------------------------------


def fresh(module: torch.nn.Module) -> None:
    """Let every forward that begins a text begin it as the first one would.

    A dynamic rope keeps the frequencies of the longest text so far, and RecurrentGemma's recurrent layers keep the last
    text's state (of the last batch's size).
    """
    for part in module.modules():
        if hasattr(part, "recurrent_states") and hasattr(part, "recurrent_param"):
            part.register_forward_pre_hook(_no_state)
        if hasattr(part, "original_max_seq_len") and "dynamic" in str(getattr(part, "rope_type", "")):
            part.register_forward_pre_hook(_first_frequencies)


def _no_state(part, inputs):
    _, positions = inputs
    if int(positions[0, 0]) == 0:
        part.recurrent_states = None


def _first_frequencies(part, inputs):
    for name in [name for name in vars(part) if name.endswith("max_seq_len_cached")]:
        setattr(part, name, part.original_max_seq_len)
    for name, _ in list(part.named_buffers(recurse=False)):
        first = getattr(part, name.replace("inv_freq", "original_inv_freq"), None)
        if name.endswith("inv_freq") and not name.endswith("original_inv_freq") and first is not None:
            part.register_buffer(name, first.to(getattr(part, name).device), persistent=False)


def check_causal(module: torch.nn.Module, name: str) -> None:
    """Refuse a model that writes only with an encoder's help, or that looks ahead in the text it reads.

    Only families whose configuration has a say in it are tried: one forward over two texts that end differently.

    Raises
    ------
    ModelError
    """
    config = module.config.get_text_config(decoder=True)
    says = {"is_decoder": False, "causal": False, "is_causal": False, "attn_type": "bi"}
    both_ways = getattr(config, "use_bidirectional_attention", None) or any(
        getattr(config, field, None) == value for field, value in says.items()
    )
    if not both_ways:
        return
    rows = torch.arange(1, 6).repeat(2, 1).clamp(max=config.vocab_size - 1)  # (2, 5)
    rows[1, -1] = 0
    with torch.inference_mode():
        device = module.get_input_embeddings().weight.device
        logits = module(input_ids=rows.to(device), use_cache=False).logits.float()  # (2, 5, V)
    apart = float((logits[0, :-1] - logits[1, :-1]).abs().max() / logits.std())
    if apart > (1e-3 if module.dtype == torch.float32 else 0.2):  # nothing but rounding where nothing looks ahead
        raise ModelError(
            f"{name} ({config.model_type}) looks at what comes after a token, too, so it cannot write text token by "
            "token: give a causal language model, or use load_encoder"
        )
