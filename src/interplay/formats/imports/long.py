"""Long tables: one row for each (run, source, weight), and one for each (run, metric, value); in one file or two.

Columns are known by their names: ``run, task|source|domain, weight|share|ratio`` and ``run, metric|target, value``,
with ``seed`` and ``step`` where there are any. A source that a run does not name is 0; of several steps the last one
counts, unless ``--where step=N`` says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...fields import EvaluationsError, listed
from ..columns import as_numbers, as_text
from ..table import Table
from .draft import Draft, Left, Options, Target
from .mixtures import mixtures_of
from .sheets import column_called, read_sheet
from .sorting import chosen, drafted, stated_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read"]

_RUN = ("run", "run_id", "run_name", "name", "model", "index")
_TASK, _WEIGHT = ("task", "source", "domain"), ("weight", "share", "ratio", "proportion")
_METRIC, _VALUE = ("metric", "target"), ("value", "score", "result")


class Part(NamedTuple):
    """One of the two halves of a long table: which rows, and its columns."""

    frame: pd.DataFrame
    name: str
    run: str
    item: str
    value: str


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
    _known_where(tables, options)
    for table in tables:
        frame, said = stated_rows(table, _of_table(options, table))
        left += said
        weights += _part(frame, table, _TASK, _WEIGHT, options)
        values += _part(frame, table, _METRIC, _VALUE, options)
    _one_of_each(weights, values, tables, options)
    frame, targets, more, warnings = _values(values[0], options)
    left += more
    runs = frame["run"].tolist()
    if weights:
        mixed, tasks, more = _weights(weights[0], runs)
        left += more
    else:
        assert options.mixtures is not None
        mixed, tasks, more = mixtures_of(options.mixtures, runs, options)
        left += more
    return _draft(frame, mixed, tasks, targets, listed([t.name for t in tables]), options, left, warnings)


def _known_where(tables: Sequence[Table], options: Options) -> None:
    for column in options.where:
        if not any(column in table.frame for table in tables):
            raise EvaluationsError(
                f"--where {column}: no table has such a column ({listed([t.name for t in tables])})."
            )


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


def _values(part: Part, options: Options) -> tuple[pd.DataFrame, dict[str, Target], list[Left], list[str]]:
    """A row for each run and seed, a column for each metric, and what else is known of the runs."""
    import pandas as pd

    frame = part.frame
    runs, metrics = _filled(part, part.run), _filled(part, part.item)
    numbers = as_numbers(frame, part.value, part.name, "Give a number, or leave the cell empty.")
    seed = options.seed if options.seed in frame else column_called(frame, "seed")
    seeds = [""] * len(frame) if seed is None else as_text(frame, seed)
    step = column_called(frame, "step", "epoch", "global_step")
    steps = (
        np.zeros(len(frame))
        if step is None or step in options.where
        else as_numbers(frame, step, part.name, "Give a number.")
    )
    kept, earlier = _last(part, list(zip(runs, seeds, metrics, strict=True)), steps)
    names = list(dict.fromkeys(metrics))
    pairs = list(dict.fromkeys(zip(runs, seeds, strict=True)))
    cells = {(r, s, m): numbers[i] for (r, s, m), i in kept.items()}
    rows = [[cells.get((r, s, m), np.nan) for m in names] for r, s in pairs]
    columns = {name: f"{part.item} {name}" for name in names}
    wide = pd.DataFrame(rows, columns=[*columns.values()], dtype=float)
    out = wide.assign(run=[r for r, _ in pairs])
    if seed is not None:
        out["seed"] = [s or None for _, s in pairs]
    left = (
        [
            Left(
                f"{earlier} values of earlier {step}s",
                f"the last {step} of each counts; --where {step}=N takes another",
            )
        ]
        if earlier
        else []
    )
    ends = {float(steps[i]) for i in kept.values()}
    warnings = [f"runs and metrics end at different {step}s ({min(ends):g} to {max(ends):g})"] if len(ends) > 1 else []
    known = [part.run, part.item, part.value, *(c for c in (seed, step) if c is not None)]
    out = _settings(
        out,
        part,
        [c for c in frame.columns if c not in known],
        dict(zip(pairs, range(len(pairs)), strict=True)),
        runs,
        seeds,
    )
    return out, {n: Target(c) for n, c in columns.items()}, left, warnings


def _last(
    part: Part, keys: Sequence[tuple[str, str, str]], steps: np.ndarray
) -> tuple[dict[tuple[str, str, str], int], int]:
    """The row of each run, seed and metric with the last step; and how many rows are earlier."""
    kept: dict[tuple[str, str, str], int] = {}
    seen: dict[tuple[str, str, str, float], int] = {}
    for i, key in enumerate(keys):
        j = kept.get(key)
        if (first := seen.setdefault((*key, float(steps[i])), i)) != i:
            rows = [int(part.frame.index[n]) + 1 for n in (first, i)]
            raise EvaluationsError(
                f"{part.name}: {part.item} {key[2]!r} of run {key[0]!r} is there twice (rows {rows[0]} and {rows[1]}). "
                "Keep one; several results of one run need a column 'seed', several times a column 'step'."
            )
        if j is None or steps[i] > steps[j]:
            kept[key] = i
    return kept, len(keys) - len(kept)


def _settings(
    out: pd.DataFrame, part: Part, others: Sequence[str], place: dict, runs: Sequence[str], seeds: Sequence[str]
) -> pd.DataFrame:
    """Put other columns beside the runs, where a run has one value of them; what varies within runs is no setting."""
    first: dict[int, int] = {}
    for i, pair in enumerate(zip(runs, seeds, strict=True)):
        first.setdefault(place[pair], i)
    at = [first[n] for n in range(len(out))]
    for column in others:
        if column_called(part.frame.loc[:, [column]], *_TASK, *_WEIGHT) is not None:
            continue
        out[column] = part.frame[column].iloc[at].to_numpy()
    return out


def _weights(part: Part, runs: Sequence[str]) -> tuple[pd.DataFrame, dict[str, str], list[Left]]:
    import pandas as pd

    owners, sources = _filled(part, part.run), _filled(part, part.item)
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
    left = [Left(f"{len(lost)} runs ({listed(lost, 4)})", "no weight of any source")] if lost else []
    alone = [run for run in held if run not in there]
    left += [Left(f"{len(alone)} runs ({listed(alone, 4)})", "no value of any metric")] if alone else []
    unsaid = sum(len(names) - len(held[run]) for run in there if run in held)
    left += [Left(f"{unsaid} weights that are not stated", "taken as 0")] if unsaid else []
    return pd.DataFrame(rows, columns=[*columns.values()], dtype=float), columns, left


def _filled(part: Part, column: str) -> list[str]:
    texts = [text.strip() for text in as_text(part.frame, column)]
    for i, text in enumerate(texts):
        if not text:
            raise EvaluationsError(
                f"{part.name}: row {int(part.frame.index[i]) + 1} has no {column}. Every row needs one."
            )
    return texts


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
