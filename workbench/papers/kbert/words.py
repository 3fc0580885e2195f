"""Words of a text, and their normal form: what a subject of the graph is compared by.

A word is a run of letters, digits and combining marks, or one CJK character, or one other sign. Two words are the same
if NFKC and case folding make them so (`normal`). White space never counts: "Tim Cook" is found across a line's end.
"""

import re
import unicodedata

# Han, kana and their extensions are written without spaces: each character is a word, as in BERT's own splitting
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_MARKS = "\u0300-\u036f"  # combining accents of decomposed text ("e" + U+0301) belong to their letter
WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}][^\W_{_CJK}]*(?:[{_MARKS}][^\W_{_CJK}]*)*|[^\s]")
PLAIN_WORD = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9\s]")  # the same for ASCII text, at a third of the cost
UNKNOWN = 0  # the code of a word that no subject has
_FIRST = 0x20  # codes below it are left out: UNKNOWN must stand alone
_SURROGATES = range(0xD800, 0xE000)  # no characters of their own
_LAST = 0x10FFFF


def word_pattern(text: str) -> re.Pattern:
    """The pattern that splits ``text``: both give the same words on ASCII."""
    return PLAIN_WORD if text.isascii() else WORD


def split_words(text: str) -> list[str]:
    """The words of ``text`` as they are written."""
    return word_pattern(text).findall(text)


def normal(word: str, case_sensitive: bool = False) -> str:
    """The form in which two words are compared: NFKC, and case folded unless ``case_sensitive``."""
    if not word.isascii():
        word = "'" if word == "\u2019" else unicodedata.normalize("NFKC", word)
    return word if case_sensitive else word.casefold()


class Codes(dict):
    """Written word -> the character that stands for its normal form, or chr(UNKNOWN); remembers what it was asked.

    The automaton then runs over one character a word: nothing can match in the middle of a word, so the
    leftmost-longest match is right as it comes, without a second look at word boundaries.

    Parameters
    ----------
    case_sensitive
        Whether "In" and "in" are two words.

    Notes
    -----
    Unicode has room for 1.1 million words. A graph with more needs two characters a word; ``width`` says which.
    """

    REMEMBER = 1 << 20  # written forms kept besides the subjects' own: a bound, not a setting

    def __init__(self, case_sensitive: bool = False):
        super().__init__()
        self.case_sensitive = case_sensitive
        self.known: dict[str, str] = {}  # normal form -> code

    @property
    def width(self) -> int:
        return 1 if len(self.known) <= _ROOM else 2

    def __missing__(self, word: str) -> str:
        if len(self) > self.REMEMBER:
            self.clear()
        code = self.known.get(normal(word, self.case_sensitive), self.unknown)
        self[word] = code
        return code

    @property
    def unknown(self) -> str:
        return chr(UNKNOWN) * self.width

    def learn(self, words) -> None:
        """Give each word of ``words`` (normal forms, in order, distinct) its code."""
        words = list(words)
        if len(words) <= _ROOM:
            self.known = {word: chr(_scalar(i)) for i, word in enumerate(words)}
        else:  # high character and low character from ranges that do not meet, so no match can begin half-way
            half = _ROOM // 2
            self.known = {
                word: chr(_scalar(i // half)) + chr(_scalar(half + i % half)) for i, word in enumerate(words)
            }
        self.clear()


_ROOM = _LAST + 1 - _FIRST - len(_SURROGATES)


def _scalar(i: int) -> int:
    """The ``i``-th character from _FIRST on that is no surrogate."""
    i += _FIRST
    return i if i < _SURROGATES.start else i + len(_SURROGATES)
