"""An answer on many targets, task by task: mean benefit, and how many targets each helps and hurts.

relative_kt = effect_kt / scale_t     scale: standard deviation of target t over the runs, where all effects are in own
                                      units; else the root mean square over tasks of the target's effects
half_k      = together x mean over targets of the half widths of the relative intervals
along_t     = sum_k mean_k(other targets) relative_kt       below 0: a target answers the opposite way

Targets share their runs, so their errors go together: as far as their held-out residuals do (`HeldOut.together`), or
wholly where these are in another unit; the standard deviation of a mean is at most the mean of the deviations.

A task helps or hurts a target for certain where its effect is told from 0 among all targets of that task, at `LEVEL`
false discoveries (Benjamini and Hochberg 1995): of 869 intervals about 43 exclude 0 by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm

from ..units import OWN

if TYPE_CHECKING:
    from ..attribution import Attribution

Array = NDArray[np.float64]
LEVEL = 0.05
OPPOSITE = -0.5  # cosine below which a target is said to answer the opposite way


@dataclass(frozen=True, eq=False)
class Summary:
    """Benefits over all targets.

    Attributes
    ----------
    relative : array (P, T)
        Benefits in units of ``scale``; 0 where not known.
    known : array (P,) of bool
        Tasks with an effect on any target.
    width : array (P, T)
        Half the widths of their 95 % intervals; 0 where not known.
    standard : bool
        Whether the unit is standard deviations over the runs, and not typical effects.
    together : float
        How far the errors of the targets add up; 1 where that is not known.
    mean, half : array (P,)
        Mean over targets, and half the width of its 95 % interval.
    certain : array (P, T) of int
        1 where a task helps for certain among all targets, -1 where it hurts, 0 elsewhere.
    alike : array (T,)
        Cosine of a target's effects and their mean over the other targets; 0 where either is nothing.
    opposed : array (T,) of bool
        Targets that answer the opposite way for certain, errors of the tasks being taken as independent.
    """

    relative: Array
    width: Array
    known: NDArray[np.bool_]
    standard: bool
    together: float
    mean: Array
    half: Array
    certain: NDArray[np.int64]
    alike: Array
    opposed: NDArray[np.bool_]

    @classmethod
    def of(cls, answer: Attribution) -> Summary:
        """Sum an answer up."""
        scale, standard = _scale(answer)
        with np.errstate(invalid="ignore"):
            relative = answer.effects / np.where(scale > 0, scale, np.inf)
            width = (answer.upper - answer.effects) / np.where(scale > 0, scale, np.inf)
        known = np.isfinite(relative)
        relative, width = np.where(known, relative, 0.0), np.where(known & np.isfinite(width), width, 0.0)
        count, together = np.maximum(known.sum(axis=1), 1), 1.0
        if standard and answer.held_out is not None:
            sign = np.where(answer.higher_is_better, 1.0, -1.0)
            together = answer.held_out.together(sign / np.where(scale > 0, scale, np.inf))
        mean, half = relative.sum(axis=1) / count, together * width.sum(axis=1) / count
        every = np.asarray(known.any(axis=1))
        return cls(relative, width, every, standard, together, mean, half, _certain(answer), *_sides(relative, width))

    @property
    def helps(self) -> NDArray[np.int64]:
        """Targets that each task helps for certain, array (P,)."""
        return (self.certain > 0).sum(axis=1)

    @property
    def hurts(self) -> NDArray[np.int64]:
        """Targets that each task hurts for certain, array (P,)."""
        return (self.certain < 0).sum(axis=1)

    @property
    def best(self) -> NDArray[np.int64]:
        """Of the targets that a task helps for certain the one helped most, array (P,); -1 where there is none."""
        helped = self.certain > 0
        return np.where(helped.any(axis=1), np.where(helped, self.relative, -np.inf).argmax(axis=1), -1)

    @property
    def worst(self) -> NDArray[np.int64]:
        """The same of those that it hurts."""
        hurt = self.certain < 0
        return np.where(hurt.any(axis=1), np.where(hurt, self.relative, np.inf).argmin(axis=1), -1)

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

    @property
    def places(self) -> int:
        """Decimal places of a mean."""
        return 3 if self.standard else 2

    @property
    def unit(self) -> str:
        """In what the means are, in words."""
        return (
            "standard deviations of each target over the runs"
            if self.standard
            else "each target's own typical effect (root mean square over tasks)"
        )


def _scale(answer: Attribution) -> tuple[Array, bool]:
    """What effects are divided by, array (T,), and whether these are standard deviations over the runs.

    Of several fidelities the few runs of the one asked about, often near the full set, are no measure of spread.
    """
    held, one = answer.held_out, answer.fidelities is None
    if one and held is not None and set(answer.unit) == {OWN} and np.isfinite(held.measured).any(axis=0).all():
        return np.nanstd(held.measured, axis=0), True
    squares, found = np.nan_to_num(answer.effects) ** 2, np.isfinite(answer.effects).sum(axis=0)
    return np.sqrt(squares.sum(axis=0) / np.maximum(found, 1)), False


def _certain(answer: Attribution) -> NDArray[np.int64]:
    """`Summary.certain`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(answer.effects) / answer.deviation
    p = np.where(np.isfinite(z) | (z == np.inf), 2.0 * norm.sf(z), 1.0)
    named = np.asarray(false_discovery_control(p, axis=1)) <= LEVEL
    return np.where(named, np.sign(np.nan_to_num(answer.effects)), 0).astype(np.int64)


def _sides(relative: Array, width: Array) -> tuple[Array, NDArray[np.bool_]]:
    """`Summary.alike` and `Summary.opposed`."""
    T = relative.shape[1]
    others = (relative.sum(axis=1, keepdims=True) - relative) / max(T - 1, 1)
    along, half = (others * relative).sum(axis=0), np.sqrt((others**2 * width**2).sum(axis=0))
    lengths = np.linalg.norm(others, axis=0) * np.linalg.norm(relative, axis=0)
    alike = np.divide(along, lengths, out=np.zeros(T), where=lengths > 0)
    return alike, (along < -half) & (alike <= OPPOSITE)
