"""``workbench sweep``: run every cell of a grid once, also after a crash.

The driver keeps no state. The runs' records say what is finished, the cells' locks (`workbench.runs.sweep.locks`) say
who is at work, so a sweep can be killed at any moment, started again, or started twice at once.
"""

import collections
import concurrent.futures
import dataclasses
import datetime
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import RunError, UsageError
from ...files import write_json
from ..process import environment, processes
from ..process.progress import SweepProgress
from ..process.worker import Signals, Slot
from ..store import entry as store
from . import locks as claims
from .cell import Outcome, Work, attempt
from .grid import Cell, Grid
from .plan import estimate

GRIDS = ".grids"
BUSY_SECONDS = 2.0  # seconds between two looks at a cell that another sweep runs


@dataclass
class Summary:
    """How a sweep ended: its cells by outcome, and the sentence that stopped it, if there was one."""

    cells: int
    before: int = 0
    done: int = 0
    elsewhere: int = 0
    failed: list[tuple[Cell, Outcome]] = field(default_factory=list)
    halted: list[tuple[Cell, Outcome]] = field(default_factory=list)  # by `workbench.stop`, to be run again
    left: int = 0
    stopped: str | None = None
    unreadable: list[str] = field(default_factory=list)  # unreadable records at its start, and why
    uncopied: str | None = None  # why a sink (`workbench.runs.sweep.sinks`) lacks finished runs
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 if every cell is finished (and copied, if asked), 130 after an interruption, else 1."""
        if self.interrupted:
            return 130
        return 1 if self.failed or self.halted or self.left or self.stopped or self.uncopied else 0


class Local:
    """The engine on this machine: ``jobs`` threads, each with a child process for its run."""

    note = None  # to print before the sweep starts

    def __init__(self, work: Work, jobs: int, warm: bool, signals: Signals):
        self.work, self.signals = work, signals
        self.capacity = jobs
        self._pool = concurrent.futures.ThreadPoolExecutor(jobs, thread_name_prefix="run")
        self._free = [Slot() for _ in range(jobs)] if warm else []
        self._slots = list(self._free)
        self._running: dict[concurrent.futures.Future, Cell] = {}

    def submit(self, cell: Cell) -> None:
        """Start a cell."""
        self._running[self._pool.submit(self._do, cell)] = cell

    def _do(self, cell: Cell) -> Outcome:
        slot = self._free.pop() if self._slots else None
        try:
            return attempt(self.work, cell, self.signals, slot)
        finally:
            if slot is not None:
                self._free.append(slot)

    def poll(self, timeout: float) -> list[tuple[Cell, Outcome]]:
        """What has ended, waiting for at most ``timeout`` seconds."""
        first = concurrent.futures.FIRST_COMPLETED
        ended, _ = concurrent.futures.wait(self._running, timeout=timeout, return_when=first)
        return [(self._running.pop(future), self._outcome(future)) for future in ended]

    @staticmethod
    def _outcome(future: concurrent.futures.Future) -> Outcome:
        error = future.exception()
        return future.result() if error is None else Outcome("failed", error=f"{type(error).__name__}: {error}")

    def stop(self, now: bool) -> None:
        """Nothing to do: the runs look at the signals themselves."""

    def close(self) -> None:
        """End the warm workers and the threads."""
        for slot in self._slots:
            slot.drop()
        self._pool.shutdown()


def sweep(
    grid: Grid,
    *,
    out: str | os.PathLike | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    timeout: float | None = None,
    max_failures: int | None = None,
    warm: bool = False,
    engine: str = "local",
    address: str | None = None,
    gpus_per_run: float | None = None,
    sinks: list | None = None,
    progress: bool = True,
) -> Summary:
    """Run every cell of ``grid`` that has no finished record yet.

    Parameters
    ----------
    out
        The folder that holds all runs, on a shared POSIX folder for a cluster.
    jobs
        Runs at a time. Locally 1 when left out; on Ray as many as the cluster takes.
    threads
        Of a run. Locally the cores divided by ``jobs`` when left out; on Ray 1, and as many CPUs are reserved.
    timeout
        Seconds a run may take.
    max_failures
        After so many failed cells no new run is started.
    warm
        Reuse child and kernel from run to run (`workbench.runs.process.warm` says what that risks).
    engine
        ``local`` or ``ray``; ``address`` and ``gpus_per_run`` belong to Ray.
    sinks
        `workbench.runs.sweep.sinks`: each finished record is given to each of them.

    Raises
    ------
    UsageError
        Options that contradict each other, or Ray is missing or not reached.
    RunError
        The folder of runs cannot be written.
    """
    check(jobs, threads, timeout, max_failures, warm, engine, address, gpus_per_run)
    folder = store.runs_folder(out)
    start = time.monotonic()
    processes.reap(folder)
    records, unreadable = store.scan(folder, grid.notebook.name)
    before = claims.finished(records)
    cells = list(grid.cells())
    todo = collections.deque(cell for cell in cells if cell.key not in before)
    old = [before[cell.key] for cell in cells if cell.key in before]
    write_manifest(grid, folder)
    summary = Summary(len(cells), before=len(old), unreadable=unreadable)
    work = Work(grid.notebook, folder, _now(), timeout)
    told = _Told(sinks or [], folder, grid.notebook.name, summary)
    if not todo:
        told.all(old)
        summary.seconds = time.monotonic() - start
        return summary
    with Signals() as signals:
        if engine == "ray":
            from .ray import OnRay

            running = OnRay(dataclasses.replace(work, threads=threads or 1), jobs, address, gpus_per_run)
            signals.renew()  # Ray has replaced the handlers
        else:
            jobs = min(jobs or 1, len(todo))
            threads = threads or max(1, allowed_threads() // jobs)
            work = dataclasses.replace(work, threads=threads, surroundings=environment.surroundings())
            running = Local(work, jobs, warm, signals)
        bar = SweepProgress(grid.notebook.name, len(cells), len(old), show=progress)
        if running.note:
            bar.say(running.note)
        bar.guess = estimate(grid, records).seconds, running.capacity
        try:
            told.all(old)
            _drive(todo, running, signals, bar, summary, told, max_failures)
        finally:
            bar.close()
            running.close()
    write_manifest(grid, folder)  # again, in case the folder has vanished
    summary.left = len(todo)
    summary.seconds = time.monotonic() - start
    return summary


def _drive(todo, running, signals, bar, summary: Summary, told: "_Told", max_failures: int | None) -> None:
    """Keep the engine busy until nothing is left to do, or until it must stop."""
    at_work: set[str] = set()
    asked = 0  # signals passed on to the engine
    waiting: collections.deque[tuple[float, Cell]] = collections.deque()  # cells that other sweeps run
    while todo or at_work or waiting:
        stop = signals.count or summary.stopped
        while waiting and (stop or waiting[0][0] <= time.monotonic()):
            todo.append(waiting.popleft()[1])
        while todo and len(at_work) < running.capacity and not stop:
            cell = todo.popleft()
            at_work.add(cell.key)
            running.submit(cell)
        if stop and not at_work:
            break
        if not at_work:
            time.sleep(0.2)
        for cell, outcome in running.poll(0.2) if at_work else []:
            at_work.discard(cell.key)
            if outcome.state == "busy":
                waiting.append((time.monotonic() + BUSY_SECONDS, cell))
                bar.elsewhere(len(waiting))
            elif outcome.state in ("done", "skipped"):
                summary.done += outcome.state == "done"
                summary.elsewhere += outcome.state == "skipped"
                bar.ended(cell, outcome)
                told.one(outcome.run)
            elif outcome.state == "interrupted":
                todo.append(cell)
            elif outcome.state == "stopped":
                summary.halted.append((cell, outcome))
                bar.ended(cell, outcome)
            else:
                summary.failed.append((cell, outcome))
                bar.ended(cell, outcome)
                if outcome.unwritable:
                    summary.stopped = f"stopped, since nothing can be written: {outcome.error}"
                elif max_failures is not None and len(summary.failed) >= max_failures:
                    summary.stopped = f"stopped at {len(summary.failed)} failed cells (--max-failures {max_failures})"
        if signals.count > asked:
            asked = signals.count
            summary.interrupted = True
            running.stop(now=asked > 1)
            if asked == 1:
                bar.say("stopping; the runs at work are closed in order. Press Ctrl-C again to stop at once")
        bar.tick()


class _Told:
    """Gives finished records to the sinks. A sink that fails is dropped with a warning, and never costs a run."""

    def __init__(self, sinks: list, folder: Path, paper: str, summary: Summary):
        self.sinks, self.folder, self.paper, self.summary = list(sinks), folder, paper, summary

    def one(self, run: str) -> None:
        if self.sinks:
            try:
                self.all([store.load(self.folder / self.paper / run)])
            except RunError as error:  # deleted or damaged since it was written
                self.summary.uncopied = f"{run} was not copied: {error}"

    def all(self, records: list[store.Record]) -> None:
        for sink in list(self.sinks):
            try:
                sink.add(records)
            except Exception as error:  # any error: a copy must never cost a run
                self.sinks.remove(sink)
                self.summary.uncopied = str(error) if isinstance(error, RunError) else f"runs are not copied: {error}"


def check(jobs, threads, timeout, max_failures, warm, engine, address, gpus_per_run) -> None:
    """Raise UsageError for options that are out of range or contradict each other."""
    from ..process.runner import check_timeout

    check_timeout(timeout)
    for name, value in (("--jobs", jobs), ("--threads", threads), ("--max-failures", max_failures)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; give a whole number from 1 up")
    if gpus_per_run is not None and not gpus_per_run >= 0:
        raise UsageError(f"--gpus-per-run is {gpus_per_run:g}; give 0, a whole number or a share such as 0.5")
    if engine not in ("local", "ray"):
        raise UsageError(f"--engine is {engine!r}; give local or ray")
    if engine == "local" and (address is not None or gpus_per_run is not None):
        name = "--address" if address is not None else "--gpus-per-run"
        raise UsageError(f"{name} belongs to Ray; add --engine ray (locally CUDA_VISIBLE_DEVICES chooses the GPUs)")
    if engine == "ray" and warm:
        raise UsageError("--warm reuses a local kernel, and Ray's tasks may run anywhere; leave one of the two out")


def allowed_threads() -> int:
    """The cores to divide: this process's, or fewer if OMP_NUM_THREADS says so."""
    cores = environment.usable_cores()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(asked)) if asked.isdigit() and int(asked) > 0 else cores


def write_manifest(grid: Grid, folder: Path) -> None:
    """Write the grid's cells to a file for `workbench report`; the same grid always has the same file.

    A single cell is not a grid: most often it is one line of ``--print-commands``, from a grid that has its file.
    """
    axes, fixed = grid.shown
    content = {
        "name": grid.name,
        "paper": grid.notebook.name,
        "notebook": grid.notebook.shown,
        "notebook_sha256": grid.notebook.sha256,
        "axes": axes,
        "fixed": fixed,
        "cells": [cell.key for cell in grid.cells()],
    }
    path = folder / grid.notebook.name / GRIDS / f"{grid.name}.json"
    if len(grid) > 1 and not path.exists():
        write_json(path, content)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
