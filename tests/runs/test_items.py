"""The page of a run's items: every row there, strangers' texts harmless, lazily shown, the tables the same rows."""

import json
import re
import shutil
import subprocess

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hostile import EVIL, RUNS, evil_record

from workbench.rows import FILE, Row, append_lines
from workbench.runs.report import index, items, page, words
from workbench.runs.store import masking

NASTY = [EVIL, "</script><script>" + RUNS + "</script>", "<!--<script>", "]]>", "\u2028" + RUNS, "=1+1", "{{ 7 * 7 }}"]


def keep(folder, rows, study="toy", key="k"):
    append_lines(folder / FILE, [{"study": study, "key": key, "taken": False} | row.as_dict() for row in rows])


@pytest.fixture
def run(tmp_path):
    """A run full of markup that has kept rows full of markup."""
    record = evil_record(tmp_path)
    rows = []
    for i, text in enumerate(NASTY):
        for arm in ("greedy", EVIL):
            good = i % 2 == 0 or arm == "greedy"
            rows.append(Row(arm, f"{i}", 3, measures={"good": good, EVIL: 0.5}, labels={"kind": text}, prompt=text,
                            reply=f"{arm}: {text}", cost={"seconds": 1.25, "searches": None}))  # fmt: skip
    keep(record.folder, rows, study=EVIL)
    with open(record.folder / FILE, "ab") as file:
        file.write(b'{"study": "cut')
    page.write_page(record.folder, record)
    return record


def data_of(text: str) -> dict:
    soup = BeautifulSoup(text, "html.parser")
    (found,) = soup.find_all("script", id="rows")
    assert found["type"] == "application/json" and not re.search("[<>&]", found.string)
    return json.loads(found.string)


def test_every_row_is_there_and_items_on_which_arms_differ_come_first(run):
    text = (run.folder / "items.html").read_text()
    data = data_of(text)
    assert len(data["rows"]) == 2 * len(NASTY) and "1 damaged line of rows.jsonl left out" in text
    assert [item["name"] for item in data["items"]] == ["1", "3", "5", "0", "2", "4", "6"]
    assert [item["differ"] for item in data["items"]] == [True] * 3 + [False] * 4
    first = data["rows"][0]
    assert first == {"item": 0, "arm": "greedy", "reply": f"greedy: {NASTY[1]}", "labels": [NASTY[1]],
                     "measures": ["yes", "0.5"], "costs": ["1.25", ""]}  # fmt: skip
    assert data["rows"][1]["measures"][0] == "no" and data["items"][0]["prompt"] == NASTY[1]


def test_a_page_of_too_many_items_shows_those_that_differ_and_says_so(run, monkeypatch):
    monkeypatch.setattr(items, "MOST", 4)
    page.write_page(run.folder, run)
    text = (run.folder / "items.html").read_text()
    assert [item["name"] for item in data_of(text)["items"]] == ["1", "3", "5", "0"]
    assert f"{len(NASTY) - 4} more items are in items.csv only" in text
    assert len(pd.read_csv(run.folder / "items.csv")) == 2 * len(NASTY)


def test_nothing_of_it_runs_or_loads(run):
    text = (run.folder / "items.html").read_text()
    soup = BeautifulSoup(text, "html.parser")
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    own = words.script("items.js")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert own["script_hash"] in policy and "unsafe-eval" not in policy and "*" not in policy
    assert [tag.string for tag in soup.find_all("script")][1:] == [own["script"]]
    assert not soup.select("img, iframe, object, link, form, base, style ~ script[src]")
    assert not [name for tag in soup.find_all(True) for name in tag.attrs if name.startswith("on") or name == "src"]
    assert not re.search(r"innerHTML|insertAdjacent|document\.write|eval\(|fetch|import", own["script"])
    assert EVIL in [option.get_text() for option in soup.select("select option")]


def test_the_tables_have_the_same_rows(run):
    table = pd.read_parquet(run.folder / "items.parquet")
    assert len(table) == 2 * len(NASTY) and table["measure.good"].sum() == 11 and set(table.seed) == {3}
    assert list(table.prompt[::2]) == NASTY and table["cost.searches"].isna().all()
    text = pd.read_csv(run.folder / "items.csv", dtype=str)
    assert (
        list(text.columns) == list(table.columns) and "'=1+1" in set(text.prompt) and "'=1+1" in set(text["label.kind"])
    )


