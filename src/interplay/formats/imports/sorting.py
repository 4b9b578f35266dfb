"""Columns of a table sorted into tasks, targets and what tells the runs apart; all others are left, with the reason.

An importer names the columns that its format takes as tasks and targets; what the user says (``--tasks --target
--ignore --run --seed --cost --fidelity --where``) is applied here, alike for all tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from ...fields import EvaluationsError, listed, match, unknown
from ..columns import as_numbers, as_text, as_whole
from ..csv import odd_number
from ..table import FACTS, Table
from .draft import Draft, Left, Options, Target, counted
from .leftovers import leftovers
from .sheets import column_called

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["chosen", "drafted", "no_mixtures", "row_columns", "stated_rows"]

_ROLES = {"run": ("origin", "run", "run_id", "name", "index"), "seed": ("seed",), "cost": ("cost",)}


def stated_rows(table: Table, options: Options) -> tuple[pd.DataFrame, tuple[Left, ...]]:
    """Keep the rows that ``--where`` states.

    Raises
    ------
    EvaluationsError
        For a column that is not there, a value that no row holds, or a table that interplay wrote.
    """
    frame, name = table.frame, table.name
    left: list[Left] = []
    if table.facts is not None or FACTS in frame:
        raise EvaluationsError(f"{name} was written by interplay. Give it to `interplay attribute` as it is.")
    for column, wanted in options.where.items():
        if column not in frame:
            raise unknown(column, [str(c) for c in frame.columns], f"column of {name} (--where)")
        cells = [text.strip() for text in as_text(frame, column)]
        keep = np.array([_same(text, wanted) for text in cells], dtype=bool)
        if not keep.any():
            held = listed([repr(text) for text in dict.fromkeys(cells)], 4)
            raise EvaluationsError(f"{name}: no row has {wanted!r} in column {column!r} (--where); it holds {held}.")
        if not keep.all():
            left.append(Left(counted(int((~keep).sum()), "row"), f"{column} is not {wanted} (--where)"))
        frame = frame.loc[keep, :].reset_index(drop=True)
    return frame, tuple(left)


def no_mixtures(options: Options, name: str) -> None:
    """Refuse ``--mixtures`` where the files say themselves what each run was trained on."""
    if options.mixtures is not None:
        raise EvaluationsError(
            f"mixtures (--mixtures): {name} says itself what each run was trained on. Leave "
            f"{options.mixtures.name} out."
        )


def _same(text: str, wanted: str) -> bool:
    """Tell whether a cell holds what is wanted, in the same words or as the same number."""
    try:
        return text == wanted or text.lower() == wanted.lower() in ("true", "false") or float(text) == float(wanted)
    except ValueError:
        return False


def row_columns(frame: pd.DataFrame, name: str, options: Options) -> dict[str, str]:
    """Return the columns of 'run', 'seed', 'cost' and 'fidelity', by their names or as the user says."""
    columns = [str(c) for c in frame.columns]
    found = {}
    open_ = frame.loc[:, [c for c in columns if not any(fnmatchcase(c, p) for p in options.ignore)]]
    for role, called in _ROLES.items():
        if (stated := getattr(options, role)) is not None:
            if stated not in columns:
                raise unknown(stated, columns, f"column of {name} (--{role})")
            found[role] = stated
        elif (column := column_called(open_, *called)) is not None:
            found[role] = column
    if options.fidelity is not None:
        return found | ({"fidelity": options.fidelity} if options.fidelity in columns else {})
    return found | ({} if (column := column_called(open_, "fidelity")) is None else {"fidelity": column})


def chosen(
    patterns: Sequence[str], found: Mapping[str, Any], others: Mapping[str, Any], what: str, ignore: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what patterns (names or globs) stand for among what a format found, else among the other columns.

    Parameters
    ----------
    patterns : sequence of str
        All that was found where there are none.
    found, others : mapping of name to column or Target
        What the format takes for it, and what it might be.
    what : str
        For messages.
    ignore : sequence of str
        Patterns of what is left out, unless it is named itself.
    """
    if not patterns:
        dropped = set(match(ignore, [*found], what, also=[*ignore]))
        return {name: column for name, column in found.items() if name not in dropped}
    everything = {**found, **{name: column for name, column in others.items() if name not in found}}
    names: list[str] = []
    for pattern in patterns:
        hits = match(pattern, [*found], what, also=[pattern]) or match(pattern, [*everything], what)
        names += [hit for hit in hits if hit not in names]
    dropped = set(match(ignore, names, what, also=[*ignore])) - set(patterns)
    return {name: everything[name] for name in names if name not in dropped}


