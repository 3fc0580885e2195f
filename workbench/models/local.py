"""A model whose weights live in this process: the torch module of `transformers`, and the contract on top of it."""

from collections.abc import Sequence
from pathlib import Path

import torch

from ..errors import ModelError
from . import decode
from .base import Generation, Prompt, Scored, check_messages, check_options, check_text
from .device import free_bytes
from .memory import cache_bytes
from .problems import advice
from .report import LoadReport
from .template import fill

HIDDEN_TOKENS = 8192  # tokens of one forward of `hidden`
CONTEXT = 8  # prompt tokens decoded along with new ones, so that a leading space survives


class LocalModel:
    """A language model with weights in this process; made by `workbench.load`.

    Attributes
    ----------
    module
        The torch module (in eval mode).
    tokenizer
        Its tokenizer.
    device
        Where inputs go.
    report : LoadReport
        What was loaded and how.
    can
        Always "generate", "logprobs", "scores", "hidden" and "gradient".
    """

    can = frozenset({"generate", "logprobs", "scores", "hidden", "gradient"})

    def __init__(self, module: torch.nn.Module, tokenizer, *, name: str, report: LoadReport):
        self.module = module
        self.tokenizer = tokenizer
        self.name = name
        self.report = report

    def __repr__(self) -> str:
        return f"<workbench model {self.name}: {self.report.line()}>"

    @property
    def device(self) -> torch.device:
        return self.module.get_input_embeddings().weight.device

    @property
    def _config(self):
        return self.module.config.get_text_config(decoder=True)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        n: int = 1,
        seed: int = 0,
        stop: Sequence[str] = (),
        chat: bool | None = None,
    ) -> list[list[Generation]]:
        """``n`` samples for every prompt, all decoded together.

        Parameters
        ----------
        prompts
            Texts, or conversations (lists of {"role", "content"}).
        max_new_tokens
            The most tokens a sample may have.
        temperature
            0 is greedy: always the most probable token.
        top_k, top_p
            Keep the k most probable tokens, then the fewest that hold the mass p; 0 and 1 keep all.
        n, seed
            Samples a prompt. Sample s of prompt i depends on (seed, i, s) and never on the rest of the batch.
        stop
            Texts that end a sample; the sample's text is cut before the first.
        chat
            None: a text is taken as it is, a conversation goes through the model's chat template. True: a text is one
            message of the user. False: only plain texts are allowed.

        Returns
        -------
        For each prompt ``n`` `Generation`.

        Raises
        ------
        ModelError
            An option out of range, a prompt that is empty or too long, a conversation for a model without chat
            template.
        """
        stop = (stop,) if isinstance(stop, str) else tuple(stop)
        check_options(
            prompts, max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, n=n, stop=stop
        )
        ids = [self.prompt_ids(prompt, chat) for prompt in prompts]
        limit = getattr(self._config, "max_position_embeddings", None)
        for index, prompt in enumerate(ids):
            if not prompt:
                raise ModelError(
                    f"prompt {index} is empty and {self.name} has no start token: give at least one character"
                )
            if limit and len(prompt) + max_new_tokens > limit:
                raise ModelError(
                    f"prompt {index} has {len(prompt)} tokens, and with max_new_tokens={max_new_tokens} that is "
                    "more than "
                    f"the {limit} that {self.name} can read: shorten one of them"
                )
        with advice(self.name, doing="generating"):
            return decode.generate(
                self.module, ids,
                max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, n=n, seed=seed,
                stop=stop, eos=self.end_tokens(), decode=self.new_text,
                row_bytes=lambda length: cache_bytes(self._config, length, self._dtype.itemsize),
                memory=int(free_bytes(self.device) * 0.4),
            )  # fmt: skip

    def logprobs(
        self, prefixes: Sequence[str | list[int]], continuations: Sequence[Sequence[str | list[int]]]
    ) -> list[list[Scored]]:
        """Exact natural log-probabilities of continuations; what they share, with each other and with what was read
        before, is encoded once (`models.prefix`).

        Parameters
        ----------
        prefixes
            Texts (tokenised with the model's start token, if it has one) or token ids (taken as they are).
        continuations
            For each prefix its continuations: texts (tokenised on their own, no start token) or token ids.

        Returns
        -------
        For each prefix, for each continuation, a `Scored` (tokens, log-probability of each, total).

        Raises
        ------
        ModelError
            Lists of different length, an empty prefix for a model without start token, more tokens than the model
            reads, or logits that are not numbers.
        """
        from .prefix import shared_tree
        from .prefix_read import score

        if isinstance(prefixes, str) or any(isinstance(texts, str) for texts in continuations):
            raise ModelError("prefixes is a list, and continuations a list of lists: one list for each prefix")
        if len(prefixes) != len(continuations):
            raise ModelError(
                f"there are {len(prefixes)} prefixes and {len(continuations)} lists of continuations: give one "
                "list a prefix"
            )
        heads = [self.token_ids(prefix) for prefix in prefixes]
        for index, head in enumerate(heads):
            if not head and len(continuations[index]):
                raise ModelError(
                    f"prefix {index} is empty and {self.name} has no start token: give at least one character"
                )
        texts = [[self.token_ids(text, start=False) for text in group] for group in continuations]
        with advice(self.name, doing="scoring"):
            tree = shared_tree(self)
            scores = score(tree, [tree.node(head) for head in heads], texts)
        return [
            [Scored(ids, values, float(sum(values))) for ids, values in zip(group, found, strict=True)]
            for group, found in zip(texts, scores, strict=True)
        ]

    @torch.no_grad()
    def next_logprobs(self, prompt: str | list[int]) -> torch.Tensor:
        """The next-token distribution after every position of a prompt, in one forward.

        Returns
        -------
        (T, V) float32 tensor on the CPU, natural logarithms; row t follows token t. For a text T counts the start
        token, if the model has one.
        """
        ids = self.token_ids(prompt)
        if not ids:
            raise ModelError(f"the prompt is empty and {self.name} has no start token: give at least one character")
        with advice(self.name, doing="reading a prompt"):
            logits = self.module(input_ids=torch.tensor([ids], device=self.device), use_cache=False).logits[0]
            return logits.float().log_softmax(dim=-1).cpu()

    @torch.no_grad()
    def hidden(self, prompts: Sequence[str | list[int]], *, layers: Sequence[int] | None = None) -> torch.Tensor:
        """Hidden states of prompts.

        Parameters
        ----------
        prompts
            Texts or token ids.
        layers
            0 is the embedding, i the output of block i, the last one after the final norm; negative counts from the
            end. None takes all.

        Returns
        -------
        (L, B, T, H) float32 tensor on the CPU, right-padded to the longest prompt, zero at the pads.
        """
        if isinstance(prompts, str):
            raise ModelError("prompts is a list of texts, not one text: write [prompt]")
        depth = self._config.num_hidden_layers + 1
        chosen = list(range(depth)) if layers is None else list(layers)
        for layer in chosen:
            if not -depth <= layer < depth:
                raise ModelError(f"{self.name} has no layer {layer}: give 0 (the embedding) to {depth - 1}")
        ids = [self.token_ids(prompt) for prompt in prompts]
        longest = max(map(len, ids), default=0)
        states = torch.zeros(len(chosen), len(ids), longest, self._config.hidden_size)  # (L, B, T, H)
        order = sorted((i for i in range(len(ids)) if ids[i]), key=lambda i: len(ids[i]))
        with advice(self.name, doing="reading hidden states"):
            while order:
                width = len(ids[order[-1]])
                batch = order[-max(1, HIDDEN_TOKENS // width) :]
                order = order[: -len(batch)]
                tokens = torch.zeros(len(batch), width, dtype=torch.long)
                mask = torch.zeros(len(batch), width, dtype=torch.long)
                for row, index in enumerate(batch):
                    tokens[row, : len(ids[index])] = torch.tensor(ids[index])
                    mask[row, : len(ids[index])] = 1
                found = self.module(
                    input_ids=tokens.to(self.device), attention_mask=mask.to(self.device), use_cache=False,
                    output_hidden_states=True, logits_to_keep=1,
                ).hidden_states  # fmt: skip
                for place, layer in enumerate(chosen):
                    states[place, batch, :width] = found[layer].float().cpu() * mask[..., None]
        return states

    @property
    def _dtype(self) -> torch.dtype:
        return self.module.get_input_embeddings().weight.dtype

    def token_ids(self, text: str | list[int], *, start: bool = True) -> list[int]:
        """Token ids of a text; with ``start`` the tokenizer's start token in front. Ids are checked and passed on.

        Raises
        ------
        ModelError
            An id that the model's vocabulary does not have; half a surrogate pair in the text.
        """
        if not isinstance(text, str):
            ids = [int(token) for token in text]
            wrong = [token for token in ids if not 0 <= token < self._config.vocab_size]
            if wrong:
                raise ModelError(f"{wrong[0]} is no token of {self.name}: its ids run to {self._config.vocab_size - 1}")
            return ids
        check_text(text)
        ids = list(self.tokenizer(text, add_special_tokens=start)["input_ids"])
        end = self.tokenizer.eos_token_id
        # some tokenizers close every text with the end token; a prefix must stay open
        if start and ids and end is not None and ids[-1] == end and end != self.tokenizer.bos_token_id:
            plain = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if not plain or plain[-1] != end:
                ids.pop()
        return ids

    def prompt_ids(self, prompt: Prompt, chat: bool | None = None) -> list[int]:
        """The token ids `generate` begins from: of a text, with the start token, or of a conversation in its template.

        Parameters
        ----------
        prompt, chat
            As in `generate`.

        Raises
        ------
        ModelError
            A conversation with ``chat=False``, one for a model without chat template, a message without role.
        """
        if isinstance(prompt, str) and not chat:
            return self.token_ids(prompt)
        if chat is False:
            raise ModelError("chat=False takes plain texts, and a prompt is a list of messages: leave chat out")
        if not self.tokenizer.chat_template:
            raise ModelError(
                f"{self.name} has no chat template (it is no chat model): give plain texts and leave chat out"
            )
        messages = check_messages(prompt)
        with advice(self.name, doing="filling the chat template"):
            text = fill(self.tokenizer, messages, self.name)
        return self.token_ids(text, start=False)

    def end_tokens(self) -> frozenset[int]:
        """Ids of the tokens that end a text: those of the generation config and the tokenizer's own."""
        found = {self.tokenizer.eos_token_id}
        config = getattr(self.module, "generation_config", None)
        named = getattr(config, "eos_token_id", None)
        found.update(named if isinstance(named, list | tuple) else [named])
        return frozenset(token for token in found if token is not None)

    def new_text(self, prompt: list[int], tokens: list[int]) -> str:
        """The text of new tokens behind a prompt, both as ids, without special tokens.

        They are decoded in their context: alone, some tokenizers drop a leading space.
        """
        context = prompt[-CONTEXT:]
        before = self.tokenizer.decode(context, skip_special_tokens=True)
        both = self.tokenizer.decode(context + tokens, skip_special_tokens=True)
        if not both.startswith(before):
            return self.tokenizer.decode(tokens, skip_special_tokens=True)
        return both[len(before) :]

    def probe(self, speed: bool = True, perplexity: bool = True) -> LoadReport:
        """Measure speed (tokens a second over 32 tokens) and perplexity on a text of our own; see `report.probe`."""
        from .report import probe

        self.report = probe(self, speed=speed, perplexity=perplexity)
        return self.report


def bundled_text() -> str:
    """The text the perplexity is measured on, written for the workbench."""
    return (Path(__file__).parent / "probe.txt").read_text(encoding="utf-8").strip()
