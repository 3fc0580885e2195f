"""One request to an OpenAI-compatible server, and what can go wrong with it.

Retried, with growing pauses, are only the faults that pass: 429, 5xx, no connection, no answer in time. Everything else
is told at once, in one sentence. A pause the server asks for (Retry-After) holds back all threads.
"""

import contextlib
import email.utils
import json
import os
import random
import re
import threading
import time
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

from ...errors import ModelError
from ...files import CONTROL, lone_surrogate
from ..base import say
from .choices import unreadable
from .network import Redirected, client_options, is_loopback, shown

KEYS = ("WORKBENCH_API_KEY", "OPENAI_API_KEY")  # the first that is set is sent
LARGEST_ANSWER = 64_000_000  # bytes: a server that sends without end must not fill the memory
LONGEST_WAIT = 120.0  # seconds: a server that asks for more is told of instead of waited for
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
PASSING = (408, 409, 425, 429)  # besides 5xx: too late, too early, in each other's way, too many
PORTAL = "where the page is this network's log-in (a captive portal), log in with a browser first"
MISSING = "a model on a server needs the package openai: `pip install 'openai>=2'` (or the workbench's extra `remote`)"


@dataclass(frozen=True)
class ServerOptions:
    """How a server is talked to; ``load(…, server={…})`` takes these names.

    Attributes
    ----------
    timeout
        Seconds a request may take, from its start to its last byte.
    concurrency
        Requests on their way at once.
    retries
        How often a request is repeated after a fault that may pass (429, 5xx, connection, time-out).
    cache
        Whether answers are kept on the disk and taken from there.
    cache_bytes
        What the folder of answers may hold.
    price_in, price_out
        Price of a million prompt and completion tokens, as your contract has it; None: no cost is counted.
    currency
        The unit of the prices, for the eye.
    """

    timeout: float = 120.0
    concurrency: int = 8
    retries: int = 5
    cache: bool = True
    cache_bytes: int = 500_000_000
    price_in: float | None = None
    price_out: float | None = None
    currency: str = ""

    @classmethod
    def of(cls, given) -> "ServerOptions":
        """From None, a dict or an instance; raises ModelError for a name or value that makes no sense."""
        if isinstance(given, cls):
            return given
        if given is not None and not isinstance(given, dict):
            raise ModelError(f"server={given!r} is no set of options: give a dict such as {{'timeout': 60}}")
        known = {item.name: item.type for item in fields(cls)}
        for name, value in (given or {}).items():
            if name not in known:
                raise ModelError(f"server has no option {name!r}: there are {', '.join(known)}")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if name == "cache":
                fits = isinstance(value, bool)
            elif name == "currency":
                fits = isinstance(value, str) and len(value) <= 8
            elif name.startswith("price"):
                fits = value is None or (number and 0 <= value < float("inf"))
            elif name == "timeout":
                fits = number and 0 < value < float("inf")
            else:
                fits = number and value == int(value) and value >= (0 if name == "retries" else 1)
            if not fits:
                raise ModelError(f"server option {name}={value!r} makes no sense: its type is {known[name]}")
        options = dict(given or {})
        for name in ("concurrency", "retries", "cache_bytes"):
            if name in options:
                options[name] = int(options[name])
        return cls(**options)


@dataclass
class Usage:
    """What was asked of a server so far. Tokens are the server's own counts; ``unknown`` answers came without any."""

    requests: int = 0
    retries: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unknown: int = 0
    seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def cost(self, options: ServerOptions) -> float | None:
        """In the user's currency; None where no prices were given. Answers taken from the cache cost nothing."""
        if options.price_in is None and options.price_out is None:
            return None
        return (self.prompt_tokens * (options.price_in or 0) + self.completion_tokens * (options.price_out or 0)) / 1e6

    def as_dict(self) -> dict:
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "lock"}


class Fault(ModelError):
    """A request that failed. ``passing``: worth another try; ``wait``: seconds the server asked for; ``status``."""

    def __init__(self, sentence: str, *, status: int | None = None, passing: bool = False, wait: float | None = None):
        super().__init__(sentence)
        self.status, self.passing, self.wait = status, passing, wait


