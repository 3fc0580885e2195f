"""No text leaves the proof body: each hostile tactic is refused, or harmless in the real kernel."""

import sys

import pytest
from hypothesis import given, strategies as st
from lean import needs_lean

from workbench.papers import reprover
from workbench.papers.reprover import last_word
from workbench.papers.reprover.lean import safety

# None of these may prove 0 = 1. The first group must not even reach Lean.
REFUSED = [
    # giving up
    "sorry",
    "exact sorry",
    "exact sorryAx _ false",
    "exact sorryAx (0 = 1) true",
    "admit",
    "stop",
    "exact _root_.sorryAx _",
    "skip; sorry",
    "skip <;> sorry",
    "(sorry)",
    "· sorry",
    "exact id sorry",
    "have h : 0 = 1 := sorry\nexact h",
    "first | rfl | sorry",
    "exact\nsorry",
    "exact f 0x1sorry",
    "exact f 0b1sorry",
    "exact f 1sorry",
    "exact λsorry",
    "exact Σsorry",
    "case _ => sorry",
    "exact (by sorry)",
    # a new declaration
    "skip\naxiom bad : 0 = 1",
    "axiom bad : 0 = 1",
    "rfl\n\ntheorem t2 : True := True.intro",
    "rfl\nend\nnamespace X",
    "skip\nend Nat",
    "rfl\ndef f := 0",
    "rfl\nopaque c : 0 = 1",
    "constant c : 0 = 1",
    "rfl\ninstance : Nat := 0",
    "rfl\nunsafe def f : 0 = 1 := f",
    "rfl\ninductive Bad : Type",
    "rfl\nstructure S where",
    "rfl\nmutual",
    "rfl\nvariable (h : 0 = 1)",
    "rfl\nuniverse z",
    "init_quot",
    "rfl\nprivate theorem u : True := True.intro",
    "let rec f : 0 = 1 := f\nwhere f := f",
    "exact f where f : 0 = 1 := f",
    "exact f\ntermination_by 0\ndecreasing_by skip",
    # new grammar, options, attributes
    'macro "m" : tactic => `(tactic| rfl)',
    'syntax "m" : tactic',
    'elab "m" : tactic => skip',
    'notation "x" => 0',
    "set_option maxRecDepth 100000 in rfl",
    "set_option debug.skipKernelTC true in exact rfl",
    "open Lean in rfl",
    "attribute [simp] bad in rfl",
    "@[simp] theorem x : True := True.intro",
    "local instance : Nat := 0",
    "declare_simp_like_tactic x",
    # code that would run
    "#eval 1",
    "run_tac skip",
    "run_cmd skip",
    "run_elab skip",
    "native_decide",
    "decide +native",
    "decide (config := {native := true})",
    "by_elab skip",
    "exact Lean.ofReduceBool _ _ rfl",
    "exact IO.println",
    "exact (unsafeCast rfl)",
    "exact lcProof",
    "exact lcUnreachable",
    "dbg_trace",
    "initialize x : Nat := 0",
    'exact include_str "/etc/passwd"',
    "bv_decide",
    "polyrith",
    # files
    "import Mini.Algebra",
    "prelude",
    "rfl\nimport Lean",
    "export Nat (add)",
    # comments, quotes, unicode
    "rfl -- and so on",
    "/- ",
    "rfl /- open",
    "-/ rfl",
    "/-- doc -/ rfl",
    "exact «sorry»",
    "exact «end»",
    "exact `Nat",
    "exact $x",
    'exact "',
    "exact ')'",
    "rfl\ttab",
    "rfl\r\nsorry",
    "rfl\u2028axiom x : 0 = 1",
    "rfl\u00a0",
    "rfl\u200b",
    "rfl\u202e",
    "rfl\x00",
    "rfl\u0085end",
    "\uff53\uff4f\uff52\uff52\uff59",
    "so\u0301rry",
    "exact \uff08rfl\uff09",
    "rfl\ufeff",
    "exact f\\n",
    "rfl\U000e0041",
    # brackets and length
    "exact (rfl",
    "exact rfl)",
    "rw [Nat.add_comm",
    "exact ⟨rfl",
    "exact (rfl]",
    "",
    "   ",
    "\n",
    "skip\n" * 1000,
]
# The second group passes the filter, so Lean itself must not accept any of it.
HARMLESS = [
    "rfl",
    "decide",
    "simp",
    "trivial",
    "assumption",
    "contradiction",
    "exact rfl",
    "exact id _",
    "exact ?_",
    "exact _",
    "refine ?h",
    "exact t",
    "exact @t",
    "apply t",
    "exact hostile",
    "rw [hostile]",
    "simp [hostile]",
    "have h : 0 = 1 := hostile\nexact h",
    "exact (fun h => h) hostile",
    "let x := 0 = 1; exact x",
    "exact Eq.refl 0",
    "exact Nat.noConfusion rfl",
    "try rfl",
    "skip",
    "all_goals skip",
    "repeat' trivial",
    "first | rfl | skip",
    "any_goals rfl",
    "case x => rfl",
    "exact False.elim (by decide)",
    "show 0 = 0\nrfl",
    "change 0 = 0",
    "clear hostile",
    "exfalso",
    "cases (rfl : 0 = 0)",
    "generalize 0 = x",
    "· skip",
    "done",
    "funext",
    "symm\nrfl",
    "suffices h : 0 = 1 by exact h\nskip",
    "have : False := by decide\ncontradiction",
    "injection (rfl : 0 = 0)",
    "calc 0 = 0 := rfl",
    "exact match 0 with | _ => rfl",
    "fail",
    "revert\nrfl",
    "intro\n| _ => rfl",
    "exact if 0 = 1 then rfl else rfl",
]
FINE = [
    "rw [Nat.add_comm]",
    "induction n with\n| zero => ?_\n| succ n ih => ?_",
    "exact ⟨h₁, h'.2⟩",
    "simp only [Nat.add_zero] at h ⊢",
    "obtain ⟨x, hx⟩ := h",
    "intro x y h1",
    "refine ⟨fun h => ?_, ?_⟩",
    "cases h with | inl a => ?_ | inr b => ?_",
    "rw [← ih, h]",
    "apply Or.inl",
    "exists 0",
    "exact f 0 1",
    "unfold List.map",
]


