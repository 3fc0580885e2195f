"""The counterfactual editor: change a word of a prompt and see whether the answer flips; or let edits be searched.

No method of its own: the numbers are those of `compare_edit` and `counterfactuals`.
"""

import traitlets

from ... import plots
from ...errors import UsageError
from ...papers import explainability as paper
from ..base import Explorer, Text, front, number


class CounterfactualEditor(Explorer):
    """The prompt's words as fields; beside them the two answers before and after the edit.

    Parameters
    ----------
    model : Model
        A local handle of `workbench.load`.
    prompt : str
        The text to edit.
    target, foil : str
        The answer and its rival, with leading spaces; only the first token of each is read.
    candidates : optional
        As in `workbench.papers.explainability.counterfactuals`: which words may stand for which in the search.

    Attributes
    ----------
    edited : str
        The text as edited.
    suggestions : dict
        What the last search found: {"for", "edits": [[text, margin, whether it flips], …], "tried", "seconds"}.
    answer : dict
        "p_target", "p_foil", "margin" and "before_…" of each; "flipped"; "changes": [position, before, after] each.
    """

    _esm, _css = front("explain/edit")
    asks = ("prompt", "target", "foil", "edited")
    stem = "counterfactual"

    prompt = traitlets.Unicode("").tag(sync=True)
    target = traitlets.Unicode("").tag(sync=True)
    foil = traitlets.Unicode("").tag(sync=True)
    edited = traitlets.Unicode("").tag(sync=True)
    suggestions = traitlets.Dict().tag(sync=True)

    def __init__(self, model, prompt, target, foil, *, edited=None, candidates=None, large=True):
        self.candidates = candidates
        edited = prompt if edited is None else edited
        super().__init__(model, prompt=prompt, target=target, foil=foil, edited=edited, large=large)
        if self.error:
            raise UsageError(self.error)

    def controls(self):
        return [Text("prompt", "Prompt", width=24), Text("target", "Target", width=6), Text("foil", "Foil", width=6)]

    def new_text(self):
        self.edited = self.prompt

    def perform(self, command):
        """{"kind": "suggest"}: search."""
        if command.get("kind") == "suggest":
            self.suggest()

    def suggest(self):
        """Search for the smallest edits that flip the answer of the prompt as it was (seconds)."""
        found = paper.counterfactuals(self.model, self.prompt, self.target, self.foil, candidates=self.candidates)
        edits = found.edits or ([found.nearest] if found.nearest else [])  # none where no word could be exchanged
        self.suggestions = {
            "for": self.prompt,
            "edits": [[edit.edited, float(edit.margin), bool(edit.flipped)] for edit in edits],
            "tried": found.tried,
            "seconds": round(found.seconds, 1),
        }

    def compute(self):
        texts = (self.prompt, self.edited, self.target, self.foil)
        edit = self.once(texts, lambda: paper.compare_edit(self.model, *texts))
        return {
            "model": self.model.name,
            "before_target": float(edit.before_answer),
            "before_foil": float(edit.before_foil),
            "before_margin": float(edit.before_margin),
            "p_target": float(edit.p_answer),
            "p_foil": float(edit.p_foil),
            "margin": float(edit.margin),
            "flipped": bool(edit.flipped),
            "changes": [[str(part) for part in change] for change in edit.changes],
        }

    def caption(self):
        return f"“{self.edited}”: “{self.target}” or “{self.foil}”? ({self.model.name})"

    def rows(self):
        now = self.answer
        pairs = (
            (f"p({self.target})", now["before_target"], now["p_target"]),
            (f"p({self.foil})", now["before_foil"], now["p_foil"]),
            ("margin (log-odds)", now["before_margin"], now["margin"]),
        )
        return ["what", "before", "after"], [[name, number(before), number(after)] for name, before, after in pairs]

    def draw(self):
        now = self.answer
        pairs = {
            f"p({name})": [now[f"before_{key}"], now[f"p_{key}"]]
            for name, key in ((self.target, "target"), (self.foil, "foil"))
        }
        if len(pairs) == 1:  # target and foil are the same text
            return plots.empty("The target and the foil are the same: nothing can flip.")
        picture = plots.bars(
            pairs, [f"before: {self.prompt}", f"after: {self.edited}"], xlabel="probability",
            title="the answer flips" if now["flipped"] else "the answer stays",
        )  # fmt: skip
        for bar in picture.axes[0].patches:
            at = bar.get_y() + bar.get_height() / 2
            picture.axes[0].text(bar.get_width(), at, f" {bar.get_width():.3f}", va="center", fontsize=9)
        return picture
