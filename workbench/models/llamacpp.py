"""A GGUF file as it is, through llama.cpp in this process: ``load(name, backend="llama.cpp")``.

A third of the memory and several times the speed of torch at one text at a time on a CPU, for what an engine gives:
samples, and exact log-probabilities of given tokens (`forced`). No hidden states, no gradients, no whole distributions.
Its numbers are its own: quantised weights are multiplied with activations rounded to 8 bits, so log-probabilities are
some hundredths of a nat off torch's float32 on the same weights. No comparison mixes the two (`report.backend` is part
of a model's identity).
"""

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from ..errors import ModelError
from ..files import sha256_file
from .base import (
    HERE,
    Generation,
    Prompt,
    Scored,
    TooLong,
    WithoutWeights,
    check_messages,
    check_options,
    check_text,
    request_seed,
)
from .engine import SLOTS, Engine
from .engine_report import EIGHT_BITS, TYPES, WHOLE, LlamaReport
from .files.cache import fetch
from .files.names import resolve
from .files.sources import Outline, outline
from .forced import LIFT, Forced
from .reader import NO_TEMPLATE, is_conversation, read_ids, refuse_typed, until_stop
from .report import note_model

# every field of llama.cpp's sampling whose default would change a distribution, set to "no change"
PLAIN = {
    "temperature": 0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0, "top_n_sigma": -1.0,
    "xtc_probability": 0.0, "repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
    "dry_multiplier": 0.0, "mirostat": 0, "dynatemp_range": 0.0, "min_keep": 0, "n_probs": 1, "cache_prompt": True,
    "return_tokens": True, "ignore_eos": False,
}  # fmt: skip
TOLD = ["content", "tokens", "stop_type", "completion_probabilities", "timings", "tokens_evaluated"]
ENDS = ("eos", "eot", "eom")  # GGUF's tokens that end a text: tokenizer.ggml.NAME_token_id

WHY = {  # an option of `load` that goes with torch alone -> why
    "bits": "a GGUF file is quantised already, or meant to be whole",
    "dtype": "the file's own types are computed with",
    "adapter": "a peft adapter goes on torch's layers",
    "device": "the wheel computes on the CPU",
}


def load_llamacpp(name: str, *, revision: str | None = None, **options) -> "LlamaModel":
    """`workbench.load` with ``backend="llama.cpp"``; see there. ``options`` are those of torch, refused where given."""
    for option, value in options.items():
        if value not in (None, "auto") and (option, str(value)) != ("device", "cpu"):
            raise ModelError(
                f"{option}={value!r} cannot go with backend={HERE!r} ({WHY[option]}): leave one of them out"
            )
    began = time.perf_counter()
    if (kind := resolve(name).kind) != "gguf":  # before anything is fetched
        raise ModelError(
            f"backend='llama.cpp' reads GGUF files, and {name} is {'a hub id' if kind == 'hub' else 'a folder'}: give "
            "smollm2 or a .gguf file (many publishers have one), or leave backend out"
        )
    found = outline(name, revision=revision)
    model = LlamaModel(found, _whole(found))
    model.report.load_seconds = round(time.perf_counter() - began, 3)
    note_model(model.report)
    return model


def _whole(found: Outline) -> Path:
    """The one file of the model; one that came in parts is joined in the cache."""
    if not found.source.parts:
        return found.source.path
    need = sum(part.stat().st_size for part in found.source.parts)

    def join(folder: Path) -> None:
        with open(folder / "model.gguf", "wb") as whole:
            for part in found.source.parts:
                whole.write(part.read_bytes())
        if sha256_file(folder / "model.gguf") != found.source.sha256:
            raise ModelError(f"the parts of {found.name} do not make the file they should: reinstall its packages")

    entry, _ = fetch(str(found.name), {"form": "gguf", "content": found.content()}, need, join, why="joining")
    return entry.path / "model.gguf"


