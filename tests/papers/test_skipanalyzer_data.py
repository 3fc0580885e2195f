"""SkipAnalyzer's teaching set: counts, its card, no label in a name, and what ecj says of it, measured again."""

import importlib.util
import json
import re
from collections import Counter

import pytest
from java_tools import needs_java

from workbench.data import card, quoted
from workbench.errors import DataError
from workbench.files import ROOT
from workbench.papers.skipanalyzer import data

SET = data.teaching_set()
WORDS = """abstract boolean break byte case catch char class continue default do double else extends final finally
float for if implements import instanceof int interface long new null private protected public return short static super
switch synchronized this throw throws transient try void volatile while true false"""
JAVA = re.findall(r"\w+", WORDS)


def shape(text):
    """A method without names, numbers and texts: each name that is no word of Java is the same."""
    text = re.sub(r'"[^"\n]*"|\'\\?.\'', "s", text)
    return " ".join(
        "x" if word[0].isalpha() and word not in JAVA else word for word in re.findall(r"\w+|[^\w\s]", text)
    )


def test_shape_takes_names_numbers_and_texts_away():
    assert shape('int a(int b) { return b + c("u"); }') == shape('int x(int y)\n{return z + q("vv w");}')
    assert shape("int a() { return 1; }") != shape("int a() { return -1; }")


def test_counts_are_those_of_the_card():
    text = card("skipanalyzer")
    cells = Counter((row.kind, row.buggy, bool(row.warnings)) for row in SET)
    assert len(SET) == 80 and Counter(row.kind for row in SET) == {"null dereference": 40, "resource leak": 40}
    assert f"| {len(SET)} |" in text and f"{len(quoted('skipanalyzer'))} keys" in text
    for kind in ("null dereference", "resource leak"):
        for name, buggy in (("buggy", True), ("clean", False)):
            assert f"| {kind}, {name} | {cells[kind, buggy, True]} | {cells[kind, buggy, False]} |" in text
    true, false = (
        sum(cells[kind, buggy, True] for kind in ("null dereference", "resource leak")) for buggy in (True, False)
    )
    assert true >= 20 and false >= 15
    assert (
        f"warns of {true}, of the 40 clean ones of {false}: precision {true / (true + false):.2f}".replace("0.", ".")
        in text
    )
    rules = Counter((row.buggy, told["rule"].startswith("potential")) for row in SET for told in row.warnings)
    assert (rules[False, False], rules[True, False], rules[True, True]) == (0, 7, 16)
    assert "All 7 of its *definite* warnings are right, and 16 of the 35" in text and rules[False, True] == 35 - 16
    told = Counter(
        tuple(bool(row.warnings) for row in sorted((r for r in SET if r.pair == pair), key=lambda row: not row.buggy))
        for pair in {row.pair for row in SET}
    )
    assert told == {(True, True): 15, (True, False): 8, (False, True): 4, (False, False): 13}
    assert (
        "In 15 pairs it warns of both methods, in 8 of the buggy one alone, in 4 of the clean one alone, in 13" in text
    )


def test_a_pair_shares_all_but_the_bug():
    for pair in {row.pair for row in SET}:
        two = [row for row in SET if row.pair == pair]
        assert sorted(row.buggy for row in two) == [False, True], pair
        for name in ("kind", "half", "frame", "check", "file"):
            assert len({getattr(row, name) for row in two}) == 1, (pair, name)
        (buggy,) = [row for row in two if row.buggy]
        assert buggy.fix and buggy.fix != buggy.method and not [row for row in two if row.fix and not row.buggy]
    assert len({row.id for row in SET}) == len(SET)
    assert Counter(row.half for row in SET if row.buggy) == {"tuning": 20, "test": 20}
    firsts = [row.buggy for row in SET[::2]]
    assert 8 <= sum(firsts) <= 32, "the first of a pair is not always the same"


def test_methods_of_two_pairs_differ_after_names_numbers_and_texts_are_removed():
    found = {}
    for row in SET:
        found.setdefault(shape(row.method), set()).add(row.pair)
    assert len(found) >= 40 and [pairs for pairs in found.values() if len(pairs) > 1] == []


LEAKS = re.compile(
    r"\b\w*(bad|good|flaw|fix|bug|leak|safe|unsafe|wrong|right|correct|npe|nullable|buggy|clean)\w*\b", re.I
)


def test_no_name_and_no_comment_tells_the_label():
    for row in SET:
        assert not re.search(r"//|/\*", row.frame + row.method + row.fix), row.id
        assert not LEAKS.search(row.frame + row.method), (row.id, LEAKS.search(row.frame + row.method))
        assert "import static" not in row.frame and set(re.findall(r"import ([\w.]+\*?);", row.frame)) == {
            "java.io.*",
            "java.util.*",
        }


def test_a_method_stands_whole_in_its_file():
    for row in SET:
        method = row.parsed()
        assert (method.text, method.problem) == (row.method, ""), row.id
        start = row.around[0].count("\n")
        block = row.source.split("\n")[start : start + len(row.method.split("\n"))]
        assert [line.strip() for line in block] == [line.strip() for line in row.method.split("\n")]
        for told in row.findings():
            assert 1 <= told.line <= method.end and told.file == row.file, row.id


@needs_java
def test_the_warnings_are_what_the_compiler_says():
    spec = importlib.util.spec_from_file_location("measure", ROOT / "data" / "skipanalyzer" / "measure.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.measured(SET) == {row.id: row.warnings for row in SET}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame": "class A {}"}, "0 places for the method"),
        ({"warnings": [{"rule": "style", "line": 1, "message": ""}]}, "is no warning of ecj's"),
        ({"buggy": 1}, "line 1"),
    ],
)
def test_a_broken_row_has_its_sentence(tmp_path, change, words):
    first = json.loads((ROOT / "data" / "skipanalyzer" / "methods.jsonl").read_text("utf-8").splitlines()[0])
    (tmp_path / "own.jsonl").write_text(json.dumps(first | change))
    with pytest.raises(DataError, match=words):
        data.teaching_set(tmp_path / "own.jsonl")
