"""What the files behind a run's parameters hold: a name alone does not say, since weights change and branches move.

No torch and no transformers: a sweep asks this for every grid.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from ...errors import WorkbenchError
from ...files import user_path

MODELS = ("model", "models", "judge", "encoder")  # parameters whose value may be a hub id


def contents(parameters: Mapping, looked_up: dict | None = None) -> dict[str, str]:
    """Value -> "sha256:…" or "commit:…" of every parameter that names a file, a folder with weights or a hub model.

    A file's hash is remembered by its path, size, inode and times (`cache.content_hash`), so asking again is cheap.
    ``looked_up`` remembers the answers for a grid. What is not there, and a hub model that neither the hub
    nor this machine knows, is left out: the run will say so.
    """
    found, revision = {}, parameters.get("revision")
    revision = revision if isinstance(revision, str) else None
    looked_up = {} if looked_up is None else looked_up
    for name, value in parameters.items():
        for one in _texts(value):
            key = (one, revision, name in MODELS)
            if key not in looked_up:
                looked_up[key] = _local(one) or (_commit(one, revision) if name in MODELS else None)
            if looked_up[key] is not None:
                found[one] = looked_up[key]
    return found


def _texts(value) -> list[str]:
    """The texts in a parameter's value, also in the lists of an axis of lists."""
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) and value else []


def settled(before: Mapping[str, str], after: Mapping[str, str], models: list) -> dict[str, str]:
    """What a run has really seen: the contents before and after it, and the models it says that it loaded.

    Files that changed meanwhile get a value of their own, which no cell will ever ask for; of a hub model counts the
    commit that was loaded.
    """
    found = {
        value: known if after.get(value) == known or known.startswith("commit:") else f"{known}, changed meanwhile"
        for value, known in before.items()
    }
    for model in models:
        name, known = (model.get("name"), str(model.get("identity"))) if isinstance(model, dict) else (None, "")
        if name in found and known.startswith("commit:"):
            found[name] = known
    return found


def _local(value: str) -> str | None:
    from ..runlog import encoder_hash
    from .cache import content_hash
    from .sources import folder_content

    try:
        path = user_path(value)
        if os.path.isfile(path):
            return f"sha256:{content_hash(Path(path))}"
        if not os.path.isdir(path):
            return None
        if os.path.isfile(path / "config.json") and any(path.glob("*.safetensors")):
            inner = encoder_hash(path) if os.path.isfile(path / "modules.json") else ""
            return f"sha256:{folder_content(path, value)}{inner and '+'}{inner}"
        return f"sha256:{encoder_hash(path)}" if any(path.glob("*/*.safetensors")) else None
    except (WorkbenchError, OSError, RuntimeError, ValueError):
        return None  # unreadable, or no path at all: what is wrong with it is said where it is loaded


def _commit(value: str, revision: str | None) -> str | None:
    from .names import resolve
    from .sources import commit_of

    try:
        if "/" not in value or resolve(value).kind != "hub":
            return None
    except WorkbenchError:
        return None
    commit = commit_of(value, revision)
    return None if commit is None else f"commit:{commit}"
