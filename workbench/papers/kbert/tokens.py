"""Texts into trunks of the sentence tree, triples into branches; both through the model's own fast tokenizer.

`read_trunks` gives every text's token ids and where in them the graph's subjects stand. `Pool` holds the token ids of the
branches met so far, so that a triple is tokenised once. What the tokenizer sees is never cut up by us, with one
exception that a test holds equal: BERT's own splitting works word by word, so the ids of a word in plain ASCII text are
remembered (`WordPieces`).
"""

import re
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

import numpy as np

from ...errors import DataError, ModelError
from .words import PLAIN_WORD, word_pattern


class Trunks(NamedTuple):
    """The token ids of N texts, one after the other, special tokens included, and the subjects in them."""

    ids: np.ndarray  # (total,) int32
    lengths: np.ndarray  # (N,) int64
    types: np.ndarray | None  # (total,) int8: segment ids; None where all are 0
    words: np.ndarray | None  # (total,) int32: the word of a text split into words, -1 for special tokens
    matches: np.ndarray  # (M, 4) int64: text, first token, token after the last, subject; in reading order
    truncated: int  # texts whose own tokens were cut


def backend(tokenizer):
    """The Rust tokenizer inside, which knows where in the text a token stands.

    Raises
    ------
    ModelError
        A tokenizer written in Python only.
    """
    inner = getattr(tokenizer, "backend_tokenizer", None)
    if inner is None or not hasattr(inner, "encode_batch"):
        raise ModelError(
            f"{type(tokenizer).__name__} does not tell where its tokens stand in the text: load a fast tokenizer "
            "(AutoTokenizer, tokenizer.json)"
        )
    return inner


@contextmanager
def whole_texts(tokenizer):
    """The Rust tokenizer with neither truncation nor padding, which the files of a model often switch on."""
    inner = backend(tokenizer)
    truncation, padding = inner.truncation, inner.padding
    inner.no_truncation()
    inner.no_padding()
    try:
        yield inner
    finally:
        if truncation is not None:
            inner.enable_truncation(**{name: truncation[name] for name in _TRUNCATION if name in truncation})
        if padding is not None:
            inner.enable_padding(**{name: padding[name] for name in _PADDING if name in padding})


_TRUNCATION = ("max_length", "stride", "strategy", "direction")
_PADDING = ("length", "pad_to_multiple_of", "pad_id", "pad_token", "pad_type_id", "direction")


def read_trunks(texts: Sequence, pairs: Sequence | None, graph, tokenizer, max_length: int) -> Trunks:
    """Tokens and subjects of texts (N texts, or N lists of words), with N second texts or None.

    A text whose own tokens are more than ``max_length`` is cut as the tokenizer cuts it (the longer of a pair first).

    Raises
    ------
    DataError
        Something that is no text, or a word without a character.
    """
    split = check_texts(texts, pairs)
    backend(tokenizer)
    if not split and pairs is None and (pieces := WordPieces.of(tokenizer)) is not None:
        return _read_plain(texts, graph, tokenizer, max_length, pieces)
    ids, lengths, types, words, matches, truncated = [], [], [], [], [], 0
    for number, encoding in enumerate(encode(texts, pairs, tokenizer, split)):
        if len(encoding.ids) > max_length:
            encoding, truncated = _cut(texts, pairs, number, tokenizer, split, max_length), truncated + 1
        ids += encoding.ids
        lengths.append(len(encoding.ids))
        types += encoding.type_ids
        if split:
            words += [-1 if word is None else word for word in encoding.word_ids]
        matches += _matches(number, texts, pairs, split, graph, encoding)
    types = np.array(types, np.int8)
    return Trunks(
        np.array(ids, np.int32),
        np.array(lengths, np.int64),
        types if types.any() else None,
        np.array(words, np.int32) if split else None,
        np.array(matches, np.int64).reshape(-1, 4),
        truncated,
    )


