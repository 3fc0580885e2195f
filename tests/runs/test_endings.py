"""How a run may end: done means that every cell ran, and nothing that a cell does ends more than its own run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from test_runner import check_end
from tiny_notebooks import write_notebook

import workbench
from workbench.errors import UsageError
from workbench.runs.process import processes
from workbench.runs.process.runner import run
from workbench.runs.store import entry as store
from workbench.runs.store.metrics import Stopped
from workbench.runs.sweep.driver import sweep
from workbench.runs.sweep.grid import build
from workbench.runs.sweep.locks import Claim

ROOT = Path(__file__).resolve().parents[2]
HERE = "import os, pathlib; here = pathlib.Path(os.environ['WORKBENCH_RUN_FOLDER'])\n"


def made(tmp_path, *cells, name="n", **options) -> store.Record:
    return run(
        str(write_notebook(tmp_path / f"{name}.ipynb", *cells)), out=tmp_path / "runs", progress=False, **options
    )


@pytest.mark.parametrize(
    "cell",
    [
        "import sys; sys.exit(0)",
        "exit()",
        "import os; os._exit(0)",
        *(
            pytest.param(cell, marks=pytest.mark.slow)
            for cell in ("quit()", "raise SystemExit", "import sys; sys.exit(None)", "get_ipython().ask_exit()")
        ),
    ],
)
def test_a_notebook_that_ends_early_is_not_done(tmp_path, cell):
    record = made(tmp_path, "print('first')", "## Leaving", cell, "print('never')", "## The end", "print('never')")
    check_end(record, "ended early")
    assert record.error.startswith("cell [3] (Leaving) ended the notebook before its end"), record.error
    assert "2 later cell(s) never ran" in record.error and "workbench.stop" in record.error
    assert record.exit_code == 1 and record.cause == "experiment" and not record.counts
    assert "first" in str(outputs(record)) and "never" not in str(outputs(record))


def outputs(record) -> list:
    notebook = nbformat.read(record.folder / "notebook.ipynb", as_version=4)
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_leaving_in_the_last_cell(tmp_path):
    """exit() does not keep its own cell from running to its end; sys.exit does."""
    check_end(made(tmp_path, "exit()", name="a"), "done")
    check_end(made(tmp_path, "import sys; sys.exit(0); print('never')", name="b"), "ended early")
    record = made(tmp_path, "import sys; sys.exit(3)", "1", name="c")
    check_end(record, "failed")
    assert "SystemExit: 3" in record.error
    record = made(tmp_path, "class Stopped(BaseException): pass\nraise Stopped('x')", name="d")
    check_end(record, "failed")  # the name alone is not ours


def test_a_notebook_may_stop_on_purpose(tmp_path):
    """A sweep counts a stopped cell as finished if the notebook says so, and else runs it again."""
    code = (
        "import workbench\ntry:\n    workbench.stop(f'seed {seed}\\nis known', finished=seed == 1)\n"
        "except Exception:\n    print('it is no error')"
    )
    notebook = write_notebook(tmp_path / "stops.ipynb", "## Looking", code, "print('went on')")
    grid = build(str(notebook), [], seeds=2)
    for number, (done, before) in enumerate([(1, 0), (0, 1)]):
        summary = sweep(grid, out=tmp_path / "runs", jobs=2, progress=False)
        assert (summary.done, summary.before, summary.exit_code, summary.left) == (done, before, 1, 0)
        assert not summary.failed
        ((cell, outcome),) = summary.halted
        assert cell.values == {"seed": 0} and outcome.error == "stopped in cell [3] (Looking): seed 0 is known"
        records = store.all_runs(tmp_path / "runs")
        assert len(records) == 2 + number
    by_seed = {record.seed: record for record in records}
    check_end(by_seed[0], "stopped")
    assert (by_seed[0].finished, by_seed[0].exit_code, by_seed[1].finished, by_seed[1].exit_code) == (False, 1, True, 0)
    assert by_seed[1].error == "stopped in cell [3] (Looking): seed 1 is known" and by_seed[1].counts
    assert not list(tmp_path.rglob("stop.json")) and "was stopped by its notebook" in by_seed[0].report.read_text()
    assert "went on" not in str(outputs(by_seed[0])) and "no error" not in str(outputs(by_seed[0]))


def test_a_stop_that_is_swallowed_is_none(tmp_path):
    code = "import workbench\ntry:\n    workbench.stop('why')\nexcept BaseException:\n    pass"
    record = made(tmp_path, code, "print('went on')")
    check_end(record, "done")
    assert record.error is None and not list(tmp_path.rglob("stop.json"))


def test_stop_outside_a_run_is_an_exception_that_nobody_catches_by_chance(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_RUN_FOLDER", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Stopped, match="no GPU here"):
        try:
            workbench.stop("no GPU here")
        except Exception:
            pytest.fail("it is no error")
    for why in ("", "  ", None):
        with pytest.raises(UsageError, match="give a short sentence"):
            workbench.stop(why)
    assert list(tmp_path.iterdir()) == []


def test_cells_tagged_skip_are_left_out_and_said(tmp_path):
    path = write_notebook(tmp_path / "skip.ipynb", "## Look", "1 / 0", "## Go on", "print('went on')")
    notebook = json.loads(path.read_text())
    notebook["cells"][3]["metadata"]["tags"] = ["skip"]
    path.write_text(json.dumps(notebook))
    record = run(str(path), {"seed": 1}, out=tmp_path / "runs", progress=False)
    check_end(record, "done")
    assert record.skipped == ["code cell 2 (Look)"]
    assert "Left out for the tag skip: code cell 2 (Look)." in record.report.read_text()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("(here / 'metrics.json').write_text('[]')", "metrics.json is not what workbench.record() writes"),
        ("(here / 'metrics.json').mkdir(); os.mkfifo(here / 'models.jsonl')", "a folder or a device, no plain file"),
        pytest.param(
            "(here / 'metrics.json').write_text('{\"metrics\": {\"a\": {\"value\": NaN}}}')", "NaN",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "(here / 'metrics.json').symlink_to('/etc/hostname')", "not the run's own", marks=pytest.mark.slow
        ),
    ],
)  # fmt: skip
def test_what_a_cell_writes_under_our_names_costs_its_numbers_only(tmp_path, code, says):
    record = made(tmp_path, HERE + code)
    assert record.status == "done" and says in record.error and record.metrics == {} and record.ended
    assert store.load(record.folder) == record


def test_a_sweep_goes_on_whatever_a_cell_does_to_its_folder(tmp_path):
    code = HERE + (
        "if seed == 0:\n    (here / 'record.json').unlink(); (here / 'record.json').mkdir()\n"
        'if seed == 1:\n    (here / \'models.jsonl\').write_text(\'[1]\\n{"name": NaN}\\n{"name": "m"}\\n\\xff\')\n'
        "if seed == 2:\n    (here.parent / '.cells').chmod(0o700); (here / 'notebook.ipynb').unlink()\n"
        "    (here / 'notebook.ipynb').mkdir()\n"
        "import workbench; workbench.record({'seed': seed, 'huge': 10**400})"
    )
    notebook = write_notebook(tmp_path / "wild.ipynb", code)
    summary = sweep(build(str(notebook), [], seeds=4), out=tmp_path / "runs", jobs=2, progress=False)
    assert summary.done == 3 and [cell.values["seed"] for cell, _ in summary.failed] == [2] and not summary.stopped
    records = {record.seed: record for record in store.all_runs(tmp_path / "runs") if record.status == "done"}
    assert [record.metrics["seed"]["value"] for record in records.values()] == list(records)
    assert records[1].models == [{"name": None}, {"name": "m"}]
    assert records[3].metrics["huge"]["value"] is None and "1.8e308" in records[3].metrics["huge"]["note"]


def test_an_exception_in_a_worker_is_a_failed_cell(tmp_path, monkeypatch):
    """A defect of ours in one cell is not the end of the sweep around it."""
    from workbench.runs.sweep import cell as attempt

    real = attempt.execute

    def broken(notebook, values, **options):
        if values["seed"] == 0:
            raise KeyError("a defect")
        return real(notebook, values, **options)

    monkeypatch.setattr(attempt, "execute", broken)
    notebook = write_notebook(tmp_path / "n.ipynb", "print(seed)")
    summary = sweep(build(str(notebook), [], seeds=2), out=tmp_path / "runs", progress=False)
    ((cell, outcome),) = summary.failed
    assert cell.values == {"seed": 0} and "KeyError: 'a defect'" in outcome.error and summary.done == 1


ORPHAN = (
    "import subprocess, sys\n"
    "code = 'import subprocess; quiet = dict(env={}, start_new_session=True, stdout=subprocess.DEVNULL)\\n'\n"
    'code += \'print(subprocess.Popen(["sleep", "600"], **quiet).pid)\'\n'
    "made = subprocess.run([sys.executable, '-S', '-c', code], env={}, start_new_session=True, stdout=-1)\n"
    "(here / 'orphan').write_bytes(made.stdout)"
)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans on")
def test_no_process_outlives_its_run_even_without_an_environment(tmp_path):
    """Its parent has ended, its session is its own, its environment is empty: all ties that can be cut are cut."""
    record = made(tmp_path, HERE + ORPHAN)
    assert record.status == "done", record.error
    assert gone(int((record.folder / "orphan").read_text()))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans on")
def test_not_even_a_warm_kernels_run(tmp_path):
    notebook = write_notebook(tmp_path / "w.ipynb", HERE + ORPHAN)
    summary = sweep(build(str(notebook), [], seeds=2), out=tmp_path / "runs", warm=True, progress=False)
    pids = [int(path.read_text()) for path in tmp_path.glob("runs/w/*/orphan")]
    assert summary.done == 2 and len(pids) == 2 and all(map(gone, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans on")
@pytest.mark.parametrize("who", ["child", *(pytest.param(who, marks=pytest.mark.slow) for who in ("runner", "kernel"))])
def test_not_even_when_somebody_is_killed(tmp_path, who):
    notebook = write_notebook(tmp_path / "n.ipynb", HERE + ORPHAN, "import time; time.sleep(300)")
    command = [sys.executable, "-m", "workbench", "run", str(notebook), "--out", str(tmp_path / "runs")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            found = [path.read_text() for path in tmp_path.glob("runs/n/*/orphan")]
            if found and found[0].strip():
                break
            time.sleep(0.1)
        orphan = int(found[0])
        assert not gone(orphan)
        child = psutil.Process(process.pid).children()[0]
        victim = {"runner": process.pid, "child": child.pid, "kernel": child.children()[0].pid}[who]
        os.kill(victim, signal.SIGKILL)
        for _ in range(100):
            if gone(orphan):
                break
            time.sleep(0.1)
        assert gone(orphan)
    finally:
        process.kill()
        process.wait()


def test_a_step_of_the_clock_kills_nobody(tmp_path, monkeypatch):
    """psutil adds the boot's wall-clock time to a process's start: moved by 5 s or an hour it says another time."""
    here = processes.this_process()
    real = psutil.Process.create_time
    for shift in (5, -5, 3600, -3600):
        monkeypatch.setattr(
            psutil.Process, "create_time", lambda self, *a, shift=shift, **k: real(self, *a, **k) + shift
        )
        if hasattr(psutil, "boot_time"):
            monkeypatch.setattr(psutil, "boot_time", lambda shift=shift: 1e9 + shift)
        assert psutil.Process().create_time() != pytest.approx(time.time(), abs=1)
        assert not processes.gone(here) and processes.this_process() == here
    assert processes.gone(here | {"created": here["created"] + 5})
    assert processes.gone(here | {"pid": 2**22 + 1}) and processes.gone(here | {"pid": None})
    assert processes.gone({}) and processes.gone(here | {"pid": 10**30})
    sleeper = subprocess.Popen(["sleep", "60"])
    created = processes.started(sleeper.pid)
    sleeper.kill()
    time.sleep(0.2)  # not waited for: a zombie is gone as well
    assert processes.gone(here | {"pid": sleeper.pid, "created": created})
    sleeper.wait()


@pytest.mark.parametrize("kind", ["cell", "warm worker"])
def test_nobody_is_killed_whose_cells_lock_is_held(tmp_path, kind):
    """Whatever its runner seems to be: a lock that is held says that somebody is at work."""
    dead = processes.this_process() | {"pid": 2**22 + 1}
    folder = tmp_path / "n" / ("20261130-000000-abcd" if kind == "cell" else ".warm-1-2")
    key = "k" * 20 if kind == "cell" else folder.name
    orphan = subprocess.Popen(
        ["sleep", "60"], env={processes.RUN_FOLDER: str(folder), processes.RUNNER: json.dumps(dead)}
    )
    try:
        with Claim(tmp_path, "n", key) as claim:
            claim.note(folder.name)
            assert processes.reap(tmp_path) == 0 and orphan.poll() is None
            if kind == "cell":
                claim.note("20261130-000001-abcd")  # the holder is at another attempt by now
                assert processes.reap(tmp_path) == 1
        if kind == "warm worker":
            assert processes.reap(tmp_path) == 1
        assert orphan.wait(timeout=5) == -signal.SIGKILL
    finally:
        orphan.kill()
        orphan.wait()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-16-le"])
def test_a_notebook_in_another_encoding(tmp_path, encoding):
    from workbench.runs.notebook.notebook import read

    path = write_notebook(tmp_path / "n.ipynb", "print('gr\u00fc\u00df')")
    text = path.read_text("utf-8").replace("\\u00fc", "\u00fc")
    path.write_bytes(text.encode(encoding))
    assert "grüß" in json.loads(read(str(path)).text)["cells"][2]["source"]
    if encoding == "utf-16":
        record = run(str(path), out=tmp_path / "runs", progress=False)
        assert record.status == "done" and "grüß" in (record.folder / "notebook.ipynb").read_text("utf-8")


def test_a_notebook_with_nulls_where_jupyter_has_values(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", "print('ran')")
    notebook = json.loads(path.read_text())
    notebook["metadata"] = None
    del notebook["nbformat_minor"]
    notebook["cells"][0]["metadata"] = {"tags": None}
    notebook["cells"][2] |= {"metadata": {"tags": None}, "outputs": None}
    del notebook["cells"][2]["execution_count"]
    notebook["cells"].append({"cell_type": "code", "source": None})
    path.write_text(json.dumps(notebook))
    record = run(str(path), {"seed": 3}, out=tmp_path / "runs", progress=False)
    check_end(record, "done")
    assert "ran" in (record.folder / "notebook.ipynb").read_text()


def test_a_notebook_that_other_tools_have_written_into(tmp_path):
    """What nobody here needs stops neither the run nor its page; and an error that its cell's tag allows is none."""
    path = write_notebook(tmp_path / "n.ipynb", "raise ValueError('meant')", "print('ran')", "print('too')")
    notebook = json.loads(path.read_text()) | {"nbformat": 4.0, "more": 1}
    notebook["metadata"] |= {"title": 5, "authors": "x", "widgets": {"a": 5}, "papermill": [1], "orig_nbformat": -1}
    for cell, name in zip(notebook["cells"], ("a/ b", None, "", "a" * 65, 3), strict=True):
        cell["id"] = name
    notebook["cells"][0] |= {"attachments": {"a": 1}, "outputs": []}
    notebook["cells"][2]["metadata"] = {"tags": ["raises-exception", "b", "b", "a,b"], "jupyter": 1, "collapsed": "x"}
    notebook["cells"][3] |= {"outputs": [{"output_type": "display_data", "data": 5}], "metadata": {"execution": 5}}
    path.write_text(json.dumps(notebook))
    record = run(str(path), {"seed": 3}, out=tmp_path / "runs", progress=False)
    assert (
        record.status == "done"
        and record.error is None
        and "meant" in record.report.read_text()
        and "too" in record.report.read_text()
    )
    assert "An Exception was encountered" not in (record.folder / "notebook.ipynb").read_text()
    notebook["metadata"]["deep"] = json.loads("[" * 500 + "]" * 500)
    path.write_text(json.dumps(notebook))
    with pytest.raises(UsageError, match="is not a version 4 notebook"):
        run(str(path), out=tmp_path / "runs", progress=False)


