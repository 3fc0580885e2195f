"""A model on any OpenAI-compatible server (vLLM, llama.cpp, Ollama, `transformers serve`, a paid one).

``load("openai:NAME", base_url="http://127.0.0.1:8000/v1")`` asks the server what it can do (`discover`) and gives a
handle with the calls of every other model. What no server gives is refused with the reason: weights, hidden states,
gradients, distributions over the whole vocabulary. Every answer is kept on the disk as it comes (`answers`).

Randomness: sample s of prompt i is asked for with a seed made of (seed, i, s), or of its group (up to ten) where the
server gives several samples a request. Servers do not guarantee that a seed repeats; kept answers do.
"""

import contextlib
import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, TimeoutError as NotYet, as_completed

from ...errors import ModelError, WorkbenchError
from ...files import run_folder, write_json
from ..base import (
    Generation,
    Prompt,
    Scored,
    WithoutWeights,
    check_messages,
    check_options,
    check_text,
    request_seed,
    say,
)
from ..forced import SOME, Forced
from ..reader import is_conversation
from ..report import note_model
from .abilities import RemoteReport, discover, echo_body, forced_body, request_body, tokenised, told
from .choices import WITHOUT_TEXT, cut_short, echoed, missing_text, text_of, token_logprobs
from .client import Server, ServerOptions, check_url, is_count
from .response_cache import Answers, key_of


def load_remote(name: str, *, base_url, server=None, strict: bool = False) -> "RemoteModel":
    """`workbench.load` for ``openai:NAME``; see there."""
    model = name.removeprefix("openai:")
    if not model.strip():
        raise ModelError("openai: is followed by the name the server knows the model by, such as openai:smollm2")
    check_url(base_url)
    options = ServerOptions.of(server)
    line = Server(base_url, options)
    found = discover(line, model)
    if strict and found.notes:
        raise ModelError(f"{name}: {found.notes[0]} (strict=True forbids going on)")
    remote = RemoteModel(name, line, found)
    note_model(remote.report)
    return remote


