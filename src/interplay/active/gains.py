"""How much a run would lower the variance of a question, exactly, and what is left to gain after it.

gain(c) = mean_l sum_f weight_f cov_f(L_l g, y_c)^2 / (var_f(y_c) + noise_f(c))

the fall of the mean posterior variance of the functionals L_l when c is run, whatever its value: the variance of a
Gaussian does not depend on it (hyper-parameters held fixed). After a pick j every covariance falls by a matrix of rank
one, so a batch chosen greedily knows its own members:

u = cov(., y_j) / sqrt(var(y_j) + noise_j),   cov(a, c) <- cov(a, c) - u_a u_c

A second opinion (`beliefs.cautious`) may have its say beside the fits: both count by the share of their own variance
that a run takes away. What is said of variances is what the fits say.

References
----------
Krause, Singh & Guestrin, JMLR 2008 (greedy placement of sensors); Cohn, Ghahramani & Jordan, JAIR 1996 (expected
variance as the criterion); Gramacy & Lee, Technometrics 2009 (ALC).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..readings.functional import Functional
from .beliefs import Arms, Belief

Array = NDArray[np.float64]


SECOND = 0.5  # weight of the second opinion


class _Part:
    """One belief: covariances with the question (n, A), variances (A,), and the picks' directions."""

    def __init__(self, belief: Belief, functional: Functional, arms: Arms):
        self.belief, self.arms = belief, arms
        R, self.variance = belief.question(functional)
        self.C = belief.rows(arms)
        self.W = belief.across(functional, R, arms, self.C)
        self.V = belief.own(arms, self.C)
        self.noise = np.maximum(belief.noises(arms), 1e-12)
        self.e = belief.levels(arms)
        self.CG = self.C @ belief.G.T
        self.number = belief.numbers(arms)
        self.taken: list[Array] = []

    def gains(self) -> Array:
        return self.belief.weight * np.einsum("na,na->a", self.W, self.W) / (self.V + self.noise)

    def column(self, j: int) -> Array:
        """cov(y_c, y_j) of all arms, as it is now."""
        b, x = self.belief, self.arms.weights
        k = b.kernel.matrix(x, x[j : j + 1])[:, 0] * b.between[self.number, self.number[j]]
        out = k - self.C @ (b.Q @ self.C[j]) + self.e @ (b.S @ self.e[j]) - self.e @ self.CG[j] - self.CG @ self.e[j]
        for u in self.taken:
            out -= u * u[j]
        return out

    def take(self, j: int) -> Array:
        """Fall of every functional's variance (n,), weighted."""
        root = np.sqrt(self.V[j] + self.noise[j])
        u, w = self.column(j) / root, self.W[:, j] / root
        self.W -= np.multiply.outer(w, u)
        self.V = np.maximum(self.V - u * u, 0.0)
        self.taken.append(u)
        return self.belief.weight * w * w


class Gains:
    """Gains of many arms for one question; `take` runs one of them, as far as variances go.

    Parameters
    ----------
    beliefs : sequence of Belief
    functional : Functional
    arms : Arms
    second : Belief, optional
        A second opinion on what to run.

    Attributes
    ----------
    variance : array (n,)
        Posterior variance of every functional, summed over fits with their weights.
    """

    def __init__(self, beliefs: Sequence[Belief], functional: Functional, arms: Arms, second: Belief | None = None):
        self.parts = [_Part(belief, functional, arms) for belief in beliefs]
        self.second = None if second is None else _Part(second, functional, arms)
        n = len(functional)
        self.variance = sum((p.belief.weight * p.variance for p in self.parts), start=np.zeros(n))
        self._start = float(self.variance.mean())

    def gains(self) -> Array:
        """Fall of the mean variance over functionals if an arm were run next, array (A,)."""
        return sum((p.gains() for p in self.parts), start=np.zeros(len(self.parts[0].V))) / len(self.variance)

    def merits(self) -> Array:
        """What arms are picked by, array (A,): gains as shares of the variance, of the fits and the second opinion."""
        own = self.gains() / max(self._start, 1e-300)
        if self.second is None:
            return own
        other = self.second.gains() / max(self.second.belief.weight * float(self.second.variance.sum()), 1e-300)
        return (1.0 - SECOND) * own + SECOND * other

    def take(self, j: int) -> float:
        """Run arm j; returns the fall of the mean variance."""
        fall = sum((p.take(j) for p in self.parts), start=np.zeros(len(self.variance)))
        self.variance = np.maximum(self.variance - fall, 0.0)
        if self.second is not None:
            self.second.take(j)
        return float(fall.mean())


def greedy(
    gains: Gains, batch: int, cost: Array, open_: NDArray[np.bool_], again: bool
) -> tuple[list[int], list[float]]:
    """Pick arms one after the other by merit per cost.

    Parameters
    ----------
    gains : Gains
    batch : int
    cost : array (A,)
    open_ : array (A,) of bool
        Arms that may be picked.
    again : bool
        Whether an arm may be picked twice: its noise is then drawn anew.

    Returns
    -------
    picks, falls : list of int, list of float
        At most ``batch``; the fall of the mean variance by each.
    """
    picks, falls, free = [], [], open_.copy()
    while len(picks) < batch and free.any():
        rate = np.where(free, gains.merits() / cost, -np.inf)
        j = int(np.argmax(rate))
        falls.append(gains.take(j))
        picks.append(j)
        free[j] = again
    return picks, falls
