"""Gradients of a model's states without gradients of its weights."""

from contextlib import contextmanager

import torch


@contextmanager
def frozen(module: torch.nn.Module):
    """While inside, no parameter wants a gradient."""
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
