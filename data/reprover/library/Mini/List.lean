prelude
import Mini.BoolOption
/-! # Lists: append, length, map, reverse, filter. -/
set_option autoImplicit false
universe u v w

namespace List

def append {α : Type u} (xs ys : List α) : List α :=
  match xs with
  | nil => ys
  | cons x xs => x :: append xs ys

instance instAppendList {α : Type u} : Append (List α) where
  append := List.append

def length {α : Type u} (xs : List α) : Nat :=
  match xs with
  | nil => 0
  | cons _ xs => (length xs).succ

def map {α : Type u} {β : Type v} (f : α → β) (xs : List α) : List β :=
  match xs with
  | nil => []
  | cons x xs => f x :: map f xs

def reverse {α : Type u} (xs : List α) : List α :=
  match xs with
  | nil => []
  | cons x xs => reverse xs ++ [x]

def filter {α : Type u} (p : α → Bool) (xs : List α) : List α :=
  match xs with
  | nil => []
  | cons x xs => cond (p x) (x :: filter p xs) (filter p xs)

def head {α : Type u} (xs : List α) : Option α :=
  match xs with
  | nil => none
  | cons x _ => some x

def tail {α : Type u} (xs : List α) : List α :=
  match xs with
  | nil => []
  | cons _ xs => xs

def replicate {α : Type u} (n : Nat) (a : α) : List α :=
  match n with
  | .zero => []
  | .succ n => a :: replicate n a

theorem nil_append {α : Type u} (ys : List α) : [] ++ ys = ys := rfl
theorem cons_append {α : Type u} (x : α) (xs ys : List α) : x :: xs ++ ys = x :: (xs ++ ys) := rfl
theorem length_nil {α : Type u} : length ([] : List α) = 0 := rfl
theorem length_cons {α : Type u} (x : α) (xs : List α) : length (x :: xs) = (length xs).succ := rfl
theorem map_nil {α : Type u} {β : Type v} (f : α → β) : map f [] = [] := rfl
theorem map_cons {α : Type u} {β : Type v} (f : α → β) (x : α) (xs : List α) : map f (x :: xs) = f x :: map f xs := rfl
theorem reverse_nil {α : Type u} : reverse ([] : List α) = [] := rfl
theorem reverse_cons {α : Type u} (x : α) (xs : List α) : reverse (x :: xs) = reverse xs ++ [x] := rfl
theorem filter_nil {α : Type u} (p : α → Bool) : filter p [] = [] := rfl
theorem head_cons {α : Type u} (x : α) (xs : List α) : head (x :: xs) = some x := rfl
theorem tail_cons {α : Type u} (x : α) (xs : List α) : tail (x :: xs) = xs := rfl
theorem replicate_succ {α : Type u} (n : Nat) (a : α) : replicate n.succ a = a :: replicate n a := rfl

theorem cons_ne_nil {α : Type u} (x : α) (xs : List α) : x :: xs ≠ [] := by
  intro h
  cases h

theorem cons_injective {α : Type u} {x y : α} {xs ys : List α} (h : x :: xs = y :: ys) : x = y ∧ xs = ys := by
  injection h with h1 h2
  constructor
  · exact h1
  · exact h2

theorem cons_eq_cons_iff {α : Type u} (x y : α) (xs ys : List α) : x :: xs = y :: ys ↔ x = y ∧ xs = ys := by
  constructor
  · exact cons_injective
  · intro h
    rw [h.left, h.right]

theorem eq_nil_or_cons {α : Type u} (xs : List α) : xs = [] ∨ ∃ y, ∃ ys, xs = y :: ys := by
  cases xs with
  | nil =>
    left
    rfl
  | cons x xs =>
    right
    exists x
    exists xs

theorem append_nil {α : Type u} (xs : List α) : xs ++ [] = xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [cons_append, ih]

theorem append_assoc {α : Type u} (xs ys zs : List α) : xs ++ ys ++ zs = xs ++ (ys ++ zs) := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [cons_append, cons_append, ih, cons_append]

theorem append_eq_nil_iff {α : Type u} (xs ys : List α) : xs ++ ys = [] ↔ xs = [] ∧ ys = [] := by
  constructor
  · intro h
    cases xs with
    | nil =>
      constructor
      · rfl
      · exact h
    | cons x xs =>
      exfalso
      exact cons_ne_nil _ _ h
  · intro h
    rw [h.left, h.right]
    rfl

theorem append_left_cancel {α : Type u} {xs ys zs : List α} (h : xs ++ ys = xs ++ zs) : ys = zs := by
  induction xs with
  | nil => exact h
  | cons x xs ih =>
    apply ih
    exact (cons_injective h).right

theorem append_singleton_assoc {α : Type u} (xs : List α) (y : α) (zs : List α) :
    xs ++ [y] ++ zs = xs ++ y :: zs := by
  rw [append_assoc]
  rfl

