"""Whether a target has anything to do with the tasks: a permutation test, and whether it reproduces over repeats.

Statistic: the largest closed-form held-out R^2 over a linear and a product kernel and some noise levels, of the mean
value of each mask; null: the same after the values were permuted among the masks, so that the choice of kernel and
noise is part of it. Runs that repeat masks are also tested by an F test, variance between masks over that within
them: leave-one-out tables predict no held-out mask and can be known well.

References
----------
Ojala & Garriga, Permutation tests for studying classifier performance, JMLR 2010; Phipson & Smyth 2010 (p > 0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from ..surrogates.gaussian import Spectrum
from ..surrogates.kernels import candidates
from ..surrogates.rows import Rows

Array = NDArray[np.float64]
PERMUTATIONS = 99
NOISES = np.logspace(-2, 3, 6)
MOST = 300  # masks beyond which a sample of them tells
AT_ONCE = 2_000_000  # values of permuted targets held at once


@dataclass(frozen=True, eq=False)
class Signal:
    """Evidence that T targets depend on the tasks.

    Attributes
    ----------
    p : array (T,)
        Of the permutation test.
    joint : float
        p of the mean statistic over the targets.
    repeats : array (T,)
        p of the F test of masks over repeats; 1 where no mask is repeated.
    share : array (T,)
        Share of the variance of a single run that is not noise of repeats; NaN where no mask is repeated.
    within : array (T,)
        Variance of that noise.
    freedom : int
        Repeats beyond the first of each mask.
    """

    p: Array
    joint: float
    repeats: Array
    share: Array
    within: Array
    freedom: int


def test(X: Array, Y: Array, rows: Rows, features: str) -> Signal:
    """Test values Y (m, T) of masks or mixtures X (m, K)."""
    mean = _by_mask(Y, rows)[1]
    first = np.unique(rows.groups.index, return_index=True)[1]
    p, joint = _permuted(X[first], mean, features)
    return replace(repeats(Y, rows), p=p, joint=joint)


def repeats(Y: Array, rows: Rows) -> Signal:
    """What repeats of masks say of values Y (m, T); nothing is permuted."""
    R, mean, counts = _by_mask(Y, rows)
    return Signal(np.ones(Y.shape[1]), 1.0, *_repeats(R, mean, rows.groups.index, counts))


def _by_mask(Y: Array, rows: Rows) -> tuple[Array, Array, Array]:
    """Values without the levels of seeds (m, T), their means over masks (n, T), and runs of each mask (n,)."""
    R = rows.without_levels(Y) if rows.basis.shape[1] > 1 else Y
    counts = np.bincount(rows.groups.index).astype(float)
    mean = np.zeros((len(counts), Y.shape[1]))
    np.add.at(mean, rows.groups.index, R)
    return R, mean / counts[:, None], counts


def _permuted(X: Array, Y: Array, features: str) -> tuple[Array, float]:
    """p of every target and of their mean."""
    n, T = Y.shape
    if n < 4 or not np.ptp(X, axis=0).any():
        return np.ones(T), 1.0
    rng = np.random.default_rng(0)
    if n > MOST:
        kept = rng.permutation(n)[:MOST]
        X, Y, n = X[kept], Y[kept], MOST
    moves = np.ptp(Y, axis=0) > 1e-12 * np.abs(Y).max(axis=0)
    Z = (Y - Y.mean(axis=0)) / np.where(moves, Y.std(axis=0), 1.0)
    rows = Rows.of(np.linspace(0.0, 1.0, n)[:, None])
    spectra = [
        Spectrum.of(k.matrix(X, X), rows) for k in candidates(X, features, np.array([0.3]), np.array([0.5, 1.0]))
    ]
    orders = [np.arange(n), *(rng.permutation(n) for _ in range(PERMUTATIONS))]
    at_once = max(AT_ONCE // (n * T), 1)
    found = []
    for start in range(0, len(orders), at_once):
        block = np.concatenate([Z[order] for order in orders[start : start + at_once]], axis=1)
        best = np.full(block.shape[1], -np.inf)
        for spectrum in spectra:
            for held, _, _ in spectrum.sweep(block, NOISES):
                best = np.maximum(best, 1.0 - ((block - held) ** 2).mean(axis=0))
        found.append(best.reshape(-1, T))
    statistic = np.concatenate(found)
    p = (1.0 + (statistic[1:] >= statistic[0] - 1e-12).sum(axis=0)) / (1.0 + PERMUTATIONS)
    together = statistic[:, moves].mean(axis=1) if moves.any() else np.zeros(len(statistic))
    joint = (1.0 + float((together[1:] >= together[0] - 1e-12).sum())) / (1.0 + PERMUTATIONS)
    return np.where(moves, p, 1.0), joint


def _repeats(R: Array, mean: Array, index: NDArray, counts: Array) -> tuple[Array, Array, Array, int]:
    """p of the F test, share of the variance that is not noise, variance of the noise, degrees of freedom."""
    T, n, m = R.shape[1], len(counts), len(R)
    if m == n or n < 2:
        return np.ones(T), np.full(T, np.nan), np.full(T, np.nan), 0
    within = ((R - mean[index]) ** 2).sum(axis=0) / (m - n)
    between = (counts[:, None] * (mean - (counts @ mean) / m) ** 2).sum(axis=0) / (n - 1)
    typical = (m - (counts**2).sum() / m) / (n - 1)  # runs a mask, in the analysis of variance
    signal = np.maximum(between - within, 0.0) / typical
    total = signal + within
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(total > 0, f_distribution.sf(between / within, n - 1, m - n), 1.0)
    return np.nan_to_num(p, nan=1.0), np.divide(signal, total, out=np.zeros(T), where=total > 0), within, m - n
