"""The working copies that `workbench lab` opens: one's own changes stay, and notebooks/ is never edited."""

import json

import pytest

from workbench.errors import UsageError
from workbench.runs.notebook import copies

TEXT = 'profile: str = "quick"\nseed: int = 0  # every choice'


def notebook(*sources):
    cells = [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
        for source in sources
    ]
    cells[0]["metadata"] = {"tags": ["parameters"]}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}


def sources(path):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one notebook, whose text ``write`` changes."""
    monkeypatch.setattr(copies, "ROOT", tmp_path)
    monkeypatch.setattr(copies, "WORK", tmp_path / "work")
    (tmp_path / "notebooks").mkdir()
    return tmp_path


def write(path, *cells, **more):
    path.write_text(json.dumps(notebook(*cells) | more))


def test_a_copy_follows_its_notebook_until_somebody_changes_it(checkout):
    original, copy = checkout / "notebooks" / "a.ipynb", checkout / "work" / "a.ipynb"
    write(original, TEXT, "1")
    assert copies.refresh() == [] and sources(copy) == [TEXT, "1"]
    run = json.loads(copy.read_text())
    run["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1"}]
    copy.write_text(json.dumps(run))
    assert copies.refresh() == [] and json.loads(copy.read_text()) == run, "nothing moved: the outputs stay"
    write(original, TEXT, "2")
    assert copies.refresh() == [] and sources(copy) == [TEXT, "2"], "a run alone is no change"

    mine = json.loads(copy.read_text())
    mine["cells"][1]["source"] = ["my ", "own"]
    copy.write_text(json.dumps(mine))
    assert copies.refresh() == [] and sources(copy) == [TEXT, "my own"]
    write(original, TEXT, "3")
    (sentence,) = copies.refresh()
    assert "work/a.ipynb has your changes" in sentence and sources(copy) == [TEXT, "my own"]
    assert sources(original) == [TEXT, "3"]


def test_what_cannot_be_read_stays_and_what_cannot_be_written_is_said(checkout):
    write(checkout / "notebooks" / "a.ipynb", TEXT)
    (checkout / "work").mkdir()
    (checkout / "work" / "a.ipynb").write_text("{ half")
    assert len(copies.refresh()) == 1 and (checkout / "work" / "a.ipynb").read_text() == "{ half"
    (checkout / "work" / "a.ipynb").unlink()
    (checkout / "work").rmdir()
    (checkout / "work").write_text("a file where the folder belongs")
    with pytest.raises(UsageError, match=r"cannot be written .*make the folder writable") as caught:
        copies.refresh()
    assert "\n" not in str(caught.value)


def test_values_go_into_a_new_copy_checked_as_a_run_checks_them(checkout):
    path = checkout / "mine.ipynb"
    write(path, TEXT, "print(seed)")
    first, second = (copies.with_values(str(path), ["seed=3"]) for _ in range(2))
    assert [first.name, second.name] == ["mine-2.ipynb", "mine-3.ipynb"]
    assert sources(first) == [TEXT, "seed = 3\n", "print(seed)"]
    for wrong, sentence in (("sede=3", "did you mean seed"), ("seed=x", "seed"), ("seed", "name=value")):
        with pytest.raises(UsageError, match=sentence):
            copies.with_values(str(path), [wrong])


def test_a_notebook_outside_the_checkout_is_not_opened(checkout, tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "x.ipynb"
    write(path, TEXT)
    with pytest.raises(UsageError, match="outside"):
        copies.of(str(path))
