"""Typed rows, quoted numbers and cards: what is shipped holds, and what is wrong is said with its line."""

import json
import re
from dataclasses import dataclass

import pytest

from workbench import data
from workbench.errors import DataError
from workbench.files import ROOT

SHIPPED = sorted(path.parent.name for path in (ROOT / "data").glob("*/paper.json"))


@dataclass(frozen=True)
class Item:
    name: str
    size: float
    count: int = 0
    kind: bool | None = None


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data" / "toy").mkdir(parents=True)

    def write(text, name="rows.jsonl"):
        (tmp_path / "data" / "toy" / name).write_text(text)
        return tmp_path

    return write


def test_rows_are_typed_and_empty_lines_do_not_count(place):
    root = place('{"name": "a", "size": 1}\n\n{"name": "b", "size": 0.5, "count": 2, "kind": null}\n')
    wanted = [Item("a", 1), Item("b", 0.5, 2, None)]
    assert data.rows("toy/rows.jsonl", Item, root=root) == wanted
    assert data.rows(root / "data" / "toy" / "rows.jsonl", Item) == wanted  # a user's own path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: '[1]' is no object"),
        ('{"name": "b"}', "line 2: 'size' is missing (the row has name): add 'size'"),
        ('{"name": "b", "size": 1, "colour": 3}', "line 2: column 'colour' is unknown"),
        ('{"name": 5, "size": 1}', "line 2: 'name' is 5, which is no text: put it in quotes"),
        ('{"name": "b", "size": true}', "line 2: 'size' is True, which is no number"),
        ('{"name": "b", "size": 1, "count": 1.5}', "line 2: 'count' is 1.5, which is no whole number"),
        ('{"name": "b", "size": 1, "kind": "yes"}', "line 2: 'kind' is 'yes', which is no"),
        ('{"size": 1, "name": "a"}', "line 2: the row repeats line 1"),
        ('{"name": "b\\ud800", "size": 1}', "line 2: U+D800 is half a character"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(place, line, said):
    root = place('{"name": "a", "size": 1}\n' + line + "\n")
    with pytest.raises(DataError) as error:
        data.rows("toy/rows.jsonl", Item, root=root)
    assert said in str(error.value) and "rows.jsonl" in str(error.value) and "\n" not in str(error.value)


def test_only_an_end_of_line_ends_a_row(place):
    root = place('{"name": "a\u2028b \\ud83d\\ude00", "size": 1}\r\n{"name": "c", "size": 1}')
    assert [item.name for item in data.rows("toy/rows.jsonl", Item, root=root)] == ["a\u2028b \U0001f600", "c"]


def test_missing_files_and_folders_are_said(place, tmp_path):
    root = place("")
    for call in (
        lambda: data.rows("toy/none.jsonl", Item, root=root),
        lambda: data.quoted("toy", root=root),
        lambda: data.card("toy", root=root),
    ):
        with pytest.raises(DataError, match=r"cannot read .*No such file"):
            call()
    with pytest.raises(DataError, match=r"there is no folder .*nothing"):
        data.folder("nothing", root=root)
    (root / "data" / "toy" / "bad.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"line 1: byte 0xff is not UTF-8"):
        data.rows("toy/bad.jsonl", Item, root=root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n "a": \n}', "paper.json, line 3: not JSON"),
        ("[]", "holds a list"),
        ('{"a": 3}', "entry 'a' must have value, source, read_from and at most a unit"),
        ('{"a": {"value": 3, "source": "x"}}', "entry 'a' must have"),
    ],
)
def test_a_quote_needs_its_source(place, text, said):
    with pytest.raises(DataError, match=re.escape(said)):
        data.quoted("toy", root=place(text, "paper.json"))


def test_quotes_are_read_and_tabled(place):
    root = place('{"the_answer": {"value": 42, "source": "Table 1", "read_from": "the card"}}', "paper.json")
    (quote,) = data.quoted("toy", root=root).values()
    assert str(quote) == "42 (Table 1; read from the card)"
    table = data.quoted_table("toy", root=root).data
    assert str(data.Quoted("share", 5, "Table 2", "the paper", "%")) == "5 % (Table 2; read from the paper)"
    assert table.to_dict("records") == [{"quoted": "the answer", "value": "42", "source": "Table 1"}]


