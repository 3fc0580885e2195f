"""The teaching set: pairs of nearly the same Java method, one with a bug and one without, each with a check that runs.

What Eclipse's compiler warns of in each method was measured (data/skipanalyzer/measure.py) and is part of its row.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from ...data import rows
from ...errors import DataError
from .analysers import TEXTS
from .repair.stages import Proposal
from .sarif import Finding
from .sources import Method, parse_methods

HALVES = ("tuning", "test")
HOLE = "@method@"


@dataclass(frozen=True)
class Example:
    """A method of the teaching set.

    Attributes
    ----------
    id, pair : str
        Its own name, and that of the two methods that differ in the bug alone.
    kind : str
        "null dereference" or "resource leak": what the buggy method of the pair has.
    half : str
        One of `HALVES`: choose on the first, report on the second.
    buggy : bool
    frame : str
        A class that compiles with Java alone once the method stands in the place of `HOLE`.
    method : str
        The whole method, without indentation.
    fix : str
        The whole method mended; empty for a method without a bug.
    check : str
        Java statements on ``f``, an instance of the class (data/skipanalyzer/harness/Expect.java has what they call).
        A right method passes: with or without a bug before.
    warnings : list of {"rule", "line", "message"}
        What ecj says of the method, in its own lines from 1.
    """

    id: str
    pair: str
    kind: str
    half: str
    buggy: bool
    frame: str
    method: str
    fix: str
    check: str
    warnings: list

    @property
    def file(self) -> str:
        """The class's file."""
        return re.search(r"^class (\w+)", self.frame, re.MULTILINE)[1] + ".java"

    @cached_property
    def around(self) -> tuple[str, str]:
        """The class's text before and after the method."""
        before, after = self.frame.split(HOLE)
        return before, after

    @property
    def source(self) -> str:
        """The whole file, as it is analysed."""
        before, after = self.around
        return before + "\n    ".join(self.method.split("\n")) + after

    def parsed(self) -> Method:
        """The method, in lines of its own."""
        return parse_methods(self.method, self.file)[0]

    def findings(self) -> list[Finding]:
        """Its warnings, in lines of its own."""
        return [
            Finding(
                (0, number), "ecj", one["rule"], one["message"], "warning", self.file, one["line"], one["line"], False
            )
            for number, one in enumerate(self.warnings)
        ]

    def proposal(self, patch: str) -> Proposal:
        """A patch of it, to be judged by `repair.validate`."""
        return Proposal(self.method, patch, *self.around, self.file, self.check)


def teaching_set(source="skipanalyzer/methods.jsonl") -> list[Example]:
    """The methods of data/skipanalyzer, in order, or of a file of the same columns.

    Raises
    ------
    DataError
        A broken row, a frame without its one hole, a rule that is none of ecj's; what `data.rows` refuses.
    """
    found = rows(source, Example)
    for one in found:
        if one.frame.count(HOLE) != 1:
            raise DataError(
                f"{one.id}: its frame has {one.frame.count(HOLE)} places for the method ({HOLE}) and needs one"
            )
        if unknown := [told for told in one.warnings if told.get("rule") not in TEXTS]:
            raise DataError(
                f"{one.id}: {unknown[0]!r} is no warning of ecj's: measure again (data/skipanalyzer/measure.py)"
            )
    return found
