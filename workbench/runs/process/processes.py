"""A run's processes: measure what they use, and let none of them outlive the run.

A kernel starts its own session, and a cell may start more of them. Most of them carry environment variables with the
run's folder and its runner, and are found by these; the runner itself never carries its run's folder. A process with an
empty environment is found by descent: on Linux a run's child process (and the command line itself) inherits the orphans
among its descendants (PR_SET_CHILD_SUBREAPER), so none gets away.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from ...files import RUN_FOLDER

CONNECTION = "kernel-workbench-"  # how the names of a run's connection file and sockets begin; the child's pid follows
RUNNER = "WORKBENCH_RUNNER"  # `this_process` of the runner as JSON, in the environment of all it starts
CELLS = ".cells"  # in a paper's folder of runs: the locks of a sweep's cells (`claims`), and of warm workers
SIGKILL = getattr(signal, "SIGKILL", signal.SIGTERM)
ROUNDS = 20  # of looking for descendants: a process may fork between the look and the kill
_adopting = False  # whether orphans of this process's descendants come to it


class Usage:
    """Running totals over a process tree, sampled from outside: peak resident bytes and CPU seconds.

    ``before`` says whether the tree has done another run: what it had used by then is not counted.
    """

    def __init__(self, pid: int, before: bool = False):
        import psutil

        self._psutil = psutil
        self._root = pid, started(pid)
        self._cpu: dict[tuple[int, float | None], float] = {}  # (pid, start) -> CPU seconds when last seen
        self.peak_memory = 0
        self._before = 0.0
        if before:
            self.sample()
            self._before, self.peak_memory = self.cpu_seconds, 0

    def sample(self) -> None:
        """Sample once; a process that ends between two samples counts with its last one."""
        pid, start = self._root
        if start is None or started(pid) != start:
            return
        try:
            root = self._psutil.Process(pid)  # a new one each time: psutil caches the creation time
            tree = [root, *root.children(recursive=True)]
        except self._psutil.Error:
            return
        resident = 0
        for process in tree:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    self._cpu[process.pid, started(process.pid)] = times.user + times.system
                    resident += process.memory_info().rss
            except self._psutil.Error:
                continue
        self.peak_memory = max(self.peak_memory, resident)

    @property
    def cpu_seconds(self) -> float:
        """A lower bound of the CPU time of everything seen."""
        return sum(self._cpu.values()) - self._before

    def kill_seen(self) -> None:
        """SIGKILL every process that was seen in the tree and still lives, whatever its parent is now."""
        for pid, start in self._cpu:
            if start is not None and started(pid) == start:
                _kill(pid)


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
        count += sum(map(_kill, found))
    return count


def _kill(pid: int) -> bool:
    """SIGKILL one process; whether it was there."""
    try:
        os.kill(pid, SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def started(pid: int) -> float | None:
    """When a process started, to tell it from another one with the same pid; None if it does not exist.

    On Linux in seconds since the boot (field 22 of /proc/PID/stat), which no change of the clock moves; psutil adds the
    time of the boot, which does move with the clock. Elsewhere the time that the system keeps.
    """
    if sys.platform == "linux":
        found = _stat(pid)
        return None if found is None else int(found[19]) / os.sysconf("SC_CLK_TCK")
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except (psutil.Error, OverflowError, TypeError, ValueError):
        return None


def _stat(pid: int) -> list[bytes] | None:
    """/proc/PID/stat from field 3 on; field 2 is a name with any characters."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (OSError, ValueError):
        return None


def this_process() -> dict[str, Any]:
    """This process's pid, start, boot and host, which tell it from a later one with the same pid."""
    return {"pid": os.getpid(), "created": started(os.getpid()), "boot": _boot(), "host": socket.gethostname()}


def gone(process: dict[str, Any]) -> bool:
    """Whether the process described by `this_process` has ended.

    A process of another machine (a shared folder) cannot be seen from here and counts as alive.
    """
    if process.get("host") not in (None, socket.gethostname()):
        return False
    if process.get("boot") not in (None, _boot()):
        return True
    pid, created = process.get("pid"), process.get("created")
    if not isinstance(pid, int) or pid < 1 or created is None:
        return True
    if sys.platform == "linux":
        found = _stat(pid)
        if found is None:
            return not _hidden(pid)
        if created > 1e9:  # an earlier version's record has psutil's time, so compare the pid only
            return found[0] in b"ZX"
        return found[0] in b"ZX" or started(pid) != created
    import psutil

    try:
        return abs((started(pid) or 0) - created) > 2 or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return not _hidden(pid)


