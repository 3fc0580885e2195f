"""``workbench reproduce PAGE``: run the commands behind a docs page's tables again, and compare number by number."""

import shlex
from dataclasses import dataclass, field
from typing import Annotated

import typer

from ..errors import UsageError
from .base import Out, app, complain, passed_over
from .runs import Timeout, gather


@dataclass
class Job:
    """One command of a page: its cell in a grid (notebook, values, key), and the tables that came from it."""

    command: str
    notebook: object
    values: dict
    key: str
    tables: list = field(default_factory=list)  # (table, label)

    @property
    def cells(self) -> list:
        """The numbers that one of its metrics is named for, each with its table."""
        return [(table, cell) for table, label in self.tables for cell in table.cells if cell.label == label]

    @property
    def filled(self) -> dict:
        """The value of every parameter."""
        return self.notebook.filled(self.values)


@app.command()
def reproduce(
    page: Annotated[str, typer.Argument(help="A page of docs/ with numbers of ours: rain, scale, … or an .md file.")],
    profile: Annotated[str | None, typer.Option("--profile", "-P", help="Only the commands of this profile.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only the commands on this model.")] = None,
    out: Out = None,
    timeout: Timeout = None,
    finished: Annotated[
        bool, typer.Option("--finished", help="Start nothing: compare finished runs with the same parameters.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Write what came out into the page, and keep the records that it names.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Start nothing: list the commands, their numbers and expected time.")
    ] = False,
):
    """Make a page's tables again: run their commands, and say of each number whether it is inside its interval.

    Examples:

    [bold]workbench reproduce rain --profile quick[/bold]

    [bold]workbench reproduce scale --model smollm2 --dry-run[/bold]

    [bold]workbench reproduce scale --finished --keep[/bold]   (fills in the cells whose runs have been done since)

    A number without an interval must come out the same in the digits that the page shows.

    Exit codes: 0 all inside, 1 some outside or a run failed, 2 wrong usage.
    """
    from ..runs.report import pages
    from ..runs.store import entry as store

    tables = pages.read_page(pages.find_page(page))
    jobs = _jobs(tables, profile, model)
    folder = store.runs_folder(out)
    if dry_run:
        _list(jobs, folder, tables if profile is model is None else [])
        return
    outside = compared = 0
    if finished:
        jobs = [job for job in jobs if _finished(job, folder) is not None]
        if not jobs:
            raise UsageError(f"no finished run in {folder} has the parameters of these commands; leave --finished out")
    for job in jobs:
        if not job.cells:
            print(f"{job.command}\n  not run: no number on the page is named as one of its metrics\n")
            continue
        print(job.command)
        compared += len(job.cells)
        try:
            record = _finished(job, folder) if finished else _run(job, out, timeout)
        except UsageError as error:  # a database that is not here, say: the other commands go on
            complain(f"not run: {error}")
            outside += len(job.cells)
            continue
        if record.status != "done":
            complain(f"{record.status}: {record.error}")
        outside += _compare(job, record)
        if keep and record.status == "done":
            pages.keep(record, job.cells)
        print(f"  run {record.id}, {record.folder}\n")
    print(f"{page}: {compared} numbers compared, {outside} outside or missing")
    raise typer.Exit(1 if outside else 0)


def _run(job: Job, out, timeout):
    """Run it now."""
    from ..runs.process.runner import run

    named = job.notebook.where == job.notebook.name
    return run(job.notebook.name if named else str(job.notebook.path), job.values, out=out, timeout=timeout)


def _jobs(tables: list, profile: str | None, model: str | None) -> list[Job]:
    """The commands of a page, each once, with the tables that it made."""
    from ..runs.report.pages import RUN
    from ..runs.sweep.grid import Grid

    jobs: dict[str, Job] = {}
    for table in tables:
        for label, command in table.commands.items():
            if not command.startswith(RUN):
                continue
            notebook, values = _read(command, f"{table.page.name}, line {table.line}")
            filled = notebook.filled(values)
            if (profile or filled.get("profile")) != filled.get("profile"):
                continue
            if (model or filled.get("model")) != filled.get("model"):
                continue
            (cell,) = Grid(notebook, {}, values).cells()
            jobs.setdefault(cell.key, Job(command, notebook, values, cell.key)).tables.append((table, label))
    if not jobs:
        raise UsageError("no command of this page fits; `workbench reproduce PAGE --dry-run` lists all of them")
    return list(jobs.values())


