"""Choice between tuned ridge and the stack of kernels, by a paired comparison on held-out rows.

d_i = mean over targets of (|ridge's error| - |the stack's|) / standard deviation of the target, row i held out by both;
the stack is taken where mean d exceeds its standard error over groups of rows, otherwise ridge, the simpler one.
Absolute errors, since a few far runs rule squared ones: in additive games the stack is taken as rarely by either, where
tasks interact far more often by absolute ones.
RBF and ARD, members of the stack, stand beside them in the table: taken by themselves they predicted no better than
the stack on any recording, and covered worse. Each fold chooses its hyper-parameters anew from its own rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import GaussianSurrogate
from .fidelity import FidelitySurrogate
from .kernel import LARGE, KernelSurrogate
from .linear import LinearSurrogate
from .rows import Rows
from .stacking import folds

Array = NDArray[np.float64]
ROUNDING = 1e-9  # of the target's standard deviation
ALONE = 5  # masks of a fidelity, below which it is not fitted alone
JUDGED = 8  # masks of a fidelity, below which its held-out errors do not choose whether it is
SIMPLEST = ("ridge", "rbf", "ard", "stack", "joint")
WORDS = {
    "ridge": "tuned ridge",
    "rbf": "RBF",
    "ard": "ARD",
    "stack": "the stack of kernels",
    "joint": "all fidelities together",
}
SEEN = {"raw": " on the shares", "log": " on logarithms of shares"} | dict.fromkeys(("sqrt", "both"), "")
ASKED = {"auto": "auto", "kernel": "stack"} | {name: name for name in SIMPLEST[:-1]}


@dataclass(frozen=True, eq=False)
class Choice:
    """Which surrogate was taken, and on what grounds.

    Attributes
    ----------
    name : str
        'ridge', 'rbf', 'ard', 'stack', or 'joint' (several fidelities).
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
    held_out, constant : array (m, T)
        Held-out predictions of the one taken and of the constant, of the rows that were compared.
    groups : array (m,) of int
        Rows of one group were held out together.
    kept : array (m,) of int
        Which of the fitted rows were compared: all, or a sample of very many.
    given_up : str
        What was left out because of the number of runs, in words.
    said : str
        The choice in words, where several fidelities stood to choice.
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
    held_out: Array
    constant: Array
    groups: NDArray[np.int64]
    kept: NDArray[np.int64]
    given_up: str = ""
    said: str = ""

    @property
    def sentence(self) -> str:
        """The choice in words."""
        if self.said:
            return self.said
        size = f"{abs(self.gain):.3f} of the standard deviation (standard error {self.gain_error:.3f})"
        head = WORDS[self.name][0].upper() + WORDS[self.name][1:]
        if self.name == "ridge" and self.surrogate.kind_ == "mixture":
            head += SEEN[self.surrogate.features_]
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
    name = ASKED[prefer]
    if name not in ("auto", *predicted):
        raise ValueError(f"surrogate={prefer!r}: there is none for these runs; choose {', '.join(SIMPLEST)}.")
    found = Judged.of(predicted, Y, rows)
    if name == "auto":
        gain, gain_error = found.gain("ridge", "stack")
        name = "stack" if gain > gain_error + ROUNDING else "ridge"
    taken = kernel if name == "stack" else kernel.only(name) if name != "ridge" else None
    if taken is None:
        taken = ridge.fit(X, whole, groups, seeds, noise)
    chosen = found.choice(name, taken, prefer != "auto", ("ridge", "stack"), given_up=kernel.given_up_)
    return replace(chosen, kept=kept)


