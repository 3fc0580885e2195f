"""What a sweep costs beside the papermill it runs: CPU seconds a run, every process counted.

Ratios (baseline / ours, larger is better), over 40 runs of a notebook that records one number:

sweep_vs_papermill
    `workbench sweep`, against one bare ``papermill.execute_notebook`` in a child process a run, as papermill is used.
sweep_vs_lean_papermill
    The same against a papermill that is spared the grammar which jsonschema compiles at import and no notebook needs
    (a trick of ours, 1.5 CPU seconds): what is left is what records, locks, watching and the report page cost.
warm_vs_papermill, warm_vs_lean_papermill, warm_vs_sweep
    `workbench sweep --warm`, against the two baselines and against the plain sweep.

Counted is user and system time of the command and of everything it started (`resource.RUSAGE_CHILDREN`; this script is
made the subreaper, so that a killed kernel is counted too). The sweep's own start, its shutdown and its pages are in.
The goal of the project: sweep_vs_papermill >= 0.77 (at most 1.3 times a bare child), warm_vs_papermill >= 3. `--quick`
takes 8 runs, over which the start is shared less well. Every run must have recorded its number, or the script fails.
"""

import ctypes
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import common

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code", "id": "parameters", "metadata": {"tags": ["parameters"]}, "outputs": [],
            "execution_count": None, "source": "seed: int = 0",
        },
        {
            "cell_type": "code", "id": "work", "metadata": {}, "outputs": [], "execution_count": None,
            "source": "import workbench\nworkbench.record({'score': seed / 4})",
        },
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}  # fmt: skip
BARE = (
    "import sys\n{lean}import papermill\n"
    "papermill.execute_notebook(sys.argv[1], sys.argv[2], {{'seed': int(sys.argv[3])}}, progress_bar=False)"
)
LEAN = "sys.modules['rfc3987_syntax'] = None\n"


def cpu_seconds(command: list[str], folder: Path) -> float:
    """CPU seconds of a command and of all that it left behind."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=surroundings)
    if ended.returncode:
        raise SystemExit(f"{command} failed: {ended.stderr}")
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def papermill(notebook: Path, count: int, lean: bool) -> float:
    """CPU seconds of a bare papermill child: the median of ``count``."""
    code = BARE.format(lean=LEAN if lean else "")
    taken = []
    for seed in range(count):
        output = notebook.with_name(f"bare-{seed}.ipynb")
        taken.append(cpu_seconds([sys.executable, "-c", code, str(notebook), str(output), str(seed)], notebook.parent))
        if f"{seed / 4:g}" not in output.read_text():
            raise SystemExit("papermill's output lacks the number: a ratio of unequal work means nothing")
    return statistics.median(taken)


def sweep(notebook: Path, runs: int, warm: bool) -> float:
    """CPU seconds a run of a whole sweep."""
    out = notebook.with_name("warm" if warm else "plain")
    command = [sys.executable, "-m", "workbench", "sweep", str(notebook), "--seeds", str(runs), "--out", str(out), "-q"]
    taken = cpu_seconds([*command, *(["--warm"] if warm else [])], notebook.parent)
    records = [json.loads(path.read_text()) for path in out.glob("*/*/record.json")]
    scores = sorted(record["metrics"]["score"]["value"] for record in records if record["status"] == "done")
    if scores != [seed / 4 for seed in range(runs)]:
        raise SystemExit(f"the sweep recorded {scores}: a ratio of unequal work means nothing")
    return taken / runs


def main() -> None:
    options = common.options(__doc__, quick="8 runs, under a minute").parse_args()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    runs, bare = (8, 3) if options.quick else (40, 10)
    with tempfile.TemporaryDirectory() as folder:
        notebook = Path(folder) / "trivial.ipynb"
        notebook.write_text(json.dumps(NOTEBOOK))
        papermill(notebook, 1, lean=True)  # file caches
        seconds = {
            "papermill": papermill(notebook, bare, lean=False),
            "lean papermill": papermill(notebook, bare, lean=True),
            "sweep": sweep(notebook, runs, warm=False),
            "sweep --warm": sweep(notebook, runs, warm=True),
        }
    print(f"CPU seconds a run, {runs} runs ({bare} of each papermill)")
    print(f"{'':<16}{'seconds':>9}{'papermill / it':>17}{'lean papermill / it':>22}")
    for name, value in seconds.items():
        print(
            f"{name:<16}{value:>9.2f}{seconds['papermill'] / value:>16.2f}x{seconds['lean papermill'] / value:>21.2f}x"
        )
    ratios = {
        "sweep_vs_papermill": seconds["papermill"] / seconds["sweep"],
        "sweep_vs_lean_papermill": seconds["lean papermill"] / seconds["sweep"],
        "warm_vs_papermill": seconds["papermill"] / seconds["sweep --warm"],
        "warm_vs_lean_papermill": seconds["lean papermill"] / seconds["sweep --warm"],
        "warm_vs_sweep": seconds["sweep"] / seconds["sweep --warm"],
    }
    if options.json:
        device = f"{platform.machine()}, {os.cpu_count()} cores"
        common.print_json("runs", ratios, device, ("papermill", "nbclient", "ipykernel"))


if __name__ == "__main__":
    main()
