"""Run one notebook in a child process, and say how it went in record.json.

The parent (here) stays small: it checks the parameters before anything starts, writes the record, watches the child
(`worker`), enforces the time limit, and leaves no process of the run behind. The child does the work
(`child`).
"""

import contextlib
import datetime
import json
import math
import os
import time
from pathlib import Path

from ...errors import RunError, UsageError, WorkbenchError
from ...files import JSON_BYTES, parse_json, write_atomic
from ...models.files.identity import contents, settled
from ...rows import OFFERED, append_lines, code_hash
from ..notebook.notebook import Notebook, read
from ..store import entry as store, masking
from ..store.times import usual
from . import environment, processes
from .progress import Progress
from .resume import count, resumed, rows_of
from .worker import Signals, Slot, Worker

RESERVE = ".reserve"  # a file that is deleted to make room for the last record when the disk has filled up
RESERVE_BYTES = 128 * 1024


def run(
    paper: str,
    given: dict | None = None,
    *,
    out: str | os.PathLike | None = None,
    timeout: float | None = None,
    progress: bool = True,
    rerun_of: str | None = None,
    resume: str | None = None,
) -> store.Record:
    """Run a paper's notebook (or any .ipynb with a parameters cell) and return its record, however it ended.

    Parameters
    ----------
    paper
        A paper's name (`workbench list`) or the path of an .ipynb file.
    given
        Parameter name -> value. Texts are read as the command line reads them (`parameters.convert`).
    out
        The folder that holds all runs; runs/ in the checkout when left out.
    timeout
        Seconds the whole run may take; then it is killed and its status is ``timed out``.
    progress
        Whether to show a bar (on a terminal) or a few lines (elsewhere) on standard error.
    resume
        The ID of a run of this notebook, to continue with its parameters and finished rows.

    Returns
    -------
    Record
        Its ``status`` says how the run ended and ``error`` why; a failed notebook raises nothing here.

    Raises
    ------
    UsageError
        Unknown paper or parameter, a value of the wrong type, or nothing to resume. Nothing was started or written.
    RunError
        The run's folder cannot be written.
    """
    notebook = read(paper)
    folder, given, old = store.runs_folder(out), given or {}, None
    if resume is not None:
        old, given = resumed(notebook, given, resume, folder)
    values = notebook.resolve(given)
    check_timeout(timeout)
    guess = usual(folder, notebook.name, notebook.filled(values)) if progress else None
    bar = Progress(notebook.name, show=progress, guess=guess)
    with Signals() as signals:
        return execute(
            notebook, values, out=folder, timeout=timeout, bar=bar, signals=signals, rerun_of=rerun_of, resume=old
        )


def check_timeout(timeout: float | None) -> None:
    """Raise UsageError unless a time limit is a positive number."""
    if timeout is not None and not 0 < timeout < math.inf:
        raise UsageError(f"the time limit is {timeout:g} s; give a positive number of seconds, or none for no limit")


