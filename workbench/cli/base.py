"""The typer app to which each file of commands adds its own, with what they share: options, consoles, complaints."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from ..errors import UsageError
from ..files import CONTROL, ROOT, expanded

PASSED_OVER = 12  # unreadable records that are named one by one

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Run papers as repeatable experiments.

    [bold]workbench list[/bold] shows the papers, [bold]workbench params randomness[/bold] shows what you can set.

    [bold]workbench run randomness -p seed=3[/bold] runs one paper and leaves a report page.

    [bold]workbench sweep randomness -g concept=01,011 --seeds 5[/bold] runs a grid and survives crashes.""",
)


def _folder(text: str | Path) -> Path:
    """``--out`` as a path; a URL would silently become a folder of that name."""
    if not str(text).strip():
        raise UsageError("--out is empty (an unset variable?); give a folder, or omit --out")
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(text))
    if found:
        raise UsageError(
            f"--out is {str(text)!r}, a URL; give a folder (a shared one for a cluster), and for copies of the finished"
            " runs: workbench sweep … --copy-to URL"
        )
    return expanded(text)


Out = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads this form on every Python we support)
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        parser=_folder,
        help="The folder that holds all runs (default: runs/ in the checkout).",
    ),
]
Paper = Annotated[str, typer.Argument(help="A paper's name or the path of an .ipynb file.")]


def _version(asked: bool) -> None:
    if asked:
        import platform
        from importlib.metadata import version

        print(f"workbench {version('workbench')} (Python {platform.python_version()}, {ROOT})")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Version, Python and folder, then exit.")
    ] = False,
):
    """Options before the command's name."""
    if debug:
        os.environ["WORKBENCH_DEBUG"] = "1"


def console(stderr: bool = False):
    """A rich console, wide where no terminal limits it."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=160)


def harmless(text: str) -> str:
    """A text from a record for a table on a terminal, without markup and without characters that steer the terminal."""
    from rich.markup import escape

    return escape(CONTROL.sub("\ufffd", text))


def complain(sentence: str) -> None:
    """One sentence on standard error, red on a terminal."""
    sentence = CONTROL.sub("\ufffd", sentence).replace("\n", " ")  # it may quote what somebody else wrote
    red = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(f"\033[31m{sentence}\033[0m" if red else sentence, file=sys.stderr)


def passed_over(sentences: list[str]) -> None:
    """Name the records that cannot be read; the command goes on without them."""
    for sentence in sentences[:PASSED_OVER]:
        complain(f"passed over: {sentence}")
    if len(sentences) > PASSED_OVER:
        complain(f"passed over: {len(sentences) - PASSED_OVER} more records; `workbench report` lists them")
