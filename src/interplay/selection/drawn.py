"""A run as the runs were drawn: the mean of F over their masks, one functional of many points.

c F = sum_j c_j F(P_j)     c = the share of the runs that each mask has; 1 at a choice and less these for what it gains

identity   E = c . mu,                                 Var = c' V c
log        E = bound sum_j c_j + sign sum_j c_j E_j,   Var = sum_jl c_j c_l E_j E_l (e^{V_jl} - 1)
           with E_j = e^{mu_j + V_jj / 2}

with mu and V the posterior means and covariances of g at the points, in the units of the links: what
`readings.functional.read_points` is for a few points, here in matrices for hundreds. Members are mixed as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..predictor import Predictor
from ..readings.functional import FARTHEST
from ..repeats import averaged
from ..surrogates.base import GaussianSurrogate, threads
from ..surrogates.gaussian import Posterior
from ..surrogates.members import Member, by_kernel, mixed
from .recorded import Measured, Recorded

Array = NDArray[np.float64]
ROWS = 256  # of a covariance that are held in memory at once


@dataclass(frozen=True, eq=False)
class Drawn:
    """An average over masks, as a candidate.

    Attributes
    ----------
    predictor : Predictor
    masks : array (n, P)
        Each once, by players.
    shares : array (n,)
        Of the runs; they sum to one.
    measured : Measured
        Mean of the runs, its standard error, and how many there are.
    """

    predictor: Predictor
    masks: Array
    shares: Array
    measured: Measured

    @classmethod
    def of(cls, recorded: Recorded) -> Drawn:
        """Take the runs whose goals were measured."""
        values = recorded.values
        known = np.isfinite(values).all(axis=1)
        y, m = values[known], int(known.sum())
        masks, count, _ = averaged(recorded.masks[known], np.zeros((m, 1)))
        error = y.std(axis=0, ddof=1) / np.sqrt(m) if m > 1 else np.full(y.shape[1], np.nan)
        measured = Measured(y.mean(axis=0), error, m)
        return cls(recorded.objective.predictor, masks, count[:, 0] / m, measured)

    @cached_property
    def expected(self) -> tuple[Array, Array]:
        """Mean and deviation (T,) of the average."""
        return self._combined(self.shares, self.masks)

    def below(self, x: Array) -> tuple[Array, Array]:
        """Mean and deviation (T,) of F at a mask (P,) less the average."""
        return self._combined(np.append(1.0, -self.shares), np.vstack([x, self.masks]))

    def _combined(self, coefficients: Array, points: Array) -> tuple[Array, Array]:
        mean, deviation = np.zeros((2, len(self.predictor.targets)))
        for own, choice in self.predictor.choices:
            with threads(len(choice.surrogate.X_)):
                mean[own], deviation[own] = combined(choice.surrogate, coefficients, points)
        return mean, deviation


def combined(surrogate: GaussianSurrogate, coefficients: Array, points: Array) -> tuple[Array, Array]:
    """Mean and deviation (T,) of sum_j c_j F(P_j) in the targets' own units; coefficients (J,), points (J, P)."""
    link, c = surrogate.link_, coefficients

    def moments(member: Member) -> tuple[Array, Array]:
        mean, variance = _linear(surrogate, member, c, points)
        if link.log.any():
            size, spread = _logarithmic(surrogate, member, c, points)
            mean = np.where(link.log, link.bound * c.sum() + link.sign * size, mean)
            variance = np.where(link.log, spread, variance)
        return mean[None], np.maximum(variance[None], 0.0)

    mean, variance = mixed(surrogate.members_, surrogate.weights_, moments)
    return mean[0], np.sqrt(variance[0])


def _linear(surrogate: GaussianSurrogate, member: Member, c: Array, points: Array) -> tuple[Array, Array]:
    """Mean and variance (T,) in the units of the links, of one member."""
    total = float(c.sum())
    level, mean = surrogate.level_ * total, total * (np.zeros(surrogate.n_targets_) + member.centre)
    variance = np.zeros_like(mean)
    for kernel, fits in by_kernel(member.fits):
        rows = c[None] @ kernel.matrix(points, member.rows(surrogate.X_))
        own = c[None] @ kernel.matrix(points, points) @ c
        for fit in fits:
            mean[fit.targets] += fit.mean(rows, level)[0]
            variance[fit.targets] += max(float(fit.posterior.variance(rows, own, level)[0]), 0.0) * fit.amplitude
    return mean, variance


def _logarithmic(surrogate: GaussianSurrogate, member: Member, c: Array, points: Array) -> tuple[Array, Array]:
    """Mean and variance (T,) of the distances from the bounds, of one member; of targets without a logarithm 0."""
    T, X, level = surrogate.n_targets_, member.rows(surrogate.X_), surrogate.level_
    (own,) = np.nonzero(surrogate.link_.log)
    mean, variance = (a[:, own] for a in member.at(points, surrogate.X_, level, T))
    link, most = surrogate.link_[own], variance.max(axis=0)
    weighted = c[:, None] * link.size(mean, variance, FARTHEST)
    shared = [(kernel, kernel.matrix(points, X), fits) for kernel, fits in by_kernel(member.fits)]
    size, spread = np.zeros((2, T))
    size[own] = weighted.sum(axis=0)
    for start in range(0, len(points), ROWS):
        some = slice(start, start + ROWS)
        found = []
        for kernel, R, fits in shared:
            k = kernel.matrix(points[some], points)
            found += [(fit, _covariance(fit.posterior, R[some], R, k, level)) for fit in fits]
        for j, t in enumerate(own.tolist()):
            parts = [(fit.amplitude[fit.targets == t], v) for fit, v in found]
            V = sum((float(scale[0]) * v for scale, v in parts if len(scale)), start=np.zeros((1, 1)))
            relative = link[np.array([j])].relative(most[j], np.minimum(V, FARTHEST)[..., None])[..., 0]
            spread[t] += weighted[some, j] @ relative @ weighted[:, j]
    return size, spread


def _covariance(posterior: Posterior, some: Array, rows: Array, own: Array, level: float) -> Array:
    """`Posterior.covariance` of each of some points (s, m) with every one (n, m), array (s, n); ``own`` their k."""
    h = posterior.constant
    shared = level**2 * posterior.constant_variance - level * np.add.outer(some @ h, rows @ h)
    return posterior.prior * own - (some @ posterior.precision) @ rows.T + shared
