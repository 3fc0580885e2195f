"""Second round: more hostile tactics, and whole files that try to get a falsehood accepted."""

import re

import pytest
from lean import needs_lean

from workbench.errors import DataError
from workbench.papers import reprover
from workbench.papers.reprover.corpus.corpus import File
from workbench.papers.reprover.judge.olean import Olean
from workbench.papers.reprover.judge.terms import Terms
from workbench.papers.reprover.judge.verdict import KERNEL_NAMES

REFUSED = [
    # separators and look-alikes that str.splitlines, an editor or a reader takes for something else
    "rfl\u2029axiom x : 0 = 1",
    "rfl\x0baxiom x : 0 = 1",
    "rfl\x0c#eval 1",
    "rfl\x1cend",
    "exact \u200dsorry",
    "exact so\u00adrry",
    "exact so\u2060rry",
    "exact \U0001d4fc\U0001d4f8\U0001d4fb\U0001d4fb\U0001d502",
    "exact \u017forry",
    "rfl\u3000sorry",
    "\ud800",
    "rfl\udfff",
    "rfl\ufffe",
    # comments and brackets that would hide or leave the proof
    "rfl\n/- /- -/ axiom x : 0 = 1 -/",
    "exact (rfl)) /-",
    "exact (by exact (rfl)) ) (",
    "exact ⟨rfl⟩⟩",
    "(" * 100_000 + ")" * 100_000,
    # scopes, options and grammar inside a tactic
    "open Nat in exact sorry",
    "open Nat in rfl",
    "set_option pp.all true in rfl",
    "set_option maxHeartbeats 0 in rfl",
    "attribute [local simp] t in rfl",
    "macro_rules | _ => rfl",
    'local notation "x" => 1',
    "rfl\nlocal instance : Nat := x",
    "exact (@[simp] rfl)",
    "exact x where x := rfl",
    "termination_by 0",
    "decreasing_by exact rfl",
    "rfl\nwith_weak_namespace X",
    "rfl\nunif_hint : Nat",
    "rfl\nset_premise_selector x",
    "rfl\nset_library_suggestions x",
    "rfl\ndsimproc x",
    "rfl\nlibrary_note x",
    "rfl\nsuppress_compilation",
    # code, files and waiting
    "#print axioms hostile",
    "rfl\n#reduce 1",
    "rfl\n\n\nimport Mini.Core",
    "rfl\n import Mini.Core",
    "exact (include_str _)",
    "rfl\ninitialize foo : Nat ← 0",
    "exact dbg_sleep 1",
    "sleep 100000",
    "bv_check",
    "exact _root_.IO.FS.readFile",
    "exact _root_.Lean.Elab.Term",
    "exact .sorry",
    "exact x.sorry.y",
    "exact ?sorry",
    "exact ‹sorry›",
    "exact 1e5sorry",
    "exact h.1sorry",
]
HARMLESS = [
    "let rec f : (0:Nat) = 1 := f\nexact f",
    "let rec f (n : Nat) : (0:Nat) = 1 := f n\nexact f 0",
    "exact let rec f : (0:Nat) = 1 := f; f",
    "have rec : (0:Nat) = 1 := rec\nexact rec",
    "let True := False\ntrivial",
    "let Eq := fun (a b : Nat) => True\nexact True.intro",
    "intro True Eq\nrfl",
    "exact (True.intro : (0:Nat) = 1)",
    "exact rfl.{0}",
    "exact hostile.{0}",
    "exact ?_sorry",
    "exact _sorry",
    "exact s\u043erry",
    "exact (" + "(" * 2000 + "rfl" + ")" * 2000 + ")",
    "exact " + "(fun h => " * 300 + "h" + ")" * 300,
    "decide +kernel",
    "decide +revert",
    "simp +decide",
    "exact propext rfl",
    "exact cast (propext _) True.intro",
    "exact Eq.mp (rfl : True = _) True.intro",
    "exact of_decide_eq_true rfl",
    "exact Bool.noConfusion rfl",
    "exact Nat.succ_inj rfl",
    "exact nofun",
    "exact nomatch rfl",
    "exact ⋯",
    "exact (rfl : _)",
    "exact inferInstance",
    "rcases hostile with x",
    "cases 0 with | zero => rfl | succ n => rfl",
    "conv => rfl",
    "by rfl",
    "with h",
    "| rfl",
    ":= rfl",
    "<;> rfl",
    "have : 0 = 1 := by",
    "calc",
    "next =>",
    "do rfl",
]


