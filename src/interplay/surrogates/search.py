"""Closed-form search: the kernel, noise level and link of every target with the smallest error of held-out rows.

Held-out predictions are closed-form (`gaussian.Spectrum.sweep`), so one eigendecomposition per kernel serves all noise
levels, links and targets; errors are taken in the target's own unit. They are honest here because few numbers are set
by them (design: section 3, Choosing). Among noise levels that predict equally well the most likely one (restricted
likelihood) may then be taken, since intervals hang on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .gaussian import Posterior, Spectrum
from .kernels import Kernel, matrices
from .links import Link, picked
from .members import Fit
from .rows import Rows

Array = NDArray[np.float64]
WIDEST = 15.0  # prior variance over the rows, in units of the variance seen: repeats at a tiny noise would inflate it


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Predictions of held-out rows, in the targets' own units.

    Attributes
    ----------
    mean : array (m, T)
        Prediction of every row from the rows outside its group.
    deviation : array (m, T)
        Standard deviation of a new measurement around it, noise included.
    error : array (T,)
        Mean squared error.
    groups : array (m,)
        Rows of one group were left out together.
    """

    mean: Array
    deviation: Array
    error: Array
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, mean: Array, variance: Array, Y: Array, groups: NDArray[np.int64]) -> CrossValidation:
        """Predictions of rows Y (m, T) that were held out."""
        return cls(mean, np.sqrt(variance), ((mean - Y) ** 2).mean(axis=0), groups)


