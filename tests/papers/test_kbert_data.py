"""The teaching graph and its sentences: counts, distinct rows, held-out entities, a card that says what is there."""

import csv
import re
from collections import Counter

import pytest

from workbench.data import card, folder, quoted
from workbench.files import ROOT
from workbench.papers.kbert import KnowledgeGraph

with open(folder("kbert") / "teaching.csv", encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
TRIPLES = [line.split("\t") for line in (folder("kbert") / "teaching.spo").read_text("utf-8").splitlines()]
GRAPH = KnowledgeGraph.from_tsv(folder("kbert") / "teaching.spo")


def bare(row):
    """A sentence without its entity, other names, numbers, signs and case."""
    text = re.sub(re.escape(row["entity"]), "", row["text"], flags=re.I)
    text = re.sub(r"(?<=[a-z,;] )[A-Z][\w']*", "", text)
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def test_bare_takes_entity_names_numbers_and_case_away():
    one = {"text": "On Monday Anna asked 3 times about Gout.", "entity": "gout"}
    other = {"text": "on Friday Bert asked 12 times about lupus", "entity": "lupus"}
    assert bare(one) == bare(other) == "on asked times about"


def test_no_two_sentences_are_the_same_after_entity_names_numbers_and_case_are_removed():
    assert [text for text, n in Counter(map(bare, ROWS)).items() if n > 1] == []


def test_no_two_triples_say_the_same():
    assert all(len(triple) == 3 and all(part == part.strip() != "" for part in triple) for triple in TRIPLES)
    said = [tuple(re.sub(r"[\d\W]+", " ", part.lower()) for part in triple) for triple in TRIPLES]
    assert len(set(said)) == len(TRIPLES) == GRAPH.n_triples >= 300
    assert set(Counter(subject for subject, _, _ in TRIPLES).values()) == {3}


def test_counts_are_those_of_the_card():
    labels = Counter((row["label"], row["split"]) for row in ROWS)
    assert len(ROWS) >= 200 and set(labels.values()) == {20, 14} and len(labels) == 12
    text = card("kbert")
    said = (
        f"{len(TRIPLES)} triples about {GRAPH.n_subjects}",
        f"{len(ROWS)} English sentences",
        "`train` (120",
        "`test` (84",
    )
    for words in (*said, f"{len(quoted('kbert'))} keys", "34 sentences each"):
        assert words in text, words
    assert list(ROWS[0]) == ["text", "label", "entity", "domain", "split"]


def test_no_entity_is_in_both_halves_and_each_sentence_holds_its_own_and_no_other():
    halves = {part: {row["entity"] for row in ROWS if row["split"] == part} for part in ("train", "test")}
    assert not halves["train"] & halves["test"] and sum(map(len, halves.values())) == GRAPH.n_subjects
    for row in ROWS:
        (found,) = GRAPH.find(row["text"])
        assert GRAPH.subject(found.subject) == row["entity"]
        assert not {row["label"]} & set(re.findall(r"\w+", row["text"].lower())), row  # the text does not say it


def test_an_entity_has_one_label_and_a_label_one_domain():
    for key, value in (("entity", "label"), ("label", "domain")):
        pairs = {(row[key], row[value]) for row in ROWS}
        assert len(pairs) == len({first for first, _ in pairs})


def test_the_quoted_numbers_are_the_cards():
    numbers = quoted("kbert")
    assert (numbers["medicine_ner_f1_bert"].value, numbers["medicine_ner_f1_kbert"].value) == (92.5, 94.2)
    source = ROOT.parent / "shared" / "papers" / "kbert.md"
    if not source.exists():
        pytest.skip("../shared/data is absent")
    text = source.read_text()
    for number in numbers.values():
        if isinstance(number.value, float) and number.value > 1:
            assert re.search(rf"(?<![\d.]){number.value:g}(?![\d])", text), number
