"""A run's record names every model it used; encoders that a paper loads for itself are noted here."""

import json

from ..files import run_folder
from .names import encoder_folder


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
    from .cache import content_hash
    from .problems import advice
    from .sources import fetch_encoder

    source, commit, digest = encoder_folder(name), None, None
    if source.kind == "hub":
        with advice(name):
            commit = fetch_encoder(name)[1]
        where = f"hub: {name}"
    else:
        weights = sorted(source.path.rglob("*.safetensors"))
        if not weights:
            raise ModelError(f"{name} has no *.safetensors weights: is the download complete?")
        digest = content_hash(weights[0])
        where = "embedded" if source.embedded else f"folder: {source.path}"
    facts = {
        "name": str(name),
        "source": where,
        "identity": f"commit:{commit}" if commit else f"sha256:{digest}",
        "sha256": digest,
    }
    folder = run_folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "models.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(facts, ensure_ascii=False) + "\n")
    return facts
