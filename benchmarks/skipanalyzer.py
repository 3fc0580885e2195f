"""A tree of Java read and paired with its warnings: synthetic files of real methods' shapes, one thread.

Ratios (baseline / ours, larger is better):

calls_by_equal_methods
    Questions that a judge is asked when every warning is asked, against those that `triage` asks. One method in three
    is a copy of another's text, as copied and generated code is; the ratio is a property of that share.
memory_of_a_tree
    Peak memory of a tree of a thousand files against that of ten thousand, both with 100 warnings, each above what the
    program takes before the first file: 1 where memory does not grow with the tree, 0.1 where all of it is held.

Printed besides: CPU seconds to parse 1,000 methods (the aim is below 1), files and methods a CPU second, and peak
megabytes. Nothing is compiled. `--quick`: 100 and 1,000 files.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common

METHODS, WARNINGS = 8, 100  # a file; a tree
CHILD = """
import json, sys, time
from pathlib import Path
from workbench.papers.skipanalyzer.triage import triage
from workbench.papers.skipanalyzer import Verdict
from workbench.papers.skipanalyzer.sources import parse_methods
parse_methods("class A { void f() { } }")
def kilobytes(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (Linux)
start, began = kilobytes("VmRSS"), time.process_time()
judge = lambda asked: [Verdict("false", 0.0, "nobody", "none")] * len(asked)
found = triage(sys.argv[1], sarif=sys.argv[2], judge=judge, limit=10**6)
print(json.dumps({"seconds": time.process_time() - began, "files": found.read[0], "methods": found.read[1],
                  "asked": found.asked, "saved": found.saved, "start": start, "peak": kilobytes("VmHWM")}))
"""


def method(rng: random.Random, number: int) -> str:
    """A method of 16 lines that opens a file; every third has the text of one that stands elsewhere too."""
    name = f"read{number if number % 3 else number % 30}"
    words = random.Random(name)
    lines = [f'        text = text + "{words.random():.12f}" + reader.read();' for _ in range(8)]
    return "\n".join([
        f"    String {name}(java.io.File file, int count) throws java.io.IOException {{",
        "        java.io.FileReader reader = new java.io.FileReader(file);", '        String text = "";',
        f"        if (count > {words.randrange(1000)}) {{", "            return null;", "        }", *lines,
        "        return text.trim();", "    }",
    ])  # fmt: skip


def make_tree(place: Path, files: int) -> Path:
    """A tree of so many files and its warnings; returns the SARIF file."""
    rng, results = random.Random(0), []
    for number in range(files):
        folder = place / "tree" / f"p{number // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"C{number}"
        body = "\n".join(method(rng, METHODS * number + each) for each in range(METHODS))
        (folder / f"{name}.java").write_text(f"package p{number // 100};\nclass {name} {{\n{body}\n}}\n")
        if number % (files * METHODS // WARNINGS):
            continue
        uri = f"p{number // 100}/{name}.java"
        for each in range(METHODS):
            place_of = {"artifactLocation": {"uri": uri}, "region": {"startLine": 4 + 16 * each}}
            told = {"text": "Resource leak: 'reader' is never closed"}
            results.append(
                {"ruleId": "unclosedCloseable", "message": told, "locations": [{"physicalLocation": place_of}]}
            )
    log = place / "in.sarif"
    log.write_text(json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": results}]}))
    return log


def measured(files: int) -> dict:
    """What a process of its own takes to triage a tree of so many files."""
    with tempfile.TemporaryDirectory() as name:
        log = make_tree(Path(name), files)
        code = f"import sys; sys.path.insert(0, {str(common.ROOT)!r})\n{CHILD}"
        done = subprocess.run(
            [sys.executable, "-c", code, Path(name) / "tree", log], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    options = common.options(__doc__).parse_args()
    small, large = (100, 1000) if options.quick else (1000, 10_000)
    from workbench.papers.skipanalyzer.sources import parse_methods

    rng = random.Random(1)
    texts = [f"class A {{\n{method(rng, 3 * number + 1)}\n}}\n" for number in range(1000)]
    parse_methods(texts[0])
    parsing, found = common.cpu_seconds(lambda: [parse_methods(text) for text in texts])
    if [len(one) for one in found] != [1] * 1000:
        raise SystemExit("a method was not found")
    print(f"1,000 methods of {len(texts[0].splitlines()) - 2} lines parsed in {parsing:.2f} CPU s")
    began = time.perf_counter()
    trees = {files: measured(files) for files in (small, large)}
    for files, one in trees.items():
        print(
            f"{files:,} files, {one['methods']:,} methods: {one['seconds']:.1f} CPU s, "
            f"{files / one['seconds']:,.0f} files/s, {one['methods'] / one['seconds']:,.0f} methods/s; "
            f"peak {one['peak'] / 1024:.0f} MB, {(one['peak'] - one['start']) / 1024:.0f} of them after the start; "
            f"{one['asked']} questions, {one['saved']} calls saved"
        )
    print(f"both trees written and read in {time.perf_counter() - began:.0f} s (wall clock)")
    last = trees[large]
    grown = [max(one["peak"] - one["start"], 1024) for one in trees.values()]
    ratios = {
        "calls_by_equal_methods": (last["asked"] + last["saved"]) / last["asked"],
        "memory_of_a_tree": grown[0] / grown[1],
    }
    print(", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    if options.json:
        common.print_json("skipanalyzer", ratios, "cpu, 1 thread", ("tree-sitter", "tree-sitter-java"))


if __name__ == "__main__":
    main()
