"""Global generators seeded within a block, and put back after it.

A training function that draws from a global generator (`random`, `numpy.random`, `torch`) then returns the same
whatever ran before it in the process, and leaves nothing behind for what comes next.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of `random`, NumPy and (where it is imported) torch, and restore them at the end.

    Examples
    --------
    >>> with seeded(3):
    ...     first = random.random()
    >>> with seeded(3):
    ...     first == random.random()
    True
    """
    with _ONE:
        yield from _seeded(seed)


#: Global generators serve one run at a time; in threads the others wait.
_ONE = threading.RLock()


def _seeded(seed: int) -> Iterator[None]:
    python, numpy_state, torch = random.getstate(), np.random.get_state(), sys.modules.get("torch")  # noqa: NPY002
    cpu = None if torch is None else torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if torch is not None and torch.cuda.is_initialized() else None
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(cpu)
            if gpus is not None:
                torch.cuda.set_rng_state_all(gpus)
