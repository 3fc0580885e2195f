prelude
import Mini.Membership
/-! # Relations, monoids, groups and a lattice: laws as structures, consequences as theorems. -/
set_option autoImplicit false
universe u v w

namespace Relation

def Reflexive {α : Type u} (r : α → α → Prop) : Prop := ∀ a, r a a
def Symmetric {α : Type u} (r : α → α → Prop) : Prop := ∀ a b, r a b → r b a
def Transitive {α : Type u} (r : α → α → Prop) : Prop := ∀ a b c, r a b → r b c → r a c
def Antisymmetric {α : Type u} (r : α → α → Prop) : Prop := ∀ a b, r a b → r b a → a = b
def Irreflexive {α : Type u} (r : α → α → Prop) : Prop := ∀ a, ¬r a a
def Total {α : Type u} (r : α → α → Prop) : Prop := ∀ a b, r a b ∨ r b a
def Converse {α : Type u} (r : α → α → Prop) (a b : α) : Prop := r b a

structure Equivalence {α : Type u} (r : α → α → Prop) : Prop where
  refl : Reflexive r
  symm : Symmetric r
  trans : Transitive r

structure PartialOrder {α : Type u} (r : α → α → Prop) : Prop where
  refl : Reflexive r
  trans : Transitive r
  antisymm : Antisymmetric r

theorem eq_equivalence {α : Type u} : Equivalence (fun a b : α => a = b) := by
  constructor
  · intro a
    rfl
  · intro a b h
    rw [h]
  · intro a b c h k
    rw [h, k]

theorem iff_equivalence : Equivalence (fun p q : Prop => p ↔ q) := by
  constructor
  · intro p
    exact Iff.rfl
  · intro p q h
    exact Logic.iff_symm h
  · intro p q r h k
    exact Logic.iff_trans h k

theorem kernel_equivalence {α : Type u} {β : Type v} (f : α → β) : Equivalence (fun a b => f a = f b) := by
  constructor
  · intro a
    rfl
  · intro a b h
    exact h.symm
  · intro a b c h k
    exact h.trans k

theorem nat_le_partial_order : PartialOrder (fun n m : Nat => n ≤ m) := by
  constructor
  · exact Nat.le_refl
  · intro a b c h k
    exact Nat.le_trans h k
  · intro a b h k
    exact Nat.le_antisymm h k

theorem converse_converse {α : Type u} (r : α → α → Prop) : Converse (Converse r) = r := rfl

theorem converse_reflexive {α : Type u} {r : α → α → Prop} (h : Reflexive r) : Reflexive (Converse r) := by
  intro a
  exact h a

theorem converse_transitive {α : Type u} {r : α → α → Prop} (h : Transitive r) : Transitive (Converse r) := by
  intro a b c k l
  apply h c b a
  · exact l
  · exact k

theorem converse_partial_order {α : Type u} {r : α → α → Prop} (h : PartialOrder r) : PartialOrder (Converse r) := by
  constructor
  · exact converse_reflexive h.refl
  · exact converse_transitive h.trans
  · intro a b k l
    exact h.antisymm a b l k

theorem converse_eq_of_symmetric {α : Type u} {r : α → α → Prop} (h : Symmetric r) : Converse r = r := by
  funext a b
  apply propext
  constructor
  · exact h b a
  · exact h a b

theorem reflexive_of_total {α : Type u} {r : α → α → Prop} (h : Total r) : Reflexive r := by
  intro a
  cases h a a with
  | inl k => exact k
  | inr k => exact k

theorem asymm_of_irrefl_trans {α : Type u} {r : α → α → Prop} (h : Irreflexive r) (t : Transitive r) {a b : α}
    (k : r a b) : ¬r b a := by
  intro l
  apply h a
  exact t a b a k l

theorem eq_of_symmetric_antisymmetric {α : Type u} {r : α → α → Prop} (s : Symmetric r) (t : Antisymmetric r) {a b : α}
    (h : r a b) : a = b := by
  apply t
  · exact h
  · exact s a b h

