"""Texts into the trunks of their sentence trees: token ids, and where in them the graph's subjects stand."""

from collections.abc import Sequence

import numpy as np

from ..injection.tokens import Trunks, backend, check_texts, cut_encoding, encode, matches_of
from .plain import WordPieces, read_plain


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
        np.array(ids, np.int32),
        np.array(lengths, np.int64),
        types if types.any() else None,
        np.array(words, np.int32) if split else None,
        np.array(matches, np.int64).reshape(-1, 4),
        truncated,
    )