theorem length_append {α : Type u} (xs ys : List α) : length (xs ++ ys) = length xs + length ys := by
  induction xs with
  | nil =>
    rw [length_nil, Nat.zero_add]
    rfl
  | cons x xs ih => rw [cons_append, length_cons, ih, length_cons, Nat.succ_add]

theorem length_append_comm {α : Type u} (xs ys : List α) : length (xs ++ ys) = length (ys ++ xs) := by
  rw [length_append, Nat.add_comm, length_append]

theorem length_eq_zero_iff {α : Type u} (xs : List α) : length xs = 0 ↔ xs = [] := by
  constructor
  · intro h
    cases xs with
    | nil => rfl
    | cons x xs =>
      exfalso
      rw [length_cons] at h
      exact Nat.succ_ne_zero _ h
  · intro h
    rw [h]
    rfl

theorem length_le_append {α : Type u} (xs ys : List α) : length xs ≤ length (xs ++ ys) := by
  rw [length_append]
  exact Nat.le_add_right _ _

theorem eq_nil_of_append_self {α : Type u} {xs ys : List α} (h : xs ++ ys = xs) : ys = [] := by
  apply append_left_cancel (xs := xs)
  rw [h, append_nil]

theorem append_right_cancel_length {α : Type u} {xs ys zs : List α} (h : xs ++ zs = ys ++ zs) :
    length xs = length ys := by
  apply Nat.add_right_cancel (k := length zs)
  rw [← length_append, h, length_append]

theorem map_append {α : Type u} {β : Type v} (f : α → β) (xs ys : List α) : map f (xs ++ ys) = map f xs ++ map f ys := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [cons_append, map_cons, ih, map_cons, cons_append]

theorem length_map {α : Type u} {β : Type v} (f : α → β) (xs : List α) : length (map f xs) = length xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [map_cons, length_cons, ih, length_cons]

theorem map_id {α : Type u} (xs : List α) : map (fun a => a) xs = xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [map_cons, ih]

theorem map_map {α : Type u} {β : Type v} {γ : Type w} (g : β → γ) (f : α → β) (xs : List α) :
    map g (map f xs) = map (g ∘ f) xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    rw [map_cons, map_cons, ih, map_cons]
    rfl

theorem map_eq_nil_iff {α : Type u} {β : Type v} (f : α → β) (xs : List α) : map f xs = [] ↔ xs = [] := by
  constructor
  · intro h
    cases xs with
    | nil => rfl
    | cons x xs =>
      exfalso
      rw [map_cons] at h
      exact cons_ne_nil _ _ h
  · intro h
    rw [h]
    rfl

theorem map_injective {α : Type u} {β : Type v} {f : α → β} (hf : Function.Injective f) :
    Function.Injective (map f) := by
  intro xs
  induction xs with
  | nil =>
    intro ys h
    cases ys with
    | nil => rfl
    | cons y ys => cases h
  | cons x xs ih =>
    intro ys h
    cases ys with
    | nil => cases h
    | cons y ys =>
      rw [map_cons, map_cons] at h
      obtain ⟨h1, h2⟩ := cons_injective h
      rw [hf x y h1, ih ys h2]

theorem map_replicate {α : Type u} {β : Type v} (f : α → β) (n : Nat) (a : α) :
    map f (replicate n a) = replicate n (f a) := by
  induction n with
  | zero => rfl
  | succ n ih => rw [replicate_succ, map_cons, ih, replicate_succ]

theorem length_replicate {α : Type u} (n : Nat) (a : α) : length (replicate n a) = n := by
  induction n with
  | zero => rfl
  | succ n ih => rw [replicate_succ, length_cons, ih]

theorem replicate_add {α : Type u} (n m : Nat) (a : α) : replicate (n + m) a = replicate n a ++ replicate m a := by
  induction n with
  | zero =>
    rw [Nat.zero_eq, Nat.zero_add]
    rfl
  | succ n ih => rw [Nat.succ_add, replicate_succ, ih, replicate_succ, cons_append]

theorem reverse_append {α : Type u} (xs ys : List α) : reverse (xs ++ ys) = reverse ys ++ reverse xs := by
  induction xs with
  | nil =>
    rw [reverse_nil, append_nil]
    rfl
  | cons x xs ih => rw [cons_append, reverse_cons, ih, append_assoc, reverse_cons]

theorem reverse_reverse {α : Type u} (xs : List α) : reverse (reverse xs) = xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    rw [reverse_cons, reverse_append, ih]
    rfl

theorem length_reverse {α : Type u} (xs : List α) : length (reverse xs) = length xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    rw [reverse_cons, length_append, ih]
    rfl

