"""The model's part of SkipAnalyzer: what reaches a prompt, what comes of a reply, and what is read off the rows."""

import json
import re
from math import inf, nan

import pytest
from tiny_server import TinyServer

from workbench import load
from workbench.errors import UsageError
from workbench.papers import skipanalyzer as skip
from workbench.papers.skipanalyzer import asking, overview, rates, study
from workbench.papers.skipanalyzer.settings import CONTEXTS, PROFILES
from workbench.papers.skipanalyzer.telltale import anonymise
from workbench.prompting import Field, few_shot, read_fields
from workbench.results import Results
from workbench.rows import Row

LABEL = re.compile(r"bad|good|flaw|fix|leaky|\bbug", re.IGNORECASE)
LABELLED = """class CWE_Sink {
    /* POTENTIAL FLAW: data may be null */
    void badSink(String badData) {
        String goodG2B = "bad // not a comment";
        int prefix = 1; // FIX: check it
        leakyHelper(badData.trim());
    }
    void leakyHelper(String data) { /* good */ }
}
"""


def test_no_label_of_the_data_reaches_a_prompt_and_a_patch_gets_its_names_back():
    method, helper = skip.parse_methods(LABELLED, "T.java")
    finding = skip.Finding((0, 0), "ecj", "nullReference", "badData may be null", "warning", "T.java", 6, 6, False)
    question = skip.Question(method, finding, asking.callees(method, [method, helper]))
    assert question.callees == (helper.text,), "what it calls in its file, without itself"
    for context in CONTEXTS:
        text = asking.prompt(question, context=context, examples=[(question, True)])
        told = LABEL.findall(text.replace("prefix", ""))
        assert not told and "prefix" in text and "not a comment" in text, (context, told)
    made = anonymise([method.text, helper.text], finding.message)
    (called,) = re.findall(r"(\w+)\(name\d+\.trim", made.code[0])
    assert f"void {called}(" in made.code[1], "one name in the method and in what it calls"
    assert re.search(r"(\w+)\.trim", made.code[0])[1] in made.prose, "and in the message"
    assert made.restore(made.code[0]).count("badData") == 2
    assert "not shown" not in text and "FIX" not in made.code[0] and len(made.code[0].splitlines()) == 5


def test_no_label_reaches_a_prompt_of_the_smoke_run(smoke_record):
    rows = [json.loads(line) for line in (smoke_record("skipanalyzer").folder / "rows.jsonl").read_text().splitlines()]
    asked = [row["prompt"] for row in rows if row["arm"].startswith("model, zero-shot")]
    assert len(asked) > 15
    assert not [found for text in asked for found in re.findall(r"(?i)\b(?:bad|good|flaw|fix|buggy)", text)]


def test_examples_come_from_other_folds_and_the_tuning_half_one_true_and_one_false_each():
    rows = [f"{fold}{'t' if label else 'f'}{n}" for fold in range(3) for label in (True, False) for n in range(2)]
    folds, labels = [int(row[0]) for row in rows], ["t" in row for row in rows]
    for fold in range(3):
        for seed in range(5):
            drawn = few_shot(rows, 2, fold, seed, folds=folds, labels=labels)
            assert [sorted("tf".index(row[1]) for row in drawn[at : at + 2]) for at in (0, 2)] == [[0, 1], [0, 1]]
            assert len(set(drawn)) == 4 and not [row for row in drawn if row[0] == str(fold)]
            assert drawn == few_shot(rows, 2, fold, seed, folds=folds, labels=labels)
    with pytest.raises(UsageError, match="5 true and 5 false"):
        few_shot(rows, 5, 0, 0, folds=folds, labels=labels)
    found = study.materials()
    for row in found.test:
        shown = study.examples_for(found, row.kind, found.folds[row.pair], 3, 0, warned=True)
        assert {one.half for one in shown} == {"tuning"} and {one.kind for one in shown} == {row.kind}
        assert sum(one.buggy for one in shown) == 3 and len(shown) == 6
        assert found.folds[row.pair] not in {found.folds[one.pair] for one in shown}


