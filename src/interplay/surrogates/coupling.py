"""How fidelities hang together: each is a scaled copy of one function beside a part of its own.

z_f = level_f + u_f (q_f g + sqrt(1 - q_f^2) h_f) + noise of variance nu_f,   g, h_f ~ GP(0, sigma^2 k)
cov(z_f(x), z_f'(x')) = B_ff' sigma^2 k(x, x'),   B_ff' = u_f u_f' (q_f q_f' + [f = f'] (1 - q_f^2))

g is the function of the fidelity with most masks (the base: u = q = 1). A shift is u = q = 1, an affine map q = 1, and
q is the correlation of two fidelities' functions: at q = 0 cheap runs say nothing of dear ones. Given the base's runs
the other fidelity's are Gaussian with mean u q m(x) and covariance u^2 q^2 S + u^2 (1 - q^2) sigma^2 k + nu, m and
S those of g: u, q and nu are their most probable values under priors that stand for a shift, so that few dear runs give
a shift and many an affine map with a kernel on the gap.

References
----------
Kennedy & O'Hagan, Biometrika 2000 (autoregressive co-kriging); Bonilla, Chai & Williams, Multi-task Gaussian process
prediction, 2008 (cov = B_ff' k).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from .gaussian import Posterior, precision
from .kernels import Kernel
from .members import Fit
from .rows import Rows

Array = NDArray[np.float64]
#: log u, logit of the gap's share 1 - q^2, log of nu in units of the base's variance: centres, spreads, bounds.
CENTRE, SPREAD = np.array([0.0, -2.5, -2.3]), np.array([0.35, 1.5, 1.5])
LOW, HIGH = np.array([-3.0, -9.0, -12.0]), np.array([3.0, 7.0, 3.0])
#: How far a target's own values may lie from those that all targets share.
OWN = np.array([0.2, 0.7, 0.7])


@dataclass(frozen=True, eq=False)
class Coupling:
    """What ties F fidelities together, for T targets.

    Attributes
    ----------
    scale, correlation : array (F, T)
        u and q; 1 for the base.
    noise : array (F, T)
        Variance of a run's noise, in units of the variance of the base's values; NaN for the base.
    """

    scale: Array
    correlation: Array
    noise: Array

    def matrix(self, t: int, gap: float = 1.0) -> Array:
        """B of one target, array (F, F); ``gap`` multiplies the functions of their own."""
        u, q = self.scale[:, t], self.correlation[:, t]
        return np.outer(u * q, u * q) + np.diag(gap * u**2 * (1.0 - q**2))


@dataclass(frozen=True, eq=False)
class Beside:
    """Runs of another fidelity as the base's runs see them, for one target.

    Attributes
    ----------
    mean, covariance : array (n,), (n, n)
        Of g at their masks, given the base's runs.
    prior : array (n, n)
        sigma^2 k.
    values : array (n,)
    rows : Rows
        Of these runs, levels and relative noise.
    variance : float
        Of the base's values.
    """

    mean: Array
    covariance: Array
    prior: Array
    values: Array
    rows: Rows
    variance: float

    @classmethod
    def of(cls, fit: Fit, column: int, X_base: Array, X: Array, z: Array, rows: Rows, variance: float) -> Beside:
        """Runs X (n, K) with values z (n,), seen by a fit of the base's rows; ``column`` is the target's in the fit."""
        kernel: Kernel = fit.kernel
        across, own, sigma2 = kernel.matrix(X, X_base), kernel.matrix(X, X), float(fit.amplitude[column])
        known = own - across @ fit.posterior.precision @ across.T
        return cls(across @ fit.posterior.theta[:, column], sigma2 * known, sigma2 * own, z, rows, variance)

    def misfit(self, p: Array) -> tuple[float, Array]:
        """Negative restricted log likelihood at p = (log u, logit(1 - q^2), log nu), and its gradient (3,)."""
        u, gap, nu = np.exp(p[0]), 1.0 / (1.0 + np.exp(-p[1])), np.exp(p[2]) * self.variance
        signal = u**2 * ((1.0 - gap) * self.covariance + gap * self.prior)
        A = signal.copy()
        A.flat[:: len(A) + 1] += nu * self.rows.noise
        try:
            Q, log_det = precision(A, self.rows)
        except np.linalg.LinAlgError:
            return 1e25, np.zeros(3)
        copied = u * np.sqrt(1.0 - gap) * self.mean
        residual = self.values - copied
        alpha = Q @ residual
        W = Q - np.outer(alpha, alpha)  # 2 d value / d A
        parts = 2.0 * signal, u**2 * gap * (1.0 - gap) * (self.prior - self.covariance)
        slope = [0.5 * np.einsum("ij,ij->", W, part) for part in parts]
        slope.append(0.5 * nu * (np.diagonal(W) @ self.rows.noise))
        moved = alpha @ copied * np.array([-1.0, 0.5 * gap, 0.0])
        return 0.5 * (log_det + float(residual @ alpha)), np.array(slope) + moved


def couple(seen: Sequence[Beside], gap: bool, start: Array | None = None) -> Array:
    """(log u, logit(1 - q^2), log nu) of one fidelity for all targets and then for each, array (T + 1, 3).

    Parameters
    ----------
    seen : sequence of Beside
        The runs on every target; those of a target that never changes are left out of what all share.
    gap : bool
        Whether there is a function of its own beside the scaled copy; without it q = 1.
    start : array (T + 1, 3), optional
        Where to ascend from.
    """
    moving = [one for one in seen if one.variance > 0]
    if not moving:
        return np.tile(CENTRE, (len(seen) + 1, 1))
    shared = _most_probable(moving, CENTRE, SPREAD, CENTRE if start is None else start[0], gap)
    if len(seen) == 1:
        return np.tile(shared, (2, 1))
    own = [_most_probable([one], shared, OWN, shared, gap) if one.variance > 0 else shared for one in seen]
    return np.array([shared, *own])


def _most_probable(seen: Sequence[Beside], centre: Array, spread: Array, start: Array, gap: bool) -> Array:
    def value(p: Array) -> tuple[float, Array]:
        values, slopes = zip(*(one.misfit(p) for one in seen), strict=True)
        away = (p - centre) / spread
        return sum(values) + 0.5 * float(away @ away), np.sum(slopes, axis=0) + away / spread

    high = HIGH if gap else np.where([False, True, False], LOW, HIGH)
    bounds, start = list(zip(LOW, high, strict=True)), np.clip(start, LOW, high)
    return minimize(value, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40}).x


def condition(
    fit: Fit, column: int, B: Array, ratio: Array, at: int, fidelity: NDArray, X: Array, z: Array, rows: Rows
) -> Fit:
    """One kernel on the runs of all fidelities, its posterior that of the fidelity ``at``.

    With w_i = B_(at, f_i) / B_(at, at) the posterior of any functional of z_at is that of a Gaussian process with the
    kernel itself, once theta and Q are scaled by w: what reads surrogates need not know of fidelities.

    Parameters
    ----------
    fit : Fit
        Kernel, noise and amplitude, found on the base.
    column : int
        The target's column in the fit.
    B : array (F, F)
    ratio : array (F,)
        Noise of each fidelity in units of the base's.
    at : int
    fidelity : array (m,) of int
    X, z : array (m, K), (m,)
    rows : Rows
        Its levels are those of the fidelities, ``asked`` says which are those of ``at``.
    """
    k, own = fit.kernel.matrix(X, X) * B[np.ix_(fidelity, fidelity)], B[at, at]
    noisy = replace(rows, noise=rows.noise * ratio[fidelity])
    found = Posterior.of(k, z[:, None], fit.noise, noisy)
    w = B[at, fidelity] / own
    posterior = replace(
        found,
        precision=own * w[:, None] * found.precision * w,
        constant=w * found.constant,
        constant_variance=found.constant_variance / own,
        theta=own * w[:, None] * found.theta,
        amplitude=found.amplitude * own,
    )
    return replace(fit, noise=fit.noise * float(ratio[at]) / own, targets=fit.targets[[column]], posterior=posterior)
