prelude
import Mini.Syntax
/-! # Propositions: and, or, not, iff, quantifiers. -/
set_option autoImplicit false
universe u v

namespace Logic

theorem and_swap {p q : Prop} (h : p ∧ q) : q ∧ p := by
  cases h with
  | intro hp hq =>
    constructor
    · exact hq
    · exact hp

theorem and_assoc_right {p q r : Prop} (h : (p ∧ q) ∧ r) : p ∧ (q ∧ r) := by
  obtain ⟨⟨hp, hq⟩, hr⟩ := h
  constructor
  · exact hp
  · constructor
    · exact hq
    · exact hr

theorem and_assoc_left {p q r : Prop} (h : p ∧ (q ∧ r)) : (p ∧ q) ∧ r := by
  obtain ⟨hp, hq, hr⟩ := h
  constructor
  · constructor
    · exact hp
    · exact hq
  · exact hr

theorem and_comm (p q : Prop) : p ∧ q ↔ q ∧ p := by
  constructor
  · intro h
    exact and_swap h
  · intro h
    exact and_swap h

theorem and_assoc (p q r : Prop) : (p ∧ q) ∧ r ↔ p ∧ (q ∧ r) := by
  constructor
  · intro h
    exact and_assoc_right h
  · intro h
    exact and_assoc_left h

theorem and_self_iff (p : Prop) : p ∧ p ↔ p := by
  constructor
  · intro h
    exact h.left
  · intro h
    exact ⟨h, h⟩

theorem and_map {p q r s : Prop} (f : p → r) (g : q → s) (h : p ∧ q) : r ∧ s := by
  cases h with
  | intro hp hq =>
    constructor
    · apply f
      exact hp
    · apply g
      exact hq

theorem curry {p q r : Prop} (h : p ∧ q → r) : p → q → r := by
  intro hp hq
  apply h
  constructor
  · exact hp
  · exact hq

theorem uncurry {p q r : Prop} (h : p → q → r) : p ∧ q → r := by
  intro hpq
  apply h
  · exact hpq.left
  · exact hpq.right

theorem or_swap {p q : Prop} (h : p ∨ q) : q ∨ p := by
  cases h with
  | inl hp =>
    right
    exact hp
  | inr hq =>
    left
    exact hq

theorem or_assoc_right {p q r : Prop} (h : (p ∨ q) ∨ r) : p ∨ (q ∨ r) := by
  cases h with
  | inl hpq =>
    cases hpq with
    | inl hp =>
      left
      exact hp
    | inr hq =>
      right
      left
      exact hq
  | inr hr =>
    right
    right
    exact hr

theorem or_assoc_left {p q r : Prop} (h : p ∨ (q ∨ r)) : (p ∨ q) ∨ r := by
  cases h with
  | inl hp =>
    left
    left
    exact hp
  | inr hqr =>
    cases hqr with
    | inl hq =>
      left
      right
      exact hq
    | inr hr =>
      right
      exact hr

theorem or_comm (p q : Prop) : p ∨ q ↔ q ∨ p := by
  constructor
  · intro h
    exact or_swap h
  · intro h
    exact or_swap h

theorem or_assoc (p q r : Prop) : (p ∨ q) ∨ r ↔ p ∨ (q ∨ r) := by
  constructor
  · intro h
    exact or_assoc_right h
  · intro h
    exact or_assoc_left h

theorem or_self_iff (p : Prop) : p ∨ p ↔ p := by
  constructor
  · intro h
    cases h with
    | inl hp => exact hp
    | inr hp => exact hp
  · intro hp
    left
    exact hp

theorem or_elim_same {p q r : Prop} (h : p ∨ q) (f : p → r) (g : q → r) : r := by
  cases h with
  | inl hp =>
    apply f
    exact hp
  | inr hq =>
    apply g
    exact hq

theorem or_map {p q r s : Prop} (f : p → r) (g : q → s) (h : p ∨ q) : r ∨ s := by
  cases h with
  | inl hp =>
    left
    exact f hp
  | inr hq =>
    right
    exact g hq

theorem or_false_iff (p : Prop) : p ∨ False ↔ p := by
  constructor
  · intro h
    cases h with
    | inl hp => exact hp
    | inr hf =>
      exfalso
      exact hf
  · intro hp
    left
    exact hp

theorem and_true_iff (p : Prop) : p ∧ True ↔ p := by
  constructor
  · intro h
    exact h.left
  · intro hp
    constructor
    · exact hp
    · trivial

theorem and_false_iff (p : Prop) : p ∧ False ↔ False := by
  constructor
  · intro h
    exact h.right
  · intro hf
    exfalso
    exact hf

