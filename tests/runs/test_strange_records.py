"""What lies in a folder of runs and is none of ours: every command names it and goes on with the rest."""

import copy
import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from test_runs_report import made
from tiny_notebooks import write_notebook
from typer.testing import CliRunner

from workbench.cli import app
from workbench.errors import UsageError
from workbench.runs.report import index as report
from workbench.runs.store import entry as store
from workbench.runs.store.schema import Written
from workbench.runs.sweep import locks as claims
from workbench.runs.sweep.driver import write_manifest
from workbench.runs.sweep.grid import build


def call(*arguments):
    """A command in this process; anything but an orderly end fails here."""
    answer = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A grid's manifest, one good finished run of it and one to be broken: (notebook, out, good, broken)."""
    tmp = tmp_path_factory.mktemp("strange")
    notebook = write_notebook(tmp / "tiny.ipynb")
    grid = build(str(notebook), ["concept=01,011"], seeds=1)
    write_manifest(grid, tmp / "runs")
    cells = list(grid.cells())
    good, broken = (
        made(tmp / "runs", "tiny", number, parameters=grid.notebook.filled(cell.values), given=["concept"])
        for number, cell in enumerate(cells)
    )
    for record in (good, broken):
        record.notebook_sha256, record.started = grid.notebook.sha256, "2026-11-22T14:15:00+00:00"
        record.save()
    return notebook, tmp / "runs", good, broken


def everything(folder) -> str:
    """All commands that read records over a folder with something strange in it; what they said."""
    notebook, out, good, _ = folder
    said = ""
    for arguments in (
        ["runs", "--out", out],
        ["diff", good.id, good.id, "--out", out],
        ["report", "--out", out, "--open", "no"],
        ["sweep", notebook, "-g", "concept=01,011", "--seeds", 1, "--out", out, "--dry-run"],
    ):
        answer = call(*arguments)
        answered = (out / "runs.csv").read_text() if arguments[0] == "report" else answer.output
        assert answer.exit_code == 0 and good.id in answered, arguments
        said += answer.output
    return said


@pytest.mark.parametrize(
    "content",
    [
        '{"metrics": null}', "[]", "null", "NaN", "", "{", '"text"', "[" * 200_000, '{"a":' * 90_000,
        '{"id": NaN}', b"\xff\xfe\x00", '{"id": "\\ud800"}', "9" * 5000, "1e999", '{"id": "../../x"}',
    ],
)  # fmt: skip
def test_a_strange_record_is_named_and_passed_over(folder, content):
    *_, broken = folder
    path = broken.folder / store.FILE
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = everything(folder)
    assert said.count("passed over: ") == 4 and str(broken.folder) in said.replace("\n", ""), said
    assert str(broken.folder) in (folder[1] / "index.html").read_text()


@pytest.mark.parametrize("kind", ["folder", "pipe", "circle"])
def test_a_record_that_is_no_file_is_passed_over(folder, kind):
    _, out, good, broken = folder
    path = broken.folder / store.FILE
    path.unlink(missing_ok=True)
    {"folder": os.mkdir, "pipe": os.mkfifo, "circle": lambda path: os.symlink(path, path)}[kind](path)
    try:
        assert store.all_runs(out) == [good]
        everything(folder)
    finally:
        path.rmdir() if kind == "folder" else path.unlink()


