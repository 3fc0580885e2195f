"""The libraries' errors in one sentence of advice each.

What transformers, accelerate, bitsandbytes, huggingface_hub and torch raise was written for their authors. Here each
error users meet is recognised, by type where it has one of its own and by its words where it has not, and said again
as: what happened, with which model, what to do. The original stays attached as the cause.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ModelError, WorkbenchError

_OUT_OF_MEMORY = 'ran out of memory: use bits=4, fewer or shorter prompts, a smaller model, or device="cpu"'
_DAMAGED = "has a weight file that is damaged or cut short: fetch or save it again"
_OWN_CODE = (
    "wants to run code that comes with its files, which the workbench never does: choose a model that transformers "
    "supports by itself"
)
# (words that must all occur, in lower case; the sentence). The first match wins: the particular before the general.
_KNOWN: tuple[tuple[tuple[str, ...], str], ...] = (
    (("dispatched on the cpu or the disk",),
     "does not fit on the GPU, so parts of it would be left on the CPU, where quantised layers cannot run: use "
     'bits=4, a smaller model, a GPU with more memory, or device="cpu"'),
    (("out of memory",), _OUT_OF_MEMORY),
    (("can't allocate memory",),
     "ran out of memory: use bits=4, fewer or shorter prompts, or a smaller model"),
    (("cuda setup failed",),
     "cannot be quantised on this GPU because bitsandbytes found no matching CUDA library: run `python -m "
     "bitsandbytes` to see which, reinstall it with `pip install -U bitsandbytes`, or load without bits"),
    (("socks", "not installed"),
     "cannot be fetched through a SOCKS proxy without the package socksio: `pip install socksio`, or take the "
     "proxy out of ALL_PROXY"),
    (("requires accelerate",),
     "needs the package accelerate for this: `pip install accelerate`"),
    (("using `bitsandbytes`", "requires"),
     "needs the package bitsandbytes for bits: `pip install -U bitsandbytes`, or load without bits"),
    (("trust_remote_code",), _OWN_CODE),
    (("remote code",), _OWN_CODE),
    (("does not recognize this architecture",),
     "has an architecture that the installed transformers does not know: `pip install -U transformers`, or choose "
     "another"),
    (("unrecognized configuration class",),
     "is not a model that writes text (a causal language model): choose one that is"),
    (("unrecognized model",),
     "has a config.json without a known model_type: give the folder that save_pretrained wrote"),
    (("instantiate the backend tokenizer",),
     "has no tokenizer that can be read: save one beside the weights, with tokenizer.save_pretrained"),
    (("gguf model with architecture", "not supported"),
     "is a GGUF file of an architecture that transformers cannot unpack: use the model's safetensors form"),
    (("recursion",),
     "has a file whose brackets are nested too deeply to be read: fetch or save it again"),
    (("safetensor",), _DAMAGED),
    (("no space left",),
     "needs more room than the disk has: free some (`workbench cache clear`), or set WORKBENCH_CACHE to another "
     "disk"),
    (("size mismatch",),
     "and its weights do not belong together (shapes differ): is it the right folder, or an adapter for another "
     "model?"),
    (("target modules", "not found"),
     "has none of the layers the adapter was made for: use the model the adapter was trained on"),
)  # fmt: skip


def explain(error: BaseException, name: str, doing: str = "loading") -> ModelError:
    """One sentence for a library's exception, as a ModelError to raise ``from`` it."""
    said = " ".join(str(error).split())
    kinds = {kind.__name__ for kind in type(error).__mro__}
    chain = said + " " + " ".join(str(cause) for cause in _causes(error))
    names = kinds | {kind.__name__ for cause in _causes(error) for kind in type(cause).__mro__}
    # of a model that is not there the library says "private or gated repo" too
    if "GatedRepoError" in names or ("gated repo" in chain.lower() and "RepositoryNotFoundError" not in names):
        sentence = (
            "is gated: accept its terms on its page at huggingface.co and log in with `hf auth login` (or set HF_TOKEN)"
        )
    elif "RevisionNotFoundError" in names:
        sentence = "has no such revision on the hub: give a branch, tag or commit that its page lists"
    elif (said_by_hub := _hub_sentence(error)) is not None:
        sentence = said_by_hub
    elif "RepositoryNotFoundError" in names:
        sentence = (
            "is not on the hub (or is private): check the spelling, or log in with `hf auth login`; embedded are "
            "smollm2 and gemma3-270m"
        )
    elif names & {
        "OfflineModeIsEnabled", "LocalEntryNotFoundError", "ConnectError", "ConnectionError", "ConnectTimeout",
        "ReadTimeout", "MaxRetryError", "HfHubHTTPError", "gaierror", "TransportError",
    } or "couldn't connect" in chain.lower():  # fmt: skip
        sentence = (
            "cannot be fetched because the hub cannot be reached: check the network, or give a local folder, a .gguf "
            "file or an embedded model (smollm2)"
        )
    elif names & {"OutOfMemoryError", "MemoryError"}:
        sentence = _OUT_OF_MEMORY
    elif "SafetensorError" in names:
        sentence = _DAMAGED
    else:
        lower = chain.lower()
        sentence = next((found for words, found in _KNOWN if all(word in lower for word in words)), None)
    if sentence is None:
        short = said if len(said) <= 300 else said[:300] + " …"
        return ModelError(f"{doing} {name} failed ({type(error).__name__}: {short}): the cause is above")
    return ModelError(f"{name} {sentence}")


