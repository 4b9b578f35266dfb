"""Choice between tuned ridge and the stack of kernels, by a paired comparison on held-out rows.

d_i = mean over targets of (|ridge's error| - |the stack's|) / standard deviation of the target, row i held out by both;
the stack is taken where mean d exceeds its standard error over groups of rows, otherwise ridge, the simpler one.
Absolute errors, since a few far runs rule squared ones: in additive games the stack is taken as rarely by either, where
tasks interact far more often by absolute ones.
RBF and ARD, members of the stack, stand beside them in the table: taken by themselves they predicted no better than
the stack on any recording, and covered worse. Each fold chooses its hyper-parameters anew from its own rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import GaussianSurrogate
from .kernel import KernelSurrogate
from .linear import LinearSurrogate
from .rows import Rows
from .stacking import folds

Array = NDArray[np.float64]
ROUNDING = 1e-9  # of the target's standard deviation
SIMPLEST = ("ridge", "rbf", "ard", "stack")
WORDS = {"ridge": "tuned ridge", "rbf": "RBF", "ard": "ARD", "stack": "the stack of kernels"}
ASKED = {"auto": "auto", "kernel": "stack"} | {name: name for name in SIMPLEST}


@dataclass(frozen=True, eq=False)
class Choice:
    """Which surrogate was taken, and on what grounds.

    Attributes
    ----------
    name : str
        'ridge', 'rbf', 'ard' or 'stack'.
    surrogate : GaussianSurrogate
        The one taken, fitted.
    best : str
        The one with the smallest held-out absolute error.
    asked : bool
        Whether ``name`` was asked for, not chosen.
    skill : dict of str to array (T,)
        Held-out R^2 of each: 1 - error / error of the mean of the other rows.
    gain, gain_error : float
        Mean difference of absolute errors in standard deviations of the target, ridge minus stack, and its standard
        error over groups of rows.
    gain_of_target : array (2, T)
        The same for every target: difference and standard error.
    worse, standard_error : dict of str to float
        The same of each to the best.
    over_constant, over_constant_error : array (T,)
        The same, constant minus the one taken.
    given_up : str
        What was left out because of the number of runs, in words.
    """

    name: str
    surrogate: GaussianSurrogate = field(repr=False)
    best: str
    asked: bool
    skill: dict[str, Array]
    gain: float
    gain_error: float
    gain_of_target: Array
    worse: dict[str, float]
    standard_error: dict[str, float]
    over_constant: Array
    over_constant_error: Array
    given_up: str = ""

    @property
    def sentence(self) -> str:
        """The choice in words."""
        size = f"{abs(self.gain):.3f} +- {self.gain_error:.3f} of the standard deviation"
        head = WORDS[self.name][0].upper() + WORDS[self.name][1:]
        if self.asked:
            return f"{head}, as asked: held-out R^2 {_mean(self.skill[self.name])}, {self._beside()}."
        if self.name == "stack":
            why = f"its held-out error is {size} below that of tuned ridge, more than the standard error"
            return f"{head}: {why} ({self._beside()})."
        why = f"is {size} lower, within the standard error" if self.gain > 0 else f"is no lower, {size} higher"
        return f"{head}: the held-out error of the stack {why}, so the simpler one is taken ({self._beside()})."

    def _beside(self) -> str:
        others = [name for name in SIMPLEST if name in self.skill and name != self.name]
        return "R^2 of " + ", ".join(f"{WORDS[name]} {_mean(self.skill[name])}" for name in others)

    def table(self) -> list[dict[str, object]]:
        """One row per surrogate: held-out R^2 (mean over targets), distance to the best with its 95 % interval."""
        return [
            {
                "surrogate": name,
                "r2": float(np.mean(self.skill[name])),
                "worse": self.worse[name],
                "lower": self.worse[name] - 1.96 * self.standard_error[name],
                "upper": self.worse[name] + 1.96 * self.standard_error[name],
                "taken": name == self.name,
            }
            for name in SIMPLEST
            if name in self.skill
        ]


def compare(
    X: ArrayLike,
    Y: ArrayLike,
    groups: ArrayLike | None = None,
    prefer: str = "auto",
    features: str = "auto",
    *,
    higher_is_better: ArrayLike = False,
    seeds: ArrayLike | None = None,
    noise: ArrayLike | None = None,
) -> Choice:
    """Fit ridge, RBF, ARD and their stack, and take one.

    Parameters
    ----------
    X : array (m, K)
    Y : array (m, T)
    groups, seeds, noise : array (m,), optional
        See `KernelSurrogate.fit`.
    prefer : {'auto', 'ridge', 'rbf', 'ard', 'stack', 'kernel'}
        'auto' chooses; a name takes that one and still reports the comparison; 'kernel' is the stack.
    features, higher_is_better
        As in the surrogates; state features where the kind of the columns is known.
    """
    if prefer not in ASKED:
        raise ValueError(f"surrogate={prefer!r}; choose {', '.join(map(repr, ASKED))}.")
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    kernel = KernelSurrogate(features=features, higher_is_better=higher_is_better).fit(X, Y, groups, seeds, noise)
    ridge = LinearSurrogate(features=features)
    held, kept = kernel.held_out_, kernel.kept_  # a sample where there are very many rows
    whole, Y, rows = Y, Y[kept], Rows.of(X, groups, seeds, noise).take(kept)
    predicted = ridge_held_out(ridge, X[kept], Y, rows)
    predicted |= {name: held.mean[held.names.index(name)] for name in ("rbf", "ard") if name in held.names}
    predicted["stack"] = kernel.cv_.mean
    deviation = np.where(np.ptp(Y, axis=0) > 0, Y.std(axis=0), np.inf)
    errors = {name: np.abs(p - Y) / deviation for name, p in predicted.items()}
    constant = errors.pop("constant")
    base = np.maximum((constant**2).mean(axis=0), 1e-300)
    skill = {name: 1.0 - (error**2).mean(axis=0) / base for name, error in errors.items()}
    best = min(errors, key=lambda name: float(errors[name].mean()))
    pairs = {name: _paired(_mean_over(e - errors[best]), rows) for name, e in errors.items()}
    worse, standard_error = ({name: float(pair[i][0]) for name, pair in pairs.items()} for i in (0, 1))
    name = ASKED[prefer]
    difference = errors["ridge"] - errors["stack"]
    gain, gain_error = (float(d[0]) for d in _paired(_mean_over(difference), rows))
    by_target = np.array(_paired(difference, rows))
    if prefer == "auto":
        name = "stack" if gain > gain_error + ROUNDING else "ridge"
    elif name not in errors:
        raise ValueError(f"surrogate={prefer!r}: there is none for these runs; choose {', '.join(errors)}.")
    over, over_error = _paired(constant - errors[name], rows)
    taken = ridge.fit(X, whole, groups, seeds, noise) if name == "ridge" else kernel
    given = kernel.given_up_
    if name in ("rbf", "ard"):
        taken = kernel.only(name)
    return Choice(
        name=name,
        surrogate=taken,
        best=best,
        asked=prefer != "auto",
        skill=skill,
        gain=gain,
        gain_error=gain_error,
        gain_of_target=by_target,
        worse=worse,
        standard_error=standard_error,
        over_constant=over,
        over_constant_error=over_error,
        given_up=given,
    )


def ridge_held_out(ridge: LinearSurrogate, X: Array, Y: Array, rows: Rows) -> dict[str, Array]:
    """Predictions (m, T) of every row by tuned ridge and by the constant, from the folds without its group."""
    fold = folds(rows.groups.index)
    out = {"ridge": np.empty_like(Y), "constant": np.empty_like(Y)}
    for k in range(int(fold.max()) + 1):
        left = fold == k
        level = Y[~left].mean(axis=0)
        out["constant"][left] = out["ridge"][left] = level + rows.shift(~left, left, Y[~left] - level)
        if np.ptp(X[~left], axis=0).any():
            kept = rows.take(~left)
            seeds = kept.basis.argmax(axis=1) if kept.basis.shape[1] > 1 else None
            ridge.fit(X[~left], Y[~left], kept.groups.index, seeds, kept.noise)
            mean = np.reshape(ridge.predict(X), Y.shape)
            out["ridge"][left] = mean[left] + rows.shift(~left, left, (Y - mean)[~left])
    return out


def _mean_over(difference: Array) -> Array:
    """Mean over targets (m, T) -> (m, 1)."""
    return difference.mean(axis=1, keepdims=True)


def _mean(values: Array) -> str:
    return f"{np.mean(values):.2f}"


def _paired(difference: Array, rows: Rows) -> tuple[Array, Array]:
    """Mean of paired differences (m, T) and its standard error over groups of rows."""
    groups = rows.groups.index
    counts = np.bincount(groups)
    sums = np.zeros((len(counts), difference.shape[1]))
    np.add.at(sums, groups, difference - difference.mean(axis=0))
    n = len(counts)
    return difference.mean(axis=0), np.sqrt((sums**2).sum(axis=0) * n / max(n - 1, 1)) / len(difference)
