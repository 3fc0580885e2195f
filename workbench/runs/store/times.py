"""How long runs took: what a sweep and a run's bar go by."""

import statistics
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import RunError
from . import entry as store

LIKE = ("profile", "model", "bits")  # the parameters that a run's time depends on most
RECENT = 30  # earlier runs that the time left is guessed by, the newest


@dataclass(frozen=True)
class Estimate:
    """Seconds of one run (None: unknown) and their source."""

    seconds: float | None
    source: str


def measured(wanted: dict[str, list], records: list[store.Record]) -> Estimate | None:
    """The median time of the finished runs with these values of `LIKE`, else with the profile; None without any."""
    ours = [record for record in records if record.status == "done" and record.seconds is not None]
    for names in (LIKE, ("profile",)):
        like = [r for r in ours if all(r.parameters.get(name) in wanted[name] for name in names)]
        if like:
            what = "the same profile and model" if names == LIKE else "the same profile"
            seconds = statistics.median(record.seconds for record in like)
            return Estimate(seconds, f"the median of {len(like)} finished run(s) with {what}")
    return None


def usual(out: Path, paper: str, values: dict) -> float | None:
    """The seconds that a paper's newest runs with such values took; None before there was one."""
    records = []
    for path in sorted((out / paper).glob(f"*/{store.FILE}"), reverse=True)[:RECENT]:
        with suppress(RunError):  # a stranger's file: `workbench runs` names it
            records.append(store.load(path.parent))
    found = measured({name: [values.get(name)] for name in LIKE}, records)
    return None if found is None else found.seconds
