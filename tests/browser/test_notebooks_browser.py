"""Each paper's own notebook as a class meets it: Run All in a narrow window, kernel restarted, saved, opened again."""

import pytest
from changed import by_turn

from workbench.papers import PAPERS

pytestmark = [pytest.mark.browser]
# live ones a notebook
WIDGETS = {"randomness": 1, "rain": 1, "emo": 1, "kbert": 1, "explainability": 7, "reprover": 1, "skipanalyzer": 1}

BROKEN = """() => [...document.querySelectorAll('.wb svg, .wb svg *')].flatMap(node => [...node.attributes]
  .filter(one => /NaN|undefined|Infinity/.test(one.value)).map(one => `${node.tagName} ${one.name}`))"""


def test_every_finished_paper_is_here():
    assert WIDGETS.keys() == {paper.name for paper in PAPERS if paper.status == "done"}


def kernel_restarted_saved_and_opened_again(page, name, widgets, open_notebook):
    # The kernel is restarted: what is asked now has no answer, and the page says so instead of waiting for ever.
    page.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart()")
    first = page.widget(0)
    first.get_by_role("button", name="Reset", exact=True).click()
    first.get_by_role("alert").wait_for(state="visible")
    assert "run its cell again" in first.get_by_role("alert").inner_text()
    page.command("docmanager:save")
    assert page.errors() == []

    # Opened again, with no widget state kept: the picture is there, and no line about a missing model.
    again = open_notebook(name, width=900, height=700)
    kept = again.page.locator(".wb-kept")
    kept.first.wait_for(state="attached")
    for index in range(widgets):
        kept.nth(index).scroll_into_view_if_needed()
        assert kept.nth(index).is_visible() and kept.nth(index).locator("img").first.bounding_box()["height"] > 50
        cell = again.page.locator(".jp-Cell-outputArea", has=again.page.locator(".wb-kept")).nth(index)
        assert not cell.get_by_text("model not found").first.is_visible()


def test_a_widget_after_a_restart_and_in_a_notebook_opened_again(open_notebook, lab):
    name = lab.write("map.ipynb", ["from workbench.widgets.explain.map import TaxonomyMap\nTaxonomyMap()"])
    page = open_notebook(name, width=900, height=700)
    page.run_all()
    assert page.widget(0).locator(".wb-body").bounding_box()["height"] > 50
    assert not page.page.locator(".wb-kept").first.is_visible(), "the kept picture hides beside a live widget"
    with page.page.expect_download() as saved:
        page.widget(0).get_by_role("button", name="CSV", exact=True).click()
    lines = saved.value.path().read_text("utf-8-sig").splitlines()
    assert saved.value.suggested_filename == "map.csv" and lines[1] == f"leaf,{page.table()[0][1]}"
    kernel_restarted_saved_and_opened_again(page, name, 1, open_notebook)


def test_a_kernel_that_dies_at_a_question_gets_a_sentence(open_notebook, lab):
    cells = ["from workbench.widgets.explain.map import TaxonomyMap\nTaxonomyMap()"]
    page = open_notebook(lab.write("dies.ipynb", cells), width=900, height=700)
    page.run_all()
    widget = page.widget(0)
    page.execute("import os, time\ntime.sleep(2)\nos.kill(os.getpid(), 9)")
    widget.get_by_role("button", name="Reset", exact=True).click()
    page.page.wait_for_function("() => document.querySelector('.wb').getAttribute('aria-busy') === 'true'")
    widget.get_by_role("alert").filter(has_text="run its cell again").wait_for(state="visible")
    assert widget.get_attribute("aria-busy") == "false"


def pytest_generate_tests(metafunc):
    """Two papers take turns in the gate, all run with ``--release``."""
    if "paper" in metafunc.fixturenames:
        metafunc.parametrize("paper", WIDGETS if metafunc.config.getoption("--release") else by_turn(list(WIDGETS), 1))


@pytest.mark.slow
def test_run_all_save_reopen_restart(paper, open_notebook, lab):
    name = lab.copy(paper, profile="smoke")
    page = open_notebook(name, width=900, height=700)
    page.run_all(timeout=400)
    for index in range(WIDGETS[paper]):
        widget = page.widget(index)
        assert widget.bounding_box()["width"] >= 300
        assert not widget.get_by_role("alert").is_visible(), widget.get_by_role("alert").inner_text()
        assert widget.locator(".wb-body").bounding_box()["height"] > 50
        for chart in widget.locator("svg.wb-chart:visible, svg.wb-rain-tree:visible, svg.wb-kb-tree:visible").all():
            assert chart.bounding_box()["width"] > 100 and chart.locator(":scope > *").count() >= 2, "drawn, not blank"
        assert not page.page.locator(".wb-kept").nth(index).is_visible(), "the kept picture hides beside a live widget"
    assert page.page.evaluate(BROKEN) == []
    assert page.page.locator(".wb").count() == WIDGETS[paper]

    kernel_restarted_saved_and_opened_again(page, name, WIDGETS[paper], open_notebook)
