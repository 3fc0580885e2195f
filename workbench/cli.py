"""The command line: ``workbench list | params | run | runs | rerun | report | doctor | cache | lab``.

Every command answers in well under a second until it starts real work: heavy imports stand inside the commands, and
none of them imports torch into this process. An error is one sentence on standard error; ``--debug`` shows more.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from .errors import UsageError, WorkbenchError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Run papers as repeatable experiments.

    [bold]workbench list[/bold] shows the papers, [bold]workbench params randomness[/bold] what can be set, and

    [bold]workbench run randomness -p seed=3[/bold] runs one and leaves a report page.""",
)
cache_app = typer.Typer(no_args_is_help=True, help="Converted and quantised models kept on this machine.")
app.add_typer(cache_app, name="cache")

Out = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads this form on every Python we support)
    typer.Option("--out", "-o", metavar="DIR", help="The folder that holds all runs (default: runs/ in the checkout)."),
]


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False):
    """Options before the command's name."""
    if debug:
        os.environ["WORKBENCH_DEBUG"] = "1"


@app.command("list")
def list_papers():
    """The papers and whether they can be run. Example: [bold]workbench list[/bold]"""
    from rich.table import Table

    from .files import ROOT
    from .papers import PAPERS

    table = Table("paper", "state", "title", "claim", box=None, header_style="bold")
    for paper in PAPERS:
        there = (ROOT / "notebooks" / f"{paper.name}.ipynb").is_file()
        state = "[green]ready[/green]" if there and paper.status == "done" else "[dim]coming[/dim]"
        table.add_row(paper.name, state, paper.title, paper.claim)
    _console().print(table)


@app.command()
def params(paper: Annotated[str, typer.Argument(help="A paper's name or the path of an .ipynb file.")]):
    """What can be set: name, type, default, meaning. Example: [bold]workbench params randomness[/bold]"""
    from rich.markup import escape
    from rich.table import Table

    from .runs.notebooks import read
    from .runs.page import plain

    table = Table("parameter", "type", "default", "meaning", box=None, header_style="bold")
    for item in read(paper).known.values():
        table.add_row(item.name, escape(item.annotation), escape(plain(item.default)), escape(item.help))
    _console().print(table)
    print(f"\nset one with -p, for example: workbench run {paper} -p seed=1")


@app.command()
def run(
    paper: Annotated[str, typer.Argument(help="A paper's name or the path of an .ipynb file.")],
    param: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a parameter; may be given many times."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="A model's name, hub id, folder, .gguf.")] = None,
    bits: Annotated[str | None, typer.Option("--bits", "-b", help="4 or 8: quantise with bitsandbytes.")] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="A hub model's commit or tag.")] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help="The server behind openai:NAME.")] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", "-P", help="smoke, quick, standard or paper: how much to compute.")
    ] = None,
    seed: Annotated[str | None, typer.Option("--seed", "-s", help="Every random choice follows from it.")] = None,
    out: Out = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", "-t", metavar="SECONDS", help="Stop the run after so long.")
    ] = None,
):
    """Run a paper's notebook and leave runs/PAPER/ID/ with its notebook, figures, record and report page.

    Examples:

    [bold]workbench run randomness[/bold]

    [bold]workbench run randomness --bits 4 --profile smoke[/bold]

    [bold]workbench run randomness -p concept=01 -p models='\\["smollm2","gemma3-270m"]'[/bold]

    [bold]workbench run my/notebook.ipynb --timeout 600[/bold]

    Exit codes: 0 done, 1 failed, 2 wrong usage, 124 timed out, 130 interrupted.
    """
    from .runs.parameters import split_assignment
    from .runs.runner import run as run_notebook

    flags = {
        "model": model, "bits": bits, "revision": revision, "base_url": base_url, "profile": profile, "seed": seed
    }  # fmt: skip
    given = {name: value for name, value in flags.items() if value is not None}
    for text in param or []:
        name, value = split_assignment(text)
        if name in given:
            raise UsageError(f"parameter {name!r} is given twice ({given[name]!r} and {value!r}); give it once")
        given[name] = value
    record = run_notebook(paper, given, out=out, timeout=timeout)
    _show_end(record)
    raise typer.Exit(record.exit_code)


