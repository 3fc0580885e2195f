"""The last word on a proof: compiled from scratch, then judged by a process that reads what was compiled.

1. The tactics, the statement and what stands before it pass their filters (safety.py, allowed.py).
2. Fresh processes compile three files: the *proof*; the *reference*, the same file with the statement and no proof;
   and, where the file is a stranger's, the statement *alone*, behind the library's imports and nothing else.
3. A fresh process without Lean's front end (`judge`) reads the compiled files and adds everything that the proof rests
   on to an empty kernel. The theorem gets the reference's type and the proof's term.

In a Lake project the third step is another: a file of our own imports the compiled proof and asks for its axioms. Which
of this is trusted, and what was tried against it, stands in docs/security.md.
"""

import concurrent.futures
import itertools
import json
import re
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from .lean.allowed import header_end, variables_of
from .lean.engine import MEMORY_MB, LeanFailed, Library, imports_of, parse_messages
from .lean.lexical import NAME, tokens
from .lean.safety import refusal
from .lean.states import (
    Theorem,
    Verified,
    is_librarys,
    renamed,
    statement_head,
    statement_name,
    theorem_refusal,
    without_remarks,
)

ALLOWED_AXIOMS = frozenset({"propext", "funext"})
STOCK_AXIOMS = frozenset({"propext", "Classical.choice", "Quot.sound"})  # Lean's own, in a Lake project
PLACEHOLDER = " :=\n  _root_.sorryAx _ _root_.Bool.false\n"
ALONE = "workbench_judged"  # the statement's name where it stands alone: its own could be taken there
_JUDGE = "import sys; sys.path.append(sys.argv[1]); from judge.verdict import main; main()"


def verify(library: Library, theorem: Theorem, script: tuple[str, ...], *, timeout: float = 120.0) -> Verified:
    """Check a proof from scratch.

    Returns
    -------
    Verified
        ``ok`` only when the file compiles without an error and the kernel, in another process, accepts the theorem from
        what was compiled, with no axiom but {propext, funext}; in a Lake project, Lean's own {propext,
        Classical.choice, Quot.sound}.
    """
    began = time.perf_counter()

    def no(message: str, axioms: tuple[str, ...] = ()) -> Verified:
        return Verified(False, axioms, message, time.perf_counter() - began)

    for tactic in script:
        reason = refusal(tactic)
        if reason:
            return no(f"refused: {reason}")
    reason = theorem_refusal(library, theorem)
    if reason:
        return no(reason)
    theorem = without_remarks(library, theorem)
    with tempfile.TemporaryDirectory(prefix="workbench-lean-") as scratch:
        folder = Path(scratch)
        try:
            if library.engine.kind == "lake":
                return _ask_lake(library, theorem, script, folder, timeout, began)
            return _judge(library, theorem, script, folder, timeout, began)
        except LeanFailed as error:
            return no(f"Lean could not check it: {error}")


def _texts(library: Library, theorem: Theorem, script: tuple[str, ...]) -> dict[str, str]:
    """What is compiled: the proof, the reference and, for a stranger's file, the statement alone."""
    texts = {
        "proof": theorem.document(script),
        "reference": f"{theorem.preamble}{theorem.statement}{PLACEHOLDER}",
    }
    if not is_librarys(library, theorem):
        # the library alone: imports, and the names opened before anything is declared
        header = header_end(theorem.preamble)
        lines = [line for line in theorem.preamble[header:].split("\n") if line.strip()]
        rest = [line for line in lines if not line.startswith("set_option")]
        opened = itertools.takewhile(re.compile(r"(?:open|universe) [\w. ]+$").match, rest)
        head = [theorem.preamble[:header], "set_option autoImplicit false", *opened]
        if theorem.preamble.split() != " ".join(head).split():
            texts["plain"] = "\n".join(head) + f"\n{renamed(theorem.statement, ALONE)}{PLACEHOLDER}"
    return texts


def _judge(library: Library, theorem: Theorem, script: tuple[str, ...], folder: Path, timeout: float, began: float):
    texts = _texts(library, theorem, script)
    with concurrent.futures.ThreadPoolExecutor(len(texts)) as pool:
        jobs = {name: pool.submit(_compile, library, folder / name, text, timeout) for name, text in texts.items()}
        compiled = {name: job.result() for name, job in jobs.items()}

    def answer(ok: bool, message: str, told: dict | None = None) -> Verified:
        told = told or {}
        return Verified(ok, tuple(told.get("axioms", ())), message, time.perf_counter() - began,
                        told.get("statement", ""), tuple(told.get("own", ())), trusted)  # fmt: skip

    trusted = tuple(name for name in library.modules if name in library.imported(theorem.preamble))
    for name in ("proof", "reference"):
        if compiled[name]:
            return answer(False, compiled[name])
    request = {
        "library": [str(library.compiled(name)) for name in trusted],
        "others": [str(library.compiled(name)) for name in library.modules if name not in trusted],
        "reference": str(folder / "reference" / "Check.olean"),
        "proof": str(folder / "proof" / "Check.olean"),
        # a statement that needs what its file declares means nothing without it; then its own names are shown
        "plain": str(folder / "plain" / "Check.olean") if compiled.get("plain", "no") is None else None,
        "trusted_file": is_librarys(library, theorem),
        "variables": variables_of(theorem.preamble),
        "bracketed": _bracketed(theorem.statement),
        "words": [token.text for token in tokens(theorem.statement) if token.kind == NAME],
        "engine": library.engine.variables["WORKBENCH_LEAN_LIBRARY"],
        "allowed": sorted(ALLOWED_AXIOMS),
    }
    told = _ask_judge(request, timeout)
    message = told["message"]
    if told["ok"] and told["own"]:
        message = f"accepted; the statement rests on what its file declares: {', '.join(told['own'])}"
    return answer(told["ok"], message, told)


