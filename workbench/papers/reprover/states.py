"""What a session speaks of: theorems, states and verdicts; and the last word on a proof, a check from scratch."""

import re
from dataclasses import dataclass, field

from ...errors import DataError, UsageError
from .lean import LIBRARY, Checked, LeanFailed, Library
from .safety import LONGEST, refusal

ALLOWED_AXIOMS = frozenset({"propext", "funext"})
STOCK_AXIOMS = frozenset({"propext", "Classical.choice", "Quot.sound"})  # Lean's own, in a Lake project
# The kernel computes these on literals by machine arithmetic, and trusts that they mean what Init's mean. Those that
# Core has are Init's; of these the mini library has only Nat.pow, in POWERS. A file that declares one with another
# meaning could prove 4 = 2.
KERNEL_NAMES = (
    "Nat.pow", "Nat.div", "Nat.mod", "Nat.gcd", "Nat.log2", "Nat.land", "Nat.lor", "Nat.xor", "Nat.shiftLeft",
    "Nat.shiftRight", "Lean.reduceBool", "Lean.reduceNat",
)  # fmt: skip
POWERS = "Mini.Mul"
_NAME = r"(?:_root_\.)?[\w'!?«»]+(?:\.[\w'!?«»]+)*"
_HEAD = re.compile(rf"\s*(?:@\[[^\]]*\]\s*)?(?P<words>(?:\w+\s+)*?)(?:theorem|lemma)\s+(?P<name>{_NAME})")


@dataclass(frozen=True)
class Theorem:
    """A theorem to be proved: everything before it in its file, and its statement up to and without ``:=``.

    Attributes
    ----------
    name : full name
    module : the module it stands in, "" for one of the user's own
    preamble : text of the file before the statement (header, imports, earlier declarations)
    statement : ``theorem NAME (…) : …``
    line : first line of the statement in its file, from 1
    """

    name: str
    module: str
    preamble: str = field(repr=False)
    statement: str
    line: int = 0

    def document(self, script: tuple[str, ...]) -> str:
        """The whole file with this script as the proof."""
        return f"{self.preamble}{self.statement} := by\n{render(script)}"


@dataclass(frozen=True)
class TacticState:
    """Goals that remain, each as Lean prints it, the first is the one the next tactic works on."""

    theorem: Theorem
    script: tuple[str, ...]
    goals: tuple[str, ...]

    @property
    def pp(self) -> str:
        """All goals as one text: what LeanDojo calls the state."""
        return "\n\n".join(self.goals)


@dataclass(frozen=True)
class ProofFinished:
    """No goals are left; not yet recompiled from scratch (`verify` does that)."""

    theorem: Theorem
    script: tuple[str, ...]


@dataclass(frozen=True)
class LeanError:
    """The tactic failed, was refused or ran out of time; ``message`` is Lean's or the filter's own."""

    message: str


@dataclass(frozen=True)
class ProofGivenUp:
    """The tactic closed goals by `sorry`."""


@dataclass(frozen=True)
class Verified:
    """What a fresh process said of a found proof."""

    ok: bool
    axioms: tuple[str, ...]
    message: str
    seconds: float


def render(script: tuple[str, ...]) -> str:
    """The tactics as lines of a ``by`` block; further lines of a tactic keep their indentation below its first."""
    return "".join("  " + tactic.strip("\n").replace("\n", "\n  ") + "\n" for tactic in script)


