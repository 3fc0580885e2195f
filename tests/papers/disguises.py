"""Theorem files whose statement reads false and says something else: {kind: {name: (before, statement, tactic, word)}}.

``word`` stands in the message that refuses it. Unlike `hostile_files`, most of these need no code: a comment that two
readers end at different places, a hypothesis that is nowhere to be read, a name that looks like another.
"""

HEAD = "prelude\nimport Mini.Algebra\n"
BAD = "theorem bad : (0 : Nat) = 1"
# with a type of the file's own in it a statement cannot be elaborated without its file
TYPE = HEAD + "inductive T : Type where\n  | mk\n"
WITH = "theorem bad (t : T) : (0 : Nat) = 1"
CHEAT = "axiom cheat : (0 : Nat) = 1"
ABSURD = "exact (Inhabited.default : False).elim"
NOT_SHOWN = "write it into the statement"
ITS_OWN = "an instance of its file"
LOOKS = "looks like a name of the library"

DISGUISES = {
    "comment": {
        "Lean ends it earlier": (f"{HEAD}/-/- -/ {CHEAT} -- -/\n", BAD, "exact cheat", "cheat"),
        "in the statement": (HEAD, f"{BAD} /-/- -/ ∨ True -- -/\n", "exact Or.inr True.intro", "0 = 1"),
    },
    "token": {
        "a number runs into a command": (f"{HEAD}def n : Nat := 1{CHEAT}\n", BAD, "exact cheat", "'1axiom'"),
        "a number runs into notation": (
            f'{HEAD}def n : Nat := 0x1notation "False" => True\n', "theorem bad : False", "trivial", "notation",
        ),
        "a word behind a letter of another script": (HEAD, BAD, f"exact rfl е.{CHEAT}", "'axiom'"),
        "a word behind a letter that Lean may not know": (HEAD, BAD, "exact rfl 𝐀run_cmd x", "'run_cmd'"),
        "a word among attributes": (
            f"{HEAD}@[simp, aesop (by run_tac x)] theorem l : True := trivial\n", BAD, "rfl", "'run_tac'",
        ),
        "an attribute that takes code": (f"{HEAD}@[norm_num x] def l : Nat := 0\n", BAD, "rfl", "'norm_num'"),
    },
    "hidden hypothesis": {
        "of nothing": (f"{TYPE}variable [Inhabited False]\n", WITH, ABSURD, NOT_SHOWN),
        "of nothing, under a name that is taken elsewhere": (
            f"{HEAD}namespace X\nvariable [Inhabited False]\n", "theorem Nat.add_comm : (0 : Nat) = 1", ABSURD,
            NOT_SHOWN,
        ),
        "of nothing, behind a text with a line like a header's": (
            f'{HEAD}def s : String := "\nimport Nowhere\n"\nvariable [Inhabited False]\n', BAD, ABSURD, NOT_SHOWN,
        ),
        "of a number": (
            f"{HEAD}variable (n : Nat) [Inhabited (n = Nat.succ n)]\n", "theorem bad : n = Nat.succ n",
            "exact Inhabited.default", NOT_SHOWN,
        ),
        "of a class of the file": (
            f"{HEAD}class No (n : Nat) where\n  no : n = Nat.succ n\nvariable (n : Nat) [No n]\n",
            "theorem bad : n = Nat.succ n", "exact No.no", NOT_SHOWN,
        ),
        "of a proposition": (
            f"{HEAD}variable {{p : Prop}} [Inhabited p]\n", "theorem bad (h : p → True) : p", "exact Inhabited.default",
            NOT_SHOWN,
        ),
        "of a class whose name is a variable's": (
            f"{HEAD}class No (a : Type) where\n  no : (0 : Nat) = 1\nvariable {{a : Type}} [No a]\n",
            "theorem bad (x : a) (No : Nat) : (0 : Nat) = 1", "exact _root_.No.no a", NOT_SHOWN,
        ),
        "of the meaning of 1": (
            f"{TYPE}class C (i : OfNat Nat 1) where\n  h : (0 : Nat) = i.ofNat\nvariable (i : OfNat Nat 1) [C i]\n",
            WITH, "exact C.h", NOT_SHOWN,
        ),
        "a variable called False": (
            f"{TYPE}variable {{False : Prop}}\n", "theorem bad (t : T) (h : False) : False", "exact h",
            "the name of the library's",
        ),
    },
    "instance": {
        "under another name of its class": (
            f"{TYPE}abbrev One := OfNat Nat 1\ninstance one : One where\n  ofNat := 0\n", WITH, "exact rfl", ITS_OWN,
        ),
        "under the library's name for its class": (
            f"{TYPE}instance one : outParam (OfNat Nat 1) where\n  ofNat := 0\n", WITH, "exact rfl", ITS_OWN,
        ),
        "that needs a class of the file": (
            f"{HEAD}class T where\n  x : Nat\ninstance one [T] : OfNat Nat 1 where\n  ofNat := 0\n",
            "theorem bad [T] : (0 : Nat) = 1", "exact rfl", ITS_OWN,
        ),
        "inside a class of the file": (
            f"{HEAD}class T extends OfNat Nat 1 where\n  h : (0 : Nat) = ofNat\n", "theorem bad [T] : (0 : Nat) = 1",
            "exact T.h", ITS_OWN,
        ),
        "of a type that only mentions the file's": (
            f"{TYPE}abbrev K (a b : Type) := b\ninstance one : OfNat (K T Nat) 1 where\n  ofNat := 0\n",
            "theorem bad (t : T) : (0 : K T Nat) = 1", "exact rfl", ITS_OWN,
        ),
        "inside a definition": (
            f"{TYPE}abbrev One := OfNat Nat 1\ninstance one : One where\n  ofNat := 0\ndef uno : Nat := 1\n",
            "theorem bad (t : T) : 0 = uno", "exact rfl", ITS_OWN,
        ),
        "an order": (
            f"{TYPE}abbrev Order := LE Nat\ninstance o : Order where\n  le := fun _ _ => True\n",
            "theorem bad (t : T) : (2 : Nat) ≤ 1", "exact True.intro", ITS_OWN,
        ),
    },
    "name": {
        "a Greek capital": (
            f"{HEAD}inductive Νat : Type where\n  | z\ninstance num (n : Nat) : OfNat Νat n where\n  ofNat := Νat.z\n",
            "theorem bad : (0 : Νat) = 1", "exact rfl", LOOKS,
        ),
        "a capital I for an l": (f"{HEAD}def FaIse : Prop := True\n", "theorem bad : FaIse", "exact True.intro", LOOKS),
        "a digit for an l": (f"{HEAD}def Fa1se : Prop := True\n", "theorem bad : Fa1se", "exact True.intro", LOOKS),
        "a letterlike F": (
            f"{HEAD}def ℱalse : Prop := True\n", "theorem bad : ℱalse", "exact True.intro", LOOKS,
        ),
        "opened under another": (
            f"{HEAD}open Nat renaming add → sub\n", "theorem bad : sub 3 1 = 4", "exact rfl", "renaming",
        ),
        "a pattern": (
            f"{HEAD}namespace X\n@[match_pattern] abbrev true := Bool.false\n"
            "@[match_pattern] abbrev false := Bool.true\n",
            "theorem bad : match Bool.true with | true => False | false => True", "exact True.intro", "match_pattern",
        ),
        "a field of a class": (
            f"{HEAD}class Y where\n  Not : Prop → Prop\n  h : Not True\nnamespace Y\n", "theorem bad [Y] : Not True",
            "exact Y.h", "takes the place of the library's Not",
        ),
    },
}  # fmt: skip
