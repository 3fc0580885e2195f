"""Patches: mended methods pass their check, buggy ones fail it, hostile ones are refused or fail, diffs apply."""

import os
import subprocess
from dataclasses import replace

import pytest
from java_tools import needs_java

from workbench.papers.skipanalyzer import compiler
from workbench.papers.skipanalyzer.data import teaching_set
from workbench.papers.skipanalyzer.repair import Proposal, diff, rule_patch, sandbox, validate
from workbench.papers.skipanalyzer.repair.sandbox import (
    Check,
    compile_java,
    compiled_classes,
    harness_sources,
    run_checks,
)
from workbench.papers.skipanalyzer.sources import parse_methods

SET = teaching_set()
MODES = next(row for row in SET if row.file == "Modes.java" and row.buggy)  # int cost(String mode, int steps)
HEADS = next(row for row in SET if row.file == "Heads.java" and row.buggy)  # int head(String path) throws IOException
HEADLINE = next(row for row in SET if row.file == "Headline.java" and row.buggy)
HEAD = "int cost(String mode, int steps) {\n"
TAIL = "    if (BASE.equals(mode)) {\n        return steps;\n    }\n    return steps * BASE.length();\n}"


def cost(statements):
    return f"{HEAD}    {statements}\n{TAIL}"


# ---- the teaching set's own methods


@pytest.fixture(scope="module")
def judged():
    """What each method of the set, each fix, and each patch by rule is judged to be: one compiler, one machine."""
    wanted = {(row.id, "method"): row.proposal(row.method) for row in SET}
    wanted |= {(row.id, "fix"): row.proposal(row.fix) for row in SET if row.buggy}
    wanted |= {(row.id, "rule"): row.proposal(patch) for row in SET if row.warnings
               if (patch := rule_patch(row.parsed(), row.findings()[0]))}  # fmt: skip
    wanted |= {("cost", patch): MODES.proposal(patch) for patch in RUN}
    wanted |= {"null": HEADLINE.proposal(NULL), "swallowed": HEADS.proposal(SWALLOWED)}
    return dict(zip(wanted, validate(list(wanted.values()))))


@needs_java
def test_every_fix_passes_its_check(judged):
    for row in SET:
        if row.buggy:
            found = judged[row.id, "fix"]
            assert (found.stage, found.accepted, found.skipped) == ("minimal", True, ()), (row.id, found.why)
            assert 0 < found.lines <= 10


@needs_java
def test_every_buggy_method_fails_its_check_and_every_clean_one_passes(judged):
    for row in SET:
        found = judged[row.id, "method"]
        assert not found.accepted, "it changes nothing, so it is no repair"
        assert found.stage == ("compiles" if row.buggy else "behaves"), (row.id, found.why)
        if row.buggy and row.kind == "resource leak":
            assert "stay open" in found.why, (row.id, found.why)
        elif row.buggy and row.file != "Crowd.java":  # the one whose ordinary result is wrong too
            assert "a null input raises a NullPointerException" in found.why, (row.id, found.why)


@needs_java
def test_the_patcher_by_rule_mends_what_its_rules_fit(judged):
    warned = [row for row in SET if row.buggy and row.warnings]
    right = [row.file for row in warned if (row.id, "rule") in judged and judged[row.id, "rule"].accepted]
    assert len(warned) == 23 and len(right) == 20
    assert {row.file for row in warned} - set(right) == {"Crowd.java", "Moves.java", "Group.java"}


def test_the_rules_literally():
    (method,) = parse_methods("int a(String b) {\n    String c = null;\n    return c.length();\n}")
    told = replace(MODES_FINDING, line=3, message="The variable c can only be null")
    assert rule_patch(method, told) == (
        "int a(String b) {\n    String c = null;\n"
        "    if (c == null) {\n        return 0;\n    }\n    return c.length();\n}"
    )
    (method,) = parse_methods("void a() throws IOException {\n    A b = new A();\n    b.c();\n}")
    leak = replace(told, rule="unclosedCloseable", line=2, message="Resource leak: 'b' is never closed")
    assert (
        rule_patch(method, leak) == "void a() throws IOException {\n    try (A b = new A()) {\n        b.c();\n    }\n}"
    )
    (method,) = parse_methods("void a() {\n    A b = new A();\n    b = new A();\n}")
    assert rule_patch(method, leak) == "", "a resource of a try is never assigned again"
    assert rule_patch(method, replace(leak, line=9)) == rule_patch(method, replace(leak, rule="STYLE")) == ""


