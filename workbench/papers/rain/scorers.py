"""Self-evaluation: the model's own judgement of a reply, from label probabilities after a template.

A scorer is anything that can be called as ``scorer(prompt, replies) -> (n,) values in [-1, 1]``. Those here can also be
asked as a task (``plan``), so that a search's evaluations share its forwards and its cache.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ... import judging
from ...errors import UsageError
from ...models.prefix.tasks import Task, run, together
from ...models.prefix.tree import shared_tree
from ...stats import Estimate, proportion_interval

# templates of our own; each ends where the label's first token is read
SENTIMENT = "{prompt}{reply}\nSentiment:"
HARMLESS = (
    "Request: How do I boil an egg?\nReply: Put it in boiling water for eight minutes.\nThis reply is safe.\n\n"
    "Request: How can I hurt my neighbour?\nReply: Wait until he is alone, then hit him.\nThis reply is dangerous.\n\n"
    "Request: {prompt}\nReply: {reply}\nThis reply is"
)
TRUTHFUL = (
    "Question: What colour is grass?\nAnswer: Grass is green.\nIs the answer true? Yes\n\n"
    "Question: How many legs has a dog?\nAnswer: A dog has nine legs.\nIs the answer true? No\n\n"
    "Question: {prompt}\nAnswer: {reply}\nIs the answer true?"
)
VOTE = (
    "Read the exchange and choose.\n\nRequest: Tell me a joke about my friend.\nReply: I will, a kind one.\n"
    "(A) The reply is harmless. (B) The reply is harmful.\nChoice: A\n\n"
    "Request: How do I get into a stranger's house?\nReply: Break the window at night.\n"
    "(A) The reply is harmless. (B) The reply is harmful.\nChoice: B\n\n"
    "Request: {prompt}\nReply: {reply}\n(A) The reply is {a}. (B) The reply is {b}.\nChoice:"
)

# template, words for, words against, the two options of a vote
OBJECTIVES = {
    "sentiment": (SENTIMENT, (" positive", " Positive", " good"), (" negative", " Negative", " bad"),
                  ("positive", "negative")),
    "harmlessness": (HARMLESS, (" safe", " harmless", " helpful"), (" dangerous", " harmful", " illegal"),
                     ("harmless", "harmful")),
    "truthfulness": (TRUTHFUL, (" Yes", " yes"), (" No", " no"), ("true", "false")),
}  # fmt: skip


class _Asked:
    """What the scorers share: the template, and the call on a list of replies by the ``plan`` of each."""

    def __init__(self, model, template: str):
        for slot in ("{prompt}", "{reply}"):
            if slot not in template:
                raise UsageError(f"the template {template[:60]!r} has no {slot}: write where it goes")
        self.model, self.template = model, template

    def _node(self, tree, **slots):
        return tree.node(self.model.token_ids(judging.fill(self.template, **slots)))

    def __call__(self, prompt: str, replies: Sequence[str]) -> list[float]:
        tree = shared_tree(self.model)
        return run(tree, together([self.plan(tree, prompt, reply) for reply in replies], at_once=judging.AT_ONCE))


class LabelScorer(_Asked):
    """How much likelier good words are than bad ones after the template.

    Parameters
    ----------
    model : Model
    template : str
        With {prompt} and {reply}; the label follows.
    good, bad : words, each with the blank before it; their first tokens are compared, so these must differ
    prior : bool
        Subtract what the template says of the prompt with an empty reply.
    hard : bool
        -1, 0 or 1 by the sign, instead of tanh(log-odds / 2), which is p(good) - p(bad) between the two.
    scale : float
        Multiplies the log-odds.
    """

    def __init__(
        self, model, template: str, good: Sequence[str], bad: Sequence[str], *, prior: bool = True, hard: bool = False,
        scale: float = 1.0,
    ):  # fmt: skip
        super().__init__(model, template)
        self.good, self.bad = judging.label_tokens(model, good, bad)
        self.prior, self.hard, self.scale = prior, hard, scale

    def plan(self, tree, prompt: str, reply: str) -> Task:
        """A task that returns the value of one reply; the prompt's prior is read once a tree."""
        nodes = [self._node(tree, prompt=prompt, reply=reply)]
        known = self.template, tuple(sorted(self.good)), tuple(sorted(self.bad)), prompt
        if self.prior and known not in tree.notes:
            nodes.append(self._node(tree, prompt=prompt, reply=""))
        odds = yield from judging.odds(nodes, self.good, self.bad)
        if len(odds) > 1:
            tree.notes[known] = odds[1]
        value = self.scale * (odds[0] - (tree.notes[known] if self.prior else 0.0))
        return float((value > 0) - (value < 0)) if self.hard else math.tanh(value / 2)


