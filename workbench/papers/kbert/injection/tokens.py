"""What the model's own fast tokenizer makes of a text, and which of its tokens hold a match.

Nothing is cut up here: the Rust tokenizer encodes whole texts, pairs, or lists of words, and tells which characters a
token stands for.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ....errors import DataError, ModelError
from ....files import lone_surrogate
from .words import word_spans, words_at


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


def check_texts(texts, pairs) -> bool:
    """Whether the texts are split into words.

    Raises
    ------
    DataError
        One text instead of a list, a wrong number of second texts, something that is no text, or half a character.
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
        if split and (
            isinstance(row, str)
            or not isinstance(row, Iterable)
            or not all(isinstance(word, str) and word.strip() for word in row)
        ):
            raise DataError(
                f"text {number}, {repr(row)[:60]}, is no list of words: each word is a text with a character"
            )
        if not split and not isinstance(row, str):
            raise DataError(f"text {number} is {repr(row)[:60]}, not a text: give texts, or lists of words, not both")
        whole = "".join(row) if split else row
        if half := lone_surrogate(whole):
            raise DataError(f"text {number} holds half a character, {half}: mend what wrote it")
    return split


def encode(texts, pairs, tokenizer, split: bool) -> list:
    """One `tokenizers.Encoding` a text, uncut."""
    if split:
        lead = word_lead(tokenizer)
        texts, pairs = ([[lead[i > 0] + word for i, word in enumerate(words)] for words in rows] if rows else None
                        for rows in (texts, pairs))  # fmt: skip
    rows = list(texts) if pairs is None else list(zip(texts, pairs))
    with whole_texts(tokenizer) as inner:
        return inner.encode_batch(rows, is_pretokenized=split)


def word_lead(tokenizer) -> tuple[str, str]:
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


def cut_encoding(texts, pairs, number, tokenizer, split, max_length):
    """The encoding of one text cut to ``max_length``."""
    second = None if pairs is None else pairs[number]
    if split:
        lead = word_lead(tokenizer)
        first, second = ([lead[i > 0] + word for i, word in enumerate(row)] if row is not None else None
                         for row in (texts[number], second))  # fmt: skip
    else:
        first = texts[number]
    with whole_texts(tokenizer) as inner:
        inner.enable_truncation(max_length, strategy="longest_first")
        return inner.encode(first, second, is_pretokenized=split)


def matches_of(number, texts, pairs, split, graph, encoding) -> Iterator[tuple[int, int, int, int]]:
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

    `char_to_token` names the first token of a character; a rare character is several (byte-level BPE), and the mark
    that stands for a space may point to the word's first character (metaspace).
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
    words = list(words)
    pieces = word_spans(words)
    found = graph.find_words(words_at(words, pieces))
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
