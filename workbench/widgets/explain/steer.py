"""The steering slider: add a concept's direction to the residual stream and see answers and text move.

No method of its own: the numbers are those of `steer_next` and `steering`.
"""

import traitlets

from ... import plots
from ...errors import UsageError
from ...papers import explainability as paper
from ..base import Choice, Explorer, Slider, Text, front, number, one_of, visible

STRENGTHS = tuple(step / 2 for step in range(-8, 9))  # -4 to 4, in distances between the concept's two means
NEW_TOKENS = 16
GREY = plots.COLOURS["grey"]


class SteeringSlider(Explorer):
    """A slider of strength; one answer's share of two along it, a control's beside it, and the text written.

    Parameters
    ----------
    model : Model
        A local handle of `workbench.load`.
    concepts : dict of str to Concept
        From `concept_vector`, by the name on the page.
    control : Concept
        What any direction would do: a random one of the same length (`random_concept`).
    prompt : str
    target, foil : str
        The answers watched, with leading spaces: towards and away from the concept.
    strength : float
        From -4 to 4 in halves, in distances between the concept's two means; 0 leaves the model as it is.

    Attributes
    ----------
    answer : dict
        "p_target", "p_foil": one number a strength; "share": the target's part of the two, "control_share": the same
        along the random direction; "top": the likeliest next tokens at the chosen strength; "text": what the model
        writes there, "plain": at strength 0.
    """

    _esm, _css = front("explain/steer")
    asks = ("prompt", "target", "foil", "concept", "strength")
    stem = "steering"

    prompt = traitlets.Unicode("").tag(sync=True)
    target = traitlets.Unicode("").tag(sync=True)
    foil = traitlets.Unicode("").tag(sync=True)
    concept = traitlets.Unicode("").tag(sync=True)
    strength = traitlets.Float(0.0).tag(sync=True)
    strengths = traitlets.List(list(STRENGTHS), read_only=True).tag(sync=True)

    def __init__(self, model, concepts, control, prompt, target, foil, *, concept=None, strength=0.0, large=True):
        if not concepts:
            raise UsageError("concepts is empty: give at least one Concept, from concept_vector")
        self.concepts, self.control = dict(concepts), control
        super().__init__(
            model, prompt=prompt, target=target, foil=foil, concept=concept or next(iter(self.concepts)),
            strength=strength, large=large,
        )  # fmt: skip
        if self.error:
            raise UsageError(self.error)

    def controls(self):
        words = [f"{strength:+g}" for strength in STRENGTHS]
        return [
            Text("prompt", "Prompt", width=22), Text("target", "Target", width=6), Text("foil", "Foil", width=6),
            Choice("concept", "Concept", self.concepts),
            Slider("strength", "Strength", STRENGTHS[0], STRENGTHS[-1], step=0.5, words=words),
        ]  # fmt: skip

    @traitlets.validate("concept")
    def _valid_concept(self, proposal):
        return one_of("concept", proposal["value"], self.concepts)

    @traitlets.validate("strength")
    def _valid_strength(self, proposal):
        if proposal["value"] not in STRENGTHS:
            raise UsageError(f"there is no strength {proposal['value']:g}: give -4 to 4 in halves")
        return proposal["value"]

    def compute(self):
        chosen = self.concepts[self.concept]
        texts = (self.prompt, self.target, self.foil)
        steered, control = (
            self.once((*texts, which), lambda one=one: self._steered(one))
            for which, one in ((self.concept, chosen), ("a random direction", self.control))
        )
        at = STRENGTHS.index(self.strength)
        share, control_share = (one.probability[:, 0] / one.probability.sum(1) for one in (steered, control))
        return {
            "model": self.model.name,
            "layer": chosen.layer,
            "p_target": steered.probability[:, 0].tolist(),
            "p_foil": steered.probability[:, 1].tolist(),
            "share": share.tolist(),
            "control_share": control_share.tolist(),
            "top": [[text, float(p)] for text, p in steered.top[at]],
            "text": self._written(self.strength),
            "plain": self._written(0.0),
        }

    def _steered(self, concept):
        return paper.steer_next(self.model, self.prompt, concept, STRENGTHS, [self.target, self.foil])

    def _written(self, strength: float) -> str:
        """What the model writes, greedily, under this strength."""

        def write():
            with paper.steering(self.model, self.concepts[self.concept], strength):
                return self.model.generate([self.prompt], max_new_tokens=NEW_TOKENS, chat=False)[0][0].text

        return self.once(("text", self.prompt, self.concept if strength else "", strength), write)

    def caption(self):
        return f"Steering {self.model.name} by {self.strength:+g} along “{self.concept}”: “{self.prompt}” …"

    def rows(self):
        now = self.answer
        columns = ["strength", f"p({self.target})", f"p({self.foil})", "target's share", "share, random direction"]
        curves = (now[name] for name in ("p_target", "p_foil", "share", "control_share"))
        return columns, [
            [f"{strength:+g}", *map(number, values)] for strength, *values in zip(STRENGTHS, *curves, strict=True)
        ]

    def draw(self):
        now, target, foil = self.answer, visible(self.target), visible(self.foil)
        random = "along a random direction"
        picture = plots.curves(
            {f"along “{self.concept}”": (STRENGTHS, now["share"]), random: (STRENGTHS, now["control_share"])},
            styles={f"along “{self.concept}”": {"marker": "o"}, random: {"linestyle": "--", "color": GREY}}, chance=0.5,
            xlabel=f"strength at layer {now['layer']}", ylabel=f"p({target}) / (p({target}) + p({foil}))",
            limits=(-0.03, 1.03), title=self.caption(),
        )  # fmt: skip
        picture.axes[0].axvline(self.strength, color=plots.COLOURS["black"], linewidth=1)
        picture.supxlabel(f"it writes: {visible(now['text'])[:110]}", fontsize=9, family="monospace")
        return picture.describe(f"At strength {self.strength:+g} it writes: {now['text']}")
