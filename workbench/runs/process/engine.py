"""papermill's engine for a run: it reports each cell, kills nothing late, and knows how its kernel died.

Imported in the child process only (it imports papermill).
"""

import html
import os
import re
import secrets
import signal
import sys
import time
from functools import partial

from jupyter_core.paths import jupyter_runtime_dir
from nbclient.util import run_sync
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.log import logger

from .processes import CONNECTION, die_with_parent

CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f]")  # what would move or colour a terminal
LONGEST_SOCKET_PATH = 100  # bytes; Unix sockets allow 104 (macOS) or 108
SKIP = "skip"  # the tag of code cells that a headless run leaves out
INJECTED = "injected-parameters"  # papermill's tag of the cell that sets the parameters
NOTE_SECONDS = 1.0  # least time between two reports of a cell's own progress


class LeftEarly(Exception):
    """A cell asked its kernel to end (``exit()``) before the last cell."""


CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, getattr(signal, "SIGBUS", 0))


class Kernel:
    """The state of a run's kernel, while it lives and after."""

    def __init__(self, lifeline):
        self.lifeline = lifeline
        self.client: Client | None = None  # of a warm worker's last run: it holds the kernel and the way to it
        self.reset()

    def begin(self, job: dict, tell):
        """Get ready for a run; ``tell`` sends an event to the runner."""
        self.job = job
        self.tell = tell
        self.reset()

    def reset(self):
        """Forget an attempt whose kernel did not come up."""
        self.launched = False  # whether a kernel was started; before that, only the notebook can be wrong
        self.ready = False  # whether a cell has started
        self.total = self.ran = 0  # code cells to run, and those that ran to their end
        self.exit_code: int | None = None  # minus the signal that killed it; None unless it ended by itself
        self.count = 0  # code cells started
        self.skipped: list[str] = []  # code cells left out for their tag
        self.raised: tuple[str, str] | None = None  # of the last cell that failed: a group of errors leaves no output
        self.leaving = False  # whether a cell has asked it to end
        self.where = ""  # the current cell's title in brackets, for error sentences
        self.noted = 0.0  # when the current cell's own progress was last passed on

    def started(self, provisioner):
        self.lifeline.kernel = provisioner.pid  # also its process group: a kernel starts in its own session
        self.tell("kernel", pid=provisioner.pid)
        if self.lifeline.stop:  # the runner asked to stop while the kernel was starting
            self.lifeline.kill_kernel()

    def heard(self, message: dict):
        """Pass on a long cell's own progress: the last line it printed, or its progress bar."""
        if time.monotonic() - self.noted >= NOTE_SECONDS and (said := progress_in(message)):
            self.noted = time.monotonic()
            self.tell("note", text=said)

    @property
    def killed(self) -> bool:
        """Whether somebody outside ended the kernel (the system, out of memory, most often), not its own code."""
        return self.exit_code is None or -self.exit_code in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)

    def death(self) -> str:
        """Why the kernel died, in a sentence."""
        cell = f"while cell [{self.count}]{self.where} was running" if self.count else "before the first cell"
        code = self.exit_code
        if code == -signal.SIGKILL:
            why = (
                " (killed from outside: most often the system, out of memory);"
                " choose a smaller profile or model, or --bits 4, or close other programs"
            )
        elif code is not None and code < 0:
            known = {item.value: item.name for item in signal.Signals}
            what = "native code crashed" if -code in CRASHES else "sent from outside, or by its own code"
            why = f" (signal {-code}, {known.get(-code, 'of no name')}: {what}); see log.txt in the run's folder"
        else:
            why = f" (exit code {code}): did a cell call exit()? See log.txt in the run's folder"
        return f"the kernel died {cell}{why}"


