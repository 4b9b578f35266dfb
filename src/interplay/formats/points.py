"""Masks and mixtures given by the names of tasks: candidates to predict, contrasts, a reference.

Wide: one row per point and one column per task, in any order; other columns stay beside the points. Long: columns
``task`` and ``weight``, one row for each task that is in; a column ``name`` (or ``run``) there parts several points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..fields import EvaluationsError, listed, unknown
from ..kinds import fault
from . import read_table
from .columns import as_numbers, as_text, odd_columns
from .table import FACTS, UNNAMED, Table, is_metadata

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Contrasts",
    "Points",
    "long_points",
    "names_column",
    "read_contrasts",
    "read_design",
    "read_points",
    "read_fidelities",
    "read_seeds",
    "sheet",
    "tasks_of",
    "wide_points",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Points:
    """Named rows over the tasks of some runs.

    Attributes
    ----------
    names : tuple of str (n,)
        From the column ``name``, ``run`` or ``run_id``; else the name of the file, with the number of the row where
        there are several.
    weights : array (n, K)
        Masks, mixtures, weights or memberships, in the order of the tasks.
    beside : pandas.DataFrame
        The other columns of the file, n rows.
    """

    names: tuple[str, ...]
    weights: Array
    beside: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Pairs of points, read as g(first) - g(second): arrays (n, K), and names such as 'a against b'."""

    names: tuple[str, ...]
    first: Array
    second: Array


def read_points(path: str | Path, tasks: Sequence[str], kind: str) -> Points:
    """Read masks or mixtures over the tasks of some runs, and of their kind.

    Parameters
    ----------
    path : path
        .csv, .tsv or .parquet, wide or long.
    tasks : sequence of str (K,)
    kind : str
        "mask", "mixture", "weights" or "coefficients", see `Evaluations.kind`.

    Raises
    ------
    EvaluationsError
        For a task that is unknown or given twice (long) or has no column (wide), or a row that breaks the kind.
    """
    table = sheet(path)
    long = {"task", "weight"} <= set(table.frame.columns) and not {"task", "weight"} <= set(tasks)
    key = names_column(table.frame, tasks, several=long)
    points = long_points(table, tasks, key, "weight") if long else wide_points(table, tasks, key)
    if problem := fault(points.weights, kind, tasks, row=f"{table.name}: {'point' if long else 'row'}", first=1):
        raise EvaluationsError(problem)
    return points


def read_design(path: str | Path, tasks: Sequence[str] | None = None) -> tuple[tuple[str, ...], Array]:
    """Read what is to be run: masks or weights (m, K), and the names of the tasks (K,).

    Parameters
    ----------
    path : path
        .csv, .tsv or .parquet, wide or long.
    tasks : sequence of str, optional
        Columns that are tasks; all that are neither metadata nor targets if not given, which must be of one kind.

    Raises
    ------
    EvaluationsError
        For a column that cannot be a task, or a cell without a finite number.
    """
    table = sheet(path)
    columns = [str(column) for column in table.frame.columns]
    long = {"task", "weight"} <= set(columns)
    if tasks is not None:
        names = tuple(tasks)
    elif long:
        names = tuple(dict.fromkeys(as_text(table.frame, "task")))
    else:
        found = [column for column in columns if not is_metadata(column) and not column.startswith("target:")]
        names = tuple(column.removeprefix("task:") for column in found)
    if not names:
        raise EvaluationsError(f"{table.name} has no column for a task; its columns are {listed(columns)}.")
    weights = read_points(path, names, "coefficients").weights
    if tasks is None and not long and (odd := odd_columns(weights, names)):
        column = names[odd[0][0]]
        raise EvaluationsError(
            f"{table.name}: column {column!r} cannot be a task: {odd[1]}. List the tasks (--tasks), or take the column "
            "out."
        )
    return names, weights


def read_seeds(path: str | Path, tasks: Sequence[str]) -> NDArray[np.int64] | None:
    """Seeds (m,) under which the rows of a wide design are to be run; None where no column ``seed`` states them.

    Raises
    ------
    EvaluationsError
        For a cell that is no whole number from 0 on.
    """
    table = _stating(path, tasks, "seed")
    if table is None:
        return None
    remedy = "Seeds are 0, 1, 2, ...: mend it, or say which with --seeds."
    seeds = as_numbers(table.frame, "seed", table.name, remedy)
    wrong = np.flatnonzero(~(seeds >= 0) | (seeds != np.floor(seeds)))
    if len(wrong):
        cell = table.frame["seed"].iloc[wrong[0]]
        raise EvaluationsError(f"{table.name}: column 'seed' holds {cell} in row {wrong[0] + 1}. {remedy}")
    return seeds.astype(np.int64)


def read_fidelities(path: str | Path, tasks: Sequence[str]) -> NDArray[np.str_] | None:
    """Fidelities (m,) of which the rows of a wide design are to be; None where no column ``fidelity`` states them.

    Raises
    ------
    EvaluationsError
        For a cell that is empty.
    """
    table = _stating(path, tasks, "fidelity")
    if table is None:
        return None
    words = as_text(table.frame, "fidelity")
    if "" in words:
        row = words.index("") + 1
        raise EvaluationsError(f"{table.name}: column 'fidelity' is empty in row {row}. Fill it, or drop the column.")
    return np.array(words)


