"""A language model asked about Java methods: is there a bug, is the warning right, and the method mended.

The paper's three components over any handle (Mohajer et al., arXiv 2310.18532v2). The prompts are our own,
written to its description. Where they differ: a verdict is the log-odds of "yes" against "no" where the model tells
log-probabilities, less the same odds where no method is shown (what the examples alone suggest); an explanation comes
first only where it is asked for and no examples are given (our set explains none); comments and telltale names are
taken out (`telltale`); what surrounds the method can be shown too (``context``), which the paper does not do.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...errors import UsageError
from ...prompting import Answer, Field, sparing, structured, tells_odds
from .analysers import KINDS, LEAK, NULL
from .sarif import FALSE, REAL, UNSURE, Finding, Verdict
from .settings import CONTEXTS
from .sources import Method, parse_methods
from .telltale import Anonymous, anonymise

VERSION = "skipanalyzer 2026-11-30"  # of the prompts: a verdict carries it
YES, NO = "yes", "no"
MOST_CALLEES = 6
PATTERNS = {
    NULL: "A null dereference happens where a method calls, reads or unboxes a value that can be null at that point: "
    "a variable that is still null on some path, the result of a call that may be null, an argument that is null.",
    LEAK: "A resource leak happens where a method opens a reader, a writer, a stream or another closeable thing, and "
    "some path, perhaps one on which an exception is raised, ends without closing it.",
    "": "A static analyser looks for bugs in Java methods.",
}
DOUBT = (
    "An analyser warned of this method. Many of its warnings are mistaken: the path cannot be taken, two conditions go "
    "together, or a method that is called does what is missing."
)
NOT_SHOWN = "(not shown)"


@dataclass(frozen=True)
class Question:
    """A method to ask about.

    Attributes
    ----------
    method : Method
    finding : Finding or None
        The warning about it, at a line of the method's file; none where the question is whether it has a bug.
    callees : tuple of str
        The texts of methods of its file that it calls.
    """

    method: Method
    finding: Finding | None = None
    callees: tuple[str, ...] = ()


Shot = tuple[Question, bool]  # an example: the question, and whether the answer is yes


def callees(method: Method, others: Iterable[Method]) -> tuple[str, ...]:
    """The texts of the methods of its file that a method calls without an object, at most `MOST_CALLEES`."""
    found = [
        other.text for other in others
        if other.name in method.calls and other.file == method.file and other.text != method.text
    ]  # fmt: skip
    return tuple(found[:MOST_CALLEES])


def detect(
    model, questions: Sequence[Question], *, kind: str, examples: Sequence[Shot] = (), context: str = "method",
    threshold: float = 0.0, explanation: int = 0, seed: int = 0,
) -> list[Verdict]:  # fmt: skip
    """Whether each method has a bug of a kind; parameters as in `filter_warnings`.

    Parameters
    ----------
    kind : str
        "null dereference" or "resource leak".
    """
    answers = ask(model, questions, kind=kind, examples=examples, context=context, explanation=explanation, seed=seed)
    return [verdict(model, answer, threshold) for answer in answers]


def filter_warnings(
    model, questions: Sequence[Question], *, examples: Sequence[Shot] = (), context: str = "message",
    threshold: float = 0.0, explanation: int = 0, seed: int = 0,
) -> list[Verdict]:  # fmt: skip
    """Whether each warning is right.

    Parameters
    ----------
    model : Model
        Any handle that generates.
    questions : list of N Question, each with its finding
    examples : list of (Question, bool)
        With their answers; of other folds than the questions (`prompting.few_shot`). Empty is zero-shot.
    context : str
        What is shown: "method", the method alone; "callees", with the methods of its file that it calls; "message",
        with the analyser's message and the line that it names.
    threshold : float
        Log-odds above which a warning is real; from other folds, where there are any.
    explanation : int
        Tokens of an explanation before the verdict (zero-shot only); 0: none.

    Returns
    -------
    list of N Verdict
        A call that failed, or a reply that could not be read, is "needs a person". The confidence is the
        probability of the verdict given the odds; 0 where the model tells none.
    """
    if missing := [question for question in questions if question.finding is None]:
        raise UsageError(f"{missing[0].method.key} has no warning to filter: give its finding, or use detect")
    answers = ask(model, questions, examples=examples, context=context, explanation=explanation, seed=seed)
    return [verdict(model, answer, threshold) for answer in answers]


def ask(
    model, questions: Sequence[Question], *, kind: str | None = None, examples: Sequence[Shot] = (),
    context: str = "method", explanation: int = 0, seed: int = 0,
) -> list[Answer]:  # fmt: skip
    """The model's answers to `detect` (with a ``kind``) or `filter_warnings`; ``odds`` less those of no method."""
    if context not in CONTEXTS:
        raise UsageError(f"context={context!r} is unknown: choose from {', '.join(CONTEXTS)}")
    fields = [Field("Explanation", tokens=explanation)] if explanation and not examples else []
    fields.append(Field("Answer", (YES, NO)))
    prompts = [prompt(question, kind=kind, examples=examples, context=context) for question in questions]
    answers = structured(model, prompts, fields, seed=seed)
    if len(fields) > 1 or not tells_odds(model):
        return answers
    kinds = [kind or _kind(question) for question in questions]
    blank = list(dict.fromkeys(kinds))
    empty = [_text(None, one, bool(kind), examples, context) for one in blank]
    prior = {one: said.odds or 0.0 for one, said in zip(blank, structured(model, empty, fields, seed=seed))}
    return [
        answer if answer.odds is None else replace(answer, odds=answer.odds - prior[one])
        for answer, one in zip(answers, kinds)
    ]


