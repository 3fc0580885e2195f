"""Attribution for a model on a server: word by word, from log-probabilities where it gives them, else by counting.

A server keeps its tokenizer and its weights, so the players are words and the methods are the ones that only remove:
occlusion and Shapley values (`perturbation`, the same code as for local models, over another game). The quantity is

- "log_probability" of the target behind the perturbed prompt, where the server scores given texts; or
- "probability" that the answer begins with the target, counted over samples at temperature 1. Counting is noisy: every
  score has an interval, and one that holds 0 says nothing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ....errors import ModelError, UsageError
from ....models.base import require
from ....stats import Estimate, proportion_interval
from ..settings import REMOVALS, get_method
from .perturbation import exact_shapley, occlusion, permutation_shapley, permutations

METHODS_SERVED = ("occlusion", "occlusion_delete", "shapley")
FILLER = "_"  # what a removed word becomes
REDRAWN = 400  # parametric bootstrap: how often the counts are drawn again


@dataclass(frozen=True, eq=False)
class ServedAttribution:
    """One score a word.

    Attributes
    ----------
    method, prompt, target : str
    words : list of str
        The prompt's words, each with the space before it.
    scores : (n,) float64
        What the quantity loses without the word (occlusion), or the word's mean contribution (Shapley).
    low, high : (n,) float64 or None
        95 % intervals of counting; None where the server's log-probabilities were used.
    value, baseline : Estimate
        The quantity at the whole prompt, and with every word removed.
    quantity : str
        "log_probability" or "probability".
    prompts, samples, seed : int
        Distinct prompts asked; samples of each (0: none were needed).
    """

    method: str
    prompt: str
    target: str
    words: list[str]
    scores: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    value: Estimate
    baseline: Estimate
    quantity: str
    prompts: int
    samples: int
    seed: int

    def to_frame(self):
        """A pandas DataFrame, a row a word: word, score, and with counting low, high and whether 0 is outside."""
        import pandas as pd

        frame = pd.DataFrame({"word": self.words, "score": self.scores})
        if self.low is not None:
            frame = frame.assign(low=self.low, high=self.high, told_from_0=(self.low > 0) | (self.high < 0))
        return frame


class ServedGame:
    """The game of a prompt's words: coalition -> the quantity. It remembers what it was asked, by perturbed prompt."""

    def __init__(self, words: list[str], removal: str, ask: Callable[[list[str]], np.ndarray]):
        self.words, self.removal, self.ask = words, removal, ask
        self.free = list(range(len(words)))
        self.known: dict[str, float] = {}

    def of(self, stays) -> np.ndarray:
        """Values of coalitions, (M, P) bool -> (M,); all new prompts of a call are asked for together."""
        texts = [self.text(row) for row in np.atleast_2d(stays)]
        new = sorted(set(texts) - self.known.keys())
        if new:
            self.known.update(zip(new, self.ask(new), strict=True))
        return np.array([self.known[text] for text in texts], dtype=float)

    def text(self, stays) -> str:
        """The prompt without the words that do not stay."""
        if self.removal == "delete":
            return "".join(word for word, stay in zip(self.words, stays) if stay).lstrip()
        return "".join(word if stay else _filled(word) for word, stay in zip(self.words, stays))


