"""One row of a study, and the file that a run keeps its rows in: one line of JSON a row.

No numpy: the runner reads these files too.
"""

import hashlib
import json
import math
import numbers
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .errors import UsageError, WorkbenchError
from .files import ROOT, parse_json

FILE = "rows.jsonl"  # the rows of a run, in its folder
OFFERED = "rows-before.jsonl"  # beside it while a run goes on where another one ended: that one's rows
Key = tuple[str, str, int]  # arm, item, seed
LIBRARIES = ("bitsandbytes", "numpy", "peft", "scikit-learn", "sentence-transformers", "torch", "transformers")
DESCRIBED = ("README.md", "paper.json")  # of a data folder: for people, no number follows from them


@dataclass(frozen=True)
class Row:
    """What one arm did with one item under one seed.

    Parameters
    ----------
    arm, item, seed
        Its name; rows of two arms are paired by item and seed.
    unit
        What was drawn independently, where several items belong together (texts about one entity); else the item.
    measures
        Name -> number, NaN where there is none. True and False make a share.
    labels
        Name -> text to choose rows by, such as the kind of prompt.
    prompt, reply
        What the model was given and what it answered, for people to read.
    cost
        Name -> number or None: seconds, tokens.
    """

    arm: str
    item: str
    seed: int = 0
    unit: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    prompt: str = ""
    reply: str = ""
    cost: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self):
        # the numbers are what a line of the file gives back, so that a row that was read equals one that was made
        put = object.__setattr__
        for name in ("arm", "item", "unit", "prompt", "reply"):
            put(self, name, _text(getattr(self, name)))
        put(self, "unit", self.unit or self.item)
        put(self, "labels", {_text(name): _text(value) for name, value in self.labels.items()})
        put(self, "measures", {name: _number(name, value) for name, value in self.measures.items()})
        cost = {name: None if value is None else _number(name, value) for name, value in self.cost.items()}
        put(self, "cost", {name: None if value != value else value for name, value in cost.items()})

    @property
    def key(self) -> Key:
        """(arm, item, seed)."""
        return self.arm, self.item, self.seed

    def as_dict(self) -> dict:
        """Plain data, ready for JSON: NaN and infinities are None."""
        measures = {name: value if math.isfinite(value) else None for name, value in self.measures.items()}
        return asdict(self) | {"measures": measures}

    @classmethod
    def from_dict(cls, raw: Mapping) -> "Row":
        """What `as_dict` gave.

        Raises
        ------
        KeyError, TypeError, ValueError, UsageError
            It is something else.
        """
        fields = {name: raw[name] for name in ("arm", "item", "unit", "prompt", "reply", "labels", "cost")}
        measures = {name: math.nan if value is None else value for name, value in raw["measures"].items()}
        return cls(**fields, seed=int(raw["seed"]), measures=measures)


def _text(value: Any) -> str:
    """A text without halves of characters, which no file takes."""
    return str(value).encode("utf-8", "replace").decode()


def _number(name: str, value: Any) -> float:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    if not isinstance(value, numbers.Real):
        raise UsageError(f"{name}={value!r} of a row is no number: give one, True or False")
    return float(value)


def append_lines(path: Path, lines: Sequence[Mapping]) -> None:
    """Add lines to a rows file, all at once, and flush them to the disk.

    Raises
    ------
    WorkbenchError
        The file cannot be written.
    """
    text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
    try:
        with open(path, "ab+") as file:
            if file.tell():  # half a line that a full disk has left must not swallow the next one
                file.seek(-1, os.SEEK_END)
                text = text if file.read(1) == b"\n" else "\n" + text
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise WorkbenchError(f"cannot write {path}: {error.strerror or error}; free some space") from error


def read_lines(path: Path) -> tuple[list[dict], int]:
    """(the lines of a rows file that are whole, how many are not): a kill may have cut the last one short."""
    good, damaged = [], 0
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            raw = parse_json(line)
            Row.from_dict(raw)
            good.append(raw | {"study": str(raw["study"]), "key": str(raw["key"])})
        except (KeyError, TypeError, ValueError, AttributeError, UsageError):
            damaged += 1
    return good, damaged


@lru_cache(maxsize=1)
def code_hash() -> str:
    """The hash of what a row's numbers follow from beside model and settings: the package's code without what shows
    and runs it, the papers' own data, and the versions of the libraries that compute."""
    code, total = ROOT / "workbench", hashlib.sha256()
    files = [path for path in code.rglob("*.py") if path.relative_to(code).parts[0] not in ("cli", "runs", "widgets")]
    files += [
        path
        for path in (ROOT / "data").rglob("*")
        if path.is_file() and path.name not in DESCRIBED and path.suffix != ".pyc"
    ]
    for path in sorted(files):
        total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            total.update(f"{name} {version(name)}".encode())
    return total.hexdigest()[:16]
