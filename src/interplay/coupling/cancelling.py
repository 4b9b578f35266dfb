"""How much of the noise between seeds the masks share, from the values of J masks under the same n seeds.

With X_jt (n,) the values of target t under mask j, about their mean,

    c = mean_t  mean_{j != l} X_jt'X_lt / mean_j X_jt'X_jt

is the share of the seeds' variance that cancels in the difference of two masks,
1 - var(X_j - X_l) / (var X_j + var X_l).
If a share rho is common to all masks, then (one-way analysis of variance, the seeds as groups)

    (1 + (J - 1) c) / (1 - c)  ~  (1 + (J - 1) rho) / (1 - rho) F(tau (n - 1), tau (n - 1) (J - 1)),

tau = 1 for one target; for T targets tau, between 1 and T, is how many independent ones they are worth. Were seeds
paired by chance, X_j'X_l had variance |M_jl|^2 / (n - 1) with M_jl = mean_t X_jt X_lt' (Hoeffding, 1951), so
tau = 1 / mean |M_jl|^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cancelled", "cancelled"]

#: Share that the noise of coupled trainings is held to have in common at least, and that of uncoupled ones at most
#: (they may share their initial weights).
SHARED, LITTLE = 0.5, 0.2


@dataclass(frozen=True)
class Cancelled:
    """Share of the seeds' variance that cancels, and whether it is clear.

    Attributes
    ----------
    share : float
        At most 1; about 0 where nothing is shared.
    by_chance : float
        Probability of so large a share where a fifth is shared.
    if_shared : float
        Probability of so small a share where half is shared.
    """

    share: float
    by_chance: float
    if_shared: float

    @property
    def verdict(self) -> bool | None:
        """True: shared; False: not; None: not clear."""
        if self.share >= SHARED and self.by_chance < 0.05:
            return True
        return False if self.if_shared < 0.02 else None


def cancelled(values: NDArray[np.float64]) -> Cancelled:
    """Compare the values of several masks under the same seeds.

    Parameters
    ----------
    values : (J, n, T) array
        J >= 2 masks, n >= 3 seeds, T targets.

    Returns
    -------
    Cancelled

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(5, 3))
    >>> found = cancelled(np.stack([noise, noise + [0.3, 0.1, -0.2]]))
    >>> round(found.share, 6), found.verdict
    (1.0, True)
    """
    from scipy.special import fdtr, fdtrc

    J, n, _ = values.shape
    X = values - values.mean(1, keepdims=True)
    scale = (X**2).sum(1).mean(0)
    moving = scale > 1e-24 * (values**2).max((0, 1))
    if not moving.any():
        return Cancelled(0.0, 1.0, 1.0)
    X = X[:, :, moving] / np.sqrt(scale[moving])
    T = X.shape[2]
    M = np.stack([X[j] @ X[l].T / T for j, l in combinations(range(J), 2)])
    c = float(np.clip(np.trace(M, axis1=1, axis2=2).mean(), -1 / (J - 1) + 1e-9, 1 - 1e-9))
    tau = float(np.clip(1 / max((M**2).sum((1, 2)).mean(), 1e-12), 1, T))
    F, d1, d2 = (1 + (J - 1) * c) / (1 - c), tau * (n - 1), tau * (n - 1) * (J - 1)
    much, little = ((1 + (J - 1) * rho) / (1 - rho) for rho in (SHARED, LITTLE))
    return Cancelled(c, float(fdtrc(d1, d2, F / little)), float(fdtr(d1, d2, F / much)))
