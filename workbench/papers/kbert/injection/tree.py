"""`inject`: texts and a graph into sentence trees, flattened, with soft positions and visibility.

Golden example (card): "Tim Cook is visiting Beijing now" with (Tim Cook, CEO, Apple), (Beijing, capital, China),
(Beijing, is_a, City) becomes

    [CLS] Tim Cook CEO Apple is visiting Beijing capital China is_a City now
      0    1   2    3    4    3     4      5        6      7    6    7    6        soft positions

A trunk token sees the trunk and the branches of its own word; a branch token sees its branch and the word that owns it.
Visibility is two small numbers a token (`owner`, `branch`); the (T, T) matrix is made when somebody looks.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ....errors import DataError, UsageError
from ..graph.graph import KnowledgeGraph, Triple
from ..settings import SETTINGS, KBertSettings
from .branches import pool
from .tokens import Trunks, check_texts, cut_encoding, encode, read_trunks, word_lead


def visible_matrix(owner: np.ndarray, branch: np.ndarray) -> np.ndarray:
    """(T, T) bool: who sees whom. §"visible matrix" of the card.

    Parameters
    ----------
    owner
        (T,) the number of the matched word that a token is part of or hangs on; 0 for a trunk token of no match.
    branch
        (T,) the number of the branch a token is part of; 0 for the trunk.
    """
    same_branch = branch[:, None] == branch  # the trunk is branch 0
    trunk = branch == 0
    of_word = (owner[:, None] == owner) & (owner > 0) & (trunk[:, None] != trunk)
    return same_branch | of_word


class Injected:
    """One text with its branches, T tokens long; an item of a `KnowledgeBatch`.

    Attributes
    ----------
    ids
        (T,) int32 token ids: special tokens, the text, and its branches, each behind the word that owns it.
    soft_positions
        (T,) int16, from 0; 0, 1, 2, … where soft positions are off. RoBERTa's offset is the collator's business.
    segment_ids
        (T,) int8: 1 in the second text of a pair and its branches.
    owner, branch
        (T,) int16: see `visible_matrix`.
    """

    __slots__ = ("_batch", "_number", "branch", "ids", "owner", "segment_ids", "soft_positions")

    def __init__(self, batch: "KnowledgeBatch", number: int):
        self._batch, self._number = batch, number
        here = slice(batch.starts[number], batch.starts[number + 1])
        self.ids, self.owner, self.branch = batch.ids[here], batch.owner[here], batch.branch[here]
        if batch.soft_position:
            self.soft_positions = batch.soft[here]
        else:
            self.soft_positions = np.arange(len(self.ids), dtype=batch.soft.dtype)
        self.segment_ids = np.zeros(len(self.ids), np.int8) if batch.segments is None else batch.segments[here]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<injected: {' '.join(self.tokens)}>"

    @property
    def text(self):
        """The text, or its list of words, or the two texts of a pair."""
        batch = self._batch
        first = batch.texts[self._number]
        return first if batch.pairs is None else (first, batch.pairs[self._number])

    @property
    def tokens(self) -> list[str]:
        """T tokens as the tokenizer writes them."""
        return self._batch.tokenizer.convert_ids_to_tokens(self.ids.tolist())

    @property
    def structure(self) -> tuple[np.ndarray, np.ndarray]:
        """(owner, branch) as the mask has them: all trunk, where the visible matrix is off."""
        if self._batch.visible_matrix:
            return self.owner, self.branch
        return np.zeros_like(self.owner), np.zeros_like(self.branch)

    @property
    def injected(self) -> np.ndarray:
        """(T,) bool: True where a token comes from the graph."""
        return self.branch > 0

    @property
    def visible(self) -> np.ndarray:
        """(T, T) bool: who sees whom; all True where the visible matrix is off. Made anew at each call."""
        return visible_matrix(*self.structure)

    @property
    def offsets(self) -> list[tuple[int, int] | None]:
        """The characters of the text (of its word, where it was split) that each token stands for, or None."""
        encoding = self._batch.encoding(self._number)
        found = iter(zip(encoding.offsets, encoding.special_tokens_mask))
        leads = self._batch.leads(self._number, encoding)
        result: list = []
        token = 0
        for injected in self.injected.tolist():
            if injected:
                result.append(None)
                continue
            (start, end), special = next(found)
            lead, token = leads[token], token + 1
            result.append(None if special else (max(0, start - lead), end - lead))
        return result

    @property
    def words(self) -> np.ndarray:
        """(T,) int32: the word of a text split into words that a token is part of; -1 for special and injected tokens.

        Raises
        ------
        UsageError
            The text was not split into words.
        """
        if self._batch.words is None:
            raise UsageError("these texts were not split into words: give inject lists of words to label them")
        here = slice(self._batch.starts[self._number], self._batch.starts[self._number + 1])
        return self._batch.words[here]

    @property
    def triples(self) -> list[tuple[range, range, Triple]]:
        """(tokens of the branch, tokens of its owner, the triple) for each branch, from left to right."""
        batch, found = self._batch, []
        first, last = np.searchsorted(batch.branch_text, [self._number, self._number + 1])
        for number, row in enumerate(batch.branch_rows[first:last].tolist(), 1):
            places = np.flatnonzero(self.branch == number)
            if not len(places):  # a branch whose text has no token
                continue
            held = np.flatnonzero((self.owner == self.owner[places[0]]) & (self.branch == 0))
            found.append((range(places[0], places[-1] + 1), range(held[0], held[-1] + 1), batch.graph.triple(row)))
        return found


class KnowledgeBatch(Sequence):
    """N injected texts in flat arrays: about a dozen bytes a token, never T x T; ``batch[i]`` is an `Injected`.

    Attributes
    ----------
    texts, pairs, graph, tokenizer, soft_position, visible_matrix
        What `inject` was called with.
    dropped
        Branches left out because a text would have been longer than ``max_length``.
    truncated
        Texts that were cut because their own tokens alone were too many.
    """

    def __init__(self, texts, pairs, graph, tokenizer, trunks: Trunks, tree: dict, *, soft_position, visible_matrix):
        self.texts, self.pairs, self.graph, self.tokenizer = texts, pairs, graph, tokenizer
        self.soft_position, self.visible_matrix = soft_position, visible_matrix
        self.truncated = trunks.truncated
        self.__dict__.update(tree)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> Injected:
        if not -len(self) <= number < len(self):
            raise IndexError(f"text {number} of {len(self)}")
        return Injected(self, int(number) % len(self))

    @property
    def lengths(self) -> np.ndarray:
        """(N,) T of each text."""
        return np.diff(self.starts)

    @property
    def unread(self) -> int:
        """Words of texts split into words (not of pairs) that have no token: cut off, or nothing to the tokenizer."""
        if self.words is None or self.pairs is not None:
            return 0
        text = np.repeat(np.arange(len(self)), self.lengths)
        read = np.unique(np.stack([text, self.words])[:, self.words >= 0], axis=1)
        return sum(map(len, self.texts)) - read.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    @cached_property
    def _split(self) -> bool:
        return check_texts(self.texts, self.pairs)

    def encoding(self, number: int):
        """The tokenizer's own encoding of a text, made anew: keeping them would cost more than all the rest."""
        pairs = None if self.pairs is None else [self.pairs[number]]
        encoding = encode([self.texts[number]], pairs, self.tokenizer, self._split)[0]
        trunk = int((self.branch[self.starts[number] : self.starts[number + 1]] == 0).sum())
        if len(encoding.ids) > trunk:
            encoding = cut_encoding(self.texts, self.pairs, number, self.tokenizer, self._split, trunk)
        return encoding

    def leads(self, number: int, encoding) -> list[int]:
        """Characters that were put before the word of each trunk token, that it reads like running text: 0 or 1."""
        if not self._split:
            return [0] * len(encoding.ids)
        lead = word_lead(self.tokenizer)
        return [0 if word is None else len(lead[word > 0]) for word in encoding.word_ids]


