"""Figures land in the run's folder, the same each time, and the house style stays in its house."""

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import pytest

from workbench import plots
from workbench.errors import UsageError, WorkbenchError
from workbench.files import RUN_FOLDER
from workbench.stats import Estimate


@pytest.fixture
def figure():
    with plots.style():
        fig, axis = plt.subplots()
        axis.plot([0, 1], [1, 0])
    yield fig
    plt.close(fig)


def test_nothing_is_written_outside_a_run(figure, tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    assert plots.save(figure, "a") == [] and list(tmp_path.iterdir()) == []


def test_png_and_svg_inside_a_run_and_the_same_twice(figure, tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    written = plots.save(figure, "next_flip")
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "figures/next_flip.png",
        "figures/next_flip.svg",
    ]
    first = [path.read_bytes() for path in written]
    assert first[0].startswith(b"\x89PNG") and b"<svg" in first[1]
    plots.save(figure, "next_flip")
    assert [path.read_bytes() for path in written] == first
    assert len(list((tmp_path / "figures").iterdir())) == 2  # no temporary file is left


@pytest.mark.parametrize("name", ["../a", "a/b", "", "a b", "a.png"])
def test_a_name_that_is_no_file_name(figure, name, tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    with pytest.raises(UsageError, match="must be made of letters"):
        plots.save(figure, name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(figure, tmp_path, monkeypatch):
    (tmp_path / "figures").write_text("a file stands where the folder should be")
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    with pytest.raises(WorkbenchError, match="cannot write"):
        plots.save(figure, "a")


def test_the_style_is_put_back():
    before = dict(mpl.rcParams)
    with plots.style():
        assert mpl.rcParams["axes.grid"] and mpl.rcParams["axes.prop_cycle"].by_key()["color"] == list(plots.CYCLE)
    assert dict(mpl.rcParams) == before


def test_band_draws_means_and_intervals(figure):
    axis = figure.axes[0]
    line = plots.band(axis, [0, 1], [Estimate(1, 0, 3), Estimate(2)], label="x")
    assert line.get_ydata().tolist() == [1, 2]
    (area,) = axis.collections
    corners = area.get_paths()[0].vertices
    assert {(0, 0), (0, 3), (1, 2)} <= {tuple(corner) for corner in corners.tolist()}  # no interval: the line itself


def test_colours_are_told_apart():
    assert len(set(plots.CYCLE)) == len(plots.CYCLE) >= 6
