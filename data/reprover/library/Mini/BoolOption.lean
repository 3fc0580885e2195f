prelude
import Mini.Order
/-! # Truth values and optional values. -/
set_option autoImplicit false
universe u v w

namespace Bool

theorem true_ne_false : true ≠ false := by
  intro h
  cases h

theorem eq_true_or_false (a : Bool) : a = true ∨ a = false := by
  cases a with
  | false =>
    right
    rfl
  | true =>
    left
    rfl

theorem not_not (a : Bool) : a.not.not = a := by
  cases a with
  | false => rfl
  | true => rfl

theorem and_comm (a b : Bool) : (a && b) = (b && a) := by
  cases a with
  | false =>
    cases b with
    | false => rfl
    | true => rfl
  | true =>
    cases b with
    | false => rfl
    | true => rfl

theorem and_assoc (a b c : Bool) : (a && b && c) = (a && (b && c)) := by
  cases a with
  | false => rfl
  | true => rfl

theorem and_self (a : Bool) : (a && a) = a := by
  cases a with
  | false => rfl
  | true => rfl

theorem or_comm (a b : Bool) : (a || b) = (b || a) := by
  cases a with
  | false =>
    cases b with
    | false => rfl
    | true => rfl
  | true =>
    cases b with
    | false => rfl
    | true => rfl

theorem or_assoc (a b c : Bool) : (a || b || c) = (a || (b || c)) := by
  cases a with
  | false => rfl
  | true => rfl

theorem or_self (a : Bool) : (a || a) = a := by
  cases a with
  | false => rfl
  | true => rfl

theorem and_or_distrib (a b c : Bool) : (a && (b || c)) = (a && b || a && c) := by
  cases a with
  | false => rfl
  | true => rfl

theorem or_and_distrib (a b c : Bool) : (a || b && c) = ((a || b) && (a || c)) := by
  cases a with
  | false => rfl
  | true => rfl

theorem absorb_and (a b : Bool) : (a && (a || b)) = a := by
  cases a with
  | false => rfl
  | true => rfl

theorem absorb_or (a b : Bool) : (a || a && b) = a := by
  cases a with
  | false => rfl
  | true => rfl

theorem not_and (a b : Bool) : (a && b).not = (a.not || b.not) := by
  cases a with
  | false => rfl
  | true => rfl

theorem not_or (a b : Bool) : (a || b).not = (a.not && b.not) := by
  cases a with
  | false => rfl
  | true => rfl

theorem and_not_self (a : Bool) : (a && a.not) = false := by
  cases a with
  | false => rfl
  | true => rfl

theorem or_not_self (a : Bool) : (a || a.not) = true := by
  cases a with
  | false => rfl
  | true => rfl

theorem not_injective {a b : Bool} (h : a.not = b.not) : a = b := by
  rw [← not_not a, h, not_not]

theorem and_eq_true_iff (a b : Bool) : (a && b) = true ↔ a = true ∧ b = true := by
  constructor
  · intro h
    cases a with
    | false =>
      exfalso
      exact true_ne_false h.symm
    | true =>
      constructor
      · rfl
      · exact h
  · intro h
    rw [h.left, h.right]
    rfl

theorem or_eq_true_iff (a b : Bool) : (a || b) = true ↔ a = true ∨ b = true := by
  constructor
  · intro h
    cases a with
    | false =>
      right
      exact h
    | true =>
      left
      rfl
  · intro h
    cases h with
    | inl k =>
      rw [k]
      rfl
    | inr k =>
      rw [k, or_comm]
      rfl

theorem eq_false_of_ne_true {a : Bool} (h : a ≠ true) : a = false := by
  cases a with
  | false => rfl
  | true =>
    exfalso
    apply h
    rfl

def xor (a b : Bool) : Bool :=
  match a with
  | true => b.not
  | false => b

theorem xor_self (a : Bool) : xor a a = false := by
  cases a with
  | false => rfl
  | true => rfl

