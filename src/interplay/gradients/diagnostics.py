"""How far estimates can be believed: their errors on retrained masks, beside those of knowing nothing.

relative error      mean |Fhat - F| / mean |F|, beside the best constant's mean |F - mean F| / mean |F|
error over spread   mean |Fhat - F| / mean |F - mean F|  (1 = no better than the constant)
centred             the same after the mean difference is taken out, which cancels in every effect
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

FEWEST = 5


def agreement(estimate: np.ndarray, truth: np.ndarray, targets: Sequence[str]) -> dict[str, Any]:
    """Compare estimates (m, T) with retrained values (m, T).

    Returns
    -------
    dict
        ``masks``; ``relative_error``, ``constant_relative_error``, ``error_over_spread``,
        ``centred_error_over_spread`` and ``spearman``, each a mean over targets with any spread; ``by_target``
        with the same figures; ``verdict`` and ``reason``.
    """
    by_target: dict[str, dict[str, float]] = {}
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
            figures["error_over_spread"] = float(np.abs(error).mean()) / spread
            figures["centred_error_over_spread"] = float(np.abs(error - error.mean()).mean()) / spread
            figures["spearman"] = _rank_correlation(F, Fhat)
        by_target[name] = figures
    means = {
        key: float(np.mean([f[key] for f in by_target.values() if key in f]))
        for key in (
            "relative_error",
            "constant_relative_error",
            "error_over_spread",
            "centred_error_over_spread",
            "spearman",
        )
        if any(key in f for f in by_target.values())
    }
    verdict, reason = judge(means, len(truth))
    return {"masks": len(truth), **means, "by_target": by_target, "verdict": verdict, "reason": reason}


def judge(means: dict[str, float], masks: int) -> tuple[str, str]:
    """Verdict on an estimator: faithful, ranking only, unfaithful or unknown, with its reason."""
    if masks < FEWEST:
        return "unknown", f"{masks} retrained masks; at least {FEWEST} are needed to say."
    if "spearman" not in means:
        return "unknown", "the retrained values do not differ from mask to mask."
    error, rank = means["error_over_spread"], means["spearman"]
    said = f"error {error:.2f} of the spread, rank correlation {rank:.2f} on {masks} retrained masks"
    if error <= 0.5 and rank >= 0.7:
        return "faithful", f"{said}."
    if rank >= 0.5:
        return "ranking only", f"{said}: the order of masks can be used, the values cannot."
    return "unfaithful", f"{said}: use retrained runs."


def nearest(estimates: Iterable[np.ndarray], truth: np.ndarray, targets: Sequence[str]) -> int:
    """Return which of several estimates (m, T) has the smallest centred error over the spread of the truth (m, T)."""
    errors = [agreement(one, truth, targets).get("centred_error_over_spread", np.inf) for one in estimates]
    return int(np.argmin(errors))


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    ranks = rankdata(a), rankdata(b)
    if np.ptp(ranks[0]) == 0 or np.ptp(ranks[1]) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])
