"""Several fidelities in one surrogate: cheap runs and dear ones, small models and large, estimates and retrainings.

Kernels and length scales are those of the fidelity with most masks (the base), the unit the one in which the others
differ from it by a shift; they are tied to it (`coupling`), and the posterior is that of the fidelity asked about.
Held-out rows are those of that fidelity: their mask is left out of every fidelity, and everything but the unit, and the
ties of more than `REFITTED` runs, is found anew.                              (design: section 3, Multi-fidelity)
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import GaussianSurrogate
from .coupling import Beside, Coupling, condition, couple
from .features import sizes_tell
from .gaussian import Posterior, Spectrum
from .kernel import LARGE
from .links import Link, picked
from .members import Fit, Member
from .recipes import MANY_TARGETS, ClosedForm, Recipe, coarse, linear, stack
from .rows import Groups, Rows
from .search import WIDEST, CrossValidation
from .stacking import Fitted, fit_members, folds, weights
from .sums import better, sums

Array = NDArray[np.float64]
FEWEST = 3  # runs of the fidelity asked about
GAPS = (False, True)
FARTHEST = 1e6  # that the noise of two fidelities lies apart
MANY_ROWS = 128  # above, there are 5 folds and not 10
REFITTED = 60  # runs beside the base above which their coupling is not found anew in every fold


class FidelitySurrogate(GaussianSurrogate):
    """Surrogate of one fidelity from the runs of several: estimates beside retrainings, small models beside large ones.

    Parameters
    ----------
    at : str, optional
        The fidelity that predictions and readings are about; the one of the last row if not given.
    links : 'auto' or sequence of str
        See `KernelSurrogate`.
    features : str
        See `KernelSurrogate`.
    higher_is_better : bool or sequence of bool (T,)
        See `KernelSurrogate`.

    Attributes
    ----------
    fidelities_ : tuple of str (F,)
    coupling_ : Coupling
        Scale and correlation of every fidelity with the base, and its noise.
    gap_ : array (T,)
        Weight of the couplings with a function of their own, against those that only scale. How sure both are is
        what the former say: a copy that only scales would take the cheap runs for the dear.
    base_, at_ : int
        Numbers of the fidelity with most masks and of the one asked about.
    cv_ : CrossValidation
        Of the rows of the fidelity asked about, in their order.
    own_ : array (m,) of bool
        Which rows those are.
    """

    given_up_ = ""

    def __init__(
        self, at: str | None = None, *, links: Any = "auto", features: str = "auto", higher_is_better: Any = False
    ):
        self.at = at
        self.links = links
        self.features = features
        self.higher_is_better = higher_is_better

    constant = True

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        fidelity: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        seeds: ArrayLike | None = None,
        noise: ArrayLike | None = None,
    ) -> Self:
        """Fit all targets.

        Parameters
        ----------
        X : array (m, K)
        y : array (m,) or (m, T)
        fidelity : array (m,) of str
            Of every row.
        groups, seeds, noise : array (m,), optional
            See `GaussianSurrogate.fit`; rows of one mask are one group, whatever their fidelity.

        Raises
        ------
        ValueError
            If fewer than 3 rows are of the fidelity asked about.
        """
        self._said = fidelity, seeds
        try:
            return super().fit(X, y, groups, None, noise)
        finally:
            del self._said

    def _fit(self, X: Array, Y: Array, rows: Rows) -> None:
        words, seeds = (None if given is None else np.asarray(given) for given in self._said)
        words = np.full(len(X), "") if words is None else words.astype(str)
        for name, given in (("fidelity", words), ("seeds", seeds)):
            if given is not None and given.shape != (len(X),):
                raise ValueError(f"{name} has shape {given.shape}; give one entry for each of the {len(X)} rows of X.")
        at = str(words[-1]) if self.at is None else self.at
        if (count := int((words == at).sum())) < FEWEST:
            raise ValueError(f"at={at!r}: {count} rows are of this fidelity; at least {FEWEST} are needed.")
        self.fidelities_ = tuple(dict.fromkeys(words.tolist()))
        fidelity = np.array([self.fidelities_.index(word) for word in words])
        self.at_ = self.fidelities_.index(at)
        masks = [len(np.unique(X[fidelity == f], axis=0)) for f in range(len(self.fidelities_))]
        self.base_ = int(np.argmax(masks))
        self.own_ = fidelity == self.at_
        rows = self.rows_ = _levels(rows, fidelity, self.at_, seeds)
        T = Y.shape[1]
        large = max(masks) > LARGE or T > MANY_TARGETS
        recipes = stack(self.kind_, T, self.features, large=large, plain=True, sized=sizes_tell(X))
        names, links = len(masks), self._links(Y)
        plan = _Plan(self._maps, links, recipes, names, fidelity, self.base_, self.at_)
        found = plan.fit(X, Y, rows)
        self.link_, self.coupling_ = found.base.link, found.coupling(names, True)
        self.members_ = plan.members(X, Y, rows, found)
        self._given = (plan, X, Y, rows, found)
        self.weights_, mean, variance = plan.held_out(X, Y, rows, found)
        self.gap_ = self.weights_[len(self.weights_) // 2 :].sum(axis=0)
        own, index = Y[self.own_], rows.groups.index[self.own_]
        self.sums_ = better(sums(Y), own, mean, variance, folds(Groups.of(index).index))
        self.cv_ = CrossValidation.of(mean, variance, own, index)

    @property
    def affordable(self) -> bool:
        """Whether `with_run` is quick, and there is what it starts from: not after loading."""
        return hasattr(self, "_given") and len(self.X_) ** 3 * len(self.fits_) < 2e10

    def heaviest(self) -> FidelitySurrogate:
        """The same with one member alone, the one of most weight among those with a gap."""
        plan, X, Y, rows, found = self._given
        half = len(self.members_) // 2
        first = int(self.weights_.reshape(2, half, -1).sum(axis=(0, 2)).argmax())
        out = copy(self)
        out.members_, out.weights_ = [self.members_[half + first]], np.ones((1, self.n_targets_))
        alone = replace(found, base=replace(found.base, members=[found.base.members[first]]))
        out._given = (replace(plan, gaps=(True,)), X, Y, rows, alone)
        return out

    def with_run(self, mask: Array, fidelity: int) -> FidelitySurrogate:
        """The same with one more run of a mask (K,) that comes out as predicted: its variances are what it brings."""
        plan, X, Y, rows, found = self._given
        basis = np.eye(rows.basis.shape[1])[[int(rows.basis[plan.fidelity == fidelity].sum(axis=0).argmax())]]
        index = np.append(rows.groups.index, rows.groups.index.max() + 1)
        more = Rows(Groups.of(index), np.append(rows.noise, 1.0), np.vstack([rows.basis, basis]), rows.asked)
        plan = replace(plan, fidelity=np.append(plan.fidelity, fidelity))
        out = copy(self)
        X, Y = np.vstack([X, mask]), np.vstack([Y, Y.mean(axis=0)])
        out.X_, out.rows_, members = X, more, []
        for new, old in zip(plan.members(X, Y, more, found), self.members_, strict=True):
            fits = (
                replace(fit, posterior=_as_predicted(fit.posterior, before.posterior))
                for fit, before in zip(new.fits, old.fits, strict=True)
            )
            members.append(replace(new, fits=tuple(fits)))
        out.members_ = members
        return out


@dataclass(frozen=True, eq=False)
class _Found:
    """The base's members, fitted to rows X, and what ties the other fidelities to them, without a gap and with one."""

    base: Fitted
    X: Array
    settings: dict[tuple[int, bool], Array]
    variance: Array

    def coupling(self, F: int, gap: bool) -> Coupling:
        """For F fidelities."""
        T = len(self.variance)
        scale, correlation, noise = np.ones((F, T)), np.ones((F, T)), np.full((F, T), np.nan)
        for (f, own), (_, *found) in self.settings.items():
            if own == gap:
                p = np.array(found)
                scale[f], noise[f] = np.exp(p[:, 0]), np.exp(p[:, 2])
                correlation[f] = np.sqrt(1.0 / (1.0 + np.exp(p[:, 1])))
        return Coupling(scale, correlation, noise)


