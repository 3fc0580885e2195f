"""``--resume``: a run that was killed goes on where it ended, and nothing finished is computed again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from changed import by_turn
from tiny_notebooks import write_notebook

from workbench.rows import FILE, OFFERED, read_lines
from workbench.runs.store import entry as store

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = """profile: str = "quick"         # smoke, quick, standard or paper
seed: int = 0                  # every random choice follows from it
n: int = 6                     # items
wait: str | None = None        # a file that every row behind the third waits for
api_key: str = "none"          # a secret"""
STUDY = """import math, os, pathlib, time
import workbench
from workbench.results import Results, Row

results = Results("toy", model="none", settings={"seed": seed, "n": n})
made = 0
def make(missing):
    global made
    for arm, item, number in missing:
        while made >= 3 and wait and not os.path.exists(wait):
            time.sleep(.05)
        made += 1
        value = math.sin(seed + len(arm) + int(item) ** .5)
        yield Row(arm, item, number, measures={"value": value}, prompt=f"<b>{item}</b>", reply=f"{arm} {api_key}",
                  cost={"seconds": time.process_time()})
keys = [(arm, str(item), seed) for arm in ("one", "other") for item in range(n)]
results.compute(keys, make)"""
END = """workbench.record(results.metrics("toy", "value", pairs=[("one", "other")]) | {
    "seconds": sum(row.cost["seconds"] for row in results.rows)})"""


def cli(*arguments, **options):
    command = [sys.executable, "-m", "workbench", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment, **options)


def runs_of(out: Path) -> list[store.Record]:
    return store.all_runs(out)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """(the notebook, the folder of runs, the run that was killed with three rows done, the file it waits for)."""
    folder = tmp_path_factory.mktemp("resume")
    notebook = write_notebook(folder / "tiny.ipynb", STUDY, END, parameters=PARAMETERS)
    out, gate = folder / "runs", folder / "gate"
    command = [sys.executable, "-m", "workbench", "run", notebook, "--out", out, "--seed", "3"]
    command += ["-p", f"wait={gate}", "-p", "api_key=verysecret"]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not [path for path in out.glob(f"tiny/*/{FILE}") if path.read_bytes().count(b"\n") == 3]:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (old,) = runs_of(out)
    assert old.status == "killed" and old.rows is None
    first, *others = (old.folder / FILE).read_bytes().splitlines(keepends=True)
    # as if it had gone on with a run before, and not yet asked for that one's row; and what a kill leaves of a line
    (old.folder / OFFERED).write_bytes(first)
    (old.folder / FILE).write_bytes(b"".join(others) + b'{"study": "toy", "key": "cut sho')
    return notebook, out, old, gate


def test_a_killed_run_that_is_resumed_equals_one_that_was_never_broken_off(killed):
    notebook, out, old, gate = killed
    gate.touch()
    arguments = ("run", notebook, "--out", out, "--resume", old.id, "-p", "api_key=verysecret")
    answer = cli(*arguments)
    assert answer.returncode == 0, answer.stderr
    assert f"rows: 3 taken over from {old.id}, 9 computed" in answer.stdout
    assert f"3 finished rows of {old.id} are there; 1 damaged line(s) of its rows are left out" in answer.stderr
    resumed = runs_of(out)[-1]
    assert resumed.resume_of == old.id and resumed.rows == {"taken": 3, "computed": 9}
    assert resumed.given == old.given and resumed.parameters == old.parameters
    assert not (resumed.folder / OFFERED).exists()
    lines, damaged = read_lines(resumed.folder / FILE)
    assert damaged == 0 and [line["taken"] for line in lines] == [True] * 3 + [False] * 9
    assert "verysecret" not in (resumed.folder / FILE).read_text() and "masked " in lines[-1]["reply"]
    before = read_lines(old.folder / OFFERED)[0] + read_lines(old.folder / FILE)[0]
    assert [line["cost"] for line in lines[:3]] == [line["cost"] for line in before]  # what they cost then
    answer = cli("run", notebook, "--out", out, "--seed", "3", "-p", f"wait={gate}", "-p", "api_key=verysecret")
    assert answer.returncode == 0, answer.stderr
    whole = runs_of(out)[-1]
    assert whole.rows == {"taken": 0, "computed": 12} and whole.resume_of is None
    for record in (resumed, whole):
        del record.metrics["seconds"]
    assert resumed.metrics == whole.metrics and len(whole.metrics) == 3
    answer = cli("run", notebook, "--out", out, "--resume", whole.id, "-p", "api_key=verysecret", "--seed", "3")
    assert f"rows: 12 taken over from {whole.id}, 0 computed" in answer.stdout
    last = runs_of(out)[-1]
    assert {name: entry for name, entry in last.metrics.items() if name != "seconds"} == whole.metrics


