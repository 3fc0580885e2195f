"""Relevance propagation: the target's logit handed back to the tokens, layer by layer, without loss.

captum's LRP knows no RMSNorm, SiLU or attention and refuses these models (a test keeps watch), so this is our own: the
epsilon rule with epsilon 0 on linear maps (Bach et al. 2015), attention weights held as they are (Ali et al. 2022),
norms held as the scaling they are here (same source), the gate's activation as the factor it multiplies by, and a
product's relevance given to both factors in equal halves (Achtibat et al. 2024).

All rules are linearisations with the same value at this input: each y = g(x) is replaced by y = A x with A held. What
is left of the network is linear in the states, so gradient times state *is* the relevance: one backward pass gives it.
Without additive biases nothing is lost: the relevances add up to the logit at every layer (tests). The logit is
counted from the vocabulary's mean, because the softmax does not see a common shift.
"""

from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from ...errors import ModelError
from .differentiable import frozen
from .reading import Question
from .states import StateFunction, blocks


def relevance(question: Question, *, layer: int) -> tuple[np.ndarray, float, StateFunction]:
    """Relevance of each token (n,) at ``layer``, the centred logit, and the function with its counters.

    Raises
    ------
    ModelError
        Blocks not built as rules exist for (Llama's: q_proj and k_proj, a gated MLP with act_fn and down_proj, norms
        that scale).
    """
    f = StateFunction(question, layer, logits=True)
    f.held[:] = False  # nothing is removed, so the first token has its share like any other
    x = f.states.detach().to(torch.promote_types(f.states.dtype, torch.float32)).requires_grad_()
    with frozen(question.model.module), linear(question.model), torch.enable_grad():
        value = f(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    scores = (gradient * x).sum(-1)[0].detach().double().cpu().numpy()
    return scores, float(value.detach().double()), f


@contextmanager
def linear(model):
    """While inside, the model's forward has its own values and the rules' derivatives."""
    with ExitStack() as stack:
        for block in blocks(model):
            parts = {name.rsplit(".", 1)[-1]: part for name, part in block.named_modules()}
            missing = [name for name in ("q_proj", "k_proj", "act_fn", "down_proj") if name not in parts]
            if missing:
                raise ModelError(
                    f"{model.name} has blocks without {missing[0]}, for which no relevance rule is written: "
                    "choose another method, such as integrated_gradients"
                )
            for name in ("q_proj", "k_proj"):  # attention weights are constants
                _hook(stack, parts[name], lambda module, inputs, output: output.detach())
            _hook(stack, parts["act_fn"], lambda module, inputs, output: _scaled(inputs[0], output))
            stack.callback(parts["down_proj"].register_forward_pre_hook(_halved).remove)
        for part in model.module.modules():
            if type(part).__name__.endswith("Norm"):
                _hook(stack, part, lambda module, inputs, output: _scaled(inputs[0], output))
        yield


def _hook(stack: ExitStack, module, hook) -> None:
    stack.callback(module.register_forward_hook(hook).remove)


def _scaled(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """y, as x times a held factor, element by element (where x is 0, y is 0 and passes nothing on)."""
    zero = x == 0
    factor = torch.where(zero, 0, y / torch.where(zero, 1, x)).detach()
    # the value stays y to the last bit; only the derivative is the factor's
    return y.detach() + factor * (x - x.detach())


def _halved(module, inputs):
    """The product of gate and branch: its value, and half of its derivative, since both factors get it whole."""
    (product,) = inputs
    return (product.detach() + 0.5 * (product - product.detach()),)
