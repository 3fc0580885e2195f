"""SARIF in and out: samples of microsoft/sarif-tutorials (tests/papers/sarif, MIT), whose texts say what they are."""

import json
import re
from pathlib import Path

import pytest

from workbench.errors import DataError
from workbench.files import ROOT
from workbench.papers import skipanalyzer as skip

SAMPLES = sorted((Path(__file__).parent / "sarif").glob("*.sarif"))
SCHEMA = ROOT.parent / "shared" / "data" / "sarif" / "sarif-schema-2.1.0.json"
FALSE = skip.Verdict("false", 0.8, "smollm2", "filter 1", "<script>alert(1)</script>")


def sample(name):
    return next(path for path in SAMPLES if path.stem == name)


def written(path, log):
    return json.loads(skip.write_sarif(path, log).read_text("utf-8"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_log_without_verdicts_goes_out_as_it_came_in(path, tmp_path):
    read = skip.read_sarif(path)
    assert written(tmp_path / "out.sarif", skip.with_verdicts(read, {})) == json.loads(path.read_text("utf-8-sig"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_with_verdicts_it_is_valid_and_nothing_is_lost(path, tmp_path):
    if not SCHEMA.exists():
        pytest.skip("../shared/data is absent")
    import jsonschema

    before = skip.read_sarif(path)
    told = {found.place: FALSE for found in skip.findings(before)}
    after = written(tmp_path / "out.sarif", skip.with_verdicts(before, told))
    jsonschema.validate(after, json.loads(SCHEMA.read_text()))
    for old, new in zip(before["runs"] or [], after["runs"] or [], strict=True):
        for one, other in zip(old.get("results") or [], new.get("results") or [], strict=True):
            changed = {name for name in one | other if one.get(name) != other.get(name)}
            assert changed <= {"properties", "level", "suppressions"}
            assert one.get("properties", {}).items() <= other.get("properties", {}).items()
            kept = other.get("suppressions", [])[: len(one.get("suppressions", []))]
            assert kept == one.get("suppressions", [])
    assert skip.read_sarif(path) == before


def test_what_is_suppressed_is_what_the_samples_say():
    found = list(skip.findings(skip.read_sarif(sample("Suppressions"))))
    said = [re.match(r"This result is (visible|hidden) ", one.message)[1] == "hidden" for one in found]
    # the last one contradicts the sixth: there, under review alone is no reason to hide
    assert len(found) == 9 and [one.suppressed for one in found[:-1]] == said[:-1]


def test_a_suppressed_result_is_left_alone_and_a_false_one_is_under_review():
    log = skip.read_sarif(sample("Suppressions"))
    made = skip.with_verdicts(log, {found.place: FALSE for found in skip.findings(log)})
    for found, before, after in zip(skip.findings(log), log["runs"][0]["results"], made["runs"][0]["results"]):
        if found.suppressed:
            assert after == before
        else:
            assert after["suppressions"][-1]["status"] == "underReview" and after["level"] == "note"
            assert after["properties"]["original.level"] == before.get("level")
    assert [one.suppressed for one in skip.findings(made)] == [one.suppressed for one in skip.findings(log)]


@pytest.mark.parametrize("kind", ["real", "needs a person"])
def test_other_verdicts_hide_nothing(kind):
    log = skip.read_sarif(sample("bad-eval-with-code-flow"))
    made = skip.with_verdicts(log, {(0, 0): skip.Verdict(kind, 0.5, "m", "p")})
    before, after = log["runs"][0]["results"][0], made["runs"][0]["results"][0]
    assert {name for name in after if after[name] != before.get(name)} == {"properties"}
    assert after["properties"]["ai.triage.verdict"] == kind


def test_places_by_bases_spaces_and_characters(tmp_path):
    (tmp_path / "src" / "a b").mkdir(parents=True)
    (tmp_path / "src" / "a b" / "X.java").write_text("class X {\n  int 𝕏;\n  int y;\n}\n", "utf-8")

    def place(uri, base=None, **region):
        artifact = {"uri": uri} | ({"uriBaseId": base} if base else {})
        return {"locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}], "message": {}}

    log = {
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "t"}},
            "originalUriBaseIds": {
                "SRC": {"uri": "src/", "uriBaseId": "ROOT"}, "ROOT": {"uri": "file:///their/machine/"},
                "LOOP": {"uri": "x/", "uriBaseId": "LOOP"},
            },
            "results": [
                place("a%20b/X.java", "SRC", startLine=3), place("src/a%20b/X.java", startLine=2, endLine=4),
                place("file:///their/machine/src/a%20b/X.java", startLine=1), place("../../etc/passwd", startLine=1),
                place("a/Y.java", "SRC", startLine=1), place("http://x.org/X.java"),
                place("a%20b/X.java", "SRC", charOffset=20), place("X.java", "LOOP", startLine=0), {"message": {}},
            ],
        }],
    }  # fmt: skip
    found = list(skip.findings(log, tmp_path))
    assert [(one.file, one.line, one.end_line) for one in found[:3]] == [
        ("src/a b/X.java", 3, 3), ("src/a b/X.java", 2, 4), ("src/a b/X.java", 1, 1)
    ]  # fmt: skip
    assert not any(one.problem for one in found[:3])
    assert "outside the source tree" in found[3].problem and found[3].file == ""
    assert "not in the source tree" in found[4].problem and "is no file" in found[5].problem
    # "class X {" 10 characters with its end, "  int 𝕏;" 9 UTF-16 units and its end: the 20th is on the third line
    assert found[6].line == 3
    assert found[7].line == 0 and found[8].problem == "it names no place"


def test_rules_levels_and_messages_with_arguments():
    rule = {"id": "R1", "defaultConfiguration": {"level": "error"}, "messageStrings": {"m": {"text": "{0} is {1}"}}}
    results = [
        {"ruleIndex": 0, "message": {"id": "m", "arguments": ["x", "null"]}},
        {"ruleId": "R1", "level": "note", "message": {"text": "plain"}},
        {"ruleId": "R2", "kind": "pass", "message": {"text": "fine"}},
    ]
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t", "rules": [rule]}}, "results": results}]}
    first, second, third = skip.findings(log)
    assert (first.rule, first.level, first.message) == ("R1", "error", "x is null")
    assert (second.level, second.message, third.level) == ("note", "plain", "none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"version": "2.0.0", "runs": []}', "is SARIF 2.0.0"),
        ("[]", "it has no runs"),
        ('{"version": "2.1.0", "runs": [3]}', "run 1: it is no run"),
        ('{"version": "2.1.0", "runs": [{"results": ["x"]}]}', "result 1: 'x' is no result"),
        ('{"version": "2.1.0", "runs": [', "is no SARIF log"),
        ('{"version": "2.1.0", "runs": [{"results": [{"message": {"text": "\\ud800"}}]}]}', "half a character"),
    ],
)
def test_what_is_no_log_is_refused_in_one_sentence(text, said, tmp_path):
    path = tmp_path / "x.sarif"
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(said)):
        skip.read_sarif(path)
    with pytest.raises(DataError, match="cannot read"):
        skip.read_sarif(tmp_path / "none.sarif")


