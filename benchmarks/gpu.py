"""One table of what a device reaches, each figure beside what the device could do at most.

    python benchmarks/gpu.py [--quick] [--json] [--model FOLDER_OR_HUB_ID] [--device cuda:0]

Needs torch, transformers and this repository (on a CPU also psutil); bitsandbytes where it can be imported (else the
NF4 rows say that it cannot). Without a GPU everything shrinks to CPU sizes: that shows that the script runs, not what
a GPU does. ``--quick`` takes fewer rounds and smaller sizes, the same keys, under a minute.

The model has the shape of Llama-3-8B with random weights made on the device (fewer layers where it would not fit into
60 % of the free memory), or is the one named. Bounds: the bandwidth of a large copy and the rate of a large matrix
product, both measured on this device first. A share is what was reached of the bound; 1 is all the device can do.
On a CPU the form "bf16" is float32, as `workbench.load` has it there, and everything runs in one thread.

 decode    one token a row: every weight and the cache are read once, so bytes / bandwidth
 prefill   2 x parameters x tokens, and the attention's products, / rate
 RAIN      the larger of: forwards x weight bytes / bandwidth, 2 x parameters x tokens / rate
 EMO       four products of N x V x H / rate

Ratios (baseline / ours, larger is better; a share counts as a ratio with the bound as the baseline):

 nf4_vs_bf16.bytes                 bytes of the weights
 FORM.prefill.bBATCH.share         FORM is bf16 or nf4, BATCH 1, 8 or 32
 FORM.decode.bBATCH.share
 rain.lockstep_vs_one_by_one       searches a second, 8 prompts at once against one after another
 rain.share
 emo.time_vs_materialised, emo.peak_vs_materialised, emo.share
"""

import ctypes
import gc
import importlib
import platform
import statistics
import sys
import time
from pathlib import Path

import common
import emo as emo_benchmark  # benchmarks/emo.py: the losses and how they are timed
import torch

from workbench.models.local import LocalModel
from workbench.models.prefix.tasks import run, together
from workbench.models.prefix.tree import PrefixTree
from workbench.papers.rain import RainSettings
from workbench.papers.rain.search import Searcher

LLAMA_8B = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
            "num_key_value_heads": 8, "vocab_size": 128256}  # fmt: skip
SMALL = {"hidden_size": 256, "intermediate_size": 896, "num_hidden_layers": 4, "num_attention_heads": 8,
         "num_key_value_heads": 2, "vocab_size": 8192}  # fmt: skip
WORDS = 2000  # of the tokenizer made for random weights


class Device:
    """Where it runs: its clock, its memory counters, its bounds."""

    def __init__(self, name: str | None, quick: bool):
        self.torch = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.cuda, self.quick = self.torch.type == "cuda", quick
        self.dtype = torch.bfloat16 if self.cuda else torch.float32
        if not self.cuda:
            torch.set_num_threads(1)  # process time of one thread: the others' work on this machine does not count
        self.title = torch.cuda.get_device_name(self.torch) if self.cuda else f"CPU, one thread ({platform.machine()})"

    def seconds(self, work, rounds: int | None = None) -> float:
        """Median seconds of ``work()`` after one round thrown away: wall time on CUDA, process time on the CPU."""
        taken = []
        for _ in range((rounds or (3 if self.quick else 7)) + 1):
            self.wait()
            began = self.clock()
            work()
            self.wait()
            taken.append(self.clock() - began)
        return statistics.median(taken[1:])

    def clock(self) -> float:
        return time.perf_counter() if self.cuda else time.process_time()

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.torch)

    def start_peak(self) -> None:
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.torch)
        elif sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        """Bytes since `start_peak`: of the allocator on CUDA, of the whole process on Linux, 0 elsewhere."""
        if self.cuda:
            return torch.cuda.max_memory_allocated(self.torch)
        return emo_benchmark._status("VmHWM") if sys.platform == "linux" else 0

    def bounds(self) -> tuple[float, float]:
        """(bytes a second of a copy, FLOP a second of a matrix product)."""
        count = 2**29 if self.cuda else 2**24
        pair = [torch.ones(2, count, dtype=torch.float32, device=self.torch)]
        bandwidth = 2 * 4 * count / self.seconds(lambda: pair[0][0].copy_(pair[0][1]))
        pair.clear()  # the room is needed for what follows
        side = 8192 if self.cuda else 1024
        a, b = (torch.randn(side, side, device=self.torch).to(self.dtype) for _ in range(2))
        out = torch.empty_like(a)
        return bandwidth, 2 * side**3 / self.seconds(lambda: torch.mm(a, b, out=out))


