"""A run's record names every model it used; encoders that a paper loads for itself are noted here."""

import hashlib
import json
from pathlib import Path

from ..files import run_folder
from .files.names import encoder_folder


def encoder_hash(folder: Path) -> str:
    """SHA-256 of an encoder's weights: of the file, or over the files' names and hashes where there are several."""
    from .files.cache import content_hash

    files = sorted(folder.rglob("*.safetensors"))
    if len(files) == 1:
        return content_hash(files[0])
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(folder)}:{content_hash(file)}\n".encode())
    return total.hexdigest()


def note_encoder(name: str) -> dict:
    """What pins encoder ``name`` down; inside a run it is written beside the other models of the run.

    Returns
    -------
    dict
        name, source, identity ("commit:…" of a hub model, else "sha256:…" of its weights), sha256 (None for the hub).

    Raises
    ------
    ModelError
        There is no such encoder, or its folder holds no *.safetensors.
    """
    from ..errors import ModelError
    from .files.sources import fetch_encoder
    from .problems import advice

    source, commit, digest = encoder_folder(name), None, None
    if source.kind == "hub":
        with advice(name):
            commit = fetch_encoder(name)[1]
        where = f"hub: {name}"
    else:
        if not any(source.path.rglob("*.safetensors")):
            raise ModelError(f"{name} has no *.safetensors weights: is the download complete?")
        digest = encoder_hash(source.path)
        where = "embedded" if source.embedded else f"folder: {source.path}"
    facts = {
        "name": str(name),
        "source": where,
        "identity": f"commit:{commit}" if commit else f"sha256:{digest}",
        "sha256": digest,
    }
    note(facts)
    return facts


def note(facts: dict) -> None:
    """Inside a run: one line about a model, which the runner takes into record.json."""
    folder = run_folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "models.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(facts, ensure_ascii=False) + "\n")
