"""Choices of which none is better in every target: the Pareto front of several goals.

    max over x of  min_j (z_j(x) - z*_j) / lambda_j        z*_j what the best of goal j alone is worth

for weights lambda on a lattice of the simplex: every point of the front is the optimum for some weights, concave or not
(weighted Chebyshev scalarisation: Steuer & Choo, Mathematical Programming 1983). A goal's centre and spread take the
place of z*_j and lambda_j, so that the search is that of one objective.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from .objective import Objective

Array = NDArray[np.float64]
STEPS = {2: 8, 3: 4}  # of the lattice; 2 with more goals
LEAST = 0.02  # of a weight, so that no goal is forgotten


def front(objective: Objective, search: Callable[[Objective], Array]) -> Array:
    """Return choices (n, P) of the front, the best of the first goal first.

    Parameters
    ----------
    objective : Objective
        Two goals or more.
    search : callable
        Finds the best choices (k, P) of an objective, the best first; none where nothing may be taken.
    """
    goals, found = objective.goals, []
    best = [search(replace(objective, goals=(goal,), together=_of(objective, j))) for j, goal in enumerate(goals)]
    if any(not len(X) for X in best):
        return np.zeros((0, len(objective.predictor.players.names)))
    found += [X[0] for X in best]
    tops = [float(_benefits(objective, X[:1])[0, j]) for j, X in enumerate(best)]
    for weights in _lattice(len(goals)):
        scaled = tuple(
            replace(goal, centre=goal.centre + goal.sign * top * goal.spread, spread=goal.spread * w)
            for goal, top, w in zip(goals, tops, weights, strict=True)
        )
        X = search(replace(objective, goals=scaled))
        found += list(X[:1])
    X: Array = np.unique(np.round(np.array(found, np.float64), 9), axis=0)
    return X[unbeaten(_benefits(objective, X))]


def unbeaten(z: Array) -> NDArray[np.int64]:
    """Which of some choices no other beats in all benefits z (n, J), the best of the first goal first."""
    ahead = z[None] - z[:, None]
    beaten = np.asarray((ahead >= -1e-9).all(axis=2) & (ahead > 1e-9).any(axis=2)).any(axis=1)
    (kept,) = np.nonzero(~beaten)
    return kept[np.argsort(-z[kept, 0], kind="stable")]


def _of(objective: Objective, j: int) -> Array:
    """How far errors of one goal and of the kept targets add up."""
    return np.concatenate([objective.together[[j]], objective.together[len(objective.goals) :]])


def _benefits(objective: Objective, X: Array) -> Array:
    """Benefits less risk (n, J) in standard deviations over the runs."""
    z, sd = objective.standardised(*objective.predictor.at(X))
    return (z - objective.risk * sd)[:, : len(objective.goals)]


def _lattice(J: int) -> Array:
    """Weights (n, J) on a lattice of the simplex, none of them 0."""
    steps = STEPS.get(J, 2)
    rows = [np.bincount(c, minlength=J) for c in combinations_with_replacement(range(J), steps)]
    weights = np.maximum(np.array(rows, float) / steps, LEAST)
    return weights / weights.sum(axis=1, keepdims=True)
