"""What the explorer of warnings shows and writes: warned methods, verdicts by whoever is asked, patches as diffs.

The warned methods are those of the teaching set, or of a `Triage`. Verdicts come from a one-line rule, from the small
filter (trained on the teaching set without the pair that it judges) or from a model; a person has the last word, and
the files say who it was.
"""

import difflib
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ... import plots
from ...errors import UsageError
from .analysers import KINDS, LEAK, TEXTS
from .asking import Question
from .data import Example, teaching_set
from .filters import RULES, Case, trained
from .repair import Validation, diff, patched, validate
from .sarif import BY_HAND, FALSE, REAL, Finding, Verdict, new_log, new_result, with_verdicts
from .sources import Method, file_of, parse_methods
from .triage import Triage, Triaged

LONGEST = 20_000  # characters of a method or a patch that the page gets


@dataclass(frozen=True)
class Item:
    """A warned method.

    Attributes
    ----------
    id, group : str
        Its own name; the pair of the teaching set that it is of, or its file.
    question : Question
    place : (int, int)
        Of its warning in the log.
    truth : str
        Whether the warning is real, where that is known; else empty.
    example : Example or None
        Of the teaching set.
    row : Triaged or None
        Of a triage.
    """

    id: str
    group: str
    question: Question
    place: tuple[int, int]
    truth: str = ""
    example: Example | None = None
    row: Triaged | None = None


def from_set(examples: Sequence[Example] | None = None) -> tuple[list[Item], dict]:
    """The warned methods of the teaching set, and its warnings as a log; its files are called ID/NAME.java."""
    items, results = [], []
    for one in teaching_set() if examples is None else examples:
        above = one.around[0].count("\n")
        for number, finding in enumerate(one.findings(), 1):
            name = one.id if len(one.warnings) == 1 else f"{one.id}, warning {number}"
            truth = REAL if one.buggy else FALSE
            question = Question(one.parsed(), finding)
            items.append(Item(name, one.pair, question, (0, len(results)), truth, example=one))
            file = f"{one.id}/{one.file}"
            results.append(new_result(finding.rule, finding.message, "warning", file, finding.line + above))
    return items, new_log("ecj", "", "https://eclipse.dev/jdt/", results, TEXTS)


def from_triage(found: Triage) -> tuple[list[Item], dict]:
    """The warnings of a triage that stand in a method, and its log.

    Raises
    ------
    UsageError
        There is none.
    """
    items = []
    for number, row in enumerate(found.rows, 1):
        if row.question:
            name = f"{number}. {row.question.method.key}:{row.finding.line}"
            items.append(Item(name, row.finding.file, row.question, row.finding.place, row=row))
    if not items:
        raise UsageError("none of the triage's warnings stands in a method: its table says why of each")
    return items, found.log


# --- verdicts -------------------------------------------------------------------------------------------------------


def by_rule(question: Question) -> Verdict:
    """One line's word: a leak is false where there is a finally or a try-with, a dereference where null is compared."""
    name = "has finally or try-with" if KINDS[question.finding.rule] == LEAK else "compares with null"
    held = RULES[name](question.method.text) < 0
    said = f"the method {name if held else name.replace('has ', 'has no ').replace('compares', 'does not compare')}"
    return Verdict(FALSE if held else REAL, 0.0, "one-line rule", name, said)


def by_filter(item: Item, items: Sequence[Item]) -> Verdict:
    """The small filter's word, which saw the teaching set's warned methods but none of the item's own pair."""
    known = items if item.example else from_set()[0]
    cases = [
        Case(one.id, one.group, one.question.method.text, one.truth == REAL) for one in known if one.group != item.group
    ]
    odds = float(trained(cases)([item.question.method.text])[0])
    said = f"log-odds {odds:+.2f} by its words, from {len(cases)} warned methods of the teaching set"
    return Verdict(REAL if odds > 0 else FALSE, 1 / (1 + math.exp(-abs(odds))), "small filter", "word counts", said)


# --- patches --------------------------------------------------------------------------------------------------------


def patch_lines(before: str, after: str) -> list[list[str]]:
    """A method and its patch as [sign, line]: "+" put in, "-" taken out, " " both; all of the method, in order."""
    old, new = (text.replace("\r\n", "\n").split("\n") for text in (before, after))
    found = []
    for _, first, last, start, end in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if old[first:last] == new[start:end]:
            found += [[" ", line] for line in old[first:last]]
        else:
            found += [["-", line] for line in old[first:last]] + [["+", line] for line in new[start:end]]
    return found


