prelude
import Mini.Mul
/-! # Order and subtraction on the natural numbers. -/
set_option autoImplicit false
namespace Nat

theorem le_refl (n : Nat) : n ≤ n := Nat.le.refl
theorem le_succ (n : Nat) : n ≤ n.succ := Nat.le.step Nat.le.refl
theorem le_step {n m : Nat} (h : n ≤ m) : n ≤ m.succ := Nat.le.step h
theorem lt_iff_succ_le (n m : Nat) : n < m ↔ n.succ ≤ m := Iff.rfl

theorem le_trans {n m k : Nat} (h : n ≤ m) (l : m ≤ k) : n ≤ k := by
  induction l with
  | refl => exact h
  | step _ ih =>
    apply le_step
    exact ih

theorem zero_le (n : Nat) : 0 ≤ n := by
  induction n with
  | zero => exact le_refl 0
  | succ n ih => exact le_step ih

theorem succ_le_succ {n m : Nat} (h : n ≤ m) : n.succ ≤ m.succ := by
  induction h with
  | refl => exact le_refl _
  | step _ ih => exact le_step ih

theorem le_of_eq {n m : Nat} (h : n = m) : n ≤ m := by
  rw [h]
  exact le_refl m

theorem le_add_right (n m : Nat) : n ≤ n + m := by
  induction m with
  | zero => exact le_refl n
  | succ m ih =>
    rw [add_succ]
    exact le_step ih

theorem le_add_left (n m : Nat) : n ≤ m + n := by
  rw [add_comm]
  exact le_add_right n m

theorem exists_of_le {n m : Nat} (h : n ≤ m) : ∃ k, n + k = m := by
  induction h with
  | refl =>
    exists 0
  | step _ ih =>
    obtain ⟨k, hk⟩ := ih
    exists k.succ
    rw [add_succ, hk]

theorem le_of_exists {n m : Nat} (h : ∃ k, n + k = m) : n ≤ m := by
  obtain ⟨k, hk⟩ := h
  rw [← hk]
  exact le_add_right n k

theorem le_iff_exists (n m : Nat) : n ≤ m ↔ ∃ k, n + k = m := by
  constructor
  · exact exists_of_le
  · exact le_of_exists

theorem le_of_succ_le_succ {n m : Nat} (h : n.succ ≤ m.succ) : n ≤ m := by
  obtain ⟨k, hk⟩ := exists_of_le h
  apply le_of_exists
  exists k
  apply succ_injective
  rw [← succ_add, hk]

theorem succ_le_succ_iff (n m : Nat) : n.succ ≤ m.succ ↔ n ≤ m := by
  constructor
  · exact le_of_succ_le_succ
  · exact succ_le_succ

theorem not_succ_le_zero (n : Nat) : ¬n.succ ≤ 0 := by
  intro h
  obtain ⟨k, hk⟩ := exists_of_le h
  rw [succ_add] at hk
  exact succ_ne_zero _ hk

theorem eq_zero_of_le_zero {n : Nat} (h : n ≤ 0) : n = 0 := by
  cases n with
  | zero => rfl
  | succ n =>
    exfalso
    exact not_succ_le_zero n h

theorem not_succ_le_self (n : Nat) : ¬n.succ ≤ n := by
  induction n with
  | zero => exact not_succ_le_zero 0
  | succ n ih =>
    intro h
    apply ih
    exact le_of_succ_le_succ h

theorem le_antisymm {n m : Nat} (h : n ≤ m) (l : m ≤ n) : n = m := by
  obtain ⟨a, ha⟩ := exists_of_le h
  obtain ⟨b, hb⟩ := exists_of_le l
  rw [← ha, add_assoc] at hb
  have z : a + b = 0 := add_eq_self_right hb
  have az : a = 0 := eq_zero_of_add_left z
  rw [← ha, az, add_zero]

