"""The server and the browser, once a session; a page for each test, whose requests are checked when it closes."""

import pytest
from harness import CHROMIUM_FLAGS, Lab, Page, find_chromium


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser():
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield instance
        instance.close()


@pytest.fixture
def open_notebook(browser, lab):
    """``open_notebook(name)`` -> Page. Afterwards: no request left the machine, no script of the page failed."""
    pages = []

    def open_(name, **options):
        pages.append(Page(browser, lab, name, **options))
        return pages[-1]

    yield open_
    outside, problems = [a for page in pages for a in page.outside()], [p for page in pages for p in page.problems]
    for page in pages:
        page.close()
    assert not outside, f"the page asked for {outside}"
    assert not problems, problems
