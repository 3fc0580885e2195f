prelude
/-!
# Core: what Lean's elaborator looks up by name

Lean's own `Init` library is not here: the engine of this project brings the front end and the kernel, no compiled
library. So the names that the elaborator, the kernel and the code generator expect (equality, products, natural
numbers with their literals, truth values, decidability, the classes behind `+` and numerals) are declared in this file,
from their rules, and everything else of the library is built on them. Two axioms: `propext` and `funext`. The `lc…`
names are unsafe stand-ins of the code generator; no theorem can use them.
-/
set_option autoImplicit false
set_option linter.unusedVariables false
universe u v w u₁ u₂ u₃

/-! Names the code generator mentions for erased and boxed values. -/
unsafe axiom lcErased : Type
unsafe axiom lcAny : Type
unsafe axiom lcVoid : Type
unsafe axiom lcProof {α : Prop} : α
unsafe axiom lcCast {α : Sort u} {β : Sort v} (a : α) : β
unsafe axiom lcUnreachable {α : Sort u} : α

/-! Functions, propositions, equality. -/
def id {α : Sort u} (a : α) : α := a
def Function.comp {α : Sort u} {β : Sort v} {δ : Sort w} (f : β → δ) (g : α → β) : α → δ := fun x => f (g x)
def Function.const {α : Sort u} (β : Sort v) (a : α) : β → α := fun _ => a
@[reducible] def outParam (α : Sort u) : Sort u := α
@[reducible] def autoParam (α : Sort u) (_ : α) : Sort u := α
def wfParam {α : Sort u} (a : α) : α := a
@[reducible] def optParam (α : Sort u) (_ : α) : Sort u := α

set_option bootstrap.inductiveCheckResultingUniverse false in
inductive PUnit : Sort u where
  | unit : PUnit
abbrev Unit : Type := PUnit
@[match_pattern] abbrev Unit.unit : Unit := PUnit.unit

inductive Eq {α : Sort u} : α → α → Prop where
  | refl (a : α) : Eq a a
abbrev Eq.ndrec {α : Sort u₂} {a : α} {motive : α → Sort u₁} (m : motive a) {b : α} (h : Eq a b) : motive b := h.rec m

inductive True : Prop where | intro : True
inductive False : Prop
set_option bootstrap.inductiveCheckResultingUniverse false in
inductive PEmpty : Sort u
def False.elim {C : Sort u} (h : False) : C := h.rec
def Not (a : Prop) : Prop := a → False
def absurd {a : Prop} {b : Sort v} (h₁ : a) (h₂ : Not a) : b := (h₂ h₁).rec

inductive HEq {α : Sort u} : α → {β : Sort u} → β → Prop where
  | refl (a : α) : HEq a a

theorem Eq.symm {α : Sort u} {a b : α} (h : Eq a b) : Eq b a := h.rec (Eq.refl a)
theorem Eq.trans {α : Sort u} {a b c : α} (h₁ : Eq a b) (h₂ : Eq b c) : Eq a c := h₂.rec h₁
theorem Eq.subst {α : Sort u} {motive : α → Prop} {a b : α} (h₁ : Eq a b) (h₂ : motive a) : motive b := h₁.rec h₂
def cast {α β : Sort u} (h : Eq α β) (a : α) : β := h.rec a
theorem congrArg {α : Sort u} {β : Sort v} {a₁ a₂ : α} (f : α → β) (h : Eq a₁ a₂) : Eq (f a₁) (f a₂) := h.rec (Eq.refl (f a₁))
theorem congr {α : Sort u} {β : Sort v} {f₁ f₂ : α → β} {a₁ a₂ : α} (h₁ : Eq f₁ f₂) (h₂ : Eq a₁ a₂) : Eq (f₁ a₁) (f₂ a₂) :=
  Eq.trans (congrArg f₁ h₂) (h₁.rec (Eq.refl (f₁ a₂)))
theorem congrFun {α : Sort u} {β : α → Sort v} {f g : (x : α) → β x} (h : Eq f g) (a : α) : Eq (f a) (g a) := h.rec (Eq.refl (f a))
theorem rfl {α : Sort u} {a : α} : Eq a a := Eq.refl a
theorem eq_of_heq {α : Sort u} {a a' : α} (h : HEq a a') : Eq a a' :=
  let rec aux (α β : Sort u) (a : α) (b : β) (h : HEq a b) : (h : Eq α β) → Eq (cast h a) b := h.rec (fun _ => Eq.refl a)
  aux α α a a' h (Eq.refl α)
