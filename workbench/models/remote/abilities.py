"""What a server can do, found out by asking it: servers that speak the same protocol do very different things.

Each probe is one short request. Some servers accept an option and then ignore it (llama.cpp and Ollama cut samples by
top-k defaults of their own, `transformers serve` answers greedily whatever the temperature says), so an option counts
only if its effect is seen.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field

from ...errors import ModelError
from ..forced import LIFT
from ..report import Table
from .choices import WITHOUT_TEXT, echoed, is_logprob, missing_text, said_by, token_logprobs
from .client import Fault, Server, ServerOptions, Usage, is_count

TEXT = "Once upon a time there was a"  # something that any model can go on from in many ways
ECHOED = "The capital of France is Paris"
SEEDS = (11, 12, 13, 14)
GROUPS = (10, 8, 6, 5, 4, 3, 2)  # samples a request, the largest first
NEAR = 0.05  # nats by which a forced log-probability may differ from the one told unforced: batches differ as much
WORDS = 8  # tokens of a probe for sampling: four equal answers of a model that samples are then out of the question


@dataclass
class Abilities:
    """What was found. ``extra`` are options that every sampling request gets, because they work here."""

    completions: bool = False
    chat: bool = False
    limit: str = "max_tokens"  # what a chat request calls its token limit
    sampling: bool = False  # different seeds give different answers at temperature 1
    transformers: bool = False  # samples only when told through the field generation_config (`transformers serve`)
    seed: str = "refused"  # refused, ignored, repeats
    top_k: str = "refused"  # refused, ignored, honoured
    n: bool = False  # several samples a request
    group: int = 1  # as many of them as were tried and given (llama.cpp gives no more than it has slots)
    logprobs: bool = False  # of the sampled tokens
    echo: bool = False  # of given texts, by echo
    forced: bool = False  # of given texts, by forced tokens (`models.forced`); the server has /tokenize
    answers_as: str = ""  # the model's name in the server's answers
    models: list[str] = field(default_factory=list)  # what /models lists
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RemoteReport(Table):
    """A server's model: what it is, what it can do, what it was asked and what that cost."""

    name: str
    source: str  # the server's address
    abilities: Abilities
    options: ServerOptions
    usage: Usage
    without_text: Counter = field(default_factory=Counter)  # kind (a key of `choices.WITHOUT_TEXT`) -> answers
    sha256: None = None

    @property
    def identity(self) -> str:
        """The name the server answers with: a claim of the server, not a hash of the weights."""
        return f"server: {self.abilities.answers_as or 'unnamed'}"

    def as_dict(self) -> dict:
        """Plain data, ready for JSON; there is no key in it."""
        return {
            "name": self.name,
            "source": self.source,
            "identity": self.identity,
            "sha256": None,
            "abilities": asdict(self.abilities),
            "options": asdict(self.options),
            "usage": self.usage.as_dict(),
            "cost": self.usage.cost(self.options),
            "without_text": dict(self.without_text),
            "notes": list(self.abilities.notes),
        }

    def line(self) -> str:
        """One line: where, and what it can do."""
        found = self.abilities
        can = [word for word, there in (("completions", found.completions), ("chat", found.chat)) if there]
        return f"{self.source}, {' and '.join(can)}, {self.usage.requests} requests so far"

    def rows(self) -> list[tuple[str, str]]:
        """The table's rows."""
        found, used = self.abilities, self.usage
        yes = {True: "yes", False: "no"}
        rows = [
            ("model", self.name),
            ("server", self.source),
            ("answers as", f"{found.answers_as or 'unnamed'} (the server's word: its weights cannot be checked)"),
            ("raw text (completions)", yes[found.completions]),
            ("conversations (chat)", yes[found.chat]),
            ("samples at temperature 1", _sampling(found)),
            ("seed", _SEED[found.seed]),
            ("top_k", _TOP_K[found.top_k]),
            ("several samples a request", f"yes, {found.group} at least" if found.n else "no"),
            ("log-probability of a sample", yes[found.logprobs]),
            ("log-probabilities of given texts", "yes, by forced tokens" if found.forced else yes[found.echo]),
            ("whole next-token distributions", "no (no server gives them): they are estimated by counting samples"),
            (
                "asked so far",
                f"{used.requests} requests in {used.seconds:.1f} s, {used.retries} repeated, "
                f"{used.cached} answers from the cache",
            ),
            ("tokens", f"{used.prompt_tokens} in, {used.completion_tokens} out{_unknown(used)}"),
        ]
        rows += [("answers without a text", f"{n} {WITHOUT_TEXT[kind]}") for kind, n in self.without_text.items()]
        cost = used.cost(self.options)
        if cost is not None:
            rows.append(("cost", f"{cost:.4f} {self.options.currency}".strip() + ", by the prices you gave"))
        return rows + [("note", note) for note in found.notes]


