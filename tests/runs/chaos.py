"""Random violence against sweeps, as a script: ``python tests/runs/chaos.py NOTEBOOK OUT KILLS SEED [DISK]``.

It keeps one or two sweeps of one 24-cell grid alive in OUT and kills, from a seeded generator, sweeps, runners (the
child processes) and kernels with SIGKILL; three times it fills the disk (DISK is a small file system that OUT lies
on), and at least once it makes OUT vanish. It prints what it does, and ends with one JSON line of counts. It judges
nothing: the test does.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

GRID = ["-g", "concept=01,011", "-g", "sizes=[1],[2],[3]", "--seeds", "4"]  # 24 cells
CELLS = 24


def command(notebook, out, *more) -> list[str]:
    """A sweep over the grid."""
    return [sys.executable, "-m", "workbench", "sweep", str(notebook), *GRID, "--out", str(out), *more]


def finished(out: Path, paper: str) -> int:
    """Records on disk that say done."""
    count = 0
    for path in out.glob(f"{paper}/*/record.json"):
        with contextlib.suppress(OSError):
            count += '"status": "done"' in path.read_text()
    return count


def main(notebook: Path, out: Path, kills: int, seed: int, disk: Path | None) -> None:
    rng = random.Random(seed)
    sweeps: list[subprocess.Popen] = []
    counts = dict.fromkeys(("sweep", "runner", "kernel", "full disk", "vanished", "ended"), 0)

    def start():
        more = ["--jobs", str(rng.choice([2, 3])), *(["--warm"] if rng.random() < 0.25 else [])]
        with open(os.environ["CHAOS_LOG"], "a") as log:
            sweeps.append(subprocess.Popen(command(notebook, out, *more), stdout=log, stderr=log))

    def victims(kind: str) -> list[psutil.Process]:
        if kind == "sweep":
            return [psutil.Process(one.pid) for one in sweeps if one.poll() is None]
        found = []
        for one in sweeps:
            with contextlib.suppress(psutil.Error):
                for process in psutil.Process(one.pid).children(recursive=True):
                    line = " ".join(process.cmdline())
                    if {"runner": "workbench.runs.child", "kernel": "ipykernel_launcher"}[kind] in line:
                        found.append(process)
        return found

    start()
    done = 0
    deadline = time.monotonic() + 240
    while done < kills and time.monotonic() < deadline:
        time.sleep(rng.uniform(0.1, 2.0))
        alive = [one for one in sweeps if one.poll() is None]
        counts["ended"] += len(sweeps) - len(alive)
        sweeps[:] = alive
        if not sweeps or (len(sweeps) < 2 and rng.random() < 0.3):
            start()
        nearly = finished(out, notebook.stem) >= CELLS - 3  # there would soon be nobody left to kill
        if nearly or (done >= kills // 3 and not counts["vanished"]):
            counts["vanished"] += 1
            print("the folder vanishes", flush=True)
            gone = out.with_name(f"gone-{counts['vanished']}")
            with contextlib.suppress(OSError):
                os.rename(out, gone)
                shutil.rmtree(gone, ignore_errors=True)
        if disk and done >= kills * (1 + counts["full disk"]) // 4:
            print("the disk fills up", flush=True)
            counts["full disk"] += 1
            with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as file:
                while file.write(bytes(65536)):
                    pass
            time.sleep(rng.uniform(0.5, 2))
            (disk / "filler").unlink(missing_ok=True)
            continue
        kind = rng.choices(["sweep", "runner", "kernel"], [3, 6, 6])[0]
        for _ in range(80):  # a kernel takes a while to come up on a busy machine
            found = victims(kind)
            if found:
                break
            time.sleep(0.1)
        else:
            continue
        victim = rng.choice(found)
        with contextlib.suppress(psutil.Error):
            victim.kill()
            counts[kind] += 1
            done += 1
            print(f"{done}: SIGKILL of a {kind}", flush=True)
    for one in sweeps:
        one.send_signal(signal.SIGKILL)
        one.wait()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    notebook, out, kills, seed, *disk = sys.argv[1:]
    main(Path(notebook), Path(out), int(kills), int(seed), Path(disk[0]) if disk else None)