theorem heq_of_eq {α : Sort u} {a a' : α} (h : Eq a a') : HEq a a' := h.rec (HEq.refl a)
structure Iff (a b : Prop) : Prop where
  intro ::
  mp : a → b
  mpr : b → a
theorem HEq.rfl {α : Sort u} {a : α} : HEq a a := HEq.refl a
theorem Iff.refl (a : Prop) : Iff a a := Iff.intro id id
theorem Iff.rfl {a : Prop} : Iff a a := Iff.refl a
def Eq.mp {α β : Sort u} (h : Eq α β) (a : α) : β := h.rec a
def Eq.mpr {α β : Sort u} (h : Eq α β) (b : β) : α := h.symm.rec b

structure Prod (α : Type u) (β : Type v) where
  fst : α
  snd : β
structure PProd (α : Sort u) (β : Sort v) where
  fst : α
  snd : β
structure MProd (α β : Type u) where
  fst : α
  snd : β
structure And (a b : Prop) : Prop where
  intro ::
  left : a
  right : b
inductive Or (a b : Prop) : Prop where
  | inl (h : a) : Or a b
  | inr (h : b) : Or a b
structure PULift.{r, s} (α : Sort s) : Sort (max s r 1) where
  up ::
  down : α
inductive Exists {α : Sort u} (p : α → Prop) : Prop where
  | intro (w : α) (h : p w) : Exists p
axiom propext {a b : Prop} : Iff a b → Eq a b
axiom funext {α : Sort u} {β : α → Sort v} {f g : (x : α) → β x} (h : (x : α) → Eq (f x) (g x)) : Eq f g
theorem eq_self {α : Sort u} (a : α) : Eq (Eq a a) True := propext (Iff.intro (fun _ => True.intro) (fun _ => rfl))
theorem of_eq_true {p : Prop} (h : Eq p True) : p := Eq.mpr h True.intro
theorem eq_true {p : Prop} (h : p) : Eq p True := propext (Iff.intro (fun _ => True.intro) (fun _ => h))
theorem eq_false {p : Prop} (h : Not p) : Eq p False := propext (Iff.intro h (fun f => f.rec))
theorem implies_congr {p₁ p₂ : Sort u} {q₁ q₂ : Sort v} (h₁ : Eq p₁ p₂) (h₂ : Eq q₁ q₂) : Eq (p₁ → q₁) (p₂ → q₂) :=
  Eq.subst (motive := fun x => Eq (p₁ → q₁) (x → q₂)) h₁ (Eq.subst (motive := fun x => Eq (p₁ → q₁) (p₁ → x)) h₂ rfl)
class inductive Decidable (p : Prop) where
  | isFalse (h : Not p) : Decidable p
  | isTrue (h : p) : Decidable p
abbrev DecidablePred {α : Sort u} (r : α → Prop) := (a : α) → Decidable (r a)
abbrev DecidableEq (α : Sort u) := (a b : α) → Decidable (Eq a b)

/-! Natural numbers and truth values. -/
set_option genCtorIdx false in
inductive Nat where
  | zero : Nat
  | succ (n : Nat) : Nat

set_option genCtorIdx false in
inductive Bool : Type where
  | false : Bool
  | true : Bool
export Bool (false true)
@[macro_inline] def dite {α : Sort u} (c : Prop) [h : Decidable c] (t : c → α) (e : Not c → α) : α := h.casesOn e t
@[macro_inline] def ite {α : Sort u} (c : Prop) [h : Decidable c] (t e : α) : α := h.casesOn (fun _ => e) (fun _ => t)
class OfNat (α : Type u) (_ : Nat) where
  ofNat : α

@[extern "lean_nat_dec_eq"]
def Nat.beq (n m : Nat) : Bool :=
  n.rec (motive := fun _ => Nat → Bool) (fun m => m.casesOn true (fun _ => false)) (fun _ ih m => m.casesOn false (fun m => ih m)) m
@[extern "lean_nat_dec_le"]
def Nat.ble (n m : Nat) : Bool :=
  n.rec (motive := fun _ => Nat → Bool) (fun _ => true) (fun _ ih m => m.casesOn false (fun m => ih m)) m
