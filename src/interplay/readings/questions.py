"""Which reading a design supports, and how each is asked by name.

near-full masks -> leave-one-out; one size -> swap at that size; sizes spread evenly -> Shapley; otherwise -> Banzhaf;
mixtures -> finite moves from a reference, within its phase where training has several        (design: section 3)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..kinds import size_of_all
from ..surrogates.base import GaussianSurrogate
from ..surrogates.features import SIZED
from . import effects
from .enumeration import FEW, in_own_unit
from .functional import Reading
from .nodes import Nodes, semivalue_nodes, shapley_nodes

Array = NDArray[np.float64]

MASK_READINGS = ("leave-one-out", "shapley", "banzhaf", "swap", "gradient")
MIXTURE_READINGS = ("move", "removal")
NEAR_FULL = 0.7
MANY = 64  # players above which pairs come without intervals
AFFORDABLE = 5e9  # steps that are spent on effects of exp(g), see `enumerable`
DELTA = 0.05
HALF = semivalue_nodes(np.array([0.5]), np.ones(1), 3)


@dataclass(frozen=True, eq=False)
class Question:
    """A reading with what it is asked at.

    Attributes
    ----------
    name : str
    words : str
        What it measures, for sentences and headings.
    why : str
        Why this reading was taken.
    reference : array (P,) or None
        Mask, mixture or weights that it starts from.
    size : int
        Number of tasks in a swap.
    where : str
        The reference in words.
    blocks : array (P,) of int or None
        The phase of each task; None where there is one.
    """

    name: str
    words: str
    why: str
    reference: Array | None = None
    size: int = 0
    where: str = "all tasks"
    blocks: NDArray[np.int64] | None = None

    @property
    def shares(self) -> Array:
        """Weight (P,) that the phase of each task has at the reference of a mixture; 1 where there is one phase."""
        w = _given(self.reference)
        return np.ones(len(w)) if self.blocks is None else np.equal.outer(self.blocks, self.blocks) @ w

    def own_unit(self, surrogate: GaussianSurrogate) -> bool:
        """Whether effects and pairs under a log link can be brought back to the target's own unit."""
        if self.name in ("shapley", "banzhaf"):
            return enumerable(surrogate)
        return self.name in ("leave-one-out", "gradient", "move", "removal")

    def effects(self, surrogate: GaussianSurrogate) -> Reading:
        """Effects of all tasks on g, n = P."""
        P = surrogate.X_.shape[1]
        match self.name:
            case "leave-one-out":
                return effects.leave_one_out(surrogate)
            case "shapley":
                return self._semivalue(surrogate, effects.shapley(surrogate), shapley_nodes(P, 2), 1)
            case "banzhaf":
                return self._semivalue(surrogate, effects.banzhaf(surrogate), HALF, 1)
            case "swap":
                return effects.swap(surrogate, self.size)
            case "gradient":
                return (effects.slopes if surrogate.link_.log.any() else effects.gradient)(surrogate, self.reference)
            case "move":
                return effects.move(surrogate, _given(self.reference), DELTA, self.blocks)
            case "removal":
                return effects.removal(surrogate, _given(self.reference), blocks=self.blocks)
        raise ValueError(f"reading={self.name!r}; choose one of {', '.join(MASK_READINGS + MIXTURE_READINGS)}.")

    def pairs(self, surrogate: GaussianSurrogate) -> Reading | None:
        """Effects of all pairs k < l on g; without intervals where there are very many; None where there is none."""
        P = surrogate.X_.shape[1]
        few = P <= MANY
        match self.name:
            case _ if P < 2:
                return None
            case "leave-one-out" if few:
                return effects.leave_one_out_pairs(surrogate)
            case "leave-one-out" if not surrogate.link_.log.any():
                return effects.banzhaf_pairs(surrogate, p=1.0, intervals=False)
            case "shapley":
                return self._semivalue(surrogate, effects.shapley_pairs(surrogate, few), shapley_nodes(P, 3), 2)
            case "banzhaf":
                return self._semivalue(surrogate, effects.banzhaf_pairs(surrogate, intervals=few), HALF, 2)
            case "swap" if 2 <= self.size <= P - 2:
                return effects.swap_pairs(surrogate, self.size, few)
            case "move":
                return effects.move_pairs(surrogate, _given(self.reference), DELTA, self.blocks) if few else None
        return None

    def groups(self, surrogate: GaussianSurrogate, memberships: Array) -> Reading:
        """What taking groups (n, P) out of the reference does, see `group_words`."""
        reference = _given(self.reference)
        if self.name in MIXTURE_READINGS:
            return effects.removal(surrogate, reference, memberships, self.blocks)
        return effects.leave_group_out(surrogate, memberships, reference)

    @property
    def random_masks(self) -> bool:
        """Whether it averages over masks of many sizes, so that the runs answer for such masks."""
        return self.name in ("shapley", "banzhaf")

    def contrasts(self, surrogate: GaussianSurrogate, first: Array, second: Array) -> Reading:
        """How much higher g is at the first masks or mixtures (n, P) than at the second."""
        return effects.contrast(surrogate, first, second)

    @property
    def group_words(self) -> str:
        """What `groups` measures."""
        if self.name in MIXTURE_READINGS:
            return f"removing a group and renormalising{_within(self.blocks)}, from {self.where}"
        if self.name == "gradient" and self.where != "all tasks":
            return f"setting the weights of a group to 0, from {self.where}"
        return "leaving a group out of all tasks"

    def _semivalue(self, surrogate: GaussianSurrogate, reading: Reading, nodes: Nodes, order: int) -> Reading:
        return in_own_unit(reading, surrogate, nodes, order) if self.own_unit(surrogate) else reading


