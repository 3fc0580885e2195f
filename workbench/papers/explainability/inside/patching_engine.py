"""The engine under activation patching: plain runs kept whole, and patched runs that go on from their middle.

A patch at (layer, position) changes nothing below the layer and nothing before the position. So a patched run starts
from the corrupt run's stored stream and passes the upper blocks only, with the tokens from that position on; the
earlier neighbours come from the corrupt run's keys and values. The runs of one position go through the blocks together,
each joining at its layer. What a block is handed (mask, rotary embeddings, …) is what the model's own forward handed
it.
"""

import inspect
import weakref
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from ....errors import UsageError
from ....models.prefix.check import sliding_window
from ....models.prefix.tree import shared_tree
from ....models.read_out import FAILURES
from ..blocks import Anatomy, anatomy, checked_layers, edited, part_module, recorded, stream_of
from ..tokens import answer_tokens, prompt_ids

PARTS = ("stream", "attention", "mlp")
ROW_TOKENS = 4096  # tokens of one batch through a block: bounds the memory
_resumes: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # module -> bool


@dataclass
class Trunk:
    """One plain run, with all that is needed to go on from its middle."""

    ids: list[int]
    streams: torch.Tensor  # (N + 1, T, H)
    parts: dict[str, list[torch.Tensor]]  # what each module gave, (T, H) a block; heads: the input of the projection
    keys: list[tuple[torch.Tensor, torch.Tensor]]  # per block (1, heads, T, D) twice
    calls: list[dict]  # what the model's forward handed each block beside the stream, by name


class _Behind:
    """The cache object that the blocks see: the trunk's keys and values up to a position, then the new rows' own."""

    def __init__(self, trunk: Trunk, start: int):
        self.trunk, self.start = trunk, start

    def update(self, keys, values, layer_idx, *_, **__):
        old = [x[:, :, : self.start].expand(len(keys), -1, -1, -1) for x in self.trunk.keys[layer_idx]]
        return torch.cat([old[0], keys], dim=2), torch.cat([old[1], values], dim=2)

    def get_seq_length(self, *_):
        return self.start


class _Keep(_Behind):
    """The cache object of the trunk's own run: it keeps what goes through."""

    def __init__(self):
        self.held: dict[int, tuple] = {}

    def update(self, keys, values, layer_idx, *_, **__):
        self.held[layer_idx] = (keys, values)
        return keys, values

    def get_seq_length(self, *_):
        return 0

    def get_mask_sizes(self, query_length, *_, **__):
        return query_length, 0

    @property
    def is_compileable(self):
        return False


@torch.inference_mode()
def resumes(model, parts: Anatomy) -> bool:
    """Whether a run of this model can go on from its middle: compared with its plain forward, once a module."""
    if not shared_tree(model).reuse:  # no mask of our own reaches its attention
        return False
    if model.module not in _resumes:
        try:
            _resumes[model.module] = _compared(model, parts)
        except torch.OutOfMemoryError:
            raise
        except FAILURES:  # a block that asks our cache or our cut arguments for what they do not have
            _resumes[model.module] = False
    return _resumes[model.module]