def check_texts(texts, pairs) -> bool:
    """Whether the texts are split into words.

    Raises
    ------
    DataError
        One text instead of a list, a wrong number of second texts, or something that is no text.
    """
    for name, rows in (("texts", texts), ("pairs", pairs)):
        if isinstance(rows, str):
            raise DataError(f"{name} is a list of texts, not one text: write [text]")
    if pairs is not None and len(pairs) != len(texts):
        raise DataError(f"there are {len(texts)} texts and {len(pairs)} second texts: give each text its own")
    rows = list(texts) + list(pairs or ())
    split = bool(rows) and not isinstance(rows[0], str)
    for number, row in enumerate(rows):
        number = number % max(1, len(texts)) + 1
        if split and (isinstance(row, str) or not all(isinstance(word, str) and word.strip() for word in row)):
            raise DataError(f"text {number}, {repr(row)[:60]}, is no list of words: each word is a text with a character")
        if not split and not isinstance(row, str):
            raise DataError(f"text {number} is {repr(row)[:60]}, not a text: give texts, or lists of words, not both")
    return split


def encode(texts, pairs, tokenizer, split: bool) -> list:
    """One `tokenizers.Encoding` a text, uncut."""
    if split:
        lead = _word_lead(tokenizer)
        texts, pairs = ([[lead[i > 0] + word for i, word in enumerate(words)] for words in rows] if rows else None
                        for rows in (texts, pairs))  # fmt: skip
    rows = list(texts) if pairs is None else list(zip(texts, pairs))
    with whole_texts(tokenizer) as inner:
        return inner.encode_batch(rows, is_pretokenized=split)


def _word_lead(tokenizer) -> tuple[str, str]:
    """What must stand before the first and before every other word of a split text, that it reads like running text.

    Byte-level tokenizers (RoBERTa) have other tokens for a word after a space; some add the space themselves.
    """
    with whole_texts(tokenizer) as inner:
        whole = inner.encode("is is", add_special_tokens=False).ids
        for lead in (("", ""), ("", " ")):
            words = [lead[0] + "is", lead[1] + "is"]
            if inner.encode(words, is_pretokenized=True, add_special_tokens=False).ids == whole:
                return lead
    return "", ""


def _cut(texts, pairs, number, tokenizer, split, max_length):
    """The encoding of one text cut to ``max_length``."""
    second = None if pairs is None else pairs[number]
    if split:
        lead = _word_lead(tokenizer)
        first, second = ([lead[i > 0] + word for i, word in enumerate(row)] if row is not None else None
                         for row in (texts[number], second))  # fmt: skip
    else:
        first = texts[number]
    with whole_texts(tokenizer) as inner:
        inner.enable_truncation(max_length, strategy="longest_first")
        return inner.encode(first, second, is_pretokenized=split)


def _matches(number, texts, pairs, split, graph, encoding) -> Iterator[tuple[int, int, int, int]]:
    """The subjects of one text as (text, first token, token after the last, subject), left to right, apart."""
    if graph is None:
        return
    done = 0
    for sequence, rows in enumerate((texts, pairs)):
        if rows is None:
            continue
        found = _in_words(graph, rows[number], encoding, sequence) if split else graph.find(rows[number])
        for start, end, subject in found:
            if not split:
                start, end = _tokens(encoding, start, end, sequence)
            if start is None or start < done:  # cut off, without a token, or inside a token of the match before
                continue
            yield number, start, end, subject
            done = end


def _tokens(encoding, start: int, end: int, sequence: int) -> tuple[int | None, int]:
    """The tokens that hold the characters ``start`` to ``end``: from the first that has one to the last that has one.

    `char_to_token` names the first token of a character; a rare character is several (byte-level BPE), and the mark that
    stands for a space may point to the word's first character (metaspace).
    """
    first = last = None
    for character in range(start, end):
        if (first := encoding.char_to_token(character, sequence)) is not None:
            break
    for character in range(end - 1, start - 1, -1):
        if (last := encoding.char_to_token(character, sequence)) is not None:
            break
    if last is None:
        return None, 0
    while last + 1 < len(encoding) and encoding.token_to_sequence(last + 1) == sequence:
        if encoding.token_to_chars(last + 1)[0] >= end:
            break
        last += 1
    return first, last + 1


