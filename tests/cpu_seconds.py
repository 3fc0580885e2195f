"""`pytest --cpu FILE`: the CPU seconds of every test, its child processes included, as JSON, and minutes by kind.

A wall clock says little on a shared machine; CPU seconds repeat to about a tenth. What a test's processes used counts
while they live (psutil) and after they were waited for (os.times), so a JupyterLab that lives for a whole session is
charged test by test. Set-up and tear-down belong to the test that caused them.
"""

import json
import os
import re
from pathlib import Path

import psutil
import pytest

# The first pattern that is found in a test's id names its kind.
KINDS = {
    r"^tests/browser/": "browser",
    r"^tests/models/test_(zoo|zoo_inside)\.py": "zoo",
    r"^tests/papers/test_reprover_(hostile|disguise|stranger|judge|safety)\.py": "hostile Lean",
    r"^tests/runs/test_(chaos|ray)\.py": "chaos and Ray",
    r"^tests/models/test_(remote\w*|hub)\.py": "servers",
    r"^tests/papers/test_(papers|notebook_runs)\.py|^tests/test_notebooks\.py": "notebooks",
    r"^tests/models/": "models",
    r"^tests/runs/|^tests/test_cli\.py": "runs",
    r"^tests/papers/": "papers",
}


def kind(name: str) -> str:
    """The kind of a test, by its id."""
    return next((kind for pattern, kind in KINDS.items() if re.search(pattern, name)), "the rest")


def used() -> float:
    """CPU seconds of this process, of its children, and of theirs."""
    seconds = sum(os.times()[:4])
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has ended since it was listed: os.times counts it from here on
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


class CpuSeconds:
    """The plugin: a worker measures and puts the seconds on the report of the tear-down; the controller adds up."""

    def __init__(self, file: Path | None):
        self.file, self.seconds = file, {}
        self.before = used()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if call.when == "teardown":
            now = used()
            report.user_properties.append(("cpu", max(0.0, now - self.before)))
            self.before = now
        return report

    def pytest_runtest_logreport(self, report):
        for name, value in report.user_properties:
            if name == "cpu" and report.when == "teardown":
                self.seconds[report.nodeid.split("@")[0]] = round(value, 2)

    def by_kind(self) -> dict[str, float]:
        """CPU minutes of each kind, most first."""
        found: dict[str, float] = {}
        for name, seconds in self.seconds.items():
            found[kind(name)] = found.get(kind(name), 0) + seconds / 60
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def pytest_terminal_summary(self, terminalreporter):
        if self.file is None or not self.seconds:
            return
        tests = dict(sorted(self.seconds.items(), key=lambda pair: -pair[1]))
        minutes = self.by_kind()
        self.file.write_text(json.dumps({"minutes": minutes, "seconds": tests}, indent=1) + "\n")
        terminalreporter.section(f"CPU minutes by kind ({self.file})")
        for name, spent in minutes.items():
            count = sum(kind(test) == name for test in tests)
            terminalreporter.line(f"{name:16} {spent:6.1f}  {count:5} tests")
        terminalreporter.line(f"{'together':16} {sum(minutes.values()):6.1f}  {len(tests):5} tests")
