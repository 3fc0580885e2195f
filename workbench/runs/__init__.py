"""Runs: a notebook, its parameters and what came of them, kept so that anyone can repeat it.

``runner.run`` executes a paper's notebook in a child process and leaves ``runs/PAPER/ID/`` behind; ``record.record`` is
what a notebook's last cell calls. Nothing here imports torch, and nothing is imported before it is needed.
"""
