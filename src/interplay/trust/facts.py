"""The evidence in sentences: the numbers beside a verdict, and the facts below the table."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from ..fields import listed
from .advice import repeats_that_tell
from .evidence import Evidence
from .reach import HALF

Array = NDArray[np.float64]
VERDICTS = ("not supported", "indicative", "solid")
SILENT = "Not supported for"
NOTABLE = 0.02  # difference of expected correlations that is said
#: How facts begin that tell what is not in the runs.
LIMITS = ("Ceiling: unknown", "All runs share one seed", "Training without a task: not stated")


def overall(found: Evidence, believed: Array) -> float:
    """Expected correlation, mean over the targets that change."""
    own = found.changes
    return float((believed * found.agreement)[own].mean()) if own.any() else 0.0


def numbers(found: Evidence, believed: Array, T: int, estimated: bool) -> str:
    """The numbers that a reader wants first."""
    said = []
    whose = "those of all estimates" if estimated else "the true effects"
    if believed.any():
        said.append(f"expected correlation with {whose} {overall(found, believed):.2f}{', mean of targets' * (T > 1)}")
        named = np.isfinite(found.elsewhere) & found.changes
        known = believed[named]
        whole, others = (np.mean(known * q[named]) if known.size else 0.0 for q in (found.agreement, found.elsewhere))
        if whole - others > NOTABLE:  # most of what is known may be that a task helps the target of its name
            said.append(f"without those of tasks on the target of their own name {others:.2f}")
    skill = found.skill[found.changes] if found.changes.any() else found.skill
    said.append(f"held-out R^2 {np.median(skill):.2f}{', median of targets' * (T > 1)}")
    return f"({'; '.join(said)})"


def counted(each: Sequence[str]) -> str:
    """How many targets have which verdict, in words.

    Examples
    --------
    >>> counted(["solid", "indicative", "solid"]), counted(["solid"] * 13)
    ('2 solid, 1 indicative of 3 targets', 'all 13 targets solid')
    """
    T, held = len(each), [name for name in reversed(VERDICTS) if name in each]
    if len(held) == 1:
        return f"{'both' if T == 2 else f'all {T}'} targets {held[0]}"
    return ", ".join(f"{each.count(name)} {name}" for name in held) + f" of {T} targets"


def limits(said: Sequence[str]) -> list[str]:
    """Those of the facts that tell what is not in the runs."""
    return [fact for fact in said if fact.startswith(LIMITS)]


def facts(
    found: Evidence,
    believed: Array,
    targets: Sequence[str],
    each: Sequence[int],
    training: str,
    seeds: Collection[int],
    estimated: bool,
    averaged: int,
) -> list[str]:
    """The evidence in sentences: skill, ceiling, calibration, the learning curve, training, targets without signal."""
    T, said = len(targets), []
    middle = lambda values: float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")
    low, high = middle(found.skill - 1.96 * found.skill_error), middle(found.skill + 1.96 * found.skill_error)
    high = min(high, 1.0)
    over = " (medians over targets)" if T > 1 else ""
    line = f"Held-out runs{over}: R^2 {middle(found.skill):.2f} ({low:.2f} to {high:.2f})"
    if middle(found.skill) > 0:  # predictions near the mean of the other runs rank the wrong way round
        line += f", Spearman {middle(found.ranks):.2f}"
    if np.isfinite(found.calibration).any():
        line += f"; {middle(found.calibration):.0%} inside their 95 % intervals"
    said.append(f"{line}.")
    said.append(f"Chance: p {_p(middle(found.p))}{over}, the share of shuffles of the runs that predict as well.")
    if estimated:
        said.append("Ceiling: that of the estimator, judged by retrained masks.")
    elif np.isfinite(found.share).any():
        said.append(
            f"Ceiling: by {found.repeats} repeats {middle(found.share):.0%} of the variance reproduces; at best "
            f"{middle(np.sqrt(found.share)):.2f} of correlation with such runs."
        )
    else:
        said.append(f"Ceiling: unknown, nothing is repeated. {repeats_that_tell(found)}".strip())
    if len(seeds) == 1 and -1 not in seeds and not estimated:
        said.append("All runs share one seed: effects are those of this seed, and how far seeds differ is not seen.")
    if (found.extra > 0.01 * found.spread).any():
        why = "what the runs leave unexplained may do that far from them" if found.outside > HALF else "seeds differ"
        said.append(f"Intervals of effects are wider than the surrogate's: {why}.")
    if found.curve is not None and believed.any():
        mean, low, high = found.curve.forecast(2 * found.curve.runs)
        now = f"from R^2 {1.0 - found.curve.now:.2f} now to {mean:.2f} expected ({low:.2f} to {high:.2f})"
        said.append(f"Twice the runs ({2 * found.curve.runs * averaged}): {now}{', mean of targets' * (T > 1)}.")
    if training:
        said.append(training)
    silent = [name for name, level in zip(targets, each, strict=True) if level == 0]
    if T > 1 and silent:
        said.append(f"{SILENT} {len(silent)} of {T} targets: {listed(silent, 8)}.")
    return said


def _p(value: float) -> str:
    """A p value that is never shown as 0."""
    return "< 0.01" if value < 0.005 else f"= {value:.2f}"
