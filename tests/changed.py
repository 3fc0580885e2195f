"""What the gate runs of the second tier: what a change touches, and of the rest what has its turn.

tests/whole.json keeps a hash of each room (a folder or a file), as it was when both tiers last ran whole.
On CI a slow test runs if one of its rooms differs from that, else every third day. Everywhere else, and with
``--release``, all of them run. After a whole run: ``python tests/changed.py`` keeps the hashes anew.
"""

import hashlib
import json
import re
import subprocess
import sys
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHOLE = ROOT / "tests" / "whole.json"
EVERY = 3  # days
PAPERS = sorted(
    folder.name for folder in (ROOT / "workbench" / "papers").iterdir() if (folder / "settings.py").is_file()
)
WIDGETS = {"explainability": "workbench/widgets/explain"}
BASE = ("workbench/widgets/base.py", "workbench/widgets/base.js", "workbench/widgets/base.css")


def content(room: str) -> str:
    """A hash over the files of a folder, or of one file; "" where there is none."""
    path, digest = ROOT / room, hashlib.sha256()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [file for file in files if file.is_file() and "__pycache__" not in file.parts]
    for file in files:
        digest.update(f"{file.relative_to(ROOT)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()[:16] if files else ""


def own_rooms(paper: str) -> list[str]:
    """Notebook, package, data and widget of a paper (or of the tour, ``start``)."""
    if paper == "start":
        return ["notebooks/start.ipynb"]
    widget = WIDGETS.get(paper, f"workbench/widgets/{paper}")
    widgets = [widget, *(f"{widget}.{end}" for end in ("py", "js", "css"))]
    return [f"notebooks/{paper}.ipynb", f"workbench/papers/{paper}", f"data/{paper}", *widgets]


def rooms_of_paper(paper: str) -> list[str]:
    """A paper's own rooms, and the house's files that it imports."""
    texts = [file.read_text("utf-8") for file in (ROOT / "workbench" / "papers" / paper).rglob("*.py")]
    named = {name for text in texts for name in re.findall(r"^\s*from \.{3,}(\w+) import", text, re.M)}
    house = [f"workbench/{name}.py" for name in sorted(named) if (ROOT / "workbench" / f"{name}.py").is_file()]
    return [*own_rooms(paper), *house]


def rooms_of(file: str, paper: str | None) -> list[str]:
    """The rooms that a slow test looks at.

    Parameters
    ----------
    file : str
        The test's file, below the repository.
    paper : str, optional
        The paper whose notebook it runs.

    Returns
    -------
    list of str
        Empty: it is not known, and the test always runs.
    """
    folder, name = Path(file).parent.name, Path(file).stem
    own = [file, *helpers(file), "constraints.txt"]
    paper = paper or next((one for one in PAPERS if re.match(rf"test_{one[:7]}", name)), None)
    if folder == "models":
        return [*own, "workbench/models"]
    if folder == "runs":
        return [*own, "workbench/runs", "workbench/cli"]
    if paper and folder in ("browser", "widgets"):
        return [*own, *BASE, *rooms_of_paper(paper)]
    if paper and folder == "papers":
        return [*own, *rooms_of_paper(paper)]
    return []


def helpers(file: str) -> list[str]:
    """The files of tests/ that a test imports by name."""
    names = re.findall(r"^(?:from|import) (\w+)", (ROOT / file).read_text("utf-8"), re.M)
    found = [path for name in names for path in (ROOT / "tests").rglob(f"{name}.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found if path.name != "changed.py")


def today() -> int:
    """The day of the last commit, a number: a commit that is judged twice is judged by the same tests."""
    try:
        done = subprocess.run(
            ["git", "show", "--no-patch", "--format=%ct", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return int(time.time()) // 86400
    return int(done.stdout or time.time()) // 86400


def touched(rooms: list[str], whole: dict[str, str]) -> bool:
    """Whether one of the rooms differs from when both tiers last ran whole, or nobody knows how it was then."""
    return any(content(room) != whole.get(room, "unknown" if (ROOT / room).exists() else "") for room in rooms)


def left_to_another_day(file: str, paper: str | None, whole: dict[str, str]) -> bool:
    """Whether the gate leaves a slow test out today: nothing that it looks at changed, and it is not its turn."""
    rooms = rooms_of(file, paper)
    if not rooms or touched(rooms, whole):
        return False
    return zlib.crc32(f"{file} {paper}".encode()) % EVERY != today() % EVERY


def papers_to_run(papers: list[str]) -> list[str]:
    """Papers that run at their default sizes: two of those whose own rooms changed, by turn, or one of all."""
    whole = kept()
    changed = [paper for paper in papers if touched(own_rooms(paper), whole)]
    return by_turn(changed, min(2, len(changed))) if changed else by_turn(papers, 1)


def by_turn(papers: list[str], many: int) -> list[str]:
    """The ``many`` papers whose turn it is on the day of the last commit."""
    return [papers[(today() * many + k) % len(papers)] for k in range(many)]


def kept() -> dict[str, str]:
    """The hashes of tests/whole.json; none where there is no such file."""
    return json.loads(WHOLE.read_text("utf-8"))["rooms"] if WHOLE.is_file() else {}


def keep() -> None:
    """Write the hashes of all rooms as they are."""
    slow = [
        file for file in sorted((ROOT / "tests").rglob("test_*.py")) if "pytest.mark.slow" in file.read_text("utf-8")
    ]
    names = [file.relative_to(ROOT).as_posix() for file in slow]
    rooms = {room for name in names for paper in (None, "start", *PAPERS) for room in rooms_of(name, paper)}
    found = {room: content(room) for room in sorted(rooms)}
    told = {"about": "written by tests/changed.py after both tiers ran whole", "rooms": found}
    WHOLE.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    keep()
    sys.stdout.write(f"{WHOLE.relative_to(ROOT)}: {len(kept())} rooms\n")
