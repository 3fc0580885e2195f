"""Deliberately slow and literal: a Metamath proof verifier, and a compressor, over what the reader gives.

The verifier does what chapter 4 of the Metamath book says and nothing clever: a stack of whole statements, one
substitution found from the floating hypotheses, every essential hypothesis compared symbol by symbol, every pair of a
``$d`` checked. It shares no code with the reader, so a frame or a proof that was read wrongly does not verify.
"""

from itertools import combinations


class Wrong(Exception):
    """The proof does not prove its statement."""


def verify(one, known) -> set[str]:
    """Check a theorem, ``known`` {label: Assertion} before it; the assertions that were applied."""
    own = {hypothesis.label: hypothesis for hypothesis in (*one.hypotheses, *one.optional)}
    apart = {frozenset(pair) for group in one.distinct for pair in combinations(group, 2)}
    symbols_of = {hypothesis.statement[1] for hypothesis in own.values() if hypothesis.kind == "$f"}
    stack: list[tuple[str, ...]] = []
    kept: list[tuple[str, ...]] = []
    applied: set[str] = set()
    for step in one.steps:
        if step is None:
            raise Wrong(f"{one.label}: an unknown step")
        if step == -1:
            kept.append(stack[-1])
        elif isinstance(step, int):
            stack.append(kept[step])
        elif step in own:
            stack.append(own[step].statement)
        else:
            stack.append(apply(one, known[step], stack, apart, symbols_of))
            applied.add(step)
    if stack != [one.statement]:
        raise Wrong(f"{one.label}: ends with {stack}, not with {one.statement}")
    return applied


def apply(one, rule, stack, apart, variables) -> tuple[str, ...]:
    """Take the rule's hypotheses off the stack; its statement with the variables replaced."""
    count = len(rule.hypotheses)
    if len(stack) < count:
        raise Wrong(f"{one.label}: {rule.label} finds {len(stack)} statements, needs {count}")
    given = [stack.pop() for _ in range(count)][::-1]
    put: dict[str, tuple[str, ...]] = {}
    for hypothesis, statement in zip(rule.hypotheses, given, strict=True):
        if hypothesis.kind == "$f":
            if statement[0] != hypothesis.statement[0]:
                raise Wrong(f"{one.label}: {rule.label}: {statement[0]} given for {hypothesis.statement}")
            put[hypothesis.statement[1]] = statement[1:]
    for hypothesis, statement in zip(rule.hypotheses, given, strict=True):
        if hypothesis.kind == "$e" and replaced(hypothesis.statement, put) != statement:
            raise Wrong(f"{one.label}: {rule.label}: {hypothesis.label} is not {statement}")
    for group in rule.distinct:
        for x, y in combinations([name for name in group if name in put], 2):
            for p in variables.intersection(put[x]):
                for q in variables.intersection(put[y]):
                    if p == q or frozenset((p, q)) not in apart:
                        raise Wrong(f"{one.label}: {rule.label}: {p} and {q} must be distinct")
    return replaced(rule.statement, put)


def replaced(statement, put) -> tuple[str, ...]:
    result: list[str] = []
    for symbol in statement:
        result.extend(put.get(symbol, (symbol,)))
    return tuple(result)


def compress(mandatory: list[str], labels: list[str | None], repeats: dict[int, int] | None = None) -> str:
    """A normal proof as a compressed one; ``repeats`` {place: earlier place} names steps that recall a kept one.

    The code is found by counting upwards through all letter strings of appendix B, not by arithmetic.
    """
    repeats = repeats or {}
    kept_order = sorted(set(repeats.values()))
    named = list(dict.fromkeys(label for label in labels if label is not None and label not in mandatory))
    place = {label: number for number, label in enumerate([*mandatory, *named])}
    letters = []
    for at, label in enumerate(labels):
        if at in repeats:
            letters.append(code(len(place) + kept_order.index(repeats[at])))
        else:
            letters.append("?" if label is None else code(place[label]))
        if at in kept_order:
            letters.append("Z")
    text = "".join(letters)
    return f"( {' '.join(named)} ) {' '.join(text[n : n + 7] for n in range(0, len(text), 7))}"


def code(number: int) -> str:
    heads = [""]
    while True:
        for head in heads:
            if number < 20:
                return head + "ABCDEFGHIJKLMNOPQRST"[number]
            number -= 20
        heads = [head + letter for head in heads for letter in "UVWXY"] if heads != [""] else list("UVWXY")
