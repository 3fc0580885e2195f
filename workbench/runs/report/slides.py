"""A run's notebook as slides: one HTML file for a classroom without network.

JupyterLab's slide types say where a slide begins (Property Inspector, Slide Type): ``slide`` and ``subslide`` begin
one, ``skip`` and ``notes`` are left out, everything else goes on with the slide before it. Cells with a tag of
`sanitise.HIDDEN` show what they put out and no code. The page's policy lets one script run, ours, which turns slides.
"""

from pathlib import Path

from ...errors import RunError, UsageError
from ...files import write_atomic
from ..store.entry import Record, inside
from .items import may_hold_secrets
from .page import as_html, first_heading, prepare, skip_iri_grammar
from .sanitise import HIDDEN, sanitise
from .words import environment, script

BEGINS = ("slide", "subslide")
LEFT_OUT = ("skip", "notes")


def write_slides(record: Record) -> Path:
    """Make ``slides.html`` in a run's folder from its notebook.

    Raises
    ------
    UsageError
        The run left no notebook, its notebook may hold a secret, or no cell of it begins a slide.
    RunError
        What it left is no notebook.
    """
    path = inside(record.folder, "notebook.ipynb")
    if path is None:
        raise UsageError(f"the run {record.id} left no notebook; run {record.paper} again")
    if may_hold_secrets(vars(record)):
        raise UsageError(
            f"the run {record.id} was killed before the secret among its parameters was taken out of its notebook;"
            f" run {record.paper} again"
        )
    try:
        return write_atomic(record.folder / "slides.html", _page(record, path))
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # cut short, or somebody edited it
        raise RunError(f"{path} is damaged ({str(error)[:80]}); run {record.paper} again") from error


def _page(record: Record, path: Path) -> str:
    skip_iri_grammar()
    import nbformat
    from nbformat import v4

    notebook = nbformat.read(path, as_version=4)
    kinds = {id(cell): _kind(cell) for cell in notebook.cells}  # `prepare` takes them out of the metadata
    if not set(kinds.values()) & set(BEGINS):
        raise UsageError(
            f"no cell of {record.notebook} begins a slide; give cells the slide type Slide (in JupyterLab: Property"
            " Inspector, Slide Type), run the notebook and ask again"
        )
    prepare(notebook)
    title = first_heading(notebook)
    parts = _parts([(cell, kinds[id(cell)]) for cell in notebook.cells])
    shown = [v4.new_notebook(metadata=notebook.metadata, cells=cells) for cells in parts]
    slides = [sanitise(as_html(part, hidden=HIDDEN), record.folder) for part in shown]
    template = environment().get_template("slides.html")
    return template.render(run=vars(record), title=title or record.paper, slides=slides, **script("slides.js"))


def _kind(cell) -> str:
    """A cell's slide type, as the person who wrote the notebook chose it; "" if there is none."""
    shown = cell.metadata.get("slideshow")
    kind = shown.get("slide_type") if isinstance(shown, dict) else None
    return kind if kind in BEGINS + LEFT_OUT else ""


def _parts(cells: list[tuple]) -> list[list]:
    """The cells of each slide, from all cells and their slide types."""
    parts: list[list] = []
    for cell, kind in cells:
        if kind in LEFT_OUT:
            continue
        if kind in BEGINS or not parts:
            parts.append([])
        parts[-1].append(cell)
    return parts
