"""Warnings in SARIF 2.1.0, the format that analysers write and code hosts read: in, and out again with verdicts.

Nothing is ever deleted. A verdict adds to a result: a property bag (who judged, how sure), and, where the warning was
judged false, a suppression *under review* and the level "note" with the tool's own level kept beside it. What the tool
wrote stays, and a result that somebody suppressed already is left alone. A log without verdicts goes out as it came in.
"""

import copy
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from ...errors import DataError
from ...files import read_json, user_path, write_json

VERSION = "2.1.0"
REAL, FALSE, UNSURE = VERDICTS = ("real", "false", "needs a person")
LEVELS = ("none", "note", "warning", "error")
ORIGIN, TRIAGE, LEVEL = "ai/origin", "ai.triage.", "original.level"  # names in property bags
BY_HAND, HAND = "by hand", "triage."  # a person's verdict: what stands in the place of its prompt, names in its bag


@dataclass(frozen=True)
class Finding:
    """One result of a log.

    Attributes
    ----------
    place : (int, int)
        Its run and its number there, from 0.
    tool, rule, message, level : str
        As the tool meant them: a message's arguments filled in, a rule's default level where it says none.
    file : str
        Below the source tree with "/"; empty where it names none that can be in a tree.
    line, end_line : int
        From 1; 0 where it names no line (a whole file, or characters only).
    suppressed : bool
        By its tool or by a person, in source or outside, and not rejected or under review.
    problem : str
        Why its place is not known; empty if it is.
    """

    place: tuple[int, int]
    tool: str
    rule: str
    message: str
    level: str
    file: str
    line: int
    end_line: int
    suppressed: bool
    problem: str = ""


@dataclass(frozen=True)
class Verdict:
    """What was found about a warning.

    Attributes
    ----------
    kind : str
        One of `VERDICTS`. What could not be judged, a failed call for one, is "needs a person" and hides nothing.
    confidence : float
        From 0 to 1.
    model, prompt : str
        Who judged, and the version of its question; `BY_HAND` for a person.
    explanation : str
        A stranger's text: it goes into the log as text and nowhere else unescaped.
    """

    kind: str
    confidence: float
    model: str
    prompt: str
    explanation: str = ""

    def __post_init__(self):
        if self.kind not in VERDICTS:
            raise DataError(f"{self.kind!r} is no verdict: it is one of {', '.join(VERDICTS)}")
        if not 0 <= self.confidence <= 1:  # nan is refused too
            raise DataError(f"confidence={self.confidence!r} is none: give a number from 0 to 1")


def read_sarif(path: str | os.PathLike) -> dict:
    """A log as it is, once its version and its shape are known to be right.

    Raises
    ------
    DataError
        No such file, no JSON, another version than 2.1.0, or no log.
    """
    path = user_path(path)
    try:
        log = read_json(path)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error}): check the name") from error
    except ValueError as error:
        raise DataError(f"{path} is no SARIF log ({error}): let the analyser write it again") from error
    if not isinstance(log, dict) or "runs" not in log:
        raise DataError(f"{path} is no SARIF log (it has no runs): name the file that the analyser wrote as SARIF")
    if log.get("version") != VERSION:
        raise DataError(
            f"{path} is SARIF {str(log.get('version'))[:20]}, and {VERSION} is read here: convert it (sarif-multitool)"
        )
    for run, one in enumerate(_list(log, "runs")):
        if not isinstance(one, dict) or not isinstance(one.get("results") or [], list):
            raise DataError(f"{path}, run {run + 1}: it is no run of SARIF: let the analyser write it again")
        for number, result in enumerate(_list(one, "results")):
            if not isinstance(result, dict):
                raise DataError(f"{path}, run {run + 1}, result {number + 1}: {str(result)[:40]!r} is no result")
    return log


def findings(log: dict, root: str | os.PathLike | None = None) -> Iterator[Finding]:
    """The results of every run, in order.

    Parameters
    ----------
    log : dict
        From `read_sarif`, or an analyser of ours.
    root : folder, optional
        The source tree. A file that the tool names in full is looked for below it, and a region given in characters
        gets its line from the file.
    """
    root = None if root is None else user_path(root).resolve()
    for run_number, run in enumerate(_list(log, "runs")):
        rules = _Rules(run)
        for number, result in enumerate(_list(run, "results")):
            file, line, end, problem = _where(run, result, root)
            yield Finding(
                (run_number, number), rules.tool, rules.name(result), rules.message(result), rules.level(result),
                file, line, end, is_suppressed(result), problem,
            )  # fmt: skip


