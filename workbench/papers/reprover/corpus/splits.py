"""The benchmark's two ways to hold theorems out (§4; the reference's seed is 3407)."""

import random
from collections.abc import Sequence

from ....errors import UsageError
from .corpus import PARTS, TracedTheorem

SEED = 3407


def random_split(theorems: Sequence[TracedTheorem], n_val: int, n_test: int, *, seed: int = SEED):
    """{part: theorems}: a seeded shuffle; a theorem stands in exactly one part."""
    _check(theorems, n_val, n_test)
    shuffled = sorted(theorems, key=lambda theorem: theorem.key)
    random.Random(seed).shuffle(shuffled)
    cut = len(shuffled) - n_val - n_test
    return dict(zip(PARTS, (tuple(shuffled[:cut]), tuple(shuffled[cut : cut + n_val]), tuple(shuffled[cut + n_val :]))))


def novel_premises_split(theorems: Sequence[TracedTheorem], n_val: int, n_test: int, *, seed: int = SEED):
    """{part: theorems}: every held-out theorem uses at least one premise that no training theorem uses.

    Premises are taken from the rarest on; every theorem that uses one moves out of the training part, until at least
    ``n_val + n_test`` have moved (the last premise may bring more). They are then divided at random.
    """
    _check(theorems, n_val, n_test)
    ordered = sorted(theorems, key=lambda theorem: theorem.key)
    users: dict[tuple, list[int]] = {}
    for number, theorem in enumerate(ordered):
        for premise in sorted({(use.def_path, use.full_name) for one in theorem.tactics for use in one.uses}):
            users.setdefault(premise, []).append(number)
    rng = random.Random(seed)
    premises = sorted(users)
    rng.shuffle(premises)  # premises that are equally rare come in a seeded order
    premises.sort(key=lambda premise: len(users[premise]))
    moved: dict[int, None] = {}
    for premise in premises:
        if len(moved) >= n_val + n_test:
            break
        moved.update(dict.fromkeys(users[premise]))
    if len(moved) < n_val + n_test:
        raise UsageError(
            f"only {len(moved)} theorems name a premise, and {n_val + n_test} are to be held out; ask for fewer"
        )
    held = list(moved)
    rng.shuffle(held)
    n_val = round(len(held) * n_val / (n_val + n_test))
    parts = ([n for n in range(len(ordered)) if n not in moved], held[:n_val], held[n_val:])
    return {part: tuple(ordered[n] for n in numbers) for part, numbers in zip(PARTS, parts)}


SPLITS = {"random": random_split, "novel_premises": novel_premises_split}


def _check(theorems: Sequence[TracedTheorem], n_val: int, n_test: int) -> None:
    if n_val < 0 or n_test < 1 or n_val + n_test >= len(theorems):
        raise UsageError(
            f"n_val={n_val} and n_test={n_test} of {len(theorems)} theorems: both must fit and leave some for training"
        )
