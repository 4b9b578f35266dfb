"""Shapley and Banzhaf effects of exp(g) in the target's own unit, by enumeration of all 2^P masks.

Under a log link the closed forms are exact for log F. For few players F = exp(g) itself is read:

effect_k = sum_s D_k(s) E F(s),  D_k(s) = (2 s_k - 1) w(|s| - s_k),  w(n) = sum_q w_q p_q^n (1 - p_q)^(P - 1 - n)

with E F(s) = exp(mu + v / 2), and its deviation to first order, that of the functional D_k(s) E F(s) of g. The prior
covariance of all masks is a Kronecker product of 2 x 2 matrices, on 'sized' features one for each pair of sizes, so
nothing of size 4^P is held.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..surrogates.base import GaussianSurrogate
from ..surrogates.features import SIZED, amount, unit
from ..surrogates.kernels import Kernel
from ..surrogates.members import Member, by_kernel, mixed
from .functional import Reading
from .nodes import Nodes

Array = NDArray[np.float64]
FEW = 16  # players up to which all masks are enumerated


def in_own_unit(reading: Reading, surrogate: GaussianSurrogate, nodes: Nodes, order: int) -> Reading:
    """Replace what was read of log F by effects on F itself, for the targets with a log link.

    Parameters
    ----------
    reading : Reading
        Effects of single players (``order`` 1) or pairs (2) on g.
    surrogate : GaussianSurrogate
        Fitted on masks of at most `FEW` players; otherwise the reading is returned as it is.
    nodes : Nodes
        Of the semivalue.
    order : int
    """
    P = surrogate.X_.shape[1]
    if P > FEW or not surrogate.link_.log.any():
        return reading
    S = ((np.arange(2**P)[:, None] >> np.arange(P)) & 1).astype(float)
    D = _differences(S, nodes, order)
    mean, deviation, prior = reading.mean.copy(), reading.deviation.copy(), reading.prior.copy()
    targets, priors = np.flatnonzero(surrogate.link_.log), []

    def moments(member: Member) -> tuple[Array, Array]:
        m, v, p = _effects(surrogate, member, S, D, targets)
        priors.append(p)
        return m, v

    weights = surrogate.weights_[:, targets]
    m, v = mixed(surrogate.members_, weights, moments)
    mean[:, targets], deviation[:, targets] = m, np.sqrt(v)
    p = sum((w * p for w, p in zip(weights, priors, strict=True)), start=np.zeros_like(m))
    prior[:, targets] = np.sqrt(p)
    return Reading(mean, deviation, prior).summed(surrogate.sums_)


def _differences(S: Array, nodes: Nodes, order: int) -> Array:
    """D (n, 2^P): what each effect does to a table of all masks."""
    P = S.shape[1]
    p, w = np.real(nodes.inside), np.exp(np.real(nodes.log_scale[:, 0]))
    n = np.arange(P - order + 1)
    with np.errstate(divide="ignore"):
        weight = (w[:, None] * p[:, None] ** n * (1.0 - p[:, None]) ** (P - order - n)).sum(axis=0)
    size, sign = S.sum(axis=1).astype(int), 2.0 * S - 1.0
    if order == 1:
        return np.array([sign[:, k] * weight[size - S[:, k].astype(int)] for k in range(P)])
    k, l = np.triu_indices(P, 1)
    inside = (S[:, k] + S[:, l]).astype(int)
    return (sign[:, k] * sign[:, l] * weight[size[:, None] - inside]).T


def _effects(
    surrogate: GaussianSurrogate, member: Member, S: Array, D: Array, targets: NDArray
) -> tuple[Array, Array, Array]:
    """Mean, variance and prior variance (n, len(targets)) of one member's effects, in the targets' own units."""
    X, level, T = surrogate.X_, surrogate.level_, surrogate.n_targets_
    z, v = member.at(S, X, level, T)
    F = surrogate.link_.size(z, v)
    n = len(D)
    mean, variance, prior = (np.zeros((n, T)) for _ in range(3))
    for t in targets:
        mean[:, t] = surrogate.link_.sign[t] * (D @ F[:, t])
    for kernel, fits in by_kernel(member.fits):
        rows = kernel.matrix(S, member.rows(X))
        for fit in fits:
            for i, t in enumerate(fit.targets):
                if t not in targets:
                    continue
                C = D * F[:, t]
                total, LkX = C.sum(axis=1), C @ rows
                own = _own(kernel, S, C)
                found = np.maximum(fit.posterior.variance(LkX, own, total if level else 0.0), 0.0)
                variance[:, t] += found * fit.amplitude[i]
                prior[:, t] += np.maximum(own, 0.0) * fit.amplitude[i] if fit.posterior.prior else np.inf
    return mean[:, targets], variance[:, targets], prior[:, targets]


def _own(kernel: Kernel, S: Array, C: Array) -> Array:
    """c' K c for rows c of C (n, 2^P) and the kernel matrix K of all masks."""
    if kernel.features == SIZED:
        return _sized_own(kernel, S, C)
    return np.array([c @ _prior_product(kernel, S, c) for c in C])


def _sized_own(kernel: Kernel, S: Array, C: Array) -> Array:
    """The same where the kernel is a product for each pair of sizes n, n' alone, of 1 + b_k where both masks hold k.

    c' K c = sum_nn' h_nn' sum_A prod_{k in A} b_k(n, n') Z_n(A) Z_n'(A),  b_k = exp(2 gamma_k u_n u_n') - 1

    with Z_n(A) the sum over the masks of n tasks that hold A, each times exp(-sum_k gamma_k u_n^2).
    """
    P, rates = S.shape[1], kernel.gamma[:-1]
    size, sizes = S.sum(axis=1).astype(int), np.arange(P + 1)
    i, j = np.triu_indices(P + 1)
    height = np.exp(-kernel.gamma[-1] * (amount(i) - amount(j)) ** 2) * np.where(i == j, 1.0, 2.0)
    shared = height[:, None]
    for rate in rates:  # the first task is the fastest index
        shared = np.hstack([shared, shared * np.expm1(2.0 * rate * unit(i) * unit(j))[:, None]])
    alone = np.exp(-(S @ rates) * unit(size) ** 2)
    starts = np.searchsorted(i, sizes)
    out = kernel.linear * ((C @ S) ** 2).sum(axis=1)
    for row, c in enumerate(C):
        Z = np.zeros((P + 1, len(S)))
        Z[size, np.arange(len(S))] = c * alone
        for k in range(P):
            halves = Z.reshape(P + 1, -1, 2, 2**k)
            halves[:, :, 0] += halves[:, :, 1]
        for n, start in zip(sizes, starts, strict=True):
            out[row] += kernel.rbf * (Z[n] @ (shared[start : start + P + 1 - n] * Z[n:]).sum(axis=0))
    return out


def _prior_product(kernel: Kernel, S: Array, c: Array) -> Array:
    """K c for the kernel matrix of all masks, one task at a time: [[1, r], [r, 1]] along each axis."""
    P = S.shape[1]
    table = c.reshape((2,) * P)
    for k, r in enumerate(np.exp(-kernel.gamma)):
        axis = P - 1 - k  # the first task is the fastest index
        table = table + r * np.flip(table, axis=axis)
    return kernel.rbf * table.ravel() + kernel.linear * (S @ (S.T @ c))
