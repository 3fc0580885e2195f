"""What llama.cpp runs, and how: the report of a model that it has, and ggml's names for the types of tensors."""

from dataclasses import dataclass, field

from .base import HERE
from .engine import SLOTS, Engine
from .files.cache import size_text
from .report import Table

# ggml's types of tensors by number (gguf.md); those after F16 are quantised, and multiplied with 8-bit activations
TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K",
    13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
    21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
WHOLE = ("F32", "F16", "BF16")
EIGHT_BITS = (
    "log-probabilities are computed with 8-bit activations: .07 nats off float32 on average for the 135M model in "
    "Q4_1, .04 for a 0.5B one in Q4_K_M, where that was measured; other types than Q4_1 may depend on the batch"
)


@dataclass
class LlamaReport(Table):
    """The facts of one load by llama.cpp. Bytes are the file's; context and slots are what there is room for now."""

    name: str
    source: str
    identity: str  # "sha256:…" of the file
    sha256: str
    version: str
    tensors: dict[str, int]  # ggml's type -> tensors of it
    parameters: int
    bytes: int
    longest: int
    engine: Engine = field(repr=False, compare=False)
    load_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    device: str = "cpu"
    backend_name: str = HERE
    adapter: None = None

    @property
    def backend(self) -> str:
        """What its numbers come from, with its version: part of the model's identity."""
        return f"{self.backend_name} (xllamacpp {self.version})"

    @property
    def quantisation(self) -> str:
        """The types of the tensors, by number of tensors."""
        return ", ".join(f"{count} {kind}" for kind, count in self.tensors.items())

    def as_dict(self) -> dict:
        """Plain data, ready for JSON."""
        plain = {key: value for key, value in self.__dict__.items() if key not in ("engine", "backend_name")}
        engine = self.engine
        return plain | {
            "backend": self.backend,
            "threads": engine.threads,
            "slots": engine.slots,
            "context": engine.context,
            "room": f"at this moment; up to {SLOTS} texts at a time and {self.longest} tokens, as calls need it",
        }

    def line(self) -> str:
        """One line: backend, types, size, seconds."""
        return f"{self.backend}, {self.quantisation}, {size_text(self.bytes)}, loaded in {self.load_seconds:.1f} s"

    def rows(self) -> list[tuple[str, str]]:
        """The table's rows."""
        engine = self.engine
        return [
            ("model", self.name),
            ("source", self.source),
            ("identity", self.identity),
            ("backend", f"{self.backend}, {self.device}, {engine.threads} threads"),
            ("parameters", f"{self.parameters / 1e6:.1f} M"),
            ("weights", f"{size_text(self.bytes)} as they are in the file; tensors: {self.quantisation}"),
            ("room", f"{engine.slots} texts of {engine.context} tokens now (at most {self.longest}), as calls need it"),
            ("loaded in", f"{self.load_seconds:.1f} s"),
            *(("note", note) for note in self.notes),
        ]