@[extern "lean_nat_add"]
protected def Nat.add (n m : Nat) : Nat := m.rec n (fun _ r => .succ r)
@[extern "lean_nat_mul"]
protected def Nat.mul (n m : Nat) : Nat := m.rec .zero (fun _ r => Nat.add r n)

@[extern "lean_nat_pred"]
def Nat.pred (n : Nat) : Nat := n.rec .zero (fun k _ => k)
@[extern "lean_nat_sub"]
protected def Nat.sub (n m : Nat) : Nat := m.rec n (fun _ r => Nat.pred r)
def cond {α : Sort u} (c : Bool) (x y : α) : α := c.casesOn y x

theorem Nat.zero_ne_succ (m : Nat) (h : Eq Nat.zero (Nat.succ m)) : False :=
  Eq.subst (motive := fun x => Nat.rec (motive := fun _ => Prop) True (fun _ _ => False) x) h True.intro
theorem Nat.succ_inj {n m : Nat} (h : Eq (Nat.succ n) (Nat.succ m)) : Eq n m := congrArg Nat.pred h

/-- The kernel's own test for literals; proved here from the recursor. -/
@[extern "lean_nat_dec_eq"]
def Nat.decEq (n m : Nat) : Decidable (Eq n m) :=
  n.rec (motive := fun n => (m : Nat) → Decidable (Eq n m))
    (fun m => m.casesOn (.isTrue rfl) (fun k => .isFalse (Nat.zero_ne_succ k)))
    (fun n ih m => m.casesOn
      (.isFalse fun h => Nat.zero_ne_succ n h.symm)
      (fun m => (ih m).casesOn (fun ne => .isFalse fun h => ne (Nat.succ_inj h)) (fun eq => .isTrue (congrArg Nat.succ eq))))
    m
theorem Nat.beq_self (n : Nat) : Eq (Nat.beq n n) Bool.true := n.rec rfl (fun _ ih => ih)
instance instDecidableEqNat : DecidableEq Nat := Nat.decEq
instance instOfNatNat (n : Nat) : OfNat Nat n where
  ofNat := n
class Inhabited (α : Sort u) where
  default : α
class inductive Nonempty (α : Sort u) : Prop where
  | intro (val : α) : Nonempty α
def Nat.ctorIdx (n : Nat) : Nat := n.casesOn 0 (fun _ => 1)
def Bool.ctorIdx (b : Bool) : Nat := b.casesOn 0 1
theorem noConfusion_of_Nat {α : Sort u} (f : α → Nat) {a b : α} (h : Eq a b) :
    (Nat.beq (f a) (f b)).rec (motive := fun _ => Prop) False True :=
  Eq.subst (motive := fun x => (Nat.beq (f a) (f x)).rec (motive := fun _ => Prop) False True) h
    (Eq.subst (motive := fun x => Bool.rec (motive := fun _ => Prop) False True x) (Nat.beq_self (f a)).symm True.intro)

/-! Data. -/
inductive Option (α : Type u) where
  | none : Option α
  | some (val : α) : Option α
inductive List (α : Type u) where
  | nil : List α
  | cons (head : α) (tail : List α) : List α
inductive Sum (α : Type u) (β : Type v) where
  | inl (val : α) : Sum α β
  | inr (val : β) : Sum α β
structure Subtype {α : Sort u} (p : α → Prop) where
  val : α
  property : p val
structure Sigma {α : Type u} (β : α → Type v) where
  fst : α
  snd : β fst
export Option (none some)
@[macro_inline] def Bool.and (x y : Bool) : Bool := x.casesOn false y
@[macro_inline] def Bool.or (x y : Bool) : Bool := x.casesOn y true
def Bool.not (x : Bool) : Bool := x.casesOn true false
abbrev Ne {α : Sort u} (a b : α) : Prop := Not (Eq a b)

/-! The classes behind the operators. -/
class HAdd (α : Type u) (β : Type v) (γ : outParam (Type w)) where
  hAdd : α → β → γ
class Add (α : Type u) where
  add : α → α → α
@[reducible] instance instHAdd {α : Type u} [Add α] : HAdd α α α where
  hAdd a b := Add.add a b
attribute [default_instance] instHAdd
class HSub (α : Type u) (β : Type v) (γ : outParam (Type w)) where
  hSub : α → β → γ
class Sub (α : Type u) where
  sub : α → α → α
@[reducible] instance instHSub {α : Type u} [Sub α] : HSub α α α where
  hSub a b := Sub.sub a b