@pytest.mark.slow
def test_deaths_and_errors_have_their_own_names(tmp_path):
    record = made(tmp_path, "raise ExceptionGroup('several', [ValueError(1)])", name="a")
    assert "raised ExceptionGroup: several" in record.error and record.cause == "experiment"
    for number, said in (
        (signal.SIGTERM, "SIGTERM: sent from"),
        (signal.SIGSEGV, "SIGSEGV: native"),
        (40, "of no name"),
    ):
        cell = f"import os, time; os.kill(os.getpid(), {int(number)}); time.sleep(5)"
        record = made(tmp_path, cell, name=f"s{int(number)}")
        check_end(record, "failed")
        assert said in record.error, record.error


def test_a_wrong_notebook_is_no_failure_of_the_infrastructure(tmp_path):
    """What papermill stumbles over is in the notebook: it is not tried twice."""
    path = write_notebook(tmp_path / "n.ipynb", "print('ran')")
    notebook = json.loads(path.read_text())
    notebook["metadata"]["kernelspec"]["language"] = "cobol"
    path.write_text(json.dumps(notebook))
    summary = sweep(build(str(path), [], seeds=1), out=tmp_path / "runs", progress=False)
    (record,) = store.all_runs(tmp_path / "runs")
    assert len(summary.failed) == 1 and record.status == "failed" and record.cause == "experiment"
    assert "cannot be executed as it is" in record.error and "cobol" in record.error
