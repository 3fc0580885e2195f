"""Sentence encoders: texts to vectors, through sentence-transformers."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import ModelError
from ..files import run_folder
from . import weights
from .base import say
from .device import pick_device
from .files.headers import read_safetensors
from .files.names import Source, encoder_folder
from .files.sources import PICKLES, fetch_encoder, refuse_code_in, refuse_pickles, weights_in
from .problems import advice, quiet
from .runlog import encoder_hash, note_encoder

BARE = ("Normalize", "Dropout", "Asym", "Router", "StaticEmbedding")  # parts that may have no config.json, or several
TRAINED = ("Dense", "LayerNorm", "LSTM", "CNN", "WeightedLayerPooling")  # parts with weights of their own


class Encoder:
    """A sentence encoder; made by `workbench.load_encoder`.

    Attributes
    ----------
    name
        As given.
    module
        The transformer's torch module, for those who need token states or gradients.
    tokenizer
        Its tokenizer.
    width
        H, the length of a vector.
    identity
        "commit:…" of a hub model, "sha256:…" of the weights otherwise.
    """

    def __init__(self, inner, *, name: str, identity: str):
        self._inner = inner
        self.name = name
        self.identity = identity
        self.module = inner[0].auto_model.eval()
        self.tokenizer = inner.tokenizer

    def __repr__(self) -> str:
        return f"<workbench encoder {self.name}: {self.width} numbers a text, {self.identity[:19]}>"

    @property
    def width(self) -> int:
        return int(self._inner.encode(["x"], show_progress_bar=False).shape[-1])

    @property
    def device(self):
        return self._inner.device

    def checksum(self) -> str:
        """16 hexadecimal digits of the weights as they are now (`weights.checksum`)."""
        return weights.checksum(self._inner)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, as the encoder's own pooling and normalisation define them.

        Parameters
        ----------
        texts
            Any number of texts; an empty text has a vector too (that of the special tokens alone). Texts longer than
            the encoder reads are cut, as it was trained.

        Returns
        -------
        (N, H) float32 array, rows in the order of ``texts``.

        Raises
        ------
        ModelError
            ``texts`` is one text, or holds something that is not text.
        """
        if isinstance(texts, str):
            raise ModelError("texts is a list of texts, not one text: write [text]")
        texts = list(texts)
        wrong = [text for text in texts if not isinstance(text, str)]
        if wrong:
            raise ModelError(f"an encoder reads texts, not {type(wrong[0]).__name__} ({wrong[0]!r})")
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        with advice(self.name, doing="embedding"):
            found = self._inner.encode(texts, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(found, dtype=np.float32)

    def tensor(self, texts: Sequence[str]):
        """What `embed` gives, as a torch tensor (N, H) with its gradients, for those who train the encoder."""
        inputs = self._inner.tokenize(list(texts))
        on = {key: value.to(self.device) if hasattr(value, "to") else value for key, value in inputs.items()}
        return self._inner(on)["sentence_embedding"]

    def save(self, folder: str | os.PathLike) -> Path:
        """Write the encoder as it is now; `load_encoder` reads the folder."""
        self._inner.save(str(folder), safe_serialization=True)
        return Path(folder)


def load_encoder(name: str | os.PathLike = "minilm", *, device="auto") -> Encoder:
    """Load a sentence encoder.

    Parameters
    ----------
    name
        "minilm" (embedded all-MiniLM-L6-v2), a folder, or a hub id. Only a hub id opens a connection.
    device
        As in `workbench.load`.

    Raises
    ------
    ModelError
        The package, folder or hub model is missing, damaged, or has its weights only as pickles.
    """
    name = os.fspath(name) if isinstance(name, os.PathLike) else name
    source: Source = encoder_folder(name)
    with advice(name):
        if source.kind == "hub":
            folder, commit = fetch_encoder(name)
        else:
            folder, commit = source.path, None
        if not (folder / "config.json").exists() and not (folder / "modules.json").exists():
            raise ModelError(f"{name} has neither modules.json nor config.json, so it is no encoder's folder")
        refuse_code_in(folder, name)
        files = sorted(folder.rglob("*.safetensors"))
        if not files:
            refuse_pickles([file.name for kind in PICKLES for file in folder.rglob(kind)], name)
            raise ModelError(f"{name} has no *.safetensors weights: is the download complete?")
        # a file cut short is named here, before a library trips over it
        headers = {
            place: read_safetensors(weights_in(place, name)).tensors for place in {file.parent for file in files}
        }
        _refuse_parts(folder, headers, name)
        mapping = weights.key_mapping(key for tensors in headers.values() for key in tensors)
        with quiet():
            from sentence_transformers import SentenceTransformer

            inner = SentenceTransformer(
                str(folder),
                device=str(pick_device(device)),
                local_files_only=True,
                trust_remote_code=False,
                # (other shapes are refused below, by name)
                model_kwargs={"use_safetensors": True, "ignore_mismatched_sizes": True}
                | ({"key_mapping": mapping} if mapping else {}),
            )
        if getattr(inner[0], "auto_model", None) is None:
            raise ModelError(
                f"{name} begins with a {type(inner[0]).__name__} and not with a transformer, so it has no token states "
                "to work on: choose an encoder whose modules.json begins with a Transformer"
            )
        if mapping:
            say(weights.wrapped((key for tensors in headers.values() for key in tensors), name))
        for place, part in _parts(inner, folder):
            tensors = headers.get(place, {})
            module = getattr(part, "auto_model", part)
            if not tensors and list(part.parameters()):
                refuse_pickles([file.name for kind in PICKLES for file in place.glob(kind)], name)
            _verify(module, tensors, name)
    identity = f"commit:{commit}" if commit else f"sha256:{encoder_hash(folder)}"
    if run_folder() is not None:
        note_encoder(name)
    return Encoder(inner, name=str(name), identity=identity)


def _refuse_parts(folder: Path, headers: dict, name: str) -> None:
    """Name what a part of modules.json lacks, before sentence-transformers trips over it."""
    if not (folder / "modules.json").is_file():
        return
    for part in json.loads((folder / "modules.json").read_text(encoding="utf-8")):
        kind, place = str(part.get("type", "")).rpartition(".")[2], folder / str(part.get("path", ""))
        if kind in BARE:
            continue
        if kind != "Transformer" and not (place / "config.json").is_file():
            raise ModelError(f"{name} lacks the config.json of its {kind} ({place.name}/): fetch or save it again")
        if kind in TRAINED and not any(place.samefile(other) for other in headers):
            refuse_pickles([file.name for file in sorted(place.iterdir()) if file.suffix in (".bin", ".pt")], name)
            raise ModelError(
                f"{name} lacks the weights of its {kind} ({place.name}/model.safetensors): fetch or save it again"
            )


def _parts(inner, folder: Path) -> list[tuple[Path, object]]:
    """The encoder's modules, each with the folder its weights are in."""
    if not (folder / "modules.json").is_file():
        return [(folder, part) for part in inner][:1]
    listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    return [(folder / str(one.get("path", "")), part) for one, part in zip(listed, inner, strict=False)]


def _verify(module, tensors: dict, name: str) -> None:
    """`weights.verify` for a module that sentence-transformers has read; no vector uses the pooler, which may lack."""
    new = ("pooler.",) if hasattr(module, "base_model_prefix") else ()
    told = {}
    if getattr(module, "_weight_conversions", None):  # renamed on the way in: transformers' own lists are needed
        folder = next(iter(tensors.values())).file.parent if tensors else None
        if folder is not None:
            _, told = type(module).from_pretrained(
                folder, output_loading_info=True, use_safetensors=True, local_files_only=True,
                key_mapping=weights.key_mapping(tensors),
            )  # fmt: skip
    weights.verify(module, tensors, told, name, lambda line, harmless=False: say(line), new=new)
