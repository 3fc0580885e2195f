"""Theorem files that try to get a falsehood accepted, by kind: {kind: {name: (text, tactic)}}.

Each text is a whole file; its last theorem is false, and a folder is given into which `compiled_cheats` puts compiled
files made with the kernel switched off. ``{folder}`` in a text is that folder.
"""

HEAD = "prelude\nimport Mini.Algebra\n"
BAD = "theorem bad : (0 : Nat) = 1\n"
ASKED = "set_option pp.fullNames true in #print axioms "

KINDS = {
    "parser or elaborator": {
        "a command parser with the token of a question": (
            f"{HEAD}@[command_parser] def ask : Lean.ParserDescr :=\n  Lean.ParserDescr.node (Lean.Name.mkStr1 "
            f'"Lean.Parser.Command.print") 1024 (Lean.ParserDescr.symbol "{ASKED}")\n'
            "axiom «x does not depend on any axioms» : (0 : Nat) = 1\n" + BAD,
            "exact «x does not depend on any axioms»",
        ),
        "infix notation for the equals sign": (
            f'{HEAD}def Same (a b : Nat) : Prop := True\ninfix:50 " = " => Same\n{BAD}', "exact True.intro",
        ),
        "a notation for a word of the statement": (
            f'{HEAD}notation "False" => True\ntheorem bad : False\n', "exact True.intro",
        ),
        "a macro": (f"{HEAD}macro_rules | `(False) => `(True)\ntheorem bad : False\n", "exact True.intro"),
        "an elaborator": (f'{HEAD}elab "hole" : tactic => sorry\n{BAD}', "hole"),
        "a syntax category": (f'{HEAD}declare_syntax_cat cheat\nsyntax "cheat" : tactic\n{BAD}', "cheat"),
        "a term parser": (
            f'{HEAD}@[term_parser] def t : Lean.ParserDescr := Lean.ParserDescr.symbol "(0"\n{BAD}', "exact rfl",
        ),
    },
    "attribute": {
        "a body swapped for the compiler": (
            f"{HEAD}def no : Bool := true\n@[implemented_by no] def yes : Bool := false\n{BAD}", "decide",
        ),
        "a foreign body": (f'{HEAD}@[extern "lean_nat_add"] def Nat.plus (a b : Nat) : Nat := a\n{BAD}', "rfl"),
        "a printer": (
            f"{HEAD}@[app_unexpander Eq] def hide : Lean.Unexpander := fun a _ _ => a\n{BAD}", "exact rfl",
        ),
        "a macro's attribute": (
            f"{HEAD}@[macro «term_=_»] def m : Lean.Macro := fun a _ _ => a\n{BAD}", "exact rfl",
        ),
        "an attribute behind an allowed one": (
            f"{HEAD}@[simp, csimp] theorem l : (0 : Nat) = 0 := rfl\n@[reducible,\n  export lean_nat_add]\n"
            f"def f (a b : Nat) : Nat := a\n{BAD}", "simp",
        ),
        "an attribute on the theorem itself": (f"{HEAD}@[init] {BAD}", "rfl"),
        "a default instance": (
            f"{HEAD}@[default_instance 5000] instance one : OfNat Nat 1 where\n  ofNat := 0\n{BAD}", "exact rfl",
        ),
    },
    "import path": {
        "an absolute path": ("prelude\nimport Mini.Algebra\nimport «{folder}/Cheat»\n" + BAD, "exact cheat"),
        "the folder above": ("prelude\nimport Mini.Algebra\nimport «..».«..».Cheat\n" + BAD, "exact cheat"),
        "a module beside the file": ("prelude\nimport Mini.Algebra\nimport Cheat\n" + BAD, "exact cheat"),
        "everything of a module": ("prelude\nimport all Cheat\nimport Mini.Algebra\n" + BAD, "exact cheat"),
        "public": ("prelude\npublic import Cheat\nimport Mini.Algebra\n" + BAD, "exact cheat"),
        "by way of a library module's name": (
            "prelude\nimport Mini.Algebra\nimport Mini.«..».Cheat\n" + BAD, "exact cheat",
        ),
        "no import at all": ("prelude\ninductive Eq : Prop | r\n" + BAD, "exact rfl"),
    },
    "compiled file": {
        "with the kernel off, by its path": ("prelude\nimport «{folder}/Cheat»\n" + BAD, "exact cheat"),
        "under a library module's name": ("prelude\nimport «{folder}/Mini/Algebra»\n" + BAD, "exact cheat"),
        "below the working folder": ("prelude\nimport Mini.Algebra\nimport Mini.Cheat\n" + BAD, "exact cheat"),
        "in a folder of the search path": ("prelude\nimport Elsewhere\n" + BAD, "exact cheat"),
    },
    "axiom by name": {
        "named like an answer": (
            f"{HEAD}axiom «bad does not depend on any axioms» : (0 : Nat) = 1\n{BAD}",
            "exact «bad does not depend on any axioms»",
        ),
        "propext in a namespace": (f"{HEAD}namespace X\naxiom propext : (0 : Nat) = 1\n{BAD}", "exact propext"),
        "funext once more": ("prelude\nimport Mini.Core\naxiom _root_.funext : (0 : Nat) = 1\n" + BAD, "exact funext"),
        "private": (f"{HEAD}private axiom propext : (0 : Nat) = 1\n{BAD}", "exact propext"),
        "an instance that is an axiom": (
            f"{HEAD}axiom no : False\ninstance : Inhabited False where\n  default := no\n{BAD}",
            "exact (Inhabited.default : False).elim",
        ),
        "as the theorem": (f"{HEAD}axiom bad : (0 : Nat) = 1\ntheorem X.bad : (0 : Nat) = 1\n", "exact bad"),
    },
    "options": {
        "the kernel off": (f"{HEAD}set_option debug.skipKernelTC true\n{BAD}", "decide +kernel"),
        "every `by` a sorry": (f"{HEAD}set_option debug.byAsSorry true\n{BAD}", "rfl"),
        "universes unchecked": (
            f"{HEAD}set_option bootstrap.inductiveCheckResultingUniverse false\ninductive U : Prop where\n"
            f"  | mk (a : Type)\n{BAD}", "exact rfl",
        ),
        "in front of a declaration": (f"{HEAD}set_option debug.skipKernelTC true in\n{BAD}", "decide +kernel"),
        "numbers that are any type's": (f"{HEAD}set_option autoImplicit true\ntheorem bad : (0 : Nat) = (1 : Nat)\n",
                                        "exact rfl"),
        "with a space more": (f"{HEAD}set_option\n  debug.skipKernelTC\n  true\n{BAD}", "decide +kernel"),
    },
    "redefinition": {
        "of a function that the kernel computes": (
            f"{HEAD}def Nat.gcd (n m : Nat) : Nat := n\ntheorem l (n m : Nat) : Nat.gcd n m = n := rfl\n"
            "theorem bad : (4 : Nat) = 2\n", "exact Eq.trans (l 4 6).symm (rfl : Nat.gcd 4 6 = 2)",
        ),
        "of one that the file does not import": (
            "prelude\nimport Mini.Core\nimport Mini.Syntax\ndef Nat.pow (n m : Nat) : Nat := n\n"
            "theorem l (n m : Nat) : Nat.pow n m = n := rfl\ntheorem bad : (4 : Nat) = 16\n",
            "exact Eq.trans (l 4 2).symm (rfl : Nat.pow 4 2 = 16)",
        ),
        "of False, in a namespace": (f"{HEAD}namespace X\ninductive False : Prop where\n  | mk\ntheorem bad : False\n",
                                     "exact False.mk"),
        "of Eq, in a namespace": (
            f"{HEAD}namespace X\ninductive Eq (a b : Nat) : Prop where\n  | mk\ntheorem bad : Eq 0 1\n", "exact Eq.mk",
        ),
        "of Nat, in a namespace": (
            f"{HEAD}namespace X\ninductive Nat : Type where\n  | one\ndef f (n : Nat) : Nat := n\n"
            "theorem bad : ∀ a b : Nat, a = b\n", "intro a b; cases a; cases b; rfl",
        ),
        "of what a text is made of": (
            f'{HEAD}def String.ofList (l : List Char) : String := "a"\ntheorem bad : "a" = "b"\n', "exact rfl",
        ),
        "of a function that a namespace hides": (
            f"{HEAD}namespace X\ndef Not (p : Prop) : Prop := p\ntheorem bad : Not True\n", "exact True.intro",
        ),
    },
    "instance": {
        "the number 1": (f"{HEAD}instance one : OfNat Nat 1 where\n  ofNat := 0\n{BAD}", "exact rfl"),
        "addition": (f"{HEAD}instance plus : Add Nat where\n  add := fun _ _ => 0\ntheorem bad : 2 + 2 = (0 : Nat)\n",
                     "exact rfl"),
        "addition on another name of Nat": (
            f"{HEAD}abbrev N := Nat\ninstance plus : Add N where\n  add := fun _ _ => 0\n"
            "theorem bad : 2 + 2 = (0 : Nat)\n", "exact rfl",
        ),
        "a wide addition, behind a definition": (
            f"{HEAD}instance plus : HAdd Nat Nat Nat where\n  hAdd := fun _ _ => 0\ndef two : Nat := 2\n"
            "theorem bad : two + two = 0\n", "exact rfl",
        ),
        "an order": (f"{HEAD}instance le : LE Nat where\n  le := fun _ _ => True\ntheorem bad : (2 : Nat) ≤ 1\n",
                     "exact True.intro"),
        "a decision": (f"{HEAD}instance yes : Decidable ((0 : Nat) = 1) := Decidable.isTrue rfl\n{BAD}", "decide"),
    },
    "namespace or variable": {
        "a hypothesis that is always there": (
            f"{HEAD}variable [Inhabited False]\n{BAD}", "exact (Inhabited.default : False).elim",
        ),
        "a hypothesis that is included": (f"{HEAD}variable (h : (0 : Nat) = 1)\ninclude h\n{BAD}", "exact h"),
        "a hypothesis of the same name": (
            f"{HEAD}variable (h : (0 : Nat) = 1)\ntheorem bad (h : True) : (0 : Nat) = 1\n",
            "exact h",
        ),
        "another theorem that the name means first": (
            f"{HEAD}namespace X\ntheorem X.b : True := True.intro\naxiom cheat : False\ntheorem b : False\n",
            "exact cheat",
        ),
        "a namespace in a line's middle": (
            f"{HEAD}axiom cheat : False\ntheorem b : True := True.intro namespace X\ntheorem c : False\n",
            "exact cheat",
        ),
        "the root's name": (f"{HEAD}namespace X\ntheorem _root_.bad : (0 : Nat) = 1\n", "exact _root_.bad"),
        "an open namespace": (
            f"{HEAD}namespace X\ndef succ (n : Nat) : Nat := 0\nend X\nopen X\ntheorem bad : Nat.succ 0 = 0\n", "rfl",
        ),
    },
    "mutual/opaque/extern": {
        "two theorems that prove each other": (
            f"{HEAD}mutual\ntheorem a : (0 : Nat) = 1 := b\ntheorem b : (0 : Nat) = 1 := a\nend\n{BAD}", "exact a",
        ),
        "an opaque proof": (f"{HEAD}opaque no : (0 : Nat) = 1\n{BAD}", "exact no"),
        "a function that never ends": (f"{HEAD}partial def no (n : Nat) : (0 : Nat) = 1 := no n\n{BAD}", "exact no 0"),
        "an unsafe proof": (f"{HEAD}unsafe def no : (0 : Nat) = 1 := no\n{BAD}", "exact no"),
        "a foreign axiom": (f'{HEAD}@[extern "no"] axiom no : (0 : Nat) = 1\n{BAD}', "exact no"),
        "itself": (f"{HEAD}{BAD}", "exact bad"),
        "a local function": (f"{HEAD}{BAD}", "let rec no (n : Nat) : (0 : Nat) = 1 := no n\nexact no 0"),
    },
    "comments and Unicode": {
        "a comment that ends twice": (
            f"{HEAD}/- /- -/ axiom cheat : False -/ -/\naxiom cheat : (0 : Nat) = 1\n{BAD}", "exact cheat",
        ),
        "a comment that a reader takes for longer": (
            f"{HEAD}-- what follows is a remark\u2028axiom cheat : (0 : Nat) = 1\naxiom cheat : (0 : Nat) = 1\n{BAD}",
            "exact cheat",
        ),
        "an import in a comment": (f"prelude\n/-\nimport Mini.Algebra\n-/\ninductive Eq : Prop\n{BAD}", "exact rfl"),
        "a look-alike of Eq": (
            f"{HEAD}def \u0395q (a b : Nat) : Prop := True\naxiom \u0435q : (0 : Nat) = 1\n{BAD}", "exact \u0435q",
        ),
        "text that runs from right to left": (f"{HEAD}axiom a\u202e : (0 : Nat) = 1\n{BAD}", "exact a\u202e"),
        "a letter of no width": (f"{HEAD}axiom a\u200bb : (0 : Nat) = 1\n{BAD}", "exact a\u200bb"),
        "a quote inside a comment's end": (
            f'{HEAD}def q : Nat := 0 -- "\naxiom cheat : (0 : Nat) = 1 -- "\n{BAD}', "exact cheat",
        ),
        "a raw text with a command in it": (
            f'{HEAD}def q : String := r#"" axiom no : False "#\naxiom cheat : (0 : Nat) = 1\n{BAD}', "exact cheat",
        ),
    },
}  # fmt: skip


def compiled_cheats(library, folder) -> None:
    """Compile `cheat : 0 = 1` with the kernel switched off, under every name that the files above import."""
    text = (
        "prelude\nimport Mini.Algebra\nset_option debug.skipKernelTC true\n"
        "theorem cheat : (0 : Nat) = 1 := by\n  decide +kernel\n"
    )
    for name in ("Cheat", "Elsewhere", "Mini/Algebra", "Mini/Cheat"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.lean").write_text(text)
        done = library.engine.lean(["-o", f"{name}.olean", f"{name}.lean"], folder=folder, search_path=library.build)
        assert done.returncode == 0 and (folder / f"{name}.olean").is_file(), done.stdout
        (folder / f"{name}.lean").unlink()