def _hidden(pid: int) -> bool:
    """Whether a process exists that this user may not inspect: it is then taken for the recorded one."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _boot() -> str | None:
    """This boot's ID, on Linux."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def reap(out: Path) -> int:
    """SIGKILL what dead runners of this machine left behind of runs under ``out``; returns how many processes.

    A kernel dies with its runner; a process that a cell started in its own session does not. A process is left alone
    while somebody holds its cell's lock, whatever its runner seems to be. Sockets of dead kernels are deleted too.
    """
    import psutil
    from jupyter_core.paths import jupyter_runtime_dir

    for path in Path(jupyter_runtime_dir()).glob(f"{CONNECTION}*"):
        pid = path.name.removeprefix(CONNECTION).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            with contextlib.suppress(OSError):
                path.unlink()

    count = 0
    for process in psutil.process_iter():
        try:
            surroundings = process.environ()
            runner, folder = json.loads(surroundings.get(RUNNER, "null")), Path(surroundings.get(RUN_FOLDER, ""))
            if runner and folder.is_relative_to(out) and gone(runner) and not locked(folder):
                process.kill()
                count += 1
        except (psutil.Error, OSError, ValueError, AttributeError):
            continue  # ended meanwhile, or another user's
    return count


def locked(folder: Path) -> bool:
    """Whether somebody holds the lock of a run's cell for this run, the last one noted in the cell.

    ``folder`` is the run's, or a warm worker's tag.
    """
    cells = folder.parent / CELLS
    names = [folder.name]
    for path in cells.glob("*.runs"):
        with contextlib.suppress(OSError):
            if path.read_bytes().split()[-1:] == [folder.name.encode()]:
                names.append(path.stem)
    return any(_held(cells / f"{name}.lock") for name in names)


def _held(lock: Path) -> bool:
    from filelock import FileLock, Timeout

    if not lock.exists():
        return False
    try:
        with FileLock(lock, blocking=False, thread_local=False):
            return False
    except Timeout:
        return True
    except OSError:  # without an answer, kill nothing
        return True


def adopt_orphans(yes: bool = True) -> None:
    """Let orphans among this process's descendants become its children (Linux), or stop that."""
    global _adopting
    if sys.platform == "linux":
        _adopting = _prctl(36, int(yes)) == 0 and yes  # 36 = PR_SET_CHILD_SUBREAPER


def end_descendants(keep: int | None = None) -> int:
    """SIGKILL every descendant of this process but ``keep``, again until none is left; returns how many there were."""
    import psutil

    count = 0
    for _ in range(ROUNDS):
        found = [process for process in psutil.Process().children(recursive=True) if process.pid != keep]
        living = [process.pid for process in found if not _zombie(process)]
        count += sum(map(_kill, living))
        for process in found:
            _collect(process.pid)
        if not living:
            break
    return count


def end_adopted(keep: set[int]) -> None:
    """SIGKILL what this process inherited from a dead child, with descendants; ``keep`` are living children.

    Does nothing before `adopt_orphans`. What this process starts itself shares its session, and stays.
    """
    import psutil

    if not _adopting:
        return
    for _ in range(ROUNDS):
        found = []
        for process in psutil.Process().children():
            with contextlib.suppress(OSError, psutil.Error):
                if process.pid not in keep and os.getsid(process.pid) != os.getsid(0):
                    found += [process, *process.children(recursive=True)]
        for process in found:
            _kill(process.pid)
        for process in found:
            _collect(process.pid)
        if not found:
            break


def _zombie(process) -> bool:
    import psutil

    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True  # gone altogether


def _collect(pid: int) -> None:
    """Read a dead child's exit code, so that it does not stay a zombie; leave another process's child alone."""
    with contextlib.suppress(OSError):
        for _ in range(20):
            if os.waitpid(pid, getattr(os, "WNOHANG", 0)) != (0, 0):
                return
            time.sleep(0.01)  # a killed process takes a moment to die


def die_with_parent(number: int) -> None:
    """Ask Linux to send this process the signal ``number`` when its parent ends; elsewhere nothing happens."""
    if sys.platform == "linux":
        _prctl(1, number)  # 1 = PR_SET_PDEATHSIG


def _prctl(option: int, value: int) -> int:
    import ctypes

    return ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
