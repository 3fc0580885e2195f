"""The house in numbers: lines a room, longest functions, parameters, exports, shares of docstrings and comments; walks.

    python benchmarks/house.py                       # this checkout, as a Markdown table
    python benchmarks/house.py --against DIR         # beside another checkout (before and after)
    python benchmarks/house.py --walk logprobs       # the package's files that a call enters, in order of first entry
    python benchmarks/house.py --walk rain           # the same of a small `workbench run rain`, process by process

A line is what an editor counts. A function's body leaves its docstring out. No number here says whether code is good:
they show where it sits, and whether it grew.
"""

import argparse
import ast
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WALKS = {
    "logprobs": ["-c", "import workbench as wb\nwb.load('smollm2').logprobs(['Paris is'], [[' big']])"],
    "rain": ["-m", "workbench", "run", "rain", "--profile", "smoke", "--out", "OUT", "-p", "objective=sentiment",
             "-p", "prompts_used=1", "-p", "budget=1", "-p", "max_new_tokens=3", "-p", "labelled_used=8"],
}  # fmt: skip


def room(path: Path) -> str:
    """The room of a file of the package: a paper, a sub-package, or the ground."""
    parts = path.parts
    if parts[0] == "papers" and len(parts) > 2:
        return f"papers/{parts[1]}"
    return parts[0] if len(parts) > 1 else "the ground"


def measured(text: str) -> dict:
    """Lines, docstring and comment lines, and (body lines, parameters, name) of every function of one file."""
    tree = ast.parse(text)
    docstrings, functions = 0, []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        first = node.body[0] if node.body else None
        constant = first.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None
        said = first.end_lineno - first.lineno + 1 if constant and isinstance(constant.value, str) else 0
        docstrings += said
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            asked = node.args
            parameters = len(asked.posonlyargs + asked.args + asked.kwonlyargs)
            functions.append((node.end_lineno - node.body[0].lineno + 1 - said, parameters, node.name))
    comments = sum(token.type == tokenize.COMMENT for token in tokenize.generate_tokens(io.StringIO(text).readline))
    lines = len(text.splitlines())
    return {"lines": lines, "docstrings": docstrings, "comments": comments, "functions": functions}


def exports(package: Path) -> int:
    """Public names of a package, from its stub, else from ``__all__``, else from what it imports from its modules."""
    stub = package.with_suffix(".pyi")
    tree = ast.parse((stub if stub.exists() else package).read_text("utf-8"))
    for node in tree.body:
        listed = isinstance(node, ast.Assign) and isinstance(node.value, (ast.List, ast.Tuple))
        if listed and getattr(node.targets[0], "id", "") == "__all__":
            return len(node.value.elts)
    return sum(len(node.names) for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1)


def house(root: Path) -> dict[str, dict]:
    """Room -> its numbers, the package's whole under "together"."""
    package = root / "workbench"
    rooms: dict[str, dict] = {}
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        found = measured(path.read_text("utf-8"))
        for name in (room(inside), "together"):
            into = rooms.setdefault(name, {"files": 0, "lines": 0, "docstrings": 0, "comments": 0, "functions": []})
            into["files"] += 1
            for key in ("lines", "docstrings", "comments"):
                into[key] += found[key]
            into["functions"] += [(*one, f"{inside}") for one in found["functions"]]
        if path.name == "__init__.py" and room(inside) == str(inside.parent):
            rooms[room(inside)]["exports"] = exports(path)
    for numbers in rooms.values():
        numbers["longest"] = max(numbers["functions"], default=(0, 0, "", ""))
        numbers["widest"] = max(numbers["functions"], key=lambda one: one[1], default=(0, 0, "", ""))
    return rooms


def table(now: dict[str, dict], before: dict[str, dict] | None) -> str:
    """The rooms as a Markdown table, largest first; with the other checkout's lines where there is one."""
    order = sorted({*now, *(before or {})} - {"together"}, key=lambda name: -(now.get(name) or before[name])["lines"])
    head = ["room", *(["lines before"] if before else []), "lines", "files", "docstrings", "comments", "longest body",
            "most parameters", "exports"]  # fmt: skip
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name in [*order, "together"]:
        one = now.get(name)
        line = [name, *([f"{before[name]['lines']:,}" if name in before else "-"] if before else [])]
        if one is None:
            rows.append(line + ["-"] * (len(head) - len(line)))
            continue
        share = [f"{one[key] / one['lines']:.0%}".replace("%", " %") for key in ("docstrings", "comments")]
        ends = [f"{one[key][number]} `{one[key][2]}`" if one["functions"] else "-" for key, number in
                (("longest", 0), ("widest", 1))]  # fmt: skip
        line += [f"{one['lines']:,}", str(one["files"]), *share, *ends, str(one.get("exports", "-"))]
        rows.append(line)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# Every process of the walk imports this at its start: the package's functions (and nothing else) begin with a line that
# notes their file when it is first entered. Bodies of modules are left out: they say what a file needs for its import,
# not what the call goes through.
TRACER = """
import ast, importlib.machinery, os, sys
PACKAGE, OUT = os.environ["WALK_PACKAGE"], os.environ["WALK_OUT"]
seen = set()
def __walk__(name):
    if name not in seen:
        seen.add(name)
        with open(f"{OUT}/{os.getpid()}", "a") as file:
            print(name[len(PACKAGE):], file=file)
import builtins
builtins.__walk__ = __walk__
read = importlib.machinery.SourceFileLoader.get_code
def get_code(self, fullname):
    if not self.path.startswith(PACKAGE):
        return read(self, fullname)
    tree = ast.parse(self.get_data(self.path))
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            said = ast.get_docstring(node, clean=False) is not None
            node.body[said:said] = ast.parse(f"__walk__({self.path!r})").body
    return compile(ast.fix_missing_locations(tree), self.path, "exec")
importlib.machinery.SourceFileLoader.get_code = get_code
"""


def walk(root: Path, name: str) -> list[list[str]]:
    """For each process of a call, in order of start, the package's files it enters, in order of first entry."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "path").mkdir()
        (Path(folder) / "path" / "sitecustomize.py").write_text(TRACER)
        (Path(folder) / "seen").mkdir()
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(Path(folder) / "path"), str(root)]),
            "WALK_PACKAGE": str(root / "workbench") + os.sep,
            "WALK_OUT": str(Path(folder) / "seen"),
        }
        words = [word.replace("OUT", f"{folder}/runs") for word in WALKS[name]]
        subprocess.run([sys.executable, *words], cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
        found = sorted((Path(folder) / "seen").iterdir(), key=lambda path: int(path.name))
        return [path.read_text().split() for path in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to measure")
    parser.add_argument("--against", type=Path, help="another checkout, for the lines before")
    parser.add_argument("--walk", choices=list(WALKS))
    parser.add_argument("--quick", action="store_true", help="as every benchmark: this one is always quick")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    asked = parser.parse_args()
    if asked.walk:
        for number, files in enumerate(walk(asked.root, asked.walk), 1):
            print(f"process {number}: {len(files)} files", *files, sep="\n  ")
        return
    now, before = house(asked.root), house(asked.against) if asked.against else None
    print(table(now, before))
    if asked.json:
        ratios = {"lines": before["together"]["lines"] / now["together"]["lines"]} if before else {}
        print(
            json.dumps(
                {"name": "house", "ratios": ratios, "device": "none", "versions": {"python": platform.python_version()}}
            )
        )


if __name__ == "__main__":
    main()
