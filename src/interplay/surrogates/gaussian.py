"""The one algebra of every Gaussian surrogate: constant with a flat prior + Gaussian process + noise.

g = b + f,  f ~ GP(0, sigma^2 k),  y_i = (H b)_i + f(x_i) + noise of variance sigma^2 nu D_i

Q = A^-1 - A^-1 H (H' A^-1 H)^-1 H' A^-1,   A = k_XX + nu D                         (design: section 3)

Everything follows from Q: theta = Q y, the constants b, leave-one-out residuals (Q y)_i / Q_ii, leave-a-group-out
residuals (Q_GG)^-1 (Q y)_G, the restricted likelihood and the posterior of any linear functional. With
V = D^-1/2 U for an orthonormal basis U of the complement of D^-1/2 H, Q = V (V' A V)^-1 V': one eigendecomposition
of V' k V serves every noise level nu and every target. H and D are those of `rows.Rows`.

References
----------
Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, sections 2.7 and 5.4; Harville, JASA 1977 (REML).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

from .rows import Groups, Rows

Array = NDArray[np.float64]
POTRF, POTRI = get_lapack_funcs(("potrf", "potri"), dtype=np.float64)


@dataclass(frozen=True)
class Spectrum:
    """Eigendecomposition of the kernel matrix on the complement of the flat part, shared by all noise levels.

    Attributes
    ----------
    vectors : array (m, m - p)
        V: V' k V is diagonal, V' D V = 1, V' H = 0.
    values : array (m - p,)
        Its eigenvalues, clipped at 0.
    """

    vectors: Array
    values: Array

    @classmethod
    def of(cls, kernel: Array, rows: Rows) -> Spectrum:
        """Decompose ``kernel`` (m, m)."""
        root = np.sqrt(rows.noise)
        if rows.plain:
            values, vectors = np.linalg.eigh(_reflect(_reflect(kernel).T)[1:, 1:])
            return cls(_reflect(np.pad(vectors, ((1, 0), (0, 0)))), np.clip(values, 0.0, None))
        p = rows.basis.shape[1]
        U = np.linalg.qr(rows.basis / root[:, None], mode="complete")[0][:, p:] if p else np.eye(len(kernel))
        V = U / root[:, None]
        values, vectors = np.linalg.eigh(V.T @ kernel @ V)
        return cls(V @ vectors, np.clip(values, 0.0, None))

    def precision(self, noise: float) -> Array:
        """Q (m, m) at this noise level."""
        return (self.vectors / (self.values + noise)) @ self.vectors.T

    @cached_property
    def _squares(self) -> Array:
        return self.vectors**2

    def sweep(
        self, y: Array, noises: Iterable[float], groups: Groups | None = None
    ) -> Iterator[tuple[Array, Array, Array]]:
        """Predict every row from the other rows, the constant refitted too, at one noise level after the other.

        Parameters
        ----------
        y : array (m, T)
        noises : iterable of float
            Variances of the noise in units of the amplitude.
        groups : Groups, optional
            Rows that are left out together (seeds of one mask, folds). Each row by itself if not given.

        Yields
        ------
        mean, variance, amplitude : array (m, T), array (m,), array (T,)
            Held-out means and variances in units of the amplitude, noise included; and the `amplitude`.
        """
        projected = self.vectors.T @ y
        squares = projected**2
        for noise in noises:
            weights = 1.0 / (self.values + noise)
            Qy = self.vectors @ (weights[:, None] * projected)
            amplitude = weights @ squares / max(len(self.values), 1)
            if groups is None or groups.single:
                diagonal = self._squares @ weights
                yield y - Qy / diagonal[:, None], 1.0 / diagonal, amplitude
                continue
            scaled = self.vectors * weights
            residual, variance = np.empty_like(y), np.empty(len(y))
            for rows in groups.blocks:  # (number of groups of this size, size)
                covariance = np.linalg.inv(scaled[rows] @ self.vectors[rows].transpose(0, 2, 1))
                residual[rows] = covariance @ Qy[rows]
                variance[rows] = np.diagonal(covariance, axis1=1, axis2=2)
            yield y - residual, variance, amplitude

    def amplitude(self, y: Array, noise: float) -> Array:
        """sigma_t^2 = y_t' Q y_t / (m - 1) for every target, array (T,)."""
        return (1.0 / (self.values + noise)) @ (self.vectors.T @ y) ** 2 / max(len(self.values), 1)

    def log_likelihood(self, y: Array, noise: float) -> Array:
        """Restricted log likelihood of every target, amplitude profiled out, up to a constant; array (T,)."""
        n = len(self.values)
        return -0.5 * (np.log(self.values + noise).sum() + n * np.log(self.amplitude(y, noise) + 1e-300))