def _show_end(record) -> None:
    """What a finished run tells the terminal: its metrics and its page, or its error."""
    from rich.markup import escape
    from rich.table import Table

    from .runs.page import duration
    from .runs.record import show

    console = _console()
    if record.metrics:
        table = Table("metric", box=None, header_style="bold")
        for title in ("value", "95% interval", "n"):
            table.add_column(title, justify="right")
        table.add_column("unit")
        for name, entry in record.metrics.items():
            table.add_row(escape(name), *map(escape, show(entry).values()))
        console.print(table)
    elif record.status == "done":
        print("the notebook recorded no metrics")
    if record.error:
        _complain(f"{record.status}: {record.error}")
    print(f"{record.paper} {record.id}: {record.status} in {duration(record.seconds)}")
    print(f"report: {record.report if record.report.exists() else record.folder}")


@app.command()
def runs(
    paper: Annotated[str | None, typer.Argument(help="Only this paper's runs.")] = None,
    out: Out = None,
):
    """The runs there are, oldest first. Example: [bold]workbench runs randomness[/bold]"""
    from rich.markup import escape
    from rich.table import Table

    from .runs import store
    from .runs.page import duration, plain
    from .runs.record import show

    folder = store.runs_folder(out)
    records = store.all_runs(folder, paper)
    if not records:
        print(f"no runs{f' of {paper}' if paper else ''} in {folder}; start one with: workbench run randomness")
        return
    table = Table("run", "paper", "status", "time", "set", "metrics", box=None, header_style="bold")
    for record in records:
        color = {"done": "green", "running": "blue"}.get(record.status, "red")
        chosen = " ".join(f"{name}={plain(record.parameters.get(name))}" for name in record.given)
        numbers = " ".join(f"{name}={show(entry)['value']}" for name, entry in list(record.metrics.items())[:3])
        state = f"[{color}]{record.status}[/{color}]"
        table.add_row(record.id, record.paper, state, duration(record.seconds), escape(chosen), escape(numbers))
    _console().print(table)


@app.command()
def rerun(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A run's ID, its beginning, or the word last.")],
    out: Out = None,
):
    """Repeat a run with the same parameters and say where the two differ.

    Examples:

    [bold]workbench rerun last[/bold]

    [bold]workbench rerun 20261122-1415[/bold]

    Exit code: the new run's; differing metrics are told, not punished.
    """
    from rich.markup import escape
    from rich.table import Table

    from .runs import compare, store

    old = store.find(store.runs_folder(out), run_id)
    new = compare.rerun(old, out=out)
    _show_end(new)
    found = compare.differences(old, new)
    if found:
        table = Table("differs", "what", old.id, new.id, box=None, header_style="bold")
        for item in found:
            table.add_row(item.kind, escape(item.name), escape(_brief(item.before)), escape(_brief(item.after)))
        _console().print(table)
    changed = sum(item.kind == "metric" for item in found)
    both = len(set(old.metrics) & set(new.metrics))
    if changed:
        print(f"{changed} metric(s) differ from {old.id}")
    elif both:
        print(f"all {both} metrics are the same as in {old.id}")
    else:
        print(f"no metrics to compare with {old.id} ({old.status})")
    raise typer.Exit(new.exit_code)


def _brief(value) -> str:
    from .runs.record import number

    if value is None:
        return "none"
    return number(value) if isinstance(value, float) else str(value)


@app.command()
def report(
    out: Out = None,
    show: Annotated[str, typer.Option("--open", metavar="yes|no", help="Open the page in a browser.")] = "yes",
):
    """One static page over all runs: runs/index.html, with runs.csv and runs.tex beside it.

    Example: [bold]workbench report --open no[/bold]
    """
    import webbrowser

    from .runs import store
    from .runs.report import write_report

    if show not in ("yes", "no"):
        raise UsageError(f"--open is {show!r}; give yes or no")
    page = write_report(store.runs_folder(out))
    print(f"report: {page}")
    # a terminal without a display would open a text browser over the user's work
    if show == "yes" and sys.stdout.isatty() and (sys.platform != "linux" or os.environ.get("DISPLAY")):
        webbrowser.open(page.as_uri())


