"""Rows that repeat one mask under one fidelity, such as its seeds: numbered, averaged, and what they say of noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .evaluations import Evaluations

__all__ = ["averaged", "first_of_each", "groups", "means", "noise_of_repeats", "reproduced", "share_shown"]

LASTING = 0.8  # of what a fit leaves unexplained belongs to the mask, where no repeats tell
TOLD = 3  # repeats from which the noise of a run is told


def groups(runs: Evaluations) -> tuple[np.ndarray, np.ndarray]:
    """Give the rows of each mask and fidelity a number, in the order in which they first appear.

    Returns
    -------
    index : array (m,) of int64
        The group of each row.
    first : array (n,) of int64
        The first row of each group.
    """
    number: dict[tuple[bytes, str], int] = {}
    first: list[int] = []
    index = np.empty(runs.m, dtype=np.int64)
    for i, (mask, word) in enumerate(zip(runs.masks + 0.0, runs.fidelity.tolist(), strict=True)):
        index[i] = number.setdefault((mask.tobytes(), word), len(number))
        if index[i] == len(first):
            first.append(i)
    return index, np.array(first, dtype=np.int64)


def means(runs: Evaluations) -> dict[str, np.ndarray]:
    """Average the rows of each mask and fidelity.

    Returns
    -------
    dict
        Fields of n rows: means of the values that were measured, sums of the costs, the seed where all rows of a mask
        have the same one and -1 otherwise, and masks, fidelity and origin of the first row.
    """
    index, first = groups(runs)
    count, total = np.zeros((2, len(first), runs.T))
    cost = np.zeros(len(first))
    np.add.at(count, index, ~np.isnan(runs.values))
    np.add.at(total, index, np.nan_to_num(runs.values))
    np.add.at(cost, index, runs.cost)
    seed = runs.seed[first]
    seed[index[runs.seed != seed[index]]] = -1
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    same = {name: getattr(runs, name)[first] for name in ("masks", "fidelity", "origin")}
    return {**same, "values": mean, "seed": seed, "cost": cost}


def keys(X: np.ndarray) -> list[bytes]:
    """Masks or mixtures (m, P), comparable: to nine decimals."""
    return [row.tobytes() for row in np.round(X, 9) + 0.0]  # -0 is 0


def key(row: np.ndarray) -> bytes:
    """One of them (P,)."""
    return keys(row[None])[0]


def first_of_each(X: np.ndarray) -> np.ndarray:
    """Where each distinct row of X (m, P) stands first, (n,), in this order; rows are alike to nine decimals."""
    seen: dict[bytes, int] = {}
    for i, row in enumerate(keys(X)):
        seen.setdefault(row, i)
    return np.array(list(seen.values()), dtype=np.int64)


def averaged(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct rows (n, P) of X (m, P), how often each was measured, and the mean of it, (n, J) of y (m, J).

    NaN is what was not measured; the mean of nothing is 0.
    """
    distinct, which = np.unique(X, axis=0, return_inverse=True)
    count, total = np.zeros((2, len(distinct), y.shape[1]))
    np.add.at(count, which.ravel(), np.isfinite(y))
    np.add.at(total, which.ravel(), np.nan_to_num(y))
    return distinct, count, total / np.maximum(count, 1.0)


def reproduced(
    X: np.ndarray, y: np.ndarray, seed: np.ndarray, nugget: np.ndarray, averaged: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split what a fit leaves unexplained into what a mask shows again and what only one run shows.

    Parameters
    ----------
    X, y : array (m, P), (m, J)
        Runs, goals in their own units.
    seed : array (m,) of int
    nugget : array (J,)
        Noise variance of the fit.
    averaged : int
        Runs that each fitted row is the mean of.

    Returns
    -------
    lasting, noise : array (J,)
        Variances of the part that belongs to the mask and of a single run's noise. From repeated masks, the level of
        each seed taken out; `LASTING` of it where fewer than `TOLD` repeats tell.
    """
    noise, freedom = noise_of_repeats(X, y, seed)
    if freedom < TOLD:
        return LASTING * nugget, (1.0 - LASTING) * nugget * averaged
    return np.maximum(nugget - noise / averaged, 0.0), noise


def noise_of_repeats(X: np.ndarray, y: np.ndarray, seed: np.ndarray) -> tuple[np.ndarray, int]:
    """Variance (J,) of a single run's noise by repeated masks, the level of each seed taken out, and its freedom.

    See `reproduced`.
    """
    _, mask = np.unique(np.round(X, 9), axis=0, return_inverse=True)
    mask = mask.ravel()
    (several,) = np.nonzero((np.bincount(mask)[mask] > 1) & np.isfinite(y).all(axis=1))
    if not len(several):
        return np.full(y.shape[1], np.nan), 0
    y, mask, seed = y[several], np.unique(mask[several], return_inverse=True)[1], seed[several]
    sides = sides_of(mask, seed)
    left = y - sides @ np.linalg.lstsq(sides, y, rcond=None)[0]
    freedom = len(y) - int(np.linalg.matrix_rank(sides))
    return (left**2).sum(axis=0) / max(freedom, 1), freedom


def sides_of(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Indicators (m, n + seeds) of the masks, numbered from 0, and of the seeds of runs."""
    seeds, which = np.unique(seed, return_inverse=True)
    return np.hstack([np.eye(mask.max() + 1)[mask], np.eye(len(seeds))[which]])


def share_shown(lasting: np.ndarray, noise: np.ndarray, runs: np.ndarray | int) -> np.ndarray:
    """How much of what runs show beyond a fit would show again: lasting / (lasting + noise / runs), 0 without runs."""
    shown = np.multiply(lasting, runs)
    return np.divide(shown, shown + noise, out=np.zeros(np.shape(shown)), where=shown > 0)
