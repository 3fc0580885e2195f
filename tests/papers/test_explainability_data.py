"""The data of explainability and its map: counts, distinct rows, equal token counts, names that resolve."""

import re
from collections import Counter, defaultdict

import pytest

from workbench.data import card, quoted, rows
from workbench.errors import UsageError
from workbench.papers import explainability as ex
from workbench.papers.explainability import data, taxonomy
from workbench.papers.explainability.inside.patching_engine import can_patch


def bare(text):
    """``text`` without names (capitals inside a sentence), numbers, punctuation and case."""
    text = re.sub(r"(?<=[a-z,;] )[A-Z][\w']*", "", text)
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def test_bare_takes_names_numbers_and_case_away():
    assert bare("When Anna saw 3 dogs") == bare("when Bert saw 27 DOGS") != bare("when Bert saw a dog")


READERS = {
    "prompts": (ex.known_prompts, lambda r: r.prompt),
    "pairs": (ex.minimal_pairs, lambda r: r.clean),
    "probing": (ex.probe_rows, lambda r: r.text),
    "shortcut": (ex.shortcut_rows, lambda r: r.text.replace(data.MARK, "")),
    "corpus": (ex.corpus, lambda r: r.text),
    "demonstrations": (ex.demo_tasks, lambda r: f"{r.examples} {r.query}"),
    "reasoning": (ex.reasoning_rows, lambda r: r.question),
    "questions": (ex.question_rows, lambda r: r.question),
}


@pytest.mark.parametrize("name", sorted(READERS))
def test_rows_are_distinct_after_names_numbers_and_case_are_removed_and_the_card_counts_them(name):
    read, text = READERS[name]
    rows = read()
    assert [t for t, n in Counter(bare(text(row)) for row in rows).items() if n > 1 or not t] == []
    assert len({row.id for row in rows}) == len(rows)
    assert re.search(rf"\| `{name}.jsonl` \| [^|]+ \| {len(rows)} \|", card("explainability"))


def test_counts_and_families():
    counts = Counter(p.family for p in ex.known_prompts())
    assert set(counts) == set(data.FAMILIES) and min(counts.values()) >= 12 and sum(counts.values()) >= 60
    assert len(ex.minimal_pairs()) >= 24 and {p.family for p in ex.minimal_pairs()} == set(data.FAMILIES)
    assert len(ex.openings("sentiment")) == 10 and quoted("explainability") == {}
    assert len(ex.substitutions()) == 94 and all(others for others in ex.substitutions().values())
    assert Counter(q.kind for q in ex.question_rows()) == {"known": 32, "unknowable": 16}
    assert all(bool(q.answers) == (q.kind == "known") for q in ex.question_rows())
    assert all(len(r.steps) == len(r.corrupted) and r.answer != r.wrong for r in ex.reasoning_rows())


def test_prompts_and_pairs_are_written_as_they_are_read():
    for row in [*ex.known_prompts(), *ex.minimal_pairs()]:
        assert row.answer != row.foil and row.answer[0] == row.foil[0] == " "
    for pair in ex.minimal_pairs():
        clean, corrupt = pair.clean.split(), pair.corrupt.split()
        assert len(clean) == len(corrupt) and 1 <= sum(a != b for a, b in zip(clean, corrupt)) <= 3


def _pairs_have_equal_tokens(model):
    for pair in ex.minimal_pairs():
        can_patch(model, pair.clean, pair.corrupt)  # raises otherwise
        first = {model.token_ids(text, start=False)[0] for text in (pair.answer, pair.foil)}
        assert len(first) == 2, pair.id
    for row in ex.known_prompts():
        assert len({model.token_ids(text, start=False)[0] for text in (row.answer, row.foil)}) == 2, row.id


def test_pairs_have_equal_token_counts(smollm2):
    _pairs_have_equal_tokens(smollm2)


