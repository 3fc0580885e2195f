"""Repeat a run, and compare two runs."""

from dataclasses import dataclass
from typing import Any

from ...errors import UsageError
from ...files import ROOT
from . import masking
from .entry import Record

TOLERANCE = 1e-9  # relative; two floats that are closer count as equal


@dataclass(frozen=True)
class Difference:
    """One difference between two runs; ``kind`` is metric, parameter, version, model, code or machine."""

    kind: str
    name: str
    before: Any
    after: Any


def rerun(old: Record, *, out=None, progress: bool = True) -> Record:
    """Run the notebook of ``old`` again with the parameters that were set, and its time limit.

    Raises
    ------
    UsageError
        The notebook is gone, or its parameters cell lacks a parameter that was set.
    RunError
        The new run's folder cannot be written.
    """
    from ..process.runner import run

    for name in old.given:
        if masking.has_mask(old.parameters[name]):
            raise UsageError(
                f"parameter {name!r} of {old.id} holds a secret, which its record does not have; give it again with"
                f" `workbench run {old.paper} -p {name}=…` and the other parameters"
            )
    named = old.notebook == f"notebooks/{old.paper}.ipynb"
    return run(
        old.paper if named else str(ROOT / old.notebook),
        {name: old.parameters[name] for name in old.given},
        out=out,
        timeout=old.timeout,
        progress=progress,
        rerun_of=old.id,
    )


def differences(old: Record, new: Record) -> list[Difference]:
    """The differences between two runs: metrics first, then what could explain them."""
    found = []
    for name in _names(old.metrics, new.metrics):
        before, after = old.metrics.get(name), new.metrics.get(name)
        if before is None or after is None or not _same(before.get("value"), after.get("value")):
            found.append(Difference("metric", name, (before or {}).get("value"), (after or {}).get("value")))
    for kind, one, two in (
        ("parameter", old.parameters, new.parameters),
        ("version", old.versions | {"Python": old.python}, new.versions | {"Python": new.python}),
        ("model", _models(old), _models(new)),
        ("code", _code(old), _code(new)),
        ("machine", _machine(old), _machine(new)),
    ):
        for name in _names(one, two):
            if one.get(name) != two.get(name):
                found.append(Difference(kind, name, one.get(name), two.get(name)))
    return found


def _names(one: dict, two: dict) -> list[str]:
    return list(dict.fromkeys([*one, *two]))


def _same(one, two) -> bool:
    if isinstance(one, (int, float)) and isinstance(two, (int, float)):
        return abs(one - two) <= TOLERANCE * max(abs(one), abs(two))
    return one == two


def _models(record: Record) -> dict[str, Any]:
    """Model name -> its hash or hub commit, as its load report says."""
    found = {}
    for number, model in enumerate(record.models):
        identity = model.get("hash") or model.get("sha256") or model.get("revision") or model.get("identity")
        found[str(model.get("name") or model.get("model") or f"model {number + 1}")] = identity
    return found


def _code(record: Record) -> dict[str, Any]:
    git = record.git or {}
    return {
        "revision": git.get("revision"),
        "local changes": git.get("dirty"),
        "notebook": record.notebook_sha256[:12],
        "workbench": record.workbench,
    }


def _machine(record: Record) -> dict[str, Any]:
    keys = ("cpu", "cores", "memory_bytes", "system", "host")
    return {key: record.hardware.get(key) for key in keys} | {
        "GPUs": ", ".join(gpu.get("name", "?") for gpu in record.hardware.get("gpus", []))
    }
