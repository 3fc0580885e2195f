prelude
import Mini.List
/-! # Membership, folds and sums over lists. -/
set_option autoImplicit false
universe u v w

namespace List

inductive Mem {α : Type u} (a : α) : List α → Prop where
  | here (xs : List α) : Mem a (a :: xs)
  | there (b : α) {xs : List α} (h : Mem a xs) : Mem a (b :: xs)

instance instMembershipList {α : Type u} : Membership α (List α) where
  mem xs a := Mem a xs

theorem mem_head {α : Type u} (a : α) (xs : List α) : a ∈ a :: xs := Mem.here xs
theorem mem_tail {α : Type u} {a : α} (b : α) {xs : List α} (h : a ∈ xs) : a ∈ b :: xs := Mem.there b h

theorem not_mem_nil {α : Type u} (a : α) : ¬a ∈ ([] : List α) := by
  intro h
  cases h

theorem mem_cons_iff {α : Type u} (a b : α) (xs : List α) : a ∈ b :: xs ↔ a = b ∨ a ∈ xs := by
  constructor
  · intro h
    cases h with
    | here =>
      left
      rfl
    | there _ k =>
      right
      exact k
  · intro h
    cases h with
    | inl e =>
      rw [e]
      exact mem_head b xs
    | inr k =>
      apply mem_tail
      exact k

theorem mem_singleton_iff {α : Type u} (a b : α) : a ∈ [b] ↔ a = b := by
  constructor
  · intro h
    cases (mem_cons_iff a b []).mp h with
    | inl e => exact e
    | inr k =>
      exfalso
      exact not_mem_nil a k
  · intro h
    rw [h]
    exact mem_head b []

theorem mem_append_left {α : Type u} {a : α} {xs : List α} (ys : List α) (h : a ∈ xs) : a ∈ xs ++ ys := by
  induction h with
  | here xs => exact mem_head a _
  | there b _ ih =>
    apply mem_tail
    exact ih

theorem mem_append_right {α : Type u} {a : α} (xs : List α) {ys : List α} (h : a ∈ ys) : a ∈ xs ++ ys := by
  induction xs with
  | nil => exact h
  | cons x xs ih =>
    apply mem_tail
    exact ih

theorem mem_append_iff {α : Type u} (a : α) (xs ys : List α) : a ∈ xs ++ ys ↔ a ∈ xs ∨ a ∈ ys := by
  constructor
  · intro h
    induction xs with
    | nil =>
      right
      exact h
    | cons x xs ih =>
      cases (mem_cons_iff a x (xs ++ ys)).mp h with
      | inl e =>
        left
        rw [e]
        exact mem_head x xs
      | inr k =>
        cases ih k with
        | inl l =>
          left
          apply mem_tail
          exact l
        | inr r =>
          right
          exact r
  · intro h
    cases h with
    | inl l => exact mem_append_left ys l
    | inr r => exact mem_append_right xs r

theorem mem_append_comm {α : Type u} {a : α} {xs ys : List α} (h : a ∈ xs ++ ys) : a ∈ ys ++ xs := by
  cases (mem_append_iff a xs ys).mp h with
  | inl l => exact mem_append_right ys l
  | inr r => exact mem_append_left xs r

theorem mem_reverse {α : Type u} {a : α} {xs : List α} (h : a ∈ xs) : a ∈ reverse xs := by
  induction h with
  | here xs =>
    rw [reverse_cons]
    apply mem_append_right
    exact mem_head a []
  | there b _ ih =>
    rw [reverse_cons]
    apply mem_append_left
    exact ih

theorem mem_reverse_iff {α : Type u} (a : α) (xs : List α) : a ∈ reverse xs ↔ a ∈ xs := by
  constructor
  · intro h
    rw [← reverse_reverse xs]
    exact mem_reverse h
  · exact mem_reverse

theorem mem_map_of_mem {α : Type u} {β : Type v} (f : α → β) {a : α} {xs : List α} (h : a ∈ xs) : f a ∈ map f xs := by
  induction h with
  | here xs => exact mem_head (f a) _
  | there b _ ih =>
    apply mem_tail
    exact ih

