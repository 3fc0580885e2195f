"""Flips as text: what a person types, what a prompt holds, what a model writes. Inside, strings of H and T.

0 is Heads and 1 is Tails, everywhere.
"""

import re
from dataclasses import dataclass

from ...errors import UsageError
from .alphabets import get_alphabet

_NAMES = {"h": "H", "heads": "H", "head": "H", "0": "H", "t": "T", "tails": "T", "tail": "T", "1": "T"}


def parse_flips(text: str, alphabet: str = "words") -> str:
    """Any usual way of writing flips as a string of H and T.

    "HTHT", "hthh", "0101" (0 is Heads), "Heads, Tails", "[H, T]" and mixtures of commas, spaces and line ends are read;
    the empty text is no flips. The symbols of an ``alphabet`` of one's own are read too, and come first.

    Raises
    ------
    UsageError
        A piece that is neither Heads nor Tails; it is named with its place.
    """
    if not isinstance(text, str):
        raise UsageError(f"flips must be text such as HTHT or 0101, but got {type(text).__name__} {text!r}: quote it")
    names = get_alphabet(alphabet)
    known = _NAMES | {names.heads.lower(): "H", names.tails.lower(): "T"}
    flips: list[str] = []
    for piece in re.findall(r"[^\s,;\[\]]+", text):
        word = piece.lower()
        letters = [known[word]] if word in known else [known.get(letter) for letter in word]
        if None in letters:
            wrong = piece if len(piece) <= 20 else piece[:20] + "…"
            raise UsageError(
                f"flip {len(flips) + letters.index(None) + 1} in {wrong!r} is neither Heads nor Tails: "
                "write H and T, 0 (Heads) and 1 (Tails), or Heads, Tails"
            )
        flips.extend(letters)
    return "".join(flips)


def as_digits(flips: str) -> str:
    """ "HT" as "01": the way concepts are named."""
    return parse_flips(flips).replace("H", "0").replace("T", "1")


def repeat_concept(concept: str, n: int) -> str:
    """The first ``n`` flips of a word repeated for ever: repeat_concept("01", 5) is "HTHTH".

    Raises
    ------
    UsageError
        The word is empty or not made of flips, or ``n`` is negative.
    """
    word = parse_flips(concept)
    if not word or n < 0:
        raise UsageError(f"a concept is a word of at least one flip and n at least 0, but got {concept!r} and n={n}")
    return (word * (n // len(word) + 1))[:n]


def random_flips(n: int, seed: int, *, p_tails: float = 0.5) -> str:
    """``n`` independent flips of a coin, drawn from numpy's generator of that seed."""
    import numpy as np

    return "".join("T" if tails else "H" for tails in np.random.default_rng(seed).random(n) < p_tails)


def write_flips(flips: str, alphabet: str = "words", *, comma: bool = True) -> str:
    """Flips as a prompt holds them: "Heads, Tails," (``comma``: with the trailing one)."""
    names = get_alphabet(alphabet)
    text = ", ".join(names.heads if flip == "H" else names.tails for flip in flips)
    return text + "," if text and comma else text


def read_flips(text: str, alphabet: str = "words") -> tuple[str, bool]:
    """The flips a model wrote, up to the first thing that is not one.

    Returns
    -------
    flips : str
        H and T.
    clean : bool
        Whether nothing but flips, commas, spaces and a closing bracket was read; a cut last word is forgiven.
    """
    names = get_alphabet(alphabet)
    letters = {names.heads.lower(): "H", names.tails.lower(): "T"}
    body, bracket, _ = text.partition("]")
    pieces = [piece.strip().lower() for piece in body.split(",")]
    flips = ""
    for place, piece in enumerate(pieces, 1):
        if piece not in letters:
            cut = not bracket and any(name.startswith(piece) for name in letters)
            return flips, place == len(pieces) and (piece == "" or cut)
        flips += letters[piece]
    return flips, True


@dataclass(frozen=True)
class Preset:
    """A sequence to begin with; ``random``: drawn at random, or not, or None where that is the question."""

    name: str
    flips: str
    about: str
    random: bool | None


def presets() -> list[Preset]:
    """The sequences of data/randomness/presets.jsonl, in the order of the file."""
    from ...data import rows

    return rows("randomness/presets.jsonl", Preset)