class LlamaModel(WithoutWeights):
    """A model in llama.cpp; made by `workbench.load`.

    Attributes
    ----------
    can
        "generate" and "scores".
    report : LlamaReport
    """

    can = frozenset({"generate", "scores"})
    where = "runs in llama.cpp, which keeps them to itself"

    def __init__(self, found: Outline, path: Path):
        self.name = str(found.name)
        data = found.header.metadata
        self._vocabulary_size = found.config.vocab_size
        self._ends = frozenset(
            data[key] for kind in ENDS if isinstance(data.get(key := f"tokenizer.ggml.{kind}_token_id"), int)
        )
        self.has_chat = "tokenizer.chat_template" in data
        longest = int(data.get(f"{data.get('general.architecture')}.context_length") or 2**15)
        self._engine = Engine(path, self.name, longest)
        kinds = [TYPES.get(int(one.dtype.split()[-1]), one.dtype) for one in found.header.tensors.values()]
        counted = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
        content = found.content()
        self.report = LlamaReport(
            name=self.name, source="embedded" if found.source.embedded else f"file: {found.source.path}",
            identity=f"sha256:{content}", sha256=content, version=self._engine.version, tensors=counted,
            parameters=found.header.parameters, bytes=found.header.bytes, longest=longest, engine=self._engine,
            notes=[EIGHT_BITS] if set(counted) - set(WHOLE) else [],
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<workbench model {self.name}: {self.report.line()}>"

    def close(self) -> None:
        """Give its memory and its port back; the next call begins the engine again."""
        self._engine.close()

    # --- the contract -------------------------------------------------------------------------------------------------

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
        """``n`` samples for every prompt; parameters as in `LocalModel.generate`.

        Sample s of prompt i follows from (seed, i, s) through llama.cpp's own generator: torch draws others. Where the
        context is full before ``max_new_tokens``, the sample ends there with the finish "length". At temperature 0 one
        answer is asked for and stands for all ``n``.

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
        ids = [self._readable(prompt, f"prompt {index}", chat) for index, prompt in enumerate(prompts)]
        if not ids:
            return []
        longest = self._engine.longest
        drawn = n if temperature > 0 else 1
        special = any(token in text for token in self.special_texts for text in stop) if stop else False
        bodies = [
            PLAIN
            | {
                "prompt": head, "n_predict": min(max_new_tokens, longest - len(head)), "temperature": temperature,
                "top_k": top_k, "top_p": top_p, "seed": request_seed(seed, index, sample),
                "samplers": ["top_k", "top_p", "temperature"], "stop": [] if special else list(stop),
                "response_fields": TOLD,
            }
            for index, head in enumerate(ids)
            for sample in range(drawn)
        ]  # fmt: skip
        self._engine.room(min(longest, max(map(len, ids)) + max_new_tokens), len(bodies))
        answers = iter(self._engine.complete(bodies, at_once=self._engine.slots))
        made = [[self._generation(head, next(answers), stop) for _ in range(drawn)] for head in ids]
        return [some if temperature > 0 else some * n for some in made]

    def logprobs(
        self, prefixes: Sequence[Prompt], continuations: Sequence[Sequence[str | list[int]]]
    ) -> list[list[Scored]]:
        """Natural log-probabilities of continuations, token by token; parameters as in `LocalModel.logprobs`.

        Exact up to llama.cpp's own rounding: it adds up a vocabulary in float32, 2e-4 nats.

        Raises
        ------
        ModelError
            Lists of different length, an empty prefix for a model without start token, more tokens than it reads.
        """
        if isinstance(prefixes, str) or any(isinstance(texts, str) for texts in continuations):
            raise ModelError("prefixes is a list, and continuations a list of lists: one list for each prefix")
        if len(prefixes) != len(continuations):
            raise ModelError(
                f"there are {len(prefixes)} prefixes and {len(continuations)} lists of continuations: give one "
                "list a prefix"
            )
        heads = [self._readable(prefix, f"prefix {index}") for index, prefix in enumerate(prefixes)]
        texts = [[self.token_ids(text, start=False) for text in group] for group in continuations]
        pairs = [(head, text) for head, group in zip(heads, texts, strict=True) for text in group]
        for head, text in pairs:
            self._check_length(len(head) + len(text), "the text")
        found = iter(self._forced.score(pairs))
        return [[Scored(text, values := next(found), float(sum(values))) for text in group] for group in texts]

    def next_masses(self, prompts: Sequence[Prompt], sets: Sequence[Sequence[int]]) -> list[list[float]]:
        """Natural log of the probability of each set of tokens as the next token after each prompt; see `Model`."""
        heads = [self._readable(prompt, f"prompt {index}") for index, prompt in enumerate(prompts)]
        return self._forced.weigh(heads, sets)

    def new_tree(self):
        """A tree of prefixes (`prefix.served`) over an engine that remembers nothing."""
        self._engine.close()
        return self._tree()

    @cached_property
    def tree(self):
        """The tree that all users of this model share."""
        return self._tree()

    def _tree(self):
        from .prefix.served import ServedTree

        self._engine.room(1, SLOTS)  # each slot remembers the branch it was last asked about
        return ServedTree(self._forced, self._engine.spent)

    @property
    def longest(self) -> int:
        """Tokens of the longest text that it reads."""
        return self._engine.longest

    # --- texts and tokens ---------------------------------------------------------------------------------------------

    def token_ids(self, text: str | Sequence[int], *, start: bool = True) -> list[int]:
        """As `LocalModel.token_ids`."""
        if not isinstance(text, str):
            return read_ids(text, self._vocabulary_size, self.name)
        check_text(text)
        ids = self._tokenised(text)
        front = self._front if start else []
        return ids if front and ids[: len(front)] == front else front + ids

    def prompt_ids(self, prompt: Prompt, chat: bool | None = None) -> list[int]:
        """As `LocalModel.prompt_ids`; the chat template is filled by llama.cpp."""
        if isinstance(prompt, str) and not chat:
            return self.token_ids(prompt)
        if not isinstance(prompt, str) and not is_conversation(prompt):
            if chat:
                raise ModelError("chat=True takes texts and conversations, and a prompt is token ids: leave chat out")
            return self.token_ids(prompt)
        if chat is False:
            raise ModelError("chat=False takes plain texts, and a prompt is a list of messages: leave chat out")
        if not self.has_chat:
            raise ModelError(NO_TEMPLATE.format(name=self.name))
        messages = check_messages(prompt)
        refuse_typed(messages, self.special_texts, self.name)
        check_text([str(message["content"]) for message in messages])
        return self._tokenised(self._engine.ask("/apply-template", {"messages": messages})["prompt"])

    def end_tokens(self) -> frozenset[int]:
        """Ids of the tokens that end a text, as the file names them."""
        return self._ends

    def new_text(self, prompt: Sequence[int], tokens: Sequence[int], special: bool = False) -> str:
        """The text of new tokens behind a prompt, both as ids, without special tokens unless ``special``."""
        pieces = self._pieces
        if special:
            named = self._special
            return b"".join(named.get(token, "").encode() or pieces[token] for token in tokens).decode(
                "utf-8", "replace"
            )
        return b"".join(pieces[token] for token in tokens).decode("utf-8", "replace")

    @cached_property
    def _forced(self) -> Forced:
        return Forced(self._next, self.name, self._tokenised("a")[-1], self._vocabulary_size)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of every token, by id."""
        named = self._special
        pieces = enumerate(self._pieces)
        return tuple(named.get(token) or piece.decode("utf-8", "replace") for token, piece in pieces)

    @property
    def special_texts(self) -> tuple[str, ...]:
        """The texts of its special tokens, longest first."""
        return tuple(sorted(filter(None, self._special.values()), key=len, reverse=True))

    @cached_property
    def _pieces(self) -> list[bytes]:
        """The bytes of every token, special ones empty: from one answer that tells the whole vocabulary."""
        anchor = self._tokenised("a")
        question = self._body(anchor, {"bias": anchor[-1:], "top": self._vocabulary_size})
        (answer,) = self._engine.complete([question])
        pieces = [b""] * self._vocabulary_size
        for told in answer["completion_probabilities"][0]["top_logprobs"]:
            pieces[told["id"]] = bytes(told["bytes"])
        return pieces

    @cached_property
    def _special(self) -> dict[int, str]:
        """Special tokens (those without bytes of their own) and their texts."""
        ids = [token for token, piece in enumerate(self._pieces) if not piece]
        texts = [self._engine.ask("/detokenize", {"tokens": [token]})["content"] for token in ids]
        return dict(zip(ids, texts, strict=True))

    @cached_property
    def _front(self) -> list[int]:
        whole, alone = self._tokenised("a", special=True), self._tokenised("a")
        return next((whole[:i] for i in range(len(whole)) if whole[i : i + len(alone)] == alone), [])

    def _tokenised(self, text: str, *, special: bool = False) -> list[int]:
        return self._engine.ask("/tokenize", {"content": text, "add_special": special, "parse_special": True})["tokens"]

    def _readable(self, prompt: Prompt, which: str, chat: bool | None = None) -> list[int]:
        ids = self.prompt_ids(prompt, chat)
        if not ids:
            raise ModelError(f"{which} is empty and {self.name} has no start token: give at least one character")
        self._check_length(len(ids) + 1, which)
        return ids

    def _check_length(self, tokens: int, which: str) -> None:
        if tokens > self._engine.longest:
            raise TooLong(
                f"{which} has {tokens} tokens with the next one, but {self.name} reads at most {self._engine.longest}: "
                "give a shorter one"
            )

    # --- the engine's answers -----------------------------------------------------------------------------------------

    def _body(self, ids: list[int], fields: dict) -> dict:
        """A request for one token: "bias" lifts tokens, "top" tells the likeliest, "post" what is left after biases."""
        body = PLAIN | {"prompt": ids, "n_predict": 1, "n_probs": fields.get("top", 1), "response_fields": TOLD}
        if bias := fields.get("bias"):
            body["logit_bias"] = [[token, LIFT] for token in bias]
        if fields.get("post"):
            body |= {"post_sampling_probs": True, "temperature": 1.0, "samplers": ["temperature"], "seed": 1}
        return body

    def _next(self, asked: list[tuple[list[int], dict]]) -> list[tuple[int | None, dict, dict]]:
        """`forced.Forced`'s questions; one after the other: for single tokens sharing a forward gains nothing here."""
        self._engine.room(max((len(ids) for ids, _ in asked), default=0) + 1)
        return [_read(answer) for answer in self._engine.complete([self._body(ids, fields) for ids, fields in asked])]

    def _generation(self, head: list[int], answer: dict, stop: tuple[str, ...]) -> Generation:
        tokens, text = answer["tokens"], answer["content"]
        finish = {"eos": "eos", "word": "stop"}.get(answer["stop_type"], "length")
        if stop and finish != "stop":  # one that names a special token, of which the engine's own text shows nothing
            own = tokens[: -1 if finish == "eos" else None]  # the model's own end is no stop, whatever it is called
            text, stopped = until_stop(self.new_text, head, own, stop, self.special_texts)
            if stopped:
                finish = "stop"
                ended = (tokens[:count] for count in range(1, len(tokens) + 1))
                tokens = next(
                    some for some in ended if until_stop(self.new_text, head, some, stop, self.special_texts)[1]
                )
        told = answer.get("completion_probabilities", [])
        values = [one["logprob"] for one in told]
        # half a character and the stop's own tokens have no log-probability yet: they are asked for by themselves
        plain = text.isascii() and [one["id"] for one in told] == tokens[: len(told)]
        known = values if plain else []
        if len(known) < len(tokens):
            done = len(known)
            known = known + self._forced.score([([*head, *tokens[:done]], tokens[done:])])[0]
        return Generation(text, tokens, finish, len(head), float(sum(known)))


def _read(answer: dict) -> tuple[int | None, dict[int, float], dict[int, float]]:
    """(token drawn, {token: log-probability}, {token: probability after the biases}) of an answer of one token."""
    told = next(iter(answer.get("completion_probabilities", ())), None)
    if told is None:
        return None, {}, {}
    if "prob" in told:
        return told["id"], {}, {one["id"]: one["prob"] for one in told["top_probs"]}
    return told["id"], {one["id"]: one["logprob"] for one in [*told["top_logprobs"], told]}, {}
