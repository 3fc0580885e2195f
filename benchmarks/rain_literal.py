"""RAIN the way the reference computes it, written plainly: the baseline of benchmarks/rain.py and the oracle of the
tests.

One prompt and one leaf at a time. A node's greedy chain is one run, its sampled chains are one batch of rows, a
simulation is one run: each encodes its prefix anew (every row of the batch too) and has a key-value cache for as long
as it lasts; every evaluation encodes its whole prompt; values are memoised by text. Children are made right after a
leaf's first visit. No similarity update, no node addition. (With the sampled chains one by one the forwards would be
three times the card's 287: its reference must draw them together.) The random numbers are those of
`workbench.papers.rain`, so the moves must be the same.
"""

import math

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
    def __init__(self, prefix, length, step, chance):
        self.prefix, self.length, self.step, self.chance = prefix, length, step, chance
        self.prior, self.n, self.q, self.children, self.first = chance, 0, 0.0, None, None


class LiteralRain:
    """One prompt, searched literally.

    Parameters
    ----------
    reader : Reader
    prompt_ids : list of int
    settings : RainSettings, with similarity above 1 and tries = candidates - 1
    value : reply text -> value (it reads with the same reader)
    decode, eos, name : as the search's; name is (seed, index)
    """

    def __init__(self, reader, prompt_ids, settings, value, decode, eos, name):
        self.reader, self.ids, self.s, self.value = reader, list(prompt_ids), settings, value
        self.decode, self.eos, self.name = decode, eos, name
        self.memo, self.searches = {}, 0
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

    def expand(self, node):
        self.reader.purpose = node
        length = min(self.s.lengths[min(node.step, len(self.s.lengths) - 1)], self.s.max_new_tokens - len(node.prefix))
        context, found = self.ids + list(node.prefix), {}
        if length == 1:
            self.reader.note(context)
            probs, tokens = self.reader.read([context])[0].double().softmax(-1).topk(self.s.candidates)
            found = {(t,): p for t, p in zip(tokens.tolist(), probs.tolist())}
        else:
            numbers = range(min(self.s.tries, self.s.candidates - 1))
            for batch in ([None], numbers):
                draws = [self.drawer(None if i is None else stream(*self.name, CHAIN, i, *node.prefix)) for i in batch]
                for tokens, chance in self.reader.chains(context, length, draws, lambda new: new[-1] in self.eos):
                    found.setdefault(tuple(tokens), chance)
        chances = list(found.values())
        if length > 1 and len(chances) > 1:
            rest = chances[1:]
            chances[0] = max(min(chances[0], sum(rest)), max(rest) + min(rest))
        node.children = [
            Node(node.prefix + tokens, length, node.step + 1, chance / sum(chances))
            for tokens, chance in zip(found, chances)
        ]

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
            self.memo[text] = self.value(text)
        return self.memo[text]

    def move(self, root):
        """One move's searches; the child committed to."""
        if root.children is None:
            self.expand(root)
        for child in root.children:
            child.prior = (1 - self.s.root_mix) * child.prior + self.s.root_mix / len(root.children)
        for _ in self.s.searches(root.n):
            self.searches += 1
            path = [root]
            while path[-1].children:
                parent = path[-1]
                path.append(max(parent.children, key=lambda c: self.worth(parent, c)))
            leaf = path[-1]
            value = leaf.first if leaf.n else self.simulate(leaf)
            if not leaf.n:
                leaf.first = value
                if not self.ends(leaf):
                    self.expand(leaf)
            for node in path:
                node.q = (node.q * node.n + value) / (node.n + 1)
                node.n += 1
            best = max(root.children, key=lambda c: (c.n, c.q))
            if best.n > self.s.min_visits and best.q > self.s.threshold:
                break
        return max(root.children, key=lambda c: (c.n, c.q))

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
            if purpose is not None and not any(child.n for child in purpose.children):
                continue
            at = root
            for token in ids:
                if token not in at:
                    at[token] = {}
                    size += 1
                at = at[token]
        return size