WHOLE = {
    "git": {"revision": "c" * 40, "dirty": True}, "models": [{"name": "m", "sha256": "a"}], "cause": "experiment",
    "hardware": {"cpu": "CPU", "cores": 2, "memory_bytes": 8, "gpus": [{"name": "G"}], "system": "s", "host": "h"},
    "process": {"pid": 1, "created": 1.0, "ticks": 3, "boot": "b", "host": "h"}, "versions": {"torch": "2"},
    "timeout": 3.0, "threads": 1, "warm": 0, "rerun_of": "x", "ended": "2026-11-22T14:16:00+00:00", "error": "why",
    "finished": False, "skipped": ["cell 3"],
}  # fmt: skip
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([10**400, -(10**290), 2**53 + 1, 1.7e308, -1.7e308, 5e-324, -0.0])
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | st.text()
    | st.sampled_from(["$\\frac$", "=1+1", "running", "done", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value, path=()) -> list[tuple]:
    """Every place in a JSON value, the value itself left out."""
    found = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += [(*path, key), *places(inner, (*path, key))]
    return found


ANY = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=12, **ANY)
@given(data=st.data())
def test_whatever_stands_in_a_field_every_command_ends_in_order(folder, data):
    fuzzed(folder, data)


@pytest.mark.slow
@settings(max_examples=50, **ANY)
@given(data=st.data())
def test_whatever_stands_in_a_field_at_length(folder, data):
    fuzzed(folder, data)


def fuzzed(folder, data):
    """A record with one or two fields (or parts of fields) replaced or taken out: read as it says, or passed over."""
    _, out, good, broken = folder
    broken.save()
    raw = json.loads((broken.folder / store.FILE).read_text()) | copy.deepcopy(WHOLE)
    assert set(raw) == set(Written.model_fields), "the fuzz has every field"
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from(places(raw)))
        spot = raw
        for step in way:
            spot = spot[step]
        if data.draw(st.integers(0, 5)):
            spot[last] = data.draw(JSON)
        else:
            del spot[last]
        if not places(raw):
            break
    (broken.folder / store.FILE).write_text(json.dumps(raw))
    said = everything(folder)
    readable = {record.folder for record in store.all_runs(out)}
    assert good.folder in readable and (broken.folder in readable) == ("passed over" not in said)
    for record in store.all_runs(out):
        record.save()  # what was read can be written again
        claims.finished([record])


@settings(max_examples=8, **ANY)
@given(data=st.data())
def test_whatever_stands_in_a_grids_manifest_the_report_is_made(folder, data):
    _, out, good, broken = folder
    broken.save()
    path = next(out.glob("tiny/.grids/*.json"))
    before = path.read_text()
    raw = json.loads(before)
    *way, last = data.draw(st.sampled_from(places(raw)))
    spot = raw
    for step in way:
        spot = spot[step]
    spot[last] = data.draw(JSON)
    path.write_text(json.dumps(raw))
    try:
        assert good.id in report.write_report(out).read_text()
    finally:
        path.write_text(before)


def test_a_copied_run_counts_once(tmp_path):
    first, second = made(tmp_path, "tiny", 1), made(tmp_path, "tiny", 2, status="failed")
    shutil.copytree(first.folder, first.folder.with_name("a copy"))
    shutil.copytree(first.folder, first.folder.with_name("0-before-it"))
    shutil.copytree(tmp_path / "tiny", tmp_path / "a-backup")
    assert store.all_runs(tmp_path) == [first, second]
    assert [record.folder for record in store.all_runs(tmp_path)] == [first.folder, second.folder]
    assert store.find(tmp_path, first.id[:15]).folder == first.folder, "and is found by its beginning"
    shutil.rmtree(first.folder)  # the copies are all that is left: one of them counts
    assert store.all_runs(tmp_path) == [first, second]
    assert (report.write_report(tmp_path).parent / "runs.csv").read_text().count(first.id) == 1


def test_a_name_that_is_none_is_a_slip_and_not_an_empty_list(tmp_path):
    made(tmp_path, "tiny", 1)
    for name in ("tinny", "nosuch", "../x", ""):
        with pytest.raises(UsageError, match="is not a paper and has no runs in") as caught:
            call("runs", name, "--out", tmp_path)
        assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="did you mean tiny"):
        call("runs", "tinny", "--out", tmp_path)
    assert call("runs", "rain", "--out", tmp_path).output.startswith("no runs of rain"), "a paper may have none yet"