_SEED = {
    "refused": "refused: every call draws anew",
    "ignored": "ignored: every call draws anew (kept answers stay)",
    "repeats": "the same seed repeated its answer once (servers do not guarantee it)",
}
_TOP_K = {
    "refused": "refused: the server's own defaults hold",
    "ignored": "ignored: the server's own top-k, if it has one, cuts the samples",
    "honoured": "honoured, so samples are drawn from all tokens",
}


def _sampling(found: Abilities) -> str:
    if not found.sampling:
        return "no: it answers the same every time"
    return "yes, through generation_config (transformers serve)" if found.transformers else "yes"


def _unknown(used: Usage) -> str:
    return f" ({used.unknown} answers came without a count)" if used.unknown else ""


def discover(server: Server, model: str) -> Abilities:
    """Ask for everything a paper may need, in about twenty short requests.

    Raises
    ------
    ModelError
        Neither endpoint answers for this model; the sentence is the server's reason.
    """
    found = Abilities()
    try:
        listed = server.get("models").get("data")
        found.models = [str(item.get("id")) for item in listed or [] if isinstance(item, dict)][:50]
    except Fault as fault:
        if fault.status is None and fault.passing:  # nobody there: every further probe would wait for nothing
            raise
        found.notes.append(f"the server does not list its models ({fault.status or 'no list'})")
    ask = _Prober(server, model, found)
    faults = []
    for name, probe in (("completions", ask.completions), ("chat", ask.chat)):
        try:
            probe()
            setattr(found, name, True)
        except Fault as fault:
            faults.append(fault)
    if not found.completions and not found.chat:
        telling = [fault for fault in faults if fault.status not in (404, 405)] or faults
        others = f"; it lists {', '.join(found.models[:5])}" if found.models and model not in found.models else ""
        raise ModelError(f"openai:{model}: {telling[-1]}{others}") from telling[-1]
    if not _same(model, found.answers_as):
        found.notes.append(
            f"the server answers as {found.answers_as or 'nothing'}, not as {model}: is it the right one?"
        )
    ask.sampling()
    ask.several()
    ask.log_probabilities()
    return found


