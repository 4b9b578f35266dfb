"""Which runs could be done: masks or mixtures that can tell something of a question, and those that were run.

leave-one-out, groups   the full mask, each task or group out, two out, near-full masks (1.5 to 3 tasks out on average)
pairs                   the same, or masks of p about 1/2 where pairs are asked over random halves
shapley, banzhaf, swap  masks of every size; of p about 1/2; of the size of the runs
mixture                 moves from the reference, flat Dirichlet mixtures and some around the reference, blends of both

All masks of few tasks are listed. The user's own candidates take the place of all of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..draws import subsets
from ..fields import EvaluationsError, match
from ..kinds import fault
from ..repeats import first_of_each, keys
from .questions import Asked

Array = NDArray[np.float64]
Feasible = Callable[[Array], NDArray[np.bool_]]
LISTED = 9  # tasks up to which all masks are candidates
LEAST = 0.6  # share of the tasks that those of a question at the full mask hold
OUT = (1.5, 2.0, 3.0)  # tasks that a near-full mask lacks on average
BLENDS = (0.1, 0.3, 0.6)
SMALL = 1e-3


class Region:
    """Which masks or mixtures may be run.

    Parameters
    ----------
    tasks : sequence of str (K,)
    kind : {'mask', 'mixture'}
    size : int or (int, int), optional
        Number of tasks in a mask, or its least and largest.
    require, forbid : sequence of str
        Tasks, or globs, that every run holds, or none.
    feasible : callable, optional
        Masks (n, K) -> (n,) of bool.

    Raises
    ------
    EvaluationsError
        For unknown tasks, or conditions that no run can meet.
    TypeError
        For a size that is no number, nor two, or a ``feasible`` that cannot be called.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        kind: str,
        size: int | tuple[int, int] | None = None,
        require: str | Sequence[str] = (),
        forbid: str | Sequence[str] = (),
        feasible: Feasible | None = None,
    ):
        K, self.kind, self.feasible = len(tasks), kind, feasible
        if feasible is not None and not callable(feasible):
            raise TypeError(f"feasible is {feasible!r}; give a function of masks (n, K) that returns (n,) of bool.")
        if kind == "mixture" and size is not None:
            raise EvaluationsError(f"size={size!r} (--size) counts the tasks of masks, and the runs are mixtures.")
        self.required, self.forbidden = (
            np.isin(np.arange(K), [list(tasks).index(t) for t in match(given, tasks, f"task ({name}=)")])
            for name, given in (("require", require), ("forbid", forbid))
        )
        if (both := self.required & self.forbidden).any():
            raise EvaluationsError(f"task {tasks[int(both.argmax())]!r} is in require= and in forbid=; take one away.")
        if self.forbidden.all():
            raise EvaluationsError(f"forbid={forbid!r} (--forbid) leaves no task to run; forbid fewer.")
        least, most = (1, K) if size is None else _limits(size)
        low, high = max(int(self.required.sum()), 1), K - int(self.forbidden.sum())
        if not (least <= most and low <= most and least <= high):
            raise EvaluationsError(
                f"size={size!r} (--size): with what is required and forbidden a mask holds {low} to {high} tasks; "
                "give a size within that."
            )
        self.least, self.most = max(int(least), low), min(int(most), high)
        self.limited = size is not None or feasible is not None or bool((self.required | self.forbidden).any())

    def brought(self, X: Array, rng: np.random.Generator) -> Array:
        """Masks or mixtures (n, K) changed as little as required, forbidden and size ask for."""
        X = np.array(X, dtype=float)
        X[:, self.forbidden] = 0.0
        if self.kind == "mixture":
            X[:, self.required] = np.maximum(X[:, self.required], 0.01)
            total = X.sum(axis=1)
            return X[total > 0] / total[total > 0, None]
        X[:, self.required] = 1.0
        n = X.sum(axis=1)
        wanted = np.clip(n, self.least, self.most)
        for i in np.flatnonzero(wanted != n):
            more = wanted[i] > n[i]
            free = np.flatnonzero((X[i] == 0) & ~self.forbidden if more else (X[i] == 1) & ~self.required)
            X[i, rng.permutation(free)[: int(abs(wanted[i] - n[i]))]] = float(more)
        return X

    def holds(self, X: Array) -> NDArray[np.bool_]:
        """Which rows (n, K) may be run, array (n,)."""
        ok = X.sum(axis=1) > 0
        ok &= (X[:, self.required] > 0).all(axis=1) & (X[:, self.forbidden] == 0).all(axis=1)
        if self.kind == "mask":
            ok &= (X.sum(axis=1) >= self.least) & (X.sum(axis=1) <= self.most)
        if self.feasible is not None and len(X):
            said = np.asarray(self.feasible(X))
            if said.dtype != bool or said.shape != (len(X),):
                raise EvaluationsError(
                    f"feasible returned {said.dtype} {said.shape} for {len(X)} rows; return one bool for each."
                )
            ok &= said
        return ok


