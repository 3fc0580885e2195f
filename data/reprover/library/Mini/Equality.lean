prelude
import Mini.Logic
/-! # Equality, functions and pairs. -/
set_option autoImplicit false
universe u v w

namespace Equality

theorem symm_symm {α : Type u} {a b : α} (h : a = b) : b = a ∧ a = b := by
  constructor
  · rw [h]
  · exact h

theorem trans3 {α : Type u} {a b c d : α} (h : a = b) (k : b = c) (l : c = d) : a = d := by
  rw [h, k]
  exact l

theorem ne_symm {α : Type u} {a b : α} (h : a ≠ b) : b ≠ a := by
  intro k
  apply h
  rw [k]

theorem eq_of_eq_of_eq {α : Type u} {a b c : α} (h : a = c) (k : b = c) : a = b := by
  rw [h, k]

theorem congr_two {α : Type u} {β : Type v} {γ : Type w} (f : α → β → γ) {a b : α} {c d : β} (h : a = b) (k : c = d) :
    f a c = f b d := by
  rw [h, k]

theorem ne_of_apply_ne {α : Type u} {β : Type v} (f : α → β) {a b : α} (h : f a ≠ f b) : a ≠ b := by
  intro k
  apply h
  rw [k]

theorem subst_both {α : Type u} (p : α → α → Prop) {a b : α} (h : a = b) (k : p a a) : p b b := by
  rw [h] at k
  exact k

theorem eq_comm {α : Type u} (a b : α) : a = b ↔ b = a := by
  constructor
  · intro h
    rw [h]
  · intro h
    rw [h]

theorem fun_ext_iff {α : Type u} {β : Type v} (f g : α → β) : f = g ↔ ∀ x, f x = g x := by
  constructor
  · intro h x
    rw [h]
  · intro h
    funext x
    exact h x

theorem prop_ext_iff (p q : Prop) : p = q ↔ (p ↔ q) := by
  constructor
  · intro h
    rw [h]
    exact Iff.rfl
  · intro h
    exact propext h

end Equality

namespace Function

def Injective {α : Type u} {β : Type v} (f : α → β) : Prop := ∀ a b, f a = f b → a = b
def Surjective {α : Type u} {β : Type v} (f : α → β) : Prop := ∀ b, ∃ a, f a = b
def Bijective {α : Type u} {β : Type v} (f : α → β) : Prop := Injective f ∧ Surjective f
def LeftInverse {α : Type u} {β : Type v} (g : β → α) (f : α → β) : Prop := ∀ a, g (f a) = a
def Involutive {α : Type u} (f : α → α) : Prop := ∀ a, f (f a) = a
def Idempotent {α : Type u} (f : α → α) : Prop := ∀ a, f (f a) = f a

theorem comp_apply {α : Type u} {β : Type v} {γ : Type w} (g : β → γ) (f : α → β) (a : α) : (g ∘ f) a = g (f a) := rfl

theorem id_comp {α : Type u} {β : Type v} (f : α → β) : id ∘ f = f := by
  funext x
  rfl

theorem comp_id {α : Type u} {β : Type v} (f : α → β) : f ∘ id = f := by
  funext x
  rfl

theorem injective_id {α : Type u} : Injective (fun a : α => a) := by
  intro a b h
  exact h

theorem surjective_id {α : Type u} : Surjective (fun a : α => a) := by
  intro b
  exists b

theorem injective_comp {α : Type u} {β : Type v} {γ : Type w} {g : β → γ} {f : α → β} (hg : Injective g)
    (hf : Injective f) : Injective (g ∘ f) := by
  intro a b h
  apply hf
  apply hg
  exact h

theorem surjective_comp {α : Type u} {β : Type v} {γ : Type w} {g : β → γ} {f : α → β} (hg : Surjective g)
    (hf : Surjective f) : Surjective (g ∘ f) := by
  intro c
  obtain ⟨b, hb⟩ := hg c
  obtain ⟨a, ha⟩ := hf b
  exists a
  rw [comp_apply, ha, hb]

theorem bijective_comp {α : Type u} {β : Type v} {γ : Type w} {g : β → γ} {f : α → β} (hg : Bijective g)
    (hf : Bijective f) : Bijective (g ∘ f) := by
  constructor
  · exact injective_comp hg.left hf.left
  · exact surjective_comp hg.right hf.right

theorem injective_of_comp {α : Type u} {β : Type v} {γ : Type w} {g : β → γ} {f : α → β} (h : Injective (g ∘ f)) :
    Injective f := by
  intro a b k
  apply h
  rw [comp_apply, comp_apply, k]

theorem surjective_of_comp {α : Type u} {β : Type v} {γ : Type w} {g : β → γ} {f : α → β} (h : Surjective (g ∘ f)) :
    Surjective g := by
  intro c
  obtain ⟨a, ha⟩ := h c
  exists f a

