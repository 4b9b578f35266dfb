"""Spike and slab over pairs of tasks: how probable it is that each interacts, beside freely fitted main effects.

Most interactions are 0; the others are normal, of `SLAB` standard errors each. For members A of the model, with
correlations R between the pairs' residuals, r theirs with y's, and n residual degrees of freedom (noise integrated out)

log p(y | A) = -1/2 log|I + SLAB^2 R_AA| - n/2 log(1 - r_A' (R_AA + I / SLAB^2)^-1 r_A) + constant.

Sets A are visited by tempered Gibbs sampling: every step gives the probability of every pair given the others, in
closed form; their weighted mean is the probability that a pair interacts.

References
----------
George & McCulloch, Variable selection via Gibbs sampling, JASA 1993; Zanella & Roberts, Scalable importance tempering
and Bayesian variable selection, JRSS B 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, stdtr

Array = NDArray[np.float64]
PAIRS = 9.0  # interacting pairs expected beforehand
SHARE = 4.5  # residual degrees of freedom for each of them, where there are fewer
SLAB = 5.2  # standard deviation of an interaction, in its own standard errors
PLAIN = 10.0  # |t| from which a named pair is fitted freely like a main effect: no slab shrinks it
STEPS, BURN, WANDER = 1200, 120, 5.0  # of the sampler; WANDER: pairs whose weight goes to a walk over all
MOST = 64  # pairs in a model
CELL = 2  # runs that must hold each of a pair's four combinations
HELD = 2e8  # bytes of correlations held


@dataclass(frozen=True, eq=False)
class Test:
    """Tests of N pairs on one target, see `discoveries.Discoveries`; ``noise`` is a standard deviation."""

    interaction: Array
    statistic: Array
    p: Array
    probability: Array
    q: Array
    noise: float


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs' products in what is orthogonal to the main effects, never held as a matrix.

    Attributes
    ----------
    centred : array (m, P)
    basis : array (m, r)
        Of the centred main effects.
    first, second : array (N,)
        Tasks of the pairs that can be tested; ``tested`` says which of all these are.
    norm : array (N,)
        Squared length of their residuals.
    """

    centred: Array
    basis: Array
    tested: NDArray[np.bool_]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    norm: Array
    held: dict[int, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, X: Array, pairs: NDArray[np.int64]) -> Pairs:
        """Prepare pairs (n, 2) of the masks X (m, P)."""
        m, (k, l) = len(X), pairs.T
        Z = X - X.mean(axis=0)
        U, s, _ = np.linalg.svd(Z, full_matrices=False)
        U = U[:, s > 1e-9 * max(float(s[0]), 1.0)]
        both, count = (X.T @ X)[k, l], X.sum(axis=0)
        fewest = np.min([both, count[k] - both, count[l] - both, m - count[k] - count[l] + both], axis=0)
        square = ((Z**2).T @ Z**2)[k, l]
        norm = square - (Z.T @ Z)[k, l] ** 2 / m
        for u in U.T:
            norm -= ((Z.T * u) @ Z)[k, l] ** 2
        tested = (fewest >= CELL) & (norm > 1e-6 * square)
        return cls(Z, U, tested, k[tested], l[tested], norm[tested])

    @property
    def freedom(self) -> int:
        """Residual degrees of freedom beside the main effects."""
        return len(self.centred) - 1 - self.basis.shape[1]

    def residual(self, y: Array) -> Array:
        """What the main effects leave of y (m,)."""
        y = y - y.mean()
        return y - self.basis @ (self.basis.T @ y)

    def products(self, y: Array) -> Array:
        """f_j' y / |f_j| for all pairs, array (N,), y being a residual: one P x P product."""
        return ((self.centred.T * y) @ self.centred)[self.first, self.second] / np.sqrt(self.norm)

    def correlations(self, j: int) -> Array:
        """Correlations of all pairs' residuals with that of pair j, array (N,)."""
        if j not in self.held:
            if 8.0 * len(self.norm) * len(self.held) > HELD:
                self.held.clear()
            f = self.centred[:, self.first[j]] * self.centred[:, self.second[j]]
            self.held[j] = self.products(self.residual(f) / np.sqrt(self.norm[j]))
        return self.held[j]

    def test(self, y: Array, level: float, rng: np.random.Generator) -> Test:
        """Probability, q and t of every pair on one target."""
        rest = self.residual(y)
        length, N = float(np.linalg.norm(rest)), len(self.norm)
        if not N or length <= 1e-9 * np.linalg.norm(y - y.mean()) or length <= 1e-12 * np.linalg.norm(y):
            return Test(np.zeros(N), np.zeros(N), np.ones(N), np.zeros(N), np.ones(N), 0.0)
        r, free = self.products(rest / length), np.zeros(0, dtype=np.int64)
        while True:
            probability = self.sample(r, free, rng)
            order = np.argsort(-probability, kind="stable")
            q = np.empty(N)
            q[order] = np.cumsum(1.0 - probability[order]) / np.arange(1, N + 1)
            t, estimate, freedom, noise = self.regression(r, np.flatnonzero(q <= level))
            plain = np.union1d(free, np.flatnonzero((q <= level) & (np.abs(t) >= PLAIN)))
            if len(plain) == len(free) or len(plain) > MOST // 2:
                break
            free = plain
        p = 2.0 * stdtr(freedom, -np.abs(t))
        return Test(estimate * length / np.sqrt(self.norm), t, p, probability, q, noise * length)

    def sample(self, r: Array, free: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """Probability that each pair interacts, with its likelier sign, array (N,).

        r : array (N,)
            Correlations of the pairs' residuals with the target's.
        free : array of int
            Pairs that are in every model and not shrunk.
        """
        N, n = len(r), self.freedom - len(free)
        log_odds = np.log(min(PAIRS, max(n, 1) / SHARE, N / 5) / N)
        most, A = min(max(n // 2 - 1, 1), MOST) + len(free), [int(j) for j in free]
        rows = np.empty((most, N))
        for a, j in enumerate(A):
            rows[a] = self.correlations(j)
        shrink = np.full(most, SLAB**-2.0)
        shrink[: len(free)] = 0.0  # free pairs stay first
        chances, signs, weight = np.zeros(N), np.zeros(N), 0.0
        for step, uniform in enumerate(rng.random(STEPS)):
            k = len(A)
            c, d, S = r.copy(), np.ones(N), 1.0
            if k:
                root = np.linalg.inv(np.linalg.cholesky(rows[:k, A] + np.diag(shrink[:k] + 1e-10)))
                W, u = root @ rows[:k], root @ r[A]
                c -= u @ W
                d -= np.einsum("kn,kn->n", W, W)
                S = max(1.0 - float(u @ u), 1e-12)
            d = np.maximum(d, 0.0) + SLAB**-2.0
            gain = -0.5 * np.log(SLAB**2 * d) - n / 2 * np.log1p(-np.minimum(c**2 / (d * S), 1 - 1e-12))
            if k == most:
                gain[:] = -np.inf
            if k:
                inverse = root.T @ root
                b, g = inverse @ r[A], np.diagonal(inverse)
                gain[A] = 0.5 * np.log(g * shrink[:k].clip(1e-300)) + n / 2 * np.log1p(b**2 / (g * S))
                c[A] = b
            gain = np.clip(gain + log_odds, -60.0, 60.0)
            chance = expit(gain)
            move = (chance + WANDER / N) * (1.0 + np.exp(gain))  # over the probability of being where the pair is
            move[gain <= -60.0] = 0.0
            move[A] = (chance[A] + WANDER / N) * (1.0 + np.exp(-gain[A]))
            move[free] = 0.0
            reach = np.cumsum(move)
            if reach[-1] <= 0:
                return np.zeros(N)
            if step >= BURN:
                chances += chance / reach[-1]
                signs += np.sign(c) * chance / reach[-1]
                weight += 1.0 / reach[-1]
            j = min(int(np.searchsorted(reach, uniform * reach[-1])), N - 1)
            if j in A:
                a = A.index(j)
                A.pop(a)
                rows[a : k - 1] = rows[a + 1 : k].copy()
            else:
                rows[k] = self.correlations(j)
                A.append(j)
        chances, signs = chances / weight, signs / weight
        found = (chances + np.abs(signs)) / 2
        found[free] = 1.0
        return found

    def regression(self, r: Array, members: NDArray[np.int64]) -> tuple[Array, Array, int, float]:
        """t and estimate of every pair given the members (of a member: given the others), in units of |y|."""
        k, d, c, S = len(members), np.ones(len(r)), r.copy(), 1.0
        freedom = max(self.freedom - k, 1)
        inverse, b = np.zeros((0, 0)), np.zeros(0)
        if k:
            C = np.array([self.correlations(int(j)) for j in members])
            inverse = np.linalg.pinv(C[:, members], hermitian=True)
            b = inverse @ r[members]
            c -= b @ C
            d -= np.einsum("kn,kn->n", C, inverse @ C)
            S = max(1.0 - float(b @ r[members]), 1e-12)
        told = d > 1e-6  # the others are combinations of the members
        estimate = np.divide(c, d, out=np.zeros_like(c), where=told)
        left = np.maximum(S - estimate * c, 1e-12)
        t = estimate * np.sqrt(np.where(told, d, 0.0) * max(freedom - 1, 1) / left)
        estimate[members] = b
        t[members] = b * np.sqrt(freedom / S / np.diagonal(inverse).clip(1e-12))
        return t, estimate, freedom, float(np.sqrt(S / freedom))

    def effects(self, y: Array, members: NDArray[np.int64]) -> Array:
        """Main effects by least squares beside the members, array (P,)."""
        F = self.centred[:, self.first[members]] * self.centred[:, self.second[members]]
        design = np.hstack([self.centred, F - F.mean(axis=0)])
        return np.linalg.lstsq(design, y - y.mean(), rcond=None)[0][: self.centred.shape[1]]
