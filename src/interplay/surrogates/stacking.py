"""Stacking: members weighted by how well they predict rows that they have not seen.

w_ft = (1 / e_ft^2) / sum_f (1 / e_ft^2),   e_ft = mean squared error of member f on held-out rows of target t

Groups of rows go to folds; in every fold all members are fitted anew, links, length scales and components included,
since errors at hyper-parameters that saw the row favour whoever has more of them. The stack's own held-out
predictions weigh the members by the errors in the other folds.             (design: section 3, Choosing, Stacking)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .links import Link
from .members import Member
from .recipes import ClosedForm, Recipe
from .rows import Rows

Array = NDArray[np.float64]
Links = Sequence[tuple[Link, NDArray]]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of held-out rows by every member, in the targets' own units.

    Attributes
    ----------
    names : tuple of str (F,)
    mean, variance : array (F, m, T)
        Variance of a measurement, noise included.
    error : array (F, T)
        Mean squared error.
    fold : array (m,)
    """

    names: tuple[str, ...]
    mean: Array
    variance: Array
    error: Array
    fold: NDArray[np.int64]

    def weights(self, Y: Array, rows: NDArray | slice = slice(None)) -> Array:
        """Weights of the members by their errors on ``rows``, array (F, T)."""
        error = ((self.mean[:, rows] - Y[rows]) ** 2).mean(axis=1)
        best = error.min(axis=0)
        ratio = np.where(best > 0, best / np.maximum(error, 1e-300), error <= best) ** 2
        return ratio / ratio.sum(axis=0)

    def without(self, f: int) -> HeldOut:
        """All members but one."""
        others = [i for i in range(len(self.names)) if i != f]
        return HeldOut(tuple(self.names[i] for i in others), self.mean[others], self.variance[others], self.error[others], self.fold)

    def stacked(self, Y: Array) -> tuple[Array, Array]:
        """Mean and variance (m, T) of the stack, each fold with the weights that the others give."""
        mean, variance = np.empty_like(Y), np.empty_like(Y)
        for k in range(int(self.fold.max()) + 1):
            left = self.fold == k
            w = self.weights(Y, ~left)[:, None]
            mean[left] = (w * self.mean[:, left]).sum(axis=0)
            variance[left] = (w * (self.variance[:, left] + (self.mean[:, left] - mean[left]) ** 2)).sum(axis=0)
        return mean, variance


def folds(groups: NDArray) -> NDArray[np.int64]:
    """Fold of every row: groups at random from a fixed seed, 10 folds up to 128 rows, 5 above."""
    n = int(groups.max()) + 1
    count = min(10 if len(groups) <= 128 else 5, n)
    return (np.random.default_rng(0).permutation(n) % count)[groups]


def fit_members(
    X: Array, Y: Array, rows: Rows, recipes: Sequence[Recipe], links: Links, starts: Sequence[Member] | None = None
) -> tuple[Link, list[Member]]:
    """Fit all members at the links that the first of them chooses; ``starts`` are members to ascend from."""
    first = recipes[0]
    assert isinstance(first, ClosedForm)
    found = first.search(X, Y, rows, links)
    Z, members = found.link.forward(Y), [Member(first.name, found.fits)]
    for i, recipe in enumerate(recipes[1:], start=1):
        members.append(recipe.fit(X, Z, rows, None if starts is None else starts[i].settings))
    return found.link, members


def held_out(
    X: Array, Y: Array, rows: Rows, recipes: Sequence[Recipe], choose_links, starts: Sequence[Member] | None = None
) -> HeldOut:
    """Predict every row by members fitted without its fold; ``choose_links`` makes candidates of the fitted Y."""
    fold, T = folds(rows.groups.index), Y.shape[1]
    mean, variance = np.empty((2, len(recipes), *Y.shape))
    for k in range(int(fold.max()) + 1):
        left = fold == k
        kept = rows.take(~left)
        level = float(kept.basis.shape[1] > 0)
        if not np.ptp(X[~left], axis=0).any():  # nothing is switched there: nothing but the mean can be learnt
            mean[:, left], variance[:, left] = Y[~left].mean(axis=0), Y[~left].var(axis=0)
            continue
        link, members = fit_members(X[~left], Y[~left], kept, recipes, choose_links(Y[~left]), starts)
        for f, member in enumerate(members):
            z, v = member.at(X[left], X[~left], level, T)
            mean[f, left] = link.backward(z, v)
            variance[f, left] = link.backward_variance(z, v + member.noise(T))
    error = ((mean - Y) ** 2).mean(axis=1)
    return HeldOut(tuple(recipe.name for recipe in recipes), mean, variance, error, fold)