attribute [default_instance] instHSub
class HMul (α : Type u) (β : Type v) (γ : outParam (Type w)) where
  hMul : α → β → γ
class Mul (α : Type u) where
  mul : α → α → α
@[reducible] instance instHMul {α : Type u} [Mul α] : HMul α α α where
  hMul a b := Mul.mul a b
attribute [default_instance] instHMul
class HAppend (α : Type u) (β : Type v) (γ : outParam (Type w)) where
  hAppend : α → β → γ
class Append (α : Type u) where
  append : α → α → α
@[reducible] instance instHAppendOfAppend {α : Type u} [Append α] : HAppend α α α where
  hAppend a b := Append.append a b
attribute [default_instance] instHAppendOfAppend
class LE (α : Type u) where
  le : α → α → Prop
class LT (α : Type u) where
  lt : α → α → Prop
@[reducible] def GE.ge {α : Type u} [LE α] (a b : α) : Prop := LE.le b a
@[reducible] def GT.gt {α : Type u} [LT α] (a b : α) : Prop := LT.lt b a
class Membership (α : outParam (Type u)) (γ : Type v) where
  mem : γ → α → Prop

attribute [default_instance 100] instOfNatNat
instance instAddNat : Add Nat where
  add := Nat.add
instance instMulNat : Mul Nat where
  mul := Nat.mul
instance instSubNat : Sub Nat where
  sub := Nat.sub
protected inductive Nat.le (n : Nat) : Nat → Prop where
  | refl : Nat.le n n
  | step {m : Nat} : Nat.le n m → Nat.le n (Nat.succ m)
protected def Nat.lt (n m : Nat) : Prop := Nat.le (Nat.succ n) m
instance instLENat : LE Nat where
  le := Nat.le
instance instLTNat : LT Nat where
  lt := Nat.lt

/-! Deciding, and what `decide` and `simp` build their proofs from. -/
def Decidable.decide (p : Prop) [h : Decidable p] : Bool := h.casesOn (fun _ => false) (fun _ => true)
theorem of_decide_eq_true {p : Prop} [h : Decidable p] (e : Eq (Decidable.decide p) true) : p :=
  Decidable.casesOn (motive := fun d => Eq (@Decidable.decide p d) true → p) h
    (fun _ e => (Bool.noConfusion e : p)) (fun hp _ => hp) e
theorem of_decide_eq_false {p : Prop} [h : Decidable p] (e : Eq (Decidable.decide p) false) : Not p :=
  Decidable.casesOn (motive := fun d => Eq (@Decidable.decide p d) false → Not p) h
    (fun hn _ => hn) (fun _ e => (Bool.noConfusion e : Not p)) e
theorem iff_self (p : Prop) : Eq (Iff p p) True := eq_true (Iff.refl p)
theorem ne_eq {α : Sort u} (a b : α) : Eq (Ne a b) (Not (Eq a b)) := rfl
theorem forall_congr {α : Sort u} {p q : α → Prop} (h : (a : α) → Eq (p a) (q a)) : Eq ((a : α) → p a) ((a : α) → q a) :=
  propext (Iff.intro (fun f a => Eq.mp (h a) (f a)) (fun f a => Eq.mpr (h a) (f a)))
theorem implies_congr_ctx {p₁ p₂ q₁ q₂ : Prop} (h₁ : Eq p₁ p₂) (h₂ : p₂ → Eq q₁ q₂) : Eq (p₁ → q₁) (p₂ → q₂) :=
  propext (Iff.intro (fun f x => Eq.mp (h₂ x) (f (Eq.mpr h₁ x))) (fun f x => Eq.mpr (h₂ (Eq.mp h₁ x)) (f (Eq.mp h₁ x))))
theorem of_eq_false {p : Prop} (h : Eq p False) : Not p := fun hp => Eq.mp h hp
attribute [simp] eq_self iff_self ne_eq
/-! Names, which the front end writes into syntax and into marks of errors. -/
axiom Char : Type
structure String where
  data : List Char
inductive Lean.Name where
  | anonymous : Lean.Name
  | str (pre : Lean.Name) (s : String) : Lean.Name
  | num (pre : Lean.Name) (i : Nat) : Lean.Name
/-- What the elaborator puts where an error stood, so that it can go on; a proof that mentions it is no proof, and is refused. -/
axiom sorryAx (α : Sort u) (synthetic : Bool) : α
