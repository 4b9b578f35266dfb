"""Choice between tuned ridge and the kernel surrogate, by a paired comparison on held-out rows.

d_i = mean over targets of (ridge's squared error - kernel's) / variance of the target, row i held out by both;
the kernel is taken where mean d exceeds its standard error over groups of rows, otherwise ridge, the simpler one.
Each fold chooses its hyper-parameters anew from its own rows: errors at hyper-parameters that saw the row favour
whichever surrogate has more of them (on additive games the kernel would win most of the time).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from .base import GaussianSurrogate
from .gaussian import Groups
from .kernel import KernelSurrogate
from .linear import LinearSurrogate

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Choice:
    """Which surrogate was taken, and on what grounds.

    Attributes
    ----------
    name : str
        'ridge' or 'kernel'.
    surrogate : GaussianSurrogate
        The one taken, fitted.
    skill : dict of str to array (T,)
        Held-out R^2 of 'ridge' and 'kernel' per target: 1 - error / error of the mean of the other rows.
    gain : float
        Mean difference of relative squared errors, ridge minus kernel: positive favours the kernel.
    standard_error : float
        Of ``gain``, over groups of rows that are held out together.
    over_constant, over_constant_error : array (T,)
        Difference of absolute errors, constant minus the one taken, relative to the target's standard deviation, and
        its standard error. Absolute, since a few far runs rule squared errors and hide a skill that is there.
    """

    name: str
    surrogate: GaussianSurrogate = field(repr=False)
    skill: dict[str, Array]
    gain: float
    standard_error: float
    over_constant: Array
    over_constant_error: Array

    @property
    def sentence(self) -> str:
        """The choice in words."""
        size = f"held-out error {abs(self.gain):.3f} +- {self.standard_error:.3f} of the variance"
        if (self.name == "kernel") != (self.gain > self.standard_error):  # taken as asked, against the comparison
            name, other = (
                ("Kernel surrogate", "tuned ridge") if self.name == "kernel" else ("Tuned ridge", "the kernel")
            )
            way = "below" if (self.gain > 0) == (self.name == "kernel") else "above"
            return f"{name}, as asked: {size} {way} {other}."
        if self.name == "kernel":
            return f"Kernel surrogate: {size} below tuned ridge, more than the standard error."
        if self.gain > 0:
            return f"Tuned ridge: the kernel's {size} lower is within the standard error, so the simpler one is taken."
        return f"Tuned ridge: the kernel is no better ({size} higher), so the simpler one is taken."


def compare(
    X: ArrayLike, Y: ArrayLike, groups: ArrayLike | None = None, prefer: str = "auto", features: str = "auto"
) -> Choice:
    """Fit tuned ridge and the kernel surrogate and take one.

    Parameters
    ----------
    X : array (m, K)
    Y : array (m, T)
    groups : array (m,), optional
        Rows that are held out together; equal rows of X if not given.
    prefer : {'auto', 'ridge', 'kernel'}
        'auto' compares; a name takes that one and still reports the comparison.
    features : {'auto', 'raw', 'log'}
        As in the surrogates; state it where the kind of the columns is known.
    """
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    if prefer not in ("auto", "ridge", "kernel"):
        raise ValueError(f"surrogate={prefer!r}; choose 'auto', 'ridge' or 'kernel'.")
    candidates: dict[str, GaussianSurrogate] = {
        "ridge": LinearSurrogate(features=features),
        "kernel": KernelSurrogate(features=features),
    }
    index = (Groups.of_rows(X) if groups is None else Groups.of(np.asarray(groups))).index
    if index.max() == 0:
        index = np.arange(len(X))
    variance = np.where(np.ptp(Y, axis=0) > 0, Y.var(axis=0), np.inf)
    predicted = held_out(X, Y, index, candidates)
    errors = {name: (p - Y) ** 2 / variance for name, p in predicted.items()}
    skill = {
        name: 1.0 - errors[name].mean(axis=0) / np.maximum(errors["constant"].mean(axis=0), 1e-300)
        for name in candidates
    }
    gain, se = _paired((errors["ridge"] - errors["kernel"]).mean(axis=1, keepdims=True), index)
    name = prefer if prefer != "auto" else "kernel" if gain[0] > se[0] else "ridge"
    over, over_error = _paired(np.sqrt(errors["constant"]) - np.sqrt(errors[name]), index)
    fitted = candidates[name].fit(X, Y, index)
    return Choice(name, fitted, skill, float(gain[0]), float(se[0]), over, over_error)


def held_out(X: Array, Y: Array, groups: NDArray, candidates: dict[str, GaussianSurrogate]) -> dict[str, Array]:
    """Predictions (m, T) of every row by fits that saw nothing of its group, hyper-parameters included.

    Groups go to folds at random from a fixed seed: 10 folds up to 128 rows, 5 above. The candidates are joined by
    'constant', the mean of the fold's own rows.
    """
    n = int(groups.max()) + 1
    folds = min(10 if len(X) <= 128 else 5, n)
    fold = (np.random.default_rng(0).permutation(n) % folds)[groups]
    out = {name: np.empty_like(Y) for name in (*candidates, "constant")}
    for k in range(folds):
        left = fold == k
        out["constant"][left] = Y[~left].mean(axis=0)
        if not np.ptp(X[~left], axis=0).any():  # nothing is switched there: nothing but the mean can be learnt
            for name in candidates:
                out[name][left] = out["constant"][left]
            continue
        for name, candidate in candidates.items():
            surrogate = cast(GaussianSurrogate, clone(candidate)).fit(X[~left], Y[~left], groups[~left])
            out[name][left] = np.reshape(surrogate.predict(X[left]), (-1, Y.shape[1]))
    return out


def _paired(difference: Array, groups: NDArray) -> tuple[Array, Array]:
    """Mean of paired differences (m, T) and its standard error over groups of rows."""
    counts = np.bincount(groups)
    sums = np.zeros((len(counts), difference.shape[1]))
    np.add.at(sums, groups, difference - difference.mean(axis=0))
    n = len(counts)
    return difference.mean(axis=0), np.sqrt((sums**2).sum(axis=0) * n / max(n - 1, 1)) / len(difference)
