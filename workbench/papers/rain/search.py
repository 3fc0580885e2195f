"""One prompt's search, as a task of the shared-prefix engine (see `workbench.models.prefix.tasks`).

Everything random is drawn from a stream named by (seed, prompt, purpose, tokens so far), so neither batching, memory
nor the simulations begun on a guess (``lanes``) can change a result. A node's children are made when the search first
passes through it, not when it is first visited: the same tree, without chains nobody looks at.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...models.prefix.tasks import Pool, Task, Top, chain, together
from ...models.reader import until_stop
from .result import Move, Node, RainResult, Search
from .settings import RainSettings

ROLLOUT, CHAIN, COMMIT = 1, 2, 3  # the purposes random streams are named by


def stream(*words: int) -> np.random.Generator:
    """The random stream of that name."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([word % 2**64 for word in words])))


@dataclass(frozen=True)
class Outcome:
    """A simulation: the reply text it reached, its value, and for each node on the path the embedding of its part."""

    text: str
    value: float
    embeddings: dict[Node, np.ndarray]


class Searcher:
    """The search for one prompt.

    Parameters
    ----------
    tree : PrefixTree
    prompt : str
        What the scorer and the result call the prompt.
    ids : list of int
        The prompt's tokens.
    index, seed : int
        They name the random streams.
    evaluate : callable
        reply text -> task that returns its value.
    embed : callable, optional
        text -> task that returns its embedding (D,).
    decode : callable
        (tokens before, new tokens) -> text of the new ones, as `Model.new_text`.
    eos : set of int
    special : tuple of str, the texts of special tokens that a stop string may name
    """

    def __init__(
        self, tree, prompt: str, ids: list[int], *, settings: RainSettings, evaluate: Callable[[str], Task],
        embed: Callable[[str], Task] | None, decode: Callable[[list[int], list[int]], str], eos: frozenset[int],
        index: int, seed: int, special: tuple[str, ...] = (),
    ):  # fmt: skip
        self.tree, self.prompt, self.settings, self.eos = tree, prompt, settings, eos
        self.evaluate, self.embed, self.decode = evaluate, embed, decode
        self.ids, self.name, self.special = ids, (seed, index), special
        self.pool = Pool()
        self.foreseen: dict[Node, list[Node]] = {}  # children of nodes the search has not passed through
        self.nodes: list[Node] = []
        self.texts: list[str] = []
        self.searches: list[Search] = []
        self.memo: dict[str, float] = {}  # by text: a text has one value
        self.embedded: dict[str, np.ndarray] = {}  # by text
        self.outcomes: dict[Node, Outcome] = {}  # by node visited: what its first visit found
        self.ends_at: dict[int, bool | None] = {}  # token -> is its text's last character one that ends a simulation?
        self.root = Node(0, (), None, 0, place=tree.node(ids))
        self.nodes.append(self.root)
        self.texts.append("")

    # --- the outer loop -----------------------------------------------------------------------------------------------

    def task(self, moves_at_most: int | None = None) -> Task:
        """Search, make moves and return a `RainResult`."""
        root, moves = self.root, []
        while not root.ends and (moves_at_most is None or len(moves) < moves_at_most):
            if root.children is None:
                yield from self._wait("expand", root)
            if not root.children:
                break  # no candidate at all: the reply ends here
            self._set_priors(root, root.children, mix=True)
            done = 0
            searches = self.settings.searches(root.fn)
            for done in range(1, len(searches) + 1):
                yield from self._search(root, len(moves), len(searches) - done)
                best = self._most_visited(root)
                if best.fn > self.settings.min_visits and best.q > self.settings.threshold:
                    break
            root = self._commit(root)
            moves.append(Move(root.id, self.texts[root.id], root.q, root.n, done))
            self._forget_others(root)
        text, tokens, finish = self._finish(root)
        return RainResult(
            self.prompt, text, tokens, finish, moves, self.searches, self.nodes,
            {"searches": len(self.searches), "evaluations": len(self.memo)}, self.texts,
        )  # fmt: skip

    def _most_visited(self, root: Node) -> Node:
        return max(root.children, key=lambda child: (child.n, child.q))

    def _commit(self, root: Node) -> Node:
        """The child with the most visits (code), or one drawn by normalised visits (the paper's words)."""
        if self.settings.commit == "visits":
            return self._most_visited(root)
        by = "n" if any(child.n for child in root.children) else "prior"  # else only the root was evaluated
        weights = np.array([getattr(child, by) for child in root.children])
        uniform = stream(*self.name, COMMIT, *root.prefix).random() * weights.sum()
        return root.children[min(int(np.searchsorted(weights.cumsum(), uniform, side="right")), len(weights) - 1)]

    def _finish(self, root: Node):
        tokens = list(root.prefix)
        if tokens and tokens[-1] in self.eos:
            return self._text(tokens)[0], tokens, "eos"
        text, cut = self._text(tokens)
        return text, tokens, "stop" if cut else "length" if root.ends else "empty"

    # --- one search ---------------------------------------------------------------------------------------------------

    def _search(self, root: Node, move: int, left: int) -> Task:
        """Select a leaf, simulate and evaluate it, back its value up."""
        path = [root]
        while not self._evaluates(root):
            node = path[-1]
            if node.children is None and not node.ends:
                yield from self._wait("expand", node, root, left)
            if not node.children:
                break
            if self._wants_another(node):
                yield from self._add(node, mix=node is root)
            path.append(self._select(node, node.children))
            if not path[-1].n or path[-1].ends:
                break
        leaf = path[-1]
        if leaf not in self.outcomes:  # else nothing can follow it, or nothing was found to: its value stands
            (self.outcomes[leaf],) = yield from self._wait("simulate", leaf, root, left)
        outcome = self.outcomes[leaf]
        leaf.text, leaf.value = outcome.text, outcome.value
        changed = self._back_up(path, outcome)
        self.searches.append(
            Search(
                move, tuple(node.id for node in path), outcome.text, outcome.value,
                {node.id: (node.n, node.fn, node.q) for node in changed},
            )
        )  # fmt: skip

    def _evaluates(self, root: Node) -> bool:
        """Whether the next search stops at the root itself: the first of all, where ``evaluate_root`` asks for it."""
        return self.settings.evaluate_root and not root.fn and root.parent is None

    def _select(self, node: Node, children: list[Node]) -> Node:
        """argmax of (q + 1) / 2 + c p sqrt(n_parent) / (1 + n); an unvisited child's first term is ``first_play``."""
        scale = self.settings.exploration * math.sqrt(node.n)
        first = self.settings.first_play
        return max(
            children,
            key=lambda child: ((child.q + 1) / 2 if child.n else first) + scale * child.prior / (1 + child.n),
        )

    def _back_up(self, path: list[Node], outcome: Outcome) -> list[Node]:
        """Running means along the path, then shares for similar siblings; the nodes that changed."""
        changed = list(path)
        for node in path:
            node.q = (node.q * node.n + outcome.value) / (node.n + 1)
            node.n += 1
            node.fn += 1
        for node in path[1:]:
            if node not in outcome.embeddings:
                continue
            new, mean = outcome.embeddings[node].astype(float), node.embedding
            node.embedding = new if mean is None else mean + (new - mean) / node.fn
            for sibling in node.parent.children:
                if sibling is node or sibling.embedding is None:
                    continue
                cosine = _cosine(sibling.embedding, node.embedding)
                if cosine >= self.settings.similarity:
                    weight = self.settings.similarity_weight * cosine
                    sibling.q = (sibling.q * sibling.n + weight * outcome.value) / (sibling.n + weight)
                    sibling.n += weight  # not fn, and not its ancestors
                    changed.append(sibling)
        return changed

    # --- waiting, and guessing what will be wanted --------------------------------------------------------------------

    def _wait(self, what: str, node: Node, root: Node | None = None, left: int = 0) -> Task:
        """The result of simulating or expanding ``node``, with other work the search will probably need beside it."""
        self._start(what, node)
        key = (what, node)
        while key not in self.pool.results:
            if root is not None and len(self.pool) < self.settings.lanes:
                self._guess(root, left)
            yield from self.pool.round()
        result = self.pool.results[key]
        if what == "expand":
            node.children = self._foresee(node)
            self.foreseen.pop(node, None)
            self.pool.drop(key)
            for child in node.children:
                self._register(child)
        return [result]

    def _start(self, what: str, node: Node) -> None:
        if (what, node) not in self.pool:
            self.pool.start((what, node), self._simulate(node) if what == "simulate" else self._expand(node))

    def _foresee(self, node: Node) -> list[Node] | None:
        """A node's children, also where the search has not passed it yet but its candidates are known; else None."""
        if node.children is not None:
            return node.children
        if node not in self.foreseen and ("expand", node) in self.pool.results:
            children = [self._child(node, *found) for found in self.pool.results["expand", node]]
            self._set_priors(node, children, mix=False)
            self.foreseen[node] = children
        return self.foreseen.get(node)

    def _guess(self, root: Node, left: int) -> None:
        """Play the next searches with guessed values and start what they would need; the statistics are put back."""
        saved: dict[Node, tuple[float, float]] = {}
        for _ in range(min(left + 1, 2 * self.settings.lanes)):
            if len(self.pool) >= self.settings.lanes:
                break
            path = [root]
            inside = root.n or not self._evaluates(root)  # else the next search stops at the root
            while (path[-1].n or (inside and path[-1] is root)) and (children := self._foresee(path[-1])):
                path.append(self._select(path[-1], children))
            leaf = path[-1]
            done = self.pool.results.get(("simulate", leaf))
            if not leaf.n:
                self._start("simulate", leaf)
            elif self._foresee(leaf) is None and not leaf.ends:  # also one still simulated, if next again, it seems
                self._start("expand", leaf)
            value = done.value if done else leaf.q if leaf.fn else path[-2].q if len(path) > 1 else 0.0
            for node in path:
                saved.setdefault(node, (node.n, node.q))
                node.q = (node.q * node.n + value) / (node.n + 1)
                node.n += 1
        for node, (n, q) in saved.items():
            node.n, node.q = n, q

    def _forget_others(self, root: Node) -> None:
        """Give up work under way for branches that the move has cut off."""
        for key in self.pool.known():
            if root not in key[1].path:
                self.pool.drop(key)
                self.foreseen.pop(key[1], None)

    # --- simulation ---------------------------------------------------------------------------------------------------

    def _simulate(self, leaf: Node) -> Task:
        """Sample to the next end of a clause, evaluate the text reached, embed each path node's part of it."""
        tokens = list(leaf.prefix)
        if not leaf.ends and (self.settings.simulate_ended or not self._clause_ended([*self.ids, *tokens])):
            room = min(self.settings.rollout_tokens, self.settings.max_new_tokens - len(tokens))
            random = stream(*self.name, ROLLOUT, *leaf.prefix)
            drawn, _, _ = yield from chain(
                self.tree, leaf.place, room, random=random, stop=lambda new: self._rollout_ends(tokens, new)
            )
            tokens = tokens + drawn
        text, _ = self._text(tokens)
        seen = (
            {node: self._embedded_text(node, tokens, text) for node in leaf.path if node.parent} if self.embed else {}
        )
        new = [words for words in dict.fromkeys(seen.values()) if words not in self.embedded]
        known = text in self.memo
        found = yield from together([*([] if known else [self.evaluate(text)]), *map(self.embed, new)])
        if not known:
            self.memo.setdefault(text, found.pop(0))
        self.embedded.update(zip(new, found, strict=True))
        return Outcome(text, self.memo[text], {node: self.embedded[words] for node, words in seen.items()})

    def _embedded_text(self, node: Node, tokens: list[int], text: str) -> str:
        """What of a simulated reply is embedded for a node: from its own tokens on (code), or all of it."""
        if self.settings.embedded_text == "reply":
            return text
        start = len(node.prefix) - len(node.tokens)
        new = tokens[start:]
        return self.decode([*self.ids, *tokens[:start]], new[:-1] if new[-1] in self.eos else new)

    def _clause_ended(self, ids: list[int]) -> bool:
        """Whether a text, prompt and all, ends with a character that ends a simulation."""
        return next((ended for ended in map(self._ends_clause, reversed(ids)) if ended is not None), False)

    def _ends_clause(self, token: int) -> bool | None:
        """Whether the last character of a token's text ends a simulation; None for a token without text."""
        if token not in self.ends_at:
            text = self.decode([], [token])
            self.ends_at[token] = text[-1] in self.settings.rollout_ends if text else None
        return self.ends_at[token]

    def _rollout_ends(self, before: list[int], new: list[int]) -> bool:
        last, turns = new[-1], bool(self.settings.stop)
        return last in self.eos or bool(self._ends_clause(last)) or (turns and self._text(before + new)[1])

    def _text(self, tokens: list[int]) -> tuple[str, bool]:
        """The reply's text without its end token, cut before a new turn; and whether it was cut."""
        if tokens and tokens[-1] in self.eos:
            tokens = tokens[:-1]
        return until_stop(self.decode, self.ids, tokens, self.settings.stop, self.special)

    # --- candidates ---------------------------------------------------------------------------------------------------

    def length(self, node: Node) -> int:
        """Tokens in the sets below ``node``: 1, 2, 4, then 10, and no more than the reply may still have."""
        lengths = self.settings.lengths
        return min(lengths[min(node.step, len(lengths) - 1)], self.settings.max_new_tokens - len(node.prefix))

    def _expand(self, node: Node) -> Task:
        """The candidates of a node: (tokens, probability) each, the greedy one first, all different."""
        wanted = self.settings.candidates
        if self.length(node) == 1:
            return list((yield from self._top(node, wanted)).items())
        found: dict[tuple[int, ...], float] = {}
        tokens, chance, _ = yield from self._chain(node, None)
        found[tokens] = chance
        while len(found) < wanted and node.tried < self.settings.tries:
            yield from self._draw(node, min(wanted - len(found), self.settings.tries - node.tried), found)
        return list(found.items())

    def _top(self, node: Node, count: int) -> Task:
        """The most probable tokens; p^(1/T) is what the temperature makes of p, up to a factor that cancels."""
        (top,) = yield [Top(node.place, count)]
        return {(token,): chance ** (1 / self.settings.temperature) for token, chance in top}

    def _draw(self, node: Node, count: int, found: dict) -> Task:
        """``count`` more sampled chains in lock-step; the new ones into ``found``."""
        first = node.tried
        node.tried += count
        for tokens, chance, _ in (yield from together([self._chain(node, first + i) for i in range(count)])):
            found.setdefault(tokens, chance)

    def _chain(self, node: Node, number: int | None) -> Task:
        random = None if number is None else stream(*self.name, CHAIN, number, *node.prefix)
        tokens, chance, place = yield from chain(
            self.tree, node.place, self.length(node), random=random, temperature=self.settings.temperature,
            top_k=self.settings.top_k, stop=lambda new: new[-1] in self.eos,
        )  # fmt: skip
        return tuple(tokens), chance, place

    def _child(self, node: Node, tokens: tuple[int, ...], chance: float) -> Node:
        prefix = node.prefix + tokens
        return Node(
            -1, tokens, node, node.step + 1, chance=chance, prefix=prefix, place=self.tree.extend(node.place, tokens),
            ends=self._text(list(prefix))[1] or tokens[-1] in self.eos or len(prefix) >= self.settings.max_new_tokens,
        )  # fmt: skip

    def _register(self, child: Node) -> None:
        """Number a node: in the order in which the search, not a guess, meets it."""
        child.id = len(self.nodes)
        self.nodes.append(child)
        before = self._text(list(child.parent.prefix))[0]
        self.texts.append(self._text(list(child.prefix))[0][len(before) :])

    def _set_priors(self, node: Node, children: list[Node], *, mix: bool) -> None:
        """Normalised probabilities; a greedy chain's is held between the others' extremes; mixed at the root."""
        chances = [child.chance for child in children]
        if self.length(node) > 1 and len(chances) > 1:
            others = chances[1:]
            chances[0] = max(min(chances[0], sum(others)), max(others) + min(others))
        total, share = sum(chances), self.settings.root_mix if mix else 0.0
        for child, chance in zip(children, chances, strict=True):
            prior = chance / total if total > 0 else 1 / len(chances)
            child.prior = (1 - share) * prior + share / len(chances)

    def _wants_another(self, node: Node) -> bool:
        """Dynamic node addition: all children visited, alike, and none of them good."""
        children = node.children
        if not 1 < len(children) < self.settings.max_children or any(c.embedding is None for c in children):
            return False
        # torch.var, as in the code, divides by K - 1
        spread = float(np.linalg.norm(np.var([c.embedding for c in children], axis=0, ddof=1)))
        return spread < self.settings.variance * self.length(node) and max(c.q for c in children) < 0

    def _add(self, node: Node, *, mix: bool) -> Task:
        """One more child: the next most probable token, or the first new chain of ``added_tries``."""
        held = {child.tokens for child in node.children}
        found: dict[tuple[int, ...], float] = {}
        if self.length(node) == 1:
            found = yield from self._top(node, len(held) + 1)
        else:
            limit = node.tried + self.settings.added_tries
            while node.tried < limit and not set(found) - held:
                yield from self._draw(node, 1, found)
        new = [(tokens, chance) for tokens, chance in found.items() if tokens not in held]
        if new:
            node.children.append(self._child(node, *new[0]))
            self._register(node.children[-1])
            self._set_priors(node, node.children, mix=mix)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else 0.0
