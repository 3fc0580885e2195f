"""A small search written down by hand, so that every number shown of it can be checked by eye.

Prompt "Review: It". Move 1: root 0 with children 1 " was" and 2 " is" (3 never visited); simulations 1 and 2. Then 1 is
committed, and move 2 searches below it: children 4 " good" and 5 " <b>bad</b>"; simulations 3 and 4. 4 is committed.
"""

from workbench.papers.rain.result import Move, Node, RainResult, Search


def example() -> RainResult:
    root = Node(0, (), None, 0, n=4, fn=4, q=0.25)
    was = Node(1, (11,), root, 1, prior=0.5, n=3, fn=3, q=0.5, text=" was fine.", value=0.5)
    is_ = Node(2, (12,), root, 1, prior=0.3, n=1, fn=1, q=-0.5, text=" is dull.", value=-0.5)
    has = Node(3, (13,), root, 1, prior=0.2)
    good = Node(4, (14, 15), was, 2, prior=0.6, n=1, fn=1, q=0.9, text=" was good.", value=0.9, ends=True)
    bad = Node(5, (16, 17), was, 2, prior=0.4, n=1, fn=1, q=0.1, text=" was <b>bad</b>, no.", value=0.1)
    root.children, was.children = [was, is_, has], [good, bad]
    searches = [
        Search(0, (0, 1), " was fine.", 0.5, {0: (1, 1, 0.5), 1: (1, 1, 0.5)}),
        Search(0, (0, 2), " is dull.", -0.5, {0: (2, 2, 0.0), 2: (1, 1, -0.5)}),
        Search(1, (1, 4), " was good.", 0.9, {1: (2, 2, 0.7), 4: (1, 1, 0.9)}),
        Search(1, (1, 5), " was <b>bad</b>, no.", 0.1, {1: (3, 3, 0.5), 5: (1, 1, 0.1)}),
    ]
    moves = [Move(1, " was", 0.5, 1.0, 2), Move(4, " good", 0.9, 1.0, 2)]
    return RainResult(
        "Review: It", " was good", [11, 14, 15], "eos", moves, searches, [root, was, is_, has, good, bad],
        {"searches": 4, "evaluations": 4, "forwards": 9, "tokens": 90, "reused": 10, "seconds": 0.1},
        ["", " was", " is", " has", " good", " <b>bad</b>"],
    )  # fmt: skip