class _Prober:
    """The probes; each sets fields of ``found``."""

    def __init__(self, server: Server, model: str, found: Abilities):
        self.server, self.model, self.found = server, model, found

    def completions(self) -> None:
        answer = self.server.ask(
            "completions", {"model": self.model, "prompt": TEXT, "max_tokens": 2, "temperature": 0}, retries=1
        )
        self.found.answers_as = str(answer.get("model") or "")

    def chat(self) -> None:
        messages = [{"role": "user", "content": "Say yes."}]
        try:
            answer = self.server.ask(
                "chat/completions", {"model": self.model, "messages": messages, "max_tokens": 2}, retries=1
            )
        except Fault as fault:
            if "max_completion_tokens" not in str(fault):
                raise
            self.found.limit = "max_completion_tokens"
            answer = self.server.ask(
                "chat/completions", {"model": self.model, "messages": messages, self.found.limit: 16}, retries=1
            )
        self.found.answers_as = self.found.answers_as or str(answer.get("model") or "")
        if missing_text(answer["choices"][0]) == "reasoning":
            self.found.notes.append("the model thinks before it answers, and max_new_tokens counts its thinking too")

    def sampling(self) -> None:
        """Temperature, seed and top_k, each by what it does."""
        found = self.found
        drawn = self._draw(SEEDS)
        # `transformers serve` names the revision behind the model; only then its own field is worth a try
        if (drawn is None or len(set(drawn)) == 1) and found.answers_as.startswith(f"{self.model}@"):
            found.transformers = True
            drawn = self._draw(SEEDS)
            if drawn is None or len(set(drawn)) == 1:
                found.transformers = False
        if drawn is None:  # perhaps it is the seed that is refused
            drawn = self._draw((None,) * len(SEEDS))
            found.sampling = drawn is not None and len(set(drawn)) > 1
            return
        found.sampling = len(set(drawn)) > 1
        if not found.sampling:
            found.notes.append("temperature has no effect here: counted samples would all be the same one")
            found.seed = "ignored"
            return
        again = self._draw(SEEDS[:2])
        found.seed = "repeats" if again == drawn[:2] else "ignored"
        cut = self._draw(SEEDS, top_k=1)
        if cut is not None:
            found.top_k = "honoured" if len(set(cut)) == 1 else "ignored"
        if found.top_k != "honoured":
            found.notes.append(
                f"top_k is {found.top_k}: if the server cuts samples by a top-k or top-p of its own, counts "
                "are of the cut distribution (see docs/remote.md)"
            )

    def several(self) -> None:
        body = self._body(WORDS, seed=None)
        for count in GROUPS:
            try:
                given = len(self.server.ask(*body_with(body, n=count), retries=1)["choices"])
            except Fault:
                continue
            if given == count:
                self.found.n, self.found.group = True, count
            if given in (1, count):  # 1: it takes no notice of n
                return

    def log_probabilities(self) -> None:
        endpoint, body = self._body(1, seed=None)
        wanted = {"logprobs": True} if endpoint == "chat/completions" else {"logprobs": 1}
        try:
            choice = self.server.ask(*body_with((endpoint, body), **wanted), retries=1)["choices"][0]
            self.found.logprobs = token_logprobs(choice) is not None
        except Fault:
            self.found.logprobs = False
        if not self.found.completions:
            return
        try:
            choice = self.server.ask("completions", echo_body(self.model, ECHOED), retries=1)["choices"][0]
            self.found.echo = echoed(choice, ECHOED) is not None
        except Fault:
            self.found.echo = False
        if not self.found.echo:
            self.found.forced = self._forces()

    def _forces(self) -> bool:
        """Whether a forced token comes with the log-probability that it has unforced: tried on the second likeliest."""
        try:
            ids = tokenised(self.server, ECHOED, start=True)
            plain = told(self.server.ask(*forced_body(self.model, ids, {"top": 2}), retries=1))
            if plain is None or len(plain[1]) < 2:
                return False
            token, value = sorted(plain[1].items(), key=lambda item: -item[1])[1]
            forced = told(self.server.ask(*forced_body(self.model, ids, {"bias": [token]}), retries=1))
        except Fault:
            return False
        return forced is not None and forced[0] == token and abs(forced[1][token] - value) < NEAR

    def _draw(self, seeds, **options) -> list[str] | None:
        """A sample for each seed at temperature 1, or None where the request is refused."""
        drawn = []
        for seed in seeds:
            try:
                choice = self.server.ask(*self._body(WORDS, seed=seed, **options), retries=1)["choices"][0]
            except Fault as fault:
                if fault.passing or (fault.status or 0) in (401, 403, 429):
                    raise
                return None
            drawn.append(said_by(choice))
        return drawn

    def _body(self, tokens: int, *, seed, top_k: int = 0) -> tuple[str, dict]:
        prompt = TEXT if self.found.completions else [{"role": "user", "content": "Name an animal, a colour, a city."}]
        return request_body(
            self.found, self.model, prompt, max_new_tokens=tokens, temperature=1.0, top_p=1.0, top_k=top_k, seed=seed
        )


