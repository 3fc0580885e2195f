"""`KBert`: a supported encoder with a head for texts, pairs or words, fed through `inject`, trained by HF's Trainer."""

import json
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ....errors import DataError, ModelError, UsageError
from ....files import write_json
from ....models.base import say
from ....models.device import pick_device
from ....models.problems import advice, quiet
from ..injection.collate import KnowledgeCollator, check_mask
from ..injection.tree import Injected, KnowledgeBatch, inject
from ..settings import SETTINGS, KBertSettings
from .encoders import freeze, load, met_rows

TASKS = ("text", "pair", "tokens")
FILE = "kbert.json"


@dataclass(frozen=True)
class Prediction:
    """What the model says of N texts.

    Attributes
    ----------
    labels
        N labels; for tokens N lists, one label a word: None for a word that the model never saw.
    probabilities
        (N, C) float32; for tokens a list of N arrays (words, C), nan for a word that the model never saw.
    unread
        How many words the model never saw: the length limit cut them off, or the tokenizer has no token for them.
    """

    labels: list
    probabilities: np.ndarray | list[np.ndarray]
    unread: int = 0


@dataclass(frozen=True)
class Look:
    """One text from inside: T tokens, L layers, H heads.

    Attributes
    ----------
    item
        The injected text.
    probabilities
        (C,), or (words, C) for tokens; nan for words that the model never saw.
    attention
        (L, H, T, T) float32; row i holds what token i takes from each other token and sums to 1.
    """

    item: Injected
    probabilities: np.ndarray
    attention: np.ndarray


