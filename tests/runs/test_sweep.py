"""Sweeps on this machine: every cell once, whoever asks, whatever happens; the violent cases are in test_chaos.py."""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from test_runner import all_end, check_end
from tiny_notebooks import write_notebook

from workbench.errors import RunError, UsageError
from workbench.runs.process import processes
from workbench.runs.process.progress import Progress, SweepProgress
from workbench.runs.store import entry as store
from workbench.runs.sweep import locks as claims
from workbench.runs.sweep.cell import Outcome
from workbench.runs.sweep.driver import check, sweep
from workbench.runs.sweep.grid import Cell, build
from workbench.runs.sweep.locks import Claim

ROOT = Path(__file__).resolve().parents[2]
LOOK = (
    "import os, workbench\n"
    "print('threads', os.environ['OMP_NUM_THREADS'], 'sockets', [n for n in os.listdir('.') if 'ipc' in n])\n"
    "workbench.record({'score': seed / 4, 'length': len(concept)})"
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory, run_workbench):
    """A finished grid of four cells, made by the command line: (notebook, runs folder, what was said)."""
    folder = tmp_path_factory.mktemp("swept")
    notebook = write_notebook(folder / "look.ipynb", LOOK)
    out = folder / "runs"
    answer = run_workbench("sweep", notebook, "-g", "concept=01,011", "--seeds", "2", "-j", "2", "--out", out)
    assert answer.returncode == 0, answer.stderr
    return notebook, out, answer


def again(swept, run_workbench, *more):
    notebook, out, _ = swept
    return run_workbench("sweep", notebook, "-g", "concept=01,011", "--seeds", "2", "--out", out, *more)


def test_a_sweep_leaves_one_whole_run_a_cell(swept):
    _, out, answer = swept
    records = store.all_runs(out, "look")
    for record in records:
        check_end(record, "done")
        assert record.threads == 1 and record.warm is None and record.cause is None
        text = (record.folder / "notebook.ipynb").read_text()
        assert "threads 1 sockets []" in text, "two kernels in one folder must not share sockets"
    found = sorted((r.parameters["concept"], r.seed, r.metrics["score"]["value"]) for r in records)
    assert found == [("01", 0, 0.0), ("01", 1, 0.25), ("011", 0, 0.0), ("011", 1, 0.25)]
    assert "look: 4 cells, 4 run, in" in answer.stdout and "all finished" in answer.stdout
    assert len(re.findall(r"^look: \d/4 concept=\d+ seed=\d: done in ", answer.stderr, re.MULTILINE)) == 4
    assert re.search(r"about .* left$", answer.stderr, re.MULTILINE)


def test_the_same_again_runs_nothing(swept, run_workbench):
    before = sorted(swept[1].glob("look/2*"))
    answer = again(swept, run_workbench)
    assert answer.returncode == 0 and "4 cells, 0 run, 4 finished before" in answer.stdout
    assert sorted(swept[1].glob("look/2*")) == before


def test_a_plain_run_counts_as_finished(swept):
    records = store.all_runs(swept[1], "look")
    (cell, *_) = build(str(swept[0]), ["concept=01,011"], seeds=2).cells()
    assert claims.finished(records)[cell.key].parameters["concept"] == "01"
    for record in records:
        record.status = "failed"
    assert claims.finished(records) == {}


def test_a_dry_run_starts_nothing_and_estimates(swept, run_workbench):
    notebook, out, _ = swept
    grid = ["-g", "concept=01,011,0111", "--seeds", "2", "--jobs", "2", "--out", out]
    answer = run_workbench("sweep", notebook, *grid, "--dry-run")
    assert answer.returncode == 0 and "6 cells (3 concept, 2 seed), 4 finished, 2 to run" in answer.stdout
    assert "concept=0111 seed=0: to run" in answer.stdout and answer.stdout.count(": 20") == 4
    median = sorted(record.seconds for record in store.all_runs(out))[1:3]
    told = float(re.search(r"\((\d+\.\d) s a run, 2 at a time, 1 thread", answer.stdout).group(1))
    assert told == pytest.approx(sum(median) / 2, abs=0.06)
    assert "the median of 4 finished run(s) with the same profile and model" in answer.stdout
    assert len(list(out.glob("look/2*"))) == 4


