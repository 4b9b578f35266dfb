"""Links: the unit in which a target is close to additive, one per target.

identity  z = y
log       z = log y                                    (targets that are positive everywhere)
floor     z = log(y - c),  c = min - delta x range     (losses: the logarithm of what is left to gain)
          z = log(c - y),  c = max + delta x range     (scores: accuracies, R^2, rewards)

with delta in {.05, .2, 1}, c from the fitted rows only. z falls as the target improves. Predictions come back in the
unit of the target as moments of the lognormal distribution  (design: section 3):

E |y - c| = exp(mu + v / 2),  Var = E^2 (exp v - 1)

while v is no more than the variance of z over the fitted rows. Where it is more it is the prior's, far from all rows,
and these moments would be those of a tail of which nothing was seen: the mean stays, the variance grows with v. Of
digits, 80 masks that hold 12 of 20 sources, losses of some classes with all sources were predicted as 10^9 where .3 was
measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LINKS = ("identity", "log", "floor")
DELTAS = (1.0, 0.2, 0.05)
FARTHEST = 600.0  # exponents are cut here, so that they stay finite


@dataclass(frozen=True, eq=False)
class Link:
    """The links of n targets.

    Attributes
    ----------
    sign : array (n,)
        0 for identity, +1 for y = c + exp z, -1 for y = c - exp z.
    bound : array (n,)
        c: the floor of a loss, the ceiling of a score, 0 for log y.
    most : array (n,)
        The largest variance in the unit of the link for which moments are those of the lognormal distribution.
    """

    sign: Array
    bound: Array
    most: Array

    @classmethod
    def identity(cls, n: int) -> Link:
        """The identity for n targets."""
        return cls(np.zeros(n), np.zeros(n), np.full(n, np.inf))

    @classmethod
    def logarithm(cls, sign: Array, bound: Array, Y: Array) -> Link:
        """Logarithms of the distances of targets Y (m, n) from their bounds (n,)."""
        link = cls(sign, bound, np.full(len(sign), np.inf))
        return replace(link, most=link.forward(Y).var(axis=0))

    @property
    def log(self) -> NDArray[np.bool_]:
        """Which targets have a logarithm, array (n,)."""
        return self.sign != 0

    def __getitem__(self, targets: NDArray) -> Link:
        """The links of some of the targets."""
        return Link(self.sign[targets], self.bound[targets], self.most[targets])

    def plain(self, which: NDArray[np.bool_]) -> Link:
        """The same with the identity for some targets."""
        return Link(*(np.where(which, *pair) for pair in ((0.0, self.sign), (0.0, self.bound), (np.inf, self.most))))

    def forward(self, y: Array) -> Array:
        """From the targets' own units (m, n) to those of the links."""
        if not self.log.any():
            return y
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.log, np.log(self.sign * (y - self.bound)), y)

    def backward(self, mean: Array, variance: Array) -> Array:
        """Means in the targets' own units from Gaussian means and variances (m, n) in those of the links."""
        if not self.log.any():
            return mean
        return np.where(self.log, self.bound + self.sign * self.size(mean, variance), mean)

    def size(self, mean: Array, variance: Array, farthest: float = FARTHEST) -> Array:
        """E exp z: the distance from the bound; exponents are cut at ``farthest``."""
        return np.exp(np.clip(mean + 0.5 * np.minimum(variance, self.most), -farthest, farthest))

    def backward_variance(self, mean: Array, variance: Array) -> Array:
        """Variances in the targets' own units."""
        if not self.log.any():
            return variance
        with np.errstate(divide="ignore"):
            exponent = 2.0 * np.log(self.size(mean, variance)) + np.log(self.relative(variance))
        return np.where(self.log, np.exp(np.minimum(exponent, FARTHEST)), variance)

    def relative(self, variance: Array, between: Array | None = None) -> Array:
        """Variances of exp z over the squares of its means: exp v - 1; covariances, where ``between`` gives those of z.

        All of them, or none, grow in proportion: so they remain covariances. ``variance`` is then the largest of them.
        """
        v = variance if between is None else between
        return np.where(variance <= self.most, np.expm1(np.minimum(v, FARTHEST)), self.slope * v)

    @property
    def slope(self) -> Array:
        """How fast relative variances (n,) grow beyond ``most``: as much as up to there, on average."""
        known = np.isfinite(self.most) & (self.most > 0)
        return np.divide(np.expm1(np.minimum(self.most, FARTHEST)), self.most, out=np.ones(len(known)), where=known)


def candidates(names: Sequence[str], Y: Array, higher_is_better: ArrayLike = False) -> list[tuple[Link, NDArray]]:
    """Links to choose from, each with the targets that can take it, simplest first; parameters as of `families`."""
    return [one for family in families(names, Y, higher_is_better) for one in family]


def families(names: Sequence[str], Y: Array, higher_is_better: ArrayLike = False) -> list[list[tuple[Link, NDArray]]]:
    """The `candidates` of every name together, which the same targets can take.

    Parameters
    ----------
    names : sequence of str
        Among `LINKS`.
    Y : array (m, T)
    higher_is_better : bool or array (T,) of bool

    Raises
    ------
    ValueError
        For an unknown name, or where a target can take none of them.
    """
    if isinstance(names, str) or not len(names) or not set(names) <= set(LINKS):
        raise ValueError(f"links={names!r}; give 'auto' or a sequence of {', '.join(map(repr, LINKS))}.")
    T, low, high = Y.shape[1], Y.min(axis=0), Y.max(axis=0)
    up = np.asarray(higher_is_better, dtype=bool)
    if up.shape not in ((), (T,)):
        raise ValueError(f"higher_is_better has shape {up.shape}; give one bool, or one for each of the {T} targets.")
    up = np.broadcast_to(up, (T,))
    found = []
    if "identity" in names:
        found.append([(Link.identity(T), np.arange(T))])
    if "log" in names:
        own = np.flatnonzero(low > 0)
        if "identity" not in names and "floor" not in names and len(own) < T:
            t = int(np.argmin(low))
            raise ValueError(
                f"links={names!r}, but target {t} has the value {low[t]:g} and a logarithm needs values > 0. "
                "Add 'identity'."
            )
        found.append([(Link.logarithm(np.ones(len(own)), np.zeros(len(own)), Y[:, own]), own)])
    if "floor" in names:
        own = np.flatnonzero(high - low > 1e-9 * np.maximum(np.abs(low), np.abs(high)))
        if len(own) < T and "identity" not in names:
            raise ValueError(f"links={names!r}, but target {np.argmin(high - low)} never changes. Add 'identity'.")
        sign = np.where(up[own], -1.0, 1.0)
        bounds = [np.where(up, high + delta * (high - low), low - delta * (high - low))[own] for delta in DELTAS]
        found.append([(Link.logarithm(sign, bound, Y[:, own]), own) for bound in bounds])
    return [family for family in found if len(family[0][1])]


def picked(found: Sequence[tuple[Link, NDArray]], chosen: NDArray[np.int64]) -> Link:
    """The links of all targets, ``chosen`` (T,) being the number of each one's among `candidates`."""
    out = Link.identity(len(chosen))
    for c, (link, own) in enumerate(found):
        taken = chosen[own] == c
        some, at = link[taken], own[taken]
        out.sign[at], out.bound[at], out.most[at] = some.sign, some.bound, some.most
    return out
