"""RAIN the way the reference computes it, written plainly: the baseline of benchmarks/rain.py and the oracle of the
tests.

One prompt and one leaf at a time. A node's greedy chain is one run, its sampled chains are one batch of rows, a
simulation is one run: each encodes its prefix anew (every row of the batch too) and has a key-value cache for as long
as it lasts; every evaluation encodes its whole prompt; values are memoised by text. Children are made right after a
leaf's first visit. The similarity update, the node addition and the further tries for new chains (AdvBench) are there
too. (With the sampled chains one by one the forwards would be
three times the card's 287: its reference must draw them together.) The random numbers are those of
`workbench.papers.rain`, so the moves must be the same.
"""

import itertools
import math

import numpy as np
import torch
from transformers import DynamicCache

from workbench.models.prefix_read import race
from workbench.papers.rain.search import CHAIN, ROLLOUT, stream


class Reader:
    """Next-token logits of one torch module, and what they cost."""

    def __init__(self, module):
        self.module = module
        self.forwards = self.tokens = 0
        self.contexts = []  # every text read, for the floor: (ids, what it was read for)
        self.purpose = None

    @torch.inference_mode()
    def read(self, rows, cache=None):
        """(R, V) float32 logits after equally long ``rows`` of ids; with a cache the rows are only what is new."""
        self.forwards += 1
        self.tokens += len(rows) * len(rows[0])
        out = self.module(
            input_ids=torch.tensor(rows), past_key_values=cache, use_cache=cache is not None, logits_to_keep=1
        )
        return out.logits[:, -1].float()

    def note(self, ids):
        self.contexts.append((tuple(ids), self.purpose))

    def chains(self, ids, length, draws, ends):
        """One chain of up to ``length`` tokens after ``ids`` for each of ``draws``: (tokens, product of
        probabilities).
        """
        cache, new = DynamicCache(), [list(ids) for _ in draws]
        tokens, chance = [[] for _ in draws], [1.0] * len(draws)
        alive = set(range(len(draws)))
        while alive:
            logits = self.read(new, cache)
            for row in sorted(alive):
                self.note([*ids, *tokens[row]])
                token, probability = draws[row](logits[row])
                tokens[row].append(token)
                chance[row] *= probability
                if len(tokens[row]) == length or ends(tokens[row]):
                    alive.discard(row)
            new = [[row[-1]] for row in tokens]  # finished rows run along until the last is done
        return list(zip(tokens, chance))


def draw(logits, uniform, temperature=1.0, top_k=0):
    """(token, probability among the kept ones); few tokens: the cumulative distribution inverted, all: a race."""
    logits = logits / temperature
    if not 0 < top_k < len(logits):
        times = 0 if uniform is None else race(torch.tensor([uniform], dtype=torch.float64), len(logits))[0]
        token = int((times - logits).argmin())
        return token, float(logits.softmax(-1)[token])
    kept = logits.topk(top_k).indices.sort().values
    probs = logits[kept].double().softmax(-1)
    if uniform is None:
        place = int(probs.argmax())
    else:
        cdf = probs.cumsum(-1)
        place = min(int((cdf <= uniform * cdf[-1]).sum()), len(kept) - 1)
    return int(kept[place]), float(probs[place])


class Node:
    """A token set; n with, fn without the shares from similar siblings."""

    def __init__(self, prefix, length, step, chance):
        self.prefix, self.length, self.step, self.chance = prefix, length, step, chance
        self.prior, self.n, self.fn, self.q, self.children, self.first = chance, 0, 0, 0.0, None, None
        self.embedding, self.tried = None, 0


