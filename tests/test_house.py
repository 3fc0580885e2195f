"""The house as DESIGN.md draws it: no circle of imports, arrows one way, no name with two meanings, files of a size.

Imports are read from the source (functions counted), so nothing is imported and nothing can hide behind a lazy import.
"""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from workbench.files import ROOT

PACKAGE = "workbench"


def modules(root: Path) -> dict[str, Path]:
    """Every module under ``root``: its dotted name and its file (a lazy package's stub is read with it)."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path, known: set[str]) -> set[str]:
    """The modules of this package that a module imports, at its top or inside a function; "" for what is not ours.

    Other packages are given by their first name, such as "torch". A stub's names are fetched at first use and so begin
    no circle: only the module's own file is read.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name if alias.name in known else alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in known else base if base in known else base.split(".")[0])
    return found - {name}


def graph(root: Path) -> dict[str, set[str]]:
    known = modules(root)
    return {name: imported(name, path, set(known)) for name, path in known.items()}


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach one another: what is left when modules without an arrow in or out are taken away."""
    left = {name: {one for one in ends if one in arrows} for name, ends in arrows.items()}
    while True:
        targets = set().union(*left.values()) if left else set()
        loose = {name for name, ends in left.items() if not ends or name not in targets}
        if not loose:
            return [sorted(left)] if left else []
        left = {name: ends - loose for name, ends in left.items() if name not in loose}


@cache
def arrows() -> dict[str, set[str]]:
    """The package's own; read when a test first asks, for every worker collects this file."""
    return graph(ROOT / PACKAGE)


def test_no_circle_of_imports():
    assert circles(arrows()) == []


@pytest.mark.parametrize("inside", [False, True], ids=["at the top", "inside a function"])
def test_a_circle_would_be_found(tmp_path, inside):
    place = tmp_path / "toy"
    (place / "deep").mkdir(parents=True)
    back = "def f():\n    from ..b import g\n    return g\n" if inside else "from ..b import g\n"
    for file, text in {"__init__.py": "", "a.py": "from . import b\n", "b.py": "from .deep import c\n\ng = 1\n",
                       "deep/__init__.py": "", "deep/c.py": back, "d.py": "import toy.a\n"}.items():  # fmt: skip
        (place / file).write_text(text)
    assert circles(graph(place)) == [["toy.b", "toy.deep.c"]]
    (place / "deep" / "c.py").write_text("import torch\n")
    assert circles(graph(place)) == []


# ---- arrows one way

GROUND = {"bars", "errors", "files", "lazy", "profiles", "stats", "rows"}
SHARED = {"results", "plots", "display", "data", "readers", "tables", "contrast"}
USE = {"judging", "prompting", "training"}
MAY = {  # a room -> the rooms it may import, beside itself
    "errors": set(),
    "bars": set(),
    "lazy": set(),
    "files": {"errors"},
    "profiles": {"errors", "files"},
    "stats": {"errors"},
    "rows": {"errors", "files"},
    **{room: GROUND | SHARED for room in SHARED},
    "models": GROUND,
    **{room: GROUND | SHARED | USE | {"models"} for room in USE},
    "papers": GROUND | SHARED | USE | {"models"},
    "widgets": GROUND | SHARED | USE | {"models", "papers"},
    # of models only what knows names and addresses: test_what_runs_import_loads_no_torch
    "runs": GROUND | SHARED | {"models", "papers"},
    "doctor": GROUND | {"models", "runs"},
    "cli": GROUND | SHARED | {"models", "papers", "runs", "doctor", "new"},
    "new": GROUND | {"papers", "runs"},
    "install": set(),
    "__main__": {"cli"},
}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_arrows_between_rooms_run_one_way():
    ours = [(name, end) for name, ends in arrows().items() for end in ends if name != PACKAGE and end in arrows()]
    wrong = [f"{a} -> {b}" for a, b in ours if room(a) != room(b) and room(b) and room(b) not in MAY[room(a)]]
    assert not wrong, wrong


