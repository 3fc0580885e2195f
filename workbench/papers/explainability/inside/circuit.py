"""One circuit walked: how the answer gets from the words that decide it to the last position.

Four steps on minimal pairs whose two prompts differ in a word: where the stream holds the answer (at the word, then at
the last position), which blocks' attention and feed-forward layers bring it to the last position, which heads do, and
whether the model misses those heads when their output is taken from the corrupt run. Heads are chosen on one half of
the pairs and ablated on the other, beside as many random heads of the same blocks and above.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import UsageError
from ....stats import Estimate, mean_interval
from ..data import MinimalPair, minimal_pairs
from .patching import patch_heads, patching_grid
from .patching_engine import Job


@dataclass(frozen=True)
class Step:
    """One step of the walk: a title, what was found (a sentence) and its numbers (a pandas table)."""

    title: str
    finding: str
    table: object


@dataclass(frozen=True)
class Circuit:
    """A walk.

    Attributes
    ----------
    steps : tuple of Step
    heads : tuple of (block, head)
        Chosen on half of the pairs, highest recovery first; heads and blocks count from 1.
    ablation : dict
        "chosen heads", "random heads", "chosen minus random": share of the logit difference that is left when those
        heads' outputs at the last position come from the corrupt run (1: nothing is lost, 0: all).
    left_out : tuple of str
        Ids of pairs that this model cannot be walked with (unequal token counts, or it does not know the answers).
    """

    steps: tuple[Step, ...]
    heads: tuple[tuple[int, int], ...]
    ablation: dict[str, Estimate]
    left_out: tuple[str, ...]


def ablate_heads(model, clean, corrupt, answer, foil, heads: Sequence[tuple[int, int]], *, position: int = -1) -> float:
    """Share of the clean run's logit difference that is left when heads (block, head) give what the corrupt run gave.

    Blocks and heads count from 1. (ablated - corrupt) / (clean - corrupt), at one position. Raises as `patching_grid`,
    and for a head that is not there.
    """
    job = Job(model, clean, corrupt, answer, foil, "heads", [block for block, _ in heads], [position])
    count = job.anatomy.heads
    for block, head in heads:
        if not 1 <= head <= count:
            raise UsageError(f"block {block} of {model.name} has no head {head}: give 1 to {count}")
    heads = {(block, head - 1) for block, (_, head) in zip(job.layers, heads, strict=True)}  # negative blocks counted
    clean_run, corrupt_run = job.trunk(job.clean_ids), job.trunk(job.corrupt_ids)
    ablated = job.whole_run(job.clean_ids, corrupt_run, sorted(heads), job.positions[0])
    before = job.value(corrupt_run)
    return (ablated - before) / job.gap(job.value(clean_run), before)


def walk_circuit(
    model, pairs: Sequence[MinimalPair] | None = None, *, top_heads: int = 6, n_random: int = 5, seed: int = 0
) -> Circuit:
    """Walk the circuit behind minimal pairs (default: the indirect-object pairs of data/explainability).

    Parameters
    ----------
    pairs : sequence of MinimalPair
        At least four usable ones: those on which the model prefers the answer after the clean and the foil after the
        corrupt prompt, and whose prompts have equal token counts.
    top_heads : int
        Heads to choose and ablate.
    n_random : int
        Random sets of as many heads a pair: the control.

    Raises
    ------
    UsageError
        Fewer than four usable pairs.
    ModelError
        A model without weights here, or of an unknown architecture.
    """
    import pandas as pd

    pairs = list(minimal_pairs("indirect_object") if pairs is None else pairs)
    usable, left_out = [], []
    for pair in pairs:
        try:
            job = Job(model, pair.clean, pair.corrupt, pair.answer, pair.foil, "stream", [0], [-1])
        except UsageError:
            left_out.append(pair.id)
            continue
        values = job.value(job.trunk(job.clean_ids)), job.value(job.trunk(job.corrupt_ids))
        if values[0] > 0 > values[1]:
            # the last place where the two prompts differ decides; what comes before it is the same in both
            differ = [i for i, (a, b) in enumerate(zip(job.clean_ids, job.corrupt_ids)) if a != b]
            usable.append((pair, differ[-1]))
        else:
            left_out.append(pair.id)
    if len(usable) < 4:
        raise UsageError(
            f"{model.name} knows {len(usable)} of the {len(pairs)} pairs: a walk needs at least 4, give more"
        )

    def asked(pair):
        return pair.clean, pair.corrupt, pair.answer, pair.foil

    grids = [patching_grid(model, *asked(pair), positions=[word, -1]) for pair, word in usable]
    stream = np.mean([grid.recovery for grid in grids], axis=0)  # (N + 1, 2)
    where = pd.DataFrame(
        stream, index=pd.Index(grids[0].layers, name="layer"), columns=["deciding word", "last position"]
    )
    leaves = next((layer for layer, share in zip(grids[0].layers, stream[:, 0]) if share < 0.5), None)
    arrives = next((layer for layer, share in zip(grids[0].layers, stream[:, 1]) if share >= 0.5), None)
    steps = [
        Step(
            "Where the answer is",
            f"Half of the answer is recovered at the deciding word up to layer {leaves - 1 if leaves else 'the last'}, "
            f"and at the last position from layer {arrives} on (mean of {len(usable)} pairs).",
            where,
        )
    ]
    moves = {
        part: np.array(
            [patching_grid(model, *asked(pair), part=part, positions=[-1]).recovery[:, 0] for pair, _ in usable]
        )
        for part in ("attention", "mlp")
    }  # (pairs, N)
    columns = {f"{part}, {what}": values for part, found in moves.items()
               for what, values in zip(("mean", "low", "high"), _ends(found))}  # fmt: skip
    carried = pd.DataFrame(columns, index=pd.Index(range(1, moves["attention"].shape[1] + 1), name="block"))
    best = carried["attention, mean"].nlargest(3)
    named = ", ".join(f"{block} ({share:.2f})" for block, share in best.items())
    steps.append(Step(
        "What brings it to the last position",
        f"Patched alone at the last position, the attention of blocks {named} recovers most; all feed-forward layers "
        f"add {moves['mlp'].sum(1).mean():.2f} together, all attention layers {moves['attention'].sum(1).mean():.2f}.",
        carried,
    ))  # fmt: skip
    chosen_on, checked_on = usable[::2], usable[1::2]
    found = [patch_heads(model, *asked(pair)) for pair, _ in chosen_on]
    recovery = np.mean([one.recovery for one in found], axis=0)  # (N, heads)
    order = np.argsort(-recovery, axis=None, kind="stable")[:top_heads]
    heads = tuple((found[0].layers[i // recovery.shape[1]], int(i % recovery.shape[1]) + 1) for i in order)
    table = pd.DataFrame(
        [(block, head, recovery[block - 1, head - 1]) for block, head in heads], columns=["block", "head", "recovery"]
    )
    steps.append(Step(
        "Which heads",
        f"Of {recovery.size} heads the best {top_heads} recover {recovery.ravel()[order].sum():.2f} in sum, the others "
        f"{recovery.sum() - recovery.ravel()[order].sum():.2f} (chosen on {len(chosen_on)} pairs).",
        table,
    ))  # fmt: skip
    rng = np.random.default_rng(seed)
    blocks, numbers = range(min(b for b, _ in heads), recovery.shape[0] + 1), range(1, recovery.shape[1] + 1)
    others = [(b, h) for b in blocks for h in numbers if (b, h) not in heads]
    left = {"chosen heads": [], "random heads": []}
    for pair, _ in checked_on:
        left["chosen heads"].append(ablate_heads(model, *asked(pair), heads))
        draws = [[others[i] for i in rng.choice(len(others), len(heads), replace=False)] for _ in range(n_random)]
        left["random heads"].append(float(np.mean([ablate_heads(model, *asked(pair), draw) for draw in draws])))
    ablation = {name: mean_interval(values) for name, values in left.items()}
    ablation["chosen minus random"] = mean_interval(np.subtract(left["chosen heads"], left["random heads"]))
    lost = 1 - ablation["chosen heads"].value
    steps.append(Step(
        "Is it missed",
        f"Without these heads {lost:.0%} of the logit difference is gone on {len(checked_on)} pairs that did not "
        f"choose them; without as many random heads {1 - ablation['random heads'].value:.0%}.",
        pd.DataFrame([(k, e.value, e.low, e.high, e.n) for k, e in ablation.items()],
                     columns=["ablated", "left", "low", "high", "pairs"]).set_index("ablated"),
    ))  # fmt: skip
    return Circuit(tuple(steps), heads, ablation, tuple(left_out))


def _ends(values: np.ndarray):
    found = [mean_interval(column) for column in values.T]
    return [[getattr(one, name) for one in found] for name in ("value", "low", "high")]
