"""How far the question lies from the runs, in numbers of tasks; and whether what was fitted reaches there.

outside = share of the sets that the reading averages over whose size is none that the runs have
          (farther than 2.5 standard deviations from their mean size)

distance = of the question's mean size from the runs', in standard deviations of their sizes

Where more than half is outside the reading extrapolates: what the surrogate leaves unexplained, u, may be structure
that grows with the distance, so that at the question  explained / (explained + u (distance / 2.5)^2)  is what holds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from ..readings import Question

Array = NDArray[np.float64]
REACH = 2.5
HALF = 0.5


def outside(X: Array, kind: str, asked: Question) -> float:
    """Share (0 to 1) of the question's sets of players that are of a size which the runs X (m, P) do not have."""
    if kind != "mask":
        return 0.0
    sizes, weight = X.sum(axis=1), _weights(X.shape[1], asked)
    half = REACH * _spread(sizes)
    return float(weight[np.abs(np.arange(len(weight)) - sizes.mean()) > half].sum())


def distance(X: Array, kind: str, asked: Question) -> float:
    """How far the question's sets are from the runs X (m, P), in standard deviations of the runs' sizes."""
    if kind != "mask":
        return 0.0
    sizes, weight = X.sum(axis=1), _weights(X.shape[1], asked)
    return float(abs(weight @ np.arange(len(weight)) - sizes.mean()) / _spread(sizes))


def factor(skill: Array, unexplained: Array, distance: float) -> Array:
    """By which the correlation falls at a distance, array (T,)."""
    explained = np.clip(skill, 0.0, 1.0)
    total = explained + unexplained * (distance / REACH) ** 2
    return np.sqrt(np.divide(explained, total, out=np.zeros_like(explained), where=total > 0))


def _spread(sizes: Array) -> float:
    return max(float(sizes.std()), 0.5)


def _weights(P: int, asked: Question) -> Array:
    """Share of every size (P + 1,) in the sets that a reading averages over."""
    weight = np.zeros(P + 1)
    match asked.name:
        case "leave-one-out" | "gradient":
            weight[[max(P - 1, 0), P]] = 0.5
        case "banzhaf":
            weight = binom.pmf(np.arange(P + 1), P, 0.5)
        case "shapley":
            weight[:] = 1.0 / (P + 1)
        case _:
            weight[asked.size] = 1.0
    return weight
