"""Predictions of candidates as plain text: best first, with intervals, and those that lie far from the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .columns import table
from .words import plain

if TYPE_CHECKING:
    from ..predictor import Predictions

SHOWN = 20  # candidates that are printed
WARNED = 5  # far candidates that are named
TIMES = "times as uncertain as any run that is left out"


def text(found: Predictions, targets: Sequence[str] | None = None, top: int = SHOWN) -> str:
    """Render predictions.

    Parameters
    ----------
    found : Predictions
    targets : sequence of str, optional
        Show these targets: one with its intervals, several in one table. All of them if not given.
    top : int
        At most this many candidates, the best by prediction.
    """
    predictor = found.predictor
    shown = [found.targets.index(name) for name in (found.targets if targets is None else targets)]
    one = len(shown) == 1
    score = predictor.sign[shown[0]] * found.mean[:, shown[0]] if one else predictor.benefit(found.mean, shown)
    order = np.argsort(-score, kind="stable")
    lines = _one(found, shown[0], order[:top]) if one else _many(found, shown, score, order[:top])
    if len(order) > top:
        lines.append(f"... {len(order) - top} more, predicted worse (--top N shows more; --out and --json have all)")
    notes = [*far_words(found, shown), *found.warnings, *predictor.warnings]
    return "\n".join([*lines, *_footnotes(found, shown), "", *(f"Note: {plain(note, 300)}" for note in notes)]).rstrip()


def far_words(found: Predictions, targets: Sequence[int]) -> list[str]:
    """Which candidates lie far from the runs, a sentence for each of the first; and what that means."""
    times = found.remoteness[:, targets].max(axis=1)
    counts = found.far[:, targets].sum(axis=1)
    rows = np.flatnonzero(counts)
    if not len(rows):
        return []
    means = "far: g is less certain there than at any run when that run is left out. Predictions there extrapolate, "
    means += "and their intervals rest on the surrogate's assumptions."
    if len(rows) == len(counts) > WARNED:
        return [f"all {len(rows)} candidates lie far from the runs ({_span(times)} {TIMES}).", means]
    said = []
    for i in rows[np.argsort(-times[rows], kind="stable")][:WARNED]:
        of = "" if len(targets) == 1 else f" for {counts[i]} of {len(targets)} targets"
        said.append(f"{plain(found.names[i])} lies far from the runs{of} ({times[i]:.3g} {TIMES}).")
    if len(rows) > WARNED:
        more = len(rows) - WARNED
        said.append(f"{more} more of the {len(counts)} candidates lie{'s' * (more == 1)} far from the runs.")
    return [*said, means]


def _span(times: np.ndarray) -> str:
    least, most = f"{times.min():.2g}", f"{times.max():.2g}"
    return least if least == most else f"{least} to {most}"


def _one(found: Predictions, t: int, order: np.ndarray) -> list[str]:
    (lower, upper), (least, most) = found.interval(), found.interval(noise=False)
    rows = [
        [
            plain(found.names[i]),
            f"{found.mean[i, t]:.4g}",
            f"{lower[i, t]:.4g} to {upper[i, t]:.4g}",
            f"{least[i, t]:.4g} to {most[i, t]:.4g}",
            "far" if found.far[i, t] else "",
        ]
        for i in order
    ]
    arrow = "higher is better" if found.predictor.higher_is_better[t] else "lower is better"
    heading = f"Predicted {plain(found.targets[t], 60)}, in its own unit ({arrow}; best first)"
    return [heading, *table(["candidate", "prediction", "95 %: a new run", "95 %: expected", ""], rows)]


def _many(found: Predictions, targets: Sequence[int], score: np.ndarray, order: np.ndarray) -> list[str]:
    predictor = found.predictor
    least, most = (end[:, targets] for end in found.interval(noise=False))
    centre, up = predictor.centre[targets], np.array(predictor.higher_is_better)[targets]
    above, below = least > centre, most < centre
    better, worse = np.where(up, above, below).sum(axis=1), np.where(up, below, above).sum(axis=1)
    far = found.far[:, targets].sum(axis=1)
    rows = [
        [plain(found.names[i]), f"{score[i]:+.2f}", str(better[i]), str(worse[i]), str(far[i]) if far[i] else ""]
        for i in order
    ]
    return [
        f"Predicted benefit against the mean of the runs, over {len(targets)} targets (best first): mean, in standard",
        "deviations of each target over the runs; number of targets expected better and worse than that mean (95 %",
        "interval), and for which the candidate lies far from the runs",
        *table(["candidate", "benefit", "better", "worse", "far"], rows),
        "Each target in its own unit and with intervals: --target NAME, --out FILE or --json.",
    ]


def _footnotes(found: Predictions, targets: Sequence[int]) -> list[str]:
    predictor = found.predictor
    taken = {t: choice.name for block, choice in predictor.choices for t in block}
    skill = float(np.median([predictor.skill[taken[t]][t] for t in targets]))
    rows = {predictor.rows[t] for t in targets}
    runs = f"{min(rows)} runs" if len(rows) == 1 else f"{min(rows)} to {max(rows)} runs a target"
    said = f"Fitted to {runs}, held-out R^2 {skill:.2f}{' (median over targets)' * (len(targets) > 1)}. "
    lines = ["", said + predictor.sentence]
    if len(targets) == 1:
        levels = any(choice.surrogate.rows_.basis.shape[1] > 1 for _, choice in predictor.choices)
        new = "a new run at the mean of the seeds' levels" if levels else "a new run"
        if predictor.averaged > 1:
            new = f"a new mask's mean over the same {predictor.averaged} seeds"
        lines.append(f"95 % intervals: of {new}, with its noise; and of what is expected there, without.")
    return lines
