"""Asking a language model for more than a continuation: examples by fold, and answers in named fields.

- `few_shot`: examples for one fold, as many true as false ones, none of them from the fold itself.
- `structured`: a field at a time behind a text ("Explanation: …", then "Answer: …"), so that a small model never has to
  keep a form; a choice is made by the log-probabilities of its words where the model tells them. A server without
  log-probabilities writes all fields in one reply, which is read as JSON or as lines.

A reply is data: it is parsed, never executed. What cannot be read, and a call that fails, is an `Answer` that says so,
to be counted. No engine's own JSON schema is used: a grammar chooses its own tokens, so that nothing could be
scored behind it, and a choice weighed by its labels cannot be unreadable in the first place.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from .errors import ModelError, UsageError
from .judging import label_log_odds
from .models.base import weighs
from .models.forced import log_sum

Row, Item, Made = TypeVar("Row"), TypeVar("Item"), TypeVar("Made")
GIVEN_UP = 3  # failed calls in a row after which the rest is not asked any more: the server is gone
LONGEST = 20_000  # characters of a reply that are looked at


@dataclass(frozen=True)
class Field:
    """One part of an answer.

    Attributes
    ----------
    name : str
        What stands before the colon.
    choices : tuple of str
        Words to choose from, the first first; empty for free text.
    tokens : int
        Length of free text at most.
    """

    name: str
    choices: tuple[str, ...] = ()
    tokens: int = 48


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Attributes
    ----------
    values : dict of str to str
        Field -> its text or its choice; a field that could not be read is missing.
    odds : float or None
        Of the last field of choices: log-odds of the first choice against all others, nats. None where the model tells
        no log-probabilities.
    problem : str
        Why a field is missing; empty if none is.
    failed : bool
        The call itself failed.
    prompt : str
        All that was asked, the earlier fields' answers included.
    """

    values: dict[str, str] = field(default_factory=dict)
    odds: float | None = None
    problem: str = ""
    failed: bool = False
    prompt: str = ""


def few_shot(
    rows: Sequence[Row], k: int, fold: int, seed: int, *, folds: Sequence[int], labels: Sequence[bool]
) -> list[Row]:
    """k true and k false rows from other folds than ``fold``, drawn once; true and false change places at random.

    Parameters
    ----------
    rows, folds, labels : N rows, the fold of each, and whether it is true
    k : int
        Examples; each is one true and one false row, so 2k rows come back.
    fold : int
        The fold of the items that will be asked about.

    Raises
    ------
    UsageError
        Lists of different length, or fewer than k true or false rows outside of the fold.
    """
    if not len(rows) == len(folds) == len(labels):
        raise UsageError(f"there are {len(rows)} rows, {len(folds)} folds and {len(labels)} labels: give one each")
    rng = random.Random(f"{seed} {fold}")
    sides = [
        [row for row, own, label in zip(rows, folds, labels) if own != fold and bool(label) is truth]
        for truth in (True, False)
    ]
    if min(map(len, sides)) < k:
        raise UsageError(
            f"{k} examples need {k} true and {k} false rows outside of fold {fold}, and there are {len(sides[0])} and "
            f"{len(sides[1])}: ask for fewer"
        )
    pairs = zip(*(rng.sample(side, k) for side in sides))
    return [row for pair in pairs for row in rng.sample(pair, 2)]


def structured(model, prompts: Sequence[str], fields: Sequence[Field], *, seed: int = 0) -> list[Answer]:
    """Ask for the fields behind every prompt.

    Parameters
    ----------
    model : Model
        Any handle that generates. Local ones are asked field by field and greedily; so are servers that score texts.
    prompts : list of N texts
    fields : list of Field

    Returns
    -------
    list of N Answer
        One that failed says why; no fault of a model or a server is raised.

    Raises
    ------
    UsageError
        No fields.
    """
    if not fields:
        raise UsageError("an answer needs at least one field: name what is asked for")
    answers = [Answer(prompt=prompt) for prompt in prompts]
    if not tells_odds(model):
        return sparing(lambda some: _at_once(model, some, fields, seed), answers, _lost)
    for one in fields:
        left = iter(
            sparing(
                lambda some, one=one: _next_field(model, some, one, seed),
                [answer for answer in answers if not answer.failed],
                _lost,
            )
        )
        answers = [answer if answer.failed else next(left) for answer in answers]
    return answers


def tells_odds(model) -> bool:
    """Whether a model's choices come with log-odds."""
    return weighs(model) or ("scores" in model.can and getattr(model, "raw_text", True))


def read_fields(reply: str, fields: Sequence[Field]) -> tuple[dict[str, str], str]:
    """(field -> text, what is missing) of a reply that holds a JSON object, or lines "Field: …".

    A choice is read if its text begins with one of the words; a reply that gives a field twice, differently, does not
    give it.
    """
    reply = reply[:LONGEST]
    found = _from_json(reply) or _from_lines(reply, fields)
    if not found and len(fields) == 1:  # the bare word
        found = {fields[0].name.lower(): [reply]}
    values = {}
    for one in fields:
        texts = {text for told in found.get(one.name.lower(), ()) if (text := _value(told, one))}
        if len(texts) == 1:
            values[one.name] = texts.pop()
    lost = [one.name for one in fields if one.name not in values]
    return values, f"no {' and no '.join(lost)} could be read" if lost else ""


