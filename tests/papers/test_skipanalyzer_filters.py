"""The controls that read words: on rows whose answer is known by construction, and on JLeaks where it is at hand."""

import gzip
import itertools
import json

import numpy as np
import pytest

from workbench.errors import DataError, UsageError
from workbench.files import ROOT
from workbench.papers import skipanalyzer as skip

JLEAKS = ROOT.parent / "shared" / "data" / "jleaks" / "methods.jsonl.gz"


def made(n=40, groups=8):
    """Pairs of which the real one does not close; the group's own words say nothing."""
    rows = []
    for number in range(n):
        name = f"project{number % groups}"
        for real, end in ((True, "in.read();"), (False, "in.read(); in.close();")):
            rows.append(skip.Case(f"{number} {real}", name, f"int {name}{number}() {{ {end} }}", real))
    return rows


def test_what_words_tell_is_found_and_what_they_do_not_is_chance():
    cases = made()
    rows = {row["scorer"]: row for row in skip.compared(cases, skip.scored(cases), over="length alone")}
    assert rows["small filter"]["AUROC"].value == 1 and rows["constant"]["AUROC"].value == 0.5
    # each real method is the shorter one of its pair; lengths of numbers overlap by 1, closing adds 12 characters
    assert rows["length alone"]["AUROC"].value == 0 and rows["calls close"]["AUROC"].value == 1
    added = rows["small filter"]["over length alone"]
    assert added.value == 1 and 0.3 < added.low < 1  # no spread among eight groups is no proof
    shuffled = [
        skip.Case(c.id, c.group, c.text, bool(k % 2)) for k, c in zip(np.random.default_rng(3).permutation(80), cases)
    ]
    (row,) = [row for row in skip.compared(shuffled, skip.scored(shuffled)) if row["scorer"] == "small filter"]
    assert row["AUROC"].low < 0.5 < row["AUROC"].high


def test_a_group_is_never_in_both_parts():
    """A word that only marks the group's answer is worth nothing: its group is held out as a whole."""
    cases = [
        skip.Case(str(number), f"g{number // 4}", f"void mark{number // 4}() {{ x(); }}", number // 4 % 2 == 0)
        for number in range(80)
    ]
    (row,) = [row for row in skip.compared(cases, skip.scored(cases)) if row["scorer"] == "small filter"]
    assert row["AUROC"].value < 0.6
    with pytest.raises(UsageError, match="5 folds need 5 groups, and there are 2"):
        skip.scored(made(groups=2))


def test_a_paired_difference_of_two_scorers_by_hand():
    from workbench.stats import auroc_added

    # first: 5 of 6 pairs right, second: 3 of 6
    first, second, labels = [3, 1, 2, 0, 0], [1, 0, 2, 1, 0], [1, 1, 0, 0, 0]
    wins = [
        sum((s[i] > s[j]) + (s[i] == s[j]) / 2 for i, j in itertools.product((0, 1), (2, 3, 4)))
        for s in (first, second)
    ]
    found = auroc_added(first, second, labels)
    assert found.value == pytest.approx((wins[0] - wins[1]) / 6) and found.low <= found.value <= found.high
    assert auroc_added(first, first, labels, list("aabbc")).value == 0
    with pytest.raises(UsageError, match="give as many of each, and both labels"):
        auroc_added(first, second, [1] * 5)


def test_bad_rows_of_jleaks_are_named(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(
        json.dumps({"side": "bug", "project": "p", "method": "void f() { }"})
        + "\n"
        + '{"side": "leak", "project": "p", "method": "x"}\n'
    )
    with pytest.raises(DataError, match="line 2: 'side' is 'leak': write bug or fix"):
        skip.read_jleaks(path)
    path.write_text('{"side": "bug", "project": "p"}\n')
    with pytest.raises(DataError, match="'method' is missing"):
        skip.read_jleaks(path)


@pytest.mark.slow
def test_on_jleaks_the_small_filter_beats_the_best_rule(tmp_path):
    if not JLEAKS.exists():
        pytest.skip("../shared/data is absent")
    cases = skip.read_jleaks(JLEAKS)
    with gzip.open(JLEAKS, "rt") as file:
        assert [case.real for case in cases] == [json.loads(line)["side"] == "bug" for line in file]
    rows = {row["scorer"]: row for row in skip.compared(cases, skip.scored(cases))}
    assert rows["small filter"]["over has finally or try-with"].low > 0
    assert rows["has finally or try-with"]["AUROC"].low > rows["length alone"]["AUROC"].high