def test_a_place_that_the_log_lacks_and_a_verdict_that_is_none():
    log = skip.read_sarif(sample("Baseline"))
    with pytest.raises(DataError, match="has no result 100 in run 1"):
        skip.with_verdicts(log, {(0, 99): FALSE})
    with pytest.raises(DataError, match="'maybe' is no verdict"):
        skip.with_verdicts(log, {(0, 0): skip.Verdict("maybe", 1, "m", "p")})


def test_judging_again_takes_the_first_verdict_back():
    """What the tool wrote is there as it was, whatever was thought in between; other people's entries stay."""
    result = {"ruleId": "R", "level": "error", "message": {"text": "x"}, "properties": {"own": 1},
              "suppressions": [{"kind": "external", "status": "rejected"}]}  # fmt: skip
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": [result]}]}
    real = skip.Verdict("real", 0.9, "m", "p")
    once = skip.with_verdicts(log, {(0, 0): FALSE})
    twice = skip.with_verdicts(once, {(0, 0): FALSE})
    assert twice == once and once["runs"][0]["results"][0]["properties"]["original.level"] == "error"
    back = skip.with_verdicts(twice, {(0, 0): real})["runs"][0]["results"][0]
    assert back == skip.with_verdicts(log, {(0, 0): real})["runs"][0]["results"][0]
    assert {name: back[name] for name in ("level", "suppressions")} == {n: result[n] for n in ("level", "suppressions")}


@pytest.mark.parametrize("confidence", [1.5, -0.1, float("nan")])
def test_a_confidence_that_is_none(confidence):
    with pytest.raises(DataError, match="give a number from 0 to 1"):
        skip.Verdict("real", confidence, "m", "p")


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (1, 0)])
def test_a_place_from_the_end_is_no_place(place):
    with pytest.raises(DataError, match="has no result"):
        skip.with_verdicts(skip.read_sarif(sample("Baseline")), {place: FALSE})
