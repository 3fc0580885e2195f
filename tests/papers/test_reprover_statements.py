"""Statements as competition mathematics writes them pass the filter; session and last word agree on tactics.

miniF2F's own 488 statements were not at hand: those below are written in its manner, with every sign that made the
filter refuse them.
"""

import itertools

import pytest
from lean import needs_lean

from workbench.papers import reprover
from workbench.papers.reprover.lean import states

STATEMENTS = """
(x : ℝ) (h₀ : 2 * x + 3 = 7) : x = 2
(n : ℕ) (h₀ : n % 5 = 3) : (2 * n) % 5 = 1
(a b : ℤ) (h₀ : a ∣ b) : a ∣ 3 * b
(z : ℂ) (h₀ : z = (1 + Complex.I) / Real.sqrt 2) : z ^ 8 = 1
(q : ℚ) (hq : q ≠ 0) : q * q⁻¹ = 1
: (2003 ! : ℕ) % 7 = 0
(S : Finset ℕ) (h₀ : ∀ n, n ∈ S ↔ n ∣ 80) : (∑ k ∈ S, k) = 186
: ∑ k in Finset.Icc 1 12, (k : ℤ) ^ 2 = 650
(f : ℝ → ℝ) (h₀ : ∀ x, f x = x ^ 2 - 7 * x + 5) : f 3 = -7
(σ : Equiv ℝ ℝ) (h : σ.1 2 = σ.2 2) : σ.1 (σ.1 2) = 2
(A B : Set ℕ) (h : A ⊆ B) : A \\ B = ∅
(A B : Set ℝ) (h : Set.Subset.def = Set.Subset.def) : A \\ B ⊆ A
(f g : ℕ → ℕ) : (f $ g 2) = f (g 2)
(s : Finset ℕ) (h : #s = 3) : 0 < #s
(x y : ℝ) (h₀ : |x - y| ≤ 1) : ‖x - y‖ ≤ 1
(x : NNReal) (h₀ : Real.log (4 * x) / Real.log 2 = 3) : x = 2
: ⌊(Real.sqrt 17 : ℝ)⌋ = 4
: ⌈(3.5 : ℝ)⌉ = 4
(a : ℕ → ℕ) (h : ∀ n > 0, a (n + 1) = a n + 1) : ∃! k, a k = a 1
: IsLeast {n : ℕ | 0 < n ∧ n % 3 = 2 ∧ n % 5 = 4} 14
(n : ℕ) (h₀ : 3 * n ≡ 4 [MOD 7]) : n ≡ 6 [MOD 7]
(m n : ℤ) (h₁ : m ≡ n [ZMOD 4]) : m ^ 2 ≡ n ^ 2 [ZMOD 4]
(f : ℤ → ℤ) (h : ∀ a b, f (2 * a) + 2 * f b = f (f (a + b))) : ∀ x, f x = 0 ∨ ∃ c, ∀ x, f x = 2 * x + c
(x : ℝ) (h₀ : x ∈ Set.Icc 0 (2 * Real.pi)) : Real.sin x ≤ 1
(x : ℝ) (h : x ∈ Set.Ioo (-π / 2) (π / 2)) : 0 < Real.cos x
(a b c : ℝ) (h₀ : 0 < a ∧ 0 < b ∧ 0 < c) : a / b + b / c + c / a ≥ 3
(f : ℕ → ℕ) (hf : f = fun n => n ^ 2) : f '' {1, 2} = {1, 4}
(f : ℝ → ℝ) (s : Set ℝ) : f ⁻¹' s = {x | f x ∈ s}
(p : ℕ) (hp : Nat.Prime p) (h : p ≠ 2) : p % 2 = 1
: Nat.gcd 180 168 = 12
(n : ℕ) : (n.succ)! = (n + 1) * n !
(x : ℝ) (h : x⁻¹ + x = 5 / 2) : x = 2 ∨ x = 1 / 2
: (1 + 1 / 2 : ℚ) = 3 / 2
(s : ℕ → ℚ) (h : ∀ n, s n = ∑ i ∈ Finset.range n, (1 : ℚ) / 2 ^ i) : s 3 = 7 / 4
: (∏ k ∈ Finset.Icc (1 : ℕ) 7, (1 + (1 : ℝ) / k)) = 8
(M : Matrix (Fin 2) (Fin 2) ℝ) (h : M = !![1, 2; 3, 4]) : M.det = -2
(f : ℕ+ → ℕ+) (h : ∀ n, f (n + 1) > f (f n)) : ∀ n, f n = n
(a : ℝ) (f : ℝ → ℝ) (ha : 0 < a) (h : Function.Periodic f (2 * a)) : ∃ b > 0, ∀ x, f (x + b) = f x
(x y : ℝ≥0) : x + y = y + x
(𝒜 : Set (Set ℕ)) (h𝒜 : ∅ ∈ 𝒜) : 𝒜.Nonempty
(𝕜 : Type) [Field 𝕜] (x : 𝕜) : x + 0 = x
(K : Type*) [Field K] (v w : K) (hv : v ≠ 0) : v * v⁻¹ = 1
(x : ℝ) -- the side
  (h₀ : 0 < x) -- it is positive
  : x ≠ 0
(n : ℕ) /- the number -/ (h₀ : n ∣ 12) : n ≤ 12
(a b : ℤ) (h₀ : ¬ (a : ℤ) ∣ b) : a ≠ 1
(b h v : ℝ) (h₀ : 0 < b ∧ 0 < h ∧ 0 < v) (h₁ : v = 1 / 3 * (b * h)) (h₂ : b = 30) (h₃ : h = 13 / 2) : v = 65
(θ : ℝ) (h₀ : Real.tan θ = 5) : (1 - Real.cos (2 * θ)) / Real.sin (2 * θ) = 5
(Γ Δ : Set ℕ) (hΓ : Γ ⊂ Δ) : Γ ≠ Δ
(f : ℂ → ℂ) (hf : ∀ z, f z = (starRingEnd ℂ) z) : f Complex.I = -Complex.I
: (5 ^ 999999 : ℕ) % 7 = 6
: ¬ ∃ x : ℤ, ∃ y : ℤ, x ^ 2 + 3 * x * y - 2 * y ^ 2 = 122
(S : Finset ℝ) (h : ∀ x : ℝ, x ∈ S ↔ x ^ 2 = 7) : S.card = 2
(x : ℕ) (h : (x : ℝ) = ↑5) : x = 5
(n : ℕ) (h₀ : n = 11) : (1 / 4) ^ (n + 1) * 2 ^ (2 * n) = (1 : ℚ) / 4
(f : Equiv.Perm (Fin 3)) : f.symm.trans f = 1
(x : ℤ) (h : x.natAbs = 3) : x = 3 ∨ x = -3
(d : ℕ → ℕ) (h : ∀ n, d n = ((Nat.digits 10 n).sum)) : d 123 = 6
(z w : ℂ) (h : ‖z‖ = ‖w‖) : Complex.abs z = Complex.abs w
(t s : ℝ) (h : s = 9 - 2 * t ∧ t = 3 * s + 1) : s = 1 ∧ t = 4
(a : ℕ → ℝ) (h : StrictMono a) : a 1 < a 2
(x : ℝ) (h : (x + 1) ^ (2 : ℕ) * x = (2 : ℝ)⁻¹) : x < 1
(m n k : ℕ) (h : m ∉ ({n, k} : Finset ℕ)) : m ≠ n
(u v : EuclideanSpace ℝ (Fin 2)) : ⟪u, v⟫_ℝ = ⟪v, u⟫_ℝ
"""


