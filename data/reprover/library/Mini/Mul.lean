prelude
import Mini.Add
/-! # Multiplication. -/
set_option autoImplicit false
namespace Nat

theorem mul_zero (n : Nat) : n * 0 = 0 := rfl
theorem mul_succ (n m : Nat) : n * m.succ = n * m + n := rfl

theorem zero_mul (n : Nat) : 0 * n = 0 := by
  induction n with
  | zero => rfl
  | succ n ih => rw [mul_succ, ih]

theorem succ_mul (n m : Nat) : n.succ * m = n * m + m := by
  induction m with
  | zero => rfl
  | succ m ih =>
    rw [mul_succ, ih, mul_succ, add_succ, add_succ]
    rw [add_right_comm]

theorem mul_one (n : Nat) : n * 1 = n := by
  rw [one_eq_succ_zero, mul_succ, mul_zero, zero_add]

theorem one_mul (n : Nat) : 1 * n = n := by
  rw [one_eq_succ_zero, succ_mul, zero_mul, zero_add]

theorem mul_comm (n m : Nat) : n * m = m * n := by
  induction m with
  | zero =>
    rw [zero_eq, zero_mul]
    rfl
  | succ m ih => rw [mul_succ, succ_mul, ih]

theorem mul_add (n m k : Nat) : n * (m + k) = n * m + n * k := by
  induction k with
  | zero => rfl
  | succ k ih => rw [add_succ, mul_succ, ih, mul_succ, add_assoc]

theorem add_mul (n m k : Nat) : (n + m) * k = n * k + m * k := by
  rw [mul_comm, mul_add, mul_comm k n, mul_comm k m]

theorem mul_assoc (n m k : Nat) : n * m * k = n * (m * k) := by
  induction k with
  | zero => rfl
  | succ k ih => rw [mul_succ, ih, mul_succ, mul_add]

theorem mul_left_comm (n m k : Nat) : n * (m * k) = m * (n * k) := by
  rw [← mul_assoc, mul_comm n m, mul_assoc]

theorem mul_right_comm (n m k : Nat) : n * m * k = n * k * m := by
  rw [mul_assoc, mul_comm m k, ← mul_assoc]

theorem mul_four_swap (a b c d : Nat) : a * b * (c * d) = a * c * (b * d) := by
  rw [mul_assoc, mul_left_comm b c d, ← mul_assoc]

theorem two_mul (n : Nat) : 2 * n = n + n := by
  have two : (2 : Nat) = Nat.succ 1 := rfl
  rw [two, succ_mul, one_mul]

theorem mul_two (n : Nat) : n * 2 = n + n := by
  rw [mul_comm]
  exact two_mul n

theorem double_eq_two_mul (n : Nat) : double n = 2 * n := by
  rw [two_mul]
  rfl

theorem eq_zero_or_of_mul_eq_zero {n m : Nat} (h : n * m = 0) : n = 0 ∨ m = 0 := by
  cases m with
  | zero =>
    right
    rfl
  | succ m =>
    left
    rw [mul_succ] at h
    exact eq_zero_of_add_right h

theorem mul_eq_zero_iff (n m : Nat) : n * m = 0 ↔ n = 0 ∨ m = 0 := by
  constructor
  · exact eq_zero_or_of_mul_eq_zero
  · intro h
    cases h with
    | inl h =>
      rw [h]
      exact zero_mul m
    | inr h =>
      rw [h]
      exact mul_zero n

theorem mul_ne_zero {n m : Nat} (h : n ≠ 0) (k : m ≠ 0) : n * m ≠ 0 := by
  intro z
  cases eq_zero_or_of_mul_eq_zero z with
  | inl hn => exact h hn
  | inr hm => exact k hm

theorem mul_left_cancel {n m k : Nat} (hk : k ≠ 0) (h : k * n = k * m) : n = m := by
  induction n generalizing m with
  | zero =>
    rw [zero_eq, mul_zero] at h
    cases eq_zero_or_of_mul_eq_zero (n := k) (m := m) h.symm with
    | inl hz =>
      exfalso
      exact hk hz
    | inr hz =>
      rw [hz]
  | succ n ih =>
    cases m with
    | zero =>
      exfalso
      apply mul_ne_zero hk (succ_ne_zero n)
      rw [h]
      rfl
    | succ m =>
      rw [ih]
      apply add_right_cancel (k := k)
      rw [← mul_succ, h]
      rfl

theorem mul_right_cancel {n m k : Nat} (hk : k ≠ 0) (h : n * k = m * k) : n = m := by
  apply mul_left_cancel hk
  rw [mul_comm k n, h, mul_comm]

theorem mul_eq_self_right {n m : Nat} (hn : n ≠ 0) (h : n * m = n) : m = 1 := by
  apply mul_left_cancel hn
  rw [h, mul_one]

theorem eq_one_of_mul_eq_one {n m : Nat} (h : n * m = 1) : m = 1 := by
  cases m with
  | zero =>
    exfalso
    rw [zero_eq, mul_zero] at h
    exact zero_ne_succ' 0 h
  | succ m =>
    cases n with
    | zero =>
      exfalso
      rw [zero_eq, zero_mul] at h
      exact zero_ne_succ' 0 h
    | succ n =>
      rw [mul_succ, add_succ] at h
      have k : n.succ * m + n = 0 := succ_injective h
      have l : n.succ * m = 0 := eq_zero_of_add_left k
      cases eq_zero_or_of_mul_eq_zero l with
      | inl z =>
        exfalso
        exact succ_ne_zero n z
      | inr z => rw [z]