inductive Closure {α : Type u} (r : α → α → Prop) (a : α) : α → Prop where
  | refl : Closure r a a
  | step {b c : α} (h : Closure r a b) (k : r b c) : Closure r a c

theorem closure_of_rel {α : Type u} {r : α → α → Prop} {a b : α} (h : r a b) : Closure r a b := by
  apply Closure.step
  · exact Closure.refl
  · exact h

theorem closure_trans {α : Type u} {r : α → α → Prop} {a b c : α} (h : Closure r a b) (k : Closure r b c) :
    Closure r a c := by
  induction k with
  | refl => exact h
  | step _ l ih => exact Closure.step ih l

theorem closure_mono {α : Type u} {r s : α → α → Prop} (h : ∀ a b, r a b → s a b) {a b : α} (k : Closure r a b) :
    Closure s a b := by
  induction k with
  | refl => exact Closure.refl
  | step _ l ih =>
    apply Closure.step ih
    exact h _ _ l

theorem closure_symmetric {α : Type u} {r : α → α → Prop} (h : Symmetric r) {a b : α} (k : Closure r a b) :
    Closure r b a := by
  induction k with
  | refl => exact Closure.refl
  | step _ l ih =>
    apply closure_trans
    · exact closure_of_rel (h _ _ l)
    · exact ih

theorem closure_least {α : Type u} {r s : α → α → Prop} (h : ∀ a b, r a b → s a b) (f : Reflexive s)
    (t : Transitive s) {a b : α} (k : Closure r a b) : s a b := by
  induction k with
  | refl => exact f a
  | step _ l ih =>
    apply t
    · exact ih
    · exact h _ _ l

end Relation

structure Monoid (α : Type u) where
  op : α → α → α
  one : α
  assoc : ∀ a b c, op (op a b) c = op a (op b c)
  one_op : ∀ a, op one a = a
  op_one : ∀ a, op a one = a

namespace Monoid

def natAdd : Monoid Nat := ⟨fun a b => a + b, 0, Nat.add_assoc, Nat.zero_add, Nat.add_zero⟩
def natMul : Monoid Nat := ⟨fun a b => a * b, 1, Nat.mul_assoc, Nat.one_mul, Nat.mul_one⟩
def lists (α : Type u) : Monoid (List α) := ⟨fun a b => a ++ b, [], List.append_assoc, List.nil_append, List.append_nil⟩

theorem one_unique {α : Type u} (m : Monoid α) {e : α} (h : ∀ a, m.op e a = a) : e = m.one := by
  rw [← m.op_one e]
  exact h m.one

theorem one_unique_right {α : Type u} (m : Monoid α) {e : α} (h : ∀ a, m.op a e = a) : e = m.one := by
  rw [← m.one_op e]
  exact h m.one

theorem inverse_unique {α : Type u} (m : Monoid α) {a b c : α} (h : m.op b a = m.one) (k : m.op a c = m.one) : b = c := by
  rw [← m.op_one b, ← k, ← m.assoc, h, m.one_op]

theorem four_assoc {α : Type u} (m : Monoid α) (a b c d : α) :
    m.op (m.op (m.op a b) c) d = m.op a (m.op b (m.op c d)) := by
  rw [m.assoc, m.assoc]

def pow {α : Type u} (m : Monoid α) (a : α) (n : Nat) : α :=
  match n with
  | .zero => m.one
  | .succ n => m.op (pow m a n) a

theorem pow_zero {α : Type u} (m : Monoid α) (a : α) : pow m a 0 = m.one := rfl
theorem pow_succ {α : Type u} (m : Monoid α) (a : α) (n : Nat) : pow m a n.succ = m.op (pow m a n) a := rfl

theorem pow_one {α : Type u} (m : Monoid α) (a : α) : pow m a 1 = a := by
  rw [Nat.one_eq_succ_zero, pow_succ, pow_zero, m.one_op]

theorem pow_add {α : Type u} (m : Monoid α) (a : α) (k l : Nat) : pow m a (k + l) = m.op (pow m a k) (pow m a l) := by
  induction l with
  | zero =>
    rw [Nat.zero_eq, pow_zero, m.op_one]
    rfl
  | succ l ih => rw [Nat.add_succ, pow_succ, ih, pow_succ, m.assoc]

