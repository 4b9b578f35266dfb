"""The one algebra of every Gaussian surrogate: constant with a flat prior + Gaussian process + noise.

g = b + f,  f ~ GP(0, sigma^2 k),  y_i = g(x_i) + noise of variance sigma^2 lambda

Q = A^-1 - A^-1 1 1' A^-1 / (1' A^-1 1),   A = k_XX + lambda I                      (design: section 3)

Everything follows from Q: theta = Q y, the constant b, leave-one-out residuals (Q y)_i / Q_ii, leave-a-group-out
residuals (Q_GG)^-1 (Q y)_G, the restricted likelihood and the posterior of any linear functional. With one noise
level Q = U (U' A U)^-1 U' for an orthonormal basis U of the vectors that sum to zero, so one eigendecomposition
of the doubly centred kernel serves every noise level and every target.

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

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """Eigendecomposition of the doubly centred kernel matrix H k H, shared by all noise levels.

    Without a constant (the published surrogate has none) the kernel matrix itself is decomposed and Q = A^-1.

    Attributes
    ----------
    vectors : array (m, m - 1) or (m, m)
        Orthonormal eigenvectors, each summing to zero where there is a constant.
    values : array (m - 1,) or (m,)
        Their eigenvalues, clipped at 0.
    """

    vectors: Array
    values: Array

    @classmethod
    def of(cls, kernel: Array, constant: bool = True) -> Spectrum:
        """Decompose ``kernel`` (m, m), on the complement of the constant if there is one."""
        if not constant:
            values, vectors = np.linalg.eigh(kernel)
            return cls(vectors, np.clip(values, 0.0, None))
        values, vectors = np.linalg.eigh(_reflect(_reflect(kernel).T)[1:, 1:])
        return cls(_reflect(np.pad(vectors, ((1, 0), (0, 0)))), np.clip(values, 0.0, None))

    def precision(self, noise: float) -> Array:
        """Q (m, m) at this noise level."""
        return (self.vectors / (self.values + noise)) @ self.vectors.T

    @cached_property
    def _squares(self) -> Array:
        return self.vectors**2

    def held_out(self, y: Array, noise: float, groups: Groups | None = None) -> tuple[Array, Array]:
        """Predictions of every row from the other rows, the constant refitted too.

        Parameters
        ----------
        y : array (m, T)
        noise : float
            Variance of the noise in units of the amplitude.
        groups : Groups, optional
            Rows that are left out together (seeds of one mask, folds). Each row by itself if not given.

        Returns
        -------
        mean, variance : array (m, T), array (m,)
            Held-out means and variances in units of the amplitude, noise included.
        """
        mean, variance, _ = next(self.sweep(y, [noise], groups))
        return mean, variance

    def sweep(
        self, y: Array, noises: Iterable[float], groups: Groups | None = None
    ) -> Iterator[tuple[Array, Array, Array]]:
        """Yield `held_out` means and variances and the `amplitude` for one noise level after the other."""
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
class Groups:
    """Rows that are always left out together.

    Attributes
    ----------
    index : array (m,)
        Group of every row.
    blocks : tuple of arrays (g, size)
        The rows of all groups of one size, one group a row: what batched linear algebra wants.
    """

    index: NDArray[np.int64]
    blocks: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, labels: NDArray) -> Groups:
        """Group rows by equal labels (m,)."""
        index = np.unique(labels, return_inverse=True)[1].reshape(-1)
        order = np.argsort(index, kind="stable")
        counts = np.bincount(index)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        blocks = []
        for size in np.unique(counts):
            first = starts[counts == size]
            blocks.append(order[first[:, None] + np.arange(size)])
        return cls(index, tuple(blocks))

    @classmethod
    def of_rows(cls, X: Array) -> Groups:
        """Group equal rows of X (m, K): the seeds of one mask."""
        return cls.of(np.unique(X, axis=0, return_inverse=True)[1].reshape(-1))

    @property
    def single(self) -> bool:
        """Whether every row is a group of its own."""
        return len(self.blocks) == 1 and self.blocks[0].shape[1] == 1


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
        Weights h of the constant, b = h'y, A h = constant_variance 1.
    constant_variance : float
        1 / (1' A^-1 1), in units of the amplitude.
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
    def of(
        cls, kernel: Array, y: Array, noise: float, constant: bool = True, spectrum: Spectrum | None = None
    ) -> Posterior:
        """Condition on y (m, T) given the kernel matrix (m, m) and the noise in units of the amplitude.

        ``spectrum`` is the kernel's own, where it is there already.
        """
        spectrum = spectrum or Spectrum.of(kernel, constant)
        Q = spectrum.precision(noise)
        m = len(kernel)
        if not constant:
            zero = np.zeros(m)
            return cls(Q, zero, 0.0, Q @ y, np.zeros(y.shape[1]), spectrum.amplitude(y, noise))
        column = kernel.sum(axis=1)
        h = (1.0 - Q @ column) / m
        return cls(
            precision=Q,
            constant=h,
            constant_variance=float((column @ h + noise) / m),
            theta=Q @ y,
            intercept=h @ y,
            amplitude=spectrum.amplitude(y, noise),
        )

    @classmethod
    def least_squares(cls, X: Array, y: Array, constant: bool = True) -> Posterior:
        """Ordinary least squares of minimum norm, solved in the primal: the limit of no noise and a flat prior.

        Coefficients w = X_c^+ y; theta = (X_c^+)' w, so that X' theta = w; amplitude is the residual variance.
        """
        m = len(X)
        centre = X.mean(axis=0) if constant else np.zeros(X.shape[1])
        U, s, Vt = np.linalg.svd(X - centre, full_matrices=False)
        keep = s > max(X.shape) * np.finfo(float).eps * (s[0] if len(s) and s[0] > 0 else 1.0)
        U, s, Vt = U[:, keep], s[keep], Vt[keep]
        z = U.T @ y
        w = Vt.T @ (z / s[:, None])
        intercept = y.mean(axis=0) - centre @ w if constant else np.zeros(y.shape[1])
        residual = y - X @ w - intercept
        freedom = max(m - len(s) - int(constant), 1)
        projected = Vt @ centre
        return cls(
            precision=-(U / s**4) @ U.T,
            constant=U @ (projected / s**3),
            constant_variance=float(((projected / s) ** 2).sum() + int(constant) / m),
            theta=(U / s) @ (z / s[:, None]),
            intercept=intercept,
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
