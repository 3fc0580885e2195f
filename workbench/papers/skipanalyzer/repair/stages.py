"""Patch validation in stages: it parses, compiles, behaves, and is minimal.

A parse rate says little: the embedded models write methods that parse and are wrong. A patch of our own teaching set is
therefore executed against its method's check, in a sandbox; a stranger's method never is, and the result says so.
"""

import difflib
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ....errors import DataError, WorkbenchError
from ..compiler import UNLISTED, JavaMissing
from ..sources import parse_methods, syntax
from .allowed import read_patch, refusal
from .sandbox import Check, Outcome, compile_java, compiled_classes, harness_sources, run_checks

STAGES = ("parses", "compiles", "behaves", "minimal")
COMPARED = 4_000_000  # pairs of lines; where there are more, lines that change places are not counted
FEW = 10  # changed lines that are no rewriting; of a longer method as many as it has
SHADOWS = ("FileReader", "FileWriter", "FileInputStream", "FileOutputStream")  # counted, in the place of java.io's


@dataclass(frozen=True)
class Proposal:
    """A patch of a method, and what is around it.

    Attributes
    ----------
    original, patch : str
        The whole method before and after.
    before, after : str
        The text of its file before the method, and after it.
    file : str
        The file's name: of a public class the compiler asks for it.
    check : str
        Java statements that exercise the method on ``f``, an instance of its class: only of our own teaching set.
    sources, classpath : tuple of Path
        Where the types of its file are found: folders of Java that are read, jars and folders of classes that are
        read. Nothing of either is executed.
    """

    original: str
    patch: str
    before: str
    after: str
    file: str = "Patched.java"
    check: str = ""
    sources: tuple[Path, ...] = ()
    classpath: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Validation:
    """How far a patch came.

    Attributes
    ----------
    stage : str
        The last of `STAGES` that it passed; empty if none.
    accepted : bool
        It passed each stage that could be judged, and it compiled.
    why : str
        One sentence: what stopped it, or what was not judged.
    skipped : tuple of str
        Stages that were not judged.
    lines : int
        Lines taken out and put in, without regard to their indentation.
    returns_null : bool
        It answers a null input with null: no exception, and the next method has the problem.
    """

    stage: str
    accepted: bool
    why: str
    skipped: tuple[str, ...] = ()
    lines: int = 0
    returns_null: bool = False


def validate(proposals: Sequence[Proposal]) -> list[Validation]:
    """Judge patches, those with a check by running it.

    Patches with a check are compiled in one call of the compiler, and run in one Java machine, each in a class loader
    of its own. A patch without one is compiled with its file, after the file as it was, many at once where the tree is
    known.
    """
    judged: dict[int, Validation] = {}
    for number, one in enumerate(proposals):
        method, why = read_patch(one.patch, one.original)
        if method is None:
            judged[number] = _stopped(one, "", f"The patch is no patch of this method: {why}.")
        elif why := refusal(method, one.original, one.before + one.after):
            judged[number] = _stopped(one, "parses", f"The patch is refused before it is compiled: {why}.")
    left = [number for number in range(len(proposals)) if number not in judged]
    ours = [number for number in left if proposals[number].check]
    try:
        judged |= zip(ours, _executed([proposals[number] for number in ours]))
        others = [number for number in left if number not in judged]
        judged |= zip(others, _compiled([proposals[number] for number in others]))
    except JavaMissing as error:
        judged |= {number: _uncompiled(proposals[number], str(error)) for number in left}
    return [judged[number] for number in range(len(proposals))]


def changed(original: str, patch: str) -> int:
    """Lines that a patch takes out or puts in; blanks at their ends and empty lines do not count."""
    before, after = ([line.strip() for line in text.splitlines() if line.strip()] for text in (original, patch))
    if len(before) * len(after) > COMPARED:  # far from minimal in any order
        old, new = Counter(before), Counter(after)
        return (old - new).total() + (new - old).total()
    matched = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return len(before) + len(after) - 2 * sum(block.size for block in matched)


def interface_change(original: str, patch: str) -> str:
    """What of a method's public interface a patch changes; empty if nothing."""
    before, after = _interface(original), _interface(patch)
    return next((part for part in before if before[part] != after[part]), "")


