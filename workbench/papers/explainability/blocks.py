"""The anatomy of a model: its blocks, their attention and feed-forward layers, and the residual stream between them.

Everything that looks into a model or changes it for the length of one ``with`` block goes through here. Residual stream
by layer: 0 is what enters the first block, i what leaves block i (counted from 1). The last one is taken before the
final norm: the last entry of transformers' ``hidden_states`` is taken behind it, and must be neither normed a second
time nor patched back in. Every hook is removed when its ``with`` block ends, also by an exception.

What attention or a feed-forward layer adds to the stream is what one module gives, but names do not tell which: Bloom
and MPT hand the residual through their modules, whose output then is the whole stream, and BERT adds inside. So it is
tried out, once for each kind of block (`part_module`): with a part's output put to 0, the stream must still go on.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import torch
from torch import nn

from ...errors import ModelError, UsageError
from ...models import require
from ...models.prefix.packed import padded
from ...models.read_out import ReadOut, find_blocks, read_out
from .tokens import prompt_ids

_parts: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # module -> {kind of part: which finder is right}

PROJECTIONS = ("o_proj", "c_proj", "out_proj", "dense")
NEURONS = ("down_proj", "c_proj", "fc2", "fc_out", "dense_4h_to_h")


@dataclass(frozen=True)
class Anatomy:
    """The parts of a decoder that the methods here touch.

    Attributes
    ----------
    blocks
        The decoder's blocks, first to last.
    read_out
        stream (..., H), as it is before the final norm -> logits (..., V), float32.
    head
        The matrix that gives the logits.
    heads : int
        Attention heads a block; 0 for a model without attention.
    """

    blocks: nn.ModuleList
    read_out: ReadOut
    head: nn.Module
    heads: int

    def attention(self, block: int) -> nn.Module:
        """The attention module of block number ``block`` (from 1)."""
        return _child(self.blocks[block - 1], ("self_attn", "attn", "attention", "self_attention"), "attention")

    def mlp(self, block: int) -> nn.Module:
        """The feed-forward module of block number ``block`` (from 1)."""
        # fc2: where its two matrices are in the block itself (OPT), what the second one gives is what it adds
        return _child(self.blocks[block - 1], ("mlp", "feed_forward", "ffn", "fc2"), "feed-forward layer")

    def out_projection(self, block: int) -> nn.Module:
        """The matrix that joins the heads of a block; its input is the heads' outputs side by side."""
        return _child(self.attention(block), PROJECTIONS, "output projection")

    def neurons(self, block: int) -> nn.Module:
        """The matrix out of a block's feed-forward layer; its input is the activation of every neuron."""
        mlp = self.mlp(block)
        return mlp if isinstance(mlp, nn.Linear) else _child(mlp, NEURONS, "neurons")


def anatomy(model, *, for_: str) -> Anatomy:
    """The parts of ``model``; ``for_`` says, for the reader of an error, what wanted them.

    Raises
    ------
    ModelError
        No hidden states to reach (a server), or an architecture whose logits cannot be read from its stream.
    """
    require(model, "hidden", for_=for_)
    module = getattr(model, "module", None)
    if module is None:
        raise ModelError(f"{for_} needs the weights of {model.name} in this process: choose a local model")
    reader = read_out(model, for_=for_)
    heads = getattr(module.config.get_text_config(decoder=True), "num_attention_heads", 0)
    return Anatomy(find_blocks(module), reader, module.get_output_embeddings(), heads or 0)


def blocks_of(model) -> nn.ModuleList:
    """The model's blocks: the list of as many modules as its configuration has layers.

    Raises
    ------
    ModelError
        There is no such list.
    """
    found = find_blocks(model.module)
    if found is None:
        raise ModelError(f"{model.name} has no list of {depth(model)} blocks: its layers cannot be looked into")
    return found


def depth(model) -> int:
    """How many blocks the configuration names."""
    return model.module.config.get_text_config(decoder=True).num_hidden_layers


def _child(module: nn.Module, names: tuple[str, ...], what: str) -> nn.Module:
    for name in names:
        if isinstance(getattr(module, name, None), nn.Module):
            return getattr(module, name)
    advice = (
        "choose another model" if names is NEURONS else "patch part='stream', or choose other layers or another model"
    )
    raise ModelError(f"{type(module).__name__} has no {what} under a usual name ({', '.join(names)}): {advice}")


