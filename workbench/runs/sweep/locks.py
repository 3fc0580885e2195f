"""Who runs which cell: a lock and a list of attempts for each cell, in ``OUT/PAPER/.cells/``, which may be shared.

Whoever holds a cell's lock runs it (`filelock`: flock, which the system releases when its holder dies, also by SIGKILL
and over NFS). The holder writes every attempt's run ID down before the run has a record, so the next holder reads
exactly those records: a finished run is never repeated, even if a network file system lists a folder as it was before.
Only a lock's holder writes that a run is done.
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

    ``with Claim(out, paper, key) as claim:`` then ``claim.held`` says whether it was free; it does not wait.

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
        """Whether this process holds the lock."""
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
        """The records of the attempts so far; an attempt without a record is left out."""
        try:
            lines = (self.folder / f"{self.key}.runs").read_text("ascii", errors="replace").split()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(_cannot(self.folder, error)) from error
        found = []
        for name in lines:
            if not RUN.fullmatch(name):
                continue  # we did not write that
            with contextlib.suppress(RunError):
                found.append(store.load(self.out / self.paper / name))
        return found


def finished(records: list[store.Record]) -> dict[str, store.Record]:
    """Cell key -> its finished record, the oldest of several; ``records`` come oldest first."""
    found: dict[str, store.Record] = {}
    for record in records:
        if record.counts:
            found.setdefault(key_of(record), record)
    return found


def key_of(record: store.Record) -> str:
    """The key of a record's cell, by the weights that its run saw if they changed while it ran."""
    return identity(record.paper, record.notebook_sha256, record.parameters, record.contents)


def _cannot(folder: Path, error: OSError) -> str:
    why = error.strerror or error
    return f"cannot write the claims in {folder}: {why}; free some space or choose another folder (--out DIR)"
