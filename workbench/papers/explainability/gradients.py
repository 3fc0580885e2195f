"""Gradient methods, captum's, over the prompt's states at any layer (`states.StateFunction`)."""

import numpy as np
import torch

from .reading import Question
from .states import ROW_TOKENS, StateFunction


def gradient_scores(
    method: str, question: Question, *, layer: int, baseline, samples: int | None, seed: int
) -> tuple[np.ndarray, float, float, StateFunction]:
    """Scores (n,), value, value at the baseline, and the function with its counters.

    Sources: gradient, Simonyan et al. 2014; gradient x input, Shrikumar et al. 2017; integrated gradients,
    Sundararajan et al. 2017 (Gauss-Legendre steps); GradientSHAP, Lundberg and Lee 2017 as captum words it, with one
    baseline and no noise.
    """
    from captum.attr import GradientShap, InputXGradient, IntegratedGradients, Saliency

    from .perturbation import seeded

    f = StateFunction(question, layer)
    states, start = f.states.detach(), f.baseline(baseline)
    with torch.no_grad():
        value, base = (float(f(at).double()) for at in (states, start))
    x = states.clone().requires_grad_()
    with frozen(question.model.module), seeded(seed):
        if method == "gradient":
            found = Saliency(f).attribute(x, abs=False).norm(dim=-1)
        elif method == "gradient_x_input":
            found = InputXGradient(f).attribute(x).sum(-1)
        elif method == "integrated_gradients":
            rows = max(1, ROW_TOKENS // len(question.ids))
            found = IntegratedGradients(f).attribute(x, start, n_steps=samples, internal_batch_size=rows).sum(-1)
        else:
            rows = max(1, ROW_TOKENS // len(question.ids))
            parts = [min(rows, samples - at) for at in range(0, samples, rows)]
            found = sum(
                GradientShap(f).attribute(x, start, n_samples=part).sum(-1) * part for part in parts
            ) / samples  # fmt: skip
    scores = found[0].detach().double().cpu().numpy()
    scores[list(question.held)] = 0.0  # they do not differ from the baseline
    return scores, value, base, f


class frozen:
    """While inside, no parameter wants a gradient: only the states' are computed. Put back afterwards."""

    def __init__(self, module: torch.nn.Module):
        self.wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]

    def __enter__(self):
        for parameter in self.wanted:
            parameter.requires_grad_(False)

    def __exit__(self, *error):
        for parameter in self.wanted:
            parameter.requires_grad_(True)
