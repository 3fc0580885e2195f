"""Markup that would run if it were shown as anything but text, and a run's record full of it."""

import json

from workbench.runs.store import entry as store

RUNS = "document.documentElement.setAttribute('data-pwned','1')"
EVIL = f"""'"></textarea></style><script>{RUNS}</script><img src=x onerror="{RUNS}"><a href="javascript:{RUNS}">x</a>"""


def evil_record(tmp_path, name="demo"):
    """A record with markup in every field that is a text."""
    identity = "20261122-101010-abcd"
    folder = tmp_path / name / identity
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "<img src=x onerror=alert(1)>.png").write_bytes(b"\x89PNG")
    metric = {"value": 1.0, "low": 0.5, "high": 1.5, "n": 3, "unit": EVIL}
    metrics = {EVIL: metric, "none": {"value": None, "note": EVIL, "unit": EVIL}}
    (folder / "metrics.json").write_text(json.dumps({"metrics": metrics, "tables": {EVIL: [{EVIL: EVIL}]}}))
    made = store.Record(
        id=identity, paper=name, notebook=EVIL, notebook_sha256=EVIL, parameters={EVIL: EVIL, "list": [EVIL]},
        given=[EVIL, "list"], status="done", error=EVIL, started=EVIL, seconds=1.0, cpu_seconds=1.0, metrics=metrics,
        models=[{"name": EVIL, "report": {EVIL: EVIL}}], git={"revision": EVIL, "dirty": True}, workbench=EVIL,
        python=EVIL, versions={EVIL: EVIL}, rerun_of=EVIL, folder=folder,
        hardware={"cpu": EVIL, "cores": 1, "memory_bytes": 1, "gpus": [{"name": EVIL}]},
    )  # fmt: skip
    made.save()
    return made