@pytest.mark.parametrize("tactic", REFUSED, ids=lambda text: ascii(text[:30]))
def test_more_hostile_text_is_refused_before_it_reaches_lean(tactic):
    assert reprover.refusal(tactic)


@needs_lean
def test_no_more_hostile_tactic_proves_a_falsehood_or_brings_lean_down():
    with reprover.Session(timeout=60) as session:
        state = session.open(reprover.own_theorem("theorem hostile : (0 : Nat) = 1"))
        for tactic in [*HARMLESS, *REFUSED]:
            answer = session.run_tac(state, tactic)
            assert (tactic in REFUSED) == getattr(answer, "message", "").startswith("refused: "), tactic
            assert not isinstance(answer, (reprover.ProofFinished, reprover.ProofGivenUp)), tactic
        assert session.restarts == 0 and session.run_tac(state, "skip").goals == state.goals


# Each file's last theorem is false or wrongly founded, and the tactic is one that Lean itself accepts in that file.
CHEATS = {
    "an axiom that only looks like propext, in an open namespace": (
        "prelude\nimport Mini.Algebra\nnamespace X\naxiom propext : (0 : Nat) = 1\n\ntheorem bad : (0 : Nat) = 1\n",
        "exact propext", "X.propext",
    ),
    "the kernel switched off": (
        "prelude\nimport Mini.Algebra\nset_option debug.skipKernelTC true\n\ntheorem bad : (0 : Nat) = 1\n",
        "decide +kernel", "skipKernelTC",
    ),
    "another meaning for a name that the kernel computes": (
        "prelude\nimport Mini.Algebra\ndef Nat.gcd (n m : Nat) : Nat := n\n"
        "theorem Nat.l (n m : Nat) : Nat.gcd n m = n := rfl\n\ntheorem bad : (4 : Nat) = 2\n",
        "exact Eq.trans (Nat.l 4 6).symm (rfl : Nat.gcd 4 6 = 2)", "Nat.gcd",
    ),
    "another meaning for Nat.pow, which the file does not import": (
        "prelude\nimport Mini.Logic\ndef Nat.pow (n m : Nat) : Nat := n\n\ntheorem bad : True\n", "trivial", "Nat.pow",
    ),
    "another theorem that the full name means first": (
        "prelude\nimport Mini.Logic\nnamespace X\ntheorem X.b : True := True.intro\naxiom cheat : False\n"
        "theorem b : False\n",
        "exact cheat", "cheat",
    ),
    "a namespace that the layout does not show": (
        "prelude\nimport Mini.Logic\naxiom cheat : False\n  theorem b : True := True.intro\n  namespace X\n"
        "theorem b : False\n",
        "exact cheat", "the word 'theorem'",
    ),
}  # fmt: skip


@needs_lean
@pytest.mark.parametrize("name", CHEATS)
def test_a_file_cannot_get_a_falsehood_accepted(tmp_path, name):
    text, tactic, reason = CHEATS[name]
    (tmp_path / "A.lean").write_text(text + "  := by skip\n")
    theorem = reprover.read_theorems(tmp_path)[-1]
    with reprover.Session() as session:
        tried = reprover.attempt(session, theorem, tactics=[tactic], calls=1)
    # where Lean's server is satisfied, only the last word stands between the file and a success; a file that holds more
    # than a theorem file may is not even opened (it could run code there)
    assert tried.status in ("rejected", "not opened") and reason in tried.message


