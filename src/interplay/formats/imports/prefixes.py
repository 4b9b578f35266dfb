"""Wide tables whose columns say by the beginning or end of their names what they are (ADMIRE, dmsl)."""

from __future__ import annotations

import re
from pathlib import Path

from ...fields import EvaluationsError, listed
from ..table import Table
from .draft import Draft, Left, Options, Target
from .foreign import other_format
from .sheets import numbers, read_sheet
from .sorting import chosen, drafted, no_mixtures, row_columns, stated_rows

__all__ = ["of_names", "single"]


def single(paths: tuple[Path, ...]) -> Table:
    """Read the one table that is given."""
    if len(paths) != 1:
        raise EvaluationsError(f"{len(paths)} files are given ({listed([p.name for p in paths], 3)}); give one table.")
    return read_sheet(paths[0])


def of_names(
    table: Table, options: Options, format: str, tasks: str, targets: str, roles: dict[str, str], form: str
) -> Draft:
    """Return the draft of a table whose columns are told by their names.

    Parameters
    ----------
    table : Table
    options : Options
    format : str
        Its name on the command line.
    tasks, targets : str
        Regular expressions; the group is the name of the task or target.
    roles : dict of str to str
        Columns of 'run', 'seed', 'cost', 'fidelity', where they are there.
    form : str
        What the format's columns are called, for messages.
    """
    no_mixtures(options, table.name)
    frame, left = stated_rows(table, options)
    columns = [str(c) for c in frame.columns]
    numeric = numbers(frame, columns)
    found = [{m[1]: c for c in columns if (m := re.fullmatch(p, c)) and numeric[c]} for p in (tasks, targets)]
    for one, what in zip(found, ("tasks", "results"), strict=True):
        if not one and not (options.tasks if what == "tasks" else options.targets):
            raise EvaluationsError(
                f"{table.name} has no column of {what}: {form} are expected, it has {listed(columns)}."
                f"{other_format(columns, format) or ' `interplay import wide` reads tables with other names.'}"
            )
    others = {c: c for c in columns}
    mixed = chosen(options.tasks, found[0], others, f"task of {table.name}", options.ignore)
    measured = {n: Target(c) for n, c in found[1].items()}
    wanted = chosen(
        options.targets, measured, {c: Target(c) for c in columns}, f"target of {table.name}", options.ignore
    )
    rows = row_columns(frame, table.name, options)
    for role, column in roles.items():
        stated = getattr(options, role) is not None
        if column in columns and not stated and role not in rows:
            rows[role] = column
    said = [Left(f"column {c!r}", _why(options, "tasks")) for n, c in found[0].items() if n not in mixed]
    said += [Left(f"column {c!r}", _why(options, "targets")) for n, c in found[1].items() if n not in wanted]
    silent = [c for names in found for c in names.values()]
    return drafted(
        frame,
        table.name,
        mixed,
        wanted,
        options,
        rows=rows,
        left=(*left, *said),
        silent=silent,
        known=[n for names in found for n in names],
    )


def _why(options: Options, which: str) -> str:
    named = options.tasks if which == "tasks" else options.targets
    return (
        f"not among --{which.removesuffix('s') if which == 'targets' else which}" if named else "left out by --ignore"
    )
