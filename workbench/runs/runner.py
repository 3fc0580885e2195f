"""Run one notebook in a child process, and keep the truth about it in record.json.

The parent (here) stays small: it checks the parameters before anything starts, writes the record, watches the child,
counts its memory, enforces the time limit, and sees to it that no process of the run is left behind. The child does the
work (`workbench.runs.child`).
"""

import contextlib
import datetime
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from .. import __version__
from ..errors import RunError, UsageError, WorkbenchError
from ..files import ROOT, RUN_FOLDER, sha256_file, write_atomic
from . import environment, parameters, processes, record, store
from .progress import Progress

RESERVE = ".reserve"  # a file that gives its room back to the last record when the disk has filled up meanwhile
RESERVE_BYTES = 128 * 1024
SAMPLE_SECONDS = 0.5
PAGE_SECONDS = 120  # how long a finished notebook may take to become a page
GRACE_SECONDS = 20  # how long a child that was asked to stop may take to close the notebook and its page


def find_notebook(paper: str) -> tuple[str, Path]:
    """A paper's name or the path of an .ipynb file, as (name, path).

    Raises
    ------
    UsageError
        There is no such paper or file.
    """
    path = Path(paper).expanduser()
    if path.suffix == ".ipynb" or len(path.parts) > 1:
        if not path.is_file():
            raise UsageError(f"there is no notebook at {path}; check the path, or name a paper (`workbench list`)")
        return path.stem, path.absolute()
    known = {item.stem: item for item in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    if paper in known:
        return paper, known[paper]
    from ..papers import PAPERS

    coming = {item.name for item in PAPERS} - set(known)
    if paper in coming:
        raise UsageError(f"paper {paper!r} is still to come; `workbench list` shows which are there")
    raise UsageError(parameters.unknown(paper, known, "paper", "`workbench list` shows them all"))


def read(paper: str) -> tuple[str, Path, dict, dict[str, parameters.Parameter]]:
    """(name, path, notebook as JSON, parameters) of a paper or a notebook file; see `find_notebook` for errors."""
    name, path = find_notebook(paper)
    notebook = parameters.read_notebook(path)
    return name, path, notebook, parameters.read_parameters(notebook, name if name == paper else path.name)


def run(
    paper: str,
    given: dict | None = None,
    *,
    out: str | os.PathLike | None = None,
    timeout: float | None = None,
    progress: bool = True,
    rerun_of: str | None = None,
) -> store.Record:
    """Run a paper's notebook (or any .ipynb with a parameters cell) and return its record, whatever came of it.

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

    Returns
    -------
    Record
        Its ``status`` says how the run ended and ``error`` why; a failed notebook raises nothing here.

    Raises
    ------
    UsageError
        Unknown paper or parameter, or a value of the wrong type. Nothing was started or written.
    RunError
        The run's folder cannot be written.
    """
    name, path, notebook, known = read(paper)
    values = parameters.resolve(known, given or {}, name if name == paper else path.name)
    if timeout is not None and not timeout > 0:
        raise UsageError(f"the time limit is {timeout:g} s; give a positive number of seconds, or none for no limit")
    resolved = {key: item.default for key, item in known.items()} | values
    seed = resolved.get("seed")
    now = datetime.datetime.now(datetime.UTC)
    with _Signals() as signals:
        identity, folder = store.new_folder(store.runs_folder(out), name, now)
        entry = store.Record(
            id=identity,
            paper=name,
            notebook=_relative(path),
            notebook_sha256=sha256_file(path),
            parameters=resolved,
            given=sorted(values),
            started=now.isoformat(timespec="seconds"),
            seed=seed if isinstance(seed, int) else None,
            timeout=timeout,
            git=environment.git_revision(),
            workbench=__version__,
            python=sys.version.split()[0],
            versions=environment.versions(),
            hardware=environment.hardware(),
            process=store.this_process(),
            rerun_of=rerun_of,
            folder=folder,
        )
        try:
            entry.save()
            write_atomic(folder / RESERVE, b"\0" * RESERVE_BYTES)
        except WorkbenchError as error:
            _remove(folder)
            raise RunError(str(error)) from error
        start = time.monotonic()
        bar = Progress(name, show=progress)
        bar.say(f"run {identity}")
        child = _Child(entry, path, notebook.get("metadata", {}).get("kernelspec", {}).get("name", "python3"), values)
        try:
            child.watch(bar, signals, None if timeout is None else start + timeout)
        finally:
            bar.close()
            child.end()
            entry.seconds = round(time.monotonic() - start, 3)
            entry.ended = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            with contextlib.suppress(OSError):  # already gone: then there is no room to give back
                (folder / RESERVE).unlink()
            _collect(entry)
            entry.save()
    return entry


class _Child:
    """The child process of one run, from its start until nothing of it is left."""

    def __init__(self, entry: store.Record, notebook: Path, kernel: str, values: dict):
        self.entry = entry
        folder = str(entry.folder)
        search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        settings = {
            RUN_FOLDER: folder,
            "PYTHONPATH": search,  # the kernel imports the package that started it, not another installed one
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger's complaint about frozen modules
            "PYTHONUNBUFFERED": "1",
        }
        try:
            with open(entry.folder / "log.txt", "wb") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "workbench.runs.child"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=os.environ | settings,
                    start_new_session=True,  # the terminal's Ctrl-C is for the parent alone
                )
        except OSError as error:
            _remove(entry.folder)
            raise RunError(f"the run in {folder} cannot be started: {error.strerror or error}") from error
        self.events: queue.Queue[dict | None] = queue.Queue()
        self.usage = processes.Usage(self.process.pid)
        threading.Thread(target=self._listen, daemon=True).start()
        shown = {"id", "paper", "parameters", "given", "started", "git", "hardware", "workbench", "python", "versions"}
        self._tell(
            {
                "folder": folder,
                "notebook": str(notebook),
                "cwd": str(notebook.parent),
                "kernel": kernel,
                "parameters": values,
                "start": time.time(),
                "record": {key: value for key, value in vars(entry).items() if key in shown},
            }
        )

    def _tell(self, message: dict) -> None:
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return  # it has ended; its silence on the other pipe says so too

    def _listen(self) -> None:
        for line in self.process.stdout:
            try:
                self.events.put(json.loads(line))
            except ValueError:
                continue  # half a line of a killed child
        self.events.put(None)

    def watch(self, bar: Progress, signals: "_Signals", deadline: float | None) -> None:
        """Follow the child to its end and set the record's status, error and costs."""
        entry = self.entry
        outcome: dict | None = None
        executed: dict | None = None  # the child's verdict on the notebook, before it makes the page
        verdict: dict | None = None  # the status this parent decided on while the notebook ran
        latest: float | None = None  # when the child is waited for no longer
        sampled = 0.0
        while True:
            try:
                event = self.events.get(timeout=0.2)
            except queue.Empty:
                event = {"event": "tick"}
            if event is None:
                break
            if event["event"] == "end":
                outcome = event
            elif event["event"] == "executed":
                executed, latest = event, latest or time.monotonic() + PAGE_SECONDS
            elif event["event"] == "tick":
                bar.tick()
            else:
                bar.event(event)
            now = time.monotonic()
            if now - sampled >= SAMPLE_SECONDS:
                self.usage.sample()
                sampled = now
            if verdict is None and executed is None and signals.count:
                verdict = {"status": "interrupted", "error": f"interrupted by {signals.name}"}
                bar.say("stopping; press Ctrl-C again to stop at once")
            elif verdict is None and executed is None and deadline is not None and now > deadline:
                verdict = {"status": "timed out", "error": f"the run took longer than its limit of {entry.timeout:g} s"}
                bar.say(f"{verdict['error']}; stopping")
            if verdict is not None and latest is None:
                latest = now + GRACE_SECONDS
                self._tell({"stop": verdict})
            if latest is not None and (signals.count > 1 or now > latest):
                break
        if outcome is None and executed is not None:
            executed["page_error"] = "the report page was not finished"
        outcome = outcome or executed
        if outcome is None and verdict is None:
            code = self._exit_code()
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            verdict = {"status": "failed", "error": f"the run's process ended without an answer ({how}); see log.txt"}
        final = verdict or outcome
        entry.status, entry.error = final["status"], final["error"]
        page_error = (outcome or {}).get("page_error")
        if page_error:
            entry.error = "; ".join(filter(None, [entry.error, page_error]))
        entry.cpu_seconds = round(max(self.usage.cpu_seconds, (outcome or {}).get("cpu_seconds", 0)), 3)
        entry.peak_memory_bytes = max(self.usage.peak_memory, (outcome or {}).get("largest_bytes", 0))

    def _exit_code(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=5)
        return None

    def end(self) -> None:
        """Kill whatever is left of the run and collect the child."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        processes.kill_run(str(self.entry.folder))
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class _Signals:
    """Ctrl-C, SIGTERM and SIGHUP as a count instead of an exception, so that a run always ends in order.

    In another thread than the main one (a sweep) signals cannot be caught, and the count stays at zero.
    """

    def __init__(self):
        self.count = 0
        self.name = ""
        self._old: dict = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                    self._old[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, _frame):
        self.count += 1
        self.name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name

    def __exit__(self, *_):
        for number, old in self._old.items():
            signal.signal(number, old)


def _collect(entry: store.Record) -> None:
    """Take what the notebook left in its folder into the record."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        entry.metrics = json.loads((entry.folder / record.FILE).read_text("utf-8"))["metrics"]
    with contextlib.suppress(FileNotFoundError):
        for line in (entry.folder / "models.jsonl").read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError):  # a line cut short by a kill
                entry.models.append(json.loads(line))


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _remove(folder: Path) -> None:
    """Take back a run's folder in which nothing was started."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
