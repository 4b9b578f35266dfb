"""What an answer says of all its targets together, in words: on the average over them, and task by task.

Each task stands in one of four sentences: it helps targets and hurts none, it helps some and hurts others, it hurts
targets and helps none, or its interval includes 0 on every target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fields import listed
from .summary import Summary
from .words import shown

if TYPE_CHECKING:
    from ..attribution import Attribution

NAMED = 5
FEW = 3  # tasks of each part of a sentence that has several
UNIT = "Unit: a target's own typical effect (root mean square over tasks); ± half of the 95 % interval, at its widest."
OVER = "On average over the targets"
AGAINST = "Against that average"
MANY = 5  # targets from which two sides can be told
CHANCE = 0.05  # share of the targets on the other side that chance may put there


def of_average(answer: Attribution, found: Summary) -> str:
    """`on_average` in a line of its own, and that the verdict is of something else."""
    words, other = on_average(answer, found), against(answer, found)
    line = (
        f"{OVER}: {words[:1].lower()}{words[1:]} The verdict is of the effects within each target, not of this average."
    )
    return f"{line} {other}".strip()


def on_average(answer: Attribution, found: Summary) -> str:
    """Which tasks help and hurt on the average over the targets, for certain; the largest mean where none helps."""
    cell = lambda k: f"{_task(answer, k)} ({_mean(float(found.mean[k]), float(found.half[k]))})"
    helps, hurts = (listed([cell(k) for k in tasks], NAMED) for tasks in (found.better, found.worse))
    if not helps and not hurts:
        first = f"; the highest mean is that of {cell(found.order[0])}. {UNIT}" if found.known.any() else "."
        return f"No task is told apart from 0{first}"
    helps = f"Certain to help: {helps}" if helps else "No task is certain to help"
    hurts = f"Certain to hurt: {hurts}" if hurts else "No task is certain to hurt"
    return f"{helps}. {hurts}. {UNIT}"


def against(answer: Attribution, found: Summary) -> str:
    """How many targets answer the opposite way, and which most; '' where there are no more than chance may give."""
    T, opposed = len(answer.targets), found.opposed
    if T < MANY or opposed.sum() < max(2.0, CHANCE * T):
        return ""
    order = np.argsort(np.where(opposed, found.alike, 1.0), kind="stable")[: min(FEW, int(opposed.sum()))]
    most = ", ".join(shown(answer.targets[t], 40) for t in order)
    return (
        f"{opposed.sum()} of {T} targets answer the opposite way: on the whole, what helps the others hurts them (most "
        f"{most}). An average hides that; look at them by themselves."
    )


def task_by_task(answer: Attribution, found: Summary) -> list[tuple[str, str]]:
    """What the tasks do to targets for certain, in rows of a title and words; each task is in one of them."""
    T, helps, hurts = len(answer.targets), found.helps, found.hurts
    only = lambda counts: lambda k: f"{_task(answer, k)} ({counts[k]} of {T} targets)"
    ordered = lambda chosen, size: [int(k) for k in np.argsort(-size, kind="stable") if chosen[k]]
    good, bad = ordered((helps > 0) & (hurts == 0), found.mean), ordered((hurts > 0) & (helps == 0), -found.mean)
    mixed, open_ = ordered((helps > 0) & (hurts > 0), helps - hurts), ordered((helps == 0) & (hurts == 0), helps)
    rows = [("Helps only", listed([only(helps)(k) for k in good], NAMED) or "no task")]
    if mixed:
        rows.append(("Helps some targets, hurts others", _mixed(answer, found, mixed)))
    rows.append(("Hurts only", listed([only(hurts)(k) for k in bad], NAMED) or "no task"))
    if open_:
        rows.append(("Not told from 0 on any target", listed([_task(answer, k) for k in open_], NAMED)))
    return rows


def _mixed(answer: Attribution, found: Summary, mixed: list[int]) -> str:
    """Tasks that help some targets and hurt others, by which they do to more of them."""

    def cell(k: int) -> str:
        most = shown(answer.targets[found.best[k]], 40)
        return f"{_task(answer, k)} (helps {found.helps[k]}, most {most}; hurts {found.hurts[k]})"

    balance = found.helps - found.hurts
    parts = []
    for words, tasks in (
        ("More helped than hurt", [k for k in mixed if balance[k] > 0]),
        ("As many helped as hurt", [k for k in mixed if balance[k] == 0]),
        ("More hurt than helped", sorted((k for k in mixed if balance[k] < 0), key=lambda k: balance[k])),
    ):
        if tasks:
            parts.append(f"{words}: {listed([cell(k) for k in tasks], FEW)}")
    return f"{len(mixed)} of {len(found.helps)} tasks. {'. '.join(parts)}"


def told_apart(answer: Attribution) -> tuple[int, int]:
    """The target (column) on which the most tasks are told from 0, and how many these are."""
    with np.errstate(invalid="ignore"):
        counts = ((answer.lower > 0) | (answer.upper < 0)).sum(axis=0)
    return int(counts.argmax()), int(counts.max())


def _mean(mean: float, half: float) -> str:
    """A mean with half of its interval, in as many digits as tell whether the interval includes 0."""
    places = 2 if abs(abs(mean) - half) > 0.01 else 4
    return f"{mean:+.{places}f} ± {half:.{places}{'g' if places == 2 else 'f'}}"


def _task(answer: Attribution, k: int) -> str:
    return shown(answer.tasks[k], 40)
