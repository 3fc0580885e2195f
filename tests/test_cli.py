"""The command line: fast, helpful, honest in its exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "runs"))
from tiny_notebooks import write_notebook  # noqa: E402

COMMANDS = ["list", "params", "run", "sweep", "reproduce", "runs", "rerun", "diff", "report", "slides", "doctor",
            "cache", "lab"]  # fmt: skip
HEAVY = {
    "ray",
    "mlflow",
    "pyarrow",
    "torch",
    "transformers",
    "papermill",
    "nbconvert",
    "matplotlib",
    "sklearn",
    "scipy",
    "pandas",
    "bitsandbytes",
}


FORKS = """
import json, os, sys
from workbench.cli import main
codes = []
for number, words in enumerate(json.loads(sys.argv[1])):
    if (child := os.fork()) == 0:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{sys.argv[2]}/{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        sys.argv = ["workbench", *words]
        main()
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""


def answers(folder: Path, calls: list[list[str]]) -> list[subprocess.CompletedProcess]:
    """What commands say: the entry point, imported once, in a fork for each."""
    command = [sys.executable, "-c", FORKS, json.dumps(calls), str(folder)]
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, env=wide)
    said = [[(folder / f"{number}.{name}").read_text() for name in ("out", "err")] for number in range(len(calls))]
    return [subprocess.CompletedProcess(*one) for one in zip(calls, json.loads(done.stdout), *zip(*said), strict=True)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    source = "import workbench\nprint('model', model, bits)\nworkbench.record({'score': seed / 4})"
    return write_notebook(folder / "tiny.ipynb", source)


def loaded(code: str) -> tuple[set[str], float]:
    """The heavy packages that some code imports in a fresh Python, and its CPU seconds."""
    tail = f"import sys, time, json; print(json.dumps([sorted({HEAVY!r} & set(sys.modules)), time.process_time()]))"
    answer = subprocess.run([sys.executable, "-c", f"{code}\n{tail}"], capture_output=True, text=True, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    names, seconds = json.loads(answer.stdout.splitlines()[-1])
    return set(names), seconds


def test_importing_the_package_is_light():
    heavy, seconds = loaded("import workbench")
    assert not heavy and seconds < 0.3


@pytest.mark.parametrize(
    "code",
    [
        "import workbench.cli",
        "import workbench.runs.process.runner, workbench.runs.store.metrics",
        "import workbench.runs.report.index, workbench.runs.store.compare",
        "import workbench.runs.sweep.driver, workbench.runs.sweep.ray",
        "import workbench.runs.sweep.sinks, workbench.runs.sweep.grid",
        "import workbench.doctor",
        "from workbench.papers import PAPERS; from workbench.profiles import of_paper\n"
        "assert sum(of_paper(paper.name) is not None for paper in PAPERS) >= 6",
        "import workbench.models.files.cache, workbench.runs.report.page",
        "from typer.testing import CliRunner; from workbench.cli import app; CliRunner().invoke(app, ['list'])",
    ],
)
def test_nothing_light_imports_anything_heavy(code):
    assert loaded(code)[0] == set()


def test_help_teaches_with_examples(run_workbench, tmp_path):
    top = run_workbench("--help")
    assert top.returncode == 0 and all(command in top.stdout for command in COMMANDS)
    said = answers(tmp_path, [[command, "--help"] for command in COMMANDS])
    for command, answer in zip(COMMANDS, said, strict=True):
        assert answer.returncode == 0
        assert command == "cache" or f"workbench {command}" in answer.stdout, command


def test_version_and_an_installation_without_notebooks(run_workbench, tmp_path):
    assert re.match(r"workbench \d+\.\d+", run_workbench("--version").stdout)
    shutil.copytree(ROOT / "workbench", tmp_path / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    installed = {"cwd": tmp_path, "env": {"PYTHONPATH": str(tmp_path)}}
    listed, run = run_workbench("list", **installed), run_workbench("run", "rain", **installed)
    assert listed.returncode == 0 and "missing" in listed.stdout and run.returncode == 2
    for said in (listed.stderr, run.stderr):
        assert f"{tmp_path / 'notebooks'} is missing" in said and "clone the repository" in said


def test_a_typo_in_a_parameter_fails_fast_and_names_it(run_workbench, tiny):
    notebook = "randomness" if (ROOT / "notebooks" / "randomness.ipynb").exists() else tiny
    before = os.times()
    answer = run_workbench("run", notebook, "-p", "concpet=01")
    after = os.times()  # CPU seconds, which a busy machine does not stretch as it does the clock's
    assert after.children_user + after.children_system - before.children_user - before.children_system < 3
    assert answer.returncode == 2 and answer.stdout == ""
    assert "'concpet' is not a parameter of" in answer.stderr and "did you mean concept?" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


WRONG = [
    (["run", "randomnes"], "'randomnes' is not a paper"),
    (["run", "nowhere.ipynb"], "there is no notebook at nowhere.ipynb"),
    (["run", "{tiny}", "--bits", "four"], "'bits' cannot be 'four': expected a whole number or null"),
    (["run", "{tiny}", "-p", "seed"], "-p 'seed' is not of the form name=value"),
    (["run", "{tiny}", "--seed", "1", "-p", "seed=2"], "'seed' is given twice"),
    (["run", "{tiny}", "--revision", "main"], "'revision' is not a parameter of tiny.ipynb"),
    (["params", "rain.ipynb"], "there is no notebook"),
    (["rerun", "2001", "--out", "{out}"], "'2001' is not a run in"),
    (["report", "--open", "maybe", "--out", "{out}"], "--open is 'maybe'"),
    (["nonsense"], "No such command 'nonsense'"),
    (["run"], "Missing argument"),
]


def test_wrong_usage_is_exit_code_2_and_one_sentence(tiny, tmp_path):
    calls = [[argument.format(tiny=tiny, out=tmp_path / "runs") for argument in arguments] for arguments, _ in WRONG]
    for answer, (_, says) in zip(answers(tmp_path, calls), WRONG, strict=True):
        assert answer.returncode == 2, answer
        assert says in " ".join(re.sub(r"[│╭╮╰╯─]", " ", answer.stderr).split()), answer
        assert "Traceback" not in answer.stderr, answer


def test_debug_shows_the_traceback(run_workbench):
    answer = run_workbench("--debug", "params", "nowhere.ipynb")
    assert answer.returncode != 0 and "Traceback" in answer.stderr and "UsageError" in answer.stderr


def test_list_and_params(run_workbench, tiny):
    from workbench.papers import PAPERS

    listed = run_workbench("list").stdout
    assert all(paper.name in listed for paper in PAPERS) and len(PAPERS) == 11
    shown = run_workbench("params", tiny).stdout
    assert re.search(r"bits +int \| None +null +4 or 8", shown) and "concept" in shown
    for paper, takes, not_taken in (("rain", "smollm2", "minilm"), ("kbert", "minilm", "smollm2")):
        ends = run_workbench("params", paper).stdout.partition("set one with -p")[2]
        assert takes in ends and not_taken not in ends, "only models that the paper can take"


def test_run_runs_report_rerun(run_workbench, tiny, tmp_path):
    """The way a user goes: run, look, list, report, repeat."""
    out = ["--out", tmp_path / "runs"]
    ran = run_workbench("run", tiny, "--bits", "4", "-m", "gemma3-270m", "-s", "3", *out)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"score +0.75", ran.stdout)
    page = Path(re.search(r"^report: (.+)$", ran.stdout, re.MULTILINE).group(1))
    assert page.is_file() and "model gemma3-270m 4" in page.read_text()
    identity = page.parent.name
    listed = run_workbench("runs", *out).stdout
    assert re.search(rf"{identity} +tiny +done .* bits=4 model=gemma3-270m seed=3 +score=0.75", listed)
    assert "no runs of other" in run_workbench("runs", "other", *out).stdout
    again = run_workbench("rerun", identity[:18], *out)
    assert again.returncode == 0 and f"all 1 metrics are the same as in {identity}" in again.stdout
    tiny.write_text(tiny.read_text().replace("seed / 4", "seed / 5"))
    third = run_workbench("rerun", "last", *out)
    assert third.returncode == 0 and re.search(r"metric +score +0.75 +0.6", third.stdout)
    assert re.search(r"code +notebook", third.stdout) and "1 metric(s) differ" in third.stdout
    reported = run_workbench("report", "--open", "no", *out)
    assert reported.returncode == 0 and (tmp_path / "runs" / "index.html").is_file()
    assert len(list((tmp_path / "runs" / "tiny").iterdir())) == 3


def test_a_failed_run_exits_with_1_and_a_timeout_with_124(run_workbench, tmp_path):
    bad = write_notebook(tmp_path / "bad.ipynb", "raise ValueError('as asked')")
    answer = run_workbench("run", bad, "--out", tmp_path / "runs")
    assert (
        answer.returncode == 1 and "raised ValueError: as asked" in answer.stderr and "Traceback" not in answer.stderr
    )
    slow = write_notebook(tmp_path / "slow.ipynb", "import time; time.sleep(60)")
    answer = run_workbench("run", slow, "--timeout", "3", "--out", tmp_path / "runs")
    assert answer.returncode == 124 and "longer than its limit of 3 s" in answer.stderr


def test_unwritable_output_exits_with_1(run_workbench, tiny):
    answer = run_workbench("run", tiny, "--out", "/proc/nowhere")
    assert answer.returncode == 1 and len(answer.stderr.strip().splitlines()) == 1


def test_doctor_finds_this_machine_able(run_workbench):
    answer = run_workbench("doctor")
    assert answer.returncode == 0, answer.stdout
    for name in ("python", "packages", "memory", "jupyter kernel", "model smollm2", "added models", "cache", "torch"):
        assert re.search(rf"^(ok|missing|note) +{name} ", answer.stdout, re.MULTILINE), name
    assert re.search(r"^ok +bitsandbytes +a 4-bit layer computed on (cpu|cuda), \d+% off", answer.stdout, re.MULTILINE)


@pytest.mark.parametrize("content", ["{", "[]", '{"argv": []}', '{"argv": [1]}', "[" * 9999, b"\xff"])
def test_a_broken_kernel_is_found_by_the_doctor_and_not_its_end(tmp_path, monkeypatch, content):
    from workbench.doctor import examine

    (tmp_path / "kernels" / "python3").mkdir(parents=True)
    path = tmp_path / "kernels" / "python3" / "kernel.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    lines = []
    for line in examine():  # the slow ones come last
        lines.append(line)
        if line.name == "encoder minilm":
            break
    (kernel,) = [line for line in lines if line.name == "jupyter kernel"]
    assert kernel.state == "bad" and str(path) in kernel.what and "ipykernel install" in kernel.advice


def test_doctor_says_what_to_do(run_workbench, tmp_path):
    """No git, no chromium, a cache nobody can write to, and a Python without torch."""
    (tmp_path / "torch.py").write_text("raise ImportError('torch is broken here')")
    surroundings = {"PATH": str(tmp_path), "WORKBENCH_CACHE": "/proc/nowhere", "PYTHONPATH": str(tmp_path)}
    answer = run_workbench("doctor", env=surroundings)
    assert answer.returncode == 1 and "nothing runs before this is mended: torch" in answer.stdout
    assert re.search(r"^bad +torch +torch cannot be imported: .*torch is broken here", answer.stdout, re.MULTILINE)
    assert re.search(r"^missing +git .*\n +-> apt install git", answer.stdout, re.MULTILINE)
    assert re.search(r"^missing +cache .*\n +-> set WORKBENCH_CACHE", answer.stdout, re.MULTILINE)
    assert "Traceback" not in answer.stderr


def test_cache_list_and_clear(run_workbench, tmp_path):
    surroundings = {"WORKBENCH_CACHE": str(tmp_path)}
    assert f"the cache in {tmp_path} is empty" in run_workbench("cache", "list", env=surroundings).stdout
    answer = run_workbench("cache", "clear", env=surroundings)
    assert answer.returncode == 0 and "freed 0 MB" in answer.stdout


def test_lab_listens_on_loopback_behind_a_token(tmp_path):
    import signal
    import urllib.error
    import urllib.request

    command = [sys.executable, "-m", "workbench", "lab", "--no-browser"]
    log = tmp_path / "log"
    with open(log, "w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, cwd=tmp_path, env=os.environ)
    try:
        found = None
        for _ in range(300):
            found = re.search(r"http://127\.0\.0\.1:(\d+)\S*token=([\w-]+)", log.read_text())
            if found or server.poll() is not None:
                break
            time.sleep(0.2)
        assert found, log.read_text()
        port, token = found.groups()
        assert len(token) >= 32 and not re.search(r"http://(?!127\.0\.0\.1|localhost)[\w.]+:\d+", log.read_text())
        seen = " ".join(psutil.Process(server.pid).cmdline())
        assert token not in seen, "other users of the machine can read a command line"
        for _ in range(150):
            if "is running at" in log.read_text():
                break
            time.sleep(0.2)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/contents", timeout=20)
        assert refused.value.code == 403
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/api/contents?token={token}", timeout=20)
        assert {"notebooks", "work"} <= {item["name"] for item in json.load(page)["content"]}
        kept = f"http://127.0.0.1:{port}/lab/api/settings/@jupyter-widgets/jupyterlab-manager:plugin?token={token}"
        assert (
            json.load(urllib.request.urlopen(kept, timeout=20))["schema"]["properties"]["saveState"]["default"] is True
        )
        search = psutil.Process(server.pid).environ()["PATH"]
        assert search.split(os.pathsep)[0] == os.path.dirname(sys.executable), "!workbench in a cell is found"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
