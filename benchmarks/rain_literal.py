"""RAIN as the reference computes it, written from the description of its algorithm and from nothing of the workbench.

Li et al., "RAIN", ICLR 2024, arXiv 2309.07124; what SafeAILab/RAIN does is followed where it differs from the paper.
This is the baseline of benchmarks/rain.py and the oracle of the tests: one sequence at a time, a cache inside one chain
only, every next-token distribution remembered by its text (and the cache dropped where one is remembered), the whole
evaluation template read anew for each evaluation, children made as soon as a node is visited. It shares no code with
`workbench.papers.rain`: it is given the constants, a way to decode, an evaluation, an encoder and the uniform numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np


class Reader:
    """A torch module read one sequence at a time; counts forwards and tokens, and what any exact method must read."""

    def __init__(self, module):
        self.module, self.forwards, self.tokens = module, 0, 0
        self.known: dict[tuple, np.ndarray] = {}  # text -> its next-token logits
        self.needed: set[tuple] = set()  # prefixes: each is a token that must be computed once

    def forward(self, new: Sequence[int], cache, ids: Sequence[int]):
        """Logits behind the last of ``new``, read behind ``cache``, and the cache with them; ``ids`` is all of it."""
        import torch

        self.forwards, self.tokens = self.forwards + 1, self.tokens + len(new)
        with torch.inference_mode():
            out = self.module(input_ids=torch.tensor([list(new)]), past_key_values=cache, use_cache=True)
        return out.logits[0, -1].double().numpy(), out.past_key_values

    def next(self, ids: Sequence[int], cache):
        """Next-token logits of ``ids``: remembered (then the cache is lost), or one token behind the cache, or all."""
        key = tuple(ids)
        if key in self.known:
            return self.known[key], None
        self.known[key], cache = self.forward(ids[-1:] if cache is not None else ids, cache, ids)
        return self.known[key], cache

    def alone(self, ids: Sequence[int]) -> np.ndarray:
        """Next-token logits of a text read by itself, remembered nowhere: an evaluation."""
        self.note(ids)
        return self.forward(ids, None, ids)[0]

    def note(self, ids: Sequence[int]) -> None:
        """These tokens must be read by any exact method."""
        ids = tuple(ids)
        while ids and ids not in self.needed:
            self.needed.add(ids)
            ids = ids[:-1]


@dataclass(eq=False)
class LiteralNode:
    tokens: tuple[int, ...]
    parent: "LiteralNode | None"
    step: int  # below the first root; never reset
    prefix: tuple[int, ...]  # of the reply, its own tokens included
    chance: float = 1.0  # from which the prior is made
    p: float = 1.0
    n: float = 0.0
    fn: int = 0
    q: float = 0.0
    ends: bool = False
    children: list["LiteralNode"] | None = None
    embedding: np.ndarray | None = None
    tried: int = 0  # chains sampled so far
    reads: list[tuple] = field(default_factory=list)  # what making its children read; needed once it is passed through


def distribution(logits: np.ndarray, temperature: float = 1.0, top_k: int = 0) -> np.ndarray:
    """Softmax of logits / temperature over the top k (all that tie with the k-th), 0 elsewhere."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if 0 < top_k < len(scaled):
        scaled = np.where(scaled < np.sort(scaled)[-top_k], -np.inf, scaled)
    weights = np.exp(scaled - scaled.max())
    return weights / weights.sum()


