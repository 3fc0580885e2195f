"""From a name to files on this disk: what is fetched from the hub, what is checked before any library reads it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..errors import ModelError
from .base import say
from .cache import content_hash, size_text
from .fit import BIG
from .headers import Header, dtype_bytes, read_gguf, read_safetensors
from .names import Source, resolve
from .problems import advice, explain

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
# what is fetched of a hub model: never a pickle, never code
FETCHED = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.tiktoken"]
OTHER_FORMS = ("onnx/*", "openvino/*")  # of an encoder: the same weights for other engines
BROUGHT = ("auto_map", "custom_code")


@dataclass(frozen=True)
class Outline:
    """A model before its weights are read: where it is, its config, what its weight headers say."""

    name: str
    source: Source
    folder: Path | None  # None for a GGUF file
    config: Any
    header: Header
    commit: str | None = None

    def content(self) -> str:
        """What pins the weights down: "commit" of a hub model, else a hash over the files' content."""
        if self.commit:
            return self.commit
        if self.folder is None:
            return self.source.sha256 or content_hash(self.source.path)
        total = hashlib.sha256()
        for file in sorted(self.folder.iterdir()):
            if file.suffix in (".json", ".safetensors", ".jinja", ".txt", ".model") and file.is_file():
                total.update(f"{file.name}:{content_hash(file)}\n".encode())
        return total.hexdigest()


def outline(name: str, *, revision: str | None = None, weights: bool = False) -> Outline:
    """Resolve a name and read headers. Of a hub model the small files are fetched, and all of it with ``weights``."""
    source = resolve(name)
    if revision is not None and source.kind != "hub":
        raise ModelError(f"revision={revision!r} goes with a hub id only, and {name} is a {source.kind}: leave it out")
    with advice(name):
        if source.kind == "gguf":
            header = read_gguf(source.parts or (source.path,), name)
            return Outline(name, source, None, _gguf_config(header), header)
        if source.kind == "folder":
            return _of_folder(name, source, source.path)
        return _of_hub(name, source, revision, weights)


def _of_folder(name: str, source: Source, folder: Path, commit: str | None = None) -> Outline:
    check_folder(folder, name)
    header = read_safetensors(sorted(folder.glob("*.safetensors")))
    return Outline(name, source, folder, _config(folder, name), header, commit)


def _config(folder: Path, name: str):
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    writers = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    classes = getattr(config, "architectures", None) or []
    if classes and not any(kind in writers or kind.endswith("CausalLM") for kind in classes):
        raise ModelError(
            f"{name} is a {classes[0]}, not a model that writes text (a causal language model): choose one that is, or "
            "load_encoder for a sentence encoder"
        )
    return config