@dataclass(frozen=True, eq=False)
class _Plan:
    """How all runs are fitted: the same for all rows and for those of a fold."""

    maps: tuple[str, ...]
    links: Sequence[tuple[Link, NDArray]]
    recipes: Sequence[Recipe]
    names: int
    fidelity: NDArray[np.int64]
    base: int
    at: int
    gaps: tuple[bool, ...] = GAPS

    def fit(self, X: Array, Y: Array, rows: Rows, start: _Found | None = None) -> _Found:
        """Fit the base, then couple every other fidelity to it; ``start`` is a fit of more rows."""
        T, base = Y.shape[1], np.flatnonzero(self.fidelity == self.base)
        kept = base[rows.take(base).sample(LARGE)] if len(base) > LARGE else base
        link = self.link(X, Y, rows) if start is None else start.base.link
        members = None if start is None else start.base.members
        own = replace(rows.take(kept), asked=None)
        fitted = fit_members(X[kept], Y[kept], own, self.recipes, [(link, np.arange(T))], self.maps, members)
        Z = fitted.link.forward(Y)
        variance = own.without_levels(Z[kept]).var(axis=0)
        settings: dict[tuple[int, bool], Array] = {}
        for f in range(self.names):
            other = np.flatnonzero(self.fidelity == f)
            other = other[:: -(-len(other) // LARGE)]  # at most so many, evenly
            if f == self.base or not len(other):
                continue
            if start is not None and len(other) > REFITTED:
                settings |= {key: value for key, value in start.settings.items() if key[0] == f}
                continue
            there, seen = replace(rows.take(other), asked=None), []
            for t in range(T):
                fit, column = _of_target(fitted.members[0], t)
                seen.append(Beside.of(fit, column, X[kept], X[other], Z[other, t], there, float(variance[t])))
            for gap in GAPS:
                settings[f, gap] = couple(seen, gap, None if start is None else start.settings[f, gap])
        return _Found(fitted, X[kept], settings, variance)

    def link(self, X: Array, Y: Array, rows: Rows) -> Link:
        """The links under which the fidelities differ by a shift, as far as one coarse kernel predicts held-out rows.

        Every fidelity has its level, and its mean squared error counts once, whatever its number of rows.
        """
        if len(self.links) == 1:
            return self.links[0][0]
        kept = np.union1d(np.flatnonzero(self.fidelity == self.at), rows.sample(LARGE))
        X, Y, rows, number = X[kept], Y[kept], rows.take(kept), self.fidelity[kept]
        share = 1.0 / np.bincount(number)[number]
        least, chosen = self._swept(coarse(self.maps[0]), X, Y, rows, share)
        for name in self.maps[1:]:  # see `stacking.fit_members`
            error, other = self._swept(linear(name), X, Y, rows, share)
            chosen[~self.links[0][0].log.any() & (other == 0) & (error < least)] = 0
        return picked(self.links, chosen)

    def _swept(
        self, recipe: ClosedForm, X: Array, Y: Array, rows: Rows, share: Array
    ) -> tuple[Array, NDArray[np.int64]]:
        """Least held-out error of each target under any link, rows weighted by ``share`` (m,), and which link it is."""
        least, chosen = np.full(Y.shape[1], np.inf), np.zeros(Y.shape[1], np.int64)
        (kernel,) = recipe.kernels(X)
        spectrum = Spectrum.of(kernel.matrix(X, X), rows)
        for c, (link, own) in enumerate(self.links):
            swept = spectrum.sweep(link.forward(Y[:, own]), recipe.noises, rows.groups)
            for nu, (z, v, amplitude) in zip(recipe.noises, swept, strict=True):
                known = np.maximum(v - nu * rows.noise, 0.0)[:, None] * amplitude
                with np.errstate(over="ignore"):
                    error = share @ (link.backward(z, known) - Y[:, own]) ** 2
                less = error < least[own] * (1.0 - 1e-9)
                least[own[less]], chosen[own[less]] = error[less], c
        return least, chosen

    def members(self, X: Array, Y: Array, rows: Rows, found: _Found) -> list[Member]:
        """Every member of the base conditioned on the runs of all fidelities, without a gap and then with one.

        How sure those without are is what those with one say.
        """
        Z, T = found.base.link.forward(Y), Y.shape[1]
        couplings = [found.coupling(self.names, gap) for gap in self.gaps]
        out: list[list[Member]] = [[] for _ in self.gaps]
        for member in found.base.members:
            fits: list[list[Fit]] = [[] for _ in self.gaps]
            for t in range(T):
                fit, column = _of_target(member, t)
                unit = fit.noise * float(fit.amplitude[column])
                credible = _credible(fit, column, found.X, float(found.variance[t]))
                for here, coupling in zip(fits, couplings, strict=True):
                    noise = coupling.noise[:, t] * found.variance[t] / unit if unit > 0 else np.ones(self.names)
                    ratio = np.clip(np.nan_to_num(noise, nan=1.0), 1.0 / FARTHEST, FARTHEST)
                    B = coupling.matrix(t, credible)
                    here.append(condition(fit, column, B, ratio, self.at, self.fidelity, X, Z[:, t], rows))
            for i, (here, gap) in enumerate(zip(fits, self.gaps, strict=True)):
                sure = [_mean_of(fit, wide) for fit, wide in zip(here, fits[-1], strict=True)]
                out[i].append(Member(member.name + (" + gap" if gap else ""), tuple(sure), anchors=X))
        return [member for members in out for member in members]

    def held_out(self, X: Array, Y: Array, rows: Rows, found: _Found) -> tuple[Array, Array, Array]:
        """Weights (F, T) of the members by their errors on the base, means and variances (n, T) of the rows asked."""
        index, link, T = rows.groups.index, found.base.link, Y.shape[1]
        Z = link.forward(Y)
        asked, base = self.fidelity == self.at, self.fidelity == self.base
        fold = np.full(int(index.max()) + 1, -1)
        fold[index[asked]] = folds(Groups.of(index[asked]).index)
        elsewhere = fold < 0  # masks that other fidelities ran: they judge the members, in the same folds
        fold[elsewhere] = np.random.default_rng(0).integers(fold.max() + 1, size=int(elsewhere.sum()))
        fold = fold[index] % (5 if len(X) > MANY_ROWS else 10)
        F = len(found.base.members)
        mean, variance = np.full((2, 2 * F, len(X), T), np.nan)
        own = np.full((F, len(X), T), np.nan)
        for k in range(int(fold.max()) + 1):
            left, kept = fold == k, np.flatnonzero(fold != k)
            plan, there = replace(self, fidelity=self.fidelity[kept]), rows.take(kept)
            again = plan.fit(X[kept], Y[kept], there, found)
            for f, member in enumerate(plan.members(X[kept], Y[kept], there, again)):
                z, v = member.at(X[left & asked], X[kept], 1.0, T)
                z += _shift(rows, asked, left, Z, X, member, X[kept])
                mean[f, left & asked] = link.backward(z, v)
                noisy = v + np.multiply.outer(rows.noise[left & asked], member.noise(T))
                variance[f, left & asked] = link.backward_variance(z, noisy)
            for f, member in enumerate(again.base.members):
                z, v = member.at(X[left & base], again.X, 1.0, T)
                z += _shift(rows, base, left, Z, X, member, again.X)
                own[f, left & base] = link.backward(z, v)
        members = weights(own[:, base], Y[base])
        by_gap = (members[:, None] * mean.reshape(2, F, len(X), T)).sum(axis=1)
        gaps = weights(by_gap[:, asked], Y[asked])
        both = (gaps[:, None] * members).reshape(2 * F, T)
        stacked = (both[:, None] * mean[:, asked]).sum(axis=0)
        spread = (both[:, None] * (variance[:, asked] + (mean[:, asked] - stacked) ** 2)).sum(axis=0)
        return both, stacked, spread


def _shift(rows: Rows, of: NDArray, left: NDArray, Z: Array, X: Array, member: Member, fitted: Array) -> Array | float:
    """How far the levels of the rows ``left`` of one fidelity lie from their mean, see `Rows.shift`.

    ``fitted`` are the rows that the member was fitted to.
    """
    own = rows.take(of)
    if own.basis.shape[1] < 2:
        return 0.0
    kept = of & ~left
    return own.shift(~left[of], left[of], Z[kept] - member.at(X[kept], fitted, 1.0, Z.shape[1])[0])


def _as_predicted(new: Posterior, old: Posterior) -> Posterior:
    """A posterior with one more row, whose value was predicted exactly: no mean moves."""
    theta = np.vstack([old.theta, np.zeros((1, old.theta.shape[1]))])
    return replace(new, theta=theta, intercept=old.intercept, amplitude=old.amplitude)


def _credible(fit: Fit, column: int, X: Array, variance: float) -> float:
    """What makes the prior variance of a gap over the base's rows (m, K) no wider than that of the base may be.

    A linear kernel that does not fit has a prior that is all but flat; a gap of it, let loose by a few runs, would lie
    anywhere where none of them is, and its mean with it under a log link.
    """
    k = fit.kernel.matrix(X, X)
    prior = float(fit.amplitude[column]) * float(np.diagonal(k).mean() - k.mean())
    return min(1.0, WIDEST * variance / prior) if prior > 0 else 1.0


def _mean_of(fit: Fit, other: Fit) -> Fit:
    """The mean of a fit with the variances of another."""
    mean = fit.posterior
    return replace(other, posterior=replace(other.posterior, theta=mean.theta, intercept=mean.intercept))


def _of_target(member: Member, t: int) -> tuple[Fit, int]:
    """The fit of a target, and its column there."""
    return next((fit, int(np.flatnonzero(fit.targets == t)[0])) for fit in member.fits if t in fit.targets)


def _levels(rows: Rows, fidelity: NDArray, at: int, seeds: NDArray | None) -> Rows:
    """A level for every fidelity, or for every seed of a fidelity where each of them ran two masks."""
    labels = fidelity.astype(np.int64)
    if seeds is not None:
        number = np.unique(seeds, return_inverse=True)[1].reshape(-1)
        both = np.unique(np.stack([fidelity, number]), axis=1, return_inverse=True)[1].reshape(-1)
        if all(np.ptp(rows.groups.index[both == label]) > 0 for label in np.unique(both)):
            labels = both
    names, first = np.unique(labels, return_index=True)
    basis = (labels[:, None] == names).astype(float)
    return Rows(rows.groups, rows.noise, basis, fidelity[first] == at)
