"""``workbench sweep --engine ray``: one Ray task a cell; the notebook still runs in its own child process.

A task locks its cell in the shared folder and writes the record there, as a local run does; the driver only hands out
cells. So a task that Ray starts again (its worker or node died) takes the same lock, a driver that dies loses nothing,
and a local sweep continues where a cluster stopped. Ray chooses the machine and sets
CUDA_VISIBLE_DEVICES; both are inherited by the child.
"""

import os
import secrets
import sys

from ...errors import RunError, UsageError
from ...files import ROOT, TYPED_IN, typed_in
from ..process.processes import reap
from ..process.worker import Signals
from .cell import Outcome, Work, attempt
from .grid import Cell

TASK_RETRIES = 5  # Ray's own, after a worker or node died; not after a run that failed
TOKEN = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
KEEP_GPUS = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}  # without --gpus-per-run a task sees every GPU
AHEAD = 1000  # tasks handed out at once without --jobs: an autoscaler must see the queue


def run_cell(work: Work, cell: Cell) -> Outcome:
    """The task: run one cell, and end in order even when Ray cancels it (which arrives as Ctrl-C)."""
    reap(work.out)  # Ray kills a worker with the run's child, which then cannot end what its cells started
    with Signals() as signals:
        return attempt(work, cell, signals)


class OnRay:
    """The engine on a Ray cluster.

    Parameters
    ----------
    work
        What the cells share; its ``threads`` are also the CPUs reserved for a run.
    jobs
        Runs at a time; None for as many as the cluster takes.
    address
        What `ray.init` takes (``auto``, ``HOST:PORT``, ``ray://…``); None for $RAY_ADDRESS, else a cluster of one on
        this machine, which nobody else may use and which ends with the sweep.
    gpus
        GPUs reserved for a run, a share for several runs on one.

    Raises
    ------
    UsageError
        Ray is not installed, or the cluster has nothing of the size asked for.
    RunError
        The cluster is not reached.
    """

    def __init__(self, work: Work, jobs: int | None, address: str | None, gpus: float | None):
        alone = address is None and not os.environ.get("RAY_ADDRESS")
        self._token: tuple = ()  # the variables set for a cluster of one
        if alone and "ray" not in sys.modules and TOKEN[0] not in os.environ:
            # some of its ports are open to the network: only the token opens them (Ray 2.52 and later, which
            # looks for it when it is imported)
            self._token = TOKEN
            os.environ.update(zip(TOKEN, ("token", secrets.token_hex(32))))
        try:
            import ray
        except ImportError:
            raise UsageError(
                "--engine ray needs Ray; install it with: pip install 'ray>=2.40' (this checkout's extra: .[cluster])"
            ) from None
        self._ray = ray
        self.capacity = jobs or AHEAD
        self._ours = not ray.is_initialized()
        if self._ours:
            self._connect(address, alone)
        there = ray.cluster_resources().get("GPU", 0)
        self.note = None
        if gpus and there < gpus:
            if alone and self._ours:
                self.close()
                raise UsageError(f"--gpus-per-run is {gpus:g}, but this machine has {there:g} GPUs; ask for fewer")
            self.note = (
                f"the cluster has {there:g} GPUs so far; the runs wait until it has {gpus:g} (an autoscaler's work)"
            )
        search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._task = ray.remote(run_cell)
        self._options = {
            "runtime_env": {"env_vars": {"PYTHONPATH": search, TYPED_IN: typed_in(), **KEEP_GPUS}},
            "num_cpus": work.threads,
            "num_gpus": gpus or 0,
            "max_retries": TASK_RETRIES,
            "retry_exceptions": False,
        }
        self._paper = work.notebook.name
        self._work = ray.put(work)
        self._running: dict = {}

    def _connect(self, address: str | None, alone: bool) -> None:
        where = _alone() if alone else {"address": address}
        quiet = {"log_to_driver": False, "logging_level": "critical"}
        for last in (False, False, True):
            try:
                self._ray.init(**where, **quiet)
                return
            except Exception as error:  # Ray raises bare exceptions too
                self._ray.shutdown()
                if last or not alone:  # Ray gives its own processes 15 s to come up, too few on a busy machine
                    said = " ".join(str(error).split())[:200]
                    name = (
                        "on this machine does not start" if alone else f"at {address or 'RAY_ADDRESS'} is not reached"
                    )
                    raise RunError(f"the Ray cluster {name} ({said}); see `ray status`") from error

    def submit(self, cell: Cell) -> None:
        """Start a cell's task."""
        task = self._task.options(name=f"{self._paper}-{cell.key}", **self._options)
        self._running[task.remote(self._work, cell)] = cell

    def poll(self, timeout: float) -> list[tuple[Cell, Outcome]]:
        """What has ended, waiting for at most ``timeout`` seconds."""
        ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout)
        return [(self._running.pop(ref), self._outcome(ref)) for ref in ended]

    def _outcome(self, ref) -> Outcome:
        errors = self._ray.exceptions
        try:
            return self._ray.get(ref)
        except (errors.TaskCancelledError, KeyboardInterrupt):
            return Outcome("interrupted")
        except errors.RayError as error:
            said = " ".join(str(error).split())[:400]
            return Outcome("failed", error=f"Ray gave the task up after {TASK_RETRIES} tries of its own ({said})")

    def stop(self, now: bool) -> None:
        """Cancel every task: in order, or with its worker."""
        for ref in self._running:
            self._ray.cancel(ref, force=now)

    def close(self) -> None:
        """Leave the cluster, and end one that was started here."""
        if self._ours:
            self._ray.shutdown()
            for name in self._token:
                os.environ.pop(name, None)


def _alone() -> dict:
    """Start a cluster of one. Ray binds some of its ports to every address, hence the token."""
    from ..process.environment import usable_cores

    return {
        "address": "local",
        "_node_ip_address": "127.0.0.1",
        "include_dashboard": False,
        "num_cpus": usable_cores(),
    }
