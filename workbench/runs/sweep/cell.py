"""One cell of a sweep, from its lock to its record: the work of a local thread or a cluster's task."""

import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import RunError
from ..notebook.notebook import Notebook
from ..process.progress import Progress
from ..process.runner import RESERVE_BYTES, execute
from ..process.worker import Signals, Slot
from ..store import entry as store
from .grid import Cell
from .locks import Claim, key_of

PAUSE_SECONDS = 2  # seconds before the second write to a folder: a disk may come back
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)
_pages = threading.Lock()  # nbconvert is not thread-safe


@dataclass(frozen=True)
class Work:
    """What all cells of a sweep share; a cluster's workers get a copy.

    ``began`` is the sweep's start (UTC, ISO): a cell that failed by its own fault after it, in another sweep, is not
    tried again here. With ``surroundings`` None every worker looks at its own machine.
    """

    notebook: Notebook
    out: Path
    began: str
    timeout: float | None = None
    threads: int | None = None
    surroundings: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables that tell libraries how many threads they may use."""
        return {} if self.threads is None else {name: str(self.threads) for name in THREADS}


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: a run's status, or ``skipped`` (finished before) or ``busy`` (another sweep runs it).

    ``unwritable`` says that nothing can be written to the folder of runs, so the sweep should end.
    """

    state: str
    run: str | None = None
    error: str | None = None
    seconds: float = 0.0
    unwritable: bool = False


def attempt(work: Work, cell: Cell, signals: Signals, slot: Slot | None = None) -> Outcome:
    """Run a cell if it is unfinished and free; once more if the infrastructure failed, never if the experiment did."""
    for last in (False, True):
        try:
            outcome, again = _once(work, cell, signals, slot)
        except RunError as error:
            outcome, again = Outcome("failed", error=str(error), unwritable=not _takes_files(work.out)), True
            if not last and not signals.count:
                time.sleep(PAUSE_SECONDS)
        except Exception as error:  # any error ends this cell only, and the sweep continues
            outcome, again = Outcome("failed", error=f"the cell broke off ({type(error).__name__}: {error})"), False
        if not again or signals.count:
            break
    return outcome


def _takes_files(out: Path) -> bool:
    """Whether the folder of runs has room for a record and a notebook; if not, the sweep should end."""
    import tempfile

    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out, buffering=0) as file:
            return file.write(bytes(RESERVE_BYTES)) == RESERVE_BYTES
    except OSError:
        return False


def _once(work: Work, cell: Cell, signals: Signals, slot: Slot | None) -> tuple[Outcome, bool]:
    """(how it ended, whether a second try may help)."""
    with Claim(work.out, work.notebook.name, cell.key) as claim:
        if not claim.held:
            return Outcome("busy"), False
        for record in claim.attempts():
            if record.counts and key_of(record) == cell.key:
                return Outcome("skipped", record.id), False
            own = record.cause == "experiment" or record.status == "stopped"
            if own and (record.ended or "") >= work.began:
                return Outcome(record.status, record.id, record.error), False
        record = execute(
            work.notebook,
            cell.values,
            out=work.out,
            timeout=work.timeout,
            bar=Progress(work.notebook.name, show=False),
            signals=signals,
            surroundings=work.surroundings,
            threads=work.threads,
            settings=work.settings,
            announce=claim.note,
            slot=slot,
            page=False,
        )
    if record.folder.exists():
        make_page(record)
    state = "done" if record.counts else record.status
    return Outcome(state, record.id, record.error, record.seconds), record.cause == "infrastructure"


def make_page(record: store.Record) -> None:
    """Make the run's page here, where nbconvert is loaded once for many runs; the record names a failure."""
    from ..report.page import write_page

    try:
        with _pages:
            write_page(record.folder, record)
    except Exception as problem:  # outputs that break nbconvert must not cost the run its numbers
        if (record.folder / store.FILE).exists():
            said = f"the report page could not be made ({type(problem).__name__}: {problem})"
            record.error = "; ".join(filter(None, [record.error, " ".join(said.split())[:600]]))
            with contextlib.suppress(RunError):  # on a full disk the record stays as it is: the run is done
                record.save()
