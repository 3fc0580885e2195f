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


class Interner:
    """Turns rows of texts into rows of numbers, in the order in which they come."""

    def __init__(self):
        self._strings: dict[str, int] = {}
        self._predicates: dict[str, int] = {}

    def add(self, rows: Iterable[Sequence[str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of subjects, predicates and objects, row by row; subjects and objects share one list."""
        subjects, predicates, objects = array("I"), array("I"), array("I")
        number, kind = self._strings.setdefault, self._predicates.setdefault
        for subject, predicate, object_ in rows:
            subjects.append(number(subject, len(self._strings)))
            predicates.append(kind(predicate, len(self._predicates)))
            objects.append(number(object_, len(self._strings)))
        columns = [np.frombuffer(column, np.uint32) if column else np.zeros(0, np.uint32)
                   for column in (subjects, predicates, objects)]  # fmt: skip
        small = np.uint16 if len(self._predicates) < 2**16 else np.uint32
        return columns[0], columns[1].astype(small), columns[2]

    def strings(self) -> Strings:
        return Strings(self._strings)

    def predicates(self) -> tuple[str, ...]:
        return tuple(self._predicates)