theorem exists_of_mem_map {α : Type u} {β : Type v} {f : α → β} {b : β} {xs : List α} (h : b ∈ map f xs) :
    ∃ a, a ∈ xs ∧ f a = b := by
  induction xs with
  | nil =>
    exfalso
    exact not_mem_nil b h
  | cons x xs ih =>
    cases (mem_cons_iff b (f x) (map f xs)).mp h with
    | inl e =>
      exists x
      constructor
      · exact mem_head x xs
      · rw [e]
    | inr k =>
      obtain ⟨a, ha, hb⟩ := ih k
      exists a
      constructor
      · apply mem_tail
        exact ha
      · exact hb

theorem mem_map_iff {α : Type u} {β : Type v} (f : α → β) (b : β) (xs : List α) :
    b ∈ map f xs ↔ ∃ a, a ∈ xs ∧ f a = b := by
  constructor
  · exact exists_of_mem_map
  · intro h
    obtain ⟨a, ha, hb⟩ := h
    rw [← hb]
    exact mem_map_of_mem f ha

theorem mem_filter {α : Type u} {p : α → Bool} {a : α} {xs : List α} (h : a ∈ xs) (k : p a = true) : a ∈ filter p xs := by
  induction h with
  | here xs =>
    rw [filter_cons_true k]
    exact mem_head a _
  | there b _ ih =>
    cases Bool.eq_true_or_false (p b) with
    | inl t =>
      rw [filter_cons_true t]
      apply mem_tail
      exact ih
    | inr f =>
      rw [filter_cons_false f]
      exact ih

theorem mem_of_mem_filter {α : Type u} {p : α → Bool} {a : α} {xs : List α} (h : a ∈ filter p xs) : a ∈ xs := by
  induction xs with
  | nil => exact h
  | cons x xs ih =>
    cases Bool.eq_true_or_false (p x) with
    | inl t =>
      rw [filter_cons_true t] at h
      cases (mem_cons_iff a x (filter p xs)).mp h with
      | inl e =>
        rw [e]
        exact mem_head x xs
      | inr k =>
        apply mem_tail
        exact ih k
    | inr f =>
      rw [filter_cons_false f] at h
      apply mem_tail
      exact ih h

theorem mem_replicate {α : Type u} {n : Nat} {a b : α} (h : b ∈ replicate n a) : b = a := by
  induction n with
  | zero =>
    exfalso
    exact not_mem_nil b h
  | succ n ih =>
    cases (mem_cons_iff b a (replicate n a)).mp h with
    | inl e => exact e
    | inr k => exact ih k

theorem ne_nil_of_mem {α : Type u} {a : α} {xs : List α} (h : a ∈ xs) : xs ≠ [] := by
  intro e
  rw [e] at h
  exact not_mem_nil a h

theorem length_pos_of_mem {α : Type u} {a : α} {xs : List α} (h : a ∈ xs) : 0 < length xs := by
  cases xs with
  | nil =>
    exfalso
    exact not_mem_nil a h
  | cons x xs =>
    rw [length_cons]
    exact Nat.zero_lt_succ _

def Subset {α : Type u} (xs ys : List α) : Prop := ∀ a, a ∈ xs → a ∈ ys

theorem subset_refl {α : Type u} (xs : List α) : Subset xs xs := by
  intro a h
  exact h

theorem subset_trans {α : Type u} {xs ys zs : List α} (h : Subset xs ys) (k : Subset ys zs) : Subset xs zs := by
  intro a ha
  apply k
  apply h
  exact ha

theorem nil_subset {α : Type u} (xs : List α) : Subset [] xs := by
  intro a h
  exfalso
  exact not_mem_nil a h

theorem subset_append_left {α : Type u} (xs ys : List α) : Subset xs (xs ++ ys) := by
  intro a h
  exact mem_append_left ys h

theorem append_subset {α : Type u} {xs ys zs : List α} (h : Subset xs zs) (k : Subset ys zs) : Subset (xs ++ ys) zs := by
  intro a ha
  cases (mem_append_iff a xs ys).mp ha with
  | inl l => exact h a l
  | inr r => exact k a r

theorem reverse_subset {α : Type u} (xs : List α) : Subset (reverse xs) xs := by
  intro a h
  exact (mem_reverse_iff a xs).mp h

theorem filter_subset {α : Type u} (p : α → Bool) (xs : List α) : Subset (filter p xs) xs := by
  intro a h
  exact mem_of_mem_filter h

