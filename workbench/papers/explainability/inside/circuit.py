"""One circuit walked: how the answer gets from the words that decide it to the last position.

Four steps on minimal pairs whose two prompts differ in a word: where the stream holds the answer (at the word, then at
the last position), which blocks' attention and feed-forward layers bring it to the last position, which heads do, and
whether the model misses those heads when their output is taken from the corrupt run. Heads are chosen on one half of
the pairs and ablated on the other, beside as many random heads of the same blocks and above.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import UsageError
from ....results import Results
from ....rows import Row
from ..data import MinimalPair, minimal_pairs
from .patching import patch_heads, patching_grid
from .patching_engine import Job

# arm -> the part of the blocks that is patched, at the deciding word or at the last position
PLACES = {"deciding word": "stream", "last position": "stream", "attention": "attention", "mlp": "mlp"}


@dataclass(frozen=True)
class Step:
    """One step of the walk: a title, what was found (a sentence) and its numbers (a pandas table, of Estimates)."""

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
    ablation : Results
        Arms "chosen heads" and "random heads" (the mean of the draws), items the other pairs. Measure "left": share of
        the logit difference that is left when those heads' outputs at the last position come from the corrupt run (1:
        nothing is lost, 0: all).
    left_out : tuple of str
        Ids of pairs that this model cannot be walked with (unequal token counts, or it does not know the answers).
    """

    steps: tuple[Step, ...]
    heads: tuple[tuple[int, int], ...]
    ablation: Results
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
    usable, left_out = _usable(model, pairs)
    if len(usable) < 4:
        raise UsageError(f"{model.name} knows {len(usable)} of the {len(pairs)} pairs: give at least 4 that it knows")
    chosen_on, checked_on = list(usable)[::2], list(usable)[1::2]
    results = Results("circuit: recovery", model=model, settings=usable)

    def recovered(missing) -> Iterator[Row]:
        for arm, item, _ in missing:
            pair, word = usable[item]
            grid = patching_grid(model, *pair, part=PLACES[arm], positions=[word if arm == "deciding word" else -1])
            measures = dict(zip(map(str, grid.layers), grid.recovery[:, 0]))
            yield Row(arm, item, seed, measures=measures, prompt=pair[0])

    results.compute([(arm, item, seed) for arm in PLACES for item in usable], recovered)
    where, carried = (_by_layer(results, arms) for arms in (list(PLACES)[:2], list(PLACES)[2:]))
    stream, added = (table.map(lambda share: share.value) for table in (where, carried))
    leaves = next((layer for layer, share in stream["deciding word"].items() if share < 0.5), None)
    arrives = next((layer for layer, share in stream["last position"].items() if share >= 0.5), None)
    named = ", ".join(f"{block} ({share:.2f})" for block, share in added["attention"].nlargest(3).items())

    found = [patch_heads(model, *usable[item][0]) for item in chosen_on]
    recovery = np.mean([one.recovery for one in found], axis=0)  # (N, heads)
    order = np.argsort(-recovery, axis=None, kind="stable")[:top_heads]
    heads = tuple((found[0].layers[i // recovery.shape[1]], int(i % recovery.shape[1]) + 1) for i in order)
    best = recovery.ravel()[order]

    rng = np.random.default_rng(seed)
    blocks, numbers = range(min(b for b, _ in heads), recovery.shape[0] + 1), range(1, recovery.shape[1] + 1)
    others = [(b, h) for b in blocks for h in numbers if (b, h) not in heads]
    draws = {("random heads", item): [[others[i] for i in rng.choice(len(others), len(heads), replace=False)]
                                      for _ in range(n_random)] for item in checked_on}  # fmt: skip
    draws |= {("chosen heads", item): [heads] for item in checked_on}
    ablation = Results("circuit: ablation", model=model, settings=[usable, top_heads, n_random])

    def ablated(missing) -> Iterator[Row]:
        for arm, item, _ in missing:
            pair, _ = usable[item]
            left = [ablate_heads(model, *pair, draw) for draw in draws[arm, item]]
            yield Row(arm, item, seed, measures={"left": np.mean(left)}, prompt=pair[0])

    ablation.compute([(arm, item, seed) for arm in ("chosen heads", "random heads") for item in checked_on], ablated)
    left = ablation.table("left")
    lost = {arm: 1 - share.value for arm, share in left.items()}
    left["chosen minus random"] = ablation.added("chosen heads", "random heads", "left")
    steps = (
        Step("Where the answer is", "Half of the answer is recovered at the deciding word up to layer "
             f"{leaves - 1 if leaves else 'the last'}, and at the last position from layer {arrives} on (mean of "
             f"{len(usable)} pairs).", where),
        Step("What brings it to the last position", f"Patched alone at the last position, the attention of blocks "
             f"{named} recovers most; all feed-forward layers add {added['mlp'].sum():.2f} together, all attention "
             f"layers {added['attention'].sum():.2f}.", carried),
        Step("Which heads", f"Of {recovery.size} heads the best {top_heads} recover {best.sum():.2f} in sum, the "
             f"others {recovery.sum() - best.sum():.2f} (chosen on {len(chosen_on)} pairs).",
             pd.DataFrame([(*head, at) for head, at in zip(heads, best)], columns=["block", "head", "recovery"])),
        Step("Is it missed", f"Without these heads {lost['chosen heads']:.0%} of the logit difference is gone on "
             f"{len(checked_on)} pairs that did not choose them; without as many random heads "
             f"{lost['random heads']:.0%}.", pd.DataFrame({"left": left})),
    )  # fmt: skip
    return Circuit(steps, heads, ablation, left_out)


def _usable(model, pairs: Sequence[MinimalPair]) -> tuple[dict[str, tuple], tuple[str, ...]]:
    """Item -> ((clean, corrupt, answer, foil) that the model knows, deciding position); and the other pairs' ids."""
    usable, left_out = {}, []
    for number, pair in enumerate(pairs):
        asked = pair.clean, pair.corrupt, pair.answer, pair.foil
        try:
            job = Job(model, *asked, "stream", [0], [-1])
            known = job.value(job.trunk(job.clean_ids)) > 0 > job.value(job.trunk(job.corrupt_ids))
        except UsageError:  # unequal token counts
            known = False
        if known:  # the last place where the two prompts differ decides; what comes before it is the same in both
            differ = [i for i, (a, b) in enumerate(zip(job.clean_ids, job.corrupt_ids)) if a != b]
            usable[f"{number} {pair.id}"] = asked, differ[-1]
        else:
            left_out.append(pair.id)
    return usable, tuple(left_out)


def _by_layer(results: Results, arms: Sequence[str]):
    """A row a layer (or block), a column an arm: the mean recovery over the pairs, as an Estimate."""
    import pandas as pd

    parts = {arm: results.of(arm) for arm in arms}
    return pd.DataFrame(
        {arm: {int(layer): part.table(layer)[arm] for layer in part.rows[0].measures} for arm, part in parts.items()}
    )
