"""Which pairs of tasks interact, with few false ones among those that are named, from runs on masks.

y = b + sum_k w_k s_k + sum_j I_j f_j + noise,   f_kl = (s_k - mean s_k) (s_l - mean s_l)

I_j is the pair's interaction: the second difference, what both bring beyond the sum. P tasks have P (P - 1) / 2
pairs, more than runs: tested one at a time they drown in the variance of the others. Therefore all at once:

- Main effects are fitted freely by least squares: pairs are looked for in what is orthogonal to them.
- Each pair's probability of interacting is that of a model in which most are 0 (`spike_slab`).
- q = mean of 1 - probability over all pairs that are at least as probable: the expected share of false names among them
  (Müller et al. 2004; Storey 2003). A pair is named where q <= level. A name of the wrong sign counts as false.

The prior was set on games: at level .05 the share of false names stays below it for 0 to 12 interacting pairs of any
strength, and at most that share of additive games names a pair (`benchmarks/bench_pairs.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..repeats import averaged
from .functional import Reading
from .spike_slab import CELL, Pairs

Array = NDArray[np.float64]
LEAST = 10  # residual degrees of freedom
LIMIT = 50_000  # pairs
RESOLVED = 6.0  # standard errors from which most pairs are named


@dataclass(frozen=True, eq=False)
class Discoveries:
    """Every pair's test on every target, as benefits: positive means more than the sum of both.

    Each target is a table of its own: the false share is at most ``level`` on average in each, and so it is over all
    names of all targets. Where nothing interacts, up to ``level`` of the targets name a pair nevertheless.

    Attributes
    ----------
    pairs : array (n, 2) of int
    interaction : array (n, T)
        Least-squares estimate given main effects and the other named pairs, a benefit in the unit of the values.
    statistic, p : array (n, T)
        Its t and two-sided p-value; honest for the pairs that are not named, and for the named ones before selection.
        NaN, as the rest is, where a combination of both tasks was hardly run (`CELL`).
    probability : array (n, T)
        Posterior probability that the pair interacts with this sign.
    q : array (n, T)
        Expected share of false names among the pairs that are at least as probable.
    named : array (n, T) of bool
        q <= level.
    level : float
    resolution : array (T,)
        Size from which most pairs would be named: what is smaller may be there unseen.
    effects : array (P, T)
        Effects of single tasks, the others being in as often as in the runs.
    presence : array (P,)
        Share of the runs that hold each task.
    tasks, targets : tuple of str
    """

    pairs: NDArray[np.int64]
    interaction: Array
    statistic: Array
    p: Array
    probability: Array
    q: Array
    named: NDArray[np.bool_]
    level: float
    resolution: Array
    effects: Array
    presence: Array
    tasks: tuple[str, ...]
    targets: tuple[str, ...]

    def kind(self, pair: int, target: int = 0) -> str:
        """Synergy, redundancy or antagonism of one pair (row) on one target (column)."""
        from ..report.pairs import kind_of_pair

        (k, l), both = self.pairs[pair], float(self.interaction[pair, target])
        alone = self.effects[[k, l], target] - self.presence[[l, k]] * both  # while the other is out
        return kind_of_pair(both, float(alone[0]), float(alone[1]), 0.0)

    def silent(self, targets: NDArray[np.bool_]) -> Discoveries:
        """The same without names on some targets (T,), of which the runs tell too little: `withheld`."""
        away = targets[None, :]
        unknown = {name: np.where(away, np.nan, getattr(self, name)) for name in ("q", "probability")}
        return replace(self, named=self.named & ~away, **unknown)

    def withheld(self, target: int = 0) -> bool:
        """Whether pairs were tested on one target (column) and none is named, since too little is known of it."""
        return bool(np.isfinite(self.statistic[:, target]).any() and np.isnan(self.q[:, target]).all())

    def sentence(self, target: int = 0, limit: int = 5) -> str:
        """What was found on one target (column) in words, the ``limit`` surest pairs by name; by t among equals.

        Each has 1.96 of its standard errors, which leave out that it was picked from among all pairs.
        """
        from ..report.words import plain

        tested = np.isfinite(self.q[:, target])
        order = np.lexsort((-np.abs(self.statistic[:, target]), self.q[:, target]))
        found = order[self.named[order, target]]
        at, unseen = f"at {100 * self.level:.3g} % false discoveries", int((~tested).sum())
        words = []
        for n in found[:limit]:
            (k, l), both = self.pairs[n], float(self.interaction[n, target])
            half = 1.96 * abs(both / float(self.statistic[n, target]))
            name = f"{plain(self.tasks[k], 24)} + {plain(self.tasks[l], 24)}"
            words.append(f"{name} {self.kind(int(n), target)} ({both:+.3g} ± {half:.2g})")
        if len(found) > limit:
            words.append(f"{len(found) - limit} more")
        if words:
            half = "± half of the 95 % interval, each as if asked for alone"
            text = f"{len(found)} pair{'s' * (len(found) != 1)} named {at} ({half}): {', '.join(words)}."
        else:
            text = f"No pair of {int(tested.sum())} is named {at}"
            size = self.resolution[target]
            text += f"; most of those above {size:.2g} would be." if np.isfinite(size) and size > 0 else "."
        if unseen:
            text += f" {unseen} pairs cannot be tested: fewer than {CELL} runs hold one of their four combinations."
        return text


def discover(
    X: ArrayLike,
    y: ArrayLike,
    *,
    level: float = 0.05,
    higher_is_better: bool | ArrayLike = True,
    tasks: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    candidates: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Discoveries:
    """Name the pairs of tasks that interact, with an expected share of at most ``level`` false ones among them.

    Use masks around half (p = .5) and four runs per task or more; near-full masks hold few runs without both tasks, so
    that they name little. Give the values in the unit in which effects would add up (that of the surrogate's link):
    a saturating target makes all pairs interact.

    Parameters
    ----------
    X : array (m, P)
        Masks of 0 and 1. Runs of one mask are averaged.
    y : array (m,) or (m, T)
        Values.
    level : float
        False discovery rate.
    higher_is_better : bool or array (T,) of bool
        Directions; interactions of a target where lower is better are negated.
    tasks, targets : sequence of str, optional
    candidates : array (n, 2) of int, optional
        Pairs to test; all if not given. Chosen before the values were seen.
    rng : numpy.random.Generator, optional
        For the sampler; a fixed one if not given.

    Raises
    ------
    ValueError
        Where X are no masks, fewer than ``LEAST`` runs are left beside the main effects, or pairs are too many.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.random((64, 12)) < 0.5).astype(float)
    >>> y = X @ rng.normal(size=12) + 2.0 * X[:, 0] * X[:, 3] + 0.3 * rng.normal(size=64)
    >>> found = discover(X, y, tasks=list("abcdefghijkl"))
    >>> found.pairs[found.named[:, 0]].tolist()
    [[0, 3]]
    """
    X, Y = _checked(X, y, level)
    rng = np.random.default_rng(0) if rng is None else rng
    (m, P), T = X.shape, Y.shape[1]
    pairs = _pairs(P, candidates)
    system = Pairs.of(X, pairs)
    if system.freedom < LEAST:
        raise ValueError(
            f"X has {m} different masks of {P} tasks; pairs need {LEAST} or more degrees of freedom beside the "
            f"main effects. Run {LEAST - system.freedom} more, or merge tasks."
        )
    sign = np.broadcast_to(np.where(higher_is_better, 1.0, -1.0), (T,))
    n, tested = len(pairs), system.tested
    found = {name: np.full((n, T), np.nan) for name in ("interaction", "statistic", "p", "probability", "q")}
    resolution, effects = np.zeros(T), np.zeros((P, T))
    for t in range(T):
        test = system.test(Y[:, t], level, rng)
        for name, values in found.items():
            values[tested, t] = getattr(test, name)
        resolution[t] = RESOLVED * test.noise / np.sqrt(np.median(system.norm)) if len(system.norm) else np.nan
        effects[:, t] = system.effects(Y[:, t], np.flatnonzero(test.q <= level))
    found["interaction"] *= sign
    found["statistic"] *= sign
    return Discoveries(
        pairs=pairs,
        **found,
        named=found["q"] <= level,
        level=float(level),
        resolution=resolution,
        effects=effects * sign,
        presence=X.mean(axis=0),
        tasks=tuple(tasks) if tasks is not None else tuple(f"task_{k}" for k in range(P)),
        targets=tuple(targets) if targets is not None else tuple(f"target_{t}" for t in range(T)),
    )


def reliability(reading: Reading) -> Array:
    """How reproducible a reading's differences between its n pairs (or tasks) are, per target: array (T,) in 0 to 1.

    spread^2 / (spread^2 + mean deviation^2), the spread being that of the posterior means over pairs: the squared
    correlation of the reading with the truth that its posterior expects. Unlike split halves it asks the fit on all
    runs, and costs nothing; in games both lie below the squared correlation, this one nearer. NaN without intervals.
    """
    spread = reading.mean.var(axis=0)
    total = spread + (reading.deviation**2).mean(axis=0)
    return np.divide(spread, total, out=np.zeros_like(total), where=~(total <= 0))


def _checked(X: ArrayLike, y: ArrayLike, level: float) -> tuple[Array, Array]:
    X, Y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    Y = Y[:, None] if Y.ndim == 1 else Y
    if X.ndim != 2 or X.shape[1] < 2 or Y.ndim != 2 or len(X) != len(Y):
        raise ValueError(
            f"X has shape {X.shape} and y {np.shape(y)}; give masks (m, P), P >= 2, and values (m,) or (m, T)."
        )
    if not np.isin(X, (0.0, 1.0)).all():
        raise ValueError("X holds values other than 0 and 1; pairs are named from masks. Of mixtures read move_pairs.")
    if not np.isfinite(Y).all():
        raise ValueError("y holds NaN or infinite values; give each target with the runs that measured it.")
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}; a false discovery rate lies between 0 and 1, such as .05.")
    masks, _, mean = averaged(X, Y)
    return (X, Y) if len(masks) == len(X) else (masks, mean)


def _pairs(P: int, candidates: ArrayLike | None) -> NDArray[np.int64]:
    n = P * (P - 1) // 2 if candidates is None else len(np.asarray(candidates))
    if n > LIMIT:
        raise ValueError(
            f"{P} tasks have {n:,} pairs; {LIMIT:,} can be tested ({int((2 * LIMIT) ** 0.5)} tasks). With so many, "
            "only pairs of six and more standard errors could be told from chance: give candidates=, the pairs "
            "that you would act on, or merge tasks into groups."
        )
    if candidates is None:
        return np.stack(np.triu_indices(P, 1), axis=1)
    pairs = np.sort(np.asarray(candidates, dtype=np.int64).reshape(-1, 2), axis=1)
    if len(pairs) and (pairs.min() < 0 or pairs.max() >= P or (pairs[:, 0] == pairs[:, 1]).any()):
        raise ValueError(f"candidates hold a pair that is none; give two different tasks of 0 to {P - 1} a row.")
    if len(np.unique(pairs, axis=0)) < len(pairs):
        raise ValueError("candidates hold a pair twice; give each once.")
    return pairs
