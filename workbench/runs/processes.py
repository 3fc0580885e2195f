"""A run's processes: how much they use, and that none of them outlives the run.

A kernel starts its own session, and a cell may start more of them; what they all share is environment variables with
the run's folder and its runner, so that is how they are found. The runner itself never has its run's folder there.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from ..files import RUN_FOLDER

CONNECTION = "kernel-workbench-"  # how the names of a run's connection file and sockets begin; the child's pid follows
RUNNER = "WORKBENCH_RUNNER"  # `this_process` of the runner as JSON, in the environment of all it starts


class Usage:
    """Running totals over a process tree, sampled from outside: peak resident bytes and CPU seconds.

    ``before`` is whether the tree has worked for somebody else already: what it had used by then is not counted.
    """

    def __init__(self, pid: int, before: bool = False):
        import psutil

        self._psutil = psutil
        self._root = psutil.Process(pid)
        self._cpu: dict[tuple[int, float], float] = {}  # (pid, start) -> CPU seconds when last seen
        self.peak_memory = 0
        self._before = 0.0
        if before:
            self.sample()
            self._before, self.peak_memory = self.cpu_seconds, 0

    def sample(self) -> None:
        """Look once; processes that end between two looks count with what they had used at the last one."""
        try:
            tree = [self._root, *self._root.children(recursive=True)]
        except self._psutil.Error:
            return
        resident = 0
        for process in tree:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    self._cpu[process.pid, process.create_time()] = times.user + times.system
                    resident += process.memory_info().rss
            except self._psutil.Error:
                continue
        self.peak_memory = max(self.peak_memory, resident)

    @property
    def cpu_seconds(self) -> float:
        """A lower bound of the CPU time of everything seen."""
        return sum(self._cpu.values()) - self._before


def of_run(folder: str) -> list[int]:
    """The processes of a run: all whose environment names its folder, but not the caller."""
    import psutil

    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.environ().get(RUN_FOLDER) == folder:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or another user's
    return found


def kill_run(folder: str) -> int:
    """SIGKILL every process of a run, again until none is left; returns how many there were."""
    count = 0
    for _ in range(5):  # a process may have forked between the look and the kill
        found = of_run(folder)
        if not found:
            break
        for pid in found:
            try:
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                count += 1
            except ProcessLookupError:
                continue
    return count


def this_process() -> dict[str, Any]:
    """What tells this very process from any other, so that a reused pid is noticed: pid, start, boot, host."""
    import psutil

    return {
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
        "boot": _boot(),
        "host": socket.gethostname(),
    }


def gone(process: dict[str, Any]) -> bool:
    """Whether the process described by `this_process` has ended.

    A process of another machine (a shared folder) cannot be seen from here and counts as alive.
    """
    import psutil

    if process.get("host") not in (None, socket.gethostname()):
        return False
    if process.get("boot") not in (None, _boot()):
        return True
    try:
        other = psutil.Process(process.get("pid"))
        # the same pid with another start time is somebody else (create_time jitters with the clock by some ms)
        return abs(other.create_time() - process.get("created", 0)) > 2 or other.status() == psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return False
    except (psutil.Error, TypeError, ValueError):
        return True


def _boot() -> str | None:
    """This boot's ID, where the system tells one (Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def reap(out: Path) -> int:
    """SIGKILL what dead runners of this machine left behind of runs under ``out``; returns how many processes.

    A kernel dies with its runner by itself; what a cell started in a session of its own does not. Sockets of kernels
    that are no more are deleted, too.
    """
    import psutil
    from jupyter_core.paths import jupyter_runtime_dir

    for path in Path(jupyter_runtime_dir()).glob(f"{CONNECTION}*"):
        pid = path.name.removeprefix(CONNECTION).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)

    count = 0
    for process in psutil.process_iter():
        try:
            surroundings = process.environ()
            runner, folder = json.loads(surroundings.get(RUNNER, "null")), surroundings.get(RUN_FOLDER, "")
            if runner and Path(folder).is_relative_to(out) and gone(runner):
                process.kill()
                count += 1
        except (psutil.Error, OSError, ValueError):
            continue  # ended meanwhile, or another user's
    return count


def die_with_parent(number: int) -> None:
    """Ask Linux to send this process the signal ``number`` when its parent ends; elsewhere nothing happens."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, number)  # 1 = PR_SET_PDEATHSIG
