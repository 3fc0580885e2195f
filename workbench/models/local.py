"""A model whose weights live in this process: the torch module of `transformers`, and the contract on top of it."""

from collections.abc import Callable, Sequence

import torch

from ..errors import ModelError
from . import generation as decode, weights
from .base import Generation, Prompt, Scored, check_options
from .forward import check_causal, check_length, fresh, takes
from .prefix.packed import packed_next, padded
from .probe import probe
from .problems import advice
from .reader import CONTEXT, is_conversation, read_conversation, read_ids, read_text, special_texts, vocabulary
from .report import LoadReport

HIDDEN_TOKENS = 8192  # tokens of one forward of `hidden`


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

    def __init__(
        self, module: torch.nn.Module, tokenizer, *, name: str, report: LoadReport,
        revision: str | None = None, unquantised: Callable[[], "LocalModel"] | None = None,
    ):  # fmt: skip
        self.module = module
        self.tokenizer = tokenizer
        self.name = name
        self.report = report
        self.revision = revision
        self._unquantised = unquantised  # loads the same weights unquantised, for `probe`
        check_causal(module, name)
        fresh(module)

    def __repr__(self) -> str:
        return f"<workbench model {self.name}: {self.report.line()}>"

    @property
    def device(self) -> torch.device:
        return self.module.get_input_embeddings().weight.device

    @property
    def _config(self):
        return self.module.config.get_text_config(decoder=True)

    def checksum(self) -> str:
        """16 hexadecimal digits of the weights as they are now (`weights.checksum`)."""
        return weights.checksum(self.module)

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
            Texts, token ids, or conversations (lists of {"role", "content"}); see `prompt_ids`.
        max_new_tokens
            The most tokens a sample may have.
        temperature
            0 is greedy: always the most probable token.
        top_k, top_p
            Keep the k most probable tokens, then the fewest that hold the mass p; 0 and 1 keep all.
        n, seed
            Samples a prompt. Sample s of prompt i depends on (seed, i, s) and never on the rest of the batch.
        stop
            Texts that end a sample; the sample's text is cut before the first. One may be or hold a special token.
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
        ids = [self._readable(prompt, index, chat, more=max_new_tokens) for index, prompt in enumerate(prompts)]
        if not ids:
            return []
        options = decode.Options(
            max_new_tokens, temperature, top_k, top_p, stop, self.end_tokens(), self.new_text,
            special_texts(self.tokenizer) if stop else (),
        )  # fmt: skip
        with advice(self.name, doing="generating"):
            return decode.generate(self.module, ids, options, n=n, seed=seed, name=self.name)

    def logprobs(
        self, prefixes: Sequence[Prompt], continuations: Sequence[Sequence[str | list[int]]]
    ) -> list[list[Scored]]:
        """Exact natural log-probabilities of continuations; what they share, with each other and with what was read
        before, is encoded once (`models.prefix`).

        Parameters
        ----------
        prefixes
            Texts, token ids or conversations; see `prompt_ids`.
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
        from .prefix.tasks import score
        from .prefix.tree import shared_tree

        if isinstance(prefixes, str) or any(isinstance(texts, str) for texts in continuations):
            raise ModelError("prefixes is a list, and continuations a list of lists: one list for each prefix")
        if len(prefixes) != len(continuations):
            raise ModelError(
                f"there are {len(prefixes)} prefixes and {len(continuations)} lists of continuations: give one "
                "list a prefix"
            )
        heads = [self.prompt_ids(prefix) for prefix in prefixes]
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

    def next_masses(
        self, prompts: Sequence[Prompt], sets: Sequence[Sequence[int]], *, packed: bool | None = None
    ) -> list[list[float]]:
        """The probability of sets of tokens as the next token after each prompt.

        Parameters
        ----------
        prompts
            N texts, token ids or conversations; see `prompt_ids`.
        sets
            K sets of token ids; one that the model has no row for counts nothing.
        packed
            As in `prefix.packed.packed_next`.

        Returns
        -------
        (N, K) natural logarithms.
        """
        chosen = [torch.tensor(sorted(set(tokens)), dtype=torch.long) for tokens in sets]

        def reduce(logprobs):  # (R, V) -> (R, K)
            inside = (tokens[tokens < logprobs.shape[1]].to(logprobs.device) for tokens in chosen)
            return torch.stack([logprobs[:, tokens].logsumexp(-1) for tokens in inside], -1)

        heads = [self._readable(prompt, index) for index, prompt in enumerate(prompts)]
        return packed_next(self, heads, reduce, packed=packed).double().tolist() if heads else []

    @torch.no_grad()
    def next_logprobs(self, prompt: Prompt) -> torch.Tensor:
        """The next-token distribution after every position of a prompt, in one forward.

        Parameters
        ----------
        prompt
            A text, token ids or a conversation; see `prompt_ids`.

        Returns
        -------
        (T, V) float32 tensor on the CPU, natural logarithms; row t follows token t. For a text T counts the start
        token, if the model has one.
        """
        ids = self._readable(prompt)
        with advice(self.name, doing="reading a prompt"):
            logits = self.module(input_ids=torch.tensor([ids], device=self.device), use_cache=False).logits[0]
            return logits.float().log_softmax(dim=-1).cpu()

    @torch.no_grad()
    def hidden(self, prompts: Sequence[Prompt], *, layers: Sequence[int] | None = None) -> torch.Tensor:
        """Hidden states of prompts.

        Parameters
        ----------
        prompts
            Texts, token ids or conversations; see `prompt_ids`. One of no tokens gives no states.
        layers
            0 is the embedding, i the output of block i, the last one after the final norm; negative counts from the
            end. None takes all.

        Returns
        -------
        (L, B, T, H) float32 tensor on the CPU, right-padded to the longest prompt, zero at the pads.

        Raises
        ------
        ModelError
            A layer the model does not have, more tokens than it reads, or an architecture that keeps no state, several,
            or states of another width in a layer (asked for alone, layers of one width are given).
        """
        if isinstance(prompts, str):
            raise ModelError("prompts is a list of texts, not one text: write [prompt]")
        depth = self._config.num_hidden_layers + 1
        chosen = list(range(depth)) if layers is None else list(layers)
        for layer in chosen:
            if not -depth <= layer < depth:
                raise ModelError(f"{self.name} has no layer {layer}: give 0 (the embedding) to {depth - 1}")
        ids = [self._readable(prompt, index, empty=True) for index, prompt in enumerate(prompts)]
        longest = max(map(len, ids), default=0)
        states = torch.zeros(len(chosen), len(ids), longest, self._config.hidden_size)  # (L, B, T, H)
        few = {"logits_to_keep": 1} if takes(self.module, "logits_to_keep") else {}
        with advice(self.name, doing="reading hidden states"):
            for batch, inputs in padded(self, ids, HIDDEN_TOKENS):
                found = self.module(**inputs, use_cache=False, output_hidden_states=True, **few).hidden_states or ()
                if len(found) != depth:
                    raise ModelError(
                        f"{self.name} gives {len(found)} states a token for its {depth - 1} layers, so there is no "
                        "telling which is whose: choose another model, such as smollm2"
                    )
                for layer in chosen:
                    self._check_state(layer, found[layer], found[chosen[0]])
                if states.shape[-1] != found[chosen[0]].shape[-1]:
                    states = states.new_zeros(*states.shape[:-1], found[chosen[0]].shape[-1])
                mask = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).cpu()
                for place, layer in enumerate(chosen):
                    states[place, batch, : mask.shape[1]] = found[layer].float().cpu() * mask[..., None]
        return states

    def _check_state(self, layer: int, state: torch.Tensor, first: torch.Tensor) -> None:
        if state.dim() != 3:
            raise ModelError(
                f"{self.name} carries {state.shape[0]} states a token at layer {layer}, not one: its last layer "
                "(layers=[-1]) has one, or choose another model, such as smollm2"
            )
        if state.shape[-1] != first.shape[-1]:
            raise ModelError(
                f"{self.name} has {state.shape[-1]} numbers a token at layer {layer} and {first.shape[-1]} at another: "
                "ask for layers of one width"
            )

    # --- the one reader of texts, ids and conversations ---------------------------------------------------------------

    def token_ids(self, text: str | Sequence[int], *, start: bool = True) -> list[int]:
        """Token ids of a text; with ``start`` the tokenizer's start token in front. Ids are checked and passed on.

        A text stays open: an end token that the tokenizer would put behind it is left out. Special tokens that are
        typed in a text are read as the control tokens they are, as in a template written by hand.

        Raises
        ------
        ModelError
            An id that the model's vocabulary does not have, or no id at all; half a surrogate pair in the text, or a
            token that the embedding has no row for.
        """
        if isinstance(text, str):
            return self._embedded(read_text(self.tokenizer, text, start=start))
        return read_ids(text, self._config.vocab_size, self.name)

    def prompt_ids(self, prompt: Prompt, chat: bool | None = None) -> list[int]:
        """The token ids that a model goes on from: of a text, with the start token, of given ids, or of a conversation
        in the model's chat template, up to where its answer begins.

        Parameters
        ----------
        prompt
            A text, token ids, or a list of messages {"role", "content"}.
        chat
            As in `generate`.

        Raises
        ------
        ModelError
            A conversation with ``chat=False``, one for a model without chat template, a message without role or with a
            control token in its text, ids with ``chat=True``; and what `token_ids` refuses.
        """
        if isinstance(prompt, str) and not chat:
            return self.token_ids(prompt)
        if isinstance(prompt, str) or is_conversation(prompt):
            if chat is False:
                raise ModelError("chat=False takes plain texts, and a prompt is a list of messages: leave chat out")
            with advice(self.name, doing="filling the chat template"):
                return self._embedded(read_conversation(self.tokenizer, prompt, self.name))
        if chat:
            raise ModelError("chat=True takes texts and conversations, and a prompt is token ids: leave chat out")
        return self.token_ids(prompt)

    def _embedded(self, ids: list[int]) -> list[int]:
        """``ids``, refused where the tokenizer knows a token that the embedding has no row for (see `load`'s note)."""
        rows = self.module.get_input_embeddings().weight.shape[0]
        if beyond := next((token for token in ids if token >= rows), None):
            raise ModelError(
                f"the text holds {self.tokenizer.decode([beyond])!r}, token {beyond}, for which {self.name} has no row "
                f"(its embedding has {rows}): leave it out of the text"
            )
        return ids

    def _readable(self, prompt, index=None, chat=None, *, more: int = 0, empty: bool = False) -> list[int]:
        """`prompt_ids`, refused where there is no id, or where they and ``more`` new tokens are too many."""
        ids, which = self.prompt_ids(prompt, chat), "the prompt" if index is None else f"prompt {index}"
        if not ids and not empty:
            raise ModelError(f"{which} is empty and {self.name} has no start token: give at least one character")
        check_length(self, len(ids), more=more, what=which)
        return ids

    @property
    def has_chat(self) -> bool:
        """Whether it has a chat template."""
        return bool(getattr(self.tokenizer, "chat_template", None))

    @property
    def special_texts(self) -> tuple[str, ...]:
        """The texts of its special tokens, longest first."""
        return special_texts(self.tokenizer)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of every token, by id."""
        return vocabulary(self.tokenizer)

    def end_tokens(self) -> frozenset[int]:
        """Ids of the tokens that end a text: those of the generation config and the tokenizer's own."""
        found = {self.tokenizer.eos_token_id}
        config = getattr(self.module, "generation_config", None)
        named = getattr(config, "eos_token_id", None)
        found.update(named if isinstance(named, list | tuple) else [named])
        return frozenset(token for token in found if token is not None)

    def new_text(self, prompt: list[int], tokens: list[int], special: bool = False) -> str:
        """The text of new tokens behind a prompt, both as ids, without special tokens unless ``special``.

        They are decoded in their context: alone, some tokenizers drop a leading space.
        """
        context = prompt[-CONTEXT:]
        before = self.tokenizer.decode(context, skip_special_tokens=not special)
        both = self.tokenizer.decode(context + tokens, skip_special_tokens=not special)
        if not both.startswith(before):
            return self.tokenizer.decode(tokens, skip_special_tokens=not special)
        return both[len(before) :]

    def probe(self, speed: bool = True, perplexity: bool = True) -> LoadReport:
        """Measure speed (tokens a second over 32 tokens) and perplexity on a text of our own; see `models.probe`."""
        self.report = probe(self, self._unquantised, speed=speed, perplexity=perplexity)
        return self.report
