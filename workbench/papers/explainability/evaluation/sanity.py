"""Does an explanation depend on what the model learnt? Randomise its weights and see whether the scores notice.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018: blocks are randomised from the top down, one cascade,
and each explanation is compared with that of the intact model. A method whose scores hardly move explains the
architecture or the text, not the model. Weights are randomised by shuffling each tensor's own entries (also the packed
ones of a 4-bit model): the distribution stays, what was learnt goes. Afterwards they are what they were, bit by bit.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch

from ....errors import ModelError, UsageError
from ....results import Results
from ....rows import Key, Row
from ..attribution.methods import attribute, compare
from ..blocks import blocks_of
from ..settings import METHODS, get_method
from ..tokens import MethodRefused, ask
from .removal import rank_correlation

DEFAULT = ("occlusion", "gradient_x_input", "integrated_gradients", "decomposition", "attention", "rollout")


@dataclass(frozen=True, eq=False)
class Randomisation:
    """The cascade on one prompt: by method and number of randomised blocks.

    Attributes
    ----------
    prompt, target : str
    depth : int
        Blocks of the model.
    tokens : int
        Tokens compared.
    table : DataFrame
        A row a method and step: method, blocks (so many of the topmost are random), rank and absolute_rank (Spearman
        correlations with the intact model's scores and with their absolute values, nan where undefined: near 0 is what
        a method should show once all blocks are random).
    """

    prompt: str
    target: str
    depth: int
    tokens: int
    table: Any

    @property
    def chance(self) -> float:
        """Half the width of the 95 % range of a rank correlation between unrelated scores, around 0.

        Unrelated ranks of n tokens have the standard deviation 1 / sqrt(n - 1) (Kendall).
        """
        return min(1.0, 1.96 / (self.tokens - 1) ** 0.5) if self.tokens > 1 else 1.0

    def to_frame(self):
        """``table`` with words for people."""
        titles = self.table.assign(method=[METHODS[method].title for method in self.table.method])
        names = {"blocks": "blocks randomised", "rank": "rank correlation", "absolute_rank": "of absolute values"}
        return titles.rename(columns=names)


def weight_randomisation(
    model, prompt, target, methods: Sequence[str] | None = None, *, steps: int = 4, seed: int = 0,
    samples: int | Mapping[str, int] | None = None, progress: bool = False,
) -> Randomisation:  # fmt: skip
    """The cascading randomisation test on one prompt.

    Parameters
    ----------
    model : Model
        A local model; restored bit by bit afterwards, also after an error or an interrupt.
    prompt, target
        As in `attribute`.
    methods : sequence of str, optional
        Default: one of each kind.
    steps : int
        Into how many parts the blocks are divided, top first.
    seed, samples, progress
        As in `compare`; the shuffles follow from ``seed``.

    Raises
    ------
    UsageError
        Fewer than one step, or an unknown method.
    """
    methods = list(DEFAULT if methods is None else methods)
    for method in methods:
        get_method(method)
    if not isinstance(steps, Integral) or steps < 1 or not methods:
        raise UsageError(f"steps={steps} and {len(methods)} methods: give at least one whole step and one method")
    layers = list(blocks_of(model))
    depth = len(layers)
    ends = [round(depth * step / min(steps, depth)) for step in range(1, min(steps, depth) + 1)]
    question = ask(model, prompt, target)
    asked = [question.ids, question.target_ids, methods, samples]
    results = Results("weight randomisation", model=model, settings=asked)
    count = samples.get if isinstance(samples, Mapping) else lambda method: samples

    def moved(missing: Sequence[Key]) -> Iterator[Row]:
        """A row a method and step. The weights are left random: whoever asks restores them."""
        names = [method for method in methods if method in {arm for arm, *_ in missing}]
        before = compare(model, prompt, target, names, samples=samples, seed=seed, progress=progress)
        generator, done = torch.Generator().manual_seed(seed), 0
        for end in ends:
            for layer in layers[::-1][done:end]:
                shuffle(layer, generator)
            done = end
            for key in [key for key in missing if key[1] == str(end)]:
                measures, labels = {"rank": np.nan, "absolute_rank": np.nan}, {"target": question.target}
                if key[0] not in before:
                    yield Row(*key, measures=measures, labels=labels | {"refused": "for this model"})
                    continue
                # random weights may pick other experts along a path where the real ones did not
                with suppress(MethodRefused):
                    after = attribute(model, prompt, target, method=key[0], samples=count(key[0]), seed=seed)
                    places = [place for place in after.free if place != 0]
                    a, b = before[key[0]].scores[places], after.scores[places]
                    measures = {"rank": rank_correlation(a, b), "absolute_rank": rank_correlation(abs(a), abs(b))}
                yield Row(*key, measures=measures, labels=labels, prompt=question.prompt)

    with restored(layers):
        results.compute([(method, str(end), seed) for end in ends for method in methods], moved)
    table = Results(rows=[row for row in results.rows if "refused" not in row.labels]).frame()
    table = table.assign(method=table.arm, blocks=table.item.map(int))[["method", "blocks", "rank", "absolute_rank"]]
    return Randomisation(question.prompt, question.target, depth, len(question.ids) - 1, table)


@torch.no_grad()
def shuffle(module: torch.nn.Module, generator: torch.Generator) -> None:
    """Put the entries of each of a module's parameters into random order, in place."""
    for parameter in module.parameters():
        flat = parameter.data.reshape(-1)
        kind = torch.int32 if len(flat) < 2**31 else torch.int64  # half the time and memory where it is wide enough
        order = torch.randperm(len(flat), generator=generator, dtype=kind).to(flat.device)
        parameter.data.copy_(flat.index_select(0, order).view_as(parameter.data))


@contextmanager
def restored(modules: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Copies of all parameters are kept on the CPU and written back at the end, whatever happens.

    Raises
    ------
    ModelError
        Afterwards a tensor is not what it was.
    """
    kept = [(parameter, parameter.data.cpu().clone()) for module in modules for parameter in module.parameters()]
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, copy in kept:
                parameter.data.copy_(copy)
        if not all(torch.equal(parameter.data.cpu(), copy) for parameter, copy in kept):
            raise ModelError("the weights could not be restored after the randomisation: load the model again")
