"""Kernels of the surrogates: a product kernel beside a linear one, each on its own features of the weights.

k(x, x') = rbf exp(-sum_d gamma_d (u_d(x) - u_d(x'))^2) + linear v(x) . v(x')

On 0/1 masks (u = v = x) the product kernel has the factor 1 where two masks agree on a task and r_k = exp(-gamma_k)
where they do not; all gamma equal is the RBF kernel, one for each task automatic relevance determination (ARD). The
linear kernel extrapolates where the product kernel returns to the constant (design: section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features import transform

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A product kernel and a linear kernel, with their weights and features.

    Attributes
    ----------
    gamma : array (D,)
        Rates of the product kernel, one per feature.
    rbf, linear : float
        Weights of the two parts, >= 0.
    features, linear_features : str
        Maps u and v, see `features.MAPS`.
    """

    gamma: Array
    rbf: float
    linear: float
    features: str = "raw"
    linear_features: str = "raw"

    def matrix(self, A: Array, B: Array) -> Array:
        """k(A, B) for A (n, K) and B (m, K) as the user writes them; array (n, m)."""
        same = A is B
        if self.linear:
            V = transform(A, self.linear_features)
            out = self.linear * (V @ (V if same else transform(B, self.linear_features)).T)
        else:
            out = np.zeros((len(A), len(B)))
        if self.rbf:
            root = np.sqrt(self.gamma)
            U = transform(A, self.features) * root
            d = squared_distances(U, U if same else transform(B, self.features) * root)
            np.exp(np.negative(d, out=d), out=d)
            out += self.rbf * d
        return out

    def paired(self, A: Array, B: Array) -> Array:
        """k(A_i, B_i) row by row, array (n,)."""
        out = np.zeros(len(A))
        if self.rbf:
            out += self.rbf * np.exp(-((transform(A, self.features) - transform(B, self.features)) ** 2 @ self.gamma))
        if self.linear:
            u, v = transform(A, self.linear_features), transform(B, self.linear_features)
            out += self.linear * np.einsum("ik,ik->i", u, v)
        return out


def squared_distances(A: Array, B: Array) -> Array:
    """|a - b|^2 of all rows of A (n, K) and B (m, K), array (n, m), never negative.

    Half the work where A is B: numpy multiplies an array by its own transpose as a symmetric product.
    """
    square = np.einsum("ik,ik->i", A, A)
    d = A @ B.T
    d *= -2.0
    d += square[:, None]
    d += square if A is B else np.einsum("ik,ik->i", B, B)
    return np.maximum(d, 0.0, out=d)


def matrices(kernels: Sequence[Kernel], X: Array) -> Iterator[Array]:
    """Yield k(X, X) of one kernel after the other, X (m, K); products that several share are computed once.

    What `Kernel.matrix` gives, to rounding: with all rates equal the product kernel is exp(-gamma |u - u'|^2).
    """
    products: dict[str, Array] = {}
    distances: dict[str, Array] = {}
    for kernel in kernels:
        if kernel.rbf and np.ptp(kernel.gamma) > 0:
            yield kernel.matrix(X, X)
            continue
        if kernel.linear and kernel.linear_features not in products:
            V = transform(X, kernel.linear_features)
            products[kernel.linear_features] = V @ V.T
        if kernel.rbf and kernel.features not in distances:
            U = transform(X, kernel.features)
            distances[kernel.features] = squared_distances(U, U)
        out = kernel.linear * products[kernel.linear_features] if kernel.linear else np.zeros((len(X), len(X)))
        if kernel.rbf:
            out += kernel.rbf * np.exp(-kernel.gamma[0] * distances[kernel.features])
        yield out


def candidates(X: Array, features: str, gammas: Array, shares: Array) -> list[Kernel]:
    """Kernels to choose from, scaled so that one grid of noise levels fits all designs.

    Parameters
    ----------
    X : array (m, K)
    features : str
        Of both parts.
    gammas : array
        Rates in units of 1 / (mean squared distance of two rows).
    shares : array
        Shares of the linear kernel in the prior variance of the rows around their mean; 1 is ridge regression.
    """
    U = transform(X, features)
    m, D = U.shape
    centred = U - U.mean(axis=0)
    spread = float((centred**2).sum() / max(m - 1, 1)) or 1.0  # mean squared distance of two rows is twice this
    distances = squared_distances(U, U) if any(share < 1 for share in shares) else np.zeros((m, m))
    kernels = []
    for share in shares:
        for gamma in gammas if share < 1 else [1.0]:
            rate = gamma / (2.0 * spread)
            variance = 1.0
            if share < 1:
                off = (np.exp(-rate * distances).sum() - m) / max(m * (m - 1), 1)
                variance = max(1.0 - off, 1e-12)
            kernels.append(Kernel(np.full(D, rate), (1.0 - share) / variance, share / spread, features, features))
    return kernels