@app.command()
def doctor():
    """What this machine can do, and what to do about what is missing.

    Example: [bold]workbench doctor[/bold]

    Exit code: 0, or 1 when something is missing without which nothing runs.
    """
    from rich.markup import escape

    from .doctor import examine

    console = _console()
    colors = {"ok": "green", "missing": "yellow", "bad": "red", "note": "blue"}
    lines = []
    for line in examine():
        lines.append(line)
        console.print(f"[{colors[line.state]}]{line.state:<8}[/] {line.name:<18} {escape(line.what)}", soft_wrap=True)
        if line.advice:
            console.print(f"{'':27} -> {escape(line.advice)}", soft_wrap=True)
    bad = [line.name for line in lines if line.state == "bad"]
    print(f"\nnothing runs before this is mended: {', '.join(bad)}" if bad else "\nthis machine can run the workbench")
    raise typer.Exit(1 if bad else 0)


@cache_app.command("list")
def cache_list():
    """The converted models kept, with their sizes. Example: [bold]workbench cache list[/bold]"""
    import datetime

    from rich.markup import escape
    from rich.table import Table

    from .models import cache
    from .runs.page import plain, size

    found = cache.entries()
    if not found:
        print(f"the cache in {cache.cache_folder()} is empty")
        return
    table = Table("key", "model", "settings", "size", "made", box=None, header_style="bold")
    for entry in found:
        made = f"{datetime.datetime.fromtimestamp(entry.created):%Y-%m-%d %H:%M}"
        settings = plain(entry.settings)
        table.add_row(escape(entry.key), escape(str(entry.model)), escape(settings), size(entry.bytes), made)
    _console().print(table)
    print(f"{size(sum(entry.bytes for entry in found))} in {cache.cache_folder()}")


@cache_app.command("clear")
def cache_clear(
    keys: Annotated[list[str] | None, typer.Argument(help="Only these keys (default: everything).")] = None,
):
    """Delete converted models; they are made again when they are needed.

    Examples:

    [bold]workbench cache clear[/bold]

    [bold]workbench cache clear KEY[/bold]
    """
    from .models import cache
    from .runs.page import size

    print(f"freed {size(cache.clear(keys or None))} in {cache.cache_folder()}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context):
    """JupyterLab on 127.0.0.1 behind a random token, opened at notebooks/start.ipynb.

    Examples:

    [bold]workbench lab[/bold]

    [bold]workbench lab --no-browser --port 9000[/bold] (anything is passed on to jupyter lab)
    """
    import secrets

    from .files import ROOT

    # in the environment, not on the command line, which every user of a machine can read
    token = os.environ["JUPYTER_TOKEN"] = secrets.token_urlsafe(32)
    command = [
        sys.executable, "-m", "jupyterlab",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={ROOT}",
        "--LabApp.news_url=None",  # JupyterLab would ask its makers for news and for its newest version
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *context.args,
    ]  # fmt: skip
    start = "lab"
    if (ROOT / "notebooks" / "start.ipynb").is_file():
        start = "lab/tree/notebooks/start.ipynb"
        command.insert(3, f"--LabApp.default_url=/{start}")
    if any("port" in argument for argument in context.args):
        print(f"token: {token}", flush=True)  # the port is the user's affair, and Jupyter prints it
    else:
        port = _free_port()
        command.insert(3, f"--ServerApp.port={port}")
        print(f"JupyterLab: http://127.0.0.1:{port}/{start}?token={token}", flush=True)
    os.execv(sys.executable, command)


def _free_port() -> int:
    """The first port from 8888 on that nobody on this machine listens to."""
    import socket

    for port in [*range(8888, 8988), 0]:
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
                return attempt.getsockname()[1]
            except OSError:
                continue
    raise UsageError("no port is free on 127.0.0.1; end another server, or choose one with --port N")


def _console(stderr: bool = False):
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, width=160)
    return console


def _complain(sentence: str) -> None:
    """One sentence on standard error, red on a terminal."""
    red = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(f"\033[31m{sentence}\033[0m" if red else sentence, file=sys.stderr)


def main() -> None:
    """The entry point: errors as sentences, exit codes as DESIGN.md says."""
    try:
        app(prog_name="workbench", standalone_mode=True)
    except WorkbenchError as error:
        if os.environ.get("WORKBENCH_DEBUG"):
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted")
        sys.exit(130)