def _compared(model, parts: Anatomy) -> bool:
    config = model.module.config.get_text_config(decoder=True)
    window = sliding_window(config)
    length = 24 if window is None or window > 512 else window + 8
    length = min(length, getattr(config, "max_position_embeddings", None) or length)
    size = model.module.get_input_embeddings().weight.shape[0]
    ids = np.random.default_rng(0).integers(size // 10, max(size // 2, size // 10 + 1), length).tolist()
    plain = parts.read_out(stream_of(model, parts, ids)[-1]).softmax(-1)  # (T, V)
    run = plain_run(model, parts, ids, resume=True)
    most = 1e-3 if run.streams.dtype == torch.float32 else 0.25  # bfloat16: a batch of another shape moves .05
    for start in (0, length // 2, length - 1):
        state = run.streams[0, start:].repeat(2, 1, 1)
        for number in range(1, len(parts.blocks) + 1):
            state = through(parts, run, number, state, start)
        apart = (parts.read_out(state).softmax(-1) - plain[start:]).abs().sum(-1) / 2  # total variation, (2, T - start)
        if not float(apart.max()) < most:
            return False
    return True


@torch.inference_mode()
def plain_run(model, parts: Anatomy, ids: list[int], *, part: str | None = None, numbers=(), resume=None) -> Trunk:
    """A plain run of ``ids``: streams, one part of the blocks ``numbers``, keys and values, and each block's arguments.

    ``resume``: whether it is to be gone on from (None: where the model can); the mask is then one of our own, which can
    be cut and reused.
    """
    blocks, held, calls = parts.blocks, _Keep(), {}
    own = resumes(model, parts) if resume is None else resume
    modules = {"layer0": (blocks[0], "input")}
    modules |= {f"layer{number}": (block, "output") for number, block in enumerate(blocks, 1)}
    side = "input" if part == "heads" else "output"
    modules |= {f"part{number}": (part_module(model, parts, part, number), side) for number in numbers}
    handles = [
        block.register_forward_pre_hook(
            lambda block, arguments, keywords, i=i: calls.__setitem__(i, _named(block, arguments, keywords)),
            with_kwargs=True,
        )
        for i, block in enumerate(blocks)
    ]
    try:
        with recorded(**modules) as found:
            model.module(
                input_ids=torch.tensor([ids], device=model.device),
                position_ids=torch.arange(len(ids), device=model.device)[None],
                attention_mask=_masks(model, len(ids)) if own else None,
                past_key_values=held if own else None,
                use_cache=own,
                logits_to_keep=1,
            )
    finally:
        for handle in handles:
            handle.remove()
    return Trunk(
        ids,
        torch.stack([found[f"layer{i}"][0][0] for i in range(len(blocks) + 1)]),
        {name: tensors[0][0] for name, tensors in found.items() if name.startswith("part")},
        [held.held.get(i) for i in range(len(blocks))],
        [calls[i] for i in range(len(blocks))],
    )


def through(parts: Anatomy, run: Trunk, number: int, state: torch.Tensor, start: int = 0) -> torch.Tensor:
    """Block ``number`` for rows (B, T - start, H) in the places of ``run``'s tokens from ``start`` on."""
    behind = _Behind(run, start) if start else None  # from the first token on: nothing before
    keywords = {
        name: behind if isinstance(value, _Keep) else _cut(name, value, start)
        for name, value in run.calls[number - 1].items()
    }
    out = parts.blocks[number - 1](state, **keywords)
    return out[0] if isinstance(out, tuple) else out


def _named(block, arguments: tuple, keywords: dict) -> dict:
    """What a block was handed beside the stream, by name: GPT-2 and others hand mask and cache on by position."""
    names = list(inspect.signature(block.forward).parameters)
    return {**dict(zip(names[1:], arguments[1:])), **{k: v for k, v in keywords.items() if k != names[0]}}


def can_patch(model, clean: str, corrupt: str) -> None:
    """Return quietly if the two prompts have equal token counts on this model.

    Raises
    ------
    UsageError
        They do not (the sentence gives both counts), or they are the same text, empty, or too long.
    """
    ids = [
        prompt_ids(model, text, what=f"the {name} prompt") for name, text in (("clean", clean), ("corrupt", corrupt))
    ]
    if len(ids[0]) != len(ids[1]):
        raise UsageError(
            f"the clean prompt has {len(ids[0])} tokens and the corrupt one {len(ids[1])} on {model.name}: patching "
            "pairs their positions, so exchange words for words of as many tokens"
        )
    if ids[0] == ids[1]:
        raise UsageError("the clean and the corrupt prompt are the same: change the word that carries the answer")


class Job:
    """A checked question: token ids, layers, positions, and the plain runs that answer it."""

    def __init__(self, model, clean, corrupt, answer, foil, part, layers, positions):
        if part not in (*PARTS, "heads"):
            raise UsageError(f"part {part!r} is unknown: choose one of {', '.join(PARTS)}")
        self.model, self.part = model, part
        self.texts = (clean, corrupt, answer, foil)
        self.anatomy: Anatomy = anatomy(model, for_="activation patching")
        can_patch(model, clean, corrupt)
        self.clean_ids, self.corrupt_ids = prompt_ids(model, clean), prompt_ids(model, corrupt)
        self.tokens = answer_tokens(model, answer, foil)
        depth, length = len(self.anatomy.blocks), len(self.clean_ids)
        self.layers = checked_layers(layers, 0 if part == "stream" else 1, depth, model.name)
        chosen = range(length) if positions is None else positions
        for position in chosen:
            if not -length <= position < length:
                raise UsageError(f"the prompts have no position {position}: give 0 to {length - 1}")
        self.positions = tuple(p % length for p in chosen)

    def value(self, run: Trunk) -> float:
        """logit(answer) - logit(foil) of a plain run."""
        return float(self.difference(run.streams[-1, -1:])[0])

    @torch.inference_mode()
    def difference(self, stream: torch.Tensor) -> np.ndarray:
        """logit(answer) - logit(foil) of last-token streams (B, H), as a (B,) array."""
        answer, foil = self.tokens
        logits = self.anatomy.read_out(stream)
        return (logits[:, answer] - logits[:, foil]).double().cpu().numpy()

    def trunk(self, ids: list[int]) -> Trunk:
        """`plain_run` with the part that is patched."""
        numbers = () if self.part == "stream" else self.layers
        return plain_run(self.model, self.anatomy, ids, part=self.part, numbers=numbers)

    def place(self, layer: int) -> tuple[torch.nn.Module, str]:
        """Where the part of a layer goes through: a module, and whether it is its "input" or its "output"."""
        if self.part == "stream":
            blocks = self.anatomy.blocks
            return (blocks[0], "input") if layer == 0 else (blocks[layer - 1], "output")
        side = "input" if self.part == "heads" else "output"
        return part_module(self.model, self.anatomy, self.part, layer), side

    @torch.inference_mode()
    def whole_run(self, ids: list[int], source: Trunk, places: Sequence[tuple], position: int) -> float:
        """One whole forward of ``ids`` with ``source``'s activation at one position in each of ``places``.

        A place is a (layer, head), or a (layer, None) for the whole part.
        """
        with ExitStack() as stack:
            for layer, head in places:
                module, side = self.place(layer)
                kept = source.streams[layer] if self.part == "stream" else source.parts[f"part{layer}"]  # (T, ·)

                def put(tensor, kept=kept, head=head):
                    tensor, share = tensor.clone(), _share(tensor, head, self.anatomy.heads)
                    tensor[:, position, share] = kept[position, share]
                    return tensor

                stack.enter_context(edited(module, side, put))
            # recorded behind the patch, where both are of the last block
            found = stack.enter_context(recorded(last=(self.anatomy.blocks[-1], "output")))
            rows = torch.tensor([ids], device=self.model.device)
            self.model.module(input_ids=rows, use_cache=False, logits_to_keep=1)
        return float(self.difference(found["last"][0][:, -1])[0])

    def gap(self, clean_value: float, corrupt_value: float) -> float:
        gap = clean_value - corrupt_value
        if abs(gap) < 1e-6:
            raise UsageError(
                f"{self.model.name} tells {self.texts[2]!r} from {self.texts[3]!r} equally after both prompts, so "
                "there is nothing to recover: choose prompts whose answers differ"
            )
        return gap


def sweep(job: Job, clean_run: Trunk, corrupt_run: Trunk, position: int, runs: list[tuple[int, int | None]]):
    """Values of runs patched at one position, each a (layer, head or None), and the tokens that blocks computed.

    One sweep from the lowest patched layer up: a run joins the batch at its layer, as the corrupt run's stored stream
    from ``position`` on with its patch in it, and all runs that have joined go through the blocks above together.
    """
    most = max(1, ROW_TOKENS // (len(job.corrupt_ids) - position))
    order = sorted(range(len(runs)), key=lambda i: runs[i][0])
    values, tokens = np.zeros(len(runs)), 0
    for start in range(0, len(order), most):
        some = order[start : start + most]
        values[some], spent = _sweep_once(job, clean_run, corrupt_run, position, [runs[i] for i in some])
        tokens += spent
    return values, tokens


def _sweep_once(job: Job, clean_run: Trunk, corrupt_run: Trunk, position: int, runs):
    blocks = job.anatomy.blocks
    stream = job.part == "stream"
    state = corrupt_run.streams[0, position:][None][:0]  # (B, T - position, H), as yet without rows
    tokens = 0
    for number in range(runs[0][0], len(blocks) + 1):
        new = [head for layer, head in runs if layer == number]
        if not stream and new:  # these runs' patch is inside this block: they enter it unpatched
            state = torch.cat([state, corrupt_run.streams[number - 1, position:].expand(len(new), -1, -1)])
        if len(state):
            tokens += state.shape[0] * state.shape[1]
            with nullcontext() if stream or not new else _patched(job, clean_run, number, position, new):
                state = through(job.anatomy, corrupt_run, number, state, position)
        if stream and new:
            row = corrupt_run.streams[number, position:].clone()
            row[0] = clean_run.streams[number, position]
            state = torch.cat([state, row[None]])
    return job.difference(state[:, -1]), tokens


def _patched(job: Job, clean_run: Trunk, block: int, position: int, new: list[int | None]):
    """Inside the block the last len(new) rows get the clean run's part (or a head's) at their first token."""
    clean = clean_run.parts[f"part{block}"][position]

    def put(tensor):
        tensor = tensor.clone()
        for row, head in enumerate(new, len(tensor) - len(new)):
            share = _share(tensor, head, job.anatomy.heads)
            tensor[row, 0, share] = clean[share]
        return tensor

    return edited(*job.place(block), put)


def _share(tensor, head: int | None, heads: int) -> slice:
    """The slice of the last dimension that belongs to a head; None: all of it."""
    if head is None:
        return slice(None)
    size = tensor.shape[-1] // heads
    return slice(head * size, (head + 1) * size)


def _cut(name: str, value, first: int):
    """A block's keyword argument for the tokens from ``first`` on."""
    if isinstance(value, torch.Tensor):
        if name == "attention_mask":
            return value[:, :, first:, :]  # (1, 1, T - first, T)
        if name == "cache_position":
            return value[first:]
        return value[:, first:]  # position_ids (1, T)
    if name.startswith("position_embeddings") and isinstance(value, tuple):
        return tuple(tensor[:, first:] for tensor in value)  # cos and sin (1, T, D)
    return value


def _masks(model, length: int):
    """The causal mask as an additive tensor (1, 1, T, T), or one for each kind of layer where a model mixes them."""
    config = model.module.config.get_text_config(decoder=True)
    weight = model.module.get_input_embeddings().weight
    dtype = weight.dtype if weight.dtype.is_floating_point else torch.float32
    away = torch.arange(length)[:, None] - torch.arange(length)[None, :]

    def additive(allowed):
        return (
            torch.zeros(allowed.shape, dtype=dtype)
            .masked_fill_(~allowed, torch.finfo(dtype).min)[None, None]
            .to(weight.device)
        )

    window = sliding_window(config)
    full = additive(away >= 0)
    if window is None:
        return full
    near = additive((away >= 0) & (away < window))
    kinds = set(getattr(config, "layer_types", None) or ())
    return near if len(kinds) < 2 else {"sliding_attention": near, "full_attention": full}
