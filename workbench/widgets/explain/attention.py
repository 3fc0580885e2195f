"""Attention heads drawn by ourselves: all heads of a layer as small pictures, one of them large, with or without sink.

No method of its own: the numbers are those of `attention_maps`.
"""

import traitlets

from ... import plots
from ...errors import UsageError
from ...papers import explainability as paper
from ..base import Check, Explorer, Slider, Text, front, number, visible

LONGEST = 64  # tokens: beyond it nobody reads the cells; `attention_maps` takes more


class AttentionHeads(Explorer):
    """Small multiples of a layer's heads and the chosen one in full.

    Parameters
    ----------
    model : Model
        A local handle of `workbench.load`.
    prompt : str
        At most 64 tokens.
    layer, head : int
        Both from 1, as in `attribute`, `patching_grid` and the circuit.
    sink : bool
        Whether the first token's column is shown. False: it is left out and every row sums to one again.

    Attributes
    ----------
    answer : dict
        "tokens"; "heads": for each head of the layer a T x T list (query, key); "sinks": each head's mean weight on the
        first token; "far": how far back each head looks, in tokens; "layers", "head_count".
    """

    _esm, _css = front("explain/attention")
    asks = ("prompt", "layer", "head", "sink")
    stem = "attention"

    prompt = traitlets.Unicode("").tag(sync=True)
    layer = traitlets.Int(1).tag(sync=True)
    head = traitlets.Int(1).tag(sync=True)
    sink = traitlets.Bool(True).tag(sync=True)

    def __init__(self, model, prompt, *, layer=1, head=1, sink=True, large=True):
        super().__init__(model, prompt=prompt, layer=layer, head=head, sink=sink, large=large)
        if self.error:
            raise UsageError(self.error)

    def controls(self):
        depth = self.answer.get("layers", 1)
        return [
            Text("prompt", "Prompt", width=30), Slider("layer", "Layer", 1, depth),
            Check("sink", "Show the attention sink (first token)"),
        ]  # fmt: skip

    def compute(self):
        maps = self.once(("maps", self.prompt), self._maps)
        layers, heads = maps.weights.shape[:2]
        for name, value, least, most in (("layer", self.layer, 1, layers), ("head", self.head, 1, heads)):
            if not least <= value <= most:
                raise UsageError(f"there is no {name} {value}: those of {self.model.name} run from {least} to {most}")
        block = self.layer - 1
        weights = (maps.weights if self.sink else maps.without_sink())[block]
        return {
            "model": self.model.name,
            "tokens": maps.tokens,
            "layers": layers,
            "head_count": heads,
            "heads": weights.round(6).tolist(),
            "sinks": maps.sink[block].tolist(),
            "far": maps.distance()[block].tolist(),
        }

    def _maps(self):
        maps = paper.attention_maps(self.model, self.prompt)
        if len(maps.tokens) > LONGEST:
            raise UsageError(
                f"{len(maps.tokens)} tokens are more than the {LONGEST} this view shows: call attention_maps instead"
            )
        return maps

    def caption(self):
        sink = "" if self.sink else ", sink left out"
        return f"Attention of {self.model.name}, layer {self.layer}, head {self.head}{sink}"

    def rows(self):
        now = self.answer
        columns = ["query", *(f"{i} {visible(token)}" for i, token in enumerate(now["tokens"]))]
        return columns, [
            [f"{i} {visible(token)}", *(number(weight, 3) for weight in now["heads"][self.head - 1][i])]
            for i, token in enumerate(now["tokens"])
        ]

    def draw(self):
        now, count = self.answer, self.answer["head_count"]
        names = [visible(token) for token in now["tokens"]]
        with plots.style():
            picture = plots.Picture(figsize=(11.5, 4.8))
            picture.suptitle(self.caption(), fontsize=11)
            small, large = picture.subfigures(1, 2, width_ratios=(3, 2))
            for i, axis in enumerate(small.subplots(3, -(-count // 3), squeeze=False).ravel(), 1):
                axis.axis("off")
                if i <= count:
                    axis.imshow(now["heads"][i - 1], cmap="Blues", vmin=0, vmax=1)
                    style = {"fontsize": 9, "loc": "center", "fontweight": "bold" if i == self.head else "normal"}
                    axis.set_title(f"head {i}, sink {now['sinks'][i - 1]:.2f}", **style)
        sinks = "; ".join(f"head {i} {sink:.2f}" for i, sink in enumerate(now["sinks"], 1))
        picture.describe(f"{self.caption()}. Mean weight on the first token: {sinks}.")
        chosen = now["heads"][self.head - 1]
        title = f"head {self.head}"
        plots.grid(
            chosen, names, names, xlabel="looks at", ylabel="from", title=title, limits=(0, 1), axis=large.subplots()
        )
        return picture
