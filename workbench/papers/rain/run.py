"""`rain`: searches for many prompts in lock-step, and the controls beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...bars import tqdm
from ...errors import UsageError, WorkbenchError
from ...models.forward import check_length
from ...models.prefix.tasks import Task, chain, run, serve, together
from ...models.prefix.tree import PrefixTree, new_tree, require_tree, shared_tree
from ...models.reader import is_conversation, until_stop
from .result import RainResult
from .scorers import ZeroScorer
from .search import Searcher, stream
from .settings import RainSettings

LOCKSTEP = 8  # prompts under way at a time
SAMPLE = 4  # the purpose of the controls' random streams


@dataclass(frozen=True, eq=False)
class _Judge:
    """A question for a scorer that is only a function."""

    prompt: str
    reply: str


@dataclass(frozen=True, eq=False)
class _Embed:
    """A question for the sentence encoder."""

    text: str


def _ask(question) -> Task:
    (answer,) = yield [question]
    return answer


def rain(
    model, prompts: Sequence, *, scorer: Callable, settings: RainSettings | None = None, encoder=None, seed: int = 0,
    chat: bool | None = None, tree: PrefixTree | None = None, progress: bool = False,
) -> list[RainResult]:  # fmt: skip
    """Search for replies the model itself judges good.

    Parameters
    ----------
    model : Model
        One in this process: the search forks prefixes (`models.prefix`).
    prompts : list of str or of conversations
        As in ``model.generate``; ``chat`` too.
    scorer : callable
        ``scorer(prompt, replies) -> (n,) values in [-1, 1]``, or one with a ``plan`` (see `objective`). For a
        conversation ``prompt`` is its last message.
    settings : RainSettings
        Default ``RainSettings.paper("hh")``.
    encoder : Encoder, optional
        For the similarity update and the node addition. Default: the embedded MiniLM, unless ``settings.similarity`` >
        1.
    seed : int
        The result of prompt i depends on (seed, i) and not on the other prompts.
    tree : PrefixTree, optional
        Default: the tree all users of the model share.
    progress : bool
        Show a bar that counts prompts.

    Returns
    -------
    list of RainResult

    Raises
    ------
    UsageError
        No prompts, an empty or too long prompt; a scorer whose answer has the wrong length, is no number or outside
        [-1, 1].
    WorkbenchError
        A scorer that raises: its error is named and chained.
    """
    settings = settings or RainSettings.paper("hh")
    if isinstance(prompts, str) or not len(prompts):
        raise UsageError("prompts is a list of at least one text: write [prompt]")
    tree = tree or shared_tree(model)
    if settings.embeds and encoder is None:
        from ...models import load_encoder

        encoder = load_encoder("minilm")
    before = tree.counters.copy()
    plan, special = getattr(scorer, "plan", None), model.special_texts

    def one(index: int, prompt) -> Task:
        ids, name = _prompt_ids(model, prompt, chat, index, settings.max_new_tokens), _name(prompt)

        def evaluate(text: str) -> Task:
            value = yield from (plan(tree, name, text) if plan else _ask(_Judge(name, text)))
            return _checked(value, text)

        result = yield from Searcher(
            tree, name, ids, settings=settings, evaluate=evaluate,
            embed=(lambda text: _ask(_Embed(text))) if settings.embeds else None,
            decode=model.new_text, eos=model.end_tokens(), index=index, seed=seed, special=special,
        ).task()  # fmt: skip
        bar.update()
        return result

    def answer(tree, questions):
        return _answer(tree, questions, scorer, encoder)

    tasks = (one(index, prompt) for index, prompt in enumerate(prompts))
    with tqdm(total=len(prompts), desc="searching", unit="prompt", disable=not progress, leave=False) as bar:
        results = run(tree, together(tasks, at_once=LOCKSTEP), serve=answer)
    for result in results:
        result.counters.update(_spent(tree.counters - before), prompts=len(results))
    return results


def _answer(tree, questions, scorer, encoder) -> list:
    """Serve a round: the model's questions in one forward, texts to embed in one batch, replies to judge by prompt."""
    answers: list = [None] * len(questions)
    kinds: dict = {}
    for place, question in enumerate(questions):
        key = question.prompt if isinstance(question, _Judge) else type(question) is _Embed
        kinds.setdefault(key, []).append(place)
    for key, places in kinds.items():
        asked = [questions[place] for place in places]
        if key is False:
            found = serve(tree, asked)
        elif key is True:
            found = list(np.asarray(encoder.embed([q.text for q in asked])))
        else:
            found = _judge(scorer, key, [q.reply for q in asked])
        for place, value in zip(places, found, strict=True):
            answers[place] = value
    return answers


