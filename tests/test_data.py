"""Typed rows and quotes: what is wrong with a file is said with its line, when it is read."""

import json
from dataclasses import dataclass

import pytest

from workbench import data
from workbench.errors import DataError
from workbench.files import ROOT


@dataclass(frozen=True)
class Item:
    name: str
    score: float
    tags: list[str] | None = None


def file(tmp_path, *lines):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_rows_are_typed(tmp_path):
    path = file(tmp_path, '{"name": "a", "score": 1}', "", '{"name": "b", "score": 0.5, "tags": ["x"]}')
    assert data.rows(path, Item) == [Item("a", 1), Item("b", 0.5, ["x"])]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"name": "b"}', "line 2: the row lacks score, tags"),
        ('{"name": "b", "score": "high"}', "line 2: score='high' is not a float"),
        ('{"name": "b", "score": true}', "line 2: score=True is not a float"),
        ('{"name": "b", "score": 1, "tag": []}', "line 2: column 'tag' is unknown; a row has name, score, tags"),
        ('{"name": "b", "score": 1, "tags": 3}', "line 2: tags=3 is not a"),
        ('{"name": "b"', "line 2: not JSON"),
        ("[1, 2]", "line 2: a row is an object of columns, not a list"),
        ('{"score": 1, "name": "a"}', "line 2 repeats line 1"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, line, said):
    with pytest.raises(DataError) as error:
        data.rows(file(tmp_path, '{"name": "a", "score": 1}', line), Item)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        data.rows("randomness/absent.jsonl", Item)
    (tmp_path / "latin.jsonl").write_bytes(b'{"name": "caf\xe9"}')
    with pytest.raises(DataError, match="is not UTF-8 text"):
        data.rows(tmp_path / "latin.jsonl", Item)
    with pytest.raises(DataError, match="there is no folder"):
        data.folder("randomnes")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": {"value": 1, "source": "s"}}', "entry 'a' must have exactly value, source and read_from"),
        ('{"a": 3}', "entry 'a' must have exactly"),
        ("[]", "holds a list"),
        ("{", "not JSON"),
    ],
)
def test_a_quote_needs_its_source(tmp_path, content, said):
    (tmp_path / "data" / "x").mkdir(parents=True)
    (tmp_path / "data" / "x" / "paper.json").write_text(content)
    with pytest.raises(DataError, match=said):
        data.quoted("x", root=tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "data").iterdir()), ids=lambda path: path.name)
def test_every_data_folder_has_its_card_and_sourced_quotes(path):
    text = data.card(path.name)
    quotes = data.quoted(path.name)
    assert quotes and all(q.source and q.read_from and q.key == key for key, q in quotes.items())
    for one in path.iterdir():
        assert one.name == "README.md" or one.name in text, f"the card says nothing of {one.name}"
    assert len(data.quoted_table(path.name)) == len(quotes)
    key, one = next(iter(quotes.items()))
    assert one.source in str(one) and json.loads((path / "paper.json").read_text())[key]["value"] == one.value
