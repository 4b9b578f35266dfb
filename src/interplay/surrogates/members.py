"""Members of a fitted surrogate, each a set of Gaussian fits, mixed with weights that held-out rows set.

g_t = sum_f w_ft g_ft,   E g = sum_f w_f mu_f,   Var g = sum_f w_f (v_f + (mu_f - E g)^2)        (design: section 3)

A fit conditions one kernel and noise level on the targets that share them, or on components of the targets: then
g_t = centre_t + sum_c V_ct h_c with independent components h_c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .gaussian import Posterior
from .kernels import Kernel
from .rows import Rows

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fit:
    """One kernel and noise level with the targets that chose them.

    Attributes
    ----------
    kernel : Kernel
    noise : float
        Noise variance in units of the amplitude.
    targets : array (n,)
        Columns of y that it has a part in.
    posterior : Posterior
        Of these targets, or of C components, in the units of the links.
    loadings : array (C, n) or None
        Share of each component in each target; None where there are no components.
    """

    kernel: Kernel
    noise: float
    targets: NDArray[np.int64]
    posterior: Posterior
    loadings: Array | None = None

    @property
    def amplitude(self) -> Array:
        """What multiplies every variance of the posterior, per target, array (n,)."""
        return self.posterior.amplitude if self.loadings is None else self.posterior.amplitude @ self.loadings**2

    def mean(self, rows: Array, level: float) -> Array:
        """Posterior means (q, n) of functionals given by their rows L k_X (q, m), see `Posterior.mean`."""
        mean = self.posterior.mean(rows, level)
        return mean if self.loadings is None else mean @ self.loadings


@dataclass(frozen=True, eq=False)
class Member:
    """One complete surrogate of all T targets.

    Attributes
    ----------
    name : str
    fits : tuple of Fit
        Their parts of a target add up.
    centre, remainder : array (T,) or 0
        Level beside the fits, and variance of measurements that no component holds.
    settings : array or None
        Hyper-parameters found by ascent, to start another from.
    anchors : array (q, K) or None
        Points between which and new ones kernels are taken; the fitted rows if None.
    """

    name: str
    fits: tuple[Fit, ...]
    centre: Array | float = 0.0
    remainder: Array | float = 0.0
    settings: Array | None = field(default=None, repr=False)
    anchors: Array | None = field(default=None, repr=False)

    def rows(self, X: Array) -> Array:
        """Points (q, K) that posteriors are expressed in; X (m, K) are the fitted rows."""
        return X if self.anchors is None else self.anchors

    def at(self, points: Array, X: Array, level: float, T: int) -> tuple[Array, Array]:
        """Means and variances (n, T) of g at points (n, K), in the units of the links; X (m, K) are the fitted rows."""
        mean, variance = np.zeros((len(points), T)) + self.centre, np.zeros((len(points), T))
        for kernel, fits in by_kernel(self.fits):
            rows, own = kernel.matrix(points, self.rows(X)), kernel.paired(points, points)
            for fit in fits:
                v = np.maximum(fit.posterior.variance(rows, own, level), 0.0)
                mean[:, fit.targets] += fit.mean(rows, level)
                variance[:, fit.targets] += np.multiply.outer(v, fit.amplitude)
        return mean, variance

    def conditioned(self, X: Array, Z: Array, rows: Rows) -> Member:
        """The same kernels and noise levels, conditioned on other rows; for fits without components."""
        fits = []
        for kernel, shared in by_kernel(self.fits):
            k = kernel.matrix(X, X)
            for fit in shared:
                fits.append(replace(fit, posterior=Posterior.of(k, Z[:, fit.targets], fit.noise, rows)))
        return replace(self, fits=tuple(fits))

    def noise(self, T: int) -> Array:
        """Variance of a measurement around g, array (T,), in the units of the links."""
        out = np.zeros(T) + self.remainder
        for fit in self.fits:
            out[fit.targets] += (fit.noise if fit.posterior.prior else 1.0) * fit.amplitude
        return out


def by_kernel(fits: Iterable[Fit]) -> list[tuple[Kernel, list[Fit]]]:
    """Fits that share a kernel share its matrices."""
    kernels: dict[int, tuple[Kernel, list[Fit]]] = {}
    for fit in fits:
        kernels.setdefault(id(fit.kernel), (fit.kernel, []))[1].append(fit)
    return list(kernels.values())


def mixed(
    members: Sequence[Member], weights: Array, moments: Callable[[Member], tuple[Array, Array]]
) -> tuple[Array, Array]:
    """Mean and variance (n, T) of a mixture of members with weights (F, T); ``moments`` gives each member's own."""
    mean, second, shift = 0.0, 0.0, 0.0
    for member, weight in zip(members, weights, strict=True):
        mu, v = moments(member)
        if len(weights) == 1:
            return mu, v
        if member is members[0]:
            shift = mu  # squares are taken around the first member's mean: no cancellation
        mean = mean + weight * mu
        second = second + weight * (v + (mu - shift) ** 2)
    return np.asarray(mean), np.maximum(second - (mean - shift) ** 2, 0.0)
