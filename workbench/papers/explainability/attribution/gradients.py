"""Gradient methods, captum's, over the prompt's states at any layer.

The explained quantity is a differentiable function of the prompt's states (`StateFunction`). Layer 0 is the embedding,
layer i the output of block i: what `Model.hidden` counts too. The rest of the network reads the given states; positions
of the target, which come behind the prompt, keep what the real run gives them.

Integrated gradients and GradientSHAP integrate along a path, and their scores add up because the quantity is continuous
there. A mixture of experts jumps wherever it picks other experts, the integral misses the jumps, and steps finer than
the jumps lie converge slowly. So what a forward picks (`Picks`) is compared along the path: where it changes, the two
methods are refused; a mixture that picks the same experts all the way is integrated like any other model.
"""

import weakref
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ....models.read_out import FAILURES
from ..blocks import blocks_of, edited_output, recorded
from ..tokens import MethodRefused, Question, baseline_token
from .game import combine

_reads_embeddings: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # module -> bool
ROW_TOKENS = 1536  # tokens of one forward with gradients: the graph is kept until its backward
FEW = 128  # steps; who asks for fewer wants it quick, and reads the gap
FINE, MOST = 1e-3, 8  # from FEW on: what all pieces together may miss, and how many times the steps that may take
PATHS = ("integrated_gradients", "gradient_shap")
PICKING = ("topk", "max", "min", "argmax", "argmin")  # what routers pick with: integers from floats
COMPARING = ("gt", "ge", "lt", "le", "__gt__", "__ge__", "__lt__", "__le__")  # their thresholds: truth values


def gradient_scores(
    method: str, question: Question, *, layer: int, baseline, samples: int | None, seed: int
) -> tuple[np.ndarray, float, float, "StateFunction"]:
    """Scores (n,), value, value at the baseline, and the function with its counters.

    Sources: gradient, Simonyan et al. 2014; gradient x input, Shrikumar et al. 2017; integrated gradients,
    Sundararajan et al. 2017 (`integrated`); GradientSHAP, Lundberg and Lee 2017 as captum words it, with one
    baseline and no noise.

    Raises
    ------
    MethodRefused
        An integral along a path on which the model picks other experts.
    """
    from captum.attr import GradientShap, InputXGradient, Saliency

    from .perturbation import seeded

    f = StateFunction(question, layer)
    exact = torch.promote_types(f.states.dtype, torch.float32)  # a bfloat16 model's path is cut in float32
    states, start = f.states.detach().to(exact), f.baseline(baseline).to(exact)
    f.watched = method in PATHS
    with torch.no_grad():
        value, base = (float(f(at).double()) for at in (states, start))
    f.watched = f.watched and bool(f.picked)  # nothing is picked: no need to look on
    x = states.clone().requires_grad_()
    with frozen(question.model.module), seeded(seed):
        if method == "gradient":
            found = Saliency(f).attribute(x, abs=False).norm(dim=-1)
        elif method == "gradient_x_input":
            found = InputXGradient(f).attribute(x).sum(-1)
        elif method == "integrated_gradients":
            found = integrated(f, start, states, samples)
        else:
            rows = _rows(f)
            parts = [min(rows, samples - at) for at in range(0, samples, rows)]
            found = sum(GradientShap(f).attribute(x, start, n_samples=part).sum(-1) * part for part in parts) / samples
    scores = found[0].detach().double().cpu().numpy()
    scores[list(question.held)] = 0.0  # they do not differ from the baseline
    return scores, value, base, f


