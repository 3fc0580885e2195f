"""Many short texts in one block of bytes: a Python string costs fifty bytes before its first letter."""

from array import array
from collections.abc import Iterable, Sequence

import numpy as np


class Strings:
    """A list of texts that cannot be changed; ``strings[i]`` decodes one."""

    def __init__(self, texts: Iterable[str]):
        encoded = [text.encode() for text in texts]
        self._ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        if not len(encoded) or self._ends[-1] < 2**32:
            self._ends = self._ends.astype(np.uint32)
        self._block = b"".join(encoded)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, i: int) -> str:
        return self._block[int(self._ends[i - 1]) if i else 0 : int(self._ends[i])].decode()

    @property
    def nbytes(self) -> int:
        return len(self._block) + self._ends.nbytes


def intern(rows: Iterable[Sequence[str]]) -> tuple[Strings, tuple[str, ...], tuple[np.ndarray, ...]]:
    """(texts, predicates, table): rows of texts as numbers, in the order in which they come.

    The table is the numbers of subjects, predicates and objects, row by row; subjects and objects share the texts.
    """
    texts: dict[str, int] = {}
    kinds: dict[str, int] = {}
    subjects, predicates, objects = array("I"), array("I"), array("I")
    number, kind = texts.setdefault, kinds.setdefault
    for subject, predicate, object_ in rows:
        subjects.append(number(subject, len(texts)))
        predicates.append(kind(predicate, len(kinds)))
        objects.append(number(object_, len(texts)))
    columns = [np.frombuffer(column, np.uint32) if column else np.zeros(0, np.uint32)
               for column in (subjects, predicates, objects)]  # fmt: skip
    small = np.uint16 if len(kinds) < 2**16 else np.uint32
    return Strings(texts), tuple(kinds), (columns[0], columns[1].astype(small), columns[2])
