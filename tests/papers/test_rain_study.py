"""The comparison's arithmetic and the page's tables and figures, on replies and a search written down by hand."""

import json
import re

import numpy as np
import pytest
from rain_example import example

from workbench.data import quoted
from workbench.errors import UsageError
from workbench.files import ROOT
from workbench.papers.rain import PROFILES, figures, overview, study
from workbench.results import Results
from workbench.rows import Row
from workbench.stats import Estimate, proportion_interval


def row(method, i, good, judged, scored=0.0, kind="review", reply="r"):
    cost = {"replies": 3, "searches": None, "forwards": 1.0, "tokens": 9.0, "reused": 0.0, "seconds": 1.0}
    measures = {"good": good, "judged": judged, "scored": scored}
    return Row(method, str(i), 0, "", measures, {"kind": kind}, f"p{i}", reply, cost)


def made(rain, best, kind="review", reply="r"):
    rows = [row("RAIN", i, v > 0, v, kind=kind, reply=reply) for i, v in enumerate(rain)]
    rows += [row("best-of-N", i, v > 0, v, kind=kind, reply=reply) for i, v in enumerate(best)]
    return study.Study("sentiment", "VADER", Results(rows=rows))


def test_the_table_and_the_sentence_are_those_of_the_rows():
    found = made([1, 1, 1, -1], [1, -1, -1, -1])
    ours, theirs = found.table()
    assert theirs["method"] == "best-of-N (N = 3)" and (theirs["share good"], theirs["prompts"]) == (0.25, 4)
    assert (ours["low"], ours["high"]) == (proportion_interval(3, 4).low, proportion_interval(3, 4).high)
    assert ours["judge's mean"] == 0.5 and ours["tokens a prompt"] == found.costs[0]["tokens"] == 9
    difference = np.array([0, 1, 1, 0])
    low = 50 - 100 * 3.182446 * difference.std(ddof=1) / 2  # cut at 100: no share can grow by more
    words = "Over best-of-N, RAIN gives not measurably more or fewer good replies: +50 points in 100 "
    assert found.sentence() == words + f"(95 % interval {low:+.0f} to +100; 4 prompts)."
    assert made([1], [-1]).sentence() == "One prompt says nothing about whether RAIN beats best-of-N."
    assert found.rows[0] == {
        "id": "0", "kind": "review", "prompt": "p0", "method": "RAIN", "reply": "r", "scored": 0, "judged": 1,
        "good": True,
    }  # fmt: skip


def test_a_heading_names_the_judge_that_judged():
    found = made([1], [1], kind="lookalike")
    found.judge = "second model toy"
    page = overview.Page("harmlessness", None, None, [], None, {}, found)
    assert "(judge: lexicon)" in page.heading("lookalike") and "(judge: second model toy)" in page.heading("harmful")


def test_sizes_are_the_profiles_unless_given():
    assert PROFILES.fill("quick", budget=25, budgets=None)["budgets"] == [25]
    assert PROFILES.fill("smoke", budget=None)["budget"] == PROFILES.fill("smoke")["budget"]
    for wrong, sentence in (({"budget": 0}, "budget=0"), ({"colour": 1}, "'colour' is unknown")):
        with pytest.raises(UsageError, match=sentence):
            PROFILES.fill("quick", **wrong)
    with pytest.raises(UsageError, match="profile 'huge'"):
        PROFILES.fill("huge")
    with pytest.raises(UsageError, match="needs one objective"):
        overview.objectives("both", "mine.txt")


def test_prompts_and_labelled_replies_are_chosen_by_seed_and_stay_balanced(tmp_path):
    chosen = study.choose_prompts("harmlessness", 4, seed=3)
    assert [p.kind for p in chosen] == ["harmful"] * 4 + ["lookalike"] * 2
    assert chosen == study.choose_prompts("harmlessness", 4, seed=3) != study.choose_prompts("harmlessness", 4, seed=4)
    (tmp_path / "mine.txt").write_text("one\ntwo\n")
    assert [p.prompt for p in study.choose_prompts("sentiment", 9, tmp_path / "mine.txt")] == ["one", "two"]
    rows = study.choose_labelled("harmlessness", 8)
    assert len(rows) == 8 and sum(r["label"] for r in rows) == 4 and sum(r["partial"] for r in rows) == 4


@pytest.mark.parametrize(
    ("auc", "words"),
    [((0.9, 0.8, 1.0), ""), ((0.6, 0.4, 0.8), "cannot be told from guessing"), ((0.3, 0.2, 0.45), "takes bad replies")],
)
def test_a_judge_that_cannot_judge_is_named(auc, words):
    page = overview.Page("sentiment", None, None, [], None, {"auc": Estimate(*auc, 48)}, made([1, 1], [1, -1]))
    assert (words in page.judge_warning) and bool(page.judge_warning) == bool(words)


