"""The process in which a notebook is executed and its page is made: ``python -m workbench.runs.process.child``.

It reads its job as one JSON line from standard input and answers with JSON lines on standard output (progress, then one
``end``); what libraries print goes to the run's log. Standard input then stays open as a lifeline: a line {"stop": …}
asks for an orderly end. When it closes, the runner has died, and the child kills everything that the run started.
With ``"warm": true`` in the job, child and kernel stay and wait for the next {"job": …}.

The outcome is what was raised here, not what papermill writes into the notebook: after a dead kernel papermill says
that every cell completed.
"""

import contextlib
import errno
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from ...errors import WorkbenchError
from ...files import RUN_FOLDER, forbid_world_writing, read_json, write_atomic
from ..report.page import skip_iri_grammar
from ..store.masking import Masker
from ..store.metrics import STOP
from .processes import adopt_orphans, die_with_parent, end_descendants, kill_run

START_TIMEOUT = 120  # seconds a kernel may take to answer; a loaded machine is slow
EXPERIMENT, INFRASTRUCTURE = "experiment", "infrastructure"  # whose failure it was; only the second is tried again
DISK = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EIO))


class Lifeline(threading.Thread):
    """Watches standard input for jobs, for a request to stop and for the runner's death."""

    def __init__(self):
        super().__init__(daemon=True)
        self.jobs: queue.Queue[dict] = queue.Queue()
        self.folders = {os.environ[RUN_FOLDER]}
        self.stop: dict | None = None  # {"status", "error", "cause"} once an orderly end was asked for
        self.kernel = None  # the process group of the kernel, once there is one

    def run(self):
        for line in sys.stdin:
            message = json.loads(line)
            if "job" in message:
                self.folders.add(message["job"]["folder"])
                self.jobs.put(message["job"])
            else:
                self.stop = message["stop"]
                self.kill_kernel()
        self.give_up()

    def kill_kernel(self):
        """End the kernel; nbclient notices within a second and raises DeadKernelError."""
        if self.kernel is not None:
            try:
                os.killpg(self.kernel, signal.SIGKILL)
            except ProcessLookupError:
                return

    def give_up(self, *_):
        """End everything that belongs to the run: the runner is gone, and nobody waits for an answer."""
        end_descendants()
        for folder in self.folders:
            kill_run(folder)
        os._exit(1)


def main() -> None:
    """Execute the jobs on standard input."""
    forbid_world_writing()  # the kernel inherits it
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # whatever prints from here on lands in the log

    def tell(event: str, **fields) -> None:
        answers.write(json.dumps({"event": event, **fields}) + "\n")

    lifeline = Lifeline()
    adopt_orphans()
    signal.signal(signal.SIGTERM, lifeline.give_up)
    die_with_parent(signal.SIGTERM)
    lifeline.start()
    kernel = None  # a warm worker keeps it
    while True:
        job = lifeline.jobs.get()
        kernel = do(job, lifeline, tell, kernel)
        if not job["warm"]:
            answers.close()
            os._exit(
                0
            )  # skips the interpreter's shutdown, where zmq threads sometimes hang; everything is on disk by now


