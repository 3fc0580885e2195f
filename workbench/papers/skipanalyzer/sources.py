"""The methods of Java files: where they stand, what they call, and what could not be read.

tree-sitter's grammar reads modern Java (records, sealed types, pattern switches, text blocks) without a class path and
goes on behind an error. Nothing is compiled or executed here.
"""

import functools
import os
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import DataError
from ...files import user_path

LARGEST = 2_000_000  # bytes of one file: what is longer was written by a program
BODIES = ("method_declaration", "constructor_declaration", "compact_constructor_declaration")
TYPES = (
    "class_declaration", "interface_declaration", "enum_declaration", "record_declaration",
    "annotation_type_declaration",
)  # fmt: skip
_FIND = "\n".join(
    [*(f"({kind} body: (_)) @method" for kind in BODIES), "(method_invocation name: (identifier) @call) @called"]
)


@dataclass(frozen=True)
class Method:
    """A method or constructor with a body.

    Attributes
    ----------
    file : str
        The file's path below the folder that was read, with "/".
    type : str
        The types it stands in, outermost first, with "."; a method of an anonymous class stands in "Outer.method()".
    name : str
    parameters : tuple of str
        Their types as written.
    modifiers : tuple of str
        "public", "static" …, without annotations.
    start, end : int
        First and last line, from 1.
    first, last : int
        The bytes [first, last) of the file.
    text : str
    calls : frozenset of str
        Names that it calls on itself or without an object: what may stand in its own file.
    problem : str
        Why its text is no Java; empty if it is.
    """

    file: str
    type: str
    name: str
    parameters: tuple[str, ...]
    modifiers: tuple[str, ...]
    start: int
    end: int
    first: int
    last: int
    text: str
    calls: frozenset[str] = field(default=frozenset(), repr=False)
    problem: str = ""

    def overlaps(self, other: "Method") -> bool:
        """Whether two methods of one file share a place: one stands inside the other."""
        return self.first < other.last and other.first < self.last

    @property
    def key(self) -> str:
        """Its name in tables: file, types, name and parameter types."""
        return f"{self.file}:{self.type}.{self.name}({', '.join(self.parameters)})"


@dataclass(frozen=True)
class Source:
    """A file: its methods, why not all of it was read (``problem``, empty if it was), and whether it is ``text``."""

    file: str
    methods: tuple[Method, ...]
    problem: str = ""
    text: bool = True


@functools.cache
def _grammar():
    """(parser, query, its cursor's class) of Java; made once."""
    import tree_sitter
    import tree_sitter_java

    java = tree_sitter.Language(tree_sitter_java.language())
    return tree_sitter.Parser(java), tree_sitter.Query(java, _FIND), tree_sitter.QueryCursor


def parse_methods(source: str | bytes, file: str = "") -> tuple[Method, ...]:
    """The methods of a file's text, in order; one inside another (of an anonymous class) follows it.

    Parameters
    ----------
    source : str or UTF-8 bytes
    file : str
        The name that its methods carry.
    """
    data = source.encode() if isinstance(source, str) else source
    return _methods(_parsed(data), data, file)


def syntax(source: str):
    """The root of the syntax tree of a text of Java (a tree-sitter node); what is no Java has its ERROR nodes."""
    return _parsed(source.encode())


def _parsed(data: bytes):
    return _grammar()[0].parse(data).root_node


def _methods(root, data: bytes, file: str) -> tuple[Method, ...]:
    _, query, cursor = _grammar()
    found = cursor(query).captures(root)
    nodes = sorted(found.get("method", ()), key=lambda node: node.start_byte)
    calls = sorted(
        (node.start_byte, text_of(node.child_by_field_name("name")))
        for node in found.get("called", ())
        if (on := node.child_by_field_name("object")) is None or on.type == "this"
    )
    return tuple(_method(node, data, file, calls) for node in nodes)


def _method(node, data: bytes, file: str, calls: list[tuple[int, str]]) -> Method:
    first, last = node.start_byte, node.end_byte
    written = next((child for child in node.children if child.type == "modifiers"), None)
    given = node.child_by_field_name("parameters")  # none in a record's compact constructor
    kinds = [child for child in given.named_children if "parameter" in child.type] if given is not None else ()
    return Method(
        file=file,
        type=".".join(_around(node)),
        name=text_of(node.child_by_field_name("name")),
        parameters=tuple(map(_type_of, kinds)),
        modifiers=tuple(
            child.type for child in (written.children if written is not None else ()) if "annotation" not in child.type
        ),
        start=node.start_point[0] + 1,
        end=node.end_point[0] + 1,
        first=first,
        last=last,
        text=data[first:last].decode("utf-8", "replace"),
        calls=frozenset(name for _, name in calls[bisect_left(calls, (first,)) : bisect_left(calls, (last,))]),
        problem=_wrong(node) if node.has_error else "",
    )


