"""A maintainer's tree and warnings in; the same warnings with verdicts, a table and patches out.

Each warning is paired with the method that it stands in, a judge and a patcher are asked about each distinct method and
warning once, and a patch becomes a diff only when it parses, compiles and is small. Nothing of the tree is executed or
written to. What cannot be triaged is a row with its reason: no warning is lost, and none is hidden.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...errors import DataError, UsageError, WorkbenchError
from ...files import read_json, run_folder, user_path, write_atomic
from ...tables import csv_text
from .analysers import KINDS, analyse, class_path, read_infer
from .asking import Question, callees
from .compiler import JavaMissing
from .repair import Validation, patched, rule_patch
from .sarif import FALSE, UNSURE, Finding, Verdict, findings, read_sarif, with_verdicts, write_sarif
from .sources import Method, scan

LIMIT = 200  # distinct questions, and patches to compile: each of these takes a second or two
SHOWN = 300  # characters of a stranger's text in a cell of the table; the SARIF keeps all
FOLDER, PATCHES = "triage", "patches"

Judge = Callable[[list[Question]], Sequence[Verdict]]
Patcher = Callable[[list[Question]], Sequence[str]]


@dataclass(frozen=True)
class Triaged:
    """A warning and what became of it.

    Attributes
    ----------
    finding : Finding
    question : Question or None
        With the method that it stands in; None where it was not triaged.
    reason : str
        Why it was not triaged, or not judged, or has no patch; empty if nothing stood in the way.
    verdict : Verdict or None
        None where no judge was asked.
    patch : str
        The whole method as the patcher wrote it; empty where there is none.
    validation : Validation or None
        How far the patch came.
    diff : str
        What `git apply` takes, of an accepted patch; else empty.
    file : str
        The diff's name below the folder of patches.
    """

    finding: Finding
    question: Question | None = None
    reason: str = ""
    verdict: Verdict | None = None
    patch: str = field(default="", repr=False)
    validation: Validation | None = None
    diff: str = field(default="", repr=False)
    file: str = ""

    def as_row(self) -> dict:
        """Its row of the table; texts of strangers are cut to `SHOWN` characters."""
        found, verdict, judged = self.finding, self.verdict, self.validation
        row = {
            "run": found.place[0] + 1, "result": found.place[1] + 1, "tool": found.tool, "rule": found.rule,
            "level": found.level, "file": found.file, "line": found.line,
            "method": "" if self.question is None else self.question.method.key.partition(":")[2],
            "message": found.message,
            "verdict": verdict.kind if verdict else "not judged",
            "confidence": verdict.confidence if verdict else "",
            "judge": verdict.model if verdict else "", "explanation": verdict.explanation if verdict else "",
            "patch": "" if judged is None else "accepted" if judged.accepted else "refused",
            "reason": self.reason or (judged.why if judged else ""), "diff": self.file,
        }  # fmt: skip
        return {name: _cut(cell) if isinstance(cell, str) else cell for name, cell in row.items()}


@dataclass(frozen=True)
class Triage:
    """What `triage` found.

    Attributes
    ----------
    rows : tuple of Triaged
        One for every result of every run, in the log's order.
    log : dict
        The warnings as SARIF, with the verdicts; without a judge it equals the log that came in.
    files : tuple of (file, reason)
        Files of the tree that could not be read whole.
    read : (int, int)
        Files of the tree, and methods in them.
    asked, saved : int
        Distinct questions; and how many more there would have been if equal ones were asked again.
    root, classpath : Path, tuple of Path
        The tree, and what it needs beside Java.
    coverage : str
        What the analyser that ran here saw of the tree, in a sentence; empty for warnings that were given.
    """

    rows: tuple[Triaged, ...] = field(repr=False)
    log: dict = field(repr=False)
    files: tuple[tuple[str, str], ...] = field(repr=False)
    read: tuple[int, int]
    asked: int
    saved: int
    root: Path
    classpath: tuple[Path, ...] = field(default=(), repr=False)
    coverage: str = ""

    def table(self) -> list[dict]:
        """A row for each warning."""
        return [row.as_row() for row in self.rows]

    def sentence(self) -> str:
        """What was done, in a few sentences; it never says that a tree has no warnings."""
        paired = [row for row in self.rows if row.question]
        accepted = len({row.file for row in self.rows if row.diff})
        kinds = [row.verdict.kind for row in self.rows if row.verdict]
        told = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)) or "no verdicts were asked for"
        parts = [
            self.coverage,
            f"{self.read[0]:,} files with {self.read[1]:,} methods were read, {len(self.files):,} of them not whole.",
            f"{len(self.rows):,} warnings: {len(paired):,} stand in a method and were triaged, "
            f"{len(self.rows) - len(paired):,} were not (the table says why of each).",
            f"{self.asked:,} distinct questions, {self.saved:,} calls saved by asking equal ones once; {told}.",
            f"{accepted:,} patches were accepted.",
        ]
        return " ".join(filter(None, parts))

    def save(self, folder: str | os.PathLike) -> Path:
        """Write triaged.sarif, findings.csv, files.csv, all.diff and patches/*.diff; returns the folder."""
        folder = Path(folder)
        write_sarif(folder / "triaged.sarif", self.log)
        write_atomic(folder / "findings.csv", csv_text(self.table(), tuple(Triaged(_NOTHING).as_row())))
        listed = [{"file": file, "reason": reason} for file, reason in self.files]
        write_atomic(folder / "files.csv", csv_text(listed, ("file", "reason")))
        for old in (folder / PATCHES).glob("[0-9][0-9][0-9][0-9]-*.diff"):  # of an earlier triage
            old.unlink()
        diffs = {row.file: row.diff for row in self.rows if row.diff}
        for name, text in diffs.items():
            write_atomic(folder / PATCHES / name, text.encode())
        write_atomic(folder / "all.diff", "".join(diffs.values()).encode())
        return folder


_NOTHING = Finding((0, 0), "", "", "", "", "", 0, 0, False)


def rule_patches(questions: Sequence[Question]) -> list[str]:
    """`repair.rule_patch` of each question: the patcher without a model."""
    return [rule_patch(one.method, one.finding) if one.finding else "" for one in questions]


def triage(
    source: str | os.PathLike,
    *,
    sarif: str | os.PathLike | None = None,
    classpath: Sequence[str] | str = "",
    judge: Judge | None = None,
    patcher: Patcher | None = None,
    limit: int = LIMIT,
    into: str | os.PathLike | None = None,
) -> Triage:
    """Triage the warnings of a tree of Java.

    Parameters
    ----------
    source : folder
        The tree. It is read and never written to.
    sarif : file, optional
        Warnings as SARIF 2.1.0, or Infer's report.json. None: Eclipse's compiler looks for them here.
    classpath : list of jars and folders of classes, or one text with ":" between them
        What the tree needs beside Java, for the analyser and to compile patches.
    judge : callable, optional
        ``judge(questions) -> verdicts``, one each. A call of it that fails is "needs a person". None: no verdict.
    patcher : callable, optional
        ``patcher(questions) -> methods``, "" for none; asked of every warning that was not judged false. None: the
        patcher by rule.
    limit : int
        Distinct questions, and patches compiled, at most.
    into : folder, optional
        Where the result is written; None: ``triage`` in the run's folder, and nowhere outside of a run.

    Raises
    ------
    JavaMissing
        There is no analyser and no ``sarif``.
    UsageError
        ``limit`` is below 1, or ``into`` lies inside the tree.
    DataError
        No such folder, or no SARIF log: see `read_sarif`.
    """
    root = user_path(source).resolve()
    if not root.is_dir():
        raise DataError(f"there is no folder {source}: name the one that holds the .java files")
    if limit < 1:
        raise UsageError(f"limit={limit} asks nothing: give at least 1")
    if into is None and run_folder() is not None:
        into = run_folder() / FOLDER
    if into is not None and (into := user_path(into).resolve()).is_relative_to(root):
        raise UsageError(f"{into} lies inside the tree, which is not written to: choose a folder outside of {root}")
    parts = class_path(classpath)
    log, coverage = _warnings(root, sarif, parts)
    rows, files, read = _paired(root, list(findings(log, root)))
    distinct: dict[tuple, list[int]] = {}
    for number, row in enumerate(rows):
        if row.question:
            distinct.setdefault(_key(row.question), []).append(number)
    asked = list(distinct)[:limit]
    for key in list(distinct)[limit:]:
        for number in distinct[key]:
            rows[number] = replace(rows[number], reason=f"not asked: it is beyond limit={limit} distinct questions")
    questions = [rows[distinct[key][0]].question for key in asked]
    verdicts = [None] * len(asked) if judge is None else _judged(judge, questions)
    open_ = [n for n, verdict in enumerate(verdicts) if verdict is None or verdict.kind != FALSE]
    patches = dict(zip(open_, _asked("patcher", patcher or rule_patches, [questions[n] for n in open_])))
    for n, key in enumerate(asked):
        patch = patches.get(n) or ""
        none = "" if patch or n not in patches else "the patcher has no patch for it"
        for number in distinct[key]:
            rows[number] = replace(rows[number], verdict=verdicts[n], patch=patch, reason=none)
    _validated(root, rows, parts, limit)
    judged = {row.finding.place: row.verdict for row in rows if row.verdict}
    found = Triage(
        tuple(rows), with_verdicts(log, judged), files, read, len(asked),
        sum(len(distinct[key]) - 1 for key in asked), root, parts, coverage,
    )  # fmt: skip
    if into is not None:
        found.save(into)
    return found


def _warnings(root: Path, sarif, classpath: Sequence[Path]) -> tuple[dict, str]:
    """(the log, the coverage of the analyser if it ran here)."""
    if sarif is None or not str(sarif):
        try:
            log, coverage = analyse(root, classpath=[str(part) for part in classpath])
        except JavaMissing as error:
            raise JavaMissing(f"{error}; or give the warnings of an analyser of your own as sarif=FILE") from error
        return log, coverage.sentence(sum(1 for _ in findings(log)))
    path = user_path(sarif)
    try:
        infer = isinstance(read_json(path), list)
    except (OSError, ValueError):
        infer = False  # read_sarif says what is wrong with it
    return (read_infer(path) if infer else read_sarif(path)), ""


def _paired(root: Path, found: list[Finding]) -> tuple[list[Triaged], tuple[tuple[str, str], ...], tuple[int, int]]:
    """(a row for each finding, files that could not be read whole, files and methods read).

    The tree is read a file at a time; of a file without warnings nothing is kept.
    """
    at: dict[str, list[int]] = {}
    rows = []
    for number, one in enumerate(found):
        rows.append(Triaged(one, reason=_passed_over(one)))
        if not rows[-1].reason:
            at.setdefault(one.file, []).append(number)
    files, count, methods = [], 0, 0
    for source in scan(root):
        count, methods = count + 1, methods + len(source.methods)
        if source.problem:
            files.append((source.file, source.problem))
        for number in at.pop(source.file, ()):
            one = found[number]
            method = _around(source.methods, one.line)
            if method is None:
                reason = source.problem if not source.text else f"line {one.line} stands in no method"
            elif method.problem:
                reason = f"its method is no Java ({method.problem})"
            else:
                question = Question(method, one, callees(method, source.methods))
                rows[number] = replace(rows[number], question=question)
                continue
            rows[number] = replace(rows[number], reason=reason)
    for numbers in at.values():  # no file of the tree, or a link out of it
        for number in numbers:
            reason = f"{_cut(found[number].file)} is no .java file of the tree (links are not followed)"
            rows[number] = replace(rows[number], reason=reason)
    return rows, tuple(files), (count, methods)


def _passed_over(one: Finding) -> str:
    """Why a finding is not triaged, as far as the log tells."""
    if one.suppressed:
        return "it was suppressed before"
    if one.problem:
        return one.problem
    if one.rule not in KINDS:
        return f"the rule {_cut(one.rule)!r} is none of those for null dereferences and resource leaks"
    return "" if one.line else "it names no line"


def _around(methods: Sequence[Method], line: int) -> Method | None:
    """The innermost method with this line; of those that begin on one line the last."""
    inside = [method for method in methods if method.start <= line <= method.end]
    return max(inside, key=lambda method: (method.start, method.first), default=None)


def _key(question: Question) -> tuple:
    """What two questions share whose answers must be the same."""
    found = question.finding
    return question.method.text, found.rule, found.message, found.line - question.method.start, question.callees


def _judged(judge: Judge, questions: list[Question]) -> list[Verdict]:
    """A verdict for each question; of a judge that fails, that a person is needed."""
    found = _asked("judge", judge, questions)
    return [one if isinstance(one, Verdict) else Verdict(UNSURE, 0.0, "none", "none", str(one)) for one in found]


def _asked(what: str, ask: Callable, questions: list[Question]) -> list:
    """An answer for each question: a judge's is the sentence that says why where it fails, a patcher's is empty."""
    if not questions:
        return []
    try:
        found, why = list(ask(questions)), ""
        if len(found) != len(questions):
            why = f"the {what} gave {len(found)} answers to {len(questions)} questions"
    except WorkbenchError as error:
        why = str(error)
    if why:
        return [why if what == "judge" else ""] * len(questions)
    return found


def _validated(root: Path, rows: list[Triaged], classpath: tuple[Path, ...], limit: int) -> None:
    """Judge the rows' patches, and give those that are accepted their diff."""
    wanted: dict[tuple, list[int]] = {}  # (file, byte, patch) -> rows: several warnings may have one patch
    for number, row in enumerate(rows):
        if row.patch:
            wanted.setdefault((row.finding.file, row.question.method.first, row.patch), []).append(number)
    given = [(rows[numbers[0]].question.method, key[2]) for key, numbers in wanted.items()]
    for numbers, one in zip(wanted.values(), patched(root, given, classpath=classpath, limit=limit)):
        method = rows[numbers[0]].question.method
        stem = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{method.type}.{method.name}")[:60]
        name = f"{numbers[0] + 1:04d}-{stem}.diff" if one.diff else ""
        for number in numbers:
            rows[number] = replace(rows[number], validation=one.validation, reason=one.reason, diff=one.diff, file=name)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