def request_body(
    found: Abilities, model: str, prompt, *, max_new_tokens, temperature, top_p, top_k, seed, stop=(), n=1
) -> tuple[str, dict]:
    """The endpoint and the body of a request for ``n`` samples of a text (completions) or a conversation (chat)."""
    chat = not isinstance(prompt, str)
    body: dict = {"model": model, "messages" if chat else "prompt": prompt}
    body[found.limit if chat else "max_tokens"] = max_new_tokens
    if found.transformers and temperature > 0:
        config = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": top_k,
                  "max_new_tokens": max_new_tokens}  # fmt: skip
        body["generation_config"] = json.dumps(config, sort_keys=True)
    else:
        body["temperature"] = temperature
        if temperature > 0:
            body["top_p"] = top_p
            if top_k:
                body["top_k"] = top_k
            elif found.top_k == "honoured":  # switch the server's own cuts off: -1 is "all" to vLLM and llama.cpp
                body["top_k"], body["min_p"] = -1, 0.0
    if seed is not None:
        body["seed"] = seed
    if stop:
        body["stop"] = list(stop)
    if n > 1:
        body["n"] = n
    if found.logprobs:
        body["logprobs"] = True if chat else 1
    return "chat/completions" if chat else "completions", body


def body_with(request: tuple[str, dict], **more) -> tuple[str, dict]:
    """A request with further fields in its body."""
    return request[0], {**request[1], **more}


def echo_body(model: str, text: str) -> dict:
    """A request that makes a server score a text: it is echoed with its log-probabilities (one token more is drawn)."""
    return {"model": model, "prompt": text, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}


def tokenised(server: Server, text: str, *, start: bool) -> list[int]:
    """A text's token ids by the server's own tokenizer, as llama.cpp offers it; raises Fault where it does not."""
    answer = server.beside("/tokenize", {"content": text, "add_special": start, "parse_special": True})
    ids = answer.get("tokens")
    if not isinstance(ids, list) or not ids or not all(map(is_count, ids)):
        raise Fault(f"{server.base_url} gives no token ids for a text")
    return ids


def forced_body(model: str, ids: list[int], fields: dict) -> tuple[str, dict]:
    """A request for one token, as `models.forced` asks; biases are on token ids, which llama.cpp takes as pairs."""
    body = {"model": model, "prompt": ids, "max_tokens": 1, "temperature": 0, "logprobs": fields.get("top", 1)}
    if bias := fields.get("bias"):
        body["logit_bias"] = [[token, LIFT] for token in bias]
    return "completions", body


def told(answer: dict) -> tuple[int, dict[int, float]] | None:
    """(token drawn, {token: log-probability}) of an answer of one token that tells ids; None where it does not."""
    said = answer["choices"][0].get("logprobs")
    items = said.get("content") if isinstance(said, dict) else None
    one = items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}
    others = one.get("top_logprobs")
    every = [one, *(others if isinstance(others, list) else [])]
    known = {
        item["id"]: float(item["logprob"])
        for item in every
        if isinstance(item, dict) and is_count(item.get("id")) and is_logprob(item.get("logprob"))
    }
    return (one["id"], known) if one.get("id") in known else None


def _same(wanted: str, answered: str) -> bool:
    """Whether the name in the answers can be the one asked for: equal, or one with a version behind it."""
    wanted, answered = wanted.lower(), answered.lower()
    return bool(answered) and (wanted in answered or wanted.endswith(answered.split("/")[-1]))