def verify(library: Library, theorem: Theorem, script: tuple[str, ...], *, timeout: float = 120.0) -> Verified:
    """Check a proof from scratch: tactics pass the filter, a fresh Lean accepts, axioms are allowed.

    Returns
    -------
    Verified
        ``ok`` only when the file has no error, no use of sorry, and the theorem depends on nothing but
        {propext, funext}; in a Lake project, than Lean's own {propext, Classical.choice, Quot.sound}.
    """
    for tactic in script:
        reason = refusal(tactic)
        if reason:
            return Verified(False, (), f"refused: {reason}", 0.0)
    reason = None if theorem.module else statement_refusal(theorem.statement)
    if reason:
        return Verified(False, (), f"the statement is refused: {reason}", 0.0)
    text = theorem.document(script)
    if "skipKernelTC" in text:
        return Verified(False, (), "the file switches the kernel off (debug.skipKernelTC)", 0.0)
    if library.root == LIBRARY and not theorem.module:
        # an import right at the top: else `propext` and even `Nat` may be something else than those of Core
        header = re.match(r"prelude\s+(?:import\s+[\w.]+\s+)+", text)
        if header is None:
            return Verified(False, (), "the file does not begin with `prelude` and an import of the library", 0.0)
        names = KERNEL_NAMES[1:] if POWERS in library.imported(header[0]) else KERNEL_NAMES
        text += "".join(f"\ntheorem _root_.{name} : _root_.True := _root_.True.intro" for name in names)
    text += f"\nset_option pp.fullNames true in #print axioms {_asked_name(theorem)}\n"
    try:
        checked: Checked = library.engine.check(text, folder=library.root, search_path=library.build, timeout=timeout)
    except LeanFailed as error:
        return Verified(False, (), f"Lean could not check it: {error}", 0.0)
    if checked.errors:
        return Verified(False, (), checked.errors[0].text, checked.seconds)
    last = text.count("\n")  # a tactic may speak too (trace_state); the answer is what stands on our own line
    said = [m.text for m in checked.messages if m.severity == "information" and m.line == last]
    if len(said) != 1:
        return Verified(False, (), f"expected one answer about axioms, got {len(said)}", checked.seconds)
    found = re.search(r"depends on axioms: \[(.*)\]", said[0], re.DOTALL)
    axioms = tuple(name.strip() for name in found[1].split(",")) if found else ()
    if not found and "does not depend on any axioms" not in said[0]:
        return Verified(False, (), f"Lean's answer about axioms was not understood: {said[0][:200]}", checked.seconds)
    extra = sorted(set(axioms) - (STOCK_AXIOMS if library.engine.kind == "lake" else ALLOWED_AXIOMS))
    if extra:
        return Verified(
            False, axioms, f"the proof uses axioms that are not allowed: {', '.join(extra)}", checked.seconds
        )
    return Verified(True, axioms, "accepted", checked.seconds)


def _asked_name(theorem: Theorem) -> str:
    """How the question about axioms names the theorem: as its statement does, which means it wherever the file stands.

    Behind the theorem its namespace is still open, and there the name as it was written means nothing else. The full
    name is read from the layout alone, and could be another theorem's; only a protected one is asked for by it.
    """
    head = _HEAD.match(theorem.statement)
    return head["name"] if head and "protected" not in head["words"].split() else f"_root_.{theorem.name}"


def statement_refusal(statement: str) -> str | None:
    """Why a statement of one's own must not be given to Lean: it would leave its place, or cannot be asked about."""
    head = _HEAD.match(statement)
    if head is None:
        return "it has no name"
    if "protected" in head["words"].split():
        return "the word 'protected' is not allowed in it"
    if len(statement) > LONGEST:
        return f"it has {len(statement):,} characters; at most {LONGEST:,} are allowed"
    reason = refusal(re.sub(r"^\.\{[\w\s,']*\}", "", statement[head.end() :]) or " ")
    return reason and reason.replace("in a tactic", "in it").replace("the tactic", "it")


def own_theorem(
    statement: str, *, imports: tuple[str, ...] = ("Mini.Algebra",), opens: tuple[str, ...] = ()
) -> Theorem:
    """A theorem of one's own: ``theorem NAME (…) : …`` without ``:=``, in a file with these imports.

    Raises
    ------
    DataError
        The text is no statement. (One that would leave its place is refused where it is opened: `statement_refusal`.)
    """
    from .source import assignment

    named = re.match(r"\s*theorem\s+([\w']+(?:\.[\w']+)*)", statement)
    if not named or assignment(statement) is not None:
        raise DataError(
            f"{statement.strip()[:80]!r} is no statement; write: theorem NAME (x : T) : PROPOSITION, without `:=`"
        )
    header = "prelude\n" + "".join(f"import {name}\n" for name in imports)
    header += "set_option autoImplicit false\n" + "".join(f"open {name}\n" for name in opens)
    return Theorem(named[1], "", header, statement.strip(), header.count("\n") + 1)


def find_theorem(library: Library, name: str) -> Theorem:
    """A theorem of the library by its full name, with everything that stands before it in its file."""
    from .source import theorems

    for module in library.modules:
        for theorem in theorems(library.source(module), module):
            if theorem.name == name:
                return theorem
    raise UsageError(f"the library has no theorem {name!r}; `workbench.papers.reprover.corpus` lists them")
