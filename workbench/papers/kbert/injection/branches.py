"""Triples into branches: token ids that are made once and kept with the graph."""

import re
import weakref
from itertools import chain

import numpy as np

from .tokens import WordPieces, whole_texts
from .words import PLAIN_WORD


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
            found = _branch_ids(graph, fresh, tokenizer, template)
            lengths = np.fromiter(map(len, found), np.int64, len(found))
            first = len(self.ids)
            self.slots[fresh] = len(self.starts) + np.arange(len(fresh))
            self.starts = np.concatenate([self.starts, first + np.cumsum(lengths) - lengths])
            self.lengths = np.concatenate([self.lengths, lengths])
            new = np.fromiter(chain.from_iterable(found), np.int32, int(lengths.sum()))
            self.ids = np.concatenate([self.ids, new])
        return self.slots[rows]


def _branch_ids(graph, rows: np.ndarray, tokenizer, template: str) -> list[list[int]]:
    """Token ids of the branches of ``rows``."""
    pieces, pairs = WordPieces.of(tokenizer), graph.values(rows)
    if pieces is not None and (order := _ORDERS.get(template.strip())) is not None:
        said = list(dict.fromkeys(chain.from_iterable(pairs)))
        if pieces.plain("\n".join(said)):  # word by word: then a branch is its parts, one behind the other
            split = {text: PLAIN_WORD.findall(text) for text in said}
            pieces.learn(set(chain.from_iterable(split.values())), tokenizer)
            ids = {text: [token for word in words for token in pieces[word]] for text, words in split.items()}
            if len(order) == 1:
                return [ids[pair[1]] for pair in pairs]
            return [ids[predicate] + ids[object_] for predicate, object_ in pairs]
    # a branch reads on behind a word, so it begins with a space where the tokenizer cares
    texts = [" " + branch_text(pair, template) for pair in pairs]
    with whole_texts(tokenizer) as inner:
        return [encoding.ids for encoding in inner.encode_batch(texts, add_special_tokens=False)]


_ORDERS = {"{predicate} {object}": (0, 1), "{object}": (1,)}


def branch_text(pair: tuple[str, str], template: str) -> str:
    """What a branch of (predicate, object) says; braces inside a triple are left alone."""
    said = {"{predicate}": pair[0], "{object}": pair[1]}
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
