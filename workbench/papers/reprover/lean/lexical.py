"""Lean's text in tokens: comments (nested ones too), texts, raw texts, characters, names with «», numbers, signs.

Enough of Lean's own rules to know what is code and what is not; what fits no rule is its own kind of token, `UNKNOWN`,
and whoever decides about a text refuses it.
"""

import re
import unicodedata
from dataclasses import dataclass

SPACE, COMMENT, TEXT, RAW, CHARACTER, NAME, NUMBER, SIGN, UNKNOWN = (
    "space", "comment", "text", "raw text", "character", "name", "number", "sign", "unknown",
)  # fmt: skip


_RAW = re.compile(r'r(#*)"')
_NUMBER = re.compile(r"0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*(?:[eE][0-9]+)?")


@dataclass(frozen=True)
class Token:
    """``text`` as it stands; ``line`` and ``column`` from 0."""

    kind: str
    text: str
    line: int
    column: int

    @property
    def parts(self) -> tuple[str, ...]:
        """A name's parts, without «»."""
        return tuple(_split(self.text)) if self.kind == NAME else ()


def is_letter(character: str) -> bool:
    """What a Lean name may begin with besides ``_``: letters, Greek ones but λ Π Σ, letterlike, mathematical ones."""
    code = ord(character)
    if code < 0x80:
        return character.isalpha()
    return (
        (0x391 <= code <= 0x3C9 and character not in "λΠΣ")
        or 0x3CA <= code <= 0x3FB
        or 0x1F00 <= code <= 0x1FFE
        or 0x2100 <= code <= 0x214F
        or 0x1D400 <= code <= 0x1D7CB
        or (0xC0 <= code <= 0x17F and character not in "×÷")
    )


def goes_on(character: str) -> bool:
    """What may follow inside a name."""
    code = ord(character)
    return (
        is_letter(character)
        or (code < 0x80 and (character.isalnum() or character in "_'!?"))
        or 0x2080 <= code <= 0x209C
        or 0x1D62 <= code <= 0x1D6A
        or code == 0x2C7C
    )


def tokens(text: str) -> list[Token]:
    """The whole text in tokens: put together they are the text."""
    found: list[Token] = []
    at = line = column = 0
    while at < len(text):
        kind, stop = _next(text, at)
        piece = text[at:stop]
        found.append(Token(kind, piece, line, column))
        if "\n" in piece:
            line, column = line + piece.count("\n"), len(piece) - piece.rindex("\n") - 1
        else:
            column += len(piece)
        at = stop
    return found


def without_comments(text: str, *, keep_length: bool = False) -> str:
    """The text with a space in place of each comment (``keep_length``: as many as it is long); lines stay lines."""
    found = []
    for token in tokens(text):
        if token.kind != COMMENT:
            found.append(token.text)
        elif keep_length:
            found.append("".join("\n" if character == "\n" else " " for character in token.text))
        else:
            found.append(" " + "\n" * token.text.count("\n"))
    return "".join(found)


def _next(text: str, at: int) -> tuple[str, int]:
    here, two = text[at], text[at : at + 2]
    if here in " \n":
        stop = at
        while stop < len(text) and text[stop] in " \n":
            stop += 1
        return SPACE, stop
    if two == "--":
        end = text.find("\n", at)
        return COMMENT, len(text) if end < 0 else end
    if two == "/-":
        return _block(text, at)
    if here == '"':
        return _text(text, at)
    raw = _RAW.match(text, at)
    if raw and (at == 0 or not goes_on(text[at - 1])):
        hashes = len(raw[1])
        end = text.find('"' + "#" * hashes, at + 2 + hashes)
        return (UNKNOWN, len(text)) if end < 0 else (RAW, end + 1 + hashes)
    if here == "'":
        if two == "''":
            return SIGN, at + 2
        return _character(text, at)
    if here == "«" or here == "_" or is_letter(here):
        return _name(text, at)
    if here.isascii() and here.isdigit():
        stop = at
        while stop < len(text) and text[stop].isascii() and (text[stop].isalnum() or text[stop] == "_"):
            stop += 1
        # Lean ends a number where its digits end: `1notation` is a number and a command
        return (NUMBER if _NUMBER.fullmatch(text, at, stop) else UNKNOWN), stop
    if here.isascii():
        return (SIGN, at + 1) if here.isprintable() else (UNKNOWN, at + 1)
    kind = unicodedata.category(here)
    if here == "⁻" and text[at : at + 3] == "⁻¹'":  # the preimage's sign
        return SIGN, at + 3
    return (SIGN if kind[0] in "SPLN" and kind != "Pd" else UNKNOWN), at + 1


def _block(text: str, at: int) -> tuple[str, int]:
    depth, stop = 0, at
    while stop < len(text):
        two = text[stop : stop + 2]
        if two == "/-":
            depth, stop = depth + 1, stop + 2
        elif two == "-/":
            depth, stop = depth - 1, stop + 2
            if depth == 0:
                return COMMENT, stop
        else:
            stop += 1
    return UNKNOWN, len(text)


def _text(text: str, at: int) -> tuple[str, int]:
    stop = at + 1
    while stop < len(text) and text[stop] != '"':
        stop += 2 if text[stop] == "\\" else 1
    return (TEXT, stop + 1) if stop < len(text) else (UNKNOWN, len(text))


def _character(text: str, at: int) -> tuple[str, int]:
    stop = at + 1
    if text[stop : stop + 1] == "\\":
        stop += 2
        while stop < len(text) and text[stop] != "'" and stop - at < 12:
            stop += 1
    else:
        stop += 1
    return (CHARACTER, stop + 1) if text[stop : stop + 1] == "'" else (UNKNOWN, at + 1)


def _name(text: str, at: int) -> tuple[str, int]:
    stop = at
    while True:
        if text[stop] == "«":
            end = text.find("»", stop)
            if end < 0 or "\n" in text[stop:end]:
                return UNKNOWN, len(text)
            stop = end + 1
        else:
            while stop < len(text) and goes_on(text[stop]):
                stop += 1
        after = text[stop + 1 : stop + 2]
        if text[stop : stop + 1] == "." and after and (after in "«_" or is_letter(after)):
            stop += 1
            continue
        return NAME, stop


def _split(name: str) -> list[str]:
    parts, at = [], 0
    while at < len(name):
        if name[at] == "«":
            end = name.index("»", at)
            parts.append(name[at + 1 : end])
            at = end + 2
        else:
            end = name.find(".", at)
            end = len(name) if end < 0 else end
            parts.append(name[at:end])
            at = end + 1
    return parts
