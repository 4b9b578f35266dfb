"""Kernels of the surrogates: a product (RBF) kernel beside a linear one.

k(x, x') = rbf exp(-sum_k gamma_k (x_k - x'_k)^2) + linear x . x'

On 0/1 masks the product kernel has the factor 1 where two masks agree on a task and r_k = exp(-gamma_k) where they
do not. The linear kernel extrapolates where the product kernel returns to the constant (design: section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A product kernel and a linear kernel, with their weights.

    Attributes
    ----------
    gamma : array (K,)
        Rates of the product kernel, one per task (all equal: RBF).
    rbf, linear : float
        Weights of the two parts, >= 0.
    """

    gamma: Array
    rbf: float
    linear: float

    def matrix(self, A: Array, B: Array) -> Array:
        """k(A, B) for A (n, K) and B (m, K); array (n, m)."""
        out = self.linear * (A @ B.T) if self.linear else np.zeros((len(A), len(B)))
        if self.rbf:
            out += self.rbf * np.exp(-squared_distances(A * np.sqrt(self.gamma), B * np.sqrt(self.gamma)))
        return out

    def paired(self, A: Array, B: Array) -> Array:
        """k(A_i, B_i) row by row, array (n,)."""
        return self.rbf * np.exp(-((A - B) ** 2 @ self.gamma)) + self.linear * np.einsum("ik,ik->i", A, B)


def squared_distances(A: Array, B: Array) -> Array:
    """|a - b|^2 of all rows of A (n, K) and B (m, K), array (n, m), never negative."""
    d = (A**2).sum(axis=1)[:, None] + (B**2).sum(axis=1) - 2.0 * (A @ B.T)
    return np.maximum(d, 0.0, out=d)


def candidates(X: Array, gammas: Array, shares: Array) -> list[Kernel]:
    """Kernels to choose from, scaled so that one grid of noise levels fits all designs.

    Parameters
    ----------
    X : array (m, K)
    gammas : array
        Rates in units of 1 / (mean squared distance of two rows).
    shares : array
        Shares of the linear kernel in the prior variance of the rows around their mean; 1 is ridge regression.
    """
    m, K = X.shape
    centred = X - X.mean(axis=0)
    spread = float((centred**2).sum() / max(m - 1, 1)) or 1.0  # mean squared distance of two rows is twice this
    distances = squared_distances(X, X) if any(share < 1 for share in shares) else np.zeros((m, m))
    kernels = []
    for share in shares:
        for gamma in gammas if share < 1 else [1.0]:
            rate = gamma / (2.0 * spread)
            variance = 1.0
            if share < 1:
                off = (np.exp(-rate * distances).sum() - m) / max(m * (m - 1), 1)
                variance = max(1.0 - off, 1e-12)
            kernels.append(Kernel(np.full(K, rate), (1.0 - share) / variance, share / spread))
    return kernels
