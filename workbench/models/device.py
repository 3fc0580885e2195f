"""Which device a model goes to, which number type its weights get, and how much memory is free there.

Types: on the CPU weights are float32 (bfloat16 is slow and coarse there) unless only the checkpoint's own type fits;
on a GPU the checkpoint's own type, and bfloat16 for GGUF, which has none. Quantised models keep everything else in
bfloat16 (float16 on GPUs without it, and for bits=8, which computes in float16 whatever it is given).
"""

from collections.abc import Callable

from ..errors import ModelError

BIG = 10**9  # bytes of weights from which `load` announces its estimate


def pick_device(device, fall_back: Callable[[str], None] | None = None):
    """The torch device: "auto" is CUDA where there is one; ``fall_back`` is told why the CPU is taken instead."""
    import torch

    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"there is no device {device!r}: give auto, cpu, cuda or cuda:0") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        if fall_back is not None:
            fall_back(f"device={str(device)!r} was asked for but torch sees no CUDA GPU: using the CPU")
        return torch.device("cpu")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"there is no {device}: this machine has {torch.cuda.device_count()} GPU(s), counted from cuda:0"
        )
    return torch.device("cuda:0") if str(chosen) == "cuda" else chosen


def pick_dtype(dtype, device, header, bits: int | None):
    """The type of the weights that are not quantised, for a `headers.Header`; "auto": see the module's docstring."""
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
    own = {"F32": torch.float32, "BF16": half, "F16": torch.float16}.get(header.dtype, half)
    if device.type == "cuda":
        return own
    return torch.float32 if header.parameters * 4 < 0.8 * free_bytes(device) else own


def free_bytes(device) -> int:
    """Free memory in bytes: of all GPUs for CUDA, of the machine (or its cgroup) otherwise."""
    import torch

    if torch.device(device).type == "cuda":
        return sum(torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count()))
    import psutil

    free = psutil.virtual_memory().available
    try:  # a container may be allowed less than the machine has
        with open("/sys/fs/cgroup/memory.max") as limit, open("/sys/fs/cgroup/memory.current") as used:
            free = min(free, int(limit.read()) - int(used.read()))
    except (OSError, ValueError):
        return free  # no cgroup, or "max": no limit
    return max(free, 0)