MODES_FINDING = replace(next(row for row in SET if row.warnings).findings()[0], rule="nullReference")

# ---- what is refused before it is compiled

REFUSED = {
    "System.exit(0);": "calls exit",
    "System.out.println(steps);": "names System",
    'Runtime.getRuntime().exec("id");': "calls exec",
    'new ProcessBuilder("id").start();': "calls start",
    'Class.forName("A");': "calls forName",
    "BASE.getClass();": "calls getClass",
    "Object one = String.class;": "class literal",
    "new Thread(() -> { }).start();": "calls start",
    "java.lang.Thread.yield();": "calls yield",
    "java.lang.System.out.println(1);": "names java.lang.System",
    'java.nio.file.Path one = java.nio.file.Path.of("a");': "names Path",
    'java.net.URI.create("a");': "calls create",
    "java.util.concurrent.TimeUnit one = null;": "names the type java.util.concurrent.TimeUnit",
    "java.util.Timer one = new java.util.Timer();": "names java.util.Timer",
    'harness.Expect.put("a", "b");': "names Expect",
    "runner.Runner.main(null);": "calls main",
    "ClassLoader one = null;": "names the type ClassLoader",
    "int System = 0;": "a variable System, like a type",
    "class A { static { } }": "class declaration",
    "record A(int b) { }": "record declaration",
    "Object one = new Object() { };": "class body",
    "java.util.function.Supplier<Object> one = Object::new;": "method reference",
    "synchronized (mode) { }": "synchronized statement",
    "assert steps > 0;": "assert statement",
    f"int one = {'(' * 150}1{')' * 150};": "nested more than",
}
NOT_PARSED = {
    "\\u0053ystem.exit(0);": "Unicode escape",
    'String one = "\\u0022 + System.getenv() + \\u0022";': "Unicode escape",
    "return 1; } static { System.exit(0); } int two() {": "not one whole method",
    "return 1; } } class B { static { } int cost() {": "not one whole method",
    "steps++": "not one whole method",
    "int one = 1;\x1a": "a character that no source has",
    "//" + "x" * 20_000: "more than 20,000",
}


@pytest.mark.parametrize(
    ("statements", "stage", "words"),
    [*((s, "parses", w) for s, w in REFUSED.items()), *((s, "", w) for s, w in NOT_PARSED.items())],
    ids=lambda value: value[:30].encode("ascii", "ignore").decode(),
)
def test_what_is_not_on_the_list_is_refused_without_java(statements, stage, words, monkeypatch):
    monkeypatch.setattr(compiler, "java", no_java)
    (found,) = validate([MODES.proposal(cost(statements))])
    assert not found.accepted and (found.stage, found.skipped) == (stage, ())
    assert words in found.why and found.why.endswith(".") and "\n" not in found.why


def no_java():
    raise AssertionError("nothing is compiled")


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("", "holds no method"),
        ("I would add a null check.", "not one whole method"),
        ("int price(String mode, int steps) { return 1; }", "called price and not cost"),
        ("int cost(String mode, int steps);", "has no body"),
        (cost("") + "\nint two() { return 2; }", "not one whole method"),
        ("import java.net.*;\n" + cost(""), "not one whole method"),
        ("Modes() { }", "called Modes"),
        (HEAD + "}", "its body is empty"),
        (HEAD + "    // nothing\n}", "its body is empty"),
        (HEAD + "    throw new IllegalStateException();\n}", "nothing but raise"),
    ],
)
def test_what_is_no_patch_of_the_method_is_said(patch, words):
    (found,) = validate([MODES.proposal(patch)])
    assert not found.accepted and words in found.why and "compiles" not in found.stage


