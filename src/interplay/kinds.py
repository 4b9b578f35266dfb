"""Kinds of rows: what the numbers of the tasks mean, recognised from their values.

mask: 0 or 1 · mixture: >= 0, each row sums to one within 0.01 · weights: >= 0 ·
coefficients: any sign (never guessed).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["KINDS", "PER_CENT", "SIMPLEX_TOLERANCE", "fault", "fitting_kind", "guess_kind", "per_cent"]

KINDS = ("mask", "mixture", "weights", "coefficients")
PER_CENT = (
    "every row sums to 100: taken as shares in per cent, and divided by 100 (say kind 'weights' if these are amounts)"
)
#: How far from one the sum of a mixture may lie; shares rounded to two decimals may sum to .99 in floats.
SIMPLEX_TOLERANCE = 0.01 + 1e-9


def guess_kind(values: np.ndarray) -> str:
    """Recognise the kind of rows (m, K); what is off in it is for `fault` to say.

    Rows count as mixtures when at least half of them sum to one, so that a single bad row is an error and
    does not turn a table of mixtures into one of weights.

    Examples
    --------
    >>> guess_kind(np.array([[0.2, 0.8], [0.5, 0.5]]))
    'mixture'
    """
    if np.isin(values, (0, 1)).all():
        return "mask"
    if values.size and np.mean(np.abs(values.sum(axis=1) - 1) <= SIMPLEX_TOLERANCE) >= 0.5:
        return "mixture"
    return "weights"


def size_of_all(masks: np.ndarray) -> int | None:
    """How many tasks every one of some masks (m, K) holds; None where they are of several sizes."""
    sizes = masks.sum(axis=1)
    return None if np.ptp(sizes) else int(sizes[0])


def per_cent(values: np.ndarray) -> bool:
    """Tell whether rows (m, K) are shares in per cent: >= 0, and each sums to 100 within 1.

    Examples
    --------
    >>> per_cent(np.array([[20.0, 80.0], [50.0, 50.0]])), per_cent(np.array([[0.2, 0.8]]))
    (True, False)
    """
    if values.ndim != 2 or values.shape[1] < 2 or not len(values) or not (values >= 0).all():
        return False
    return bool((np.abs(values.sum(axis=1) - 100.0) <= 100.0 * SIMPLEX_TOLERANCE).all())


def fitting_kind(values: np.ndarray) -> str:
    """Recognise the kind of rows (m, K) that came from no file: weights where they break what they look like.

    Examples
    --------
    >>> fitting_kind(np.array([[0.5, 0.3], [1.0, 0.0]])), fitting_kind(np.array([[-0.5, 1.0]]))
    ('weights', 'coefficients')
    """
    kind = guess_kind(values)
    if fault(values, kind, [""] * values.shape[1]) is None:
        return kind
    return "weights" if (values >= 0).all() else "coefficients"


def fault(values: np.ndarray, kind: str, tasks: Sequence[str], *, row: str = "row", first: int = 0) -> str | None:
    """Say what breaks the kind, where, and what to do; None when nothing does.

    Parameters
    ----------
    values : array (m, K)
    kind : str
        One of `KINDS`.
    tasks : sequence of str (K,)
    row, first : str, int
        How rows are called in the message, and the number of the first one.
    """
    if not np.isfinite(values).all():
        i, k = np.argwhere(~np.isfinite(values))[0]
        return (
            f"{row} {first + i} has {values[i, k]:g} for task {tasks[k]!r}; masks and weights must be finite "
            "and complete. Correct it, or leave that run out."
        )
    if kind == "mask":
        if (bad := ~np.isin(values, (0, 1))).any():
            i, k = np.argwhere(bad)[0]
            return (
                f"{row} {first + i} has {values[i, k]:g} for task {tasks[k]!r}; masks are 0 or 1. "
                "Say kind 'weights' or 'mixture' if these are amounts."
            )
        return None
    if kind == "coefficients":
        return None
    if (values < 0).any():
        i, k = np.argwhere(values < 0)[0]
        return (
            f"{row} {first + i} has weight {values[i, k]:g} for task {tasks[k]!r}; weights must be >= 0. "
            "Correct it, or say kind 'coefficients' if they are merging coefficients."
        )
    if kind == "mixture":
        total = values.sum(axis=1)
        if (bad := np.abs(total - 1) > SIMPLEX_TOLERANCE).any():
            i = int(np.flatnonzero(bad)[0])
            return (
                f"{row} {first + i} sums to {total[i]:.6g}; mixtures must sum to one within "
                f"{SIMPLEX_TOLERANCE:g} "
                f"({int(bad.sum())} of {len(total)} rows do not). Normalise the rows, or say kind "
                "'weights' if they "
                "are amounts."
            )
    return None