theorem even_mul_left {n : Nat} (m : Nat) (h : Even n) : Even (n * m) := by
  obtain ⟨k, hk⟩ := h
  exists k * m
  rw [hk, double_eq_two_mul, double_eq_two_mul, mul_assoc]

theorem even_mul_right (n : Nat) {m : Nat} (h : Even m) : Even (n * m) := by
  rw [mul_comm]
  exact even_mul_left n h

theorem even_mul_succ_self (n : Nat) : Even (n * n.succ) := by
  cases even_or_odd n with
  | inl h => exact even_mul_left n.succ h
  | inr h =>
    apply even_mul_right
    exact even_succ_of_odd h

def square (n : Nat) : Nat := n * n

theorem square_zero : square 0 = 0 := rfl

theorem square_mul (n m : Nat) : square (n * m) = square n * square m := by
  show n * m * (n * m) = n * n * (m * m)
  exact mul_four_swap n m n m

theorem square_add (n m : Nat) : square (n + m) = square n + (2 * (n * m) + square m) := by
  show (n + m) * (n + m) = n * n + (2 * (n * m) + m * m)
  rw [mul_add, add_mul, add_mul, two_mul, mul_comm m n]
  rw [add_assoc, add_assoc]

theorem square_succ (n : Nat) : square n.succ = square n + (n + n.succ) := by
  show n.succ * n.succ = n * n + (n + n.succ)
  rw [mul_succ, succ_mul, add_assoc]

theorem square_eq_zero_iff (n : Nat) : square n = 0 ↔ n = 0 := by
  constructor
  · intro h
    cases eq_zero_or_of_mul_eq_zero h with
    | inl z => exact z
    | inr z => exact z
  · intro h
    rw [h]
    rfl

def sumTo (n : Nat) : Nat :=
  match n with
  | .zero => 0
  | .succ m => sumTo m + m.succ

theorem sumTo_zero : sumTo 0 = 0 := rfl
theorem sumTo_succ (n : Nat) : sumTo n.succ = sumTo n + n.succ := rfl

theorem double_sumTo (n : Nat) : double (sumTo n) = n * n.succ := by
  induction n with
  | zero => rfl
  | succ n ih =>
    rw [sumTo_succ, double_add, ih, mul_succ n.succ, double_eq_two_mul, two_mul]
    rw [mul_comm n n.succ, ← add_assoc, mul_succ n.succ n]

def pow (n k : Nat) : Nat :=
  match k with
  | .zero => 1
  | .succ k => pow n k * n

theorem pow_zero (n : Nat) : pow n 0 = 1 := rfl
theorem pow_succ (n k : Nat) : pow n k.succ = pow n k * n := rfl

theorem pow_one (n : Nat) : pow n 1 = n := by
  rw [one_eq_succ_zero, pow_succ, pow_zero, one_mul]

theorem pow_add (n k l : Nat) : pow n (k + l) = pow n k * pow n l := by
  induction l with
  | zero =>
    rw [zero_eq, pow_zero, mul_one, add_zero]
  | succ l ih => rw [add_succ, pow_succ, ih, pow_succ, mul_assoc]

theorem one_pow (k : Nat) : pow 1 k = 1 := by
  induction k with
  | zero => rfl
  | succ k ih => rw [pow_succ, ih, mul_one]

theorem mul_pow (n m k : Nat) : pow (n * m) k = pow n k * pow m k := by
  induction k with
  | zero => rfl
  | succ k ih =>
    rw [pow_succ, ih, pow_succ, pow_succ]
    exact mul_four_swap (pow n k) (pow m k) n m

theorem pow_mul (n k l : Nat) : pow n (k * l) = pow (pow n k) l := by
  induction l with
  | zero => rfl
  | succ l ih => rw [mul_succ, pow_add, ih, pow_succ]

theorem zero_pow (k : Nat) : pow 0 k.succ = 0 := by
  rw [pow_succ, mul_zero]

theorem pow_ne_zero {n : Nat} (h : n ≠ 0) (k : Nat) : pow n k ≠ 0 := by
  induction k with
  | zero =>
    intro z
    exact succ_ne_zero 0 z
  | succ k ih =>
    rw [pow_succ]
    exact mul_ne_zero ih h

def factorial (n : Nat) : Nat :=
  match n with
  | .zero => 1
  | .succ m => m.succ * factorial m

theorem factorial_zero : factorial 0 = 1 := rfl
theorem factorial_succ (n : Nat) : factorial n.succ = n.succ * factorial n := rfl

theorem factorial_ne_zero (n : Nat) : factorial n ≠ 0 := by
  induction n with
  | zero =>
    intro h
    exact succ_ne_zero 0 h
  | succ n ih =>
    rw [factorial_succ]
    apply mul_ne_zero
    · exact succ_ne_zero n
    · exact ih

end Nat
