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

import weakref
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn

from ....models.read_out import find_blocks
from ..tokens import MethodRefused, Question
from .gradients import StateFunction, frozen

# families of transformers whose classes are what the rules are written for: attention with q_proj and k_proj, a gated
# MLP with act_fn and down_proj, norms that scale, and nothing but sums and constant factors between them
FAMILIES = (
    "llama", "mistral", "ministral", "qwen2", "qwen3", "gemma", "gemma3", "smollm3", "granite", "cohere", "cohere2",
    "exaone4", "stablelm", "olmo", "olmo2", "helium", "seed_oss",
)  # fmt: skip
RULED = {f"transformers.models.{name}.modeling_{name}" for name in FAMILIES} | {
    "transformers.activations", "torch.nn.modules.activation", "torch.nn.modules.normalization",
    "torch.nn.modules.container", "torch.nn.modules.dropout", "torch.nn.modules.sparse", "torch.nn.modules.linear",
    "bitsandbytes.nn.modules", "peft.peft_model", "peft.tuners.lora.model", "peft.tuners.lora.layer",
    "peft.tuners.lora.bnb",
}  # fmt: skip
_covered: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # module -> "", or why its rules do not cover it


def relevance(question: Question, *, layer: int) -> tuple[np.ndarray, float, StateFunction]:
    """Relevance of each token (n,) at ``layer``, the centred logit, and the function with its counters.

    Raises
    ------
    MethodRefused
        A part of a class that no rule is written for, or a model whose relevances do not add up.
    """
    check_rules(question.model)
    f = StateFunction(question, layer, logits=True)
    f.held[:] = False  # nothing is removed, so the first token has its share like any other
    x = f.states.detach().to(torch.promote_types(f.states.dtype, torch.float32)).requires_grad_()
    with frozen(question.model.module), linear(question.model), torch.enable_grad():
        value = f(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    scores = (gradient * x).sum(-1)[0].detach().double().cpu().numpy()
    return scores, float(value.detach().double()), f


def check_rules(model) -> None:
    """One sentence where no rule is written for a part of the model, or where the rules lose relevance."""
    if model.module not in _covered:
        _covered[model.module] = _unruled(model) or _unbalanced(model)
    if reason := _covered[model.module]:
        raise MethodRefused(f"{model.name} {reason}: choose another method, such as occlusion")


def _unruled(model) -> str:
    for part in model.module.modules():
        if type(part).__module__ not in RULED:
            return f"has a {type(part).__name__}, for which no relevance rule is written"
    if getattr(model.module.config.get_text_config(decoder=True), "final_logit_softcapping", None):
        return "caps its logits, for which no relevance rule is written"
    for block in find_blocks(model.module) or ():
        names = {name.rsplit(".", 1)[-1] for name, _ in block.named_modules()}
        for name in ("q_proj", "k_proj", "act_fn", "down_proj"):
            if name not in names:
                return f"has blocks without {name}, for which no relevance rule is written"
    return "" if find_blocks(model.module) else "has no list of blocks"


def _unbalanced(model) -> str:
    """Relevances of embeddings and additive biases against the logit they should add up to, on a short text."""
    module = model.module
    if any(getattr(getattr(part, "weight", None), "quant_state", None) and part.bias is not None
           for part in module.modules() if isinstance(part, nn.Linear)):  # fmt: skip
        return ""  # the kernel of a 4-bit layer gives no derivative by its bias
    size = module.get_input_embeddings().weight.shape[0]
    ids = torch.tensor([np.linspace(size // 10, size // 2, 6).astype(int).tolist()], device=model.device)
    with frozen(module), linear(model), torch.enable_grad():
        biases = [p for name, p in module.named_parameters() if name.endswith("bias") and p.is_floating_point()]
        states = module.get_input_embeddings()(ids).detach().requires_grad_()
        try:
            for bias in biases:
                bias.requires_grad_(True)
            logits = module(inputs_embeds=states, use_cache=False).logits[0, -1].float()
            value = logits.max() - logits.mean()
            found = torch.autograd.grad(value, [states, *biases], allow_unused=True)
        finally:
            for bias in biases:
                bias.requires_grad_(False)
    total = sum(
        float((g * x.detach()).double().sum()) for g, x in zip(found, [states, *biases], strict=True) if g is not None
    )
    value = float(value.detach())
    gap = abs(total - value) / abs(value)
    if gap < (1e-3 if states.dtype == torch.float32 else 0.25):
        return ""
    return f"computes something that the relevance rules do not cover (they miss {gap:.0%} of a logit)"


@contextmanager
def linear(model):
    """While inside, the model's forward has its own values and the rules' derivatives."""
    with ExitStack() as stack:
        for block in find_blocks(model.module):
            parts = {name.rsplit(".", 1)[-1]: part for name, part in block.named_modules()}
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