theorem le_total (n m : Nat) : n ≤ m ∨ m ≤ n := by
  induction n generalizing m with
  | zero =>
    left
    exact zero_le m
  | succ n ih =>
    cases m with
    | zero =>
      right
      exact zero_le _
    | succ m =>
      cases ih m with
      | inl h =>
        left
        exact succ_le_succ h
      | inr h =>
        right
        exact succ_le_succ h

theorem le_antisymm_iff (n m : Nat) : n = m ↔ n ≤ m ∧ m ≤ n := by
  constructor
  · intro h
    constructor
    · exact le_of_eq h
    · exact le_of_eq h.symm
  · intro h
    exact le_antisymm h.left h.right

theorem add_le_add_left {n m : Nat} (h : n ≤ m) (k : Nat) : k + n ≤ k + m := by
  induction h with
  | refl => exact le_refl _
  | step _ ih =>
    rw [add_succ]
    exact le_step ih

theorem add_le_add_right {n m : Nat} (h : n ≤ m) (k : Nat) : n + k ≤ m + k := by
  rw [add_comm n, add_comm m]
  exact add_le_add_left h k

theorem add_le_add {a b c d : Nat} (h : a ≤ b) (k : c ≤ d) : a + c ≤ b + d := by
  apply le_trans (m := b + c)
  · exact add_le_add_right h c
  · exact add_le_add_left k b

theorem le_of_add_le_add_left {n m k : Nat} (h : k + n ≤ k + m) : n ≤ m := by
  obtain ⟨a, ha⟩ := exists_of_le h
  apply le_of_exists
  exists a
  apply add_left_cancel (k := k)
  rw [← add_assoc, ha]

theorem mul_le_mul_left {n m : Nat} (h : n ≤ m) (k : Nat) : k * n ≤ k * m := by
  obtain ⟨a, ha⟩ := exists_of_le h
  rw [← ha, mul_add]
  exact le_add_right _ _

theorem mul_le_mul_right {n m : Nat} (h : n ≤ m) (k : Nat) : n * k ≤ m * k := by
  rw [mul_comm n, mul_comm m]
  exact mul_le_mul_left h k

theorem mul_le_mul {a b c d : Nat} (h : a ≤ b) (k : c ≤ d) : a * c ≤ b * d := by
  apply le_trans (m := b * c)
  · exact mul_le_mul_right h c
  · exact mul_le_mul_left k b

theorem square_le_square {n m : Nat} (h : n ≤ m) : square n ≤ square m := by
  show n * n ≤ m * m
  exact mul_le_mul h h

theorem self_le_square (n : Nat) : n ≤ square n := by
  cases n with
  | zero => exact le_refl 0
  | succ n =>
    show n.succ ≤ n.succ * n.succ
    rw [mul_succ]
    exact le_add_left _ _

theorem double_le_double {n m : Nat} (h : n ≤ m) : double n ≤ double m := by
  show n + n ≤ m + m
  exact add_le_add h h

theorem one_le_of_ne_zero {n : Nat} (h : n ≠ 0) : 1 ≤ n := by
  cases n with
  | zero =>
    exfalso
    apply h
    rfl
  | succ n =>
    apply succ_le_succ
    exact zero_le n

theorem one_le_factorial (n : Nat) : 1 ≤ factorial n := by
  apply one_le_of_ne_zero
  exact factorial_ne_zero n

theorem pow_le_pow_left {n m : Nat} (h : n ≤ m) (k : Nat) : pow n k ≤ pow m k := by
  induction k with
  | zero => exact le_refl 1
  | succ k ih =>
    rw [pow_succ, pow_succ]
    exact mul_le_mul ih h

theorem lt_irrefl (n : Nat) : ¬n < n := by
  intro h
  exact not_succ_le_self n h

theorem lt_trans {n m k : Nat} (h : n < m) (l : m < k) : n < k := by
  apply le_trans (m := m.succ)
  · exact le_step h
  · exact l

theorem lt_of_lt_of_le {n m k : Nat} (h : n < m) (l : m ≤ k) : n < k := by
  apply le_trans (m := m)
  · exact h
  · exact l