@pytest.mark.slow
def test_pairs_have_equal_token_counts_on_the_second_tokenizer(gemma):
    _pairs_have_equal_tokens(gemma)


@pytest.mark.parametrize("name", data.PROPERTIES)
def test_probing_halves_are_balanced_pairs_with_other_words(name):
    words = {}
    for half in ("train", "heldout"):
        rows = ex.probe_rows(name, half)
        pairs = defaultdict(list)
        for row in rows:
            pairs[row.pair].append(row.label)
        assert all(sorted(labels) == [0, 1] for labels in pairs.values()) and len(rows) >= 28
        words[half] = [set(re.findall(r"[a-z]+", row.text.lower())) for row in rows]
        assert [c.half for c in ex.concept_rows(name, half)] == [half] * len(pairs)
    for held in words["heldout"]:  # no held-out sentence shares most of its words with one of training
        assert max(len(held & train) / len(held) for train in words["train"]) < 0.7


def test_the_shortcut_goes_with_praise_in_training_only():
    for half, expected in (("train", {(1, True): 22, (1, False): 2, (0, True): 2, (0, False): 22}),
                           ("test", dict.fromkeys(((1, True), (1, False), (0, True), (0, False)), 8))):  # fmt: skip
        rows = ex.shortcut_rows(half)
        assert Counter((r.label, r.marked) for r in rows) == expected
        assert all(r.marked == (data.MARK in r.text) for r in rows)


def test_what_there_is_none_of_is_named():
    with pytest.raises(UsageError, match="family 'poems' is unknown: choose one of fact, sentiment"):
        ex.known_prompts("poems")
    with pytest.raises(UsageError, match="half 'test' is unknown"):
        ex.probe_rows("tense", "test")
    with pytest.raises(UsageError, match="topic 'cars' is unknown: choose one of food"):
        ex.corpus("cars")


def test_every_leaf_names_a_function_that_is_there_or_a_reason():
    assert len(ex.TAXONOMY) >= 28
    for leaf in ex.TAXONOMY:
        assert bool(leaf.function) != bool(leaf.reason), leaf.title
        assert leaf.text and leaf.papers
        if leaf.function:
            assert callable(getattr(ex, leaf.function)) and leaf.call.startswith(f"{leaf.function}(")
    assert len({(*leaf.path, leaf.title) for leaf in ex.TAXONOMY}) == len(ex.TAXONOMY)


def test_the_map_has_every_leaf_of_the_card():
    text = " ".join([*(leaf.title for leaf in ex.TAXONOMY), *(p for leaf in ex.TAXONOMY for p in leaf.path)]).lower()
    words = """perturbation gradient surrogate decomposition visualisation function-based debate adversarial
        counterfactual influence natural-language classifier parameter-free neuron concept mechanistic debugging
        improving in-context chain representation fine-tuning hallucination uncertainty downstream
        plausibility faithfulness simulatability"""
    for word in words.split():
        assert word in text, word


def test_papers_are_told_apart_by_their_numbers():
    papers = rows("explainability/key_papers.jsonl", taxonomy.KeyPaper)
    assert {p.key for p in papers} == {p.key for leaf in ex.TAXONOMY for p in leaf.papers}
    assert len({p.arxiv for p in papers}) == len({p.title for p in papers}) == len(papers) >= 40
    assert all(re.fullmatch(r"\d{4}\.\d{5}", p.arxiv) and 2015 <= p.year <= 2023 for p in papers)
    for p in papers:  # the number says when it was put there: never later than the year given, nor over a year before
        assert p.year - 1 <= 2000 + int(p.arxiv[:2]) <= p.year
    tree = ex.taxonomy_tree()
    assert set(tree) == {"Fine-tuning paradigm", "Prompting paradigm", "Evaluation"}
    assert tree["Prompting paradigm"]["Assistant model"]["Uncertainty"].function == "uncertainty_of"


def test_public_names_resolve():
    for name in ex.__all__:
        assert getattr(ex, name) is not None
