"""The steps of a training that is followed, shown on standard error as `interplay.evaluate` shows evaluations."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from ..progress import Progress, duration, waiting

__all__ = ["shown", "told"]

Step = TypeVar("Step")


class _Steps(Progress):
    """How many of so many steps of one training are done, and how long the others will take."""

    def __init__(self, seed: int, total: int):
        super().__init__(total, 0, True)
        self.seed = seed

    def line(self) -> str:
        """Return the state in words."""
        left = (time.monotonic() - self._began) / max(self.done, 1) * (self.total - self.done)
        return f"{self.done} of {self.total} steps of the training of seed {self.seed}, {duration(left)} left"


def shown(steps: Sequence[Step], seed: int, progress: bool) -> Iterator[Step]:
    """Iterate over the steps of a seed's training; with `progress` show how many are done."""
    if not progress:
        yield from steps
        return
    bar = _Steps(seed, len(steps))
    try:
        for done, step in enumerate(steps, 1):
            yield step
            bar.update(done, 0)
    finally:
        bar.close()


def told(what: str, progress: bool) -> AbstractContextManager[None]:
    """With `progress` show that ``what`` is under way."""
    return waiting(what) if progress else nullcontext()
