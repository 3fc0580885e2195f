"""bitsandbytes: imported without the hub, trained through on a CPU, and given only layers that it can compute.

Four repairs, each for whoever uses the library in this process, however it got there (`install` is called by
``import workbench``; the modules are mended in the moment they are imported):

1. Where the package ``kernels`` is installed, importing bitsandbytes 0.50 fetches native code from the hub. Here it
   does not see that package. Trainer, peft and sentence-transformers import bitsandbytes by themselves.
2. On processors with AVX-512 BF16 a `Linear4bit` repacks its weights at its first inference and multiplies by a kernel
   without a backward from then on: gradients through it are zero or missing, without an error. Here such a layer has
   the derivative of what it computes; in training mode it has its own weights back, bit for bit.
3. Whatever else reads the weights (DoRA, merging, saving) read the packed ones as if they were not. Here they are
   unpacked first.
4. An 8-bit layer loses its scales where peft's DoRA reads its weights. Here it keeps them.

In eval mode a layer computes by the kernel whether a gradient is wanted or not, in training mode never: what it
returns does not depend on what it was used for before.
"""

import copy
import importlib.machinery
import logging
import sys

OPS, LAYERS = "bitsandbytes.backends.cpu.ops", "bitsandbytes.nn.modules"
ROWS, BLOCK = 32, 64  # what the CPU kernel takes: outputs in multiples of 32, inputs in multiples of a block


def install() -> None:
    """Mend bitsandbytes when it is imported, or now if it has been; a second call changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    if LAYERS in sys.modules:
        _mend(sys.modules[LAYERS])


class _Finder:
    """Lets Python find a module as ever, and hangs something around its execution."""

    def find_spec(self, name, path=None, target=None):
        if name not in (OPS, LAYERS):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module
            around = _without_kernels if name == OPS else _then_mended
            spec.loader.exec_module = lambda module: around(execute, module)
        return spec


def _without_kernels(execute, module) -> None:
    """Execute a module that believes that the package ``kernels`` is not installed, and keep its complaint quiet."""
    hidden = "kernels" in sys.modules
    known = sys.modules.get("kernels")
    logger = logging.getLogger(OPS)
    sys.modules["kernels"] = None
    logger.addFilter(_is_news)
    try:
        execute(module)
    finally:
        logger.removeFilter(_is_news)
        if hidden:
            sys.modules["kernels"] = known
        else:
            del sys.modules["kernels"]


def _is_news(record: logging.LogRecord) -> bool:
    """False for bitsandbytes' line that a CPU kernel, hidden from it above, could not be fetched."""
    return not record.getMessage().startswith("Failed to load CPU gemm_4bit_forward")


def _then_mended(execute, module) -> None:
    execute(module)
    _mend(module)


def is_quantised(part) -> str | None:
    """ "4bit" or "8bit" for a layer of bitsandbytes, else None. Not peft's wrappers, whose names are the same."""
    layers = sys.modules.get(LAYERS)
    if layers is None:
        return None
    return "4bit" if isinstance(part, layers.Linear4bit) else "8bit" if isinstance(part, layers.Linear8bitLt) else None


def unsuited(module, bits: int) -> list[str]:
    """Names of the linear layers that the CPU's 4-bit kernel cannot take: odd sizes, an MoE's one-row gate."""
    import torch
    from transformers.pytorch_utils import Conv1D

    if bits != 4:
        return []
    found = []
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.Linear | Conv1D):
            rows, columns = part.weight.shape if isinstance(part, torch.nn.Linear) else part.weight.shape[::-1]
            if not _fits(rows, columns, BLOCK):
                found.append(name)
    return found


def _fits(rows: int, columns: int, block: int) -> bool:
    return rows % ROWS == 0 and columns % block == 0


def settings(bits: int, dtype, skip: list[str]):
    """bitsandbytes' settings. Its defaults are FP4 and float32 compute; ours are the QLoRA paper's."""
    from transformers import BitsAndBytesConfig

    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skip or None)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=skip or None,
    )  # fmt: skip


# ---- packed layers


def is_packed(part) -> bool:
    """Whether a 4-bit layer's weights lie in the order of the CPU's kernel."""
    state = getattr(getattr(part, "weight", None), "quant_state", None)
    return bool(getattr(state, "packing_format_for_cpu", False))


def unpacked(part):
    """(out, in) weights of a packed 4-bit layer as its kernel has them; the layer stays as it is."""
    from bitsandbytes import functional

    state = part.weight.quant_state
    data, plain = _plain(part.weight.data, state)
    plain.absmax, plain.nested, plain.dtype = state.absmax.T.reshape(-1).float().contiguous(), False, state.dtype
    return functional.dequantize_4bit(data, plain)  # its scales are rounded to bfloat16


