"""A study's rows (arm x item x seed) and what is read off them: intervals, paired differences, verdicts, metrics.

Inside a run each finished row becomes one line of the run's ``rows.jsonl``, flushed to the disk as it comes. Its key
pins down what made it: the study's name, the model, the settings, and the package's code and data. ``workbench run
--resume`` offers the lines of an earlier run, and `Results.compute` takes those whose key agrees over instead of
computing them. Outside a run nothing is written.

>>> results = Results("toy")
>>> def ask(missing):
...     for arm, item, seed in missing:
...         yield Row(arm, item, seed, measures={"right": arm == "good" or item == "a"})
>>> results.compute([(arm, item, 0) for arm in ("good", "bad") for item in ("a", "b", "c", "d")], ask)
>>> {arm: estimate.value for arm, estimate in results.table("right").items()}
{'good': 1.0, 'bad': 0.25}
>>> results.difference("good", "bad", "right").difference.value
0.75
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from .errors import UsageError
from .files import run_folder
from .rows import FILE, OFFERED, Key, Row, append_lines, code_hash, read_lines
from .stats import (
    Estimate,
    Paired,
    clustered_interval,
    correlation,
    holm,
    mean_interval,
    paired_test,
    proportion_interval,
)


class Results:
    """The rows of one study.

    Parameters
    ----------
    name
        What the study is called in the run's files; two studies of a run differ in name, model or settings.
    model
        What answered: a handle of `workbench.load`, or a text that pins it down.
    settings
        All else that a row's numbers follow from and that is not its arm, item and seed; any JSON value.
    rows
        Rows that are there already.
    """

    def __init__(self, name: str = "", *, model: Any = "", settings: Any = None, rows: Iterable[Row] = ()):
        self.name = name
        self.rows = list(rows)
        self._disk: dict[Key, tuple[Row, bool]] | None = None
        text = json.dumps([name, identity_of(model), settings, code_hash()], sort_keys=True, default=str)
        self.code = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Results {self.name}: {len(self.rows)} rows, arms {', '.join(self.arms)}>"

    # --- filling ----------------------------------------------------------------------------------------------------

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys (arm, item, seed) of which there is no row."""
        there = {row.key for row in self.rows}
        return [key for key in keys if key not in there]

    def compute(
        self, keys: Iterable[Key], make: Callable[[list[Key]], Iterable[Row]], *, together: bool = False
    ) -> None:
        """See to it that there is a row for each key, computing those that neither this run nor the one before has.

        Parameters
        ----------
        keys
            (arm, item, seed) of the rows, in the order in which they will stand.
        make
            Is given the missing keys and yields their rows, in any order; each is kept as soon as it comes.
        together
            The rows come out of one computation (a batch, a training): all are made if one is missing.

        Raises
        ------
        UsageError
            ``make`` gives other rows than those it was asked for.
        """
        keys = self.missing(dict.fromkeys(keys))
        kept = self._kept()
        found = {key: kept[key] for key in keys if key in kept}
        if together and len(found) < len(keys):
            found = {}
        self._write([row for row, written in found.values() if not written], taken=True)
        found = {key: row for key, (row, _) in found.items()}
        wanted = dict.fromkeys(key for key in keys if key not in found)
        made = []
        for row in make(list(wanted)) if wanted else ():
            if row.key not in wanted or row.key in found:
                raise UsageError(f"{self.name or 'the study'} was not asked for the row {row.key}, or has it already")
            found[row.key] = row
            made.append(row)
            if not together:
                self._write([row])
        if len(found) < len(keys):
            raise UsageError(f"{self.name or 'the study'} made no row {next(k for k in wanted if k not in found)}")
        if together:
            self._write(made)
        self.rows += [found[key] for key in keys]

    def _kept(self) -> dict[Key, tuple[Row, bool]]:
        """This study's rows on the disk, each with whether it is in this run's own file; read once."""
        folder = run_folder()
        if self._disk is None:
            self._disk = {}
            for name in (OFFERED, FILE) if folder else ():
                rows = (Row.from_dict(line) for line in read_lines(folder / name)[0] if line["key"] == self.code)
                self._disk |= {row.key: (row, name == FILE) for row in rows}
        return self._disk

    def _write(self, rows: Sequence[Row], taken: bool = False) -> None:
        folder = run_folder()
        if folder is not None and rows:
            mark = {"study": self.name, "key": self.code, "code": code_hash(), "taken": taken}
            append_lines(folder / FILE, [mark | row.as_dict() for row in rows])

    # --- reading ----------------------------------------------------------------------------------------------------

    @property
    def arms(self) -> list[str]:
        """The arms in order of appearance."""
        return list(dict.fromkeys(row.arm for row in self.rows))

    def labels(self, name: str) -> list[str]:
        """The values of a label, in order of appearance."""
        return list(dict.fromkeys(row.labels[name] for row in self.rows if name in row.labels))

    def of(self, arm: str | None = None, **labels: str | None) -> "Results":
        """The rows of an arm, and of those labels, as results of their own; None chooses all."""
        chosen = Results.__new__(Results)
        chosen.name, chosen.code, chosen._disk = self.name, self.code, None
        wanted = {name: value for name, value in labels.items() if value is not None}
        chosen.rows = [
            row
            for row in self.rows
            if arm in (None, row.arm) and all(row.labels.get(name) == value for name, value in wanted.items())
        ]
        return chosen

    def values(self, measure: str) -> list[float]:
        """A measure of every row, in the rows' order."""
        try:
            return [row.measures[measure] for row in self.rows]
        except KeyError:
            there = ", ".join(dict.fromkeys(name for row in self.rows for name in row.measures))
            raise UsageError(f"not every row has the measure {measure!r}: there are {there}") from None

    def per_unit(self, arm: str, measure: str) -> dict[str, float]:
        """Unit -> the mean of the measure over the unit's items and seeds, in order of appearance."""
        return self._arm(arm).means(measure)

    def _arm(self, arm: str) -> "Results":
        mine = self.of(arm)
        if not mine.rows:
            raise UsageError(f"there are no results of {arm!r}: there are {', '.join(self.arms)}")
        return mine

    def means(self, measure: str, by: str = "unit") -> dict:
        """Unit (or seed, or item) -> the mean of its rows, in order of appearance."""
        groups: dict[Any, list[float]] = {}
        for row, value in zip(self.rows, self.values(measure), strict=True):
            groups.setdefault(getattr(row, by), []).append(float(value))
        return {group: math.fsum(values) / len(values) for group, values in groups.items()}

    def table(
        self,
        measure: str,
        by: str = "arm",
        bounds: tuple[float, float] | None = None,
        *,
        unit: str = "",
        pooled: bool = False,
    ) -> dict[str, Estimate | None]:
        """A measure's mean over the units, with its 95 % interval, for each arm (or each value of another label).

        True and False make a share, with Wilson's interval; other numbers have Student's, cut to ``bounds``. Units of
        several rows count once, with their mean; ``pooled`` counts every row, and the interval resamples whole units;
        where all units are equal it is Wilson's bound on how often a unit may differ, by as much as ``bounds`` allow.
        Rows without a number (NaN) are left out; where no row has one there is None. ``unit`` is the Estimates' own.
        """
        found = {}
        for group in self.arms if by == "arm" else self.labels(by):
            part = (self.of(group) if by == "arm" else self.of(**{by: group}))._known(measure)
            values, units = part.values(measure), part.means(measure)
            if not values:
                found[group] = None
            elif pooled:
                found[group] = replace(clustered_interval(values, [row.unit for row in part.rows]), unit=unit)
                if bounds and len(units) > 1 and len(set(units.values())) == 1:  # another unit may differ (Wilson)
                    same = proportion_interval(len(units), len(units)).low
                    low, high = (same * found[group].value + (1 - same) * bound for bound in bounds)
                    found[group] = replace(found[group], low=low, high=high)
            elif all(isinstance(value, bool) for value in values) and len(units) == len(values):
                found[group] = proportion_interval(sum(values), len(values), unit=unit)
            else:
                found[group] = mean_interval(list(units.values()), bounds=bounds, unit=unit)
        return found

    def _known(self, measure: str, among: Iterable[Key] | None = None) -> "Results":
        """The rows that have a number, and whose item and seed are ``among`` these."""
        part = self.of()
        part.rows = [
            row for row, value in zip(self.rows, self.values(measure), strict=True)
            if value == value and (among is None or row.key[1:] in among)
        ]  # fmt: skip
        return part

    def correlations(self, a: str, b: str, *, seed: int = 0) -> dict[str, Estimate]:
        """Arm -> the correlation of two measures over its rows, with its bootstrap interval (`stats.correlation`)."""
        return {arm: correlation(self.of(arm).values(a), self.of(arm).values(b), seed=seed) for arm in self.arms}

    def added(
        self, a: str, over: str, measure: str, bounds: tuple[float, float] | None = None, unit: str = ""
    ) -> Estimate | None:
        """The mean of ``a`` minus ``over``, paired by item and seed; the interval is over the units.

        Pairs of which one has no number (NaN) are left out; where none is left there is None.

        Parameters
        ----------
        bounds
            What values of the measure are possible. They cut the interval; and where all differences are equal, so
            that there is no spread to go by, it is Wilson's bound on how often another unit may differ, by as much as
            is possible.

        Raises
        ------
        UsageError
            An arm has no rows, or has a row that the other one lacks.
        """
        ours, theirs = self._paired(a, over, measure)
        differences = [one - other for one, other in zip(ours, theirs, strict=True)]
        if not differences:
            return None
        found = mean_interval(differences, unit=unit)
        if bounds is None or found.low is None:
            return found
        widest = bounds[1] - bounds[0]
        if len(set(differences)) > 1:
            return replace(found, low=max(found.low, -widest), high=min(found.high, widest))
        same = proportion_interval(found.n, found.n).low
        low, high = (same * found.value + side * (1 - same) * widest for side in (-1, 1))
        return replace(found, low=low, high=high)

    def difference(
        self, a: str, b: str, measure: str, bounds: tuple[float, float] | None = None, unit: str = ""
    ) -> Paired | None:
        """`added`, with Wilcoxon's test; one unit alone is no evidence, p = 1."""
        ours, theirs = self._paired(a, b, measure)
        if not ours:
            return None
        test = paired_test(ours, theirs) if len(ours) > 1 else Paired(mean_interval(ours), 1.0, "one pair: no test")
        return replace(test, difference=self.added(a, b, measure, bounds, unit))

    def _paired(self, a: str, b: str, measure: str) -> tuple[list[float], list[float]]:
        """The units' means of two arms, in one order."""
        ours, theirs = self._arm(a), self._arm(b)
        alone = {row.key[1:] for row in ours.rows} ^ {row.key[1:] for row in theirs.rows}
        if alone:
            item, seed = min(alone)
            raise UsageError(f"{a} and {b} cannot be paired: one of them lacks item {item!r} of seed {seed}")
        theirs = theirs._known(measure)
        ours = ours._known(measure, {row.key[1:] for row in theirs.rows})
        theirs = theirs._known(measure, {row.key[1:] for row in ours.rows}).means(measure)
        ours = ours.means(measure)
        return list(ours.values()), [theirs[unit] for unit in ours]

    def differences(self, pairs: Iterable[tuple[str, str]], measure: str, *, correct: str | None = "holm", bounds=None):
        """`difference` of each pair whose arms are both there and have numbers.

        Returns
        -------
        pandas.DataFrame
            first, second, difference (Estimate), p (Wilcoxon), corrected (p for all these pairs together, by Holm;
            as p without ``correct``), ahead (seeds in which the first has the larger mean), seeds.
        """
        import pandas as pd

        if correct not in ("holm", None):
            raise UsageError(f"correct={correct!r} is unknown: give 'holm' or None")
        rows = []
        for first, second in pairs:
            if not {first, second} <= set(self.arms):
                continue
            paired = self.difference(first, second, measure, bounds)
            if paired is None:
                continue
            one, two = (self.of(arm).means(measure, "seed") for arm in (first, second))
            rows.append(
                {
                    "first": first, "second": second, "difference": paired.difference, "p": paired.p_value,
                    "ahead": sum(one[seed] > two[seed] for seed in one), "seeds": len(one),
                }
            )  # fmt: skip
        corrected = [row["p"] for row in rows]
        for row, p in zip(rows, holm(corrected) if correct else corrected, strict=True):
            row["corrected"] = p
        return pd.DataFrame(rows, columns=["first", "second", "difference", "p", "corrected", "ahead", "seeds"])

    def sentence(
        self, a: str, b: str, measure: str, *, things: str = "of them", unit: str = "item", bounds=None
    ) -> str:
        """What ``a`` adds over ``b``, in plain words, whatever it is; ``things`` are what the measure counts."""
        added = self.added(a, b, measure, bounds)
        if added is None:
            return f"No {unit} says whether {a} beats {b}: none has a number of both."
        if added.low is None:
            return f"One {unit} says nothing about whether {a} beats {b}."
        verdict = "more" if added.low > 0 else "fewer" if added.high < 0 else "not measurably more or fewer"
        return (
            f"Over {b}, {a} gives {verdict} {things}: {100 * added.value:+.0f} points in 100 "
            f"(95 % interval {100 * added.low:+.0f} to {100 * added.high:+.0f}; {added.n} {unit}s)."
        )

    def metrics(
        self, prefix: str, measure: str, *, pairs: Iterable[tuple[str, str]] = (), bounds=None
    ) -> dict[str, Estimate]:
        """For `workbench.record`: prefix.arm for each arm, prefix.first_minus_second for each pair that is there.

        ``bounds`` cut the arms' intervals, not those of the differences.
        """
        table = self.table(measure, bounds=bounds)
        found = {f"{prefix}.{metric_key(arm)}": value for arm, value in table.items()}
        for first, second in pairs:
            if {first, second} <= set(self.arms):
                name = f"{prefix}.{metric_key(first)}_minus_{metric_key(second)}"
                found[name] = self.added(first, second, measure)
        return {name: value for name, value in found.items() if value is not None}

    def frame(self):
        """All rows as a pandas table: arm, item, seed, unit, the labels, the measures, prompt, reply, the costs."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"arm": row.arm, "item": row.item, "seed": row.seed, "unit": row.unit, **row.labels, **row.measures,
                 "prompt": row.prompt, "reply": row.reply, **row.cost}
                for row in self.rows
            ]
        )  # fmt: skip


def metric_key(arm: str) -> str:
    """An arm's name in metrics: "no soft position" is no_soft_position."""
    return re.sub("[^a-z0-9]+", "_", arm.lower()).strip("_")


def identity_of(model: Any) -> str:
    """What pins a Model or an Encoder down, as far as its numbers go: weights, form, engine and device.

    Weights in this process count as they are now (``checksum``), since a notebook may train or edit them between two
    studies. A text, or None, is itself.
    """
    if model is None or isinstance(model, str):
        return str(model)
    now, report = model.checksum(), getattr(model, "report", None)
    if report is None:  # an encoder
        return f"{model.identity} {now}".rstrip()
    names = ("name", "identity", "quantisation", "compute_dtype", "dtype", "device", "adapter", "base_url")
    backend = getattr(report, "backend", None)  # of torch's models there is none to tell
    facts = {name: getattr(report, name, None) for name in names} | ({"backend": backend} if backend else {})
    facts |= {"weights": now} if now else {}
    return json.dumps(facts, default=str)
