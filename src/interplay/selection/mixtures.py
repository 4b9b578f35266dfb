"""The best mixtures within a region: projected gradient from many starts, polished, beside the mean of the best draws.

    w <- project(w + step x gradient of the worth),  all starts together, each with a step of its own

The gradient of a surrogate in logarithms of weights is steep at 0 and flat elsewhere, so that steps grow and shrink by
success. Sequential quadratic programming (SciPy's SLSQP) then finds the nearest stationary point exactly, with the
constraints that the projection only approaches. RegMix draws 100,000 mixtures and takes the mean of the best 100: that
is one of the starts, and shown beside the result.

References
----------
Liu et al., RegMix, ICLR 2025, section 3.3; Kraft, DFVLR-FB 88-28, 1988 (SLSQP).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ..surrogates.base import threads
from .objective import Objective
from .region import Region
from .simplex import kl
from .slopes import Surface
from .subsets import Found, Pool

Array = NDArray[np.float64]
DRAWS, BEST = 20_000, 100
STARTS, STEPS, POLISHED = 24, 120, 4
SOFT = 0.02  # standard deviations over which the worst of several targets is smoothed
STEEP = 20.0  # of the penalty, per standard deviation beyond a tolerance or unit beyond the farthest


def best_mixtures(
    objective: Objective,
    region: Region,
    runs: Array,
    rng: np.random.Generator,
    farthest: float = np.inf,
) -> tuple[Found, Array]:
    """Find the best mixtures or weights.

    Parameters
    ----------
    objective : Objective
    region : Region
        Not empty.
    runs : array (m, P)
        Mixtures that were run.
    rng : numpy.random.Generator
    farthest : float
        Remoteness beyond which none is taken.

    Returns
    -------
    found : Found
    mean : array (P,)
        The mean of the best `BEST` of `DRAWS` random mixtures within the region.
    """
    pool, surface = Pool(objective, region, farthest), Surface(objective)
    drawn = draws(region, runs, rng, DRAWS // max(len(objective.targets) // 8, 1))
    worth = _in_parts(pool, drawn)
    order = np.argsort(-worth, kind="stable")
    average = region.project(drawn[order[:BEST]].mean(axis=0)[None])
    inside = runs[region.feasible(runs)]
    pool.add(average)
    known = pool.add(inside) if len(inside) else np.zeros(0)
    best_runs = inside[np.argsort(-known, kind="stable")[: STARTS // 3]]
    starts = np.vstack([average, best_runs, region.interior[None], drawn[order[: STARTS - len(best_runs) - 2]]])
    with threads(len(runs)):
        ends = _ascend(surface, region, starts, farthest)
        highest = np.argsort(-_penalised(surface, ends, farthest)[0], kind="stable")[:POLISHED]
        polished = np.array([_polish(surface, region, ends[i], farthest) for i in highest])
    pool.add(ends)
    worth = pool.add(region.project(polished))
    best = worth.max() if len(worth) else -np.inf
    agreed = float(np.mean(worth >= best - 1e-3)) if np.isfinite(best) else 0.0
    return Found(pool.X, pool.worth, False, pool.looked, agreed), average[0]


def draws(region: Region, runs: Array, rng: np.random.Generator, n: int = DRAWS) -> Array:
    """Mixtures (n, P) of the region: Dirichlet around the prior, or the mean of the runs, and around even shares."""
    if not len(region.totals):
        low, high = region.bounds
        return region.project(low + (high - low) * rng.random((n, len(low))))
    parts = []
    centre = np.maximum(runs.mean(axis=0), 1e-6)
    if region.prior is not None:
        centre = np.maximum(region.prior, 1e-6)
    for scale in (1.0, 4.0, 16.0):
        for mean in (centre, np.full(len(centre), 1.0 / len(centre))):
            drawn = np.zeros((n // 6, len(centre)))
            for b, total in enumerate(region.totals):
                own = region.blocks == b
                share = mean[own] / mean[own].sum()
                alpha = np.maximum(scale * share * own.sum(), 1e-2)
                drawn[:, own] = total * rng.dirichlet(alpha, len(drawn))
            parts.append(drawn)
    return region.project(np.vstack(parts))


def _in_parts(pool: Pool, X: Array, at_once: int = 2000) -> Array:
    return np.concatenate([pool.add(X[start : start + at_once]) for start in range(0, len(X), at_once)])


def _penalised(surface: Surface, W: Array, farthest: float) -> tuple[Array, Array]:
    """Worth (n,) less penalties for what is not kept, and its gradient (n, P); the worst target is smoothed."""
    benefit, slopes = surface.benefits(W)
    J = len(surface.objective.goals)
    low, slope, kept, kept_slope = benefit[:, :J], slopes[:, :J], benefit[:, J:], slopes[:, J:]
    share = np.exp(-(low - low.min(axis=1, keepdims=True)) / SOFT)
    total = share.sum(axis=1, keepdims=True)
    value = low.min(axis=1) - SOFT * (np.log(total[:, 0]) - np.log(low.shape[1]))
    gradient = np.einsum("nj,njp->np", share / total, slope)
    if kept.shape[1]:
        lacking = np.maximum(surface.objective.floors - kept, 0.0)
        value = value - STEEP * lacking.sum(axis=1)
        gradient = gradient + STEEP * np.einsum("nu,nup->np", (lacking > 0).astype(float), kept_slope)
    if np.isfinite(farthest):
        r, dr = surface.remote(W)
        beyond = np.maximum(r - farthest**2, 0.0)
        value = value - STEEP * beyond.sum(axis=1)
        gradient = gradient - STEEP * np.einsum("nr,nrp->np", (beyond > 0).astype(float), dr)
    return value, gradient


def _ascend(surface: Surface, region: Region, W: Array, farthest: float) -> Array:
    """Projected gradient ascent of all starts (n, P) together."""
    W = region.project(W)
    value, gradient = _penalised(surface, W, farthest)
    step = 0.05 / np.maximum(np.abs(gradient).max(axis=1), 1e-12)
    for _ in range(STEPS):
        trial = region.project(W + step[:, None] * gradient)
        found, slope = _penalised(surface, trial, farthest)
        better = found > value
        W[better], value[better], gradient[better] = trial[better], found[better], slope[better]
        step = np.where(better, 1.5 * step, 0.4 * step)
        if (step * np.abs(gradient).max(axis=1) < 1e-6).all():
            break
    return W


def _polish(surface: Surface, region: Region, w: Array, farthest: float) -> Array:
    """Climb from weights (P,) to the nearest stationary point that keeps everything.

    The worst of several targets is a variable t of its own: maximise t while every target is above it.
    """
    P, J, floors = len(w), len(surface.objective.goals), surface.objective.floors
    low, high = region.bounds
    A, least, most = region.rows
    above, below = np.isfinite(least), np.isfinite(most)
    near = region.prior if region.prior is not None and np.isfinite(region.kl) else None
    latest: dict[bytes, tuple] = {}

    def at(x: Array) -> tuple:
        key = x[:P].tobytes()
        if key not in latest:
            latest.clear()
            latest[key] = (*surface.benefits(x[None, :P]), *_far(surface, x[None, :P], farthest))
        return latest[key]

    def worth(x: Array) -> tuple[float, Array]:
        if J > 1:
            return -x[P], -np.eye(P + 1)[P]
        values, slope = at(x)[:2]
        return -float(values[0, 0]), -slope[0, 0]

    def limits(x: Array) -> Array:
        values, _, r, _ = at(x)
        rows = A @ x[:P]
        parts = [values[0, :J] - x[P] if J > 1 else np.zeros(0), values[0, J:] - floors, farthest**2 - r[0]]
        parts += [(rows - least)[above], (most - rows)[below]]
        parts += [] if near is None else [region.kl - kl(x[None, :P], near)]
        return np.concatenate(parts)

    def limit_slopes(x: Array) -> Array:
        _, slope, _, dr = at(x)
        parts = [slope[0, J:], -dr[0], A[above], -A[below]]
        if near is not None:
            parts.append(-np.log(np.maximum(x[:P], 1e-12) / np.maximum(near, 1e-300))[None])
        parts = np.vstack(parts)
        if J == 1:
            return parts
        return np.vstack([np.hstack([slope[0, :J], -np.ones((J, 1))]), np.hstack([parts, np.zeros((len(parts), 1))])])

    width = P + (J > 1)
    start = np.append(w, at(w)[0][0, :J].min()) if J > 1 else w
    constraints: list[dict[str, Any]] = []
    if len(limits(start)):
        constraints.append({"type": "ineq", "fun": limits, "jac": limit_slopes})
    if len(region.totals):
        totals = np.zeros((len(region.totals), width))
        for b, row in enumerate(totals):
            row[:P] = region.blocks == b
        constraints.append({"type": "eq", "fun": lambda x: totals @ x - region.totals, "jac": lambda x: totals})
    bounds = [*zip(low, high, strict=True), *([(None, None)] if J > 1 else [])]
    how = {"maxiter": 60, "ftol": 1e-6}
    found = minimize(worth, start, jac=True, method="SLSQP", bounds=bounds, constraints=constraints, options=how)
    x = np.asarray(found.x)[:P]
    return x if np.isfinite(x).all() else w


def _far(surface: Surface, W: Array, farthest: float) -> tuple[Array, Array]:
    if np.isfinite(farthest):
        return surface.remote(W)
    return np.zeros((len(W), 0)), np.zeros((len(W), 0, W.shape[1]))
