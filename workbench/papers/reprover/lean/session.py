"""A proof, one tactic at a time, with a real Lean on the other side.

The document Lean sees is: the file up to the theorem, its statement, ``by``, the tactics so far, the candidate. Only
the last lines change from one candidate to the next, and Lean keeps what stands before them, so a candidate costs
milliseconds instead of a fresh check of the file. The verdict is read from Lean's messages: an error on the tactic's
own lines means that it failed (the goals that Lean reports then are the old ones); no error and no goals left means
that the proof is finished; "uses sorry" means that it was given up.

>>> from workbench.papers.reprover import Session              # doctest: +SKIP
>>> with Session() as session:                                 # doctest: +SKIP
...     state = session.open("Nat.zero_add")
...     state = session.run_tac(state, "induction n with | zero => rfl | succ n ih => ?_")
...     session.run_tac(state, "rw [add_succ, ih]")
ProofFinished(script=(…))
"""

import asyncio
import concurrent.futures
import contextlib
import os
import re
import tempfile
import threading
import time
from pathlib import Path

from ....errors import UsageError, WorkbenchError
from ..last_word import verify
from .engine import MEMORY_MB, LeanFailed, LeanMissing, Library, open_library
from .parts import shorten
from .safety import refusal
from .source import find_theorem
from .states import (
    LeanError,
    ProofFinished,
    ProofGivenUp,
    TacticState,
    Theorem,
    Verified,
    render,
    theorem_refusal,
    without_remarks,
)  # fmt: skip

PATIENCE = 0.5  # seconds without an answer before looking whether anybody is left to give one
IMPORTING = 300.0  # seconds that imports and the text before a theorem may take, beside a tactic's own time
# what is asked behind a tactic; the second where the word is used in the proof, and could be a hypothesis there that
# completes a tactic which ends too early
CLOSING = ("  done\n", "  with_reducible done\n")
# states are shown to their end: without these two different ones can print alike, with `⋯` for what is deep or long
SHOWN = "set_option pp.deepTerms true\nset_option pp.maxSteps 1000000\n"
UNSOLVED = "unsolved goals"  # how Lean's message begins that lists what is left
_PATH_LOCK = threading.Lock()  # leanclient finds `lake` through this process's PATH