class Client(PapermillNotebookClient):
    """nbclient over Unix sockets where possible; its kernel dies with this process."""

    state: Kernel

    def create_kernel_manager(self):
        manager = super().create_kernel_manager()
        if sys.platform != "win32":
            # sockets in the user's runtime folder: no ports to race for, nothing for other users to connect to. Without
            # a file name jupyter_client puts the sockets into the working directory, under the same names for every
            # kernel. The pid in it tells `processes.reap` whose they are.
            path = os.path.join(jupyter_runtime_dir(), f"{CONNECTION}{os.getpid()}-{secrets.token_hex(8)}")
            if len(os.fsencode(f"{path}-ipc-5")) <= LONGEST_SOCKET_PATH:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                manager.transport = "ipc"
                manager.connection_file = f"{path}.json"
        return manager

    async def async_start_new_kernel(self, **kwargs):
        self.state.launched = True
        if sys.platform == "linux":
            kwargs["preexec_fn"] = partial(
                die_with_parent, signal.SIGKILL
            )  # if this process is killed, the kernel dies too
        await super().async_start_new_kernel(**kwargs)
        self.state.started(self.km.provisioner)

    start_new_kernel = run_sync(async_start_new_kernel)  # nbclient binds its own method when the class is made

    async def _async_cleanup_kernel(self):
        process = getattr(self.km.provisioner, "process", None)
        if process is not None:
            self.state.exit_code = process.poll()  # before nbclient forgets the process
        if self.state.lifeline.stop:
            self.shutdown_kernel = "immediate"
        await super()._async_cleanup_kernel()

    _cleanup_kernel = run_sync(_async_cleanup_kernel)

    def process_message(self, msg, cell, cell_index):
        self.state.heard(msg)
        return super().process_message(msg, cell, cell_index)

    def papermill_execute_cells(self):
        job = self.state.job
        if job["warm"]:
            code = f"from workbench.runs.process.warm import between; between({job['folder']!r}, {job['cwd']!r})"
            reply = self.wait_for_reply(self.kc.execute(code, silent=True, store_history=False, allow_stdin=False))
            if reply["content"]["status"] != "ok":
                raise RuntimeError(f"the warm kernel could not be cleared: {reply['content'].get('evalue')}")
        super().papermill_execute_cells()


def register(state: Kernel) -> None:
    """Register the engine ``workbench`` with papermill, bound to one run's state."""

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, start_timeout=60, **_):
            cells = nb_man.nb.cells
            written = [(index, cell) for index, cell in enumerate(cells) if cell.cell_type == "code"]
            written = [(index, cell) for index, cell in written if cell.source.strip()]
            skipped = [index for index, cell in written if SKIP in cell.metadata.get("tags", [])]
            state.total = len(written) - len(skipped)
            # numbers as in the notebook's file, which lacks the cell that papermill adds
            own = [index for index, cell in written if INJECTED not in cell.metadata.get("tags", [])]
            state.skipped = [f"code cell {own.index(index) + 1} ({title_of(cells, index)})" for index in skipped]
            state.tell("cells", total=state.total, skipped=state.skipped)

            def on_start(cell, cell_index):
                if cell.cell_type == "code":
                    state.ready = True
                    state.count += 1
                    title = title_of(cells, cell_index)
                    state.where = f" ({title})" if title else ""
                    state.tell("cell", number=state.count, title=title)

            def on_end(cell, cell_index, execute_reply):
                content = execute_reply["content"]
                if content["status"] == "error":
                    state.raised = str(content.get("ename")), str(content.get("evalue"))
                allowed = "raises-exception" in cell.metadata.get("tags", [])
                state.ran += content["status"] == "ok" or allowed
                state.tell("cell_end", number=state.count)
                if any(item.get("source") == "ask_exit" for item in content.get("payload") or []):
                    state.leaving = True  # a warm worker's next run gets a new kernel
                    if state.ran < state.total:
                        state.ran -= 1  # exit() is meant to end its own cell too
                        raise LeftEarly

            old = state.client
            state.launched = old is not None
            client = Client(
                nb_man,
                km=old.km if old else None,
                kernel_name=kernel_name,
                startup_timeout=start_timeout,
                timeout=None,
                iopub_timeout=60,
                on_cell_execute=on_start,
                on_cell_executed=on_end,
                log=logger,
                skip_cells_with_tag=SKIP,
            )
            client.state = state
            if old is not None:
                client.kc = old.kc
            if not state.job["warm"]:
                return client.execute()
            made = client.execute(cleanup_kc=False)
            state.client = None if state.leaving else client
            return made

    papermill_engines.register("workbench", Engine)


def progress_in(message: dict) -> str:
    """The last line a kernel's message prints, or the count and times of the tqdm widget it moves; else empty.

    Without control characters: a cell may print a model's text, and this goes to a terminal.
    """
    content = message["content"]
    if message["msg_type"] == "stream":
        lines = [CONTROL.sub("", line).strip() for line in re.split(r"[\r\n]", content["text"])]
        return next((line for line in reversed(lines) if line), "")[:200]
    if message["msg_type"] == "comm_msg":
        value = content.get("data", {}).get("state", {}).get("value")
        if isinstance(value, str) and re.search(r"\d\s\[\d+:\d\d", value):
            return " ".join(CONTROL.sub("", html.unescape(value)).split())[:200]
    return ""


def title_of(cells: list, index: int) -> str:
    """A code cell's title: the nearest heading above it, else its first line."""
    for cell in reversed(cells[: index + 1]):
        if cell.cell_type == "markdown":
            headings = [line.lstrip("#").strip() for line in cell.source.splitlines() if line.startswith("#")]
            if headings:
                return headings[-1][:60]
    lines = [line.strip() for line in cells[index].source.splitlines() if line.strip()]
    return lines[0].lstrip("# ")[:60] if lines else ""