def _limits(size: Any) -> tuple[int, int]:
    """The least and the largest number of tasks."""
    both = (size, size) if isinstance(size, int | np.integer) else size
    whole = lambda n: isinstance(n, int | np.integer) and not isinstance(n, bool)
    if not isinstance(both, Sequence | np.ndarray) or len(both) != 2 or not all(map(whole, both)):
        raise TypeError(
            f"size is {size!r} (--size); give a number of tasks, such as 5, or the least and the largest, such as "
            "(3, 8)."
        )
    return int(both[0]), int(both[1])


def given(candidates: Any, tasks: Sequence[str], kind: str) -> Array:
    """The user's own candidates, array (n, K), from an array, `Points`, a frame or a file.

    Raises
    ------
    EvaluationsError
        For candidates over other tasks, or of another kind.
    """
    from ..formats.points import Points, names_column, read_points, wide_points
    from ..formats.table import Table

    if isinstance(candidates, str | Path):
        return read_points(candidates, tasks, kind).weights
    if isinstance(candidates, Points):
        X = candidates.weights
    elif hasattr(candidates, "columns"):
        table = Table(candidates.reset_index(drop=True), "candidates")
        X = wide_points(table, tasks, names_column(candidates, tasks)).weights
    else:
        X = np.atleast_2d(np.asarray(candidates, dtype=float))
    if X.ndim != 2 or X.shape[1] != len(tasks):
        raise EvaluationsError(f"candidates have shape {X.shape}; give one column for each of the {len(tasks)} tasks.")
    if problem := fault(X, kind, tasks, row="candidate", first=1):
        raise EvaluationsError(problem)
    return X