def _interface(text: str) -> dict[str, object]:
    """Name, parameter types, return type, modifiers and exceptions of the one method of a text."""
    (method, *_) = parse_methods(text)
    # a method alone parses as a statement of a script; inside a class it keeps all of its parts
    node = syntax(f"class {method.name} {{\n{text}\n}}\n").named_children[0].child_by_field_name("body")
    node = next(child for child in node.named_children if child.type.endswith("_declaration"))
    kind = node.child_by_field_name("type")
    thrown = next((child for child in node.named_children if child.type == "throws"), None)
    names = [] if thrown is None else [child.text.decode().split(".")[-1].strip() for child in thrown.named_children]
    return {
        "name": method.name,
        "parameters": method.parameters,
        "return type": "" if kind is None else " ".join(kind.text.decode().split()),
        "modifiers": frozenset(method.modifiers),
        "exceptions": frozenset(names),
    }


def _stopped(one: Proposal, reached: str, why: str, skipped: tuple[str, ...] = (), null: bool = False) -> Validation:
    return Validation(reached, False, " ".join(why.split()), skipped, changed(one.original, one.patch), null)


def _minimal(one: Proposal, reached: str, note: str, skipped: tuple[str, ...] = (), null: bool = False) -> Validation:
    """The last stage, of a patch that came as far as ``reached``; ``note`` says so if it passes."""
    lines = changed(one.original, one.patch)
    most = max(FEW, sum(bool(line.strip()) for line in one.original.splitlines()))
    if part := interface_change(one.original, one.patch):
        return _stopped(one, reached, f"The patch changes the method's {part}.", skipped, null)
    if not lines:
        return _stopped(one, reached, "The patch changes nothing.", skipped, null)
    if lines > most:
        why = f"The patch changes {lines} lines, more than the {most} that a repair of this method may."
        return _stopped(one, reached, why, skipped, null)
    return Validation("minimal", "compiles" not in skipped, note, skipped, lines, null)


def _uncompiled(one: Proposal, why: str) -> Validation:
    return _minimal(one, "parses", f"The patch was neither compiled nor run: {why}.", ("compiles", "behaves"))


def _compiled(proposals: Sequence[Proposal]) -> list[Validation]:
    """The stages of strangers' methods, which are compiled with their files and never executed.

    The files as they were go first: what does not compile then says nothing of a patch. Of the patches of one file each
    has a compilation of its own, shared with patches of other files.
    """
    before = list(dict.fromkeys((one.before + one.original + one.after, _place(one)) for one in proposals))
    by_key = {(one.before + one.original + one.after, _place(one)): one for one in proposals}
    broken = dict(zip(before, _errors([(by_key[key], key[0]) for key in before])))
    found: dict[int, Validation] = {}
    left = []
    for number, one in enumerate(proposals):
        if error := broken[one.before + one.original + one.after, _place(one)]:
            found[number] = _uncompiled(
                one, f"its file does not compile {'here' if one.sources else 'alone'} ({error})"
            )
        elif part := interface_change(one.original, one.patch):  # it could break the other files of its compilation
            found[number] = _stopped(one, "parses", f"The patch changes the method's {part}.")
        else:
            left.append(number)
    after = _errors([(proposals[n], proposals[n].before + proposals[n].patch + proposals[n].after) for n in left])
    note = "The patch compiles; it was not run, because only methods of the teaching set have a check."
    for number, error in zip(left, after):
        one = proposals[number]
        found[number] = (
            _stopped(one, "parses", f"The patch does not compile ({error}).")
            if error
            else _minimal(one, "compiles", note, ("behaves",))
        )
    return [found[number] for number in range(len(proposals))]


def _place(one: Proposal) -> tuple:
    return one.file, one.sources, one.classpath


def _errors(texts: Sequence[tuple[Proposal, str]]) -> list[str]:
    """The first error of each text in the place of its proposal's file; empty if it compiles."""
    rounds: dict[tuple, list[int]] = {}  # what is compiled together: one text of a file; alone where no tree is known
    seen: dict[tuple, int] = {}
    for number, (one, _) in enumerate(texts):
        turn = seen[_place(one)] = seen.get(_place(one), -1) + 1
        rounds.setdefault((one.sources, one.classpath, turn if one.sources else -number), []).append(number)
    found = {}
    for numbers in rounds.values():
        found |= zip(numbers, _errors_together([texts[number] for number in numbers]))
    return [found[number] for number in range(len(texts))]