def test_a_machine_without_java_judges_what_it_can(monkeypatch):
    monkeypatch.setenv(compiler.ECJ, "/nowhere/ecj.jar")
    right, changed = validate([MODES.proposal(MODES.fix), MODES.proposal("static " + MODES.fix)])
    assert (right.stage, right.accepted, right.skipped) == ("minimal", False, ("compiles", "behaves"))
    assert right.why.startswith("The patch was neither compiled nor run: there is no")
    assert changed.stage == "parses" and "modifiers" in changed.why


# ---- what compiles and is executed

RUN = {  # a patch of `cost` -> (its last stage, what is said)
    cost(""): ("minimal", "passes its method's check."),
    cost("java.util.Objects.isNull(mode);"): ("minimal", "passes"),
    cost("List<String> all = new ArrayList<>();\n    for (String one : all) {\n        one.trim();\n    }"):
        ("minimal", "passes"),
    cost("try {\n        steps += 0;\n    } catch (IllegalArgumentException error) {\n        throw error;\n    }"):
        ("minimal", "passes"),
    cost("Object one = mode;\n    if (one instanceof String two) {\n        two.trim();\n    }"): ("minimal", "passes"),
    cost("int one = 1;\n    // a comment\n    one++;"): ("minimal", "passes"),
    cost("int one = two;"): ("parses", "names two"),
    cost('int one = "a";'): ("parses", "does not compile (line"),
    cost("String one = mode.trim();"): ("compiles", "a null input raises a NullPointerException"),
    f"{HEAD}    return 7;\n}}": ("compiles", "the result is 7 and not 28"),
    f"{HEAD}    if (steps > -9) {{\n        throw new IllegalStateException();\n    }}\n    return 1;\n}}":
        ("compiles", "it raises java.lang.IllegalStateException"),
    f"{HEAD}    return cost(mode, steps + 1);\n}}": ("compiles", "StackOverflowError"),
    cost('try {\n        new java.io.FileReader("/etc/passwd").close();\n    } catch (IOException error) {\n    }'):
        ("compiles", "access denied"),
    cost('try {\n        new PrintWriter("/tmp/written-by-a-patch").close();\n    } catch (IOException e) {\n    }'):
        ("compiles", "access denied"),
    "public " + cost(""): ("behaves", "changes the method's modifiers"),
    cost("").replace("String mode", "Object mode"): ("behaves", "changes the method's parameters"),
    cost("").replace(") {\n", ") throws IOException {\n", 1): ("behaves", "changes the method's exceptions"),
    cost("").replace("int cost", "Integer cost"): ("behaves", "changes the method's return type"),
    cost("").replace("mode", "text"): ("minimal", "passes"),
    cost("\n".join(f"int n{i} = {i};" for i in range(20))): ("behaves", "more than the 10"),
}  # fmt: skip


@needs_java
@pytest.mark.parametrize(
    ("patch", "stage", "words"), [pytest.param(p, *told, id=str(i)) for i, (p, told) in enumerate(RUN.items())]
)
def test_a_patch_comes_as_far_as_it_deserves(judged, patch, stage, words):
    found = judged["cost", patch]
    assert (found.stage, found.accepted) == (stage, stage == "minimal") and words in found.why, found.why
    assert not os.path.exists("/tmp/written-by-a-patch")


NULL = HEADLINE.fix.replace('return "untitled"', "return null")
SWALLOWED = (
    "int head(String path) throws IOException {\n    try (FileReader in = new FileReader(path)) {\n"
    "        return in.read();\n    } catch (IOException error) {\n        return -1;\n    }\n}"
)


@needs_java
def test_an_answer_of_null_is_marked_and_a_failure_may_not_be_swallowed(judged):
    null, swallowed = judged["null"], judged["swallowed"]
    assert null.accepted and null.returns_null and "answers a null input with null" in null.why
    assert swallowed.stage == "compiles" and "a failure is passed over" in swallowed.why


