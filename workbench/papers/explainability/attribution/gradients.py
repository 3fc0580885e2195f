"""Gradient methods, captum's, over the prompt's states at any layer (`states.StateFunction`)."""

import numpy as np
import torch

from ..differentiable import frozen
from ..tokens import Question
from .states import ROW_TOKENS, StateFunction

NODES = 4  # Gauss-Legendre steps of one piece of the way


def gradient_scores(
    method: str, question: Question, *, layer: int, baseline, samples: int | None, seed: int
) -> tuple[np.ndarray, float, float, StateFunction]:
    """Scores (n,), value, value at the baseline, and the function with its counters.

    Sources: gradient, Simonyan et al. 2014; gradient x input, Shrikumar et al. 2017; integrated gradients,
    Sundararajan et al. 2017 (`integrated`); GradientSHAP, Lundberg and Lee 2017 as captum words it, with one
    baseline and no noise.
    """
    from captum.attr import GradientShap, InputXGradient, Saliency

    from .perturbation import seeded

    f = StateFunction(question, layer)
    exact = torch.promote_types(f.states.dtype, torch.float32)  # a bfloat16 model's way is cut in float32
    states, start = f.states.detach().to(exact), f.baseline(baseline).to(exact)
    with torch.no_grad():
        value, base = (float(f(at).double()) for at in (states, start))
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


def integrated(f: StateFunction, start: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
    """Integrated gradients (1, n) from ``start`` to ``end``, with ``steps`` gradients where they are needed.

    The way is cut into pieces and captum integrates each with `NODES` Gauss-Legendre steps. What a piece must add up to
    is known, f(its end) - f(its start), so half of the steps are spent on halving the pieces that miss it by most: a
    language model's way has a few sharp bends, and even steps fall beside them. Where experts are chosen, f jumps; no
    halving mends a miss over a jump, so a piece counts for no more than halving its parent has changed the scores.
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
    if steps < 4 * NODES:
        return read([(0.0, 1.0)], steps)[0][2][None]
    count = steps // 2 // NODES
    left = steps - count * NODES
    pieces = read([(place / count, (place + 1) / count) for place in range(count)], NODES)
    while left >= 2 * NODES:
        pieces.sort(key=lambda piece: piece[0])
        halved = [pieces.pop() for _ in range(min(max(1, count // 8), left // (2 * NODES)))]
        left -= 2 * NODES * len(halved)
        middles = [(low, (low + high) / 2, high) for _, (low, high), _ in halved]
        halves = read([edge for low, at, high in middles for edge in ((low, at), (at, high))], NODES)
        for (_, _, whole), one, other in zip(halved, halves[::2], halves[1::2], strict=True):
            changed = float((one[2] + other[2] - whole).abs().sum())
            one[0], other[0] = min(one[0], changed), min(other[0], changed)
        pieces += halves
    return torch.stack([scores for _, _, scores in pieces]).sum(0)[None]


def _rows(f: StateFunction) -> int:
    """Rows of one forward with gradients."""
    return max(1, ROW_TOKENS // len(f.question.ids))