def _in_words(graph, words, encoding, sequence):
    """As `KnowledgeGraph.find`, in a text split into words: (first token, token after the last, subject)."""
    pieces = [(i, *found.span()) for i, word in enumerate(words) for found in word_pattern(word).finditer(word)]
    written = [words[i][start:end] for i, start, end in pieces]
    found = graph.find_words(written)
    if not found:
        return
    offsets, leads = encoding.offsets, {}
    tokens: dict[int, list[int]] = {}
    for token, (word, side) in enumerate(zip(encoding.word_ids, encoding.sequence_ids)):
        if word is not None and side == sequence:
            tokens.setdefault(word, []).append(token)
    for word, owned in tokens.items():  # a space put before the word by `encode` shifts its characters by one
        leads[word] = max(0, offsets[owned[-1]][1] - len(words[word]))
    for subject, i, j in found:
        (first, start, _), (last, _, end) = pieces[i], pieces[j - 1]
        held = [t for t in tokens.get(first, ()) if offsets[t][1] - leads[first] > start]
        ends = [t for t in tokens.get(last, ()) if offsets[t][0] - leads[last] < end]
        if held and ends and held[0] <= ends[-1]:
            yield held[0], ends[-1] + 1, subject


# --- remembered words -----------------------------------------------------------------------------------------------

_KEPT: "weakref.WeakKeyDictionary" = weakref.WeakKeyDictionary()  # tokenizer -> its WordPieces, or None


class WordPieces(dict):
    """Word of plain ASCII text -> its token ids, for tokenizers that split as BERT does (BertPreTokenizer, WordPiece).

    There the ids of a text are those of its words one after the other, so a word is tokenised once; several times as
    fast as the whole way. Text that is not plain (other alphabets, control characters, the name of an added token) takes
    the whole way.
    """

    REMEMBER = 1 << 18

    def __init__(self, tokenizer, inner):
        super().__init__()
        self.size = len(tokenizer)
        self.added = tuple(token.content for token in inner.get_added_tokens_decoder().values())
        frame = inner.encode("", add_special_tokens=True).ids
        whole = inner.encode("a", add_special_tokens=True).ids
        place = next((i for i in range(len(frame) + 1) if whole[:i] + whole[len(whole) - len(frame) + i :] == frame), 0)
        self.before, self.after = frame[:place], frame[place:]

    @classmethod
    def of(cls, tokenizer) -> "WordPieces | None":
        """The tokenizer's own memory, or None where words cannot be taken one by one."""
        kept = _KEPT.get(tokenizer)
        if kept is None or kept.size != len(tokenizer):
            with whole_texts(tokenizer) as inner:
                kinds = [type(part).__name__ for part in (inner.normalizer, inner.pre_tokenizer, inner.model)]
                added = inner.get_added_tokens_decoder().values()
                # a token that is added and normalised is looked for in the lower-cased text: take the whole way
                simple = kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]
                simple = simple and not any(token.normalized for token in added) and len(added) < 16
                if not simple:
                    return None
                kept = _KEPT[tokenizer] = cls(tokenizer, inner)
        return kept

    def plain(self, text: str) -> bool:
        """Whether ``text`` can be taken word by word."""
        if not text.isascii() or any(token in text for token in self.added):
            return False
        return text.isprintable() or text.translate(_SPACES).isprintable()

    def learn(self, words, inner) -> None:
        """Tokenise those of ``words`` (a set) that are new."""
        if len(self) > self.REMEMBER:
            self.clear()
        fresh = sorted(words.difference(self))
        for word, encoding in zip(fresh, inner.encode_batch(fresh, add_special_tokens=False)):
            self[word] = encoding.ids


_SPACES = {ord(space): " " for space in "\t\n\r"}


