"""The runner's side of the child process: start it, give it runs, follow them, and leave nothing of it behind."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

from ...errors import RunError
from ...files import ROOT, RUN_FOLDER, TYPED_IN, make_folder, typed_in
from ..store.entry import Record
from . import processes
from .progress import Progress

SAMPLE_SECONDS = 0.5
SAMPLE_SHARE = 0.01  # of one core: among thousands of processes a sample is slower, so they are rarer
PAGE_SECONDS = 120  # seconds that a finished notebook's page may take
GRACE_SECONDS = 20  # seconds that a stopped child may take to close the notebook and its page


class Worker:
    """A child process that executes notebooks (`child`): one run, or with ``warm`` one after the other.

    Parameters
    ----------
    tag
        Marks its processes: the run's folder, or a name of the worker's own when it is warm.
    settings
        Environment variables for the child and all it starts.
    warm
        Whether child and kernel stay for the next run.

    Raises
    ------
    RunError
        It cannot be started.
    """

    _living: ClassVar[set[int]] = set()  # the living children, which are not orphans
    _births = threading.Lock()

    def __init__(self, tag: Path, log: Path, settings: dict[str, str], warm: bool = False):
        self.tag, self.warm = str(tag), warm
        self.runs = 0  # how many runs it was given
        self.usage: processes.Usage | None = None
        search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        mine = {
            RUN_FOLDER: self.tag,
            TYPED_IN: typed_in(),
            processes.RUNNER: json.dumps(processes.this_process()),
            "PYTHONPATH": search,  # the kernel imports the package that started it, not another installed one
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger's complaint about frozen modules
            "PYTHONUNBUFFERED": "1",
        }
        try:
            with open(log, "wb") as file, Worker._births:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "workbench.runs.process.child"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    env=os.environ | settings | mine,
                    start_new_session=True,  # only the parent gets the terminal's Ctrl-C
                )
                Worker._living.add(self.process.pid)
        except OSError as error:
            raise RunError(f"the run in {tag} cannot be started: {error.strerror or error}") from error
        self.events: queue.Queue[dict | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def give(self, job: dict) -> None:
        """Give it a run."""
        self.runs += 1
        self._tell({"job": job | {"warm": self.warm}})

    def _tell(self, message: dict) -> None:
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return  # it has ended, as the other pipe shows

    def _listen(self) -> None:
        for line in self.process.stdout:
            try:
                self.events.put(json.loads(line))
            except ValueError:
                continue  # a killed child leaves half a line
        self.events.put(None)

    def watch(self, entry: Record, bar: Progress, signals: "Signals", deadline: float | None) -> None:
        """Follow a run to its end and set the record's status, error, cause and costs."""
        outcome: dict | None = None
        executed: dict | None = None  # how the notebook ended, before the child makes the page
        verdict: dict | None = None  # the status that this parent chose while the notebook ran
        latest: float | None = None  # when to stop waiting for the child
        usage = self.usage = processes.Usage(self.process.pid, before=self.runs > 1)
        pause, sampled = SAMPLE_SECONDS, 0.0
        while outcome is None:
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
                entry.skipped = event.get("skipped") or entry.skipped
                bar.event(event)
            now = time.monotonic()
            if now - sampled >= pause:
                began = time.thread_time()
                usage.sample()
                sampled, pause = now, max(SAMPLE_SECONDS, (time.thread_time() - began) / SAMPLE_SHARE)
            if verdict is None and executed is None and signals.count:
                verdict = {"status": "interrupted", "error": f"interrupted by {signals.name}", "cause": None}
                bar.say("stopping; press Ctrl-C again to stop at once")
            elif verdict is None and executed is None and deadline is not None and now > deadline:
                error = f"the run took longer than its limit of {entry.timeout:g} s"
                verdict = {"status": "timed out", "error": error, "cause": "experiment"}
                bar.say(f"{error}; stopping")
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
            error = f"the run's process ended without an answer ({how}); see log.txt"
            verdict = {"status": "failed", "error": error, "cause": "infrastructure"}
        final = verdict or outcome
        entry.status, entry.error, entry.cause = final["status"], final["error"], final["cause"]
        entry.finished = final.get("finished")
        page_error = (outcome or {}).get("page_error")
        if page_error:
            entry.error = "; ".join(filter(None, [entry.error, page_error]))
        entry.cpu_seconds = round(max(usage.cpu_seconds, (outcome or {}).get("cpu_seconds", 0)), 3)
        entry.peak_memory_bytes = max(usage.peak_memory, (outcome or {}).get("largest_bytes", 0))

    def _exit_code(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=5)
        return None

    def end(self) -> None:
        """Kill what is left of the worker, and read the child's exit code."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        processes.kill_run(self.tag)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.usage is not None:
            self.usage.kill_seen()
        with Worker._births:
            Worker._living.discard(self.process.pid)
            processes.end_adopted(keep=Worker._living)


class Slot:
    """The place of a warm worker, used by one thread at a time."""

    def __init__(self):
        self.worker: Worker | None = None
        self._lock = None  # held while the worker lives, so that nobody takes its kernel for an orphan

    @property
    def runs(self) -> int:
        """How many runs its worker has done."""
        return self.worker.runs if self.worker else 0

    def take(self, folder: Path, settings: dict[str, str]) -> Worker:
        """The worker; a new one logs to the run's folder."""
        if self.worker is None:
            from filelock import FileLock

            tag = folder.parent / f".warm-{os.getpid()}-{id(self):x}"
            cells = make_folder(folder.parent / processes.CELLS)
            self._lock = FileLock(cells / f"{tag.name}.lock", thread_local=False)
            self._lock.acquire()
            self.worker = Worker(tag, folder / "log.txt", settings, warm=True)
        return self.worker

    def drop(self) -> None:
        """End the worker: after a failure its state is unknown."""
        if self.worker is not None:
            self.worker.end()
            self.worker = None
        if self._lock is not None:
            self._lock.release()
            with contextlib.suppress(OSError):  # the folder has vanished
                os.unlink(self._lock.lock_file)
            self._lock = None


class Signals:
    """Count Ctrl-C, SIGTERM and SIGHUP instead of raising, so that a run always ends in order.

    Only the main thread can catch signals: a sweep's threads share the main thread's object.
    """

    def __init__(self):
        self.count = 0
        self.name = ""
        self._old: dict = {}

    def __enter__(self):
        self.renew()
        return self

    def renew(self) -> None:
        """Install the handlers, again after a library has replaced them."""
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                    old = signal.signal(number, self._note)
                    self._old.setdefault(number, old)

    def _note(self, number, _frame):
        self.count += 1
        self.name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name

    def __exit__(self, *_):
        for number, old in self._old.items():
            signal.signal(number, old)
