"""Targets that are weighted sums of others: an average over domains, a total loss beside that of every class.

y_t = c + sum_j b_j y_j,  b_j > 0              E y_t = c + sum_j b_j E y_j,  sd y_t = together x sum_j b_j sd y_j

Each part is nearly additive in a unit of its own, which their sum is not: where the sum of the parts' predictions meets
held-out rows better than a fit to the sum itself, it is what is predicted. How far errors of parts add up,
``together``, is read from held-out rows too: 1 where they all err alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]
EXACT = 0.01  # what may be left of a sum, of its standard deviation: values in tables are rounded
SPARE = 5  # rows beyond those that any values would be a sum in
MOST = 200  # targets among which sums are looked for
LEAST = 1e-6  # of the standard deviation of a sum: what adds less is no part
FEWEST = 10  # rows below which errors are taken to add up


@dataclass(frozen=True, eq=False)
class Sum:
    """A target that is a weighted sum of others.

    Attributes
    ----------
    target : int
    parts : array (n,) of int
    coefficients : array (n,)
        Positive.
    offset : float
    together : float
        How far errors of the parts add up, .1 to 1.
    """

    target: int
    parts: NDArray[np.int64]
    coefficients: Array
    offset: float
    together: float = 1.0

    def of(self, values: Array) -> Array:
        """The sum (m,) of values (m, T)."""
        return self.offset + values[:, self.parts] @ self.coefficients

    def size(self, deviation: Array) -> Array:
        """Its deviation (m,) from those of all targets (m, T)."""
        return self.together * (deviation[:, self.parts] @ self.coefficients)


def sums(Y: Array) -> list[Sum]:
    """Targets of Y (m, T) that are sums of others which are none; nothing where there are too few rows to tell."""
    if len(Y) < SPARE or Y.shape[1] < 3:
        return []
    largest = np.maximum(np.abs(Y).max(axis=0), 1e-300)
    centred = Y / largest - (Y / largest).mean(axis=0)  # squares of what is as large as it may be overflow
    spread = np.sqrt((centred**2).mean(axis=0))
    moves = np.flatnonzero(spread > 1e-12)
    m, n = len(Y), len(moves)
    if not 3 <= n <= MOST or m < n + SPARE:
        return []
    Z, scale = centred[:, moves] / spread[moves], largest * spread
    _, size, tied = np.linalg.svd(Z, full_matrices=False)
    tied = tied[size <= EXACT * np.sqrt(m * n)]  # directions in which nothing varies
    maybe = np.flatnonzero((np.abs(tied) > EXACT).any(axis=0)).tolist()
    made = [i for i in maybe if _weights(Z, i, np.arange(n)) is not None]
    others, found = np.setdiff1d(np.arange(n), made), []
    for i in made:
        weights = _weights(Z, i, others)
        if weights is None:
            continue
        own, target = weights > LEAST, moves[i]
        parts = moves[others[own]]
        coefficients = weights[own] * scale[target] / scale[parts]
        offset = float(Y[:, target].mean() - Y[:, parts].mean(axis=0) @ coefficients)
        found.append(Sum(int(target), parts, coefficients, offset))
    return found


def _weights(Z: Array, target: int, others: NDArray[np.int64]) -> Array | None:
    """Weights of other columns (n,) of which one is the sum, 0 of what only rescales it; None where it is none."""
    alike = 1.0 - (Z[:, others].T @ Z[:, target] / len(Z)) ** 2 <= EXACT**2
    weights = np.zeros(len(others))
    some = np.flatnonzero(~alike)
    if len(some) < 2:
        return None
    try:
        weights[some], left = nnls(Z[:, others[some]], Z[:, target])
    except RuntimeError:  # it gave up
        return None
    parts = int((weights > LEAST).sum())
    if parts < 2 or left > EXACT * np.sqrt(len(Z) - 1 - parts):
        return None
    return weights


def better(found: Sequence[Sum], Y: Array, mean: Array, variance: Array, fold: NDArray[np.int64]) -> tuple[Sum, ...]:
    """Take sums that meet held-out rows better than fits to themselves, and write what is predicted so.

    ``mean`` and ``variance`` (m, T) of the rows Y by fits to every target are overwritten, each fold by what the others
    say; how far errors add up is read from all of them.
    """
    taken = []
    for one in found:
        t = one.target
        whole = replace(one, together=together(Y[:, t] - one.of(mean), one.size(np.sqrt(variance))))
        summed, size = whole.of(mean), whole.size(np.sqrt(variance))
        gain = (mean[:, t] - Y[:, t]) ** 2 - (summed - Y[:, t]) ** 2
        by_fold = np.bincount(fold, gain)
        rows = (by_fold.sum() - by_fold)[fold] > 0
        mean[rows, t], variance[rows, t] = summed[rows], size[rows] ** 2
        if gain.sum() > 0:
            taken.append(whole)
    return tuple(taken)


def written(found: Sequence[Sum], mean: Array, deviation: Array) -> None:
    """Overwrite predictions and deviations (n, T) of sums by those of their parts."""
    for one in found:
        mean[:, one.target], deviation[:, one.target] = one.of(mean), one.size(deviation)


def together(error: Array, size: Array) -> float:
    """How far errors (m,) of a sum fall short of the sum (m,) of its parts' deviations, .1 to 1.

    Root mean square: 1 where all parts err alike, and where fewer than `FEWEST` rows tell.
    """
    known = np.isfinite(error) & np.isfinite(size) & (size > 0)
    if known.sum() < FEWEST:
        return 1.0
    return float(np.clip(np.sqrt(np.mean((error[known] / size[known]) ** 2)), 0.1, 1.0))