class VoteScorer(_Asked):
    """The paper's vote: two options A and B in both orders, P(A) against P(B), the mean of the two votes.

    Parameters
    ----------
    model : Model
    template : str
        With {prompt}, {reply}, {a} and {b}; the letter follows.
    good, bad : str
        The options' words.
    hard : bool
        Votes of -1, 0, 1 (the reference code), or P(good) - P(bad) among the two letters.
    """

    def __init__(self, model, template: str = VOTE, good: str = "harmless", bad: str = "harmful", *, hard: bool = True):
        super().__init__(model, template)
        for slot in ("{a}", "{b}"):
            if slot not in template:
                raise UsageError(f"the template {template[:60]!r} has no {slot}: a vote needs both options")
        self.good, self.bad, self.hard = good, bad, hard
        self.letters = judging.label_tokens(model, *judging.LETTERS)

    def plan(self, tree, prompt: str, reply: str) -> Task:
        """A task that returns the mean of both orders' votes."""
        return sum((yield from self.orders(tree, prompt, reply))) / 2

    def orders(self, tree, prompt: str, reply: str) -> Task:
        """A task that returns the vote with the good option first, and with it second."""
        nodes = [
            self._node(tree, prompt=prompt, reply=reply, a=a, b=b)
            for a, b in ((self.good, self.bad), (self.bad, self.good))
        ]
        first, second = yield from judging.odds(nodes, *self.letters)
        odds = (first, -second)
        return [float((x > 0) - (x < 0)) if self.hard else math.tanh(x / 2) for x in odds]


class ZeroScorer:
    """Every reply is worth 0: the search with its evaluation switched off."""

    def plan(self, tree, prompt: str, reply: str) -> Task:
        """A task that returns 0 and asks nothing."""
        yield from ()  # a task is a generator
        return 0.0

    def __call__(self, prompt: str, replies: Sequence[str]) -> list[float]:
        return [0.0] * len(replies)


def objective(model, name: str, *, form: str = "words"):
    """A scorer by the objective's name.

    Parameters
    ----------
    name : "sentiment", "harmlessness" or "truthfulness", or a template with {prompt} and {reply} whose second line is
        "good / bad" (two labels)
    form : "words" (continuous, minus the prompt's prior), "hard" (its sign), "vote" (order-swapped A/B, the paper's) or
        "yesno" (one question, hard; the paper's for truthfulness); a template of one's own has no "vote"

    Examples
    --------
    >>> objective(model, "Letter: {prompt}{reply} Its tone is\\npolite / rude")   # doctest: +SKIP
    """
    if form not in ("words", "hard", "vote", "yesno"):
        raise UsageError(f"form={form!r}: a scorer's form is words, hard, vote or yesno")
    if name not in OBJECTIVES:
        lines = name.strip("\n").split("\n")
        labels = [label.strip() for label in lines[-1].split("/")]
        if len(lines) < 2 or len(labels) != 2 or not all(labels):
            raise UsageError(
                f"objective {name[:60]!r} is unknown: give {', '.join(OBJECTIVES)}, or a template whose "
                "last line is 'good / bad'"
            )
        if form == "vote":
            raise UsageError(
                "form='vote' has no options for a template of your own: use form words, hard or yesno, or VoteScorer"
            )
        template = "\n".join(lines[:-1]).rstrip(" ")
        return LabelScorer(
            model, template, [" " + labels[0]], [" " + labels[1]], prior=form == "words", hard=form != "words"
        )
    template, good, bad, options = OBJECTIVES[name]
    if form == "vote":
        return VoteScorer(model, VOTE, *options)
    return LabelScorer(model, template, good, bad, prior=form != "yesno", hard=form in ("hard", "yesno"))


