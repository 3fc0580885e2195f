"""Read anybody's .ipynb file as plain JSON, and fill in what other tools leave out."""

import json
import re
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...files import JSON_DEPTH, deeper, lone_surrogate


def read_notebook(path: Path, raw: bytes | None = None) -> dict:
    """A notebook file (nbformat 4, UTF-8 or UTF-16) as plain JSON; ``raw`` is its content, if the caller has it.

    What other tools leave out or write as null (metadata, tags, outputs) is filled in, as Jupyter itself does.

    Raises
    ------
    UsageError
        The file is missing, unreadable, or not a version 4 notebook.
    """
    try:
        notebook = json.loads(raw if raw is not None else Path(path).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"there is no notebook at {path}; check the path") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as a notebook ({error}); save it again in Jupyter") from error
    if not _mended(notebook):
        raise UsageError(f"{path} is not a version 4 notebook; open it in Jupyter and save it again")
    for number, cell in enumerate(notebook["cells"]):
        if half := lone_surrogate(cell["source"]):
            raise UsageError(f"cell {number + 1} of {path} has {half} in it, half a character; write whole ones")
    return notebook


def _mended(notebook: Any) -> bool:
    """Whether it is a version 4 notebook. Fills in, in place, what may be missing or null in one."""
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4 or not isinstance(notebook.get("cells"), list):
        return False
    if deeper(notebook, JSON_DEPTH):
        return False
    notebook["nbformat"] = 4  # and not 4.0
    metadata = notebook.get("metadata")
    metadata = notebook["metadata"] = metadata if isinstance(metadata, dict) else {}  # nothing of ours is there
    minor = notebook.setdefault("nbformat_minor", 5)
    if not isinstance(minor, int) or isinstance(minor, bool):
        return False
    for name in ("kernelspec", "language_info", "widgets"):
        if not isinstance(metadata.get(name, {}), dict):
            del metadata[name]
    if not all(isinstance(value, dict) for value in metadata.get("widgets", {}).values()):
        del metadata["widgets"]
    if not isinstance(metadata.get("papermill", {}), dict):
        del metadata["papermill"]
    if spec := metadata.get("kernelspec"):
        metadata["kernelspec"] = spec | {key: str(spec.get(key) or "python3") for key in ("name", "display_name")}
    return all(map(_mended_cell, notebook["cells"]))


def _mended_cell(cell: Any) -> bool:
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return False
    metadata = cell["metadata"] = _or(cell.get("metadata"), {})
    source = cell["source"] = _or(cell.get("source"), "")
    if not isinstance(metadata, dict) or not _text(source):
        return False
    tags = metadata.get("tags")
    if isinstance(tags, str):
        metadata["tags"] = [tags]
    elif not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        metadata.pop("tags", None)
    if not re.fullmatch(r"[\w-]{1,64}", str(cell.get("id") or ""), re.ASCII):  # nbformat's own rule: it then makes one
        cell.pop("id", None)
    attached = cell.get("attachments", {})
    if not isinstance(attached, dict) or not all(isinstance(item, dict) for item in attached.values()):
        del cell["attachments"]
    if cell["cell_type"] == "code":
        outputs = cell.get("outputs")
        whole = isinstance(outputs, list) and all(map(_whole, outputs))
        cell["outputs"] = outputs if whole else []
        cell.setdefault("execution_count", None)
    return True


def _whole(output: Any) -> bool:
    return isinstance(output, dict) and "output_type" in output and isinstance(output.get("data", {}), dict)


def _or(value: Any, otherwise: Any) -> Any:
    """A null value counts as left out; a value of the wrong kind does not."""
    return otherwise if value is None else value


def _text(source: Any) -> bool:
    return isinstance(source, str) or (isinstance(source, list) and all(isinstance(line, str) for line in source))