def _judge(scorer, prompt: str, replies: list[str]) -> list:
    try:
        values = list(scorer(prompt, replies))
    except WorkbenchError:
        raise
    except Exception as error:
        raise WorkbenchError(
            f"the scorer failed on {len(replies)} replies to {prompt[:60]!r} ({type(error).__name__}: {error}): "
            "call scorer(prompt, replies) by itself to see why"
        ) from error
    if len(values) != len(replies):
        raise UsageError(
            f"the scorer gave {len(values)} values for {len(replies)} replies: it must give one a reply, in order"
        )
    return values


def _checked(value, text: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not -1 <= number <= 1:
        raise UsageError(f"the scorer gave {value} for the reply {text[:60]!r}: a value is a number from -1 to 1")
    return number


def _prompt_ids(model, prompt, chat, index: int, more: int) -> list[int]:
    require_tree(model, for_="RAIN")
    if not isinstance(prompt, str) and not is_conversation(prompt):
        raise UsageError(f"prompt {index} is {str(prompt)[:60]}, which no scorer can judge: give a text or messages")
    ids = model.prompt_ids(prompt, chat)
    if not ids:
        raise UsageError(f"prompt {index} is empty and {model.name} has no start token: give at least one character")
    check_length(model, len(ids), more=more, what=f"prompt {index}")
    return ids


def _name(prompt) -> str:
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]


@dataclass
class Control:
    """What a control gave for each prompt.

    Attributes
    ----------
    name : str
    replies, values : list
        One a prompt; the value is the scorer's, for the reply chosen.
    counters : dict
        forwards, tokens, reused, seconds of all prompts together, with choosing.
    n : int
        Replies sampled a prompt.
    candidates : list of list of (str, float)
        All replies and their values, where there were several.
    """

    name: str
    replies: list[str]
    values: list[float]
    counters: dict
    n: int = 1
    candidates: list = field(default_factory=list)


def controls(
    model, prompts: Sequence, *, scorer: Callable, settings: RainSettings | None = None, tokens: int, encoder=None,
    seed: int = 0, chat: bool | None = None, max_n: int = 256, only: str | None = None,
    progress: bool = False,
) -> dict[str, Control]:  # fmt: skip
    """What a sceptic compares RAIN with, on the same prompts and with the same scorer and random seed.

    Parameters
    ----------
    tokens : int
        What RAIN computed for all these prompts (``results[0].counters["tokens"]``): best-of-N samples on until the
        next reply a prompt would cost more than that.
    max_n : int
        The most replies a prompt for best-of-N.
    only : str, optional
        The name of one control; default: all.
    progress : bool
        Show the bar of the value-zero search, by far the longest of the four.

    Returns
    -------
    dict
        "sampling" (one reply at temperature 1), "greedy", "value-zero" (the same search with every value 0) and
        "best-of-N" (the best value among N samples, at no more tokens than RAIN). Each starts from an empty cache, as
        RAIN's cost should.
    """
    settings = settings or RainSettings.paper("hh")
    found = {}
    for name in ("sampling", "greedy", "value-zero"):
        if only not in (None, name):
            continue
        tree = new_tree(model)
        if name == "value-zero":
            options = {"settings": settings, "encoder": encoder, "seed": seed, "chat": chat, "progress": progress}
            drafts = [[one.reply] for one in rain(model, prompts, scorer=ZeroScorer(), tree=tree, **options)]
        else:
            drafts = _drafts(model, tree, prompts, settings, seed, chat, range(1), name == "sampling")
        counters = _spent(tree.counters)
        values = _values(tree, scorer, prompts, drafts)  # not part of this control's cost: it chooses nothing
        found[name] = Control(name, [d[0] for d in drafts], [v[0] for v in values], counters)
    if only in (None, "best-of-N"):
        found["best-of-N"] = _best_of_n(model, prompts, scorer, settings, tokens, seed, chat, max_n)
    return found


