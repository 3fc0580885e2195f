"""A language model as a judge: labels after a prompt, two texts in turn, numbers it writes; and how good a judge it is.

- `label_log_odds`: how much likelier good words are than bad ones as the next token, perhaps less a prior.
- `pairwise`: which of two texts the model chooses, asked in both orders, since many models prefer a letter or a place.
- `rating`: a number that the model writes, read by a function of the caller's; what could not be read is nan.
- `report`: the judge on labelled texts: AUC with an interval by groups, and what the texts' length alone would give.

The first two are also tasks (`odds`), so that a search can ask them in the forwards that it makes anyway.
"""

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import UsageError
from .models.forced import log_sum
from .models.prefix.tasks import Task, Weigh, run, together
from .models.prefix.tree import require_tree, shared_tree
from .stats import Estimate, auroc_of, proportion_interval

PAIR = "Read two answers and choose the better one.\n\n(A) {a}\n\n(B) {b}\n\nChoice:"
LETTERS = (" A", " B")
AT_ONCE = 32  # questions under way at a time: their texts share forwards


def label_token(model, label: str) -> int:
    """The first token of a label where it follows a text: SentencePiece puts a blank before what begins a text.

    Raises
    ------
    UsageError
        The label has no token.
    """
    ids, before, both = (model.token_ids(text, start=False) for text in (label, ":", ":" + label))
    if not ids:
        raise UsageError(f"the label {label!r} has no token: write a word, with the blank before it")
    follows = len(both) > len(before) and list(both[: len(before)]) == list(before)
    return both[len(before)] if follows else ids[0]


def label_tokens(model, good: str | Sequence[str], bad: str | Sequence[str]) -> tuple[set[int], set[int]]:
    """The first tokens of good and of bad labels, which must differ.

    Raises
    ------
    UsageError
        One of the two is empty, a label has no token, or a good and a bad label begin with the same one.
    """
    good, bad = ([words] if isinstance(words, str) else list(words) for words in (good, bad))
    if not good or not bad:
        raise UsageError("a scorer needs at least one good and one bad label: write them as lists of words")
    found = tuple({label_token(model, word) for word in words} for words in (good, bad))
    if found[0] & found[1]:
        raise UsageError(f"the labels {good} and {bad} begin with the same token: choose words that begin differently")
    return found


def odds(nodes: Sequence, good: Iterable[int], bad: Iterable[int]) -> Task:
    """A task (`models.prefix.tasks`): after each node, log of the mass of the tokens ``good`` over that of ``bad``."""
    good, bad = sorted(good), sorted(bad)
    found = yield [Weigh(node, (*good, *bad)) for node in nodes]
    return [log_sum(values[: len(good)]) - log_sum(values[len(good) :]) for values in found]


def label_log_odds(
    model, prompts: Sequence, good: str | Sequence[str], bad: str | Sequence[str], prior: Sequence | None = None
) -> np.ndarray:
    """How much likelier the good labels are than the bad ones as the next token after each prompt.

    Parameters
    ----------
    model : Model
        A local one, in torch or in llama.cpp.
    prompts : list of N texts, token ids or conversations
    good, bad : words, each with the blank before it; their first tokens are weighed
    prior : list of N prompts, optional
        What is asked without the text that is judged; its log-odds are subtracted.

    Returns
    -------
    (N,) float64
        log(sum of p over ``good`` / sum of p over ``bad``), nats.

    Raises
    ------
    UsageError
        As `label_tokens`; another number of priors than of prompts.
    """
    if prior is not None and len(prior) != len(prompts):
        raise UsageError(f"there are {len(prompts)} prompts and {len(prior)} priors: give one prior a prompt")
    tokens = label_tokens(model, good, bad)
    found = _asked(model, [*prompts, *(prior or ())], *tokens)
    return found if prior is None else found[: len(prompts)] - found[len(prompts) :]


