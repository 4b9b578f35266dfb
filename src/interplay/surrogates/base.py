"""What all Gaussian surrogates share: choosing hyper-parameters per target, fitting, predicting.

For every target the kernel, the noise level and the link with the smallest mean squared error of held-out rows are
taken, in the target's own unit; among noise levels that predict equally well the kernel surrogate then takes the most
likely one (restricted likelihood), since intervals hang on it. Held-out predictions are closed-form
(`gaussian.Spectrum.held_out`), so one eigendecomposition per kernel serves all noise levels, links and targets.
Closed-form errors are honest here because few numbers are set by them (design: section 3, Choosing).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from . import features, links
from .gaussian import Groups, Posterior, Spectrum
from .kernels import Kernel

Array = NDArray[np.float64]
WIDEST = 15.0  # prior variance over the rows, in units of the variance seen: repeats at a tiny noise would inflate it


@dataclass(frozen=True, eq=False)
class Fit:
    """One kernel, noise level and link with the targets that chose them.

    Attributes
    ----------
    kernel : Kernel
    noise : float
        Noise variance in units of the amplitude.
    link : str
        'identity' or 'log'.
    targets : array (n,)
        Columns of y.
    posterior : Posterior
        In the unit of the link.
    """

    kernel: Kernel
    noise: float
    link: str
    targets: NDArray[np.int64]
    posterior: Posterior


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Closed-form held-out predictions at the chosen hyper-parameters, in the targets' own units.

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


class GaussianSurrogate(RegressorMixin, BaseEstimator):
    """Base of `LinearSurrogate` and `KernelSurrogate`; they say which kernels and noise levels are tried."""

    features: str
    links: Sequence[str]
    constant: bool
    _noise_by_likelihood = False

    def _kernels(self, inputs: Array) -> list[Kernel]:
        raise NotImplementedError

    def _noises(self) -> Array:
        raise NotImplementedError

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> GaussianSurrogate:
        """Fit all targets, each with its own hyper-parameters.

        Parameters
        ----------
        X : array (m, K)
            Masks, mixtures or weights, one row per run.
        y : array (m,) or (m, T)
            Measured values.
        groups : array (m,), optional
            Rows with one label are held out together. Equal rows of X (seeds of one mask) if not given.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y hold NaN or infinity, have fewer than two rows, or do not fit each other.
        """
        if self.features not in ("auto", "raw", "log"):
            raise ValueError(f"features={self.features!r}; choose 'auto', 'raw' or 'log'.")
        rules: dict[str, Any] = {"multi_output": True, "y_numeric": True, "ensure_min_samples": 2}
        checked = validate_data(self, X, y, dtype=np.float64, **rules)  # pyright: ignore[reportArgumentType]
        X, y = (np.asarray(a, dtype=np.float64) for a in checked)
        Y = y[:, None] if y.ndim == 1 else y
        self.single_ = y.ndim == 1
        self.kind_ = features.kind_of(X)
        self.features_ = ("log" if self.kind_ == "mixture" else "raw") if self.features == "auto" else self.features
        self.inputs_ = features.transform(X, self.features_)
        if groups is not None and np.shape(groups) != (len(X),):
            raise ValueError(f"groups has shape {np.shape(groups)}; give one label for each of the {len(X)} rows of X.")
        held = Groups.of_rows(X) if groups is None else Groups.of(np.asarray(groups))
        if len(np.unique(held.index)) < 2:
            held = Groups.of(np.arange(len(X)))
        self._choose(Y, held)
        return self

    def _choose(self, Y: Array, groups: Groups) -> None:
        """Search kernels x noise levels x links for every target, then condition on the winners."""
        kernels, noises = self._kernels(self.inputs_), self._noises()
        units, search = link_targets(Y, self.links), Search.over(Y)
        spectra: dict[int, Spectrum] = {}
        for a, kernel in enumerate(kernels):
            spectrum = spectra[a] = Spectrum.of(kernel.matrix(self.inputs_, self.inputs_), self.constant)
            for c, (link, own) in enumerate(units):
                Z = links.forward(Y[:, own], link)
                for b, (z, v, amplitude) in enumerate(spectrum.sweep(Z, noises, groups)):
                    search.offer((a, b, c), link, own, z, v, noises[b], amplitude)
            spectra = {a: spectra[a] for a in set(search.chosen[:, 0])}
        settled = self._noise_by_likelihood and len(noises) > 1
        if settled:
            self._settle_noise(search, spectra, noises, groups)
        self.fits_ = []
        for (a, b, c), targets in search.winners():
            kernel, noise, link = kernels[a], float(noises[b]), self.links[c]
            Z, k = links.forward(Y[:, targets], link), kernel.matrix(self.inputs_, self.inputs_)
            posterior = Posterior.of(k, Z, noise, self.constant, spectra[a])
            if settled:
                most = WIDEST * Z.var(axis=0) / max(float(spectra[a].values.mean()), 1e-300)
                posterior = replace(posterior, amplitude=np.minimum(posterior.amplitude, most))
            self.fits_.append(Fit(kernel, noise, link, targets, posterior))
        self.n_targets_ = Y.shape[1]
        self.cv_ = CrossValidation(search.mean, search.deviation, search.error, groups.index)

    def _settle_noise(self, search: Search, spectra: dict[int, Spectrum], noises: Array, groups: Groups) -> None:
        """Take, among the noise levels that predict held-out rows equally well, the most likely one.

        Equally well: the squared errors exceed those of the best level by no more than the standard error of the
        paired difference. The kernel and the link stay.
        """
        m = len(self.inputs_)
        for a, c in np.unique(search.chosen[:, [0, 2]], axis=0).tolist():
            targets = np.flatnonzero((search.chosen[:, [0, 2]] == (a, c)).all(axis=1))
            link = str(self.links[c])
            Z = links.forward(search.Y[:, targets], link)
            found = list(spectra[a].sweep(Z, noises, groups))
            best = (search.mean[:, targets] - search.Y[:, targets]) ** 2
            likelihood = np.full((len(noises), len(targets)), -np.inf)
            for b, (z, v, amplitude) in enumerate(found):
                predicted = search.predicted(link, z, v, float(noises[b]), amplitude)
                with np.errstate(over="ignore"):
                    worse = (predicted - search.Y[:, targets]) ** 2 - best
                equal = worse.mean(axis=0) <= worse.std(axis=0) / np.sqrt(m) + 1e-24
                likelihood[b, equal] = spectra[a].log_likelihood(Z[:, equal], float(noises[b]))
            likeliest = likelihood.argmax(axis=0)
            for b in np.unique(likeliest).tolist():
                own = np.flatnonzero(likeliest == b)
                z, v, amplitude = found[b]
                search.take((a, b, c), link, targets[own], z[:, own], v, float(noises[b]), amplitude[own])

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict F for new masks or mixtures.

        Parameters
        ----------
        X : array (n, K)
        return_std : bool
            Also return the posterior standard deviation of g (without the noise of one more measurement).

        Returns
        -------
        mean : array (n,) or (n, T), in the targets' own units
        deviation : array of the same shape, if ``return_std``
        """
        check_is_fitted(self)
        X = np.asarray(validate_data(self, X, reset=False, dtype=np.float64))  # pyright: ignore[reportArgumentType]
        inputs = features.transform(X, self.features_)
        mean, deviation = np.empty((len(X), self.n_targets_)), np.empty((len(X), self.n_targets_))
        for fit in self.fits_:
            rows = fit.kernel.matrix(inputs, self.inputs_)
            z = fit.posterior.mean(rows, float(self.constant))
            own = fit.kernel.paired(inputs, inputs)
            v = np.maximum(fit.posterior.variance(rows, own, float(self.constant)), 0.0)
            v = v[:, None] * fit.posterior.amplitude
            mean[:, fit.targets] = links.backward(z, v, fit.link)
            if return_std:
                deviation[:, fit.targets] = links.backward_deviation(z, v, fit.link)
        if self.single_:
            mean, deviation = mean[:, 0], deviation[:, 0]
        return (mean, deviation) if return_std else mean

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags


