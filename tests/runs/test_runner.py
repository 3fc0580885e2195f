"""A notebook that runs, and every way in which one does not: done for real, and judged by what remains on disk."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from tiny_notebooks import write_notebook

from workbench.errors import RunError, UsageError
from workbench.runs.process.processes import of_run
from workbench.runs.process.runner import RESERVE, run
from workbench.runs.store import entry as store

ROOT = Path(__file__).resolve().parents[2]


def left_in(folder: Path) -> set[str]:
    """What a run left on disk; no temporary file and no reserve may be among it."""
    names = {path.name for path in folder.iterdir()}
    assert not [name for name in names if name.endswith(".tmp") or name == RESERVE], names
    return names


def check_end(record: store.Record, status: str) -> None:
    """A run that ended, however: its record on disk is what was returned, its pages are whole, its processes gone."""
    assert record.status == status, record.error
    assert store.load(record.folder) == record
    assert {"record.json", "notebook.ipynb", "report.html", "log.txt"} <= left_in(record.folder)
    nbformat.validate(nbformat.read(record.folder / "notebook.ipynb", as_version=4))
    page = (record.folder / "report.html").read_text()
    assert page.rstrip().endswith("</html>") and f">{status}<" in page
    assert of_run(str(record.folder)) == []


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One run that ends well, looked at by several tests."""
    folder = tmp_path_factory.mktemp("done")
    notebook = write_notebook(
        folder / "tiny.ipynb",
        "## Method",
        "import os, pathlib\nprint('concept', concept, sizes)",
        "out = pathlib.Path(os.environ['WORKBENCH_RUN_FOLDER'])\n"
        '(out / \'models.jsonl\').write_text(\'{"name": "smollm2", "sha256": "ab"}\\n\')\n'
        "block = bytearray(200_000_000)",
        "import workbench\nworkbench.record({'accuracy': 0.5, 'nan': float('nan')})",
    )
    return run(str(notebook), {"concept": "011", "sizes": "[3]"}, out=folder / "runs", progress=False)


def test_a_run_leaves_its_notebook_page_and_record(done):
    check_end(done, "done")
    assert done.error is None and done.exit_code == 0
    assert done.folder.parent.name == "tiny" and done.folder.name == done.id
    assert "concept 011 [3]" in (done.folder / "notebook.ipynb").read_text()
    assert (done.folder / "log.txt").read_text() == "", "neither the TCP warning nor the debugger may be in the log"


