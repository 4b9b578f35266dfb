"""An answer on many targets, task by task: mean benefit, and how many targets each helps and hurts.

relative_kt = effect_kt / rms over tasks of target t's effects          so that targets of any unit can be averaged
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..attribution import Attribution

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Summary:
    """Benefits over all targets.

    Attributes
    ----------
    relative : array (P, T)
        Benefits in root mean squares of each target's own; 0 where not known.
    known : array (P,) of bool
        Tasks with an effect on any target.
    mean : array (P,)
    helps, hurts : array (P,) of int
        Targets whose interval lies above and below 0.
    best, worst : array (P,) of int
        Target most helped and most hurt.
    """

    relative: Array
    known: NDArray[np.bool_]
    mean: Array
    helps: NDArray[np.int64]
    hurts: NDArray[np.int64]
    best: NDArray[np.int64]
    worst: NDArray[np.int64]

    @classmethod
    def of(cls, answer: Attribution) -> Summary:
        """Sum an answer up."""
        squares, found = np.nan_to_num(answer.effects) ** 2, np.isfinite(answer.effects).sum(axis=0)
        scale = np.sqrt(squares.sum(axis=0) / np.maximum(found, 1))
        relative = answer.effects / np.where(scale > 0, scale, np.inf)
        known = np.isfinite(relative)
        relative = np.where(known, relative, 0.0)
        mean = relative.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        helps, hurts = (answer.lower > 0).sum(axis=1), (answer.upper < 0).sum(axis=1)
        ends = relative.argmax(axis=1), relative.argmin(axis=1)
        return cls(relative, np.asarray(known.any(axis=1)), mean, helps, hurts, *ends)

    @property
    def order(self) -> NDArray[np.int64]:
        """Tasks by their mean benefit, the highest first."""
        return np.argsort(-self.mean, kind="stable")
