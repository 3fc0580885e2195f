"""Patches of methods of a stranger's tree: each is judged in its file, and those that are accepted become diffs.

Nothing of the tree is executed or written to. Its types are looked up where they stand, and compiled to nowhere.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ....errors import DataError
from ..sources import Method, file_of
from .diffs import diff
from .stages import Proposal, Validation, validate


@dataclass(frozen=True)
class Patched:
    """What became of a patch.

    Attributes
    ----------
    validation : Validation or None
        How far it came; None where it was not judged.
    reason : str
        Why it was not judged, or is no diff although it was accepted; else empty.
    diff : str
        What `git apply` takes in the tree's folder, of an accepted patch; else empty.
    """

    validation: Validation | None
    reason: str = ""
    diff: str = ""


def patched(
    root: Path, patches: Sequence[tuple[Method, str]], *, classpath: Sequence[Path] = (), limit: int
) -> list[Patched]:
    """Judge patches of a tree's methods.

    Parameters
    ----------
    root : Path
        The tree, from which the methods were read.
    patches : list of (method, patched method)
    classpath : sequence of Path
        Jars and folders of classes that the tree needs beside Java.
    limit : int
        Patches that are compiled, at most: each takes a second or two.

    Returns
    -------
    list of Patched
        One each. All diffs apply together: of two patches that overlap the first is taken.
    """
    found = [Patched(None, f"not compiled: it is beyond limit={limit} patches")] * len(patches)
    texts: dict[int, str] = {}
    proposals = []
    for number, (method, patch) in enumerate(patches[:limit]):
        try:
            data = file_of(root, method)
        except DataError as error:
            found[number] = Patched(None, str(error))
            continue
        texts[number] = text = data.decode()
        proposals.append(Proposal(
            method.text, patch, data[: method.first].decode(), data[method.last :].decode(), method.file,
            sources=_roots(root, method.file, text), classpath=tuple(classpath),
        ))  # fmt: skip
    taken: dict[str, list[Method]] = {}
    for number, judged in zip(texts, validate(proposals)):
        method = patches[number][0]
        others = taken.setdefault(method.file, [])
        overlaps = [one for one in others if one.overlaps(method)]
        reason = f"another patch of {overlaps[0].name} was taken: apply it, and triage again" if overlaps else ""
        found[number] = Patched(judged, reason if judged.accepted else "")
        if judged.accepted and not overlaps:
            others.append(method)
    for number, text in texts.items():
        (method, patch), one = patches[number], found[number]
        if one.validation.accepted and not one.reason:
            found[number] = Patched(one.validation, diff=diff(text, method, patch, taken[method.file]))
    return found


def _roots(root: Path, file: str, text: str) -> tuple[Path, ...]:
    """The folders below which packages begin, for a file's own package: its types are looked up there."""
    package = re.search(r"^\s*package\s+([\w.]+)\s*;", text, re.MULTILINE)
    parts = tuple(package[1].split(".")) if package else ()
    folders = PurePosixPath(file).parent.parts
    if folders[len(folders) - len(parts) :] != parts:
        return ()
    first = root.joinpath(*folders[: len(folders) - len(parts)])
    main = Path(re.sub(r"/test/java$", "/main/java", first.as_posix()))
    return (first, main) if main != first and main.is_dir() else (first,)