def test_the_record_says_with_what_and_on_what(done):
    raw = json.loads((done.folder / "record.json").read_text())
    assert raw["parameters"] == {
        "profile": "quick", "model": "smollm2", "bits": None, "base_url": None, "seed": 0, "concept": "011",
        "sizes": [3],
    }  # fmt: skip
    assert raw["given"] == ["concept", "sizes"] and raw["seed"] == 0
    assert raw["metrics"]["accuracy"]["value"] == 0.5
    assert raw["metrics"]["nan"]["value"] is None and raw["metrics"]["nan"]["note"] == "not a number"
    assert raw["models"] == [{"name": "smollm2", "sha256": "ab"}]
    assert raw["peak_memory_bytes"] > 200_000_000
    assert 0.3 < raw["cpu_seconds"] < 60 and 0.3 < raw["seconds"] < 60
    assert raw["versions"]["papermill"] and raw["python"] == sys.version.split()[0]
    assert raw["hardware"]["cores"] == len(os.sched_getaffinity(0)) and raw["hardware"]["memory_bytes"] > 1e8
    assert raw["started"] <= raw["ended"] and len(raw["notebook_sha256"]) == 64
    git = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True)
    if git.returncode == 0:
        assert len(raw["git"]["revision"]) == 40


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"concpet": "01"}, "did you mean concept?"),
        ({"seed": "many"}, "'seed' cannot be 'many'"),
        ({"sizes": "3"}, "'sizes' cannot be '3'"),
    ],
)
def test_wrong_parameters_start_and_leave_nothing(tmp_path, given, says):
    notebook = write_notebook(tmp_path / "tiny.ipynb", "raise SystemExit")
    with pytest.raises(UsageError) as caught:
        run(str(notebook), given, out=tmp_path / "runs")
    assert says in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_notebook_without_a_parameters_cell(tmp_path):
    notebook = write_notebook(tmp_path / "bare.ipynb", "1 + 1", parameters=None)
    with pytest.raises(UsageError, match=r"bare.ipynb has no cell tagged 'parameters'"):
        run(str(notebook), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_time_limit_must_be_positive(tmp_path):
    with pytest.raises(UsageError, match="time limit is 0 s"):
        run(str(write_notebook(tmp_path / "tiny.ipynb")), out=tmp_path / "runs", timeout=0)


def test_an_exception_in_a_cell(tmp_path):
    notebook = write_notebook(tmp_path / "bad.ipynb", "## Step two", "seed / 0", "print('never reached')")
    record = run(str(notebook), out=tmp_path / "runs", progress=False)
    check_end(record, "failed")
    assert record.error == "cell [2] (Step two) raised ZeroDivisionError: division by zero"
    assert record.exit_code == 1
    page = (record.folder / "report.html").read_text()
    assert "encountered an exception" not in page and 'href="#broken"' in page and 'id="broken"' in page
    assert "This run failed." in page and "ZeroDivisionError" in page and "Traceback" in page
    code = nbformat.read(record.folder / "notebook.ipynb", as_version=4).cells[-1]
    assert code.source == "print('never reached')" and code.outputs == []


def test_a_killed_kernel_is_a_failure_and_says_so(tmp_path):
    notebook = write_notebook(
        tmp_path / "oom.ipynb",
        "print('before')",
        "import os, signal, subprocess\n"
        "subprocess.Popen(['sleep', '300'], start_new_session=True)\n"  # what a killed kernel leaves behind
        "os.kill(os.getpid(), signal.SIGKILL)",
    )
    record = run(str(notebook), out=tmp_path / "runs", progress=False)
    check_end(record, "failed")
    assert "the kernel died while cell [3]" in record.error and "out of memory" in record.error
    assert "before" in (record.folder / "notebook.ipynb").read_text()


def test_a_time_limit_ends_a_run(tmp_path):
    notebook = write_notebook(tmp_path / "slow.ipynb", "import time\nprint('working', flush=True)\ntime.sleep(300)")
    start = time.monotonic()
    record = run(str(notebook), out=tmp_path / "runs", timeout=4, progress=False)
    assert time.monotonic() - start < 20
    check_end(record, "timed out")
    assert record.exit_code == 124 and record.error == "the run took longer than its limit of 4 s"


WAIT = (
    "import os, pathlib, subprocess, time\n"
    "other = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
    "pathlib.Path(os.environ['WORKBENCH_RUN_FOLDER'], 'here').write_text(f'{os.getpid()} {other.pid}')\n"
    "time.sleep(300)"
)


@pytest.fixture
def waiting(tmp_path):
    """A run of the command line that sits in a cell: (its process, its folder, the processes of its kernel)."""
    notebook = write_notebook(tmp_path / "wait.ipynb", "print('before')", WAIT)
    command = [sys.executable, "-m", "workbench", "run", str(notebook), "--out", str(tmp_path / "runs")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    try:
        for _ in range(600):
            found = list(tmp_path.glob("runs/wait/*/here"))
            if found and found[0].read_text().count(" ") == 1:
                break
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.1)
        kernel = [psutil.Process(int(pid)) for pid in found[0].read_text().split()]
        yield process, found[0].parent, kernel
    finally:
        process.kill()
        process.communicate()


def all_end(processes: list[psutil.Process], within: float) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("number", "says"), [(signal.SIGINT, "Ctrl-C"), pytest.param(signal.SIGTERM, "SIGTERM", marks=pytest.mark.slow)]
)
def test_ctrl_c_and_sigterm_end_a_run_cleanly(waiting, number, says):
    process, folder, kernel = waiting
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    record = store.load(folder)
    check_end(record, "interrupted")
    assert record.error == f"interrupted by {says}" and "Traceback" not in output
    assert all_end(kernel, 1)
    assert "before" in (folder / "notebook.ipynb").read_text()


