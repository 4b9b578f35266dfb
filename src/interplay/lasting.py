"""Shapley values with what measured sets show beyond the surrogate, and with the value of no task.

F(s) = g(s) + l(s), l(s) of variance L independent of one set to the next: what a smooth g does not follow.

phi_k  = sum_s w_k(s) F(s),   w_k(s) = (|s| - 1)! (K - |s|)! / K! with k in s,  -|s|! (K - |s| - 1)! / K! without
E phi  = phi(g) + sum_s w_k(s) share(s) (ybar(s) - g(s))      over the sets that were run n times,
share  = L / (L + N / n), N the noise of a run; 1 for the value of no task, which is stated and not fitted
Var phi = Var phi(g) + L (sum over all s of w_k(s)^2 - sum over sets that were run of w_k(s)^2 share(s))

All and none weigh 1 / K, so a level that the surrogate missed there moves all values alike: with both known they add up
to F(all) - F(none). None is no neighbour of other sets (a model that was not trained, a prompt without examples), which
is why its run is not fitted. That g and l give and take is left out of the variance: it is an upper bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from .blocks import Effects
from .evaluations import MIN_RUNS, Evaluations, EvaluationsError
from .fields import match
from .fitting import Design
from .players import Players
from .predictor import Predictor
from .repeats import averaged, reproduced, share_shown
from .units import OWN

Array = NDArray[np.float64]
Empty = float | Mapping[str, float] | None

__all__ = ["completed", "shapley_weights", "value_of_none"]


def value_of_none(runs: Evaluations, empty: Empty) -> tuple[Evaluations, Array, list[str]]:
    """Runs that are fitted, and the value (T,) of no task: as it was stated, else of the runs without any.

    NaN where it is not known.

    Raises
    ------
    EvaluationsError
        For values that are not finite, an unknown target, or a task that is on in every run.
    """
    none, stated = np.full(runs.T, np.nan), empty is not None
    bare = ~runs.masks.any(axis=1)
    rest = runs.filter(~bare) if bare.any() else runs
    if bare.any() and not stated:
        if len(rest) < MIN_RUNS or Players.of(rest.masks, runs.tasks, "mask").names != _names(runs):
            return runs, none, []  # they are needed to tell the tasks apart
        known = np.isfinite(runs.values[bare])
        total = np.nan_to_num(runs.values[bare]).sum(axis=0)
        none = np.divide(total, known.sum(axis=0), out=none, where=known.any(axis=0))
        n = int(bare.sum())
        said = "the run without any task is not fitted: it says" if n == 1 else f"{n} runs hold no task: they say"
        return rest, none, [f"{said} what the Shapley values add up to."]
    if empty is None:
        return rest, none, []
    for name, value in empty.items() if isinstance(empty, Mapping) else [(t, empty) for t in runs.targets]:
        if not np.isfinite(value):
            raise EvaluationsError(f"empty is {value!r} for target {name!r}; give what it is without any task.")
        none[[runs.targets.index(target) for target in match(name, runs.targets, "target")]] = value
    players = Players.of(rest.masks, runs.tasks, "mask")
    if players.always_on:
        raise EvaluationsError(
            f"empty: task {players.always_on[0]!r} is on in every run, so no values are read of sets without it. Add "
            "runs without it, or leave empty out."
        )
    return rest, none, []


def _names(runs: Evaluations) -> tuple[str, ...]:
    return Players.of(runs.masks, runs.tasks, "mask").names


def completed(effects: Effects, design: Design, predictor: Predictor, none: Array) -> Effects:
    """Shapley values with what measured sets show beyond the surrogate, for the targets that are in their own unit.

    Parameters
    ----------
    effects : Effects
        As they were read of the surrogate.
    none : array (T,)
        Value of no task; NaN where it is not known.
    """
    runs = design.given if design.at is None else design.given.where(fidelity=design.at)
    X, y = predictor.players.columns(runs.masks), runs.values
    if not np.isin(X, (0.0, 1.0)).all():
        return effects
    masks, count, measured = averaged(X, y)
    mean = predictor.at(masks)[0]
    lasting, noise = _split(design, predictor, X, runs)
    share = share_shown(lasting, noise, count * (design.seeds is None))  # a coupled seed's level is no mask's own
    shift = share * (measured - mean)
    W = shapley_weights(masks)
    moved, left = W.T @ shift, lasting * (_squares(masks.shape[1]) - (W**2).T @ share)
    at_none = np.zeros((1, masks.shape[1]))
    stated = np.where(np.isnan(none), 0.0, none - predictor.at(at_none)[0][0])
    w = shapley_weights(at_none)[0]
    moved += np.outer(w, stated)
    left -= np.outer(w**2, np.where(np.isnan(none), 0.0, lasting))
    own = (np.array(effects.unit) == OWN) & ~predictor.constant
    return replace(
        effects,
        effects=effects.effects + np.where(own, predictor.sign * moved, 0.0),
        deviation=np.where(own, np.sqrt(effects.deviation**2 + np.maximum(left, 0.0)), effects.deviation),
    )


def _split(design: Design, predictor: Predictor, X: Array, runs: Evaluations) -> tuple[Array, Array]:
    """Variances L and N (T,); all of it lasts where evaluations have no noise."""
    spread = [predictor.at(design.X, noise=noise)[1] ** 2 for noise in (True, False)]
    nugget = np.maximum(spread[0] - spread[1], 0.0).mean(axis=0)
    if runs.notes.get("deterministic") is True:
        return nugget, np.zeros_like(nugget)
    parts = [reproduced(X, runs.values[:, [t]], runs.seed, nugget[[t]], predictor.averaged) for t in range(len(nugget))]
    lasting, noise = (np.concatenate(part) for part in zip(*parts, strict=True))
    return lasting, noise


def shapley_weights(masks: Array) -> Array:
    """What each set (m, K) counts in the Shapley value of each task, array (m, K).

    Examples
    --------
    >>> shapley_weights(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.5], [0.5, -0.5], [-0.5, -0.5]]
    """
    K = masks.shape[1]
    n = masks.sum(axis=1, keepdims=True) - masks  # of the others
    return (2.0 * masks - 1.0) * np.exp(gammaln(n + 1) + gammaln(K - n) - gammaln(K + 1))


def _squares(K: int) -> float:
    """The sum of squares of these weights over all sets, the same for every task."""
    n = np.arange(K)
    log = gammaln(n + 1) + gammaln(K - n) - gammaln(K + 1)
    choose = gammaln(K) - gammaln(n + 1) - gammaln(K - n)
    return float(2.0 * np.exp(choose + 2.0 * log).sum())
