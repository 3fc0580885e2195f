"""Sweeps on a real Ray cluster of one node on 127.0.0.1: workers and drivers killed, local and Ray sweeps in turn."""

import contextlib
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from test_chaos import processes_under
from tiny_notebooks import write_notebook

from workbench.runs.process.processes import reap
from workbench.runs.store import entry as store
from workbench.runs.sweep.driver import sweep
from workbench.runs.sweep.grid import build

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
KILLS = 6
WORK = (
    "import os, time, workbench\n"
    "print('gpu', os.environ.get('CUDA_VISIBLE_DEVICES'), 'threads', os.environ['OMP_NUM_THREADS'])\n"
    "time.sleep(1)\n"
    "workbench.record({'seed': seed, 'length': len(concept)})"
)


STRANGER = """
import sys, ray
try:
    ray.init(address=sys.argv[1], logging_level="critical", log_to_driver=False)
    print("inside", ray.get(ray.remote(lambda: 1).remote(), timeout=20))
except Exception as error:
    print("refused", type(error).__name__)
"""


def test_a_cluster_of_ones_own_refuses_strangers(tmp_path):
    """Ray binds ports of a 127.0.0.1 cluster to every address, so the sweep's cluster has a token."""
    notebook = write_notebook(
        tmp_path / "alone.ipynb", "import time, pathlib\npathlib.Path('here').write_text('')\ntime.sleep(90)"
    )
    more = ["--seeds", "1", "--out", str(tmp_path / "runs"), "--engine", "ray"]
    command = [sys.executable, "-m", "workbench", "sweep", str(notebook), *more]
    # once Ray has run in this process it leaves RAY_AUTH_MODE behind: both sides would use this user's own token file
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean)
    while not (tmp_path / "here").exists():
        assert driver.poll() is None, driver.stdout.read()
        time.sleep(0.1)
    (gcs,) = [p for p in psutil.Process(driver.pid).children(recursive=True) if "gcs_server" in p.name()]
    ports = [item.laddr.port for item in gcs.net_connections("tcp") if item.status == psutil.CONN_LISTEN]
    family = psutil.Process(driver.pid).children(recursive=True)
    ask = [sys.executable, "-c", STRANGER]
    said = [
        subprocess.run([*ask, f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=120, env=clean).stdout
        for port in ports
    ]
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert said and not [text for text in said if "inside" in text], said
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "Ray's own processes end with the sweep"


def workers() -> list[psutil.Process]:
    """Ray's workers that have a run's child process at this moment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ray = process.cmdline()[:1] and process.cmdline()[0].startswith("ray::")
            if ray and any("workbench.runs.process.child" in child.cmdline() for child in process.children()):
                found.append(process)
    return found


def command(notebook, out, *more) -> list[str]:
    grid = ["-g", "concept=01,011", "--seeds", "6"]
    return [sys.executable, "-m", "workbench", "sweep", str(notebook), *grid, "--out", str(out), *more]


def test_a_sweep_begun_locally_finishes_on_ray_though_its_workers_are_killed(cluster, tmp_path, capsys):
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    print(f"CHAOS_SEED={seed}")
    rng = random.Random(seed)
    notebook = write_notebook(tmp_path / "far.ipynb", WORK)
    out = tmp_path / "runs"
    local = subprocess.Popen(command(notebook, out, "--jobs", "2"), cwd=ROOT, stderr=subprocess.DEVNULL)
    while sum(record.status == "done" for record in store.all_runs(out, "far")) < 2:
        assert local.poll() is None
        time.sleep(0.1)
    local.kill()
    local.wait()
    mine = {record.id for record in store.all_runs(out, "far") if record.status == "done"}
    assert 2 <= len(mine) < 12

    killed = []
    over = threading.Event()

    def killer():
        while len(killed) < KILLS and not over.is_set():
            time.sleep(rng.uniform(0.2, 1.5))
            found = workers()
            if found:
                victim = rng.choice(found)
                victim.kill()
                killed.append(victim.pid)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        grid = build(str(notebook), ["concept=01,011"], seeds=6)
        summary = sweep(grid, out=out, engine="ray", gpus_per_run=1, progress=False)
    finally:
        over.set()
        thread.join()
    assert len(killed) >= 5, "the runs were too quick for the killer"
    assert summary.exit_code == 0, summary
    assert summary.before == len(mine) and summary.done + summary.elsewhere == 12 - len(mine)
    done = [record for record in store.all_runs(out, "far") if record.status == "done"]
    assert len(done) == 12 and len({(record.seed, record.parameters["concept"]) for record in done}) == 12
    for record in done:
        values = {name: entry["value"] for name, entry in record.metrics.items()}
        assert values == {"seed": record.seed, "length": len(record.parameters["concept"])}
        if record.id not in mine:
            assert re.search(r"gpu [01] threads 1", (record.folder / "notebook.ipynb").read_text())
    reap(out)  # a killed worker's last child may have had no time for it, and no task came after
    assert not processes_under(out)
    again = subprocess.run(command(notebook, out), capture_output=True, text=True, cwd=ROOT)
    assert again.returncode == 0 and "12 cells, 0 run, 12 finished before" in again.stdout


LONG = (
    "import pathlib, subprocess, time\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    "pathlib.Path(f'here-{seed}-{concept}').write_text('')\ntime.sleep(600)"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_a_driver_that_ends_takes_its_runs_with_it(cluster, tmp_path, number):
    notebook = write_notebook(tmp_path / "long.ipynb", LONG)
    out = tmp_path / "runs"
    more = ["--engine", "ray", "--address", cluster, "--jobs", "2"]
    driver = subprocess.Popen(
        command(notebook, out, *more), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for _ in range(1200):
        if len(list(tmp_path.glob("here-*"))) == 2:
            break
        assert driver.poll() is None, driver.stdout.read()
        time.sleep(0.1)
    assert processes_under(out)
    driver.send_signal(number)
    said, _ = driver.communicate(timeout=60)
    if number == signal.SIGINT:
        assert driver.returncode == 130 and "12 left" in said, said
        assert [record.status for record in store.all_runs(out)] == ["interrupted", "interrupted"]
    for _ in range(1200):  # Ray takes its time to notice a driver that was killed
        left = processes_under(out)
        if all("sleep 600" in line for line in left):
            break
        time.sleep(0.1)
    assert all("sleep 600" in line for line in left), left
    assert number == signal.SIGKILL or not left
    for _ in range(300):  # what the driver's end was noticed for dies in its own time
        reap(out)  # as the next task on this machine does
        if not processes_under(out):
            break
        time.sleep(0.1)
    assert not processes_under(out)
    said = [(record.status, record.cause, record.error) for record in store.all_runs(out)]
    # Ray kills a dead driver's workers and their children in no fixed order: a worker may see its child die first
    ends = {"interrupted", "killed"} if number == signal.SIGINT else {"interrupted", "killed", "failed"}
    assert said and all(status in ends and cause != "experiment" for status, cause, _ in said), said