theorem one_pow {α : Type u} (m : Monoid α) (n : Nat) : pow m m.one n = m.one := by
  induction n with
  | zero => rfl
  | succ n ih => rw [pow_succ, ih, m.op_one]

theorem pow_succ_left {α : Type u} (m : Monoid α) (a : α) (n : Nat) : pow m a n.succ = m.op a (pow m a n) := by
  induction n with
  | zero => rw [pow_succ, Nat.zero_eq, pow_zero, m.one_op, m.op_one]
  | succ n ih => rw [pow_succ, ih, m.assoc, ← pow_succ, ih]

theorem pow_commute {α : Type u} (m : Monoid α) (a : α) (k l : Nat) :
    m.op (pow m a k) (pow m a l) = m.op (pow m a l) (pow m a k) := by
  rw [← pow_add, Nat.add_comm, pow_add]

theorem pow_mul {α : Type u} (m : Monoid α) (a : α) (k l : Nat) : pow m a (k * l) = pow m (pow m a k) l := by
  induction l with
  | zero => rfl
  | succ l ih => rw [Nat.mul_succ, pow_add, ih, pow_succ]

theorem natAdd_pow (a n : Nat) : pow natAdd a n = n * a := by
  induction n with
  | zero =>
    rw [Nat.zero_eq, Nat.zero_mul]
    rfl
  | succ n ih =>
    rw [pow_succ, ih, Nat.succ_mul]
    rfl

def fold {α : Type u} (m : Monoid α) (xs : List α) : α := List.foldr m.op m.one xs

theorem fold_nil {α : Type u} (m : Monoid α) : fold m [] = m.one := rfl
theorem fold_cons {α : Type u} (m : Monoid α) (x : α) (xs : List α) : fold m (x :: xs) = m.op x (fold m xs) := rfl

theorem fold_append {α : Type u} (m : Monoid α) (xs ys : List α) : fold m (xs ++ ys) = m.op (fold m xs) (fold m ys) := by
  induction xs with
  | nil =>
    rw [fold_nil, m.one_op]
    rfl
  | cons x xs ih => rw [List.cons_append, fold_cons, ih, fold_cons, m.assoc]

theorem fold_replicate {α : Type u} (m : Monoid α) (n : Nat) (a : α) : fold m (List.replicate n a) = pow m a n := by
  induction n with
  | zero => rfl
  | succ n ih => rw [List.replicate_succ, fold_cons, ih, pow_succ_left]

theorem fold_singleton {α : Type u} (m : Monoid α) (a : α) : fold m [a] = a := by
  rw [fold_cons, fold_nil, m.op_one]

structure Hom {α : Type u} {β : Type v} (m : Monoid α) (n : Monoid β) (f : α → β) : Prop where
  map_one : f m.one = n.one
  map_op : ∀ a b, f (m.op a b) = n.op (f a) (f b)

theorem hom_id {α : Type u} (m : Monoid α) : Hom m m (fun a => a) := by
  constructor
  · rfl
  · intro a b
    rfl

theorem hom_comp {α : Type u} {β : Type v} {γ : Type w} {m : Monoid α} {n : Monoid β} {k : Monoid γ} {f : α → β}
    {g : β → γ} (hf : Hom m n f) (hg : Hom n k g) : Hom m k (g ∘ f) := by
  constructor
  · rw [Function.comp_apply, hf.map_one, hg.map_one]
  · intro a b
    rw [Function.comp_apply, hf.map_op, hg.map_op]
    rfl

theorem hom_pow {α : Type u} {β : Type v} {m : Monoid α} {n : Monoid β} {f : α → β} (h : Hom m n f) (a : α) (k : Nat) :
    f (pow m a k) = pow n (f a) k := by
  induction k with
  | zero => exact h.map_one
  | succ k ih => rw [pow_succ, h.map_op, ih, pow_succ]

theorem hom_fold {α : Type u} {β : Type v} {m : Monoid α} {n : Monoid β} {f : α → β} (h : Hom m n f) (xs : List α) :
    f (fold m xs) = fold n (List.map f xs) := by
  induction xs with
  | nil => exact h.map_one
  | cons x xs ih => rw [fold_cons, h.map_op, ih, List.map_cons, fold_cons]

