"""Predictions of a fitted surrogate at mixtures, with their exact gradients in the weights.

d/dw_k sum_i c_i k(w, x_i) = sum_{d of k} u_d'(w) (-2 gamma_d) sum_i c_i e_i (u_d(w) - u_id) + that of the linear part

with e_i the product kernel. Means have c = theta, variances k(w, w) - k Q k' + c0 - 2 k h have c = -2 k Q - 2 h.
Links and the mixture of members follow by the chain rule: d exp(mu + v/2) = exp(mu + v/2) (dmu + dv/2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..surrogates.base import GaussianSurrogate, threads
from ..surrogates.features import derivative, transform
from ..surrogates.kernels import Kernel
from ..surrogates.links import FARTHEST
from ..surrogates.members import Member, by_kernel
from .objective import Objective

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Slopes:
    """Values (n, J) and their gradients (n, J, P)."""

    mean: Array
    deviation: Array
    mean_slope: Array
    deviation_slope: Array


def slopes(surrogate: GaussianSurrogate, columns: NDArray[np.int64], W: Array) -> Slopes:
    """Predict some targets (J,) of a surrogate at weights (n, P), in the targets' own units, with gradients."""
    n, J, P = len(W), len(columns), W.shape[1]
    mean, second = np.zeros((n, J)), np.zeros((n, J))
    mean_slope, second_slope = np.zeros((n, J, P)), np.zeros((n, J, P))
    first: tuple[Array, Array] | None = None  # means are told from those of the first member: no squares of levels
    with threads(len(surrogate.X_)):
        for member, all_weights in zip(surrogate.members_, surrogate.weights_, strict=True):
            weights = all_weights[columns]
            mu, v, dmu, dv = _back(surrogate, columns, *_member(surrogate, member, columns, W))
            first = first or (mu, dmu)
            mu, dmu = mu - first[0], dmu - first[1]
            mean += weights * mu
            mean_slope += weights[:, None] * dmu
            second += weights * (v + mu**2)
            second_slope += weights[:, None] * (dv + 2.0 * mu[:, :, None] * dmu)
    assert first is not None
    deviation = np.sqrt(np.maximum(second - mean**2, 0.0))
    slope = second_slope - 2.0 * mean[:, :, None] * mean_slope
    half = np.divide(0.5, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return Slopes(mean + first[0], deviation, mean_slope + first[1], half[:, :, None] * slope)


@dataclass(frozen=True, eq=False)
class Remote:
    """How far weights lie from the runs, with gradients: `Objective.far`, of every goal and kept target (R)."""

    objective: Objective

    @cached_property
    def _there(self) -> list[tuple[GaussianSurrogate, NDArray[np.int64], Array]]:
        """Surrogates, their columns that count, and how much their variances count (R, columns)."""
        objective, found = self.objective, []
        for own, choice in objective.predictor.choices:
            counting, farthest = objective.counting[:, own], objective.farthest[id(choice)]
            columns = np.flatnonzero(counting.any(axis=0) & (farthest > 0))
            if len(columns):
                found.append((choice.surrogate, columns, counting[:, columns] / farthest[columns]))
        return found

    def at(self, W: Array) -> tuple[Array, Array]:
        """Squared remoteness (n, R) of weights (n, P), and its gradient (n, R, P)."""
        R = len(self.objective.everything)
        value, slope = np.zeros((len(W), R)), np.zeros((len(W), R, W.shape[1]))
        for surrogate, columns, counting in self._there:
            for member, weights in zip(surrogate.members_, surrogate.weights_, strict=True):
                _, v, _, dv = _member(surrogate, member, columns, W)
                scale = weights[columns] * counting
                value += v @ scale.T
                slope += np.einsum("njp,rj->nrp", dv, scale)
        return value, slope


def _member(
    surrogate: GaussianSurrogate, member: Member, columns: NDArray[np.int64], W: Array
) -> tuple[Array, Array, Array, Array]:
    """Means and variances (n, J) of one member with gradients (n, J, P), in the units of the links."""
    n, J, P = len(W), len(columns), W.shape[1]
    mean = np.tile((np.zeros(surrogate.n_targets_) + member.centre)[columns], (n, 1))
    variance, dmean, dvariance = np.zeros((n, J)), np.zeros((n, J, P)), np.zeros((n, J, P))
    level, X = surrogate.level_, member.rows(surrogate.X_)
    for kernel, fits in by_kernel(member.fits):
        asked = [(fit, np.flatnonzero(np.isin(columns, fit.targets))) for fit in fits]
        asked = [(fit, js) for fit, js in asked if len(js)]
        if not asked:
            continue
        pull = _Pull.of(kernel, W, X)
        for fit, js in asked:
            posterior = fit.posterior
            share = np.eye(len(fit.targets)) if fit.loadings is None else fit.loadings
            own = np.array([int(np.flatnonzero(fit.targets == columns[j])[0]) for j in js])
            theta, intercept = posterior.theta @ share[:, own], posterior.intercept @ share[:, own]
            mean[:, js] += level * intercept + pull.matrix @ theta
            kQ = pull.matrix @ posterior.precision
            v = posterior.prior * pull.own - (kQ * pull.matrix).sum(axis=1)
            v += level**2 * posterior.constant_variance - 2.0 * level * (pull.matrix @ posterior.constant)
            dv = pull.gradient(-2.0 * kQ - 2.0 * level * posterior.constant) + posterior.prior * pull.own_slope
            dv[v <= 0] = 0.0
            amplitude = fit.amplitude[own]
            variance[:, js] += np.multiply.outer(np.maximum(v, 0.0), amplitude)
            for i, j in enumerate(js):
                dmean[:, j] += pull.gradient(np.broadcast_to(theta[:, i], pull.matrix.shape))
                dvariance[:, j] += amplitude[i] * dv
    return mean, variance, dmean, dvariance


@dataclass(frozen=True, eq=False)
class _Pull:
    """A kernel between points W (n, P) and rows X (m, P), and how sums of it change with the points.

    Attributes
    ----------
    matrix, product : array (n, m)
        The kernel, and its product part alone.
    own, own_slope : array (n,), (n, P)
        k(w, w) and its gradient.
    """

    kernel: Kernel
    W: Array
    X: Array
    matrix: Array
    product: Array
    own: Array
    own_slope: Array

    @classmethod
    def of(cls, kernel: Kernel, W: Array, X: Array) -> _Pull:
        matrix = kernel.matrix(W, X)
        product = matrix
        own_slope = np.zeros(W.shape)
        if kernel.linear:
            name = kernel.linear_features
            v = transform(W, name)
            product = matrix - kernel.linear * (v @ transform(X, name).T)
            own_slope = _folded(2.0 * kernel.linear * v * derivative(W, name), W.shape[1])
        return cls(kernel, W, X, matrix, product, kernel.paired(W, W), own_slope)

    def gradient(self, c: Array) -> Array:
        """Gradient (n, P) of sum_i c_i k(w, x_i) for c (n, m)."""
        out, P = np.zeros(self.W.shape), self.W.shape[1]
        if self.kernel.rbf:
            u, rows = transform(self.W, self.kernel.features), transform(self.X, self.kernel.features)
            ce = c * self.product
            pulled = u * ce.sum(axis=1, keepdims=True) - ce @ rows
            out += _folded(-2.0 * self.kernel.gamma * pulled * derivative(self.W, self.kernel.features), P)
        if self.kernel.linear:
            name = self.kernel.linear_features
            out += _folded(self.kernel.linear * (c @ transform(self.X, name)) * derivative(self.W, name), P)
        return out


def _folded(slopes: Array, P: int) -> Array:
    """Sum over the features (n, D) of each weight, (n, P): features come in blocks of P."""
    return slopes.reshape(len(slopes), -1, P).sum(axis=1)


def _back(
    surrogate: GaussianSurrogate, columns: NDArray[np.int64], z: Array, v: Array, dz: Array, dv: Array
) -> tuple[Array, Array, Array, Array]:
    """From the units of the links to the targets' own, gradients too."""
    link = surrogate.link_[columns]
    if not link.log.any():
        return z, v, dz, dv
    log, sign = link.log, link.sign
    mean, variance = link.backward(z, v), link.backward_variance(z, v)
    size, near = link.size(z, v), v <= link.most
    dsize = dz + 0.5 * dv * near[:, :, None]  # of log E
    dmean = sign[:, None] * size[:, :, None] * dsize
    grows = np.where(near, v, np.log(link.slope)) + 2.0 * np.log(size)
    dvariance = 2.0 * variance[:, :, None] * dsize + np.exp(np.minimum(grows, FARTHEST))[:, :, None] * dv
    own = log[:, None]
    return mean, variance, np.where(own, dmean, dz), np.where(own, dvariance, dv)
