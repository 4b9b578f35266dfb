"""Mixtures within bounds: the projection, and how far two lie apart.

project           argmin |v - w|^2 with low <= v <= high, sum v = total:  v = clip(w - tau, low, high), by bisection
kl                sum_k w_k log(w_k / p_k), in nats
total variation   1/2 sum_k |w_k - v_k|, the weight that moves
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STEPS = 60  # halvings: down to rounding


def project(W: Array, low: Array, high: Array, total: float) -> Array:
    """Project rows (n, P) onto the part of the simplex between ``low`` and ``high`` (P,), exactly up to rounding."""
    lo, hi = (W - high).min(axis=1), (W - low).max(axis=1)  # at lo all are at their upper ends, at hi at their lower
    for _ in range(STEPS):
        tau = 0.5 * (lo + hi)
        above = np.clip(W - tau[:, None], low, high).sum(axis=1) > total
        lo, hi = np.where(above, tau, lo), np.where(above, hi, tau)
    out = np.clip(W - (0.5 * (lo + hi))[:, None], low, high)
    room = np.where((out > low) & (out < high), 1.0, 0.0)
    gap = total - out.sum(axis=1)
    return out + room * (gap / np.maximum(room.sum(axis=1), 1.0))[:, None]


def kl(W: Array, prior: Array) -> Array:
    """KL(w || prior) in nats of rows (n, P), array (n,); infinite where weight lies where the prior has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(W > 0, W * (np.log(np.maximum(W, 1e-300)) - np.log(prior)), 0.0)
    return np.where(np.isnan(terms), np.inf, terms).sum(axis=1) - W.sum(axis=1) + prior.sum()


def alike(X: Array, w: Array) -> NDArray[np.bool_]:
    """Which rows of X (n, P) are the weights w (P,), but for rounding, array (n,)."""
    return np.abs(X - w).max(axis=1) < 1e-6


def total_variation(A: Array, B: Array) -> Array:
    """Half the sum of absolute differences of rows (n, P) and (m, P), array (n, m): the weight that moves."""
    if np.isin(A, (0.0, 1.0)).all() and np.isin(B, (0.0, 1.0)).all():
        return 0.5 * (A.sum(axis=1)[:, None] + B.sum(axis=1) - 2.0 * (A @ B.T))
    return np.array([0.5 * np.abs(B - a).sum(axis=1) for a in A]).reshape(len(A), len(B))
