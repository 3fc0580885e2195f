"""From a compiled library to a corpus: what each file defines, what each proof names, the state around each step.

Names come from the .ilean files that Lean writes while compiling (every identifier it resolved, with its place), steps
from the layout (source.py), states from replaying the steps in a `Session`. What Lean does not record is not traced:
lemmas of the default simp set, instances, and other uses that no word of the proof stands for.
"""

import json
import os
import re
from pathlib import Path

from ....bars import tqdm
from ....data import folder
from ....errors import DataError, WorkbenchError
from ..lean.engine import Library, imports_of, open_library
from ..lean.session import Session
from ..lean.source import Proof, Step, assignment, proofs
from ..lean.states import LeanError, ProofFinished, TacticState
from .corpus import Corpus, File, Premise, Tactic, TracedTheorem, Use, load_corpus

_KIND = re.compile(
    r"^(?:@\[[^\]]*\]\s*)*(?:(?:private|protected|noncomputable|public|unsafe|partial|set_option \S+ \S+ in)\s+)*"
    r"(theorem|lemma|def|abbrev|instance|inductive|structure|class inductive|class|axiom|opaque|constructor)\b"
)
_MACHINERY = re.compile(r":\s*(?:Parser|TrailingParser)Descr\b|:\s*Macro\b|:\s*Unexpander\b|\"l_Lean_")
FINISHED = "no goals"  # what LeanDojo writes for the state after the last tactic


def trace(library: Library | str | os.PathLike | None = None, *, modules: tuple[str, ...] | None = None,
          states: bool = True, progress: bool = False) -> Corpus:  # fmt: skip
    """Trace a library.

    Parameters
    ----------
    library : Library or folder, optional
        None: the project's own.
    modules : tuple of str, optional
        Only these modules' theorems are traced; premises are always those of all files.
    states : bool
        False leaves the states empty and needs no session (seconds instead of minutes).

    Raises
    ------
    WorkbenchError
        A proof does not replay: the step and Lean's message are named.
    """
    library = library if isinstance(library, Library) else open_library(library)
    paths = {module: library.path(module).relative_to(library.root).as_posix() for module in library.modules}
    references = {module: _references(library, module) for module in library.modules}
    files, defined = [], {}
    for module in library.modules:
        premises = _premises(library.source(module), paths[module], references[module])
        defined.update({premise.full_name: premise for premise in premises})
        direct = tuple(paths[name] for name in imports_of(library.source(module)) if name in paths)
        files.append(File(paths[module], direct, tuple(premises)))
    wanted = [
        (module, proof)
        for module in library.modules
        if modules is None or module in modules
        for proof in proofs(library.source(module), module)
        if proof.steps
    ]
    theorems = []
    session = Session(library) if states else None
    try:
        for module, proof in tqdm(wanted, desc="tracing proofs", unit="theorem", disable=not progress):
            source = library.source(module)
            before_after = _replay(session, proof) if session else [("", "")] * len(proof.steps)
            uses = _uses(references[module], defined)
            lines = source.split("\n")
            tactics = tuple(
                _tactic(step, lines, uses, *around) for step, around in zip(proof.steps, before_after, strict=True)
            )
            end = (proof.end, len(lines[proof.end - 1]) + 1)
            theorems.append(TracedTheorem(paths[module], proof.theorem.name, (proof.theorem.line, 1), end, tactics))
    finally:
        if session:
            session.close()
    return Corpus(tuple(files), tuple(theorems))


def own_corpus() -> Corpus:
    """The trace of the project's own library that is kept in data/reprover/trace (tests replay and compare it)."""
    return load_corpus(folder("reprover") / "trace")


def _replay(session: Session, proof: Proof) -> list[tuple[str, str]]:
    state = session.open(proof.theorem)
    around = []
    for number, step in enumerate(proof.steps, 1):
        if not isinstance(state, TacticState):
            break
        after = session.run_tac(state, step.tactic)
        around.append((state.pp, FINISHED if isinstance(after, ProofFinished) else getattr(after, "pp", "")))
        state = after
        if isinstance(after, LeanError):
            raise WorkbenchError(
                f"{proof.theorem.name}, step {number} ({step.tactic!r}) does not replay: {after.message[:300]}"
            )
    if not isinstance(state, ProofFinished) or len(around) != len(proof.steps):
        raise WorkbenchError(f"{proof.theorem.name} is not finished by its {len(proof.steps)} steps: {state!r:.300}")
    return around


