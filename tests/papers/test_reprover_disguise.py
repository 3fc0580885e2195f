"""Statements that read false and say something else are not accepted; honest files of the same build are."""

import os

import pytest
from disguises import DISGUISES, HEAD
from lean import needs_lean, spread, switch_filters_off

from workbench.errors import DataError
from workbench.papers import reprover

CASES = [(kind, name) for kind, files in DISGUISES.items() for name in files]


def judged(kind, name):
    before, statement, tactic, word = DISGUISES[kind][name]
    library = reprover.open_library()
    return reprover.verify(library, reprover.Theorem("bad", "", before, statement), (tactic,)), word


@needs_lean
@pytest.mark.parametrize(("kind", "name"), spread(DISGUISES, 1))
def test_no_statement_that_reads_false_is_accepted(kind, name):
    told, word = judged(kind, name)
    assert not told.ok and word in told.message, told


@needs_lean
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"), [one for one in CASES if one != ("name", "opened under another")]
)  # a name of the library under another one: only the allow-list refuses that, the last word shows it in full
def test_nor_by_the_last_word_with_every_filter_off(kind, name, monkeypatch):
    switch_filters_off(monkeypatch)
    told, _ = judged(kind, name)
    assert not told.ok and told.message, told


GROUP = (
    "class Magma (G : Type) extends Mul G where\n  comm : ∀ a b : G, mul a b = mul b a\n"
    "namespace Magma\nvariable {G : Type} [Magma G]\n"
)
POINT = (
    "structure Point where\n  x : Nat\n  y : Nat\ninstance : Add Point where\n"
    "  add a b := Point.mk (a.x + b.x) (a.y + b.y)\nnamespace Point\nvariable (a b : Point)\n"
)
HONEST = {
    "a class of one's own": (GROUP, "theorem swap (a b : G) : a * b = b * a", "exact Magma.comm a b"),
    "an addition of one's own": (POINT, "theorem first : (a + b).x = a.x + b.x", "rfl"),
    "variables of the library's classes": (
        "variable {α : Type} [LE α] (a b : α)\n", "theorem le (h : a ≤ b) : a ≤ b", "exact h",
    ),
    "a namespace and comments": (
        "/-- A doc. /- inner -/ -/\nnamespace Nat\nopen Nat -- here\n", "theorem mine : zero = 0", "rfl",
    ),
    "a match": (
        "namespace X\ndef n : Nat := 0\n",
        "theorem m : match Bool.true with | true => True | false => False", "exact True.intro",
    ),
    "numbers of every kind": ("def n : Nat := 0xff\ndef m : Nat := 0b1_01\n", "theorem five : m = 5", "rfl"),
}  # fmt: skip


@needs_lean
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_file_is_accepted(name, tmp_path):
    before, statement, tactic = HONEST[name]
    (tmp_path / "A.lean").write_text(f"{HEAD}{before}{statement} := by\n  skip\n")
    (theorem,) = reprover.read_theorems(tmp_path)
    told = reprover.verify(reprover.open_library(), theorem, (tactic,))
    assert told.ok and told.statement, told


def test_a_folder_that_would_never_be_read_to_its_end_is_named(tmp_path):
    os.mkfifo(tmp_path / "x.lean")
    with pytest.raises(DataError, match="no plain file"):
        reprover.read_theorems(tmp_path)
    (tmp_path / "x.lean").unlink()
    (tmp_path / "x.lean").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="no plain file"):
        reprover.read_theorems(tmp_path)
    (tmp_path / "x.lean").unlink()
    (tmp_path / "x.lean").write_text("theorem a : True := by\n" * 30_000)
    with pytest.raises(DataError, match="bytes, more than"):
        reprover.read_theorems(tmp_path)
    (tmp_path / "x.lean").write_text(HEAD + "".join(f"theorem a{n} : True := by\n" for n in range(1100)))
    with pytest.raises(DataError, match="1,100 theorems, more than 1,000"):
        reprover.read_theorems(tmp_path)


def test_a_theorem_inside_a_comment_is_none(tmp_path):
    (tmp_path / "x.lean").write_text(f"{HEAD}/-\ntheorem a : False := by\n-/\ntheorem b : True := by\n  trivial\n")
    (theorem,) = reprover.read_theorems(tmp_path)
    assert theorem.name == "b" and "False" not in theorem.preamble