def invert(p: np.ndarray, uniform: float) -> int:
    """The token at which the cumulative distribution, in token order, passes ``uniform``."""
    cumulative = np.cumsum(p)
    return min(int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right")), int(np.flatnonzero(p)[-1]))


def race(logits: np.ndarray, uniform: float) -> int:
    """A token of the whole vocabulary: the first to arrive of exponential waits that one uniform number stands for.

    The waits' random bits are a 64-bit mixing of the uniform's 53 bits and the token, counted from 1.
    """
    seed = np.uint64(int(uniform * 2**53))
    with np.errstate(over="ignore"):
        bits = np.arange(1, len(logits) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + seed
        bits ^= seed << np.uint64(20)
        for shift, factor in ((33, 0xFF51AFD7ED558CCD), (29, 0xC4CEB9FE1A85EC53), (32, 1)):
            bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    waits = ((bits & np.uint64(2**53 - 1)).astype(np.float64) + 0.5) * 2.0**-53
    return int((np.log(-np.log1p(-np.minimum(waits, 1 - 2.0**-24))) - logits).argmin())


class LiteralRain:
    """One prompt's search.

    Parameters
    ----------
    reader : Reader
    prompt : token ids
    settings : any object with the constants' names
    value : text of the reply -> value in [-1, 1]
    decode : (tokens before, new tokens) -> text of the new ones
    eos : tokens that end the text
    uniforms : (purpose, prefix of the reply, number) -> an iterator of uniform numbers; purposes are "chain",
        "simulation" and "move"
    embed : text -> (D,) array, or None: neither similarity update nor node addition
    """

    def __init__(self, reader, prompt, settings, value, decode, eos, uniforms, embed: Callable | None = None):
        self.reader, self.prompt, self.s, self.eos = reader, list(prompt), settings, set(eos)
        self.value, self.decode, self.uniforms, self.embed = value, decode, uniforms, embed
        self.values: dict[str, float] = {}
        self.tree = self.root = LiteralNode((), None, 0, ())
        self.visits: list[tuple] = []  # (path of prefixes, simulated text, value) a search, in order
        self.states: list[dict] = []  # {prefix: (n, fn, q)} of all nodes touched, after each search
        self.moves: list[tuple] = []
        self.shared = self.added = self.ended = 0

    # --- text ---------------------------------------------------------------------------------------------------------

    def reply(self, tokens: Sequence[int]) -> tuple[str, bool]:
        """The reply's text up to a new turn, without the end token, and whether a turn began."""
        text = self.decode(self.prompt, [t for t in tokens if t not in self.eos])
        places = [text.index(stop) for stop in self.s.stop if stop in text]
        return (text[: min(places)], True) if places else (text, False)

    def over(self, tokens: Sequence[int]) -> bool:
        """Nothing can follow."""
        if not tokens:
            return False
        return tokens[-1] in self.eos or len(tokens) >= self.s.max_new_tokens or self.reply(tokens)[1]

    def clause_ended(self, tokens: Sequence[int]) -> bool:
        """The whole text, prompt and all, ends in one of the marks."""
        text = self.decode([], [t for t in [*self.prompt, *tokens] if t not in self.eos])
        return bool(text) and bool(self.s.rollout_ends) and text[-1] in self.s.rollout_ends

    # --- candidates ---------------------------------------------------------------------------------------------------

    def chain(self, node: LiteralNode, length: int, uniform=None) -> tuple[tuple[int, ...], float]:
        """A token set below a node, greedy or sampled, and the product of its renormalised probabilities."""
        tokens: tuple[int, ...] = ()
        cache, chance = None, 1.0
        while len(tokens) < length and not (tokens and tokens[-1] in self.eos):
            ids = [*self.prompt, *node.prefix, *tokens]
            logits, cache = self.reader.next(ids, cache)
            node.reads.append(tuple(ids))
            p = distribution(logits, self.s.temperature, self.s.top_k)
            if uniform is None:
                token = int(p.argmax())
            elif 0 < self.s.top_k < len(p):
                token = invert(p, next(uniform))
            else:
                token = race(logits / self.s.temperature, next(uniform))
            tokens, chance = (*tokens, token), chance * p[token]
        return tokens, chance

    def sampled(self, node: LiteralNode, length: int):
        uniform = self.uniforms("chain", node.prefix, node.tried)
        node.tried += 1
        return self.chain(node, length, uniform)

    def length(self, node: LiteralNode) -> int:
        nominal = self.s.lengths[min(node.step, len(self.s.lengths) - 1)]
        return min(nominal, self.s.max_new_tokens - len(node.prefix))

    def one_token(self, node: LiteralNode, k: int) -> list[tuple[tuple[int, ...], float]]:
        """The k most probable tokens."""
        ids = [*self.prompt, *node.prefix]
        logits, _ = self.reader.next(ids, None)
        node.reads.append(tuple(ids))
        p = distribution(logits, self.s.temperature)
        return [((int(t),), float(p[t])) for t in np.lexsort((np.arange(len(p)), -p))[:k]]

    def expand(self, node: LiteralNode) -> None:
        length = self.length(node)
        if length == 1:
            found = self.one_token(node, self.s.candidates)
        else:
            found = [self.chain(node, length)]
            for _ in range(self.s.tries):
                if len(found) == self.s.candidates:
                    break
                tokens, chance = self.sampled(node, length)
                if tokens not in [known for known, _ in found]:
                    found.append((tokens, chance))
        node.children = [self.child(node, tokens, chance) for tokens, chance in found]
        self.set_priors(node)

    def child(self, node: LiteralNode, tokens, chance) -> LiteralNode:
        prefix = node.prefix + tokens
        return LiteralNode(tokens, node, node.step + 1, prefix, chance, ends=self.over(prefix))

    def set_priors(self, node: LiteralNode) -> None:
        p = np.array([child.chance for child in node.children])
        if self.length(node) > 1 and len(p) > 1:
            others = p[1:]  # the greedy chain, first, is held between what the others have
            p[0] = max(min(p[0], others.sum()), others.max() + others.min())
        p = p / p.sum()
        if node is self.root:
            p = self.mixed(p)
        for child, prior in zip(node.children, p, strict=True):
            child.p = float(prior)

    def mixed(self, p: np.ndarray) -> np.ndarray:
        return (1 - self.s.root_mix) * p + self.s.root_mix / len(p)

    # --- one search ---------------------------------------------------------------------------------------------------

    def select(self, node: LiteralNode) -> LiteralNode:
        def worth(child):
            q = (child.q + 1) / 2 if child.n else self.s.first_play
            return q + self.s.exploration * child.p * node.n**0.5 / (1 + child.n)

        return max(node.children, key=worth)  # the first of equals

    def alike_and_bad(self, node: LiteralNode) -> bool:
        own = node.children
        if self.embed is None or not 1 < len(own) < self.s.max_children or any(c.embedding is None for c in own):
            return False
        variance = np.array([c.embedding for c in own]).var(axis=0, ddof=1)  # torch.var divides by K - 1
        return bool(np.linalg.norm(variance) < self.s.variance * self.length(node)) and max(c.q for c in own) < 0

    def add_one(self, node: LiteralNode) -> None:
        length, known = self.length(node), [child.tokens for child in node.children]
        if length == 1:
            found = self.one_token(node, len(known) + 1)
        else:
            found = []
            for _ in range(self.s.added_tries):
                found.append(self.sampled(node, length))
                if found[-1][0] not in known:
                    break
        for tokens, chance in found:
            if tokens not in known:
                node.children.append(self.child(node, tokens, chance))
                self.added += 1
                self.set_priors(node)
                return

    def simulate(self, node: LiteralNode) -> tuple[int, ...]:
        """Tokens drawn behind the node: to the end of the clause, at temperature 1 over the whole vocabulary."""
        drawn: tuple[int, ...] = ()
        uniform, cache = self.uniforms("simulation", node.prefix, 0), None
        while len(drawn) < self.s.rollout_tokens and not self.over(node.prefix + drawn):
            if self.clause_ended(node.prefix + drawn) and (drawn or not self.s.simulate_ended):
                self.ended += not drawn
                break
            ids = [*self.prompt, *node.prefix, *drawn]
            logits, cache = self.reader.next(ids, cache)
            self.reader.note(ids)
            drawn = (*drawn, race(logits, next(uniform)))
        return drawn

    def backup(self, node: LiteralNode, whole: tuple[int, ...], g: float, touched: dict) -> None:
        while True:
            node.n, node.fn = node.n + 1, node.fn + 1
            node.q += (g - node.q) / node.n
            touched[node.prefix] = node
            if node is self.root:
                return
            if self.embed is not None:
                start = len(node.prefix) - len(node.tokens)
                if self.s.embedded_text == "node":  # from the node's own tokens on
                    before, new = [*self.prompt, *whole[:start]], whole[start:]
                    text = self.decode(before, [t for t in new if t not in self.eos])
                else:
                    text, _ = self.reply(whole)
                found = np.asarray(self.embed(text), dtype=float)
                old = node.embedding
                node.embedding = found if old is None else old + (found - old) / node.fn
                for sibling in node.parent.children:
                    if sibling is node or sibling.embedding is None:
                        continue
                    a, b = node.embedding, sibling.embedding
                    size = np.linalg.norm(a) * np.linalg.norm(b)
                    cosine = float(a @ b / size) if size else 0.0
                    if cosine >= self.s.similarity:
                        w = self.s.similarity_weight * cosine
                        sibling.q = (sibling.q * sibling.n + w * g) / (sibling.n + w)
                        sibling.n += w
                        touched[sibling.prefix] = sibling
                        self.shared += 1
            node = node.parent

    def search(self) -> None:
        node, path = self.root, [self.root.prefix]
        if node.children is None and not self.s.evaluate_root:
            self.expand(node)
        while node.children:
            if self.alike_and_bad(node):
                self.add_one(node)
            for ids in node.reads:
                self.reader.note(ids)
            node.reads.clear()
            node = self.select(node)
            path.append(node.prefix)
        whole = node.prefix + self.simulate(node)
        text, _ = self.reply(whole)
        if text not in self.values:
            self.values[text] = self.value(text)
        if not node.ends and node.children is None:
            self.expand(node)
        touched: dict = {}
        self.backup(node, whole, self.values[text], touched)
        self.visits.append((tuple(path), text, self.values[text]))
        self.states.append({prefix: (x.n, x.fn, x.q) for prefix, x in touched.items()})

    # --- moves --------------------------------------------------------------------------------------------------------

    def best(self) -> LiteralNode:
        return max(self.root.children, key=lambda child: (child.n, child.q))  # the first of equals

    def run(self, moves: int | None = None) -> list[int]:
        """The reply's tokens, after all moves or only some."""
        while not self.root.ends and moves != len(self.moves):
            for _ in self.s.searches(self.root.fn):
                self.search()
                if not self.root.children:
                    return list(self.root.prefix)
                best = self.best()
                if best.fn > self.s.min_visits and best.q > self.s.threshold:
                    break
            chosen = self.best()
            if self.s.commit == "sample":
                visits = np.array([child.n for child in self.root.children])
                uniform = next(self.uniforms("move", self.root.prefix, 0))
                chosen = self.root.children[invert(visits / visits.sum(), uniform)]
            self.moves.append(chosen.prefix)
            self.root = chosen
            chosen.embedding = None
            if chosen.children:
                for child, p in zip(chosen.children, self.mixed(np.array([c.p for c in chosen.children])), strict=True):
                    child.p = float(p)
        return list(self.root.prefix)

    @property
    def searches(self) -> int:
        return len(self.visits)

    def floor(self) -> int:
        """The fewest tokens that any exact method computes: the distinct prefixes that had to be read."""
        return len(self.reader.needed)

    def nodes(self, node: LiteralNode | None = None) -> list[LiteralNode]:
        """All nodes of the tree, below the first root."""
        node = node or self.tree
        return [node, *(found for child in node.children or () for found in self.nodes(child))]
