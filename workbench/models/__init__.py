"""One handle over every language model: `load`, `load_encoder`, `require`, and the contract `Model`.

Importing this package imports no torch; loading a model does.
"""

from .base import Generation, Message, Model, Prompt, Scored, require

__all__ = ["Generation", "Message", "Model", "Prompt", "Scored", "fit", "load", "load_encoder", "require"]


def load(
    name: str = "smollm2",
    *,
    bits: int | None = None,
    device="auto",
    dtype="auto",
    revision: str | None = None,
    adapter=None,
    base_url: str | None = None,
    server: dict | None = None,
    strict: bool = False,
) -> Model:
    """Load a language model.

    Parameters
    ----------
    name
        "smollm2" (embedded, the default), "gemma3-270m" (embedded, the second), a folder that save_pretrained wrote, a
        .gguf file, a hub id such as "Qwen/Qwen3-0.6B", or "openai:NAME", the model NAME of the server at ``base_url``.
        Only the last two open a connection.
    bits
        4 (NF4, double quantisation) or 8 (LLM.int8) with bitsandbytes, on CUDA or the CPU; None: unquantised.
    device
        "auto" (CUDA where there is one, all GPUs together), "cpu", "cuda", "cuda:1".
    dtype
        "auto": float32 on the CPU, the checkpoint's own type on a GPU (bfloat16 for GGUF). Or "float32", "bfloat16",
        "float16".
    revision
        A hub model's branch, tag or commit.
    adapter
        A folder with a peft adapter (safetensors) to put on the model.
    base_url
        The server behind "openai:NAME", such as "http://127.0.0.1:8000/v1": any that speaks OpenAI's protocol. Its key
        is taken from WORKBENCH_API_KEY or OPENAI_API_KEY in the environment.
    server
        How that server is talked to: timeout, concurrency, retries, cache, prices; see `models.server.ServerOptions`.
    strict
        Raise where the workbench would otherwise fall back and say why in one line (no bitsandbytes, no GPU, nothing
        to quantise, an unwritable cache).

    Returns
    -------
    A `Model`; its ``report`` says what was loaded.

    Raises
    ------
    ModelError
        One sentence: what is wrong, with which model, what to do.
    """
    from ..errors import ModelError
    from .loading import load_local

    if isinstance(name, str) and name.startswith("openai:"):
        for option, value in (("bits", bits), ("revision", revision), ("adapter", adapter)):
            if value is not None:
                raise ModelError(f"{option}={value!r} is the server's business, not ours, for {name}: leave it out")
        from .remote.model import load_remote

        return load_remote(name, base_url=base_url, server=server, strict=strict)
    if server is not None:
        raise ModelError(f"server={server!r} goes with a name like openai:NAME, not with {name}: leave it out")
    if base_url is not None:
        raise ModelError(f"base_url={base_url!r} goes with a name like openai:NAME, not with {name}: leave it out")
    return load_local(name, bits=bits, device=device, dtype=dtype, revision=revision, adapter=adapter, strict=strict)


def load_encoder(name: str = "minilm", *, device="auto"):
    """Load a sentence encoder: "minilm" (embedded), a folder or a hub id; see `workbench.models.encoder`.

    Raises
    ------
    ModelError
        One sentence: what is wrong, with which encoder, what to do.
    """
    from .encoder import load_encoder

    return load_encoder(name, device=device)


def fit(name: str, *, bits=None, dtype="auto", length: int = 4096, device="auto", revision: str | None = None):
    """Estimate whether ``load(name, …)`` fits into free memory; see `workbench.models.memory`."""
    from .memory import fit

    return fit(name, bits=bits, dtype=dtype, length=length, device=device, revision=revision)
