"""The explorer of RAIN in a real JupyterLab and a real Chromium: stepping, clicking, the table, the reply."""

import pytest
from harness import ROOT

pytestmark = pytest.mark.browser

CELL = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests" / "papers")!r})
from rain_example import example
from workbench.papers.rain import RainSettings
from workbench.widgets.rain import RainExplorer

class Named:
    name = "no model"
    can = frozenset({{"logprobs"}})

RainExplorer(Named(), None, settings=RainSettings.embedded(budget=2), results=[example()], large=False)
"""


def nodes(root):
    return root.locator(".wb-rain-node").evaluate_all("all => all.map(node => Number(node.dataset.node))")


def test_step_through_a_search_and_click_a_node(lab, open_notebook):
    page = open_notebook(lab.write("rain_explorer.ipynb", [CELL]))
    page.run_all()
    root = page.widget()
    assert root.locator(".wb-rain-text strong").inner_text() == " was good".strip() or "was good" in root.inner_text()
    assert sorted(nodes(root)) == [1, 4, 5]  # the last move's tree

    root.get_by_role("button", name="Previous move").click()
    assert sorted(nodes(root)) == [0, 1, 2] and "Move 1 of 2, simulation 2 of 4" in root.inner_text()
    assert "committed: “ was”" in root.locator(".wb-says").first.text_content()
    root.get_by_role("button", name="Previous simulation").click()
    assert sorted(nodes(root)) == [0, 1]
    root.get_by_role("button", name="Previous simulation").click()
    assert nodes(root) == [0]
    for _ in range(4):
        root.get_by_role("button", name="Next simulation").click()

    root.locator('[data-node="5"]').click()
    detail = root.locator(".wb-rain-detail").text_content()
    assert "<b>bad</b>, no." in detail and "its evaluation 0.10" in detail and "prior p 0.40" in detail
    assert root.locator(".wb-rain-detail b").count() == 0  # text is text
    root.locator('[data-node="4"]').focus()
    page.page.keyboard.press("Enter")
    assert "was good." in root.locator(".wb-rain-detail").text_content()

    table = page.table()
    assert [row[0] for row in table] == ["0", "1", "2", "4", "5"] and table[3][3:6] == ["0.90", "1.00", "1"]
    page.page.screenshot(path=str(lab.folder / "rain.png"), full_page=True)

    root.locator(".wb-rain-prompt").fill("   ")
    root.get_by_role("button", name="Search").click()
    page.settled()
    assert "the prompt is empty" in root.locator(".wb-error").inner_text()
    for name, word in (("CSV", "save"), ("Copy", "copy")):
        root.get_by_role("button", name=name, exact=True).click()
        assert root.locator(".wb-error").inner_text() == f"There is no table to {word} yet."
    root.get_by_role("button", name="Reset").click()
    page.settled()
    assert root.locator(".wb-error").is_hidden() and sorted(nodes(root)) == [1, 4, 5]
