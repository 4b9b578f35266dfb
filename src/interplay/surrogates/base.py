"""What all Gaussian surrogates share: choosing hyper-parameters per target, fitting, predicting.

For every target the kernel, the noise level and the link with the smallest mean squared error of held-out rows are
taken, in the target's own unit; held-out predictions are closed-form (`gaussian.Spectrum.held_out`), so one
eigendecomposition per kernel serves all noise levels, links and targets. Closed-form errors are honest here because
few numbers are set by them (design: section 3, Choosing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from . import features, links
from .gaussian import Groups, Posterior, Spectrum
from .kernels import Kernel

Array = NDArray[np.float64]


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
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=2
        )
        y = np.asarray(y, dtype=np.float64)
        Y = y[:, None] if y.ndim == 1 else y
        self.single_ = y.ndim == 1
        self.kind_ = features.kind_of(X)
        self.features_ = (
            ("log" if self.kind_ == "mixture" else "raw") if self.features == "auto" else self.features
        )
        self.inputs_ = features.transform(X, self.features_)
        held = Groups.of_rows(X) if groups is None else Groups.of(np.asarray(groups))
        if len(np.unique(held.index)) < 2:
            held = Groups.of(np.arange(len(X)))
        self._choose(Y, held)
        return self

    def _choose(self, Y: Array, groups: Groups) -> None:
        """Search kernels x noise levels x links for every target, then condition on the winners."""
        m, T = Y.shape
        kernels, noises = self._kernels(self.inputs_), self._noises()
        unit = [(link, _usable(Y, link)) for link in self.links]
        best = np.full(T, np.inf)
        chosen = np.zeros((3, T), dtype=np.int64)
        mean, deviation = np.zeros((m, T)), np.zeros((m, T))
        for a, kernel in enumerate(kernels):
            spectrum = Spectrum.of(kernel.matrix(self.inputs_, self.inputs_), self.constant)
            for c, (link, usable) in enumerate(unit):
                if not usable.any():
                    continue
                Z = links.forward(Y[:, usable], link)
                for b, noise in enumerate(noises):
                    z, v = spectrum.held_out(Z, noise, groups)
                    variance = v[:, None] * spectrum.amplitude(Z, noise)
                    inner = np.maximum(variance * (1.0 - noise / v[:, None]), 0.0)
                    predicted = links.backward(z, inner, link)
                    error = ((predicted - Y[:, usable]) ** 2).mean(axis=0)
                    better = error < best[usable]
                    if better.any():
                        index = np.flatnonzero(usable)[better]
                        best[index] = error[better]
                        chosen[:, index] = np.array([[a], [b], [c]])
                        mean[:, index] = predicted[:, better]
                        deviation[:, index] = links.backward_deviation(z, variance, link)[:, better]
        self.fits_ = []
        for a, b, c in np.unique(chosen.T, axis=0):
            targets = np.flatnonzero((chosen == [[a], [b], [c]]).all(axis=0))
            link = self.links[c]
            posterior = self._condition(kernels[a], float(noises[b]), links.forward(Y[:, targets], link))
            self.fits_.append(Fit(kernels[a], float(noises[b]), link, targets, posterior))
        self.n_targets_ = T
        self.cv_ = CrossValidation(mean, deviation, best, groups.index)

    def _condition(self, kernel: Kernel, noise: float, Z: Array) -> Posterior:
        return Posterior.of(kernel.matrix(self.inputs_, self.inputs_), Z, noise, self.constant)

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
        X = validate_data(self, X, reset=False, dtype=np.float64)
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


def _usable(Y: Array, link: str) -> NDArray[np.bool_]:
    """Targets that the link can take: the logarithm wants values that are positive everywhere."""
    if link == "log":
        return (Y > 0).all(axis=0) & (np.ptp(Y, axis=0) > 0)
    return np.ones(Y.shape[1], dtype=bool)


def grid(value: Any, default: ArrayLike, name: str) -> Array:
    """Numbers to try: ``default`` for 'cv', otherwise what the user gave."""
    if isinstance(value, str):
        if value != "cv":
            raise ValueError(f"{name}={value!r}; it must be 'cv', a number or a sequence of numbers.")
        return np.asarray(default, dtype=np.float64)
    numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if numbers.size == 0 or not np.isfinite(numbers).all() or (numbers < 0).any():
        raise ValueError(f"{name}={value!r}; it must be 'cv', a number >= 0 or a sequence of them.")
    return numbers
