"""Designs that need no surrogate: a small factorial around an incumbent, and a D-optimal start.

factorial   2^(5-1) with E = ABCD: 16 runs in which no main effect or pair is confounded with another main effect or
            pair (resolution V); fewer than five tasks: all 2^n
d-optimal   rows of candidates that maximise log det(F'F + epsilon I), F = (1, u(x)) the features of a linear model,
            found by exchanging one row after the other (Fedorov)

References
----------
Box, Hunter & Hunter, Statistics for Experimenters, 2005, chapter 6; Fedorov, Theory of Optimal Experiments, 1972;
Atkinson, Donev & Tobias, Optimum Experimental Designs, 2007, chapter 12.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..surrogates.features import MAPS

Array = NDArray[np.float64]
SWITCHED = 5  # tasks of the factorial
RIDGE = 1e-6
ROUNDS = 20


def factorial(incumbent: ArrayLike, tasks: ArrayLike) -> Array:
    """List a fractional factorial of some tasks around an incumbent; the other tasks stay as they are there.

    Parameters
    ----------
    incumbent : array (K,) of 0 and 1
    tasks : array (n,) of int
        2 to 5 columns that are switched.

    Returns
    -------
    array (16, K) for five tasks, (2^n, K) for n < 5

    Examples
    --------
    >>> factorial([1, 1, 1, 1, 1, 1], [0, 1, 2, 3, 4]).sum(axis=0).tolist()
    [8.0, 8.0, 8.0, 8.0, 8.0, 16.0]
    """
    start, columns = np.asarray(incumbent, float), np.asarray(tasks, dtype=np.int64)
    n = len(columns)
    if not 2 <= n <= SWITCHED or len(set(columns.tolist())) < n:
        raise ValueError(f"tasks are {columns.tolist()}; a factorial switches 2 to {SWITCHED} different ones.")
    if start.ndim != 1 or not np.isin(start, (0, 1)).all():
        raise ValueError(f"incumbent has shape {start.shape}; give one mask (K,) of 0 and 1.")
    signs = np.array(list(product((-1, 1), repeat=min(n, 4))), dtype=float)
    if n == SWITCHED:
        signs = np.column_stack([signs, signs.prod(axis=1)])
    out = np.tile(start, (len(signs), 1))
    out[:, columns] = (signs + 1.0) / 2.0
    return out


def repeats(masks: ArrayLike, n: int, rng: np.random.Generator) -> Array:
    """Draw n of the masks or mixtures that were run, those that were run least first.

    Under another seed they tell how much of the differences between runs reproduces.

    Parameters
    ----------
    masks : array (m, K)
        Of the runs, a row each.
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    array (min(n, different rows), K)
    """
    different, counts = np.unique(np.asarray(masks, float), axis=0, return_counts=True)
    order = np.lexsort((rng.random(len(different)), counts))
    return different[order[:n]]


def d_optimal(
    candidates: ArrayLike,
    n: int,
    rng: np.random.Generator,
    *,
    features: str = "log",
    given: ArrayLike | None = None,
) -> Array:
    """Choose n of some mixtures or masks, from which a linear model is known best; usable with no run at all.

    Parameters
    ----------
    candidates : array (N, K)
    n : int
    rng : numpy.random.Generator
        Draws the start of the exchange.
    features : str
        In which the model is linear, see `surrogates.features`: 'log' for mixtures, 'raw' for masks.
    given : array (m, K), optional
        Rows that were run already.

    Returns
    -------
    array (min(n, N), K)
    """
    X = np.atleast_2d(np.asarray(candidates, float))
    if not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n is {n!r}; give a whole number of rows >= 1.")
    if features not in MAPS:
        raise ValueError(f"features={features!r}; choose one of {', '.join(MAPS)}.")
    n = min(int(n), len(X))
    F, done = model(X, features), np.zeros((0, 0)) if given is None else model(np.atleast_2d(given), features)
    scale = np.maximum(F.std(axis=0), 1e-9)
    scale[0] = 1.0
    F = F / scale
    base = RIDGE * np.eye(F.shape[1]) + (0.0 if not done.size else (done / scale).T @ (done / scale))
    chosen = _started(F, base, n, rng)
    for _ in range(ROUNDS):
        before = list(chosen)
        for i in range(n):
            others = [c for j, c in enumerate(chosen) if j != i]
            D = np.linalg.inv(base + F[others].T @ F[others])
            d = np.einsum("nf,nf->n", F @ D, F)
            d[others] = -np.inf
            if d.max() > d[chosen[i]] * (1.0 + 1e-9):
                chosen[i] = int(np.argmax(d))
        if chosen == before:
            break
    return X[chosen]


def model(X: Array, features: str) -> Array:
    """Features of the linear model with its constant, array (n, 1 + D)."""
    return np.column_stack([np.ones(len(X)), MAPS[features](X)])


def _started(F: Array, base: Array, n: int, rng: np.random.Generator) -> list[int]:
    """Greedy start: one row after the other that adds most to the determinant, the first among equals at random."""
    chosen: list[int] = []
    D, jitter = np.linalg.inv(base), 1.0 + 1e-6 * rng.random(len(F))
    for _ in range(n):
        d = np.einsum("nf,nf->n", F @ D, F) * jitter
        d[chosen] = -np.inf
        j = int(np.argmax(d))
        chosen.append(j)
        u = D @ F[j]
        D = D - np.outer(u, u) / (1.0 + F[j] @ u)
    return chosen
