"""K-BERT's injection as its reference does it: word by word from a dictionary, a dense matrix for every sentence.

Written from the card, with care taken: subjects of several words are looked for (by windows no longer than the longest
subject that begins with the word), the tokens of a word and of a branch are remembered, matrices are filled by rows
through numpy. It must give the same ids, soft positions and masks as `inject` and the collator, or the benchmark fails.
"""

import re

import numpy as np

WORD = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9\s]")


class Literal:
    """The dictionary of a graph, and the sentences of a text through it.

    Parameters
    ----------
    triples
        (subject, predicate, object) in order.
    tokenizer
        BERT's: [CLS] words [SEP].
    """

    def __init__(self, triples, tokenizer, *, max_branches: int = 2):
        self.tokenizer, self.max_branches = tokenizer, max_branches
        self.table: dict[str, list[str]] = {}
        self.longest: dict[str, int] = {}
        for subject, predicate, object_ in triples:
            words = WORD.findall(subject.lower())
            self.table.setdefault(" ".join(words), []).append(f"{predicate} {object_}")
            self.longest[words[0]] = max(self.longest.get(words[0], 0), len(words))
        self.pieces: dict[str, list[int]] = {}

    def tokens(self, text: str) -> list[int]:
        found = self.pieces.get(text)
        if found is None:
            found = self.pieces[text] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def sentence(self, text: str):
        """(ids, soft positions, (T, T) matrix of ones and zeros) of one sentence."""
        words = WORD.findall(text.lower())
        tree = [([self.tokenizer.cls_token_id], [])]
        place = 0
        while place < len(words):
            size, values = 1, []
            for length in range(min(self.longest.get(words[place], 0), len(words) - place), 0, -1):
                found = self.table.get(" ".join(words[place : place + length]))
                if found is not None:
                    size, values = length, found[: self.max_branches]
                    break
            own = [token for word in words[place : place + size] for token in self.tokens(word)]
            tree.append((own, [self.tokens(value) for value in values]))
            place += size
        tree.append(([self.tokenizer.sep_token_id], []))

        ids, soft, places = [], [], []
        trunk, at = 0, 0
        for own, branches in tree:
            ids += own
            soft += range(trunk, trunk + len(own))
            own_places = list(range(at, at + len(own)))
            trunk, at = trunk + len(own), at + len(own)
            branch_places = []
            for branch in branches:
                ids += branch
                soft += range(trunk, trunk + len(branch))
                branch_places.append(list(range(at, at + len(branch))))
                at += len(branch)
            places.append((own_places, branch_places))

        visible = np.zeros((len(ids), len(ids)))
        trunk_places = [place for own, _ in places for place in own]
        for own, branches in places:
            seen = trunk_places + [place for branch in branches for place in branch]
            for place in own:
                visible[place, seen] = 1
            for branch in branches:
                for place in branch:
                    visible[place, branch + own] = 1
        return ids, soft, visible

    @staticmethod
    def pad(trees, length: int):
        """Sentences padded to ``length``, matrices and all."""
        rows = []
        for ids, soft, visible in trees:
            pad = length - len(ids)
            if pad < 0:
                raise ValueError(f"{len(ids)} tokens do not fit {length}")
            rows.append((ids + [0] * pad, soft + [0] * pad, np.pad(visible, ((0, pad), (0, pad)))))
        return rows

    def dataset(self, texts, length: int):
        """Every sentence with its dense matrix, as the reference keeps a data set."""
        return self.pad([self.sentence(text) for text in texts], length)

    @staticmethod
    def batches(rows, size: int):
        """What the model gets: (1 - V) * -1e4, batch by batch."""
        import torch

        for begin in range(0, len(rows), size):
            ids, soft, visible = zip(*rows[begin : begin + size])
            mask = (1.0 - torch.from_numpy(np.stack(visible)).float()).unsqueeze(1) * -10000.0
            yield torch.LongTensor(ids), torch.LongTensor(soft), mask
