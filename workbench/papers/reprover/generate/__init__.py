"""Generators of tactics: a state and premises in, tactics with their log-probabilities out."""