def test_printed_commands_run_one_cell_each_and_are_safe_to_repeat(swept, run_workbench, tmp_path):
    notebook, out, _ = swept
    answer = run_workbench("sweep", notebook, "-g", "concept=01,x,y", "--out", out, "--print-commands")
    lines = answer.stdout.splitlines()
    assert len(lines) == 2 and "sbatch --array=1-2" in answer.stderr, "the finished cell needs no command"
    (tmp_path / "cells.txt").write_text(answer.stdout)
    (tmp_path / "workbench").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m workbench "$@"\n')
    (tmp_path / "workbench").chmod(0o755)
    wrapped = re.search("--wrap '(.*)'$", answer.stderr, re.MULTILINE).group(1)  # what a Slurm task would execute
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    surroundings = os.environ | {"PATH": path, "SLURM_ARRAY_TASK_ID": "1", "PYTHONPATH": str(ROOT)}
    for _ in "ab":
        ended = subprocess.run(
            ["sh", "-c", wrapped], capture_output=True, text=True, cwd=tmp_path, env=surroundings, timeout=120
        )
        assert ended.returncode == 0 and ended.stdout == ended.stderr == ""
    (made,) = [record for record in store.all_runs(out) if record.parameters["concept"] == "x"]
    assert made.status == "done" and shlex.split(lines[0])[-1] == "--quiet"
    made.status = "failed"  # the other tests count four finished cells
    made.save()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal], ids=["file", "terminal"])
