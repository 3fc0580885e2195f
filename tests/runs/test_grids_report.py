"""Grids in the report (tables, figures, exports) and the sinks, over records written as sweeps write them."""

import csv
import json
import math

import pytest
from bs4 import BeautifulSoup
from test_page import HOSTILE
from tiny_notebooks import write_notebook

from workbench.errors import RunError, UsageError
from workbench.runs.report import grids, index as report
from workbench.runs.store import entry as store
from workbench.runs.sweep import sinks
from workbench.runs.sweep.driver import write_manifest
from workbench.runs.sweep.grid import build
from workbench.stats import mean_interval


def fill(grid, out, measure, hour=10, skip=()):
    """Finished records for a grid's cells, by number, with what ``measure`` says of their parameters."""
    import datetime

    notebook = grid.notebook
    write_manifest(grid, out)
    for number, cell in enumerate(grid.cells()):
        if number in skip:
            continue
        when = datetime.datetime(2026, 11, 22, hour, number // 60, number % 60, tzinfo=datetime.UTC)
        name, folder = store.new_folder(out, notebook.name, when)
        record = store.Record(
            name, notebook.name, notebook.shown, notebook.sha256, notebook.filled(cell.values), sorted(cell.values),
            status="done", started=when.isoformat(), ended=when.isoformat(), seconds=1.0,
            metrics=measure(cell.values), folder=folder,
        )  # fmt: skip
        record.save()
        (folder / "notebook.ipynb").write_text(notebook.text)


def score(values) -> dict:
    number = len(values["concept"]) + values["seed"] ** 2 / 10
    entry = {"value": number, "low": None, "high": None, "n": 5, "unit": "bits"}
    return {"score": entry, HOSTILE: entry | {"unit": ""}, "none": entry | {"value": None, "note": "not a number"}}


@pytest.fixture
def filled(tmp_path):
    """A grid of 3 concepts, 2 lists and 3 seeds with one cell missing, and a smaller grid inside it."""
    notebook = str(write_notebook(tmp_path / "tiny.ipynb"))
    out = tmp_path / "runs"
    write_manifest(build(notebook, ["concept=01,011", "sizes=[1]"], seeds=3), out)
    grid = build(notebook, ["concept=01,011,0111", "sizes=[1],[2]"], seeds=3, fixed={"profile": "smoke"})
    fill(grid, out, score, skip=[17])
    write_manifest(build(notebook, ["concept=01,011", "sizes=[1]"], seeds=3, fixed={"profile": "smoke"}), out)
    return grid, out


def test_a_grid_is_summarised_over_its_seeds(filled):
    grid, out = filled
    (table,) = grids.tables(out, store.all_runs(out))  # one without records, and one inside another, are not shown
    assert (table.name, table.cells, table.finished) == (grid.name, 18, 17)
    assert len(table.rows) == 6 and sum(row["seeds"] for row in table.rows) == 17
    for row in table.rows:
        seeds = range(row["seeds"])
        by_hand = mean_interval([len(row["values"]["concept"]) + seed**2 / 10 for seed in seeds], unit="bits")
        assert row["metrics"]["score"] == by_hand and by_hand.n == row["seeds"]
        assert "none" not in row["metrics"], "what was not measured has no mean"


def test_a_cell_counts_once_however_often_it_was_run(filled):
    grid, out = filled
    fill(grid, out, lambda values: {"score": {"value": 1000.0}}, hour=11)
    (table,) = grids.tables(out, store.all_runs(out))
    assert table.finished == 18
    values = sorted(row["metrics"]["score"].value for row in table.rows)
    assert values[0] < 5 < values[-1], "the oldest record of each; the missing one's cell is the late one"
    assert sum(value > 100 for value in values) == 1


def test_the_page_and_the_exports_show_the_grid(filled):
    import pyarrow.parquet as pq

    grid, out = filled
    soup = BeautifulSoup(report.write_report(out).read_text(), "html.parser")
    (block,) = soup.select(".grid-block")
    assert block.select_one("img.multiples")["src"].startswith("data:image/png;base64,")
    assert (
        "17 of 18 cells finished; means and 95% t intervals over up to 3 seeds; fixed: profile=smoke"
        in block.get_text()
    )
    assert len(block.select("tbody tr")) == 6 and HOSTILE in block.get_text() and not soup.select("img[onerror]")
    pdf, png, svg = sorted((out / "grids").iterdir())
    assert pdf.read_bytes()[:4] == b"%PDF"
    assert png.read_bytes()[:4] == b"\x89PNG" and svg.name == f"tiny-{grid.name}.svg"
    rows = list(csv.DictReader((out / "grids.csv").open()))
    assert len(rows) == 12
    first = next(row for row in rows if row["metric"] == "score")
    assert first["combination"] == "concept=01 sizes=[1]" and first["param.concept"] == "01" and first["n"] == "3"
    assert float(first["value"]) == pytest.approx(2 + 0.5 / 3)
    stored = pq.read_table(out / "grids.parquet").to_pylist()
    assert [row["value"] for row in stored] == [float(row["value"]) for row in rows]
    runs = pq.read_table(out / "runs.parquet").to_pylist()
    assert len(runs) == 17 and runs[0]["metric.score"] == 2.0 and runs[0]["param.concept"] == "01"
    assert runs[0]["metric.none"] is None and runs[0]["seconds"] == 1.0
    latex = (out / "grids.tex").read_text()
    assert latex.count(" \\\\\n") == 7 and "2.167 [1.65, 2.684]" in latex and "<script" not in latex
    assert all(record.report.exists() for record in store.all_runs(out)), "a page that is missing is made"


def test_small_multiples_draw_what_was_measured(filled):
    grid, out = filled
    (table,) = grids.tables(out, store.all_runs(out))
    figure = grids.draw(table)
    panel = figure.axes[0]
    assert panel.get_title(loc="left") == "score (bits)" and panel.get_xlabel() == "concept"
    drawn = {label: handle for handle, label in zip(*panel.get_legend_handles_labels())}
    assert sorted(drawn) == ["sizes=[1]", "sizes=[2]"]
    means = [row["metrics"]["score"].value for row in table.rows if row["values"]["sizes"] == [1]]
    assert list(drawn["sizes=[1]"].lines[0].get_ydata()) == pytest.approx(means)
    seeds_only = build(str(grid.notebook.path), [], seeds=2)
    assert grids.draw(grids.GridTable("x", "tiny", seeds_only.axes, {}, 2, 2, ["m"], [])) is None


def test_a_foreign_manifest_is_passed_over(filled):
    _, out = filled
    folder = out / "tiny" / grids.FOLDER
    for number, text in enumerate(["", "[]", '{"axes": 1}', json.dumps({"axes": {}, "fixed": {}, "cells": []})]):
        (folder / f"bad-{number}.json").write_text(text)
    assert len(grids.tables(out, store.all_runs(out))) == 1


def test_diff_names_what_two_runs_do_not_share(filled, run_workbench):
    records = store.all_runs(filled[1])
    answer = run_workbench("diff", records[0].id, records[-1].id, "--out", filled[1])
    assert answer.returncode == 0 and "parameter" in answer.stdout and "concept" in answer.stdout
    assert "metric" in answer.stdout and "0111" in answer.stdout
    same = run_workbench("diff", records[0].id, records[0].id, "--out", filled[1])
    assert same.returncode == 0 and "do not differ" in same.stdout
    unknown = run_workbench("diff", "2001", "last", "--out", filled[1])
    assert unknown.returncode == 2 and "'2001' is not a run in" in unknown.stderr


def test_finished_runs_are_copied_to_a_url_once(filled, tmp_path):
    _, out = filled
    records = store.all_runs(out)
    target = tmp_path / "copies"
    sink = sinks.CopyTo(target.as_uri())
    sink.add(records[:2])
    places = sorted(target.glob("tiny/*"))
    assert [place.name for place in places] == [record.id for record in records[:2]]
    assert {path.name for path in places[0].iterdir()} == {"record.json", "notebook.ipynb"}
    assert (places[0] / "record.json").read_bytes() == (records[0].folder / "record.json").read_bytes()
    (places[0] / "notebook.ipynb").unlink()
    sinks.CopyTo(target.as_uri()).add(records[:3])
    assert not (places[0] / "notebook.ipynb").exists(), "what is there is left alone"
    assert len(list(target.glob("tiny/*"))) == 3
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be copied to"):
        sinks.CopyTo((tmp_path / "file" / "x").as_uri()).add(records[:1])


@pytest.mark.parametrize("url", ["nowhere:/x", "relative/path", "http://example.org/x"])
def test_a_url_without_a_file_system(url):
    with pytest.raises(UsageError, match=r"cannot be used .*give s3://"):
        sinks.CopyTo(url)


@pytest.mark.slow
def test_mlflow_has_every_finished_run_once(filled, tmp_path):
    import mlflow

    _, out = filled
    records = store.all_runs(out)
    records[0].metrics["odd näme [x]"] = {"value": 2.5, "low": 2.0, "high": 3.0}
    file = tmp_path / "db" / "mlflow.sqlite"
    sinks.MLflow(file).add(records[:4])
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{file}")
    place = client.get_experiment_by_name("tiny").experiment_id
    client.create_run(place, tags={"workbench.id": records[5].id})  # what a sweep killed in the middle leaves
    sinks.MLflow(file).add(records)
    sinks.MLflow(file).add(records[:1])
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{file}")
    (experiment,) = [item for item in client.search_experiments() if item.name == "tiny"]
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [record.id for record in records]
    run = next(run for run in runs if run.info.run_name == records[0].id)
    assert run.data.params["concept"] == "01" and run.data.params["bits"] == "null" and run.info.status == "FINISHED"
    assert run.data.metrics["score"] == 2.0 and "none" not in run.data.metrics
    assert math.isclose(run.data.metrics["odd näme _x_.high"], 3.0)
    assert run.data.tags["workbench.id"] == records[0].id
    (tmp_path / "text").write_text("no database")
    with pytest.raises(RunError, match="cannot be used as an MLflow database"):
        sinks.MLflow(tmp_path / "text")


@pytest.mark.slow
def test_a_sweep_fills_its_sinks_and_a_broken_one_costs_no_run(tmp_path, run_workbench):
    notebook = write_notebook(tmp_path / "s.ipynb", "import workbench\nworkbench.record({'s': seed})")
    grid = ["sweep", notebook, "--seeds", "2", "--out", tmp_path / "runs"]
    (tmp_path / "file").write_text("")
    broken = run_workbench(*grid, "--copy-to", (tmp_path / "file" / "x").as_uri())
    assert broken.returncode == 1 and "cannot be copied to" in broken.stderr and "2 run" in broken.stdout
    good = ["--copy-to", (tmp_path / "copies").as_uri(), "--mlflow", tmp_path / "m.sqlite"]
    answer = run_workbench(*grid, *good)
    assert answer.returncode == 0 and "0 run, 2 finished before" in answer.stdout, answer.stderr
    assert len(list((tmp_path / "copies").glob("s/*/record.json"))) == 2
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'm.sqlite'}")
    assert len(client.search_runs([client.get_experiment_by_name("s").experiment_id])) == 2
