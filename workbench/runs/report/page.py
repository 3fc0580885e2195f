"""One run's page: the executed notebook as a single HTML file that loads and runs nothing.

A notebook may print text that a model wrote, so the page trusts nothing in it: the whole body passes through `sanitise`
(no script, no handler, no frame, nothing fetched), and the page's Content-Security-Policy forbids the same. A widget is
shown as its last still picture.
"""

import copy
import html
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import RunError
from ...files import write_atomic
from ..store.entry import Record, inside, load_metrics
from .exports import write_tables
from .items import PAGE, may_hold_secrets, write_items
from .sanitise import sanitise
from .tables import readable
from .words import environment

WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
ERROR_MARK = "papermill-error-cell-tag"
TABLE = re.compile(r"<table\b[^<]*+(?:<(?!/?table\b)[^<]*+)*+</table>")  # one without a table in it, in linear time
SHOWN = ("display_data", "execute_result")  # what a cell shows, without what it prints meanwhile
FOUND = ("verdict", "main-figure")  # tags of the cells whose outputs open the page, in this order


def write_page(folder: Path, record: dict[str, Any] | Record) -> Path:
    """Make ``report.html`` in a run's folder from its notebook.ipynb and its record.

    If the run kept rows, make ``items.html`` too (`items.write_items`); if it recorded tables, ``tables/``.

    Parameters
    ----------
    folder
        The run's folder. Without a notebook in it the page says so and shows the rest.
    record
        The run's record, or the fields of one.
    """
    skip_iri_grammar()
    import nbformat

    fields = vars(record) if isinstance(record, Record) else record
    path = inside(folder, "notebook.ipynb")
    notebook = nbformat.read(path, as_version=4) if path is not None else None
    write_items(folder, fields)
    tables = [] if may_hold_secrets(fields) else write_tables(folder)
    return write_atomic(folder / "report.html", render(notebook, fields, folder, tables))


def skip_iri_grammar() -> None:
    """Call this before anything imports jsonschema, such as nbformat.

    jsonschema compiles a grammar for the format "iri" in 1.5 CPU seconds and loads a calendar for "duration" in .1; no
    notebook has them.
    """
    for name in ("rfc3987_syntax", "isoduration"):
        sys.modules.setdefault(name, None)


def render(notebook, fields: dict[str, Any], folder: Path | None = None, tables: list[str] | None = None) -> str:
    """The page as text; ``notebook`` is a NotebookNode or None, ``folder`` where its relative pictures lie.

    ``tables``: the names of those in its folder ``tables/``.
    """
    body, title, found = "", "", ""
    if notebook is not None:
        prepare(notebook)
        title = first_heading(notebook)
        body = sanitise(as_html(notebook), folder)
        found = sanitise(as_html(_found(notebook), code=False), folder)
    return (
        environment()
        .get_template("run.html")
        .render(
            run=fields,
            title=title or fields.get("paper", "run"),
            body=body,
            found=found,
            metrics=_metrics(folder),
            items=folder is not None and inside(folder, PAGE) is not None,
            tables=tables or [],
            figures=_figures(folder),
        )
    )


def prepare(notebook) -> None:
    """Make a notebook, in place, what pages show: it needs no script, and what they ignore is gone."""
    still(notebook)
    _error_marks(notebook)
    _bare(notebook)


def first_heading(notebook) -> str:
    """The notebook's title: its first markdown heading."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and ERROR_MARK not in cell.metadata.get("tags", []):
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    return line.lstrip("#").strip()
    return ""


def _error_marks(notebook) -> None:
    """Take papermill's two large red cells out, in place: the page has its own words and an anchor."""
    kept = []
    for cell in notebook.cells:
        if ERROR_MARK not in cell.metadata.get("tags", []):
            kept.append(cell)
        elif 'id="papermill-error-cell"' in cell.source:
            cell.source = '<span id="broken"></span>'
            kept.append(cell)
    notebook.cells = kept


def _bare(notebook) -> None:
    """Take out, in place, what no page shows: nbconvert would validate all of it, and any tool may have written it."""
    known = ("kernelspec", "language_info")
    notebook.nbformat_minor = 5  # the one that has names of cells
    notebook.metadata = {key: notebook.metadata[key] for key in known if isinstance(notebook.metadata.get(key), dict)}
    for number, cell in enumerate(notebook.cells):
        cell.metadata = {"tags": sorted({tag for tag in cell.metadata.get("tags", []) if "," not in tag})}
        cell.id = f"cell-{number}"
        for output in cell.get("outputs", []):
            output.pop("transient", None)
            if "text/latex" in (data := output.get("data", {})):  # formulas in dollar signs, which Markdown has too
                data["text/markdown"] = data.pop("text/latex")


