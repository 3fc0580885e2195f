"""The house in numbers: lines a room, longest functions, parameters, exports, shares of docstrings and comments; walks.

    python benchmarks/house.py                       # this checkout, as a Markdown table
    python benchmarks/house.py --against DIR         # beside another checkout (before and after)
    python benchmarks/house.py --walk logprobs       # the package's files that a call enters, in order of first entry
    python benchmarks/house.py --walk rain           # the same of `workbench run rain --profile smoke` up to its kernel

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
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WALKS = {
    "logprobs": "import workbench as wb\nwb.load('smollm2').logprobs(['The capital of France is'], [[' Paris']])",
    "rain": "import sys\nfrom workbench.cli import main\n"
    "sys.argv = ['workbench', 'run', 'rain', '--profile', 'smoke', '--out', sys.argv[1]]\nmain()",
}


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
        line += [f"{one['lines']:,}", str(one["files"]), *share, f"{one['longest'][0]} `{one['longest'][2]}`"]
        rows.append([*line, f"{one['widest'][1]} `{one['widest'][2]}`", str(one.get("exports", "-"))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# Runs in a child: notes the package's files in the order in which one of their functions is first entered. Modules'
# own bodies (imports) are left out: they say what a file needs, not what the call goes through.
TRACER = """
import sys, threading
seen = {}
def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_name != "<module>" and PACKAGE in code.co_filename:
        seen.setdefault(code.co_filename.split(PACKAGE)[1], f"{code.co_name}:{code.co_firstlineno}")
PACKAGE = sys.argv.pop(1)
program = sys.argv.pop(1)
threading.setprofile(note)
sys.setprofile(note)
try:
    exec(compile(program, "walk", "exec"), {"__name__": "walk"})
finally:
    sys.setprofile(None)
    with open(sys.argv.pop(), "w") as file:
        print(*seen, sep="\\n", file=file)
"""


def walk(root: Path, name: str) -> list[str]:
    """The package's files that a call enters, by the first function entered; a run's kernel is its own process."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "files.txt"
        arguments = [str(root / "workbench") + os.sep, WALKS[name], *([folder] if name == "rain" else []), str(out)]
        environment = os.environ | {"PYTHONPATH": str(root)}
        subprocess.run([sys.executable, "-c", TRACER, *arguments], cwd=root, env=environment, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        return out.read_text().split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to measure")
    parser.add_argument("--against", type=Path, help="another checkout, for the lines before")
    parser.add_argument("--walk", choices=list(WALKS))
    parser.add_argument("--quick", action="store_true", help="as every benchmark: this one is always quick")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    asked = parser.parse_args()
    if asked.walk:
        print(*walk(asked.root, asked.walk), sep="\n")
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