def check_folder(folder: Path, name: str) -> None:
    """Refuse what is no model folder, has weights only as pickles, or brings its own code.

    Raises
    ------
    ModelError
        Naming what is wrong and what to do.
    """
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(f"{name} is an adapter, not a model: load its base model with adapter={str(folder)!r}")
        inner = sorted(path.parent.name for path in folder.glob("*/config.json"))
        hint = f" (there is one in {inner[0]}/)" if inner else ""
        raise ModelError(
            f"{name} has no config.json{hint}, so it is not a model folder: give the one that save_pretrained wrote"
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{name}: its config.json is damaged ({error}): fetch or save it again") from error
    refuse_code(config, name)
    present = sorted(folder.glob("*.safetensors"))
    if not present:
        refuse_pickles([file.name for kind in PICKLES for file in folder.glob(kind)], name)
        raise ModelError(f"{name} has a config.json but no *.safetensors weights: is the download complete?")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        wanted = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        lost = sorted(wanted - {file.name for file in present})
        if lost:
            raise ModelError(
                f"{name} lacks {len(lost)} of its {len(wanted)} weight files (first {lost[0]}): fetch it again"
            )


def refuse_code(config: dict, name: str) -> None:
    """A config that points at Python files of its own is refused, unless transformers has the architecture itself."""
    from transformers import CONFIG_MAPPING

    if any(config.get(key) for key in BROUGHT) and config.get("model_type") not in CONFIG_MAPPING:
        raise ModelError(
            f"{name} wants to run code that comes with its files, which the workbench never does: choose a model that "
            "transformers supports by itself"
        )


def refuse_code_in(folder: Path, name: str) -> None:
    """`refuse_code` for a folder's config.json; an encoder's modules must be sentence-transformers' own as well."""
    for file in ("config.json", "modules.json"):
        if not (folder / file).is_file():
            continue
        try:
            content = json.loads((folder / file).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(f"{name}: its {file} is damaged ({error}): fetch or save it again") from error
        if isinstance(content, dict):
            refuse_code(content, name)
        elif any(not str(part.get("type", "")).startswith("sentence_transformers.") for part in content):
            refuse_code({"auto_map": True}, name)


def refuse_pickles(files: list[str], name: str) -> None:
    """Pickled weights can run code when read."""
    if files:
        raise ModelError(
            f"{name} has its weights only as pickles ({sorted(files)[0]}), which can run code when read and are "
            "refused: "
            "convert it with save_pretrained(safe_serialization=True) where you trust it, or use a safetensors version"
        )


def _of_hub(name: str, source: Source, revision: str | None, weights: bool) -> Outline:
    """The only place that opens a connection beyond this machine."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=20)
    except HFValidationError as error:
        raise ModelError(
            f"{name!r} is no model's name: give smollm2, a hub id such as org/name, or a folder"
        ) from error
    except Exception as error:
        kept = _kept(name, revision)
        if kept is None:
            raise
        say(f"{explain(error, name)}; it is taken from this machine's copy")
        return _of_folder(name, source, kept, kept.name)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or [] if "/" not in file.rfilename}
    safe = {file: size for file, size in sizes.items() if file.endswith(".safetensors")}
    if not safe:
        refuse_pickles([file for file in sizes if any(Path(file).match(kind) for kind in PICKLES)], name)
        raise ModelError(f"{name} has no safetensors weights on the hub: choose a model that has")
    if weights and _kept(name, info.sha) is None and sum(safe.values()) > BIG:
        say(f"fetching {name} at {info.sha[:12]}: {size_text(sum(safe.values()))}")
    patterns = FETCHED if weights else [kind for kind in FETCHED if kind != "*.safetensors"]
    folder = Path(
        # by the name of the branch, so that a later load without network finds what the branch was
        snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"], etag_timeout=20)
    )
    commit = folder.name
    if weights:
        return _of_folder(name, source, folder, commit)
    found = HfApi().get_safetensors_metadata(name, revision=commit)
    counts = found.parameter_count
    size = sum(count * dtype_bytes(kind) for kind, count in counts.items())
    header = Header(sum(counts.values()), size, max(counts, key=counts.get), {})
    refuse_code(json.loads((folder / "config.json").read_text(encoding="utf-8")), name)
    return Outline(name, source, folder, _config(folder, name), header, commit)


def fetch_encoder(name: str) -> tuple[Path, str]:
    """A hub encoder's folder on this machine and its commit; configs, tokenizer and safetensors only."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        info = HfApi().model_info(name, timeout=20)
    except Exception as error:
        kept = _kept(name, None, OTHER_FORMS, encoder=True)
        if kept is None:
            raise
        say(f"{explain(error, name)}; it is taken from this machine's copy")
        return kept, kept.name
    files = [file.rfilename for file in info.siblings or []]
    if not any(file.endswith(".safetensors") for file in files):
        refuse_pickles([file for file in files if any(Path(file).match(kind) for kind in PICKLES)], name)
    folder = snapshot_download(name, allow_patterns=FETCHED, ignore_patterns=list(OTHER_FORMS), etag_timeout=20)
    return Path(folder), Path(folder).name


def _kept(name: str, revision: str | None, ignore: tuple[str, ...] = ("*/*",), encoder: bool = False) -> Path | None:
    """This machine's complete copy of a hub model, or None."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=FETCHED, ignore_patterns=list(ignore), local_files_only=True
            )
        )
        if not encoder:
            check_folder(folder, name)
    except Exception:  # whatever is wrong with the copy, it cannot be used; the hub's own error is then raised
        return None
    return folder


def _gguf_config(header: Header) -> SimpleNamespace:
    """As much of a config as `fit` asks for, from GGUF metadata (names: ggml's docs/gguf.md)."""
    data = header.metadata
    kind = data.get("general.architecture", "")

    def get(key, default=None):
        found = data.get(f"{kind}.{key}", default)
        return max(found) if isinstance(found, list) and found else found

    heads = get("attention.head_count", 1)
    width = get("embedding_length", 1)
    layers = get("block_count", 1)
    config = SimpleNamespace(
        model_type=kind,
        vocab_size=get("vocab_size") or data.get("tokenizer.ggml.tokens", 32000),
        hidden_size=width,
        num_attention_heads=heads,
        num_key_value_heads=get("attention.head_count_kv", heads),
        head_dim=get("attention.key_length") or width // heads,
        num_hidden_layers=layers,
        layer_types=None,
        sliding_window=None,
        tie_word_embeddings=True,
        torch_dtype=None,
    )
    config.get_text_config = lambda decoder=True: config
    return config
