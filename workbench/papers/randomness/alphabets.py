"""How the two flips are written: words, digits, or two symbols of one's own."""

import re
from dataclasses import dataclass

from ...errors import UsageError


@dataclass(frozen=True)
class Alphabet:
    """How the two flips are written. ``letters`` are what a next token must begin with to count (card: h and t)."""

    heads: str
    tails: str
    letters: tuple[str, str]


ALPHABETS = {  # everywhere here 0 is Heads and 1 is Tails
    "words": Alphabet("Heads", "Tails", ("h", "t")),
    "digits": Alphabet("0", "1", ("0", "1")),
}


def get_alphabet(alphabet: str) -> Alphabet:
    """The alphabet of that name, or the two symbols "first,second" of one's own; anything else is one sentence."""
    if alphabet in ALPHABETS:
        return ALPHABETS[alphabet]
    names = [name.strip() for name in alphabet.split(",")]
    if len(names) == 1:
        wrong = f"alphabet {alphabet!r} is unknown: choose words (Heads, Tails) or digits (0, 1)"
        raise UsageError(f"{wrong}, or give two symbols of your own, such as Kopf,Zahl")
    if len(names) != 2 or not all(re.fullmatch(r"[^\[\]{}\x00-\x1f]{1,40}", name) for name in names):
        raise UsageError(f"alphabet {alphabet!r} is not two symbols such as Kopf,Zahl: give two, without brackets")
    letters = tuple(name.lower()[0] for name in names)  # in this order: a small İ is two characters
    if letters[0] == letters[1]:
        wrong = f"the symbols {names[0]} and {names[1]} begin with the same letter"
        raise UsageError(f"{wrong}: a model's next token must tell them apart, so give two that begin differently")
    return Alphabet(*names, letters)