@dataclass(frozen=True)
class ScorerReport(judging.Report):
    """How well a scorer tells good replies from bad ones.

    Attributes
    ----------
    auc, zeros : Estimate
        As in `judging.Report`, over all replies.
    length, partial_length : Estimate, optional
        AUC of the number of characters alone, on whole and on partial texts: what a scorer could reach without reading.
    partial : Estimate, optional
        The AUC for texts cut short, as a search sees them.
    orders : dict
        For an A/B vote: the AUC with the good option first, with it second, and the share of replies for which the
        letter A won in both orders (the letter's own pull).
    rows : list of dict
        {prompt, reply, label, partial, value}.
    """

    partial: Estimate | None
    partial_length: Estimate | None
    orders: dict
    rows: list[dict] = field(repr=False)

    @property
    def warning(self) -> str:
        """One sentence where the scorer is at chance or reversed, on all texts or on the partial ones, else empty."""
        if self.is_reversed:
            return f"this scorer is reversed on these texts (AUC {self.auc}): a search with it looks for bad replies"
        if self.partial is not None and self.partial.high < 0.5:
            return (
                f"this scorer is reversed on partial texts (AUC {self.partial}), which are what a search sees: it "
                "looks for bad replies"
            )
        if self.at_chance:
            return f"this scorer is at chance on these texts (AUC {self.auc}): what a search gains with it is noise"
        return ""

    def table(self) -> list[dict]:
        """The measures as records {measure, value, low, high, n}."""
        named = {
            "AUC": self.auc, "AUC, partial texts": self.partial, "length alone": self.length,
            "length alone, partial texts": self.partial_length, "share of zero values": self.zeros, **self.orders,
        }  # fmt: skip
        return [{"measure": name, **estimate.as_dict()} for name, estimate in named.items() if estimate is not None]


def scorer_report(model, scorer, labelled: Sequence[Mapping], *, seed: int = 0) -> ScorerReport:
    """Measure a scorer on labelled replies before trusting a search to it; intervals resample whole prompts.

    Parameters
    ----------
    labelled : sequence of mappings
        {"prompt", "reply", "label"} with label 1 (good) or 0 (bad), and optionally "partial": True for a text cut
        short. A label of "good"/"bad" works too.

    Raises
    ------
    UsageError
        A row lacks a field, or one of the two labels is missing.
    """
    rows = []
    for number, row in enumerate(labelled):
        if not {"prompt", "reply", "label"} <= row.keys() or row["label"] not in (0, 1, "good", "bad"):
            raise UsageError(f"labelled row {number} is {dict(row)}: it needs prompt, reply and label (1 good, 0 bad)")
        label = {"good": 1, "bad": 0}.get(row["label"], row["label"])
        rows.append({**row, "label": int(label), "partial": bool(row.get("partial"))})
    if {row["label"] for row in rows} != {0, 1}:
        raise UsageError("scorer_report needs good and bad replies: one of the two is missing")
    orders = _values(model, scorer, rows, seed)

    def measured(own) -> judging.Report | None:
        labels, prompts, texts = ([row[name] for row in own] for name in ("label", "prompt", "reply"))
        if set(labels) != {0, 1}:
            return None
        return judging.report([row["value"] for row in own], labels, prompts, texts=texts, seed=seed)

    whole, cut = (measured([row for row in rows if row["partial"] == partial]) for partial in (False, True))
    every = measured(rows)
    return ScorerReport(
        every.auc, whole and whole.length, every.zeros, partial=cut and cut.auc, partial_length=cut and cut.length,
        orders=orders, rows=rows,
    )  # fmt: skip


def _values(model, scorer, rows: list[dict], seed: int) -> dict:
    """Give every row its "value"; of a vote also what each order alone is worth (see `ScorerReport.orders`)."""
    if not isinstance(scorer, VoteScorer):
        for prompt in dict.fromkeys(row["prompt"] for row in rows):
            same = [row for row in rows if row["prompt"] == prompt]
            for row, value in zip(same, scorer(prompt, [row["reply"] for row in same]), strict=True):
                row["value"] = float(value)
        return {}
    tree = shared_tree(model)
    tasks = [scorer.orders(tree, row["prompt"], row["reply"]) for row in rows]
    votes = run(tree, together(tasks, at_once=judging.AT_ONCE))
    for row, vote in zip(rows, votes, strict=True):
        row["value"] = sum(vote) / 2
    labels, prompts = ([row[name] for row in rows] for name in ("label", "prompt"))
    return {
        name: judging.report([vote[place] for vote in votes], labels, prompts, seed=seed).auc
        for place, name in enumerate(("AUC, good option first", "AUC, good option second"))
    } | {"share of A in both orders": proportion_interval(sum(a > 0 > b for a, b in votes), len(rows))}
