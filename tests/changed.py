"""Which papers' notebooks run in the gate beyond their smoke run: those a change touches, or some by rotation."""

import subprocess
import time

from workbench.files import ROOT


def git(*words: str) -> str:
    """What git says; "" where this is no checkout of git's or it cannot answer (a shallow clone's parent)."""
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def changed_files() -> list[str]:
    """Files that differ from where this branch left the main one; on the main branch itself, from its last state."""
    head = git("rev-parse", "HEAD")
    bases = [git("merge-base", "HEAD", name) for name in ("origin/main", "main")]
    base = next((base for base in bases if base and base != head), git("rev-parse", "--verify", "HEAD~1"))
    return git("diff", "--name-only", base).splitlines() if base else []


def papers_of(files: list[str], papers: list[str]) -> list[str]:
    """The papers whose notebook, package or data is among the files."""
    rooms = {paper: (f"notebooks/{paper}.ipynb", f"workbench/papers/{paper}/", f"data/{paper}/") for paper in papers}
    return [paper for paper in papers if any(file.startswith(rooms[paper]) for file in files)]


def papers_to_run(papers: list[str]) -> list[str]:
    """The changed ones, or the one whose turn it is on the day of the last commit."""
    return papers_of(changed_files(), papers) or by_turn(papers, 1)


def by_turn(papers: list[str], many: int) -> list[str]:
    """The ``many`` papers whose turn it is on the day of the last commit."""
    day = int(git("show", "--no-patch", "--format=%ct", "HEAD") or time.time()) // 86400
    return [papers[(day * many + k) % len(papers)] for k in range(many)]