# what the hub answered with -> what that means for a model
_HUB = {
    401: "is refused by the hub, which wants a log-in or refuses yours (401): `hf auth login`, or mend HF_TOKEN",
    403: "is forbidden by the hub (403): your token may lack the right to read it, or a firewall blocks it: look at "
    "its page in a browser",
    404: "is not on the hub (404): check the spelling, or give a local folder",
    407: "cannot be fetched because the proxy wants a log-in (407): put user and password into HTTPS_PROXY",
    429: "cannot be fetched now because the hub refuses so many requests (429): wait some minutes, or log in with `hf "
    "auth login`, which allows more",
}
_PORTAL = (
    "cannot be fetched because something else answers in the hub's place with a web page (a captive portal or a "
    "firewall): log in to the network with a browser first, or give a local folder"
)


def _hub_sentence(error: BaseException) -> str | None:
    """What to say of an answer that came, of the hub or of something in its place; None where none did.

    A 401 that says "RepoNotFound" is the hub's word for a model that is not there; without it, huggingface_hub calls
    it the same.
    """
    for cause in (error, *_causes(error)):
        response = getattr(cause, "response", None)
        status = getattr(response, "status_code", None)
        if isinstance(status, int) and status >= 400:
            code = response.headers.get("X-Error-Code")
            missing = code is not None or (status != 401 and type(cause).__name__ == "RepositoryNotFoundError")
            if missing:
                return None
            if status == 511:
                return _PORTAL
            if status >= 500:
                return f"cannot be fetched because the hub failed ({status}): try again later, or give a local folder"
            return _HUB.get(status, f"cannot be fetched because the hub refuses the request ({status}): see its page")
        kind = type(cause).__name__
        if kind in ("FileMetadataError", "TooManyRedirects") or (
            kind == "JSONDecodeError" and _came_through(cause, "huggingface_hub")
        ):
            return _PORTAL
    return None


def _came_through(error: BaseException, package: str) -> bool:
    """Whether a function of ``package`` was running when the error was raised."""
    at = error.__traceback__
    while at is not None:
        if at.tb_frame.f_globals.get("__name__", "").split(".")[0] == package:
            return True
        at = at.tb_next
    return False


@contextmanager
def advice(name: str, doing: str = "loading") -> Iterator[None]:
    """Turn whatever the libraries raise inside the block into a ModelError; the workbench's own errors pass."""
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:
        raise explain(error, name, doing) from error


def _causes(error: BaseException) -> list[BaseException]:
    found, at = [], error
    while (at := at.__cause__ or at.__context__) is not None and at not in found:
        found.append(at)
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the libraries' progress bars and chatter while a model loads; put their settings back afterwards."""
    import warnings

    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