theorem and_or_left (p q r : Prop) : p ∧ (q ∨ r) ↔ (p ∧ q) ∨ (p ∧ r) := by
  constructor
  · intro h
    obtain ⟨hp, hqr⟩ := h
    cases hqr with
    | inl hq =>
      left
      exact ⟨hp, hq⟩
    | inr hr =>
      right
      exact ⟨hp, hr⟩
  · intro h
    cases h with
    | inl hpq =>
      constructor
      · exact hpq.left
      · left
        exact hpq.right
    | inr hpr =>
      constructor
      · exact hpr.left
      · right
        exact hpr.right

theorem or_and_left (p q r : Prop) : p ∨ (q ∧ r) ↔ (p ∨ q) ∧ (p ∨ r) := by
  constructor
  · intro h
    cases h with
    | inl hp =>
      constructor
      · left
        exact hp
      · left
        exact hp
    | inr hqr =>
      constructor
      · right
        exact hqr.left
      · right
        exact hqr.right
  · intro h
    obtain ⟨h1, h2⟩ := h
    cases h1 with
    | inl hp =>
      left
      exact hp
    | inr hq =>
      cases h2 with
      | inl hp =>
        left
        exact hp
      | inr hr =>
        right
        exact ⟨hq, hr⟩

theorem not_not_intro {p : Prop} (h : p) : ¬¬p := by
  intro hn
  apply hn
  exact h

theorem not_not_not {p : Prop} (h : ¬¬¬p) : ¬p := by
  intro hp
  apply h
  exact not_not_intro hp

theorem contrapose {p q : Prop} (h : p → q) : ¬q → ¬p := by
  intro hq hp
  apply hq
  apply h
  exact hp

theorem not_or_left {p q : Prop} (h : ¬(p ∨ q)) : ¬p := by
  intro hp
  apply h
  left
  exact hp

theorem not_or_right {p q : Prop} (h : ¬(p ∨ q)) : ¬q := by
  intro hq
  apply h
  right
  exact hq

theorem not_or_iff (p q : Prop) : ¬(p ∨ q) ↔ ¬p ∧ ¬q := by
  constructor
  · intro h
    constructor
    · exact not_or_left h
    · exact not_or_right h
  · intro h hpq
    cases hpq with
    | inl hp => exact h.left hp
    | inr hq => exact h.right hq

theorem not_and_of_not_left {p q : Prop} (h : ¬p) : ¬(p ∧ q) := by
  intro hpq
  apply h
  exact hpq.left

theorem not_and_of_or_not {p q : Prop} (h : ¬p ∨ ¬q) : ¬(p ∧ q) := by
  intro hpq
  cases h with
  | inl hp =>
    apply hp
    exact hpq.left
  | inr hq =>
    apply hq
    exact hpq.right

theorem not_iff_not_self (p : Prop) : ¬(p ↔ ¬p) := by
  intro h
  have hn : ¬p := by
    intro hp
    exact h.mp hp hp
  apply hn
  apply h.mpr
  exact hn

theorem not_not_em (p : Prop) : ¬¬(p ∨ ¬p) := by
  intro h
  apply h
  right
  intro hp
  apply h
  left
  exact hp

theorem imp_of_not_or {p q : Prop} (h : ¬p ∨ q) : p → q := by
  intro hp
  cases h with
  | inl hn =>
    exfalso
    exact hn hp
  | inr hq => exact hq

theorem or_resolve_left {p q : Prop} (h : p ∨ q) (hn : ¬p) : q := by
  cases h with
  | inl hp =>
    exfalso
    apply hn
    exact hp
  | inr hq => exact hq

theorem or_resolve_right {p q : Prop} (h : p ∨ q) (hn : ¬q) : p := by
  apply or_resolve_left (or_swap h)
  exact hn

theorem iff_symm {p q : Prop} (h : p ↔ q) : q ↔ p := by
  constructor
  · exact h.mpr
  · exact h.mp

theorem iff_trans {p q r : Prop} (h : p ↔ q) (k : q ↔ r) : p ↔ r := by
  constructor
  · intro hp
    apply k.mp
    exact h.mp hp
  · intro hr
    apply h.mpr
    exact k.mpr hr

theorem iff_not {p q : Prop} (h : p ↔ q) : ¬p ↔ ¬q := by
  constructor
  · exact contrapose h.mpr
  · exact contrapose h.mp

theorem iff_and {p q r s : Prop} (h : p ↔ q) (k : r ↔ s) : p ∧ r ↔ q ∧ s := by
  constructor
  · exact and_map h.mp k.mp
  · exact and_map h.mpr k.mpr

theorem iff_or {p q r s : Prop} (h : p ↔ q) (k : r ↔ s) : p ∨ r ↔ q ∨ s := by
  constructor
  · exact or_map h.mp k.mp
  · exact or_map h.mpr k.mpr

theorem iff_imp {p q r s : Prop} (h : p ↔ q) (k : r ↔ s) : (p → r) ↔ (q → s) := by
  constructor
  · intro f hq
    apply k.mp
    apply f
    exact h.mpr hq
  · intro f hp
    apply k.mpr
    apply f
    exact h.mp hp

