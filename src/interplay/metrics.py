"""Scores of predictions and of effects: how well they rank, how far they are off, and how well they could do.

Spearman, Pearson, R^2 and relative error compare columns; LDS is the mean Spearman over targets on unseen masks.
Reliability rho of a truth averaged over n seeds is the correlation r of two halves, stepped up by Spearman-Brown,
rho = f r / (1 + (f - 1) r) with f = n / (seeds in a half); no correlation with it can exceed the ceiling sqrt(rho).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from .evaluations import Evaluations

__all__ = [
    "Difference",
    "LeaveOneOutEffects",
    "ceiling",
    "coverage",
    "interval_score",
    "lds",
    "leave_one_out_effects",
    "paired_bootstrap",
    "paired_difference",
    "pearson",
    "r2",
    "relative_error",
    "reliability",
    "spearman",
]


def pearson(a: ArrayLike, b: ArrayLike) -> float | np.ndarray:
    """Pearson correlation of two vectors (n,), or of each pair of columns (n, T) -> (T,).

    Entries that are NaN in either are left out; NaN where one side is constant.

    Examples
    --------
    >>> round(pearson([1, 2, 3], [2, 4, 6.5]), 3)
    0.998
    """
    return _by_column(_pearson, a, b)


def spearman(a: ArrayLike, b: ArrayLike) -> float | np.ndarray:
    """Spearman rank correlation of two vectors (n,), or of each pair of columns (n, T) -> (T,).

    Ties have their mean rank; entries that are NaN in either are left out; NaN where one side is constant.

    Examples
    --------
    >>> spearman([1, 2, 3], [10, 100, 1000])
    1.0
    """
    return _by_column(lambda x, y: _pearson(_ranks(x), _ranks(y)), a, b)


def r2(truth: ArrayLike, predicted: ArrayLike) -> float | np.ndarray:
    """Share of variance explained, 1 - sum (y - p)^2 / sum (y - mean y)^2: vectors, or each pair of columns."""

    def one(y: np.ndarray, p: np.ndarray) -> float:
        spread = float(np.sum((y - y.mean()) ** 2)) if len(y) else 0.0
        return float(1 - np.sum((y - p) ** 2) / spread) if spread > 0 else np.nan

    return _by_column(one, truth, predicted)


def relative_error(truth: ArrayLike, predicted: ArrayLike) -> float | np.ndarray:
    """Mean of |p - y| / |y|: vectors, or each pair of columns. Rows where y is zero are left out.

    It means something only beside that of the constant predictor: `relative_error(y, np.full_like(y, y.mean()))`.
    """

    def one(y: np.ndarray, p: np.ndarray) -> float:
        here = y != 0
        return float(np.mean(np.abs(p[here] - y[here]) / np.abs(y[here]))) if here.any() else np.nan

    return _by_column(one, truth, predicted)


def lds(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Linear datamodelling score: mean Spearman over targets of measured and predicted values (n, T).

    The rows must be masks that no fit has seen. Targets that are constant on either side are left out.
    """
    y, p = np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float)
    scores = np.atleast_1d(spearman(y, p))
    scores = scores[~np.isnan(scores)]
    return float(scores.mean()) if len(scores) else float("nan")


def interval_score(truth: ArrayLike, low: ArrayLike, high: ArrayLike, level: float = 0.95) -> float:
    """Mean interval score of central intervals (Gneiting and Raftery 2007): lower is better.

    (high - low) + 2 / (1 - level) times the distance by which the interval was missed.
    """
    y, lo, hi = _intervals(truth, low, high)
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; give a probability between 0 and 1.")
    if not len(y):
        return float("nan")
    missed = np.maximum(lo - y, 0) + np.maximum(y - hi, 0)
    return float(np.mean((hi - lo) + 2 / (1 - level) * missed))


