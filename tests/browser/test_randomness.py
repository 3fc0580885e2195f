"""The randomness explorer as a person meets it: JupyterLab, a browser, a mouse, a keyboard, a real model."""

from itertools import pairwise

import numpy as np
import pytest

from workbench.papers.randomness import next_flip_curve

pytestmark = pytest.mark.browser

SEVERAL = [
    "from pathlib import Path\nfrom workbench import load\nfrom workbench.widgets.randomness import RandomnessExplorer",
    "first = RandomnessExplorer(load('smollm2'), flips='HHTT')",
    "second = RandomnessExplorer(first.model, flips='TTTT', large=False)\n"
    "def count(change):\n    with Path('answers.txt').open('a') as file: file.write('x')\n"
    "second.observe(count, 'answer')",
    "first",
    "second",
]


def shown_flips(widget) -> str:
    return "".join(widget.locator(".wb-coin").all_inner_texts())


def shown_curve(page, index=0):
    rows = page.table(index)
    return np.array([[float(p), float(mass)] for _, _, p, mass, *_ in rows])


def test_the_notebook_runs_and_its_curve_follows_mouse_and_keyboard(open_notebook, lab, smollm2):
    page = open_notebook(lab.copy("randomness", profile="smoke"))
    page.run_all()
    widget = page.widget()
    flips = before = shown_flips(widget)
    options = {"prompt": widget.get_by_label("Prompt").input_value()}

    def check():
        page.settled()
        assert shown_flips(widget) == flips
        direct = np.stack(next_flip_curve(smollm2, flips, **options), -1)  # (n + 1, 2)
        np.testing.assert_allclose(shown_curve(page), direct, atol=1e-3)
        return direct

    curves = [check()]
    widget.locator(".wb-coin").nth(2).click()
    flips = flips[:2] + {"H": "T", "T": "H"}[flips[2]] + flips[3:]
    curves.append(check())

    widget.locator(".wb-coin").nth(2).focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("Space")
    flips = flips[:3] + {"H": "T", "T": "H"}[flips[3]] + flips[4:]
    curves.append(check())
    for old, new in pairwise(curves):
        assert np.abs(old[3:, 0] - new[3:, 0]).max() > 0.01  # else the comparison could not fail

    page.page.keyboard.press("End")
    page.page.keyboard.press("t")
    page.page.keyboard.press("Backspace")
    page.page.keyboard.press("h")
    flips += "H"
    check()
    assert widget.locator(".wb-says strong").first.inner_text() == f"{shown_curve(page)[-1, 0]:.3f}"

    widget.get_by_role("button", name="Reset").click()
    flips = before
    check()


def test_several_widgets_hostile_text_a_busy_kernel(open_notebook, lab):
    page = open_notebook(lab.write("several.ipynb", SEVERAL))
    page.run_all()
    first, second = page.widget(0), page.widget(1)

    hostile = '<img src=x onerror="window.broken = 1">'
    first.get_by_label("Type flips").fill(hostile)
    first.get_by_label("Type flips").press("Enter")
    page.settled(0)
    sentence = first.get_by_role("alert").inner_text()
    assert "<img" in sentence and "neither Heads nor Tails" in sentence
    assert page.page.evaluate("window.broken") is None
    assert first.locator("img").count() == 0
    assert shown_flips(first) == "HHTT"

    first.get_by_label("Type flips").fill("heads, tails 1")
    first.get_by_label("Type flips").press("Enter")
    page.settled(0)
    assert shown_flips(first) == "HTT"
    assert not first.get_by_role("alert").is_visible()
    assert shown_flips(second) == "TTTT"
    ids = page.page.eval_on_selector_all(".wb [id]", "nodes => nodes.map(node => node.id)")
    assert len(ids) == len(set(ids)) > 0

    # While the kernel is at work the page says so, and six edits are two questions: the first and the latest.
    answers = lab.folder / "answers.txt"
    answers.unlink(missing_ok=True)
    second.locator(".wb-coin").nth(0).focus()
    page.execute("import time; time.sleep(4)")
    for key in "hthtth":
        page.page.keyboard.press(key)
        page.page.keyboard.press("ArrowRight")
    assert shown_flips(second) == "HTHTTH"
    second.locator(".wb-busy").wait_for(state="visible")
    assert "working" in second.locator(".wb-busy").inner_text()
    page.settled(1)
    assert not second.locator(".wb-busy").is_visible()
    assert 1 <= len(answers.read_text()) <= 2
    assert len(page.table(1)) == 7
    assert shown_flips(first) == "HTT"
