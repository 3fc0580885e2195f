"""`explain`, the front door: an attribution as a heat map of tokens, each of which can be masked with a click.

No method of its own: the numbers are those of `workbench.papers.explainability`.
"""

import traitlets

from ... import plots
from ...errors import UsageError
from ...papers import explainability as paper
from ..base import Choice, Explorer, Text, front, number, one_of, visible

EXACT = 6  # free tokens up to which Shapley values are exact and quick: at most 64 coalitions


def explain(model, prompt, target, *, method=None, foil=None, removal="replace", samples=None, seed=0, large=True):
    """Show how much each token of ``prompt`` speaks for ``target``: a heat map in which tokens can be masked.

    Parameters
    ----------
    model : Model
        A handle of `workbench.load` with weights in this process.
    prompt, target : str
        The text, and how it goes on, with its leading space (" Paris"). Of several tokens the log-probabilities add up.
    method : str, optional
        A name in `workbench.papers.explainability.METHODS`. None: "shapley" up to 6 tokens after the first (there it
        is exact), "occlusion" for longer prompts.
    foil : str, optional
        Explain the difference of the logits of ``target`` and this answer instead of the log-probability.
    removal : {"replace", "delete"}
        What masking does: a neutral token in its place, or the token left out.
    samples, seed
        As in `workbench.papers.explainability.attribute`.
    large : bool
        Large type, for a class (default).

    Returns
    -------
    TokenHeat
        The widget; ``.attribution`` is the result of `attribute`, ``.save("heat.html")`` writes a page.

    Raises
    ------
    UsageError, ModelError
        What cannot be explained: an empty prompt, an unknown method, a model without gradients, …

    >>> import workbench as wb
    >>> wb.explain(wb.load("smollm2"), "The capital of France is", " Paris")   # doctest: +SKIP
    """
    if method is None:
        free = len(paper.read_prompt(model, prompt).ids) - 1
        method = "shapley" if free <= EXACT else "occlusion"
    return TokenHeat(
        model, prompt, target, method=method, foil=foil or "", removal=removal, samples=samples, seed=seed, large=large
    )


