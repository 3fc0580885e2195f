"""Activation patching: put one activation of a clean run into a corrupt run, and see how much of the answer comes back.

For every layer and position: run the corrupt prompt, replace its activation there by the clean prompt's, and read
logit(answer) - logit(foil) behind the last token. recovery = (patched - corrupt) / (clean - corrupt): 0 as the corrupt
run, 1 as the clean one (it may leave that range). Parts: "stream" (the whole residual stream), "attention" and "mlp"
(what one module adds to it), and single heads.

One run at a time costs layers x positions forwards. `patching_grid` goes on from stored
states with many runs in one batch, for the upper blocks and later tokens only (`patching_engine`): the same numbers.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..attribution.game import Cost
from ..tokens import token_texts
from .patching_engine import PARTS as PARTS, Job, resumes, sweep


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
    cost : Cost
        evaluations: patched runs; tokens through the whole model (a block of N counts 1/N).
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
    cost: Cost

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
    job = Job(model, clean, corrupt, answer, foil, part, layers, positions)
    start = time.perf_counter()
    if not resumes(model, job.anatomy):  # no mask of our own reaches its attention: whole runs are all that is left
        return _result(job, *_one_by_one(job), start)
    with torch.inference_mode():
        clean_run, corrupt_run = job.trunk(job.clean_ids), job.trunk(job.corrupt_ids)
        values, tokens = np.zeros((len(job.layers), len(job.positions))), 2.0 * len(job.clean_ids)
        for column, position in enumerate(job.positions):
            found, spent = sweep(job, clean_run, corrupt_run, position, [(layer, None) for layer in job.layers])
            values[:, column] = found
            tokens += spent / len(job.anatomy.blocks)
    return _result(job, values, job.value(clean_run), job.value(corrupt_run), tokens, start)


def patch_heads(model, clean, corrupt, answer, foil, *, position: int = -1, layers=None) -> HeadPatching:
    """Recovery from patching the output of one attention head at one position, for every head of ``layers``.

    A head's output is its share of the projection's input. Raises as `patching_grid`.
    """
    job = Job(model, clean, corrupt, answer, foil, "heads", layers, [position])
    heads, at = job.anatomy.heads, job.positions[0]
    with torch.inference_mode():
        clean_run, corrupt_run = job.trunk(job.clean_ids), job.trunk(job.corrupt_ids)
        runs = [(block, head) for block in job.layers for head in range(heads)]
        if resumes(model, job.anatomy):
            values, _ = sweep(job, clean_run, corrupt_run, at, runs)
        else:
            values = np.array([job.whole_run(job.corrupt_ids, clean_run, [run], at) for run in runs])
        values = values.reshape(len(job.layers), heads)
    gap = job.gap(job.value(clean_run), job.value(corrupt_run))
    return HeadPatching(
        job.layers, at, job.value(clean_run), job.value(corrupt_run), (values - job.value(corrupt_run)) / gap
    )


@torch.inference_mode()
def _one_by_one(job: Job):
    clean_run, corrupt_run = job.trunk(job.clean_ids), job.trunk(job.corrupt_ids)
    values = np.array(
        [[job.whole_run(job.corrupt_ids, clean_run, [(layer, None)], p) for p in job.positions] for layer in job.layers]
    )
    return values, job.value(clean_run), job.value(corrupt_run), (values.size + 2.0) * len(job.clean_ids)


def _result(job: Job, values, clean_value, corrupt_value, tokens, start) -> Patching:
    gap = job.gap(clean_value, corrupt_value)
    return Patching(
        *job.texts, job.part, job.layers, job.positions, token_texts(job.model, job.clean_ids),
        token_texts(job.model, job.corrupt_ids), clean_value, corrupt_value, values, (values - corrupt_value) / gap,
        Cost(values.size, tokens, time.perf_counter() - start),
    )  # fmt: skip
