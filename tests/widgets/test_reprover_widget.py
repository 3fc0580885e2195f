"""The proof explorer without a browser: its states are a direct session's, its file compiles, Lean ends with it."""

import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from hypothesis import given, strategies as st
from lean import needs_lean

from workbench.errors import DataError, UsageError
from workbench.papers import reprover
from workbench.papers.reprover import explore
from workbench.widgets import reprover as widgets
from workbench.widgets.reprover import ProofExplorer

CASES = "induction n with | zero => ?_ | succ n ih => ?_"


@pytest.fixture(scope="module")
def session():
    with reprover.Session() as running:
        yield running


@pytest.fixture
def explorer(session):
    return ProofExplorer("Nat.zero_add", session=session, large=False)


def best_of(explorer, scores, k):
    """The k best accessible premises by these scores, sorted literally."""
    subject, premises = explorer.subject(), explorer.corpus.premises
    mask = explorer.corpus.accessible(subject.path, subject.start)
    ranked = sorted(np.flatnonzero(mask), key=lambda n: -scores[n])
    return [(premises[n].full_name, scores[n]) for n in ranked[:k]]


@needs_lean
def test_its_states_are_a_direct_sessions(explorer, session):
    state = session.open("Nat.zero_add")
    assert explorer.answer["goals"] == list(state.goals) and explorer.answer["human_steps"] == 3
    for number, tactic in enumerate((CASES, "rfl"), 1):
        state = session.run_tac(state, tactic)
        explorer.command = {"kind": "tactic", "text": tactic, "n": number}
        assert explorer.answer["goals"] == list(state.goals) and explorer.error == ""
    index = reprover.BM25([f"{premise.full_name} {premise.code}" for premise in explorer.corpus.premises])
    best = best_of(explorer, index.scores(state.pp), 20)
    assert [one[0] for one in explorer.answer["premises"]] == [name for name, _ in best]
    assert [one[2] for one in explorer.answer["premises"]] == pytest.approx([score for _, score in best], abs=1e-3)
    assert "Nat.zero_add" not in [one[0] for one in explorer.answer["premises"]]
    explorer.command = {"kind": "tactic", "text": "rw [add_succ, ih]", "n": 3}
    now = explorer.answer
    assert (
        now["finished"]
        and now["goals"] == []
        and now["verified"]
        == {
            "ok": True,
            "axioms": [],
            "message": "accepted",
        }
    )
    with pytest.raises(UsageError, match="the proof is finished: undo"):
        explorer.run("rfl")


@needs_lean
def test_errors_are_leans_own_and_refusals_the_filters(explorer, session):
    before = explorer.answer
    explorer.command = {"kind": "tactic", "text": "rw [foo]", "n": 1}
    direct = session.run_tac(session.open("Nat.zero_add"), "rw [foo]")
    assert explorer.tried[-1]["message"] == direct.message and explorer.tried[-1]["kind"] == "error"
    explorer.command = {"kind": "tactic", "text": "exact sorry", "n": 2}
    assert explorer.tried[-1]["kind"] == "refused"
    assert explorer.tried[-1]["message"] == "the word 'sorry' is not allowed in a tactic"
    explorer.command = {"kind": "tactic", "text": "  ", "n": 3}
    assert explorer.tried[-1]["message"] == "the tactic is empty"
    assert {**explorer.answer, "command": 0} == {**before, "command": 0}


@needs_lean
def test_back_to_any_state_and_the_tree_of_them(explorer):
    explorer.run(f"{CASES}\nrfl")
    explorer.undo()
    assert explorer.proof == CASES
    explorer.run("skip")
    tree = explorer.answer["tree"]
    assert [(line["tactic"], line["level"]) for line in tree] == [("", 0), (CASES, 0), ("rfl", 1), ("skip", 1)]
    assert [line["goals"] for line in tree] == [1, 2, 1, 2]
    assert [line["branch"] for line in tree] == [False, False, True, True]
    explorer.proof = f"{CASES}\nrfl"  # what a click does
    assert len(explorer.answer["goals"]) == 1
    explorer.run("rw [add_succ, ih]")
    assert explorer.answer["verified"]["ok"]
    explorer.command = {"kind": "reset", "n": 1}
    assert explorer.proof == "" and [line["tactic"] for line in explorer.answer["tree"]] == [""]
    assert explorer.tried == [] and explorer.answer["question"]["proof"] == ""