def test_quoted_results_stand_as_model_by_method_beside_their_settings(place):
    quote = {"source": "Table 1", "read_from": "the card", "unit": "%", "measure": "wins"}
    rows = {
        "a": quote | {"value": 5, "model": "small", "method": "plain"},
        "b": quote | {"value": 6, "model": "small", "method": "ours", "source": "Table 2"},
        "c": quote | {"value": 7, "model": "<large>", "method": "ours"},
        "steps": {"value": 3, "source": "the code", "read_from": "the card"},
    }
    root = place(json.dumps(rows), "paper.json")
    table = data.quoted_table("toy", root=root)
    assert table.data.to_dict("records") == [
        {"measure": "wins", "model": "small", "plain": "5 %", "ours": "6 %", "source": "Table 1; Table 2"},
        {"measure": "wins", "model": "<large>", "plain": "", "ours": "7 %", "source": "Table 1"},
    ]
    assert "&lt;large&gt;" in table.to_html() and "<large>" not in table.to_html()
    assert list(data.quoted_table("toy", settings=True, root=root).data["quoted"]) == ["steps"]
    with pytest.raises(DataError, match="for a result measure, model and method"):
        data.quoted("toy", root=place(json.dumps({"a": quote | {"value": 5}}), "paper.json"))


@pytest.mark.parametrize("paper", SHIPPED)
def test_every_shipped_quote_has_a_source_and_a_card(paper):
    found = data.quoted(paper)
    # a survey may have no number of its own; then its card must say so
    assert found or "nothing is quoted" in data.card(paper)
    for quote in found.values():
        assert quote.value not in (None, "", [])
        assert len(str(quote.source).strip()) > 4 and len(str(quote.read_from).strip()) > 4
    card = data.card(paper)
    files = {path.name for path in data.folder(paper).iterdir()} - {"README.md", "__pycache__"}
    assert [name for name in sorted(files) if name not in card] == []


def test_randomness_is_among_what_is_shipped():
    assert "randomness" in SHIPPED


def test_presets_are_distinct_and_what_they_say():
    from workbench.papers.randomness import ALPHABETS, parse_flips, presets, random_flips, repeat_concept

    found = presets()
    assert len(found) >= 8
    assert len({preset.name for preset in found}) == len({preset.flips for preset in found}) == len(found)
    for preset in found:
        assert preset.flips == parse_flips(preset.flips) and len(preset.flips) == 40
        word = re.search(r"the word ([01]+) repeated", preset.about)
        if word:
            assert preset.flips == repeat_concept(word[1], 40)
        seed = re.search(r"numpy's generator, seed (\d+)", preset.about)
        if seed:
            assert preset.flips == random_flips(40, int(seed[1])) and preset.random is True
    by_name = {preset.name: preset.flips for preset in found}
    assert by_name["Thue-Morse"] == "".join("HT"[i.bit_count() % 2] for i in range(40))
    assert by_name["Champernowne"] == parse_flips("".join(f"{i:b}" for i in range(1, 20))[:40])
    fraction, bits = 3.141592653589793 - 3, ""
    for _ in range(40):  # exact: doubling a double loses nothing
        fraction *= 2
        bits += str(int(fraction))
        fraction -= int(fraction)
    assert by_name["pi"] == parse_flips(bits)
    assert set(ALPHABETS) == {"words", "digits"}


def test_rows_of_a_paper_differ_by_more_than_names_numbers_and_case():
    """The house rule. A preset's content is its flips: they are neither a name nor a number."""
    path = data.folder("randomness") / "presets.jsonl"
    seen = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        row = json.loads(line)
        row.pop("name")
        text = re.sub(r"\d+", "", json.dumps(row, sort_keys=True).lower())
        assert text not in seen, f"line {number} says what line {seen.get(text)} says"
        seen[text] = number