@pytest.mark.parametrize("tactic", REFUSED, ids=lambda text: ascii(text[:30]))
def test_hostile_text_is_refused_before_it_reaches_lean(tactic):
    assert reprover.refusal(tactic)


@pytest.mark.parametrize("tactic", [*FINE, *HARMLESS], ids=lambda text: ascii(text[:30]))
def test_ordinary_tactics_pass(tactic):
    assert reprover.refusal(tactic) is None


def test_there_are_enough_hostile_strings_and_all_differ():
    assert len({*REFUSED, *HARMLESS}) == len(REFUSED) + len(HARMLESS) >= 60


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40), st.sampled_from(sorted(safety.WORDS)))
def test_a_forbidden_word_is_found_wherever_it_stands(rest, word):
    for text in (f"{word} {rest}", f"{rest} {word}", f"exact ({word}) {rest}", f"rfl\n{word}\n{rest}"):
        assert reprover.refusal(text)


@given(st.text(max_size=60))
def test_any_text_gets_an_answer_and_what_passes_is_printable(text):
    if reprover.refusal(text) is None:
        assert all(c.isprintable() or c == "\n" for c in text)


@needs_lean
def test_no_hostile_tactic_proves_a_falsehood():
    falsehood = reprover.own_theorem("theorem hostile : (0 : Nat) = 1")
    with reprover.Session(timeout=20) as session:
        state = session.open(falsehood)
        assert isinstance(state, reprover.TacticState)
        for tactic in [*HARMLESS, *REFUSED]:
            before = session.restarts
            answer = session.run_tac(state, tactic)
            assert not isinstance(answer, reprover.ProofFinished), tactic
            if session.restarts > before:  # a slow answer on a busy machine also restarts Lean: once more, alone
                before = session.restarts
                assert not isinstance(session.run_tac(state, tactic), reprover.ProofFinished), tactic
                assert session.restarts == before, f"{tactic!r} brings Lean down"
            if tactic in REFUSED:
                assert isinstance(answer, reprover.LeanError) and "refused" in answer.message


@needs_lean
@pytest.mark.parametrize(
    "tactic", ["exact sorryAx _ false", "exact sneak\naxiom sneak : (0 : Nat) = 1", "skip", "exact rfl",
               "skip\nend", "exact lcProof", "exact lcUnreachable"],
)  # fmt: skip
def test_the_kernel_refuses_what_a_broken_filter_lets_through(tactic, monkeypatch):
    monkeypatch.setattr(last_word, "refusal", lambda text: None)
    falsehood = reprover.own_theorem("theorem hostile : (0 : Nat) = 1")
    told = reprover.verify(reprover.open_library(), falsehood, (tactic,))
    assert not told.ok and told.message and "refused" not in told.message


@needs_lean
def test_an_axiom_of_the_file_does_not_count_as_a_proof():
    theorem = reprover.own_theorem("theorem hostile : (0 : Nat) = 1")
    smuggled = reprover.Theorem(
        theorem.name, "", theorem.preamble + "axiom sneak : (0 : Nat) = 1\n", theorem.statement, theorem.line + 1
    )
    told = reprover.verify(reprover.open_library(), smuggled, ("exact sneak",))
    assert not told.ok and "sneak" in told.message and told.axioms == ("sneak",)


@needs_lean
def test_axioms_of_the_core_are_allowed():
    theorem = reprover.own_theorem("theorem ext (p q : Prop) (h : p ↔ q) : p = q")
    told = reprover.verify(reprover.open_library(), theorem, ("exact propext h",))
    assert told.ok and told.axioms == ("propext",)


def test_the_filter_needs_no_lean():
    assert "leanclient" not in sys.modules or reprover.lean_available()
