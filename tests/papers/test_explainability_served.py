"""Attribution on a server, against a game whose values are written down, and a real HTTP server."""

import itertools
import math

import numpy as np
import pytest

from workbench.errors import ModelError, UsageError
from workbench.models.base import Generation, Scored
from workbench.papers.explainability import attribute, attribute_served

WEIGHT = {"sun": 2.0, "moon": -1.0, "the": 0.25}
PROMPT = "the sun and moon"


def worth(text):
    """The logit of a yes: additive, but sun and moon together count one more."""
    words = text.split()
    return sum(WEIGHT.get(word, 0) for word in words) + ("sun" in words and "moon" in words) - 1


class Scoring:
    """A model that scores given texts: log p(target) is `worth`."""

    name, can = "openai:toy", frozenset({"generate", "scores"})

    def logprobs(self, prefixes, continuations):
        assert all(texts == [" yes"] for texts in continuations)
        return [[Scored([], [worth(prefix)], worth(prefix))] for prefix in prefixes]


class Counting:
    """A model that only answers: yes with probability sigmoid(worth)."""

    name, can, raw_text = "openai:toy", frozenset({"generate"}), True

    def __init__(self):
        self.asked = 0

    def generate(self, prompts, *, max_new_tokens, temperature, n, seed, chat):
        assert temperature == 1.0 and chat is False and max_new_tokens >= 2
        self.asked += len(prompts) * n
        out = []
        for text in prompts:
            rng = np.random.default_rng([seed, *text.encode()])
            p = 1 / (1 + math.exp(-worth(text)))
            out.append([Generation(" yes, it" if u < p else " no", [], "length", 1, math.nan) for u in rng.random(n)])
        return out


def by_hand(f):
    """Occlusion and Shapley values (all orders) of the four words, from their definitions."""
    words = PROMPT.split()

    def value(stays):
        return f(" ".join(word if i in stays else "_" for i, word in enumerate(words)))

    everyone = set(range(4))
    occluded = [value(everyone) - value(everyone - {i}) for i in range(4)]
    shapley = np.zeros(4)
    for order in itertools.permutations(range(4)):
        for place, i in enumerate(order):
            shapley[i] += (value(set(order[: place + 1])) - value(set(order[:place]))) / 24
    return np.array(occluded), shapley


def test_scores_from_log_probabilities_are_those_by_hand():
    occluded, shapley = by_hand(worth)
    found = attribute_served(Scoring(), PROMPT, " yes")
    np.testing.assert_allclose(found.scores, occluded)
    assert found.quantity == "log_probability" and found.low is None and found.words == ["the", " sun", " and", " moon"]
    exact = attribute_served(Scoring(), PROMPT, " yes", method="shapley", orders=6)
    np.testing.assert_allclose(exact.scores, shapley)
    assert exact.prompts == 16 and exact.scores.sum() == pytest.approx(exact.value.value - exact.baseline.value)
    some = attribute_served(Scoring(), PROMPT, " yes", method="shapley", orders=2)
    assert some.prompts <= 8 and some.scores.sum() == pytest.approx(some.value.value - some.baseline.value)
    deleted = attribute_served(Scoring(), PROMPT, " yes", method="occlusion_delete")
    np.testing.assert_allclose(deleted.scores, occluded)  # an underscore and nothing are worth the same here
    assert math.isnan(deleted.baseline.value)


def test_counted_intervals_hold_the_truth():
    def p(text):
        return 1 / (1 + math.exp(-worth(text)))

    for method, truth in zip(("occlusion", "shapley"), by_hand(p), strict=True):
        inside = []
        for seed in range(30):
            found = attribute_served(
                Counting(), PROMPT, " yes", method=method, samples=60, orders=6, seed=seed, most=10_000
            )
            inside += list((found.low <= truth) & (truth <= found.high))
            assert (found.low <= found.scores).all() and (found.scores <= found.high).all()
        assert 0.90 <= np.mean(inside) <= 0.99, (method, np.mean(inside))  # nominally .95, n = 120
    assert " sun" in found.to_frame().query("told_from_0").word.tolist()


def test_what_it_may_cost_is_bounded_beforehand():
    model = Counting()
    with pytest.raises(UsageError, match=r"10 prompts with 500 samples each are 5,000 requests, more than most=3,000"):
        attribute_served(model, "a b c d e f g h", "yes", samples=500)
    assert model.asked == 0
    attribute_served(model, "a b c d e f g h", "yes", samples=10)
    assert model.asked == 100


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"method": "gradient"}, "needs more than a server gives"),
        ({"method": "none such"}, "none such"),
        ({"prompt": " "}, "at least one word each"),
        ({"target": ""}, "at least one word each"),
        ({"samples": 0}, "give at least 1"),
        ({"removal": "burn"}, "removal='burn' is unknown"),
        ({"removal": "delete", "method": "shapley"}, "deletes every word"),
        ({"method": "occlusion_delete", "prompt": "one"}, "deletes every word"),
    ],
    ids=str,
)
def test_mistakes_are_told_before_anything_is_asked(change, sentence):
    model = Counting()
    with pytest.raises(UsageError, match=sentence):
        attribute_served(model, **{"prompt": PROMPT, "target": "yes", **change})
    assert model.asked == 0


def test_the_local_methods_point_here():
    with pytest.raises(ModelError, match=r"needs hidden states, .*explainability.attribute_served"):
        attribute(Counting(), PROMPT, "yes")
    mute = type("Mute", (), {"name": "openai:mute", "can": frozenset()})()
    with pytest.raises(ModelError, match="counting answers needs text generation"):
        attribute_served(mute, PROMPT, "yes")