def test_progress_tells_the_time_left(kind, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("workbench.runs.process.progress.time.monotonic", lambda: clock[0])
    stream = kind()
    bar = SweepProgress("p", total=10, before=2, stream=stream)
    assert bar.left is None
    bar.guess = (30.0, 4)
    assert bar.left == 60.0, "eight runs, four at a time"
    for number in range(2):
        clock[0] += 20
        state = ("done", "failed")[number]
        bar.ended(Cell("k", {"seed": number}), Outcome(state, "id", error="why" if number else None, seconds=20))
        bar.tick()
    assert bar.left == pytest.approx(20 * 6), "from now on at this sweep's own pace"
    bar.close()
    said = stream.getvalue()
    assert "2 of 10 cells are finished already" in said
    assert "4/10 seed=1: failed in 20.0 s: why, about 2 min 0 s left" in said
    assert ("about 2 min 0 s left, 1 failed" in said) == (kind is Terminal)
    assert ("3/10 seed=0: done" in said) == (kind is io.StringIO), "a bar does not list what went well"


@pytest.mark.parametrize("kind", [io.StringIO, Terminal], ids=["file", "terminal"])
def test_a_runs_progress_tells_the_time_left(kind, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("workbench.runs.process.progress.time.monotonic", lambda: clock[0])
    stream = kind()
    bar = Progress("p", stream=stream, guess=80.0)
    bar.event({"event": "cells", "total": 4})
    for number in range(1, 5):
        bar.event({"event": "cell", "number": number, "title": f"part {number}"})
        clock[0] += 30
        bar.event({"event": "cell_end", "number": number})
        assert bar.left == [50.0, 20.0, 30.0, 0.0][number - 1], "as long as earlier runs, then at this one's pace"
        bar.tick()
    bar.close()
    said = stream.getvalue()
    assert "about 50.0 s left: part 1" in said and "about 30.0 s left: part 3" in said
    assert ("p: cell 2/4, 1 min 0 s, about 20.0 s left: part 2" in said) == (kind is io.StringIO)


FAULTS = (
    "import os, pathlib, signal, workbench\n"
    "mark = pathlib.Path(f'tries-{seed}')\n"
    "mark.write_text((mark.read_text() if mark.exists() else '') + 'x')\n"
    "if seed == 0:\n    raise ValueError('of the experiment')\n"
    "if seed == 1 and mark.read_text() == 'x' or seed == 2:\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    "if seed == 3:\n    os._exit(3)\n"
    "workbench.record({'seed': seed})"
)


def test_only_the_infrastructures_failures_are_tried_again_and_once(tmp_path):
    notebook = write_notebook(tmp_path / "faults.ipynb", FAULTS)
    grid = build(str(notebook), [], seeds=5)
    summary = sweep(grid, out=tmp_path / "runs", jobs=2, progress=False)
    assert summary.exit_code == 1 and summary.done == 2 and summary.stopped is None
    assert [(tmp_path / f"tries-{seed}").read_text() for seed in range(5)] == ["x", "xx", "xx", "x", "x"]
    failed = {cell.values["seed"]: outcome.error for cell, outcome in summary.failed}
    assert sorted(failed) == [0, 2, 3] and "ValueError: of the experiment" in failed[0] and "exit code 3" in failed[3]
    causes = {(record.seed, record.cause) for record in store.all_runs(tmp_path / "runs") if record.status == "failed"}
    assert causes == {(0, "experiment"), (1, "infrastructure"), (2, "infrastructure"), (3, "experiment")}


def test_max_failures_stops_a_sweep(tmp_path):
    notebook = write_notebook(tmp_path / "bad.ipynb", "raise ValueError")
    summary = sweep(build(str(notebook), [], seeds=5), out=tmp_path / "runs", max_failures=1, progress=False)
    assert summary.exit_code == 1 and len(summary.failed) == 1 and summary.left == 4
    assert summary.stopped == "stopped at 1 failed cells (--max-failures 1)"


def test_two_sweeps_at_once_share_the_cells(tmp_path):
    notebook = write_notebook(
        tmp_path / "slow.ipynb", "import time\ntime.sleep(1)\nimport workbench\nworkbench.record({'s': seed})"
    )
    command = [
        sys.executable,
        "-m",
        "workbench",
        "sweep",
        str(notebook),
        "--seeds",
        "4",
        "--out",
        str(tmp_path / "runs"),
    ]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) for _ in "ab"
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    records = store.all_runs(tmp_path / "runs")
    assert sorted(record.seed for record in records) == [0, 1, 2, 3], "no cell may be run twice"
    ran = [int(re.search(r"(\d+) run", out).group(1)) for out, _ in said]
    assert sum(ran) == 4 and min(ran) >= 1


def test_a_claim_is_one_holders_and_ends_with_it(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from workbench.runs.sweep.locks import Claim\n"
        f"with Claim(Path({str(tmp_path)!r}), 'p', 'k') as claim:\n"
        "    claim.note('20260101-000000-aaaa'); print(claim.held, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert holder.stdout.readline() == "True\n"
    with Claim(tmp_path, "p", "k") as claim, Claim(tmp_path, "p", "other") as free:
        assert not claim.held and free.held
    holder.kill()
    holder.wait()
    with Claim(tmp_path, "p", "k") as claim:
        assert claim.held, "the system gives a dead holder's lock back"
        assert claim.attempts() == [], "an attempt without a record is none"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write the claims in .*--out DIR"), Claim(tmp_path / "file", "p", "k"):
        pass


WAIT = (
    "import os, pathlib, subprocess, time\n"
    "other = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
    "pathlib.Path(f'here-{seed}').write_text(f'{os.getpid()} {other.pid}')\n"
    "time.sleep(300)"
)


@pytest.fixture
def waiting(tmp_path):
    """A sweep with two runs that sit in a cell: (its process, the runs folder, all processes of the runs)."""
    import psutil

    notebook = write_notebook(tmp_path / "wait.ipynb", WAIT)
    command = [sys.executable, "-m", "workbench", "sweep", str(notebook), "--seeds", "3", "-j", "2"]
    command += ["--out", str(tmp_path / "runs")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    try:
        for _ in range(900):
            found = [path.read_text().split() for path in tmp_path.glob("here-*")]
            if len(found) == 2 and all(len(pids) == 2 for pids in found):
                break
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.1)
        others = [psutil.Process(int(pid)) for pids in found for pid in pids]
        yield process, tmp_path / "runs", others + psutil.Process(process.pid).children()
    finally:
        process.kill()
        process.communicate()
        processes.reap(tmp_path / "runs")


def test_ctrl_c_closes_the_runs_in_order(waiting):
    process, out, everyone = waiting
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said, said
    assert "3 cells, 0 run, 3 left" in said and "the same command continues" in said
    records = store.all_runs(out)
    assert [record.status for record in records] == ["interrupted", "interrupted"]
    assert all_end(everyone, 1)
    for record in records:
        nbformat.validate(nbformat.read(record.folder / "notebook.ipynb", as_version=4))


@pytest.mark.slow
def test_a_second_ctrl_c_waits_for_nobody(waiting):
    process, _, everyone = waiting
    for child in everyone[4:]:
        child.suspend()  # they cannot answer the first request
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130 and all_end(everyone, 2)


@pytest.mark.slow
def test_what_a_dead_sweep_left_is_reaped_by_the_next(waiting):
    process, out, everyone = waiting
    process.send_signal(signal.SIGSTOP)
    for child in everyone[4:]:
        child.kill()  # the runners first, so that nobody can clean up after them
    process.kill()
    kernels, orphans = everyone[0:4:2], everyone[1:4:2]
    assert all_end(kernels, 10), "a kernel goes with its runner"
    assert all(orphan.is_running() for orphan in orphans), "what a cell started is out of a dead runner's reach"
    process.wait()
    assert processes.reap(out) == 2
    assert all_end(orphans, 2)
    assert [record.status for record in store.all_runs(out)] == ["killed", "killed"]


def test_a_folder_that_vanishes_is_a_failure_of_the_infrastructure(tmp_path):
    code = (
        "import os, pathlib, shutil, workbench\n"
        "mark = pathlib.Path('tried')\n"
        "if not mark.exists():\n    mark.write_text('')\n    shutil.rmtree('runs')\n"
        "workbench.record({'seed': seed})"
    )
    notebook = write_notebook(tmp_path / "gone.ipynb", code)
    summary = sweep(build(str(notebook), ["seed=7,8"]), out=tmp_path / "runs", progress=False)
    assert summary.exit_code == 0 and summary.done == 2
    records = store.all_runs(tmp_path / "runs")
    assert [(record.seed, record.status) for record in records] == [(7, "done"), (8, "done")]
    assert len(list((tmp_path / "runs" / "gone").glob("2*"))) == 2, (
        "what was written into the vanished run's place is gone"
    )
    assert len(list((tmp_path / "runs" / "gone" / ".grids").iterdir())) == 1


LEAK = (
    "import os, sys, json, workbench\n"
    "seen = 'left' in globals(), 'LEFT' in os.environ, os.getcwd() == here if 'here' in globals() else False\n"
    "left = 1; os.environ['LEFT'] = '1'; sys.path.insert(0, '/left'); os.chdir('/')\n"
    "json.left = getattr(json, 'left', 0) + 1\n"
    "workbench.record({'seed': seed, 'leaks': sum(seen) + sys.path.count('/left') - 1, 'modules': json.left})\n"
    "import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
    "if seed == 2:\n    raise ValueError\n"
    "print(os.getpid())"
)


def test_a_warm_kernel_forgets_what_it_can_and_says_that_it_was_warm(tmp_path):
    notebook = write_notebook(tmp_path / "leak.ipynb", LEAK)
    summary = sweep(build(str(notebook), [], seeds=5), out=tmp_path / "runs", warm=True, progress=False)
    assert summary.done == 4 and len(summary.failed) == 1
    records = sorted(store.all_runs(tmp_path / "runs"), key=lambda record: record.seed)
    assert [record.warm for record in records] == [0, 1, 2, 0, 1], "after a failure the kernel is a new one"
    assert [record.metrics["leaks"]["value"] for record in records] == [0, 0, 0, 0, 0]
    assert [record.metrics["modules"]["value"] for record in records] == [1, 2, 3, 1, 2], "what --warm warns of"
    for record in records:
        assert processes.of_run(str(record.folder)) == [] and record.cpu_seconds < 20
        assert nbformat.read(record.folder / "notebook.ipynb", as_version=4).cells[-1].execution_count == 3
    assert records[1].cpu_seconds < records[0].cpu_seconds


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"jobs": 0}, "--jobs is 0"),
        ({"threads": -1}, "--threads is -1"),
        ({"max_failures": 0}, "--max-failures is 0"),
        ({"timeout": 0}, "the time limit is 0 s"),
        ({"timeout": float("inf")}, "the time limit is inf s"),
        ({"timeout": float("nan")}, "the time limit is nan s"),
        ({"engine": "slurm"}, "--engine is 'slurm'"),
        ({"address": "auto"}, "--address belongs to Ray"),
        ({"gpus_per_run": 1}, "--gpus-per-run belongs to Ray"),
        ({"engine": "ray", "gpus_per_run": -1}, "--gpus-per-run is -1"),
        ({"engine": "ray", "warm": True}, "--warm reuses a local kernel"),
    ],
)
def test_options_that_make_no_sense(options, says):
    usual = dict.fromkeys(("jobs", "threads", "timeout", "max_failures", "address", "gpus_per_run"))
    with pytest.raises(UsageError, match=re.escape(says)):
        check(**(usual | {"warm": False, "engine": "local"} | options))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-g", "concpet=01"], "did you mean concept?"),
        ([], "the grid is empty"),
        (["--seeds", "2", "--out", "s3://bucket/runs"], "--copy-to URL"),
        (["--seeds", "2", "--copy-to", "nowhere:/x"], "--copy-to 'nowhere:/x' cannot be used"),
        (["--seeds", "2", "--dry-run", "--print-commands"], "ask for one of them"),
    ],
)
def test_wrong_usage_is_one_sentence(swept, run_workbench, arguments, says):
    answer = run_workbench("sweep", swept[0], *arguments)
    assert answer.returncode == 2 and says in " ".join(re.sub("[│╭╮╰╯─]", " ", answer.stderr).split())
    assert "Traceback" not in answer.stderr


