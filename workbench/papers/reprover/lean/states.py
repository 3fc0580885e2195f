"""What a session speaks of: theorems, states and verdicts; and which theorems may reach Lean at all."""

import re
from dataclasses import dataclass, field, replace

from .allowed import file_refusal, head_refusal
from .engine import Library
from .lexical import COMMENT, UNKNOWN, tokens, without_comments
from .safety import LONGEST, text_refusal

_NAME = r"(?:_root_\.)?[\w'!?«»]+(?:\.[\w'!?«»]+)*"
_HYPOTHESES = re.compile(r"^([^\W\d_][\w']*(?: [^\W\d_][\w']*)*) : (.*)$", re.MULTILINE)
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
    """The last word on a proof (last_word.py).

    Attributes
    ----------
    ok : whether the proof counts
    axioms : all axioms that it rests on
    message : "accepted", or why not
    seconds : wall seconds
    statement : the statement as it was elaborated: full names, every argument, nothing hidden
    own : what the file itself declares of that statement's meaning
    trusted : the compiled modules that were taken as they are; the file under judgement is not among them
    """

    ok: bool
    axioms: tuple[str, ...]
    message: str
    seconds: float
    statement: str = ""
    own: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()


def hypotheses(goal: str) -> list[tuple[str, str]]:
    """(name, statement) of each hypothesis of a goal as Lean prints it; those without a name (✝) are left out."""
    above = re.sub(r"\n +", " ", goal.split("⊢")[0])  # a long one goes on in indented lines
    return [(name, found[2]) for found in _HYPOTHESES.finditer(above) for name in found[1].split()]


def render(script: tuple[str, ...]) -> str:
    """The tactics as lines of a ``by`` block; further lines of a tactic keep their indentation below its first."""
    return "".join("  " + tactic.strip("\n").replace("\n", "\n  ") + "\n" for tactic in script)


def statement_refusal(statement: str) -> str | None:
    """Why a statement of one's own must not be given to Lean: it would leave its place, or cannot be asked about."""
    if len(statement) > LONGEST:
        return f"it has {len(statement):,} characters; at most {LONGEST:,} are allowed"
    head = _HEAD.match(statement)
    if head is None:
        return "it has no name"
    if "protected" in head["words"].split():
        return "the word 'protected' is not allowed in it"
    reason = head_refusal(statement[: head.start("name")], head["name"])
    if reason:
        return reason
    rest = re.sub(r"^\.\{[\w\s,']*\}", "", statement[head.end() :])
    reason = _hiding_comment(rest) or text_refusal(without_comments(rest) or " ", "in it")
    return reason or (None if rest.strip() else "it is empty")


def bare_statement(statement: str) -> str:
    """The statement without its comments: one at the end would swallow the ``:=`` that follows.

    One that could be taken for a part of it stays, and the statement is refused for it where it is opened.
    """
    return statement.strip() if _hiding_comment(statement) else without_comments(statement).strip()


def without_remarks(library: Library, theorem: Theorem) -> Theorem:
    """The theorem as Lean gets it: of a stranger's text no comment, so that nobody's idea of where one ends matters."""
    if is_librarys(library, theorem):
        return theorem
    preamble, statement = without_comments(theorem.preamble), without_comments(theorem.statement)
    return replace(theorem, preamble=preamble, statement=statement)


def renamed(statement: str, name: str) -> str:
    """The statement under another last part of its name, without attributes and modifiers."""
    head = _HEAD.match(statement)
    space, dot, _ = head["name"].rpartition(".")
    return f"theorem {space}{dot}{name}{statement[head.end() :]}"


def _hiding_comment(text: str) -> str | None:
    """A comment between the words of a statement may not look like a part of it."""
    for token in tokens(text):
        if token.kind == UNKNOWN and token.text.startswith("/-"):
            return "a comment in it is not closed"
        if token.kind == COMMENT and token.text.startswith("/-") and re.search(r"[:()\[\]{}⟨⟩]", token.text[2:-2]):
            return "a comment in it holds a bracket or a colon; take it out"
    return None


def preamble_refusal(library: Library, theorem: Theorem) -> str | None:
    """Why what stands before a theorem must not be given to Lean; None for the library's own text.

    The text before a theorem of the library is the library's; any other is a stranger's, and only what stands on the
    list of `allowed.file_refusal` may be in it.
    """
    if is_librarys(library, theorem):
        return None
    return file_refusal(theorem.preamble, library.resolves, prelude=library.engine.kind == "wheel")


def is_librarys(library: Library, theorem: Theorem) -> bool:
    """Whether a theorem and all that stands before it are, letter by letter, what its module of the library holds."""
    if theorem.module not in library.modules or not library.path(theorem.module).is_file():
        return False
    if library.engine.kind == "lake" and not library.resolves(theorem.module):
        return False  # the project's build does not know this file: it is no part of the library
    return library.source(theorem.module).startswith(theorem.preamble + theorem.statement)


def theorem_refusal(library: Library, theorem: Theorem) -> str | None:
    """Why a theorem must not be opened: its statement leaves its place, or its file holds what is not allowed."""
    if is_librarys(library, theorem):
        return None
    reason = statement_refusal(theorem.statement)
    if reason:
        return f"the statement is refused: {reason}"
    reason = preamble_refusal(library, theorem)
    return reason and f"the file is refused: {reason}"


def statement_name(theorem: Theorem) -> str:
    """The name that a question from outside the theorem's file asks for: the full one, read from the layout."""
    return f"_root_.{theorem.name.removeprefix('_root_.')}"


def statement_head(statement: str) -> str:
    """The name as it is written in a statement."""
    return _HEAD.match(statement)["name"]