def _value(text: str, one: Field) -> str:
    text = " ".join(re.sub(r"[*`]+", " ", text).split())
    if not one.choices:
        return text
    word = re.match(r"\W*(\w+)", text)
    said = word[1].lower() if word else ""
    return next((choice for choice in one.choices if choice.lower() == said), "")


def _from_json(reply: str) -> dict[str, list[str]]:
    """Lower-case name -> its values in the first JSON object of a reply."""
    for place in re.finditer(r"\{", reply):
        try:
            made, _ = json.JSONDecoder().raw_decode(reply, place.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(made, dict):
            return {str(name).lower(): [_plain(value)] for name, value in made.items()}
    return {}


def _plain(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value)


def _from_lines(reply: str, fields: Sequence[Field]) -> dict[str, list[str]]:
    names = "|".join(re.escape(one.name) for one in fields)
    parts = re.split(rf"(?im)^[\W_]*({names})[*_ ]*:", reply)
    found: dict[str, list[str]] = {}
    for name, text in zip(parts[1::2], parts[2::2]):
        found.setdefault(name.lower(), []).append(text)
    return found


def sparing(ask: Callable[[list[Item]], list[Made]], items: Sequence[Item], failed: Callable[[Item, str], Made]):
    """``ask`` of all items at once; where that fails, of one at a time, so that one failure spares the others.

    Parameters
    ----------
    ask : callable
        Items -> what is made of each.
    items : list of N
    failed : callable
        (item, why) -> what stands for an item whose call failed.

    Returns
    -------
    list of N
    """
    items, found, lost, why = list(items), [], 0, ""
    try:
        return list(ask(items)) if items else []
    except ModelError as error:
        if len(items) == 1:
            return [failed(items[0], str(error))]
    for item in items:
        if lost < GIVEN_UP:
            try:
                found.extend(ask([item]))
                lost = 0
                continue
            except ModelError as error:
                lost, why = lost + 1, str(error)
        found.append(failed(item, why))
    return found


def _lost(answer: Answer, why: str) -> Answer:
    return replace(answer, problem=why, failed=True)


def _next_field(model, answers: list[Answer], one: Field, seed: int) -> list[Answer]:
    """The answers with one more field, asked behind what stands there."""
    prompts = [f"{answer.prompt}\n{one.name}:" for answer in answers]
    if not one.choices:
        made = model.generate(prompts, max_new_tokens=one.tokens, stop=("\n",), seed=seed)
        texts = [" ".join(samples[0].text.split()) for samples in made]
        return [
            replace(answer, values=answer.values | ({one.name: text} if text else {}), prompt=f"{prompt} {text}",
                    problem=answer.problem if text else f"no {one.name} was written")
            for answer, prompt, text in zip(answers, prompts, texts, strict=True)
        ]  # fmt: skip
    odds = [_odds(model, prompts, (choice,), [other for other in one.choices if other != choice])
            for choice in (one.choices if len(one.choices) > 2 else one.choices[:1])]  # fmt: skip
    if len(odds) == 1:
        odds.append([-value for value in odds[0]])
    best = [max(range(len(odds)), key=lambda at, n=n: odds[at][n]) for n in range(len(answers))]
    return [
        replace(answer, values=answer.values | {one.name: one.choices[at]}, odds=float(first),
                prompt=f"{prompt} {one.choices[at]}")
        for answer, prompt, at, first in zip(answers, prompts, best, odds[0], strict=True)
    ]  # fmt: skip


def _odds(model, prompts: Sequence[str], good: Sequence[str], bad: Sequence[str]) -> list[float]:
    """Log-odds of some words against others behind each prompt; a server scores whole words, not first tokens."""
    sides = [[f" {word}" for word in words] for words in (good, bad)]
    if weighs(model):
        return [float(value) for value in label_log_odds(model, prompts, *sides)]
    scored = model.logprobs(prompts, [[*sides[0], *sides[1]]] * len(prompts))
    totals = [[one.total for one in row] for row in scored]
    return [log_sum(row[: len(good)]) - log_sum(row[len(good) :]) for row in totals]


def _at_once(model, answers: list[Answer], fields: Sequence[Field], seed: int) -> list[Answer]:
    """All fields in one reply, of a server that tells no log-probabilities."""
    form = "\n".join(f"{one.name}: {' or '.join(one.choices) or 'one or two sentences'}" for one in fields)
    prompts = [f"{answer.prompt}\n\nReply with these lines and nothing else:\n{form}" for answer in answers]
    chat = not getattr(model, "raw_text", True) or getattr(model, "has_chat", False)
    room = sum(one.tokens if not one.choices else 8 for one in fields) + 16 * len(fields)
    made = model.generate(prompts, max_new_tokens=room, chat=chat or None, seed=seed)
    found = []
    for answer, prompt, (reply,) in zip(answers, prompts, made, strict=True):
        values, problem = read_fields(reply.text, fields)
        found.append(replace(answer, values=values, problem=problem, prompt=prompt))
    return found
