"""Methods side by side: each method's scores, and how far the target falls when its top tokens go, beside random ones.

No method of its own: the numbers are those of `attribute` and `erasure` (its batched form, `erase`).
"""

from textwrap import wrap

import numpy as np
import traitlets

from ... import plots
from ...errors import UsageError
from ...papers import explainability as paper
from ...papers.explainability.attribution.result import redrawn
from ...papers.explainability.evaluation.removal import erase, erasure_game, protected
from ...papers.explainability.tokens import MethodRefused
from ...stats import Estimate
from ..base import Choice, Explorer, Text, front, number, one_of, visible

SHARES = (0.05, 0.1, 0.2, 0.5)
RANDOM = 20  # random orders of one prompt; the page shows the middle 90 % of what they give
CONTROL = "random"


class MethodsCompared(Explorer):
    """Rows of token strips, one a method, each with its comprehensiveness against the range of random orders.

    Parameters
    ----------
    model : Model
        A local handle of `workbench.load`.
    prompt, target : str
    methods : sequence of str
        Names in `METHODS`; "random" is always drawn. They stand in the order of `METHODS`, never of their scores.
    removal : {"replace", "delete"}
        How the top tokens are taken away.
    samples : dict of str to int, optional
        Samples by method, where the default is too slow or too coarse.
    seed : int

    Attributes
    ----------
    answer : dict
        "tokens", "shares", "value" (the target's probability); "methods": for each name {"title", "scores", "curve"
        (probability left after removing the top share), "comprehensiveness", "sufficiency", "seconds", "inside"
        (whether the comprehensiveness lies in the random range)}; "random": {"curve", "low", "high" (lists over
        shares), "mean", "range" (of comprehensiveness), "draws"}; "refused": a sentence for each method that would be
        wrong for this model.
    """

    _esm, _css = front("explain/methods")
    asks = ("prompt", "target", "chosen", "removal", "focus")
    stem = "methods"

    prompt = traitlets.Unicode("").tag(sync=True)
    target = traitlets.Unicode("").tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)  # names with commas
    removal = traitlets.Unicode("replace").tag(sync=True)
    focus = traitlets.Unicode("").tag(sync=True)
    known = traitlets.List(read_only=True).tag(sync=True)  # [name, title, about]

    def __init__(
        self, model, prompt, target, *, methods=("occlusion", "shapley", "gradient_x_input"), removal="replace",
        samples=None, seed=0, large=True,
    ):  # fmt: skip
        self.samples, self.seed = samples or {}, seed
        super().__init__(
            model, prompt=prompt, target=target, chosen=",".join(methods), removal=removal,
            focus=next(iter(methods), ""), large=large,
        )  # fmt: skip
        if self.error:
            raise UsageError(self.error)

    @traitlets.default("known")
    def _known_methods(self):
        return [[name, info.title, info.about] for name, info in paper.METHODS.items() if name != CONTROL]

    @traitlets.validate("chosen")
    def _valid_chosen(self, proposal):
        wanted = {one_of("method", name, paper.METHODS) for name in proposal["value"].split(",") if name}
        return ",".join(name for name in paper.METHODS if name in wanted and name != CONTROL)

    @traitlets.validate("removal")
    def _valid_removal(self, proposal):
        return one_of("removal", proposal["value"], paper.REMOVALS)

    def controls(self):
        removals = {"replace": "replaced", "delete": "deleted"}.items()
        return [
            Text("prompt", "Prompt", width=24), Text("target", "Target", width=6),
            Choice("removal", "Top tokens are", removals),
        ]  # fmt: skip

    def compute(self):
        names, refused = [], {}
        for name in filter(None, self.chosen.split(",")):
            try:
                self._attributed(name)
                names.append(name)
            except MethodRefused as error:
                refused[name] = error
        if refused and not names:
            raise next(iter(refused.values()))
        control = self._attributed(CONTROL)
        random = [redrawn(control, self.seed + draw) for draw in range(RANDOM)]
        erased = self._erased(random + [self._attributed(name) for name in names])
        draws, own = erased[:RANDOM], dict(zip(names, erased[RANDOM:], strict=True))
        value = float(draws[0].value)
        fallen = np.array([draw.comprehensive for draw in draws])  # (draws, shares)
        chance = np.array([draw.comprehensiveness for draw in draws])
        low, high = np.quantile(chance, (0.05, 0.95))
        methods = {}
        for name in names:
            found, erased = self._attributed(name), own[name]
            methods[name] = {
                "title": paper.METHODS[name].title,
                "scores": found.scores.tolist(),
                "curve": [value, *(value - erased.comprehensive).tolist()],
                "comprehensiveness": float(erased.comprehensiveness),
                "sufficiency": float(erased.sufficiency),
                "seconds": round(found.cost.seconds, 2),
                "evaluations": found.cost.evaluations,
                "inside": bool(low <= erased.comprehensiveness <= high),
            }
        bounds = np.quantile(value - fallen, (0.05, 0.95), axis=0)
        return {
            "model": self.model.name,
            "tokens": list(control.tokens),
            "held": list(control.held),
            "shares": [0.0, *SHARES],
            "refused": [f"{paper.METHODS[name].title} is left out: {error}" for name, error in refused.items()],
            "value": value,
            "methods": methods,
            "random": {
                "curve": [value, *(value - fallen.mean(0)).tolist()],
                "low": [value, *bounds[0].tolist()],
                "high": [value, *bounds[1].tolist()],
                "mean": float(chance.mean()),
                "range": [float(low), float(high)],
                "sufficiency": float(np.mean([draw.sufficiency for draw in draws])),
                "draws": RANDOM,
            },
        }

    def _attributed(self, name):
        options = {"method": name, "seed": self.seed, "samples": self.samples.get(name)}
        key = (self.prompt, self.target, name)
        return self.once(key, lambda: paper.attribute(self.model, self.prompt, self.target, **options))

    def _erased(self, found) -> list:
        """The `Erasure` of each attribution: one game, so that texts are evaluated together and once."""
        game = self.once(
            ("game", self.prompt, self.target, self.removal),
            lambda: erasure_game(self.model, found[0], removal=self.removal, quantity="probability"),
        )
        return erase(game, [(one.method, protected(one)) for one in found], SHARES)

    def caption(self):
        left_out = "".join(f". {sentence}" for sentence in self.answer.get("refused", ()))
        return f"“{self.prompt}” → “{self.target}”: methods beside {RANDOM} random orders ({self.model.name}){left_out}"

    def rows(self):
        now = self.answer
        columns = ["method", "comprehensiveness", "in the random range", "sufficiency", "evaluations", "seconds"]
        rows = [
            [
                one["title"], number(one["comprehensiveness"]), "yes" if one["inside"] else "no",
                number(one["sufficiency"]), str(one["evaluations"]), f"{one['seconds']:.2f}",
            ]
            for one in now["methods"].values()
        ]  # fmt: skip
        control = now["random"]
        low, high = control["range"]
        return columns, [
            *rows,
            [
                "Random (mean)",
                number(control["mean"]),
                f"{low:.4f} to {high:.4f}",
                number(control["sufficiency"]),
                "",
                "",
            ],
        ]

    def draw(self):
        now = self.answer
        methods, control = now["methods"], now["random"]
        if not methods:
            return plots.empty("No method is chosen.")
        titles = [one["title"] for one in methods.values()]
        size = (12.5, 3.0 + 0.36 * len(methods))
        title = "\n".join(wrap(self.caption(), 130))
        picture, ((left, right),) = plots.panels(1, 2, size=size, title=title, sharey=True, width_ratios=(3, 2))
        low, high = control["range"]
        plots.dots(
            {one["title"]: Estimate(one["comprehensiveness"]) for one in methods.values()},
            chance=Estimate(control["mean"], low, high), xlabel=f"comprehensiveness ({self.removal})", axis=right,
            chance_label=f"mean and middle 90 % of {control['draws']} random orders",
        )  # fmt: skip
        right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9, frameon=False)
        scores = [np.array(one["scores"]) / (np.abs(one["scores"]).max() or 1) for one in methods.values()]
        plots.grid(
            scores, titles, list(map(visible, now["tokens"])), limits=(-1, 1), colours="RdBu", axis=left,
            title="scores, each row by its own largest (blue: for, red: against)",
        )  # fmt: skip
        return picture
