"""Slides: what begins one, whose code is hidden, and that nobody's markup runs on them."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from bs4 import BeautifulSoup
from test_page import HOSTILE, PIXEL, output
from test_runs_report import made

MARKDOWN, CODE = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell


def kind(cell, slide_type: str, *tags: str):
    cell.metadata |= {"slideshow": {"slide_type": slide_type}, "tags": list(tags)}
    return cell


@pytest.fixture
def shown(tmp_path, run_workbench):
    """A run's notebook, and ``workbench slides`` on it."""
    picture = [output({"image/png": PIXEL, "text/plain": "x"})]
    cells = [
        kind(MARKDOWN("# The claim $x^2$ " + HOSTILE), "slide"),
        kind(CODE("secret_set_up()"), "-", "remove-input"),
        kind(CODE("left_out()"), "skip"),
        kind(MARKDOWN("only for the speaker"), "notes"),
        kind(MARKDOWN("## The figure"), "slide"),
        kind(CODE("draw()", outputs=picture), "fragment", "hide-input"),
        kind(CODE("shown()"), "subslide"),
        MARKDOWN("goes on <details><summary>Answers</summary>because</details>"),
    ]
    record = made(tmp_path, paper="rain")
    nbformat.write(nbformat.v4.new_notebook(cells=cells), record.folder / "notebook.ipynb")

    def call(which="rain"):
        return run_workbench("slides", which, "--open", "no", "--out", tmp_path)

    return record, call


def test_slide_types_and_tags_make_the_slides(shown, tmp_path):
    record, call = shown
    said = call()
    assert said.returncode == 0 and said.stdout == f"slides: {record.folder / 'slides.html'}\n", said.stderr
    text = (record.folder / "slides.html").read_text()
    soup = BeautifulSoup(text, "html.parser")
    first, second, third = soup.select("section")
    assert first.select_one("math msup") and "The claim" in first.h1.get_text()
    assert second.h2.get_text().startswith("The figure") and second.select_one("img[src^=data]")
    assert third.select_one(".input_area").get_text().strip() == "shown()" and third.details.summary
    for hidden in ("secret_set_up", "left_out", "speaker", "draw()"):
        assert hidden not in text
    assert [tag.get_text() for tag in soup.select("nav")] == ["1 / 3›", "‹2 / 3›", "‹3 / 3"]
    (ours,) = soup.select("script")
    assert "addEventListener" in ours.get_text() and not soup.select("section script, [onerror]")
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'") and re.search(r"script-src 'sha256-[\w+/=]+';", policy)

    notebook = nbformat.read(record.folder / "notebook.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("slideshow", None)
    nbformat.write(notebook, record.folder / "notebook.ipynb")
    for which, says in (
        ("last", "begins a slide; give cells"),
        ("emo", "no run of emo in"),
        ("nosuch", "is not a run"),
    ):
        said = call(which)
        assert said.returncode == 2 and says in said.stderr, said.stderr


@pytest.mark.parametrize("text", ["{cut sh", "[]", b"\xff\xfe{", '{"nbformat": 4, "nbformat_minor": 5, "cells": 3}'])
def test_a_damaged_notebook_is_a_sentence(tmp_path, text):
    from workbench.errors import RunError
    from workbench.runs.report.slides import write_slides

    record = made(tmp_path, paper="rain")
    (record.folder / "notebook.ipynb").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RunError, match=r"is damaged .*run rain again"):
        write_slides(record)


def test_a_killed_run_with_a_secret_gets_no_slides(tmp_path):
    from workbench.errors import UsageError
    from workbench.runs.report.slides import write_slides
    from workbench.runs.store.masking import masked

    secret = {"api_key": masked("api_key", "sk-12345")}
    record = made(tmp_path, paper="rain", status="killed", parameters=secret)
    cells = [kind(MARKDOWN("# sk-12345"), "slide")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), record.folder / "notebook.ipynb")
    with pytest.raises(UsageError, match="before the secret among its parameters"):
        write_slides(record)
    assert not (record.folder / "slides.html").exists()


def test_the_page_folds_the_code_that_slides_hide():
    from workbench.runs.report import page

    cells = [kind(CODE("a = 1"), "-", tag) for tag in ("remove-input", "hide-input", "other")]
    soup = BeautifulSoup(page.as_html(nbformat.v4.new_notebook(cells=cells)), "html.parser")
    soup = BeautifulSoup(page.sanitise(str(soup)), "html.parser")
    assert [bool(cell.find_parent("details", class_="code")) for cell in soup.select(".input")] == [True, True, False]


@pytest.mark.browser
def test_arrow_keys_turn_the_slides_and_nothing_else_runs(shown):
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    record, call = shown
    assert call().returncode == 0

    def turned():
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            tab = browser.new_page(viewport={"width": 900, "height": 600})
            tab.goto((record.folder / "slides.html").as_uri())
            seen = []
            for key in ("ArrowRight", "PageDown", "ArrowRight", "ArrowLeft"):
                tab.keyboard.press(key)
                tops = tab.evaluate("[...document.querySelectorAll('section')].map(s => s.getBoundingClientRect().top)")
                seen.append(min(range(3), key=lambda place, tops=tops: abs(tops[place])))
            return seen, tab.title()

    with ThreadPoolExecutor(1) as pool:  # a thread of its own: the browser of other tests may be open in this one
        seen, title = pool.submit(turned).result()
    assert seen == [1, 2, 2, 1] and title.startswith("The claim")
