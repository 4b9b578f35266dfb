"""What is under way, on standard error: a bar where there is a terminal, a line a minute where there is none."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["Progress", "duration", "waiting"]

#: Seconds before anything is shown: what is over sooner needs no words.
QUIET = 3.0
#: Seconds between lines where there is no terminal.
EVERY = 60.0
#: Seconds before the first line about one step of unknown length, where there is no terminal.
LONG = 10.0


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that ``what`` is under way: at once on a terminal, elsewhere by a line where it takes long."""
    if sys.stderr is None:
        yield
    elif sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(f"{what} ..."):
            yield
    else:
        with _told(what, sys.stderr):
            yield


@contextmanager
def _told(what: str, stream: TextIO) -> Iterator[None]:
    """Write after `LONG` seconds, and then every `EVERY`, that ``what`` is still under way."""
    ended, began = threading.Event(), time.monotonic()

    def tell() -> None:
        pause = LONG
        while not ended.wait(pause):
            try:
                stream.write(f"interplay: {what}, for {duration(time.monotonic() - began)} so far\n")
                stream.flush()
            except (OSError, ValueError):  # nobody reads it any more
                return
            pause = EVERY

    teller = threading.Thread(target=tell, name="interplay-progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


class Progress:
    """How many of so many evaluations are done, how fast, how long it will take, and how many failed.

    Parameters
    ----------
    total : int
    done : int
        Done before; they say nothing of the rate.
    show : bool or callable
        False: nothing is shown. A callable is called as ``show(done, total)`` instead.
    """

    def __init__(self, total: int, done: int, show: bool | Callable[[int, int], None]):
        self.total, self.done, self.before, self.failed = total, done, done, 0
        self._call = show if callable(show) else None
        self._show = show is True
        self._began = time.monotonic()
        self._said = self._began
        self._bar = None
        if self._call:
            self._call(done, total)

    def update(self, done: int, failed: int) -> None:
        """Say that so many are done, and so many failed for good."""
        moved = done != self.done
        self.done, self.failed = done, failed
        if self._call and moved:
            self._call(done, self.total)
        now = time.monotonic()
        if not self._show or now - self._began < QUIET:
            return
        try:
            if sys.stderr.isatty():
                self._draw()
            elif now - self._said >= EVERY:
                self._said = now
                sys.stderr.write(f"interplay: {self.line()}\n")
                sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # nobody reads it any more, or there is none
            self._show = False

    def line(self) -> str:
        """Return the state in words."""
        seconds = time.monotonic() - self._began
        rate = (self.done - self.before) / seconds if seconds > 0 else 0.0
        words = [f"{self.done} of {self.total} evaluations"]
        if rate > 0:
            words.append(f"{_rate(rate)}, {duration((self.total - self.done - self.failed) / rate)} left")
        if self.failed:
            words.append(f"{self.failed} failed")
        return ", ".join(words)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _draw(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        if self._bar is None:
            columns = (BarColumn(), TextColumn("{task.description}"))
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._bar.add_task(self.line(), total=self.total)
        self._bar.update(self._bar.task_ids[0], completed=self.done + self.failed, description=self.line())


def _rate(rate: float) -> str:
    if rate >= 1:
        return f"{rate:.3g} a second"
    return f"{60 * rate:.3g} a minute" if 60 * rate >= 1 else f"{3600 * rate:.3g} an hour"


def duration(seconds: float) -> str:
    """Write a time in its two largest units.

    Examples
    --------
    >>> [duration(s) for s in (0.254, 42, 90, 4000, 100_000)]
    ['0.25 s', '42 s', '1 min 30 s', '1 h 6 min', '1 d 3 h']
    """
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    sizes = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
    size, unit, small, name = next(row for row in sizes if seconds >= row[0])
    return f"{seconds // size:.0f} {unit} {seconds % size // small:.0f} {name}"