def cut() -> list[str]:
    found: list[str] = []
    for line in STATEMENTS.strip("\n").split("\n"):
        if line.startswith("  "):
            found[-1] += "\n" + line
        else:
            found.append(line)
    return [f"theorem s{number} {text}" for number, text in enumerate(found)]


def test_statements_in_the_manner_of_competitions_pass():
    statements = cut()
    assert len(statements) >= 60
    refused = {}
    for text in statements:
        theorem = reprover.own_theorem(text)
        reason = states.statement_refusal(theorem.statement)
        if reason:
            refused[text] = reason
        assert "--" not in theorem.statement and "/-" not in theorem.statement
    assert refused == {}


@pytest.mark.parametrize(
    "text",
    [
        "theorem a : True #eval 1",
        "theorem a : True \\ #print a",
        "theorem a (s : #check s) : True",
        "theorem a : 𝓼𝓸𝓻𝓻𝔂",
        "theorem a : ſorry",
        "theorem a : x ..axiom cheat",
        "theorem a : h.1 axiom cheat",
        "theorem a : $x",
        "theorem a : with_decl_name% b True",
        "theorem a (x : Nat /- ) : True -/) : False",
        "theorem a /- open",
        "theorem «a b» : True",
        "@[init] theorem a : True",
    ],
)
def test_what_only_looks_like_those_is_still_refused(text):
    assert states.statement_refusal(text)