def judged(item: Item, patch: str, triage: Triage | None) -> Validation:
    """How far a patch comes: of our own set it is executed, of a stranger's tree it is compiled at most.

    Raises
    ------
    UsageError
        The method's file has changed since the triage.
    """
    if item.example:
        return validate([item.example.proposal(patch)])[0]
    (found,) = patched(triage.root, [(item.question.method, patch)], classpath=triage.classpath, limit=1)
    if found.validation is None:
        raise UsageError(found.reason)
    return found.validation


def _file(item: Item, triage: Triage | None) -> tuple[str, Method]:
    """The whole text of an item's file, and its method there."""
    if item.row:
        return file_of(triage.root, item.question.method).decode(), item.question.method
    text, name = item.example.source, item.question.method.name
    above = item.example.around[0].count("\n") + 1
    inside = parse_methods(text, f"{item.example.id}/{item.example.file}")
    return text, next(one for one in inside if one.name == name and one.start == above)


# --- files ----------------------------------------------------------------------------------------------------------


def log_with(log: dict, items: Mapping[str, Item], decisions: Sequence[Mapping]) -> dict:
    """The log with the verdicts of persons in it.

    Parameters
    ----------
    decisions : list of {"item", "verdict", "who", "note"}
        The last of an item counts.
    """
    said = {
        items[one["item"]].place: Verdict(one["verdict"], 1.0, one["who"], BY_HAND, one.get("note", ""))
        for one in decisions
    }
    return with_verdicts(log, said)


def patches_with(items: Mapping[str, Item], decisions: Sequence[Mapping], triage: Triage | None) -> str:
    """The patches that persons took, as one file that `git apply` takes.

    Raises
    ------
    UsageError
        None was taken, or two of them overlap.
    DataError
        A file has changed since the triage.
    """
    taken: dict[str, list[tuple[str, Method, str]]] = {}
    for one in {each["item"]: each for each in decisions}.values():
        if one.get("patch"):
            text, method = _file(items[one["item"]], triage)
            others = taken.setdefault(method.file, [])
            if (text, method, one["patch"]) in others:  # one patch for two warnings
                continue
            if any(other.overlaps(method) for _, other, _ in others):
                raise UsageError(f"two patches of {method.key} were taken: reject one of them")
            others.append((text, method, one["patch"]))
    if not taken:
        raise UsageError("no patch was taken yet: accept one")
    return "".join(
        diff(text, method, patch, [other for _, other, _ in some])
        for some in taken.values()
        for text, method, patch in some
    )


# --- the picture ----------------------------------------------------------------------------------------------------


def picture(title: str, finding: Finding, verdict: str, lines: Sequence[Sequence[str]]) -> plots.Picture:
    """A still picture: the warning, the verdict, and the method with its patch, "+" and "-" before changed lines."""
    shown = [*lines[:40], *([["", "…"]] if len(lines) > 40 else [])]
    head = [
        line
        for text in (f"{finding.rule}: {finding.message[:300]}", verdict[:300])
        for line in textwrap.wrap(text, 100)
    ]
    size = (12, max(2.4, 0.7 + 0.21 * (len(head) + len(shown) + 1)))
    made, ((axis,),) = plots.panels(1, 1, size=size, title=title[:110])
    axis.axis("off")
    axis.set(ylim=(len(head) + len(shown) + 1, 0), xlim=(0, 1))
    for row, text in enumerate(head):
        axis.text(0, row, text, va="top", size=10)
    colours = {"+": "#00845f", "-": "#d55e00"}
    for row, (sign, text) in enumerate(shown, len(head) + 1):
        line = f"{sign or ' '} {text.expandtabs(4)[:110]}"
        axis.text(0, row, line, va="top", size=10, family="monospace", color=colours.get(sign, "black"))
    put, out = (sum(sign == one for sign, _ in lines) for one in "+-")
    said = f"{title}. {finding.rule}: {finding.message[:300]}. {verdict}."
    return made.describe(" ".join(f"{said} The patch puts in {put} lines and takes out {out}.".split()))