def verdict(model, answer: Answer, threshold: float = 0.0) -> Verdict:
    """An answer as one of the three verdicts."""
    said, name = answer.values.get("Answer"), str(model.name)
    told = answer.values.get("Explanation", "")
    if answer.failed or said is None:
        return Verdict(UNSURE, 0.0, name, VERSION, answer.problem or told)
    if answer.odds is None:
        return Verdict(REAL if said == YES else FALSE, 0.0, name, VERSION, told)
    sure = 1 / (1 + math.exp(-min(abs(answer.odds - threshold), 700)))
    return Verdict(REAL if answer.odds > threshold else FALSE, sure, name, VERSION, told)


def prompt(
    question: Question, *, kind: str | None = None, examples: Sequence[Shot] = (), context: str = "method"
) -> str:
    """The text before the fields: what the bug is, the examples with their answers, the method."""
    return _text(question, kind or _kind(question), kind is not None, examples, context)


def _kind(question: Question) -> str:
    return KINDS.get(question.finding.rule, "") if question.finding else ""


def _text(question: Question | None, kind: str, detecting: bool, examples: Sequence[Shot], context: str) -> str:
    asked = f"Does this method have a {kind}?" if detecting else "Is the analyser's warning right?"
    if not detecting and kind:
        asked = f"The analyser warns of a {kind}. {asked}"
    parts = [PATTERNS.get(kind, PATTERNS[""]), "" if detecting else DOUBT]
    for shown, yes in examples:
        parts.append(f"{_shown(shown, context)}\n{asked} (yes or no)\nAnswer: {YES if yes else NO}")
    body = f"Java method:\n{NOT_SHOWN}" if question is None else _shown(question, context)
    return "\n\n".join([*filter(None, parts), f"{body}\n{asked} (yes or no)"])


def _shown(question: Question, context: str) -> str:
    """A question's method and its context, without what gives the answer away."""
    plain, around, message, line = _parts(question, context)
    lines = ["Java method:", plain]
    if around:
        lines += ["It calls:", around]
    if message:
        lines.append(f"Analyser: {message}")
    if line:
        lines.append(f"Line warned of: {line}")
    return "\n".join(lines)


def _parts(question: Question, context: str) -> tuple[str, str, str, str]:
    """(method, callees, message, line) as they are shown; what the context leaves out is empty."""
    finding = question.finding if context == "message" else None
    others = question.callees if context == "callees" else ()
    made, line = _anonymous(question, others, finding)
    around = "\n".join(made.code[2:])
    return made.code[0], around, made.prose if finding else "", line


def _anonymous(
    question: Question, others: Sequence[str], finding: Finding | None, comments: bool = False
) -> tuple[Anonymous, str]:
    """The method, its warned line and the others with names changed alike; and that line, without blanks around it."""
    rows = question.method.text.split("\n")
    at = finding.line - question.method.start if finding else -1
    warned = rows[at].strip() if 0 <= at < len(rows) else ""
    made = anonymise([question.method.text, warned, *others], finding.message if finding else "", comments=comments)
    return made, made.code[1].strip()


# --- patches --------------------------------------------------------------------------------------------------------


def patches(model, questions: Sequence[Question], *, max_new_tokens: int = 320, seed: int = 0) -> list[str]:
    """The whole method, mended, for each warning; zero-shot, as in the paper.

    Parameters
    ----------
    max_new_tokens : int
        At most; a short method is given less.

    Returns
    -------
    list of N str
        "" where the reply holds no such method, or the call failed. What a model wrote is a stranger's text:
        `repair.validate` says whether it is one.
    """
    if not questions:
        return []
    shown = [_anonymous(question, question.callees, question.finding, comments=True) for question in questions]
    chat = bool(model.has_chat)
    asked = [
        patch_prompt(one, made, line) + ("" if chat else "\n\n```java\n") for one, (made, line) in zip(questions, shown)
    ]
    # a token has a character or more; in a chat the block's own beginning must not end it
    room = min(max_new_tokens, 64 + max(len(question.method.text) for question in questions))
    options = {"max_new_tokens": room, "chat": chat or None, "seed": seed, "stop": ("\n```\n\n",) if chat else ("```",)}
    replies = sparing(
        lambda some: [samples[0].text for samples in model.generate(some, **options)], asked, lambda _asked, _why: ""
    )
    return [
        made.restore(read_method(reply, question.method.name, made))
        for reply, question, (made, _) in zip(replies, questions, shown, strict=True)
    ]


def patch_prompt(question: Question, made: Anonymous, line: str) -> str:
    """What is asked for a patch."""
    kind = _kind(question)
    parts = [PATTERNS.get(kind, PATTERNS[""]), f"Java method:\n{made.code[0]}"]
    if len(made.code) > 2:
        parts.append("It calls:\n" + "\n".join(made.code[2:]))
    if made.prose:
        parts.append(f"Analyser: {made.prose}" + (f"\nLine warned of: {line}" if line else ""))
    parts.append(
        "Write the whole method again so that this cannot happen any more and all else stays: the same name, "
        "parameters, return type, exceptions and results. Reply with the method alone, in one java block."
    )
    return "\n\n".join(parts)


def read_method(reply: str, name: str, made: Anonymous | None = None) -> str:
    """The first method of a name in a reply, in a block, a class or alone; else what looks like its beginning."""
    if made is not None:
        name = next((new for new, old in made.names.items() if old == name), name)
    block = re.search(r"```[^\n`]*\n(.*?)(?:```|\Z)", reply, re.DOTALL)
    texts = [text.strip("\n") for text in (reply.split("```")[0], block[1] if block else "")]
    for text in texts:
        for method in parse_methods(f"class Reply {{\n{text}\n}}\n"):
            if method.name == name and not method.problem:
                return method.text
    return next((text for text in reversed(texts) if re.search(rf"\b{re.escape(name)}\s*\(", text)), "")
