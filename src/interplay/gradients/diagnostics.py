"""How far estimates can be believed: their errors on retrained masks, beside those of knowing nothing.

relative error      mean |Fhat - F| / mean |F|, beside the best constant's mean |F - mean F| / mean |F|
error over spread   mean |Fhat - F| / mean |F - mean F|  (1 = no better than the constant)
centred             the same after the mean difference is taken out, which cancels in every effect

Figures on a handful of masks are uncertain themselves. Their intervals come from leaving out each mask in turn (the
jackknife; Tukey 1958), and a verdict names the others that lie within them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

FEWEST = 5
#: Share of the intervals within which a verdict is looked for.
LEVEL = 0.8
ERROR, RANK = "error_over_spread", "spearman"
SCORES = ("relative_error", "constant_relative_error", ERROR, "centred_error_over_spread", RANK)
MEANING = {
    "faithful": "",
    "ranking only": ": the order of masks can be used, the values cannot",
    "unfaithful": ": use retrained runs",
}


def agreement(estimate: np.ndarray, truth: np.ndarray, targets: Sequence[str]) -> dict[str, Any]:
    """Compare estimates (m, T) with retrained values (m, T).

    Returns
    -------
    dict
        ``masks``; ``relative_error``, ``constant_relative_error``, ``error_over_spread``,
        ``centred_error_over_spread`` and ``spearman``, each a mean over targets with any spread; ``by_target``
        with the same figures; ``intervals`` of 80 % of the two figures that decide; ``verdict``, ``reason``, and
        ``possible``, the verdict and then the others within the intervals.
    """
    by_target: dict[str, dict[str, float]] = {}
    without = []
    for t, name in enumerate(targets):
        rows = np.isfinite(truth[:, t])
        F, Fhat = truth[rows, t], estimate[rows, t]
        if not rows.any():
            continue
        error, spread = Fhat - F, float(np.abs(F - F.mean()).mean())
        level = max(float(np.abs(F).mean()), 1e-30)
        figures = {
            "relative_error": float(np.abs(error).mean()) / level,
            "constant_relative_error": spread / level,
        }
        if spread > 1e-12 * level:
            figures[ERROR] = float(np.abs(error).mean()) / spread
            figures["centred_error_over_spread"] = float(np.abs(error - error.mean()).mean()) / spread
            figures[RANK] = float(_rank_correlation(F, Fhat))
            each = np.repeat([[figures[ERROR], figures[RANK]]], len(truth), axis=0)
            if len(F) >= FEWEST:
                each[rows] = _without_each(F, Fhat, figures[ERROR])
            without.append(each)
        by_target[name] = figures
    means = {
        key: float(np.mean([f[key] for f in by_target.values() if key in f]))
        for key in SCORES
        if any(key in f for f in by_target.values())
    }
    intervals = _intervals(means, np.mean(without, axis=0)) if without and len(truth) >= FEWEST else {}
    verdict, reason, possible = judge(means, len(truth), intervals)
    return {
        "masks": len(truth),
        **means,
        "by_target": by_target,
        "intervals": intervals,
        "verdict": verdict,
        "reason": reason,
        "possible": possible,
    }


def judge(
    means: dict[str, float], masks: int, intervals: dict[str, list[float]] | None = None
) -> tuple[str, str, list[str]]:
    """Verdict on an estimator, its reason, and that verdict with the others that the intervals leave open.

    The verdict is faithful, ranking only, unfaithful or unknown.
    """
    if masks < FEWEST:
        return "unknown", f"{masks} retrained masks; at least {FEWEST} are needed to say.", ["unknown"]
    if RANK not in means:
        return "unknown", "the retrained values do not differ from mask to mask.", ["unknown"]
    verdict = _verdict(means[ERROR], means[RANK])
    ends = intervals or {key: [means[key]] for key in (ERROR, RANK)}
    corners = {_verdict(error, rank) for error in ends[ERROR] for rank in ends[RANK]}
    possible = [verdict, *(one for one in MEANING if one in corners and one != verdict)]
    between = {key: f" ({low:.2f} to {high:.2f})" for key, (low, high) in (intervals or {}).items()}
    said = (
        f"error {means[ERROR]:.2f}{between.get(ERROR, '')} of the spread, rank correlation "
        f"{means[RANK]:.2f}{between.get(RANK, '')} on {masks} retrained masks{MEANING[verdict]}"
    )
    others = " or ".join(possible[1:])
    return verdict, f"{said}{f'; not excluded by so few masks: {others}' if others else ''}.", possible


def _verdict(error: float, rank: float) -> str:
    if error <= 0.5 and rank >= 0.7:
        return "faithful"
    return "ranking only" if rank >= 0.5 else "unfaithful"


def _without_each(F: np.ndarray, Fhat: np.ndarray, whole: float) -> np.ndarray:
    """Return error over spread (``whole`` with all masks) and rank correlation without each mask in turn: (m, 2)."""
    m = len(F)
    rest = np.arange(m - 1) + (np.arange(m - 1) >= np.arange(m)[:, None])  # row i: all but i
    a, b = F[rest], Fhat[rest]
    spread = np.abs(a - a.mean(1, keepdims=True)).mean(1)
    error = np.abs(b - a).mean(1)
    moves = spread > 1e-12 * np.abs(F).mean()  # one mask may be all that moves a target
    over = np.divide(error, spread, out=np.full(m, whole), where=moves)
    return np.column_stack([over, _rank_correlation(a, b)])


def _intervals(means: dict[str, float], without: np.ndarray) -> dict[str, list[float]]:
    """Return both ends of the intervals of the figures that decide, from their values without each mask (m, 2)."""
    m = len(without)
    deviation = np.sqrt((m - 1) / m * np.sum((without - without.mean(0)) ** 2, axis=0))
    reach = student.ppf((1 + LEVEL) / 2, m - 1) * deviation
    bounds = {ERROR: (0.0, np.inf), RANK: (-1.0, 1.0)}
    return {
        key: [float(np.clip(means[key] + sign * r, *bounds[key])) for sign in (-1, 1)]
        for key, r in zip((ERROR, RANK), reach, strict=True)
    }


def nearest(estimates: Iterable[np.ndarray], truth: np.ndarray, targets: Sequence[str]) -> int:
    """Return which of several estimates (m, T) has the smallest centred error over the spread of the truth (m, T)."""
    errors = [agreement(one, truth, targets).get("centred_error_over_spread", np.inf) for one in estimates]
    return int(np.argmin(errors))


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation along the last axis; 0 where one side is constant."""
    centred = [r - r.mean(-1, keepdims=True) for r in (rankdata(a, axis=-1), rankdata(b, axis=-1))]
    size = np.sqrt(np.prod([(r**2).sum(-1) for r in centred], axis=0))
    return np.divide((centred[0] * centred[1]).sum(-1), size, out=np.zeros_like(size), where=size > 0)
