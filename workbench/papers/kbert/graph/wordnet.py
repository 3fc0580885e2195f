"""WordNet's nouns: read from the dict files of any WordNet 3 (Debian: wordnet-base), or from the packaged table.

The packaged table (data/kbert/wordnet_nouns.tsv.gz, made by `write_table`) holds every noun synset of WordNet 3.0
without its gloss: one line a synset in the order of data.noun, three columns parted by tabs:

    lexicographer file    lemmas, parted by |, each with :SENSE, and a * where it was met in the tagged corpora
    pointers, parted by a space: symbol and the target's line (0 is the first synset)

A lemma's sense number is its place in index.noun, which is WordNet's order of frequency.
"""

import functools
import gzip
import re
from pathlib import Path
from typing import NamedTuple

from ....data import folder
from ....errors import DataError
from ....files import expanded, write_atomic

TABLE = "wordnet_nouns.tsv.gz"
# WordNet's pointer symbols (wninput(5WN)) and what a branch says; "#p" at a synset points to what it is a part of
RELATIONS = {"@": "is a", "@i": "instance of", "#p": "part of", "#m": "member of", "#s": "substance of"}
# wninput(5WN): lexicographer files 03-28 are the nouns', in this order
_FILES = (
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object "
    "person phenomenon plant possession process quantity relation shape state substance time"
)
LEXNAMES = tuple(_FILES.split())


class Lemma(NamedTuple):
    """A word of a synset as it is written; ``sense`` 1 is its most frequent; ``tagged``: met in the tagged corpora."""

    text: str
    sense: int
    tagged: bool


class Synset(NamedTuple):
    """A set of synonyms; ``relations`` are (predicate, place of the other synset in the list)."""

    lexname: str  # "animal", "food", …: the lexicographer file without "noun."
    lemmas: tuple[Lemma, ...]
    relations: tuple[tuple[str, int], ...]


def read_wordnet(path=None) -> list[Synset]:
    """Every noun synset, in the order of WordNet's own file.

    Parameters
    ----------
    path
        None for the packaged WordNet 3.0; or a folder with data.noun and index.noun (/usr/share/wordnet); or a table
        that `write_table` made.

    Raises
    ------
    DataError
        The files are missing, or a line is not what WordNet's manual says (file and line are named).
    """
    path = folder("kbert") / TABLE if path is None else expanded(path)
    if path.is_dir():
        return _read_dict(path)
    return list(_read_table(path))


def triples(synsets, predicates=("is a", "instance of")):
    """(lemma, predicate, first lemma of the other synset), word by word, each word's senses in order of frequency.

    Words come in the order in which WordNet's file first has them, whatever the case of their letters.

    Raises
    ------
    DataError
        A predicate that WordNet's nouns do not have.
    """
    check_predicates(predicates)
    senses: dict[str, list] = {}
    for synset in synsets:
        for lemma in synset.lemmas:
            senses.setdefault(lemma.text.lower(), []).append((lemma.sense, lemma.text, synset))
    for entries in senses.values():
        for _, text, synset in sorted(entries, key=lambda entry: entry[0]):
            for predicate, target in synset.relations:
                if predicate in predicates:
                    yield text, predicate, synsets[target].lemmas[0].text


def check_predicates(predicates) -> None:
    """Raise DataError for a predicate that WordNet's nouns do not have."""
    unknown = [name for name in predicates if name not in RELATIONS.values()]
    if unknown:
        raise DataError(f"WordNet has no predicate {unknown[0]!r}: choose from {', '.join(RELATIONS.values())}")


def write_table(synsets, path) -> Path:
    """Write the packaged table; the same synsets give the same bytes."""
    symbols = {predicate: symbol for symbol, predicate in RELATIONS.items()}
    lines = []
    for synset in synsets:
        lemmas = "|".join(f"{lemma.text}:{lemma.sense}{'*' * lemma.tagged}" for lemma in synset.lemmas)
        pointers = " ".join(f"{symbols[predicate]}{target}" for predicate, target in synset.relations)
        lines.append(f"{synset.lexname}\t{lemmas}\t{pointers}\n")
    return write_atomic(path, gzip.compress("".join(lines).encode(), 9, mtime=0))


