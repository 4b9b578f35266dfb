"""Readings are linear functionals of a surrogate; each has a posterior mean and standard deviation.

E[L g] = b L1 + (L k_X) theta,   Var[L g] = L k L' - L k_X Q k_X L' + ...      (`surrogates.gaussian.Posterior`)

A functional only says what it does to a kernel; `read` does the rest for every target of a fitted surrogate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..surrogates.base import GaussianSurrogate
from ..surrogates.kernels import Kernel
from ..surrogates.members import Member, by_kernel, mixed
from ..surrogates.sums import Sum

Array = NDArray[np.float64]
FARTHEST = 150.0  # exponents of an extrapolation under a log link are cut here, so that squares stay finite
ROWS = 20_000  # functionals whose rows L k_X are held in memory at once
CHUNK = 200_000  # functionals x targets that are held in memory at once


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

    def summed(self, sums: Sequence[Sum]) -> Reading:
        """The same with effects on some sums of targets from those on their parts, all in the targets' own units."""
        for one in sums:
            t, parts, b = one.target, one.parts, one.coefficients
            self.mean[:, t] = self.mean[:, parts] @ b
            for held in (self.deviation, self.prior):
                held[:, t] = one.size(held)
        return self


def read(surrogate: GaussianSurrogate, functional: Functional, intervals: bool = True) -> Reading:
    """Evaluate a functional exactly on every target of a fitted surrogate, in the units of the links.

    Positive always means that the target rises: where the link counts down from a ceiling, the sign is turned.

    Parameters
    ----------
    surrogate : LinearSurrogate or KernelSurrogate
        Fitted.
    functional : Functional
    intervals : bool
        Whether to compute posterior deviations; without them large K costs far less time and memory.
    """
    sign = np.where(surrogate.link_.sign < 0, -1.0, 1.0)
    shape = len(functional), surrogate.n_targets_
    priors = []

    def moments(member: Member) -> tuple[Array, Array]:
        mean, variance, prior = (np.zeros(shape) for _ in range(3))
        X = member.rows(surrogate.X_)
        for kernel, fits in by_kernel(member.fits):
            if intervals:
                rows, own = functional.rows(kernel, X), functional.own(kernel)
            for fit in fits:
                if not intervals:
                    found = functional.apply(kernel, X, fit.posterior.theta)
                    mean[:, fit.targets] += found if fit.loadings is None else found @ fit.loadings
                    continue
                mean[:, fit.targets] += fit.mean(rows, 0.0)
                v = np.maximum(fit.posterior.variance(rows, own, 0.0), 0.0)
                variance[:, fit.targets] += np.multiply.outer(v, fit.amplitude)
                prior[:, fit.targets] += np.multiply.outer(own, fit.amplitude) if fit.posterior.prior else np.inf
        priors.append(prior)
        return mean, variance

    mean, variance = mixed(surrogate.members_, surrogate.weights_, moments)
    plain = [one for one in surrogate.sums_ if not surrogate.link_.log[[one.target, *one.parts]].any()]
    if not intervals:
        nothing = np.full(shape, np.nan)
        return Reading(sign * mean, nothing, nothing.copy()).summed(plain)
    prior = sum((w * p for w, p in zip(surrogate.weights_, priors, strict=True)), start=np.zeros(shape))
    return Reading(sign * mean, np.sqrt(variance), np.sqrt(prior)).summed(plain)


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
            for start in range(0, len(self), ROWS):
                out[start : start + ROWS] += c * (kernel.matrix(P[start : start + ROWS], X) @ theta)
        return out