def is_suppressed(result: Mapping) -> bool:
    """Whether a viewer hides the result: at least one suppression is accepted, which is what no status means."""
    states = [one.get("status", "accepted") for one in _list(result, "suppressions") if isinstance(one, dict)]
    return "accepted" in states


def with_verdicts(log: dict, verdicts: Mapping[tuple[int, int], Verdict]) -> dict:
    """A copy of a log with verdicts in it, by `Finding.place`; results that are suppressed already are left alone.

    A verdict takes the place of one that was given here before: the tool's own level comes back first. What a person
    judges false is suppressed outright, and nothing calls it a program's word.

    Raises
    ------
    DataError
        A place that the log does not have.
    """
    made = copy.deepcopy(log)
    for (run, number), verdict in verdicts.items():
        results = [_list(one, "results") for one in _list(made, "runs")]
        if not (0 <= run < len(results) and 0 <= number < len(results[run])):
            raise DataError(f"the log has no result {number + 1} in run {run + 1}: judge the log that you read")
        result = results[run][number]
        if is_suppressed(result):
            continue
        _take_back(result)
        if verdict.prompt == BY_HAND:
            _by_hand(result, verdict)
            continue
        bag = result["properties"] = {ORIGIN: "annotated"} | _dict(result, "properties") | {
            f"{TRIAGE}verdict": verdict.kind, f"{TRIAGE}confidence": verdict.confidence,
            f"{TRIAGE}model": verdict.model, f"{TRIAGE}promptVersion": verdict.prompt,
        }  # fmt: skip
        if verdict.explanation:
            bag[f"{TRIAGE}explanation"] = verdict.explanation
        if verdict.kind == FALSE:
            bag[LEVEL] = result.get("level")
            result["level"] = "note" if result.get("kind", "fail") == "fail" else result.get("level", "none")
            result["suppressions"] = [
                *_list(result, "suppressions"),
                {
                    "kind": "external",
                    "status": "underReview",
                    "justification": f"judged false by {verdict.model} ({verdict.confidence:.2f}); a person decides",
                    "properties": {ORIGIN: "annotated", f"{TRIAGE}model": verdict.model},
                },
            ]
    return made


def _by_hand(result: dict, verdict: Verdict) -> None:
    """Put a person's verdict into a result."""
    result["properties"] = _dict(result, "properties") | {
        f"{HAND}verdict": verdict.kind, f"{HAND}judge": verdict.model, f"{HAND}explanation": verdict.explanation
    }  # fmt: skip
    if verdict.kind == FALSE:
        said = f"judged false by {verdict.model}" + (f": {verdict.explanation}" if verdict.explanation else "")
        one = {"kind": "external", "status": "accepted", "justification": said}
        result["suppressions"] = [*_list(result, "suppressions"), one]


def _take_back(result: dict) -> None:
    """Take out what a verdict of ours put into a result, and no more."""
    bag = _dict(result, "properties")
    if LEVEL in bag:
        level = bag.pop(LEVEL)
        result.pop("level", None)
        if level is not None:
            result["level"] = level
    for name in [name for name in bag if name.startswith(TRIAGE)]:
        del bag[name]
    if "suppressions" in result:
        others = [one for one in _list(result, "suppressions") if f"{TRIAGE}model" not in _dict(one, "properties")]
        if others != result["suppressions"]:
            result["suppressions"] = others


def write_sarif(path: str | os.PathLike, log: dict) -> Path:
    """Write a log under a temporary name, then rename it."""
    return write_json(path, log)


def new_log(tool: str, version: str, uri: str, results: list[dict], rules: Mapping[str, str]) -> dict:
    """A log of one run.

    Parameters
    ----------
    tool, version, uri : str
        The analyser's name, version and page.
    results : list of dict
        From `new_result`.
    rules : mapping
        Rule -> what it looks for.
    """
    driver = {
        "name": tool, "version": version, "informationUri": uri,
        "rules": [{"id": rule, "shortDescription": {"text": text}} for rule, text in rules.items()],
    }  # fmt: skip
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": VERSION,
        "runs": [{"tool": {"driver": driver}, "columnKind": "utf16CodeUnits", "results": results}],
    }


