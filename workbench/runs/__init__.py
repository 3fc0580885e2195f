"""Runs: a notebook, its parameters and its results, kept so that anyone can repeat them.

``process.runner.run`` executes a paper's notebook in a child process and leaves ``runs/PAPER/ID/`` behind. A notebook's
last cell calls ``store.metrics.record``. Nothing here imports torch, and nothing is imported before it is needed.
"""
