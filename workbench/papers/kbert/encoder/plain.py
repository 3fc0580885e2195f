"""Plain texts for tokenizers that split as BERT does: a word is tokenised once and then remembered.

The tokens of such a text are those of its words, one after the other; the tests hold this equal to the whole way.
"""

import weakref
from itertools import chain

import numpy as np

from ..injection.tokens import Trunks, cut_encoding, encode, matches_of, whole_texts
from ..injection.words import PLAIN_WORD

_KEPT: "weakref.WeakKeyDictionary" = weakref.WeakKeyDictionary()  # tokenizer -> its WordPieces, or None


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

    def of_texts(self, split: list[list[str]], tokenizer) -> list[list[int]]:
        """The ids of texts given as their words, without special tokens."""
        self.learn(set(chain.from_iterable(split)), tokenizer)
        return [[token for word in words for token in self[word]] for words in split]


_SPACES = {ord(space): " " for space in "\t\n\r"}


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
