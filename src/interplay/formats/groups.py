"""Named groups of tasks: long (``task,group``), or wide (``group`` and a 0/1 column for every task)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..fields import EvaluationsError, listed
from ..kinds import fault
from .points import Points, long_points, sheet, wide_points

__all__ = ["read_groups"]


def read_groups(path: str | Path, tasks: Sequence[str]) -> Points:
    """Read groups as points of 0/1 memberships (G, K); groups may overlap, and tasks may be in none.

    Parameters
    ----------
    path : path
        .csv, .tsv or .parquet
    tasks : sequence of str (K,)

    Raises
    ------
    EvaluationsError
        For an unknown task, one that a group holds twice, a membership that is not 0 or 1, or an empty group.
    """
    table = sheet(path)
    if "group" not in table.frame:
        raise EvaluationsError(
            f"{table.name} has no column 'group' (its columns: {listed(list(table.frame.columns))}). Give columns "
            "'task' and 'group', one row for each member; or 'group' and a 0/1 column for each task."
        )
    long = "task" in table.frame and "task" not in tasks
    groups = long_points(table, tasks, "group", None) if long else wide_points(table, tasks, "group")
    if problem := fault(groups.weights, "mask", tasks, row=f"{table.name}: group", first=1):
        raise EvaluationsError(problem)
    for empty in np.flatnonzero(~groups.weights.any(axis=1))[:1]:
        raise EvaluationsError(
            f"{table.name}: group {groups.names[empty]!r} has no task. Name its tasks, or remove it."
        )
    return groups
