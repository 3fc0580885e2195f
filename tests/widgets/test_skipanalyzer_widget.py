"""The explorer of warnings by its traits and commands: verdicts, patches, decisions, files; strange texts are text."""

import base64
import json
import subprocess

import pytest
from java_tools import needs_java

from workbench.errors import UsageError
from workbench.papers.skipanalyzer import Verdict, teaching_set
from workbench.papers.skipanalyzer.triage import triage
from workbench.widgets.skipanalyzer import WarningExplorer

EVIL = "<img src=x onerror=alert(1)>"
ONE = f"""class One {{
\tint f(String s) {{
\t\tString t = null; // {EVIL}
\t\tif (s.length() > 2) t = s;
\t\treturn t.length();
\t}}
}}
"""


def sent(widget, kind, **details):
    widget.set_state({"command": {"kind": kind, "n": widget.command.get("n", 0) + 1, **details}})
    return widget.error


def taken(widget, ending):
    assert sent(widget, "export", format=ending) == ""
    assert widget.exported["name"] == f"warnings.{ending}"
    return base64.b64decode(widget.exported["data"]).decode()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A tree of one file and its triage, without Java."""
    monkeypatch.setenv("WORKBENCH_ECJ", "/nowhere/ecj.jar")
    place = tmp_path / "tree"
    place.mkdir()
    (place / "One.java").write_bytes(ONE.replace("\n", "\r\n").encode())
    place_of = [{"physicalLocation": {"artifactLocation": {"uri": "One.java"}, "region": {"startLine": 5}}}]
    result = {
        "ruleId": "nullReference",
        "message": {"text": EVIL + "x" * 9000},
        "locations": place_of,
        "level": "error",
    }
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": EVIL}}, "results": [result]}]}
    (tmp_path / "in.sarif").write_text(json.dumps(log))
    judge = lambda asked: [Verdict("false", 0.75, "me", "1", EVIL)] * len(asked)  # noqa: E731
    return place, triage(place, sarif=tmp_path / "in.sarif", judge=judge), triage(place, sarif=tmp_path / "in.sarif")


def test_what_is_shown_is_the_set_and_each_judges_word():
    widget, rows = WarningExplorer(), {row.id: row for row in teaching_set()}
    warned = [row for row in rows.values() if row.warnings]
    assert len(widget.warnings) == sum(len(row.warnings) for row in warned) == 42
    row = next(row for row in warned if row.buggy and row.kind == "resource leak")
    widget.warning = row.id
    shown = widget.answer
    assert [text for _, text, _ in shown["code"]] == row.method.split("\n")
    assert [number for number, _, marked in shown["code"] if marked] == [row.warnings[0]["line"]]
    held = "finally" in row.method or "try (" in row.method
    assert shown["verdict"]["kind"] == ("false" if held else "real") and shown["verdict"]["confidence"] == 0
    assert "".join(text for sign, text in shown["patch"]["lines"] if sign != "+") == row.method.replace("\n", "")
    assert "".join(text for sign, text in shown["patch"]["lines"] if sign != "-") == shown["patch"]["text"].replace(
        "\n", ""
    )
    widget.judge = "small filter"
    assert 0.5 <= widget.answer["verdict"]["confidence"] < 1 and "from 40 " in widget.answer["verdict"]["explanation"]


def test_a_decision_says_whose_it_is_and_goes_into_the_files():
    widget = WarningExplorer()
    first, second, third = (one for one, _ in widget.warnings[:3])
    assert "needs the name of who judged" in sent(widget, "decide", button="accept")
    assert "button 'x' is unknown" in sent(widget, "decide", button="x", who="Ann")
    assert "no patch was taken yet" in sent(widget, "export", format="patch")
    assert sent(widget, "decide", button="accept", who=" Ann\n<b> ", note=EVIL) == ""
    widget.warning = second
    assert sent(widget, "decide", button="reject") == "", "the name stays"
    widget.warning = third
    widget.edited = widget.answer["code"][0][1] + "\n    return null;\n}"
    assert sent(widget, "decide", button="accept", who="Bo") == ""
    told = [(one["item"], one["verdict"], one["who"], one["by"]) for one in widget.decisions]
    assert told == [(first, "real", "Ann <b>", "rule"), (second, "false", "Ann <b>", ""), (third, "real", "Bo", "Bo")]
    results = json.loads(taken(widget, "sarif"))["runs"][0]["results"]
    assert results[0]["properties"] == {
        "triage.verdict": "real", "triage.judge": "Ann <b>", "triage.explanation": EVIL
    }  # fmt: skip
    assert results[1]["suppressions"][0]["status"] == "accepted" and results[1]["level"] == "warning"
    assert "properties" not in results[3] and len(results) == 42
    assert taken(widget, "patch").count("--- a/") == 2
    widget.warning = second
    sent(widget, "decide", button="person")
    assert [one["verdict"] for one in widget.decisions] == ["real", "real", "needs a person"]
    assert "suppressions" not in json.loads(taken(widget, "sarif"))["runs"][0]["results"][1]
    widget.warning = first
    assert widget.edited == "", "what was typed belongs to another warning"
    sent(widget, "reset")
    assert widget.decisions == []


def test_a_tree_of_ones_own(tree, tmp_path):
    place, judged, unjudged = tree
    widget = WarningExplorer(triage=judged, who="Ann")
    assert widget.judge == "triage" and widget.answer["verdict"]["by"] == "me" and "make setup" in widget.missing
    assert widget.answer["verdict"]["explanation"] == EVIL and len(widget.answer["message"]) == 2000
    assert widget.answer["patch"]["text"] == "", "what was judged false has no patch"
    assert "there is no patch to check" in sent(widget, "check")
    widget.patcher = "rule"
    assert sent(widget, "check") == "" and "neither compiled nor run" in widget.checked["says"]
    assert EVIL not in widget.page(b"") and not widget.checked["accepted"]
    sent(widget, "decide", button="accept")
    (tmp_path / "taken.patch").write_bytes(taken(widget, "patch").encode())
    subprocess.run(["git", "init", "-q", place], check=True)
    subprocess.run(["git", "apply", tmp_path / "taken.patch"], cwd=place, check=True)
    assert b"if (t == null) {\r\n\t\t\treturn 0;\r\n" in (place / "One.java").read_bytes()
    assert "has changed since" in sent(widget, "export", format="patch")
    assert json.loads(taken(widget, "sarif"))["runs"][0]["results"][0]["properties"]["triage.verdict"] == "real"

    widget = WarningExplorer(triage=unjudged)
    assert widget.answer["verdict"] is None and "nobody was asked" in widget.caption()
    assert "neither compiled nor run" in widget.answer["patch"]["says"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="none of the triage's warnings"):
        WarningExplorer(triage=triage(tmp_path / "empty", sarif=tmp_path / "in.sarif"))
    with pytest.raises(UsageError, match="there is no warning 'x'"):
        WarningExplorer(warning="x")


@pytest.mark.slow
def test_a_model_judges_when_there_is_one(smollm2):
    widget = WarningExplorer(smollm2)
    widget.judge = "model"
    told = widget.answer["verdict"]
    assert widget.error == "" and told["by"] == "smollm2" and told["kind"] in ("real", "false")
    assert 0.5 <= told["confidence"] <= 1
    widget.context = "method"
    assert widget.error == "" and widget.answer["verdict"] != told


@needs_java
@pytest.mark.slow
def test_a_patch_of_the_set_is_executed():
    kind = "null dereference"
    row = next(row for row in teaching_set() if row.buggy and row.kind == kind and len(row.warnings) == 1)
    widget = WarningExplorer(warning=row.id)
    sent(widget, "check")
    assert widget.checked["accepted"] and "passes its method's check" in widget.checked["says"]
    widget.edited = row.method.replace("\n", "\n    int none = 0;\n", 1)
    sent(widget, "check")
    assert not widget.checked["accepted"] and "fails its method's check" in widget.checked["says"]
