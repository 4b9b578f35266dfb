"""Choice between tuned ridge and the kernel surrogate, by a paired comparison on held-out rows.

d_i = mean over targets of (ridge's squared error - kernel's) / variance of the target, row i held out by both;
the kernel is taken where mean d exceeds its standard error over groups of rows, otherwise ridge, the simpler one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import GaussianSurrogate
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
        Held-out R^2 of 'ridge' and 'kernel' per target: 1 - error / error of the constant.
    gain : float
        Mean difference of relative squared errors, ridge minus kernel: positive favours the kernel.
    standard_error : float
        Of ``gain``, over groups of rows that are held out together.
    over_constant, over_constant_error : array (T,)
        Difference of squared errors, constant minus the one taken, relative to the target's variance, and its
        standard error.
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
        if self.name == "kernel":
            return f"Kernel surrogate: {size} below tuned ridge, more than the standard error."
        if self.gain > 0:
            return f"Tuned ridge: the kernel's {size} lower is within the standard error, so the simpler one is taken."
        return f"Tuned ridge: the kernel is no better ({size} higher), so the simpler one is taken."


def compare(X: ArrayLike, Y: ArrayLike, groups: ArrayLike | None = None, prefer: str = "auto") -> Choice:
    """Fit tuned ridge and the kernel surrogate and take one.

    Parameters
    ----------
    X : array (m, K)
    Y : array (m, T)
    groups : array (m,), optional
        Rows that are held out together; equal rows of X if not given.
    prefer : {'auto', 'ridge', 'kernel'}
        'auto' compares; a name takes that one and still reports the comparison.
    """
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    if prefer not in ("auto", "ridge", "kernel"):
        raise ValueError(f"surrogate={prefer!r}; choose 'auto', 'ridge' or 'kernel'.")
    fits: dict[str, GaussianSurrogate] = {"ridge": LinearSurrogate(), "kernel": KernelSurrogate()}
    for surrogate in fits.values():
        surrogate.fit(X, Y, groups)
    index = fits["kernel"].cv_.groups
    variance = np.where(np.ptp(Y, axis=0) > 0, Y.var(axis=0), np.inf)
    errors = {name: (s.cv_.mean - Y) ** 2 / variance for name, s in fits.items()}
    constant = (held_out_mean(Y, index) - Y) ** 2 / variance
    skill = {name: 1.0 - e.mean(axis=0) / np.maximum(constant.mean(axis=0), 1e-300) for name, e in errors.items()}
    gain, se = _paired((errors["ridge"] - errors["kernel"]).mean(axis=1, keepdims=True), index)
    name = prefer if prefer != "auto" else "kernel" if gain[0] > se[0] else "ridge"
    over, over_error = _paired(constant - errors[name], index)
    return Choice(name, fits[name], skill, float(gain[0]), float(se[0]), over, over_error)


def held_out_mean(Y: Array, groups: NDArray) -> Array:
    """Mean of the rows outside each row's group, array (m, T): what the constant predicts."""
    counts = np.bincount(groups)
    sums = np.zeros((len(counts), Y.shape[1]))
    np.add.at(sums, groups, Y)
    left = np.maximum(len(Y) - counts[groups], 1)[:, None]
    return (Y.sum(axis=0) - sums[groups]) / left


def _paired(difference: Array, groups: NDArray) -> tuple[Array, Array]:
    """Mean of paired differences (m, T) and its standard error over groups of rows."""
    counts = np.bincount(groups)
    sums = np.zeros((len(counts), difference.shape[1]))
    np.add.at(sums, groups, difference - difference.mean(axis=0))
    n = len(counts)
    return difference.mean(axis=0), np.sqrt((sums**2).sum(axis=0) * n / max(n - 1, 1)) / len(difference)
