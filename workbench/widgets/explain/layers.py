"""The layer slider: what the logit lens reads after each block, and which residual streams carry the answer.

No method of its own: the numbers are those of `logit_lens` and `patching_grid`.
"""

import numpy as np
import traitlets

from ... import plots
from ...errors import UsageError
from ...models.base import require
from ...papers import explainability as paper
from ..base import Explorer, Slider, Text, front, number, one_of, visible

PARTS = ("stream", "attention", "mlp")
HERE = {"color": plots.COLOURS["black"], "linewidth": 1, "linestyle": ":"}


class LayerSlider(Explorer):
    """A slider over layers above the lens and the patching grid of a pair of prompts that differ in one fact.

    Parameters
    ----------
    model : Model
        A local handle of `workbench.load`.
    clean, corrupt : str
        The prompt, and its twin with another answer; as many tokens.
    target, foil : str
        What the first is followed by, and the second, with leading spaces.
    show : {"lens", "patching"}
        The panel to begin with. The grid is computed when its panel is first shown.
    layer : int, optional
        To begin with (0 is the embedding). Default: the middle one.

    Attributes
    ----------
    answer : dict
        "tokens", "layers"; "lens": for every layer and position the likeliest token and its probability, and the
        answer's "probability" and "rank"; "top": the likeliest tokens at the chosen layer and position;
        "patching": None or {"recovery", "clean_value", "corrupt_value", "positions", "layers", "tokens_corrupt"}.
    """

    _esm, _css = front("explain/layers")
    asks = ("clean", "corrupt", "target", "foil", "layer", "position", "part", "show")
    stem = "layers"

    clean = traitlets.Unicode("").tag(sync=True)
    corrupt = traitlets.Unicode("").tag(sync=True)
    target = traitlets.Unicode("").tag(sync=True)
    foil = traitlets.Unicode("").tag(sync=True)
    layer = traitlets.Int(-1).tag(sync=True)
    position = traitlets.Int(-1).tag(sync=True)
    part = traitlets.Unicode("stream").tag(sync=True)
    show = traitlets.Unicode("lens").tag(sync=True)

    def __init__(self, model, clean, corrupt, target, foil, *, layer=None, show="lens", part="stream", large=True):
        require(model, "hidden", for_="the layer slider")
        self.depth = model.module.config.get_text_config(decoder=True).num_hidden_layers
        layer = self.depth // 2 if layer is None else layer
        super().__init__(
            model, clean=clean, corrupt=corrupt, target=target, foil=foil, layer=layer, show=show, part=part,
            large=large,
        )  # fmt: skip
        if self.error:
            raise UsageError(self.error)

    @traitlets.validate("part")
    def _valid_part(self, proposal):
        return one_of("part", proposal["value"], PARTS)

    @traitlets.validate("show")
    def _valid_show(self, proposal):
        return one_of("panel", proposal["value"], ("lens", "patching"))

    def controls(self):
        return [
            Text("clean", "Clean prompt", width=19), Text("corrupt", "Corrupted prompt", width=19),
            Text("target", "Target", width=5), Text("foil", "Foil", width=5), Slider("layer", "Layer", 0, self.depth),
        ]  # fmt: skip

    def new_text(self):
        self.position = -1

    def compute(self):
        lens = self.once(("lens", self.clean, self.target), self._lens)
        layers, tokens = list(lens.layers), list(lens.tokens)
        if self.layer not in layers:
            raise UsageError(f"there is no layer {self.layer}: choose one from {layers[0]} to {layers[-1]}")
        if not -len(tokens) <= self.position < len(tokens):
            raise UsageError(
                f"there is no position {self.position}: the prompt has {len(tokens)} tokens, counted from 0"
            )
        texts = (self.clean, self.corrupt, self.target, self.foil)
        key = ("patching", self.part, *texts)
        grid = None
        if self.show == "patching" or key in self._known:
            grid = self.once(key, lambda: paper.patching_grid(self.model, *texts, part=self.part))
        return {
            "model": self.model.name,
            "tokens": tokens,
            "layers": layers,
            "lens": {
                "top": [[best[0] for best in row] for row in lens.top],
                "top_probability": lens.top_probability[:, :, 0].tolist(),
                "probability": lens.probability.tolist(),
                "rank": lens.rank.tolist(),
            },
            "top": [[text, float(p)] for text, p in lens.at(self.layer, self.position)],
            "patching": None
            if grid is None
            else {
                "recovery": grid.recovery.tolist(),
                "layers": list(grid.layers),
                "positions": list(grid.positions),
                "clean_value": float(grid.clean_value),
                "corrupt_value": float(grid.corrupt_value),
                "tokens_corrupt": list(grid.tokens_corrupt),
                "runs": grid.cost.evaluations,
                "seconds": round(grid.cost.seconds, 2),
            },
        }

    def _lens(self):
        return paper.logit_lens(self.model, self.clean, self.target)

    def caption(self):
        return f"Layer {self.layer} of {self.model.name}: “{self.clean}” → “{self.target}”"

    def rows(self):
        """One row a position, at the chosen layer."""
        now, lens = self.answer, self.answer["lens"]
        at = now["layers"].index(self.layer)
        patch = now["patching"]
        recovery = {}
        if patch and self.layer in patch["layers"]:
            recovery = dict(zip(patch["positions"], patch["recovery"][patch["layers"].index(self.layer)]))
        columns = ["position", "token", "lens says", "p", "p(target)", "rank", "recovery"]
        return columns, [
            [
                str(i),
                visible(token),
                visible(lens["top"][at][i]),
                number(lens["top_probability"][at][i]),
                number(lens["probability"][at][i]),
                str(lens["rank"][at][i]),
                number(recovery.get(i)),
            ]
            for i, token in enumerate(now["tokens"])
        ]

    def draw(self):
        now = self.answer
        patch, names = now["patching"], [visible(token) for token in now["tokens"]]
        picture, (axes,) = plots.panels(1, 2 if patch else 1, size=(12 if patch else 7, 6.2), title=self.caption())
        plots.grid(
            np.log10(np.array(now["lens"]["rank"]) + 1), now["layers"], names, upwards=True, colours="Blues_r",
            title=f"logit lens: rank of “{visible(self.target)}”", label="log10(rank + 1), 0: first",
            ylabel="layer (0: embedding)", axis=axes[0],
        )  # fmt: skip
        axes[0].axhline(now["layers"].index(self.layer), **HERE)
        if patch:
            plots.grid(
                patch["recovery"], patch["layers"], [names[i] for i in patch["positions"]], limits=(-1, 1),
                title=f"patching ({self.part}): share of the answer recovered", colours="RdBu", upwards=True,
                label="share recovered", axis=axes[1],
            )  # fmt: skip
            if self.layer in patch["layers"]:
                axes[1].axhline(patch["layers"].index(self.layer), **HERE)
        return picture
