"""The last word on a proof: a process of its own that reads compiled files and asks the kernel, and nothing else.

Started by last_word.py without site-packages, with a request on its input. It reads three kinds of compiled file with
`olean.py`: the library's, the *reference* (the theorem's file with the statement and no proof) and the *proof* (the
same with one). Into an empty kernel (`kernel.py`) go, one by one and checked, all declarations that the theorem rests
on, down to the axioms; last the theorem itself, with the type from the reference and the term from the proof. What is
accepted is the statement as it was elaborated where no tactic stood, and no line that Lean printed is read.
"""

import json
import os
import resource
import struct
import sys

from . import terms as T
from .hidden import check_hidden
from .kernel import Kernel, Rejected
from .olean import Malformed, Olean
from .terms import Constant, Name, Terms, show, spell

GIVEN_UP = ("sorryAx",)
QUOTIENTS = {("Quot",), ("Quot", "mk"), ("Quot", "lift"), ("Quot", "ind")}
# The kernel computes these by machine arithmetic, or opens literals and marks by them, and trusts that they mean what
# Lean's own library means: nobody but the library may declare them. So does it with every name below `Lean`.
KERNEL_NAMES = frozenset(
    (*space.split("."), name)
    for space, names in {
        "Nat": "zero succ pred add sub mul pow div mod gcd beq ble decEq log2 land lor xor shiftLeft shiftRight",
        "Bool": "true false", "String": "mk ofList ofByteArray", "Char": "ofNat mk", "List": "nil cons",
        "Quot": "mk lift ind sound", "Int": "add sub mul div mod neg", "BitVec": "ofNat", "Eq": "refl",
    }.items()
    for name in names.split()
) | {
    ("Nat",), ("Bool",), ("String",), ("Char",), ("List",), ("Quot",), ("Eq",), ("eagerReduce",), ("sorryAx",),
    ("propext",), ("funext",),
}  # fmt: skip
MEMORY = 8 << 30  # bytes of address space; most of it is never touched
LONGEST = 4000  # characters of a statement that is shown


class World:
    """All declarations that can be looked up: the library's first, then the reference's, then the proof's."""

    def __init__(self, request: dict) -> None:
        self.terms = Terms()
        self.library = self._open_library(request)
        self.reserved = {name for path in request["others"] for name in self._open(path).constants}
        self.reference, self.proof = (self._open(request[name]) for name in ("reference", "proof"))
        self.plain = self._open(request["plain"]) if request.get("plain") else None
        self.variables, self.words = request.get("variables", ()), request.get("words", ())
        self.bracketed = request.get("bracketed", ())
        self.trusted_file = bool(request.get("trusted_file"))
        self._read: dict[Name, Constant] = {}

    def _open(self, path: str) -> Olean:
        with open(path, "rb") as file:
            return Olean(file.read(), self.terms)

    def _open_library(self, request: dict) -> dict[Name, Olean]:
        found: dict[Name, Olean] = {}
        for path in request["library"]:
            part = self._open(path)
            for name in part.constants:
                if name in found:
                    raise Malformed(f"two modules of the library declare {spell(name)}")
                found[name] = part
        return found

    def own(self, name: Name) -> bool:
        """Whether a name is declared by the file under judgement."""
        return name not in self.library

    def find(self, name: Name) -> Constant:
        if name not in self._read:
            homes = (self.library.get(name), self.reference, self.proof)
            home = next((one for one in homes if one is not None and name in one.constants), None)
            if home is None:
                raise Rejected(f"the proof names {spell(name)}, which no compiled file declares")
            self._read[name] = home.constant(name)
        return self._read[name]

    def needs(self, name: Name) -> set[Name]:
        """What a declaration mentions; an inductive type and its constructors count as one."""
        one = self.find(name)
        if one.kind in (T.CONSTRUCTOR, T.RECURSOR):
            return {one.fields["inductive"]}
        if one.kind != T.INDUCTIVE:
            return self.terms.constants(one.type, one.value)
        group = self.group(one)
        names = {c.name for pair in group for c in (pair[0], *pair[1])}
        found = set().union(*(self.terms.constants(c.type) for pair in group for c in (pair[0], *pair[1])))
        return (found - names) | ({other.name for other, _ in group} - {name})

    def group(self, one: Constant) -> list[tuple[Constant, list[Constant]]]:
        types = [self.find(name) for name in one.fields["all"]]
        return [(each, [self.find(name) for name in each.fields["constructors"]]) for each in types]

    def closure(self, names: set[Name]) -> list[Name]:
        """These and all that they rest on, each after what it needs."""
        order: list[Name] = []
        seen: set[Name] = set()
        stack = [(name, False) for name in sorted(names, key=str)]
        while stack:
            name, ready = stack.pop()
            if ready:
                order.append(name)
            elif name not in seen:
                seen.add(name)
                stack.append((name, True))
                stack += [(other, False) for other in sorted(self.needs(name), key=str) if other not in seen]
        return order