theorem xor_false (a : Bool) : xor a false = a := by
  cases a with
  | false => rfl
  | true => rfl

theorem xor_true (a : Bool) : xor a true = a.not := by
  cases a with
  | false => rfl
  | true => rfl

theorem xor_comm (a b : Bool) : xor a b = xor b a := by
  cases a with
  | false =>
    rw [xor_false]
    rfl
  | true =>
    rw [xor_true]
    rfl

theorem xor_assoc (a b c : Bool) : xor (xor a b) c = xor a (xor b c) := by
  cases a with
  | false => rfl
  | true =>
    cases b with
    | false => rfl
    | true =>
      show c = c.not.not
      rw [not_not]

theorem xor_cancel {a b c : Bool} (h : xor a b = xor a c) : b = c := by
  cases a with
  | false => exact h
  | true =>
    apply not_injective
    exact h

def beqNat (n m : Nat) : Bool := Nat.beq n m

theorem beqNat_self (n : Nat) : beqNat n n = true := by
  induction n with
  | zero => rfl
  | succ n ih => exact ih

theorem eq_of_beqNat {n m : Nat} (h : beqNat n m = true) : n = m := by
  induction n generalizing m with
  | zero =>
    cases m with
    | zero => rfl
    | succ m =>
      exfalso
      exact true_ne_false h.symm
  | succ n ih =>
    cases m with
    | zero =>
      exfalso
      exact true_ne_false h.symm
    | succ m =>
      rw [ih]
      exact h

theorem beqNat_iff (n m : Nat) : beqNat n m = true ↔ n = m := by
  constructor
  · exact eq_of_beqNat
  · intro h
    rw [h]
    exact beqNat_self m

end Bool

namespace Option

def map {α : Type u} {β : Type v} (f : α → β) (o : Option α) : Option β :=
  match o with
  | none => none
  | some a => some (f a)

def bind {α : Type u} {β : Type v} (o : Option α) (f : α → Option β) : Option β :=
  match o with
  | none => none
  | some a => f a

def getOr {α : Type u} (o : Option α) (d : α) : α :=
  match o with
  | none => d
  | some a => a

def orElse {α : Type u} (o p : Option α) : Option α :=
  match o with
  | none => p
  | some a => some a

def filter {α : Type u} (p : α → Bool) (o : Option α) : Option α :=
  match o with
  | none => none
  | some a => cond (p a) (some a) none

theorem some_injective {α : Type u} {a b : α} (h : some a = some b) : a = b := by
  injection h

theorem some_ne_none {α : Type u} (a : α) : some a ≠ none := by
  intro h
  cases h

theorem eq_none_or_some {α : Type u} (o : Option α) : o = none ∨ ∃ a, o = some a := by
  cases o with
  | none =>
    left
    rfl
  | some a =>
    right
    exists a

theorem map_none {α : Type u} {β : Type v} (f : α → β) : map f none = none := rfl
theorem map_some {α : Type u} {β : Type v} (f : α → β) (a : α) : map f (some a) = some (f a) := rfl

theorem map_id {α : Type u} (o : Option α) : map (fun a => a) o = o := by
  cases o with
  | none => rfl
  | some a => rfl

theorem map_comp {α : Type u} {β : Type v} {γ : Type w} (g : β → γ) (f : α → β) (o : Option α) :
    map g (map f o) = map (g ∘ f) o := by
  cases o with
  | none => rfl
  | some a => rfl

theorem map_eq_none_iff {α : Type u} {β : Type v} (f : α → β) (o : Option α) : map f o = none ↔ o = none := by
  constructor
  · intro h
    cases o with
    | none => rfl
    | some a =>
      exfalso
      rw [map_some] at h
      exact some_ne_none _ h
  · intro h
    rw [h]
    rfl

theorem map_injective {α : Type u} {β : Type v} {f : α → β} (hf : Function.Injective f) :
    Function.Injective (map f) := by
  intro o p h
  cases o with
  | none =>
    cases p with
    | none => rfl
    | some b => cases h
  | some a =>
    cases p with
    | none => cases h
    | some b =>
      rw [map_some, map_some] at h
      rw [hf a b]
      exact some_injective h

