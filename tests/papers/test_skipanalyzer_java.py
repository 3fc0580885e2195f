"""Methods of Java files, ecj's warnings with their coverage, Infer's report; what is expected was counted by hand."""

import json
import os
from pathlib import Path

import pytest
from java_tools import needs_java

from workbench.errors import DataError, UsageError
from workbench.papers import skipanalyzer as skip

OUTER = """package a.b;
import java.util.*;
public class Outer<T> {
  @Override public static <X> int first(final List<String> a, int... more) throws E { g(); this.h(a); o.k(); return 1; }
  Outer() { super(); new Runnable() { public void run() { inside(); } }; }
  abstract void none();
  record Point(int x, String y) { Point { if (x < 0) throw new E(); } }
  interface I { default int d() { return switch (this) { case Point(var q, var r) when q > 1 -> 1; default -> 2; }; } }
  String text() { return \"\"\"
    void notAMethod() { }
    \"\"\"; }
}
"""
LEAKS = """package p;
import java.io.*;
class %s {
  int f(String s) { if (s == null) { return s.length(); } return 0; }
  int g(File f) throws IOException { FileInputStream in = new FileInputStream(f); return in.read(); }
  int h(String s) { String t = null; if (s.length() > 2) t = "x"; return t.length(); }
  int fine(File f) throws IOException { try (FileInputStream in = new FileInputStream(f)) { return in.read(); } }
}
"""


def test_methods_of_modern_java():
    found = skip.parse_methods(OUTER, "a/b/Outer.java")
    assert [(one.type, one.name, one.parameters, one.start) for one in found] == [
        ("Outer", "first", ("List<String>", "int..."), 4), ("Outer", "Outer", (), 5), ("Outer.Outer()", "run", (), 5),
        ("Outer.Point", "Point", (), 7), ("Outer.I", "d", (), 8), ("Outer", "text", (), 9),
    ]  # fmt: skip
    assert found[0].modifiers == ("public", "static") and found[0].calls == {"g", "h"}
    assert not any(one.problem for one in found)
    data = OUTER.encode()
    assert all(data[one.first : one.last].decode() == one.text for one in found)
    assert found[-1].end == 11 and found[0].key == "a/b/Outer.java:Outer.first(List<String>, int...)"


def test_bytes_count_where_characters_are_wide():
    source = 'class A { String s = "𝕏ü"; void f() { g("é"); } }'
    (one,) = skip.parse_methods(source)
    assert source.encode()[one.first : one.last].decode() == one.text == 'void f() { g("é"); }'


def test_each_bad_file_is_a_row_with_a_reason(tmp_path):
    (tmp_path / "Good.java").write_text("class Good { void f() { } }")
    (tmp_path / "Latin.java").write_bytes('class Latin { String s = "é"; }'.encode("latin-1"))
    (tmp_path / "Open.java").write_text("class Open { void f() { if (x { } void g() { } }")
    (tmp_path / "Wrong.java").write_text("public class Right { void f() { } }")
    (tmp_path / "Huge.java").write_text("class Huge { /*" + "x" * 2_000_000 + "*/ }")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "Again.java").write_text("class Good { void g() { } }")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "Link.java").symlink_to(tmp_path / "Good.java")
    os.mkfifo(tmp_path / "Pipe.java")
    (tmp_path / "Folder.java").mkdir()
    found = {one.file: one for one in skip.scan(tmp_path)}
    assert list(found) == [
        "Good.java", "Huge.java", "Latin.java", "Open.java", "Pipe.java", "Wrong.java", "sub/Again.java"
    ]  # fmt: skip
    said = {file: one.problem for file, one in found.items()}
    assert said["Good.java"] == "" and "longer than 2,000,000 bytes" in said["Huge.java"]
    assert "line 1: byte 0xe9 is no UTF-8" in said["Latin.java"] and "line 1" in said["Open.java"]
    assert "no plain file" in said["Pipe.java"] and "Right belongs in Right.java" in said["Wrong.java"]
    assert "Good is declared in Good.java too" in said["sub/Again.java"]
    assert [one.name for one in found["Wrong.java"].methods] == ["f"]
    assert [one.file for one in found.values() if not one.text] == ["Huge.java", "Latin.java", "Pipe.java"]
    with pytest.raises(DataError, match="there is no folder"):
        list(skip.scan(tmp_path / "none"))