def still(notebook) -> None:
    """Replace every widget in the outputs by something that needs no JavaScript, in place.

    A picture or HTML in the same output is the widget's own snapshot, and is shown. Else the page lists the texts and
    values of the widget's saved state; else a sentence says where to see it live, or that the state is damaged.
    """
    for cell in (one for one in notebook.cells if one.cell_type == "code"):
        cell.outputs = [output for output in cell.get("outputs", []) if output.get("data") != {"text/plain": ""}]
        for output in cell.outputs:
            data = output.get("data", {})
            data.pop("application/javascript", None)
            if WIDGET not in data:
                continue
            view = data.pop(WIDGET)
            if not {"image/png", "image/svg+xml", "image/jpeg", "text/html"} & set(data):
                note = "An interactive widget: open the notebook in JupyterLab to use it."
                try:
                    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
                    note = _widget(models, (view or {}).get("model_id"), set()) or note
                except (AttributeError, LookupError, RecursionError, TypeError):  # not ours alone write it
                    note = "An interactive widget whose saved state is damaged: run its cell again in JupyterLab."
                data["text/html"] = f'<div class="widget">{note}</div>'
    notebook.metadata.pop("widgets", None)


def _widget(models: dict, identity: str | None, shown: set[str | None]) -> str:
    """A widget's saved state as still HTML: its children in order, a label and a value each.

    ``shown``: the widgets that are there already; a damaged state may name one as its own child.
    """
    state = models.get(identity, {}).get("state", {})
    if identity in shown:
        return ""
    shown.add(identity)
    if state.get("children"):
        parts = [_widget(models, child.removeprefix("IPY_MODEL_"), shown) for child in state["children"]]
        return "".join(parts)
    snapshot = state.get("snapshot_html") or state.get("_snapshot_html")
    if isinstance(snapshot, str) and snapshot:
        return snapshot
    kind, value = state.get("_model_name", ""), state.get("value")
    if kind == "OutputModel":
        return "".join(_output(output) for output in state.get("outputs", []))
    if kind in ("HTMLModel", "HTMLMathModel"):
        value = str(value)
    elif isinstance(state.get("index"), int) and state.get("_options_labels"):
        value = html.escape(str(state["_options_labels"][state["index"]]))
    elif isinstance(value, (str, int, float)) and kind not in ("ButtonModel", "FloatProgressModel", "IntProgressModel"):
        value = html.escape(str(value))
    else:
        return ""
    label = html.escape(state.get("description") or "")
    return f"<div><b>{label}</b> {value}</div>" if label else f"<div>{value}</div>"


def _output(output: dict) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f'<img src="data:image/png;base64,{html.escape(data["image/png"])}">'
    if "text/html" in data:
        return "".join(data["text/html"])
    return f"<pre>{html.escape(''.join(data.get('text/plain', output.get('text', ''))))}</pre>"


def _found(notebook):
    """What was found: the outputs of the cells tagged "verdict" and "main-figure", as a notebook."""
    from nbformat import v4

    tagged = [cell for tag in FOUND for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    shown = [cell for cell in tagged if any(output.output_type in SHOWN for output in cell.get("outputs", []))]
    for cell in (found := copy.deepcopy(shown)):
        cell.outputs = [output for output in cell.outputs if output.output_type in SHOWN]
        cell.id = f"found-{cell.id}"
    return v4.new_notebook(cells=found)


def as_html(notebook, *, code: bool = True, hidden: tuple[str, ...] = ()) -> str:
    """The cells as HTML through nbconvert, which nobody has sanitised; without ``code``, what they show alone.

    ``hidden``: the tags of cells that show no code.
    """
    exporter = _exporter(hidden)
    exporter.exclude_input = not code
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = False
    text, _ = exporter.from_notebook_node(notebook)
    return TABLE.sub(lambda found: readable(found[0]), text)


@cache
def _exporter(hidden: tuple[str, ...]):
    """nbconvert's exporter, kept: it compiles its twelve templates anew each time it is made."""
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import TagRemovePreprocessor

    from . import maths

    filters = {"markdown2html": maths.markdown}
    exporter = HTMLExporter(template_name="basic", embed_images=False, filters=filters)
    exporter.mathjax_url = exporter.require_js_url = exporter.mermaid_js_url = exporter.jquery_url = ""
    if hidden:
        exporter.register_preprocessor(TagRemovePreprocessor(remove_input_tags=set(hidden)), enabled=True)
    return exporter


def _figures(folder: Path | None) -> list[str]:
    """The names of the figures that `plots.save` left."""
    found = [] if folder is None else sorted((folder / "figures").glob("*.pdf"))
    kept = [path.stem for path in found if inside(folder, f"figures/{path.name}") is not None]
    return [name for name in kept if re.fullmatch(r"[A-Za-z0-9_-]+", name)]


def _metrics(folder: Path | None) -> dict:
    try:
        return {} if folder is None else load_metrics(folder)
    except RunError:  # the record names it
        return {}
