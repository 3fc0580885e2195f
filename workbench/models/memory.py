"""Will a model fit? Weights, key-value cache and working memory are estimated from headers and the config alone."""

from dataclasses import dataclass

from .device import free_bytes, pick_device, pick_dtype
from .files.cache import size_text


@dataclass(frozen=True)
class Fit:
    """An estimate, in bytes."""

    name: str  # this and the next four: what was asked
    device: str
    bits: int | None
    dtype: str
    length: int
    parameters: int  # number of weights
    weights: int  # bytes of the loaded weights
    cache: int  # of the key-value cache of one sequence of ``length`` tokens
    working: int  # set aside for activations, logits and the libraries
    free: int  # on the device(s) now
    fits: bool  # whether weights + cache + working <= free
    advice: str  # one sentence: what would fit, if this does not

    def line(self) -> str:
        form = f"{self.bits}-bit" if self.bits else self.dtype
        return (
            f"{self.name} ({self.parameters / 1e6:.0f} M parameters, {form}) needs {size_text(self.weights)} for "
            f"weights and {size_text(self.cache)} for {self.length} tokens of cache; {self.device} has "
            f"{size_text(self.free)} free"
            f"{'' if self.fits else ': it will not fit. ' + self.advice}"
        )

    __str__ = line


def fit(name: str, *, bits=None, dtype="auto", length: int = 4096, device="auto", revision=None) -> Fit:
    """Estimate whether ``load(name, …)`` will fit, without loading weights (a hub id is asked for its headers).

    Raises
    ------
    ModelError
        As `workbench.load`: unknown name, damaged header, unreachable hub.
    """
    from .files.sources import outline

    return estimate(outline(name, revision=revision), bits=bits, dtype=dtype, length=length, device=device)


def estimate(outline, *, bits, dtype, length, device) -> Fit:
    """`fit` for an `sources.Outline` (name, config, header)."""
    place = pick_device(device)
    number_type = pick_dtype(dtype, place, outline.header, bits)
    free = free_bytes(place)
    parameters = outline.header.parameters
    text = outline.config.get_text_config(decoder=True)
    weights = weight_bytes(parameters, text, bits, number_type.itemsize)
    cache = cache_bytes(text, length, number_type.itemsize)
    working = int(2e8 + 4 * text.vocab_size * 512 + 0.03 * weights)
    fits = weights + cache + working <= free
    advice = "" if fits else _advice(parameters, text, bits, number_type, length, free, working)
    return Fit(
        outline.name, str(place), bits, str(number_type).removeprefix("torch."), length, parameters, weights, cache,
        working, free, fits, advice,
    )  # fmt: skip


def weight_bytes(parameters: int, config, bits: int | None, itemsize: int) -> int:
    """Bytes of loaded weights. Quantised, the embeddings (and an untied head) stay at ``itemsize``."""
    if not bits:
        return parameters * itemsize
    tables = config.vocab_size * config.hidden_size * (1 if getattr(config, "tie_word_embeddings", True) else 2)
    tables = min(tables, parameters)
    per_weight = 0.516 if bits == 4 else 1.003  # NF4 with double quantisation: 4.127 bits; int8: a scale a row
    return int(tables * itemsize + (parameters - tables) * per_weight)


def cache_bytes(config, length: int, itemsize: int, rows: int = 1) -> int:
    """Bytes of the key-value cache of ``rows`` sequences of ``length`` tokens.

    Sliding layers hold their window only; layers without attention (Mamba, RWKV, convolutions) keep nothing that grows
    with the length, and count as nothing.
    """
    queries = getattr(config, "num_attention_heads", None)
    if not isinstance(queries, int) or queries < 1:
        return 0
    heads = getattr(config, "num_key_value_heads", None) or queries
    width = getattr(config, "head_dim", None) or config.hidden_size // queries
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    window = getattr(config, "sliding_window", None) or length
    held = sum(min(length, window) if kind == "sliding_attention" else length for kind in kinds if "attention" in kind)
    return 2 * heads * width * itemsize * held * rows


def _advice(parameters, config, bits, number_type, length, free, working) -> str:
    for fewer in (8, 4):
        smaller = weight_bytes(parameters, config, fewer, 2)
        if (not bits or fewer < bits) and smaller + cache_bytes(config, length, 2) + working <= free:
            return f"bits={fewer} would ({size_text(smaller)} for weights)"
    for fewer in ([bits] if bits else []) + [4]:
        room = free - working - weight_bytes(parameters, config, fewer, 2)
        shorter = int(length * room / max(1, cache_bytes(config, length, 2)))
        if shorter >= 64:
            return f"bits={fewer} with at most {shorter} tokens would"
    return "Nothing of this model would; choose a smaller one or a machine with more memory"
