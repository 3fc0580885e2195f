"""Retrievers: each has a name, and gives every premise of a corpus a score for each of some states."""