def test_what_cannot_be_resumed_is_one_sentence_and_starts_nothing(killed, tmp_path):
    notebook, out, old, _ = killed
    other = write_notebook(tmp_path / "another.ipynb", "pass", parameters=PARAMETERS)
    changed = write_notebook(tmp_path / "tiny.ipynb", STUDY, "pass", parameters=PARAMETERS)
    before = len(runs_of(out))
    secret = ("-p", "api_key=verysecret")
    for arguments, said in (
        ((notebook, "--resume", "2020"), "'2020' is not a run in"),
        ((notebook, "--resume", ""), "'' is not a run in"),
        ((notebook, "--resume", old.id, "--seed", "4", *secret), f"parameter 'seed' was 3 in {old.id} and is 4 now"),
        ((notebook, "--resume", old.id, "-p", "n=7", *secret), f"parameter 'n' was 6 in {old.id} and is 7 now"),
        ((notebook, "--resume", old.id), f"parameter 'api_key' of {old.id} holds a secret"),
        ((notebook, "--resume", old.id, "-p", "api_key=wrong"), "parameter 'api_key' was 'masked "),
        ((other, "--resume", old.id, *secret), f"{old.id} is a run of tiny, and this is another"),
        ((changed, "--resume", old.id, *secret), f"the notebook has changed since {old.id}"),
    ):
        answer = cli("run", *arguments, "--out", out)
        assert answer.returncode == 2, answer.stderr
        assert said in answer.stderr and answer.stderr.count("\n") == 1 and "wrong" not in answer.stderr
    assert len(runs_of(out)) == before


def test_a_run_that_still_runs_is_not_resumed(killed, tmp_path):
    notebook, _, old, _ = killed
    written = json.loads((old.folder / "record.json").read_text())
    from workbench.runs.process.processes import this_process

    copy = tmp_path / "tiny" / old.id
    copy.mkdir(parents=True)
    (copy / "record.json").write_text(json.dumps(written | {"process": this_process()}))
    answer = cli("run", notebook, "--out", tmp_path, "--resume", "last", "-p", "api_key=verysecret")
    assert answer.returncode == 2 and f"{old.id} still runs" in answer.stderr


# The least rows before the kill: RAIN's first study has five arms of two prompts, K-BERT's nine of twelve texts; two
# curves of randomness have 25 places each, and EMO's first arm has three temperatures. ReProver has 480 rows of
# retrieval before its first proof, explainability 37 when the first prompt of its faithfulness table is done.
LEAST = {"rain": 3, "kbert": 13, "randomness": 53, "emo": 4, "reprover": 485, "explainability": 37}


def pytest_generate_tests(metafunc):
    """Each paper costs three smoke runs: the papers take turns in the gate, all run with ``--release``."""
    if "resumed_paper" in metafunc.fixturenames:
        release = metafunc.config.getoption("--release")
        metafunc.parametrize("resumed_paper", list(LEAST) if release else by_turn(list(LEAST), 1))


@pytest.mark.slow
def test_a_papers_killed_run_goes_on_to_the_numbers_of_one_that_was_not(resumed_paper, smoke_record, tmp_path):
    paper, rows = resumed_paper, LEAST[resumed_paper]
    whole = store.load(smoke_record(paper).folder)
    assert whole.rows["taken"] == 0 and whole.rows["computed"] > rows
    command = [sys.executable, "-m", "workbench", "run", paper, "--profile", "smoke", "--out", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not [path for path in tmp_path.glob(f"{paper}/*/{FILE}") if path.read_bytes().count(b"\n") >= rows]:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (old,) = runs_of(tmp_path)
    left = len(read_lines(old.folder / FILE)[0])
    answer = cli("run", paper, "--out", tmp_path, "--resume", "last")
    assert answer.returncode == 0, answer.stderr
    resumed = runs_of(tmp_path)[-1]
    assert resumed.rows["taken"] == left >= rows
    assert resumed.rows["computed"] == whole.rows["computed"] - left
    assert resumed.metrics == whole.metrics
