"""The runs on disk: one folder a run, described by its ``record.json`` alone.

``runs/PAPER/ID/`` holds record.json, notebook.ipynb, report.html, metrics.json, models.jsonl, figures/ and log.txt. An
ID is the UTC time of the start and four random hex digits (``20261122-141500-a1b2``): it sorts by time.
"""

import dataclasses
import datetime
import glob
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import RunError, UsageError, WorkbenchError
from ...files import ROOT, expanded, read_json, write_json
from ..process.processes import gone

FILE = "record.json"
STATUSES = ("running", "done", "stopped", "ended early", "failed", "timed out", "interrupted", "killed")
EXIT_CODES = {"done": 0, "running": 0, "timed out": 124, "interrupted": 130}  # of every other status: 1


@dataclass
class Record:
    """One run: the fields of record.json, which docs/runs.md explains one by one."""

    id: str
    paper: str
    notebook: str
    notebook_sha256: str
    parameters: dict[str, Any]
    given: list[str] = field(default_factory=list)
    status: str = "running"
    error: str | None = None
    cause: str | None = None  # of a failure: "experiment", or "infrastructure", where a second try may help
    started: str = ""
    ended: str | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    seed: int | None = None
    timeout: float | None = None
    metrics: dict[str, dict] = field(default_factory=dict)
    models: list[dict] = field(default_factory=list)
    contents: dict[str, str] = field(
        default_factory=dict
    )  # parameter value -> hash or commit of the file or model that it names
    git: dict[str, Any] | None = None
    workbench: str = ""
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    process: dict[str, Any] = field(default_factory=dict)
    rerun_of: str | None = None
    resume_of: str | None = None
    rows: dict[str, int] | None = None  # {"taken", "computed"}: rows of its studies; None if it kept none
    threads: int | None = None  # what a sweep allowed; None: as many as the libraries choose
    warm: int | None = None  # runs that the same kernel had done before; None: its own kernel
    finished: bool | None = None  # of a stopped run: whether it counts as finished (`workbench.stop`)
    skipped: list[str] | None = None  # the code cells that were left out for their tag ``skip``
    folder: Path | None = field(default=None, compare=False)

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ended with this run."""
        return 0 if self.counts else EXIT_CODES.get(self.status, 1)

    @property
    def counts(self) -> bool:
        """Whether its grid cell is finished: every code cell ran, or the notebook said that nothing was left to do."""
        return self.status == "done" or (self.status == "stopped" and self.finished is True)

    @property
    def report(self) -> Path:
        """The run's page."""
        return self.folder / "report.html"

    def save(self) -> None:
        """Write record.json atomically into the run's folder."""
        fields = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "folder"}
        try:
            write_json(self.folder / FILE, fields)
        except WorkbenchError as error:
            raise RunError(str(error)) from error


def runs_folder(out: str | os.PathLike | None = None) -> Path:
    """The folder that holds all runs: ``out``, else $WORKBENCH_RUNS, else runs/ in the checkout."""
    return expanded(out or os.environ.get("WORKBENCH_RUNS") or ROOT / "runs").absolute()


def new_folder(out: Path, paper: str, now: datetime.datetime) -> tuple[str, Path]:
    """A new run's ID and its folder, created here so that two runs never share one.

    Raises
    ------
    RunError
        The folder cannot be made (no permission, a file in its way, a full disk).
    """
    while True:
        name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        folder = out / paper / name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if folder.is_dir():
                continue  # the same second and the same four digits: draw again
            raise RunError(_cannot(folder, "a file is in its way")) from None
        except OSError as error:
            raise RunError(_cannot(folder, error.strerror or str(error))) from error
        return name, folder


def _cannot(folder: Path, why: str) -> str:
    return f"cannot make the run's folder {folder}: {why}; choose another place with --out DIR"


