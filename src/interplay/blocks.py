"""Effects on all targets, fitted in blocks: targets that were measured in the same runs share one fit.

benefit = sign x reading of g, sign = +1 where higher is better and -1 where lower is; per cent under a log link that
cannot be brought back to the target's own unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .evaluations import Evaluations
from .readings import Question
from .surrogates import Choice, compare

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Effects:
    """What the blocks came to, put together again.

    Attributes
    ----------
    effects, deviation, prior : array (P, T)
        Benefits, posterior and prior standard deviations; NaN where a target's runs never switch the task.
    interactions, interaction_deviation : array (n, T)
    skill : array (3, T)
        Held-out R^2 of the surrogate taken, of ridge and of the kernel.
    over : array (2, T)
        Gain over the constant and its standard error, see `surrogates.Choice`.
    unit : tuple of str (T,)
    rows : tuple of int (T,)
        Runs that each target was fitted on.
    constant : array (T,) of bool
    choices : tuple of (targets, Choice)
    """

    effects: Array
    deviation: Array
    prior: Array
    interactions: Array
    interaction_deviation: Array
    skill: Array
    over: Array
    unit: tuple[str, ...]
    rows: tuple[int, ...]
    constant: NDArray[np.bool_]
    choices: tuple[tuple[NDArray[np.int64], Choice], ...]


def read_blocks(runs: Evaluations, X: Array, asked: Question, surrogate: str, pairs: bool) -> Effects:
    """Fit every block of targets, ask its surrogate the question, and turn readings into benefits.

    Parameters
    ----------
    runs : Evaluations
    X : array (m, P)
        Their masks, by players.
    asked : Question
    surrogate : {'auto', 'ridge', 'kernel'}
    pairs : bool
    """
    P, T = X.shape[1], runs.T
    effects, deviation, prior = (np.full((P, T), np.nan) for _ in range(3))
    n = P * (P - 1) // 2 if pairs else 0
    interactions, interaction_deviation = np.full((n, T), np.nan), np.full((n, T), np.nan)
    skill, over, unit, rows = np.zeros((3, T)), np.zeros((2, T)), ["own"] * T, [0] * T
    constant, choices = np.zeros(T, dtype=bool), []
    for targets, measured in blocks(runs):
        Y = runs.values[np.ix_(measured, targets)]
        features = "log" if runs.kind == "mixture" else "raw"
        higher = np.array(runs.higher_is_better)[targets]
        choice = compare(X[measured], Y, prefer=surrogate, features=features, higher_is_better=higher)
        choices.append((targets, choice))
        fitted = choice.surrogate
        found = asked.effects(fitted)
        both = asked.pairs(fitted) if pairs else None
        effects[:, targets], deviation[:, targets], prior[:, targets] = found.mean, found.deviation, found.prior
        if both is not None:
            interactions[:, targets], interaction_deviation[:, targets] = both.mean, both.deviation
        skill[:, targets] = choice.skill[choice.name], choice.skill["ridge"], choice.skill["stack"]
        over[:, targets] = choice.over_constant, choice.over_constant_error
        if not asked.own_unit(fitted):
            for t in targets[fitted.link_.log]:
                unit[t] = "per cent"
        still = np.flatnonzero(np.ptp(X[measured], axis=0) == 0)  # tasks that these targets' runs never switch
        for held in (effects, deviation, prior):
            held[np.ix_(still, targets)] = np.nan
        if both is not None:
            lost = np.flatnonzero(np.isin(np.stack(np.triu_indices(P, 1)), still).any(axis=0))
            for held in (interactions, interaction_deviation):
                held[np.ix_(lost, targets)] = np.nan
        for t in targets:
            rows[t] = int(measured.sum())
        constant[targets] = np.ptp(Y, axis=0) <= 1e-12 * np.abs(Y).max(axis=0)
    scale = runs.benefit_sign * np.where(np.array(unit) == "per cent", 100.0, 1.0)
    skill[:, constant] = 0.0
    for held in (effects, deviation, prior, interactions, interaction_deviation):
        held[:, constant] *= 0.0  # nothing changes: what is left is rounding; NaN stays
    return Effects(
        effects * scale,
        deviation * np.abs(scale),
        prior * np.abs(scale),
        interactions * scale,
        interaction_deviation * np.abs(scale),
        skill,
        over,
        tuple(unit),
        tuple(rows),
        constant,
        tuple(choices),
    )


def blocks(runs: Evaluations) -> list[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Targets that were measured in the same runs, with those runs."""
    measured = np.isfinite(runs.values)
    patterns, which = np.unique(measured, axis=1, return_inverse=True)
    which = which.reshape(-1)
    return [(np.flatnonzero(which == i), patterns[:, i]) for i in range(patterns.shape[1])]
