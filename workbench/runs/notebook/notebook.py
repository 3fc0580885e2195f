"""A paper's notebook as the runner takes it: found by name or path, read once, never executed here."""

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...files import ROOT, expanded
from ...models.base import BACKENDS, HERE
from . import jupyter, parameters

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
    language: str = "python"

    def resolve(self, given: dict[str, Any], *, early: bool = True) -> dict[str, Any]:
        """The given values, checked and converted; see `parameters.resolve`. With ``early`` also `check_early`."""
        values = parameters.resolve(self.known, given, self.where)
        filled = self.filled(values)
        self._check_place([filled.get("model"), *(filled.get("models") or [])], filled.get("backend"))
        if early:
            self.check_early(values)
        return values

    def check_early(self, values: dict[str, Any]) -> None:
        """What would fail minutes later inside the notebook: sizes out of range, words that are none, missing files."""
        from ... import profiles

        folders = [self.path.parent]  # where the kernel works
        backend = self.known.get("backend")
        if backend is not None and backend.default is None and (given := values.get("backend")) is not None:
            if given not in BACKENDS:
                raise UsageError(f"backend={given!r} cannot be: give torch or llama.cpp, or leave it out (torch)")
            if given == HERE and values.get("bits") is not None:
                raise UsageError(
                    f"bits={values['bits']} goes with torch, and llama.cpp takes a file as it is: leave one out"
                )
        bits = self.known.get("bits")
        if bits is not None and bits.default is None and values.get("bits") not in (None, 4, 8):
            raise UsageError(f"bits={values['bits']!r} cannot be: give 4 or 8 to quantise the model, or leave it out")
        named = [("model", values.get("model")), *(("models", name) for name in values.get("models") or [])]
        for name, value in [*named, ("judge", values.get("judge")), ("adapter", values.get("adapter"))]:
            if isinstance(value, str) and profiles.looks_like_a_path(value):
                profiles.check_path(name, value, folders, folder=None)
        if self.path.parent != ROOT / "notebooks":
            return  # somebody's own: its names may mean anything
        if isinstance(seed := values.get("seed"), int) and not 0 <= seed <= profiles.MOST_SEED:
            raise UsageError(f"seed={str(seed)[:40]} cannot be: give a whole number from 0 to {profiles.MOST_SEED}")
        for name, value in [*named, *((name, values.get(name)) for name in ("judge", "encoder", "revision"))]:
            profiles.Name().check(name, value, folders)
        paper = profiles.of_paper(self.name)
        if paper is not None:
            paper.check(values, folders)

    def _check_place(self, models: list, backend) -> None:
        """A paper that cannot do without a model's weights is not started on a server's, nor on llama.cpp's."""
        from ...papers import PAPERS

        paper = next((paper for paper in PAPERS if paper.name == self.name), None)
        reason = paper.weights if paper else ""
        if paper and backend == HERE and HERE not in paper.backends:
            why = reason or "its page reads hidden states and gradients"
            raise UsageError(
                f"{self.name} needs a model's own weights ({why}), and llama.cpp keeps them to itself: "
                "leave backend out"
            )
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
    def sizes(self) -> dict[str, Any]:
        """Its paper's sizes (`workbench.profiles.Size`) by name; none where it is nobody's."""
        from ... import profiles

        paper = profiles.of_paper(self.name) if self.path.parent == ROOT / "notebooks" else None
        return {} if paper is None else paper.sizes

    @property
    def shown(self) -> str:
        """Its path for the record: relative inside the checkout."""
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return str(path).encode("utf-8", "replace").decode()  # a folder's name may be no UTF-8


def find_notebook(paper: str) -> tuple[str, Path]:
    """A paper's name or the path of an .ipynb file, as (name, path).

    Raises
    ------
    UsageError
        There is no such paper or file.
    """
    path = expanded(paper)
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
    from ...papers import PAPERS

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
    notebook = jupyter.read_notebook(path, raw)
    where = name if name == paper else path.name
    kernel = "python3"
    with contextlib.suppress(KeyError, TypeError):  # metadata that is no dict: the file is somebody's own make
        kernel = str(notebook["metadata"]["kernelspec"]["name"])
    known = parameters.read_parameters(notebook, where)
    spec, info = (notebook["metadata"].get(key, {}) for key in ("kernelspec", "language_info"))
    language = str(spec.get("language") or info.get("name") or "python")
    text = json.dumps(notebook)  # not the file's own: that may be UTF-16, or have nulls where lists belong
    return Notebook(name, path, text, hashlib.sha256(raw).hexdigest(), kernel, where, known, language)
