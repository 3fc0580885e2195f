"""The weight cache: converted and quantised models, so that the second load is quick.

A GGUF file takes many seconds to unpack and a 4-bit model many to quantise, so the result is kept as safetensors in
one folder an entry: ``CACHE/models/KEY/`` with ``entry.json`` beside the model's files. The key is a hash of the
content the entry was made from and of the settings it was made with, never of a path. An entry is built in a
temporary folder and renamed, under a lock, so two processes that load at once convert once and neither sees half a
model. Each file's size, time and SHA-256 are recorded: what was cut short or changed afterwards is noticed, said, and
built again.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelError, WorkbenchError
from ...files import expanded, make_folder, sha256_file, write_json
from ..base import say

CACHE = "WORKBENCH_CACHE"
FORMAT = 2  # raised whenever entries made by older code must not be read any more


class CacheUnusable(WorkbenchError):
    """The cache folder cannot be written to."""


@dataclass(frozen=True)
class CacheEntry:
    """One converted model on the disk; ``created`` is in seconds since 1970, ``seconds`` what making it took."""

    key: str
    model: str
    settings: dict
    bytes: int
    path: Path
    created: float
    seconds: float


def cache_folder() -> Path:
    """$WORKBENCH_CACHE, or the platform's cache folder for this user."""
    given = os.environ.get(CACHE)
    if given:
        return expanded(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("workbench"))


def entries() -> list[CacheEntry]:
    """All readable entries, newest first."""
    found = [cache_entry(folder) for folder in _models().iterdir()] if _models().is_dir() else []
    return sorted((entry for entry in found if entry), key=lambda entry: -entry.created)


def clear(keys=None) -> int:
    """Remove the entries named by ``keys`` (all, and what broken builds left, if None); the bytes that were freed.

    Raises
    ------
    ModelError
        A key is not in the cache.
    """
    known = {entry.key: entry for entry in entries()}
    if keys is not None:
        for key in keys:
            if key not in known:
                raise ModelError(f"the cache has no entry {key!r}: see `workbench cache list`")
        folders = [known[key].path for key in keys]
    else:
        folders = list(_models().iterdir()) if _models().is_dir() else []
    freed = 0
    for folder in folders:
        with _lock(folder.name.removeprefix(".tmp-").split("~")[0]):
            freed += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def key_of(settings: dict) -> str:
    """The entry's name: its form and a hash over all settings with the content's hash; no path, no model name."""
    text = json.dumps({**settings, "format": FORMAT}, sort_keys=True)
    return f"{settings['form']}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def fetch(
    model: str, settings: dict, need: int, build: Callable[[Path], None], *, why: str = "converting"
) -> tuple[CacheEntry, bool]:
    """The entry for these settings, built if it is not there or is damaged.

    Parameters
    ----------
    model
        The name to show.
    settings
        What the entry depends on; "form" and "content" (a hash) among them.
    need
        Bytes the entry will take, said and checked before the work begins.
    build
        Fills the folder it is given.

    Returns
    -------
    The entry, and whether it was built just now.

    Raises
    ------
    CacheUnusable
        The cache folder cannot be made or written.
    ModelError
        The disk has too little room.
    """
    key = key_of(settings)
    folder = _models() / key
    try:
        make_folder(folder.parent)
        lock = _lock(key)
        lock.acquire()
    except OSError as error:
        raise CacheUnusable(f"the cache {cache_folder()} cannot be written ({error.strerror or error})") from error
    try:
        if folder.exists():
            fault = damage(folder)
            if fault is None:
                return cache_entry(folder), False
            say(f"the cached {settings['form']} form of {model} is damaged ({fault}) and is made again")
            shutil.rmtree(folder, ignore_errors=True)
        for left in folder.parent.glob(f".tmp-{key}~*"):  # of a process that was killed: we hold its lock
            shutil.rmtree(left, ignore_errors=True)
        room = shutil.disk_usage(folder.parent).free
        if room < need * 1.05:
            raise ModelError(
                f"{why} {model} needs {size_text(need)} in {cache_folder()}, which has {size_text(room)} free: "
                f"make room (`workbench cache clear`) or set {CACHE} to a folder on another disk"
            )
        say(f"{why} {model} once ({size_text(need)} in {cache_folder()}) …")
        temporary = folder.parent / f".tmp-{key}~{os.getpid()}"
        began = time.perf_counter()
        try:
            temporary.mkdir()
            build(temporary)
            files = {
                str(file.relative_to(temporary)): _stamp(file) | {"sha256": sha256_file(file)}
                for file in sorted(temporary.rglob("*"))
                if file.is_file()
            }
            write_json(
                temporary / "entry.json",
                {"key": key, "model": model, "settings": settings, "files": files, "created": time.time(),
                 "seconds": round(time.perf_counter() - began, 3)},
            )  # fmt: skip
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cache_entry(folder), True
    finally:
        lock.release()


def damage(folder: Path) -> str | None:
    """What is wrong with an entry, or None. Sizes and times are compared; where a time differs, the content is
    hashed."""
    try:
        files = json.loads((folder / "entry.json").read_text())["files"]
        for name, known in files.items():
            stamp = _stamp(folder / name)
            if stamp["bytes"] != known["bytes"]:
                return f"{name} has {stamp['bytes']} bytes instead of {known['bytes']}"
            if stamp["time"] != known["time"] and sha256_file(folder / name) != known["sha256"]:
                return f"the content of {name} has changed"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "entry.json cannot be read"
    return None


def content_hash(path: Path) -> str:
    """SHA-256 of a file, remembered by path, size, inode and times of change (the system's own can't be set back)."""
    path = path.resolve()
    status = path.stat()
    memory = cache_folder() / "hashes.json"
    stamp = _stamp(path) | {"changed": status.st_ctime_ns, "inode": status.st_ino}
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    if known.get(str(path), {}).items() >= stamp.items():
        return known[str(path)]["sha256"]
    digest = sha256_file(path)
    try:
        with _lock("hashes"):
            try:
                known = json.loads(memory.read_text())
            except (OSError, ValueError):
                known = {}
            write_json(memory, known | {str(path): stamp | {"sha256": digest}})
    except (OSError, WorkbenchError):
        return digest  # an unwritable cache costs the next load a second, nothing else
    return digest


def size_text(size: float) -> str:
    """538 MB, 1.1 GB (decimal units)."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _models() -> Path:
    return cache_folder() / "models"


def _lock(key: str):
    import filelock

    folder = cache_folder() / "locks"
    make_folder(folder)
    return filelock.FileLock(folder / f"{key}.lock", mode=0o664)  # whatever the umask


def _stamp(file: Path) -> dict:
    status = file.stat()
    return {"bytes": status.st_size, "time": status.st_mtime_ns}


def cache_entry(folder: Path) -> CacheEntry | None:
    """The entry in a folder, or None if it cannot be read."""
    try:
        entry = json.loads((folder / "entry.json").read_text())
        size = sum(file["bytes"] for file in entry["files"].values())
        return CacheEntry(
            entry["key"], entry["model"], entry["settings"], size, folder, entry["created"], entry["seconds"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
