"""From a name to files on this disk: what is fetched from the hub, what is checked before any library reads it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ...errors import ModelError
from ..base import say
from ..device import BIG
from ..problems import advice, explain
from .cache import content_hash, size_text
from .headers import Header, dtype_bytes, parse_json, read_gguf, read_safetensors
from .names import Source, resolve

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
# what is fetched of a hub model: never a pickle, never code
FETCHED = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.tiktoken"]
TWICE = "consolidated*.safetensors"  # Mistral's own form of the same weights
OTHER_FORMS = ("onnx/*", "openvino/*")  # of an encoder: the same weights for other engines
BROUGHT = ("auto_map", "custom_code")
SMALL = (".json", ".jinja", ".txt", ".model")  # of a folder's files, what is read beside the weights
OBJECTS = {  # the JSON files that libraries read as objects of names and values
    "config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.json", "adapter_config.json", "sentence_bert_config.json", "config_sentence_transformers.json",
}  # fmt: skip
JSON_BYTES = 2**28  # of one JSON file at most; the longest tokenizers have some 40 MB


@dataclass(frozen=True)
class Outline:
    """A model before its weights are read: where it is, its config, what its weight headers say."""

    name: str
    source: Source
    folder: Path | None  # None for a GGUF file
    config: Any
    header: Header
    commit: str | None = None
    notes: tuple[str, ...] = ()  # what the report should say about the files

    def content(self) -> str:
        """What pins the weights down: "commit" of a hub model, else a hash over the files' content."""
        if self.commit:
            return self.commit
        if self.folder is None:
            return self.source.sha256 or content_hash(self.source.path)
        return folder_content(self.folder, self.name)


def folder_content(folder: Path, name: str) -> str:
    """A hash over the files of a model's folder: its weights and what is read beside them."""
    total, read = hashlib.sha256(), set(weight_files(folder, name)[0])
    for file in sorted(folder.iterdir()):
        known = file in read if file.suffix == ".safetensors" else file.suffix in SMALL
        if known and file.is_file():
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
    files, notes = weight_files(folder, name)
    return Outline(name, source, folder, _config(folder, name), read_safetensors(files), commit, notes)


def weight_files(folder: Path, name: str) -> tuple[list[Path], tuple[str, ...]]:
    """The weight files that transformers reads of a folder, which may hold more (a second form of the same weights).

    Returns
    -------
    The files, and a sentence where there are two forms to choose from.
    """
    given = read_json(folder / "config.json", name).get("transformers_weights")
    if given is not None and (not isinstance(given, str) or Path(given).name != given):
        raise ModelError(f"{name}: its config.json names {given!r} as its weights, which is no file of its folder")
    single = folder / (given or "model.safetensors")
    index = folder / "model.safetensors.index.json" if given is None else single
    sharded = index.is_file() and index.name.endswith(".index.json")
    if single.is_file() and single.suffix == ".safetensors":
        both = f"{name} holds {single.name} and weights in parts ({index.name}): the former is read" if sharded else ""
        return [single], (both,) if both else ()
    present = {file.name for file in folder.glob("*.safetensors")}
    if not present:
        refuse_pickles([file.name for kind in PICKLES for file in folder.glob(kind)], name)
        raise ModelError(f"{name} has a config.json but no *.safetensors weights: is the download complete?")
    if not sharded:
        raise ModelError(
            f"{name} has weights ({min(present)}) but neither model.safetensors nor model.safetensors.index.json, by "
            "which transformers finds them: rename the file, or save the model again"
        )
    listed = read_json(index, name).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(file, str) for file in listed.values()):
        raise ModelError(f"{name}: its {index.name} lists no weight files: fetch or save it again")
    wanted = sorted(set(listed.values()))
    lost = [file for file in wanted if file not in present]
    if lost:
        raise ModelError(
            f"{name} lacks {len(lost)} of its {len(wanted)} weight files (first {lost[0]}): fetch it again"
        )
    return [folder / file for file in wanted], ()


def weights_in(folder: Path, name: str) -> list[Path]:
    """`weight_files` of a part of an encoder, which may have no config.json of the usual kind."""
    if (folder / "model.safetensors").is_file() or not (folder / "config.json").is_file():
        return sorted(folder.glob("*.safetensors"))
    return weight_files(folder, name)[0]


def read_json(path: Path, name: str) -> dict:
    """A model's JSON file that holds one object.

    Raises
    ------
    ModelError
        It is damaged, too large, nested too deeply, or holds something else.
    """
    try:
        size = path.stat().st_size
        if size > JSON_BYTES:
            raise ValueError(f"it has {size_text(size)}")
        value = parse_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        said = getattr(error, "strerror", None) or error
        raise ModelError(f"{name}: its {path.name} is damaged ({said}): fetch or save it again") from error
    if not isinstance(value, dict):
        raise ModelError(
            f"{name}: its {path.name} holds a {type(value).__name__} and not an object of names and values: fetch or "
            "save it again"
        )
    return value


