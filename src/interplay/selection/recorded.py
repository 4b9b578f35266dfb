"""What the runs of choices measured, and how much of it would show again.

g_j(x), v_j(x)    prediction of a goal and its variance
l_j(x)            what belongs to the choice beyond the surrogate, of variance L_j (`repeats.reproduced`)
ybar_j(x)         mean of its n runs, each with noise of variance N_j
share             L / (L + N / n), 0 where it was not run; L and N vary over choices as the noise of the fit does
settled           g + share (ybar - g);  of coupled seeds that were not crossed each run less the level of its seed
its variance      (1 - share)^2 v + (1 - share) L: of a choice that was not run, what belongs to it is not known
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ..evaluations import Evaluations
from ..players import Players
from ..predictor import Z
from ..repeats import averaged, reproduced, share_shown
from .objective import LEAST, Objective
from .region import Region
from .simplex import alike

Array = NDArray[np.float64]


class Measured(NamedTuple):
    """Of one choice: mean (J,) of its runs, standard error (J,), NaN for fewer than two, and how many there are."""

    mean: Array
    error: Array
    runs: int


class Settled(NamedTuple):
    """Of choices: what is added to their prediction (n, J), its share (n, J), and the variance that is left (n, J)."""

    shift: Array
    share: Array
    left: Array


@dataclass(frozen=True, eq=False)
class Recorded:
    """The runs of the fidelity that is asked about.

    Attributes
    ----------
    runs : Evaluations
    players : Players
    objective : Objective
    levels : bool
        Whether each seed has a level of its own: coupled seeds that did not all run the same masks.
    """

    runs: Evaluations
    players: Players
    objective: Objective
    levels: bool = False

    @cached_property
    def masks(self) -> Array:
        """Masks (m, P) by players."""
        return self.players.columns(self.runs.masks)

    @cached_property
    def values(self) -> Array:
        """Goals (m, J) in their own units."""
        return self.runs.values[:, [self.runs.targets.index(goal.name) for goal in self.objective.goals]]

    @cached_property
    def level(self) -> Array:
        """By how much the seed of each run (m, J) raises all its values, against the mean over seeds."""
        return self._own[np.unique(self.runs.seed, return_inverse=True)[1]] if self.levels else 0.0 * self.values

    @cached_property
    def _own(self) -> Array:
        """The levels of the seeds (n, J), in their order; they sum to 0."""
        J = len(self.objective.goals)
        left = self.values - self.objective.values(*self.objective.predictor.at(self.masks))[0][:, :J]
        own = np.array([np.nanmean(left[self.runs.seed == s], axis=0) for s in np.unique(self.runs.seed)])
        return own - np.nanmean(own, axis=0)

    @cached_property
    def elsewhere(self) -> Array:
        """How far the mean over all seeds may lie from that over the coupled ones of the runs, deviations (J,).

        Of n levels s / sqrt(n), widened as Student's t is beside the normal distribution at 95 %; 0 where seeds have no
        levels, or one only is known.
        """
        n = len(np.unique(self.runs.seed))
        if n < 2 or self.runs.notes.get("coupled") is not True or -1 in self.runs.seed:
            return np.zeros(self.values.shape[1])
        return np.nan_to_num(self._own.std(axis=0, ddof=1)) / np.sqrt(n) * student.ppf(0.975, n - 1) / Z

    @cached_property
    def levelled(self) -> Array:
        """Goals (m, J) less the level of each run's seed."""
        return self.values - self.level

    @cached_property
    def split(self) -> tuple[Array, Array]:
        """Variances L and N (J,), means over the runs."""
        nugget = self._nugget
        return reproduced(self.masks, self.values, self.runs.seed, nugget, self.objective.predictor.averaged)

    @cached_property
    def _nugget(self) -> Array:
        return self._noise(self.masks).mean(axis=0)

    def _noise(self, X: Array) -> Array:
        """Noise variances (n, J) of the fit at choices (n, P): under a log link, say, in proportion to the values."""
        J, at = len(self.objective.goals), self.objective.predictor.at
        noisy, still = (self.objective.values(*at(X, noise=noise))[1][:, :J] for noise in (True, False))
        return np.maximum(noisy**2 - still**2, 0.0)

    def of(self, x: Array, values: Array | None = None) -> Measured:
        """What a choice (P,) measured; ``values`` (m, J) in place of those that were."""
        values = self.values if values is None else values
        y = values[alike(self.masks, x) & np.isfinite(values).all(axis=1)]
        nothing = np.full(values.shape[1], np.nan)
        if not len(y):
            return Measured(nothing, nothing, 0)
        return Measured(y.mean(axis=0), y.std(axis=0, ddof=1) / np.sqrt(len(y)) if len(y) > 1 else nothing, len(y))

    def best(self, region: Region, objective: Objective) -> Array | None:
        """The choice (P,) within the rules that measured best, its seeds averaged; kept targets stay above floors."""
        X, J = self.masks, self.values.shape[1]
        kept = self.runs.values[:, [self.runs.targets.index(goal.name) for goal in objective.kept]]
        y = np.hstack([self.levelled, kept])
        known = region.feasible(X) & np.isfinite(y).all(axis=1)
        if not known.any():
            return None
        distinct, _, mean = averaged(X[known], y[known])
        sign, centre, scale = objective.scales
        z = sign * (mean - centre) * scale
        worth = np.where((z[:, J:] >= objective.floors - LEAST).all(axis=1), z[:, :J].min(axis=1), -np.inf)
        return distinct[int(worth.argmax())] if np.isfinite(worth).any() else None

    def settled(self, X: Array, mean: Array) -> Settled:
        """What the runs of choices (n, P) show beyond their predictions (n, J), as far as it would show again."""
        lasting, noise = self.split
        shift, shares = np.zeros_like(mean), np.zeros_like(mean)
        for i, x in enumerate(X):
            of = self.of(x, self.levelled)
            if of.runs:
                shares[i] = share_shown(lasting, noise, of.runs)
                shift[i] = shares[i] * (of.mean - mean[i])
        there = np.divide(self._noise(X), self._nugget, out=np.ones_like(mean), where=self._nugget > 0)
        return Settled(shift, shares, (1.0 - shares) * lasting * there)
