"""``workbench new NAME``: the four rooms of a paper from templates that run, pass the contract and are to be changed.

Everything is rendered before anything is written; what was written is taken away again if a later file cannot be. The
registry (workbench/papers/__init__.py) and the index (docs/README.md) come last, so a paper is listed when it is there.
"""

import ast
import json
import keyword
import re
from pathlib import Path
from string import Template

from .errors import UsageError, WorkbenchError
from .files import ROOT, write_atomic
from .papers import PAPERS

TEMPLATES = Path(__file__).parent / "templates" / "paper"
FILES = {  # template -> where it goes
    "notebook.txt": "notebooks/{name}.ipynb",
    "init.py.txt": "workbench/papers/{name}/__init__.py",
    "settings.py.txt": "workbench/papers/{name}/settings.py",
    "study.py.txt": "workbench/papers/{name}/study.py",
    "figures.py.txt": "workbench/papers/{name}/figures.py",
    "card.md.txt": "data/{name}/README.md",
    "paper.json.txt": "data/{name}/paper.json",
    "questions.jsonl.txt": "data/{name}/questions.jsonl",
    "page.md.txt": "docs/{name}.md",
    "test.py.txt": "tests/papers/test_{name}.py",
}
REGISTRY, INDEX = "workbench/papers/__init__.py", "docs/README.md"
CELL = re.compile(r"^# %%(?: \[([\w -]+)\])?\n", re.M)


def new_paper(name: str, *, title: str = "", reference: str = "", claim: str = "", root: Path = ROOT) -> list[Path]:
    """Write the rooms of a new paper.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and ``_``; of a paper that is listed as coming, title and the rest are known.
    title, reference, claim : str
        Of the paper, one line each.
    root : Path
        The checkout.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UsageError
        The name cannot be used, or the paper (or one of its files) is there; a text of several lines; no checkout.
    WorkbenchError
        A file cannot be written; nothing is left behind.
    """
    known = {paper.name: paper for paper in PAPERS}
    _check(name, root)
    given = {"title": title, "reference": reference, "claim": claim}
    for what, text in given.items():
        if re.search(r'[\x00-\x1f\x7f-\x9f\u2028\u2029"\\]', text):
            raise UsageError(
                f"--{what} {text[:60]!r} has a line end, a quote or a backslash in it: give one plain line"
            )
    words = {"title": name, "reference": "Reference to be filled in", "claim": "To be filled in."}
    if name in known:
        words |= {what: getattr(known[name], what) for what in words}
    words |= {what: text for what, text in given.items() if text}

    made: dict[Path, str] = {}
    for template, place in FILES.items():
        text = Template((TEMPLATES / template).read_text("utf-8")).substitute(name=name, **words)
        path = root / place.format(name=name)
        made[path] = _notebook(text) if path.suffix == ".ipynb" else text
    if there := [path for path in made if path.exists() or path.is_symlink()]:
        raise UsageError(f"{there[0].relative_to(root)} is there already: choose another name, or take it away first")
    old = {root / file: (root / file).read_text("utf-8") for file in (REGISTRY, INDEX)}
    made[root / REGISTRY] = _registered(old[root / REGISTRY], name, words, listed=name in known)
    made[root / INDEX] = _indexed(old[root / INDEX], name)
    _write(made, old)
    return list(made)


def _check(name: str, root: Path) -> None:
    """UsageError unless a paper of that name can be begun here."""
    if (
        not re.fullmatch(r"[a-z][a-z0-9_]{1,31}", name)
        or keyword.iskeyword(name)
        or name in {"start", "papers", "test"}
    ):
        raise UsageError(
            f"{name!r} cannot be a paper's name: it is a module, a folder and a notebook, so give 2 to 32 lower-case "
            "letters, digits and _, such as tips"
        )
    if any(paper.name == name and paper.status == "done" for paper in PAPERS):
        raise UsageError(f"the paper {name} is there already: workbench list shows all; choose another name")
    if not (root / REGISTRY).is_file() or not (root / "notebooks").is_dir():
        raise UsageError(f"{root} is no checkout of the workbench: clone it and pip install -e . to add a paper")


def _notebook(text: str) -> str:
    """A notebook from cells that begin with ``# %%``, ``# %% [markdown]`` or ``# %% [TAG]``.

    Text begins a slide and code comes after it, but the parameters and the record, which no class looks at.
    """
    _, *parts = CELL.split(text)
    cells = []
    for number, (kind, source) in enumerate(zip(parts[::2], parts[1::2])):
        source = source.strip("\n")
        if kind == "markdown":
            source = re.sub(r"^# ?", "", source, flags=re.M)
        cell = {"cell_type": "markdown" if kind == "markdown" else "code", "id": f"cell-{number}", "metadata": {}}
        unseen = kind == "parameters" or "wb.record(" in source
        slide = "slide" if kind == "markdown" else "skip" if unseen else "fragment"
        tags = [] if kind == "markdown" else (kind or "").split()
        cell["metadata"] = {"slideshow": {"slide_type": slide}} | ({"tags": tags} if tags else {})
        if kind != "markdown":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell | {"source": source.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _registered(text: str, name: str, words: dict[str, str], *, listed: bool) -> str:
    """The registry with the paper as done: a line in its entry, or an entry of its own."""
    if listed:
        wanted, line = rf'(    Paper\(\n        "{name}",\n(?:        .*\n)*?)(    \),\n)', '        status="done",\n'
        found, count = re.subn(wanted, lambda match: match[1] + line + match[2], text)
    else:
        lines = "".join(f'        "{text}",\n' for text in (name, words["title"], words["reference"], words["claim"]))
        entry = f'    Paper(\n{lines}        status="done",\n    ),\n'
        found, count = re.subn(
            r"(PAPERS: tuple\[Paper, \.\.\.\] = \(\n(?:    .*\n)*)\)\n", rf"\g<1>{_plain(entry)})\n", text
        )
    if count != 1:
        raise UsageError(f"{REGISTRY} has another form than expected: put the paper {name} there by hand")
    ast.parse(found)
    return found


def _plain(text: str) -> str:
    """A text as a regular expression's replacement."""
    return text.replace("\\", r"\\")


def _indexed(text: str, name: str) -> str:
    """The documentation's index with the paper's page."""
    mark = ". The others come with their papers."
    if mark not in text:
        raise UsageError(f"{INDEX} has another form than expected: put [{name}]({name}.md) there by hand")
    return text.replace(mark, f", [{name}]({name}.md){mark}", 1)


def _write(made: dict[Path, str], old: dict[Path, str]) -> None:
    """Write every file; if one cannot be written, take the others away and put the old texts back."""
    done, folders = [], {path.parent for path in made if not path.parent.exists()}
    try:
        for path, text in made.items():
            write_atomic(path, text)
            done.append(path)
    except (WorkbenchError, KeyboardInterrupt):
        for path in done:
            path.unlink(missing_ok=True) if path not in old else write_atomic(path, old[path])
        for folder in folders:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise
