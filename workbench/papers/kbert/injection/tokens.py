"""Texts into the trunks of their sentence trees: what the model's own fast tokenizer makes of them, and which tokens
hold a match.

Nothing is cut up here: the Rust tokenizer encodes whole texts, pairs, or lists of words, and tells which characters a
token stands for. Only plain texts for a tokenizer that splits as BERT does go another way (`WordPieces`): their tokens
are those of their words, one after the other, so a word is tokenised once and then remembered. The tests hold the two
ways equal.
"""

import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

import numpy as np

from ....errors import DataError, ModelError
from ....files import lone_surrogate
from .words import PLAIN_WORD, word_spans, words_at

_KEPT: "weakref.WeakKeyDictionary" = weakref.WeakKeyDictionary()  # tokenizer -> its WordPieces
_SPACES = {ord(space): " " for space in "\t\n\r"}


class Trunks(NamedTuple):
    """The token ids of N texts, one after the other, special tokens included, and the subjects in them."""

    ids: np.ndarray  # (total,) int32
    lengths: np.ndarray  # (N,) int64
    types: np.ndarray | None  # (total,) int8: segment ids; None where all are 0
    words: np.ndarray | None  # (total,) int32: the word of a text split into words, -1 for special tokens
    matches: np.ndarray  # (M, 4) int64: text, first token, token after the last, subject; in reading order
    truncated: int  # texts whose own tokens were cut


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
        return read_plain(texts, graph, tokenizer, max_length, pieces)
    ids, lengths, types, words, matches, truncated = [], [], [], [], [], 0
    for number, encoding in enumerate(encode(texts, pairs, tokenizer, split)):
        if len(encoding.ids) > max_length:
            encoding, truncated = cut_encoding(texts, pairs, number, tokenizer, split, max_length), truncated + 1
        ids += encoding.ids
        lengths.append(len(encoding.ids))
        types += encoding.type_ids
        if split:
            words += [-1 if word is None else word for word in encoding.word_ids]
        matches += matches_of(number, texts, pairs, split, graph, encoding)
    types = np.array(types, np.int8)
    return Trunks(
        np.array(ids, np.int32), np.array(lengths, np.int64), types if types.any() else None,
        np.array(words, np.int32) if split else None, np.array(matches, np.int64).reshape(-1, 4), truncated,
    )  # fmt: skip


