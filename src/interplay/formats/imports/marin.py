"""Marin: two-phase mixtures, as a wide table (``phase_0_<d>, phase_1_<d>, eval/...``) or a registry in Parquet.

Tasks are called ``phase_0:<d>``, as `phased` takes them; the weights of a phase sum to 1, and ``--phases`` of the verbs
says which part of the training each phase is. A registry has maps ``phase0_weights``, ``phase1_weights`` and maps of
results (``grouped_bpb``), which become ``grouped_bpb/<task>``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...directions import metric_word
from ...fields import EvaluationsError, listed
from ..columns import as_text
from ..table import Table
from .draft import Draft, Left, Options, Target, counted
from .foreign import other_format
from .prefixes import single
from .sheets import column_called, numbers
from .sorting import chosen, drafted, no_mixtures, row_columns, stated_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read"]

_PHASE = re.compile(r"(phase_\d+)_(.+)")
_MAP = re.compile(r"phase_?(\d+)_weights")
_SEEDS = ("trainer_seed", "data_seed")


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read one table or registry."""
    table = single(paths)
    no_mixtures(options, table.name)
    frame, left = stated_rows(table, options)
    if any(_MAP.fullmatch(str(c)) for c in frame.columns):
        frame, more = _flat(frame, table.name)
        left = (*left, *more)
    columns = [str(c) for c in frame.columns]
    found = {f"{m[1]}:{m[2]}": c for c in columns if (m := _PHASE.fullmatch(c))}
    if not found:
        other = other_format(columns, "marin") or " `interplay import wide` reads one mixture for each run."
        raise EvaluationsError(
            f"{table.name} has no mixture of phases: columns phase_0_SOURCE or a map phase0_weights are expected, it "
            f"has {listed(columns)}.{other}"
        )
    frame, rows, seeded = _seeds(frame, Table(frame, table.name), options)
    if "run" not in rows and (run := column_called(frame, "run_name", "observation_id")) is not None:
        rows["run"] = run
    tasks = chosen(options.tasks, found, {}, f"task of {table.name}", options.ignore)
    open_ = [c for c in columns if c not in found.values() and c not in rows.values() and c not in _SEEDS]
    numeric = numbers(frame, open_)
    measured = {c: Target(c) for c in open_ if numeric[c] and (metric_word(c) or "/" in c)}
    others = {c: Target(c) for c in open_}
    targets = chosen(options.targets, measured, others, f"target of {table.name}", options.ignore)
    said = [Left(f"column {c!r}", _left_by(options.tasks)) for n, c in found.items() if n not in tasks]
    said += [Left(f"column {c!r}", _left_by(options.targets)) for c in measured if c not in targets]
    silent = [*found.values(), *measured, *_SEEDS]
    return drafted(
        frame,
        table.name,
        tasks,
        targets,
        replace(options, seed=None),
        rows=rows,
        left=(*left, *seeded, *said),
        silent=silent,
        known=[*found, *measured],
    )


def _left_by(named: tuple[str, ...]) -> str:
    return "not among those that are named" if named else "left out by --ignore"


def _seeds(frame: pd.DataFrame, table: Table, options: Options) -> tuple[pd.DataFrame, dict[str, str], list[Left]]:
    """Number the pairs of the two seeds where both vary; else take the one that varies."""
    rows = row_columns(frame, table.name, options)
    there = [c for c in _SEEDS if c in frame]
    if options.seed is not None or not there:
        return frame, rows, [Left(f"column {c!r}", "--seed names another column") for c in there if c != options.seed]
    varying = [c for c in there if len(set(as_text(frame, c))) > 1] or there[:1]
    if len(varying) == 1:
        rows["seed"] = varying[0]
        return frame, rows, [Left(f"column {c!r}", "a seed that never varies") for c in there if c not in varying]
    pairs = [*zip(*(as_text(frame, c) for c in varying), strict=True)]
    number = {pair: i for i, pair in enumerate(dict.fromkeys(p for p in pairs if any(p)))}
    frame = frame.assign(**{"trainer_seed and data_seed": [number.get(pair, -1) for pair in pairs]})
    rows["seed"] = "trainer_seed and data_seed"
    words = f"their {len(number)} pairs are numbered as seeds, since both vary"
    return frame, rows, [Left(f"column {c!r}", words) for c in varying]


def _flat(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[Left]]:
    """Turn maps into columns; runs without the weights of a phase are left."""
    import pandas as pd

    left, parts = [], {str(c): frame[c] for c in frame.columns}
    keep = pd.Series(True, index=frame.index)
    for column in list(parts):
        maps = [_as_map(cell) for cell in parts[column]]
        if not any(m is not None for m in maps):
            continue
        phase = _MAP.fullmatch(column)
        keys = list(dict.fromkeys(key for m in maps for key in m or ()))
        if phase:
            keep &= pd.Series([bool(m) for m in maps], index=frame.index)
            unsaid = sum(len(keys) - len(m) for m in maps if m)
            left += [Left(f"{column}: {counted(unsaid, 'weight')} not stated", "taken as 0")] if unsaid else []
        del parts[column]
        for key in keys:
            called = f"phase_{phase[1]}_{key}" if phase else f"{column}/{key}"
            values = [(m or {}).get(key) for m in maps]
            if called in parts:
                raise EvaluationsError(f"{name}: column {called!r} is there, and {column} has {key!r} too. Rename one.")
            parts[called] = pd.Series([0.0 if v is None and phase else v for v in values], index=frame.index)
    if not keep.all():
        left.append(Left(counted(int((~keep).sum()), "row"), "no weights of some phase"))
    return pd.DataFrame(parts).loc[keep.to_numpy(), :].reset_index(drop=True), left


def _as_map(cell: Any) -> dict[str, Any] | None:
    """A map as Parquet gives it: a mapping, or pairs; what it does not state is left out of it."""
    if isinstance(cell, Mapping):
        return {str(k): v for k, v in cell.items() if v is not None}
    if isinstance(cell, list) and cell and all(isinstance(pair, tuple) and len(pair) == 2 for pair in cell):
        return {str(k): v for k, v in cell if v is not None}
    return None
