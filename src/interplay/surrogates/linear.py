"""Linear surrogates: ordinary least squares and ridge regression, tuned per target.

g(s) = b + w . s,  w = argmin |y - b - X w|^2 + alpha |w|^2        (KernelSM, the linear surrogate)

The same as scikit-learn's `LinearRegression` and `RidgeCV`, on the algebra of `gaussian`, so that every reading with
its interval is there for it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import GaussianSurrogate, grid
from .features import transform
from .gaussian import Posterior
from .kernels import Kernel
from .lasso import fit_lasso
from .members import Fit, Member
from .recipes import RIDGES, linear
from .rows import Rows
from .search import CrossValidation, Found, Search, search

Array = NDArray[np.float64]


class LinearSurrogate(GaussianSurrogate):
    """Linear surrogate; use it when tasks act independently of each other, or when runs are few.

    Parameters
    ----------
    alpha : 'cv', float or sequence of floats
        Ridge on the squared coefficients, as in scikit-learn's `Ridge`. 'cv' chooses it per target by closed-form
        leave-one-out over a grid that follows the spread of the design; 0 is ordinary least squares of minimum norm.
    penalty : {'ridge', 'lasso'}
        'lasso' finds the few tasks with an effect where there are far more tasks than runs; it chooses its own alpha,
        and its intervals come from refits to resampled runs (see `surrogates.lasso`).
    links : 'auto' or sequence of str
        Units to choose from per target: 'identity', 'log', 'floor' (see `surrogates.links`); 'auto' is all of them.
    features : str
        'auto' takes log(w + 1e-3) or, where held-out errors are lower, the shares themselves for mixtures, one map for
        all targets, and the columns themselves otherwise; or one of 'raw', 'log', 'sqrt', 'both'.
    higher_is_better : bool or sequence of bool (T,)
        Whether a target is a score: a bounded link then has a ceiling instead of a floor.
    constant : bool
        Whether there is an intercept (never penalised).

    Attributes
    ----------
    coef_ : array (K,) or (T, K)
        Coefficients in the unit of the link and of the features.
    intercept_ : float or array (T,)
    fits_ : list of Fit
        Hyper-parameters and posteriors with the targets that use them.
    cv_ : CrossValidation
        Held-out predictions.
    kind_, features_ : str
        What the columns were taken for.

    Examples
    --------
    >>> import numpy as np, interplay as ip
    >>> X = ip.masks.all_subsets(3)
    >>> y = 2.0 - X @ [0.5, 0.0, 0.25]
    >>> ip.LinearSurrogate(alpha=0).fit(X, y).coef_.round(6) + 0.0
    array([-0.5 ,  0.  , -0.25])
    """

    def __init__(
        self,
        alpha: Any = "cv",
        *,
        penalty: str = "ridge",
        links: Sequence[str] = ("identity",),
        features: str = "auto",
        higher_is_better: Any = False,
        constant: bool = True,
    ):
        self.alpha = alpha
        self.penalty = penalty
        self.links = links
        self.higher_is_better = higher_is_better
        self.features = features
        self.constant = constant

    @classmethod
    def published(cls) -> LinearSurrogate:
        """Least squares of minimum norm on raw masks without intercept: the linear rival of the authors."""
        return cls(alpha=0.0, features="raw", constant=False)

    def _fit(self, X: Array, Y: Array, rows: Rows) -> None:
        ridges = grid(self.alpha, RIDGES, "alpha")
        if len(ridges) > 1 and (ridges == 0).any():
            raise ValueError(f"alpha={self.alpha!r}; 0 is ordinary least squares and stands alone, a grid is > 0.")
        if self.penalty not in ("ridge", "lasso"):
            raise ValueError(f"penalty={self.penalty!r}; choose 'ridge' or 'lasso'.")
        if self.penalty == "lasso":
            self._lasso(transform(X, self.features_), Y, rows)
            return
        tried = {name: self._under(name, X, Y, rows, ridges) for name in self._maps}
        unit = np.maximum(Y.var(axis=0), 1e-300)
        self.features_ = min(tried, key=lambda name: float((tried[name].cv.error / unit).mean()))
        found, U = tried[self.features_], transform(X, self.features_)
        self.members_, self.link_, self.cv_ = [Member("ridge", found.fits)], found.link, found.cv
        self.weights_ = np.ones((1, Y.shape[1]))
        self._expose(U)

    def _under(self, name: str, X: Array, Y: Array, rows: Rows, ridges: Array) -> Found:
        """Fit to the features of one map."""
        if np.array_equal(ridges, [0.0]):
            return self._least_squares(transform(X, name), name, Y, rows)
        if isinstance(self.alpha, str):
            return linear(name).search(X, Y, rows, self._links(Y))
        width = transform(X[:1], name).shape[1]
        return search(X, Y, rows, [Kernel(np.ones(width), 0.0, 1.0, name, name)], ridges, self._links(Y))

    def _lasso(self, U: Array, Y: Array, rows: Rows) -> None:
        links = self._links(Y)
        if len(links) != 1 or not isinstance(self.alpha, str) or not self.constant:
            raise ValueError("penalty='lasso' takes one link, alpha='cv' and a constant.")
        self.link_ = links[0][0]
        member, self.cv_ = fit_lasso(U, Y, rows, self.link_, self.features_)
        self.members_, self.weights_ = [member], np.ones((1, Y.shape[1]))
        self._expose(np.eye(U.shape[1]))

    def _expose(self, U: Array) -> None:
        """Set ``coef_`` and ``intercept_``; U are the features that theta weighs."""
        T = self.n_targets_
        coefficients, intercept = np.empty((T, U.shape[1])), np.empty(T)
        for fit in self.fits_:
            coefficients[fit.targets] = fit.kernel.linear * (U.T @ fit.posterior.theta).T
            intercept[fit.targets] = fit.posterior.intercept
        self.coef_ = coefficients[0] if self.single_ else coefficients
        self.intercept_ = float(intercept[0]) if self.single_ else intercept

    def _least_squares(self, U: Array, name: str, Y: Array, rows: Rows) -> Found:
        kernel = Kernel(np.ones(U.shape[1]), 0.0, 1.0, name, name)
        held, choices = Search.over(Y, rows.noise), self._links(Y)
        for c, (link, own) in enumerate(choices):
            z, v, amplitude = held_out_least_squares(U, link.forward(Y[:, own]), rows)
            held.offer((0, 0, c), link, own, z, v, 1.0, amplitude)
        link = held.link(choices)
        fits = []
        for _, targets in held.winners():
            posterior = Posterior.least_squares(U, link[targets].forward(Y[:, targets]), rows)
            fits.append(Fit(kernel, 0.0, targets, posterior))
        return Found(tuple(fits), link, CrossValidation(held.mean, held.deviation, held.error, rows.groups.index))


def held_out_least_squares(X: Array, Y: Array, rows: Rows) -> tuple[Array, Array, Array]:
    """Held-out means (m, T), variances (m,) and amplitudes (m, T) by refitting: minimum norm has no closed form.

    Variances are in units of the amplitude, the residual variance of the other rows, and hold the noise, 1.
    """
    mean, variance, amplitude = np.empty_like(Y), np.empty(len(Y)), np.empty_like(Y)
    for label in np.unique(rows.groups.index):
        out = rows.groups.index == label
        kept = rows.take(~out)
        level = float(kept.basis.shape[1] > 0)
        posterior = Posterior.least_squares(X[~out], Y[~out], kept)
        across = X[out] @ X[~out].T
        mean[out] = posterior.mean(across, level)
        if rows.basis.shape[1] > 1:
            mean[out] += rows.shift(~out, out, Y[~out] - posterior.mean(X[~out] @ X[~out].T, level))
        variance[out] = rows.noise[out] + np.maximum(posterior.variance(across, np.zeros(len(across)), level), 0.0)
        amplitude[out] = posterior.amplitude
    return mean, variance, amplitude