class Session:
    """A running Lean server for one library; a context manager.

    Parameters
    ----------
    library : Library or folder, optional
        Compiled sources (`open_library`); None: the project's own.
    timeout : float
        Seconds a tactic may take before it counts as failed and the server is started again.
    memory_mb : int
        Memory a Lean process may use, in MiB; beyond it Lean ends the tactic's elaboration or itself.

    Raises
    ------
    LeanMissing
        No Lean was found.
    """

    def __init__(self, library: Library | str | os.PathLike | None = None, *, timeout: float = 20.0,
                 memory_mb: int = MEMORY_MB) -> None:  # fmt: skip
        self.library = library if isinstance(library, Library) else open_library(library)
        self.timeout, self.memory_mb = float(timeout), int(memory_mb)
        self.restarts = 0
        self._client = None
        self._scratch: tempfile.TemporaryDirectory | None = None
        self._documents, self._file = 0, ""  # how many scratch documents there were, and the name of the one in use
        self._workers: set[int] = set()  # the process that has the document, once it answered
        self._shown: str | None = None  # the text Lean has
        self._shortened: tuple[str, str] | None = None  # the last text before a theorem, and what Lean gets for it

    # ------------------------------------------------------------------------------------------------ life and death
    def __enter__(self) -> "Session":
        self._start()
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Stop Lean; the session can be used again and starts a new one then."""
        client, self._client, self._shown = self._client, None, None
        if client is not None:
            # requests that nobody waits for any more end with the server: their error is expected, not news
            with client._futures_lock:
                for future in client._futures.values():
                    future.add_done_callback(lambda done: done.cancelled() or done.exception())
            client.close()
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def pids(self) -> list[int]:
        """The processes that belong to this session, the server first (for tests and for watching memory)."""
        import psutil

        if self._client is None:
            return []
        try:
            server = psutil.Process(self._client.process.pid)
            workers = server.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [server.pid, *(one.pid for one in workers if _is_alive(one))]

    def _start(self) -> None:
        if self._client is not None:
            return
        try:
            from leanclient import LeanLSPClient
        except ImportError as error:
            raise LeanMissing("the package leanclient is not installed: pip install -e '.[lean]'") from error
        engine, library = self.library.engine, self.library
        self._scratch = tempfile.TemporaryDirectory(prefix="workbench-lean-")
        # a Lake project must be the working folder; the document stands outside it, and nothing is left in it
        folder = Path(self._scratch.name) if engine.kind == "wheel" else library.root
        wanted = engine.environment(library.search_path)
        wanted["WORKBENCH_LEAN_MEMORY"] = str(self.memory_mb)
        with _PATH_LOCK, _environment(wanted):
            self._client = LeanLSPClient(str(folder), prevent_cache_get=True)

    def _name(self, number: int) -> str:
        """The scratch document as the client calls it: relative to its project, or the whole path from outside it."""
        name = f"Session{number}.lean"
        return name if self.library.engine.kind == "wheel" else str(Path(self._scratch.name).resolve() / name)

    def _restart(self) -> None:
        self.restarts += 1
        with contextlib.suppress(Exception):  # the process may be gone already; a new one is started either way
            self.close()
        self._client = self._shown = None
        self._start()

    # ------------------------------------------------------------------------------------------------ theorems
    def open(self, theorem: "str | Theorem") -> "TacticState | LeanError":
        """The initial state of a theorem of the library (by full name) or of one's own (`own_theorem`)."""
        if isinstance(theorem, str):
            theorem = find_theorem(self.library, theorem)
        reason = theorem_refusal(self.library, theorem)
        if reason:
            return LeanError(reason)
        return self._judge(without_remarks(self.library, theorem), (), "skip")

    def run_tac(self, state: TacticState, tactic: str) -> "TacticState | ProofFinished | LeanError | ProofGivenUp":
        """Try one tactic on a state. The state stays valid: any number of tactics can be tried on it, in any order.

        A tactic that ends in several lines (``induction n with`` and its cases) counts as one.
        """
        if not isinstance(state, TacticState):
            raise UsageError(f"run_tac needs a TacticState, got {type(state).__name__}; open a theorem first")
        reason = refusal(tactic)
        if reason:
            return LeanError(f"refused: {reason}")
        return self._judge(state.theorem, state.script, tactic)

    def _judge(self, theorem: Theorem, script: tuple[str, ...], tactic: str):
        for attempt in (1, 2):
            try:
                return self._ask(theorem, script, tactic)
            except _TimedOut:
                self._restart()
                return LeanError(f"the tactic did not end within {self.timeout:g} s")
            except (LeanFailed, OSError, RuntimeError, EOFError, ConnectionError) as error:
                # the server died (killed, out of memory): start it again and ask once more, then blame the tactic
                self._restart()
                if attempt == 2:
                    return LeanError(f"Lean died twice on this tactic ({type(error).__name__}: {str(error)[:200]})")
        raise AssertionError("unreachable")

    def _ask(self, theorem: Theorem, script: tuple[str, ...], tactic: str):
        self._start()
        preamble = self._preamble(theorem) + SHOWN
        before = f"{preamble}{theorem.statement} := by\n"
        shown = render(script)
        candidate = render((tactic,))
        first = before.count("\n") + shown.count("\n")  # line of the candidate, from 0
        last = first + candidate.count("\n") - 1
        if self._is_new(preamble):
            # what is imported, and what stands before the theorem, is not the tactic's time
            self._show(preamble)
            self._messages(IMPORTING + self.timeout)
        # the goals are asked for behind a `done`: at the end of `repeat …` Lean also tells those of inner rounds
        closing = CLOSING[re.search(r"\bdone\b", theorem.statement + shown + candidate) is not None]
        self._show(before + shown + candidate + closing)
        messages = self._messages(self.timeout)
        start = preamble.count("\n")
        mine = [m for m in messages if m["range"]["start"]["line"] >= start]
        earlier = [m for m in messages if m["range"]["start"]["line"] < start and m["severity"] == 1]
        if earlier:
            if not self._workers & set(self.pids()):  # the last that is said of a worker that died
                raise LeanFailed(earlier[0]["message"])
            return LeanError(f"the file does not compile before the theorem: {earlier[0]['message'][:300]}")
        goals = None
        for message in mine:
            line = message["range"]["start"]["line"]
            text = message["message"]
            if message["severity"] == 1:
                if line > last and not text.startswith(UNSOLVED):
                    return LeanError("the tactic is not complete: something must follow it")
                if line > last:
                    goals = tuple(text.removeprefix(UNSOLVED).lstrip("\n").split("\n\n"))
                else:
                    return LeanError(text)
            elif "declaration uses" in text and "sorry" in text:
                return ProofGivenUp()
        if goals is None:
            self._confirm_finished(last + 1, closing)
            return ProofFinished(theorem, (*script, tactic))
        kept = script if tactic == "skip" and not script else (*script, tactic)
        return TacticState(theorem, kept, goals)

    def _messages(self, timeout: float) -> list[dict]:
        """Lean's messages on the text that it has now; `_TimedOut` where they take longer than ``timeout`` seconds.

        The client's own wait may answer with what was said of the text before: it takes late messages for new ones.
        Lean answers this request when everything about this version of the document has been sent.
        """
        shown = self._client.opened_files[self._file]
        asked = {"uri": shown.uri, "version": shown.version}
        answer = self._client._send_request_async("textDocument/waitForDiagnostics", asked)
        waiting = asyncio.run_coroutine_threadsafe(asyncio.wait_for(answer, None), self._client._loop)
        until = time.monotonic() + timeout
        while not waiting.done():
            left = until - time.monotonic()
            if left <= 0:
                waiting.cancel()
                raise _TimedOut
            concurrent.futures.wait([waiting], timeout=min(left, PATIENCE))
            if not waiting.done() and self._workers and not self._workers & set(self.pids()):
                raise LeanFailed("the worker died and will not answer")
        if waiting.exception() is not None:  # what the server says of a worker that died, or the end of the server
            raise LeanFailed(f"Lean's server answered: {str(waiting.exception())[:200]}")
        self._workers = self._workers or set(self.pids()[1:])
        if shown.diagnostics_version != shown.version:
            raise LeanFailed("Lean said nothing of the text it was given")
        return list(shown.diagnostics)

    def _confirm_finished(self, line: int, closing: str) -> None:
        """Ask for the goals at the closing `done`: no message could also mean that a worker died over it."""
        goal = self._client.get_goal(self._file, line, closing.index("done"))
        if not isinstance(goal, dict) or goal.get("goals"):
            raise LeanFailed("Lean's messages and its goals do not agree")

    def _is_new(self, preamble: str) -> bool:
        """Whether Lean has not read this header yet."""
        return self._shown is None or _header(self._shown) != _header(preamble)

    def _preamble(self, theorem: Theorem) -> str:
        """What stands before the theorem, most of it imported (parts.py); the last text asked for is remembered."""
        if self._shortened is None or self._shortened[0] != theorem.preamble:
            self._shortened = (theorem.preamble, shorten(self.library, theorem.preamble))
        return self._shortened[1]

    def _show(self, text: str) -> None:
        """Give Lean the document, sending only the lines that changed."""
        from leanclient import DocumentContentChange

        old = self._shown
        if old is not None and _header(old) != _header(text):
            # other imports need another worker; one for a new document starts at once, an edited header waits
            self._client.close_files([self._file])
            old = None
        if old is None:
            self._documents, self._workers = self._documents + 1, set()
            self._file = self._name(self._documents)
            (Path(self._client.project_path) / self._file).write_text(text, encoding="utf-8")
            self._client.open_file(self._file)
        elif old != text:
            rows, new = old.split("\n"), text.split("\n")
            same = next((i for i, (a, b) in enumerate(zip(rows, new)) if a != b), min(len(rows), len(new)) - 1)
            change = DocumentContentChange("\n".join(new[same:]), [same, 0], [len(rows) - 1, len(rows[-1])])
            self._client.update_file(self._file, [change])
        self._shown = text

    # ------------------------------------------------------------------------------------------------ the last word
    def verify(self, finished: ProofFinished, *, timeout: float = 120.0) -> Verified:
        """Recompile a found proof in a fresh process, the kernel included, and read its axioms."""
        return verify(self.library, finished.theorem, finished.script, timeout=timeout)


def _is_alive(process) -> bool:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _header(text: str) -> list[str]:
    """The lines that say what is imported."""
    return [line for line in text.split("\n") if re.match(r"(?:prelude|module|public|meta|import)\b", line)]


class _TimedOut(WorkbenchError):
    """Lean gave no answer in time."""


@contextlib.contextmanager
def _environment(wanted: dict[str, str]):
    saved = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)
