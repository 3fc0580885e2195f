prelude
import Mini.Equality
/-! # Natural numbers: zero, successor, addition. -/
set_option autoImplicit false
namespace Nat

theorem zero_eq : Nat.zero = 0 := rfl
theorem add_zero (n : Nat) : n + 0 = n := rfl
theorem add_succ (n m : Nat) : n + m.succ = (n + m).succ := rfl
theorem pred_zero : Nat.pred 0 = 0 := rfl
theorem pred_succ (n : Nat) : n.succ.pred = n := rfl
theorem one_eq_succ_zero : 1 = Nat.succ 0 := rfl

theorem succ_injective {n m : Nat} (h : n.succ = m.succ) : n = m := by
  injection h

theorem succ_ne_zero (n : Nat) : n.succ ≠ 0 := by
  intro h
  cases h

theorem zero_ne_succ' (n : Nat) : 0 ≠ n.succ := by
  intro h
  cases h

theorem succ_eq_iff (n m : Nat) : n.succ = m.succ ↔ n = m := by
  constructor
  · exact succ_injective
  · intro h
    rw [h]

theorem ne_succ_self (n : Nat) : n ≠ n.succ := by
  induction n with
  | zero => exact zero_ne_succ' 0
  | succ n ih =>
    intro h
    apply ih
    exact succ_injective h

theorem eq_zero_or_succ (n : Nat) : n = 0 ∨ ∃ m : Nat, n = m.succ := by
  cases n with
  | zero =>
    left
    rfl
  | succ m =>
    right
    exists m

theorem succ_pred_of_ne_zero {n : Nat} (h : n ≠ 0) : n.pred.succ = n := by
  cases n with
  | zero =>
    exfalso
    apply h
    rfl
  | succ m => rfl

theorem zero_add (n : Nat) : 0 + n = n := by
  induction n with
  | zero => rfl
  | succ n ih => rw [add_succ, ih]

theorem succ_add (n m : Nat) : n.succ + m = (n + m).succ := by
  induction m with
  | zero => rfl
  | succ m ih => rw [add_succ, ih, add_succ]

theorem add_comm (n m : Nat) : n + m = m + n := by
  induction m with
  | zero =>
    rw [zero_eq, zero_add]
    rfl
  | succ m ih => rw [add_succ, ih, succ_add]

theorem add_assoc (n m k : Nat) : n + m + k = n + (m + k) := by
  induction k with
  | zero => rfl
  | succ k ih => rw [add_succ, ih, add_succ, add_succ]

theorem add_left_comm (n m k : Nat) : n + (m + k) = m + (n + k) := by
  rw [← add_assoc, add_comm n m, add_assoc]

theorem add_right_comm (n m k : Nat) : n + m + k = n + k + m := by
  rw [add_assoc, add_comm m k, ← add_assoc]

theorem add_four_swap (a b c d : Nat) : a + b + (c + d) = a + c + (b + d) := by
  rw [add_assoc, add_left_comm b c d, ← add_assoc]

theorem succ_eq_add_one (n : Nat) : n.succ = n + 1 := rfl

theorem one_add (n : Nat) : 1 + n = n.succ := by
  rw [add_comm]

theorem succ_add_eq_add_succ (n m : Nat) : n.succ + m = n + m.succ := by
  rw [succ_add, add_succ]

theorem add_right_cancel {n m k : Nat} (h : n + k = m + k) : n = m := by
  induction k with
  | zero => exact h
  | succ k ih =>
    apply ih
    apply succ_injective
    exact h

theorem add_left_cancel {n m k : Nat} (h : k + n = k + m) : n = m := by
  apply add_right_cancel (k := k)
  rw [add_comm n, h, add_comm]

theorem add_right_cancel_iff (n m k : Nat) : n + k = m + k ↔ n = m := by
  constructor
  · exact add_right_cancel
  · intro h
    rw [h]

theorem add_left_cancel_iff (n m k : Nat) : k + n = k + m ↔ n = m := by
  constructor
  · exact add_left_cancel
  · intro h
    rw [h]

theorem eq_zero_of_add_left {n m : Nat} (h : n + m = 0) : n = 0 := by
  cases m with
  | zero => exact h
  | succ m =>
    exfalso
    exact succ_ne_zero (n + m) h

