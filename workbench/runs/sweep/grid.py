"""A grid of experiments: ``-g name=v1,v2`` and grid.yaml as the cells to run, all checked before anything starts.

A cell is one combination of the values. Its identity is made of the paper, the notebook's hash, every parameter's value
(model and seed too) and the content of the files that they name (a folder's weights may have changed, a hub model's
branch may have moved). Two cells with the same identity are the same cell, whichever command, file or cluster asks.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...models.files.identity import contents
from ..notebook import parameters
from ..notebook.notebook import Notebook, read
from ..store import masking

SEED = "seed"
MANY = 10_000  # from so many cells on, a sweep prints their number before it starts
TOO_MANY = 1_000_000
FILE_BYTES = 1_000_000


@dataclass(frozen=True)
class Cell:
    """One combination: its identity's hash and the values of the parameters that are set in it."""

    key: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """A notebook, the axes that vary (name -> typed values) and the parameters that are fixed."""

    notebook: Notebook
    axes: dict[str, list[Any]]
    fixed: dict[str, Any]

    def __len__(self) -> int:
        return math.prod(map(len, self.axes.values()))

    def cells(self) -> Iterator[Cell]:
        """Every combination. The last axis varies fastest, but seeds slowest, so that a first answer comes early."""
        names = sorted(self.axes, key=lambda name: name != SEED)
        for values in itertools.product(*(self.axes[name] for name in names)):
            chosen = dict(zip(names, values))
            chosen = self.fixed | {name: chosen[name] for name in self.axes}
            asked = masking.mask(self.notebook.filled(chosen))  # as the record keeps it
            held = contents(asked, self.looked_up)
            yield Cell(identity(self.notebook.name, self.notebook.sha256, asked, held), chosen)

    @property
    def shown(self) -> tuple[dict[str, list], dict[str, Any]]:
        """Axes and fixed parameters, without secrets."""
        axes = {name: [masking.masked(name, value) for value in values] for name, values in self.axes.items()}
        return axes, masking.mask(self.fixed)

    @cached_property
    def looked_up(self) -> dict:
        """Hashes of the files and hub models that the values name; each is read once for all cells."""
        return {}

    @property
    def name(self) -> str:
        """This grid's name: eight hex digits of its hash."""
        axes, fixed = self.shown
        content = [self.notebook.name, self.notebook.sha256, axes, fixed]
        held = contents(masking.mask(self.notebook.filled(self.fixed)) | axes, self.looked_up)
        return hashlib.sha256(_canonical([*content, held] if held else content)).hexdigest()[:8]


def identity(paper: str, notebook_sha256: str, filled: dict[str, Any], held: dict[str, str] | None = None) -> str:
    """A cell's identity as 20 hex digits: the paper, the notebook's hash, every parameter's value, and what the files
    hold that the values name (``held``, as `models.identity.contents` gives it)."""
    filled = {name: value for name, value in filled.items() if (name, value) != ("backend", None)}  # torch, as ever
    content = [paper, notebook_sha256, filled, *([held] if held else [])]
    return hashlib.sha256(_canonical(content)).hexdigest()[:20]


def _canonical(value) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def build_all(paper: str | None, axes: list[str], *, file: Path | None = None, **options) -> list[Grid]:
    """Every grid that a command line describes: a file may list several, of which a named ``paper`` chooses its own.

    Parameters and errors are `build`'s.
    """
    parts = read_file(file) if file is not None else [{}]
    ours = [part for part in parts if len(parts) == 1 or paper in (None, part.get("paper"))]
    if not ours:
        names = list(dict.fromkeys(str(part.get("paper")) for part in parts))
        raise UsageError(parameters.unknown(paper, names, f"paper in {file}", f"it has {', '.join(names)}"))
    return [build(paper, axes, file=file, part=part, **options) for part in ours]


