"""The tables of a docs page: which command made each, which record it came from, which metric stands in which cell.

A comment right above a table says it, so that Markdown shows nothing of it::

    <!-- made by: workbench run rain --profile quick
    record: data/records/rain-quick-smollm2.json
    | | harmlessness: scorer AUC, held out |
    -->
    | model | AUC [95 %] |
    | --- | --- |
    | smollm2 | .67 [.57, .78] |

Behind the record the table is drawn once more with the name of a metric in place of each number; a cell left empty is
no metric. A table of several runs names each: ``made by, small: …``, ``record, small: …``, and its cells are
``small: METRIC``. A record that was not kept is said in words. A command that is no ``workbench run`` (a benchmark) is
named and not compared. A cell may say "not run"; `keep` writes a finished run's numbers into the cells that are its.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import UsageError
from ...files import ROOT, read_json, write_atomic
from ...stats import Estimate
from ..notebook.parameters import unknown
from ..store.entry import FILE, Record
from ..store.schema import Written, checked

RUN = "workbench run "
NOT_RUN = "not run"
_COMMENT = re.compile(r"^<!-- made by.*?-->\n", re.DOTALL | re.MULTILINE)
_NUMBER = r"[-+−]?(?:\d[\d,]*)?\.?\d+(?:e-?\d+)?"
_WITH = re.compile(rf"({_NUMBER})\s*\[({_NUMBER}),\s*({_NUMBER})\]")
_ALONE = re.compile(rf"({_NUMBER})")


@dataclass(frozen=True)
class Number:
    """A number as a page states it, with its interval where it has one; ``step`` is one in its last digit."""

    value: float
    low: float | None
    high: float | None
    step: float
    shown: str

    @property
    def ends(self) -> tuple[float, float]:
        """The interval, else the number itself; each widened by what rounding takes away."""
        low, high = (self.value, self.value) if self.low is None else (self.low, self.high)
        return low - self.step / 2 * (1 + 1e-6), high + self.step / 2 * (1 + 1e-6)

    def holds(self, value: float | None) -> bool:
        """Whether a new value lies in the stated interval (without one: whether it is the same number when rounded)."""
        return value is not None and self.ends[0] <= value <= self.ends[1]

    def states(self, entry: dict) -> bool:
        """Whether it is what a record holds: value and interval of a metric, rounded."""
        pairs = [(self.value, entry.get("value"))]
        if self.low is not None:
            pairs += [(self.low, entry.get("low")), (self.high, entry.get("high"))]
        room = self.step / 2 * (1 + 1e-6)
        return all(there is not None and abs(here - there) <= room for here, there in pairs)


@dataclass(frozen=True)
class Cell:
    """One number of a table (None: not run): where it stands, the run (its label) and the metric that it is.

    ``place`` is the cell's line in the file and its column, from 0.
    """

    row: str
    column: str
    number: Number | None
    label: str
    metric: str
    place: tuple[int, int]


@dataclass
class Table:
    """One table with its comment; ``commands`` and ``records`` by label, "" where there is one run."""

    page: Path
    line: int
    commands: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    unnamed: int = 0  # numbers with an interval that no metric is named for

    def record(self, label: str) -> Path | None:
        """The record of a run, where it was kept."""
        text = self.records.get(label, "")
        return ROOT / text if text.endswith(".json") else None


def find_page(name: str) -> Path:
    """A page by its name in docs/, or by its path.

    Raises
    ------
    UsageError
        There is none.
    """
    path = Path(name) if name.endswith(".md") else ROOT / "docs" / f"{name}.md"
    if (Path(name).name != name and not name.endswith(".md")) or not path.is_file():
        every = (ROOT / "docs").glob("*.md")
        pages = sorted(page.stem for page in every if _COMMENT.search(page.read_text("utf-8")))
        raise UsageError(unknown(name, pages, "page with numbers of ours", f"there are {', '.join(pages)}"))
    return path


def read_page(path: Path) -> list[Table]:
    """Every table of a page that says what made it, in order.

    Raises
    ------
    UsageError
        A comment that is not what the module says, with page and line.
    """
    text = path.read_text("utf-8")
    return [_table(path, text, found) for found in _COMMENT.finditer(text)]


def estimates(name: str, metric: str) -> dict[str, Estimate | None]:
    """What a page states of one metric, by the column's title; None where it was not run."""
    cells = [cell for table in read_page(find_page(name)) for cell in table.cells if cell.metric == metric]
    return {
        cell.column: cell.number and Estimate(cell.number.value, cell.number.low, cell.number.high) for cell in cells
    }


def kept(path: Path) -> Record:
    """A record that was kept beside the pages: record.json as the runner wrote it.

    Raises
    ------
    UsageError
        It is none.
    """
    try:
        return Record(**checked(Written, read_json(path)))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not a record of a run ({error}); copy the run's record.json there") from error


