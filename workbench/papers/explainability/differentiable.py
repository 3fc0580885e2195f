"""Gradients of a model's states without gradients of its weights, also where a kernel forgets to have any.

On processors with AVX-512 BF16, bitsandbytes 0.50 repacks a 4-bit layer at its first inference and from then on
multiplies by a kernel without a backward: gradients through it come out as zero, with a warning at most. While inside
`frozen` such layers multiply as they do otherwise and have the derivative they should have.
"""

from contextlib import contextmanager

import torch


@contextmanager
def frozen(module: torch.nn.Module):
    """While inside, no parameter wants a gradient, and every layer is differentiable in its input."""
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    packed = [part for part in module.modules() if _is_packed(part)]
    for parameter in wanted:
        parameter.requires_grad_(False)
    for part in packed:
        part.forward = _forward(part)  # an attribute of the instance, over the class's method
    try:
        yield
    finally:
        for part in packed:
            del part.forward
        for parameter in wanted:
            parameter.requires_grad_(True)


def _is_packed(part: torch.nn.Module) -> bool:
    state = getattr(getattr(part, "weight", None), "quant_state", None)
    return bool(getattr(state, "packing_format_for_cpu", False))


def _forward(part):
    plain = part.forward
    return lambda x: _Packed.apply(x, part, plain) if torch.is_grad_enabled() and x.requires_grad else plain(x)


class _Packed(torch.autograd.Function):
    """y = x W^T by the layer's own kernel; its derivative by the weights, unpacked for the moment."""

    @staticmethod
    def forward(context, x, part, plain):
        context.part = part
        return plain(x.detach())

    @staticmethod
    def backward(context, gradient):
        return gradient @ unpacked(context.part).to(gradient.dtype), None, None


def unpacked(part) -> torch.Tensor:
    """(out, in) weights of a packed 4-bit layer, in its own precision; the layer stays as it is."""
    import copy

    from bitsandbytes.functional import _convert_weight_packed_for_cpu_inverse, dequantize_4bit

    state = copy.copy(part.weight.quant_state)  # the inverse writes into the state it is given
    nested, state.original_nested = state.original_nested, False
    absmax = state.absmax
    data, state = _convert_weight_packed_for_cpu_inverse(part.weight.data, state)
    if nested:  # the packed scales are plain ones already: no second rounding
        state.nested = False
    state.absmax = absmax.T.reshape(-1).float().contiguous()
    return dequantize_4bit(data, state)
