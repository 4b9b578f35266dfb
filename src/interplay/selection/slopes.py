"""Benefits and remoteness of mixtures under a fitted surrogate, with their exact gradients in the weights.

Gradients go backwards, so that a sum over many targets costs as much as one of them: from goals to means and variances
of members in the units of the links, and from these to the coefficients c_i of one sum over the rows of a kernel,

    d/dw_k sum_i c_i k(w, x_i) = sum_{d of k} u_d'(w) (-2 gamma_d) sum_i c_i e_i (u_d(w) - u_id) + the linear part's

with e_i the product kernel. Means have c = theta, variances k(w, w) - k Q k' + c0 - 2 k h have c = -2 k Q - 2 h.
Links follow by the chain rule: d exp(mu + v/2) = exp(mu + v/2) (dmu + dv/2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..surrogates.base import GaussianSurrogate
from ..surrogates.features import derivative, transform
from ..surrogates.gaussian import Posterior
from ..surrogates.kernels import Kernel, squared_distances
from ..surrogates.links import FARTHEST, Link
from ..surrogates.members import Member, by_kernel
from .objective import Objective

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Surface:
    """What an objective uses, as functions of weights, with gradients: what was asked last is kept.

    Attributes
    ----------
    objective : Objective
    """

    objective: Objective
    _latest: dict[bytes, list[list[_Moments]]] = field(default_factory=dict)

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
                plans = [_Plan.of(choice.surrogate, member, columns) for member in choice.surrogate.members_]
                found.append((own[columns], choice.surrogate, columns, plans, counting))
        return found

    @cached_property
    def _shares(self) -> tuple[Array, Array, Array]:
        """What means and deviations add to everything (R, T), and the constant (R,)."""
        objective, A = self.objective, self.objective.matrix()
        sign, centre, scale = objective.scales
        risks = (objective.risk * objective.together * scale)[:, None] * np.abs(A)
        offset = np.array([goal.offset for goal in objective.everything])
        return (sign * scale)[:, None] * A, -risks, sign * scale * (offset - centre)

    def _at(self, W: Array) -> list[list[_Moments]]:
        key = W.tobytes()
        if key not in self._latest:
            self._latest.clear()
            points = _Points(W)
            self._latest[key] = [[plan.at(points) for plan in plans] for _, _, _, plans, _ in self._parts]
        return self._latest[key]

    def benefits(self, W: Array) -> tuple[Array, Array]:
        """Benefits less risk (n, R) of weights (n, P), of every goal and kept target, with gradient (n, R, P)."""
        of_mean, of_deviation, constant = self._shares
        value, slope = np.tile(constant, (len(W), 1)), np.zeros((len(W), len(constant), W.shape[1]))
        for (used, surrogate, columns, _, _), members in zip(self._parts, self._at(W), strict=True):
            mixed = _Mixed(surrogate.link_[columns], surrogate.weights_[:, columns], members)
            value += mixed.mean @ of_mean[:, used].T + mixed.deviation @ of_deviation[:, used].T
            slope += mixed.gradient(of_mean[:, used], of_deviation[:, used])
        return value, slope

    def remote(self, W: Array) -> tuple[Array, Array]:
        """Squared `Objective.far` (n, R) of weights (n, P), of every goal and kept target, with gradient (n, R, P)."""
        R = len(self.objective.everything)
        value, slope = np.zeros((len(W), R)), np.zeros((len(W), R, W.shape[1]))
        for (_, surrogate, columns, _, counting), members in zip(self._parts, self._at(W), strict=True):
            for moments, weights in zip(members, surrogate.weights_, strict=True):
                scale = weights[columns] * counting
                value += moments.variance @ scale.T
                slope += moments.gradient(None, np.broadcast_to(scale, (len(W), *scale.shape)))
        return value, slope


@dataclass(frozen=True, eq=False)
class _Mixed:
    """A mixture of members in the targets' own units, from what they are in those of the links.

    Attributes
    ----------
    link : Link
        Of J targets.
    weights : array (F, J)
    members : sequence of _Moments
    """

    link: Link
    weights: Array
    members: Sequence[_Moments]

    @cached_property
    def own(self) -> list[tuple[Array, Array]]:
        """Means and variances (n, J) of members in the targets' own units."""
        link = self.link
        return [(link.backward(m.mean, m.variance), link.backward_variance(m.mean, m.variance)) for m in self.members]

    @cached_property
    def shift(self) -> Array:
        """Mean (n, J) less that of the first member: no squares of levels are taken."""
        first = self.own[0][0]
        return np.sum([w * (mu - first) for w, (mu, _) in zip(self.weights, self.own, strict=True)], axis=0)

    @property
    def mean(self) -> Array:
        return self.own[0][0] + self.shift

    @cached_property
    def deviation(self) -> Array:
        first = self.own[0][0]
        second = [w * (v + (mu - first) ** 2) for w, (mu, v) in zip(self.weights, self.own, strict=True)]
        return np.sqrt(np.maximum(np.sum(second, axis=0) - self.shift**2, 0.0))

    def gradient(self, of_mean: Array, of_deviation: Array) -> Array:
        """Gradient (n, R, P) of of_mean (R, J) times the means and of_deviation times the deviations."""
        half = np.divide(0.5, self.deviation, out=np.zeros_like(self.deviation), where=self.deviation > 0)
        of_square = half[:, None] * of_deviation  # (n, R, J)
        out = 0.0
        for weights, member, (mu, v) in zip(self.weights, self.members, self.own, strict=True):
            to_mean = weights * (of_mean + 2.0 * (mu - self.mean)[:, None] * of_square)
            out = out + member.gradient(*self._to_link(member, v, to_mean, weights * of_square))
        return np.asarray(out)

    def _to_link(self, member: _Moments, variance: Array, to_mean: Array, to_variance: Array) -> tuple[Array, Array]:
        """What moments in the targets' own units pass on, to those in the units of the links; all (n, R, J)."""
        link, z, v = self.link, member.mean, member.variance
        if not link.log.any():
            return to_mean, to_variance
        size, near = link.size(z, v), v <= link.most
        to_size = to_mean * (link.sign * size)[:, None] + to_variance * 2.0 * variance[:, None]  # to log E
        grows = np.where(near, v, np.log(link.slope)) + 2.0 * np.log(size)
        to_v = 0.5 * to_size * near[:, None] + to_variance * np.exp(np.minimum(grows, FARTHEST))[:, None]
        return np.where(link.log, to_size, to_mean), np.where(link.log, to_v, to_variance)