def _read(command: str, where: str):
    """(notebook, values) of a ``workbench run …`` as it stands on a page; it is read as the command line reads it."""
    from ..runs.notebook.notebook import read

    try:
        words = shlex.split(command)[2:]
        given = typer.main.get_command(app).commands["run"].make_context("run", words).params
    except Exception as error:  # typer's own kinds, wherever this version of it keeps them
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        raise UsageError(f"{where}: {command!r} is no command ({said})") from error
    notebook = read(given.pop("paper"))
    param = given.pop("param")
    for name in ("out", "timeout", "resume"):
        if given.pop(name) is not None:
            raise UsageError(f"{where}: {command!r} sets {name}, which makes no number; leave it out")
    return notebook, notebook.resolve(gather(given, param), early=False)


def _finished(job: Job, folder):
    """The newest finished run of the same notebook with the same parameters, or None."""
    from ..runs.store import entry as store
    from ..runs.sweep.locks import key_of

    records, unreadable = store.scan(folder, job.notebook.name)
    passed_over(unreadable)
    same = [record for record in records if record.status == "done" and key_of(record) == job.key]
    return same[-1] if same else None


def _compare(job: Job, record) -> int:
    """Print the numbers of one run beside the page's; how many are outside."""
    from ..runs.report.pages import NOT_RUN
    from ..runs.store.metrics import number

    rows, outside = [("table", "row", "column", "on the page", "now", "")], 0
    for table, cell in job.cells:
        value = record.metrics.get(cell.metric, {}).get("value")
        now, shown = "none" if value is None else number(value), cell.number.shown if cell.number else NOT_RUN
        said = "MISSING" if value is None else "new"
        if value is not None and cell.number is not None:
            said = "inside" if cell.number.holds(value) else "OUTSIDE"
        outside += said in ("OUTSIDE", "MISSING")
        rows.append((f"line {table.line}", cell.row, cell.column, shown, now, said))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print("  " + "  ".join([*(text.ljust(width) for text, width in zip(row, widths)), row[5]]).rstrip())
    return outside


def _list(jobs: list[Job], folder, tables: list) -> None:
    """Print the commands with their numbers and expected time, and what else the page names."""
    from ..runs.report.pages import RUN
    from ..runs.report.words import duration
    from ..runs.store import entry as store

    for job in jobs:
        seconds, source = _expected(job, store.all_runs(folder, job.notebook.name))
        time = f"about {duration(seconds)} ({source})" if seconds else f"time unknown ({source})"
        tables_of = ", ".join(f"line {table.line}" for table, _ in job.tables)
        print(f"{job.command}\n  {len(job.cells)} numbers, {tables_of}; {time}")
        for record in dict.fromkeys(table.records.get(label, "") for table, label in job.tables):
            print(f"  record: {record}")
    for table in tables:
        others = [command for command in table.commands.values() if not command.startswith(RUN)]
        if others:
            print(f"{', '.join(others)}\n  line {table.line}; run by hand, and not compared")
        elif table.unnamed:
            print(f"line {table.line}: {table.unnamed} more numbers with an interval are no metrics of the record")


def _expected(job: Job, records: list) -> tuple[float | None, str]:
    from ..runs.report.pages import kept
    from ..runs.sweep.plan import LIKE, PROFILE_SECONDS, measured

    filled = job.filled
    files = [path for table, label in job.tables if (path := table.record(label)) is not None and path.is_file()]
    if (found := measured({name: [filled.get(name)] for name in LIKE}, records)) and "model" in found.source:
        return found.seconds, found.source
    if files:
        record = kept(files[0])
        return record.seconds, f"as its record says, {record.hardware.get('cpu')}, {record.hardware.get('cores')} cores"
    most = PROFILE_SECONDS.get(filled.get("profile"))
    return most, "what its profile may take at most" if most else "no run like it is known"
