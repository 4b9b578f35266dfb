"""How far to believe the prediction of a choice: what predictions of the best came to when runs were held out.

proposal   of a random eighth of the held-out rows, the one predicted to be best;  e = what it was - what was predicted
bias       mean of e over proposals, shrunk by n / (n + 2), n the number of rows that they spread over
stretch    root mean square of (e - bias) / deviation, shrunk towards 1 by two rows, at least 1

Whoever takes the best of many predictions takes their errors too: the best is predicted too well (Smith & Winkler,
Management Science 2006). Held-out rows show by how much. Near the best, the runs around a choice judge better than the
surrogate: for the ranking what they leave unexplained is added, weighted by the weight that would have to move (total
variation .05).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluations import Evaluations
from ..fields import listed
from ..held_out import HeldOut
from . import result
from .objective import Objective
from .result import Candidate
from .simplex import total_variation

Array = NDArray[np.float64]
SHARE = 1 / 8  # of the rows that a proposal is taken from: so its share spreads over some 15 rows
FEWEST = 10  # held-out rows below which nothing is said of proposals
NEAR = 0.05  # total variation
AT_THE_END = (
    "the choice lies as far from the runs as any of them does from the others, and no farther was looked: run some "
    "beyond it, or look there too with beyond=True (--beyond)."
)
ONE_SEED = (
    "All runs share one seed: predictions are of trainings under it. Another seed can move all values alike, so "
    "compare choices under the same seeds; a few runs again under two others (interplay next --how repeats) tell how "
    "far."
)
SEVERAL = (
    "The {} seeds have levels of their own, which move all values alike: intervals of predictions hold how far the "
    "mean of other seeds may lie from theirs (± {}); what a choice gains is the same under any."
)
#: Standard deviations of a gain that is likely, and of one that is certain.
LIKELY, CERTAIN = 1.0, 1.96
CHANCE = 0.1  # rank correlation up to which held-out runs are ranked as if by chance
CLOSEST = 1.0  # runs' worth of weight that the surrogate stands for


@dataclass(frozen=True, eq=False)
class Proposals:
    """What held-out proposals came to, in standard deviations of the target.

    Attributes
    ----------
    bias : float
        What is to be added to the prediction of the best.
    stretch : float
        What its deviation is to be multiplied by.
    rows : float
        Rows that the proposals spread over; 0 where there are too few to tell.
    rank : float
        Rank correlation of held-out predictions with what was measured; NaN where unknown.
    """

    bias: float = 0.0
    stretch: float = 1.0
    rows: float = 0.0
    rank: float = float("nan")

    @classmethod
    def of(cls, objective: Objective, held: HeldOut) -> Proposals:
        """Propose from held-out rows."""
        targets = objective.targets
        J = len(objective.goals)
        known = np.isfinite(held.measured[:, targets]).all(axis=1) & np.isfinite(held.predicted[:, targets]).all(axis=1)
        if known.sum() < FEWEST:
            return cls()
        measured, predicted = held.measured[known], held.predicted[known]
        deviation = np.nan_to_num(held.deviation[known])
        told = np.isfinite(held.deviation[np.ix_(known, targets)]).all(axis=1)
        true = objective.worth(measured, deviation, risk=0.0)
        said = objective.worth(predicted, deviation, risk=0.0)
        cautious = objective.worth(predicted, deviation)
        sd = objective.standardised(predicted, deviation)[1][:, :J].mean(axis=1)
        told &= sd > 0
        order = np.argsort(-cautious, kind="stable")
        share = (1.0 - SHARE) ** np.arange(len(order))  # that the i-th is in the eighth and no better one is
        share /= share.sum()
        e = (true - said)[order]
        rows = 1.0 / float((share**2).sum())
        bias = float(share @ e) * rows / (rows + 2.0)
        told, stretch = told[order], 1.0
        if told.any():
            square = float(share[told] @ ((e - bias)[told] / sd[order][told]) ** 2) / float(share[told].sum())
            stretch = np.sqrt((rows * square + 2.0) / (rows + 2.0))
        return cls(bias, float(max(stretch, 1.0)), rows, _rank(true, said))


def unexplained(objective: Objective, X: Array, held: HeldOut, binary: bool) -> Array:
    """Benefit (n,) that the runs around choices (n, P) show beyond the surrogate, in standard deviations.

    Of masks the tasks that differ are counted as shares of all.
    """
    known = np.isfinite(held.measured[:, objective.targets]).all(axis=1)
    if not known.any():
        return np.zeros(len(X))
    runs = held.weights[known]
    mean, deviation = objective.predictor.at(runs)
    zero = np.zeros_like(deviation)
    left = objective.worth(held.measured[known], zero, 0.0) - objective.worth(mean, zero, 0.0)
    out = np.zeros(len(X))
    for start in range(0, len(X), 200):
        distance = total_variation(X[start : start + 200], runs) * (2.0 / X.shape[1] if binary else 1.0)
        w = np.exp(-0.5 * (distance / NEAR) ** 2)
        out[start : start + 200] = (w @ left) / (w.sum(axis=1) + CLOSEST)
    return out


def _rank(a: Array, b: Array) -> float:
    from ..metrics import spearman

    return float(np.nan_to_num(spearman(a, b)))


def beside(candidates: tuple[Candidate, ...]) -> str:
    """What is known of the choice beside the best run, where only that is certain; of one target."""
    for run in candidates:
        if run.role == result.RUN and len(run.gain) == 1 and run.told_apart and run.gain_deviation[0] > 0:
            half = CERTAIN * run.gain_deviation[0]
            interval = f"{run.gain[0] - half:.3g} to {run.gain[0] + half:.3g}"
            return f"its gain over the best run is certain: {run.gain[0]:+.3g} ({interval})"
    return ""


def about_seeds(runs: Evaluations, elsewhere: Array) -> list[str]:
    """What other seeds than those of the runs would change; ``elsewhere`` (J,) as `Recorded` has it."""
    seeds = set(runs.seed.tolist())
    if len(seeds) == 1 and seeds != {-1}:
        return [ONE_SEED]
    far = listed([f"{CERTAIN * one:.2g}" for one in elsewhere], 3)
    return [SEVERAL.format(len(seeds), far)] if elsewhere.any() else []


def verdict_on(
    candidates: tuple[Candidate, ...], proposals: Proposals, binding: int, goals: Sequence[str] = (), keeps: bool = True
) -> tuple[str, str]:
    """Whether the choice is better than the baseline in the goal that is worst there, by what the runs tell.

    Of several ``goals`` those that are certain to lose are named; ``keeps``: the baseline is within the rules.
    """
    verdict, why = _on(candidates, proposals, binding, goals[binding] if len(goals) > 1 else "", keeps)
    baseline = next(c for c in candidates if c.role == result.BASELINE)
    worse = [
        g for g, gain, sd in zip(goals, baseline.gain, baseline.gain_deviation, strict=False) if gain < -CERTAIN * sd
    ]
    if len(goals) > 1 and worse and verdict != "not supported":
        why += f"; it is certain to be worse in {listed(worse)}"
    return verdict, why


def _on(
    candidates: tuple[Candidate, ...], proposals: Proposals, binding: int, goal: str, keeps: bool
) -> tuple[str, str]:
    choice, baseline = candidates[0], next(c for c in candidates if c.role == result.BASELINE)
    if np.isfinite(proposals.rank) and proposals.rank <= CHANCE:
        chance = f"held-out runs are ranked no better than by chance (rank correlation {proposals.rank:.2f})"
        return "not supported", f"{chance}: add runs before choosing by them"
    gain, deviation = baseline.gain[binding], baseline.gain_deviation[binding]
    within = f" in {goal}" if goal else ""
    if not (np.isfinite(gain) and np.isfinite(deviation)):
        return "not supported", f"what it gains over {baseline.name} cannot be told: that lies too far from the runs"
    if gain <= 0 or choice.worth <= baseline.worth:
        instead = ": keep that" if keeps else ", which breaks the rules"
        return "not supported", f"it is not expected to be better than {baseline.name}{within}{instead}"
    z = gain / deviation if deviation > 0 else np.inf
    if z < LIKELY:
        return (
            "not supported",
            f"its gain over {baseline.name}{within} is within its uncertainty: verify it, or add runs",
        )
    if choice.far:
        return "indicative", "it lies farther from the runs than any of them does from the others: verify it first"
    if z < CERTAIN:
        return "indicative", f"its gain over {baseline.name}{within} is likely, and not certain: verify it"
    return "solid", f"its gain over {baseline.name}{within} exceeds its uncertainty (95 %)"