theorem lt_of_le_of_lt {n m k : Nat} (h : n ≤ m) (l : m < k) : n < k := by
  apply le_trans (m := m.succ)
  · exact succ_le_succ h
  · exact l

theorem le_of_lt {n m : Nat} (h : n < m) : n ≤ m := by
  apply le_trans (m := n.succ)
  · exact le_succ n
  · exact h

theorem lt_asymm {n m : Nat} (h : n < m) : ¬m < n := by
  intro l
  apply lt_irrefl n
  exact lt_trans h l

theorem ne_of_lt {n m : Nat} (h : n < m) : n ≠ m := by
  intro e
  rw [e] at h
  exact lt_irrefl m h

theorem lt_succ_self (n : Nat) : n < n.succ := le_refl n.succ

theorem lt_succ_iff (n m : Nat) : n < m.succ ↔ n ≤ m := by
  constructor
  · intro h
    exact le_of_succ_le_succ h
  · intro h
    exact succ_le_succ h

theorem zero_lt_succ (n : Nat) : 0 < n.succ := by
  apply succ_le_succ
  exact zero_le n

theorem zero_lt_of_ne_zero {n : Nat} (h : n ≠ 0) : 0 < n := by
  exact one_le_of_ne_zero h

theorem not_lt_zero (n : Nat) : ¬n < 0 := by
  intro h
  exact not_succ_le_zero n h

theorem eq_or_lt_of_le {n m : Nat} (h : n ≤ m) : n = m ∨ n < m := by
  cases h with
  | refl =>
    left
    rfl
  | step k =>
    right
    exact succ_le_succ k

theorem lt_or_ge (n m : Nat) : n < m ∨ m ≤ n := by
  cases le_total n m with
  | inl h =>
    cases eq_or_lt_of_le h with
    | inl e =>
      right
      exact le_of_eq e.symm
    | inr l =>
      left
      exact l
  | inr h =>
    right
    exact h

theorem lt_trichotomy (n m : Nat) : n < m ∨ n = m ∨ m < n := by
  cases lt_or_ge n m with
  | inl h =>
    left
    exact h
  | inr h =>
    right
    cases eq_or_lt_of_le h with
    | inl e =>
      left
      exact e.symm
    | inr l =>
      right
      exact l

theorem not_le_iff_lt (n m : Nat) : ¬n ≤ m ↔ m < n := by
  constructor
  · intro h
    cases lt_or_ge m n with
    | inl l => exact l
    | inr g =>
      exfalso
      exact h g
  · intro h k
    apply lt_irrefl m
    exact lt_of_lt_of_le h k

theorem add_lt_add_left {n m : Nat} (h : n < m) (k : Nat) : k + n < k + m := by
  show (k + n).succ ≤ k + m
  rw [← add_succ]
  exact add_le_add_left h k

theorem add_lt_add_right {n m : Nat} (h : n < m) (k : Nat) : n + k < m + k := by
  rw [add_comm n, add_comm m]
  exact add_lt_add_left h k

theorem lt_add_of_ne_zero (n : Nat) {m : Nat} (h : m ≠ 0) : n < n + m := by
  cases m with
  | zero =>
    exfalso
    apply h
    rfl
  | succ m =>
    rw [add_succ]
    apply succ_le_succ
    exact le_add_right n m

theorem strong_induction {p : Nat → Prop} (step : ∀ n, (∀ m, m < n → p m) → p n) (n : Nat) : p n := by
  have all : ∀ m, m < n → p m := by
    induction n with
    | zero =>
      intro m h
      exfalso
      exact not_lt_zero m h
    | succ n ih =>
      intro m h
      cases eq_or_lt_of_le (le_of_succ_le_succ h) with
      | inl e =>
        rw [e]
        exact step n ih
      | inr l => exact ih m l
  exact step n all