class TokenHeat(Explorer):
    """The heat map of `explain`. Its parameters are those of `explain`; ``method`` must be a name.

    Attributes
    ----------
    attribution : Attribution
        What `workbench.papers.explainability.attribute` gave for the present question.
    masked : str
        Positions of the masked tokens, counted from 0, with commas: "3,5".
    answer : dict
        "tokens", "scores", "held", "value", "baseline", "gap", "notes", "cost"; "full" and "left": the explained
        quantity before and after masking; "p" and "p_left": the target's probability; "next": the likeliest next
        tokens after masking, [text, probability] each.
    """

    _esm, _css = front("explain/heat")
    asks = ("prompt", "target", "foil", "method", "removal", "masked")
    stem = "heat-map"

    prompt = traitlets.Unicode("").tag(sync=True)
    target = traitlets.Unicode("").tag(sync=True)
    foil = traitlets.Unicode("").tag(sync=True)
    method = traitlets.Unicode("shapley").tag(sync=True)
    removal = traitlets.Unicode("replace").tag(sync=True)
    masked = traitlets.Unicode("").tag(sync=True)

    def __init__(self, model, prompt, target, *, samples=None, seed=0, **state):
        self.samples, self.seed, self.attribution = samples, seed, None
        super().__init__(model, prompt=prompt, target=target, **state)
        if self.error:  # told in the cell, where the wrong argument stands
            raise UsageError(self.error)

    @traitlets.validate("method")
    def _valid_method(self, proposal):
        return one_of("method", proposal["value"], paper.METHODS)

    @traitlets.validate("removal")
    def _valid_removal(self, proposal):
        return one_of("removal", proposal["value"], paper.REMOVALS)

    @traitlets.validate("masked")
    def _valid_masked(self, proposal):
        parts = [part.strip() for part in proposal["value"].split(",") if part.strip()]
        if not all(part.isdecimal() for part in parts):
            raise UsageError(f"masked={proposal['value']!r}: give positions counted from 0, such as '3,5'")
        return ",".join(map(str, sorted(set(map(int, parts)))))

    def controls(self):
        return [
            Text("prompt", "Prompt", width=22),
            Text("target", "Target", width=6),
            Text("foil", "rather than", width=6),
            Choice("method", "Method", [(name, info.title) for name, info in paper.METHODS.items()]),
            Choice(
                "removal", "A masked token is", {"replace": "replaced by a neutral one", "delete": "left out"}.items()
            ),
        ]

    def new_text(self):
        self.masked = ""

    def _question(self) -> tuple[tuple, dict]:
        return (self.model, self.prompt, self.target), {"foil": self.foil or None, "removal": self.removal}

    def compute(self):
        texts, options = self._question()
        key = (*texts[1:], self.foil, self.removal)
        self.attribution = found = self.once(
            (*key, self.method),
            lambda: paper.attribute(*texts, method=self.method, samples=self.samples, seed=self.seed, **options),
        )
        kept = [True] * len(found.tokens)
        full, p, _ = self.once((*key, ""), lambda: self._value(kept))
        for position in map(int, filter(None, self.masked.split(","))):
            if position >= len(kept):
                raise UsageError(f"token {position} cannot be masked: the prompt has {len(kept)}, counted from 0")
            kept[position] = False
        left, p_left, following = self.once((*key, self.masked), lambda: self._value(kept))
        return {
            "model": self.model.name,
            "about": paper.METHODS[self.method].about,
            "tokens": list(found.tokens),
            "scores": found.scores.tolist(),
            "held": list(found.held),
            "kept": kept,
            "quantity": found.quantity.replace("_", " "),
            "value": found.value,
            "baseline": found.baseline,
            "gap": found.gap,
            "notes": list(found.notes),
            "cost": {"evaluations": found.cost.evaluations, "seconds": round(found.cost.seconds, 2)},
            "full": full,
            "left": left,
            "p": p,
            "p_left": p_left,
            "next": following,
        }

    def _value(self, kept) -> tuple[float, float, list]:
        """Quantity, the target's probability and the likeliest next tokens when only ``kept`` stays."""
        texts, options = self._question()
        value = float(paper.coalition_values(*texts, [kept], **options)[0])
        options.pop("foil")
        p = float(paper.coalition_values(*texts, [kept], quantity="probability", **options)[0])
        ids = paper.masked_ids(self.model, self.prompt, kept, removal=self.removal)
        return value, p, [[text, float(share)] for text, share in paper.next_tokens(self.model, ids, k=5)]

    def caption(self):
        against = f" rather than “{self.foil}”" if self.foil else ""
        title = paper.METHODS[self.method].title
        return f"{title}: what speaks for “{self.target}”{against} ({self.model.name})"

    def rows(self):
        now = self.answer
        state = ["held" if i in now["held"] else "" if kept else "masked" for i, kept in enumerate(now["kept"])]
        rows = zip(now["tokens"], now["scores"], state)
        return ["position", "token", "score", "state"], [
            [str(i), visible(token), number(score), what] for i, (token, score, what) in enumerate(rows)
        ]

    def draw(self):
        now = self.answer
        names = [visible(token) + (" (held)" if i in now["held"] else "") for i, token in enumerate(now["tokens"])]
        masked = "" if all(now["kept"]) else f"; with the hatched tokens masked p = {now['p_left']:.3g}"
        gap = "" if now["gap"] is None else f"; completeness gap {now['gap']:.1%}"
        colours = [plots.COLOURS["blue" if score > 0 else "red"] for score in now["scores"]]
        picture = plots.bars(
            {"score": now["scores"]}, names, styles={"score": {"color": colours}}, title=self.caption(),
            xlabel=f"score ({now['quantity']}); p(target) = {now['p']:.3g}{masked}{gap}",
        )  # fmt: skip
        for bar, kept in zip(picture.axes[0].patches, now["kept"]):
            if not kept:
                bar.set(fill=False, hatch="///", edgecolor=plots.COLOURS["grey"])
        return picture
