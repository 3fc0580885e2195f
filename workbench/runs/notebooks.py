"""A paper's notebook as the runner takes it: found by name or path, read once, never executed here."""

import contextlib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files import ROOT
from . import parameters

NAME = re.compile(r"\w[\w .()+-]{0,99}")  # of a notebook: it becomes a folder, and a link in the report


@dataclass(frozen=True)
class Notebook:
    """A notebook at one moment: what is hashed is what is executed, even when the file changes meanwhile.

    ``where`` is what errors call it: the paper's name or the file's.
    """

    name: str
    path: Path
    text: str
    sha256: str
    kernel: str
    where: str
    known: dict[str, parameters.Parameter]

    def resolve(self, given: dict[str, Any]) -> dict[str, Any]:
        """The given values, checked and converted; see `parameters.resolve`."""
        values = parameters.resolve(self.known, given, self.where)
        filled = self.filled(values)
        self._check_server([filled.get("model"), *(filled.get("models") or [])])
        return values

    def _check_server(self, models: list) -> None:
        """A paper that cannot do without a model's weights is not started on a server's."""
        from ..papers import PAPERS

        reason = next((paper.weights for paper in PAPERS if paper.name == self.name), "")
        for name in models:
            if reason and isinstance(name, str) and name.startswith("openai:"):
                raise UsageError(
                    f"{self.name} needs a model's own weights ({reason}), and {name} lives on a server: choose a local "
                    "model such as smollm2"
                )

    def filled(self, values: dict[str, Any]) -> dict[str, Any]:
        """Every parameter's value: the resolved ones, and the defaults of the rest."""
        return {name: item.default for name, item in self.known.items()} | values

    @property
    def shown(self) -> str:
        """Its path for the record: relative inside the checkout."""
        return str(self.path.relative_to(ROOT)) if self.path.is_relative_to(ROOT) else str(self.path)


def find_notebook(paper: str) -> tuple[str, Path]:
    """A paper's name or the path of an .ipynb file, as (name, path).

    Raises
    ------
    UsageError
        There is no such paper or file.
    """
    path = Path(paper).expanduser()
    if path.suffix == ".ipynb" or len(path.parts) > 1:
        if path.suffix != ".ipynb" or not path.is_file():
            raise UsageError(f"there is no notebook at {path}; check the path, or name a paper (`workbench list`)")
        if not NAME.fullmatch(path.stem):  # "..", "javascript:…" or a line break would go on into paths and pages
            raise UsageError(
                f"the notebook's name {path.stem!r} cannot name a folder of runs; rename the file: letters, digits, - "
                "and _, beginning with a letter or digit"
            )
        return path.stem, path.absolute()
    known = {item.stem: item for item in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    if paper in known:
        return paper, known[paper]
    from ..papers import PAPERS

    coming = {item.name for item in PAPERS} - set(known)
    if paper in coming:
        raise UsageError(f"paper {paper!r} is still to come; `workbench list` shows which are there")
    raise UsageError(parameters.unknown(paper, known, "paper", "`workbench list` shows them all"))


def read(paper: str) -> Notebook:
    """A paper's notebook, or the one in an .ipynb file.

    Raises
    ------
    UsageError
        There is none, it cannot be read, or its parameters cell cannot be understood.
    """
    name, path = find_notebook(paper)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error
    notebook = parameters.read_notebook(path, raw)
    where = name if name == paper else path.name
    kernel = "python3"
    with contextlib.suppress(KeyError, TypeError):  # metadata that is no dict: the file is somebody's own make
        kernel = str(notebook["metadata"]["kernelspec"]["name"])
    known = parameters.read_parameters(notebook, where)
    return Notebook(name, path, raw.decode(), hashlib.sha256(raw).hexdigest(), kernel, where, known)
