"""What every model offers, whichever library or server is behind it.

A paper never asks what a model *is*; it asks what it *can* do (`require`) and calls the methods of `Model`.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ..errors import ModelError, UsageError
from ..files import lone_surrogate

# what a model may be able to do, and the words in which `require` says that it is missing
CAPABILITIES = {
    "generate": "text generation",
    "logprobs": "next-token distributions over the whole vocabulary",
    "scores": "log-probabilities of given texts",
    "hidden": "hidden states",
    "gradient": "gradients",
}

HERE = "llama.cpp"  # the backend that runs a GGUF file as it is, in this process
BACKENDS = (None, "torch", HERE)

Message = dict[str, str]  # {"role": "user" | "assistant" | "system", "content": text}
Prompt = str | Sequence[int] | list[Message]  # a text, token ids, or a conversation


@dataclass(frozen=True)
class Generation:
    """One sample.

    Attributes
    ----------
    text
        The new text alone, without special tokens, cut before the stop string if there was one.
    tokens
        Every token drawn, in order: also the end-of-text token, and the tokens that spelt the stop string.
    finish
        "eos" (the model ended its text), "stop" (a stop string appeared) or "length" (``max_new_tokens`` were drawn). A
        server's answer may end for another reason, or have no text at all: "reasoning", "tool calls", "refusal",
        "filtered", "broken off", "no content".
    prompt_tokens
        Length of the tokenised prompt.
    logprob
        Sum over ``tokens`` of the natural log-probability under the model's own distribution: before temperature, top_k
        and top_p, so that samples drawn differently compare. NaN where a server does not say.

    A server tells no token ids: ``tokens`` is empty there, and "eos" and "stop" are told apart as far as it allows.
    """

    text: str
    tokens: list[int]
    finish: str
    prompt_tokens: int
    logprob: float


@dataclass(frozen=True)
class Scored:
    """One scored continuation: its tokens, the natural log-probability of each given all before it, and their sum."""

    tokens: list[int]
    logprobs: list[float]
    total: float


@runtime_checkable
class Model(Protocol):
    """The contract. `local.LocalModel` has its weights in this process, `remote.RemoteModel` on a server.

    ``can`` is the subset of CAPABILITIES that works; asking for anything else raises ModelError. "scores" is the method
    ``logprobs``; "logprobs" is that and ``next_logprobs``, which no server gives.
    """

    name: str
    can: frozenset[str]
    report: Any

    def checksum(self) -> str:
        """16 hexadecimal digits of the weights as they are now; "" where they are not in this process, which then
        cannot change them. An encoder has it too: a study's rows are kept under it (`results.identity_of`)."""
        ...

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
        """``n`` samples for every prompt."""
        ...

    def logprobs(
        self, prefixes: Sequence[Prompt], continuations: Sequence[Sequence[str | list[int]]]
    ) -> list[list[Scored]]:
        """Exact log-probabilities of each prefix's continuations."""
        ...

    def next_masses(self, prompts: Sequence[Prompt], sets: Sequence[Sequence[int]]):
        """(N, K) natural logs: the probability of each set of token ids as the next token after each prompt."""
        ...

    def next_logprobs(self, prompt: Prompt):
        """(T, V) natural log-probabilities: row t is the distribution of the token after position t."""
        ...

    def hidden(self, prompts: Sequence[Prompt], *, layers: Sequence[int] | None = None):
        """(L, B, T, H) hidden states, right-padded, zero at the pads."""
        ...


def require(model: Model, need: str, *, for_: str) -> None:
    """Raise ModelError unless ``model`` can do ``need``; ``for_`` says, for the reader, what wanted it.

    >>> require(model, "gradient", for_="integrated gradients")   # doctest: +SKIP
    """
    if need not in CAPABILITIES:
        raise ModelError(f"no model has the capability {need!r}; there are {', '.join(CAPABILITIES)}")
    if need not in model.can:
        offers = ", ".join(sorted(model.can)) or "nothing"
        raise ModelError(
            f"{for_} needs {CAPABILITIES[need]}, which {model.name} does not give (it offers {offers}): "
            "choose a local model such as smollm2"
        )


def weighs(model: Model) -> bool:
    """Whether the probabilities of chosen next tokens can be had exactly (``next_masses``)."""
    return "scores" in model.can and hasattr(model, "next_masses")


def require_masses(model: Model, *, for_: str) -> None:
    """Raise ModelError unless a model `weighs`; ``for_`` says what wanted it."""
    if not weighs(model):
        require(model, "logprobs", for_=for_)


class NoWeights(ModelError, AttributeError):
    """Something that only weights in this process have; an AttributeError too, so that hasattr tells the truth."""


class WithoutWeights:
    """What torch alone gives, refused with the reason; ``where`` says where the weights are instead."""

    name: str
    where: str

    def checksum(self) -> str:
        """Nothing: nobody changes these weights from here."""
        return ""

    def next_logprobs(self, prompt):
        """Refused."""
        raise self._without("whole next-token distributions")

    def hidden(self, prompts, *, layers=None):
        """Refused."""
        raise self._without("hidden states")

    @property
    def module(self):
        raise self._without("the weights themselves")

    @property
    def tokenizer(self):
        raise self._without("a tokenizer in this process")

    @property
    def device(self):
        raise self._without("a device in this process")

    def _without(self, what: str) -> NoWeights:
        return NoWeights(f"{self.name} {self.where}, and this needs {what}: choose a local model such as smollm2")


class TooLong(ModelError, UsageError):
    """A text has more tokens than the model reads."""


def check_options(prompts, *, max_new_tokens, temperature, top_k, top_p, n, stop) -> None:
    """The options of `Model.generate`, checked alike for every kind of model; raises ModelError with one sentence."""
    for wrong, sentence in (
        (isinstance(prompts, str), "prompts is a list of texts, not one text: write [prompt]"),
        (max_new_tokens < 1, f"max_new_tokens is {max_new_tokens}: give at least 1"),
        (not temperature >= 0, f"temperature is {temperature}: give 0 (greedy) or a positive number"),
        (top_k < 0, f"top_k is {top_k}: give 0 (all tokens) or a positive number"),
        (not 0 < top_p <= 1, f"top_p is {top_p}: give a number above 0 and at most 1"),
        (n < 1, f"n is {n}: give at least one sample a prompt"),
        (not all(stop), "a stop text is empty: give texts of at least one character"),
    ):
        if wrong:
            raise ModelError(sentence)


def check_messages(prompt: Prompt) -> list[Message]:
    """A prompt as a conversation: a text becomes one message of the user; raises ModelError for what is no message."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    for message in messages:
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise ModelError(f'a message is {{"role": …, "content": …}}, not {message!r}')
    return messages


def check_text(text) -> None:
    """Raise ModelError for half a surrogate pair in a text or request, which no tokenizer and no server takes."""
    if half := lone_surrogate(text):
        shown = ascii(text if isinstance(text, str) else json.dumps(text, ensure_ascii=False))
        place = shown.find("\\u" + half[2:].lower())
        shown = shown[max(0, place - 30) : place + 30]
        raise ModelError(f"a model cannot read …{shown}…: {half} is half a character; mend the text")


def request_seed(seed: int, prompt: int, sample: int) -> int:
    """A seed of 31 bits for one request to an engine that draws by itself, from (seed, prompt, sample) alone."""
    import numpy as np

    return int(np.random.SeedSequence([seed % 2**64, prompt, sample]).generate_state(1)[0] >> 1)


def say(line: str) -> None:
    """One line to the user, on stderr so that it never mixes with results."""
    print(f"workbench: {line}", file=sys.stderr, flush=True)
