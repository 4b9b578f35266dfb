"""Several fidelities in one answer: which it is about, whether the others' ranks transfer, what one more run brings.

worth of a run = 1 - mean variance of the effects with it / without it, posterior variances of `surrogates.fidelity`
(of its heaviest member with a gap), mean over masks like those that were run; it does not depend on the value that the
run would have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from shlex import quote

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .evaluations import Evaluations, EvaluationsError
from .surrogates.fidelity import FidelitySurrogate
from .surrogates.linear import LinearSurrogate

Array = NDArray[np.float64]
TOLD = 8  # masks below which nothing is said of transfer
TRANSFERS = 0.5
UNKNOWN = (float("nan"), float("nan"), float("nan"))
CANDIDATES = 4  # masks at which one more run is tried out
UNITS = {"": 0, "k": 3, "m": 6, "b": 9, "t": 12}
SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)\s*([kmbt]?)(?![a-z0-9])")


@dataclass(frozen=True)
class Fidelities:
    """What runs of several fidelities say together.

    Attributes
    ----------
    at : str
        The fidelity that the answer is about.
    names, runs : tuple of str, tuple of int (F,)
        All fidelities, ``at`` first, with their numbers of runs.
    shared : tuple of int (F,)
        Masks that were run at it and at ``at``.
    spearman, lower, upper : tuple of float (F,)
        Rank correlation of its runs with those of ``at`` over masks, mean over targets, with its 95 % interval; NaN
        where there are too few.
    worth : tuple of float (F,)
        Share by which one more run of it would lower the mean variance of the effects; NaN if unknown.
    cost : tuple of float (F,)
        Mean cost of a run; NaN where not stated.
    joined : bool
        Whether they were fitted together, or ``at`` alone predicted better.
    predicted : tuple of int (F,)
        Where fewer than `TOLD` masks are shared, the masks of ``at`` of which a tuned ridge of its runs predicts the
        ranks instead; 0 elsewhere. What it misses lowers the correlation: it can show that ranks transfer, not more.
    """

    at: str
    names: tuple[str, ...]
    runs: tuple[int, ...]
    shared: tuple[int, ...]
    spearman: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    worth: tuple[float, ...]
    cost: tuple[float, ...]
    joined: bool = True
    predicted: tuple[int, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """What the reader must know."""
        said = [f"The answer is about {self.at} runs; {self._counted()}."]
        for f in range(1, len(self.names)):
            said.append(self._transfer(f))
        if np.isfinite(self.worth).any():
            said.append(self._next())
        return said

    def _counted(self) -> str:
        return "there are " + ", ".join(f"{n} runs of {name}" for name, n in zip(self.names, self.runs, strict=True))

    def _transfer(self, f: int) -> str:
        name, n, instead = self.names[f], self.shared[f], dict(enumerate(self.predicted)).get(f, 0)
        if not np.isfinite(self.spearman[f]):
            few = f"{n} mask{'s' * (n != 1)} that both ran; {TOLD} would tell"
            return f"Whether ranks transfer from {name} to {self.at} runs cannot be told from {few}."
        over = f"{instead} {self.at} masks, as {name} runs predict them" if instead else f"{n} shared masks"
        numbers = f"Spearman {self.spearman[f]:.2f}, {self.lower[f]:.2f} to {self.upper[f]:.2f}, over {over}"
        if self.lower[f] >= TRANSFERS:
            return f"Ranks transfer from {name} to {self.at} runs ({numbers})."
        if instead:
            told = f"cannot be told ({numbers}); {TOLD} masks that both ran would tell"
            return f"Whether ranks transfer from {name} to {self.at} runs {told}."
        if self.upper[f] < TRANSFERS:
            return (
                f"Ranks do not transfer from {name} to {self.at} runs ({numbers}): {name} runs are of little use here."
            )
        if self.lower[f] <= 0:
            return f"Whether ranks transfer from {name} to {self.at} runs cannot be told ({numbers})."
        return f"Ranks of {name} and {self.at} runs agree in part ({numbers})."

    def _next(self) -> str:
        known = [f for f in range(len(self.names)) if np.isfinite(self.worth[f])]
        brings = [f"{self.names[f]} {self.worth[f]:.1%}" for f in known]
        said = f"One more run would lower the variance of the effects by: {', '.join(brings)}"
        if np.isfinite([self.cost[f] for f in known]).all() and all(self.cost[f] > 0 for f in known):
            rate = [self.worth[f] / self.cost[f] for f in known]
            best = int(np.argmax(rate))
            costs = ", ".join(f"{self.names[f]} {self.cost[f]:.3g}" for f in known)
            return f"{said}; per cost ({costs}) {self.names[known[best]]} runs bring most."
        return f"{said}; state the cost of runs to see which brings most for it."


def estimated(fidelity: str) -> bool:
    """Whether runs of a fidelity are estimates: its name begins with that word.

    Examples
    --------
    >>> estimated("estimated-in-run"), estimated("retrained")
    (True, False)
    """
    return str(fidelity).startswith("estimated")


def asked_about(runs: Evaluations, at: str | None) -> str | None:
    """The fidelity that the answer is about; None where there is only one.

    The one that is given; else 'retrained' beside estimates; else the dearest, where costs are stated; else the largest
    model, where the words name sizes ('70m', '1b').

    Raises
    ------
    EvaluationsError
        If there is no such fidelity, or nothing says which.
    """
    names = list(dict.fromkeys(map(str, runs.fidelity)))
    if at is not None and at not in names:
        raise EvaluationsError(f"at={at!r} (--at): no run is of this fidelity; there are {', '.join(names)}.")
    if len(names) == 1:
        return None
    if at is not None:
        return at
    real = [name for name in names if not estimated(name)]
    if len(real) == 1:
        return real[0]
    cost = {name: runs.cost[runs.fidelity == name] for name in real}
    if all(np.isfinite(values).all() for values in cost.values()):
        dear = {name: float(values.mean()) for name, values in cost.items()}
        if len(set(dear.values())) > 1:
            return max(dear, key=lambda name: dear[name])
    sizes = {name: _size(name) for name in real}
    if real and len({size for size in sizes.values() if size is not None}) == len(real):
        return max(real, key=lambda name: sizes[name] or (0.0, 0.0))
    raise EvaluationsError(
        f"runs hold several fidelities ({', '.join(names)}), and neither their costs nor their names say which is the "
        f"dear one. Name the one to answer for with at={names[0]!r} (--at {quote(names[0])}), or take one alone with "
        "runs.where(fidelity=...) (--fidelity WORD)."
    )


def described(runs: Evaluations, at: str, joined: bool, worth: Sequence[float], names: Sequence[str]) -> Fidelities:
    """Compare every fidelity with the one asked about, mask by mask; ``worth`` belongs to ``names``."""
    order = [at, *(name for name in dict.fromkeys(map(str, runs.fidelity)) if name != at)]
    by_mask = {name: _means(runs.where(fidelity=name)) for name in order}
    shared, found, bring, predicted = [], [], [], []
    for name in order:
        both = [key for key in by_mask[name] if key in by_mask[at]]
        shared.append(len(both))
        here, there = (np.array([by_mask[f][key] for key in both]).reshape(len(both), runs.T) for f in (name, at))
        instead = name != at and len(both) < TOLD <= min(len(by_mask[name]), len(by_mask[at]))
        if instead:
            here, there = _predicted(runs.where(fidelity=name), runs.where(fidelity=at).mean_by_mask())
        found.append(_correlation(here, there) if name != at else (1.0, 1.0, 1.0))
        predicted.append(len(here) if instead else 0)
        bring.append(float(worth[names.index(name)]) if name in names else float("nan"))
    spearman, lower, upper = zip(*found, strict=True)
    cost = [float(np.mean(runs.cost[runs.fidelity == name])) for name in order]
    counts = [int((runs.fidelity == name).sum()) for name in order]
    numbers = tuple(counts), tuple(shared), spearman, lower, upper, tuple(bring), tuple(cost)
    return Fidelities(at, tuple(order), *numbers, joined=joined, predicted=tuple(predicted))


def worth_of_runs(surrogate: FidelitySurrogate, deviation: Callable[[FidelitySurrogate], Array]) -> Array:
    """Share by which one more run of each fidelity lowers the mean variance of the effects, array (F,).

    Parameters
    ----------
    surrogate : FidelitySurrogate
    deviation : callable
        Posterior deviations (P, T) of the effects under a surrogate.
    """
    surrogate = surrogate.heaviest()
    before = np.nanmean(deviation(surrogate) ** 2, axis=0)
    masks = np.unique(surrogate.X_, axis=0)
    picks = masks[np.random.default_rng(0).permutation(len(masks))[:CANDIDATES]]
    out = np.empty(len(surrogate.fidelities_))
    for f in range(len(out)):
        after = [np.nanmean(deviation(surrogate.with_run(mask, f)) ** 2, axis=0) for mask in picks]
        share = 1.0 - np.mean(after, axis=0)[before > 0] / before[before > 0]
        out[f] = float(share.mean()) if len(share) else np.nan
    return np.maximum(out, 0.0)


def _means(runs: Evaluations) -> dict[bytes, Array]:
    averaged = runs.mean_by_mask()
    return {(mask + 0.0).tobytes(): values for mask, values in zip(averaged.masks, averaged.values, strict=True)}


def _predicted(runs: Evaluations, others: Evaluations) -> tuple[Array, Array]:
    """What tuned ridge of the runs says of the masks of others, and their values, (n, T): targets that all measured."""
    known = np.isfinite(runs.values).all(axis=0) & np.isfinite(others.values).all(axis=0)
    if not known.any() or not np.ptp(runs.masks, axis=0).any():
        return np.empty((0, 0)), np.empty((0, 0))
    ridge = LinearSurrogate(features="auto" if runs.kind == "mixture" else "raw")
    fitted = ridge.fit(runs.masks, runs.values[:, known])
    return np.reshape(fitted.predict(others.masks), (len(others), -1)), others.values[:, known]


def _correlation(here: Array, there: Array) -> tuple[float, float, float]:
    """Mean Spearman over targets (n, T) with Fisher's interval for n masks."""
    n = len(here)
    scores = np.atleast_1d(metrics.spearman(here, there)) if n else np.array([])
    scores = scores[np.isfinite(scores)]
    if n < TOLD or not len(scores):
        return UNKNOWN
    z, half = np.arctanh(np.clip(scores, -0.9999, 0.9999)).mean(), 1.96 * np.sqrt(1.06 / (n - 3))
    return float(np.tanh(z)), float(np.tanh(z - half)), float(np.tanh(z + half))


def _size(word: str) -> tuple[float, float] | None:
    """Parameters and steps that a word states: '70m', '1b', 'pythia-410m step 1000'; None if it states none."""
    found = SIZE.findall(word.lower().replace("-", " ").replace("_", " "))
    if not found:
        return None
    sizes = [float(number) * 10.0 ** UNITS[unit] for number, unit in found if unit]
    counts = [float(number) for number, unit in found if not unit]
    return (sizes[-1] if sizes else 0.0), (counts[-1] if counts else 0.0)