def backend(tokenizer):
    """The Rust tokenizer inside, which knows where in the text a token is.

    Raises
    ------
    ModelError
        A tokenizer written in Python only.
    """
    inner = getattr(tokenizer, "backend_tokenizer", None)
    if inner is None or not hasattr(inner, "encode_batch"):
        raise ModelError(
            f"{type(tokenizer).__name__} does not say where its tokens are in the text: load a fast tokenizer "
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
        texts, pairs = (None if rows is None else _with_leads(rows, tokenizer) for rows in (texts, pairs))
    rows = list(texts) if pairs is None else list(zip(texts, pairs))
    with whole_texts(tokenizer) as inner:
        return inner.encode_batch(rows, is_pretokenized=split)


def word_lead(tokenizer) -> tuple[str, str]:
    """What must come before the first and before every other word of a split text, that it reads like running text.

    Byte-level tokenizers (RoBERTa) have other tokens for a word after a space; some add the space themselves.
    """
    with whole_texts(tokenizer) as inner:
        whole = inner.encode("is is", add_special_tokens=False).ids
        for lead in (("", ""), ("", " ")):
            words = [lead[0] + "is", lead[1] + "is"]
            if inner.encode(words, is_pretokenized=True, add_special_tokens=False).ids == whole:
                return lead
    return "", ""


def _with_leads(rows, tokenizer) -> list[list[str]]:
    lead = word_lead(tokenizer)
    return [[lead[i > 0] + word for i, word in enumerate(words)] for words in rows]


def cut_encoding(texts, pairs, number, tokenizer, split, max_length):
    """The encoding of one text cut to ``max_length``."""
    rows = [side[number] for side in (texts, pairs) if side is not None]
    with whole_texts(tokenizer) as inner:
        inner.enable_truncation(max_length, strategy="longest_first")
        return inner.encode(*(_with_leads(rows, tokenizer) if split else rows), is_pretokenized=split)


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


# --- plain texts, by their words --------------------------------------------------------------------------------------


class WordPieces(dict):
    """Word of plain ASCII text -> its token ids, for tokenizers that split as BERT does (BertPreTokenizer, WordPiece).

    There the ids of a text are those of its words one after the other, so a word is tokenised once; several times as
    fast as the whole way. Text that is not plain (other alphabets, control characters, the name of an added token)
    takes the whole way.
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

    def learn(self, words: set[str], tokenizer) -> None:
        """Tokenise those of ``words`` (letters and digits, or one sign, each) that are new, all in one call."""
        fresh = sorted(words.difference(self))
        if not fresh:
            return
        if len(self) > self.REMEMBER:
            self.clear()
            fresh = sorted(words)
        self.update((word, []) for word in fresh)
        with whole_texts(tokenizer) as inner:
            encoding = inner.encode(" ".join(fresh), add_special_tokens=False)
        for place, token in zip(encoding.word_ids, encoding.ids):
            self[fresh[place]].append(token)


def read_plain(texts, graph, tokenizer, max_length, pieces: WordPieces) -> Trunks:
    """`read_trunks` for single texts and BERT's tokenizers: plain texts at once by their words, others one by one."""
    plain = [number for number, text in enumerate(texts) if pieces.plain(text)]
    split = [PLAIN_WORD.findall(texts[number]) for number in plain]
    words = list(chain.from_iterable(split))
    pieces.learn(set(words), tokenizer)
    parts = [pieces[word] for word in words]

    # token after the last of each word, counted through all plain texts; word after the last of each text
    ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
    stops = np.cumsum(np.fromiter(map(len, split), np.int64, len(split)))
    ends, stops = np.concatenate([[0], ends]), np.concatenate([[0], stops])
    own = np.diff(ends[stops])
    found = np.array(graph.find_all(split) if graph is not None else [], np.int64).reshape(-1, 4)
    text, start, end, subject = found.T
    first, after = (ends[stops[text] + place] - ends[stops[text]] + len(pieces.before) for place in (start, end))
    matches = np.stack([np.array(plain, np.int64)[text], first, after, subject], 1)[first < after]

    frame = len(pieces.before) + len(pieces.after)
    lengths = np.zeros(len(texts), np.int64)
    lengths[plain] = own + frame
    long_ = set(np.flatnonzero(lengths > max_length).tolist())
    odd = sorted(set(range(len(texts))).difference(plain) | long_)
    rows: list = []
    if not odd:  # the usual case: one array, framed text by text
        flat = np.empty(int(lengths.sum()), np.int32)
        begin = np.cumsum(lengths) - lengths
        inside = np.arange(int(own.sum())) + np.repeat(begin + len(pieces.before) - ends[stops[:-1]], own)
        flat[inside] = np.fromiter(chain.from_iterable(parts), np.int32, len(inside))
        for place, token in enumerate(pieces.before):
            flat[begin + place] = token
        for place, token in enumerate(reversed(pieces.after), 1):
            flat[begin + lengths - place] = token
        return Trunks(flat, lengths, None, None, matches, 0)

    truncated, extra = 0, []
    places = dict(zip(plain, range(len(plain))))
    for number in range(len(texts)):
        if number in places and number not in long_:
            here = parts[stops[places[number]] : stops[places[number] + 1]]
            rows.append([*pieces.before, *chain.from_iterable(here), *pieces.after])
            continue
        encoding = encode([texts[number]], None, tokenizer, False)[0]
        if len(encoding.ids) > max_length:
            encoding, truncated = cut_encoding(texts, None, number, tokenizer, False, max_length), truncated + 1
        rows.append(encoding.ids)
        lengths[number] = len(encoding.ids)
        extra += matches_of(number, texts, None, False, graph, encoding)
    ids = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
    matches = matches[~np.isin(matches[:, 0], odd)]
    matches = np.concatenate([matches, np.array(extra, np.int64).reshape(-1, 4)])
    matches = matches[np.argsort(matches[:, 0], kind="stable")]
    return Trunks(ids, lengths, None, None, matches, truncated)
