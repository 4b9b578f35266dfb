"""The best masks within a region: all of them where they can be listed, local search beyond.

Exact: every mask is bounded from above (`Landscape`), those whose bound exceeds what the n-th best is worth are looked
at with their deviation; since the deviation only lowers the worth, none that is better is missed.
Local: from the best runs, the best of a linear program and random masks, single flips and swaps by the bound, then by
the worth itself, until none is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..repeats import first_of_each
from .landscape import Landscape
from .objective import Objective
from .region import Region
from .result import ROUNDING

Array = NDArray[np.float64]
LISTED = 22  # free players up to which all masks are gone through
KEPT = 200
LOOK = 64  # neighbours that are looked at with their deviation
WIDEST = 100  # tasks on either side that are tried in swaps
STEPS = 60
LEAPS = 20
STARTS = 8  # drawn at random; 2 of more than `MANY` players
MANY = 64


@dataclass(frozen=True, eq=False)
class Found:
    """Good choices, the best first.

    Attributes
    ----------
    X : array (n, P)
    worth : array (n,)
    exact : bool
        Whether no choice is better.
    looked : int
        Choices that were gone through.
    agreed : float
        Share of the starts of a local search that ended at the best; 1 where it is exact.
    """

    X: Array
    worth: Array
    exact: bool
    looked: int
    agreed: float = 1.0


class Pool:
    """The best distinct choices so far, with what they are worth; those outside the region or too far are left out."""

    def __init__(self, objective: Objective, region: Region, farthest: float, most: int = KEPT):
        self.objective, self.region, self.farthest, self.most = objective, region, farthest, most
        self.X, self.worth = np.zeros((0, len(region.names))), np.zeros(0)
        self.looked = 0

    @property
    def threshold(self) -> float:
        """What a choice must be worth to get in."""
        return float(self.worth[-1]) if len(self.worth) == self.most else -np.inf

    def value(self, X: Array) -> Array:
        """Worth (n,) of choices; -inf where they may not be taken."""
        if not len(X):
            return np.zeros(0)
        mean, deviation = self.objective.predictor.at(X)
        worth = np.where(self.objective.keeps(mean, deviation), self.objective.worth(mean, deviation), -np.inf)
        worth[~self.region.feasible(X)] = -np.inf
        if np.isfinite(self.farthest):
            (likely,) = np.nonzero(worth > self.threshold)
            worth[likely[self.objective.far(X[likely]) > self.farthest * (1.0 + ROUNDING)]] = -np.inf
        self.looked += len(X)
        return worth

    def add(self, X: Array) -> Array:
        """Look at choices (n, P), keep the best, and return what all are worth."""
        worth = self.value(X)
        (good,) = np.nonzero(worth > self.threshold)
        if len(good):
            together, values = np.vstack([self.X, X[good]]), np.concatenate([self.worth, worth[good]])
            first = first_of_each(together)
            order = first[np.argsort(-values[first], kind="stable")][: self.most]
            self.X, self.worth = together[order], values[order]
        return worth


def best_masks(
    objective: Objective,
    region: Region,
    runs: Array,
    rng: np.random.Generator,
    farthest: float = np.inf,
    listed: int = LISTED,
) -> Found:
    """Find the best masks.

    Parameters
    ----------
    objective : Objective
    region : Region
        Of masks; not empty.
    runs : array (m, P)
        Masks that were run, to start from.
    rng : numpy.random.Generator
    farthest : float
        Remoteness beyond which no mask is taken.
    listed : int
        Free players up to which all masks are gone through.
    """
    landscape, pool = Landscape(objective), Pool(objective, region, farthest)
    free = np.flatnonzero(region.free)
    known = _best_runs(landscape, region, runs)
    ends = [_climb(landscape, pool, start) for start in _starts(landscape, region, runs, known, rng)]
    if len(known) and not np.isfinite(max(ends)):  # all of them led too far away
        ends = [_ascend(landscape, pool, run) for run in known[: 3 if len(region.names) <= MANY else 1]]
    best = max(ends)
    agreed = float(np.mean([end >= best - 1e-9 for end in ends])) if np.isfinite(best) else 0.0
    if len(free) > listed:
        return Found(pool.X, pool.worth, False, pool.looked, agreed)
    fixed = np.round(np.clip(np.zeros(len(region.names)), *region.bounds))
    bounds, total = landscape.bounds, 0
    for masks, above in landscape.all_subsets(free, fixed):
        (likely,) = np.nonzero(above > pool.threshold)
        likely = likely[region.feasible(masks[likely].astype(float))]
        order = likely[np.argsort(-above[likely], kind="stable")]
        total += len(masks)
        for start in range(0, len(order), 2000):
            part = order[start : start + 2000]
            part = part[above[part] > pool.threshold]
            if not len(part):
                break
            pool.add(masks[part].astype(float))
    return Found(pool.X, pool.worth, bounds, total)


def _best_runs(landscape: Landscape, region: Region, runs: Array) -> list[Array]:
    """The three runs (P,) of the region that are predicted to be best."""
    inside = np.unique(runs[region.feasible(runs)], axis=0)
    return list(inside[np.argsort(-landscape.at(inside), kind="stable")][:3]) if len(inside) else []


def _starts(
    landscape: Landscape, region: Region, runs: Array, known: list[Array], rng: np.random.Generator
) -> list[Array]:
    """Masks (P,) of the region to climb from, each once, the best runs among them."""
    P, starts = len(region.names), list(known)
    half = np.full(P, 0.5) if not len(runs) else runs[np.argmax(landscape.at(runs))]
    gains = (landscape.flips(half) - landscape.at(half[None])[0]) * np.where(half > 0.5, -1.0, 1.0)
    starts.append(region.best_linear(gains))
    scale, more = float(np.abs(gains).std()) or 1.0, STARTS if P <= MANY else 2
    starts += [region.best_linear(gains + rng.normal(scale=scale, size=P)) for _ in range(more // 2)]
    starts += [region.best_linear(rng.normal(size=P)) for _ in range(more // 2)]
    return list(np.unique(np.round(starts), axis=0))


def _climb(landscape: Landscape, pool: Pool, start: Array) -> float:
    """Climb from a mask (P,), first by upper bounds, then by the worth; returns where it ends.

    Leaps take the best mask of the region for what each single flip brings, while that is better: what K flips would
    do one by one. Then single flips and swaps.
    """
    s, value = start, float(landscape.at(start[None])[0])
    for _ in range(LEAPS):
        gains = (landscape.flips(s) - value) * (1.0 - 2.0 * s)
        there = np.round(pool.region.best_linear(gains))
        above = float(landscape.at(there[None])[0])
        if above <= value + 1e-12:
            break
        s, value = there, above
    for _ in range(STEPS):
        found, gains = _neighbours(landscape, pool.region, s, most=1)
        if not len(found) or gains[0] <= value + 1e-12:
            break
        s, value = found[0], float(gains[0])
    return _ascend(landscape, pool, s)


def _ascend(landscape: Landscape, pool: Pool, s: Array) -> float:
    """Climb from a mask (P,) by the worth alone; returns where it ends."""
    value = float(pool.add(s[None])[0])
    for _ in range(STEPS):
        found, _ = _neighbours(landscape, pool.region, s, most=LOOK)
        worth = pool.add(found)
        if not len(worth) or worth.max() <= value + 1e-12:
            break
        s, value = found[int(worth.argmax())], float(worth.max())
    return value


def _neighbours(landscape: Landscape, region: Region, s: Array, most: int) -> tuple[Array, Array]:
    """The ``most`` neighbours (n, P) of a mask with the highest upper bounds (n,), that the region holds."""
    low, high = region.bounds
    free = (high > 0.5) & (low < 0.5)
    flips = landscape.flips(s)
    (may,) = np.nonzero(free)
    changes = [[int(k)] for k in may]
    values = list(flips[may])
    leave, enter = (
        own[np.argsort(-flips[own], kind="stable")][:WIDEST]
        for own in (np.flatnonzero(free & (s > 0.5)), np.flatnonzero(free & (s < 0.5)))
    )
    if len(leave) and len(enter):
        both = landscape.swaps(s, leave, enter)
        several = np.argsort(-both, axis=None, kind="stable")[: 20 * most]
        for i, j in zip(*np.unravel_index(several, both.shape), strict=True):
            changes.append([int(leave[i]), int(enter[j])])
            values.append(both[i, j])
    order = np.argsort(-np.array(values), kind="stable")
    found, gains = [], []
    for start in range(0, len(order), 4 * most):
        part = order[start : start + 4 * most]
        X = np.tile(s, (len(part), 1))
        for row, o in zip(X, part, strict=True):
            row[changes[o]] = 1.0 - row[changes[o]]
        keeps = region.feasible(X)
        found += list(X[keeps])
        gains += [values[o] for o, good in zip(part, keeps, strict=True) if good]
        if len(found) >= most:
            break
    return np.array(found[:most]).reshape(-1, len(s)), np.array(gains[:most])
