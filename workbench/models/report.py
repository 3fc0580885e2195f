"""What was loaded, and how: said in one table, in the terminal, in Jupyter and in a run's record."""

import html
import threading
from dataclasses import asdict, dataclass, field

from .files.cache import size_text
from .quantised import is_quantised
from .runlog import note
from .weights import some


class Table:
    """A report's ``rows()`` as aligned text and as an HTML table, everything escaped."""

    def rows(self) -> list[tuple[str, str]]:
        """The table's rows: label and value."""
        raise NotImplementedError

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for label, value in self.rows()
        )
        return f"<table>{cells}</table>"


@dataclass(frozen=True)
class LoadReport(Table):
    """The facts of one load. Bytes are bytes, seconds are wall-clock seconds."""

    name: str  # as given
    source: str  # where the weights came from (embedded, file, folder, hub) with the path or id
    identity: str  # what pins the weights down: the hub commit, or "sha256:…" of the file or folder
    sha256: str | None  # hash of the content (None for a hub model: its commit is the hash)
    device: str  # "cpu" or "cuda:0 (NVIDIA …)"
    capability: str | None  # the compute capability, e.g. "9.0", None on the CPU
    dtype: str  # of the unquantised weights
    quantisation: str | None  # "nf4 + double quantisation", "int8" or None
    compute_dtype: str  # what quantised matrices compute in
    quantised: list[str] = field(repr=False)  # names of the linear layers that are quantised (hundreds)
    skipped: list[str] = field(repr=False)  # and of those that are not
    bytes_packed: int  # quantised weights
    bytes_quant_state: int  # their scales
    bytes_rest: int  # everything else
    peak_bytes: int  # highest memory during the load: of the process on the CPU, of the allocator on CUDA
    load_seconds: float  # this load
    cold_seconds: float | None  # making the cache entry it came from (None if there is none)
    from_cache: bool  # whether a finished cache entry was used
    parameters: int  # number of weights
    adapter: str | None = None  # folder of the peft adapter
    tokens_per_second: float | None = None  # this and what follows: measured on request by `probe`
    perplexity: float | None = None
    perplexity_unquantised: float | None = None
    notes: list[str] = field(default_factory=list)  # why anything differs from what was asked, one line each

    @property
    def bytes(self) -> int:
        """All weights: packed + quant_state + rest."""
        return self.bytes_packed + self.bytes_quant_state + self.bytes_rest

    def as_dict(self) -> dict:
        """Plain data, ready for JSON."""
        return asdict(self) | {"bytes": self.bytes}

    def line(self) -> str:
        """One line: device, type, size, seconds."""
        form = self.quantisation or self.dtype
        return f"{self.device}, {form}, {size_text(self.bytes)}, loaded in {self.load_seconds:.1f} s"

    def rows(self) -> list[tuple[str, str]]:
        """The table's rows."""
        rows = [
            ("model", self.name),
            ("source", self.source),
            ("identity", self.identity),
            ("device", self.device + (f", capability {self.capability}" if self.capability else "")),
            ("parameters", f"{self.parameters / 1e6:.1f} M"),
            ("weights", f"{size_text(self.bytes)} in memory, {self.dtype}"),
        ]
        if self.quantisation:
            rows += [
                ("quantisation", f"{self.quantisation}, computing in {self.compute_dtype}"),
                (
                    "linear layers",
                    f"{len(self.quantised)} quantised, {len(self.skipped)} not {some(self.skipped)}".rstrip(),
                ),
                (
                    "bytes",
                    f"{size_text(self.bytes_packed)} packed + {size_text(self.bytes_quant_state)} quant_state + "
                    f"{size_text(self.bytes_rest)} rest",
                ),
            ]
        if self.adapter:
            rows.append(("adapter", self.adapter))
        cold = f"; making the cache entry took {self.cold_seconds:.1f} s" if self.cold_seconds is not None else ""
        rows += [
            ("loaded in", f"{self.load_seconds:.1f} s{' from the cache' if self.from_cache else ''}{cold}"),
            ("peak memory", size_text(self.peak_bytes)),
        ]
        if self.tokens_per_second is not None:
            rows.append(("speed", f"{self.tokens_per_second:.1f} tokens/s (one sample, greedy)"))
        if self.perplexity is not None:
            rows.append(("perplexity", f"{self.perplexity:.2f} on the bundled text{self._delta()}"))
        return rows + [("note", note) for note in self.notes]

    def _delta(self) -> str:
        if self.perplexity_unquantised is None:
            return ""
        delta = self.perplexity - self.perplexity_unquantised
        return f", {delta:+.2f} against {self.perplexity_unquantised:.2f} unquantised"