FIELDS = [Field("Explanation"), Field("Answer", ("yes", "no"))]
REPLIES = {
    '{"explanation": "it is null", "answer": true}': ("it is null", "yes"),
    'Sure! ```json\n{"Answer": "No.", "Explanation": "a {brace}"}\n```': ("a {brace}", "no"),
    "**Explanation:** it may\nbe null\n**Answer:** Yes, it is": ("it may be null", "yes"),
    "Explanation: fine\nAnswer: maybe": ("fine", None),
    "Answer: yes\nAnswer: no": (None, None),
    "yes and no": (None, None),
    '{"answer": "no"': (None, None),
    "[" * 3000 + "{" * 3000: (None, None),
    '__import__("os").system("true")': (None, None),
    "": (None, None),
}


@pytest.mark.parametrize("reply", REPLIES, ids=range(len(REPLIES)))
def test_a_reply_is_read_or_says_what_is_missing(reply):
    values, problem = read_fields(reply, FIELDS)
    explanation, answer = REPLIES[reply]
    assert (values.get("Explanation"), values.get("Answer")) == (explanation, answer)
    assert bool(problem) == (explanation is None or answer is None)


def test_what_a_server_cannot_answer_needs_a_person_and_is_counted(tmp_path, monkeypatch):
    """A server without log-probabilities that speaks of coins, and one that fails."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    found = study.materials(2)
    warned = [row for row in found.test if row.warnings]
    with TinyServer(echo=False, logprobs=False) as server:
        lm = load("openai:tiny", base_url=server.url)
        verdicts = skip.filter_warnings(lm, [study.question(row) for row in warned])
        assert {one.kind for one in verdicts} == {"needs a person"} and {one.confidence for one in verdicts} == {0}
        page = overview.page(lm, PROFILES.fill("smoke", pairs=2, patched=0))
        row = page.filter_table()[-2]
        assert (row["filter"], row["AUROC"]) == ("openai:tiny, zero-shot, message", None)
        assert (row["unreadable"], row["failed"], row["kept"]) == (len(warned), 0, f"{len(warned)} of {len(warned)}")
        assert "its threshold is its own word" in page.trust() and "openai:tiny" in page.trust()
        bare = overview.page(lm, PROFILES.fill("smoke", pairs=2, patched=0, contexts=["method"], shots=[1]))
        assert "nothing is known of it" in bare.trust()
        assert len(bare.judge(lm, [study.question(row) for row in warned])) == len(warned)
        assert "no AUROC by odds" in page.verdict() and "need a person" in " ".join(page.conclusions())
        server.always = ("status", 400)
        failed = skip.detect(lm, [study.question(row, warned=False) for row in warned[:2]], kind="resource leak")
        assert [one.kind for one in failed] == ["needs a person"] * 2 and "400" in failed[0].explanation
        assert skip.patches(lm, [study.question(warned[0])]) == [""]


# ---- what is read off the rows, by hand


def rows_of(scores, real, folds="001122", **more):
    plain = {"unread": False, "failed": False} | more
    told = zip(scores, real, folds, strict=True)
    return [
        Row("m", str(n), 0, f"p{n // 2}", {"score": score, "real": one, "yes": score > 0} | plain, {"fold": fold})
        for n, (score, one, fold) in enumerate(told)
    ]


def test_a_threshold_comes_from_the_other_folds():
    # ten real warnings: one of them may go at a recall of .9, so the second lowest is the threshold
    assert rates.cut_for_recall([*range(10), 99], [True] * 10 + [False], 0.9) == 1
    assert rates.cut_for_recall([3, 1, 2], [True, False, True], 0.9) == 2 and rates.cut_for_recall([], [], 0.9) == -inf
    assert rates.cut_for_accuracy([1, 2, 3, 4], [False, False, True, True]) == 2.5
    real = [True, False] * 3
    # fold 0 is cut at 6, the lowest real one of folds 1 and 2; folds 1 and 2 at 5, that of fold 0
    assert rates.keeps(rows_of([5, 1, 6, 5.5, 7, 4], real), 0.9) == [False, False, True, True, True, False]
    told = rates.shares(rows_of([5, 1, 6, 5.5, 7, 4], real), [False, False, True, True, True, False])
    assert told["precision"].value == told["recall"].value == pytest.approx(2 / 3)
    gain = rates.gained(rows_of([5, 1, 6, 5.5, 7, 4], real), [False, False, True, True, True, False])
    assert gain.value == pytest.approx(2 / 3 - 1 / 2) and gain.low <= 0 < gain.high


def test_nothing_kept_is_undefined_and_a_constant_answer_is_chance():
    rows = rows_of([0.0] * 6, [True, False] * 3)
    assert rates.shares(rows, [False] * 6)["precision"] is None and rates.gained(rows, [False] * 6) is None
    assert rates.auroc_table(Results(rows=rows))["m"].value == 0.5
    assert all(rates.keeps(rows, 0.9)), "a constant score keeps all"
    always = rates.f1(rows, [True] * 6)
    assert always.value == pytest.approx(2 / 3) and rates.f1(rows, [False] * 6).value == 0
    unasked = rows_of([nan] * 6, [True, False] * 3, failed=True)
    assert all(rates.keeps(unasked, 0.9)), "what failed hides nothing"
    assert rates.auroc_table(Results(rows=unasked))["m"] is None


def test_the_funnel_counts_each_stage_with_those_before_it():
    ok = skip.Validation("minimal", True, "", (), 3)
    assert study.reached(ok, True) == dict.fromkeys(study.FUNNEL, True) | {"returns null": False}
    late = study.reached(skip.Validation("compiles", False, "fails its check"), True)
    assert [late[stage] for stage in study.FUNNEL] == [True, True, True, False, False]
    none = study.reached(skip.Validation("", False, "Nothing was generated."), False)
    assert [none[stage] for stage in study.FUNNEL] == [False] * 5
    bare = study.reached(skip.Validation("minimal", False, "", ("compiles", "behaves"), 3), True)
    unjudged = pytest.approx(nan, nan_ok=True)
    assert [bare[stage] for stage in study.FUNNEL] == [True, True, unjudged, unjudged, True]


@pytest.mark.parametrize(
    ("reply", "method"),
    [
        ("Here it is:\n```java\nint f(int a) {\n    return a;\n}\n```\nDone.", "int f(int a) {\n    return a;\n}"),
        ("```\nclass A {\n    int g() { return 1; }\n    int f() { return 2; }\n}\n```", "int f() { return 2; }"),
        ("int f() { return 3; }\n```\nAnd more f() {", "int f() { return 3; }"),
        ("```java\nint f(int a) {\n    return", "int f(int a) {\n    return"),  # cut off: there, and does not parse
        ("I cannot do that.", ""),
        ("", ""),
    ],
)
def test_the_method_is_found_in_a_reply(reply, method):
    assert asking.read_method(reply, "f") == method


@pytest.mark.slow
def test_a_study_takes_over_what_a_run_before_it_has(smollm2, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    size, found = PROFILES.fill("smoke", pairs=2), study.materials(2)
    first = study.detection(smollm2, found, size)
    rows = tmp_path / "rows.jsonl"
    lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join(lines[:-2]))  # killed in the last batch: it is computed again, and nothing else
    second = study.detection(smollm2, found, size)
    added = len(rows.read_text().splitlines()) - (len(lines) - 2)
    assert [row.as_dict() for row in second.rows] == [row.as_dict() for row in first.rows]
    assert 2 <= added < 8