def inject(
    texts: Sequence[str] | Sequence[Sequence[str]], graph: KnowledgeGraph | None, tokenizer, *,
    pairs: Sequence | None = None, max_branches: int = SETTINGS.max_branches, max_length: int = SETTINGS.max_length,
    soft_position: bool = True, visible_matrix: bool = True, template: str = SETTINGS.template,
) -> KnowledgeBatch:  # fmt: skip
    """Put the graph's triples behind the words they speak about (§"Algorithm" of the card).

    Parameters
    ----------
    texts
        N texts; or N lists of words, as named-entity data comes (`Injected.words` then tells each token's word).
    graph
        None injects nothing: the plain encoder.
    tokenizer
        Any fast Hugging Face tokenizer.
    pairs
        N second texts, into which triples are injected too.
    max_branches
        Branches a matched word gets at most: the first of its triples, in the graph's order.
    max_length
        T at most. Where a text with all its branches is longer, branches are left out whole, second branches before
        first ones and later words before earlier ones; the text itself is cut only if it is too long alone.
    soft_position, visible_matrix
        The paper's two devices; False switches one off.
    template
        What a branch says: "{predicate} {object}", or "{object}" alone.

    Returns
    -------
    KnowledgeBatch

    Raises
    ------
    DataError
        Something that is no text, or no graph.
    UsageError
        A size or template that makes no sense.
    ModelError
        A tokenizer without offsets.
    """
    KBertSettings(max_branches=max_branches, max_length=max_length, template=template)  # says what makes no sense
    if graph is not None and not isinstance(graph, KnowledgeGraph):
        raise DataError(f"{graph!r} is no knowledge graph: make one with KnowledgeGraph.from_tsv(path), or give None")
    texts, pairs = list(texts) if not isinstance(texts, str) else texts, None if pairs is None else list(pairs)
    trunks = read_trunks(texts, pairs, graph, tokenizer, max_length)
    if not len(trunks.matches) or not max_branches:
        tree = _bare(trunks)
    else:
        tree = _grow(trunks, graph, pool(graph, tokenizer, template), tokenizer, max_branches, max_length, template)
    return KnowledgeBatch(
        texts, pairs, graph, tokenizer, trunks, tree, soft_position=soft_position, visible_matrix=visible_matrix
    )