def test_a_gpu_without_a_name_ends_nothing(folder):
    """The whole record is sound but for that; the fuzz above hits it once in a long while."""
    *_, broken = folder
    broken.save()
    raw = json.loads((broken.folder / store.FILE).read_text()) | copy.deepcopy(WHOLE)
    raw["hardware"]["gpus"][0]["name"] = None
    (broken.folder / store.FILE).write_text(json.dumps(raw))
    assert "hardware.gpus.0.name: " in everything(folder)


@pytest.mark.parametrize(
    ("out", "says"),
    [("", "--out is empty"), (" ", "--out is empty"), ("~nosuchuser/runs", "nobody of that name has a home folder"),
     ("a" * 300, "it is too long"), ("/" + "a/" * 3000, "it is too long"), ("s3:/bucket/x", "a URL")],
)  # fmt: skip
def test_an_out_that_can_be_no_folder_is_wrong_use(out, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (
        ["runs"],
        ["report", "--open", "no"],
        ["diff", "last", "last"],
        ["rerun", "last"],
        ["run", "start"],
    ):
        with pytest.raises(UsageError, match=says) as caught:
            call(*command, "--out", out)
        assert caught.value.exit_code == 2 and len(str(caught.value)) < 300
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_name_is_no_utf_8(tmp_path, run_workbench):
    out = tmp_path / "runs-\udcff"
    made(out, "tiny", 1)
    for command in (["runs"], ["report", "--open", "no"], ["diff", "last", "last"], ["runs", "nosuch"]):
        answer = run_workbench(*command, "--out", out)
        assert answer.returncode == (2 if command[-1] == "nosuch" else 0), answer.stderr
        assert "Traceback" not in answer.stderr


def test_cells_that_a_spreadsheet_would_execute(tmp_path):
    import csv

    texts = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", "\r=1", "-0.5", "+3", "a=b"]
    for number, text in enumerate(texts):
        made(tmp_path, "tiny", number, parameters={"p": text}, given=["p"], error=text)
    report.write_report(tmp_path)
    with open(tmp_path / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [text.replace("\r", "\n") for text in texts]
    for text, row in zip(texts, rows, strict=True):
        for cell in (row["param.p"], row["error"]):
            assert cell == (text if text in ("-0.5", "+3", "a=b") else "'" + text)


def test_a_record_does_not_steer_the_terminal(tmp_path):
    steering = "\x1b]0;owned\x07\x1b[31m"
    one, two = (
        made(tmp_path, "tiny", number, parameters={"p": steering + str(number)}, given=["p"], status="failed",
             error=steering, metrics={steering: {"value": number}})
        for number in (1, 2)
    )  # fmt: skip
    strange = made(tmp_path, "tiny", 3, metrics={steering: {"value": "x"}})
    for arguments in (["runs"], ["diff", one.id, two.id]):
        answer = call(*arguments, "--out", tmp_path)
        assert "owned" in answer.output and strange.id in answer.output
        assert not {"\x1b", "\x07"} & set(answer.output)


def test_pictures_from_outside_the_run_are_not_shown(tmp_path):
    run = made(tmp_path / "runs", "tiny", 1)
    (run.folder / "figures").mkdir()
    (run.folder / "figures" / "mine.png").write_bytes(b"mine")
    (tmp_path / "secret.png").write_bytes(b"a secret of somebody else")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "inner.png").write_bytes(b"a secret of somebody else")
    (run.folder / "figures" / "theirs.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(run.folder / "figures" / "pipe.png")
    other = made(tmp_path / "runs", "tiny", 2)
    (other.folder / "figures").symlink_to(tmp_path / "more")
    text = report.write_report(tmp_path / "runs").read_text()
    import base64

    assert base64.b64encode(b"mine").decode() in text
    assert base64.b64encode(b"a secret of somebody else").decode() not in text
    assert "theirs" not in text and "inner" not in text
