"""The house style is put on and taken off again, and figures are saved inside a run only."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

from workbench import plots
from workbench.errors import UsageError
from workbench.files import RUN_FOLDER
from workbench.stats import Estimate


@pytest.fixture
def figure():
    with plots.style():
        fig, axis = plt.subplots()
        axis.plot([0, 1], [0, 1], label="a line")
        axis.legend()
    yield fig
    plt.close(fig)


def test_outside_a_run_nothing_is_written(figure, tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    assert plots.save(figure, "curve") == []
    assert list(tmp_path.iterdir()) == []


def test_inside_a_run_the_figure_is_saved_twice(figure, tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    written = plots.save(figure, "curve_1")
    assert written == [tmp_path / "figures" / "curve_1.png", tmp_path / "figures" / "curve_1.svg"]
    assert written[0].read_bytes().startswith(b"\x89PNG") and "<svg" in written[1].read_text()
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["curve_1.png", "curve_1.svg"]


@pytest.mark.parametrize("name", ["", "a/b", "../up", "a b", "curve.png"])
def test_a_name_that_is_no_file_name(figure, name, tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    with pytest.raises(UsageError, match="must be made of letters, digits"):
        plots.save(figure, name)
    assert list(tmp_path.iterdir()) == []


def test_style_is_put_back():
    before = dict(mpl.rcParams)
    with plots.style():
        assert mpl.rcParams["axes.spines.top"] is False
        assert [c["color"] for c in mpl.rcParams["axes.prop_cycle"]] == list(plots.CYCLE)
    assert dict(mpl.rcParams) == before
    with pytest.raises(ZeroDivisionError), plots.style():
        1 / 0  # noqa: B018
    assert dict(mpl.rcParams) == before


def test_band_draws_the_values_and_the_interval():
    fig, axis = plt.subplots()
    line = plots.band(axis, [0, 1], [Estimate(1, 0, 3), Estimate(2)], label="ours")
    assert line.get_ydata() == pytest.approx([1, 2]) and line.get_label() == "ours"
    corners = axis.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == 0 and corners[:, 1].max() == 3
    assert set(corners[np.isclose(corners[:, 0], 1), 1]) == {2}  # without an interval the band has no width
    plt.close(fig)


def test_colours_are_told_apart():
    assert len(set(plots.CYCLE)) == len(plots.CYCLE) == 7
