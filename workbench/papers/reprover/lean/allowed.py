"""What a theorem file that a stranger wrote may hold: an allow-list of headers, commands, attributes and options.

Nothing that changes how text is read or what code runs (parsers, macros, elaborators, notation, attributes that
register anything, compiled code) is on it, and no name below ``Lean``. A command begins in column 1 with one of
`COMMANDS`; what does not, and every token that is not understood, refuses the file. This is the first word on a file;
the last is `judge`, which reads what was compiled.
"""

import re
from collections.abc import Callable

from .lexical import CHARACTER, COMMENT, NAME, NUMBER, RAW, SIGN, SPACE, TEXT, UNKNOWN, Token, tokens
from .safety import OPENING, characters_refusal, word_refusal

DECLARATIONS = frozenset(
    {"theorem", "lemma", "def", "abbrev", "instance", "structure", "inductive", "class", "axiom", "example"}
)
MODIFIERS = frozenset(["private", "protected", "noncomputable"])
PLAIN = frozenset(["namespace", "section", "end", "open", "variable", "universe"])
COMMANDS = DECLARATIONS | MODIFIERS | PLAIN | {"set_option", "attribute"}
ATTRIBUTES = frozenset(
    {
        "simp", "reducible", "inline", "irreducible", "elab_as_elim", "refl", "symm", "trans", "ext",
        "congr", "instance", "gcongr", "norm_cast", "push_cast", "simps", "aesop",
    }
)  # fmt: skip
OPTIONS = re.compile(
    r"autoImplicit|relaxedAutoImplicit|maxRecDepth|maxHeartbeats|synthInstance\.(?:maxHeartbeats|maxSize)|linter\.[\w.]+|"
    r"pp\.[\w.]+"
)
ASKING = re.compile(r"#(?:check|print)\b")
# a word that is refused in tactics but has its place inside a declaration
INSIDE = frozenset(["where"])
_LINE_GOES_ON = "|)]}⟩:,"


def file_refusal(text: str, resolves: Callable[[str], bool], *, prelude: bool) -> str | None:
    """Why a file must not be given to Lean, as one clause with the line; None when it may.

    Parameters
    ----------
    resolves : callable
        Whether a name is that of a compiled module of the library: what the file may import.
    prelude : bool
        Whether it must begin with ``prelude`` and an import of the library, as files for the wheel's Lean do.
    """
    found = tokens(text)
    for token in found:
        reason = _token_refusal(token)
        if reason:
            return f"line {token.line + 1}: {reason}"
    code = [token for token in found if token.kind not in (SPACE, COMMENT)]
    at, reason = _header(code, resolves, prelude)
    bound: set[str] = set()
    while reason is None and at < len(code):
        stop = at + 1
        while stop < len(code) and not _begins(code[stop]):
            stop += 1
        reason = _command(code[at:stop])
        if prelude:
            reason = reason or _variables(code[at:stop], bound)
        if reason:
            reason = f"line {code[at].line + 1}: {reason}"
        at = stop
    return reason


def header_end(text: str) -> int:
    """Where the header of a file without comments ends: behind ``prelude`` and its imports."""
    at = stop = 0
    imported = False
    for token in tokens(text):
        at += len(token.text)
        if token.kind == SPACE:
            continue
        if not imported and token.text not in ("prelude", "import"):
            break
        imported, stop = token.text == "import", at
    return stop


def variables_of(text: str) -> list[str]:
    """The names that a file's ``variable`` commands bind, explicit ones and others."""
    code = [token for token in tokens(text) if token.kind not in (SPACE, COMMENT)]
    bound: set[str] = set()
    for at, token in enumerate(code):
        if token.text == "variable":
            _variables(code[at:], bound)
    return sorted(bound)


def _variables(code: list[Token], bound: set[str]) -> str | None:
    """Why a ``variable`` command is not allowed; the names that it binds go into ``bound``.

    Lean adds ``[C x]`` to every statement that mentions ``x``, and to all where it mentions nothing: a hypothesis that
    nobody reads there. So it may say of variables that they have a structure, and nothing else.
    """
    if not code or code[0].text != "variable":
        return None
    at = 1
    while at < len(code) and code[at].text in OPENING:
        stop, depth = at + 1, 1
        while stop < len(code) and depth:
            depth += (code[stop].text in OPENING) - (code[stop].text in OPENING.values())
            stop += 1
        inside = code[at + 1 : stop - 1]
        colon = next((n for n, token in enumerate(inside) if token.text == ":"), None)
        if code[at].text != "[":
            bound |= {token.text for token in inside[:colon] if token.kind == NAME}
        else:
            of = inside if colon is None else inside[colon + 1 :]
            if len(of) < 2 or of[0].kind != NAME or any(token.text not in bound for token in of[1:]):
                told = " ".join(token.text for token in inside)
                return f"[{told}] is no class of variables that were named before; write it into the statement"
        at = stop
    return None


def head_refusal(head: str, name: str) -> str | None:
    """Why what stands before a statement's name, and the name itself, are not allowed: attributes, modifiers, words."""
    reason = next(filter(None, map(_token_refusal, tokens(head + name))), None)
    code = [token for token in tokens(head) if token.kind not in (SPACE, COMMENT)]
    return reason or _command(code) or word_refusal(name, "in it")