class RemoteModel(WithoutWeights):
    """A language model on a server; made by `workbench.load`.

    Attributes
    ----------
    can
        "generate", and "scores" where the server echoes log-probabilities, or tells those of forced tokens.
    abilities
        What the server was found to do (`discover.Abilities`).
    report : RemoteReport
        The same as a table, with requests, tokens and cost up to now.
    raw_text
        Whether the server goes on with a text as it is; if not, texts go as messages of a user (``chat=True``).
    """

    where = "lives on a server"

    def __init__(self, name: str, server: Server, abilities):
        self.name, self.abilities = name, abilities
        self._server = server
        self._model = name.removeprefix("openai:")
        self._answers = Answers(server.options.cache_bytes) if server.options.cache else None
        self._without_text: Counter = Counter()
        self.can = frozenset({"generate", "scores"} if abilities.echo or abilities.forced else {"generate"})

    def __repr__(self) -> str:
        return f"<workbench model {self.name}: {self.report.line()}>"

    @property
    def report(self) -> RemoteReport:
        server = self._server
        return RemoteReport(
            self.name, server.base_url, self.abilities, server.options, server.usage, self._without_text
        )

    @property
    def has_chat(self) -> bool:
        """Whether it takes conversations."""
        return self.abilities.chat

    @property
    def raw_text(self) -> bool:
        return self.abilities.completions

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

        A generation's ``tokens`` are empty (servers tell no ids), its ``logprob`` NaN unless the server gives it. At
        temperature 0 one answer is asked for and stands for all ``n``.

        An answer that has no text (reasoning alone, tool calls, a refusal) is no empty text: its ``finish`` says which
        (a key of `choices.WITHOUT_TEXT`), and the report counts it.

        Raises
        ------
        ModelError
            An option out of range or one that this server ignores; a fault of the server that did not pass. Answers
            that came before it are kept: calling again asks for the rest.
        """
        stop = (stop,) if isinstance(stop, str) else tuple(stop)
        check_options(
            prompts, max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, n=n, stop=stop
        )
        found = self.abilities
        if temperature > 0 and not found.sampling and n > 1:
            raise ModelError(
                f"{self.name} answers the same whatever the seed at temperature 1, so {n} samples would be one: start "
                "the server with sampling switched on (transformers serve: do_sample in generation_config.json)"
            )
        if temperature > 0 and top_k and found.top_k != "honoured":
            raise ModelError(f"{self.name}: the server's top_k is {found.top_k}, so top_k={top_k} cannot be had")
        asked = [self._prompt(prompt, index, chat) for index, prompt in enumerate(prompts)]
        group = 1 if temperature == 0 else found.group
        wanted = 1 if temperature == 0 else n
        jobs, owners = [], []
        for index, prompt in enumerate(asked):
            for first in range(0, wanted, group):
                count = min(group, wanted - first)
                drawn = None if found.seed == "refused" or temperature == 0 else request_seed(seed, index, first)
                jobs.append(
                    request_body(
                        found, self._model, prompt, max_new_tokens=max_new_tokens, temperature=temperature,
                        top_p=top_p, top_k=top_k, seed=drawn, stop=stop, n=count,
                    )
                )  # fmt: skip
                owners.append((index, first, count))
        # where the seed is not sent, the key must still tell one sample from the next
        parts = [{"sample": [seed, *owner[:2]]} if temperature > 0 else {} for owner in owners]
        samples: list[list[Generation]] = [[] for _ in asked]
        missing: Counter = Counter()
        for (index, _, count), answer in zip(owners, self._ask_all(jobs, parts), strict=True):
            said = answer.get("usage") if isinstance(answer.get("usage"), dict) else {}
            prompt_tokens = said.get("prompt_tokens") if is_count(said.get("prompt_tokens")) else 0
            made = [_generation(choice, prompt_tokens, stop) for choice in answer["choices"][:count]]
            if len(made) < count:
                raise ModelError(f"{self.name} gave {len(made)} of {count} samples: the server's n does not hold")
            samples[index] += made
            missing.update(kind for choice in answer["choices"][:count] if (kind := missing_text(choice)))
        if missing:
            self._without_text.update(missing)
            self._note_usage()
            each = "; ".join(f"{n} are {WITHOUT_TEXT[kind]}" for kind, n in missing.items())
            asked_for = len(asked) * (1 if temperature == 0 else n)
            say(f"{self.name}: {missing.total()} of {asked_for} answers have no text: {each}")
        return [some * n if temperature == 0 else some for some in samples]

    def logprobs(
        self, prefixes: Sequence[str | list[int]], continuations: Sequence[Sequence[str | list[int]]]
    ) -> list[list[Scored]]:
        """Log-probabilities of texts behind prefixes, as the server computes them.

        By ``echo`` the text is tokenised as a whole, by the server, and ``tokens`` of a `Scored` stay empty. By forced
        tokens (`models.forced`) a continuation is tokenised on its own, as with a local model; each token is a
        request.

        Raises
        ------
        ModelError
            The server does not score given texts; token ids instead of texts; a token lies across the seam.
        """
        if "scores" not in self.can:
            raise ModelError(
                f"{self.name} does not score given texts (neither by echo nor by forced tokens): count samples, "
                "or choose a local model such as smollm2"
            )
        if len(prefixes) != len(continuations):
            raise ModelError(
                f"there are {len(prefixes)} prefixes and {len(continuations)} lists of continuations: give one each"
            )
        pairs = [(prefix, text) for prefix, texts in zip(prefixes, continuations, strict=True) for text in texts]
        for prefix, text in pairs:
            if not isinstance(prefix, str) or not isinstance(text, str):
                raise ModelError(f"{self.name} has its tokenizer on the server: give texts, not token ids")
            if not prefix or not text:
                raise ModelError("a prefix and a continuation need at least one character each")
        if self.abilities.forced:
            return self._forced_scores(prefixes, continuations)
        answers = self._ask_all(
            [("completions", echo_body(self._model, prefix + text)) for prefix, text in pairs], [{}] * len(pairs)
        )
        scored = iter(self._scored(prefix, text, answer) for (prefix, text), answer in zip(pairs, answers, strict=True))
        return [[next(scored) for _ in texts] for texts in continuations]

    def _forced_scores(self, prefixes, continuations) -> list[list[Scored]]:
        def ask(asked):
            jobs = [forced_body(self._model, ids, fields) for ids, fields in asked]
            found = (told(answer) for answer in self._ask_all(jobs, [{}] * len(jobs)))
            return [(None, {}, {}) if one is None else (*one, {}) for one in found]

        known: dict[tuple[str, bool], list[int]] = {}

        def ids_of(text: str, start: bool) -> list[int]:
            if (text, start) not in known:
                known[text, start] = tokenised(self._server, text, start=start)
            return known[text, start]

        heads = [ids_of(prefix, True) for prefix in prefixes]
        texts = [[ids_of(text, False) for text in group] for group in continuations]
        forced = Forced(ask, self.name, ids_of("a", False)[-1], SOME)
        pairs = [(head, text) for head, group in zip(heads, texts, strict=True) for text in group]
        values = iter(forced.score(pairs))
        return [[Scored(text, found := next(values), float(sum(found))) for text in group] for group in texts]

    def costs(self, prefix: str = "") -> dict[str, float]:
        """Requests, tokens and, with prices, the cost so far: numbers for `workbench.record`."""
        used = self._server.usage
        found = {
            "server_requests": used.requests,
            "server_answers_from_cache": used.cached,
            "server_tokens_in": used.prompt_tokens,
            "server_tokens_out": used.completion_tokens,
            "server_answers_without_text": self._without_text.total(),
        }
        cost = used.cost(self._server.options)
        if cost is not None:
            found["server_cost"] = cost
        return {f"{prefix}{name}": float(value) for name, value in found.items()}

    # --- asking -------------------------------------------------------------------------------------------------------

    def _prompt(self, prompt: Prompt, index: int, chat: bool | None):
        """A text for completions or a conversation for chat."""
        if isinstance(prompt, str) and not chat:
            if not prompt:
                raise ModelError(f"prompt {index} is empty: give at least one character")
            if not self.raw_text:
                raise ModelError(
                    f"{self.name} takes conversations only (its server has no /v1/completions): pass chat=True, which "
                    "sends the text as a user's message"
                )
            return prompt
        if not is_conversation(prompt) and not isinstance(prompt, str):
            raise ModelError(
                f"prompt {index} is neither a text nor a list of messages ({str(prompt)[:60]}): {self.name} is on a "
                "server, which reads texts with a tokenizer of its own, so give the text and no token ids"
            )
        if chat is False:
            raise ModelError("chat=False takes plain texts, and a prompt is a list of messages: leave chat out")
        if not self.abilities.chat:
            raise ModelError(f"{self.name}: its server has no chat endpoint: give plain texts and leave chat out")
        return check_messages(prompt)

    def _ask_all(self, jobs: list[tuple[str, dict]], parts: list[dict]) -> list[dict]:
        """Answers to all requests, in order: from the cache, else from the server, and kept as they come."""
        check_text([body for _, body in jobs])
        server = self._server
        where = {"url": server.base_url, "answers_as": self.abilities.answers_as}
        keys = [key_of(**where, endpoint=job[0], body=job[1], **part) for job, part in zip(jobs, parts, strict=True)]
        answers: list[dict | None] = [self._answers.get(key) if self._answers else None for key in keys]
        with server.usage.lock:
            server.usage.cached += sum(answer is not None for answer in answers)
        missing = [place for place, answer in enumerate(answers) if answer is None]
        if not missing:
            return answers
        fault: WorkbenchError | None = None
        server.ended.clear()
        pool = ThreadPoolExecutor(max_workers=min(server.options.concurrency, len(missing)))
        try:
            waiting = {pool.submit(self._one, jobs[place], keys[place]): place for place in missing}
            for future in _finished(waiting):
                if future.cancelled():
                    continue
                error = future.exception()
                if error is None:
                    answers[waiting[future]] = future.result()
                elif fault is None:
                    fault = error
                    server.ended.set()  # whoever pauses gives up; who is being answered is still waited for
                    for other in waiting:
                        other.cancel()
        except BaseException:  # Ctrl-C: nobody waits for the rest
            server.ended.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown(wait=True)
        self._note_usage()
        if fault is not None:
            if not isinstance(fault, WorkbenchError):
                raise fault
            came = sum(answer is not None for answer in answers)
            kept = f"; {came} of {len(jobs)} answers are kept, so running again asks for the rest" if came else ""
            raise ModelError(f"{self.name}: {fault}{kept if self._answers else ''}") from fault
        return answers

    def _one(self, job: tuple[str, dict], key: str) -> dict:
        answer = self._server.ask(*job)
        named = str(answer.get("model") or "")
        if named != self.abilities.answers_as:
            raise ModelError(
                f"the server answered as {named or 'nothing'}, and as {self.abilities.answers_as} before: load the "
                "model again, and mix no answers of two models"
            )
        kept = {"choices": answer["choices"], "usage": answer.get("usage")}
        if self._answers:
            self._answers.put(key, kept)
        return kept

    def _note_usage(self) -> None:
        """Inside a run: requests, tokens and cost up to now, beside the record."""
        folder = run_folder()
        if folder is not None:
            with contextlib.suppress(WorkbenchError):  # a full disk is the runner's to tell
                write_json(folder / "server.json", self.report.as_dict())

    def _scored(self, prefix: str, text: str, answer: dict) -> Scored:
        found = echoed(answer["choices"][0], prefix + text)
        if found is None:
            raise ModelError(f"{self.name} did not echo {(prefix + text)[:40]!r} with log-probabilities this time")
        starts, values = found
        if len(prefix) not in starts:
            raise ModelError(
                f"a token of {self.name} lies across the end of the prefix {prefix[-20:]!r} and the beginning of "
                f"{text[:20]!r}: put the space between them at the beginning of the second"
            )
        own = values[starts.index(len(prefix)) :]
        return Scored([], [float(value) for value in own], float(sum(own)))


def _finished(waiting):
    """The futures as they end; a wait at a time, so that Ctrl-C is heard."""
    left = set(waiting)
    while left:
        try:
            for future in as_completed(left, timeout=0.5):
                left.discard(future)
                yield future
        except NotYet:
            continue


def _generation(choice: dict, prompt_tokens: int, stop: tuple[str, ...]) -> Generation:
    text, said = text_of(choice), choice.get("finish_reason")
    if (kind := missing_text(choice)) is not None:
        return Generation(text, [], kind, prompt_tokens, math.nan)
    places = [text.find(string) for string in stop if string in text]
    if places:  # some servers leave the stop string in
        text, finish = text[: min(places)], "stop"
    elif said == "length":
        finish = "length"
    elif (cut := cut_short(choice)) is not None:
        finish = cut
    elif "stop_reason" in choice:  # vLLM tells the two apart
        finish = "eos" if choice["stop_reason"] is None else "stop"
    else:
        finish = "stop" if stop else "eos"
    values = token_logprobs(choice)
    return Generation(text, [], finish, prompt_tokens, float(sum(values)) if values else math.nan)
