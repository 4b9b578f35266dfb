"""What the runs cover: how many hold each task, and how much narrower they made each effect than it was before.

known = posterior / prior standard deviation of an effect: near 0 the runs decide it, near 1 they say nothing of it
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import Effects
from .fitting import Design

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Coverage:
    """Coverage of P players by the fitted runs.

    Attributes
    ----------
    present, absent : array (P,) of int
        Runs with a weight above 0, and the others.
    lowest, mean, highest : array (P,)
        Weights in the runs.
    known : array (P, T)
        Posterior over prior standard deviation of each effect; NaN where there is no prior.
    """

    present: NDArray[np.int64]
    absent: NDArray[np.int64]
    lowest: Array
    mean: Array
    highest: Array
    known: Array

    @classmethod
    def of(cls, design: Design, answer: Effects) -> Coverage:
        """Count the runs of the fidelity that is asked about."""
        own = slice(None) if design.at is None else design.runs.fidelity == design.at
        X = design.X[own]
        present = (X > 0).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            known = np.where(answer.prior > 0, answer.deviation / answer.prior, np.nan)
        return cls(present, len(X) - present, X.min(axis=0), X.mean(axis=0), X.max(axis=0), known)
