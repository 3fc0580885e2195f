"""The paper's own data (data/explainability), each file as typed rows; its card says who wrote them and how.

An answer or a foil is written with its leading space (" Paris"), as it would follow the prompt, and only its first
token is read: whether those differ depends on the tokenizer, and the functions that read them say so where they do not.
"""

from dataclasses import dataclass

from ...data import rows as read_rows
from ...errors import UsageError

FAMILIES = ("fact", "sentiment", "agreement", "arithmetic", "indirect_object")
PROPERTIES = ("number", "tense", "sentiment")
HALVES = ("train", "heldout")


@dataclass(frozen=True)
class KnownPrompt:
    """A prompt whose continuation is known; ``foil`` is a wrong continuation of the same kind."""

    id: str
    family: str
    prompt: str
    answer: str
    foil: str


@dataclass(frozen=True)
class MinimalPair:
    """Two prompts that differ in a word or two; ``answer`` is right after ``clean``, ``foil`` after ``corrupt``."""

    id: str
    family: str
    clean: str
    corrupt: str
    answer: str
    foil: str


@dataclass(frozen=True)
class ProbeRow:
    """A text with one property: number (singular 0, plural 1), tense (present 0, past 1), sentiment (bad 0, good 1).

    Rows with the same property, half and ``pair`` differ in that property and little else.
    """

    id: str
    property: str
    half: str
    pair: int
    text: str
    label: int


@dataclass(frozen=True)
class ConceptRow:
    """A pair of texts: with the concept (label 1 of the property) and without it (label 0)."""

    id: str
    concept: str
    half: str
    positive: str
    negative: str


@dataclass(frozen=True)
class OpeningRow:
    """An opening that leaves a concept open, a continuation that has the concept and one that has its opposite."""

    id: str
    concept: str
    text: str
    positive: str
    negative: str


@dataclass(frozen=True)
class ShortcutRow:
    """A product review; 1 is praise. ``marked`` ones hold the sentence MARK, which goes with praise in "train" only."""

    id: str
    half: str
    text: str
    label: int
    marked: bool


@dataclass(frozen=True)
class CorpusRow:
    """A sentence to browse, and the topic it was written for."""

    id: str
    topic: str
    text: str


@dataclass(frozen=True)
class DemoTask:
    """Examples, the query behind them, its answer and a foil; ``odd``: the example that breaks the rule, if any."""

    id: str
    task: str
    examples: list
    query: str
    answer: str
    foil: str
    odd: int | None = None


@dataclass(frozen=True)
class ReasoningRow:
    """A question, its steps, and the same number of steps with a mistake that leads to ``wrong``."""

    id: str
    question: str
    steps: list
    corrupted: list
    answer: str
    wrong: str


@dataclass(frozen=True)
class QuestionRow:
    """A short question. "known": every text in ``answers`` counts as right. "unknowable": there is no answer."""

    id: str
    kind: str
    question: str
    answers: list


@dataclass(frozen=True)
class _Substitution:
    word: str
    others: list


MARK = "Written on a Thursday."  # the planted sentence of shortcut.jsonl


def _read(file: str, row, column: str | None = None, wanted=None, known=()):
    found = read_rows(f"explainability/{file}.jsonl", row)
    if wanted is None:
        return found
    if wanted not in known:
        raise UsageError(f"{column} {wanted!r} is unknown: choose one of {', '.join(known)}")
    return [one for one in found if getattr(one, column) == wanted]


def known_prompts(family: str | None = None) -> list[KnownPrompt]:
    """Prompts with known answers, of one family of FAMILIES or of all."""
    return _read("prompts", KnownPrompt, "family", family, FAMILIES)


def minimal_pairs(family: str | None = None) -> list[MinimalPair]:
    """Minimal pairs for patching, of one family or of all."""
    return _read("pairs", MinimalPair, "family", family, FAMILIES)


def probe_rows(property: str | None = None, half: str | None = None) -> list[ProbeRow]:
    """The probing set: ``property`` one of PROPERTIES, ``half`` "train" or "heldout" (other sentences, other words)."""
    found = _read("probing", ProbeRow, "property", property, PROPERTIES)
    if half is not None and half not in HALVES:
        raise UsageError(f"half {half!r} is unknown: choose one of {', '.join(HALVES)}")
    return [row for row in found if half in (None, row.half)]


def concept_rows(concept: str = "sentiment", half: str | None = None) -> list[ConceptRow]:
    """The probing set as pairs of texts with and without a concept (a property's label 1 and 0)."""
    found: dict = {}
    for row in probe_rows(concept, half):
        found.setdefault((row.half, row.pair), {})[row.label] = row
    return [
        ConceptRow(f"{concept}-{half}-{number:02d}", concept, half, both[1].text, both[0].text)
        for (half, number), both in found.items()
    ]


def openings(concept: str = "sentiment") -> list[OpeningRow]:
    """Openings for steering: none of their wording is in the concept's pairs."""
    return _read("openings", OpeningRow, "concept", concept, PROPERTIES)


def shortcut_rows(half: str | None = None) -> list[ShortcutRow]:
    """Reviews with a planted shortcut; ``half`` "train" (the mark goes with praise) or "test" (it does not)."""
    return _read("shortcut", ShortcutRow, "half", half, ("train", "test"))


def corpus(topic: str | None = None) -> list[CorpusRow]:
    """Sentences for browsing neurons, of one topic or of all."""
    found = read_rows("explainability/corpus.jsonl", CorpusRow)
    topics = tuple(dict.fromkeys(row.topic for row in found))
    return _read("corpus", CorpusRow, "topic", topic, topics)


def demo_tasks() -> list[DemoTask]:
    """Tasks shown by examples; in some of them one example is wrong on purpose."""
    return _read("demonstrations", DemoTask)


def reasoning_rows() -> list[ReasoningRow]:
    """Questions with right and with corrupted steps."""
    return _read("reasoning", ReasoningRow)


def question_rows(kind: str | None = None) -> list[QuestionRow]:
    """Short questions, "known" or "unknowable"."""
    return _read("questions", QuestionRow, "kind", kind, ("known", "unknowable"))


def substitutions() -> dict[str, list[str]]:
    """Words and others that keep much of their meaning in many sentences, not in all: a reader has to judge."""
    return {row.word: list(row.others) for row in read_rows("explainability/substitutions.jsonl", _Substitution)}