# --- underneath -----------------------------------------------------------------------------------------------------

_LEMMA = re.compile(r"(.+):([0-9]+)(\*?)")
_POINTER = re.compile(r"(@i?|#[pms])([0-9]+)")


def _read_table(path: Path):
    try:
        with gzip.open(path) as file:
            lines = file.read().decode().splitlines()
    except (OSError, EOFError, UnicodeDecodeError, gzip.zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): restore it with git checkout, or give a folder") from error
    for number, line in enumerate(lines, 1):
        columns = line.split("\t")
        lemmas = [_LEMMA.fullmatch(text) for text in columns[1].split("|")] if len(columns) == 3 else [None]
        pointers = [_POINTER.fullmatch(text) for text in columns[2].split()] if len(columns) == 3 else [None]
        if not (all(lemmas) and all(pointers)) or any(int(found[2]) >= len(lines) for found in pointers):
            raise _bad(path, number, line)
        yield Synset(
            columns[0],
            tuple(Lemma(found[1], int(found[2]), bool(found[3])) for found in lemmas),
            tuple((RELATIONS[found[1]], int(found[2])) for found in pointers),
        )


def _lines(path: Path):
    """(line number, text) without the licence at the top, whose lines begin with two spaces."""
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.startswith("  "):
                    yield number, line.rstrip("\n")
    except OSError as error:
        advice = "install Debian's wordnet-base, or give the dict folder of WordNet 3"
        raise DataError(f"{path} cannot be read ({error.strerror}): {advice}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text ({error}): give the dict folder of WordNet 3") from error


def _read_dict(path: Path) -> list[Synset]:
    """data.noun (wndb(5WN): offset lex_filenum ss_type w_cnt {word lex_id} p_cnt {pointer}), senses of index.noun."""
    senses, tagged = {}, {}
    for number, line in _lines(path / "index.noun"):
        parts = line.split()
        try:
            count, n_pointers = int(parts[2]), int(parts[3])
            tagged[parts[0]] = int(parts[5 + n_pointers])
            offsets = parts[6 + n_pointers :]
            if len(offsets) != count:
                raise ValueError
        except (IndexError, ValueError) as error:
            raise _bad(path / "index.noun", number, line) from error
        for place, offset in enumerate(offsets, 1):
            senses[parts[0], offset] = place
    found, places = [], {}
    for number, line in _lines(path / "data.noun"):
        try:
            parts = line.partition(" | ")[0].split()
            offset, n_words = parts[0], int(parts[3], 16)
            lexname = LEXNAMES[int(parts[1]) - 3]
            words = parts[4 : 4 + 2 * n_words : 2]
            begin = 5 + 2 * n_words
            n_pointers = int(parts[begin - 1])
            pointers = [parts[i : i + 4] for i in range(begin, begin + 4 * n_pointers, 4)]
            lemmas = tuple(_lemma(word, senses[word.lower(), offset], tagged) for word in words)
            # ends "0000": between the synsets as wholes, not between two of their words
            links = [(RELATIONS[s], target) for s, target, kind, ends in pointers if s in RELATIONS and ends == "0000"]
        except (IndexError, ValueError, KeyError) as error:
            raise _bad(path / "data.noun", number, line) from error
        places[offset] = len(found)
        found.append((lexname, lemmas, links))
    try:
        return [
            Synset(name, lemmas, tuple((p, places[target]) for p, target in links)) for name, lemmas, links in found
        ]
    except KeyError as error:
        raise DataError(f"{path / 'data.noun'} points to synset {error}, which it lacks: is it cut short?") from error


@functools.lru_cache(None)
def _plain(word: str) -> str:
    return word.replace("_", " ")


def _lemma(word: str, sense: int, tagged: dict) -> Lemma:
    return Lemma(_plain(word), sense, sense <= tagged[word.lower()])


def _bad(path: Path, number: int, line: str) -> DataError:
    return DataError(f"{path}, line {number}: {line[:60]!r} is no line of WordNet's nouns: restore the file")
