"""The chaos test: random kills (twelve in the gate, fifty with ``--release``), stopped processes, spoilt records, a
full disk, a vanished folder and rival sweeps whose clocks do not agree, then one undisturbed sweep.

Afterwards every cell has exactly one finished record, every record that was not spoilt can be read, nobody was killed
but by the test, and nothing is left running.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from chaos import CELLS, CLOCKS, command
from tiny_notebooks import write_notebook

from workbench.files import RUN_FOLDER
from workbench.runs.report import index as report
from workbench.runs.store import entry as store
from workbench.runs.sweep import locks as claims

ROOT = Path(__file__).resolve().parents[2]
# a cell that takes a while, starts a process of its own in a session of its own, and records what identifies it
WORK = (
    "import os, subprocess, time, workbench\n"
    "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    "time.sleep(0.7)\n"
    "workbench.record({'seed': seed, 'size': sizes[0], 'length': len(concept)})"
)


def processes_under(folder: Path) -> list[str]:
    """Command lines of the processes that belong to a run under a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get(RUN_FOLDER, "")
            if mine.startswith(str(folder)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found


def check_everything(out: Path, paper: str, counts: dict[str, int]) -> None:
    """Exactly one finished record a cell, none corrupt but those that were spoilt, none in the way, nobody left."""
    records, unreadable = store.scan(out, paper)
    assert len(unreadable) <= counts["spoilt"], unreadable
    for record in records:
        assert not list(record.folder.glob(f".{store.FILE}.*")) or record.status != "done"
    # a sweep that takes a living runner for a dead one (its clock is off) would kill more than the test did
    died = {"runner": "without an answer (signal 9)", "kernel": "the kernel died"}
    for kind, words in died.items():
        assert sum(words in (record.error or "") for record in records) <= counts[kind], kind
    done = [record for record in records if record.status == "done"]
    cells = claims.finished(done)
    assert len(done) == len(cells) == CELLS, f"{len(done)} finished records of {len(cells)} cells"
    for record in done:
        values = {name: entry["value"] for name, entry in record.metrics.items()}
        asked = record.parameters
        assert values == {"seed": asked["seed"], "size": asked["sizes"][0], "length": len(asked["concept"])}
        nbformat.validate(nbformat.read(record.folder / "notebook.ipynb", as_version=4))
        assert record.report.read_text().rstrip().endswith("</html>")
    for _ in range(50):
        left = processes_under(out)
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(f"left running: {left}")


@pytest.mark.slow
def test_random_kills_leave_exactly_one_finished_record_a_cell(tmp_path, request):
    kills = 50 if request.config.getoption("--release") else 12
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    print(f"CHAOS_SEED={seed}")
    notebook = write_notebook(tmp_path / "grind.ipynb", WORK)
    disk = tmp_path / "disk"
    disk.mkdir()
    small = f'mount -t tmpfs -o size=24m tmpfs "{disk}" || exit 77\n'
    script = (
        f'{small}"{sys.executable}" "{ROOT}/tests/runs/chaos.py" "{notebook}" "{disk}/runs" {kills} {seed} "{disk}"'
        " || exit 3\n"
        f'"$@"\ncode=$?\ncp -a "{disk}/runs" "{tmp_path}/copy"\nexit $code'
    )
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    final = command(notebook, disk / "runs", "--jobs", "2")
    surroundings = os.environ | {"CHAOS_LOG": str(tmp_path / "log"), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [*unshare, "sh", "-c", script, "sh", *final],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=450,
        env=surroundings,
    )
    print(ended.stdout, ended.stderr)
    if ended.returncode == 77 or "unshare:" in ended.stderr:
        pytest.skip("a small file system cannot be mounted here")
    assert ended.returncode == 0
    counts = json.loads(next(line for line in ended.stdout.splitlines() if line.startswith("{")))
    assert counts["sweep"] + counts["runner"] + counts["kernel"] >= kills
    assert min(counts["sweep"], counts["runner"], counts["kernel"]) >= kills // 10
    assert not processes_under(disk / "runs")
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert counts["vanished"] >= 1 and counts["full disk"] >= 3
    assert counts["stopped"] >= 1 and counts["spoilt"] >= 1 and counts["clock"] >= len(CLOCKS)
    report.write_report(tmp_path / "copy")  # makes the pages that a kill prevented
    check_everything(tmp_path / "copy", "grind", counts)
    shutil.rmtree(tmp_path / "copy")
