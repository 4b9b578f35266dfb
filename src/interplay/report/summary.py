"""An answer on many targets, task by task: mean benefit, and how many targets each helps and hurts.

relative_kt = effect_kt / rms over tasks of target t's effects          so that targets of any unit can be averaged
half_k      = mean over targets of the half widths of the relative intervals

along_t      = sum_k mean_k(other targets) relative_kt      below 0: a target answers the opposite way

Targets share their runs, so their errors go together to an unknown extent; half_k is what the interval of the mean
comes to at most, where they do so wholly (the standard deviation of a mean is at most the mean of the deviations).
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
    width : array (P, T)
        Half the widths of their 95 % intervals; 0 where not known.
    mean, half : array (P,)
        Mean over targets, and half the width of its 95 % interval at most.
    helps, hurts : array (P,) of int
        Targets whose interval lies above and below 0.
    best, worst : array (P,) of int
        Of the targets whose interval excludes 0, the one most helped and most hurt; -1 where there is none.
    alike : array (T,)
        Cosine of a target's effects and their mean over the other targets; 0 where either is nothing.
    opposed : array (T,) of bool
        Targets that answer the opposite way for certain, errors of the tasks being taken as independent.
    """

    relative: Array
    width: Array
    known: NDArray[np.bool_]
    mean: Array
    half: Array
    helps: NDArray[np.int64]
    hurts: NDArray[np.int64]
    best: NDArray[np.int64]
    worst: NDArray[np.int64]
    alike: Array
    opposed: NDArray[np.bool_]

    @classmethod
    def of(cls, answer: Attribution) -> Summary:
        """Sum an answer up."""
        squares, found = np.nan_to_num(answer.effects) ** 2, np.isfinite(answer.effects).sum(axis=0)
        scale = np.sqrt(squares.sum(axis=0) / np.maximum(found, 1))
        relative = answer.effects / np.where(scale > 0, scale, np.inf)
        known, width = np.isfinite(relative), (answer.upper - answer.effects) / np.where(scale > 0, scale, np.inf)
        relative, width = np.where(known, relative, 0.0), np.where(known, width, 0.0)
        count = np.maximum(known.sum(axis=1), 1)
        mean, half = relative.sum(axis=1) / count, width.sum(axis=1) / count
        helps, hurts = answer.lower > 0, answer.upper < 0
        best = np.where(helps.any(axis=1), np.where(helps, relative, -np.inf).argmax(axis=1), -1)
        worst = np.where(hurts.any(axis=1), np.where(hurts, relative, np.inf).argmin(axis=1), -1)
        counts = helps.sum(axis=1), hurts.sum(axis=1)
        return cls(
            relative, width, np.asarray(known.any(axis=1)), mean, half, *counts, best, worst, *_sides(relative, width)
        )

    @property
    def order(self) -> NDArray[np.int64]:
        """Tasks by their mean benefit, the highest first."""
        return np.argsort(-self.mean, kind="stable")

    @property
    def sure(self) -> NDArray[np.bool_]:
        """Tasks (P,) whose mean is known to differ from 0."""
        return self.known & (np.abs(self.mean) > self.half)

    @property
    def better(self) -> NDArray[np.int64]:
        """Tasks that help on average for certain, the surest help first."""
        return np.array([k for k in self.order if self.sure[k] and self.mean[k] > 0], dtype=np.int64)

    @property
    def worse(self) -> NDArray[np.int64]:
        """Tasks that hurt on average for certain, the surest harm first."""
        return np.array([k for k in self.order[::-1] if self.sure[k] and self.mean[k] < 0], dtype=np.int64)


def _sides(relative: Array, width: Array) -> tuple[Array, NDArray[np.bool_]]:
    """`Summary.alike` and `Summary.opposed`."""
    T = relative.shape[1]
    others = (relative.sum(axis=1, keepdims=True) - relative) / max(T - 1, 1)
    along, half = (others * relative).sum(axis=0), np.sqrt((others**2 * width**2).sum(axis=0))
    lengths = np.linalg.norm(others, axis=0) * np.linalg.norm(relative, axis=0)
    alike = np.divide(along, lengths, out=np.zeros(T), where=lengths > 0)
    with np.errstate(invalid="ignore"):
        return alike, along < -half