@needs_lean
def test_several_lines_stop_at_the_first_that_fails(explorer):
    answer = explorer.run(f"  {CASES}\n  rfl\n  rw [nothing]\n  rfl")
    assert isinstance(answer, reprover.LeanError) and explorer.proof == f"{CASES}\nrfl"
    assert explorer.tried[-1]["at"] == explorer.proof and explorer.tried[-1]["tactic"] == "rw [nothing]"


@needs_lean
def test_the_exported_file_compiles_in_a_fresh_lean(explorer, session, tmp_path):
    with pytest.raises(UsageError, match=r"only a finished proof .* 1 goal left"):
        explorer.save_lean(tmp_path / "x.lean")
    explorer.run(f"{CASES}\nrfl\nrw [add_succ, ih]")
    for theorem, proof in (("Nat.zero_add", explorer.proof), ("theorem mine (p : Prop) : p → p", "intro h\nexact h")):
        explorer.theorem = theorem
        explorer.proof = proof
        text = explorer.save_lean(tmp_path / "x.lean").read_text("utf-8")
        library = session.library
        told = library.engine.check(text, folder=library.root, search_path=library.build)
        assert not told.errors and any("does not depend on any axioms" in one.text for one in told.messages)
        broken = text.replace("rfl\n", "").replace("exact h", "skip")
        assert library.engine.check(broken, folder=library.root, search_path=library.build).errors
    explorer.command = {"kind": "export", "format": "lean", "n": 1}
    assert explorer.exported["name"] == "mine.lean" and explorer.exported["n"] == 1


@needs_lean
def test_own_statements(explorer):
    explorer.theorem = "theorem mine (p q : Prop) (h : p ∧ q) : q"
    assert explorer.answer["goals"] == ["p q : Prop\nh : p ∧ q\n⊢ q"]
    assert explorer.answer["accessible"] == len(explorer.corpus.premises) and explorer.answer["human_steps"] == 0
    assert explorer.show_human()["step"] == 0
    explorer.theorem = "theorem mine (p : Nowhere) : p"
    assert explorer.error.startswith("Lean does not accept the statement: ") and "Nowhere" in explorer.error
    for text, why in (
        ("theorem mine : True\naxiom bad : False", "the word 'axiom' is not allowed"),
        ("theorem mine : True -- so", "comments"),
        ("theorem mine : True := trivial", "without `:=`"),
        ("Nat.zero_ad", "did you mean Nat.zero_add"),
    ):
        explorer.theorem = text
        assert why in explorer.error, text
    explorer.theorem = "Nat.add_comm"
    assert explorer.error == "" and explorer.answer["name"] == "Nat.add_comm"


def test_another_theorem_begins_without_the_old_ones_steps():
    explorer = ProofExplorer("Nat.zero_add", proof=CASES)
    assert len(explorer.answer["goals"]) == 2
    explorer.theorem = "Logic.and_swap"
    assert explorer.proof == "" and explorer.answer["name"] == "Logic.and_swap" and explorer.error == ""
    explorer.command = {"kind": "reset", "n": 1}
    assert explorer.proof == CASES and explorer.answer["name"] == "Nat.zero_add"
    assert explorer._session is None, "states of the human's own proof need no Lean"


def test_the_humans_step_is_hidden_until_asked_for():
    explorer = ProofExplorer("Nat.add_comm")
    steps = explorer.subject().traced.tactics
    assert steps[0].tactic not in str(explorer.answer) and explorer.hint == {}
    explorer.command = {"kind": "human", "n": 1}
    assert explorer.hint["tactic"] == steps[0].tactic and explorer.hint["step"] == 1
    state = explore.traced_state(explorer.subject(), (steps[0].tactic,))
    elsewhere = reprover.TacticState(state.theorem, ("skip", steps[0].tactic), state.goals)
    assert explore.human_step(explorer.subject(), elsewhere) == (2, steps[1])  # by its state
    assert explore.human_step(explorer.subject(), reprover.TacticState(state.theorem, ("skip",), ("⊢ False",))) is None


def test_without_lean_theorem_premises_and_the_humans_steps_remain(monkeypatch):
    monkeypatch.setattr(widgets.reprover, "lean_available", lambda: False)
    explorer = ProofExplorer("Nat.zero_add")
    assert explorer.missing.startswith("no Lean is installed here; get one with") and explorer.error == ""
    assert explorer.answer["goals"] and explorer.answer["premises"]
    explorer.command = {"kind": "tactic", "text": "intro x", "n": 1}
    assert "only the human's own steps can be followed" in explorer.error and explorer.answer["goals"]
    explorer.command = {"kind": "tactic", "text": "exact sorry", "n": 2}
    assert explorer.tried[-1]["kind"] == "refused"
    for number, step in enumerate(explorer.subject().traced.tactics, 3):
        explorer.command = {"kind": "tactic", "text": step.tactic, "n": number}
    assert explorer.answer["finished"] and not explorer.answer["verified"]["ok"] and explorer._session is None
    with pytest.raises(UsageError, match="no goals left, but not verified"):
        explorer._exported("lean")