theorem bind_none {α : Type u} {β : Type v} (f : α → Option β) : bind none f = none := rfl
theorem bind_some {α : Type u} {β : Type v} (a : α) (f : α → Option β) : bind (some a) f = f a := rfl

theorem bind_some_right {α : Type u} (o : Option α) : bind o some = o := by
  cases o with
  | none => rfl
  | some a => rfl

theorem bind_assoc {α : Type u} {β : Type v} {γ : Type w} (o : Option α) (f : α → Option β) (g : β → Option γ) :
    bind (bind o f) g = bind o (fun a => bind (f a) g) := by
  cases o with
  | none => rfl
  | some a => rfl

theorem map_eq_bind {α : Type u} {β : Type v} (f : α → β) (o : Option α) : map f o = bind o (fun a => some (f a)) := by
  cases o with
  | none => rfl
  | some a => rfl

theorem bind_eq_none_of_forall {α : Type u} {β : Type v} {f : α → Option β} (h : ∀ a, f a = none) (o : Option α) :
    bind o f = none := by
  cases o with
  | none => rfl
  | some a =>
    rw [bind_some]
    exact h a

theorem getOr_some {α : Type u} (a d : α) : getOr (some a) d = a := rfl
theorem getOr_none {α : Type u} (d : α) : getOr none d = d := rfl

theorem getOr_map {α : Type u} {β : Type v} (f : α → β) (o : Option α) (d : α) :
    getOr (map f o) (f d) = f (getOr o d) := by
  cases o with
  | none => rfl
  | some a => rfl

theorem eq_some_getOr {α : Type u} {o : Option α} (h : o ≠ none) (d : α) : o = some (getOr o d) := by
  cases o with
  | none =>
    exfalso
    apply h
    rfl
  | some a => rfl

theorem orElse_none {α : Type u} (o : Option α) : orElse o none = o := by
  cases o with
  | none => rfl
  | some a => rfl

theorem none_orElse {α : Type u} (o : Option α) : orElse none o = o := rfl

theorem orElse_assoc {α : Type u} (o p q : Option α) : orElse (orElse o p) q = orElse o (orElse p q) := by
  cases o with
  | none => rfl
  | some a => rfl

theorem orElse_eq_none_iff {α : Type u} (o p : Option α) : orElse o p = none ↔ o = none ∧ p = none := by
  constructor
  · intro h
    cases o with
    | none =>
      constructor
      · rfl
      · exact h
    | some a =>
      exfalso
      exact some_ne_none a h
  · intro h
    rw [h.left, h.right]
    rfl

theorem map_orElse {α : Type u} {β : Type v} (f : α → β) (o p : Option α) :
    map f (orElse o p) = orElse (map f o) (map f p) := by
  cases o with
  | none => rfl
  | some a => rfl

theorem filter_true {α : Type u} (o : Option α) : filter (fun _ => true) o = o := by
  cases o with
  | none => rfl
  | some a => rfl

theorem filter_false {α : Type u} (o : Option α) : filter (fun _ => false) o = none := by
  cases o with
  | none => rfl
  | some a => rfl

theorem filter_some_of_true {α : Type u} {p : α → Bool} {a : α} (h : p a = true) : filter p (some a) = some a := by
  show cond (p a) (some a) none = some a
  rw [h]
  rfl

theorem filter_idem {α : Type u} (p : α → Bool) (o : Option α) : filter p (filter p o) = filter p o := by
  cases o with
  | none => rfl
  | some a =>
    cases Bool.eq_true_or_false (p a) with
    | inl h =>
      rw [filter_some_of_true h, filter_some_of_true h]
    | inr h =>
      have step : filter p (some a) = none := by
        show cond (p a) (some a) none = none
        rw [h]
        rfl
      rw [step]
      rfl

end Option
