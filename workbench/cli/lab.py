"""``workbench lab``: JupyterLab on 127.0.0.1, on working copies of the notebooks."""

import os
import sys
from typing import Annotated

import typer

from ..errors import UsageError
from ..files import ROOT
from .base import app

SETTINGS = ROOT / "workbench" / "templates" / "lab"  # widgets are saved with a notebook; nobody is asked for news


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a parameter of PAPER; may be repeated."),
    ] = None,
):
    """JupyterLab on 127.0.0.1 behind a random token, opened at the tour or at PAPER.

    It works on copies in work/ (the notebooks in notebooks/ are what `workbench run` runs). A copy that you changed is
    yours and stays; one that you did not change follows its notebook.

    Examples:

    [bold]workbench lab[/bold]

    [bold]workbench lab rain[/bold]

    [bold]workbench lab rain -p model=gemma3-270m -p profile=smoke[/bold] (a copy of its own with these values)

    [bold]workbench lab --no-browser --port 9000[/bold] (anything else is passed on to jupyter lab)
    """
    import secrets

    from ..runs.notebook import copies
    from ..runs.notebook.notebook import no_notebooks
    from ..runs.process.processes import adopt_orphans

    paper, passed_on = None, list(context.args)
    if passed_on and not passed_on[0].startswith("-"):
        paper = passed_on.pop(0)
    if "--slides" in passed_on:
        raise UsageError("JupyterLab shows no slides; `workbench slides PAPER` makes them of a run, in one file")
    if assignments and paper is None:
        raise UsageError("-p sets a parameter of a paper, and none is named: workbench lab PAPER -p NAME=VALUE")
    start = "lab"
    if (ROOT / "notebooks").is_dir():
        for sentence in copies.refresh():
            print(sentence, flush=True)
        opened = copies.with_values(paper, assignments) if assignments else copies.of(paper or "start")
        start = f"lab/tree/{opened.relative_to(ROOT).as_posix()}"
    elif paper is not None:
        raise UsageError(no_notebooks())
    port = _port(passed_on)
    # in the environment, not on the command line, which every user of a machine can read
    token = os.environ["JUPYTER_TOKEN"] = secrets.token_urlsafe(32)
    # `!workbench` in a cell is this installation's, and `import workbench` too
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    searched = [str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, searched))
    command = [
        sys.executable, "-m", "jupyterlab",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",  # the address below is right, or Jupyter says that the port is taken
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.default_url=/{start}",
        "--LabApp.news_url=None",  # JupyterLab would ask its makers for news and for its newest version
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *passed_on,
    ]  # fmt: skip
    print(f"JupyterLab: http://127.0.0.1:{port}/{start}?token={token}", flush=True)
    adopt_orphans(False)  # it would go on as JupyterLab's, which does not expect any
    os.execv(sys.executable, command)


def _port(arguments: list[str]) -> int:
    """The port asked for among Jupyter's arguments, which loses it; else the first free one from 8888 on."""
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name not in ("--port", "--ServerApp.port"):
            continue
        del arguments[place]
        if not value and place < len(arguments):
            value = arguments.pop(place)
        if not value.isdecimal() or not 0 < int(value) < 65536:
            raise UsageError(f"{name} must be a number from 1 to 65535 (got {value!r})")
        if not _free(int(value)):
            raise UsageError(f"port {value} of 127.0.0.1 is taken; end the other server, or leave {name} away")
        return int(value)
    for port in range(8888, 8988):
        if _free(port):
            return port
    raise UsageError("no port from 8888 to 8987 is free on 127.0.0.1; end another server, or choose one with --port N")


def _free(port: int) -> bool:
    import socket

    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Jupyter: one just closed is free
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
