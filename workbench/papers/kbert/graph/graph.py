"""The knowledge graph: triples by subject, found in text by one pass of an automaton.

Triples keep the order of their source, so the branches that a word gets never depend on PYTHONHASHSEED. They are held
in arrays and one block of text (`strings.Strings`), about thirty bytes each; `lookup` and `triples` make them readable.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ....errors import UsageError
from ..injection.words import Codes, Coverage, cover, split_words, word_spans, words_at
from ..settings import FUNCTION_WORDS
from . import sources, wordnet
from .strings import Strings, intern


class Triple(NamedTuple):
    """One fact, as its source writes it."""

    subject: str
    predicate: str
    object: str


class Match(NamedTuple):
    """A subject in a text: characters ``start`` to ``end`` (exclusive), and its number in the graph."""

    start: int
    end: int
    subject: int


class KnowledgeGraph:
    """Triples by subject; made by `from_triples`, `from_tsv`, `from_wordnet`, `from_rdf`, and narrowed by `filtered`.

    Subjects are compared word by word after NFKC and case folding (`words.normal`): spellings that come to the same are
    one subject, and its triples keep the order of the source, each (predicate, object) once.

    Attributes
    ----------
    name, case_sensitive
        Where it came from, and whether "In" (indium) and "in" are two subjects.
    n_triples, n_subjects
        Sizes.
    predicates
        Every predicate, in the order of first use.
    skipped
        Lines of the source left out (``on_bad="skip"``), as sentences with file and line.
    """

    def __init__(self, name: str, strings: Strings, predicates: Sequence[str], table, *, case_sensitive, skipped=()):
        """For the makers below: ``table`` is (3, n) integers, subject, predicate and object of each triple in order."""
        self.name, self.case_sensitive, self.skipped = name, case_sensitive, tuple(skipped)
        self.predicates = tuple(predicates)
        self._strings = strings
        self._group(*table)

    # --- makers -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_triples(
        cls, rows: Iterable[Sequence[str]], *, name: str = "triples", case_sensitive: bool = False
    ) -> "KnowledgeGraph":
        """A graph of (subject, predicate, object) rows, in their order; a set, which has none, is sorted first.

        Raises
        ------
        DataError
            A row is not three texts, or one of them is empty; its number (from 1) is named.
        """
        return cls._intern(sources.checked(rows, name), name, case_sensitive)

    @classmethod
    def from_tsv(
        cls, path, *, layout: str = "spo", mentions=None, on_bad: str = "raise", case_sensitive: bool = False
    ) -> "KnowledgeGraph":
        """A graph of a text file, one triple a line, parted by tabs; blank lines do not count. .gz is unpacked.

        Parameters
        ----------
        path
            The file, UTF-8.
        layout
            "spo": subject, predicate, object (the authors' .spo files). "cndbpedia": a CN-DBpedia dump, whose
            subjects carry what tells them apart in brackets at the end (taken off), whose values may hold tabs and
            links (<a>…</a>, of which the text stays).
        mentions
            cndbpedia only: the dump's second file, "mention<tab>entity" a line; each mention becomes a subject too.
        on_bad
            "raise" at the first bad line, or "skip" it and say so in ``skipped``.

        Raises
        ------
        DataError
            The file cannot be read, or a line is bad: file, line, what is wrong.
        UsageError
            An unknown ``layout`` or ``on_bad``.
        """
        skipped: list[str] = []
        rows = sources.read_tsv(path, layout=layout, mentions=mentions, on_bad=on_bad, skipped=skipped)
        return cls._intern(rows, str(path), case_sensitive, skipped)

    @classmethod
    def from_wordnet(
        cls, path=None, *, predicates: Sequence[str] = ("is a", "instance of"), case_sensitive: bool = False
    ) -> "KnowledgeGraph":
        """WordNet's nouns: (lemma, predicate, first lemma of the other synset), senses in order of frequency.

        Parameters
        ----------
        path
            None for the packaged WordNet 3.0 (117,796 subjects), or a folder with data.noun and index.noun.
        predicates
            Some of "is a", "instance of", "part of", "member of", "substance of".

        Raises
        ------
        DataError
            As `wordnet.read_wordnet`, or an unknown predicate.
        """
        wordnet.check_predicates(predicates)
        rows = wordnet.triples(wordnet.read_wordnet(path), tuple(predicates))
        return cls._intern(rows, "WordNet 3.0 nouns" if path is None else f"WordNet nouns, {path}", case_sensitive)

    @classmethod
    def from_rdf(
        cls, path, *, format: str | None = None, language: str = "en", case_sensitive: bool = False
    ) -> "KnowledgeGraph":
        """A graph of an RDF file (Turtle, N-Triples, N3, RDF/XML), through rdflib; sorted, since RDF has no order.

        A resource is called by its rdfs:label or skos:prefLabel in ``language`` (else one without a language, else the
        last part of its address); nodes without an address are left out.

        Raises
        ------
        DataError
            rdflib is not installed, or cannot read the file.
        """
        rows = sources.checked(sources.read_rdf(path, format, language), str(path))
        return cls._intern(rows, str(path), case_sensitive)

    @classmethod
    def _intern(cls, rows, name, case_sensitive, skipped=()):
        strings, predicates, table = intern(rows)
        return cls(name, strings, predicates, table, case_sensitive=case_sensitive, skipped=skipped)

    # --- reading ----------------------------------------------------------------------------------------------------

    @property
    def n_triples(self) -> int:
        return len(self._object)

    @property
    def n_subjects(self) -> int:
        return len(self._starts) - 1

    def __len__(self) -> int:
        return self.n_triples

    def __repr__(self) -> str:
        return f"<knowledge graph {self.name}: {self.n_triples} triples of {self.n_subjects} subjects>"

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays and texts, without the automaton."""
        arrays = self._subject, self._predicate, self._object, self._starts
        return sum(array.nbytes for array in arrays) + self._strings.nbytes

    def triple(self, row: int) -> Triple:
        """The triple in that row; a subject's rows are next to one another."""
        strings = self._strings
        return Triple(strings[self._subject[row]], self.predicates[self._predicate[row]], strings[self._object[row]])

    def triples(self) -> Iterator[Triple]:
        """Every triple, subject by subject."""
        return map(self.triple, range(self.n_triples))

    def subject(self, number: int) -> str:
        """A subject in its first spelling."""
        return self._strings[self._subject[self._starts[number]]]

    def subjects(self) -> Iterator[str]:
        """Every subject in its first spelling, in the source's order."""
        return map(self.subject, range(self.n_subjects))

    def rows(self, subject: int) -> range:
        """The rows of a subject's triples."""
        return range(int(self._starts[subject]), int(self._starts[subject + 1]))

    def lookup(self, subject: str) -> tuple[Triple, ...]:
        """The triples of a subject in any spelling, in the source's order; () if there is no such subject."""
        return tuple(self.triple(row) for number in self._numbers([subject]).tolist() for row in self.rows(number))

    def find(self, text: str) -> list[Match]:
        """The subjects in ``text``, left to right: the longest at each place, on word boundaries, never two at once.

        A line's end parts CJK characters (`words.word_spans`), and no others.

        >>> KnowledgeGraph.from_triples([("New York", "is a", "city"), ("York", "is a", "city")]).find("to new york!")
        [Match(start=3, end=11, subject=0)]
        """
        spans = word_spans([text])
        found = self.find_words(words_at([text], spans))
        return [Match(spans[i][1], spans[j - 1][2], subject) for subject, i, j in found]

    def find_words(self, words: Sequence[str]) -> list[tuple[int, int, int]]:
        """(subject, first word, word after the last) of the subjects among words as `words.split_words` gives them."""
        if not self.n_subjects:
            return []
        codes = self._codes
        found = self._automaton.find_matches_as_indexes("".join([codes[word] for word in words]))
        if codes.width == 2:
            return [(subject, start // 2, end // 2) for subject, start, end in found]
        return found

    def find_all(self, split: Sequence[Sequence[str]]) -> np.ndarray:
        """`find_words` of many texts in one run: (M, 4) text, first word, word after the last, subject."""
        if not self.n_subjects or not len(split):
            return np.zeros((0, 4), np.int64)
        codes, lengths = self._codes, np.fromiter(map(len, split), np.int64, len(split))
        hay = codes.unknown.join(["".join(map(codes.__getitem__, words)) for words in split])
        found = np.array(self._automaton.find_matches_as_indexes(hay), np.int64).reshape(-1, 3)
        begins = np.cumsum(lengths + 1) - (lengths + 1)  # an unknown word stands between two texts: nothing crosses it
        start, end = found[:, 1] // codes.width, found[:, 2] // codes.width
        text = np.searchsorted(begins, start, "right") - 1
        return np.stack([text, start - begins[text], end - begins[text], found[:, 0]], 1)

    def values(self, rows: np.ndarray) -> list[tuple[str, str]]:
        """(predicate, object) of rows."""
        objects, strings = self._object[rows].tolist(), self._strings
        texts = {number: strings[number] for number in set(objects)}
        predicates = [self.predicates[number] for number in self._predicate[rows].tolist()]
        return [(predicate, texts[number]) for predicate, number in zip(predicates, objects)]

    def coverage(self, texts: Iterable[str], *, top: int = 10) -> Coverage:
        """How much of ``texts`` the graph speaks about, and the ``top`` subjects found most often.

        Look at it before training: function words at the top are knowledge noise (`filtered`).
        """
        return cover(self, texts, top)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the triples in order: two graphs with the same one inject the same."""
        digest = hashlib.sha256(b"case" if self.case_sensitive else b"")
        for triple in self.triples():
            digest.update("".join(f"{len(part)}:{part}" for part in triple).encode())  # a part may hold any sign
        return digest.hexdigest()

    # --- narrowing --------------------------------------------------------------------------------------------------

    def filtered(
        self, *, stop_words: str | Iterable[str] | None = None, min_length: int = 1, min_degree: int = 1,
        max_degree: int | None = None, predicates: Iterable[str] | None = None, without_predicates: Iterable[str] = (),
        allow: Iterable[str] | None = None, deny: Iterable[str] = (),
    ) -> "KnowledgeGraph":  # fmt: skip
        """A smaller graph, in the same order: predicates first, then subjects.

        Parameters
        ----------
        stop_words
            Subjects to leave out: "english" for the closed-class words (`FUNCTION_WORDS`), or your own.
        min_length
            Characters that a subject must have.
        min_degree, max_degree
            Triples that a subject must have and may have: one with hundreds says nothing in particular.
        predicates, without_predicates
            The predicates to keep (None: all) and to leave out.
        allow, deny
            The only subjects to keep (None: all), and subjects to leave out, in any spelling.

        Raises
        ------
        UsageError
            A predicate that the graph does not have, or an unknown name of stop words.
        """
        keep = np.ones(self.n_triples, bool)
        kept = self._predicate_numbers(self.predicates if predicates is None else predicates)
        kept = kept[~np.isin(kept, self._predicate_numbers(without_predicates))]
        keep &= np.isin(self._predicate, kept)
        degrees = np.add.reduceat(keep, self._starts[:-1], dtype=np.int64) if self.n_subjects else np.zeros(0, int)
        subjects = degrees >= max(1, min_degree)
        if max_degree is not None:
            subjects &= degrees <= max_degree
        if isinstance(stop_words, str):
            if stop_words != "english":
                raise UsageError(f"stop_words={stop_words!r} is no list here: write 'english', or give your own words")
            stop_words = FUNCTION_WORDS
        for unwanted in (stop_words or (), deny):
            subjects[self._numbers(unwanted)] = False
        if allow is not None:
            allowed = np.zeros_like(subjects)
            allowed[self._numbers(allow)] = True
            subjects &= allowed
        if min_length > 1:
            subjects &= np.fromiter((len(name) >= min_length for name in self.subjects()), bool, self.n_subjects)
        keep &= np.repeat(subjects, np.diff(self._starts))
        table = self._subject[keep], self._predicate[keep], self._object[keep]
        name = self.name if self.name.endswith("(filtered)") else f"{self.name} (filtered)"
        return KnowledgeGraph(
            name, self._strings, self.predicates, table, case_sensitive=self.case_sensitive, skipped=self.skipped
        )

    def _predicate_numbers(self, names) -> np.ndarray:
        places = {name: i for i, name in enumerate(self.predicates)}
        names = [names] if isinstance(names, str) else list(names)
        unknown = [name for name in names if name not in places]
        if unknown:
            has = ", ".join(self.predicates[:8]) + (", …" if len(self.predicates) > 8 else "")
            raise UsageError(f"the graph has no predicate {unknown[0]!r}: choose from {has}")
        return np.array([places[name] for name in names], dtype=np.int64)

    def _numbers(self, names: Iterable[str]) -> np.ndarray:
        """Numbers of the subjects among ``names``."""
        if isinstance(names, str):
            raise UsageError(f"{names!r} is one text: give a list of subjects")
        numbers = []
        for name in names:
            words = split_words(name)
            found = self.find_words(words)
            if len(found) == 1 and found[0][1:] == (0, len(words)):
                numbers.append(found[0][0])
        return np.array(numbers, dtype=np.int64)

    # --- underneath -------------------------------------------------------------------------------------------------

    def _group(self, subject, predicate, object_) -> None:
        """Sort the triples by subject, in the order of first use, and drop what was said before."""
        spelled, first = np.unique(subject, return_index=True)
        spelled = spelled[np.argsort(first)]
        try:
            codes, numbers, patterns = self._learn(spelled, 1)
        except OverflowError:
            codes, numbers, patterns = self._learn(spelled, 2)
        number = np.zeros(len(self._strings), dtype=np.uint32)  # of a spelling's subject
        number[spelled] = numbers
        group = number[subject]
        order = np.lexsort((predicate, object_, group))  # stable: the first of equals stays in front
        again = np.ones(len(order), bool)
        again[:1] = False
        for column in (group, predicate, object_):
            again[1:] &= column[order[1:]] == column[order[:-1]]
        order = np.sort(order[~again])
        order = order[np.argsort(group[order], kind="stable")]
        self._subject, self._predicate, self._object = subject[order], predicate[order], object_[order]
        sizes = np.bincount(group[order], minlength=len(patterns))
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._codes, self._patterns, self._matcher = codes, patterns, None
        self._branches = None  # token ids of branches: `tokens.pool` keeps them here

    def _learn(self, spelled, width: int) -> tuple[Codes, np.ndarray, list[str]]:
        """Codes of all words, the subject of each spelling, and the subjects as the automaton reads them."""
        codes = Codes(self.case_sensitive, width)
        groups: dict[str, int] = {}
        numbers = np.fromiter(
            (groups.setdefault(codes.learn(split_words(self._strings[one])), len(groups)) for one in spelled.tolist()),
            np.uint32, len(spelled),
        )  # fmt: skip
        return codes, numbers, list(groups)

    @property
    def _automaton(self):
        """Built when something is looked for the first time: a graph that is only filtered needs none."""
        if self._matcher is None:
            from ahocorasick_rs import AhoCorasick, MatchKind

            self._matcher = AhoCorasick(self._patterns, matchkind=MatchKind.LeftmostLongest, store_patterns=False)
            self._patterns = None
        return self._matcher

    def __getstate__(self):
        """What a worker process needs: the automaton and the branches' tokens are made anew there."""
        state = self.__dict__ | {"_matcher": None, "_branches": None}
        if state["_patterns"] is None:
            learn = self._codes.learn
            state["_patterns"] = [learn(split_words(name)) for name in self.subjects()]
        return state
