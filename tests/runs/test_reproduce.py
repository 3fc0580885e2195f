"""``workbench reproduce``: the commands behind a page's tables, run again and compared number by number."""

import json
import re

import pytest
from tiny_notebooks import write_notebook
from typer.testing import CliRunner

from workbench.cli import app
from workbench.cli.reproduce import _jobs
from workbench.errors import UsageError
from workbench.files import ROOT
from workbench.papers import PAPERS
from workbench.runs.report.pages import find_page, keep, kept, read_number, read_page
from workbench.runs.store.entry import load
from workbench.runs.sweep.grid import build_all

PAGES = [*[paper.name for paper in PAPERS if paper.status == "done"], "scale"]
INTERVAL = re.compile(r"\[[-+−]?[\d.]+, ?[-+−]?[\d.]+\]")
RECORD = (
    "import workbench as wb\nwb.record({'share': wb.Estimate(.52, .4, .64, 50), 'more: odd, name': 2.0, 'count': 7})"
)


def page(folder, *rows, commands="made by: workbench run {notebook} -p concept=011\nrecord: not kept (a test)"):
    """A page with one table of one number a row: (metric, cell)."""
    notebook = write_notebook(folder / "tiny.ipynb", RECORD)
    made = commands.format(notebook=notebook)
    named = "\n".join(f"| | {metric} |" for metric, _ in rows)
    shown = "\n".join(f"| row {place} | {cell} |" for place, (_, cell) in enumerate(rows))
    text = (
        f"# Title\n\n## What was found\n\n<!-- {made}\n{named}\n-->\n| what | share |\n| --- | --- |\n{shown}\n\nEnd.\n"
    )
    (folder / "mine.md").write_text(text)
    return folder / "mine.md"


def here(*words):
    """The command line in this process, where it starts nothing."""
    return CliRunner().invoke(app, [str(word) for word in words])


def verdicts(text):
    """The last word of each line of the table that the command prints."""
    return [line.split()[-1] for line in text.splitlines() if line.startswith("  line ")]


def test_a_page_is_run_again_and_compared_number_by_number(run_workbench, tmp_path):
    rows = [
        ("share", "**.50** [.40, .60], n = 50"), ("share", ".51 [.30, .51]"),
        ("more: odd, name", "2.0"), ("count", "8"),
        ("gone", "1 [0, 2]"), ("", ".9 [.8, 1.0]"),
    ]  # fmt: skip
    mine = page(tmp_path, *rows)
    planned = here("reproduce", mine, "--dry-run", "--out", tmp_path / "runs")
    assert planned.exit_code == 0 and not (tmp_path / "runs").exists()
    assert (
        "-p concept=011\n  5 numbers, line 5; about 3 min 0 s" in planned.stdout and "1 more numbers" in planned.stdout
    )
    done = run_workbench("reproduce", mine, "--out", tmp_path / "runs")
    assert done.returncode == 1, done.stderr
    # .52: an end of .51 may stand for .515 at most
    assert verdicts(done.stdout) == ["inside", "OUTSIDE", "inside", "OUTSIDE", "MISSING"]
    assert re.search(r"line 5 +row 0 +share +\.50 \[\.40, \.60\] +0\.52 +inside", done.stdout)
    assert "5 numbers compared, 3 outside or missing" in done.stdout
    (record,) = (tmp_path / "runs" / "tiny").glob("*/record.json")
    assert json.loads(record.read_text())["parameters"]["concept"] == "011"

    again = page(tmp_path, *rows[:1], rows[2])  # the same command: its finished run is compared, and none is begun
    done = here("reproduce", again, "--finished", "--out", tmp_path / "runs")
    assert done.exit_code == 0 and verdicts(done.stdout) == ["inside", "inside"]
    assert len(list((tmp_path / "runs" / "tiny").glob("*/record.json"))) == 1
    made = "made by: workbench run {notebook} -p concept=011\nrecord: " + str(tmp_path / "kept.json")
    new = page(
        tmp_path, ("share", "not run"), ("more: odd, name", "not run"), commands=made
    )  # its record is not there yet
    done = here("reproduce", new, "--finished", "--out", tmp_path / "runs")
    assert done.exit_code == 0 and verdicts(done.stdout) == ["new", "new"] and "not run" in new.read_text()
    ran = load(record.parent)
    ran.git = {"revision": "0" * 40, "dirty": True}
    (table,) = read_page(new)
    with pytest.raises(UsageError, match="local changes"):
        keep(ran, [(table, cell) for cell in table.cells])
    ran.git["dirty"] = False
    keep(ran, [(table, cell) for cell in table.cells])
    assert "| row 0 | .52 [.40, .64] |\n| row 1 | 2.00 |\n\nEnd." in new.read_text()
    assert kept(tmp_path / "kept.json").metrics["share"]["n"] == 50

    bold = page(tmp_path, ("share", "r = **.5** [.4, .6], so"), commands=made)
    (table,) = read_page(bold)
    keep(ran, [(table, cell) for cell in table.cells])
    assert "| row 0 | r = .5 [.4, .6], so |" in bold.read_text(), ".52 [.40, .64] in as many digits as stood there"

    other = page(tmp_path, *rows[:1], commands="made by: workbench run {notebook}\nrecord: not kept (a test)")
    done = here("reproduce", other, "--finished", "--out", tmp_path / "runs")
    assert isinstance(done.exception, UsageError) and "no finished run" in str(done.exception)


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        ("made by: workbench run {notebook}", "has no record"),
        (
            "made by: workbench run {notebook}\nrecord: data/records/none.json",
            "there is no record data/records/none.json, and 'share' has a number",
        ),
        ("made by: workbench run {notebook} -p conept=01\nrecord: not kept", "'conept' is not a parameter"),
        ("made by: workbench run {notebook} --out x\nrecord: not kept", "sets out, which makes no number"),
        ("made by: workbench run {notebook} --colour red\nrecord: not kept", "is no command"),
        ("made by: workbench run {notebook}\nrecord: not kept\nby: me", "'by: me' is neither"),
        ("made by, one: workbench run {notebook}\nrecord, one: not kept", "does not say which run"),
        (
            "made by: workbench run {notebook}\nrecord: not kept\n| | share |",
            "2 rows of metrics do not fit the 1 rows",
        ),
    ],
)
def test_a_comment_that_does_not_fit_is_a_sentence(tmp_path, commands, said):
    done = here("reproduce", page(tmp_path, ("share", ".5"), commands=commands), "--dry-run")
    assert isinstance(done.exception, UsageError) and said in str(done.exception)


