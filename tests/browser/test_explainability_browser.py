"""The explainability widgets as a person meets them: a real JupyterLab, a real Chromium, clicks, keys, a real model."""

import numpy as np
import pytest

from workbench.papers import explainability as ex

pytestmark = pytest.mark.browser

LOAD = "import workbench as wb\nmodel = wb.load('smollm2')"
PROMPT, TWIN, TARGET, FOIL = "The capital of France is", "The capital of Italy is", " Paris", " Rome"


def strong(root, index=0):
    return float(root.locator(".wb-says strong").nth(index).inner_text())


def coalition(model, kept, **options):
    return ex.coalition_values(model, PROMPT, TARGET, [kept], quantity="probability", **options)[0]


def test_click_to_mask_a_token(open_notebook, lab, smollm2):
    page = open_notebook(lab.write("heat.ipynb", [LOAD, f"wb.explain(model, {PROMPT!r}, {TARGET!r})"]))
    page.run_all()
    root = page.widget()
    scores = [float(row[2]) for row in page.table()]
    np.testing.assert_allclose(scores, ex.attribute(smollm2, PROMPT, TARGET, method="shapley").scores, atol=2e-3)
    kept = [True] * 5
    assert strong(root) == pytest.approx(coalition(smollm2, kept), abs=2e-3)

    root.locator('[data-index="3"]').click()
    page.settled()
    kept[3] = False
    assert strong(root, 1) == pytest.approx(coalition(smollm2, kept), abs=2e-3) and strong(root, 1) < 0.1
    assert [row[3] for row in page.table()] == ["held", "", "", "masked", ""]

    root.locator('[data-index="3"]').focus()  # and by keyboard: back with Space, then its left neighbour
    page.page.keyboard.press("Space")
    page.settled()
    assert root.locator(".wb-says strong").count() == 1
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("Enter")
    page.settled()
    assert strong(root, 1) == pytest.approx(coalition(smollm2, [True, True, False, True, True]), abs=2e-3)

    root.get_by_role("button", name="Reset", exact=True).click()
    page.settled()
    assert root.locator('[aria-pressed="true"][data-index]').count() == 0


@pytest.mark.slow
def test_the_heat_map_edits_exports_and_shares_the_page(open_notebook, lab, smollm2):
    page = open_notebook(
        lab.write(
            "heats.ipynb",
            [LOAD, f"wb.explain(model, {PROMPT!r}, {TARGET!r})", f"wb.explain(model, {TWIN!r}, {FOIL!r}, large=False)"],
        )
    )
    page.run_all()
    first, second = page.widget(0), page.widget(1)
    first.get_by_label("Method").select_option("occlusion")
    page.settled()
    scores = [float(row[2]) for row in page.table()]
    np.testing.assert_allclose(scores, ex.attribute(smollm2, PROMPT, TARGET, method="occlusion").scores, atol=2e-3)
    before = page.table(1)
    first.locator('[data-index="1"]').click()
    page.settled()
    assert page.table(1) == before and strong(second) > 0  # the neighbour is untouched

    hostile = '<img src=x onerror="window.broken = 1"> is'
    first.get_by_role("textbox", name="Prompt").fill(hostile)
    first.get_by_role("textbox", name="Prompt").press("Enter")
    page.settled()
    assert page.page.evaluate("window.broken") is None and first.locator("img").count() == 0
    assert "".join(row[1] for row in page.table()).replace("␣", " ") == hostile
    first.get_by_role("textbox", name="Prompt").fill("")
    first.get_by_role("textbox", name="Prompt").press("Enter")
    page.settled()
    assert "prompt" in first.get_by_role("alert").inner_text()
    ids = page.page.eval_on_selector_all(".wb [id]", "nodes => nodes.map(node => node.id)")
    assert len(ids) == len(set(ids)) > 0
    for name, start in (("PNG", b"\x89PNG"), ("HTML", b"<!doctype html>")):
        with page.page.expect_download() as download:
            second.get_by_role("button", name=name, exact=True).click()
        with open(download.value.path(), "rb") as file:
            assert file.read(len(start)) == start
    page.execute("import time; time.sleep(12)")
    second.locator('[data-index="1"]').click()
    second.locator(".wb-busy").wait_for(state="visible")
    page.settled(1)
    assert not second.locator(".wb-busy").is_visible()


