"""Progress of a notebook or a sweep: a bar with the time left on a terminal, a few lines elsewhere."""

import sys
import time

from ...files import CONTROL
from ..report.words import duration

QUIET_SECONDS = 60  # without a terminal, seconds between two lines of a long cell


class _Shown:
    """Lines that begin with a run's name, and a bar if the stream is a terminal."""

    def __init__(self, name: str, stream, show: bool):
        self.name = name
        self.stream = stream or sys.stderr
        self.show = show
        self.bar = None
        self._start = self._spoke = time.monotonic()

    def open_bar(self, shape: str, **options) -> None:
        """A tqdm bar in this shape, on a terminal."""
        if self.show and self.stream.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                desc=self.name,
                file=self.stream,
                dynamic_ncols=True,
                leave=False,
                bar_format="{desc} {percentage:3.0f}% |{bar:24}| " + shape + "{postfix}",
                **options,
            )

    def say(self, text: str) -> None:
        """One line for people."""
        if not self.show:
            return
        self._spoke = time.monotonic()
        if self.bar is not None:
            self.bar.clear()
        text = CONTROL.sub("\ufffd", text)  # an error may quote a model's text
        print(f"{self.name}: {text}", file=self.stream, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class Progress(_Shown):
    """Cells done, cells in all, the title of the running one, and the time left.

    ``guess``: seconds that earlier runs like this one took. Without one, or behind it, the pace of the cells so far.
    """

    def __init__(self, name: str, stream=None, show: bool = True, guess: float | None = None):
        super().__init__(name, stream, show)
        self.guess = guess
        self.total = 0
        self.done = 0
        self.title = ""
        self.note = ""  # what the running cell says of its own progress
        self._said = 0

    def event(self, event: dict) -> None:
        """Read one event of the child."""
        kind = event["event"]
        if kind == "cells":
            self.total = event["total"]
            self.open_bar("cell {n_fmt}/{total_fmt}, {elapsed}", total=self.total, unit="cell")
        elif kind == "cell":
            self.title, self.note = event["title"], ""
            self._place()
        elif kind == "note":
            self.note = event["text"]
            self._place()
        elif kind == "cell_end":
            self.done = min(self.done + 1, self.total)
            if self.bar is not None:
                self.bar.update(self.done - self.bar.n)
            elif self.show and not self.stream.isatty() and self.done - self._said >= max(1, self.total / 4):
                self._said = self.done
                passed = duration(time.monotonic() - self._start)
                self.say(f"cell {self.done}/{self.total}, {passed}{self._left()}: {self.title}")

    @property
    def left(self) -> float | None:
        """Seconds until the notebook's end; None while there is nothing to guess by."""
        passed = time.monotonic() - self._start
        if self.guess is not None and passed < self.guess:
            return self.guess - passed
        return passed / self.done * (self.total - self.done) if self.done else None

    def _left(self) -> str:
        left = self.left if self.done < self.total else None
        return "" if left is None else f", about {duration(left)} left"

    def _place(self) -> None:
        if self.bar is not None:
            what = self.title[:40] + (f": {self.note[:60]}" if self.note else "")
            self.bar.set_postfix_str(": ".join(filter(None, (self._left().removeprefix(", "), what))))

    def tick(self) -> None:
        """Move the clock while a long cell runs; without a terminal, say now and then where it is."""
        if self.bar is not None:
            self._place()
        elif self.done < self.total and time.monotonic() - self._spoke >= QUIET_SECONDS and not self.stream.isatty():
            passed = duration(time.monotonic() - self._start)
            what = ": ".join(filter(None, (self.title, self.note)))
            self.say(f"in cell {self.done + 1}/{self.total}, {passed}{self._left()}: {what}")


class SweepProgress(_Shown):
    """Cells finished, cells in all, and the time left: by this sweep's own pace, at first by a guess.

    ``guess`` is (seconds of a run or None, runs at a time), from earlier runs.
    """

    def __init__(self, name: str, total: int, before: int, stream=None, show: bool = True):
        super().__init__(name, stream, show)
        self.total, self.before = total, before
        self.guess: tuple[float | None, int] = (None, 1)
        self.ran = self.failed = self.others = 0
        self.open_bar("run {n_fmt}/{total_fmt}, {elapsed}", total=total, initial=before)
        if before:
            self.say(f"{before} of {total} cells are finished already")

    @property
    def left(self) -> float | None:
        """Seconds until everything is finished; None while there is nothing to guess by."""
        remaining = self.total - self.before - self.ran
        if self.ran:
            return (time.monotonic() - self._start) / self.ran * remaining
        seconds, at_a_time = self.guess
        return None if seconds is None else seconds * -(-remaining // max(1, min(at_a_time, remaining)))

    def ended(self, cell, outcome) -> None:
        """Note that a cell ended."""
        self.ran += 1
        good = outcome.state in ("done", "skipped")
        self.failed += not good
        if self.bar is not None:
            self.bar.update(1)
        if self.bar is None or not good:
            from ..sweep.plan import describe

            state = "finished elsewhere" if outcome.state == "skipped" else outcome.state
            time_left = f", about {duration(self.left)} left" if self.total > self.before + self.ran else ""
            took = f" in {duration(outcome.seconds)}" if outcome.seconds else ""
            why = "" if good else f": {outcome.error}"
            what = describe(cell.values, cell.values)
            self.say(f"{self.before + self.ran}/{self.total} {what}: {state}{took}{why}{time_left}")

    def elsewhere(self, count: int) -> None:
        """Note how many cells another sweep is running."""
        if count > self.others:
            self.say(f"{count} cell(s) are being run by another sweep; waiting for them")
        self.others = max(self.others, count)

    def tick(self) -> None:
        """Move the clock."""
        if self.bar is not None:
            left = self.left
            failed = f", {self.failed} failed" if self.failed else ""
            self.bar.set_postfix_str(("" if left is None else f"about {duration(left)} left") + failed)