def plain(part):
    """The 4-bit weights of a packed layer in the order that they were loaded in; the layer stays as it is."""
    return _plain(part.weight.data, part.weight.quant_state)[0]


def _plain(data, state):
    """(weights, state) as they were before `_pack`; what is given stays as it is."""
    from bitsandbytes.functional import _convert_weight_packed_for_cpu_inverse

    before = getattr(state, "before_packing", None)
    plain = copy.copy(state)  # the inverse writes into the state it is given
    if before is not None:
        plain.original_nested = False  # no second rounding of the scales: we have kept them
    data, plain = _convert_weight_packed_for_cpu_inverse(data, plain)
    if before is not None:
        plain.__dict__.update(before)
        for name in ("absmax", "offset"):
            if getattr(plain, name, None) is not None:
                setattr(plain, name, getattr(plain, name).to(data.device))
        if plain.nested:
            plain.state2 = copy.copy(plain.state2)
            plain.state2.to(data.device)
    for name in ("before_packing", "original_dtype", "original_nested", "original_qshape"):
        plain.__dict__.pop(name, None)
    return data, plain


def _pack(part) -> None:
    """Bring a layer's weights into the kernel's order, and keep the scales that this rounds (a hundredth of it)."""
    import torch
    from bitsandbytes.functional import _convert_weight_packed_for_cpu

    state = part.weight.quant_state
    kept = {name: getattr(state, name, None) for name in ("absmax", "offset", "nested", "dtype", "state2")}
    with torch.inference_mode(False), torch.no_grad():
        part.weight.data, state = _convert_weight_packed_for_cpu(part.weight.data, state, ROWS)
    state.before_packing = kept


def restore(part) -> None:
    """Undo the packing of a 4-bit layer, bit for bit; nothing happens to one that is not packed."""
    import torch

    if is_packed(part):
        with torch.inference_mode(False), torch.no_grad():
            part.weight.data, plain = _plain(part.weight.data, part.weight.quant_state)
        state = part.weight.quant_state  # the same object serves others: changed in place
        state.__dict__.clear()
        state.__dict__.update(plain.__dict__)


def _mend_8bit(kind) -> None:
    """Let `Linear8bitLt` keep its scales where its weight was copied without them.

    peft's DoRA reads the weights and puts a copy in their place. After the first forward the scales lie in the layer's
    state alone, so the copy has none, and the second forward would replace the state's by nothing.
    """
    initialise = kind.init_8bit_state

    def kept(self):
        if self.weight.SCB is None and self.state.SCB is not None:
            self.weight.SCB = self.state.SCB
        initialise(self)

    kind.init_8bit_state = kept


def _mend(layers) -> None:
    """Give `Linear4bit` and `Linear8bitLt` their repairs."""
    import torch
    from bitsandbytes import functional

    kind = layers.Linear4bit
    if hasattr(kind.forward, "mended"):
        return
    _mend_8bit(layers.Linear8bitLt)
    forward, save, dequantize = kind.forward, kind._save_to_state_dict, functional.dequantize_4bit

    class Packed(torch.autograd.Function):
        """y = x Wᵀ by the kernel; its derivative by the weights, unpacked for the moment."""

        @staticmethod
        def forward(context, x, part):
            context.part = part
            return functional.gemv_4bit(x, part.weight, state=part.weight.quant_state)

        @staticmethod
        def backward(context, gradient):
            return gradient @ unpacked(context.part).to(gradient.dtype), None

    def mended(self, x):
        layers.fix_4bit_weight_quant_state_from_module(self)
        state = self.weight.quant_state
        if not _fits(*state.shape, state.blocksize):
            self.support_avx512bf16_for_cpu = False  # the library would try all the same
        by_kernel = getattr(self, "support_avx512bf16_for_cpu", False) and x.device.type == "cpu" and not self.training
        if not by_kernel:
            restore(self)
            return forward(self, x)
        if not is_packed(self):
            _pack(self)
        if not (torch.is_grad_enabled() and (x.requires_grad or (self.bias is not None and self.bias.requires_grad))):
            return forward(self, x)
        dtype = self.compute_dtype or x.dtype
        y = Packed.apply(x.to(dtype), self)
        if self.bias is not None:
            y = y + self.bias.to(dtype)
        return y.to(x.dtype)

    def saved(self, destination, prefix, keep_vars):
        restore(self)
        save(self, destination, prefix, keep_vars)

    def dequantized(A, quant_state=None, *rest, **options):
        if getattr(quant_state, "packing_format_for_cpu", False):
            A, quant_state = _plain(A, quant_state)
        return dequantize(A, quant_state, *rest, **options)

    mended.mended = True
    kind.forward, kind._save_to_state_dict, functional.dequantize_4bit = mended, saved, dequantized
