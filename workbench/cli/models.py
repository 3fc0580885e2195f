"""``workbench models list | show | add | remove``: the models that have a name, and what brings them here."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from .base import app, complain, console

models_app = typer.Typer(no_args_is_help=True, help="The models that have a name here; bring one, or remove it.")
app.add_typer(models_app, name="models")
Name = Annotated[str, typer.Argument(help="A name that `workbench models list` shows.")]


@models_app.command("list")
def models_list():
    """The models with a name: size, licence, where each comes from, whether it is here.

    Example: [bold]workbench models list[/bold]
    """
    from rich.markup import escape
    from rich.table import Table

    from ..models.files.catalogue import known
    from ..runs.report.words import size

    table = Table("name", "what", "size", "licence", "here", "from", box=None, header_style="bold")
    colors = {"here": "green", "no": "dim", "damaged": "red"}
    for model in known().values():
        state = _state(model)
        table.add_row(
            model.name, escape(model.title), size(model.bytes), escape(model.licence),
            f"[{colors.get(state, 'yellow')}]{escape(state)}[/]", escape(" or ".join(_sources(model))),
        )  # fmt: skip
    console().print(table)
    print("\nfor example: workbench models show qwen-coder-0.5b; workbench models add qwen-coder-0.5b")


@models_app.command("show")
def models_show(name: Name):
    """All that is known of one model: hash, licence, sources, and how it came here.

    Example: [bold]workbench models show qwen-coder-0.5b[/bold]
    """
    from ..models.files.adding import named
    from ..models.files.catalogue import origin

    model, rows = named(name), []
    state = _state(model)
    rows += [("name", name), ("model", model.title), ("publisher", model.publisher),
             ("licence", f"{model.licence}: {model.terms}"), ("size", f"{model.bytes:,} bytes"),
             ("sha256", model.sha256), ("here", state)]  # fmt: skip
    noted = origin(model)
    if state == "here" and not model.package:
        rows.append(("file", str(model.path)))
        rows.append(("came from", f"{noted.get('from', 'a source that was not noted')} ({noted.get('added', '?')})"))
        confirmed = "yes: the publisher's own listing named this sha256 when it was added"
        pinned = "no: the hub was not asked or did not answer; the sha256 is the one that the workbench's list pins"
        rows.append(("confirmed", confirmed if noted.get("confirmed") else pinned))
    rows += [("source", source) for source in _sources(model, long=True)]
    if state != "here":
        rows.append(("bring it", model.command))
    width = max(len(label) for label, _ in rows)
    print("\n".join(f"{label:<{width}}  {value}" for label, value in rows))
    print("\nthe sha256 decides what is taken; what a hub, an index or the file says of itself is not believed")


@models_app.command("add")
def models_add(
    name: Name,
    file: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads this form on every Python we support)
        typer.Option("--file", metavar="PATH", help="The model's file, where you have it: nothing is fetched."),
    ] = None,
):
    """Bring a model here: from its publisher's hub, else from the Python index, or from a file of yours.

    Examples:

    [bold]workbench models add qwen-coder-0.5b[/bold] (called again after an interruption it goes on where it was)

    [bold]workbench models add qwen-coder-1.5b --file ~/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf[/bold]

    Whatever the source, only the file with the sha256 that [bold]workbench models show NAME[/bold] prints is taken.
    """
    from ..models.files import adding

    try:
        place = adding.add(name, file)
    except KeyboardInterrupt:
        kept = adding.started(adding.named(name))
        what = f"{kept / 1e6:.0f} MB are kept, and the same command goes on" if kept else "nothing was added"
        complain(f"interrupted: {what}")
        raise typer.Exit(130) from None
    model = adding.named(name)
    print(f"{name} is here: {place}\nlicence: {model.licence}, {model.terms}\nuse it: --model {name}")


@models_app.command("remove")
def models_remove(name: Name):
    """Delete a model that was added, and what the cache made of it.

    Example: [bold]workbench models remove qwen-coder-0.5b[/bold]
    """
    from ..models.files.adding import remove
    from ..runs.report.words import size

    print(f"freed {size(remove(name))}; `workbench models add {name}` brings it back")


def _state(model) -> str:
    """here, no, damaged, or how much of it has come."""
    from ..errors import ModelError
    from ..models.files.adding import started
    from ..models.files.catalogue import whole
    from ..models.files.names import ENCODERS, encoder_folder, resolve

    try:
        if model.package:
            (encoder_folder if model.name in ENCODERS else resolve)(model.name)
            return "here"
        if whole(model) is not None:
            return "here"
    except ModelError:
        return "no" if model.package else "damaged"
    part = started(model)
    return f"{part / model.bytes:.0%} of it" if part else "no"


def _sources(model, long: bool = False) -> list[str]:
    found = []
    if model.package:
        packages = ", ".join(model.package["names"])
        found.append(f"the package {packages} (`{model.command}`)" if long else f"`{model.command}`")
    if model.hub:
        hub = model.hub
        found.append(f"hub: {hub['repo']}, {hub['file']}, at {hub['revision']}" if long else f"hub: {hub['repo']}")
    if model.parts:
        parts = model.parts
        first, last = parts["name"].format(1), parts["name"].format(parts["count"])
        long_form = (
            f"Python index: {first} to {last}, each {parts['version']}, uploaded by {parts['by']!r}, who is not the "
            "publisher; downloaded, never installed or imported"
        )
        found.append(long_form if long else f"Python index ({parts['count']} parts)")
    return found + ([] if model.package else ["a file of yours: --file PATH"] if long else ["--file"])
