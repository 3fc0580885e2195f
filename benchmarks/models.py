"""What the model handle saves: cached loading, scoring with a shared prefix, memory of 4-bit weights.

Ratios (baseline / ours, larger is better):

cached_vs_gguf_load
    CPU seconds of transformers unpacking the embedded GGUF file (model and tokenizer), against `load` from the cache.
unpack_vs_transformers
    CPU seconds of a child process that unpacks the GGUF file for torch (config, tokenizer, float32 safetensors on the
    disk): transformers loading and saving it, against the workbench's own way; the files are the same to the byte.
unpack_memory_vs_transformers
    What these two processes need at most beyond their imports.
shared_prefix_vs_one_by_one
    CPU seconds of scoring 32 continuations of a 500-token prefix one forward each (no gradients, no cache, logits only
    where they are needed), against `Model.logprobs`, which remembers nothing of the repetition before.
memory_fp32_vs_4bit
    Peak resident memory of a child process that loads the model from the cache and scores a line, above what it had
    after its imports: float32 against bits=4.

llamacpp_decode_1, llamacpp_decode_16, llamacpp_prefill, llamacpp_memory, llamacpp_cold_start
    torch in float32 against llama.cpp on the same GGUF file, one thread each, in child processes of this run: CPU
    seconds of decoding one text and sixteen, of reading a prompt; the whole process's peak memory; CPU seconds from
    nothing (no cache, no import) to the first token. Left out where xllamacpp is not installed.

Times are medians of repetitions in CPU seconds of the process (all threads), libraries imported and one repetition
thrown away beforehand. `--quick` takes a 120-token prefix and fewer repetitions. `--model` names another model (a
GGUF file or an embedded one for the first ratio; otherwise it is left out).
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec

import common

CHILD = """
import sys
import torch, transformers.modeling_utils
if sys.argv[2] != "None":
    import bitsandbytes
import psutil
from workbench import load
from workbench.models.local import LocalModel
before = psutil.Process().memory_info().rss
model = load(sys.argv[1], bits=None if sys.argv[2] == "None" else int(sys.argv[2]))
model.logprobs(["The capital of France is"], [[" Paris", " London"]])
peak = 0
try:  # the process's own high-water mark (ru_maxrss would count what the parent had)
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
except OSError:
    peak = model.report.peak_bytes
print("PEAK", before, peak)
"""

UNPACK = """
import sys, tempfile, time
from pathlib import Path
import torch, transformers.modeling_utils, gguf, transformers.modeling_gguf_pytorch_utils, tokenizers
from workbench.models.files import unpack
from workbench.models.files.sources import outline
from workbench.models.problems import quiet
import psutil
found = outline(sys.argv[1])
if sys.argv[2] == "transformers":
    unpack.KNOWN.clear()  # nothing is known here, so transformers does it all
before, began = psutil.Process().memory_info().rss, time.process_time()
with tempfile.TemporaryDirectory() as folder, quiet():
    unpack.unpack(found, Path(folder), lambda *_, **__: None)
    took = time.process_time() - began
    size = sum(file.stat().st_size for file in Path(folder).iterdir())
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
print("UNPACK", took, peak - before, size)
"""


def median_seconds(work, repetitions: int) -> float:
    """Median CPU seconds of ``work()``."""
    return statistics.median(common.cpu_seconds(work)[0] for _ in range(repetitions))


def loading(name: str, quick: bool) -> tuple[float, float]:
    """CPU seconds: (transformers from GGUF, ours from the cache)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from workbench import load
    from workbench.models.files.names import resolve

    file = resolve(name).path

    def baseline():
        options = {"gguf_file": file.name, "local_files_only": True}
        AutoTokenizer.from_pretrained(file.parent, **options)
        AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **options)

    load(name)  # fills the cache and brings in every library
    import gguf  # noqa: F401
    import transformers.modeling_gguf_pytorch_utils  # noqa: F401

    return median_seconds(baseline, 1 if quick else 3), median_seconds(lambda: load(name), 3 if quick else 5)


