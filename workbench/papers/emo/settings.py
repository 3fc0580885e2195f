"""The named variants of the loss, and the sizes of the experiments. No torch here: light users may import it."""

from dataclasses import dataclass, field
from difflib import get_close_matches

from ...errors import UsageError
from ...profiles import Choice, Profiles, Size

FORMS = ("emo1", "emo2")
BASELINES = ("ce", "label_smoothing", "tvd", "mixce")


@dataclass(frozen=True)
class Variant:
    """One loss by name.

    Parameters
    ----------
    settings : dict
        Keyword arguments of `emo_loss` (form, corrected, ratio_cap), or of `baseline_loss` (form and its own).
    cost_embedding : str or None
        Where the cost embedding (V, H) comes from. "head": the model's current output matrix, detached at each step;
        "frozen_head": the pretrained output matrix of the model before any training; "initial_head": the trained
        model's own output matrix when training began; "buffer": a matrix given once and kept as a buffer; "argument":
        a matrix given to every call; None: no cost embedding (a baseline).
    source : str
        Which of the authors' scripts uses it.
    """

    settings: dict = field(hash=False)
    cost_embedding: str | None
    source: str

    @property
    def is_emo(self) -> bool:
        """True for EMO's forms, False for a baseline."""
        return self.settings["form"] in FORMS


def _emo(form, corrected, cost_embedding, source, ratio_cap=None) -> Variant:
    return Variant({"form": form, "corrected": corrected, "ratio_cap": ratio_cap}, cost_embedding, source)


VARIANTS: dict[str, Variant] = {
    "lm_script": _emo("emo1", False, "frozen_head", "DRSY/EMO, language-modelling script"),
    "emo1_adaptive": _emo("emo1", True, "head", "DRSY/EMO, model patch emo1_adaptive"),
    "emo2_adaptive": _emo("emo2", True, "head", "DRSY/EMO, model patch emo2_adaptive"),
    "emo2_fixed": _emo("emo2", True, "buffer", "DRSY/EMO, model patch emo2_fixed"),
    "continual": _emo("emo1", True, "buffer", "DRSY/EMO, continual fine-tuning", ratio_cap=3.0),
    "continual_emo2": _emo("emo2", True, "buffer", "DRSY/EMO, continual fine-tuning, second form"),
    "instruction": _emo("emo1", True, "initial_head", "DRSY/EMO, instruction tuning"),
    "pypi1": _emo("emo1", False, "argument", "PyPI EMOLoss 0.0.3, mode 1", ratio_cap=3.0),
    "pypi2": _emo("emo2", False, "argument", "PyPI EMOLoss 0.0.3, mode 2"),
    "mixce": Variant({"form": "mixce", "w": 0.5}, None, "DRSY/EMO, baseline MixCE"),
    "tvd": Variant({"form": "tvd", "w": 0.5}, None, "DRSY/EMO, baseline TVD (TaiLr)"),
    "label_smoothing": Variant({"form": "label_smoothing", "smoothing": 0.1}, None, "Szegedy et al. 2016; control"),
}


def variant(name: str) -> Variant:
    """The variant called ``name``; an unknown name is one sentence with the nearest known one."""
    if name not in VARIANTS:
        near = get_close_matches(str(name), VARIANTS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "choose one of " + ", ".join(VARIANTS)
        raise UsageError(f"there is no EMO variant {name!r}: {hint}")
    return VARIANTS[name]


SWEEP = [1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
FINE = [round(1.1 - 0.02 * i, 2) for i in range(36)]
PROFILES = Profiles(
    {"variant": Choice(tuple(VARIANTS))},
    # on the grammar
    seeds=Size(2, 3, 8, 20),
    pretrain_steps=Size(60, 1500, 1500, 1500),
    steps=Size(20, 150, 200, 200),
    sentences=Size(100, 500, 500, 500),
    samples=Size(200, 400, 1500, 10000),
    temperatures=Size([0.8], [0.85, 0.7, 0.5], SWEEP, SWEEP, least=0.05, most=20),
    mle_temperatures=Size([0.8, 0.6], [0.9, 0.8, 0.7, 0.6, 0.5], FINE, FINE, least=0.05, most=20),
    # on prose
    lora_steps=Size(1, 6, 240, 600, least=0),
    window=Size(32, 64, 64, 256, least=4),
    batch=Size(1, 2, 2, 32),
    held_out=Size(1, 4, 48, 128),
    generated=Size(8, 24, 24, 128),
)
