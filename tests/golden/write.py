"""The golden numbers of smoke runs: ``python tests/golden/write.py RUNS [PAPER ...]``, RUNS being `run`'s ``--out``.

See README.md beside this file for what is compared and how closely.
"""

import json
import sys
from pathlib import Path

REL, ABS = 0.02, 0.005
FIELDS = ("value", "low", "high", "n", "unit")


def write(runs: Path, paper: str) -> None:
    folder = max((runs / paper).iterdir())
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    made = {
        "cpu": json.loads((folder / "record.json").read_text())["hardware"]["cpu"],
        "rel": REL,
        "abs": ABS,
        "metrics": {name: {field: entry[field] for field in FIELDS} for name, entry in metrics.items()},
    }
    text = json.dumps(made, ensure_ascii=False, indent=1)
    Path(__file__).with_name(f"{paper}.json").write_text(text + "\n")


if __name__ == "__main__":
    runs, *papers = sys.argv[1:]
    for paper in papers or sorted(path.name for path in Path(runs).iterdir()):
        write(Path(runs), paper)