def candidates(asked: Asked, kind: str, X: Array, region: Region, most: int, rng: np.random.Generator) -> Array:
    """Draw masks or mixtures that can tell something of the question, array (n, K), n <= about ``most``.

    Parameters
    ----------
    asked : Asked
    kind : {'mask', 'mixture'}
    X : array (m, K)
        Those that were run; they may be run again.
    region : Region
    most : int
    rng : numpy.random.Generator
    """
    K = X.shape[1]
    if kind == "mixture":
        first, rest = _mixtures(asked, X, most, rng)
    elif K <= LISTED:
        first, rest = subsets(K).astype(float)[1:], np.zeros((0, K))
        if asked.name == "swap":
            first = first[first.sum(axis=1) == X[0].sum()]
        if near_full(asked):
            first = np.vstack([first[first.sum(axis=1) >= LEAST * K], 1.0 - asked.sets])
    else:
        first, rest = _masks(asked, X, most, rng)
    run = distinct(X)
    first, rest = (distinct(region.brought(part, rng)) for part in (first, rest))
    first, rest, run = (part[region.holds(part)] for part in (first, rest, run))
    if len(first) > most // 2 and K > LISTED:
        first = first[np.sort(rng.permutation(len(first))[: most // 2])]
    if len(run) > most // 3:
        run = run[np.sort(rng.permutation(len(run))[: most // 3])]
    return distinct(np.vstack([first, run, rest]))[:most]


def filled(X: Array, question: str, region: Region) -> tuple[Array, bool]:
    """Candidates X (n, K) and, of few tasks, all other masks that may be run behind them; whether these are all."""
    K = X.shape[1]
    if region.kind != "mask" or K > LISTED:
        return X, False
    every = subsets(K).astype(float)[1:]
    if question == "swap":
        every = every[np.isin(every.sum(axis=1), X.sum(axis=1))]
    return distinct(np.vstack([X, every[region.holds(every)]])), True


def among_rows(X: Array, own: Array) -> NDArray[np.bool_]:
    """Which rows of X (n, K) are rows of ``own`` (N, K), array (n,)."""
    there = set(keys(own))
    return np.array([row in there for row in keys(X)], bool)


def near_full(asked: Asked) -> bool:
    """Whether a question is asked at the full mask: what is far from it tells of it as far as tasks only add up."""
    return asked.name in ("leave-one-out", "groups") or (asked.name == "pairs" and asked.words.endswith("all"))


def distinct(X: Array) -> Array:
    """Rows (n, K), each once, in the order in which they first appear."""
    return X[first_of_each(X)]


def _masks(asked: Asked, X: Array, most: int, rng: np.random.Generator) -> tuple[Array, Array]:
    K, eye = X.shape[1], np.eye(X.shape[1])
    draw = lambda p, n: (rng.random((n, K)) < p).astype(float)
    full, singles = np.ones((1, K)), 1.0 - eye
    if asked.name == "swap":
        return np.zeros((0, K)), _of_sizes(np.full(most, X[0].sum()), K, rng)
    if asked.name != "shapley" and not near_full(asked):
        half = draw(0.5, most // 2)
        return np.vstack([half, 1.0 - half]), np.vstack([draw(p, most // 8) for p in (0.3, 0.7)])
    if asked.name == "shapley":
        return np.vstack([full, singles, eye]), _of_sizes(rng.integers(1, K + 1, size=most), K, rng)
    k, l = np.triu_indices(K, 1)
    some = rng.permutation(len(k))[: most // 4 if asked.name == "pairs" else most // 8]
    two = 1.0 - eye[k[some]] - eye[l[some]]
    rest = np.vstack([draw(max(1.0 - out / K, 0.75), most // 3) for out in OUT])
    return np.vstack([full, singles, full * (1.0 - asked.sets), two]), rest[rng.permutation(len(rest))]


def _of_sizes(sizes: NDArray, K: int, rng: np.random.Generator) -> Array:
    """Random masks (n, K) that hold so many tasks each, sizes (n,)."""
    rank = np.argsort(np.argsort(rng.random((len(sizes), K)), axis=1), axis=1)
    return (rank < sizes[:, None]).astype(float)


def _mixtures(asked: Asked, X: Array, most: int, rng: np.random.Generator) -> tuple[Array, Array]:
    w, K, blocks = asked.reference, X.shape[1], asked.blocks
    label = np.zeros(K, np.int64) if blocks is None else blocks
    share = np.equal.outer(label, label) @ w

    def dirichlet(alpha: Array, n: int) -> Array:
        out = np.zeros((n, K))
        for p in np.unique(label):
            own = np.flatnonzero(label == p)
            out[:, own] = share[own[0]] * rng.dirichlet(alpha[own], size=n)
        return out

    together = np.equal.outer(label, label).astype(float)
    corner = share[:, None] * np.eye(K) + (1.0 - together) * w  # each phase stays whole
    moved = [(1.0 - t) * w + t * corner for t in (0.05, 0.1, 0.2, 0.4, 0.7)]
    flat = dirichlet(np.ones(K), most // 2)
    mean = np.maximum(X.mean(axis=0), SMALL)
    near = dirichlet(np.maximum(w, SMALL) * 2.0 * K, most // 4)
    by_runs = dirichlet(mean * K, most // 4)
    blends = [(1.0 - t) * w + t * flat[: most // 8] for t in BLENDS]
    without = [w * (1.0 - asked.sets)] if len(asked.sets) else []
    rest = np.vstack([flat, near, by_runs, *blends])
    return np.vstack([w[None], *moved, *without]), rest[rng.permutation(len(rest))]
