"""Lasso: few tasks with an effect among many, where there are far fewer runs than tasks.

w = argmin 1/(2m) |y - b - U w|^2 + alpha |w|_1,   alpha by cross-validation over groups of rows

The coefficients are those of scikit-learn's `LassoCV`. There is no Gaussian posterior: covariances are those of refits
to resampled groups of rows at the chosen alpha (pairs bootstrap), so a coefficient that is 0 in every refit has no
width, and intervals leave out the shrinkage of those that are not.

References
----------
Tibshirani, JRSS B 1996; Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LassoCV

from .features import FLOOR
from .gaussian import Posterior
from .kernels import Kernel
from .links import Link
from .members import Fit, Member
from .rows import Rows
from .search import CrossValidation
from .stacking import folds

Array = NDArray[np.float64]
REFITS = 50
# scikit-learn's tolerance of 1e-4 leaves plateaus on the path: rounding would choose
SOLVER: dict[str, Any] = {"tol": 1e-6, "max_iter": 10_000}


def fit_lasso(U: Array, Y: Array, rows: Rows, link: Link, features: str) -> tuple[Member, CrossValidation]:
    """Fit every target by itself.

    Parameters
    ----------
    U : array (m, K)
        Features.
    Y : array (m, T)
    rows : Rows
        Levels of seeds are taken off before the fit.
    link : Link
        One for all targets.
    features : {'raw', 'log'}

    Raises
    ------
    ValueError
        For other features: coefficients of two columns per task are no effect of a task.
    """
    if features not in ("raw", "log"):
        raise ValueError(f"features={features!r}; a lasso wants one column per task: 'raw' or 'log'.")
    K, Z = U.shape[1], link.forward(Y)
    fold = folds(rows.groups.index)
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(int(fold.max()) + 1)]
    units = np.eye(K) if features == "raw" else np.exp(np.eye(K)) - FLOOR  # where features are unit vectors
    kernel = Kernel(np.ones(K), 0.0, 1.0, features, features)
    fits, mean, variance = [], np.empty_like(Z), np.empty_like(Z)
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # at the small end of the path, which is not chosen
        for t in range(Z.shape[1]):
            z = Z[:, t]
            alpha = float(LassoCV(cv=splits, **SOLVER).fit(*_without_levels(U, z, rows)).alpha_)
            w, b = _coefficients(U, z, rows, alpha)
            spread = max(len(z) - np.count_nonzero(w) - 1, 1)
            noise = float((rows.without_levels(z - U @ w) ** 2).sum() / spread) or 1e-300
            draws = np.array([np.append(*_refit(U, z, rows, alpha, rng)) for _ in range(REFITS)])
            covariance = np.cov(draws.T, ddof=1) / noise
            posterior = Posterior(
                -covariance[:K, :K], -covariance[:K, K], float(covariance[K, K]), w[:, None], np.array([b]),
                np.array([noise]), prior=0.0,
            )  # fmt: skip
            fits.append(Fit(kernel, 0.0, np.array([t]), posterior))
            for k in range(len(splits)):
                left = fold == k
                w, b = _coefficients(U[~left], z[~left], rows.take(~left), alpha)
                predicted = b + U @ w
                mean[left, t] = predicted[left] + rows.shift(~left, left, (z - predicted)[~left, None])[:, 0]
            variance[:, t] = ((z - mean[:, t]) ** 2).mean()
    predicted = link.backward(mean, np.zeros_like(mean))
    cv = CrossValidation.of(predicted, link.backward_variance(mean, variance), Y, rows.groups.index)
    return Member("lasso", tuple(fits), anchors=units), cv


def _without_levels(U: Array, z: Array, rows: Rows) -> tuple[Array, Array]:
    """Features and values without what the levels of seeds explain; as they are where there is one level."""
    if rows.basis.shape[1] < 2:
        return U, z
    return rows.without_levels(U), rows.without_levels(z)


def _coefficients(U: Array, z: Array, rows: Rows, alpha: float) -> tuple[Array, float]:
    """Coefficients (K,) and the constant, at the mean of the seeds' levels."""
    w = Lasso(alpha=alpha, **SOLVER).fit(*_without_levels(U, z, rows), sample_weight=1.0 / rows.noise).coef_
    return w, float((rows.solve_levels()[0] @ (z - U @ w)).mean())


def _refit(U: Array, z: Array, rows: Rows, alpha: float, rng: np.random.Generator) -> tuple[Array, float]:
    """Coefficients of a fit to as many groups of rows, drawn with replacement."""
    index = rows.groups.index
    count = int(index.max()) + 1
    times = np.bincount(rng.integers(count, size=count), minlength=count)[index]
    drawn = np.repeat(np.arange(len(z)), times)
    return _coefficients(U[drawn], z[drawn], rows.take(drawn), alpha)
