"""What to run next, and how many: more runs, repeats, or plain leave-one-out where that is the better buy.

runs    v falls as 1 / runs where noise rules it: q' needs  v' = spread (1 - q'^2) / q'^2
repeats the ceiling is known to +- .1 from n = 2 (1.96 (1 - R^2) / .1)^2 repeats
leave-one-out over R seeds (K + 1 runs each) correlates with the truth by sqrt(spread / (spread + 2 noise / R))
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..fields import listed
from ..readings import Question
from .evidence import MANY, Evidence

FARTHEST = 8.0  # times the runs, beyond which no number is given
BETTER = 0.03  # of the expected correlation
MARGIN = 0.03  # beyond the threshold, so that it is reached more often than by half


def more_runs(
    found: Evidence,
    runs: int,
    wanted: float,
    at: str | None,
    own: NDArray[np.bool_] | None = None,
    what: str = "it",
) -> str:
    """How many more runs of the same design would bring the expected correlation to ``wanted``, in a sentence.

    Of several fidelities more of the one asked about, ``at``, are advised without a number. The number is that of the
    median over the targets ``own`` (T,), those that change if not given, which the sentence calls ``what``.
    """
    if at is not None:
        return f"More {at} runs would make {what} better; what one more of each fidelity brings is said below."
    own = found.changes if own is None else own
    resolution = float(np.median(found.resolution[own])) if own.any() else 0.0
    limits = found.agreement / np.sqrt(np.maximum(found.resolution, 1e-12))  # by what such runs cannot lift
    limit = float(np.median(limits[own])) if own.any() and found.masks >= MANY * found.players else 1.0
    if limit < wanted or resolution <= 0:
        return "More runs of the same design would not do; make runs for this question (interplay design --for ...)."
    needed = min((wanted + MARGIN) / limit, 0.99) ** 2
    factor = max((1.0 - resolution) / resolution * needed / max(1.0 - needed, 1e-9), 1.25)
    name = "solid" if wanted > 0.8 else "indicative"
    if factor > FARTHEST:
        return f"More than {FARTHEST:.0f} times the runs would be needed for {what} to be {name}."
    more = int(np.ceil((factor - 1.0) * runs / 5.0) * 5)
    return f"About {more} more runs of the same design should make {what} {name}."


def beside_solid(
    found: Evidence,
    runs: int,
    targets: Sequence[str],
    each: Sequence[int],
    lost: NDArray[np.bool_],
    wanted: tuple[float, float],
    at: str | None = None,
) -> str:
    """How many targets are below an answer that is solid over all of them, and what would lift them; or nothing.

    Parameters
    ----------
    each : sequence of int (T,)
        Levels: 0 not supported, 1 indicative, 2 solid.
    lost : array (T,) of bool
        Targets whose own runs never switch some task.
    wanted : (float, float)
        Expected correlations of an indicative and of a solid target.
    """
    level = np.array(each)
    below = (level < 2) & found.changes
    if not (n := int(below.sum())):
        return ""
    names = [name for name, one in zip(targets, below, strict=True) if one]
    are = "is less than solid by itself" if n == 1 else "are less than solid by themselves"
    head = f"{n} of {len(targets)} targets {are}{f' ({listed(names, 4)})' if n <= 4 else ''}"
    own, what = below & (level == 1) & ~lost, "it" if n == 1 else "half of them"
    if own.any():
        some = "the one that is indicative" if own.sum() == 1 else f"half of the {own.sum()} that are indicative"
        what = what if own.sum() == n else some
        lifted = more_runs(found, runs, wanted[1], at, own, what)
    elif lost[below].all():
        lifted = "Measure them in runs that switch every task."
    else:
        lifted = more_runs(found, runs, wanted[0], at, below & ~lost, what)
    return f"{head}: {lifted[:1].lower()}{lifted[1:]}"


def repeats_that_tell(found: Evidence, of: str = " of them") -> str:
    """How many masks to repeat so that the noise ceiling is known, in a sentence; nothing where it is known."""
    if np.isfinite(found.share).any():
        return ""
    left = 1.0 - float(np.clip(np.median(found.skill), 0.0, 1.0))
    n = int(np.clip(np.ceil(2.0 * (1.96 * left / 0.1) ** 2), 5, 30))
    return f"Repeating {min(n, found.masks)}{of} under another seed would tell how much reproduces."


def by_leave_one_out(found: Evidence, asked: Question, single: int) -> str:
    """Whether leave-one-out itself would have been the better buy for this question, in a sentence."""
    rounds = single // (found.players + 1)
    if asked.name != "leave-one-out" or found.table or rounds < 1 or not (found.spread > 0).any():
        return ""
    own = found.spread > 0
    reached = np.sqrt(found.spread[own] / (found.spread + 2.0 * found.noise / rounds)[own])
    gain = float(np.mean(reached - found.agreement[own]))
    if gain < BETTER or float(reached.mean()) < 0.55:
        return ""
    return (
        f"For this one question leave-one-out itself is the better buy: {rounds} round{'s' * (rounds > 1)} of "
        f"{found.players + 1} runs, each with its own seed, would correlate {reached.mean():.2f} with the truth."
    )
