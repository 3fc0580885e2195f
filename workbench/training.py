"""Training, once: the loop, and LoRA adapters that leave the model as it was.

What a trainer imports is mended before it is imported (`models.quantised`, installed by ``import workbench``): no
library fetches code from the hub, and gradients through a 4-bit layer are right on a CPU too. Hugging Face's Trainer
stays where a paper is about it (EMO's loss for Trainer) or needs its schedule and checkpoints (K-BERT).
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .bars import tqdm


def train(
    module: torch.nn.Module, batches: Callable[[torch.Generator], Any], loss: Callable[[Any], torch.Tensor], *,
    steps: int, lr: float, seed: int, fused: bool = False, progress: bool = False,
) -> torch.nn.Module:  # fmt: skip
    """Train what is trainable of ``module`` in place, with AdamW and a rate that falls linearly to 0.

    Parameters
    ----------
    module
        In training mode meanwhile, in eval mode afterwards, also after an error.
    batches
        (generator) -> the next batch, drawn from that generator, which is made of ``seed`` alone.
    loss
        (batch) -> a scalar.
    steps, lr : int, float
        Steps; the rate of the first one.
    fused : bool
        torch's fused AdamW, quicker for small modules; it rounds otherwise.
    progress : bool
        Show a bar.

    Returns
    -------
    ``module``
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, fused=fused or None)
    module.train()
    try:
        for step in tqdm(range(steps), desc="training", unit="step", disable=not progress, leave=False):
            value = loss(batches(generator))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            for group in optimizer.param_groups:
                group["lr"] = lr * (1 - (step + 1) / steps)
    finally:
        module.eval()
    return module


def rows_of(data: torch.Tensor, size: int) -> Callable[[torch.Generator], torch.Tensor]:
    """For `train`: batches of ``size`` rows of ``data`` (N, ...), drawn with replacement."""
    return lambda generator: data[torch.randint(0, len(data), (size,), generator=generator)]


@contextmanager
def lora(module: torch.nn.Module, rank: int, seed: int, targets: str | list[str] = "all-linear") -> Iterator:
    """Inside the block ``module`` has fresh LoRA adapters (alpha = 2 rank), and they alone are trainable.

    Parameters
    ----------
    module
        A causal language model of transformers, in 4 or 8 bits too.
    rank, seed : int
        The adapters' rank; of their first weights.
    targets
        Names of the layers that get one; "all-linear": all but the head.

    Yields
    ------
    The peft model around ``module``. Afterwards ``module`` is without adapters, and trainable where it was.
    """
    import peft

    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    torch.manual_seed(seed)
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type="CAUSAL_LM")
    with warnings.catch_warnings():  # peft asks transformers by a name that transformers is giving up
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        adapted = peft.get_peft_model(module, config)
    try:
        yield adapted
    finally:
        adapted.unload()
        for parameter in trainable:  # peft froze them
            parameter.requires_grad_(True)
