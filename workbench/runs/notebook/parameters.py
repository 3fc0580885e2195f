"""A notebook's parameters: read from its cell without running anything, and ``-p name=value`` checked against them.

The cell tagged ``parameters`` declares a paper's parameters, one annotated assignment a line with its help behind it
 (``flips: int | None = None  # sequence length``). It is read with `ast`: annotations are looked up
in a fixed table of types and defaults are literals, so a notebook from anywhere can be inspected without executing a
line of it. pydantic does the conversions.
"""

import ast
import contextlib
import difflib
import io
import json
import tokenize
import types
import typing
from dataclasses import dataclass
from typing import Any

from ...errors import ModelError, UsageError
from ...files import lone_surrogate, parse_json
from ...profiles import NAMES as PROFILES
from ..store.masking import masked, shown

_SCALARS = {"str": str, "int": int, "float": float, "bool": bool, "Any": Any, "object": Any}
_CONTAINERS = {"list": list, "List": list, "dict": dict, "Dict": dict}
_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    dict: 'a JSON object such as {"a": 1}',
    list: "a JSON list such as [1, 2]",
}


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell: its name, type, default and help; ``annotation`` as the author wrote it."""

    name: str
    type: Any
    annotation: str
    default: Any
    help: str = ""


def read_parameters(notebook: dict, where: str) -> dict[str, Parameter]:
    """The parameters of a notebook, in the order of its cell.

    Parameters
    ----------
    notebook
        Its JSON, from `jupyter.read_notebook`.
    where
        What to call it in errors: the paper's name or the file's.

    Raises
    ------
    UsageError
        No cell (or more than one) is tagged ``parameters``, or a line of it cannot be understood.
    """
    cells = [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and "parameters" in cell["metadata"].get("tags", [])
    ]
    if len(cells) != 1:
        found = "no cell" if not cells else f"{len(cells)} cells"
        raise UsageError(
            f"{where} has {found} tagged 'parameters', so nothing says what can be set;"
            " give exactly one code cell that tag (in JupyterLab: Property Inspector, Cell Tags)"
        )
    if "skip" in cells[0]["metadata"]["tags"]:
        raise UsageError(f"the parameters cell of {where} is tagged 'skip' too, and nothing runs without it; untag it")
    source = cells[0]["source"]
    source = source if isinstance(source, str) else "".join(source)
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise UsageError(f"the parameters cell of {where} is not Python: line {error.lineno}, {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL byte, or very deep brackets
        raise UsageError(
            f"the parameters cell of {where} cannot be read as Python ({error}); write it simpler"
        ) from error
    comments = _comments(source)
    parameters = {}
    for statement in tree.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name, annotation = statement.target.id, ast.unparse(statement.annotation)
            kind = _type(statement.annotation, where, name)
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name, annotation, kind = statement.targets[0].id, "", None
        else:
            continue  # an import or a docstring: no parameter
        if statement.value is None:
            raise UsageError(f"parameter {name!r} of {where} has no default; write {name}: {annotation} = …")
        try:
            default = ast.literal_eval(statement.value)
            parse_json(json.dumps(default))  # a record cannot hold a set, bytes or 1e999, so they are refused too
        except (TypeError, ValueError, RecursionError, MemoryError):
            raise UsageError(
                f"parameter {name!r} of {where} has the default {ast.unparse(statement.value)!r}, not a plain value;"
                " write a literal (a number, a text, a list) and compute from it in a later cell"
            ) from None
        if kind is None:  # without an annotation, the default's type: it keeps a text a text
            kind = Any if default is None else type(default)
            annotation = "" if default is None else kind.__name__
        parameters[name] = Parameter(name, kind, annotation, default, comments.get(statement.end_lineno, ""))
    return parameters


def split_assignment(text: str, option: str = "-p", example: str = "seed=3") -> tuple[str, str]:
    """``name=value`` of one ``-p`` option as (name, value); everything after the first ``=`` is the value."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip().isidentifier():
        raise UsageError(f"{option} {text!r} is not of the form name=value, for example {option} {example}")
    return name.strip(), value


def resolve(parameters: dict[str, Parameter], given: dict[str, Any], where: str) -> dict[str, Any]:
    """The given values, each checked and converted by its parameter's annotation. Defaults are not filled in.

    Parameters
    ----------
    given
        Name -> value; a text is read as ``-p`` reads it, anything else must already have the right type.

    Raises
    ------
    UsageError
        An unknown name (the nearest known one is named), a value that does not fit, or an unknown profile.
    """
    for name in given:
        if name not in parameters:
            otherwise = f"`workbench params {where}` lists them"
            raise UsageError(unknown(name, parameters, f"parameter of {where}", otherwise))
    values = {name: convert(parameters[name], value) for name, value in given.items()}
    for name, value in values.items():
        if half := lone_surrogate(value):
            value = masked(name, value)
            raise UsageError(
                f"parameter {name!r} cannot be {ascii(value)[:80]}: {half} is half a character (bytes that are no"
                " UTF-8, or half of a surrogate pair); give UTF-8 text"
            )
        try:
            parse_json(json.dumps(value))
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                f"parameter {name!r} cannot be kept in a record ({error}); give something simpler"
            ) from None
    if values.get("base_url") is not None:  # before a record is written: an address may have a key in it
        from ...models.remote.client import check_url

        try:
            check_url(values["base_url"])
        except ModelError as error:
            raise UsageError(f"parameter 'base_url': {error}") from None
    if values.get("profile", PROFILES[0]) not in PROFILES:
        raise UsageError(f"profile {values['profile']!r} is unknown; give one of {', '.join(PROFILES)}")
    return values


