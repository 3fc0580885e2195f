"""A learning rate for each arm, chosen on training entities that are held out: the test has no say in it.

One rate for all arms would favour the arm that it was found with.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ...bars import tqdm
from ...errors import UsageError
from ...rows import Row
from .settings import ARMS
from .study import arms_for, keys_of, predict, rows_of, study_of, train_arm
from .tasks import Task, held_out


def choose_rates(
    task: Task, rates: Sequence[float], seed: int, *, arms: Iterable[str] = tuple(ARMS),
    progress: bool = False, **training,
):  # fmt: skip
    """Train each arm with each rate on seven tenths of the training entities, and test it on the others.

    Parameters
    ----------
    task, seed
        One repetition of a task; the seed also draws the entities that are held out.
    rates
        The learning rates to choose from.
    arms
        Names in `ARMS`.
    progress
        Show a bar that counts arms.
    training
        Keywords of `study.train_arm`, without learning_rate.

    Returns
    -------
    pandas.DataFrame
        A row an arm and rate: arm, rate, right (share of the held-out texts), log_probability (of the truth, mean),
        n (held-out texts), chosen. Chosen is the rate with the most right; of equals that which finds the truth more
        probable.

    Raises
    ------
    UsageError
        No rate, or nothing to hold out.
    """
    import pandas as pd

    part = held_out(task, seed)
    if not rates or not part.test:
        raise UsageError(
            f"{task.name} has {len(part.test)} texts to hold out and {len(rates)} rates: with too few of either, give "
            "one learning_rate for all arms"
        )
    results = study_of({seed: part}, [training, list(rates)], ", rates")
    rows = []
    for name in tqdm(arms_for(part, arms), desc=results.name, unit="arm", disable=not progress, leave=False):
        tried = []
        for rate in map(float, rates):
            arm = f"{name}, rate {rate:g}"
            make = partial(_try, part, name, arm, seed, rate, training)
            results.compute(keys_of(part, arm, seed), make, together=True)
            right, log = (float(np.mean(results.of(arm).values(name))) for name in ("correct", "log_probability"))
            tried.append((right, log, rate))
        best = max(tried)
        rows += [
            {"arm": name, "rate": rate, "right": right, "log_probability": log, "n": len(part.test),
             "chosen": rate == best[2]}
            for right, log, rate in tried
        ]  # fmt: skip
    return pd.DataFrame(rows)


def _try(part: Task, name: str, arm: str, seed: int, rate: float, training: Mapping, _missing) -> list[Row]:
    """The rows of one training: whether each held-out text is right, and how probable its truth."""
    model = train_arm(part, ARMS[name], seed, learning_rate=rate, **training)
    said = predict(model, ARMS[name], [text for text, _ in part.test], part.graph)
    columns = [part.labels.index(truth) for _, truth in part.test]
    shares = np.nan_to_num(said.probabilities[np.arange(len(columns)), columns])  # nan: the rate was too high
    logs = np.log(np.maximum(shares, 1e-12))
    rows = rows_of(part, seed, arm, said.labels, {})
    return [replace(row, measures={**row.measures, "log_probability": log}) for row, log in zip(rows, logs)]


def chosen(table) -> Mapping[str, float]:
    """Arm -> the rate that `choose_rates` chose."""
    picked = table[table.chosen]
    return dict(zip(picked.arm, picked.rate))