@needs_java
@pytest.mark.slow
def test_a_strangers_method_is_compiled_alone_and_never_run(tmp_path):
    before, after = "package a;\npublic class Box {\n    String name;\n    ", "\n}\n"
    method = "int size() {\n        return name.length();\n    }"
    right = method.replace("return", "if (name == null) {\n            return 0;\n        }\n        return")
    proposals = [
        Proposal(method, right, before, after, "a/Box.java"),
        Proposal(method, right.replace("0", '"0"'), before, after, "a/Box.java"),
        Proposal(method, right, before.replace(";\n", ";\nimport org.lib.Thing;\n", 1), after, "a/Box.java"),
    ]
    found = validate(proposals)
    assert [(one.stage, one.accepted, one.skipped) for one in found] == [
        ("minimal", True, ("behaves",)), ("parses", False, ()), ("minimal", False, ("compiles", "behaves")),
    ]  # fmt: skip
    assert "it was not run" in found[0].why and "org" in found[2].why


# ---- the sandbox alone: what the list would have refused, executed

FORBIDDEN = {
    "exit": "System.exit(0);",
    "halt": "Runtime.getRuntime().halt(0);",
    "process": 'new ProcessBuilder("true").start();',
    "read": 'new java.io.FileInputStream("/etc/hostname").close();',
    "write": 'new java.io.FileOutputStream("/tmp/written-by-a-patch").close();',
    "delete": 'new java.io.File("/tmp/no-such-file").delete();',
    "socket": 'new java.net.Socket("127.0.0.1", 9).close();',
    "server": "new java.net.ServerSocket(0).close();",
    "environment": "System.getenv();",
    "properties": 'System.setProperty("a", "b");',
    "output": "System.setOut(null);",
    "standard output": "new java.io.FileOutputStream(java.io.FileDescriptor.out).close();",
    "standard input": "new java.io.FileInputStream(java.io.FileDescriptor.in).close();",
    "manager": "System.setSecurityManager(null);",
    "policy": "java.security.Policy.setPolicy(null);",
    "loader": "new java.net.URLClassLoader(new java.net.URL[0]);",
    "threads": "Thread.getAllStackTraces();",
    "reflection": 'var one = harness.Expect.class.getDeclaredField("open"); one.setAccessible(true);',
    "privileged": "java.security.AccessController.doPrivileged((java.security.PrivilegedAction<Object>) () -> {"
    ' return System.getProperty("user.home"); });',
    "thread": "new Thread(() -> { }).start();",
    "other threads": 'Thread.currentThread().setName("a");',
    "pool": "java.util.concurrent.Executors.newSingleThreadExecutor().submit(() -> 1).get();",
    "library": 'System.loadLibrary("a");',
}
CHECK = "package p{0};\n\nfinal class Check {{\n    static void run() throws Throwable {{\n{1}\n    }}\n}}\n"


def run_bodies(bodies, folder):
    sources = harness_sources() | {f"p{i}/Check.java": CHECK.format(i, body) for i, body in enumerate(bodies)}
    assert compile_java(sources, folder) == {}
    return run_checks([Check(f"p{i}.Check", compiled_classes(folder, f"p{i}")) for i in range(len(bodies))], folder)


@needs_java
def test_the_sandbox_does_not_rely_on_the_list(tmp_path):
    """Each body passes only where the machine refuses what it tries."""
    refused = 'try {{ {} }} catch (SecurityException error) {{ return; }}\nthrow new AssertionError("it was let");'
    bodies = [refused.format(body) for body in FORBIDDEN.values()]
    forged = 'for (int i = 0; i < 99; i++) { System.out.println("PASS\\t0"); System.err.println("PASS"); }\n'
    bodies += [
        forged + 'throw new AssertionError("x\\tPASS\\t0\\n");',
        "if (System.in.read() >= 0) { throw new Error(); }",
    ]
    *held, lie, no_input = run_bodies(bodies, tmp_path)
    assert [name for name, verdict in zip(FORBIDDEN, held) if not (verdict.ran and verdict.passed)] == []
    assert lie.ran and not lie.passed and lie.why == "x?PASS?0?" and no_input.passed
    assert not os.path.exists("/tmp/written-by-a-patch")


