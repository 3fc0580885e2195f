"""The explorer of warnings in a real JupyterLab and a real Chromium: choose, judge, read a diff, decide, save files."""

import json
import re
from pathlib import Path

import pytest

from workbench.papers.skipanalyzer import teaching_set

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVIL = "<img src=x onerror='window.broken = 1'>"
TREE = f"""
import json, os
from pathlib import Path
os.environ["WORKBENCH_ECJ"] = "/nowhere/ecj.jar"
from workbench.papers.skipanalyzer.triage import triage
from workbench.widgets.skipanalyzer import WarningExplorer
source = Path("sk-tree"); source.mkdir(exist_ok=True)
(source / "One.java").write_text(\"\"\"class One {{
\\tint f(String s) {{
\\t\\tString t = null; // {EVIL} and a line that is much longer than a narrow screen is wide, so that it must scroll
\\t\\treturn t.length();
\\t}}
}}\"\"\")
place = {{"artifactLocation": {{"uri": "One.java"}}, "region": {{"startLine": 4}}}}
result = {{"ruleId": "nullReference", "message": {{"text": {EVIL!r}}}, "locations": [{{"physicalLocation": place}}]}}
log = {{"version": "2.1.0", "runs": [{{"tool": {{"driver": {{"name": "t"}}}}, "results": [result]}}]}}
Path("sk.sarif").write_text(json.dumps(log))
WarningExplorer(triage=triage(source, sarif="sk.sarif"), large=False)
"""
SET = "from workbench.widgets.skipanalyzer import WarningExplorer\nWarningExplorer(large=False)"


def lines(root, region):
    """[sign or number, text] of each line shown."""
    found = root.get_by_role("region", name=region).locator(".wb-sk-line")
    return found.evaluate_all("all => all.map(line => [...line.children].map(part => part.textContent))")


def saved(page, root, name):
    with page.page.expect_download() as waiting:
        root.get_by_role("button", name=name, exact=True).click()
    return Path(waiting.value.path()).read_text("utf-8")


def test_a_class_goes_through_warnings(lab, open_notebook):
    page = open_notebook(lab.write("skipanalyzer-widget.ipynb", [SET]))
    page.run_all()
    root, rows = page.widget(), {row.id: row for row in teaching_set() if row.warnings}
    assert "42 of 42 warnings, 0 decided" in root.inner_text()
    leaks = [row for row in rows.values() if row.kind == "resource leak" and row.buggy]
    root.get_by_label("Search warnings").fill("leak")
    root.get_by_label("Warning", exact=True).select_option(leaks[0].id)
    page.settled()
    shown = lines(root, "The method")
    assert [text for _, text in shown] == leaks[0].method.split("\n")
    assert [n for n, (number, _) in enumerate(shown, 1) if number.startswith("▶")] == [leaks[0].warnings[0]["line"]]
    diff = lines(root, "The patch")
    assert [text for sign, text in diff if sign != "+"] == leaks[0].method.split("\n")
    assert any(sign == "+" and "try (" in text for sign, text in diff) and any(sign == "−" for sign, _ in diff)
    assert root.locator("ins").count() and root.locator("del").count(), "colours are not the only sign"

    root.get_by_label("Judged by").select_option("small filter")
    page.settled()
    assert "log-odds" in root.get_by_role("region", name="The verdict").inner_text()
    root.get_by_role("button", name="Accept").click()
    page.settled()
    assert "needs the name of who judged" in root.locator(".wb-error").inner_text()
    root.get_by_label("Your name").fill("Ann")
    root.get_by_label("Why").fill(EVIL)
    root.get_by_role("button", name="Accept").focus()
    page.page.keyboard.press("Enter")
    page.settled()
    assert "Ann judged: real and took the patch (rule). The teaching set says: real." in root.inner_text()
    root.get_by_role("button", name="Next warning").click()
    page.settled()
    root.get_by_role("button", name="Reject").click()
    page.settled()
    assert "2 decided" in root.inner_text() and root.get_by_label("Why").input_value() == ""
    patch, log = saved(page, root, ".patch"), json.loads(saved(page, root, ".sarif"))
    assert patch.startswith(f"--- a/{leaks[0].id}/{leaks[0].file}\n") and patch.count("--- a/") == 1
    told = [one["properties"] for one in log["runs"][0]["results"] if "properties" in one]
    assert [(one["triage.verdict"], one["triage.judge"]) for one in told] == [("real", "Ann"), ("false", "Ann")]
    root.locator(".wb-sk-list .wb-sk-go").first.click()
    page.settled()
    assert lines(root, "The method") == shown and root.locator("img").count() == 0

    root.get_by_role("button", name="Edit").click()
    typed = root.get_by_label("Your own patch: the whole method")
    typed.fill(leaks[0].fix)
    root.get_by_role("button", name="Use my text").click()
    page.settled()
    assert [text for sign, text in lines(root, "The patch") if sign != "−"] == leaks[0].fix.split("\n")
    assert "typed by you" in root.inner_text()
    assert page.table()[0][0] == "warning"
    page.page.screenshot(path=str(lab.folder / "skipanalyzer.png"), full_page=True)
    page.command("apputils:change-theme", theme="JupyterLab Dark")
    page.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    page.page.screenshot(path=str(lab.folder / "skipanalyzer-dark.png"), full_page=True)
    page.command("apputils:change-theme", theme="JupyterLab Light")
    page.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")
    root.get_by_role("button", name="Reset").click()
    page.settled()
    assert "42 warnings, 0 decided" in root.inner_text() and page.errors() == []


def test_a_tree_on_a_narrow_screen(lab, open_notebook):
    page = open_notebook(lab.write("skipanalyzer-tree.ipynb", [TREE]), width=375, height=800)
    page.command("application:toggle-left-area")  # the files' list leaves the notebook no room
    page.run_all()
    root = page.widget()
    assert EVIL in root.get_by_role("region", name="The warning").inner_text()
    assert "not judged" in root.get_by_role("region", name="The verdict").inner_text()
    assert re.search("neither compiled nor run.*make setup", root.inner_text(), re.DOTALL)
    assert [sign for sign, _ in lines(root, "The patch")] == [" ", " ", "+", "+", "+", " ", " "]
    root.get_by_label("Your name").fill("Bo")
    root.get_by_role("button", name="Needs a person").click()
    page.settled()
    assert "Bo judged: needs a person." in root.inner_text()
    page.page.screenshot(path=str(lab.folder / "skipanalyzer-narrow.png"))
    wide = root.evaluate("node => [node.clientWidth, node.scrollWidth, window.broken]")
    over = root.evaluate(
        "node => [...node.querySelectorAll('.wb-row *, .wb-sk-half, .wb-sk-pair')]"
        ".filter(one => one.getBoundingClientRect().right > node.getBoundingClientRect().right + 1)"
        ".map(one => `${one.className}: ${one.textContent}`)"
    )
    assert 150 < wide[0] < 375 and wide[1] <= wide[0] + 1, ("the code scrolls, the page does not", wide, over)
    assert wide[2] is None