def check_files(folder: Path, name: str) -> None:
    """Refuse a folder whose files would hang a reader or break it: pipes and devices, JSON that does not parse.

    An adapter among a model's files would be applied by transformers without a word, so it is refused as well.

    Raises
    ------
    ModelError
        Naming the file.
    """
    for file in sorted(folder.iterdir()):
        if file.suffix in (*SMALL, ".safetensors", ".tiktoken") and not file.is_file() and not file.is_dir():
            what = "leads nowhere" if file.is_symlink() and not file.exists() else "is a pipe or a device"
            raise ModelError(f"{name}: its {file.name} {what} and no ordinary file: fetch or save it again")
        if file.name in OBJECTS and file.is_file():
            read_json(file, name)
    if (folder / "config.json").is_file() and (folder / "adapter_config.json").exists():
        raise ModelError(
            f"{name} holds an adapter (adapter_config.json) among the files of a model: move the adapter's files into "
            "a folder of their own and give it as adapter=, or leave them out"
        )


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
    if not (folder / "config.json").exists():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(f"{name} is an adapter, not a model: load its base model with adapter={str(folder)!r}")
        inner = sorted(path.parent.name for path in folder.glob("*/config.json"))
        hint = f" (there is one in {inner[0]}/)" if inner else ""
        raise ModelError(
            f"{name} has no config.json{hint}, so it is not a model folder: give the one that save_pretrained wrote"
        )
    check_files(folder, name)
    refuse_code(read_json(folder / "config.json", name), name)
    weight_files(folder, name)


def refuse_code(config: dict, name: str) -> None:
    """Refuse a config that points at code: Python files of its own, where transformers has not the architecture
    itself, or a kernel of the hub in place of an attention ("owner/kernel")."""
    from transformers import CONFIG_MAPPING

    for where, value in _chosen(config):
        if "/" in str(value):
            raise ModelError(
                f"{name}: its config.json wants {value!r} of the hub as {where}, code that the workbench never "
                f"fetches: take {where} out of config.json"
            )
    if any(config.get(key) for key in BROUGHT) and config.get("model_type") not in CONFIG_MAPPING:
        raise ModelError(
            f"{name} wants to run code that comes with its files, which the workbench never does: choose a model that "
            "transformers supports by itself"
        )


def _chosen(config) -> list[tuple[str, Any]]:
    """The implementations (of attention, of experts) that a config names, the configs inside it included."""
    if isinstance(config, list):
        return [pair for one in config for pair in _chosen(one)]
    if not isinstance(config, dict):
        return []
    own = [(key, value) for key, value in config.items() if isinstance(key, str) and "_implementation" in key]
    return own + [pair for value in config.values() for pair in _chosen(value)]


def refuse_code_in(folder: Path, name: str) -> None:
    """`check_files` and `refuse_code` for an encoder's folder and those of its parts, which must be
    sentence-transformers' own."""
    for place in sorted({folder, *(file.parent for file in folder.rglob("*config.json"))}):
        check_files(place, name)
        if (place / "config.json").is_file():
            refuse_code(read_json(place / "config.json", name), name)
    if (folder / "modules.json").is_file():
        try:
            parts = parse_json((folder / "modules.json").read_text(encoding="utf-8"))
            kinds = [str(part.get("type", "")) for part in parts]
        except (ValueError, AttributeError, TypeError) as error:
            raise ModelError(f"{name}: its modules.json is damaged ({error}): fetch or save it again") from error
        if not all(kind.startswith("sentence_transformers.") for kind in kinds):
            refuse_code({"auto_map": True}, name)


def refuse_pickles(files: list[str], name: str) -> None:
    """Pickled weights can run code when read."""
    if files:
        raise ModelError(
            f"{name} has its weights only as pickles ({sorted(files)[0]}), which can run code when read and are "
            "refused: convert it with save_pretrained(safe_serialization=True) where you trust it, or use a "
            "safetensors version"
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
    safe = {
        file: size for file, size in sizes.items() if Path(file).match("*.safetensors") and not Path(file).match(TWICE)
    }
    if not safe:
        refuse_pickles([file for file in sizes if any(Path(file).match(kind) for kind in PICKLES)], name)
        raise ModelError(f"{name} has no safetensors weights on the hub: choose a model that has")
    if weights and _kept(name, info.sha) is None and sum(safe.values()) > BIG:
        say(f"fetching {name} at {info.sha[:12]}: {size_text(sum(safe.values()))}")
    patterns = FETCHED if weights else [kind for kind in FETCHED if kind != "*.safetensors"]
    folder = Path(
        # by the name of the branch, so that a later load without network finds what the branch was
        snapshot_download(
            name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*", TWICE], etag_timeout=20
        )
    )
    commit = folder.name
    if weights:
        return _of_folder(name, source, folder, commit)
    found = HfApi().get_safetensors_metadata(name, revision=commit)
    counts = found.parameter_count
    size = sum(count * dtype_bytes(kind) for kind, count in counts.items())
    header = Header(sum(counts.values()), size, max(counts, key=counts.get), {})
    refuse_code(read_json(folder / "config.json", name), name)
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


def commit_of(name: str, revision: str | None = None) -> str | None:
    """The commit that a hub model's branch is at now: asked of the hub, else that of this machine's copy, or None."""
    from huggingface_hub import HfApi

    try:
        return HfApi().model_info(name, revision=revision, timeout=20).sha
    except Exception:  # whatever keeps the hub from answering: the copy here is what a run will take
        kept = _kept(name, revision, OTHER_FORMS, encoder=True)
        return None if kept is None else kept.name


def _kept(
    name: str, revision: str | None, ignore: tuple[str, ...] = ("*/*", TWICE), encoder: bool = False
) -> Path | None:
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