@needs_lean
def test_a_boot_file_of_ones_own_is_no_foundation():
    text = "prelude\n/-\nimport Mini.Logic\n-/\ninductive False : Prop\naxiom propext : False\n"
    told = reprover.verify(
        reprover.open_library(), reprover.Theorem("bad", "", text, "theorem bad : False"), ("exact propext",)
    )
    assert not told.ok and "import of the library" in told.message


@needs_lean
def test_only_the_library_itself_declares_a_name_that_the_kernel_computes():
    library = reprover.open_library()
    declared = {name for path in library.build.rglob("*.olean") for name in Olean(path.read_bytes(), Terms()).constants}
    for name in ("Nat.pow", "Nat.div", "Nat.gcd", "Nat.log2", "Nat.shiftRight", "Lean.reduceBool", "Lean.reduceNat"):
        found = library.engine.check(f"prelude\nimport Mini.Algebra\n#print {name}\n", folder=library.root,
                                     search_path=library.build)  # fmt: skip
        assert bool(found.errors) == (name != "Nat.pow") == (tuple(name.split(".")) not in declared), name
        assert tuple(name.split(".")) in KERNEL_NAMES or name.startswith("Lean.")
    assert "Mini.Mul" in library.imported("import Mini.Algebra\n")
    assert "Mini.Mul" not in library.imported("import Mini.Add\n") and library.imported("import Nowhere\n") == set()


@needs_lean
@pytest.mark.parametrize(
    ("statement", "tactic"),
    [
        ("theorem a.{u} (α : Sort u) (x : α) : x = x", "rfl"),
        ("theorem good : Nat.pow 2 3 = 8", "rfl"),
        ("theorem Nat.mine : True", "trivial"),
    ],
)
def test_sound_statements_still_pass(statement, tactic):
    theorem = reprover.own_theorem(statement)
    told = reprover.verify(reprover.open_library(), theorem, (tactic,))
    assert told.ok and told.axioms == (), told


def test_the_name_of_a_statement_ends_where_its_universes_begin():
    assert reprover.own_theorem("theorem a.b.{u} (α : Sort u) : True").name == "a.b"