def test_a_second_ctrl_c_waits_for_nobody(waiting):
    process, folder, kernel = waiting
    child = psutil.Process(process.pid).children()[0]
    child.suspend()  # it cannot answer the first request
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=8)
    assert process.returncode == 130 and store.load(folder).status == "interrupted"
    assert all_end([child, *kernel], 1)
    left_in(folder)


def test_a_killed_runner_takes_everything_with_it(waiting):
    process, folder, kernel = waiting
    everyone = psutil.Process(process.pid).children(recursive=True) + kernel
    assert store.load(folder).status == "running"
    process.kill()
    process.wait()
    assert all_end(everyone, 10), "the child, the kernel or what it had started survived the runner"
    assert json.loads((folder / "record.json").read_text())["status"] == "running"
    record = store.load(folder)
    assert record.status == "killed" and record.exit_code == 1 and str(process.pid) in record.error
    nbformat.validate(nbformat.read(folder / "notebook.ipynb", as_version=4))


@pytest.mark.slow
def test_a_killed_child_and_runner_leave_no_kernel(waiting):
    """Nobody is left to clean up: the kernel itself notices that its parent died."""
    process, _, kernel = waiting
    child = psutil.Process(process.pid).children()[0]
    process.send_signal(signal.SIGSTOP)
    child.kill()
    process.kill()
    assert all_end([kernel[0]], 10)
    if kernel[1].is_running():
        kernel[1].kill()  # started by the cell in a session of its own, out of anybody's reach by now


def test_a_killed_child_is_a_failure(waiting):
    process, folder, kernel = waiting
    psutil.Process(process.pid).children()[0].kill()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1, output
    record = store.load(folder)
    assert record.status == "failed" and "ended without an answer (signal 9)" in record.error
    assert all_end(kernel, 5)


FLAKY = """import pathlib, runpy, sys
mark = pathlib.Path(__file__).with_name("tried")
tries = mark.read_text() if mark.exists() else ""
mark.write_text(tries + "x")
if len(tries) < {failures}:
    sys.exit(3)
runpy.run_module("ipykernel_launcher", run_name="__main__")
"""


@pytest.mark.parametrize(("failures", "status"), [(1, "done"), pytest.param(2, "failed", marks=pytest.mark.slow)])
def test_a_kernel_that_does_not_start_is_tried_once_more(tmp_path, monkeypatch, failures, status):
    spec = tmp_path / "kernels" / "flaky"
    spec.mkdir(parents=True)
    (spec / "start.py").write_text(FLAKY.format(failures=failures))
    argv = [sys.executable, str(spec / "start.py"), "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "flaky", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    notebook = write_notebook(tmp_path / "tiny.ipynb", "1 + 1", kernel="flaky")
    record = run(str(notebook), out=tmp_path / "runs", progress=False)
    assert (spec / "tried").read_text() == "xx"
    check_end(record, status)
    if status == "failed":
        assert "the notebook's kernel did not start" in record.error


def test_an_unknown_kernel_falls_back_to_this_python(tmp_path):
    notebook = write_notebook(tmp_path / "tiny.ipynb", "import sys; print(sys.prefix)", kernel="somebody-elses")
    record = run(str(notebook), out=tmp_path / "runs", progress=False)
    check_end(record, "done")
    assert sys.prefix in (record.folder / "notebook.ipynb").read_text()


@pytest.mark.parametrize("where", ["under a file", "/proc"])
def test_an_output_folder_that_cannot_be_written(tmp_path, where):
    """Permissions do not stop root; a file in the way and /proc stop everybody."""
    (tmp_path / "file").write_text("")
    out = Path("/proc/nowhere") if where == "/proc" else tmp_path / "file" / "runs"
    notebook = write_notebook(tmp_path / "tiny.ipynb")
    with pytest.raises(RunError, match=r"cannot make the run's folder .*; choose another place with --out DIR"):
        run(str(notebook), out=out)
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.slow
def test_a_file_size_limit_is_one_sentence(tmp_path):
    """A quota, as far as a process can set itself one: the notebook with its output no longer fits."""
    notebook = write_notebook(tmp_path / "big.ipynb", "print('x' * 400_000)", "print('more')")
    script = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "sys.argv = ['workbench', 'run', sys.argv[1], '--out', sys.argv[2]]\nfrom workbench.cli import main\nmain()"
    )
    command = [sys.executable, "-c", script, str(notebook), str(tmp_path / "runs")]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    (record,) = store.all_runs(tmp_path / "runs")
    assert record.status == "failed"
    assert "cannot write" in record.error and "File too large" in record.error and "--out DIR" in record.error
    nbformat.validate(nbformat.read(record.folder / "notebook.ipynb", as_version=4))
    left_in(record.folder)