@contextmanager
def edited_output(module: nn.Module, edit: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Inside the block ``module``'s output tensor (the first, where it gives several) goes through ``edit``."""

    def hook(_, __, output):
        if torch.is_tensor(output):
            return edit(output)
        changed = [edit(output[0]), *output[1:]]  # a list stays one: the first GPT adds lists together
        return changed if isinstance(output, list) else tuple(changed)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def edited_input(module: nn.Module, edit: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Inside the block ``module``'s first input goes through ``edit``."""

    def hook(_, arguments, keywords):
        if arguments:
            return (edit(arguments[0]), *arguments[1:]), keywords
        return arguments, {**keywords, "hidden_states": edit(keywords["hidden_states"])}

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def edited(module: nn.Module, side: str, edit: Callable[[torch.Tensor], torch.Tensor]):
    """`edited_input` or `edited_output`: ``side`` is "input" or "output"."""
    return (edited_input if side == "input" else edited_output)(module, edit)


@contextmanager
def edited_stream(parts: Anatomy, layer: int, edit: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Inside the block the residual stream (B, T, H) at ``layer`` (0: before block 1) goes through ``edit``."""
    with edited_input(parts.blocks[0], edit) if layer == 0 else edited_output(parts.blocks[layer - 1], edit):
        yield


@contextmanager
def recorded(**modules: tuple[nn.Module, str]) -> Iterator[dict[str, list[torch.Tensor]]]:
    """Inside the block, keep what goes through modules: name=(module, "input" or "output"); one tensor a call."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in modules}
    with ExitStack() as stack:
        for name, (module, side) in modules.items():

            def keep(tensor, name=name):
                found[name].append(tensor.detach().clone())  # some blocks add into what they are given (Falcon)
                return tensor

            stack.enter_context(edited(module, side, keep))
        yield found


def checked_layers(layers, least: int, most: int, name: str) -> tuple[int, ...]:
    """``layers`` (None: all from ``least`` to ``most``), negative ones counted from the end, or one sentence."""
    if layers is not None and not isinstance(layers, Iterable):
        raise UsageError(f"layers={layers!r} is no list: write [{layers!r}]")
    chosen = tuple(range(least, most + 1)) if layers is None else tuple(layers)
    for layer in chosen:
        whole = isinstance(layer, Integral) and not isinstance(layer, bool)
        if not whole or not (least <= layer <= most or least - most - 1 <= layer < 0):
            raise UsageError(f"{name} has no layer {layer}: give {least} to {most}")
    return tuple(layer if layer >= 0 else most + 1 + layer for layer in chosen)


@torch.inference_mode()
def stream_of(model, parts: Anatomy, ids: list[int]) -> torch.Tensor:
    """The residual stream of one prompt at every layer: (N + 1, T, H), the last before the final norm."""
    named = {f"layer{i + 1}": (block, "output") for i, block in enumerate(parts.blocks)}
    with recorded(layer0=(parts.blocks[0], "input"), **named) as found:
        model.module(input_ids=torch.tensor([ids], device=model.device), use_cache=False, logits_to_keep=1)
    return torch.stack([found[f"layer{i}"][0][0] for i in range(len(named) + 1)])


@torch.inference_mode()
def last_stream(model, texts: list[str], layers: tuple[int, ...], *, what: str) -> np.ndarray:
    """The stream at each text's last token: (len(layers), N, H) float32. Texts go in padded batches, longest first."""
    parts = anatomy(model, for_=what)
    ids = [prompt_ids(model, text, what=f"text {i}") for i, text in enumerate(texts)]
    out = np.zeros((len(layers), len(ids), model.module.config.get_text_config(decoder=True).hidden_size), np.float32)
    for batch, inputs in padded(model, ids, 4096):
        modules = {
            f"at{layer}": (parts.blocks[0], "input") if layer == 0 else (parts.blocks[layer - 1], "output")
            for layer in layers
        }
        with recorded(**modules) as found:
            model.module(**inputs, use_cache=False, logits_to_keep=1)
        ends = [len(ids[i]) - 1 for i in batch]
        for place, layer in enumerate(layers):
            out[place, batch] = found[f"at{layer}"][0][range(len(batch)), ends].float().cpu().numpy()
    return out


@torch.inference_mode()
def part_module(model, parts: Anatomy, part: str, block: int) -> nn.Module:
    """The module of a block whose output ("attention", "mlp") or input ("heads") is what a part adds to the stream.

    Where the module's own output carries the residual, its last matrix is taken.

    Raises
    ------
    ModelError
        There is no such module, the block does not call it, or its output is never the addition alone.
    """
    if part == "heads":
        finders = (parts.out_projection,)
    else:
        finders = (parts.attention, parts.out_projection) if part == "attention" else (parts.mlp, parts.neurons)
    known = _parts.setdefault(model.module, {})
    kind = part, type(parts.blocks[block - 1]), type(finders[0](block))  # blocks of one kind are built alike
    if kind not in known:
        known[kind] = _alone(model, parts, part, block, finders)
    return finders[known[kind]](block)


def _alone(model, parts: Anatomy, part: str, block: int, finders) -> int:
    """Which of the ``finders`` gives the module through which a part goes alone."""
    if part == "heads":
        module = finders[0](block)
        width = _tried(model, parts, block, module, "input")[0]
        if not parts.heads or width % parts.heads:
            raise ModelError(
                f"the heads of block {block} of {model.name} cannot be told apart: its {type(module).__name__} gets "
                f"{width} numbers from {parts.heads} heads; patch part='attention' instead"
            )
        return 0
    for number, find in enumerate(finders):
        if _tried(model, parts, block, find(block), "output")[1]:
            return number
    raise ModelError(
        f"block {block} of {model.name} adds its {part} to the stream inside {type(finders[0](block)).__name__}, so it "
        "cannot be patched alone: choose part='stream'"
    )


def _tried(model, parts: Anatomy, block: int, module: nn.Module, side: str) -> tuple[int, bool]:
    """The width of what goes through ``module``, and whether the stream goes on without it; or one sentence."""
    seen = []

    def put(tensor):
        seen.append(tensor)
        return torch.zeros_like(tensor)

    stream = parts.blocks[block - 1]
    ids = torch.arange(5, 11, device=model.device)[None] % model.module.get_input_embeddings().weight.shape[0]
    with (
        edited(module, side, put),
        recorded(before=(stream, "input"), after=(stream, "output")) as found,
    ):
        model.module(input_ids=ids, use_cache=False)
    if len(seen) != 1 or seen[0].dim() != 3 or seen[0].shape[:2] != ids.shape:
        raise ModelError(
            f"block {block} of {model.name} does not pass one (texts, tokens, width) tensor through its "
            f"{type(module).__name__}, so it cannot be patched: choose part='stream'"
        )
    before, after = (float((found[n][0] - found[n][0][:, :1]).abs().max()) for n in ("before", "after"))
    return seen[0].shape[-1], after > 1e-3 * before
