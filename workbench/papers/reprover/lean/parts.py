"""The text before a theorem, compiled once: what makes a step at the end of a long file as cheap as at its beginning.

After each edit Lean's server goes over everything in the document again (it collects the references of all commands),
so a step costs more the more text stands before its theorem. Here that text is cut into parts of a few declarations;
each part is compiled once into a module of its own that imports the part before it, and what stays in force behind the
cut (namespaces, sections, open names, variables, universes, options) is written again at the head of the next part. The
document then holds one import, that context, and at most the declarations since the last cut.

Only the session uses parts. The last word on a proof (`verify`) is a check of the file as it is written.

A file is cut only where its layout shows beyond doubt what is in force; one with local or private declarations, scoped
notation, ``mutual`` blocks and the like is left whole, and so is one with a part that does not compile by itself.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from ....files import write_atomic
from .engine import LeanFailed, Library, temporary_folder

SIZE = 8  # declarations in a part: fewer mean more workers to start, more a dearer step
_HEADER = re.compile(r"(?:prelude|public|meta|import)\b|\s*$")
_DECLARATION = re.compile(r"(?:theorem|lemma|def|abbrev|instance|inductive|structure|class)\b")
_PLAIN = re.compile(
    r"@\[|(?:theorem|lemma|def|abbrev|instance|inductive|structure|class|example|namespace|section|end|open|variable|"
    r"universe|set_option|attribute|infix|infixl|infixr|prefix|postfix|notation|deriving)(?![\w.])"
)
_WHOLE = re.compile(
    r"\b(?:local|private|scoped|mutual|include|omit|export|noncomputable|public|meta|protected|initialize|"
    r"open\s+\S+\s+(?:in|hiding|renaming)|in)\s*(?:$|[\s\[(])"
)


@dataclass(frozen=True)
class Cut:
    """A text in pieces: ``header`` (prelude and imports), the parts, each with the context it starts in, and the rest.

    ``"".join`` of header, parts and rest is the text.
    """

    header: str
    parts: tuple[str, ...]
    contexts: tuple[str, ...]
    rest: str


def cut(text: str, *, size: int = SIZE) -> Cut:
    """Cut the text before a theorem behind every ``size`` declarations.

    Returns
    -------
    Cut
        ``contexts`` has one more entry than ``parts``: the last is what is in force where ``rest`` begins. No parts
        where the text is short or its layout leaves a doubt.
    """
    lines = text.splitlines(keepends=True)
    start = 0
    while start < len(lines) and _HEADER.match(lines[start]):
        start += 1
    header, whole = "".join(lines[:start]), Cut("".join(lines[:start]), (), ("",), "".join(lines[start:]))
    if "module" in header.split():
        return whole
    frames: list[tuple[str, list[str]]] = [("", [])]
    parts, contexts, current, count = [], [""], [], 0
    comment, attributed, at = 0, False, start
    while at < len(lines):
        line = lines[at]
        if comment or line.startswith("/-"):  # a comment that begins in column 1, to its end
            opens = line.startswith("/-") and not comment
            attributed = line.startswith("/--") if opens else attributed
            comment = 0 if "-/" in line else 1
            current.append(line)
            at += 1
            if not comment and line.rsplit("-/", 1)[1].strip():
                return whole
            continue
        if not line.strip() or line.startswith("--"):
            current.append(line)
            at += 1
            continue
        stop = at + 1
        while stop < len(lines) and (lines[stop].startswith((" ", "|", ")")) or not lines[stop].strip()):
            stop += 1
        block = "".join(lines[at:stop])
        first = line.split(":=")[0]
        if not _PLAIN.match(line) or _WHOLE.search(first if _DECLARATION.match(line) else block):
            return whole
        if _DECLARATION.match(line) and not attributed and count >= size:
            parts.append("".join(current))
            contexts.append(_context(frames))
            current, count = [], 0
        word, _, tail = block.partition(" ")
        word, tail = word.strip(), tail.strip()
        if word in ("namespace", "section"):
            frames.append((block.strip(), []))
        elif word == "end":
            if len(frames) == 1:
                return whole
            if frames[-1][0].partition(" ")[2] != tail:  # `end A.B` and half-closed names: not read here
                return whole
            frames.pop()
        elif word in ("open", "variable", "universe", "set_option"):
            frames[-1][1].append(block.strip())
        count += bool(_DECLARATION.match(line) or re.match(r"@\[.*\]\s*\w", line))
        attributed = bool(re.match(r"@\[[^\]]*\]\s*$", line))
        current.append(block)
        at = stop
    if comment:
        return whole
    return Cut(header, tuple(parts), tuple(contexts), "".join(current))


def _context(frames: list[tuple[str, list[str]]]) -> str:
    return "".join(f"{command}\n" for opening, inside in frames for command in ([opening] if opening else []) + inside)


def shorten(library: Library, text: str, *, folder: Path | None = None) -> str:
    """The same text with all but its last declarations imported; the text itself where that cannot be done.

    Compiles the parts that are not yet in ``folder`` (None: the library's in the cache; a fraction of a second each).
    """
    folder = folder or library.parts
    if folder is None:
        return text
    pieces = cut(text)
    header = pieces.header
    for part, context in zip(pieces.parts, pieces.contexts, strict=False):
        source = header + context + part
        name = "Part" + hashlib.sha256(source.encode()).hexdigest()[:24]
        if not (folder / f"{name}.olean").is_file() and not _compile(library, name, source, folder):
            return text
        header = f"prelude\nimport {name}\n" if text.startswith("prelude") else f"import {name}\n"
    return header + pieces.contexts[-1] + pieces.rest if pieces.parts else text


def _compile(library: Library, name: str, source: str, folder: Path) -> bool:
    """Compile one part into ``folder``; False where Lean finds an error in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder) as scratch:
        write_atomic(scratch / f"{name}.lean", source)
        try:
            done = library.engine.lean(["-R", ".", "-o", f"{name}.olean", f"{name}.lean"], folder=scratch,
                                       search_path=os.pathsep.join([str(library.build), str(folder)]))  # fmt: skip
        except LeanFailed:
            return False
        if done.returncode:
            return False
        # the name is that of the content: a second process that was faster wrote the same
        os.replace(scratch / f"{name}.olean", folder / f"{name}.olean")
    return True