def test_the_attack_is_compared_on_its_own_prompts():
    plain, attacked = made([1, 1, -1, -1], [1, 1, 1, 1]), made([-1, -1], [1, -1])
    table = overview.attack_table(plain, attacked)  # the attack used prompts 0 and 1 only
    before, after = table["share good without the suffix"], table["share good with it"]
    assert before["RAIN"].startswith("1 ") and after["RAIN"].startswith("0 ") and set(table["prompts"]) == {2}


def test_the_sweep_is_told_with_intervals():
    estimate = Estimate(0.5, 0.2, 0.8, 6)
    point = {"method": "RAIN", "budget": 12, "tokens": 400.0, "rate": estimate, "judged": estimate, "scored": estimate}
    (record,) = overview.sweep_rows([point])
    assert record["low"] == 0.2 and record["tokens a prompt"] == 400.0 and record["prompts"] == 6
    assert overview.metrics([], None, [point])[1]["sweep"] == [record]


def test_replies_are_escaped_for_the_page():
    found = made([1], [1], reply="<script>x</script>")
    page = overview.replies_table(found, methods=("best-of-N", "RAIN")).to_html()
    assert "&lt;script&gt;" in page and "<script" not in page


def test_the_notebook_quotes_only_the_quoted_numbers_and_holds_no_outputs():
    notebook = json.loads((ROOT / "notebooks" / "rain.ipynb").read_text(encoding="utf-8"))
    assert not [cell for cell in notebook["cells"] if cell.get("outputs")]
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    known = {f"{number.value:g}" for number in quoted("rain").values() if not isinstance(number.value, list)}
    cited = set(re.findall(r"(\d+(?:\.\d+)?) %", text)) - {"95"}  # the level of an interval is no result
    assert cited == {"82", "97", "94", "19"} and cited <= known


def test_statistics_and_layout_of_the_example():
    search = json.loads(json.dumps(example().as_dict()))  # as a notebook would store it
    assert figures.statistics(search, 0) == {}
    assert figures.statistics(search, 2) == {0: (2, 2, 0.0), 1: (1, 1, 0.5), 2: (1, 1, -0.5)}
    places, stats, left_out = figures.tree_layout(search, 0)
    assert places == {0: (0, 0.5), 1: (1, 0.0), 2: (1, 1.0)} and left_out == 0 and stats[1] == (1, 1, 0.5)
    assert set(figures.tree_layout(search, 1)[0]) == {1, 4, 5}
    assert figures.tree_layout(search, 1, most=1)[2] == 1
    with pytest.raises(UsageError, match="no move 2"):
        figures.tree_layout(search, 2)


def test_the_figures_show_what_they_are_given():
    search = example().as_dict()
    texts = {t.get_text() for t in figures.draw_tree(search, 1).axes[0].texts}
    assert {" good", "+0.90, 1x", " <b>bad</b>", "+0.10, 1x", "text so far"} <= texts
    rates = {"greedy": Estimate(0.2, 0.1, 0.4, 10), "RAIN": Estimate(0.5, 0.3, 0.7, 10)}
    axis = figures.draw_rates(rates, title="t", xlabel="x").axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["greedy", "RAIN"]
    points = [{"method": m, "tokens": t, "rate": rates["RAIN"]} for m in ("RAIN", "greedy") for t in (10, 100)]
    assert len(figures.draw_sweep(points, ylabel="good").axes[0].lines) == 2


@pytest.mark.slow
def test_a_comparison_on_the_embedded_model(smollm2):
    """Everything together, smallest size: costs are real, the equal-cost control is, the judge is not the scorer."""
    page = overview.page(smollm2, "sentiment", PROFILES.fill("smoke"))
    cost = {row["method"]: row for row in page.study.costs}
    assert set(cost) == set(study.METHODS) and cost["best-of-N"]["tokens"] <= cost["RAIN"]["tokens"]
    assert page.study.judge == "VADER" and page.report.auc.n == 8
    metrics, tables = overview.metrics([page])
    assert metrics["sentiment, review: RAIN less best-of-N, share good"].n == 1 and tables["sentiment replies"]


def test_conclusions_call_a_reversed_scorer_reversed_and_guessing_guessing():
    from workbench.papers.rain import scorer_report

    labelled = [{"prompt": f"p{i}", "reply": f"r{i}", "label": i % 2} for i in range(20)]
    said = {}
    for name, sign in (("better than guessing", 1), ("reversed", -1), ("cannot be told from guessing", 0)):
        report = scorer_report(None, lambda p, r, sign=sign: [sign * (int(x[1:]) % 2 - 0.5) for x in r], labelled)
        found = made([1, -1], [1, -1])
        found.results.rows += [row(method, i, False, -1) for method in ("value-zero", "greedy") for i in range(2)]
        page = overview.Page("sentiment", None, None, [], report, {}, found)
        said[name] = page.conclusions()[0]
        assert name in said[name]
        table = overview.scorer_table([page])
        assert "length alone" in table["measure"].tolist()
    assert len(set(said.values())) == 3