def do(job: dict, lifeline: Lifeline, tell, kernel=None):
    """Do one job, from its notebook to its ``end``; returns the kernel, for the next job of a warm worker."""
    if job["warm"]:
        log_to(Path(job["folder"]) / "log.txt")
    before = spent(lifeline)["cpu_seconds"]
    masker, speak = Masker(job["secrets"]), tell

    def tell(event: str, **fields) -> None:
        speak(event, **masker.tree(fields))

    try:
        outcome, kernel = execute(job, lifeline, tell, masker, kernel)
    except WorkbenchError as problem:
        outcome = ended("failed", str(problem), INFRASTRUCTURE)  # the output could not be written
    except Exception as problem:  # a defect of ours or a library's: the runner must hear of it
        log_traceback()
        error = f"the run broke off ({_said(type(problem).__name__, problem)}); see log.txt"
        outcome = ended("failed", error, INFRASTRUCTURE)
    with contextlib.suppress(OSError):
        (Path(job["folder"]) / STOP).unlink()  # a stop that some code on the way has swallowed
    end_descendants(keep=lifeline.kernel if job["warm"] else None)  # what its cells started ends with the run
    outcome = lifeline.stop or outcome
    tell("executed", **outcome)
    page_error = None
    if job["page"]:
        try:
            from ..report.page import write_page

            masker.folder(Path(job["folder"]))
            now = masker.tree(outcome)
            now = {key: now[key] for key in ("status", "error")} | {"seconds": time.time() - job["start"]}
            now["skipped"] = kernel.skipped if kernel is not None else None
            write_page(Path(job["folder"]), job["record"] | now)
        except Exception as problem:  # a page that cannot be made must not hide what the run measured
            page_error = f"the report page could not be made ({_said(type(problem).__name__, problem)}); see log.txt"
            log_traceback()
    used = spent(lifeline)
    used["cpu_seconds"] -= before
    tell("end", **outcome, page_error=page_error, **used)
    return kernel


def ended(status: str, error: str | None = None, cause: str | None = None, **more) -> dict:
    """How a run ended, as the runner reads it."""
    return {"status": status, "error": error, "cause": cause, **more}


def spent(lifeline: Lifeline) -> dict:
    """CPU seconds of this process, its ended children and a living kernel; the largest of the first two in bytes."""
    import resource

    import psutil

    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 1 if sys.platform == "darwin" else 1024
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in both)
    if lifeline.kernel is not None:
        with contextlib.suppress(psutil.Error):  # it has ended, and then counts among the children
            times = psutil.Process(lifeline.kernel).cpu_times()
            seconds += times.user + times.system
    return {"cpu_seconds": seconds, "largest_bytes": max(usage.ru_maxrss for usage in both) * unit}