def _bracketed(statement: str) -> list[str]:
    """The names in square brackets of a statement, where its hypotheses of classes stand."""
    found, depth = [], 0
    for token in tokens(statement):
        depth += (token.text == "[") - (token.text == "]")
        if depth and token.kind == NAME:
            found.append(token.text)
    return found


def _compile(library: Library, folder: Path, text: str, timeout: float) -> str | None:
    """Compile one file into ``folder``/Check.olean; the first error, None where there is none."""
    folder.mkdir()
    (folder / "Check.lean").write_text(text, encoding="utf-8")
    arguments = ["--json", "-M", str(MEMORY_MB), "-R", str(folder), "-o", str(folder / "Check.olean"),
                 str(folder / "Check.lean")]  # fmt: skip
    lake = library.engine.kind == "lake"
    done = library.engine.lean(arguments, folder=library.root if lake else folder, search_path=library.build,
                               timeout=timeout)  # fmt: skip
    errors = [one.text for one in parse_messages(done.stdout) if one.severity == "error"]
    if errors:
        return errors[0]
    if done.returncode:
        return f"Lean ended with code {done.returncode} and no error ({done.stderr.strip()[-300:] or 'silent'})"
    return None


def _ask_judge(request: dict, timeout: float) -> dict:
    """The verdict of a process of its own on compiled files."""
    command = [sys.executable, "-I", "-S", "-c", _JUDGE, str(Path(__file__).parent)]
    try:
        done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, timeout=timeout,
                              check=False)  # fmt: skip
        told = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise LeanFailed(f"the kernel did not come to an end within {timeout:g} s; allow more (timeout=…)") from error
    except ValueError as error:
        raise LeanFailed(
            f"the process that asks the kernel ended with code {done.returncode} and no verdict "
            f"({done.stderr.strip()[-300:] or 'silent'})"
        ) from error
    return told


# --------------------------------------------------------------------------------------------------- in a Lake project
def _ask_lake(library: Library, theorem: Theorem, script: tuple[str, ...], folder: Path, timeout: float, began: float):
    """The verdict in a Lake project: the proof is compiled, then asked about from a file of our own that imports it."""
    trusted = tuple(dict.fromkeys(imports_of(theorem.preamble)))

    def answer(ok: bool, message: str, axioms: tuple[str, ...] = (), statement: str = "") -> Verified:
        return Verified(ok, axioms, message, time.perf_counter() - began, statement, (), trusted)

    # asked for by a name that no text can hold: another theorem may have the one that the file's layout shows
    fresh = f"judged_{secrets.token_hex(8)}"
    text = renamed(theorem.statement, fresh)
    written = statement_head(theorem.statement)
    theorem = replace(theorem, statement=text, name=".".join([*theorem.name.split(".")[:-1], fresh]))
    script = tuple(
        "".join(statement_head(text) if token.text == written else token.text for token in tokens(tactic))
        for tactic in script
    )
    wrong = _compile(library, folder / "proof", theorem.document(script), timeout)
    if wrong:
        return answer(False, wrong)
    name = statement_name(theorem)
    question = folder / "Question.lean"
    head = "prelude\n" if theorem.preamble.startswith("prelude") else ""
    head += "import Check\nset_option pp.fullNames true\nset_option pp.explicit true\n"
    question.write_text(f"{head}#check @{name}\n#print axioms {name}\n", encoding="utf-8")
    first = head.count("\n") + 1  # the line of the first of our two questions
    done = library.engine.lean(["--json", str(question)], folder=library.root, search_path=folder / "proof",
                               timeout=timeout)  # fmt: skip
    said = parse_messages(done.stdout)
    errors = [one.text for one in said if one.severity == "error"]
    if errors or done.returncode:
        return answer(False, errors[0] if errors else f"Lean ended with code {done.returncode} on our question")
    last = [one.text for one in said if one.line == first + 1]
    if len(last) != 1:
        return answer(False, f"expected one answer about axioms, got {len(last)}")
    found = re.search(r"depends on axioms: \[(.*)\]", last[0], re.DOTALL)
    axioms = tuple(one.strip() for one in found[1].split(",")) if found else ()
    if not found and "does not depend on any axioms" not in last[0]:
        return answer(False, f"Lean's answer about axioms was not understood: {last[0][:200]}")
    extra = sorted(set(axioms) - STOCK_AXIOMS)
    if extra:
        return answer(False, f"the proof uses axioms that are not allowed: {', '.join(extra)}", axioms)
    statement = next((one.text for one in said if one.line == first), "")
    return answer(True, "accepted", axioms, statement)
