"""One run: the child process that executes a notebook, and the runner that watches it."""