def test_a_folder_that_cannot_be_listed_is_said(tmp_path, monkeypatch):
    """As root everything can be listed, so the system's own refusal is raised for one folder."""
    (tmp_path / "open").mkdir()
    (tmp_path / "shut").mkdir()
    (tmp_path / "open" / "A.java").write_text("class A { void f() {} }\n")
    real = os.scandir

    def listed(path):
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", listed)
    found = {one.file: one for one in skip.scan(tmp_path)}
    assert len(found["open/A.java"].methods) == 1 and found["shut"].methods == () and not found["shut"].text
    assert "cannot list the folder" in found["shut"].problem and "Permission denied" in found["shut"].problem


@needs_java
def test_ecj_warns_and_says_what_it_did_not_see(tmp_path):
    tree = tmp_path / 'a "quoted" tree'
    tree.mkdir()
    (tree / "Leaks.java").write_text(LEAKS % "Leaks")
    log, coverage = skip.analyse(tree)
    found = [(one.rule, one.file, one.line) for one in skip.findings(log, tree)]
    assert found == [
        ("nullReference", "Leaks.java", 4), ("unclosedCloseable", "Leaks.java", 5),
        ("potentialNullReference", "Leaks.java", 6),
    ]  # fmt: skip
    assert coverage.whole and coverage.sentence(3) == "All 4 methods in 1 files were analysed: 3 warnings."
    (tree / "Blind.java").write_text(
        "import org.nowhere.Thing; class Blind { Thing t; void f(String s) { s = null; s.trim(); } }"
    )
    log, coverage = skip.analyse(tree)
    assert not coverage.whole and coverage.missing == (("org.nowhere", 1),)
    assert (coverage.analysed_files, coverage.files, coverage.analysed_methods, coverage.methods) == (1, 2, 4, 5)
    for warnings in (0, 3):
        said = coverage.sentence(warnings)
        assert "4 of 5 methods" in said and "org.nowhere" in said and "no warnings" not in said
    assert [file.name for file in tree.iterdir() if file.suffix != ".java"] == []


@needs_java
def test_no_processor_of_the_tree_runs(tmp_path):
    services = tmp_path / "META-INF" / "services"
    services.mkdir(parents=True)
    (services / "javax.annotation.processing.Processor").write_text("Evil\n")
    (tmp_path / "Evil.java").write_text(
        'public class Evil { static { new java.io.File("/tmp/evil-ran").mkdirs(); } void f() { } }'
    )
    _, coverage = skip.analyse(tmp_path, classpath=[tmp_path])
    assert coverage.whole and not os.path.exists("/tmp/evil-ran")


@needs_java
def test_bad_input_of_an_analysis(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.java file"):
        skip.analyse(tmp_path)
    (tmp_path / "A.java").write_text("class A { }")
    with pytest.raises(UsageError, match=r"names .*none\.jar, which is not there"):
        skip.analyse(tmp_path, classpath=str(tmp_path / "none.jar"))


def test_infers_report_is_a_log_like_others(tmp_path):
    bug = {"bug_type": "NULL_DEREFERENCE", "qualifier": "object x", "severity": "ERROR", "line": 7,
           "file": "a b/X.java", "bug_type_hum": "Null Dereference"}  # fmt: skip
    path = tmp_path / "report.json"
    path.write_text(json.dumps([bug, bug | {"bug_type": "RESOURCE_LEAK", "severity": "LIKE", "line": 0}]))
    first, second = skip.findings(skip.read_infer(path))
    assert (first.tool, first.rule, first.level, first.file, first.line) == (
        "Infer",
        "NULL_DEREFERENCE",
        "error",
        "a b/X.java",
        7,
    )
    assert (second.rule, second.level, second.line) == ("RESOURCE_LEAK", "note", 1)
    assert skip.KINDS[first.rule] != skip.KINDS[second.rule]
    path.write_text(json.dumps([{"bug_type": "X"}]))
    with pytest.raises(DataError, match="bug 1: 'file' is missing"):
        skip.read_infer(path)