@dataclass(frozen=True, eq=False)
class _Points:
    """Weights (n, P), with their features and derivatives (n, D): each is computed once."""

    W: Array
    _known: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[Array, Array]:
        if name not in self._known:
            self._known[name] = transform(self.W, name), derivative(self.W, name)
        return self._known[name]


@dataclass(frozen=True, eq=False)
class _Use:
    """What some targets take of a posterior.

    Attributes
    ----------
    posterior : Posterior
    targets : array (j,)
    theta, intercept : array (m, r), (r,)
    share : array (r, j) or None
        Of components in targets; None where each is its own.
    amplitude : array (j,)
    """

    posterior: Posterior
    targets: Index
    theta: Array
    intercept: Array
    share: Array | None
    amplitude: Array


@dataclass(frozen=True, eq=False)
class _Plan:
    """What of a member J targets use: kernels with the features of the rows (m, D), and what is taken of each."""

    level: float
    centre: Array
    kernels: list[tuple[Kernel, Array, Array, list[_Use]]]

    @classmethod
    def of(cls, surrogate: GaussianSurrogate, member: Member, columns: Index) -> _Plan:
        kernels, X = [], member.rows(surrogate.X_)
        for kernel, fits in by_kernel(member.fits):
            uses = []
            for fit in fits:
                place = np.full(surrogate.n_targets_, -1)
                place[fit.targets] = np.arange(len(fit.targets))
                targets = np.flatnonzero(place[columns] >= 0)
                if len(targets):
                    own = place[columns[targets]]
                    used = own if fit.loadings is None else slice(None)  # targets, or components of all of them
                    share = None if fit.loadings is None else fit.loadings[:, own]
                    theta, intercept = fit.posterior.theta[:, used], fit.posterior.intercept[used]
                    uses.append(_Use(fit.posterior, targets, theta, intercept, share, fit.amplitude[own]))
            if uses:
                rows, linear_rows = transform(X, kernel.features), transform(X, kernel.linear_features)
                kernels.append((kernel, rows, linear_rows, uses))
        return cls(surrogate.level_, (np.zeros(surrogate.n_targets_) + member.centre)[columns], kernels)

    def at(self, points: _Points) -> _Moments:
        """In the units of the links, at weights (n, P)."""
        n, level = len(points.W), self.level
        mean, variance = np.tile(self.centre, (n, 1)), np.zeros((n, len(self.centre)))
        sums = []
        for kernel, rows, linear_rows, uses in self.kernels:
            pull = _Pull.of(kernel, points, rows, linear_rows)
            taken = []
            for use in uses:
                posterior = use.posterior
                kQ = pull.matrix @ posterior.precision
                v = posterior.prior * pull.own - (kQ * pull.matrix).sum(axis=1)
                v += level**2 * posterior.constant_variance - 2.0 * level * (pull.matrix @ posterior.constant)
                found = level * use.intercept + pull.matrix @ use.theta
                mean[:, use.targets] += found if use.share is None else found @ use.share
                variance[:, use.targets] += np.multiply.outer(np.maximum(v, 0.0), use.amplitude)
                taken.append((use, v > 0, -2.0 * kQ - 2.0 * level * posterior.constant))
            sums.append((pull, taken))
        return _Moments(mean, variance, sums)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Means and variances (n, J) of a member, in the units of the links, and the sums of kernels that they are made of.

    Beside each `_Use` stands where its variance is above 0, (n,), and the coefficients (n, m) of its gradient.
    """

    mean: Array
    variance: Array
    sums: list[tuple[_Pull, list[tuple[_Use, NDArray[np.bool_], Array]]]]

    def gradient(self, to_mean: Array | None, to_variance: Array) -> Array:
        """Gradient (n, R, P) of to_mean (n, R, J) times means and to_variance times variances, summed over targets."""
        n, R = to_variance.shape[:2]
        out = np.zeros((n, R, self.sums[0][0].points.W.shape[1]))
        for pull, taken in self.sums:
            c = np.zeros((n, R, len(pull.rows)))
            for use, above, coefficients in taken:
                scale = (to_variance[:, :, use.targets] @ use.amplitude) * above[:, None]
                out += (use.posterior.prior * scale)[:, :, None] * pull.own_slope[:, None]
                weights = None if to_mean is None else to_mean[:, :, use.targets]
                weights = weights if weights is None or use.share is None else weights @ use.share.T
                if max(use.theta.shape[1], 2) > R:  # fewer sums than means
                    c += scale[:, :, None] * coefficients[:, None]
                    c += 0.0 if weights is None else weights @ use.theta.T
                    continue
                out += scale[:, :, None] * pull.gradient(coefficients[:, None])
                out += 0.0 if weights is None else weights @ pull.gradient(use.theta.T[None])
            out += pull.gradient(c) if c.any() else 0.0
        return out


@dataclass(frozen=True, eq=False)
class _Pull:
    """A kernel between points (n, P) and rows, and how sums of it change with the points.

    Attributes
    ----------
    rows, linear_rows : array (m, D)
        Features of the rows.
    matrix, product : array (n, m)
        The kernel, and its product part alone.
    own, own_slope : array (n,), (n, P)
        k(w, w) and its gradient.
    """

    kernel: Kernel
    points: _Points
    rows: Array
    linear_rows: Array
    matrix: Array
    product: Array
    own: Array
    own_slope: Array

    @classmethod
    def of(cls, kernel: Kernel, points: _Points, rows: Array, linear_rows: Array) -> _Pull:
        own, own_slope = np.full(len(points.W), kernel.rbf), np.zeros(points.W.shape)
        product = matrix = np.zeros((len(points.W), len(rows)))
        if kernel.rbf:
            root = np.sqrt(kernel.gamma)
            distances = squared_distances(points.of(kernel.features)[0] * root, rows * root)
            product = matrix = kernel.rbf * np.exp(-distances)
        if kernel.linear:
            v, dv = points.of(kernel.linear_features)
            matrix = product + kernel.linear * (v @ linear_rows.T)
            own += kernel.linear * (v**2).sum(axis=1)
            own_slope += _folded(2.0 * kernel.linear * v * dv, points.W.shape[1])
        return cls(kernel, points, rows, linear_rows, matrix, product, own, own_slope)

    def gradient(self, c: Array) -> Array:
        """Gradients (n, R, P) of sum_i c_i k(w, x_i) for c (n, R, m), or (1, R, m) that are those of all points."""
        kernel, (n, P) = self.kernel, self.points.W.shape
        out = np.zeros((n, c.shape[1], P))
        if kernel.rbf:
            u, du = self.points.of(kernel.features)
            weighted = c * self.product[:, None]
            pulled = u[:, None] * weighted.sum(axis=2, keepdims=True) - weighted @ self.rows
            out += _folded(-2.0 * kernel.gamma * pulled * du[:, None], P)
        if kernel.linear:
            dv = self.points.of(kernel.linear_features)[1]
            out += _folded(kernel.linear * (c @ self.linear_rows) * dv[:, None], P)
        return out


def _folded(slopes: Array, P: int) -> Array:
    """Sum over the features (..., D) of each weight, (..., P): features come in blocks of P."""
    return slopes.reshape(*slopes.shape[:-1], -1, P).sum(axis=-2)
