"""llama.cpp in this process: its server out of the wheel xllamacpp, on a loopback port whose key only this process has.

Nothing is asked through the wheel's own calls, which give neither token ids nor a way to tokenise: requests go over the
port, and closing a connection ends its request at once, so Ctrl-C is heard. The server begins with room for one short
text and is begun again with more where a call needs more (`Engine.room`).
"""

import contextlib
import importlib
import json
import os
import secrets
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from pathlib import Path

from ..errors import ModelError

MISSING = (
    "backend='llama.cpp' needs the package xllamacpp (wheels for Linux on x86-64): run `make setup` in the checkout, "
    "or `pip install xllamacpp`, or leave backend out"
)
CACHE_MIB = 128  # of prompts kept beside the slots: without a bound it grows for ever
STEP = 512  # tokens by which a slot's context grows
ROWS = 32  # tokens of a forward
SLOTS = 8  # texts at a time, at most: beyond them a CPU gains nothing
_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


class Refused(ModelError):
    """The server's own sentence for a request that it does not take."""


class Engine:
    """One server over one GGUF file.

    Parameters
    ----------
    path
        The file.
    name
        What errors call the model.
    longest
        Tokens of the longest text that the model reads.

    Attributes
    ----------
    context, slots, threads
        Tokens a text may have now, texts at a time, threads of a forward.

    Raises
    ------
    ModelError
        There is no wheel here, or llama.cpp cannot read the file.
    """

    def __init__(self, path: Path, name: str, longest: int):
        self.path, self.name, self.longest = path, name, longest
        self.threads = threads()
        self.context = self.slots = 0
        self._key = secrets.token_hex(16)
        self._process = os.getpid()
        self._running: tuple | None = None  # the server, and the threads that ask it
        self._local, self._open = threading.local(), weakref.WeakSet()
        self._lock = threading.RLock()
        self._counts, self._era = [0, 0, 0], 0
        _engines.add(self)
        self.room(STEP, 1)

    @property
    def version(self) -> str:
        """The wheel's version; it names no commit of llama.cpp."""
        return version("xllamacpp")

    # --- its life -----------------------------------------------------------------------------------------------------

    def room(self, tokens: int, texts: int = 1) -> None:
        """See to it that ``texts`` texts of ``tokens`` tokens have room, as far as the model reads and `SLOTS` go."""
        self._check_process()
        with self._lock:
            context = min(self.longest, max(self.context, -(-tokens // STEP) * STEP))
            slots = max(self.slots, min(texts, SLOTS))
            if self._running is None or (context, slots) != (self.context, self.slots):
                self.close()
                self._start(context, slots)

    def _start(self, context: int, slots: int) -> None:
        try:
            wheel = importlib.import_module("xllamacpp")
        except ImportError as error:
            raise ModelError(MISSING) from error
        options = wheel.CommonParams()
        options.model.path, options.model_alias = str(self.path), ["here"]
        options.hostnames, options.port = ["127.0.0.1"], 0
        options.api_keys, options.cors_origins = [self._key], "none"
        options.ui = options.endpoint_slots = options.endpoint_props = options.endpoint_metrics = False
        options.n_parallel, options.n_ctx, options.cache_ram_mib = slots, context * slots, CACHE_MIB
        options.kv_unified = options.fit_params = options.warmup = False
        options.cpuparams.n_threads = options.cpuparams_batch.n_threads = self.threads
        options.n_gpu_layers, options.verbosity = 0, -1
        # flash attention reads 64 rows and more another way: with fewer at a time a token's numbers are the same
        # however much of its text was known before, and whatever else is in the batch (smollm2 in Q4_1, bit for bit)
        options.flash_attn_type, options.n_ubatch = wheel.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED, ROWS
        try:
            server = wheel.Server(options)
        except Exception as error:  # the wheel's own kinds; what was wrong stands in its words
            raise ModelError(
                f"{self.name} cannot be read by llama.cpp ({' '.join(str(error).split())[:200]}): is the file whole, "
                "and its architecture one that this version knows? Leave backend out to read it with torch"
            ) from error
        self._host, _, port = server.listening_address.rpartition("/")[2].rpartition(":")
        self.context, self.slots, self._port = context, slots, int(port)
        # the last step: interrupted before it, there is no engine, and the next question begins one
        self._running = server, ThreadPoolExecutor(slots, thread_name_prefix="llama.cpp")

    def close(self) -> None:
        """End the server: its port and its memory are free; the next question begins it again."""
        with self._lock:
            self._drop()
            running, self._running = self._running, None
            if running is not None:
                running[1].shutdown(wait=True, cancel_futures=True)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise ModelError(
                f"{self.name} runs in llama.cpp in process {self._process}, and a fork of it has no engine: load the "
                "model in this process, or start processes with spawn"
            )

    # --- asking -------------------------------------------------------------------------------------------------------

    def ask(self, path: str, body: dict | None = None) -> dict:
        """One small question to the server (tokens, a template): its answer."""
        return self._wait([(path, body)], 1)[0]

    def complete(self, bodies: Sequence[dict], *, at_once: int = 1) -> list[dict]:
        """Answers to requests of /completion, in order; ``at_once`` of them under way at a time."""
        return self._wait([("/completion", body) for body in bodies], at_once)

    def _wait(self, jobs: list, at_once: int) -> list[dict]:
        self._check_process()
        if self._running is None:
            self.room(self.context or STEP, self.slots or 1)
        pool = self._running[1]
        answers: list = [None] * len(jobs)
        left, running = iter(enumerate(jobs)), {}
        try:
            while True:
                for place, job in left:
                    running[pool.submit(self._post, *job)] = place
                    if len(running) >= at_once:
                        break
                if not running:
                    return answers
                # a wait at a time, so that Ctrl-C is heard by whoever asked, in whichever thread
                for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                    answers[running.pop(future)] = future.result()
        except BaseException:
            self._drop()  # a closed connection ends what the server is doing for it
            raise

    def _drop(self) -> None:
        self._era += 1
        for connection in list(self._open):
            if (socket := connection.sock) is not None:
                with contextlib.suppress(OSError):
                    socket.shutdown(2)

    def _line(self, *, fresh: bool) -> HTTPConnection:
        """This thread's connection; no proxy, whatever the environment says."""
        line = getattr(self._local, "line", None)
        if fresh or line is None or line.port != self._port:
            line = self._local.line = HTTPConnection(self._host, self._port)
            self._open.add(line)
        return line

    def _post(self, path: str, body: dict | None) -> dict:
        headers, era = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}, self._era
        for last in (False, True):
            here = self._line(fresh=last)
            try:
                here.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
                answer = here.getresponse()
                said = json.loads(answer.read())
                break
            except (OSError, HTTPException, ValueError) as error:
                here.close()
                # the server closes a connection that nobody uses for seconds; one that we closed is not asked again
                if last or era != self._era:
                    raise ModelError(
                        f"llama.cpp broke off while it worked on {self.name} ({error}): load it again"
                    ) from error
        if answer.status != 200 or "error" in said:
            fault = said.get("error", said)
            raise Refused(f"llama.cpp refuses a request to {self.name}: {str(fault.get('message', fault))[:300]}")
        timings = said.get("timings", {})
        with self._lock:
            self._counts = [
                had + new
                for had, new in zip(
                    self._counts, (1, timings.get("prompt_n", 0), timings.get("cache_n", 0)), strict=True
                )
            ]
        return said

    def spent(self) -> tuple[int, int, int]:
        """Requests, tokens computed of prompts, and tokens of prompts that were still known, so far."""
        return tuple(self._counts)


def threads() -> int:
    """Threads of a forward: OMP_NUM_THREADS where it is set, as for torch, else the cores this process may use."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdigit() and int(told):
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _forget() -> None:
    """In a fork: the server's threads are gone, and waiting for them, as its end does, would never end."""
    import ctypes

    for engine in _engines:
        if engine._running is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine._running[0]))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
