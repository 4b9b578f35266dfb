"""What runs cost: as the user says, as the runs state it, or all alike.

Stated costs are taken for linear in the mask or mixture, cost = a_0 + sum_k a_k s_k with a >= 0 (least squares), one
such line for each fidelity: training on more tasks mostly costs more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from ..evaluations import Evaluations
from ..fields import EvaluationsError, as_floats
from .beliefs import Arms

Array = NDArray[np.float64]
Cost = Callable[[Array], Any] | ArrayLike
LEAST = 0.5  # of the least stated cost, below which no run is taken to lie


def costs(arms: Arms, runs: Evaluations, cost: Cost | None = None, at: str | None = None) -> Array:
    """Cost of every arm, array (A,), > 0.

    Parameters
    ----------
    arms : Arms
    runs : Evaluations
        Whose costs are taken where none are given.
    cost : callable or array (K,), optional
        Masks (n, K) -> costs (n,); or what every task adds.
    at : str, optional
        The fidelity that ``cost`` is of. Others cost in proportion to what runs of theirs do on average, where known.
    """
    if cost is not None:
        out, there = said(cost, arms.weights), runs.cost[runs.fidelity == at]
        for word in set(arms.fidelity.tolist()) - {at}:
            own = runs.cost[runs.fidelity == word]
            if known(own) and known(there):
                out[arms.fidelity == word] *= own.mean() / there.mean()
        return out
    out = np.ones(len(arms))
    for word in dict.fromkeys(arms.fidelity.tolist()):
        rows, own = runs.fidelity == word, arms.fidelity == word
        if not known(runs.cost[rows]):
            return np.ones(len(arms))
        design = np.column_stack([np.ones(rows.sum()), runs.masks[rows]])
        line = nnls(design, runs.cost[rows])[0]
        out[own] = np.maximum(line[0] + arms.weights[own] @ line[1:], LEAST * runs.cost[rows].min())
    return out


def known(cost: Array) -> bool:
    """Whether all costs are stated and positive."""
    return bool(len(cost) and np.isfinite(cost).all() and (cost > 0).all())


def said(cost: Cost, X: Array) -> Array:
    """What the user says that masks X (n, K) cost, array (n,).

    Raises
    ------
    EvaluationsError
        For another shape, or a cost that is not above 0.
    """
    if callable(cost):
        out = np.array(cost(X), dtype=float)
    else:
        each = as_floats(cost, "cost")
        if each.shape != (X.shape[1],):
            raise EvaluationsError(f"cost has shape {each.shape}; give one number for each of the {X.shape[1]} tasks.")
        out = X @ each
    if out.shape != (len(X),) or not (np.isfinite(out).all() and (out > 0).all()):
        raise EvaluationsError(
            f"cost gives {out.shape} numbers for {len(X)} runs, the least {np.min(out, initial=np.inf):g}; give one "
            "cost > 0 for each."
        )
    return out
