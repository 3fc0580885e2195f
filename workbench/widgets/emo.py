"""The explorer of EMO: one context, the cost of each wrong token, and the pull of cross-entropy and EMO on its logit.

No method of its own: the numbers are those of `workbench.papers.emo.pull`.
"""

import traitlets

from ..errors import UsageError
from ..papers import emo
from .base import Choice, Explorer, Slider


class EMOExplorer(Explorer):
    """Sliders over contexts and temperature, a menu of variants; costs and pulls as a figure and as a table.

    Parameters
    ----------
    model : Model
        A local handle of `workbench.load`.
    contexts : sequence of str
        Texts with a bar before the token that comes ("The sky is| blue").
    variant : str
        A name in `workbench.papers.emo.VARIANTS`.
    large : bool
        Large type, for a class (default).

    Attributes
    ----------
    answer : dict
        "rows": [token, p, cost, pull of cross-entropy, pull of EMO] for the target (first) and the likeliest others.

    Raises
    ------
    UsageError
        An unknown context or variant, when set from Python; on the page the sentence is shown.
    """

    asks = ("context", "temperature", "variant")
    stem = "emo"

    context = traitlets.Int(0).tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    variant = traitlets.Unicode("emo1_adaptive").tag(sync=True)
    contexts = traitlets.List()

    def __init__(self, model, *, contexts=emo.CONTEXTS, variant="emo1_adaptive", large=True):
        if not contexts:
            raise UsageError("contexts is empty: give at least one text with a bar before the token that comes")
        super().__init__(model, contexts=list(contexts), variant=variant, large=large)

    def controls(self):
        contexts = [text.replace("|", " →") for text in self.contexts]
        return [
            Slider("context", "Context", 0, len(contexts) - 1, words=contexts),
            Slider("temperature", "Temperature", 0.2, 2, step=0.1),
            Choice("variant", "Variant", emo.VARIANTS),
        ]

    @traitlets.validate("variant")
    def _valid_variant(self, proposal):
        emo.variant(proposal["value"])  # raises one sentence
        return proposal["value"]

    @traitlets.validate("context")
    def _valid_context(self, proposal):
        if not 0 <= proposal["value"] < max(1, len(self.contexts)):
            raise UsageError(f"there is no context {proposal['value']}: there are {len(self.contexts)}, counted from 0")
        return proposal["value"]

    def compute(self):
        table = emo.pull(
            self.model, self.contexts[self.context], variant=self.variant, temperature=self.temperature, top=10
        )
        return {"model": self.model.name, "rows": table.values.tolist()}

    def caption(self):
        text = self.contexts[self.context].replace("|", " →")
        return f"{text} (T = {self.temperature:g}, {self.variant})"

    def rows(self):
        columns = ["token", "p", "cost", "pull of cross-entropy", "pull of EMO"]
        return columns, [[row[0], *(f"{value:.4f}" for value in row[1:])] for row in self.answer["rows"]]

    def draw(self):
        import pandas as pd

        table = pd.DataFrame(self.answer["rows"], columns=["token", "p", "cost", "ce", "emo"])
        return emo.pull_figure(table, self.caption())