theorem injective_of_left_inverse {α : Type u} {β : Type v} {g : β → α} {f : α → β} (h : LeftInverse g f) :
    Injective f := by
  intro a b k
  rw [← h a, k]
  exact h b

theorem surjective_of_left_inverse {α : Type u} {β : Type v} {g : β → α} {f : α → β} (h : LeftInverse g f) :
    Surjective g := by
  intro a
  exists f a
  exact h a

theorem involutive_injective {α : Type u} {f : α → α} (h : Involutive f) : Injective f := by
  apply injective_of_left_inverse
  exact h

theorem involutive_bijective {α : Type u} {f : α → α} (h : Involutive f) : Bijective f := by
  constructor
  · exact involutive_injective h
  · intro b
    exists f b
    exact h b

theorem involutive_idempotent_eq {α : Type u} {f : α → α} (h : Involutive f) (k : Idempotent f) (a : α) : f a = a := by
  have step : f (f a) = f a := k a
  rw [h a] at step
  rw [← step]

theorem idempotent_fixes_range {α : Type u} {f : α → α} (h : Idempotent f) {b : α} (k : ∃ a, f a = b) : f b = b := by
  obtain ⟨a, ha⟩ := k
  rw [← ha]
  exact h a

theorem idempotent_injective_eq {α : Type u} {f : α → α} (h : Idempotent f) (k : Injective f) (a : α) : f a = a := by
  apply k
  exact h a

theorem comp_left_cancel {α : Type u} {β : Type v} {γ : Type w} {g : β → γ} (hg : Injective g) {f k : α → β}
    (h : g ∘ f = g ∘ k) : f = k := by
  funext x
  apply hg
  rw [← comp_apply g f, h]
  rfl

theorem comp_right_cancel {α : Type u} {β : Type v} {γ : Type w} {f : α → β} (hf : Surjective f) {g k : β → γ}
    (h : g ∘ f = k ∘ f) : g = k := by
  funext b
  obtain ⟨a, ha⟩ := hf b
  rw [← ha, ← comp_apply g f, h]
  rfl

theorem const_not_injective {α : Type u} {β : Type v} {a b : α} (h : a ≠ b) (c : β) :
    ¬Injective (fun _ : α => c) := by
  intro k
  apply h
  apply k
  rfl

end Function

namespace Pair

def swap {α : Type u} {β : Type v} (p : α × β) : β × α := ⟨p.snd, p.fst⟩
def map {α : Type u} {β : Type v} {γ : Type u} {δ : Type v} (f : α → γ) (g : β → δ) (p : α × β) : γ × δ :=
  ⟨f p.fst, g p.snd⟩

theorem eta {α : Type u} {β : Type v} (p : α × β) : Prod.mk p.fst p.snd = p := by
  cases p with
  | mk a b => rfl

theorem ext {α : Type u} {β : Type v} {p q : α × β} (h : p.fst = q.fst) (k : p.snd = q.snd) : p = q := by
  rw [← eta p, ← eta q, h, k]

theorem mk_eq_iff {α : Type u} {β : Type v} (a c : α) (b d : β) : Prod.mk a b = Prod.mk c d ↔ a = c ∧ b = d := by
  constructor
  · intro h
    injection h with h1 h2
    constructor
    · exact h1
    · exact h2
  · intro h
    rw [h.left, h.right]

theorem swap_swap {α : Type u} {β : Type v} (p : α × β) : swap (swap p) = p := by
  cases p with
  | mk a b => rfl

theorem swap_fst {α : Type u} {β : Type v} (p : α × β) : (swap p).fst = p.snd := rfl

theorem swap_injective {α : Type u} {β : Type v} : Function.Injective (swap (α := α) (β := β)) := by
  intro p q h
  rw [← swap_swap p, h]
  exact swap_swap q

theorem map_id {α : Type u} {β : Type v} (p : α × β) : map (fun a => a) (fun b => b) p = p := by
  cases p with
  | mk a b => rfl

theorem map_map {α : Type u} {β : Type v} {f g : α → α} {k l : β → β} (p : α × β) :
    map g l (map f k p) = map (g ∘ f) (l ∘ k) p := by
  cases p with
  | mk a b => rfl

theorem swap_map {α : Type u} {β : Type u} (f : α → α) (g : β → β) (p : α × β) : swap (map f g p) = map g f (swap p) := by
  cases p with
  | mk a b => rfl

theorem map_injective {α : Type u} {β : Type v} {f : α → α} {g : β → β} (hf : Function.Injective f)
    (hg : Function.Injective g) : Function.Injective (map f g) := by
  intro p q h
  injection h with h1 h2
  apply ext
  · apply hf
    exact h1
  · apply hg
    exact h2

end Pair
