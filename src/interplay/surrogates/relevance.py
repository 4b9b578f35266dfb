"""Length scales per task (automatic relevance determination) by restricted likelihood with analytic gradients.

minimise  sum_t 1/2 (log|A| + log|H' A^-1 H| + (m - p) log y_t' Q y_t) - log prior
A = k_rbf(gamma) + l k_linear + nu D

d/d log gamma_d = 1/2 gamma_d sum_ij M_ij (u_id - u_jd)^2,  M = (sum_t alpha_t alpha_t' / sigma_t^2 - T Q) * k_rbf
                = gamma_d (sum_i u_id^2 (M 1)_i - u_d' M u_d),  alpha_t = Q y_t             (design: section 3)

All targets share one set of scales first; from there each target finds its own, shrunk towards the shared ones by a
normal prior on log gamma. Every gradient is one product with M, whatever the number of tasks.

References
----------
MacKay, Bayesian non-linear modelling for the prediction competition, 1994; Rasmussen & Williams, Gaussian Processes
for Machine Learning, 2006, section 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from .features import transform
from .gaussian import Posterior, precision
from .kernels import Kernel, squared_distances
from .members import Fit
from .rows import Rows

Array = NDArray[np.float64]
QUIETEST = 1e-4  # noise / amplitude: with values that are nearly free of noise, scales can blow up below it
STEPS = 60
BOUNDS = {"gamma": (-12.0, 6.0), "linear": (-9.0, 5.0), "noise": (np.log(QUIETEST), 7.0)}


@dataclass(frozen=True, eq=False)
class Relevance:
    """How length scales are found.

    Attributes
    ----------
    features, linear_features : str
        Maps of the two kernels, see `features.MAPS`.
    shared, own : float
        Standard deviations of the normal priors on log gamma: around the common scale, and of a target's around the
        shared ones; 0 leaves all targets the shared scales and noise. Tasks of masks differ less than the weights of
        mixtures (measured: .5 and .3, 1 and 1).
    smooth : float
        Centre of the prior on the mean log gamma; 0 is where two rows are about exp(-1) alike, less is smoother. Where
        the likelihood is flat a smooth kernel extrapolates, as an optimum beyond the runs wants it.
    smooth_deviation : float
        Standard deviation of that prior.
    linear : float
        Centre of the prior on the logarithm of the linear kernel's weight.
    """

    features: str = "raw"
    linear_features: str = "raw"
    shared: float = 0.5
    own: float = 0.3
    smooth: float = 0.0
    smooth_deviation: float = 2.0
    linear: float = 0.0

    def fit(self, X: Array, Z: Array, rows: Rows, start: Array | None = None) -> tuple[list[Fit], Array]:
        """Find the scales of each column of Z (m, T) and condition on them.

        Returns
        -------
        fits : list of Fit
            One per column, its number as the target.
        settings : array (T + 1, D + 2)
            Logarithms of gamma, the linear kernel's weight and the noise: shared ones, then those of each column.
        """
        problem = Likelihood.of(X, rows, self)
        T = Z.shape[1]
        standard = _standardised(Z, rows)
        moves: NDArray[np.bool_] = (standard != 0).any(axis=0)  # a target that never changes tells nothing
        first = problem.start() if start is None else start[0]
        if moves.any():
            first = problem.ascend(standard[:, moves], first, self.shared)
        if not self.own:
            return [problem.condition(Z, first, np.arange(T))], np.tile(first, (T + 1, 1))
        settings = [first]
        for t in range(T):
            if moves.sum() == 1 or not moves[t]:
                settings.append(first)
            else:
                begin = first if start is None else start[1 + t]
                settings.append(problem.ascend(standard[:, [t]], begin, self.own, first[: problem.D]))
        return [problem.condition(Z[:, [t]], p, np.array([t])) for t, p in enumerate(settings[1:])], np.array(settings)


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The restricted likelihood of the rows of one design as a function of the settings (D + 2,).

    Attributes
    ----------
    X : array (m, K)
    rows : Rows
    relevance : Relevance
    U : array (m, D)
        Features of the product kernel, centred, in units of their mean standard deviation.
    scale : float
        That unit.
    linear : array (m, m)
        Matrix of the linear kernel, of unit mean diagonal around the mean of the rows.
    linear_scale : float
    """

    X: Array
    rows: Rows
    relevance: Relevance
    U: Array
    scale: float
    linear: Array
    linear_scale: float

    @classmethod
    def of(cls, X: Array, rows: Rows, relevance: Relevance) -> Likelihood:
        """Prepare what does not depend on the settings."""
        U, V = transform(X, relevance.features), transform(X, relevance.linear_features)
        U = U - U.mean(axis=0)
        if rows.basis.shape[1]:
            V = V - V.mean(axis=0)  # the flat part takes up the rest
        scale = float(U.std(axis=0).mean()) or 1.0
        linear_scale = float((V**2).sum(axis=1).mean()) or 1.0
        return cls(X, rows, relevance, U / scale, scale, V @ V.T / linear_scale, linear_scale)

    @property
    def D(self) -> int:
        """Number of length scales."""
        return self.U.shape[1]

    @cached_property
    def _squares(self) -> Array:
        return self.U**2

    def start(self) -> Array:
        """Equal scales and the linear weight at the centres of their priors, and some noise."""
        return np.concatenate([np.full(self.D, self.centre), [self.relevance.linear, -3.0]])

    @property
    def centre(self) -> float:
        """Centre of the prior on the mean log gamma: features have unit variance, two rows are 2 D apart."""
        return self.relevance.smooth - np.log(2.0 * self.D)

    def ascend(self, Z: Array, start: Array, deviation: float, centre: Array | None = None) -> Array:
        """Settings of the highest posterior near ``start``, for all columns of Z (m, T) together."""
        bounds = [BOUNDS["gamma"]] * self.D + [BOUNDS["linear"], BOUNDS["noise"]]
        found = minimize(
            self.value,
            np.clip(start, *np.array(bounds).T),
            args=(Z, deviation, centre),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": STEPS, "maxcor": 20},
        )
        return found.x

    def value(self, p: Array, Z: Array, deviation: float, centre: Array | None = None) -> tuple[float, Array]:
        """Negative log posterior and its gradient (D + 2,)."""
        D, T, (m, q) = self.D, Z.shape[1], self.rows.basis.shape
        gamma, weight, noise = np.exp(p[:D]), np.exp(p[D]), np.exp(p[D + 1])
        scaled = self.U * np.sqrt(gamma)
        R = squared_distances(scaled, scaled)
        np.exp(np.negative(R, out=R), out=R)
        A = R + weight * self.linear
        A.flat[:: m + 1] += noise * self.rows.noise
        try:
            Q, log_det = precision(A, self.rows)
        except np.linalg.LinAlgError:
            return 1e25, np.zeros_like(p)
        alpha = Q @ Z
        s2 = np.maximum((Z * alpha).sum(axis=0) / (m - q), 1e-12)
        value = 0.5 * (T * log_det + (m - q) * np.log(s2).sum())
        alpha /= np.sqrt(s2)
        W = alpha @ alpha.T - T * Q  # -2 d value / d A
        gradient = np.empty_like(p)
        gradient[D + 1] = -0.5 * noise * (np.diagonal(W) @ self.rows.noise)
        gradient[D] = -0.5 * weight * np.einsum("ij,ij->", W, self.linear)
        M = np.multiply(W, R, out=R)
        gradient[:D] = gamma * (self._squares.T @ M.sum(axis=1) - np.einsum("ik,ik->k", self.U, M @ self.U))
        prior, slope = self._prior(p, deviation, centre)
        return value + prior, gradient + slope

    def _prior(self, p: Array, deviation: float, centre: Array | None) -> tuple[float, Array]:
        """log gamma around the common mean (itself near the start) or the centre; the linear weight near the start."""
        D, slope = self.D, np.zeros_like(p)
        mean, weight = p[:D].mean(), p[D] - self.relevance.linear
        away = p[:D] - (mean if centre is None else centre)
        value = 0.5 * (away @ away) / deviation**2 + 0.5 * (weight / 3.0) ** 2
        slope[:D], slope[D] = away / deviation**2, weight / 9.0
        if centre is None:
            shift, width = mean - self.centre, self.relevance.smooth_deviation
            value += 0.5 * (shift / width) ** 2
            slope[:D] += shift / width**2 / D
        return float(value), slope

    def condition(self, Z: Array, p: Array, targets: NDArray) -> Fit:
        """Posterior at settings p of some columns Z (m, n), with their numbers."""
        D, found = self.D, self.relevance
        kernel = Kernel(
            np.exp(p[:D]) / self.scale**2,
            1.0,
            float(np.exp(p[D])) / self.linear_scale,
            found.features,
            found.linear_features,
        )
        noise = float(np.exp(p[D + 1]))
        return Fit(
            kernel,
            noise,
            targets,
            Posterior.of(kernel.matrix(self.X, self.X), Z, noise, self.rows),
        )


def _standardised(Z: Array, rows: Rows) -> Array:
    """Columns of Z without the levels of seeds, of unit variance; zeros where nothing but rounding is left."""
    R = rows.without_levels(Z)
    deviation = np.sqrt((R**2).mean(axis=0))
    constant = deviation <= 1e-12 * np.abs(Z).max(axis=0)
    return np.where(constant, 0.0, R / np.where(constant, 1.0, deviation))
