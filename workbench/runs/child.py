"""The process in which a notebook is executed and its page is made: ``python -m workbench.runs.child``.

It reads its job as one JSON line from standard input and answers with JSON lines on standard output (progress, then one
``end``); what libraries print goes to the run's log. Standard input then stays open as a lifeline: a line {"stop": …}
asks for an orderly end, and its closing means that the runner died, so everything the run started is killed at once.

papermill's own account of a notebook is not trusted for the outcome (after a dead kernel it says every cell completed):
the outcome is what was raised here.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from ..errors import WorkbenchError
from ..files import RUN_FOLDER, write_atomic
from .processes import die_with_parent, kill_run

START_TIMEOUT = 120  # seconds a kernel may take to answer: a loaded machine is slow, a broken one fails at once


class Lifeline(threading.Thread):
    """Watches standard input for a request to stop and for the runner's death."""

    def __init__(self, folder: str):
        super().__init__(daemon=True)
        self.folder = folder
        self.stop: dict | None = None  # {"status", "error"} once an orderly end was asked for
        self.kernel = None  # the process group of the kernel, once there is one

    def run(self):
        for line in sys.stdin:
            self.stop = json.loads(line)["stop"]
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
        """The runner is gone: nobody is left to answer to, so end everything that belongs to the run."""
        kill_run(self.folder)
        os._exit(1)


def main() -> None:
    """Execute the job on standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # whatever prints from here on lands in the log

    def tell(event: str, **fields) -> None:
        answers.write(json.dumps({"event": event, **fields}) + "\n")

    job = json.loads(sys.stdin.readline())
    lifeline = Lifeline(job["folder"])
    signal.signal(signal.SIGTERM, lifeline.give_up)
    die_with_parent(signal.SIGTERM)
    lifeline.start()

    try:
        status, error = execute(job, lifeline, tell)
    except WorkbenchError as problem:
        status, error = "failed", str(problem)
    except Exception as problem:  # a defect of ours or a library's: the runner is to hear of it, whatever it is
        log_traceback()
        status, error = "failed", f"the run broke off ({_said(type(problem).__name__, problem)}); see log.txt"
    if lifeline.stop:
        status, error = lifeline.stop["status"], lifeline.stop["error"]
    tell("executed", status=status, error=error)
    page_error = None
    try:
        from .page import write_page

        now = {"status": status, "error": error, "seconds": time.time() - job["start"]}
        write_page(Path(job["folder"]), job["record"] | now)
    except Exception as problem:  # a page that cannot be made must not hide what the run measured
        page_error = f"the report page could not be made ({_said(type(problem).__name__, problem)}); see log.txt"
        log_traceback()
    tell("end", status=status, error=error, page_error=page_error, **spent())
    answers.close()
    os._exit(0)  # past interpreter shutdown, where zmq threads sometimes linger; everything is on disk by now


def spent() -> dict:
    """This process's and its ended children's CPU seconds, and the largest resident size of one of them in bytes."""
    import resource

    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "cpu_seconds": sum(usage.ru_utime + usage.ru_stime for usage in both),
        "largest_bytes": max(usage.ru_maxrss for usage in both) * unit,
    }


def execute(job: dict, lifeline: Lifeline, tell) -> tuple[str, str | None]:
    """Run the notebook with papermill; returns (status, error sentence or None).

    A kernel that does not come up is tried once more (ports and slow disks have bad moments), one that dies later not.
    """
    # jsonschema tries this grammar for the format "iri", which no notebook has; compiling it takes 1.5 CPU seconds
    sys.modules.setdefault("rfc3987_syntax", None)
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from papermill.iorw import papermill_io

    from .engine import Kernel, register

    class AtomicNotebook:
        """papermill's output goes through `write_atomic`: a notebook on disk is always whole."""

        def write(self, text, path):
            write_atomic(path.removeprefix("atomic:"), text)

        def pretty_path(self, path):
            return path.removeprefix("atomic:")

    papermill_io.register("atomic:", AtomicNotebook())
    state = Kernel(lifeline, tell)
    register(state)
    output = Path(job["folder"]) / "notebook.ipynb"
    for attempt in (1, 2):
        try:
            papermill.execute_notebook(
                job["notebook"],
                f"atomic:{output}".replace("{", "{{").replace("}", "}}"),
                job["parameters"],
                engine_name="workbench",
                kernel_name=_kernel(job["kernel"]),
                cwd=job["cwd"],
                progress_bar=False,
                start_timeout=START_TIMEOUT,
            )
            return "done", None
        except PapermillExecutionError as problem:
            return "failed", f"cell [{problem.exec_count}]{state.where} raised {_said(problem.ename, problem.evalue)}"
        except (DeadKernelError, CellTimeoutError):
            return "failed", state.death()
        except WorkbenchError:
            raise
        except Exception as problem:
            if state.ready or lifeline.stop or attempt == 2:
                log_traceback()
                what = "the run broke off" if state.ready else "the notebook's kernel did not start"
                return "failed", f"{what} ({_said(type(problem).__name__, problem)}); see log.txt in the run's folder"
            log(f"workbench: the kernel did not start ({problem}); trying once more\n")
            state.reset()
    raise AssertionError("both attempts return or raise")


def log(text: str) -> None:
    """Write to the run's log, as far as the disk has room: a full one is told through the pipe, not here."""
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
    text = " ".join(str(text).split())
    text = text if len(text) <= 600 else text[:597] + "..."
    return f"{name}: {text}" if text else name


if __name__ == "__main__":
    if os.environ.get(RUN_FOLDER) is None:
        sys.exit("workbench.runs.child is started by the runner; use: workbench run PAPER")
    main()