class KBert:
    """An encoder that reads texts with a graph's triples in them.

    Parameters
    ----------
    encoder
        "minilm" (embedded), a folder, or a hub id; safetensors only. Families: `families.FAMILIES`.
    labels
        The names of the C classes; for ``task="tokens"`` IOB2 tags.
    task
        "text", "pair" (two texts, one label), or "tokens" (texts as lists of words, one label a word).
    graph
        None reads plain texts: the arm "BERT".
    settings
        `KBertSettings`; ``soft_position`` and ``visible_matrix`` are the switches of the ablation.
    seed
        Of the head's first weights and of training; None takes the settings'.
    attention
        "sdpa", or "eager"; a family that only has eager gets it.
    train_layers
        None trains everything; n trains the head and the top n layers.

    Attributes
    ----------
    module, tokenizer, labels, graph, settings
        The torch module (an AutoModelFor…), its tokenizer, and what it was made with.

    Raises
    ------
    ModelError
        The encoder cannot be loaded, or its attention cannot take the mask.
    UsageError
        An unknown task, or fewer than two different labels.
    """

    def __init__(
        self, encoder: str = "minilm", *, labels: Sequence[str], task: str = "text", graph=None,
        settings: KBertSettings = SETTINGS, seed: int | None = None, attention: str = "sdpa",
        train_layers: int | None = None, device: str = "auto",
    ):  # fmt: skip
        if task not in TASKS:
            raise UsageError(f"task {task!r} is unknown: choose one of {', '.join(TASKS)}")
        labels = [str(label) for label in labels]
        if len(labels) < 2 or len(set(labels)) < len(labels):
            raise UsageError(f"labels are {labels!r}: give at least two different names")
        self.encoder, self.labels, self.task, self.graph = str(encoder), labels, task, graph
        self.settings = settings if seed is None else replace(settings, seed=seed)
        self.train_layers, self.device = train_layers, pick_device(device)
        with advice(self.encoder):
            self.module, self.tokenizer = load(self.encoder, task, labels, self.settings.seed, attention)
        self.module.to(self.device).eval()
        self.collator = KnowledgeCollator.of(self.module.config, penalty=self.settings.penalty)
        self.module.register_forward_pre_hook(_guard, with_kwargs=True)
        freeze(self.module, self.train_layers)

    def __repr__(self) -> str:
        knowledge = "no graph" if self.graph is None else self.graph.name
        return f"<K-BERT {self.encoder}, {self.task}, {len(self.labels)} labels, {knowledge}>"

    def inject(self, texts, pairs=None) -> KnowledgeBatch:
        """`inject` with this model's graph, tokenizer and settings, cut to the encoder's positions."""
        if (pairs is not None) != (self.task == "pair"):
            wants = (
                "needs second texts: give pairs=" if self.task == "pair" else "takes no second texts: leave pairs out"
            )
            raise UsageError(f"a model with task={self.task!r} {wants}")
        s, places = self.settings, self.collator.positions
        longest = s.max_length if places is None else min(s.max_length, places - self.collator.first)
        return inject(
            texts, self.graph, self.tokenizer, pairs=pairs, max_branches=s.max_branches, max_length=longest,
            soft_position=s.soft_position, visible_matrix=s.visible_matrix, template=s.template,
        )  # fmt: skip

    def fit(
        self, texts, targets, *, pairs=None, epochs: int | None = None, learning_rate: float | None = None,
        batch_size: int | None = None, seed: int | None = None, folder: str | Path | None = None,
        progress: bool = False,
    ) -> list[float]:  # fmt: skip
        """Train with Hugging Face's Trainer (AdamW, linear schedule with warm-up) and stay in memory.

        Parameters
        ----------
        texts, pairs
            As `inject` takes them.
        targets
            N label names; for tokens N lists, one name a word.
        epochs, learning_rate, batch_size, seed
            None takes the settings'.
        folder
            Where Trainer leaves a safetensors checkpoint after each epoch; None keeps nothing on disk.

        Returns
        -------
        list of float
            The training loss of each step.

        Raises
        ------
        DataError
            No text, or a target that is no label, or not one a text (a word).
        UsageError
            A size that makes no sense; second texts where the task has none, or none where it has.
        """
        from transformers import Trainer, TrainingArguments, set_seed

        s = self.settings
        seed = s.seed if seed is None else seed
        epochs = s.epochs if epochs is None else epochs
        size = s.batch_size if batch_size is None else batch_size
        rate = s.learning_rate if learning_rate is None else learning_rate
        if epochs < 1 or size < 1 or not 0 <= rate < float("inf"):
            raise UsageError(
                f"epochs={epochs}, batch_size={size}, learning_rate={rate}: give at least 1 of the first two, and a "
                "rate that is not negative"
            )
        batch = self.inject(texts, pairs)
        if not len(batch):
            raise DataError("there is no text to train on: give some")
        data = _Rows(batch, self._numbers(batch, targets))
        if self.task == "tokens" and batch.unread:
            say(f"{batch.unread} words are beyond the length limit or have no token: their labels are not learnt")
        steps = epochs * -(-len(data) // size)
        with tempfile.TemporaryDirectory() as scratch, quiet():
            arguments = TrainingArguments(
                output_dir=str(folder or scratch), num_train_epochs=epochs, per_device_train_batch_size=size,
                learning_rate=rate, warmup_steps=int(s.warmup * steps), seed=seed,
                logging_steps=1, report_to=[], save_strategy="epoch" if folder else "no", save_only_model=True,
                remove_unused_columns=False, disable_tqdm=not progress, dataloader_pin_memory=False,
                use_cpu=self.device.type == "cpu",
            )  # fmt: skip
            set_seed(seed)
            # a checkpoint needs the whole table of tokens, so with a folder it stays
            table = nullcontext() if folder else met_rows(self.module, np.append(batch.ids, self.collator.pad_id))
            with table as rows:
                collator = self.collator if folder else lambda some: _in_rows(self.collator(some), rows)
                trainer = Trainer(self.module, arguments, train_dataset=data, data_collator=collator)
                if not progress:
                    from transformers.trainer_callback import PrinterCallback

                    trainer.remove_callback(PrinterCallback)
                trainer.train()
            for pickle in Path(folder or scratch).rglob("training_args.bin"):
                pickle.unlink()  # Trainer's own settings; a folder of weights holds no pickles here
        self.module.to(self.device).eval()
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    def predict(self, texts, pairs=None, *, batch_size: int = 32) -> Prediction:
        """The labels of texts, in their order.

        Raises
        ------
        DataError
            As `inject`.
        UsageError
            ``batch_size`` is below 1; second texts where the task has none, or none where it has.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size={batch_size} is too small: give at least 1")
        batch = self.inject(texts, pairs)
        order = np.argsort(batch.lengths, kind="stable")  # texts of a length together: less padding, the same numbers
        found: list = [None] * len(batch)
        tags: list = [None] * len(batch)
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size].tolist()
            items = [batch[i] for i in chosen]
            for i, item, logits in zip(chosen, items, self._forward(items).logits.float()):
                found[i] = self._probabilities(item, logits)
                if self.task == "tokens":
                    tags[i] = self._tags(item, found[i])
        if self.task == "tokens":
            return Prediction(tags, found, batch.unread)
        probabilities = np.stack(found) if found else np.zeros((0, len(self.labels)), np.float32)
        return Prediction([self.labels[i] for i in probabilities.argmax(-1)] if found else [], probabilities)

    def look(self, text, pair=None) -> Look:
        """One text from inside, with its attention (computed in eager mode)."""
        item = self.inject([text], None if pair is None else [pair])[0]
        before = self.module.config._attn_implementation
        try:
            self.module.set_attn_implementation("eager")
            output = self._forward([item], output_attentions=True)
        finally:
            self.module.set_attn_implementation(before)
        attention = torch.cat(output.attentions).float().cpu().numpy()
        return Look(item, self._probabilities(item, output.logits[0].float()), attention)

    def save(self, folder: str | Path) -> Path:
        """Write weights (safetensors), tokenizer and kbert.json into ``folder``. The graph is not written."""
        folder = Path(folder)
        with quiet():
            self.module.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        graph = None if self.graph is None else self.graph.fingerprint
        write_json(
            folder / FILE,
            {"encoder": self.encoder, "task": self.task, "labels": self.labels, "settings": asdict(self.settings),
             "train_layers": self.train_layers, "graph": graph},
        )  # fmt: skip
        return folder

    @classmethod
    def open(cls, folder: str | Path, graph=None, *, attention: str = "sdpa", device: str = "auto") -> "KBert":
        """A model that `save` wrote, with the graph it was trained with.

        Raises
        ------
        ModelError
            ``folder`` holds no K-BERT, or ``graph`` is not the one it was trained with.
        """
        try:
            facts = json.loads((Path(folder) / FILE).read_text())
            settings = KBertSettings(**facts["settings"])
            task, labels, print_, layers = (facts[name] for name in ("task", "labels", "graph", "train_layers"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} is no folder that KBert.save wrote ({error}): give one") from error
        if print_ != (None if graph is None else graph.fingerprint):
            wanted = "no graph" if print_ is None else "another graph"
            raise ModelError(f"{folder} was trained with {wanted}: give the same, or train anew")
        model = cls(
            str(folder), labels=labels, task=task, graph=graph, settings=settings, attention=attention,
            train_layers=layers, device=device,
        )  # fmt: skip
        model.encoder = facts["encoder"]
        return model

    # --- underneath -------------------------------------------------------------------------------------------------

    def _forward(self, items, **options):
        batch = _to(self.collator(items), self.device)
        with torch.inference_mode():
            return self.module(**batch, **options)

    def _probabilities(self, item: Injected, logits: torch.Tensor) -> np.ndarray:
        shares = logits.softmax(-1).cpu().numpy()
        if self.task != "tokens":
            return shares
        result = np.full((len(item.text), len(self.labels)), np.nan, np.float32)
        words, first = np.unique(item.words, return_index=True)
        result[words[words >= 0]] = shares[first[words >= 0]]
        return result

    def _tags(self, item: Injected, rows: np.ndarray) -> list[str | None]:
        read = set(item.words.tolist())
        return [self.labels[int(row.argmax())] if word in read else None for word, row in enumerate(rows)]

    def _numbers(self, batch: KnowledgeBatch, targets) -> list:
        places = {name: i for i, name in enumerate(self.labels)}
        targets = list(targets)
        if len(targets) != len(batch):
            raise DataError(f"there are {len(batch)} texts and {len(targets)} targets: give each text its own")
        try:
            if self.task != "tokens":
                return [places[target] for target in targets]
            for number, (words, target) in enumerate(zip(batch.texts, targets), 1):
                if len(words) != len(target):
                    raise DataError(f"text {number} has {len(words)} words and {len(target)} labels: give one a word")
            return [[places[tag] for tag in target] for target in targets]
        except (KeyError, TypeError) as error:
            raise DataError(f"{error} is not among the labels {', '.join(self.labels[:8])}: mend it") from error


class _Rows(torch.utils.data.Dataset):
    """Items with their labels; items are views, made when asked for."""

    def __init__(self, batch: KnowledgeBatch, labels: list):
        self.batch, self.labels = batch, labels

    def __len__(self) -> int:
        return len(self.batch)

    def __getitem__(self, number: int) -> dict:
        return {"item": self.batch[number], "label": self.labels[number]}


def _guard(module, arguments, options):
    """Refuse a mask that attention would silently get wrong; a module in half precision adds one of its own kind."""

    def fit(mask):
        return check_mask(mask).to(module.dtype) if mask is not None and mask.dim() > 2 else mask

    masks = options.get("attention_mask")
    masks = {name: fit(mask) for name, mask in masks.items()} if isinstance(masks, dict) else fit(masks)
    return arguments, options | {"attention_mask": masks}


def _in_rows(batch: dict, rows) -> dict:
    return batch | {"input_ids": rows(batch["input_ids"])}


def _to(batch: dict, device) -> dict:
    return {k: _to(v, device) if isinstance(v, dict) else v.to(device) for k, v in batch.items()}
