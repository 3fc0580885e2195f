"""What a search leaves behind: the reply, the whole tree, every simulation, and what it cost."""

from dataclasses import asdict, dataclass, field

import numpy as np


@dataclass(eq=False)
class Node:
    """A token set in the search tree and its statistics.

    Attributes
    ----------
    id : int
        In order of creation; the root is 0.
    tokens : tuple of int
        The set's own tokens; empty at the root.
    step : int
        Depth below the first root (never reset by a move).
    n, fn : float, int
        Visits with and without the similarity updates.
    q : float
        Mean value, in [-1, 1].
    prior, chance : float
        p of the selection rule; the chain's own probability, from which it was made.
    embedding : (D,) array, optional
        Running mean of the embeddings of the texts simulated through it.
    text, value : str, float
        The reply text evaluated when the node was first visited, and its value; None before.
    ends : bool
        Nothing can follow: end of text, a new turn, or the greatest length.
    """

    id: int
    tokens: tuple[int, ...]
    parent: "Node | None"
    step: int
    prior: float = 1.0
    chance: float = 1.0
    n: float = 0.0
    fn: int = 0
    q: float = 0.0
    ends: bool = False
    children: list["Node"] | None = None  # None: not expanded yet
    embedding: np.ndarray | None = None
    text: str | None = None
    value: float | None = None
    tried: int = 0  # candidate chains drawn so far
    place: object = None  # its prefix in the engine's tree
    prefix: tuple[int, ...] = ()  # the reply's tokens up to and including its own

    @property
    def path(self) -> list["Node"]:
        """From the first root to here."""
        nodes, node = [], self
        while node is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]


@dataclass(frozen=True)
class Search:
    """One search: which move it served, the nodes on its path, what was simulated, and the statistics it changed.

    ``changed`` maps a node's id to (n, fn, q) after the search, so that a viewer can step through.
    """

    move: int
    path: tuple[int, ...]
    text: str
    value: float
    changed: dict[int, tuple[float, int, float]]


@dataclass(frozen=True)
class Move:
    """A committed token set: the node, its text, its value and visits when it was chosen, the searches made for it."""

    node: int
    text: str
    value: float
    visits: float
    searches: int


@dataclass
class RainResult:
    """What RAIN made of one prompt.

    Attributes
    ----------
    prompt, reply : str
    tokens : list of int
        The reply's tokens, with the end-of-text token if there was one.
    finish : str
        "eos", "stop" (a new turn), "length", or "empty" (nothing could follow, or only some moves were asked for).
    moves, searches : list
        `Move` and `Search`, in order: values over time.
    nodes : list of Node
        Every node ever made, by id; 0 is the root.
    counters : dict
        forwards, tokens, reused, seconds (of the whole call: prompts in lock-step share forwards), searches,
        evaluations (this prompt's).
    """

    prompt: str
    reply: str
    tokens: list[int]
    finish: str
    moves: list[Move]
    searches: list[Search]
    nodes: list[Node]
    counters: dict = field(default_factory=dict)

    @property
    def values(self) -> list[float]:
        """The value of each simulation, in order."""
        return [search.value for search in self.searches]

    def as_dict(self) -> dict:
        """All of it as JSON-ready data; nodes as records {id, parent, text, prior, n, fn, q, step, evaluated,
        value}.
        """
        searches = [
            {**asdict(s), "changed": {str(k): list(v) for k, v in s.changed.items()}, "path": list(s.path)}
            for s in self.searches
        ]
        return {
            "prompt": self.prompt, "reply": self.reply, "finish": self.finish,
            "moves": [asdict(move) for move in self.moves], "searches": searches, "nodes": self.table(),
            "counters": self.counters,
        }  # fmt: skip

    def table(self) -> list[dict]:
        """The nodes as records, by id."""
        return [
            {
                "id": node.id, "parent": None if node.parent is None else node.parent.id, "text": self.texts[node.id],
                "tokens": list(node.tokens), "prior": node.prior, "n": node.n, "fn": node.fn, "q": node.q,
                "step": node.step, "ends": node.ends, "evaluated": node.text, "value": node.value,
                "committed": any(move.node == node.id for move in self.moves),
            }
            for node in self.nodes
        ]  # fmt: skip

    texts: list[str] = field(default_factory=list)  # by node id: the text of its own tokens