@dataclass(frozen=True, eq=False)
class Search:
    """The best of the candidates offered so far, for every target by itself.

    Attributes
    ----------
    Y : array (m, T)
    error : array (T,)
        Mean squared error of held-out rows in the target's own unit.
    chosen : array (T, 3)
        Numbers of the kernel, the noise level and the link.
    mean, deviation : array (m, T)
        See `CrossValidation`.
    """

    Y: Array
    error: Array
    chosen: NDArray[np.int64]
    mean: Array
    deviation: Array

    @classmethod
    def over(cls, Y: Array) -> Search:
        """Start without a candidate."""
        T = Y.shape[1]
        return cls(Y, np.full(T, np.inf), np.zeros((T, 3), np.int64), np.zeros_like(Y), np.zeros_like(Y))

    def offer(
        self, key: tuple[int, int, int], link: str, own: NDArray, z: Array, v: Array, noise: float, amplitude: Array
    ) -> None:
        """Take a candidate for those of the targets ``own`` that it predicts better than all before it.

        Held-out means z (m, n) and variances v (m,), the noise among them, in units of ``amplitude`` (n,) or (m, n).
        """
        y = self.Y[:, own]
        error = self._error(y, self.predicted(link, z, v, noise, amplitude))
        better = error + 1e-24 * (y**2).mean(axis=0) < self.error[own]  # less is rounding, of a constant target
        if better.any():
            self.take(key, link, own[better], z[:, better], v, noise, amplitude[..., better])

    def take(
        self, key: tuple[int, int, int], link: str, own: NDArray, z: Array, v: Array, noise: float, amplitude: Array
    ) -> None:
        """Take a candidate for all of the targets ``own``, see `offer`."""
        predicted = self.predicted(link, z, v, noise, amplitude)
        self.error[own] = self._error(self.Y[:, own], predicted)
        self.chosen[own] = key
        self.mean[:, own] = predicted
        self.deviation[:, own] = links.backward_deviation(z, v[:, None] * amplitude, link)

    @staticmethod
    def predicted(link: str, z: Array, v: Array, noise: float, amplitude: Array) -> Array:
        """Held-out predictions in the target's own unit, see `offer`."""
        return z if link == "identity" else links.backward(z, np.maximum(v - noise, 0.0)[:, None] * amplitude, link)

    @staticmethod
    def _error(y: Array, predicted: Array) -> Array:
        with np.errstate(over="ignore"):
            return ((predicted - y) ** 2).mean(axis=0)

    def winners(self) -> Iterator[tuple[tuple[int, int, int], NDArray[np.int64]]]:
        """Yield every candidate that was chosen, with its targets."""
        for key in np.unique(self.chosen, axis=0):
            yield tuple(key), np.flatnonzero((self.chosen == key).all(axis=1))


