"""`workbench run reprover` with a user's own theorems and a user's own benchmark; what is wrong with them is said."""

import json
import re

import pytest
from lean import needs_lean

from workbench.errors import DataError
from workbench.papers import reprover

FILES = {
    "Easy.lean": "theorem easy_and (p q : Prop) (hp : p) (hq : q) : p ∧ q\n\n"
    "theorem easy_eq (n : Nat) :\n    n = n := by\n  rfl\n\n"
    "theorem with_default (n : Nat := 0) : n + 0 = n := by\n  sorry\n",
    "False.lean": "theorem zero_is_one : (0 : Nat) = 1 := by\n  sorry\n",
    "Malformed.lean": "theorem malformed (n : Nat : n = := by\n",
    "Hostile.lean": "axiom bad : False\ntheorem hostile : False := bad\ntheorem given_up : sorry := trivial\n",
    "Prelude.lean": "prelude\nimport Mini.Algebra\naxiom cheat : (2 : Nat) = 3\n\n"
    "theorem from_cheat (h : (2 : Nat) = 3) : (2 : Nat) = 3 := by\n  exact h\n",
}


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@needs_lean
@pytest.mark.slow
def test_a_proof_from_the_users_own_axiom_is_rejected(tmp_path):
    text = "prelude\nimport Mini.Algebra\naxiom cheat : (2 : Nat) = 3\n\ntheorem cheated : (2 : Nat) = 3\n    := by\n"
    (theorem,) = reprover.read_theorems(write(tmp_path / "mine", {"A.lean": text + "  exact cheat\n"}))
    with reprover.Session() as session:
        tried = reprover.attempt(session, theorem, tactics=["exact cheat"], calls=3)
        assert tried.status == "rejected" and "axioms that are not allowed: cheat" in tried.message


def test_a_benchmark_without_a_split_is_named(tmp_path):
    own = reprover.own_corpus()
    parts = {"train": own.theorems[:5], "val": own.theorems[5:7], "test": own.theorems[7:9]}
    folder = tmp_path / "leandojo_benchmark_4"
    reprover.save_corpus(own, folder, {"random": parts})
    assert reprover.load_corpus(folder, "random")[1].keys() == parts.keys()
    with pytest.raises(DataError, match=re.escape(str(folder))):
        reprover.load_corpus(folder, "novel_premises")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "there is no folder"),
        ({}, "holds no .lean file"),
        ({"A.lean": "def f := 0\n"}, "A.lean holds no theorem"),
        ({"A.lean": "theorem : True\n"}, "A.lean: 'theorem : True' is no statement"),
        ({"A.lean": "theorem t : True\n", "B.lean": "theorem t : True\n"}, "the name 't' is used twice"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named_in_one_sentence(tmp_path, files, words):
    folder = tmp_path / "mine"
    if files is not None:
        write(folder, files)
    with pytest.raises(DataError, match=re.escape(words)):
        reprover.read_theorems(folder)


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "A.lean").write_bytes(b"theorem t : \xff\xfe\n")
    with pytest.raises(DataError, match=r"A\.lean is not UTF-8 text \(byte 12\)"):
        reprover.read_theorems(tmp_path)


def test_what_stands_behind_the_statement_is_never_read(tmp_path):
    folder = write(tmp_path / "mine", {name: text for name, text in FILES.items() if name != "Prelude.lean"})
    found = {theorem.name: theorem for theorem in reprover.read_theorems(folder)}
    assert set(found) == {"easy_and", "easy_eq", "with_default", "zero_is_one", "malformed", "hostile", "given_up"}
    assert found["hostile"].statement == "theorem hostile : False"
    assert found["with_default"].statement == "theorem with_default (n : Nat := 0) : n + 0 = n"
    assert not any("axiom" in json.dumps([one.preamble, one.statement]) for one in found.values())


def test_an_unknown_traced_theorem_is_named_with_those_close_to_it():
    with pytest.raises(DataError, match=r"'add_comm'; close: .*Nat\.add_comm"):
        reprover.own_corpus().theorem("add_comm")


def test_premises_that_the_reference_skips_are_skipped_and_counted(tmp_path):
    place = {"start": [1, 1], "end": [1, 9], "kind": "commanddeclaration"}
    rows = [
        {"full_name": None, "code": "instance : A", **place},
        {"full_name": None, "code": "", **place},
        {"full_name": "user__.n1", "code": "def x", **place},
        {"full_name": "A.empty", "code": "", **place},
        {"full_name": "[A.b, A.c]", "code": "mutual", **place},
        {"full_name": "A.kept", "code": "theorem A.kept : True", **place},
    ]
    line = {"path": "A.lean", "imports": [], "premises": rows}
    (tmp_path / "corpus.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "theorems.json").write_text("[]\n")
    corpus = reprover.load_corpus(tmp_path)
    assert [premise.full_name for premise in corpus.premises] == ["A.kept"]
    assert sorted(corpus.skipped.values()) == [1, 1, 1, 2] and corpus.skipped["no name"] == 2


@needs_lean
def test_a_library_below_a_hidden_folder_is_found(tmp_path):
    folder = tmp_path / ".hidden" / "mine"
    (folder / ".lake").mkdir(parents=True)
    (folder / "A.lean").write_text("prelude\n")
    (folder / ".lake" / "B.lean").write_text("prelude\n")
    assert reprover.open_library(folder).modules == ("A",)
