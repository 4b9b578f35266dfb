"""Walsh spectrum: how much of a surrogate's variance over uniform masks is additive, how much pairs, how much more.

g(s) = sum_S c_S prod_{k in S} (2 s_k - 1),   V_n = sum_{|S| = n} c_S^2,   share_n = V_n / (V_1 + V_2 + ...)

For a product kernel with factors a_ik (task k in) and b_ik (out) for run i, averages A = (a + b) / 2 and half
differences H = (a - b) / 2, the coefficients are c_S = sum_i theta_i prod_{k in S} H_ik prod_{k not in S} A_ik, so

V_n = theta' M_n theta,   (M_n)_ij = [t^n] prod_k (A_ik A_jk + t H_ik H_jk)                  (design: section 3)

and a linear kernel adds to single tasks only. V_n is quadratic in g: its posterior mean |mu|^2 + tr S and covariances
2 tr S S + 4 mu' S mu follow from the Gaussian posterior N(mu, S) of the coefficients, again by m x m matrices, and
shares get their deviation from them by the delta method. Nothing is enumerated and nothing drawn. Of a stack, whose g
is that of one member or another with their weights, shares are mixed like predictions; members that are made of
components of the targets are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..surrogates.base import GaussianSurrogate
from ..surrogates.features import SIZED
from ..surrogates.gaussian import Posterior
from ..surrogates.kernels import Kernel
from ..surrogates.members import Fit, Member
from .nodes import factors

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OrderShares:
    """Shares of orders 1, 2, and 3 and above, for T targets, in the unit of each target's link.

    Attributes
    ----------
    share : array (3, T)
        Of the posterior mean of g; NaN where it does not vary.
    expected, deviation : array (3, T)
        Posterior mean and standard deviation of the share, to first order. ``expected`` counts what the runs leave
        open: it lies near ``prior`` where they tell little about interactions.
    prior : array (3, T)
        The same before any run; NaN for least squares, whose prior is flat.
    variance : array (T,)
        Variance of the posterior mean of g over uniform masks.
    """

    share: Array
    expected: Array
    deviation: Array
    prior: Array
    variance: Array


def walsh_spectrum(surrogate: GaussianSurrogate) -> OrderShares:
    """Share of each order of interaction in the variance of g over masks that hold each task with probability 1/2.

    Parameters
    ----------
    surrogate : LinearSurrogate or KernelSurrogate
        Fitted on masks, or on weights, of which 0 and 1 are then compared. Members that have no spectrum in closed form
        (components of the targets, 'sized' features) leave their weight to the others, or to all alike.

    Raises
    ------
    ValueError
        For mixtures, which have no masks to average over.
    """
    if not surrogate.on_columns_:
        raise ValueError(f"features={surrogate.features_!r} are those of mixtures; a Walsh spectrum is one of masks.")
    plain = np.array([all(map(_told, member.fits)) for member in surrogate.members_])
    weights = np.where(plain[:, None], surrogate.weights_, 0.0)
    weights = np.where(weights.any(axis=0), weights, plain[:, None])
    with np.errstate(invalid="ignore"):
        weights = weights / weights.sum(axis=0)
    members = zip(weights, surrogate.members_, plain, strict=True)
    parts = [(w, _of_member(surrogate, member)) for w, member, one_fit in members if one_fit]
    if len(parts) == 1:
        return parts[0][1]
    if not parts:
        nothing = np.full((3, surrogate.n_targets_), np.nan)
        return OrderShares(nothing, nothing, nothing, nothing, nothing[0])
    mixed = lambda values: np.sum([w * v for (w, _), v in zip(parts, values, strict=True)], axis=0)
    expected = mixed([part.expected for _, part in parts])
    second = mixed([part.deviation**2 + (part.expected - expected) ** 2 for _, part in parts])
    return OrderShares(
        share=mixed([part.share for _, part in parts]),
        expected=expected,
        deviation=np.sqrt(second),
        prior=mixed([part.prior for _, part in parts]),
        variance=mixed([part.variance for _, part in parts]),
    )


def _told(fit: Fit) -> bool:
    """Whether a fit has a spectrum in closed form: of one target, on the columns themselves."""
    return fit.loadings is None and fit.kernel.features != SIZED


def _of_member(surrogate: GaussianSurrogate, member: Member) -> OrderShares:
    """Shares of one member, of which every target has one fit."""
    T = surrogate.n_targets_
    share, expected, deviation, prior = (np.full((3, T), np.nan) for _ in range(4))
    variance = np.empty(T)
    for fit in member.fits:
        orders = Orders.of(fit.kernel, member.rows(surrogate.X_))
        plug_in, mean, covariance = orders.moments(fit.posterior)
        variance[fit.targets] = total = plug_in.sum(axis=0)
        some = fit.targets[(total > 0) & (mean.sum(axis=0) > 0)]
        at = np.isin(fit.targets, some)
        share[:, some] = plug_in[:, at] / total[at]
        expected[:, some] = e = mean[:, at] / mean[:, at].sum(axis=0)
        slope = (np.eye(3)[:, :, None] - e[:, None]) / mean[:, at].sum(axis=0)  # d share_n / d V_l
        squared = np.einsum("nlt,lpt,npt->nt", slope, covariance[:, :, at], slope)
        deviation[:, some] = np.sqrt(np.maximum(squared, 0.0))
        if fit.posterior.prior:
            prior[:, some] = (orders.trace / orders.trace.sum())[:, None]
    return OrderShares(share, expected, deviation, prior, variance)


@dataclass(frozen=True, eq=False)
class Orders:
    """Covariances of Walsh coefficients, summed over all sets of order 1, 2, and 3 and above.

    L holds the coefficients' prior covariances with each other (diagonal), R those with the values at the runs.

    Attributes
    ----------
    second, third : array (3, m, m)
        R'R (M_n of the formula) and R'L R.
    trace, squared : array (3,)
        tr L and tr L L.
    """

    second: Array
    third: Array
    trace: Array
    squared: Array

    @classmethod
    def of(cls, kernel: Kernel, X: Array) -> Orders:
        """Sum over the sets of each order for runs X (m, K)."""
        r, U = np.exp(-kernel.gamma), np.tanh(kernel.gamma * (X - 0.5))  # U = H / A
        c, q = (1.0 + r) / 2.0, np.tanh(kernel.gamma / 2.0)  # the same for the prior: A = c, H = c q
        A = np.add(*factors(kernel, X)) / 2.0
        R = kernel.rbf * (A.prod(axis=1)[:, None] * U).T + 0.5 * kernel.linear * X.T
        L = kernel.rbf * c.prod() * q + kernel.linear / 4.0
        one, w = np.ones((1, len(c))), np.ones_like(c)
        return cls(
            second=np.stack([R.T @ R, *(kernel.rbf**2 * _higher(A, U, w, w))]),
            third=np.stack([(R.T * L) @ R, *(kernel.rbf**3 * _higher(A, U, c, q))]),
            trace=np.concatenate([[L.sum()], kernel.rbf * _higher(one, one, c, q)[:, 0, 0]]),
            squared=np.concatenate([[(L**2).sum()], kernel.rbf**2 * _higher(one, one, c**2, q**2)[:, 0, 0]]),
        )

    def moments(self, posterior: Posterior) -> tuple[Array, Array, Array]:
        """V of the posterior mean (3, T), posterior mean (3, T) and covariance (3, 3, T) of V."""
        theta, Q, flat = posterior.theta, posterior.precision, float(posterior.prior)
        M = self.second @ theta
        plug_in = np.maximum(np.einsum("it,nit->nt", theta, M), 0.0)
        QM = Q @ self.second
        left = flat * self.trace - np.trace(QM, axis1=1, axis2=2)
        both = np.einsum("nij,pji->np", QM, QM, optimize=True)
        both += flat * np.diag(self.squared - 2.0 * np.einsum("ij,nji->n", Q, self.third, optimize=True))
        cross = -np.einsum("nit,ij,pjt->npt", M, Q, M, optimize=True)
        own = np.einsum("it,nij,jt->nt", theta, self.third, theta, optimize=True)
        cross += flat * np.eye(3)[:, :, None] * own[:, None]
        s = posterior.amplitude
        return plug_in, plug_in + np.multiply.outer(left, s), 2.0 * np.multiply.outer(both, s**2) + 4.0 * cross * s


def _higher(A: Array, U: Array, c: Array, q: Array) -> Array:
    """[t^2], and all above, of prod_k c_k A_ik A_jk (1 + t q_k U_ik U_jk) for all rows i, j; array (2, n, n)."""
    first, pairs, more = np.zeros((3, len(A), len(A)))
    for u, qk in zip(U.T, q, strict=True):
        term = qk * np.outer(u, u)
        more += term * (more + pairs)
        pairs += term * first
        first += term
    return np.outer(A.prod(axis=1), A.prod(axis=1)) * c.prod() * np.stack([pairs, more])
