"""Many small questions to a `PrefixTree`, asked in lock-step.

A **task** is a generator that yields lists of questions and is sent the list of answers; what it returns is its result.
`together` makes one task of many: in each round it gathers what all of them ask, so that a `serve` answers every task's
questions with one forward. Chains of samples, evaluations and whole searches over independent prompts are all tasks.

Randomness comes in with the question (a uniform number), so it depends neither on the order of the questions nor on
what the tree remembers.
"""

import math
import time
from collections.abc import Generator, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...errors import ModelError
from ..forced import TOP
from ..forward import check_length, logits_at
from .served import ServedTree, Told
from .tree import Node, PrefixTree

Task = Generator[list, list, Any]


@dataclass(frozen=True, eq=False)
class Draw:
    """The next token after ``node``: the answer is (token, its probability among the kept tokens).

    ``uniform`` in [0, 1) decides the draw from the ``top_k`` most probable tokens (0: all) at ``temperature``; None
    takes the most probable token. Temperature and top_k also define the probability that is returned.

    Among few tokens the cumulative distribution is inverted. Over the whole vocabulary that would not be repeatable: a
    rounding error in the logits shifts every later boundary, and there are as many boundaries as tokens. There the
    tokens run a race instead (`race`), which comes out differently only if the two fastest were as good as level.
    """

    node: Node
    uniform: float | None
    temperature: float = 1.0
    top_k: int = 0

    @property
    def key(self) -> Hashable:
        return Draw, self.temperature, self.top_k

    @property
    def likeliest(self) -> int:
        """How many of the likeliest tokens an engine is asked for."""
        return self.top_k or TOP

    def told(self, known: Told) -> tuple[int, float]:
        """The answer from an engine's likeliest tokens: the cumulative distribution is inverted from the likeliest on,
        and more is asked for where the uniform number falls beyond those known."""
        if self.top_k or self.temperature != 1.0:
            while len(known.known) < (self.top_k or known.tree.vocabulary) and known.more():
                pass
            ranked = known.ranked(self.top_k or known.tree.vocabulary)
            chances = np.exp((np.array([value for _, value in ranked]) - ranked[0][1]) / self.temperature)
            chances /= chances.sum()
            place = 0 if self.uniform is None else int(np.searchsorted(chances.cumsum(), self.uniform, side="right"))
            place = min(place, len(ranked) - 1)
            return ranked[place][0], float(chances[place])
        while True:
            ranked = known.ranked(len(known.known))
            below = np.cumsum(np.exp([value for _, value in ranked]))
            if self.uniform is None or self.uniform < below[-1] or not known.more():
                break
        place = 0 if self.uniform is None else int(np.searchsorted(below, self.uniform, side="right"))
        token, value = ranked[min(place, len(ranked) - 1)]
        return token, math.exp(value)

    @staticmethod
    def answer(questions: "Sequence[Draw]", logits: torch.Tensor) -> list[tuple[int, float]]:
        """(R, V) logits -> R answers."""
        scaled = logits / questions[0].temperature
        k = questions[0].top_k
        drawn = [place for place, question in enumerate(questions) if question.uniform is not None]
        uniforms = torch.tensor(
            [questions[place].uniform for place in drawn], dtype=torch.float64, device=logits.device
        )
        if 0 < k < scaled.shape[-1]:
            ids = scaled.topk(k, dim=-1).indices.sort(dim=-1).values  # token order: ties of probability cannot swap
            scaled = scaled.gather(-1, ids)
            places = scaled.argmax(dim=-1)
            if drawn:
                cdf = scaled[drawn].double().softmax(dim=-1).cumsum(dim=-1)
                found = torch.searchsorted(cdf, uniforms[:, None] * cdf[:, -1:], right=True)[:, 0]
                places[drawn] = found.clamp(max=k - 1)
            tokens = ids.gather(-1, places[:, None])[:, 0]
        else:
            tokens = places = scaled.argmax(dim=-1)
            if drawn:
                places[drawn] = (race(uniforms, scaled.shape[-1]) - scaled[drawn]).argmin(dim=-1)
        chances = (scaled.gather(-1, places[:, None])[:, 0] - scaled.logsumexp(dim=-1)).exp()
        return list(zip(tokens.tolist(), chances.tolist(), strict=True))