def add(world: World, kernel: Kernel, order: list[Name]) -> list[Name]:
    """Give the kernel all of these; the axioms among them."""
    axioms, added = [], set()
    for name in order:
        one = world.find(name)
        if name in added or one.kind in (T.CONSTRUCTOR, T.RECURSOR):
            continue  # these come with their type
        if one.fields["unsafe"]:
            raise Rejected(f"{spell(name)} is unsafe or partial: no proof may rest on it")
        if one.kind == T.INDUCTIVE:
            group = world.group(one)
            kernel.inductive(group)
            added |= {each.name for each, _ in group}
        elif one.kind == T.QUOTIENT:
            if not added & QUOTIENTS:
                kernel.quotients()
            added |= QUOTIENTS
        else:
            declare = {T.AXIOM: kernel.axiom, T.DEFINITION: kernel.definition, T.THEOREM: kernel.theorem,
                       T.OPAQUE: kernel.opaque}  # fmt: skip
            declare[one.kind](one)
            added.add(name)
        if one.kind == T.AXIOM:
            axioms.append(name)
    return sorted(axioms, key=str)


def judged_name(file: Olean) -> Name:
    """The theorem that is asked about: the one of the reference whose proof is the placeholder."""
    terms = file.terms
    found = []
    for name in file.constants:
        one = file.constant(name)
        if one.kind == T.THEOREM and GIVEN_UP in terms.constants(one.value):
            found.append(name)
    if len(found) != 1:
        raise Rejected(f"the file holds {len(found)} theorems without a proof, not one")
    return found[0]


def check_names(world: World) -> None:
    """The file declares nothing that the library or the kernel gives a meaning."""
    for file in (world.reference, world.proof):
        for name in file.constants:
            if name in world.library or (not world.trusted_file and name in world.reserved):
                raise Rejected(f"the file declares {spell(name)}, which the library declares")
            if world.trusted_file and name in world.reference.constants:
                continue
            if name in KERNEL_NAMES or name[0] == "Lean":
                raise Rejected(f"the file declares {spell(name)}, a name that the kernel gives a meaning of its own")


def check_helpers(world: World, alone: Constant, names: dict[Name, Name]) -> None:
    """What Lean makes for the statement itself (a `match`) is the same in its file and without it, to its terms."""
    terms, seen = world.terms, set()
    waiting = [name for name in terms.constants(alone.type) if world.own(name)]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        one, other = world.plain.constant(name), world.reference.constant(names.get(name, name))
        alike = one.kind == other.kind == T.DEFINITION and one.levels == other.levels
        for left, right in ((one.type, other.type), (one.value, other.value)) if alike else ():
            alike = alike and terms.same(terms.rename(left, {}, names), right)
        if not alike:
            raise Rejected(f"the statement's {spell(other.name)} means something else in its file than alone")
        waiting += [name for name in terms.constants(one.type, one.value) if world.own(name)]


