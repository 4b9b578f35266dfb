"""What is to be gained: a target, a weighted sum, the worst of several, within tolerances of others; with risk.

    y_j(x)   = offset_j + sum_t a_jt E y_t(x)           a goal: one target, or a weighted sum of targets
    sd_j(x)  = together_j sum_t |a_jt| sd_t(x)
    z_j(x)   = sign_j (y_j(x) - centre_j) / spread_j    benefit over the runs' mean in standard deviations
    worth    = min_j z_j(x) - risk sd_j(x) / spread_j
    kept     : the same of every target that may lose no more than a tolerance stays above its floor

Each member of a sum is fitted by itself, and so are the parts of a measured target that is the sum of others, where
that meets held-out runs better (`surrogates.sums`): each is nearly additive in a unit of its own. On RegMix's mean of
13 losses that ranks unseen mixtures with .956 from 32 runs, where a fit to the mean itself reaches .83. How far errors
of members add up, ``together``, is read from the sums of held-out residuals: 1 where they all err alike. A sum of more
than `SUMMED` targets is fitted as one all the same: a search among so many fits takes an hour.

Optimisers look for a surrogate's errors: where it is uncertain, its best predictions are too good. The risk makes up
for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..evaluations import Evaluations, EvaluationsError
from ..held_out import HeldOut
from ..predictor import Predictor, farthest_run, remoteness

Array = NDArray[np.float64]
LEAST = 1e-6  # standard deviations that are no loss
SUMMED = 200  # targets in a sum, above which it is fitted as one


@dataclass(frozen=True, eq=False)
class Goal:
    """A target or a weighted sum of targets.

    Attributes
    ----------
    name : str
    members : tuple of str (n,)
        Targets of the predictor.
    coefficients : array (n,)
    offset : float
    up : bool
        Whether higher is better.
    centre, spread : float
        Mean and standard deviation over the runs; spread is 0 where it never changes.
    parts : int
        Targets in a sum that has too many for each to be fitted; 0 otherwise.
    """

    name: str
    members: tuple[str, ...]
    coefficients: Array
    offset: float
    up: bool
    centre: float
    spread: float
    parts: int = 0

    @property
    def sign(self) -> float:
        """What turns a rise into a benefit."""
        return 1.0 if self.up else -1.0

    @classmethod
    def of(cls, runs: Evaluations, name: str) -> Goal:
        """Read a target of some runs: derived ones that are weighted sums as such."""
        t = runs.targets.index(name)
        y, up = runs.values[:, t], runs.higher_is_better[t]
        known = y[np.isfinite(y)]
        still = np.ptp(known) <= 1e-12 * np.abs(known).max() if len(known) else True
        facts = {"up": up, "centre": float(known.mean()), "spread": 0.0 if still else float(known.std())}
        members, coefficients, offset = _linear(runs, name)
        if len(members) > SUMMED:
            return cls(name, (name,), np.ones(1), 0.0, **facts, parts=len(members))
        return cls(name, members, coefficients, offset, **facts)

    def in_parts(self, predictor: Predictor) -> Goal:
        """The same goal, where measured members that are predicted as sums of others are replaced by these."""
        coefficients, offset = dict.fromkeys(self.members, 0.0), self.offset
        made = {int(own[one.target]): (own, one) for own, c in predictor.choices for one in c.surrogate.sums_}
        for name, a in zip(self.members, self.coefficients.tolist(), strict=True):
            t = predictor.targets.index(name)
            if t not in made:
                coefficients[name] += a
                continue
            own, one = made[t]
            offset += a * one.offset
            for part, b in zip(own[one.parts], one.coefficients, strict=True):
                name = predictor.targets[part]
                coefficients[name] = coefficients.get(name, 0.0) + a * b
        used = {name: a for name, a in coefficients.items() if a}
        return replace(self, members=tuple(used), coefficients=np.array(list(used.values())), offset=offset)


def _linear(runs: Evaluations, name: str) -> tuple[tuple[str, ...], Array, float]:
    """Members of a target, with coefficients and offset; itself where it is measured, or no weighted sum."""
    itself = (name,), np.ones(1), 0.0
    made = {str(key).rpartition(":")[0]: (key, text) for key, text in (runs.notes.get("derived") or {}).items()}
    if name not in made:
        return itself
    measured = [t for t in runs.targets if t not in made]
    up = [runs.higher_is_better[runs.targets.index(t)] for t in measured]
    if not (n := len(measured)):
        return itself
    probe = np.vstack([np.zeros(n), np.eye(n), np.random.default_rng(0).normal(size=(4, n))])
    bare = Evaluations.from_arrays(
        np.ones((len(probe), 1)), probe, targets=measured, higher_is_better=up, kind="weights"
    )
    try:
        values = bare.derive(dict(made.values())).values[:, n + list(made).index(name)]
    except EvaluationsError:  # its members were left out
        return itself
    offset, coefficients = float(values[0]), values[1 : n + 1] - values[0]
    size = np.abs(coefficients).sum() + abs(offset)
    if np.abs(values[n + 1 :] - offset - probe[n + 1 :] @ coefficients).max() > 1e-9 * max(size, 1e-300):
        return itself
    (own,) = np.nonzero(np.abs(coefficients) > 1e-12 * size)
    return tuple(measured[t] for t in own), coefficients[own], offset


@dataclass(frozen=True, eq=False)
class Objective:
    """What choices (n, P) are worth.

    Attributes
    ----------
    predictor : Predictor
    goals : tuple of Goal (J,)
        Of which the worst counts.
    together : array (J + U,)
        How far errors of the members of goals and kept targets add up.
    risk : float
        Standard deviations that are taken off every benefit.
    kept : tuple of Goal (U,)
        Targets that may lose no more than a tolerance.
    floors : array (U,)
        Least benefit of each, in standard deviations.
    """

    predictor: Predictor
    goals: tuple[Goal, ...]
    together: Array
    risk: float
    kept: tuple[Goal, ...] = ()
    floors: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, predictor: Predictor, goals: Sequence[Goal], held: HeldOut, risk: float) -> Objective:
        """Gather goals, and see in held-out rows how far errors of their members add up."""
        own = tuple(goal.in_parts(predictor) for goal in goals)
        made = cls(predictor, own, np.ones(len(own)), risk)
        return replace(made, together=np.array([held.together(row) for row in made.matrix()]))

    def keeping(self, kept: Sequence[Goal], floors: Array, held: HeldOut) -> Objective:
        """The same, where targets stay above their floors (U,)."""
        beside = Objective.of(self.predictor, kept, held, self.risk)
        return replace(self, kept=beside.goals, floors=floors, together=np.append(self.together, beside.together))

    @property
    def everything(self) -> tuple[Goal, ...]:
        """Goals and kept targets (J + U,)."""
        return (*self.goals, *self.kept)

    @property
    def targets(self) -> NDArray[np.int64]:
        """Targets of the predictor that any of them uses."""
        names = dict.fromkeys(member for goal in self.everything for member in goal.members)
        return np.array([self.predictor.targets.index(name) for name in names])

    def matrix(self) -> Array:
        """Coefficients (J + U, T) of everything over the targets of the predictor."""
        A = np.zeros((len(self.everything), len(self.predictor.targets)))
        for row, goal in zip(A, self.everything, strict=True):
            row[[self.predictor.targets.index(name) for name in goal.members]] = goal.coefficients
        return A

    def values(self, mean: Array, deviation: Array) -> tuple[Array, Array]:
        """Means and deviations (n, J + U) of everything, in its own units, from predictions (n, T)."""
        A = self.matrix()
        return mean @ A.T + [goal.offset for goal in self.everything], deviation @ np.abs(A).T * self.together

    def standardised(self, mean: Array, deviation: Array) -> tuple[Array, Array]:
        """Benefits and deviations (n, J + U) in standard deviations, from predictions (n, T)."""
        y, sd = self.values(mean, deviation)
        sign, centre, scale = self.scales
        return sign * (y - centre) * scale, sd * scale

    @property
    def scales(self) -> tuple[Array, Array, Array]:
        """Sign, centre and 1 / spread (J + U,) of everything; 0 for what never changes."""
        found = [(g.sign, g.centre, 1.0 / g.spread if g.spread else 0.0) for g in self.everything]
        sign, centre, scale = np.array(found).T
        return sign, centre, scale

    def worth(self, mean: Array, deviation: Array, risk: float | None = None) -> Array:
        """Return what choices are worth, array (n,), from predictions (n, T)."""
        z, sd = self.standardised(mean, deviation)
        low = z - (self.risk if risk is None else risk) * sd
        return low[:, : len(self.goals)].min(axis=1)

    def keeps(self, mean: Array, deviation: Array) -> NDArray[np.bool_]:
        """Return whether the targets that must be kept stay within their tolerances, array (n,)."""
        if not self.kept:
            return np.ones(len(mean), bool)
        z, sd = self.standardised(mean, deviation)
        J = len(self.goals)
        return np.asarray((z[:, J:] - self.risk * sd[:, J:] >= self.floors - LEAST).all(axis=1))

    @cached_property
    def farthest(self) -> dict[int, Array]:
        """Variance (T,) of g at the run farthest from the others, of every surrogate."""
        return {id(choice): farthest_run(choice.surrogate) for _, choice in self.predictor.choices}

    @cached_property
    def counting(self) -> Array:
        """How much the remoteness of each target counts in that of everything, (J + U, T); rows sum to 1."""
        A = np.abs(self.matrix()) * np.where(self.predictor.constant, 0.0, self.predictor.spread)
        return A / np.maximum(A.sum(axis=1, keepdims=True), 1e-300)

    def far(self, X: Array) -> Array:
        """How far choices (n, P) lie from the runs: `remoteness`, the largest mean over the members of a goal, (n,)."""
        remote = np.zeros((len(X), len(self.predictor.targets)))
        for own, choice in self.predictor.choices:
            if self.counting[:, own].any():
                remote[:, own] = remoteness(choice.surrogate, X, self.farthest[id(choice)])
        return np.sqrt((remote**2 @ self.counting.T).max(axis=1))
