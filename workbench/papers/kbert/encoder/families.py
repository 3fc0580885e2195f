"""Encoder families: which take soft positions and an additive (B, 1, T, T) mask in every layer, and which cannot.

Every family of `FAMILIES` has passed the leak test from a tiny random model (test_kbert_families.py): a hidden token
moves nobody, an empty graph gives the plain encoder, eager and sdpa agree. What is in `REFUSED` failed it, for the
reason given there.
"""

from dataclasses import dataclass
from types import MappingProxyType

from ....errors import ModelError


@dataclass(frozen=True)
class Family:
    """How a family of encoders is fed.

    Attributes
    ----------
    name
        The configuration's ``model_type``.
    offset
        Positions begin at padding_idx + 1 (RoBERTa and its kin), not at 0.
    segments
        The encoder takes token_type_ids.
    attention
        The implementations that take the mask.
    note
        What differs from the paper's picture, in a sentence; "" where nothing does.
    """

    name: str
    offset: bool = False
    segments: bool = True
    attention: tuple[str, ...] = ("sdpa", "eager")
    note: str = ""


_EAGER = ("eager",)
FAMILIES = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("bert"),
            Family("electra"),
            Family("albert"),
            Family("ernie"),
            Family("distilbert", segments=False),
            Family("rembert", attention=_EAGER),
            Family("megatron-bert", attention=_EAGER),
            Family("nomic_bert", note="rotary positions: soft positions set how far tokens are apart"),
            Family("roberta", offset=True),
            Family("xlm-roberta", offset=True),
            Family("xlm-roberta-xl", offset=True),
            Family("camembert", offset=True),
            Family("data2vec-text", offset=True),
            Family("roberta-prelayernorm", offset=True),
            Family(
                "mpnet", offset=True, segments=False, attention=_EAGER,
                note="its relative position bias counts tokens as they stand, branches included; soft positions reach "
                "the absolute embedding only",
            ),
            Family(
                "modernbert", segments=False,
                note="rotary positions; its local layers see as far as their window, counted in soft positions",
            ),
        )
    }
)  # fmt: skip

_OWN_MASK = "its attention makes its own mask of a row of pads and adds relative positions by token order"
REFUSED = MappingProxyType(
    {
        "deberta": _OWN_MASK,
        "deberta-v2": _OWN_MASK,
        "mobilebert": "its embedding mixes each token with its two neighbours, so a hidden token shows through",
        "convbert": "its convolutions mix neighbours, so a hidden token shows through",
        "nystromformer": "its attention is approximated through landmarks, so a hidden token shows through",
        "big_bird": "its sparse attention takes no mask between single tokens",
        "longformer": "its windowed attention takes no mask between single tokens",
        "funnel": "it pools tokens together, so a hidden token shows through",
        "roformer": "it counts positions by itself and takes none",
        "xlnet": "it takes no positions and adds relative ones by token order",
        "t5": "it takes no positions and adds relative ones by token order",
    }
)


def family_of(config) -> Family:
    """The family of a model's configuration.

    Raises
    ------
    ModelError
        A family whose attention cannot take the mask (the message says why), or one that was never tested.
    """
    name = config if isinstance(config, str) else getattr(config, "model_type", type(config).__name__)
    if name in FAMILIES:
        return FAMILIES[name]
    known = ", ".join(FAMILIES)
    why = REFUSED.get(name, "it was never tested for leaks")
    raise ModelError(f"{name} encoders cannot take the visible matrix: {why}; take one of {known}")
