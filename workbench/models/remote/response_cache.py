"""A server's answers kept on the disk: asked once, paid once, there again after a crash.

One small JSON file an answer in ``$WORKBENCH_CACHE/answers``, written atomically, readable by this user alone; the
least recently used ones are removed when the folder outgrows its bound. (Ours, because the usual library for it had
its last release in 2023 and unpickles what it reads.)
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from ...errors import WorkbenchError
from ...files import make_folder, write_atomic
from ..base import say
from ..files.cache import cache_folder

FORMAT = 1  # counted up when older entries must not be read any more
PRUNE_TO = 0.8  # of the bound: removing one file at every write would cost a scan each
SCAN_EVERY = 64  # writes between two looks at the folder's size


def key_of(**parts) -> str:
    """64 hex digits over everything an answer depends on; the order of the parts does not matter."""
    text = json.dumps({**parts, "format": FORMAT}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Answers:
    """The folder of answers. All methods may be called from several threads and processes at once.

    Parameters
    ----------
    bound
        Bytes the folder may hold.
    folder
        Default: "answers" in the workbench's cache folder.
    """

    def __init__(self, bound: int, folder: Path | None = None):
        self.bound = bound
        self.folder = folder or cache_folder() / "answers"
        self.usable = True
        self._writes = 0

    def get(self, key: str):
        """The value kept under a key, or None; an entry that cannot be read counts as none."""
        path = self._path(key)
        try:
            entry = json.loads(path.read_text("utf-8"))
            if entry["key"] != key:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        with contextlib.suppress(OSError):  # removed by another process meanwhile: it was read, that is enough
            os.utime(path)
        return entry["value"]

    def put(self, key: str, value) -> None:
        """Keep a value; where the folder cannot be written, one line says so and nothing is kept."""
        if not self.usable:
            return
        path = self._path(key)
        try:
            make_folder(self.folder.parent)
            self.folder.mkdir(exist_ok=True, mode=0o700)
            os.chmod(self.folder, 0o700)  # an older or laxer folder: what a model was asked is nobody else's business
            path.parent.mkdir(exist_ok=True, mode=0o700)
            write_atomic(path, json.dumps({"key": key, "value": value}, ensure_ascii=False))
            self._writes += 1
            if self._writes % SCAN_EVERY == 1:
                self.prune()
        except (OSError, WorkbenchError) as error:
            self.usable = False
            say(f"the server's answers are not kept ({error}): a rerun asks for them again")

    def prune(self) -> int:
        """Remove the least recently used entries until the folder is within its bound; bytes that were freed."""
        found, total, freed = [], 0, 0
        for path in self.folder.glob("*/*.json"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
                total += status.st_size
        if total <= self.bound:
            return 0
        for _, size, path in sorted(found):
            if total - freed <= self.bound * PRUNE_TO:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                freed += size
        return freed

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