class Report:
    """The table's rows and the ratios."""

    def __init__(self):
        self.rows, self.ratios = [], {}

    def add(self, what, value, unit, *, bound="", share=None, peak=None, key=None):
        memory = "" if not peak else f"{peak / 1e9:.2f} GB"
        self.rows.append((what, value, unit, bound, "" if share is None else f"{share:.2f}", memory))
        if key and share is not None:
            self.ratios[key] = share

    def show(self) -> None:
        table = [("", "measured", "", "bound", "share", "peak memory"), *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(6)]
        for row in table:
            cells = (cell.ljust(w) if i in (0, 2) else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))
            print("  ".join(cells).rstrip())


def shape(device: Device) -> dict:
    """Llama-3-8B, with as many layers as fit; a small one on a CPU."""
    if not device.cuda:
        return SMALL | ({"num_hidden_layers": 2, "vocab_size": 4096} if device.quick else {})
    layer = 2 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336)  # bytes in bfloat16
    rest = 2 * 2 * 128256 * 4096
    layers = int((0.6 * torch.cuda.mem_get_info(device.torch)[0] - rest) // layer)
    if layers < 1:
        return SMALL
    return LLAMA_8B | {"num_hidden_layers": min(32, 8 if device.quick else 32, layers)}


def random_module(device: Device, sizes: dict):
    """A Llama of this shape, made where it stays, in eval mode."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(**sizes, max_position_embeddings=8192, tie_word_embeddings=False)
    torch.manual_seed(0)
    with device.torch:
        return AutoModelForCausalLM.from_config(config, dtype=device.dtype).eval()


def to_nf4(module, device: Device):
    """Every linear layer but the head as NF4 with double quantisation, computing in the module's own type."""
    import bitsandbytes as bnb

    for name, linear in list(module.named_modules()):
        if isinstance(linear, torch.nn.Linear) and name != "lm_head":
            packed = bnb.nn.Linear4bit(
                linear.in_features, linear.out_features, bias=False, compute_dtype=device.dtype, quant_type="nf4",
                compress_statistics=True, device="meta",
            )  # fmt: skip
            packed.weight = bnb.nn.Params4bit(
                linear.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True
            )
            parent, _, own = name.rpartition(".")
            setattr(module.get_submodule(parent), own, packed.to(device.torch))
    return module


def weight_bytes(module) -> int:
    """Bytes of all weights, the scales of quantised ones included."""
    from workbench.models.report import describe

    found = describe(module)
    return found["bytes_packed"] + found["bytes_quant_state"] + found["bytes_rest"]


def parameters(config) -> int:
    """Weights that take part in a token's products: the input embedding is only looked up."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = config.hidden_size * head * (2 * config.num_attention_heads + 2 * config.num_key_value_heads)
    layer = attention + 3 * config.hidden_size * config.intermediate_size
    return config.num_hidden_layers * layer + config.vocab_size * config.hidden_size


@torch.inference_mode()
def speeds(report, device, module, form: str, bandwidth: float, rate: float) -> None:
    """Prefill and decode at batch 1, 8 and 32."""
    config = module.config.get_text_config(decoder=True)
    length, steps = (512, 64) if device.cuda and not device.quick else (128, 16) if device.cuda else (32, 8)
    read = weight_bytes(module) - module.get_input_embeddings().weight.nbytes
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    row = (
        2 * config.num_hidden_layers * config.num_key_value_heads * head * device.dtype.itemsize
    )  # bytes a cached token
    for batch in (1, 8, 32):
        ids = torch.randint(0, min(WORDS, config.vocab_size), (batch, length), device=device.torch)
        device.start_peak()
        try:
            taken = device.seconds(lambda ids=ids: module(ids, use_cache=True, logits_to_keep=1), 3)
            # every position looks at half of the others on average; the head reads the last position alone
            flop = batch * length * 2 * (parameters(config) - config.vocab_size * config.hidden_size)
            flop += batch * 2 * config.num_hidden_layers * config.num_attention_heads * head * length**2
            flop += batch * 2 * config.vocab_size * config.hidden_size
            bound = max(flop / rate, read / bandwidth)
            report.add(
                f"{form}: prefill, batch {batch} x {length}", f"{batch * length / taken:,.0f}", "tokens/s",
                bound=f"{batch * length / bound:,.0f}", share=bound / taken, peak=device.peak(),
                key=f"{form}.prefill.b{batch}.share",
            )  # fmt: skip
            times = []
            for _ in range(3):
                out = module(ids, use_cache=True, logits_to_keep=1)
                device.wait()
                began = device.clock()
                for _ in range(steps):
                    token = out.logits[:, -1:].argmax(-1)
                    out = module(token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
                device.wait()
                times.append(device.clock() - began)
            taken = statistics.median(times[1:])
            moved = read + batch * row * (length + steps / 2)
            bound = steps * max(moved / bandwidth, batch * 2 * parameters(config) / rate)
            report.add(
                f"{form}: decode, batch {batch}", f"{batch * steps / taken:,.1f}", "tokens/s",
                bound=f"{batch * steps / bound:,.1f}", share=bound / taken, peak=device.peak(),
                key=f"{form}.decode.b{batch}.share",
            )  # fmt: skip
        except torch.cuda.OutOfMemoryError:
            report.add(f"{form}: batch {batch}", "does not fit", "")
            gc.collect()
            torch.cuda.empty_cache()


def words_tokenizer():
    """A tokenizer of 2,000 words, for random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {f"w{i}": i for i in range(WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="w0", eos_token="w1")


def rain(report, device, module, tokenizer, bandwidth: float, rate: float) -> None:
    """Searches a second: one prompt after another, and eight in lock-step; the same searches, checked."""
    model = LocalModel(module, tokenizer, name="benchmark", report=None)
    config = module.config.get_text_config(decoder=True)
    budget = 6 if device.quick else 12
    chosen = RainSettings.paper("hh", budget=budget, similarity=2, max_new_tokens=32, stop=())
    prompts = [" ".join(f"w{(7 * i + k) % WORDS}" for k in range(64)) for i in range(8)]
    if len(tokenizer) != WORDS:
        prompts = [f"Question {i}: what is there to see in the old town, and how does one get there?\n\nAnswer:"
                   for i in range(8)]  # fmt: skip

    def judge(text):  # it costs nothing: what is measured is the search
        return (sum(map(ord, text)) % 201) / 100 - 1
        yield

    seconds, found, moves = [], [], []
    with torch.inference_mode():
        for at_once in (8, 1, 8):  # the first round only warms up
            tree = PrefixTree(model)
            tasks = []
            for index, prompt in enumerate(prompts):
                ids = model.prompt_ids(prompt, None)
                tasks.append(
                    Searcher(
                        tree, prompt, ids, settings=chosen, evaluate=judge, embed=None, index=index, seed=0,
                        decode=model.new_text, eos=model.end_tokens(),
                    ).task(1)
                )  # fmt: skip
            device.start_peak()
            device.wait()
            began = device.clock()
            results = run(tree, together(tasks, at_once=at_once))
            device.wait()
            seconds.append(device.clock() - began)
            searches = sum(len(result.searches) for result in results)
            bound = max(
                tree.counters.forwards
                * (weight_bytes(module) - module.get_input_embeddings().weight.nbytes)
                / bandwidth,
                tree.counters.tokens * 2 * parameters(config) / rate,
            )
            found.append((searches, bound, device.peak(), tree.counters.tokens))
            moves.append([result.tokens for result in results])
    for at_once, taken, (searches, bound, peak, tokens) in zip((1, 8), seconds[1:], found[1:]):
        report.add(
            f"RAIN: {at_once} prompt{'s' if at_once > 1 else ''} at once", f"{searches / taken:,.1f}", "searches/s",
            bound=f"{searches / bound:,.1f}", share=bound / taken, peak=peak,
            key="rain.share" if at_once == 8 else None,
        )  # fmt: skip
        report.add("", f"{tokens / taken:,.0f}", "tokens/s computed")
    report.ratios["rain.lockstep_vs_one_by_one"] = (found[2][0] / seconds[2]) / (found[1][0] / seconds[1])
    if moves[1] != moves[2]:  # bfloat16 rounds batches of another shape differently, so a tie may fall the other way
        print(f"note: lock-step changed {sum(a != b for a, b in zip(moves[1], moves[2]))} of 8 moves (rounding)")


def emo(report, device, rate: float) -> None:
    """EMO's fused loss against the same loss over materialised logits: forward and backward."""
    rows, vocabulary, width = (4096, 128256, 4096) if device.cuda else (256, 8192, 256)
    rows //= 4 if device.quick else 1
    hidden = torch.randn(1, rows + 1, width, device=device.torch).to(device.dtype).requires_grad_()
    weight = (torch.randn(vocabulary, width, device=device.torch) * 3 / width**0.5).to(device.dtype).requires_grad_()
    labels = torch.randint(0, vocabulary, (1, rows + 1), device=device.torch)
    bound, taken, peaks = 4 * 2 * rows * vocabulary * width / rate, {}, {}
    for name, loss in (("fused", emo_benchmark.fused), ("materialised", emo_benchmark.tidied)):
        what = f"EMO {name}: {rows} x {vocabulary:,} x {width}"
        try:
            emo_benchmark.step(loss, hidden, weight, labels)
            rounds = [emo_benchmark.step(loss, hidden, weight, labels) for _ in range(2 if device.quick else 5)]
            taken[name] = statistics.median(rounds)
            peaks[name] = emo_benchmark.peak(loss, hidden, weight, labels)
        except torch.cuda.OutOfMemoryError:
            report.add(what, "does not fit", "")
            continue
        report.add(
            what, f"{rows / taken[name]:,.0f}", "rows/s", bound=f"{rows / bound:,.0f}", share=bound / taken[name],
            peak=peaks[name], key="emo.share" if name == "fused" else None,
        )  # fmt: skip
    if len(taken) == 2:
        report.ratios["emo.time_vs_materialised"] = taken["materialised"] / taken["fused"]
        report.ratios["emo.peak_vs_materialised"] = peaks["materialised"] / max(1, peaks["fused"])


def load(device, options, form: str):
    """(module, tokenizer): random weights on the device, or the model that was named, in this form."""
    if options.model:
        import workbench

        handle = workbench.load(
            options.model, device=str(device.torch), bits=4 if form == "nf4" else None, strict=form == "nf4",
            dtype="auto" if form == "nf4" else str(device.dtype).removeprefix("torch."),
        )  # fmt: skip
        return handle.module, handle.tokenizer
    module = random_module(device, shape(device))
    return (to_nf4(module, device) if form == "nf4" else module), words_tokenizer()


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--model", help="a folder or hub id; default: random weights of Llama-3-8B's shape")
    parser.add_argument("--device", help="cuda:0, cpu; default: CUDA where there is one")
    options = parser.parse_args()
    device, report = Device(options.device, options.quick), Report()
    importlib.import_module("transformers.models.llama.modeling_llama")  # before the clock runs
    bandwidth, rate = device.bounds()
    kind = str(device.dtype).removeprefix("torch.")
    print(f"{device.title}: copy {bandwidth / 1e9:,.0f} GB/s, {kind} product {rate / 1e12:,.2f} TFLOP/s")
    sizes = {}
    for form in ("bf16", "nf4"):
        if form == "nf4":
            try:
                import bitsandbytes  # noqa: F401  (mended by workbench as it is imported)
            except Exception as error:  # a wheel without its CUDA library raises more than ImportError
                report.add("nf4: not measured", f"bitsandbytes: {type(error).__name__}", "")
                continue
        device.start_peak()
        device.wait()
        began = time.perf_counter()
        module, tokenizer = load(device, options, form)
        device.wait()
        taken = time.perf_counter() - began
        sizes[form] = weight_bytes(module)
        count = parameters(module.config.get_text_config(decoder=True))
        count = f"{count / 1e9:.2f} G" if count > 1e8 else f"{count / 1e6:.1f} M"
        title = form if device.cuda or form == "nf4" else f"{form} (here {kind})"
        report.add(
            f"{title}: {'load' if options.model else 'random'}, {count} parameters", f"{taken:.2f}", "s",
            bound=f"{sizes[form] / bandwidth:.3f}", share=sizes[form] / bandwidth / taken, peak=device.peak(),
        )  # fmt: skip
        report.add("", f"{sizes[form] / 1e9:.3f}", "GB of weights")
        speeds(report, device, module, form, bandwidth, rate)
        if form == "bf16":
            rain(report, device, module, tokenizer, bandwidth, rate)
        del module
        gc.collect()
    if len(sizes) == 2:
        report.ratios["nf4_vs_bf16.bytes"] = sizes["bf16"] / sizes["nf4"]
    emo(report, device, rate)
    report.show()
    if options.json:
        common.print_json("gpu", report.ratios, device.title, ("torch", "transformers"))


if __name__ == "__main__":
    main()