class LiteralRain:
    """One prompt, searched literally.

    Parameters
    ----------
    reader : Reader
    prompt_ids : list of int
    settings : RainSettings; its ``lanes`` mean nothing here
    value : reply text -> value (it reads with the same reader)
    decode, eos, name : as the search's; name is (seed, index)
    embed : reply text -> its embedding (D,); only where ``settings.similarity`` is at most 1
    """

    def __init__(self, reader, prompt_ids, settings, value, decode, eos, name, embed=None):
        self.reader, self.ids, self.s, self.value = reader, list(prompt_ids), settings, value
        self.decode, self.eos, self.name, self.embed = decode, eos, name, embed
        self.memo, self.searches, self.shared, self.added = {}, 0, 0, 0
        self.root = Node((), 0, 0, 1.0)

    def ends(self, node):
        return bool(node.prefix) and (
            node.prefix[-1] in self.eos or len(node.prefix) >= self.s.max_new_tokens or self.text(node.prefix)[1]
        )

    def text(self, tokens):
        tokens = list(tokens)
        text = self.decode(tokens[:-1] if tokens and tokens[-1] in self.eos else tokens)
        places = [text.find(stop) for stop in self.s.stop if stop in text]
        return (text[: min(places)], True) if places else (text, False)

    def drawer(self, random):
        """Draws from the candidates' distribution; greedy without ``random``."""
        return lambda logits: draw(
            logits, None if random is None else random.random(), self.s.temperature, self.s.top_k
        )

    def length(self, node):
        return min(self.s.lengths[min(node.step, len(self.s.lengths) - 1)], self.s.max_new_tokens - len(node.prefix))

    def expand(self, node):
        self.reader.purpose = node
        found, wanted = {}, self.s.candidates
        if self.length(node) == 1:
            found = self.likely(node, wanted)
        else:
            self.chains(node, [None], found)
            while len(found) < wanted and node.tried < self.s.tries:
                count = min(wanted - len(found), self.s.tries - node.tried)
                self.chains(node, range(node.tried, node.tried + count), found)
                node.tried += count
        node.children = [self.child(node, *one) for one in found.items()]
        self.set_priors(node, 0.0)

    def likely(self, node, count):
        """The most probable next tokens: {(token,): probability}."""
        context = self.ids + list(node.prefix)
        self.reader.note(context)
        probs, tokens = self.reader.read([context])[0].double().softmax(-1).topk(count)
        return {(t,): p for t, p in zip(tokens.tolist(), probs.tolist())}

    def chains(self, node, numbers, found):
        """Candidate chains as one batch, the greedy one for the number None; new ones into ``found``."""
        draws = [self.drawer(None if i is None else stream(*self.name, CHAIN, i, *node.prefix)) for i in numbers]
        context = self.ids + list(node.prefix)
        for tokens, chance in self.reader.chains(context, self.length(node), draws, lambda new: new[-1] in self.eos):
            found.setdefault(tuple(tokens), chance)

    def child(self, node, tokens, chance):
        return Node(node.prefix + tokens, self.length(node), node.step + 1, chance)

    def set_priors(self, node, mix):
        chances = [child.chance for child in node.children]
        if self.length(node) > 1 and len(chances) > 1:
            rest = chances[1:]
            chances[0] = max(min(chances[0], sum(rest)), max(rest) + min(rest))
        for child, chance in zip(node.children, chances):
            child.prior = (1 - mix) * chance / sum(chances) + mix / len(chances)

    def add_where_alike_and_bad(self, node, mix):
        """Dynamic node addition: one more child where all are visited, alike, and none is good."""
        children = node.children
        if self.embed is None or len(children) >= self.s.max_children or not all(child.fn for child in children):
            return
        points = np.stack([child.embedding for child in children])  # (children, D)
        spread = math.sqrt(sum(float(points[:, d].var()) ** 2 for d in range(points.shape[1])))
        if not spread < self.s.variance * self.length(node) or max(child.q for child in children) >= 0:
            return
        self.reader.purpose = node
        held, found = {child.prefix[len(node.prefix) :] for child in children}, {}
        if self.length(node) == 1:
            found = self.likely(node, len(held) + 1)
        else:
            for _ in range(max(1, self.s.tries)):
                self.chains(node, [node.tried], found)
                node.tried += 1
                if found.keys() - held:
                    break
        new = [(tokens, chance) for tokens, chance in found.items() if tokens not in held]
        if new:
            children.append(self.child(node, *new[0]))
            self.set_priors(node, mix)
            self.added += 1

    def simulate(self, node):
        tokens = list(node.prefix)
        if not self.ends(node):
            random = stream(*self.name, ROLLOUT, *node.prefix)
            room = min(self.s.rollout_tokens, self.s.max_new_tokens - len(tokens))

            def done(new):
                if new[-1] in self.eos:
                    return True
                if not self.s.rollout_ends:
                    return self.text(tokens + new)[1]
                return any(char in self.decode([new[-1]]) for char in self.s.rollout_ends)

            self.reader.purpose = None
            ((drawn, _),) = self.reader.chains(self.ids + tokens, room, [lambda z: draw(z, random.random())], done)
            tokens += drawn
        text = self.text(tokens)[0]
        if text not in self.memo:
            self.reader.purpose = None
            self.memo[text] = self.value(text), None if self.embed is None else np.asarray(self.embed(text), float)
        return self.memo[text]

    def move(self, root):
        """One move's searches; the child committed to."""
        if root.children is None:
            self.expand(root)
        self.set_priors(root, self.s.root_mix)
        for _ in self.s.searches(root.fn):
            self.searches += 1
            path = [root]
            while path[-1].children:
                parent = path[-1]
                self.add_where_alike_and_bad(parent, self.s.root_mix if parent is root else 0.0)
                path.append(max(parent.children, key=lambda c: self.worth(parent, c)))
            leaf = path[-1]
            outcome = leaf.first if leaf.fn else self.simulate(leaf)
            if not leaf.fn:
                leaf.first = outcome
                if not self.ends(leaf):
                    self.expand(leaf)
            self.back_up(path, *outcome)
            best = max(root.children, key=lambda c: (c.n, c.q))
            if best.fn > self.s.min_visits and best.q > self.s.threshold:
                break
        return max(root.children, key=lambda c: (c.n, c.q))

    def back_up(self, path, value, embedding):
        for node in path:
            node.q = (node.q * node.n + value) / (node.n + 1)
            node.n, node.fn = node.n + 1, node.fn + 1
            if embedding is not None:
                old = np.zeros_like(embedding) if node.embedding is None else node.embedding
                node.embedding = (old * (node.fn - 1) + embedding) / node.fn
        if embedding is None:
            return
        for parent, node in itertools.pairwise(path):
            for sibling in parent.children:
                if sibling is node or not sibling.fn:
                    continue
                a, b = sibling.embedding, node.embedding
                cosine = float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())) if a.any() and b.any() else 0.0
                if cosine >= self.s.similarity:
                    weight = self.s.similarity_weight * cosine
                    sibling.q = (sibling.q * sibling.n + weight * value) / (sibling.n + weight)
                    sibling.n += weight
                    self.shared += 1

    def worth(self, parent, child):
        exploit = (child.q + 1) / 2 if child.n else self.s.first_play
        return exploit + self.s.exploration * child.prior * math.sqrt(parent.n) / (1 + child.n)

    def run(self, moves=None):
        """The reply's tokens after all (or ``moves``) moves."""
        node, made = self.root, 0
        while not (node is not self.root and self.ends(node)) and (moves is None or made < moves):
            node, made = self.move(node), made + 1
        return list(node.prefix)

    def floor(self):
        """Tokens any exact method computes: the distinct prefixes of all that was read to simulate, to evaluate, and
        to make children for nodes that the search went on to pass through."""
        root, size = {}, 0
        for ids, purpose in self.reader.contexts:
            if purpose is not None and not any(child.fn for child in purpose.children):
                continue
            at = root
            for token in ids:
                if token not in at:
                    at[token] = {}
                    size += 1
                at = at[token]
        return size