def load(folder: Path) -> Record:
    """The record in a run's folder; a record that says ``running`` while its process is gone reads as ``killed``.

    Raises
    ------
    RunError
        There is no record, or it is not what `schema.Written` says.
    """
    from .schema import Written, checked

    path = Path(folder) / FILE
    try:
        record = Record(**checked(Written, read_json(path)), folder=Path(folder))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is not a record of a run ({error}); delete its folder if it is in the way") from error
    if record.status == "running" and gone(record.process):
        record.status = "killed"
        record.error = (
            f"the runner (process {record.process.get('pid')}) is gone without writing an end:"
            " it was killed or the machine went down; `workbench rerun` repeats the run"
        )
    return record


def load_metrics(folder: Path) -> dict[str, dict]:
    """The metrics that a run's notebook recorded; empty if it recorded none.

    Raises
    ------
    RunError
        metrics.json is not what `workbench.record` writes.
    """
    return _recorded(folder).get("metrics", {})


def load_tables(folder: Path) -> dict[str, list[dict]]:
    """The tables that a run's notebook recorded, as rows; empty if it recorded none. It raises as `load_metrics`."""
    return _recorded(folder).get("tables", {})


def _recorded(folder: Path) -> dict:
    from .metrics import FILE as METRICS

    path = Path(folder) / METRICS
    if not os.path.lexists(path):
        return {}
    from .schema import Kept, checked

    if path.is_file() and inside(Path(folder), METRICS) is None:
        raise RunError(f"{METRICS} is a link to a file that is not the run's own; use workbench.record()")
    try:
        return checked(Kept, read_json(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RunError(f"{METRICS} is not what workbench.record() writes ({why}); use that alone") from error


def inside(folder: Path, name: str) -> Path | None:
    """A run's file of that name, if it is a plain file in the run's folder and no link to something elsewhere."""
    path = folder / name
    try:
        found = path.resolve(strict=True)
    except (OSError, RuntimeError):  # it does not exist, or links form a circle
        return None
    return path if found.is_file() and found.is_relative_to(folder.resolve()) else None


def scan(out: Path, paper: str | None = None) -> tuple[list[Record], list[str]]:
    """(the runs under ``out``, oldest first; a sentence for each unreadable record).

    A run counts once, however often its folder was copied: the folder with its name counts, else a finished one.
    """
    runs: dict[tuple[str, str], Record] = {}
    unreadable = []
    if paper is not None and (Path(paper).name != paper or paper == ".."):
        return [], []  # a path, not a paper: nothing outside ``out`` is listed
    for path in sorted(out.glob(f"{glob.escape(paper) if paper else '*'}/*/{FILE}")):
        try:
            record = load(path.parent)
        except RunError as error:
            if path.exists():  # otherwise it was deleted meanwhile
                unreadable.append(str(error))
            continue
        known = runs.get((record.id, record.paper))
        if known is None or _rank(record) > _rank(known):
            runs[record.id, record.paper] = record
    return [runs[key] for key in sorted(runs)], unreadable


def _rank(record: Record) -> tuple[bool, bool]:
    return (record.folder.parent.name, record.folder.name) == (record.paper, record.id), record.counts


def all_runs(out: Path, paper: str | None = None) -> list[Record]:
    """Every readable run under ``out``, oldest first; see `scan`."""
    return scan(out, paper)[0]


def find(out: Path, prefix: str, records: list[Record] | None = None) -> Record:
    """The one run whose ID begins with ``prefix`` ("last" is the newest); ``records``, if the caller has them.

    Raises
    ------
    UsageError
        No run fits, or several do.
    """
    records = all_runs(out) if records is None else records
    if prefix == "last" and records:
        return records[-1]
    fitting = [record for record in records if record.id.startswith(prefix)] if prefix else []
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        some = ", ".join(record.id for record in fitting[-4:])
        raise UsageError(f"{len(fitting)} runs begin with {prefix!r} ({some}); give more of the ID")
    from ..notebook.parameters import unknown

    raise UsageError(unknown(prefix, [record.id for record in records], f"run in {out}", "`workbench runs` lists them"))
