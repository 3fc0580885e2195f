"""The explorer of RAIN: one search, simulation by simulation, with every node's text and evaluation.

No method of its own: the search is `workbench.papers.rain.rain`.
"""

import traitlets

from ..errors import UsageError
from ..papers import rain
from ..papers.rain import figures
from .base import Explorer, front

BUDGETS = (2, 4, 6, 12, 25, 50)
LONGEST = 4000  # characters of a prompt in the editor: a slip of the clipboard should not start an hour's work


class RainExplorer(Explorer):
    """Step through a search: values, visits, committed text; click a node for its text and its evaluation.

    Parameters
    ----------
    model : Model
        A handle of `workbench.load` in this process (torch or llama.cpp).
    scorer : callable
        ``scorer(prompt, replies) -> values in [-1, 1]``, for instance `workbench.papers.rain.objective`.
    prompt : str
        The prompt to begin with.
    settings : RainSettings
        Of the search; its ``budget`` is where the widget's stands first.
    results : sequence of RainResult
        Searches already made with these settings: their prompts are offered and cost nothing to look at.
    large : bool
        Large type, for a class (default).
    **options
        Further keywords of `workbench.papers.rain.rain`, such as ``seed`` or ``chat``.

    Attributes
    ----------
    answer : dict
        "search" (`RainResult.as_dict`), "question", "error".

    Raises
    ------
    UsageError
        An empty or overlong prompt, or a budget outside 1 to 50; on the page the same sentence is shown.
    """

    _esm, _css = front("rain")
    asks = ("prompt", "budget")

    prompt = traitlets.Unicode("").tag(sync=True)
    budget = traitlets.Int(12).tag(sync=True)
    budgets = traitlets.List(list(BUDGETS), read_only=True).tag(sync=True)
    examples = traitlets.List().tag(sync=True)
    stem = "rain"

    def __init__(self, model, scorer, prompt=None, *, settings=None, results=(), large=True, **options):
        self.scorer, self.options = scorer, options
        self.settings = settings or rain.RainSettings.embedded()
        budget = self.settings.budget or BUDGETS[-1]
        self._made = {(result.prompt, budget): result.as_dict() for result in results}
        examples = list(dict.fromkeys(result.prompt for result in results))
        if prompt is None:
            prompt = examples[0] if examples else "Review: This movie was"
        super().__init__(model, prompt=prompt, budget=budget, examples=examples, large=large)

    @traitlets.validate("prompt")
    def _valid_prompt(self, proposal):
        return proposal["value"][: LONGEST + 1]

    def compute(self):
        if not self.prompt.strip():
            raise UsageError("the prompt is empty: write what the model is asked, or how its text begins")
        if len(self.prompt) > LONGEST:
            raise UsageError(
                f"the prompt is longer than {LONGEST} characters: call workbench.papers.rain.rain for such"
            )
        if not 1 <= self.budget <= BUDGETS[-1]:
            raise UsageError(f"there is no budget {self.budget}: give 1 to {BUDGETS[-1]} searches a move")
        key = (self.prompt, self.budget)
        return {"model": self.model.name, "search": self._made.get(key) or self.once(key, self._search)}

    def _search(self) -> dict:
        settings = self.settings.with_(budget=self.budget)
        (result,) = rain.rain(self.model, [self.prompt], scorer=self.scorer, settings=settings, **self.options)
        return result.as_dict()

    def caption(self):
        search = self.answer.get("search")
        if not search:
            return "a RAIN search"
        made = len(search["searches"])
        return f"{self.model.name}: RAIN's first move on “{self.prompt[:60]}” ({made} simulations in all)"

    def rows(self):
        search = self.answer["search"]
        columns = ["move", "committed", "value", "visits", "searches"]
        moves = enumerate(search["moves"], 1)
        return columns, [
            [str(k), m["text"], f"{m['value']:.2f}", f"{m['visits']:.2f}", str(m["searches"])] for k, m in moves
        ]

    def draw(self):
        return figures.draw_tree(self.answer["search"], 0)