@pytest.mark.slow
def test_methods_layers_and_heads(open_notebook, lab, smollm2):
    text, target = "In the morning the sun rises in the", " east"
    cells = [
        LOAD,
        "from workbench.widgets.explain.methods import MethodsCompared\n"
        f"MethodsCompared(model, {text!r}, {target!r}, methods=['occlusion', 'gradient_x_input'])",
        "from workbench.widgets.explain.layers import LayerSlider\n"
        f"LayerSlider(model, {PROMPT!r}, {TWIN!r}, {TARGET!r}, {FOIL!r}, layer=28)",
        f"from workbench.widgets.explain.attention import AttentionHeads\nAttentionHeads(model, {PROMPT!r}, layer=8)",
    ]
    page = open_notebook(lab.write("three.ipynb", cells))
    page.run_all()

    root = page.widget(0)
    rows = page.table(0)
    for row, name in zip(rows, ("occlusion", "gradient_x_input")):
        direct = ex.erasure(smollm2, ex.attribute(smollm2, text, target, method=name))
        assert float(row[1]) == pytest.approx(direct.comprehensiveness, abs=2e-3)
    root.get_by_label("Attention", exact=True).check()
    page.settled(0)
    assert [row[0] for row in page.table(0)] == ["Occlusion", "Gradient x input", "Attention", "Random (mean)"]
    root.locator('[data-method="gradient_x_input"]').click()
    page.settled(0)
    assert strong(root) == pytest.approx(float(page.table(0)[1][1]), abs=1e-3)
    root.get_by_label("Top tokens are").select_option("delete")
    page.settled(0)
    direct = ex.erasure(smollm2, ex.attribute(smollm2, text, target, method="occlusion"), removal="delete")
    assert float(page.table(0)[0][1]) == pytest.approx(direct.comprehensiveness, abs=2e-3)

    root = page.widget(1)
    lens = ex.logit_lens(smollm2, PROMPT, TARGET)
    assert float(page.table(1)[4][4]) == pytest.approx(lens.probability[28, 4], abs=2e-3)
    root.get_by_role("slider", name="Layer").focus()
    page.page.keyboard.press("ArrowRight")
    page.settled(1)
    assert float(page.table(1)[4][4]) == pytest.approx(lens.probability[29, 4], abs=2e-3)
    root.get_by_role("tab", name="Patching").click()
    page.settled(1)
    grid = ex.patching_grid(smollm2, PROMPT, TWIN, TARGET, FOIL)
    shown = [float(row[6]) for row in page.table(1)]
    np.testing.assert_allclose(shown, grid.recovery[29], atol=2e-3)
    root.locator('[role=tabpanel]:not([hidden]) [data-r="10"][data-c="3"]').click()
    page.settled(1)
    shown = [float(row[6]) for row in page.table(1)]
    np.testing.assert_allclose(shown, grid.recovery[10], atol=2e-3)
    assert shown[3] > 0.9 and strong(root.locator("[role=tabpanel]:not([hidden])")) == pytest.approx(shown[3], abs=2e-3)

    root = page.widget(2)
    maps = ex.attention_maps(smollm2, PROMPT)

    def weights():
        return np.array([[float(cell) for cell in row[1:]] for row in page.table(2)])

    np.testing.assert_allclose(weights(), maps.weights[7, 0], atol=2e-3)
    root.locator('[data-head="3"]').click()
    page.settled(2)
    np.testing.assert_allclose(weights(), maps.weights[7, 2], atol=2e-3)
    page.page.keyboard.press("ArrowRight")
    page.settled(2)
    np.testing.assert_allclose(weights(), maps.weights[7, 3], atol=2e-3)
    root.get_by_label("Show the attention sink").uncheck()
    page.settled(2)
    np.testing.assert_allclose(weights(), maps.without_sink()[7, 3], atol=2e-3)
    root.get_by_role("slider", name="Layer").press("ArrowRight")
    page.settled(2)
    np.testing.assert_allclose(weights(), maps.without_sink()[8, 3], atol=2e-3)


