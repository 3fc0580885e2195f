"""``workbench list | params | new | doctor | cache | lab``: papers, parameters, and what this machine can do."""

from typing import Annotated

import typer

from .base import Paper, app, complain, console

cache_app = typer.Typer(no_args_is_help=True, help="Converted and quantised models kept on this machine.")
app.add_typer(cache_app, name="cache")


@app.command("list")
def list_papers():
    """List the papers and whether they run. Example: [bold]workbench list[/bold]"""
    from rich.table import Table

    from ..files import ROOT
    from ..papers import PAPERS
    from ..runs.notebook.notebook import no_notebooks

    table = Table("paper", "state", "title", "claim", box=None, header_style="bold")
    for paper in PAPERS:
        there = (ROOT / "notebooks" / f"{paper.name}.ipynb").is_file()
        state = "[dim]coming[/dim]"
        if paper.status == "done":
            state = "[green]ready[/green]" if there else "[red]missing[/red]"
        table.add_row(paper.name, state, paper.title, paper.claim)
    console().print(table)
    if not (ROOT / "notebooks").is_dir():
        complain(no_notebooks())


@app.command()
def params(paper: Paper):
    """List a paper's parameters with their meaning. Example: [bold]workbench params randomness[/bold]"""
    from rich.markup import escape
    from rich.table import Table

    from ..models.files import catalogue
    from ..models.files.names import ENCODERS
    from ..papers import PAPERS
    from ..runs.notebook.notebook import read
    from ..runs.report.words import plain
    from ..runs.store.masking import masked

    table = Table("parameter", "type", "default", "least", "meaning", box=None, header_style="bold")
    notebook = read(paper)
    sizes = notebook.sizes
    for item in notebook.known.values():
        least = sizes[item.name].bounds if item.name in sizes else ""
        default = plain(masked(item.name, item.default))
        table.add_row(item.name, escape(item.annotation), escape(default), least, escape(item.help))
    console().print(table)
    taken = {name: item for name, item in notebook.known.items() if not item.help.startswith("not used")}
    known = next((one for one in PAPERS if one.name == paper and one.status == "done"), None)
    if known is not None and "model" in taken:
        print(f"\nits models run in: {', '.join(known.backends)}")
    print(f"\nset one with -p, for example: workbench run {paper} -p seed=1")
    named = {"model": [name for name in catalogue.known() if name not in ENCODERS], "encoder": list(ENCODERS)}
    for name, choices in named.items():
        if name in taken:
            print(f"{name}s with a name: {', '.join(choices)}; `workbench models list` shows which are here")


@app.command("new")
def new_paper(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and _: a module, a folder and a notebook.")],
    title: Annotated[str, typer.Option("--title", help="The paper's title.")] = "",
    reference: Annotated[str, typer.Option("--reference", help="Authors, venue, year, arXiv number.")] = "",
    claim: Annotated[str, typer.Option("--claim", help="What it claims, in one sentence.")] = "",
):
    """Begin a paper: write a notebook, method, data, test and page that run, for you to change.

    Examples:

    [bold]workbench new tips[/bold] (the words of a paper that [bold]workbench list[/bold] shows as coming are known)

    [bold]workbench new mine --title "My study" --reference "Me, 2026" --claim "Larger models know more."[/bold]

    The template asks a model for capitals, beside a control that does not see the question. Then, in this order:

    1. [bold]workbench run NAME --profile smoke[/bold] leaves a report page in seconds.

    2. Put your rows into data/NAME/ (with their origin), your sizes into settings.py, your arms into study.py.

    3. [bold]pytest tests/papers/test_NAME.py tests/papers/test_papers.py -k NAME[/bold] says what is still missing.

    docs/design.md, "Adding a paper", explains each room on one page.
    """
    from ..files import ROOT
    from ..new import new_paper

    for path in new_paper(name, title=title, reference=reference, claim=claim):
        print(path.relative_to(ROOT))
    print(f"\nrun it: workbench run {name} --profile smoke; what to change: docs/design.md, 'Adding a paper'")


@app.command()
def doctor():
    """Check this machine, and say how to add what is missing.

    Example: [bold]workbench doctor[/bold]

    Exit code: 0, or 1 when something is missing without which nothing runs.
    """
    from rich.markup import escape

    from ..doctor import examine

    screen = console()
    colors = {"ok": "green", "missing": "yellow", "bad": "red", "note": "blue"}
    lines = []
    for line in examine():
        lines.append(line)
        screen.print(f"[{colors[line.state]}]{line.state:<8}[/] {line.name:<18} {escape(line.what)}", soft_wrap=True)
        if line.advice:
            screen.print(f"{'':27} -> {escape(line.advice)}", soft_wrap=True)
    bad = [line.name for line in lines if line.state == "bad"]
    print(f"\nnothing runs before this is mended: {', '.join(bad)}" if bad else "\nthis machine can run the workbench")
    raise typer.Exit(1 if bad else 0)


@cache_app.command("list")
def cache_list():
    """List the converted models on this machine, with their sizes. Example: [bold]workbench cache list[/bold]"""
    import datetime

    from rich.markup import escape
    from rich.table import Table

    from ..models.files import cache
    from ..runs.report.words import plain, size

    found = cache.entries()
    if not found:
        print(f"the cache in {cache.cache_folder()} is empty")
        return
    table = Table("key", "model", "settings", "size", "made", box=None, header_style="bold")
    for entry in found:
        made = f"{datetime.datetime.fromtimestamp(entry.created):%Y-%m-%d %H:%M}"
        settings = plain(entry.settings)
        table.add_row(escape(entry.key), escape(str(entry.model)), escape(settings), size(entry.bytes), made)
    console().print(table)
    print(f"{size(sum(entry.bytes for entry in found))} in {cache.cache_folder()}")


@cache_app.command("clear")
def cache_clear(
    keys: Annotated[list[str] | None, typer.Argument(help="Only these keys (default: everything).")] = None,
):
    """Delete converted models; the next run that needs one converts it again.

    Examples:

    [bold]workbench cache clear[/bold]

    [bold]workbench cache clear KEY[/bold]
    """
    from ..models.files import cache
    from ..runs.report.words import size

    print(f"freed {size(cache.clear(keys or None))} in {cache.cache_folder()}")
