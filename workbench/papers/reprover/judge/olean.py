"""Reading a compiled Lean file (.olean) without Lean: its constants, their types and values, as plain Python terms.

A compiled file is a dump of Lean's objects: a header with the address it was made for, then objects of eight-byte words
(count, size, number of fields, tag; then pointers to earlier objects, then scalars). Nothing of what it says about
itself is believed here: every pointer must point back into the file, hashes and cached values are left unread, and what
is no well-formed term is an error. So the answer depends on the bytes alone, and on no code of the file's author.
"""

import struct
from typing import ClassVar

from . import terms as T
from .terms import Constant, Name, Terms, spell

_ARRAY, _STRING, _MPZ = 246, 249, 250
_ROOT = 0x58


class Malformed(ValueError):
    """The bytes are no compiled file of the version that is read here."""


class Olean:
    """One compiled file: `constants` maps names to places, `constant` reads one, `imports` names modules."""

    def __init__(self, data: bytes, terms: Terms) -> None:
        self.terms, self._data = terms, data
        if data[:6] != b"olean\x02" or len(data) < 0x70:
            raise Malformed("no .olean file of version 2")
        self.version = data[7:0x28].split(b"\0")[0].decode("ascii", "replace")
        self._base, root = struct.unpack_from("<QQ", data, 0x50)
        self._names: dict[int, Name] = {}
        self._levels: dict[int, tuple] = {}
        self._exprs: dict[int, int] = {}
        at = self._place(root)
        parts = self._fields(at, 0, 5)
        self.imports = [self._name(self._fields(self._place(one), 0, 1)[0]) for one in self._array(parts[0])]
        names, values = self._array(parts[1]), self._array(parts[2])
        if len(names) != len(values):
            raise Malformed("as many names as constants are needed")
        self.constants: dict[Name, int] = {}
        for name, value in zip(map(self._name, names), values, strict=True):
            if name in self.constants:
                raise Malformed(f"{spell(name)} stands in the file twice")
            self.constants[name] = value

    # --------------------------------------------------------------------------------------------------------- objects
    def _place(self, pointer: int) -> int:
        at = pointer - self._base
        if pointer & 7 or not _ROOT + 8 <= at <= len(self._data) - 8:
            raise Malformed("a pointer leaves the file")
        return at

    def _head(self, at: int) -> tuple[int, int]:
        """Number of fields and tag."""
        return self._data[at + 6], self._data[at + 7]

    def _words(self, at: int, count: int) -> tuple[int, ...]:
        if at + 8 * count > len(self._data):
            raise Malformed("an object leaves the file")
        return struct.unpack_from(f"<{count}Q", self._data, at)

    def _fields(self, at: int, tag: int, count: int) -> tuple[int, ...]:
        if self._head(at) != (count, tag):
            raise Malformed(f"an object has tag and fields {self._head(at)[::-1]}, not {(tag, count)}")
        return self._words(at + 8, count)

    def _scalars(self, at: int, fields: int, count: int) -> bytes:
        start = at + 8 + 8 * fields
        if start + count > len(self._data):
            raise Malformed("an object leaves the file")
        return self._data[start : start + count]

    def _array(self, pointer: int) -> tuple[int, ...]:
        at = self._place(pointer)
        if self._head(at)[1] != _ARRAY:
            raise Malformed("an array is missing")
        return self._words(at + 24, self._words(at + 8, 1)[0])

    def _string(self, pointer: int) -> str:
        at = self._place(pointer)
        if self._head(at)[1] != _STRING:
            raise Malformed("a text is missing")
        size = self._words(at + 8, 1)[0]
        if not 1 <= size <= len(self._data) - at - 32:
            raise Malformed("a text leaves the file")
        return self._data[at + 32 : at + 31 + size].decode("utf-8")

    def _natural(self, pointer: int) -> int:
        if pointer & 1:
            return pointer >> 1
        at = self._place(pointer)
        if self._head(at)[1] != _MPZ:
            raise Malformed("a number is missing")
        size = struct.unpack_from("<ii", self._data, at + 8)[1]
        limbs = self._words(self._place(self._words(at + 16, 1)[0]), size) if size > 0 else ()
        return sum(limb << 64 * n for n, limb in enumerate(limbs))

    def _list(self, pointer: int) -> list[int]:
        found = []
        while not pointer & 1:
            head, after = self._fields(self._place(pointer), 1, 2)
            found.append(head)
            if not after & 1 and after >= pointer:
                raise Malformed("a list goes in a circle")
            pointer = after
        return found

    def _name(self, pointer: int) -> Name:
        chain = []
        while not pointer & 1 and pointer not in self._names:
            at = self._place(pointer)
            if self._head(at) not in ((2, 1), (2, 2)):
                raise Malformed("a name is missing")
            before, part = self._words(at + 8, 2)
            if not before & 1 and before >= pointer:
                raise Malformed("a name goes in a circle")
            chain.append((pointer, self._string(part) if self._head(at)[1] == 1 else self._natural(part)))
            pointer = before
        name = () if pointer & 1 else self._names[pointer]
        for place, part in reversed(chain):
            name = self._names[place] = (*name, part)
        return name

    def _level(self, pointer: int) -> tuple:
        if pointer == 1:  # a constructor without fields is no object
            return (T.ZERO,)
        if pointer in self._levels:
            return self._levels[pointer]
        at = self._place(pointer)
        count, tag = self._head(at)
        if count != {T.SUCC: 1, T.MAX: 2, T.IMAX: 2, T.PARAM: 1}.get(tag):
            raise Malformed("a level is missing")
        parts = self._words(at + 8, count)
        if tag != T.PARAM and any(part >= pointer for part in parts):
            raise Malformed("a level goes in a circle")
        level = (tag, self._name(parts[0])) if tag == T.PARAM else (tag, *map(self._level, parts))
        self._levels[pointer] = level
        return level

    # ----------------------------------------------------------------------------------------------------------- terms
    _SHAPE: ClassVar = {T.BVAR: 1, T.SORT: 1, T.CONST: 2, T.APP: 2, T.LAM: 3, T.PI: 3, T.LET: 4, T.LIT: 1, T.MDATA: 2,
                        T.PROJ: 3}  # fmt: skip
    _TERMS: ClassVar = {T.APP: (0, 1), T.LAM: (1, 2), T.PI: (1, 2), T.LET: (1, 2, 3), T.MDATA: (1,), T.PROJ: (2,)}

    def _expr(self, pointer: int) -> int:
        known, waiting, todo = self._exprs, [pointer], {}
        while waiting:
            one = waiting.pop()
            if one in known or one in todo:
                continue
            at = self._place(one)
            count, tag = self._head(at)
            if self._SHAPE.get(tag) != count:
                raise Malformed("a term is missing, or holds a variable of a proof in the making")
            parts = self._words(at + 8, count)
            below = [parts[n] for n in self._TERMS.get(tag, ())]
            if any(part >= one for part in below):
                raise Malformed("a term goes in a circle")
            todo[one] = (at, tag, parts)
            waiting += below
        for one in sorted(todo):
            at, tag, parts = todo[one]
            known[one] = known[parts[1]] if tag == T.MDATA else self.terms.add(self._node(at, tag, parts))
        return known[pointer]

    def _node(self, at: int, tag: int, parts: tuple[int, ...]) -> tuple:
        known = self._exprs
        if tag == T.APP:
            return T.APP, known[parts[0]], known[parts[1]]
        if tag in (T.LAM, T.PI):
            binder = self._scalars(at, 3, 9)[8]
            return tag, self._name(parts[0]), known[parts[1]], known[parts[2]], min(binder, 3)
        if tag == T.BVAR:
            return T.BVAR, self._natural(parts[0])
        if tag == T.CONST:
            return T.CONST, self._name(parts[0]), tuple(map(self._level, self._list(parts[1])))
        if tag == T.SORT:
            return T.SORT, self._level(parts[0])
        if tag == T.LET:
            return T.LET, self._name(parts[0]), *(known[part] for part in parts[1:])
        if tag == T.PROJ:
            return T.PROJ, self._name(parts[0]), self._natural(parts[1]), known[parts[2]]
        literal = self._place(parts[0])
        count, kind = self._head(literal)
        if count != 1 or kind > 1:
            raise Malformed("a literal is missing")
        (value,) = self._words(literal + 8, 1)
        return T.LIT, self._string(value) if kind else self._natural(value)

    # ------------------------------------------------------------------------------------------------------- constants
    def constant(self, name: Name) -> Constant:
        """The declaration of this name, read with its terms."""
        at = self._place(self.constants[name])
        count, kind = self._head(at)
        if count != 1 or kind > T.RECURSOR:
            raise Malformed("a declaration is missing")
        value_at = self._place(self._words(at + 8, 1)[0])
        size = {T.AXIOM: 1, T.DEFINITION: 4, T.THEOREM: 3, T.OPAQUE: 3, T.QUOTIENT: 1, T.INDUCTIVE: 6, T.CONSTRUCTOR: 5,
                T.RECURSOR: 7}[kind]  # fmt: skip
        parts = self._fields(value_at, 0, size)
        flags = self._scalars(value_at, size, 3)
        named, levels, type_at = self._fields(self._place(parts[0]), 0, 3)
        if self._name(named) != name:
            raise Malformed(f"{spell(name)} holds another declaration")
        found = Constant(name, kind, tuple(map(self._name, self._list(levels))), self._expr(type_at))
        if kind in (T.DEFINITION, T.THEOREM, T.OPAQUE):
            found.value = self._expr(parts[1])
        if kind == T.DEFINITION:
            hints = parts[2]
            height = None if hints & 1 else struct.unpack("<I", self._scalars(self._place(hints), 0, 4))[0]
            found.fields = {"hints": hints >> 1 if hints & 1 else 2, "height": height}
        if kind == T.INDUCTIVE:
            found.fields = {
                "parameters": self._natural(parts[1]),
                "all": [self._name(one) for one in self._list(parts[3])],
                "constructors": [self._name(one) for one in self._list(parts[4])],
            }
        if kind in (T.CONSTRUCTOR, T.RECURSOR):
            owner = self._name(parts[1]) if kind == T.CONSTRUCTOR else self._name(self._list(parts[1])[0])
            found.fields = {"inductive": owner}
        # safety of a definition: 0 unsafe, 1 safe, 2 partial; a flag that says unsafe elsewhere
        unsafe = {T.DEFINITION: flags[0] != 1, T.AXIOM: flags[0], T.OPAQUE: flags[0], T.INDUCTIVE: flags[1],
                  T.CONSTRUCTOR: flags[0], T.RECURSOR: flags[1]}.get(kind, 0)  # fmt: skip
        found.fields["unsafe"] = bool(unsafe)
        return found
