"""What an attribution leaves behind: scores with their cost and completeness, and a still heat map."""

import html
from dataclasses import dataclass, field, replace

import numpy as np

from ..settings import GAP, METHODS
from .game import Cost

FOR, AGAINST, NEUTRAL = (0, 114, 178), (230, 159, 0), (255, 255, 255)  # Okabe and Ito's blue and orange
_CSS = (
    "display:inline-block;vertical-align:top;text-align:center;margin:0 1px 6px;padding:2px 3px;"
    "border-radius:3px;white-space:pre;"
)


@dataclass(frozen=True, eq=False)
class Attribution:
    """One score for each token of a prompt.

    Attributes
    ----------
    method, prompt, target, foil : str
        ``foil`` is None without one.
    tokens, ids : list
        The prompt's tokens as text and as ids, n of them.
    scores : (n,) float64
        In units of ``quantity`` for methods that remove or decompose; positive speaks for the target. Held positions
        have 0.
    value, baseline : float
        The explained quantity at the prompt, and where every token that can be removed is removed.
    gap : float or None
        |sum of scores - (value - baseline)| / |value - baseline|; None for methods whose scores are no shares of it.
    cost : Cost
        evaluations (distinct inputs), tokens computed, seconds.
    quantity : str
        "log_probability" (the sum over the target's tokens), "probability", "logit_difference" (target minus foil; with
        several tokens the difference of summed log-probabilities) or "logit" (above the vocabulary's mean).
    held : tuple of int
        Positions that are never removed.
    removal, layer, seed, samples
        As asked for (``samples`` None: nothing was sampled).
    target_tokens, target_ids : list
        The target as it was tokenised.
    """

    method: str
    prompt: str
    target: str
    foil: str | None
    tokens: list[str]
    ids: list[int]
    scores: np.ndarray
    value: float
    baseline: float
    gap: float | None
    cost: Cost
    quantity: str
    held: tuple[int, ...]
    removal: str
    layer: int | None
    seed: int
    samples: int | None
    target_tokens: list[str] = field(default_factory=list)
    target_ids: list[int] = field(default_factory=list)

    @property
    def free(self) -> list[int]:
        """Positions that can be removed."""
        return [place for place in range(len(self.ids)) if place not in self.held]

    @property
    def order(self) -> list[int]:
        """Free positions, highest score first; of equals the earlier one first."""
        return sorted(self.free, key=lambda place: -self.scores[place])

    def top(self, k: int = 3) -> list[tuple[str, float]]:
        """The ``k`` tokens of highest score, with it."""
        return [(self.tokens[place], float(self.scores[place])) for place in self.order[:k]]

    @property
    def notes(self) -> list[str]:
        """What a reader should know beside the scores, a sentence each."""
        info, said = METHODS[self.method], []
        if self.gap is not None and not self.gap <= GAP:
            reason = (
                "the method promises that they do: read single scores with care"
                if info.complete
                else "this method does not promise that they do"
            )
            said.append(
                f"The scores add up to {self.scores.sum():.3g}, the effect of the whole prompt is "
                f"{self.value - self.baseline:.3g} (gap {self.gap:.0%}); {reason}."
            )
        if len(self.target_tokens) > 1:
            said.append(
                f"The target is {len(self.target_tokens)} tokens ({', '.join(map(repr, self.target_tokens))}): "
                "their log-probabilities are added up."
            )
        if self.quantity == "logit":
            said.append("Explained is the target's logit above the mean logit of the vocabulary.")
        if self.held:
            said.append(f"The first token, {self.tokens[0]!r}, collects idle attention and is held fixed.")
        return said

    def to_frame(self):
        """A pandas DataFrame, a row a token: position, token, id, score, held."""
        import pandas as pd

        return pd.DataFrame(
            {
                "position": range(len(self.ids)), "token": self.tokens, "id": self.ids, "score": self.scores,
                "held": [place in self.held for place in range(len(self.ids))],
            }
        )  # fmt: skip

    def _repr_html_(self) -> str:
        return self.html()

    def html(self, unit: float | None = None, large: bool = False) -> str:
        """A still heat map without script: each token with its score under it, blue for, orange against.

        ``unit`` is the score of full colour (default: the largest), so that several maps compare.
        """
        unit = unit or float(np.abs(self.scores).max()) or 1.0
        size = 20 if large else 15
        head = html.escape(f"{METHODS[self.method].title}: what speaks for {self.target!r}")
        if self.foil is not None:
            head += html.escape(f" against {self.foil!r}")
        cells = "".join(self._cell(place, unit, size) for place in range(len(self.ids)))
        words = {"log_probability": "log-probability", "logit_difference": "logit difference"}
        words = words.get(self.quantity, self.quantity)
        facts = f"{words} {self.value:.3f}"
        if self.quantity != "logit":
            facts += f", with the tokens removed {self.baseline:.3f}"
        if self.gap is not None:
            facts += f", gap {self.gap:.1%}"
        many = "evaluation" if self.cost.evaluations == 1 else "evaluations"
        facts += f"; {self.cost.evaluations} {many}, {self.cost.tokens} tokens, {self.cost.seconds:.2f} s"
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in self.notes)
        return (
            f'<div style="font-family:system-ui,sans-serif;font-size:{size}px;line-height:1.4;color:#222;'
            f'background:#fff;padding:6px"><div style="font-weight:600">{head}</div><div>{cells}</div>'
            f'<div style="font-size:.8em;color:#444"><div>{html.escape(facts)}</div>{notes}</div></div>'
        )

    def _cell(self, place: int, unit: float, size: int) -> str:
        score, held = float(self.scores[place]), place in self.held
        share = min(1.0, abs(score) / unit)
        colour = FOR if score > 0 else AGAINST
        mixed = [round(a + (b - a) * share) for a, b in zip(NEUTRAL, colour, strict=True)]
        style = f"{_CSS}background:rgb({mixed[0]},{mixed[1]},{mixed[2]});color:{_ink(mixed)};"
        style += "border:1px dashed #888;" if held else "border:1px solid #ddd;"
        text = html.escape(self.tokens[place].replace("\n", "↵").replace("\t", "⇥")) or "·"
        below = "held" if held else f"{score:+.2g}" if METHODS[self.method].signed else f"{score:.2g}"
        small = f"display:block;font-size:{size * 0.65:.0f}px"
        return f'<span style="{style}">{text}<span style="{small}">{below}</span></span>'


def random_scores(count: int, seed: int) -> np.ndarray:
    """What method="random" gives ``count`` free tokens: uniform numbers (count,)."""
    return np.random.default_rng(seed).uniform(size=count)


def redrawn(control: Attribution, seed: int) -> Attribution:
    """An attribution of method="random" as it is at another seed: the model need not be asked again."""
    scores = np.zeros(len(control.ids))
    scores[control.free] = random_scores(len(control.free), seed)
    return replace(control, scores=scores, seed=seed)


def _ink(colour) -> str:
    """White or near-black type, whichever contrasts more with the ground (WCAG's relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    ground = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    dark = 0.0159  # of #222
    return "#fff" if 1.05 / (ground + 0.05) > (ground + 0.05) / (dark + 0.05) else "#222"