def check_meaning(world: World, statement: Constant, own: list[Name]) -> None:
    """The statement means in its file what it means without it, and by the library's notions the library's."""
    if world.plain is not None:
        other = world.plain.constant(judged_name(world.plain))
        # it has another name there, and so has what Lean makes for it
        long = len(other.name)
        names = {name: statement.name + name[long:] for name in world.plain.constants if name[:long] == other.name}
        levels = dict(zip(other.levels, statement.levels, strict=False))
        swapped = world.terms.rename(other.type, levels, names)
        if len(other.levels) != len(statement.levels) or not world.terms.same(swapped, statement.type):
            raise Rejected(
                "the statement means something else in its file than with the library alone: "
                f"{show(world.terms, statement.type, LONGEST)} instead of {show(world.terms, other.type, LONGEST)}"
            )
        check_helpers(world, other, names)
        return
    if world.trusted_file:
        return
    check_hidden(world, statement, own)
    if not own:
        return
    kinds = {name: part.constant(name).kind for name, part in world.library.items()}
    classes = world.terms.classes()
    for name in own:
        field = name[:-1] in own and world.find(name[:-1]).kind == T.INDUCTIVE  # of a structure: `id`, `Not`, …
        hidden = next((name[n:] for n in range(1, len(name)) if kinds.get(name[n:], T.THEOREM) != T.THEOREM), None)
        if hidden and not (field and kinds[hidden] != T.INDUCTIVE and spell(hidden) not in world.words):
            raise Rejected(
                f"the statement rests on {spell(name)}, which takes the place of the library's {spell(hidden)}"
            )
        one = world.find(name)
        if one.kind not in (T.DEFINITION, T.OPAQUE, T.AXIOM) or world.terms.result(one.type) not in classes:
            continue
        # an instance between the library's own notions would give `+` on Nat, say, another meaning
        theirs = [other for other in world.terms.constants(one.type) if world.own(other)]
        if not theirs or any(world.find(other).kind != T.INDUCTIVE for other in theirs):
            raise Rejected(
                f"the statement rests on {spell(name)}, the file's own instance of "
                f"{spell(world.terms.result(one.type))} for what is not a new type of the file"
            )


def judge(request: dict) -> dict:
    """The verdict: {"ok", "axioms", "message", "statement", "own"}."""
    world = World(request)
    terms = world.terms
    name = judged_name(world.reference)
    if name not in world.proof.constants:
        raise Rejected(f"the compiled file has no {spell(name)}")
    check_names(world)
    statement, proof = world.reference.constant(name), world.proof.constant(name)
    if proof.kind != T.THEOREM or proof.levels != statement.levels:
        raise Rejected(f"{spell(name)} is declared as another thing than the statement says")
    meaning = world.closure(terms.constants(statement.type))
    own = [] if world.trusted_file else sorted((one for one in meaning if world.own(one)), key=str)
    check_meaning(world, statement, own)
    if world.plain is not None:
        own = []  # it means the same without its file
    if name in meaning:
        raise Rejected(f"the statement of {spell(name)} mentions itself")
    rest = world.closure(terms.constants(statement.type, proof.value))
    if name in rest:
        raise Rejected(f"the proof of {spell(name)} uses what it proves")
    kernel = Kernel(request["engine"], terms)
    axioms = add(world, kernel, rest)
    kernel.theorem(Constant(name, T.THEOREM, statement.levels, statement.type, proof.value))
    allowed = {tuple(one.split(".")) for one in request["allowed"]}
    extra = [one for one in axioms if one not in allowed or (world.own(one) and not world.trusted_file)]
    told = {
        "axioms": [spell(one) for one in axioms], "statement": show(terms, statement.type, LONGEST),
        "own": [spell(one) for one in own], "checked": len(rest),
    }  # fmt: skip
    if extra:
        named = ", ".join(map(spell, extra))
        if ("Char",) in extra and not world.own(("Char",)):
            named += " (the mini library only names this type, so a proof about texts rests on no construction of them)"
        return {"ok": False, "message": f"the proof uses axioms that are not allowed: {named}", **told}
    return {"ok": True, "message": "accepted", **told}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        answer = judge(json.load(sys.stdin))
    except (Rejected, Malformed) as error:
        answer = {"ok": False, "message": str(error), "axioms": [], "statement": "", "own": []}
    except (ValueError, LookupError, struct.error, RecursionError) as error:
        told = f"a compiled file cannot be read ({type(error).__name__}: {error})"
        answer = {"ok": False, "message": told, "axioms": [], "statement": "", "own": []}
    json.dump(answer, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # Lean's threads and finalizers have nothing left to say
