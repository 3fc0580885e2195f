"""Parameters and file names cannot escape; secrets stay out of what is kept; no source does what is forbidden.

What is shown as text is tested in test_security_markup.py.
"""

import ast
import base64
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from hostile import EVIL, evil_record
from hypothesis import given, settings, strategies as st

from workbench.errors import UsageError
from workbench.runs.notebook.notebook import find_notebook, read
from workbench.runs.notebook.parameters import read_parameters, resolve
from workbench.runs.report import page
from workbench.runs.store import entry as store

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for part in ("workbench", "benchmarks") for path in (ROOT / part).rglob("*.py"))


# ---- the sources


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shell_no_eval_no_pickle(path):
    tree = ast.parse(path.read_text("utf-8"))
    forbidden = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "yaml.unsafe_load",
                 "pickle.load", "pickle.loads", "joblib.load", "pandas.read_pickle", "pd.read_pickle"}  # fmt: skip
    for node, name in calls(tree):
        assert name not in forbidden, f"{path}:{node.lineno} calls {name}"
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        assert "shell" not in named, f"{path}:{node.lineno} names a shell"
        if "trust_remote_code" in named:
            assert named["trust_remote_code"].value is False
        if "weights_only" in named:
            assert named["weights_only"].value is True
        if re.fullmatch(r"subprocess\.(run|Popen|call|check_\w+)|os\.(exec|spawn)\w+", name):
            command = node.args[0] if name.startswith("subprocess") else node.args[-1]
            assert not isinstance(command, ast.Constant | ast.JoinedStr | ast.BinOp), f"{path}:{node.lineno}"
        if name == "yaml.load":
            safe = [cls.name for cls in ast.walk(tree) if isinstance(cls, ast.ClassDef)
                    and "yaml.SafeLoader" in map(ast.unparse, cls.bases)]  # fmt: skip
            assert ast.unparse(node.args[1]) in [*safe, "yaml.SafeLoader"]


