"""What a patch may be: one method, of the kinds of syntax, types and calls on a list.

Whoever wrote a patch is a stranger, and some patches are executed. So the list says what is allowed, never what is
forbidden: syntax without types or blocks of its own, types of java.lang, java.io and java.util that reach no file by a
name of theirs, no process, no thread and no reflection, calls by name, and whatever the method and its class name
already. It is read off the syntax tree, before anything is compiled; the sandbox does not rely on it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ..sources import parse_methods, syntax, text_of

LONGEST = 20_000  # characters of a patch
DEEPEST = 120  # levels of its syntax tree
DEEPER = 8  # levels that a repair adds to a method that is deeper


def _listed() -> dict[str, frozenset[str]]:
    """The words of allowed.txt, by heading."""
    parts = re.split(r"^\[(\w+)\]$", (Path(__file__).parent / "allowed.txt").read_text("utf-8"), flags=re.MULTILINE)
    return {name: frozenset(words.split()) for name, words in zip(parts[1::2], parts[2::2])}


_LISTED = _listed()
TYPES, CALLS, KINDS = _LISTED["types"], _LISTED["calls"], _LISTED["syntax"]

_LIBRARY = re.compile(r"java\s*\.\s*(?:lang|io|util)\s*\.\s*(\w+)")
_ESCAPE = re.compile(r"\\u+\w{0,4}")
_OUTSIDE = re.compile(r"^\s*(?:import|package)\s[^;]*;", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_$][\w$]*")


def read_patch(patch: str, original: str):
    """(the method's node, "") of a patch that is one whole method of the same name, else (None, why it is not).

    Parameters
    ----------
    patch, original : str
        The patched method and the method as it was.
    """
    if len(patch) > LONGEST:
        return None, f"it has {len(patch):,} characters, more than {LONGEST:,}"
    if "\x00" in patch or "\x1a" in patch or any("\ud800" <= one <= "\udfff" for one in patch):
        return None, "it holds a character that no source has"
    if set(_ESCAPE.findall(patch)) - set(_ESCAPE.findall(original)):
        return None, "it holds a Unicode escape of its own, which Java reads before anything else"
    if not (before := parse_methods(original)):
        return None, "the original is no method"
    name = before[0].name
    root = syntax(f"class {name} {{\n{patch}\n}}\n")
    body = _only_body(root)
    methods = [] if body is None else [node for node in body.named_children if not node.type.endswith("_comment")]
    if body is not None and not methods and not root.has_error:
        return None, "it holds no method"
    if root.has_error or [node.type for node in methods] not in (["method_declaration"], ["constructor_declaration"]):
        return None, "it is not one whole method"
    (method,) = methods
    if (found := text_of(method.child_by_field_name("name"))) != name:
        return None, f"it is called {found[:40]} and not {name}"
    if method.child_by_field_name("body") is None:
        return None, "it has no body"
    return method, ""


def refusal(method, original: str, around: str = "") -> str:
    """Why a patch is refused before it is compiled; empty where it is not.

    Parameters
    ----------
    method : node
        From `read_patch`.
    original : str
        The method as it was.
    around : str
        The text of its class: a patch may use every name that stands there, or in the method. The kinds of syntax
        that the method holds already, and their depth, are its own too.
    """
    known = set(_WORD.findall(f"{original}\n{_OUTSIDE.sub('', around)}"))
    before, _ = read_patch(original, original)
    written = [(node.type, depth) for node, depth in _walk(before)] if before is not None else []
    kinds = KINDS | {kind for kind, _ in written}
    deepest = max([DEEPEST, *(depth + DEEPER for _, depth in written)])
    return _wrong_form(method, kinds, deepest) or _names(method, known) or _emptied(method)


def _only_body(root):
    """The body of the one class of a tree; none where something stands beside it, or it did not parse."""
    kinds = [child for child in root.named_children if not child.type.endswith("_comment")]
    if len(kinds) != 1 or kinds[0].type != "class_declaration":
        return None
    return kinds[0].child_by_field_name("body")


def _walk(node) -> Iterator[tuple[object, int]]:
    """Every named node below one, and its depth; nothing below a name of the library that is spelt out."""
    left = [(node, 0)]
    while left:
        one, depth = left.pop()
        yield one, depth
        if one.type in ("field_access", "scoped_type_identifier") and _LIBRARY.fullmatch(text_of(one)):
            continue
        left += [(child, depth + 1) for child in one.named_children]


def _wrong_form(method, kinds: frozenset[str] | set[str], deepest: int) -> str:
    """The first kind of syntax that is not allowed, as a sentence."""
    for node, depth in _walk(method):
        if depth > deepest:
            return f"it is nested more than {deepest} deep"
        if node.type not in kinds:
            return f"it holds a {node.type.replace('_', ' ')}, which is not on the list"
    return ""


def _names(method, known: set[str]) -> str:
    """The first type, name or call that is not allowed, as a sentence."""
    own = text_of(method.child_by_field_name("name"))
    declared = {name for node, _ in _walk(method) for name in _declared(node)}
    if upper := sorted(one for one in declared - known if one[0].isupper() and len(one) > 1):
        return f"it calls a variable {upper[0][:40]}, like a type"
    for node, _ in _walk(method):
        if node.type not in ("identifier", "type_identifier", "scoped_type_identifier", "field_access"):
            continue
        text, above = text_of(node), node.parent
        library = _LIBRARY.fullmatch(text)
        if node.type in ("field_access", "scoped_type_identifier") and library:
            if library[1] not in TYPES:
                return f"it names {text[:60]}, which is not on the list"
        elif node.type in ("type_identifier", "scoped_type_identifier"):
            wrong = [word for word in _WORD.findall(text) if word not in TYPES | known | declared]
            if wrong:
                return f"it names the type {text[:60]}, which is not on the list"
        elif node.type == "identifier":
            field = above.type == "field_access" and above.child_by_field_name("field") == node
            called = above.type == "method_invocation" and above.child_by_field_name("name") == node
            if called and text not in CALLS | known | {own}:
                return f"it calls {text[:40]}, which is not on the list"
            if field and re.match(r"[A-Z]\w*[a-z]", text) and text not in TYPES | known:
                return f"it names {text[:40]}, which is not on the list"
            if not called and not field and text not in TYPES | known | declared:
                return f"it names {text[:40]}, which stands neither in its class nor on the list"
    return ""


def _declared(node) -> Iterator[str]:
    """The names that a node declares."""
    if node.type in ("variable_declarator", "formal_parameter", "resource", "catch_formal_parameter",
                     "enhanced_for_statement", "instanceof_expression"):  # fmt: skip
        if (name := node.child_by_field_name("name")) is not None:
            yield text_of(name)
    elif node.type == "lambda_expression":
        given = node.child_by_field_name("parameters")
        if given is not None and given.type == "identifier":
            yield text_of(given)
    elif node.type in ("inferred_parameters", "type_parameter", "labeled_statement"):
        yield from (text_of(child) for child in node.named_children if child.type in ("identifier", "type_identifier"))


def _emptied(method) -> str:
    """Whether the body does nothing any more, or nothing but raise."""
    body = method.child_by_field_name("body")
    statements = [node for node in body.named_children if not node.type.endswith("_comment")]
    if not statements:
        return "its body is empty"
    if statements[0].type == "throw_statement":
        return "its body does nothing but raise"
    return ""
