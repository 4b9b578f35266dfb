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

from . import links
from .base import CrossValidation, Fit, GaussianSurrogate, Search, grid, link_targets
from .gaussian import Groups, Posterior
from .kernels import Kernel, candidates

Array = NDArray[np.float64]
RIDGES = np.logspace(-3, 3, 13)


class LinearSurrogate(GaussianSurrogate):
    """Linear surrogate; use it when tasks act independently of each other, or when runs are few.

    Parameters
    ----------
    alpha : 'cv', float or sequence of floats
        Ridge on the squared coefficients, as in scikit-learn's `Ridge`. 'cv' chooses it per target by closed-form
        leave-one-out over a grid that follows the spread of the design; 0 is ordinary least squares of minimum norm.
    links : sequence of str
        Units to choose from per target: 'identity', 'log'.
    features : {'auto', 'raw', 'log'}
        'auto' takes log(w + 1e-3) for mixtures and the columns themselves otherwise.
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
        links: Sequence[str] = ("identity",),
        features: str = "auto",
        constant: bool = True,
    ):
        self.alpha = alpha
        self.links = links
        self.features = features
        self.constant = constant

    @classmethod
    def published(cls) -> LinearSurrogate:
        """Least squares of minimum norm on raw masks without intercept: the linear rival of the authors."""
        return cls(alpha=0.0, features="raw", constant=False)

    def _kernels(self, inputs: Array) -> list[Kernel]:
        if isinstance(self.alpha, str):
            return candidates(inputs, np.ones(1), np.ones(1))
        return [Kernel(np.ones(inputs.shape[1]), 0.0, 1.0)]

    def _noises(self) -> Array:
        ridges = grid(self.alpha, RIDGES, "alpha")
        if len(ridges) > 1 and (ridges == 0).any():
            raise ValueError(f"alpha={self.alpha!r}; 0 is ordinary least squares and stands alone, a grid is > 0.")
        return ridges

    def _choose(self, Y: Array, groups: Groups) -> None:
        if np.array_equal(self._noises(), [0.0]):
            self._least_squares(Y, groups)
        else:
            super()._choose(Y, groups)
        coefficients = np.empty((self.n_targets_, self.inputs_.shape[1]))
        intercept = np.empty(self.n_targets_)
        for fit in self.fits_:
            coefficients[fit.targets] = fit.kernel.linear * (self.inputs_.T @ fit.posterior.theta).T
            intercept[fit.targets] = fit.posterior.intercept
        self.coef_ = coefficients[0] if self.single_ else coefficients
        self.intercept_ = float(intercept[0]) if self.single_ else intercept

    def _least_squares(self, Y: Array, groups: Groups) -> None:
        kernel, search = self._kernels(self.inputs_)[0], Search.over(Y)
        for c, (link, own) in enumerate(link_targets(Y, self.links)):
            z, v, amplitude = held_out_least_squares(
                self.inputs_, links.forward(Y[:, own], link), groups, self.constant
            )
            search.offer((0, 0, c), link, own, z, v, 1.0, amplitude)
        self.fits_ = []
        for (_, _, c), targets in search.winners():
            Z = links.forward(Y[:, targets], self.links[c])
            posterior = Posterior.least_squares(self.inputs_, Z, self.constant)
            self.fits_.append(Fit(kernel, 0.0, self.links[c], targets, posterior))
        self.n_targets_ = Y.shape[1]
        self.cv_ = CrossValidation(search.mean, search.deviation, search.error, groups.index)


def held_out_least_squares(X: Array, Y: Array, groups: Groups, constant: bool) -> tuple[Array, Array, Array]:
    """Held-out means (m, T), variances (m,) and amplitudes (m, T) by refitting: minimum norm has no closed form.

    Variances are in units of the amplitude, the residual variance of the other rows, and hold the noise, 1.
    """
    mean, variance, amplitude = np.empty_like(Y), np.empty(len(Y)), np.empty_like(Y)
    for label in np.unique(groups.index):
        out = groups.index == label
        posterior = Posterior.least_squares(X[~out], Y[~out], constant)
        rows = X[out] @ X[~out].T
        mean[out] = posterior.mean(rows, float(constant))
        variance[out] = 1.0 + np.maximum(posterior.variance(rows, np.zeros(len(rows)), float(constant)), 0.0)
        amplitude[out] = posterior.amplitude
    return mean, variance, amplitude
