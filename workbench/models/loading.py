"""Making the torch module: GGUF -> safetensors (cached) -> bitsandbytes (cached) -> module, with its report."""

import atexit
import importlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ..errors import ModelError
from ..files import write_json
from . import adapters, quantised, weights
from .base import BACKENDS, HERE, Model, say
from .device import BIG, pick_device, pick_dtype
from .files import unpack
from .files.cache import CacheUnusable, cache_entry, fetch
from .files.headers import read_safetensors
from .files.names import GEMMA_TERMS
from .files.sources import Outline, outline, weight_files
from .memory import estimate
from .problems import advice, quiet
from .report import LoadReport, Peak, describe, note_model

NOTES, NAME = "notes.json", "{model}"  # what was said while a cache entry was made is true of it ever after


@dataclass
class _Plan:
    """One load: what was asked and decided so far."""

    outline: Outline
    device: object
    dtype: object
    bits: int | None
    strict: bool
    notes: list[str] = field(default_factory=list)
    cold: float | None = None
    cached: bool = False
    told: list[list] = field(default_factory=list)  # the notes, with NAME for the model's, to keep with a cache entry
    whole: Path | None = None  # the folder with the unquantised weights, once it is there

    def fall_back(self, why: str, harmless: bool = False) -> None:
        """Say in one line why something differs from what was asked; with strict=True raise it instead.

        What is ``harmless`` (a part of the files that the architecture leaves out by design) is said in any case.
        """
        if why in self.notes:  # the unquantised weights have said it already
            return
        self.told.append([why.replace(str(self.outline.name), NAME), harmless])
        if self.strict and not harmless:
            raise ModelError(f"{why} (strict=True forbids falling back)")
        say(why)
        self.notes.append(why)