_NONE = np.zeros(0, np.int32)


def _bare(trunks: Trunks) -> dict:
    """The tree without a branch."""
    starts = np.concatenate([[0], np.cumsum(trunks.lengths)])
    zeros = np.zeros(len(trunks.ids), np.int16)
    soft = (np.arange(len(trunks.ids)) - np.repeat(starts[:-1], trunks.lengths)).astype(np.int16)
    return {
        "ids": trunks.ids, "soft": soft, "owner": zeros, "branch": zeros, "segments": trunks.types,
        "words": trunks.words, "starts": starts, "branch_rows": _NONE, "branch_text": _NONE, "dropped": 0,
    }  # fmt: skip


def _grow(trunks: Trunks, graph, branches, tokenizer, max_branches: int, max_length: int, template: str) -> dict:
    """All trees at once, flattened: each trunk token moves back by the tokens injected before it."""
    text, first, after, subject = trunks.matches.T
    count = np.minimum(graph._starts[subject + 1] - graph._starts[subject], max_branches)
    owner = np.repeat(np.arange(len(text)), count)  # of a branch: its match
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    row = graph._starts[subject][owner] + rank
    slot = branches.learn(row, graph, tokenizer, template)
    size = branches.lengths[slot]

    keep = _fitting(trunks.lengths, text[owner], rank, size, max_length)
    dropped = int(len(keep) - keep.sum())
    owner, row, slot, size = owner[keep], row[keep], slot[keep], size[keep]
    used = np.bincount(owner, minlength=len(text)) > 0  # a match without a branch is no match
    if not used.all():
        owner = (np.cumsum(used) - 1)[owner]
        text, first, after = text[used], first[used], after[used]

    begin = np.cumsum(trunks.lengths) - trunks.lengths  # of each text in the flat trunk
    n_trunk, n_new = len(trunks.ids), int(size.sum())
    behind = (begin[text] + after)[owner]  # (branches,) the flat trunk token that follows
    before = np.cumsum(size) - size  # injected tokens before each branch, over all texts
    pushed = np.bincount(behind, weights=size, minlength=n_trunk + 1).astype(np.int64)
    to_trunk = np.arange(n_trunk) + np.cumsum(pushed)[:n_trunk]
    within = np.arange(n_new) - np.repeat(before, size)  # place in its branch
    to_branch = np.repeat(behind + before, size) + within

    total = n_trunk + n_new
    flat = {name: np.zeros(total, np.int16) for name in ("soft", "owner", "branch")}
    ids = np.empty(total, np.int32)
    ids[to_trunk] = trunks.ids
    ids[to_branch] = branches.ids[np.repeat(branches.starts[slot], size) + within]
    # §soft position: the trunk ignores branches; a branch goes on from its owner's last token
    flat["soft"][to_trunk] = np.arange(n_trunk) - np.repeat(begin, trunks.lengths)
    flat["soft"][to_branch] = np.repeat(after[owner], size) + within
    number = _ordinals(text)  # of a match in its text, from 1
    span = after - first
    held = np.repeat(begin[text] + first - (np.cumsum(span) - span), span) + np.arange(int(span.sum()))
    flat["owner"][to_trunk[held]] = np.repeat(number, span)
    flat["owner"][to_branch] = np.repeat(number[owner], size)
    flat["branch"][to_branch] = np.repeat(_ordinals(text[owner]), size)

    def follow(values, fill):
        """``values`` of the trunk; branches get ``fill``, or their owner's where that is None."""
        if values is None:
            return None
        result = np.full(total, 0 if fill is None else fill, values.dtype)
        result[to_trunk] = values
        if fill is None:
            result[to_branch] = np.repeat(values[behind - 1], size)
        return result

    lengths = trunks.lengths + np.bincount(text[owner], weights=size, minlength=len(begin)).astype(np.int64)
    return {
        "ids": ids, **flat, "segments": follow(trunks.types, None), "words": follow(trunks.words, -1),
        "starts": np.concatenate([[0], np.cumsum(lengths)]), "branch_rows": row.astype(np.int32),
        "branch_text": text[owner].astype(np.int32), "dropped": dropped,
    }  # fmt: skip


def _ordinals(groups: np.ndarray) -> np.ndarray:
    """1, 2, 3, … within each run of equal ``groups`` (sorted)."""
    places = np.arange(len(groups))
    fresh = np.concatenate([[True], groups[1:] != groups[:-1]]) if len(groups) else np.zeros(0, bool)
    return places - np.maximum.accumulate(np.where(fresh, places, 0)) + 1


def _fitting(lengths, text, rank, size, max_length: int) -> np.ndarray:
    """(branches,) bool: those that fit. Where not all do: by rank, then from left to right, whole ones only."""
    keep = np.ones(len(text), bool)
    wanted = lengths + np.bincount(text, weights=size, minlength=len(lengths))
    for number in np.flatnonzero(wanted > max_length):
        room = max_length - int(lengths[number])
        here = np.arange(*np.searchsorted(text, [number, number + 1]))
        for place in here[np.argsort(rank[here], kind="stable")]:
            if size[place] <= room:
                room -= int(size[place])
            else:
                keep[place] = False
    return keep
