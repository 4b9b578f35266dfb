"""The questions that people ask of a surrogate, by name.

Each returns a `Reading` of g itself: positive means that g rises with the task. Whether that is a benefit is the
target's direction, which `attribution` knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..surrogates.base import GaussianSurrogate
from ..surrogates.features import jacobian, kind_of, transform
from ..surrogates.kernels import Kernel
from .functional import Combination, Reading, read, read_points
from .nodes import semivalue_nodes, shapley_nodes, size_nodes
from .sets import SetEffects, SetPairs

Array = NDArray[np.float64]
STEP = 1e-3


def contrast(surrogate: GaussianSurrogate, first: ArrayLike, second: ArrayLike) -> Reading:
    """g(first) - g(second) for masks or mixtures given in pairs, two arrays (n, K) or (K,)."""
    P = np.stack([np.atleast_2d(np.asarray(first, float)), np.atleast_2d(np.asarray(second, float))])
    return read_points(surrogate, Combination(np.array([1.0, -1.0]), P))


def leave_one_out(surrogate: GaussianSurrogate, reference: ArrayLike | None = None) -> Reading:
    """g(reference) - g(reference without k) for every task; the reference is the full mask if not given.

    Returns
    -------
    Reading
        n = K; rows of tasks that the reference does not hold are 0.
    """
    full = _reference(surrogate, reference)
    return contrast(surrogate, np.tile(full, (len(full), 1)), full * (1.0 - np.eye(len(full))))


def leave_group_out(surrogate: GaussianSurrogate, groups: ArrayLike, reference: ArrayLike | None = None) -> Reading:
    """g(reference) - g(reference without the group) for groups (n, K) of 0/1 memberships."""
    full = _reference(surrogate, reference)
    groups = np.atleast_2d(np.asarray(groups, float))
    return contrast(surrogate, np.tile(full, (len(groups), 1)), full * (1.0 - groups))


def leave_one_out_pairs(surrogate: GaussianSurrogate, reference: ArrayLike | None = None) -> Reading:
    """g(r) - g(r without k) - g(r without l) + g(r without both) for all k < l."""
    full = _reference(surrogate, reference)
    K = len(full)
    k, l = np.triu_indices(K, 1)
    eye = np.eye(K)
    P = np.stack([np.tile(full, (len(k), 1)), full * (1 - eye[k]), full * (1 - eye[l]), full * (1 - eye[k] - eye[l])])
    return read_points(surrogate, Combination(np.array([1.0, -1.0, -1.0, 1.0]), P))


def shapley(surrogate: GaussianSurrogate, intervals: bool = True) -> Reading:
    """Shapley values of g on {0,1}^K, exactly (Shapley 1953); they sum to g(1) - g(0)."""
    K = _players(surrogate)
    return read(surrogate, SetEffects(shapley_nodes(K, 2), np.eye(K)), intervals)


def shapley_pairs(surrogate: GaussianSurrogate, intervals: bool = True) -> Reading:
    """Shapley interaction indices of all pairs, exactly (Grabisch & Roubens 1999)."""
    K = _players(surrogate)
    return read(surrogate, SetPairs(shapley_nodes(K, 3), K), intervals)


def banzhaf(surrogate: GaussianSurrogate, p: float = 0.5, intervals: bool = True) -> Reading:
    """Banzhaf values: mean effect over random sets that hold each other task with probability ``p``."""
    K = _players(surrogate)
    return read(surrogate, SetEffects(semivalue_nodes(_probability(p), np.ones(1), 2), np.eye(K)), intervals)


def banzhaf_pairs(surrogate: GaussianSurrogate, p: float = 0.5, intervals: bool = True) -> Reading:
    """Banzhaf interaction indices of all pairs."""
    K = _players(surrogate)
    return read(surrogate, SetPairs(semivalue_nodes(_probability(p), np.ones(1), 3), K), intervals)


def swap(surrogate: GaussianSurrogate, size: int, intervals: bool = True) -> Reading:
    """E[g | k in] - E[g | k out] over all sets of ``size`` tasks: what a fixed-size design can answer."""
    K = _players(surrogate)
    linear = np.eye(K) - (1.0 - np.eye(K)) / max(K - 1, 1)
    return read(surrogate, SetEffects(size_nodes(K, size, 2), linear), intervals)


def swap_pairs(surrogate: GaussianSurrogate, size: int, intervals: bool = True) -> Reading:
    """E[g | both in] - E[g | only k] - E[g | only l] + E[g | neither] over all sets of ``size`` tasks."""
    K = _players(surrogate)
    return read(surrogate, SetPairs(size_nodes(K, size, 3), K), intervals)


def move(
    surrogate: GaussianSurrogate, reference: ArrayLike, delta: float = 0.05, blocks: ArrayLike | None = None
) -> Reading:
    """Finite move of a mixture: weight ``delta`` towards task k, taken from all in proportion, minus the reference.

    w -> (1 - delta) w + delta e_k        (design: section 3, Mixtures)

    Where ``blocks`` (K,) numbers the phase of each task, within the phase p of k, the other phases staying as they are:
    w_p -> (1 - delta) w_p + delta share_p e_k, share_p = the sum of w_p.
    """
    w = _mixture(surrogate, reference, delta)
    together, share = _phases(w, blocks)
    return contrast(surrogate, (1.0 - delta * together) * w + delta * share * np.eye(len(w)), np.tile(w, (len(w), 1)))


def move_pairs(
    surrogate: GaussianSurrogate, reference: ArrayLike, delta: float = 0.05, blocks: ArrayLike | None = None
) -> Reading:
    """Second differences of moves for all k < l: both moves, minus either, plus the reference; see `move`."""
    w = _mixture(surrogate, reference, 2 * delta)
    k, l = np.triu_indices(len(w), 1)
    together, share = _phases(w, blocks)
    to = share * np.eye(len(w))
    first, second = ((1.0 - delta * together[i]) * w + delta * to[i] for i in (k, l))
    both = (1.0 - delta * (together[k] + together[l])) * w + delta * (to[k] + to[l])
    P = np.stack([both, first, second, np.tile(w, (len(k), 1))])
    return read_points(surrogate, Combination(np.array([1.0, -1.0, -1.0, 1.0]), P))


def removal(
    surrogate: GaussianSurrogate,
    reference: ArrayLike,
    groups: ArrayLike | None = None,
    blocks: ArrayLike | None = None,
) -> Reading:
    """g(reference) - g(reference without a task, or a group (n, K), renormalised); NaN where nothing would be left.

    Where ``blocks`` (K,) numbers the phase of each task, every phase is renormalised to its share.
    """
    w = _mixture(surrogate, reference, 0.0)
    without = w * (1.0 - (np.eye(len(w)) if groups is None else np.atleast_2d(np.asarray(groups, float))))
    if blocks is None:
        left, share = without.sum(axis=1, keepdims=True), np.ones(1)
    else:
        together, share = _phases(w, blocks)
        left = without @ together
    lost = np.any((left <= 0) & (share > 0), axis=1)
    renormalised = share * without / np.maximum(left, 1e-300)
    reading = contrast(surrogate, np.tile(w, (len(without), 1)), np.where(lost[:, None], w, renormalised))
    for values in (reading.mean, reading.deviation):
        values[lost] = np.nan
    return reading


@dataclass(frozen=True, eq=False)
class Slopes:
    """Derivatives of g with respect to each column at one point, where no feature bends without end."""

    at: Array

    def __len__(self) -> int:
        return len(self.at)

    def rows(self, kernel: Kernel, X: Array) -> Array:
        """d k(x, x_i) / d x_k = -2 sum_d gamma_d (u_d - u_id) du_d / dx_k rbf + linear x_ik, array (K, m)."""
        rbf = replace(kernel, linear=0.0).matrix(self.at[None], X)
        away = transform(self.at[None], kernel.features) - transform(X, kernel.features)
        slopes = -2.0 * (kernel.gamma * away) @ jacobian(self.at, kernel.features)
        return slopes.T * rbf + kernel.linear * X.T

    def own(self, kernel: Kernel) -> Array:
        """d^2 k / dx_k dx'_k at x = x', array (K,)."""
        return 2.0 * kernel.rbf * kernel.gamma @ jacobian(self.at, kernel.features) ** 2 + kernel.linear

    def apply(self, kernel: Kernel, X: Array, theta: Array) -> Array:
        """See `functional.Functional`."""
        return self.rows(kernel, X) @ theta


def gradient(surrogate: GaussianSurrogate, at: ArrayLike | None = None, intervals: bool = True) -> Reading:
    """Gradient of g, read as a function on R^K, at a mask or weights ``at`` (K,), the full mask if not given.

    Raises
    ------
    ValueError
        For mixtures: their features have no useful slope at 0; use `move`.
    """
    if not surrogate.on_columns_:
        raise ValueError(
            f"features={surrogate.features_!r} have unbounded slopes at 0; use readings.move for mixtures."
        )
    return read(surrogate, Slopes(_reference(surrogate, at)), intervals)


def slopes(surrogate: GaussianSurrogate, at: ArrayLike | None = None) -> Reading:
    """`gradient` in the target's own unit under a log link too: central differences over a short step.

    (F(x + h e_k) - F(x - h e_k)) / 2h, h = a thousandth of the standard deviation of column k: exact to second order.
    """
    point = _reference(surrogate, at)
    spread = surrogate.X_.std(axis=0)
    h = STEP * np.where(spread > 0, spread, 1.0)
    found = contrast(surrogate, point + np.diag(h), point - np.diag(h))
    return Reading(*(values / (2.0 * h)[:, None] for values in (found.mean, found.deviation, found.prior)))


def _players(surrogate: GaussianSurrogate) -> int:
    if not surrogate.on_columns_:
        raise ValueError(
            f"features={surrogate.features_!r}; averages over sets of tasks want masks. Use readings.move."
        )
    return surrogate.X_.shape[1]


def _reference(surrogate: GaussianSurrogate, reference: ArrayLike | None) -> Array:
    K = surrogate.X_.shape[1]
    full = np.ones(K) if reference is None else np.asarray(reference, float)
    if full.shape != (K,):
        raise ValueError(f"reference has shape {full.shape}; the surrogate was fitted on {K} tasks, so give ({K},).")
    if reference is None and surrogate.kind_ == "mixture":
        raise ValueError("reference is not given; mixtures have no full mask. Give one, or use readings.move.")
    return full


def _mixture(surrogate: GaussianSurrogate, reference: ArrayLike, delta: float) -> Array:
    w = _reference(surrogate, reference)
    if kind_of(w[None]) not in ("mixture", "mask") or abs(w.sum() - 1.0) > 0.01:
        raise ValueError(f"reference sums to {w.sum():g}; a mixture has weights >= 0 that sum to 1.")
    if not 0 <= delta < 1:
        raise ValueError(f"delta={delta:g}; it must lie between 0 and 1 (half of that for pairs).")
    return w


def _phases(w: Array, blocks: ArrayLike | None) -> tuple[Array, Array]:
    """Whether two tasks are of one phase (K, K), and the share of the phase of each (K,); one whole phase if None."""
    if blocks is None:
        return np.ones((len(w), len(w))), np.ones(len(w))
    number = np.asarray(blocks)
    if number.shape != w.shape:
        raise ValueError(f"blocks has shape {number.shape}; give the number of the phase of each of {len(w)} tasks.")
    together = np.equal.outer(number, number).astype(float)
    return together, together @ w


def _probability(p: float) -> Array:
    if not 0 <= p <= 1:
        raise ValueError(f"p={p:g}; a probability lies between 0 and 1.")
    return np.array([float(p)])