def _stating(path: str | Path, tasks: Sequence[str], column: str) -> Table | None:
    """The table of a wide design, if a column of it that is no task states something of its rows."""
    table = sheet(path)
    columns = set(map(str, table.frame.columns))
    return None if column not in columns or column in tasks or {"task", "weight"} <= columns else table


def names_column(frame: pd.DataFrame, tasks: Sequence[str], several: bool = False) -> str | None:
    """Return the column that names points: the first of name, run and run_id whose cells differ, or else the first.

    Where a point has ``several`` rows its name is repeated, and the first is taken.
    """
    there = [n for n in ("name", "run", "run_id") if n in frame and n not in tasks]
    return next(iter([n for n in there if several or frame[n].is_unique] or there), None)


def read_contrasts(first: str | Path, second: str | Path, tasks: Sequence[str], kind: str) -> Contrasts:
    """Read two files of as many points each, row by row; a single point is set against each of the other file's."""
    a, b = read_points(first, tasks, kind), read_points(second, tasks, kind)
    n = max(len(a.names), len(b.names))
    if not {len(a.names), len(b.names)} <= {1, n}:
        raise EvaluationsError(
            f"{Path(first).name} has {len(a.names)} rows and {Path(second).name} {len(b.names)}; give as many in both, "
            "or a single one in one of them."
        )
    i, j = (np.arange(n) % len(points.names) for points in (a, b))
    names = tuple(f"{a.names[k]} against {b.names[l]}" for k, l in zip(i, j, strict=True))
    return Contrasts(names, a.weights[i], b.weights[j])


def sheet(path: str | Path) -> Table:
    """Read a table that is none of runs: names of columns without blanks around them, and at least one row."""
    table = read_table(path)
    frame = table.frame.set_axis([str(c).strip() for c in table.frame.columns], axis=1)
    if not len(frame):
        raise EvaluationsError(f"{table.name} has no rows: it is empty below its header. Give at least one.")
    return Table(frame.drop(columns=FACTS, errors="ignore"), table.name)


def wide_points(table: Table, tasks: Sequence[str], key: str | None) -> Points:
    """Read points that have a column for every task (``task:NAME`` where NAME alone means something else)."""
    frame, stem = table.frame, Path(table.name).stem
    columns = [f"task:{t}" if f"task:{t}" in frame else t for t in tasks]
    if absent := [t for t, c in zip(tasks, columns, strict=True) if c not in frame]:
        raise EvaluationsError(
            f"{table.name} has no column for {len(absent)} of {len(tasks)} tasks: {listed(absent)}. Add one for each, "
            "with 0 where the task is out; or give columns 'task' and 'weight', one row for each task that is in."
        )
    weights = np.column_stack([as_numbers(frame, c, table.name, "Give 0 or 1, or a weight.") for c in columns])
    given = [""] * len(frame) if key is None else as_text(frame, key)
    names = tuple(name or (f"{stem} {i + 1}" if len(frame) > 1 else stem) for i, name in enumerate(given))
    unnamed = [c for c in frame if UNNAMED.fullmatch(c)]  # an index that was written with the table
    return Points(names, weights, frame.drop(columns=[*columns, *unnamed]))


def long_points(table: Table, tasks: Sequence[str], key: str | None, weight: str | None) -> Points:
    """Read points that have a row for every task that is in; without a column of weights it is in with 1."""
    import pandas as pd

    frame, name = table.frame, table.name
    index = tasks_of(table, tasks)
    owners = [Path(name).stem] * len(frame) if key is None else as_text(frame, key)
    given = np.ones(len(frame)) if weight is None else as_numbers(frame, weight, name, "Give 1, or a weight.")
    number = {owner: n for n, owner in enumerate(dict.fromkeys(owners))}
    weights = np.full((len(number), len(tasks)), np.nan)
    for i, (owner, k, w) in enumerate(zip(owners, index, given, strict=True)):
        if not owner or np.isnan(w):
            raise EvaluationsError(f"{name}: row {i + 1} has no {weight if owner else key}. Every row needs one.")
        if not np.isnan(weights[number[owner], k]):
            raise EvaluationsError(f"{name}: row {i + 1} gives task {tasks[k]!r} of {owner!r} again. Keep one row.")
        weights[number[owner], k] = w
    return Points(tuple(number), np.nan_to_num(weights), pd.DataFrame(index=range(len(number))))


def tasks_of(table: Table, tasks: Sequence[str]) -> list[int]:
    """Return which tasks the cells of the column ``task`` name."""
    number, named = {task: k for k, task in enumerate(tasks)}, as_text(table.frame, "task")
    for i, task in enumerate(named):
        if task not in number:
            raise EvaluationsError(f"{table.name}: row {i + 1}: {unknown(task, tasks, 'task of the runs')}")
    return [number[task] for task in named]
