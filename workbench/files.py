"""Files written so that nobody ever reads half of one, and the folder of the run one is inside of.

The bottom layer: it imports nothing of the workbench but its errors.
"""

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path

from .errors import WorkbenchError

ROOT = Path(__file__).resolve().parent.parent  # the checkout: notebooks/, data/ and runs/ stand beside the package
RUN_FOLDER = "WORKBENCH_RUN_FOLDER"  # set by the runner for the kernel it starts
TYPED_IN = "WORKBENCH_TYPED_IN"  # set likewise: the folder where the command was typed


def write_atomic(path: str | os.PathLike, content: str | bytes) -> Path:
    """Write ``content`` under a temporary name in the same folder, flush it to the disk, then rename it.

    Raises
    ------
    WorkbenchError
        The folder cannot be written or the disk is full; the old file, if any, is untouched.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        make_folder(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise WorkbenchError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder (--out DIR)"
        ) from error
    return path


def write_json(path: str | os.PathLike, value) -> Path:
    """`write_atomic` of ``value`` as indented JSON; NaN and infinities are refused (they are not JSON)."""
    return write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def lone_surrogate(value) -> str | None:
    """The first half of a surrogate pair in a text or JSON value, as ``U+D800``; None where there is none.

    Python makes them of ``"\\ud800"`` in JSON and of bytes on the command line that are no UTF-8; neither a tokenizer
    nor a file takes them, so whoever reads a user's text asks here first.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    found = None if text.isascii() else re.search("[\ud800-\udfff]", text)
    return f"U+{ord(found[0]):04X}" if found else None


def make_folder(path: str | os.PathLike) -> Path:
    """A folder and the missing ones above it, none of them writable by everybody, whatever the umask."""
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        mode = folder.stat().st_mode
        if mode & 0o002:
            folder.chmod(mode & ~0o002)
    return path


def forbid_world_writing() -> None:
    """From here on no file or folder that this process makes can be written by everybody, whatever the umask was."""
    os.umask(os.umask(0o077) | 0o002)


def run_folder() -> Path | None:
    """The folder of the run this process works for, or None outside a runner."""
    folder = os.environ.get(RUN_FOLDER)
    return Path(folder) if folder else None


def typed_in() -> str:
    """The folder where the command was typed; empty if it is no more."""
    try:
        return os.environ.get(TYPED_IN) or os.getcwd()
    except OSError:
        return ""


def user_path(given: str | os.PathLike) -> Path:
    """The file or folder a user named: ~ is the home folder, and a run looks where its command was typed first.

    A kernel works in notebooks/, the person who typed ``-p graph=mine.tsv`` somewhere else.
    """
    path = Path(given).expanduser()
    typed = os.environ.get(TYPED_IN)
    if typed and not path.is_absolute() and (Path(typed) / path).exists():
        return Path(typed) / path
    return path


def sha256_file(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's content, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