def drafted(
    frame: pd.DataFrame,
    name: str,
    tasks: Mapping[str, str],
    targets: Mapping[str, Target],
    options: Options,
    *,
    rows: Mapping[str, str] | None = None,
    left: Sequence[Left] = (),
    silent: Sequence[str] = (),
    known: Sequence[str] = (),
    notes: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    kind: str | None = None,
) -> Draft:
    """Return the draft of a table whose tasks and targets are known.

    Parameters
    ----------
    frame : DataFrame
    name : str
    tasks : mapping of str to str
        Name of each task and its column.
    targets : mapping of str to Target
    options : Options
    rows : mapping of str to str, optional
        Columns of 'run', 'seed', 'cost' and 'fidelity'; by their names if not given.
    left, notes, warnings, kind
        As in `Draft`, from what the importer saw.
    silent : sequence of str
        Columns of which `left` says enough.
    known : sequence of str
        Names that ``--ignore`` may have meant and the importer has seen to.
    """
    rows = dict(row_columns(frame, name, options) if rows is None else rows)
    results = [target.column for target in targets.values()]
    rows = _of_neither(rows, {*tasks.values(), *results}, name, options)
    _refuse_none_or_both(frame, name, tasks, results)
    used = {*tasks.values(), *results, *rows.values(), *silent}
    frame, dropped, alike = _with_results(frame, name, targets, rows.get("run"))
    for column in [*tasks.values(), *results, *([rows["cost"]] if "cost" in rows else [])]:
        _refuse_odd_numbers(frame, column, name)
    _refuse_gaps(frame, name, [*tasks.values()], rows.get("run"))
    if "seed" in rows:
        as_whole(frame, rows["seed"], name)
    rest = [str(c) for c in frame.columns if c not in used]
    elsewhere = [*map(str, frame.columns), *tasks, *targets, *known]
    ignored = set(match(options.ignore, rest, f"column of {name}", also=elsewhere))
    why, confounders = leftovers(frame, [c for c in rest if c not in ignored])
    out = [Left(f"column {c!r}", "left out by --ignore") for c in rest if c in ignored]
    said = (*left, *dropped, *out, *why)
    told = (*warnings, *alike, *confounders)
    return Draft(frame, name, dict(tasks), dict(targets), rows, said, notes or {}, told, kind)


def _of_neither(rows: Mapping[str, str], used: set[str], name: str, options: Options) -> dict[str, str]:
    """Leave out roles whose columns are tasks or targets; one that the user named is an error."""
    for role, column in rows.items():
        if column in used and getattr(options, role, None) == column:
            raise EvaluationsError(
                f"{name}: {column!r} is named with --{role}, and is a task or a target. Name it once."
            )
    return {role: column for role, column in rows.items() if column not in used}


def _refuse_none_or_both(frame: pd.DataFrame, name: str, tasks: Mapping[str, str], results: Sequence[str]) -> None:
    columns = listed([str(c) for c in frame.columns])
    for what, found in (("task", tasks), ("target", results)):
        if not found:
            option = "--tasks" if what == "task" else "--target"
            raise EvaluationsError(f"{name} has no {what}: its columns are {columns}. Name them with {option}.")
    if both := [c for c in tasks.values() if c in results]:
        raise EvaluationsError(
            f"{name}: {both[0]!r} is a task and a target. Name it in one of --tasks and --target only."
        )


def _refuse_gaps(frame: pd.DataFrame, name: str, columns: Sequence[str], run: str | None) -> None:
    """Tasks need a number in every run: an empty cell may be 0, or not known."""
    for column in columns:
        empty = np.isnan(as_numbers(frame, column, name, ""))
        if empty.any():
            i = int(np.flatnonzero(empty)[0])
            where = f"row {i + 1}" + (f" ({as_text(frame, run)[i]})" if run is not None else "")
            raise EvaluationsError(
                f"{name}: column {column!r} has no value in {where}, {counted(int(empty.sum()), 'row')} in all; tasks "
                "need a number in every run. Write 0 where it was out, take the rows out (--where), or leave it out "
                f"with --ignore {quote(column)}."
            )


def _with_results(
    frame: pd.DataFrame, name: str, targets: Mapping[str, Target], run: str | None
) -> tuple[pd.DataFrame, list[Left], list[str]]:
    """Leave out the rows that hold no target at all, and rows of one run that are there twice, cell for cell."""
    left, said = [], []
    columns = [t.column for t in targets.values()]
    empty = np.all([frame[c].isna().to_numpy() for c in columns], axis=0)
    if empty.all():
        raise EvaluationsError(
            f"{name}: no row has a value of {listed([repr(t) for t in targets])}. Name other targets."
        )
    if empty.any():
        left.append(Left(_rows(frame, empty, run), "no value of any target"))
    frame = frame.loc[~empty, :].reset_index(drop=True)
    twice = frame.astype(str).duplicated().to_numpy()
    if run is not None and twice.any() and not frame.loc[~twice, run].duplicated().any():  # names tell the runs apart
        left.append(Left(_rows(frame, twice, run), "there twice, cell for cell; taken once"))
        frame = frame.loc[~twice, :].reset_index(drop=True)
    elif twice.any():
        said.append(
            f"{_rows(frame, twice, None)} repeat{'s' * (int(twice.sum()) == 1)} others cell for cell, and no column of "
            "names tells whether these are the same runs: all are counted"
        )
    return frame, left, said


def _rows(frame: pd.DataFrame, which: np.ndarray, run: str | None) -> str:
    names = [str(i + 1) for i in np.flatnonzero(which)] if run is None else as_text(frame.loc[which, :], run)
    return counted(len(names), "row", names)


def _refuse_odd_numbers(frame: pd.DataFrame, column: str, name: str) -> None:
    """Refuse a cell that a person reads as a number and a program as another, with the reason."""
    cells = frame[column]
    if cells.dtype.kind in "biuf":
        return
    for i, cell in enumerate(cells):
        if isinstance(cell, str) and (why := odd_number(cell)) is not None:
            raise EvaluationsError(
                f"{name}: column {column!r} holds {cell[:40]!r} in row {i + 1}, and {why}. Write numbers as 1234.5, "
                f"or leave the column out with --ignore {quote(column)}."
            )
    as_numbers(frame, column, name, f"Correct it, or leave the column out with --ignore {quote(column)}.")