def enumerable(surrogate: GaussianSurrogate) -> bool:
    """Whether all 2^P masks can be gone through for all tasks and pairs of the targets with a log link.

    Steps for each mask: P for every functional of every (fit, target) pair; for every fit m kernel values, 10 each, and
    the m^2 of their variance, a hundredth each, since they are matrix products. A fit on 'sized' features takes P and
    half as many more for every functional and size of a mask.
    """
    m, P = surrogate.X_.shape
    fits = [int(surrogate.link_.log[fit.targets].sum()) for fit in surrogate.fits_]
    sized = sum(n for n, fit in zip(fits, surrogate.fits_, strict=True) if fit.kernel.features == SIZED)
    steps = P * P * (P + 1) / 2 * (sum(fits) - sized + 1.5 * (P + 1) * sized)
    steps += np.count_nonzero(fits) * m * (10 + m / 100)
    return P <= FEW and 2.0**P * steps <= AFFORDABLE


def question(
    masks: Array,
    kind: str,
    reading: str = "auto",
    reference: Any = None,
    where: str = "the given mixture",
    blocks: NDArray[np.int64] | None = None,
) -> Question:
    """Choose a reading that the design supports, or the one asked for.

    Parameters
    ----------
    masks : array (m, P)
    kind : {'mask', 'mixture', 'weights', 'coefficients'}
    reading : str
        'auto' or a name.
    reference : None, 'mean', 'uniform' or array (P,)
        Mixture that moves start from; the mean of the runs if not given.
    where : str
        A given reference in words.
    blocks : array (P,) of int, optional
        The phase of each task of mixtures (`phases`), whose share moves and removals keep.

    Raises
    ------
    ValueError
        For an unknown reading, or one that this kind of design has no meaning for.
    """
    if kind == "mixture":
        if reading not in ("auto", *MIXTURE_READINGS):
            raise ValueError(f"reading={reading!r}; mixtures have {', '.join(MIXTURE_READINGS)}.")
        return _mixture_question(masks, "move" if reading == "auto" else reading, reference, where, blocks)
    if kind != "mask" and reading not in ("auto", "gradient"):
        raise ValueError(f"reading={reading!r}; {kind} are read by their gradient: 0 and 1 mean nothing special there.")
    if reading not in ("auto", *MASK_READINGS):
        raise ValueError(f"reading={reading!r}; {kind} designs have {', '.join(MASK_READINGS)} ('auto' chooses).")
    if reference is not None:
        raise ValueError(f"reference={reference!r} is where moves of mixtures start; {kind} designs have none.")
    sizes = masks.sum(axis=1)
    P, why = masks.shape[1], "asked for"
    if reading == "swap" and P < 2:
        raise ValueError("reading='swap' compares having one task rather than another; there is only one.")
    if reading == "auto":
        reading, why = supported(masks, kind)
    words = {
        "leave-one-out": "leaving one task out of all",
        "shapley": "Shapley values (adding a task to sets of every size)",
        "banzhaf": "Banzhaf values (adding a task to a random half of the others)",
        "gradient": "the slope of the surrogate at " + ("all tasks" if kind == "mask" else "the mean of the runs"),
    }
    size = 0
    if reading == "swap":
        size = round(float(np.median(sizes)))
        size = min(max(size, 1), P - 1)
        words["swap"] = f"having a task rather than another in sets of {size}"
    if kind == "mask":
        return Question(reading, words[reading], why, np.ones(P), size)
    return Question(reading, words[reading], why, masks.mean(axis=0), size, "the mean of the runs")