theorem true_imp_iff (p : Prop) : (True → p) ↔ p := by
  constructor
  · intro h
    apply h
    trivial
  · intro hp _
    exact hp

theorem false_imp_iff (p : Prop) : (False → p) ↔ True := by
  constructor
  · intro _
    trivial
  · intro _ hf
    exfalso
    exact hf

theorem imp_and_iff (p q r : Prop) : (p → q ∧ r) ↔ (p → q) ∧ (p → r) := by
  constructor
  · intro h
    constructor
    · intro hp
      exact (h hp).left
    · intro hp
      exact (h hp).right
  · intro h hp
    constructor
    · exact h.left hp
    · exact h.right hp

theorem or_imp_iff (p q r : Prop) : (p ∨ q → r) ↔ (p → r) ∧ (q → r) := by
  constructor
  · intro h
    constructor
    · intro hp
      apply h
      left
      exact hp
    · intro hq
      apply h
      right
      exact hq
  · intro h hpq
    exact or_elim_same hpq h.left h.right

theorem exists_map {α : Type u} {p q : α → Prop} (h : ∀ x, p x → q x) (k : ∃ x, p x) : ∃ x, q x := by
  obtain ⟨x, hx⟩ := k
  exists x
  exact h x hx

theorem exists_or {α : Type u} {p q : α → Prop} (h : ∃ x, p x ∨ q x) : (∃ x, p x) ∨ (∃ x, q x) := by
  obtain ⟨x, hx⟩ := h
  cases hx with
  | inl hp =>
    left
    exists x
  | inr hq =>
    right
    exists x

theorem exists_and_left {α : Type u} {p : α → Prop} {r : Prop} (h : ∃ x, r ∧ p x) : r ∧ ∃ x, p x := by
  obtain ⟨x, hr, hp⟩ := h
  constructor
  · exact hr
  · exists x

theorem exists_swap {α : Type u} {β : Type v} {p : α → β → Prop} (h : ∃ x, ∃ y, p x y) : ∃ y, ∃ x, p x y := by
  obtain ⟨x, y, hxy⟩ := h
  exists y
  exists x

theorem exists_forall_swap {α : Type u} {β : Type v} {p : α → β → Prop} (h : ∃ x, ∀ y, p x y) : ∀ y, ∃ x, p x y := by
  intro y
  obtain ⟨x, hx⟩ := h
  exists x
  exact hx y

theorem not_exists_of_forall_not {α : Type u} {p : α → Prop} (h : ∀ x, ¬p x) : ¬∃ x, p x := by
  intro k
  obtain ⟨x, hx⟩ := k
  exact h x hx

theorem forall_not_of_not_exists {α : Type u} {p : α → Prop} (h : ¬∃ x, p x) : ∀ x, ¬p x := by
  intro x hx
  apply h
  exists x

theorem not_forall_of_exists_not {α : Type u} {p : α → Prop} (h : ∃ x, ¬p x) : ¬∀ x, p x := by
  intro k
  obtain ⟨x, hx⟩ := h
  apply hx
  exact k x

theorem forall_and_iff {α : Type u} (p q : α → Prop) : (∀ x, p x ∧ q x) ↔ (∀ x, p x) ∧ (∀ x, q x) := by
  constructor
  · intro h
    constructor
    · intro x
      exact (h x).left
    · intro x
      exact (h x).right
  · intro h x
    constructor
    · exact h.left x
    · exact h.right x

theorem exists_imp_iff {α : Type u} (p : α → Prop) (r : Prop) : ((∃ x, p x) → r) ↔ ∀ x, p x → r := by
  constructor
  · intro h x hx
    apply h
    exists x
  · intro h k
    obtain ⟨x, hx⟩ := k
    exact h x hx

theorem em_of_decidable {p : Prop} [d : Decidable p] : p ∨ ¬p := by
  cases d with
  | isFalse h =>
    right
    exact h
  | isTrue h =>
    left
    exact h

theorem not_not_elim {p : Prop} [d : Decidable p] (h : ¬¬p) : p := by
  cases (em_of_decidable (p := p)) with
  | inl hp => exact hp
  | inr hn =>
    exfalso
    apply h
    exact hn

theorem not_and_split {p q : Prop} [d : Decidable p] (h : ¬(p ∧ q)) : ¬p ∨ ¬q := by
  cases (em_of_decidable (p := p)) with
  | inl hp =>
    right
    intro hq
    apply h
    exact ⟨hp, hq⟩
  | inr hn =>
    left
    exact hn

theorem contrapose_back {p q : Prop} [d : Decidable q] (h : ¬q → ¬p) : p → q := by
  intro hp
  apply not_not_elim
  intro hq
  apply h hq
  exact hp

theorem peirce {p q : Prop} [d : Decidable p] (h : (p → q) → p) : p := by
  apply not_not_elim
  intro hn
  apply hn
  apply h
  intro hp
  exfalso
  exact hn hp

end Logic
