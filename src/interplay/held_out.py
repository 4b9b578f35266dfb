"""Runs beside what the other runs predict of them: hyper-parameters, length scales and all, chosen without them.

z_i = (measured_i - predicted_i) / deviation_i          a run stands out where |z_i| > 3
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .fitting import Design
from .predictor import Predictor
from .surrogates.sums import together

Array = NDArray[np.float64]
#: Standard deviations beyond which a run stands out: one in 370 of normal errors.
FAR = 3.0


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Measured values of the fitted runs, and their predictions from folds in which they were left out.

    Attributes
    ----------
    measured, predicted, deviation : array (m, T)
        In the targets' own units; NaN where a run was not measured or not compared. ``deviation`` is that of one
        more measurement, NaN where it is not known.
    weights : array (m, P)
        Masks or mixtures of the rows, by players.
    seed : array (m,) of int
        -1 where not stated, or where seeds were averaged.
    origin : tuple of str (m,)
    places : tuple of int (m,)
        Rows of the table of runs that these are; empty in answers of earlier versions.
    """

    measured: Array
    predicted: Array
    deviation: Array
    weights: Array
    seed: NDArray[np.int64]
    origin: tuple[str, ...]
    places: tuple[int, ...] = ()

    @classmethod
    def of(cls, design: Design, predictor: Predictor) -> HeldOut:
        """Gather the held-out rows of all surrogates that were taken."""
        runs = design.runs
        own = np.ones(len(runs), bool) if design.at is None else runs.fidelity == design.at
        measured, predicted, deviation = (np.full(runs.values.shape, np.nan) for _ in range(3))
        for targets, choice in predictor.choices:
            rows = np.flatnonzero(own & np.isfinite(runs.values[:, targets[0]]))[choice.kept]
            cells = np.ix_(rows, targets)
            measured[cells], predicted[cells] = runs.values[cells], choice.held_out
            known = choice.surrogate.cv_.deviation
            if len(known) == len(choice.held_out):
                deviation[cells] = known
            elif len(known) > choice.kept.max():  # of all rows, where the choice was made on some
                deviation[cells] = known[choice.kept]
        some = np.isfinite(predicted).any(axis=1)
        return cls(
            measured[some],
            predicted[some],
            deviation[some],
            design.X[some],
            runs.seed[some],
            tuple(map(str, runs.origin[some])),
            tuple(np.flatnonzero(some).tolist()),
        )

    def first(self, n: int) -> HeldOut:
        """The same of the first ``n`` targets."""
        return replace(self, **{name: getattr(self, name)[:, :n] for name in ("measured", "predicted", "deviation")})

    def standardised(self, target: int) -> Array:
        """Residuals (m,) of one target in their standard deviations; NaN where either is not known."""
        deviation = self.deviation[:, target]
        with np.errstate(invalid="ignore", divide="ignore"):
            z = (self.measured[:, target] - self.predicted[:, target]) / deviation
        return np.where(deviation > 0, z, np.nan)

    def together(self, coefficients: Array) -> float:
        """How far the errors of several targets add up in their sum with ``coefficients`` (T,), see `sums.together`."""
        own = coefficients != 0
        if own.sum() == 1:
            return 1.0
        error = (self.measured - self.predicted)[:, own] @ coefficients[own]
        return together(error, self.deviation[:, own] @ np.abs(coefficients[own]))

    def outliers(self, target: int) -> NDArray[np.int64]:
        """Rows that stand out on one target, the farthest first."""
        size = np.nan_to_num(np.abs(self.standardised(target)))
        order = np.argsort(-size, kind="stable")
        return order[size[order] > FAR]