def pairwise(
    model, a: Sequence[str], b: Sequence[str], both_orders: bool = True, *, template: str = PAIR
) -> np.ndarray:
    """Which of two texts the model chooses.

    Parameters
    ----------
    a, b : lists of N texts
    both_orders : bool
        Ask once more with the two exchanged: what a place or a letter adds to one order it takes from the other.
    template : str
        With {a} and {b}, the first and the second text; the letter A or B follows.

    Returns
    -------
    (N, 2) float64, or (N, 1)
        Log-odds for ``a``, with ``a`` first and with ``a`` second. Their mean is the verdict, half of their difference
        is what the place adds.

    Raises
    ------
    UsageError
        Lists of different length, a template without a slot, a tokenizer for which the letters begin alike.
    """
    if len(a) != len(b):
        raise UsageError(f"there are {len(a)} and {len(b)} texts: pairwise compares pairs, so give as many of each")
    if "{a}" not in template or "{b}" not in template:
        raise UsageError(f"the template {template[:60]!r} lacks {{a}} or {{b}}: a comparison needs both texts")
    orders = ((a, b), (b, a)) if both_orders else ((a, b),)
    texts = [fill(template, a=x, b=y) for first, second in orders for x, y in zip(first, second)]
    found = _asked(model, texts, *label_tokens(model, *LETTERS)).reshape(len(orders), len(a))  # (orders, N)
    return (found * np.array([1, -1])[: len(orders), None]).T


def rating(model, prompts: Sequence, parse: Callable[[str], float | None], *, max_new_tokens: int = 8) -> np.ndarray:
    """The number that the model writes after each prompt (greedy).

    Parameters
    ----------
    parse : callable
        The model's text -> its number, or None where it holds none.

    Returns
    -------
    (N,) float64
        nan where no number could be read: count them (``np.isnan``) beside every mean.
    """
    written = model.generate(prompts, max_new_tokens=max_new_tokens)
    values = [parse(samples[0].text) for samples in written]
    return np.array([math.nan if value is None else value for value in values], dtype=float)


@dataclass(frozen=True)
class Report:
    """How well scores tell good texts from bad ones.

    Attributes
    ----------
    auc : Estimate
        How often a good text scores above a bad one (.5 is chance).
    length : Estimate, optional
        The same for the number of characters alone: what a judge could reach without reading.
    zeros : Estimate
        Share of scores that are exactly 0.
    """

    auc: Estimate
    length: Estimate | None
    zeros: Estimate

    @property
    def at_chance(self) -> bool:
        """Whether the AUC's interval holds .5: what follows these scores follows noise."""
        return self.auc.low <= 0.5 <= self.auc.high

    @property
    def is_reversed(self) -> bool:
        """Whether the AUC's interval lies below .5: the judge prefers the bad texts."""
        return self.auc.high < 0.5


def report(
    scores: Sequence[float], labels: Sequence[int], groups: Sequence[Hashable] | None = None, *,
    texts: Sequence[str] | None = None, seed: int = 0,
) -> Report:  # fmt: skip
    """Measure a judge on labelled texts before trusting it.

    Parameters
    ----------
    scores : N numbers, higher is better
    labels : N times 1 (good) or 0 (bad)
    groups : N names, optional
        Scores of one group (replies to one prompt) are no independent draws: the intervals resample whole groups.
    texts : N texts, optional
        What was judged, for the row "length alone".

    Raises
    ------
    UsageError
        One of the two labels is missing.
    """
    good = np.asarray(labels) == 1
    if good.all() or not good.any():
        raise UsageError("a report on a judge needs good and bad texts: one of the two is missing")

    zeros = proportion_interval(int((np.asarray(scores) == 0).sum()), len(good))
    length = None if texts is None else auroc_of(list(map(len, texts)), labels, groups, seed=seed)
    return Report(auroc_of(scores, labels, groups, seed=seed), length, zeros)


def fill(template: str, **slots: str) -> str:
    """``template`` with its {slots} filled; unlike str.format it leaves all other braces as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: slots.get(found[1], found[0]), template)


def _asked(model, prompts: Sequence, good: set[int], bad: set[int]) -> np.ndarray:
    """`odds` after every prompt, AT_ONCE of them in a forward: (N,) float64."""
    require_tree(model, for_="label log-odds")
    tree = shared_tree(model)
    tasks = [odds([tree.node(model.prompt_ids(prompt))], good, bad) for prompt in prompts]
    return np.array([one for (one,) in run(tree, together(tasks, at_once=AT_ONCE))], dtype=float)
