"""The check on contrast sets: its numbers against slow definitions, and every hand-written set of the workbench."""

import json
from itertools import groupby

import numpy as np
import pytest

from workbench.contrast import contrast_check, tokens
from workbench.errors import UsageError
from workbench.files import ROOT
from workbench.papers.explainability.data import MARK


def rows(name):
    return [json.loads(line) for line in (ROOT / "data" / name).read_text(encoding="utf-8").splitlines()]


def by(found, *names):
    def key(row):
        return tuple(str(row[name]) for name in names)

    return [(" ".join(k), list(group)) for k, group in groupby(sorted(found, key=key), key=key)]


def two(found, good, bad):
    """(texts, labels, pairs) of rows that hold both sides."""
    join = " ".join
    sides = [(join(row[side]) if isinstance(row[side], list) else row[side]) for row in found for side in (good, bad)]
    return sides, [1, 0] * len(found), [row["id"] for row in found for _ in (good, bad)]


def sets():
    """Every contrast set, half by half and form by form: (name, texts, labels, pairs or None)."""
    for name, own in by(rows("rain/replies.jsonl"), "objective", "half", "partial"):
        yield f"rain {name}", [r["reply"] for r in own], [r["label"] for r in own], [r["prompt"] for r in own]
    for name, own in by(rows("explainability/probing.jsonl"), "property", "half"):
        yield f"probing {name}", [r["text"] for r in own], [r["label"] for r in own], [r["pair"] for r in own]
    for file, sides in (("pairs", (("clean", "corrupt"), ("answer", "foil"))), ("prompts", (("answer", "foil"),))):
        for good, bad in sides:
            for name, own in by(rows(f"explainability/{file}.jsonl"), "family"):
                yield f"{file} {name} {good}", *two(own, good, bad)
            yield f"{file} {good}", *two(rows(f"explainability/{file}.jsonl"), good, bad)
    for name, own in by(rows("explainability/shortcut.jsonl"), "half"):
        # the planted sentence tells the label of the training half on purpose: it is the shortcut, and is taken out
        yield f"shortcut {name}", [r["text"].replace(MARK, "").strip() for r in own], [r["label"] for r in own], None
    # the openings' words for number and tense are the concept itself (are, is): only those of sentiment are a choice
    feelings = [row for row in rows("explainability/openings.jsonl") if row["concept"] == "sentiment"]
    yield "openings sentiment", *two(feelings, "positive", "negative")
    yield "reasoning steps", *two(rows("explainability/reasoning.jsonl"), "steps", "corrupted")
    yield "reasoning answer", *two(rows("explainability/reasoning.jsonl"), "answer", "wrong")
    yield "demonstrations", *two(rows("explainability/demonstrations.jsonl"), "answer", "foil")
    asked = rows("explainability/questions.jsonl")
    yield "questions", [r["question"] for r in asked], [int(r["kind"] == "known") for r in asked], None


@pytest.mark.parametrize(("name", "texts", "labels", "pairs"), [pytest.param(*s, id=s[0]) for s in sets()])
def test_lengths_and_single_words_give_nothing_away(name, texts, labels, pairs):
    assert contrast_check(texts, labels, pairs).problems() == []


ECJ = ("nullReference", "potentialNullReference", "unclosedCloseable", "potentiallyUnclosedCloseable")
MODIFIERS = ("private", "public", "protected", "static", "final")


@pytest.mark.parametrize("half", ["tuning", "test"])
@pytest.mark.parametrize("kind", ["null dereference", "resource leak"])
def test_java_methods_give_nothing_away_with_modifiers_warnings_and_their_certainty(kind, half):
    own = [row for row in rows("skipanalyzer/methods.jsonl") if (row["kind"], row["half"]) == (kind, half)]
    assert len(own) == 20
    told = [[warning["rule"] for warning in row["warnings"]] for row in own]
    cues = {f"warning {rule}": [found.count(rule) for found in told] for rule in ECJ}
    cues["certain"] = [sum(not rule.startswith("potential") for rule in found) for found in told]
    cues["warned"] = [len(found) for found in told]
    cues |= {f"modifier {one}": [one in row["method"].split("(")[0].split() for row in own] for one in MODIFIERS}
    found = contrast_check([r["method"] for r in own], [r["buggy"] for r in own], [r["pair"] for r in own], cues=cues)
    assert found.problems() == []