def coverage(truth: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of the true values that lie inside their intervals."""
    y, lo, hi = _intervals(truth, low, high)
    return float(np.mean((lo <= y) & (y <= hi))) if len(y) else float("nan")


def reliability(
    effects: ArrayLike,
    *,
    method: Callable[[ArrayLike, ArrayLike], float | np.ndarray] = pearson,
    splits: int = 200,
    rng: np.random.Generator | None = None,
) -> float | np.ndarray:
    """Reliability of the mean over seeds of effects (n, K) -> float, or (n, K, T) -> (T,).

    The seeds are split in halves in all ways, or in `splits` random ones where there are more; the correlations r
    of the two means are averaged and stepped up to n seeds, f r / (1 + (f - 1) r) with f = n / floor(n / 2).

    Parameters
    ----------
    effects : array (n, K) or (n, K, T)
        One row per seed. Seeds with a NaN are left out (for a target, where it is theirs).
    method : callable
        `pearson` or `spearman`.
    splits : int
        The number of splits at most.
    rng : numpy.random.Generator, optional
        Draws the splits where there are more than `splits`; a fixed one when not given.

    Returns
    -------
    float, or array (T,)
        At most 1; NaN with fewer than two seeds or constant effects.
    """
    e = np.asarray(effects, dtype=float)
    if e.ndim == 3:
        one = [reliability(e[:, :, t], method=method, splits=splits, rng=rng) for t in range(e.shape[2])]
        return np.array(one, dtype=float)
    if e.ndim != 2:
        raise ValueError(f"effects have shape {e.shape}; give (seeds, K) or (seeds, K, T).")
    e = e[~np.isnan(e).any(axis=1)]
    n = len(e)
    half = n // 2
    if half < 1:
        return float("nan")
    scores = [float(method(e[a].mean(axis=0), e[b].mean(axis=0))) for a, b in _halves(n, half, splits, rng)]
    r, f = float(np.mean(scores)), n / half
    return f * r / (1 + (f - 1) * r) if 1 + (f - 1) * r > 0 else float("nan")


def ceiling(rho: ArrayLike) -> float | np.ndarray:
    """Highest correlation that anything can reach with a truth of reliability rho: sqrt(rho), 0 below zero.

    Examples
    --------
    >>> round(ceiling(0.81), 3)
    0.9
    """
    out = np.sqrt(np.maximum(np.asarray(rho, dtype=float), 0))
    return float(out) if out.ndim == 0 else out


class Difference(NamedTuple):
    """A paired difference a - b: its mean, the mean's standard error, and an interval."""

    mean: float
    se: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of the interval."""
        return self.low, self.high


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Difference:
    """Mean of a - b over pairs (n,), its standard error, and Student's interval; NaN pairs are left out.

    Examples
    --------
    >>> round(paired_difference([3, 4, 5], [1, 3, 3]).mean, 3)
    1.667
    """
    d = _paired(a, b)
    n = len(d)
    mean = float(d.mean()) if n else float("nan")
    if n < 2:
        return Difference(mean, float("nan"), float("nan"), float("nan"))
    from scipy.stats import t

    se = float(d.std(ddof=1) / np.sqrt(n))
    reach = float(t.ppf(0.5 + level / 2, n - 1)) * se
    return Difference(mean, se, mean - reach, mean + reach)


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, rng: np.random.Generator, *, draws: int = 2000, level: float = 0.95
) -> Difference:
    """Mean of a - b over pairs (n,) with a percentile interval from resampled pairs; NaN pairs are left out."""
    d = _paired(a, b)
    if not len(d):
        return Difference(*[float("nan")] * 4)
    means = d[rng.integers(len(d), size=(draws, len(d)))].mean(axis=1)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Difference(float(d.mean()), float(means.std(ddof=1)), float(low), float(high))


@dataclass(frozen=True)
class LeaveOneOutEffects:
    """Effects of leaving each task out, as benefits (positive: the task helps), measured and not modelled.

    Attributes
    ----------
    effects : array (K, T)
        Mean over seeds; NaN for a task whose mask was not run.
    per_seed : array (n, K, T)
        The effects of each seed; NaN where it was not run.
    seeds : array (n,)
        -1 and below stand for repeats whose seed was not stated.
    se : array (K, T)
        Standard error of the mean over seeds; NaN with one seed.
    coupled : bool
        Whether the differences were taken within seeds.
    """

    effects: np.ndarray
    per_seed: np.ndarray
    seeds: np.ndarray
    se: np.ndarray
    coupled: bool

    @property
    def reliability(self) -> np.ndarray:
        """Split-half reliability of the effects on each target (T,)."""
        return np.asarray(reliability(self.per_seed))

    @property
    def ceiling(self) -> np.ndarray:
        """Highest correlation that anything can reach with the effects on each target (T,)."""
        return np.asarray(ceiling(self.reliability))


def leave_one_out_effects(truth: Evaluations) -> LeaveOneOutEffects:
    """Compute leave-one-out effects from runs of the full mask and of the masks that lack one task.

    Within a seed the effect is F(1) - F(1 - e_k), negated where lower is better. Where the full mask was not run
    with a seed, or the notes say ``coupled: False``, the mean of the full mask over its seeds stands for F(1). Other
    rows are left alone; repeats of a mask and seed are averaged.

    Parameters
    ----------
    truth : Evaluations
        Masks of one fidelity; the full mask and at least one that lacks a single task must be among them.

    Raises
    ------
    ValueError
        Where these are not masks, or the full mask or all leave-one-out masks are missing.
    """
    if truth.kind != "mask":
        raise ValueError(f"truth is of kind {truth.kind!r}; leave-one-out effects are read from masks of 0 and 1.")
    words = sorted(set(truth.fidelity.tolist()))
    if len(words) > 1:
        raise ValueError(f"truth holds the fidelities {', '.join(words)}; choose one with truth.where(fidelity=...).")
    K, T = truth.K, truth.T
    lacking = K - truth.masks.sum(axis=1)
    full = np.flatnonzero(lacking == 0)
    single = np.flatnonzero(lacking == 1)
    for rows, what in ((full, "no run of the full mask"), (single, "no run that lacks exactly one task")):
        if not len(rows):
            raise ValueError(f"truth has {what}; masks.leave_one_out({K}) lists what is needed.")
    tasks = truth.masks[single].argmin(axis=1)
    seeds = _repeats_numbered(truth.seed, np.where(lacking == 1, truth.masks.argmin(axis=1), -1), lacking <= 1)
    reference, _ = _means(truth.values[full], seeds[full])
    overall = _nanmean(truth.values[full])
    coupled = truth.notes.get("coupled") is not False and bool(set(seeds[single]) & {s for s in reference if s >= 0})
    numbers = np.unique(seeds[single])
    if coupled and (numbers >= 0).any() and (numbers < 0).any():
        coupled = False
    per_seed = np.full((len(numbers), K, T), np.nan)
    for n, seed in enumerate(numbers):
        for k in range(K):
            rows = single[(tasks == k) & (seeds[single] == seed)]
            if len(rows):
                base = reference[int(seed)] if coupled and int(seed) in reference else overall
                base = np.where(np.isnan(base), overall, base)
                per_seed[n, k] = truth.benefit_sign * (base - _nanmean(truth.values[rows]))
    count = (~np.isnan(per_seed)).sum(axis=0)
    effects = _nanmean(per_seed)
    square = np.nansum((per_seed - effects) ** 2, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        se = np.where(count > 1, np.sqrt(square / (count - 1) / count), np.nan)
    return LeaveOneOutEffects(effects, per_seed, numbers, se, coupled)


def _repeats_numbered(seed: np.ndarray, group: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Give repeats of a mask whose seed was not stated the numbers -1, -2, ... ."""
    out = seed.copy()
    for g in np.unique(group[used]):
        rows = np.flatnonzero(used & (group == g) & (seed < 0))
        out[rows] = -1 - np.arange(len(rows))
    return out


def _means(values: np.ndarray, seeds: np.ndarray) -> tuple[dict[int, np.ndarray], int]:
    found = {int(s): _nanmean(values[seeds == s]) for s in np.unique(seeds)}
    return found, len(found)


def _nanmean(values: np.ndarray) -> np.ndarray:
    count = (~np.isnan(values)).sum(axis=0)
    total = np.nansum(values, axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _halves(n: int, half: int, most: int, rng: np.random.Generator | None) -> list[tuple[np.ndarray, np.ndarray]]:
    everyone = np.arange(n)
    pairs = comb(n, half) * comb(n - half, half) // 2
    if pairs <= most:
        out = []
        for a in combinations(range(n), half):
            rest = [i for i in range(n) if i not in a]
            out += [(np.array(a), np.array(b)) for b in combinations(rest, half) if a[0] < b[0]]
        return out
    rng = np.random.default_rng(0) if rng is None else rng
    shuffled = [rng.permutation(everyone) for _ in range(most)]
    return [(order[:half], order[half : 2 * half]) for order in shuffled]


def _by_column(score: Callable[[np.ndarray, np.ndarray], float], a: ArrayLike, b: ArrayLike) -> float | np.ndarray:
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape or x.ndim not in (1, 2):
        raise ValueError(f"shapes {x.shape} and {y.shape}; give two vectors (n,) or two tables (n, T) of one shape.")

    def one(u: np.ndarray, v: np.ndarray) -> float:
        here = ~(np.isnan(u) | np.isnan(v))
        return score(u[here], v[here])

    if x.ndim == 1:
        return one(x, y)
    return np.array([one(u, v) for u, v in zip(x.T, y.T, strict=True)], dtype=float)


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < 2:
        return float("nan")
    if np.ptp(x) <= 1e-14 * np.abs(x).max() or np.ptp(y) <= 1e-14 * np.abs(y).max():
        return float("nan")
    u, v = (x - x.mean()) / np.ptp(x), (y - y.mean()) / np.ptp(y)
    return float(np.clip((u @ v) / np.sqrt((u @ u) * (v @ v)), -1, 1))


def _ranks(x: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties with their mean rank."""
    _, inverse, count = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[inverse]


def _intervals(truth: ArrayLike, low: ArrayLike, high: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, lo, hi = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (truth, low, high)))
    here = ~(np.isnan(y) | np.isnan(lo) | np.isnan(hi))
    return y[here], lo[here], hi[here]


def _paired(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    x, y = np.asarray(a, dtype=float).ravel(), np.asarray(b, dtype=float).ravel()
    if x.shape != y.shape:
        raise ValueError(f"a has {len(x)} entries and b {len(y)}; give pairs.")
    d = x - y
    return d[~np.isnan(d)]
