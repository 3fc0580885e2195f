"""A tree and its warnings in; table, SARIF and diffs out: real files, real git, bad input, Java where it is needed."""

import csv
import json
import os
import subprocess
from urllib.parse import quote

import pytest
from java_tools import needs_java

from workbench.errors import DataError, ModelError, UsageError
from workbench.files import ROOT
from workbench.papers import skipanalyzer as skip
from workbench.papers.skipanalyzer.repair import diff
from workbench.papers.skipanalyzer.triage import triage

SAMPLES = ROOT.parent / "shared" / "data" / "sarif"
BODY = """\tint %s(String s) {
\t\tString t = null;
\t\tif (s.length() > 2) {
\t\t\tt = help(s);
\t\t}
\t\treturn t.length();
\t}
"""
CLASS = (
    "package a;\nclass One {\n" + BODY % "f" + BODY % "g" + BODY % "h" + '\tString help(String s) { return "ü"; }\n}'
)


def warned(file, line, rule="nullReference", message="The variable t is null", **more):
    place = {"artifactLocation": {"uri": file}, "region": {"startLine": line}}
    return {"ruleId": rule, "message": {"text": message}, "locations": [{"physicalLocation": place}], **more}


def logged(path, results):
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "some tool"}}, "results": results}]}
    path.write_text(json.dumps(log))
    return path