def execute(job: dict, lifeline: Lifeline, tell, masker: Masker, state=None) -> tuple:
    """Run the notebook with papermill; returns (how it ended, the kernel's state).

    A kernel that does not come up is tried once more (ports and slow disks have bad moments). A kernel that dies later,
    or a notebook that papermill refuses, is not: the second try would end the same way.
    """
    skip_iri_grammar()
    hadoop = sys.modules.setdefault("pyarrow.fs", None)  # papermill loads pyarrow for its sake, in .3 CPU seconds
    import papermill

    if hadoop is None:
        del sys.modules["pyarrow.fs"]
    import papermill.execute as judging
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from papermill.iorw import papermill_io

    from .engine import Kernel, LeftEarly, register

    class AtomicNotebook:
        """papermill reads the text that was hashed, and writes through `write_atomic`: the file is always whole."""

        def read(self, path):
            return job["notebook"]

        def write(self, text, path):
            write_atomic(path.removeprefix("atomic:"), masker.notebook(text))

        def pretty_path(self, path):
            return path.removeprefix("atomic:")

    papermill_io.register("atomic:", AtomicNotebook())
    state = state or Kernel(lifeline)
    state.begin(job, tell)
    register(state)
    output = Path(job["folder"]) / "notebook.ipynb"
    strict = judging.raise_for_execution_errors

    def judge(nb, path):  # papermill takes an error that its cell's tag allows for the notebook's
        if state.ran < state.total:
            strict(nb, path)

    for attempt in (1, 2):
        judging.raise_for_execution_errors = judge
        try:
            papermill.execute_notebook(
                f"atomic:{job['path']}".replace("{", "{{").replace("}", "}}"),
                f"atomic:{output}".replace("{", "{{").replace("}", "}}"),
                job["parameters"],
                engine_name="workbench",
                kernel_name=_kernel(job["kernel"]),
                cwd=job["cwd"],
                progress_bar=False,
                start_timeout=START_TIMEOUT,
                language=job["language"],
            )
            if state.ran < state.total:  # papermill takes sys.exit(0) for a good end
                return _early(state), state
            return ended("done"), state
        except LeftEarly:
            return _early(state), state
        except PapermillExecutionError as problem:
            ename, evalue = problem.ename, problem.evalue
            if (
                ename == "CellExecutionError" and not evalue and state.raised
            ):  # papermill's name when no output names an error
                ename, evalue = state.raised
            if ename == "Stopped" and (said := _stopped(Path(job["folder"]))):
                error = f"stopped in cell [{problem.exec_count}]{state.where}: {said['why']}"
                return ended("stopped", error, finished=said["finished"]), state
            if ename == "SystemExit" and evalue in ("None", "False"):
                return _early(state), state
            disk = any(words in str(evalue) for words in DISK)
            error = f"cell [{problem.exec_count}]{state.where} raised {_said(ename, evalue)}"
            return ended("failed", error, INFRASTRUCTURE if disk else EXPERIMENT), state
        except (DeadKernelError, CellTimeoutError):
            if state.exit_code == 0 and state.count:  # os._exit(0): the later cells never ran
                return _early(state), state
            return ended("failed", state.death(), INFRASTRUCTURE if state.killed else EXPERIMENT), state
        except WorkbenchError:
            raise
        except Exception as problem:
            if state.ready or lifeline.stop or attempt == 2 or not state.launched:
                log_traceback()
                what = "the run broke off" if state.ready else "the notebook's kernel did not start"
                what = what if state.launched else "the notebook cannot be executed as it is"
                error = f"{what} ({_said(type(problem).__name__, problem)}); see log.txt in the run's folder"
                # papermill or nbformat fail on the notebook itself, and would fail again
                own = not state.launched or isinstance(problem, (AttributeError, LookupError, TypeError, ValueError))
                return ended("failed", error, EXPERIMENT if own else INFRASTRUCTURE), state
            log(f"workbench: the kernel did not start ({problem}); trying once more\n")
            state.reset()
        finally:
            judging.raise_for_execution_errors = strict
    raise AssertionError("both attempts return or raise")


def _early(state) -> dict:
    """How a notebook ended whose later cells never ran, although no error was raised."""
    left = state.total - state.ran - 1
    error = f"cell [{state.count}]{state.where} ended the notebook before its end (sys.exit, exit or os._exit): "
    error += f"{left} later cell(s) never ran; " if left > 0 else "the rest of it never ran; "
    return ended("ended early", error + "if that is meant, call workbench.stop('why') instead", EXPERIMENT)


def _stopped(folder: Path) -> dict | None:
    """What `workbench.stop` has left, and delete it; None if no cell called it."""
    path = folder / STOP
    try:
        said = read_json(path)
        path.unlink()
        return {"why": str(said["why"]), "finished": said["finished"] is True}
    except (OSError, ValueError, LookupError, TypeError):
        return None


def log_to(path: Path) -> None:
    """Print to another log from here on; a kernel that runs already keeps its own."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def log(text: str) -> None:
    """Write to the run's log, unless the disk is full: the pipe tells the runner of that."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def log_traceback() -> None:
    """The exception being handled, in full, for the log."""
    log(traceback.format_exc())


def _kernel(wanted: str) -> str:
    """The kernel to use: the notebook's own where this environment has it, else this environment's python3."""
    from jupyter_client.kernelspec import KernelSpecManager

    return wanted if wanted in KernelSpecManager().find_kernel_specs() else "python3"


def _said(name: str, text: object) -> str:
    """An exception in one line of bounded length."""
    text = " ".join(str(text).encode("utf-8", "replace").decode().split())  # a record cannot hold half a character
    text = text if len(text) <= 600 else text[:597] + "..."
    return f"{name}: {text}" if text else name


if __name__ == "__main__":
    if os.environ.get(RUN_FOLDER) is None:
        sys.exit("workbench.runs.process.child is started by the runner; use: workbench run PAPER")
    main()