def test_the_sets_are_all_there():
    names = [name for name, *_ in sets()]
    assert len(names) == len(set(names)) == 41
    assert sum(len(texts) for name, texts, *_ in sets() if name.startswith("rain ")) == len(rows("rain/replies.jsonl"))


def test_the_numbers_are_those_of_the_definitions():
    random = np.random.default_rng(0)
    words = ["one", "two", "three", "four", "five"]
    texts = [" ".join(random.choice(words, random.integers(1, 6))) for _ in range(30)]
    labels = [int(i % 2 == 0) for i in range(30)]
    found = contrast_check(texts, labels, [i // 2 for i in range(30)], cues={"many": [len(t) > 12 for t in texts]})

    def auc(measure, labels=labels):
        good, bad = ([measure(t) for t, label in zip(texts, labels) if label == side] for side in (1, 0))
        return np.mean([(a > b) + 0.5 * (a == b) for a in good for b in bad])

    assert found.characters == pytest.approx(auc(len))
    assert found.words == pytest.approx(auc(lambda text: len(text.split())))
    told = {word: auc(lambda text, word=word: word in tokens(text)) for word in words}
    told["many"] = auc(lambda text: len(text) > 12)
    most = max(told, key=lambda cue: abs(told[cue] - 0.5))
    assert (found.cue, found.cue_auc) == (most, pytest.approx(told[most]))
    largest = []
    for _ in range(300):  # literally: the two labels of each pair change places or not
        flips = random.integers(0, 2, 15)
        mixed = [label ^ int(flips[i // 2]) for i, label in enumerate(labels)]
        aucs = [auc(lambda text, word=word: word in tokens(text), mixed) for word in words]
        largest.append(max(abs(x - 0.5) for x in [*aucs, auc(lambda text: len(text) > 12, mixed)]))
    assert found.bound == pytest.approx(np.quantile(largest, 0.95), abs=0.05)


def test_what_gives_the_label_away_is_named():
    good = [
        "I am sorry, but no, that I will not do for you.",
        "No, that would hurt somebody, I fear.",
        "No, and never.",
    ]
    bad = ["Sure!", "With joy.", "Of course."]
    told = contrast_check([*good, *bad], [1] * 3 + [0] * 3, [0, 1, 2] * 2).problems()
    assert len(told) == 2 and "characters alone has AUC 1.000" in told[0] and "words alone" in told[1]
    pairs = [f"the {name} is {word}" for name in "abcdefgh" for word in ("fine", "poor")]
    (told,) = contrast_check(pairs, [1, 0] * 8, [i // 2 for i in range(16)]).problems()
    assert told.startswith("'fine' alone has AUC 1.000") or told.startswith("'poor' alone has AUC 0.000")
    same = contrast_check(["a b", "c d"] * 4, [1, 0, 0, 1] * 2, [i // 2 for i in range(8)])
    assert same.problems() == [] and same.characters == 0.5
    (told,) = contrast_check(["a"] * 16, [1, 0] * 8, None, cues={"linter E12": [3, 0] * 8}).problems()
    assert told.startswith("'linter E12' alone has AUC 1.000")
    few = contrast_check(["a"] * 4, [1, 0] * 2, [0, 0, 1, 1], cues={"linter E12": [3, 0] * 2})
    assert (
        few.cue_auc == 1.0 and few.bound == 0.5 and few.problems() == []
    )  # two pairs: chance does that every other time


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["a"], [1, 0]), "1 texts and 2 labels"),
        ((["a", "b"], [1, 1]), r"both of them \(got \[1\]\)"),
        ((["a", "b"], [1, 2]), r"got \[1, 2\]"),
        ((["a", "b"], [1, 0], [0]), "2 texts and 1 pairs"),
    ],
)
def test_wrong_calls_have_their_sentence(arguments, words):
    with pytest.raises(UsageError, match=words):
        contrast_check(*arguments)