theorem length_hom {α : Type u} : Hom (lists α) natAdd List.length := by
  constructor
  · rfl
  · intro xs ys
    exact List.length_append xs ys

theorem double_hom : Hom natAdd natAdd Nat.double := by
  constructor
  · rfl
  · intro a b
    exact Nat.double_add a b

end Monoid

structure Group (α : Type u) where
  op : α → α → α
  one : α
  inv : α → α
  assoc : ∀ a b c, op (op a b) c = op a (op b c)
  one_op : ∀ a, op one a = a
  inv_op : ∀ a, op (inv a) a = one

namespace Group

theorem left_cancel {α : Type u} (g : Group α) {a b c : α} (h : g.op a b = g.op a c) : b = c := by
  rw [← g.one_op b, ← g.inv_op a, g.assoc, h, ← g.assoc, g.inv_op, g.one_op]

theorem op_one {α : Type u} (g : Group α) (a : α) : g.op a g.one = a := by
  apply left_cancel g (a := g.inv a)
  rw [← g.assoc, g.inv_op, g.one_op]

theorem op_inv {α : Type u} (g : Group α) (a : α) : g.op a (g.inv a) = g.one := by
  apply left_cancel g (a := g.inv a)
  rw [← g.assoc, g.inv_op, g.one_op, op_one]

theorem right_cancel {α : Type u} (g : Group α) {a b c : α} (h : g.op b a = g.op c a) : b = c := by
  rw [← op_one g b, ← op_inv g a, ← g.assoc, h, g.assoc, op_inv, op_one]

theorem inv_inv {α : Type u} (g : Group α) (a : α) : g.inv (g.inv a) = a := by
  apply left_cancel g (a := g.inv a)
  rw [op_inv, g.inv_op]

theorem inv_one {α : Type u} (g : Group α) : g.inv g.one = g.one := by
  rw [← op_one g (g.inv g.one)]
  exact g.inv_op g.one

theorem inv_mul {α : Type u} (g : Group α) (a b : α) : g.inv (g.op a b) = g.op (g.inv b) (g.inv a) := by
  apply left_cancel g (a := g.op a b)
  rw [op_inv, g.assoc, ← g.assoc b, op_inv, g.one_op, op_inv]

theorem inv_injective {α : Type u} (g : Group α) : Function.Injective g.inv := by
  intro a b h
  rw [← inv_inv g a, h, inv_inv]

theorem eq_inv_of_op_eq_one {α : Type u} (g : Group α) {a b : α} (h : g.op a b = g.one) : b = g.inv a := by
  apply left_cancel g (a := a)
  rw [h, op_inv]

theorem solve_left {α : Type u} (g : Group α) (a b : α) : ∃ x, g.op a x = b := by
  exists g.op (g.inv a) b
  rw [← g.assoc, op_inv, g.one_op]

theorem solve_right {α : Type u} (g : Group α) (a b : α) : ∃ x, g.op x a = b := by
  exists g.op b (g.inv a)
  rw [g.assoc, g.inv_op, op_one]

theorem one_of_idempotent {α : Type u} (g : Group α) {a : α} (h : g.op a a = a) : a = g.one := by
  apply left_cancel g (a := a)
  rw [h, op_one]

theorem commute_of_square_one {α : Type u} (g : Group α) (h : ∀ a, g.op a a = g.one) (a b : α) :
    g.op a b = g.op b a := by
  have self : ∀ x, g.inv x = x := by
    intro x
    apply left_cancel g (a := x)
    rw [op_inv, h]
  rw [← self (g.op a b), inv_mul, self, self]

theorem left_translation_injective {α : Type u} (g : Group α) (a : α) : Function.Injective (g.op a) := by
  intro b c h
  exact left_cancel g h

theorem left_translation_bijective {α : Type u} (g : Group α) (a : α) : Function.Bijective (g.op a) := by
  constructor
  · exact left_translation_injective g a
  · intro b
    exact solve_left g a b

end Group