def attribute_served(
    model,
    prompt: str,
    target: str,
    *,
    method: str = "occlusion",
    samples: int = 30,
    orders: int = 4,
    removal: str = "replace",
    seed: int = 0,
    most: int = 3000,
) -> ServedAttribution:
    """Which words of a prompt speak for an answer, for a model that can only "generate" or "score".

    Parameters
    ----------
    model : Model
        A handle of ``load("openai:NAME", base_url=…)``; any other works too.
    prompt, target : str
        A target that begins with a space goes on with the text; one without may end a word.
    method : {"occlusion", "occlusion_delete", "shapley"}
    samples : int
        Counted samples a perturbed prompt; not used where the model scores given texts.
    orders : int
        Shapley: random orders of joining, in reversed pairs; exact where that asks for no more prompts.
    removal : {"replace", "delete"}
        A removed word becomes an underscore, or goes.
    seed : int
        Of the orders and the samples.
    most : int
        The most requests this call may make.

    Raises
    ------
    UsageError
        Another method, an empty prompt or target, more requests than ``most``.
    ModelError
        The model can neither score nor generate; or one of the server's faults.
    """
    info = get_method(method)
    if method not in METHODS_SERVED:
        raise UsageError(
            f"{info.title} needs more than a server gives ({info.needs} of the weights): use "
            f"{', '.join(METHODS_SERVED)} there, or a local model"
        )
    if removal not in REMOVALS:
        raise UsageError(f"removal={removal!r} is unknown: choose one of {', '.join(REMOVALS)}")
    words = re.findall(r"\s*\S+", prompt)
    if not words or not target.strip():
        raise UsageError("the prompt and the target need at least one word each")
    if samples < 1 or orders < 1:
        raise UsageError(f"samples={samples} and orders={orders}: give at least 1 of each")
    removal = "delete" if method == "occlusion_delete" else removal
    if removal == "delete" and (method == "shapley" or len(words) == 1):
        raise UsageError("a coalition deletes every word of the prompt: use removal='replace'")
    scored = "scores" in model.can
    if not scored:
        require(model, "generate", for_="counting answers")
    count, n = len(words), 1 if scored else samples
    exact = method == "shapley" and 2**count <= orders * max(1, count - 1) + 2
    prompts = count + 2 if method != "shapley" else 2**count if exact else orders * max(1, count - 1) + 2
    if prompts * n > most:
        raise UsageError(
            f"{prompts} prompts with {n} samples each are {prompts * n:,} requests, more than most={most:,}: take a "
            "shorter prompt, fewer samples or orders, or raise most"
        )
    counts: dict[str, int] = {}

    def ask(texts: list[str]) -> np.ndarray:
        if scored:
            return np.array([one.total for (one,) in model.logprobs(texts, [[target]] * len(texts))])
        for text, hits in zip(texts, _count(model, texts, target, n, seed), strict=True):
            counts[text] = hits
        return np.array([counts[text] / n for text in texts])

    game = ServedGame(words, removal, ask)
    joined = None if exact or method != "shapley" else permutations(count, orders, seed)

    def scores_of(game) -> np.ndarray:
        if method != "shapley":
            return occlusion(game)
        return exact_shapley(game) if joined is None else permutation_shapley(game, joined)

    scores = scores_of(game)
    ends = [game.text([stay] * count) for stay in (True, False)]
    game.of([[True] * count] if removal == "delete" else [[True] * count, [False] * count])
    low = high = None
    if not scored:
        low, high = _intervals(game, counts, n, scores_of, seed)
    value, baseline = (_estimate(game, counts, text, n) for text in ends)
    return ServedAttribution(
        method, prompt, target, words, scores, low, high, value, baseline,
        "log_probability" if scored else "probability", len(game.known), 0 if scored else n, seed,
    )  # fmt: skip


def _count(model, texts: list[str], target: str, n: int, seed: int) -> list[int]:
    """How many of ``n`` sampled answers to each text begin with the target, the space before it aside."""
    wanted = target.strip()
    tokens = len(wanted) // 2 + 2  # a token has two characters at least, mostly; more tokens only cost
    chat = not getattr(model, "raw_text", True)
    answers = model.generate(texts, max_new_tokens=tokens, temperature=1.0, n=n, seed=seed, chat=chat)
    return [sum(one.text.lstrip().startswith(wanted) for one in some) for some in answers]


def _intervals(game: ServedGame, counts: dict[str, int], n: int, scores_of, seed: int):
    """95 % intervals of the scores: all counts drawn again from Binomial(n, p), p with two added hits and misses."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(REDRAWN):
        again = ServedGame(game.words, game.removal, _refuse)
        again.known = {text: rng.binomial(n, (hits + 2) / (n + 4)) / n for text, hits in counts.items()}
        drawn.append(scores_of(again))
    # around the scores that were found: the added hits and misses are for the spread alone
    centre = np.median(drawn, axis=0)
    scores = scores_of(game)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return scores + (low - centre), scores + (high - centre)


def _estimate(game: ServedGame, counts: dict[str, int], text: str, n: int) -> Estimate:
    if text not in game.known:
        return Estimate(float("nan"))  # a prompt without a word cannot be asked
    return proportion_interval(counts[text], n) if counts else Estimate(game.known[text])


def _filled(word: str) -> str:
    return word[: len(word) - len(word.lstrip())] + FILLER


def _refuse(texts):
    raise ModelError(f"{len(texts)} prompts were never asked")
