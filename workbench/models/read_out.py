"""From the residual stream to logits: what a model does behind its last block, by its own code.

Architectures differ there (final norm, projection, head, bias, a factor such as Cohere's ``logit_scale``, a cap such as
Gemma-2's), and a list of names always misses one. So nothing is named: the module's own forward runs with its blocks
exchanged for stand-ins that hand on the given stream. Once a model this is compared with the module's own logits on a
short text; where the two differ, the model is refused.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ..errors import ModelError

LENGTH = 6  # tokens of the text that a model is compared on
FAILURES = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, NotImplementedError)

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # module -> ReadOut, or the sentence why there is none


class ReadOut:
    """stream (..., H), as the last block leaves it -> logits (..., V), float32; made by `read_out`."""

    def __init__(self, module: nn.Module, blocks: nn.ModuleList, outputs: list):
        self._module, self._blocks, self._outputs = weakref.ref(module), weakref.ref(blocks), outputs
        self.width, self.dtype = first(outputs[-1]).shape[-1], first(outputs[-1]).dtype

    def __call__(self, stream: torch.Tensor) -> torch.Tensor:
        module, blocks = self._module(), self._blocks()
        last = first(self._outputs[-1])
        rows = stream.reshape(-1, 1, self.width).to(last.device, last.dtype)  # (M, 1, H): M texts of one token
        device = module.get_input_embeddings().weight.device
        ids = torch.zeros(len(rows), 1, dtype=torch.long, device=device)
        with _standing_still(blocks, [_with_first(output, rows) for output in self._outputs]):
            logits = module(input_ids=ids, use_cache=False).logits  # (M, 1, V)
        return logits.float().reshape(*stream.shape[:-1], logits.shape[-1])


def read_out(model, *, for_: str) -> ReadOut:
    """The `ReadOut` of a model with weights in this process; ``for_`` says, for the reader of an error, what wants it.

    Raises
    ------
    ModelError
        No list of blocks is found, or what follows them cannot be repeated exactly.
    """
    module = getattr(model, "module", model)
    if module not in _known:
        _known[module] = _made(module)
    found = _known[module]
    if isinstance(found, str):
        raise ModelError(f"{for_} cannot read logits from the states of {_name(model)}: {found}")
    return found


def find_blocks(module: nn.Module) -> nn.ModuleList | None:
    """The decoder's blocks: of the lists of as many modules as the configuration has layers, the heaviest."""
    depth = getattr(module.config.get_text_config(decoder=True), "num_hidden_layers", None)
    lists = [m for m in module.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    return max(lists, key=lambda m: sum(p.numel() for p in m.parameters()), default=None)


def behind_the_head(module: nn.Module, head: nn.Module) -> str:
    """What a causal model does to its head's output before it gives logits: "" for nothing, else a part of a sentence.

    Numbers of many sizes are put in the place of the head's output, and must come out as they are: of a cap, a model
    with small logits would show nothing.
    """
    put = []

    def hook(_, __, output):
        sizes = torch.logspace(-2, 3, output.shape[-1], device=output.device, dtype=torch.float32)
        put.append((torch.randn(output.shape, generator=torch.Generator().manual_seed(0)).to(sizes) * sizes).to(output))
        return put[-1]

    handle = head.register_forward_hook(hook)
    try:
        with at_rest(module), torch.no_grad():
            logits = module(input_ids=_text(module), use_cache=False).logits
    except torch.OutOfMemoryError:
        raise
    except FAILURES as error:
        return f"does not run on a short text ({_said(error)})"
    finally:
        handle.remove()
    if not put:
        return "does not call its head to make logits"
    if logits.shape == put[-1].shape and torch.equal(logits.float(), put[-1].float()):
        return ""
    config = module.config.get_text_config(decoder=True)
    names = [
        f"{name}={value}"
        for name, value in config.to_dict().items()
        if any(word in name for word in ("logit", "lm_head", "unpadded")) and value not in (None, 1, False)
        and "attn" not in name
    ]  # fmt: skip
    return "changes its logits after the head" + (f" ({', '.join(names)})" if names else "")


@contextmanager
def at_rest(module: nn.Module) -> Iterator[None]:
    """While inside, every part is in eval mode; afterwards each is in the mode it was in."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def first(output) -> torch.Tensor:
    """The stream in what a block gave: the tensor itself, or the first of several."""
    return output if torch.is_tensor(output) else output[0]


def _with_first(output, stream: torch.Tensor):
    """``output`` with another stream in it."""
    return stream if torch.is_tensor(output) else (stream, *output[1:])


def _made(module: nn.Module) -> ReadOut | str:
    """The module's `ReadOut`, compared with its own logits, or why it has none."""
    if getattr(module, "get_output_embeddings", None) is None or module.get_output_embeddings() is None:
        return "it has no output head"
    blocks = find_blocks(module)
    if blocks is None:
        return "it has no list of blocks, one for each layer"
    ids = _text(module)
    try:
        with at_rest(module), torch.no_grad():
            one, _ = _outputs(module, blocks, ids[:, :1])
            found = ReadOut(module, blocks, one)
            outputs, logits = _outputs(module, blocks, ids)
            again = found(first(outputs[-1]))
    except torch.OutOfMemoryError:  # says nothing about the model, and must not be remembered
        raise
    except FAILURES as error:
        return f"its forward does not go through its {len(blocks)} blocks one after another ({_said(error)})"
    if again.shape != logits.shape:
        return (
            f"its own logits have shape {tuple(logits.shape)}, and those read from its last state {tuple(again.shape)}"
        )
    apart = float((again - logits).abs().max() / logits.std().clamp_min(1e-30))
    # a half-precision product rounds otherwise for another number of rows
    if not apart <= (1e-4 if first(one[-1]).dtype in (torch.float32, torch.float64) else 0.1):
        return f"what is read from its last state differs from its own logits (by {apart:.2g} of their spread)"
    return found


def _outputs(module: nn.Module, blocks: nn.ModuleList, ids: torch.Tensor) -> tuple[list, torch.Tensor]:
    """What each block gave in a plain forward, and the float32 logits."""
    given: dict[int, object] = {}
    handles = [
        block.register_forward_hook(lambda _, __, output, i=i: given.__setitem__(i, output))
        for i, block in enumerate(blocks)
    ]
    try:
        logits = module(input_ids=ids, use_cache=False).logits.float()
    finally:
        for handle in handles:
            handle.remove()
    return [given[i] for i in range(len(blocks))], logits


def _text(module: nn.Module) -> torch.Tensor:
    """Token ids (1, LENGTH) to compare on; which they are does not matter."""
    size = module.get_input_embeddings().weight.shape[0]
    ids = np.random.default_rng(0).integers(size // 10, max(size // 2, size // 10 + 1), (1, LENGTH))
    return torch.tensor(ids, device=module.get_input_embeddings().weight.device)


class _StandIn(nn.Module):
    """In a block's place: gives what it was made with. The model's forward may ask it for the block's attributes."""

    def __init__(self, block: nn.Module, output):
        super().__init__()
        self.__dict__["block"], self.__dict__["output"] = block, output

    def __getattr__(self, name: str):
        return getattr(self.__dict__["block"], name)

    def forward(self, *_, **__):
        return self.__dict__["output"]


@contextmanager
def _standing_still(blocks: nn.ModuleList, outputs: list) -> Iterator[None]:
    """While inside, each block gives its part of ``outputs``; hooks on the blocks do not run."""
    real = blocks._modules
    blocks._modules = {name: _StandIn(real[name], output) for name, output in zip(real, outputs, strict=True)}
    try:
        yield
    finally:
        blocks._modules = real


def _said(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


def _name(model) -> str:
    return getattr(model, "name", None) or type(getattr(model, "module", model)).__name__
