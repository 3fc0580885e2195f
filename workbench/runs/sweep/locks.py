"""Who does which cell: a lock and a list of attempts a cell, in ``OUT/PAPER/.cells/``, on a folder that may be shared.

A cell is worked on by whoever holds its lock (`filelock`: flock, which the system gives back when its holder dies, a
SIGKILL included; over NFS too). Every attempt's run ID is written down, under the lock and before the run has a record,
so that the next holder looks at exactly those records: a finished one among them is never repeated, even when the
listing of a folder that a network file system shows is out of date. Only a lock's holder writes that a run is done.
"""

import contextlib
import os
import re
from pathlib import Path

from ...errors import RunError
from ..process.processes import CELLS as FOLDER
from ..store import entry as store
from .grid import identity

RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")  # a run's ID, as `store.new_folder` makes them


class Claim:
    """The right to work on one cell.

    ``with Claim(out, paper, key) as claim:`` and then ``claim.held`` says whether it was got; it is not waited for.

    Raises
    ------
    RunError
        The folder cannot be written.
    """

    def __init__(self, out: Path, paper: str, key: str):
        self.out, self.paper, self.key = out, paper, key
        self.folder = out / paper / FOLDER
        self._lock = None

    def __enter__(self):
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / f"{self.key}.lock", blocking=False, thread_local=False)
            with contextlib.suppress(Timeout):
                lock.acquire()
                self._lock = lock
        except OSError as error:
            raise RunError(_cannot(self.folder, error)) from error
        return self

    @property
    def held(self) -> bool:
        """Whether this process has the cell."""
        return self._lock is not None

    def __exit__(self, *_):
        if self._lock is not None:
            self._lock.release()

    def note(self, identity: str) -> None:
        """Write down the ID of the run that is about to start."""
        try:
            with open(self.folder / f"{self.key}.runs", "a", encoding="ascii") as file:
                file.write(identity + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(_cannot(self.folder, error)) from error

    def attempts(self) -> list[store.Record]:
        """The records of the attempts so far; one that never got so far as a record is left out."""
        try:
            lines = (self.folder / f"{self.key}.runs").read_text("ascii", errors="replace").split()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(_cannot(self.folder, error)) from error
        found = []
        for name in lines:
            if not RUN.fullmatch(name):
                continue  # nothing of ours wrote that
            with contextlib.suppress(RunError):
                found.append(store.load(self.out / self.paper / name))
        return found


def finished(records: list[store.Record]) -> dict[str, store.Record]:
    """Cell key -> its finished record, the oldest where there are several; ``records`` come oldest first."""
    found: dict[str, store.Record] = {}
    for record in records:
        if record.counts:
            found.setdefault(key_of(record), record)
    return found


def key_of(record: store.Record) -> str:
    """The key of the cell that a record is of: by what its run has seen, where weights changed while it ran."""
    return identity(record.paper, record.notebook_sha256, record.parameters, record.contents)


def _cannot(folder: Path, error: OSError) -> str:
    why = error.strerror or error
    return f"cannot write the claims in {folder}: {why}; free some space or choose another folder (--out DIR)"
