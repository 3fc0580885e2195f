"""``workbench run | runs | rerun | diff | report | slides``: run a paper; list, repeat, compare, report, show runs."""

import os
import sys
from typing import Annotated, Optional

import typer

from ..errors import UsageError
from .base import Out, Paper, app, complain, console, harmless, passed_over

Params = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a parameter; may be given many times."),
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="A model's name, hub id, folder, .gguf.")]
Backend = Annotated[
    str | None, typer.Option("--backend", metavar="torch|llama.cpp", help="What runs the model (default: torch).")
]
Bits = Annotated[str | None, typer.Option("--bits", "-b", help="4 or 8: quantise with bitsandbytes.")]
Revision = Annotated[str | None, typer.Option("--revision", help="A hub model's commit or tag.")]
BaseUrl = Annotated[str | None, typer.Option("--base-url", help="The server behind openai:NAME.")]
Profile = Annotated[
    str | None, typer.Option("--profile", "-P", help="smoke, quick, standard or paper: how much to compute.")
]
Timeout = Annotated[float | None, typer.Option("--timeout", "-t", metavar="SECONDS", help="Stop a run after so long.")]


def gather(flags: dict[str, str | None], assignments: list[str] | None) -> dict[str, str]:
    """The parameters that flags and ``-p name=value`` set. Setting one twice is an error."""
    from ..runs.notebook.parameters import split_assignment
    from ..runs.store.masking import masked

    given = {name: value for name, value in flags.items() if value is not None}
    for text in assignments or []:
        name, value = split_assignment(text)
        if name in given:
            one, two = (masked(name, text) for text in (given[name], value))
            raise UsageError(f"parameter {name!r} is given twice ({one!r} and {two!r}); give it once")
        given[name] = value
    return given


@app.command()
def run(
    paper: Paper,
    param: Params = None,
    model: Model = None,
    bits: Bits = None,
    backend: Backend = None,
    revision: Revision = None,
    base_url: BaseUrl = None,
    profile: Profile = None,
    seed: Annotated[str | None, typer.Option("--seed", "-s", help="Every random choice follows from it.")] = None,
    out: Out = None,
    timeout: Timeout = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="ID", help="Continue this run: keep its finished rows, compute the rest."),
    ] = None,
):
    """Run a paper's notebook and leave runs/PAPER/ID/ with its notebook, figures, record and report page.

    Examples:

    [bold]workbench run randomness[/bold]

    [bold]workbench run randomness --bits 4 --profile smoke[/bold]

    [bold]workbench run randomness -p concept=01 -p models='\\["smollm2","gemma3-270m"]'[/bold]

    [bold]workbench run my/notebook.ipynb --timeout 600[/bold]

    [bold]workbench run rain --resume 20261122-1415[/bold]   (continue a killed run with its finished rows)

    Exit codes: 0 done, 1 failed, 2 wrong usage, 124 timed out, 130 interrupted.
    """
    from ..runs.process.runner import run as run_notebook

    flags = {
        "model": model, "bits": bits, "backend": backend, "revision": revision, "base_url": base_url,
        "profile": profile, "seed": seed,
    }  # fmt: skip
    given = gather(flags, param)
    record = run_notebook(paper, given, out=out, timeout=timeout, resume=resume)
    _show_end(record)
    raise typer.Exit(record.exit_code)


def _show_end(record) -> None:
    """Print a finished run: its metrics and its page, or its error."""
    from rich.table import Table

    from ..runs.report.words import duration
    from ..runs.store.metrics import show

    screen = console()
    if record.metrics:
        table = Table("metric", box=None, header_style="bold")
        for title in ("value", "95% interval", "n"):
            table.add_column(title, justify="right")
        table.add_column("unit")
        for name, entry in record.metrics.items():
            table.add_row(harmless(name), *map(harmless, show(entry).values()))
        screen.print(table)
    elif record.status == "done":
        print("the notebook recorded no metrics")
    if record.error:
        complain(f"{record.status}: {record.error}")
    if record.resume_of and record.rows:
        print(f"rows: {record.rows['taken']} taken over from {record.resume_of}, {record.rows['computed']} computed")
    print(f"{record.paper} {record.id}: {record.status} in {duration(record.seconds)}")
    print(f"report: {record.report if record.report.exists() else record.folder}")


@app.command()
def runs(
    paper: Annotated[str | None, typer.Argument(help="Only this paper's runs.")] = None,
    out: Out = None,
):
    """List the runs, oldest first. Example: [bold]workbench runs randomness[/bold]"""
    from rich.table import Table

    from ..runs.report.words import duration, plain
    from ..runs.store import entry as store
    from ..runs.store.metrics import show

    folder = store.runs_folder(out)
    if paper is not None:
        _known(paper, folder)
    records, unreadable = store.scan(folder, paper)
    passed_over(unreadable)
    if not records:
        print(f"no runs{f' of {paper}' if paper else ''} in {folder}; start one with: workbench run randomness")
        return
    table = Table("run", "paper", "status", "time", "set", "metrics", box=None, header_style="bold")
    for record in records:
        color = {"done": "green", "running": "blue"}.get(record.status, "red")
        chosen = " ".join(f"{name}={plain(record.parameters.get(name))}" for name in record.given)
        numbers = " ".join(f"{name}={show(entry)['value']}" for name, entry in list(record.metrics.items())[:3])
        state = f"[{color}]{record.status}[/{color}]"
        table.add_row(record.id, record.paper, state, duration(record.seconds), harmless(chosen), harmless(numbers))
    console().print(table)


