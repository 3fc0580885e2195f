"""The EMO explorer in a real browser: the sliders reach the kernel and the table shows its answer."""

import pytest

pytestmark = pytest.mark.browser

CELLS = [
    "import workbench as wb",
    "from workbench.widgets.emo import EMOExplorer",
    "EMOExplorer(wb.load('smollm2'), contexts=['The sky is| blue', 'Two plus two equals| four'])",
]


@pytest.mark.slow
def test_context_and_variant(lab, open_notebook):
    page = open_notebook(lab.write("emo-widget.ipynb", CELLS))
    page.run_all()
    root = page.widget()
    first = page.table()
    assert len(first) == 11 and "blue" in first[0][0]
    root.get_by_label("Context").press("ArrowRight")
    page.settled()
    assert "four" in page.table()[0][0] and "four" in root.inner_text()
    before = page.table()
    root.get_by_label("Variant").select_option("emo2_adaptive")
    page.settled()
    after = page.table()
    assert [row[3] for row in after] == [row[3] for row in before]  # cross-entropy's pull stays
    assert [row[4] for row in after] != [row[4] for row in before]