def test_the_pages_scripts_set_text_and_never_markup():
    scripts = [*(ROOT / "workbench" / "widgets").glob("*.js"), *(ROOT / "workbench" / "runs").rglob("*.js")]
    assert len(scripts) >= 4
    for path in scripts:
        markup = (
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|setTimeout\(\s*[\"']"
        )
        assert not re.search(markup, path.read_text("utf-8")), path
        assert not re.search(r"""["'`]https?://(?!www\.w3\.org/)""", path.read_text("utf-8")), (
            f"{path} fetches something"
        )


# ---- parameters, names, paths


@settings(max_examples=150, deadline=None)
@given(
    st.text() | st.sampled_from(['"); import os; os.system("x") #', "\\", '\\"', "\n", "'''", EVIL]),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers() | st.none() | st.booleans(), max_size=3),
)
def test_a_parameters_value_stays_a_value_in_the_kernel(text, mapping):
    """The cell that papermill writes into the notebook holds literals, equal to what was given, and no call."""
    from papermill.translators import PythonTranslator

    values = {"flips": text, "models": [text, text], "server": mapping}
    tree = ast.parse(PythonTranslator.codify(values))
    written = {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body}
    assert written == values


def test_a_parameters_name_is_one_of_the_notebooks():
    known = read("randomness").known
    for name in ("flips; import os", "__class__", "wb", "../x"):
        with pytest.raises(UsageError, match="is not a parameter of"):
            resolve(known, {name: "1"}, "randomness")


def test_defaults_of_a_strange_notebook_are_read_and_never_run(tmp_path):
    marker = tmp_path / "ran"
    source = f"x: str = open({str(marker)!r}, 'w').write('1')"
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": source}
    with pytest.raises(UsageError, match="not a plain value"):
        read_parameters({"cells": [cell]}, "it")
    cell["source"] = f"x: [open({str(marker)!r}, 'w')] = 1"
    with pytest.raises(UsageError, match="annotation"):
        read_parameters({"cells": [cell]}, "it")
    assert not marker.exists()


HOSTILE = [
    "...ipynb",
    "....ipynb",
    "javascript:alert(1).ipynb",
    "a\nb.ipynb",
    "-rf.ipynb",
    "<b>.ipynb",
    "\x1b[31m.ipynb",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_notebook_whose_name_would_go_on_elsewhere_is_refused(name, tmp_path):
    shutil.copy(ROOT / "notebooks" / "start.ipynb", tmp_path / name)
    with pytest.raises(UsageError, match="cannot name a folder of runs; rename the file") as told:
        find_notebook(str(tmp_path / name))
    assert "\n" not in str(told.value) and "\x1b" not in str(told.value)


def test_what_is_no_notebook_is_refused(tmp_path):
    for path in ("/dev/zero", "/etc", "../../../../etc/passwd", str(tmp_path), "a\0b.ipynb"):
        with pytest.raises(UsageError, match=r"there is no notebook at|is not a paper|is no path"):
            find_notebook(path)
    os.mkfifo(tmp_path / "pipe.ipynb")  # opening one would wait for ever
    with pytest.raises(UsageError, match="there is no notebook"):
        find_notebook(str(tmp_path / "pipe.ipynb"))
    shapes = [b"[]", b"{}", b"\xff", b'{"cells": [1], "nbformat": 4}', b'{"cells": {}, "nbformat": 4}', b"[" * 100_000,
              b'{"cells": [{"cell_type": "code", "metadata": []}], "nbformat": 4}',
              b'{"cells": [{"cell_type": "code", "source": 7}], "nbformat": 4}']  # fmt: skip
    for content in shapes:
        (tmp_path / "x.ipynb").write_bytes(content)
        with pytest.raises(UsageError, match="notebook"):
            read(str(tmp_path / "x.ipynb"))


def test_a_strange_kernel_is_not_started(tmp_path):
    from workbench.runs.process.child import _kernel

    made = json.loads((ROOT / "notebooks" / "start.ipynb").read_text())
    for metadata in ([], {"kernelspec": []}, {"kernelspec": {"name": ["x"]}}, {"kernelspec": {"name": "../../evil"}}):
        (tmp_path / "x.ipynb").write_text(json.dumps(made | {"metadata": metadata}))
        assert _kernel(read(str(tmp_path / "x.ipynb")).kernel) == "python3"


def test_ids_figures_and_papers_lead_nowhere_else(tmp_path):
    from workbench import plots

    secret = evil_record(tmp_path / "elsewhere").folder
    runs = tmp_path / "runs"
    runs.mkdir()
    for identity in (f"../elsewhere/demo/{secret.name}", str(secret), "..", "*", ""):
        with pytest.raises(UsageError, match="is not a run"):
            store.find(runs, identity)
    for paper in ("../elsewhere/demo", "*", ".."):
        assert store.all_runs(runs, paper) == []
    for name in ("../x", "a/b", "", ".", "x\0"):
        with pytest.raises(UsageError, match="becomes a file's name"):
            plots.save(None, name, describe="x")


def test_a_picture_outside_the_runs_folder_is_not_put_into_its_page(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"\x89PNG secret")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    for source in ("../secret.png", "link.png", str(tmp_path / "secret.png"), "file:///etc/passwd", "http://x/y.png"):
        made = page.sanitise(f'<img src="{source}" alt="gone">', folder)
        assert base64.b64encode(b"secret").decode()[:6] not in made and "<img" not in made, source


# ---- secrets and permissions

SECRETS = {
    name: f"planted-{name.lower()}-secret"
    for name in ("OPENAI_API_KEY", "WORKBENCH_API_KEY", "HF_TOKEN", "MY_PASSWORD")
}


def test_a_run_keeps_no_secret_and_leaves_nothing_that_everybody_can_write(tmp_path):
    """One real run with secrets in the environment and the laxest umask; every file and folder it made is looked at."""
    cell = nbformat.v4.new_code_cell
    notebook = nbformat.v4.new_notebook(
        cells=[
            cell("seed: int = 0  # s", metadata={"tags": ["parameters"]}),
            cell("import matplotlib.pyplot as plt, workbench as wb\nfrom workbench import plots\n"
                 "plots.save(plt.figure(), 'f', describe='nothing')\nopen('made-by-a-cell.txt', 'w').write('x')\n"
                 "wb.record({'a': 1.0})\nraise RuntimeError('so that there is a traceback too')"),
        ]
    )  # fmt: skip
    nbformat.write(notebook, tmp_path / "demo.ipynb")
    code = (
        "import os, sys; os.umask(0); sys.argv[0] = 'workbench'\n"
        "from workbench.models.remote.response_cache import Answers, key_of; from workbench.models.files import cache\n"
        "Answers(1000).put(key_of(a=1), {'x': 1}); cache.content_hash(__import__('pathlib').Path('demo.ipynb'))\n"
        "from workbench.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "run", "demo.ipynb", "--out", "runs"]
    surroundings = os.environ | SECRETS | {"WORKBENCH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    options = {"cwd": tmp_path, "env": surroundings, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 1 and "so that there is a traceback too" in done.stderr, done.stderr
    subprocess.run([*command[:3], "report", "--out", "runs", "--open", "no"], check=True, **options)
    found = [path for path in tmp_path.rglob("*") if path.name != "demo.ipynb"]
    names = {path.name for path in found}
    assert {"record.json", "report.html", "notebook.ipynb", "log.txt", "f.png", "index.html", "made-by-a-cell.txt",
            "answers", "hashes.json"} <= names  # fmt: skip
    for path in found:
        assert not path.lstat().st_mode & stat.S_IWOTH, f"{path} can be written by everybody"
        if path.is_file():
            content = path.read_bytes()
            assert not [name for name, value in SECRETS.items() if value.encode() in content], f"a secret is in {path}"
    for value in SECRETS.values():
        assert value not in done.stdout + done.stderr


def test_an_address_with_a_key_in_it_starts_nothing_and_is_not_repeated(run_workbench, tmp_path):
    url = "https://user:planted-secret@models.invalid/v1"
    done = run_workbench("run", "randomness", "--model", "openai:x", "--base-url", url, "--out", tmp_path / "runs")
    assert done.returncode == 2 and "keys go into OPENAI_API_KEY" in done.stderr
    assert "planted-secret" not in done.stdout + done.stderr and not (tmp_path / "runs").exists()


def test_lab_listens_on_loopback_with_a_token_nobody_can_guess(monkeypatch):
    from workbench.cli import app

    started = []
    monkeypatch.setattr(os, "execv", lambda path, command: started.append((command, os.environ["JUPYTER_TOKEN"])))
    monkeypatch.setenv("JUPYTER_TOKEN", "weak")
    for _ in range(2):
        app(["lab", "--no-browser"], standalone_mode=False)
    (command, first), (_, second) = started
    assert "--ServerApp.ip=127.0.0.1" in command and len(first) >= 32 and first != second
    assert not any(first in part or "token" in part.lower() for part in command)