def race(uniforms: torch.Tensor, size: int) -> torch.Tensor:
    """Log of standard exponential times, one for each of ``size`` tokens, a function of a uniform number.

    The token with the least log-time minus logit is distributed as the softmax of the logits.

    Returns
    -------
    (len(uniforms), size) float32 tensor.
    """
    seed = (uniforms * 2**53).long()[:, None]
    bits = (torch.arange(1, size + 1, device=uniforms.device) * -7046029254386353131 + seed) ^ (seed << 20)
    for shift, factor in ((33, -49064778989728563), (29, -4265267296055464877), (32, 1)):  # a 64-bit mixing function
        bits = (bits ^ ((bits >> shift) & ((1 << (64 - shift)) - 1))) * factor
    waits = ((bits & ((1 << 53) - 1)).double() + 0.5) * 2.0**-53  # in (0, 1)
    return (-torch.log1p(-waits.float().clamp(max=1 - 2.0**-24))).log()


@dataclass(frozen=True, eq=False)
class Top:
    """The ``k`` most probable next tokens: the answer is [(token, probability among all)], most probable first."""

    node: Node
    k: int

    @property
    def key(self) -> Hashable:
        return Top, self.k

    @property
    def likeliest(self) -> int:
        """How many of the likeliest tokens an engine is asked for."""
        return self.k

    def told(self, known: Told) -> list[tuple[int, float]]:
        """The answer from an engine's likeliest tokens."""
        return [(token, math.exp(value)) for token, value in known.ranked(self.k)]

    @staticmethod
    def answer(questions: "Sequence[Top]", logits: torch.Tensor) -> list[list[tuple[int, float]]]:
        """(R, V) logits -> R answers."""
        found = logits.double().softmax(dim=-1).topk(min(questions[0].k, logits.shape[-1]), dim=-1)
        return [list(zip(*row, strict=True)) for row in zip(found.indices.tolist(), found.values.tolist(), strict=True)]


@dataclass(frozen=True, eq=False)
class Weigh:
    """Natural log-probabilities of given next ``tokens``: the answer is one number a token."""

    node: Node
    tokens: tuple[int, ...]

    @property
    def key(self) -> Hashable:
        return Weigh

    likeliest = TOP

    def told(self, known: Told) -> list[float]:
        """The answer from an engine: what is not among its likeliest tokens is forced."""
        return known.of(self.tokens)

    @staticmethod
    def answer(questions: "Sequence[Weigh]", logits: torch.Tensor) -> list[list[float]]:
        """(R, V) logits -> R answers."""
        normal = logits.logsumexp(dim=-1)
        rows = [row[list(q.tokens)] - z for q, row, z in zip(questions, logits, normal, strict=True)]
        return [row.tolist() for row in rows]


def serve(tree: PrefixTree, questions: Sequence) -> list:
    """Answer questions about any nodes, in as few forwards as the tree's memory allows."""
    if isinstance(tree, ServedTree):
        return tree.answer(questions)
    answers: list = [None] * len(questions)
    most = max(1, tree.most_rows)
    for start in range(0, len(questions), most):
        part = range(start, min(len(questions), start + most))
        logits = tree.logits([questions[i].node for i in part])  # (R, V)
        kinds: dict[Hashable, list[int]] = {}
        for i in part:
            kinds.setdefault(questions[i].key, []).append(i)
        for places in kinds.values():
            same = [questions[i] for i in places]
            rows = logits if len(places) == len(part) else logits[[i - start for i in places]]
            for i, answer in zip(places, same[0].answer(same, rows), strict=True):
                answers[i] = answer
    return answers


class Pool:
    """Tasks that advance in the same rounds, though they were started at different times."""

    def __init__(self):
        self.results: dict[Hashable, Any] = {}
        self._asked: dict[Hashable, tuple[Task, list]] = {}  # key -> task and what it waits for

    def __contains__(self, key: Hashable) -> bool:
        return key in self.results or key in self._asked

    def __len__(self) -> int:
        return len(self._asked)

    def known(self) -> list[Hashable]:
        """The keys of all tasks, finished or under way."""
        return [*self.results, *self._asked]

    def start(self, key: Hashable, task: Task) -> None:
        """Begin a task; ``key`` finds its result in ``results``."""
        self._advance(key, task, None)

    def drop(self, key: Hashable) -> None:
        """Give up a task or its result."""
        if key in self._asked:
            self._asked.pop(key)[0].close()
        self.results.pop(key, None)

    def until(self, keys: Iterable[Hashable]) -> Task:
        """A task: rounds of all that is under way, until ``keys`` are done; returns their results in order."""
        keys = list(keys)
        while any(key not in self.results for key in keys):
            yield from self.round()
        return [self.results[key] for key in keys]

    def round(self) -> Task:
        """A task: one round, each task's questions answered once."""
        waiting = list(self._asked.items())
        answers = yield [question for _, (_, asked) in waiting for question in asked]
        start = 0
        for key, (task, asked) in waiting:
            self._advance(key, task, answers[start : start + len(asked)])
            start += len(asked)

    def _advance(self, key, task, answers) -> None:
        try:
            asked = task.send(answers)
            while not asked:  # a task may ask nothing in a round
                asked = task.send([])
        except StopIteration as end:
            self._asked.pop(key, None)
            self.results[key] = end.value
        else:
            self._asked[key] = task, asked


