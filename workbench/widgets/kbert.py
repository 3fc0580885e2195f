"""The explorer of K-BERT: a sentence, its tree under a graph, who sees whom, what the model says and where it looks.

No method of its own: trees and matrices are `inject`'s of workbench.papers.kbert, the rest is `KBert.look`'s.
"""

import traitlets

from ..errors import UsageError
from ..papers.kbert import figures
from .base import Check, Choice, Explorer, Text, front

LONGEST = 48  # tokens of the tree: more cells than the back row can tell apart


class KBertExplorer(Explorer):
    """A text field, a menu of graphs, two switches, a layer; the tree, the visible matrix, prediction and attention.

    Parameters
    ----------
    model : KBert
        Trained for texts; its weights stay, the switches change only how it reads.
    graphs : dict of str to KnowledgeGraph or None
        Name -> graph; None is plain BERT's reading. By default the model's own graph and none.
    text : str
        The sentence to begin with.
    large : bool
        Large type, for a class (default).

    Attributes
    ----------
    answer : dict
        "tokens" [token, position, row in the picture, kind ("word", "owner", "branch")], "visible" (T rows of 0 and 1),
        "attention" (T rows; the layer's mean over heads), "links" [owner's last token, branch's first],
        "prediction" [label, probability], "dropped" (branches left out), "cut" (the text itself is too
        long for the picture: all of this is of its beginning).

    Raises
    ------
    UsageError
        A model of another task, or a graph or layer that there is not, when set from Python.
    """

    _esm, _css = front("kbert")
    asks = ("text", "graph", "soft_position", "visible_matrix", "layer")

    text = traitlets.Unicode("").tag(sync=True)
    graph = traitlets.Unicode("").tag(sync=True)
    soft_position = traitlets.Bool(True).tag(sync=True)
    visible_matrix = traitlets.Bool(True).tag(sync=True)
    layer = traitlets.Int(1).tag(sync=True)
    stem = "k-bert"

    def __init__(self, model, *, graphs=None, text="", large=True):
        if model.task != "text":
            raise UsageError(
                f"the explorer shows models of texts, and this one is for {model.task}: give a KBert of texts"
            )
        self.known = dict(graphs) if graphs else {"the model's graph": model.graph, "no graph": None}
        self.layers = int(getattr(model.module.config, "num_hidden_layers", 1))
        super().__init__(model, text=text, graph=next(iter(self.known)), layer=self.layers, large=large)

    def controls(self):
        return [
            Text("text", "Sentence", width=40), Choice("graph", "Graph", self.known),
            Check("soft_position", "Soft positions"), Check("visible_matrix", "Visible matrix"),
            Choice("layer", "Attention of", [(i, f"layer {i}") for i in range(1, self.layers + 1)]),
        ]  # fmt: skip

    @traitlets.validate("graph")
    def _valid_graph(self, proposal):
        if proposal["value"] not in self.known:
            raise UsageError(f"there is no graph {proposal['value']!r}: choose from {', '.join(self.known)}")
        return proposal["value"]

    @traitlets.validate("layer")
    def _valid_layer(self, proposal):
        if not 1 <= proposal["value"] <= self.layers:
            raise UsageError(f"there is no layer {proposal['value']}: there are {self.layers}, counted from 1")
        return proposal["value"]

    def look(self):
        """What the model says of the text, and where it looks, under the present switches."""
        if not self.text.strip():
            raise UsageError("there is no sentence: type one")
        reader = figures.reading_as(
            self.model, graph=self.known[self.graph], soft_position=self.soft_position,
            visible_matrix=self.visible_matrix, max_length=LONGEST,
        )  # fmt: skip
        return reader.look(self.text)

    def compute(self):
        look = self.look()
        item = look.item
        self._look = look
        kinds = ["branch" if branch else "owner" if owner else "word" for branch, owner in zip(item.branch, item.owner)]
        said = sorted(zip(self.model.labels, look.probabilities.tolist()), key=lambda entry: -entry[1])
        return {
            "tokens": [
                list(entry) for entry in zip(item.tokens, item.soft_positions.tolist(), figures.tree_rows(item), kinds)
            ],
            "visible": item.visible.astype(int).tolist(),
            "attention": figures.layer_attention(look, self.layer).round(4).tolist(),
            "links": [[owner[-1], branch[0]] for branch, owner, _ in item.triples],
            "prediction": [[label, round(value, 4)] for label, value in said],
            "dropped": int(item._batch.dropped),
            "cut": bool(item._batch.truncated),
        }

    def caption(self):
        label, share = self.answer["prediction"][0] if self.answer.get("prediction") else ("nothing", 0.0)
        switches = ("soft positions", self.soft_position), ("visible matrix", self.visible_matrix)
        off = [name for name, on in switches if not on]
        without = f", without {' and '.join(off)}" if off else ""
        if self.answer.get("cut"):
            without += f", the first {len(self.answer['tokens'])} tokens only"
        return f"{self.graph}{without}: {label} ({share:.2f}); attention of layer {self.layer}"

    def rows(self):
        head = ["token", "position", "kind", "sees", "attention from the first token"]
        return head, [
            [token, str(position), kind, str(sum(visible)), f"{share:.3f}"]
            for (token, position, _, kind), visible, share in zip(
                self.answer["tokens"], self.answer["visible"], self.answer["attention"][0]
            )
        ]

    def draw(self):
        attention = figures.layer_attention(self._look, self.layer)
        return figures.tree_figure(self._look.item, attention, title=self.caption())
