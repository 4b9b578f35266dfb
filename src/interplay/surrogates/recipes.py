"""Recipes: the ways in which a member of a surrogate is fitted, each a small object with one verb.

`ClosedForm` searches kernels and noise levels by closed-form held-out errors (ridge, RBF), `relevance.Relevance` finds
length scales by likelihood (ARD), `Components` fits either to principal components of the targets, which then share
strength. Which of them make a stack depends on the kind of design and on its size (design: section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .features import SIZED
from .kernels import Kernel, candidates
from .links import Link
from .members import Fit, Member
from .relevance import Relevance
from .rows import Rows
from .search import Found, search

Array = NDArray[np.float64]
GAMMAS = np.array([0.1, 0.3, 1.0, 3.0])
SHARES = np.array([0.0, 0.5, 0.9])
NOISES = np.logspace(-4, 3, 15)
RIDGES = np.logspace(-3, 3, 13)
MANY_TARGETS = 50  # above, length scales are those of principal components of the targets
FEW_TARGETS = 3  # below, targets have no components worth the name
COMPONENTS = 30


class Recipe(Protocol):
    """A way to fit all targets at given links."""

    @property
    def name(self) -> str:
        """What the member is called."""
        ...

    def fit(self, X: Array, Y: Array, rows: Rows, link: Link, start: Array | None = None) -> Member:
        """Fit Y (m, T) at the links; ``start`` is the settings of another fit of the same recipe."""
        ...


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """Kernels scaled to the design, chosen by closed-form held-out errors.

    Attributes
    ----------
    name : str
    features : str
    gammas, shares, noises : array
        See `kernels.candidates`.
    settle, joint : bool
        See `search.search`.
    """

    name: str
    features: str
    gammas: Array
    shares: Array
    noises: Array
    settle: bool
    joint: bool = False

    def kernels(self, X: Array) -> list[Kernel]:
        """Kernels to choose from on rows X (m, K)."""
        return candidates(X, self.features, self.gammas, self.shares)

    def search(self, X: Array, Y: Array, rows: Rows, links: Sequence[tuple[Link, NDArray]]) -> Found:
        """Search over links too."""
        return search(X, Y, rows, self.kernels(X), self.noises, links, self.settle, self.joint)

    def fit(self, X: Array, Y: Array, rows: Rows, link: Link, start: Array | None = None) -> Member:
        """See `Recipe`."""
        return Member(self.name, self.search(X, Y, rows, [(link, np.arange(Y.shape[1]))]).fits)


@dataclass(frozen=True, eq=False)
class Scales:
    """Length scales per task."""

    name: str
    relevance: Relevance

    def fit(self, X: Array, Y: Array, rows: Rows, link: Link, start: Array | None = None) -> Member:
        """See `Recipe`."""
        fits, settings = self.relevance.fit(X, link.forward(Y), rows, start)
        return Member(self.name, tuple(fits), settings=settings)


@dataclass(frozen=True, eq=False)
class Components:
    """Another recipe, fitted to principal components of the standardised targets.

    z_t = centre_t + sd_t sum_c V_ct h_c; what is beyond the components counts as noise.
    """

    name: str
    recipe: Recipe
    most: int = COMPONENTS

    def fit(self, X: Array, Y: Array, rows: Rows, link: Link, start: Array | None = None) -> Member:
        """See `Recipe`."""
        Z = link.forward(Y)
        Z, centre = rows.without_levels(Z), (rows.solve_levels()[0] @ Z).mean(axis=0)
        deviation = np.sqrt((Z**2).mean(axis=0))
        deviation = np.where(deviation > 1e-12 * np.abs(centre), deviation, 1.0)
        U, s, V = np.linalg.svd(Z / deviation, full_matrices=False)
        kept = min(self.most, int((s > 1e-10 * max(s[0], 1e-300)).sum()) or 1)
        member = self.recipe.fit(X, U[:, :kept] * s[:kept], rows, Link.identity(kept), start)
        loadings, T = V[:kept] * deviation, Z.shape[1]
        spread = lambda fit: replace(fit, targets=np.arange(T), loadings=loadings[fit.targets])
        fits: tuple[Fit, ...] = tuple(spread(fit) for fit in member.fits)
        beyond = ((s[kept:, None] * V[kept:]) ** 2).sum(axis=0) / len(Z) * deviation**2
        return Member(self.name, fits, centre, beyond, member.settings)


def rbf(features: str) -> ClosedForm:
    """RBF + linear."""
    return ClosedForm("rbf", features, GAMMAS, SHARES, NOISES, True)


def coarse(features: str) -> ClosedForm:
    """One RBF + linear kernel and few noise levels: enough to choose links by."""
    return ClosedForm("coarse", features, np.array([0.3]), np.array([0.5]), NOISES[::2], False)


def linear(features: str, name: str = "linear") -> ClosedForm:
    """Ridge regression."""
    return ClosedForm(name, features, np.ones(1), np.ones(1), RIDGES, False)


def ard(features: str) -> Scales:
    """ARD + linear on the weights themselves, with priors for masks and weights or, on other features, for mixtures."""
    if features == "raw":
        return Scales("ard", Relevance())
    return Scales(f"ard {features}", Relevance(features, "raw", 1.0, 1.0, -4.0, 1.0, 3.0))


def stack(
    kind: str,
    T: int,
    features: str = "auto",
    ard_only: bool = False,
    large: bool = False,
    plain: bool = False,
    sized: bool = False,
) -> Sequence[Recipe]:
    """Members of the default surrogate, simplest first.

    Parameters
    ----------
    kind : str
        As `features.kind_of` says.
    T : int
        Number of targets.
    features : str
        One map for all members; 'auto' takes several for mixtures.
    ard_only : bool
        Nothing beside it but length scales per task.
    large : bool
        One kernel and noise level for all targets in each member, and no components.
    plain : bool
        No components of the targets.
    sized : bool
        Length scales per task on 'sized' features too, for masks that `features.sizes_tell` of.
    """
    maps = [features] if features != "auto" else ["both", "log"] if kind == "mixture" else ["raw"]
    simple: list[ClosedForm] = [rbf(maps[0])]
    if kind != "mixture" or features == "auto":
        simple.append(linear("raw" if features == "auto" else features))
    scales = [ard(features) for features in maps]
    if sized and features == "auto" and not ard_only:
        scales.append(Scales("ard sized", Relevance(SIZED)))
    if large:
        shared = [replace(s, relevance=replace(s.relevance, own=0.0)) for s in scales]
        return shared if ard_only else [*(replace(r, joint=True) for r in simple), *shared]
    many: Sequence[Recipe] = [Components(s.name, s) for s in scales] if T > MANY_TARGETS and not plain else scales
    if ard_only:
        return many
    several = kind != "mixture" and T >= FEW_TARGETS and not plain
    together = [Components("rbf of components", simple[0])] if several else []
    return [*simple, *together, *many]