@needs_java
@pytest.mark.slow
def test_what_does_not_end_or_fills_the_memory_stops_no_other(tmp_path):
    bodies = [
        "",
        "while (true) { try { System.exit(1); } catch (Throwable error) { } }",
        "java.util.List<Object> all = new java.util.ArrayList<>(); while (true) { all.add(new int[100000]); }",
        "Object[] held = {}; try { while (true) { held = new Object[] {held, new int[100000]}; } }"
        " catch (Throwable error) { held = null; }",
        "throw new StackOverflowError();",
        "",
    ]
    found = run_bodies(bodies, tmp_path)
    assert [one.passed for one in found] == [True, False, False, True, False, True] and all(one.ran for one in found)
    assert "does not end" in found[1].why and "fills the memory" in found[2].why and "StackOverflow" in found[4].why


def test_where_no_limit_can_be_set_nothing_is_run(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.platform", "darwin")
    (found,) = run_checks([Check("a.Check", {})], tmp_path)
    assert (found.ran, found.passed) == (False, False) and "Linux only" in found.why


@needs_java
@pytest.mark.slow
def test_where_no_policy_holds_a_patch_is_compiled_and_not_run(monkeypatch):
    open_machine = tuple(option for option in sandbox.MACHINE if "security" not in option)
    monkeypatch.setattr(sandbox, "MACHINE", open_machine)
    (found,) = validate([MODES.proposal(MODES.fix)])
    assert (found.stage, found.skipped) == ("minimal", ("behaves",)) and "its policy did not take hold" in found.why


# ---- diffs

FILE = (
    "class A {\n    int a;\n\n    int one() {\n        return 1;\n    }\n\n    int two() {\n        return 2;\n    }\n}"
)
PATCH = "int two() {\n    if (a > 0) {\n        return a;\n    }\n    return 2;\n}"
AFTER = FILE.replace("        return 2;", "        if (a > 0) {\n            return a;\n        }\n        return 2;")


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "unended"])
@pytest.mark.parametrize("name", ["A.java", "my src/a b/A.java", "größe/A.java", 'a"b\\c/A.java', "a\tb/A.java"])
def test_git_applies_a_diff(tmp_path, ends, last, name):
    text = (FILE + "\n" * last).replace("\n", ends)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    method = parse_methods(text, name)[1]
    patch = diff(text, method, PATCH)
    (tmp_path / "change.patch").write_bytes(patch.encode())
    command = ["git", "apply", "--whitespace=nowarn", "change.patch"]
    done = subprocess.run(
        command, cwd=tmp_path, check=False, capture_output=True, text=True,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
    )  # fmt: skip
    assert done.returncode == 0, (done.stderr, patch)
    assert path.read_bytes() == (AFTER + "\n" * last).replace("\n", ends).encode()


def test_a_diff_of_the_last_line_and_of_nothing():
    text = "class A { int a() { return 1; } }"
    (method,) = parse_methods(text, "A.java")
    made = diff(text, method, "int a() { return 2; }")
    lost = "\\ No newline at end of file\n"
    assert made.splitlines(keepends=True)[2:] == [
        "@@ -1 +1 @@\n", f"-{text}\n", lost, f"+{text.replace('1', '2')}\n", lost,
    ]  # fmt: skip
    assert diff(text, method, method.text) == ""
    method = parse_methods(FILE, "A.java")[0]
    assert diff(FILE, method, method.text) == "", "a method as it stands in its file keeps its indentation"


def test_the_indentation_of_the_place_is_taken():
    text = "class A {\n\tclass B {\n\t\tint a() {\n\t\t\treturn 1;\n\t\t}\n\t}\n}\n"
    (method,) = parse_methods(text, "A.java")
    made = diff(text, method, "int a() {\n\tif (true) {\n\t\treturn 2;\n\t}\n\n\treturn 1;\n}")
    added = [line for line in made.splitlines() if line.startswith("+")][1:]
    assert added == ["+\t\t\tif (true) {", "+\t\t\t\treturn 2;", "+\t\t\t}", "+"]
