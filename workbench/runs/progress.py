"""What the runner shows while a notebook runs: a bar with the time left on a terminal, a few lines elsewhere."""

import sys
import time


class Progress:
    """Cells done of cells there are, and the title of the one that is running."""

    def __init__(self, name: str, stream=None, show: bool = True):
        self.name = name
        self.stream = stream or sys.stderr
        self.show = show
        self.bar = None
        self.total = 0
        self.done = 0
        self.title = ""
        self._said = 0
        self._start = time.monotonic()

    def event(self, event: dict) -> None:
        """Take one line of the child's account."""
        kind = event["event"]
        if kind == "cells":
            self.total = event["total"]
            if self.show and self.stream.isatty():
                from tqdm import tqdm

                self.bar = tqdm(
                    total=self.total,
                    unit="cell",
                    desc=self.name,
                    file=self.stream,
                    dynamic_ncols=True,
                    leave=False,
                    bar_format="{desc} {percentage:3.0f}% |{bar:24}| cell {n_fmt}/{total_fmt},"
                    " {elapsed}, {remaining} left{postfix}",
                )
        elif kind == "cell":
            self.title = event["title"]
            if self.bar is not None:
                self.bar.set_postfix_str(self.title[:40])
        elif kind == "cell_end":
            self.done = min(self.done + 1, self.total)
            if self.bar is not None:
                self.bar.update(self.done - self.bar.n)
            elif self.show and not self.stream.isatty() and self.done - self._said >= max(1, self.total / 4):
                self._said = self.done
                self.say(f"cell {self.done}/{self.total}, {time.monotonic() - self._start:.0f} s: {self.title}")

    def say(self, text: str) -> None:
        """One line for people, in the run's name."""
        if not self.show:
            return
        if self.bar is not None:
            self.bar.clear()
        print(f"{self.name}: {text}", file=self.stream, flush=True)

    def tick(self) -> None:
        """Let the clock move while a long cell runs."""
        if self.bar is not None:
            self.bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