def new_result(rule: str, message: str, level: str, file: str, line: int) -> dict:
    """A result at a line of a file of the source tree."""
    place = {"artifactLocation": {"uri": quote(file), "uriBaseId": "SRCROOT"}, "region": {"startLine": line}}
    return {
        "ruleId": rule, "level": level, "message": {"text": message}, "locations": [{"physicalLocation": place}],
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------- what a log means


class _Rules:
    """Names, messages and levels of one run's results (SARIF 3.27.5, 3.27.10, 3.11.7)."""

    def __init__(self, run: dict):
        driver = _dict(_dict(run, "tool"), "driver")
        self.tool = str(driver.get("name") or "an unnamed tool")
        self._rules = [rule for rule in _list(driver, "rules") if isinstance(rule, dict)]
        self._by_id = {rule.get("id"): rule for rule in self._rules}

    def _rule(self, result: dict) -> dict:
        told = _dict(result, "rule")
        number = result.get("ruleIndex", told.get("index"))
        if isinstance(number, int) and 0 <= number < len(self._rules):
            return self._rules[number]
        return self._by_id.get(result.get("ruleId", told.get("id")), {})

    def name(self, result: dict) -> str:
        return str(result.get("ruleId") or _dict(result, "rule").get("id") or self._rule(result).get("id") or "")

    def level(self, result: dict) -> str:
        if result.get("kind", "fail") != "fail":
            return "none"
        default = _dict(self._rule(result), "defaultConfiguration").get("level", "warning")
        found = result.get("level", default)
        return found if found in LEVELS else "warning"

    def message(self, result: dict) -> str:
        message = _dict(result, "message")
        text = message.get("text")
        if text is None:
            text = _dict(_dict(self._rule(result), "messageStrings"), str(message.get("id"))).get("text", "")
        text = str(text)
        for number, word in enumerate(_list(message, "arguments")):
            text = text.replace(f"{{{number}}}", str(word))
        return text


def _where(run: dict, result: dict, root: Path | None) -> tuple[str, int, int, str]:
    """(file, line, end line, problem) of a result's first location."""
    first = next((one for one in _list(result, "locations") if isinstance(one, dict)), None)
    if first is None:
        return "", 0, 0, "it names no place"
    physical = _dict(first, "physicalLocation")
    artifact = _dict(physical, "artifactLocation")
    if "uri" not in artifact and isinstance(index := artifact.get("index"), int):
        listed = _list(run, "artifacts")
        artifact = (
            _dict(listed[index], "location") if 0 <= index < len(listed) and isinstance(listed[index], dict) else {}
        )
    file, problem = _file(run, artifact, root)
    region = _dict(physical, "region")
    line = region.get("startLine")
    end = region.get("endLine", line)
    if not isinstance(line, int) and isinstance(offset := region.get("charOffset"), int) and file and root:
        line = end = _line_at(root / file, offset)
    line, end = (one if isinstance(one, int) and one > 0 else 0 for one in (line, end))
    if file and root and not problem and not (root / file).is_file():
        problem = f"{file} is not in the source tree"
    return file, line, end, problem


def _file(run: dict, artifact: dict, root: Path | None) -> tuple[str, str]:
    """(path below the source tree, problem) of an artifact's location (3.4.4: a base may have a base of its own)."""
    uri = artifact.get("uri")
    if not isinstance(uri, str) or not uri:
        return "", "it names no file"
    bases, seen = _dict(run, "originalUriBaseIds"), set()
    base = artifact.get("uriBaseId")
    while isinstance(base, str) and base not in seen and not urlsplit(uri).scheme:
        seen.add(base)
        told = _dict(bases, base)
        above = told.get("uri", "")
        if urlsplit(above).scheme:  # where it lay on the tool's machine: the tree here stands in its place
            break
        uri, base = above + uri, told.get("uriBaseId")
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        return "", f"{uri[:60]!r} is no file"
    path = PurePosixPath(unquote(parts.path).replace("\\", "/"))
    if path.is_absolute() or parts.scheme == "file":
        return _below(path, root)
    if ".." in path.parts:
        return "", f"{str(path)[:60]!r} lies outside the source tree"
    return str(path), ""


def _below(path: PurePosixPath, root: Path | None) -> tuple[str, str]:
    """A full path of the tool's machine as a path below our tree: its longest end that is a file there."""
    if ".." in path.parts:
        return "", f"{str(path)[:60]!r} lies outside the source tree"
    if root is not None:
        names = [part for part in path.parts if part != "/"]
        for first in range(len(names)):
            if (root / (below := "/".join(names[first:]))).is_file():
                return below, ""
    return "", f"{str(path)[-60:]!r} is not in the source tree"


def _line_at(path: Path, offset: int) -> int:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return 0
    units = text.encode("utf-16-le")[: 2 * offset]  # SARIF counts UTF-16 code units unless a run says otherwise
    return units.decode("utf-16-le", "replace").count("\n") + 1


def _list(holder, name: str) -> list:
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return value if isinstance(value, list) else []


def _dict(holder, name: str) -> dict:
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return value if isinstance(value, dict) else {}