def execute(
    notebook: Notebook,
    values: dict,
    *,
    out: Path,
    timeout: float | None = None,
    bar: Progress,
    signals: Signals,
    rerun_of: str | None = None,
    resume: store.Record | None = None,
    surroundings: dict | None = None,
    threads: int | None = None,
    settings: dict[str, str] | None = None,
    announce=None,
    slot: Slot | None = None,
    page: bool = True,
) -> store.Record:
    """Do the work of `run`; the caller has checked and looked up everything.

    Parameters
    ----------
    values
        The resolved values of the parameters that were set.
    resume
        The run whose finished rows are offered to this one.
    surroundings
        `environment.surroundings`, if the caller has asked already.
    threads
        For the record: how many the run may use.
    settings
        Environment variables for the child and its kernel.
    announce
        Called with the run's ID while its folder is still empty.
    slot
        The place of a warm worker, which the caller drops in the end. Without one the run has its own child process.
    page
        Whether the child makes the report page; a sweep makes its pages itself, where nbconvert is loaded once.
    """
    now = datetime.datetime.now(datetime.UTC)
    filled = notebook.filled(values)
    secrets = masking.secrets_in(notebook.filled({})) | masking.secrets_in(filled)  # a default is in its cell already
    masker = masking.Masker(secrets)
    seed = filled.get("seed")
    identity, folder = store.new_folder(out, notebook.name, now)
    entry = store.Record(
        id=identity,
        paper=notebook.name,
        notebook=notebook.shown,
        notebook_sha256=notebook.sha256,
        parameters=(asked := masking.mask(filled)),
        contents=contents(asked),
        given=sorted(values),
        started=now.isoformat(timespec="seconds"),
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        timeout=timeout,
        rerun_of=rerun_of,
        resume_of=resume.id if resume else None,
        threads=threads,
        warm=slot.runs if slot else None,
        folder=folder,
        **(surroundings or environment.surroundings()),
    )
    try:
        if announce is not None:
            announce(identity)
        entry.save()
        write_atomic(folder / RESERVE, b"\0" * RESERVE_BYTES)
        if resume is not None:
            _offer(resume, folder, bar)
        make = slot.take if slot else lambda folder, settings: Worker(folder, folder / "log.txt", settings)
        worker = make(folder, settings or {})
    except (WorkbenchError, OSError) as error:
        _remove(folder)
        raise RunError(str(error)) from error
    start = time.monotonic()
    bar.say(f"run {identity}")
    shown = {"id", "paper", "parameters", "given", "started", "git", "hardware", "workbench", "python", "versions"}
    worker.give(
        {
            "folder": str(folder),
            "path": str(notebook.path),
            "notebook": notebook.text,
            "cwd": str(notebook.path.parent),
            "kernel": notebook.kernel,
            "language": notebook.language,
            "parameters": values,
            "start": time.time(),
            "page": page,
            "secrets": secrets,
            "record": {key: value for key, value in vars(entry).items() if key in shown},
        }
    )
    try:
        worker.watch(entry, bar, signals, None if timeout is None else start + timeout)
    except Exception as problem:  # a defect of ours or a library's may cost this run, never the sweep around it
        entry.status, entry.cause = "failed", "infrastructure"
        entry.error = f"the run could not be followed to its end ({type(problem).__name__}: {problem})"
    finally:
        bar.close()
        if slot is None:
            worker.end()
        elif entry.status == "done":
            processes.kill_run(str(folder))  # what its cells left running, but not the warm kernel
        else:
            slot.drop()
            processes.kill_run(str(folder))
        entry.seconds = round(time.monotonic() - start, 3)
        entry.ended = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        if not (folder / store.FILE).exists():  # deleted or unmounted: what the child wrote since is not a whole run
            entry.status, entry.cause = "failed", "infrastructure"
            entry.error = f"the run's folder {folder} vanished while it ran; is the disk still there?"
            _remove(folder)
        else:
            with contextlib.suppress(OSError):  # somebody deleted it already
                (folder / RESERVE).unlink()
            if (folder / store.FILE).is_dir():  # a cell made it, under our name
                _remove(folder / store.FILE)
            try:
                masker.folder(folder)
                _collect(entry)
            except Exception as problem:  # whatever the notebook left, the record says how it ended
                entry.error = "; ".join(filter(None, [entry.error, f"its numbers could not be collected ({problem})"]))
            entry.save()  # in one write: a record that says done has its numbers, even after a kill
    return entry


def _offer(old: store.Record, folder: Path, bar: Progress) -> None:
    """Write the rows of an earlier run into this run's folder, where `Results` looks for them."""
    lines, damaged = rows_of(old)
    append_lines(folder / OFFERED, lines)
    left = f"; {damaged} damaged line(s) of its rows are left out" if damaged else ""
    bar.say(f"{len(lines)} finished rows of {old.id} are there{left}")
    if lines and all(line.get("code") != code_hash() for line in lines):
        bar.say("the package's code, its data or a library has changed since they were made: none will be taken over")


def _collect(entry: store.Record) -> None:
    """Read what the notebook left in its folder into the record, as far as it is valid.

    A cell may have written anything under our names. What is wrong is named, and costs the run its numbers only.
    """
    try:
        entry.metrics = store.load_metrics(entry.folder)
    except RunError as error:
        entry.error = "; ".join(filter(None, [entry.error, str(error)]))
    with contextlib.suppress(OSError):
        path = store.inside(entry.folder, "models.jsonl")
        for line in path.read_bytes().splitlines() if path and path.stat().st_size <= JSON_BYTES else ():
            with contextlib.suppress(ValueError, RecursionError):  # a line cut short by a kill
                found = parse_json(json.dumps(_finite(json.loads(line))))
                entry.models += [found] if isinstance(found, dict) else []
    entry.rows = count(entry.folder)
    if entry.counts:  # nobody can take anything over from it
        with contextlib.suppress(OSError):
            (entry.folder / OFFERED).unlink()
    if entry.contents:
        entry.contents = settled(entry.contents, contents(entry.parameters), entry.models)


def _finite(value):
    """A JSON value with null for every number that is not finite."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return list(map(_finite, value))
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _remove(folder: Path) -> None:
    """Delete a run's folder in which nothing was started, or whose record is gone."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
