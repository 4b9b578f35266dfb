"""What an answer says of all its targets together, in words: on the average over them, and task by task.

Each task stands in one of four sentences: it helps targets and hurts none, it helps some and hurts others, it hurts
targets and helps none, or its interval includes 0 on every target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import namesakes
from ..fields import listed
from .summary import Summary
from .words import shown

if TYPE_CHECKING:
    from ..attribution import Attribution

NAMED = 5
FEW = 3  # tasks of each part of a sentence that has several
OVER = "On average over the targets"
AGAINST = "Against that average"
MANY = 5  # targets from which two sides can be told
NAMESAKES = 3  # tasks with a target of their name from which it is said what they do to it
FEWEST = 0.02  # share of the targets from which it is said that they answer the opposite way


def of_average(answer: Attribution, found: Summary) -> list[str]:
    """`on_average` in a line of its own, that the verdict is of something else, and `against`."""
    words, other = on_average(answer, found), against(answer, found)
    line = f"{OVER}: {words[:1].lower()}{words[1:]} The verdict is of the effects within each target."
    return [line, *([f"{AGAINST}: {other}"] if other else [])]


def on_average(answer: Attribution, found: Summary) -> str:
    """Which tasks help and hurt on the average over the targets, for certain; the largest mean where none helps."""
    cell = lambda k: f"{_task(answer, k)} ({_mean(float(found.mean[k]), float(found.half[k]), found.places)})"
    helps, hurts = (listed([cell(k) for k in tasks], NAMED) for tasks in (found.better, found.worse))
    if not helps and not hurts:
        first = f"; the highest mean is that of {cell(found.order[0])}. {_unit(found)}" if found.known.any() else "."
        return f"No task is told apart from 0{first}"
    helps = f"Helps, its interval above 0: {helps}" if helps else "No task helps for certain"
    hurts = f"Hurts, its interval below 0: {hurts}" if hurts else "No task hurts for certain"
    return f"{helps}. {hurts}. {_unit(found)}"


def _unit(found: Summary) -> str:
    widest = ", as if the errors of all targets were one" * (found.together == 1.0)
    apart = "In a fit of the average itself those near 0 may be open."
    return f"Unit: {found.unit}; ± half of the 95 % interval{widest}. {apart}"


def opposite(answer: Attribution, found: Summary) -> list[str]:
    """Targets that answer the opposite way; none where there are hardly any."""
    T, opposed = len(answer.targets), found.opposed
    few = T < MANY or opposed.sum() < max(2.0, FEWEST * T)
    return [] if few else [answer.targets[t] for t in np.flatnonzero(opposed)]


def against(answer: Attribution, found: Summary) -> str:
    """How many targets answer the opposite way, and what helps and hurts them; '' where there are hardly any."""
    T, opposed = len(answer.targets), found.opposed
    if not opposite(answer, found):
        return ""
    there = found.relative[:, opposed].mean(axis=1)
    signs = found.certain[:, opposed]
    told = lambda order, sign: ", ".join(
        f"{_task(answer, k)} ({count})" for k in order[:FEW] if (count := int((signs[k] == sign).sum()))
    )
    order = np.argsort(-there, kind="stable")
    helps, hurts = told(order, 1), told(order[::-1], -1)
    most = shown(answer.targets[int(np.argmin(found.alike))], 40)
    return (
        f"{opposed.sum()} of {T} targets answer the opposite way (most {most}; see 'with the others' of the targets). "
        f"Most help to them: {helps or 'nothing for certain'}; most harm: {hurts or 'nothing for certain'}, "
        "each with how many of them it is certain on."
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
    if own := _of_its_name(answer, found):
        rows.append(("Target of the same name", own))
    if open_:
        rows.append(("Certain on no target", _open(answer, open_)))
    return rows


def _open(answer: Attribution, tasks: list[int]) -> str:
    """Tasks that are certain on no target when all are tested together, and on how many by themselves."""
    with np.errstate(invalid="ignore"):
        alone = ((answer.lower > 0) | (answer.upper < 0)).sum(axis=1)
    tasks = sorted(tasks, key=lambda k: -alone[k])
    cells = [f"{_task(answer, k)}{f' ({alone[k]} alone)' * bool(alone[k])}" for k in tasks]
    what = "; all targets are tested together, alone: targets whose own interval excludes 0" * bool(alone[tasks].any())
    return f"{listed(cells, NAMED)}{what}"


def _of_its_name(answer: Attribution, found: Summary) -> str:
    """How many tasks help the target that is called like them more than any other; '' where hardly any is."""
    same = namesakes.own(answer.tasks, answer.targets)
    own = {int(k): int(same[k].argmax()) for k in np.flatnonzero(same.any(axis=1))}
    if len(own) < NAMESAKES:
        return ""
    others = [k for k, t in own.items() if found.best[k] != t]

    def cell(k: int) -> str:
        way = int(found.certain[k, own[k]])
        most = f", and {shown(answer.targets[found.best[k]], 40)} most" if found.best[k] >= 0 else ""
        return f"{_task(answer, k)} ({('nothing for certain', 'helps it', 'hurts it')[way]}{most})"

    but = f"; not {listed([cell(k) for k in others], NAMED)}" if others else ""
    return (
        f"{len(own) - len(others)} of the {len(own)} tasks that have one help it for certain, more than any other{but}"
    )


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
    return f"{len(mixed)} of {len(found.helps)} tasks, by number of targets. {'. '.join(parts)}"


def told_apart(answer: Attribution) -> tuple[int, int]:
    """The target (column) on which the most tasks are told from 0, and how many these are."""
    with np.errstate(invalid="ignore"):
        counts = ((answer.lower > 0) | (answer.upper < 0)).sum(axis=0)
    return int(counts.argmax()), int(counts.max())


def _mean(mean: float, half: float, places: int) -> str:
    """A mean with half of its interval, in as many digits as tell whether the interval includes 0."""
    near = abs(abs(mean) - half) < 10.0**-places
    return f"{mean:+.4f} ± {half:.4f}" if near else f"{mean:+.{places}f} ± {half:.2g}"


def _task(answer: Attribution, k: int) -> str:
    return shown(answer.tasks[k], 40)
