"""Readings are linear functionals of a surrogate; each has a posterior mean and standard deviation.

E[L g] = b L1 + (L k_X) theta,   Var[L g] = L k L' - L k_X Q k_X L' + ...      (`surrogates.gaussian.Posterior`)

A functional only says what it does to a kernel; `read` does the rest for every target of a fitted surrogate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..surrogates.base import GaussianSurrogate
from ..surrogates.features import transform
from ..surrogates.kernels import Kernel

Array = NDArray[np.float64]
FARTHEST = 150.0  # exponents of an extrapolation under a log link are cut here, so that squares stay finite
CHUNK = 20_000  # functionals whose rows L k_X are held in memory at once


class Functional(Protocol):
    """n linear functionals of g, none of which sees the constant (L 1 = 0)."""

    def __len__(self) -> int: ...

    def rows(self, kernel: Kernel, X: Array) -> Array:
        """L k(., X), array (n, m)."""
        ...

    def own(self, kernel: Kernel) -> Array:
        """L k L', array (n,): prior variances in units of the amplitude."""
        ...

    def apply(self, kernel: Kernel, X: Array, theta: Array) -> Array:
        """L k(., X) theta for theta (m, T), array (n, T), without holding the rows."""
        ...


@dataclass(frozen=True, eq=False)
class Reading:
    """Values of n functionals for T targets, in the unit of each target's link.

    Attributes
    ----------
    mean, deviation : array (n, T)
        Posterior mean and standard deviation; deviation is NaN where intervals were not asked for.
    prior : array (n, T)
        Prior standard deviation: deviation / prior near 1 says that the runs tell nothing about the question.
    """

    mean: Array
    deviation: Array
    prior: Array


def read(surrogate: GaussianSurrogate, functional: Functional, intervals: bool = True) -> Reading:
    """Evaluate a functional exactly on every target of a fitted surrogate.

    Parameters
    ----------
    surrogate : LinearSurrogate or KernelSurrogate
        Fitted.
    functional : Functional
    intervals : bool
        Whether to compute posterior deviations; without them large K costs far less time and memory.
    """
    n, T = len(functional), surrogate.n_targets_
    mean, deviation, prior = np.empty((n, T)), np.full((n, T), np.nan), np.full((n, T), np.nan)
    X, cache = surrogate.inputs_, {}
    for fit in surrogate.fits_:
        if not intervals:
            mean[:, fit.targets] = functional.apply(fit.kernel, X, fit.posterior.theta)
            continue
        if id(fit.kernel) not in cache:
            cache = {id(fit.kernel): (functional.rows(fit.kernel, X), functional.own(fit.kernel))}
        rows, own = cache[id(fit.kernel)]
        amplitude = fit.posterior.amplitude
        mean[:, fit.targets] = fit.posterior.mean(rows, 0.0)
        variance = np.maximum(fit.posterior.variance(rows, own, 0.0), 0.0)
        deviation[:, fit.targets] = np.sqrt(np.multiply.outer(variance, amplitude))
        prior[:, fit.targets] = np.sqrt(np.multiply.outer(own, amplitude)) if fit.posterior.prior else np.inf
    return Reading(mean, deviation, prior)


@dataclass(frozen=True, eq=False)
class Combination:
    """sum_j c_j g(P_j): differences between given masks or mixtures.

    Leave-one-out, groups, contrasts, moves of a mixture and their second differences are all of this form, and it is
    the form that a log link can bring back to the target's own unit (`read_points`).

    Attributes
    ----------
    coefficients : array (J,)
        They sum to zero.
    points : array (J, n, K)
        Masks or mixtures as the user writes them, not yet transformed to features.
    """

    coefficients: Array
    points: Array

    def __len__(self) -> int:
        return self.points.shape[1]

    def _inputs(self, features: str) -> Combination:
        return Combination(self.coefficients, transform(self.points, features))

    def rows(self, kernel: Kernel, X: Array) -> Array:
        """See `Functional`."""
        return sum(
            (c * kernel.matrix(P, X) for c, P in zip(self.coefficients, self.points, strict=True)),
            start=np.zeros((len(self), len(X))),
        )

    def own(self, kernel: Kernel) -> Array:
        """See `Functional`."""
        c, P = self.coefficients, self.points
        pairs = ((c[i] * c[j], P[i], P[j]) for i in range(len(c)) for j in range(len(c)))
        return sum((w * kernel.paired(A, B) for w, A, B in pairs), start=np.zeros(len(self)))

    def apply(self, kernel: Kernel, X: Array, theta: Array) -> Array:
        """See `Functional`."""
        out = np.zeros((len(self), theta.shape[1]))
        for c, P in zip(self.coefficients, self.points, strict=True):
            for start in range(0, len(self), CHUNK):
                out[start : start + CHUNK] += c * (kernel.matrix(P[start : start + CHUNK], X) @ theta)
        return out


def read_points(surrogate: GaussianSurrogate, combination: Combination) -> Reading:
    """Evaluate a combination of points in the targets' own units, under a log link by lognormal moments.

    E = sum_j c_j e^{mu_j + v_jj / 2},  Var = sum_jl c_j c_l E_j E_l (e^{v_jl} - 1)
    """
    combination = combination._inputs(surrogate.features_)
    n, T = len(combination), surrogate.n_targets_
    mean, deviation, prior = np.empty((n, T)), np.empty((n, T)), np.empty((n, T))
    X, c, points = surrogate.inputs_, combination.coefficients, combination.points
    J = len(c)
    for fit in surrogate.fits_:
        posterior, kernel = fit.posterior, fit.kernel
        amplitude, flat = posterior.amplitude, posterior.prior == 0
        for start in range(0, n, CHUNK):
            part = slice(start, min(start + CHUNK, n))
            block = Combination(c, points[:, part])
            own = block.own(kernel)
            if fit.link == "identity":
                rows = block.rows(kernel, X)
                mu = posterior.mean(rows, 0.0)
                v = np.multiply.outer(np.maximum(posterior.variance(rows, own, 0.0), 0.0), amplitude)
                scale = np.ones_like(mu)
            else:
                rows = [kernel.matrix(P, X) for P in block.points]
                level = float(surrogate.constant)
                E = []
                for P, R in zip(block.points, rows, strict=True):
                    own_variance = posterior.variance(R, kernel.paired(P, P), level)
                    exponent = posterior.mean(R, level) + 0.5 * np.multiply.outer(own_variance, amplitude)
                    E.append(np.exp(np.minimum(exponent, FARTHEST)))
                mu = sum((w * e for w, e in zip(c, E, strict=True)), start=np.zeros_like(E[0]))
                v = np.zeros_like(mu)
                for i in range(J):
                    for j in range(J):
                        between = kernel.paired(block.points[i], block.points[j])
                        cov = posterior.covariance(rows[i], rows[j], between, level, level)
                        v += (
                            c[i]
                            * c[j]
                            * E[i]
                            * E[j]
                            * np.expm1(np.minimum(np.multiply.outer(cov, amplitude), FARTHEST))
                        )
                scale = np.abs(E).mean(axis=0)
            where = np.ix_(np.arange(part.start, part.stop), fit.targets)
            mean[where] = mu
            deviation[where] = np.sqrt(np.maximum(v, 0.0))
            prior[where] = np.inf if flat else scale * np.sqrt(np.multiply.outer(np.maximum(own, 0.0), amplitude))
    return Reading(mean, deviation, prior)
