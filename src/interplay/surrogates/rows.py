"""Rows of a fit beside their masks: which belong together, how noisy each is, whose level it shares.

y = H b + f(x) + noise of variance sigma^2 lambda_i,   b with a flat prior

H is a column of ones, or one indicator per seed where runs are coupled (every mask of a seed shares initialisation
and batch order, so a seed shifts them all); a prediction is made at the mean of the seeds' levels (design: section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Groups:
    """Rows that are always left out together.

    Attributes
    ----------
    index : array (m,)
        Group of every row.
    blocks : tuple of arrays (g, size)
        The rows of all groups of one size, one group a row: what batched linear algebra wants.
    """

    index: NDArray[np.int64]
    blocks: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, labels: NDArray) -> Groups:
        """Group rows by equal labels (m,)."""
        index = np.unique(labels, return_inverse=True)[1].reshape(-1)
        order = np.argsort(index, kind="stable")
        counts = np.bincount(index)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        blocks = []
        for size in np.unique(counts):
            first = starts[counts == size]
            blocks.append(order[first[:, None] + np.arange(size)])
        return cls(index, tuple(blocks))

    @classmethod
    def of_rows(cls, X: Array) -> Groups:
        """Group equal rows of X (m, K): the seeds of one mask."""
        return cls.of(np.unique(X, axis=0, return_inverse=True)[1].reshape(-1))

    @property
    def single(self) -> bool:
        """Whether every row is a group of its own."""
        return len(self.blocks) == 1 and self.blocks[0].shape[1] == 1


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one fit.

    Attributes
    ----------
    groups : Groups
    noise : array (m,)
        Variance of each row's noise, in units of the common level.
    basis : array (m, p)
        Columns with a flat prior: ones, or one indicator per seed; p = 0 without a constant.
    asked : array (p,) of bool or None
        Columns at whose mean predictions are made; all of them if None.
    """

    groups: Groups
    noise: Array
    basis: Array
    asked: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls,
        X: Array,
        groups: ArrayLike | None = None,
        seeds: ArrayLike | None = None,
        noise: ArrayLike | None = None,
        constant: bool = True,
    ) -> Rows:
        """Check and complete what the user said of the rows of X (m, K).

        Equal rows of X are one group if ``groups`` (m,) is not given; without ``seeds`` (m,) there is one level;
        without ``noise`` (m,) all rows are equally noisy.

        Raises
        ------
        ValueError
            If one of them does not hold one entry per row, or a noise is not positive.
        """
        m = len(X)
        for name, given in (("groups", groups), ("seeds", seeds), ("noise", noise)):
            if given is not None and np.shape(given) != (m,):
                raise ValueError(f"{name} has shape {np.shape(given)}; give one entry for each of the {m} rows of X.")
        held = Groups.of_rows(X) if groups is None else Groups.of(np.asarray(groups))
        if held.index.max() == 0:
            held = Groups.of(np.arange(m))
        variance = np.ones(m) if noise is None else np.asarray(noise, dtype=np.float64)
        if not (np.isfinite(variance).all() and (variance > 0).all()):
            i = int(np.argmin(np.where(np.isfinite(variance), variance, -np.inf)))
            raise ValueError(f"noise[{i}] is {variance[i]:g}; give the variance of each row's noise, > 0.")
        variance = variance / np.exp(np.log(variance).mean())
        return cls(held, variance, _levels(np.zeros(m) if seeds is None else np.asarray(seeds), held, constant))

    @property
    def level(self) -> Array:
        """How a prediction takes the columns of the basis: the mean over those asked, array (p,)."""
        asked = np.ones(self.basis.shape[1]) if self.asked is None else self.asked.astype(float)
        return asked / max(asked.sum(), 1.0)

    @property
    def uniform(self) -> bool:
        """Whether all rows are equally noisy."""
        return bool((self.noise == 1.0).all())

    @property
    def plain(self) -> bool:
        """Whether there is nothing but one constant and one level of noise."""
        return self.basis.shape[1] == 1 and self.uniform

    def solve_levels(self) -> tuple[Array, Array]:
        """(H' D^-1 H)^-1 H' D^-1, array (p, m), and (H' D^-1 H)^-1: levels by weighted least squares."""
        H, D = self.basis, self.noise[:, None]
        gram = np.asarray(np.linalg.inv(H.T @ (H / D)), dtype=np.float64)
        return gram @ (H / D).T, gram

    def without_levels(self, A: Array) -> Array:
        """What the levels of seeds leave of the columns of A (m, n)."""
        return A - self.basis @ (self.solve_levels()[0] @ A)

    def shift(self, kept: NDArray, left: NDArray, residual: Array) -> Array:
        """How far the levels of the rows ``left`` lie from their mean, array (n, T); 0 for a seed that is not kept.

        ``residual`` (m - n, T) is what a prediction at the mean of the levels leaves of the rows ``kept``. Its means
        over seeds are the levels that were fitted, since theta sums to 0 over every seed (H' Q = 0).
        """
        there = self.take(kept)
        if there.basis.shape[1] < 2:
            return np.zeros((int(np.count_nonzero(left)), residual.shape[1]))
        own = self.basis[left][:, self.basis[kept].any(axis=0)]
        return own @ (there.solve_levels()[0] @ residual)

    def sample(self, most: int) -> NDArray[np.int64]:
        """Rows of randomly chosen whole groups, at most ``most`` in all (one group at least), from a fixed seed."""
        order = np.random.default_rng(0).permutation(int(self.groups.index.max()) + 1)
        counts = np.bincount(self.groups.index)[order].cumsum()
        chosen = order[: max(int((counts <= most).sum()), 1)]
        return np.flatnonzero(np.isin(self.groups.index, chosen))

    def take(self, kept: NDArray) -> Rows:
        """Keep some rows (a mask (m,) of bool or indices); seeds that lose all rows lose their level."""
        basis = self.basis[kept]
        left = basis.any(axis=0)
        asked = None if self.asked is None else self.asked[left]
        return Rows(Groups.of(self.groups.index[kept]), self.noise[kept], basis[:, left], asked)


def _levels(seeds: NDArray, groups: Groups, constant: bool) -> Array:
    """One indicator per seed; one column for all where a seed has one group, which would lose its level with it."""
    if not constant:
        return np.zeros((len(seeds), 0))
    names, index = np.unique(seeds, return_inverse=True)
    columns = (index.reshape(-1)[:, None] == np.arange(len(names))).astype(float)
    alone = any(np.ptp(groups.index[column > 0]) == 0 for column in columns.T)
    return np.ones((len(seeds), 1)) if alone else columns
