"""Exact log-probabilities from a server that only writes: a token is forced, and its own log-probability is told.

A large bias makes a token certain to be drawn; the log-probability that comes with it is of the model's distribution
*before* the bias (llama.cpp, vLLM). Whether a server does that is tried (`models.remote.abilities`), never assumed. A
grammar or an echo will not do: a grammar lets the server choose the tokens, and llama.cpp ignores echo.

The probability of a whole set of tokens takes two questions: with all of the set lifted by the same bias nothing else
is left, so the probability *after* the bias of its likeliest token w is p(w) / p(set); the first tells p(w).
"""

import math
from collections.abc import Callable, Sequence

from ..errors import ModelError

LIFT = 100.0  # the most that OpenAI's protocol allows; no two logits that matter are so far apart, and it is checked
TOP, SOME = 64, 1024  # tokens told with an answer: the first costs nothing beside the forward


class Forced:
    """Questions about next tokens.

    Parameters
    ----------
    ask
        list of (token ids, fields) -> list of (token drawn, {token: log-probability}, {token: probability after the
        biases}) in order. One token is drawn each, the likeliest. Fields: "bias",
        tokens to lift; "top", so many of the likeliest are told beside the one drawn; "post", the third is told and not
        the second. The drawn token is None where the server tells nothing of it, as llama.cpp of half a character.
    name
        The model's, for errors.
    anchor
        A token that is a whole text by itself: told of wherever it is forced.
    size
        Tokens of the vocabulary.
    """

    def __init__(self, ask: Callable[[list[tuple[list[int], dict]]], list], name: str, anchor: int, size: int):
        self.ask, self.name, self.anchor, self.size = ask, name, anchor, size

    def score(self, texts: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
        """Natural log-probabilities of every token of a continuation behind a prefix, for each (prefix, continuation).

        The questions come prefix by prefix, so a server that keeps its last text reads nothing twice.
        """
        asked = [([*prefix, *text[:place]], token) for prefix, text in texts for place, token in enumerate(text)]
        values = iter(self._forced(asked))
        return [[next(values) for _ in text] for _, text in texts]

    def score_next(self, ids: list[int], tokens: Sequence[int]) -> list[float]:
        """Natural log-probabilities of single next tokens after one prefix."""
        return self._forced([(ids, token) for token in tokens])

    def _forced(self, asked: list[tuple[list[int], int]]) -> list[float]:
        found = []
        questions = [(ids, {"bias": [token]}) for ids, token in asked]
        for (ids, wanted), (token, known, _) in zip(asked, self.ask(questions), strict=True):
            if token is None:
                found.append(self._among_all(ids, wanted))
            elif token == wanted and token in known:
                found.append(known[token])
            else:
                raise ModelError(
                    f"{self.name} drew token {token} where {wanted} was forced, after {len(ids)} tokens: its "
                    "log-probabilities cannot be had this way"
                )
        return found

    def _among_all(self, ids: list[int], token: int) -> float:
        for count in (SOME, self.size):
            (known,) = self.top([ids], count)
            if token in known:
                return known[token]
        raise ModelError(f"{self.name} tells nothing of token {token} among all {self.size}: score another text")

    def top(self, prompts: Sequence[list[int]], count: int = TOP) -> list[dict[int, float]]:
        """The ``count`` likeliest next tokens after each prompt, and the anchor: token -> natural log-probability."""
        questions = [(ids, {"bias": [self.anchor], "top": count}) for ids in prompts]
        return [known for _, known, _ in self.ask(questions)]

    def weigh(self, prompts: Sequence[list[int]], sets: Sequence[Sequence[int]]) -> list[list[float]]:
        """Natural log of the probability of each of ``sets`` (token ids) as the next token after each prompt."""
        sets = [sorted(set(tokens)) for tokens in sets]
        masses: dict[tuple, list[float]] = {}
        # in the order of a walk down their tree: what a prompt shares with the one before it is not read again, and
        # the engine remembers that one alone (asked for by length, twice as many tokens are read)
        for ids in sorted({tuple(ids) for ids in prompts}):
            (known,) = self.top([list(ids)])
            masses[ids] = [self._mass(list(ids), tokens, known) for tokens in sets]
        return [list(masses[tuple(ids)]) for ids in prompts]

    def _mass(self, ids: list[int], tokens: list[int], known: dict[int, float]) -> float:
        if not tokens:
            return -math.inf
        if all(token in known for token in tokens):
            return log_sum([known[token] for token in tokens])
        if len(tokens) == 1:
            return self._forced([(ids, tokens[0])])[0]
        ((drawn, _, after),) = self.ask([(ids, {"bias": tokens, "post": True})])
        if drawn is None:
            return log_sum([self._among_all(ids, token) for token in tokens])
        likeliest, share = max(after.items(), key=lambda item: item[1])
        if likeliest not in tokens or not share > 0:
            raise ModelError(f"{self.name} gave token {likeliest}, which is none of those lifted: a fault of its own")
        own = known[likeliest] if likeliest in known else self._forced([(ids, likeliest)])[0]
        return own - math.log(share)


def log_sum(values: Sequence[float]) -> float:
    """log of the sum of exp(values)."""
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
