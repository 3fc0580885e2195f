"""A run's processes: how much they use, and that none of them outlives the run.

A kernel starts its own session, and a cell may start more of them; what they all share is the environment variable with
the run's folder, so that is how they are found. The runner's own process never has its run's folder in its environment.
"""

import os
import signal
import sys

from ..files import RUN_FOLDER


class Usage:
    """Running totals over a process tree, sampled from outside: peak resident bytes and CPU seconds."""

    def __init__(self, pid: int):
        import psutil

        self._psutil = psutil
        self._root = psutil.Process(pid)
        self._cpu: dict[tuple[int, float], float] = {}  # (pid, start) -> CPU seconds when last seen
        self.peak_memory = 0

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
        return sum(self._cpu.values())


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


def die_with_parent(number: int) -> None:
    """Ask Linux to send this process the signal ``number`` when its parent ends; elsewhere nothing happens."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, number)  # 1 = PR_SET_PDEATHSIG
