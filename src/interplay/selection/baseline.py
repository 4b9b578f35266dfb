"""What would be trained without a choice: the baseline that a choice is compared with.

masks      all tasks; where every run holds one number of them, and none comes within a task of all, a run as drawn
mixtures   token-proportional where token counts are given, else uniform
others     the mean of the runs

Prompts of 4 out of 50 demonstrations are never near a prompt of 50, and nobody would write that one: what one gets
without a choice is another prompt like those that were run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..evaluations import Evaluations, EvaluationsError
from ..kinds import fault, size_of_all
from ..phases import phase_blocks
from ..tokens import Tokens
from .drawn import Drawn
from .recorded import Recorded

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Baseline:
    """What a choice is compared with.

    Attributes
    ----------
    weights : array (K,)
        Of an average over masks the share of the runs that hold each task.
    name : str
    drawn : Drawn or None
        The average, where it is one and no mask.
    """

    weights: Array
    name: str
    drawn: Drawn | None = None


def one_size(runs: Evaluations) -> bool:
    """Whether all masks hold the same number of tasks, and two or more are missing."""
    size = size_of_all(runs.masks) if runs.kind == "mask" else None
    return size is not None and size < runs.K - 1


def other_size(runs: Evaluations, choice: Array) -> str:
    """What to say of a mask (K,) of another size than all runs; '' where these are of several sizes."""
    size, own = runs.masks[0].sum(), choice.sum()
    if not one_size(runs) or size == own:
        return ""
    return (
        f"Every run holds {size:g} tasks and the choice {own:g}: what their number does is not in the runs. Ask for "
        f"size={size:g} (--size {size:g}), or verify it first."
    )


def baseline(
    against: ArrayLike | str | None, runs: Evaluations, recorded: Recorded, tokens: Tokens | None = None
) -> Baseline:
    """The baseline that was asked for, or that suits the runs.

    Parameters
    ----------
    against : 'all', 'uniform', 'tokens', 'mean', array (K,) or None
    runs : Evaluations
        As they were drawn: without choices that were verified.
    recorded : Recorded
        Those of the fidelity that is asked about.
    tokens : Tokens, optional

    Raises
    ------
    EvaluationsError
        For a word that this kind of runs has no meaning for, or weights of another length.
    """
    K, kind, phase = runs.K, runs.kind, phase_blocks(runs.notes, runs.tasks)
    if against is None:
        against = _suited(runs, tokens is not None and phase is None)
    if not isinstance(against, str):
        try:
            given = np.asarray(against, float)
        except (TypeError, ValueError):
            given = np.zeros(0)
        if given.shape != (K,):
            raise EvaluationsError(f"against is {against!s:.60}; give a weight for each of the {K} tasks, or a word.")
        if problem := fault(given[None], kind, runs.tasks, row="against: choice", first=1):
            raise EvaluationsError(problem)
        return Baseline(given, "the given one")
    on = np.isin(runs.tasks, recorded.players.always_off, invert=True)
    if against == "all" and kind == "mask":
        return Baseline(on.astype(float), "all tasks" if on.all() else "all tasks that some run holds")
    if against == "uniform" and kind == "mixture":
        if phase is None:
            return Baseline(on / on.sum(), "uniform")
        each, share = np.bincount(phase, on), np.bincount(phase, runs.masks.mean(axis=0))
        return Baseline(on * (share / each)[phase], "uniform in each phase")
    if against == "mean" and kind == "mask":
        drawn = Drawn.of(recorded)
        known = np.isfinite(recorded.values).all(axis=1)
        name = f"a run as drawn (mean of {drawn.measured.runs} runs)"
        return Baseline(recorded.runs.masks[known].mean(axis=0), name, drawn)
    if against == "mean":
        return Baseline(runs.masks.mean(axis=0), "the mean of the runs")
    if against == "tokens" and kind == "mixture":
        if tokens is None:
            raise EvaluationsError("against='tokens' needs the token counts: tokens= (--tokens).")
        if phase is not None:
            raise EvaluationsError(
                "against='tokens' gives each phase the share of its tokens, not the one that it has in the runs; "
                "take 'uniform' or 'mean', or give a mixture."
            )
        return Baseline(tokens.reference(runs.masks), "token-proportional")
    words = "all or mean" if kind == "mask" else "uniform, tokens, mean"
    raise EvaluationsError(f"against={against!r}; give {words}, or the weights.")


def _suited(runs: Evaluations, proportional: bool) -> str:
    if runs.kind == "mask":
        return "mean" if one_size(runs) else "all"
    if runs.kind == "mixture":
        return "tokens" if proportional else "uniform"
    return "mean"