@pytest.mark.parametrize(
    ("shown", "value", "low", "high", "step"),
    [
        (".67 [.57, .78]", 0.67, 0.57, 0.78, 0.01), ("+.20 [-.16, +.56]", 0.2, -0.16, 0.56, 0.01),
        ("**−.034** [−.042, −.026]", -0.034, -0.042, -0.026, 0.001), ("105 [87, 127]", 105, 87, 127, 1),
        ("r = .98 [.96, .99]", 0.98, 0.96, 0.99, 0.01), (".53 → .72, change .19 [.04, .33]", 0.19, 0.04, 0.33, 0.01),
        ("1,380", 1380, None, None, 1),
    ],
)  # fmt: skip
def test_a_cell_is_read_as_people_write_it(shown, value, low, high, step):
    number = read_number(shown)
    assert (number.value, number.low, number.high) == (value, low, high) and number.step == pytest.approx(step)
    assert read_number("yes – no") is None


@pytest.mark.parametrize("name", PAGES)
def test_every_table_with_intervals_on_a_page_says_what_made_it(name):
    path = find_page(name)
    lines, tables = path.read_text("utf-8").splitlines(), read_page(path)
    tops = [place for place, line in enumerate(lines) if line.startswith("|") and not lines[place - 1].startswith("|")]
    silent = []
    for top in tops:
        below = range(top, len(lines))
        body = lines[top : next((place for place in below if not lines[place].startswith("|")), len(lines))]
        if any(map(INTERVAL.search, body)) and lines[top - 1] != "-->":
            silent.append(top + 1)
    assert tables and silent == []
    done = here("reproduce", name, "--dry-run")
    assert done.exit_code == 0, done.exception


@pytest.mark.parametrize("name", PAGES)
def test_a_page_states_what_its_kept_records_hold(name):
    wrong = []
    for table in read_page(find_page(name)):
        for cell in table.cells:
            if (path := table.record(cell.label)) is not None and cell.number is not None:
                entry = kept(path).metrics.get(cell.metric, {})
                if not cell.number.states(entry):
                    wrong.append((table.line, cell.row, cell.column, cell.number.shown, entry))
    assert wrong == []


def test_a_kept_record_is_of_the_command_that_names_it():
    used = set()
    for name in PAGES:
        for job in _jobs(read_page(find_page(name)), None, None):
            for table, label in job.tables:
                if (path := table.record(label)) is not None and path.is_file():
                    record = kept(path)
                    used.add(path)
                    assert record.status == "done" and record.git["dirty"] is False
                    assert record.paper == job.notebook.name
                    set_there = {one: record.parameters[one] for one in record.given}
                    assert {one: job.filled[one] for one in set_there} == set_there
                    assert {one: record.parameters[one] for one in job.values} == job.values
    assert used == set((ROOT / "data" / "records").glob("*.json"))


def test_the_page_of_sizes_has_every_cell_of_its_sweep_file_and_no_other():
    wanted = {cell.key for grid in build_all(None, [], file=ROOT / "docs" / "scale.yaml") for cell in grid.cells()}
    assert {job.key for job in _jobs(read_page(find_page("scale")), None, None)} == wanted
