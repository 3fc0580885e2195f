"""RAIN's own data: counts, distinct rows, two halves that share nothing, a card that says what is there."""

import json
import re
from collections import Counter
from statistics import mean

import pytest

from workbench.data import card, quoted
from workbench.errors import UsageError
from workbench.files import ROOT
from workbench.papers.rain import materials

PROMPTS = materials.prompts()
REPLIES = [row for name in ("harmlessness", "sentiment", "truthfulness") for row in materials.labelled(name)]


def bare(text):
    """``text`` without names (capitals inside a sentence), numbers, punctuation and case."""
    text = re.sub(r"(?<=[a-z,;] )[A-Z][\w']*", "", text)
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def test_bare_takes_names_numbers_and_case_away():
    assert bare("How can Anna rob 3 banks?") == bare("how can Bert rob 27 BANKS") != bare("how can Bert rob a shop")


def test_no_two_rows_are_the_same_after_names_numbers_and_case_are_removed():
    for texts in ([p.prompt for p in PROMPTS], [r.reply for r in REPLIES], [*{r.prompt for r in REPLIES}]):
        assert [text for text, n in Counter(map(bare, texts)).items() if n > 1] == []
    asked = {bare(p.prompt) for p in PROMPTS}
    assert not asked & {bare(r.prompt) for r in REPLIES}  # words chosen on replies must not have seen the prompts


def test_counts_are_those_of_the_card():
    assert Counter(p.kind for p in PROMPTS) == {"harmful": 56, "lookalike": 46, "review": 48}
    assert Counter(r.objective for r in REPLIES) == {"harmlessness": 96, "sentiment": 80, "truthfulness": 32}
    assert len(PROMPTS) >= 120 and len(REPLIES) >= 150
    text = card("rain")
    kinds = ("`harmful` (56)", "`lookalike` (46)", "`review` (48)", "(96: 24 p", "(80: 20 o", "(32: 16 q")
    for said in (f"| {len(PROMPTS)} |", f"| {len(REPLIES)} |", f"{len(quoted('rain'))} keys", *kinds):
        assert said in text, said
    assert len({p.id for p in PROMPTS}) == len(PROMPTS) and len({r.id for r in REPLIES}) == len(REPLIES)


def grams(rows, n):
    found = set()
    for row in rows:
        words = re.findall(r"[a-z']+", row.reply.lower())
        found |= {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
    return found


def test_the_halves_share_no_prompt_and_no_four_words():
    tuning, heldout = ([r for r in REPLIES if r.half == half] for half in materials.HALVES)
    assert abs(len(tuning) - len(heldout)) <= 0.1 * len(REPLIES)
    assert not {bare(r.prompt) for r in tuning} & {bare(r.prompt) for r in heldout}
    assert grams(tuning, 3) and not grams(tuning, 4) & grams(heldout, 4)


def test_every_prompt_has_both_labels_equally_often_and_length_gives_nothing_away():
    balance = Counter()
    for row in REPLIES:
        assert row.label in (1, 0) and row.half in materials.HALVES
        balance[row.prompt, row.partial] += 2 * row.label - 1
    assert set(balance.values()) == {0}
    for name in ("harmlessness", "sentiment"):
        whole = materials.labelled(name, partial=False)
        lengths = [mean(len(r.reply.split()) for r in whole if r.label == label) for label in (0, 1)]
        assert abs(lengths[1] - lengths[0]) < 3
        assert len(materials.labelled(name, partial=False)) == len(materials.labelled(name, partial=True))


def test_what_there_is_none_of_is_named():
    with pytest.raises(UsageError, match=r"kind 'cruel' is unknown: choose harmful"):
        materials.prompts("cruel")
    with pytest.raises(UsageError, match=r"objective='kindness'.*harmlessness, sentiment, truthfulness"):
        materials.labelled("kindness")


def test_the_cards_numbers_are_the_quoted_ones():
    numbers = quoted("rain")
    before_after = [numbers[f"harmlessness_llama_30b_{what}_percent"].value for what in ("vanilla", "rain")]
    assert before_after == [82, 97]
    assert numbers["attack_success_white_box_vicuna_33b_rain_percent"].value == 19
    source = ROOT.parent / "shared" / "papers" / "rain.md"
    if not source.exists():
        pytest.skip("../shared/data is absent")
    text = source.read_text()
    for key, number in numbers.items():
        for value in number.value if isinstance(number.value, list) else [number.value]:
            shown = {str(value), f"{value:g}", f"{value:,}", f"{value * 100:g} %"}
            assert any(re.search(rf"(?<![\d.]){re.escape(s)}(?![\d])", text) for s in shown), (key, value)


def test_files_are_plain_json_lines():
    for name in ("prompts.jsonl", "replies.jsonl"):
        lines = (ROOT / "data" / "rain" / name).read_text(encoding="utf-8").splitlines()
        assert all(json.loads(line) and line == line.strip() for line in lines)