def on_small_disk(tmp_path, kilobytes: int, *cells: str) -> tuple[int, str, Path]:
    """Run a notebook on a file system of so many kilobytes: (exit code, standard error, a copy of what it left)."""
    notebook = write_notebook(tmp_path / "tiny.ipynb", *cells)
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    copy.mkdir()
    script = (
        f'mount -t tmpfs -o size={kilobytes}k tmpfs "$1" || exit 77\n'
        '"$2" -m workbench run "$3" --out "$1/runs"\ncode=$?\ncp -a "$1/." "$4"\nexit $code'
    )
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    command = [*unshare, "sh", "-c", script, "sh", str(disk), sys.executable, str(notebook), str(copy)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=90)
    except FileNotFoundError:
        pytest.skip("a small file system cannot be mounted here")
    if ended.returncode == 77 or "unshare:" in ended.stderr:
        pytest.skip("a small file system cannot be mounted here")
    return ended.returncode, ended.stderr, copy


def test_a_disk_that_fills_up_during_a_run(tmp_path):
    fill = (
        "import os, pathlib\npath = pathlib.Path(os.environ['WORKBENCH_RUN_FOLDER'], 'big.bin')\n"
        "try:\n    with open(path, 'wb', buffering=0) as file:\n"
        "        while file.write(bytes(4096)):\n            pass\n"
        "except OSError as error:\n    print(error)"
    )
    code, stderr, copy = on_small_disk(tmp_path, 700, fill, "print('after')")
    assert code == 1 and "Traceback" not in stderr
    (record,) = store.all_runs(copy / "runs")
    assert record.status == "failed" and "No space left on device" in record.error, (record, stderr)
    assert record.ended and record.seconds > 0
    nbformat.validate(nbformat.read(copy / "runs" / "tiny" / record.id / "notebook.ipynb", as_version=4))
    left_in(copy / "runs" / "tiny" / record.id)


def test_a_disk_that_is_full_from_the_start(tmp_path):
    code, stderr, copy = on_small_disk(tmp_path, 40, "print('never')")
    assert code == 1 and "No space left on device" in stderr and "Traceback" not in stderr
    assert len(stderr.strip().splitlines()) == 1
    assert not [path for path in copy.rglob("*") if path.is_file()]


def test_a_long_cell_tells_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("workbench.runs.process.progress.QUIET_SECONDS", 0.4)
    notebook = write_notebook(
        tmp_path / "slow.ipynb",
        "## Waiting",
        "import time\nfor step in range(3):\n    print(f'\\x1b[31mstep {step + 1} of 3')\n    time.sleep(1.1)",
        "## Counting",
        "from tqdm.auto import tqdm\nfor _ in tqdm(range(3), leave=False):\n    time.sleep(1.1)",
    )
    assert run(str(notebook), {}, out=tmp_path / "runs").status == "done"
    said = capsys.readouterr().err
    assert re.search(r"slow: in cell 2/3, .*: Waiting: step [23] of 3\n", said), said
    assert re.search(r"slow: in cell 3/3, .*: Counting: .*[12]/3 \[00:0\d<00:0\d,", said), said
    assert "\x1b" not in said, "what a cell prints may not steer the terminal"


def test_a_relative_path_means_where_the_command_was_typed(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("my own rows")
    notebook = write_notebook(
        (tmp_path / "elsewhere").mkdir() or tmp_path / "elsewhere" / "tiny.ipynb",
        "from workbench.files import user_path\nprint(user_path('mine.txt').read_text())",
    )
    monkeypatch.chdir(tmp_path)
    record = run(str(notebook), {}, out=tmp_path / "runs", progress=False)
    assert record.status == "done" and "my own rows" in (record.folder / "notebook.ipynb").read_text()