def load(
    name: str | os.PathLike = "smollm2",
    *,
    backend: str | None = None,
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
        "smollm2" (embedded, the default), "gemma3-270m" (embedded, the second), another name that `workbench models`
        lists, such as "qwen-coder-0.5b", a folder that save_pretrained wrote, a .gguf file, a hub id such as
        "Qwen/Qwen3-0.6B", or "openai:NAME", the model NAME of the server at ``base_url``. Only the last two open a
        connection.
    backend
        None or "torch": torch and transformers. "llama.cpp": a GGUF file as it is, in llama.cpp in this process
        (`llamacpp.LlamaModel`): samples and exact log-probabilities, several times faster at one text at a time on
        a CPU and in a third of the memory; no hidden states, no gradients, no bits, dtype or adapter.
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
        How that server is talked to: timeout, concurrency, retries, cache, prices; see `remote.client.ServerOptions`.
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
    name, adapter = (os.fspath(one) if isinstance(one, os.PathLike) else one for one in (name, adapter))
    if isinstance(name, str) and name.startswith("openai:"):
        for option, value in (("backend", backend), ("bits", bits), ("revision", revision), ("adapter", adapter)):
            if value is not None:
                raise ModelError(f"{option}={value!r} is the server's business, not ours, for {name}: leave it out")
        from .remote.model import load_remote

        return load_remote(name, base_url=base_url, server=server, strict=strict)
    for option, value in (("server", server), ("base_url", base_url)):
        if value is not None:
            raise ModelError(f"{option}={value!r} goes with a name like openai:NAME, not with {name}: leave it out")
    if backend not in BACKENDS:
        raise ModelError(f"backend={backend!r} is neither torch nor llama.cpp: give one of them, or leave it out")
    if backend == HERE:
        from .llamacpp import load_llamacpp

        options = {"bits": bits, "device": device, "dtype": dtype, "adapter": adapter}
        with advice(name):
            return load_llamacpp(name, revision=revision, **options)
    if bits not in (None, 4, 8):
        raise ModelError(f"bits is {bits!r}: give 4, 8, or None for unquantised weights")
    from .local import LocalModel

    with advice(name):
        # imported before the clock starts, so that a load's seconds are the model's own
        importlib.import_module("transformers.modeling_utils")
        began = time.perf_counter()
        found = outline(name, revision=revision, weights=True)
        if found.source.embedded and found.source.parts:
            _terms_once()
        notes: list[str] = []
        plan = _Plan(found, None, None, bits, strict, notes)
        plan.device = pick_device(device, plan.fall_back)
        for note in found.notes:
            plan.fall_back(note)
        _check_bits(plan)
        plan.dtype = pick_dtype(dtype, plan.device, found.header, plan.bits)
        expected = estimate(found, bits=plan.bits, dtype=plan.dtype, length=2048, device=plan.device)
        if expected.weights > BIG or not expected.fits:
            say(expected.line())
        with Peak(plan.device) as peak, quiet():
            module, folder = _module(plan)
            tokenizer = _tokenizer(folder)
            weights.compare_tokenizer(tokenizer, module, plan.outline.name, plan.notes)
            if adapter is not None:
                module = adapters.put_on(module, adapter, name, _is_base(plan, folder), plan.fall_back)
            module.eval()
        report = _report(plan, module, peak.bytes, time.perf_counter() - began, adapter)
        note_model(report)

        def unquantised() -> LocalModel:
            return load(name, device=plan.device.type, revision=revision, adapter=adapter)

        return LocalModel(module, tokenizer, name=str(name), report=report, revision=revision, unquantised=unquantised)


def _check_bits(plan: _Plan) -> None:
    """bits=4/8 needs bitsandbytes, and weights that are not quantised yet."""
    if plan.bits is None:
        return
    if getattr(plan.outline.config, "quantization_config", None):
        raise ModelError(f"{plan.outline.name} is already quantised: leave bits out")
    if find_spec("bitsandbytes") is None:
        plan.fall_back(
            f"bits={plan.bits} needs bitsandbytes, which is not installed: {plan.outline.name} stays unquantised"
        )
        plan.bits = None
        return
    importlib.import_module("bitsandbytes")


def _module(plan: _Plan):
    """The module in its final form, and the folder it was read from."""
    if plan.bits is None:
        folder = _whole_folder(plan)
        return _read(folder, plan), folder
    try:
        folder = _quantised_folder(plan)
    except _NothingQuantised:
        plan.fall_back(
            f"bits={plan.bits} changes nothing in {plan.outline.name}: it has no linear layers that bitsandbytes takes "
            "here (GPT-2's are Conv1D, others are of odd sizes), so it stays unquantised"
        )
        plan.bits, plan.cold, plan.cached = None, None, False
        plan.dtype = pick_dtype("auto", plan.device, plan.outline.header, None)
        folder = _whole_folder(plan)
    return _read(folder, plan), folder


def _whole_folder(plan: _Plan) -> Path:
    """A folder with the unquantised weights as safetensors: the model's own, or the cache's for a GGUF file."""
    found = plan.outline
    if found.folder is not None:
        return found.folder
    if plan.whole is not None:
        return plan.whole
    settings = {"form": "float32", "content": found.content(), "transformers": _major("transformers")}
    need = found.header.parameters * 4 + 2**23
    plan.whole = _cached(plan, settings, need, lambda folder: unpack.unpack(found, folder, plan.fall_back), "unpacking")
    return plan.whole


def _quantised_folder(plan: _Plan) -> Path:
    found = plan.outline
    settings = {
        "form": f"{plan.bits}bit",
        "content": found.content(),
        "dtype": str(plan.dtype),
        "bitsandbytes": _major("bitsandbytes", 2),
        "transformers": _major("transformers"),
        "where": plan.device.type,
    }

    def build(folder: Path) -> None:
        whole = _whole_folder(plan)
        skip = _unsuited(plan, whole)
        module = _read(whole, plan, quantised.settings(plan.bits, plan.dtype, skip))
        if not any(quantised.is_quantised(part) for part in module.modules()):
            raise _NothingQuantised
        module.save_pretrained(folder)
        _tokenizer(_whole_folder(plan)).save_pretrained(folder)

    need = estimate(found, bits=plan.bits, dtype=plan.dtype, length=1, device=plan.device).weights + 2**24
    return _cached(plan, settings, need, build, f"quantising to {plan.bits} bits:")


class _NothingQuantised(Exception):
    """bitsandbytes found nothing to replace."""


def _cached(plan: _Plan, settings: dict, need: int, build, why: str) -> Path:
    """The cache entry's folder; a temporary one for this process where the cache cannot be written."""
    name = plan.outline.name

    def noted(folder: Path) -> None:
        before = len(plan.told)
        build(folder)
        write_json(folder / NOTES, plan.told[before:])

    try:
        entry, built = fetch(name, settings, need, noted, why=why)
    except CacheUnusable as error:
        plan.fall_back(f"{error}: {name} is prepared in a temporary folder, and again at every load")
        folder = Path(tempfile.mkdtemp(prefix="workbench-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        began = time.perf_counter()
        build(folder)
        plan.cold, plan.cached = time.perf_counter() - began, False
        return folder
    plan.cold, plan.cached = entry.seconds, not built
    for note, harmless in json.loads((entry.path / NOTES).read_text(encoding="utf-8")):
        plan.fall_back(note.replace(NAME, str(name)), harmless)
    return entry.path


def _unsuited(plan: _Plan, folder: Path) -> list[str]:
    """Linear layers that stay as they are on a CPU, and with them those that transformers leaves out by default."""
    import torch
    from transformers import AutoModelForCausalLM

    if plan.device.type != "cpu":
        return []
    with torch.device("meta"):
        module = AutoModelForCausalLM.from_config(_own_config(folder))
    found = quantised.unsuited(module, plan.bits)
    if not found:
        return []
    try:
        from transformers.quantizers.base import get_keys_to_not_convert
    except ImportError:  # before transformers 5
        from transformers.integrations import get_keys_to_not_convert
    return sorted({*found, *get_keys_to_not_convert(module)})


def _own_config(folder: Path):
    """A folder's config, with the choice of attention left to transformers: a config.json could name code to fetch."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    inner = [getattr(config, name, None) for name in getattr(config, "sub_configs", None) or ()]
    for one in (config, *filter(None, inner)):
        for part in ("attn", "experts"):
            if hasattr(one, f"_{part}_implementation_internal"):
                setattr(one, f"_{part}_implementation_internal", None)
    return config


def _read(folder: Path, plan: _Plan, quantisation=None):
    """from_pretrained, with nothing from the network, no pickles and no code but the library's."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.integrations import hub_kernels
    from transformers.quantizers import base as quantizers

    # some layers (Mamba's) fetch native code from the hub where the package `kernels` is installed, in the middle of a
    # forward: a model with files on this machine opens no connection
    hub_kernels._kernels_enabled = False
    # to quantise Llama-4, transformers puts another layer in place of the experts and finds no weights for it: here
    # they stay whole, as in every mixture that keeps its experts in one piece
    getattr(quantizers, "MODULES_TO_PATCH_FOR_QUANTIZATION", {}).clear()
    options = {
        "config": _own_config(folder), "dtype": plan.dtype, "local_files_only": True, "trust_remote_code": False,
        "use_safetensors": True,
    }  # fmt: skip
    if plan.device.type == "cuda":
        options["device_map"] = "auto" if torch.cuda.device_count() > 1 else {"": plan.device.index or 0}
    elif plan.bits or plan.device.type != "cpu":
        options["device_map"] = {"": str(plan.device)}
    if quantisation is not None:
        options["quantization_config"] = quantisation
    name = str(plan.outline.name)
    tensors = read_safetensors(weight_files(folder, name)[0]).tensors
    module = weights.read(AutoModelForCausalLM, folder, tensors, name, plan.fall_back, **options)
    elsewhere = {str(place) for place in getattr(module, "hf_device_map", {}).values()} & {"cpu", "disk"}
    if plan.device.type == "cuda" and elsewhere:
        plan.fall_back(
            f"{plan.outline.name} does not fit on the GPU: parts of it stay on the {' and '.join(elsewhere)}"
        )
    return module


def _tokenizer(folder: Path):
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if len(found) <= len(found.all_special_tokens):  # some classes make a tokenizer of no files at all
        raise ModelError(
            f"{folder} has no tokenizer that can be read: save one beside the weights, with tokenizer.save_pretrained"
        )
    return found


def _is_base(plan: _Plan, folder: Path):
    """Whether a name or path, as an adapter tells its base, is the model at hand: by name, or by the files' content."""

    def same(base: str) -> bool:
        here = {str(plan.outline.name), str(folder), str(plan.whole), str(plan.outline.source.path)}
        if base in here:
            return True
        try:
            entry = cache_entry(Path(base))
            if entry is not None:
                return entry.settings.get("content") == plan.outline.content()
            return Path(base).exists() and outline(base).content() == plan.outline.content()
        except (ModelError, OSError):
            return False

    return same


def _report(plan: _Plan, module, peak: int, seconds: float, adapter) -> LoadReport:
    import torch

    found, device = plan.outline, plan.device
    content = found.content()
    title, capability = str(device), None
    if device.type == "cuda":
        title = f"{device} ({torch.cuda.get_device_name(device)})"
        capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
    where = {"hub": f"hub: {found.name}", "folder": f"folder: {found.folder}", "gguf": f"file: {found.source.path}"}
    return LoadReport(
        name=str(found.name), source="embedded" if found.source.embedded else where[found.source.kind],
        identity=f"commit:{content}" if found.commit else f"sha256:{content}", sha256=None if found.commit else content,
        device=title, capability=capability, peak_bytes=peak, load_seconds=round(seconds, 3), cold_seconds=plan.cold,
        from_cache=plan.cached, parameters=found.header.parameters, adapter=str(adapter) if adapter else None,
        notes=list(plan.notes), **describe(module),
    )  # fmt: skip


@cache
def _terms_once() -> None:
    say(GEMMA_TERMS)


def _major(package: str, parts: int = 1) -> str:
    try:
        return ".".join(version(package).split(".")[:parts])
    except PackageNotFoundError:
        return "unknown"
