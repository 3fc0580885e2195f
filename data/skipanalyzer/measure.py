"""Let Eclipse's compiler analyse every method of methods.jsonl, and write what it warns of into the column `warnings`.

python data/skipanalyzer/measure.py
"""

import dataclasses
import json
import tempfile
from pathlib import Path

from workbench.files import ROOT
from workbench.papers.skipanalyzer.analysers import analyse
from workbench.papers.skipanalyzer.data import teaching_set
from workbench.papers.skipanalyzer.sarif import findings


def measured(examples) -> dict[str, list[dict]]:
    """Example id -> its warnings, in lines of its method; each is analysed in its class, in a package of its own."""
    found = {one.id: [] for one in examples}
    starts = {one.id: one.around[0].count("\n") + 1 for one in examples}  # below the line with the package
    with tempfile.TemporaryDirectory() as folder:
        for one in examples:
            path = Path(folder) / one.id / one.file
            path.parent.mkdir()
            path.write_text(f"package {one.id};\n{one.source}", encoding="utf-8")
        log, coverage = analyse(folder)
        assert coverage.whole, coverage.sentence(0)
        for told in findings(log):
            own = told.file.split("/")[0]
            line = told.line - starts[own]
            found[own].append({"rule": told.rule, "line": line, "message": told.message})
    return found


if __name__ == "__main__":
    examples = teaching_set()
    warned = measured(examples)
    lines = [json.dumps(dataclasses.asdict(one) | {"warnings": warned[one.id]}, ensure_ascii=False) for one in examples]
    (ROOT / "data" / "skipanalyzer" / "methods.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{sum(map(len, warned.values()))} warnings in {len(examples)} methods")
