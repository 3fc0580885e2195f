"""An encoder from its folder with a new head; and which of its layers are trained."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ....errors import ModelError, UsageError
from ....models import weights
from ....models.base import say
from ....models.files.headers import read_safetensors
from ....models.files.names import encoder_folder
from ....models.files.sources import fetch_encoder, refuse_code_in, weight_files
from ....models.problems import quiet
from .families import family_of

# one of them is in every folder with a tokenizer; without any, transformers makes an empty one that knows no word
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


def load(encoder: str, task: str, labels: list[str], seed: int, attention: str):
    """(module, tokenizer) of an encoder with a new head, its first weights drawn from ``seed``.

    Raises
    ------
    ModelError
        The encoder is not there, its files are missing, damaged or not its own, or its attention cannot take the mask.
    """
    import transformers

    source = encoder_folder(encoder)
    folder = fetch_encoder(encoder)[0] if source.kind == "hub" else source.path
    if not (Path(folder) / "config.json").is_file():
        raise ModelError(f"{encoder} has no config.json, so it is no encoder's folder: give one of AutoModel's")
    refuse_code_in(folder, encoder)
    config = transformers.AutoConfig.from_pretrained(
        folder, num_labels=len(labels), id2label=dict(enumerate(labels)),
        label2id={name: i for i, name in enumerate(labels)}, local_files_only=True,
    )  # fmt: skip
    family = family_of(config)
    tensors = read_safetensors(weight_files(Path(folder), encoder)[0]).tensors  # a file cut short is named here
    if not any(any(Path(folder).glob(kind)) for kind in _TOKENIZERS):
        raise ModelError(f"{encoder} has no tokenizer (tokenizer.json or vocab.txt): save the model's own beside it")
    if attention not in ("sdpa", "eager"):
        raise UsageError(f"attention {attention!r} takes no visible matrix: choose sdpa or eager")
    if family.name == "modernbert":
        config.classifier_pooling = "cls"  # card: the classifier reads [CLS]; mean pooling needs the plain mask
    kind = "AutoModelForTokenClassification" if task == "tokens" else "AutoModelForSequenceClassification"
    generator = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        with quiet():
            module = weights.read(
                getattr(transformers, kind), folder, tensors, encoder, _say_once, new=_new, config=config,
                local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32,
                attn_implementation=attention if attention in family.attention else "eager",
            )  # fmt: skip
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, RuntimeError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{encoder} cannot be loaded ({said}): is its folder complete?") from error
    finally:
        torch.random.set_rng_state(generator)
    return module, tokenizer


def _new(module) -> tuple[str, ...]:
    """The head is new, and some checkpoints leave the pooler out; anything else missing would be a random encoder."""
    base = module.base_model_prefix + "."
    heads = {key.split(".")[0] + "." for key, _ in module.named_parameters() if not key.startswith(base)}
    return (*heads, base + "pooler.", "pooler.")


@cache
def _say_once(line: str, harmless: bool = False) -> None:
    """A study loads its encoder many times."""
    say(line)


@contextmanager
def met_rows(module, ids: np.ndarray) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
    """Inside, the encoder's table of tokens has the rows of ``ids`` and the pad token only; gives ids -> rows.

    A token that no text holds has no gradient, and Adam without weight decay leaves it as it is: the result is
    the same. Zeroing, adding up and stepping over the other rows (30,000 of MiniLM's, half of all its weights) is a
    fifth of the training's time.
    """
    table = module.get_input_embeddings()
    rows = np.unique(ids if table.padding_idx is None else [*ids, table.padding_idx])
    pad = None if table.padding_idx is None else int(np.searchsorted(rows, table.padding_idx))
    kept = torch.from_numpy(rows).long().to(table.weight.device)
    small = torch.nn.Embedding(len(rows), table.embedding_dim, padding_idx=pad, _weight=table.weight.detach()[kept])
    small.weight.requires_grad_(table.weight.requires_grad)
    module.set_input_embeddings(small)
    try:
        yield lambda found: torch.from_numpy(np.searchsorted(rows, found.numpy()))
    finally:
        with torch.no_grad():
            table.weight[kept] = small.weight
        module.set_input_embeddings(table)


def freeze(module, layers: int | None) -> None:
    """Leave only the head and the top ``layers`` layers to train."""
    if layers is None:
        return
    base = module.base_model
    stack = next((m for m in base.modules() if isinstance(m, torch.nn.ModuleList) and len(m) > 0), None)
    n = 0 if stack is None else len(stack)
    if not 0 <= layers <= n:
        raise UsageError(f"train_layers={layers} is not between 0 and {n}, the encoder's layers: choose one of them")
    base.requires_grad_(False)
    for layer in list(stack)[n - layers :]:
        layer.requires_grad_(True)
    pooler = getattr(base, "pooler", None)
    if pooler is not None:
        pooler.requires_grad_(True)