def _errors_together(texts: Sequence[tuple[Proposal, str]]) -> list[str]:
    first = texts[0][0]
    names = [one.file if one.sources else PurePosixPath(one.file).name for one, _ in texts]
    listed = [not any(sign in name for sign in UNLISTED) for name in names]
    sources = {name: text for name, fits, (_, text) in zip(names, listed, texts) if fits}
    try:
        with tempfile.TemporaryDirectory() as into:
            errors = compile_java(sources, Path(into), first.sources, first.classpath) if sources else {}
    except DataError as early:  # one that ends the compiler stops no other
        if len(texts) == 1:
            return [str(early)]
        half = len(texts) // 2
        return _errors_together(texts[:half]) + _errors_together(texts[half:])
    return [
        errors.get(name, "") if fits else "its name has a sign in it that ecj's list of files cannot hold"
        for name, fits in zip(names, listed)
    ]


def _executed(proposals: Sequence[Proposal]) -> list[Validation]:
    """The stages of methods of our own, each with its check."""
    if not proposals:
        return []
    try:
        with tempfile.TemporaryDirectory() as name:
            wrong, verdicts = _run(proposals, Path(name))
    except DataError as early:  # one that ends the compiler stops no other
        if len(proposals) == 1:
            return [_stopped(proposals[0], "parses", f"The patch does not compile ({early}).")]
        half = len(proposals) // 2
        return _executed(proposals[:half]) + _executed(proposals[half:])
    return [
        _stopped(one, "parses", f"The patch does not compile ({wrong[number]}).")
        if number in wrong
        else _behaved(one, verdicts[number])
        for number, one in enumerate(proposals)
    ]


def _run(proposals: Sequence[Proposal], into: Path) -> tuple[dict[int, str], dict[int, Outcome]]:
    """(number -> its first error, number -> its verdict): each patch has one of the two."""
    sources = harness_sources()
    for number, one in enumerate(proposals):
        sources |= _pair(number, one)
    errors = compile_java(sources, into)
    wrong = {}
    for file, error in errors.items():
        if not (place := re.fullmatch(r"p(\d+)/\w+\.java", file)):
            raise WorkbenchError(f"{file} of data/skipanalyzer does not compile ({error}): restore it from git")
        wrong.setdefault(int(place[1]), error)
    right = [number for number in range(len(proposals)) if number not in wrong]
    checks = [Check(f"p{number}.Check", compiled_classes(into, f"p{number}")) for number in right]
    return wrong, dict(zip(right, run_checks(checks, into)))


def _behaved(one: Proposal, verdict: Outcome) -> Validation:
    if not verdict.ran:
        return _minimal(one, "compiles", f"The patch compiles; {verdict.why}.", ("behaves",))
    if not verdict.passed:
        return _stopped(one, "compiles", f"The patch fails its method's check: {verdict.why}.")
    note = "The patch passes its method's check"
    note += ", and answers a null input with null." if verdict.returned_null else "."
    return _minimal(one, "behaves", note, null=verdict.returned_null)


def _pair(number: int, one: Proposal) -> dict[str, str]:
    """The class with the patch, and its check beside it: two files of a package of their own."""
    package = f"package p{number};\n"
    shadows = "".join(f"import harness.{name};\n" for name in SHADOWS)
    kind = PurePosixPath(one.file).stem
    body = "".join(f"        {line}\n" for line in one.check.splitlines())
    check = (
        f"{package}import java.io.*;\nimport java.util.*;\nimport static harness.Expect.*;\n\nfinal class Check {{\n"
        f"    static void run() throws Throwable {{\n        {kind} f = new {kind}();\n{body}    }}\n}}\n"
    )
    return {
        f"p{number}/{kind}.java": f"{package}{shadows}{one.before}{one.patch}{one.after}",
        f"p{number}/Check.java": check,
    }
