"""Encoder-decoder models (T5 and its kind): a text in, other texts out, with their log-probabilities.

For ReProver's generators alone: everything else in the workbench works on causal language models (`load`). The rules
of loading are the same: safetensors or refused, no code from the files, every weight held against its file.
"""

import os
from collections.abc import Sequence

import torch

from ..errors import ModelError
from . import weights
from .base import Generation, check_options, check_text, say
from .device import pick_device, pick_dtype
from .files.headers import read_safetensors
from .files.names import resolve
from .files.sources import check_folder, fetch_encoder, folder_content, weight_files
from .problems import advice, quiet
from .runlog import note


class NoEncoderDecoder(ModelError):
    """What was named is a model of another kind."""


TOKENS = 16_384  # of a batch, pads and beams included


class Seq2Seq:
    """An encoder-decoder with its weights in this process; made by `load_seq2seq`.

    Attributes
    ----------
    name : str
        As given.
    module, tokenizer
        Those of transformers; the module is in eval mode.
    identity : str
        "commit:…" of a hub model, "sha256:…" over the folder's files otherwise.
    """

    def __init__(self, module: torch.nn.Module, tokenizer, *, name: str, identity: str) -> None:
        self.module, self.tokenizer, self.name, self.identity = module, tokenizer, name, identity

    def __repr__(self) -> str:
        return f"<workbench encoder-decoder {self.name}: {self.identity[:19]}>"

    @property
    def device(self) -> torch.device:
        return self.module.get_input_embeddings().weight.device

    @torch.no_grad()
    def generate(
        self, texts: Sequence[str], n: int = 1, *, max_new_tokens: int, most_read: int | None = None
    ) -> list[list[Generation]]:
        """The ``n`` likeliest answers to each text, by beam search of ``n`` beams without a length penalty.

        Parameters
        ----------
        texts
            What the encoder reads.
        n : int
            Beams and answers.
        max_new_tokens : int
            The most tokens an answer may have.
        most_read : int, optional
            Longer texts lose their *beginning*: what stands at the end matters most here.

        Returns
        -------
        For each text at most ``n`` `Generation`, best first, no text twice. ``logprob`` is the sum over the answer's
        tokens, its end included, computed in a forward of its own.

        Raises
        ------
        ModelError
            An option out of range, half a character in a text, or logits that are not numbers.
        """
        check_options(texts, max_new_tokens=max_new_tokens, temperature=0.0, top_k=0, top_p=1.0, n=n, stop=())
        for text in texts:
            check_text(text)
        ids = [self.tokenizer(text).input_ids[-(most_read or 0) :] for text in texts]
        answers: list[list[Generation]] = [[] for _ in texts]
        with advice(self.name, doing="generating"):
            for batch in _batches(ids, n, max_new_tokens):
                inputs, mask = self._padded([ids[place] for place in batch])
                found = self.module.generate(
                    inputs,
                    attention_mask=mask,
                    num_beams=n,
                    num_return_sequences=n,
                    max_new_tokens=max_new_tokens,
                    do_sample=False,
                    length_penalty=0.0,
                    early_stopping=False,
                )  # (B * n, T), the decoder's start token first
                sums = self._logprobs(inputs, mask, found, n)
                for row, total in enumerate(sums.tolist()):
                    place = batch[row // n]
                    answers[place].append(self._generation(found[row], total, len(ids[place])))
        return [_best(some) for some in answers]

    def _padded(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest, pad = max(map(len, rows)), self.module.config.pad_token_id or 0
        inputs = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self.device)
        return inputs, mask

    def _logprobs(self, inputs, mask, found, n: int) -> torch.Tensor:
        """(B * n,) log-probabilities of the answers up to and with their end."""
        logits = self.module(
            input_ids=inputs.repeat_interleave(n, 0),
            attention_mask=mask.repeat_interleave(n, 0),
            decoder_input_ids=found[:, :-1],
        ).logits.float()  # (B * n, T - 1, V)
        if not torch.isfinite(logits).all():
            raise ModelError(f"{self.name} gave logits that are not numbers: its weights are damaged; use another")
        each = logits.log_softmax(-1).gather(2, found[:, 1:, None]).squeeze(2)
        return (each * (torch.arange(each.shape[1], device=each.device) < self._lengths(found)[:, None])).sum(1)

    def _lengths(self, found) -> torch.Tensor:
        """Tokens of each answer, its end included, behind the start token: what follows is padding."""
        ends = found[:, 1:] == self.module.config.eos_token_id
        first = ends.int().argmax(1) + 1
        return torch.where(ends.any(1), first, torch.full_like(first, found.shape[1] - 1))

    def _generation(self, row: torch.Tensor, total: float, read: int) -> Generation:
        tokens = row[1 : 1 + int(self._lengths(row[None])[0])].tolist()
        finish = "eos" if tokens and tokens[-1] == self.module.config.eos_token_id else "length"
        return Generation(self.tokenizer.decode(tokens, skip_special_tokens=True), tokens, finish, read, total)


def load_seq2seq(name: str | os.PathLike, *, device="auto", dtype="auto") -> Seq2Seq:
    """Load an encoder-decoder model.

    Parameters
    ----------
    name
        A folder that save_pretrained wrote, or a hub id such as "kaiyuy/leandojo-lean4-tacgen-byt5-small". Only a hub
        id opens a connection.
    device, dtype
        As in `workbench.load`.

    Raises
    ------
    ModelError
        No such model, weights only as pickles, missing weights, code in its files, no encoder-decoder.
    """
    name = os.fspath(name) if isinstance(name, os.PathLike) else name
    source = resolve(name)
    if source.kind == "gguf":
        raise NoEncoderDecoder(f"{name} is a GGUF file, not an encoder-decoder: give a folder or a hub id")
    with advice(name):
        if source.kind == "hub":
            folder, commit = fetch_encoder(name)
        else:
            folder, commit = source.path, None
        check_folder(folder, name)
        from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if not getattr(config, "is_encoder_decoder", False):
            raise NoEncoderDecoder(
                f"{name} is a {config.model_type}, not an encoder-decoder: open it with workbench.load"
            )
        header = read_safetensors(weight_files(folder, name)[0])
        place = pick_device(device)
        options = {"config": config, "dtype": pick_dtype(dtype, place, header, None), "local_files_only": True,
                   "trust_remote_code": False, "use_safetensors": True}  # fmt: skip
        with quiet():
            module = weights.read(
                AutoModelForSeq2SeqLM, folder, header.tensors, name, lambda line, harmless=False: say(line), **options
            ).to(place)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        weights.compare_tokenizer(tokenizer, module, name, [])
    identity = f"commit:{commit}" if commit else f"sha256:{folder_content(folder, name)}"
    where = f"hub: {name}" if commit else f"folder: {folder}"
    note({"name": str(name), "source": where, "identity": identity, "sha256": None if commit else identity[7:]})
    return Seq2Seq(module.eval(), tokenizer, name=str(name), identity=identity)


def _batches(ids: Sequence[list[int]], n: int, more: int) -> list[list[int]]:
    """Places of texts that are decoded together: the longest first, at most `TOKENS` a batch."""
    batches: list[list[int]] = []
    room = 0
    for place in sorted(range(len(ids)), key=lambda place: -len(ids[place])):
        if room < 1:
            batches.append([])
            room = max(1, TOKENS // ((len(ids[place]) + more) * n))
        batches[-1].append(place)
        room -= 1
    return batches


def _best(answers: Sequence[Generation]) -> list[Generation]:
    """Best first; of two spellings of one text the likelier."""
    ranked = sorted(answers, key=lambda one: -one.logprob)
    return [one for place, one in enumerate(ranked) if one.text not in {other.text for other in ranked[:place]}]