@needs_lean
def test_a_lean_that_dies_or_runs_out_of_time_is_one_sentence_and_the_widget_goes_on():
    with reprover.Session(timeout=1.5) as short:
        explorer = ProofExplorer("Nat.zero_add", session=short)
        explorer.run("repeat skip")
        assert explorer.tried[-1]["kind"] == "stopped" and explorer.tried[-1]["message"].endswith("within 1.5 s")
        short.timeout = 20
        for process in [psutil.Process(pid) for pid in short.pids()]:
            process.kill()
        explorer.run(CASES)
        assert len(explorer.answer["goals"]) == 2 and explorer.error == ""


@needs_lean
def test_interrupt_leaves_a_widget_that_works(explorer, session, monkeypatch):
    def stopped(state, tactic):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, "run_tac", stopped)
        explorer.command = {"kind": "tactic", "text": "skip", "n": 1}
    assert explorer.error.startswith("interrupted") and session.pids() == [] and explorer.answer["goals"]
    explorer.command = {"kind": "tactic", "text": CASES, "n": 2}
    assert explorer.error == "" and len(explorer.answer["goals"]) == 2


@needs_lean
def test_lean_starts_with_the_first_tactic_and_ends_with_the_widget():
    explorer = ProofExplorer("Nat.zero_add")
    assert explorer._session is None
    explorer.run("skip")
    pids = explorer._session.pids()
    assert len(pids) >= 2
    explorer.close()
    end = time.monotonic() + 20
    while any(map(_alive, pids)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(_alive, pids))


@pytest.mark.slow
@needs_lean
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_lean_ends_with_the_process_that_forgot_to_close(end):
    code = (
        "from workbench.widgets.reprover import ProofExplorer\n"
        "one = ProofExplorer('Nat.zero_add'); one.run('skip'); print(*one._session.pids(), flush=True); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in child.stdout.readline().split()]
    assert len(pids) >= 2 and all(map(_alive, pids))
    if end == "kill":
        child.kill()
    child.communicate("\n", timeout=60)
    gone = time.monotonic() + 20
    while any(map(_alive, pids)) and time.monotonic() < gone:
        time.sleep(0.1)
    assert not any(map(_alive, pids))


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_page_holds_steps_and_premises():
    explorer = ProofExplorer("Nat.zero_add", proof=CASES)
    page = explorer.page(b"")
    assert page.count("<tr>") == 1 + 2 + 20 and "step 1" in page


def test_misuse_is_named():
    with pytest.raises(UsageError, match=r"no theorem 'Nat\.nope'"):
        ProofExplorer("Nat.nope")
    explorer = ProofExplorer("Nat.zero_add")
    with pytest.raises(DataError, match="is no statement"):
        reprover.subject(explorer.corpus, "theorem")


@pytest.mark.slow  # the encoder embeds every premise
def test_an_encoder_that_is_loaded_scores_too(minilm):
    explorer = ProofExplorer("Nat.zero_add", encoder=minilm, shown=5)
    explorer.retriever = minilm.name
    state = explorer.state().pp
    *premises, asked = minilm.embed([*(f"{one.full_name} {one.code}" for one in explorer.corpus.premises), state])
    direct = best_of(explorer, [p @ asked / np.linalg.norm(p) / np.linalg.norm(asked) for p in premises], 5)
    assert [one[0] for one in explorer.answer["premises"]] == [name for name, _ in direct]
    assert [one[2] for one in explorer.answer["premises"]] == pytest.approx([s for _, s in direct], abs=2e-3)


def test_every_traced_step_is_one_tactic_of_a_proofs_text():
    for theorem in reprover.own_corpus().theorems:
        script = tuple(step.tactic for step in theorem.tactics)
        assert explore.split_proof("\n".join(script)) == script, theorem.full_name


@given(st.lists(st.text("ab|· \n\t", max_size=8), max_size=5))
def test_a_proofs_text_reads_back_as_it_was(lines):
    script = explore.split_proof("\n".join(lines))
    assert explore.split_proof("\n".join(script)) == script
