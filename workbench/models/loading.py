"""Making the torch module: GGUF -> safetensors (cached) -> bitsandbytes (cached) -> module, with its report.

Types: on the CPU weights are float32 (bfloat16 is slow and coarse there) unless only the checkpoint's own type fits;
on a GPU the checkpoint's own type, and bfloat16 for GGUF, which has none. Quantised models keep everything else in
bfloat16 (float16 on GPUs without it, and for bits=8, which computes in float16 whatever it is given).
"""

import atexit
import importlib
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from ..errors import ModelError
from ..files import sha256_file, user_path
from .base import say
from .cache import CacheUnusable, fetch
from .fit import BIG, estimate, free_bytes
from .names import GEMMA_TERMS
from .problems import advice
from .report import LoadReport, Peak, describe, note_model
from .sources import Outline, outline


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
    whole: Path | None = None  # the folder with the unquantised weights, once it is there

    def fall_back(self, why: str) -> None:
        """Say in one line why something differs from what was asked; with strict=True raise it instead."""
        if self.strict:
            raise ModelError(f"{why} (strict=True forbids falling back)")
        say(why)
        self.notes.append(why)


def load_local(name, *, bits, device, dtype, revision, adapter, strict):
    """`workbench.load` for weights on this machine; see there."""
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
        plan.device = pick_device(device, plan)
        _check_bits(plan)
        plan.dtype = pick_dtype(dtype, plan.device, found, plan.bits)
        expected = estimate(found, bits=plan.bits, dtype=plan.dtype, length=2048, device=plan.device)
        if expected.weights > BIG or not expected.fits:
            say(expected.line())
        with Peak(plan.device) as peak, quiet():
            module, folder = _module(plan)
            tokenizer = _tokenizer(folder)
            if adapter is not None:
                module = _adapted(module, adapter, name)
            module.eval()
        report = _report(plan, module, peak.bytes, time.perf_counter() - began, adapter)
        note_model(report)
        model = LocalModel(module, tokenizer, name=str(name), report=report)
        model.revision = revision
        return model


def pick_device(device, plan: _Plan | None = None):
    """The torch device: "auto" is CUDA where there is one."""
    import torch

    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"there is no device {device!r}: give auto, cpu, cuda or cuda:0") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        why = f"device={str(device)!r} was asked for but torch sees no CUDA GPU: using the CPU"
        if plan is not None:
            plan.fall_back(why)
        return torch.device("cpu")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"there is no {device}: this machine has {torch.cuda.device_count()} GPU(s), counted from cuda:0"
        )
    return torch.device("cuda:0") if str(chosen) == "cuda" else chosen


def pick_dtype(dtype, device, found: Outline, bits: int | None):
    """The type of the weights that are not quantised; see the module's docstring for "auto"."""
    import torch

    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype != "auto":
        chosen = getattr(torch, str(dtype), None)
        if chosen not in (torch.float32, torch.bfloat16, torch.float16):
            raise ModelError(f"dtype is {dtype!r}: give auto, float32, bfloat16 or float16")
        return chosen
    half = torch.bfloat16
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < 8:
        half = torch.float16  # bfloat16 is emulated, slowly, before compute capability 8
    if bits:
        return torch.float16 if bits == 8 else half  # LLM.int8 computes in float16 whatever it is given
    own = {"F32": torch.float32, "BF16": half, "F16": torch.float16}.get(found.header.dtype, half)
    if device.type == "cuda":
        return own
    return torch.float32 if found.header.parameters * 4 < 0.8 * free_bytes(device) else own


def _check_bits(plan: _Plan) -> None:
    """bits=4/8 needs bitsandbytes, and weights that are not quantised yet."""
    packed = getattr(plan.outline.config, "quantization_config", None)
    if plan.bits is None:
        if isinstance(packed, dict) and packed.get("quant_method") == "bitsandbytes" and find_spec("bitsandbytes"):
            import_bitsandbytes()  # before transformers does
        return
    if packed:
        raise ModelError(f"{plan.outline.name} is already quantised: leave bits out")
    if find_spec("bitsandbytes") is None:
        plan.fall_back(
            f"bits={plan.bits} needs bitsandbytes, which is not installed: {plan.outline.name} stays unquantised"
        )
        plan.bits = None
        return
    import_bitsandbytes()


def import_bitsandbytes():
    """The module bitsandbytes, imported without anything from the network; raises what its import raises.

    Some libraries import it by themselves: transformers for a quantised checkpoint, others see `import_quietly`.
    """
    # where the package `kernels` is installed, importing bitsandbytes 0.50 fetches native code from the hub: not here
    hidden = "kernels" not in sys.modules
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    try:
        if hidden:
            sys.modules["kernels"] = None
        logger.addFilter(_is_news)
        return importlib.import_module("bitsandbytes")
    finally:
        logger.removeFilter(_is_news)
        if hidden:
            del sys.modules["kernels"]


