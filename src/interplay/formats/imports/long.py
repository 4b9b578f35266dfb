"""Long tables: one row for each (run, source, weight), and one for each (run, metric, value); in one file or two.

Columns are known by their names: ``run, task|source|domain, weight|share|ratio`` and ``run, metric|target, value``,
with ``seed`` and ``step`` where there are any. A source that a run does not name is 0; of several steps the last one
counts, unless ``--where step=N`` says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...fields import EvaluationsError, listed, unknown
from ..columns import as_numbers, as_text
from ..table import Table
from .draft import Draft, Left, Options, Target, counted
from .measurements import Part, filled, measured
from .mixtures import mixtures_of
from .sheets import column_called, read_sheet
from .sorting import chosen, drafted, stated_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read"]

_RUN = ("run", "run_id", "run_name", "name", "model", "index")
_TASK, _WEIGHT = ("task", "source", "domain"), ("weight", "share", "ratio", "proportion")
_METRIC, _VALUE = ("metric", "target"), ("value", "score", "result")


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read one file of both, two files, or one of results beside ``--mixtures``."""
    if len(paths) not in (1, 2):
        raise EvaluationsError(
            f"{len(paths)} files are given; give one long table, or one of weights and one of values."
        )
    weights: list[Part] = []
    values: list[Part] = []
    left: list[Left] = []
    tables = [read_sheet(path) for path in paths]
    _known_columns(tables, options)
    for table in tables:
        frame, said = stated_rows(table, _of_table(options, table))
        left += said
        weights += _part(frame, table, _TASK, _WEIGHT, options)
        values += _part(frame, table, _METRIC, _VALUE, options)
    _one_of_each(weights, values, tables, options)
    frame, targets, more, warnings = measured(values[0], options)
    left += more
    runs = frame["run"].tolist()
    if weights:
        mixed, tasks, more = _weights(weights[0], runs)
        left += more
    else:
        assert options.mixtures is not None
        mixed, tasks, more, _ = mixtures_of(options.mixtures, runs, options)
        left += more
    return _draft(frame, mixed, tasks, targets, listed([t.name for t in tables]), options, left, warnings)


def _known_columns(tables: Sequence[Table], options: Options) -> None:
    """Columns that the user names are in some table."""
    columns = [str(c) for table in tables for c in table.frame.columns]
    names = listed([t.name for t in tables])
    for column in options.where:
        if column not in columns:
            raise unknown(column, columns, f"column of {names} (--where)")
    for role in ("run", "seed", "cost"):
        if (column := getattr(options, role)) is not None and column not in columns:
            raise unknown(column, columns, f"column of {names} (--{role})")


def _of_table(options: Options, table: Table) -> Options:
    return replace(options, where={c: v for c, v in options.where.items() if c in table.frame})


def _part(
    frame: pd.DataFrame, table: Table, items: Sequence[str], values: Sequence[str], options: Options
) -> list[Part]:
    """The rows of a table that state a weight, or those that state a value; none where it has no such columns."""
    item, value = column_called(frame, *items), column_called(frame, *values)
    if item is None or value is None:
        return []
    run = options.run if options.run in frame else column_called(frame, *_RUN)
    if run is None:
        raise EvaluationsError(f"{table.name} has no column 'run' beside {item} and {value}. Say --run COLUMN.")
    texts = np.array([bool(text.strip()) for text in as_text(frame, item)])
    held = texts | (frame[value].notna().to_numpy() if column_called(frame, *_both(items)) is None else texts)
    return [Part(frame.loc[held, :], table.name, run, item, value)]


def _both(items: Sequence[str]) -> tuple[str, ...]:
    """Columns of the other half, whose rows stand in the same table."""
    return _METRIC if items == _TASK else _TASK


