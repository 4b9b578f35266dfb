"""Means of a fitted surrogate at very many masks, faster than by predicting them one by one.

z(s) = b + sum_i theta_i exp(-sum_k gamma_k (s_k - x_ik)^2) + linear part

All subsets: the exponential factors into a part of the first tasks and one of the last, so that 2^P values are one
matrix product of 2^(P/2) x m and m x 2^(P/2). One task flipped: exp(-(d_i + change_ik)), an m x P matrix. Two swapped:
a product of two such. On 'sized' features all this holds among masks of one size. What comes out is the mean of g
alone; E exp(g) is larger by its variance: the benefits here are upper bounds where a log link leads to a floor or a
ceiling, and are said to be none elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..draws import subsets
from ..surrogates.base import GaussianSurrogate
from ..surrogates.features import SIZED, amount, transform, unit
from ..surrogates.kernels import Kernel, squared_distances
from ..surrogates.members import Member, by_kernel
from .objective import Objective

Array = NDArray[np.float64]
STEEPEST = 500.0  # exponents are cut here, so that they stay finite


@dataclass(frozen=True, eq=False)
class Part:
    """One kernel's share of one member in the targets that count.

    Attributes
    ----------
    kernel : Kernel
    rows : array (m, P)
    theta : array (m, J)
        Zero for targets that it has no part in.
    """

    kernel: Kernel
    rows: Array
    theta: Array

    @property
    def sized(self) -> bool:
        """Whether the product kernel sees the sizes of masks."""
        return self.kernel.features == SIZED

    @cached_property
    def seen(self) -> Array:
        """Features (m, P) of the rows that stand for single tasks."""
        return transform(self.rows, self.kernel.features)[:, : self.rows.shape[1]]

    def height(self, n: int) -> Array:
        """What the size of the rows leaves of the product kernel with masks of n tasks, array (m,)."""
        if not self.sized:
            return np.ones(len(self.rows))
        return np.exp(-self.kernel.gamma[-1] * (amount(n) - amount(self.rows.sum(axis=1))) ** 2)


@dataclass(frozen=True, eq=False)
class Landscape:
    """Upper bounds of what masks are worth by an objective.

    Attributes
    ----------
    objective : Objective
    """

    objective: Objective
    _latest: dict[bytes, dict[int, _Change]] = field(default_factory=dict, repr=False)

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """Targets (J,) of the predictor that the goals use."""
        return np.flatnonzero(np.abs(self.coefficients).any(axis=0))

    @cached_property
    def coefficients(self) -> Array:
        """Of the goals over the targets of the predictor."""
        return self.objective.matrix()[: len(self.objective.goals)]

    @cached_property
    def members(self) -> list[tuple[Array, Array, list[Part]]]:
        """Weight (J,), level (J,) and parts of every member of every surrogate."""
        found = []
        for own, choice in self.objective.predictor.choices:
            asked = np.flatnonzero(np.isin(self.targets, own))
            if not len(asked):
                continue
            columns = np.array([int(np.flatnonzero(own == t)[0]) for t in self.targets[asked]])
            for member, weights in zip(choice.surrogate.members_, choice.surrogate.weights_, strict=True):
                weight = np.zeros(len(self.targets))
                weight[asked] = weights[columns]
                found.append((weight, *self._parts(choice.surrogate, member, columns, asked)))
        return found

    def _parts(
        self, surrogate: GaussianSurrogate, member: Member, columns: NDArray, asked: NDArray
    ) -> tuple[Array, list[Part]]:
        J, rows = len(self.targets), member.rows(surrogate.X_)
        level, parts = np.zeros(J), []
        level[asked] = (np.zeros(surrogate.n_targets_) + member.centre)[columns]
        for kernel, fits in by_kernel(member.fits):
            theta = np.zeros((len(rows), J))
            for fit in fits:
                loadings = np.eye(len(fit.targets)) if fit.loadings is None else fit.loadings
                at = {int(t): j for j, t in enumerate(fit.targets)}
                for j, column in zip(asked, columns, strict=True):
                    if int(column) in at:
                        share = loadings[:, at[int(column)]]
                        theta[:, j] += fit.posterior.theta @ share
                        level[j] += surrogate.level_ * (fit.posterior.intercept @ share)
            if theta.any():
                parts.append(Part(kernel, rows, theta))
        return level, parts

    @cached_property
    def link(self) -> tuple[Array, Array]:
        """Sign and bound (J,) of the link of each target."""
        sign, bound = np.zeros(len(self.targets)), np.zeros(len(self.targets))
        for own, choice in self.objective.predictor.choices:
            for i, t in enumerate(own):
                here = self.targets == t
                sign[here], bound[here] = choice.surrogate.link_.sign[i], choice.surrogate.link_.bound[i]
        return sign, bound

    @property
    def bounds(self) -> bool:
        """Whether the values are upper bounds of what masks are worth."""
        up = np.array([goal.sign for goal in self.objective.goals])
        return bool((up[:, None] * self.coefficients[:, self.targets] * self.link[0] <= 0).all())

    def worth(self, z: Callable[[Part, int], Array], n: tuple[int, ...]) -> Array:
        """Return what masks are worth, array (*n,), where ``z`` gives a part's share of target j, array (*n,)."""
        (sign, bound), goals = self.link, self.objective.goals
        totals = [np.full(n, goal.offset) for goal in goals]
        for j, t in enumerate(self.targets):
            y = np.zeros(n)
            for weight, level, parts in self.members:
                if not weight[j]:
                    continue
                here = sum((z(part, j) for part in parts if part.theta[:, j].any()), start=np.full(n, level[j]))
                if sign[j]:
                    here = bound[j] + sign[j] * np.exp(np.minimum(here, STEEPEST))
                y += weight[j] * here
            for total, a in zip(totals, self.coefficients[:, t], strict=True):
                total += a * y
        benefits = [
            g.sign * (y - g.centre) / g.spread if g.spread else np.zeros(n) for g, y in zip(goals, totals, strict=True)
        ]
        return np.minimum.reduce(benefits)

    def at(self, X: Array) -> Array:
        """Values at masks (n, P), array (n,)."""
        return self.worth(lambda part, j: part.kernel.matrix(X, part.rows) @ part.theta[:, j], (len(X),))

    def flips(self, s: Array) -> Array:
        """Values after each single task of a mask (P,) is flipped, array (P,)."""
        changes = self._changes(s)

        def z(part: Part, j: int) -> Array:
            there, theta = changes[id(part)], part.theta[:, j]
            out = there.moved.T @ theta if part.kernel.rbf else np.zeros(len(s))
            return out + there.linear(theta, s) + there.slope(theta, s)

        return self.worth(z, (len(s),))

    def swaps(self, s: Array, out: NDArray[np.int64], into: NDArray[np.int64]) -> Array:
        """Values after tasks ``out`` (a,) leave a mask (P,) and ``into`` (b,) come in, each with each, array (a, b)."""
        changes = self._changes(s)

        def z(part: Part, j: int) -> Array:
            there, theta = changes[id(part)], part.theta[:, j]
            slope = there.slope(theta, s)
            total = np.add.outer(slope[out], slope[into]) + there.linear(theta, s)
            if part.kernel.rbf:
                entering = np.exp(np.minimum(-there.change[:, into], STEEPEST))
                total += (there.kept[:, out] * theta[:, None]).T @ entering
            return total

        return self.worth(z, (len(out), len(into)))

    def _changes(self, s: Array) -> dict[int, _Change]:
        """What flips of a mask do to every part; those of the last mask are kept."""
        if (key := s.tobytes()) not in self._latest:
            self._latest.clear()
            self._latest[key] = {id(part): _Change.of(part, s) for _, _, parts in self.members for part in parts}
        return self._latest[key]

    def all_subsets(
        self, free: NDArray[np.int64], fixed: Array, most: int = 1 << 17
    ) -> Iterator[tuple[NDArray[np.uint8], Array]]:
        """Yield all masks that set the free players (f,) in every way and the others as in ``fixed`` (P,).

        Blocks of masks (n, P) as uint8 and their values (n,), n at most about ``most``.
        """
        low, high = np.array_split(free, 2)
        rest = np.setdiff1d(np.arange(len(fixed)), free)
        near, far = subsets(len(low)), subsets(len(high))
        far = far[np.argsort(far.sum(axis=1), kind="stable")]  # few sizes in a block
        step = max(most // len(near), 1)
        near_half = self._half(np.concatenate([low, rest]), np.hstack([near, np.tile(fixed[rest], (len(near), 1))]))
        for start in range(0, len(far), step):
            bits = far[start : start + step]
            far_half = self._half(high, bits)

            def z(part: Part, j: int, far_half: dict[int, _Half] = far_half) -> Array:
                return far_half[id(part)].beside(near_half[id(part)], part.theta[:, j])

            values = self.worth(z, (len(bits), len(near)))
            masks = np.empty((len(bits), len(near), len(fixed)), np.uint8)
            masks[:] = fixed
            masks[:, :, low] = near
            masks[:, :, high] = bits[:, None]
            yield masks.reshape(-1, len(fixed)), values.ravel()

    def _half(self, own: NDArray[np.int64], S: Array) -> dict[int, _Half]:
        """Some players' columns S (n, f) of masks, for each part."""
        return {id(part): _Half(part, own, np.asarray(S, float)) for _, _, parts in self.members for part in parts}


@dataclass(frozen=True, eq=False)
class _Half:
    """Some players' columns of masks against those of a part's rows.

    Attributes
    ----------
    part : Part
    own : array (f,) of int
        The players.
    S : array (n, f)
    """

    part: Part
    own: NDArray[np.int64]
    S: Array

    @cached_property
    def size(self) -> NDArray[np.int64]:
        """How many of the players each mask holds, array (n,)."""
        return self.S.sum(axis=1).astype(int)

    @cached_property
    def product(self) -> Array:
        """Of the columns with those of the rows, array (n, m)."""
        return self.S @ self.part.rows[:, self.own].T

    @cached_property
    def factor(self) -> Array:
        """Their factor of the product kernel on the columns themselves, array (n, m)."""
        return self.at(self.S, 1.0)

    def at(self, S: Array, scale: float | Array) -> Array:
        """The factor (n, m) of masks S (n, f) where a task that is in counts ``scale``."""
        root = np.sqrt(self.part.kernel.gamma[self.own])
        return np.exp(-squared_distances(S * (scale * root), self.part.seen[:, self.own] * root))

    def beside(self, other: _Half, theta: Array) -> Array:
        """The part's share (n, l) in masks that are made of n of these halves and l others."""
        kernel = self.part.kernel
        total = kernel.linear * np.add.outer(self.product @ theta, other.product @ theta)
        if not kernel.rbf:
            return total
        if not self.part.sized:
            return total + kernel.rbf * ((self.factor * theta) @ other.factor.T)
        for one in np.unique(self.size):
            for two in np.unique(other.size):
                n, here, there = int(one + two), self.size == one, other.size == two
                weighed = self.at(self.S[here], unit(n)) * (theta * self.part.height(n))
                total[np.ix_(here, there)] += kernel.rbf * (weighed @ other.at(other.S[there], unit(n)).T)
        return total


@dataclass(frozen=True, eq=False)
class _Change:
    """What flipping each task of a mask does to a part.

    Attributes
    ----------
    part : Part
    change : array (m, P)
        By how much the squared distance from each row grows, as if the size of the mask stayed.
    kept : array (m, P)
        The product kernel with each row after the flip, as if the size stayed; empty where there is none.
    moved : array (m, P)
        The same with the size that it has then.
    """

    part: Part
    change: Array
    kept: Array
    moved: Array

    @classmethod
    def of(cls, part: Part, s: Array) -> _Change:
        kernel, rows, P = part.kernel, part.seen, len(s)
        if not kernel.rbf:
            return cls(part, *np.empty((3, 0, 0)))
        rates = kernel.gamma[:P]
        n, turn = int(s.sum()), 1.0 - 2.0 * s

        def after(size: int, height: Array) -> tuple[Array, Array]:
            """Growth of the squared distances, and the kernel after each flip, for masks of a size."""
            scale = unit(size) if part.sized else 1.0
            change = rates * ((scale * (1.0 - s) - rows) ** 2 - (scale * s - rows) ** 2)
            moved = np.add((scale * s - rows) ** 2 @ rates, change.T).T
            return change, kernel.rbf * height[:, None] * np.exp(-np.maximum(moved, 0.0))

        change, kept = after(n, part.height(n))
        if not part.sized:
            return cls(part, change, kept, kept)
        moved = np.empty_like(kept)
        for step in (-1, 1):
            if (some := turn == step).any():
                moved[:, some] = after(n + step, part.height(n + step))[1][:, some]
        return cls(part, change, kept, moved)

    def slope(self, theta: Array, s: Array) -> Array:
        """What each flip adds to the linear part, array (P,)."""
        return self.part.kernel.linear * (1.0 - 2.0 * s) * (theta @ self.part.rows)

    def linear(self, theta: Array, s: Array) -> float:
        """The linear part before any flip."""
        return self.part.kernel.linear * float(theta @ (self.part.rows @ s))