def import_quietly(name: str):
    """A module that imports bitsandbytes by itself where that is installed: bitsandbytes first, then the module."""
    if find_spec("bitsandbytes"):
        import_bitsandbytes()
    return importlib.import_module(name)


def _is_news(record: logging.LogRecord) -> bool:
    """False for bitsandbytes' line that a CPU kernel, hidden from it above, could not be fetched."""
    return not record.getMessage().startswith("Failed to load CPU gemm_4bit_forward")


def _module(plan: _Plan):
    """The module in its final form, and the folder it was read from."""
    if plan.bits is None:
        folder = _whole_folder(plan)
        return _read(folder, plan), folder
    try:
        folder = _quantised_folder(plan)
    except _NothingQuantised:
        plan.fall_back(
            f"bits={plan.bits} changes nothing in {plan.outline.name}: it has no linear layers that bitsandbytes knows "
            "(GPT-2's are Conv1D), so it stays unquantised"
        )
        plan.bits, plan.cold, plan.cached = None, None, False
        plan.dtype = pick_dtype("auto", plan.device, plan.outline, None)
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
    plan.whole = _cached(plan, settings, need, lambda folder: _unpack(found, folder), "unpacking")
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
        module = _read(_whole_folder(plan), plan, _bnb(plan))
        if not any(type(part).__name__ in ("Linear4bit", "Linear8bitLt") for part in module.modules()):
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
    try:
        entry, built = fetch(name, settings, need, build, why=why)
    except CacheUnusable as error:
        plan.fall_back(f"{error}: {name} is prepared in a temporary folder, and again at every load")
        folder = Path(tempfile.mkdtemp(prefix="workbench-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        began = time.perf_counter()
        build(folder)
        plan.cold, plan.cached = time.perf_counter() - began, False
        return folder
    plan.cold, plan.cached = entry.seconds, not built
    return entry.path


def _unpack(found: Outline, folder: Path) -> None:
    """GGUF to float32 safetensors with tokenizer, in ``folder``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file, joined = found.source.path, None
    if found.source.parts:
        joined = folder / "joined.gguf"
        with open(joined, "wb") as whole:
            for part in found.source.parts:
                with open(part, "rb") as piece:
                    shutil.copyfileobj(piece, whole, 2**24)
        if sha256_file(joined) != found.source.sha256:
            raise ModelError(f"the parts of {found.name} do not make the file they should: reinstall its packages")
        file = joined
    options = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **options)
    module = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **options)
    # transformers takes unpacked GGUF weights for quantised ones and refuses to save them: they are plain by now
    module.hf_quantizer, module.is_quantized = None, False
    if hasattr(module.config, "quantization_config"):
        del module.config.quantization_config
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if joined is not None:
        joined.unlink()


def _bnb(plan: _Plan):
    """bitsandbytes' settings. Its defaults are FP4 and float32 compute; ours are the QLoRA paper's."""
    from transformers import BitsAndBytesConfig

    if plan.bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=plan.dtype
    )


def _read(folder: Path, plan: _Plan, quantisation=None):
    """from_pretrained, with nothing from the network, no pickles and no code but the library's."""
    import torch
    from transformers import AutoModelForCausalLM

    options = {"dtype": plan.dtype, "local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    if plan.device.type == "cuda":
        options["device_map"] = "auto" if torch.cuda.device_count() > 1 else {"": plan.device.index or 0}
    elif plan.bits or plan.device.type != "cpu":
        options["device_map"] = {"": str(plan.device)}
    if quantisation is not None:
        options["quantization_config"] = quantisation
    module = AutoModelForCausalLM.from_pretrained(folder, **options)
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


def _adapted(module, adapter, name: str):
    """The module with a peft adapter (LoRA and its kin) on it."""
    folder = user_path(adapter)
    if not (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"adapter={str(adapter)!r} has no adapter_config.json: give the folder that peft's save_pretrained wrote"
        )
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"the adapter {folder} has no adapter_model.safetensors (pickles are refused): save it again with peft"
        )
    if find_spec("peft") is None:
        raise ModelError(f"an adapter for {name} needs the package peft: `pip install peft`")
    return import_quietly("peft").PeftModel.from_pretrained(module, str(folder), local_files_only=True)


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


_told = SimpleNamespace(terms=False)


def _terms_once() -> None:
    if not _told.terms:
        _told.terms = True
        say(GEMMA_TERMS)


def _major(package: str, parts: int = 1) -> str:
    try:
        return ".".join(version(package).split(".")[:parts])
    except PackageNotFoundError:
        return "unknown"


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
