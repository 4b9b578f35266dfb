"""Stacking: members weighted by how well they predict rows that they have not seen.

w_ft = e_ft^-4 / sum_f e_ft^-4,   e_ft = mean squared error of member f on held-out rows of target t

Groups of rows go to folds; in every fold all members are fitted anew, links, length scales and components included,
since errors at hyper-parameters that saw the row favour whoever has more of them. The stack's own held-out
predictions weigh the members by the errors in the other folds.             (design: section 3, Choosing, Stacking)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .links import Link
from .members import Member
from .noise import Noise
from .recipes import Recipe, coarse, linear
from .rows import Rows

Array = NDArray[np.float64]
POWER = 4  # 2 lets members of thrice the error spoil the best; equal members stay equal
Links = Sequence[tuple[Link, NDArray]]
Starts = Sequence[Member] | None


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

    def stacked(self, Y: Array) -> tuple[Array, Array]:
        """Mean and variance (m, T) of the stack, each fold with the weights that the others give."""
        mean, variance = np.empty_like(Y), np.empty_like(Y)
        for k in range(int(self.fold.max()) + 1):
            left = self.fold == k
            w = weights(self.mean[:, ~left], Y[~left])[:, None]
            mean[left] = (w * self.mean[:, left]).sum(axis=0)
            variance[left] = (w * (self.variance[:, left] + (self.mean[:, left] - mean[left]) ** 2)).sum(axis=0)
        return mean, variance


def weights(mean: Array, Y: Array) -> Array:
    """Weights (F, T) of members by the errors of their predictions (F, n, T) of held-out rows Y (n, T)."""
    error = ((mean - Y) ** 2).mean(axis=1)
    best = error.min(axis=0)
    ratio = np.where(best > 0, best / np.maximum(error, 1e-300), error <= best) ** POWER
    return ratio / ratio.sum(axis=0)


def folds(groups: NDArray) -> NDArray[np.int64]:
    """Fold of every row: groups at random from a fixed seed, 10 folds up to 128 rows, 5 above."""
    n = int(groups.max()) + 1
    count = min(10 if len(groups) <= 128 else 5, n)
    return (np.random.default_rng(0).permutation(n) % count)[groups]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Members fitted to the same rows.

    Attributes
    ----------
    link : Link
    members : list of Member
    noise : Noise or None
        How the noise depends on the mask.
    """

    link: Link
    members: list[Member]
    noise: Noise | None

    def held_out(self, X: Array, Y: Array, rows: Rows, left: NDArray) -> Iterator[tuple[Array, Array]]:
        """Yield mean and variance of a measurement (n, T) of the rows ``left`` by each member fitted to the others.

        In the targets' own units, and at the level of the row's own seed.
        """
        T, kept = Y.shape[1], ~left
        level = float(rows.basis.shape[1] > 0)
        relative = 1.0 if self.noise is None else self.noise.at(X[left])[:, None]
        for member in self.members:
            z, v = member.at(X[left], X[kept], level, T)
            if rows.basis.shape[1] > 1:
                z += rows.shift(kept, left, self.link.forward(Y[kept]) - member.at(X[kept], X[kept], level, T)[0])
            yield self.link.backward(z, v), self.link.backward_variance(z, v + relative * member.noise(T))


def fit_members(
    X: Array,
    Y: Array,
    rows: Rows,
    recipes: Sequence[Recipe],
    links: Links,
    maps: tuple[str, ...],
    starts: Starts = None,
) -> Fitted:
    """Choose the links with one coarse kernel, see whether noise depends on the mask, then fit all members.

    Where ridge on the features of another of the ``maps`` predicts a target better, and best as it is, it stays as
    it is: what is linear in shares would be bent by any link.

    ``starts`` are members to ascend from.
    """
    link = links[0][0] if len(links) == 1 else chosen_link(X, Y, rows, links, maps)
    noise = Noise.of(X, link.forward(Y), rows, maps[0]) if rows.uniform else None
    if noise is not None:
        rows = replace(rows, noise=noise.at(X))
    begin = [None] * len(recipes) if starts is None else [member.settings for member in starts]
    members = [recipe.fit(X, Y, rows, link, start) for recipe, start in zip(recipes, begin, strict=True)]
    return Fitted(link, members, noise)


def chosen_link(X: Array, Y: Array, rows: Rows, links: Links, maps: tuple[str, ...]) -> Link:
    """See `fit_members`."""
    found = coarse(maps[0]).search(X, Y, rows, links)
    link = found.link
    for name in maps[1:]:
        other = linear(name).search(X, Y, rows, links)
        link = link.plain(~other.link.log & (other.cv.error < found.cv.error))
    return link


def held_out(
    X: Array,
    Y: Array,
    rows: Rows,
    recipes: Sequence[Recipe],
    choose_links: Callable[[Array], Links],
    maps: tuple[str, ...],
    starts: Starts = None,
) -> HeldOut:
    """Predict every row by members fitted without its fold; ``choose_links`` makes candidates of the fitted Y."""
    fold = folds(rows.groups.index)
    mean, variance = np.empty((2, len(recipes), *Y.shape))
    for k in range(int(fold.max()) + 1):
        left = fold == k
        kept = rows.take(~left)
        if not np.ptp(X[~left], axis=0).any():  # nothing is switched there: nothing but the mean can be learnt
            level = Y[~left].mean(axis=0)
            mean[:, left] = level + rows.shift(~left, left, Y[~left] - level)
            variance[:, left] = rows.take(~left).without_levels(Y[~left]).var(axis=0)
            continue
        fitted = fit_members(X[~left], Y[~left], kept, recipes, choose_links(Y[~left]), maps, starts)
        for f, (mu, v) in enumerate(fitted.held_out(X, Y, rows, left)):
            mean[f, left], variance[f, left] = mu, v
    error = ((mean - Y) ** 2).mean(axis=1)
    return HeldOut(tuple(recipe.name for recipe in recipes), mean, variance, error, fold)