def link_targets(Y: Array, names: Sequence[str]) -> list[tuple[str, NDArray[np.int64]]]:
    """Every link with the targets that it can take: the logarithm wants values that are positive everywhere."""
    if isinstance(names, str) or not len(names) or not set(names) <= set(links.LINKS):
        raise ValueError(f"links={names!r}; give a sequence of {', '.join(map(repr, links.LINKS))}.")
    positive = Y.min(axis=0) > 0
    if "identity" not in names and not positive.all():
        t = int(np.argmin(positive))
        raise ValueError(
            f"links={names!r}, but target {t} has the value {Y[:, t].min():g} and a logarithm needs values > 0. "
            "Add 'identity'."
        )
    return [(link, np.flatnonzero(positive | (link == "identity"))) for link in names]


def grid(value: Any, default: ArrayLike, name: str, above: bool = False) -> Array:
    """Numbers to try: ``default`` for 'cv', otherwise what the user gave, >= 0, or > 0 if ``above``."""
    if isinstance(value, str):
        if value != "cv":
            raise ValueError(f"{name}={value!r}; it must be 'cv', a number or a sequence of numbers.")
        return np.asarray(default, dtype=np.float64)
    numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if numbers.size == 0 or not np.isfinite(numbers).all() or (numbers < 0).any() or (above and (numbers == 0).any()):
        sign = ">" if above else ">="
        raise ValueError(f"{name}={value!r}; it must be 'cv', a number {sign} 0 or a sequence of them.")
    return numbers
