"""Predictions of a fitted surrogate at mixtures, with their exact gradients in the weights.

d/dw_k sum_i c_i k(w, x_i) = sum_{d of k} u_d'(w) (-2 gamma_d) sum_i c_i e_i (u_d(w) - u_id) + that of the linear part

with e_i the product kernel. Means have c = theta, variances k(w, w) - k Q k' + c0 - 2 k h have c = -2 k Q - 2 h.
Links and the mixture of members follow by the chain rule: d exp(mu + v/2) = exp(mu + v/2) (dmu + dv/2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..surrogates.base import GaussianSurrogate, threads
from ..surrogates.features import derivative, transform
from ..surrogates.gaussian import Posterior
from ..surrogates.kernels import Kernel
from ..surrogates.links import FARTHEST
from ..surrogates.members import Member, by_kernel
from .objective import Objective

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Moments = tuple[Array, Array, Array, Array]  # means and variances (n, J), with gradients (n, J, P)


@dataclass(frozen=True, eq=False)
class Slopes:
    """Values (n, J) and their gradients (n, J, P)."""

    mean: Array
    deviation: Array
    mean_slope: Array
    deviation_slope: Array


@dataclass(frozen=True, eq=False)
class Surface:
    """What an objective uses, as functions of weights, with gradients: what was asked last is kept.

    Attributes
    ----------
    objective : Objective
    """

    objective: Objective
    _latest: dict[bytes, list[list[Moments]]] = field(default_factory=dict)

    @cached_property
    def _parts(self) -> list[tuple[Index, GaussianSurrogate, Index, list[_Plan], Array]]:
        """Targets used (J,), their surrogate and columns there, members, and how much their variances count (R, J)."""
        objective, found = self.objective, []
        used = np.asarray((objective.matrix() != 0).any(axis=0))
        for own, choice in objective.predictor.choices:
            columns = np.flatnonzero(used[own])
            if len(columns):
                farthest = objective.farthest[id(choice)][columns]
                counting = objective.counting[:, own[columns]] / np.where(farthest > 0, farthest, np.inf)
                plans = _plans(choice.surrogate, columns)
                found.append((own[columns], choice.surrogate, columns, plans, counting))
        return found

    def _at(self, W: Array) -> list[list[Moments]]:
        key = W.tobytes()
        if key not in self._latest:
            self._latest.clear()
            self._latest[key] = [[plan.at(W) for plan in plans] for _, _, _, plans, _ in self._parts]
        return self._latest[key]

    def slopes(self, W: Array) -> list[tuple[Index, Slopes]]:
        """Targets (J,) of the predictor, and their predictions at weights (n, P), surrogate by surrogate."""
        parts = zip(self._parts, self._at(W), strict=True)
        return [(used, _mixed(surrogate, columns, found)) for (used, surrogate, columns, _, _), found in parts]

    def remote(self, W: Array) -> tuple[Array, Array]:
        """Squared `Objective.far` (n, R) of weights (n, P), of every goal and kept target, with gradient (n, R, P)."""
        R = len(self.objective.everything)
        value, slope = np.zeros((len(W), R)), np.zeros((len(W), R, W.shape[1]))
        for (_, surrogate, columns, _, counting), found in zip(self._parts, self._at(W), strict=True):
            for (_, v, _, dv), weights in zip(found, surrogate.weights_, strict=True):
                scale = weights[columns] * counting
                value += v @ scale.T
                slope += np.einsum("njp,rj->nrp", dv, scale, optimize=True)
        return value, slope


def slopes(surrogate: GaussianSurrogate, columns: Index, W: Array) -> Slopes:
    """Predict some targets (J,) of a surrogate at weights (n, P), in the targets' own units, with gradients."""
    return _mixed(surrogate, columns, [plan.at(W) for plan in _plans(surrogate, columns)])