theorem map_subset {α : Type u} {β : Type v} (f : α → β) {xs ys : List α} (h : Subset xs ys) :
    Subset (map f xs) (map f ys) := by
  intro b hb
  obtain ⟨a, ha, hf⟩ := exists_of_mem_map hb
  rw [← hf]
  apply mem_map_of_mem
  exact h a ha

theorem eq_nil_of_subset_nil {α : Type u} {xs : List α} (h : Subset xs []) : xs = [] := by
  cases xs with
  | nil => rfl
  | cons x xs =>
    exfalso
    apply not_mem_nil x
    apply h
    exact mem_head x xs

def foldr {α : Type u} {β : Type v} (f : α → β → β) (z : β) (xs : List α) : β :=
  match xs with
  | nil => z
  | cons x xs => f x (foldr f z xs)

theorem foldr_nil {α : Type u} {β : Type v} (f : α → β → β) (z : β) : foldr f z [] = z := rfl
theorem foldr_cons {α : Type u} {β : Type v} (f : α → β → β) (z : β) (x : α) (xs : List α) :
    foldr f z (x :: xs) = f x (foldr f z xs) := rfl

theorem foldr_append {α : Type u} {β : Type v} (f : α → β → β) (z : β) (xs ys : List α) :
    foldr f z (xs ++ ys) = foldr f (foldr f z ys) xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [cons_append, foldr_cons, ih, foldr_cons]

theorem foldr_cons_nil {α : Type u} (xs : List α) : foldr (fun x ys => x :: ys) [] xs = xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [foldr_cons, ih]

theorem foldr_map {α : Type u} {β : Type v} {γ : Type w} (f : β → γ → γ) (g : α → β) (z : γ) (xs : List α) :
    foldr f z (map g xs) = foldr (fun a c => f (g a) c) z xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [map_cons, foldr_cons, ih, foldr_cons]

def sum (xs : List Nat) : Nat := foldr (fun a b => a + b) 0 xs

theorem sum_nil : sum [] = 0 := rfl
theorem sum_cons (x : Nat) (xs : List Nat) : sum (x :: xs) = x + sum xs := rfl

theorem sum_append (xs ys : List Nat) : sum (xs ++ ys) = sum xs + sum ys := by
  induction xs with
  | nil =>
    rw [sum_nil, Nat.zero_add]
    rfl
  | cons x xs ih => rw [cons_append, sum_cons, ih, sum_cons, Nat.add_assoc]

theorem sum_reverse (xs : List Nat) : sum (reverse xs) = sum xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    rw [reverse_cons, sum_append, ih, sum_cons, Nat.add_comm]
    rw [sum_cons, sum_nil, Nat.add_zero]

theorem sum_replicate (n k : Nat) : sum (replicate n k) = n * k := by
  induction n with
  | zero =>
    rw [Nat.zero_eq, Nat.zero_mul]
    rfl
  | succ n ih => rw [replicate_succ, sum_cons, ih, Nat.succ_mul, Nat.add_comm]

theorem sum_map_mul (c : Nat) (xs : List Nat) : sum (map (fun x => c * x) xs) = c * sum xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [map_cons, sum_cons, ih, sum_cons, Nat.mul_add]

theorem le_sum_of_mem {x : Nat} {xs : List Nat} (h : x ∈ xs) : x ≤ sum xs := by
  induction h with
  | here xs =>
    rw [sum_cons]
    exact Nat.le_add_right _ _
  | there b _ ih =>
    rw [sum_cons]
    apply Nat.le_trans ih
    exact Nat.le_add_left _ _

theorem sum_ones_eq_length {α : Type u} (xs : List α) : sum (map (fun _ => 1) xs) = length xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih => rw [map_cons, sum_cons, ih, length_cons, Nat.one_add]

theorem length_le_sum {xs : List Nat} (h : ∀ x, x ∈ xs → 1 ≤ x) : length xs ≤ sum xs := by
  induction xs with
  | nil => exact Nat.le_refl 0
  | cons x xs ih =>
    rw [length_cons, sum_cons, ← Nat.one_add]
    apply Nat.add_le_add
    · apply h
      exact mem_head x xs
    · apply ih
      intro y hy
      apply h
      exact mem_tail x hy

end List