@pytest.mark.slow
def test_editor_steering_and_map(open_notebook, lab, smollm2):
    opening = ex.openings()[0]
    cells = [
        LOAD + "\nfrom workbench.papers import explainability as ex",
        "from workbench.widgets.explain.edit import CounterfactualEditor\n"
        f"CounterfactualEditor(model, {PROMPT!r}, {TARGET!r}, {FOIL!r}, candidates={{'France': ['Italy', 'Spain']}})",
        "from workbench.widgets.explain.steer import SteeringSlider\n"
        "rows = ex.concept_rows('sentiment', 'train')[:6]\n"
        "concept = ex.concept_vector(model, [r.positive for r in rows], [r.negative for r in rows])\n"
        f"SteeringSlider(model, {{'praise': concept}}, ex.random_concept(concept), {opening.text!r},"
        f" {opening.positive!r}, {opening.negative!r})",
        "from workbench.widgets.explain.map import TaxonomyMap\nTaxonomyMap()",
    ]
    page = open_notebook(lab.write("editor.ipynb", cells))
    page.run_all()

    root = page.widget(0)
    root.get_by_label("Word 4").fill("Spain")
    root.get_by_label("Word 4").press("Enter")
    page.settled(0)
    direct = ex.compare_edit(smollm2, PROMPT, "The capital of Spain is", TARGET, FOIL)
    assert [float(row[2]) for row in page.table(0)] == pytest.approx(
        [direct.p_answer, direct.p_foil, direct.margin], abs=2e-3
    )
    root.get_by_role("button", name="Search for edits").click()
    page.settled(0)
    root.get_by_role("button", name=TWIN, exact=True).click()
    page.settled(0)
    assert "The answer flips" in root.locator(".wb-says").inner_text()
    direct = ex.compare_edit(smollm2, PROMPT, TWIN, TARGET, FOIL)
    assert float(page.table(0)[2][2]) == pytest.approx(direct.margin, abs=2e-3)

    root = page.widget(1)
    rows = ex.concept_rows("sentiment", "train")[:6]
    concept = ex.concept_vector(smollm2, [r.positive for r in rows], [r.negative for r in rows])
    untouched = root.locator(".wb-steered").inner_text()
    for _ in range(4):
        root.get_by_role("slider", name="Strength").press("ArrowRight")
    page.settled(1)
    direct = ex.steer_next(smollm2, opening.text, concept, [2.0], [opening.positive, opening.negative]).probability[0]
    assert strong(root) == pytest.approx(direct[0] / direct.sum(), abs=2e-3)
    assert root.locator(".wb-steered").inner_text() != untouched

    root = page.widget(2)
    leaves = root.locator("[data-leaf]")
    assert leaves.count() == len(ex.TAXONOMY)
    for index in (5, len(ex.TAXONOMY) - 1):
        leaves.nth(index).locator("span").click()
        page.settled(2)
        assert page.table(2)[0][1] == ex.TAXONOMY[index].title and page.table(2)[3][1] == ex.TAXONOMY[index].text
    leaves.nth(5).focus()
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    page.settled(2)
    assert page.table(2)[0][1] == ex.TAXONOMY[6].title
    root.get_by_role("button", name="Fold all").click()
    assert root.locator("[data-leaf]").first.is_hidden()


@pytest.mark.slow
def test_a_widget_answers_behind_a_running_cell_and_in_the_kernels_own_thread(open_notebook, lab):
    """JupyterLab hands messages to a thread beside a busy cell: two forwards at once would share hooks and caches."""
    cell = (
        "import threading\nfrom pathlib import Path\nfrom workbench.widgets.explain.map import TaxonomyMap\n"
        "widget = TaxonomyMap()\n"
        "def seen(change):\n"
        "    with Path('threads.txt').open('a') as file:\n"
        "        print(threading.current_thread() is threading.main_thread(), file=file)\n"
        "widget.observe(seen, 'answer')\nwidget"
    )
    page = open_notebook(lab.write("threads.ipynb", [cell]))
    page.run_all()
    root = page.widget()
    page.execute("import time; time.sleep(6)")
    root.locator("[data-leaf]").nth(3).locator("span").click()
    root.locator(".wb-busy").wait_for(state="visible")
    page.settled()
    assert page.table()[0][1] == ex.TAXONOMY[3].title
    assert set((lab.folder / "threads.txt").read_text().split()) == {"True"}
