"""Drawing the next token, against the slow literal definition of each filter."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from workbench.models.sampling import filtered_probs, invert, stream


def literal(logits, temperature, top_k, top_p):
    """Temperature, top-k, top-p over one row of Python floats, straight from their definitions."""
    scaled = [value / temperature for value in logits]
    if top_k:
        kth = sorted(scaled, reverse=True)[min(top_k, len(scaled)) - 1]
        scaled = [value if value >= kth else -math.inf for value in scaled]
    top = max(scaled)
    weights = [math.exp(value - top) for value in scaled]
    probs = [weight / sum(weights) for weight in weights]
    if top_p < 1:
        order = sorted(range(len(probs)), key=lambda token: (-probs[token], token))
        kept, mass = set(), 0.0
        for token in order:
            if mass >= top_p:
                break
            kept.add(token)
            mass += probs[token]
        total = sum(probs[token] for token in kept)
        probs = [probs[token] / total if token in kept else 0.0 for token in range(len(probs))]
    return probs


@settings(max_examples=200, deadline=None)
@given(
    # quarters make ties common and sums exact enough that a tie is a tie in both computations
    logits=st.lists(st.integers(-12, 12).map(lambda n: n / 4), min_size=1, max_size=40),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
    top_k=st.integers(0, 45),
    top_p=st.floats(0.03, 1.0).map(lambda p: round(p, 3) + 1e-5).map(lambda p: min(p, 1.0)),
)
def test_filters_are_the_literal_ones(logits, temperature, top_k, top_p):
    found = filtered_probs(torch.tensor([logits]), temperature=temperature, top_k=top_k, top_p=top_p)[0]
    np.testing.assert_allclose(found.numpy(), literal(logits, temperature, top_k, top_p), atol=1e-12)


def test_top_p_beyond_the_most_probable_few():
    """A flat distribution over more tokens than the first look takes in."""
    logits = torch.zeros(2, 5000)
    logits[1] += torch.linspace(0, 1, 5000)
    found = filtered_probs(logits, temperature=1.0, top_p=0.9)
    for row in range(2):
        np.testing.assert_allclose(found[row].numpy(), literal(logits[row].double().tolist(), 1.0, 0, 0.9), atol=1e-9)
    assert (found[0] > 0).sum() == pytest.approx(4500, abs=1)


def test_inversion_is_the_cdf_in_token_order():
    probs = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]], dtype=torch.float64)
    uniforms = [0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53]
    drawn = [int(invert(probs, torch.tensor([u], dtype=torch.float64))) for u in uniforms]
    assert drawn == [1, 1, 3, 3, 4, 4]  # never a token of mass zero, not even at the ends


def test_streams_differ_by_each_of_their_three_numbers():
    seen = {tuple(stream(*key).random(3)) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0)]}
    assert len(seen) == 5
    assert stream(3, 2, 1).random() == stream(3, 2, 1).random()