def test_no_paper_imports_a_paper():
    def paper(name):
        parts = name.split(".")
        return parts[2] if parts[:2] == [PACKAGE, "papers"] and len(parts) > 2 else ""

    wrong = [f"{a} -> {b}" for a, ends in arrows().items() for b in ends if paper(a) and paper(b) not in ("", paper(a))]
    assert not wrong, wrong


HEAVY = {"torch", "transformers", "bitsandbytes", "peft", "sentence_transformers"}


def test_figures_import_no_model_trainer_or_prover():
    """A figure's file draws what it is given."""
    rooms = {"plots", "results", "rows", "stats", "profiles", "data", "readers", "tables"}
    files = [name for name in arrows() if name.split(".")[-1] == "figures" or room(name) in rooms]
    assert len(files) > 8
    for name in files:
        reached, ends = set(), {name}
        while ends:  # not through another file either
            reached |= ends
            ends = set().union(*(arrows().get(end, set()) for end in ends)) - reached
        assert not reached & HEAVY, f"{name} imports {reached & HEAVY}"
        assert not {end for end in reached if room(end) in {"models", "training"}}, name


def test_what_runs_and_settings_import_loads_no_torch():
    papers = [name for name in arrows() if name.endswith(".settings")]
    runs = [name for name in arrows() if room(name) in {"runs", "cli", "plots", "results", "rows", "profiles"}]
    assert len(papers) >= 6 and len(runs) > 20
    code = f"import importlib, sys\nfor name in {papers + runs!r}: importlib.import_module(name)\n"
    done = subprocess.run(
        [sys.executable, "-c", code + f"print(sorted({HEAVY!r} & set(sys.modules)))"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip() == "[]", done.stdout + done.stderr


# ---- one name, one meaning


def exports(path: Path) -> dict[str, str]:
    """Public names of a package and the module each comes from, from its stub or its ``__init__.py``."""
    stub = path.with_suffix(".pyi")
    found = {}
    for node in ast.parse((stub if stub.exists() else path).read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {alias.asname or alias.name: node.module or "" for alias in node.names}
    return found


PACKAGES = {name: path for name, path in modules(ROOT / PACKAGE).items() if path.name == "__init__.py"}


def test_no_exported_name_is_also_the_name_of_a_module():
    for name, path in PACKAGES.items():
        inside = {one.rpartition(".")[2] for one in arrows() if one.rpartition(".")[0] == name}
        both = {one for one, home in exports(path).items() if home and one in inside}
        assert not both, f"{name} exports {both}, which are modules of its own too"


def test_every_lazy_name_is_there():
    """A stub's name is defined at the top of the module that the stub names."""
    stubs = [path for path in PACKAGES.values() if path.with_suffix(".pyi").exists()]
    assert len(stubs) >= 7
    for path in stubs:
        for name, home in exports(path).items():
            if not home:
                assert (path.parent / name).is_dir() or (path.parent / f"{name}.py").exists(), name
                continue
            place = path.parent.joinpath(*home.split("."))
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            assert name in defined(file), f"{path.parent.name}/__init__.pyi: {home} defines no {name}"


@cache
def defined(file: Path) -> set[str]:
    names = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    stub = file.with_suffix(".pyi")
    return names | (set(exports(file)) if stub.exists() else set())


def test_a_wrong_lazy_name_is_an_error_for_mypy(tmp_path):
    (tmp_path / "two.py").write_text("from workbench import load\nfrom workbench import lod\n")
    stubs = [str(path) for path in sorted((ROOT / PACKAGE).rglob("*.pyi"))]
    done = subprocess.run(
        # skip: only the stubs are read, which takes a second; following them into torch takes minutes
        [sys.executable, "-m", "mypy", "--follow-imports=skip", "--ignore-missing-imports", "--cache-dir",
         str(tmp_path / "cache"), str(tmp_path / "two.py"), *stubs],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (error,) = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert "two.py:2" in error and 'Module "workbench" has no attribute "lod"' in error, done.stdout


# ---- sizes

LONGEST_FILE = 400


def test_no_file_is_longer_than_four_hundred_lines():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / PACKAGE).rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST_FILE
    }
    assert not long, long
