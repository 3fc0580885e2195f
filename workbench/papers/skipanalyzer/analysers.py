"""Analysers whose warnings are triaged: Eclipse's compiler, run here, and reports of others, read.

`analyse` runs ecj's flow analysis for null dereferences and leaked resources over a tree. It compiles nothing to disk,
runs no annotation processor and executes nothing of the tree. A type with a name that cannot be resolved loses its flow
analysis without a word, so a tree whose libraries are missing looks clean: every analysis comes with its `Coverage`.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import DataError, UsageError
from ...files import read_json, user_path
from .compiler import UNLISTED, run_ecj
from .sarif import new_log, new_result
from .sources import scan

NULL, LEAK = "null dereference", "resource leak"
KINDS = {  # the rules that are triaged -> what they warn of
    # ecj: org.eclipse.jdt.core.compiler.problem.NAME; Infer, from biabduction and from Pulse
    "nullReference": NULL, "potentialNullReference": NULL,
    "unclosedCloseable": LEAK, "potentiallyUnclosedCloseable": LEAK,
    "NULL_DEREFERENCE": NULL, "NULLPTR_DEREFERENCE": NULL, "RESOURCE_LEAK": LEAK, "PULSE_RESOURCE_LEAK": LEAK,
    # SpotBugs, PMD, SonarQube and CodeQL: names from memory, tried with none of them
    "NP_ALWAYS_NULL": NULL, "NP_NULL_ON_SOME_PATH": NULL, "NP_NULL_ON_SOME_PATH_EXCEPTION": NULL,
    "NP_NULL_ON_SOME_PATH_FROM_RETURN_VALUE": NULL, "NP_GUARANTEED_DEREF": NULL,
    "OS_OPEN_STREAM": LEAK, "OS_OPEN_STREAM_EXCEPTION_PATH": LEAK, "OBL_UNSATISFIED_OBLIGATION": LEAK,
    "ODR_OPEN_DATABASE_RESOURCE": LEAK, "CloseResource": LEAK, "java:S2259": NULL, "java:S2095": LEAK,
    "java/dereferenced-value-is-always-null": NULL, "java/dereferenced-value-may-be-null": NULL,
    "java/input-resource-leak": LEAK, "java/output-resource-leak": LEAK, "java/database-resource-leak": LEAK,
}  # fmt: skip
TEXTS = {
    "nullReference": "A value is used that can only be null there.",
    "potentialNullReference": "A value is used that may be null there.",
    "unclosedCloseable": "A resource is never closed.",
    "potentiallyUnclosedCloseable": "A resource may stay open.",
}
WARNED = ("-d", "none", "-warn:none", "-warn:+null,nullDereference,resource")
SECONDS = 1800


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
    parts = class_path(classpath)
    counts, skipped = {}, {}  # file -> its methods; -> why it was not analysed
    for one in scan(root):
        counts[one.file] = len(one.methods)
        if not one.text:
            skipped[one.file] = one.problem
        elif any(sign in one.file for sign in UNLISTED):
            skipped[one.file] = "ecj's list of files cannot hold its name, which has a quote or a line's end in it"
    if not counts:
        raise DataError(f"{root} holds no .java file: name the folder with the sources")
    files = [file for file in counts if file not in skipped]
    problems, version = run_ecj(root, files, WARNED, classpath=parts, seconds=SECONDS)
    missing = Counter(package for _, package in {(one.file, one.package) for one in problems if one.package})
    results = []
    for one in problems:
        if one.error:
            skipped.setdefault(one.file, f"line {one.line}: {one.text}")
        elif one.rule in TEXTS:
            results.append(new_result(one.rule, one.text, "warning", one.file, one.line))
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


def class_path(classpath: Sequence[str] | str) -> tuple[Path, ...]:
    """Jars and folders of classes, from a list or from one text with ":" between them.

    Raises
    ------
    UsageError
        One of them does not exist.
    """
    given = classpath.split(os.pathsep) if isinstance(classpath, str) else classpath
    parts = tuple(user_path(part).resolve() for part in given if part)
    for part in parts:
        if not part.exists():
            raise UsageError(f"the class path names {part}, which is not there: check its path")
    return parts


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