def _one_of_each(weights: list[Part], values: list[Part], tables: Sequence[Table], options: Options) -> None:
    names = listed([t.name for t in tables])
    form = "run, source, weight and run, metric, value"
    if not values:
        columns = listed([str(c) for t in tables for c in t.frame.columns])
        raise EvaluationsError(f"{names}: no table of run, metric and value is there ({columns}). Columns are {form}.")
    if not weights and options.mixtures is None:
        raise EvaluationsError(
            f"{names}: no table of run, source and weight is there. Columns are {form}; or say --mixtures FILE."
        )
    if len(weights) > 1 or len(values) > 1 or (weights and options.mixtures is not None):
        raise EvaluationsError(f"{names}: weights or values are given twice. Give one table of each, or one of both.")
    for part in weights:
        if (metric := column_called(part.frame, *_METRIC)) is not None and values[0].name == part.name:
            texts = [i for i, text in enumerate(as_text(part.frame, metric)) if text.strip()]
            if texts:
                row = int(part.frame.index[texts[0]]) + 1
                raise EvaluationsError(
                    f"{part.name}: row {row} names a {part.item} and a {metric}. A row states one weight or one "
                    "value; part them."
                )


def _weights(part: Part, runs: Sequence[str]) -> tuple[pd.DataFrame, dict[str, str], list[Left]]:
    import pandas as pd

    owners, sources = filled(part, part.run), filled(part, part.item)
    numbers = as_numbers(part.frame, part.value, part.name, "Give a weight.")
    held: dict[str, dict[str, float]] = {}
    for i, (run, source) in enumerate(zip(owners, sources, strict=True)):
        row = int(part.frame.index[i]) + 1
        if np.isnan(numbers[i]):
            raise EvaluationsError(
                f"{part.name}: row {row} has no {part.value} of {source!r}. Give one, or leave the row out."
            )
        if source in held.setdefault(run, {}):
            raise EvaluationsError(
                f"{part.name}: row {row} gives {part.item} {source!r} of run {run!r} again. Keep one row."
            )
        held[run][source] = float(numbers[i])
    names = list(dict.fromkeys(sources))
    lost = [run for run in dict.fromkeys(runs) if run not in held]
    columns = {name: f"{part.item} {name}" for name in names}
    rows = [[held[run].get(name, 0.0) for name in names] if run in held else [np.nan] * len(names) for run in runs]
    there = {*runs}
    left = [Left(counted(len(lost), "run", lost), "no weight of any source")] if lost else []
    alone = [run for run in held if run not in there]
    left += [Left(counted(len(alone), "run", alone), "no value of any metric")] if alone else []
    unsaid = sum(len(names) - len(held[run]) for run in there if run in held)
    left += [Left(f"{counted(unsaid, 'weight')} not stated", "taken as 0")] if unsaid else []
    return pd.DataFrame(rows, columns=[*columns.values()], dtype=float), columns, left


def _draft(
    frame: pd.DataFrame,
    mixed: pd.DataFrame,
    tasks: dict[str, str],
    targets: dict[str, Target],
    name: str,
    options: Options,
    left: Sequence[Left],
    warnings: Sequence[str],
) -> Draft:
    """Put weights and values together, for the runs that have both."""
    import pandas as pd

    both = pd.concat([frame, mixed], axis=1)
    weighed = mixed.notna().to_numpy().any(axis=1)
    both = both.loc[weighed, :].reset_index(drop=True)
    if not len(both):
        raise EvaluationsError(f"{name}: no run has both weights and values. Call the runs alike in both.")
    mine = chosen(options.tasks, tasks, {}, f"task of {name}", options.ignore)
    wanted = chosen(options.targets, targets, {}, f"target of {name}", options.ignore)
    said = [Left(f"column {c!r}", "not among --tasks, or ignored") for n, c in tasks.items() if n not in mine]
    said += [
        Left(f"column {t.column!r}", "not among --target, or ignored") for n, t in targets.items() if n not in wanted
    ]
    silent = [*tasks.values(), *(t.column for t in targets.values())]
    rows = {"run": "run"} | ({"seed": "seed"} if "seed" in frame else {})
    for role, called in (("cost", options.cost or "cost"), ("fidelity", options.fidelity or "fidelity")):
        rows |= {role: called} if called in both else {}
    if options.cost is not None and "cost" not in rows:
        raise EvaluationsError(f"{name}: column {options.cost!r} (--cost) varies within runs. Name one that does not.")
    return drafted(
        both,
        name,
        mine,
        wanted,
        options,
        rows=rows,
        left=(*left, *said),
        silent=silent,
        known=[*tasks, *targets],
        warnings=warnings,
    )