/-! ## Subtraction -/
theorem sub_zero (n : Nat) : n - 0 = n := rfl
theorem sub_succ (n m : Nat) : n - m.succ = (n - m).pred := rfl

theorem zero_sub (n : Nat) : 0 - n = 0 := by
  induction n with
  | zero => rfl
  | succ n ih =>
    rw [sub_succ, ih]
    rfl

theorem succ_sub_succ (n m : Nat) : n.succ - m.succ = n - m := by
  induction m with
  | zero => rfl
  | succ m ih => rw [sub_succ, ih, sub_succ]

theorem sub_self (n : Nat) : n - n = 0 := by
  induction n with
  | zero => rfl
  | succ n ih => rw [succ_sub_succ, ih]

theorem add_sub_cancel (n m : Nat) : n + m - m = n := by
  induction m with
  | zero => rfl
  | succ m ih => rw [add_succ, succ_sub_succ, ih]

theorem add_sub_cancel_left (n m : Nat) : n + m - n = m := by
  rw [add_comm]
  exact add_sub_cancel m n

theorem sub_sub (n m k : Nat) : n - m - k = n - (m + k) := by
  induction k with
  | zero => rfl
  | succ k ih => rw [sub_succ, ih, add_succ, sub_succ]

theorem sub_right_comm (n m k : Nat) : n - m - k = n - k - m := by
  rw [sub_sub, add_comm m k, sub_sub]

theorem pred_le (n : Nat) : n.pred ≤ n := by
  cases n with
  | zero => exact le_refl 0
  | succ n => exact le_succ n

theorem sub_le (n m : Nat) : n - m ≤ n := by
  induction m with
  | zero => exact le_refl n
  | succ m ih =>
    rw [sub_succ]
    apply le_trans (m := n - m)
    · exact pred_le _
    · exact ih

theorem add_sub_of_le {n m : Nat} (h : n ≤ m) : n + (m - n) = m := by
  obtain ⟨k, hk⟩ := exists_of_le h
  rw [← hk, add_sub_cancel_left]

theorem sub_add_cancel {n m : Nat} (h : m ≤ n) : n - m + m = n := by
  rw [add_comm]
  exact add_sub_of_le h

theorem sub_eq_zero_of_le {n m : Nat} (h : n ≤ m) : n - m = 0 := by
  obtain ⟨k, hk⟩ := exists_of_le h
  rw [← hk, ← sub_sub, sub_self, zero_sub]

theorem le_of_sub_eq_zero {n m : Nat} (h : n - m = 0) : n ≤ m := by
  cases le_total n m with
  | inl l => exact l
  | inr l =>
    apply le_of_eq
    rw [← sub_add_cancel l, h, zero_add]

theorem sub_eq_zero_iff (n m : Nat) : n - m = 0 ↔ n ≤ m := by
  constructor
  · exact le_of_sub_eq_zero
  · exact sub_eq_zero_of_le

theorem add_sub_add_right (n m k : Nat) : n + k - (m + k) = n - m := by
  induction k with
  | zero => rfl
  | succ k ih => rw [add_succ, add_succ, succ_sub_succ, ih]

theorem mul_sub (n m k : Nat) : n * (m - k) = n * m - n * k := by
  induction k with
  | zero => rfl
  | succ k ih =>
    cases le_total m k with
    | inl l =>
      rw [sub_eq_zero_of_le (le_step l), mul_zero]
      rw [sub_eq_zero_of_le]
      apply mul_le_mul_left
      exact le_step l
    | inr l =>
      rw [mul_succ, ← sub_sub, ← ih]
      cases eq_or_lt_of_le l with
      | inl e =>
        rw [← e, sub_eq_zero_of_le (le_succ k), sub_self, mul_zero, zero_sub]
      | inr g =>
        have split : m - k = (m - k.succ).succ := by
          apply add_left_cancel (k := k)
          rw [add_sub_of_le l, ← succ_add_eq_add_succ, add_sub_of_le g]
        rw [split, mul_succ, add_sub_cancel]

end Nat
