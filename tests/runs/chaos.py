"""Random violence against sweeps, as a script: ``python tests/runs/chaos.py NOTEBOOK OUT KILLS SEED [DISK]``.

It keeps one or two sweeps of one 24-cell grid alive in OUT and kills, from a seeded generator, sweeps, runners (the
child processes) and kernels with SIGKILL; some it stops for a while (SIGSTOP), or for ever. Three times it fills the
disk (DISK is a small file system that OUT lies on), at least once it makes OUT vanish, and now and then it spoils a
record. Most sweeps see the wall clock of a machine whose clock was set after the others began: psutil's time of the
boot, and so of every process's start, is 5 s or an hour off. It prints what it does, and ends with one JSON line of
counts. It judges nothing: the test does.
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


CLOCKS = (0, 5, 3600, -3600)  # seconds by which a sweep's clock is off, one sweep after the other


def on_another_clock(shift: float, arguments: list[str]) -> None:
    """The command line on a machine whose wall clock was set: everything that is reckoned from the boot has moved."""
    from workbench.cli import main

    created, booted = psutil.Process.create_time, psutil.boot_time
    psutil.Process.create_time = lambda self: created(self) + shift
    psutil.boot_time = lambda: booted() + shift
    sys.argv = ["workbench", *arguments]
    main()


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
    kinds = ("sweep", "runner", "kernel", "full disk", "vanished", "ended", "stopped", "spoilt", "clock")
    counts = dict.fromkeys(kinds, 0)
    resting: list[tuple[float, psutil.Process]] = []  # stopped processes, and when they go on

    def start():
        more = ["--jobs", str(rng.choice([2, 3])), *(["--warm"] if rng.random() < 0.25 else [])]
        shift = CLOCKS[counts["clock"] % len(CLOCKS)]
        counts["clock"] += 1
        words = command(notebook, out, *more)
        words[1:3] = [__file__, "clock", str(shift)]
        with open(os.environ["CHAOS_LOG"], "a") as log:
            sweeps.append(subprocess.Popen(words, stdout=log, stderr=log))

    def victims(kind: str) -> list[psutil.Process]:
        if kind == "sweep":
            return [psutil.Process(one.pid) for one in sweeps if one.poll() is None]
        found = []
        for one in sweeps:
            with contextlib.suppress(psutil.Error):
                for process in psutil.Process(one.pid).children(recursive=True):
                    line = " ".join(process.cmdline())
                    if {"runner": "workbench.runs.process.child", "kernel": "ipykernel_launcher"}[kind] in line:
                        found.append(process)
        return found

    def spoil() -> None:
        there = sorted(out.glob(f"{notebook.stem}/*/record.json"))
        if there:
            path = rng.choice(there)
            with contextlib.suppress(OSError):
                if rng.random() < 0.3:
                    path.unlink()
                    path.mkdir()
                else:
                    texts = ["", "{", "[]", "null", '{"metrics": null}', path.read_text()[:200], "[" * 9999]
                    path.write_text(rng.choice(texts))
                counts["spoilt"] += 1
                print(f"a record is spoilt: {path.parent.name}", flush=True)

    def stop(process: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):
            process.suspend()
            counts["stopped"] += 1
            resting.append((time.monotonic() + rng.choice([0.5, 3, 6, 1e9]), process))

    start()
    done = 0
    deadline = time.monotonic() + 240
    while done < kills and time.monotonic() < deadline:
        time.sleep(rng.uniform(0.1, 2.0))
        alive = [one for one in sweeps if one.poll() is None]
        counts["ended"] += len(sweeps) - len(alive)
        sweeps[:] = alive
        late = done > kills // 2  # what chance has not brought by now is brought about
        if not sweeps or (len(sweeps) < 2 and (rng.random() < 0.3 or (late and counts["clock"] < len(CLOCKS)))):
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
        for one in [one for one in resting if one[0] <= time.monotonic()]:
            resting.remove(one)
            with contextlib.suppress(psutil.Error):
                one[1].resume()
        if rng.random() < 0.15 or (late and not counts["spoilt"]):
            spoil()
        owed = [kind for kind in ("sweep", "runner", "kernel") if late and counts[kind] < kills // 10]
        if late and counts["clock"] < len(CLOCKS):
            owed.append("sweep")  # its successor has the next clock
        kind = owed[0] if owed else rng.choices(["sweep", "runner", "kernel"], [3, 6, 6])[0]
        for _ in range(80):  # a kernel takes a while to come up on a busy machine
            found = victims(kind)
            if found:
                break
            time.sleep(0.1)
        else:
            continue
        victim = rng.choice(found)
        if rng.random() < 0.2 or (late and not counts["stopped"]):
            stop(victim)
            continue
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
    if sys.argv[1] == "clock":
        on_another_clock(float(sys.argv[2]), sys.argv[3:])
        sys.exit()
    notebook, out, kills, seed, *disk = sys.argv[1:]
    main(Path(notebook), Path(out), int(kills), int(seed), Path(disk[0]) if disk else None)