theorem eq_zero_of_add_right {n m : Nat} (h : n + m = 0) : m = 0 := by
  apply eq_zero_of_add_left (m := n)
  rw [add_comm]
  exact h

theorem add_eq_zero_iff (n m : Nat) : n + m = 0 ↔ n = 0 ∧ m = 0 := by
  constructor
  · intro h
    constructor
    · exact eq_zero_of_add_left h
    · exact eq_zero_of_add_right h
  · intro h
    rw [h.left, h.right]

theorem add_eq_self_right {n m : Nat} (h : n + m = n) : m = 0 := by
  apply add_left_cancel (k := n)
  rw [h]
  rfl

theorem ne_add_succ (n m : Nat) : n ≠ n + m.succ := by
  intro h
  apply succ_ne_zero m
  apply add_eq_self_right (n := n)
  rw [← h]

def double (n : Nat) : Nat := n + n

theorem double_zero : double 0 = 0 := rfl

theorem double_succ (n : Nat) : double n.succ = (double n).succ.succ := by
  show n.succ + n.succ = (n + n).succ.succ
  rw [add_succ, succ_add]

theorem double_add (n m : Nat) : double (n + m) = double n + double m := by
  show n + m + (n + m) = n + n + (m + m)
  exact add_four_swap n m n m

theorem double_injective {n m : Nat} (h : double n = double m) : n = m := by
  induction n generalizing m with
  | zero =>
    cases m with
    | zero => rfl
    | succ m =>
      exfalso
      rw [double_succ] at h
      exact zero_ne_succ' _ h
  | succ n ih =>
    cases m with
    | zero =>
      exfalso
      rw [double_succ] at h
      exact succ_ne_zero _ h
    | succ m =>
      rw [double_succ, double_succ] at h
      rw [ih]
      apply succ_injective
      exact succ_injective h

def Even (n : Nat) : Prop := ∃ k, n = double k
def Odd (n : Nat) : Prop := ∃ k, n = (double k).succ

theorem even_zero : Even 0 := by
  exists 0

theorem odd_one : Odd 1 := by
  exists 0

theorem odd_succ_of_even {n : Nat} (h : Even n) : Odd n.succ := by
  obtain ⟨k, hk⟩ := h
  exists k
  rw [hk]

theorem even_succ_of_odd {n : Nat} (h : Odd n) : Even n.succ := by
  obtain ⟨k, hk⟩ := h
  exists k.succ
  rw [hk, double_succ]

theorem even_or_odd (n : Nat) : Even n ∨ Odd n := by
  induction n with
  | zero =>
    left
    exact even_zero
  | succ n ih =>
    cases ih with
    | inl h =>
      right
      exact odd_succ_of_even h
    | inr h =>
      left
      exact even_succ_of_odd h

theorem even_add_even {n m : Nat} (h : Even n) (k : Even m) : Even (n + m) := by
  obtain ⟨a, ha⟩ := h
  obtain ⟨b, hb⟩ := k
  exists a + b
  rw [ha, hb, double_add]

theorem odd_add_even {n m : Nat} (h : Odd n) (k : Even m) : Odd (n + m) := by
  obtain ⟨a, ha⟩ := h
  obtain ⟨b, hb⟩ := k
  exists a + b
  rw [ha, hb, double_add, succ_add]

theorem odd_add_odd {n m : Nat} (h : Odd n) (k : Odd m) : Even (n + m) := by
  obtain ⟨a, ha⟩ := h
  obtain ⟨b, hb⟩ := k
  exists (a + b).succ
  rw [ha, hb, double_succ, double_add, add_succ, succ_add]

theorem even_double (n : Nat) : Even (double n) := by
  exists n

theorem not_even_and_odd (n : Nat) : ¬(Even n ∧ Odd n) := by
  intro h
  obtain ⟨⟨a, ha⟩, ⟨b, hb⟩⟩ := h
  rw [ha] at hb
  clear ha
  induction a generalizing b with
  | zero => exact zero_ne_succ' _ hb
  | succ a ih =>
    cases b with
    | zero =>
      rw [double_succ] at hb
      exact succ_ne_zero _ (succ_injective hb)
    | succ b =>
      apply ih b
      rw [double_succ, double_succ] at hb
      apply succ_injective
      exact succ_injective hb

end Nat
