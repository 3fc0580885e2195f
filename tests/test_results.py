"""A study's rows: tables and differences against scipy and by hand, and a run's file of rows, whatever ends it."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import ttest_rel, wilcoxon

from workbench import load, rows, stats
from workbench.display import shown
from workbench.errors import UsageError
from workbench.results import Results, metric_key
from workbench.rows import FILE, OFFERED, Row, read_lines
from workbench.stats import Estimate


def made(**arms):
    """Arm -> a list of seeds, each the values of items t0, t1, …; a text of 1 and 0 is a list of True and False."""
    rows = []
    for arm, seeds in arms.items():
        for seed, values in enumerate(seeds):
            values = [mark == "1" for mark in values] if isinstance(values, str) else values
            rows += [Row(arm, f"t{i}", seed, measures={"m": value}) for i, value in enumerate(values)]
    return Results("toy", rows=rows)


def test_a_share_has_wilsons_interval_and_other_numbers_students():
    table = made(a=["1101"], b=["0000"]).table("m")
    assert table["a"] == stats.proportion_interval(3, 4) and table["b"] == stats.proportion_interval(0, 4)
    values = [0.5, 1.0, 0.25]
    assert made(a=[values]).table("m")["a"] == stats.mean_interval(values)
    assert made(a=[values]).table("m", bounds=(0, 1))["a"].high == 1.0
    twice = made(a=["1101", "1001"]).table("m")["a"]  # two rows a unit are no two draws
    assert twice == stats.mean_interval([1, 0.5, 0, 1])


def test_items_of_one_unit_are_one_draw():
    rows = [Row(arm, f"t{i}", unit=f"u{i % 2}", measures={"m": i + (arm == "b")}) for arm in "ab" for i in range(4)]
    results = Results(rows=rows)
    assert results.per_unit("a", "m") == {"u0": 1.0, "u1": 2.0} and results.table("m")["a"].n == 2
    assert results.difference("b", "a", "m").difference == stats.Estimate(1.0, 1.0, 1.0, 2)


def test_pooled_rows_count_each_and_whole_units_are_drawn():
    """Three rows of one unit and one of another: whole draws are unit a twice, a and b, or b twice."""
    values = {"a": [1, 1, 0], "b": [0]}
    rows = [Row("x", f"{u}{i}", unit=u, measures={"m": float(v)}) for u in values for i, v in enumerate(values[u])]
    found = Results(rows=rows).table("m", pooled=True)["x"]
    assert found.value == 0.5 and found.n == 4 and found.low == 0 and found.high == pytest.approx(2 / 3)
    assert Results(rows=rows).table("m")["x"].value == pytest.approx(1 / 3)
    alone = Results(rows=rows[:3]).table("m", pooled=True)["x"]
    assert (alone.low, alone.high, alone.n) == (None, None, 3)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=7))
def test_a_difference_is_scipys(pairs):
    a, b = (np.array(side) for side in zip(*pairs))
    found = made(a=[a.tolist()], b=[b.tolist()]).difference("a", "b", "m")
    if (a == b).all():
        assert found.p_value == 1
    else:
        assert found.p_value == wilcoxon(a, b).pvalue
    if len(set(a - b)) > 1 and np.ptp(a - b) > 1e-6:
        interval = ttest_rel(a, b).confidence_interval()
        assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high), abs=1e-6)


def test_pairs_are_found_by_item_and_seed_in_any_order():
    results = made(a=[[1, 2], [3, 5]], b=[[0, 0], [1, 1]])
    results.rows.reverse()
    assert results.difference("a", "b", "m").difference.value == 2.25
    del results.rows[0]
    with pytest.raises(UsageError, match="a and b cannot be paired: one of them lacks item 't1' of seed 1"):
        results.difference("a", "b", "m")
    with pytest.raises(UsageError, match="there are no results of 'c': there are b, a"):
        results.difference("a", "c", "m")
    with pytest.raises(UsageError, match="not every row has the measure 'n': there are m"):
        results.table("n")


def test_rows_without_a_number_are_left_out_of_tables_and_pairs():
    nan = math.nan
    results = made(a=[[1.0, nan, 3.0, 7.0]], b=[[0.5, 1.0, nan, 2.0]], c=[[nan] * 4])
    table = results.table("m", unit="s")
    assert table["a"] == stats.mean_interval([1, 3, 7], unit="s") and table["c"] is None
    found = results.difference("a", "b", "m", unit="s")
    assert found.difference == stats.mean_interval([0.5, 5.0], unit="s") == results.added("a", "b", "m", unit="s")
    assert found.p_value == wilcoxon([1, 7], [0.5, 2]).pvalue
    assert results.added("a", "c", "m") is None is results.difference("a", "c", "m")
    assert results.differences([("a", "b"), ("a", "c")], "m").second.tolist() == ["b"]
    assert list(results.metrics("m", "m", pairs=[("a", "b"), ("a", "c")])) == ["m.a", "m.b", "m.a_minus_b"]
    assert results.sentence("a", "c", "m") == "No item says whether a beats c: none has a number of both."
    half = [Row("a", "i", seed, measures={"m": m}) for seed, m in enumerate((True, nan, False))]
    assert Results(rows=half).table("m")["a"] == stats.Estimate(0.5, n=1)  # one unit of two rows with a number


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [("111", "000", -0.1230, 1.0), ("111", "111", -0.5615, 0.5615), ("0" * 20, "1" * 20, -1.0, -0.6777)],
)
def test_equal_differences_are_no_certainty_where_bounds_are_known(a, b, low, high):
    found = made(a=[a], b=[b]).difference("a", "b", "m", bounds=(0, 1)).difference
    assert found == made(a=[a], b=[b]).added("a", "b", "m", (0, 1))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)  # Wilson: 3 of 3 is .4385 or more
    free = made(a=[a], b=[b]).difference("a", "b", "m").difference
    assert free.low == free.high == free.value


def test_bounds_cut_a_difference_to_what_is_possible():
    found = made(a=["1110"], b=["1000"]).difference("a", "b", "m", bounds=(0, 1)).difference
    spread = np.std([0, 1, 1, 0], ddof=1) / 2
    assert found.high == 1 and found.low == pytest.approx(0.5 - 3.182446 * spread, abs=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("1" * 12, "0" * 11 + "1", "Over b, a gives more good replies: +92 points in 100 (95 % interval"),
        ("0" * 12, "1" * 11 + "0", "a gives fewer good replies"),
        ("10", "01", "a gives not measurably more or fewer good replies"),
        ("1", "0", "One prompt says nothing about whether a beats b."),
    ],
)
def test_the_sentence_follows_the_interval(a, b, words):
    results = made(a=[a], b=[b])
    assert words in results.sentence("a", "b", "m", things="good replies", unit="prompt", bounds=(0, 1))


def test_differences_are_corrected_together():
    rng = np.random.default_rng(0)
    results = made(**{arm: rng.normal(shift, 1, (2, 9)).tolist() for arm, shift in (("a", 2), ("b", 0), ("c", 0.2))})
    table = results.differences([("a", "b"), ("a", "c"), ("b", "c"), ("a", "nobody")], "m")
    assert table[["first", "second"]].values.tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    p = sorted(table.p)
    assert sorted(table.corrected) == pytest.approx([3 * p[0], max(3 * p[0], 2 * p[1]), max(2 * p[1], p[2])])
    assert table.ahead[0] == 2 and table.seeds[0] == 2
    plain = results.differences([("a", "b")], "m", correct=None)
    assert plain.corrected[0] == plain.p[0] == results.difference("a", "b", "m").p_value
    assert list(results.differences([], "m").columns) == list(table.columns)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p):
    found = stats.holm(p)
    assert all(one <= other <= 1 for one, other in zip(p, found))
    assert sorted(range(len(p)), key=p.__getitem__) == sorted(range(len(p)), key=lambda i: (found[i], p[i], i))


def test_metrics_and_frames_name_everything():
    results = made(**{"no soft position": ["10"], "K-BERT": ["11"]})
    names = results.metrics("toy", "m", pairs=[("K-BERT", "no soft position"), ("K-BERT", "gone")])
    assert list(names) == ["toy.no_soft_position", "toy.k_bert", "toy.k_bert_minus_no_soft_position"]
    assert names["toy.k_bert_minus_no_soft_position"].value == 0.5 and metric_key("a [SEP] b") == "a_sep_b"
    rows = [Row("a", "i", 3, "u", {"m": 1}, {"kind": "k"}, "p", "r", {"seconds": 2.0})]
    frame = Results(rows=rows).frame()
    columns = ["arm", "item", "seed", "unit", "kind", "m", "prompt", "reply", "seconds"]
    assert list(frame.columns) == columns and frame.iloc[0].tolist() == ["a", "i", 3, "u", "k", 1, "p", "r", 2.0]


def test_rows_are_chosen_by_arm_and_label():
    rows = [Row(arm, f"{kind}{i}", labels={"kind": kind}, measures={"m": i}) for arm in "ab" for kind in "xy"
            for i in range(2)]  # fmt: skip
    results = Results(rows=rows)
    assert len(results.of("a")) == 4 and len(results.of("a", kind="x")) == 2 and len(results.of(kind=None)) == 8
    assert results.labels("kind") == ["x", "y"] and set(results.table("m", by="kind")) == {"x", "y"}


# --- a run's file -----------------------------------------------------------------------------------------------------

KEYS = [(arm, item, seed) for arm in ("a", "b") for item in ("i", "j") for seed in (0, 1)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    return tmp_path


class Study:
    """Computes rows with awkward numbers, and counts what it is asked for; dies after so many."""

    def __init__(self, dies=10**9, **options):
        self.results, self.asked, self.dies = Results("toy", **options), [], dies

    def make(self, missing):
        for arm, item, seed in missing:
            if len(self.asked) == self.dies:
                raise KeyboardInterrupt
            self.asked.append((arm, item, seed))
            value = (0.1 + len(arm + item) / 3 + seed) ** 0.5
            measures = {"m": value, "good": seed == 0, "none": math.nan}
            cost = {"seconds": np.float32(0.1), "searches": None}
            yield Row(arm, item, seed, measures=measures, reply=f"\u2028{item} </script>\ud800", cost=cost)

    def run(self, together=False):
        self.results.compute(KEYS, self.make, together=together)
        return self.results.rows


def offer(folder):
    (folder / FILE).rename(folder / OFFERED)


def same(one, other):
    return [json.dumps(row.as_dict()) for row in one] == [json.dumps(row.as_dict()) for row in other]


@pytest.mark.parametrize("dies", [0, 1, 5, 8])
def test_finished_rows_are_taken_over_and_the_whole_equals_one_that_was_never_broken_off(folder, dies):
    broken = Study(dies)
    if dies < 8:
        with pytest.raises(KeyboardInterrupt):
            broken.run()
    else:
        broken.run()
    if dies:
        offer(folder)
    resumed = Study()
    rows = resumed.run()
    assert resumed.asked == KEYS[dies:]
    lines, damaged = read_lines(folder / FILE)
    assert damaged == 0 and sum(line["taken"] for line in lines) == dies and len(lines) == 8
    (folder / FILE).unlink()
    (folder / OFFERED).unlink(missing_ok=True)
    whole = Study().run()
    assert same(rows, whole) and [row.key for row in rows] == KEYS
    assert math.isnan(rows[0].measures["none"]) and rows[0].measures["good"] is True


def test_a_batch_is_taken_whole_or_not_at_all(folder):
    Study().run(together=True)
    lines = (folder / FILE).read_bytes().splitlines(keepends=True)
    (folder / FILE).write_bytes(b"".join(lines[:7]) + lines[7][:-9])  # the last line was cut by a kill
    assert read_lines(folder / FILE)[1] == 1
    offer(folder)
    resumed = Study()
    resumed.run(together=True)
    assert resumed.asked == KEYS
    offer(folder)
    again = Study()
    again.run(together=True)
    assert again.asked == []


@pytest.mark.parametrize("other", [{"model": "another"}, {"settings": {"budget": 2}}])
def test_rows_of_another_model_or_of_other_settings_are_not_taken(folder, other):
    Study(settings={"budget": 1}, model="one").run()
    offer(folder)
    resumed = Study(**({"settings": {"budget": 1}, "model": "one"} | other))
    resumed.run()
    assert resumed.asked == KEYS


EDITS = {
    "in place": lambda weight: weight.mul_(0.5),
    "through .data": lambda weight: weight.data.__setitem__((3, 5), 1),
    "two rows exchanged": lambda weight: weight.copy_(weight[[1, 0, *range(2, len(weight))]]),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_model_changed_between_two_studies_of_a_run_is_another_model(folder, zoo, edit):
    model = load(zoo("llama"))
    first = Study(model=model)
    first.run()
    weight = model.module.model.layers[0].self_attn.q_proj.weight
    before = weight.detach().clone()
    with torch.no_grad():
        edit(weight)
    changed = Study(model=model)
    changed.run()
    assert changed.asked == KEYS, "the first model's rows are not the second's"
    with torch.no_grad():
        weight.copy_(before)
    again = Study(model=model)
    again.run()
    assert again.asked == [], "weights put back are the first model's"


@pytest.mark.parametrize("bits", [4, 8])
def test_a_quantised_model_is_the_same_before_and_after_its_first_inference(zoo, bits):
    model = load(zoo("llama"), bits=bits)
    before = Results(model=model).code
    model.logprobs(["A text"], [[" more"]])
    assert Results(model=model).code == before == Results(model=load(zoo("llama"), bits=bits)).code
    with torch.no_grad():
        model.module.model.norm.weight.mul_(2)
    assert Results(model=model).code != before


def test_a_second_study_of_the_same_run_computes_nothing_twice(folder):
    Study().run()
    again = Study()
    assert len(again.run()) == 8 and again.asked == [] and len(read_lines(folder / FILE)[0]) == 8


def test_lines_of_a_stranger_are_passed_over(folder):
    (folder / OFFERED).write_bytes(b'\xff\xfe\n[]\n{"study": 1}\nnull\n{"a": NaN}\n' + b"[" * 10**5 + b"\n")
    assert read_lines(folder / OFFERED) == ([], 6)
    assert len(Study().run()) == 8


def test_outside_a_run_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_RUN_FOLDER", raising=False)
    monkeypatch.chdir(tmp_path)
    assert len(Study().run()) == 8 and not list(tmp_path.iterdir())


def test_a_study_that_makes_other_rows_is_told_so():
    with pytest.raises(UsageError, match="not asked for the row"):
        Results("toy").compute([("a", "i", 0)], lambda missing: [Row("b", "i")])
    with pytest.raises(UsageError, match="made no row"):
        Results("toy").compute([("a", "i", 0)], lambda missing: [])
    with pytest.raises(UsageError, match="is no number"):
        Row("a", "i", measures={"m": "1"})


def test_a_rows_key_follows_code_data_and_libraries(tmp_path, monkeypatch):
    """Rows are not taken over from a run that saw other data, other code or another library; a card is for people."""

    def key():
        rows.code_hash.cache_clear()
        return Results("toy").code

    for name in ("workbench/stats.py", "workbench/runs/page.py", "data/toy/rows.jsonl", "data/toy/README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(rows, "ROOT", tmp_path)
            first = key()
            for name in ("workbench/runs/page.py", "data/toy/README.md"):
                (tmp_path / name).write_text("after")
            assert key() == first
            for name in ("workbench/stats.py", "data/toy/rows.jsonl"):
                (tmp_path / name).write_text("after")
                assert key() != first
                (tmp_path / name).write_text("before")
            assert key() == first
            patch.setattr(rows, "version", lambda name: "0.0.1")
            assert key() != first
    finally:
        rows.code_hash.cache_clear()


def test_a_table_for_people_has_named_columns_and_no_none():
    frame = pd.DataFrame({"rate": [Estimate(0.5, 0.25, 0.75), None], "n": [3, 4], "<b>": [math.nan, "<i>"]})
    table = shown(frame.rename_axis("arm"), "a < b")
    assert table.data.to_dict("records") == [
        {"arm": "0", "rate": "0.5 [0.25, 0.75]", "n": "3", "<b>": ""},
        {"arm": "1", "rate": "", "n": "4", "<b>": "<i>"},
    ]
    page = table.to_html()
    assert "a &lt; b" in page and "&lt;i&gt;" in page and "<i>" not in page and "None" not in page
    assert list(shown(frame).data) == ["rate", "n", "<b>"], "an index without a name is no column"
    assert list(shown({}).data) == ["what", "value"] and "<td" not in shown({}).to_html()
    twice = pd.DataFrame({"arm": [1]}, index=pd.Index(["x"], name="arm"))
    assert shown(twice).data.to_numpy().tolist() == [["x", "1"]]
    assert shown({"steps": 0.123456}).data.to_dict("records") == [{"what": "steps", "value": "0.123"}]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.3, "more"), (-0.3, -0.1, "less"), (-0.1, 0.3, "no difference was seen"), (None, None, "one observation")],
)
def test_a_difference_in_words_is_none_where_its_interval_spans_zero(low, high, said):
    assert Estimate(0.2, low, high).says("more", "less").startswith(said)


def test_a_pooled_share_without_spread_has_an_interval_that_counts_units():
    rows = [Row("a", f"{unit} {n}", 0, f"unit {unit}", {"right": 0.0}) for unit in range(8) for n in range(3)]
    found = Results("x", rows=rows).table("right", bounds=(0, 1), pooled=True)["a"]
    # Wilson's lower end for 8 of 8 is 8 / (8 + 1.96 squared) = .6756; 1 less that is how often another unit may differ
    assert (found.value, found.low) == (0, 0) and found.high == pytest.approx(1 - 8 / (8 + 1.959964**2), abs=1e-4)
    assert Results("x", rows=rows).table("right", pooled=True)["a"].high == 0


def test_pairs_of_one_right_and_one_wrong_are_no_exact_half():
    rows = [Row("a", f"{unit} {n}", 0, f"unit {unit}", {"right": float(n)}) for unit in range(4) for n in range(2)]
    found = Results("x", rows=rows).table("right", bounds=(0, 1), pooled=True)["a"]
    same = 4 / (4 + 1.959964**2)  # Wilson's lower end for 4 of 4: how often a unit may differ, by all that is possible
    assert (found.value, found.n) == (0.5, 8)
    assert (found.low, found.high) == (pytest.approx(0.5 * same, abs=1e-4), pytest.approx(1 - 0.5 * same, abs=1e-4))
