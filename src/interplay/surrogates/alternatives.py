"""Other units in which a target may be additive: how far a reading hangs on the link that was chosen.

Few runs hardly tell one link from another, yet a link bends: what it makes of pairs of a mixture is its own curvature
as much as the data's. So the members are fitted anew under the best link of every other family, and

extra_t = sum_c w_ct (r_ct - r_t)^2,   w_ct = e_ct^-2 / sum_c e_ct^-2

is what belongs to the variance of a reading r_t beside the posterior's; e_ct is the mean squared error of held-out rows
under family c, by the kernel that links are chosen with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy

import numpy as np
from numpy.typing import NDArray

from .base import GaussianSurrogate
from .features import choices
from .kernel import KernelSurrogate
from .links import LINKS, families, picked
from .recipes import coarse, stack
from .stacking import fit_members

Array = NDArray[np.float64]
POWER = 2
LEAST = 0.01  # weight below which a family is left out


def extra_variance(surrogate: GaussianSurrogate, Y: Array, ask: Callable[[GaussianSurrogate], Array]) -> Array:
    """What the choice of the link adds to the variance of a reading.

    Parameters
    ----------
    surrogate : GaussianSurrogate
        Fitted to rows of Y.
    Y : array (m, T)
        Its values.
    ask : callable
        Means (n, T) of the reading by a surrogate, in the targets' own units.
    """
    taken = ask(surrogate)
    extra = np.zeros_like(taken)
    for other, weight in _others(surrogate, Y):
        extra += np.where(weight > 0, weight * (ask(other) - taken) ** 2, 0.0)
    return extra


def _others(surrogate: GaussianSurrogate, Y: Array) -> Iterator[tuple[GaussianSurrogate, Array]]:
    """The members under the best link of each family, with weights (T,); 0 where a kernel surrogate has that link."""
    X, rows, T = surrogate.X_, surrogate.rows_, Y.shape[1]
    maps, recipes = choices(surrogate.kind_), stack(surrogate.kind_, T)
    stacked = isinstance(surrogate, KernelSurrogate) and hasattr(surrogate, "held_out_")
    starts = surrogate.members_ if stacked and len(surrogate.members_) == len(recipes) else None
    best, errors = [], []
    for family in families(LINKS, Y, surrogate.higher_is_better):
        able = family[0][1]
        found = coarse(maps[0]).search(X, Y[:, able], rows, [(link, np.arange(len(able))) for link, _ in family])
        best.append(picked([(found.link, able)], np.zeros(T, np.int64)))
        errors.append(np.full(T, np.inf))
        errors[-1][able] = found.cv.error
    error = np.array(errors)
    ratio = (error.min(axis=0) / np.maximum(error, 1e-300)) ** POWER
    ratio /= np.maximum(ratio.sum(axis=0), 1e-300)  # all are 0 for a target that never changes
    for link, weight in zip(best, ratio, strict=True):
        same = (link.sign == surrogate.link_.sign) & (link.bound == surrogate.link_.bound) & stacked
        weight = np.where(same | (weight < LEAST), 0.0, weight)
        if not weight.any():
            continue
        other = copy(surrogate)
        fitted = fit_members(X, Y, rows, recipes, [(link, np.arange(T))], maps, starts)
        other.link_, other.members_ = fitted.link, fitted.members
        if not stacked:
            other.weights_ = np.full((len(recipes), T), 1.0 / len(recipes))
        yield other, weight
