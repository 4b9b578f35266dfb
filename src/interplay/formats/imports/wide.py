"""One row for each run, one column for each task and target: what `Evaluations.read` reads, sorted more forgivingly.

Where the tasks are not named, all numbers are tasks that are of one kind; columns that break it are left only if they
never vary or are called like a setting or a result, and that is said. Anything else is asked about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import numpy as np

from ...directions import metric_word
from ...fields import EvaluationsError, listed
from ..columns import as_numbers, as_text, odd_columns, suggested_targets
from ..csv import odd_number
from ..table import Table, is_metadata
from .draft import Draft, Options, Target
from .foreign import other_format
from .leftovers import constant, is_setting
from .mixtures import mixtures_of, read_mixtures
from .pairing import paired
from .sheets import numbers, read_sheet
from .sorting import chosen, drafted, row_columns, stated_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read"]

_MARKED = re.compile(r"target:(?:(lower|higher):)?(.+)", re.DOTALL)


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read one table, or one of tasks and one of results."""
    if len(paths) == 2:
        return paired(read_sheet(paths[0]), read_sheet(paths[1]), options)
    if len(paths) != 1:
        raise EvaluationsError(f"{len(paths)} files are given; give one table, or one of tasks and one of results.")
    table = read_sheet(paths[0])
    return with_mixtures(table, options) if options.mixtures is not None else _of_one(table, options)


def _of_one(table: Table, options: Options) -> Draft:
    frame, left = stated_rows(table, options)
    open_, marked, forced = _columns(frame, table.name, options)
    targets = _targets(frame, table.name, open_, marked, options)
    used = {t.column for t in targets.values()}
    if options.tasks:
        others = {c: c for c in open_ if c not in used}
        tasks = chosen(options.tasks, forced, others, f"task of {table.name}", options.ignore)
    else:
        free = [c for c in open_ if c not in used and c not in _ignored(open_, options)]
        tasks = forced | {c: c for c in _of_one_kind(frame, table.name, free, len(forced))}
        tasks = chosen((), tasks, {}, "task", options.ignore)
    order = {c: i for i, c in enumerate(frame.columns)}
    tasks = tasks if options.tasks else dict(sorted(tasks.items(), key=lambda item: order[item[1]]))
    return drafted(frame, table.name, tasks, targets, options, left=left)


def with_mixtures(table: Table, options: Options) -> Draft:
    """A table of results, and what each run was trained on from another file."""
    import pandas as pd

    frame, left = stated_rows(table, options)
    rows = row_columns(frame, table.name, options)
    if "run" not in rows or options.mixtures is None:
        raise EvaluationsError(
            f"{table.name} does not name its runs, which --mixtures is looked up by. Say --run COLUMN."
        )
    open_, marked, _ = _columns(frame, table.name, options)
    targets = _targets(frame, table.name, open_, marked, options)
    mixed, tasks, more, _ = mixtures_of(options.mixtures, as_text(frame, rows["run"]), options)
    both = pd.concat([frame, mixed], axis=1)
    known = [str(c) for c in read_mixtures(options.mixtures).frame.columns]
    return drafted(both, table.name, tasks, targets, options, rows=rows, left=(*left, *more), known=known)


def _columns(frame: pd.DataFrame, name: str, options: Options) -> tuple[list[str], dict[str, Target], dict[str, str]]:
    """Columns that may be anything, those that are marked as targets, and those that are marked as tasks."""
    columns, rows = [str(c) for c in frame.columns], row_columns(frame, name, options)
    ways = {"higher": True, "lower": False}
    found = {c: m for c in columns if (m := _MARKED.fullmatch(c))}
    marked = {m[2]: Target(c, None if m[1] is None else ways[m[1]]) for c, m in found.items()}
    forced = {c[5:]: c for c in columns if c.startswith("task:") and len(c) > 5}
    taken = {*found, *forced.values(), *(rows[r] for r in rows if getattr(options, r) == rows[r])}
    return [c for c in columns if c not in taken and not is_metadata(c)], marked, forced


def _targets(
    frame: pd.DataFrame, name: str, open_: list[str], marked: dict[str, Target], options: Options
) -> dict[str, Target]:
    others = {c: Target(c) for c in open_}
    if options.targets:
        named = {c: Target(str(c)) for c in frame.columns if c in options.targets}  # also one that is metadata
        return chosen(options.targets, marked, others | named, f"target of {name}", options.ignore)
    if marked:
        return chosen((), marked, {}, "target", options.ignore)
    numeric = [c for c, yes in numbers(frame, open_).items() if yes and c not in _ignored(open_, options)]
    found = [c for c in numeric if metric_word(c) and not _matched(c, options.tasks)]
    if not found:
        other = other_format([str(c) for c in frame.columns], "wide")
        likely = suggested_targets(frame, numeric) if len(numeric) else []
        hint = f"These look like results: {listed([repr(c) for c in likely])}. " if likely else ""
        raise EvaluationsError(
            f"{name} does not say which columns are targets.{other or f' {hint}'.rstrip()} Name them with --target"
            f"{' ' + quote(likely[0]) if likely and not other else ' NAME'} (repeatable, globs such as 'eval/*')."
        )
    return {c: Target(c) for c in found}


def _ignored(columns: list[str], options: Options) -> set[str]:
    return {c for c in columns if _matched(c, options.ignore)}


def _matched(column: str, patterns: Sequence[str]) -> bool:
    return any(column == pattern or fnmatchcase(column, pattern) for pattern in patterns)


def _of_one_kind(frame: pd.DataFrame, name: str, columns: list[str], others: int) -> list[str]:
    """Numbers that are of one kind; what breaks it is left where it can be no task, and asked about otherwise."""
    numeric = numbers(frame, columns)
    for column in (c for c, yes in numeric.items() if not yes):
        cells = [v for v in frame[column].dropna() if str(v).strip()]
        if cells and all(odd_number(v) or _number(v) for v in cells):
            odd = next(v for v in cells if odd_number(v))
            raise EvaluationsError(
                f"{name}: column {column!r} holds {str(odd)[:40]!r}, and {odd_number(odd)}. Write numbers as 1234.5, "
                f"or leave the column out with --ignore {quote(column)}."
            )
        strange = [i for i, v in enumerate(frame[column]) if str(v) in map(str, cells) and not _number(v)]
        if len(strange) <= len(cells) / 2 and not is_setting(column):
            raise EvaluationsError(
                f"{name}: column {column!r} holds {str(frame[column].iloc[strange[0]])[:40]!r} in row {strange[0] + 1} "
                f"among numbers. Correct it, or leave the column out with --ignore {quote(column)}."
            )
    left = [c for c, yes in numeric.items() if yes and bool(frame[c].notna().to_numpy().any())]
    while len(left) > 1:
        values = np.column_stack([as_numbers(frame, c, name, "") for c in left])
        odd = odd_columns(np.nan_to_num(values, nan=-1.0, posinf=-1.0, neginf=-1.0), left)
        if odd is None:
            break
        out = [left[k] for k in odd[0] if _no_task(left[k], values[:, k])]
        if not out:
            break  # `formats.table.build` says what is wrong, and what to do
        left = [c for c in left if c not in out]
    if not left and not others:
        raise EvaluationsError(
            f"{name} has no column left for the tasks: its columns are {listed([str(c) for c in frame.columns])}. "
            "Name them with --tasks; or say what each run was trained on with --mixtures FILE."
        )
    return left


def _no_task(column: str, values: np.ndarray) -> bool:
    return is_setting(column) or metric_word(column) or (constant(values) and values[0] not in (0, 1))


def _number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True
