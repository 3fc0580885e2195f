"""Triples out of files: the authors' .spo and any TSV, CN-DBpedia dumps, RDF. Every bad row is one sentence."""

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence, Set as AbstractSet, Sized
from pathlib import Path
from urllib.parse import unquote

from ....errors import DataError, UsageError
from ....readers import locate

LAYOUTS = ("spo", "cndbpedia")
_LINK = re.compile(r"<[^<>]*>")
# 北京（中国首都）: the bracket tells namesakes apart and is not part of the name
_NAMESAKE = re.compile(r"(?<=\S)\s*(?:（[^（）]*）|\([^()]*\))$")
_RDF_FORMATS = {".ttl": "turtle", ".nt": "nt", ".n3": "n3", ".rdf": "xml", ".owl": "xml", ".xml": "xml"}
_LABELS = ("http://www.w3.org/2000/01/rdf-schema#label", "http://www.w3.org/2004/02/skos/core#prefLabel")


def check(row: Sequence[str], where: str) -> tuple[str, str, str]:
    """``row`` stripped, if it is three texts with something in them.

    Raises
    ------
    DataError
        It is not; ``where`` is named.
    """
    if isinstance(row, set | frozenset | dict):
        raise DataError(f"{where}: {_short(row)} has no order: give (subject, predicate, object)")
    n = 1 if isinstance(row, str) or not isinstance(row, Sized) else len(row)
    if n != 3:
        raise DataError(f"{where}: {_short(row)} has {n} parts, not subject, predicate and object: mend or remove it")
    try:
        subject, predicate, object_ = stripped = [part.strip() for part in row]
    except AttributeError as error:
        raise DataError(f"{where}: {_short(row)} holds something that is no text: put it in quotes") from error
    if not (subject and predicate and object_):
        name = ("subject", "predicate", "object")[[bool(part) for part in stripped].index(False)]
        raise DataError(f"{where}: {_short(row)} has an empty {name}: fill it, or remove the row")
    return subject, predicate, object_


def checked(rows: Iterable, name: str) -> Iterator[tuple[str, str, str]]:
    """Rows that no file of ours was decoded from, each through `check`; a set, which has no order, is sorted first.

    Raises
    ------
    DataError
        Also for no rows at all, and for half a character (a lone surrogate, as JSON's "\\ud83d" gives).
    """
    try:
        rows = sorted(rows) if isinstance(rows, AbstractSet) else iter(rows)
    except TypeError as error:
        raise DataError(f"{name}: {_short(rows)} is no list of (subject, predicate, object): give one") from error
    for number, row in enumerate(rows, 1):
        where = f"{name}, row {number}"
        triple = check(row, where)
        try:
            "".join(triple).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{where}: {_short(row)} holds half a character: mend what wrote it") from error
        except TypeError as error:  # bytes
            raise DataError(f"{where}: {_short(row)} holds something that is no text: decode it") from error
        yield triple


def _short(row) -> str:
    text = repr(row)
    return text if len(text) <= 60 else text[:57] + "…"


def read_tsv(path, *, layout: str, mentions, on_bad: str, skipped: list[str]) -> Iterator[tuple[str, str, str]]:
    """The triples of a file, one at a time, as `KnowledgeGraph.from_tsv` says; lines left out go to ``skipped``."""
    if layout not in LAYOUTS:
        raise UsageError(f"layout {layout!r} is unknown: choose one of {', '.join(LAYOUTS)}")
    if on_bad not in ("raise", "skip"):
        raise UsageError(f"on_bad={on_bad!r} is unknown: choose raise or skip")
    if mentions is not None and layout != "cndbpedia":
        raise UsageError("mentions belong to a CN-DBpedia dump: write layout='cndbpedia', or leave them out")
    path = locate(path)
    names = _read_mentions(locate(mentions), on_bad, skipped) if mentions is not None else {}
    most = -1 if layout == "spo" else 2
    for number, line in _lines(path, on_bad, skipped):
        parts = line.split("\t", most)
        if layout == "cndbpedia":
            parts[2:] = [" ".join(_LINK.sub("", part).split()) for part in parts[2:]]
        try:
            subject, predicate, object_ = check(parts, f"{path}, line {number}")
        except DataError as error:
            _bad(error, on_bad, skipped)
            continue
        if layout == "cndbpedia":
            called = dict.fromkeys([_NAMESAKE.sub("", subject), *names.get(subject, ())])
            yield from ((name, predicate, object_) for name in called)
        else:
            yield subject, predicate, object_


def _read_mentions(path: Path, on_bad, skipped) -> dict[str, list[str]]:
    """Entity -> its mentions, in the file's order."""
    names: dict[str, list[str]] = {}
    for number, line in _lines(path, on_bad, skipped):
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != 2 or not all(parts):
            said = f"{path}, line {number}: {_short(line)} is not 'mention<tab>entity': mend or remove it"
            _bad(DataError(said), on_bad, skipped)
            continue
        names.setdefault(parts[1], []).append(parts[0])
    return names


def _bad(error: DataError, on_bad: str, skipped: list[str]) -> None:
    if on_bad == "raise":
        raise error
    skipped.append(str(error))


def _lines(path: Path, on_bad: str, skipped: list[str]) -> Iterator[tuple[int, str]]:
    """(number, text) of each line that is not empty."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    wrong = f"{path}, line {number}: byte {raw[error.start]:#04x} is not UTF-8: save the file as UTF-8"
                    _bad(DataError(wrong), on_bad, skipped)
                    continue
                if line.strip():
                    yield number, line
    except (OSError, EOFError, gzip.zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): download it again or check its permissions") from error


def read_rdf(path, format: str | None, language: str) -> list[tuple[str, str, str]]:
    """The triples of an RDF file by the names of their resources, sorted.

    JSON-LD is not read: its contexts may be addresses, and nothing here opens a connection.
    """
    try:
        import rdflib
    except ImportError as error:
        raise DataError("reading RDF needs rdflib: pip install 'workbench[rdf]'") from error
    path = locate(path)
    format = format or _RDF_FORMATS.get(path.suffix.lower())
    if format not in _RDF_FORMATS.values():
        known = ", ".join(dict.fromkeys(_RDF_FORMATS.values()))
        raise DataError(f"{path}: {format or path.suffix!r} is no format read here: give format= one of {known}")
    store = rdflib.Graph()
    try:
        with open(path, "rb") as file:
            store.parse(file=file, format=format, publicID=path.as_uri() if path.is_absolute() else None)
    except Exception as error:  # rdflib's parsers share no parent but Exception
        said = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"{path} is no {format} ({said}): check the file, or give another format=") from error
    labels: dict = {}
    for kind in map(rdflib.URIRef, _LABELS):
        for node, label in sorted(store.subject_objects(kind)):
            spoken = getattr(label, "language", None)  # "en-GB" is English too, where there is no plain "en"
            if isinstance(label, rdflib.Literal) and (spoken is None or f"{spoken}-".startswith(f"{language}-")):
                rank = (spoken is None, spoken != language, _LABELS.index(str(kind)), str(label))
                labels[node] = min(labels.get(node, rank), rank)

    def name(node) -> str:
        if isinstance(node, rdflib.Literal):
            return str(node)
        if node in labels:
            return labels[node][-1]
        tail = re.split(r"[/#]", str(node).rstrip("/#"))[-1]
        return unquote(tail).replace("_", " ")

    rows = {
        tuple(" ".join(name(node).split()) for node in triple)
        for triple in store
        if str(triple[1]) not in _LABELS and not any(isinstance(node, rdflib.BNode) for node in triple)
    }
    return sorted(row for row in rows if all(row))