def integrated(f: "StateFunction", start: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
    """Integrated gradients (1, n) from ``start`` to ``end``, with ``steps`` gradients where they are needed.

    The path is cut into pieces and captum integrates each with a few Gauss-Legendre steps. What a piece must add up
    to is known, f(its end) - f(its start), so half of the steps are spent on halving the pieces that miss it by most: a
    language model's path has a few sharp bends, and even steps fall beside them. From `FEW` steps on halving goes on
    until all pieces together miss less than `FINE` of the largest score, with at most `MOST` times as many steps more.
    """
    from captum.attr import IntegratedGradients

    def at(places):  # (P,) -> (P, n, H)
        return start + torch.tensor(places, dtype=start.dtype, device=start.device)[:, None, None] * (end - start)

    def read(edges: list[tuple[float, float]], steps: int):
        """[[|miss|, (from, to), scores (n,)]] of pieces."""
        ends = sorted({place for edge in edges for place in edge} - set(values))
        with torch.no_grad():
            for low in range(0, len(ends), _rows(f)):
                part = ends[low : low + _rows(f)]
                values.update(zip(part, f(at(part)).double().tolist(), strict=True))
        lows, highs = at([low for low, _ in edges]), at([high for _, high in edges])
        found = (
            IntegratedGradients(f)
            .attribute(highs, lows, n_steps=steps, internal_batch_size=max(len(edges), _rows(f)))
            .sum(-1)
        )  # (E, n)
        missed = [
            abs(values[high] - values[low] - float(one.double().sum()))
            for (low, high), one in zip(edges, found, strict=True)
        ]
        return [list(piece) for piece in zip(missed, edges, found, strict=True)]

    values: dict[float, float] = {}
    if steps < 16:  # too few for pieces
        return read([(0.0, 1.0)], steps)[0][2][None]
    nodes = 4 if steps < FEW else 2  # many are wasted on a piece with a corner, such as a ReLU makes
    count = steps // 2 // nodes
    left = steps - count * nodes
    pieces = read([(place / count, (place + 1) / count) for place in range(count)], nodes)
    more = 0 if steps < FEW else MOST * steps
    while True:
        if left < 2 * nodes:
            size = float(torch.stack([scores for _, _, scores in pieces]).sum(0).abs().max())
            if more <= 0 or sum(miss for miss, _, _ in pieces) <= FINE * size:
                break
            left, more = left + steps // 4, more - steps // 4
        pieces.sort(key=lambda piece: piece[0])
        halved = [pieces.pop() for _ in range(min(max(1, count // 8), left // (2 * nodes)))]
        left -= 2 * nodes * len(halved)
        middles = [(low, (low + high) / 2, high) for _, (low, high), _ in halved]
        halves = read([edge for low, at, high in middles for edge in ((low, at), (at, high))], nodes)
        for (_, _, whole), one, other in zip(halved, halves[::2], halves[1::2], strict=True):
            # a miss may be small by cancelling; how far halving changed the scores bounds what is left to gain
            changed = float((one[2] + other[2] - whole).abs().sum())
            one[0], other[0] = min(one[0], changed), min(other[0], changed)
        pieces += halves
    return torch.stack([scores for _, _, scores in pieces]).sum(0)[None]


class Picks(TorchFunctionMode):
    """While inside, what a forward of ``rows`` rows picks by the size of its states is kept, (rows, ·) each time."""

    def __init__(self, rows: int):
        super().__init__()
        self.rows, self.experts, self.thresholds = rows, [], []
        self.unread: list[torch.Tensor] = []  # where a maximum lies: nothing is picked unless somebody reads it

    def __torch_function__(self, func, types, args=(), kwargs=None):
        given = (*args, *(kwargs or {}).values())
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if self.unread and name != "__get__":  # an attribute, such as its shape
            read = [any(one is each for each in given) for one in self.unread]
            self.experts += [one.reshape(self.rows, -1) for one, yes in zip(self.unread, read) if yes]
            self.unread = [one for one, yes in zip(self.unread, read) if not yes]
        if name not in (*PICKING, *COMPARING) or not (torch.is_tensor(given[0]) and given[0].is_floating_point()):
            return out
        for found in out if isinstance(out, tuple) else (out,):
            if not torch.is_tensor(found) or found.is_floating_point() or found.numel() % self.rows:
                continue
            if name in COMPARING:
                self.thresholds.append(found.reshape(self.rows, -1).long())
            elif name in ("max", "min"):
                self.unread.append(found)
            else:  # in which order the experts of a token come makes no difference
                self.experts.append((found.sort(-1).values if found.dim() else found).reshape(self.rows, -1))
        return out

    def of(self) -> torch.Tensor | None:
        """(rows, ·), or None for a model that picks no experts: its thresholds (of an activation) do not jump."""
        return torch.cat(self.experts + self.thresholds, 1) if self.experts else None


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
    watched : bool
        Compare what is picked with what was picked first, and raise `MethodRefused` where it differs.
    """

    def __init__(self, question: Question, layer: int, *, logits: bool = False):
        self.question, self.layer, self.logits = question, layer, logits
        self.module = question.model.module
        self.device = question.model.device
        self.rows = self.tokens = 0
        self.watched, self.picked = False, {}
        self.block = None if layer == 0 else blocks_of(question.model)[layer - 1]
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
        with recorded(out=(self.block, "output")) as found:
            self.module(input_ids=torch.tensor([list(ids)], device=self.device), use_cache=False, logits_to_keep=1)
        return found["out"][0]

    def baseline(self, baseline) -> torch.Tensor:
        """(1, n, H) states that mean "nothing here"; held positions keep the real ones.

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
        real = self.embed(self.question.ids).expand(rows, -1, -1)
        inputs = torch.cat([states if self.layer == 0 else real, tail.expand(rows, -1, -1)], 1)
        given = nullcontext() if self.block is None else edited_output(
            self.block, lambda out: torch.cat([states.to(out.dtype), out[:, length:]], 1)
        )  # fmt: skip
        with given, Picks(rows) if self.watched else nullcontext() as picks:
            logits = self.module(inputs_embeds=inputs, use_cache=False, logits_to_keep=len(text)).logits
        if picks is not None:
            self._compare(text, picks.of())
        logits = logits[:, -len(text) :].float()  # some models give the logits of every token all the same (xLSTM)
        self.rows += rows
        self.tokens += rows * (length + len(text) - 1)
        tokens = torch.tensor(text, device=logits.device)[None, :, None].expand(rows, -1, -1)
        chosen = logits.gather(-1, tokens)[..., 0]  # (B, T)
        return (chosen - (logits.mean(-1) if self.logits else logits.logsumexp(-1))).sum(1)

    def _compare(self, text, picks: torch.Tensor | None) -> None:
        if picks is not None and not bool((picks == self.picked.setdefault(text, picks[:1])).all()):
            raise MethodRefused(
                f"{self.question.model.name} ({type(self.module).__name__}) picks other experts along the path from "
                "the baseline to the prompt, so its answer jumps and an integral of gradients misses the jumps: use "
                "shapley, kernel_shap or occlusion, or gradient_x_input at the prompt alone"
            )


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
        raise MethodRefused(
            f"{model.name} ({type(module).__name__}) cannot be read from embeddings alone, so it has no gradient by "
            "them: choose another method, such as occlusion"
        )


@contextmanager
def frozen(module: torch.nn.Module):
    """While inside, no parameter wants a gradient: gradients of states alone."""
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def _rows(f: StateFunction) -> int:
    """Rows of one forward with gradients."""
    return max(1, ROW_TOKENS // len(f.question.ids))