def keep(record: Record, cells: list[tuple[Table, Cell]]) -> None:
    """Keep a run's record where the tables name it, and write its numbers into their cells.

    A cell keeps its number of digits, and what stands around the number; one that was not run gets two digits behind
    the point, from 10 on one.

    Raises
    ------
    UsageError
        The checkout of the run had local changes, so its revision does not say what ran.
    """
    if (record.git or {}).get("dirty") is not False:
        raise UsageError(
            f"{record.id} ran in a checkout with local changes (or without git): commit them and run it again, then "
            "keep its record"
        )
    for file in {file for table, cell in cells if (file := table.record(cell.label)) is not None}:
        write_atomic(file, (record.folder / FILE).read_bytes())
    for page in {table.page for table, _ in cells}:
        lines = page.read_text("utf-8").splitlines()
        for table, cell in cells:
            entry = record.metrics.get(cell.metric, {})
            if table.page == page and entry.get("value") is not None:
                line, column = cell.place
                row = _split(lines[line])
                row[column] = _written(entry, row[column], cell.number)
                lines[line] = f"| {' | '.join(row)} |"
        write_atomic(page, "\n".join(lines) + "\n")


def _written(entry: dict, shown: str, number: Number | None) -> str:
    """A cell with a metric's value and interval in place of the number that it held."""
    digits = 2 - (abs(entry["value"]) >= 10) if number is None else max(0, round(-math.log10(number.step)))
    said = _short(entry["value"], digits)
    if entry.get("low") is not None and entry.get("high") is not None:
        said += f" [{_short(entry['low'], digits)}, {_short(entry['high'], digits)}]"
    if number is None:
        return said
    return (shown if number.shown in shown else shown.replace("*", "")).replace(number.shown, said, 1)


def _short(value: float, digits: int) -> str:
    """.50, -.04, 36.0: no zero before the point, no minus before nothing."""
    text = f"{value:.{digits}f}"
    text = text.lstrip("-") if not float(text) else text
    return re.sub(r"^(-?)0\.", r"\1.", text)


def _table(path: Path, text: str, found: re.Match) -> Table:
    line = text.count("\n", 0, found.start()) + 1
    table = Table(path, line)

    def wrong(what: str) -> UsageError:
        return UsageError(f"{path.name}, line {line}: {what}")

    named = []
    for said in found[0].removeprefix("<!-- ").removesuffix("-->\n").strip().splitlines():
        if said.startswith("|"):
            named.append(_split(said))
            continue
        key, _, value = said.partition(": ")
        kind, _, label = key.partition(", ")
        into = {"made by": table.commands, "record": table.records}.get(kind)
        if into is None or not value.strip() or label in into:
            raise wrong(f"{said!r} is neither 'made by: …', 'record: …' nor a row of metrics")
        into[label] = value.strip()
    if set(table.records) - set(table.commands):
        raise wrong("a record is named for a command that is not")
    for label, command in table.commands.items():
        if command.startswith(RUN) and label not in table.records:
            raise wrong(f"{command!r} has no record: name its file, or say why none was kept")
    rows = []
    for said in text[found.end() :].splitlines():
        if not said.startswith("|"):
            break
        rows.append(_split(said))
    if len(rows) < 3:
        raise wrong("no table follows the comment")
    head, body, top = rows[0], rows[2:], text.count("\n", 0, found.end()) + 2
    if named and [len(row) for row in named] != [len(row) for row in body]:
        raise wrong(f"its {len(named)} rows of metrics do not fit the {len(body)} rows of the table, cell by cell")
    for place, row in enumerate(body):
        for column, shown in enumerate(row):
            metric = named[place][column] if named else ""
            number = read_number(shown)
            if not metric:
                table.unnamed += number is not None and number.low is not None
                continue
            if number is None and shown != NOT_RUN:
                raise wrong(f"the metric {metric!r} is named for the cell {shown!r}, which holds no number")
            label, _, rest = metric.partition(": ")
            label, metric = (label, rest) if label and label in table.commands else ("", metric)
            if label not in table.commands:
                raise wrong(f"the metric {metric!r} does not say which run it comes from")
            file = table.record(label)
            if number is not None and file is not None and not file.is_file():
                raise wrong(f"there is no record {table.records[label]}, and {metric!r} has a number")
            table.cells.append(Cell(row[0].strip("* "), head[column], number, label, metric, (top + place, column)))
    return table


def _split(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def read_number(shown: str) -> Number | None:
    """The first number of a cell that has an interval, else its first number; None where there is none."""
    plain = shown.replace("*", "")
    found = _WITH.search(plain) or _ALONE.search(plain)
    if found is None:
        return None
    parts = [float(part.replace("−", "-").replace(",", "")) for part in found.groups()]
    value, low, high = parts if len(parts) == 3 else (*parts, None, None)
    digits, _, power = found[1].partition("e")
    step = 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    return Number(value, low, high, step, found[0])
