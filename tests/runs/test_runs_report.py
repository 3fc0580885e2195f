"""Records on disk, comparisons, and the page over all runs."""

import base64
import csv
import datetime
import io
import json

import pytest
from bs4 import BeautifulSoup
from test_page import HOSTILE, PIXEL, chromium

from workbench.errors import RunError, UsageError
from workbench.runs.process import processes
from workbench.runs.report import exports, index as report
from workbench.runs.store import compare, entry as store


def made(out, paper="tiny", number=0, **fields) -> store.Record:
    """A finished run's folder, written as the runner writes it."""
    when = datetime.datetime(2026, 11, 22, 14, 15, number, tzinfo=datetime.UTC)
    name, folder = store.new_folder(out, paper, when)
    values = {
        "parameters": {"seed": number, "prompt": "paper"}, "given": ["seed"], "status": "done", "seconds": 1.0 + number,
        "metrics": {"accuracy": {"value": number / 10, "low": 0, "high": 1, "n": 10, "unit": "share"}},
        "hardware": {"cpu": "CPU", "cores": 2, "memory_bytes": 8e9, "gpus": []}, "peak_memory_bytes": 10**8,
    }  # fmt: skip
    record = store.Record(name, paper, "notebooks/tiny.ipynb", "ab" * 32, **(values | fields), folder=folder)
    record.save()
    return record


def test_a_record_comes_back_as_it_was(tmp_path):
    record = made(tmp_path, models=[{"name": "m"}], git={"revision": "c" * 40, "dirty": True})
    assert store.load(record.folder) == record
    raw = json.loads((record.folder / "record.json").read_text())
    (record.folder / "record.json").write_text(json.dumps(raw | {"from the future": 1}))
    assert store.load(record.folder) == record


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "x"}', "null"])
def test_a_broken_record_is_one_sentence_and_passed_over(tmp_path, text):
    good, bad = made(tmp_path, number=1), made(tmp_path, number=2)
    (bad.folder / "record.json").write_text(text)
    with pytest.raises(RunError, match="is not a record of a run"):
        store.load(bad.folder)
    assert store.all_runs(tmp_path) == [good]


def test_a_reused_pid_is_noticed(tmp_path):
    here = processes.this_process()
    cases = [
        (here, "running"),
        (here | {"created": here["created"] - 100}, "killed"),
        (here | {"boot": "another"}, "killed"),
        (here | {"pid": 2**22 + 1}, "killed"),
        (here | {"host": "another", "pid": 2**22 + 1}, "running"),
    ]
    for number, (process, status) in enumerate(cases):
        record = made(tmp_path, number=number, status="running", process=process)
        assert store.load(record.folder).status == status, process


def test_runs_are_found_by_the_beginning_of_their_id(tmp_path):
    first, second = made(tmp_path, number=1), made(tmp_path, "other", number=2)
    assert first.id < second.id and store.all_runs(tmp_path) == [first, second]
    assert store.all_runs(tmp_path, "other") == [second]
    assert store.find(tmp_path, second.id[:15]) == store.find(tmp_path, "last") == second
    with pytest.raises(UsageError, match="2 runs begin with '2026'"):
        store.find(tmp_path, "2026")
    with pytest.raises(UsageError, match=f"did you mean {first.id}"):
        store.find(tmp_path, first.id[:-1] + "x")
    with pytest.raises(UsageError, match="`workbench runs` lists them"):
        store.find(tmp_path / "none", "last")


def test_a_comparison_names_what_differs(tmp_path):
    old = made(tmp_path, versions={"torch": "2.0"}, models=[{"name": "m", "sha256": "a"}])
    new = made(tmp_path, number=1, versions={"torch": "2.1"}, models=[{"name": "m", "sha256": "b"}])
    found = [(item.kind, item.name, item.before, item.after) for item in compare.differences(old, new)]
    assert found == [
        ("metric", "accuracy", 0.0, 0.1),
        ("parameter", "seed", 0, 1),
        ("version", "torch", "2.0", "2.1"),
        ("model", "m", "a", "b"),
    ]
    assert compare.differences(old, old) == []
    new.metrics["accuracy"]["value"], old.metrics["accuracy"]["value"] = 0.1 + 0.2, 0.3  # rounding is no difference
    assert "metric" not in [item.kind for item in compare.differences(old, new)]


