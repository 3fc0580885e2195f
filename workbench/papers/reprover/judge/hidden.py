"""What a statement may hide from its reader: hypotheses of `variable`, instances of what is known, look-alike names.

Asked of a stranger's statement that cannot be read without its file. What it says is shown as it was elaborated; here
it is refused where a reader of the words alone would take it for another statement.
"""

import unicodedata

from . import terms as T
from .kernel import Rejected
from .terms import Constant, Name, Terms, spell, uses_variable

INSTANCE = 3  # the binder of `[C x]`
# two instances of these are equal, whatever they are
ONLY_ONE = {("Decidable",), ("DecidableEq",), ("DecidablePred",), ("DecidableRel",)}
# letters that look like others in many fonts
ALIKE = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαγικνορτυχϲϳI1|0", "ABEZHlKMNOPTYXayiKvopTUxcjlllO")


def look(text: str) -> str:
    """What a word looks like: equal for words that a reader may take for one another."""
    return unicodedata.normalize("NFKC", text).translate(ALIKE).replace("rn", "m")


def check_hidden(world, statement: Constant, own: list[Name]) -> None:
    """Reject a statement that says less than its words seem to say."""
    known = {name: part.constant(name).kind for name, part in world.library.items()}
    for name in world.variables:
        if (name,) in known:
            raise Rejected(f"the file's variable {name} takes the name of the library's")
    looks = {look(spell(name)) for name, kind in known.items() if kind != T.THEOREM}
    for name in [*own, *((word,) for word in world.variables)]:
        for first in range(len(name)):
            written = spell(name[first:])
            if look(written) in looks and name[first:] not in known:
                raise Rejected(f"the file's {spell(name)} looks like a name of the library")
    _check_hypotheses(world, statement, own)
    terms = [statement.type]
    for name in own:
        one = world.find(name)
        terms += [one.type] if one.value is None else [one.type, one.value]
    for term in world.terms.inside(*terms):
        _check_instances(world, term)


def _check_hypotheses(world, statement: Constant, own: list[Name]) -> None:
    """A hypothesis that the statement neither uses nor names: of a class of the file, or of no variable."""
    nodes, term, above = world.terms.nodes, statement.type, []
    while nodes[term][0] == T.PI:
        _, _, type_, body, binder = nodes[term]
        head = world.terms.head(type_)
        if binder == INSTANCE and head is not None and not uses_variable(world.terms, body):
            plain, one = True, type_
            while nodes[one][0] == T.APP:
                argument = nodes[nodes[one][2]]
                # of a proposition it would say that it holds
                of = above[-1 - argument[1]] if argument[0] == T.BVAR else None
                plain, one = plain and of is not None and nodes[of] != (T.SORT, (T.ZERO,)), nodes[one][1]
            plain = head in ONLY_ONE or (plain and one != type_ and head not in own)
            if not plain and not any(word.split(".")[-1] == head[-1] for word in world.bracketed):
                raise Rejected(
                    f"the statement does not show its hypothesis of {spell(head)}; write it into the statement"
                )
        above.append(type_)
        term = body


def _check_instances(world, term: int) -> None:
    """Where a notion of the library is applied to notions of the library, the instance is the library's."""
    terms, nodes = world.terms, world.terms.nodes
    given: list[int] = []
    while nodes[term][0] == T.APP:
        given.append(nodes[term][2])
        term = nodes[term][1]
    if nodes[term][0] != T.CONST or not given:
        return
    given.reverse()
    type_ = world.find(nodes[term][1]).type
    for number, argument in enumerate(given):
        if nodes[type_][0] != T.PI:
            return
        _, _, wanted, body, binder = nodes[type_]
        if binder == INSTANCE and not _is_open(world, wanted, given[:number]):
            bound = nodes[_first(terms, argument)][0] == T.BVAR
            theirs = sorted(name for name in terms.constants(argument) if world.own(name))
            if bound or theirs:
                told = spell(theirs[0]) if theirs else "a variable"
                raise Rejected(
                    f"the statement reads {spell(terms.head(wanted))} of the library's notions by {told}, an instance "
                    "of its file"
                )
        type_ = body


def _is_open(world, wanted: int, before: list[int]) -> bool:
    """Whether a class is asked of a variable or of a new type of the file, where any instance may stand."""
    terms, nodes = world.terms, world.terms.nodes
    head = terms.head(wanted)
    if head is None or head in ONLY_ONE or world.own(head):
        return True
    asked = []
    while nodes[wanted][0] == T.APP:
        asked.append(nodes[wanted][2])
        wanted = nodes[wanted][1]
    of = world.find(head).type
    for part in reversed(asked):
        output = nodes[of][0] == T.PI and terms.head(nodes[of][2]) == ("outParam",)
        of = nodes[of][3] if nodes[of][0] == T.PI else of
        if output:
            continue
        # a variable of the class is what was given for it
        if nodes[part][0] == T.BVAR and nodes[part][1] < len(before):
            part = before[len(before) - 1 - nodes[part][1]]
        names = [name for name in terms.constants(part) if world.own(name)]
        kinds = {world.find(name).kind for name in names}
        if nodes[_first(terms, part)][0] == T.BVAR or (T.INDUCTIVE in kinds and kinds <= {T.INDUCTIVE, T.CONSTRUCTOR}):
            return True
    return False


def _first(terms: Terms, term: int) -> int:
    while terms.nodes[term][0] == T.APP:
        term = terms.nodes[term][1]
    return term
