"""Compile Java with Eclipse's compiler, and run checks of patched methods where they can do no harm.

A check runs in a child process: a Java machine of version 17 to 21 with an empty environment, a security manager that
grants nothing to what it checks (no file, network, process, thread or reflection), and limits on its CPU time, memory,
file size and processes, set before it is given the first class. Linux bounds no processes of root; the manager holds.
What a patch prints goes nowhere. A verdict is a line that begins with a secret word; the machine gets it on
its input before any class of a patch, and no patch can reach it (data/skipanalyzer/harness/Runner.java).
"""

import os
import secrets
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....data import folder
from ..compiler import java, run_ecj

MACHINE = (  # small, without files of its own, closed to other processes
    "-Xmx96m", "-Xss1m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:CompressedClassSpaceSize=32m",
    "-XX:ReservedCodeCacheSize=32m", "-XX:-UsePerfData", "-XX:+DisableAttachMechanism", "-XX:ErrorFile=/dev/null",
    "-Djava.security.manager=runner.Guard",
)  # fmt: skip
TRUSTED = ("Runner", "Guard")  # of data/skipanalyzer/harness
EVERYTHING = "java.security.AllPermission"  # for these alone
COMPILE_SECONDS = 60, 1  # of wall clock for the compiler and for each file
BYTES = 3 << 30  # of addresses; the machine's heap has 96 MB
SECONDS = 60, 22  # of wall clock for a machine and for each check; Runner ends one after 20, or 3 of CPU time
THREADS = 64  # beyond what the user runs already: a Java machine has about 20


@dataclass(frozen=True)
class Check:
    """A compiled check: the class with ``static void run()``, and the classes it needs, by name."""

    name: str
    classes: Mapping[str, bytes]


@dataclass(frozen=True)
class Outcome:
    """What came out of a check.

    Attributes
    ----------
    passed : bool
    why : str
        Of a check that failed.
    returned_null : bool
        A call that may meet null returned null.
    ran : bool
        Whether it was run at all: not where no policy or no limit can be set.
    """

    passed: bool
    why: str = ""
    returned_null: bool = False
    ran: bool = True


def compile_java(
    sources: Mapping[str, str], into: Path, beside: Sequence[Path] = (), classpath: Sequence[Path] = ()
) -> dict[str, str]:
    """Compile sources that need nothing but Java, one another, and what is named.

    Parameters
    ----------
    sources : mapping of a path below ``into`` to a text
    into : Path
        An empty folder; the classes are put below ``into / "classes"``.
    beside, classpath : sequence of Path
        Folders of Java, and jars or folders of classes, in which further types are looked up.

    Returns
    -------
    dict
        Path -> its first error. A file without an entry compiled.

    Raises
    ------
    JavaMissing
        There is no Java or no compiler.
    DataError
        The compiler ended early or ran too long.
    """
    root = into / "sources"
    for file, text in sources.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    seconds = COMPILE_SECONDS[0] + COMPILE_SECONDS[1] * len(sources)
    options = ["-nowarn", "-d", into.resolve() / "classes"]
    if beside:
        options += ["-sourcepath", os.pathsep.join(map(str, beside))]
    problems, _ = run_ecj(root, list(sources), options, classpath=classpath, seconds=seconds)
    errors: dict[str, str] = {}
    for one in problems:
        if one.error:
            errors.setdefault(one.file, f"line {one.line}: {one.text}")
    return errors


def compiled_classes(into: Path, package: str) -> dict[str, bytes]:
    """The classes of a package that `compile_java` made: name -> code."""
    found = sorted((into / "classes" / package).glob("*.class"))
    return {f"{package}.{path.stem}": path.read_bytes() for path in found}


def harness_sources() -> dict[str, str]:
    """The runner, and what checks call: path -> text, to be compiled with them.

    Raises
    ------
    DataError
        This is no checkout: data/skipanalyzer/harness is missing.
    """
    place = folder("skipanalyzer") / "harness"
    texts = {path: path.read_text("utf-8") for path in sorted(place.glob("*.java"))}
    return {f"{'runner' if path.stem in TRUSTED else 'harness'}/{path.name}": text for path, text in texts.items()}


