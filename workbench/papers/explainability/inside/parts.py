"""What attention and feed-forward layers add to the stream: the module through which the addition goes alone.

Names do not tell: Bloom and MPT hand the residual through their modules, whose output then is the whole stream, and
BERT adds inside. So it is tried out, once for each kind of block: with a part's output put to 0, the stream must still
go on.
"""

import weakref

import torch
from torch import nn

from ....errors import ModelError
from .hooks import Anatomy, edited_input, edited_output, recorded

_found: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # module -> {kind of part: which finder is right}


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
    known = _found.setdefault(model.module, {})
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
        (edited_input if side == "input" else edited_output)(module, put),
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