def _known(paper: str, folder) -> None:
    """Refuse a name of no paper and no folder of runs: it is a slip, and an empty list would hide it."""
    from ..papers import PAPERS
    from ..runs.notebook.parameters import unknown

    there = {path.name for path in folder.glob("[!.]*/") if path.is_dir()}
    names = sorted({item.name for item in PAPERS} | {"start"} | there)
    if paper not in names:
        print(f"no runs of {paper} in {folder}")
        raise UsageError(unknown(paper, names, f"paper and has no runs in {folder}", "`workbench list` shows them all"))


@app.command()
def rerun(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A run's ID, its beginning, or the word last.")],
    out: Out = None,
):
    """Repeat a run with the same parameters and say where the two differ.

    Examples:

    [bold]workbench rerun last[/bold]

    [bold]workbench rerun 20261122-1415[/bold]

    Exit code: the new run's. Differing metrics are shown and do not change it.
    """
    from ..runs.store import compare, entry as store

    records, unreadable = store.scan(store.runs_folder(out))
    passed_over(unreadable)
    old = store.find(store.runs_folder(out), run_id, records)
    new = compare.rerun(old, out=out)
    _show_end(new)
    found = _show_differences(old, new)
    changed = sum(item.kind == "metric" for item in found)
    both = len(set(old.metrics) & set(new.metrics))
    if changed:
        print(f"{changed} metric(s) differ from {old.id}")
    elif both:
        print(f"all {both} metrics are the same as in {old.id}")
    else:
        print(f"no metrics to compare with {old.id} ({old.status})")
    raise typer.Exit(new.exit_code)


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="ID", help="A run's ID, its beginning, or the word last.")],
    second: Annotated[str, typer.Argument(metavar="ID", help="The run to compare it with.")],
    out: Out = None,
):
    """Show where two runs differ: metrics first, then parameters, versions, models, code and machine.

    Examples:

    [bold]workbench diff 20261122-1415 last[/bold]

    [bold]workbench diff 20261122-141500-a1b2 20261122-1502 --out /shared/runs[/bold]

    Exit code: 0, whether they differ or not.
    """
    from ..runs.store import entry as store

    folder = store.runs_folder(out)
    records, unreadable = store.scan(folder)
    passed_over(unreadable)
    old, new = (store.find(folder, wanted, records) for wanted in (first, second))
    if old.paper != new.paper:
        print(f"note: {old.id} is a run of {old.paper}, {new.id} one of {new.paper}")
    if not _show_differences(old, new):
        print(f"{old.id} and {new.id} do not differ: same metrics, parameters, versions, code and machine")


def _show_differences(old, new) -> list:
    """Print a table of what two runs do not share."""
    from rich.table import Table

    from ..runs.store.compare import differences

    found = differences(old, new)
    if found:
        table = Table("differs", "what", old.id, new.id, box=None, header_style="bold")
        for item in found:
            table.add_row(item.kind, harmless(item.name), harmless(_brief(item.before)), harmless(_brief(item.after)))
        console().print(table)
    return found


def _brief(value) -> str:
    from ..runs.store.metrics import number

    if value is None:
        return "none"
    return number(value) if isinstance(value, float) else str(value)


Show = Annotated[str, typer.Option("--open", metavar="yes|no", help="Open the page in a browser.")]


@app.command()
def report(out: Out = None, show: Show = "yes"):
    """Write one static page over all runs: runs/index.html, with runs.csv and runs.tex beside it.

    Example: [bold]workbench report --open no[/bold]
    """
    from ..runs.report.index import write_report
    from ..runs.store import entry as store

    _check_open(show)
    page = write_report(store.runs_folder(out))
    passed_over(store.scan(store.runs_folder(out))[1])
    print(f"report: {page}")
    _open(page, show)


@app.command()
def slides(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A run's ID, its beginning, the word last, or a paper.")],
    out: Out = None,
    show: Show = "yes",
):
    """Make slides of a run's notebook, with its figures: one file, which needs no network.

    Examples:

    [bold]workbench slides randomness[/bold] (of its newest finished run)

    [bold]workbench slides 20261122-1415 --open no[/bold]

    Cells of the slide type Slide or Sub-Slide begin one (JupyterLab: Property Inspector), Skip and Notes stay away;
    a cell with the tag remove-input or hide-input shows no code. Arrow keys turn the slides; printing gives a PDF.
    """
    from ..papers import PAPERS
    from ..runs.report.slides import write_slides
    from ..runs.store import entry as store

    _check_open(show)
    folder = store.runs_folder(out)
    records, unreadable = store.scan(folder)
    passed_over(unreadable)
    of_paper = [record for record in records if record.paper == run_id]
    if of_paper or run_id in {paper.name for paper in PAPERS}:
        done = [record for record in of_paper if record.status == "done"]
        if not done:
            raise UsageError(f"no run of {run_id} in {folder} has finished; start one: workbench run {run_id}")
        record = done[-1]
    else:
        record = store.find(folder, run_id, records)
    page = write_slides(record)
    print(f"slides: {page}")
    _open(page, show)


def _check_open(show: str) -> None:
    if show not in ("yes", "no"):
        raise UsageError(f"--open is {show!r}; give yes or no")


def _open(page, show: str) -> None:
    import webbrowser

    # a terminal without a display would open a text browser over the user's work
    if show == "yes" and sys.stdout.isatty() and (sys.platform != "linux" or os.environ.get("DISPLAY")):
        webbrowser.open(page.as_uri())