def _mixed(surrogate: GaussianSurrogate, columns: Index, members: Sequence[Moments]) -> Slopes:
    """The mixture of members in the targets' own units, from their moments in those of the links."""
    mean = second = mean_slope = second_slope = np.zeros(1)
    first: tuple[Array, Array] | None = None  # means are told from those of the first member: no squares of levels
    for moments, all_weights in zip(members, surrogate.weights_, strict=True):
        weights = all_weights[columns]
        mu, v, dmu, dv = _back(surrogate, columns, *moments)
        first = first or (mu, dmu)
        mu, dmu = mu - first[0], dmu - first[1]
        mean = mean + weights * mu
        mean_slope = mean_slope + weights[:, None] * dmu
        second = second + weights * (v + mu**2)
        second_slope = second_slope + weights[:, None] * (dv + 2.0 * mu[:, :, None] * dmu)
    assert first is not None
    deviation = np.sqrt(np.maximum(second - mean**2, 0.0))
    slope = second_slope - 2.0 * mean[:, :, None] * mean_slope
    half = np.divide(0.5, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return Slopes(mean + first[0], deviation, mean_slope + first[1], half[:, :, None] * slope)


def _plans(surrogate: GaussianSurrogate, columns: Index) -> list[_Plan]:
    return [_Plan.of(surrogate, member, columns) for member in surrogate.members_]


@dataclass(frozen=True, eq=False)
class _Plan:
    """What of a member some targets (J,) use.

    Attributes
    ----------
    X : array (m, P)
    level : float
    centre : array (J,)
    kernels : list
        Each with its posteriors: which targets they have (j,), coefficients (m, r), intercepts (r,), what the targets
        take of these (r, j), and amplitudes (j,).
    """

    X: Array
    level: float
    centre: Array
    kernels: list[tuple[Kernel, list[tuple[Posterior, Index, Array, Array, Array, Array]]]]

    @classmethod
    def of(cls, surrogate: GaussianSurrogate, member: Member, columns: Index) -> _Plan:
        kernels = []
        for kernel, fits in by_kernel(member.fits):
            asked = []
            for fit in fits:
                place = np.full(surrogate.n_targets_, -1)
                place[fit.targets] = np.arange(len(fit.targets))
                js = np.flatnonzero(place[columns] >= 0)
                if len(js):
                    own = place[columns[js]]
                    used = own if fit.loadings is None else slice(None)  # targets, or components of all of them
                    share = np.eye(len(own)) if fit.loadings is None else fit.loadings[:, own]
                    theta, intercept = fit.posterior.theta[:, used], fit.posterior.intercept[used]
                    asked.append((fit.posterior, js, theta, intercept, share, fit.amplitude[own]))
            if asked:
                kernels.append((kernel, asked))
        centre = (np.zeros(surrogate.n_targets_) + member.centre)[columns]
        return cls(member.rows(surrogate.X_), surrogate.level_, centre, kernels)

    def at(self, W: Array) -> Moments:
        """In the units of the links, at weights (n, P)."""
        n, J, P, level = len(W), len(self.centre), W.shape[1], self.level
        mean, variance = np.tile(self.centre, (n, 1)), np.zeros((n, J))
        dmean, dvariance = np.zeros((n, J, P)), np.zeros((n, J, P))
        with threads(len(self.X)):
            for kernel, asked in self.kernels:
                pull = _Pull.of(kernel, W, self.X)
                for posterior, js, theta, intercept, share, amplitude in asked:
                    mean[:, js] += (level * intercept + pull.matrix @ theta) @ share
                    kQ = pull.matrix @ posterior.precision
                    v = posterior.prior * pull.own - (kQ * pull.matrix).sum(axis=1)
                    v += level**2 * posterior.constant_variance - 2.0 * level * (pull.matrix @ posterior.constant)
                    dv = pull.gradient(-2.0 * kQ - 2.0 * level * posterior.constant) + posterior.prior * pull.own_slope
                    dv[v <= 0] = 0.0
                    variance[:, js] += np.multiply.outer(np.maximum(v, 0.0), amplitude)
                    dvariance[:, js] += amplitude[:, None] * dv[:, None]
                    dmean[:, js] += np.einsum("nrp,rj->njp", pull.gradients(theta), share, optimize=True)
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

    def gradients(self, theta: Array) -> Array:
        """Gradients (n, r, P) of sum_i theta_ir k(w, x_i) for theta (m, r)."""
        (n, m), r, P = self.matrix.shape, theta.shape[1], self.W.shape[1]
        out = np.zeros((n, r, P))
        if self.kernel.rbf:
            u, rows = transform(self.W, self.kernel.features), transform(self.X, self.kernel.features)
            weighted = (theta[:, :, None] * rows[:, None]).reshape(m, -1)
            pulled = u[:, None] * (self.product @ theta)[:, :, None] - (self.product @ weighted).reshape(n, r, -1)
            out += _folded(-2.0 * self.kernel.gamma * pulled * derivative(self.W, self.kernel.features)[:, None], P)
        if self.kernel.linear:
            name = self.kernel.linear_features
            out += _folded(
                self.kernel.linear * (theta.T @ transform(self.X, name)) * derivative(self.W, name)[:, None], P
            )
        return out

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
    """Sum over the features (..., D) of each weight, (..., P): features come in blocks of P."""
    return slopes.reshape(*slopes.shape[:-1], -1, P).sum(axis=-2)


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
