"""Secrets given as parameters: used by the notebook, and nowhere to be found afterwards."""

import json
import re

import pytest
from test_runner import check_end
from tiny_notebooks import PARAMETERS, write_notebook

from workbench.errors import UsageError
from workbench.runs.process.runner import run
from workbench.runs.report import index as report
from workbench.runs.store import compare, entry as store
from workbench.runs.store.masking import is_secret, mask, masked
from workbench.runs.sweep.driver import sweep
from workbench.runs.sweep.grid import build

GIVEN = {
    "api_key": 's3cret-"quoted"\\<&é', "HF_Token": "hf_abcdefgh", "password": 12345678,
    "server": {"url": "http://127.0.0.1", "auth_token": "t0ken-inside"}, "max_new_tokens": 77,
}  # fmt: skip
TYPES = (
    'api_key: str = ""\nHF_Token: str = "a-default-token"\npassword: int | None = None\nserver: dict | None = None\n'
    'max_new_tokens: int = 5\nsecret: str | None = "default-in-the-cell"'
)
SECRETS = ["s3cret-", "hf_abcdefgh", "12345678", "t0ken-inside", "default-in-the-cell", "a-default-token"]
USE = (
    "import sys, os, workbench\n"
    "print('key', api_key); print(repr(api_key), file=sys.stderr); print(password, server)\n"
    "os.write(2, f'to the log {HF_Token}'.encode())\n"
    "workbench.record({'length': len(api_key) + len(HF_Token)}, {'t': [{'text': api_key, 'n': max_new_tokens}]})\n"
    "from IPython.display import HTML, display\nimport html\ndisplay(HTML(html.escape(api_key)))"
)


def test_which_names_are_secret():
    for name in ("key", "api_key", "TOKEN", "hf_token", "secret", "client_secret", "password", "dbPassword"):
        assert is_secret(name), name
    for name in ("max_new_tokens", "tokens", "keys", "key_file", "monkeys", "seed", ""):
        assert not is_secret(name), name


def test_a_mask_tells_two_keys_apart_and_nothing_else():
    one, two = masked("api_key", "one"), masked("api_key", "two")
    assert one == masked("api_key", "one") != two and "one" not in one and re.fullmatch("masked [0-9a-f]{10}", one)
    assert masked("api_key", one) == one, "what is masked already stays"
    assert mask({"api_key": None, "use_key": True, "seed": 1}) == {"api_key": None, "use_key": True, "seed": 1}


def test_a_secret_is_in_nothing_that_a_run_leaves(tmp_path, capfd):
    notebook = write_notebook(tmp_path / "n.ipynb", USE, parameters=TYPES)
    source = notebook.read_text()
    record = run(str(notebook), GIVEN, out=tmp_path / "runs")
    check_end(record, "done")
    assert record.metrics["length"]["value"] == len(GIVEN["api_key"]) + len(GIVEN["HF_Token"]), "the cell had the keys"
    report.write_report(tmp_path / "runs")
    said = capfd.readouterr()
    left = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert {"record.json", "notebook.ipynb", "report.html", "log.txt", "index.html"} <= {path.name for path in left}
    for path in left:
        for secret in SECRETS:
            assert secret.encode() not in path.read_bytes(), (path.name, secret)
    assert not [secret for secret in SECRETS if secret in said.out + said.err]
    assert "to the log masked" in (record.folder / "log.txt").read_text()
    assert record.parameters["max_new_tokens"] == 77 and record.parameters["server"]["url"] == "http://127.0.0.1"
    assert "masked" in record.report.read_text() and notebook.read_text() == source


@pytest.mark.slow
def test_a_failing_cell_gives_no_secret_away(tmp_path, capfd):
    notebook = write_notebook(tmp_path / "n.ipynb", "raise ValueError(f'refused: {api_key}')", parameters=TYPES)
    record = run(str(notebook), {"api_key": "sk-123456"}, out=tmp_path / "runs")
    check_end(record, "failed")
    assert "refused: masked" in record.error
    assert not [path for path in record.folder.rglob("*") if path.is_file() and b"sk-123456" in path.read_bytes()]
    with pytest.raises(UsageError, match=r"'api_key' of .* holds a secret.*give it again"):
        compare.rerun(record, out=tmp_path / "runs", progress=False)


@pytest.mark.slow
def test_a_cell_keeps_its_identity(tmp_path, run_workbench):
    notebook = write_notebook(tmp_path / "n.ipynb", "print(api_key)", parameters=PARAMETERS + '\napi_key: str = ""')
    grid = build(str(notebook), ["api_key=key-number-1,key-number-2"])
    first = sweep(grid, out=tmp_path / "runs", progress=False)
    again = sweep(grid, out=tmp_path / "runs", progress=False)
    assert (first.done, again.done, again.before) == (2, 0, 2)
    other = sweep(build(str(notebook), ["api_key=key-number-2,key-number-3"]), out=tmp_path / "runs", progress=False)
    assert (other.done, other.before) == (1, 1)
    answer = run_workbench(
        "sweep", notebook, "-g", "api_key=key-number-1,key-number-4", "--out", tmp_path / "runs", "--dry-run"
    )
    assert answer.returncode == 0 and "key-number" not in answer.stdout and "1 finished, 1 to run" in answer.stdout
    answer = run_workbench("sweep", notebook, "-g", "api_key=key-number-1", "--seeds", "2", "--print-commands")
    assert answer.returncode == 2 and "holds a secret" in answer.stderr and "key-number" not in answer.stderr
    for path in (tmp_path / "runs").rglob("*"):
        assert not path.is_file() or b"key-number" not in path.read_bytes(), path
    assert len(store.all_runs(tmp_path / "runs")) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["-p", "api_key=sk-123456", "-p", "api_key=sk-1234567"],
        ["-p", "password=sk-123456"],
        ["-p", "api_key=sk-123456\udcff"],
        ["-p", 'server={"token": "sk-123456"'],
    ],
)
def test_a_refused_command_does_not_repeat_a_secret(tmp_path, run_workbench, arguments):
    notebook = write_notebook(tmp_path / "n.ipynb", "1", parameters=TYPES)
    answer = run_workbench("run", notebook, *arguments, "--out", tmp_path / "runs")
    assert answer.returncode == 2 and "sk-123456" not in answer.stderr, answer.stderr


def test_the_defaults_shown_are_masked(tmp_path, run_workbench):
    notebook = write_notebook(tmp_path / "n.ipynb", "1", parameters=TYPES)
    answer = run_workbench("params", notebook)
    assert answer.returncode == 0 and "masked" in answer.stdout
    assert "default-in-the-cell" not in answer.stdout and json.loads(notebook.read_text())
