"""Phases of the training that a choice is for: one of them, all as a schedule, or none.

Tasks are called PHASE:TASK and the weights of a phase sum to its share of the training (`interplay.phases`). Within a
phase its weights are divided by that share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fields import EvaluationsError, listed, unknown
from ...phases import parse, scaled, shares_of
from .format import Format, Options
from .holding import Holding

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stage:
    """A mixture over tasks (k,), in a phase ('' where there are none) that is a share of the training.

    ``short`` are names without that of the phase; ``start`` is the step with which it begins.
    """

    phase: str
    share: float
    start: int
    tasks: tuple[str, ...]
    short: tuple[str, ...]
    weights: Array


def stages(holding: Holding, format_: Format, options: Options) -> tuple[list[Stage], list[str]]:
    """Return the mixtures that one file is to hold, in their order, and what is to be said."""
    shares, notes = _shares(holding, options)
    if shares is None:
        if options.steps is not None:
            raise EvaluationsError("steps: the choice has no phases; leave it out, or say the phases (phases=).")
        return [Stage("", 1.0, 0, holding.tasks, holding.tasks, holding.weights)], [*notes, *_likely(holding)]
    if holding.kind in ("mask", "coefficients") and options.phases is None:
        raise EvaluationsError(f"phase: the choice is of kind {holding.kind!r}; phases of training have mixtures.")
    weights = scaled(holding.weights[None], holding.tasks, shares, ["the choice"])[0]
    if options.phase is not None:
        if options.phase not in shares:
            raise EvaluationsError(f"phase: {unknown(options.phase, list(shares), 'phase')}")
        if options.steps is not None:
            raise EvaluationsError("steps: one phase has no schedule; leave it out, or leave phase out.")
        notes.append(
            f"this is phase {options.phase!r}, {shares[options.phase]:.4g} of the training; each phase has its own "
            "file."
        )
        return [_stage(holding, weights, options.phase, shares, 0)], notes
    if not format_.schedule or options.steps is None:
        way = " or all as a schedule with the steps of the training: steps=, --steps" if format_.schedule else ""
        raise EvaluationsError(
            f"phase: the choice is for a training in phases ({listed(list(shares))}). Write one at a time (phase=, "
            f"--phase){way}."
        )
    ends = np.round(np.cumsum(list(shares.values())) * options.steps).astype(int)
    starts = [0, *ends[:-1].tolist()]
    if (np.diff([*starts, options.steps]) < 1).any():
        raise EvaluationsError(f"steps: {options.steps} steps are too few for phases of {_stated(shares)}.")
    return [_stage(holding, weights, p, shares, s) for p, s in zip(shares, starts, strict=True)], notes


def _shares(holding: Holding, options: Options) -> tuple[dict[str, float] | None, list[str]]:
    """Phases as they are said, as the choice has them, or as its tasks are called where one of them is asked for."""
    if options.phases is not None:
        return shares_of(parse(options.phases) if isinstance(options.phases, str) else options.phases), []
    if holding.phases is not None:
        return shares_of(dict(holding.phases)), []
    if options.phase is None:
        return None, []
    first = [task.partition(":")[0] if ":" in task else "" for task in holding.tasks]
    if "" in first or len(set(first)) < 2:
        raise EvaluationsError(
            "phase: the choice has no phases, and its tasks are not called PHASE:TASK. Leave it out, or say the phases "
            "(phases=, --phases main=0.9,anneal=0.1)."
        )
    sums = {p: float(holding.weights[[one == p for one in first]].sum()) for p in dict.fromkeys(first)}
    total = sum(sums.values())
    if empty := [p for p, s in sums.items() if not s > 0]:
        raise EvaluationsError(
            f"phase: the tasks of {listed(empty)} have no weight; say the phases (phases=, --phases)."
        )
    found = {p: s / total for p, s in sums.items()}
    return found, [f"phases are taken from the names of the tasks, their shares from the weights: {_stated(found)}."]


def _likely(holding: Holding) -> list[str]:
    """A word where the tasks look as if there were phases."""
    parts = [task.partition(":") for task in holding.tasks]
    rest = [part[2] for part in parts]
    if holding.kind == "mask" or not all(part[1] for part in parts) or len(set(rest)) == len(rest):
        return []
    first = listed(list(dict.fromkeys(part[0] for part in parts)), 4)
    return [
        f"tasks are called as in a training with phases ({first}); they are written as one mixture. Say phases= "
        "(--phases main=0.9,anneal=0.1) if there are some."
    ]


def _stage(holding: Holding, weights: Array, phase: str, shares: Mapping[str, float], start: int) -> Stage:
    longer = [p for p in shares if len(p) > len(phase)]
    own = [
        k
        for k, task in enumerate(holding.tasks)
        if task.startswith(f"{phase}:") and not any(task.startswith(f"{p}:") for p in longer)
    ]
    tasks = tuple(holding.tasks[k] for k in own)
    short = tuple(task[len(phase) + 1 :] for task in tasks)
    return Stage(phase, shares[phase], int(start), tasks, short, weights[own] / shares[phase])


def _stated(shares: Mapping[str, Any]) -> str:
    return listed([f"{phase} {share:.4g}" for phase, share in shares.items()])
