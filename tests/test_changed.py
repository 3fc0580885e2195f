"""The gate's choice of slow tests: what changed always runs, and nothing waits longer than three days."""

import changed
import pytest


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A repository with one paper, which imports one file of the house, and a slow test of it."""
    files = {
        "workbench/papers/emo/study.py": "from ...stats import mean\n",
        "workbench/stats.py": "1",
        "workbench/plots.py": "1",
        "workbench/models/base.py": "1",
        "notebooks/emo.ipynb": "{}",
        "tests/papers/test_emo_slow.py": "from emo_two import x\n",
        "tests/papers/emo_two.py": "x = 1",
        "tests/models/test_zoo.py": "import zoo\n",
        "tests/test_setup.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(changed, "ROOT", tmp_path)
    return tmp_path


PAPER, ZOO = "tests/papers/test_emo_slow.py", "tests/models/test_zoo.py"


def left(whole, monkeypatch):
    """On which of three days each test is left out."""
    found = {}
    for file in (PAPER, ZOO):
        days = []
        for day in range(3):
            monkeypatch.setattr(changed, "today", lambda day=day: day)
            days.append(changed.left_to_another_day(file, None, whole))
        found[file] = sum(days)
    return found


@pytest.mark.parametrize(
    ("file", "text", "runs"),
    [
        ("workbench/papers/emo/study.py", "2", {PAPER}),
        ("workbench/papers/emo/new.py", "1", {PAPER}),
        ("workbench/stats.py", "2", {PAPER}),
        ("workbench/plots.py", "2", set()),  # the paper does not import it
        ("workbench/models/deep/er.py", "1", {ZOO}),
        ("notebooks/emo.ipynb", "{ }", {PAPER}),
        ("tests/papers/emo_two.py", "x = 2", {PAPER}),
        (PAPER, "", {PAPER}),
        ("constraints.txt", "torch==3", {PAPER, ZOO}),
    ],
)
def test_what_a_change_touches_runs_and_the_rest_has_its_day(house, monkeypatch, file, text, runs):
    rooms = {room for one in (PAPER, ZOO) for room in changed.rooms_of(one, None)}
    whole = {room: changed.content(room) for room in rooms}
    assert left(whole, monkeypatch) == {PAPER: 2, ZOO: 2}, "nothing changed: each runs on one day of three"
    (house / file).parent.mkdir(parents=True, exist_ok=True)
    (house / file).write_text(text)
    assert left(whole, monkeypatch) == {one: 0 if one in runs else 2 for one in (PAPER, ZOO)}


def test_a_room_that_nobody_knows_and_a_test_without_rooms_always_run(house, monkeypatch):
    assert left({}, monkeypatch) == {PAPER: 0, ZOO: 0}
    assert not changed.left_to_another_day("tests/test_setup.py", None, {})
