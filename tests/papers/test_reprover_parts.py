"""The text before a theorem in compiled parts: cut without loss, the same states and verdicts; a project of Lake."""

import os
import stat

import pytest
from hypothesis import given, settings, strategies as st
from lean import needs_lean

from workbench.errors import WorkbenchError
from workbench.papers import reprover
from workbench.papers.reprover.lean import parts, source

HEAD = "prelude\nimport Mini.Algebra\n"
ONE = "theorem t{n} (p : Prop) (h : p) : p := by\n  exact h\n\n"


def text(*commands: str, n: int = 20) -> str:
    return HEAD + "".join(commands) + "".join(ONE.format(n=i) for i in range(n))


def test_a_text_is_cut_behind_every_eighth_declaration_and_nothing_is_lost():
    whole = text("set_option autoImplicit false\n", "universe u\n", "namespace A\n", "open B\n", n=20)
    cut = parts.cut(whole)
    assert cut.header + "".join(cut.parts) + cut.rest == whole
    assert [part.count("theorem") for part in cut.parts] == [8, 8] and cut.rest.count("theorem") == 4
    in_force = "set_option autoImplicit false\nuniverse u\nnamespace A\nopen B\n"
    assert cut.contexts == ("", in_force, in_force)


def test_what_a_closed_namespace_opened_is_no_longer_in_force():
    whole = text("namespace A\nvariable (p : Prop)\nend A\nsection\nuniverse u\nend\nnamespace C.D\n")
    assert parts.cut(whole).contexts[-1] == "namespace C.D\n"


@pytest.mark.parametrize(
    "command",
    [
        "private theorem hidden : True := trivial\n",
        'local infix:50 " ~ " => Eq\n',
        'scoped infix:50 " ~ " => Eq\n',
        "attribute [local simp] eq_self\n",
        "mutual\n",
        "noncomputable section\n",
        "open A in\n",
        "end A\n",
        "include p\n",
        "something_new\n",
        "/- never closed\n",
    ],
)
def test_a_text_with_a_doubt_is_left_whole(command):
    assert parts.cut(text(command)).parts == ()


def test_a_theorem_is_not_cut_from_its_attribute_or_comment():
    lines = [ONE.format(n=i) for i in range(8)] + ["@[simp]\n", ONE.format(n=8), "/-- said -/\n", ONE.format(n=9)]
    cut = parts.cut(HEAD + "".join(lines) + ONE.format(n=10))
    assert cut.parts[0].endswith(ONE.format(n=9)) and cut.rest == ONE.format(n=10)
    inside = "/- a comment\ntheorem not_one : False\n-/\n"
    cut = parts.cut(HEAD + "".join(ONE.format(n=i) for i in range(8)) + inside + ONE.format(n=8))
    assert cut.rest == ONE.format(n=8) and inside in cut.parts[0]


LINES = ["namespace A", "end A", "section", "end", "variable (p : Prop)", "theorem x : T := by", "  rfl", "@[simp]",
         "/-- a", "-/", "", "def f := 0", "open Q"]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=60))
def test_no_text_loses_a_character(lines):
    whole = HEAD + "".join(f"{line}\n" for line in lines)
    cut = parts.cut(whole, size=2)
    assert cut.header + "".join(cut.parts) + cut.rest == whole and len(cut.contexts) == len(cut.parts) + 1


@needs_lean
def test_parts_change_no_state_and_let_no_later_theorem_in():
    library = reprover.open_library()
    proof = source.proofs(library.source("Mini.Mul"), "Mini.Mul")[20]
    short = parts.shorten(library, proof.theorem.preamble)
    assert "import Part" in short and len(short) < len(proof.theorem.preamble) / 2
    kept = reprover.own_corpus().theorem(proof.theorem.name)
    with reprover.Session(library) as session:
        state = session.open(proof.theorem)
        for step in kept.tactics:
            assert state.pp == step.state_before
            state = session.run_tac(state, step.tactic)
        assert isinstance(state, reprover.ProofFinished) and session.verify(state).ok
        later = source.proofs(library.source("Mini.Mul"), "Mini.Mul")[21].theorem.name
        state = session.open(proof.theorem)
        for name, word in ((proof.theorem.name, ""), (later, "nknown")):
            for tactic in (f"exact @{name}", f"apply {name} <;> assumption"):
                answer = session.run_tac(state, tactic)
                assert isinstance(answer, reprover.LeanError) and word in answer.message


@needs_lean
def test_a_part_with_an_error_leaves_the_text_whole(tmp_path):
    library = reprover.open_library()
    wrong = text("theorem wrong : True := by\n  exact nothing\n\n", n=12)
    assert parts.shorten(library, wrong, folder=tmp_path) == wrong
    right = text(n=12)
    assert parts.shorten(library, right, folder=tmp_path).count("theorem") == 4
    assert [file.suffix for file in tmp_path.iterdir()] == [".olean"]


@needs_lean
def test_an_answer_is_never_that_of_the_candidate_before():
    with reprover.Session() as session:
        state = session.open("Nat.zero_add")
        for number in range(25):
            answer = session.run_tac(state, f"exact nothing{number}")
            assert isinstance(answer, reprover.LeanError) and f"nothing{number}`" in answer.message
            answer = session.run_tac(state, f"cases n with | zero => ?_ | succ k{number} => ?_")
            assert f"k{number} : Nat" in answer.pp
        assert session.restarts == 0


# ------------------------------------------------------------------------------------ a Lake project, without its Lean
def lake(folder, script: str):
    """A program `lake` that is no Lean: it shows what it was called with."""
    folder.mkdir()
    (folder / "lake").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "lake").chmod(0o755 | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_a_lake_project_is_asked_through_lake_env(tmp_path, monkeypatch):
    project = tmp_path / "project"
    project.mkdir()
    (project / "lakefile.toml").write_text('name = "p"\n')
    (project / "A.lean").write_text("theorem a : True := by\n  trivial\n")
    log = tmp_path / "log"
    monkeypatch.setenv("PATH", lake(tmp_path / "bin", f'echo "$PWD: $*" >> {log}\necho "Lean (version 4.0.0)"'))
    library = reprover.open_library(project)
    assert library.engine.kind == "lake" and library.modules == ("A",) and library.build is None
    assert library.parts is None and parts.shorten(library, text()) == text()
    library.engine.lean(["--json", "X.lean"], folder=project, search_path=library.search_path)
    assert log.read_text().splitlines() == [
        f"{project}: env lean --version",
        f"{project}: env lean --json X.lean",
    ]


def test_a_lake_that_fails_is_named_in_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "lakefile.lean").write_text("")
    (tmp_path / "A.lean").write_text("")
    monkeypatch.setenv("PATH", lake(tmp_path / "bin", 'echo "no toolchain" >&2; exit 1'))
    with pytest.raises(WorkbenchError, match=r"`lake env lean --version` fails in .*: no toolchain"):
        reprover.open_library(tmp_path)