@pytest.fixture
def page(tmp_path):
    """The page over four runs of two papers, one of them hostile."""
    for number in range(3):
        run = made(tmp_path, number=number)
        (run.folder / "figures").mkdir()
        (run.folder / "figures" / "curve.png").write_bytes(base64.b64decode(PIXEL))
        (run.folder / "report.html").write_text("x")
    text = '=1+1, "quoted" & 50% {x}_y'
    made(tmp_path, "other", 4, status="failed", error=HOSTILE, parameters={"prompt": HOSTILE, "t": text},
         given=["prompt", "t"], metrics={HOSTILE: {"value": None, "note": HOSTILE}})  # fmt: skip
    return report.write_report(tmp_path)


def test_the_page_shows_every_run_and_loads_nothing(page):
    soup = BeautifulSoup(page.read_text(), "html.parser")
    rows = soup.select("tr[data-text]")
    assert len(rows) == 4 and len(soup.find_all("script")) == 1
    assert len(soup.select("img")) == 3 and all(
        image["src"].startswith("data:image/png") for image in soup.select("img")
    )
    assert not soup.select("link, iframe") and not [tag for tag in soup.find_all(True) if "onerror" in tag.attrs]
    links = [link["href"] for link in soup.select("td.run a")]
    assert all((page.parent / link).exists() for link in links) and links[-1].endswith("/report.html")
    assert soup.select_one("tr[data-text] .interval").get_text() == "[0, 1]"
    assert len(soup.select("svg.comparison")) == 1 and len(soup.select("svg.comparison circle")) == 3
    assert HOSTILE in soup.select_one(".why").get_text()


def test_the_exports_say_the_same(page):
    rows = list(csv.DictReader(io.StringIO((page.parent / "runs.csv").read_text())))
    assert [row["metric.accuracy"] for row in rows] == ["0.0", "0.1", "0.2", ""]
    assert rows[1]["param.seed"] == "1" and rows[1]["metric.accuracy_high"] == "1"
    assert rows[3]["error"] == HOSTILE and rows[3]["status"] == "failed"
    soup = BeautifulSoup(page.read_text(), "html.parser")
    inside = {link["download"]: link["href"].split("base64,")[1] for link in soup.select("a[download]")}
    for name, content in inside.items():
        assert base64.b64decode(content).decode() == (page.parent / name).read_text()
    assert (page.parent / "runs.tex").read_text().count(" \\\\\n") == 4  # a head and three finished runs


def test_latex_is_escaped():
    made = exports.latex_table("50%\n\\input{x}", ["run", "50% of_x", "run"], [["& {y} #1 $\nz", "~ ^ \\", ""]], "lrr")
    lines = made.splitlines()
    assert (
        lines[:2] == ["% 50% \\input{x}", "\\begin{tabular}{lrr}"] and lines[3] == "run & 50\\% of\\_x & run (2) \\\\"
    )
    assert lines[5].startswith("\\& \\{y\\} \\#1 \\$ z & ") and "\\textbackslash" in lines[5] and "~" not in lines[5]


def test_the_page_over_no_runs(tmp_path):
    assert "No runs yet" in report.write_report(tmp_path / "runs").read_text()


@pytest.mark.browser
def test_the_filter_works_in_a_real_browser(page):
    probe = page.with_name("probe.html")
    text = page.read_text()
    typed = "<script>box.value='seed=2';apply();document.title=count.textContent+'|'+[...document.querySelectorAll("
    typed += "'section')].map(s=>s.hidden)</script></body>"
    # the policy names the page's own script only, so the probe takes the policy out to type into the box
    policy = BeautifulSoup(text, "html.parser").find("meta", attrs={"http-equiv": True})
    assert "script-src 'sha256-" in policy["content"]
    start, end = text.index("<meta http-equiv"), text.index(">", text.index("<meta http-equiv")) + 1
    probe.write_text(text[:start] + text[end:].replace("</body>", typed))
    assert "<title>1 run shown|true,false</title>" in chromium(probe, "--dump-dom")
    assert ">4 runs shown</span>" in chromium(page, "--dump-dom"), "the page's own script must pass its own policy"
