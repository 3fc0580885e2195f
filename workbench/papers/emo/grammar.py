"""A language whose distribution is known exactly: a small grammar with topics and agreement, as an automaton.

A sentence is  NP V NP [Adv] end,  NP = Det [Adj] N. Nouns agree with their determiner in number and verbs with their
subject. All content words of a sentence are of one of eight topics; words within a class are drawn by Zipf's law.
*Loose* sentences keep the topic only now and then: a model pretrained on them knows the syntax and has a faint idea of
the topics; what a few strict sentences must teach it is coherence.

Every word belongs to one class and at most one topic, so a state (place, number, topic) is read off the prefix: the
automaton is deterministic, and P(next token | prefix) is exact.
"""

from functools import lru_cache
from itertools import accumulate

import numpy as np

TOPICS = 8
START, END = 0, 1
SINGULAR, PLURAL = (2, 3, 4), (5, 6, 7)  # determiners, by the number of the noun they take
DEGREE = (8, 9)  # "very", "quite": may come before an adjective
# class -> words in each topic; nouns and verbs have a form for each number
SIZES = {"noun0": 10, "noun1": 10, "verb0": 8, "verb1": 8, "adjective": 10, "adverb": 5}
TOPIC = sum(SIZES.values())  # words of a topic
FIRST = dict(zip(SIZES, accumulate(SIZES.values(), initial=0)))  # where a class begins among them
VOCABULARY = 10 + TOPICS * TOPIC  # 418
LONGEST = 13  # tokens of the longest sentence: start, two NPs of four, verb, adverb, end, and one to spare
BEGINNING = TOPICS  # the state after START, ("det1", 0, None): before the first determiner, no topic yet


def words(kind: str, topic: int) -> np.ndarray:
    """The token ids of a class in a topic."""
    return 10 + topic * TOPIC + FIRST[kind] + np.arange(SIZES[kind])


@lru_cache(maxsize=1)
def automaton() -> tuple[np.ndarray, np.ndarray]:
    """The strict grammar: P (S, V) of each token in each state, and the state that follows it, -1 where impossible."""
    names = [
        (place, number, topic)
        for place in ("det1", "after_det1", "after_degree1", "noun1", "verb", "det2", "after_det2", "after_degree2",
                      "noun2", "after")
        for number in (0, 1)
        for topic in (*range(TOPICS), None)
    ] + ["last", "end"]  # fmt: skip
    index = {name: i for i, name in enumerate(names)}
    p = np.zeros((len(names), VOCABULARY))
    to = np.full((len(names), VOCABULARY), -1)

    def put(state, tokens, mass, target):
        tokens = np.atleast_1d(tokens)
        zipf = 1 / np.arange(1, len(tokens) + 1)
        p[index[state], tokens] += mass * zipf / zipf.sum()
        to[index[state], tokens] = index[target]

    def content(state, kind, mass, place, number):
        topic = state[2]
        for t in range(TOPICS) if topic is None else (topic,):
            share = mass / (TOPICS if topic is None else 1)
            put(state, words(kind, t), share, (place, number, t))

    for state in names[:-2]:
        place, number, topic = state
        which = place[-1]
        if place.startswith("det"):
            for n, determiners in enumerate((SINGULAR, PLURAL)):
                # after the verb the subject's number no longer matters
                put(state, np.array(determiners), 0.5, (f"after_det{which}", n, topic))
        elif place.startswith("after_det"):
            put(state, np.array(DEGREE), 0.1, (f"after_degree{which}", number, topic))
            content(state, "adjective", 0.4, f"noun{which}", number)
            content(state, f"noun{number}", 0.5, "verb" if which == "1" else "after", number)
        elif place.startswith("after_degree"):
            content(state, "adjective", 1.0, f"noun{which}", number)
        elif place.startswith("noun"):
            content(state, f"noun{number}", 1.0, "verb" if which == "1" else "after", number)
        elif place == "verb":
            content(state, f"verb{number}", 1.0, "det2", number)
        else:
            put(state, END, 0.6, "end")
            for t in range(TOPICS) if topic is None else (topic,):
                put(state, words("adverb", t), 0.4 / (TOPICS if topic is None else 1), "last")
    put("last", END, 1.0, "end")
    p[index["end"], END] = 1.0  # padding after the end costs nothing
    to[index["end"], END] = index["end"]
    return p, to


def sentences(n: int, seed: int, *, coherence: float = 1.0) -> np.ndarray:
    """``n`` sentences, (n, LONGEST) token ids beginning with START and filled up with END.

    coherence: 1 is the strict grammar; below it, a content word keeps the sentence's topic with this probability and is
    otherwise exchanged for the word of the same class and rank in a topic drawn at random.
    """
    rng, (probability, following) = np.random.default_rng(seed), automaton()
    cumulative = probability.cumsum(1)
    out = np.full((n, LONGEST), END)
    out[:, 0] = START
    state = np.full(n, BEGINNING)
    for t in range(1, LONGEST):
        draw = rng.random(n) * cumulative[state, -1]
        out[:, t] = (cumulative[state] < draw[:, None]).sum(1)
        state = following[state, out[:, t]]
    exchange = (out >= 10) & (rng.random(out.shape) >= coherence)
    elsewhere = 10 + rng.integers(TOPICS, size=out.shape) * TOPIC + (out - 10) % TOPIC
    return np.where(exchange, elsewhere, out)


def states(tokens: np.ndarray) -> np.ndarray:
    """The state before each next token, (n, T): -1 from the first impossible token on."""
    _, following = automaton()
    out = np.full(tokens.shape, BEGINNING)
    for t in range(1, tokens.shape[1]):
        before = out[:, t - 1]
        out[:, t] = np.where(before < 0, -1, following[before, tokens[:, t]])
    return out


def log_probability(tokens: np.ndarray, *, smoothing: float = 0.0) -> np.ndarray:
    """log P of each sentence, (n,); -inf where the grammar forbids it, unless ``smoothing``.

    With smoothing ε each step has (1-ε) P + ε/V, and after a forbidden token every token has mass 1/V.
    """
    (probability, _), state = automaton(), states(tokens)
    ended = np.zeros(len(tokens), bool)
    total = np.zeros(len(tokens))
    for t in range(tokens.shape[1] - 1):
        s, token = state[:, t], tokens[:, t + 1]
        p = np.where(s < 0, 1 / VOCABULARY, (1 - smoothing) * probability[s, token] + smoothing / VOCABULARY)
        with np.errstate(divide="ignore"):
            total += np.where(ended, 0.0, np.log(p))
        ended |= token == END
    return total
