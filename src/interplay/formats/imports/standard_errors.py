"""Standard errors that results state: what a score would vary by if other test questions had been drawn.

A table of runs has no place for them, since a fit tells all noise, of training and of evaluation, from the runs. They
are set beside the spread between runs, and their means travel in ``notes["standard_errors"]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...fields import listed
from .draft import Left, counted
from .scores import Score

__all__ = ["mean_errors", "of_no_fit", "within_errors"]

#: Share of the variance between runs from which errors of the evaluation are spoken of.
_MOST_OF_IT = 0.5


def mean_errors(scores: Mapping[str, Sequence[Score | None]]) -> dict[str, float]:
    """Return the mean standard error over runs of each result that states any."""
    stated = {n: [s.error for s in cells if s is not None and s.error is not None] for n, cells in scores.items()}
    return {name: float(np.mean(errors)) for name, errors in stated.items() if errors}


def of_no_fit(errors: Mapping[str, float]) -> list[Left]:
    """Say what becomes of standard errors."""
    if not errors:
        return []
    return [
        Left(
            f"standard errors of {counted(len(errors), 'target')}",
            "compared with the spread between runs, and kept as means in notes['standard_errors']; no fit uses them, "
            "which tells noise from the runs themselves",
        )
    ]


def within_errors(scores: Mapping[str, Sequence[Score | None]], errors: Mapping[str, float]) -> list[str]:
    """Warn of targets whose runs differ hardly more than the sampling of test questions makes them."""
    noisy = []
    for name, error in errors.items():
        values = [s.value for s in scores[name] if s is not None]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        if error > 0 and error**2 >= _MOST_OF_IT * spread**2:
            noisy.append(f"{name} (standard error of the evaluation {error:.2g}, spread between runs {spread:.2g})")
    if not noisy:
        return []
    return [f"most of what differs between runs may be the sampling of test questions: {listed(noisy, 5)}"]
