"""Other people's labelled methods, by path: NIST's Juliet for Java, and the tests of Infer.

Both say in comments and in names which method is the bad one, so both are anonymised (`telltale`). Juliet says it in
modifiers too (its good methods are private), and the analyser's own certainty says it once more: `juliet_controls`
prints what these two rules alone reach. A filter that is no better has learnt nothing from Juliet.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...errors import DataError
from ...readers import locate
from ...stats import auroc_of
from .analysers import KINDS
from .filters import Case
from .sarif import Finding
from .sources import Method, parse_methods, read_java, scan
from .telltale import anonymise

_JULIET = re.compile(r"^(CWE\d+_\w+?)__(?P<functional>\w+)_(?P<flow>\d+)[a-z]?$")  # a test's class: …__Integer_52b
_NAMED = re.compile(r"^bad|^good.")  # bad, badSink, goodG2B1 …; good alone only calls the others
_MODIFIERS = re.compile(r"^(?:(?:public|protected|private|static|final)\s+)+")
_FALSE = re.compile(r"(^|_)FP(_|$)|(?:Ok|OK|Good)(_FP)?$")  # Infer's tests: FP_name, name_FP, nameOk


@dataclass(frozen=True)
class Labelled:
    """A warned method of a public test suite.

    Attributes
    ----------
    case : Case
        Without comments, telltale names and modifiers of access.
    rule : str
        Of the warning; empty where none was given.
    private : bool
    sure : bool
        Whether the analyser called it certain.
    functional : str
        What the test is about, which is another way to group them; empty if unknown.
    """

    case: Case
    rule: str = ""
    private: bool = False
    sure: bool = False
    functional: str = ""


def plain(method: Method) -> str:
    """A method's text without comments, names that tell, and modifiers of access."""
    (text,) = anonymise([method.text]).code
    return _MODIFIERS.sub("", text)


def read_juliet(folder: str | os.PathLike, findings: Iterable[Finding] | None = None) -> list[Labelled]:
    """The bad and good methods of Juliet's test cases for Java; the group is the flow variant.

    Parameters
    ----------
    folder : folder
        With classes called ``CWE476_NULL_Pointer_Dereference__Integer_01`` at any depth.
    findings : iterable of Finding, optional
        An analyser's warnings of this folder (`analyse`, `read_sarif`): only warned methods are given then.

    Raises
    ------
    DataError
        No such folder, or no test case in it.
    """
    warned: dict[str, list[Finding]] = {}
    for one in findings or ():
        if one.rule in KINDS and one.line:
            warned.setdefault(one.file, []).append(one)
    found, cases = [], 0
    for source in scan(locate(folder, folder=True)):
        name = _JULIET.match(source.file.rpartition("/")[2].removesuffix(".java"))
        if not name:
            continue
        cases += 1
        for method in source.methods:
            told = [one for one in warned.get(source.file, ()) if method.start <= one.line <= method.end]
            if not _NAMED.match(method.name) or (findings is not None and not told):
                continue
            first = told[0] if told else None
            found.append(Labelled(
                Case(f"{source.file}:{method.name}", name["flow"], plain(method), method.name.startswith("bad")),
                first.rule if first else "", "private" in method.modifiers,
                bool(first) and not first.rule.startswith("potential"), name["functional"],
            ))  # fmt: skip
    if not cases:
        raise DataError(f"{folder} holds no test case of Juliet: name the folder of one weakness, or of all")
    return found


def juliet_controls(rows: Sequence[Labelled]) -> list[dict]:
    """What two one-line rules reach on Juliet: a row each with its AUROC, intervals over flow variants."""
    real, groups = [row.case.real for row in rows], [row.case.group for row in rows]
    scores = {
        "is not private": [float(not row.private) for row in rows],
        "the analyser calls it certain": [float(row.sure) for row in rows],
    }
    return [{"scorer": name, "AUROC": auroc_of(values, real, groups)} for name, values in scores.items()]


def read_infer_tests(folder: str | os.PathLike) -> list[Labelled]:
    """The methods that Infer's own tests expect a warning of; the group is the file.

    A warning is called false by the method's name: ``FP_nameOk``, ``name_FP``.

    Parameters
    ----------
    folder : folder
        With Java files and their ``issues.exp``, such as infer/tests/codetoanalyze/java/pulse.

    Raises
    ------
    DataError
        No issues.exp, or none of its warnings is about a method that is there.
    """
    place = locate(folder, folder=True)
    try:
        lines = (place / "issues.exp").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read issues.exp in {folder} ({error}): name a folder of Infer's tests") from error
    found: dict[str, Labelled] = {}
    known: dict[str, tuple[Method, ...]] = {}
    for line in lines:  # file, package.Class.method(types):type, line in it, RULE, bucket, severity, [trace]
        told = re.match(r"([^,]+), ([^(]+)\((.*?)\):[^,]*, \d+, (\w+),", line)
        if not told or told[4] not in KINDS:
            continue
        file, name, rule = told[1].rpartition("/")[2], told[2].rpartition(".")[2], told[4]
        parameters = told[3].count(",") + 1 if told[3] else 0
        if file not in known:
            path = place / file
            known[file] = parse_methods(read_java(path), file) if path.is_file() and not path.is_symlink() else ()
        owner = told[2].rpartition(".")[0].rpartition(".")[2].replace("$", ".")
        for method in known[file]:
            if (method.name, method.type, len(method.parameters)) == (name, owner, parameters):
                case = Case(f"{file}:{owner}.{name}:{method.start}", file, plain(method), not _FALSE.search(name))
                found.setdefault(case.id, Labelled(case, rule, "private" in method.modifiers))
    if not found:
        raise DataError(f"none of the warnings of {folder}/issues.exp is about a method there: is it the whole folder?")
    return list(found.values())
