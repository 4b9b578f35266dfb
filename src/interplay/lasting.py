"""Effects with what measured sets show beyond the surrogate; of Shapley values with the value of no task.

F(s) = g(s) + l(s), l(s) of variance L independent of one set to the next: what a smooth g does not follow.

phi_k  = sum_s w_k(s) F(s),   w_k(s) = (|s| - 1)! (K - |s|)! / K! with k in s,  -|s|! (K - |s| - 1)! / K! without
E phi  = phi(g) + sum_s w_k(s) share(s) (ybar(s) - g(s))      over the sets that were run n times,
share  = L / (L + N / n), N the noise of a run; 1 for the value of no task, which is stated and not fitted
Var phi = Var phi(g) + L (sum over all s of w_k(s)^2 - sum over sets that were run of w_k(s)^2 share(s))

All and none weigh 1 / K, so a level that the surrogate missed there moves all values alike: with both known they add up
to F(all) - F(none). None is no neighbour of other sets (a model that was not trained, a prompt without examples), which
is why its run is not fitted. That g and l give and take is left out of the variance: it is an upper bound.

Leave-one-out tables say F(all) - F(all but k) themselves, with variance N (1 / n + 1 / n_k) of n and n_k runs, N by
the repeats (deviations are those of Student's distribution). One run of every mask does not tell noise from effects:
then N is taken as large as the variance of the masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from .blocks import Effects, student
from .evaluations import MIN_RUNS, Evaluations, EvaluationsError
from .fields import listed, match
from .fitting import Design
from .players import Players
from .predictor import Predictor
from .repeats import TOLD, averaged, noise_of_repeats, reproduced, share_shown, sides_of
from .units import OWN

Array = NDArray[np.float64]
Empty = float | Mapping[str, float] | None
OTHERS = 2  # masks beside a leave-one-out table that tell something, where no repeats tell the noise

__all__ = ["completed", "left_out", "shapley_weights", "value_of_none", "without_none"]


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
        found = match(name, runs.targets, "target", argument="empty")
        none[[runs.targets.index(target) for target in found]] = value
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
    runs = design.single
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


def without_none(predictor: Predictor, none: Array) -> list[str]:
    """Say for which targets the value of no task (T,) is not known, and what it is predicted as."""
    unknown = np.flatnonzero(np.isnan(none) & ~predictor.constant & predictor.asked)
    if not len(unknown):
        return []
    mean = predictor.at(np.zeros((1, len(predictor.players.names))))[0][0]
    found = listed([f"{predictor.targets[j]} {mean[j]:.4g}" for j in unknown], 3)
    return [
        f"no run says what no task at all comes to; it is predicted ({found}), far from all runs. Where that is off, "
        f"all Shapley values of a target are, by 1 / {len(predictor.players.names)} of it and beyond their intervals: "
        "their differences hold, their signs may not. Say what it is (empty=, --empty)."
    ]


def left_out(effects: Effects, design: Design, predictor: Predictor) -> Effects:
    """Leave-one-out effects as they were measured, where every task was left out and there are few other masks.

    Every task is out in hardly more than one mask then: no held-out mask can be predicted, and the best g by held-out
    error is flat. With more of other masks, as many as tasks, these tell how far to believe g; with `OTHERS` where no
    repeats tell the noise.
    """
    runs = design.single
    X, y = predictor.players.columns(runs.masks), runs.values
    masks, count, measured = _without_levels(X, y, None if design.seeds is None else runs.seed)
    lacking = X.shape[1] - masks.sum(axis=1)
    (full,), (one,) = np.nonzero(lacking == 0), np.nonzero(lacking == 1)
    if not np.isin(masks, (0.0, 1.0)).all() or not len(full) or len(one) < X.shape[1]:
        return effects
    exact = runs.notes.get("deterministic") is True
    repeats = [noise_of_repeats(X, y[:, [j]], runs.seed) for j in range(y.shape[1])]
    told = exact or max(freedom for _, freedom in repeats) >= TOLD
    if (lacking > 1).sum() >= (X.shape[1] if told else OTHERS):
        return effects
    found, deviation = (np.full(effects.effects.shape, np.nan) for _ in range(2))
    task = np.argmin(masks[one], axis=1)
    found[task] = measured[full] - measured[one]
    known = (count[full] > 0) & (count[one] > 0)
    if not known.any():
        return effects
    runs_of_both = np.where(known, 1.0 / np.maximum(count[full], 1) + 1.0 / np.maximum(count[one], 1), np.nan)
    for j, (noise, freedom) in enumerate(repeats):
        if exact:
            deviation[task, j] = 0.0 * runs_of_both[:, j]
        elif freedom >= TOLD:
            deviation[task, j] = np.sqrt(noise * runs_of_both[:, j]) * student(np.array(freedom))
        elif known[:, j].any():
            deviation[task, j] = np.sqrt(measured[count[:, j] > 0, j].var(ddof=1) * runs_of_both[:, j])
    own = np.isfinite(deviation) & ~predictor.constant
    size = np.sqrt(np.where(own, found**2, 0.0).sum(axis=0) / np.maximum(own.sum(axis=0), 1))
    return replace(
        effects,
        effects=np.where(own, predictor.sign * found, effects.effects),
        deviation=np.where(own, deviation, effects.deviation),
        prior=np.where(own, size, effects.prior),
    )


def _without_levels(X: Array, y: Array, seed: NDArray[np.int64] | None) -> tuple[Array, Array, Array]:
    """`averaged`, but that levels of coupled seeds come off where every seed shares masks with the others."""
    masks, count, measured = averaged(X, y)
    if seed is None:
        return masks, count, measured
    sides = sides_of(np.unique(X, axis=0, return_inverse=True)[1].ravel(), seed)
    whole = np.isfinite(y).all(axis=0) & (np.linalg.matrix_rank(sides) == sides.shape[1] - 1)
    found = np.linalg.lstsq(sides, np.where(whole, y, 0.0), rcond=None)[0]
    own, levels = found[: len(masks)], found[len(masks) :]
    return masks, count * whole, own + levels.mean(axis=0)


def _split(design: Design, predictor: Predictor, X: Array, runs: Evaluations) -> tuple[Array, Array]:
    """Variances L and N (T,); all of it lasts where evaluations have no noise."""
    spread = [predictor.at(design.X, noise=noise)[1] ** 2 for noise in (True, False)]
    nugget = np.maximum(spread[0] - spread[1], 0.0).mean(axis=0)
    if runs.notes.get("deterministic") is True:
        return nugget, np.zeros_like(nugget)
    one = lambda j: reproduced(X, runs.values[:, [j]], runs.seed, nugget[[j]], predictor.averaged)
    parts = [one(j) for j in range(len(nugget))]
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
