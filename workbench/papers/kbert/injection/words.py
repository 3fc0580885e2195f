"""Words of a text, their normal form (what a subject is compared by), and how many of them a graph speaks about.

A word is a run of letters, digits and combining marks, or one CJK character, or one other sign. Two words are the same
if NFKC and case folding make them so (`normal`). White space does not count: "Tim Cook" is found across a line's end.
But beside a CJK character, where words are not parted by spaces, a line's end parts two words that are no neighbours.
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ....errors import DataError

# Han, kana and their extensions are written without spaces: each character is a word, as in BERT's own splitting
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
PLAIN_WORD = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9\s]")  # `whole_word` for ASCII text, at a third of the cost
_CJK = re.compile(f"[{CJK}]")
_LINE_ENDS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")  # what str.splitlines ends a line at
UNKNOWN = 0  # the code of a word that no subject has
_FIRST = 0x20  # codes below it are left out: UNKNOWN must stand alone
_SURROGATES = range(0xD800, 0xE000)  # no characters of their own
_LAST = 0x10FFFF


@functools.cache
def whole_word() -> re.Pattern:
    """The pattern of a word in any script; made when first asked for (it looks through Unicode, 10 ms).

    Marks belong to their letter: accents of decomposed text ("e" + U+0301), vowel signs of Devanagari, Arabic, Hebrew.
    """
    # the basic plane only: with a character beyond it `re` tests a class one by one, at four times the cost
    marks = "".join(mark for mark in map(chr, range(0x300, 0x10000)) if unicodedata.category(mark) in ("Mn", "Mc"))
    marks = re.sub(f"[{CJK}]", "", marks)
    letter = rf"[^\W_{CJK}]"
    return re.compile(rf"[{CJK}]|{letter}+(?:[{marks}]{letter}*)*|[^\s]")


def word_pattern(text: str) -> re.Pattern:
    """The pattern that splits ``text``: both give the same words on ASCII."""
    return PLAIN_WORD if text.isascii() else whole_word()


def split_words(text: str) -> list[str]:
    """The words of ``text`` as they are written."""
    return word_pattern(text).findall(text)


def word_spans(parts: Sequence[str]) -> list[tuple[int, int, int]]:
    """(part, start, end) of each word of a text, given whole ([text]) or split.

    There is an empty span where a line ends beside a CJK character. It is a word of no subject, so nothing matches
    across it.
    """
    found = [(number, *word.span()) for number, part in enumerate(parts) for word in word_pattern(part).finditer(part)]
    if all(_LINE_ENDS.isdisjoint(part) for part in parts):  # the usual case
        return found
    spans = found[:1]
    for (before, _, last), (number, start, end) in pairwise(found):
        gap = parts[number][last:start] if before == number else parts[before][last:] + parts[number][:start]
        if _CJK.search(parts[before][last - 1] + parts[number][start]) and not _LINE_ENDS.isdisjoint(gap):
            spans.append((number, start, start))
        spans.append((number, start, end))
    return spans


def words_at(parts: Sequence[str], spans: Sequence[tuple[int, int, int]]) -> list[str]:
    """The words of `word_spans`; "" for a line's end."""
    return [parts[part][start:end] for part, start, end in spans]


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
    width
        Characters a word: Unicode has room for 1.1 million words, and a graph with more takes two.
    """

    REMEMBER = 1 << 20  # written forms kept: a bound, not a setting

    def __init__(self, case_sensitive: bool = False, width: int = 1):
        super().__init__()
        self.case_sensitive, self.width = case_sensitive, width
        self.known: dict[str, str] = {}  # normal form -> code
        self.unknown = chr(UNKNOWN) * width

    def __missing__(self, word: str) -> str:
        if len(self) > self.REMEMBER:
            self.clear()
        code = self[word] = self.known.get(normal(word, self.case_sensitive), self.unknown)
        return code

    def learn(self, words) -> str:
        """The codes of a subject's words, one behind the other; a word that is new gets the next code.

        Raises
        ------
        OverflowError
            There are more words than characters; take ``width=2``.
        """
        known, pattern = self.known, []
        for word in words:
            form = normal(word, self.case_sensitive)
            code = known.get(form)
            if code is None:
                code = known[form] = self._next(len(known))
            pattern.append(code)
        return "".join(pattern)

    def _next(self, i: int) -> str:
        if self.width == 1:
            if i >= _ROOM:
                raise OverflowError
            return chr(_scalar(i))
        half = _ROOM // 2  # the two characters come from ranges that do not meet, so no match begins half-way
        return chr(_scalar(i // half)) + chr(_scalar(half + i % half))


_ROOM = _LAST + 1 - _FIRST - len(_SURROGATES)


def _scalar(i: int) -> int:
    """The ``i``-th character from _FIRST on that is no surrogate."""
    i += _FIRST
    return i if i < _SURROGATES.start else i + len(_SURROGATES)


# --- coverage --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coverage:
    """How much of a corpus a graph speaks about; see `KnowledgeGraph.coverage`."""

    n_texts: int
    n_words: int
    n_matches: int
    texts_hit: int
    words_hit: int
    subjects_hit: int
    n_subjects: int
    top: tuple[tuple[str, int], ...]

    @property
    def hit_rate(self) -> float:
        """Share of the texts with at least one subject (0 for an empty corpus)."""
        return self.texts_hit / self.n_texts if self.n_texts else 0.0

    @property
    def word_rate(self) -> float:
        """Share of the words (signs included) that are part of a subject."""
        return self.words_hit / self.n_words if self.n_words else 0.0

    def table(self):
        """The counts as a pandas table of two columns."""
        import pandas as pd

        rows = [
            ("texts", self.n_texts),
            ("texts with a subject", f"{self.texts_hit} ({self.hit_rate:.1%})"),
            ("words and signs", self.n_words),
            ("words inside a subject", f"{self.words_hit} ({self.word_rate:.1%})"),
            ("subjects found", self.n_matches),
            ("different subjects found", f"{self.subjects_hit} of {self.n_subjects}"),
            ("most often", ", ".join(f"{name} {count}" for name, count in self.top)),
        ]
        return pd.DataFrame(rows, columns=["corpus", "count"]).set_index("corpus")


def cover(graph, texts: Iterable[str], top: int) -> Coverage:
    """`KnowledgeGraph.coverage`.

    Raises
    ------
    DataError
        One text instead of a list (its letters would be counted), or something that is no text.
    """
    if isinstance(texts, str):
        raise DataError("coverage is of a list of texts, not of one text: write [text]")
    n_texts = n_words = n_matches = texts_hit = words_hit = 0
    counts: Counter[int] = Counter()
    for text in texts:
        try:
            parts = [text] if isinstance(text, str) else list(text)
            words = words_at(parts, word_spans(parts))
        except (TypeError, AttributeError) as error:
            raise DataError(f"text {n_texts + 1} is {repr(text)[:60]}, neither a text nor a list of words") from error
        found = graph.find_words(words)
        n_texts, n_words, n_matches = n_texts + 1, n_words + len(words) - words.count(""), n_matches + len(found)
        texts_hit += bool(found)
        words_hit += sum(end - start for _, start, end in found)
        counts.update(subject for subject, _, _ in found)
    most = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:top]
    named = tuple((graph.subject(subject), count) for subject, count in most)
    return Coverage(n_texts, n_words, n_matches, texts_hit, words_hit, len(counts), graph.n_subjects, named)
