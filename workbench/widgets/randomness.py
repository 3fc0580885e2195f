"""The explorer of in-context randomness: edit flips, see what the model expects next, and why.

No method of its own: the numbers are those of `workbench.papers.randomness`.
"""

import traitlets

from .. import plots
from ..errors import UsageError
from ..models.base import weighs
from ..papers import randomness
from ..papers.randomness.curve import prefix_texts
from ..papers.randomness.settings import prompt_text
from .base import Choice, Explorer, front

LONGEST = 400  # flips in the editor: beyond it coins cannot be told apart on a screen; the functions take more
CONCEPTS = ("01", "011", "010", "0011", "01000", "10110", "0", "1")
WORDS = {  # presets of any length: a word to repeat, or a fair coin -> what the page calls it
    "01": "(01)ⁿ  Heads Tails …",
    "011": "(011)ⁿ",
    "010": "(010)ⁿ",
    "0011": "(0011)ⁿ",
    "01000": "(01000)ⁿ",
    "10110": "(10110)ⁿ",
    "0": "all Heads",
    "1": "all Tails",
    "random": "random: a fair coin of this seed",
}
SAMPLES = randomness.SETTINGS.samples_without_logprobs


class RandomnessExplorer(Explorer):
    """An editor of flips with the live curve p(next = Tails) and Bayesian model selection.

    Parameters
    ----------
    model : Model
        A handle of `workbench.load`. One that tells no tokens' probabilities is sampled, 30 times behind the
        last flip.
    flips : str
        The flips to begin with, in any form `parse_flips` reads; at most 400.
    prompt, alphabet, p_tails
        As in `workbench.papers.randomness.next_flip_curve`.
    concept : str
        The word whose repetition the model-selection panel weighs against a fair coin.
    large : bool
        Large type, for a class (default).
    chat : bool, optional
        True asks a chat model, each prefix as one message (`next_flip_curve`, `sample_next_flip`).

    Attributes
    ----------
    answer : dict
        "p_tails" and "mass" (n + 1 numbers, one for every prefix), "posterior" and "observer" (by likelihood,
        "sequence" and "count": n + 1 numbers each; p(concept) and the observer's own p(next = Tails)), "reads" (the
        text given to the model), "sampled" (None, or for a model without log-probabilities the number of samples and
        the interval of the last point; points not sampled are None), "question", "error". The table shows these.

    Raises
    ------
    UsageError
        A wrong argument; later, flips or a concept that are none, set from Python. Whatever else goes wrong, and all
        that is typed on the page, becomes one sentence in the widget (``error``).
    """

    _esm, _css = front("randomness")
    asks = ("flips", "prompt", "alphabet", "p_tails", "concept")

    flips = traitlets.Unicode("").tag(sync=True)
    prompt = traitlets.Unicode("paper").tag(sync=True)
    alphabet = traitlets.Unicode("words").tag(sync=True)
    p_tails = traitlets.Float(50.0).tag(sync=True)
    concept = traitlets.Unicode("01").tag(sync=True)
    stem = "randomness"
    presets = traitlets.List(read_only=True).tag(sync=True)  # [name, what the page calls it, whether of any length]
    longest = traitlets.Int(LONGEST, read_only=True).tag(sync=True)

    def __init__(
        self, model, *, flips="HTHTHTHTHT", prompt="paper", alphabet="words", p_tails=50, concept="01", large=True,
        chat=None,
    ):  # fmt: skip
        self.chat = chat
        prompt_text(prompt, alphabet, p_tails)  # a wrong name is told here, not on the page
        super().__init__(
            model, flips=flips, prompt=prompt, alphabet=alphabet, p_tails=p_tails, concept=concept, large=large
        )

    def controls(self):
        words = dict.fromkeys((*CONCEPTS, self.concept))
        prompts = dict.fromkeys((*randomness.PROMPTS, self.prompt))  # one's own stands behind ours
        alphabets = dict.fromkeys((*randomness.ALPHABETS, self.alphabet))
        return [
            Choice("prompt", "Prompt", [(one, one if len(one) < 25 else f"{one[:24]}…") for one in prompts]),
            Choice("alphabet", "Written as", alphabets),
            Choice("concept", "Concept", [(word, f"({word})ⁿ") for word in words]),
        ]  # fmt: skip

    @traitlets.default("presets")
    def _presets(self):
        fixed = [[preset.name, f"{preset.name}: {preset.about}", False] for preset in randomness.presets()]
        return [[name, title, True] for name, title in WORDS.items()] + fixed

    @traitlets.validate("flips")
    def _valid_flips(self, proposal):
        flips = randomness.parse_flips(proposal["value"])
        if len(flips) > LONGEST:
            raise UsageError(
                f"{len(flips)} flips are more than the {LONGEST} this editor takes: "
                "call workbench.papers.randomness.next_flip_curve for longer sequences"
            )
        return flips

    @traitlets.validate("concept")
    def _valid_concept(self, proposal):
        randomness.repeat_concept(proposal["value"], 0)  # raises one sentence
        return randomness.as_digits(proposal["value"])

    def perform(self, command):
        """Commands of the page: {"kind": "type", "text"} and {"kind": "preset", "name", "length", "seed"}."""
        if command.get("kind") == "type":
            self.flips = str(command.get("text", ""))
        elif command.get("kind") == "preset":
            self.flips = preset_flips(command.get("name"), command.get("length"), command.get("seed"))

    def compute(self):
        if weighs(self.model):
            p_tails, mass, sampled = *self._from_one_forward(), None
        else:
            p_tails, mass, sampled = self._from_samples()
        observer = {
            name: randomness.bayes_curve(self.flips, self.concept, likelihood=name) for name in ("sequence", "count")
        }
        return {
            "model": self.model.name,
            "p_tails": p_tails,
            "mass": mass,
            "sampled": sampled,
            "posterior": {name: curve.posterior.tolist() for name, curve in observer.items()},
            "observer": {name: curve.p_tails.tolist() for name, curve in observer.items()},
            "crossover": {name: curve.crossover for name, curve in observer.items()},
            "reads": prefix_texts(self.flips, **self._task())[-1],
        }

    def _task(self) -> dict:
        return {"prompt": self.prompt, "alphabet": self.alphabet, "p_tails": self.p_tails}

    def _from_one_forward(self) -> tuple[list, list]:
        def ask():
            curve = randomness.next_flip_curve(self.model, self.flips, chat=self.chat, **self._task())
            return tuple(values.tolist() for values in curve)

        return self.once((self.flips, *self._task().values()), ask)

    def _from_samples(self) -> tuple[list, list, dict]:
        """The point behind the last flip, from samples; the points of prefixes asked for before stand beside it."""
        keys = [(self.flips[:n], *self._task().values()) for n in range(len(self.flips) + 1)]
        self.once(
            keys[-1],
            lambda: randomness.sample_next_flip(self.model, self.flips, n=SAMPLES, chat=self.chat, **self._task()),
        )
        seen = [self._known.get(key) for key in keys]
        p_tails = [one.p_tails.value if one and one.p_tails else None for one in seen]
        last = seen[-1].p_tails
        return (
            p_tails,
            [one.mass.value if one else None for one in seen],
            {"n": SAMPLES, "low": last.low if last else None, "high": last.high if last else None},
        )

    def caption(self):
        return f"{self.model.name}, prompt {self.prompt}: p(next = Tails) after each of {len(self.flips)} flips"

    def rows(self):
        now = self.answer
        columns = ["flips seen", "next flip", "p(next = Tails)", "mass", "p(concept), sequence", "p(concept), count"]
        numbers = zip(now["p_tails"], now["mass"], now["posterior"]["sequence"], now["posterior"]["count"])
        return columns, [
            [str(n), self.flips[n : n + 1], *("–" if value is None else f"{value:.4f}" for value in row)]
            for n, row in enumerate(numbers)
        ]

    def draw(self):
        now, (blue, green, red, purple, grey) = (
            self.answer,
            map(plots.COLOURS.get, ("blue", "green", "red", "purple", "grey")),
        )
        steps = range(len(now["p_tails"]))
        known = {name: [float("nan") if v is None else v for v in now[name]] for name in ("p_tails", "mass")}
        came = [float(flip == "T") for flip in self.flips]
        picture, ((above,), (below,)) = plots.panels(2, 1, size=(9.0, 6.4), sharex=True, height_ratios=(3, 2))
        limits = (-0.05, 1.05)
        lines = {
            "unnormalised mass": (steps, known["mass"]), "the model": (steps, known["p_tails"]),
            "Bayes, sequence": (steps, now["observer"]["sequence"]), "the flip that came": (steps[:-1], came),
        }  # fmt: skip
        styles = {
            "unnormalised mass": {"linestyle": ":", "color": grey}, "the model": {"marker": "o", "color": blue},
            "Bayes, sequence": {"linestyle": "--", "color": green},
            "the flip that came": {"linestyle": "", "marker": "s", "mfc": "none", "color": purple},
        }  # fmt: skip
        plots.curves(
            lines, styles=styles, ylabel="p(next = Tails)", title=self.caption(), chance=0.5, limits=limits,
            legend="right", axis=above,
        )  # fmt: skip
        beliefs = {f"{name} likelihood": (steps, now["posterior"][name]) for name in ("sequence", "count")}
        styles = {"sequence likelihood": {"color": green}, "count likelihood": {"color": red, "linestyle": "--"}}
        plots.curves(
            beliefs, styles=styles, xlabel="flips seen", ylabel=f"p(({self.concept})ⁿ | flips)", limits=limits,
            legend="right", axis=below,
        )  # fmt: skip
        return picture


def preset_flips(name: str, length: int, seed: int = 0) -> str:
    """The flips of a preset: a word or "random" in any length (``seed`` for the coin), or a named sequence as it is.

    Raises
    ------
    UsageError
        An unknown name, or a length that is no whole number from 0 to 400.
    """
    named = {preset.name: preset.flips for preset in randomness.presets()}
    if name in named:
        return named[name]
    if name not in WORDS:
        raise UsageError(f"preset {name!r} is unknown: choose one of {', '.join([*WORDS, *named])}")
    for what, value, highest in (("length", length, LONGEST), ("seed", seed, 2**32 - 1)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest or value % 1:
            raise UsageError(f"{what} {value!r} is not a whole number from 0 to {highest}")
    if name == "random":
        return randomness.random_flips(int(length), int(seed))
    return randomness.repeat_concept(name, int(length))
