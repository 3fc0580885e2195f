"""Injection: a text and its triples as one flattened sentence tree."""