def _token_refusal(token: Token) -> str | None:
    if token.kind == UNKNOWN:
        return f"{token.text[:20]!r} is no text of Lean's that is understood here"
    if token.kind in (SPACE, COMMENT):
        return None
    if token.kind in (RAW, CHARACTER):
        return f"a {token.kind} literal is not allowed in it"
    if token.kind == TEXT and "{" in token.text:
        return "a text with a brace, which could hold code, is not allowed in it"
    if "`" in token.text or token.text == "$":
        return "quotations (`, $) are not allowed in it"
    if token.kind == NAME and "«" in token.text:
        return "quoted names («») are not allowed in it"
    return characters_refusal(token.text, "in it")


def _begins(token: Token) -> bool:
    """Whether a token begins a command: it stands in column 1 and cannot go on with the line above."""
    return token.column == 0 and not (token.kind == SIGN and token.text in _LINE_GOES_ON)


def _header(code: list[Token], resolves: Callable[[str], bool], prelude: bool) -> tuple[int, str | None]:
    at = 0
    if code and code[0].text == "prelude":
        at = 1
    elif prelude:
        return 0, "the file does not begin with `prelude` and an import of the library"
    first = at
    while at < len(code) and code[at].text == "import":
        named = code[at + 1] if at + 1 < len(code) else None
        if named is None or named.kind != NAME:
            return at, "an import without a plain name"
        if not resolves(named.text):
            return at, f"line {named.line + 1}: it imports {named.text}, which is no module of the library"
        at += 2
    if at == first and prelude:
        return at, "the file does not begin with `prelude` and an import of the library"
    return at, None


def _command(code: list[Token]) -> str | None:
    """Why one command, from its first token to the next command's, is not allowed."""
    at, reason = _attributes(code)
    while reason is None and at < len(code) and code[at].text in MODIFIERS:
        at += 1
        if at == len(code):
            return None  # the declaration stands on the next line
    if reason or at == len(code):
        return reason
    word, rest = code[at].text, code[at + 1 :]
    if word == "#":
        word = "#" + (rest[0].text if rest and rest[0].column == code[at].column + 1 else "")
        return _words(rest[1:]) if ASKING.fullmatch(word) else f"the command {word} is not on the list"
    if word not in COMMANDS or code[at].kind != NAME:
        return f"the command {word!r} is not on the list"
    if word == "set_option":
        name = rest[0].text if rest else ""
        if not OPTIONS.fullmatch(name):
            return f"the option {name!r} is not on the list"
        ok = len(rest) == 2 and (rest[1].kind == NUMBER or rest[1].text in ("true", "false"))
        return None if ok else "set_option takes one name and true, false or a number"
    if word == "attribute":
        listed, reason = _attribute_list(rest, 0)
        return reason or _words(rest[listed:])
    if word == "open" and any(token.text == "in" for token in rest):
        return "`open … in` is not on the list; open the names in a line of their own"
    if word == "open" and any(token.text == "renaming" for token in rest):
        return "`open … renaming` is not on the list; open the names as they are"
    return _words(rest)


def _attributes(code: list[Token]) -> tuple[int, str | None]:
    at = 0
    while at + 1 < len(code) and code[at].text == "@" and code[at + 1].text == "[":
        at, reason = _attribute_list(code, at + 1)
        if reason:
            return at, reason
    return at, None


def _attribute_list(code: list[Token], at: int) -> tuple[int, str | None]:
    """``[simp, ext]`` from the bracket at ``at``: where it ends, and what is wrong with it."""
    if at >= len(code) or code[at].text != "[":
        return at, "attributes stand in square brackets"
    depth, first = 0, True
    while at < len(code):
        text = code[at].text
        depth += (text in "([") - (text in ")]")
        if depth == 0:
            return at + 1, None
        if first and depth == 1 and text != "[":
            if text not in ATTRIBUTES:
                return at, f"the attribute {text!r} is not on the list"
            first = False
        elif depth == 1 and text == ",":
            first = True
        elif depth == 1 and text not in "[]" and code[at].kind not in (NUMBER, NAME):
            return at, f"{text!r} is not allowed among attributes"
        elif (reason := _words(code[at : at + 2])) is not None:
            return at, reason
        at += 1
    return at, "attributes stand in square brackets"


def _words(code: list[Token]) -> str | None:
    """Words that would begin another command or run code, anywhere inside a command."""
    for number, token in enumerate(code):
        if token.text == "@" and code[number + 1 : number + 2] and code[number + 1].text == "[":
            return "attributes stand before a declaration, in column 1"
        if token.text == "#" and code[number + 1 : number + 2] and code[number + 1].kind == NAME:
            return f"the command #{code[number + 1].text} is not allowed there"
        if token.kind == NAME and token.text not in INSIDE:
            reason = word_refusal(token.text, "in it")
            if reason:
                return reason
        glued = code[number + 1] if number + 1 < len(code) else None
        if token.kind == NAME and glued is not None and glued.line == token.line and (
            glued.column == token.column + len(token.text) and glued.text == "%"
        ) and len(token.text) > 3:  # fmt: skip
            return f"the word {token.text}% is not allowed in it"
    return None
