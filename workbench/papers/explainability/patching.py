"""Activation patching: put one activation of a clean run into a corrupt run, and see how much of the answer comes back.

For every layer and position: run the corrupt prompt, replace its activation there by the clean prompt's, and read
logit(answer) - logit(foil) behind the last token. recovery = (patched - corrupt) / (clean - corrupt): 0 as the corrupt
run, 1 as the clean one (it may leave that range). Parts: "stream" (the whole residual stream), "attention" and "mlp"
(what one module adds to it), and single heads.

One run at a time costs layers x positions forwards (`patching_grid_literal`). `patching_grid` uses that a patch at
(layer, position) changes nothing below the layer and nothing before the position: it goes on from the corrupt run's
stored stream through the upper blocks only, for the tokens from that position on, whose earlier neighbours come from the
corrupt run's keys and values, with many runs in one batch. What is handed to the blocks (masks, rotary embeddings) is what
the model's own forward handed them. The same numbers come out (tests: 1e-4).
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from ...errors import UsageError
from ...models.packed import can_pack
from ...models.prefix_check import sliding_window
from .hooks import (
    Anatomy,
    anatomy,
    answer_tokens,
    checked_layers,
    edited_input,
    edited_output,
    prompt_ids,
    recorded,
    token_texts,
)

PARTS = ("stream", "attention", "mlp")
ROW_TOKENS = 4096  # tokens of one batch through a block: bounds the memory


@dataclass(frozen=True)
class Spent:
    """What a grid cost: patched runs, tokens through the whole model (a block of N counts 1/N), wall seconds."""

    runs: int
    tokens: float
    seconds: float


@dataclass(frozen=True)
class Patching:
    """A patching grid.

    Attributes
    ----------
    clean, corrupt, answer, foil, part : str
    layers : (L,) ints
        "stream": 0 (embedding) and i (after block i); otherwise the block.
    positions : (P,) ints
    tokens_clean, tokens_corrupt : (T,) texts
    clean_value, corrupt_value : float
        logit(answer) - logit(foil) of the two runs.
    values, recovery : (L, P)
        The same of each patched run, and its share of the way from corrupt (0) to clean (1).
    cost : Spent
    """

    clean: str
    corrupt: str
    answer: str
    foil: str
    part: str
    layers: tuple[int, ...]
    positions: tuple[int, ...]
    tokens_clean: tuple[str, ...]
    tokens_corrupt: tuple[str, ...]
    clean_value: float
    corrupt_value: float
    values: np.ndarray
    recovery: np.ndarray
    cost: Spent

    def frame(self):
        """Recovery as a table: one row a layer, one column a position."""
        import pandas as pd

        names = [f"{p} {self.tokens_corrupt[p].strip() or '_'}" for p in self.positions]
        return pd.DataFrame(self.recovery, index=pd.Index(self.layers, name="layer"), columns=names)


@dataclass(frozen=True)
class HeadPatching:
    """Recovery (L, heads) from patching one attention head's output at one position."""

    layers: tuple[int, ...]
    position: int
    clean_value: float
    corrupt_value: float
    recovery: np.ndarray

    def best(self, count: int) -> list[tuple[int, int]]:
        """The ``count`` (block, head) with the highest recovery, best first."""
        order = np.argsort(-self.recovery, axis=None, kind="stable")[:count]
        return [(self.layers[i // self.recovery.shape[1]], int(i % self.recovery.shape[1])) for i in order]


@dataclass
class _Trunk:
    """One plain run, with all that is needed to go on from its middle."""

    ids: list[int]
    streams: torch.Tensor  # (N + 1, T, H)
    parts: dict[str, list[torch.Tensor]]  # what each module gave, (T, H) a block; heads: the input of the projection
    keys: list[tuple[torch.Tensor, torch.Tensor]]  # per block (1, heads, T, D) twice
    calls: list[tuple[tuple, dict]]  # how the model's forward called each block
    value: float


class _Behind:
    """The cache object that the blocks see: the trunk's keys and values up to a position, then the new rows' own."""

    def __init__(self, trunk: _Trunk, start: int):
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


def can_patch(model, clean: str, corrupt: str) -> None:
    """Return quietly if the two prompts have equal token counts on this model.

    Raises
    ------
    UsageError
        They do not (the sentence gives both counts), or they are the same text, empty, or too long.
    """
    ids = [prompt_ids(model, text, what=f"the {name} prompt") for name, text in (("clean", clean), ("corrupt", corrupt))]
    if len(ids[0]) != len(ids[1]):
        raise UsageError(
            f"the clean prompt has {len(ids[0])} tokens and the corrupt one {len(ids[1])} on {model.name}: patching pairs "
            "their positions, so exchange words for words of as many tokens"
        )
    if ids[0] == ids[1]:
        raise UsageError("the clean and the corrupt prompt are the same: change the word that carries the answer")


def patching_grid(
    model,
    clean: str,
    corrupt: str,
    answer: str,
    foil: str,
    *,
    part: str = "stream",
    layers: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
) -> Patching:
    """Recovery for every layer and position, many runs at a time.

    Parameters
    ----------
    model : Model
        Needs "hidden" and weights in this process; 4-bit models too.
    clean, corrupt : str
        Prompts of equal token counts.
    answer, foil : str
        What is right after the clean and after the corrupt prompt, with leading space; first tokens are read.
    part : {"stream", "attention", "mlp"}
    layers, positions : sequence of int, optional
        Default: all. Layer 0 (the embedding) exists for the stream only.

    Raises
    ------
    UsageError
        An unknown part, layer or position; prompts of different length; answer and foil with the same first token.
    ModelError
        A model without weights here, or of an unknown architecture.
    """
    job = _Job(model, clean, corrupt, answer, foil, part, layers, positions)
    start = time.perf_counter()
    if not can_pack(model):  # no mask of our own reaches its attention: whole runs are all that is left
        return job.result(*_one_by_one(job), start)
    with torch.inference_mode():
        clean_run, corrupt_run = job.trunk(job.clean_ids), job.trunk(job.corrupt_ids)
        values, tokens = np.zeros((len(job.layers), len(job.positions))), 2.0 * len(job.clean_ids)
        for column, position in enumerate(job.positions):
            found, spent = _sweep(job, clean_run, corrupt_run, position, [(layer, None) for layer in job.layers])
            values[:, column] = found
            tokens += spent / len(job.anatomy.blocks)
    return job.result(values, clean_run.value, corrupt_run.value, tokens, start)


def patching_grid_literal(
    model, clean, corrupt, answer, foil, *, part="stream", layers=None, positions=None
) -> Patching:
    """`patching_grid`, one whole forward for each layer and position: the slow version that it is compared with."""
    job = _Job(model, clean, corrupt, answer, foil, part, layers, positions)
    start = time.perf_counter()
    return job.result(*_one_by_one(job), start)


def patch_heads(model, clean, corrupt, answer, foil, *, position: int = -1, layers=None) -> HeadPatching:
    """Recovery from patching the output of one attention head at one position, for every head of ``layers``.

    A head's output is its share of the projection's input. Raises as `patching_grid`.
    """
    job = _Job(model, clean, corrupt, answer, foil, "heads", layers, [position])
    heads, at = job.anatomy.heads, job.positions[0]
    with torch.inference_mode():
        clean_run, corrupt_run = job.trunk(job.clean_ids), job.trunk(job.corrupt_ids)
        runs = [(block, head) for block in job.layers for head in range(heads)]
        if can_pack(model):
            values, _ = _sweep(job, clean_run, corrupt_run, at, runs)
        else:
            values = np.array([job.run_once(clean_run, block, at, head) for block, head in runs])
        values = values.reshape(len(job.layers), heads)
    gap = job.gap(clean_run.value, corrupt_run.value)
    return HeadPatching(
        job.layers, at, clean_run.value, corrupt_run.value, (values - corrupt_run.value) / gap
    )


class _Job:
    """A checked question: token ids, layers, positions, and the plain runs that answer it."""

    def __init__(self, model, clean, corrupt, answer, foil, part, layers, positions):
        if part not in (*PARTS, "heads"):
            raise UsageError(f"part {part!r} is unknown: choose one of {', '.join(PARTS)}")
        self.model, self.part = model, part
        self.texts = (clean, corrupt, answer, foil)
        self.anatomy: Anatomy = anatomy(model, for_="activation patching")
        can_patch(model, clean, corrupt)
        self.clean_ids, self.corrupt_ids = model._ids(clean), model._ids(corrupt)
        self.tokens = answer_tokens(model, answer, foil)
        depth, length = len(self.anatomy.blocks), len(self.clean_ids)
        self.layers = checked_layers(layers, 0 if part == "stream" else 1, depth, model.name)
        chosen = range(length) if positions is None else positions
        for position in chosen:
            if not -length <= position < length:
                raise UsageError(f"the prompts have no position {position}: give 0 to {length - 1}")
        self.positions = tuple(p % length for p in chosen)

    def difference(self, stream: torch.Tensor) -> np.ndarray:
        """logit(answer) - logit(foil) of last-token streams (B, H), as a (B,) array."""
        answer, foil = self.tokens
        logits = self.anatomy.read_out(stream)
        return (logits[:, answer] - logits[:, foil]).double().cpu().numpy()

    def module(self, block: int, part: str | None = None):
        part = part or self.part
        if part == "heads":
            return self.anatomy.out_projection(block)
        return self.anatomy.attention(block) if part == "attention" else self.anatomy.mlp(block)

    def trunk(self, ids: list[int]) -> _Trunk:
        """A plain run of ``ids`` under a mask of our own, keeping streams, parts, keys, and each block's arguments."""
        blocks, held, calls = self.anatomy.blocks, _Keep(), {}
        modules = {"layer0": (blocks[0], "input")}
        for number, block in enumerate(blocks, 1):
            modules[f"layer{number}"] = (block, "output")
            if self.part != "stream":
                modules[f"part{number}"] = (self.module(number), "input" if self.part == "heads" else "output")
        handles = [
            block.register_forward_pre_hook(
                lambda _, arguments, keywords, i=i: calls.__setitem__(i, (arguments, keywords)), with_kwargs=True
            )
            for i, block in enumerate(blocks)
        ]
        try:
            with recorded(**modules) as found:
                self.model.module(
                    input_ids=torch.tensor([ids], device=self.model.device),
                    position_ids=torch.arange(len(ids), device=self.model.device)[None],
                    logits_to_keep=1,
                    **(dict(attention_mask=_masks(self.model, len(ids)), past_key_values=held, use_cache=True)
                       if can_pack(self.model) else dict(use_cache=False)),
                )  # fmt: skip
        finally:
            for handle in handles:
                handle.remove()
        streams = torch.stack([found[f"layer{i}"][0][0] for i in range(len(blocks) + 1)])
        parts = {name: tensors[0][0] for name, tensors in found.items() if name.startswith("part")}
        value = float(self.difference(streams[-1][-1:])[0])
        keys = [held.held.get(i) for i in range(len(blocks))]
        return _Trunk(ids, streams, parts, keys, [calls[i] for i in range(len(blocks))], value)

    def run_once(self, clean_run: _Trunk, layer: int, position: int, head: int | None = None) -> float:
        """One whole forward of the corrupt prompt with one activation replaced."""
        blocks = self.anatomy.blocks

        def put(tensor):
            tensor = tensor.clone()
            if self.part == "stream":
                tensor[:, position] = clean_run.streams[layer, position]
            else:
                share = _share(tensor, head, self.anatomy.heads)
                tensor[:, position, share] = clean_run.parts[f"part{layer}"][position, share]
            return tensor

        if self.part == "stream":
            where = edited_input(blocks[0], put) if layer == 0 else edited_output(blocks[layer - 1], put)
        else:
            where = (edited_input if self.part == "heads" else edited_output)(self.module(layer), put)
        with where, recorded(last=(blocks[-1], "output")) as found:
            ids = torch.tensor([self.corrupt_ids], device=self.model.device)
            self.model.module(input_ids=ids, use_cache=False, logits_to_keep=1)
        last = found["last"][0]
        # a patch of the last block's output is made by a hook of that block, which ran before this record or after it
        if self.part == "stream" and layer == len(blocks):
            last = put(last)
        return float(self.difference(last[:, -1])[0])

    def gap(self, clean_value: float, corrupt_value: float) -> float:
        gap = clean_value - corrupt_value
        if abs(gap) < 1e-6:
            raise UsageError(
                f"{self.model.name} tells {self.texts[2]!r} from {self.texts[3]!r} equally after both prompts, so there is "
                "nothing to recover: choose prompts whose answers differ"
            )
        return gap

    def result(self, values, clean_value, corrupt_value, tokens, start) -> Patching:
        gap = self.gap(clean_value, corrupt_value)
        return Patching(
            *self.texts, self.part, self.layers, self.positions, token_texts(self.model, self.clean_ids),
            token_texts(self.model, self.corrupt_ids), clean_value, corrupt_value, values, (values - corrupt_value) / gap,
            Spent(values.size, tokens, time.perf_counter() - start),
        )  # fmt: skip


@torch.inference_mode()
def _one_by_one(job: _Job):
    clean_run, corrupt_run = job.trunk(job.clean_ids), job.trunk(job.corrupt_ids)
    values = np.array([[job.run_once(clean_run, layer, p) for p in job.positions] for layer in job.layers])
    return values, clean_run.value, corrupt_run.value, (values.size + 2.0) * len(job.clean_ids)


def _sweep(job: _Job, clean_run: _Trunk, corrupt_run: _Trunk, position: int, runs: list[tuple[int, int | None]]):
    """Values of runs patched at one position, each a (layer, head or None), and the tokens that blocks computed.

    One sweep from the lowest patched layer up: a run joins the batch at its layer, as the corrupt run's stored stream from
    ``position`` on with its patch in it, and all runs that have joined go through the blocks above together.
    """
    most = max(1, ROW_TOKENS // (len(job.corrupt_ids) - position))
    order = sorted(range(len(runs)), key=lambda i: runs[i][0])
    values, tokens = np.zeros(len(runs)), 0
    for start in range(0, len(order), most):
        some = order[start : start + most]
        values[some], spent = _sweep_once(job, clean_run, corrupt_run, position, [runs[i] for i in some])
        tokens += spent
    return values, tokens


def _sweep_once(job: _Job, clean_run: _Trunk, corrupt_run: _Trunk, position: int, runs):
    blocks, behind = job.anatomy.blocks, _Behind(corrupt_run, position)
    stream = job.part == "stream"
    state = corrupt_run.streams[0, position:][None][:0]  # (B, T - position, H), as yet without rows
    tokens = 0
    for number in range(runs[0][0], len(blocks) + 1):
        new = [head for layer, head in runs if layer == number]
        if not stream and new:  # these runs' patch is inside this block: they enter it unpatched
            state = torch.cat([state, corrupt_run.streams[number - 1, position:].expand(len(new), -1, -1)])
        if len(state):
            tokens += state.shape[0] * state.shape[1]
            arguments, keywords = corrupt_run.calls[number - 1]
            keywords = {name: _cut(name, value, position) for name, value in keywords.items() if name != "hidden_states"}
            if "past_key_values" in keywords:
                keywords["past_key_values"] = behind
            with nullcontext() if stream or not new else _patched(job, clean_run, number, position, new):
                state = blocks[number - 1](state, *arguments[1:], **keywords)
            state = state[0] if isinstance(state, tuple) else state
        if stream and new:
            row = corrupt_run.streams[number, position:].clone()
            row[0] = clean_run.streams[number, position]
            state = torch.cat([state, row[None]])
    return job.difference(state[:, -1]), tokens


def _patched(job: _Job, clean_run: _Trunk, block: int, position: int, new: list[int | None]):
    """Inside the ``with`` the last len(new) rows get the clean run's part (or a head's share of it) at their first token."""
    clean = clean_run.parts[f"part{block}"][position]

    def put(tensor):
        tensor = tensor.clone()
        for row, head in enumerate(new, len(tensor) - len(new)):
            share = _share(tensor, head, job.anatomy.heads)
            tensor[row, 0, share] = clean[share]
        return tensor

    return (edited_input if job.part == "heads" else edited_output)(job.module(block), put)


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
        return torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~allowed, torch.finfo(dtype).min)[None, None].to(
            weight.device
        )

    window = sliding_window(config)
    full = additive(away >= 0)
    if window is None:
        return full
    near = additive((away >= 0) & (away < window))
    kinds = set(getattr(config, "layer_types", None) or ())
    return near if len(kinds) < 2 else {"sliding_attention": near, "full_attention": full}
