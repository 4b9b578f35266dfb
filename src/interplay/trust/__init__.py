"""How far a reading may be believed: one verdict with its reason.

coverage     median over effects of posterior / prior standard deviation: near 1, the runs say nothing of the question
skill        R^2 of held-out rows, and the paired gain over the constant with its standard error
resolution   spread of the effects over spread + mean posterior variance: whether their order means anything

solid: covered, skilled (R^2 >= .5) and resolved; indicative: covered and better than the constant; else not supported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

VERDICTS = ("not supported", "indicative", "solid")
COVERED, WELL_COVERED = 0.9, 0.8
SKILLED, RESOLVED = 0.5, 0.8
CERTAIN = 2.0  # standard errors
ROUNDING = 1e-9  # a gain of fewer standard deviations of the target is none


@dataclass(frozen=True)
class Trust:
    """Verdict on one reading, overall and per target.

    Attributes
    ----------
    verdict : str
        'solid', 'indicative' or 'not supported'.
    reason : str
        One sentence.
    advice : str
        What to run to make it better.
    targets : tuple of str (T,)
        Verdict of each target.
    coverage, skill, resolution : tuple of float (T,)
    """

    verdict: str
    reason: str
    advice: str
    targets: tuple[str, ...]
    coverage: tuple[float, ...]
    skill: tuple[float, ...]
    resolution: tuple[float, ...]


def trust(
    effects: Array,
    deviation: Array,
    prior: Array,
    skill: Array,
    over_constant: Array,
    over_constant_error: Array,
    *,
    runs: int,
    reading: str,
    unidentified: Sequence[str] = (),
) -> Trust:
    """Judge one reading.

    Parameters
    ----------
    effects, deviation, prior : array (P, T)
        Posterior mean, posterior and prior standard deviation of every effect.
    skill, over_constant, over_constant_error : array (T,)
        From `surrogates.Choice`.
    runs : int
        Rows of the fit.
    reading : str
        In words, for the sentence.
    unidentified : sequence of str
        Tasks that no run tells anything about.
    """
    T = effects.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(prior > 0, deviation / prior, np.nan)  # no prior: nothing was asked of this task
        coverage = _middle(ratio)
        spread, noise = _mean((effects - _mean(effects)) ** 2), _mean(deviation**2)
        resolution = np.where(spread + noise > 0, spread / (spread + noise), 0.0)
        certain = over_constant > CERTAIN * over_constant_error + ROUNDING
    levels = [_level(coverage[t], skill[t], bool(certain[t]), resolution[t]) for t in range(T)]
    if unidentified:
        levels = [min(level, 1) for level in levels]
    lost = np.isnan(effects)  # tasks that the runs of a target never switch
    levels = [min(level, 1) if lost[:, t].any() else level for t, level in enumerate(levels)]
    unknown = len(unidentified) + int(lost.any(axis=1).sum() if lost.any(axis=0).all() else 0)
    middle = (float(np.median(coverage)), float(np.median(skill)), float(np.median(resolution)))
    certain_overall = bool(certain.mean() >= 0.5)
    level = _level(middle[0], middle[1], certain_overall, middle[2])
    reason, advice = _sentence(level, *middle, certain_overall, runs, reading)
    if level == 2 and unknown:
        level = 1
        reason = f"{unknown} of the tasks cannot be told from these runs; the others are solid."
        advice = "Add runs in which these tasks are switched by themselves."
    return Trust(
        VERDICTS[level],
        reason,
        advice,
        tuple(VERDICTS[k] for k in levels),
        tuple(map(float, coverage)),
        tuple(map(float, skill)),
        tuple(map(float, resolution)),
    )


def limited(found: Trust, estimator: Mapping[str, Any]) -> Trust:
    """Let no verdict on estimated runs be better than the estimator's own.

    Parameters
    ----------
    found : Trust
    estimator : mapping
        Diagnostics that travel with the runs; 'faithful' limits nothing, 'ranking only' and 'unknown' (nothing was
        retrained to judge by) allow 'indicative', 'unfaithful' nothing.
    """
    state = str(estimator.get("verdict", "unknown"))
    if state == "unknown" and float(estimator.get("displacement_max", 0.0)) > 2.0:  # in units of |W0|
        state = "unfaithful"
    return at_most(
        found,
        {"faithful": 2, "ranking only": 1, "unfaithful": 0}.get(state, 1),
        f"The runs are estimates, and the estimator is {state}. {found.reason}",
        "Retrain a few of the masks and pass them as retrained= to see how far the estimates are off.",
    )


def at_most(found: Trust, level: int, reason: str, advice: str) -> Trust:
    """Lower a verdict to ``level`` (an index of `VERDICTS`), with another reason and advice, where it is better."""
    targets = tuple(VERDICTS[min(VERDICTS.index(v), level)] for v in found.targets)
    if VERDICTS.index(found.verdict) <= level:
        return replace(found, targets=targets)
    return replace(found, verdict=VERDICTS[level], reason=reason, advice=advice, targets=targets)


def _mean(values: Array) -> Array:
    """Mean over tasks that have an effect (P, T) -> (T,), 0 where none has."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _middle(ratio: Array) -> Array:
    """Median over tasks that have an effect (P, T) -> (T,), 1 where none has."""
    known = np.isfinite(ratio)
    return np.array([np.median(c[k]) if k.any() else 1.0 for c, k in zip(ratio.T, known.T, strict=True)])


def _level(coverage: float, skill: float, certain: bool, resolution: float) -> int:
    if coverage > COVERED or not certain or skill <= 0:
        return 0
    return 2 if coverage <= WELL_COVERED and skill >= SKILLED and resolution >= RESOLVED else 1


def _sentence(
    level: int, coverage: float, skill: float, resolution: float, certain: bool, runs: int, reading: str
) -> tuple[str, str]:
    facts = (
        f"held-out R^2 {skill:.2f}, posterior sd {coverage:.0%} of the prior's, {resolution:.0%} of spread is signal"
    )
    if level == 2:
        return (
            f"The {runs} runs predict held-out runs and cover the question of {reading} ({facts}).",
            "Nothing is missing for this reading.",
        )
    if not certain or skill <= 0:
        return (
            f"The {runs} runs predict held-out runs "
            f"{'no better than their mean does' if skill <= 0 else 'better than their mean, but not with certainty'} "
            f"({facts}).",
            "Add runs, or repeat masks over seeds to see whether the target reproduces at all.",
        )
    if coverage > COVERED:
        return (
            f"The runs say almost nothing about the question of {reading} ({facts}): they lie too far from it.",
            "Make runs for this question (interplay design --for ...), or ask for a reading that this one covers.",
        )
    weak = []
    if coverage > WELL_COVERED:
        weak.append("the runs cover it thinly")
    if skill < SKILLED:
        weak.append("much of the target is noise or not captured")
    if resolution < RESOLVED:
        weak.append("intervals are wide beside the differences between tasks")
    return f"Better than the constant, but {' and '.join(weak)} ({facts}).", (
        f"About {runs} more runs of the same design would halve the variance of the effects."
    )