def run_checks(checks: Sequence[Check], into: Path) -> list[Outcome]:
    """Run compiled checks, many in one machine; one that ends its machine has failed, the rest go on in a new one.

    Parameters
    ----------
    checks : sequence of Check
    into : Path
        Where `compile_java` compiled them, with `harness_sources` among the sources.
    """
    if not sys.platform.startswith("linux"):  # resource.prlimit is Linux's
        return [Outcome(False, "it was not run: limits on a process can be set on Linux only", ran=False)] * len(checks)
    verdicts: dict[int, Outcome] = {}
    while left := [number for number in range(len(checks)) if number not in verdicts]:
        found, running, opened = _one_machine(checks, left, into)
        verdicts |= found
        if opened or (running is None and not found):
            why = "its policy did not take hold" if opened else "it ended before the first check"
            return [verdicts.get(i, Outcome(False, f"it was not run: Java started, and {why}", ran=False))
                    for i in range(len(checks))]  # fmt: skip
        if running is not None:
            verdicts[running] = Outcome(False, "it ended the Java machine or used up its time")
    return [verdicts[i] for i in range(len(checks))]


def _one_machine(checks: Sequence[Check], numbers: list[int], into: Path):
    """(number -> verdict, the number that ran when the machine ended, whether the policy is missing) of one process."""
    program, _ = java()
    trusted = into / "trusted"
    (trusted / "runner").mkdir(parents=True, exist_ok=True)
    for path in (into / "classes" / "runner").glob("*.class"):
        (trusted / "runner" / path.name).write_bytes(path.read_bytes())
    policy = into / "policy"
    policy.write_text(f'grant codeBase "{trusted.resolve().as_uri()}/" {{ permission {EVERYTHING}; }};\n')
    command = [program, *MACHINE, f"-Djava.security.policy=={policy}", "-cp", trusted, "runner.Runner"]
    secret = secrets.token_hex(16)
    data = _packed(secret, compiled_classes(into, "harness"), checks, numbers)
    machine = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=into, env={},
        start_new_session=True,
    )  # fmt: skip
    try:
        _limit(machine.pid, len(numbers))  # the machine has no class of a patch yet: its input is still to come
        out, _ = machine.communicate(data, timeout=SECONDS[0] + SECONDS[1] * len(numbers))
    except subprocess.TimeoutExpired:
        machine.kill()
        out, _ = machine.communicate()
    finally:
        if machine.poll() is None:
            machine.kill()
            machine.wait()
    found, running, opened = {}, None, False
    for line in out.decode("ascii", "replace").splitlines():
        if not line.startswith(f"{secret}\t"):  # the machine's own warnings
            continue
        _, kind, *rest = line.split("\t")
        if kind == "OPEN":
            opened = True
        elif kind == "START":
            running = int(rest[0])
        else:
            found[running] = _outcome(kind, rest[1])
            running = None
    return found, running, opened


def _outcome(kind: str, why: str) -> Outcome:
    if kind in ("PASS", "NULL"):
        return Outcome(True, returned_null=kind == "NULL")
    return Outcome(False, {"TIME": "it does not end", "ROOM": "it fills the memory"}.get(kind, why))


def _limit(pid: int, checks: int) -> None:
    """Bound a process's CPU seconds, addresses, file size, open files and, for its user, processes and threads."""
    import resource

    seconds = 20 + 6 * checks
    for which, most in (
        (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, BYTES), (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_NPROC, _tasks() + THREADS),
    ):  # fmt: skip
        highest = resource.prlimit(pid, which)[1]
        most = most if highest == resource.RLIM_INFINITY else min(most, highest)
        resource.prlimit(pid, which, (most, most))


def _tasks() -> int:
    """Threads that this user runs: what Linux counts against RLIMIT_NPROC."""
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:  # it has ended
            continue
    return count


def _packed(secret: str, shared: Mapping[str, bytes], checks: Sequence[Check], numbers: Sequence[int]) -> bytes:
    """What Runner reads: each text and each code behind its length, four bytes, most significant first."""
    parts: list[bytes] = []

    def whole(number: int) -> None:
        parts.append(struct.pack(">i", number))

    def block(data: bytes) -> None:
        whole(len(data))
        parts.append(data)

    def classes(found: Mapping[str, bytes]) -> None:
        whole(len(found))
        for name, code in found.items():
            block(name.encode())
            block(code)

    block(secret.encode())
    classes(shared)
    whole(len(numbers))
    for number in numbers:
        block(str(number).encode())
        block(checks[number].name.encode())
        classes(checks[number].classes)
    return b"".join(parts)