@dataclass(frozen=True, eq=False)
class Search:
    """The best of the candidates offered so far, for every target by itself.

    Attributes
    ----------
    Y : array (m, T)
    noise : array (m,)
        Relative noise of the rows.
    error : array (T,)
        Mean squared error of held-out rows in the target's own unit.
    chosen : array (T, 3)
        Numbers of the kernel, the noise level and the link.
    mean, deviation : array (m, T)
        See `CrossValidation`.
    """

    Y: Array
    noise: Array
    error: Array
    chosen: NDArray[np.int64]
    mean: Array
    deviation: Array

    @classmethod
    def over(cls, Y: Array, noise: Array) -> Search:
        """Start without a candidate."""
        T = Y.shape[1]
        return cls(Y, noise, np.full(T, np.inf), np.zeros((T, 3), np.int64), np.zeros_like(Y), np.zeros_like(Y))

    def offer(
        self,
        key: tuple[int, int, int],
        link: Link,
        own: NDArray,
        z: Array,
        v: Array,
        noise: float,
        amplitude: Array,
        joint: bool = False,
    ) -> None:
        """Take a candidate for those of the targets ``own`` that it predicts better than all before it.

        Jointly, for all of them if it is better on the mean of errors relative to the targets' variances. Held-out
        means z (m, n) and variances v (m,), the noise among them, are in units of ``amplitude`` (n,) or (m, n).
        """
        y = self.Y[:, own]
        error = self._error(y, self.predicted(link, z, v, noise, amplitude))
        better = error + 1e-24 * (y**2).mean(axis=0) < self.error[own]  # less is rounding, of a constant target
        if joint:
            with np.errstate(over="ignore", invalid="ignore"):
                gain = (self.error[own] - error) / np.maximum(y.var(axis=0), 1e-300)
            better[:] = not gain.sum() <= 0  # the first candidate gains infinitely
        if better.any():
            self.take(key, link[better], own[better], z[:, better], v, noise, amplitude[..., better])

    def take(
        self, key: tuple[int, int, int], link: Link, own: NDArray, z: Array, v: Array, noise: float, amplitude: Array
    ) -> None:
        """Take a candidate for all of the targets ``own``, see `offer`."""
        predicted = self.predicted(link, z, v, noise, amplitude)
        self.error[own] = self._error(self.Y[:, own], predicted)
        self.chosen[own] = key
        self.mean[:, own] = predicted
        self.deviation[:, own] = np.sqrt(link.backward_variance(z, v[:, None] * amplitude))

    def predicted(self, link: Link, z: Array, v: Array, noise: float, amplitude: Array) -> Array:
        """Held-out predictions in the target's own unit, see `offer`."""
        return link.backward(z, np.maximum(v - noise * self.noise, 0.0)[:, None] * amplitude)

    @staticmethod
    def _error(y: Array, predicted: Array) -> Array:
        with np.errstate(over="ignore"):
            return ((predicted - y) ** 2).mean(axis=0)

    def winners(self) -> Iterator[tuple[tuple[int, int, int], NDArray[np.int64]]]:
        """Yield every candidate that was chosen, with its targets."""
        for key in np.unique(self.chosen, axis=0):
            yield tuple(key), np.flatnonzero((self.chosen == key).all(axis=1))

    def link(self, links: Sequence[tuple[Link, NDArray]]) -> Link:
        """The links chosen, of all targets."""
        return picked(links, self.chosen[:, 2])


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Attributes
    ----------
    fits : tuple of Fit
    link : Link
        Of all targets.
    cv : CrossValidation
        Closed-form, at the chosen hyper-parameters.
    """

    fits: tuple[Fit, ...]
    link: Link
    cv: CrossValidation


def search(
    X: Array,
    Y: Array,
    rows: Rows,
    kernels: Sequence[Kernel],
    noises: Array,
    links: Sequence[tuple[Link, NDArray]],
    settle: bool = False,
    joint: bool = False,
) -> Found:
    """Search kernels x noise levels x links for every target, then condition on the winners.

    Parameters
    ----------
    X : array (m, K)
    Y : array (m, T)
    rows : Rows
    kernels : sequence of Kernel
    noises : array
        Noise levels in units of the amplitude.
    links : sequence of (Link, targets)
        See `links.candidates`.
    settle : bool
        Take the most likely of the noise levels that predict equally well, and bound the amplitude.
    joint : bool
        Take one kernel and noise level for all targets of a link.
    """
    found = Search.over(Y, rows.noise)
    spectra: dict[int, Spectrum] = {}
    for a, matrix in enumerate(matrices(kernels, X)):
        spectrum = spectra[a] = Spectrum.of(matrix, rows)
        for c, (link, own) in enumerate(links):
            Z = link.forward(Y[:, own])
            for b, (z, v, amplitude) in enumerate(spectrum.sweep(Z, noises, rows.groups)):
                found.offer((a, b, c), link, own, z, v, noises[b], amplitude, joint)
        spectra = {a: spectra[a] for a in set(found.chosen[:, 0])}
    settle = settle and len(noises) > 1
    link = found.link(links)
    if settle and not joint:
        _settle_noise(found, spectra, noises, rows, link)
    fits = []
    for (a, b, _), targets in found.winners():
        kernel, noise, Z = kernels[a], float(noises[b]), link[targets].forward(Y[:, targets])
        posterior = Posterior.of(kernel.matrix(X, X), Z, noise, rows, spectra[a].precision(noise))
        if settle:
            most = WIDEST * Z.var(axis=0) / max(float(spectra[a].values.mean()), 1e-300)
            posterior = replace(posterior, amplitude=np.minimum(posterior.amplitude, most))
        fits.append(Fit(kernel, noise, targets, posterior))
    return Found(tuple(fits), link, CrossValidation(found.mean, found.deviation, found.error, rows.groups.index))


def _settle_noise(found: Search, spectra: dict[int, Spectrum], noises: Array, rows: Rows, link: Link) -> None:
    """Take, among the noise levels that predict held-out rows equally well, the most likely one.

    Equally well: the squared errors exceed those of the best level by no more than the standard error of the
    paired difference. The kernel and the link stay.
    """
    m = len(found.Y)
    for a, c in np.unique(found.chosen[:, [0, 2]], axis=0).tolist():
        targets = np.flatnonzero((found.chosen[:, [0, 2]] == (a, c)).all(axis=1))
        Z = link[targets].forward(found.Y[:, targets])
        swept = list(spectra[a].sweep(Z, noises, rows.groups))
        best = (found.mean[:, targets] - found.Y[:, targets]) ** 2
        rounding = 1e-9 * best.mean(axis=0) + 1e-24 * (found.Y[:, targets] ** 2).mean(axis=0)
        likelihood = np.full((len(noises), len(targets)), -np.inf)
        for b, (z, v, amplitude) in enumerate(swept):
            predicted = found.predicted(link[targets], z, v, float(noises[b]), amplitude)
            with np.errstate(over="ignore", invalid="ignore"):  # a far extrapolation is not equally good
                worse = (predicted - found.Y[:, targets]) ** 2 - best
                equal = worse.mean(axis=0) <= worse.std(axis=0) / np.sqrt(m) + rounding
            likelihood[b, equal] = spectra[a].log_likelihood(Z[:, equal], float(noises[b]))
        likeliest = likelihood.argmax(axis=0)
        for b in np.unique(likeliest).tolist():
            own = np.flatnonzero(likeliest == b)
            z, v, amplitude = swept[b]
            at = targets[own]
            found.take((a, b, c), link[at], at, z[:, own], v, float(noises[b]), amplitude[own])