def compare_fidelities(
    X: ArrayLike,
    Y: ArrayLike,
    fidelity: ArrayLike,
    at: str,
    prefer: str = "auto",
    features: str = "auto",
    *,
    higher_is_better: ArrayLike = False,
    seeds: ArrayLike | None = None,
) -> Choice:
    """Fit the runs of all fidelities together, and those of the fidelity asked about alone, and take one.

    All together, unless those alone predict its held-out rows better by more than the standard error of the paired
    difference; or just better, where all together predict them no better than their mean: cheap runs of which nothing
    transfers cost most where few dear ones can show it. Alone is what `compare` takes, from at least `JUDGED` masks.
    Beside more than `LARGE` runs of the fidelity asked about others are not fitted, and that is said.

    Parameters
    ----------
    X : array (m, K)
    Y : array (m, T)
    fidelity : array (m,) of str
    at : str
        The fidelity asked about.
    prefer, features, higher_is_better, seeds
        See `compare`; a surrogate asked for by name is that of the fidelity's runs alone.
    """
    X, Y, words = np.asarray(X, float), np.asarray(Y, float), np.asarray(fidelity).astype(str)
    own = words == at
    few = len(np.unique(X[own], axis=0)) < (JUDGED if prefer == "auto" else ALONE) or not np.ptp(X[own], axis=0).any()
    if prefer != "auto" and few:
        raise ValueError(f"surrogate={prefer!r}: {own.sum()} {at} runs are too few for it alone; leave it out.")
    some = None if seeds is None else np.asarray(seeds)[own]
    how = {"higher_is_better": higher_is_better, "seeds": some}
    alone = None if few else compare(X[own], Y[own], None, prefer, features, **how)
    if alone is not None and alone.asked:
        return alone
    if alone is not None and own.sum() > LARGE:
        said = f"The {at} runs alone: beside more than {LARGE:,} of them others are not fitted"
        return replace(alone, said=f"{said}. {alone.sentence}")
    joint = FidelitySurrogate(at, features=features, higher_is_better=higher_is_better).fit(X, Y, words, seeds=seeds)
    rows = Rows.of(X[own], seeds=some)
    predicted = ridge_held_out(LinearSurrogate(features=features), X[own], Y[own], rows)
    if alone is None:
        predicted.pop("ridge")
    else:
        predicted[alone.name] = alone.held_out
    found = Judged.of(predicted | {"joint": joint.cv_.mean}, Y[own], rows)
    if alone is None:
        said = f"All fidelities together: {own.sum()} {at} runs are too few to be fitted alone."
        return found.choice("joint", joint, False, ("joint", "joint"), said=said)
    gain, gain_error = found.gain(alone.name, "joint")
    size = f"{abs(gain):.3f} of the standard deviation (standard error {gain_error:.3f})"
    held = ", within the standard error" if abs(gain) <= gain_error else ""
    beside = f"R^2 of all together {_mean(found.skill['joint'])}, alone {_mean(found.skill[alone.name])}"
    over, over_error = _paired(_mean_over(found.constant - found.errors["joint"]), rows)
    if gain < -ROUNDING and (gain < -gain_error or over[0] <= over_error[0]):
        said = f"The {at} runs alone: their held-out error is {size} below that of all fidelities together{held}"
        return replace(alone, said=f"{said} ({beside}). {alone.sentence}")
    which = "below" if gain > 0 else "above"
    said = f"All fidelities together: the held-out error of {at} runs is {size} {which} that of these runs alone{held}"
    return found.choice("joint", joint, False, (alone.name, "joint"), said=f"{said} ({beside}).")


@dataclass(frozen=True, eq=False)
class Judged:
    """Held-out errors (m, T) of several surrogates and of the constant, in standard deviations of each target.

    Attributes
    ----------
    predicted, errors : dict of str to array (m, T)
    constant : array (m, T)
    rows : Rows
    skill : dict of str to array (T,)
    """

    predicted: dict[str, Array]
    errors: dict[str, Array]
    constant: Array
    rows: Rows
    skill: dict[str, Array]

    @classmethod
    def of(cls, predicted: Mapping[str, Array], Y: Array, rows: Rows) -> Judged:
        """Errors of predictions (m, T), 'constant' among them."""
        deviation = np.where(np.ptp(Y, axis=0) > 0, Y.std(axis=0), np.inf)
        errors = {name: np.abs(p - Y) / deviation for name, p in predicted.items()}
        constant = errors.pop("constant")
        base = np.maximum((constant**2).mean(axis=0), 1e-300)
        skill = {name: 1.0 - (error**2).mean(axis=0) / base for name, error in errors.items()}
        return cls(dict(predicted), errors, constant, rows, skill)

    def gain(self, of: str, over: str) -> tuple[float, float]:
        """Mean over targets of the difference of absolute errors, and its standard error."""
        difference, error = _paired(_mean_over(self.errors[of] - self.errors[over]), self.rows)
        return float(difference[0]), float(error[0])

    def choice(
        self,
        name: str,
        surrogate: GaussianSurrogate,
        asked: bool,
        pair: tuple[str, str],
        given_up: str = "",
        said: str = "",
    ) -> Choice:
        """Take one; ``pair`` are the two between which was chosen."""
        best = min(self.errors, key=lambda other: float(self.errors[other].mean()))
        pairs = {other: self.gain(other, best) for other in self.errors}
        difference = self.errors[pair[0]] - self.errors[pair[1]]
        over, over_error = _paired(self.constant - self.errors[name], self.rows)
        gain, gain_error = self.gain(*pair)
        return Choice(
            name=name,
            surrogate=surrogate,
            best=best,
            asked=asked,
            skill=self.skill,
            gain=gain,
            gain_error=gain_error,
            gain_of_target=np.array(_paired(difference, self.rows)),
            worse={other: d for other, (d, _) in pairs.items()},
            standard_error={other: e for other, (_, e) in pairs.items()},
            over_constant=over,
            over_constant_error=over_error,
            held_out=self.predicted[name],
            constant=self.predicted["constant"],
            groups=self.rows.groups.index,
            kept=np.arange(len(self.constant)),
            given_up=given_up,
            said=said,
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
