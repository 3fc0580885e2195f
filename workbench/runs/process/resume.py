"""``workbench run … --resume ID``: continue an earlier run with its parameters and finished rows."""

from ...errors import UsageError
from ...models.files.identity import contents
from ...rows import FILE, OFFERED, read_lines
from ..notebook.notebook import Notebook
from ..store import masking
from ..store.entry import Record, all_runs, find, inside


def resumed(notebook: Notebook, given: dict, wanted: str, out) -> tuple[Record, dict]:
    """The run to continue, and its parameters together with ``given``.

    Raises
    ------
    UsageError
        There is no such run, it is of another paper or notebook, it still runs, or a parameter differs from its own.
    """
    old = find(out, wanted, all_runs(out, notebook.name) if wanted == "last" else None)
    if old.paper != notebook.name:
        raise UsageError(
            f"{old.id} is a run of {old.paper}, and this is {notebook.name}; give the ID of one of its runs"
        )
    if old.notebook_sha256 != notebook.sha256:
        raise UsageError(f"the notebook has changed since {old.id}, so its rows are of no use; run it without --resume")
    if old.status == "running":
        raise UsageError(f"{old.id} still runs; wait for its end, or stop it first")
    for name, value in notebook.resolve(given, early=False).items():
        before = old.parameters.get(name)
        if masking.masked(name, value) != before:
            raise UsageError(
                f"parameter {name!r} was {before!r} in {old.id} and is {masking.masked(name, value)!r} now; leave it "
                "out, or run without --resume"
            )
    for name in old.given:
        if name not in given and masking.has_mask(old.parameters[name]):
            raise UsageError(
                f"parameter {name!r} of {old.id} holds a secret, which its record does not have; give it again with "
                f"-p {name}=…"
            )
    values = {name: old.parameters[name] for name in old.given} | given
    now = contents(masking.mask(notebook.filled(notebook.resolve(values, early=False))))
    for what, held in old.contents.items():
        if now.get(what) != held:
            raise UsageError(f"{what} no longer holds what it held in {old.id}; run it without --resume")
    return old, values


def rows_of(old: Record) -> tuple[list[dict], int]:
    """(the rows that a run finished or was itself offered, the number of damaged lines)."""
    lines, damaged = [], 0
    for name in (OFFERED, FILE):
        path = inside(old.folder, name)
        if path is not None:
            found, bad = read_lines(path)
            lines, damaged = lines + found, damaged + bad
    return lines, damaged


def count(folder) -> dict[str, int] | None:
    """How many rows a run took over and how many it computed; None if it keeps no rows."""
    path = inside(folder, FILE)
    if path is None:
        return None
    lines, _ = read_lines(path)
    taken = sum(line.get("taken") is True for line in lines)
    return {"taken": taken, "computed": len(lines) - taken}