def test_the_run_and_the_report_of_all_runs_lead_there(run):
    assert 'href="items.html"' in (run.folder / "report.html").read_text()
    soup = BeautifulSoup(index.write_report(run.folder.parent.parent).read_text("utf-8"), "html.parser")
    assert [link["href"] for link in soup.select("td.run a")][1] == f"demo/{run.id}/items.html"


def test_a_row_that_was_made_twice_counts_once_and_a_run_without_rows_has_no_page(tmp_path):
    keep(tmp_path, [Row("a", "i", measures={"m": 1})])
    keep(tmp_path, [Row("a", "i", measures={"m": 2}), Row("a", "i", 1, measures={"m": float("nan")})])
    page.write_page(tmp_path, {"id": "x", "paper": "toy", "status": "done", "parameters": {}})
    data = data_of((tmp_path / "items.html").read_text())
    assert [row["measures"] for row in data["rows"]] == [["2"], [""]] and data["items"][1]["name"] == "i, seed 1"
    (tmp_path / "none").mkdir()
    page.write_page(tmp_path / "none", {"id": "x", "paper": "toy", "status": "done", "parameters": {}})
    assert [path.name for path in (tmp_path / "none").iterdir()] == ["report.html"]
    (tmp_path / "none" / FILE).symlink_to(tmp_path / FILE)  # somebody else's rows
    page.write_page(tmp_path / "none", {"id": "x", "paper": "toy", "status": "done", "parameters": {}})
    assert not (tmp_path / "none" / "items.html").exists()


def test_secrets_are_taken_out_of_rows_and_a_killed_run_that_holds_one_has_no_page(tmp_path):
    secrets = masking.secrets_in({"api_key": "verysecret"})
    keep(tmp_path, [Row("a", "i", prompt="key verysecret", reply='"verysecret"')])
    fields = {"id": "x", "paper": "toy", "status": "killed", "parameters": masking.mask({"api_key": "verysecret"})}
    page.write_page(tmp_path, fields)
    assert not (tmp_path / "items.html").exists()
    masking.Masker(secrets).folder(tmp_path)
    page.write_page(tmp_path, fields | {"status": "done"})
    assert not [path for path in tmp_path.iterdir() if b"verysecret" in path.read_bytes()]
    assert data_of((tmp_path / "items.html").read_text())["items"][0]["prompt"].startswith("key masked ")


def chromium(path) -> str:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not installed")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    return subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=60).stdout


@pytest.mark.browser
def test_a_real_browser_shows_and_filters_thousands_of_rows_as_text(run):
    more = [Row(arm, f"n{i}", measures={"good": True}, prompt=f"prompt {i}", reply="x" * 400)
            for i in range(2500) for arm in ("greedy", "RAIN")]  # fmt: skip
    keep(run.folder, more, study="large")
    page.write_page(run.folder, run)
    path = run.folder / "items.html"
    soup = BeautifulSoup(chromium(path), "html.parser")
    assert "data-pwned" not in soup.html.attrs, "the page's own script must pass its policy, and no other"
    assert len(soup.select("tbody tr")) == 50 and "50 of 5014 rows shown, 5014 in all" in soup.get_text()
    assert [head.get_text() for head in soup.select("thead th[hidden]")] == ["searches"]
    assert soup.select("tbody td.text")[0].get_text() == NASTY[1] and not soup.select("tbody img, tbody a")
    text = path.read_text()
    start, end = text.index("<meta http-equiv"), text.index(">", text.index("<meta http-equiv")) + 1
    probe = "<script>inputs.filter.value='PROMPT n247';inputs.arm.value='RAIN';apply();more.click();</script></body>"
    path.write_text(text[:start] + text[end:].replace("</body>", probe))
    shown = BeautifulSoup(chromium(path), "html.parser")
    assert "11 of 11 rows shown" in shown.get_text() and len(shown.select("tbody tr")) == 11  # n247, n2470 to n2479
    assert {cell.get_text() for cell in shown.select("td.arm")} == {"RAIN"}
    # columns that are empty in all of these rows (the labels and costs of another study) are not shown
    assert [head.get_text() for head in shown.select("thead th:not([hidden])")] == [
        "study",
        "item",
        "prompt",
        "arm",
        "reply",
        "good",
    ]
    assert len(shown.select("tbody tr:first-child td")) == 6
