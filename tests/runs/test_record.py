"""record(): what a notebook's last cell prints and keeps."""

import json
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from workbench import Estimate, record
from workbench.errors import UsageError, WorkbenchError
from workbench.files import RUN_FOLDER
from workbench.runs.store.metrics import as_text, number, show


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Read back what a call inside a run kept."""
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    return lambda: json.loads((tmp_path / "metrics.json").read_text())


def test_outside_a_run_it_only_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    assert record({"accuracy": 0.5}) is None
    assert capsys.readouterr().out.split() == ["metric", "value", "-" * 15, "accuracy", "0.5"]
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_every_kind_are_kept(kept):
    import torch

    record({"a": 1, "b": np.float32(0.25), "c": np.int64(3), "d": torch.tensor(0.5), "e": np.array(2.0)})
    values = {name: entry["value"] for name, entry in kept()["metrics"].items()}
    assert values == {"a": 1, "b": 0.25, "c": 3, "d": 0.5, "e": 2.0}


def test_estimates_keep_their_interval(kept):
    record({"accuracy": Estimate(0.5, 0.4, 0.6, 100, "share")})
    assert kept()["metrics"]["accuracy"] == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100, "unit": "share"}


def test_what_is_not_finite_becomes_null_with_a_word(kept, capsys):
    record({"a": math.nan, "b": -math.inf, "c": Estimate(1.0, 0.5, math.inf)})
    metrics = kept()["metrics"]
    assert [metrics[name]["value"] for name in "abc"] == [None, None, 1.0]
    assert [metrics[name]["note"] for name in "abc"] == ["not a number", "minus infinite", "high is infinite"]
    assert "minus infinite" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["0.5", True, [1], None, np.array([1, 2]), {"value": 1}])
def test_what_is_no_number_is_refused(value, kept, tmp_path):
    if value is None:
        record({"a": value})
        assert kept()["metrics"]["a"]["note"] == "not measured"
        return
    with pytest.raises(UsageError, match=r"metric 'a' has value = .*; give a number or an Estimate"):
        record({"a": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), Fraction(10**400), 10**5000], ids=["big", "minus", "part", "vast"]
)
def test_what_no_number_can_hold_is_null_with_a_word(kept, value, capsys):
    record({"a": value, "b": 2**70, "c": Estimate(1.0, 0.5, value)}, {"t": [{"x": value, "y": 2**70}]})
    metrics = kept()["metrics"]
    assert metrics["a"]["value"] is None and "beyond the largest number" in metrics["a"]["note"]
    assert metrics["b"]["value"] == 2**70 and metrics["c"]["value"] == 1.0 and "high is beyond" in metrics["c"]["note"]
    assert kept()["tables"]["t"] == [{"x": "beyond 1.8e308", "y": 2**70}]


def test_half_a_character(kept):
    with pytest.raises(UsageError, match="half a character"):
        record({"a\ud800": 1})
    record({"a": Estimate(1.0, unit="\ud800")}, {"t": [{"x\ud800": "y\ud800"}]})
    assert kept()["metrics"]["a"]["unit"] == "?" and kept()["tables"]["t"] == [{"x?": "y?"}]


@pytest.mark.parametrize("before", ["[]", "{", '{"metrics": null}'])
def test_what_somebody_else_left_under_the_name_is_no_obstacle(kept, tmp_path, before):
    (tmp_path / "metrics.json").write_text(before)
    record({"a": 1})
    assert kept()["metrics"]["a"]["value"] == 1


def test_tables_become_rows(kept):
    frame = pd.DataFrame({"x": [1, 2], "y": [0.5, np.nan], "when": pd.to_datetime(["2026-01-01", "2026-01-02"])})
    record({}, {"frame": frame, "grouped": frame.groupby("x")[["y"]].mean(), "rows": [{"a": np.int8(1)}]})
    tables = kept()["tables"]
    assert tables["frame"][0] == {"x": 1, "y": 0.5, "when": "2026-01-01 00:00:00"} and tables["frame"][1]["y"] is None
    assert tables["grouped"] == [{"x": 1, "y": 0.5}, {"x": 2, "y": None}] and tables["rows"] == [{"a": 1}]
    with pytest.raises(UsageError, match="table 't' is a str"):
        record({}, {"t": "a,b"})


def test_a_second_call_adds_to_the_first(kept):
    record({"a": 1, "b": 1}, {"t": [{"x": 1}]})
    record({"b": 2})
    assert {name: entry["value"] for name, entry in kept()["metrics"].items()} == {"a": 1, "b": 2}
    assert kept()["tables"] == {"t": [{"x": 1}]}


def test_a_folder_that_is_gone_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path / "file" / "run"))
    with pytest.raises(WorkbenchError, match="cannot write"):
        record({"a": 1})


def test_numbers_for_people():
    assert [number(value) for value in (3.0, 0.123456, 1234.5678, 1e-9, 2e12)] == [
        "3",
        "0.1235",
        "1235",
        "1e-09",
        "2e+12",
    ]
    assert show({"value": 0.5, "low": 0.25, "high": 1, "n": 40, "unit": "bits"}) == {
        "value": "0.5", "interval": "[0.25, 1]", "n": "40", "unit": "bits"
    }  # fmt: skip
    assert as_text({}).splitlines()[0] == "metric  value"