def read_points(surrogate: GaussianSurrogate, combination: Combination) -> Reading:
    """Evaluate a combination of points in the targets' own units, under a log link by lognormal moments.

    E = sum_j c_j E_j,  E_j = e^{mu_j + v_jj / 2},  Var = sum_jl c_j c_l E_j E_l (e^{v_jl} - 1)

    and far from the rows as `links` has it.
    """
    link, shape = surrogate.link_, (len(combination), surrogate.n_targets_)
    at_once = max(CHUNK // max(shape[1], 1), 1)
    if link.log.all() or not link.log.any():
        each = _logarithmic if link.log.all() else _linear
        return _in_parts(surrogate, combination, each, np.arange(shape[1]), at_once).summed(surrogate.sums_)
    out = Reading(np.empty(shape), np.empty(shape), np.empty(shape))
    for each, targets in ((_linear, np.flatnonzero(~link.log)), (_logarithmic, np.flatnonzero(link.log))):
        part = _in_parts(surrogate, combination, each, targets, at_once)
        out.mean[:, targets], out.deviation[:, targets], out.prior[:, targets] = part.mean, part.deviation, part.prior
    return out.summed(surrogate.sums_)


Moments = tuple[Array, Array, Array]


def _in_parts(
    surrogate: GaussianSurrogate,
    combination: Combination,
    each: Callable[[GaussianSurrogate, Combination, Member], Moments],
    targets: NDArray,
    at_once: int,
) -> Reading:
    """Mean, deviation and prior (n, len(targets)) of a combination, a few functionals at a time."""
    found = []
    for start in range(0, len(combination), at_once):
        block = Combination(combination.coefficients, combination.points[:, start : start + at_once])
        priors = []

        def moments(member: Member, block: Combination = block, priors: list = priors) -> tuple[Array, Array]:
            mean, variance, prior = each(surrogate, block, member)
            priors.append(prior[:, targets])
            return mean[:, targets], variance[:, targets]

        weights = surrogate.weights_[:, targets]
        mean, variance = mixed(surrogate.members_, weights, moments)
        prior = sum((w * p for w, p in zip(weights, priors, strict=True)), start=np.zeros_like(mean))
        found.append((mean, np.sqrt(variance), np.sqrt(prior)))
    return Reading(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _linear(surrogate: GaussianSurrogate, block: Combination, member: Member) -> Moments:
    """Mean, variance and prior variance (n, T) of one member, in the units of the links."""
    mean, variance, prior = (np.zeros((len(block), surrogate.n_targets_)) for _ in range(3))
    for kernel, fits in by_kernel(member.fits):
        rows, own = block.rows(kernel, member.rows(surrogate.X_)), np.maximum(block.own(kernel), 0.0)
        for fit in fits:
            mean[:, fit.targets] += fit.mean(rows, 0.0)
            v = np.maximum(fit.posterior.variance(rows, own, 0.0), 0.0)
            variance[:, fit.targets] += np.multiply.outer(v, fit.amplitude)
            prior[:, fit.targets] += np.multiply.outer(own, fit.amplitude) if fit.posterior.prior else np.inf
    return mean, variance, prior


def _logarithmic(surrogate: GaussianSurrogate, block: Combination, member: Member) -> Moments:
    """The same in the targets' own units, for those whose link is a logarithm."""
    c, P, level, T = block.coefficients, block.points, surrogate.level_, surrogate.n_targets_
    J, n = len(c), len(block)
    mean, prior = np.zeros((J, n, T)) + member.centre, np.zeros((n, T))
    between = np.zeros((J, J, n, T))
    for kernel, fits in by_kernel(member.fits):
        rows, own = (
            [kernel.matrix(points, member.rows(surrogate.X_)) for points in P],
            np.maximum(block.own(kernel), 0.0),
        )
        pairs = {(i, j): kernel.paired(P[i], P[j]) for i in range(J) for j in range(i, J)}
        for fit in fits:
            mean[:, :, fit.targets] += np.stack([fit.mean(R, level) for R in rows])
            prior[:, fit.targets] += np.multiply.outer(own, fit.amplitude) if fit.posterior.prior else np.inf
            for (i, j), k in pairs.items():
                v = fit.posterior.covariance(rows[i], rows[j], k, level, level)
                between[i, j][:, fit.targets] += np.multiply.outer(v, fit.amplitude)
    for i, j in zip(*np.triu_indices(J, 1), strict=True):
        between[j, i] = between[i, j]
    link, v = surrogate.link_, np.stack([between[j, j] for j in range(J)])
    E = link.size(mean, v, FARTHEST)
    weighted = c[:, None, None] * E
    spread = link.relative(v.max(axis=0), np.minimum(between, FARTHEST))
    variance = np.einsum("jnt,lnt,jlnt->nt", weighted, weighted, spread, optimize=True)
    return link.sign * weighted.sum(axis=0), np.maximum(variance, 0.0), E.mean(axis=0) ** 2 * prior
