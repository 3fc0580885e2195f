"""Each chart form draws and says what it is given; figures are saved inside a run only, with their text alternative."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from workbench import plots
from workbench.errors import UsageError
from workbench.files import RUN_FOLDER
from workbench.stats import Estimate

ROOT = Path(__file__).parents[1]
WORDS = 'Two arms, "a" 1 [0, 2] & b 3 → more.'


@pytest.fixture
def figure():
    return plots.curves({"a line": ([0, 1], [0, 1])}, xlabel="x")


def test_outside_a_run_nothing_is_written(figure, tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    assert plots.save(figure, "curve", describe=WORDS) == []
    assert list(tmp_path.iterdir()) == []


def test_inside_a_run_the_figure_is_saved_in_three_forms_with_its_description(figure, tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    written = plots.save(figure, "curve_1", describe=WORDS)
    assert written == [tmp_path / "figures" / f"curve_1.{kind}" for kind in ("png", "svg", "pdf")]
    assert sorted((tmp_path / "figures").iterdir()) == sorted(written)
    assert written[2].read_bytes().startswith(b"%PDF") and b"/Type3" not in written[2].read_bytes()
    assert written[0].read_bytes().startswith(b"\x89PNG") and plots.description(written[0]) == WORDS
    drawn = ElementTree.parse(written[1]).getroot()
    assert [drawn.find(f"{{http://www.w3.org/2000/svg}}{tag}").text for tag in ("title", "desc")] == ["curve_1", WORDS]
    first = [path.read_bytes() for path in written]
    again = plots.save(figure, "curve_1", describe=WORDS)
    assert [path.read_bytes() for path in again] == first, "the same figure, the same files"
    (tmp_path / "broken.png").write_bytes(b"\x89PNG secret")
    assert plots.description(tmp_path / "broken.png") == ""


@pytest.mark.parametrize("name", ["", "a/b", "../up", "a b", "curve.png"])
def test_a_name_that_is_no_file_name(figure, name, tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    with pytest.raises(UsageError, match="must be made of letters, digits"):
        plots.save(figure, name, describe=WORDS)
    assert list(tmp_path.iterdir()) == []


def test_a_figure_without_a_description_is_not_saved(figure, tmp_path):
    with pytest.raises(TypeError, match="describe"):
        plots.save(figure, "curve", tmp_path)
    with pytest.raises(UsageError, match="needs describe="):
        plots.save(figure, "curve", tmp_path, describe="  ")
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_the_description_as_the_images_alt(figure):
    data, metadata = DisplayFormatter().format(figure)
    assert "image/png" in data and metadata["image/png"]["alt"] == figure.description


def test_style_is_put_back():
    before = dict(mpl.rcParams)
    with plots.style():
        assert mpl.rcParams["axes.spines.top"] is False
        assert [c["color"] for c in mpl.rcParams["axes.prop_cycle"]] == list(plots.CYCLE)
    assert dict(mpl.rcParams) == before
    with pytest.raises(ZeroDivisionError), plots.style():
        1 / 0  # noqa: B018
    plots.empty("nothing")
    assert dict(mpl.rcParams) == before


def test_colours_are_told_apart():
    assert len(set(plots.CYCLE)) == len(plots.CYCLE) == 7


def test_dots_draw_and_say_values_intervals_and_chance():
    table = {"plain": Estimate(0.2, 0.1, 0.4), "ours": Estimate(0.5), "missing": None}
    picture = plots.dots(
        table, labels={"ours": "our $x"}, chance=Estimate(0.3, 0.2, 0.4), chance_label="a coin", xlabel="share right",
        points={"plain": [0.1, 0.3]},
    )  # fmt: skip
    (axis,) = picture.axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["plain", "our $x", "missing"]
    assert [list(bars[0].get_xdata()) for bars in axis.containers] == [[0.2], [0.5]]
    low, high = axis.containers[0][2][0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx((0.1, 0.4))
    said = picture.description
    assert said == "share right: plain 0.2 [0.1, 0.4]; our $x 0.5. The dashed line is a coin, 0.3 [0.2, 0.4]."
    picture.png()  # a dollar sign begins no formula


def test_dots_without_a_value_say_so():
    picture = plots.dots({"plain": None, "ours": Estimate(float("nan"))}, xlabel="nats")
    assert [text.get_text() for text in picture.axes[0].texts] == ["no value"]
    assert picture.description == "nats: none."


def test_dots_of_several_groups_share_their_rows():
    groups = {"mine": {"a": Estimate(1), "b": Estimate(2)}, "theirs": {"b": Estimate(3)}}
    picture = plots.dots(groups, title="t")
    rows = [bars[0].get_ydata()[0] for bars in picture.axes[0].containers if len(bars[0].get_ydata())]
    assert rows[0] == pytest.approx(rows[1] - 1) and round(rows[2]) == 1 and rows[2] > rows[1]
    assert [text.get_text() for text in picture.axes[0].get_legend().get_texts()] == ["mine", "theirs"]
    assert picture.description == "t: mine: a 1; b 2 | theirs: b 3."


def test_curves_draw_the_values_and_the_intervals():
    picture = plots.curves({"ours": ([0, 1], [Estimate(1, 0, 3), Estimate(2)]), "_still": ([0, 1], [5, 5])}, ylabel="y")
    (axis,) = picture.axes
    assert axis.lines[0].get_ydata() == pytest.approx([1, 2]) and axis.lines[0].get_label() == "ours"
    corners = axis.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == 0 and corners[:, 1].max() == 3
    assert set(corners[np.isclose(corners[:, 0], 1), 1]) == {2}  # without an interval the band has no width
    assert picture.description == "y: ours goes from 1 [0, 3] at 0 to 2 at 1."
    points = plots.curves({"p": ([1, 2, 3], [Estimate(1, 0, 2), Estimate(9), Estimate(4)])}, styles={"p": plots.POINTS})
    assert len(points.axes[0].containers) == 1 and points.axes[0].lines[0].get_linestyle() == "None"
    assert points.description.endswith("p goes from 1 [0, 2] at 1 to 4 at 3, highest 9 at 2.")
    log = plots.curves({"": ([1, 10, 400], [3, 2, 1])}, log="x", xlabel="tokens")
    log.canvas.draw()
    assert "$" not in "".join(tick.get_text() for tick in log.axes[0].get_xticklabels())


def test_a_grid_names_its_cells_and_leaves_blanks():
    picture = plots.grid(
        [[0.1, np.nan], [0.9, 0.5]], ["r1", "r2"], ["c1", "c2"], label="share", title="g", numbers=True
    )
    axis, bar = picture.axes
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["c1", "c2"] and bar.get_ylabel() == "share"
    assert [text.get_text() for text in axis.texts] == ["0.1", "0.9", "0.5"]
    said = "g: 2 rows by 2 columns; lowest 0.1 at row r1, column c1; highest 0.9 at row r2, column c1."
    assert picture.description == said
    assert plots.grid([[np.nan]], ["r"], ["c"], title="none").description == "none: 1 rows by 1 columns."


def test_bars_and_an_empty_figure():
    picture = plots.bars({"ce": [1, -2], "emo": [0.5, 0]}, ["one", "two"], xlabel="pull")
    assert [bar.get_width() for bar in picture.axes[0].patches] == [1, -2, 0.5, 0]
    assert picture.description == "pull: ce: one 1; two -2 | emo: one 0.5; two 0."
    nothing = plots.empty("No model gives log-probabilities.")
    assert nothing.axes[0].texts[0].get_text() == nothing.description == "No model gives log-probabilities."


def test_a_long_title_is_wrapped_and_panels_add_up():
    picture, axes = plots.panels(1, 2, size=(8, 3), title="both")
    for axis, name in zip(axes[0], ("a", "b")):
        plots.dots({name: Estimate(1)}, title="word " * 30, xlabel=name, axis=axis)
    assert axes[0, 0].get_title(loc="left").count("\n") > 2
    assert picture.description.count("word") == 60 and picture.get_suptitle() == "both"


def test_no_figures_file_imports_a_model_a_trainer_or_a_prover():
    papers = sorted(path.parent.name for path in (ROOT / "workbench/papers").glob("*/figures.py"))
    assert len(papers) >= 6
    code = (
        f"import importlib, sys\n"
        f"for paper in {papers}: importlib.import_module(f'workbench.papers.{{paper}}.figures')\n"
        "heavy = {'torch', 'transformers', 'peft', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "parts = {name.rsplit('.', 1)[-1] for name in sys.modules if name.startswith('workbench.')}\n"
        "print(sorted(heavy | ({'study', 'trainer', 'session', 'engine', 'model', 'local', 'loading'} & parts)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert told.stdout.strip() == "[]", told.stdout + told.stderr