def text_of(node) -> str:
    """What a tree-sitter node spells; "" for none."""
    return node.text.decode("utf-8", "replace") if node is not None else ""


def _type_of(parameter) -> str:
    """A parameter's type as written; of a variable number of arguments with its dots."""
    kind = parameter.child_by_field_name("type")
    if kind is None:  # a spread parameter has no field
        kind = next((child for child in parameter.named_children if "type" in child.type), None)
    name = re.sub(r"\s+", " ", text_of(kind))
    return name + ("..." if parameter.type == "spread_parameter" else "")


def _around(node) -> list[str]:
    """The names of what a method stands in, outermost first."""
    names = []
    while (node := node.parent) is not None:
        if node.type in TYPES:
            names.append(text_of(node.child_by_field_name("name")))
        elif node.type in BODIES:
            names.append(f"{text_of(node.child_by_field_name('name'))}()")
    return names[::-1]


def _wrong(node) -> str:
    """The first place in a node that is no Java."""
    while True:
        inner = next((child for child in node.children if child.has_error or child.is_missing), None)
        if node.type == "ERROR" or node.is_missing or inner is None:
            what = f"{node.type!r} is missing" if node.is_missing else f"{text_of(node)[:30]!r} is no Java here"
            return f"line {node.start_point[0] + 1}: {what}"
        node = inner


def methods(path: str | os.PathLike) -> list[Method]:
    """The methods of one file.

    Raises
    ------
    DataError
        It cannot be read, is no UTF-8, or is longer than `LARGEST` bytes.
    """
    path = user_path(path)
    return list(parse_methods(read_java(path), path.name))


def file_of(root: Path, method: Method) -> bytes:
    """The file that a method was read from, as it is now.

    Raises
    ------
    DataError
        It cannot be read, or it has changed since.
    """
    data = read_java(root / method.file)
    if data[method.first : method.last] != method.text.encode():
        raise DataError(f"{method.file} has changed since it was read: triage again")
    return data


def scan(folder: str | os.PathLike) -> Iterator[Source]:
    """Every .java file below a folder, by name, one at a time: memory does not grow with the tree.

    Links are not followed (they may lead in circles, or out of the tree). A file that cannot be read, a folder that
    cannot be listed, text between methods that is no Java, a public type that the file is not called after, and a type
    that an earlier file has too are said in `Source.problem`; the methods that could be read are there all the same.

    Raises
    ------
    DataError
        There is no such folder.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; name the one that holds the .java files")
    seen: dict[str, str] = {}  # a type's full name -> its file
    unread: list[OSError] = []
    for path in _java_files(folder, unread):
        file = path.relative_to(folder).as_posix()
        try:
            data = read_java(path)
        except DataError as error:
            yield Source(file, (), str(error), text=False)
            continue
        root = _parsed(data)
        yield Source(file, _methods(root, data, file), "; ".join(_problems(root, path.stem, file, seen)))
    for error in unread:
        file = Path(error.filename).relative_to(folder).as_posix()
        yield Source(
            file, (), f"cannot list the folder {error.filename} ({error.strerror}): check its rights", text=False
        )


def _java_files(folder: Path, unread: list[OSError]) -> Iterator[Path]:
    """The .java files below a folder, by name; folders that cannot be listed are added to ``unread``."""
    for place, inner, files in os.walk(folder, followlinks=False, onerror=unread.append):
        inner.sort()
        yield from (
            path for name in sorted(files) if name.endswith(".java") and not (path := Path(place, name)).is_symlink()
        )


def read_java(path: Path) -> bytes:
    """A file's bytes, once they are known to be UTF-8 and no more than `LARGEST`.

    Raises
    ------
    DataError
        It cannot be read, is no plain file, no UTF-8, or too long.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path} is no plain file: name a .java file")
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): check its name and permissions") from error
    if len(data) > LARGEST:
        raise DataError(f"{path} is longer than {LARGEST:,} bytes: no person wrote it; leave it out")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: byte {data[error.start]:#04x} is no UTF-8: save it as UTF-8") from error
    return data


def _problems(root, stem: str, file: str, seen: dict[str, str]) -> list[str]:
    """What is wrong with a file as a whole; its types are entered in ``seen``."""
    found = []
    package = next(
        (text_of(child.named_children[-1]) for child in root.children if child.type == "package_declaration"), ""
    )
    for child in root.children:
        if child.type in TYPES:
            name = text_of(child.child_by_field_name("name"))
            public = any(
                word.type == "public" for part in child.children if part.type == "modifiers" for word in part.children
            )
            if public and name != stem:
                found.append(f"the public type {name} belongs in {name}.java")
            full = f"{package}.{name}" if package else name
            if seen.setdefault(full, file) != file:
                found.append(f"{full} is declared in {seen[full]} too")
    if root.has_error:
        found.append(_wrong(root))
    return found
