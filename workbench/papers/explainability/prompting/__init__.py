"""Explanation by prompting: chains of thought, and what a model says of its own certainty."""
