"""How much of a corpus a graph speaks about."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ....errors import DataError
from .words import word_spans, words_at


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
