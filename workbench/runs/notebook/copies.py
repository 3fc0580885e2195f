"""Working copies of the notebooks, in work/: what JupyterLab edits, so that notebooks/ stays what was committed."""

import hashlib
import json
from pathlib import Path

from ...errors import UsageError, WorkbenchError
from ...files import ROOT, write_atomic
from . import jupyter, parameters
from .notebook import read

WORK = ROOT / "work"
MARK = "copied"  # a copy's metadata: {"workbench": {"copied": hash of the cells that were copied}}


def refresh() -> list[str]:
    """Copy every notebook of notebooks/ that has no copy, or one that nobody changed; a copy with changes stays.

    Returns
    -------
    list of str
        A sentence for each changed copy whose notebook has moved on since.

    Raises
    ------
    UsageError
        The folder cannot be written.
    """
    sentences = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook, copy = jupyter.read_notebook(path), WORK / path.name
        now = _cells(notebook)
        if copy.exists():
            kept, came_from = _copy(copy)
            if came_from == now:
                continue
            if kept != came_from:
                sentences.append(
                    f"work/{path.name} has your changes and notebooks/{path.name} has moved on; your copy is opened as "
                    "it is (rename it for a fresh one)"
                )
                continue
        _write(copy, notebook, now)
    return sentences


def of(paper: str) -> Path:
    """The working copy of a paper's notebook; one's own notebook, given by its path, is opened where it is.

    Raises
    ------
    UsageError
        There is none, or a path leads out of the checkout, which is all that JupyterLab is shown.
    """
    path = read(paper).path
    if path.parent == ROOT / "notebooks":
        return WORK / path.name
    if not path.resolve().is_relative_to(ROOT):
        raise UsageError(f"{path} is outside {ROOT}, and JupyterLab is shown nothing else; copy it to {WORK}")
    return path.resolve()


def with_values(paper: str, assignments: list[str]) -> Path:
    """A new copy of a paper's notebook, ``work/PAPER-2.ipynb`` and so on, with these parameters set.

    Parameters
    ----------
    paper : str
        Its name, or a notebook's path.
    assignments : list of str
        ``name=value`` each, read and checked as ``workbench run -p`` does.

    Raises
    ------
    UsageError
        A name or value that the notebook does not take, or the folder cannot be written.
    """
    found = read(paper)
    values = found.resolve(dict(parameters.split_assignment(text) for text in assignments))
    notebook = json.loads(found.text)
    cells = notebook["cells"]
    place = next(i for i, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", []))
    source = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    cell = {"cell_type": "code", "execution_count": None, "id": "values", "outputs": [], "source": source}
    cells.insert(place + 1, cell | {"metadata": {"tags": ["injected-parameters"]}})
    number = 2
    while (WORK / f"{found.name}-{number}.ipynb").exists():
        number += 1
    return _write(WORK / f"{found.name}-{number}.ipynb", notebook, _cells(notebook))


def _cells(notebook: dict) -> str:
    """The hash of what a person writes in a notebook: kinds and sources of its cells, whatever they put out."""
    written = [[cell["cell_type"], "".join(cell["source"])] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()


def _copy(path: Path) -> tuple[str, str | None]:
    """The hash of a copy's cells, and that of the cells it was copied from."""
    try:
        notebook = jupyter.read_notebook(path)
    except UsageError:
        return "", None  # damaged: somebody's own affair, and it stays
    mark = notebook["metadata"].get("workbench")
    return _cells(notebook), mark.get(MARK) if isinstance(mark, dict) else None


def _write(path: Path, notebook: dict, cells: str) -> Path:
    notebook["metadata"]["workbench"] = {MARK: cells}
    try:
        return write_atomic(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    except WorkbenchError as error:
        why = error.__cause__
        raise UsageError(
            f"the working copies in {path.parent} cannot be written ({getattr(why, 'strerror', None) or why}); make "
            "the folder writable, or clone the repository into a folder of your own and start the lab there"
        ) from error
