"""A small Metamath database of our own, its proofs written as terms and printed in both of the formats.

A toy logic of implication, denial and a quantifier, enough for every kind of statement: scopes, essential hypotheses,
dummy variables, distinct variables, syntax theorems, an incomplete proof.
"""

import os
from pathlib import Path

from metamath_oracle import compress

HEAD = """\
$( A toy logic, written for the tests of the workbench. $)
$c ( ) => ! every wff thing |- $.
$v p q r s x y $.
wp $f wff p $.
wq $f wff q $.
wr $f wff r $.
ws $f wff s $.
tx $f thing x $.
ty $f thing y $.

$( How formulas are built. $)
w.imp $a wff ( p => q ) $.
w.not $a wff ! p $.
w.all $a wff every x p $.

${
  detach.1 $e |- p $.
  detach.2 $e |- ( p => q ) $.
  $( From p and p => q: q. $)
  detach $a |- q $.
$}
keep $a |- ( p => ( q => p ) ) $.
share $a |- ( ( p => ( q => r ) ) => ( ( p => q ) => ( p => r ) ) ) $.
turn $a |- ( ( ! p => ! q ) => ( q => p ) ) $.
${ $d x p $.
  idle $a |- ( p => every x p ) $.
$}
"""
TAIL = """\
either $p wff ( ! p => q ) $= wp w.not wq w.imp $.
open $p |- ( p => q ) $= wp wp wq w.imp ? ? detach $.
built $p |- ( ( ! p => q ) => ( ! p => q ) ) $= wp wq either same $.
leans $p |- ( p => ( q => q ) ) $= wp wq wq w.imp open $.
"""
RULES = {"detach": (2, 2), "keep": (2, 0), "share": (3, 0), "turn": (2, 0), "idle": (2, 0), "same": (1, 0),
         "weaken": (2, 1), "chain": (3, 2), "drop": (2, 0), "gone": (2, 0)}  # fmt: skip
"""What each rule asks for: formulas in the order of their $f, then proofs."""
SYNTAX = {"w.imp": 2, "w.not": 1, "w.all": 2}
# label, $e statements {label: text}, $d, statement, proof as a term (rule, formulas…, proofs…)
THEOREMS = [
    (
        "same", {}, "", "( p => p )",
        ("detach", "( p => ( p => p ) )", "( p => p )", ("keep", "p", "p"),
         ("detach", "( p => ( ( p => p ) => p ) )", "( ( p => ( p => p ) ) => ( p => p ) )",
          ("keep", "p", "( p => p )"), ("share", "p", "( p => p )", "p"))),
    ),
    ("weaken", {"weaken.1": "p"}, "", "( q => p )", ("detach", "p", "( q => p )", "weaken.1", ("keep", "p", "q"))),
    (
        "chain", {"chain.1": "( p => q )", "chain.2": "( q => r )"}, "", "( p => r )",
        ("detach", "( p => q )", "( p => r )", "chain.1",
         ("detach", "( p => ( q => r ) )", "( ( p => q ) => ( p => r ) )",
          ("weaken", "( q => r )", "p", "chain.2"), ("share", "p", "q", "r"))),
    ),
    (
        "drop", {}, "", "( ! p => ( p => q ) )",
        ("chain", "! p", "( ! q => ! p )", "( p => q )", ("keep", "! p", "! q"), ("turn", "q", "p")),
    ),
    ("gone", {}, "x p", "( ! p => every x ! p )", ("idle", "! p", "x")),
    ("twice", {"twice.1": "p"}, "", "p", "twice.1"),
    ("dummy", {}, "", "( q => q )", ("detach", "( s => s )", "( q => q )", ("same", "s"),
                                     ("weaken", "( q => q )", "( s => s )", ("same", "q")))),
]  # fmt: skip


def formula(text: str) -> list[str]:
    """The steps that build a formula."""
    words = text.split()

    def one(at: int) -> tuple[list[str], int]:
        word = words[at]
        if word == "(":
            left, at = one(at + 1)
            right, at = one(at + 1)  # over =>
            return [*left, *right, "w.imp"], at + 1
        if word == "!":
            inner, at = one(at + 1)
            return [*inner, "w.not"], at
        if word == "every":
            inner, end = one(at + 2)
            return [*inner, f"t{words[at + 1]}", "w.all"], end
        return [("t" if word in "xy" else "w") + word], at + 1

    steps, end = one(0)
    assert end == len(words), text
    return steps


def normal(proof) -> list[str]:
    """A proof term as the labels of a normal proof."""
    if isinstance(proof, str):
        return [proof]
    rule, *given = proof
    count, _ = RULES[rule]
    steps = [step for text in given[:count] for step in formula(text)]
    return [*steps, *(step for inner in given[count:] for step in normal(inner)), rule]


def shared(steps: list[str]) -> tuple[list[str], dict[int, int]]:
    """A normal proof with every repeated part done once: the steps, and {place of a recall: place that is recalled}."""
    stack: list = []
    for step in steps:
        count = sum(RULES[step]) if step in RULES else SYNTAX.get(step, 0)
        stack[len(stack) - count :] = [(step, *stack[len(stack) - count :])]
    (tree,) = stack
    done: dict = {}
    out: list[str] = []
    repeats: dict[int, int] = {}

    def write(part) -> None:
        if part in done:
            repeats[len(out)] = done[part]
            out.append(out[done[part]])
            return
        for inner in part[1:]:
            write(inner)
        if len(part) > 1:
            done[part] = len(out)
        out.append(part[0])

    write(tree)
    return out, repeats


def database(*, compressed: bool) -> str:
    """The text of the whole database."""
    parts = [HEAD]
    for label, essential, apart, statement, proof in THEOREMS:
        text = " ".join(normal(proof))
        if compressed:
            seen = {*" ".join([statement, *essential.values()]).split()}
            mandatory = [f"w{v}" for v in "pqrs" if v in seen] + [f"t{v}" for v in "xy" if v in seen]
            text = compress([*mandatory, *essential], *shared(normal(proof)))
        lines = ["${", *([f"  $d {apart} $."] if apart else [])]
        lines += [f"  {name} $e |- {one} $." for name, one in essential.items()]
        parts.append("\n".join([*lines, f"  {label} $p |- {statement} $= {text} $.", "$}"]))
    return "\n".join([*parts, TAIL])


def databases_here() -> list[Path]:
    """Real databases of this machine: $WORKBENCH_METAMATH, or where Debian's metamath-databases puts them."""
    folder = Path(os.environ.get("WORKBENCH_METAMATH", "/usr/share/metamath/databases"))
    return sorted(folder.glob("*.mm"))