def _read_plain(texts, graph, tokenizer, max_length, pieces: WordPieces) -> Trunks:
    """`read_trunks` for single texts and BERT's tokenizers: plain texts by their words, the others the whole way."""
    split = [PLAIN_WORD.findall(text) if pieces.plain(text) else None for text in texts]
    with whole_texts(tokenizer) as inner:
        pieces.learn(set(chain.from_iterable(filter(None, split))), inner)
        other = iter(inner.encode_batch([text for text, words in zip(texts, split) if words is None]))
    before, after, find = pieces.before, pieces.after, graph.find_words if graph is not None else lambda words: ()
    rows, lengths, matches, truncated = [], [], [], 0
    for number, words in enumerate(split):
        row = found = None
        if words is not None:
            parts = [pieces[word] for word in words]
            row = [*before, *chain.from_iterable(parts), *after]
            if len(row) <= max_length:
                found = find(words)
        if found is None:
            encoding = next(other) if words is None else None
            if encoding is None or len(encoding.ids) > max_length:
                encoding, truncated = _cut(texts, None, number, tokenizer, False, max_length), truncated + 1
            row = encoding.ids
            matches += _matches(number, texts, None, False, graph, encoding)
        elif found:
            ends = [len(before)]
            for part in parts:
                ends.append(ends[-1] + len(part))
            matches += [(number, ends[i], ends[j], subject) for subject, i, j in found if ends[i] < ends[j]]
        rows.append(row)
        lengths.append(len(row))
    ids = np.fromiter(chain.from_iterable(rows), np.int32, sum(lengths))
    return Trunks(
        ids, np.array(lengths, np.int64), None, None, np.array(matches, np.int64).reshape(-1, 4), truncated
    )


# --- branches -------------------------------------------------------------------------------------------------------


class Pool:
    """Token ids of the branches met so far: those of slot s are ``ids[starts[s] : starts[s] + lengths[s]]``."""

    def __init__(self, n_triples: int):
        self.slots = np.zeros(n_triples, np.int32)  # 0: not met; untouched pages of zeros cost no memory
        self.ids = np.zeros(0, np.int32)
        self.starts = np.zeros(1, np.int64)
        self.lengths = np.zeros(1, np.int64)

    def learn(self, rows: np.ndarray, graph, tokenizer, template: str) -> np.ndarray:
        """The slots of the branches of ``rows``; those not met before are tokenised, all at once."""
        fresh = np.unique(rows[self.slots[rows] == 0])
        if len(fresh):
            # a branch reads on behind a word, so it begins with a space where the tokenizer cares
            texts = [" " + branch_text(graph.triple(row), template) for row in fresh.tolist()]
            with whole_texts(tokenizer) as inner:
                found = [encoding.ids for encoding in inner.encode_batch(texts, add_special_tokens=False)]
            lengths = np.fromiter(map(len, found), np.int64, len(found))
            first = len(self.ids)
            self.slots[fresh] = len(self.starts) + np.arange(len(fresh))
            self.starts = np.concatenate([self.starts, first + np.cumsum(lengths) - lengths])
            self.lengths = np.concatenate([self.lengths, lengths])
            new = np.fromiter(chain.from_iterable(found), np.int32, int(lengths.sum()))
            self.ids = np.concatenate([self.ids, new])
        return self.slots[rows]


def branch_text(triple, template: str) -> str:
    """What a branch says; braces inside a triple are left alone."""
    said = {"{predicate}": triple.predicate, "{object}": triple.object}
    return _NAMES.sub(lambda name: said[name[0]], template)


_NAMES = re.compile(r"{predicate}|{object}")


def pool(graph, tokenizer, template: str) -> Pool:
    """The graph's branches in this tokenizer's tokens; kept as long as both live."""
    if graph._branches is None:
        graph._branches = weakref.WeakKeyDictionary()
    key = len(tokenizer), template
    pools = graph._branches.setdefault(tokenizer, {})
    if key not in pools:
        pools[key] = Pool(graph.n_triples)
    return pools[key]
