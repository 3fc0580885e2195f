"""Lean's kernel alone, called as a library: an empty environment, to which declarations are added one by one.

Terms come from `terms.Terms` and are built anew through Lean's own constructors, so that no cached value (a hash, the
range of loose variables) of a stranger's file reaches the kernel. Everything that is built has a reference count of 0,
which Lean takes for an object that is never freed: this process judges one proof and ends.
"""

import ctypes
import struct

from . import terms as T
from .terms import APP, BVAR, CONST, LAM, LET, LIT, PI, PROJ, SORT, Constant, Name, Terms, spell

_REASONS = (
    "a constant that is not there", "a name declared twice", "the value is not of the stated type", "a declaration "
    "with unassigned variables", "a declaration with free variables", "a function was expected", "a type was expected",
    "types of a let do not agree", "a type does not agree with its expected type", "an argument of the wrong type",
    "a wrong projection", "the type of a theorem is no proposition", "another reason", "a loop or too deep",
    "too deep", "out of memory", "out of time",
)  # fmt: skip


class Rejected(Exception):
    """The kernel does not accept a declaration."""


class Kernel:
    """A kernel environment; ``library`` is the path of libleanshared.so."""

    def __init__(self, library: str, terms: Terms) -> None:
        self.terms = terms
        self._lib = lib = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        word, byte = ctypes.c_size_t, ctypes.c_uint8
        self._kept: list = []
        self._names: dict[Name, int] = {(): 1}
        self._levels: dict[tuple, int] = {}
        self._exprs: dict[int, int] = {}

        def call(symbol: str, *arguments):
            function = getattr(lib, symbol)
            function.restype, function.argtypes = word, arguments
            return function

        lib.lean_initialize.restype = None
        lib.lean_initialize()
        lib.lean_io_mark_end_initialization()
        self._string = call("lean_mk_string_from_bytes_unchecked", ctypes.c_char_p, word)
        self._big = call("lean_cstr_to_nat", ctypes.c_char_p)
        self._str = call("l_Lean_Name_str___override", word, word)
        self._num = call("l_Lean_Name_num___override", word, word)
        self._level_of = {
            T.SUCC: call("l_Lean_Level_succ___override", word),
            T.MAX: call("l_Lean_Level_max___override", word, word),
            T.IMAX: call("l_Lean_Level_imax___override", word, word),
            T.PARAM: call("l_Lean_Level_param___override", word),
        }
        self._expr_of = {
            BVAR: call("l_Lean_Expr_bvar___override", word),
            SORT: call("l_Lean_Expr_sort___override", word),
            CONST: call("l_Lean_Expr_const___override", word, word),
            APP: call("l_Lean_Expr_app___override", word, word),
            LAM: call("l_Lean_Expr_lam___override", word, word, word, byte),
            PI: call("l_Lean_Expr_forallE___override", word, word, word, byte),
            LET: call("l_Lean_Expr_letE___override", word, word, word, word, byte),
            LIT: call("l_Lean_Expr_lit___override", word),
            PROJ: call("l_Lean_Expr_proj___override", word, word, word),
        }
        self._add = call("lean_add_decl", word, word, word, word, word)
        zero = ctypes.c_size_t.in_dll(lib, "l_Lean_Level_zero___override").value
        self._levels[(T.ZERO,)] = zero
        made = call("l_Lean_mkEmptyEnvironment", ctypes.c_uint32)(0)
        if self._tag(made) != 0:
            raise RuntimeError("Lean makes no empty environment")
        to_kernel = call("lean_elab_environment_to_kernel_env", word)
        self._environment = to_kernel(self._field(made, 0))

    # --------------------------------------------------------------------------------------------------------- objects
    @staticmethod
    def _tag(pointer: int) -> int:
        return pointer >> 1 if pointer & 1 else ctypes.c_uint8.from_address(pointer + 7).value

    @staticmethod
    def _field(pointer: int, number: int) -> int:
        return ctypes.c_size_t.from_address(pointer + 8 + 8 * number).value

    @staticmethod
    def _keep(pointer: int) -> int:
        ctypes.c_int32.from_address(pointer).value = 0
        return pointer

    def _object(self, tag: int, fields: tuple[int, ...], scalars: bytes = b"") -> int:
        """A constructor object of Lean: its fields, then its scalars."""
        scalars += bytes(-len(scalars) % 8)
        size = 8 + 8 * len(fields) + len(scalars)
        buffer = (ctypes.c_uint64 * (size // 8))()
        data = struct.pack("<iHBB", 0, size, len(fields), tag) + struct.pack(f"<{len(fields)}Q", *fields) + scalars
        ctypes.memmove(buffer, data, size)
        self._kept.append(buffer)
        return ctypes.addressof(buffer)

    def _list(self, items) -> int:
        made = 1
        for item in reversed(list(items)):
            made = self._object(1, (item, made))
        return made

    def _text(self, text: str) -> int:
        data = text.encode()
        return self._keep(self._string(data, len(data)))

    def _natural(self, number: int) -> int:
        return number << 1 | 1 if number < 1 << 63 else self._keep(self._big(str(number).encode()))

    def _name(self, name: Name) -> int:
        if name not in self._names:
            before, part = self._name(name[:-1]), name[-1]
            made = self._str(before, self._text(part)) if isinstance(part, str) else self._num(before, part << 1 | 1)
            self._names[name] = self._keep(made)
        return self._names[name]

    def _level(self, level: tuple) -> int:
        if level not in self._levels:
            below = [self._name(level[1])] if level[0] == T.PARAM else map(self._level, level[1:])
            self._levels[level] = self._keep(self._level_of[level[0]](*below))
        return self._levels[level]

    def _expr(self, term: int) -> int:
        known, nodes, make = self._exprs, self.terms.nodes, self._expr_of
        if term in known:
            return known[term]
        for number in self.terms.inside(term):
            if number in known:
                continue
            node = nodes[number]
            tag = node[0]
            if tag == APP:
                made = make[APP](known[node[1]], known[node[2]])
            elif tag in (LAM, PI):
                made = make[tag](self._name(node[1]), known[node[2]], known[node[3]], node[4])
            elif tag == BVAR:
                made = make[BVAR](self._natural(node[1]))
            elif tag == CONST:
                made = make[CONST](self._name(node[1]), self._list(map(self._level, node[2])))
            elif tag == SORT:
                made = make[SORT](self._level(node[1]))
            elif tag == LET:
                made = make[LET](self._name(node[1]), *(known[part] for part in node[2:]), 0)
            elif tag == PROJ:
                made = make[PROJ](self._name(node[1]), self._natural(node[2]), known[node[3]])
            else:
                value = node[1]
                text = isinstance(value, str)
                made = make[LIT](self._object(int(text), (self._text(value) if text else self._natural(value),)))
            known[number] = self._keep(made)
        return known[term]

    # ---------------------------------------------------------------------------------------------------- declarations
    def _declare(self, tag: int, content: tuple[int, ...], scalars: bytes, what: str) -> None:
        answer = self._add(self._environment, 0, 0, self._object(tag, content, scalars), 1)
        if self._tag(answer) != 1:
            reason = self._tag(self._field(answer, 0))
            told = _REASONS[reason] if reason < len(_REASONS) else f"reason {reason}"
            raise Rejected(f"the kernel rejects {what}: {told}")
        self._environment = self._field(answer, 0)

    def _signature(self, name: Name, levels: tuple[Name, ...], type_: int) -> int:
        return self._object(0, (self._name(name), self._list(map(self._name, levels)), self._expr(type_)))

    def axiom(self, one: Constant) -> None:
        value = self._object(0, (self._signature(one.name, one.levels, one.type),), b"\0")
        self._declare(0, (value,), b"", spell(one.name))

    def definition(self, one: Constant) -> None:
        hints = one.fields["hints"] << 1 | 1
        if one.fields["height"] is not None:
            hints = self._object(2, (), struct.pack("<I", one.fields["height"]))
        signature = self._signature(one.name, one.levels, one.type)
        value = self._object(0, (signature, self._expr(one.value), hints, self._list([self._name(one.name)])), b"\1")
        self._declare(1, (value,), b"", spell(one.name))

    def theorem(self, one: Constant) -> None:
        self._valued(2, one, b"")

    def opaque(self, one: Constant) -> None:
        self._valued(3, one, b"\0")

    def _valued(self, tag: int, one: Constant, scalars: bytes) -> None:
        signature = self._signature(one.name, one.levels, one.type)
        fields = (signature, self._expr(one.value), self._list([self._name(one.name)]))
        self._declare(tag, (self._object(0, fields, scalars),), b"", spell(one.name))

    def quotients(self) -> None:
        """`Quot` and what belongs to it, which the kernel knows by itself."""
        answer = self._add(self._environment, 0, 0, 4 << 1 | 1, 1)
        if self._tag(answer) != 1:
            raise Rejected("the kernel has no quotients here")
        self._environment = self._field(answer, 0)

    def inductive(self, types: list[tuple[Constant, list[Constant]]]) -> None:
        """One inductive type, or several that are declared together, each with its constructors."""
        first = types[0][0]
        made = [
            self._object(
                0,
                (
                    self._name(one.name),
                    self._expr(one.type),
                    self._list(self._object(0, (self._name(c.name), self._expr(c.type))) for c in constructors),
                ),
            )
            for one, constructors in types
        ]
        fields = (
            self._list(map(self._name, first.levels)), self._natural(first.fields["parameters"]), self._list(made),
        )  # fmt: skip
        self._declare(6, fields, b"\0", spell(first.name))
