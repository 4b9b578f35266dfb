"""What all surrogates share: checking X and y, what a fit consists of, predicting."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import ThreadpoolController

from . import features, links
from .links import Link
from .members import Fit, Member, mixed
from .noise import Noise
from .rows import Rows
from .search import CrossValidation
from .sums import Sum, written

Array = NDArray[np.float64]


SMALL = 500  # rows up to which linear algebra on several threads costs more than it brings


@cache
def _pools() -> ThreadpoolController:
    """Return the thread pools of the linear algebra in use."""
    return ThreadpoolController()


def threads(rows: int) -> AbstractContextManager[Any]:
    """Keep the linear algebra to one thread while few rows are worked on."""
    return _pools().limit(limits=1 if rows <= SMALL else None)


class GaussianSurrogate(RegressorMixin, BaseEstimator):
    """Base of `LinearSurrogate` and `KernelSurrogate`; they say how members are fitted.

    Attributes
    ----------
    members_ : list of Member
    weights_ : array (F, T)
        Of the members, per target.
    link_ : Link
        Of the T targets.
    X_ : array (m, K)
        The fitted rows.
    rows_ : Rows
    cv_ : CrossValidation
    noise_ : Noise or None
        How the noise depends on the mask, where repeats show it (`KernelSurrogate`).
    sums_ : tuple of Sum
        Targets that are predicted as the weighted sum of others (`KernelSurrogate`).
    """

    features: str
    links: Any
    higher_is_better: Any
    constant: bool
    members_: list[Member]
    weights_: Array
    link_: Link
    cv_: CrossValidation
    noise_: Noise | None = None
    sums_: tuple[Sum, ...] = ()

    def _fit(self, X: Array, Y: Array, rows: Rows) -> None:
        """Set ``members_``, ``weights_``, ``link_`` and ``cv_``."""
        raise NotImplementedError

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        seeds: ArrayLike | None = None,
        noise: ArrayLike | None = None,
    ) -> Self:
        """Fit all targets, each with its own hyper-parameters.

        Parameters
        ----------
        X : array (m, K)
            Masks, mixtures or weights, one row per run.
        y : array (m,) or (m, T)
            Measured values.
        groups : array (m,), optional
            Rows with one label are held out together. Equal rows of X (seeds of one mask) if not given.
        seeds : array (m,), optional
            Labels of coupled seeds: each gets a constant of its own, and predictions are made at their mean.
        noise : array (m,), optional
            Relative variance of each row's noise; equal if not given.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y hold NaN or infinity, have fewer than two rows, or do not fit each other.
        """
        if self.features != "auto" and self.features not in features.MAPS:
            raise ValueError(f"features={self.features!r}; choose 'auto' or one of {', '.join(features.MAPS)}.")
        rules: dict[str, Any] = {"multi_output": True, "y_numeric": True, "ensure_min_samples": 2}
        checked = validate_data(self, X, y, dtype=np.float64, **rules)  # pyright: ignore[reportArgumentType]
        X, y = (np.asarray(a, dtype=np.float64) for a in checked)
        Y = y[:, None] if y.ndim == 1 else y
        self.single_ = y.ndim == 1
        self.kind_ = features.kind_of(X)
        self.features_ = self._maps[0]
        self.X_, self.n_targets_ = X, Y.shape[1]
        self.rows_ = Rows.of(X, groups, seeds, noise, self.constant)
        with threads(len(X)):
            self._fit(X, Y, self.rows_)
        return self

    @property
    def _maps(self) -> tuple[str, ...]:
        """Feature maps to choose among."""
        return features.choices(self.kind_, self.features)

    def _links(self, Y: Array) -> list[tuple[Link, NDArray]]:
        """Links to choose from for Y (m, T)."""
        names = links.LINKS if isinstance(self.links, str) and self.links == "auto" else self.links
        return links.candidates(names, Y, self.higher_is_better)

    @property
    def fits_(self) -> list[Fit]:
        """The fits of all members."""
        return [fit for member in self.members_ for fit in member.fits]

    @property
    def on_columns_(self) -> bool:
        """Whether g is a function of the columns as they are, and was bound to be: else slopes and masks mean nothing.

        Where a map was chosen for mixtures it may be that of the columns, as those of other runs may not.
        """
        return self.features_ == "raw" and len(self._maps) == 1

    @property
    def level_(self) -> float:
        """What a functional makes of the constant at one point: 1, or 0 without a constant."""
        return float(self.constant)

    def predict(self, X: ArrayLike, return_std: bool = False, noise: bool = False) -> Any:
        """Predict F for new masks or mixtures.

        Parameters
        ----------
        X : array (n, K)
        return_std : bool
            Also return the posterior standard deviation of g.
        noise : bool
            Let the deviation be that of one more measurement, its noise included.

        Returns
        -------
        mean : array (n,) or (n, T), in the targets' own units
        deviation : array of the same shape, if ``return_std``
        """
        check_is_fitted(self)
        X = np.asarray(validate_data(self, X, reset=False, dtype=np.float64))  # pyright: ignore[reportArgumentType]
        T, relative = self.n_targets_, 1.0 if self.noise_ is None else self.noise_.at(X)[:, None]

        def moments(member: Member) -> tuple[Array, Array]:
            z, v = member.at(X, self.X_, self.level_, T)
            extra = member.noise(T) * relative if noise else 0.0
            return self.link_.backward(z, v), self.link_.backward_variance(z, v + extra)

        mean, variance = mixed(self.members_, self.weights_, moments)
        deviation = np.sqrt(variance)
        written(self.sums_, mean, deviation)
        if self.single_:
            mean, deviation = mean[:, 0], deviation[:, 0]
        return (mean, deviation) if return_std else mean

    def save(self, path: str | Path) -> Path:
        """Write ``path`` (JSON) and the arrays beside it (the same name with .npz); `load_surrogate` reads both."""
        from ..formats.surrogate import save

        check_is_fitted(self)
        return save(self, Path(path))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags


def load_surrogate(path: str | Path) -> GaussianSurrogate:
    """Read a surrogate that its ``save`` wrote: it predicts the same numbers."""
    from ..formats.surrogate import load

    return load(Path(path))


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
