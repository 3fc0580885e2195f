"""Lean's terms and declarations as plain Python values, with no Lean: looked through, compared, written down.

Terms are numbers into `Terms.nodes`: equal terms have equal numbers, whatever file they came from.
"""

from dataclasses import dataclass, field

# what an .olean calls them: the tag of each constructor, in the order of Lean's sources
BVAR, FVAR, MVAR, SORT, CONST, APP, LAM, PI, LET, LIT, MDATA, PROJ = range(12)
ZERO, SUCC, MAX, IMAX, PARAM = range(5)
AXIOM, DEFINITION, THEOREM, OPAQUE, QUOTIENT, INDUCTIVE, CONSTRUCTOR, RECURSOR = range(8)
KINDS = ("axiom", "definition", "theorem", "opaque", "quotient", "inductive", "constructor", "recursor")
Name = tuple  # of str and int, () is the anonymous name


def spell(name: Name) -> str:
    """A name as it is written, with its dots; parts that are no plain identifier stand in «»."""
    parts = (str(part) if isinstance(part, int) or _is_plain(part) else f"«{part}»" for part in name)
    return ".".join(parts) or "[anonymous]"


def _is_plain(part: str) -> bool:
    return part.replace("'", "").replace("!", "").replace("?", "").isidentifier()


@dataclass
class Constant:
    """One declaration; ``fields`` holds what only its kind has (hints, constructors, …)."""

    name: Name
    kind: int
    levels: tuple[Name, ...]
    type: int
    value: int | None = None
    fields: dict = field(default_factory=dict)


