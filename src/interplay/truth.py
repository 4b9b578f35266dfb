"""The truth beside an answer: leave-one-out evaluations that judge and are in no fit.

Effects of the truth are differences within a seed, averaged over seeds; its ceiling is sqrt(rho), rho the split-half
reliability stepped up by Spearman-Brown: no estimate can be expected to correlate higher with it (design: section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .evaluations import Evaluations, EvaluationsError
from .players import Players

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Effects of the truth beside those of a surrogate.

    Attributes
    ----------
    effects : array (P, T)
        Benefits by leave-one-out retraining; NaN where the truth has none.
    spearman, pearson : array (T,)
        Correlation of the surrogate's effects with them.
    ceiling : array (T,)
        Of Spearman, from the split-half reliability of ranks; NaN with fewer than two seeds.
    seeds : int
        Seeds of the truth.
    one_round : array (T,)
        Mean Spearman of one seed's round of leave-one-out with the mean of the others: what K + 1 trainings buy.
    error : array (P, T)
        Standard errors of the effects over seeds; NaN with one seed, and where a file of an earlier version lacks them.
    """

    effects: Array
    spearman: Array
    pearson: Array
    ceiling: Array
    seeds: int
    one_round: Array
    error: Array = field(default_factory=lambda: np.full((1, 1), np.nan))

    @property
    def half(self) -> Array:
        """Half widths of the 95 % intervals of the effects, array (P, T); NaN where they are not known."""
        return 1.96 * np.broadcast_to(self.error, self.effects.shape)


def separate(runs: Evaluations, truth: Evaluations, truth_masks: str) -> tuple[Evaluations, int]:
    """Take out of the runs what the truth is made of.

    Parameters
    ----------
    truth_masks : {'exclude', 'other-seeds'}
        'exclude' drops every row that shares mask and fidelity with the truth; 'other-seeds' only those that share
        the seed too.

    Returns
    -------
    kept, dropped : Evaluations, int
    """
    if truth_masks not in ("exclude", "other-seeds"):
        raise EvaluationsError(f"truth_masks={truth_masks!r}; choose 'exclude' or 'other-seeds'.")
    if "mixture" in (runs.kind, truth.kind) and runs.kind != truth.kind:
        raise EvaluationsError(f"truth is of kind {truth.kind!r} and the runs {runs.kind!r}; give both of one kind.")
    if runs.tasks != truth.tasks:
        raise EvaluationsError(
            f"truth has tasks {', '.join(truth.tasks[:5])}... and the runs {', '.join(runs.tasks[:5])}...; "
            "they must have the same tasks in the same order."
        )
    with_seed = truth_masks == "other-seeds"

    def key(table: Evaluations, i: int) -> tuple[Any, ...]:
        seed = int(table.seed[i]) if with_seed else None
        return (table.masks[i] + 0.0).tobytes(), str(table.fidelity[i]), seed

    judged = {key(truth, i) for i in range(len(truth))}
    if with_seed:  # a row whose seed is not stated may be one of the truth's
        judged |= {(mask, fidelity, -1) for mask, fidelity, _ in judged}
    keep = np.array([key(runs, i) not in judged for i in range(len(runs))])
    return (runs.filter(keep) if not keep.all() else runs), int((~keep).sum())


def compare(effects: Array, players: Players, runs: Evaluations, truth: Evaluations) -> Comparison:
    """Set benefits (P, T) of leaving one task out beside the truth's."""
    if truth.kind != "mask":
        raise EvaluationsError(f"truth is of kind {truth.kind!r}; leave-one-out truth consists of masks of 0 and 1.")
    missing = [name for name in runs.targets if name not in truth.targets]
    if missing:
        raise EvaluationsError(f"truth has no target {missing[0]!r}; it has {', '.join(truth.targets[:8])}.")
    truth = truth.select(list(runs.targets))
    if truth.higher_is_better != runs.higher_is_better:
        differ = [
            name
            for name, a, b in zip(runs.targets, runs.higher_is_better, truth.higher_is_better, strict=True)
            if a != b
        ]
        raise EvaluationsError(
            f"truth and runs state opposite directions for target {differ[0]!r}; give both the same higher_is_better."
        )
    measured = metrics.leave_one_out_effects(truth)
    mean, rounds = measured.effects[players.first].copy(), measured.per_seed[:, players.first]
    joint = [len(group) > 1 for group in players.members]
    mean[joint] = np.nan
    error = np.where(np.isnan(mean), np.nan, measured.se[players.first])
    T = effects.shape[1]
    spearman, pearson, ceiling, one_round = (np.full(T, np.nan) for _ in range(4))
    for t in range(T):
        ok = np.isfinite(mean[:, t]) & np.isfinite(effects[:, t])
        if ok.sum() < 3:
            continue
        spearman[t] = metrics.spearman(effects[ok, t], mean[ok, t])
        pearson[t] = metrics.pearson(effects[ok, t], mean[ok, t])
        repeats = rounds[:, ok, t]
        repeats = repeats[np.isfinite(repeats).all(axis=1)]
        if len(repeats) >= 2:
            ceiling[t] = metrics.ceiling(metrics.reliability(repeats, method=metrics.spearman))
            others = (repeats.sum(axis=0) - repeats) / (len(repeats) - 1)
            one_round[t] = np.mean([float(metrics.spearman(a, b)) for a, b in zip(repeats, others, strict=True)])
    return Comparison(mean, spearman, pearson, ceiling, len(measured.seeds), one_round, error)