def unpacking(name: str, way: str, repetitions: int) -> tuple[float, float, int]:
    """Medians of child processes: CPU seconds, peak bytes beyond the imports; and the bytes of the result."""
    rows = []
    for _ in range(repetitions):
        command = [sys.executable, "-c", UNPACK, name, way]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append([float(word) for word in out.splitlines()[-1].split()[1:]])
    seconds, peak, size = (statistics.median(column) for column in zip(*rows))
    return seconds, peak, int(size)


def scoring(name: str, quick: bool) -> tuple[float, float, float]:
    """CPU seconds: (one forward a continuation, ours), and the largest difference in a log-probability."""
    import torch

    from workbench import load
    from workbench.models.prefix.tree import shared_tree

    model = load(name)
    rng = random.Random(0)
    size = model.module.get_input_embeddings().weight.shape[0]

    def ids(length):
        return [rng.randrange(1000, size // 2) for _ in range(length)]

    prefix = ids(120 if quick else 500)
    texts = [ids(rng.randrange(4, 13)) for _ in range(32)]

    found = []

    @torch.inference_mode()
    def baseline():
        found.clear()
        for text in texts:
            row = torch.tensor([[*prefix, *text[:-1]]], device=model.device)
            logits = model.module(row, use_cache=False, logits_to_keep=len(text)).logits[0].float()
            chosen = logits.gather(-1, torch.tensor(text, device=logits.device)[:, None])[:, 0]
            found.append((chosen - logits.logsumexp(-1)).tolist())

    def shared():
        shared_tree(model).clear()  # it would remember the last repetition
        return [scored.logprobs for scored in model.logprobs([prefix], [texts])[0]]

    ours = shared()
    slow = median_seconds(baseline, 1 if quick else 3)
    fast = median_seconds(shared, 3 if quick else 5)
    return slow, fast, max(abs(a - b) for one, two in zip(ours, found) for a, b in zip(one, two))


def memory(name: str, bits: int | None) -> tuple[int, int]:
    """Bytes a child process had after its imports, and its peak."""
    from workbench import load

    command = [sys.executable, "-c", CHILD, name, str(bits)]
    load(name, bits=bits)  # the child shall find it in the cache
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in out.splitlines() if line.startswith("PEAK"))
    before, peak = map(int, line.split()[1:])
    return before, peak


ENGINES = """
import json, sys, time
began = time.process_time()
from workbench import load
backend, name, cold = sys.argv[1] or None, sys.argv[2], sys.argv[3] == "cold"
new, long, times = map(int, sys.argv[4:])
model = load(name, backend=backend)
model.generate(["The capital of France is"], max_new_tokens=1)
figures = {"cold": time.process_time() - began}

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

def generate(prompts, count):
    "Median CPU seconds of some calls, with nothing remembered, and the tokens of one."
    found = []
    for _ in range(times):
        if backend:
            model.close()  # begun again outside the clock
            model._engine.room(512, len(prompts))
        began = time.process_time()
        samples = model.generate(prompts, max_new_tokens=count, temperature=1.0)
        found.append(time.process_time() - began)
    return sorted(found)[len(found) // 2], sum(len(one.tokens) for (one,) in samples)

def token(prompts):
    "CPU seconds of a token behind the first."
    (few, least), (many, most) = generate(prompts, 1), generate(prompts, new + 1)
    return (many - few) / (most - least)

if not cold:
    prompts = [f"Story {number}: once upon a time there was" for number in range(16)]
    figures["decode 1"] = token(prompts[:1])
    figures["memory"] = peak()
    ids = model.token_ids(" once upon a time there was a small" * 400)
    figures["prefill"] = (generate([ids[:long]], 1)[0] - generate([ids[:1]], 1)[0]) / (long - 1)
    figures["decode 16"] = token(prompts)
print("FIGURES", json.dumps(figures))
"""


def engines(name: str, quick: bool) -> dict[str, tuple[float, float]]:
    """Figure -> (torch, llama.cpp): CPU seconds a token, bytes, CPU seconds of a cold start."""
    from workbench import load

    load(name)  # fills the cache, but for the cold start

    def child(backend: str, cold: bool) -> dict[str, float]:
        sizes = ["8", "60", "1"] if quick else ["32", "200", "3"]
        command = [sys.executable, "-c", ENGINES, backend, name, "cold" if cold else "warm", *sizes]
        with tempfile.TemporaryDirectory() as empty:
            own = {"WORKBENCH_CACHE": empty} if cold else {}
            env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(common.ROOT)} | own
            out = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
        line = next(line for line in out.splitlines() if line.startswith("FIGURES"))
        return json.loads(line.removeprefix("FIGURES"))

    found = {}
    for cold in (False, True):
        torch_, llama = (child(backend, cold) for backend in ("", "llama.cpp"))
        found |= {key: (torch_[key], llama[key]) for key in torch_ if cold or key != "cold"}
    return found


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--model", default="smollm2")
    options = parser.parse_args()

    import torch

    from workbench.models.files.names import resolve

    name, ratios, rows = options.model, {}, []
    source = resolve(name)
    if source.kind == "gguf":
        repetitions = 1 if options.quick else 3
        slow, most, _ = unpacking(name, "transformers", repetitions)
        fast, least, size = unpacking(name, "workbench", repetitions)
        ratios |= {"unpack_vs_transformers": slow / fast, "unpack_memory_vs_transformers": most / least}
        rows += [
            ("unpack GGUF, CPU s", "transformers", f"{slow:.2f}", "workbench", f"{fast:.2f}", f"{slow / fast:.1f}x"),
            ("unpack, peak above imports, MB", "transformers", f"{most / 1e6:.0f}", "workbench", f"{least / 1e6:.0f}",
             f"{most / least:.1f}x"),
        ]  # fmt: skip
        print(f"unpacked {name}: {size / 1e6:.0f} MB of files")
    if source.kind == "gguf" and not source.parts:
        slow, fast = loading(name, options.quick)
        ratios["cached_vs_gguf_load"] = slow / fast
        rows.append(("load, CPU s", "from GGUF", f"{slow:.2f}", "from the cache", f"{fast:.2f}", f"{slow / fast:.1f}x"))
    slow, fast, apart = scoring(name, options.quick)
    ratios["shared_prefix_vs_one_by_one"] = slow / fast
    rows.append(("score 32, CPU s", "one by one", f"{slow:.2f}", "shared", f"{fast:.2f}", f"{slow / fast:.1f}x"))
    (base_whole, whole), (base_small, small) = memory(name, None), memory(name, 4)
    ratios["memory_fp32_vs_4bit"] = (whole - base_whole) / (small - base_small)
    rows.append(
        ("peak memory above imports, MB", "float32", f"{(whole - base_whole) / 1e6:.0f}", "4-bit",
         f"{(small - base_small) / 1e6:.0f}", f"{ratios['memory_fp32_vs_4bit']:.1f}x")
    )  # fmt: skip
    if source.kind == "gguf" and find_spec("xllamacpp"):
        for what, (slow, fast) in engines(name, options.quick).items():
            key = {"cold": "cold_start"}.get(what, what.replace(" ", "_"))
            ratios[f"llamacpp_{key}"] = slow / fast
            unit, scale = (
                ("MB", 1e-6) if what == "memory" else ("CPU s", 1) if what == "cold" else ("CPU ms a token", 1e3)
            )
            rows.append(
                (f"{what}, {unit}", "torch", f"{slow * scale:.1f}", "llama.cpp", f"{fast * scale:.1f}",
                 f"{slow / fast:.1f}x")
            )  # fmt: skip
    print(f"{name}, {torch.get_num_threads()} threads")
    for what, baseline, slow_text, ours, fast_text, ratio in rows:
        print(f"{what:<32}{baseline:>12} {slow_text:>8}{ours:>16} {fast_text:>8}{ratio:>9}")
    print(f"peak memory of the whole process: float32 {whole / 1e6:.0f} MB, 4-bit {small / 1e6:.0f} MB")
    print(f"largest difference between the two ways of scoring: {apart:.1e} nats")
    if options.json:
        common.print_json("models", ratios, common.device_name(), ("torch", "transformers", "bitsandbytes"))


if __name__ == "__main__":
    main()
