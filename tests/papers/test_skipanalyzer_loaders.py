"""Juliet and Infer's tests by path, on small folders of their layout: truth, groups, nothing that tells the label."""

import re

import pytest

from workbench.errors import DataError
from workbench.papers import skipanalyzer as skip
from workbench.papers.skipanalyzer.sarif import new_log, new_result

CWE = "CWE476_NULL_Pointer_Dereference"
JULIET = """package testcases.%(cwe)s;
/* FLAW in bad(), FIX in good() */
public class %(cwe)s__%(name)s extends AbstractTestCase {
    public void bad() throws Throwable {
        String data = null; /* POTENTIAL FLAW: data is null */
        badSink(data); IO.writeLine("bad " + data.length());
    }
    private void badSink(String data) { }
    public void good() throws Throwable { goodG2B(); }
    private final void goodG2B() throws Throwable {
        String data = "x"; // FIX: not null
        new %(cwe)s__%(name)s().goodG2BSink(data); IO.writeLine(data.length());
    }
    public static void main(String[] args) { mainFromParent(args); }
}
"""
INFER = """package codetoanalyze.java.infer;
public class Cases {
  int plainBad() { Object o = null; return o.hashCode(); } // NPE here
  int FP_checkedOk(Object o) { if (o != null) { return o.hashCode(); } return 0; }
  int FP_checkedOk(Object o, int n) { return 1; }
  class Inner { int dispatchOK_FP() { return plainBad(); } }
  int FN_silentBad() { return 1; }
}
"""
ISSUES = """\
a/b/Cases.java, codetoanalyze.java.infer.Cases.plainBad():int, 1, NULLPTR_DEREFERENCE, no_bucket, ERROR, [x,y]
a/b/Cases.java, codetoanalyze.java.infer.Cases.plainBad():int, 2, NULLPTR_DEREFERENCE, no_bucket, ERROR, [x,y]
a/b/Cases.java, codetoanalyze.java.infer.Cases.FP_checkedOk(Object):int, 1, NULLPTR_DEREFERENCE, no_bucket, ERROR, []
a/b/Cases.java, codetoanalyze.java.infer.Cases$Inner.dispatchOK_FP():int, 1, NULLPTR_DEREFERENCE, no_bucket, ERROR, []
a/b/Cases.java, codetoanalyze.java.infer.Cases.latent():int, 1, NULLPTR_DEREFERENCE_LATENT, no_bucket, ERROR, []
a/b/Gone.java, codetoanalyze.java.infer.Gone.x():int, 1, NULLPTR_DEREFERENCE, no_bucket, ERROR, []
no line of a report
"""
TOLD = re.compile(r"bad|good|flaw|fix|npe|ok\b|fp|cwe|//|/\*", re.IGNORECASE)


@pytest.fixture
def juliet(tmp_path):
    place = tmp_path / "testcases" / CWE
    place.mkdir(parents=True)
    for name in ("Integer_01", "Integer_52a", "StringBuilder_01"):
        (place / f"{CWE}__{name}.java").write_text(JULIET % {"cwe": CWE, "name": name})
    (place / "Main.java").write_text("class Main { void bad() { } }")
    return tmp_path


def test_juliet_tells_its_truth_and_nothing_else(juliet):
    found = skip.read_juliet(juliet)
    assert len(found) == 9 and [row.case.real for row in found[:3]] == [True, True, False]
    assert {row.case.group for row in found} == {"01", "52"}
    assert {row.functional for row in found} == {"Integer", "StringBuilder"}
    for row in found:
        assert not TOLD.search(row.case.text) and not re.match(r"public|private|final", row.case.text), row.case.text
    assert [row.private for row in found[:3]] == [False, True, True]
    texts = {row.case.text for row in found if row.case.id.endswith(":bad")}
    assert len(texts) == 1, "the class's own name is gone"


def test_juliets_two_rules_are_printed_as_controls(juliet):
    files = sorted(path.relative_to(juliet).as_posix() for path in juliet.rglob("CWE*.java"))
    results = [new_result("nullReference", "", "warning", file, 6) for file in files]
    results += [new_result("potentialNullReference", "", "warning", file, 12) for file in files[:2]]
    results.append(new_result("style", "", "warning", files[0], 8))
    found = skip.read_juliet(juliet, skip.findings(new_log("ecj", "", "", results, {}), juliet))
    assert [row.case.id.rpartition(":")[2] for row in found] == ["bad", "goodG2B", "bad", "goodG2B", "bad"]
    assert [(row.rule, row.sure) for row in found[:2]] == [("nullReference", True), ("potentialNullReference", False)]
    rows = skip.juliet_controls(found)
    assert [row["scorer"] for row in rows] == ["is not private", "the analyser calls it certain"]
    assert [row["AUROC"].value for row in rows] == [1.0, 1.0]


def test_infers_tests_are_read_by_their_report(tmp_path):
    (tmp_path / "Cases.java").write_text(INFER)
    (tmp_path / "issues.exp").write_text(ISSUES)
    found = skip.read_infer_tests(tmp_path)
    assert [(row.case.id.split(":")[1], row.case.real) for row in found] == [
        ("Cases.plainBad", True), ("Cases.FP_checkedOk", False), ("Cases.Inner.dispatchOK_FP", False),
    ]  # fmt: skip
    assert all(row.case.group == "Cases.java" and not TOLD.search(row.case.text) for row in found)
    assert "if (o != null)" in found[1].case.text and found[0].rule == "NULLPTR_DEREFERENCE"


def test_another_folder_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="holds no test case of Juliet"):
        skip.read_juliet(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        skip.read_juliet(tmp_path / "gone")
    with pytest.raises(DataError, match=r"cannot read issues\.exp"):
        skip.read_infer_tests(tmp_path)
    (tmp_path / "issues.exp").write_text(ISSUES)
    with pytest.raises(DataError, match="about a method there"):
        skip.read_infer_tests(tmp_path)
