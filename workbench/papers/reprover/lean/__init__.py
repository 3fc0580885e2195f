"""Lean: an engine to run, a session to prove in, and what a stranger's text may hold."""
