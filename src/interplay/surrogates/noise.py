"""Noise that depends on the mask, where repeated seeds show it.

log v_i = log of the variance of the repeats of mask i, mean over targets in units of each target's pooled variance
log lambda(s) = ridge regression of log v_i - (psi(n_i / 2) - log(n_i / 2)) on the masks
n_i = (repeats - 1) T^2 / sum_tu r_tu^2,  r the correlations of the targets' noise (Satterthwaite 1946)

The second term is the mean of the logarithm of a chi-square variable over n, so masks with few repeats do not look
quieter. The regression is taken only if it predicts log v of masks left out better than their mean does, by more than
two standard errors; otherwise all rows are equally noisy, and the likelihood pools the repeats into one level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from .links import Link
from .members import Member
from .recipes import linear
from .rows import Rows

Array = NDArray[np.float64]
FEWEST = 12  # masks with repeats below which no dependence is looked for
RIDGES = np.logspace(-2, 3, 11)


@dataclass(frozen=True, eq=False)
class Noise:
    """Variance of a row's noise as a function of its mask, in units of its geometric mean over the fitted rows.

    Attributes
    ----------
    member : Member
        A ridge regression of log variances on ``masks``.
    masks : array (g, K)
        Masks with repeats.
    level : float
        Mean of the log variance over the fitted rows.
    """

    member: Member
    masks: Array
    level: float

    @classmethod
    def of(cls, X: Array, Z: Array, rows: Rows, features: str) -> Noise | None:
        """Look for a dependence in the repeats among rows X (m, K) of values Z (m, T); None if there is none."""
        first, log_variance = repeats(X, Z, rows)
        if len(first) < FEWEST:
            return None
        masks, ridge = X[first], replace(linear(features), noises=RIDGES)
        found = ridge.search(masks, log_variance[:, None], Rows.of(masks), [(Link.identity(1), np.arange(1))])
        n = len(first)
        constant = ((log_variance - log_variance.mean()) * n / (n - 1)) ** 2  # left out of its own mean
        gain = constant - (log_variance - found.cv.mean[:, 0]) ** 2
        if gain.mean() <= 2.0 * gain.std(ddof=1) / np.sqrt(n):
            return None
        member = Member("noise", found.fits)
        return cls(member, masks, float(member.at(X, masks, 1.0, 1)[0].mean()))

    def at(self, X: Array) -> Array:
        """Relative variance of the noise at points (n, K), array (n,)."""
        return np.exp(np.clip(self.member.at(X, self.masks, 1.0, 1)[0][:, 0] - self.level, -7.0, 7.0))


def repeats(X: Array, Z: Array, rows: Rows) -> tuple[NDArray[np.int64], Array]:
    """First rows (g,) of the masks with repeats, and their log variances (g,), free of the bias of few repeats."""
    index = Rows.of(X).groups.index
    counts = np.bincount(index)
    mean = np.zeros((len(counts), Z.shape[1]))
    R = rows.without_levels(Z)
    np.add.at(mean, index, R)
    mean /= counts[:, None]
    squares = np.zeros_like(mean)
    np.add.at(squares, index, (R - mean[index]) ** 2)
    repeated = np.flatnonzero((counts > 1) & (squares.sum(axis=1) > 0))
    if not len(repeated):
        return np.array([], dtype=np.int64), np.array([])
    freedom = counts[repeated] - 1.0
    pooled = squares[repeated].sum(axis=0) / freedom.sum()
    own = pooled > 0
    variance = (squares[repeated][:, own] / pooled[own]).mean(axis=1) / freedom
    first = np.array([np.flatnonzero(index == g)[0] for g in repeated])
    half = 0.5 * freedom * _independent((R - mean[index])[:, own] / np.sqrt(pooled[own]), freedom.sum())
    return first, np.log(variance) - (digamma(half) - np.log(half))


def _independent(noise: Array, freedom: float) -> float:
    """How many independent targets the mean of these (m, T), of unit pooled variance, is worth: T^2 / sum r_tu^2."""
    T = noise.shape[1]
    squares = float((((noise.T @ noise) / freedom) ** 2).sum()) - T * (T - 1) / freedom  # less their sampling error
    return float(np.clip(T**2 / max(squares, 1e-300), 1.0, T))