def note_model(report) -> None:
    """Inside a run: one line about this model, which the runner takes into record.json."""
    facts = report.as_dict()
    note({key: facts[key] for key in ("name", "source", "identity", "sha256")} | {"report": facts})


def describe(module) -> dict:
    """What the torch module is made of: the report's fields on layers and bytes. Layers have the names they have
    without an adapter; weights of more than two dimensions (experts in one piece) count as unquantised."""
    import torch

    quantised, skipped, packed, states, owned, compute, bits = {}, {}, 0, 0, set(), None, None
    for name, part in module.named_modules():
        plain, kind = _own_name(name), is_quantised(part)
        if plain is None:
            continue
        if kind:
            quantised[plain], bits = True, kind
            weight = part.weight
            packed += weight.nbytes
            owned.add(id(weight))
            state = getattr(weight, "quant_state", None)
            if state is not None:
                states += _tensor_bytes(state)
                compute = part.compute_dtype
            for scale in (getattr(weight, "SCB", None), getattr(getattr(part, "state", None), "SCB", None)):
                if isinstance(scale, torch.Tensor) and id(scale) not in owned:
                    owned.add(id(scale))
                    states += scale.nbytes
        elif isinstance(part, torch.nn.Linear):
            skipped[plain] = True
        else:
            stacked = [key for key, weight in part.named_parameters(recurse=False) if weight.dim() == 3]
            if "conv" not in type(part).__name__.lower():
                skipped |= dict.fromkeys(f"{plain}.{key}" if plain else key for key in stacked)
    rest = sum(t.nbytes for t in [*module.parameters(), *module.buffers()] if id(t) not in owned)
    embedding = module.get_input_embeddings().weight.dtype
    form = {"4bit": "nf4 + double quantisation", "8bit": "int8"}.get(bits)
    return {
        "dtype": str(embedding).removeprefix("torch."),
        "quantisation": form,
        "compute_dtype": str(compute if compute is not None else embedding).removeprefix("torch."),
        "quantised": list(quantised),
        "skipped": list(skipped),
        "bytes_packed": packed,
        "bytes_quant_state": states,
        "bytes_rest": rest,
    }


def _own_name(name: str) -> str | None:
    """A layer's name without peft's wrappers around it; None for a layer that is the adapter's own."""
    if name.startswith("base_model.model"):
        name = name.removeprefix("base_model.model").lstrip(".")
    parts = name.split(".")
    if any(part.startswith("lora_") or part in ("original_module", "token_adapter") for part in parts):
        return None
    if "modules_to_save" in parts:
        parts = parts[: parts.index("modules_to_save")]
    return ".".join(part for part in parts if part != "base_layer")


def _tensor_bytes(state) -> int:
    """Bytes of all tensors in a bitsandbytes quant_state, nested ones included."""
    import torch

    total = 0
    for value in vars(state).values():
        if isinstance(value, torch.Tensor):
            total += value.nbytes
        elif type(value).__name__ == "QuantState":
            total += _tensor_bytes(value)
    return total


class Peak:
    """Highest memory while the block runs: sampled for the process, or the allocator's own count on CUDA."""

    def __init__(self, device):
        self.device, self.bytes = device, 0

    def __enter__(self):
        import psutil
        import torch

        self._process, self._ended = psutil.Process(), threading.Event()
        if self.device.type == "cuda":
            for number in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(number)
        else:
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()
        return self

    def _sample(self):
        while True:
            self.bytes = max(self.bytes, self._process.memory_info().rss)
            if self._ended.wait(0.01):
                return

    def __exit__(self, *_):
        import torch

        if self.device.type == "cuda":
            count = range(torch.cuda.device_count())
            self.bytes = sum(torch.cuda.max_memory_allocated(number) for number in count)
        else:
            self._ended.set()
            self._thread.join()
            self.bytes = max(self.bytes, self._process.memory_info().rss)
