"""What the files behind a run's parameters hold: a name alone does not say, since weights change and branches move.

No torch and no transformers: a sweep asks this for every grid.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import WorkbenchError
from ..files import user_path

MODELS = ("model", "models", "judge", "encoder")  # parameters whose value may be a hub id


def contents(parameters: Mapping) -> dict[str, str]:
    """Value -> "sha256:…" or "commit:…" of every parameter that names a file, a folder with weights or a hub model.

    A file's hash is remembered by its path, size, inode and times (`cache.content_hash`), so asking again is cheap.
    What is not there, and a hub model that neither the hub nor this machine knows, is left out: the run will say so.
    """
    found = {}
    for name, value in parameters.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one and one not in found:
                known = _local(one)
                if known is None and name in MODELS:
                    known = _commit(one, parameters.get("revision"))
                if known is not None:
                    found[one] = known
    return found


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
        if isinstance(model, dict) and str(model.get("identity", "")).startswith("commit:"):
            found[str(model.get("name"))] = model["identity"]
    return found


def _local(value: str) -> str | None:
    from .cache import content_hash
    from .note import encoder_hash
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


def _commit(value: str, revision) -> str | None:
    from .names import resolve
    from .sources import commit_of

    try:
        if "/" not in value or resolve(value).kind != "hub":
            return None
    except WorkbenchError:
        return None
    commit = commit_of(value, revision if isinstance(revision, str) else None)
    return None if commit is None else f"commit:{commit}"