def _spent(counters) -> dict:
    return {name: getattr(counters, name) for name in ("forwards", "tokens", "reused", "seconds")}


def _best_of_n(model, prompts, scorer, settings, tokens, seed, chat, max_n) -> Control:
    """The best value among as many samples a prompt as ``tokens`` allow (one at least)."""
    tree, drafts, values = new_tree(model), [[] for _ in prompts], [[] for _ in prompts]
    n, wave, counters = 0, 1, _spent(tree.counters)
    while n < max_n:
        new = _drafts(model, tree, prompts, settings, seed, chat, range(n, n + wave), True)
        worth = _values(tree, scorer, prompts, new)
        if n and tree.counters.tokens > tokens:
            break  # this wave would have cost more than RAIN: it does not count
        n, counters = n + wave, _spent(tree.counters)
        for index in range(len(prompts)):
            drafts[index] += new[index]
            values[index] += worth[index]
        # half of what seems left: replies differ in length, and a wave that does not fit is lost whole
        affordable = (tokens - tree.counters.tokens) * n // max(1, tree.counters.tokens)
        wave = max(1, min(max_n - n, n, affordable // 2))
    best = [int(np.argmax(worth)) for worth in values]
    return Control(
        "best-of-N", [drafts[i][b] for i, b in enumerate(best)], [values[i][b] for i, b in enumerate(best)],
        counters, n,
        [list(zip(d, v, strict=True)) for d, v in zip(drafts, values, strict=True)],
    )  # fmt: skip


def _drafts(model, tree, prompts, settings, seed, chat, numbers, random: bool) -> list[list[str]]:
    """Whole replies, numbered: all prompts' and numbers' chains in lock-step."""
    eos, special = model.end_tokens(), model.special_texts

    def one(index, prompt, number):
        ids = _prompt_ids(model, prompt, chat, index, settings.max_new_tokens)

        def text(tokens):
            tokens = tokens[:-1] if tokens and tokens[-1] in eos else tokens
            return until_stop(model.new_text, ids, tokens, settings.stop, special)

        tokens, _, _ = yield from chain(
            tree, tree.node(ids), settings.max_new_tokens,
            random=stream(seed, index, SAMPLE, number) if random else None,
            stop=lambda new: new[-1] in eos or text(new)[1],
        )  # fmt: skip
        return text(tokens)[0]

    tasks = (one(index, prompt, number) for index, prompt in enumerate(prompts) for number in numbers)
    found = iter(run(tree, together(tasks, at_once=64)))
    return [[next(found) for _ in numbers] for _ in prompts]


def _values(tree, scorer, prompts, drafts) -> list[list[float]]:
    plan = getattr(scorer, "plan", None)
    if plan is None:
        return [
            [_checked(v, d) for v, d in zip(_judge(scorer, _name(p), list(group)), group, strict=True)]
            for p, group in zip(prompts, drafts, strict=True)
        ]
    tasks = (plan(tree, _name(p), draft) for p, group in zip(prompts, drafts, strict=True) for draft in group)
    found = iter(run(tree, together(tasks, at_once=64)))
    return [[_checked(next(found), draft) for draft in group] for group in drafts]