def together(tasks: Iterable[Task], *, at_once: int | None = None) -> Task:
    """One task of many, ``at_once`` of them under way at a time; returns their results in order."""
    pool, waiting, keys = Pool(), enumerate(tasks), []
    for key, task in waiting:
        pool.start(key, task)
        keys.append(key)
        while at_once and len(pool) >= at_once:
            yield from pool.round()
    yield from pool.until(keys)
    return [pool.results[key] for key in keys]


def run(tree: PrefixTree, task: Task, *, serve=serve):
    """Drive a task to its end; its result."""
    try:
        questions = next(task)
        while True:
            questions = task.send(serve(tree, questions) if questions else [])
    except StopIteration as end:
        return end.value


def chain(
    tree: PrefixTree, node: Node, length: int, *, random: np.random.Generator | None, temperature: float = 1.0,
    top_k: int = 0, stop=lambda tokens: False,
) -> Task:  # fmt: skip
    """A task: draw up to ``length`` tokens after ``node``, until ``stop(tokens)``; greedy without ``random``.

    Returns (tokens, product of their probabilities as `Draw` gives them, the node at the end).
    """
    tokens: list[int] = []
    chance = 1.0
    while len(tokens) < length and not (tokens and stop(tokens)):
        uniform = None if random is None else float(random.random())
        ((token, probability),) = yield [Draw(node, uniform, temperature, top_k)]
        tokens.append(token)
        chance *= probability
        node = tree.extend(node, [token])
    return tokens, chance, node


def weigh(tree: PrefixTree, node: Node, continuation: Sequence[int]) -> Task:
    """A task: the natural log-probability of each token of ``continuation`` after ``node``, from one forward."""
    nodes = [node]
    for token in continuation[:-1]:
        nodes.append(tree.extend(nodes[-1], [token]))
    found = yield [Weigh(at, (token,)) for at, token in zip(nodes, continuation, strict=False)]
    return [value for (value,) in found]


def _whole(tree: PrefixTree, node: Node, continuation: Sequence[int]) -> Task:
    """A task that asks nothing: what `weigh` returns, from a plain forward of the whole text."""
    yield from ()  # a task is a generator
    ids = [*node.ids, *continuation]
    check_length(tree.module, len(ids), what="the text", name=tree.name)
    start = time.perf_counter()
    with torch.inference_mode():
        logits = logits_at(tree.module, ids, range(len(node) - 1, len(ids) - 1), use_cache=False)  # (n, V)
        tree.count(start, len(ids))
        if not torch.isfinite(logits.amax(dim=-1)).all():
            raise ModelError(f"{tree.name} gave logits that are not numbers after {len(ids)} tokens: check its weights")
        found = logits.log_softmax(-1).gather(-1, torch.tensor(continuation, device=logits.device)[:, None])
    return found[:, 0].tolist()


def sample(tree: PrefixTree, starts: Sequence[Node], length: int, *, streams: Sequence, **options) -> list[list[int]]:
    """One chain a start and stream, all in lock-step (`chain` takes the options); their tokens."""
    tasks = [chain(tree, node, length, random=random, **options) for node, random in zip(starts, streams, strict=True)]
    return [tokens for tokens, _, _ in run(tree, together(tasks))]


def score(tree: PrefixTree, prefixes: Sequence[Node], continuations: Sequence[Sequence[Sequence[int]]]):
    """Log-probabilities of every continuation of every prefix (token ids): lists of lists of one number a token.

    They are those of one forward of prefix and continuation. Where nothing is shared, it is that forward; and so it is
    where a rope changes with the text's length, in texts beyond its switch.
    """
    tasks = [
        (weigh if tree.reuse and not tree.side(len(node) + len(text)) else _whole)(tree, node, list(text))
        for node, texts in zip(prefixes, continuations, strict=True)
        for text in texts
    ]
    found = iter(run(tree, together(tasks)))
    return [[next(found) for _ in texts] for texts in continuations]