def build(
    paper: str | None,
    axes: list[str],
    *,
    fixed: dict[str, Any] | None = None,
    seeds: int | None = None,
    file: Path | None = None,
    part: dict[str, Any] | None = None,
) -> Grid:
    """The grid that a command line describes.

    Parameters
    ----------
    paper
        A paper's name or a notebook's path; None where ``file`` names it.
    axes
        ``name=v1,v2`` texts; see `split_values`.
    fixed
        Name -> value of the parameters that every cell shares; texts are read as ``-p`` reads them.
    seeds
        N adds the axis ``seed`` = 0 … N-1.
    file
        A YAML file with ``grid:`` (name -> list), and optionally ``paper:``, ``fixed:`` and ``seeds:``.
    part
        What stands in the file, if the caller has read it.

    Raises
    ------
    UsageError
        Anything is unknown, malformed, of the wrong type, given twice or empty.
    """
    if part is None and file is not None:
        (part,) = read_file(file)
    asked = part or {}
    named = asked.get("paper")
    if paper and named and paper != named:
        raise UsageError(f"the command names the paper {paper!r} and {file} names {named!r}; name one")
    if not paper and not named:
        raise UsageError("no paper is named; give one: workbench sweep PAPER -g name=v1,v2")
    notebook = read(paper or named)
    raw: dict[str, list] = dict(asked.get("grid", {}))
    for text in axes:
        name, values = parameters.split_assignment(text, "-g", "concept=01,011")
        if name in raw:
            raise UsageError(f"the grid has {name!r} twice; give all its values in one place: -g {name}=v1,v2")
        raw[name] = split_values(values)
    if seeds is not None and asked.get("seeds") is not None:
        raise UsageError(f"seeds are given by --seeds and in {file}; give them once")
    seeds = asked.get("seeds") if seeds is None else seeds
    if seeds is not None:
        if SEED in raw:
            raise UsageError("the seeds are given twice, as an axis 'seed' and as a number of seeds; give one of them")
        if not isinstance(seeds, int) or isinstance(seeds, bool) or seeds < 1:
            raise UsageError(f"the number of seeds is {seeds!r}; give a whole number from 1 up")
        if seeds > TOO_MANY:  # a list of them is made
            raise UsageError(f"the number of seeds is beyond {TOO_MANY:,}; give fewer")
        raw[SEED] = list(range(seeds))
    shared = dict(asked.get("fixed", {}))
    for name, value in (fixed or {}).items():
        if name in shared:
            raise UsageError(f"parameter {name!r} is fixed on the command line and in {file}; set it in one place")
        shared[name] = value
    for name in shared:
        if name in raw:
            raise UsageError(f"parameter {name!r} is fixed and an axis of the grid; leave one of the two away")
    if not raw:
        raise UsageError("the grid is empty: nothing varies; give -g name=v1,v2, --seeds N or --file grid.yaml")
    notebook.resolve({name: None for name in raw if name not in notebook.known})  # check names before values
    typed = {name: _axis(notebook, name, values) for name, values in raw.items()}
    grid = Grid(notebook, typed, notebook.resolve(shared))
    if len(grid) > TOO_MANY:
        raise UsageError(f"the grid has {len(grid):,} cells, more than {TOO_MANY:,}; leave some values away")
    for name, values in typed.items():
        for value in values:
            notebook.check_early({name: value})
    return grid


def _axis(notebook: Notebook, name: str, values: list) -> list:
    """One axis: every value converted by its parameter's annotation, without doubles."""
    if not values:
        raise UsageError(f"the grid is empty: {name!r} has no value; give at least one: -g {name}=v1,v2")
    typed: dict[bytes, Any] = {}
    for value in values:
        if not isinstance(value, str) and isinstance(notebook.known[name].default, str):
            hint = f"; in YAML write it in quotes: '{value}'" if not isinstance(value, (list, dict)) else ""
            if not _fits(notebook, name, value):
                value = masking.masked(name, value)
                raise UsageError(f"the grid's value {value!r} of {name!r} is not a text{hint}")
        item = notebook.resolve({name: value}, early=False)[name]
        if _canonical(item) in typed:
            item = masking.masked(name, item)
            raise UsageError(f"the grid has the value {item!r} of {name!r} twice; each combination is run once")
        typed[_canonical(item)] = item
    return list(typed.values())