def test_a_large_grid_is_counted_first(swept, run_workbench, tmp_path):
    (tmp_path / "grid.yaml").write_text(json.dumps({"seeds": 5000, "grid": {"concept": ["01", "011"]}}))
    answer = run_workbench("sweep", swept[0], "--file", tmp_path / "grid.yaml", "--dry-run", "--out", tmp_path / "runs")
    assert answer.returncode == 0 and "warning: the grid has 10,000 cells" in answer.stderr
    assert "… and 9,988 more" in answer.stdout and not (tmp_path / "runs").exists()


def test_without_ray_the_install_command_is_told(swept, run_workbench, tmp_path):
    (tmp_path / "ray.py").write_text("raise ImportError('no ray here')")
    surroundings = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    grid = ["--seeds", "3", "--engine", "ray", "--out", tmp_path / "runs"]
    answer = run_workbench("sweep", swept[0], *grid, env=surroundings)
    assert answer.returncode == 2 and "pip install 'ray>=2.40'" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_a_sweep_runs_again_what_changed_under_it(tmp_path, run_workbench):
    """The cell over a folder whose weights changed is done anew; the others, and an unchanged folder, are skipped."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"a" * 100)
    notebook = write_notebook(tmp_path / "look.ipynb", "import workbench\nworkbench.record({'score': 1})")
    command = ["sweep", notebook, "-g", f"model={model},smollm2", "--out", tmp_path / "runs"]

    def done():
        answer = run_workbench(*command)
        assert answer.returncode == 0, answer.stderr
        return sorted(record.parameters["model"] for record in store.all_runs(tmp_path / "runs", "look"))

    assert done() == done() == sorted([str(model), "smollm2"])
    (model / "model.safetensors").write_bytes(b"b" * 100)
    assert done() == done() == sorted([str(model), str(model), "smollm2"])
    held = [list(record.contents.values()) for record in store.all_runs(tmp_path / "runs", "look")]
    assert sorted(map(len, held)) == [0, 1, 1] and len({tuple(values) for values in held}) == 3