def supported(masks: Array, kind: str) -> tuple[str, str]:
    """The reading that masks or weights (m, P) support, and why."""
    P = masks.shape[1]
    if kind != "mask":
        return "gradient", "weights that are not 0/1 have a slope"
    if (size := size_of_all(masks)) is not None and 1 <= size <= P - 1:
        return "swap", f"every run holds {size} of {P} tasks, so the full set was never near"
    if masks.mean() >= NEAR_FULL:
        return "leave-one-out", f"the runs hold {masks.mean():.0%} of the tasks on average: they lie near the full set"
    binomial = P * masks.mean() * (1 - masks.mean())
    if masks.sum(axis=1).var() > 1.8 * max(binomial, 1e-12):
        return "shapley", "the runs spread over sets of all sizes"
    held = f"the runs hold {masks.mean():.0%} of the tasks on average"
    return "banzhaf", f"{held}: " + ("around half of them" if masks.mean() >= 0.35 else "few, so half is far from them")


def _mixture_question(
    masks: Array, name: str, reference: Any, where: str, blocks: NDArray[np.int64] | None
) -> Question:
    if reference is None or (isinstance(reference, str) and reference == "mean"):
        w, where = masks.mean(axis=0), "the mean mixture of the runs"
    elif isinstance(reference, str):
        if reference != "uniform":
            raise ValueError(f"reference={reference!r}; give 'mean', 'uniform', 'tokens', 'best' or the weights.")
        w, where = np.full(masks.shape[1], 1.0 / masks.shape[1]), "the uniform mixture"
        if blocks is not None:
            together = np.equal.outer(blocks, blocks)
            w, where = (together @ masks.mean(axis=0)) / together.sum(axis=1), "the uniform mixture of each phase"
    else:
        w = _weights(reference, masks.shape[1])
        if abs(w.sum() - 1.0) > 0.01 or w.min() < 0:
            raise ValueError(
                f"reference sums to {w.sum():g} over the tasks that the runs switch; give weights >= 0 that sum to 1, "
                "none of it on tasks that are off in every run."
            )
        if blocks is not None and not (np.equal.outer(blocks, blocks) @ w > 0).all():
            raise ValueError("reference gives a phase no weight, so nothing can be moved in it; give every phase some.")
    moved, off = ("the weight", ", off all others in proportion") if blocks is None else ("a phase", "")
    words = {
        "move": f"moving {DELTA:.0%} of {moved} towards a task{off}, from {where}",
        "removal": f"removing a task and renormalising{_within(blocks)}, from {where}",
    }
    return Question(name, words[name], "mixtures are read by finite moves", w / w.sum(), where=where, blocks=blocks)


def _within(blocks: NDArray[np.int64] | None) -> str:
    return "" if blocks is None else " within each phase"


def _weights(reference: ArrayLike, P: int) -> Array:
    w = np.asarray(reference, float)
    if w.shape != (P,):
        raise ValueError(f"reference has shape {w.shape}; give one weight for each of the {P} tasks.")
    return w


def _given(reference: Array | None) -> Array:
    if reference is None:
        raise ValueError("reference is not given; a move starts from a mixture.")
    return reference