class Server:
    """The address, the key and the counters of one server; `ask` may be called from many threads."""

    def __init__(self, base_url: str, options: ServerOptions):
        try:
            import openai
        except ImportError as error:
            raise ModelError(MISSING) from error
        self._openai = openai
        self.base_url = check_url(base_url)
        self.options, self.usage = options, Usage()
        self._key = next((os.environ[name] for name in KEYS if os.environ.get(name)), None)
        if self._key and self.base_url.startswith("http://") and not is_loopback(self.base_url):
            say(f"the key goes to {self.base_url} unencrypted: use https where the server has it")
        network = client_options(self.base_url, keyed=bool(self._key))
        try:
            http = openai.DefaultHttpxClient(**network)
        except ImportError as error:  # httpx's word for a SOCKS proxy without its package
            raise ModelError(
                f"{self.base_url} would be reached through {shown(network['proxy'])}, which needs the package socksio: "
                "`pip install socksio`, or put the server's host into NO_PROXY"
            ) from error
        except Exception as error:  # ValueError, or httpx's own kind
            if network["proxy"] is None:
                raise
            raise ModelError(
                f"the proxy {shown(network['proxy'])} cannot be used ({self._clean(error)}): mend "
                "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or put the server's host into NO_PROXY"
            ) from error
        # the client wants a key; local servers do not look at it
        self.client = openai.OpenAI(
            base_url=self.base_url,
            api_key=self._key or "none",
            max_retries=0,
            timeout=options.timeout,
            http_client=http,
        )
        self.ended = threading.Event()  # set when nobody waits any more: pauses end, no further request is sent
        self._resume = 0.0  # no request before this time (monotonic): set by Retry-After

    def ask(self, endpoint: str, body: dict, *, retries: int | None = None) -> dict:
        """POST ``body`` to "chat/completions" or "completions"; the answer's JSON, its choices checked.

        Raises
        ------
        Fault
            One sentence, after the retries that made sense.
        """
        tries = self.options.retries if retries is None else retries
        for attempt in range(tries + 1):
            self._pause(self._resume - time.monotonic())
            began = time.monotonic()
            try:
                answer = self._once(endpoint, body)
            except Fault as fault:
                last = attempt == tries
                if not fault.passing or (fault.wait or 0) > LONGEST_WAIT or self.ended.is_set():
                    raise
                if last:
                    times = f" (asked {attempt + 1} times)" if attempt else ""
                    raise Fault(f"{fault}{times}", status=fault.status) from fault
                with self.usage.lock:
                    self.usage.retries += 1
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.75, 1.0)
                if fault.wait is not None:
                    pause = fault.wait
                    self._resume = max(self._resume, time.monotonic() + fault.wait)
                self._pause(pause)
                continue
            self._count(answer, time.monotonic() - began)
            return answer
        raise AssertionError("the last attempt returns or raises")

    def get(self, path: str) -> dict:
        """GET a path of the API as JSON; raises Fault."""
        return self._read(lambda: self.client.models.with_streaming_response.list(timeout=15), path, limit=15)

    def beside(self, path: str, body: dict) -> dict:
        """POST to a path beside the API, at the server's root, as llama.cpp has /tokenize there; raises Fault."""
        root = self.base_url.removesuffix("/v1")
        options = {"headers": {"X-Stainless-Raw-Response": "stream"}, "timeout": 15}  # read by `_read`, within bounds
        return self._read(
            lambda: contextlib.closing(self.client.post(root + path, cast_to=object, body=body, options=options)),
            path.lstrip("/"),
            15,
        )

    def _once(self, endpoint: str, body: dict) -> dict:
        required = {name: body[name] for name in ("model", "messages", "prompt") if name in body}
        rest = {name: value for name, value in body.items() if name not in required}
        place = self.client.chat.completions if endpoint == "chat/completions" else self.client.completions
        answer = self._read(
            lambda: place.with_streaming_response.create(**required, extra_body=rest), endpoint, self.options.timeout
        )
        check_choices(answer, self.base_url, chat=endpoint == "chat/completions", clean=self._clean)
        return answer

    def _read(self, call, path: str, limit: float) -> dict:
        """The JSON object that a call answers with: within its time, of bounded size, or a Fault."""
        deadline, parts, size = time.monotonic() + limit, [], 0
        try:
            with call() as response:
                kind = response.headers.get("content-type", "")
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > LARGEST_ANSWER:
                        raise Fault(f"{self.base_url} sends more than {LARGEST_ANSWER} bytes for one answer: stopped")
                    if time.monotonic() > deadline:
                        raise TimeoutError
        except Fault:
            raise
        except Exception as error:  # openai's own kinds, and those of the HTTP library below it, which has changed name
            raise self._fault(error, path, limit) from error
        text = b"".join(parts).decode("utf-8-sig", "replace")
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError) as error:
            shown = self._clean(text)[:80]
            if "html" in kind or shown.lower().startswith(("<!doctype", "<html")):
                portal = "" if is_loopback(self.base_url) else f"; {PORTAL}"
                raise Fault(
                    f"{self.base_url} answers with a web page, not JSON: give the API's address (it mostly ends in /v1)"
                    f"{portal}"
                ) from error
            raise Fault(
                f"{self.base_url} answers with malformed JSON ({shown!r}, {len(text)} characters): see the server's log"
            ) from error
        if lone_surrogate(
            answer
        ):  # a text cut between two tokens of one character: what a tokenizer gives for half of it
            whole = json.dumps(answer, ensure_ascii=False)
            answer = json.loads(re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", whole))
        if not isinstance(answer, dict):
            raise Fault(f"{self.base_url} answers with {type(answer).__name__} where an object was due: is it an API?")
        return answer

    def _fault(self, error: Exception, path: str, limit: float) -> Fault:
        """The sentence for what openai, or the HTTP library below it, raised."""
        where = self.base_url
        status = getattr(error, "status_code", None)
        if isinstance(error, self._openai.APITimeoutError | TimeoutError) or "Timeout" in type(error).__name__:
            return Fault(
                f"{where} did not answer within {limit:g} s: raise server={{'timeout': …}} or ask for fewer tokens",
                passing=True,
            )
        if status is None:
            cause = error.__cause__ or error
            if isinstance(cause, Redirected):
                return Fault(
                    f"{where} sends requests on to {self._clean(cause.address)}, which would carry the prompts there: "
                    f"give that address as base_url if it is the right one; {PORTAL}"
                )
            if "Decod" in type(error).__name__ + type(cause).__name__:  # it says gzip and is not
                return Fault(f"{where} gave an answer that cannot be unpacked ({self._clean(cause)}): see its log")
            if isinstance(error, self._openai.APIConnectionError) or type(error).__module__.startswith("http"):
                broken = "Protocol" in type(cause).__name__ or "Read" in type(cause).__name__
                what = "broke off in the middle of an answer" if broken else "cannot be reached"
                why = self._clean(str(cause))[:120]
                return Fault(f"{where} {what} ({why}): is the server running, and is base_url right?", passing=True)
            return Fault(f"{where} gave an answer that cannot be read ({type(error).__name__}: {self._clean(error)})")
        said = self._clean(message_of(error))
        wait = retry_after(getattr(getattr(error, "response", None), "headers", {}))
        if status in (401, 403):
            have = "refuses the key" if self._key else "wants a key"
            return Fault(f"{where} {have} ({status}: {said}): set {KEYS[1]} or {KEYS[0]}", status=status)
        if status == 429:
            if "quota" in str(getattr(error, "code", "") or "") or "insufficient_quota" in said:
                return Fault(f"{where} says that the quota is used up ({said}): see your account", status=429)
            longer = f", and asks to wait {wait:.0f} s" if wait and wait > LONGEST_WAIT else ""
            return Fault(
                f"{where} refuses so many requests (429: {said}){longer}: lower server={{'concurrency': …}} or wait",
                status=429, passing=True, wait=wait,
            )  # fmt: skip
        if status == 407:
            return Fault(f"the proxy in front of {where} wants a log-in (407): put user and password into its address")
        if status == 511:
            return Fault(f"{where} cannot be reached before a log-in to this network (511): {PORTAL}", status=status)
        if status >= 500:
            return Fault(f"{where} failed ({status}: {said}): see the server's log", status=status, passing=True,
                         wait=wait)  # fmt: skip
        if status in (404, 405):
            return Fault(f"{where} does not know the model or /{path} ({status}: {said})", status=status)
        if status == 413:
            return Fault(f"{where} finds the request too large (413: {said}): give shorter prompts", status=status)
        return Fault(
            f"{where} refuses the request ({status}: {said})", status=status, passing=status in PASSING, wait=wait
        )

    def _clean(self, text) -> str:
        """One line of bounded length, without the key, should the server have repeated it."""
        line = " ".join(CONTROL.sub("\ufffd", str(text)).split())
        if self._key:
            line = line.replace(self._key, "[key]")
        return line if len(line) <= 300 else line[:300] + " …"

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.ended.wait(seconds)
        if self.ended.is_set():
            raise Fault("the request was given up", passing=False)

    def _count(self, answer: dict, seconds: float) -> None:
        said = answer.get("usage") if isinstance(answer.get("usage"), dict) else {}
        counts = [said.get(name) for name in ("prompt_tokens", "completion_tokens")]
        with self.usage.lock:
            self.usage.requests += 1
            self.usage.seconds += seconds
            if all(map(is_count, counts)):
                self.usage.prompt_tokens += counts[0]
                self.usage.completion_tokens += counts[1]
            else:
                self.usage.unknown += 1


def check_url(base_url) -> str:
    """The address without its last slash; raises ModelError for what is no address, and for one with a key in it."""
    if not isinstance(base_url, str) or not base_url.strip():
        raise ModelError(
            "a name like openai:NAME needs the server's address: base_url='http://127.0.0.1:8000/v1' (--base-url)"
        )
    try:
        parts = urlsplit(base_url.strip())
    except ValueError:  # "http://[::1"
        parts = urlsplit("")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        # not quoted: it may be a secret, and errors are kept
        raise ModelError(f"base_url must be a bare address, and keys go into {KEYS[1]} or {KEYS[0]}: leave them out")
    with contextlib.suppress(ValueError):
        port = parts.port  # raises ValueError where it is no number
        written = re.search(r"[\s\x00-\x1f\x7f-\x9f]", base_url.strip()) is None  # urlsplit overlooks line ends
        if written and parts.scheme in ("http", "https") and parts.hostname and port != 0:
            return base_url.strip().rstrip("/")
    raise ModelError(f"base_url={base_url!r} is no address: give one such as http://127.0.0.1:8000/v1")


def check_choices(answer: dict, where: str, *, chat: bool, clean=str) -> None:
    """Raise Fault unless an answer holds at least one choice with a text; ``clean`` makes what was said one line."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        said = clean(message_of(answer)) if answer.get("error") else ""
        raise Fault(f"{where} answers without any choice{f' ({said})' if said else ''}: see the server's log")
    for choice in choices:
        if (wrong := unreadable(choice, chat=chat)) is not None:
            raise Fault(f"{where} answers with a choice that holds {wrong}: is it an OpenAI-compatible API?")


def is_count(value) -> bool:
    """Whether a number of tokens is one."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def message_of(error) -> str:
    """What a server said, out of the shapes in which servers say it."""
    body = error.get("error") if isinstance(error, dict) else getattr(error, "body", None)
    for _ in range(3):
        if isinstance(body, dict):
            body = body.get("message") or body.get("detail") or body.get("error") or body
        if isinstance(body, list) and body:
            body = body[0]
    return str(body or getattr(error, "message", "") or error)


def retry_after(headers) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date), or None."""
    value = headers.get("retry-after") if headers else None
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return max(0.0, seconds) if seconds < float("inf") else None
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None