def unknown(name: str, known, what: str, otherwise: str) -> str:
    """The error for an unknown name: it gives the nearest known one, or says where to look."""
    known = list(known)
    folded = {item.lower(): item for item in known}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    hint = f"did you mean {folded[near[0]]}?" if near else otherwise
    return f"{name!r} is not a {what}; {hint}"


def convert(parameter: Parameter, value: Any) -> Any:
    """One value as its parameter's annotation wants it.

    A text is read as on a command line: a ``str`` stays as it is ("01" is not a number), lists and dicts are JSON,
    ``null`` (or ``None``) is None where None is allowed.

    Raises
    ------
    UsageError
        It does not fit; the message names the parameter, the value and what was expected.
    """
    from pydantic import TypeAdapter, ValidationError

    members = _members(parameter.type)
    if isinstance(value, str) and type(None) in members and value in ("null", "None"):
        return None
    reason = ""
    # the loosest last: a text fits `str` whatever it says, so `int | str` tries the number first
    for kind in sorted(members, key=lambda kind: kind in (str, Any)):
        if kind is type(None):
            if value is None:
                return None
            continue
        try:
            return _one(TypeAdapter, kind, value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            spot = "".join(f"[{step!r}]" for step in first["loc"])
            reason = f" ({spot}: {first['msg']})" if spot else ""
        except ValueError as error:
            reason = f" ({error})"
    told = shown(parameter.name, value)
    value, reason = told, reason if told == value else ""
    raise UsageError(
        f"parameter {parameter.name!r} cannot be {value!r}{reason}: expected {expected(parameter.type)},"
        f" as its annotation {parameter.annotation or 'none'} says"
    )


def expected(kind: Any) -> str:
    """A type in words."""
    words = []
    for member in _members(kind):
        origin = typing.get_origin(member)
        if origin is typing.Literal:
            words.append("one of " + ", ".join(map(str, typing.get_args(member))))
        elif origin is list:
            inner = typing.get_args(member)[0]
            example = {str: '["a", "b"]', float: "[0.5, 1]", bool: "[true, false]"}.get(inner, "[1, 2]")
            words.append(f"a JSON list such as {example}")
        else:
            words.append(_WORDS.get(origin or member, "any value"))
    return " or ".join(words)


def _one(adapter, kind: Any, value: Any) -> Any:
    """``value`` as the type ``kind``, not a union; raises ValueError (pydantic's is one) when it does not fit."""
    if kind is Any:
        if isinstance(value, str):
            try:
                return json.loads(value, parse_constant=_no_constant)
            except ValueError:
                return value
        return value
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        for choice in typing.get_args(kind):
            if (value == choice and type(value) is type(choice)) or (
                isinstance(value, str) and value == _as_typed(choice)
            ):
                return choice
        raise ValueError("not among the choices")
    if kind is str or not isinstance(value, str):
        return _finite(adapter(kind).validate_python(value, strict=True))
    if (origin or kind) in (list, dict):
        try:
            value = json.loads(value, parse_constant=_no_constant)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from None
        return _finite(adapter(kind).validate_python(value, strict=True))
    return _finite(adapter(kind).validate_strings(value.strip()))


def _as_typed(choice: Any) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0:
        raise ValueError("not a finite number")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _finite(item)
    return value


def _no_constant(word: str):
    raise ValueError(f"{word} is not JSON")


def _members(kind: Any) -> list:
    """The members of a union, or the type itself."""
    return list(typing.get_args(kind)) if typing.get_origin(kind) in (typing.Union, types.UnionType) else [kind]


def _type(node: ast.expr, where: str, name: str) -> Any:
    """An annotation's type, looked up, never evaluated."""
    if isinstance(node, ast.Constant) and node.value is None:
        return types.NoneType
    if isinstance(node, ast.Constant) and isinstance(node.value, str):  # a quoted annotation
        with contextlib.suppress(SyntaxError):  # not Python inside the quotes: the error below names it
            return _type(ast.parse(node.value, mode="eval").body, where, name)
    word = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
    if word in _SCALARS:
        return _SCALARS[word]
    if word in _CONTAINERS:
        return _CONTAINERS[word]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([_type(node.left, where, name), _type(node.right, where, name)])
    if isinstance(node, ast.Subscript):
        outer = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", None)
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Literal" and all(isinstance(item, ast.Constant) for item in items):
            return typing.Literal[tuple(item.value for item in items)]
        if outer in ("Optional", "Union"):
            inner = [_type(item, where, name) for item in items]
            return _union([*inner, types.NoneType] if outer == "Optional" else inner)
        if outer in _CONTAINERS and len(items) == (1 if _CONTAINERS[outer] is list else 2):
            return _CONTAINERS[outer][tuple(_type(item, where, name) for item in items)]
    raise UsageError(
        f"parameter {name!r} of {where} has the annotation {ast.unparse(node)!r}; use str, int, float, bool, list[…],"
        " dict, Literal[…] or one of them with | None"
    )


def _union(kinds: list) -> Any:
    if Any in kinds:
        return Any
    members = []
    for kind in kinds:
        members += [member for member in _members(kind) if member not in members]
    return typing.Union[tuple(members)]  # noqa: UP007 (built at run time)


def _comments(source: str) -> dict[int, str]:
    """Line number -> the comment behind the code on it."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ").rstrip() for token in tokens if token.type == tokenize.COMMENT}