@dataclass(frozen=True)
class Posterior:
    """Posterior of one kernel and one noise level, for all targets that share them.

    Attributes
    ----------
    precision : array (m, m)
        Q.
    prior : float
        1, or 0 where the prior is flat (ordinary least squares): then L k L' drops out and ``precision`` is negative.
    constant : array (m,)
        Weights h of the constant at new points, b = h'y (the mean of the seeds' constants).
    constant_variance : float
        Variance of the constant, 1 / (1' A^-1 1) for a single one, in units of the amplitude.
    theta : array (m, T)
    intercept : array (T,)
    amplitude : array (T,)
        sigma_t^2, which multiplies every variance.
    """

    precision: Array
    constant: Array
    constant_variance: float
    theta: Array
    intercept: Array
    amplitude: Array
    prior: float = 1.0

    @classmethod
    def of(cls, kernel: Array, y: Array, noise: float, rows: Rows, Q: Array | None = None) -> Posterior:
        """Condition on y (m, T) given the kernel matrix (m, m) and the noise in units of the amplitude.

        ``Q`` is given where it is there already.
        """
        if Q is None:
            Q = precision(kernel + noise * np.diag(rows.noise), rows)[0]
        theta, a = Q @ y, rows.level
        inverse, gram = rows.solve_levels()
        h = inverse - (inverse @ kernel) @ Q  # (H' A^-1 H)^-1 H' A^-1, since inverse D Q = 0
        return cls(
            precision=Q,
            constant=a @ h,
            constant_variance=float(a @ (inverse @ (kernel @ (h.T @ a)) + noise * (gram @ a))),
            theta=theta,
            intercept=a @ h @ y,
            amplitude=np.maximum((y * theta).sum(axis=0), 0.0) / max(len(y) - len(a), 1),
        )

    @classmethod
    def least_squares(cls, X: Array, y: Array, rows: Rows) -> Posterior:
        """Ordinary least squares of minimum norm, solved in the primal: the limit of no noise and a flat prior.

        Coefficients w = X_c^+ y; theta = (X_c^+)' w, so that X' theta = w; amplitude is the residual variance.
        """
        root, a = np.sqrt(rows.noise)[:, None], rows.level
        inverse, gram = rows.solve_levels()
        centre = inverse @ X  # (p, K)
        U, s, Vt = np.linalg.svd((X - rows.basis @ centre) / root, full_matrices=False)
        keep = s > max(X.shape) * np.finfo(float).eps * (s[0] if len(s) and s[0] > 0 else 1.0)
        U, s, Vt = U[:, keep], s[keep], Vt[keep]
        z = U.T @ (y / root)
        w = Vt.T @ (z / s[:, None])
        residual = (y - X @ w - rows.basis @ (inverse @ (y - X @ w))) / root
        freedom = max(len(X) - len(s) - len(centre), 1)
        projected = Vt @ (a @ centre)
        U = U / root
        return cls(
            precision=-(U / s**4) @ U.T,
            constant=U @ (projected / s**3),
            constant_variance=float(((projected / s) ** 2).sum() + a @ gram @ a),
            theta=(U / s) @ (z / s[:, None]),
            intercept=a @ inverse @ (y - X @ w),
            amplitude=(residual**2).sum(axis=0) / freedom,
            prior=0.0,
        )

    def mean(self, rows: Array, level: Array | float) -> Array:
        """Posterior means (n, T) of functionals L; ``rows`` = L k_X (n, m), ``level`` = L 1 (n,) or a number."""
        return np.multiply.outer(np.broadcast_to(level, len(rows)), self.intercept) + rows @ self.theta

    def variance(self, rows: Array, own: Array, level: Array | float) -> Array:
        """Posterior variances in units of the amplitude, array (n,); ``own`` = L k L' (n,)."""
        return self.covariance(rows, rows, own, level, level)

    def covariance(
        self, rows: Array, others: Array, own: Array, level: Array | float, other_level: Array | float
    ) -> Array:
        """Posterior covariances of functionals taken in pairs (row i with row i of ``others``), array (n,).

        L k L'' - L k_X Q k_X L'' + L1 L''1 c - (L1) L'' k_X h - (L''1) L k_X h with c = 1/(1'A^-1 1).
        """
        one, other = np.broadcast_to(level, len(rows)), np.broadcast_to(other_level, len(others))
        explained = np.einsum("im,im->i", rows @ self.precision, others)
        shared = one * other * self.constant_variance - one * (others @ self.constant) - other * (rows @ self.constant)
        return self.prior * own - explained + shared


def _reflect(A: Array) -> Array:
    """H A for the Householder reflection H that turns the constant vector into the first axis."""
    v = np.full(len(A), 1.0 / np.sqrt(len(A)))
    v[0] += 1.0
    return A - np.outer(v / v[0], v @ A)


def precision(A: Array, rows: Rows) -> tuple[Array, float]:
    """Q (m, m) and log|A| + log|H' A^-1 H| of a positive definite A (m, m), which is overwritten.

    Raises
    ------
    LinAlgError
        If A is not positive definite.
    """
    factor, failed = POTRF(A, lower=1, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("the kernel matrix with its noise is not positive definite")
    log_det = 2.0 * float(np.log(np.diagonal(factor)).sum())
    Q, _ = POTRI(factor, lower=1, overwrite_c=1)
    Q = np.tril(Q) + np.tril(Q, -1).T
    if rows.basis.shape[1]:
        AH = Q @ rows.basis
        HAH = rows.basis.T @ AH
        Q -= AH @ np.linalg.solve(HAH, AH.T)
        log_det += float(np.linalg.slogdet(HAH)[1])
    return Q, log_det
