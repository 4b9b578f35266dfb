"""The learning curve: how well fewer runs did, and what more of them would bring.

e(n) = a + b n^-c        held-out squared error of n runs, in units of the constant's; R^2 = 1 - e

Kernels and noise levels are those of all runs; nested shares of the runs are conditioned on, and predict rows that none
of them holds. The shape (a, c) has a posterior on a grid; the height is that of the folds in which everything was
chosen anew:  e(M) = e(m) x (a + b M^-c) / (a + b m^-c),  with the uncertainty of both.

References
----------
Viering & Loog, The shape of learning curves: a review, IEEE TPAMI 2023 (power laws with an offset).
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..surrogates import Choice
from ..surrogates.base import GaussianSurrogate, threads

Array = NDArray[np.float64]
SHARES = (0.3, 0.42, 0.6, 0.85)
ORDERS = 8
FEWEST = 12  # masks
BUDGET = 3e9  # steps of linear algebra
OFFSETS = np.linspace(0.0, 0.98, 25)  # a in units of e(m)
RATES = np.linspace(0.3, 2.0, 18)  # c
MODEL = 0.05  # sd of log e that no power law explains
DRAW = 0.06  # sd of log e over choices of the runs
FARTHEST = 8.0  # times the runs, beyond which nothing is forecast


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Held-out skill as a function of the number of runs.

    Attributes
    ----------
    runs : int
        m.
    sizes : array (J,)
        Numbers of runs that were tried.
    error : array (J,)
        Mean over targets of e(n).
    now, now_error : float
        e(m) by folds, and its standard error.
    weights : array (offsets, rates)
        Posterior of a / e(m) and c.
    """

    runs: int
    sizes: Array
    error: Array
    now: float
    now_error: float
    weights: Array

    def forecast(self, runs: float) -> tuple[float, float, float]:
        """R^2 expected of this many runs, and its 95 % interval."""
        ratio = OFFSETS[:, None] + (1.0 - OFFSETS[:, None]) * (max(runs, 1.0) / self.runs) ** -RATES
        mean = float((self.weights * np.log(ratio)).sum())
        spread = float((self.weights * (np.log(ratio) - mean) ** 2).sum())
        half = 1.96 * np.sqrt(spread + (self.now_error / max(self.now, 1e-12)) ** 2 + DRAW**2)
        centre = np.log(max(self.now, 1e-12)) + mean
        return tuple(1.0 - float(np.exp(centre + step)) for step in (0.0, half, -half))  # pyright: ignore

    def needed(self, skill: float) -> float | None:
        """Runs at which this R^2 is expected; None if it is beyond what can be forecast."""
        for factor in np.geomspace(1.0, FARTHEST, 40):
            if self.forecast(factor * self.runs)[0] >= skill:
                return float(factor * self.runs)
        return None


def learning_curve(choice: Choice, Y: Array, asked: NDArray[np.bool_] | None = None) -> LearningCurve | None:
    """Learning curve of the surrogate taken for targets Y (m, T); None where there are too few masks to tell.

    Of the mean over targets, or over those that are ``asked`` (T,) about.
    """
    surrogate = choice.surrogate
    index = surrogate.rows_.groups.index
    n, moves = int(index.max()) + 1, np.ptp(Y, axis=0) > 1e-12 * np.abs(Y).max(axis=0)
    plain = [f for f, member in enumerate(surrogate.members_) if all(fit.loadings is None for fit in member.fits)]
    own = len(surrogate.X_) == len(Y) == len(choice.held_out) and not hasattr(surrogate, "coupling_")
    moves &= True if asked is None else asked
    if n < FEWEST or not moves.any() or not plain or not own:
        return None
    tuned = [f for f in plain if all(fit.posterior.prior for fit in surrogate.members_[f].fits)]
    if not tuned:
        return None
    judged = copy(surrogate)
    judged.members_ = [surrogate.members_[f] for f in tuned]
    weights = surrogate.weights_[tuned]
    judged.weights_ = weights / np.maximum(weights.sum(axis=0), 1e-300) + (weights.sum(axis=0) <= 0) / len(tuned)
    fits = sum(len(member.fits) for member in judged.members_)
    orders = int(np.clip(BUDGET / (fits * sum((s * len(Y)) ** 3 for s in SHARES)), 2, ORDERS))
    found = np.array([_one(judged, Y, np.random.default_rng(k).permutation(n)[index], n, moves) for k in range(orders)])
    squares = ((choice.held_out - Y) ** 2)[:, moves], ((choice.constant - Y) ** 2)[:, moves].mean(axis=0)
    relative = (squares[0] / squares[1]).mean(axis=1)
    now = float(relative.mean())
    by_group = np.bincount(index, relative - now)
    now_error = float(np.sqrt((by_group**2).sum()) / len(Y))
    sizes = np.array([max(round(share * n), 2) for share in SHARES]) * len(Y) / n
    return LearningCurve(len(Y), sizes, found.mean(axis=0), now, now_error, _shape(sizes, found, len(Y)))


def _one(surrogate: GaussianSurrogate, Y: Array, place: NDArray[np.int64], n: int, moves: NDArray[np.bool_]) -> Array:
    """Mean error over targets (J,) of nested shares of one order; ``place`` (m,) is that of each row's mask."""
    last = place >= round(SHARES[-1] * n)
    base = ((Y[last] - Y[~last].mean(axis=0)) ** 2).mean(axis=0)
    out = []
    for share in SHARES:
        kept = place < max(round(share * n), 2)
        some = subset(surrogate, Y, kept)
        with threads(int(kept.sum())):
            predicted = np.reshape(some.predict(surrogate.X_[last]), (-1, Y.shape[1]))
        level = surrogate.rows_.shift(
            kept, last, Y[kept] - np.reshape(some.predict(surrogate.X_[kept]), (-1, Y.shape[1]))
        )
        error = ((predicted + level - Y[last]) ** 2).mean(axis=0)
        out.append(float((error / np.maximum(base, 1e-300))[moves].mean()))
    return np.array(out)


def subset(surrogate: GaussianSurrogate, Y: Array, kept: NDArray[np.bool_]) -> GaussianSurrogate:
    """The same kernels and noise, conditioned on some of the rows Y (m, T)."""
    out, Z = copy(surrogate), surrogate.link_.forward(Y[kept])
    out.X_, out.rows_ = surrogate.X_[kept], surrogate.rows_.take(kept)
    out.members_ = [member.conditioned(out.X_, Z, out.rows_) for member in surrogate.members_]
    return out


def _shape(sizes: Array, found: Array, m: int) -> Array:
    """Posterior weights of (a / e(m), c) from errors (orders, J), against their last size."""
    logs = np.log(np.maximum(found, 1e-12))
    steps = logs[:, :-1] - logs[:, -1:]
    spread = steps.var(axis=0, ddof=1) / len(found) + MODEL**2
    predicted = np.log(OFFSETS[:, None, None] + (1.0 - OFFSETS[:, None, None]) * (sizes / m) ** -RATES[:, None])
    gap = steps.mean(axis=0) - (predicted[:, :, :-1] - predicted[:, :, -1:])
    value = -0.5 * (gap**2 / spread).sum(axis=2)
    weights = np.exp(value - value.max())
    return weights / weights.sum()
