"""Runs for finding the best mask or mixture: knowledge gradient and Thompson draws over a pool of good ones.

U(x) = mean over targets of benefits in standard deviations            (`Predictor.benefit`)
KG(c) = E max_x (mu(x) + s(x) Z) - max_x mu(x),   s(x) = cov(U(x), y_c) / sqrt(var(y_c) + noise(c)),  Z ~ N(0, 1)

how much higher the best posterior mean is expected to be once c was run, exactly: the upper envelope of lines. In a
batch the later runs are chosen after the earlier ones have come out in several ways (fantasies). Targets and members
are summed into one Gaussian process of U, linear in the links at the mean of the runs; of several targets only U is
taken to be seen, so gains are then lower bounds.

References
----------
Frazier, Powell & Dayanik, INFORMS J. on Computing 2009 (the exact formula); Ginsbourger, Le Riche & Carraro 2010
(fantasies in a batch); Thompson, Biometrika 1933.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from .beliefs import Arms, Belief
from .candidates import Region, among_rows, distinct

Array = NDArray[np.float64]
POOL = 240
WIDE = 100
DRAWN = 3000
ROUNDS = 6
FROM = 12  # whose neighbours are tried in every round
FANTASIES = 4
PROMISING = 40  # whose knowledge gradient is computed in every step
DRAWS = 2000
SPARSE = 0.3  # of the Dirichlet distribution of mixtures of few tasks
DEVIATIONS = 2.0  # above the mean: what U may well be


def knowledge_gradient(mean: Array, change: Array) -> float:
    """E max_i (mean_i + change_i Z) - max_i mean_i for Z ~ N(0, 1), exactly.

    Parameters
    ----------
    mean, change : array (N,)

    Examples
    --------
    >>> round(knowledge_gradient(np.zeros(2), np.array([0.0, 1.0])), 6)  # E max(0, Z)
    0.398942
    """
    top = int(np.lexsort((change, mean))[-1])
    gap, slope = mean[top] - mean, change - change[top]
    near = (gap <= 9.0 * np.abs(slope)) & (np.abs(slope) > 0)  # others are never on the envelope within |Z| < 9
    a, b = np.append(mean[near], mean[top]), np.append(change[near], change[top])
    order = np.lexsort((a, b))
    a, b = a[order], b[order]
    last = np.append(b[1:] > b[:-1], True)
    a, b = a[last].tolist(), b[last].tolist()
    kept, cuts = [0], [-np.inf]
    for i in range(1, len(a)):
        while True:
            j = kept[-1]
            z = (a[j] - a[i]) / (b[i] - b[j])
            if len(kept) == 1 or z > cuts[-1]:
                break
            kept.pop()
            cuts.pop()
        kept.append(i)
        cuts.append(z)
    steps, at = np.diff([b[k] for k in kept]), -np.abs(cuts[1:])
    return float((steps * (at * norm.cdf(at) + norm.pdf(at))).sum())


@dataclass(eq=False)
class Beliefs:
    """A Gaussian belief of U over a pool, and of what runs would show.

    Attributes
    ----------
    mean : array (N,)
    pool : array (N, N)
        Covariances over the pool.
    across : array (N, A)
        With the arms.
    arms : array (A, A)
        Among the noiseless arms.
    noise : array (A,)
    """

    mean: Array
    pool: Array
    across: Array
    arms: Array
    noise: Array

    @classmethod
    def of(cls, beliefs: Sequence[Belief], mean: Array, pool: Arms, arms: Arms, targets: int) -> Beliefs:
        """Sum the fits: U is the mean over ``targets``, and a variance of a fit counts its weight / targets^2."""
        both = pool + arms
        total, noise = np.zeros((len(both), len(both))), np.zeros(len(arms))
        for belief in beliefs:
            total += belief.weight * belief.covariance(both, both)
            noise += belief.weight * belief.noises(arms)
        total, N = total / targets**2, len(pool)
        return cls(mean, total[:N, :N], total[:N, N:], total[N:, N:], np.maximum(noise / targets**2, 1e-12))

    def changes(self) -> Array:
        """s (N, A)."""
        return self.across / np.sqrt(np.maximum(np.diagonal(self.arms), 0.0) + self.noise)

    def after(self, j: int) -> Beliefs:
        """Covariances after arm j was run; means as they were."""
        root = np.sqrt(max(float(self.arms[j, j]), 0.0) + self.noise[j])
        u, v = self.across[:, j] / root, self.arms[:, j] / root
        return Beliefs(
            self.mean,
            self.pool - np.outer(u, u),
            self.across - np.outer(u, v),
            self.arms - np.outer(v, v),
            self.noise,
        )

    def draws(self, n: int, rng: np.random.Generator) -> Array:
        """Functions over the pool (n, N)."""
        values, vectors = np.linalg.eigh(self.pool)
        z = rng.standard_normal((n, len(self.mean)))
        return self.mean + (z * np.sqrt(np.maximum(values, 0.0))) @ vectors.T

    def left(self, rng: np.random.Generator) -> Array:
        """What knowing g exactly would still bring, max_x U - U(argmax_x E U), in draws (DRAWS,)."""
        drawn = self.draws(DRAWS, rng)
        return drawn.max(axis=1) - drawn[:, int(np.argmax(self.mean))]


def gradient_batch(
    belief: Beliefs, batch: int, cost: Array, open_: NDArray[np.bool_], again: bool, rng: np.random.Generator
) -> tuple[list[int], list[float]]:
    """Pick arms by knowledge gradient per cost, the later ones over fantasies of the earlier; picks and gains."""
    picks: list[int] = []
    gains: list[float] = []
    free, means = open_.copy(), belief.mean[None]
    while len(picks) < batch and free.any():
        s = belief.changes()
        own = np.where(free, (s.max(axis=0) - s.min(axis=0)) / cost, -np.inf)
        some = np.argsort(-own, kind="stable")[:PROMISING]
        some = some[free[some]]
        found = np.array([np.mean([knowledge_gradient(m, s[:, c]) for m in means]) for c in some])
        top = int(np.argmax(found / cost[some]))
        j = int(some[top])
        picks.append(j)
        gains.append(float(found[top]))
        z = rng.standard_normal(FANTASIES // 2)
        means = (means if len(means) > 1 else np.repeat(means, FANTASIES, axis=0)) + np.outer(np.append(z, -z), s[:, j])
        belief, free[j] = belief.after(j), again
    return picks, gains


def thompson_batch(
    belief: Beliefs, batch: int, open_: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[list[int], list[float]]:
    """Pick the best points of posterior draws, each once while there are others.

    The first N arms are those of the N points of the pool. Gains are knowledge gradients of the picks in this order.
    """
    allowed = open_[: len(belief.mean)]
    free, picks = allowed.copy(), []
    for drawn in belief.draws(batch, rng):
        if not free.any():
            free = allowed.copy()
        if not free.any():
            break
        best = int(np.argmax(np.where(free, drawn, -np.inf)))
        free[best] = False
        picks.append(best)
    gains, now = [], belief
    for j in picks:
        gains.append(knowledge_gradient(now.mean, now.changes()[:, j]))
        now = now.after(j)
    return picks, gains


def worth(belief: Beliefs, picks: Sequence[int], rng: np.random.Generator) -> float:
    """What the batch together is expected to bring: E max of the posterior mean after it - max now, by draws."""
    j = list(picks)
    covariance = belief.arms[np.ix_(j, j)] + np.diag(belief.noise[j])
    values, vectors = np.linalg.eigh(covariance)
    root = vectors / np.sqrt(np.maximum(values, 1e-12))
    z = rng.standard_normal((DRAWS, len(j)))
    change = z @ (belief.across[:, j] @ root).T
    best = int(np.argmax(belief.mean))
    return max(float(((belief.mean + change).max(axis=1) - belief.mean[best] - change[:, best]).mean()), 0.0)


def pool(
    start: Array,
    kind: str,
    score: Callable[[Array], tuple[Array, Array]],
    region: Region,
    rng: np.random.Generator,
    everywhere: int = 0,
) -> tuple[Array, Array]:
    """Good masks or mixtures: the best of many, and their neighbours round after round.

    A search of its own beside those of `selection`, which take deviations off, since here what is uncertain may be
    the best.

    Parameters
    ----------
    start : array (n, K)
        Those that were run.
    kind : {'mask', 'mixture'}
    score : callable
        Points (n, K) -> means of U, and what it may well be at most, (n,) each.
    region : Region
    rng : numpy.random.Generator
    everywhere : int
        Points of all kinds beside the leading ones.

    Returns
    -------
    points, mean : array (N, K), (N,)
        Half of `POOL` of the highest mean, half of the highest that U may well be, and ``everywhere`` of all kinds:
        what leads is alike, and what may be best elsewhere is not seen beside it.
    """
    K, whole = start.shape[1], 1.0 if kind == "mask" else 1.0 / start.shape[1]
    wide = np.vstack([np.eye(K), _drawn(start, kind, rng)])
    wide = distinct(region.brought(wide, rng))
    points = distinct(np.vstack([region.brought(np.vstack([start, np.full((1, K), whole)]), rng), wide]))
    points, wide = points[region.holds(points)], wide[region.holds(wide)]
    if not len(points):
        return points, np.zeros(0)
    wide = np.vstack([wide[:K], rng.permutation(wide[K:])])[:everywhere]
    mean, upper = score(points)
    for _ in range(ROUNDS):
        leaders = np.union1d(np.argsort(-mean)[:FROM], np.argsort(-upper)[:FROM])
        near = _neighbours(points[leaders], kind, rng)
        near = distinct(region.brought(near, rng))
        near = near[region.holds(near)]
        near = near[~among_rows(near, points)]
        if not len(near):
            break
        more, most = score(near)
        points, mean, upper = np.vstack([points, near]), np.append(mean, more), np.append(upper, most)
        kept = leading(mean, upper, 2 * POOL, 0, rng)
        points, mean, upper = points[kept], mean[kept], upper[kept]
    kept = leading(mean, upper, POOL, 0, rng)
    points, mean = points[kept], mean[kept]
    wide = wide[~among_rows(wide, points)]
    return np.vstack([points, wide]), np.append(mean, score(wide)[0] if len(wide) else wide[:, 0])


def _drawn(start: Array, kind: str, rng: np.random.Generator) -> Array:
    """Masks of all sizes; mixtures of all kinds, of few tasks, and like those that were run (n, K)."""
    K = start.shape[1]
    if kind == "mask":
        return (rng.random((DRAWN, K)) < rng.random((DRAWN, 1))).astype(float)
    centre = np.maximum(start.mean(axis=0), 1e-3)
    return np.vstack([rng.dirichlet(alpha, size=DRAWN // 3) for alpha in (np.ones(K), np.full(K, SPARSE), centre * K)])


def leading(mean: Array, upper: Array, n: int, wide: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Points (at most n + wide,): half of n of the highest mean, half of the highest upper, others at random."""
    by_upper = np.argsort(-upper, kind="stable")
    by_mean = np.argsort(-mean, kind="stable")[: n // 2]
    by_upper = by_upper[~np.isin(by_upper, by_mean)]
    k = n - len(by_mean)
    return np.concatenate([by_mean, by_upper[:k], rng.permutation(by_upper[k:])[:wide]])


def _neighbours(X: Array, kind: str, rng: np.random.Generator) -> Array:
    """Masks with one task changed or two exchanged; mixtures with weight moved to or from a task."""
    K = X.shape[1]
    if kind == "mask":
        flips = np.abs(X[:, None] - np.eye(K)).reshape(-1, K)
        i, j = rng.integers(K, size=(2, len(X) * min(K, 24)))
        exchanged = np.repeat(X, min(K, 24), axis=0)
        rows = np.arange(len(exchanged))
        exchanged[rows, i], exchanged[rows, j] = exchanged[rows, j].copy(), exchanged[rows, i].copy()
        return np.vstack([flips, exchanged])
    t = rng.choice([0.02, 0.05, 0.1, 0.2], size=(len(X), 1, 1))
    more = (1.0 - t) * X[:, None] + t * np.eye(K)
    less = np.maximum(X[:, None] * (1.0 - rng.random((len(X), K, 1)) * np.eye(K)), 0.0)
    less = less / np.maximum(less.sum(axis=2, keepdims=True), 1e-12)
    return np.vstack([more.reshape(-1, K), less.reshape(-1, K)])
