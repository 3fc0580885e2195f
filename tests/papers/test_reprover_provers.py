"""The provers of the floor, theorems of one's own, settings, and the flat steps of a proof."""

import pytest
from lean import needs_lean

from workbench.errors import DataError, UsageError
from workbench.papers import reprover
from workbench.papers.reprover.lean import source


def test_majority_tactic():
    assert reprover.majority_tactic(reprover.own_corpus().theorems) == "rfl"
    with pytest.raises(DataError, match="no tactic"):
        reprover.majority_tactic(())


@needs_lean
def test_the_hand_written_prover_proves_what_is_easy_and_fails_honestly(tmp_path):
    (tmp_path / "own.lean").write_text(
        "theorem easy (p q : Prop) (hp : p) (hq : q) : p ∧ q\n\ntheorem wrong : (0 : Nat) = 1 := by sorry\n\n"
        "theorem broken : nothing\n"
    )
    (tmp_path / "cheat.lean").write_text(
        "prelude\nimport Mini.Logic\naxiom cheat : False\n\ntheorem cheated (h : False) : True := by\n  trivial\n"
    )
    found = {theorem.name: theorem for theorem in reprover.read_theorems(tmp_path)}
    assert set(found) == {"easy", "wrong", "broken", "cheated"}
    with reprover.Session() as session:
        told = {name: reprover.attempt(session, theorem, calls=25) for name, theorem in found.items()}
        assert reprover.attempt(session, found["easy"], tactics=["rfl"]).status == "failed"
    assert {name: one.status for name, one in told.items()} == {
        "easy": "proved", "wrong": "failed", "broken": "not opened", "cheated": "proved",
    }  # fmt: skip
    assert told["easy"].script == ("trivial",) and told["wrong"].calls <= 25


def test_a_folder_without_theorems_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no \.lean file"):
        reprover.read_theorems(tmp_path)
    (tmp_path / "x.lean").write_text("def x := 0\n")
    with pytest.raises(DataError, match="holds no theorem"):
        reprover.read_theorems(tmp_path)


def test_settings():
    assert reprover.PROFILES.fill("smoke", calls=3)["calls"] == 3
    for wrong in ({"profile": "tiny"}, {"profile": "smoke", "calls": 0}):
        with pytest.raises(UsageError):
            reprover.PROFILES.fill(**wrong)


def test_flat_steps_by_hand():
    text = (
        "prelude\nnamespace N\ntheorem t (p : Prop) : p ↔ p := by\n  constructor\n  · intro h\n    exact h\n"
        "  · intro h\n    cases h with\n"
        "    | a => skip\n    | b x =>\n      rfl\n\ntheorem u : p := by trivial\nend N\n"
    )
    t, u = source.proofs(text, "M")
    assert t.theorem.name == "N.t" and t.theorem.statement == "theorem t (p : Prop) : p ↔ p" and t.theorem.line == 3
    assert [s.tactic for s in t.steps] == [
        "constructor", "intro h", "exact h", "intro h", "cases h with | a => ?_ | b x => ?_", "skip", "rfl",
    ]  # fmt: skip
    assert [s.first for s in t.steps] == [4, 5, 6, 7, 8, 9, 11]
    assert [s.tactic for s in u.steps] == ["trivial"] and u.theorem.preamble == "\n".join(text.split("\n")[:12]) + "\n"