def _fits(notebook: Notebook, name: str, value) -> bool:
    try:
        notebook.resolve({name: value}, early=False)
    except UsageError:
        return False
    return True


def split_values(text: str) -> list[str]:
    """The values of one ``-g``: split at commas outside quotes and brackets; a value in double quotes loses them.

    >>> split_values('01,"a, b",[1,2]')
    ['01', 'a, b', '[1,2]']

    Raises
    ------
    UsageError
        A quote or bracket stays open, or a value is empty (an empty text is written "").
    """
    values, depth, quoted, start = [], 0, False, 0
    escaped = False
    for place, sign in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = sign == "\\", sign != '"'
        elif sign == '"' and (depth or not text[start:place].strip()):  # a quote inside a word is part of the word
            quoted = True
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "," and depth == 0:
            values.append(text[start:place])
            start = place + 1
    if quoted or depth:
        text = masking.shown("", text)
        raise UsageError(f"the values {text!r} have an open {'quote' if quoted else 'bracket'}; close it")
    values.append(text[start:])
    if not text.strip():
        return []
    return [_unquoted(value.strip(), text) for value in values]


def _unquoted(value: str, text: str) -> str:
    if not value:
        text = masking.shown("", text)
        raise UsageError(f'the values {text!r} have an empty one; write "" for an empty text, null for None')
    if value.startswith('"'):
        try:
            return json.loads(value)
        except ValueError as error:
            raise UsageError(f"the value {value} is not a quoted text ({error}); write it as JSON does") from None
    return value


def read_file(path: Path) -> list[dict[str, Any]]:
    """grid.yaml as dicts with some of paper, grid, fixed, seeds; read with YAML's safe loader, aliases refused.

    A file holds one grid, or a list of grids, each with its paper.

    Raises
    ------
    UsageError
        It cannot be read, is not YAML, or holds something else.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent, index):
            if self.check_event(yaml.AliasEvent):
                raise UsageError(f"{path} uses a YAML alias (*name), which a grid has no need of; write the value out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node, deep=False):
            names = [key.value for key, _ in node.value]
            double = next((name for name in names if names.count(name) > 1), None)
            if double is not None:
                line = node.start_mark.line + 1
                raise UsageError(f"{path} has {double!r} twice in the mapping at line {line}; write it once")
            return super().construct_mapping(node, deep)

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}); check the path") from error
    if len(raw) > FILE_BYTES:
        raise UsageError(f"{path} has {len(raw):,} bytes; a grid file has at most {FILE_BYTES:,}")
    try:
        content = yaml.load(raw, Loader)  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        spot = f", line {where.line + 1}" if where else ""
        said = getattr(error, "problem", None) or str(error)
        raise UsageError(f"{path} is not YAML{spot}: {' '.join(said.split())}") from error
    if not isinstance(content, list):
        return [_checked(path, content)]
    parts = [_checked(path, part) for part in content]
    if not parts or not all(part.get("paper") for part in parts):
        raise UsageError(f"{path} is a list, and not each of its grids names its paper; write - paper: NAME for each")
    return parts


def _checked(path: Path, content: Any) -> dict[str, Any]:
    """One grid of a file."""
    example = "grid: {concept: ['01', '011']}"
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no mapping; write {example}")
    allowed = ("paper", "grid", "fixed", "seeds")
    for name in content:
        if name not in allowed:
            known = f"a grid file has {', '.join(allowed)}, and the axes are under grid"
            raise UsageError(parameters.unknown(str(name), allowed, f"part of {path}", known))
    for part in ("grid", "fixed"):
        if not isinstance(content.get(part, {}), dict):
            raise UsageError(f"{part!r} in {path} is not a mapping; write {example}")
    for name, values in content.get("grid", {}).items():
        if not isinstance(values, list):
            raise UsageError(f"the axis {name!r} in {path} is {values!r}, not a list; write {name}: [v1, v2]")
    for name in [*content.get("grid", {}), *content.get("fixed", {})]:
        if not isinstance(name, str):
            raise UsageError(f"{path} has the parameter name {name!r}, not a text; write it in quotes")
    return content
