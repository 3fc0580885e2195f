"""Files written so that nobody ever reads half of one, and the folder of the run one is inside of.

The bottom layer: it imports nothing of the workbench but its errors.
"""

import errno
import hashlib
import json
import os
import re
import stat
import tempfile
from pathlib import Path

from .errors import UsageError, WorkbenchError

ROOT = Path(__file__).resolve().parent.parent  # the checkout: notebooks/, data/ and runs/ stand beside the package
RUN_FOLDER = "WORKBENCH_RUN_FOLDER"  # set by the runner for the kernel it starts
TYPED_IN = "WORKBENCH_TYPED_IN"  # set likewise: the folder where the command was typed
JSON_BYTES = 64_000_000  # of a file that is read whole
JSON_DEPTH = 60  # of lists and objects in one another: far more than anything of ours, far less than a reader's stack
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # characters that move or colour a terminal, line ends left out
_DEEP = "it is nested too deep"


def write_atomic(path: str | os.PathLike, content: str | bytes) -> Path:
    """Write ``content`` under a temporary name in the same folder, flush it to the disk, then rename it.

    Raises
    ------
    WorkbenchError
        The folder cannot be written or the disk is full; the old file, if any, is untouched.
    """
    path = Path(path)
    # half a character (U+D800) is no UTF-8: it is written as the escape that JSON has for it
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
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


def parse_json(text: str | bytes):
    """JSON as strictly read as `write_json` writes it, so that what comes in can go out again.

    Raises
    ------
    ValueError
        It is no JSON, or it has NaN, a number beyond a double's range, half a character or too deep a nesting in it.
    """
    text = text if isinstance(text, str) else text.decode(json.detect_encoding(text))
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_number, parse_int=_whole)
    except RecursionError:
        raise ValueError(_DEEP) from None
    if text.count("[") + text.count("{") > JSON_DEPTH and deeper(value, JSON_DEPTH):
        raise ValueError(_DEEP)
    if "\\u" in text and (half := lone_surrogate(value)):
        raise ValueError(f"it has {half} in it, half a character")
    return value


def read_json(path: str | os.PathLike, most: int = JSON_BYTES):
    """`parse_json` of a file, if it is a plain one of at most so many bytes.

    Raises
    ------
    ValueError
        See `parse_json`, or it is too large.
    OSError
        It is not there, no plain file (a folder, a pipe that would never end), or cannot be read.
    """
    path = Path(path)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "a folder or a device, no plain file", str(path))
    if status.st_size > most:
        raise ValueError(f"it is larger than {most / 1e6:.0f} MB")
    return parse_json(path.read_bytes())


def _no_number(word: str):
    raise ValueError(f"{word} is no number in JSON")


def _number(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > 300:
        raise ValueError(f"the number {text[:20]}… is too large")
    return int(text)


def deeper(value, most: int) -> bool:
    """Whether lists and objects lie in one another more than ``most`` deep; without recursion, which is the point."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


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


def expanded(given: str | os.PathLike) -> Path:
    """A path that a user gave, with ~ as the home folder.

    Raises
    ------
    UsageError
        It can be no path here: ~ of somebody unknown, a NUL in it, or too long.
    """
    try:
        path = Path(given).expanduser()
        path.lstat()
    except (RuntimeError, ValueError) as error:
        why = "nobody of that name has a home folder here" if isinstance(error, RuntimeError) else "a path has no NUL"
        raise UsageError(f"{str(given)[:200]!r} is no path ({why}); check it") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(f"{str(given)[:60] + '…'!r} is no path (it is too long); check it") from None
    return path


def user_path(given: str | os.PathLike) -> Path:
    """The file or folder a user named: ~ is the home folder, and a run looks where its command was typed first.

    A kernel works in notebooks/, the person who typed ``-p graph=mine.tsv`` somewhere else.
    """
    path = expanded(given)
    typed = os.environ.get(TYPED_IN)
    if typed and not path.is_absolute() and (Path(typed) / path).exists():
        return Path(typed) / path
    return path


def sha256_file(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's content, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