# ------------------------------------------------------------------------------------------------------ what Lean knows
def _references(library: Library, module: str) -> dict:
    compiled = library.build or library.root / ".lake" / "build" / "lib" / "lean"
    path = Path(compiled) / (module.replace(".", "/") + ".ilean")
    if not path.is_file():
        raise DataError(f"{path} is missing; compile the project first (lake build)")
    told = json.loads(path.read_text(encoding="utf-8"))
    names = {key: json.loads(key).get("c", {}).get("n") for key in told["references"]}
    found = {name: told["references"][key] for key, name in names.items() if name}
    return {"references": found, "decls": told.get("decls", {})}


def _premises(source: str, path: str, told: dict) -> list[Premise]:
    lines = source.split("\n")
    found = []
    for name, value in told["references"].items():
        place = value["definition"]
        if not place:
            continue
        first, last = _block(lines, place[0])
        text = "\n".join(lines[first : last + 1]).strip()
        kind = _KIND.match(text)
        if kind is None or _MACHINERY.search(text) or name.startswith("Lean.") or "unsafe " in text.split("\n")[0]:
            continue
        word, code = kind[1], text
        inside = not re.search(
            rf"\b{re.escape(word)}\s+(?:_root_\.)?\S*$", lines[place[0]][: _column(lines, place[0], place[1])]
        )
        if inside and word in ("inductive", "structure", "class"):
            # a constructor or a field: its own line
            word, code = ("constructor" if word == "inductive" else "field"), lines[place[0]].strip()
            start, end = (
                (place[0] + 1, _column(lines, place[0], place[1]) + 1),
                (place[2] + 1, _column(lines, place[2], place[3]) + 1),
            )
        elif inside and word not in ("instance",):
            continue  # a local name of a proof or of a definition
        else:
            start, end = (first + 1, 1), (last + 1, len(lines[last]) + 1)
            if word in ("theorem", "lemma"):
                code = text[: assignment(text)].rstrip()
        found.append(Premise(name, path, code, start, end, word))
    return sorted(found, key=lambda premise: (premise.start, premise.end, premise.full_name))


def _block(lines: list[str], at: int) -> tuple[int, int]:
    """First and last line of the declaration that line ``at`` belongs to: from a line in column 1 up to the next."""
    first = at
    while first and (not lines[first].strip() or lines[first][0] in " |)"):
        first -= 1
    last = at
    while last + 1 < len(lines) and (not lines[last + 1].strip() or lines[last + 1][0] in " |)"):
        last += 1
    while last > first and not lines[last].strip():
        last -= 1
    return first, last


def _column(lines: list[str], line: int, units: int) -> int:
    """A column in UTF-16 units as a column in characters."""
    return len(lines[line].encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore"))


def _uses(told: dict, defined: dict[str, Premise]) -> list[tuple[int, int, int, int, Premise]]:
    places = []
    for name, value in told["references"].items():
        if name in defined:
            places += [(*use[:4], defined[name]) for use in value["usages"]]
    return sorted(places, key=lambda use: (use[:4], use[4].full_name))


def _tactic(step: Step, lines: list[str], uses: list, before: str, after: str) -> Tactic:
    shown = step.tactic.split("\n")
    first = step.first - 1
    head = re.split(r"\s\?_|\swith \|", shown[0])[0]
    at = max(lines[first].rfind(head), 0)
    named, marks = [], []
    for line, column, end_line, end_column, premise in uses:
        if not first <= line <= step.last - 1:
            continue
        left, right = _column(lines, line, column), _column(lines, end_line, end_column)
        if (line == first and left < at) or _is_pattern(lines[line][:left], premise):
            continue
        named.append(Use(premise.full_name, premise.path, premise.start, premise.end))
        row = line - first
        if row < len(shown) and line == end_line:
            # the step's text was moved to the left by this much
            moved = at if row == 0 else _lead(lines[line]) - _lead(shown[row])
            if shown[row][left - moved : right - moved] == lines[line][left:right]:
                marks.append((row, left - moved, right - moved))
    for row, left, right in sorted(set(marks), reverse=True):
        shown[row] = f"{shown[row][:left]}<a>{shown[row][left:right]}</a>{shown[row][right:]}"
    return Tactic(step.tactic, "\n".join(shown), tuple(dict.fromkeys(named)), before, after)


def _lead(text: str) -> int:
    return len(text) - len(text.lstrip())


def _is_pattern(before: str, premise: Premise) -> bool:
    """Whether the use is the constructor of a match arm (``| zero => …``), which is no choice of the prover."""
    return premise.kind == "constructor" and bool(re.search(r"\|\s*@?\.?$", before))
