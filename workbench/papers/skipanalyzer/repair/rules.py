"""A patcher without a model: the baseline that a model's patches have to beat.

Two rules. What a warning calls a leaked resource is declared in a try-with-resources around all that follows it in its
block. Before the statement in which a value may be null, the method returns if it is: nothing, zero, false, an empty
text, else null. Neither knows what the method is for.
"""

import re

from ..analysers import KINDS, LEAK
from ..sarif import Finding
from ..sources import Method, syntax, text_of

EMPTY = {"void": "", "boolean": " false", "char": " '\\0'", "String": ' ""', "byte": " 0", "short": " 0", "int": " 0",
         "long": " 0L", "float": " 0", "double": " 0"}  # fmt: skip
STEP = "    "


def rule_patch(method: Method, finding: Finding) -> str:
    """The method with the rule of the warning's kind applied at its line; empty where the rule does not fit.

    Parameters
    ----------
    method : Method
    finding : Finding
        At a line of the method's file; its message may name the variable (ecj's does).
    """
    head = f"class {method.name} {{\n"
    root = syntax(f"{head}{method.text}\n}}\n")
    row = finding.line - method.start + 1  # of the text in the class, from 0
    if not 0 < row <= method.end - method.start + 1 or root.has_error or finding.rule not in KINDS:
        return ""
    lines = method.text.split("\n")
    nodes = [node for node in _walk(root) if node.start_point[0] >= 1]
    if KINDS[finding.rule] == LEAK:
        return _managed(nodes, lines, row, finding.message)
    return _guarded(nodes, lines, row, finding.message)


def _walk(node):
    """A node and all below it, in the text's order; without recursion: a long sum of texts is a deep tree."""
    left = [node]
    while left:
        yield (one := left.pop())
        left += reversed(one.named_children)


def _declared(node) -> str:
    """The variable of a declaration."""
    return text_of(node.child_by_field_name("declarator").child_by_field_name("name"))


def _step(indent: str) -> str:
    """One level more, in the method's own way."""
    return "\t" if indent.endswith("\t") else STEP


def _managed(nodes, lines: list[str], row: int, message: str) -> str:
    """``T x = new T(…); rest`` becomes ``try (T x = new T(…)) { rest }``."""
    named = re.search(r"'(\w+)'", message)  # ecj names the resource, at its end or where it is opened
    declared = [node for node in nodes if node.type == "local_variable_declaration" and "new " in text_of(node)]
    declared = [
        node for node in declared if (_declared(node) == named[1] if named else node.start_point[0] == row)
    ]  # fmt: skip
    if not declared or declared[0].parent.type != "block" or declared[0].start_point[0] != declared[0].end_point[0]:
        return ""
    opened = declared[0]
    row, name = opened.start_point[0], _declared(opened)
    assigned = (node for node in nodes if node.type == "assignment_expression")
    if any(text_of(node.child_by_field_name("left")) == name for node in assigned):
        return ""  # a resource of a try is never assigned again
    if row == 1:  # all on the method's first line
        return ""
    at, end = row - 1, opened.parent.end_point[0] - 1  # its line and that of the block's closing brace
    indent = re.match(r"\s*", lines[at])[0]
    step = _step(indent)
    inner = [step + line if line.strip() else line for line in lines[at + 1 : end]]
    head = f"{indent}try ({text_of(opened).rstrip(';')}) {{"
    return "\n".join([*lines[:at], head, *inner, f"{indent}}}", *lines[end:]])


def _guarded(nodes, lines: list[str], row: int, message: str) -> str:
    """``statement`` becomes ``if (x == null) { return …; } statement``."""
    named = re.search(r"[Vv]ariable (\w+)", message)
    used = [node for node in nodes if node.type == "identifier" and node.start_point[0] == row]
    objects = [node for node in used if node.parent.child_by_field_name("object") == node]
    empty = {
        _declared(node) for node in nodes if node.type == "local_variable_declaration" and "= null" in text_of(node)
    }
    wanted = [node for node in used if named and text_of(node) == named[1]]
    wanted = wanted or [node for node in used if text_of(node) in empty] or objects
    if not wanted:
        return ""
    statement = wanted[0]
    while statement.parent is not None and statement.parent.type not in ("block", "constructor_body"):
        statement = statement.parent
    method = next(node for node in nodes if node.type in ("method_declaration", "constructor_declaration"))
    if statement.parent is None or statement.start_point[0] == 1:
        return ""
    kind = method.child_by_field_name("type")
    answer = EMPTY.get("void" if kind is None else text_of(kind), " null")
    at = statement.start_point[0] - 1
    indent = re.match(r"\s*", lines[at])[0]
    guard = [f"{indent}if ({text_of(wanted[0])} == null) {{", f"{indent}{_step(indent)}return{answer};", f"{indent}}}"]
    return "\n".join([*lines[:at], *guard, *lines[at:]])