theorem map_reverse {α : Type u} {β : Type v} (f : α → β) (xs : List α) : map f (reverse xs) = reverse (map f xs) := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    rw [reverse_cons, map_append, ih, map_cons f x xs, reverse_cons]
    rfl

theorem reverse_injective {α : Type u} {xs ys : List α} (h : reverse xs = reverse ys) : xs = ys := by
  rw [← reverse_reverse xs, h, reverse_reverse]

theorem reverse_eq_nil_iff {α : Type u} (xs : List α) : reverse xs = [] ↔ xs = [] := by
  constructor
  · intro h
    apply reverse_injective
    rw [h]
    rfl
  · intro h
    rw [h]
    rfl

theorem append_right_cancel {α : Type u} {xs ys zs : List α} (h : xs ++ zs = ys ++ zs) : xs = ys := by
  apply reverse_injective
  apply append_left_cancel (xs := reverse zs)
  rw [← reverse_append, h, reverse_append]

theorem filter_cons_true {α : Type u} {p : α → Bool} {x : α} (h : p x = true) (xs : List α) :
    filter p (x :: xs) = x :: filter p xs := by
  show cond (p x) (x :: filter p xs) (filter p xs) = x :: filter p xs
  rw [h]
  rfl

theorem filter_cons_false {α : Type u} {p : α → Bool} {x : α} (h : p x = false) (xs : List α) :
    filter p (x :: xs) = filter p xs := by
  show cond (p x) (x :: filter p xs) (filter p xs) = filter p xs
  rw [h]
  rfl

theorem filter_append {α : Type u} (p : α → Bool) (xs ys : List α) :
    filter p (xs ++ ys) = filter p xs ++ filter p ys := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    cases Bool.eq_true_or_false (p x) with
    | inl h => rw [cons_append, filter_cons_true h, ih, filter_cons_true h, cons_append]
    | inr h => rw [cons_append, filter_cons_false h, ih, filter_cons_false h]

theorem filter_filter {α : Type u} (p : α → Bool) (xs : List α) : filter p (filter p xs) = filter p xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    cases Bool.eq_true_or_false (p x) with
    | inl h => rw [filter_cons_true h, filter_cons_true h, ih]
    | inr h =>
      rw [filter_cons_false h]
      exact ih

theorem length_filter_le {α : Type u} (p : α → Bool) (xs : List α) : length (filter p xs) ≤ length xs := by
  induction xs with
  | nil => exact Nat.le_refl 0
  | cons x xs ih =>
    cases Bool.eq_true_or_false (p x) with
    | inl h =>
      rw [filter_cons_true h, length_cons, length_cons]
      exact Nat.succ_le_succ ih
    | inr h =>
      rw [filter_cons_false h, length_cons]
      exact Nat.le_step ih

theorem filter_all {α : Type u} (xs : List α) : filter (fun _ => true) xs = xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    rw [filter_cons_true, ih]
    rfl

theorem filter_none {α : Type u} (xs : List α) : filter (fun _ => false) xs = [] := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    rw [filter_cons_false]
    · exact ih
    · rfl

theorem head_append {α : Type u} (xs ys : List α) : head (xs ++ ys) = Option.orElse (head xs) (head ys) := by
  cases xs with
  | nil => rfl
  | cons x xs => rfl

theorem head_eq_none_iff {α : Type u} (xs : List α) : head xs = none ↔ xs = [] := by
  constructor
  · intro h
    cases xs with
    | nil => rfl
    | cons x xs => cases h
  · intro h
    rw [h]
    rfl

theorem head_map {α : Type u} {β : Type v} (f : α → β) (xs : List α) : head (map f xs) = Option.map f (head xs) := by
  cases xs with
  | nil => rfl
  | cons x xs => rfl

theorem tail_map {α : Type u} {β : Type v} (f : α → β) (xs : List α) : tail (map f xs) = map f (tail xs) := by
  cases xs with
  | nil => rfl
  | cons x xs => rfl

theorem length_tail {α : Type u} (xs : List α) : length (tail xs) = (length xs).pred := by
  cases xs with
  | nil => rfl
  | cons x xs => rfl

theorem cons_head_tail {α : Type u} {xs : List α} {x : α} (h : head xs = some x) : x :: tail xs = xs := by
  cases xs with
  | nil => cases h
  | cons y ys =>
    rw [head_cons] at h
    rw [tail_cons, Option.some_injective h]

theorem reverse_replicate {α : Type u} (n : Nat) (a : α) : reverse (replicate n a) = replicate n a := by
  have move : ∀ k, replicate k a ++ [a] = a :: replicate k a := by
    intro k
    induction k with
    | zero => rfl
    | succ k ih => rw [replicate_succ, cons_append, ih]
  induction n with
  | zero => rfl
  | succ n ih => rw [replicate_succ, reverse_cons, ih, move]

end List