@needs_lean
@pytest.mark.parametrize(
    "text",
    [
        "theorem a : True #eval 1 theorem b : True",
        "theorem a : True\n  axiom cheat : False theorem d : False",
        "theorem a : ∀ n : Nat, n = n | n => rfl theorem f : True",
        'theorem a (s : String := include_str "/etc/passwd") : True',
        "theorem a : True\x00 sorry",
        "theorem a : True where x := 1",
        "theorem a /- x : -/ : True",
        "theorem a : " + "(" * 100_000 + "True" + ")" * 100_000,
        "prelude\nimport Mini.Logic\nnamespace X\ntheorem a : True\n  | x => x\n  end X theorem c : True := by skip",
        "prelude\nimport Mini.Logic\nprotected theorem a : True := by skip",
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_a_statement_that_would_leave_its_place_is_not_opened(tmp_path, text):
    (tmp_path / "A.lean").write_text(text + "\n")
    theorem = reprover.read_theorems(tmp_path)[0]
    session = reprover.Session()
    tried = reprover.attempt(session, theorem)
    assert tried.status == "not opened" and tried.message.startswith("the statement is refused: ")
    assert session.pids() == []  # it was refused before any Lean was started
    assert not reprover.verify(session.library, theorem, ("trivial",)).ok


def test_odd_files_of_a_folder_are_named_or_read(tmp_path):
    for name, make in {
        "folder": lambda path: path.mkdir(),
        "broken": lambda path: path.symlink_to(tmp_path / "nowhere"),
        "circle": lambda path: path.symlink_to(path),
    }.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name / "x.lean")
        with pytest.raises(DataError, match=re.escape(f"cannot read {tmp_path / name / 'x.lean'}")):
            reprover.read_theorems(tmp_path / name)
    (tmp_path / "mark").mkdir()
    (tmp_path / "mark" / "x.lean").write_bytes(b"\xef\xbb\xbftheorem a : True\r\n")
    assert [one.statement for one in reprover.read_theorems(tmp_path / "mark")] == ["theorem a : True"]


@needs_lean
def test_a_lean_that_dies_over_the_last_word_rejects_the_proof_and_ends_no_run():
    theorem = reprover.own_theorem("theorem a (p : Prop) (h : p) : p")
    told = reprover.verify(reprover.open_library(), theorem, ("exact h",), timeout=0.001)
    assert not told.ok and "could not check" in told.message


@needs_lean
def test_a_tactic_that_speaks_does_not_hide_the_answer_about_axioms():
    theorem = reprover.own_theorem("theorem a (p : Prop) (h : p) : p")
    spoken = reprover.Theorem(theorem.name, "", theorem.preamble + "#print id\n", theorem.statement)
    told = reprover.verify(reprover.open_library(), spoken, ("exact h",))
    assert told.ok and told.axioms == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"path": "A.lean", "imports": [["x"]], "premises": []}', "line 1: imports=[['x']] is not a list of paths"),
        ('{"path": "A.lean", "imports": [{}], "premises": []}', "line 1: imports=[{}] is not a list of paths"),
        ("[" * 200_000, "line 1: not JSON"),
        ("[" + "1" * 5000 + "]", "line 1: not JSON"),
        ('{"path": "A\\ud800.lean", "imports": [], "premises": []}', "line 1: U+D800 is half a character"),
        (
            '{"path": "A.lean", "imports": [], "premises": [{"full_name": "a", "code": "", "kind": "def", '
            '"start": [1, 1], "end": [99999999999999999999, 1]}]}',
            "premise 1: end=[99999999999999999999, 1] is not [line, column]",
        ),
    ],
    ids=["list", "object", "deep", "digits", "half", "far"],
)
def test_a_hostile_line_of_a_corpus_is_named(tmp_path, line, message):
    (tmp_path / "corpus.jsonl").write_text(line + "\n")
    (tmp_path / "theorems.json").write_text("[]\n")
    with pytest.raises(DataError, match=re.escape(message)):
        reprover.load_corpus(tmp_path)


def test_separators_inside_a_text_do_not_end_its_line(tmp_path):
    code = "def a := \u2028 \x85 \U0001d538"
    premise = reprover.Premise("a", "A.lean", code, (1, 1), (1, 9), "def")
    corpus = reprover.Corpus((File("A.lean", (), (premise,)),), ())
    reprover.save_corpus(corpus, tmp_path)
    (tmp_path / "corpus.jsonl").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "corpus.jsonl").read_bytes())
    assert reprover.load_corpus(tmp_path) == corpus


@pytest.mark.parametrize(
    ("axiom", "ok"), [("Quot.sound", True), ("funext", False), ("cheat", False), ("sorryAx", False)]
)
def test_a_lake_project_may_use_leans_own_axioms(tmp_path, monkeypatch, axiom, ok):
    # no toolchain here: a program called `lake` that answers as `lake env lean --json … FILE` would
    (tmp_path / "lake").write_text(
        '#!/bin/sh\nfor file; do :; done\nprintf \'{"severity":"information","pos":{"line":%d,"column":0},'
        f'"data":"\\x27t\\x27 depends on axioms: [propext, {axiom}]"}}\\n\' "$(wc -l < "$file")"\n'.replace("\\x27", "")
    )
    (tmp_path / "lake").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    library = reprover.Library(tmp_path, None, ("A",), reprover.Engine("lake", "", None))
    told = reprover.verify(library, reprover.Theorem("t", "A", "", "theorem t : True"), ("trivial",))
    assert told.ok == ok and told.axioms == ("propext", axiom), told