def state(folder):
    """Every path below a folder with its content, target or kind, and when it was changed."""
    return {
        path: (os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "",
               path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip


@pytest.fixture
def no_java(monkeypatch):
    monkeypatch.setenv("WORKBENCH_ECJ", "/nowhere/ecj.jar")


@pytest.fixture
def source(tmp_path):
    """A tree of one good file and of what goes wrong; links lead round in circles and out of it."""
    place = tmp_path / "tree"
    (place / "a").mkdir(parents=True)
    (place / "a" / "One.java").write_text(CLASS)
    (place / "a" / "Again.java").write_text("package a;\nclass One { int x(String s) {\n return s.length(); } }")
    (place / "Named.java").write_text("public class Other { int x(String s) {\n return s.length(); } }")
    (place / "Latin.java").write_bytes('class Latin { String s = "é"; }'.encode("latin-1"))
    (place / "Huge.java").write_bytes(b"class Huge { /*" + b"x" * 2_000_001 + b"*/ }")
    (place / "Open.java").write_text("class Open { void f(String s) {\n if (s { }\n s.trim(); }")
    (tmp_path / "outside.java").write_text("class A { void f(String s) {\n s.trim(); } }")
    (place / "Link.java").symlink_to(tmp_path / "outside.java")
    (place / "circle").symlink_to(place)
    return place


BAD = {  # what a warning says -> its reason
    "Latin.java": ((1,), "is no UTF-8"),
    "Huge.java": ((1,), "is longer than 2,000,000 bytes"),
    "Open.java": ((2,), "its method is no Java"),
    "Link.java": ((2,), "is no .java file of the tree"),
    "circle/a/One.java": ((8,), "is no .java file of the tree"),
    "Gone.java": ((1,), "Gone.java is not in the source tree"),
    "../outside.java": ((2,), "lies outside the source tree"),
    "a/%2e%2e/%2e%2e/outside.java": ((2,), "lies outside the source tree"),
    "/etc/passwd": ((1,), "is not in the source tree"),
    "https://example.org/A.java": ((1,), "is no file"),
    "a/One.java": ((2,), "line 2 stands in no method"),
    "a/./One.java": ((999,), "line 999 stands in no method"),
}


def test_what_cannot_be_triaged_is_a_row_with_its_reason(source, tmp_path, no_java):
    results = [warned(file, *given) for file, (given, _) in BAD.items()]
    results += [
        warned("a/One.java", 8, rule="<script>alert(1)</script>"),
        warned("a/One.java", 8, suppressions=[{"kind": "inSource"}]),
        {"message": {"text": "no place"}}, warned("a/One.java", 8, message="x" * 10_000_000),
        warned("a/Again.java", 2), warned("Named.java", 2), warned("a/One.java", 0),
    ]  # fmt: skip
    before = state(source)
    given = logged(tmp_path / "in.sarif", results)
    found = triage(source, sarif=given, into=tmp_path / "out")
    assert state(source) == before, "the tree is not written to"
    assert [row.finding.place for row in found.rows] == [(0, number) for number in range(len(results))]
    for row, (_, reason) in zip(found.rows, BAD.values()):
        assert row.question is None and reason in row.reason, (row.finding.file, row.reason)
    rest = found.rows[len(BAD) :]
    assert "is none of those" in rest[0].reason and rest[1].reason == "it was suppressed before"
    assert rest[2].reason == "it names no place" and rest[6].reason == "it names no line"
    assert [row.question.method.name for row in rest[3:6]] == ["f", "x", "x"]
    told = dict(found.files)
    assert "declared in" in told["a/One.java"] and "belongs in Other.java" in told["Named.java"] and len(told) == 5

    assert json.loads((tmp_path / "out" / "triaged.sarif").read_text()) == json.loads(given.read_text())
    with open(tmp_path / "out" / "findings.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(results) and max(len(cell) for row in table for cell in row.values()) <= 300
    assert not any(row["patch"] == "accepted" for row in table)
    patched = [row for row in table if row["patch"]]
    assert patched and all("neither compiled nor run" in row["reason"] for row in patched)
    assert list((tmp_path / "out").glob("patches/*")) == [] and (tmp_path / "out" / "all.diff").read_text() == ""


def test_equal_methods_are_asked_once_and_a_failed_call_hides_nothing(tmp_path, no_java):
    place = tmp_path / "tree"
    place.mkdir()
    for number in range(6):
        shift = "\n" * number
        (place / f"C{number}.java").write_text(f"class C{number} {{{shift}\n{BODY % 'f'}}}\n")
    results = [warned(f"C{number}.java", 7 + number) for number in range(6)]
    results.append(warned("C0.java", 6))  # another line of the method: another question
    log = logged(tmp_path / "in.sarif", results)
    seen = []

    def judge(questions):
        seen.append(questions)
        return [skip.Verdict("false", 0.9, "me", "1", "<b>no</b>")] * len(questions)

    found = triage(place, sarif=log, judge=judge, patcher=lambda asked: pytest.fail("nothing real is left"))
    assert [len(one) for one in seen] == [2] and (found.asked, found.saved) == (2, 5)
    assert [row.verdict.kind for row in found.rows] == ["false"] * 7
    result = found.log["runs"][0]["results"][3]
    assert result["level"] == "note" and result["suppressions"][0]["status"] == "underReview"
    assert "5 calls saved" in found.sentence() and "7 false" in found.sentence()

    def fails(questions):
        raise ModelError("the server is away")

    for judge, why in ((fails, "the server is away"), (lambda questions: [], "gave 0 answers to 2 questions")):
        found = triage(place, sarif=log, judge=judge, patcher=fails)
        assert {row.verdict.kind for row in found.rows} == {"needs a person"}
        assert why in found.rows[0].verdict.explanation and found.rows[0].reason == "the patcher has no patch for it"
        assert all("suppressions" not in result for result in found.log["runs"][0]["results"])
    found = triage(place, sarif=log, limit=1)
    assert "beyond limit=1" in found.rows[6].reason and found.rows[0].patch and found.asked == 1


def test_diffs_of_several_methods_of_a_file_apply_in_any_order(tmp_path):
    for number, text in enumerate((CLASS, CLASS.replace("\n", "\r\n"), CLASS + "\n", CLASS.replace("\t", "    "))):
        place = tmp_path / str(number)
        place.mkdir()
        subprocess.run(["git", "init", "-q", place], check=True)
        found = skip.parse_methods(text, "One.java")[:3]
        patches = [one.text.replace("return t.length();", "t = s;\n\t\treturn t.length();") for one in found]
        made = [diff(text, method, patch, found) for method, patch in zip(found, patches)]
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
            (place / "One.java").write_bytes(text.encode())
            for one in order:
                subprocess.run(["git", "apply", "-"], input=made[one].encode(), cwd=place, check=True)
            after = (place / "One.java").read_bytes().decode()
            assert [one.text.count("t = s;") for one in skip.parse_methods(after)[:3]] == [1, 1, 1]
            assert after.replace("t = s;", "").split() == text.split()
            assert after.count("\r\n") == (after.count("\n") if "\r" in text else 0)


def test_what_is_asked_wrongly_is_one_sentence(source, tmp_path, no_java):
    log = logged(tmp_path / "in.sarif", [])
    with pytest.raises(DataError, match="there is no folder"):
        triage(tmp_path / "gone")
    with pytest.raises(UsageError, match="lies inside the tree"):
        triage(source, sarif=log, into=source / "out")
    with pytest.raises(UsageError, match="limit=0"):
        triage(source, sarif=log, limit=0)
    with pytest.raises(skip.JavaMissing, match=r"sarif=FILE"):
        triage(source)
    log.write_text(log.read_text().replace("2.1.0", "1.0.0"))
    with pytest.raises(DataError, match=r"2\.1\.0 is read here"):
        triage(source, sarif=log)
    with pytest.raises(DataError, match="cannot read"):
        triage(source, sarif=tmp_path / "gone.sarif")
    bugs = [{"bug_type": "NULL_DEREFERENCE", "file": "a/One.java", "line": 8, "qualifier": "t", "severity": "ERROR"}]
    (tmp_path / "report.json").write_text(json.dumps(bugs))
    (row,) = triage(source, sarif=tmp_path / "report.json").rows
    assert (row.finding.tool, row.question.method.name) == ("Infer", "f")


def test_a_run_writes_into_its_own_folder(source, tmp_path, no_java, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path / "run"))
    triage(source, sarif=logged(tmp_path / "in.sarif", [warned("a/One.java", 8)]))
    assert sorted(path.name for path in (tmp_path / "run" / "triage").iterdir()) == [
        "all.diff", "files.csv", "findings.csv", "triaged.sarif",
    ]  # fmt: skip


def test_a_tree_that_a_program_wrote(tmp_path, no_java):
    """Deep sums, a byte order mark, odd names, two methods in a line, one inside another."""
    place, deep = tmp_path / "tree", '+ "a"' * 2000
    body = BODY % "f"
    inner = body.replace(
        "help(s);", "help(s);\nRunnable r = () -> new Object() { void q() {\nString t = null; t.trim(); } };"
    )
    files = {
        "Deep.java": f"class Deep {{\n{body.replace('help(s)', f'help(s) {deep}')}}}",
        "Mark.java": f"\ufeffclass Mark {{\n{body}}}",
        'a "b" ü.java': f"class C {{\n{body}}}",
        "Line.java": "class Line { int f(String s) { return s.length(); } int g(String s) { return s.length(); } }",
        "In.java": f"class In {{\n{inner}}}",
    }
    place.mkdir()
    for name, text in files.items():
        (place / name).write_text(text)
    lines = {"Line.java": 1, "In.java": 6}
    log = logged(tmp_path / "in.sarif", [warned(quote(name), lines.get(name, 7)) for name in files])
    found = triage(place, sarif=log, judge=lambda asked: [None] * len(asked), patcher=lambda asked: [None] * len(asked))
    assert [row.question.method.name for row in found.rows] == ["f", "f", "f", "g", "q"]
    assert {row.verdict.kind for row in found.rows} == {"needs a person"}
    found = triage(place, sarif=log)
    told = [row.validation.why if row.validation else row.reason for row in found.rows]
    assert all("neither compiled nor run" in one for one in told[:3]), told


@pytest.mark.parametrize("name", ["Suppressions", "CodeFlows", "OriginalUriBaseIds", "RegionVariants", "No-runs"])
def test_the_samples_come_back_whole(name, tmp_path):
    if not SAMPLES.exists():
        pytest.skip("../shared/data is absent")
    (tmp_path / "tree").mkdir()
    path = SAMPLES / f"{name}.sarif"
    found = triage(tmp_path / "tree", sarif=path, into=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "triaged.sarif").read_text("utf-8")) == json.loads(
        path.read_text("utf-8-sig")
    )
    assert len(found.rows) == sum(len(run.get("results") or []) for run in found.log["runs"] or [])
    assert all(row.reason for row in found.rows)


@needs_java
@pytest.mark.slow
def test_accepted_patches_apply_with_git_and_compile(tmp_path):
    place, other = tmp_path / "tree", "package a;\nclass Two { One one; }\n"
    (place / "a").mkdir(parents=True)
    text = CLASS.replace(BODY % "h", "").replace("help(s)", "Three.help(s)")
    (place / "a" / "One.java").write_bytes(text.replace("\n", "\r\n").encode())
    (place / "a" / "Two.java").write_text(other)
    (place / "a" / "Three.java").write_text("package a;\nclass Three { static String help(String s) { return s; } }\n")
    before = state(place)
    found = triage(place, into=tmp_path / "out")
    assert state(place) == before and found.coverage.startswith("All 4 methods in 3 files")
    assert [row.validation.accepted for row in found.rows] == [True] * 2, "types of the tree are looked up in it"
    assert found.saved == 0 and "2 patches were accepted" in found.sentence()
    subprocess.run(["git", "init", "-q", place], check=True)
    for path in sorted((tmp_path / "out" / "patches").iterdir()):
        subprocess.run(["git", "apply", "--check", path], cwd=place, check=True)
    subprocess.run(["git", "apply", "--check", tmp_path / "out" / "all.diff"], cwd=place, check=True)
    subprocess.run(["git", "apply", tmp_path / "out" / "all.diff"], cwd=place, check=True)
    log, coverage = skip.analyse(place)
    assert log["runs"][0]["results"] == [] and coverage.whole


@needs_java
@pytest.mark.slow
def test_a_patch_that_breaks_its_file_is_no_diff(tmp_path):
    place = tmp_path / "tree"
    (place / "a").mkdir(parents=True)
    (place / "a" / "One.java").write_text(CLASS)
    results = [warned("a/One.java", line, message=str(n)) for n, line in enumerate((8, 15, 15, 15, 22))]
    results[3]["message"] = results[2]["message"]  # of another tool, say
    log = logged(tmp_path / "in.sarif", results)

    def patcher(questions):
        first, second, third, fourth = (one.method.text for one in questions)
        return [
            first.replace("return t", "return q"),
            second.replace("return", "t = s;\n\t\treturn"),
            third.replace("return", "t = t + s;\n\t\treturn"),
            fourth.replace("int h(", "long h(").replace("return", "t = s;\n\t\treturn"),
        ]

    found = triage(place, sarif=log, patcher=patcher)
    assert [row.validation.accepted for row in found.rows] == [False, True, True, True, False]
    assert "names q" in found.rows[0].validation.why and "return type" in found.rows[4].validation.why
    assert [bool(row.diff) for row in found.rows] == [False, True, False, False, False]
    assert found.saved == 1 and {row.reason for row in found.rows[2:4]} == {
        "another patch of g was taken: apply it, and triage again"
    }
