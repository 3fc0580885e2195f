"""The explained quantity as a differentiable function of the prompt's states at one layer.

Layer 0 is the embedding, layer i the output of block i: what `Model.hidden` counts too. The rest of the network reads
the given states; positions of the target, which stand behind the prompt, keep what the real run gives them.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ....errors import ModelError, UsageError
from ....models.read_out import FAILURES, find_blocks
from ..tokens import Question, baseline_token
from .game import combine

_reads_embeddings: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # module -> bool
ROW_TOKENS = 1536  # tokens of one forward with gradients: the graph is kept until its backward


def blocks(model) -> torch.nn.ModuleList:
    """The model's blocks: the list of as many modules as its configuration has layers.

    Raises
    ------
    ModelError
        There is no such list.
    """
    found = find_blocks(model.module)
    if found is None:
        depth = model.module.config.get_text_config(decoder=True).num_hidden_layers
        raise ModelError(f"{model.name} has no list of {depth} blocks: its layers cannot be looked into")
    return found


def check_layer(model, layer: int | None) -> int:
    """``layer`` counted from the embedding (None: 0), or one sentence."""
    depth = model.module.config.get_text_config(decoder=True).num_hidden_layers
    if layer is None:
        return 0
    if isinstance(layer, bool) or not isinstance(layer, int) or not -depth - 1 <= layer <= depth:
        raise UsageError(f"{model.name} has no layer {layer}: give 0 (the embedding) to {depth}")
    return layer if layer >= 0 else layer + depth + 1


def check_embeddings(model) -> None:
    """One sentence where a model reads embeddings otherwise than the tokens they belong to; compared once a module."""
    module = model.module
    if module not in _reads_embeddings:
        ids = torch.arange(5, 11, device=model.device)[None] % module.get_input_embeddings().weight.shape[0]
        try:
            with torch.no_grad():
                moved = module.get_input_embeddings()(ids) * 1.001  # not the rows of the matrix, which some look up
                module(inputs_embeds=moved, use_cache=False)
                plain = module(input_ids=ids, use_cache=False).logits.float()
                given = module(inputs_embeds=module.get_input_embeddings()(ids), use_cache=False).logits.float()
            apart = float((plain - given).abs().max() / plain.std().clamp_min(1e-30))
            _reads_embeddings[module] = apart < (1e-3 if moved.dtype == torch.float32 else 0.25)
        except torch.OutOfMemoryError:
            raise
        except FAILURES:
            _reads_embeddings[module] = False
    if not _reads_embeddings[module]:
        raise ModelError(
            f"{model.name} ({type(module).__name__}) cannot be read from embeddings alone, so it has no gradient by "
            "them: choose another method, such as occlusion"
        )


class StateFunction:
    """states (B, n, H) of the prompt at ``layer`` -> the explained quantity (B,).

    Attributes
    ----------
    states : (1, n, H) tensor
        The real states, detached.
    rows, tokens : int
        Rows evaluated so far and their tokens.
    logits : bool
        Explain the logit above the vocabulary's mean instead of the log-probability (both linear in the last state).
    """

    def __init__(self, question: Question, layer: int, *, logits: bool = False):
        self.question, self.layer, self.logits = question, layer, logits
        self.module = question.model.module
        self.device = question.model.device
        self.rows = self.tokens = 0
        self.block = None if layer == 0 else blocks(question.model)[layer - 1]
        check_embeddings(question.model)
        with torch.no_grad():
            self.states = self.at(question.ids)
        self.held = torch.zeros(1, len(question.ids), 1, dtype=torch.bool, device=self.device)
        self.held[0, list(question.held)] = True

    def embed(self, ids) -> torch.Tensor:
        """(1, len(ids), H) input embeddings, scaled as the model scales them."""
        return self.module.get_input_embeddings()(torch.tensor([list(ids)], device=self.device))

    @torch.no_grad()
    def at(self, ids) -> torch.Tensor:
        """(1, len(ids), H) states of other ids at this layer."""
        if self.block is None:
            return self.embed(ids)
        found = {}
        handle = self.block.register_forward_hook(
            lambda module, inputs, output: found.update(out=_first(output).clone())
        )
        try:
            self.module(input_ids=torch.tensor([list(ids)], device=self.device), use_cache=False, logits_to_keep=1)
        finally:
            handle.remove()
        return found["out"]

    def baseline(self, baseline) -> torch.Tensor:
        """(1, n, H) states that stand for "nothing here"; held positions keep the real ones.

        A token (default: the neutral one): its embedding, above that the states of a prompt of it. "zero"; "mean": the
        vocabulary's mean embedding, above that the prompt's own mean state.
        """
        free = self.question.free
        if baseline == "zero":
            states = torch.zeros_like(self.states)
        elif baseline == "mean" and self.layer == 0:
            size = self.module.get_input_embeddings().weight.shape[0]
            total = sum(self.embed(range(at, min(at + 8192, size))).sum(1) for at in range(0, size, 8192))
            states = (total / size)[:, None].expand_as(self.states)
        elif baseline == "mean":
            states = self.states[:, free].mean(1, keepdim=True).expand_as(self.states)
        else:
            token = baseline_token(self.question.model, baseline)
            ids = [one if place in self.question.held else token for place, one in enumerate(self.question.ids)]
            states = self.at(ids)
        return torch.where(self.held, self.states, states.detach())

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        states = torch.where(self.held, self.states, states.to(self.states.dtype))  # held positions take no part
        sums = [self._text(states, text) for text in self.question.texts]
        if self.logits:
            return sums[0] if len(sums) < 2 else sums[0] - sums[1]
        return combine(self.question.quantity, *sums)

    def _text(self, states, text) -> torch.Tensor:
        """Sum over a text's tokens of their log-probability (or centred logit) after the prompt: (B,)."""
        rows, length = states.shape[:2]
        tail = self.embed(text[:-1]) if len(text) > 1 else states[:, :0]  # (·, T - 1, H)
        inputs = torch.cat([states if self.layer == 0 else self._embedded(rows), tail.expand(rows, -1, -1)], 1)
        with self._replaced(states if self.layer else None):
            logits = self.module(inputs_embeds=inputs, use_cache=False, logits_to_keep=len(text)).logits
        logits = logits[:, -len(text) :].float()  # some models give the logits of every token all the same (xLSTM)
        self.rows += rows
        self.tokens += rows * (length + len(text) - 1)
        tokens = torch.tensor(text, device=logits.device)[None, :, None].expand(rows, -1, -1)
        chosen = logits.gather(-1, tokens)[..., 0]  # (B, T)
        return (chosen - (logits.mean(-1) if self.logits else logits.logsumexp(-1))).sum(1)

    def _embedded(self, rows: int) -> torch.Tensor:
        return self.embed(self.question.ids).expand(rows, -1, -1)

    @contextmanager
    def _replaced(self, states) -> Iterator[None]:
        """While inside, the block hands on ``states`` at the prompt's positions."""
        if states is None:
            yield
            return
        length = states.shape[1]

        def hook(module, inputs, output):
            out = torch.cat([states.to(_first(output).dtype), _first(output)[:, length:]], 1)
            return out if torch.is_tensor(output) else (out, *output[1:])

        handle = self.block.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()


def _first(output):
    return output if torch.is_tensor(output) else output[0]