WORDS = ["skip", "rfl", "constructor", "repeat constructor", "repeat (first | constructor | rfl)", "exact rfl",
         "all_goals rfl", "repeat' constructor", "intro x", "try rfl", "constructor <;> rfl", "trivial", "simp",
         "exact Nat.add_comm 1 2", "exact ⟨rfl, rfl⟩", "fail", "exact server", "any_goals skip", "decide", "assumption",
         "first | done | skip", "rotate_right", "· rfl", "case left => rfl", "refine ⟨?_, ?_⟩"]  # fmt: skip
PROPOSITIONS = [
    "True ∧ True",
    "(1 : Nat) + 2 = 2 + 1",
    "∀ n : Nat, n = n ∧ True",
    "(0 : Nat) = 1",
    "True ∧ (0 : Nat) = 1",
]


@needs_lean
@pytest.mark.slow
def test_session_and_last_word_agree_on_every_tactic():
    scripts = [(word,) for word in WORDS] + list(itertools.product(WORDS[:8], WORDS[1:9]))[::3]
    finished = 0
    with reprover.Session(timeout=30) as session:
        for number, proposition in enumerate(PROPOSITIONS):
            opened = session.open(reprover.own_theorem(f"theorem asked : {proposition}"))
            for script in scripts[number % 3 :: 3]:
                answer = opened
                for tactic in script:
                    if isinstance(answer, reprover.TacticState):
                        answer = session.run_tac(answer, tactic)
                done = isinstance(answer, reprover.ProofFinished)
                told = reprover.verify(session.library, opened.theorem, answer.script if done else script)
                assert told.ok == done, (proposition, script, answer, told)
                finished += done
        assert session.restarts == 0 and finished >= 8


@needs_lean
def test_a_tactic_that_loops_to_the_end_finishes_and_a_name_is_no_death():
    with reprover.Session(timeout=30) as session:
        opened = session.open(reprover.own_theorem("theorem a : True ∧ True ∧ True"))
        for tactic in ("repeat constructor", "repeat' constructor", "constructor\nrepeat constructor"):
            done = session.run_tac(opened, tactic)
            assert isinstance(done, reprover.ProofFinished), (tactic, done)
            assert session.verify(done).statement == "And True (And True True)"
        file = reprover.Theorem("a", "", "prelude\nimport Mini.Algebra\ndef f : Nat := server\n", "theorem a : True")
        answer = session.open(file)
        assert isinstance(answer, reprover.LeanError) and "Unknown identifier `server`" in answer.message
        assert session.restarts == 0


@needs_lean
def test_two_states_do_not_print_alike():
    deep = "theorem a : (0 : Nat) = " + "Nat.succ (" * 90 + "{}" + ")" * 90
    with reprover.Session(timeout=30) as session:
        shown = [session.open(reprover.own_theorem(deep.format(end))).pp for end in ("0", "1")]
    assert shown[0] != shown[1] and "⋯" not in shown[0]


@needs_lean
def test_a_tactic_that_ends_too_early_is_not_completed_by_what_is_asked_behind_it():
    with reprover.Session(timeout=30) as session:
        opened = session.open(reprover.own_theorem("theorem a (p : Prop) (done : p) : p"))
        for tactic in ("exact", "refine", "apply", "have h : p :="):
            assert isinstance(session.run_tac(opened, tactic), reprover.LeanError), tactic
            assert not reprover.verify(session.library, opened.theorem, (tactic,)).ok
        assert isinstance(session.run_tac(opened, "exact done"), reprover.ProofFinished)
        opened = session.open(reprover.own_theorem("theorem a (p : Prop) (h : p) : p"))
        assert session.run_tac(opened, "exact").message == "the tactic is not complete: something must follow it"