class Terms:
    """All terms seen so far; a term is the number of its node.

    Nodes: (BVAR, n) (SORT, level) (CONST, name, levels) (APP, f, a) (LAM | PI, name, type, body, binder) (LET, name,
    type, value, body) (LIT, int | str) (PROJ, structure, n, term). Levels: (ZERO,) (SUCC, l) (MAX | IMAX, l, r)
    (PARAM, name). Annotations (mdata) are dropped: they mean nothing to the kernel.
    """

    def __init__(self) -> None:
        self.nodes: list[tuple] = []
        self._known: dict[tuple, int] = {}
        self._uses: dict[int, frozenset] = {}

    def add(self, node: tuple) -> int:
        number = self._known.setdefault(node, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(node)
        return number

    @staticmethod
    def below(node: tuple) -> tuple[int, ...]:
        """The terms that a node is made of."""
        tag = node[0]
        if tag == APP:
            return node[1:3]
        if tag in (LAM, PI):
            return node[2:4]
        if tag == LET:
            return node[2:5]
        return (node[3],) if tag == PROJ else ()

    def inside(self, *terms: int | None) -> list[int]:
        """Every term that these are made of, themselves included, each after its own parts."""
        seen: set[int] = set()
        waiting = [term for term in terms if term is not None]
        while waiting:
            term = waiting.pop()
            if term not in seen:
                seen.add(term)
                waiting += self.below(self.nodes[term])
        return sorted(seen)  # a node is made after its parts

    def constants(self, *terms: int | None) -> set[Name]:
        """The names that terms mention, in projections and through literals too."""
        found: set[Name] = set()
        for number in self.inside(*terms):
            node = self.nodes[number]
            if node[0] in (CONST, PROJ):
                found.add(node[1])
            elif node[0] == LIT:  # the kernel gives these a type, and opens them as applications of these
                found |= _NATURALS if isinstance(node[1], int) else _STRINGS
        return found

    def head(self, term: int) -> Name | None:
        """The constant that a term applies, if it applies one."""
        while self.nodes[term][0] == APP:
            term = self.nodes[term][1]
        return self.nodes[term][1] if self.nodes[term][0] == CONST else None

    def result(self, term: int) -> Name | None:
        """The head of what a function type ends in."""
        while self.nodes[term][0] == PI:
            term = self.nodes[term][3]
        return self.head(term)

    def classes(self) -> set[Name]:
        """What stands in square brackets in any term read so far: type classes."""
        found = (self.head(node[2]) for node in self.nodes if node[0] in (PI, LAM) and node[4] == 3)
        return {name for name in found if name is not None}

    def rename(self, term: int, levels: dict[Name, Name], names: dict[Name, Name] | None = None) -> int:
        """The term with other names for its universe parameters, and for constants."""
        names = names or {}

        def level(one: tuple) -> tuple:
            return (PARAM, levels.get(one[1], one[1])) if one[0] == PARAM else (one[0], *map(level, one[1:]))

        made: dict[int, int] = {}
        for number in self.inside(term):
            node = self.nodes[number]
            tag = node[0]
            if tag == SORT:
                node = (SORT, level(node[1]))
            elif tag == CONST:
                node = (CONST, names.get(node[1], node[1]), tuple(map(level, node[2])))
            elif tag == APP:
                node = (APP, made[node[1]], made[node[2]])
            elif tag in (LAM, PI):
                node = (tag, node[1], made[node[2]], made[node[3]], node[4])
            elif tag == LET:
                node = (LET, node[1], *(made[part] for part in node[2:]))
            elif tag == PROJ:
                node = (PROJ, *node[1:3], made[node[3]])
            made[number] = self.add(node)
        return made[term]

    def same(self, one: int, other: int) -> bool:
        """Whether two terms differ in nothing but the names and the brackets of their bound variables."""
        waiting, seen = [(one, other)], set()
        while waiting:
            pair = waiting.pop()
            if pair[0] == pair[1] or pair in seen:
                continue
            seen.add(pair)
            left, right = self.nodes[pair[0]], self.nodes[pair[1]]
            if left[0] != right[0] or left[0] not in (APP, LAM, PI, LET, PROJ):
                return False
            if left[0] == PROJ and left[1:3] != right[1:3]:
                return False
            waiting += zip(self.below(left), self.below(right), strict=True)
        return True


_NATURALS = {("Nat",), ("Nat", "zero"), ("Nat", "succ")}
_STRINGS = {("String",), ("Char",), ("List",), *_NATURALS}


def show(terms: Terms, term: int, longest: int = 4000) -> str:
    """A term as text, nothing hidden: full names, every argument, no notation that a file could have changed."""
    written: list[str] = []
    size = 0

    def write(text: str) -> None:
        nonlocal size
        written.append(text)
        size += len(text)
        if size > longest:
            raise _TooLong

    def go(term: int, bound: tuple[str, ...], tight: bool) -> None:
        node = terms.nodes[term]
        tag = node[0]
        if tag in (APP, LAM, PI, LET) and tight:
            write("(")
            go(term, bound, False)
            write(")")
        elif tag == BVAR:
            write(bound[node[1]] if node[1] < len(bound) else f"#{node[1]}")
        elif tag == SORT:
            write({(ZERO,): "Prop", (SUCC, (ZERO,)): "Type"}.get(node[1], f"Sort {_level(node[1])}"))
        elif tag == CONST:
            write(spell(node[1]))
        elif tag == APP:
            parts = []
            while terms.nodes[term][0] == APP:
                parts.append(terms.nodes[term][2])
                term = terms.nodes[term][1]
            go(term, bound, True)
            for part in reversed(parts):
                write(" ")
                go(part, bound, True)
        elif tag in (LAM, PI):
            if tag == PI and not uses_variable(terms, node[3]):
                go(node[2], bound, True)
                write(" → ")
                go(node[3], ("_", *bound), False)
                return
            name = _fresh(node[1], bound)
            left, right = ("(", ")"), ("{", "}")
            opening, closing = (left, right, right, ("[", "]"))[node[4]]
            write(f"{'∀' if tag == PI else 'fun'} {opening}{name} : ")
            go(node[2], bound, False)
            write(f"{closing}{',' if tag == PI else ' =>'} ")
            go(node[3], (name, *bound), False)
        elif tag == LET:
            name = _fresh(node[1], bound)
            write(f"let {name} : ")
            go(node[2], bound, False)
            write(" := ")
            go(node[3], bound, False)
            write("; ")
            go(node[4], (name, *bound), False)
        elif tag == LIT:
            write(repr(node[1]))
        else:
            go(node[3], bound, True)
            write(f".{node[2] + 1}")

    try:
        go(term, (), False)
    except (_TooLong, RecursionError):
        return "".join(written)[:longest] + " … (it goes on)"
    return "".join(written)


class _TooLong(Exception):
    """The text is as long as is wanted."""


def _level(level: tuple) -> str:
    if level[0] == PARAM:
        return spell(level[1])
    if level[0] in (MAX, IMAX):
        return f"({'max' if level[0] == MAX else 'imax'} {_level(level[1])} {_level(level[2])})"
    return "0" if level[0] == ZERO else f"({_level(level[1])} + 1)"


def _fresh(name: Name, bound: tuple[str, ...]) -> str:
    plain = next((part for part in name if isinstance(part, str) and part != "_@"), "x")
    return next(one for n in range(len(bound) + 2) if (one := plain + "'" * n) not in bound)


def uses_variable(terms: Terms, body: int) -> bool:
    """Whether the innermost bound variable occurs in ``body``."""
    waiting, seen = [(body, 0)], set()
    while waiting:
        term, depth = waiting.pop()
        if (term, depth) in seen:
            continue
        seen.add((term, depth))
        node = terms.nodes[term]
        if node[0] == BVAR and node[1] == depth:
            return True
        below = terms.below(node)
        inner = 1 if node[0] in (LAM, PI, LET) else 0
        waiting += [(part, depth + (inner if n == len(below) - 1 else 0)) for n, part in enumerate(below)]
    return False
